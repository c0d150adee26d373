"""Rows of an answer by themselves: how numbers are written."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_servers._indicator_rows import number


@pytest.mark.requirement("indicators:compact")
@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (float("nan"), "price", ""),
        (85.6412345, "price", "85.641"),
        (0.04403, "price", "0.044"),
        (-0.000012345, "price", "-0.0000123"),
        (1.2345e-9, "price", "1.23e-09"),
        (70.0, "percent", "70"),
        (-99.996, "percent", "-100"),
        (1_234_567.8, "volume", "1234568"),
        (1.0, "flag", "1"),
        (0.0, "ratio", "0"),
        (-0.0, "number", "0"),
        (-0.001, "percent", "-0.001"),
        (0.43216, "price", "0.432"),
    ],
)
def test_numbers_are_short(value: float, unit: Any, text: str) -> None:
    assert number(value, unit, 2) == text
