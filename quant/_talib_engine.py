"""The indicators that TA-Lib computes because ``ta`` is slow or wrong. Guards included; not a catalogue.

TA-Lib answers 0 where a ratio is not defined, and takes equal sums and moves of decimal prices for different ones. So
these are computed of prices in billionths, and what is not defined is NaN here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quant._catalogue_rolling import grid, highest, lowest, true_range
from quant._catalogue_types import Floats, Inputs, Params
from quant._ta_engine import load

__all__ = ["adx", "aroon", "atr", "cci", "ema", "ema_of", "macd", "obv", "ppo", "pvo", "rsi", "rsi_of", "trix", "wma"]


def _call(name: str, *arrays: Floats, **options: Any) -> Any:
    function: Callable[..., Any] = getattr(load("talib"), name)
    return function(*(np.ascontiguousarray(array, dtype=np.float64) for array in arrays), **options)


def _never_moved(moves: Floats) -> Floats:
    """Return where nothing has moved so far, so that a share of all movement is not defined."""
    return np.maximum.accumulate(np.nan_to_num(np.abs(moves))) == 0


def ema_of(values: Floats, window: int) -> Floats:
    """Return the exponential average, started from the simple one; blanks at the start of ``values`` are skipped."""
    known = np.flatnonzero(np.isfinite(values))
    answer = np.full(len(values), np.nan)
    if len(known) >= window:
        first = int(known[0])
        answer[first:] = values[first:] if window == 1 else _call("EMA", values[first:], timeperiod=window)
    return answer


def rsi_of(close: Floats, window: int) -> Floats:
    """Return Wilder's RSI; NaN until a price has changed."""
    answer: Floats = _call("RSI", close, timeperiod=window)
    return np.where(_never_moved(np.diff(close, prepend=close[:1])), np.nan, answer)


def rsi(x: Inputs, p: Params) -> dict[str, Floats]:
    """Wilder's relative strength index."""
    return {"rsi": rsi_of(x["close"], p["window"])}


def ema(x: Inputs, p: Params) -> dict[str, Floats]:
    """Exponential moving average."""
    return {"ema": ema_of(x["close"], p["window"])}


def wma(x: Inputs, p: Params) -> dict[str, Floats]:
    """Linearly weighted moving average."""
    return {"wma": _call("WMA", x["close"], timeperiod=p["window"])}


def trix(x: Inputs, p: Params) -> dict[str, Floats]:
    """Change of the triple exponential average."""
    return {"trix": _call("TRIX", x["close"], timeperiod=p["window"])}


def _with_signal(name: str, line: Floats, window: int) -> dict[str, Floats]:
    signal = ema_of(line, window)
    return {name: line, "signal": signal, "diff": line - signal}


def macd(x: Inputs, p: Params) -> dict[str, Floats]:
    """Difference of two exponential averages."""
    line = ema_of(x["close"], p["fast"]) - ema_of(x["close"], p["slow"])
    return _with_signal("macd", line, p["signal"])


def _percentage(name: str, values: Floats, p: Params) -> dict[str, Floats]:
    slow = ema_of(values, p["slow"])
    return _with_signal(name, (ema_of(values, p["fast"]) - slow) / slow * 100, p["signal"])


def ppo(x: Inputs, p: Params) -> dict[str, Floats]:
    """Two exponential averages of the price, their difference in percent of the slow one."""
    return _percentage("ppo", x["close"], p)


def pvo(x: Inputs, p: Params) -> dict[str, Floats]:
    """The same of volume."""
    return _percentage("pvo", x["volume"], p)


def obv(x: Inputs, p: Params) -> dict[str, Floats]:
    """Volume of rising bars less that of falling ones."""
    del p
    return {"obv": _call("OBV", x["close"], x["volume"])}


def atr(x: Inputs, p: Params) -> dict[str, Floats]:
    """Wilder's average true range."""
    return {"atr": _call("ATR", x["high"], x["low"], x["close"], timeperiod=p["window"])}


def aroon(x: Inputs, p: Params) -> dict[str, Floats]:
    """How long ago the window's extremes were."""
    down, up = _call("AROON", x["high"], x["low"], timeperiod=p["window"])
    return {"aroon": up - down, "up": up, "down": down}


def cci(x: Inputs, p: Params) -> dict[str, Floats]:
    """Distance from the mean in mean deviations."""
    high, low, close = grid(x["high"]), grid(x["low"]), grid(x["close"])
    typical = (high + low + close) / 3.0
    flat = highest(typical, p["window"]) == lowest(typical, p["window"])
    answer: Floats = _call("CCI", high, low, close, timeperiod=p["window"])
    return {"cci": np.where(flat, np.nan, answer * (0.015 / p["constant"]))}


def adx(x: Inputs, p: Params) -> dict[str, Floats]:
    """Wilder's directional movement."""
    high, low, close = grid(x["high"]), grid(x["low"]), grid(x["close"])
    still = _never_moved(true_range(high, low, close))
    made: dict[str, Floats] = {
        name: _call(function, high, low, close, timeperiod=p["window"])
        for name, function in (("adx", "ADX"), ("pos", "PLUS_DI"), ("neg", "MINUS_DI"))
    }
    return {name: np.where(still, np.nan, values) for name, values in made.items()}
