"""One control in a table: a desk, the orders that it lets pass at its boundary, and those just beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from bus.messages import OrderIntent
from risk.words import explained
from tests.risk.core import Core

__all__ = ["Make", "Row", "order", "shows"]

Make: TypeAlias = Callable[[Core], OrderIntent]


@dataclass(frozen=True)
class Row:
    """A control.

    Attributes:
        code: What its denial is called.
        core: The desk, made anew.
        good: Below the boundary and at it.
        bad: Beyond it.
    """

    code: str
    core: Callable[[], Core]
    good: tuple[Make, ...]
    bad: tuple[Make, ...]


def order(symbol: str = "ACME", side: Any = "buy", qty: str | int = 10, limit: str | int = 0, **other: Any) -> Make:
    """Return what makes this order at a desk."""

    def make(core: Core) -> OrderIntent:
        return core.intent(symbol, side, qty, limit, **other)

    return make


def shows(row: Row) -> None:
    """Judge every order of a row at one desk: judging changes nothing."""
    core = row.core()
    for make in (*row.good, *row.bad, *row.good):
        intent, expected = make(core), row.code if make in row.bad else "approved"
        code = core.code(intent)
        assert code == expected, f"{intent.symbol} {intent.side} {intent.qty_nano / 10**9}: {code}, not {expected}"
        if code != "approved":
            text = explained(code, intent, core.client.facts)
            assert len(text) > 20, f"{code}: {text}"
            assert not text.endswith(("ask with plain values", "nothing passes it")), f"{code}: {text}"
