"""Candles, tickers, trades and markets of ccxt's as our records: exact, checked, never repaired.

Not where candles are closed (``feed._ccxt_candles``); nothing here asks or waits.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from bus.clock import NS
from bus.errors import BadNumberError, NotOfferedError
from bus.fixed import SCALE, to_nano
from bus.messages import Bar, Instrument, Quote, Timeframe, Trade

__all__ = [
    "TIMEFRAMES",
    "BadRecordError",
    "bar_from",
    "end_ns",
    "instrument_from",
    "near_symbols",
    "quote_from",
    "trade_from",
]

MS = 1_000_000
"""Nanoseconds in a millisecond, ccxt's unit of time."""

TIMEFRAMES: dict[Timeframe, str] = {
    "1Min": "1m",
    "2Min": "2m",
    "3Min": "3m",
    "5Min": "5m",
    "10Min": "10m",
    "15Min": "15m",
    "30Min": "30m",
    "1Hour": "1h",
    "2Hour": "2h",
    "4Hour": "4h",
    "1Day": "1d",
    "1Week": "1w",
    "1Month": "1M",
}
"""Our timeframes → ccxt's."""

_Level: TypeAlias = tuple[Decimal, int, Any]

_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MONDAY_NS = 4 * 86_400 * NS
_AHEAD_NS = 30 * NS
_FIRST_MS, _LAST_MS = 1_000_000_000_000, 9_000_000_000_000
_PLACES, _TICKS = 2, 4


@dataclass
class BadRecordError(Exception):
    """A record that cannot be used.

    Attributes:
        why: What is wrong with it.
    """

    why: str

    def __str__(self) -> str:
        return self.why


def end_ns(timeframe: Timeframe, open_ns: int) -> int:
    """Return when a candle ends.

    Raises:
        BadRecordError: It does not open where candles of its timeframe do: UTC, weeks on Monday, months on the 1st.
    """
    text = TIMEFRAMES[timeframe]
    if text.endswith("M"):
        opened = datetime.fromtimestamp(open_ns // NS, UTC)
        if open_ns % (86_400 * NS) or opened.day != 1:
            raise BadRecordError("its month does not begin on the 1st in UTC")
        year, month = divmod(opened.year * 12 + opened.month, 12)
        return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * NS
    length_ns = int(text[:-1]) * _SECONDS[text[-1]] * NS
    if (open_ns - (_MONDAY_NS if text == "1w" else 0)) % length_ns:
        raise BadRecordError(f"it does not open on a multiple of {text} in UTC, weeks on Monday")
    return open_ns + length_ns


def bar_from(symbol: str, row: object, timeframe: Timeframe, latest_ns: int) -> Bar:
    """Return a candle as a bar, complete or not.

    Args:
        symbol: Its symbol.
        row: As ccxt gives it: time in ms, open, high, low, close, volume.
        timeframe: Its timeframe.
        latest_ns: What time it may be now; what opens later is impossible.

    Raises:
        BadRecordError: A field is missing or impossible.
    """
    if not isinstance(row, Sequence) or isinstance(row, str | bytes) or len(row) < 6:
        raise BadRecordError("it is no candle")
    at_ns = _time(row[0])
    if at_ns - latest_ns > _AHEAD_NS:
        raise BadRecordError(f"it opens {(at_ns - latest_ns) / NS:,.0f} s in the future: check this machine's clock")
    first, high, low, last = (_price(row[place], "its price") for place in (1, 2, 3, 4))
    if low > min(first, last) or high < max(first, last):
        raise BadRecordError("its high and low do not hold its open and close")
    until_ns = end_ns(timeframe, at_ns)
    return Bar(symbol, at_ns, until_ns, until_ns, first, high, low, last, _size(row[5]))


def quote_from(symbol: str, ticker: object, now_ns: int) -> Quote:
    """Return a ticker, or the top of an order book, as a quote of an instant.

    The time is the exchange's where it says one, else ``now_ns``; never after that.

    Raises:
        BadRecordError: A side is missing or impossible.
    """
    if not isinstance(ticker, Mapping):
        raise BadRecordError("it is no ticker")
    fields: Mapping[str, Any] = ticker
    if "bids" in fields:
        bid, bid_size = _best(fields.get("bids"), max)
        ask, ask_size = _best(fields.get("asks"), min)
    else:
        bid, bid_size = fields.get("bid"), fields.get("bidVolume")
        ask, ask_size = fields.get("ask"), fields.get("askVolume")
    if not _some(bid) or not _some(ask):
        raise BadRecordError("only one side is quoted")
    bid_nano, ask_nano = _price(bid, "its bid"), _price(ask, "its ask")
    if bid_nano > ask_nano:
        raise BadRecordError("its bid is above its ask")
    stamp = fields.get("timestamp")
    at_ns = now_ns if stamp is None else min(_time(stamp), now_ns)
    return Quote(symbol, at_ns, at_ns, at_ns, bid_nano, ask_nano, bid_nano, ask_nano, _size(bid_size), _size(ask_size))


def trade_from(symbol: str, trade: object) -> Trade:
    """Return a trade of ccxt's.

    Raises:
        BadRecordError: A field is missing or impossible.
    """
    if not isinstance(trade, Mapping):
        raise BadRecordError("it is no trade")
    fields: Mapping[str, Any] = trade
    at_ns = _time(fields.get("timestamp"))
    qty = _size(fields.get("amount"))
    if not qty:
        raise BadRecordError("nothing was traded")
    return Trade(symbol, at_ns, at_ns, _price(fields.get("price"), "its price"), qty)


def instrument_from(market: Mapping[str, Any], precision_mode: int, exchange: str) -> Instrument:
    """Return a market of ccxt's as an instrument, with its exact steps.

    Raises:
        NotOfferedError: Its steps are not known, not fixed or finer than a billionth, or it is no spot market.
    """
    symbol = str(market["symbol"])
    if not market.get("spot"):
        raise NotOfferedError(f"{symbol} of {exchange} is no spot market; only those are offered")
    steps: Mapping[str, Any] = market.get("precision") or {}
    tick = _step(steps.get("price"), precision_mode, f"{exchange}'s price step of {symbol}")
    lot = _step(steps.get("amount"), precision_mode, f"{exchange}'s lot step of {symbol}")
    bounds: Mapping[str, Any] = market.get("limits") or {}
    return Instrument(
        symbol,
        "crypto",
        str(market["quote"]),
        tick,
        lot,
        tradable=market.get("active") is not False,
        shortable=False,
        venue=exchange.removeprefix("ccxt:"),
        min_qty_nano=_bound(bounds, "amount", "min"),
        max_qty_nano=_bound(bounds, "amount", "max"),
        min_notional_nano=_bound(bounds, "cost", "min"),
    )


def _bound(bounds: Mapping[str, Any], of: str, end: str) -> int:
    """Return a bound of a market's, 0 where it has none or one that is too large to matter."""
    value = (bounds.get(of) or {}).get(end)
    try:
        return max(0, to_nano(str(value))) if value is not None else 0
    except BadNumberError:
        return 0


def near_symbols(symbol: str, known: Sequence[str]) -> str:
    """Return the known symbols nearest to one that is not, for an error text."""
    same = [name for name in known if name.split("/")[0] == symbol.split("/")[0]]
    found = difflib.get_close_matches(symbol, known, 5, 0.6) or same[:5] or list(known[:5])
    return ", ".join(found) or "none"


def _best(side: object, best: Callable[[Iterable[_Level]], _Level]) -> tuple[object, object]:
    """Return the price and size of the best level; ccxt sorts levels as text where numbers are text."""
    if not isinstance(side, Sequence) or isinstance(side, str):
        raise BadRecordError("it is no order book")
    levels: list[_Level] = [
        (_decimal(level[0], "its price"), place, level)
        for place, level in enumerate(side)
        if isinstance(level, Sequence) and len(level) >= 2
    ]
    if not levels:
        return None, None
    level = best(levels)[2]
    return level[0], level[1]


def _time(value: object) -> int:
    if not isinstance(value, int) or not _FIRST_MS <= value < _LAST_MS:
        raise BadRecordError("its time is missing or impossible")
    return value * MS


def _some(value: object) -> bool:
    return value is not None and value != ""


def _decimal(value: object, what: str) -> Decimal:
    text = getattr(value, "text", value)
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise BadRecordError(f"{what} is missing")
    try:
        found = Decimal(str(text))
    except InvalidOperation as error:
        raise BadRecordError(f"{what} is no number") from error
    if not found.is_finite():
        raise BadRecordError(f"{what} is no number")
    return found


def _price(value: object, what: str) -> int:
    found = _decimal(value, what)
    if found <= 0:
        raise BadRecordError(f"{what} is not above 0")
    nano = _nano(found, what)
    if Decimal(nano) / SCALE != found:
        raise BadRecordError(f"{what} {found} is finer than a billionth")
    return nano


def _size(value: object) -> int:
    """Return a size, rounded to a billionth where it is finer; 0 where there is none."""
    if not _some(value):
        return 0
    nano = _nano(_decimal(value, "its size"), "its size")
    if nano < 0:
        raise BadRecordError("its size is negative")
    return nano


def _nano(value: Decimal, what: str) -> int:
    try:
        return to_nano(value)
    except BadNumberError as error:
        raise BadRecordError(f"{what} {value} is more than a message holds") from error


def _step(value: object, mode: int, what: str) -> int:
    if mode not in (_PLACES, _TICKS):
        raise NotOfferedError(f"{what} is in significant digits: there is no fixed step; name other symbols")
    try:
        found = _decimal(value, what)
        step = found if mode == _TICKS else Decimal(1).scaleb(-int(found))
        nano = _nano(step, what)
    except BadRecordError as error:
        raise NotOfferedError(f"{error}; name other symbols") from error
    if nano <= 0 or Decimal(nano) / SCALE != step:
        raise NotOfferedError(f"{what} is {step:f}, finer than a billionth: it cannot be exact; name other symbols")
    return nano
