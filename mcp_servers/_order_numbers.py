"""Quantities and prices as callers write them, made exact or refused with what is allowed. Never rounded in silence."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import WithJsonSchema

from bus.fixed import SCALE, from_nano
from mcp_servers._times import shown

__all__ = ["Number", "exact", "on_grid", "plain"]

Number = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]})]
"""A decimal as text or number; checked by ``exact``, because a message must say more than that it is no number."""

_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_MOST = 10**9
_MOST_TEXT = 40


def exact(name: str, value: object) -> int:
    """Return a positive number in billionths.

    Args:
        name: The parameter's, for the error.
        value: What was given.

    Raises:
        ToolError: It is none, not positive, too large, or has more than nine decimal places.
    """
    allowed = f"allowed: a number above 0 and up to {_MOST:,} with at most 9 decimal places, such as 100 or 187.25"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ToolError(f"{name} = {shown(_text(value))} is not a number; {allowed}.")
    text = _text(value).strip()
    if len(text) > _MOST_TEXT or not _PLAIN.fullmatch(text):
        raise ToolError(f"{name} = {shown(text)} is not a plain number; {allowed}.")
    decimal = Decimal(text)
    if decimal <= 0 or decimal > _MOST:
        raise ToolError(f"{name} = {shown(text)} is out of range; {allowed}.")
    numerator, denominator = decimal.as_integer_ratio()
    nano, rest = divmod(numerator * SCALE, denominator)
    if rest:
        raise ToolError(f"{name} = {shown(text)} has too many decimal places; {allowed}.")
    return nano


def _text(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return "a huge number"
    return str(value) if isinstance(value, int | float | str) else type(value).__name__


def on_grid(name: str, nano: int, step_nano: int, symbol: str, grid: str) -> None:
    """Check that a number is a multiple of a tick or a lot.

    Raises:
        ToolError: It is not; the text names the nearest that are.
    """
    if nano % step_nano:
        low = nano // step_nano * step_nano
        near = [plain(value) for value in (low, low + step_nano) if value > 0]
        raise ToolError(
            f"{name} = {plain(nano)} is not in steps of {symbol}'s {grid} of {plain(step_nano)}. Nearest allowed: "
            f"{' or '.join(near)}."
        )


def plain(nano: int) -> str:
    """Return billionths as the shortest exact decimal."""
    return f"{from_nano(nano):f}"
