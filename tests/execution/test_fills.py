"""The fill model, as tables and over whole scripted days."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import Bar, OrderEvent, Quote, Side
from execution.fills import capacity_nano, fee_total_nano, limit_price_nano, taking_price_nano
from execution.spec import FeeSchedule, FillModelSpec
from tests.execution.desk import (
    COIN,
    FUTURE,
    FX,
    STOCK,
    Desk,
    at,
    bar,
    day,
    gateway_spec,
    intent,
    quote,
)

MODEL = FillModelSpec()
CENT = to_nano("0.01")


def fills(events: tuple[OrderEvent, ...]) -> list[tuple[str, str]]:
    return [(str(e.fill.qty_nano / 1e9), str(e.fill.price_nano / 1e9)) for e in events if e.fill is not None]


def kinds(events: tuple[OrderEvent, ...]) -> list[tuple[str, str]]:
    return [(event.kind, event.status) for event in events]


@pytest.mark.requirement("execution:fills:price")
@pytest.mark.parametrize(
    ("side", "has_quote", "price"),
    [
        ("buy", True, "100.06"),  # ask 100.05 + 0.5 bp = 100.0550025, up to the cent
        ("sell", True, "99.94"),  # bid 99.95 - 0.5 bp = 99.9450025, down to the cent
        ("buy", False, "100.02"),  # open 100 + 1 bp + 0.5 bp = 100.015
        ("sell", False, "99.98"),
    ],
)
def test_a_market_order_pays_spread_and_slippage_rounded_against_it(side: Side, has_quote: bool, price: str) -> None:
    known = quote(0, "99.95", "100.05") if has_quote else None
    assert taking_price_nano(side, bar(0, "100"), known, CENT, MODEL) == to_nano(price)


@pytest.mark.requirement("execution:fills:price")
def test_a_quote_without_a_price_is_no_quote() -> None:
    assert taking_price_nano("buy", bar(0, "100"), quote(0, "0", "0"), CENT, MODEL) == to_nano("100.02")


@pytest.mark.requirement("execution:fills:price")
@settings(deadline=None)
@given(
    base=st.integers(1, 10**15),
    tick=st.sampled_from([1, 10_000, CENT, to_nano("0.25")]),
    spread=st.integers(0, 5_000),
    slip=st.integers(0, 5_000),
)
def test_a_taking_price_is_on_the_tick_and_never_better_than_the_open(
    base: int, tick: int, spread: int, slip: int
) -> None:
    model = FillModelSpec(half_spread_ppm=spread, slippage_ppm=slip)
    shown = Bar("X", 0, 1, 1, base, base, base, base, 0)
    buy, sell = (taking_price_nano(side, shown, None, tick, model) for side in ("buy", "sell"))
    assert buy % tick == 0 == sell % tick
    assert sell <= base <= buy
    exact = base * (1_000_000 + spread + slip)
    assert 0 <= buy * 1_000_000 - exact < tick * 1_000_000


@pytest.mark.requirement("execution:fills:limit")
@pytest.mark.parametrize(
    ("side", "limit", "shown", "taking", "price"),
    [
        ("buy", "99", bar(0, "100", low="99"), "100.02", "0"),  # touched: others were first
        ("buy", "99", bar(0, "100", low="98.99"), "100.02", "99"),  # through
        ("buy", "99", bar(0, "98", low="97"), "98.02", "98.02"),  # gapped below: the open is better
        ("buy", "99", bar(0, "98.99", low="98.99"), "99.01", "99"),  # the spread would cost more than the limit
        ("buy", "99", bar(0, "100"), "100.02", "0"),
        ("sell", "101", bar(0, "100", high="101"), "99.98", "0"),
        ("sell", "101", bar(0, "100", high="101.01"), "99.98", "101"),
        ("sell", "101", bar(0, "102", high="103"), "101.98", "101.98"),
        ("sell", "101", bar(0, "100"), "99.98", "0"),
    ],
)
def test_a_limit_fills_only_through_its_price(side: Side, limit: str, shown: Bar, taking: str, price: str) -> None:
    assert limit_price_nano(side, to_nano(limit), shown, to_nano(taking)) == to_nano(price)


@pytest.mark.requirement("execution:fills:capacity")
@pytest.mark.parametrize(("volume", "qty"), [(0, 0), (39, 0), (40, 1), (79, 1), (4_000, 100), (4_039, 100)])
def test_the_cap_is_a_share_of_the_volume_rounded_down_to_the_lot(volume: int, qty: int) -> None:
    assert capacity_nano(bar(0, "100", volume=volume), STOCK, MODEL) == to_nano(qty)


@pytest.mark.requirement("execution:fills:capacity")
def test_there_is_no_cap_where_the_venue_reports_no_volume() -> None:
    assert capacity_nano(bar(0, "1.3", volume=0, symbol="EURUSD"), FX, MODEL) is None


@pytest.mark.requirement("execution:fees:schedule")
def test_fees_follow_the_schedule() -> None:
    fees = FeeSchedule()
    assert fee_total_nano(STOCK, to_nano(100), to_nano(10_000), fees) == to_nano(1)  # the minimum
    assert fee_total_nano(STOCK, to_nano(1_000), to_nano(100_000), fees) == to_nano(5)  # half a cent a share
    assert fee_total_nano(STOCK, to_nano(10), to_nano(50), fees) == to_nano("0.5")  # one percent wins
    assert fee_total_nano(COIN, to_nano("0.5"), to_nano(4_000), fees) == to_nano(4)  # ten basis points
    assert fee_total_nano(FX, to_nano(100_000), to_nano(130_000), fees) == to_nano("2.6")  # a fifth of one
    assert fee_total_nano(FUTURE, to_nano(3), to_nano(250_000), fees) == to_nano("6.75")
    assert fee_total_nano(COIN, 1, 1, fees) == 1, "rounded up"


@pytest.mark.requirement("execution:fills:arrival")
def test_an_order_meets_the_first_bar_that_opens_after_it_arrives(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(0, "100"), bar(1, "110"), bar(2, "120"), bar(3, "130")]))
    assert desk.settle(1).events == ()
    assert kinds(desk.send(1, intent(0, 1))) == [("sent", "in_flight"), ("accepted", "accepted")]
    assert desk.settle(2).events == (), "the bar of minute 1 opened half a second before the order arrived"
    (event,) = desk.settle(3).events
    assert event.fill is not None
    assert (event.status, event.fill.price_nano, event.fill.time_ns) == ("filled", to_nano("120.02"), at(2))
    desk.close()


@pytest.mark.requirement("execution:fills:arrival")
def test_without_latency_the_bar_that_opens_at_the_decision_is_met(tmp_path: Path) -> None:
    spec = gateway_spec(tmp_path, fill_model=FillModelSpec(latency_ns=0))
    desk = Desk(tmp_path, day([bar(0, "100"), bar(1, "110"), bar(2, "120")]), spec=spec)
    desk.settle(1)
    desk.send(1, intent(0, 1))
    assert fills(desk.settle(2).events) == [("100.0", "110.02")]
    desk.close()


@pytest.mark.requirement("execution:fills:arrival")
def test_a_missing_minute_fills_nothing_and_the_order_waits_for_the_next_bar(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(0, "100"), bar(6, "107"), bar(9, "1")], extra=[3, 4, 5]))
    desk.settle(1)
    desk.send(1, intent(0, 1))
    assert [desk.settle(minute).events for minute in (3, 4, 5)] == [(), (), ()]
    assert fills(desk.settle(7).events) == [("100.0", "107.02")]
    desk.close()


@pytest.mark.requirement("execution:fills:known")
def test_a_bar_that_comes_late_fills_when_it_is_available(tmp_path: Path) -> None:
    late = bar(2, "120")
    late = msgspec.structs.replace(late, available_time_ns=at(5))
    desk = Desk(tmp_path, day([bar(0, "100"), late, bar(6, "1")], extra=[3, 4]))
    desk.settle(1)
    desk.send(1, intent(0, 1))
    assert [desk.settle(minute).events for minute in (3, 4)] == [(), ()]
    (event,) = desk.settle(5).events
    assert event.fill is not None
    assert (event.time_ns, event.fill.time_ns) == (at(5), at(2))
    desk.close()


@pytest.mark.requirement("execution:fills:known")
def test_every_fill_is_of_a_bar_that_is_over_when_it_is_reported(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(n, str(100 + n % 3), "104", "98", volume=2_000) for n in range(30)]))
    for minute in range(1, 31):
        for event in desk.settle(minute).events:
            if event.fill is not None:
                assert at(minute - 1) <= event.fill.time_ns <= event.time_ns == at(minute)
        if minute % 3 == 0 and minute < 28:
            desk.send(minute, intent(0, minute, qty=75), intent(1, minute, "sell", 70, "102"))
    desk.close()


@pytest.mark.requirement("execution:fills:price")
def test_the_quote_of_the_same_minute_sets_the_price_and_an_older_one_does_not(tmp_path: Path) -> None:
    records = [bar(n, "100") for n in range(5)] + [quote(2, "99.90", "100.10"), quote(4, "99.80", "100.20")]
    desk = Desk(tmp_path, day(records))
    desk.settle(1)
    desk.send(1, intent(0, 1))
    desk.settle(2)
    desk.send(2, intent(0, 2))
    assert fills(desk.settle(3).events) == [("100.0", "100.11")]
    assert fills(desk.settle(4).events) == [("100.0", "100.02")]
    desk.close()


@pytest.mark.requirement("execution:fills:capacity")
def test_the_remainder_rests_for_the_next_bars(tmp_path: Path) -> None:
    volumes = {2: 2_000, 3: 0, 4: 1_000, 5: 10**6}
    desk = Desk(tmp_path, day([bar(n, "100", volume=volumes.get(n, 10**6)) for n in range(7)]))
    desk.settle(1)
    desk.send(1, intent(0, 1, qty=100))
    seen = [desk.settle(minute).events for minute in range(2, 7)]
    assert [fills(events) for events in seen] == [
        [],
        [("50.0", "100.02")],
        [],
        [("25.0", "100.02")],
        [("25.0", "100.02")],
    ]
    assert [event.status for events in seen for event in events] == ["partially_filled", "partially_filled", "filled"]
    fees = [event.fill.fee_nano for events in seen for event in events if event.fill is not None]
    assert fees == [to_nano(1), 0, 0], "the minimum is paid once for an order, not for each fill"
    desk.close()


@pytest.mark.requirement("execution:fills:capacity")
def test_orders_of_one_symbol_share_a_bar_in_the_order_they_were_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(n, "100", volume=4_000) for n in range(5)]))
    desk.settle(1)
    first, second = intent(0, 1, qty=70), intent(1, 1, "sell", 70)
    desk.send(1, first, second)
    desk.settle(2)
    assert [(e.client_order_id, e.fill.qty_nano) for e in desk.settle(3).events if e.fill is not None] == [
        (first.client_order_id, to_nano(70)),
        (second.client_order_id, to_nano(30)),
    ]
    assert fills(desk.settle(4).events) == [("40.0", "99.98")]
    desk.close()


@pytest.mark.requirement("execution:fills:capacity")
@pytest.mark.parametrize(
    ("volume", "limit", "expected"),
    [
        (2_000, None, [("fill", "partially_filled"), ("canceled", "canceled")]),
        (10**6, None, [("fill", "filled")]),
        (0, None, [("canceled", "canceled")]),
        (10**6, "99", [("canceled", "canceled")]),
        (10**6, "101", [("fill", "filled")]),
    ],
)
def test_an_ioc_order_has_one_bar(
    tmp_path: Path, volume: int, limit: str | None, expected: list[tuple[str, str]]
) -> None:
    desk = Desk(tmp_path, day([bar(n, "100", volume=volume) for n in range(5)]))
    desk.settle(1)
    desk.send(1, intent(0, 1, qty=100, limit=limit, tif="ioc"))
    assert desk.settle(2).events == ()
    assert kinds(desk.settle(3).events) == expected
    assert desk.settle(4).events == ()
    desk.close()


@pytest.mark.requirement("execution:fills:limit")
def test_a_limit_order_waits_until_the_price_goes_through_it(tmp_path: Path) -> None:
    bars = [bar(0, "100"), bar(1, "100"), bar(2, "100", low="99"), bar(3, "100", low="98.5"), bar(4, "100")]
    desk = Desk(tmp_path, day(bars))
    desk.settle(1)
    desk.send(1, intent(0, 1, limit="99"))
    assert [fills(desk.settle(minute).events) for minute in (2, 3, 4)] == [[], [], [("100.0", "99.0")]]
    fill = desk.journal.events()[-1].fill
    assert fill is not None
    assert (fill.liquidity, fill.time_ns) == ("maker", at(4)), "when inside the bar is not known: at its end"
    desk.close()


@pytest.mark.requirement("execution:fills:expiry")
def test_a_day_order_expires_with_the_day_and_none_is_accepted_after(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(n, "100", volume=2_000) for n in range(4)]))
    desk.settle(1)
    desk.send(1, intent(0, 1, limit="90"), intent(1, 1, qty=60))
    desk.settle(2)
    assert kinds(desk.settle(3).events) == [("fill", "partially_filled")]
    assert kinds(desk.settle(4).events) == [("fill", "filled"), ("expired", "expired")]
    events = desk.send(4, intent(0, 4))
    assert kinds(events) == [("sent", "in_flight"), ("rejected", "rejected")]
    assert "market_closed" in events[-1].reason
    desk.close()


@pytest.mark.requirement("execution:fills:refused")
@pytest.mark.parametrize(
    ("symbol", "qty", "limit", "code"),
    [
        ("NOPE", "1", None, "unknown_symbol"),
        ("SPX", "1", None, "not_tradable"),
        ("BTCEUR", "1", None, "currency"),
        ("IBM", "1.5", None, "bad_quantity"),
        ("IBM", "0", None, "bad_quantity"),
        ("IBM", "-5", None, "bad_quantity"),
        ("IBM", "1", "99.995", "bad_price"),
        ("IBM", "1", "-1", "bad_price"),
    ],
)
def test_what_the_venue_cannot_trade_is_rejected(
    tmp_path: Path, symbol: str, qty: str, limit: str | None, code: str
) -> None:
    desk = Desk(tmp_path, day([bar(n, "100") for n in range(4)]))
    desk.settle(1)
    events = desk.send(1, intent(0, 1, qty=qty, limit=limit, symbol=symbol), intent(1, 1))
    assert kinds(events) == [
        ("sent", "in_flight"),
        ("sent", "in_flight"),
        ("rejected", "rejected"),
        ("accepted", "accepted"),
    ]
    assert events[2].reason.startswith(code)
    desk.settle(2)
    assert len(desk.settle(3).events) == 1
    desk.close()


RECORDS = st.lists(
    st.tuples(st.integers(90, 110), st.integers(0, 6), st.integers(0, 6), st.integers(0, 8_000), st.booleans()),
    min_size=6,
    max_size=14,
)
ORDERS = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 150),
        st.none() | st.integers(90, 110).map(str),
        st.sampled_from(["day", "ioc"]),
    ),
    max_size=8,
)


@pytest.mark.requirement("execution:fills:capacity")
@pytest.mark.requirement("execution:ledger:identity")
@settings(deadline=None, max_examples=60)
@given(RECORDS, ORDERS)
def test_no_day_breaks_the_bounds_of_fills_or_the_identity_of_cash(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[int, int, int, int, bool]],
    orders: list[tuple[int, Side, int, str | None, str]],
) -> None:
    shown: list[Bar | Quote] = []
    for n, (price, up, down, volume, quoted) in enumerate(records):
        shown.append(bar(n, str(price), str(price + up), str(price - down), str(price), volume))
        if quoted:
            shown.append(quote(n, str(price - 1), str(price + 1)))
    desk = Desk(tmp_path_factory.mktemp("day"), day(shown))
    taken: dict[int, int] = {}
    intents = {
        (minute, k): intent(k, minute, side, qty, limit, tif="ioc" if tif == "ioc" else "day")
        for k, (minute, side, qty, limit, tif) in enumerate(orders)
    }
    for minute in range(1, len(records) + 1):
        for event in desk.settle(minute).events:
            if event.fill is None:
                continue
            order = next(i for i in intents.values() if i.client_order_id == event.client_order_id)
            assert 0 < event.filled_nano <= order.qty_nano
            assert event.fill.time_ns >= at(minute - 1) >= order.decided_ns + MODEL.latency_ns
            taken[minute] = taken.get(minute, 0) + event.fill.qty_nano
            if order.order_type == "limit":
                better = event.fill.price_nano <= order.limit_price_nano
                assert better if order.side == "buy" else event.fill.price_nano >= order.limit_price_nano
        account = desk.gateway.engine.account(at(minute))
        holdings = desk.gateway.engine.ledger.holdings.values()
        cost = sum(h.cost_nano for h in holdings)
        realized = sum(h.realized_nano for h in holdings)
        assert account.cash_nano + cost == desk.spec.start_cash_nano + realized - account.fees_nano
        desk.send(minute, *(i for (m, _), i in intents.items() if m == minute))
    for minute, qty in taken.items():
        assert qty <= to_nano(records[minute - 1][3]) * 25 // 1000
    assert not desk.gateway.engine.book.working, "everything is over when the day is"
    desk.close()
