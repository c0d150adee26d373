"""Every indicator of the ``ta`` package by name, with right values. Functions of data: no source, no clock, no cache.

``compute("macd", {"fast": 5}, bars)`` gives each output as an array as long as the bars, NaN where there is no value:
before its windows are full, at bars that lack a number, and where the definition divides by nothing. No value depends
on a later bar.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bus.errors import UsageError
from bus.fixed import SCALE
from bus.messages import Bar
from quant._catalogue_table import ROWS
from quant._catalogue_types import Floats, Indicator, Output, Param, Params, Unit
from quant._ta_engine import run_ta

__all__ = [
    "CATALOGUE",
    "BarArrays",
    "Indicator",
    "Output",
    "Param",
    "Unit",
    "Wanted",
    "check",
    "compute",
    "describe",
    "find",
    "parse",
    "written",
]

CATALOGUE: Mapping[str, Indicator] = {row.name: row for row in ROWS}
"""Every indicator by name, in the order of the table."""

_ALIASES: Mapping[str, str] = {alias: row.name for row in ROWS for alias in row.aliases}
_WANTED = re.compile(r"\s*([A-Za-z_][\w ]*?)\s*(?:\(([^()]*)\))?\s*(?:\.\s*(\w+))?\s*", re.ASCII)
_MOST_TEXT = 120
_BOOLS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class BarArrays:
    """Bars as arrays of one length, oldest first, in quote currency; ``volume`` is None where the venue has none."""

    high: Any
    low: Any
    close: Any
    volume: Any = None

    @classmethod
    def of(cls, bars: Sequence[Bar], has_volume: bool = True) -> BarArrays:
        """Take them from bars; ``has_volume`` is the instrument's."""
        numbers = np.array([(bar.high_nano, bar.low_nano, bar.close_nano, bar.volume_nano) for bar in bars], np.float64)
        high, low, close, volume = numbers.reshape(-1, 4).T / SCALE
        return cls(high, low, close, volume if has_volume else None)


@dataclass(frozen=True)
class Wanted:
    """An indicator as a caller asked for it.

    Attributes:
        indicator: Its row.
        params: All parameters, checked.
        outputs: Which outputs.
        label: How its columns begin: the name, and the parameters if any were given.
    """

    indicator: Indicator
    params: Params
    outputs: tuple[Output, ...]
    label: str

    def column(self, output: Output) -> str:
        """Return the name of an output's column."""
        return self.label if output.name == self.indicator.name else f"{self.label}_{output.name}"


def find(name: str) -> Indicator:
    """Return an indicator by its name or an alias; case is forgiven.

    Raises:
        UsageError: There is none; the text has the nearest names.
    """
    wanted = re.sub(r"[\s\-]+", "_", name.strip().lower())
    found = CATALOGUE.get(_ALIASES.get(wanted, wanted))
    if found is not None:
        return found
    near = difflib.get_close_matches(wanted[:_MOST_TEXT], [*CATALOGUE, *_ALIASES], n=4, cutoff=0.4)
    names = list(dict.fromkeys(_ALIASES.get(each, each) for each in near))
    told = f"Nearest: {', '.join(names)}" if names else f"Some are: {', '.join(list(CATALOGUE)[:8])}"
    raise UsageError(f"there is no indicator {_quoted(name)}. {told}. All {len(CATALOGUE)}: list_indicators.")


def describe(indicator: Indicator) -> str:
    """Return the parameters with their ranges, for a person and for a model."""
    if not indicator.params:
        return f"{indicator.name} has no parameters"
    params = ", ".join(f"{p.name} {p.allowed} (default {written(p.default)})" for p in indicator.params)
    order = f"; {' < '.join(indicator.rising)}" if indicator.rising else ""
    return f"{indicator.name} takes {params}{order}"


def check(indicator: Indicator, given: Mapping[str, Any]) -> dict[str, int | float | bool]:
    """Return all parameters: those given, checked, and the defaults of the others.

    Raises:
        UsageError: An unknown name, a wrong type or a value out of range; the text has what is allowed.
    """
    values = indicator.defaults()
    known = {param.name: param for param in indicator.params}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"{indicator.name} has no parameter {_quoted(name)}. {describe(indicator)}.")
        values[name] = _checked(indicator, known[name], value)
    ordered = [values[name] for name in indicator.rising]
    if any(first >= second for first, second in zip(ordered, ordered[1:], strict=False)):
        told = ", ".join(f"{name} {values[name]}" for name in indicator.rising)
        raise UsageError(f"{indicator.name}: {told} is out of order. {describe(indicator)}.")
    return values


def parse(text: str) -> Wanted:
    """Read what a caller asks for: ``rsi``, ``macd(12,26,9)``, ``bbands(dev=2.5).upper`` or ``bbands.all``.

    Raises:
        UsageError: It cannot be read, or names what does not exist; the text has what does.
    """
    match = _WANTED.fullmatch(text) if len(text) <= _MOST_TEXT else None
    if match is None:
        raise UsageError(
            f"{_quoted(text)} is not an indicator. Write a name, parameters in brackets if other than the defaults, "
            "and an output if other than the main ones: rsi, rsi(14), macd(12,26,9), bbands(dev=2.5).upper, bbands.all."
        )
    name, inside, output = match.groups()
    indicator = find(name)
    given = _given(indicator, inside or "")
    params = check(indicator, given)
    last = max((at + 1 for at, param in enumerate(indicator.params) if param.name in given), default=0)
    values = [written(params[param.name]) for param in indicator.params[:last]]
    return Wanted(indicator, params, _outputs(indicator, output or ""), "_".join([indicator.name, *values]))


def compute(name: str, params: Mapping[str, Any], bars: BarArrays) -> dict[str, Floats]:
    """Return every output of an indicator.

    Args:
        name: Of the catalogue.
        params: Those that are not to be the defaults.
        bars: Anything that numpy takes for arrays: pandas Series too, whatever their index.

    Returns:
        Output → float64 array as long as the bars. A bar in which a needed number is missing is passed over: it has no
        value, and those around it are neighbours.

    Raises:
        UsageError: No such indicator or parameter, a value out of range, arrays that do not fit, or no volume.
        ConfigError: The packages for it are not installed.
    """
    indicator = find(name)
    checked = check(indicator, params)
    inputs = _inputs(indicator, bars)
    length = len(inputs[indicator.inputs[0]])
    whole = np.logical_and.reduce([np.isfinite(values) for values in inputs.values()])
    answer = {output.name: np.full(length, np.nan) for output in indicator.outputs}
    count = int(whole.sum())
    if count < min(output.bars(checked) for output in indicator.outputs):
        return answer
    known = inputs if count == length else {key: values[whole] for key, values in inputs.items()}
    with np.errstate(all="ignore"):
        made = indicator.run(known, checked) if indicator.run is not None else run_ta(indicator, known, checked)
    for output in indicator.outputs:
        values = made[output.name]
        values = np.where(np.isfinite(values), values, np.nan)
        values[: output.bars(checked) - 1] = np.nan
        answer[output.name][whole] = values
    return answer


def _inputs(indicator: Indicator, bars: BarArrays) -> dict[str, Floats]:
    arrays: dict[str, Floats] = {}
    for name in indicator.inputs:
        values = getattr(bars, name)
        if values is None:
            others = [row.name for row in CATALOGUE.values() if name not in row.inputs]
            raise UsageError(
                f"{indicator.name} needs {name}, and there is none here. These do not: {', '.join(others)}."
            )
        arrays[name] = np.asarray(values, dtype=np.float64)
    if any(array.ndim != 1 for array in arrays.values()) or len({len(array) for array in arrays.values()}) != 1:
        told = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise UsageError(f"{indicator.name} needs series of one length: {told}. Give one number per bar in each.")
    return arrays


def _checked(indicator: Indicator, param: Param, given: Any) -> int | float | bool:
    value = _read(param, given) if isinstance(given, str) else given
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if param.kind == "bool":
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
    elif number and param.low <= value <= param.high:
        if param.kind == "float":
            return float(value)
        if value == int(value):
            return int(value)
    what = {"int": "a whole number, ", "float": "a number, ", "bool": ""}[param.kind]
    told = f"{param.name} = {_quoted(given)} is not allowed; {what}{param.allowed}"
    raise UsageError(f"{indicator.name}: {told}. {describe(indicator)}.")


def _read(param: Param, text: str) -> Any:
    """Return the value a text stands for; the text itself where it stands for none."""
    if param.kind == "bool":
        return _BOOLS.get(text.strip().lower(), text)
    try:
        return float(text) if text.strip().isascii() and "_" not in text else text
    except ValueError:
        return text


def _given(indicator: Indicator, inside: str) -> dict[str, str]:
    parts = [part.strip() for part in inside.split(",")] if inside.strip() else []
    if len(parts) > len(indicator.params):
        raise UsageError(f"{indicator.name} was given {len(parts)} parameters. {describe(indicator)}.")
    given: dict[str, str] = {}
    for at, part in enumerate(parts):
        name, sign, value = part.partition("=")
        if not sign:
            name, value = indicator.params[at].name, part
            if any(param.name not in given for param in indicator.params[:at]):
                raise UsageError(
                    f"{indicator.name}: {_quoted(part)} comes after a named parameter; name it too. "
                    f"{describe(indicator)}."
                )
        if name.strip().lower() in given:
            raise UsageError(f"{indicator.name}: {_quoted(name)} is given twice. {describe(indicator)}.")
        given[name.strip().lower()] = value.strip()
    return given


def _outputs(indicator: Indicator, name: str) -> tuple[Output, ...]:
    if not name:
        return indicator.outputs[: indicator.shown]
    if name.lower() == "all":
        return indicator.outputs
    for output in indicator.outputs:
        if output.name == name.lower():
            return (output,)
    raise UsageError(
        f"{indicator.name} has no output {_quoted(name)}. It has: "
        f"{', '.join(output.name for output in indicator.outputs)}, all."
    )


def written(value: int | float | bool) -> str:
    """Return a parameter's value as a caller may write it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _quoted(value: Any) -> str:
    try:
        text = str(value)
    except ValueError:  # more digits than Python writes
        text = "so large a number"
    return "".join(c if c.isprintable() else "?" for c in repr(text if len(text) <= 40 else f"{text[:39]}…"))
