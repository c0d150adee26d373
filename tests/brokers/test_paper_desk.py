"""The paper broker in a gateway on a real journal: restarted between any two instants, the day ends the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import OrderEvent, OrderIntent, Settled, Side, Tick
from risk.tickets import Signer
from tests.execution.desk import Desk, at, bar, day, intent

KINDS: tuple[dict[str, object], ...] = (
    {"order_type": "stop", "stop_price_nano": to_nano(97)},
    {"order_type": "stop", "stop_price_nano": to_nano(103), "time_in_force": "gtc"},
    {"order_type": "stop_limit", "stop_price_nano": to_nano(103), "limit_price_nano": to_nano(102)},
    {"order_type": "stop_limit", "stop_price_nano": to_nano(98), "limit_price_nano": to_nano(99)},
    {"order_type": "trailing_stop", "trail_nano": to_nano(4)},
    {"order_type": "trailing_stop", "trail_bps": 250, "time_in_force": "gtd", "expires_ns": at(9)},
    {"order_type": "limit", "limit_price_nano": to_nano(99), "time_in_force": "fok"},
    {"order_type": "market"},
)
BARS = st.lists(
    st.tuples(st.integers(95, 105), st.integers(0, 6), st.integers(0, 6), st.sampled_from([0, 2_000, 10**6])),
    min_size=4,
    max_size=10,
)
ORDERS = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(KINDS), st.sampled_from(["buy", "sell"])), min_size=1, max_size=5
)


def played(
    folder: Path, ticks: list[Tick], orders: dict[int, list[OrderIntent]], restarts: set[int]
) -> tuple[list[Settled | tuple[OrderEvent, ...]], list[OrderEvent]]:
    """What was answered in a day, and the journal's events, with restarts after these minutes."""
    signer = Signer()
    desk = Desk(folder, ticks, signer=signer)
    seen: list[Settled | tuple[OrderEvent, ...]] = []
    for minute in range(1, len(ticks) + 1):
        seen.append(desk.settle(minute))
        if orders.get(minute):
            seen.append(desk.send(minute, *orders[minute]))
        if minute in restarts:
            desk.close()
            desk = Desk(folder, ticks, signer=signer, now_ns=at(minute))
    events = desk.journal.events()
    desk.close()
    return seen, events


@pytest.mark.requirement("brokers:paper:restored")
@settings(deadline=None, max_examples=25)
@given(bars=BARS, wanted=ORDERS, restarts=st.sets(st.integers(1, 10), min_size=1))
def test_a_gateway_restarted_between_instants_ends_the_day_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    bars: list[tuple[int, int, int, int]],
    wanted: list[tuple[int, dict[str, object], Side]],
    restarts: set[int],
) -> None:
    shown = [
        bar(n, str(price), str(price + up), str(price - down), str(price), volume)
        for n, (price, up, down, volume) in enumerate(bars)
    ]
    orders: dict[int, list[OrderIntent]] = {}
    for index, (minute, fields, side) in enumerate(wanted):
        if minute < len(bars):
            orders.setdefault(minute, []).append(msgspec.structs.replace(intent(index, minute, side, 100), **fields))
    ticks = day(shown)
    whole = played(tmp_path_factory.mktemp("whole"), ticks, orders, set())
    assert played(tmp_path_factory.mktemp("parts"), ticks, orders, restarts) == whole


@pytest.mark.requirement("brokers:paper:restored")
def test_a_trailing_stop_keeps_how_far_it_came_over_a_restart(tmp_path: Path) -> None:
    shown = [bar(n, price) for n, price in enumerate(("100", "100", "100", "110", "106", "104.5", "104", "104"))]
    trailing = intent(0, 1, "sell", 100, order_type="trailing_stop", trail_nano=to_nano(5))
    _, events = played(tmp_path, day(shown), {1: [trailing]}, {4, 5})
    assert [(e.kind, e.fill.price_nano if e.fill else 0, e.time_ns) for e in events] == [
        ("sent", 0, at(1)),
        ("accepted", 0, at(1)),
        ("triggered", 0, at(6)),
        ("fill", to_nano("104.48"), at(6)),
    ]
