"""Half-open ranges of nanoseconds: what has been fetched, and what of a question is still missing.

Not times of a market: a range says only that the vendor was asked about it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["FOREVER", "Range", "Ranges", "minus"]

Range = tuple[int, int]
FOREVER = 2**62
"""Later than any time that is asked about."""


def minus(asked: Range, taken: Iterable[Range]) -> list[Range]:
    """Return what is left of a range without others, in order."""
    left = [asked] if asked[0] < asked[1] else []
    for start, end in taken:
        kept: list[Range] = []
        for low, high in left:
            if end <= low or high <= start:
                kept.append((low, high))
                continue
            if low < start:
                kept.append((low, start))
            if end < high:
                kept.append((end, high))
        left = kept
    return left


class Ranges:
    """A set of nanoseconds as disjoint ranges that do not touch, in order."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> Range:
        """Add a range, merged with those it overlaps or touches.

        Returns:
            The range that it is part of now; an empty one stays what it was.
        """
        if start >= end:
            return start, end
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        return start, end

    def missing(self, start: int, end: int) -> list[Range]:
        """Return what of a range is not in the set, in order."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        return minus((start, end), zip(self._starts[first:last], self._ends[first:last], strict=True))

    def __iter__(self) -> Iterator[Range]:
        return zip(self._starts, self._ends, strict=True)
