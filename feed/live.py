"""The feed of a live market: one process that owns the vendor, one clock, one place where the future is refused.

Not a recorded day (``feed.service``), though it answers the same questions. Its clock is the wall's. An instant is cut
when the orchestrator advances and holds all that became available since the one before; it is on disk before it is
told, so a restarted feed answers the same. No question waits for the vendor on the thread that answers the bus: its
answer is promised, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from bus.clock import NS, wall_ns
from bus.deferred import Deferred
from bus.errors import BusError, ConfigError
from bus.messages import (
    Advance,
    DayInfo,
    DescribeDay,
    FeedClock,
    FeedStats,
    GetClock,
    GetFeedStats,
    Instrument,
    Instruments,
    Message,
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
    Tick,
    TickAt,
    UnwatchCharts,
    WatchCharts,
)
from bus.transport import Directory, Publisher, Transport
from feed._live_answers import LiveAnswers, when
from feed._live_charts import LiveCharts
from feed._live_holes import Holes
from feed._live_inbox import Inbox, SinkOf
from feed._live_instants import InstantLog
from feed._live_pump import Pace, Pump
from feed._live_quotes import QuoteBook
from feed._live_wait import after
from feed._questions import bounded, paged, sessions_of
from feed.cache import Answer, VendorCache
from feed.sessions import session_calendar
from feed.source import Source, Stream
from feed.spec import FeedSpec

__all__ = ["LiveFeed", "build_live_feed"]

_DAY_NS = 86_400 * NS
_NEWS_BACK_NS = 7 * _DAY_NS
_CALENDAR_SPAN_NS = 400 * _DAY_NS
_WIDER = 5
_BASE_S = 60
_MAX_WORDS = 20
_MAX_TEXT = 500
_MARKET = (QueryBars, QueryNews, QueryCalendar, QuerySnapshot, QueryChart, SearchNews, QueryInstruments, WatchCharts)


@runtime_checkable
class _Counts(Protocol):
    """A source that leaves out records by itself."""

    @property
    def rejected_records(self) -> int:
        """How many."""
        ...


class _Steady:
    """A clock that never goes back, when the wall's is set back or behind the instants of a former process."""

    def __init__(self, wall: Callable[[], int]) -> None:
        self._wall = wall
        self._newest_ns = 0

    def __call__(self) -> int:
        self._newest_ns = max(self._newest_ns, self._wall())
        return self._newest_ns

    def not_before(self, ns: int) -> None:
        """Know that an instant was cut."""
        self._newest_ns = max(self._newest_ns, ns)


class LiveFeed:
    """Answers questions about a live market up to its clock. ``handle`` is for one thread at a time."""

    def __init__(
        self,
        source: Source,
        symbols: tuple[str, ...],
        publisher: Publisher | None = None,
        *,
        cache_file: Path | None = None,
        clock_file: Path | None = None,
        scope: str = "",
        clock: Callable[[], int] = wall_ns,
        pace: Pace | None = None,
    ) -> None:
        """Open the files and connect; the vendor need not be up.

        Args:
            source: The vendor; it is closed with the feed.
            symbols: What the desk trades.
            publisher: Where ticks and charts are published; None for nowhere.
            cache_file: Where the vendor's data survives a restart; None for memory.
            clock_file: Where this run's instants do; None for memory.
            scope: What else tells this source's data from another's.
            clock: UTC nanoseconds.
            pace: How often it publishes and cuts instants.

        Raises:
            ConfigError: A file cannot be opened, or no symbol is named.
        """
        if not symbols:
            raise ConfigError("a live desk has no symbols; name them in source.symbols, for example SPY, AAPL")
        self._source = source
        self._symbols = tuple(sorted(set(symbols)))
        self._traits = source.traits
        self._steady = clock = _Steady(clock)
        self._calendar = session_calendar(self._traits.calendar)
        self._cache = VendorCache(source, cache_file, clock=clock, scope=scope)
        try:
            self._instants = InstantLog(clock_file, f"{self._traits.name}|{scope}", self._symbols)
        except BaseException:
            self._cache.close()
            raise
        clock.not_before(self._instants.last_ns)
        self._quotes = QuoteBook()
        self._charts = LiveCharts(self._cache, self._calendar, lambda: self.now_ns)
        self._inbox = Inbox(self._symbols, clock, self._wake)
        self._holes = Holes(
            self._cache, self._symbols, self._instants.last_ns, lambda: self._inbox.last_record_ns, self._wake
        )
        self._pump = Pump(
            self._cache,
            self._inbox,
            self._instants,
            self._charts,
            self._quotes,
            self._holes,
            publisher,
            clock,
            pace or Pace(),
        )
        self._asked = 0
        self._answers = LiveAnswers(
            self._cache,
            self._calendar,
            self._symbols,
            self._quotes,
            self._inbox.halts,
            self._charts,
            lambda: self.now_ns,
            lambda: self._holes.connected,
        )
        self._stream: Stream | None = None
        self._pump.start()
        try:
            if "stream" in self._traits.offers:
                self._stream = source.stream(self._symbols, SinkOf(self._inbox))
        except BaseException:
            self._stop()
            raise

    @property
    def now_ns(self) -> int:
        """The clock; it never goes back behind an instant."""
        return self._steady()

    def handle(self, request: Message) -> Message | Deferred:
        """Answer one question, or promise the answer."""
        self._asked += isinstance(request, _MARKET)
        match request:
            case Advance(after_ns=after_ns):
                return self._advance(after_ns)
            case TickAt(now_ns=now_ns):
                return self._tick_at(now_ns)
            case DescribeDay():
                return after([found := self._instruments()], lambda: self._info(found.result(0)))
            case QueryBars(symbol=symbol, limit=limit, as_of_ns=as_of_ns):
                return self._answers.bars(symbol, bounded(limit), self._answers.as_of(as_of_ns))
            case QueryNews():
                return self._answers.news(request)
            case QueryCalendar():
                return self._answers.events(request)
            case QuerySnapshot(symbols=symbols, as_of_ns=as_of_ns):
                if as_of_ns == -1:
                    return self._answers.snapshot(symbols, self.now_ns)
                return self._answers.known(symbols, self._answers.allowed(as_of_ns))
            case QueryChart():
                return self._answers.chart(request)
            case WatchCharts():
                return self._answers.watch(request)
            case _:
                return self._handle_rest(request)

    def close(self) -> None:
        """Stop the stream, the thread and the vendor calls, and close the files."""
        if self._stream is not None:
            self._stream.close()
        self._stop()
        self._source.close()

    def _stop(self) -> None:
        self._pump.close()
        self._cache.close()
        self._instants.close()

    def _handle_rest(self, request: Message) -> Message | Deferred:
        match request:
            case GetClock():
                return self._clock()
            case QueryInstruments():
                found = self._answers.counted(self._instruments())
                return after([found], lambda: self._listed(request, found.result(0)))
            case UnwatchCharts(name=name):
                with self._charts.lock:
                    self._charts.watches.unwatch(name)
                return Ok(name)
            case SearchNews():
                return self._answers.search(request)
            case QuerySessions():
                return sessions_of(self._calendar, request)
            case GetFeedStats():
                return self.stats()
            case Ping():
                return Ok("feed")
            case _:
                raise BusError(f"the feed does not answer {type(request).__name__}; it answers market questions only")

    # --- the clock ----------------------------------------------------------------------------------------------------

    def _advance(self, after_ns: int) -> Message | Deferred:
        return self._instants.after(self._answers.allowed(after_ns)) or self._pump.next_instant(after_ns)

    def _tick_at(self, now_ns: int) -> Tick:
        tick = self._instants.at(self._answers.allowed(now_ns))
        if tick is None:
            raise BusError(f"{when(now_ns)} is no instant of this run; ask for one that Advance gave")
        return tick

    def _clock(self) -> FeedClock:
        now_ns = self.now_ns
        calendar = self._calendar
        at, following = calendar.session_at(now_ns), calendar.next_session(now_ns)
        last = at or calendar.last_session(now_ns)
        return FeedClock(
            now_ns=now_ns,
            source=self._traits.name,
            day_id=self._traits.name,
            kind="live",
            calendar=calendar.code,
            timezone=self._traits.timezone,
            bar_s=_BASE_S,
            is_open=at is not None,
            session=last.date if last else "",
            open_ns=last.open_ns if last else 0,
            close_ns=last.close_ns if last else 0,
            next_open_ns=following.open_ns if following else 0,
            next_close_ns=at.close_ns if at else following.close_ns if following else 0,
        )

    # --- what is traded -----------------------------------------------------------------------------------------------

    def _instruments(self) -> Answer[tuple[Instrument, ...]]:
        return self._cache.instruments()

    def _info(self, instruments: tuple[Instrument, ...]) -> DayInfo:
        return DayInfo(
            day_id=self._traits.name,
            kind="live",
            seal="",
            calendar=self._calendar.code,
            timezone=self._traits.timezone,
            bar_s=_BASE_S,
            first_ns=0,
            last_ns=0,
            instants=0,
            bars=0,
            instruments=instruments,
            traded=self._symbols,
        )

    def _listed(self, ask: QueryInstruments, instruments: tuple[Instrument, ...]) -> Instruments:
        page = paged(ask.limit, ask.offset)
        part = ask.text.strip().upper()
        found = [item for item in instruments if part in item.symbol.upper()]
        return Instruments(tuple(found[page]), len(found), self._symbols)

    # --- counts -------------------------------------------------------------------------------------------------------

    def stats(self) -> FeedStats:
        """Return what was asked and how the feed is."""
        state = self._holes.text
        ahead_ns = max(self._cache.skew_ns, self._inbox.skew_ns)
        if ahead_ns:
            state += f"; the vendor's clock is {ahead_ns / NS:.1f} s ahead of ours"
        return FeedStats(
            source=self._traits.name,
            questions=self._asked,
            vendor_calls=self._cache.vendor_calls,
            from_cache=self._answers.counts["cached"],
            joined=self._answers.counts["joined"],
            reconnects=self._holes.reconnects,
            rejected_records=self._cache.rejected
            + self._inbox.rejected
            + (self._source.rejected_records if isinstance(self._source, _Counts) else 0),
            last_record_ns=self._inbox.last_record_ns,
            state=state,
        )

    def _wake(self) -> None:
        self._pump.woken.set()


def build_live_feed(spec: FeedSpec, transport: Transport, directory: Directory) -> LiveFeed:
    """Return the feed of a live market, connected. The vendor's keys come from this process's environment.

    Raises:
        ConfigError: The source cannot be opened as it is configured, or a file cannot.
    """
    import os

    from feed.open_source import open_source

    if spec.source is None:
        raise ConfigError("this feed has no source; name one in [source], or give a recorded day")
    unknown = sorted(set(spec.symbols) - set(spec.source.symbols))
    if unknown:
        raise ConfigError(
            f"desk.symbols: {', '.join(unknown)} is not subscribed; source.symbols has "
            f"{', '.join(spec.source.symbols)}: add it there"
        )
    source = open_source(spec.source, os.environ)
    try:
        return LiveFeed(
            source,
            spec.symbols or spec.source.symbols,
            transport.publisher(directory["feed.pub"]),
            # Files are at hand: they are read again, and may have been mended.
            cache_file=Path(spec.cache_file) if spec.cache_file and spec.source.kind != "folder" else None,
            clock_file=Path(spec.clock_file) if spec.clock_file else None,
            scope="|".join((spec.source.data_feed, spec.source.rest_url, spec.source.path)).strip("|"),
        )
    except BaseException:
        source.close()
        raise
