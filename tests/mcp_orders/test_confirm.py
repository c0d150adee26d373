"""A person confirms what is large: asked, answered, unable to be asked; and what is sent is what was asked about."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from mcp.server.mcpserver import AcceptedElicitation
from mcp.server.mcpserver.exceptions import ToolError

from bus.messages import Capabilities, GetCapabilities, GetOrders, Kill, Message, Orders, PreviewOrders, RiskState
from mcp_servers._order_confirm import Confirm
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_place import run_plan
from mcp_servers._order_plan import Plan
from tests.mcp_market.floor import Mode, text_of
from tests.mcp_orders.between import Forward, between
from tests.mcp_orders.seat import Answer, Person, holdings, seat, sent
from tests.mcp_servers.desk import RunningDesk

LARGE: dict[str, Any] = {"symbol": "ACME", "side": "buy", "qty": 120}
ABOVE = Decimal(5_000)


@pytest.mark.requirement("orders:confirm")
def test_a_large_order_is_sent_once_a_person_confirmed_it(running: RunningDesk, era: Mode) -> None:
    person = Person()
    with seat(running, era, person, above=ABOVE) as table:
        assert table.data("place_order", **{**LARGE, "qty": 10})["sent"]
        assert person.questions == []
        placed = table.data("place_order", **LARGE)
        assert placed["order"]["qty"] == "120"
    (question,) = person.questions
    assert "buy 120 ACME market day" in question
    assert "Mode replay, client desk" in question
    assert "above 5,000.00" in question
    assert len(sent(running)) == 2


@pytest.mark.requirement("orders:confirm")
@pytest.mark.parametrize("answer", ["refuse", "decline", "cancel"])
@pytest.mark.parametrize("tool", ["place_order", "close_position", "close_all_positions"])
def test_without_a_yes_nothing_is_sent(running: RunningDesk, era: Mode, answer: Answer, tool: str) -> None:
    person = Person()
    with seat(running, era, person, above=ABOVE) as table:
        if tool != "place_order":
            table.data("place_order", **LARGE)
            running.advance(20)
        person.answer = answer
        person.questions.clear()
        before = holdings(running)
        arguments = {"place_order": LARGE, "close_position": {"symbol": "ACME"}, "close_all_positions": {}}[tool]
        text = table.error(tool, **arguments)
    assert "nothing was sent" in text
    assert "Do not send it again unasked" in text
    assert len(person.questions) == 1
    assert holdings(running) == before


@pytest.mark.requirement("orders:confirm")
def test_closing_everything_asks_once_with_every_order_in_it(running: RunningDesk, era: Mode) -> None:
    person = Person()
    with seat(running, era, person, above=ABOVE) as table:
        table.data("place_order", **{**LARGE, "qty": 50})
        table.data("place_order", symbol="BOLT", side="sell", qty=60)
        assert person.questions == []
        running.advance(20)
        closed = table.data("close_all_positions")
    (question,) = person.questions
    assert "Send these 2 orders?" in question
    assert "sell 50 ACME market day" in question
    assert "buy 60 BOLT market day" in question
    assert [order["code"] for order in closed["orders"]] == ["placed", "placed"]


@pytest.mark.requirement("orders:confirm")
def test_what_was_confirmed_is_what_is_sent_although_the_price_moved(running: RunningDesk, era: Mode) -> None:
    person = Person()
    person.while_asked = lambda: running.advance(60)
    with seat(running, era, person, above=ABOVE) as table:
        before = int(table.data("preview_order", symbol="BOLT", side="buy", notional=15_000)["order"]["qty"])
        placed = table.data("place_order", symbol="BOLT", side="buy", notional=15_000)
        after = int(table.data("preview_order", symbol="BOLT", side="buy", notional=15_000)["order"]["qty"])
    (question,) = person.questions
    assert before != after, "the day must move for this test to show anything"
    assert placed["order"]["qty"] == str(before)
    assert f"buy {before} BOLT market day" in question


@pytest.mark.requirement("orders:confirm")
def test_the_gate_judges_again_what_a_person_confirmed(running: RunningDesk, era: Mode) -> None:
    person = Person()
    person.while_asked = lambda: running.ask("risk", Kill("stop", "test"), RiskState)
    with seat(running, era, person, above=ABOVE) as table:
        result = table.call("place_order", LARGE)
    assert result.is_error
    assert "kill_switch" in text_of(result)
    assert sent(running) == []


@pytest.mark.requirement("orders:confirm")
def test_nobody_is_asked_about_what_the_gate_would_deny_or_what_is_sent_already(
    running: RunningDesk, era: Mode
) -> None:
    person = Person()
    with seat(running, era, person, above=ABOVE) as table:
        assert "order_notional" in table.error("place_order", **{**LARGE, "qty": 1_000})
        assert person.questions == []
        table.data("place_order", **LARGE, client_order_id="k")
        table.data("place_order", **LARGE, client_order_id="k")
        assert len(person.questions) == 1
    assert len(sent(running)) == 1


@pytest.mark.requirement("orders:confirm")
def test_a_denial_that_has_passed_since_does_not_send_what_nobody_confirmed(running: RunningDesk, era: Mode) -> None:
    person = Person()

    def move_on(request: Message, forward: Forward) -> Message:
        answer = forward(request)
        if isinstance(request, PreviewOrders):
            running.advance(3)
        return answer

    with seat(running, era, person, above=ABOVE) as table:
        table.data("place_order", **LARGE, client_order_id="first")
    person.questions.clear()
    before = sent(running)
    with (
        between(running, "risk", move_on) as directory,
        seat(running, era, person, directory=directory, above=ABOVE) as table,
    ):
        text = table.error("place_order", **LARGE, client_order_id="second")
    assert "duplicate" in text
    assert person.questions == []
    assert sent(running) == before


@pytest.mark.requirement("orders:confirm")
def test_a_market_order_is_judged_large_at_the_collars_far_end(still: RunningDesk) -> None:
    person = Person("decline")
    with seat(still, "auto", person) as reader:
        worth = Decimal(reader.data("preview_order", **LARGE)["worth_up_to"])
    with seat(still, "auto", person, above=worth - 1) as table:
        assert table.data("preview_order", **LARGE)["asks_a_person"]
        table.error("place_order", **LARGE)
        assert len(person.questions) == 1
    with seat(still, "auto", person, above=worth) as table:
        assert not table.data("preview_order", **LARGE)["asks_a_person"]


@pytest.mark.requirement("orders:confirm-unable")
@pytest.mark.parametrize("tool", ["place_order", "close_position", "close_all_positions"])
def test_a_client_that_cannot_ask_is_refused_and_told_why(running: RunningDesk, era: Mode, tool: str) -> None:
    with seat(running, "auto") as unasked:
        if tool != "place_order":
            unasked.data("place_order", **LARGE)
            running.advance(20)
    before = holdings(running)
    arguments = {"place_order": LARGE, "close_position": {"symbol": "ACME"}, "close_all_positions": {}}[tool]
    with seat(running, era, above=ABOVE) as table:
        text = table.error(tool, **arguments)
    assert "nothing was sent" in text
    assert "cannot ask" in text
    assert "above 5,000.00" in text
    assert holdings(running) == before
    assert running.ask("execution", GetOrders("open"), Orders).total == 0


@pytest.mark.requirement("orders:confirm")
def test_a_plan_of_another_call_is_not_sent(still: RunningDesk) -> None:
    before = holdings(still)
    caps = still.ask("execution", GetCapabilities(), Capabilities)
    plan = Plan(caps, (), 1, 1, call="what a person said yes to")
    floor = OrderFloor(still.desk)
    with pytest.raises(ToolError, match="nothing was sent: what was confirmed is another call"):
        asyncio.run(run_plan(floor, plan, AcceptedElicitation(data=Confirm(confirm=True)), "another one"))
    assert holdings(still) == before
