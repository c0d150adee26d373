"""Executions and orders that the broker tells of and our journal does not have, or has otherwise. Not sums of money."""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

from bus.fixed import from_nano
from bus.messages import Difference, Fill, OrderIntent, Side
from execution._reconcile_shapes import Adopted, Ours
from execution._reconcile_view import Line, View
from execution.broker import BrokerReport, OpenOrder, Statement
from execution.states import FINAL

__all__ = ["Execution", "Found", "find", "words"]

Execution: TypeAlias = tuple[Literal["fill", "bust", "correct"], Fill]

_UNANSWERED = frozenset({"intent", "in_flight", "unknown"})
_EXPLAINED = _UNANSWERED | {"done_for_day"}
"""Statuses of an order that need not work at the broker now. UNKNOWN keeps its reservation until there is a definite
answer (law 4), so it is open but explained."""
_OURS_ALONE = frozenset({"held"})
"""Statuses that execution itself keeps: no broker need know of the order."""

_GONE = "works no more at the broker's"


class Found:
    """What was found: what to do, and the ``questions`` that nothing explains yet."""

    __slots__ = ("adopt", "ask", "delta", "differences", "executions", "peak", "questions", "reports")

    def __init__(self) -> None:
        self.adopt: list[Adopted] = []
        self.reports: list[BrokerReport] = []
        self.executions: list[Execution] = []
        self.delta: dict[str, int] = {}
        """What the new executions add to each order."""
        self.peak: dict[str, int] = {}
        """The most that they add to each order on the way."""
        self.ask: list[str] = []
        self.differences: list[Difference] = []
        self.questions: list[Difference] = []

    def add(self, client_order_id: str, delta_nano: int) -> None:
        """Count what an execution adds to its order."""
        total = self.delta[client_order_id] = self.delta.get(client_order_id, 0) + delta_nano
        self.peak[client_order_id] = max(self.peak.get(client_order_id, 0), total)


def words(fill: Fill) -> str:
    """Return an execution in words."""
    return f"{fill.side} {from_nano(fill.qty_nano):f} {fill.symbol} at {from_nano(fill.price_nano):f}"


def find(ours: Ours, view: View, statement: Statement, *, opened_ns: int, fresh: bool, consent: bool) -> Found:
    """Return the executions and orders to take in, in an order in which they can be applied.

    Args:
        ours: Our side.
        view: Its events.
        statement: The broker's side.
        opened_ns: Up to when executions by other hands are in the opening.
        fresh: Whether the statement tells of orders that work now; otherwise only its executions are taken.
        consent: Whether a person takes the broker's word that an order of ours works no more.
    """
    found = Found()
    _executions(view, statement, opened_ns, found)
    told = {order.client_order_id: order for order in statement.orders} if fresh else {}
    for client_order_id in dict.fromkeys([*told, *(fill.client_order_id for _, fill in found.executions)]):
        if client_order_id not in view.orders:
            _adopt(ours, statement, client_order_id, told.get(client_order_id), found)
    for client_order_id, order in told.items():
        line = view.orders.get(client_order_id)
        if line is not None:
            _works_there(order, line, found)
    for kind, fill in found.executions:
        found.reports.append(BrokerReport(fill.client_order_id, kind, "", fill, fill.time_ns))
        found.differences.append(Difference("fill", fill.fill_id, "not known", f"{kind}: {words(fill)}", "taken in"))
    for adopted in found.adopt:
        name = adopted.intent.client_order_id
        if name not in told and found.delta[name] < adopted.intent.qty_nano:
            found.reports.append(BrokerReport(name, "canceled", _GONE, None, statement.seen_ns))
    for client_order_id, line in view.orders.items():
        if (
            fresh
            and client_order_id not in told
            and line.status not in _OURS_ALONE
            and _works(client_order_id, line, found)
        ):
            _works_here(client_order_id, line, statement, found, consent=consent)
    return found


def _executions(view: View, statement: Statement, opened_ns: int, found: Found) -> None:
    known = view.executions.copy()
    queue = deque((fill, True) for fill in statement.fills)
    while queue:
        fill, may_wait = queue.popleft()
        seen = known.told.get((fill.client_order_id, fill.fill_id))
        if seen is not None:
            if _economics(seen) != _economics(fill):
                found.questions.append(_fill_question(fill, words(seen), "two executions under one id"))
            continue
        line = view.orders.get(fill.client_order_id)
        if fill.time_ns <= opened_ns and (line is None or line.origin == "external"):
            continue
        if fill.qty_nano <= 0 or (line is not None and (line.symbol, line.side) != (fill.symbol, fill.side)):
            ours = f"{line.side} {line.symbol}" if line is not None else "not known"
            found.questions.append(_fill_question(fill, ours, "it is no execution of that order"))
            continue
        kind: Literal["fill", "bust", "correct"] = "fill"
        delta = fill.qty_nano
        if fill.refers_to:
            before = known.undoes(fill)
            if before is None and may_wait:
                queue.append((fill, False))  # what it refers to may be told after it
                continue
            if before is None:
                found.questions.append(_fill_question(fill, "nothing to undo", f"it refers to {fill.refers_to}"))
                continue
            same = (before.qty_nano, before.price_nano, before.fee_nano) == (
                fill.qty_nano,
                fill.price_nano,
                fill.fee_nano,
            )
            kind, delta = ("bust", -before.qty_nano) if same else ("correct", fill.qty_nano - before.qty_nano)
        known.take(fill, bust=kind == "bust")
        found.executions.append((kind, fill))
        found.add(fill.client_order_id, delta)


def _economics(fill: Fill) -> tuple[str, str, Side, int, int, str]:
    """What two tellings of one execution must agree on; a fee may be told later than the fill."""
    return fill.client_order_id, fill.symbol, fill.side, fill.qty_nano, fill.price_nano, fill.refers_to


def _fill_question(fill: Fill, ours: str, why: str) -> Difference:
    return Difference("fill", fill.fill_id, ours, words(fill), f"ours is kept: {why}")


def _adopt(ours: Ours, statement: Statement, client_order_id: str, order: OpenOrder | None, found: Found) -> None:
    """Take up an order of another hand's: one that works, or one that is over and of which only executions are told."""
    fills = [fill for _, fill in found.executions if fill.client_order_id == client_order_id]
    if order is not None:
        # What it filled before our books were opened is in the opening, so it is not of the order that we take up.
        symbol, side, price = order.symbol, order.side, order.price_nano
        qty = order.qty_nano - order.filled_nano + found.delta.get(client_order_id, 0)
        theirs = f"{side} {from_nano(order.qty_nano):f} {symbol}, works as {order.broker_order_id}"
    else:
        symbol, side, price = fills[0].symbol, fills[0].side, 0
        qty = found.peak[client_order_id]
        theirs = f"{side} {from_nano(qty):f} {symbol}, over"
    if qty <= 0 or any((fill.symbol, fill.side) != (symbol, side) for fill in fills):
        found.questions.append(
            Difference("order", client_order_id, "not known", theirs, "its executions contradict it")
        )
        found.executions = [(kind, fill) for kind, fill in found.executions if fill.client_order_id != client_order_id]
        return
    intent = OrderIntent(
        client_order_id=client_order_id,
        client=ours.client,
        run_id=ours.run_id,
        cycle=0,
        index=0,
        symbol=symbol,
        side=side,
        order_type="limit" if price > 0 else "market",
        time_in_force="gtc",
        qty_nano=qty,
        limit_price_nano=max(price, 0),
        decided_ns=statement.seen_ns,
        strategy="external",
        reason="placed at the broker by other hands",
    )
    worth = max([price, *(fill.price_nano for fill in fills)])
    found.adopt.append(Adopted(intent, "external", worth))
    found.reports.append(BrokerReport(client_order_id, "accepted", "adopted", None, statement.seen_ns))
    found.differences.append(Difference("order", client_order_id, "not known", theirs, "adopted"))


def _works(client_order_id: str, line: Line, found: Found) -> bool:
    """Whether an order works here, with what is taken in: a bust lets a filled one work again."""
    filled = line.filled_nano + found.delta.get(client_order_id, 0)
    return line.status not in FINAL or (line.status == "filled" and filled < line.qty_nano)


def _works_there(order: OpenOrder, line: Line, found: Found) -> None:
    """An order of our journal's that works at the broker."""
    name = order.client_order_id
    theirs = f"works, {from_nano(order.filled_nano):f} of {from_nano(order.qty_nano):f} filled"
    filled = line.filled_nano + found.delta.get(name, 0)
    mine = f"{line.status}, {from_nano(filled):f} of {from_nano(line.qty_nano):f} filled"
    if not _works(name, line, found):
        found.questions.append(Difference("order", name, mine, theirs, "ours is over: cancel it at the broker's"))
        return
    if (line.symbol, line.side) != (order.symbol, order.side):
        found.questions.append(
            Difference("order", name, f"{line.side} {line.symbol}", f"{order.side} {order.symbol}", "ours is kept")
        )
        return
    if line.status in _UNANSWERED:
        found.reports.append(BrokerReport(name, "accepted", "found at the broker's"))
        found.differences.append(Difference("order", name, mine, theirs, "accepted"))
    rest = order.qty_nano - order.filled_nano
    if line.origin != "external" and order.filled_nano != filled:
        found.ask.append(name)
        found.differences.append(Difference("order", name, mine, theirs, "asked about"))
    elif rest > line.qty_nano - filled and line.status != "pending_replace":
        found.questions.append(Difference("order", name, mine, theirs, "more of it works there than here"))


def _works_here(client_order_id: str, line: Line, statement: Statement, found: Found, *, consent: bool) -> None:
    """An order that works by our journal and that the broker does not name among those that work."""
    filled = line.filled_nano + found.delta.get(client_order_id, 0)
    if filled >= line.qty_nano:
        return
    mine = f"{line.status}, {from_nano(filled):f} of {from_nano(line.qty_nano):f} filled"
    if line.origin == "external" or (consent and line.status not in _EXPLAINED):
        found.reports.append(BrokerReport(client_order_id, "canceled", _GONE, None, statement.seen_ns))
        found.differences.append(Difference("order", client_order_id, mine, _GONE, "canceled"))
        return
    found.ask.append(client_order_id)
    gone = Difference("order", client_order_id, mine, _GONE, "asked about")
    if line.status in _EXPLAINED:
        found.differences.append(gone)
    else:
        found.questions.append(gone)
