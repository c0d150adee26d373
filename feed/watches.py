"""The charts that somebody watches: one aligned set for each watch after every event.

Nothing is waited for. A minute that has not come is counted in ``Chart.missing``, a symbol whose newest bar has not
come is named in ``ChartSet.late``, and the set goes out. Not a publisher: who owns the watches publishes what is due.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from bus.errors import BusError
from bus.messages import Chart, ChartSet, Timeframe, WatchCharts

__all__ = ["MAX_CHARTS", "MAX_WATCHES", "Charts", "Watches", "chart_set", "check_charts"]

MAX_WATCHES = 64
"""The most sets that are kept rolling at once."""
MAX_CHARTS = 200
"""The most charts (symbols times timeframes) of one set."""
MAX_BARS = 10_000
"""The most bars of one chart."""
MAX_SET_BARS = 50_000
"""The most bars of one set: charts times limit."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Charts(Protocol):
    """What gives the charts: a ``feed.charts.ChartBook``, or who stands before one."""

    def chart(
        self, symbol: str, timeframe: Timeframe, limit: int, now_ns: int, *, start_ns: int = 0, end_ns: int = 0
    ) -> Chart:
        """Return the last bars of a symbol and timeframe."""
        ...

    def late(self, symbol: str, now_ns: int) -> bool:
        """Return whether the symbol's newest bar should be there and is not."""
        ...


def check_charts(symbols: tuple[str, ...], timeframes: tuple[Timeframe, ...], limit: int) -> None:
    """Refuse a set that is empty or too large.

    Raises:
        BusError: It is.
    """
    if not symbols or not timeframes:
        raise BusError("a chart needs at least one symbol and one timeframe; name them, for example SPY and 5Min")
    charts = len(set(symbols)) * len(set(timeframes))
    if charts > MAX_CHARTS:
        raise BusError(
            f"{charts:,} charts (symbols times timeframes) are too many; allowed is 1 to {MAX_CHARTS}: ask in parts"
        )
    most = min(MAX_BARS, MAX_SET_BARS // charts)
    if not 0 < limit <= most:
        raise BusError(
            f"a limit of {limit:,} bars is out of range; allowed is 1 to {most:,} with {charts} "
            f"chart{'s' * (charts > 1)}: take fewer bars, or fewer charts at once"
        )


def chart_set(
    charts: Charts,
    name: str,
    symbols: tuple[str, ...],
    timeframes: tuple[Timeframe, ...],
    limit: int,
    now_ns: int,
    *,
    start_ns: int = 0,
    end_ns: int = 0,
) -> ChartSet:
    """Return the charts of each symbol and timeframe at one instant, in the order they were named, each once."""
    made = tuple(
        charts.chart(symbol, timeframe, limit, now_ns, start_ns=start_ns, end_ns=end_ns)
        for symbol in dict.fromkeys(symbols)
        for timeframe in dict.fromkeys(timeframes)
    )
    late = tuple(sorted(symbol for symbol in set(symbols) if charts.late(symbol, now_ns)))
    return ChartSet(name, now_ns, made, late)


class Watches:
    """Named sets of charts. Not for several threads at once."""

    def __init__(self, charts: Charts | Callable[[], Charts]) -> None:
        """Start with none.

        Args:
            charts: What gives the charts, or what makes that when the first watch is asked for.
        """
        self._charts = charts
        self._asks: dict[str, WatchCharts] = {}

    def __len__(self) -> int:
        return len(self._asks)

    @property
    def asks(self) -> tuple[WatchCharts, ...]:
        """What is watched, by name."""
        return tuple(self._asks[name] for name in sorted(self._asks))

    def watch(self, ask: WatchCharts, now_ns: int) -> ChartSet:
        """Keep a set rolling and return it as it stands; the same name with other content takes its place.

        Raises:
            BusError: The name is not allowed, the set is empty or too large, or there are too many.
            NotOfferedError: A timeframe cannot be made of the bars there are.
        """
        if not _NAME.fullmatch(ask.name):
            raise BusError(
                f"{ask.name[:80]!r} cannot name a set of charts; allowed are up to 64 letters, digits, '.', '_' and '-'"
            )
        check_charts(ask.symbols, ask.timeframes, ask.limit)
        if ask.name not in self._asks and len(self._asks) >= MAX_WATCHES:
            raise BusError(
                f"{len(self._asks)} sets of charts are watched, which is the most; stop one with UnwatchCharts: "
                + ", ".join(sorted(self._asks))
            )
        made = self._set(ask, now_ns)
        self._asks[ask.name] = ask
        return made

    def unwatch(self, name: str) -> None:
        """Keep a set no more; one that is not watched is no error."""
        self._asks.pop(name, None)

    def due(self, now_ns: int) -> list[ChartSet]:
        """Return every set after an event, by name."""
        return [self._set(ask, now_ns) for ask in self.asks]

    def _set(self, ask: WatchCharts, now_ns: int) -> ChartSet:
        if callable(self._charts):
            self._charts = self._charts()
        return chart_set(self._charts, ask.name, ask.symbols, ask.timeframes, ask.limit, now_ns)
