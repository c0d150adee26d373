"""Sets of charts that are pushed at every event: aligned, never held back, the same when asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import BusError, ConfigError, NotOfferedError
from bus.local_transport import LocalTransport
from bus.messages import Advance, Chart, ChartSet, Ok, QueryChart, Tick, Timeframe, UnwatchCharts, WatchCharts
from feed.service import FeedService, build_feed
from feed.spec import FeedSpec
from feed.watches import MAX_WATCHES, Watches
from tests.charts.made import book, minutes, ns
from tests.feed.made import MINUTE, OPEN, made_day

DIRECTORY = {"feed": "local://feed", "feed.pub": "local://feed.pub"}
ASK = WatchCharts("desk", ("AAA", "BBB"), ("1Min", "5Min", "1Day"), 50)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_day(tmp_path / "day")


def feed_of(folder: Path, transport: LocalTransport) -> FeedService:
    feed = build_feed(FeedSpec(str(folder)), transport, DIRECTORY)
    assert isinstance(feed, FeedService)
    return feed


def answered(message: object) -> ChartSet:
    assert isinstance(message, ChartSet)
    return message


def moved(feed: FeedService, times: int = 1) -> int:
    for _ in range(times):
        assert isinstance(feed.handle(Advance(feed.now_ns)), Tick)
    return feed.now_ns


def chart_of(made: ChartSet, symbol: str, timeframe: Timeframe) -> Chart:
    return next(one for one in made.charts if (one.symbol, one.timeframe) == (symbol, timeframe))


@pytest.mark.requirement("charts:aligned")
def test_a_set_is_pushed_at_every_event_and_a_missing_minute_is_marked(folder: Path) -> None:
    transport = LocalTransport()
    feed = feed_of(folder, transport)
    listener = transport.subscriber(DIRECTORY["feed.pub"], ("charts.desk",))
    first = answered(feed.handle(ASK))
    assert [chart.bars for chart in first.charts] == [()] * 6
    assert first.late == ()
    moved(feed, 4)
    pushed: list[ChartSet] = []
    while (got := listener.receive(0)) is not None:
        pushed.append(answered(got[2]))
    assert [made.now_ns for made in pushed] == [OPEN + minute * MINUTE for minute in (1, 2, 3, 4)]
    assert [made.late for made in pushed] == [(), (), ("AAA",), ()]
    without = pushed[2]
    assert len(chart_of(without, "AAA", "1Min").bars) == 2
    assert chart_of(without, "AAA", "5Min").missing == (1,)
    assert chart_of(without, "BBB", "5Min").missing == (0,)
    assert chart_of(without, "AAA", "5Min").forming
    for made in pushed:
        assert [(chart.symbol, chart.timeframe) for chart in made.charts] == [
            (symbol, timeframe) for symbol in ASK.symbols for timeframe in ASK.timeframes
        ]
        assert all(bar.available_time_ns <= made.now_ns for chart in made.charts for bar in chart.bars)
    transport.close()


@pytest.mark.requirement("charts:aligned")
def test_what_is_pushed_is_what_is_answered(folder: Path) -> None:
    transport = LocalTransport()
    feed = feed_of(folder, transport)
    listener = transport.subscriber(DIRECTORY["feed.pub"], ("charts.desk",))
    feed.handle(ASK)
    for _ in range(9):
        moved(feed)
        got = listener.receive(0)
        assert got is not None
        asked = answered(feed.handle(QueryChart(ASK.symbols, ASK.timeframes, ASK.limit)))
        assert (answered(got[2]).charts, answered(got[2]).late) == (asked.charts, asked.late)
    transport.close()


@pytest.mark.requirement("charts:watches")
def test_a_move_made_twice_pushes_once_and_an_unwatched_set_no_more(folder: Path) -> None:
    transport = LocalTransport()
    feed = feed_of(folder, transport)
    listener = transport.subscriber(DIRECTORY["feed.pub"], ("charts.desk", "charts.other"))
    feed.handle(ASK)
    feed.handle(WatchCharts("other", ("CCC",), ("1Hour",), 3))
    moved(feed, 2)
    for _ in range(3):
        feed.handle(Advance(OPEN + MINUTE))
    assert feed.handle(UnwatchCharts("other")) == Ok("other")
    assert feed.handle(UnwatchCharts("other")) == Ok("other")
    moved(feed)
    topics: list[str] = []
    while (got := listener.receive(0)) is not None:
        topics.append(got[0])
    assert topics == ["charts.desk", "charts.other"] * 2 + ["charts.desk"]
    transport.close()


@pytest.mark.requirement("charts:watches")
def test_a_watch_asked_for_again_changes_nothing_and_another_content_takes_its_place(folder: Path) -> None:
    feed = feed_of(folder, LocalTransport())
    moved(feed, 5)
    assert feed.handle(ASK) == feed.handle(ASK)
    watches = Watches(book(minutes(ns("2024-03-13 13:30"), 30)))
    ask = WatchCharts("a", ("AAA",), ("5Min",), 3)
    for _ in range(3):
        watches.watch(ask, ns("2024-03-13 14:00"))
    assert watches.asks == (ask,)
    other = WatchCharts("a", ("AAA",), ("1Hour",), 3)
    watches.watch(other, ns("2024-03-13 14:00"))
    (due,) = watches.due(ns("2024-03-13 14:00"))
    assert [chart.timeframe for chart in due.charts] == ["1Hour"]


@pytest.mark.requirement("charts:watches")
@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (WatchCharts("", ("AAA",), ("5Min",), 3), BusError, "allowed are up to 64 letters"),
        (WatchCharts("a b", ("AAA",), ("5Min",), 3), BusError, "'a b' cannot name a set"),
        (WatchCharts("x" * 65, ("AAA",), ("5Min",), 3), BusError, "cannot name"),
        (WatchCharts("a\0b", ("AAA",), ("5Min",), 3), BusError, "cannot name"),
        (WatchCharts("a", (), ("5Min",), 3), BusError, "at least one symbol and one timeframe"),
        (WatchCharts("a", ("AAA",), (), 3), BusError, "at least one symbol"),
        (
            WatchCharts("a", ("AAA",), ("5Min",), 0),
            BusError,
            "a limit of 0 bars is out of range; allowed is 1 to 10,000",
        ),
        (WatchCharts("a", ("AAA",), ("5Min",), 10_001), BusError, "allowed is 1 to 10,000 with 1 chart:"),
        (WatchCharts("a", tuple(f"S{n}" for n in range(201)), ("5Min",), 3), BusError, "201 charts .* are too many"),
        (WatchCharts("a", ("AAA", "BBB", "CCC"), ("1Min", "5Min"), 9_000), BusError, "1 to 8,333 with 6 charts"),
        (WatchCharts("a", ("NOPE",), ("5Min",), 3), ConfigError, "'NOPE' is not on this day; it has AAA, BBB, CCC"),
    ],
)
def test_what_cannot_be_watched_is_refused_and_leaves_nothing(
    folder: Path, ask: WatchCharts, error: type[Exception], says: str
) -> None:
    transport = LocalTransport()
    feed = feed_of(folder, transport)
    listener = transport.subscriber(DIRECTORY["feed.pub"], ())
    with pytest.raises(error, match=says):
        feed.handle(ask)
    moved(feed)
    first, second = listener.receive(0), listener.receive(0)
    assert first is not None
    assert first[0] == "tick"
    assert second is None
    transport.close()


@pytest.mark.requirement("charts:watches")
def test_there_is_a_most_of_sets() -> None:
    watches = Watches(book(minutes(ns("2024-03-13 13:30"), 3)))
    for number in range(MAX_WATCHES):
        watches.watch(WatchCharts(f"s{number}", ("AAA",), ("5Min",), 3), ns("2024-03-13 14:00"))
    with pytest.raises(BusError, match="64 sets of charts are watched, which is the most; stop one with UnwatchCharts"):
        watches.watch(WatchCharts("more", ("AAA",), ("5Min",), 3), ns("2024-03-13 14:00"))
    watches.watch(WatchCharts("s1", ("AAA",), ("1Hour",), 3), ns("2024-03-13 14:00"))
    assert len(watches) == MAX_WATCHES
    with pytest.raises(NotOfferedError):
        Watches(book([], base_s=3_600)).watch(WatchCharts("a", ("AAA",), ("5Min",), 3), 0)


@pytest.mark.requirement("charts:aligned")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["AAA", "BBB"]), st.integers(0, 30)), max_size=60, unique=True))
def test_no_hole_holds_a_set_back(there: list[tuple[str, int]]) -> None:
    start = ns("2024-03-13 13:30")
    made = book([])
    watches = Watches(made)
    watches.watch(WatchCharts("a", ("AAA", "BBB"), ("1Min", "10Min"), 99), start)
    for minute in range(31):
        for symbol in ("AAA", "BBB"):
            if (symbol, minute) in there:
                made.add(minutes(start + minute * MINUTE, 1, symbol)[0])
        now = start + (minute + 1) * MINUTE
        (due,) = watches.due(now)
        assert due.now_ns == now
        assert due.late == tuple(symbol for symbol in ("AAA", "BBB") if (symbol, minute) not in there)
        for symbol in ("AAA", "BBB"):
            came = sum(1 for one, at in there if one == symbol and at <= minute)
            assert len(chart_of(due, symbol, "1Min").bars) == came
            tens = chart_of(due, symbol, "10Min")
            full = {bar.open_time_ns for bar in tens.bars}
            known = sum(10 for at in full if at + 10 * MINUTE <= now) + sum(
                (now - at) // MINUTE for at in full if at + 10 * MINUTE > now
            )
            assert sum(tens.missing) == known - came
