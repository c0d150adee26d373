"""Twelve checks as anybody would write them by hand, in plain Python over plain attributes: the gate's floor.

Not a gate: no reservations, no order id, no staleness of its own clock. What it does is what most systems do.
"""

from __future__ import annotations

from bus.messages import OrderIntent

__all__ = ["TwelveChecks"]

_SCALE = 1_000_000_000


class TwelveChecks:
    """Limits and state in attributes, and one method that looks at an order."""

    def __init__(self, symbol: str, price_nano: int, now_ns: int) -> None:
        """Know one symbol at a price."""
        self.killed = False
        self.symbols = {symbol}
        self.lots = {symbol: _SCALE}
        self.ticks = {symbol: 10_000_000}
        self.prices = {symbol: (price_nano, now_ns)}
        self.positions = {symbol: 0}
        self.now_ns = now_ns
        self.gross_nano = 0
        self.day_loss_nano = 0
        self.recent = 0
        self.max_qty_nano = 100_000 * _SCALE
        self.max_notional_nano = 20_000 * _SCALE
        self.max_position_nano = 25_000 * _SCALE
        self.max_gross_nano = 100_000 * _SCALE
        self.max_loss_nano = 2_000 * _SCALE
        self.max_recent = 60
        self.max_age_ns = 900 * _SCALE
        self.collar_bps = 500

    def check(self, order: OrderIntent) -> str:  # noqa: C901 - twelve checks are what it is
        """Return why not, or ``approved``."""
        if self.killed:
            return "killed"
        if order.symbol not in self.symbols:
            return "symbol"
        if order.qty_nano <= 0 or order.qty_nano % self.lots[order.symbol]:
            return "lot"
        if order.qty_nano > self.max_qty_nano:
            return "quantity"
        if order.limit_price_nano % self.ticks[order.symbol]:
            return "tick"
        reference, at_ns = self.prices[order.symbol]
        if self.now_ns - at_ns > self.max_age_ns:
            return "stale"
        price = order.limit_price_nano or reference
        if abs(price - reference) * 10_000 > reference * self.collar_bps:
            return "collar"
        worth = price * order.qty_nano // _SCALE
        if worth > self.max_notional_nano:
            return "notional"
        signed = order.qty_nano if order.side == "buy" else -order.qty_nano
        if abs(self.positions[order.symbol] + signed) * price // _SCALE > self.max_position_nano:
            return "position"
        if self.gross_nano + worth > self.max_gross_nano:
            return "gross"
        if self.day_loss_nano >= self.max_loss_nano:
            return "loss"
        if self.recent >= self.max_recent:
            return "rate"
        return "approved"
