"""What a stream said, given to the sink: each record translated, in order where order counts, once, or refused by name.

Not a queue: it is called on the stream's thread and calls the sink at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.messages import Bar
from feed._alpaca_line import Handler, Kind, Line
from feed._alpaca_records import BadRecordError, bar_from, halted_from, news_from, not_ahead, quote_from
from feed._alpaca_spans import Spans, is_coin
from feed.source import Sink

__all__ = ["Delivery"]

_KEPT_BARS = 16
_KEPT_NEWS = 256


class Delivery:
    """Between the lines and the sink."""

    def __init__(self, sink: Sink, symbols: tuple[str, ...]) -> None:
        """Deliver records of these symbols."""
        self._sink = sink
        self._span = Spans(coins=False).span("1Min")
        self._bars: dict[str, dict[int, Bar]] = {}
        self._quoted: dict[str, int] = {}
        self._news: dict[tuple[str, int], None] = {}
        self._names = {symbol.replace("/", ""): symbol for symbol in symbols if is_coin(symbol)}

    def handlers(self, kind: Kind) -> Mapping[str, Handler]:
        """Return who takes the records of a line: channel → handler."""
        if kind == "news":
            return {"news": self._headline}
        return {"bars": self._bar, "updatedBars": self._bar, "quotes": self._quote, "statuses": self._status}

    def rejected(self, kind: Kind, why: str) -> None:
        """Count a record that cannot be used."""
        self._sink.rejected(f"alpaca {kind}: {why}")

    async def deliver(self, line: Line, kind: Kind, channel: str, message: dict[str, Any]) -> bool:
        """Hand a record to who subscribed to it; return whether it was one."""
        handler = line.handler(channel, self._subscribed_name(line, channel, message))
        if handler is None:
            self.rejected(kind, f"{channel} of a symbol that was not asked for")
            return False
        try:
            await handler(message)
        except BadRecordError as error:
            self.rejected(kind, f"a record of {channel}: {error}")
            return False
        return True

    def _subscribed_name(self, line: Line, channel: str, message: dict[str, Any]) -> str:
        if channel != "news":
            name = message.get("S")
            return name if isinstance(name, str) else ""
        listed: object = message.get("symbols")
        asked = line.asked().get("news", set())
        named: list[object] = list(listed) if isinstance(listed, list) else []
        return next((name for name in named if isinstance(name, str) and name in asked), "")

    async def _bar(self, message: dict[str, Any]) -> None:
        bar = bar_from(message, message["S"], self._span)
        not_ahead(bar.event_time_ns)
        kept = self._bars.setdefault(bar.symbol, {})
        if kept.get(bar.open_time_ns) == bar:
            # Sent again word for word, as after a reconnection: there is nothing new to say.
            return
        kept[bar.open_time_ns] = bar
        if len(kept) > _KEPT_BARS:
            del kept[min(kept)]
        self._sink.bar(bar)

    async def _quote(self, message: dict[str, Any]) -> None:
        quote = quote_from(message, message["S"])
        not_ahead(quote.event_time_ns)
        if quote.event_time_ns < self._quoted.get(quote.symbol, 0):
            raise BadRecordError("it is older than the one before")
        self._quoted[quote.symbol] = quote.event_time_ns
        self._sink.quote(quote)

    async def _status(self, message: dict[str, Any]) -> None:
        halted = halted_from(message)
        if halted is not None:
            self._sink.halt(message["S"], halted=halted)

    async def _headline(self, message: dict[str, Any]) -> None:
        item = news_from(message, self._names)
        not_ahead(item.event_time_ns)
        key = (item.news_id, item.event_time_ns)
        if key in self._news:
            return
        self._news[key] = None
        if len(self._news) > _KEPT_NEWS:
            del self._news[next(iter(self._news))]
        self._sink.news(item)
