"""What a live feed answers about bars, quotes, news, releases and charts, as known at a time. Not its clock's keeper.

Each answer is made of what the cache gives; where the vendor must be asked first, it is promised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bus.clock import NS, iso
from bus.deferred import Deferred
from bus.errors import BusError, ConfigError, LookAheadError, NotOfferedError
from bus.messages import (
    Bars,
    CalendarEvents,
    Message,
    NewsItem,
    NewsItems,
    NewsPage,
    QueryCalendar,
    QueryChart,
    QueryNews,
    Quote,
    SearchNews,
    Snapshot,
    WatchCharts,
)
from feed._cache_times import MINUTE_NS
from feed._live_charts import LiveCharts
from feed._live_halts import Halts
from feed._live_history import lookback
from feed._live_quotes import QuoteBook
from feed._live_wait import after
from feed._questions import bounded, paged
from feed.cache import Answer, VendorCache
from feed.sessions import SessionCalendar
from feed.watches import check_charts

__all__ = ["LiveAnswers", "when"]

_DAY_NS = 86_400 * NS
_NEWS_BACK_NS = 7 * _DAY_NS
_CALENDAR_SPAN_NS = 400 * _DAY_NS
_WIDER = {1: 2, 2: 10}
"""How much further a question looks back that found too little."""
_FRESH_NS = 10 * NS
_MAX_WORDS = 20
_MAX_TEXT = 500


class LiveAnswers:
    """Answers about one live market.

    Attributes:
        counts: Questions by how they were answered: ``cached``, ``joined``, ``called``.
    """

    def __init__(
        self,
        cache: VendorCache,
        calendar: SessionCalendar,
        symbols: tuple[str, ...],
        quotes: QuoteBook,
        halts: Halts,
        charts: LiveCharts,
        now: Callable[[], int],
        connected: Callable[[], bool],
    ) -> None:
        """Know the parts.

        Args:
            cache: The vendor's.
            calendar: The venue's.
            symbols: What is traded, sorted.
            quotes: What the stream brought.
            halts: What venues have stopped.
            charts: The rolling ones.
            now: The feed's clock.
            connected: Whether a stream brings records now.
        """
        self._cache = cache
        self._calendar = calendar
        self._symbols = symbols
        self._traits = cache.traits
        self._quotes = quotes
        self._halts = halts
        self._charts = charts
        self._now = now
        self._connected = connected
        self.counts = {"cached": 0, "joined": 0, "called": 0}

    # --- the clock ----------------------------------------------------------------------------------------------------

    def as_of(self, as_of_ns: int) -> int:
        """Return the time that a question is about; -1 is the clock."""
        return self._now() if as_of_ns == -1 else self.allowed(as_of_ns)

    def allowed(self, as_of_ns: int) -> int:
        """Refuse what is after the clock: the one place where law 7 is kept for a live market."""
        now_ns = self._now()
        if as_of_ns > now_ns:
            raise LookAheadError(f"{when(as_of_ns)} is after the clock, {when(now_ns)}; ask as of the clock or before")
        return as_of_ns

    def _known(self, symbol: str) -> str:
        if symbol not in self._symbols:
            raise ConfigError(
                f"{symbol[:40]!r} is not on this desk; it has {', '.join(self._symbols)}: ask for one of these, or "
                "name it in source.symbols and start again"
            )
        return symbol

    # --- records ------------------------------------------------------------------------------------------------------

    def bars(self, symbol: str, limit: int, as_of_ns: int, reach: int = 1) -> Message | Deferred:
        """Return the last one-minute bars of a symbol."""
        self._known(symbol)
        start_ns = lookback(self._calendar, "1Min", limit * reach, as_of_ns // MINUTE_NS * MINUTE_NS)
        found = self._cache.bars(symbol, "1Min", start_ns, as_of_ns, as_of_ns=as_of_ns, limit=limit)
        if reach == 1:
            self.counted(found)

        def make() -> Message | Deferred:
            bars = found.result(0)
            if len(bars) < limit and reach in _WIDER:  # it does not trade every minute: look back further
                return self.bars(symbol, limit, as_of_ns, _WIDER[reach])
            return Bars(symbol, tuple(bars))

        return after([found], make)

    def snapshot(self, symbols: tuple[str, ...], as_of_ns: int) -> Message | Deferred:
        """Return the latest bar and quote of each symbol."""
        wanted = [self._known(symbol) for symbol in sorted(set(symbols or self._symbols))]
        bars = {symbol: self._last_bar(symbol, as_of_ns) for symbol in wanted}
        quotes: dict[str, Quote] = {}
        for symbol in wanted:
            for quote in (self._cache.kept_quote(symbol, as_of_ns), self._quotes.at(symbol, as_of_ns)):
                _newer(quotes, quote)
        answers: list[Answer[Any]] = list(bars.values())
        fetched: Answer[list[Quote]] | None = None
        # What the quote was a while ago is not known better by asking what it is now.
        current = self._connected() or as_of_ns < self._now() - _FRESH_NS
        if (not current or len(quotes) < len(wanted)) and "quotes" in self._traits.offers:
            fetched = self._cache.quotes(self._symbols, as_of_ns=as_of_ns)
            answers.append(fetched)
        self.counted(*answers)

        def make() -> Snapshot:
            for quote in fetched.result(0) if fetched is not None else ():
                _newer(quotes, quote)
            return Snapshot(
                as_of_ns,
                tuple(bar for symbol in wanted for bar in bars[symbol].result(0)),
                tuple(quotes[symbol] for symbol in wanted if symbol in quotes),
                self._halted(wanted, as_of_ns),
            )

        return after(answers, make)

    def known(self, symbols: tuple[str, ...], as_of_ns: int) -> Snapshot:
        """Return the latest bars and quotes that were known at an instant, without asking the vendor anything.

        The gate and execution settle by these at every instant: no vendor that is slow or down may hold them up.
        """
        wanted = [self._known(symbol) for symbol in sorted(set(symbols or self._symbols))]
        start_ns = lookback(self._calendar, "1Min", 30, as_of_ns)
        bars = [self._cache.kept_bars(symbol, start_ns, as_of_ns, as_of_ns)[-1:] for symbol in wanted]
        quotes = [self._known_quote(symbol, as_of_ns) for symbol in wanted]
        return Snapshot(
            as_of_ns,
            tuple(bar for found in bars for bar in found),
            tuple(quote for quote in quotes if quote),
            self._halted(wanted, as_of_ns),
        )

    def _halted(self, wanted: list[str], as_of_ns: int) -> tuple[str, ...]:
        return tuple(symbol for symbol in wanted if self._halts.at(symbol, as_of_ns))

    def _known_quote(self, symbol: str, as_of_ns: int) -> Quote | None:
        found = (self._quotes.at(symbol, as_of_ns), self._cache.kept_quote(symbol, as_of_ns))
        return max((one for one in found if one), key=lambda one: one.event_time_ns, default=None)

    def _last_bar(self, symbol: str, as_of_ns: int) -> Answer[Any]:
        start_ns = lookback(self._calendar, "1Min", 30, as_of_ns)
        return self._cache.bars(symbol, "1Min", start_ns, as_of_ns, as_of_ns=as_of_ns, limit=1)

    def news(self, ask: QueryNews) -> Message | Deferred:
        """Return the last news of any of the symbols."""
        limit = bounded(ask.limit)
        as_of_ns = self.as_of(ask.as_of_ns)
        if "news" not in self._traits.offers:
            return NewsItems(())
        found = self.counted(self._find_news(ask.symbols, ask.since_ns, as_of_ns))
        return after([found], lambda: NewsItems(tuple(_of(found.result(0), ask.symbols, ask.since_ns)[-limit:])))

    def search(self, ask: SearchNews) -> Message | Deferred:
        """Return a page of the news that has all the words, newest first."""
        page = paged(ask.limit, ask.offset)
        as_of_ns = self.as_of(ask.as_of_ns)
        words = ask.text.casefold().split()
        if len(ask.text) > _MAX_TEXT or len(words) > _MAX_WORDS:
            raise BusError(
                f"a search for {len(words):,} words in {len(ask.text):,} characters is too long; allowed are "
                f"{_MAX_WORDS} words and {_MAX_TEXT} characters: search for fewer words"
            )
        if "news" not in self._traits.offers:
            raise NotOfferedError(
                f"{self._traits.name} has no news; it offers {', '.join(sorted(self._traits.offers - {'stream'}))}: "
                "ask for that, or run the desk on a source that has news"
            )
        found = self.counted(self._find_news(ask.symbols, ask.since_ns, as_of_ns))

        def make() -> NewsPage:
            items = [item for item in _of(found.result(0), ask.symbols, ask.since_ns) if _has(item, words)][::-1]
            return NewsPage(tuple(items[page]), len(items), as_of_ns)

        return after([found], make)

    def _find_news(self, symbols: tuple[str, ...], since_ns: int, as_of_ns: int) -> Answer[list[NewsItem]]:
        """Ask for the news of all symbols of the desk, so that whoever asks next for another one has it too."""
        wanted = self._symbols if set(symbols) <= set(self._symbols) else tuple(sorted(set(symbols)))
        start_ns = max(since_ns, as_of_ns - _NEWS_BACK_NS) // _DAY_NS * _DAY_NS
        return self._cache.news(wanted, start_ns, as_of_ns + 1, as_of_ns=as_of_ns)

    def events(self, ask: QueryCalendar) -> Message | Deferred:
        """Return the releases scheduled in a span of time."""
        as_of_ns = self.as_of(ask.as_of_ns)
        if "calendar" not in self._traits.offers or ask.from_ns >= ask.to_ns:
            return CalendarEvents((), as_of_ns)
        if ask.to_ns - ask.from_ns > _CALENDAR_SPAN_NS:
            raise BusError(
                f"{(ask.to_ns - ask.from_ns) // _DAY_NS:,} days of releases are too many; allowed are "
                f"{_CALENDAR_SPAN_NS // _DAY_NS}: ask for a shorter span"
            )
        first_ns, last_ns = ask.from_ns // _DAY_NS * _DAY_NS, -(-(ask.to_ns + 1) // _DAY_NS) * _DAY_NS
        found = self.counted(self._cache.calendar(first_ns, last_ns, as_of_ns=as_of_ns))

        def make() -> CalendarEvents:
            events = [event for event in found.result(0) if ask.from_ns < event.event_time_ns <= ask.to_ns]
            return CalendarEvents(tuple(events), as_of_ns)

        return after([found], make)

    # --- charts -------------------------------------------------------------------------------------------------------

    def chart(self, ask: QueryChart, reach: int = 1) -> Message | Deferred:
        """Return the charts of symbols and timeframes, aligned."""
        as_of_ns = self.as_of(ask.as_of_ns)
        for edge_ns in (ask.start_ns, ask.end_ns):
            self.allowed(edge_ns)
        check_charts(ask.symbols, ask.timeframes, ask.limit)
        for symbol in ask.symbols:
            self._known(symbol)
        plan = self._charts.plan(ask.symbols, ask.timeframes, ask.limit * reach, as_of_ns, ask.start_ns, ask.end_ns)
        if reach == 1:
            self.counted(*plan.answers)

        def make() -> Message | Deferred:
            made = self._charts.make(plan, ask.symbols, ask.timeframes, ask.limit, ask.start_ns, ask.end_ns)
            if not ask.start_ns and reach in _WIDER and any(len(one.bars) < ask.limit for one in made.charts):
                return self.chart(ask, _WIDER[reach])
            return made

        return after(plan.answers, make)

    def watch(self, ask: WatchCharts) -> Message | Deferred:
        """Keep a set of charts rolling and return it as it stands."""
        check_charts(ask.symbols, ask.timeframes, ask.limit)
        for symbol in ask.symbols:
            self._known(symbol)
        plan = self._charts.plan(ask.symbols, ask.timeframes, ask.limit, self._now())
        self.counted(*plan.answers)
        return after(plan.answers, lambda: self._charts.watch(plan, ask, self._now()))

    def counted(self, *answers: Answer[Any]) -> Answer[Any]:
        """Count one question by how its answers were found."""
        how = {answer.how for answer in answers}
        self.counts["called" if "called" in how else "joined" if "joined" in how else "cached"] += 1
        return answers[0]


def _newer(quotes: dict[str, Quote], quote: Quote | None) -> None:
    if quote is not None and (quote.symbol not in quotes or quotes[quote.symbol].event_time_ns <= quote.event_time_ns):
        quotes[quote.symbol] = quote


def _of(items: Iterable[NewsItem], symbols: tuple[str, ...], since_ns: int) -> list[NewsItem]:
    wanted = set(symbols)
    return [
        item
        for item in items
        if item.available_time_ns > since_ns and (not wanted or wanted.intersection(item.symbols))
    ]


def _has(item: NewsItem, words: list[str]) -> bool:
    text = f"{item.headline} {item.body}".casefold()
    return all(word in text for word in words)


def when(ns: int) -> str:
    """Return a time for people, whatever it is."""
    try:
        return iso(ns) if ns > 0 else "the start"
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"
