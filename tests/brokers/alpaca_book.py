"""What the loopback Alpaca keeps: orders, executions, positions and cash, by Alpaca's own rules. It has no socket."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bus.clock import NS, wall_ns
from execution.alpaca._records import time_ns

__all__ = ["Book", "NoError", "VenueOrder", "stamp"]

WORKING = frozenset({"new", "partially_filled", "held", "suspended", "done_for_day", "stopped"})
_PRICES = {
    "market": set[str](),
    "limit": {"limit_price"},
    "stop": {"stop_price"},
    "stop_limit": {"stop_price", "limit_price"},
    "trailing_stop": {"trail"},
}
_TIFS = {"day", "gtc", "ioc", "fok"}


class NoError(Exception):
    """A refusal of Alpaca's: HTTP status, its code and its words."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.content = {"code": code, "message": message}


def stamp(ns: int) -> str:
    """Return a time as Alpaca writes it."""
    return datetime.fromtimestamp(ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % NS:09d}".rstrip("0.") + "Z"


@dataclass
class VenueOrder:
    """An order in Alpaca's books."""

    id: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    tif: str
    qty: Decimal
    limit: Decimal | None
    stop: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    at_ns: int
    status: str = "new"
    filled: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    updated_ns: int = 0
    replaced_by: str | None = None
    replaces: str | None = None

    def record(self) -> dict[str, Any]:
        """Return it as Alpaca sends it: every number as text."""
        return {
            "id": self.id,
            "client_order_id": self.client_order_id,
            "created_at": stamp(self.at_ns),
            "updated_at": stamp(self.updated_ns),
            "submitted_at": stamp(self.at_ns),
            "filled_at": None,
            "expired_at": None,
            "canceled_at": None,
            "failed_at": None,
            "replaced_at": None,
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": str(uuid.uuid5(uuid.NAMESPACE_OID, self.symbol)),
            "symbol": self.symbol,
            "asset_class": "crypto" if "/" in self.symbol else "us_equity",
            "notional": None,
            "qty": _text(self.qty),
            "filled_qty": _text(self.filled),
            "filled_avg_price": _text(self.paid / self.filled) if self.filled else None,
            "order_class": "",
            "order_type": self.type,
            "type": self.type,
            "side": self.side,
            "time_in_force": self.tif,
            "limit_price": _text(self.limit),
            "stop_price": _text(self.stop),
            "status": self.status,
            "extended_hours": False,
            "legs": None,
            "trail_percent": _text(self.trail_percent),
            "trail_price": _text(self.trail_price),
            "hwm": None,
            "position_intent": f"{self.side}_to_open",
        }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value.normalize() if value else Decimal(0), "f")


@dataclass
class Book:
    """One account.

    Attributes:
        tell: Called with each update, as it is to be streamed.
        posts: Client order ids of the orders that were taken, each as often as it was.
        slow: Whether replacements stay pending until they are refused.
        numbers_seen: Numbers that came as JSON numbers instead of text; there should be none.
    """

    symbols: set[str]
    cash: Decimal
    tell: Callable[[dict[str, Any]], None]
    orders: dict[str, VenueOrder] = field(default_factory=dict[str, VenueOrder])
    activities: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    positions: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict[str, tuple[Decimal, Decimal]])
    posts: list[str] = field(default_factory=list[str])
    numbers_seen: list[str] = field(default_factory=list[str])
    lock: Any = field(default_factory=threading.RLock)
    slow: bool = False
    currency: str = "USD"
    ids: int = 0
    last_ns: int = 0

    def now_ns(self) -> int:
        """Return a time later than the one before."""
        self.last_ns = max(wall_ns(), self.last_ns + 1_000)
        return self.last_ns

    def new_id(self) -> str:
        self.ids += 1
        return str(uuid.UUID(int=(0xA1FACA << 100) + (4 << 76) + (8 << 60) + self.ids))

    def by_client(self, client_order_id: str) -> VenueOrder:
        for order in self.orders.values():
            if order.client_order_id == client_order_id:
                return order
        raise NoError(404, 40410000, f"order not found for {client_order_id}")

    def by_id(self, order_id: str) -> VenueOrder:
        if order_id not in self.orders:
            raise NoError(404, 40410000, f"order not found for {order_id}")
        return self.orders[order_id]

    # --- orders -----------------------------------------------------------------------------------------------------

    def place(self, fields: dict[str, Any]) -> VenueOrder:
        """Take an order."""
        numbers = self._numbers(fields)
        kind, tif, side = (str(fields.get(name)) for name in ("type", "time_in_force", "side"))
        symbol, qty = str(fields.get("symbol")), numbers.get("qty")
        if symbol not in self.symbols:
            raise NoError(422, 42210000, f'asset "{symbol}" not found')
        if kind not in _PRICES or tif not in _TIFS or side not in ("buy", "sell"):
            raise NoError(422, 40010001, "invalid type, time_in_force or side")
        if qty is None or qty <= 0:
            raise NoError(422, 40010001, "qty must be > 0")
        given = {"trail" if name.startswith("trail") else name for name in numbers if name != "qty"}
        if given != _PRICES[kind]:
            raise NoError(422, 40010001, f"{kind} orders require {sorted(_PRICES[kind])}")
        if kind in ("stop", "stop_limit", "trailing_stop") and tif in ("ioc", "fok"):
            raise NoError(422, 42210000, f"invalid time_in_force for {kind} orders")
        if qty % 1 and "/" not in symbol and tif != "day":
            raise NoError(422, 42210000, "fractional orders must be DAY orders")
        return self._take(str(fields["client_order_id"]), symbol, side, kind, tif, qty, numbers)

    def change(self, order_id: str, fields: dict[str, Any]) -> VenueOrder:
        """Replace an order: the new one starts from nothing filled, and without a quantity takes the old one's whole.

        That is what alpacahq/Alpaca-API issue 165 reports.
        """
        old = self.by_id(order_id)
        numbers = self._numbers(fields)
        if old.status not in ("new", "partially_filled"):
            raise NoError(422, 42210000, f"cannot replace order in {old.status} status")
        if "qty" in numbers and numbers["qty"] % 1:
            raise NoError(422, 40010001, "qty must be an integer")
        if "trail" in numbers:
            numbers["trail_price" if old.trail_price is not None else "trail_percent"] = numbers.pop("trail")
        kept = {
            "limit_price": old.limit,
            "stop_price": old.stop,
            "trail_price": old.trail_price,
            "trail_percent": old.trail_percent,
        }
        prices = {name: value for name, value in {**kept, **numbers}.items() if value is not None}
        new = self._take(
            str(fields["client_order_id"]),
            old.symbol,
            old.side,
            old.type,
            str(fields.get("time_in_force", old.tif)),
            numbers.get("qty", old.qty),
            prices,
            quiet=True,
        )
        new.replaces, old.replaced_by = old.id, new.id
        if self.slow:
            new.status = "pending_new"
            self.step(old, "pending_replace", "pending_replace")
        else:
            self.step(old, "replaced", "replaced")
            self.step(new, "new", "new")
        return new

    def refuse_replacement(self, old: VenueOrder) -> None:
        """Let a pending replacement fail, as when the old order was filled before the new one reached the venue."""
        new = self.by_id(old.replaced_by or "")
        old.replaced_by = None
        self.step(old, "partially_filled" if old.filled else "new", "order_replace_rejected")
        self.step(new, "rejected", "rejected")

    def cancel(self, order_id: str) -> None:
        order = self.by_id(order_id)
        if order.status not in WORKING:
            raise NoError(422, 42210000, f'order is already in "{order.status}" state')
        self.step(order, "canceled", "canceled")

    def _take(
        self,
        client_order_id: str,
        symbol: str,
        side: str,
        kind: str,
        tif: str,
        qty: Decimal,
        prices: dict[str, Decimal],
        *,
        quiet: bool = False,
    ) -> VenueOrder:
        if any(order.client_order_id == client_order_id for order in self.orders.values()):
            raise NoError(422, 40010001, "client_order_id must be unique")
        now_ns = self.now_ns()
        order = VenueOrder(
            self.new_id(),
            client_order_id,
            symbol,
            side,
            kind,
            tif,
            qty,
            prices.get("limit_price"),
            prices.get("stop_price"),
            prices.get("trail_price"),
            prices.get("trail_percent"),
            now_ns,
            updated_ns=now_ns,
        )
        self.orders[order.id] = order
        self.posts.append(client_order_id)
        if not quiet:
            self.step(order, "new", "new")
        return order

    def _numbers(self, fields: dict[str, Any]) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for name in ("qty", "limit_price", "stop_price", "trail_price", "trail_percent", "trail"):
            if name in fields:
                if not isinstance(fields[name], str):
                    self.numbers_seen.append(name)
                try:
                    found[name] = Decimal(str(fields[name]))
                except InvalidOperation:
                    raise NoError(422, 40010001, f"invalid {name}") from None
        return found

    def step(self, order: VenueOrder, status: str, event: str, **more: Any) -> None:
        """Let an order be in a status, and tell it as an event."""
        order.status = status
        order.updated_ns = self.now_ns()
        self.tell({"event": event, "timestamp": stamp(order.updated_ns), "order": order.record(), **more})

    def fill(self, order: VenueOrder, qty: Decimal, price: Decimal, *, status: str = "") -> str:
        """Execute so much of an order; return the id that the stream gives the execution."""
        order.filled += qty
        order.paid += qty * price
        whole = order.filled >= order.qty
        order.status = status or ("filled" if whole else "partially_filled")
        order.updated_ns = self.now_ns()
        signed = qty if order.side == "buy" else -qty
        self.cash -= signed * price
        held, cost = self.positions.get(order.symbol, (Decimal(0), Decimal(0)))
        self.positions[order.symbol] = (held + signed, cost + signed * price)
        self.activities.append(
            {
                "id": f"{datetime.now(UTC).strftime('%Y%m%d%H%M%S%f')}::{self.new_id()}",
                "activity_type": "FILL",
                "transaction_time": stamp(order.updated_ns),
                "type": "fill" if whole else "partial_fill",
                "price": _text(price),
                "qty": _text(qty),
                "side": order.side,
                "symbol": order.symbol,
                "leaves_qty": _text(order.qty - order.filled),
                "order_id": order.id,
                "cum_qty": _text(order.filled),
                "order_status": order.status,
                "at_ns": order.updated_ns,
            }
        )
        execution_id = self.new_id()
        self.tell(
            {
                "event": "fill" if whole else "partial_fill",
                "timestamp": stamp(order.updated_ns),
                "order": order.record(),
                "execution_id": execution_id,
                "price": _text(price),
                "qty": _text(qty),
                "position_qty": _text(held + signed),
            }
        )
        return execution_id

    # --- what is asked ------------------------------------------------------------------------------------------------

    def list_orders(self, params: dict[str, str]) -> list[dict[str, Any]]:
        after_ns = time_ns(params.get("after"))
        found = [
            order
            for order in self.orders.values()
            if (params.get("status", "open") != "open" or order.status in WORKING) and order.at_ns > after_ns
        ]
        if params.get("direction", "desc") != "asc":
            found.reverse()
        return [order.record() for order in found[: min(int(params.get("limit", "50")), 500)]]

    def list_fills(self, params: dict[str, str]) -> list[dict[str, Any]]:
        found = [activity for activity in self.activities if activity["at_ns"] > time_ns(params.get("after"))]
        if params.get("direction", "desc") != "asc":
            found.reverse()
        ids = [activity["id"] for activity in found]
        start = ids.index(params["page_token"]) + 1 if "page_token" in params else 0
        page = found[start : start + min(int(params.get("page_size", "100")), 100)]
        return [{name: value for name, value in activity.items() if name != "at_ns"} for activity in page]

    def list_positions(self) -> list[dict[str, Any]]:
        return [
            {
                "asset_id": str(uuid.uuid5(uuid.NAMESPACE_OID, symbol)),
                "symbol": symbol.replace("/", ""),
                "exchange": "NASDAQ",
                "asset_class": "crypto" if "/" in symbol else "us_equity",
                "avg_entry_price": _text(cost / held),
                "qty": _text(held),
                "side": "long" if held > 0 else "short",
                "cost_basis": _text(cost),
            }
            for symbol, (held, cost) in self.positions.items()
            if held
        ]

    def account(self) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, "account")),
            "account_number": "PA-LOOPBACK",
            "status": "ACTIVE",
            "currency": self.currency,
            "cash": _text(self.cash),
            "trading_blocked": False,
        }
