"""Charts of a live market: the vendor's history before today, the stream since, pushed as aligned sets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench._feed_stream import StreamSource
from bench._feed_vendor import VendorSource
from bus.clock import NS
from bus.codec import encode
from bus.errors import BusError, ConfigError
from bus.local_transport import LocalTransport
from bus.messages import (
    Bar,
    Bars,
    Chart,
    ChartSet,
    Ok,
    QueryBars,
    QueryChart,
    Timeframe,
    UnwatchCharts,
    WatchCharts,
)
from feed._live_history import day_start, lookback, origin
from feed.charts import ChartBook
from feed.live import LiveFeed
from feed.sessions import session_calendar
from tests.live.scripted import MINUTE, NOON, SYMBOLS, ScriptedVendor, Wall, answer, ask, live_feed, until

HOUR = 60 * MINUTE
OPEN = NOON + 90 * MINUTE
"""09:30 in New York."""


def chart(feed: LiveFeed, timeframe: Timeframe, limit: int, as_of_ns: int = -1) -> Chart:
    return ask(feed, QueryChart(("ACME",), (timeframe,), limit, as_of_ns), ChartSet).charts[0]


def new_york(vendor: ScriptedVendor) -> StreamSource:
    return StreamSource(vendor.port, SYMBOLS, "XNYS")


@pytest.mark.requirement("live:charts")
@pytest.mark.parametrize("timeframe", ["1Min", "2Min", "5Min", "15Min", "30Min", "1Hour", "4Hour", "1Day", "1Week"])
def test_a_chart_reaches_back_as_far_as_it_is_asked_for(timeframe: Timeframe) -> None:
    wall = Wall(OPEN + 100 * MINUTE)
    vendor = ScriptedVendor(wall, "XNYS")
    with live_feed(vendor, wall, new_york(vendor)) as feed:
        found = chart(feed, timeframe, 30)
        assert len(found.bars) == 30
        opens = [bar.open_time_ns for bar in found.bars]
        assert opens == sorted(set(opens))
        assert found.bars[-1].event_time_ns <= wall.now_ns
        assert all(bar.available_time_ns <= wall.now_ns for bar in found.bars)
        assert sum(found.missing) == 0
        before = len(vendor.calls("/bars"))
        assert chart(feed, timeframe, 30) == found
        assert len(vendor.calls("/bars")) == before
    vendor.close()


@pytest.mark.requirement("live:charts")
def test_what_is_kept_and_what_is_made_for_one_question_are_the_same() -> None:
    wall = Wall(OPEN + 100 * MINUTE)
    vendor = ScriptedVendor(wall, "XNYS")
    frames: tuple[Timeframe, ...] = ("1Min", "5Min", "1Hour", "1Day")
    with live_feed(vendor, wall, new_york(vendor)) as feed:
        assert vendor.wait_streams(1)
        first = ask(feed, QueryChart(SYMBOLS, frames, 25), ChartSet)
        then = wall.now_ns
        for minute in range(5):
            wall.now_ns += MINUTE
            opened = (wall.now_ns - MINUTE) // NS
            vendor.push("bar", "ACME", opened, opened + 60, 140 + minute)
        until(lambda: chart(feed, "1Min", 1).bars[-1].close_nano == 144 * NS)
        kept = ask(feed, QueryChart(SYMBOLS, frames, 25), ChartSet)
        again = ask(feed, QueryChart(SYMBOLS, frames, 25, then), ChartSet)
        assert encode(again) == encode(first), "as it was then"
        now = ask(feed, QueryChart(SYMBOLS, frames, 25, wall.now_ns), ChartSet)
        assert encode(now) == encode(kept)
        assert kept.charts[0].bars[-1].high_nano == 145 * NS
    vendor.close()


@pytest.mark.requirement("live:charts")
def test_a_span_of_the_past_is_asked_for_alone() -> None:
    wall = Wall(OPEN + 100 * MINUTE)
    vendor = ScriptedVendor(wall, "XNYS")
    with live_feed(vendor, wall, new_york(vendor)) as feed:
        start = OPEN - 48 * HOUR
        asked = QueryChart(("ACME",), ("5Min",), 500, -1, start, start + 2 * HOUR)
        found = ask(feed, asked, ChartSet).charts[0]
        assert [bar.open_time_ns for bar in found.bars] == [start + n * 5 * MINUTE for n in range(24)]
    vendor.close()


@pytest.mark.requirement("live:charts")
def test_an_hour_of_new_york_begins_at_half_past() -> None:
    wall = Wall(OPEN + 100 * MINUTE)
    vendor = ScriptedVendor(wall, "XNYS")
    with live_feed(vendor, wall, new_york(vendor)) as feed:
        calendar = session_calendar("XNYS")
        inside = [bar for bar in chart(feed, "1Hour", 200).bars if calendar.session_at(bar.open_time_ns)]
        assert inside
        assert {bar.open_time_ns % HOUR // MINUTE for bar in inside} == {30}
        assert {asked["timeframe"] for asked in vendor.calls("/bars")} == {"1Min", "30Min"}
    vendor.close()


@pytest.mark.requirement("live:charts")
def test_who_looks_at_a_symbol_that_seldom_trades_gets_as_many_bars() -> None:
    wall = Wall(OPEN + 100 * MINUTE)
    vendor = ScriptedVendor(wall, "XNYS")
    vendor.lost.update(("ACME", wall.now_ns // NS - 60 * n) for n in range(1_000) if n % 3)
    with live_feed(vendor, wall, new_york(vendor)) as feed:
        bars = ask(feed, QueryBars("ACME", 50, -1), Bars).bars
        assert len(bars) == 50
        assert len(chart(feed, "1Min", 50).bars) == 50
    vendor.close()


@pytest.mark.requirement("live:charts")
def test_a_set_that_is_asked_wrongly_is_refused() -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall, "XNYS")
    with live_feed(vendor, wall) as feed:
        for wrong in (
            QueryChart((), ("1Min",), 5),
            QueryChart(("ACME",), ("1Min",), 0),
            WatchCharts("", ("ACME",), ("1Min",), 5),
            WatchCharts("a b", ("ACME",), ("1Min",), 5),
        ):
            with pytest.raises(BusError):
                answer(feed, wrong)
        for unknown in (QueryChart(("EVIL",), ("1Min",), 5), WatchCharts("x", ("EVIL",), ("1Min",), 5)):
            with pytest.raises(ConfigError, match="has ACME, BOLT"):
                answer(feed, unknown)
    vendor.close()


def reading(transport: LocalTransport, topic: str) -> Callable[[], list[ChartSet]]:
    reader = transport.subscriber("local://feed.pub", (topic,), from_start=False)
    got: list[ChartSet] = []

    def read() -> list[ChartSet]:
        while (item := reader.receive(0)) is not None:
            assert isinstance(item[2], ChartSet)
            got.append(item[2])
        return got

    return read


@pytest.mark.requirement("live:publish")
def test_a_watched_set_is_pushed_aligned_after_each_bar_and_a_missing_minute_is_marked() -> None:
    wall = Wall(OPEN + 11 * MINUTE + 10 * NS)
    vendor = ScriptedVendor(wall, "XNYS")
    transport = LocalTransport()
    read = reading(transport, "charts.mine")
    publisher = transport.publisher("local://feed.pub")
    with live_feed(vendor, wall, new_york(vendor), publisher) as feed:
        assert vendor.wait_streams(1)
        watch = WatchCharts("mine", SYMBOLS, ("1Min", "5Min"), 5)
        first = ask(feed, watch, ChartSet)
        assert [len(one.bars) for one in first.charts] == [5, 5, 5, 5]
        assert first.late == ()
        wall.now_ns += MINUTE
        opened = OPEN // NS + 660
        vendor.push("bar", "ACME", opened, opened + 60, 140)
        until(lambda: any(made.charts[0].bars[-1].close_nano == 140 * NS for made in read()))
        until(lambda: read()[-1].late == ("BOLT",), "the set is not held back for the other one")
        last = read()[-1]
        assert [(one.symbol, one.timeframe) for one in last.charts] == [
            ("ACME", "1Min"),
            ("ACME", "5Min"),
            ("BOLT", "1Min"),
            ("BOLT", "5Min"),
        ]
        assert (last.charts[1].missing[-1], last.charts[3].missing[-1]) == (0, 1)
        vendor.push("bar", "BOLT", opened, opened + 60, 150)
        until(lambda: read()[-1].late == ())
        assert read()[-1].charts[3].missing[-1] == 0
        wall.now_ns += 2 * MINUTE
        until(lambda: read()[-1].late == SYMBOLS, "a set is pushed although nothing came")
        assert ask(feed, UnwatchCharts("mine"), Ok) == Ok("mine")
        count = len(read())
        vendor.push("bar", "ACME", opened + 60, opened + 120, 141)
        until(lambda: chart(feed, "1Min", 2).bars[-1].close_nano == 141 * NS)
        assert len(read()) <= count + 1
    vendor.close()


@pytest.mark.requirement("live:publish")
def test_a_watch_on_a_vendor_without_a_stream_is_kept_up_by_asking() -> None:
    wall = Wall(OPEN + 10 * MINUTE + 10 * NS)
    vendor = ScriptedVendor(wall, "XNYS")
    transport = LocalTransport()
    read = reading(transport, "charts.mine")
    publisher = transport.publisher("local://feed.pub")
    with live_feed(vendor, wall, VendorSource(vendor.port, SYMBOLS), publisher) as feed:
        ask(feed, WatchCharts("mine", ("ACME",), ("1Min",), 3), ChartSet)
        for minute in (11, 12, 13):
            wall.now_ns = OPEN + minute * MINUTE + 10 * NS
            newest = OPEN + (minute - 1) * MINUTE
            until(lambda newest=newest: bool(read()) and read()[-1].charts[0].bars[-1].open_time_ns == newest)
    vendor.close()


@pytest.mark.parametrize(
    ("timeframe", "code", "expected"),
    [
        ("1Min", "XNYS", "1Min"),
        ("2Min", "XNYS", "1Min"),
        ("10Min", "XNYS", "5Min"),
        ("30Min", "XNYS", "30Min"),
        ("1Hour", "XNYS", "30Min"),
        ("4Hour", "XNYS", "30Min"),
        ("1Hour", "24/7", "1Hour"),
        ("4Hour", "24/7", "1Hour"),
        ("1Day", "XNYS", "1Day"),
        ("1Month", "XNYS", "1Day"),
    ],
)
def test_history_is_made_of_what_has_the_same_buckets(timeframe: Timeframe, code: str, expected: str) -> None:
    served: tuple[Timeframe, ...] = ("1Min", "5Min", "15Min", "30Min", "1Hour", "1Day")
    assert origin(timeframe, served, session_calendar(code), NOON) == expected


@pytest.mark.requirement("live:charts")
@pytest.mark.parametrize("code", ["XNYS", "24/7", "CMES"])
@pytest.mark.parametrize("timeframe", ["1Min", "5Min", "1Hour", "1Day", "1Week", "1Month"])
def test_looking_back_finds_enough_and_not_much_more(code: str, timeframe: Timeframe) -> None:
    calendar = session_calendar(code)
    now = OPEN + 47 * MINUTE
    begin = lookback(calendar, timeframe, 40, now)
    step = MINUTE if timeframe in ("1Min", "5Min", "1Hour") else HOUR
    book = ChartBook(calendar, step // NS, 10**6)
    for session in calendar.sessions(begin, now):
        at = max(begin, session.open_ns)
        while at + step <= min(now, session.close_ns):
            book.add(Bar("X", at, at + step, at + step, NS, NS, NS, NS, 0))
            at += step
    found = book.chart("X", timeframe, 10**6, now)
    assert 40 <= len(found.bars) <= 46


def test_the_day_of_a_future_begins_the_evening_before() -> None:
    monday_evening = NOON + 11 * HOUR  # 19:00 in New York: Thursday's session of the futures has begun
    assert day_start(session_calendar("CMES"), monday_evening) <= NOON + 10 * HOUR
    assert day_start(session_calendar("XNYS"), monday_evening) == NOON - 8 * HOUR
