"""What tools and people ask of execution and the gate beside sending: orders, limits, cancels, comparisons.

Not the orders themselves: those are in ``bus._order_messages``.
"""

from __future__ import annotations

from typing import Literal

from bus._order_messages import OrderEvent, OrderIntent, OrderStatus, Ticket
from bus._struct import Struct

__all__ = [
    "AskCancel",
    "AskReconcile",
    "CancelOrder",
    "CancelRefusal",
    "Canceled",
    "Capabilities",
    "ClearHalt",
    "Difference",
    "GetCapabilities",
    "GetLimits",
    "GetOrders",
    "LimitLine",
    "OrderState",
    "Orders",
    "PreviewOrders",
    "Reconciliation",
    "RiskLimits",
]


class GetCapabilities(Struct, frozen=True):
    """Ask execution what its broker of the day supports (answer: ``Capabilities``)."""


class Capabilities(Struct, frozen=True):
    """What can be asked of this desk's broker. What is not named here is refused by name, before the gate."""

    client: str
    run_id: str
    broker: str
    mode: Literal["replay", "paper", "live"]
    now_ns: int
    order_types: tuple[str, ...]
    times_in_force: tuple[str, ...]
    order_classes: tuple[str, ...]
    replaces: bool
    shorts: bool


class GetOrders(Struct, frozen=True):
    """Ask for orders, newest first (answer: ``Orders``). Empty symbols or ids mean any; ``open`` is what works."""

    status: Literal["open", "closed", "all"] = "all"
    symbols: tuple[str, ...] = ()
    client_order_ids: tuple[str, ...] = ()
    limit: int = 50
    offset: int = 0


class OrderState(Struct, frozen=True):
    """One order as execution knows it. ``avg_price_nano`` is over its fills, 0 without any."""

    intent: OrderIntent
    status: OrderStatus
    filled_nano: int
    avg_price_nano: int
    fees_nano: int
    reason: str
    sent_ns: int
    updated_ns: int


class Orders(Struct, frozen=True):
    """A page of ``total`` orders at ``now_ns``."""

    now_ns: int
    orders: tuple[OrderState, ...]
    total: int


class CancelOrder(Struct, frozen=True):
    """Cancel one order; only with a ticket of the gate's over the digest of ``cancel`` (answer: ``OrderEvents``)."""

    now_ns: int
    client_order_id: str
    reason: str
    ticket: Ticket


class ClearHalt(Struct, frozen=True):
    """Let execution send again for a client it halted; only with a ticket of the gate's (answer: ``Account``)."""

    now_ns: int
    by: str
    ticket: Ticket


class AskReconcile(Struct, frozen=True):
    """Compare orders, positions and cash with the broker's now (answer: ``Reconciliation``)."""


class Difference(Struct, frozen=True):
    """One thing that execution and the broker do not agree on, and what was done about it."""

    what: Literal["order", "fill", "quantity", "average_price", "cash"]
    name: str
    ours: str
    theirs: str
    settled: str


class Reconciliation(Struct, frozen=True):
    """What comparing came to. ``halted`` is empty, or says why nothing is sent until a person has looked."""

    now_ns: int
    broker: str
    orders: int
    positions: int
    differences: tuple[Difference, ...] = ()
    halted: str = ""


class AskCancel(Struct, frozen=True):
    """Ask the gate to have orders canceled (answer: ``Canceled``). Asked again, what is closed stays as it is."""

    client: str
    run_id: str
    client_order_ids: tuple[str, ...]
    reason: str
    by: str


class CancelRefusal(Struct, frozen=True):
    """An order that could not be canceled, and why."""

    client_order_id: str
    why: str


class Canceled(Struct, frozen=True):
    """What canceling caused, and what could not be canceled."""

    now_ns: int
    events: tuple[OrderEvent, ...]
    refused: tuple[CancelRefusal, ...] = ()


class PreviewOrders(Struct, frozen=True):
    """Ask the gate for its verdict without reserving, remembering or signing.

    The answer is a ``StageResult`` with ``Verdicts`` that has no orders.
    """

    client: str
    run_id: str
    cycle: int
    intents: tuple[OrderIntent, ...]


class GetLimits(Struct, frozen=True):
    """Ask the gate for the limits it judges a client by, empty for the desk's own (answer: ``RiskLimits``)."""

    client: str = ""


class LimitLine(Struct, frozen=True):
    """One limit in words: its value, what is used of it now (empty where it does not apply) and the ceiling."""

    name: str
    value: str
    used: str
    ceiling: str
    unit: str


class RiskLimits(Struct, frozen=True):
    """The limits of a client at ``now_ns``."""

    client: str
    limits_version: str
    now_ns: int
    lines: tuple[LimitLine, ...]
    symbols: tuple[str, ...]
