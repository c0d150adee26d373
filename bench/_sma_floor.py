"""Floors for the replay: the same bars and the same crossing averages, without a gate, a journal or a message.

Not a strategy of the desk and not a dependency: backtesting.py (AGPL) is measured only where somebody installed it.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections import deque
from collections.abc import Sequence
from typing import Any

from bus.clock import monotonic_ns
from bus.messages import Bar

__all__ = ["FAST", "SLOW", "Crossing", "backtesting_rate", "bare_loop", "has_backtesting"]

FAST, SLOW = 10, 30
"""Bars of the two averages."""


class Crossing:
    """The two averages of one symbol over its closes in billionths, as running sums."""

    __slots__ = ("_fast", "_slow", "_sum_fast", "_sum_slow", "long")

    def __init__(self) -> None:
        self._fast: deque[int] = deque()
        self._slow: deque[int] = deque()
        self._sum_fast = self._sum_slow = 0
        self.long = False

    def update(self, close_nano: int) -> int:
        """Take a close and return +1 where the fast average rose above the slow one, -1 where it fell, else 0."""
        self._fast.append(close_nano)
        self._slow.append(close_nano)
        self._sum_fast += close_nano
        self._sum_slow += close_nano
        if len(self._fast) > FAST:
            self._sum_fast -= self._fast.popleft()
        if len(self._slow) <= SLOW:
            return 0
        self._sum_slow -= self._slow.popleft()
        above = self._sum_fast * SLOW > self._sum_slow * FAST
        if above == self.long:
            return 0
        self.long = above
        return 1 if above else -1


def bare_loop(bars: Sequence[Bar], qty: int) -> tuple[int, int]:
    """Trade every crossing at the next open, with half a spread and a fee, and mark every bar.

    Args:
        bars: In time order, all symbols.
        qty: Units a trade.

    Returns:
        The equity in billionths and the number of fills: what the loop must not be optimised away for.
    """
    cash = 100_000 * 10**9
    fee = 10**9
    crossings: dict[str, Crossing] = {}
    held: dict[str, int] = {}
    marks: dict[str, int] = {}
    waiting: dict[str, int] = {}
    equity, fills = cash, 0
    for bar in bars:
        symbol = bar.symbol
        side = waiting.pop(symbol, 0)
        if side:
            price = bar.open_nano + side * bar.open_nano // 10_000
            cash -= side * qty * price + fee
            held[symbol] = held.get(symbol, 0) + side * qty
            fills += 1
        close = bar.close_nano
        equity += held.get(symbol, 0) * (close - marks.get(symbol, close))
        marks[symbol] = close
        crossing = crossings.get(symbol)
        if crossing is None:
            crossing = crossings[symbol] = Crossing()
        turn = crossing.update(close)
        if turn > 0 or (turn < 0 and held.get(symbol, 0) > 0):
            waiting[symbol] = turn
    return cash + sum(held[symbol] * marks[symbol] for symbol in held), fills


def has_backtesting() -> bool:
    """Return whether backtesting.py is importable here."""
    return importlib.util.find_spec("backtesting") is not None


def backtesting_rate(bars: Sequence[Bar]) -> float:
    """Return the bars a second that backtesting.py replays, one symbol after the other, averages computed up front."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backtesting: Any = importlib.import_module("backtesting")
        pandas: Any = importlib.import_module("pandas")

        class Cross(backtesting.Strategy):
            def init(self) -> None:
                close = pandas.Series(self.data.Close)
                self.fast = self.I(lambda: close.rolling(FAST).mean())
                self.slow = self.I(lambda: close.rolling(SLOW).mean())

            def next(self) -> None:
                above = self.fast[-1] > self.slow[-1]
                if above and not self.position:
                    self.buy(size=10)
                elif not above and self.position:
                    self.position.close()

        by_symbol: dict[str, list[Bar]] = {}
        for bar in bars:
            by_symbol.setdefault(bar.symbol, []).append(bar)
        tests: list[Any] = []
        for own in by_symbol.values():
            frame = pandas.DataFrame(
                {
                    "Open": [bar.open_nano / 1e9 for bar in own],
                    "High": [bar.high_nano / 1e9 for bar in own],
                    "Low": [bar.low_nano / 1e9 for bar in own],
                    "Close": [bar.close_nano / 1e9 for bar in own],
                    "Volume": [bar.volume_nano / 1e9 for bar in own],
                },
                index=pandas.to_datetime([bar.event_time_ns for bar in own], unit="ns"),
            )
            tests.append(backtesting.Backtest(frame, Cross, cash=100_000, spread=0.0002, commission=(1, 0.0)))
        started = monotonic_ns()
        for test in tests:
            test.run()
        return len(bars) * 1e9 / (monotonic_ns() - started)
