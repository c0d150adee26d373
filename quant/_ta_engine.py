"""Runs a class of the ``ta`` package on arrays. Not where its mistakes are mended: those rows have another engine."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from bus.errors import ConfigError
from quant._catalogue_types import Floats, Indicator, Inputs, Params

__all__ = ["load", "run_ta"]


def load(name: str) -> ModuleType:
    """Import a module that comes with an extra.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"indicators need the package {name.partition('.')[0]}, which is not installed. "
            "Install it with: pip install 'openoutcry[mcp]'"
        ) from error


def run_ta(indicator: Indicator, inputs: Inputs, params: Params) -> dict[str, Floats]:
    """Return every output of an indicator as ``ta`` has it."""
    series: Any = load("pandas").Series
    made: Any = getattr(load(f"ta.{indicator.group}"), indicator.ta)(
        **{name: series(values) for name, values in inputs.items()},
        **{param.ta: params[param.name] for param in indicator.params},
    )
    return {
        output.name: np.array(getattr(made, output.ta)().to_numpy(), dtype=np.float64) for output in indicator.outputs
    }
