"""Alpaca's records as they are on the wire, and their exact values. No number here has ever been a float.

Alpaca sends decimals as text; where it sends a JSON number, its digits are read as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec

from bus.clock import NS
from bus.errors import BadNumberError, SchemaError
from bus.fixed import from_nano, to_nano
from bus.ids import derived_id
from bus.messages import OrderIntent, Side

__all__ = [
    "AccountRecord",
    "FillRecord",
    "OrderRecord",
    "PositionRecord",
    "Symbols",
    "UpdateRecord",
    "change_fields",
    "fill_id",
    "is_ours",
    "nano",
    "near",
    "order_fields",
    "read",
    "text",
    "time_ns",
]

_Record = TypeVar("_Record")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_OUR_PREFIX = "oo-"
_OUR_LENGTH = 23


class OrderRecord(msgspec.Struct, frozen=True):
    """An order, as REST answers it and as every update carries it. ``qty`` is None for one of so many dollars."""

    id: str
    client_order_id: str
    status: str
    symbol: str | None = None
    side: Literal["buy", "sell"] | None = None
    qty: Decimal | None = None
    filled_qty: Decimal | None = None
    type: str = ""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    submitted_at: str | None = None
    updated_at: str | None = None
    replaced_by: str | None = None
    replaces: str | None = None

    @property
    def order_id(self) -> str:
        """Our client order id; of an order of other hands the one that is derived from the broker's id."""
        return self.client_order_id if is_ours(self.client_order_id) else derived_id("ext", "alpaca", self.id)

    @property
    def filled_nano(self) -> int:
        """What is filled."""
        return nano(self.filled_qty)


class FillRecord(msgspec.Struct, frozen=True):
    """An account activity of the type FILL; ``cum_qty`` is what its order had filled with it."""

    id: str
    order_id: str
    symbol: str
    side: Literal["buy", "sell", "sell_short"]
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    transaction_time: str


class UpdateRecord(msgspec.Struct, frozen=True):
    """What the trade-updates stream says happened to an order, with the order as it was then."""

    event: str
    order: OrderRecord
    timestamp: str | None = None
    execution_id: str | None = None
    previous_execution_id: str | None = None
    price: Decimal | None = None
    qty: Decimal | None = None


class AccountRecord(msgspec.Struct, frozen=True):
    """The account; its number and the like are not read, so that they are nowhere to be shown."""

    cash: Decimal
    currency: str | None = None


class PositionRecord(msgspec.Struct, frozen=True):
    """A holding; Alpaca writes a coin's symbol here without its slash."""

    symbol: str
    qty: Decimal
    side: Literal["long", "short"]
    avg_entry_price: Decimal | None = None
    asset_class: str = ""


class Symbols:
    """Our symbols for Alpaca's."""

    def __init__(self, ours: Iterable[str]) -> None:
        """Learn the symbols of the desk."""
        self._ours = {symbol.replace("/", ""): symbol for symbol in ours}

    def ours(self, theirs: str) -> str:
        """Return our symbol; one that the desk does not have stays as it is."""
        return self._ours.get(theirs.replace("/", ""), theirs)


def is_ours(client_order_id: str) -> bool:
    """Say whether a client order id is one that this software derives."""
    return len(client_order_id) == _OUR_LENGTH and client_order_id.startswith(_OUR_PREFIX)


def fill_id(order_id: str, cum_nano: int) -> str:
    """Return the id of an execution: Alpaca's id of the order and what it had filled with it.

    Updates carry an ``execution_id`` and activities an id of their own; nowhere is it promised that the one can be
    made of the other. What an order had filled is in both, exact, and no two executions of an order share it.
    """
    return f"{order_id}/{cum_nano}"


def read(body: bytes, kind: type[_Record], what: str) -> _Record:
    """Read a body strictly.

    Raises:
        SchemaError: It is not what it should be.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError, ValueError) as error:
        kind_of = type(error).__name__
    raise SchemaError(f"alpaca's answer about {what} cannot be read ({kind_of}); nothing of it is used")


def nano(value: Decimal | None) -> int:
    """Return the billionths of a quantity, of nothing 0.

    Raises:
        SchemaError: It is not a finite number that fits, or it has more than nine places.
    """
    exact = near(value)
    if value is not None and from_nano(exact) != value:
        raise SchemaError("alpaca sent a quantity that is not exact in billionths; nothing of it is used")
    return exact


def near(value: Decimal | None) -> int:
    """Return billionths of a price or an amount, of which Alpaca may give more places than nine.

    Raises:
        SchemaError: It is not a finite number that fits.
    """
    if value is None:
        return 0
    try:
        return to_nano(value)
    except BadNumberError:
        pass
    raise SchemaError("alpaca sent a number that is not finite or does not fit; nothing of it is used")


def text(value_nano: int) -> str:
    """Return billionths as plain decimal text."""
    return format(from_nano(value_nano), "f")


def time_ns(stamp: str | None) -> int:
    """Return an RFC 3339 time in nanoseconds, 0 for none.

    Raises:
        SchemaError: It is no such time.
    """
    if not stamp:
        return 0
    found = _STAMP.fullmatch(stamp)
    try:
        if found is not None:
            seconds = int(datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00")).timestamp())
            return seconds * NS + int((found[2] or "").ljust(9, "0"))
    except (ValueError, OverflowError):
        found = None
    raise SchemaError("alpaca sent a time that is none; nothing of it is used")


def order_fields(intent: OrderIntent) -> dict[str, str]:
    """Return an order in Alpaca's words, its numbers as exact text."""
    return {
        "symbol": intent.symbol,
        "qty": text(intent.qty_nano),
        "side": _SIDES[intent.side],
        "type": intent.order_type,
        "time_in_force": intent.time_in_force,
        "client_order_id": intent.client_order_id,
        **_prices(intent, "trail_price", "trail_percent"),
    }


def change_fields(intent: OrderIntent) -> dict[str, str]:
    """Return what replaces an order in Alpaca's words.

    The quantity is always sent: Alpaca makes a *new* order, which starts from nothing filled, and without one it takes
    the whole quantity of the old one again, also where that was half filled (alpacahq/Alpaca-API issue 165).
    """
    return {
        "qty": text(intent.qty_nano),
        "time_in_force": intent.time_in_force,
        "client_order_id": intent.client_order_id,
        **_prices(intent, "trail", "trail"),
    }


_SIDES: dict[Side, str] = {"buy": "buy", "sell": "sell"}


def _prices(intent: OrderIntent, trail_price: str, trail_percent: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    if intent.limit_price_nano:
        fields["limit_price"] = text(intent.limit_price_nano)
    if intent.stop_price_nano:
        fields["stop_price"] = text(intent.stop_price_nano)
    if intent.trail_nano:
        fields[trail_price] = text(intent.trail_nano)
    if intent.trail_bps:
        fields[trail_percent] = format(Decimal(intent.trail_bps) / 100, "f")
    return fields
