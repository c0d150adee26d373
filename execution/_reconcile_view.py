"""What a journal's events say, for comparing. Not the order book: only what comparing needs, from the events alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from bus.messages import Fill, OrderEvent, OrderStatus, Origin, Side
from execution.broker import Statement

__all__ = ["GRACE_NS", "Executions", "Line", "View"]

FillKey: TypeAlias = tuple[str, str]
"""Client order id and fill id: a venue may number the fills of each order from 1."""

GRACE_NS = 60_000_000_000
"""How far back a statement without any execution must know of ours."""


class Executions:
    """Executions as they were told and, of each, what counts now: a bust takes it away, a correction changes it."""

    __slots__ = ("_counting", "_roots", "told")

    def __init__(self) -> None:
        self.told: dict[FillKey, Fill] = {}
        self._roots: dict[FillKey, FillKey] = {}
        self._counting: dict[FillKey, Fill] = {}

    def copy(self) -> Executions:
        """Return another that can be gone on with."""
        other = Executions()
        other.told, other._roots, other._counting = dict(self.told), dict(self._roots), dict(self._counting)
        return other

    def undoes(self, fill: Fill) -> Fill | None:
        """Return what a bust or a correction takes back; None where that is not known or counts no more."""
        root = self._roots.get((fill.client_order_id, fill.refers_to))
        return self._counting.get(root) if root is not None else None

    def take(self, fill: Fill, *, bust: bool) -> None:
        """Take in an execution, a correction of one, or a bust."""
        key = (fill.client_order_id, fill.fill_id)
        root = self._roots.get((fill.client_order_id, fill.refers_to), key)
        self.told[key], self._roots[key] = fill, root
        if bust:
            self._counting.pop(root, None)
        else:
            self._counting[root] = fill

    def counting(self) -> list[Fill]:
        """Return what counts."""
        return list(self._counting.values())


class Line:
    """One order: the last that was journaled about it."""

    __slots__ = ("filled_nano", "origin", "qty_nano", "side", "status", "symbol")

    def __init__(self, event: OrderEvent) -> None:
        self.symbol: str = event.symbol
        self.side: Side = event.side
        self.status: OrderStatus = event.status
        self.qty_nano = event.qty_nano
        self.filled_nano = event.filled_nano
        self.origin: Origin = event.origin


class View:
    """Orders, fills and the opening, by a journal's events."""

    def __init__(self, events: Iterable[OrderEvent]) -> None:
        """Read them all, oldest first."""
        self.orders: dict[str, Line] = {}
        self.executions = Executions()
        self.opened_ns = 0
        self.last_seq = 0
        self.since_cash = 0
        """Fills after the last ``cash`` event: each may differ from the broker's cash by a rounding unit."""
        for event in events:
            self.last_seq = event.seq
            if event.kind == "cash":
                self.opened_ns = self.opened_ns or event.time_ns
                self.since_cash = 0
                continue
            self.orders[event.client_order_id] = Line(event)
            if event.fill is not None:
                self.since_cash += 1
                self.executions.take(event.fill, bust=event.kind == "bust")

    def _real(self, fills: Iterable[Fill]) -> list[Fill]:
        """Leave out what reconciling itself made."""
        return [fill for fill in fills if self.orders[fill.client_order_id].origin != "synthetic"]

    def older(self, statement: Statement) -> bool:
        """Return whether a statement is from before our last execution: it can say nothing about positions."""
        return any(fill.time_ns > statement.seen_ns for fill in self._real(self.executions.told.values()))

    def lacking(self, statement: Statement) -> list[Fill]:
        """Return fills of ours that a statement ought to tell and does not: it is behind, or they were undone."""
        told = {(fill.client_order_id, fill.fill_id) for fill in statement.fills}
        start_ns = min((fill.time_ns for fill in statement.fills), default=statement.seen_ns - GRACE_NS)
        return [
            fill
            for fill in self._real(self.executions.counting())
            if fill.time_ns > start_ns and (fill.client_order_id, fill.fill_id) not in told
        ]
