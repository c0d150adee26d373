"""Whatever the order bars come in, the charts are those of the bars in order; and a bar costs no recomputation."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.messages import Bar, Timeframe
from feed._chart_spans import Spans
from feed.charts import ChartBook
from tests.charts.made import MINUTE, bar, book, calendar, minutes, ns, opens, session_minutes

TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)
LATER = 2**61

STARTS = {
    "XNYS": [
        ns("2024-03-07 21:10"),
        ns("2024-03-08 20:40"),
        ns("2024-03-11 12:50"),
        ns("2024-03-12 13:30"),
        ns("2026-11-27 17:30"),
    ],
    "24/7": [ns("2018-04-06 23:20"), ns("2018-04-30 23:00"), ns("2018-05-03 04:00")],
    "24/5": [ns("2014-05-02 23:30"), ns("2014-05-04 23:10"), ns("2014-05-31 23:00"), ns("2014-05-03 12:00")],
    "CMES": [
        ns("2013-11-02 22:30"),
        ns("2013-11-03 04:30"),
        ns("2013-11-03 12:00"),
        ns("2013-12-24 17:30"),
        ns("2013-11-03 22:30"),
        ns("2013-11-04 22:40"),
    ],
    "XTKS": [ns("2024-03-13 02:00"), ns("2024-03-13 05:40")],
}


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[str, list[Bar], int]:
    """Minutes around sessions in any order, some twice, some corrected, and after how many somebody asks."""
    code = draw(st.sampled_from(sorted(STARTS)))
    whole = [one for start in STARTS[code] for one in minutes(start, 75)]
    chosen = draw(st.lists(st.sampled_from(whole), min_size=1, max_size=60))
    came: list[Bar] = []
    for at, one in enumerate(chosen):
        known_ns = one.event_time_ns + draw(st.sampled_from([0, 0, 0, 1, 5])) * MINUTE
        change = draw(st.sampled_from([0, 0, 0, 7, -5]))
        came.append(
            replace(
                one,
                available_time_ns=known_ns,
                high_nano=one.high_nano + abs(change),
                low_nano=one.low_nano - abs(change),
                close_nano=one.close_nano + change,
                volume_nano=one.volume_nano + at % 3,
                session=draw(st.sampled_from(["", "a", "a"])),
            )
        )
    return code, came, draw(st.integers(0, len(came)))


def settled(came: list[Bar]) -> list[Bar]:
    """Of each minute what counts: known latest, and of these what came last; in order."""
    kept: dict[int, Bar] = {}
    for one in came:
        known = kept.get(one.open_time_ns)
        if known is None or known.available_time_ns <= one.available_time_ns:
            kept[one.open_time_ns] = one
    return [kept[at] for at in sorted(kept)]


@pytest.mark.requirement("charts:incremental")
@settings(max_examples=150, deadline=None)
@given(arrivals(), st.integers(0, 3))
def test_any_order_gives_the_charts_of_the_bars_in_order(case: tuple[str, list[Bar], int], watched: int) -> None:
    code, came, asked_after = case
    grown = ChartBook(calendar(code), 60)
    for at, one in enumerate(came):
        if at == asked_after:
            for timeframe in TIMEFRAMES[watched::2]:
                grown.chart("AAA", timeframe, 5, one.available_time_ns)
        grown.add(one)
    for now in (max(one.available_time_ns for one in came), LATER):
        fresh = book(settled(came), code=code)
        for timeframe in TIMEFRAMES:
            chart = grown.chart("AAA", timeframe, 1_000, now)
            assert chart == fresh.chart("AAA", timeframe, 1_000, now)
            times = [one.open_time_ns for one in chart.bars]
            assert times == sorted(set(times))


@pytest.mark.requirement("charts:history")
@settings(max_examples=40, deadline=None)
@given(arrivals(), st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_history_that_comes_late_gives_the_charts_of_history_that_came_first(
    case: tuple[str, list[Bar], int], first: int, second: int, asked: bool
) -> None:
    code, came, _ = case
    start = STARTS[code][0]
    halves = [
        bar(at, 77 + number % 5, seconds=1_800)
        for number, at in enumerate(range(start - 2 * 1_440 * MINUTE - start % (30 * MINUTE), start, 30 * MINUTE))
    ]
    days = [bar(at, 55, seconds=86_400) for at in range(start - 9 * 1_440 * MINUTE, start + 1, 1_440 * MINUTE)]
    grown = ChartBook(calendar(code), 60)
    for at, one in enumerate([*came, None]):
        if at == min(first, len(came)):
            grown.seed("AAA", "30Min", halves)
        if at == min(second, len(came)):
            grown.seed("AAA", "1Day", days)
        if one is not None:
            grown.add(one)
        if asked:
            grown.chart("AAA", "1Week", 5, LATER)
            grown.chart("AAA", "1Hour", 5, LATER)
    fresh = ChartBook(calendar(code), 60)
    fresh.seed("AAA", "1Day", days)
    fresh.seed("AAA", "30Min", halves)
    for one in settled(came):
        fresh.add(one)
    for timeframe in TIMEFRAMES:
        chart = grown.chart("AAA", timeframe, 5_000, LATER)
        assert chart == fresh.chart("AAA", timeframe, 5_000, LATER)
        times = [one.open_time_ns for one in chart.bars]
        assert times == sorted(set(times))


@pytest.mark.requirement("charts:incremental")
@settings(max_examples=60, deadline=None)
@given(arrivals())
def test_buckets_never_overlap_and_no_minute_is_lost_or_counted_twice(case: tuple[str, list[Bar], int]) -> None:
    code, came, _ = case
    made, bars = book(settled(came), code=code), settled(came)
    for timeframe in TIMEFRAMES[:10]:
        chart = made.chart("AAA", timeframe, 1_000, LATER)
        assert sum(one.volume_nano for one in chart.bars) == sum(one.volume_nano for one in bars)
        for one, following in zip(chart.bars, chart.bars[1:], strict=False):
            assert one.event_time_ns <= following.open_time_ns
        for one in chart.bars:
            assert one.low_nano <= min(one.open_nano, one.close_nano)
            assert one.high_nano >= max(one.open_nano, one.close_nano)


@pytest.mark.requirement("charts:incremental")
def test_of_two_that_were_known_at_once_the_last_counts_and_an_older_one_never() -> None:
    at = ns("2024-03-13 13:30")
    made = book([bar(at, 100, available=at + 3 * MINUTE), bar(at, 200, available=at + 3 * MINUTE)])
    made.add(bar(at, 300, available=at + 2 * MINUTE))
    assert made.chart("AAA", "1Min", 5, LATER).bars[0].open_nano == 200


@pytest.mark.requirement("charts:incremental")
def test_a_correction_of_a_bars_end_moves_it_to_where_it_belongs() -> None:
    early = bar(ns("2024-03-13 13:00"), 100, seconds=1_800)
    other = bar(ns("2024-03-13 11:00"), 50, seconds=3_600)
    later = bar(ns("2024-03-13 14:00"), 300, seconds=3_600)
    corrected = bar(ns("2024-03-13 13:00"), 200, seconds=3_600)
    made = book([other, early, later], base_s=3_600)
    for timeframe in TIMEFRAMES[8:]:
        made.chart("AAA", timeframe, 9, LATER)
    made.add(corrected)
    for timeframe in TIMEFRAMES[8:]:
        fresh = book([other, corrected, later], base_s=3_600)
        assert made.chart("AAA", timeframe, 9, LATER) == fresh.chart("AAA", timeframe, 9, LATER)


@pytest.mark.requirement("charts:incremental")
def test_a_minute_that_comes_after_its_bar_was_complete_is_in_it() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    made = book(bars[:3])
    before = made.chart("AAA", "5Min", 9, LATER)
    made.add(bars[4])
    after = made.chart("AAA", "5Min", 9, LATER)
    assert (before.missing, after.missing) == ((2,), (1,))
    assert after.bars[0].volume_nano == before.bars[0].volume_nano + bars[4].volume_nano


@pytest.mark.requirement("charts:cost")
def test_a_new_bar_asks_the_calendar_no_more_often_when_the_chart_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = 0
    inside, day = Spans._inside, Spans.day  # pyright: ignore[reportPrivateUsage] # counted here, where the work is

    def counted_inside(self: Spans, open_ns: int, end_ns: int, length: int) -> object:
        nonlocal placed
        placed += 1
        return inside(self, open_ns, end_ns, length)

    def counted_day(self: Spans, open_ns: int, end_ns: int) -> object:
        nonlocal placed
        placed += 1
        return day(self, open_ns, end_ns)

    monkeypatch.setattr(Spans, "_inside", counted_inside)
    monkeypatch.setattr(Spans, "day", counted_day)
    made = ChartBook(calendar("24/7"), 60)
    frames: tuple[Timeframe, ...] = ("5Min", "1Hour", "1Day", "1Week", "1Month")
    costs: list[int] = []
    for one in minutes(ns("2018-04-02 00:00"), 3 * 1_440):
        before = placed
        made.add(one)
        for timeframe in frames:
            made.chart("AAA", timeframe, 100, one.available_time_ns)
        costs.append(placed - before)
    late = costs[1_440:]
    assert max(late) <= 4
    assert sum(late) <= len(late)


@pytest.mark.requirement("charts:cost")
def test_a_bar_that_is_complete_is_made_once() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    made = book(bars[:100])
    first = made.chart("AAA", "5Min", 50, bars[99].available_time_ns)
    made.add(bars[100])
    second = made.chart("AAA", "5Min", 50, bars[100].available_time_ns)
    assert all(old is new for old, new in zip(first.bars, second.bars, strict=False))


def daily(date: str, price: int, *, midnight: bool = False) -> Bar:
    session = calendar().session_on(date)
    assert session is not None
    start = calendar().midnight(date) if midnight else session.open_ns
    end = start + 1_440 * MINUTE if midnight else session.close_ns
    return Bar("AAA", start, end, end, price, price + 9, price - 9, price + 1, 1_000)


@pytest.mark.requirement("charts:history")
@pytest.mark.parametrize("midnight", [False, True])
def test_days_of_a_vendor_are_put_on_their_sessions_and_make_weeks_and_months(midnight: bool) -> None:
    made = ChartBook(calendar(), 60)
    dates = ["2024-02-29", "2024-03-01", "2024-03-11", "2024-03-12"]
    made.seed("AAA", "1Day", [daily(date, 100 + at, midnight=midnight) for at, date in enumerate(dates)])
    today = session_minutes("XNYS", "2024-03-13")[:90]
    for one in today:
        made.add(one)
    now = today[-1].event_time_ns
    day = made.chart("AAA", "1Day", 10, now)
    assert opens(day) == ["02-29 14:30", "03-01 14:30", "03-11 13:30", "03-12 13:30", "03-13 13:30"]
    assert (day.missing, day.forming) == ((0,) * 5, True)
    week = made.chart("AAA", "1Week", 10, now)
    assert opens(week) == ["02-26 14:30", "03-11 13:30"]
    assert week.missing == (3 * 390, 0)
    assert week.bars[-1].open_nano == 102
    assert week.bars[-1].close_nano == today[-1].close_nano
    assert week.bars[-1].volume_nano == 2_000 + sum(one.volume_nano for one in today)
    assert opens(made.chart("AAA", "1Month", 10, now)) == ["02-01 14:30", "03-01 14:30"]


@pytest.mark.requirement("charts:history")
def test_weeks_and_months_of_a_vendor_stand_before_the_base_bars_only() -> None:
    made = ChartBook(calendar(), 60)
    week = 7 * 1_440 * MINUTE
    monday = calendar().midnight("2024-03-04")
    bars = [Bar("AAA", monday + at * week, monday + (at + 1) * week, 0, 5, 9, 1, 6, 70) for at in (-1, 0, 1)]
    made.seed("AAA", "1Week", bars)
    assert opens(made.chart("AAA", "1Week", 10, LATER)) == ["02-26 14:30", "03-04 14:30", "03-11 13:30"]
    today = session_minutes("XNYS", "2024-03-13")[:30]
    for one in today:
        made.add(one)
    chart = made.chart("AAA", "1Week", 10, today[-1].event_time_ns)
    assert opens(chart) == ["02-26 14:30", "03-04 14:30", "03-11 13:30"]
    assert chart.missing == (0, 0, 780)
    assert chart.bars[-1].volume_nano == sum(one.volume_nano for one in today)


@pytest.mark.requirement("charts:history")
def test_half_hours_of_a_vendor_make_hours_and_clock_hours_do_not() -> None:
    halves = [bar(ns("2024-03-12 13:30") + at * 30 * MINUTE, 100 + at, seconds=1_800) for at in range(13)]
    hours = [bar(ns("2024-03-12 14:00") + at * 60 * MINUTE, 500, seconds=3_600) for at in range(6)]
    made = ChartBook(calendar(), 60)
    made.seed("AAA", "1Hour", hours)
    assert made.chart("AAA", "1Hour", 10, LATER).bars == ()
    made.seed("AAA", "30Min", halves)
    made.seed("AAA", "30Min", halves[3:5])
    today = session_minutes("XNYS", "2024-03-13")[:10]
    for one in today:
        made.add(one)
    now = today[-1].event_time_ns
    assert made.chart("AAA", "30Min", 13 + 1, now).bars[:13] == tuple(halves)
    assert opens(made.chart("AAA", "4Hour", 10, now)) == ["03-12 13:30", "03-12 17:30", "03-13 13:30"]
    assert made.chart("AAA", "4Hour", 10, now).missing == (0, 0, 0)
    assert made.chart("AAA", "1Day", 10, now).missing == (0, 0)
    made.add(bar(ns("2024-03-12 19:59"), 7))
    assert opens(made.chart("AAA", "30Min", 20, now))[-2:] == ["03-12 19:30", "03-13 13:30"]
    assert made.chart("AAA", "30Min", 20, now).missing[-2:] == (29, 0)


@pytest.mark.requirement("charts:history")
def test_a_day_of_half_hours_and_minutes_after_it_stays_whole_when_a_minute_is_corrected() -> None:
    halves = [bar(ns("2024-03-12 13:30") + at * 30 * MINUTE, 100 + at, seconds=1_800) for at in range(13)]
    made = ChartBook(calendar(), 60)
    made.seed("AAA", "30Min", halves)
    for one in minutes(ns("2024-03-12 20:05"), 3):
        made.add(one)
    before = made.chart("AAA", "1Day", 9, LATER)
    made.add(bar(ns("2024-03-12 20:06"), 5_000, available=ns("2024-03-12 21:00")))
    assert made.chart("AAA", "1Day", 9, LATER) == before
    assert before.bars[0].volume_nano == sum(one.volume_nano for one in halves)


@pytest.mark.requirement("charts:history")
def test_history_of_the_base_length_is_base_bars() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    made = book(bars[50:])
    made.seed("AAA", "1Min", bars[:60])
    for timeframe in TIMEFRAMES:
        assert made.chart("AAA", timeframe, 500, LATER) == book(bars).chart("AAA", timeframe, 500, LATER)
