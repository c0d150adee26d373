"""From a chart to rows of indicators, computed on enough history, written short. Not the tools, not the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from bus.clock import NS
from bus.messages import Chart, Instrument
from mcp_servers._render import decimals, decimals_of
from mcp_servers._times import zone_of
from quant.catalogue import BarArrays, Unit, Wanted, compute

__all__ = ["Rows", "make_rows", "number"]

_LARGE = 100_000
_SIGNIFICANT = 3
_MOST_PLACES = 9
_DATED = ("1Day", "1Week", "1Month")


@dataclass(frozen=True)
class Rows:
    """The rows of an answer.

    Attributes:
        header: The columns' names for a model.
        lines: What a model reads: a line ``2024-03-13 EDT`` says the date of those after it.
        count: How many bars they are.
        csv: What a program reads.
        unsettled: Column → of how many rows from the first the values lack warm-up.
        cumulative: Columns that count from the first row.
        gaps: How many bars are missing between those used, within sessions.
    """

    header: str
    lines: list[str]
    count: int
    csv: str
    unsettled: dict[str, int]
    cumulative: list[str]
    gaps: int


@dataclass(frozen=True)
class _Column:
    name: str
    values: list[float]
    unit: Unit
    unsettled: int
    cumulative: bool


def make_rows(chart: Chart, first: int, wanted: Sequence[Wanted], instrument: Instrument, timezone: str) -> Rows:
    """Return rows for the bars of a chart from ``first`` on; those before it are warm-up.

    Raises:
        UsageError: One of the indicators needs volume and the instrument has none.
        ConfigError: The packages that compute them are not installed.
    """
    columns = _columns(chart, first, wanted, instrument)
    zone = zone_of(timezone)
    places = decimals_of(instrument.tick_nano)
    lines: list[str] = []
    rows: list[str] = []
    day = ""
    for at, bar in enumerate(chart.bars[first:]):
        opens_s = bar.open_time_ns // NS
        local = datetime.fromtimestamp(opens_s, zone)
        close = decimals(bar.close_nano, places)
        when = f"{local:%Y-%m-%d}" if chart.timeframe in _DATED else f"{local:%H:%M}"
        if chart.timeframe not in _DATED and day != (day := f"{local:%Y-%m-%d %Z}"):
            lines.append(day)
        cells = [_cell(column, at, places) for column in columns]
        exact = [_exact(column.values[at]) for column in columns]
        lines.append(",".join([when, close, *cells]))
        rows.append(",".join([str(opens_s), close, *exact]))
    names = ",".join(["close", *(column.name for column in columns)])
    return Rows(
        f"time,{names}",
        lines,
        len(rows),
        "\n".join([f"open_time,{names}", *rows]),
        {column.name: column.unsettled for column in columns if column.unsettled},
        [column.name for column in columns if column.cumulative],
        _gaps(chart, zone),
    )


def number(value: float, unit: Unit, places: int) -> str:
    """Return a value short, empty for none: with fixed decimals, and with three significant digits at least.

    Args:
        value: NaN is none.
        unit: What it is.
        places: The decimal places of prices.
    """
    if math.isnan(value):
        return ""
    if unit == "flag":
        return str(int(value))
    size = abs(value)
    kept = places + 1 if unit == "price" else 0 if size >= _LARGE else 2
    if 0 < size < 1:
        kept = max(kept, _SIGNIFICANT - 1 - math.floor(math.log10(size)))
    text = f"{value:.{kept}f}" if kept <= _MOST_PLACES else f"{value:.{_SIGNIFICANT}g}"
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _columns(chart: Chart, first: int, wanted: Sequence[Wanted], instrument: Instrument) -> list[_Column]:
    whole = BarArrays.of(chart.bars, instrument.has_volume)
    shown = BarArrays.of(chart.bars[first:], instrument.has_volume)
    count = len(chart.bars) - first
    columns: dict[str, _Column] = {}
    for each in wanted:
        row = each.indicator
        made = compute(row.name, each.params, shown if row.cumulative else whole)
        unsettled = 0 if row.cumulative else min(max(row.settle(each.params) - 1 - first, 0), count)
        for output in each.outputs:
            values: list[float] = made[output.name].tolist()
            name = each.column(output)
            columns[name] = _Column(
                name, values if row.cumulative else values[first:], output.unit, unsettled, row.cumulative
            )
    return list(columns.values())


def _gaps(chart: Chart, zone: ZoneInfo) -> int:
    if chart.timeframe in _DATED:
        return 0
    gaps = 0
    for before, bar in pairwise(chart.bars):
        length_ns = before.event_time_ns - before.open_time_ns
        if bar.open_time_ns > before.event_time_ns and length_ns > 0 and before.session == bar.session:
            days = {datetime.fromtimestamp(each.open_time_ns // NS, zone).date() for each in (before, bar)}
            gaps += (bar.open_time_ns - before.event_time_ns) // length_ns if len(days) == 1 else 0
    return gaps


def _cell(column: _Column, at: int, places: int) -> str:
    text = number(column.values[at], column.unit, places)
    return f"{text}~" if text and at < column.unsettled else text


def _exact(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"
