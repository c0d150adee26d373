"""ccxt's Binance, imported in one place and made exact, silent and honest about what is not known.

Not a retry: each question is sent once. What ccxt raises has addresses, bodies and signatures in its text, so none of
it leaves here: a failure is told in our words, without the keys, outside of ccxt's exception's reach.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, cast

from bus.clock import NS, monotonic_ns
from bus.errors import BusError
from execution.ccxt_broker._lean import Exchange, errors, exchange_class
from execution.ccxt_broker._refusals import is_definite
from execution.keys import Keys
from execution.spec import BrokerSpec

__all__ = ["WINDOW_MS", "Budget", "Link", "RefusalError", "SilenceError", "make_link"]

WINDOW_MS = 5_000
"""For how long after its signed time the exchange takes a request; later it refuses it, so it never arrives."""
_BUSY = (418, 429)
_LONGEST = 200
_LONGEST_WAIT_S = 3_600.0
_DEFAULT_WAIT_S = 10.0
_MINUTE_NS = 60 * NS
_T = TypeVar("_T")


class RefusalError(BusError):
    """The exchange refused, for certain: it parsed the request, said why, and did nothing.

    Attributes:
        code: The exchange's number for why; 0 when nothing was sent.
        why: Its words, scrubbed.
    """

    def __init__(self, code: int, why: str) -> None:
        """Keep the exchange's number and words."""
        super().__init__(f"the exchange refused: {why} ({code}); change what was asked, or leave it")
        self.code = code
        self.why = why


class SilenceError(BusError):
    """No definite answer: whether it was done is not known."""


class Budget:
    """What may be asked in a minute, by the exchange's own weights, over all links of this process.

    ccxt would sleep, and the gateway with it; a question that there is no room for is not sent instead.
    """

    def __init__(self, most: float) -> None:
        """Begin with nothing asked; ``most`` is in ccxt's units."""
        self._most = most
        self._spent: deque[tuple[int, float]] = deque()
        self._lock = threading.Lock()

    def take(self, cost: float, share: float) -> None:
        """Spend on one question, up to a share of the minute.

        Raises:
            RateLimitExceeded: There is no room; nothing was sent.
        """
        now_ns = monotonic_ns()
        with self._lock:
            while self._spent and now_ns - self._spent[0][0] > _MINUTE_NS:
                self._spent.popleft()
            if sum(each for _, each in self._spent) + cost > self._most * share:
                raise errors.RateLimitExceeded("this minute's questions are used up; ask again later")
            self._spent.append((now_ns, cost))


class _Heard:
    """What the last question came to on the wire."""

    def __init__(self) -> None:
        self.sent = False
        self.status = 0
        self.body = ""
        self.wait_s = 0.0


class _Calm(Exchange):
    """A base before ccxt's class of an exchange."""

    heard: Any = None
    signed: Any = None
    budget: Any = None
    share: Any = 1.0
    urgent: Any = False

    def calculate_rate_limiter_cost(self, api: Any, method: Any, path: Any, params: Any, config: Any = None) -> Any:
        """Return what a question costs, and note whether it is an order or a cancel: those have the whole minute."""
        self.urgent = method != "GET"
        return super().calculate_rate_limiter_cost(api, method, path, params, config or {})

    def throttle(self, cost: Any = None) -> None:
        """Spend of the minute's budget instead of sleeping."""
        self.budget.take(1.0 if cost is None else cost, 1.0 if self.urgent else self.share)

    @staticmethod
    def on_json_response(response_body: str) -> Any:
        """Read JSON with fractions as text."""
        return json.loads(response_body, parse_float=str, parse_constant=_no_number)

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """Do one exchange over HTTP, noting that it was sent."""
        self.heard.sent = True
        self.heard.status = 0
        answer: Any = super().fetch(url, method, headers, body)
        if not isinstance(answer, dict | list):
            raise errors.BadResponse("no JSON")
        return cast("Any", answer)

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
        """Note the answer before ccxt reads anything into it."""
        self.heard.status, self.heard.body = code, response_body
        self.heard.wait_s = _wait_s(response_headers.get("Retry-After", "")) if code in _BUSY else 0.0
        return super().on_rest_response(
            code, reason, url, method, response_headers, response_body, request_headers, request_body
        )

    def nonce(self) -> int:
        """Return the time that a request is signed with, and keep it."""
        now_ms = int(super().nonce())
        self.signed.append(now_ms)
        return now_ms


class Link:
    """One ccxt exchange for one thread, and the only door to it."""

    def __init__(self, exchange: Any, keys: Keys) -> None:
        """Take an exchange that has asked nothing yet."""
        self.exchange = exchange
        self._keys = keys
        self._signed: list[int] = []
        self._quiet_ns = 0
        exchange.signed = self._signed
        exchange.heard = _Heard()

    @property
    def signed_ms(self) -> int:
        """The exchange's time of the last request that was signed, 0 before the first."""
        return self._signed[-1] if self._signed else 0

    def quiet_s(self) -> float:
        """Return for how many seconds the exchange wants to be left alone."""
        return max(0.0, (self._quiet_ns - monotonic_ns()) / NS)

    def ask(self, what: str, question: Callable[[Any], _T]) -> _T:
        """Put a question to the exchange, once.

        Raises:
            RefusalError: It refused for certain, or nothing was sent.
            SilenceError: Whether it was done is not known.
        """
        heard = self.exchange.heard = _Heard()
        del self._signed[:-1]
        try:
            return question(self.exchange)
        except Exception as error:
            kind, theirs = type(error).__name__, isinstance(error, errors.BaseError)
            # What was never sent is told by ccxt itself, before there is a body or a signature.
            own = "" if heard.sent else str(error)
        # Here ccxt's exception is gone: it must not be the context of ours, its text has what was signed.
        self._fail(what, heard, kind, own if theirs else "")

    def scrub(self, text: str) -> str:
        """Return text from outside in one printable line, short and without the keys."""
        for secret in (self._keys.secret, self._keys.key_id, self._keys.password):
            if secret:
                text = text.replace(secret, "[key]")
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

    def close(self) -> None:
        """Give back the sockets."""
        self.exchange.session.close()

    def _fail(self, what: str, heard: _Heard, kind: str, own: str) -> NoReturn:
        name = self.exchange.id
        if heard.wait_s:
            self._quiet_ns = monotonic_ns() + int(heard.wait_s * NS)
        if not heard.sent:
            raise RefusalError(0, self.scrub(f"not sent: {own}") if own else f"not sent ({kind} in ccxt)")
        code, said = _code(heard.body)
        if is_definite(heard.status, code):
            raise RefusalError(code, self.scrub(said))
        if heard.status == 0:
            why = "did not answer in time" if kind == "RequestTimeout" else "cannot be reached, or broke off"
        elif heard.status in _BUSY:
            why = f"asked to be left alone for {heard.wait_s:g} s (HTTP {heard.status})"
        elif code:
            why = f"answered {self.scrub(said)} ({code}, HTTP {heard.status})"
        else:
            why = f"answered nonsense (HTTP {heard.status})"
        raise SilenceError(f"{name} {why} about {what}; it is not known whether it was done: ask about it")


def make_link(spec: BrokerSpec, keys: Keys, budget: Budget, share: float) -> Link:
    """Return a link that has asked nothing yet.

    Args:
        spec: Which exchange, where it is, and how long an answer may take.
        keys: For signing.
        budget: What may be asked in a minute, by every link of this process.
        share: Up to which part of that this link may ask; orders and cancels always have all of it.
    """
    # At DEBUG both write requests as they are signed; a gateway logs its own words only.
    silent = logging.Logger("ccxt", logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.INFO)
    kind = cast("type[Any]", type(spec.exchange, (_Calm, exchange_class(spec.exchange)), {}))
    made = kind(
        {
            "apiKey": keys.key_id,
            "secret": keys.secret,
            "password": keys.password or None,
            "number": str,
            "timeout": int(spec.timeout_s * 1000),
            "enableRateLimit": True,
            "logger": silent,
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
                "recvWindow": WINDOW_MS,
                "maxRetriesOnFailure": 0,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
                "newOrderRespType": {"market": "FULL", "limit": "FULL"},
            },
        }
    )
    made.options["fetchMarkets"]["types"] = ["spot"]
    made.budget, made.share = budget, share
    if spec.url:
        made.urls["api"] = _moved(made.urls["api"], spec.url)
    elif spec.sandbox:
        made.set_sandbox_mode(True)
    # A redirect would carry the key elsewhere, or an order a second time.
    made.session.max_redirects = 0
    return Link(made, keys)


def _moved(urls: Mapping[str, str], to: str) -> dict[str, str]:
    moved: dict[str, str] = {}
    for name, url in urls.items():
        _, _, path = url.split("://", 1)[1].partition("/")
        moved[name] = f"{to.rstrip('/')}/{path}".rstrip("/")
    return moved


def _code(body: str) -> tuple[int, str]:
    """Return the exchange's number and words of a refusal, 0 when it is none."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return 0, ""
    if not isinstance(found, dict):
        return 0, ""
    answer = cast("dict[str, Any]", found)
    code, said = answer.get("code"), answer.get("msg")
    if type(code) is not int or not isinstance(said, str):
        return 0, ""
    return code, said


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _wait_s(text: str) -> float:
    text = text.strip()
    return min(float(text), _LONGEST_WAIT_S) if text.replace(".", "", 1).isdecimal() else _DEFAULT_WAIT_S
