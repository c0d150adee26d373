"""What the tests of the Alpaca source share: a sink that remembers, and a source between two loopback servers."""

from __future__ import annotations

import queue
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, cast

from msgspec import structs

from bus.clock import NS
from bus.messages import Bar, NewsItem, Quote, Trade
from feed._alpaca import open_alpaca
from feed._alpaca_source import AlpacaSource
from feed.source import SourceSpec, Stream
from tests.alpaca.rest_server import KEY, SECRET
from tests.alpaca.stream_server import DEADLINE_S

__all__ = ["ENVIRON", "MINUTE", "Heard", "ns", "opened", "rest_bar", "streaming"]

ENVIRON = {"ALPACA_API_KEY": KEY, "ALPACA_SECRET_KEY": SECRET}
MINUTE = 60 * NS


def ns(text: str) -> int:
    """Return a UTC time such as ``2024-03-13T13:31`` in nanoseconds."""
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * NS


def rest_bar(at: str, close: float = 100.5, **changed: Any) -> dict[str, Any]:
    """Return a bar as the REST service sends it."""
    bar = {"t": at, "o": 100.0, "h": 101.0, "l": 99.5, "c": close, "v": 1200, "n": 17, "vw": 100.2}
    return {name: value for name, value in (bar | changed).items() if value is not ...}


class Heard:
    """A sink that remembers everything; lines are heard side by side, so each kind of record is in order by itself.

    Attributes:
        all: Everything, in the order of arrival.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, queue.Queue[tuple[str, Any]]] = {
            name: queue.Queue() for name in ("bar", "quote", "trade", "news", "halt", "rejected", "state")
        }
        self.all: list[tuple[str, Any]] = []

    def bar(self, bar: Bar) -> None:
        self._put("bar", "bar", bar)

    def quote(self, quote: Quote) -> None:
        self._put("quote", "quote", quote)

    def trade(self, trade: Trade) -> None:
        self._put("trade", "trade", trade)

    def news(self, item: NewsItem) -> None:
        self._put("news", "news", item)

    def halt(self, symbol: str, *, halted: bool) -> None:
        self._put("halt", "halt", (symbol, halted))

    def rejected(self, why: str) -> None:
        self._put("rejected", "rejected", why)

    def state(self, state: Literal["connecting", "connected", "silent", "down"], why: str = "") -> None:
        self._put("state", state, why)

    def next(self, kind: str) -> Any:
        """Return the next record of a kind, or the reason of the next such state, passing over other states."""
        lane = self._lanes.get(kind, self._lanes["state"])
        while True:
            found, value = lane.get(timeout=DEADLINE_S)
            if found == kind:
                return value

    def happened(self, *kinds: str) -> list[tuple[str, Any]]:
        """Return what has happened so far of these kinds."""
        return [event for event in self.all if event[0] in kinds]

    def _put(self, lane: str, kind: str, value: Any) -> None:
        self.all.append((kind, value))
        self._lanes[lane].put((kind, value))


@contextmanager
def opened(rest_url: str = "", stream_url: str = "", symbols: str = "AAPL", **settings: Any) -> Generator[AlpacaSource]:
    """Open a source on loopback addresses; symbols are separated by spaces."""
    spec = SourceSpec(
        "alpaca",
        tuple(symbols.split()),
        rest_url=rest_url or "http://127.0.0.1:9",
        stream_url=stream_url or "ws://127.0.0.1:9",
        timeout_s=5.0,
    )
    source = cast("AlpacaSource", open_alpaca(structs.replace(spec, **settings), ENVIRON))
    try:
        yield source
    finally:
        source.close()


@contextmanager
def streaming(stream_url: str, symbols: str = "AAPL", **settings: Any) -> Generator[tuple[Stream, Heard]]:
    """Open a source and start its stream; shares count as always open unless a calendar is given."""
    heard = Heard()
    with opened("", stream_url, symbols, **({"calendar": "24/7"} | settings)) as source:
        stream = source.stream(tuple(symbols.split()), heard)
        try:
            yield stream, heard
        finally:
            stream.close()
