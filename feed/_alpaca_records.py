"""Alpaca's records in our messages: every field checked once, exact, and nothing guessed.

Not a connection: it is handed what came, JSON (numbers as Decimals) from REST or msgpack (floats, ``Timestamp``) from a
stream, and says why a record cannot be used. A float goes through its shortest decimal text, which is what was sent.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from bus.clock import NS, wall_ns
from bus.errors import BadNumberError
from bus.fixed import to_nano
from bus.messages import Bar, NewsItem, Quote, Trade

__all__ = [
    "BadRecordError",
    "bar_from",
    "halted_from",
    "news_from",
    "not_ahead",
    "quote_from",
    "time_from",
    "trade_from",
]

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_TAG = re.compile(r"<[^<>]*>")
_HEADLINE, _BODY, _SOURCE = 500, 4_000, 60
_SYMBOLS = 50
_LAST_NS = 2**63 - 1
_SKEW_NS = 5 * 60 * NS
_STOPPED = {"2": True, "3": False, "H": True, "P": True, "Q": True, "T": False}


class BadRecordError(ValueError):
    """A record that cannot be used; the text says why."""


def time_from(value: object, what: str) -> int:
    """Return a time in UTC nanoseconds: RFC 3339 text with up to nine decimals, or msgpack's ``Timestamp``."""
    nanos = getattr(value, "to_unix_nano", None)
    at_ns = cast("Callable[[], int]", nanos)() if callable(nanos) else _from_text(value, what)
    if not 0 <= at_ns <= _LAST_NS:
        raise BadRecordError(f"{what} is not a time between 1970 and 2262")
    return at_ns


def not_ahead(at_ns: int) -> None:
    """Refuse what is so far in the future that one of the clocks is wrong."""
    ahead_ns = at_ns - wall_ns()
    if ahead_ns > _SKEW_NS:
        raise BadRecordError(f"it is {ahead_ns / NS:,.0f} s in the future: check this machine's clock")


def _from_text(value: object, what: str) -> int:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise BadRecordError(f"{what} is not a time")
    try:
        whole = datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3]))
    except ValueError as error:
        raise BadRecordError(f"{what} is not a time") from error
    return int(whole.timestamp()) * NS + int((found[2] or "0").ljust(9, "0"))


def bar_from(record: object, symbol: str, span: Callable[[int], tuple[int, int]]) -> Bar:
    """Return a bar.

    Args:
        record: ``t o h l c v``.
        symbol: Whose bar it is.
        span: From the vendor's timestamp to the bar's open and end.

    Raises:
        BadRecordError: A field is missing or impossible.
    """
    fields = _fields(record)
    opened, ends = span(time_from(fields.get("t"), "t"))
    prices = [_price(fields, name) for name in "ohlc"]
    first, high, low, last = prices
    if high != max(prices) or low != min(prices):
        raise BadRecordError("its high and low do not hold its open and close")
    return Bar(symbol, opened, ends, ends, first, high, low, last, _size(fields, "v"))


def quote_from(record: object, symbol: str) -> Quote:
    """Return a quote of an instant.

    Raises:
        BadRecordError: A field is missing or impossible, or only one side is quoted.
    """
    fields = _fields(record)
    at = time_from(fields.get("t"), "t")
    bid, ask = _number(fields, "bp"), _number(fields, "ap")
    if bid < 0 or ask < 0:
        raise BadRecordError("a price is negative")
    if not bid or not ask:
        raise BadRecordError("only one side is quoted")
    return Quote(symbol, at, at, at, bid, ask, bid, ask, _size(fields, "bs"), _size(fields, "as"))


def trade_from(record: object, symbol: str) -> Trade:
    """Return a trade.

    Raises:
        BadRecordError: A field is missing or impossible.
    """
    fields = _fields(record)
    at = time_from(fields.get("t"), "t")
    return Trade(symbol, at, at, _price(fields, "p"), _size(fields, "s"))


def halted_from(record: object) -> bool | None:
    """Return whether a status says that trading is stopped; None where it says nothing about that.

    The codes are the tapes': on A and B (CTA) ``2`` is a halt, ``3`` a resumption; on C and O (UTP) ``H`` and ``P`` are
    halts (``P`` a volatility pause), ``Q`` is quotes only, ``T`` is trading.

    Raises:
        BadRecordError: There is no code.
    """
    code = _fields(record).get("sc")
    if not isinstance(code, str) or not code:
        raise BadRecordError("a trading status has no code")
    return _STOPPED.get(code.upper())


def news_from(record: object, names: Mapping[str, str]) -> NewsItem:
    """Return a headline as it read at its last update: the text says nothing that was not known by then.

    Args:
        record: ``id headline summary content source symbols created_at updated_at``.
        names: From the vendor's symbols in news (``BTCUSD``) to ours (``BTC/USD``), where they differ.

    Raises:
        BadRecordError: A field is missing or impossible.
    """
    fields = _fields(record)
    number = fields.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise BadRecordError("its id is not a whole number")
    created = time_from(fields.get("created_at"), "created_at")
    at = max(created, time_from(fields.get("updated_at", fields.get("created_at")), "updated_at"))
    headline = _text(fields.get("headline"), _HEADLINE)
    if not headline:
        raise BadRecordError("it has no headline")
    listed: object = fields.get("symbols") or ()
    if not isinstance(listed, list | tuple):
        raise BadRecordError("its symbols are not a list")
    symbols = tuple(names.get(text, text) for text in _symbols(cast("Iterable[object]", listed)))
    body = _text(fields.get("summary"), _BODY) or _text(fields.get("content"), _BODY)
    return NewsItem(str(number), symbols, at, at, headline, _text(fields.get("source"), _SOURCE) or "alpaca", body)


def _symbols(listed: Iterable[object]) -> list[str]:
    found = {text: None for value in listed if isinstance(value, str) and (text := _text(value, 20))}
    return list(found)[:_SYMBOLS]


def _fields(record: object) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise BadRecordError("it is not a record")
    return cast("Mapping[str, Any]", record)


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadRecordError(f"{name} is not a number")
    try:
        return to_nano(value)
    except BadNumberError as error:
        raise BadRecordError(f"{name} is not a possible number") from error


def _price(fields: Mapping[str, Any], name: str) -> int:
    nano = _number(fields, name)
    if nano <= 0:
        raise BadRecordError(f"{name} is not a price above 0")
    return nano


def _size(fields: Mapping[str, Any], name: str) -> int:
    nano = _number(fields, name)
    if nano < 0:
        raise BadRecordError(f"{name} is negative")
    return nano


def _text(value: object, limit: int) -> str:
    """Return text in one line without markup, and none that cannot be encoded."""
    if not isinstance(value, str):
        return ""
    cut = value[: limit * 20]
    plain = html.unescape(_TAG.sub(" ", cut)).encode("utf-8", "replace").decode()
    line = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
