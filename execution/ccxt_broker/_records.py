"""ccxt's orders, trades, balances and markets as exact records: checked, never repaired.

Nothing here asks or waits. What cannot be read is no answer: the question is put again, nothing is made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias, cast

import msgspec

from bus.errors import BadNumberError, BusError
from bus.fixed import SCALE, to_nano
from bus.messages import Side

__all__ = [
    "MS",
    "BadAnswerError",
    "MarketRules",
    "OrderLife",
    "VenueOrder",
    "VenueTrade",
    "balance_nano",
    "external_id",
    "external_parts",
    "is_ours",
    "nano_of",
    "order_from",
    "rules_from",
    "trade_from",
]

MS = 1_000_000
"""Nanoseconds in a millisecond, the exchange's unit of time."""

OrderLife: TypeAlias = Literal["working", "filled", "canceled", "expired", "rejected"]
_LIVES: dict[str, OrderLife] = {
    "open": "working",
    "PENDING_NEW": "working",
    "canceling": "working",
    "closed": "filled",
    "canceled": "canceled",
    "expired": "expired",
    "rejected": "rejected",
}
_OURS = re.compile(r"oo-[0-9a-f]{20}")
_EXTERNAL = re.compile(r"ext-([A-Z0-9]{2,40})-([0-9]{1,20})")


class BadAnswerError(BusError):
    """An answer that cannot be read, so that nothing is known from it."""


class VenueOrder(msgspec.Struct, frozen=True):
    """An order as the exchange has it. ``price_nano`` is its limit, else its stop, else 0."""

    order_id: str
    client_id: str
    symbol: str
    side: Side
    life: OrderLife
    qty_nano: int
    filled_nano: int
    price_nano: int
    triggered: bool
    time_ns: int


class VenueTrade(msgspec.Struct, frozen=True):
    """An execution as the exchange has it, with its fee in whatever coin that was."""

    trade_id: int
    order_id: str
    symbol: str
    side: Side
    qty_nano: int
    price_nano: int
    fee_nano: int
    fee_coin: str
    time_ns: int
    liquidity: str


class MarketRules(msgspec.Struct, frozen=True):
    """What the exchange takes of one symbol; a bound of 0 is none."""

    symbol: str
    market_id: str
    base: str
    quote: str
    active: bool
    tick_nano: int
    lot_nano: int
    min_qty_nano: int
    max_qty_nano: int
    min_price_nano: int
    max_price_nano: int
    min_notional_nano: int
    order_types: tuple[str, ...]


def is_ours(client_id: str) -> bool:
    """Return whether a client order id has the form of ours."""
    return _OURS.fullmatch(client_id) is not None


def external_id(market_id: str, order_id: str) -> str:
    """Return the client order id of an order that is not ours: the exchange's own names of it."""
    return f"ext-{market_id}-{order_id}"


def external_parts(client_order_id: str) -> tuple[str, str] | None:
    """Return market and order id of an order that is not ours."""
    found = _EXTERNAL.fullmatch(client_order_id)
    return (found[1], found[2]) if found else None


def order_from(raw: object, symbol: str) -> VenueOrder:
    """Read an order of ccxt's.

    Raises:
        BadAnswerError: A field is missing or impossible.
    """
    fields = _fields(raw, "an order")
    info = _fields(fields.get("info"), "an order")
    life = _LIVES.get(str(fields.get("status")))
    if life is None:
        raise BadAnswerError(f"an order of {symbol} has the unknown status {str(fields.get('status'))[:40]!r}")
    qty = nano_of(fields.get("amount"), "its quantity")
    filled = nano_of(fields.get("filled"), "its filled quantity")
    if not 0 <= filled <= qty or not qty:
        raise BadAnswerError(f"an order of {symbol} is filled by more than its quantity, or has none")
    return VenueOrder(
        order_id=_text(fields.get("id"), "its id"),
        client_id=_text(fields.get("clientOrderId"), "its client order id"),
        symbol=_symbol(fields, symbol),
        side=_side(fields),
        life=life,
        qty_nano=qty,
        filled_nano=filled,
        price_nano=_optional(info.get("price")) or _optional(info.get("stopPrice")),
        triggered=_optional(info.get("stopPrice")) > 0 and info.get("isWorking") is True,
        time_ns=_time(fields.get("lastUpdateTimestamp") or fields.get("timestamp") or 0),
    )


def trade_from(raw: object, symbol: str) -> VenueTrade:
    """Read an execution of ccxt's.

    Raises:
        BadAnswerError: A field is missing or impossible.
    """
    fields = _fields(raw, "a trade")
    info = _fields(fields.get("info"), "a trade")
    trade_id = _text(fields.get("id"), "its id")
    if not trade_id.isdecimal():
        raise BadAnswerError(f"a trade of {symbol} has an id that is no number")
    qty, price = nano_of(fields.get("amount"), "its quantity"), nano_of(fields.get("price"), "its price")
    if qty <= 0 or price <= 0:
        raise BadAnswerError(f"trade {trade_id} of {symbol} has no quantity or no price")
    time_ns = _time(fields.get("timestamp") or 0)
    if not time_ns:
        raise BadAnswerError(f"trade {trade_id} of {symbol} has no time")
    return VenueTrade(
        trade_id=int(trade_id),
        order_id=_text(fields.get("order"), "its order"),
        symbol=_symbol(fields, symbol),
        side=_side(fields),
        qty_nano=qty,
        price_nano=price,
        fee_nano=nano_of(info.get("commission"), "its fee"),
        fee_coin=_text(info.get("commissionAsset"), "the coin of its fee"),
        time_ns=time_ns,
        liquidity="maker" if fields.get("takerOrMaker") == "maker" else "taker",
    )


def rules_from(raw: object) -> MarketRules:
    """Read a market of ccxt's.

    Raises:
        BadAnswerError: It is no spot market, or its steps are not known or finer than a billionth.
    """
    fields = _fields(raw, "a market")
    symbol = _text(fields.get("symbol"), "its symbol")
    if not fields.get("spot"):
        raise BadAnswerError(f"{symbol} is no spot market; only those are traded here")
    steps = _fields(fields.get("precision"), symbol)
    tick, lot = (nano_of(steps.get(name), f"the {name} step of {symbol}") for name in ("price", "amount"))
    if tick <= 0 or lot <= 0:
        raise BadAnswerError(f"{symbol} has steps that are not known, or finer than a billionth")
    limits = _fields(fields.get("limits"), symbol)
    amount, price, cost = (_fields(limits.get(name) or {}, symbol) for name in ("amount", "price", "cost"))
    info = _fields(fields.get("info"), symbol)
    return MarketRules(
        symbol=symbol,
        market_id=_text(fields.get("id"), "its id"),
        base=_text(fields.get("base"), "its base"),
        quote=_text(fields.get("quote"), "its quote"),
        active=fields.get("active") is not False,
        tick_nano=tick,
        lot_nano=lot,
        min_qty_nano=_optional(amount.get("min")),
        max_qty_nano=_optional(amount.get("max")),
        min_price_nano=_optional(price.get("min")),
        max_price_nano=_optional(price.get("max")),
        min_notional_nano=_optional(cost.get("min")),
        order_types=tuple(str(each) for each in cast("list[object]", info.get("orderTypes") or [])),
    )


def balance_nano(balances: object, coin: str) -> int:
    """Return the total of a coin, 0 where the account has never had it.

    Raises:
        BadAnswerError: The answer is none of balances.
    """
    fields = _fields(balances, "the account")
    if not isinstance(_fields(fields.get("info"), "the account").get("balances"), list):
        raise BadAnswerError("the account has no balances in it")
    one = fields.get(coin)
    return 0 if one is None else nano_of(_fields(one, coin).get("total"), f"the balance of {coin}")


def _fields(raw: object, what: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise BadAnswerError(f"the exchange's answer about {what} is none")
    return cast("Mapping[str, Any]", raw)


def _symbol(fields: Mapping[str, Any], symbol: str) -> str:
    if fields.get("symbol") != symbol:
        raise BadAnswerError(f"an answer about {symbol} was asked for, and one of another symbol came")
    return symbol


def _side(fields: Mapping[str, Any]) -> Side:
    side = fields.get("side")
    if side == "buy":
        return "buy"
    if side == "sell":
        return "sell"
    raise BadAnswerError("an answer has neither buy nor sell in it")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value):
        raise BadAnswerError(f"an answer lacks {what}")
    return str(value)


def nano_of(value: object, what: str) -> int:
    """Return billionths, exactly: what a billionth cannot hold is refused, not rounded."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadAnswerError(f"an answer lacks {what}")
    try:
        exact = Decimal(value)
        nano = to_nano(exact)
    except (InvalidOperation, BadNumberError, ValueError):
        nano, exact = 0, Decimal("NaN")
    if not exact.is_finite() or exact * SCALE != nano:
        raise BadAnswerError(f"{what} is no number that billionths can hold")
    return nano


def _optional(value: object) -> int:
    return 0 if value is None else nano_of(value, "a number")


def _time(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**14:
        raise BadAnswerError("an answer has an impossible time")
    return value * MS
