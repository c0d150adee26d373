"""One client at the gate: what it may do, its gateway, and how far that gateway's events were taken in.

Not a book (``risk.state``) and not a judge. Nobody but the client's own gateway is asked about its fills.
"""

from __future__ import annotations

from bus.errors import GapError, SchemaError
from bus.messages import Account, EventsSince, GetAccount, OrderEvent, OrderEvents
from bus.transport import Client
from risk.market import ask
from risk.spec import ClientSpec
from risk.state import ClientState

__all__ = ["Seat"]


class Seat:
    """A client, as the gate holds it.

    Attributes:
        name: The client's.
        spec: What it may do.
        version: The digest of every layer of limits that applies to it.
        execution: The way to its gateway.
        state: Its book, counts and losses.
        halted: Why its gateway sends nothing; empty when it does, or when that is not known.
    """

    def __init__(self, spec: ClientSpec, version: str, execution: Client, state: ClientState) -> None:
        """Know nothing of the gateway yet; it may start later."""
        self.name = spec.client
        self.spec = spec
        self.version = version
        self.execution = execution
        self.state = state
        self.halted = ""

    def take_events(self) -> None:
        """Take in what happened since the last event.

        Raises:
            BusError: The gateway did not answer, or its events cannot be: a gap, or a journal that is another one.
        """
        self._take(ask(self.execution, EventsSince(self.state.last_seq), OrderEvents))

    def take_events_again(self, last_seq: int) -> frozenset[str]:
        """Take in, after a restart, what was taken in before it: what is newer waits for the next instant.

        Args:
            last_seq: The last event that was taken in before.

        Returns:
            The orders that the newer events are of.

        Raises:
            BusError: As ``take_events``.
        """
        answer = ask(self.execution, EventsSince(self.state.last_seq), OrderEvents)
        if answer.last_seq < last_seq:
            raise _foreign(answer.last_seq, last_seq)
        seen = self.state.last_seq
        for event in answer.events:
            self._check(event, seen)
            seen = event.seq
            if seen <= last_seq:
                self.state.apply(event)
        if self.state.last_seq != last_seq:
            raise _foreign(answer.last_seq, last_seq)
        return frozenset(event.client_order_id for event in answer.events if event.seq > last_seq)

    def look(self, now_ns: int) -> bool:
        """Learn whether the gateway is halted, and return whether its own clock has come to an instant.

        Raises:
            BusError: It did not answer, or for another client.
        """
        account = ask(self.execution, GetAccount(now_ns), Account)
        if account.client != self.name:
            raise SchemaError(
                f"the gateway of {self.name!r} answered for {account.client!r}; mend the services of the clients"
            )
        self.halted = account.halted
        return account.now_ns >= now_ns

    def expire(self, now_ns: int, spared: frozenset[str] = frozenset()) -> None:
        """Release what was approved and can be sent no more.

        Only where the gateway's own clock has come to ``now_ns`` and its events were taken in after that: then it takes
        an expired ticket no more, and that answer is definite.
        """
        for client_order_id in self.state.book.unsent(now_ns):
            if client_order_id not in spared:
                self.state.release(client_order_id)

    def works(self, strategy: str = "") -> bool:
        """Whether execution has told of an order that may still fill, of a strategy where one is named.

        An order that the gate has not judged may be any strategy's.
        """
        of = self.state.strategy_of
        return any(
            held.seen and (not strategy or of(key) in {strategy, None})
            for key, held in self.state.book.reserved.items()
        )

    def _take(self, answer: OrderEvents) -> None:
        for event in answer.events:
            self._check(event, self.state.last_seq)
            self.state.apply(event)
        if answer.last_seq != self.state.last_seq:
            raise _foreign(answer.last_seq, self.state.last_seq)

    def _check(self, event: OrderEvent, seen: int) -> None:
        """Refuse an event that cannot follow the last one seen, or a fill that cannot be."""
        if event.seq != seen + 1:
            raise GapError(f"execution's event {event.seq} follows {seen}; a fill may be lost: closed")
        fill = event.fill
        if fill is not None and (fill.symbol not in self.state.facts.terms or min(fill.qty_nano, fill.price_nano) <= 0):
            raise SchemaError(
                f"execution's event {event.seq} has a fill of {fill.symbol[:20]!r} that cannot be: closed; "
                "compare its journal with the broker's"
            )


def _foreign(last_seq: int, seen: int) -> GapError:
    return GapError(
        f"execution's last event is {last_seq}, the gate has seen {seen}; its journal is not the one this gate knows: "
        "closed; start a new run"
    )
