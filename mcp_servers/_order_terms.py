"""An order as a caller gives it: what the broker takes, which prices belong to it, and its numbers made exact.

Not judged here: whether a price is sensible is the gate's to say. What does not belong is refused, never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast, get_args

from mcp.server.mcpserver.exceptions import ToolError

from bus.fixed import SCALE
from bus.messages import Capabilities, Instrument, OrderClass, OrderIntent, OrderType, Side, TimeInForce
from mcp_servers._order_numbers import exact, on_grid, plain
from mcp_servers._times import read_time, shown

__all__ = ["PRICES", "Terms", "check_fit", "percent_bps", "refuse_unsupported", "wanted"]

PRICES = ("limit_price", "stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss", "stop_loss_limit")
"""Every price that an order can have."""
_OF_TYPE: dict[str, tuple[str, ...]] = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("stop_price", "limit_price"),
    "trailing_stop": ("trail_price", "trail_percent"),
}
_OF_CLASS: dict[str, tuple[str, ...]] = {
    "simple": (),
    "bracket": ("take_profit", "stop_loss", "stop_loss_limit"),
    "oto": ("take_profit", "stop_loss", "stop_loss_limit"),
    "oco": ("stop_loss", "stop_loss_limit"),
}
_PER_BPS = SCALE // 100


@dataclass(frozen=True)
class Terms:
    """An order as a caller gives it; numbers unchecked."""

    symbol: str
    side: Side
    type: str = "market"
    time_in_force: str = "day"
    order_class: str = "simple"
    qty: Any = None
    notional: Any = None
    limit_price: Any = None
    stop_price: Any = None
    trail_price: Any = None
    trail_percent: Any = None
    take_profit: Any = None
    stop_loss: Any = None
    stop_loss_limit: Any = None
    expires_at: str | None = None
    client_order_id: str | None = None


def refuse_unsupported(caps: Capabilities, terms: Terms) -> None:
    """Refuse by name what the broker of the day does not take.

    Raises:
        ToolError: Names it and everything that is supported.
    """
    asked = (
        ("type", terms.type, caps.order_types, get_args(OrderType)),
        ("order_class", terms.order_class, caps.order_classes, get_args(OrderClass)),
        ("time_in_force", terms.time_in_force, caps.times_in_force, get_args(TimeInForce)),
    )
    wrong = [
        f"{name} {value} is not supported by the {caps.broker} broker of this desk (supported: "
        f"{', '.join(item for item in offered if item in carried)})"
        for name, value, offered, carried in asked
        if value not in offered or value not in carried
    ]
    if wrong:
        raise ToolError(f"nothing was sent: {'; '.join(wrong)}. Use what is supported.")


def check_fit(terms: Terms) -> None:
    """Check that every price belongs to the order and none is missing.

    Raises:
        ToolError: Names what is too much or missing.
    """
    kind, of_class = terms.type, terms.order_class
    given = {name for name in PRICES if getattr(terms, name) is not None}
    stray = [name for name in PRICES if name in given - {*_OF_TYPE[kind], *_OF_CLASS[of_class]}]
    if stray:
        raise ToolError(
            f"nothing was sent: {', '.join(stray)} cannot be given with type {kind}, order_class {of_class}, which "
            f"has {', '.join((*_OF_TYPE[kind], *_OF_CLASS[of_class])) or 'no price'}. Leave it out."
        )
    problem = _missing(kind, given) or _missing_leg(kind, of_class, given)
    if not problem and (terms.expires_at is not None) != (terms.time_in_force == "gtd"):
        problem = "expires_at belongs to time_in_force gtd, which needs it"
    if problem:
        raise ToolError(f"nothing was sent: {problem}. Give what is needed, or choose another type.")


def _missing(kind: str, given: set[str]) -> str:
    if kind == "trailing_stop":
        both = {"trail_price", "trail_percent"}
        return (
            ""
            if len(given & both) == 1
            else "type trailing_stop needs either trail_price or trail_percent, one of them"
        )
    absent = [name for name in _OF_TYPE[kind] if name not in given]
    return f"type {kind} needs {' and '.join(absent)}" if absent else ""


def _missing_leg(kind: str, of_class: str, given: set[str]) -> str:
    legs = given & {"take_profit", "stop_loss"}
    if of_class == "bracket" and len(legs) < 2:
        return "order_class bracket needs take_profit and stop_loss"
    if of_class == "oto" and len(legs) != 1:
        return "order_class oto needs either take_profit or stop_loss, one of them"
    if of_class == "oco" and not (legs and kind == "limit"):
        return "order_class oco needs type limit (limit_price takes the profit) and stop_loss"
    if "stop_loss_limit" in given and "stop_loss" not in given:
        return "stop_loss_limit needs stop_loss"
    return ""


def wanted(terms: Terms, instrument: Instrument, timezone: str) -> OrderIntent:
    """Return the order that is meant, exact, without its quantity, its id and whose it is.

    Raises:
        ToolError: A number is none or off the grid.
    """
    check_fit(terms)
    prices = {
        name: _price(name, getattr(terms, name), instrument)
        for name in PRICES
        if name != "trail_percent" and getattr(terms, name) is not None
    }
    return OrderIntent(
        client_order_id="",
        client="",
        run_id="",
        cycle=0,
        index=0,
        symbol=instrument.symbol,
        side=terms.side,
        order_type=cast("OrderType", terms.type),
        time_in_force=cast("TimeInForce", terms.time_in_force),
        qty_nano=0,
        limit_price_nano=prices.get("limit_price", 0),
        decided_ns=0,
        strategy="",
        stop_price_nano=prices.get("stop_price", 0),
        trail_nano=prices.get("trail_price", 0),
        trail_bps=percent_bps(terms.trail_percent) if terms.trail_percent is not None else 0,
        expires_ns=read_time("expires_at", terms.expires_at, timezone)[0] if terms.expires_at is not None else 0,
        order_class=cast("OrderClass", terms.order_class),
        take_profit_nano=prices.get("take_profit", 0),
        stop_loss_nano=prices.get("stop_loss", 0),
        stop_loss_limit_nano=prices.get("stop_loss_limit", 0),
    )


def _price(name: str, value: object, instrument: Instrument) -> int:
    nano = exact(name, value)
    on_grid(name, nano, instrument.tick_nano, instrument.symbol, "tick")
    return nano


def percent_bps(value: object) -> int:
    """Return a trail in percent as basis points.

    Raises:
        ToolError: It is no number, or finer than a basis point.
    """
    bps, rest = divmod(exact("trail_percent", value), _PER_BPS)
    if rest:
        near = [plain(step * _PER_BPS) for step in (bps, bps + 1) if step]
        raise ToolError(
            f"trail_percent = {shown(str(value))} is not in steps of 0.01. Nearest allowed: {' or '.join(near)}."
        )
    return bps
