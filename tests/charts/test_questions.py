"""What tools ask the feed of a recorded day: clock, symbols, charts, news search, sessions, counts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus._dispatch import answer_bytes
from bus.codec import decode, encode
from bus.errors import BusError, ConfigError, LookAheadError, NotOfferedError
from bus.messages import (
    Advance,
    Bars,
    CalendarEvents,
    ChartSet,
    ErrorReply,
    FeedClock,
    FeedStats,
    GetClock,
    GetFeedStats,
    Instruments,
    Message,
    NewsItems,
    NewsPage,
    QueryBars,
    QueryCalendar,
    QueryChart,
    QueryInstruments,
    QueryNews,
    QuerySessions,
    QuerySnapshot,
    SearchNews,
    Sessions,
    Snapshot,
    Timeframe,
    WatchCharts,
)
from feed.format import load_day
from feed.sample import SAMPLE_SYMBOLS, write_sample
from feed.service import FeedService
from feed.sessions import session_calendar
from feed.store import DayStore
from tests.charts.made import MINUTE, ns, opens

TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)
OPEN = ns("2024-03-13 13:30")
CLOSE = ns("2024-03-13 20:00")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DayStore:
    return DayStore(load_day(write_sample(tmp_path_factory.mktemp("day") / "sample")))


def moved(store: DayStore, instants: int) -> FeedService:
    feed = FeedService(store, None, None)
    for _ in range(instants):
        feed.handle(Advance(feed.now_ns))
    return feed


def clock(feed: FeedService) -> FeedClock:
    answer = feed.handle(GetClock())
    assert isinstance(answer, FeedClock)
    return answer


def charts(feed: FeedService, ask: QueryChart) -> ChartSet:
    answer = feed.handle(ask)
    assert isinstance(answer, ChartSet)
    return answer


def news(feed: FeedService, ask: SearchNews) -> NewsPage:
    answer = feed.handle(ask)
    assert isinstance(answer, NewsPage)
    return answer


@pytest.mark.requirement("charts:clock")
def test_before_the_first_instant_it_is_midnight_of_the_day(store: DayStore) -> None:
    told = clock(moved(store, 0))
    assert told.now_ns == ns("2024-03-13 04:00")
    assert (told.is_open, told.session, told.ended) == (False, "2024-03-12", False)
    assert (told.next_open_ns, told.next_close_ns) == (OPEN, CLOSE)
    feed = moved(store, 0)
    for ask in (QueryBars("ACME", 5, told.now_ns), QueryNews((), 0, told.now_ns), SearchNews("", (), 0, told.now_ns)):
        answer = feed.handle(ask)
        assert isinstance(answer, (Bars, NewsItems, NewsPage))
        assert not (answer.bars if isinstance(answer, Bars) else answer.items)
    with pytest.raises(LookAheadError):
        feed.handle(QueryBars("ACME", 5, told.now_ns + 1))


@pytest.mark.requirement("charts:clock")
def test_the_clock_tells_the_hours_of_the_venue(store: DayStore) -> None:
    told = clock(moved(store, 30))
    assert told == FeedClock(
        OPEN + 30 * MINUTE, "day", "synthetic-2024-03-13-seed7", "synthetic", "XNYS", "America/New_York", 60,
        is_open=True, session="2024-03-13", open_ns=OPEN, close_ns=CLOSE, next_open_ns=ns("2024-03-14 13:30"),
        next_close_ns=CLOSE, ended=False,
    )  # fmt: skip
    last = clock(moved(store, 390))
    assert (last.now_ns, last.is_open, last.ended, last.session) == (CLOSE, False, True, "2024-03-13")
    assert (last.next_open_ns, last.next_close_ns) == (ns("2024-03-14 13:30"), ns("2024-03-14 20:00"))
    assert not clock(moved(store, 389)).ended


@pytest.mark.requirement("charts:clock")
def test_the_clock_tells_nothing_of_a_day_that_ends_early(store: DayStore, tmp_path: Path) -> None:
    day = load_day(write_sample(tmp_path / "whole"))
    tables = {
        name: {column: values[: len(values) // 2] for column, values in columns.items()}
        for name, columns in day.tables.items()
        if name in ("bars", "quotes")
    }
    short = DayStore(type(day)(day.manifest, day.seal, day.instruments, tables))
    assert short.info().instants < 200
    for instants in (0, 1, 100):
        assert encode(clock(moved(short, instants))) == encode(clock(moved(store, instants)))


@pytest.mark.requirement("charts:clock")
def test_without_a_calendar_the_hours_are_unknown_and_the_time_is_told(
    store: DayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_calendar.cache_clear()
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    feed = moved(store, 3)
    told = clock(feed)
    assert told.now_ns == OPEN + 3 * MINUTE
    assert (told.open_ns, told.close_ns, told.next_open_ns, told.next_close_ns, told.is_open) == (0, 0, 0, 0, False)
    assert told.session == "2024-03-13"
    for ask in (
        QueryChart(("ACME",), ("5Min",), 3),
        QuerySessions(OPEN, CLOSE),
        WatchCharts("a", ("ACME",), ("5Min",), 3),
    ):
        with pytest.raises(ConfigError, match=r"install it with: pip install 'openoutcry\[mcp\]'"):
            feed.handle(ask)
    feed.handle(Advance(feed.now_ns))
    monkeypatch.undo()
    session_calendar.cache_clear()


@pytest.mark.requirement("charts:tools")
def test_minus_one_is_the_feeds_own_clock(store: DayStore) -> None:
    feed = moved(store, 40)
    now = feed.now_ns
    asks: list[tuple[Message, Message]] = [
        (QueryBars("ACME", 9, -1), QueryBars("ACME", 9, now)),
        (QueryNews((), 0, -1), QueryNews((), 0, now)),
        (QueryCalendar(-1, 0, 2**62), QueryCalendar(now, 0, 2**62)),
        (QuerySnapshot((), -1), QuerySnapshot((), now)),
        (SearchNews("", (), 0), SearchNews("", (), 0, now)),
        (QueryChart(("ACME",), TIMEFRAMES, 99), QueryChart(("ACME",), TIMEFRAMES, 99, now)),
    ]
    for first, second in asks:
        assert encode(feed.handle(first)) == encode(feed.handle(second))
    snapshot, calendar = feed.handle(QuerySnapshot((), -1)), feed.handle(QueryCalendar(-1, 0, 2**62))
    assert isinstance(snapshot, Snapshot)
    assert isinstance(calendar, CalendarEvents)
    assert snapshot.now_ns == calendar.now_ns == now
    assert snapshot.bars


@pytest.mark.requirement("charts:point-in-time")
@pytest.mark.parametrize("ahead", [1, MINUTE, 2**62])
def test_no_question_reaches_after_the_clock(store: DayStore, ahead: int) -> None:
    feed = moved(store, 40)
    later = feed.now_ns + ahead
    for ask in (
        QueryChart(("ACME",), ("5Min",), 5, later),
        QueryChart(("ACME",), ("5Min",), 5, -1, later),
        QueryChart(("ACME",), ("5Min",), 5, -1, 0, later),
        SearchNews("", (), 0, later),
    ):
        with pytest.raises(
            LookAheadError, match=r"after the clock, 2024-03-13 14:10:00Z; ask as of the clock or before"
        ):
            feed.handle(ask)


@pytest.mark.requirement("charts:point-in-time")
def test_a_chart_as_of_an_earlier_time_is_what_was_answered_then(store: DayStore) -> None:
    growing = moved(store, 0)
    symbols = ("ACME", "FLUX")
    given_then: list[tuple[int, ChartSet]] = []
    for _ in range(130):
        growing.handle(Advance(growing.now_ns))
        given_then.append((growing.now_ns, charts(growing, QueryChart(symbols, TIMEFRAMES, 40))))
    for now, answer in given_then[::-7]:
        again = charts(growing, QueryChart(symbols, TIMEFRAMES, 40, now))
        assert again == answer
        assert all(bar.available_time_ns <= now for chart in again.charts for bar in chart.bars)
        assert all(bar.event_time_ns <= now for chart in again.charts for bar in chart.bars)
    assert charts(growing, QueryChart(symbols, TIMEFRAMES, 40)) == given_then[-1][1]
    between = charts(growing, QueryChart(symbols, TIMEFRAMES, 40, given_then[50][0] + 1))
    assert [chart.bars for chart in between.charts] == [chart.bars for chart in given_then[50][1].charts]


@pytest.mark.requirement("charts:point-in-time")
def test_a_range_of_an_earlier_time_is_cut_out_of_what_was_known_then(store: DayStore) -> None:
    feed = moved(store, 200)
    start, end = OPEN + 30 * MINUTE, OPEN + 60 * MINUTE
    (chart,) = charts(feed, QueryChart(("BOLT",), ("10Min",), 50, -1, start, end)).charts
    assert opens(chart) == ["03-13 14:00", "03-13 14:10", "03-13 14:20"]
    assert chart.earlier
    assert not chart.forming
    (then,) = charts(feed, QueryChart(("BOLT",), ("10Min",), 50, OPEN + 45 * MINUTE, start, end)).charts
    assert opens(then) == ["03-13 14:00", "03-13 14:10"]
    assert then.forming
    (last,) = charts(feed, QueryChart(("BOLT",), ("10Min",), 2, -1, start, end)).charts
    assert last.bars == chart.bars[1:]


@pytest.mark.requirement("charts:tools")
def test_minutes_of_a_chart_are_the_bars_of_the_day(store: DayStore) -> None:
    feed = moved(store, 77)
    for symbol in SAMPLE_SYMBOLS:
        (chart,) = charts(feed, QueryChart((symbol,), ("1Min",), 1_000)).charts
        assert chart.bars == store.bars(symbol, 1_000, feed.now_ns)


@pytest.mark.requirement("charts:tools")
def test_charts_come_in_the_order_that_was_asked_each_once(store: DayStore) -> None:
    made = charts(moved(store, 9), QueryChart(("FLUX", "ACME", "FLUX"), ("1Day", "1Min", "1Day"), 5))
    assert [(chart.symbol, chart.timeframe) for chart in made.charts] == [
        ("FLUX", "1Day"), ("FLUX", "1Min"), ("ACME", "1Day"), ("ACME", "1Min"),
    ]  # fmt: skip


@pytest.mark.requirement("charts:tools")
def test_symbols_are_listed_by_name_in_pages_and_found_by_a_part(store: DayStore) -> None:
    feed = moved(store, 1)

    def listed(ask: QueryInstruments) -> tuple[list[str], int]:
        answer = feed.handle(ask)
        assert isinstance(answer, Instruments)
        assert answer.traded == tuple(sorted(SAMPLE_SYMBOLS))
        return [item.symbol for item in answer.items], answer.total

    assert listed(QueryInstruments()) == (sorted(SAMPLE_SYMBOLS), 6)
    assert listed(QueryInstruments("", 2, 4)) == (["ECHO", "FLUX"], 6)
    assert listed(QueryInstruments("c", 10)) == (["ACME", "CRUX", "ECHO"], 3)
    assert listed(QueryInstruments("", 10, 99)) == ([], 6)
    assert listed(QueryInstruments("zz")) == ([], 0)
    assert listed(QueryInstruments("", 10_000))[1] == 6


@pytest.mark.requirement("charts:tools")
def test_news_is_searched_for_all_words_newest_first_in_pages(store: DayStore) -> None:
    feed = moved(store, 390)
    whole = news(feed, SearchNews("", (), 0, limit=1_000))
    assert whole.total == len(whole.items) > 30
    times = [item.available_time_ns for item in whole.items]
    assert times == sorted(times, reverse=True)
    found = news(feed, SearchNews("  GUIDANCE raises ", (), 0, limit=1_000))
    assert found.items == tuple(
        item for item in whole.items if "guidance" in item.headline and "raises" in item.headline
    )
    assert 0 < found.total < whole.total
    assert news(feed, SearchNews("guid", (), 0)).total == news(feed, SearchNews("guidance", (), 0)).total
    assert news(feed, SearchNews("uidance", (), 0)).total == 0
    assert news(feed, SearchNews("guidance nowhere", (), 0)).total == 0
    assert news(feed, SearchNews(".* (", (), 0)).total == 0
    paged = [news(feed, SearchNews("", (), 0, limit=7, offset=at)) for at in range(0, whole.total, 7)]
    assert tuple(item for page in paged for item in page.items) == whole.items
    assert {page.total for page in paged} == {whole.total}
    of_one = news(feed, SearchNews("", ("DYNE",), 0, limit=100))
    assert of_one.items == tuple(item for item in whole.items if "DYNE" in item.symbols)
    since = times[5]
    assert news(feed, SearchNews("", (), since, limit=100)).total == sum(1 for time in times if time > since)
    assert news(feed, SearchNews("ignore previous instructions", (), 0)).total == 1


@pytest.mark.requirement("charts:tools")
def test_sessions_are_told_for_any_time_for_the_calendar_is_public(store: DayStore) -> None:
    feed = moved(store, 1)
    answer = feed.handle(QuerySessions(ns("2024-03-28 00:00"), ns("2024-04-02 00:00")))
    assert isinstance(answer, Sessions)
    assert [session.date for session in answer.sessions] == ["2024-03-28", "2024-04-01"]
    assert (answer.calendar, answer.timezone) == ("XNYS", "America/New_York")
    with pytest.raises(BusError, match="from must be before to"):
        feed.handle(QuerySessions(5, 5))
    with pytest.raises(BusError, match=r"sessions; allowed are 10,000: ask for a shorter span"):
        feed.handle(QuerySessions(0, 2**62))


@pytest.mark.requirement("charts:tools")
def test_questions_are_counted(store: DayStore) -> None:
    feed = moved(store, 3)
    feed.handle(GetClock())
    assert feed.handle(GetFeedStats()) == FeedStats("day", 5, 0, 0, 0, last_record_ns=OPEN + 3 * MINUTE)


@pytest.mark.requirement("charts:tools")
@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (QueryChart(("NOPE",), ("5Min",), 5), ConfigError, "'NOPE' is not on this day; it has ACME"),
        (QueryChart((), ("5Min",), 5), BusError, "at least one symbol and one timeframe"),
        (QueryChart(("ACME",), (), 5), BusError, "at least one symbol and one timeframe"),
        (QueryChart(("ACME",), ("5Min",), 0), BusError, "allowed is 1 to 10,000"),
        (QueryChart(("ACME",), ("5Min",), 2**40), BusError, "allowed is 1 to 10,000"),
        (QueryInstruments("", 0), BusError, "allowed is 1 to 10,000"),
        (QueryInstruments("", 10, -1), BusError, "an offset of -1 is out of range; allowed is 0 or more"),
        (SearchNews("", (), 0, -1, 10_001), BusError, "allowed is 1 to 10,000"),
        (SearchNews("", (), 0, -1, 10, -5), BusError, "an offset of -5"),
        (SearchNews("a " * 21, (), 0), BusError, "allowed are 20 words and 500 characters"),
        (SearchNews("a" * 501, (), 0), BusError, "allowed are 20 words and 500 characters"),
    ],
)
def test_what_is_out_of_range_is_refused_with_what_is_allowed(
    store: DayStore, ask: Message, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        moved(store, 3).handle(ask)


@pytest.mark.requirement("charts:too-fine")
def test_an_hourly_day_offers_hours_and_longer(store: DayStore) -> None:
    day = load_day_of(store, 3_600)
    feed = moved(day, 5)
    with pytest.raises(NotOfferedError, match="there is 1Hour, 2Hour, 4Hour, 1Day, 1Week, 1Month"):
        feed.handle(QueryChart(("ACME",), ("30Min",), 5))
    with pytest.raises(NotOfferedError):
        feed.handle(WatchCharts("a", ("ACME",), ("1Hour", "30Min"), 5))
    feed.handle(Advance(feed.now_ns))
    assert feed.handle(QueryChart(("ACME",), ("1Hour", "1Day"), 5))


def load_day_of(store: DayStore, bar_s: int) -> DayStore:
    """The same rows, said to be of longer bars."""
    day = store._day  # pyright: ignore[reportPrivateUsage] # the rows as they were loaded
    manifest = replace(day.manifest, bar_s=bar_s)
    return DayStore(type(day)(manifest, day.seal, day.instruments, day.tables))


@pytest.mark.requirement("charts:tools")
@settings(max_examples=200, deadline=None)
@given(
    symbols=st.lists(st.sampled_from(["ACME", "FLUX", "NOPE", ""]), max_size=4),
    timeframes=st.lists(st.sampled_from(TIMEFRAMES), max_size=4),
    limit=st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 40),
    times=st.tuples(*[st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 0, OPEN, OPEN + 600 * 10**9])] * 3),
    text=st.text(max_size=40),
)
def test_no_question_however_odd_breaks_the_feed(
    store: DayStore,
    symbols: list[str],
    timeframes: list[Timeframe],
    limit: int,
    times: tuple[int, int, int],
    text: str,
) -> None:
    feed = _FEEDS[20] = _FEEDS.get(20) or moved(store, 20)
    before = clock(feed)
    asks: list[Message] = [
        QueryChart(tuple(symbols), tuple(timeframes), limit, *times),
        SearchNews(text, tuple(symbols), *times[:2], limit, times[2]),
        QueryInstruments(text, limit, times[0]),
        QuerySessions(times[0], times[1]),
        QueryBars("ACME", limit, times[0]),
        QueryCalendar(*times),
        QuerySnapshot(("ACME",), times[0]),
    ]
    for ask in asks:
        answer = answer_bytes(feed, encode(ask))
        assert isinstance(answer, bytes)
        told = decode(answer)
        if isinstance(told, ErrorReply):
            assert told.code in {"bus", "config", "look_ahead", "not_offered"}
            assert len(told.message) > 20
    assert clock(feed) == before


_FEEDS: dict[int, FeedService] = {}


@pytest.mark.requirement("charts:calendar-kinds")
def test_the_sample_day_has_one_earnings_release_whose_figure_comes_when_it_is_out(store: DayStore) -> None:
    figures: list[str] = []
    for instants in (10, 149, 150, 151, 390):
        answer = moved(store, instants).handle(QueryCalendar(-1, 0, 2**62))
        assert isinstance(answer, CalendarEvents)
        (event,) = [event for event in answer.events if event.kind == "earnings"]
        assert (event.symbol, event.forecast) == ("ECHO", "0.52")
        figures.append(event.actual)
        assert all(event.symbol == "" for event in answer.events if event.kind == "economic")
    assert figures == ["", "", "", "0.61", "0.61"]
