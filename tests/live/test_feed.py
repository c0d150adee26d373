"""A live feed: its clock, its instants, its promises, and the stream behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench._feed_stream import StreamSource
from bench._feed_vendor import VendorSource
from bus.clock import NS
from bus.codec import encode
from bus.deferred import Deferred
from bus.errors import BusError, ConfigError, LookAheadError, NotOfferedError, SourceError
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    Bars,
    CalendarEvents,
    DayInfo,
    DescribeDay,
    FeedClock,
    FeedStats,
    GetClock,
    GetFeedStats,
    Instruments,
    Message,
    NewsItems,
    NewsPage,
    Ok,
    Ping,
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
    Tick,
    TickAt,
    UnwatchCharts,
)
from feed._live_pump import Pace
from feed.live import LiveFeed, build_live_feed
from feed.source import Sink, SourceSpec, Stream
from feed.spec import FeedSpec
from tests.live.scripted import (
    MINUTE,
    NOON,
    SYMBOLS,
    WAIT_S,
    ScriptedVendor,
    Wall,
    answer,
    ask,
    live_feed,
    until,
)


def stats(feed: LiveFeed) -> FeedStats:
    return ask(feed, GetFeedStats(), FeedStats)


def advance_until(feed: LiveFeed, after_ns: int, bars: int) -> list[Tick]:
    """Advance until so many bars have been in ticks."""
    ticks: list[Tick] = []
    while sum(len(tick.bars) for tick in ticks) < bars:
        ticks.append(ask(feed, Advance(after_ns), Tick))
        after_ns = ticks[-1].clock.now_ns
    return ticks


def bar(vendor: ScriptedVendor, open_ns: int, symbol: str = "ACME", price: int = 100) -> None:
    vendor.push("bar", symbol, open_ns // NS, open_ns // NS + 60, price)


@pytest.mark.requirement("live:advance")
def test_an_instant_is_cut_once_and_asked_again_it_is_the_same() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        first = ask(feed, Advance(-1), Tick)
        assert (first.clock.index, first.clock.total, first.clock.done) == (0, 0, False)
        bar(vendor, NOON - MINUTE)
        (*_, second) = advance_until(feed, first.clock.now_ns, 1)
        assert encode(ask(feed, Advance(-1), Tick)) == encode(first)
        assert encode(ask(feed, TickAt(second.clock.now_ns), Tick)) == encode(second)
        assert second.bars[0].available_time_ns <= second.clock.now_ns
        with pytest.raises(BusError, match="no instant of this run"):
            feed.handle(TickAt(first.clock.now_ns - 1))
    vendor.close()


@pytest.mark.requirement("live:advance")
def test_the_clock_moves_when_nothing_happens() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        after, ticks = -1, list[Tick]()
        for _ in range(4):
            wall.now_ns += NS
            ticks.append(ask(feed, Advance(after), Tick))
            after = ticks[-1].clock.now_ns
        assert [tick.clock.index for tick in ticks] == [0, 1, 2, 3]
        assert all(one.clock.now_ns < other.clock.now_ns for one, other in zip(ticks, ticks[1:], strict=False))
        assert not any(tick.bars or tick.quotes for tick in ticks)
    vendor.close()


@pytest.mark.requirement("live:advance")
def test_several_who_wait_get_the_same_instant() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        first = ask(feed, Advance(-1), Tick)
        waiting = [feed.handle(Advance(first.clock.now_ns)) for _ in range(3)]
        answers = [one.wait(WAIT_S) for one in waiting if isinstance(one, Deferred)]
        assert len(answers) == 3
        assert answers[0] == answers[1] == answers[2]
    vendor.close()


@pytest.mark.requirement("live:advance")
def test_a_restarted_feed_answers_the_same_and_shows_what_came_in_between(tmp_path: Path) -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    cache, clock = tmp_path / "cache", tmp_path / "clock"
    with live_feed(vendor, wall, cache_file=cache, clock_file=clock) as feed:
        assert vendor.wait_streams(1)
        bar(vendor, NOON - MINUTE)
        ticks = advance_until(feed, -1, 1)
        wall.now_ns = NOON + MINUTE + 5 * NS
        bar(vendor, NOON)  # this one comes, is kept, and is in no instant when the feed ends
        until(lambda: len(ask(feed, QueryBars("ACME", 1, NOON + MINUTE + 5 * NS), Bars).bars) == 1)
    vendor.drop()
    wall.now_ns = NOON + 3 * MINUTE + 5 * NS
    with live_feed(vendor, wall, cache_file=cache, clock_file=clock) as feed:
        after = -1
        for tick in ticks:
            assert encode(ask(feed, Advance(after), Tick)) == encode(tick)
            assert encode(ask(feed, TickAt(tick.clock.now_ns), Tick)) == encode(tick)
            after = tick.clock.now_ns
        more = advance_until(feed, after, 6)
        assert [tick.clock.index for tick in (*ticks, *more)] == list(range(len(ticks) + len(more)))
        shown = sorted((one.symbol, one.open_time_ns) for tick in more for one in tick.bars)
        assert [one for one in shown if one[0] == "ACME"] == [("ACME", NOON + n * MINUTE) for n in range(3)]
    vendor.close()


@pytest.mark.requirement("live:advance")
def test_the_instants_of_other_symbols_are_refused(tmp_path: Path) -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall, clock_file=tmp_path / "clock") as feed:
        ask(feed, Advance(-1), Tick)
    with pytest.raises(ConfigError, match="other symbols"):
        LiveFeed(StreamSource(vendor.port, ("ACME",)), ("ACME",), clock_file=tmp_path / "clock", clock=wall)
    with pytest.raises(ConfigError, match="no symbols"):
        LiveFeed(StreamSource(vendor.port, ()), (), clock=wall)
    vendor.close()


@pytest.mark.requirement("live:look-ahead")
@pytest.mark.parametrize("ahead", [1, 60 * NS, 2**61])
def test_a_question_about_the_future_is_refused(ahead: int) -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        later = NOON + ahead
        questions: list[Message] = [
            Advance(later),
            TickAt(later),
            QueryBars("ACME", 5, later),
            QueryNews((), 0, later),
            QueryCalendar(later, 0, later),
            QuerySnapshot((), later),
            SearchNews("", (), 0, later),
            QueryChart(("ACME",), ("1Min",), 5, later),
            QueryChart(("ACME",), ("1Min",), 5, -1, 0, later),
        ]
        for question in questions:
            with pytest.raises(LookAheadError, match="after the clock"):
                feed.handle(question)
        assert not vendor.asked or [path for path, _ in vendor.asked] == ["/stream"]
    vendor.close()


@pytest.mark.requirement("live:look-ahead")
def test_a_question_about_the_past_is_answered_as_it_was_then() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        until(lambda: stats(feed).state == "ok")
        for symbol in SYMBOLS:
            vendor.push("quote", symbol, NOON // NS - 1, 100)
        then, shown = -1, 0
        while shown < 2:
            tick = ask(feed, Advance(then), Tick)
            then, shown = tick.clock.now_ns, shown + len(tick.quotes)
        questions: list[Message] = [
            *(QueryBars(symbol, 20, then) for symbol in SYMBOLS),
            QueryNews(SYMBOLS, then - 3600 * NS, then),
            QueryChart(SYMBOLS, ("1Min", "15Min", "1Day"), 5, then),
            QuerySnapshot((), then),  # last: as of an instant it is made of what is kept
        ]
        before = [encode(answer(feed, question)) for question in questions]
        wall.now_ns += 3 * MINUTE + 10 * NS
        vendor.push("quote", "ACME", NOON // NS + 60, 130)
        bar(vendor, NOON)
        bar(vendor, NOON + MINUTE)
        vendor.push("news", "late", "ACME", NOON // NS - 60)
        until(lambda: len(ask(feed, QueryBars("ACME", 3, -1), Bars).bars) == 3)
        answer(feed, QueryChart(SYMBOLS, ("1Min", "15Min", "1Day"), 5))
        after = [encode(answer(feed, question)) for question in questions]
        assert after == before
    vendor.close()


@pytest.mark.requirement("live:deferred")
def test_a_vendor_that_hangs_holds_up_nobody_else() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        known = ask(feed, QueryBars("ACME", 30, -1), Bars)
        vendor.hold("/bars")
        hanging = [feed.handle(QueryBars("BOLT", 30, -1)) for _ in range(5)]
        assert all(isinstance(one, Deferred) and not one.done for one in hanging)
        assert feed.handle(QueryBars("ACME", 30, NOON)) == known
        assert isinstance(feed.handle(GetClock()), FeedClock)
        assert ask(feed, QueryInstruments("bo"), Instruments).items[0].symbol == "BOLT"
        assert ask(feed, Advance(-1), Tick).clock.index == 0
        assert ask(feed, Ping(), Ok) == Ok("feed")
        assert not any(isinstance(one, Deferred) and one.done for one in hanging)
        vendor.free.set()
        answers = [one.wait(WAIT_S) for one in hanging if isinstance(one, Deferred)]
        assert all(isinstance(answer, Bars) and len(answer.bars) == 30 for answer in answers)
        assert [asked["symbol"] for asked in vendor.calls("/bars")] == ["ACME", "BOLT"]
        assert (stats(feed).joined, stats(feed).from_cache) == (4, 1)
    vendor.close()


@pytest.mark.requirement("live:failed")
def test_a_vendor_that_is_down_is_an_error_that_says_so() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    source = VendorSource(vendor.port, SYMBOLS)
    with live_feed(vendor, wall, source) as feed:
        vendor.close()
        for question in (QueryBars("ACME", 30, -1), QuerySnapshot((), -1), DescribeDay()):
            with pytest.raises(SourceError, match="cannot be asked"):
                answer(feed, question)
        assert ask(feed, GetClock(), FeedClock).now_ns == NOON


@pytest.mark.requirement("live:outage")
def test_the_hole_of_an_outage_is_filled_when_the_stream_is_back() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        until(lambda: stats(feed).state == "ok")
        wall.now_ns = NOON + MINUTE + NS
        bar(vendor, NOON)
        first = advance_until(feed, -1, 1)
        vendor.refuses = True
        vendor.drop()
        until(lambda: stats(feed).state.startswith(("down", "connecting again; it was down")))
        wall.now_ns = NOON + 6 * MINUTE + 10 * NS
        vendor.refuses = False
        until(lambda: stats(feed).reconnects == 1)
        ticks = advance_until(feed, first[-1].clock.now_ns, 10)
        shown = [one for tick in ticks for one in tick.bars]
        opens = sorted((one.symbol, (one.open_time_ns - NOON) // MINUTE) for one in shown)
        assert [minute for symbol, minute in opens if symbol == "ACME"] == [1, 2, 3, 4, 5]
        assert all(one.available_time_ns == wall.now_ns for one in shown), "known from when they came"
        wall.now_ns = NOON + 7 * MINUTE + 10 * NS
        until(lambda: stats(feed).state == "ok")
    vendor.close()


@pytest.mark.requirement("live:outage")
def test_while_the_stream_is_down_questions_are_answered_by_asking() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        until(lambda: stats(feed).state == "ok")
        vendor.refuses = True
        vendor.drop()
        until(lambda: stats(feed).state != "ok")
        wall.now_ns = NOON + 5 * MINUTE + 10 * NS
        bars = ask(feed, QueryBars("ACME", 5, -1), Bars).bars
        assert [one.open_time_ns for one in bars] == [NOON + n * MINUTE for n in range(5)]
        snapshot = ask(feed, QuerySnapshot(("ACME",), -1), Snapshot)
        assert snapshot.quotes[0].event_time_ns == wall.now_ns // NS * NS
    vendor.close()


@pytest.mark.requirement("live:silent")
def test_a_stream_that_says_nothing_is_told_and_connected_again() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall, StreamSource(vendor.port, SYMBOLS, silent_s=0.2)) as feed:
        assert vendor.wait_streams(1)
        vendor.hold("/stream")
        until(lambda: stats(feed).state == "connecting again; it was silent: nothing came for 0.2 s")
        vendor.free.set()
        until(lambda: stats(feed).reconnects >= 1)
    vendor.close()


@pytest.mark.requirement("live:malformed")
def test_nonsense_in_the_stream_is_counted_and_the_rest_is_served() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        nonsense: list[bytes] = [
            b"not json",
            b"[]",
            b'["bar"]',
            b'["bar", "ACME", 1, 61, "high"]',
            b'["bar", "EVIL", 1710331140, 1710331200, 5]',
            b'["bar", "ACME", 1710331140, 1710331200, -5]',
            b'["bar", "ACME", 1710331200, 1710331140, 5]',
            b'["quote", "ACME", 0, 5]',
            b'["quote", "EVIL", 1710331140, 5]',
            b'["news", "", "ACME", 1710331140]',
            b'["gossip", 1]',
            b"\xff\xfe\x00",
        ]
        for line in nonsense:
            vendor.push_raw(line)
        bar(vendor, NOON - MINUTE)
        (*_, tick) = advance_until(feed, -1, 1)
        assert [one.open_time_ns for one in tick.bars] == [NOON - MINUTE]
        assert stats(feed).rejected_records == len(nonsense)
    vendor.close()


@pytest.mark.requirement("live:versions")
def test_late_and_repeated_records_of_a_stream_are_shown_once() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        for minute in (3, 1, 3, 2, 1):
            bar(vendor, NOON - minute * MINUTE)
        for at in (5, 9, 7, 9):
            vendor.push("quote", "ACME", NOON // NS - 60 + at, 100 + at)
        vendor.push("news", "n1", "ACME", NOON // NS - 30)
        vendor.push("news", "n1", "ACME", NOON // NS - 30)
        ticks = advance_until(feed, -1, 3)
        wall.now_ns += NS
        ticks.append(ask(feed, Advance(ticks[-1].clock.now_ns), Tick))
        shown = sorted((NOON - one.open_time_ns) // MINUTE for tick in ticks for one in tick.bars)
        assert shown == [1, 2, 3]
        assert [one.news_id for tick in ticks for one in tick.news].count("n1") == 1
        until(lambda: bool(ask(feed, QuerySnapshot(("ACME",), -1), Snapshot).quotes))
        assert ask(feed, QuerySnapshot(("ACME",), -1), Snapshot).quotes[0].event_time_ns == NOON - 51 * NS
        bars = ask(feed, QueryBars("ACME", 3, -1), Bars).bars
        assert [one.open_time_ns for one in bars] == [NOON - n * MINUTE for n in (3, 2, 1)]
    vendor.close()


@pytest.mark.requirement("live:skew")
def test_records_of_a_vendor_whose_clock_is_ahead_wait_and_it_is_told() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        until(lambda: stats(feed).state == "ok")
        vendor.push("quote", "ACME", NOON // NS - 5, 90)
        vendor.push("quote", "ACME", NOON // NS + 10, 100)
        bar(vendor, NOON - MINUTE + 10 * NS)
        until(lambda: "clock is 10.0 s ahead" in stats(feed).state)
        tick = ask(feed, Advance(-1), Tick)
        tick = ask(feed, Advance(tick.clock.now_ns), Tick)
        assert not tick.bars
        (quote,) = ask(feed, QuerySnapshot(("ACME",), -1), Snapshot).quotes
        assert quote.bid_nano // NS == 89
        wall.now_ns = NOON + 10 * NS
        (*_, tick) = advance_until(feed, tick.clock.now_ns, 1)
        assert (tick.bars[0].available_time_ns, tick.quotes[0].available_time_ns) == (wall.now_ns, wall.now_ns)
        assert tick.clock.now_ns >= wall.now_ns
    vendor.close()


@pytest.mark.requirement("live:polling")
def test_a_vendor_without_a_stream_is_asked_while_somebody_waits() -> None:
    wall = Wall(NOON + 5 * NS)
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall, VendorSource(vendor.port, SYMBOLS)) as feed:
        assert stats(feed).state == "polling"
        ticks = advance_until(feed, -1, 2)
        assert {one.open_time_ns for tick in ticks for one in tick.bars} == {NOON - MINUTE}
        wall.now_ns += 2 * MINUTE
        more = advance_until(feed, ticks[-1].clock.now_ns, 4)
        assert {one.open_time_ns for tick in more for one in tick.bars} == {NOON, NOON + MINUTE}
        assert any(tick.quotes for tick in (*ticks, *more))
        calls = len(vendor.calls("/bars"))
        assert calls == 4
        wall.now_ns += 5 * MINUTE
        ask(feed, GetClock(), FeedClock)
        assert len(vendor.calls("/bars")) == calls, "nobody waits"
    vendor.close()


def test_it_says_what_it_is_and_what_time_it_is() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall, StreamSource(vendor.port, SYMBOLS, "XNYS")) as feed:
        info = ask(feed, DescribeDay(), DayInfo)
        assert (info.kind, info.traded, info.bar_s, info.instants) == ("live", SYMBOLS, 60, 0)
        clock = ask(feed, GetClock(), FeedClock)
        assert (clock.now_ns, clock.is_open, clock.calendar, clock.timezone) == (
            NOON,
            False,
            "XNYS",
            "America/New_York",
        )
        assert clock.next_open_ns == NOON + 90 * MINUTE
        sessions = ask(feed, QuerySessions(NOON, NOON + 86_400 * NS), Sessions).sessions
        assert [one.date for one in sessions] == ["2024-03-13"]
        page = ask(feed, QueryInstruments("", 1, 1), Instruments)
        assert (page.total, [one.symbol for one in page.items]) == (2, ["BOLT"])
        assert len(vendor.calls("/instruments")) == 1
        assert ask(feed, UnwatchCharts("none"), Ok) == Ok("none")
        with pytest.raises(ConfigError, match="has ACME, BOLT"):
            feed.handle(QueryBars("acme ", 5, -1))
        with pytest.raises(BusError, match="market questions only"):
            feed.handle(Ok())
        with pytest.raises(BusError, match="out of range"):
            feed.handle(QueryBars("ACME", 0, -1))
    vendor.close()


def test_news_and_releases_are_found() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        items = ask(feed, QueryNews(("ACME",), NOON - 3600 * NS, -1), NewsItems).items
        assert [item.symbols for item in items] == [("ACME",)] * len(items)
        assert len(items) == 3
        ask(feed, QueryNews(("BOLT",), NOON - 3600 * NS, -1), NewsItems)
        assert len(vendor.calls("/news")) == 1, "the desk's symbols are asked for together"
        page = ask(feed, SearchNews("BOLT news", (), NOON - 3600 * NS, limit=2), NewsPage)
        assert (page.total, len(page.items)) == (3, 2)
        assert page.items[0].event_time_ns > page.items[1].event_time_ns
        events = ask(feed, QueryCalendar(-1, NOON - 2 * 3600 * NS, NOON + 2 * 3600 * NS), CalendarEvents).events
        assert [event.actual for event in events] == ["3.1", "3.1", "", ""]
        with pytest.raises(BusError, match="too long"):
            feed.handle(SearchNews("x" * 501, (), 0))
        with pytest.raises(BusError, match="shorter span"):
            feed.handle(QueryCalendar(-1, 0, NOON))
    vendor.close()


@pytest.mark.requirement("live:publish")
def test_many_quotes_are_conflated_to_a_bounded_rate() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    transport = LocalTransport()
    reader = transport.subscriber("local://feed.pub", ("tick",), from_start=False)
    dead = transport.subscriber("local://feed.pub", (), from_start=False)
    publisher = transport.publisher("local://feed.pub")
    with live_feed(vendor, wall, publisher=publisher, pace=Pace(publish_s=0.1, heartbeat_s=0.1)) as feed:
        assert vendor.wait_streams(1)
        got: list[Tick] = []

        def read() -> bool:
            while (item := reader.receive(0)) is not None:
                assert isinstance(item[2], Tick)
                got.append(item[2])
            return bool(got and got[-1].quotes and got[-1].quotes[-1].bid_nano // NS == 1_099)

        for price in range(1_000):
            vendor.push("quote", "ACME", NOON // NS - 2_000 + price, 101 + price)
        until(read, "the newest quote")
        assert len(got) < 20, "a thousand quotes in a moment are a few ticks"
        assert all(len(tick.quotes) == 1 for tick in got)
        assert ask(feed, QuerySnapshot(("ACME",), -1), Snapshot).quotes[0] == got[-1].quotes[0]
    dead.close()
    vendor.close()


def test_a_spec_without_a_source_or_with_other_symbols_is_refused() -> None:
    transport = LocalTransport()
    directory = {"feed.pub": "local://feed.pub"}
    with pytest.raises(ConfigError, match="has no source"):
        build_live_feed(FeedSpec(day=""), transport, directory)
    source = SourceSpec(kind="folder", symbols=("ACME",), path="nowhere")
    with pytest.raises(ConfigError, match="EVIL is not subscribed"):
        build_live_feed(FeedSpec(day="", symbols=("EVIL",), source=source), transport, directory)


@pytest.mark.requirement("live:advance")
def test_a_wall_clock_that_is_set_back_does_not_move_the_feed_back(tmp_path: Path) -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall, clock_file=tmp_path / "clock") as feed:
        first = ask(feed, Advance(-1), Tick)
        before = ask(feed, QueryBars("ACME", 5, -1), Bars)
        wall.now_ns -= 3600 * NS
        assert ask(feed, GetClock(), FeedClock).now_ns >= first.clock.now_ns
        assert ask(feed, QueryBars("ACME", 5, -1), Bars) == before
        second = ask(feed, Advance(first.clock.now_ns), Tick)
        assert second.clock.now_ns > first.clock.now_ns
    with live_feed(vendor, wall, clock_file=tmp_path / "clock") as feed:
        assert ask(feed, GetClock(), FeedClock).now_ns >= second.clock.now_ns
        assert encode(ask(feed, TickAt(second.clock.now_ns), Tick)) == encode(second)
    vendor.close()


@pytest.mark.requirement("live:outage")
def test_a_hole_that_cannot_be_filled_is_tried_again() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall) as feed:
        assert vendor.wait_streams(1)
        until(lambda: stats(feed).state == "ok")
        wall.now_ns = NOON + MINUTE
        bar(vendor, NOON)
        ticks = advance_until(feed, -1, 1)
        vendor.drop()
        until(lambda: stats(feed).reconnects == 1)
        vendor.refuses = True
        vendor.drop()
        until(lambda: stats(feed).state.startswith(("down", "connecting again; it was down")))
        wall.now_ns = NOON + 4 * MINUTE + 10 * NS
        vendor.next = [(503, {}, {})] * 8
        vendor.refuses = False
        until(lambda: stats(feed).reconnects == 2)
        until(lambda: not vendor.next or len(vendor.next) < 8)
        until(lambda: stats(feed).state == "ok; filling the hole of an outage")
        vendor.next = []
        opens: set[int] = set()
        while not opens >= {1, 2, 3}:
            wall.now_ns += 5 * NS  # time goes on, and it is tried again
            ticks.append(ask(feed, Advance(ticks[-1].clock.now_ns), Tick))
            shown = [one for one in ticks[-1].bars if one.symbol == "ACME"]
            opens.update((one.open_time_ns - NOON) // MINUTE for one in shown)
    vendor.close()


@pytest.mark.requirement("live:polling")
def test_a_vendor_that_is_down_for_long_is_not_asked_more_and_more() -> None:
    wall = Wall(NOON + 5 * NS)
    vendor = ScriptedVendor(wall)
    with live_feed(vendor, wall, VendorSource(vendor.port, SYMBOLS)) as feed:
        after = ask(feed, Advance(-1), Tick).clock.now_ns
        vendor.mended = lambda _path, _asked, _reply: (503, {}, {})
        for _ in range(30):
            wall.now_ns += MINUTE
            after = ask(feed, Advance(after), Tick).clock.now_ns
        asked = len(vendor.calls("/bars"))
        assert asked <= 2 * 32, "once a minute and symbol at most, however many minutes are missing"
        vendor.mended = lambda _path, _asked, reply: reply
        wall.now_ns += 2 * MINUTE
        ticks = advance_until(feed, after, 2 * 30)
        opens = sorted(
            (one.open_time_ns - NOON) // MINUTE for tick in ticks for one in tick.bars if one.symbol == "ACME"
        )
        assert opens[-30:] == list(range(opens[-1] - 29, opens[-1] + 1))
    vendor.close()


@pytest.mark.requirement("live:outage")
def test_a_source_whose_stream_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)

    class NoStream(StreamSource):
        def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
            raise ConfigError(f"no stream of {symbols} for {sink}")

    with pytest.raises(ConfigError, match="no stream"):
        LiveFeed(NoStream(vendor.port, SYMBOLS), SYMBOLS, clock=wall, cache_file=tmp_path / "cache")
    with live_feed(vendor, wall, cache_file=tmp_path / "cache") as feed:
        assert ask(feed, Ping(), Ok) == Ok("feed")
    vendor.close()


def test_a_source_without_news_says_so_to_who_searches_and_gives_stages_none() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    source = VendorSource(vendor.port, SYMBOLS, offers=frozenset({"bars"}))
    with live_feed(vendor, wall, source) as feed:
        assert ask(feed, QueryNews((), 0, -1), NewsItems).items == ()
        assert ask(feed, QueryCalendar(-1, 0, NOON), CalendarEvents).events == ()
        assert ask(feed, QuerySnapshot((), -1), Snapshot).quotes == ()
        with pytest.raises(NotOfferedError, match="has no news; it offers bars"):
            feed.handle(SearchNews("x", (), 0))
    vendor.close()
