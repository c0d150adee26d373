"""Orders, verdicts, tickets, fills, and what execution and the gate are asked. Not how they are judged."""

from __future__ import annotations

from typing import Literal, TypeAlias

from bus._struct import Struct

__all__ = [
    "Account",
    "AskCancel",
    "BookSettled",
    "CancelAll",
    "CancelOrder",
    "CancelRefusal",
    "Canceled",
    "Capabilities",
    "EventsSince",
    "Fill",
    "GetAccount",
    "GetCapabilities",
    "GetLimits",
    "GetOrders",
    "GetRiskState",
    "Kill",
    "LimitLine",
    "OrderEvent",
    "OrderEventKind",
    "OrderEvents",
    "OrderIntent",
    "OrderState",
    "OrderStatus",
    "OrderType",
    "Orders",
    "Position",
    "PreviewOrders",
    "Resume",
    "RiskLimits",
    "RiskState",
    "SettleBook",
    "SettleOrders",
    "Settled",
    "Side",
    "Ticket",
    "TicketedOrder",
    "TimeInForce",
    "Verdict",
]

Side: TypeAlias = Literal["buy", "sell"]
OrderType: TypeAlias = Literal["market", "limit"]
TimeInForce: TypeAlias = Literal["day", "ioc"]
OrderStatus: TypeAlias = Literal[
    "intent",
    "in_flight",
    "unknown",
    "accepted",
    "partially_filled",
    "filled",
    "canceled",
    "expired",
    "rejected",
]
OrderEventKind: TypeAlias = Literal["sent", "unknown", "accepted", "fill", "canceled", "expired", "rejected"]


class OrderIntent(Struct, frozen=True):
    """What a trader wants. ``qty_nano`` is positive; ``limit_price_nano`` is 0 for a market order.

    ``client_order_id`` is derived from (client, run, cycle, index): the same intent is the same order (law 6).
    """

    client_order_id: str
    client: str
    run_id: str
    cycle: int
    index: int
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    qty_nano: int
    limit_price_nano: int
    decided_ns: int
    strategy: str
    reason: str = ""


class Verdict(Struct, frozen=True):
    """The gate's answer to one intent. ``code`` is ``approved`` or the reason of the denial."""

    client_order_id: str
    symbol: str
    approved: bool
    code: str
    message: str
    limits_version: str
    now_ns: int


class Ticket(Struct, frozen=True):
    """The gate's signature over one order: Ed25519 over all other fields and the exact order bytes (law 1).

    ``key_id`` and ``signature`` differ between two runs of the same day; nothing else does.
    """

    ticket_id: str
    client: str
    order_digest: str
    limits_version: str
    issued_ns: int
    expires_ns: int
    key_id: str
    signature: bytes


class TicketedOrder(Struct, frozen=True):
    """An intent that the gate approved, with the ticket that proves it."""

    intent: OrderIntent
    ticket: Ticket


class Fill(Struct, frozen=True):
    """One execution. ``qty_nano`` is positive; ``fee_nano`` is what was charged, in the account currency."""

    fill_id: str
    client_order_id: str
    symbol: str
    side: Side
    qty_nano: int
    price_nano: int
    fee_nano: int
    time_ns: int
    liquidity: str = "taker"


class OrderEvent(Struct, frozen=True):
    """One journaled step in an order's life. ``seq`` counts the client's events from 1 without gaps."""

    seq: int
    client_order_id: str
    symbol: str
    side: Side
    kind: OrderEventKind
    status: OrderStatus
    time_ns: int
    qty_nano: int
    filled_nano: int
    reason: str = ""
    fill: Fill | None = None


class Position(Struct, frozen=True):
    """A holding. ``qty_nano`` is signed; ``avg_price_nano`` is the average cost; ``mark_nano`` the last close."""

    symbol: str
    qty_nano: int
    avg_price_nano: int
    mark_nano: int
    realized_nano: int


class Account(Struct, frozen=True):
    """A client's account as execution knows it. ``equity_nano`` is cash plus positions at their marks."""

    client: str
    mode: Literal["replay", "paper", "live"]
    now_ns: int
    cash_nano: int
    equity_nano: int
    fees_nano: int
    positions: tuple[Position, ...] = ()


class SettleOrders(Struct, frozen=True):
    """Let the broker work its orders against the market at ``now_ns`` (answer: ``Settled``). Asked again, the same."""

    now_ns: int


class Settled(Struct, frozen=True):
    """The order events of an instant and the account after them."""

    now_ns: int
    events: tuple[OrderEvent, ...]
    account: Account


class EventsSince(Struct, frozen=True):
    """Ask for order events with ``seq`` greater than this one (answer: ``OrderEvents``)."""

    seq: int


class OrderEvents(Struct, frozen=True):
    """Order events in sequence. ``last_seq`` is the newest there is."""

    events: tuple[OrderEvent, ...]
    last_seq: int


class GetAccount(Struct, frozen=True):
    """Ask for the account at ``now_ns``, marked to the feed (answer: ``Account``)."""

    now_ns: int


class CancelAll(Struct, frozen=True):
    """Cancel every working order; only with a ticket of the gate's over the digest of ``cancel_all``."""

    now_ns: int
    reason: str
    ticket: Ticket


class SettleBook(Struct, frozen=True):
    """Let the gate take in fills and prices up to ``now_ns`` (answer: ``BookSettled``). Asked again, the same."""

    now_ns: int


class BookSettled(Struct, frozen=True):
    """The gate's own book after an instant: what it would judge the next order by."""

    now_ns: int
    equity_nano: int
    gross_nano: int
    reserved_nano: int
    daily_loss_nano: int
    killed: bool


class GetRiskState(Struct, frozen=True):
    """Ask for the gate's state (answer: ``RiskState``)."""


class Kill(Struct, frozen=True):
    """Engage the kill switch: refuse everything and cancel what works (answer: ``RiskState``)."""

    reason: str
    by: str


class Resume(Struct, frozen=True):
    """Clear the kill switch; a person's act, from the command line only (answer: ``RiskState``)."""

    by: str


class RiskState(Struct, frozen=True):
    """The gate's state for people."""

    killed: bool
    kill_reason: str
    now_ns: int
    limits_version: str
    approved: int
    denied: int
    equity_nano: int
    gross_nano: int
    key_id: str


# --- what tools ask ---------------------------------------------------------------------------------------------------


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
    """Ask the gate for the limits it judges by (answer: ``RiskLimits``)."""


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
