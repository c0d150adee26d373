"""What a row of the indicator catalogue is made of. Not the rows and not their arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Engine",
    "Floats",
    "Group",
    "Indicator",
    "Inputs",
    "Output",
    "Param",
    "Params",
    "Run",
    "Unit",
]

Floats = npt.NDArray[np.float64]
Params: TypeAlias = Mapping[str, Any]
"""Checked parameters: every name of the indicator, each of its kind."""
Inputs: TypeAlias = Mapping[str, Floats]
"""The series an indicator needs (high, low, close, volume), finite and of one length, oldest first."""
Run: TypeAlias = Callable[[Inputs, Params], Mapping[str, Floats]]
Bars: TypeAlias = Callable[[Params], int]
Group: TypeAlias = Literal["momentum", "volume", "volatility", "trend", "others"]
Engine: TypeAlias = Literal["ta", "talib", "own"]
Unit: TypeAlias = Literal["price", "percent", "ratio", "volume", "number", "flag"]


@dataclass(frozen=True)
class Param:
    """A parameter: its kind is that of its default.

    Attributes:
        name: As callers write it.
        default: What it is when not given.
        low: The least allowed value.
        high: The greatest allowed value.
        ta: The name that the ``ta`` package has for it.
    """

    name: str
    default: int | float | bool
    low: float
    high: float
    ta: str

    @property
    def kind(self) -> Literal["int", "float", "bool"]:
        """Return what values are: whole numbers, numbers, or true and false."""
        if isinstance(self.default, bool):
            return "bool"
        return "int" if isinstance(self.default, int) else "float"

    @property
    def allowed(self) -> str:
        """Return what is allowed, for a person and for a model."""
        return "true or false" if self.kind == "bool" else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Output:
    """One series of an indicator.

    Attributes:
        name: As callers write it; the main one is named as its indicator.
        ta: The method of the ``ta`` class that returns it.
        unit: What its numbers are.
        bars: How many bars its first value needs.
    """

    name: str
    ta: str
    unit: Unit
    bars: Bars


@dataclass(frozen=True)
class Indicator:
    """One row of the catalogue.

    Attributes:
        name: The short name.
        group: The module of ``ta`` that has it.
        about: One line.
        ta: The class of ``ta``.
        inputs: Which series it needs.
        params: Parameters in the order in which they may be given without names.
        outputs: Its series, the ones that matter most first.
        run: What computes it, or None where ``ta`` does.
        engine: Who computes it.
        why: How it differs from ``ta``, and why; empty where it does not.
        settle: How many bars it needs until what came before them no longer matters (to about 0.1 %).
        shown: How many of the outputs are shown unless asked for by name.
        rising: Parameters of which each must be smaller than the next.
        cumulative: Whether its level depends on the first bar it is given.
        aliases: Other names people know.
    """

    name: str
    group: Group
    about: str
    ta: str
    inputs: tuple[str, ...]
    params: tuple[Param, ...]
    outputs: tuple[Output, ...]
    settle: Bars
    run: Run | None = None
    engine: Engine = "ta"
    why: str = ""
    shown: int = 1
    rising: tuple[str, ...] = ()
    cumulative: bool = False
    aliases: tuple[str, ...] = ()

    def bars(self, params: Params) -> int:
        """Return how many bars all outputs need for their first values."""
        return max(output.bars(params) for output in self.outputs)

    def defaults(self) -> dict[str, int | float | bool]:
        """Return every parameter's default."""
        return {param.name: param.default for param in self.params}
