"""An exchange's websockets on a thread of their own: complete candles and quotes; what breaks is connected again.

Not a filler of gaps: the feed asks for the bars that it missed. ccxt would connect again without a word and would take
a stream that says nothing for a quiet market; here both are told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from bus.clock import NS, monotonic_ns, wall_ns
from bus.messages import Bar
from feed._ccxt_candles import Candles
from feed._ccxt_records import BadRecordError, bar_from, quote_from, trade_from
from feed._ccxt_rest import error_of
from feed._ccxt_sdk import CalmExchange, ccxt
from feed._loop_thread import LoopThread
from feed.source import Sink

__all__ = ["CcxtStream", "can_stream"]

State: TypeAlias = Literal["connecting", "connected", "silent", "down"]

_LOG = logging.getLogger("feed")
_FIRST_RETRY_S, _LAST_RETRY_S = 0.25, 30.0
_LASTED_NS = 30 * NS
_TAIL = 16
_MINUTE_NS = 60 * NS


def can_stream(exchange: CalmExchange) -> bool:
    """Return whether ccxt's websockets give bars of a minute or quotes of this exchange."""
    return _has_bars(exchange) or _quote_watch(exchange) != ""


def _has_bars(exchange: CalmExchange) -> bool:
    return exchange.has.get("watchOHLCV") is True and "1m" in (exchange.timeframes or {})


def _quote_watch(exchange: CalmExchange) -> str:
    ways = ("watchBidsAsks", "watchTicker", "watchOrderBook", "watchTrades")
    return next((way for way in ways if exchange.has.get(way) is True), "")


class _LostError(Exception):
    """The connection is of no use any more."""

    def __init__(self, why: str, wait_s: float = 0.0, *, silent: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.wait_s = wait_s
        self.silent = silent


class CcxtStream:
    """The running subscription of a source."""

    def __init__(self, symbols: tuple[str, ...], sink: Sink, exchange: CalmExchange, silent_s: float) -> None:
        """Plan it; ``start`` opens it. The exchange is the stream's own from now on."""
        self._symbols = tuple(dict.fromkeys(symbols))
        self._sink = sink
        self._exchange = exchange
        self._silent_s = silent_s
        self._books: dict[str, Candles] = {}
        self._quoted: dict[str, int] = {}
        self._traded: dict[str, dict[object, None]] = {}
        self._told: tuple[State, str] | None = None
        self._heard_ns = self._alive_ns = 0
        self._failures = 0
        self._lost: asyncio.Future[None] | None = None
        self._thread = LoopThread("ccxt-stream", self._keep)

    def start(self) -> CcxtStream:
        """Start the thread and return the stream."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop; returns when the thread has ended (at once when the sink itself calls this)."""
        self._thread.close()

    # --- what ccxt's websockets tell (feed._ccxt_sdk.Tap) -------------------------------------------------------------

    def linked(self) -> None:
        """Know that every websocket is connected."""
        self._state("connected")

    def alive(self) -> None:
        """Know that a frame has come."""
        self._alive_ns = self._exchange.sure_ns()

    def lost(self, why: str, wait_s: float) -> None:
        """Know that a websocket is lost."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(_LostError(why, wait_s))

    def unreadable(self, why: str) -> None:
        """Know of a frame that cannot be used."""
        self._sink.rejected(f"ccxt:{self._exchange.id}: {why}")

    # --- the thread ---------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        self._exchange.tap = self
        why = ""
        try:
            while True:
                self._state("connecting", why)
                began_ns = monotonic_ns()
                lost = await self._hold()
                why = lost.why
                if self._heard_ns - began_ns > _LASTED_NS:
                    self._failures = 0
                if not lost.silent:
                    self._state("down", why)
                for book in self._books.values():
                    book.interrupted()
                await self._exchange.hang_up()
                pause_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2 ** min(self._failures, 10))
                self._failures += 1
                await asyncio.sleep(max(pause_s, lost.wait_s))
        finally:
            self._exchange.tap = None
            await self._exchange.close()

    async def _hold(self) -> _LostError:
        """Hold the connection; return why it ended."""
        self._lost = asyncio.get_running_loop().create_future()
        tasks: set[asyncio.Future[None]] = {self._lost}
        try:
            await self._exchange.load_markets()
            self._heard_ns = monotonic_ns()
            tasks |= {asyncio.ensure_future(work) for work in self._work()}
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if self._lost in done:
                await self._lost
            for task in done:
                await task
        except _LostError as lost:
            return lost
        except Exception as error:
            return self._trouble(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._lost = None
        return _LostError("the subscriptions ended")

    def _trouble(self, error: Exception) -> _LostError:
        if not isinstance(error, ccxt.BaseError):
            _LOG.warning("the stream of ccxt:%s failed", self._exchange.id, exc_info=error)
        found = error_of(error, self._exchange, "its stream")
        return _LostError(str(found), getattr(found, "retry_after_s", 0.0))

    def _work(self) -> list[Awaitable[None]]:
        exchange = self._exchange
        way = _quote_watch(exchange)
        known = [symbol for symbol in self._symbols if symbol in (exchange.markets or {})]
        for symbol in self._symbols:
            if symbol not in known:
                self.unreadable(f"{symbol} is no symbol of this exchange")
        if not known:
            raise _LostError("none of the symbols is one of this exchange; correct them in the configuration")
        work: list[Awaitable[None]] = [self._watch_silence()]
        for symbol in known:
            if _has_bars(exchange):
                work.append(self._candles(symbol))
            if way == "watchTrades":
                work.append(self._trades(symbol))
            elif way:
                work.append(self._quotes(symbol, way))
        if _has_bars(exchange):
            work.append(self._closing())
        return work

    async def _watch_silence(self) -> None:
        while True:
            left_s = self._silent_s - (monotonic_ns() - self._heard_ns) / NS
            if left_s <= 0:
                why = f"connected, but nothing was heard for {self._silent_s:g} s"
                self._state("silent", why)
                raise _LostError(why, silent=True)
            await asyncio.sleep(left_s)

    async def _candles(self, symbol: str) -> None:
        exchange = self._exchange
        if symbol not in self._books:
            self._books[symbol] = Candles(exchange.sure_ns() - _MINUTE_NS)
        seen: dict[int, list[Any]] = {}
        while True:
            rows: list[Any] = list(await exchange.watch_ohlcv(symbol, "1m"))
            # What ccxt returns is the end of its list, even where it was an older candle that has changed.
            rows = [*(exchange.ohlcvs.get(symbol) or {}).get("1m", [])[-_TAIL:], *rows]
            for row in rows:
                if seen.get(row[0]) != row:
                    seen[row[0]] = list(row)
                    self._use("candle", symbol, self._candle, row)
            for at in sorted(seen, key=str)[: -4 * _TAIL]:
                del seen[at]

    def _candle(self, symbol: str, row: Any) -> None:
        bar = bar_from(symbol, row, "1Min", self._exchange.latest_ns())
        self._give(self._books[symbol].take(bar, self._exchange.sure_ns()))

    async def _closing(self) -> None:
        """Complete candles by the clock where no later one comes; only while frames come at all."""
        while True:
            await asyncio.sleep(0.5)
            now_ns = min(self._exchange.sure_ns(), self._alive_ns)
            for book in self._books.values():
                self._give(book.due(now_ns))

    def _give(self, bars: list[Bar]) -> None:
        for bar in bars:
            self._sink.bar(bar)

    async def _quotes(self, symbol: str, way: str) -> None:
        exchange = self._exchange
        watch: dict[str, Callable[[], Awaitable[Any]]] = {
            "watchBidsAsks": lambda: exchange.watch_bids_asks([symbol], {}),
            "watchTicker": lambda: exchange.watch_ticker(symbol),
            "watchOrderBook": lambda: exchange.watch_order_book(symbol),
        }
        while True:
            found = await watch[way]()
            if way == "watchBidsAsks":
                found = found.get(symbol)
                # A later one that came before this task ran is in ccxt's cache only.
                found = (exchange.bidsasks or {}).get(symbol) or (exchange.tickers or {}).get(symbol) or found
            elif way == "watchTicker" and found.get("bid") is None and exchange.has.get("watchOrderBook") is True:
                way = "watchOrderBook"
                continue
            self._use("quote", symbol, self._quote, found)

    def _quote(self, symbol: str, ticker: Any) -> None:
        quote = quote_from(symbol, ticker, wall_ns())
        if quote.event_time_ns < self._quoted.get(symbol, 0):
            raise BadRecordError("it is older than the one before")
        self._quoted[symbol] = quote.event_time_ns
        self._sink.quote(quote)

    async def _trades(self, symbol: str) -> None:
        traded = self._traded.setdefault(symbol, {})
        while True:
            for trade in list(await self._exchange.watch_trades(symbol)):
                key = trade.get("id") or (trade.get("timestamp"), trade.get("price"), trade.get("amount"))
                if key not in traded:
                    traded[key] = None
                    self._use("trade", symbol, self._trade, trade)
            while len(traded) > 4_000:
                del traded[next(iter(traded))]

    def _trade(self, symbol: str, trade: Any) -> None:
        self._sink.trade(trade_from(symbol, trade))

    def _use(self, what: str, symbol: str, deliver: Callable[[str, Any], None], record: Any) -> None:
        try:
            deliver(symbol, record)
        except BadRecordError as error:
            self.unreadable(f"a {what} of {symbol}: {error}")
            return
        self._heard_ns = monotonic_ns()

    def _state(self, state: State, why: str = "") -> None:
        if (state, why) != self._told:
            self._told = (state, why)
            self._sink.state(state, why)
