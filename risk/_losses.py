"""The day's loss, the rolling loss and the drawdown of one client, from its equity at each instant.

Not a judge: ``risk.standing`` compares them with the limits. A deposit is no profit: it moves what losses are counted
from; money taken out counts as lost, because nothing else can tell it from a loss that was hidden.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Losses"]

_PARTS = 64


class Losses:
    """Where a client's losses are counted from.

    Attributes:
        day_start_nano: The equity that the day's loss is counted from.
        peak_nano: The best equity there was.
        recent_peak_nano: The best of the rolling window; kept up to a 64th of the window longer, never shorter.
    """

    def __init__(self, start_nano: int, window_ns: int) -> None:
        """Start with an equity.

        Args:
            start_nano: The first equity.
            window_ns: Of the rolling loss.
        """
        self.day_start_nano = start_nano
        self.peak_nano = start_nano
        self.recent_peak_nano = start_nano
        self._step_ns = -(-window_ns // _PARTS)
        self._best: deque[tuple[int, int]] = deque()

    def mark(self, now_ns: int, equity_nano: int) -> None:
        """Take in the equity of an instant."""
        part = now_ns // self._step_ns
        best = self._best
        while best and best[0][0] < part - _PARTS:
            best.popleft()
        newest = max(equity_nano, best[-1][1]) if best and best[-1][0] == part else equity_nano
        while best and (best[-1][1] <= newest or best[-1][0] == part):
            best.pop()
        best.append((part, newest))
        self.recent_peak_nano = best[0][1]
        self.peak_nano = max(self.peak_nano, equity_nano)

    def deposit(self, amount_nano: int) -> None:
        """Count losses from so much more."""
        self.day_start_nano += amount_nano
        self.peak_nano += amount_nano
        self.recent_peak_nano += amount_nano
        self._best = deque((part, nano + amount_nano) for part, nano in self._best)

    def carried(self) -> tuple[tuple[int, int], ...]:
        """Return the best of each part of the window, to be restored from."""
        return tuple(self._best)

    def restore(self, day_start_nano: int, peak_nano: int, best: tuple[tuple[int, int], ...]) -> None:
        """Go on from what was carried."""
        self.day_start_nano, self.peak_nano = day_start_nano, peak_nano
        self._best = deque(best)
        if best:
            self.recent_peak_nano = best[0][1]
