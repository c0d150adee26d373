"""What the tests of the ccxt source share: a sink that remembers, and a source before a loopback exchange."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal

from msgspec import structs

from bus.clock import NS, monotonic_ns, wall_ns
from bus.messages import Bar, NewsItem, Quote, Trade
from feed._ccxt import open_ccxt
from feed.source import Source, SourceSpec, Stream
from tests.ccxt_source.venue import DEADLINE_S, MINUTE, Venue

__all__ = ["Heard", "minute_ago", "opened", "spec_of", "streaming"]

SYMBOLS = {"kraken": "BTC/USD", "binance": "BTC/USDT"}


class Heard:
    """A sink that remembers everything."""

    def __init__(self) -> None:
        self._lanes: dict[str, queue.Queue[Any]] = {
            name: queue.Queue() for name in ("bar", "quote", "trade", "rejected", "state")
        }

    def bar(self, bar: Bar) -> None:
        self._lanes["bar"].put(bar)

    def quote(self, quote: Quote) -> None:
        self._lanes["quote"].put(quote)

    def trade(self, trade: Trade) -> None:
        self._lanes["trade"].put(trade)

    def news(self, item: NewsItem) -> None:
        raise AssertionError(item)

    def halt(self, symbol: str, *, halted: bool) -> None:
        raise AssertionError((symbol, halted))

    def rejected(self, why: str) -> None:
        self._lanes["rejected"].put(why)

    def state(self, state: Literal["connecting", "connected", "silent", "down"], why: str = "") -> None:
        self._lanes["state"].put((state, why))

    def next(self, lane: str) -> Any:
        """Return the next record of a kind."""
        return self._lanes[lane].get(timeout=DEADLINE_S)

    def until(self, lane: str, want: Callable[[Any], bool]) -> Any:
        """Return the next record of a kind that is wanted; others are passed over."""
        ends_ns = monotonic_ns() + int(DEADLINE_S * NS)
        while monotonic_ns() < ends_ns:
            found = self.next(lane)
            if want(found):
                return found
        raise AssertionError(f"no such {lane}")

    def until_state(self, state: str) -> str:
        """Return why, when the stream is in a state."""
        return self.until("state", lambda told: told[0] == state)[1]

    def rest(self, lane: str) -> list[Any]:
        """Return what has come of a kind and was not taken."""
        found: list[Any] = []
        while not self._lanes[lane].empty():
            found.append(self._lanes[lane].get_nowait())
        return found


def spec_of(venue: Venue, **changed: Any) -> SourceSpec:
    """Return the spec of a source before a loopback exchange."""
    spec = SourceSpec(
        "ccxt",
        (SYMBOLS[venue.exchange],),
        exchange=venue.exchange,
        rest_url=venue.rest_url,
        stream_url=venue.stream_url,
        timeout_s=5.0,
    )
    return structs.replace(spec, **changed)


@contextmanager
def opened(venue: Venue, **changed: Any) -> Generator[Source]:
    """Open a source and close it."""
    source = open_ccxt(spec_of(venue, **changed))
    try:
        yield source
    finally:
        source.close()


@contextmanager
def streaming(venue: Venue, source: Source, sink: Heard) -> Generator[Stream]:
    """Stream the exchange's symbol."""
    stream = source.stream((SYMBOLS[venue.exchange],), sink)
    try:
        yield stream
    finally:
        stream.close()


def minute_ago(count: int) -> int:
    """Return when the minute that began so many minutes ago began, in seconds."""
    return (wall_ns() // MINUTE - count) * 60
