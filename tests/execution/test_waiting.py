"""Stops that wait here because the broker has none: what triggers them, what they become, and that they survive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import (
    Bar,
    Capabilities,
    GetCapabilities,
    OrderEvents,
    OrderIntent,
    OrderStatus,
    Side,
    Tick,
    TimeInForce,
)
from execution.orders import OrderBook
from execution.waiting import stop_of, waited
from tests.execution.desk import Desk, at, bar, cancel_all, day, intent
from tests.execution.test_tool_questions import cancel
from tests.execution.venue import PLAIN, Venue

FALLING = day([bar(n, str(100 - n), str(101 - n), str(99 - n), str(100 - n)) for n in range(12)])
HEIGHTS = [0, 1, 2, 3, 4, 5, 4, 3, 2, 1]
HILL = day([bar(n, str(100 + h), str(101 + h), str(99 + h), str(100 + h)) for n, h in enumerate(HEIGHTS)])


def stop(n: int, price: str, *, side: Side = "sell", tif: TimeInForce = "gtc", **more: Any) -> OrderIntent:
    fields: dict[str, Any] = {"order_type": "stop", "stop_price_nano": to_nano(price), **more}
    return intent(n, 1, side, 10, tif=tif, **fields)


def started(folder: Path, ticks: list[Tick] = FALLING) -> tuple[Desk, Venue]:
    venue = Venue(PLAIN)
    desk = Desk(folder, ticks, make_broker=venue.broker, offered=PLAIN)
    desk.settle(1)
    return desk, venue


def status(desk: Desk, order: OrderIntent) -> OrderStatus:
    return desk.gateway.engine.book.orders[order.client_order_id].status


@pytest.mark.requirement("execution:waiting:held")
def test_a_stop_waits_here_works_and_is_offered_where_the_broker_has_none(tmp_path: Path) -> None:
    desk, venue = started(tmp_path)
    assert desk.call(GetCapabilities(), Capabilities).order_types == (
        "market",
        "limit",
        "stop",
        "stop_limit",
        "trailing_stop",
    )
    order = stop(0, "97")
    answer = desk.send(1, order)
    assert [(e.kind, e.status) for e in answer] == [("held", "held")]
    assert order.client_order_id in desk.gateway.engine.book.working
    assert venue.calls[-1][0] != "submit"
    desk.settle(2)
    assert desk.send(2, order) == answer, "asked again, the same"
    desk.close()


@pytest.mark.requirement("execution:waiting:triggered")
@pytest.mark.parametrize("restart", [0, 2, 3, 4])
def test_the_bar_that_meets_its_price_sends_it_once_as_what_it_became(tmp_path: Path, restart: int) -> None:
    desk, venue = started(tmp_path)
    plain, limited = stop(0, "97"), stop(1, "97", order_type="stop_limit", limit_price_nano=to_nano(96))
    desk.send(1, plain, limited)
    for minute in range(2, 7):
        if minute == restart:
            desk.close()
            desk = Desk(
                tmp_path, FALLING, signer=desk.signer, now_ns=at(minute), make_broker=venue.broker, offered=PLAIN
            )
        events = desk.settle(minute).events
        if minute == 3:
            # The bar of minute 2 is known at minute 3: its low is 97.
            assert [(e.client_order_id, e.kind) for e in events if e.client_order_id == plain.client_order_id] == [
                (plain.client_order_id, "triggered"),
                (plain.client_order_id, "sent"),
                (plain.client_order_id, "accepted"),
            ]
        if minute == 2:
            assert status(desk, plain) == "held"
    got = {name: order.intent for name, order in venue.orders.items()}
    assert got[plain.client_order_id].order_type == "market"
    assert got[plain.client_order_id].stop_price_nano == 0
    assert (got[limited.client_order_id].order_type, got[limited.client_order_id].limit_price_nano) == (
        "limit",
        to_nano(96),
    )
    assert [order.arrived for order in venue.orders.values()] == [1, 1]
    desk.close()


@pytest.mark.requirement("execution:waiting:triggered")
def test_a_lost_answer_to_what_it_became_is_settled_by_asking(tmp_path: Path) -> None:
    desk, venue = started(tmp_path)
    order = stop(0, "97")
    desk.send(1, order)
    desk.settle(2)
    venue.mishaps.add("lose_answer")
    desk.settle(3)
    assert status(desk, order) == "unknown"
    desk.settle(4)
    assert status(desk, order) == "accepted"
    assert venue.orders[order.client_order_id].arrived == 1
    desk.close()


@pytest.mark.requirement("execution:waiting:trailing")
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("trail", [{"trail_nano": to_nano(3)}, {"trail_bps": 283}])
def test_a_trailing_stop_follows_the_best_price_and_remembers_it(
    tmp_path: Path, restart: bool, trail: dict[str, Any]
) -> None:
    desk, venue = started(tmp_path, HILL)
    order = stop(0, "0", order_type="trailing_stop", **trail)
    desk.send(1, order)
    for minute in range(2, 9):
        if restart:
            desk.close()
            desk = Desk(tmp_path, HILL, signer=desk.signer, now_ns=at(minute), make_broker=venue.broker, offered=PLAIN)
        desk.settle(minute)
        # Highest 106 in minute 5; the stop at 103 is met by the low of minute 6 (103), known at minute 7.
        assert (status(desk, order) == "held") == (minute < 7), minute
    assert venue.orders[order.client_order_id].arrived == 1
    desk.close()


@pytest.mark.requirement("execution:waiting:ended")
def test_what_waits_here_is_canceled_here_and_expires_here(tmp_path: Path) -> None:
    desk, venue = started(tmp_path)
    one, two = stop(0, "50"), stop(1, "50")
    daily, dated = stop(2, "50", tif="day"), stop(3, "50", tif="gtd", expires_ns=at(6))
    desk.send(1, one, two, daily, dated)
    gone = desk.call(cancel(desk.signer, one.client_order_id, at(1)), OrderEvents)
    assert [e.kind for e in gone.events] == ["canceled"]
    desk.settle(6)
    assert status(desk, dated) == "expired"
    desk.settle(12)
    assert status(desk, daily) == "expired"
    assert status(desk, two) == "held", "good till canceled"
    assert len(desk.call(cancel_all(desk.signer, at(12)), OrderEvents).events) == 1
    assert venue.orders == {}
    assert not [name for word, name in venue.calls if word in ("cancel", "query")]
    desk.close()


PRICES = st.integers(80, 120)


@pytest.mark.requirement("execution:waiting:trailing")
@given(st.lists(st.tuples(PRICES, PRICES, PRICES), min_size=1, max_size=15), st.integers(1, 15), st.booleans())
def test_a_trailing_stop_triggers_where_a_walk_bar_by_bar_says(
    prices: list[tuple[int, int, int]], trail: int, sells: bool
) -> None:
    order = stop(0, "0", order_type="trailing_stop", trail_nano=to_nano(trail), side="sell" if sells else "buy")
    book = OrderBook()
    held = book.add(order, 0)
    book.advance(held, "held", 0)
    waters: dict[str, int] = {}
    best: int | None = None
    for n, some in enumerate(prices):
        bars = [bar(n, str(some[0]), str(max(some)), str(min(some)), str(some[1]))]
        (tick,) = day(bars)
        seen = waited([held], waters, tick)
        from_ = best if best is not None else some[0]
        expected = min(some) <= from_ - trail if sells else max(some) >= from_ + trail
        assert bool(seen.triggered) == expected
        if expected:
            break
        extreme = max(some) if sells else min(some)
        best = extreme if best is None else max(best, extreme) if sells else min(best, extreme)
        waters.update(seen.waters)
        assert waters[order.client_order_id] == to_nano(best)
        assert stop_of(order, to_nano(best)) == to_nano(best - trail if sells else best + trail)


@pytest.mark.requirement("execution:waiting:triggered")
def test_a_bar_that_opened_before_the_stop_was_held_does_not_trigger_it() -> None:
    book = OrderBook()
    order = stop(0, "97")
    held = book.add(order, at(3))
    book.advance(held, "held", at(3))
    old: Bar = bar(2, "90")
    (tick,) = day([old])
    assert waited([held], {}, tick).triggered == ()
    (tick,) = day([bar(3, "97")])
    assert waited([held], {}, tick).triggered == (held,)
