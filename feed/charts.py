"""Rolling charts of any symbol and timeframe, kept up to date by each bar instead of computed at each question.

Pure: no clock, no socket, no vendor. What is not known is not made up: a minute without a bar is counted as missing in
the bars above it, a bucket in which nothing came is not there, and a bar rolls with time, not with the bar at its edge.

The rules:

* Buckets count from the session's open (New York: 09:30, 10:30, …, 15:30; the last one is short, half days too); on a
  market that never closes from midnight UTC. A day is a session, a week the sessions of an ISO week, a month those of a
  month; such a bar opens with its first session and is complete at the close of its last.
* Bars outside the session's hours have buckets of their own: before the open counted back from it, after the close on
  from it. They are no part of a day's (week's, month's) bar, unless it has nothing else *so far*: then its bar is made
  of them, begins and ends with them, and is replaced as soon as the session has a bar. Bars on a date without session
  belong to the session that opens on that date or at its end, if any: a Sunday of currencies is before Monday's open.
* A base bar is in the bucket that it begins in; one that begins before the session's open and ends after it, in the
  session's first. Bars of the base length are shown as they came.
* ``event_time_ns`` of a bar is its bucket's end once that is past, before it the end of the last base bar in it;
  ``available_time_ns`` is the latest of its base bars; ``session`` is theirs where all have the same.
* Of base bars with the same open the one known later counts, among equals the one added last.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus.messages import Bar, Chart, Timeframe
from feed._chart_spans import Spans
from feed._chart_symbol import SymbolCharts
from feed.sessions import SessionCalendar

__all__ = ["ChartBook"]


class ChartBook:
    """The charts of many symbols on one calendar. Not for several threads at once."""

    def __init__(self, calendar: SessionCalendar, base_s: int, keep: int = 5_000, *, delay_ns: int = 0) -> None:
        """Start empty.

        Args:
            calendar: The venue's sessions.
            base_s: The length of the bars that will be added, in seconds.
            keep: How many bars of each timeframe are kept at least; of base bars also the whole session day of the
                oldest. A correction of what is older is left out.
            delay_ns: How long after its end a base bar may still be on its way before it counts as missing.
        """
        self._spans = Spans(calendar, base_s)
        self._base_s = base_s
        self._keep = keep
        self._delay_ns = delay_ns
        self._symbols: dict[str, SymbolCharts] = {}

    @property
    def timeframes(self) -> tuple[Timeframe, ...]:
        """What can be asked for, shortest first."""
        return self._spans.offered

    def add(self, bar: Bar) -> None:
        """Take in a base bar as it becomes available; it may be late, a duplicate or a correction."""
        self._of(bar.symbol).add(bar)

    def seed(self, symbol: str, timeframe: Timeframe, bars: Sequence[Bar]) -> None:
        """Take in older history of a timeframe: complete bars that end before the first base bar.

        Days may begin at midnight or at the open, weeks on Sunday or Monday: they are put on their sessions. They also
        serve the longer timeframes that can be made of them. Bars inside a day that do not begin where the calendar's
        buckets do are left out (10:00 is no 60-minute bar of New York); what reaches into the time of base bars is left
        out too. Bars of the base length are added as base bars.

        Raises:
            NotOfferedError: As ``chart``.
        """
        self._of(symbol).seed(timeframe, bars)

    def chart(
        self, symbol: str, timeframe: Timeframe, limit: int, now_ns: int, *, start_ns: int = 0, end_ns: int = 0
    ) -> Chart:
        """Return the last ``limit`` bars, of those that begin in ``[start_ns, end_ns)`` (0: open).

        Args:
            symbol: One that bars were added of; any other has an empty chart.
            timeframe: One of ``timeframes``.
            limit: At most so many bars.
            now_ns: The clock: nothing that was added became available after it.
            start_ns: Only bars that begin at it or after it.
            end_ns: Only bars that begin before it.

        Raises:
            NotOfferedError: The base bars are too long for the timeframe.
        """
        charts = self._symbols.get(symbol)
        if charts is None:
            self._spans.place(timeframe)
            return Chart(symbol, timeframe, ())
        series = charts.series(timeframe)
        low, high = series.select(limit, now_ns, self._delay_ns, start_ns, end_ns)
        bars, missing = series.view(low, high)
        forming = high > low and series.buckets[high - 1].end > now_ns
        return Chart(symbol, timeframe, bars, missing, forming, low > 0 or series.trimmed)

    def late(self, symbol: str, now_ns: int) -> bool:
        """Return whether the symbol's newest base bar should be there and is not; never so outside a session."""
        due = self._spans.newest_due(now_ns - self._delay_ns)
        charts = self._symbols.get(symbol)
        return due > 0 and (charts is None or charts.newest_ns < due)

    def _of(self, symbol: str) -> SymbolCharts:
        charts = self._symbols.get(symbol)
        if charts is None:
            charts = self._symbols[symbol] = SymbolCharts(symbol, self._spans, self._base_s, self._keep)
        return charts
