"""Where a stream delivers: every record is stamped as it arrives, checked once, and held until our clock reaches it.

Not a queue that can hold the stream up: it takes and returns. Quotes are conflated to the newest of each symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, TypeVar

from bus.clock import NS
from bus.messages import Bar, NewsItem, Quote, Trade
from feed._cache_times import stamped
from feed._live_halts import Halts

__all__ = ["Drained", "Inbox", "SinkOf", "State"]

State = Literal["connecting", "connected", "silent", "down"]
_R = TypeVar("_R", Bar, NewsItem)
_MOST_WAITING = 200_000
_SKEW_TOLD_NS = 600 * NS


@dataclass
class Drained:
    """What has come since the last time, in the order it came.

    Attributes:
        now_ns: When it was taken out.
        bars: With their arrival.
        quotes: The newest of each symbol.
        news: With their arrival.
        states: Changes of the connection: ``(state, why, at_ns)``.
    """

    now_ns: int
    bars: list[tuple[Bar, int]] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    news: list[tuple[NewsItem, int]] = field(default_factory=list)
    states: list[tuple[State, str, int]] = field(default_factory=list)


class Inbox:
    """A ``feed.source.Sink``.

    Attributes:
        rejected: Records that could not be used.
        why: Why the last of them could not.
        halts: What venues have stopped.
        last_record_ns: When the newest record came; 0 before the first.
    """

    def __init__(self, symbols: tuple[str, ...], clock: Callable[[], int], wake: Callable[[], None]) -> None:
        """Start empty.

        Args:
            symbols: Whose records are taken.
            clock: The feed's.
            wake: Called when something has come.
        """
        self._symbols = frozenset(symbols)
        self._clock = clock
        self._wake = wake
        self._lock = Lock()
        self._bars: list[tuple[Bar, int]] = []
        self._news: list[tuple[NewsItem, int]] = []
        self._quotes: dict[str, Quote] = {}
        self._held: dict[str, list[Quote]] = {}
        self._states: list[tuple[State, str, int]] = []
        self.rejected = 0
        self.why = ""
        self.last_record_ns = 0
        self._skew = (0, 0)
        self.halts = Halts()

    def bar(self, bar: Bar) -> None:
        """Take a bar."""
        why = self._wrong(bar.symbol) or _wrong_bar(bar)
        if why:
            self.rejected_record(why)
            return
        with self._lock:
            arrived_ns = self._arrived(bar.event_time_ns)
            if len(self._bars) < _MOST_WAITING:
                self._bars.append((stamped(bar, arrived_ns), arrived_ns))
        self.halts.saw(stamped(bar, arrived_ns))
        self._wake()

    def quote(self, quote: Quote) -> None:
        """Take a quote; one that is older than the newest of its symbol is late and no longer of use."""
        why = self._wrong(quote.symbol) or _wrong_quote(quote)
        if why:
            self.rejected_record(why)
            return
        with self._lock:
            arrived_ns = self._arrived(quote.event_time_ns)
            taken = stamped(quote, arrived_ns)
            if taken.available_time_ns > arrived_ns:
                held = self._held.setdefault(quote.symbol, [])
                if len(held) < 1000:
                    held.append(taken)
            else:
                self._newest(taken)
        self._wake()

    def trade(self, trade: Trade) -> None:
        """Know that the stream lives; trades are asked for by range."""
        why = self._wrong(trade.symbol)
        if why:
            self.rejected_record(why)
        else:
            self._arrived(trade.event_time_ns)

    def news(self, item: NewsItem) -> None:
        """Take a headline."""
        if not item.news_id or not item.headline:
            self.rejected_record("news without an id or a headline")
            return
        with self._lock:
            arrived_ns = self._arrived(item.event_time_ns)
            if len(self._news) < _MOST_WAITING:
                self._news.append((stamped(item, arrived_ns), arrived_ns))
        self._wake()

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Learn that a symbol's trading is stopped or goes on: known from now, whatever time the venue gives."""
        why = self._wrong(symbol)
        if why:
            self.rejected_record(why)
        else:
            self.halts.tell(symbol, self._arrived(0), halted=halted)
            self._wake()

    def rejected_record(self, why: str) -> None:
        """Count a record that cannot be used."""
        with self._lock:
            self.rejected += 1
            self.why = why[:200]

    def state(self, state: State, why: str = "") -> None:
        """Learn how the connection is."""
        with self._lock:
            self._states.append((state, why[:200], self._clock()))
        self._wake()

    @property
    def skew_ns(self) -> int:
        """How far ahead of our clock the vendor's was at its last record from the future; 0 when that is long ago."""
        ahead_ns, seen_ns = self._skew
        return ahead_ns if self._clock() - seen_ns < _SKEW_TOLD_NS else 0

    def drain(self) -> Drained:
        """Take out what may be known by now: all that was stamped before, none that is stamped after."""
        with self._lock:
            now_ns = self._clock()
            for symbol, held in list(self._held.items()):
                for quote in held:
                    if quote.available_time_ns <= now_ns:
                        self._newest(quote)
                self._held[symbol] = [quote for quote in held if quote.available_time_ns > now_ns]
            drained = Drained(now_ns, quotes=list(self._quotes.values()), states=self._states)
            self._quotes, self._states = {}, []
            drained.bars, self._bars = _due(self._bars, now_ns)
            drained.news, self._news = _due(self._news, now_ns)
        return drained

    def _newest(self, quote: Quote) -> None:
        before = self._quotes.get(quote.symbol)
        if before is None or before.event_time_ns <= quote.event_time_ns:
            self._quotes[quote.symbol] = quote

    def _arrived(self, event_ns: int) -> int:
        now_ns = self._clock()
        self.last_record_ns = now_ns
        if event_ns > now_ns:
            self._skew = (event_ns - now_ns, now_ns)
        return now_ns

    def _wrong(self, symbol: str) -> str:
        return "" if symbol in self._symbols else f"a record of {symbol[:24]!r}, which was not asked for"


class SinkOf:
    """The face of an inbox that a source sees: ``rejected`` counts there, and is a number here."""

    def __init__(self, inbox: Inbox) -> None:
        self.bar = inbox.bar
        self.quote = inbox.quote
        self.trade = inbox.trade
        self.news = inbox.news
        self.halt = inbox.halt
        self.rejected = inbox.rejected_record
        self.state = inbox.state


def _due(waiting: list[tuple[_R, int]], now_ns: int) -> tuple[list[tuple[_R, int]], list[tuple[_R, int]]]:
    due = [one for one in waiting if one[0].available_time_ns <= now_ns]
    return due, ([one for one in waiting if one[0].available_time_ns > now_ns] if len(due) < len(waiting) else [])


def _wrong_bar(bar: Bar) -> str:
    low, high = bar.low_nano, bar.high_nano
    if not 0 < low <= min(bar.open_nano, bar.close_nano) <= max(bar.open_nano, bar.close_nano) <= high:
        return f"an impossible bar of {bar.symbol}: its prices contradict each other"
    if not 0 < bar.open_time_ns < bar.event_time_ns or bar.volume_nano < 0:
        return f"an impossible bar of {bar.symbol}: its times or its volume"
    return ""


def _wrong_quote(quote: Quote) -> str:
    if quote.bid_nano < 0 or quote.ask_nano < 0 or (quote.bid_nano == 0 and quote.ask_nano == 0):
        return f"a quote of {quote.symbol} without a price"
    return f"a quote of {quote.symbol} at no time" if quote.event_time_ns <= 0 else ""
