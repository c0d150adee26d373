"""When a streamed candle is complete, and whether what is said of it is new. Not a chart: it keeps minutes, not days.

Exchanges send the forming candle again and again and rarely say which word is the last one. A candle is complete when
a later one has come or when the clock has passed its end by a grace; what changes after that is a correction.
"""

from __future__ import annotations

from bus.clock import NS
from bus.messages import Bar

__all__ = ["Candles"]

_KEPT = 32


class Candles:
    """The candles of one symbol and timeframe."""

    def __init__(self, from_ns: int, grace_ns: int = 2 * NS) -> None:
        """Take candles that end after ``from_ns``; those before are history, which is asked for."""
        self._from_ns = from_ns
        self._grace_ns = grace_ns
        self._kept: dict[int, Bar] = {}
        self._given: dict[int, Bar] = {}

    def take(self, bar: Bar, now_ns: int) -> list[Bar]:
        """Take a candle as it reads now; return the bars that are complete and not given like this yet."""
        if bar.event_time_ns <= self._from_ns or self._kept.get(bar.open_time_ns) == bar:
            return []
        if len(self._kept) >= _KEPT:
            oldest = min(self._kept)
            if bar.open_time_ns < oldest:
                return []
            if bar.open_time_ns not in self._kept:
                del self._kept[oldest]
                self._given.pop(oldest, None)
        self._kept[bar.open_time_ns] = bar
        return self.due(now_ns)

    def due(self, now_ns: int) -> list[Bar]:
        """Return the bars that are complete and not given like this yet, oldest first."""
        newest = max(self._kept, default=0)
        ready = [
            bar
            for at_ns, bar in sorted(self._kept.items())
            if (at_ns < newest or bar.event_time_ns + self._grace_ns <= now_ns) and self._given.get(at_ns) != bar
        ]
        self._given.update((bar.open_time_ns, bar) for bar in ready)
        return ready

    def interrupted(self) -> None:
        """Forget what is not complete: its last word may have been lost with the connection."""
        self._kept = {at_ns: bar for at_ns, bar in self._kept.items() if self._given.get(at_ns) == bar}
