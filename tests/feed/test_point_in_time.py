"""Nothing of the future reaches an answer, and the clock outlives the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.codec import encode
from bus.errors import ConfigError, DayError, LookAheadError
from bus.fixed import to_nano
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    CalendarEvents,
    DayInfo,
    DescribeDay,
    Message,
    QueryBars,
    QueryCalendar,
    QueryNews,
    QuerySnapshot,
    Snapshot,
    Tick,
)
from feed.format import RecordedDay, load_day
from feed.service import FeedService, build_feed
from feed.spec import FeedSpec
from feed.store import DayStore
from tests.feed.made import INSTRUMENTS, MANIFEST, MINUTE, OPEN, Tables, at, bar, made_day, tables

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = {"feed": "local://feed", "feed.pub": "local://feed.pub"}
SYMBOLS = ("AAA", "BBB", "CCC")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_day(tmp_path_factory.mktemp("days") / "day")


def feed_of(folder: Path, clock: Path | None = None, symbols: tuple[str, ...] = ()) -> FeedService:
    return FeedService(DayStore(load_day(folder), symbols), clock, None)


def tick(message: Message) -> Tick:
    assert isinstance(message, Tick)
    return message


def everything(feed: FeedService, as_of: int) -> list[bytes]:
    """Every answer that the feed can give as of a time."""
    questions: list[Message] = [QueryBars(symbol, limit, as_of) for symbol in SYMBOLS for limit in (1, 3, 10_000)]
    questions += [QueryNews((), 0, as_of), QueryNews(("AAA",), 0, as_of, 2), QueryCalendar(as_of, 0, 2**62)]
    questions += [QuerySnapshot((), as_of), QuerySnapshot(SYMBOLS, as_of), DescribeDay()]
    return [encode(feed.handle(question)) for question in questions]


def shown(answer: Tick) -> list[object]:
    return [answer.clock.now_ns, answer.clock.index, answer.bars, answer.quotes, answer.news, answer.calendar]


def spoilt(after_ns: int) -> Tables:
    """Change all that becomes available after a time: prices, words, figures; and take some away, and add some."""
    rows = tables()
    for table, changed in rows.items():
        available = at(table, "available_time")
        late = [row for row in changed if row[available] > after_ns]
        for row in late:
            if table == "bars":
                row[at(table, "close")] = row[at(table, "high")]
                row[at(table, "volume")] = 777.0
            elif table == "quotes":
                row[at(table, "ask")] = 99.0
            elif table == "news":
                row[at(table, "headline")] = "the future"
            elif table == "calendar":
                row[at(table, "actual")] = "9.9"
        if table in ("bars", "quotes") and len(late) > 1:
            changed.remove(late[-1])
    rows["bars"].extend(bar("AAA", minute) for minute in (200, 201))
    return rows


@pytest.mark.requirement("feed:point-in-time")
@pytest.mark.parametrize("instant", range(9))
def test_no_answer_depends_on_what_comes_later(instant: int, folder: Path, tmp_path: Path) -> None:
    until = OPEN + (instant + 1) * MINUTE
    true, other = feed_of(folder), feed_of(made_day(tmp_path / "other", spoilt(until)))
    while (moved := tick(true.handle(Advance(true.now_ns)))).clock.now_ns < until:
        assert shown(moved) == shown(tick(other.handle(Advance(other.now_ns))))
        assert everything(true, true.now_ns) == everything(other, true.now_ns)
    assert shown(moved) == shown(tick(other.handle(Advance(other.now_ns))))
    assert moved.clock.now_ns == until
    assert everything(true, until) == everything(other, until)


@pytest.mark.requirement("feed:point-in-time")
def test_the_spoilt_future_would_be_seen(folder: Path, tmp_path: Path) -> None:
    true, other = feed_of(folder), feed_of(made_day(tmp_path / "other", spoilt(OPEN + 3 * MINUTE)))
    for _ in range(4):
        true.handle(Advance(true.now_ns))
        other.handle(Advance(other.now_ns))
    assert everything(true, true.now_ns) != everything(other, true.now_ns)


@pytest.mark.requirement("feed:point-in-time")
@settings(max_examples=100, deadline=None)
@given(moves=st.integers(1, 9), as_of=st.integers(0, 2**62))
def test_a_time_after_the_clock_is_refused_and_any_other_is_answered(folder: Path, moves: int, as_of: int) -> None:
    if moves not in _FEEDS:
        _FEEDS[moves] = _moved(feed_of(folder), moves)
    feed = _FEEDS[moves]
    if as_of > feed.now_ns:
        for question in (QueryBars("AAA", 1, as_of), QuerySnapshot((), as_of), Advance(as_of)):
            with pytest.raises(LookAheadError, match=r"after the clock.*ask as of the clock or before"):
                feed.handle(question)
    else:
        assert len(everything(feed, as_of)) == 15


_FEEDS: dict[int, FeedService] = {}


def _moved(feed: FeedService, moves: int) -> FeedService:
    for _ in range(moves):
        feed.handle(Advance(feed.now_ns))
    return feed


@pytest.mark.requirement("feed:point-in-time")
def test_what_a_day_is_said_to_be_tells_nothing_of_its_future(folder: Path) -> None:
    feed = feed_of(folder)
    told = feed.handle(DescribeDay())
    assert isinstance(told, DayInfo)
    assert (told.seal, told.first_ns, told.last_ns, told.instants, told.bars) == ("", 0, 0, 0, 0)
    assert (told.instruments, told.traded, told.bar_s) == (INSTRUMENTS, ("AAA", "BBB"), 60)
    assert feed.info.instants == 9
    assert feed.info.seal == load_day(folder).seal


@pytest.mark.requirement("feed:point-in-time")
def test_a_release_is_scheduled_before_and_has_its_figure_only_after(folder: Path) -> None:
    feed = feed_of(folder)
    figures: list[str] = []
    for _ in range(6):
        now = tick(feed.handle(Advance(feed.now_ns))).clock.now_ns
        answer = feed.handle(QueryCalendar(now, 0, 2**62))
        assert isinstance(answer, CalendarEvents)
        (event,) = answer.events
        assert event.available_time_ns == event.event_time_ns or event.actual
        figures.append(event.actual)
    assert figures == ["", "", "", "", "0.4", "0.4"]


@pytest.mark.requirement("feed:point-in-time")
def test_instants_depend_on_the_traded_symbols_alone(folder: Path) -> None:
    day = load_day(folder)
    assert DayStore(day).instants == [OPEN + minute * MINUTE for minute in range(1, 10)]
    assert DayStore(day, ("AAA",)).instants == [OPEN + minute * MINUTE for minute in range(1, 9)]
    assert DayStore(day, ("CCC",)).instants == [OPEN + minute * MINUTE for minute in (-29, 1, 4)]
    assert DayStore(day, ("BBB", "AAA", "BBB")).traded == ("AAA", "BBB")


@pytest.mark.requirement("feed:missing")
def test_a_minute_without_a_bar_has_none_and_the_snapshot_keeps_the_last(folder: Path) -> None:
    feed = feed_of(folder)
    ticks = [tick(feed.handle(Advance(feed.now_ns))) for _ in range(9)]
    assert [bar.symbol for bar in ticks[2].bars] == ["BBB"]
    assert ticks[8].bars == ()
    assert [quote.symbol for quote in ticks[8].quotes] == ["BBB"]
    assert ticks[8].clock.done
    seen = feed.handle(QuerySnapshot(("BBB", "AAA"), ticks[2].clock.now_ns))
    assert isinstance(seen, Snapshot)
    assert [(bar.symbol, bar.event_time_ns) for bar in seen.bars] == [
        ("AAA", OPEN + 2 * MINUTE),
        ("BBB", OPEN + 3 * MINUTE),
    ]


@pytest.mark.requirement("feed:advance")
def test_a_clock_of_another_day_or_of_other_symbols_is_not_taken_up(folder: Path, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    _moved(feed_of(folder, clock), 3).close()
    with pytest.raises(ConfigError, match=r"clock of another day or of other symbols; start a run with a new folder"):
        feed_of(folder, clock, ("AAA",))
    with pytest.raises(ConfigError, match="another day"):
        feed_of(made_day(tmp_path / "other", spoilt(OPEN)), clock)
    assert feed_of(folder, clock).now_ns == OPEN + 3 * MINUTE


@pytest.mark.requirement("feed:advance")
@pytest.mark.parametrize("torn", [b"\x00", b"\xff" * 24, b"\x00" * 25])
def test_a_torn_clock_is_refused_and_an_empty_one_starts_the_day(torn: bytes, folder: Path, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_bytes(torn)
    with pytest.raises(ConfigError, match="clock_file"):
        feed_of(folder, clock)
    clock.write_bytes(b"")
    assert feed_of(folder, clock).now_ns == -1


@pytest.mark.requirement("feed:advance")
def test_a_clock_in_a_folder_that_is_not_there_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        feed_of(folder, tmp_path / "nowhere" / "clock")


CHILD = """
import sys
from pathlib import Path
from bus.messages import Advance
from feed.format import RecordedDay, load_day
from feed.service import FeedService
from feed.store import DayStore
feed = FeedService(DayStore(load_day(Path(sys.argv[1]))), Path(sys.argv[2]), None)
for line in sys.stdin:
    print(feed.handle(Advance(int(line))).clock.now_ns, flush=True)
"""


@pytest.mark.requirement("feed:advance")
def test_what_was_answered_before_kill_9_is_the_clock_after_it(folder: Path, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    command = [sys.executable, "-c", CHILD, str(folder), str(clock)]
    answered = -1
    for _ in range(3):
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
        ) as child:
            assert child.stdin
            assert child.stdout
            for _ in range(2):
                child.stdin.write(f"{answered}\n")
                child.stdin.flush()
                now = int(child.stdout.readline())
                assert now > answered
                answered = now
            child.send_signal(signal.SIGKILL)
    assert feed_of(folder, clock).now_ns == answered == OPEN + 6 * MINUTE


@pytest.mark.requirement("feed:advance")
def test_a_tick_that_a_killed_feed_did_not_publish_is_published_by_the_next(folder: Path, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    _moved(feed_of(folder, clock), 4).close()
    transport = LocalTransport()
    listener = transport.subscriber(DIRECTORY["feed.pub"], ("tick",))
    feed = build_feed(FeedSpec(str(folder), (), str(clock)), transport, DIRECTORY)
    asked = [feed.handle(Advance(OPEN + minute * MINUTE)) for minute in (2, 3, 3, 4)]
    heard = [listener.receive(0), listener.receive(0), listener.receive(0)]
    assert heard == [("tick", 1, asked[1]), ("tick", 2, asked[3]), None]
    feed.close()
    transport.close()


@pytest.mark.requirement("feed:unknown")
def test_symbols_without_data_are_refused(tmp_path: Path) -> None:
    rows = tables()
    rows["bars"] = [row for row in rows["bars"] if row[0] != "CCC"]
    with pytest.raises(DayError, match="has nothing of CCC; choose other symbols"):
        feed_of(made_day(tmp_path / "day", rows), None, ("CCC",))


@pytest.mark.requirement("feed:point-in-time")
@settings(max_examples=300, deadline=None)
@given(st.floats(1e-9, 9e9, allow_nan=False), st.integers(0, 8))
def test_a_recorded_number_becomes_the_billionths_of_its_shortest_text(value: float, places: int) -> None:
    number = round(value, places)
    rows: dict[str, list[object]] = {
        name: [1.0] for name in ("open", "high", "low", "close", "volume", "available_time")
    }
    rows |= {"symbol": ["AAA"], "open_time": [1], "event_time": [2], "available_time": [2], "session": [""]}
    rows["volume"] = [number]
    store = DayStore(RecordedDay(MANIFEST, "", INSTRUMENTS, {"bars": rows}))
    (made,) = store.bars("AAA", 1, 2)
    assert made.volume_nano == to_nano(number)
