"""Bars and prices as short text: integers to decimals without a float or a Decimal, and each bar once.

Not an answer: ``ohlc`` puts these lines under a first line that says as of when.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bus.clock import NS
from bus.fixed import SCALE
from bus.messages import Bar, Chart, Instrument

__all__ = ["CSV_HEADER", "BarTexts", "RenderedChart", "decimals", "decimals_of", "rounded"]

CSV_HEADER = "open_time,open,high,low,close,volume,missing"
"""Of a chart for programs: times are UTC seconds, ``missing`` is how many base bars a bar lacks."""
_NONE_MISSING = ",0"
_NINE = 9
_DATED = ("1Day", "1Week", "1Month")
_MOST_CHARTS = 200
_MOST_BARS = 5_000
_SIGNIFICANT = 4


@lru_cache(maxsize=64)
def decimals_of(step_nano: int) -> int:
    """Return how many decimal places a tick or a lot has: 2 for 0.25, 0 for 5."""
    places = _NINE
    while places and step_nano % 10 ** (_NINE - places + 1) == 0:
        places -= 1
    return places


def decimals(nano: int, places: int) -> str:
    """Return billionths as a plain decimal with at least ``places`` places, and with more where it has more."""
    unit = 10 ** (_NINE - places)
    count, rest = divmod(abs(nano), unit)
    sign = "-" if nano < 0 else ""
    if rest:
        whole, part = divmod(abs(nano), SCALE)
        return f"{sign}{whole}." + f"{part:09d}".rstrip("0")
    if not places:
        return f"{sign}{count}"
    text = f"{count:0{places + 1}d}"
    return f"{sign}{text[:-places]}.{text[-places:]}"


def rounded(nano: int) -> str:
    """Return a quantity of at least one with four significant digits (all of its whole part); smaller ones exactly."""
    if nano % SCALE == 0 or nano < SCALE:
        return decimals(nano, 0)
    step = 10 ** (_NINE - max(0, _SIGNIFICANT - len(str(nano // SCALE))))
    return decimals((2 * nano + step) // (2 * step) * step, 0)


class RenderedChart(NamedTuple):
    """The lines of a chart for reading, its bars as CSV for programs, and what the marks in the lines stand for."""

    lines: list[str]
    csv: str
    legend: str


class _Line(NamedTuple):
    bar: Bar
    day: str
    text: str
    row: str


class BarTexts:
    """Lines of bars, each made once: asked again, only a bar that changed is made anew."""

    def __init__(self) -> None:
        """Start with none."""
        self._charts: dict[tuple[str, ...], dict[int, _Line]] = {}
        self._whole: dict[tuple[tuple[str, ...], int], tuple[Chart, RenderedChart]] = {}

    def chart(self, chart: Chart, instrument: Instrument, zone: ZoneInfo) -> RenderedChart:
        """Render a chart.

        A line ``2024-03-13 EDT`` says the date of those after it. Marks: ``^n`` n bars are missing before this one,
        ``-n`` n base bars are missing in it, ``*`` it is still forming.
        """
        places = decimals_of(instrument.tick_nano)
        key = (chart.symbol, chart.timeframe, zone.key, str(places), str(instrument.has_volume))
        same = self._whole.get((key, len(chart.bars)))
        if same is not None and same[0] == chart:
            return same[1]
        rendered = self._render(chart, places, zone, self._made(key), volume=instrument.has_volume)
        if len(self._whole) >= _MOST_CHARTS:
            del self._whole[next(iter(self._whole))]
        self._whole[key, len(chart.bars)] = (chart, rendered)
        return rendered

    @staticmethod
    def _render(chart: Chart, places: int, zone: ZoneInfo, made: dict[int, _Line], *, volume: bool) -> RenderedChart:
        lines: list[str] = []
        rows: list[str] = [CSV_HEADER]
        at_line: list[int] = []
        day = ""
        for bar in chart.bars:
            line = made.get(bar.open_time_ns)
            if line is None or line.bar != bar:
                dated = chart.timeframe in _DATED
                line = made[bar.open_time_ns] = _line(bar, places, zone, dated=dated, volume=volume)
            if line.day != day:
                day = line.day
                lines.append(day)
            at_line.append(len(lines))
            lines.append(line.text)
            rows.append(line.row)
        marks, legend = _marks(chart, made)
        for at, mark in marks.items():
            lines[at_line[at]] = f"{lines[at_line[at]]},{mark}"
        for at, count in enumerate(chart.missing):
            if count:
                rows[at + 1] = f"{rows[at + 1][: -len(_NONE_MISSING)]},{count}"
        return RenderedChart(lines, "\n".join(rows), legend)

    def _made(self, key: tuple[str, ...]) -> dict[int, _Line]:
        made = self._charts.get(key)
        if made is None:
            if len(self._charts) >= _MOST_CHARTS:
                del self._charts[next(iter(self._charts))]
            made = self._charts[key] = {}
        elif len(made) > _MOST_BARS:
            made.clear()
        return made


def _marks(chart: Chart, made: dict[int, _Line]) -> tuple[dict[int, str], str]:
    """Return the marks by a bar's place, and what those that occur stand for."""
    marks: dict[int, str] = {}
    legend: list[str] = []
    if chart.timeframe not in _DATED:
        for at, (before, bar) in enumerate(pairwise(chart.bars), start=1):
            if bar.open_time_ns <= before.event_time_ns:
                continue
            length_ns = before.event_time_ns - before.open_time_ns
            count = (bar.open_time_ns - before.event_time_ns) // length_ns if length_ns > 0 else 0
            if count and _same_session(before, bar, made):
                marks[at] = f"^{count}"
        if marks:
            legend.append("^n: n bars missing before it")
    if any(chart.missing):
        legend.append("-n: n base bars missing in it")
        for at, count in enumerate(chart.missing):
            if count:
                marks[at] = f"{marks.get(at, '')}-{count}"
    if chart.forming and chart.bars:
        legend.append("*: still forming")
        last = len(chart.bars) - 1
        marks[last] = f"{marks.get(last, '')}*"
    return marks, "; ".join(legend)


def _same_session(before: Bar, bar: Bar, made: dict[int, _Line]) -> bool:
    return before.session == bar.session and made[before.open_time_ns].day == made[bar.open_time_ns].day


def _line(bar: Bar, places: int, zone: ZoneInfo, *, dated: bool, volume: bool) -> _Line:
    opens_s = bar.open_time_ns // NS
    local = datetime.fromtimestamp(opens_s, zone)
    iso = local.isoformat()
    prices = (
        f"{decimals(bar.open_nano, places)},{decimals(bar.high_nano, places)},"
        f"{decimals(bar.low_nano, places)},{decimals(bar.close_nano, places)},"
    )
    day, when = ("", iso[:10]) if dated else (f"{iso[:10]} {local.tzname()}", iso[11:16])
    text, exact = (rounded(bar.volume_nano), decimals(bar.volume_nano, 0)) if volume else ("", "")
    return _Line(bar, day, f"{when},{prices}{text}", f"{opens_s},{prices}{exact}{_NONE_MISSING}")
