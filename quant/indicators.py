"""Indicators over closing prices and bars, computed by TA-Lib. Thin and typed; not a catalogue.

Values before an indicator's warm-up are NaN. Inputs and outputs are float64 arrays of the same length, oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import talib

from bus.fixed import SCALE
from bus.messages import Bar

__all__ = ["Floats", "atr", "closes", "ema", "highs", "lows", "rsi", "sma", "zscore"]

Floats = npt.NDArray[np.float64]

_TALIB: Any = talib


def closes(bars: Sequence[Bar]) -> Floats:
    """Return closing prices in quote currency."""
    return np.array([bar.close_nano for bar in bars], dtype=np.float64) / SCALE


def highs(bars: Sequence[Bar]) -> Floats:
    """Return highs in quote currency."""
    return np.array([bar.high_nano for bar in bars], dtype=np.float64) / SCALE


def lows(bars: Sequence[Bar]) -> Floats:
    """Return lows in quote currency."""
    return np.array([bar.low_nano for bar in bars], dtype=np.float64) / SCALE


def _enough(values: Floats, needed: int) -> bool:
    return len(values) >= needed


def sma(values: Floats, period: int) -> Floats:
    """Return the simple moving average; NaN for the first ``period - 1`` values."""
    return _TALIB.SMA(values, period) if _enough(values, period) else np.full(len(values), np.nan)


def ema(values: Floats, period: int) -> Floats:
    """Return the exponential moving average, started from the simple one; NaN for the first ``period - 1`` values."""
    return _TALIB.EMA(values, period) if _enough(values, period) else np.full(len(values), np.nan)


def rsi(values: Floats, period: int = 14) -> Floats:
    """Return Wilder's relative strength index, 0 to 100; NaN for the first ``period`` values."""
    return _TALIB.RSI(values, period) if _enough(values, period + 1) else np.full(len(values), np.nan)


def atr(high: Floats, low: Floats, close: Floats, period: int = 14) -> Floats:
    """Return Wilder's average true range in quote currency; NaN for the first ``period`` values."""
    return _TALIB.ATR(high, low, close, period) if _enough(close, period + 1) else np.full(len(close), np.nan)


def zscore(values: Floats, period: int = 20) -> Floats:
    """Return how many population standard deviations each value is from its moving average; NaN when flat or early."""
    if not _enough(values, period):
        return np.full(len(values), np.nan)
    deviation: Floats = _TALIB.STDDEV(values, period, 1.0)
    distance = values - sma(values, period)
    return np.divide(distance, deviation, out=np.full(len(values), np.nan), where=deviation > 1e-12)
