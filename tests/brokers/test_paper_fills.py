"""What the paper broker makes of bars: stops, trails, groups and times in force. Not the venue's rules."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.ids import client_order_id
from bus.messages import Bar, OrderIntent, Side
from execution.spec import FillModelSpec
from tests.brokers.paper_market import SPEC, at, bar, broker, flat, order, tick, told

# --- stops ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:paper:stop")
@pytest.mark.parametrize(
    ("side", "shown", "expected"),
    [
        ("sell", bar(0, "100", "101", "95.01", "100"), []),
        ("sell", bar(0, "100", "101", "95", "100"), [("triggered", ""), ("100", "94.98")]),  # touched: 95 - 1.5 bp
        ("sell", bar(0, "94", "99", "93", "99"), [("triggered", ""), ("100", "93.98")]),  # gapped: the open, not 95
        ("sell", bar(0, "95", "99", "94", "99"), [("triggered", ""), ("100", "94.98")]),
        ("buy", bar(0, "90", "94.99", "89", "90"), []),
        ("buy", bar(0, "90", "95", "89", "90"), [("triggered", ""), ("100", "95.02")]),
        ("buy", bar(0, "97", "98", "90", "90"), [("triggered", ""), ("100", "97.02")]),
    ],
)
def test_a_stop_fills_at_its_level_and_worse_or_at_the_open_beyond_it(
    side: Side, shown: Bar, expected: list[tuple[str, str]]
) -> None:
    venue = broker(order(0, side, "stop", stop_price_nano="95"))
    assert told(venue.work(tick(shown))) == expected


@pytest.mark.requirement("brokers:paper:stop")
def test_what_a_triggered_stop_did_not_get_goes_on_as_a_market_order() -> None:
    venue = broker(order(0, "sell", "stop", stop_price_nano="95"))
    assert told(venue.work(tick(bar(0, "100", "100", "94", "94", volume="1600")))) == [
        ("triggered", ""),
        ("40", "94.98"),
    ]
    assert told(venue.work(tick(flat(1, "99")))) == [("60", "98.98")], "the price came back; the order does not"


@pytest.mark.requirement("brokers:paper:stop")
def test_a_stop_that_found_no_volume_stays_triggered() -> None:
    venue = broker(order(0, "sell", "stop", stop_price_nano="95"))
    assert told(venue.work(tick(bar(0, "100", "100", "94", "94", volume="0")))) == [("triggered", "")]
    assert told(venue.work(tick(flat(1, "99")))) == [("100", "98.98")]


@pytest.mark.requirement("brokers:paper:stop")
@settings(deadline=None)
@given(
    side=st.sampled_from(["buy", "sell"]),
    stop=st.integers(90, 110),
    opened=st.integers(90, 110),
    up=st.integers(0, 9),
    down=st.integers(0, 9),
)
def test_no_stop_is_ever_filled_better_than_its_level_or_the_open_beyond(
    side: Side, stop: int, opened: int, up: int, down: int
) -> None:
    venue = broker(order(0, side, "stop", stop_price_nano=str(stop)))
    shown = bar(0, str(opened), str(opened + up), str(opened - down), str(opened))
    fills = [report.fill for report in venue.work(tick(shown)) if report.fill is not None]
    reached = opened + up >= stop if side == "buy" else opened - down <= stop
    assert bool(fills) == reached
    for fill in fills:
        worst = max(stop, opened) if side == "buy" else min(stop, opened)
        assert fill.price_nano >= to_nano(worst) if side == "buy" else fill.price_nano <= to_nano(worst)


@pytest.mark.requirement("brokers:paper:stop-limit")
@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        # A sell stop at 95 with a limit of 94.
        (bar(0, "100", "101", "95.5", "96"), []),
        (bar(0, "100", "101", "93", "93.5"), [("triggered", "")]),  # it ran through the limit and stayed there
        (bar(0, "100", "101", "93", "94"), [("triggered", "")]),  # a close at the limit proves nothing
        (bar(0, "100", "101", "93", "96"), [("triggered", ""), ("100", "94")]),  # it came back: the limit, no better
        (bar(0, "93", "93.5", "92", "93"), [("triggered", "")]),  # gapped beyond the limit as well
        (bar(0, "94.5", "96", "92", "93"), [("triggered", ""), ("100", "94.48")]),  # gapped between the two
        (bar(0, "93", "94.5", "92", "93"), [("triggered", ""), ("100", "94")]),  # gapped, and traded through it later
    ],
)
def test_a_stop_limit_fills_only_where_the_bar_proves_it(shown: Bar, expected: list[tuple[str, str]]) -> None:
    venue = broker(order(0, "sell", "stop_limit", stop_price_nano="95", limit_price_nano="94"))
    assert told(venue.work(tick(shown))) == expected


@pytest.mark.requirement("brokers:paper:stop-limit")
def test_a_triggered_stop_limit_rests_as_a_limit_order() -> None:
    venue = broker(order(0, "sell", "stop_limit", stop_price_nano="95", limit_price_nano="94"))
    venue.work(tick(bar(0, "100", "100", "93", "93")))
    assert told(venue.work(tick(bar(1, "93", "94", "92", "93")))) == [], "a touch is not a trade"
    assert told(venue.work(tick(bar(2, "93", "94.01", "92", "93")))) == [("100", "94")]


# --- trails -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:paper:trailing")
def test_a_trailing_stop_follows_the_bars_before_and_fills_where_it_stands() -> None:
    venue = broker(order(0, "sell", "trailing_stop", trail_nano="5"))
    assert venue.work(tick(bar(0, "100", "103", "99", "103"))) == []
    assert venue.work(tick(bar(1, "103", "110", "106", "109"))) == [], "its low is above where the high moves the stop"
    assert venue.waters() == {client_order_id("alice", "run-1", 1, 0): to_nano(110)}
    assert told(venue.work(tick(bar(2, "109", "109", "104", "108")))) == [("triggered", ""), ("100", "104.98")]


@pytest.mark.requirement("brokers:paper:trailing")
@pytest.mark.parametrize(
    ("side", "shown", "expected"),
    [
        # The best price so far is 100 and the distance 5.
        ("sell", bar(1, "100", "103", "98.01", "103"), []),  # 98.01 is above 103 - 5
        (
            "sell",
            bar(1, "100", "103", "98", "103"),
            [("triggered", ""), ("100", "97.98")],
        ),  # high, then low: at the low
        ("sell", bar(1, "100", "103", "95", "103"), [("triggered", ""), ("100", "94.98")]),  # for certain: at its level
        ("sell", bar(1, "100", "103", "90", "103"), [("triggered", ""), ("100", "94.98")]),
        ("sell", bar(1, "94", "103", "90", "103"), [("triggered", ""), ("100", "93.98")]),  # gapped: the open
        ("buy", bar(1, "100", "101.99", "97", "97"), []),
        ("buy", bar(1, "100", "102", "97", "97"), [("triggered", ""), ("100", "102.02")]),
        ("buy", bar(1, "100", "105", "97", "97"), [("triggered", ""), ("100", "105.02")]),
        ("buy", bar(1, "106", "107", "97", "97"), [("triggered", ""), ("100", "106.02")]),
    ],
)
def test_of_a_bars_own_extremes_a_trailing_stop_meets_the_worse_order(
    side: Side, shown: Bar, expected: list[tuple[str, str]]
) -> None:
    venue = broker(order(0, side, "trailing_stop", trail_nano="5"))
    assert venue.work(tick(flat(0, "100"))) == []
    assert told(venue.work(tick(shown))) == expected


@pytest.mark.requirement("brokers:paper:trailing")
def test_a_trail_in_basis_points_widens_with_the_price() -> None:
    venue = broker(order(0, "sell", "trailing_stop", trail_bps=500))
    for minute, price in enumerate(("100", "104", "108", "120")):
        assert venue.work(tick(flat(minute, price))) == []
    assert told(venue.work(tick(bar(4, "120", "120", "114", "115")))) == [("triggered", ""), ("100", "113.98")]


@pytest.mark.requirement("brokers:paper:trailing")
@settings(deadline=None, max_examples=200)
@given(
    path=st.lists(st.integers(80, 120), min_size=4, max_size=24),
    per_bar=st.integers(1, 4),
    trail=st.integers(1, 12),
    side=st.sampled_from(["buy", "sell"]),
)
def test_no_path_inside_the_bars_is_worse_than_what_is_assumed(
    path: list[int], per_bar: int, trail: int, side: Side
) -> None:
    """Walk prices one by one as the truth: the assumed stop comes no later, and in the same bar at no better price."""
    spec = msgspec.structs.replace(
        SPEC, fill_model=FillModelSpec(latency_ns=0, half_spread_ppm=0, slippage_ppm=0, participation_ppm=1_000_000)
    )
    venue = broker(order(0, side, "trailing_stop", trail_nano=str(trail)), spec=spec)
    chunks = [path[n : n + per_bar] for n in range(0, len(path), per_bar)]
    sign = 1 if side == "sell" else -1
    best, truth = path[0] * sign, None
    for number, chunk in enumerate(chunks):
        for price in chunk:
            best = max(best, price * sign)
            if truth is None and price * sign <= best - trail:
                truth = (number, (best - trail) * sign)
    assumed = None
    for number, chunk in enumerate(chunks):
        shown = bar(number, str(chunk[0]), str(max(chunk)), str(min(chunk)), str(chunk[-1]))
        fills = [report.fill for report in venue.work(tick(shown)) if report.fill is not None]
        if fills:
            assumed = (number, fills[0].price_nano)
            break
    if truth is not None:
        assert assumed is not None
        assert assumed[0] <= truth[0]
        if assumed[0] == truth[0]:
            assert assumed[1] * sign <= to_nano(truth[1]) * sign


# --- groups -----------------------------------------------------------------------------------------------------------


def legs() -> tuple[OrderIntent, OrderIntent]:
    """What protects 100 bought: a take-profit at 105 and a stop-loss at 95."""
    return (
        order(0, "sell", "limit", limit_price_nano="105", parent_id="entry"),
        order(1, "sell", "stop", stop_price_nano="95", parent_id="entry"),
    )


@pytest.mark.requirement("brokers:paper:oco")
@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (bar(0, "100", "106", "96", "100"), [("100", "105")]),
        (bar(0, "100", "104", "94", "100"), [("triggered", ""), ("100", "94.98")]),
        (bar(0, "100", "106", "94", "100"), [("triggered", ""), ("100", "94.98")]),  # both: the stop, not the profit
        (bar(0, "107", "108", "94", "100"), [("triggered", ""), ("100", "106.98")]),  # the open is certain
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_bar_that_meets_both_legs_gives_the_worse_one(
    shown: Bar, expected: list[tuple[str, str]], turned: bool
) -> None:
    first, second = legs()
    venue = broker(*((second, first) if turned else (first, second)))
    assert told(venue.work(tick(shown))) == expected


@pytest.mark.requirement("brokers:paper:oco")
def test_an_oco_order_and_its_stop_are_one_group() -> None:
    parent = order(0, "sell", "limit", limit_price_nano="105", order_class="oco", stop_loss_nano=to_nano(95))
    leg = order(1, "sell", "stop", stop_price_nano="95", parent_id=parent.client_order_id)
    venue = broker(parent, leg)
    assert told(venue.work(tick(bar(0, "100", "106", "94", "100")))) == [("triggered", ""), ("100", "94.98")]


@pytest.mark.requirement("brokers:paper:oco")
@settings(deadline=None, max_examples=200)
@given(
    bars=st.lists(
        st.tuples(st.integers(90, 110), st.integers(0, 12), st.integers(0, 12), st.integers(0, 9_000)), max_size=6
    ),
    turned=st.booleans(),
)
def test_a_group_never_takes_more_of_one_bar_than_it_protects(
    bars: list[tuple[int, int, int, int]], turned: bool
) -> None:
    first, second = legs()
    venue = broker(*((second, first) if turned else (first, second)))
    filled = {first.client_order_id: 0, second.client_order_id: 0}
    for minute, (opened, up, down, volume) in enumerate(bars):
        shown = bar(minute, str(opened), str(opened + up), str(opened - down), str(opened), str(volume))
        for report in venue.work(tick(shown)):
            if report.fill is not None:
                filled[report.client_order_id] += report.fill.qty_nano
        both = sum(filled.values())
        assert both <= to_nano(100)
        if both:
            return  # from here on execution takes what was filled off the other leg


# --- times in force ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:paper:times")
@pytest.mark.parametrize(
    ("volume", "limit", "expected"),
    [
        ("4000", None, [("100", "100.02")]),
        ("3999", None, [("canceled", "fok_not_whole")]),
        ("0", None, [("canceled", "fok_not_whole")]),
        ("4000", "99", [("canceled", "fok_not_whole")]),
        ("4000", "101", [("100", "100.02")]),
    ],
)
def test_fok_is_filled_whole_by_its_first_bar_or_not_at_all(
    volume: str, limit: str | None, expected: list[tuple[str, str]]
) -> None:
    plain = order(0, "buy", "market") if limit is None else order(0, "buy", "limit", limit_price_nano=limit)
    venue = broker(msgspec.structs.replace(plain, time_in_force="fok"))
    assert told(venue.work(tick(flat(0, "100", volume)))) == expected
    assert venue.work(tick(flat(1, "50"))) == []


@pytest.mark.requirement("brokers:paper:times")
def test_gtd_meets_no_bar_that_ends_after_its_expiry_and_then_expires() -> None:
    ends = order(0, "buy", "limit", limit_price_nano="99", time_in_force="gtd", expires_ns=at(2))
    venue = broker(ends)
    assert venue.work(tick(flat(0, "100"))) == []
    assert told(venue.work(tick(bar(1, "100", "100", "99", "99")))) == [("expired", "its time is over")]
    venue = broker(msgspec.structs.replace(ends, expires_ns=at(2) - 1))
    assert told(venue.work(tick(bar(1, "90", "90", "90", "90")))) == [("expired", "its time is over")]
    venue = broker(ends)
    assert told(venue.work(tick(bar(1, "90", "90", "90", "90")))) == [("100", "90.02")]


@pytest.mark.requirement("brokers:paper:times")
def test_the_end_of_the_day_ends_day_orders_and_leaves_the_others() -> None:
    kept = [
        order(0, "buy", "limit", limit_price_nano="90", time_in_force="gtc"),
        order(1, "buy", "limit", limit_price_nano="90", time_in_force="gtd", expires_ns=at(99)),
    ]
    venue = broker(*kept, order(2, "buy", "limit", limit_price_nano="90"))
    assert told(venue.work(tick(flat(0, "100"), done=True))) == [
        ("done_for_day", "day_done"),
        ("done_for_day", "day_done"),
        ("expired", "day_done"),
    ]
    assert [venue.query(o.client_order_id)[-1].kind for o in kept] == ["accepted", "accepted"]
    assert venue.submit(order(3, "buy", "market"), at(1)).reason.startswith("market_closed")
