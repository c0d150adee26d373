"""The indicators written out here, because ``ta`` is wrong or slow and TA-Lib has them not, or not whole.

Each follows the definition its author published. Not a catalogue.
"""

from __future__ import annotations

import numpy as np

from quant._catalogue_rolling import change, grid, highest, lowest, mean, moved, shift, total, true_range
from quant._catalogue_types import Floats, Inputs, Params
from quant._talib_engine import atr, ema_of, rsi_of

__all__ = ["ichimoku", "kama", "keltner", "kst", "mfi", "nvi", "psar", "stochrsi", "ulcer", "vortex"]


_STILL = 1e-9
"""An RSI that moved less has stood still, but for rounding."""


def stochrsi(x: Inputs, p: Params) -> dict[str, Floats]:
    """Where Wilder's RSI stands in its own range."""
    rsi = rsi_of(x["close"], p["window"])
    low = lowest(rsi, p["window"])
    span = highest(rsi, p["window"]) - low
    share = (rsi - low) / np.where(span > _STILL, span, np.nan)
    k = mean(share, p["smooth1"])
    return {"stochrsi": share, "k": k, "d": mean(k, p["smooth2"])}


def kama(x: Inputs, p: Params) -> dict[str, Floats]:
    """Kaufman's average, quick in a trend and slow in noise."""
    close, window = x["close"], p["window"]
    path = total(np.abs(close - shift(close, 1)), window)
    way = np.abs(close - shift(close, window))
    efficiency = np.divide(way, path, out=np.zeros(len(close)), where=path > 0)
    fast, slow = 2.0 / (p["fast"] + 1), 2.0 / (p["slow"] + 1)
    pace: list[float] = ((efficiency * (fast - slow) + slow) ** 2).tolist()
    answer = np.full(len(close), np.nan)
    prices: list[float] = close.tolist()
    value = prices[window - 1]
    values = [value]
    for i in range(window, len(prices)):
        value += pace[i] * (prices[i] - value)
        values.append(value)
    answer[window - 1 :] = values
    return {"kama": answer}


def mfi(x: Inputs, p: Params) -> dict[str, Floats]:
    """Share of money that flowed on rising bars."""
    typical = grid(x["high"]) + grid(x["low"]) + grid(x["close"])
    move = typical - shift(typical, 1)
    flow = typical * x["volume"]
    rising = total(np.where(np.isnan(move), np.nan, np.where(move > 0, flow, 0.0)), p["window"])
    falling = total(np.where(np.isnan(move), np.nan, np.where(move < 0, flow, 0.0)), p["window"])
    return {"mfi": 100.0 * rising / (rising + falling)}


def nvi(x: Inputs, p: Params) -> dict[str, Floats]:
    """Price change on bars of falling volume, compounded from 1000."""
    del p
    growth = np.ones(len(x["close"]))
    quieter = np.flatnonzero(np.diff(x["volume"]) < 0) + 1
    growth[quieter] += change(x["close"])[quieter]
    return {"nvi": 1000.0 * np.multiply.accumulate(growth)}


def keltner(x: Inputs, p: Params) -> dict[str, Floats]:
    """A band round an average: by mean range (Keltner's own) or by ATR."""
    high, low, close, window = x["high"], x["low"], x["close"], p["window"]
    if p["original"]:
        middle = mean((high + low + close) / 3.0, window)
        upper = mean((4.0 * high - 2.0 * low + close) / 3.0, window)
        lower = mean((4.0 * low - 2.0 * high + close) / 3.0, window)
    else:
        middle = ema_of(close, window)
        reach = p["multiplier"] * atr(x, {"window": p["atr"]})["atr"]
        upper, lower = middle + reach, middle - reach
    known = np.isfinite(upper)
    return {
        "middle": middle,
        "upper": upper,
        "lower": lower,
        "width": (upper - lower) / middle * 100.0,
        "percent": (close - lower) / (upper - lower),
        "above": np.where(known, moved(close, upper) > 0, np.nan),
        "below": np.where(known, moved(close, lower) < 0, np.nan),
    }


def ulcer(x: Inputs, p: Params) -> dict[str, Floats]:
    """Root mean square of the drawdown from the window's high, in percent."""
    top = highest(x["close"], p["window"])
    drawdown = 100.0 * (x["close"] - top) / top
    return {"ulcer": np.sqrt(np.maximum(mean(drawdown**2, p["window"]), 0.0))}


def ichimoku(x: Inputs, p: Params) -> dict[str, Floats]:
    """Midpoints of three windows; the spans of the cloud where they are computed or, visual, where they are drawn."""

    def middle(window: int) -> Floats:
        return 0.5 * (highest(x["high"], window) + lowest(x["low"], window))

    conversion, base, b = middle(p["window1"]), middle(p["window2"]), middle(p["window3"])
    ahead = p["window2"] if p["visual"] else 0
    return {"conversion": conversion, "base": base, "a": shift(0.5 * (conversion + base), ahead), "b": shift(b, ahead)}


def kst(x: Inputs, p: Params) -> dict[str, Floats]:
    """Four smoothed rates of change, weighted 1 to 4."""
    line = np.zeros(len(x["close"]))
    for i in (1, 2, 3, 4):
        line += 100.0 * i * mean(change(x["close"], p[f"roc{i}"]), p[f"window{i}"])
    signal = mean(line, p["signal"])
    return {"kst": line, "signal": signal, "diff": line - signal}


def vortex(x: Inputs, p: Params) -> dict[str, Floats]:
    """Upward and downward movement over true range."""
    high, low, window = x["high"], x["low"], p["window"]
    span = total(true_range(high, low, x["close"]), window)
    pos = total(np.abs(high - shift(low, 1)), window) / span
    neg = total(np.abs(low - shift(high, 1)), window) / span
    return {"vortex": pos - neg, "pos": pos, "neg": neg}


def _stops(high: list[float], low: list[float], step: float, most: float) -> tuple[list[float], list[bool]]:
    """Return Wilder's stop and whether the trend is up, for each bar from the second on."""
    up = not (low[0] - low[1] > max(high[1] - high[0], 0.0))
    stop, extreme = (low[0], high[1]) if up else (high[0], low[1])
    pace = min(step, most)
    stops: list[float] = []
    trends: list[bool] = []
    for i in range(1, len(high)):
        before = max(i - 1, 1)  # the first bar only gives the first stop, as in TA-Lib
        top, bottom = max(high[before], high[i]), min(low[before], low[i])
        if low[i] <= stop if up else high[i] >= stop:
            shown = max(extreme, top) if up else min(extreme, bottom)
            up = not up
            pace, extreme = min(step, most), high[i] if up else low[i]
            stop = shown
        else:
            shown = stop
            if high[i] > extreme if up else low[i] < extreme:
                pace, extreme = min(pace + step, most), high[i] if up else low[i]
        stops.append(shown)
        trends.append(up)
        stop += pace * (extreme - stop)
        stop = min(stop, bottom) if up else max(stop, top)
    return stops, trends


def psar(x: Inputs, p: Params) -> dict[str, Floats]:
    """Wilder's parabolic stop and reverse."""
    stops, trends = _stops(x["high"].tolist(), x["low"].tolist(), p["step"], p["max_step"])
    value = np.array([np.nan, *stops])
    up = np.array([False, *trends])
    down = ~up
    down[0] = False
    turned_up, turned_down = up.astype(np.float64), down.astype(np.float64)
    turned_up[2:] *= down[1:-1]
    turned_down[2:] *= up[1:-1]
    turned_up[1:2] = turned_down[1:2] = 0.0
    return {
        "psar": value,
        "up": np.where(up, value, np.nan),
        "down": np.where(down, value, np.nan),
        "turned_up": turned_up,
        "turned_down": turned_down,
    }
