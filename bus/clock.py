"""The only place that reads the wall clock or waits.

Everything else is handed a time: simulated on a recorded day, real on a live one. A lint rule bans ``time.time`` and
its kin elsewhere. Not the simulated clock: that one belongs to the feed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["NS", "iso", "monotonic_ns", "sleep_s", "wall_ns"]

NS = 1_000_000_000
"""Nanoseconds in a second."""


def wall_ns() -> int:
    """Return the wall clock in UTC nanoseconds since 1970."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Return a clock that never goes back, in nanoseconds, for durations and deadlines."""
    return time.perf_counter_ns()


def sleep_s(seconds: float) -> None:
    """Wait; for back-off and pacing, never to make two things line up."""
    time.sleep(seconds)


def iso(ns: int) -> str:
    """Return UTC nanoseconds as ``2013-10-07 14:31:00Z`` (with fractions only where there are any)."""
    seconds, rest = divmod(ns, NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"
