"""Charts of recorded days, against the day's own bars: equities, futures, currencies, coins, hours and days."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from bus.messages import Advance, Bar, ChartSet, QueryChart, Tick, Timeframe, WatchCharts
from feed._chart_spans import FINE
from feed.charts import ChartBook
from feed.service import FeedService
from feed.store import DayStore
from tests.charts.made import MINUTE, calendar, folded, ns, opens, recorded, utc

LATER = 2**61
TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


def all_bars(store: DayStore, symbol: str) -> list[Bar]:
    return list(store.bars(symbol, 100_000, LATER))


def regular(bars: list[Bar], code: str) -> list[Bar]:
    """The bars inside a session, told without the code under test's buckets."""
    return [one for one in bars if calendar(code).session_at(one.open_time_ns) is not None]


def end(store: DayStore) -> FeedService:
    feed = FeedService(store, None, None)
    for at in store.instants[-1:]:
        while feed.now_ns < at:
            feed.handle(Advance(feed.now_ns))
    return feed


def asked(feed: FeedService, symbols: tuple[str, ...], timeframes: tuple[Timeframe, ...], limit: int) -> ChartSet:
    answer = feed.handle(QueryChart(symbols, timeframes, limit))
    assert isinstance(answer, ChartSet)
    return answer


@pytest.mark.requirement("charts:recorded")
def test_equities_of_2013_agree_with_their_minutes_in_every_timeframe(days: Path) -> None:
    for store in recorded("us-equities-2013-10", days)[:2]:
        feed = end(store)
        for symbol in store.traded:
            bars = all_bars(store, symbol)
            inside = regular(bars, "XNYS")
            assert len(inside) < len(bars), "the recording has minutes before the open or after the close"
            session = calendar().session_of_bar(inside[0].open_time_ns)
            assert session is not None
            for chart in asked(feed, (symbol,), TIMEFRAMES, 2_000).charts:
                volume = sum(one.volume_nano for one in chart.bars)
                if chart.timeframe in FINE:
                    assert volume == sum(one.volume_nano for one in bars)
                    in_session = [one for one in chart.bars if session.open_ns <= one.open_time_ns < session.close_ns]
                    kept = chart.missing[chart.bars.index(in_session[0]) :][: len(in_session)]
                    if chart.timeframe != "1Min":
                        assert sum(kept) == 390 - len(inside)
                        assert sum(chart.missing) == sum(kept)
                    assert sum(one.volume_nano for one in in_session) == sum(one.volume_nano for one in inside)
                else:
                    assert volume == sum(one.volume_nano for one in inside)
                    assert chart.bars[0] == folded(inside, chart.bars[0].open_time_ns, chart.bars[0].event_time_ns)
            hours = asked(feed, (symbol,), ("1Hour",), 50).charts[0]
            assert "10-04 13:30" in opens(hours) or "10-07 13:30" in opens(hours)


@pytest.mark.requirement("charts:recorded")
def test_currencies_of_may_2014_count_from_midnight_and_sundays_evening_from_the_next(days: Path) -> None:
    stores = recorded("fx-2014-05", days)
    sundays = [store for store in stores if calendar("24/5").session_on(store.date) is None]
    for store in stores[:2] + tuple(sundays[:1]):
        feed = end(store)
        symbol = store.traded[0]
        bars = all_bars(store, symbol)
        for chart in asked(feed, (symbol,), ("15Min", "4Hour", "1Day"), 2_000).charts:
            if chart.timeframe in FINE:
                length = FINE[chart.timeframe] * 10**9
                assert all(one.open_time_ns % length == 0 for one in chart.bars)
            assert {one.volume_nano for one in chart.bars} == {0}
            assert max(one.high_nano for one in chart.bars) == max(one.high_nano for one in bars)


@pytest.mark.requirement("charts:recorded")
def test_coins_of_april_2018_round_the_clock_in_one_book(days: Path) -> None:
    stores = recorded("crypto-2018-04", days)
    made = ChartBook(calendar("24/7"), 60)
    bars = [one for store in stores for one in all_bars(store, "BTCUSD")]
    for one in reversed(bars):
        made.add(one)
    by_day = made.chart("BTCUSD", "1Day", 10, LATER)
    assert len(by_day.bars) == 3
    for one, store in zip(by_day.bars, stores, strict=True):
        own = all_bars(store, "BTCUSD")
        assert one == folded(own, one.open_time_ns, one.open_time_ns + 1_440 * MINUTE)
        assert utc(one.open_time_ns).endswith("00:00")
    assert by_day.missing == tuple(1_440 - len(all_bars(store, "BTCUSD")) for store in stores)
    quarters = made.chart("BTCUSD", "4Hour", 99, LATER)
    absent = 3 * 6 - len(quarters.bars)
    assert sum(quarters.missing) + absent * 240 == sum(by_day.missing), "four hours without a bar are not made up"


@pytest.mark.requirement("charts:recorded")
def test_futures_of_2013_have_sessions_from_evening_to_evening(days: Path) -> None:
    stores = recorded("futures-2013-10", days)
    made = ChartBook(calendar("CMES"), 60)
    bars = [one for store in stores for one in all_bars(store, store.traded[0])]
    for one in bars:
        made.add(one)
    symbol = bars[0].symbol
    by_day = made.chart(symbol, "1Day", 10, LATER)
    assert all(utc(one.open_time_ns).endswith("22:00") for one in by_day.bars)
    assert sum(one.volume_nano for one in by_day.bars) == sum(one.volume_nano for one in bars)
    for one in by_day.bars:
        inside = [bar for bar in bars if one.open_time_ns <= bar.open_time_ns < one.open_time_ns + 1_440 * MINUTE]
        assert one == folded(inside, one.open_time_ns, one.event_time_ns)


@pytest.mark.requirement("charts:recorded")
def test_hours_and_days_make_what_is_longer(days: Path) -> None:
    hourly = recorded("us-hourly-2025-10", days)
    made = ChartBook(calendar(), 3_600)
    for store in hourly:
        for one in all_bars(store, "AAPL"):
            made.add(one)
    by_day = made.chart("AAPL", "1Day", 50, LATER)
    assert len(by_day.bars) == len(hourly)
    assert {utc(one.open_time_ns)[-5:] for one in by_day.bars} == {"13:30"}
    assert by_day.missing == (1,) * len(hourly), "these hours begin at 10:00: the first half hour is not there"
    weeks = made.chart("AAPL", "1Week", 50, LATER)
    assert opens(weeks) == ["09-29 13:30", "10-06 13:30", "10-13 13:30"]
    assert weeks.bars[1].volume_nano == sum(one.volume_nano for one in by_day.bars[3:8])


@pytest.mark.requirement("charts:aligned")
def test_an_aligned_set_of_a_recorded_day_marks_the_minutes_that_are_missing(days: Path) -> None:
    store = recorded("us-equities-2013-10", days)[0]
    feed = FeedService(store, None, None)
    frames: tuple[Timeframe, ...] = ("1Min", "5Min", "1Hour", "1Day")
    feed.handle(WatchCharts("all", store.traded, frames, 100))
    session = calendar().session_on(store.date)
    assert session is not None
    made, late = ChartSet("", 0, ()), 0
    while feed.now_ns < session.open_ns + 120 * MINUTE:
        moved = feed.handle(Advance(feed.now_ns))
        assert isinstance(moved, Tick)
        answer = feed.handle(WatchCharts("all", store.traded, frames, 100))
        assert isinstance(answer, ChartSet)
        made = answer
        assert made.now_ns == feed.now_ns
        came = {one.symbol for one in moved.bars}
        if session.open_ns < feed.now_ns <= session.close_ns:
            assert set(made.late) == set(store.traded) - came
            late += len(made.late)
        for chart in made.charts:
            if chart.timeframe == "1Min" and chart.symbol in came:
                assert chart.bars[-1] == next(one for one in moved.bars if one.symbol == chart.symbol)
    hours = next(one for one in made.charts if one.timeframe == "1Hour")
    assert "13:30" in opens(hours)[-2]
    assert ns(f"2013-{utc(feed.now_ns)}") == session.open_ns + 120 * MINUTE
    assert late == 0, "on this day these symbols traded in every minute of the first two hours"


@pytest.mark.requirement("charts:point-in-time")
def test_every_event_of_a_recorded_day_gives_the_charts_of_what_was_known(days: Path) -> None:
    store = recorded("us-equities-2013-10", days)[1]
    feed = FeedService(store, None, None)
    symbol = store.traded[0]
    for at in range(500):
        feed.handle(Advance(feed.now_ns))
        if at % 25:
            continue
        fresh = ChartBook(calendar(), 60)
        for one in store.bars(symbol, 100_000, feed.now_ns):
            fresh.add(one)
        for chart in asked(feed, (symbol,), TIMEFRAMES, 300).charts:
            assert chart == fresh.chart(symbol, chart.timeframe, 300, feed.now_ns)
            assert all(bar.event_time_ns <= feed.now_ns for bar in chart.bars)
