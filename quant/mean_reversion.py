"""Mean reversion: far from its average and stretched, a price is expected to come back. Not for trending markets."""

from __future__ import annotations

from collections.abc import Sequence

from bus.messages import Bar, Signal
from quant.indicators import closes, rsi, zscore

__all__ = ["MeanReversion"]


class MeanReversion:
    """A distance from the moving average, in standard deviations, that the relative strength index confirms."""

    def __init__(self, period: int = 20, entry: float = 2.0) -> None:
        """Set the window.

        Args:
            period: Bars of the average.
            entry: Standard deviations from which a price counts as stretched.
        """
        self._period = period
        self._entry = entry

    @property
    def name(self) -> str:
        """How it is called."""
        return "mean_reversion"

    @property
    def needs(self) -> int:
        """How many bars it looks at."""
        return self._period * 4

    def signal(self, symbol: str, bars: Sequence[Bar]) -> Signal:
        """Return the direction back to the average."""
        if len(bars) < self._period:
            return Signal(symbol, 0, 0, self.name)
        close = closes(bars)
        distance = float(zscore(close, self._period)[-1])
        strength = float(rsi(close)[-1])
        stretched = (distance <= -self._entry and strength < 40) or (distance >= self._entry and strength > 60)
        if not stretched:
            return Signal(symbol, 0, 0, self.name)
        return Signal(symbol, -1 if distance > 0 else 1, min(100, round(abs(distance) * 30)), self.name)
