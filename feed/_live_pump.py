"""The thread of a live feed: takes what has come, cuts instants, publishes at a bounded rate, fills the holes.

Not a reader's thread: it never waits for who reads, for the vendor or for who asks; a reader that is slow is the
publishing socket's to conflate. Nothing that goes wrong in one turn stops the next.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Protocol

from bus.clock import NS, monotonic_ns
from bus.deferred import Deferred
from bus.errors import OutcryError, SourceError
from bus.messages import Bar, CalendarEvent, ClockTick, NewsItem, Quote, Tick
from bus.transport import Publisher
from feed._cache_times import MINUTE_NS
from feed._live_charts import LiveCharts
from feed._live_holes import Holes
from feed._live_inbox import Inbox
from feed._live_instants import InstantLog
from feed._live_quotes import QuoteBook
from feed.cache import VendorCache

__all__ = ["Pace", "Pump"]

_LOG = logging.getLogger("feed")
_MOST_KEPT = 20_000


class Clock(Protocol):
    """The feed's clock."""

    def __call__(self) -> int:
        """Return the time."""
        ...

    def not_before(self, ns: int) -> None:
        """Know that an instant was cut: the clock does not go back behind it."""
        ...


@dataclass(frozen=True)
class Pace:
    """How often a live feed speaks.

    Attributes:
        publish_s: The least between two publications, and between two instants.
        heartbeat_s: After how long without anything new an instant is cut all the same.
    """

    publish_s: float = 0.25
    heartbeat_s: float = 1.0


class _Gathered:
    """What has become available since it was last taken: the newest version of each record."""

    def __init__(self) -> None:
        self._bars: dict[tuple[str, int], Bar] = {}
        self._quotes: dict[str, Quote] = {}
        self._news: dict[str, NewsItem] = {}
        self._calendar: dict[str, CalendarEvent] = {}

    def __bool__(self) -> bool:
        return bool(self._bars or self._quotes or self._news or self._calendar)

    def add(self, bars: list[Bar], quotes: list[Quote], news: list[NewsItem], calendar: list[CalendarEvent]) -> None:
        self._bars.update(((bar.symbol, bar.open_time_ns), bar) for bar in bars)
        self._quotes.update((quote.symbol, quote) for quote in quotes)
        self._news.update((item.news_id, item) for item in news)
        self._calendar.update((event.event_id, event) for event in calendar)
        for kept in (self._bars, self._news):
            while len(kept) > _MOST_KEPT:  # nobody has taken any for weeks
                del kept[next(iter(kept))]  # pyright: ignore[reportArgumentType] - each dictionary's own first key

    def take(self, clock: ClockTick) -> Tick:
        made = Tick(
            clock,
            tuple(self._bars[key] for key in sorted(self._bars)),
            tuple(self._quotes[key] for key in sorted(self._quotes)),
            tuple(sorted(self._news.values(), key=lambda item: (item.available_time_ns, item.news_id))),
            tuple(self._calendar[key] for key in sorted(self._calendar)),
        )
        for kept in (self._bars, self._quotes, self._news, self._calendar):
            kept.clear()
        return made


class Pump:
    """Moves a live market from the stream to who reads."""

    def __init__(
        self,
        cache: VendorCache,
        inbox: Inbox,
        instants: InstantLog,
        charts: LiveCharts,
        quotes: QuoteBook,
        holes: Holes,
        publisher: Publisher | None,
        clock: Clock,
        pace: Pace,
    ) -> None:
        """Know the parts; ``start`` begins."""
        self._cache = cache
        self._inbox = inbox
        self._instants = instants
        self._charts = charts
        self._quotes = quotes
        self._holes = holes
        self._publisher = publisher
        self._clock = clock
        self._publish_ns = int(pace.publish_s * NS)
        self._heartbeat_ns = int(pace.heartbeat_s * NS)
        self._lock = Lock()
        self._waiting: list[tuple[int, Deferred]] = []
        self.woken = Event()
        self._stopped = False
        self._for_instant = _Gathered()
        self._for_readers = _Gathered()
        self._charts_due = False
        self._published_at = 0
        self._cut_at = 0
        self._minute = 0
        self._thread = Thread(target=self._run, name="feed-pump", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def next_instant(self, after_ns: int) -> Deferred:
        """Promise the tick of the next instant after a time: when there is something new, or at the heartbeat."""
        promise = Deferred()
        with self._lock:
            self._waiting.append((after_ns, promise))
        self.woken.set()
        return promise

    def close(self) -> None:
        """Stop; who waits for an instant is told. Returns when the thread has ended."""
        self._stopped = True
        self.woken.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for _, promise in waiting:
            promise.fail(SourceError("the feed is being stopped; ask again when it runs"))

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped:
            self.woken.wait(self._left_ns() / NS)
            self.woken.clear()
            if self._stopped:
                return
            try:
                self._turn()
            except Exception:
                _LOG.exception("a turn of the feed failed; the next goes on")
                self._cut_at = monotonic_ns()

    def _left_ns(self) -> int:
        """Return for how long nothing is due."""
        now = monotonic_ns()
        due = now + self._heartbeat_ns
        if self._for_readers or self._charts_due:
            due = min(due, self._published_at + self._publish_ns)
        with self._lock:
            waits = bool(self._waiting)
        if waits:
            due = min(due, self._cut_at + (self._publish_ns if self._for_instant else self._heartbeat_ns))
        return max(0, due - now)

    def _turn(self) -> None:
        with self._lock:
            waits = bool(self._waiting)
        now_ns = self._take(wanted=waits or bool(len(self._charts.watches)))
        now = monotonic_ns()
        if now - self._published_at >= self._publish_ns and (self._for_readers or self._charts_due):
            self._publish(now_ns)
            self._published_at = now
        if waits and now - self._cut_at >= (self._publish_ns if self._for_instant else self._heartbeat_ns):
            self._cut(now_ns)
            self._cut_at = now

    def _take(self, *, wanted: bool) -> int:
        """Take in what has come; return until when."""
        drained = self._inbox.drain()
        now_ns = drained.now_ns
        for state, why, at_ns in drained.states:
            self._holes.state(state, why, at_ns)
        found = self._holes.turn(now_ns, wanted=wanted)
        bars = [kept for bar, came in drained.bars if (kept := self._cache.take_bar(bar, came)) is not None]
        bars += found.bars
        news = [kept for item, came in drained.news if (kept := self._cache.take_news(item, came)) is not None]
        news += found.news
        quotes = [quote for quote in (*drained.quotes, *found.quotes) if self._quotes.add(quote)]
        for item in news:
            self._holes.heard(item)
        for bar in bars:
            self._holes.shown(bar)
            self._charts.add(bar)
        for gathered in (self._for_instant, self._for_readers):
            gathered.add(bars, quotes, news, found.calendar)
        # A set goes out after each bar, and at the minute when a bar that should be there is not.
        minute = (now_ns - self._cache.traits.bar_delay_ns) // MINUTE_NS
        self._charts_due |= bool(bars) or minute != self._minute
        self._minute = minute
        return now_ns

    def _publish(self, now_ns: int) -> None:
        sets = self._charts.due(now_ns) if self._charts_due else []
        self._charts_due = False
        tick = (
            self._for_readers.take(ClockTick(now_ns, max(0, self._instants.count - 1), 0, False))
            if (self._for_readers)
            else None
        )
        if self._publisher is None:
            return
        if tick is not None:
            self._publisher.publish("tick", tick)
        for made in sets:
            self._publisher.publish(f"charts.{made.name}", made)

    def _cut(self, now_ns: int) -> None:
        """Make the next instant of what was taken in by now, and tell all who wait for it."""
        now_ns = max(now_ns, self._instants.last_ns + 1)
        with self._lock:
            waiting = [promise for after_ns, promise in self._waiting if after_ns < now_ns]
            self._waiting = [one for one in self._waiting if one[0] >= now_ns]
        try:
            tick = self._for_instant.take(ClockTick(now_ns, self._instants.count, 0, False))
            self._cache.take_quotes(tick.quotes, now_ns)
            self._instants.add(tick)
            self._clock.not_before(now_ns)
        except OutcryError as error:
            for promise in waiting:
                promise.fail(error)
            return
        for promise in waiting:
            promise.resolve(tick)
