"""The one cache before a vendor: equal questions from any process share a call, and what is known is not asked again.

Not the clock: it is told as of when, and gives nothing that was known later (law 7). Ranges are merged, so that 200
bars after 150 fetch 50. A record fetched after it was complete counts as known from its own time, as in a recorded
day; one that a stream brings counts from its arrival. A failed call leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from bus.clock import NS, wall_ns
from bus.messages import Bar, CalendarEvent, Instrument, NewsItem, Quote, Timeframe, Trade
from feed import _cache_times as times
from feed._cache_flights import Answer, Flights
from feed._cache_ranges import FOREVER, Range, minus
from feed._cache_store import CacheStore, Shelf
from feed.source import Source

__all__ = ["PATIENCE_S", "Answer", "VendorCache"]

PATIENCE_S = 4.0
"""How long a question waits for a vendor that asked to be left alone, unless it says otherwise."""

_SKEW_TOLD_NS = 600 * NS
_QUOTES_KEPT_NS = 3 * times.DAY_NS
_S = TypeVar("_S", Bar, Quote, Trade, NewsItem, CalendarEvent)


class VendorCache:
    """What one vendor said, and when it came. Safe for several threads; no method waits for the vendor.

    Attributes:
        rejected: Records that were not of what was asked, since the start.
    """

    def __init__(
        self,
        source: Source,
        path: Path | None = None,
        *,
        clock: Callable[[], int] = wall_ns,
        workers: int = 8,
        scope: str = "",
        quote_ttl_s: float = 1.0,
    ) -> None:
        """Open the file.

        Args:
            source: The vendor.
            path: Where records survive a restart; None keeps them in memory.
            clock: The feed's clock, UTC nanoseconds.
            workers: How many vendor calls may be under way at once.
            scope: What else tells this source's data from another's.
            quote_ttl_s: How long a quote that was fetched is the latest.

        Raises:
            ConfigError: The file cannot be opened, or another feed has it.
        """
        self._source = source
        self.traits = source.traits
        self._clock = clock
        self._scope = f"{self.traits.name}|{scope}"
        self._quote_ttl_ns = int(quote_ttl_s * NS)
        self._store = CacheStore(path)
        self._flights = Flights(self.traits.name, workers)
        self._lock = Lock()
        self._shelves: dict[str, Any] = {}
        self._fresh: dict[str, list[tuple[int, int, int]]] = {}
        self._followed: dict[str, int] = {}
        self._instruments: tuple[Instrument, ...] = ()
        self.rejected = 0
        self._skew = (0, 0)

    @property
    def vendor_calls(self) -> int:
        """Calls to the vendor since the start."""
        return self._flights.calls

    @property
    def from_cache(self) -> int:
        """Questions for which nothing was called."""
        return self._flights.from_cache

    @property
    def joined(self) -> int:
        """Questions that waited for calls of others only."""
        return self._flights.joined

    @property
    def busy_s(self) -> float:
        """For how many seconds the vendor wants to be left alone."""
        return self._flights.busy_s

    @property
    def skew_ns(self) -> int:
        """How far ahead of our clock the vendor's was at its last record from the future; 0 when that is long ago."""
        ahead_ns, seen_ns = self._skew
        return ahead_ns if self._clock() - seen_ns < _SKEW_TOLD_NS else 0

    def bars(
        self,
        symbol: str,
        timeframe: Timeframe,
        start_ns: int,
        end_ns: int,
        *,
        as_of_ns: int = FOREVER,
        limit: int = 0,
        settled_ns: int = 0,
        late: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> Answer[list[Bar]]:
        """Answer with the bars that open in ``[start_ns, end_ns)``, oldest first, as known at ``as_of_ns``.

        Args:
            symbol: Whose.
            timeframe: One that the vendor serves.
            start_ns: Their range.
            end_ns: Clipped to what can be complete by now.
            as_of_ns: Never after the clock.
            limit: At most so many, the last; 0 is all.
            settled_ns: Bars that open before are known to be complete, whatever their length (a session's days).
            late: What is fetched now counts as known from now: it fills the hole of a stream.
            patience_s: How long to wait for a vendor that is busy.
        """
        key = f"bars|{symbol}|{timeframe}"
        shelf = self._shelf(key, Bar)
        tail = times.tail_ns(timeframe, self._clock())
        asked = start_ns, min(end_ns, tail)

        def fetch(_keys: tuple[str, ...], start: int, end: int) -> None:
            asked_ns = self._clock()
            found = self._source.bars(symbol, timeframe, start, end)
            now_ns = self._clock()
            good = [bar for bar in found if bar.symbol == symbol and start <= bar.open_time_ns < end]
            self._reject(len(found) - len(good))
            self._watch_skew((bar.event_time_ns for bar in good), now_ns)
            sure_ns = asked_ns - self.traits.bar_delay_ns
            covered = max(
                (sure_ns - times.LENGTH_NS[timeframe]) // times.MINUTE_NS * times.MINUTE_NS
                + times.MINUTE_NS,  # bars open on whole minutes
                settled_ns if settled_ns <= sure_ns else 0,
                max((bar.event_time_ns for bar in good if bar.event_time_ns <= asked_ns), default=0),
            )
            rows = [(bar.open_time_ns, "", times.stamped(bar, now_ns if late else 0)) for bar in good]
            shelf.put(rows, now_ns, (start, min(end, covered)))
            if times.LENGTH_NS[timeframe] < times.DAY_NS:
                self._remember(key, start, end, times.BARS_TTL_NS)
            else:
                self._remember(key, start, FOREVER if end >= tail else end, times.DAYS_TTL_NS)

        return self._flights.ask(
            (key,),
            lambda _: self._missing(key, shelf, asked),
            fetch,
            lambda: shelf.between(start_ns, end_ns, self._until(as_of_ns), limit),
            patience_s,
        )

    def quotes(
        self, symbols: Iterable[str], *, as_of_ns: int = FOREVER, patience_s: float = PATIENCE_S
    ) -> Answer[list[Quote]]:
        """Answer with the latest quote of each symbol that has one, as known at ``as_of_ns``."""
        keys = {f"quotes|{symbol}": symbol for symbol in sorted(set(symbols))}
        shelves = {symbol: self._shelf(key, Quote) for key, symbol in keys.items()}

        def fetch(missing: tuple[str, ...], start: int, end: int) -> None:
            asked = {keys[key] for key in missing}
            found = self._source.quotes(tuple(sorted(asked)))
            now_ns = self._clock()
            good = [quote for quote in found if quote.symbol in asked]
            self._reject(len(found) - len(good))
            self._watch_skew((quote.event_time_ns for quote in good), now_ns)
            for quote in good:
                shelves[quote.symbol].put([(quote.event_time_ns, "", times.stamped(quote, 0))], now_ns)
            for key in missing:
                self._remember(key, start, end, self._quote_ttl_ns)

        def answer() -> list[Quote]:
            until = self._until(as_of_ns)
            return [quote for shelf in shelves.values() for quote in shelf.between(0, FOREVER, until, 1)]

        return self._flights.ask(keys, lambda key: self._unfresh(key, [(0, 1)]), fetch, answer, patience_s)

    def trades(
        self, symbol: str, start_ns: int, end_ns: int, *, as_of_ns: int = FOREVER, patience_s: float = PATIENCE_S
    ) -> Answer[list[Trade]]:
        """Answer with the trades in ``[start_ns, end_ns)``, oldest first."""
        key = f"trades|{symbol}"
        shelf = self._shelf(key, Trade)
        tail = self._clock() + 1
        asked = start_ns, min(end_ns, tail)

        def fetch(_keys: tuple[str, ...], start: int, end: int) -> None:
            asked_ns = self._clock()
            found = self._source.trades(symbol, start, end)
            now_ns = self._clock()
            good = [one for one in found if one.symbol == symbol and start <= one.event_time_ns < end]
            self._reject(len(found) - len(good))
            self._watch_skew((one.event_time_ns for one in good), now_ns)
            covered = min(end, asked_ns - self.traits.bar_delay_ns)
            shelf.put(times.numbered(good), now_ns, (start, covered))
            self._remember(key, start, FOREVER if end >= tail else end, times.TRADES_TTL_NS)

        return self._flights.ask(
            (key,),
            lambda _: self._missing(key, shelf, asked),
            fetch,
            lambda: shelf.between(start_ns, end_ns, self._until(as_of_ns)),
            patience_s,
        )

    def news(
        self,
        symbols: Iterable[str],
        start_ns: int,
        end_ns: int,
        *,
        as_of_ns: int = FOREVER,
        late: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> Answer[list[NewsItem]]:
        """Answer with the news of any of the symbols in ``[start_ns, end_ns)``, oldest first; no symbols means all."""
        wanted = set(symbols)
        keys = {f"news|{symbol}": symbol for symbol in sorted(wanted)} or {"news|": ""}
        items = self._shelf("news", NewsItem)
        shelves = {key: self._shelf(key, NewsItem) for key in (*keys, "news|")}
        tail = self._clock() + 1
        asked = start_ns, min(end_ns, tail)

        def gaps(key: str) -> list[Range]:
            of_all = self._missing("news|", shelves["news|"], asked)
            return (
                of_all if key == "news|" else [one for gap in of_all for one in self._missing(key, shelves[key], gap)]
            )

        def fetch(missing: tuple[str, ...], start: int, end: int) -> None:
            asked_ns = self._clock()
            found = self._source.news(tuple(keys[key] for key in missing if keys[key]), start, end)
            now_ns = self._clock()
            good = [item for item in found if start <= item.event_time_ns < end]
            self._reject(len(found) - len(good))
            self._watch_skew((item.event_time_ns for item in good), now_ns)
            items.put(
                [(item.event_time_ns, item.news_id, times.stamped(item, now_ns if late else 0)) for item in good],
                now_ns,
            )
            for key in missing:
                shelves[key].cover(start, min(end, asked_ns - times.NEWS_LATE_NS))
                self._remember(key, start, FOREVER if end >= tail else end, times.NEWS_TTL_NS)

        def answer() -> list[NewsItem]:
            found = items.between(start_ns, end_ns, self._until(as_of_ns))
            return [item for item in found if not wanted or wanted.intersection(item.symbols)]

        return self._flights.ask(keys, gaps, fetch, answer, patience_s)

    def calendar(
        self, from_ns: int, to_ns: int, *, as_of_ns: int = FOREVER, patience_s: float = PATIENCE_S
    ) -> Answer[list[CalendarEvent]]:
        """Answer with the releases scheduled in ``[from_ns, to_ns)``; what came out after ``as_of_ns`` is left out."""
        shelf = self._shelf("calendar", CalendarEvent)

        def fetch(_keys: tuple[str, ...], start: int, end: int) -> None:
            asked_ns = self._clock()
            found = self._source.calendar(start, end)
            now_ns = self._clock()
            good = [event for event in found if start <= event.event_time_ns < end]
            self._reject(len(found) - len(good))
            rows = [(event.event_time_ns, event.event_id, times.stamped(event, 0)) for event in good]
            shelf.put(rows, now_ns, (start, min(end, asked_ns - times.CALENDAR_LATE_NS)))
            self._remember("calendar", start, end, times.CALENDAR_TTL_NS)

        def answer() -> list[CalendarEvent]:
            until = self._until(as_of_ns)
            return [times.as_known(versions, until) for versions in shelf.versions(from_ns, to_ns)]

        return self._flights.ask(
            ("calendar",), lambda _: self._missing("calendar", shelf, (from_ns, to_ns)), fetch, answer, patience_s
        )

    def instruments(self, *, patience_s: float = PATIENCE_S) -> Answer[tuple[Instrument, ...]]:
        """Answer with the instruments of the source's symbols."""

        def fetch(_keys: tuple[str, ...], start: int, end: int) -> None:
            self._instruments = tuple(sorted(self._source.instruments(), key=lambda one: one.symbol))
            self._remember("instruments", start, end, times.INSTRUMENTS_TTL_NS)

        return self._flights.ask(
            ("instruments",),
            lambda key: self._unfresh(key, [(0, 1)]),
            fetch,
            lambda: self._instruments,
            patience_s,
        )

    def follow(self, symbol: str, from_ns: int) -> None:
        """Know that a stream brings every 1Min bar of a symbol that opens from now on: nothing of it is fetched."""
        with self._lock:
            self._followed[f"bars|{symbol}|1Min"] = from_ns

    def unfollow(self, symbol: str) -> None:
        """Know that the stream of a symbol is down: what it does not bring is fetched when it is asked for."""
        with self._lock:
            self._followed.pop(f"bars|{symbol}|1Min", None)

    def follow_news(self, symbol: str, from_ns: int) -> None:
        """Know that a stream brings all news of a symbol from now on."""
        with self._lock:
            self._followed[f"news|{symbol}"] = from_ns

    def unfollow_news(self, symbol: str, until_ns: int) -> None:
        """Know until when the stream brought the news of a symbol."""
        key = f"news|{symbol}"
        with self._lock:
            from_ns = self._followed.pop(key, FOREVER)
        if from_ns < until_ns:
            self._shelf(key, NewsItem).cover(from_ns, until_ns)

    def take_bar(self, bar: Bar, arrived_ns: int) -> Bar | None:
        """Keep a 1Min bar of a stream; return it as kept, or None when it was there."""
        self._watch_skew((bar.event_time_ns,), arrived_ns)
        key = f"bars|{bar.symbol}|1Min"
        with self._lock:
            since_ns = self._followed.get(key, FOREVER)
        cover = (since_ns, bar.open_time_ns + times.MINUTE_NS) if since_ns <= bar.open_time_ns else None
        kept = self._shelf(key, Bar).put([(bar.open_time_ns, "", times.stamped(bar, arrived_ns))], arrived_ns, cover)
        return kept[0] if kept else None

    def take_news(self, item: NewsItem, arrived_ns: int) -> NewsItem | None:
        """Keep a headline of a stream; return it as kept, or None when it was there."""
        self._watch_skew((item.event_time_ns,), arrived_ns)
        rows = [(item.event_time_ns, item.news_id, times.stamped(item, arrived_ns))]
        kept = self._shelf("news", NewsItem).put(rows, arrived_ns)
        return kept[0] if kept else None

    def take_quotes(self, quotes: Iterable[Quote], arrived_ns: int) -> None:
        """Keep quotes as a tick showed them, so that the same is answered after a restart."""
        for quote in quotes:
            self._shelf(f"quotes|{quote.symbol}", Quote).put([(quote.event_time_ns, "", quote)], arrived_ns)

    def kept_quote(self, symbol: str, as_of_ns: int) -> Quote | None:
        """Return the latest quote that is kept, as known at a time; the vendor is not asked."""
        found = self._shelf(f"quotes|{symbol}", Quote).between(0, FOREVER, self._until(as_of_ns), 1)
        return found[0] if found else None

    def kept_bars(self, symbol: str, start_ns: int, end_ns: int, as_of_ns: int = FOREVER) -> list[Bar]:
        """Return the 1Min bars that are kept, as known at a time; the vendor is not asked."""
        return self._shelf(f"bars|{symbol}|1Min", Bar).between(start_ns, end_ns, self._until(as_of_ns))

    def close(self) -> None:
        """Stop asking and close the file; may be called twice. The source is not closed."""
        self._flights.close()
        self._store.close()

    def _shelf(self, key: str, kind: type[_S]) -> Shelf[_S]:
        with self._lock:
            shelf = self._shelves.get(key)
            if shelf is None:
                shelf = self._shelves[key] = Shelf(self._store, f"{self._scope}|{key}", kind)
                if kind is Quote:
                    shelf.forget(self._clock() - _QUOTES_KEPT_NS)
            return shelf

    def _until(self, as_of_ns: int) -> int:
        return min(as_of_ns, self._clock())

    def _missing(self, key: str, shelf: Shelf[_S], asked: Range) -> list[Range]:
        return [left for gap in shelf.missing(*asked) for left in self._unfresh(key, [gap])]

    def _unfresh(self, key: str, gaps: list[Range]) -> list[Range]:
        """Return what of the gaps was neither asked just now nor is brought by a stream."""
        now_ns = self._clock()
        with self._lock:
            fresh = [one for one in self._fresh.get(key, ()) if now_ns < one[2]]
            if key in self._fresh:
                self._fresh[key] = fresh
            taken = [(start, end) for start, end, _ in fresh]
            if key in self._followed:
                taken.append((self._followed[key], FOREVER))
        return [left for gap in gaps for left in minus(gap, taken)]

    def _remember(self, key: str, start: int, end: int, ttl_ns: int) -> None:
        with self._lock:
            self._fresh.setdefault(key, []).append((start, end, self._clock() + ttl_ns))

    def _reject(self, count: int) -> None:
        with self._lock:
            self.rejected += count

    def _watch_skew(self, times: Iterable[int], now_ns: int) -> None:
        ahead = max(times, default=0) - now_ns
        if ahead > 0:
            self._skew = (ahead, now_ns)
