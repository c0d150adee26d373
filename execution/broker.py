"""The seam to whoever executes: a small protocol, so that a real broker can stand where the paper one does.

Not a place for retries: an answer that is not definite is ``unknown``, and is asked about, never sent again (law 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

import msgspec

from bus.messages import Fill, OrderIntent, Tick

__all__ = ["Broker", "BrokerReport", "KnownOrder", "Offered", "ReportKind"]

ReportKind: TypeAlias = Literal["unknown", "accepted", "fill", "canceled", "expired", "rejected"]


class Offered(msgspec.Struct, frozen=True):
    """What a broker takes, in the words of the messages; what is not named here is refused before the gate.

    Attributes:
        name: The broker.
        order_types: Such as ``market``.
        times_in_force: Such as ``day``.
        order_classes: ``simple`` is a lone order.
        replaces: Whether a working order can be changed.
        shorts: Whether what is not held can be sold.
    """

    name: str
    order_types: tuple[str, ...]
    times_in_force: tuple[str, ...]
    order_classes: tuple[str, ...]
    replaces: bool
    shorts: bool


class BrokerReport(msgspec.Struct, frozen=True):
    """What a broker says about one order. ``fill`` is there when, and only when, the kind is ``fill``."""

    client_order_id: str
    kind: ReportKind
    reason: str = ""
    fill: Fill | None = None


class KnownOrder(msgspec.Struct, frozen=True):
    """An order of the journal's that was sent and is not over, with its fills: what a broker is restored from."""

    intent: OrderIntent
    sent_ns: int
    acknowledged: bool
    fills: tuple[Fill, ...] = ()


class Broker(Protocol):
    """Executes orders. Any method may raise ``OSError`` or ``BusError``: that means *unknown*."""

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """Take up the orders that were sent before a restart, oldest first. A real broker knows them already."""
        ...

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        """Send one order, under its client order id; the answer is ``accepted``, ``rejected`` or ``unknown``."""
        ...

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        """Cancel one order; the answer is ``canceled`` or ``unknown``."""
        ...

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Ask what became of an order: what is definite about it, oldest first, or nothing."""
        ...

    def work(self, tick: Tick) -> list[BrokerReport]:
        """Return what happened to the orders up to this instant, in order."""
        ...
