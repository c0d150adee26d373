"""Cursors: where the next page begins, in a text that says which question it belongs to. Not secret and not trusted.

A cursor holds numbers only (an offset, a time the pages are pinned to) and is checked like any other argument; the feed
refuses a time after its clock in it as anywhere.
"""

from __future__ import annotations

import operator

from mcp.server.mcpserver.exceptions import ToolError

from bus.ids import digest
from mcp_servers._times import shown

__all__ = ["MOST_NS", "MOST_OFFSET", "MOST_S", "make_cursor", "read_cursor"]

MOST_OFFSET, MOST_S, MOST_NS = 10**9, 8 * 10**9, 8 * 10**18
"""The largest offset and times (to the year 2223) a cursor may hold."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def make_cursor(question: tuple[str, ...], *numbers: int) -> str:
    """Return a cursor.

    Args:
        question: What was asked: the tool and every parameter that another page may not change.
        *numbers: Where to go on; not negative.
    """
    return ".".join([digest(*question, size=3), *map(_write, numbers)])


def read_cursor(cursor: str, question: tuple[str, ...], *most: int) -> tuple[int, ...]:
    """Return the numbers of a cursor.

    Args:
        cursor: From a caller.
        question: As it was made with.
        *most: How large each number may be.

    Raises:
        ToolError: It is none, or belongs to another question.
    """
    head, *parts = cursor.strip().split(".") if len(cursor) < 80 else [""]
    try:
        numbers = tuple(int(part, 36) for part in parts if part.isalnum() and part.isascii())
    except ValueError:
        numbers = ()
    if not len(numbers) == len(parts) == len(most) or any(map(operator.gt, numbers, most)):
        raise ToolError(
            f"cursor = {shown(cursor)} is not one of {question[0]}'s. Give next_cursor of its last answer as it was, "
            "or leave it out for the first page."
        )
    if head != digest(*question, size=3):
        raise ToolError(
            f"cursor = {shown(cursor)} belongs to another question. Give it with the same parameters as the page it "
            "came with (limit may change), or leave it out for the first page."
        )
    return numbers


def _write(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
