"""One connection to a stream of Alpaca's through the SDK: open it, authenticate, subscribe, hear frames, close it.

Not the one that reconnects (``feed._alpaca_stream``). The SDK's own loop is not used: it waits for answers without a
time-out, drops what it cannot read and refused subscriptions into a log, tries wrong keys for ever without a word, and
takes five seconds to stop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import msgpack
import websockets

from feed._alpaca_keys import VARIABLES, Keys
from feed._alpaca_sdk import CryptoDataStream, DataFeed, DataStream, InvalidStatusCode, NewsDataStream, StockDataStream

__all__ = ["Addresses", "Handler", "Kind", "Line", "LineError", "open_line"]

Kind: TypeAlias = Literal["shares", "coins", "news"]
Handler: TypeAlias = Callable[[Any], Awaitable[None]]

_PATHS: dict[Kind, str] = {"shares": "/v2/{feed}", "coins": "/v1beta3/crypto/us", "news": "/v1beta1/news"}
_LARGEST_FRAME = 8 * 1024 * 1024
_CLOSE_S = 1.0
_AUTH_WORDS = ("auth", "not authenticated", "subscription", "forbidden")

# At level DEBUG websockets writes every frame that is sent to its logger, the one with the keys too: it gets a logger
# of nobody's.
_NOWHERE = logging.Logger("feed.alpaca.websocket", logging.CRITICAL)
_NOWHERE.addHandler(logging.NullHandler())


class Addresses(NamedTuple):
    """Where the streams are: another base address (empty: Alpaca's own) and the data feed of shares."""

    base: str
    data_feed: str

    def of(self, kind: Kind) -> str | None:
        """Return a stream's address, None for the vendor's own."""
        return self.base + _PATHS[kind].format(feed=self.data_feed) if self.base else None


@dataclass(eq=False)
class LineError(Exception):
    """A connection that could not be opened or was lost.

    Attributes:
        why: For people, without keys.
        wait_s: For how long the vendor wants to be left alone.
        silent: Whether it was given up because nothing was heard.
    """

    why: str
    wait_s: float = 0.0
    silent: bool = False


class Line(DataStream):
    """One connection; a base beside the SDK's class of the stream."""

    keys: Keys

    async def connect(self, timeout_s: float) -> None:
        """Connect, authenticate and ask for the subscription.

        Raises:
            LineError: It did not work.
        """
        error: LineError
        try:
            async with asyncio.timeout(timeout_s):
                await self._start_ws()
                await self._send_subscribe_msg()
                return
        except TimeoutError:
            error = LineError(f"no answer within {timeout_s:g} s")
        except InvalidStatusCode as refused:
            error = _status(refused.status_code, refused.headers)
        except websockets.WebSocketException as lost:
            error = LineError(self.keys.scrub(str(lost)))
        except OSError as refused:
            error = LineError(f"cannot be reached ({type(refused).__name__})")
        except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as nonsense:
            # The SDK raises ValueError with what the vendor said, and others over a handshake it cannot read.
            said = str(nonsense) if type(nonsense) is ValueError else "it did not speak Alpaca's protocol"
            error = self.refusal(said)
        raise error

    async def frame(self) -> bytes | str:
        """Return the next frame.

        Raises:
            LineError: The connection was lost.
        """
        try:
            return cast("bytes | str", await cast("Any", self._ws).recv())
        except websockets.WebSocketException as lost:
            why = str(lost)
        except (OSError, AttributeError):
            why = "the connection was lost"
        raise LineError(self.keys.scrub(why))

    async def hang_up(self) -> None:
        """Close the connection, if there is one."""
        try:
            await self.close()
        except (websockets.WebSocketException, OSError, TimeoutError):
            return

    def handler(self, channel: str, symbol: str) -> Handler | None:
        """Return who takes a record of a channel and symbol, None for what was not subscribed to."""
        table = cast("Mapping[str, Mapping[str, Handler]]", self._handlers)
        return table.get(channel, {}).get(symbol)

    def asked(self) -> dict[str, set[str]]:
        """Return what is subscribed to: channel → symbols."""
        table = cast("Mapping[str, Mapping[str, Handler]]", self._handlers)
        return {channel: set(handlers) for channel, handlers in table.items() if handlers}

    def refusal(self, said: str, code: object = None) -> LineError:
        """Return the error of what the vendor said when it refused."""
        said = self.keys.scrub(said)
        number = f"{code}, " if isinstance(code, int) else ""
        hint = ""
        if "limit" in said:
            hint = "; close the other connection of this account, or subscribe to fewer symbols"
        elif any(word in said for word in _AUTH_WORDS):
            hint = f"; check the variables {VARIABLES} and what the account's data subscription covers"
        return LineError(f"alpaca refused ({number}{said}){hint}")


class _ShareLine(Line, StockDataStream):
    pass


class _CoinLine(Line, CryptoDataStream):
    pass


class _NewsLine(Line, NewsDataStream):
    pass


def open_line(
    kind: Kind, keys: Keys, addresses: Addresses, timeout_s: float, handlers: Mapping[str, Handler], symbols: list[str]
) -> Line:
    """Return a line that is not connected yet.

    Args:
        kind: Which stream.
        keys: To authenticate with.
        addresses: Where.
        timeout_s: For the opening handshake; a connection that answers no ping for as long is lost.
        handlers: Who takes the records: channel (``bars``, ``updatedBars``, ``quotes``, ``statuses`` and ``news``) →
            handler.
        symbols: What to subscribe to.
    """
    key, secret = keys.reveal()
    settings: dict[str, Any] = {
        "raw_data": True,
        "url_override": addresses.of(kind),
        "websocket_params": {
            "open_timeout": timeout_s,
            "close_timeout": _CLOSE_S,
            "ping_interval": timeout_s,
            "ping_timeout": timeout_s,
            "max_queue": 1024,
            "max_size": _LARGEST_FRAME,
            "logger": _NOWHERE,
        },
    }
    line: Line
    if kind == "news":
        made = _NewsLine(key, secret, **settings)
        made.subscribe_news(handlers["news"], *symbols)
        line = made
    else:
        shares = kind == "shares"
        data = (
            _ShareLine(key, secret, feed=DataFeed(addresses.data_feed), **settings)
            if shares
            else _CoinLine(key, secret, **settings)
        )
        data.subscribe_bars(handlers["bars"], *symbols)
        data.subscribe_updated_bars(handlers["updatedBars"], *symbols)
        data.subscribe_quotes(handlers["quotes"], *symbols)
        if isinstance(data, _ShareLine):  # coins are never stopped
            data.subscribe_trading_statuses(handlers["statuses"], *symbols)
        line = data
    line.keys = keys
    return line


def _status(status: int, headers: Mapping[str, str]) -> LineError:
    text = headers.get("Retry-After", "").strip()
    wait_s = float(text) if text.replace(".", "", 1).isdecimal() else 0.0
    if status in (401, 403):
        return LineError(f"alpaca refused (HTTP {status}); check the variables {VARIABLES}")
    return LineError(f"alpaca did not open the stream (HTTP {status})", min(wait_s, 3_600.0))
