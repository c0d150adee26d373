"""The feed process: the one clock, and the one place where nothing after the clock is served.

Not a cache of vendors yet: its source is a sealed day. Every question is idempotent; a restarted feed reads its clock
from a file and goes on.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from pathlib import Path

from bus.clock import iso
from bus.errors import BusError, LookAheadError
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
from feed.format import load_day
from feed.spec import FeedSpec
from feed.store import DayStore

__all__ = ["FeedService", "build_feed"]

_CLOCK = struct.Struct(">q")
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
        """
        self._store = store
        self._publisher = publisher
        self._info = store.info()
        self._file = os.open(clock_file, os.O_RDWR | os.O_CREAT, 0o600) if clock_file else -1
        self._now_ns = self._read_clock()

    @property
    def info(self) -> DayInfo:
        """The day that is served."""
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
                return self._info
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
        if as_of_ns > self._now_ns:
            raise LookAheadError(
                f"{iso(max(as_of_ns, 0))} is after the clock, {iso(max(self._now_ns, 0))}; ask as of then or before"
            )
        return as_of_ns

    def _advance(self, after_ns: int) -> Tick:
        instants = self._store.instants
        if after_ns > self._now_ns:
            self._allowed(after_ns)
        index = min(bisect_right(instants, after_ns), len(instants) - 1)
        tick = self._store.tick(index)
        if tick.clock.now_ns > self._now_ns:
            self._now_ns = tick.clock.now_ns
            self._write_clock()
            if self._publisher is not None:
                self._publisher.publish("tick", tick)
        return tick

    def _tick_at(self, now_ns: int) -> Tick:
        self._allowed(now_ns)
        index = bisect_right(self._store.instants, now_ns) - 1
        if index < 0 or self._store.instants[index] != now_ns:
            raise BusError(f"{iso(max(now_ns, 0))} is no instant of this day; ask for one that Advance gave")
        return self._store.tick(index)

    def _snapshot(self, symbols: tuple[str, ...], as_of_ns: int) -> Snapshot:
        wanted = symbols or self._store.traded
        bars = tuple(bar for symbol in wanted for bar in self._store.bars(symbol, 1, as_of_ns))
        quotes = tuple(quote for symbol in wanted for quote in self._store.quote(symbol, as_of_ns))
        return Snapshot(as_of_ns, bars, quotes)

    def _read_clock(self) -> int:
        data = os.pread(self._file, _CLOCK.size, 0) if self._file >= 0 else b""
        return int(_CLOCK.unpack(data)[0]) if len(data) == _CLOCK.size else -1

    def _write_clock(self) -> None:
        if self._file >= 0:
            os.pwrite(self._file, _CLOCK.pack(self._now_ns), 0)

    def close(self) -> None:
        """Close the clock file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _bounded(limit: int) -> int:
    if not 0 < limit <= MAX_LIMIT:
        raise BusError(f"a limit of {limit:,} is out of range; allowed is 1 to {MAX_LIMIT:,}")
    return limit


def build_feed(spec: FeedSpec, transport: Transport, directory: Directory) -> FeedService:
    """Return the feed of a day.

    Raises:
        DayError: The day is missing or broken.
        ConfigError: A symbol the day does not have.
    """
    store = DayStore(load_day(Path(spec.day)), spec.symbols)
    publisher = transport.publisher(directory["feed.pub"])
    return FeedService(store, Path(spec.clock_file) if spec.clock_file else None, publisher)
