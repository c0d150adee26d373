"""Order entry: what is asked as the fields of D, F, G, H, AF and AN. Not what is answered: that is ``reports``.

Quantities: OrderQty (38) of a replacement is what the chain has filled so far plus what is wanted from now on, because
FIX counts CumQty over the chain and ``OrderIntent.qty_nano`` does not.
"""

from __future__ import annotations

from typing import TypeAlias

from bus.messages import Instrument, OrderIntent
from execution.fix.store import Known
from execution.fix.values import decimal_text, time_text

__all__ = ["Fields", "cancel", "mass_status", "new_order", "positions", "refusal", "replacement", "status"]

Fields: TypeAlias = list[tuple[int, str | bytes | int]]

_TYPES = {"market": "1", "limit": "2", "stop": "3", "stop_limit": "4"}
_TIMES = {"day": "0", "gtc": "1", "ioc": "3", "fok": "4", "gtd": "6"}
_SIDES = {"buy": "1", "sell": "2"}
_LIMITED = frozenset({"limit", "stop_limit"})
_STOPPED = frozenset({"stop", "stop_limit"})
_ALL_ORDERS = 7


def refusal(intent: OrderIntent, instruments: dict[str, Instrument]) -> str:
    """Return why an order cannot be sent here, or nothing."""
    if intent.order_type not in _TYPES:
        return f"order type {intent.order_type} is not sent over FIX here; allowed are {', '.join(_TYPES)}"
    if intent.time_in_force not in _TIMES:
        return f"time in force {intent.time_in_force} is not sent over FIX; allowed are {', '.join(_TIMES)}"
    if intent.symbol not in instruments:
        return f"symbol {intent.symbol!r} is not listed here; ask for the instruments"
    if intent.qty_nano <= 0:
        return f"quantity {decimal_text(intent.qty_nano)} must be greater than 0"
    if (intent.order_type in _LIMITED) != (intent.limit_price_nano != 0):
        return (
            f"order type {intent.order_type} and limit price do not go together; {', '.join(sorted(_LIMITED))} have one"
        )
    if (intent.order_type in _STOPPED) != (intent.stop_price_nano != 0):
        return (
            f"order type {intent.order_type} and stop price do not go together; {', '.join(sorted(_STOPPED))} have one"
        )
    if (intent.time_in_force == "gtd") != (intent.expires_ns > 0):
        return "time in force gtd, and it alone, has a time when it ends"
    return ""


def new_order(intent: OrderIntent, account: str, now_ns: int) -> Fields:
    """Return a NewOrderSingle (D)."""
    return [(11, intent.client_order_id), *_account(account), *_terms(intent, intent.qty_nano, now_ns)]


def replacement(intent: OrderIntent, old: Known, filled_nano: int, account: str, now_ns: int) -> Fields:
    """Return an OrderCancelReplaceRequest (G); ``filled_nano`` is CumQty of the chain as far as it is known."""
    return [
        (11, intent.client_order_id),
        (41, old.venue_id),
        *_order_id(old),
        *_account(account),
        *_terms(intent, filled_nano + intent.qty_nano, now_ns),
    ]


def cancel(request_id: str, order: Known, account: str, now_ns: int) -> Fields:
    """Return an OrderCancelRequest (F)."""
    return [
        (11, request_id),
        (41, order.venue_id),
        *_order_id(order),
        *_account(account),
        (55, order.symbol),
        (54, _SIDES[order.side]),
        (60, time_text(now_ns)),
        (38, decimal_text(order.base_nano + order.qty_nano)),
    ]


def status(request_id: str, order: Known, account: str) -> Fields:
    """Return an OrderStatusRequest (H)."""
    return [
        *_order_id(order),
        (11, order.venue_id),
        *_account(account),
        (790, request_id),
        (55, order.symbol),
        (54, _SIDES[order.side]),
    ]


def mass_status(request_id: str, account: str) -> Fields:
    """Return an OrderMassStatusRequest (AF) for all orders."""
    return [(584, request_id), (585, _ALL_ORDERS), *_account(account)]


def positions(request_id: str, account: str, now_ns: int) -> Fields:
    """Return a RequestForPositions (AN)."""
    now = time_text(now_ns)
    return [
        (710, request_id),
        (724, 0),
        (453, 1),
        (448, account or "CLIENT"),
        (447, "D"),
        (452, 3),
        (1, account or "CLIENT"),
        (581, 1),
        (715, now[:8]),
        (60, now),
    ]


def _terms(intent: OrderIntent, order_qty_nano: int, now_ns: int) -> Fields:
    fields: Fields = [
        (21, 1),
        (55, intent.symbol),
        (54, _SIDES[intent.side]),
        (60, time_text(now_ns)),
        (38, decimal_text(order_qty_nano)),
        (40, _TYPES[intent.order_type]),
    ]
    if intent.order_type in _LIMITED:
        fields.append((44, decimal_text(intent.limit_price_nano)))
    if intent.order_type in _STOPPED:
        fields.append((99, decimal_text(intent.stop_price_nano)))
    fields.append((59, _TIMES[intent.time_in_force]))
    if intent.time_in_force == "gtd":
        fields.append((126, time_text(intent.expires_ns)))
    return fields


def _account(account: str) -> Fields:
    return [(1, account)] if account else []


def _order_id(order: Known) -> Fields:
    return [(37, order.order_id)] if order.order_id else []
