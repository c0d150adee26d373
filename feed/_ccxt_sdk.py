"""ccxt's own exchanges, made exact and honest by a few hooks, and imported in one place.

Not a copy of theirs: what is requested and how it is read stays ccxt's. The hooks keep decimal text where ccxt would
make floats, tell HTTP 429 with its Retry-After, refuse an answer that is no JSON where ccxt would see no candles, and
keep a frame that cannot be read from ending ccxt's receive loop without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal, Protocol, cast

import aiohttp
import ccxt
import ccxt.async_support
import ccxt.pro

from bus.clock import NS, wall_ns
from bus.errors import SourceBusyError, SourceError

__all__ = ["CalmExchange", "Exact", "Tap", "ccxt", "exchange_ids", "make_exchange"]

_BUSY = (418, 429)
_LONGEST_WAIT_S = 3_600.0
_FAREST_CLOCK_NS = 86_400 * NS
_CLOSE_S = 1.0
_KEEPALIVE_WORDS = ("ping", "pong")


class Exact(float):
    """A float that remembers the decimal text it was made of, for ccxt's code that insists on floats.

    Attributes:
        text: As the vendor wrote it.
    """

    text: str

    def __new__(cls, text: str) -> Exact:
        """Keep the text."""
        made = super().__new__(cls, text)
        made.text = text
        return made


class Tap(Protocol):
    """Who is told what happens on an exchange's websockets; called in the event loop."""

    def linked(self) -> None:
        """Know that every websocket is connected."""
        ...

    def alive(self) -> None:
        """Know that a frame has come, whatever it says."""
        ...

    def lost(self, why: str, wait_s: float) -> None:
        """Know that a websocket is lost, and for how long the vendor wants to be left alone."""
        ...

    def unreadable(self, why: str) -> None:
        """Know of a frame that cannot be used."""
        ...


class CalmExchange(ccxt.async_support.Exchange):
    """A base before ccxt's class of an exchange.

    Attributes:
        tap: Who is told of the websockets.
        skew_ns: By how much the vendor's clock was ahead of ours when it last answered, to a second; 0 before.
    """

    tap: Tap | None = None
    skew_ns = 0

    def sure_ns(self) -> int:
        """Return what time it is by the vendor's clock and by ours: the earlier of the two."""
        return wall_ns() + min(self.skew_ns, 0)

    def latest_ns(self) -> int:
        """Return what time it may be: the later of the two."""
        return wall_ns() + max(self.skew_ns, 0)

    # --- numbers ------------------------------------------------------------------------------------------------------

    @staticmethod
    def safe_float(dictionary: Any, key: Any, default_value: Any = None) -> Any:
        """Return a number of a record with its text; some streams of ccxt's read prices with this."""
        try:
            found = dictionary[key]
            return Exact(found if type(found) is str else str(found))
        except (LookupError, TypeError, ValueError):
            return default_value

    @staticmethod
    def on_json_response(response_body: str) -> Any:
        """Read JSON with fractions as text."""
        return _read_json(response_body)

    # --- questions ----------------------------------------------------------------------------------------------------

    def open(self, lazy: bool = False) -> None:
        """Open the session of aiohttp; ccxt's own asks for a setting that aiohttp warns of."""
        session: Any = self.session
        if session is None and not (lazy and self.closed_by_user):
            context: Any = self.ssl_context or ssl.create_default_context(cafile=self.cafile)
            self.ssl_context = context
            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        super().open(lazy)

    def on_rest_response(
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        response_headers: Mapping[str, str],
        response_body: str,
        request_headers: Any,
        request_body: Any,
    ) -> str:
        """See the vendor's clock and whether it wants to be left alone.

        Raises:
            SourceBusyError: It does.
        """
        headers = {name.lower(): value for name, value in response_headers.items()}
        age = headers.get("age", "")
        stamp_ns = _date_ns(headers.get("date", ""))
        # An answer out of a cache between has the time when it was made, and says how long ago that is.
        stamp_ns += int(age) * NS if stamp_ns and age.isdecimal() else 0
        if stamp_ns:
            skew_ns = stamp_ns + NS // 2 - wall_ns()
            # Within the second that the header leaves open, the two clocks agree.
            self.skew_ns = skew_ns if NS < abs(skew_ns) < _FAREST_CLOCK_NS else 0
        if code in _BUSY:
            wait_s = _wait_s(headers.get("retry-after", ""), stamp_ns or wall_ns())
            when = f"for {wait_s:g} s" if wait_s else "for a while"
            raise SourceBusyError(f"{self.id} asked to be left alone {when} (HTTP {code})", wait_s)
        return super().on_rest_response(
            code, reason, url, method, response_headers, response_body, request_headers, request_body
        )

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """Do one exchange over HTTP.

        Raises:
            SourceError: The answer is no JSON or says nothing; ccxt would read it as an empty list.
        """
        answer: Any = await super().fetch(url, method, headers, body)
        if not isinstance(answer, dict | list):
            raise SourceError(f"{self.id} answered nonsense: no JSON; ask again later")
        if answer == {} or (self.id == "kraken" and "result" not in answer):
            raise SourceError(f"{self.id} answered nonsense: JSON without a result; ask again later")
        return cast("Any", answer)

    def parse_ohlcvs(self, ohlcvs: Any, *args: Any, **named: Any) -> list[Any]:
        """Read a page of candles.

        Raises:
            SourceError: There is something and none of it is a candle; ccxt would read it as an empty list.
        """
        found: list[Any] = super().parse_ohlcvs(ohlcvs, *args, **named)
        if ohlcvs and not found and all(self.parse_ohlcv(row)[0] is None for row in ohlcvs):
            raise SourceError(f"{self.id} answered nonsense: no row of it is a candle; ask again later")
        return found

    # --- websockets ---------------------------------------------------------------------------------------------------

    def client(self, url: str) -> Any:
        """Return the websocket of an address, with our ears on it."""
        known = url in (self.clients or {})
        client = super().client(url)
        if not known:
            client.handle_message = partial(self._message, client, client.handle_message)
            client.handle_text_or_binary_message = partial(self._text, client)
            client.open = partial(self._dial, client, client.open)
        return client

    def on_connected(self, client: Any, message: Any = None) -> None:
        """Tell that the websockets are connected, when all are."""
        super().on_connected(client, message)
        if self._current(client) and all(each.isConnected for each in self.clients.values()) and self.tap:
            self.tap.linked()

    def on_error(self, client: Any, error: Any) -> None:
        """Tell that a websocket is lost."""
        current, wait_s = self._current(client), getattr(client, "last_retry_after", None) or 0.0
        super().on_error(client, error)
        if current and self.tap:
            self.tap.lost(f"the stream failed ({_short(error)})", min(wait_s, _LONGEST_WAIT_S))

    def on_close(self, client: Any, error: Any) -> None:
        """Tell that a websocket is lost."""
        current = self._current(client)
        super().on_close(client, error)
        if current and self.tap:
            self.tap.lost(f"the exchange closed the stream ({error})", 0.0)

    async def close_ws_clients(self) -> None:
        """Close the websockets, those too that are being opened; one that does not answer is cut."""
        clients = list((self.clients or {}).values())
        self.clients = {}
        await asyncio.gather(*(_end(client) for client in clients))

    async def hang_up(self) -> None:
        """Close the websockets and forget what came over them; the next watch connects again."""
        await self.close_ws_clients()
        self.clean_ws_data()
        self.ws_dial_backoff = {}

    def _current(self, client: Any) -> bool:
        return (self.clients or {}).get(client.url) is client

    async def _dial(self, client: Any, dial: Callable[..., Awaitable[None]], *args: Any) -> None:
        client.dialling = asyncio.current_task()
        await dial(*args)

    def _message(self, client: Any, handle: Callable[[Any], None], message: Any) -> None:
        if self.tap:
            self.tap.alive()
        # ccxt calls this from a callback; an exception would end its receive loop while the socket stays open.
        try:
            handle(message)
        except Exception as error:
            self._unreadable(f"a frame that ccxt cannot read ({type(error).__name__})")
            return
        # Where a subscription is refused some exchanges reject what nobody waits for.
        for refused in list(client.rejections.values()):
            self._unreadable(f"the exchange refused: {_short(refused)}")
        client.rejections.clear()

    def _text(self, client: Any, data: Any) -> None:
        if client.decompressBinary and isinstance(data, bytes):
            data = data.decode()
        message: Any = data
        if isinstance(data, str):
            if len(data) >= 2 and data[0] in "{[":
                try:
                    message = _read_json(data)
                except (ValueError, RecursionError):
                    self._unreadable("a frame that is no JSON")
                    return
            elif not any(word in data.lower() for word in _KEEPALIVE_WORDS):
                self._unreadable("a frame that is no JSON")
        client.on_message_callback(client, message)

    def _unreadable(self, why: str) -> None:
        if self.tap:
            self.tap.unreadable(why)


def exchange_ids() -> tuple[str, ...]:
    """Return the ids of all exchanges that ccxt has."""
    return tuple(ccxt.async_support.exchanges)


def make_exchange(name: str, timeout_s: float, rest_url: str, stream_url: str) -> CalmExchange:
    """Return an exchange that has asked nothing yet; it belongs to the event loop it is first used in.

    Args:
        name: ccxt's id, one of ``exchange_ids``.
        timeout_s: For each request, and to open a websocket.
        rest_url: Another address of its REST services: scheme and host, and a path to put before its own.
        stream_url: Another address of its websockets.
    """
    has_stream = name in ccxt.pro.exchanges
    theirs: type[Any] = getattr(ccxt.pro if has_stream else ccxt.async_support, name)
    kind = cast("type[CalmExchange]", type(name, (CalmExchange, theirs), {}))
    # ccxt cuts the time to connect to whole seconds.
    connect_ms = max(1, -int(-timeout_s // 1)) * 1000
    settings: Any = {"number": str, "timeout": int(timeout_s * 1000)}
    made = kind(settings | {"options": {"ws": {"connectionTimeout": connect_ms}}})
    _only_spot(cast("dict[str, Any]", made.options))
    urls = cast("dict[str, Any]", made.urls)
    for schemes, to in ((("http://", "https://"), rest_url), (("ws://", "wss://"), stream_url)):
        if to:
            urls["api"] = _moved(urls["api"], schemes, to)
    return made


def _only_spot(options: dict[str, Any]) -> None:
    """Have only the markets loaded that this source is about."""
    options["defaultType"] = "spot"
    markets: Any = options.get("fetchMarkets")
    if isinstance(markets, dict) and "spot" in (cast("dict[str, Any]", markets).get("types") or ()):
        options["fetchMarkets"] = {**markets, "types": ["spot"]}


def _moved(urls: Any, schemes: tuple[str, ...], to: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(url, schemes, to) for name, url in cast("dict[str, Any]", urls).items()}
    if isinstance(urls, str) and urls.startswith(schemes):
        _, _, path = urls.split("://", 1)[1].partition("/")
        return f"{to.rstrip('/')}/{path}".rstrip("/")
    return urls


async def _end(client: Any) -> None:
    for future in client.futures.values():
        future.cancel()
    dialling: asyncio.Task[None] | None = getattr(client, "dialling", None)
    if dialling is not None and dialling is not asyncio.current_task():
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
    with contextlib.suppress(TimeoutError, OSError, aiohttp.ClientError):
        async with asyncio.timeout(_CLOSE_S):
            await client.aiohttp_close()


def _read_json(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_constant=_no_number)


def _no_number(name: str) -> Literal[""]:
    raise ValueError(f"{name} is no JSON")


def _short(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


def _date_ns(text: str) -> int:
    try:
        stamp = parsedate_to_datetime(text)
        return int((stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()) * NS
    except (ValueError, TypeError, OverflowError):
        return 0


def _wait_s(text: str, now_ns: int) -> float:
    """Return what Retry-After says in seconds: a number, or a date after the vendor's clock."""
    text = text.strip()
    if text.replace(".", "", 1).isdecimal():
        return min(float(text), _LONGEST_WAIT_S)
    return min(max(0.0, (_date_ns(text) - now_ns) / NS), _LONGEST_WAIT_S)
