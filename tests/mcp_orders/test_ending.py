"""Canceling, closing and the kill switch."""

from __future__ import annotations

from typing import Any

import pytest

from bus.messages import GetRiskState, RiskState
from tests.mcp_market.floor import Mode
from tests.mcp_orders.seat import Seat, holdings, seat, sent
from tests.mcp_servers.desk import RunningDesk

REST: dict[str, Any] = {"symbol": "ACME", "side": "buy", "type": "limit", "limit_price": "83.00"}


@pytest.mark.requirement("orders:cancel")
def test_one_order_is_canceled_by_id_or_key_and_again_changes_nothing(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        first = table.data("place_order", **REST, qty=1, client_order_id="a")["order"]["client_order_id"]
        second = table.data("place_order", **REST, qty=2, client_order_id="b")["order"]["client_order_id"]
        done = table.data("cancel_order", client_order_id="a")
        assert done["canceled"] == [{"client_order_id": first}]
        before = holdings(running)
        assert table.data("cancel_order", client_order_id=first)["canceled"] == done["canceled"]
        assert holdings(running) == before
        assert [order["client_order_id"] for order in table.data("get_orders")["orders"]] == [second]
        assert table.data("get_order", client_order_id="a")["order"]["status"] == "canceled"


@pytest.mark.requirement("orders:cancel")
def test_what_is_filled_or_not_there_cannot_be_canceled_and_is_told_so(running: RunningDesk, table: Seat) -> None:
    table.data("place_order", symbol="ACME", side="buy", qty=1, client_order_id="a")
    running.advance(2)
    before = holdings(running)
    assert "filled" in table.error("cancel_order", client_order_id="a")
    text = table.error("cancel_order", client_order_id="zz")
    assert "there is no order 'zz'" in text
    assert sent(running)[0] in text
    assert holdings(running) == before


@pytest.mark.requirement("orders:cancel")
def test_all_orders_are_canceled_at_once(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        for qty in (1, 2, 3):
            table.data("place_order", **REST, qty=qty)
        assert len(table.data("cancel_all_orders")["canceled"]) == 3
        assert table.data("get_orders")["orders"] == []
        assert table.data("cancel_all_orders") | {"canceled": []} == table.data("cancel_all_orders")
        running.advance()
        state = running.ask("risk", GetRiskState(), RiskState)
        assert state.gross_nano == 0, "the gate has let go of what it had reserved"


@pytest.mark.requirement("orders:close")
def test_a_part_is_closed_by_quantity_or_percentage(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        table.data("place_order", symbol="ACME", side="buy", qty=21)
        running.advance(10)
        assert table.data("close_position", symbol="ACME", percentage="50")["order"]["qty"] == "10"
        assert table.data("close_position", symbol="ACME", qty=4)["order"]["qty"] == "4"
        text = table.error("close_position", symbol="ACME", qty=8)
        assert "21 is held and 7 of it is not already being closed" in text
        assert table.data("close_position", symbol="ACME")["order"]["qty"] == "7"
        assert "0 of it is not already being closed" in table.error("close_position", symbol="ACME")
        running.advance(10)
        assert table.data("get_positions")["positions"] == []


@pytest.mark.requirement("orders:close")
def test_a_short_position_is_bought_back(running: RunningDesk, table: Seat) -> None:
    table.data("place_order", symbol="BOLT", side="sell", qty=3)
    running.advance(5)
    assert table.data("close_position", symbol="BOLT")["order"]["side"] == "buy"
    running.advance(5)
    assert table.data("get_positions")["positions"] == []


@pytest.mark.requirement("orders:close")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"symbol": "BOLT"}, "there is no position in BOLT. Held: ACME"),
        ({"symbol": "NOPE"}, "unknown symbol"),
        ({"symbol": "ACME", "qty": 1, "percentage": 1}, "not both"),
        ({"symbol": "ACME", "percentage": 101}, "at most 100"),
        ({"symbol": "ACME", "percentage": "nan"}, "allowed: a number"),
        ({"symbol": "ACME", "percentage": 1}, "at least one lot of 1"),
        ({"symbol": "ACME", "qty": "0.5"}, "Nearest allowed: 1"),
    ],
)
def test_what_cannot_be_closed_is_refused_with_what_can(
    running: RunningDesk, table: Seat, arguments: dict[str, Any], told: str
) -> None:
    table.data("place_order", symbol="ACME", side="buy", qty=5)
    running.advance(5)
    before = holdings(running)
    assert told in table.error("close_position", **arguments)
    assert holdings(running) == before


@pytest.mark.requirement("orders:close")
def test_everything_is_closed_and_with_nothing_held_nothing_is_sent(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        assert table.data("close_all_positions")["code"] == "nothing"
        table.data("place_order", symbol="ACME", side="buy", qty=5)
        table.data("place_order", symbol="BOLT", side="sell", qty=3)
        running.advance(5)
        closed = table.data("close_all_positions")["orders"]
        assert [(order["symbol"], order["side"], order["qty"]) for order in closed] == [
            ("ACME", "sell", "5"),
            ("BOLT", "buy", "3"),
        ]
        assert table.data("close_all_positions")["code"] == "nothing", "what is being closed is not closed twice"
        running.advance(5)
        assert table.data("get_positions")["positions"] == []


@pytest.mark.requirement("orders:kill")
def test_the_kill_switch_refuses_later_orders_and_cancels_what_works(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        table.data("place_order", **REST, qty=1)
        state = table.data("engage_kill_switch", reason="the model misbehaves")
        assert state["killed"]
        assert "the model misbehaves" in state["kill_reason"]
        assert table.data("get_orders")["orders"] == []
        before = sent(running)
        for tool, arguments in (
            ("place_order", {**REST, "qty": 2}),
            ("place_order", {"symbol": "BOLT", "side": "buy", "qty": 1}),
        ):
            assert "kill_switch" in table.error(tool, **arguments)
        assert not table.data("preview_order", **REST, qty=3)["approved"]
        running.advance()
        assert "kill_switch" in table.error("place_order", **REST, qty=4)
        assert sent(running) == before
        assert table.data("engage_kill_switch", reason="again")["kill_reason"] == state["kill_reason"]
        assert "ENGAGED" in table.text("get_risk_state")
        names = {tool.name for tool in table.run(lambda client: client.list_tools()).tools}
        assert not [name for name in names if "resume" in name or "disengage" in name]


@pytest.mark.requirement("orders:kill")
@pytest.mark.parametrize("reason", ["", "   ", "\u200b", "\x00"])
def test_a_kill_switch_without_a_reason_stops_nothing(still: RunningDesk, reader: Seat, reason: str) -> None:
    before = holdings(still)
    assert "Nothing was stopped" in reader.error("engage_kill_switch", reason=reason)
    assert holdings(still) == before


@pytest.mark.requirement("orders:kill")
@pytest.mark.parametrize("reason", [None, 1, 0.5, [], ["stop"], {"a": 1}, True])
def test_a_kill_switch_with_a_reason_that_is_no_text_stops_nothing(
    still: RunningDesk, reader: Seat, reason: object
) -> None:
    before = holdings(still)
    assert "reason" in reader.error("engage_kill_switch", reason=reason)
    assert holdings(still) == before


@pytest.mark.requirement("orders:risk")
def test_limits_and_state_are_told_with_what_is_used(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        table.data("place_order", symbol="ACME", side="buy", qty=10)
        told = table.data("get_risk_limits")
        lines = {line["name"]: line for line in told["limits"]}
        assert lines["max_order_notional"]["value"] == "20000"
        assert lines["max_open_orders"]["used"] == "1"
        assert float(lines["max_gross"]["used"]) > 800
        assert told["symbols"] == ["ACME", "BOLT", "CRUX", "DYNE", "ECHO", "FLUX"]
        state = table.data("get_risk_state")
        assert (state["killed"], state["approved"], state["denied"]) == (False, 1, 0)
        assert state["limits_version"] == told["limits_version"]
