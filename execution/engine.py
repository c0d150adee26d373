"""A client's gateway between two requests: moved on by the feed's ticks and by what its broker tells.

Not the door: ``execution.gateway`` decides what gets in. Conventions:

- The clock is the last instant settled, which the feed confirmed.
- An instant in which nothing happened is not written, unless the account is asked for: its answer is computed again.
- What an instant caused is written before the next step of it is done; a restart in between finishes it first.
- A broker that cannot be reached says nothing: the order stays or becomes UNKNOWN and is asked about at every instant.
- What a broker tells between two instants is told by the next instant, and can be asked for at once by number.
"""

from __future__ import annotations

from collections.abc import Callable
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
    Reconciliation,
    Settled,
    Snapshot,
    Tick,
    TickAt,
    Ticket,
    TicketedOrder,
)
from bus.transport import Client
from execution import asking
from execution.books import Books
from execution.broker import Broker, Offered
from execution.comparing import reconciled
from execution.dealing import Dealer
from execution.journal import Clock, Journal
from execution.ledger import Ledger
from execution.legs import being_reduced
from execution.orders import Order, OrderBook
from execution.spec import GatewaySpec
from execution.swept import EVERY
from execution.waiting import Waited, waited

__all__ = ["BrokerFactory", "Engine"]

BrokerFactory = Callable[[GatewaySpec, dict[str, Instrument]], Broker]
"""Makes the broker once it is known what can be traded; a restart restores it from the journal."""

_FEED_TIMEOUT_S = 10.0
_Answer = TypeVar("_Answer", bound=Message)


class Engine:
    """What execution knows about one client, and how it changes."""

    def __init__(
        self, spec: GatewaySpec, feed: Client, journal: Journal, make_broker: BrokerFactory, offered: Offered
    ) -> None:
        """Read the journal back.

        Args:
            spec: The client and its conventions.
            feed: The clock and the prices.
            journal: Where everything is written first.
            make_broker: Makes the broker.
            offered: What that broker takes.
        """
        self._spec = spec
        self._feed = feed
        self._journal = journal
        self._make_broker = make_broker
        self._offered = offered
        self._books = Books(spec, journal)
        self._broker: Broker | None = None
        self._answer: Settled | None = None
        if journal.lost and not self._books.halted:
            with self._books.durable():
                self._books.halt(journal.lost)

    @property
    def books(self) -> Books:
        """The books, as the journal has them."""
        if self._books.stale:
            self._broker_gone()
            self._books.load()
        return self._books

    @property
    def book(self) -> OrderBook:
        """The orders, as the journal has them."""
        return self.books.book

    @property
    def now_ns(self) -> int:
        """The last instant that is settled, 0 before the first."""
        return self._books.clock.now_ns

    @property
    def started(self) -> bool:
        """Whether any instant is settled."""
        return self._books.clock.index >= 0

    @property
    def refusal(self) -> str:
        """Why nothing new is sent, empty when it is."""
        return self._why_not(self.books)

    def _why_not(self, books: Books) -> str:
        if self._broker is not None and not self._compared:
            return (
                f"not_compared: {self._offered.name} has not told its account yet; nothing new is sent before it was "
                "compared with the journal: ask again in a moment"
            )
        if books.halted:
            return (
                f"halted: {books.halted}; nothing new is sent, cancels are: a person compares with the broker and "
                "clears it (outcry reconcile)"
            )
        return ""

    def _broker_gone(self) -> None:
        """Let go of a broker that is to be made anew from the journal."""
        broker, self._broker, self._answer = self._broker, None, None
        if broker is not None:
            broker.close()

    def close(self) -> None:
        """Give back the broker's sockets and close the journal; orders go on working."""
        self._broker_gone()
        self._journal.close()

    def broker(self) -> Broker:
        """Return the broker, restored; before its first use, ask about what sending left open and compare accounts.

        Raises:
            BusError: The feed or the broker does not answer: nothing is sent before the accounts were compared.
        """
        books = self.books
        if self._broker is not None:
            return self._broker
        instruments = self._journal.instruments()
        if instruments is None:
            day = self._ask(DescribeDay(), DayInfo)
            instruments = tuple(instrument for instrument in day.instruments if instrument.symbol in day.traded)
            with self._journal.batch():
                self._journal.set_instruments(instruments)
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self.ledger = books.open_ledger(self._instruments)
        self._marked = not self.started
        broker = self._make_broker(self._spec, self._instruments)
        try:
            self._restored(books, broker)
        except BaseException:
            books.stale = True
            self._broker = broker
            raise
        return broker

    def _restored(self, books: Books, broker: Broker) -> None:
        sent = [order for order in books.book.working.values() if order.sent]
        broker.restore([order.known for order in sent], day_done=books.clock.done)
        if isinstance(broker, asking.Recalling):
            broker.recall(books.book.events, books.waters)
        self._dealer = Dealer(books, broker, self._offered)
        # A leg that still works tells nothing about its cancel, which may not have been sent: `follow` sends it again.
        reduced = {order.intent.client_order_id for order in sent if being_reduced(order)}
        reports = asking.queried(broker, sent)
        known = [r for r in reports if r.kind != "accepted" or r.client_order_id not in reduced]
        books.commit(known, books.clock.now_ns)
        self._broker = broker
        self._compared = not self._offered.own_account
        self.compare()
        self._dealer.follow(books.clock.now_ns, unasked=not books.settling)
        if books.settling:
            now_ns, first = map(int, books.settling.split(","))
            with books.durable():
                books.settled(now_ns, first)

    def dealer(self) -> Dealer:
        """Return who sends and cancels."""
        self.broker()
        return self._dealer

    # --- the market ---------------------------------------------------------------------------------------------------

    def catch_up(self, now_ns: int) -> None:
        """Settle every instant up to ``now_ns``, which the feed must confirm to be one that is not after its clock.

        Raises:
            BusError: The feed does not answer, or not for this instant.
            JournalError: What happened cannot be made durable.
        """
        broker, books = self.broker(), self._books
        if now_ns <= books.clock.now_ns:
            return
        self._mark()
        tick = self._ask(TickAt(now_ns), Tick)
        while tick.clock.index > books.clock.index + 1:
            # The feed's clock is at `now_ns` or later, so asking for what follows an earlier instant never moves it.
            missed = self._ask(Advance(books.clock.now_ns), Tick)
            if missed.clock.index != books.clock.index + 1:
                raise BusError(
                    f"the feed gave instant {missed.clock.index} after {books.clock.index}; "
                    "the journal and the feed must be of the same day: start a new run"
                )
            self._work(books, broker, missed)
        self._work(books, broker, tick)

    def _mark(self) -> None:
        """After a restart, see again the prices that were the last at the clock."""
        if not self._marked:
            seen = self._ask(QuerySnapshot((), self._books.clock.now_ns), Snapshot)
            self.ledger.see(seen.bars, seen.quotes)
            self._marked = True

    def _work(self, books: Books, broker: Broker, tick: Tick) -> None:
        """Let the broker work one instant and make what happened durable, step by step."""
        books.stale = True
        clock = tick.clock
        working = list(books.book.working.values())
        reports = asking.queried(broker, working) if working else []
        reports += asking.drained(broker)
        reports += asking.worked(broker, tick)
        self.ledger.see(tick.bars, tick.quotes)
        books.clock = Clock(clock.now_ns, clock.index, clock.done)
        first = len(books.book.events) + 1
        books.take(reports, clock.now_ns)
        sees = self._waited(working, tick)
        self._dealer.try_again()
        more = bool(sees.triggered) or self._dealer.unfinished
        told: list[OrderEvent] = []
        waters = {**sees.waters, **(broker.waters() if working and isinstance(broker, asking.Recalling) else {})}
        moved = {name: water for name, water in waters.items() if books.waters.get(name) != water}
        if more or moved or books.pending or books.untold:
            with books.durable():
                for client_order_id, water_nano in moved.items():
                    books.set_water(client_order_id, water_nano)
                if more:
                    books.settling_from(clock.now_ns, first)
                elif books.pending or books.untold:
                    told = books.settled(clock.now_ns, first)
        if more:
            self._dealer.release(sees.triggered, clock.now_ns)
            self._dealer.follow(clock.now_ns, unasked=False)
            with books.durable():
                told = books.settled(clock.now_ns, first)
        self._answer = Settled(clock.now_ns, tuple(told), self._account_now(clock.now_ns))
        books.stale = False

    def _waited(self, working: list[Order], tick: Tick) -> Waited:
        """Draft what the bars did to the orders that wait here; nothing is sent for a halted client."""
        books = self._books
        here = [order for order in working if order.waits_here]
        if not here or self._why_not(books):
            return Waited((), (), {})
        sees = waited(here, books.waters, tick)
        for order in sees.triggered:
            self._dealer.trigger(order, tick.clock.now_ns)
        for order in sees.expired:
            books.book.advance(order, "expired", tick.clock.now_ns, "it waited here until its end")
        return sees

    def settled(self, now_ns: int) -> Settled:
        """Return the answer of an instant, the same one whenever it is asked for."""
        self.catch_up(now_ns)
        if self._answer is not None and self._answer.now_ns == now_ns:
            return self._answer
        stored = self._journal.settled(now_ns)
        if stored is not None:
            seqs, last_seq = stored
            events = self._books.book.events
            return Settled(now_ns, tuple(events[seq - 1] for seq in seqs), self._account_at(now_ns, last_seq))
        self._ask(TickAt(now_ns), Tick)
        return Settled(now_ns, (), self._account_at(now_ns))

    def account(self, now_ns: int) -> Account:
        """Return the account at an instant; 0 means the last one settled.

        The gate releases an order whose ticket is over by the time of this answer, so that time outlives ``kill -9``: a
        gateway that came back with an older clock would let the ticket in after all.
        """
        if now_ns <= 0:
            self.broker()
        else:
            self.catch_up(now_ns)
            self._books.keep_clock()
        return self._account_at(now_ns if now_ns > 0 else self._books.clock.now_ns)

    def _account_now(self, now_ns: int) -> Account:
        return self.ledger.account(now_ns, self._books.halted)

    def _account_at(self, now_ns: int, last_seq: int | None = None) -> Account:
        """Return the account as of an instant, or as of an event that its answer knew last."""
        events = self._books.book.events
        if now_ns >= self._books.clock.now_ns and last_seq in (None, len(events)):
            self._mark()
            return self._account_now(now_ns)
        then = Ledger(self._spec, self._instruments)
        for event in events[:last_seq] if last_seq is not None else events:
            if last_seq is not None or event.time_ns <= now_ns:
                then.take(event)
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

    # --- between two instants -----------------------------------------------------------------------------------------

    def send(self, orders: list[TicketedOrder]) -> None:
        """Write orders as sent, then send them, then write the answers. Their tickets must have been verified.

        Raises:
            JournalError: Before anything was sent; or after, and then the broker is asked what it has.
        """
        self.dealer().send(orders, self._books.clock.now_ns)

    def cancel(self, orders: list[Order], reason: str, now_ns: int, *, unasked: bool = False) -> None:
        """Cancel orders; the use of a ticket for it must be in the journal already."""
        self.dealer().cancel(orders, reason, now_ns, unasked=unasked)

    @property
    def ready(self) -> bool:
        """Whether the broker is there, or can be made without waiting for the feed."""
        if self._broker is not None:
            return True
        return self._offered.own_account and self._journal.instruments() is not None

    def listen(self, *, ask: bool) -> None:
        """Take in what the broker has told since the last time, and what that asks for.

        Args:
            ask: Whether to ask about the orders that wait for an answer, too.

        Raises:
            BusError: The feed or the broker does not answer.
            JournalError: What was told cannot be made durable: it is asked for again.
        """
        broker, books = self.broker(), self._books
        now_ns = books.clock.now_ns
        reports = asking.drained(broker)
        if ask:
            reports += asking.queried(broker, list(books.book.working.values()))
            self._dealer.try_again()
            if not self._compared:
                self.compare()
        if reports:
            books.commit(reports, now_ns, unasked=True)
        self._dealer.follow(now_ns, unasked=True)

    def compare(self, consent: str = "") -> Reconciliation | None:
        """Compare orders, positions and cash with the broker's, and take in what it can prove.

        Args:
            consent: Who looked at the differences and wants the broker's figures taken over; empty when nobody did.

        Returns:
            What it came to; None when the broker did not tell its account.
        """
        self.broker()
        found = reconciled(
            self._spec, self._books, self.broker(), self._offered, self._instruments, self.ledger, consent
        )
        self._compared = self._compared or found is not None
        return found

    def clear_halt(self, ticket: Ticket, by: str) -> None:
        """Send for the client again: a person has looked, and the broker's figures are taken over.

        Raises:
            BusError: The broker does not tell its account: the client stays halted.
            JournalError: It cannot be written: the client stays halted.
        """
        if self.compare(consent=by) is None:
            raise BusError(f"{self._offered.name} did not tell its account, so the client stays halted; ask again")
        books = self._books
        with books.durable():
            books.use(ticket, "clear_halt", max(books.clock.now_ns, ticket.issued_ns))
            books.halt("")
        self._journal.accept()
        self._dealer.follow(books.clock.now_ns, unasked=True)

    def sweep(self, reason: str) -> None:
        """Cancel everything that works, and place no leg of it any more."""
        books = self.books
        mine = list(books.book.working.values())
        self.broker()
        with books.durable():
            books.sweep(EVERY, 0)
            books.alarm(reason)
        self.cancel(mine, reason, books.clock.now_ns, unasked=True)
