"""Executions out of ExecutionReports: each kept once under its ExecID, with what it does to the quantity held.

Not the order's state: that is ``reports``. A fill that a status counts and that never came as an execution is stood in
for by one of a derived id, at the price that is left of AvgPx; should it come after all, it is known by its CumQty.
"""

from __future__ import annotations

from bus.fixed import notional_nano
from bus.ids import derived_id
from bus.messages import Fill, Instrument, Side
from execution.broker import ReportKind
from execution.fix.codec import Message
from execution.fix.store import Known, Store
from execution.fix.values import BadValueError, decimal_text, parse_nano, parse_time

__all__ = ["SIDES", "Executions", "nano", "sending_ns", "time_ns"]

SIDES: dict[str, Side] = {"1": "buy", "3": "buy", "2": "sell", "4": "sell", "5": "sell", "6": "sell"}


class Executions:
    """The executions of one session."""

    def __init__(self, store: Store, instruments: dict[str, Instrument]) -> None:
        """Keep them in a store; ``instruments`` have the multipliers for percentages of commission."""
        self._store = store
        self._instruments = instruments

    def before(self, known: Known) -> Known | None:
        """Return the order that this one replaces or was to replace."""
        return self._store.order(known.intent.replaces) if known.intent and known.intent.replaces else None

    def fill(self, message: Message, known: Known, kind: ReportKind) -> Fill | None:
        """Return the execution of a message, kept from now on; None where it says nothing new.

        Raises:
            BadValueError: It corrects or busts what is not known, and does not say how much that was.
        """
        exec_id = message.text(17)
        if self._store.other_fill(exec_id, known.client_order_id):
            # ExecID is unique for a day only; another order's of an earlier day must not hide this one.
            exec_id = f"{exec_id}@{known.client_order_id}"
        same = self._store.fill(exec_id, known.client_order_id)
        if same is not None:
            return same
        undone = self.counting(known.client_order_id).get(message.text(19)) if kind != "fill" else None
        if kind == "fill" and 0 < nano(message, 14) <= known.covered_nano:
            return None
        if kind == "bust" and undone is not None:
            qty, price = undone.qty_nano, undone.price_nano
        else:
            qty, price = nano(message, 32), nano(message, 31)
        if qty <= 0:
            if kind == "fill":
                return None
            raise BadValueError("a correction or bust of an execution that is not known here")
        side = SIDES.get(message.text(54))
        if side is None:
            raise BadValueError(f"side {message.text(54)} of an execution")
        fill = Fill(
            fill_id=exec_id,
            client_order_id=known.client_order_id,
            symbol=message.text(55) or known.symbol,
            side=side,
            qty_nano=qty,
            price_nano=price,
            fee_nano=self._fee(message, known.symbol, price, qty),
            time_ns=time_ns(message),
            liquidity="maker" if message.text(851) == "1" else "taker",
            refers_to=message.text(19) if kind != "fill" else "",
        )
        change = -qty if kind == "bust" else qty - (undone.qty_nano if undone else 0)
        self._store.keep_fill(exec_id, kind, fill, change if side == "buy" else -change)
        return fill

    def _fee(self, message: Message, symbol: str, price: int, qty: int) -> int:
        """Return the commission of an execution: per unit (CommType 1), a percentage (2) or absolute (3)."""
        if message.raw(12) is None:
            return 0
        amount, kind = nano(message, 12), message.text(13)
        if kind == "1":
            return notional_nano(amount, qty)
        if kind == "2":
            instrument = self._instruments.get(symbol)
            traded = notional_nano(price, qty, instrument.multiplier if instrument else 1)
            return notional_nano(amount, traded) // 100
        return amount

    def counting(self, client_order_id: str) -> dict[str, Fill]:
        """Return what counts of an order's executions, under every id that it was ever told by."""
        counting: dict[str, Fill] = {}
        roots: dict[str, str] = {}
        for kind, fill in self._store.fills(client_order_id):
            root = roots[fill.fill_id] = roots.get(fill.refers_to, fill.fill_id)
            if kind == "bust":
                counting.pop(root, None)
            else:
                counting[root] = fill
        return {name: counting[root] for name, root in roots.items() if root in counting}

    def filled_nano(self, client_order_id: str) -> int:
        """Return what is filled of an order, after busts and corrections."""
        once = {fill.fill_id: fill.qty_nano for fill in self.counting(client_order_id).values()}
        return sum(once.values())

    def chain_nano(self, known: Known) -> int:
        """Return CumQty of an order's chain as far as it is known here."""
        return known.base_nano + self.filled_nano(known.client_order_id)

    def missing_nano(self, message: Message, known: Known) -> int:
        """Return what CumQty says beyond the executions; 0 where busts or corrections make it no measure."""
        if any(kind != "fill" for kind, _ in self._store.fills(known.client_order_id)):
            return 0
        return nano(message, 14) - self.chain_nano(known)

    def stand_in(self, message: Message, known: Known) -> None:
        """Keep one fill for executions that a status counts and that never came, at the price that is left of AvgPx."""
        missing = self.missing_nano(message, known)
        if missing <= 0 or not known.intent:
            return
        cum, average = nano(message, 14), nano(message, 6)
        worth, step = average * cum, known
        while True:
            once = {fill.fill_id: fill for fill in self.counting(step.client_order_id).values()}
            worth -= sum(fill.qty_nano * fill.price_nano for fill in once.values())
            before = self.before(step)
            if before is None:
                break
            step = before
        price = (2 * worth + missing) // (2 * missing)
        if price <= 0:
            raise BadValueError("a status whose average price and quantity do not fit its executions")
        exec_id = derived_id("status", known.client_order_id, decimal_text(cum))
        fill = Fill(
            fill_id=exec_id,
            client_order_id=known.client_order_id,
            symbol=known.symbol,
            side=known.intent.side,
            qty_nano=missing,
            price_nano=price,
            fee_nano=0,
            time_ns=time_ns(message),
        )
        self._store.keep_fill(exec_id, "fill", fill, missing if known.intent.side == "buy" else -missing)
        known.covered_nano = cum
        self._store.keep_order(known)


def nano(message: Message, tag: int) -> int:
    """Return a number of a message in billionths, 0 where it has none."""
    raw = message.raw(tag)
    return 0 if raw is None else parse_nano(raw)


def time_ns(message: Message) -> int:
    """Return TransactTime, or SendingTime."""
    raw = message.raw(60) or message.raw(52)
    return 0 if raw is None else parse_time(raw)


def sending_ns(message: Message) -> int:
    """Return SendingTime, the counterparty's clock; 0 where it is none."""
    try:
        return parse_time(message.raw(52) or b"")
    except BadValueError:
        return 0
