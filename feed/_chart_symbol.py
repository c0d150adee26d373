"""One symbol's base bars and the timeframes that were asked for, kept up to date together.

Not a place of calendars or of answers: those are ``feed._chart_spans`` and ``feed.charts``. A bar in the order of time
is added to the last bucket of each timeframe; any other makes the bucket it belongs to anew from the bars in it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from bus.messages import Bar, Timeframe
from feed._chart_series import Bucket, Part, Series
from feed._chart_spans import FINE, Group, Span, Spans

__all__ = ["SymbolCharts"]

_GROUPS: tuple[Timeframe, ...] = ("1Week", "1Month")
_NEAR_NS = 4 * 86_400 * 1_000_000_000
Place = Callable[[int, int], Span]


class SymbolCharts:
    """The charts of one symbol."""

    def __init__(self, symbol: str, spans: Spans, base_s: int, keep: int) -> None:
        self._symbol = symbol
        self._spans = spans
        self._base_s = base_s
        self._keep = keep
        self._trim_at = 2 * keep
        self._bars: list[Bar] = []
        self._opens: list[int] = []
        self._cut = False
        self._seeds: dict[Timeframe, list[Bar]] = {}
        self._inner: dict[Timeframe, tuple[Series, Place, list[Part]]] = {}
        self._groups: dict[Timeframe, Series] = {}

    @property
    def newest_ns(self) -> int:
        """When the newest base bar ended; 0 without one."""
        return self._bars[-1].event_time_ns if self._bars else 0

    # -- bars ----------------------------------------------------------------------------------------------------------

    def add(self, bar: Bar) -> None:
        """Take in a base bar, in the order of time or not; of two with the same open the one known later counts."""
        if self._opens and bar.open_time_ns <= self._opens[-1]:
            self._correct(bar)
            return
        if not self._opens and self._seeds:
            self._rebuild()
        self._bars.append(bar)
        self._opens.append(bar.open_time_ns)
        extended = False
        for timeframe, (series, place, _) in self._inner.items():
            outside = series.add(bar, 1, place)
            if timeframe == "1Day":
                extended = outside
        for timeframe, series in self._groups.items():
            day = self._inner["1Day"][0].buckets[-1]
            series.add_at(bar, 1, _span_of(self._spans.group(timeframe, day.date), day.date, extended=extended))
        if len(self._bars) > self._trim_at:
            self._trim()

    def _correct(self, bar: Bar) -> None:
        if self._cut and bar.open_time_ns < self._opens[0]:
            return
        index = bisect_left(self._opens, bar.open_time_ns)
        changed = (bar,)
        if self._opens[index] == bar.open_time_ns:
            old = self._bars[index]
            if bar == old or bar.available_time_ns < old.available_time_ns:
                return
            changed = (old, bar)
            self._bars[index] = bar
        else:
            self._bars.insert(index, bar)
            self._opens.insert(index, bar.open_time_ns)
            if index == 0 and self._seeds:
                self._rebuild()
                return
        for series, place, seeded in self._inner.values():
            spans = {(span := place(one.open_time_ns, one.event_time_ns)).start: span for one in changed}
            for span in spans.values():
                series.remake(span, self._parts(span.start, index, place, seeded), place)
        if self._groups:
            dates = {self._spans.day(one.open_time_ns, one.event_time_ns).date for one in changed}
            for timeframe, series in self._groups.items():
                for date in dates:
                    series.put(self._grouped(timeframe, date))

    def _rebuild(self) -> None:
        """Build again at the next question: the history before the first base bar is another one now."""
        self._inner.clear()
        self._groups.clear()

    def _parts(self, start: int, index: int, place: Place, seeded: list[Part]) -> list[Part]:
        """Return what belongs to a bucket, in order, searched around a base bar."""

        def inside(bar: Bar) -> bool:
            return place(bar.open_time_ns, bar.event_time_ns).start == start

        first = index
        while first > 0 and inside(self._bars[first - 1]):
            first -= 1
        after = index if inside(self._bars[index]) else index + 1
        while after < len(self._bars) and inside(self._bars[after]):
            after += 1
        parts = [part for part in seeded if inside(part[0])] if first == 0 else []
        return parts + [(bar, 1) for bar in self._bars[first:after] if inside(bar)]

    def _trim(self) -> None:
        """Forget base bars before the session day of the oldest that is to be kept."""
        at = len(self._bars) - self._keep
        day = self._spans.day(self._opens[at], self._bars[at].event_time_ns).start
        while at > 0 and self._spans.day(self._opens[at - 1], self._bars[at - 1].event_time_ns).start == day:
            at -= 1
        if at > 0:
            del self._bars[:at], self._opens[:at]
            self._cut = True
        self._trim_at = len(self._bars) + self._keep

    # -- history before the first base bar -----------------------------------------------------------------------------

    def seed(self, timeframe: Timeframe, bars: Sequence[Bar]) -> None:
        """Take in older bars of a timeframe; see ``ChartBook.seed``."""
        place = self._spans.place(timeframe)
        if FINE.get(timeframe) == self._base_s:
            for bar in bars:
                self.add(bar)
            return
        kept = {bar.open_time_ns: bar for bar in self._seeds.get(timeframe, ())}
        for bar in bars:
            aligned = timeframe not in FINE or place(bar.open_time_ns, bar.event_time_ns).start == bar.open_time_ns
            known = kept.get(bar.open_time_ns)
            if aligned and (known is None or known.available_time_ns <= bar.available_time_ns):
                kept[bar.open_time_ns] = bar
        if not kept:
            return
        self._seeds[timeframe] = [kept[at] for at in sorted(kept)]
        if timeframe not in _GROUPS:
            fed: list[Timeframe] = [one for one in self._inner if one == timeframe or self._feeds(timeframe, one)]
            for one in fed:
                del self._inner[one]
            self._groups.clear()
        self._groups.pop(timeframe, None)

    def _feeds(self, finer: Timeframe, timeframe: Timeframe) -> bool:
        seconds = FINE.get(timeframe)
        return finer in FINE and (seconds is None or (FINE[finer] < seconds and seconds % FINE[finer] == 0))

    def _seeded(self, timeframe: Timeframe, place: Place) -> list[Part]:
        """Return the history that a timeframe is built on: of what it can be made of, what reaches back furthest."""
        usable: list[Timeframe] = [one for one in self._seeds if one == timeframe or self._feeds(one, timeframe)]
        if not usable:
            return []
        source = min(usable, key=self._reach)
        first = self._opens[0] if self._opens else None
        own = self._spans.place(source)
        parts: list[Part] = []
        for bar in self._seeds[source]:
            if first is None or place(bar.open_time_ns, bar.event_time_ns).end <= first:
                span = own(bar.open_time_ns, bar.event_time_ns)
                parts.append((bar, max(1, self._spans.due(span.start, span.end, span.end))))
        return parts

    def _reach(self, timeframe: Timeframe) -> tuple[int, int]:
        return self._seeds[timeframe][0].open_time_ns, -FINE.get(timeframe, 86_400)

    # -- series --------------------------------------------------------------------------------------------------------

    def series(self, timeframe: Timeframe) -> Series:
        """Return the buckets of a timeframe, built when it is asked for the first time.

        Raises:
            NotOfferedError: It cannot be made of these base bars.
        """
        if timeframe in _GROUPS:
            return self._groups.get(timeframe) or self._build_groups(timeframe)
        known = self._inner.get(timeframe)
        if known is not None:
            return known[0]
        place = self._spans.place(timeframe)
        series = Series(self._symbol, self._keep, self._missing(timeframe), trimmed=self._cut)
        seeded = self._seeded(timeframe, place)
        for bar, weight in seeded:
            series.add(bar, weight, place)
        for bar in self._bars:
            series.add(bar, 1, place)
        self._inner[timeframe] = (series, place, seeded)
        return series

    def _missing(self, timeframe: Timeframe) -> Callable[[Bucket, int], int]:
        due = self._spans.due
        if FINE.get(timeframe) == self._base_s:
            return lambda _bucket, _by_ns: 0
        return lambda bucket, by_ns: 0 if bucket.outside else due(bucket.start, bucket.end, by_ns) - bucket.count

    def _build_groups(self, timeframe: Timeframe) -> Series:
        spans = self._spans
        spans.place(timeframe)
        days = self.series("1Day")

        def missing(bucket: Bucket, by_ns: int) -> int:
            lacking = 0
            for session in spans.group(timeframe, bucket.date).sessions:
                due = spans.due(session.open_ns, session.close_ns, by_ns)
                if due:
                    day = days.find(session.open_ns)
                    lacking += max(0, due - (day.count if day is not None else 0))
            return lacking

        series = Series(self._symbol, self._keep, missing, trimmed=days.trimmed)
        for day in days.buckets:
            group = spans.group(timeframe, day.date)
            for bar, weight, extended in _totals(self._symbol, day):
                series.add_at(bar, weight, _span_of(group, day.date, extended=extended))
        for bar in self._seeds.get(timeframe, ()):
            # The middle of a bar is in its week whether the vendor begins the week on Sunday or on Monday.
            date = spans.day((bar.open_time_ns + bar.event_time_ns) // 2, bar.event_time_ns).date
            group = spans.group(timeframe, date)
            if not self._opens or group.end <= self._opens[0]:
                bucket = Bucket(group.start, group.end, outside=not group.sessions, date=date, whole=True)
                bucket.fold(bar, 1, extended=not group.sessions)
                series.put(bucket)
        self._groups[timeframe] = series
        return series

    def _grouped(self, timeframe: Timeframe, date: str) -> Bucket:
        """Return the bucket of the week or month of a date, made anew of its days."""
        group = self._spans.group(timeframe, date)
        bucket = Bucket(group.start, group.end, outside=not group.sessions, date=date)
        for day in self._days(timeframe, group):
            for bar, weight, extended in _totals(self._symbol, day):
                bucket.fold(bar, weight, extended=extended)
        return bucket

    def _days(self, timeframe: Timeframe, group: Group) -> Iterator[Bucket]:
        days = self._inner["1Day"][0]
        for at in range(bisect_left(days.starts, group.start - _NEAR_NS), len(days.starts)):
            if days.starts[at] > group.end + _NEAR_NS:
                return
            if self._spans.group(timeframe, days.buckets[at].date).start == group.start:
                yield days.buckets[at]


def _totals(symbol: str, day: Bucket) -> Iterator[tuple[Bar, int, bool]]:
    """Give what is in a day's bucket, in the session and outside it."""
    for total, extended in ((day.extended, True), (day.regular, False)):
        if total is not None:
            yield total.bar(symbol, total.first, total.last), total.count, extended


def _span_of(group: Group, date: str, *, extended: bool) -> Span:
    return Span(group.start, group.end, extended, not group.sessions, date)
