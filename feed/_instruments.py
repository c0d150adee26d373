"""What an instrument is, told from its symbol and the prices recorded. Not a security master.

Equities trade in cents and whole shares; futures by their contract; currencies and coins on the finest decimal step
that their quotes showed that day.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Literal

from bus.fixed import SCALE, from_nano, to_nano
from bus.messages import Instrument

__all__ = ["Kind", "calendar_of", "instrument_of", "kind_of", "timezone_of"]

Kind = Literal["equity", "fx", "crypto", "future", "cfd", "index"]

_FIAT = frozenset({"USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK"})
_COINS = frozenset({"BTC", "ETH", "LTC", "XRP", "BCH", "SOL", "ADA", "DOGE"})
_METALS = frozenset({"XAU", "XAG", "XPT", "XPD"})
_INDICES = frozenset({"SPX", "NDX", "DJI", "RUT", "VIX"})
_FUTURE = re.compile(r"([A-Z]{1,3})_\d{6}")
_CONTRACTS: dict[str, tuple[str, int]] = {
    "ES": ("0.25", 50),
    "NQ": ("0.25", 20),
    "GC": ("0.1", 100),
    "CL": ("0.01", 1000),
}


def kind_of(symbol: str) -> Kind:
    """Return the kind of an instrument from its symbol."""
    if _FUTURE.fullmatch(symbol):
        return "future"
    if symbol in _INDICES:
        return "index"
    base, quote = symbol[:3], symbol[3:]
    if len(symbol) == 6 and quote in _FIAT:
        if base in _COINS:
            return "crypto"
        if base in _METALS:
            return "cfd"
        if base in _FIAT:
            return "fx"
    return "equity"


def _step(prices: Iterable[float]) -> str:
    """Return the finest step seen: a power of ten, or five of the next finer one when every price is on it."""
    nanos = {to_nano(price) for price in prices if math.isfinite(price)}
    step = 10 * SCALE
    while step > 1 and any(nano % step for nano in nanos):
        step //= 10
    if step > 1 and all(nano % (step * 5) == 0 for nano in nanos):
        step *= 5
    return format(from_nano(min(step, SCALE)), "f")


def instrument_of(symbol: str, prices: Iterable[float], *, has_volume: bool) -> Instrument:
    """Return the instrument behind a symbol.

    Args:
        symbol: As recorded.
        prices: Quoted (or traded) prices of the day, for the tick of currencies and coins.
        has_volume: Whether any volume was reported.
    """
    kind = kind_of(symbol)
    currency, lot, tick, multiplier = "USD", "1", "0.01", 1
    if kind in ("fx", "crypto", "cfd"):
        currency, tick = symbol[3:], _step(prices)
        lot = {"fx": "1", "crypto": "0.00000001", "cfd": "0.01"}[kind]
    elif kind == "future":
        tick, multiplier = _CONTRACTS.get(symbol.partition("_")[0], (_step(prices), 1))
    return Instrument(
        symbol=symbol,
        kind=kind,
        currency=currency,
        tick_nano=to_nano(tick),
        lot_nano=to_nano(lot),
        multiplier=multiplier,
        has_volume=has_volume,
        tradable=kind != "index",
    )


def calendar_of(kinds: set[str]) -> str:
    """Return the label of the venue calendar of a day with these kinds of instruments."""
    if kinds <= {"equity", "index"}:
        return "XNYS"
    if kinds <= {"future"}:
        return "CMES"
    return "24/7" if kinds <= {"crypto"} else "24/5"


def timezone_of(calendar: str) -> str:
    """Return the time zone people think of that venue in."""
    return {"XNYS": "America/New_York", "CMES": "America/Chicago"}.get(calendar, "UTC")
