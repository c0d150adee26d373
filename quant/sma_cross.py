"""A moving-average cross that costs the same at every bar: what replay speed is measured with. Not a recommendation."""

from __future__ import annotations

from collections import deque

__all__ = ["SmaCross"]


class SmaCross:
    """Two running sums; exact integers, so that nothing drifts."""

    def __init__(self, fast: int = 10, slow: int = 30) -> None:
        """Set the periods in bars."""
        self._fast = fast
        self._slow = slow
        self._window: deque[int] = deque()
        self._fast_sum = 0
        self._slow_sum = 0

    def on_close(self, close_nano: int) -> int:
        """Take a closing price; return +1 when the fast average is above the slow one, -1 below, 0 early or equal."""
        window = self._window
        window.append(close_nano)
        self._fast_sum += close_nano
        self._slow_sum += close_nano
        if len(window) > self._fast:
            self._fast_sum -= window[-self._fast - 1]
        if len(window) < self._slow:
            return 0
        if len(window) > self._slow:
            self._slow_sum -= window.popleft()
        difference = self._fast_sum * self._slow - self._slow_sum * self._fast
        return (difference > 0) - (difference < 0)
