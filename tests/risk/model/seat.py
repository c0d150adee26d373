"""One client of the model: its real book, what is true of its orders, and what must hold between the two.

Not a copy of the book's rules: everything here is put to the gate's own code, and compared with what is true.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import astuple

from bus.clock import NS
from bus.fixed import SCALE
from bus.ids import client_order_id
from bus.messages import Fill, OrderEvent, OrderIntent, Side
from risk.book import Reservation
from risk.state import ClientState
from tests.risk.model.venue import (
    APPROVE,
    Choice,
    Order,
    Slot,
    Slots,
    Told,
    busted,
    choices,
    happen,
    reserved,
    truth,
    works,
)

__all__ = ["CASH", "MOST", "NOW_NS", "RUN", "SYMBOL", "UNIT", "Part", "Seat", "Worth"]

NOW_NS = 1_380_000_000 * NS
SYMBOL, RUN = "ACME", "run-1"
UNIT = 100 * SCALE
"""What a unit is worth."""
MOST = 3
"""How many units a client may come to hold."""
CASH = 100_000 * SCALE
NEVER_NS = 2**63 - 1
KEPT = {"reserved", "_groups", "_fills", "_corrected", "_approved_at"}
NUMBERS = {"cash_nano", "equity_nano", "gross_nano", "up_nano", "down_nano"}
FIXED = {"_instruments", "prices", "holdings"}
"""What is in a book: in ``holdings`` is one record, which is written down; the other two stay as they are."""

Group: TypeAlias = tuple[tuple[str, str, Side], tuple[tuple[str, int], ...]]
Numbers: TypeAlias = tuple[int, ...]


class Worth(NamedTuple):
    """What the judge of another client's order sees of a book."""

    gross_nano: int
    up_nano: int
    down_nano: int


class Part(NamedTuple):
    """A client's part of a state, whole: what is true, and everything that the book holds."""

    slots: Slots
    held: Numbers
    book: tuple[int, int | None, int, int, int]
    reserved: tuple[tuple[str, tuple[Any, ...]], ...]
    groups: tuple[Group, ...]
    fills: tuple[tuple[tuple[str, str], Fill | None], ...]
    corrected: tuple[tuple[tuple[str, str], tuple[str, str]], ...]
    approved_at: tuple[tuple[str, int], ...]


class Seat:
    """A client's book as it stands, and what is true."""

    def __init__(self, name: str, state: ClientState, orders: tuple[Order, ...]) -> None:
        self.name, self.orders, self.state, self.book = name, orders, state, state.book
        self.ids = tuple(client_order_id(name, RUN, 1, index) for index in range(len(orders)))
        self.intents = tuple(self._intent(index) for index in range(len(orders)))
        self.slots: Slots = (Slot(),) * len(orders)
        self.held = self.book.holding(SYMBOL)
        inside = vars(self.book)
        if set(inside) != KEPT | NUMBERS | FIXED or set(self.book.holdings) != {SYMBOL}:
            raise AssertionError(f"a book has come to hold more than is written down here: {sorted(inside)}")
        self._reserved: dict[str, Reservation] = inside["reserved"]
        self._groups: dict[tuple[str, str, Side], dict[str, int]] = inside["_groups"]
        self._fills: dict[tuple[str, str], Fill | None] = inside["_fills"]
        self._corrected: dict[tuple[str, str], tuple[str, str]] = inside["_corrected"]
        self._approved_at: dict[str, int] = inside["_approved_at"]
        self._events: dict[Told, OrderEvent] = {}

    def _intent(self, index: int) -> OrderIntent:
        side, qty, replaces = self.orders[index]
        old = self.ids[replaces] if replaces >= 0 else ""
        return OrderIntent(
            self.ids[index], self.name, RUN, 1, index, SYMBOL, side, "limit", "gtc",
            qty * SCALE, UNIT, NOW_NS, "model", replaces=old,
        )  # fmt: skip

    # --- writing a part down and taking it up -------------------------------------------------------------------------

    def freeze(self) -> Part:
        """Return everything that makes a difference from now on."""
        book = self.book
        return Part(
            self.slots,
            astuple(self.held),
            (book.cash_nano, book.equity_nano, book.gross_nano, book.up_nano, book.down_nano),
            tuple([(key, astuple(self._reserved[key])) for key in sorted(self._reserved)]),
            tuple([(key, tuple(sorted(self._groups[key].items()))) for key in sorted(self._groups)]),
            tuple(sorted(self._fills.items())),
            tuple(sorted(self._corrected.items())),
            tuple(sorted(self._approved_at.items())),
        )

    def thaw(self, part: Part) -> None:
        """Stand where a part was written down."""
        self.slots, held, numbers, orders, groups, fills, corrected, approved_at = part
        record, book = self.held, self.book
        (
            record.position_nano,
            record.buys_nano,
            record.sells_nano,
            record.gross_nano,
            record.up_nano,
            record.down_nano,
        ) = held
        book.cash_nano, book.equity_nano, book.gross_nano, book.up_nano, book.down_nano = numbers
        for kept in (self._reserved, self._groups, self._fills, self._corrected, self._approved_at):
            kept.clear()
        for key, values in orders:
            self._reserved[key] = Reservation(*values)
        for name, members in groups:
            self._groups[name] = dict(members)
        self._fills.update(fills)
        self._corrected.update(corrected)
        self._approved_at.update(approved_at)

    # --- what happens -------------------------------------------------------------------------------------------------

    def choices(self) -> list[Choice]:
        """Return what can happen next."""
        return list(choices(self.orders, self.slots))

    def play(self, choice: Choice) -> None:
        """Let something happen, and tell the book; an approval as ``ClientState.approved`` does with the book."""
        index, what, _ = choice
        if what == APPROVE:
            self._reserve(index)
        elif what == "unsent":
            self.book.release(self.ids[index])
        self.slots, told = happen(self.orders, self.slots, choice)
        for each in told:
            event = self._events.get(each)
            if event is None:
                event = self._events[each] = self._event(each)
            self.book.apply(event)

    def _reserve(self, index: int) -> None:
        book, group, replaces = self.book, "", self.orders[index].replaces
        if replaces >= 0:
            old = self.ids[replaces]
            group = book.reserved[old].group or old
            book.regroup(old, group)
        book.reserve(self.intents[index], UNIT, NEVER_NS, group)

    def _event(self, told: Told) -> OrderEvent:
        order, key, fill = self.orders[told.of], self.ids[told.of], None
        if told.number >= 0:
            name = f"{told.of}.{told.number}"
            fill = Fill(name, key, SYMBOL, order.side, told.qty * SCALE, UNIT, 0, NOW_NS)
            if told.kind == "bust":
                fill = Fill(f"b{name}", key, SYMBOL, order.side, told.qty * SCALE, UNIT, 0, NOW_NS, refers_to=name)
        return OrderEvent(
            1, key, SYMBOL, order.side, told.kind, told.status, NOW_NS, order.qty * SCALE, told.filled_nano, fill=fill
        )

    # --- what must always hold ----------------------------------------------------------------------------------------

    def worth(self) -> Worth:
        """Return what others see of this book."""
        return Worth(self.book.gross_nano, self.book.up_nano, self.book.down_nano)

    def most(self) -> int:
        """Return how many units could be held in truth; 0 once a fill was undone, for then nobody is to blame."""
        if busted(self.slots):
            return 0
        position = self._position()
        return max(position + truth(self.orders, self.slots, "buy"), truth(self.orders, self.slots, "sell") - position)

    def _position(self) -> int:
        return sum(s.filled if o.side == "buy" else -s.filled for o, s in zip(self.orders, self.slots, strict=True))

    def broken(self) -> str:
        """Return what does not hold, or nothing."""
        held, book, name, position = self.held, self.book, self.name, self._position()
        buys, sells = truth(self.orders, self.slots, "buy"), truth(self.orders, self.slots, "sell")
        if held.position_nano != position * SCALE or book.cash_nano != CASH - position * UNIT:
            return f"the position of {name} is {position}, not {held.position_nano / SCALE}"
        if held.buys_nano < buys * SCALE or held.sells_nano < sells * SCALE:
            return f"{name} could trade {buys}/{sells}, reserved {held.buys_nano}/{held.sells_nano}"
        alive = {key for key, slot in zip(self.ids, self.slots, strict=True) if works(slot)}
        if not set(book.reserved) <= alive:
            return f"what is over is still reserved: {set(book.reserved) - alive}"
        if not alive and (held.buys_nano or held.sells_nano or book.reserved):
            return f"nothing of {name} works, and something is reserved"
        known = tuple(SCALE * reserved(self.orders, self.slots, side) for side in ("buy", "sell"))
        if (held.buys_nano, held.sells_nano) != known:
            return f"{name} has {held.buys_nano}/{held.sells_nano} reserved, by what was told {known[0]}/{known[1]}"
        up, down = held.position_nano + held.buys_nano, held.sells_nano - held.position_nano
        worst = max(up, down) * UNIT // SCALE
        if (held.gross_nano, book.gross_nano) != (worst, worst):
            return f"the worst case of {name} is {worst}, not {book.gross_nano}"
        if (book.up_nano, book.down_nano) != (up * UNIT // SCALE, down * UNIT // SCALE):
            return f"up and down of {name} are wrong"
        if self.most() > MOST:
            return f"{name} could hold {self.most()} units, more than its limit"
        return ""

    def expected(self, index: int, others_gross_nano: int, desk_most: int) -> str:
        """Return what a slow judge, written apart, says of an order as things stand."""
        side, more, replaces = self.orders[index]
        held = self.held
        position, buys, sells = held.position_nano // SCALE, held.buys_nano // SCALE, held.sells_nano // SCALE
        if replaces >= 0:
            more = max(0, more - self.book.reserved[self.ids[replaces]].remaining_nano // SCALE)
        buys, sells = (buys + more, sells) if side == "buy" else (buys, sells + more)
        worst = max(position + buys, sells - position)
        if buys <= -position if side == "buy" else sells <= position:
            return "approved"
        if worst > MOST:
            return "position_limit"
        return "desk_gross_limit" if others_gross_nano + worst * UNIT > desk_most * UNIT else "approved"
