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
    """Positions, cash, prices and reservations of one client."""

    def __init__(self, instruments: dict[str, Instrument], start_cash_nano: int) -> None:
        """Start flat.

        Args:
            instruments: By symbol.
            start_cash_nano: Cash before the first fill.
        """
        self._instruments = instruments
        self.start_nano = start_cash_nano
        self.cash_nano = start_cash_nano
        self.positions: dict[str, int] = {}
        self.prices: dict[str, Price] = {}
        self.reserved: dict[str, Reservation] = {}
        self._open: dict[tuple[str, Side], int] = {}

    # --- what happens ---------------------------------------------------------------------------------------------

    def reserve(self, intent: OrderIntent, price_nano: int, expires_ns: int) -> None:
        """Reserve an approved order on its side, whole."""
        self.reserved[intent.client_order_id] = Reservation(
            intent.symbol, intent.side, intent.qty_nano, price_nano, expires_ns
        )
        key = (intent.symbol, intent.side)
        self._open[key] = self._open.get(key, 0) + intent.qty_nano

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

    def release_unsent(self, now_ns: int) -> None:
        """Release what was approved and never sent: its ticket has expired, so it cannot be sent any more."""
        for order_id in [key for key, held in self.reserved.items() if not held.seen and held.expires_ns < now_ns]:
            self.release(order_id)

    def apply(self, event: OrderEvent) -> None:
        """Take in one order event of execution's."""
        held = self.reserved.get(event.client_order_id)
        if held is not None:
            held.seen = True
        fill = event.fill
        if fill is not None:
            signed = fill.qty_nano if fill.side == "buy" else -fill.qty_nano
            multiplier = self._instruments[fill.symbol].multiplier
            self.positions[fill.symbol] = self.positions.get(fill.symbol, 0) + signed
            self.cash_nano -= notional_nano(fill.price_nano, signed, multiplier) + fill.fee_nano
            self.release(event.client_order_id, fill.qty_nano)
        if event.status in _DONE:
            self.release(event.client_order_id)

    def mark(self, snapshot: Snapshot) -> None:
        """Take in the newest prices: the later of the last trade bar's close and the last quote's middle."""
        newest: dict[str, Price] = {bar.symbol: Price(bar.close_nano, bar.event_time_ns) for bar in snapshot.bars}
        for quote in snapshot.quotes:
            known = newest.get(quote.symbol)
            if known is None or quote.event_time_ns >= known.event_time_ns:
                newest[quote.symbol] = _middle(quote)
        self.prices = newest

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
        return max(abs(position), abs(position + buys), abs(position - sells))

    def reduces(self, symbol: str, side: Side, qty_nano: int) -> bool:
        """Whether an order, with everything working on its side, only shrinks the position and never flips it."""
        position = self.positions.get(symbol, 0)
        working = self._open.get((symbol, side), 0) + qty_nano
        return 0 < working <= (-position if side == "buy" else position)

    def gross_nano(self, symbol: str = "", side: Side | None = None, qty_nano: int = 0) -> int:
        """Return the gross worst-case notional over all symbols, with a new order in one of them.

        A symbol without a price counts at the price its orders were approved at.
        """
        symbols = {name for name, qty in self.positions.items() if qty}
        symbols.update(held.symbol for held in self.reserved.values())
        if symbol:
            symbols.add(symbol)
        total = 0
        for name in symbols:
            worst = self.worst_qty(name, side, qty_nano) if name == symbol else self.worst_qty(name)
            total += abs(notional_nano(self._valuation(name), worst, self._instruments[name].multiplier))
        return total

    def equity_nano(self) -> int | None:
        """Return cash and positions at their marks; None when a held symbol has no price."""
        equity = self.cash_nano
        for symbol, qty in self.positions.items():
            if qty:
                price = self.prices.get(symbol)
                if price is None:
                    return None
                equity += notional_nano(price.nano, qty, self._instruments[symbol].multiplier)
        return equity

    def reserved_nano(self) -> int:
        """Return the notional of everything reserved."""
        return sum(
            abs(notional_nano(held.price_nano, held.remaining_nano, self._instruments[held.symbol].multiplier))
            for held in self.reserved.values()
        )

    def _valuation(self, symbol: str) -> int:
        price = self.prices.get(symbol)
        if price is not None:
            return price.nano
        return max((held.price_nano for held in self.reserved.values() if held.symbol == symbol), default=0)


def _middle(quote: Quote) -> Price:
    return Price((quote.bid_nano + quote.ask_nano) // 2, quote.event_time_ns, quote.bid_nano > quote.ask_nano)
