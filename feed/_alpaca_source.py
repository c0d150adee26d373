"""Questions to Alpaca, translated both ways: what is asked in our messages, and what comes back.

Not a cache: every call asks the vendor. Records that cannot be used are left out and counted; an answer of which
nothing can be used is an error, so that nobody takes it for "there was nothing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, TypeVar, cast
from urllib.parse import quote

from bus.clock import NS, wall_ns
from bus.errors import BadNumberError, NotOfferedError, SourceError
from bus.fixed import SCALE, to_nano
from bus.messages import Bar, CalendarEvent, Instrument, NewsItem, Quote, Timeframe, Trade
from feed._alpaca_keys import Keys
from feed._alpaca_records import BadRecordError, bar_from, news_from, not_ahead, quote_from, trade_from
from feed._alpaca_rest import CryptoClient, Exchange, HeadlineClient, KeysRefusedError, ShareClient, TradeClient
from feed._alpaca_sdk import (
    Adjustment,
    BaseURL,
    CryptoBarsRequest,
    CryptoLatestQuoteRequest,
    CryptoTradesRequest,
    DataFeed,
    NewsRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockTradesRequest,
    TimeFrame,
    TimeFrameUnit,
)
from feed._alpaca_spans import Spans, is_coin
from feed._alpaca_stream import Addresses, AlpacaStream
from feed.source import Sink, SourceSpec, SourceTraits, Stream

__all__ = ["AlpacaSource"]

_Record = TypeVar("_Record", Bar, Quote, Trade, NewsItem)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHARE_TICK = SCALE // 100
_FINEST = 1
_LAST_NS = 2**63 - 1
_TRADING = (BaseURL.TRADING_PAPER.value, BaseURL.TRADING_LIVE.value)


class AlpacaSource:
    """Alpaca. Safe to ask from several threads.

    Attributes:
        rejected_records: How many records of answers could not be used since it was opened.
    """

    def __init__(self, spec: SourceSpec, keys: Keys, rest_url: str, stream_url: str) -> None:
        """Make the clients; nothing is asked yet."""
        self._spec = spec
        self._keys = keys
        self._rest_url = rest_url
        self._stream_url = stream_url
        self._exchange = Exchange(keys, spec.timeout_s)
        self._shares = ShareClient.make(self._exchange, keys, rest_url)
        self._coins = CryptoClient.make(self._exchange, keys, rest_url)
        self._headlines = HeadlineClient.make(self._exchange, keys, rest_url)
        # Keys of a paper account are known at the paper address only, keys of a live one at the other.
        desks = (rest_url,) if rest_url else _TRADING
        self._desks = [TradeClient.make(self._exchange, keys, url) for url in desks]
        coins = [is_coin(symbol) for symbol in spec.symbols]
        self._share_spans = Spans(coins=False, calendar=spec.calendar)
        self._coin_spans = Spans(coins=True)
        self._names = {symbol.replace("/", ""): symbol for symbol in spec.symbols if is_coin(symbol)}
        self._counting = Lock()
        self.rejected_records = 0
        only_coins = all(coins)
        main = Spans(coins=True, calendar=spec.calendar) if only_coins else self._share_spans
        everywhere = [spans.timeframes for spans in self._kinds(coins)]
        self._traits = SourceTraits(
            name="alpaca",
            calendar=main.calendar_code,
            timezone=main.timezone,
            timeframes=tuple(name for name in main.timeframes if all(name in kind for kind in everywhere)),
            offers=frozenset({"bars", "quotes", "trades", "news", "stream"}),
        )

    def __repr__(self) -> str:
        return f"AlpacaSource({', '.join(self._spec.symbols)})"

    @property
    def traits(self) -> SourceTraits:
        """What this source is."""
        return self._traits

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the spec's instruments: shares in cents and whole shares, coins in the steps that Alpaca names."""
        return tuple(self._instrument(symbol) for symbol in self._spec.symbols)

    def bars(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int) -> list[Bar]:
        """Return every complete bar that opens in ``[start_ns, end_ns)``, as traded, oldest first.

        Complete is judged by the vendor's clock or ours, whichever is behind. Where ours is ahead by more than
        ``bar_delay_ns`` the newest cannot be judged, and what asks for them is an error.
        """
        coin = self._known(symbol)
        spans = self._coin_spans if coin else self._share_spans
        if timeframe not in spans.timeframes:
            raise NotOfferedError(
                f"alpaca has no {timeframe} bars of {symbol} that count from the session's open; it has "
                f"{', '.join(spans.timeframes)}: build the others from 1Min"
            )
        if start_ns >= end_ns:
            return []
        asked: dict[str, Any] = {
            "symbol_or_symbols": symbol,
            "timeframe": _timeframe(timeframe),
            **_between(spans.asked_from(timeframe, start_ns), end_ns),
        }
        if coin:
            ask = CryptoBarsRequest(**asked)
            found = self._ask(lambda: self._coins.get_crypto_bars(ask), f"{timeframe} bars of {symbol}")
        else:
            ask = StockBarsRequest(**asked, adjustment=Adjustment.RAW, feed=self._feed())
            found = self._ask(lambda: self._shares.get_stock_bars(ask), f"{timeframe} bars of {symbol}")
        self._judge_clock(end_ns + spans.longest_ns(timeframe))
        span = spans.span(timeframe)
        bars = self._usable(self._of(found, symbol), lambda record: bar_from(record, symbol, span), "bars")
        now_ns = self._now_ns()
        latest = {bar.open_time_ns: bar for bar in bars}
        return [
            latest[opened]
            for opened in sorted(latest)
            if start_ns <= opened < end_ns and latest[opened].event_time_ns <= now_ns
        ]

    def quotes(self, symbols: tuple[str, ...]) -> list[Quote]:
        """Return the latest quote of each symbol that is quoted on both sides; sizes as Alpaca gives them."""
        coins = [symbol for symbol in symbols if self._known(symbol)]
        shares = [symbol for symbol in symbols if not is_coin(symbol)]
        found: dict[str, Any] = {}
        if shares:
            ask = StockLatestQuoteRequest(symbol_or_symbols=shares, feed=self._feed())
            found |= _by_symbol(self._ask(lambda: self._shares.get_stock_latest_quote(ask), "quotes"))
        if coins:
            ask_coins = CryptoLatestQuoteRequest(symbol_or_symbols=coins)
            found |= _by_symbol(self._ask(lambda: self._coins.get_crypto_latest_quote(ask_coins), "quotes"))
        self._reject(len(set(found) - set(symbols)))
        quotes: list[Quote] = []
        for symbol in symbols:
            if symbol in found:
                try:
                    latest = quote_from(found[symbol], symbol)
                    not_ahead(latest.event_time_ns)
                    quotes.append(latest)
                except BadRecordError:
                    self._reject(1)
        return quotes

    def trades(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """Return the trades in ``[start_ns, end_ns)``, oldest first."""
        coin = self._known(symbol)
        if start_ns >= end_ns:
            return []
        asked: dict[str, Any] = {"symbol_or_symbols": symbol, **_between(start_ns, end_ns)}
        if coin:
            ask = CryptoTradesRequest(**asked)
            found = self._ask(lambda: self._coins.get_crypto_trades(ask), f"trades of {symbol}")
        else:
            ask = StockTradesRequest(**asked, feed=self._feed())
            found = self._ask(lambda: self._shares.get_stock_trades(ask), f"trades of {symbol}")
        self._judge_clock(end_ns)
        records = _once(self._of(found, symbol))
        trades = self._usable(records, lambda record: trade_from(record, symbol), "trades")
        return sorted(
            (trade for trade in trades if start_ns <= trade.event_time_ns < end_ns),
            key=lambda trade: trade.event_time_ns,
        )

    def news(self, symbols: tuple[str, ...], start_ns: int, end_ns: int) -> list[NewsItem]:
        """Return the news last updated in ``[start_ns, end_ns)``, oldest first; no symbols means all."""
        for symbol in symbols:
            self._known(symbol)
        if start_ns >= end_ns:
            return []
        names = self._names | {symbol.replace("/", ""): symbol for symbol in symbols if is_coin(symbol)}
        asked: dict[str, Any] = {"include_content": True, "sort": "asc", **_between(start_ns, end_ns)}
        if symbols:
            asked["symbols"] = ",".join(symbol.replace("/", "") for symbol in symbols)
        ask = NewsRequest(**asked)
        found = self._ask(lambda: self._headlines.get_news(ask), "news")
        self._judge_clock(end_ns)
        records: object = cast("dict[str, Any]", found).get("news") if isinstance(found, dict) else None
        items = self._usable(_listed(records), lambda record: news_from(record, names), "news")
        latest = {(item.event_time_ns, item.news_id): item for item in items}
        return [latest[key] for key in sorted(latest) if start_ns <= key[0] < end_ns]

    def calendar(self, from_ns: int, to_ns: int) -> list[CalendarEvent]:
        """Alpaca has no releases: always ``NotOfferedError``."""
        del from_ns, to_ns
        raise NotOfferedError("alpaca has no calendar of releases or earnings; use a recorded day or a folder for it")

    def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
        """Start to deliver minute bars (corrected ones too), quotes and news of these symbols.

        Not trades: the desk decides on bars and quotes, and a free account may subscribe to 30 trades and quotes.
        """
        for symbol in symbols:
            self._known(symbol)
        if not symbols:
            raise NotOfferedError("a stream needs symbols; name those of the desk")
        addresses = Addresses(self._stream_url, self._spec.data_feed or "iex")
        return AlpacaStream(
            symbols,
            sink,
            self._keys,
            addresses,
            timeout_s=self._spec.timeout_s,
            silent_s=self._spec.silent_s,
            share_spans=self._share_spans,
            coin_spans=self._coin_spans,
        ).start()

    def close(self) -> None:
        """Close connections; streams are closed by who has them."""
        for client in (self._shares, self._coins, self._headlines, *self._desks):
            client.hang_up()

    def _kinds(self, coins: list[bool]) -> Iterator[Spans]:
        if not all(coins):
            yield self._share_spans
        if any(coins):
            yield self._coin_spans

    def _known(self, symbol: str) -> bool:
        """Return whether a symbol is a coin; one that would ask for something else is refused."""
        if not symbol or len(symbol) > 24 or any(char not in _ALLOWED for char in symbol):
            raise NotOfferedError(f"{symbol[:24]!r} is no symbol of Alpaca's; ask for one such as AAPL or BTC/USD")
        return is_coin(symbol)

    def _feed(self) -> DataFeed | None:
        return DataFeed(self._spec.data_feed) if self._spec.data_feed else None

    def _ask(self, question: Callable[[], Any], what: str) -> Any:
        return self._exchange.ask(question, what)

    def _now_ns(self) -> int:
        return min(wall_ns(), self._exchange.vendor_ns or wall_ns())

    def _judge_clock(self, until_ns: int) -> None:
        """Refuse to answer about what, by the vendor's clock, is not over yet, when ours says that it is."""
        ahead_ns, vendor_ns = self._exchange.ahead_ns, self._exchange.vendor_ns
        if ahead_ns > self._traits.bar_delay_ns and until_ns > vendor_ns > 0:
            raise SourceError(
                f"this machine's clock is {ahead_ns / NS:,.0f} s ahead of alpaca's: what is over by now cannot "
                "be told; set the clock (NTP), then ask again"
            )

    def _reject(self, count: int) -> None:
        with self._counting:
            self.rejected_records += count

    def _of(self, found: object, symbol: str) -> list[Any]:
        """Return the records of one symbol out of an answer by symbol; those of others are counted."""
        table = _by_symbol(found)
        self._reject(sum(len(_listed(records)) for name, records in table.items() if name != symbol))
        return _listed(table.get(symbol))

    def _usable(self, records: list[Any], translate: Callable[[Any], _Record], what: str) -> list[_Record]:
        usable: list[_Record] = []
        why = ""
        for record in records:
            try:
                usable.append(translate(record))
            except BadRecordError as error:
                why = str(error)
        self._reject(len(records) - len(usable))
        if records and not usable:
            raise SourceError(
                f"none of the {len(records):,} {what} that alpaca answered can be used ({why}); ask again later"
            )
        return usable

    def _instrument(self, symbol: str) -> Instrument:
        # Encoded, because the SDK puts a coin's slash into the path as it is.
        path = quote(symbol, safe="")
        for index, desk in enumerate(self._desks):
            try:
                found: object = self._ask(lambda desk=desk: desk.get_asset(path), f"the asset {symbol}")
            except NotOfferedError:
                raise NotOfferedError(f"alpaca has no asset {symbol}; check the symbol") from None
            except KeysRefusedError:
                if index + 1 == len(self._desks):
                    raise
            else:
                self._desks = [desk]
                return _instrument(found, symbol)
        raise SourceError("alpaca did not say which assets it has; ask again later")


_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./")


def _instrument(found: object, symbol: str) -> Instrument:
    asset: dict[str, Any] = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if str(asset.get("symbol", "")).replace("/", "") != symbol.replace("/", ""):
        raise SourceError(f"alpaca answered about another asset than {symbol}; ask again later")
    kind = asset.get("class")
    tradable = asset.get("tradable") is True and asset.get("status") == "active"
    if kind == "crypto" and is_coin(symbol):
        return Instrument(
            symbol,
            "crypto",
            symbol.partition("/")[2],
            _step(asset.get("price_increment"), symbol),
            _step(asset.get("min_trade_increment"), symbol),
            tradable=tradable,
            shortable=False,
            venue="alpaca",
            min_qty_nano=_least(asset.get("min_order_size")),
        )
    if kind == "us_equity":
        # Fractions of a share are for simple day orders only: a lot is what every order may have.
        return Instrument(
            symbol,
            "equity",
            "USD",
            _SHARE_TICK,
            SCALE,
            tradable=tradable,
            # What is hard to borrow can be sold short for the day at best: that is no availability to count on.
            shortable=asset.get("shortable") is True and asset.get("easy_to_borrow") is True,
            venue=str(asset.get("exchange") or ""),
        )
    raise NotOfferedError(f"alpaca's asset {symbol} is neither a share nor a coin; leave it out")


def _least(value: object) -> int:
    """Return a least size, 0 where none is told."""
    try:
        return max(0, to_nano(str(value))) if value is not None else 0
    except BadNumberError:
        return 0


def _step(value: object, symbol: str) -> int:
    if value is None:
        return _FINEST
    try:
        nano = to_nano(cast("Any", value))
    except BadNumberError:
        nano = 0
    if nano <= 0:
        raise SourceError(f"alpaca's steps of {symbol} are no numbers above 0; ask again later")
    return nano


def _timeframe(timeframe: Timeframe) -> TimeFrame:
    unit = timeframe.lstrip("0123456789")
    return TimeFrame(int(timeframe.removesuffix(unit)), TimeFrameUnit(unit))


def _between(start_ns: int, end_ns: int) -> dict[str, datetime]:
    """Return the vendor's interval, whose end is included, in microseconds."""
    return {
        "start": _EPOCH + timedelta(microseconds=max(start_ns, 0) // 1_000),
        "end": _EPOCH + timedelta(microseconds=(min(end_ns, _LAST_NS) - 1) // 1_000),
    }


def _by_symbol(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise SourceError("alpaca's answer is not by symbol; ask again later")
    return cast("dict[str, Any]", found)


def _listed(records: object) -> list[Any]:
    if records is None:
        return []
    if not isinstance(records, list):
        raise SourceError("alpaca's answer has no list of records; ask again later")
    return cast("list[Any]", records)


def _once(records: Iterable[Any]) -> list[Any]:
    """Return trades without those that a page repeats: the same exchange, number and time."""
    seen: dict[Any, Any] = {}
    for index, record in enumerate(records):
        fields: dict[str, Any] = cast("dict[str, Any]", record) if isinstance(record, dict) else {}
        key = (str(fields["i"]), str(fields.get("x")), str(fields.get("t"))) if "i" in fields else index
        seen.setdefault(key, record)
    return list(seen.values())
