"""The SDK's trading client with an exchange of our own: each request once, in time, and errors without keys.

Not a retry: alpaca-py asks again by itself after HTTP 429 and 504, a POST without an id included. Here nothing is asked
twice, there is a time-out, and bodies stay bytes until they are read as exact decimals.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import requests
import urllib3

from bus.clock import NS, monotonic_ns, wall_ns
from bus.errors import BusError
from execution.alpaca._sdk import TradingClient
from execution.alpaca._secrets import scrub
from execution.keys import Keys

__all__ = ["CalmTradingClient", "NoAnswerError", "NotSentError", "RefusedError"]

_MOST_BYTES = 32 * 1024 * 1024
_CHUNK = 256 * 1024
_DEFINITE = frozenset({400, 401, 403, 404, 422})
_DUPLICATE = "client_order_id must be unique"


class NoAnswerError(BusError):
    """No definite answer: a time-out, a broken connection, HTTP 429 or 5xx, or bytes that mean nothing."""


class NotSentError(NoAnswerError):
    """No connection came about at all: nothing was sent, for certain."""


class RefusedError(BusError):
    """Alpaca itself said no, in its own words.

    Attributes:
        status: The HTTP status.
        said: Its message, scrubbed.
    """

    def __init__(self, status: int, said: str) -> None:
        """Keep what was said."""
        super().__init__(f"alpaca refused (HTTP {status}: {said})")
        self.status = status
        self.said = said

    @property
    def duplicate(self) -> bool:
        """Whether an order of this client order id has arrived before."""
        return self.status in (400, 422) and _DUPLICATE in self.said


class CalmTradingClient(TradingClient):
    """The SDK's client; every request of it passes ``_one_request`` here. Of one thread.

    Attributes:
        vendor_ns: Alpaca's clock when it last answered, in whole seconds; 0 before.
    """

    vendor_ns: int = 0

    def __init__(self, keys: Keys, url: str, *, sandbox: bool, timeout_s: float) -> None:
        """Connect to nothing yet.

        Args:
            keys: To authenticate with.
            url: Another address than the vendor's; empty for its own.
            sandbox: Its paper service instead of real money.
            timeout_s: Seconds for a whole exchange.
        """
        super().__init__(keys.key_id, keys.secret, paper=sandbox, raw_data=True, url_override=url or None)
        self._keys = keys
        self._timeout_s = timeout_s
        # A proxy variable must not carry off what is meant for this machine, in clear text.
        self._session.trust_env = not url.startswith("http://")

    def __repr__(self) -> str:
        return "CalmTradingClient()"

    def hang_up(self) -> None:
        """Close the connections."""
        self._session.close()

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
        """Do one exchange; the SDK asks again when this raises its RetryException, which it never does."""
        del retry
        deadline_ns = monotonic_ns() + int(self._timeout_s * NS)
        # What requests raises holds the request and so the keys: nothing of it is kept, not even as a context.
        error: BusError
        try:
            session = self._session
            with closing(session.request(method, url, stream=True, timeout=self._timeout_s, **opts)) as response:
                return self._judge(response, _read(response, deadline_ns))
        except requests.ConnectTimeout:
            error = NotSentError(f"alpaca could not be reached within {self._timeout_s:g} s; nothing was sent")
        except (requests.Timeout, TimeoutError):
            error = NoAnswerError(f"alpaca did not answer within {self._timeout_s:g} s")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as lost:
            kind = type(lost).__name__
            error = NoAnswerError(f"the connection to alpaca broke ({kind})")
            if _never_connected(lost):
                error = NotSentError(f"alpaca cannot be reached ({kind}); nothing was sent")
        raise error

    def _judge(self, response: requests.Response, body: bytes) -> bytes:
        status = response.status_code
        self.vendor_ns = _date_ns(response.headers.get("Date", "")) or wall_ns()
        if status in (200, 204):
            return body
        said = _said(body)
        if status in _DEFINITE and said is not None:
            raise RefusedError(status, scrub(self._keys, said))
        raise NoAnswerError(f"alpaca gave no definite answer (HTTP {status})")


class _Refusal(msgspec.Struct):
    message: str


def _said(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Refusal).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _never_connected(error: Exception) -> bool:
    """Say whether a failure was one of connecting, so that not a byte of the request had left."""
    reason: object = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _read(response: requests.Response, deadline_ns: int) -> bytes:
    """Read a body that must have come by the deadline, however slowly it drips."""
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if monotonic_ns() > deadline_ns:
            raise TimeoutError
        if len(body) > _MOST_BYTES:
            raise NoAnswerError(f"alpaca's answer is longer than {_MOST_BYTES:,} bytes")
    return bytes(body)


def _date_ns(text: str) -> int:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp()) * NS
