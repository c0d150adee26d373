"""The gateway process: the only way to a client's broker, for orders with the gate's ticket and for nobody else.

Not a judge and not a strategy. It believes the feed about time and prices, the gate's signature about orders, and its
journal about the past. Conventions:

- A request for a later instant than the clock settles up to it first; the feed refuses one that is after its own clock.
- An order whose ticket does not verify leaves no trace in the journal: it is answered with a ``rejected`` event of
  sequence number 0, which is not part of the client's sequence, and does not hinder the orders beside it.
- The same order again (same id, same bytes) is answered with the events of the first time and not sent again.
- An order for a halted client is refused in the same way; what was sent before is answered as ever, and cancels work.
- A cancel does not wait for the feed. The same cancel-all again cancels nothing that was sent after it; the same
  cancel of one order again is answered with what the first one caused.
- After a cancel-all, a ticket that was given before it is refused, however long it would have been good.
"""

from __future__ import annotations

from pathlib import Path

from bus.clock import monotonic_ns
from bus.codec import canonical
from bus.errors import BusError, TicketError
from bus.messages import (
    Account,
    AskReconcile,
    CancelAll,
    CancelOrder,
    ClearHalt,
    EventsSince,
    Executed,
    ExecutionAsk,
    GetAccount,
    GetCapabilities,
    GetOrders,
    Message,
    Ok,
    OrderEvent,
    OrderEvents,
    Ping,
    Reconciliation,
    SettleOrders,
    StageRequest,
    StageResult,
    TicketedOrder,
)
from bus.transport import Client, Directory, Transport
from execution._tool_questions import capabilities, orders_page
from execution.admission import Admission
from execution.broker import Offered
from execution.engine import BrokerFactory, Engine
from execution.journal import Journal
from execution.open_broker import open_broker
from execution.paper import PAPER_OFFERS
from execution.spec import GatewaySpec
from execution.states import WORKING
from execution.swept import check_epoch
from execution.upkeep import Upkeep

__all__ = ["Gateway", "build_gateway"]


class Gateway:
    """Answers for one client's orders.

    Attributes:
        engine: The client's orders and account.
        upkeep: What is done while nobody asks.
        started_ns: When this was made, on the clock that the upkeep goes by.
    """

    def __init__(
        self,
        spec: GatewaySpec,
        feed: Client,
        journal: Journal,
        make_broker: BrokerFactory,
        offered: Offered = PAPER_OFFERS,
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
        self._offered = offered
        self._journal = journal
        self.engine = Engine(spec, feed, journal, make_broker, offered)
        self._admission = Admission(spec.client, spec.run_id, Path(spec.public_key_file), spec.limits_version)
        self.started_ns = monotonic_ns()
        self.upkeep = Upkeep(spec, self.engine, self.started_ns)

    def handle(self, request: Message) -> Message:
        """Answer one request.

        Raises:
            TicketError: A cancel whose ticket does not verify.
            JournalError: The journal cannot be written: nothing was sent.
            BusError: A request that is not for execution, or the feed did not answer.
        """
        if not isinstance(request, Ping):
            self.upkeep.seen(monotonic_ns())
        return self._answer(request)

    def idle(self) -> None:
        """Do what is due while nobody asks: hear the broker, compare with it, watch for a desk that is gone."""
        self.upkeep.due(monotonic_ns())

    def _answer(self, request: Message) -> Message:
        match request:
            case CancelAll() | CancelOrder() | ClearHalt() | AskReconcile():
                return self._act(request)
            case SettleOrders(now_ns=now_ns):
                self._admission.read_key()
                return self.engine.settled(now_ns)
            case StageRequest(ask=ExecutionAsk(orders=orders)):
                self.engine.catch_up(request.now_ns)
                return StageResult("execution", request.cycle, request.now_ns, self._execute(orders))
            case EventsSince(seq=seq):
                events = self.engine.book.events
                return OrderEvents(tuple(events[max(seq, 0) :]), len(events))
            case GetAccount(now_ns=now_ns):
                return self.engine.account(now_ns)
            case GetOrders():
                return orders_page(request, self.engine.book, self.engine.now_ns)
            case GetCapabilities():
                return capabilities(self._spec, self._offered, self.engine.now_ns)
            case Ping():
                return Ok("execution")
            case _:
                raise BusError(
                    f"execution does not answer {type(request).__name__}; it answers StageRequest with ExecutionAsk, "
                    "SettleOrders, EventsSince, GetAccount, GetOrders, GetCapabilities, CancelAll, CancelOrder, "
                    "AskReconcile, ClearHalt and Ping"
                )

    def _act(self, request: CancelAll | CancelOrder | ClearHalt | AskReconcile) -> Message:
        """Do what people and the gate ask for between two instants."""
        match request:
            case CancelAll():
                return self._cancel_all(request)
            case CancelOrder():
                return self._cancel_order(request)
            case ClearHalt():
                return self._clear_halt(request)
            case AskReconcile():
                return self._reconcile()

    def close(self) -> None:
        """Let go of the broker and close the journal."""
        self.engine.close()

    def _execute(self, orders: tuple[TicketedOrder, ...]) -> Executed:
        """Send what is new and ticketed, and answer with what sending caused, in sequence; refusals come first."""
        refused: list[OrderEvent] = []
        new: dict[str, TicketedOrder] = {}
        answered: dict[str, None] = {}
        for order in orders:
            try:
                if self._admit(order, new):
                    why = self.engine.refusal
                    if why:
                        refused.append(self._refusal(order, why))
                        continue
                    new[order.intent.client_order_id] = order
                answered[order.intent.client_order_id] = None
            except TicketError as error:
                refused.append(self._refusal(order, f"ticket: {error}"))
        if new:
            self.engine.send(list(new.values()))
        book = self.engine.book
        events = [event for client_order_id in answered for event in book.orders[client_order_id].sending]
        return Executed((*refused, *sorted(events, key=lambda event: event.seq)))

    def _admit(self, order: TicketedOrder, new: dict[str, TicketedOrder]) -> bool:
        """Return whether an order is to be sent, False when it was already.

        Raises:
            TicketError: It must not be.
        """
        client_order_id = order.intent.client_order_id
        known = self.engine.book.orders.get(client_order_id)
        first = known.raw if known else canonical(new[client_order_id].intent) if client_order_id in new else None
        if first is not None:
            if first == canonical(order.intent):
                return False
            raise TicketError(
                f"order {client_order_id} was sent with other contents; an order never changes: "
                "give a new intent an id of its own"
            )
        self._admission.check_order(order, self.engine.now_ns)
        check_epoch(self.engine.books.sweeps, order.intent.strategy, order.ticket)
        ticket_id = order.ticket.ticket_id
        if ticket_id in self.engine.books.tickets or any(other.ticket.ticket_id == ticket_id for other in new.values()):
            raise TicketError(f"ticket {ticket_id} was used; a ticket is for one order, once: ask the gate again")
        return True

    def _refusal(self, order: TicketedOrder, why: str) -> OrderEvent:
        intent = order.intent
        return OrderEvent(
            seq=0,
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            kind="rejected",
            status="rejected",
            time_ns=self.engine.now_ns,
            qty_nano=intent.qty_nano,
            filled_nano=0,
            reason=why,
        )

    def _cancel_all(self, request: CancelAll) -> OrderEvents:
        """Cancel everything that works, take no earlier ticket, and answer with the events that this caused."""
        ticket, strategy = request.ticket, request.strategy
        purpose = f"cancel_all {strategy}" if strategy else "cancel_all"
        books = self.engine.books
        # The gate's time is as good as the feed's, and the clock here may be older just after a restart.
        now_ns = max(self.engine.now_ns, ticket.issued_ns)
        used = books.tickets.get(ticket.ticket_id)
        if used is None:
            self._admission.check_cancel(request, now_ns)
            with books.durable():  # by itself: what the broker says, or that it says nothing, does not matter for this
                books.sweep(strategy, ticket.epoch)
        if books.book.working:
            self.engine.broker()
        if used is None:
            with books.durable():
                used = books.use(ticket, purpose, now_ns)
        if used[0] != purpose:
            raise TicketError(f"ticket {ticket.ticket_id} was used for something else; ask the gate again")
        first_seq = used[1]
        prefix = f"cancel_all {ticket.ticket_id}: "
        mine = [
            order
            for order in books.book.working.values()
            if order.events[0].seq < first_seq and strategy in {"", order.intent.strategy}
        ]
        if mine:
            self.engine.cancel(mine, f"{prefix}{request.reason}", now_ns)
        events = self.engine.book.events
        caused = tuple(event for event in events[first_seq - 1 :] if event.reason.startswith(prefix))
        # Not the newest event there is: the answer must be the same one when it is asked for again.
        return OrderEvents(caused, caused[-1].seq if caused else first_seq - 1)

    def _cancel_order(self, request: CancelOrder) -> OrderEvents:
        """Cancel one order and answer with the events that this caused; none when it was over before."""
        ticket, client_order_id = request.ticket, request.client_order_id
        order = self.engine.book.orders.get(client_order_id)
        if order is not None and order.status in WORKING:
            self.engine.broker()
        now_ns = max(self.engine.now_ns, ticket.issued_ns)
        self._admission.check_cancel_order(request, now_ns)
        books = self.engine.books
        order = books.book.orders.get(client_order_id)
        if order is None:
            raise BusError(f"there is no order {client_order_id} in this run; see which there are with GetOrders")
        purpose = f"cancel {client_order_id}"
        used = books.tickets.get(ticket.ticket_id)
        if used is not None and used[0] != purpose:
            raise TicketError(f"ticket {ticket.ticket_id} was used for something else; ask the gate again")
        prefix = f"{purpose} {ticket.ticket_id}: "
        if client_order_id in books.book.working:
            if used is None:
                with books.durable():
                    used = books.use(ticket, purpose, now_ns)
            # Also when this was killed between the use of the ticket and its effect.
            self.engine.cancel([order], f"{prefix}{request.reason}", now_ns)
        events = self.engine.book.orders[client_order_id].events
        caused = tuple(event for event in events if event.reason.startswith(prefix))
        return OrderEvents(caused, caused[-1].seq if caused else len(self.engine.book.events))

    def _clear_halt(self, request: ClearHalt) -> Account:
        """Let the client trade again, with the broker's figures taken over where a person consents to them."""
        ticket, engine = request.ticket, self.engine
        self._admission.check_clear(request, max(engine.now_ns, ticket.issued_ns))
        used = engine.books.tickets.get(ticket.ticket_id)
        if used is not None and used[0] != "clear_halt":
            raise TicketError(f"ticket {ticket.ticket_id} was used for something else; ask the gate again")
        if used is None:
            engine.clear_halt(ticket, request.by)
        return engine.account(0)

    def _reconcile(self) -> Reconciliation:
        found = self.engine.compare()
        if found is None:
            raise BusError(f"{self._offered.name} did not tell its account; ask again, nothing was changed")
        return found


def build_gateway(spec: GatewaySpec, transport: Transport, directory: Directory) -> Gateway:
    """Return the gateway of a client, with the broker of its spec.

    Raises:
        ConfigError: A mode that does not go with the broker, or keys that cannot be used.
        JournalError: The journal cannot be opened, or belongs to another run or gateway.
    """
    make_broker, offered = open_broker(spec)
    identity = {"client": spec.client, "run_id": spec.run_id, "start_cash_nano": str(spec.start_cash_nano)}
    journal = Journal(Path(spec.database), identity)
    try:
        return Gateway(spec, transport.client(directory["feed"]), journal, make_broker, offered)
    except BaseException:
        journal.close()
        raise
