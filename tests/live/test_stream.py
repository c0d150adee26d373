"""The stream behind a live feed: outages and their holes, silence, nonsense, skew, and vendors without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench._feed_stream import StreamSource
from bench._feed_vendor import Reply, VendorSource
from bus.clock import NS
from bus.errors import BusError, ConfigError, NotOfferedError
from bus.fixed import SCALE
from bus.messages import (
    Advance,
    Bar,
    Bars,
    CalendarEvents,
    DayInfo,
    DescribeDay,
    FeedClock,
    GetClock,
    Instruments,
    NewsItems,
    NewsPage,
    Ok,
    Ping,
    QueryBars,
    QueryCalendar,
    QueryInstruments,
    QueryNews,
    QuerySessions,
    QuerySnapshot,
    SearchNews,
    Sessions,
    Snapshot,
    Tick,
    UnwatchCharts,
)
from feed.live import LiveFeed
from feed.source import Sink, Stream
from tests.live.moves import advance_until, bar, stats
from tests.live.scripted import (
    MINUTE,
    NOON,
    SYMBOLS,
    ScriptedVendor,
    Wall,
    ask,
    live_feed,
    until,
)


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
        refused: list[str] = []

        def down(path: str, _asked: dict[str, str], _reply: Reply) -> Reply:
            refused.extend([path] if path == "/bars" else [])
            return 503, {}, {}

        vendor.mended = down
        for minute in range(1, 31):
            wall.now_ns += MINUTE
            after = ask(feed, Advance(after), Tick).clock.now_ns
            until(lambda minute=minute: len(refused) >= 2 * minute, "this minute's question of each symbol")
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


@pytest.mark.requirement("live:halts")
def test_a_halt_is_known_from_its_arrival_until_the_venue_or_a_later_bar_ends_it() -> None:
    wall = Wall(NOON + 5 * NS)
    vendor = ScriptedVendor(wall)
    sinks: list[Sink] = []

    def minute(number: int) -> Bar:
        opens, ends = NOON + number * MINUTE, NOON + (number + 1) * MINUTE
        return Bar("ACME", opens, ends, ends, SCALE, SCALE, SCALE, SCALE, SCALE)

    class Halting(StreamSource):
        def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
            sinks.append(sink)
            return super().stream(symbols, sink)

    with live_feed(vendor, wall, Halting(vendor.port, SYMBOLS)) as feed:
        before_ns = wall.now_ns
        wall.now_ns += NS
        sinks[0].halt("ACME", halted=True)
        sinks[0].halt("ACME", halted=True)
        sinks[0].halt("NOT-OURS", halted=True)
        assert ask(feed, QuerySnapshot((), -1), Snapshot).halted == ("ACME",)
        assert ask(feed, QuerySnapshot(("ACME",), before_ns), Snapshot).halted == ()
        wall.now_ns += NS
        sinks[0].halt("ACME", halted=False)
        assert ask(feed, QuerySnapshot((), -1), Snapshot).halted == ()
        sinks[0].halt("ACME", halted=True)
        assert ask(feed, QuerySnapshot((), -1), Snapshot).halted == ("ACME",)
        wall.now_ns = NOON + 3 * MINUTE
        sinks[0].bar(minute(0))
        assert ask(feed, QuerySnapshot((), -1), Snapshot).halted == ("ACME",), "that bar began before the halt"
        sinks[0].bar(minute(1))
        assert ask(feed, QuerySnapshot((), -1), Snapshot).halted == (), "nothing trades while it is stopped"
    vendor.close()
