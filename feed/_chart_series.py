"""The buckets of one symbol in one timeframe: what a new bar costs is one addition, not a recomputation.

Not a calendar: where a bar belongs is told by ``feed._chart_spans``. A bar that comes late, twice or corrected makes
its bucket anew from the bars in it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from bus.messages import Bar
from feed._chart_spans import Span

__all__ = ["Bucket", "Part", "Series", "Total"]

Part = tuple[Bar, int]
"""A bar and how many base bars it stands for."""


class Total:
    """Bars folded into one, in the order of time. Prices and volume are exact integers."""

    __slots__ = ("available", "close", "count", "first", "high", "label", "last", "low", "open", "volume")

    def __init__(self, bar: Bar, weight: int) -> None:
        self.first = bar.open_time_ns
        self.last = bar.event_time_ns
        self.available = bar.available_time_ns
        self.open = bar.open_nano
        self.high = bar.high_nano
        self.low = bar.low_nano
        self.close = bar.close_nano
        self.volume = bar.volume_nano
        self.label = bar.session
        self.count = weight

    def fold(self, bar: Bar, weight: int) -> None:
        """Take in a later bar."""
        if bar.high_nano > self.high:
            self.high = bar.high_nano
        if bar.low_nano < self.low:
            self.low = bar.low_nano
        if bar.available_time_ns > self.available:
            self.available = bar.available_time_ns
        if bar.event_time_ns > self.last:
            self.last = bar.event_time_ns
        if bar.session != self.label:
            self.label = ""
        self.close = bar.close_nano
        self.volume += bar.volume_nano
        self.count += weight

    def bar(self, symbol: str, start: int, end: int) -> Bar:
        """Return it as a bar."""
        return Bar(
            symbol, start, end, self.available, self.open, self.high, self.low, self.close, self.volume, self.label
        )


class Bucket:
    """One bar to be: what is inside the session's hours and what is outside them, apart.

    The first is what counts; only where there is none is it made of the second.
    """

    __slots__ = ("date", "end", "extended", "outside", "regular", "start", "whole")

    def __init__(self, start: int, end: int, *, outside: bool, date: str, whole: bool = False) -> None:
        self.start = start
        self.end = end
        self.outside = outside
        self.date = date
        self.whole = whole
        self.regular: Total | None = None
        self.extended: Total | None = None

    def fold(self, bar: Bar, weight: int, *, extended: bool) -> None:
        """Take in a later bar."""
        if extended:
            if self.extended is None:
                self.extended = Total(bar, weight)
            else:
                self.extended.fold(bar, weight)
        elif self.regular is None:
            self.regular = Total(bar, weight)
        else:
            self.regular.fold(bar, weight)

    @property
    def count(self) -> int:
        """How many base bars of the session are in it."""
        return 0 if self.regular is None else self.regular.count

    def shown(self, symbol: str, now_ns: int) -> Bar:
        """Return the bar as it stands at a time; before its end it ends with the last bar in it."""
        if self.regular is not None:
            end = self.end if now_ns >= self.end else self.regular.last
            return self.regular.bar(symbol, self.start, end)
        assert self.extended is not None
        if self.outside:
            return self.extended.bar(symbol, self.start, self.end if now_ns >= self.end else self.extended.last)
        # A session day of which only the hours around it are known: its bar says when these were.
        return self.extended.bar(symbol, self.extended.first, self.extended.last)


class Series:
    """Buckets by their start, and the bars that they show.

    Bars of buckets that are complete are kept; only those after them are made again when they are asked for.
    """

    def __init__(self, symbol: str, keep: int, missing: Callable[[Bucket, int], int], *, trimmed: bool) -> None:
        self._symbol = symbol
        self._keep = keep
        self._missing_of = missing
        self.starts: list[int] = []
        self.buckets: list[Bucket] = []
        self._bars: list[Bar] = []
        self._missing: list[int] = []
        self._settled = 0
        self._asked_ns = 0
        self.trimmed = trimmed

    def add(self, bar: Bar, weight: int, place: Callable[[int, int], Span]) -> bool:
        """Take in a bar that is later than all others, and return whether it is outside the session's hours."""
        if self.buckets:
            last = self.buckets[-1]
            if last.start <= bar.open_time_ns and bar.event_time_ns <= last.end:
                self.fold_last(bar, weight, extended=last.outside)
                return last.outside
        span = place(bar.open_time_ns, bar.event_time_ns)
        self.add_at(bar, weight, span)
        return span.extended

    def add_at(self, bar: Bar, weight: int, span: Span) -> None:
        """Take in a bar that is later than all others, whose bucket is known."""
        if not self.buckets or self.buckets[-1].start != span.start:
            self._append(Bucket(span.start, span.end, outside=span.outside, date=span.date))
        self.fold_last(bar, weight, extended=span.extended)

    def fold_last(self, bar: Bar, weight: int, *, extended: bool) -> None:
        """Take a bar into the last bucket."""
        self.buckets[-1].fold(bar, weight, extended=extended)
        self._settled = min(self._settled, len(self.buckets) - 1)

    def remake(self, span: Span, parts: Iterable[Part], place: Callable[[int, int], Span]) -> None:
        """Make a bucket anew from the bars in it, in order; without any it goes."""
        bucket = Bucket(span.start, span.end, outside=span.outside, date=span.date)
        for bar, weight in parts:
            bucket.fold(bar, weight, extended=place(bar.open_time_ns, bar.event_time_ns).extended)
        self.put(bucket)

    def put(self, bucket: Bucket) -> None:
        """Set a bucket in place of the one with the same start; an empty one is taken out."""
        index = bisect_left(self.starts, bucket.start)
        there = index < len(self.starts) and self.starts[index] == bucket.start
        filled = bucket.regular is not None or bucket.extended is not None
        if not there and not filled:
            return
        self._settled = min(self._settled, index)
        if there and filled:
            self.buckets[index] = bucket
        elif there:
            del self.starts[index], self.buckets[index]
        else:
            self.starts.insert(index, bucket.start)
            self.buckets.insert(index, bucket)

    def find(self, start: int) -> Bucket | None:
        """Return the bucket that begins at a time."""
        index = bisect_left(self.starts, start)
        return self.buckets[index] if index < len(self.starts) and self.starts[index] == start else None

    def select(self, limit: int, now_ns: int, delay_ns: int, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Return the range of the last ``limit`` buckets that begin in ``[start_ns, end_ns)``, up to date."""
        self._settle(now_ns, delay_ns)
        high = bisect_left(self.starts, end_ns) if end_ns else len(self.starts)
        low = bisect_left(self.starts, start_ns) if start_ns else 0
        return max(low, high - limit, 0), max(high, low)

    def view(self, low: int, high: int) -> tuple[tuple[Bar, ...], tuple[int, ...]]:
        """Return the bars of a range that ``select`` gave and what is missing in each."""
        return tuple(self._bars[low:high]), tuple(self._missing[low:high])

    def _settle(self, now_ns: int, delay_ns: int) -> None:
        if now_ns < self._asked_ns:
            self._settled = 0
        self._asked_ns = now_ns
        first = self._settled
        del self._bars[first:], self._missing[first:]
        by_ns = now_ns - delay_ns
        for bucket in self.buckets[first:]:
            self._bars.append(bucket.shown(self._symbol, now_ns))
            self._missing.append(0 if bucket.whole else max(0, self._missing_of(bucket, by_ns)))
        while self._settled < len(self.buckets) and self.buckets[self._settled].end <= by_ns:
            self._settled += 1

    def _append(self, bucket: Bucket) -> None:
        self.starts.append(bucket.start)
        self.buckets.append(bucket)
        if len(self.starts) > 2 * self._keep:
            drop = len(self.starts) - self._keep
            del self.starts[:drop], self.buckets[:drop], self._bars[:drop], self._missing[:drop]
            self._settled = max(0, self._settled - drop)
            self.trimmed = True
