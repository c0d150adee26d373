"""Trend following: a fast average above a slow one, by a margin that the range of the bars justifies.

Not a forecast: it is late at both ends, and pays for that in sideways markets.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus.messages import Bar, Signal
from quant.indicators import atr, closes, ema, highs, lows

__all__ = ["Trend"]


class Trend:
    """The distance between two exponential averages in units of the average true range."""

    def __init__(self, fast: int = 10, slow: int = 30, threshold: float = 0.25) -> None:
        """Set the periods.

        Args:
            fast: Bars of the fast average.
            slow: Bars of the slow average.
            threshold: Average true ranges that the averages must be apart.
        """
        self._fast = fast
        self._slow = slow
        self._threshold = threshold

    @property
    def name(self) -> str:
        """How it is called."""
        return "trend"

    @property
    def needs(self) -> int:
        """How many bars it looks at."""
        return self._slow * 4

    def signal(self, symbol: str, bars: Sequence[Bar]) -> Signal:
        """Return the direction of the fast average against the slow one."""
        if len(bars) <= self._slow:
            return Signal(symbol, 0, 0, self.name)
        close = closes(bars)
        distance = float(ema(close, self._fast)[-1] - ema(close, self._slow)[-1])
        spread = float(atr(highs(bars), lows(bars), close)[-1])
        if not spread > 0:
            return Signal(symbol, 0, 0, self.name)
        score = distance / spread
        if abs(score) < self._threshold:
            return Signal(symbol, 0, 0, self.name)
        return Signal(symbol, 1 if score > 0 else -1, min(100, round(abs(score) * 50)), self.name)
