"""The table: whole, readable by name, and strict about parameters."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import UsageError
from quant.catalogue import CATALOGUE, BarArrays, Indicator, check, compute, describe, find, parse
from tests.indicators.made import ROWS, walk

GROUPS = ("momentum", "volume", "volatility", "trend", "others")
SET_ASIDE = {"fillna", "dropnans", *("high", "low", "close", "volume")}
"""What ta's constructors take that is no parameter of an indicator: filling what is not known, and the series."""
OTHER_DEFAULTS = {"sma.window": "ta has none", "vpt.smoothing": "ta says None for none"}


def ta_classes() -> dict[str, Any]:
    import importlib

    from ta.utils import IndicatorMixin

    found: dict[str, Any] = {}
    for group in GROUPS:
        module = importlib.import_module(f"ta.{group}")
        for name, value in vars(module).items():
            if inspect.isclass(value) and issubclass(value, IndicatorMixin) and value.__module__ == module.__name__:
                found[f"{group}.{name}"] = value
    return found


@pytest.mark.requirement("indicators:complete")
def test_every_class_of_ta_is_one_row_and_every_row_is_a_class_of_ta() -> None:
    rows = [f"{row.group}.{row.ta}" for row in ROWS]
    assert len(set(rows)) == len(rows)
    assert set(rows) == set(ta_classes())
    assert len(rows) == 43


@pytest.mark.requirement("indicators:complete")
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_output_and_parameter_of_a_class_is_in_its_row(row: Indicator) -> None:
    made = ta_classes()[f"{row.group}.{row.ta}"]
    methods = {name for name, value in vars(made).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert {output.ta for output in row.outputs} == methods
    assert len({output.name for output in row.outputs}) == len(row.outputs)
    taken = inspect.signature(made).parameters
    assert {param.ta for param in row.params} == set(taken) - SET_ASIDE
    assert set(row.inputs) <= set(taken)
    for param in row.params:
        if f"{row.name}.{param.name}" not in OTHER_DEFAULTS:
            assert param.default == taken[param.ta].default
        assert param.low <= param.default <= param.high


@pytest.mark.requirement("indicators:complete")
def test_rows_say_who_computes_them_and_why_where_it_is_not_ta() -> None:
    for row in ROWS:
        assert (row.engine == "ta") == (row.run is None)
        assert row.why or row.engine == "ta", row.name
        assert 1 <= row.shown <= len(row.outputs)
        assert "\n" not in row.about
        assert len(row.about) < 100


@pytest.mark.requirement("indicators:names")
def test_names_and_aliases_are_found_whatever_their_case() -> None:
    seen: set[str] = set()
    for row in ROWS:
        for name in (row.name, row.name.upper(), f" {row.name} ", *row.aliases):
            assert find(name) is row
        assert not seen & {row.name, *row.aliases}
        seen |= {row.name, *row.aliases}
    assert find("Williams R").name == "williams_r"
    assert find("parabolic-sar").name == "psar"


@pytest.mark.requirement("indicators:names")
@pytest.mark.parametrize(
    ("wrong", "near"), [("rsj", "rsi"), ("macdd", "macd"), ("bolinger", "bbands"), ("vwapp", "vwap")]
)
def test_an_unknown_name_is_refused_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"no indicator '{wrong}'.*{near}.*list_indicators"):
        find(wrong)


@pytest.mark.requirement("indicators:parameters")
def test_parameters_are_read_by_place_and_by_name() -> None:
    assert parse("rsi").params == {"window": 14}
    assert parse("RSI( 7 )").params == {"window": 7}
    assert parse("macd(5, 35, 5)").params == {"fast": 5, "slow": 35, "signal": 5}
    assert parse("macd(5,slow=35)").params == {"fast": 5, "slow": 35, "signal": 9}
    assert parse("keltner(original=false)").params["original"] is False
    assert parse("bbands(dev=2.5)").params == {"window": 20, "dev": 2.5}
    assert parse("bbands(20,2)").params == {"window": 20, "dev": 2.0}


@pytest.mark.requirement("indicators:parameters")
def test_columns_are_named_as_asked_for() -> None:
    def columns(text: str) -> list[str]:
        wanted = parse(text)
        return [wanted.column(output) for output in wanted.outputs]

    assert columns("rsi") == ["rsi"]
    assert columns("rsi(14)") == ["rsi_14"]
    assert columns("macd") == ["macd", "macd_signal", "macd_diff"]
    assert columns("macd(slow=30).signal") == ["macd_12_30_signal"]
    assert columns("bbands") == ["bbands_middle", "bbands_upper", "bbands_lower"]
    assert len(columns("bbands.all")) == 7
    assert columns("psar(0.01).up") == ["psar_0.01_up"]


@pytest.mark.requirement("indicators:parameters")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rsi(1)", r"window = '1' is not allowed; a whole number, 2 to 500"),
        ("rsi(501)", "2 to 500"),
        ("rsi(14.5)", "a whole number"),
        ("rsi(nan)", "a whole number"),
        ("rsi(1e999)", "2 to 500"),
        ("rsi(١٤)", "a whole number"),
        ("rsi(1_4)", "a whole number"),
        ("rsi(length=14)", "no parameter 'length'.*window 2 to 500"),
        ("rsi(14,15)", "given 2 parameters"),
        ("rsi(14,window=15)", "given 2 parameters"),
        ("rsi()x", "is not an indicator"),
        ("macd(slow=30,3)", "comes after a named parameter"),
        ("macd(fast=3,fast=4)", "given twice"),
        ("macd(26,12)", r"fast 26, slow 12 is out of order.*fast < slow"),
        ("keltner(original=2)", "true or false"),
        ("bbands(dev=inf)", "a number, 0.01 to 20"),
        ("donchian(20,-1)", "0 to 500"),
        ("rsi.signal", "no output 'signal'. It has: rsi, all"),
        ("", "is not an indicator"),
        ("rsi" * 60, "is not an indicator"),
        ("rsi;drop", "is not an indicator"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse(text)


@pytest.mark.requirement("indicators:parameters")
@pytest.mark.parametrize("value", [None, "x", float("nan"), float("inf"), 10**300, -1, True, [14], 14.5])
def test_wrong_values_are_refused_with_the_range_by_whatever_way_they_come(value: Any) -> None:
    with pytest.raises(UsageError, match="window .* 2 to 500"):
        compute("rsi", {"window": value}, walk(50))


@pytest.mark.requirement("indicators:parameters")
def test_a_number_too_long_to_write_is_refused_too() -> None:
    with pytest.raises(UsageError, match="so large a number"):
        compute("rsi", {"window": 10**6000}, walk(50))


@pytest.mark.requirement("indicators:parameters")
def test_whole_numbers_may_be_written_as_decimals() -> None:
    assert check(CATALOGUE["rsi"], {"window": 14.0}) == {"window": 14}
    assert check(CATALOGUE["bbands"], {"window": np.int64(10), "dev": 2}) == {"window": 10, "dev": 2.0}


@pytest.mark.requirement("indicators:parameters")
def test_a_row_describes_its_ranges() -> None:
    assert describe(CATALOGUE["macd"]).endswith("signal 1 to 500 (default 9); fast < slow")
    assert describe(CATALOGUE["obv"]) == "obv has no parameters"


@pytest.mark.requirement("indicators:hostile")
@settings(max_examples=300)
@given(st.one_of(st.text(max_size=200), st.from_regex(r"[a-z_]{0,12}\(?[\w=.,+\- ]{0,20}\)?\.?\w{0,8}")))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    refused = ""
    try:
        wanted = parse(text)
    except UsageError as error:
        refused = str(error)
    else:
        assert wanted.outputs
        assert check(wanted.indicator, wanted.params) == wanted.params
    assert len(refused) < 900
    assert refused.isprintable()


@pytest.mark.requirement("indicators:volume")
def test_what_needs_volume_is_refused_without_it_and_the_others_are_named() -> None:
    bars = walk(60)
    without = BarArrays(bars.high, bars.low, bars.close)
    for row in ROWS:
        if "volume" in row.inputs:
            with pytest.raises(UsageError, match=rf"{row.name} needs volume.*rsi"):
                compute(row.name, {}, without)
        else:
            assert compute(row.name, {}, without).keys() == {output.name for output in row.outputs}


@pytest.mark.requirement("indicators:parameters")
def test_series_of_different_lengths_are_refused() -> None:
    bars = walk(60)
    with pytest.raises(UsageError, match=r"atr needs series of one length: high \(60,\), low \(59,\)"):
        compute("atr", {}, BarArrays(bars.high, bars.low[1:], bars.close))


@pytest.mark.requirement("indicators:light")
def test_the_catalogue_can_be_read_without_its_heavy_packages() -> None:
    code = (
        "import sys; from quant.catalogue import CATALOGUE, parse; parse('rsi(14)'); assert len(CATALOGUE) == 43; "
        "assert not {'pandas', 'ta', 'talib'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
