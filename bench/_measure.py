"""Percentiles and the one record that every benchmark answers with. Not a profiler."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bus.clock import monotonic_ns

__all__ = ["Result", "interleaved", "percentile", "pinned", "result"]


@dataclass(frozen=True)
class Result:
    """A figure and its floor.

    Attributes:
        name: What was measured.
        unit: Of ``floor``, ``ours`` and ``p99``.
        floor: The median of the least that could do it, in the same run.
        ours: The median of ours.
        ratio: ``ours / floor``.
        p99: The 99th percentile of ours.
        floor_p99: The 99th percentile of the floor, where it was measured call by call: what the machine itself does.
    """

    name: str
    unit: str
    floor: float
    ours: float
    ratio: float
    p99: float
    floor_p99: float | None = None


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least ``share`` (0 to 1) of all do not exceed.

    Raises:
        ValueError: There are no samples.
    """
    if not samples:
        raise ValueError("no samples: measure at least one round")
    ordered = sorted(samples)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


def result(name: str, unit: str, floor: Sequence[float], ours: Sequence[float]) -> Result:
    """Return the record of two lists of samples."""
    low, mid = percentile(floor, 0.5), percentile(ours, 0.5)
    return Result(
        name,
        unit,
        round(low, 3),
        round(mid, 3),
        round(mid / low, 3),
        round(percentile(ours, 0.99), 3),
        round(percentile(floor, 0.99), 3),
    )


def interleaved(
    floor: Callable[[], object],
    ours: Callable[[], object],
    rounds: int,
    block: int = 50,
    before: Callable[[], object] | None = None,
) -> tuple[list[float], list[float]]:
    """Time two calls in alternating blocks, so that a busy moment of the machine hits both.

    Args:
        floor: The one.
        ours: The other.
        rounds: Calls of each.
        block: Calls before it changes over.
        before: Done before each block, and not timed.

    Returns:
        Microseconds a call, of each.
    """
    samples: tuple[list[float], list[float]] = ([], [])
    for call in (floor, ours):
        for number in range(min(rounds, 200)):
            if before is not None and number % block == 0:
                before()
            call()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(max(1, rounds // block)):
            for call, into in zip((floor, ours), samples, strict=True):
                if before is not None:
                    before()
                for _ in range(block):
                    start = monotonic_ns()
                    call()
                    into.append((monotonic_ns() - start) / 1000)
    finally:
        if collecting:
            gc.enable()
    return samples


@contextmanager
def pinned() -> Generator[None]:
    """Keep this process, and what it starts, on one core: where two processes meet decides more than the code."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    if allowed:
        os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        if allowed:
            os.sched_setaffinity(0, allowed)
