"""What the gate knows and from whom: the clock and prices from the feed, fills from execution, never from a caller.

Not a judge (``risk.checks``) and not a signer (``risk.gate``). It settles one instant after the other; the last one is
in the journal, so that a gate that was killed settles it again and gives the answer it gave.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from bus.clock import NS, iso
from bus.errors import GapError, LookAheadError, SchemaError
from bus.messages import (
    Account,
    BookSettled,
    DayInfo,
    DescribeDay,
    EventsSince,
    GetAccount,
    Instrument,
    Message,
    OrderEvents,
    QuerySnapshot,
    Snapshot,
    Tick,
    TickAt,
)
from bus.transport import Client
from risk.book import Book
from risk.journal import GateJournal, Instant
from risk.limits import Limits

__all__ = ["Sight"]

_ASK_S = 5.0
_DAY_NS = 86_400 * NS
_T = TypeVar("_T", bound=Message)


class Sight:
    """The gate's clock, instruments and book.

    Attributes:
        book: Positions, prices and reservations.
        instruments: By symbol.
        allowed: The symbols that may be traded.
        last_seq: The last order event taken in.
    """

    def __init__(self, feed: Client, execution: Client, journal: GateJournal, limits: Limits, cash_nano: int) -> None:
        """Know what the journal knows; nothing is asked yet, so that the others may start later.

        Args:
            feed: Where the clock and prices come from.
            execution: Where fills come from.
            journal: Where settled instants are kept.
            limits: For the allowed symbols and the day's loss.
            cash_nano: Cash before the first fill.
        """
        self._feed = feed
        self._execution = execution
        self._journal = journal
        self._limits = limits
        self.instruments: dict[str, Instrument] = {}
        self.book = Book(self.instruments, cash_nano)
        self.allowed: frozenset[str] = frozenset()
        self.last_seq = 0
        self._info: DayInfo | None = None
        self._described_day = -1
        self._last = journal.instant()
        self._fresh = self._last is None
        if self._last is not None:
            self.book.day_start_nano = self._last.day_start_nano
            self.book.halted = self._last.halted

    @property
    def now_ns(self) -> int:
        """The last settled instant; -1 before the first."""
        return self._last.settled.now_ns if self._last is not None else -1

    @property
    def last(self) -> BookSettled | None:
        """The answer of the last settled instant."""
        return self._last.settled if self._last is not None else None

    def wake(self) -> None:
        """After a restart, take in everything again up to the last settled instant; later calls do nothing.

        Raises:
            BusError: The feed or execution did not answer, or not sensibly.
        """
        if not self._fresh:
            self._observe(self.now_ns)
            self._fresh = True

    def settle(self, now_ns: int, *, killed: bool) -> BookSettled:
        """Take in fills and prices up to an instant and return the book after it.

        Args:
            now_ns: An instant of the feed's that is not after its clock.
            killed: Whether the kill switch is engaged, for the answer.

        Raises:
            LookAheadError: The gate's clock does not go back.
            BusError: The feed or execution did not answer, or not sensibly; nothing is settled.
            JournalError: The instant could not be written; nothing is settled.
        """
        self.wake()
        if self._last is not None and now_ns == self._last.settled.now_ns:
            return self._last.settled
        if now_ns < self.now_ns:
            raise LookAheadError(
                f"the gate is settled at {iso(self.now_ns)} and its clock does not go back to {iso(max(now_ns, 0))}; "
                "settle at its time or later"
            )
        self._observe(now_ns)
        before = self._last
        day = self._day(now_ns)
        book = self.book
        if before is not None and before.day != day:
            book.day_start_nano, book.halted = before.settled.equity_nano, False
        known = book.equity_nano if book.equity_nano is not None else book.cash_nano
        loss = max(0, book.day_start_nano - known)
        book.halted = book.halted or (book.equity_nano is not None and loss >= self._limits.max_daily_loss_nano)
        settled = BookSettled(now_ns, known, book.gross_nano(), book.reserved_nano(), loss, killed)
        instant = Instant(settled, day, book.day_start_nano, book.halted, self.last_seq)
        self._journal.write_instant(instant)
        self._last = instant
        return settled

    # --- asking -----------------------------------------------------------------------------------------------------

    def _observe(self, now_ns: int) -> None:
        self._describe(now_ns)
        tick = self._ask(self._feed, TickAt(now_ns), Tick)
        self._take_events()
        symbols = self.instruments.keys() & {*self.allowed, *self.book.positions}
        snapshot = self._ask(self._feed, QuerySnapshot(tuple(sorted(symbols)), now_ns), Snapshot)
        if tick.clock.now_ns != now_ns or snapshot.now_ns != now_ns:
            raise SchemaError(f"the feed answered for another instant than {iso(now_ns)}; update both sides")
        expired = self.book.unsent(now_ns)
        if expired:
            # Once execution's own clock has come this far, it takes an expired ticket no more: that answer is definite.
            account = self._ask(self._execution, GetAccount(now_ns), Account)
            self._take_events()
            if account.now_ns >= now_ns:
                for client_order_id in self.book.unsent(now_ns):
                    self.book.release(client_order_id)
        self.book.mark(snapshot)

    def _take_events(self) -> None:
        answer = self._ask(self._execution, EventsSince(self.last_seq), OrderEvents)
        for event in answer.events:
            if event.seq != self.last_seq + 1:
                raise GapError(f"execution's event {event.seq} follows {self.last_seq}; a fill may be lost: closed")
            fill = event.fill
            if fill is not None and (fill.symbol not in self.instruments or min(fill.qty_nano, fill.price_nano) <= 0):
                raise SchemaError(
                    f"execution's event {event.seq} has a fill of {fill.symbol[:20]!r} that cannot be: closed; "
                    "compare its journal with the broker's"
                )
            self.book.apply(event)
            self.last_seq = event.seq
        seen = max(self.last_seq, self._last.last_seq if self._last is not None else 0)
        if answer.last_seq != seen or seen != self.last_seq:
            raise GapError(
                f"execution's last event is {answer.last_seq}, the gate has seen {seen}; its journal is not "
                "the one this gate knows: closed; start a new run"
            )

    def _describe(self, now_ns: int) -> None:
        today = now_ns // _DAY_NS
        if self._info is not None and today == self._described_day:
            return
        info = self._ask(self._feed, DescribeDay(), DayInfo)
        self.instruments.update((instrument.symbol, instrument) for instrument in info.instruments)
        self.allowed = frozenset(self._limits.symbols or info.traded)
        self._info = info
        self._described_day = today

    def _day(self, now_ns: int) -> str:
        info = self._info
        if info is None:
            return ""
        if info.kind == "live":  # the venue's own date: a loss of yesterday's does not count today
            return f"{info.day_id} {datetime.fromtimestamp(now_ns // NS, ZoneInfo(info.timezone)):%Y-%m-%d}"
        return f"{info.day_id} {iso(now_ns)[:10]}" if info.bar_s * NS >= _DAY_NS else info.day_id

    @staticmethod
    def _ask(client: Client, question: Message, kind: type[_T]) -> _T:
        answer = client.call(question, _ASK_S)
        if not isinstance(answer, kind):
            raise SchemaError(
                f"{type(question).__name__} was answered with {type(answer).__name__}, not {kind.__name__}; "
                "run the same release in every process"
            )
        return answer
