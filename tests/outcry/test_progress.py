"""What a person sees of a run that goes on."""

from __future__ import annotations

import io

import pytest

from bus.messages import ClockTick, Progress
from outcry.progress import ProgressLine

MINUTE_NS = 60 * 10**9
START_NS = 1_381_152_600 * 10**9


def shown(ticks: list[ClockTick]) -> list[str]:
    stream = io.StringIO()
    line = ProgressLine(stream)
    for tick in ticks:
        line.show(Progress(tick, 1, 2, 3, 4, 100_000 * 10**9))
    line.end()
    return stream.getvalue().splitlines()


@pytest.mark.requirement("progress:lines")
def test_a_day_gives_a_line_every_tenth() -> None:
    lines = shown([ClockTick(START_NS + at * MINUTE_NS, at, 100, at == 99) for at in range(100)])
    assert [line.split()[0] for line in lines] == [f"{tenth * 10}%" for tenth in range(1, 11)]


@pytest.mark.requirement("progress:lines")
def test_a_live_market_has_no_end_and_gives_a_line_a_minute() -> None:
    lines = shown([ClockTick(START_NS + at * MINUTE_NS // 4, at, 0, False) for at in range(40)])
    assert len(lines) == 10
    assert all(line.startswith("live  2013-10-07") for line in lines)
