"""A client's orders, account and broker between two instants: rebuilt from the journal, moved on by the feed's ticks.

Not the door: ``execution.gateway`` decides what gets in. Conventions:

- The clock is the last instant settled, which the feed confirmed.
- An instant in which nothing happened is not written: its answer is computed again when it is asked for again.
- When a batch cannot be made durable, what memory holds is thrown away and read back from the journal, exactly as after
  ``kill -9``; there is one way to start.
- A broker that cannot be reached says nothing: the order stays or becomes UNKNOWN and is asked about at every instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from bus.errors import BusError
from bus.messages import (
    Account,
    Advance,
    DayInfo,
    DescribeDay,
    Instrument,
    Message,
    OrderEvent,
    QuerySnapshot,
    Settled,
    Snapshot,
    Tick,
    TickAt,
    TicketedOrder,
)
from bus.transport import Client
from execution.broker import Broker, BrokerReport
from execution.journal import Clock, Journal
from execution.ledger import Ledger
from execution.orders import ALARM, Order, OrderBook
from execution.spec import GatewaySpec

__all__ = ["BrokerFactory", "Engine"]

BrokerFactory = Callable[[GatewaySpec, dict[str, Instrument]], Broker]
"""Makes the broker once it is known what can be traded; a restart restores it from the journal."""

_FEED_TIMEOUT_S = 10.0
_Answer = TypeVar("_Answer", bound=Message)


class Engine:
    """What execution knows about one client, and how it changes."""

    def __init__(self, spec: GatewaySpec, feed: Client, journal: Journal, make_broker: BrokerFactory) -> None:
        """Read the journal back.

        Args:
            spec: The client and its conventions.
            feed: The clock and the prices.
            journal: Where everything is written first.
            make_broker: Makes the broker.
        """
        self._spec = spec
        self._feed = feed
        self._journal = journal
        self._make_broker = make_broker
        self._load()

    def _load(self) -> None:
        """Rebuild the orders from the journal: after a start, a crash or a batch that failed."""
        self._stale = True
        book = OrderBook()
        for intent, sent_ns in self._journal.orders():
            book.add(intent, sent_ns)
        for event in self._journal.events():
            book.record(event)
        self._book = book
        self._tickets = self._journal.tickets()
        self._clock = self._journal.clock()
        self._answer: Settled | None = None
        self._broker: Broker | None = None
        self._stale = False

    @property
    def book(self) -> OrderBook:
        """The orders, as the journal has them."""
        if self._stale:
            self._load()
        return self._book

    @property
    def tickets(self) -> dict[str, tuple[str, int]]:
        """Used tickets: what for, and the first event that each could cause."""
        if self._stale:
            self._load()
        return self._tickets

    @property
    def now_ns(self) -> int:
        """The last instant that is settled, 0 before the first."""
        return self._clock.now_ns

    @property
    def started(self) -> bool:
        """Whether any instant is settled."""
        return self._clock.index >= 0

    def broker(self) -> Broker:
        """Return the broker, restored; before its first use, ask about what sending left open."""
        if self._stale:
            self._load()
        if self._broker is not None:
            return self._broker
        instruments = self._journal.instruments()
        if instruments is None:
            day = self._ask(DescribeDay(), DayInfo)
            instruments = tuple(instrument for instrument in day.instruments if instrument.symbol in day.traded)
            with self._journal.batch():
                self._journal.set_instruments(instruments)
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self.ledger = Ledger(self._spec, self._instruments)
        for event in self._book.events:
            if event.fill is not None:
                self.ledger.apply(event.fill)
        self._marked = not self.started
        broker = self._make_broker(self._spec, self._instruments)
        working = list(self._book.working.values())
        broker.restore([order.known for order in working], day_done=self._clock.done)
        self._broker = broker
        self.commit(self._queried(broker, working), self._clock.now_ns)
        return broker

    # --- the market ---------------------------------------------------------------------------------------------------

    def catch_up(self, now_ns: int) -> None:
        """Settle every instant up to ``now_ns``, which the feed must confirm to be one that is not after its clock.

        Raises:
            BusError: The feed does not answer, or not for this instant.
            JournalError: What happened cannot be made durable.
        """
        broker = self.broker()
        if now_ns <= self._clock.now_ns:
            return
        self._mark()
        tick = self._ask(TickAt(now_ns), Tick)
        while tick.clock.index > self._clock.index + 1:
            # The feed's clock is at `now_ns` or later, so asking for what follows an earlier instant never moves it.
            missed = self._ask(Advance(self._clock.now_ns), Tick)
            if missed.clock.index != self._clock.index + 1:
                raise BusError(
                    f"the feed gave instant {missed.clock.index} after {self._clock.index}; "
                    "the journal and the feed must be of the same day: start a new run"
                )
            self._work(broker, missed)
        self._work(broker, tick)

    def _mark(self) -> None:
        """After a restart, see again the prices that were the last at the clock."""
        if not self._marked:
            seen = self._ask(QuerySnapshot((), self._clock.now_ns), Snapshot)
            self.ledger.see(seen.bars, seen.quotes)
            self._marked = True

    def _work(self, broker: Broker, tick: Tick) -> None:
        """Let the broker work one instant and make what happened durable, with the answer, in one batch."""
        self._stale = True
        clock = tick.clock
        reports = self._queried(broker, self._book.working.values()) if self._book.working else []
        reports.extend(_worked(broker, tick))
        self.ledger.see(tick.bars, tick.quotes)
        self._clock = Clock(clock.now_ns, clock.index, clock.done)
        events, alarms = self._apply(reports, clock.now_ns) if reports else ([], [])
        answer = Settled(clock.now_ns, tuple(events), self.ledger.account(clock.now_ns))
        if events or alarms:
            with self._journal.batch():
                self._write(events, alarms)
                self._journal.add_settled(answer)
        self._answer = answer
        self._stale = False

    def settled(self, now_ns: int) -> Settled:
        """Return the answer of an instant, the same one whenever it is asked for."""
        self.catch_up(now_ns)
        if self._answer is not None and self._answer.now_ns == now_ns:
            return self._answer
        stored = self._journal.settled(now_ns)
        if stored is not None:
            return stored
        self._ask(TickAt(now_ns), Tick)
        return Settled(now_ns, (), self._account_at(now_ns))

    def account(self, now_ns: int) -> Account:
        """Return the account at an instant; 0 means the last one settled."""
        if now_ns <= 0:
            self.broker()
        else:
            self.catch_up(now_ns)
        return self._account_at(now_ns if now_ns > 0 else self._clock.now_ns)

    def _account_at(self, now_ns: int) -> Account:
        if now_ns >= self._clock.now_ns:
            self._mark()
            return self.ledger.account(now_ns)
        then = Ledger(self._spec, self._instruments)
        for event in self._book.events:
            if event.fill is not None and event.time_ns <= now_ns:
                then.apply(event.fill)
        if then.holdings:
            seen = self._ask(QuerySnapshot(tuple(sorted(then.holdings)), now_ns), Snapshot)
            then.see(seen.bars, seen.quotes)
        return then.account(now_ns)

    def _ask(self, question: Message, kind: type[_Answer]) -> _Answer:
        answer = self._feed.call(question, _FEED_TIMEOUT_S)
        if not isinstance(answer, kind):
            raise BusError(
                f"the feed answered {type(question).__name__} with {type(answer).__name__} instead of {kind.__name__}; "
                "run the same release of openoutcry in every stage"
            )
        return answer

    # --- orders -------------------------------------------------------------------------------------------------------

    def send(self, orders: list[TicketedOrder]) -> None:
        """Write orders as sent, then send them, then write the answers. Their tickets must have been verified.

        Raises:
            JournalError: Before anything was sent; or after, and then the broker is asked what it has.
        """
        broker = self.broker()
        now_ns = self._clock.now_ns
        self._stale = True
        with self._journal.batch():
            sent: list[OrderEvent] = []
            for order in orders:
                event = self._book.advance(self._book.add(order.intent, now_ns), "sent", now_ns)
                self._journal.add_order(order.intent, order.ticket, now_ns)
                self._journal.use_ticket(order.ticket, "order", now_ns, event.seq)
                self._tickets[order.ticket.ticket_id] = ("order", event.seq)
                sent.append(event)
            self._write(sent, [])
        self.commit([_submitted(broker, order, now_ns) for order in orders], now_ns)

    def cancel(self, orders: list[Order], reason: str, now_ns: int) -> None:
        """Cancel orders; the use of a ticket for it must be in the journal already."""
        broker = self.broker()
        self.commit([_canceled(broker, order, reason, now_ns) for order in orders], now_ns)

    def commit(self, reports: Sequence[BrokerReport], now_ns: int) -> None:
        """Take in what a broker said between two instants, durably."""
        self._stale = True
        events, alarms = self._apply(reports, now_ns)
        if events or alarms:
            with self._journal.batch():
                self._write(events, alarms)
        self._stale = False

    def _apply(self, reports: Iterable[BrokerReport], now_ns: int) -> tuple[list[OrderEvent], list[str]]:
        events: list[OrderEvent] = []
        alarms: list[str] = []
        for report in reports:
            outcome = self._book.report(report, now_ns)
            if isinstance(outcome, str):
                alarms.append(outcome)
            elif outcome is not None:
                events.append(outcome)
                if outcome.reason.startswith(ALARM):
                    alarms.append(f"{outcome.client_order_id} {outcome.reason}")
                if outcome.fill is not None:
                    self.ledger.apply(outcome.fill)
        return events, alarms

    def _write(self, events: list[OrderEvent], alarms: list[str]) -> None:
        self._journal.add_events(events)
        for text in alarms:
            self._journal.add_alarm(self._clock.now_ns, text)
        self._journal.set_clock(self._clock)

    def _queried(self, broker: Broker, orders: Iterable[Order]) -> list[BrokerReport]:
        """Ask what became of the orders that have no definite answer."""
        return [
            report
            for order in orders
            if order.status in ("in_flight", "unknown")
            for report in _query(broker, order.intent.client_order_id)
        ]


def _query(broker: Broker, client_order_id: str) -> Sequence[BrokerReport]:
    unknown = (BrokerReport(client_order_id, "unknown", "the broker gave no definite answer; it is asked again"),)
    try:
        return broker.query(client_order_id) or unknown
    except (OSError, BusError):
        return unknown


def _worked(broker: Broker, tick: Tick) -> Sequence[BrokerReport]:
    try:
        return broker.work(tick)
    except (OSError, BusError):
        return ()


def _submitted(broker: Broker, order: TicketedOrder, now_ns: int) -> BrokerReport:
    """Send one order; no answer is UNKNOWN, because it may have arrived."""
    try:
        return broker.submit(order.intent, now_ns)
    except (OSError, BusError) as error:
        reason = f"no answer ({type(error).__name__}); the broker is asked about it, the order is not sent again"
        return BrokerReport(order.intent.client_order_id, "unknown", reason)


def _canceled(broker: Broker, order: Order, reason: str, now_ns: int) -> BrokerReport:
    """Cancel one order; no answer is UNKNOWN."""
    client_order_id = order.intent.client_order_id
    try:
        answer = broker.cancel(client_order_id, now_ns)
    except (OSError, BusError):
        return BrokerReport(client_order_id, "unknown", f"{reason} (no answer to the cancel)")
    return BrokerReport(client_order_id, answer.kind, reason, answer.fill)
