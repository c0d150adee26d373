"""What the gate knows and from whom: the clock and prices from the feed, fills from execution, never from a caller.

Not a judge (``risk.checks``) and not a signer (``risk.gate``). It settles one instant after the other for all clients;
the last one is in the journal, so that a gate that was killed settles it again and gives the answer it gave.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import merge

from bus.clock import iso
from bus.errors import LookAheadError
from bus.messages import BookSettled
from risk.journal import GateJournal
from risk.market import Market
from risk.records import CancelNote, ClientInstant, Instant, Judged
from risk.seat import Seat
from risk.state import DeskState

__all__ = ["Sight"]


class Sight:
    """The gate's clock, and the one way its clients' states learn what happened.

    Attributes:
        last: The last settled instant; None before the first.
    """

    def __init__(
        self, market: Market, desk: DeskState, seats: tuple[Seat, ...], journal: GateJournal, *, always_look: bool
    ) -> None:
        """Know what the journal knows; nothing is asked yet, so that the others may start later.

        Args:
            market: The clock and the prices.
            desk: Where what is learnt goes.
            seats: The clients, the desk's own first.
            journal: Where settled instants are kept.
            always_look: Whether gateways may halt their clients, so that they are asked at every instant.
        """
        self._market = market
        self._desk = desk
        self._seats = seats
        self._journal = journal
        self._always_look = always_look
        self.last = journal.instant()
        self._fresh = self.last is None
        self._replayed = False

    @property
    def now_ns(self) -> int:
        """The last settled instant; -1 before the first."""
        return self.last.settled.now_ns if self.last is not None else -1

    def wake(self) -> None:
        """After a restart, take in everything again up to the last settled instant; later calls do nothing.

        Raises:
            BusError: The feed or a gateway did not answer, or not sensibly.
            JournalError: The journal cannot be read.
        """
        last = self.last
        if self._fresh or last is None:
            return
        now_ns = last.settled.now_ns
        self._describe(now_ns)
        self._market.check_clock(now_ns)
        if not self._replayed:
            self._replay(last)
            self._replayed = True
        known = {client.client: client.last_seq for client in last.clients}
        for seat in self._seats:
            newer = seat.take_events_again(known.get(seat.name, 0))
            if self._has_to_look(seat, now_ns) and seat.look(now_ns):
                seat.expire(now_ns, newer)
        self._mark(now_ns)
        self._fresh = True

    def settle(self, now_ns: int, *, killed: bool) -> BookSettled:
        """Take in fills and prices up to an instant and return the book after it.

        Args:
            now_ns: An instant of the feed's that is not after its clock.
            killed: Whether the kill switch is engaged, for the answer.

        Raises:
            LookAheadError: The gate's clock does not go back.
            BusError: The feed or a gateway did not answer, or not sensibly; nothing is settled.
            JournalError: The instant could not be written; nothing is settled.
        """
        self.wake()
        before = self.last
        if before is not None and now_ns == before.settled.now_ns:
            return before.settled
        if now_ns < self.now_ns:
            raise LookAheadError(
                f"the gate is settled at {iso(self.now_ns)} and its clock does not go back to {iso(max(now_ns, 0))}; "
                "settle at its time or later"
            )
        self._describe(now_ns)
        self._market.check_clock(now_ns)
        for seat in self._seats:
            seat.take_events()
            if self._has_to_look(seat, now_ns):
                reached = seat.look(now_ns)
                seat.take_events()
                if reached:
                    seat.expire(now_ns)
        day = self._market.day(now_ns)
        if before is not None and before.day != day:
            for seat in self._seats:
                seat.state.roll_day(_equity(seat))
        self._mark(now_ns)
        book = self._seats[0].state.book
        net_nano = max(book.up_nano, book.down_nano)
        instant = Instant(self._settled(now_ns, killed=killed), net_nano, day, tuple(map(_carried, self._seats)))
        self._journal.write_instant(instant)
        self.last = instant
        return instant.settled

    def _has_to_look(self, seat: Seat, now_ns: int) -> bool:
        """Whether a gateway has to be asked: who runs the desk moves on the first client's only."""
        return self._always_look or seat is not self._seats[0] or bool(seat.state.book.unsent(now_ns))

    def _describe(self, now_ns: int) -> None:
        if self._market.describe(now_ns):
            self._desk.describe(self._market.instruments.values(), self._market.traded)

    def _mark(self, now_ns: int) -> None:
        symbols: set[str] = set()
        for seat in self._seats:
            symbols |= seat.state.allowed
            symbols.update(seat.state.book.holdings)
        snapshot = self._market.snapshot(frozenset(symbols & self._market.instruments.keys()), now_ns)
        is_open = self._market.is_open(now_ns)
        for seat in self._seats:
            seat.state.mark(snapshot, session_open=is_open is True)

    def _replay(self, last: Instant) -> None:
        """Let everything count again that was approved or canceled, in the order of time over all clients."""
        seats = {seat.name: seat for seat in self._seats}
        for client in last.clients:
            if client.client in seats:
                seats[client.client].state.restore(client.carried)
        happened: Iterable[Judged | CancelNote] = merge(
            (entry for entry in self._journal.read(inputs=False) if entry.ticket is not None and entry.final),
            self._journal.cancels(),
            key=_when,
        )
        for item in happened:
            seat = seats.get(item.client)
            if seat is None:
                continue
            if isinstance(item, CancelNote):
                seat.state.message("cancel", item.now_ns)
            elif item.ticket is not None:
                seat.state.approved(item.intent, item.price_nano, item.verdict.now_ns, item.ticket.expires_ns)

    def _settled(self, now_ns: int, *, killed: bool) -> BookSettled:
        state = self._seats[0].state
        equity = _equity(self._seats[0])
        loss = max(0, state.facts.day_start_nano - equity)
        return BookSettled(now_ns, equity, state.book.gross_nano, state.book.reserved_nano(), loss, killed)


def _equity(seat: Seat) -> int:
    """Return a client's equity; where a held symbol has no price, its cash."""
    known = seat.state.book.equity_nano
    return known if known is not None else seat.state.book.cash_nano


def _carried(seat: Seat) -> ClientInstant:
    return ClientInstant(seat.name, seat.state.last_seq, seat.state.carry())


def _when(item: Judged | CancelNote) -> int:
    return item.now_ns if isinstance(item, CancelNote) else item.verdict.now_ns
