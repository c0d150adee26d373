"""Orders, verdicts, tickets, fills, and what execution and the gate are asked. Not how they are judged."""

from __future__ import annotations

from typing import Literal, TypeAlias

from bus._struct import Struct

__all__ = [
    "TradingState",
    "Origin",
    "OrderClass",
    "KillLine",
    "Account",
    "BookSettled",
    "CancelAll",
    "EventsSince",
    "Fill",
    "GetAccount",
    "GetRiskState",
    "Kill",
    "OrderEvent",
    "OrderEventKind",
    "OrderEvents",
    "OrderIntent",
    "OrderStatus",
    "OrderType",
    "Position",
    "Resume",
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
OrderType: TypeAlias = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
TimeInForce: TypeAlias = Literal["day", "gtc", "gtd", "ioc", "fok"]
OrderClass: TypeAlias = Literal["simple", "bracket", "oco", "oto"]
Origin: TypeAlias = Literal["desk", "leg", "external", "synthetic"]
"""Who an order is of: the desk by a ticket of its own; a leg by its parent's ticket; somebody at the broker's own site;
nobody, for what reconciling had to add so that the books agree."""
TradingState: TypeAlias = Literal["active", "reducing", "halted"]
OrderStatus: TypeAlias = Literal[
    "intent",
    "in_flight",
    "unknown",
    "accepted",
    "held",
    "triggered",
    "suspended",
    "partially_filled",
    "pending_cancel",
    "pending_replace",
    "done_for_day",
    "filled",
    "canceled",
    "replaced",
    "expired",
    "rejected",
]
OrderEventKind: TypeAlias = Literal[
    "sent",
    "unknown",
    "accepted",
    "held",
    "triggered",
    "suspended",
    "fill",
    "bust",
    "correct",
    "pending_cancel",
    "cancel_rejected",
    "pending_replace",
    "replaced",
    "replace_rejected",
    "done_for_day",
    "canceled",
    "expired",
    "rejected",
    "cash",
]


class OrderIntent(Struct, frozen=True):
    """What a trader wants. ``qty_nano`` is positive; a price that the type does not have is 0.

    ``client_order_id`` is derived from (client, run, cycle, index): the same intent is the same order (law 6).

    Attributes:
        stop_price_nano: Where a ``stop`` or ``stop_limit`` triggers.
        trail_nano: How far a ``trailing_stop`` follows, in price; or ``trail_bps``, in basis points; never both.
        expires_ns: When a ``gtd`` order ends, 0 for the others.
        reduce_only: Refused where it could open or flip a position.
        order_class: ``simple``; ``bracket``: when this entry is over, a take-profit and a stop-loss for what it filled,
            one of which cancels the other; ``oto``: the same with one of the two; ``oco``: this limit order is the
            take-profit and works at once beside its stop-loss.
        take_profit_nano: The limit of the take-profit leg of a bracket or oto.
        stop_loss_nano: Where the stop-loss leg triggers; ``stop_loss_limit_nano`` makes it a stop-limit.
        replaces: The order that this one takes the place of; ``qty_nano`` is what is wanted from now on, without what
            the old one filled. Empty for a new order.
        parent_id: For a leg, the order it belongs to; nobody but execution makes legs.
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
    stop_price_nano: int = 0
    trail_nano: int = 0
    trail_bps: int = 0
    expires_ns: int = 0
    reduce_only: bool = False
    order_class: OrderClass = "simple"
    take_profit_nano: int = 0
    stop_loss_nano: int = 0
    stop_loss_limit_nano: int = 0
    replaces: str = ""
    parent_id: str = ""


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

    ``key_id`` and ``signature`` differ between two runs of the same day; nothing else does. ``epoch`` grows with each
    kill and each resume: what was given before a kill is told from what was given after it by that alone.
    """

    ticket_id: str
    client: str
    order_digest: str
    limits_version: str
    issued_ns: int
    expires_ns: int
    key_id: str
    signature: bytes
    epoch: int = 0


class TicketedOrder(Struct, frozen=True):
    """An intent that the gate approved, with the ticket that proves it."""

    intent: OrderIntent
    ticket: Ticket


class Fill(Struct, frozen=True):
    """One execution. ``qty_nano`` is positive; ``fee_nano`` is what was charged, in the account currency.

    A bust or a correction names the fill it undoes in ``refers_to``; a correction carries what is true instead, a bust
    the values of what is undone. Both have a ``fill_id`` of their own.
    """

    fill_id: str
    client_order_id: str
    symbol: str
    side: Side
    qty_nano: int
    price_nano: int
    fee_nano: int
    time_ns: int
    liquidity: str = "taker"
    refers_to: str = ""


class OrderEvent(Struct, frozen=True):
    """One journaled step in an order's life. ``seq`` counts the client's events from 1 without gaps.

    Attributes:
        fill: With kind ``fill``, ``bust`` and ``correct``, and only then.
        price_nano: What an order that the gate did not judge is worth a unit at most; 0 where it is not known.
        group: Orders of one group never fill more together than the largest of them (an oco pair; an order and what
            replaces it); empty for an order alone.
        origin: Whose order it is.
        cash_nano: With kind ``cash`` only, which is of no order: money that came or went without a trade.
    """

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
    price_nano: int = 0
    group: str = ""
    origin: Origin = "desk"
    cash_nano: int = 0


class Position(Struct, frozen=True):
    """A holding. ``qty_nano`` is signed; ``avg_price_nano`` is the average cost; ``mark_nano`` the last close."""

    symbol: str
    qty_nano: int
    avg_price_nano: int
    mark_nano: int
    realized_nano: int


class Account(Struct, frozen=True):
    """A client's account as execution knows it. ``equity_nano`` is cash plus positions at their marks.

    ``halted`` says why execution sends nothing for this client until a person clears it; empty when it does.
    """

    client: str
    mode: Literal["replay", "paper", "live"]
    now_ns: int
    cash_nano: int
    equity_nano: int
    fees_nano: int
    positions: tuple[Position, ...] = ()
    halted: str = ""


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
    """Cancel every working order, of one strategy where one is named, and take no ticket that was given before this.

    Only with a ticket of the gate's over the digest of ``cancel_all``; its epoch says what was given before.
    """

    now_ns: int
    reason: str
    ticket: Ticket
    strategy: str = ""


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
    """Engage the kill switch: refuse everything and cancel what works (answer: ``RiskState``).

    Attributes:
        client: Only this client; empty for the whole desk.
        strategy: Only this strategy, of that client or of all; empty for every one.
        state: ``halted`` refuses everything and cancels; ``reducing`` lets only reductions pass and cancels nothing.
    """

    reason: str
    by: str
    client: str = ""
    strategy: str = ""
    state: TradingState = "halted"


class Resume(Struct, frozen=True):
    """Clear the kill switch of one scope; a person's act, from the command line only (answer: ``RiskState``).

    ``proof`` is over scope, person and the ``nonce`` of the gate's last ``RiskState``, with the key in the run's folder
    that agents cannot read; a used nonce is refused.
    """

    by: str
    client: str = ""
    strategy: str = ""
    nonce: int = 0
    proof: bytes = b""


class KillLine(Struct, frozen=True):
    """One scope that is not active: empty client and strategy are the whole desk's."""

    client: str
    strategy: str
    state: TradingState
    reason: str
    by: str
    since_ns: int


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
    kills: tuple[KillLine, ...] = ()
    nonce: int = 0
    net_nano: int = 0
