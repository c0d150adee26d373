"""Where bars go: sessions, half days, clock changes, hours outside, and what is not there."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from bus.clock import NS
from bus.errors import NotOfferedError
from bus.messages import Chart, Timeframe
from feed.charts import ChartBook
from tests.charts.made import MINUTE, bar, book, calendar, folded, minutes, ns, opens, session_minutes, utc

LATER = 2**61


def shown(made: ChartBook, timeframe: Timeframe, now_ns: int = LATER, limit: int = 1_000) -> Chart:
    return made.chart("AAA", timeframe, limit, now_ns)


@pytest.mark.requirement("charts:anchor")
def test_hours_of_new_york_begin_at_half_past_nine_and_the_last_is_short() -> None:
    made = book(session_minutes("XNYS", "2024-03-13"))
    chart = shown(made, "1Hour")
    assert opens(chart) == [f"03-13 {hour}:30" for hour in range(13, 20)]
    assert [utc(one.event_time_ns) for one in chart.bars][-2:] == ["03-13 19:30", "03-13 20:00"]
    assert chart.missing == (0,) * 7
    assert opens(shown(made, "4Hour")) == ["03-13 13:30", "03-13 17:30"]
    assert opens(shown(made, "2Hour"))[-1] == "03-13 19:30"
    assert len(shown(made, "30Min").bars) == 13
    assert len(shown(made, "10Min").bars) == 39


@pytest.mark.requirement("charts:anchor")
@pytest.mark.parametrize("timeframe", get_args(Timeframe))
def test_every_timeframe_is_the_plain_fold_of_its_minutes(timeframe: Timeframe) -> None:
    bars = [
        replace(one, session="a" if at % 97 else "b") for at, one in enumerate(session_minutes("XNYS", "2024-03-13"))
    ]
    made = book(bars)
    chart = shown(made, timeframe)
    edges = [one.open_time_ns for one in chart.bars] + [LATER]
    first = calendar().session_on("2024-03-13")
    assert first is not None
    for one, start, end in zip(chart.bars, edges, edges[1:], strict=False):
        inside = [minute for minute in bars if max(start, first.open_ns) <= minute.open_time_ns < end]
        assert one == folded(inside, start, one.event_time_ns)
    assert sum(one.volume_nano for one in chart.bars) == sum(one.volume_nano for one in bars)


@pytest.mark.requirement("charts:half-day")
def test_the_day_after_thanksgiving_ends_at_one_in_the_afternoon() -> None:
    bars = session_minutes("XNYS", "2026-11-27")
    assert len(bars) == 210
    made = book(bars)
    assert opens(shown(made, "1Hour")) == [f"11-27 {hour}:30" for hour in range(14, 18)]
    assert utc(shown(made, "1Hour").bars[-1].event_time_ns) == "11-27 18:00"
    close = bars[-1].event_time_ns
    for timeframe in ("1Hour", "4Hour", "1Day"):
        assert shown(made, timeframe, close).forming is False
        assert shown(made, timeframe, close - 1).forming is True
        assert sum(shown(made, timeframe, close + 9 * 60 * MINUTE).missing) == 0
    assert shown(made, "1Day").bars == (folded(bars, bars[0].open_time_ns, close),)
    assert shown(made, "1Week", close).forming is False


@pytest.mark.requirement("charts:dst")
@pytest.mark.parametrize(
    ("before", "after", "first"),
    [("2024-03-08", "2024-03-11", ("14:30", "13:30")), ("2013-11-01", "2013-11-04", ("13:30", "14:30"))],
)
def test_over_a_clock_change_the_hours_stay_at_half_past_of_the_venue(
    before: str, after: str, first: tuple[str, str]
) -> None:
    made = book(session_minutes("XNYS", before), session_minutes("XNYS", after))
    times = opens(shown(made, "1Hour"))
    assert len(times) == 14
    assert times[0].endswith(first[0])
    assert times[7].endswith(first[1])
    assert {time[-2:] for time in times} == {"30"}
    assert len(shown(made, "1Day").bars) == 2


@pytest.mark.requirement("charts:dst")
def test_a_clock_change_does_not_move_a_market_that_never_closes() -> None:
    made = book(minutes(ns("2024-03-10 00:00"), 2_880), code="24/7")
    assert {time[-5:] for time in opens(shown(made, "4Hour"))} == {
        "00:00", "04:00", "08:00", "12:00", "16:00", "20:00",
    }  # fmt: skip


@pytest.mark.requirement("charts:always-open")
def test_coins_count_from_midnight_utc() -> None:
    bars = minutes(ns("2018-04-06 22:30"), 200)
    made = book(bars, code="24/7")
    assert opens(shown(made, "1Hour")) == [
        "04-06 22:00", "04-06 23:00", "04-07 00:00", "04-07 01:00",
    ]  # fmt: skip
    assert opens(shown(made, "1Day")) == ["04-06 00:00", "04-07 00:00"]
    assert shown(made, "1Day").bars[0] == folded(bars[:90], ns("2018-04-06 00:00"), ns("2018-04-07 00:00"))
    assert shown(made, "1Hour").missing[0] == 30


@pytest.mark.requirement("charts:always-open")
def test_currencies_on_a_sunday_evening_come_before_mondays_open() -> None:
    sunday = minutes(ns("2014-05-04 21:00"), 180)
    made = book(sunday, code="24/5")
    assert opens(shown(made, "4Hour")) == ["05-04 20:00"]
    (early,) = shown(made, "1Day", sunday[-1].event_time_ns).bars
    assert early == folded(sunday, sunday[0].open_time_ns, sunday[-1].event_time_ns)
    monday = minutes(ns("2014-05-05 00:00"), 1_440)
    for one in monday:
        made.add(one)
    assert shown(made, "1Day").bars == (folded(monday, ns("2014-05-05 00:00"), ns("2014-05-06 00:00")),)
    assert opens(shown(made, "1Week")) == ["05-05 00:00"]
    assert shown(made, "1Week").bars[0].volume_nano == sum(one.volume_nano for one in monday)


@pytest.mark.requirement("charts:days")
def test_weeks_and_months_are_those_of_sessions() -> None:
    dates = ["2013-12-30", "2013-12-31", "2014-01-02", "2014-01-03", "2014-01-06", "2014-01-31", "2014-02-03"]
    parts = [session_minutes("XNYS", date) for date in dates]
    made = book(*parts)
    now = parts[-1][100].event_time_ns
    weeks, months = shown(made, "1Week", now), shown(made, "1Month", now)
    assert opens(weeks) == ["12-30 14:30", "01-06 14:30", "01-27 14:30", "02-03 14:30"]
    assert weeks.bars[0] == folded([one for part in parts[:4] for one in part], parts[0][0].open_time_ns,
                                   parts[3][-1].event_time_ns)  # fmt: skip
    assert opens(months) == ["12-02 14:30", "01-02 14:30", "02-03 14:30"]
    assert months.bars[1] == folded([one for part in parts[2:6] for one in part], parts[2][0].open_time_ns,
                                    parts[5][-1].event_time_ns)  # fmt: skip
    assert weeks.missing[:2] == (0, 4 * 390)
    assert months.missing[1] == (21 - 4) * 390
    assert weeks.forming
    assert not shown(made, "1Week", now, 3).bars[0].event_time_ns > now


@pytest.mark.requirement("charts:extended")
def test_hours_outside_have_buckets_of_their_own_and_are_no_part_of_the_day() -> None:
    inside = session_minutes("XNYS", "2024-03-13")
    early, late = minutes(ns("2024-03-13 12:07"), 83), minutes(ns("2024-03-13 20:00"), 65)
    made = book(early, inside, late)
    assert opens(shown(made, "1Hour")) == [
        "03-13 11:30", "03-13 12:30", "03-13 13:30", "03-13 14:30", "03-13 15:30", "03-13 16:30", "03-13 17:30",
        "03-13 18:30", "03-13 19:30", "03-13 20:00", "03-13 21:00",
    ]  # fmt: skip
    assert shown(made, "1Hour").missing == (0,) * 11
    assert shown(made, "1Day").bars == (folded(inside, inside[0].open_time_ns, inside[-1].event_time_ns),)
    assert shown(made, "1Week").bars[0].volume_nano == sum(one.volume_nano for one in inside)


@pytest.mark.requirement("charts:extended")
def test_until_the_session_has_a_bar_the_day_is_what_came_before_it() -> None:
    early = minutes(ns("2024-03-13 12:00"), 60)
    made = book(early)
    before = shown(made, "1Day", early[-1].event_time_ns)
    assert before.bars == (folded(early, early[0].open_time_ns, early[-1].event_time_ns),)
    assert before.forming
    first = bar(ns("2024-03-13 13:30"), 500)
    made.add(first)
    after = shown(made, "1Day", first.event_time_ns)
    assert after.bars == (first,)
    assert shown(made, "1Week", first.event_time_ns).bars[0].volume_nano == first.volume_nano


@pytest.mark.requirement("charts:extended")
def test_a_day_that_is_no_session_is_kept_apart() -> None:
    saturday = minutes(ns("2014-05-03 12:00"), 90)
    made = book(saturday, code="24/5")
    assert opens(shown(made, "1Hour")) == ["05-03 12:00", "05-03 13:00"]
    assert opens(shown(made, "1Day")) == ["05-03 00:00"]
    assert shown(made, "1Day").missing == (0,)


@pytest.mark.requirement("charts:extended")
def test_no_bucket_reaches_over_local_midnight_or_into_the_next_session() -> None:
    late = minutes(ns("2013-12-24 18:00"), 300)
    made = book(late, code="CMES")
    session = calendar("CMES").session_on("2013-12-24")
    assert session is not None
    assert session.early_close
    assert all(one.open_time_ns >= session.close_ns for one in shown(made, "4Hour").bars)
    thanksgiving = book(minutes(ns("2013-11-28 18:00"), 300), code="CMES")
    assert [utc(one.event_time_ns) for one in shown(thanksgiving, "4Hour").bars] == ["11-28 22:00", "11-28 23:00"]
    evening = book(minutes(ns("2024-03-14 03:00"), 60), minutes(ns("2024-03-14 04:00"), 60))
    first, second = shown(evening, "4Hour").bars
    assert utc(first.event_time_ns) == utc(second.open_time_ns) == "03-14 04:00"


@pytest.mark.requirement("charts:roll")
def test_a_bar_rolls_although_no_minute_came_at_its_edge() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    holes = {59, 60, 61, 119, 120}
    made = book([one for at, one in enumerate(bars) if at not in holes])
    chart = shown(made, "1Hour")
    assert opens(chart)[:3] == ["03-13 13:30", "03-13 14:30", "03-13 15:30"]
    assert chart.missing[:3] == (1, 3, 1)
    assert chart.bars[0].event_time_ns == ns("2024-03-13 14:30")
    assert chart.bars[1].open_nano == bars[62].open_nano


@pytest.mark.requirement("charts:roll")
def test_time_alone_completes_a_bar() -> None:
    bars = session_minutes("XNYS", "2024-03-13")[:55]
    made = book(bars)
    edge = ns("2024-03-13 14:30")
    before, after = shown(made, "1Hour", edge - 1), shown(made, "1Hour", edge)
    assert (before.forming, after.forming) == (True, False)
    assert (before.missing, after.missing) == ((4,), (5,))
    assert before.bars[0].event_time_ns == bars[-1].event_time_ns
    assert after.bars[0].event_time_ns == edge
    assert shown(made, "1Hour", edge - 1) == before


@pytest.mark.requirement("charts:missing")
def test_only_what_should_be_there_by_now_is_missing() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    made = book(bars[5:10])
    for now, expected in (
        (bars[9].event_time_ns, 5),
        (bars[9].event_time_ns + MINUTE - 1, 5),
        (bars[29].open_time_ns, 24),
    ):
        assert shown(made, "30Min", now).missing == (expected,)
        assert shown(made, "1Day", now).missing == (expected,)
    assert shown(made, "1Min", bars[12].event_time_ns).missing == (0,) * 5


@pytest.mark.requirement("charts:missing")
def test_a_delay_on_the_way_is_no_loss() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    made = ChartBook(calendar(), 60, delay_ns=5 * NS)
    for one in bars[:10]:
        made.add(one)
    edge = bars[10].event_time_ns
    assert made.chart("AAA", "30Min", 5, edge + 5 * NS - 1).missing == (0,)
    assert made.chart("AAA", "30Min", 5, edge + 5 * NS).missing == (1,)
    assert not made.late("AAA", edge + 5 * NS - 1)
    assert made.late("AAA", edge + 5 * NS)


@pytest.mark.requirement("charts:missing")
def test_a_lunch_break_misses_nothing() -> None:
    session = calendar("XTKS").session_on("2024-03-13")
    assert session is not None
    morning = minutes(session.open_ns, (session.break_start_ns - session.open_ns) // MINUTE)
    made = book(morning, code="XTKS")
    now = session.break_start_ns + 20 * MINUTE
    assert sum(shown(made, "1Hour", now).missing) == 0
    assert shown(made, "1Day", session.break_end_ns).missing == (0,)
    assert shown(made, "1Day", session.break_end_ns + 3 * MINUTE).missing == (3,)
    assert not made.late("AAA", now)
    assert made.late("AAA", session.break_end_ns + MINUTE)


@pytest.mark.requirement("charts:missing")
def test_a_symbol_is_late_when_its_newest_minute_should_be_there() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    made = book(bars[:3])
    assert not made.late("AAA", bars[2].event_time_ns)
    assert not made.late("AAA", bars[3].event_time_ns - 1)
    assert made.late("AAA", bars[3].event_time_ns)
    assert made.late("BBB", bars[0].event_time_ns)
    assert not made.late("BBB", bars[0].open_time_ns)
    assert made.late("AAA", bars[-1].event_time_ns)
    assert not made.late("AAA", bars[-1].event_time_ns + 1)


@pytest.mark.requirement("charts:too-fine")
@pytest.mark.parametrize(
    ("base_s", "refused", "says"),
    [
        (3_600, "30Min", "1Hour, 2Hour, 4Hour, 1Day, 1Week, 1Month"),
        (86_400, "4Hour", "there is 1Day, 1Week, 1Month"),
        (300, "2Min", "5Min, 10Min, 15Min"),
        (90, "1Min", "there is 3Min, 15Min"),
        (604_800, "1Week", "there is none"),
    ],
)
def test_what_the_bars_cannot_make_is_refused_with_what_they_can(base_s: int, refused: Timeframe, says: str) -> None:
    made = ChartBook(calendar(), base_s)
    for _ in range(2):
        with pytest.raises(NotOfferedError, match=f"'{refused}' cannot be made of bars of .*{says}"):
            made.chart("AAA", refused, 5, LATER)
        made.add(bar(ns("2024-03-13 13:30"), seconds=base_s))
    with pytest.raises(NotOfferedError):
        made.chart("AAA", "7Min", 5, LATER)  # pyright: ignore[reportArgumentType] # what a caller may send


@pytest.mark.requirement("charts:days")
def test_hourly_and_daily_bars_make_days_weeks_and_months() -> None:
    hourly = [bar(ns("2025-10-01 13:30") + at * 60 * MINUTE, 100 + at, seconds=3_600) for at in range(7)]
    hourly[-1] = replace(hourly[-1], event_time_ns=ns("2025-10-01 20:00"))
    made = book(hourly, base_s=3_600)
    assert shown(made, "1Day").missing == (0,)
    assert shown(made, "1Day").bars[0].open_nano == hourly[0].open_nano
    assert shown(made, "1Hour").bars == tuple(hourly)
    daily = [bar(ns(f"2025-10-{day:02} 13:30"), 100 + day, seconds=23_400) for day in (1, 2, 3, 6)]
    made = book(daily, base_s=86_400)
    assert shown(made, "1Day").bars == tuple(daily)
    assert shown(made, "1Week").missing == (2, 4)


@pytest.mark.requirement("charts:anchor")
def test_an_hour_that_straddles_the_open_counts_with_the_session() -> None:
    clock_hours = [bar(ns("2024-03-13 13:00") + at * 60 * MINUTE, 100 + at, seconds=3_600) for at in range(7)]
    made = book(clock_hours, base_s=3_600)
    assert opens(shown(made, "2Hour"))[0] == "03-13 13:30"
    assert shown(made, "1Day").bars[0].open_nano == clock_hours[0].open_nano
    assert shown(made, "1Day").missing == (0,)


@pytest.mark.requirement("charts:bounded")
def test_a_range_of_time_gives_the_last_of_it_and_says_what_was_before() -> None:
    bars = session_minutes("XNYS", "2024-03-13")
    made = book(bars)
    start, end = ns("2024-03-13 14:00"), ns("2024-03-13 15:00")
    chart = made.chart("AAA", "10Min", 4, LATER, start_ns=start, end_ns=end)
    assert opens(chart) == ["03-13 14:20", "03-13 14:30", "03-13 14:40", "03-13 14:50"]
    assert chart.earlier
    assert not chart.forming
    assert made.chart("AAA", "10Min", 4, LATER, start_ns=bars[-1].event_time_ns).bars == ()
    assert made.chart("AAA", "10Min", 99, LATER, end_ns=bars[0].open_time_ns).bars == ()
    assert made.chart("AAA", "10Min", 99, LATER, start_ns=end, end_ns=start).bars == ()
    whole = made.chart("AAA", "10Min", 39, LATER)
    assert not whole.earlier
    assert made.chart("AAA", "10Min", 38, LATER).earlier
    assert made.chart("ZZZ", "10Min", 38, LATER) == Chart("ZZZ", "10Min", ())


@pytest.mark.requirement("charts:bounded")
def test_a_book_keeps_what_it_was_told_and_whole_days_of_base_bars() -> None:
    made = book(minutes(ns("2018-04-02 00:00"), 6 * 1_440), code="24/7", keep=100)
    made.chart("AAA", "1Min", 1, LATER)
    for one in minutes(ns("2018-04-08 00:00"), 3 * 1_440):
        made.add(one)
    chart = made.chart("AAA", "1Min", 10_000, LATER)
    assert 100 <= len(chart.bars) <= 200
    assert chart.earlier
    day = made.chart("AAA", "1Day", 10, LATER)
    assert day.bars[-1].open_time_ns == ns("2018-04-10 00:00")
    assert day.missing[-1] == 0
    correction = bar(ns("2018-04-10 12:00"), 999_999, available=ns("2018-04-11 00:00"))
    made.add(correction)
    made.add(bar(ns("2018-04-02 00:00"), 10**9, available=ns("2018-04-11 00:00")))
    corrected = made.chart("AAA", "1Day", 10, LATER)
    assert corrected.bars[-1].high_nano == correction.high_nano
    assert corrected.missing[-1] == 0
    assert corrected.bars[:-1] == day.bars[:-1]
