"""The orders of one client in memory: each a fold of its events, in one sequence without gaps.

Not durable: ``execution.journal`` is. The book only drafts events; a draft counts once it is recorded.
"""

from __future__ import annotations

from bus.codec import canonical
from bus.messages import Fill, OrderEvent, OrderEventKind, OrderIntent, OrderStatus, Origin
from execution.broker import BrokerReport, KnownOrder
from execution.states import FINAL, WORKING, first_status, step

__all__ = ["ALARM", "LEG_REASON", "Order", "OrderBook"]

ALARM = "alarm: "
"""How the reason of an event begins that the state table does not allow."""
LEG_REASON = "legs: "
"""How the reason begins of a cancel by which execution itself makes room for another number of the same leg."""
_FILL_KINDS = ("fill", "bust", "correct")
_ANSWERS = ("cancel_rejected", "replace_rejected")


class Order:
    """One order and everything that happened to it.

    Attributes:
        fills: What counts of its fills, by the id of the first report: without what was busted, corrected in place.
        reports: Every execution report ever taken in, by its own id, so that a repeated one is known.
        held_here: Whether it waits, or waited, in execution for its price: its broker has no such type.
    """

    __slots__ = (
        "events",
        "filled_nano",
        "fills",
        "group",
        "held_here",
        "intent",
        "origin",
        "price_nano",
        "raw",
        "reports",
        "roots",
        "sent",
        "sent_ns",
        "status",
    )

    def __init__(
        self, intent: OrderIntent, sent_ns: int, origin: Origin = "desk", group: str = "", price_nano: int = 0
    ) -> None:
        self.intent = intent
        self.raw = canonical(intent)
        self.sent_ns = sent_ns
        self.origin: Origin = origin
        self.group = group
        self.price_nano = price_nano
        self.status: OrderStatus = first_status(origin)
        self.filled_nano = 0
        self.events: list[OrderEvent] = []
        self.fills: dict[str, Fill] = {}
        self.reports: dict[str, Fill] = {}
        self.roots: dict[str, str] = {}
        self.sent = self.status != "intent"
        self.held_here = False

    @property
    def known(self) -> KnownOrder:
        """The order as a broker is restored from it."""
        acknowledged = any(event.kind in ("accepted", "fill") for event in self.events)
        return KnownOrder(self.submitted, self.sent_ns, acknowledged, tuple(self.fills.values()))

    @property
    def submitted(self) -> OrderIntent:
        """The order as the broker gets it: one that execution triggers goes as what it became."""
        return _triggered(self.intent) if self.held_here else self.intent

    @property
    def sending(self) -> list[OrderEvent]:
        """What sending it caused: ``sent`` and the first answer, or that it is held here."""
        return self.events[: 1 if self.held_here else 2]

    @property
    def waits_here(self) -> bool:
        """Whether it works and the broker does not know it."""
        return self.status in WORKING and not self.sent

    def record(self, event: OrderEvent) -> None:
        """Take in an event."""
        if event.kind == "held" and not self.sent:
            self.held_here = True
        elif event.kind == "sent":
            self.sent = True
            self.sent_ns = event.time_ns
        self.events.append(event)
        self.status = event.status
        self.filled_nano = event.filled_nano
        fill = event.fill
        if fill is None:
            return
        self.reports[fill.fill_id] = fill
        root = fill.fill_id if event.kind == "fill" else self.roots.get(fill.refers_to, fill.fill_id)
        self.roots[fill.fill_id] = root
        if event.kind == "bust":
            self.fills.pop(root, None)
        else:
            self.fills[root] = fill

    def counted(self, fill: Fill) -> Fill | None:
        """Return what a bust or a correction takes back, None when it counts no more or never did."""
        return self.fills.get(self.roots.get(fill.refers_to, ""))


class OrderBook:
    """All orders of the client, by client order id, and all their events."""

    def __init__(self) -> None:
        """Start empty."""
        self.orders: dict[str, Order] = {}
        self.working: dict[str, Order] = {}
        self.events: list[OrderEvent] = []
        self.groups: dict[str, Order] = {}
        self.legs: dict[str, list[Order]] = {}

    def add(
        self, intent: OrderIntent, sent_ns: int, origin: Origin = "desk", group: str = "", price_nano: int = 0
    ) -> Order:
        """Take up an order that is about to be sent, or that somebody else has sent."""
        order = self.orders[intent.client_order_id] = Order(intent, sent_ns, origin, group, price_nano)
        if intent.order_class != "simple":
            self.groups[intent.client_order_id] = order
        if intent.parent_id:
            self.legs.setdefault(intent.parent_id, []).append(order)
        replaced = self.orders.get(intent.replaces)
        if replaced is not None:
            # The whole chain fills no more together than its largest: the root's id is its name.
            replaced.group = order.group = replaced.group or intent.replaces
        return order

    def record(self, event: OrderEvent) -> None:
        """Take in an event that is, or is about to be, in the journal."""
        self.events.append(event)
        order = self.orders.get(event.client_order_id)
        if order is None:
            return
        order.record(event)
        if event.status in WORKING:
            self.working[event.client_order_id] = order
        else:
            self.working.pop(event.client_order_id, None)

    def advance(
        self, order: Order, kind: OrderEventKind, now_ns: int, reason: str = "", fill: Fill | None = None
    ) -> OrderEvent:
        """Record what happened to an order and return the event.

        An event that the table does not allow keeps the status and says so; its fill counts, because the money moved.
        """
        intent = order.intent
        filled = order.filled_nano
        if fill is not None:
            before = order.counted(fill)
            filled -= before.qty_nano if before is not None and kind != "fill" else 0
            filled += fill.qty_nano if kind != "bust" else 0
        after, legal = step(order.status, kind, started=filled > 0, complete=filled == intent.qty_nano)
        legal = legal and (fill is not None) == (kind in _FILL_KINDS) and (fill is None or filled <= intent.qty_nano)
        legal = legal and not (kind == "sent" and order.sent)
        if not legal:
            after = order.status
            reason = f"{ALARM}{kind} after {order.status}, {filled} of {intent.qty_nano} filled; check with the broker"
        event = OrderEvent(
            seq=len(self.events) + 1,
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            kind=kind,
            status=after,
            time_ns=now_ns,
            qty_nano=intent.qty_nano,
            filled_nano=filled,
            reason=reason,
            fill=fill,
            price_nano=order.price_nano,
            group=order.group,
            origin=order.origin,
        )
        self.record(event)
        return event

    def cash(self, cash_id: str, cash_nano: int, time_ns: int, reason: str) -> OrderEvent:
        """Record money that came or went without a trade; the event is of no order, ``cash_id`` names it."""
        event = OrderEvent(
            seq=len(self.events) + 1,
            client_order_id=cash_id,
            symbol="",
            side="buy",
            kind="cash",
            status="filled",
            time_ns=time_ns,
            qty_nano=0,
            filled_nano=0,
            reason=reason,
            origin="synthetic",
            cash_nano=cash_nano,
        )
        self.record(event)
        return event

    def report(self, report: BrokerReport, now_ns: int, *, answer: bool = False) -> OrderEvent | str | None:
        """Take in what a broker said.

        Args:
            report: What it said.
            now_ns: The time that the event gets.
            answer: Whether it is the answer to something just asked for, which counts even if it is nothing new.

        Returns:
            The event; or an alarm's text when there is no order of ours that it could belong to; or None when it says
            nothing new (a fill that was reported before, no answer once more).
        """
        order = self.orders.get(report.client_order_id)
        if order is None:
            return f"{report.kind} for {report.client_order_id}, which is no order of this journal: {report!r}"
        kind, fill = report.kind, report.fill
        if kind == "unknown" and (order.status == "unknown" or order.status in FINAL):
            return None
        if (fill is not None) != (kind in _FILL_KINDS):
            return f"{kind} of order {report.client_order_id} {'with' if fill else 'without'} a fill: {report!r}"
        if fill is not None:
            if order.reports.get(fill.fill_id) == fill:
                return None
            if fill.fill_id in order.reports or (fill.symbol, fill.side) != (order.intent.symbol, order.intent.side):
                return f"a fill that contradicts order {report.client_order_id}: {fill!r}"
            if kind != "fill" and order.counted(fill) is None:
                return f"a {kind} of a fill that order {report.client_order_id} does not have: {fill!r}"
        elif not answer and _repeats(order, report):
            return None
        return self.advance(order, kind, now_ns, report.reason, fill)


def _repeats(order: Order, report: BrokerReport) -> bool:
    """Whether a report without a fill says what is known: the same kind was recorded, and changes nothing now."""
    if report.kind in _ANSWERS or all(event.kind != report.kind for event in order.events):
        return False
    started = order.filled_nano > 0
    after, legal = step(order.status, report.kind, started=started)
    if not legal:
        last = order.events[-1]
        return last.kind == report.kind and last.reason.startswith(ALARM)
    return after == order.status


def _triggered(intent: OrderIntent) -> OrderIntent:
    """Return the market or limit order that a stop becomes."""
    return OrderIntent(
        client_order_id=intent.client_order_id,
        client=intent.client,
        run_id=intent.run_id,
        cycle=intent.cycle,
        index=intent.index,
        symbol=intent.symbol,
        side=intent.side,
        order_type="limit" if intent.order_type == "stop_limit" else "market",
        time_in_force=intent.time_in_force,
        qty_nano=intent.qty_nano,
        limit_price_nano=intent.limit_price_nano if intent.order_type == "stop_limit" else 0,
        decided_ns=intent.decided_ns,
        strategy=intent.strategy,
        reason=intent.reason,
        expires_ns=intent.expires_ns,
        reduce_only=intent.reduce_only,
        parent_id=intent.parent_id,
    )
