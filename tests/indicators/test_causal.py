"""When a value is there: not before its bars, not from later ones, and not where there is nothing to compute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.catalogue import BarArrays, Indicator, compute
from tests.indicators.made import ROWS, bars_of, each, last, moves, small, walk

Moves = list[tuple[int, int, int, int]]
WITH_SWITCHES = {"ichimoku": {"visual": True}, "keltner": {"original": False}, "donchian": {"offset": 3},
                 "vpt": {"smoothing": 4}}  # fmt: skip
CASES = [(row, {}) for row in ROWS] + [(row, WITH_SWITCHES[row.name]) for row in ROWS if row.name in WITH_SWITCHES]
IDS = [f"{row.name}{more or ''}" for row, more in CASES]


def _first(bars: BarArrays, count: int) -> BarArrays:
    return BarArrays(bars.high[:count], bars.low[:count], bars.close[:count], bars.volume[:count])


@pytest.mark.requirement("indicators:no-look-ahead")
@settings(max_examples=40, deadline=None)
@given(moves(30, 90), st.floats(0.05, 0.95), st.integers(1, 40))
def test_no_value_changes_when_later_bars_come(made: Moves, share: float, factor: int) -> None:
    bars = bars_of(made)
    count = max(1, int(len(made) * share))
    # The later bars are far from the earlier ones, so that a mean over all of them would show.
    whole = each(bars, lambda it: np.concatenate([it[:count], it[count:] * factor]))
    for row, more in CASES:
        params = {**small(row), **more}
        before, after = compute(row.name, params, _first(bars, count)), compute(row.name, params, whole)
        for output, values in before.items():
            np.testing.assert_array_equal(values, after[output][:count], err_msg=f"{row.name} {output}")


@pytest.mark.requirement("indicators:no-look-ahead")
def test_a_look_ahead_would_be_seen() -> None:
    bars = walk(60)
    centred = np.concatenate([bars.close[3:], np.full(3, np.nan)])
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(centred[:40], np.concatenate([_first(bars, 40).close[3:], np.full(3, np.nan)]))


@pytest.mark.requirement("indicators:warm-up")
@pytest.mark.parametrize(("row", "more"), CASES, ids=IDS)
def test_the_first_value_comes_with_the_bar_that_the_table_says(row: Indicator, more: dict[str, int]) -> None:
    params = {**row.defaults(), **more}
    values = compute(row.name, params, walk(400))
    for output in row.outputs:
        known = np.flatnonzero(np.isfinite(values[output.name]))
        if row.name == "psar" and output.name in {"up", "down"}:
            assert known[0] >= output.bars(params) - 1
        else:
            assert known[0] == output.bars(params) - 1


@pytest.mark.requirement("indicators:warm-up")
@settings(max_examples=25, deadline=None)
@given(moves(1, 60))
def test_a_series_of_any_length_has_values_as_long_and_none_too_early(made: Moves) -> None:
    bars = bars_of(made)
    for row, more in CASES:
        params = {**row.defaults(), **small(row), **more}
        values = compute(row.name, params, bars)
        for output in row.outputs:
            assert values[output.name].shape == (len(made),)
            assert values[output.name].dtype == np.float64
            assert np.isnan(values[output.name][: output.bars(params) - 1]).all()


@pytest.mark.requirement("indicators:warm-up")
def test_no_bars_have_no_values() -> None:
    nothing = BarArrays.of(())
    for row in ROWS:
        assert {name: len(values) for name, values in compute(row.name, {}, nothing).items()} == {
            output.name: 0 for output in row.outputs
        }


@pytest.mark.requirement("indicators:settle")
@pytest.mark.parametrize("row", [row for row in ROWS if not row.cumulative], ids=lambda row: row.name)
def test_older_bars_no_longer_matter_once_settled(row: Indicator) -> None:
    for seed in (3, 4, 5, 6, 7, 8):
        bars = walk(1_200, seed)
        history = row.settle(row.defaults())
        whole, late = compute(row.name, {}, bars), compute(row.name, {}, last(bars, history))
        for output in row.outputs:
            values = whole[output.name]
            if output.unit == "flag" or np.isnan(values[-1]):
                np.testing.assert_array_equal(values[-1], late[output.name][-1])
            else:
                assert abs(values[-1] - late[output.name][-1]) <= 0.005 * np.nanstd(values), output.name


@pytest.mark.requirement("indicators:missing")
@settings(max_examples=25, deadline=None)
@given(moves(20, 60), st.sets(st.integers(0, 59), max_size=6), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_bar_that_lacks_a_number_is_passed_over(made: Moves, holes: set[int], hole: float) -> None:
    bars = bars_of(made)
    absent = sorted(at for at in holes if at < len(made))
    kept = np.ones(len(made), dtype=bool)
    kept[absent] = False
    torn = each(bars, lambda it: np.where(kept, it, hole), lambda it: np.where(kept, it, hole))
    short = BarArrays(bars.high[kept], bars.low[kept], bars.close[kept], bars.volume[kept])
    for row, more in CASES:
        params = {**small(row), **more}
        values, expected = compute(row.name, params, torn), compute(row.name, params, short)
        for output in row.outputs:
            assert np.isnan(values[output.name][~kept]).all()
            np.testing.assert_array_equal(values[output.name][kept], expected[output.name])


@pytest.mark.requirement("indicators:missing")
def test_no_value_is_infinite_and_what_divides_by_nothing_has_none() -> None:
    flat = each(walk(120), lambda it: it * 0 + 7.0, np.zeros_like)
    for name, output in (("rsi", "rsi"), ("stoch", "stoch"), ("cci", "cci"), ("mfi", "mfi"), ("cmf", "cmf"),
                         ("adx", "adx"), ("vwap", "vwap"), ("stochrsi", "k"), ("vortex", "pos"), ("uo", "uo"),
                         ("williams_r", "williams_r"), ("bbands", "percent"), ("eom", "eom")):  # fmt: skip
        assert np.isnan(compute(name, {}, flat)[output]).all(), name
    busy = walk(120)
    for row in ROWS:
        for bars in (flat, busy, BarArrays(busy.high * 0, busy.low * 0, busy.close * 0, busy.volume)):
            assert not any(np.isinf(values).any() for values in compute(row.name, {}, bars).values())


@pytest.mark.requirement("indicators:missing")
def test_a_window_in_which_nothing_happens_after_much_did_has_no_garbage() -> None:
    busy = walk(100)
    still = np.concatenate([busy.close * 1e6, np.full(60, 3.3)])
    bars = BarArrays(still, still, still, np.concatenate([busy.volume * 1e6, np.zeros(60)]))
    for name, output in (("mfi", "mfi"), ("cmf", "cmf"), ("vwap", "vwap"), ("cci", "cci"), ("stoch", "stoch")):
        assert np.isnan(compute(name, {}, bars)[output][-30:]).all(), name
    assert compute("bbands", {}, bars)["width"][-30:] == pytest.approx(0, abs=1e-9)


@pytest.mark.requirement("indicators:tiny")
def test_ratios_of_the_smallest_prices_and_volumes_are_those_of_large_ones() -> None:
    large = walk(300)
    tiny = each(large, lambda it: np.rint(it * 64) / 1e9, lambda it: it * 1e-9)
    checked = 0
    for row in ROWS:
        first, second = compute(row.name, {}, large), compute(row.name, {}, tiny)
        for output in row.outputs:
            if output.unit in {"percent", "ratio"}:
                np.testing.assert_allclose(second[output.name], first[output.name], rtol=1e-6, atol=1e-6)
                checked += 1
    assert checked > 35
