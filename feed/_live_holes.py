"""What a stream does not bring: the hole of an outage, and everything of a vendor without a stream. Filled over REST.

Not a stream: it is told how the connection is. Each bar that is filled in is shown once, as known from its arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from bus.clock import NS
from bus.errors import NotOfferedError
from bus.messages import Bar, CalendarEvent, NewsItem, Quote
from feed._cache_ranges import FOREVER
from feed._cache_times import MINUTE_NS
from feed._live_inbox import State
from feed.cache import VendorCache

__all__ = ["Found", "Holes"]

_AGAIN_NS = 5 * NS
_SELDOM_NS = 60 * NS
_QUOTES_EVERY_NS = 5 * NS
_NEWS_EVERY_NS = 60 * NS
_HOUR_NS = 3600 * NS
_REMEMBERED = 2_000
_LONGEST_NS = 7 * 86_400 * NS


@dataclass
class Found:
    """What was filled in since the last time."""

    bars: list[Bar] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    news: list[NewsItem] = field(default_factory=list)
    calendar: list[CalendarEvent] = field(default_factory=list)

    def known_by(self, now_ns: int) -> tuple[Found, Found]:
        """Return what is known by a time, and what came while it was asked for."""
        now, later = Found(), Found()
        for bar in self.bars:
            (now if bar.available_time_ns <= now_ns else later).bars.append(bar)
        for quote in self.quotes:
            (now if quote.available_time_ns <= now_ns else later).quotes.append(quote)
        for item in self.news:
            (now if item.available_time_ns <= now_ns else later).news.append(item)
        for event in self.calendar:
            (now if event.available_time_ns <= now_ns else later).calendar.append(event)
        return now, later


@dataclass
class _Hole:
    """Minutes of a symbol that are missing, and from when they can be asked for."""

    symbol: str
    start_ns: int
    end_ns: int
    due_ns: int
    lost: bool = True
    asked: bool = False
    again_ns: int = _AGAIN_NS


class Holes:
    """Knows how the connection is and what must be asked for. For the feed's one thread; answers come on others.

    Attributes:
        reconnects: How often a lost stream has come back.
    """

    def __init__(
        self,
        cache: VendorCache,
        symbols: tuple[str, ...],
        since_ns: int,
        last_record_ns: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        """Start unconnected.

        Args:
            cache: Where it is asked.
            symbols: Whose bars, quotes and news.
            since_ns: The newest instant that was shown before this process; -1 when there was none.
            last_record_ns: Tells when the stream's newest record came.
            wake: Called when an answer has come.
        """
        self._cache = cache
        self._symbols = symbols
        self._since_ns = since_ns
        self._last_record_ns = last_record_ns
        self._wake = wake
        offers = cache.traits.offers
        self._streams = "stream" in offers
        self._offers = offers
        self._lock = Lock()
        self._found = Found()
        self._holes: list[_Hole] = []
        self._shown: dict[str, set[int]] = {symbol: set() for symbol in symbols}
        self._order: dict[str, deque[int]] = {symbol: deque() for symbol in symbols}
        self._said: set[str] = set()
        self._state: State = "connecting"
        self._why = ""
        self._lost_why = ""
        self._was_connected = False
        self._lost_ns = since_ns
        self._began_ns = since_ns if since_ns > 0 else 0
        self._now_ns = 0
        self._polled_ns = 0
        self._next_quotes_ns = 0
        self._next_news_ns = 0
        self._next_calendar_ns = 0
        self._told_ns = 0
        self.reconnects = 0

    @property
    def connected(self) -> bool:
        """Whether a stream brings records now."""
        return self._state == "connected"

    @property
    def text(self) -> str:
        """How the feed is, for people: ``ok`` when all is well."""
        if not self._streams:
            said = "polling"
        elif self._state == "connected":
            said = "ok"
        elif self._state == "connecting" and self._lost_why:
            said = f"connecting again; it was {self._lost_why}"
        else:
            said = f"{self._state}: {self._why}" if self._why else self._state
        notes = [said]
        if any(hole.lost for hole in self._holes) and self._streams:
            notes.append("filling the hole of an outage")
        if self._cache.busy_s > 0:
            notes.append(f"the vendor wants to be left alone for {self._cache.busy_s:.0f} s")
        return "; ".join(notes)

    def state(self, state: State, why: str, at_ns: int) -> None:
        """Learn a change of the connection."""
        before, self._state, self._why = self._state, state, why
        if state != "connecting":
            self._lost_why = "" if state == "connected" else f"{state}: {why}" if why else state
        if state == "connected":
            if before != "connected":
                self._connected(at_ns)
        elif before == "connected":
            self._lost_ns = min(at_ns, self._last_record_ns() or at_ns)
            self._next_news_ns = at_ns
            for symbol in self._symbols:
                self._cache.unfollow(symbol)
                self._cache.unfollow_news(symbol, self._lost_ns)

    def turn(self, now_ns: int, *, wanted: bool) -> Found:
        """Ask for what is due and return what has come.

        Args:
            now_ns: The clock.
            wanted: Whether anybody waits for what a vendor without a stream must be asked for.
        """
        self._now_ns = now_ns
        self._began_ns = self._began_ns or now_ns
        if wanted:
            self._poll(now_ns)
        with self._lock:
            holes = list(self._holes)
        for hole in holes:
            if not hole.asked and hole.due_ns <= now_ns:
                hole.asked = True
                asked = self._cache.bars(hole.symbol, "1Min", hole.start_ns, hole.end_ns, late=True)
                asked.add_done_callback(lambda done, hole=hole: self._filled(hole, done))
        with self._lock:
            found, self._found = self._found.known_by(now_ns)
        return found

    def shown(self, bar: Bar) -> None:
        """Know that a bar was shown."""
        opens, order = self._shown[bar.symbol], self._order[bar.symbol]
        if bar.open_time_ns not in opens:
            opens.add(bar.open_time_ns)
            order.append(bar.open_time_ns)
            if len(order) > _REMEMBERED:
                opens.discard(order.popleft())

    def heard(self, item: NewsItem) -> None:
        """Know that a headline was shown."""
        with self._lock:
            self._said.add(f"n{item.news_id}")

    def _connected(self, at_ns: int) -> None:
        self.reconnects += self._was_connected
        self._was_connected = True
        minute_ns = at_ns // MINUTE_NS * MINUTE_NS
        from_ns = minute_ns + MINUTE_NS
        start_ns = self._lost_ns // MINUTE_NS * MINUTE_NS if self._lost_ns > 0 else minute_ns
        start_ns = max(start_ns, at_ns - _LONGEST_NS)
        for symbol in self._symbols:
            if start_ns < minute_ns:
                self._add(_Hole(symbol, start_ns, minute_ns, at_ns))
            # The minute that was under way is whole only at its end.
            late_ns = from_ns + self._cache.traits.bar_delay_ns
            self._add(_Hole(symbol, minute_ns, from_ns, late_ns, lost=False))
            self._cache.follow(symbol, from_ns)
            if "news" in self._offers:
                self._cache.follow_news(symbol, at_ns + 1)
        self._next_news_ns = at_ns

    def _add(self, hole: _Hole) -> None:
        """Add a hole, to one of the symbol that waits already where there is one."""
        with self._lock:
            for one in self._holes:
                if (one.symbol, one.asked, one.lost) == (hole.symbol, False, hole.lost):
                    one.start_ns = min(one.start_ns, hole.start_ns)
                    one.end_ns = max(one.end_ns, hole.end_ns)
                    return
            self._holes.append(hole)

    def _filled(self, hole: _Hole, done: Future[list[Bar]]) -> None:
        error = done.exception()
        with self._lock:
            if error is None:
                self._found.bars.extend(bar for bar in done.result() if self._is_new(bar))
            if error is None or isinstance(error, NotOfferedError):
                self._holes = [one for one in self._holes if one is not hole]
            else:
                hole.due_ns = self._now_ns + hole.again_ns
                hole.again_ns = min(2 * hole.again_ns, _SELDOM_NS)
                hole.asked = False
        self._wake()

    def _is_new(self, bar: Bar) -> bool:
        return bar.open_time_ns not in self._shown[bar.symbol] and bar.available_time_ns > self._since_ns

    # --- a vendor without a stream ------------------------------------------------------------------------------------

    def _poll(self, now_ns: int) -> None:
        if not self._streams and "bars" in self._offers:
            self._poll_bars(now_ns)
            if "quotes" in self._offers and now_ns >= self._next_quotes_ns:
                self._next_quotes_ns = now_ns + _QUOTES_EVERY_NS
                self._cache.quotes(self._symbols).add_done_callback(self._quoted)
        if now_ns >= self._next_news_ns and "news" in self._offers:
            # A stream brings the news; only what it missed is asked for.
            self._next_news_ns = FOREVER if self.connected else now_ns + _NEWS_EVERY_NS
            start_ns = max(self._told_ns or self._began_ns, now_ns - _LONGEST_NS) - 5 * _NEWS_EVERY_NS
            asked = self._cache.news(self._symbols, start_ns, now_ns + 1, late=True)
            asked.add_done_callback(lambda done: self._told(done, now_ns))
        if now_ns >= self._next_calendar_ns and "calendar" in self._offers:
            self._next_calendar_ns = now_ns + _NEWS_EVERY_NS
            hour_ns = now_ns // _HOUR_NS * _HOUR_NS
            self._cache.calendar(hour_ns - _HOUR_NS, hour_ns + _HOUR_NS).add_done_callback(self._released)

    def _poll_bars(self, now_ns: int) -> None:
        ready_ns = (now_ns - self._cache.traits.bar_delay_ns) // MINUTE_NS * MINUTE_NS
        if ready_ns <= self._polled_ns:
            return
        start_ns = self._polled_ns or (self._since_ns // MINUTE_NS * MINUTE_NS if self._since_ns > 0 else 0)
        self._polled_ns = ready_ns
        for symbol in self._symbols:
            self._add(_Hole(symbol, start_ns or ready_ns - MINUTE_NS, ready_ns, now_ns))

    def _quoted(self, done: Future[list[Quote]]) -> None:
        if done.exception() is None:
            with self._lock:
                self._found.quotes.extend(done.result())
            self._wake()

    def _told(self, done: Future[list[NewsItem]], asked_ns: int) -> None:
        if done.exception() is not None:
            self._next_news_ns = min(self._next_news_ns, asked_ns + _AGAIN_NS)
        else:
            with self._lock:
                self._told_ns = asked_ns
                self._found.news.extend(item for item in done.result() if self._first(f"n{item.news_id}", item))
            self._wake()

    def _released(self, done: Future[list[CalendarEvent]]) -> None:
        if done.exception() is None:
            with self._lock:
                out = [event for event in done.result() if event.actual]
                self._found.calendar.extend(event for event in out if self._first(f"e{event.event_id}", event))
            self._wake()

    def _first(self, name: str, record: NewsItem | CalendarEvent) -> bool:
        """Whether a record became known since the last instant of a former process and was not shown."""
        if name in self._said:
            return False
        self._said.add(name)
        return record.available_time_ns > self._began_ns
