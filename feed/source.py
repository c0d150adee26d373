"""The seam between the feed and a vendor: what every source of live data can be asked, in our own messages.

Not a cache and not a clock: a source asks its vendor each time it is asked, translates the answer once, and gives
nothing that it does not have. Methods block; the feed calls them on threads of its own, never on the one that answers
the bus. A stream calls its sink on a thread of the source's.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from bus.messages import Bar, CalendarEvent, Instrument, NewsItem, Quote, Timeframe, Trade

__all__ = ["Offer", "Sink", "Source", "SourceSpec", "SourceTraits", "Stream"]

Offer: TypeAlias = Literal["bars", "quotes", "trades", "news", "calendar", "stream"]


class SourceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which source a feed has. Keys are never here: they come through the feed process's own environment.

    Attributes:
        kind: Whose data.
        symbols: What is subscribed and traded; a live desk names its symbols.
        exchange: For ccxt, the exchange's id there, for example ``kraken``.
        path: For ``folder``, the folder of CSV or Parquet files.
        data_feed: For alpaca, ``iex`` or ``sip``; empty is the vendor's default.
        rest_url: Another address of the REST service (tests: loopback); empty is the vendor's own.
        stream_url: Another address of the stream; empty is the vendor's own.
        calendar: The exchange_calendars code of the sessions; empty is the source's own choice.
        timeout_s: How long one vendor call may take.
        silent_s: After how many seconds without a message, while the market is open, a connected stream is
            reconnected.
    """

    kind: Literal["alpaca", "ccxt", "folder"]
    symbols: tuple[str, ...]
    exchange: str = ""
    path: str = ""
    data_feed: str = ""
    rest_url: str = ""
    stream_url: str = ""
    calendar: str = ""
    timeout_s: float = 10.0
    silent_s: float = 60.0


class SourceTraits(msgspec.Struct, frozen=True):
    """What a source is.

    Attributes:
        name: For people: ``alpaca``, ``ccxt:kraken``, ``folder``.
        calendar: The exchange_calendars code of its sessions (``XNYS``, ``24/7``, ``24/5``).
        timezone: The venue's, an IANA name.
        timeframes: What the vendor itself serves; the rest is built from ``1Min``.
        offers: What it has at all.
        bar_delay_ns: How long after its end a bar may still be on its way before it counts as missing.
    """

    name: str
    calendar: str
    timezone: str
    timeframes: tuple[Timeframe, ...]
    offers: frozenset[Offer]
    bar_delay_ns: int = 5_000_000_000


class Sink(Protocol):
    """Where a stream delivers. Thread-safe; never blocks for long; the feed stamps the arrival."""

    def bar(self, bar: Bar) -> None:
        """Take a bar, complete or as it was corrected."""
        ...

    def quote(self, quote: Quote) -> None:
        """Take a quote."""
        ...

    def trade(self, trade: Trade) -> None:
        """Take a trade print."""
        ...

    def news(self, item: NewsItem) -> None:
        """Take a headline."""
        ...

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Learn that a venue has stopped the trading of a symbol, or lets it go on."""
        ...

    def rejected(self, why: str) -> None:
        """Count a record that cannot be used (malformed, of another symbol, impossible): never guessed at."""
        ...

    def state(self, state: Literal["connecting", "connected", "silent", "down"], why: str = "") -> None:
        """Learn how the connection is."""
        ...


class Stream(Protocol):
    """A running subscription; it reconnects by itself until it is closed."""

    def close(self) -> None:
        """Stop; returns when its thread has ended."""
        ...


class Source(Protocol):
    """One vendor.

    Every method raises:
        SourceBusyError: The vendor asked to be left alone; nothing was tried again.
        NotOfferedError: The source has no such thing, or no such symbol.
        SourceError: The vendor is down, refuses or answers nonsense.

    Records come with ``event_time_ns`` (a bar: its end) and ``available_time_ns`` equal to it: the feed stamps arrival
    where that is later. Prices and sizes are exact billionths of the vendor's decimal text.
    """

    @property
    def traits(self) -> SourceTraits:
        """What this source is."""
        ...

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the instruments of the spec's symbols, with their ticks and lots."""
        ...

    def bars(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int) -> list[Bar]:
        """Return every complete bar that opens in ``[start_ns, end_ns)``, oldest first, all pages of it."""
        ...

    def quotes(self, symbols: tuple[str, ...]) -> list[Quote]:
        """Return the latest quote of each symbol that has one."""
        ...

    def trades(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """Return the trades in ``[start_ns, end_ns)``, oldest first."""
        ...

    def news(self, symbols: tuple[str, ...], start_ns: int, end_ns: int) -> list[NewsItem]:
        """Return the news in ``[start_ns, end_ns)``, oldest first; no symbols means all."""
        ...

    def calendar(self, from_ns: int, to_ns: int) -> list[CalendarEvent]:
        """Return the releases scheduled in ``[from_ns, to_ns)``."""
        ...

    def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
        """Start to deliver bars, quotes and news of these symbols."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...
