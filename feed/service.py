"""The feed process: the one clock, and the one place where nothing after the clock is served.

Not a cache of vendors (that is ``feed.live``): its source is a sealed day. Every question is idempotent; a restarted
feed reads its clock from a file and goes on. What it answers holds nothing of the future: not how many instants come,
nor when the last is, except where a ``ClockTick`` says so to the orchestrator. Before the first instant the clock that
tools are told is midnight of the session date, which the day's id tells anyway.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bus.clock import iso
from bus.errors import BusError, DayError, LookAheadError
from bus.messages import (
    Advance,
    Bars,
    CalendarEvents,
    ChartSet,
    DayInfo,
    DescribeDay,
    FeedStats,
    GetClock,
    GetFeedStats,
    Message,
    NewsItems,
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
    Snapshot,
    Tick,
    TickAt,
    UnwatchCharts,
    WatchCharts,
)
from bus.transport import Directory, Publisher, Transport
from feed._clock_file import ClockFile
from feed._questions import DayQuestions, bounded
from feed.format import load_day
from feed.spec import FeedSpec
from feed.store import DayStore
from feed.watches import Watches, chart_set, check_charts

if TYPE_CHECKING:
    from feed.live import LiveFeed

__all__ = ["FeedService", "build_feed"]


class FeedService:
    """Answers questions about a day up to its clock."""

    def __init__(self, store: DayStore, clock_file: Path | None, publisher: Publisher | None) -> None:
        """Open the clock.

        Args:
            store: The day.
            clock_file: Where the clock survives a crash; None for nowhere.
            publisher: Where ticks are published; None for nowhere.

        Raises:
            DayError: The traded symbols have no data on the day.
            ConfigError: The clock file is of another day or of other symbols.
        """
        self._store = store
        self._publisher = publisher
        self._info = store.info()
        self._described = msgspec.structs.replace(self._info, seal="", first_ns=0, last_ns=0, instants=0, bars=0)
        if not store.instants:
            raise DayError(
                f"{self._info.day_id} has nothing of {', '.join(store.traded)}; choose other symbols of the day"
            )
        self._clock = ClockFile(clock_file, self._info, store.traded)
        self._now_ns = self._clock.read(store.instants)
        self._published_ns = -1
        self._questions = DayQuestions(store)
        self._watches = Watches(lambda: self._questions.charts)
        self._asked = 0

    @property
    def info(self) -> DayInfo:
        """The day that is served, in full: for who starts a run, not for who is asked to decide in it."""
        return self._info

    @property
    def now_ns(self) -> int:
        """The clock; -1 before the first instant."""
        return self._now_ns

    def handle(self, request: Message) -> Message:
        """Answer one question."""
        self._asked += 1
        match request:
            case Advance(after_ns=after_ns):
                return self._advance(after_ns)
            case TickAt(now_ns=now_ns):
                return self._tick_at(now_ns)
            case DescribeDay():
                return self._described
            case QueryBars(symbol=symbol, limit=limit, as_of_ns=as_of_ns):
                return Bars(symbol, self._store.bars(symbol, bounded(limit), self._as_of(as_of_ns)))
            case QueryNews(symbols=symbols, since_ns=since_ns, as_of_ns=as_of_ns, limit=limit):
                return NewsItems(self._store.news(symbols, since_ns, self._as_of(as_of_ns), bounded(limit)))
            case QueryCalendar(as_of_ns=as_of_ns, from_ns=from_ns, to_ns=to_ns):
                known_ns = self._as_of(as_of_ns)
                return CalendarEvents(self._store.calendar(known_ns, from_ns, to_ns), known_ns)
            case QuerySnapshot(symbols=symbols, as_of_ns=as_of_ns):
                return self._snapshot(symbols, self._as_of(as_of_ns))
            case Ping():
                return Ok("feed")
            case _:
                return self._handle_tools(request)

    def _handle_tools(self, request: Message) -> Message:
        """Answer what tools ask and a desk without tools does not."""
        match request:
            case GetClock():
                return self._questions.clock(self._clock_ns)
            case QueryInstruments():
                return self._questions.instruments(request)
            case QueryChart():
                return self._chart(request)
            case WatchCharts():
                return self._watches.watch(request, self._clock_ns)
            case UnwatchCharts(name=name):
                self._watches.unwatch(name)
                return Ok(name)
            case SearchNews(as_of_ns=as_of_ns):
                return self._questions.news(request, self._as_of(as_of_ns))
            case QuerySessions():
                return self._questions.sessions(request)
            case GetFeedStats():
                return FeedStats("day", self._asked, 0, 0, 0, last_record_ns=max(self._now_ns, 0))
            case _:
                raise BusError(f"the feed does not answer {type(request).__name__}; it answers market questions only")

    @property
    def _clock_ns(self) -> int:
        """The clock as it is told: before the first instant it is the beginning of the day."""
        return self._now_ns if self._now_ns >= 0 else self._questions.begin_ns

    def _as_of(self, as_of_ns: int) -> int:
        """Return the time that a question is about; -1 is the clock."""
        return self._clock_ns if as_of_ns == -1 else self._allowed(as_of_ns)

    def _allowed(self, as_of_ns: int) -> int:
        """Refuse what is after the clock: the one place where law 7 is kept."""
        if as_of_ns > 0 and as_of_ns > self._clock_ns:
            raise LookAheadError(
                f"{_when(as_of_ns)} is after the clock, {_when(self._clock_ns)}; ask as of the clock or before"
            )
        return as_of_ns

    def _advance(self, after_ns: int) -> Tick:
        instants = self._store.instants
        index = min(bisect_right(instants, self._allowed(after_ns)), len(instants) - 1)
        tick = self._store.tick(index)
        now_ns = tick.clock.now_ns
        if now_ns > self._now_ns:
            self._clock.write(now_ns)
            self._now_ns = now_ns
        if self._publisher is not None and self._published_ns < now_ns == self._now_ns:
            # Also the tick that a feed was killed over, after its clock was written and before it was published.
            self._publisher.publish("tick", tick)
            self._published_ns = now_ns
            for made in self._watches.due(now_ns):
                self._publisher.publish(f"charts.{made.name}", made)
        return tick

    def _tick_at(self, now_ns: int) -> Tick:
        instants = self._store.instants
        index = bisect_right(instants, self._allowed(now_ns)) - 1
        if index < 0 or instants[index] != now_ns:
            raise BusError(f"{_when(now_ns)} is no instant of this day; ask for one that Advance gave")
        return self._store.tick(index)

    def _snapshot(self, symbols: tuple[str, ...], as_of_ns: int) -> Snapshot:
        wanted = sorted(set(symbols or self._store.traded))
        bars = tuple(bar for symbol in wanted for bar in self._store.bars(symbol, 1, as_of_ns))
        quotes = tuple(quote for symbol in wanted for quote in self._store.quote(symbol, as_of_ns))
        return Snapshot(as_of_ns, bars, quotes)

    def _chart(self, ask: QueryChart) -> ChartSet:
        as_of_ns = self._as_of(ask.as_of_ns)
        for edge_ns in (ask.start_ns, ask.end_ns):
            self._allowed(edge_ns)
        check_charts(ask.symbols, ask.timeframes, ask.limit)
        return chart_set(
            self._questions.charts,
            "",
            ask.symbols,
            ask.timeframes,
            ask.limit,
            as_of_ns,
            start_ns=ask.start_ns,
            end_ns=ask.end_ns,
        )

    def close(self) -> None:
        """Close the clock file."""
        self._clock.close()


def _when(ns: int) -> str:
    try:
        return iso(ns) if ns > 0 else "the start"
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"


def build_feed(spec: FeedSpec, transport: Transport, directory: Directory) -> FeedService | LiveFeed:
    """Return the feed of a day, or of a live market where the spec has a source.

    Raises:
        DayError: The day is missing or broken.
        ConfigError: A symbol the day does not have, or a source that cannot be opened.
    """
    if spec.source is not None:
        from feed.live import build_live_feed

        return build_live_feed(spec, transport, directory)
    store = DayStore(load_day(Path(spec.day)), spec.symbols)
    publisher = transport.publisher(directory["feed.pub"])
    return FeedService(store, Path(spec.clock_file) if spec.clock_file else None, publisher)
