"""A live feed: its clock, its instants, its promises and its answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench._feed_stream import StreamSource
from bench._feed_vendor import VendorSource
from bus.clock import NS
from bus.codec import encode
from bus.deferred import Deferred
from bus.errors import BusError, ConfigError, LookAheadError, SourceError
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    Bars,
    DescribeDay,
    FeedClock,
    GetClock,
    Instruments,
    Message,
    Ok,
    Ping,
    QueryBars,
    QueryCalendar,
    QueryChart,
    QueryInstruments,
    QueryNews,
    QuerySnapshot,
    SearchNews,
    Snapshot,
    Tick,
    TickAt,
)
from feed._live_pump import Pace
from feed.live import LiveFeed, build_live_feed
from feed.source import SourceSpec
from feed.spec import FeedSpec
from tests.live.moves import advance_until, bar, stats
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
