"""What a client holds and has promised, from its own fills: positions, cash, marks, and reservations gross per side.

Law 4: every order that may still fill is reserved on its own side; a buy never hides a sell. Not the account of
``execution``: the gate keeps its own and believes nobody's.
"""

from __future__ import annotations

import msgspec

from bus.fixed import notional_nano
from bus.messages import Instrument, OrderEvent, OrderIntent, Quote, Side, Snapshot

__all__ = ["Book", "Price", "Reservation"]

_DONE = frozenset({"filled", "canceled", "expired", "rejected"})
_NEVER_NS = 2**63 - 1


class Price(msgspec.Struct, frozen=True):
    """The newest price of a symbol and when it was true; ``crossed`` when the newest quote's bid is above its ask."""

    nano: int
    event_time_ns: int
    crossed: bool = False


class Reservation(msgspec.Struct):
    """An order that may still fill. ``seen`` is whether execution has told of it."""

    symbol: str
    side: Side
    remaining_nano: int
    price_nano: int
    expires_ns: int
    seen: bool = False


class Book:
    """Positions, cash, prices and reservations of one client.

    Attributes:
        cash_nano: Cash after fills and fees.
        day_start_nano: The equity that the day's loss is counted from.
        halted: Whether the day's loss has reached its limit at any instant of the day.
        positions: Signed quantity by symbol.
        prices: The newest price by symbol.
        reserved: What may still fill, by client order id.
        equity_nano: Cash and positions at their marks; None when a held symbol has no price.
    """

    def __init__(self, instruments: dict[str, Instrument], start_cash_nano: int) -> None:
        """Start flat.

        Args:
            instruments: By symbol; the caller may add to it.
            start_cash_nano: Cash before the first fill.
        """
        self._instruments = instruments
        self.cash_nano = start_cash_nano
        self.day_start_nano = start_cash_nano
        self.halted = False
        self.positions: dict[str, int] = {}
        self.prices: dict[str, Price] = {}
        self.reserved: dict[str, Reservation] = {}
        self.equity_nano: int | None = start_cash_nano
        self._open: dict[tuple[str, Side], int] = {}
        self._gross: dict[str, int] = {}
        self._gross_nano = 0

    # --- what happens ---------------------------------------------------------------------------------------------

    def reserve(self, intent: OrderIntent, price_nano: int, expires_ns: int) -> None:
        """Reserve an approved order on its side, whole."""
        self._hold(
            intent.client_order_id,
            Reservation(intent.symbol, intent.side, intent.qty_nano, price_nano, expires_ns),
        )

    def release(self, client_order_id: str, qty_nano: int | None = None) -> None:
        """Release all or part of a reservation, after a definite answer."""
        held = self.reserved.get(client_order_id)
        if held is None:
            return
        amount = held.remaining_nano if qty_nano is None else min(qty_nano, held.remaining_nano)
        held.remaining_nano -= amount
        self._open[held.symbol, held.side] -= amount
        if held.remaining_nano == 0:
            del self.reserved[client_order_id]
        self._revalue(held.symbol)

    def unsent(self, now_ns: int) -> list[str]:
        """Return the orders whose ticket has expired and of which execution has not told."""
        return [key for key, held in self.reserved.items() if not held.seen and held.expires_ns < now_ns]

    def apply(self, event: OrderEvent) -> None:
        """Take in one order event of execution's, in sequence.

        An order that works and is not reserved here (this gate's journal was lost, or it came late) is reserved now.

        Raises:
            KeyError: A fill of a symbol that the feed does not know.
        """
        fill = event.fill
        if fill is not None:
            signed = fill.qty_nano if fill.side == "buy" else -fill.qty_nano
            multiplier = self._instruments[fill.symbol].multiplier
            self.positions[fill.symbol] = self.positions.get(fill.symbol, 0) + signed
            self.cash_nano -= notional_nano(fill.price_nano, signed, multiplier) + fill.fee_nano
            self.release(event.client_order_id, fill.qty_nano)
            self._revalue(fill.symbol)
        if event.status in _DONE:
            self.release(event.client_order_id)
            return
        held = self.reserved.get(event.client_order_id)
        if held is not None:
            held.seen = True
        elif event.qty_nano > event.filled_nano:
            left = Reservation(event.symbol, event.side, event.qty_nano - event.filled_nano, 0, _NEVER_NS, seen=True)
            self._hold(event.client_order_id, left)

    def mark(self, snapshot: Snapshot) -> None:
        """Take in the newest prices: the later of the last bar's close and the last quote's middle.

        A quote with one side missing says nothing and is passed over. Values the whole book anew.
        """
        newest: dict[str, Price] = {bar.symbol: Price(bar.close_nano, bar.event_time_ns) for bar in snapshot.bars}
        for quote in snapshot.quotes:
            known = newest.get(quote.symbol)
            if min(quote.bid_nano, quote.ask_nano) > 0 and (
                known is None or quote.event_time_ns >= known.event_time_ns
            ):
                newest[quote.symbol] = _middle(quote)
        self.prices = newest
        for symbol in {*self.positions, *self._gross, *(held.symbol for held in self.reserved.values())}:
            self._revalue(symbol)
        self.equity_nano = self._equity()

    # --- what is asked --------------------------------------------------------------------------------------------

    def worst_qty(self, symbol: str, side: Side | None = None, qty_nano: int = 0) -> int:
        """Return the largest position, either side, that working orders and this one could leave.

        Args:
            symbol: Which.
            side: The new order's side; None for no new order.
            qty_nano: The new order's quantity.
        """
        position = self.positions.get(symbol, 0)
        buys = self._open.get((symbol, "buy"), 0) + (qty_nano if side == "buy" else 0)
        sells = self._open.get((symbol, "sell"), 0) + (qty_nano if side == "sell" else 0)
        return max(position + buys, sells - position)

    def working(self, symbol: str, side: Side) -> int:
        """Return what is reserved on one side of a symbol."""
        return self._open.get((symbol, side), 0)

    def reduces(self, symbol: str, side: Side, qty_nano: int) -> bool:
        """Whether an order, with everything working on its side, only shrinks the position and never flips it."""
        position = self.positions.get(symbol, 0)
        working = self._open.get((symbol, side), 0) + qty_nano
        return 0 < working <= (-position if side == "buy" else position)

    def gross_nano(self) -> int:
        """Return the gross worst-case notional over all symbols, at their marks.

        A symbol without a price counts at the price its orders were approved at.
        """
        return self._gross_nano

    def gross_with(self, symbol: str, side: Side, qty_nano: int, price_nano: int) -> int:
        """Return the gross worst-case notional with a new order, its symbol valued at ``price_nano``."""
        multiplier = self._instruments[symbol].multiplier
        worst = notional_nano(price_nano, self.worst_qty(symbol, side, qty_nano), multiplier)
        return self._gross_nano - self._gross.get(symbol, 0) + worst

    def reserved_nano(self) -> int:
        """Return the notional of everything reserved."""
        return sum(
            notional_nano(held.price_nano, held.remaining_nano, self._multiplier(held.symbol))
            for held in self.reserved.values()
        )

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _hold(self, client_order_id: str, held: Reservation) -> None:
        self.reserved[client_order_id] = held
        key = (held.symbol, held.side)
        self._open[key] = self._open.get(key, 0) + held.remaining_nano
        self._revalue(held.symbol)

    def _multiplier(self, symbol: str) -> int:
        instrument = self._instruments.get(symbol)
        return instrument.multiplier if instrument is not None else 1

    def _revalue(self, symbol: str) -> None:
        price = self.prices.get(symbol)
        if price is not None:
            nano = price.nano
        else:
            nano = max((held.price_nano for held in self.reserved.values() if held.symbol == symbol), default=0)
        worth = notional_nano(nano, self.worst_qty(symbol), self._multiplier(symbol))
        self._gross_nano += worth - self._gross.get(symbol, 0)
        self._gross[symbol] = worth

    def _equity(self) -> int | None:
        equity = self.cash_nano
        for symbol, qty in self.positions.items():
            if qty:
                price = self.prices.get(symbol)
                if price is None:
                    return None
                equity += notional_nano(price.nano, qty, self._instruments[symbol].multiplier)
        return equity


def _middle(quote: Quote) -> Price:
    return Price((quote.bid_nano + quote.ask_nano) // 2, quote.event_time_ns, quote.bid_nano > quote.ask_nano)
