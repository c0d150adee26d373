"""A client's orders, money and clock in memory, and the one way in which they change: durably, in one batch.

Not a party to anything: whoever talks to the feed or the broker brings what they said here. When a batch cannot be
made durable, what memory holds is thrown away and read back from the journal, exactly as after ``kill -9``; there is
one way to start.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from bus.errors import JournalError
from bus.messages import Instrument, OrderEvent, OrderIntent, Origin, Ticket
from execution.broker import BrokerReport
from execution.journal import Journal
from execution.ledger import Ledger
from execution.legs import overfilled, unprotected
from execution.orders import ALARM, Order, OrderBook
from execution.spec import GatewaySpec
from execution.swept import Sweeps, swept

__all__ = ["Books"]


class Books:
    """What execution knows about one client.

    Attributes:
        book: The orders.
        ledger: Cash and positions; made when it is known what can be traded.
        clock: The last instant that is settled.
        tickets: Used tickets: what for, and the first event that each could cause.
        waters: The best price that each trailing stop held here has seen.
        halted: Why nothing is sent for the client, empty when it is.
        sweeps: What was canceled all at once, by strategy.
        untold: Events that came between two instants and that no answer has told of.
        settling: The instant and first event of an answer that is being made, empty otherwise.
    """

    def __init__(self, spec: GatewaySpec, journal: Journal) -> None:
        """Read the journal back.

        Raises:
            JournalError: It cannot be read, or is damaged.
        """
        self._spec = spec
        self.journal = journal
        self.load()

    def load(self) -> None:
        """Rebuild everything from the journal: after a start, a crash or a batch that failed.

        Raises:
            JournalError: It cannot be read, is damaged, or a batch is being written.
        """
        self.stale = True
        journal = self.journal
        if journal.in_batch:
            raise JournalError(f"{journal.path} is read back in the middle of a batch; nothing of the batch is written")
        book = OrderBook()
        for order in journal.orders():
            book.add(order.intent, order.sent_ns, order.origin, order.group, order.price_nano)
        for event in journal.events():
            if event.kind != "cash" and event.client_order_id not in book.orders:
                raise JournalError(
                    f"{journal.path} is damaged: event {event.seq} is of an order that is not there; nothing is sent. "
                    "Put back a copy of the file"
                )
            book.record(event)
        self.book = book
        self.tickets = journal.tickets()
        self.clock = journal.clock()
        self.waters = journal.waters()
        self.halted = journal.meta("halted")
        self.sweeps: Sweeps = journal.sweeps()
        self.settling = journal.meta("settling")
        self.untold = journal.untold()
        self._written = len(book.events)
        self._clock_written = self.clock
        self._alarms: list[str] = []
        self.ledger: Ledger | None = None
        self.stale = False

    def open_ledger(self, instruments: dict[str, Instrument]) -> Ledger:
        """Return the ledger of all events so far."""
        self.ledger = Ledger(self._spec, instruments)
        for event in self.book.events:
            self.ledger.take(event)
        return self.ledger

    @property
    def pending(self) -> bool:
        """Whether anything was taken in that is not in the journal."""
        return len(self.book.events) > self._written or bool(self._alarms)

    @contextmanager
    def durable(self, *, unasked: bool = False) -> Generator[None]:
        """Make what was taken in, and what is done inside, durable in one batch.

        Args:
            unasked: Whether the events are the answer to nobody: the next instant tells them.

        Raises:
            JournalError: Nothing of it is; memory is read back before it is used again.
        """
        self.stale = True
        with self.journal.batch():
            yield
            events = self.book.events[self._written :]
            self.journal.add_events(events, unasked=unasked)
            for text in self._alarms:
                self.journal.add_alarm(self.clock.now_ns, text)
            self.journal.set_clock(self.clock)
        if unasked:
            self.untold += [event.seq for event in events]
        self._alarms.clear()
        self._written = len(self.book.events)
        self._clock_written = self.clock
        self.stale = False

    def keep_clock(self) -> None:
        """Make the clock durable: somebody is told how far it is, and goes by it."""
        if self.clock != self._clock_written:
            with self.durable():
                pass

    def commit(
        self, reports: Iterable[BrokerReport], now_ns: int, *, unasked: bool = False, answer: bool = False
    ) -> None:
        """Take in what a broker said, durably."""
        self.take(reports, now_ns, answer=answer)
        if self.pending:
            with self.durable(unasked=unasked):
                pass
        self.stale = False

    def take(self, reports: Iterable[BrokerReport], now_ns: int, *, answer: bool = False) -> None:
        """Take in what a broker said, to be made durable by whoever calls."""
        self.stale = True
        for report in reports:
            outcome = self.book.report(report, now_ns, answer=answer)
            if isinstance(outcome, str):
                self._alarms.append(outcome)
            elif outcome is not None:
                self._book_event(outcome)

    def _book_event(self, event: OrderEvent) -> None:
        if event.reason.startswith(ALARM):
            self._alarms.append(f"{event.client_order_id} {event.reason}")
        elif event.kind == "rejected" and event.origin == "leg":
            text = unprotected(self.book, self.book.orders[event.client_order_id])
            if text:
                self._alarms.append(text)
        if self.ledger is not None:
            self.ledger.take(event)
        if event.fill is not None:
            text = overfilled(self.book, self.book.orders[event.client_order_id])
            if text:
                self._alarms.append(text)

    def alarm(self, text: str) -> None:
        """Take in something that a person must look at, to be made durable by whoever calls."""
        self._alarms.append(text)

    def cash(self, cash_id: str, cash_nano: int, time_ns: int, reason: str) -> None:
        """Take in money that came or went without a trade; inside ``durable``."""
        self._book_event(self.book.cash(cash_id, cash_nano, time_ns, reason))

    def add(
        self,
        intent: OrderIntent,
        now_ns: int,
        ticket: Ticket | None = None,
        origin: Origin = "desk",
        group: str = "",
        price_nano: int = 0,
    ) -> Order:
        """Take up an order and write it, with the use of its ticket; inside ``durable``, before its first event."""
        order = self.book.add(intent, now_ns, origin, group, price_nano)
        self.journal.add_order(intent, ticket, now_ns, origin, order.group, price_nano)
        if ticket is not None:
            self.use(ticket, "order", now_ns)
        return order

    def use(self, ticket: Ticket, purpose: str, now_ns: int) -> tuple[str, int]:
        """Write that a ticket is used; inside ``durable``."""
        used = (purpose, len(self.book.events) + 1)
        self.journal.use_ticket(ticket, purpose, now_ns, used[1])
        self.tickets[ticket.ticket_id] = used
        return used

    def settling_from(self, now_ns: int, first: int) -> None:
        """Write that the answer of an instant has begun and is not whole yet; inside ``durable``."""
        self.settling = f"{now_ns},{first}"
        self.journal.set_meta("settling", self.settling)

    def settled(self, now_ns: int, first: int) -> list[OrderEvent]:
        """Write which events an instant is answered with, and return them; inside ``durable``."""
        if self.settling:
            self.settling = ""
            self.journal.set_meta("settling", "")
        last = len(self.book.events)
        seqs = sorted({*self.untold, *range(first, last + 1)})
        self.journal.add_settled(now_ns, seqs, last)
        self.untold = []
        return [self.book.events[seq - 1] for seq in seqs]

    def set_water(self, client_order_id: str, water_nano: int) -> None:
        """Write the best price that a trailing stop has seen; inside ``durable``."""
        self.waters[client_order_id] = water_nano
        self.journal.set_water(client_order_id, water_nano)

    def sweep(self, strategy: str, epoch: int) -> None:
        """Write that everything so far is canceled, of one strategy where one is named; inside ``durable``.

        Args:
            strategy: Whose.
            epoch: The lowest that a ticket of it may carry from now on.
        """
        self.sweeps = swept(self.sweeps, strategy, len(self.book.events) + 1, epoch)
        self.journal.set_sweeps(self.sweeps)

    def halt(self, why: str) -> None:
        """Send nothing for the client from now on, or again when there is no reason; inside ``durable``."""
        if why and not self.halted:
            self._alarms.append(f"halted: {why}")
        self.halted = why
        self.journal.set_meta("halted", why)
