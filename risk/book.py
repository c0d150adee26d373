"""What a client holds and has promised, from its own fills: positions, cash, marks, and reservations gross per side.

Law 4: every order that may still fill is reserved on its own side; a buy never hides a sell. Not the account of
``execution``: the gate keeps its own and believes nobody's.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from bus.errors import SchemaError
from bus.fixed import notional_nano
from bus.messages import Fill, Instrument, OrderEvent, OrderIntent, Quote, Side, Snapshot

__all__ = ["Book", "Holding", "Price", "Reservation", "is_whole", "newest_prices"]

_DONE = frozenset({"filled", "canceled", "replaced", "expired", "rejected"})
_NEVER_NS = 2**63 - 1
_LEGS = "/legs"
_PROMISE = "promised"
_GroupKey: TypeAlias = tuple[str, str, Side]
_FillKey: TypeAlias = tuple[str, str]
"""A client order id and a fill's id: the id alone is one execution's at one broker for one day."""


class Price(msgspec.Struct, frozen=True):
    """The newest price of a symbol and when it was true; ``crossed`` when the newest quote's bid is above its ask."""

    nano: int
    event_time_ns: int
    crossed: bool = False


class Reservation(msgspec.Struct):
    """An order that may still fill. ``seen`` is whether execution has told of it; ``group`` as in ``OrderEvent``."""

    symbol: str
    side: Side
    remaining_nano: int
    price_nano: int
    expires_ns: int
    seen: bool = False
    group: str = ""


class Holding(msgspec.Struct):
    """One symbol's position and what works on each side of it, with their worth.

    Attributes:
        position_nano: Signed quantity.
        buys_nano: What may still be bought.
        sells_nano: What may still be sold.
        gross_nano: The worst case of both sides, in money.
        up_nano: The worth if every buy fills and no sell, signed.
        down_nano: The negative worth if every sell fills and no buy.
    """

    position_nano: int = 0
    buys_nano: int = 0
    sells_nano: int = 0
    gross_nano: int = 0
    up_nano: int = 0
    down_nano: int = 0

    def worst_nano(self) -> int:
        """Return the largest position, either side, that working orders could leave."""
        return max(self.position_nano + self.buys_nano, self.sells_nano - self.position_nano)


class Book:
    """Positions, cash, prices and reservations of one client.

    Attributes:
        cash_nano: Cash after fills and fees.
        prices: The newest price by symbol.
        reserved: What may still fill, by client order id.
        holdings: Position and working quantities by symbol.
        equity_nano: Cash and positions at their marks; None when a held symbol has no price.
        gross_nano: The gross worst-case notional over all symbols, at their marks; a symbol without a price counts at
            the price its orders were approved at.
        up_nano: The net worth of all symbols if every buy fills and no sell.
        down_nano: The negative net worth if every sell fills and no buy.
    """

    def __init__(self, instruments: dict[str, Instrument], start_cash_nano: int) -> None:
        """Start flat.

        Args:
            instruments: By symbol; the caller may add to it.
            start_cash_nano: Cash before the first fill.
        """
        self._instruments = instruments
        self.cash_nano = start_cash_nano
        self.prices: dict[str, Price] = {}
        self.reserved: dict[str, Reservation] = {}
        self.holdings: dict[str, Holding] = {}
        self.equity_nano: int | None = start_cash_nano
        self.gross_nano = 0
        self.up_nano = 0
        self.down_nano = 0
        self._groups: dict[_GroupKey, dict[str, int]] = {}
        self._fills: dict[_FillKey, Fill | None] = {}
        self._corrected: dict[_FillKey, _FillKey] = {}
        self._approved_at: dict[str, int] = {}

    # --- what happens ---------------------------------------------------------------------------------------------

    def reserve(self, intent: OrderIntent, price_nano: int, expires_ns: int, group: str = "") -> None:
        """Reserve an approved order on its side, whole.

        Args:
            intent: The order.
            price_nano: What a unit of it is worth at most.
            expires_ns: Until when it can be sent.
            group: Of which orders the largest counts, not the sum.
        """
        held = Reservation(intent.symbol, intent.side, intent.qty_nano, price_nano, expires_ns, group=group)
        self._approved_at[intent.client_order_id] = price_nano
        self._hold(intent.client_order_id, held)

    def unreserve(self, client_order_id: str) -> None:
        """Forget an order that was reserved and is not to be: as if it had never been."""
        self.release(client_order_id)
        self._approved_at.pop(client_order_id, None)

    def release(self, client_order_id: str) -> None:
        """Release a reservation, after a definite answer."""
        held = self.reserved.get(client_order_id)
        if held is not None:
            self._resize(client_order_id, held, 0)

    def regroup(self, client_order_id: str, group: str) -> None:
        """Put a reservation into another group."""
        held = self.reserved.get(client_order_id)
        if held is not None and held.group != group:
            remaining = held.remaining_nano
            self._count(client_order_id, held, 0)
            held.group, held.remaining_nano = group, 0
            self._count(client_order_id, held, remaining)
            self._revalue(held.symbol)

    def promise(self, entry_id: str, symbol: str, side: Side, nano: int) -> None:
        """Set what the legs of an entry will sell or buy before they are there; with its legs, the largest counts.

        Args:
            entry_id: The entry's client order id.
            symbol: What of.
            side: The legs' side.
            nano: How much of it the entry has filled; 0 when its legs are there, or are not to come.
        """
        self._member(f"{entry_id}{_LEGS}", symbol, side, _PROMISE, nano)
        self._revalue(symbol)

    def unsent(self, now_ns: int) -> list[str]:
        """Return the orders whose ticket has expired and of which execution has not told."""
        return [key for key, held in self.reserved.items() if not held.seen and held.expires_ns < now_ns]

    def apply(self, event: OrderEvent) -> None:
        """Take in one order event of execution's, in sequence.

        An order that works and is not reserved here (this gate's journal was lost, or it came late) is reserved now.

        Raises:
            SchemaError: What cannot be: a fill of an unknown symbol, a correction of a fill that never was, no numbers.
        """
        if not is_whole(event.qty_nano, event.filled_nano, event.price_nano, event.cash_nano):
            raise SchemaError(f"execution's event {event.seq} has a number that is none: closed; look at its journal")
        if event.kind == "cash":
            self.cash_nano += event.cash_nano
            self.equity_nano = None if self.equity_nano is None else self.equity_nano + event.cash_nano
            return
        if event.fill is not None:
            self._trade(event, event.fill)
        held = self.reserved.get(event.client_order_id)
        if event.status in _DONE:
            self.release(event.client_order_id)
            return
        left = max(0, event.qty_nano - event.filled_nano)
        if held is None:
            if left > 0:
                nano = max(event.price_nano, self._approved_at.get(event.client_order_id, 0))
                late = Reservation(event.symbol, event.side, left, nano, _NEVER_NS, True, event.group)
                self._hold(event.client_order_id, late)
            return
        held.seen = True
        if event.group:
            self.regroup(event.client_order_id, event.group)
        if event.qty_nano > 0:
            self._resize(event.client_order_id, held, left)

    def mark(self, snapshot: Snapshot) -> None:
        """Take in the newest prices and value the whole book anew."""
        self.prices = newest_prices(snapshot)
        for symbol in self.holdings:
            self._revalue(symbol)
        self.equity_nano = self._equity()

    # --- what is asked --------------------------------------------------------------------------------------------

    def holding(self, symbol: str) -> Holding:
        """Return what is held and works in a symbol: the book's own record, not a copy."""
        held = self.holdings.get(symbol)
        if held is None:
            held = self.holdings[symbol] = Holding()
        return held

    def position(self, symbol: str) -> int:
        """Return the signed quantity of a symbol."""
        held = self.holdings.get(symbol)
        return held.position_nano if held is not None else 0

    def working(self, symbol: str, side: Side) -> int:
        """Return what is reserved on one side of a symbol."""
        held = self.holdings.get(symbol)
        if held is None:
            return 0
        return held.buys_nano if side == "buy" else held.sells_nano

    def reserved_nano(self) -> int:
        """Return the notional of everything reserved, each order by itself."""
        return sum(
            notional_nano(held.price_nano, held.remaining_nano, self._multiplier(held.symbol))
            for held in self.reserved.values()
        )

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _hold(self, client_order_id: str, held: Reservation) -> None:
        remaining, held.remaining_nano = held.remaining_nano, 0
        self.reserved[client_order_id] = held
        self._count(client_order_id, held, remaining)
        self._revalue(held.symbol)

    def _resize(self, client_order_id: str, held: Reservation, remaining_nano: int) -> None:
        self._count(client_order_id, held, remaining_nano)
        if remaining_nano == 0:
            del self.reserved[client_order_id]
        self._revalue(held.symbol)

    def _count(self, client_order_id: str, held: Reservation, remaining_nano: int) -> None:
        """Set what is left of an order; of a group, the largest counts."""
        if held.group:
            self._member(held.group, held.symbol, held.side, client_order_id, remaining_nano)
        else:
            self._add(held.symbol, held.side, remaining_nano - held.remaining_nano)
        held.remaining_nano = remaining_nano

    def _member(self, group: str, symbol: str, side: Side, name: str, nano: int) -> None:
        """Set what is left of one of a group."""
        key = (group, symbol, side)
        members = self._groups.setdefault(key, {})
        before = max(members.values(), default=0)
        members[name] = nano
        if nano == 0:
            del members[name]
        self._add(symbol, side, max(members.values(), default=0) - before)
        if not members:
            del self._groups[key]

    def _add(self, symbol: str, side: Side, nano: int) -> None:
        holding = self.holding(symbol)
        if side == "buy":
            holding.buys_nano += nano
        else:
            holding.sells_nano += nano

    def _trade(self, event: OrderEvent, fill: Fill) -> None:
        known = fill.symbol in self._instruments and is_whole(fill.qty_nano, fill.price_nano, fill.fee_nano)
        if not (known and fill.qty_nano > 0 and fill.price_nano > 0):
            raise SchemaError(
                f"execution's event {event.seq} has a fill of {fill.symbol[:20]!r} that cannot be: closed; "
                "compare its journal with the broker's"
            )
        key = (fill.client_order_id, fill.fill_id)
        if event.kind == "fill":
            self._fills[key] = fill
            self._book(fill, 1)
            return
        named = (fill.client_order_id, fill.refers_to)
        root = self._corrected.get(named, named)
        undone = self._fills.get(root, fill if event.kind == "bust" else None)
        if undone is None and root not in self._fills:
            raise SchemaError(
                f"execution's event {event.seq} corrects fill {fill.refers_to[:40]!r}, which this gate has not seen: "
                "closed; compare its journal with the broker's"
            )
        if undone is not None:
            self._book(undone, -1)
        self._fills[root] = fill if event.kind == "correct" else None
        self._corrected[key] = root
        if event.kind == "correct":
            self._book(fill, 1)

    def _book(self, fill: Fill, sign: int) -> None:
        """Enter a fill, or take it out again."""
        signed = sign * (fill.qty_nano if fill.side == "buy" else -fill.qty_nano)
        self.holding(fill.symbol).position_nano += signed
        self.cash_nano -= notional_nano(fill.price_nano, signed, self._multiplier(fill.symbol)) + sign * fill.fee_nano
        self._revalue(fill.symbol)

    def _multiplier(self, symbol: str) -> int:
        instrument = self._instruments.get(symbol)
        return instrument.multiplier if instrument is not None else 1

    def _revalue(self, symbol: str) -> None:
        held, multiplier, price = self.holding(symbol), self._multiplier(symbol), self.prices.get(symbol)
        if price is not None:
            nano = price.nano
        else:
            nano = max((each.price_nano for each in self.reserved.values() if each.symbol == symbol), default=0)
        up = notional_nano(nano, held.position_nano + held.buys_nano, multiplier)
        down = notional_nano(nano, held.sells_nano - held.position_nano, multiplier)
        gross = max(up, down)
        self.gross_nano += gross - held.gross_nano
        self.up_nano += up - held.up_nano
        self.down_nano += down - held.down_nano
        held.gross_nano, held.up_nano, held.down_nano = gross, up, down

    def _equity(self) -> int | None:
        equity = self.cash_nano
        for symbol, held in self.holdings.items():
            if held.position_nano:
                price = self.prices.get(symbol)
                if price is None:
                    return None
                equity += notional_nano(price.nano, held.position_nano, self._instruments[symbol].multiplier)
        return equity


def newest_prices(snapshot: Snapshot) -> dict[str, Price]:
    """Return the newest price by symbol: the later of the last bar's close and the last quote's middle.

    A quote with one side missing says nothing and is passed over, and so is what is no number.
    """
    newest: dict[str, Price] = {
        bar.symbol: Price(bar.close_nano, bar.event_time_ns)
        for bar in snapshot.bars
        if is_whole(bar.close_nano, bar.event_time_ns)
    }
    for quote in snapshot.quotes:
        if not is_whole(quote.bid_nano, quote.ask_nano, quote.event_time_ns):
            continue
        known = newest.get(quote.symbol)
        if min(quote.bid_nano, quote.ask_nano) > 0 and (known is None or quote.event_time_ns >= known.event_time_ns):
            newest[quote.symbol] = _middle(quote)
    return newest


def is_whole(*values: int) -> bool:
    """Whether values that are typed as integers are: not what came past the types."""
    return all(value.__class__ is int for value in values)


def _middle(quote: Quote) -> Price:
    return Price((quote.bid_nano + quote.ask_nano) // 2, quote.event_time_ns, quote.bid_nano > quote.ask_nano)
