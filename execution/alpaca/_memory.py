"""What Alpaca has told so far, so that each thing is told once: statuses, executions and ends from three sources.

An update of the stream, an answer and a look after a lost connection overlap and come in any order. Not a journal:
after a restart it starts from what the journal gives it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bus.errors import SchemaError
from bus.messages import Fill, Side
from execution.alpaca._records import FillRecord, OrderRecord, Symbols, UpdateRecord, fill_id, nano, near, time_ns
from execution.alpaca._status import ENDED, EVENTS, FILLS, STATUSES
from execution.broker import BrokerReport, KnownOrder, ReportKind

__all__ = ["Memory"]

_BACK_FROM: frozenset[ReportKind] = frozenset({"held", "suspended", "done_for_day"})


@dataclass(slots=True)
class _Order:
    client_order_id: str
    broker_id: str = ""
    qty_nano: int = 0
    told: ReportKind | None = None
    end: BrokerReport | None = None
    ended: bool = False
    updated_ns: int = 0
    counted_nano: int = 0
    fills: dict[str, Fill] = field(default_factory=dict[str, Fill])
    executions: dict[str, Fill] = field(default_factory=dict[str, Fill])
    undone: set[str] = field(default_factory=set[str])
    replacement: str = ""
    ours: bool = True

    @property
    def filled_nano(self) -> int:
        return sum(fill.qty_nano for fill in self.fills.values())

    @property
    def missing_nano(self) -> int:
        """What Alpaca has counted as filled and not told the executions of."""
        return max(0, self.counted_nano - self.filled_nano)

    @property
    def over(self) -> bool:
        return self.ended or (0 < self.qty_nano <= self.filled_nano)


class Memory:
    """The orders of one account that this adapter has heard of, by client order id."""

    def __init__(self, symbols: Symbols) -> None:
        """Start with none."""
        self._symbols = symbols
        self._orders: dict[str, _Order] = {}

    def knows(self, client_order_id: str) -> bool:
        """Say whether an order was sent before, by this adapter or the one before it."""
        return client_order_id in self._orders

    def expect(self, client_order_id: str, qty_nano: int) -> None:
        """Learn of an order that is about to be sent."""
        self._order(client_order_id).qty_nano = qty_nano

    def forget(self, client_order_id: str) -> None:
        """Unlearn an order that Alpaca refused before it was one."""
        self._orders.pop(client_order_id, None)

    def restore(self, known: KnownOrder) -> None:
        """Take up an order of the journal's."""
        order = self._order(known.intent.client_order_id)
        order.qty_nano = known.intent.qty_nano
        order.told = "accepted" if known.acknowledged else None
        order.fills.update((fill.fill_id, fill) for fill in known.fills)
        if known.intent.replaces and not known.acknowledged:
            self._order(known.intent.replaces).replacement = known.intent.client_order_id

    def replacing(self, old: str, new: str) -> None:
        """Learn that Alpaca is about to put one order in the place of another."""
        order = self._order(old)
        order.replacement = new
        order.told = "pending_replace"

    def cancelling(self, client_order_id: str) -> None:
        """Learn that Alpaca has taken a cancel."""
        self._order(client_order_id).told = "pending_cancel"

    def broker_id(self, client_order_id: str) -> str:
        """Return Alpaca's id of an order, empty when it is not known yet."""
        order = self._orders.get(client_order_id)
        return order.broker_id if order else ""

    def live(self) -> tuple[str, ...]:
        """Return our orders that are not over, and those of which an execution is missing."""
        return tuple(i for i, o in self._orders.items() if o.ours and (not o.over or o.missing_nano > 0))

    def missing(self) -> bool:
        """Say whether Alpaca has counted executions that it has not told."""
        return any(order.missing_nano > 0 for order in self._orders.values())

    # --- what is new ----------------------------------------------------------------------------------------------

    def update(self, record: UpdateRecord) -> list[BrokerReport]:
        """Return what an update says that is new.

        Raises:
            SchemaError: It says something that cannot be.
        """
        order = self._known(record.order)
        reports: list[BrokerReport] = []
        kind = EVENTS.get(record.event)
        if kind in ("bust", "correct"):
            return self._undone(order, record, kind)
        if kind is not None:
            return self._refused(order, record, kind)
        if record.event in FILLS and record.qty is not None and record.price is not None:
            done = self._fill(record.order, nano(record.qty), near(record.price), time_ns(record.timestamp))
            if record.execution_id:
                order.executions[record.execution_id] = order.fills.get(done.fill_id, done)
            reports += self._booked(order, done)
        return self._stood(order, record.order, reports)

    def look(self, record: OrderRecord, fills: Iterable[FillRecord]) -> list[BrokerReport]:
        """Return what an answer about an order says that is new.

        Raises:
            SchemaError: It says something that cannot be.
        """
        order = self._known(record)
        reports = [report for done in fills for report in self._booked(order, self.fill(done, order.client_order_id))]
        return self._stood(order, record, reports)

    def whole(self, record: OrderRecord, fills: Iterable[FillRecord]) -> tuple[BrokerReport, ...]:
        """Return everything definite about an order, told before or not, oldest first; it is told with this."""
        order = self._known(record)
        new = self.look(record, fills)
        told = [BrokerReport(order.client_order_id, "fill", "", fill, fill.time_ns) for fill in order.fills.values()]
        own = order.client_order_id
        rest = [report for report in new if report.client_order_id != own or report.kind not in ("accepted", "fill")]
        kind = _kind(record)
        if kind == "unknown":
            return tuple(told)
        if not rest and order.end is None and kind != "accepted":
            rest = [BrokerReport(order.client_order_id, kind, _reason(record), time_ns=time_ns(record.updated_at))]
        if kind == "rejected" and not told:
            return tuple(rest)
        return (BrokerReport(order.client_order_id, "accepted"), *told, *rest)

    def fill(self, record: FillRecord, client_order_id: str) -> Fill:
        """Return an activity as the fill that was told of it, or as the one that it is."""
        side: Side = "buy" if record.side == "buy" else "sell"
        found = fill_id(record.order_id, nano(record.cum_qty))
        order = self._orders.get(client_order_id)
        if order and found in order.fills:
            return order.fills[found]
        return Fill(
            found,
            client_order_id,
            self._symbols.ours(record.symbol),
            side,
            nano(record.qty),
            near(record.price),
            0,
            time_ns(record.transaction_time),
        )

    # --- how --------------------------------------------------------------------------------------------------------

    def _order(self, client_order_id: str) -> _Order:
        return self._orders.setdefault(client_order_id, _Order(client_order_id))

    def _known(self, record: OrderRecord) -> _Order:
        order = self._order(record.order_id)
        order.broker_id = record.id
        order.ours = record.order_id == record.client_order_id
        if record.qty is not None:
            order.qty_nano = nano(record.qty)
        return order

    def _fill(self, record: OrderRecord, qty_nano: int, price_nano: int, at_ns: int) -> Fill:
        if record.side is None or record.symbol is None or qty_nano <= 0:
            raise SchemaError("alpaca told of an execution without symbol, side or quantity; it will be asked for")
        found = fill_id(record.id, record.filled_nano)
        symbol = self._symbols.ours(record.symbol)
        return Fill(found, record.order_id, symbol, record.side, qty_nano, price_nano, 0, at_ns)

    def _booked(self, order: _Order, done: Fill) -> list[BrokerReport]:
        if done.fill_id in order.fills:
            return []
        order.fills[done.fill_id] = done
        return [BrokerReport(order.client_order_id, "fill", "", done, done.time_ns)]

    def _stood(self, order: _Order, record: OrderRecord, reports: list[BrokerReport]) -> list[BrokerReport]:
        """Add what the order's status says, unless it is older than what is known; an end waits for its fills."""
        at_ns = time_ns(record.updated_at)
        order.counted_nano = max(order.counted_nano, record.filled_nano)
        if at_ns >= order.updated_ns and not order.ended:
            order.updated_ns = at_ns
            kind = _kind(record)
            report = BrokerReport(order.client_order_id, kind, _reason(record), time_ns=at_ns)
            if kind in ENDED:
                order.end = report
            elif kind == "accepted":
                if order.told is None or order.told in _BACK_FROM:
                    reports = [report, *reports]
                    order.told = kind
            elif kind != order.told:
                reports.append(report)
                order.told = kind
        if order.end is not None and order.missing_nano == 0:
            reports += self._ended(order, order.end)
        return reports

    def _ended(self, order: _Order, end: BrokerReport) -> list[BrokerReport]:
        order.end, order.ended, order.told = None, True, end.kind
        reports = [end]
        if end.kind == "replaced" and order.replacement:
            new = self._order(order.replacement)
            if new.told is None:
                new.told = "accepted"
                reports.append(BrokerReport(new.client_order_id, "accepted", time_ns=end.time_ns))
        if end.kind == "rejected":
            reports += self._returned(order.client_order_id, end.reason)
        return reports

    def _returned(self, new: str, reason: str) -> list[BrokerReport]:
        """Return that the order which ``new`` was to replace goes on as it was."""
        for order in self._orders.values():
            if order.replacement == new and not order.ended:
                order.replacement, order.told = "", "accepted"
                return [BrokerReport(order.client_order_id, "replace_rejected", reason)]
        return []

    def _refused(self, order: _Order, record: UpdateRecord, kind: ReportKind) -> list[BrokerReport]:
        at_ns = time_ns(record.timestamp)
        reports = [BrokerReport(order.client_order_id, kind, record.event, time_ns=at_ns)]
        new = self._orders.get(order.replacement) if kind == "replace_rejected" else None
        order.told = "accepted"
        if new is not None:
            order.replacement = ""
            if not new.ended:
                new.ended, new.told = True, "rejected"
                reports.append(BrokerReport(new.client_order_id, "rejected", record.event, time_ns=at_ns))
        return self._stood(order, record.order, reports)

    def _undone(self, order: _Order, record: UpdateRecord, kind: ReportKind) -> list[BrokerReport]:
        """Undo or correct an execution of this session's; what it was before is found by reconciling."""
        was = order.executions.get(record.previous_execution_id or record.execution_id or "")
        undo = f"{kind}/{record.execution_id or record.timestamp}"
        if was is None or undo in order.undone:
            return []
        order.undone.add(undo)
        qty_nano = nano(record.qty) if kind == "correct" else was.qty_nano
        price_nano = near(record.price) if kind == "correct" else was.price_nano
        at_ns = time_ns(record.timestamp)
        done = Fill(
            f"{was.fill_id}/{undo}",
            was.client_order_id,
            was.symbol,
            was.side,
            qty_nano or was.qty_nano,
            price_nano or was.price_nano,
            0,
            at_ns,
            refers_to=was.fill_id,
        )
        return [BrokerReport(order.client_order_id, kind, record.event, done, at_ns)]


def _kind(record: OrderRecord) -> ReportKind:
    # A status that is new to us says nothing definite: the order keeps what it reserves and is asked about.
    return STATUSES.get(record.status, "unknown")


def _reason(record: OrderRecord) -> str:
    if record.status not in STATUSES:
        return "alpaca told of a status that is not one of its 18"
    return "" if STATUSES.get(record.status) == record.status or record.status == "new" else record.status
