"""The feed process: the one clock, and the one place where nothing after the clock is served.

Not a cache of vendors yet: its source is a sealed day. Every question is idempotent; a restarted feed reads its clock
from a file and goes on. What it answers holds nothing of the future: not how many instants come, nor when the last is,
except where a ``ClockTick`` says so to the orchestrator.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import msgspec

from bus.clock import iso
from bus.errors import BusError, DayError, LookAheadError
from bus.messages import (
    Advance,
    Bars,
    CalendarEvents,
    DayInfo,
    DescribeDay,
    Message,
    NewsItems,
    Ok,
    Ping,
    QueryBars,
    QueryCalendar,
    QueryNews,
    QuerySnapshot,
    Snapshot,
    Tick,
    TickAt,
)
from bus.transport import Directory, Publisher, Transport
from feed._clock_file import ClockFile
from feed.format import load_day
from feed.spec import FeedSpec
from feed.store import DayStore

__all__ = ["FeedService", "build_feed"]

MAX_LIMIT = 10_000
"""The most records one question may ask for."""


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
        match request:
            case Advance(after_ns=after_ns):
                return self._advance(after_ns)
            case TickAt(now_ns=now_ns):
                return self._tick_at(now_ns)
            case DescribeDay():
                return self._described
            case QueryBars(symbol=symbol, limit=limit, as_of_ns=as_of_ns):
                return Bars(symbol, self._store.bars(symbol, _bounded(limit), self._allowed(as_of_ns)))
            case QueryNews(symbols=symbols, since_ns=since_ns, as_of_ns=as_of_ns, limit=limit):
                return NewsItems(self._store.news(symbols, since_ns, self._allowed(as_of_ns), _bounded(limit)))
            case QueryCalendar(as_of_ns=as_of_ns, from_ns=from_ns, to_ns=to_ns):
                return CalendarEvents(self._store.calendar(self._allowed(as_of_ns), from_ns, to_ns))
            case QuerySnapshot(symbols=symbols, as_of_ns=as_of_ns):
                return self._snapshot(symbols, self._allowed(as_of_ns))
            case Ping():
                return Ok("feed")
            case _:
                raise BusError(f"the feed does not answer {type(request).__name__}; it answers market questions only")

    def _allowed(self, as_of_ns: int) -> int:
        """Refuse what is after the clock: the one place where law 7 is kept. It starts at 0."""
        if as_of_ns > max(self._now_ns, 0):
            raise LookAheadError(
                f"{_when(as_of_ns)} is after the clock, {_when(self._now_ns)}; ask as of the clock or before"
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

    def close(self) -> None:
        """Close the clock file."""
        self._clock.close()


def _bounded(limit: int) -> int:
    if not 0 < limit <= MAX_LIMIT:
        raise BusError(f"a limit of {limit:,} is out of range; allowed is 1 to {MAX_LIMIT:,}")
    return limit


def _when(ns: int) -> str:
    try:
        return iso(ns) if ns > 0 else "the start"
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"


def build_feed(spec: FeedSpec, transport: Transport, directory: Directory) -> FeedService:
    """Return the feed of a day.

    Raises:
        DayError: The day is missing or broken.
        ConfigError: A symbol the day does not have.
    """
    store = DayStore(load_day(Path(spec.day)), spec.symbols)
    publisher = transport.publisher(directory["feed.pub"])
    return FeedService(store, Path(spec.clock_file) if spec.clock_file else None, publisher)
