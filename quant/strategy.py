"""What a strategy is: bars in, one signal out. Not a position and not an order: sizes are the trader's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bus.errors import ConfigError
from bus.messages import Bar, Signal

__all__ = ["STRATEGIES", "Strategy", "make_strategy"]

STRATEGIES = ("trend", "mean_reversion")
"""The strategies there are."""


class Strategy(Protocol):
    """A function of the last bars of one symbol."""

    @property
    def name(self) -> str:
        """How it is called."""
        ...

    @property
    def needs(self) -> int:
        """How many bars it looks at."""
        ...

    def signal(self, symbol: str, bars: Sequence[Bar]) -> Signal:
        """Return a direction (-1, 0, +1) and a strength in percent; 0 while there are too few bars.

        Args:
            symbol: Which.
            bars: Oldest first, none after now.
        """
        ...


def make_strategy(name: str) -> Strategy:
    """Return a strategy by name.

    Raises:
        ConfigError: There is none of that name.
    """
    from quant.mean_reversion import MeanReversion
    from quant.trend import Trend

    if name == "trend":
        return Trend()
    if name == "mean_reversion":
        return MeanReversion()
    raise ConfigError(f"desk.strategies: {name!r} is no strategy; allowed are {', '.join(STRATEGIES)}")
