"""Windows over a series, by pandas: exact where a window is flat, where running sums drift. Not a catalogue.

Each returns an array of the same length; NaN before the first whole window and wherever the window holds a NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bus.fixed import SCALE
from quant._catalogue_types import Floats
from quant._ta_engine import load

__all__ = ["change", "grid", "highest", "lowest", "mean", "moved", "shift", "total", "true_range"]

_ROUNDING = 16 * float(np.finfo(np.float64).eps)


def _windows(values: Floats, window: int) -> Any:
    return load("pandas").Series(values).rolling(window)


def total(values: Floats, window: int) -> Floats:
    """Return the sum of the last ``window`` values."""
    return _windows(values, window).sum().to_numpy()


def mean(values: Floats, window: int) -> Floats:
    """Return the mean of the last ``window`` values."""
    return _windows(values, window).mean().to_numpy()


def highest(values: Floats, window: int) -> Floats:
    """Return the greatest of the last ``window`` values."""
    return _windows(values, window).max().to_numpy()


def lowest(values: Floats, window: int) -> Floats:
    """Return the least of the last ``window`` values."""
    return _windows(values, window).min().to_numpy()


def shift(values: Floats, back: int) -> Floats:
    """Return each value as it was ``back`` places before; NaN where there was none."""
    moved = np.full(len(values), np.nan)
    moved[back:] = values[: max(len(values) - back, 0)]
    return moved


def change(values: Floats, back: int = 1) -> Floats:
    """Return how far each value is from the one ``back`` places before, as a fraction of that."""
    before = shift(values, back)
    return (values - before) / before


def grid(prices: Floats) -> Floats:
    """Return prices in billionths, whole numbers where they are such but for rounding: their sums are then exact.

    So equal sums and moves of decimal prices are equal, which they are not as binary fractions.
    """
    scaled = prices * SCALE
    whole = np.rint(scaled)
    return np.where(np.abs(scaled - whole) <= _ROUNDING * np.abs(scaled), whole, scaled)


def moved(values: Floats, before: Floats) -> Floats:
    """Return how far values are from others, exactly 0 where no more than rounding tells them apart."""
    difference = values - before
    return np.where(np.abs(difference) <= _ROUNDING * np.abs(values), 0.0, difference)


def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return Wilder's true range; NaN for the first bar, which has no close before it."""
    before = shift(close, 1)
    return np.maximum(high, before) - np.minimum(low, before)
