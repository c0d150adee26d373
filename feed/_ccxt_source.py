"""One exchange of ccxt's behind the feed's protocol: what it has, asked page by page and translated once.

Not a cache and not a maker of bars: a timeframe that the exchange does not serve is not offered here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from bus.clock import wall_ns
from bus.errors import NotOfferedError, SourceError
from bus.messages import Bar, CalendarEvent, Instrument, NewsItem, Quote, Timeframe, Trade
from feed._ccxt_records import (
    TIMEFRAMES,
    BadRecordError,
    bar_from,
    instrument_from,
    near_symbols,
    quote_from,
    trade_from,
)
from feed._ccxt_rest import Desk
from feed._ccxt_sdk import CalmExchange, make_exchange
from feed._ccxt_stream import CcxtStream, can_stream
from feed.source import Offer, Sink, SourceSpec, SourceTraits, Stream

__all__ = ["CcxtSource"]

_LOG = logging.getLogger("feed")
_MS = 1_000_000
_MOST_PAGES = 2_000
_MOST_TRADES = 1_000_000
_LONG: tuple[Timeframe, ...] = ("1Day", "1Week", "1Month")
_WINDOW_MS = 3_600_000

# Kraken counts its weeks from a Thursday, as 1970 began; ours begin on Monday.
_OTHER_WEEKS = ("kraken", "krakenfutures")


class CcxtSource:
    """A source of one exchange's public data."""

    def __init__(self, spec: SourceSpec) -> None:
        """Take a checked spec; see ``feed._ccxt.open_ccxt``."""
        self._spec = spec
        self._exchange = self._make()
        self._name = f"ccxt:{spec.exchange}"
        self._desk = Desk(self._exchange)
        self._streams: list[CcxtStream] = []
        self._traits = _traits(self._name, self._exchange)

    @property
    def traits(self) -> SourceTraits:
        """What this source is."""
        return self._traits

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the instruments of the spec's symbols.

        Raises:
            NotOfferedError: One of them is unknown, no spot market, or has steps that cannot be exact billionths.
        """

        async def read(exchange: CalmExchange) -> tuple[Instrument, ...]:
            mode = int(exchange.precisionMode)
            return tuple(
                instrument_from(_market(exchange, symbol), mode, self._name) for symbol in sorted(self._spec.symbols)
            )

        return self._desk.ask(read, "its markets")

    def bars(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int) -> list[Bar]:
        """Return every complete bar that opens in ``[start_ns, end_ns)``; complete by both clocks."""
        if "bars" not in self._traits.offers or timeframe not in self._traits.timeframes:
            allowed = ", ".join(self._traits.timeframes) or "none"
            raise NotOfferedError(f"{self._name} has no bars of {timeframe}; it has {allowed}")

        async def read(exchange: CalmExchange) -> list[Bar]:
            _market(exchange, symbol)
            return await _all_bars(exchange, symbol, timeframe, start_ns, end_ns)

        return self._desk.ask(read, f"bars of {symbol}")

    def quotes(self, symbols: tuple[str, ...]) -> list[Quote]:
        """Return the latest quote of each symbol that is quoted on both sides."""
        if "quotes" not in self._traits.offers:
            raise NotOfferedError(f"{self._name} has no quotes")

        async def read(exchange: CalmExchange) -> list[Quote]:
            for symbol in symbols:
                _market(exchange, symbol)
            kept = _Kept(f"quotes of {self._name}")
            for symbol, found in (await _latest(exchange, symbols)).items():
                kept.add(quote_from, symbol, found, wall_ns())
            return kept.found()

        return self._desk.ask(read, "quotes")

    def trades(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """Return the trades in ``[start_ns, end_ns)``, oldest first, as far back as the exchange tells."""
        if "trades" not in self._traits.offers:
            raise NotOfferedError(f"{self._name} has no trades")

        async def read(exchange: CalmExchange) -> list[Trade]:
            _market(exchange, symbol)
            return await _all_trades(exchange, symbol, start_ns, end_ns)

        return self._desk.ask(read, f"trades of {symbol}")

    def news(self, symbols: tuple[str, ...], start_ns: int, end_ns: int) -> list[NewsItem]:
        """Raise NotOfferedError: an exchange has no news."""
        del symbols, start_ns, end_ns
        raise NotOfferedError(f"{self._name} has no news; take another source for it, for example alpaca")

    def calendar(self, from_ns: int, to_ns: int) -> list[CalendarEvent]:
        """Raise NotOfferedError: an exchange has no calendar of releases."""
        del from_ns, to_ns
        raise NotOfferedError(f"{self._name} has no calendar of releases; there is none for coins")

    def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
        """Start to deliver complete bars and quotes of these symbols."""
        if "stream" not in self._traits.offers:
            raise NotOfferedError(f"{self._name} has no stream of bars or quotes in ccxt; ask for its bars instead")
        stream = CcxtStream(symbols, sink, self._make(), self._spec.silent_s).start()
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        """Close streams and connections."""
        for stream in self._streams:
            stream.close()
        self._desk.close()

    def _make(self) -> CalmExchange:
        spec = self._spec
        return make_exchange(spec.exchange, spec.timeout_s, spec.rest_url, spec.stream_url)


class _Kept:
    """Records that could be used; the others are counted by reason."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._good: list[Any] = []
        self._bad: Counter[str] = Counter()

    def add(self, make: Callable[..., Any], *args: Any) -> None:
        """Make a record and keep it."""
        try:
            self._good.append(make(*args))
        except BadRecordError as error:
            self._bad[error.why] += 1

    def found(self) -> list[Any]:
        """Return the good ones.

        Raises:
            SourceError: There were only bad ones.
        """
        if self._bad:
            told = "; ".join(f"{count}: {why}" for why, count in self._bad.most_common(3))
            if not self._good:
                raise SourceError(f"the {self._what} cannot be used ({told}); ask again later")
            _LOG.warning("%s left out of the %s (%s)", self._bad.total(), self._what, told)
        return self._good


def _traits(name: str, exchange: CalmExchange) -> SourceTraits:
    has = exchange.has
    served: dict[str, Any] = exchange.timeframes or {}
    timeframes: tuple[Timeframe, ...] = tuple(
        ours
        for ours, theirs in TIMEFRAMES.items()
        if theirs in served and not (ours == "1Week" and exchange.id in _OTHER_WEEKS)
    )
    offers: set[Offer] = set()
    # ccxt says "emulated" where it makes candles of trades by itself.
    if has.get("fetchOHLCV") is True and timeframes:
        offers.add("bars")
    else:
        timeframes = ()
    if has.get("fetchTicker") is True or has.get("fetchOrderBook") is True:
        offers.add("quotes")
    if has.get("fetchTrades") is True:
        offers.add("trades")
    if can_stream(exchange):
        offers.add("stream")
    return SourceTraits(name, "24/7", "UTC", timeframes, frozenset(offers))


def _market(exchange: CalmExchange, symbol: str) -> Any:
    """Return a spot market of the exchange's.

    Raises:
        NotOfferedError: There is none.
    """
    markets: dict[str, Any] = exchange.markets or {}
    market = markets.get(symbol)
    if market is None:
        spot = sorted(name for name, found in markets.items() if found.get("spot"))
        raise NotOfferedError(f"ccxt:{exchange.id} has no symbol {symbol!r}; near it are {near_symbols(symbol, spot)}")
    return market


def _two_sided(found: Any) -> bool:
    if not isinstance(found, dict):
        return False
    fields: dict[str, Any] = found
    if "bids" in fields:
        return bool(fields["bids"] and fields.get("asks"))
    # An exchange may write 0 for a side that nobody is on.
    return all(fields.get(side) and float(fields[side]) for side in ("bid", "ask"))


async def _latest(exchange: CalmExchange, symbols: tuple[str, ...]) -> dict[str, Any]:
    """Return the ticker, else the order book, of each symbol that is quoted on both sides."""
    has = exchange.has
    found: dict[str, Any] = {}
    if len(symbols) > 1 and has.get("fetchTickers") is True:
        found = dict(await exchange.fetch_tickers(list(symbols)))
    elif has.get("fetchTicker") is True:
        for symbol in symbols:
            found[symbol] = await exchange.fetch_ticker(symbol)
    if has.get("fetchOrderBook") is True:
        for symbol in symbols:
            if not _two_sided(found.get(symbol)):
                found[symbol] = await exchange.fetch_order_book(symbol)
    return {symbol: found[symbol] for symbol in symbols if _two_sided(found.get(symbol))}


async def _all_bars(
    exchange: CalmExchange, symbol: str, timeframe: Timeframe, start_ns: int, stop_ns: int
) -> list[Bar]:
    theirs = TIMEFRAMES[timeframe]
    # No month is shorter than 28 days.
    step_ms = 28 * 86_400_000 if timeframe == "1Month" else int(exchange.parse_timeframe(theirs)) * 1_000
    most = _page_limit(exchange, symbol, "fetchOHLCV")
    kept = _Kept(f"bars of {symbol}")
    cursor_ms = -(-start_ns // _MS)
    stop_ms = -(-min(stop_ns, exchange.latest_ns()) // _MS)
    pages = 0
    while cursor_ms < stop_ms:
        pages += 1
        if pages > _MOST_PAGES:
            raise SourceError(f"{symbol} {timeframe} has more than {_MOST_PAGES} pages; ask for a shorter range")
        wanted = -(-(stop_ms - cursor_ms) // step_ms) + 1
        limit = None if most is None else max(2, min(most, wanted))
        rows: list[Any] = await exchange.fetch_ohlcv(symbol, theirs, cursor_ms, limit)
        times = [row[0] for row in rows if isinstance(row[0], int)]
        for row in rows:
            if not isinstance(row[0], int) or cursor_ms <= row[0] < stop_ms:
                kept.add(bar_from, symbol, row, timeframe, exchange.latest_ns())
        if times:
            cursor_ms = max(cursor_ms, max(times)) + step_ms
        elif most is None or limit == wanted:
            break
        else:
            # Exchanges that answer a window of time leave one empty where nothing was traded or nothing is kept.
            cursor_ms += limit * step_ms if limit else step_ms
    try:
        found: dict[int, Bar] = {bar.open_time_ns: bar for bar in kept.found()}
    except SourceError as error:
        if timeframe in _LONG:
            raise NotOfferedError(f"{exchange.id} does not count {timeframe} as we do: {error}") from error
        raise
    sure_ns = exchange.sure_ns()
    return [found[at_ns] for at_ns in sorted(found) if found[at_ns].event_time_ns <= sure_ns]


async def _all_trades(exchange: CalmExchange, symbol: str, start_ns: int, stop_ns: int) -> list[Trade]:
    kept = _Kept(f"trades of {symbol}")
    most = _page_limit(exchange, symbol, "fetchTrades")
    cursor_ms, stop_ms = -(-start_ns // _MS), -(-min(stop_ns, exchange.latest_ns()) // _MS)
    held = total = pages = 0
    while cursor_ms < stop_ms:
        pages += 1
        if pages > _MOST_PAGES or total > _MOST_TRADES:
            raise SourceError(f"the trades of {symbol} are too many for one question; ask for a shorter range")
        page: list[Any] = await exchange.fetch_trades(symbol, cursor_ms, most)
        rows = sorted((row for row in page if (row.get("timestamp") or 0) >= cursor_ms), key=_trade_order)
        # The page begins with the millisecond that the one before ended in.
        fresh = rows[held:]
        if fresh:
            for row in fresh:
                if row["timestamp"] < stop_ms:
                    kept.add(trade_from, symbol, row)
            total += len(fresh)
            cursor_ms = rows[-1]["timestamp"]
            held = sum(1 for row in rows if row["timestamp"] == cursor_ms)
        elif rows and most is not None and len(rows) >= most:
            raise SourceError(f"{exchange.id} has more trades of {symbol} in one millisecond than it gives at once")
        else:
            # Some exchanges answer an hour at most, and it may be a quiet one.
            cursor_ms, held = cursor_ms + (1 if rows else _WINDOW_MS), 0
    return kept.found()


def _trade_order(row: Any) -> tuple[int, int, str]:
    """Order trades as they happened; ccxt orders those of one millisecond by their numbers' first digits."""
    name = str(row.get("id") or "")
    return row["timestamp"], len(name), name


def _page_limit(exchange: CalmExchange, symbol: str, method: str) -> int | None:
    try:
        found: Any = exchange.feature_value(symbol, method, "limit")
    except (LookupError, TypeError, AttributeError):
        return None
    return found if isinstance(found, int) and found > 1 else None
