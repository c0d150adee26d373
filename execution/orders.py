"""The orders of one client in memory: each a fold of its events, in one sequence without gaps.

Not durable: ``execution.journal`` is. The book only drafts events; a draft counts once it is recorded.
"""

from __future__ import annotations

from bus.codec import canonical
from bus.messages import Fill, OrderEvent, OrderEventKind, OrderIntent, OrderStatus
from execution.broker import BrokerReport, KnownOrder
from execution.states import WORKING, step

__all__ = ["ALARM", "Order", "OrderBook"]

ALARM = "alarm: "
"""How the reason of an event begins that the state table does not allow."""


class Order:
    """One order and everything that happened to it."""

    __slots__ = ("events", "filled_nano", "fills", "intent", "raw", "sent_ns", "status")

    def __init__(self, intent: OrderIntent, sent_ns: int) -> None:
        self.intent = intent
        self.raw = canonical(intent)
        self.sent_ns = sent_ns
        self.status: OrderStatus = "intent"
        self.filled_nano = 0
        self.events: list[OrderEvent] = []
        self.fills: dict[str, Fill] = {}

    @property
    def known(self) -> KnownOrder:
        """The order as a broker is restored from it."""
        acknowledged = any(event.kind in ("accepted", "fill") for event in self.events)
        return KnownOrder(self.intent, self.sent_ns, acknowledged, tuple(self.fills.values()))

    @property
    def sending(self) -> list[OrderEvent]:
        """What sending it caused: ``sent`` and the first answer."""
        return self.events[:2]


class OrderBook:
    """All orders of the client, by client order id, and all their events."""

    def __init__(self) -> None:
        """Start empty."""
        self.orders: dict[str, Order] = {}
        self.working: dict[str, Order] = {}
        self.events: list[OrderEvent] = []

    def add(self, intent: OrderIntent, sent_ns: int) -> Order:
        """Take up an order that is about to be sent."""
        order = self.orders[intent.client_order_id] = Order(intent, sent_ns)
        return order

    def record(self, event: OrderEvent) -> None:
        """Take in an event that is, or is about to be, in the journal."""
        order = self.orders[event.client_order_id]
        order.events.append(event)
        order.status = event.status
        order.filled_nano = event.filled_nano
        if event.fill is not None:
            order.fills[event.fill.fill_id] = event.fill
        if event.status in WORKING:
            self.working[event.client_order_id] = order
        else:
            self.working.pop(event.client_order_id, None)
        self.events.append(event)

    def advance(
        self, order: Order, kind: OrderEventKind, now_ns: int, reason: str = "", fill: Fill | None = None
    ) -> OrderEvent:
        """Record what happened to an order and return the event.

        An event that the table does not allow keeps the status and says so; its fill counts, because the money moved.
        """
        intent = order.intent
        filled = order.filled_nano + (fill.qty_nano if fill is not None else 0)
        after, legal = step(order.status, kind, started=order.filled_nano > 0, complete=filled == intent.qty_nano)
        legal = legal and (fill is not None) == (kind == "fill") and (fill is None or filled <= intent.qty_nano)
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
        )
        self.record(event)
        return event

    def report(self, report: BrokerReport, now_ns: int) -> OrderEvent | str | None:
        """Take in what a broker said.

        Returns:
            The event; or an alarm's text when there is no order of ours that it could belong to; or None when it says
            nothing new (a fill that was reported before, no answer once more).
        """
        order = self.orders.get(report.client_order_id)
        if order is None:
            return f"{report.kind} for {report.client_order_id}, which is no order of this journal: {report!r}"
        fill = report.fill
        if fill is not None:
            if order.fills.get(fill.fill_id) == fill:
                return None
            if fill.fill_id in order.fills or (fill.symbol, fill.side) != (order.intent.symbol, order.intent.side):
                return f"a fill that contradicts order {report.client_order_id}: {fill!r}"
        if report.kind == "unknown" and order.status == "unknown":
            return None
        return self.advance(order, report.kind, now_ns, report.reason, fill)
