"""Sends, replaces and cancels: written before the broker is called, answered after (law 5), never sent twice (law 6).

Not a judge of tickets: they were verified, or execution is the one that makes legs. Every step of an order to the
broker and back is in one of three functions here, so that there is one place where "before" and "after" can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bus.messages import OrderIntent, TicketedOrder
from execution import asking
from execution.books import Books
from execution.broker import Broker, BrokerReport, Offered
from execution.legs import Place, Reduce, group_of, is_group, plan
from execution.orders import Order
from execution.states import WORKING
from execution.waiting import taken, waits

__all__ = ["Dealer"]

_REPLACEABLE = WORKING - {"in_flight", "unknown", "pending_cancel", "pending_replace"}


class Dealer:
    """What is done with one client's broker, on its books."""

    def __init__(self, books: Books, broker: Broker, offered: Offered) -> None:
        """Take the books and the broker.

        Args:
            books: Where everything is written.
            broker: Restored.
            offered: What it takes.
        """
        self._books = books
        self._broker = broker
        self._offered = offered
        self._tried: set[str] = set()
        self._called_off: set[str] = set()

    def send(self, orders: Sequence[TicketedOrder], now_ns: int) -> None:
        """Write orders as sent, then send them, then write the answers. Their tickets must have been verified.

        Raises:
            JournalError: Before anything was sent; or after, and then the broker is asked what it has.
        """
        books = self._books
        if any(ticketed.intent.replaces for ticketed in orders):
            # What an order has filled decides whether it is replaced: hear the newest first.
            books.commit(asking.drained(self._broker), now_ns, unasked=True)
        calls: list[Order] = []
        with books.durable():
            for ticketed in orders:
                intent = ticketed.intent
                order = books.add(intent, now_ns, ticketed.ticket, group=group_of(intent))
                if self._begin(order, now_ns):
                    calls.append(order)
        books.commit(self._called(calls, now_ns), now_ns, answer=True)
        self.follow(now_ns, unasked=True)

    def _begin(self, order: Order, now_ns: int) -> bool:
        """Draft the first event of an order; return whether the broker is to be called for it."""
        book, intent = self._books.book, order.intent
        unheard = _not_offered(intent, self._offered)
        if unheard:
            book.advance(order, "sent", now_ns)
            book.advance(order, "rejected", now_ns, unheard)
            return False
        if intent.replaces:
            old = book.orders.get(intent.replaces)
            refusal = self._no_replacement(old, intent)
            if old is None or refusal:
                book.advance(order, "sent", now_ns)
                book.advance(order, "rejected", now_ns, f"replace: {refusal}")
                return False
            if not old.sent:
                book.advance(old, "replaced", now_ns, f"replaced by {intent.client_order_id}")
                return self._first(order, now_ns)
            book.advance(order, "sent", now_ns)
            book.advance(old, "pending_replace", now_ns, f"to be replaced by {intent.client_order_id}")
            return True
        return self._first(order, now_ns)

    def _first(self, order: Order, now_ns: int) -> bool:
        held = waits(order.intent, self._offered)
        self._books.book.advance(order, "held" if held else "sent", now_ns)
        ledger = self._books.ledger
        water = ledger.mark_nano(order.intent.symbol) if ledger is not None else 0
        if held and water and order.intent.order_type == "trailing_stop":
            self._books.set_water(order.intent.client_order_id, water)
        return not held

    def _no_replacement(self, old: Order | None, intent: OrderIntent) -> str:
        """Return why an order cannot be put in the place of another, or nothing."""
        if old is None:
            return f"there is no order {intent.replaces} in this run; see which there are with GetOrders"
        if old.status not in _REPLACEABLE:
            return f"order {intent.replaces} is {old.status}; only an order that works for certain is replaced"
        if is_group(old.intent) or is_group(intent) or old.intent.parent_id:
            return "an order of a group is not replaced; cancel it and send another"
        if (old.intent.symbol, old.intent.side) != (intent.symbol, intent.side):
            return f"order {intent.replaces} is to {old.intent.side} {old.intent.symbol}; send a new order instead"
        if old.sent == waits(intent, self._offered):
            return "one of the two waits here and the other at the broker; cancel the order and send a new one"
        if old.sent and not self._offered.replaces:
            return f"{self._offered.name} does not replace orders; cancel the order and send a new one"
        if self._filled_since(old, intent.decided_ns):
            return f"order {intent.replaces} filled after this was judged; ask the gate again"
        return ""

    def _filled_since(self, old: Order, decided_ns: int) -> bool:
        """Whether an order has a fill that its replacement was judged without: the quantity would be too much."""
        answered = self._books.journal.settled(decided_ns)
        last = answered[1] if answered else 0
        return any(e.fill is not None and e.time_ns >= decided_ns and e.seq > last for e in old.events)

    def _called(self, orders: Iterable[Order], now_ns: int) -> list[BrokerReport]:
        """Call the broker for orders that the journal has as sent."""
        reports: list[BrokerReport] = []
        for order in orders:
            intent = order.submitted
            replaced = self._books.book.orders.get(intent.replaces)
            if replaced is not None and replaced.sent:
                reports += asking.replaced(self._broker, intent, now_ns)
            else:
                reports.append(asking.submitted(self._broker, intent, now_ns))
        return reports

    def release(self, orders: Sequence[Order], now_ns: int) -> None:
        """Send orders whose trigger the journal has: the first time that the broker hears of them."""
        self._books.commit(self._called(orders, now_ns), now_ns, answer=True)

    def trigger(self, order: Order, now_ns: int) -> None:
        """Draft that an order's price was met and that it is sent; ``release`` sends it once that is durable."""
        book = self._books.book
        book.advance(order, "triggered", now_ns, "the bar met its price")
        book.advance(order, "sent", now_ns)

    def cancel(self, orders: Iterable[Order], reason: str, now_ns: int, *, unasked: bool = False) -> None:
        """Cancel orders; the use of a ticket for it must be in the journal already."""
        self._cancel([(order, reason) for order in orders], now_ns, unasked=unasked)
        self.follow(now_ns, unasked=True)

    def _cancel(self, orders: Iterable[tuple[Order, str]], now_ns: int, *, unasked: bool) -> None:
        books = self._books
        reports: list[BrokerReport] = []
        for order, reason in orders:
            if order.waits_here:
                reports.append(BrokerReport(order.intent.client_order_id, "canceled", reason))
            else:
                reports.append(asking.canceled(self._broker, order, reason, now_ns))
        books.commit(reports, now_ns, unasked=unasked, answer=True)

    # --- legs ---------------------------------------------------------------------------------------------------------

    @property
    def unfinished(self) -> bool:
        """Whether the legs need anything."""
        return bool(self._plan(0))

    def try_again(self) -> None:
        """Let legs that never arrived, and cancels of legs that were refused, be tried once more."""
        self._tried.clear()

    def follow(self, now_ns: int, *, unasked: bool) -> None:
        """Place and cancel legs until they cover what their entries filled, or wait for an answer.

        Args:
            now_ns: The time of it.
            unasked: Whether the events are the answer to nobody.
        """
        while steps := self._plan(now_ns):
            self._reduce([step for step in steps if isinstance(step, Reduce)], now_ns, unasked=unasked)
            self._place([step for step in steps if isinstance(step, Place)], now_ns, unasked=unasked)

    def _plan(self, now_ns: int) -> list[Place | Reduce]:
        books = self._books
        if not books.book.groups:
            return []
        return plan(
            books.book,
            self._offered,
            now_ns,
            sweeps=books.sweeps,
            halted=bool(books.halted),
            tried=self._tried,
            called=self._called_off,
        )

    def _reduce(self, steps: Sequence[Reduce], now_ns: int, *, unasked: bool) -> None:
        """Cancel legs of another size; written first, so that a restart knows whose cancel it was."""
        if not steps:
            return
        books = self._books
        with books.durable(unasked=unasked):
            for step in steps:
                self._tried.add(step.order.intent.client_order_id)
                self._called_off.add(step.order.intent.client_order_id)
                if not step.order.waits_here and step.order.status != "pending_cancel":
                    books.book.advance(step.order, "pending_cancel", now_ns, step.reason)
        self._cancel([(step.order, step.reason) for step in steps], now_ns, unasked=unasked)

    def _place(self, steps: Sequence[Place], now_ns: int, *, unasked: bool) -> None:
        if not steps:
            return
        books = self._books
        calls: list[Order] = []
        with books.durable(unasked=unasked):
            for step in steps:
                intent = step.intent
                group = f"{intent.parent_id}/legs"
                order = books.add(intent, now_ns, None, "leg", group, step.price_nano)
                if self._first(order, now_ns):
                    calls.append(order)
        books.commit(self._called(calls, now_ns), now_ns, unasked=unasked, answer=True)
        self._tried.update(order.intent.client_order_id for order in calls if order.status == "rejected")


def _not_offered(intent: OrderIntent, offered: Offered) -> str:
    """Return why an order cannot be worked with this broker at all, or nothing."""
    for what, value, allowed in (
        ("type", intent.order_type, taken(offered)),
        ("time in force", intent.time_in_force, offered.times_in_force),
        ("class", intent.order_class, offered.order_classes),
    ):
        if value not in allowed:
            return (
                f"not_offered: order {what} {value} is not possible with {offered.name}; it has {', '.join(allowed)}: "
                "send it as one of these"
            )
    return ""
