"""Alpaca's REST services through the SDK's clients, which send each question once and give up in time.

Not a cache and not a retry: the SDK would wait and ask again three times by itself after HTTP 429, has no time-out and
turns prices into floats. Here its clients build the questions and follow the pages; one exchange is ours.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, TypeVar, cast

import requests
import urllib3

from bus.clock import NS, monotonic_ns, wall_ns
from bus.errors import NotOfferedError, SourceBusyError, SourceError
from feed._alpaca_keys import VARIABLES, Keys
from feed._alpaca_sdk import (
    CryptoHistoricalDataClient,
    NewsClient,
    RESTClient,
    StockHistoricalDataClient,
    TradingClient,
)

__all__ = [
    "CalmClient",
    "CryptoClient",
    "Exchange",
    "HeadlineClient",
    "KeysRefusedError",
    "ShareClient",
    "TradeClient",
]

_Client = TypeVar("_Client", bound="CalmClient")

_MOST_BYTES = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_LONGEST_WAIT_S = 3_600.0


class KeysRefusedError(SourceError):
    """HTTP 401 or 403: the keys, or what they may see."""


class Exchange:
    """One request and its answer: in time, once, exact numbers, and errors that are ours and hold no key.

    Attributes:
        vendor_ns: The vendor's clock when it last answered, in whole seconds; 0 before.
        ahead_ns: By how much, at the least, this machine's clock was ahead of it; negative is behind.
    """

    def __init__(self, keys: Keys, timeout_s: float) -> None:
        """Use these keys for scrubbing only."""
        self._keys = keys
        self._timeout_s = timeout_s
        self._pages = threading.local()
        self.vendor_ns = 0
        self.ahead_ns = 0

    def ask(self, question: Callable[[], Any], what: str) -> Any:
        """Put a question to an SDK client, all its pages.

        Raises:
            SourceBusyError: HTTP 429.
            NotOfferedError: HTTP 404, or a symbol that the vendor does not know.
            SourceError: Everything else that is no answer.
        """
        self._pages.seen = set[str]()
        try:
            return question()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            kind = type(error).__name__
        raise SourceError(f"alpaca answered nonsense about {what} ({kind} in its SDK); ask again later")

    def answer(self, session: requests.Session, method: str, url: str, opts: dict[str, Any]) -> Any:
        """Do one exchange over HTTP; the SDK calls it for each page."""
        deadline_ns = monotonic_ns() + int(self._timeout_s * NS)
        params: dict[str, Any] = opts.get("params") or {}
        sent = params.get("page_token")
        sent_ns = wall_ns()
        # What requests raises holds the request and so the keys: nothing of it is kept.
        try:
            with closing(session.request(method, url, stream=True, timeout=self._timeout_s, **opts)) as response:
                body = _read(response, deadline_ns)
                return self._judge(response, body, sent, self._clock(response, sent_ns))
        except (requests.Timeout, TimeoutError):
            why = f"alpaca did not answer within {self._timeout_s:g} s"
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            why = f"alpaca cannot be reached ({type(error).__name__})"
        raise SourceError(f"{why}; check the network and status.alpaca.markets, then ask again")

    def _judge(self, response: requests.Response, body: bytes, sent: object, now_ns: int) -> Any:
        status = response.status_code
        if status == requests.codes.ok:
            return self._content(body, sent)
        said = self._said(body)
        if status == requests.codes.too_many_requests:
            wait_s = _wait_s(response, now_ns)
            when = f"for {wait_s:g} s" if wait_s else "for a while"
            raise SourceBusyError(f"alpaca asked to be left alone {when} (HTTP 429{said})", wait_s)
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            raise KeysRefusedError(
                f"alpaca refused (HTTP {status}{said}); check the variables {VARIABLES} and what the account's data "
                'subscription covers (data_feed = "iex" needs none)'
            )
        if status == requests.codes.not_found or (status in _BAD_QUESTION and "symbol" in said.lower()):
            raise NotOfferedError(f"alpaca has no such thing (HTTP {status}{said}); check the symbol")
        raise SourceError(f"alpaca failed (HTTP {status}{said}); ask again later")

    def _clock(self, response: requests.Response, sent_ns: int) -> int:
        """Return the vendor's time; it is not earlier than when it was asked and is told in whole seconds."""
        stamp = _date_ns(response.headers.get("Date", ""))
        if stamp:
            self.vendor_ns = stamp
            self.ahead_ns = sent_ns - stamp - NS
        return stamp or wall_ns()

    def _content(self, body: bytes, sent: object) -> Any:
        try:
            content: Any = json.loads(body, parse_float=Decimal, parse_constant=_refuse)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict | list):
            raise SourceError("alpaca answered something that is not JSON; ask again later")
        if isinstance(content, dict):
            return self._page(cast("dict[str, Any]", content), sent)
        return cast("list[Any]", content)

    def _page(self, content: dict[str, Any], sent: object) -> dict[str, Any]:
        """Give a page without entries as an empty one, and end a chain of pages that goes in a circle."""
        seen: set[str] = self._pages.seen
        if sent is not None:
            seen.add(str(sent))
        following = content.get("next_page_token")
        if following is not None and str(following) in seen:
            raise SourceError("alpaca's pages go in a circle: nothing of this answer is used; ask again later")
        return {name: {} if value is None and name in _ENTRIES else value for name, value in content.items()}

    def _said(self, body: bytes) -> str:
        text = body[:2_000].decode("utf-8", "replace")
        try:
            content: Any = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        message: object = cast("dict[str, Any]", content).get("message") if isinstance(content, dict) else None
        return f": {self._keys.scrub(message)}" if isinstance(message, str) else ""


_ENTRIES = frozenset({"bars", "quotes", "trades"})
_BAD_QUESTION = frozenset({400, 422})


class CalmClient(RESTClient):
    """What our clients have in common: the exchange."""

    exchange: Exchange

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
        # The SDK asks again when this raises its RetryException: it never does.
        del retry
        return self.exchange.answer(self._session, method, url, opts)

    def hang_up(self) -> None:
        """Close the connections."""
        self._session.close()

    @classmethod
    def make(cls: type[_Client], exchange: Exchange, keys: Keys, url: str, **settings: Any) -> _Client:
        """Return a client on an exchange, at another address if one is given."""
        key, secret = keys.reveal()
        made: Any = cls
        client: _Client = made(key, secret, raw_data=True, url_override=url or None, **settings)
        client.exchange = exchange
        return client


class ShareClient(CalmClient, StockHistoricalDataClient):
    """Shares: bars, quotes and trades."""


class CryptoClient(CalmClient, CryptoHistoricalDataClient):
    """Coins: bars, quotes and trades."""


class HeadlineClient(CalmClient, NewsClient):
    """News."""


class TradeClient(CalmClient, TradingClient):
    """Assets; never used for orders."""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _read(response: requests.Response, deadline_ns: int) -> bytes:
    """Read a body that must have come by the deadline, however slowly it drips."""
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if monotonic_ns() > deadline_ns:
            raise TimeoutError
        if len(body) > _MOST_BYTES:
            raise SourceError(f"alpaca's answer is longer than {_MOST_BYTES:,} bytes; ask for less at once")
    return bytes(body)


def _date_ns(text: str) -> int:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp()) * NS


def _wait_s(response: requests.Response, now_ns: int) -> float:
    """Return how long to wait: Retry-After in seconds or as a date, else the vendor's time of reset, else 0."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        reset = response.headers.get("X-RateLimit-Reset", "").strip()
        wait_s = int(reset) - now_ns / NS if reset.isdecimal() else 0.0
    elif text.replace(".", "", 1).isdecimal():
        wait_s = float(text)
    else:
        stamp = _date_ns(text)
        wait_s = (stamp - now_ns) / NS if stamp else 0.0
    return round(min(max(wait_s, 0.0), _LONGEST_WAIT_S), 3)
