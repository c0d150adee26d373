"""The latest quotes of a live market, and what they were a while ago.

Not a store: what a restart needs is in the cache.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from threading import Lock

from bus.clock import NS
from bus.messages import Quote

__all__ = ["QuoteBook"]

_SPACING_NS = NS // 4
_KEPT = 2_000


class QuoteBook:
    """By symbol, the newest quote and older ones a quarter of a second apart. Safe for several threads."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = Lock()
        self._quotes: dict[str, deque[Quote]] = {}

    def add(self, quote: Quote) -> bool:
        """Take in a quote; one that is older than the newest, or the same, is not taken.

        Returns:
            Whether it was taken.
        """
        with self._lock:
            kept = self._quotes.setdefault(quote.symbol, deque(maxlen=_KEPT))
            if kept:
                last = kept[-1]
                if quote.event_time_ns < last.event_time_ns or _same(quote, last):
                    return False
                if len(kept) > 1 and quote.available_time_ns - kept[-2].available_time_ns < _SPACING_NS:
                    kept.pop()
            kept.append(quote)
            return True

    def at(self, symbol: str, as_of_ns: int) -> Quote | None:
        """Return the newest quote of a symbol that was known at a time, None when none is remembered."""
        with self._lock:
            kept = self._quotes.get(symbol)
            if not kept:
                return None
            if kept[-1].available_time_ns <= as_of_ns:
                return kept[-1]
            known = list(kept)
        index = bisect_right(known, as_of_ns, key=lambda one: one.available_time_ns)
        return known[index - 1] if index else None


def _same(one: Quote, other: Quote) -> bool:
    return (one.event_time_ns, one.bid_nano, one.ask_nano, one.bid_size_nano, one.ask_size_nano) == (
        other.event_time_ns,
        other.bid_nano,
        other.ask_nano,
        other.bid_size_nano,
        other.ask_size_nano,
    )
