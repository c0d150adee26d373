"""The report's pictures as inline SVG: the equity with its drawdown, and candles with fills.

Not a plotting library: two charts, without a script and without a font or image from elsewhere. Prices become floats
here because a pixel needs no more; the tables beside the pictures carry the exact numbers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal

from bus.clock import NS
from outcry._html import esc

__all__ = ["Candle", "EquityPoint", "Mark", "candle_chart", "equity_chart", "gather_candles", "thin"]

_WIDTH, _LEFT, _RIGHT = 960.0, 6.0, 76.0
_MINUTES = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 7200, 14400, 43200)
_DAY_MINUTES = 1440


@dataclass(frozen=True)
class Candle:
    """A bar of the picture, over one or more bars of the day; prices in the quote currency."""

    start_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True)
class Mark:
    """A fill in the picture. ``text`` is shown where the pointer rests on it; it is escaped here."""

    time_ns: int
    price: float
    side: Literal["buy", "sell"]
    text: str


@dataclass(frozen=True)
class EquityPoint:
    """The equity after an instant, and how far it is below its peak (0.01 is 1 %)."""

    time_ns: int
    equity: float
    drawdown: float


# --- making few of many -----------------------------------------------------------------------------------------------


def gather_candles(bars: Sequence[Candle], bar_s: int, most: int = 110) -> tuple[list[Candle], int]:
    """Return at most about ``most`` candles, and the seconds that each spans.

    Args:
        bars: In time order.
        bar_s: Seconds of one bar.
        most: How many candles can be read on a page.
    """
    if len(bars) <= most:
        return list(bars), bar_s
    spans = [bar_s, *(minutes * 60 for minutes in _MINUTES if minutes * 60 > bar_s and minutes * 60 % bar_s == 0)]
    for span_s in spans:
        groups: dict[int, list[Candle]] = {}
        for bar in bars:
            groups.setdefault(bar.start_ns // (span_s * NS), []).append(bar)
        if len(groups) <= most or span_s == spans[-1]:
            return [_joined(group) for group in groups.values()], span_s
    return list(bars), bar_s


def _joined(group: Sequence[Candle]) -> Candle:
    return Candle(
        group[0].start_ns,
        group[-1].end_ns,
        group[0].open,
        max(bar.high for bar in group),
        min(bar.low for bar in group),
        group[-1].close,
    )


def thin(points: Sequence[EquityPoint], most: int = 600) -> list[EquityPoint]:
    """Return at most about ``most`` points that keep each stretch's highest and lowest equity and the two ends."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / (most / 2))
    kept: list[EquityPoint] = [points[0]]
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        low = min(stretch, key=lambda point: point.equity)
        high = max(stretch, key=lambda point: point.equity)
        kept.extend(sorted({low, high}, key=lambda point: point.time_ns))
    kept.append(points[-1])
    return list(dict.fromkeys(kept))


# --- scales -----------------------------------------------------------------------------------------------------------


def _steps(low: float, high: float, about: int) -> tuple[list[float], int]:
    """Return round values between the bounds and how many decimals they need."""
    raw = (high - low) / max(about, 1)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if step / unit == 2.5 else 0))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)], decimals


class _Scale:
    """Values to pixels on the vertical axis, with some air above and below."""

    def __init__(self, values: Sequence[float], top: float, bottom: float, air: float = 0.06) -> None:
        low, high = min(values), max(values)
        if high - low < max(abs(high), 1e-12) * 1e-9:
            low, high = low - max(abs(low) * 0.001, 1e-9), high + max(abs(high) * 0.001, 1e-9)
        pad = (high - low) * air
        self.low, self.high, self._top, self._bottom = low - pad, high + pad, top, bottom

    def y(self, value: float) -> float:
        return self._bottom - (value - self.low) / (self.high - self.low) * (self._bottom - self._top)

    def grid(self, about: int, suffix: str = "") -> str:
        values, decimals = _steps(self.low, self.high, about)
        right = _WIDTH - _RIGHT
        return "".join(
            f'<line class="grid" x1="{_LEFT:g}" x2="{right:g}" y1="{self.y(value):.1f}" y2="{self.y(value):.1f}"/>'
            f'<text x="{right + 6:g}" y="{self.y(value) + 4:.1f}">{_no_minus_zero(value):,.{decimals}f}{suffix}</text>'
            for value in values
        )


def _no_minus_zero(value: float) -> float:
    return 0.0 if abs(value) < 1e-12 else value


def _time_axis(times: Sequence[int], xs: Sequence[float], zone: tzinfo, y: float) -> str:
    """Return labels where the local clock passes a round time; closed hours take no room."""
    minutes = [int(_local(ns, zone).replace(tzinfo=UTC).timestamp()) // 60 for ns in times]
    span = max(minutes[-1] - minutes[0], 1)
    every = next((step for step in _MINUTES if span / step <= 9), _MINUTES[-1])
    shape = "%b %d" if every >= _DAY_MINUTES else "%H:%M"
    labels: list[str] = []
    last_x = -100.0
    for index, minute in enumerate(minutes):
        passed = minute // every != minutes[index - 1] // every if index else minute % every == 0
        if passed and xs[index] - last_x > 46 and _LEFT + 14 < xs[index] < _WIDTH - _RIGHT - 14:
            last_x = xs[index]
            label = datetime.fromtimestamp(minute * 60, UTC).strftime(shape)
            labels.append(f'<text x="{last_x:.1f}" y="{y:g}" text-anchor="middle">{label}</text>')
    return "".join(labels)


def _local(ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(ns // NS, UTC).astimezone(zone)


def _clock(ns: int, zone: tzinfo) -> str:
    return _local(ns, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def _open_svg(height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{esc(label)}">'


# --- charts -----------------------------------------------------------------------------------------------------------


def equity_chart(points: Sequence[EquityPoint], start: float, currency: str, zone: tzinfo, label: str) -> str:
    """Return the equity over the run, with the drawdown from the peak below it.

    Args:
        points: In time order; at least one.
        start: The equity before the first instant, drawn as a line.
        currency: For the tooltips.
        zone: The zone of the axis.
        label: What a screen reader says.
    """
    height, top, middle, low_top, low_bottom = 320.0, 8.0, 208.0, 226.0, 296.0
    right = _WIDTH - _RIGHT
    step = (right - _LEFT) / max(len(points) - 1, 1)
    xs = [_LEFT + index * step for index in range(len(points))]
    money = _Scale([start, *(point.equity for point in points)], top, middle)
    falls = _Scale([0.0, -0.0001, *(-100 * point.drawdown for point in points)], low_top, low_bottom, air=0.0)
    line = " ".join(f"{x:.1f},{money.y(point.equity):.1f}" for x, point in zip(xs, points, strict=True))
    under = " ".join(f"{x:.1f},{falls.y(-100 * point.drawdown):.1f}" for x, point in zip(xs, points, strict=True))
    base, zero = money.y(start), falls.y(0.0)
    parts = [
        _open_svg(height, label),
        money.grid(5),
        f'<polygon class="area" points="{xs[0]:.1f},{base:.1f} {line} {xs[-1]:.1f},{base:.1f}"/>',
        f'<line class="base" x1="{_LEFT:g}" x2="{right:g}" y1="{base:.1f}" y2="{base:.1f}"/>',
        f'<polyline class="curve" points="{line}"/>',
        falls.grid(2, " %"),
        f'<polygon class="fall" points="{xs[0]:.1f},{zero:.1f} {under} {xs[-1]:.1f},{zero:.1f}"/>',
        _time_axis([point.time_ns for point in points], xs, zone, height - 6),
    ]
    bands = min(len(points), 160)
    for band in range(bands):
        first, last = band * len(points) // bands, (band + 1) * len(points) // bands
        point = points[(first + last) // 2]
        x1, x2 = _LEFT + first * step, _LEFT + last * step
        told = f"{_clock(point.time_ns, zone)}: {point.equity:,.2f} {currency}, {100 * point.drawdown:.2f} % below peak"
        parts.append(
            f'<rect class="hit" x="{x1:.1f}" y="{top:g}" width="{max(min(x2, right) - x1, 0.5):.1f}" '
            f'height="{low_bottom - top:g}"><title>{esc(told)}</title></rect>'
        )
    return "".join(parts) + "</svg>"


def candle_chart(candles: Sequence[Candle], marks: Sequence[Mark], zone: tzinfo, label: str) -> str:
    """Return candles with fills at their time and price.

    Args:
        candles: In time order; at least one.
        marks: Fills of this symbol.
        zone: The zone of the axis.
        label: What a screen reader says.
    """
    height, top, bottom = 280.0, 14.0, 254.0
    slot = (_WIDTH - _LEFT - _RIGHT) / len(candles)
    body = max(min(slot * 0.64, 14.0), 1.0)
    values = [value for candle in candles for value in (candle.low, candle.high)]
    scale = _Scale([*values, *(mark.price for mark in marks)], top, bottom)
    xs = [_LEFT + (index + 0.5) * slot for index in range(len(candles))]
    parts = [_open_svg(height, label), scale.grid(6)]
    for x, candle in zip(xs, candles, strict=True):
        upper, lower = scale.y(max(candle.open, candle.close)), scale.y(min(candle.open, candle.close))
        thick = max(lower - upper, 1)
        told = (
            f"{_clock(candle.start_ns, zone)}: open {candle.open:,.6g} high {candle.high:,.6g} "
            f"low {candle.low:,.6g} close {candle.close:,.6g}"
        )
        parts.append(
            f'<g class="{"up" if candle.close >= candle.open else "down"}"><title>{esc(told)}</title>'
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{scale.y(candle.high):.1f}" y2="{scale.y(candle.low):.1f}"/>'
            f'<rect x="{x - body / 2:.1f}" y="{upper:.1f}" width="{body:.1f}" height="{thick:.1f}"/></g>'
        )
    parts.append(_time_axis([candle.start_ns for candle in candles], xs, zone, height - 6))
    starts = [candle.start_ns for candle in candles]
    parts.extend(_mark(mark, _mark_x(mark.time_ns, candles, starts, slot), scale.y(mark.price)) for mark in marks)
    return "".join(parts) + "</svg>"


def _mark_x(time_ns: int, candles: Sequence[Candle], starts: Sequence[int], slot: float) -> float:
    index = min(max(bisect_right(starts, time_ns) - 1, 0), len(candles) - 1)
    candle = candles[index]
    inside = (time_ns - candle.start_ns) / max(candle.end_ns - candle.start_ns, 1)
    return _LEFT + (index + min(max(inside, 0.0), 1.0)) * slot


def _mark(mark: Mark, x: float, y: float) -> str:
    reach = 14.0 if mark.side == "buy" else -14.0
    tip = f"{x:.1f},{y:.1f} {x - 7:.1f},{y + reach:.1f} {x + 7:.1f},{y + reach:.1f}"
    return f'<polygon class="{mark.side}" points="{tip}"><title>{esc(mark.text)}</title></polygon>'
