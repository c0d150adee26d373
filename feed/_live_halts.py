"""Which symbols their venue has stopped from trading, and which it had at an earlier time.

Not a verdict: the gate refuses orders of what is stopped here. A resumption that was not heard, because the stream was
down, is seen from the next bar that opens later: nothing trades while it is stopped.
"""

from __future__ import annotations

from threading import Lock

from bus.messages import Bar

__all__ = ["Halts"]

_KEPT = 200


class Halts:
    """By symbol, when it was stopped and let go again. Safe for several threads."""

    def __init__(self) -> None:
        """Know of nothing that is stopped."""
        self._lock = Lock()
        self._told: dict[str, list[tuple[int, bool]]] = {}

    def tell(self, symbol: str, at_ns: int, *, halted: bool) -> bool:
        """Take in what the venue says; return whether it is news."""
        with self._lock:
            told = self._told.setdefault(symbol, [])
            if (told[-1][1] if told else False) == halted:
                return False
            told.append((max(at_ns, told[-1][0]) if told else at_ns, halted))
            del told[:-_KEPT]
            return True

    def saw(self, bar: Bar) -> None:
        """Take in a bar: one that opens after a halt began ends it."""
        with self._lock:
            told = self._told.get(bar.symbol)
            if told and told[-1][1] and bar.open_time_ns > told[-1][0]:
                told.append((bar.available_time_ns, False))

    def at(self, symbol: str, as_of_ns: int) -> bool:
        """Whether a symbol was known to be stopped at a time."""
        with self._lock:
            return next((halted for at_ns, halted in reversed(self._told.get(symbol, ())) if at_ns <= as_of_ns), False)
