"""What can go wrong between a verdict and the broker: no answer, and a clock that moves."""

from __future__ import annotations

from typing import Any

import pytest

from bus.deferred import Deferred
from bus.errors import BusError
from bus.ids import client_order_id
from bus.messages import ExecutionAsk, GetRiskState, Message, RiskAsk, StageRequest
from mcp_servers._desk import Desk
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_ids import keyed_cycle
from tests.mcp_market.floor import Mode, text_of
from tests.mcp_orders.between import Forward, between
from tests.mcp_orders.seat import seat, sent
from tests.mcp_servers.desk import RunningDesk

BUY: dict[str, Any] = {"symbol": "ACME", "side": "buy", "qty": 10}


def impatient(desk: Desk) -> OrderFloor:
    return OrderFloor(desk, answer_s=0.3)


@pytest.mark.requirement("orders:unknown")
@pytest.mark.parametrize("arrives", [True, False])
def test_an_order_without_an_answer_may_have_been_placed_and_is_looked_at(
    running: RunningDesk, era: Mode, arrives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_servers.orders.OrderFloor", impatient)
    asked: list[Message] = []

    def lose(request: Message, forward: Forward) -> Message | Deferred:
        if isinstance(request, StageRequest) and isinstance(request.ask, ExecutionAsk):
            asked.append(request)
            if arrives:
                forward(request)
            return Deferred()
        return forward(request)

    with between(running, "execution", lose) as directory, seat(running, era, directory=directory) as table:
        result = table.call("place_order", {**BUY, "client_order_id": "k"})
        assert result.is_error
        assert result.structured_content is not None
        assert (result.structured_content["code"], result.structured_content["sent"]) == ("unknown", True)
        order_id = result.structured_content["order"]["client_order_id"]
        text = text_of(result)
        assert "MAY have been placed" in text
        assert f"get_order with client_order_id {order_id}" in text
        assert len({repr(request) for request in asked}) == 1, "the bus may repeat a question; nobody asks another"
        if arrives:
            assert table.data("get_order", client_order_id="k")["order"]["status"] == "accepted"
            assert "placed before" in table.text("place_order", **BUY, client_order_id="k")
            assert sent(running) == [order_id]
        else:
            assert "it was not placed" in table.error("get_order", client_order_id=order_id)
            assert sent(running) == []


@pytest.mark.requirement("orders:unknown")
def test_an_error_of_executions_is_unknown_too_and_one_of_the_gates_is_nothing_sent(
    running: RunningDesk, era: Mode
) -> None:
    def fail(request: Message, forward: Forward) -> Message:
        if isinstance(request, StageRequest):
            raise BusError("the disk is full")
        return forward(request)

    with between(running, "execution", fail) as directory, seat(running, era, directory=directory) as table:
        assert "MAY have been placed" in table.error("place_order", **BUY)
    with between(running, "risk", fail) as directory, seat(running, era, directory=directory) as table:
        text = table.error("place_order", **{**BUY, "qty": 11})
    assert "nothing was sent" in text
    assert "the disk is full" in text


@pytest.mark.requirement("orders:clock-race")
def test_an_order_that_the_clock_overtook_is_judged_again_with_the_same_id(running: RunningDesk, era: Mode) -> None:
    ids: list[str] = []
    races = 3

    def race(request: Message, forward: Forward) -> Message:
        nonlocal races
        answer = forward(request)
        if isinstance(request, StageRequest) and isinstance(request.ask, RiskAsk):
            ids.extend(intent.client_order_id for intent in request.ask.intents)
        if isinstance(request, GetRiskState) and races:
            races -= 1
            running.advance()
        return answer

    with between(running, "risk", race) as directory, seat(running, era, directory=directory) as table:
        order = table.data("place_order", **BUY)["order"]
    assert len(ids) == 4
    assert set(ids) == set(sent(running)) == {order["client_order_id"]}


@pytest.mark.requirement("orders:clock-race")
def test_a_clock_that_never_rests_is_a_denial_after_a_few_times(running: RunningDesk, era: Mode) -> None:
    asked = 0

    def race(request: Message, forward: Forward) -> Message:
        nonlocal asked
        answer = forward(request)
        if isinstance(request, GetRiskState):
            asked += 1
            running.advance()
        return answer

    with between(running, "risk", race) as directory, seat(running, era, directory=directory) as table:
        text = table.error("place_order", **BUY)
    assert "clock_mismatch" in text
    assert asked == 8
    assert sent(running) == []


@pytest.mark.requirement("orders:same-key")
def test_an_id_is_derived_as_the_gate_derives_it_and_no_run_counts_that_far(running: RunningDesk) -> None:
    with seat(running) as table:
        order = table.data("place_order", **BUY, client_order_id="k")["order"]
    assert order["client_order_id"] == client_order_id("desk", "run-test", keyed_cycle("k"), 0)
    assert all(1 << 40 <= keyed_cycle(str(n)) < 1 << 41 for n in range(100))
    assert len({keyed_cycle(str(n)) for n in range(1_000)}) == 1_000
