"""Stops, trails, fees and lending of the fill model, value by value. What a broker makes of them is not told here."""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import to_nano
from bus.messages import Bar, Instrument, Side
from execution.fills import (
    Hit,
    borrow_nano,
    fee_total_nano,
    limit_price_nano,
    same_interval,
    stop_hit,
    stop_limit_price_nano,
    stop_price_nano,
    taking_price_nano,
    trail_level_nano,
    trailing_hit,
)
from execution.spec import FeeSchedule, FillModelSpec
from tests.execution.desk import COIN, FUTURE, FX, INDEX, STOCK, bar, quote

HALF = FillModelSpec(half_spread_ppm=20_000, slippage_ppm=30_000)
"""Five percent against the order without a quote, three with one."""


def prices(open_: int, high: int, low: int, close: int) -> Bar:
    """A bar in billionths."""
    return Bar("IBM", 0, 1, 1, open_, high, low, close, 0)


# --- what a stop meets ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:fills:stop")
@pytest.mark.parametrize(
    ("side", "shown", "hit"),
    [
        ("buy", prices(99, 99, 98, 98), ""),
        ("buy", prices(99, 100, 98, 98), "inside"),
        ("buy", prices(99, 105, 98, 98), "inside"),
        ("buy", prices(100, 100, 98, 98), "open"),
        ("buy", prices(101, 101, 98, 98), "open"),
        ("sell", prices(101, 102, 101, 101), ""),
        ("sell", prices(101, 102, 100, 101), "inside"),
        ("sell", prices(101, 102, 95, 101), "inside"),
        ("sell", prices(100, 102, 100, 101), "open"),
        ("sell", prices(99, 102, 99, 101), "open"),
    ],
)
def test_a_stop_at_100_is_triggered_by_a_touch(side: Side, shown: Bar, hit: Hit) -> None:
    assert stop_hit(side, 100, shown) == hit


@pytest.mark.requirement("execution:fills:stop")
@pytest.mark.parametrize(
    ("side", "hit", "price"),
    [("buy", "open", 777), ("sell", "open", 777), ("buy", "inside", 1_050), ("sell", "inside", 950)],
)
def test_a_stop_fills_at_the_open_beyond_it_or_at_its_level_and_all_that_is_assumed(
    side: Side, hit: Hit, price: int
) -> None:
    assert stop_price_nano(side, hit, 1_000, 777, 1, HALF) == price


@pytest.mark.requirement("execution:fills:stop")
def test_a_stops_price_is_rounded_to_the_tick_against_it() -> None:
    assert stop_price_nano("buy", "inside", 1_000, 777, 100, HALF) == 1_100
    assert stop_price_nano("sell", "inside", 1_000, 777, 100, HALF) == 900


@pytest.mark.requirement("execution:fills:stop")
@pytest.mark.parametrize(
    ("side", "close", "price"),
    [
        ("buy", 99, 100),
        ("buy", 100, 0),
        ("buy", 101, 0),
        ("sell", 99, 0),
        ("sell", 100, 0),
        ("sell", 101, 100),
    ],
)
def test_a_stop_limit_of_100_reached_inside_fills_only_where_the_close_is_better(
    side: Side, close: int, price: int
) -> None:
    assert stop_limit_price_nano(side, "inside", 100, prices(50, 150, 50, close), 777) == price


@pytest.mark.requirement("execution:fills:stop")
@pytest.mark.parametrize(
    ("side", "shown", "taking", "price"),
    [
        ("buy", prices(98, 110, 98, 110), 99, 99),
        ("buy", prices(101, 110, 99, 110), 102, 100),
        ("buy", prices(101, 110, 100, 90), 102, 0),
        ("sell", prices(102, 102, 90, 90), 101, 101),
        ("sell", prices(99, 101, 90, 90), 98, 100),
        ("sell", prices(99, 100, 90, 110), 98, 0),
    ],
)
def test_a_stop_limit_that_the_bar_opens_beyond_is_a_limit_order(
    side: Side, shown: Bar, taking: int, price: int
) -> None:
    assert stop_limit_price_nano(side, "open", 100, shown, taking) == price
    assert limit_price_nano(side, 100, shown, taking) == price


# --- what a trail follows ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:fills:trail")
@pytest.mark.parametrize(
    ("side", "trail", "bps", "level"),
    [
        ("sell", 7, 0, 20_002),
        ("buy", 7, 0, 20_016),
        ("sell", 0, 10_000, 0),
        ("sell", 0, 5, 19_998),  # 10.0045 is rounded up
        ("buy", 0, 5, 20_020),
        ("sell", 7, 5, 20_002),
    ],
)
def test_a_trail_stands_its_distance_from_the_best_price_and_never_closer(
    side: Side, trail: int, bps: int, level: int
) -> None:
    assert trail_level_nano(side, 20_009, trail, bps) == level


@pytest.mark.requirement("execution:fills:trail")
@pytest.mark.parametrize(
    ("side", "shown", "seen"),
    [
        # The best price before is 100 and the distance 10.
        ("sell", prices(100, 103, 94, 95), ("", 0, 103)),
        ("sell", prices(95, 99, 91, 95), ("", 0, 100)),
        ("sell", prices(100, 103, 93, 95), ("inside", 93, 103)),
        ("sell", prices(100, 103, 91, 95), ("inside", 91, 103)),
        ("sell", prices(100, 103, 90, 95), ("inside", 90, 100)),
        ("sell", prices(100, 103, 80, 95), ("inside", 90, 100)),
        ("sell", prices(90, 103, 80, 95), ("open", 90, 100)),
        ("sell", prices(85, 103, 80, 95), ("open", 90, 100)),
        ("buy", prices(100, 106, 97, 100), ("", 0, 97)),
        ("buy", prices(105, 109, 101, 105), ("", 0, 100)),
        ("buy", prices(100, 107, 97, 100), ("inside", 107, 97)),
        ("buy", prices(100, 109, 97, 100), ("inside", 109, 97)),
        ("buy", prices(100, 110, 97, 100), ("inside", 110, 100)),
        ("buy", prices(100, 120, 97, 100), ("inside", 110, 100)),
        ("buy", prices(110, 120, 97, 100), ("open", 110, 100)),
        ("buy", prices(115, 120, 97, 100), ("open", 110, 100)),
    ],
)
def test_what_a_bar_does_to_a_trail_is_the_worse_of_the_two_orders(
    side: Side, shown: Bar, seen: tuple[Hit, int, int]
) -> None:
    assert trailing_hit(side, 100, 10, 0, shown) == seen


@pytest.mark.requirement("execution:fills:trail")
@pytest.mark.parametrize(
    ("side", "shown", "seen"),
    [
        # Five percent: of 1,000 before, and of what the bar's own extreme makes of it.
        ("sell", prices(1_000, 1_100, 1_046, 1_050), ("", 0, 1_100)),
        ("sell", prices(1_000, 1_100, 1_045, 1_050), ("inside", 1_045, 1_100)),
        ("sell", prices(1_000, 1_100, 950, 1_050), ("inside", 950, 1_000)),
        ("buy", prices(1_000, 944, 900, 950), ("", 0, 900)),
        ("buy", prices(1_000, 945, 900, 950), ("inside", 945, 900)),
        ("buy", prices(1_000, 1_050, 900, 950), ("inside", 1_050, 1_000)),
    ],
)
def test_a_trail_in_basis_points_is_of_the_best_price_so_far(
    side: Side, shown: Bar, seen: tuple[Hit, int, int]
) -> None:
    assert trailing_hit(side, 1_000, 0, 500, shown) == seen


@pytest.mark.requirement("execution:fills:trail")
@pytest.mark.parametrize(
    ("side", "shown", "seen"),
    [
        ("sell", prices(100, 100, 90, 95), ("inside", 90, 100)),
        ("sell", prices(100, 102, 95, 95), ("", 0, 102)),
        ("buy", prices(100, 110, 100, 105), ("inside", 110, 100)),
        ("buy", prices(100, 105, 98, 105), ("", 0, 98)),
    ],
)
def test_without_a_price_before_it_a_trail_starts_at_the_bars_open(
    side: Side, shown: Bar, seen: tuple[Hit, int, int]
) -> None:
    assert trailing_hit(side, 0, 10, 0, shown) == seen


# --- quotes, fees and lending -----------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:fills:price")
def test_a_quote_is_of_a_bar_when_both_open_and_end_with_it() -> None:
    shown = quote(3, "99", "101")
    assert same_interval(bar(3, "100"), shown)
    assert not same_interval(bar(2, "100"), shown)
    assert not same_interval(msgspec.structs.replace(bar(3, "100"), event_time_ns=shown.event_time_ns + 1), shown)
    assert not same_interval(msgspec.structs.replace(bar(3, "100"), open_time_ns=shown.open_time_ns - 1), shown)


@pytest.mark.requirement("execution:fills:price")
@pytest.mark.parametrize(("side", "price"), [("buy", 2), ("sell", 0)])
def test_a_quote_of_a_billionth_is_a_price(side: Side, price: int) -> None:
    told = msgspec.structs.replace(quote(0, "1", "1"), bid_open_nano=1, ask_open_nano=1)
    assert taking_price_nano(side, prices(100, 100, 100, 100), told, 1, HALF) == price


@pytest.mark.requirement("execution:fills:price")
def test_slippage_comes_on_top_of_half_the_spread_only_where_there_is_no_quote() -> None:
    told = msgspec.structs.replace(quote(0, "1", "1"), bid_open_nano=900, ask_open_nano=1_100)
    shown = prices(1_000, 1_000, 1_000, 1_000)
    assert [taking_price_nano(side, shown, None, 1, HALF) for side in ("buy", "sell")] == [1_050, 950]
    assert [taking_price_nano(side, shown, told, 1, HALF) for side in ("buy", "sell")] == [1_133, 873]


RATES = FeeSchedule(
    equity_per_share_nano=3,
    equity_min_nano=100,
    equity_max_ppm=500_000,
    crypto_ppm=100_001,
    fx_ppm=200_001,
    cfd_ppm=300_001,
    future_per_contract_nano=7,
)
CFD = Instrument("DE40", "cfd", "USD", 1, 1)


@pytest.mark.requirement("execution:fees:schedule")
@pytest.mark.parametrize(
    ("traded", "qty", "notional", "fee"),
    [
        (STOCK, to_nano(50), 10**6, 150),  # three a share
        (STOCK, to_nano(50) + 1, 10**6, 151),
        (STOCK, to_nano(33), 10**6, 100),  # the minimum
        (STOCK, to_nano(50), 299, 150),  # half of the notional, rounded up
        (STOCK, to_nano(50), 298, 149),
        (STOCK, to_nano(50), 297, 149),
        (COIN, to_nano(1), 10**6, 100_001),
        (COIN, to_nano(1), 10**6 + 1, 100_002),
        (FX, to_nano(1), 10**6, 200_001),
        (FX, to_nano(1), 1, 1),
        (FUTURE, to_nano(3), 10**6, 21),
        (FUTURE, to_nano(3) + 1, 10**6, 22),
        (CFD, to_nano(1), 10**6, 300_001),
        (INDEX, to_nano(1), 10**6 + 1, 300_002),
    ],
)
def test_each_kind_pays_its_rate_rounded_up_to_the_billionth(
    traded: Instrument, qty: int, notional: int, fee: int
) -> None:
    assert fee_total_nano(traded, qty, notional, RATES) == fee


DAY = 86_400_000_000_000
LENT = FeeSchedule(equity_borrow_ppm_year=1_000_000)
"""A year of 360 nights costs what the sale brought."""


@pytest.mark.requirement("execution:fees:schedule")
@pytest.mark.parametrize(
    ("notional", "sold", "bought", "fee"),
    [
        (360, 10 * DAY, 11 * DAY - 1, 0),  # the whole of one day
        (360, 11 * DAY - 1, 11 * DAY, 1),  # over midnight by a billionth of a second
        (3_600, 10 * DAY + DAY // 2, 11 * DAY + DAY // 3, 10),  # from noon to eight: one night
        (360, 10 * DAY, 17 * DAY, 7),
        (361, 10 * DAY, 11 * DAY, 2),  # rounded up
        (359, 10 * DAY, 11 * DAY, 1),
        (360, 11 * DAY, 10 * DAY, 0),
    ],
)
def test_lending_costs_a_360th_of_the_yearly_rate_for_each_midnight(
    notional: int, sold: int, bought: int, fee: int
) -> None:
    assert borrow_nano(STOCK, notional, sold, bought, LENT) == fee
    assert borrow_nano(COIN, notional, sold, bought, LENT) == 0, "only equities are lent"
    assert borrow_nano(STOCK, notional, sold, bought, FeeSchedule(equity_borrow_ppm_year=0)) == 0
