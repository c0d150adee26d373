"""The values by hand: worked out from what the authors of the indicators published."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.catalogue import CATALOGUE, BarArrays, compute
from tests.indicators.made import bars_of, each, moves, near, small, walk

TALIB: Any = talib

WILDER_CLOSES = [44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28, 46.00, 46.03, 46.41, 46.22, 45.64]  # fmt: skip  # noqa: E501 - a column of numbers


def _bars(high: list[float], low: list[float], close: list[float], volume: list[float] | None = None) -> BarArrays:
    return BarArrays(np.array(high), np.array(low), np.array(close), np.array(volume or [1.0] * len(close)))


def _only(close: list[float], volume: list[float] | None = None) -> BarArrays:
    return _bars(close, close, close, volume)


def _told(name: str, params: dict[str, Any], bars: BarArrays, output: str = "") -> list[float | None]:
    values = compute(name, params, bars)[output or name]
    return [None if math.isnan(value) else round(float(value), 6) for value in values]


@pytest.mark.requirement("indicators:definition")
def test_rsi_is_wilders() -> None:
    values = compute("rsi", {}, _only(WILDER_CLOSES))["rsi"]
    assert np.isnan(values[:14]).all()
    assert values[14:] == pytest.approx([70.46, 66.25, 66.48, 69.35, 66.29, 57.92], abs=0.01)


@pytest.mark.requirement("indicators:definition")
def test_averages_are_those_of_their_definitions() -> None:
    bars = _only([1.0, 2.0, 4.0, 8.0, 16.0])
    assert _told("sma", {"window": 3}, bars) == [None, None, 2.333333, 4.666667, 9.333333]
    assert _told("ema", {"window": 3}, bars) == [None, None, 2.333333, 5.166667, 10.583333]
    assert _told("wma", {"window": 3}, bars) == [None, None, 2.833333, 5.666667, 11.333333]
    assert _told("ema", {"window": 1}, bars) == [1, 2, 4, 8, 16]
    # Kaufman: all the way is one way, so the pace is that of the fast average, (2/3)².
    assert _told("kama", {"window": 2}, bars) == [None, 2, 2.888889, 5.160494, 9.978052]


@pytest.mark.requirement("indicators:definition")
def test_atr_begins_with_the_mean_range_and_moves_on_by_one_part_of_the_window() -> None:
    bars = _bars([10, 12, 13, 12, 15], [9, 10, 11, 10, 13], [9.5, 11, 12, 11, 14])
    # True ranges from the second bar on: 2.5, 2, 2, 4.
    assert _told("atr", {"window": 2}, bars) == [None, None, 2.25, 2.125, 3.0625]


@pytest.mark.requirement("indicators:definition")
def test_volume_indicators_are_those_of_their_definitions() -> None:
    bars = _only([10, 11, 11, 10, 12], [100, 200, 300, 50, 400])
    assert _told("obv", {}, bars) == [100, 300, 300, 250, 650]
    assert _told("nvi", {}, bars) == [1000, 1000, 1000, 909.090909, 909.090909]
    assert _told("vpt", {}, bars) == [None, 20, 20, 15.454545, 95.454545]
    assert _told("force_index", {"window": 1}, bars) == [None, 200, 0, -50, 800]
    # Money: 2200 up, 0, 500 down, 4800 up.
    assert _told("mfi", {"window": 2}, bars) == [None, None, 100, 0, 90.566038]
    assert _told("vwap", {"window": 2}, bars) == [None, 10.666667, 11, 10.857143, 11.777778]


@pytest.mark.requirement("indicators:definition")
def test_what_talib_has_not_is_that_of_its_definition() -> None:
    bars = _bars([10, 12], [8, 10], [9, 12], [100, 200])
    assert _told("cmf", {"window": 2}, bars) == [None, 0.666667]
    assert _told("eom", {"window": 1}, bars) == [None, 2_000_000]
    assert _told("cumulative_return", {}, bars) == [0, 33.333333]
    channel = {name: _told("keltner", {"window": 2}, bars, name)[1] for name in ("middle", "upper", "lower", "percent")}
    assert channel == {"middle": 10.166667, "upper": 12.166667, "lower": 8.166667, "percent": 0.958333}
    # Of one bar each, the four rates of change are the same one, weighted 1 + 2 + 3 + 4.
    ones = {param.name: 1 for param in CATALOGUE["kst"].params}
    assert _told("kst", ones, bars) == [None, 333.333333]
    volumes = _only([5, 5, 5], [100, 200, 400])
    assert _told("pvo", {"fast": 1, "slow": 2, "signal": 1}, volumes) == [None, 33.333333, 26.315789]


@pytest.mark.requirement("indicators:definition")
def test_the_stochastic_rsi_is_smoothed_twice_each_by_its_own_window() -> None:
    bars = walk(200)
    values = compute("stochrsi", {"smooth1": 2, "smooth2": 5}, bars)
    once, twice = TALIB.SMA(values["stochrsi"], 2), TALIB.SMA(TALIB.SMA(values["stochrsi"], 2), 5)
    near(values["k"], once)
    near(values["d"], twice)


@pytest.mark.requirement("indicators:definition")
def test_a_market_that_stands_still_for_long_keeps_its_rsi() -> None:
    # A few billionths, then 70 bars of nothing: what is left of the averages is tiny, and their ratio is the same.
    close = np.array([100, 103, 101, 104, *[104] * 70]) / 1e9
    values = compute("rsi", {"window": 2}, _only(close.tolist()))["rsi"]
    assert values[3:] == pytest.approx(100 * 2.25 / 2.75)


@pytest.mark.requirement("indicators:definition")
def test_the_schaff_cycle_is_at_its_ends_in_a_trend_and_between_them_else() -> None:
    values = compute("stc", {}, walk(1_000))["stc"][100:]
    assert values.min() >= 0
    assert values.max() <= 100
    assert np.ptp(values) > 90


@pytest.mark.requirement("indicators:definition")
def test_equal_prices_that_only_rounding_tells_apart_are_equal() -> None:
    dyadic, decimal = walk(400), each(walk(400), lambda it: it * 64 * 0.01)
    for name in ("mfi", "cci", "adx", "keltner", "stochrsi"):
        for params in ({}, small(CATALOGUE[name])):
            first, second = compute(name, params, dyadic), compute(name, params, decimal)
            for output in CATALOGUE[name].outputs:
                if output.unit != "price":
                    np.testing.assert_allclose(first[output.name], second[output.name], rtol=1e-7, atol=1e-7)


@pytest.mark.requirement("indicators:definition")
def test_the_ulcer_index_needs_two_full_windows() -> None:
    bars = _only([10, 8, 9, 9, 6])
    # Drawdowns from the high of two bars: none known, 20 %, 0, 0, 33.33 %.
    assert _told("ulcer", {"window": 2}, bars) == [None, None, 14.142136, 0, 23.570226]


@pytest.mark.requirement("indicators:definition")
def test_aroon_takes_the_latest_of_equal_extremes() -> None:
    bars = _bars([5, 9, 9, 7, 7], [1, 1, 2, 1, 3], [3, 3, 3, 3, 3])
    assert _told("aroon", {"window": 4}, bars, "up")[-1] == 50
    assert _told("aroon", {"window": 4}, bars, "down")[-1] == 75


@pytest.mark.requirement("indicators:definition")
def test_the_spans_of_the_cloud_are_where_they_are_computed_or_where_they_are_drawn() -> None:
    bars = walk(120)
    here, drawn = compute("ichimoku", {}, bars), compute("ichimoku", {"visual": True}, bars)
    for span in ("a", "b"):
        np.testing.assert_array_equal(drawn[span][26:], here[span][:-26])
        assert np.isnan(drawn[span][:26]).all()


def _wilder(high: list[float], low: list[float], step: float, most: float) -> list[float]:
    """Wilder's rules, told once more and otherwise: the stop of a bar from all that was before it."""
    long = not low[0] - low[1] > max(high[1] - high[0], 0)
    stop, best, pace = (low[0], high[1], step) if long else (high[0], low[1], step)
    sign = 1 if long else -1
    stops: list[float] = []
    for at, (top, bottom) in enumerate(zip(high[1:], low[1:], strict=True), start=1):
        reach, other = (bottom, top) if sign > 0 else (top, bottom)
        yesterday = max(at - 1, 1)
        if (reach - stop) * sign <= 0:
            bounds = [best, high[yesterday], top] if sign > 0 else [best, low[yesterday], bottom]
            stop = max(bounds) if sign > 0 else min(bounds)
            sign, best, pace = -sign, reach, step
            stops.append(stop)
        else:
            stops.append(stop)
            if (other - best) * sign > 0:
                best, pace = other, min(pace + step, most)
        stop += pace * (best - stop)
        pair = (low[yesterday], bottom) if sign > 0 else (high[yesterday], top)
        stop = min(stop, *pair) if sign > 0 else max(stop, *pair)
    return stops


@pytest.mark.requirement("indicators:psar")
@settings(max_examples=60, deadline=None)
@given(moves(3, 80), st.sampled_from([(0.02, 0.2), (0.1, 0.1), (0.3, 1.0)]))
def test_the_parabolic_stop_follows_wilders_rules(
    made: list[tuple[int, int, int, int]], pace: tuple[float, float]
) -> None:
    bars = bars_of(made)
    values = compute("psar", {"step": pace[0], "max_step": pace[1]}, bars)
    near(values["psar"][1:], _wilder(bars.high.tolist(), bars.low.tolist(), *pace), share=1e-9)
    up, down = np.isfinite(values["up"]), np.isfinite(values["down"])
    assert (up[1:] != down[1:]).all()
    assert (values["up"][up] <= bars.low[up]).all(), "in an uptrend the stop is below the bar"
    assert (values["down"][down] >= bars.high[down]).all()
    turns = [(bool(a), bool(b)) for a, b in itertools.pairwise(up[1:])]
    assert values["turned_up"][2:].tolist() == [float(not a and b) for a, b in turns]
    assert values["turned_down"][2:].tolist() == [float(a and not b) for a, b in turns]


@pytest.mark.requirement("indicators:psar")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError")
def test_the_parabolic_stop_is_the_same_with_dates_as_index_where_ta_is_wrong() -> None:
    import pandas as pd
    from ta.trend import PSARIndicator

    bars = walk(300)
    dates = pd.date_range("2024-03-13 09:30", periods=300, freq="min", tz="America/New_York")
    plain = [pd.Series(values) for values in (bars.high, bars.low, bars.close)]
    dated = [values.set_axis(dates) for values in plain]
    ours = compute("psar", {}, BarArrays(dated[0], dated[1], dated[2]))
    for output, values in compute("psar", {}, bars).items():
        np.testing.assert_array_equal(ours[output], values)
    np.testing.assert_allclose(ours["psar"][1:], TALIB.SAR(bars.high, bars.low, 0.02, 0.2)[1:], rtol=1e-12)

    made: Any = PSARIndicator
    of_places, of_dates = (np.asarray(made(*three).psar()) for three in (plain, dated))
    assert len(of_dates) != len(of_places) or not np.allclose(of_dates, of_places), "ta has been mended: tell the table"
