"""A loopback exchange: Kraken's or Binance's public REST service and websockets, as ccxt calls them, with faults.

Not a matching engine: it says what a test put into it, in the words of the exchange.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from aiohttp import WSMsgType, web

from bus.clock import NS, wall_ns
from tests.ccxt_source.pairs import binance_pair, kraken_assets, kraken_pairs

__all__ = ["DEADLINE_S", "MINUTE", "Candle", "Fault", "Venue", "candles"]

DEADLINE_S = 20.0
MINUTE = 60 * NS
_INTERVALS = {"1m": 60, "5m": 300, "1h": 3_600, "1d": 86_400, "1w": 604_800, "1M": 2_592_000}


@dataclass(frozen=True)
class Candle:
    """A candle in the exchange's decimal texts."""

    at_s: int
    first: str
    high: str
    low: str
    last: str
    volume: str


@dataclass(frozen=True)
class Fault:
    """What happens to a REST request instead of an answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str = ""
    hangs: bool = False
    cuts: bool = False


def candles(first_s: int, count: int, step_s: int = 60) -> list[Candle]:
    """Return candles in a row; their prices say which is which."""
    made: list[Candle] = []
    for place in range(count):
        base = 50_000 + place
        made.append(
            Candle(first_s + place * step_s, f"{base}.1", f"{base + 9}.9", f"{base - 9}.2", f"{base}.5", "1.12345678")
        )
    return made


class Venue:
    """The exchange, on a thread of its own; use it as a context manager.

    Attributes:
        candles: By pair (``XXBTZUSD``, ``BTCUSDT``): what it has.
        trades: By pair: rows as the exchange sends them.
        faults: What happens to the next requests whose path ends with the key.
        asked: Paths with their queries, in the order of arrival.
        skew_s: By how much its clock is ahead.
        subscribed: The subscriptions that came: channel or stream, symbol.
        hung: The paths of requests that are left without an answer.
        refusals: What the next websocket handshakes are answered.
        book: The best bid and ask.
        levels: The order book, where it has more than those.
        raw: What requests whose path ends with the key are answered, as text.
        mute: Whether subscriptions are not answered.
    """

    def __init__(self, exchange: str, *, pairs: list[dict[str, Any]] | None = None) -> None:
        self.exchange = exchange
        self.pairs = pairs
        self.candles: dict[str, list[Candle]] = {}
        self.trades: dict[str, list[Any]] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.skew_s = 0
        self.subscribed: queue.Queue[tuple[str, str]] = queue.Queue()
        self.hung: queue.Queue[str] = queue.Queue()
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.mute = False
        self.book = {"bid": "50000.1", "bid_size": "1.5", "ask": "50000.2", "ask_size": "0.25"}
        self.levels: dict[str, list[list[str]]] = {}
        self.raw: dict[str, str] = {}
        self.connections = 0
        self._sockets: list[web.WebSocketResponse] = []
        self._hanging = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="venue", daemon=True)
        self.port = 0

    def __enter__(self) -> Venue:
        self._thread.start()
        self.port = self._ready.result(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        # ccxt tells Binance's spot streams by this word in their address.
        return f"ws://127.0.0.1:{self.port}/stream"

    def calls(self, end: str) -> list[dict[str, str]]:
        """Return the queries of the requests whose path ends so."""
        return [query for path, query in self.asked if path.endswith(end)]

    def say(self, message: Any) -> None:
        """Send a message over every websocket: text as it is, anything else as JSON."""
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        self._call(self._say(text))

    def cut(self) -> None:
        """Close every websocket."""
        self._call(self._cut())

    def wait_subscribed(self, count: int) -> list[tuple[str, str]]:
        """Return the next subscriptions, sorted."""
        return sorted(self.subscribed.get(timeout=DEADLINE_S) for _ in range(count))

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        rest: dict[str, Callable[[dict[str, str]], Any]] = {
            "/0/public/Assets": lambda _: kraken_assets(),
            "/0/public/AssetPairs": lambda _: kraken_pairs(self.pairs),
            "/0/public/OHLC": self._kraken_candles,
            "/0/public/Ticker": self._kraken_ticker,
            "/0/public/Trades": self._kraken_trades,
            "/api/v3/exchangeInfo": lambda _: {"symbols": self.pairs or [binance_pair("BTC", "USDT")]},
            "/api/v3/klines": self._binance_candles,
            "/api/v3/ticker/24hr": self._binance_ticker,
            "/api/v3/aggTrades": self._binance_trades,
            "/api/v3/depth": self._binance_depth,
        }
        for path, answer in rest.items():
            app.router.add_get(path, self._answering(answer))
        app.router.add_get("/stream/v2", self._kraken_socket)
        app.router.add_get("/stream/ws/{number}", self._binance_socket)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server  # pyright: ignore[reportPrivateUsage] - aiohttp tells the port nowhere else
        self._ready.set_result(server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._hanging.set()
        await self._cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _say(self, text: str | bytes) -> None:
        for socket in self._sockets:
            await (socket.send_str(text) if isinstance(text, str) else socket.send_bytes(text))

    async def _cut(self) -> None:
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            await socket.close()

    def _answering(
        self, answer: Callable[[dict[str, str]], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            query = dict(request.query)
            self.asked.append((request.path, query))
            stamp = {"Date": formatdate(wall_ns() // NS + self.skew_s, usegmt=True)}
            for end, faults in self.faults.items():
                if request.path.endswith(end) and faults:
                    return await self._fail(request, faults.pop(0), stamp)
            for end, raw in self.raw.items():
                if request.path.endswith(end):
                    return web.Response(text=raw, content_type="application/json", headers=stamp)
            found = answer(query)
            if isinstance(found, web.Response):
                found.headers.update(stamp)
                return found
            return web.json_response(found, headers=stamp)

        return handle

    async def _fail(self, request: web.Request, fault: Fault, stamp: dict[str, str]) -> web.StreamResponse:
        if fault.hangs:
            self.hung.put(request.path)
            await self._hanging.wait()
        if fault.cuts and request.transport is not None:
            request.transport.close()
        return web.Response(status=fault.status or 200, text=fault.body, headers=stamp | fault.headers)

    # --- Kraken -------------------------------------------------------------------------------------------------------

    def _kraken_candles(self, query: dict[str, str]) -> Any:
        step_s = int(query["interval"]) * 60
        after = int(query.get("since", "0"))
        rows = [each for each in self.candles.get(query["pair"], []) if each.at_s > after and not each.at_s % step_s]
        found = [
            [each.at_s, each.first, each.high, each.low, each.last, each.last, each.volume, 3] for each in rows[-720:]
        ]
        return {"error": [], "result": {query["pair"]: found, "last": found[-1][0] if found else after}}

    def _kraken_ticker(self, query: dict[str, str]) -> Any:
        book = self.book
        one = {
            "a": [book["ask"], "1", book["ask_size"]],
            "b": [book["bid"], "1", book["bid_size"]],
            "c": ["50000.2", "0.1"],
            "v": ["10.0", "20.0"],
            "p": ["50000.0", "50000.0"],
            "t": [1, 2],
            "l": ["1.0", "1.0"],
            "h": ["2.0", "2.0"],
            "o": "1.5",
        }
        return {"error": [], "result": {pair: one for pair in query["pair"].split(",")}}

    def _kraken_trades(self, query: dict[str, str]) -> Any:
        rows = [row for row in self.trades.get(query["pair"], []) if row[2] >= float(query.get("since", "0"))][:1000]
        last = f"{int(rows[-1][2] * 1_000_000_000)}" if rows else query.get("since", "0")
        return {"error": [], "result": {query["pair"]: rows, "last": last}}

    async def _kraken_socket(self, request: web.Request) -> web.StreamResponse:
        async def take(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
            if said["method"] == "ping":
                await socket.send_json({"method": "pong", "req_id": said.get("req_id")})
                return
            for symbol in said["params"]["symbol"]:
                if not self.mute:
                    done = {"channel": said["params"]["channel"], "symbol": symbol, "snapshot": True}
                    await socket.send_json(
                        {"method": "subscribe", "result": done, "success": True, "req_id": said["req_id"]}
                    )
                self.subscribed.put((said["params"]["channel"], symbol))

        return await self._socket(request, take)

    # --- Binance ------------------------------------------------------------------------------------------------------

    def _binance_candles(self, query: dict[str, str]) -> Any:
        step_s = _INTERVALS[query["interval"]]
        first = int(query.get("startTime", "0"))
        rows = [each for each in self.candles.get(query["symbol"], []) if each.at_s * 1000 >= first]
        return [
            [
                each.at_s * 1000,
                each.first,
                each.high,
                each.low,
                each.last,
                each.volume,
                (each.at_s + step_s) * 1000 - 1,
                "1.0",
                3,
                "1.0",
                "1.0",
                "0",
            ]
            for each in rows[: int(query.get("limit", "500"))]
        ]

    def _binance_ticker(self, query: dict[str, str]) -> Any:
        book = self.book

        def one(symbol: str) -> dict[str, Any]:
            return {
                "symbol": symbol,
                "bidPrice": book["bid"],
                "bidQty": book["bid_size"],
                "askPrice": book["ask"],
                "askQty": book["ask_size"],
                "lastPrice": "50000.15000000",
                "closeTime": (wall_ns() // NS + self.skew_s) * 1000,
            }

        if "symbols" in query:
            return [one(symbol) for symbol in json.loads(query["symbols"])]
        return one(query["symbol"])

    def _binance_trades(self, query: dict[str, str]) -> Any:
        first, last = int(query.get("startTime", "0")), int(query.get("endTime", "9999999999999"))
        rows = [row for row in self.trades.get(query["symbol"], []) if first <= row["T"] <= last]
        return rows[: int(query.get("limit", "500"))]

    def _binance_depth(self, query: dict[str, str]) -> Any:
        del query
        book = self.book
        if self.levels:
            return {"lastUpdateId": 1, **self.levels}
        sides = {
            f"{side}s": [[book[side], book[f"{side}_size"]]] if float(book[side]) else [] for side in ("bid", "ask")
        }
        return {"lastUpdateId": 1, **sides}

    async def _binance_socket(self, request: web.Request) -> web.StreamResponse:
        async def take(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
            if not self.mute:
                await socket.send_json({"result": None, "id": said["id"]})
            for name in said["params"]:
                symbol, _, channel = name.partition("@")
                self.subscribed.put((channel, symbol))

        return await self._socket(request, take)

    async def _socket(
        self, request: web.Request, take: Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]
    ) -> web.StreamResponse:
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return web.Response(status=status, headers=headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await take(socket, json.loads(message.data))
        self._sockets = [each for each in self._sockets if each is not socket]
        return socket
