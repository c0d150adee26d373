"""Statements to the billionth, and what taking a position over adds: what whole answers are compared with."""

from __future__ import annotations

import msgspec

from bus.fixed import SCALE, to_nano
from bus.ids import derived_id
from bus.messages import Difference, Fill, OrderIntent, Side
from execution.broker import BrokerReport, Held, OpenOrder, Statement
from execution.reconcile import Adopted, Outcome, compare
from tests.execution.reconciling import INSTRUMENTS, NOW, Books, intent, opened

__all__ = [
    "LEFT",
    "SECOND",
    "SEEN",
    "START",
    "done",
    "exactly",
    "hundred",
    "knowing",
    "made_up",
    "told",
    "two_held",
    "working",
]

SECOND = 1_000_000_000
SEEN = NOW + 100 * SECOND
START = to_nano(100_000)
replace = msgspec.structs.replace


def done(
    fill_id: str,
    side: Side,
    qty_nano: int,
    price_nano: int,
    refers_to: str = "",
    *,
    fee_nano: int = 0,
    symbol: str = "IBM",
) -> Fill:
    """An execution of the order of its side and symbol; its number is its second."""
    time_ns = NOW + int(fill_id.lstrip("x")) * SECOND
    return Fill(fill_id, f"{side}-{symbol}", symbol, side, qty_nano, price_nano, fee_nano, time_ns, "taker", refers_to)


def knowing(*fills: Fill) -> Books:
    """Opened books with these executions, of orders that are large enough for what may follow."""
    books, _ = opened()
    for name in dict.fromkeys(fill.client_order_id for fill in fills):
        side, _, symbol = name.partition("-")
        order = replace(intent(name, "buy" if side == "buy" else "sell", 1_000, symbol), time_in_force="gtc")
        books.send(order, NOW)
    for fill in fills:
        books.hear(BrokerReport(fill.client_order_id, "fill", fill=fill), fill.time_ns)
    return books


def working(books: Books, *fills: Fill) -> tuple[OpenOrder, ...]:
    """All our orders, as they work there with these executions."""
    filled = {name: order.filled_nano for name, order in books.book.orders.items() if order.origin == "desk"}
    for fill in fills:
        filled[fill.client_order_id] += fill.qty_nano
    return tuple(
        OpenOrder(name, f"b-{name}", order.intent.symbol, order.intent.side, order.intent.qty_nano, filled[name], 0)
        for name, order in books.book.orders.items()
        if name in filled
    )


def told(
    books: Books, cash_nano: int | None, *held: Held, new: tuple[Fill, ...] = (), fills: tuple[Fill, ...] | None = None
) -> Statement:
    """A statement in which all our executions are told, and these new ones."""
    known = tuple(event.fill for event in books.book.events if event.fill is not None and event.origin == "desk")
    return Statement(cash_nano, held, working(books, *new), known + new if fills is None else fills, SEEN)


def exactly(books: Books, statement: Statement, *, last: bool = True, consent: str = "", unit: int = 0) -> Outcome:
    """The answer, the last word on it, with cash that is rounded to nothing."""
    return compare(books.ours(), statement, INSTRUMENTS, last=last, consent=consent, cash_unit_nano=unit)


def hundred() -> Books:
    """Books that hold 100 at 100."""
    return knowing(done("x1", "buy", to_nano(100), to_nano(100)))


LEFT = START - to_nano(10_000)
"""Their cash."""


def made_up(
    symbol: str, side: Side, qty_nano: int, price_nano: int, want: Held, *, number: int, seq: int, reason: str
) -> tuple[Adopted, BrokerReport, BrokerReport, Difference]:
    """What taking over adds for one step: the order, its acceptance, its fill, and how it is told."""
    parts = ("alice", symbol, want.qty_nano, want.avg_price_nano, seq, number)
    name, fill_id = derived_id("syn", *parts), derived_id("synfill", *parts)
    order = OrderIntent(
        client_order_id=name,
        client="alice",
        run_id="run-1",
        cycle=0,
        index=number,
        symbol=symbol,
        side=side,
        order_type="market",
        time_in_force="day",
        qty_nano=qty_nano,
        limit_price_nano=0,
        decided_ns=SEEN,
        strategy="reconcile",
        reason=reason,
    )
    fill = Fill(fill_id, name, symbol, side, qty_nano, price_nano, 0, SEEN, "synthetic")
    units, held = qty_nano // SCALE, want.qty_nano // SCALE
    return (
        Adopted(order, "synthetic", price_nano),
        BrokerReport(name, "accepted", reason, None, SEEN),
        BrokerReport(name, "fill", reason, fill, SEEN),
        Difference("quantity", symbol, "", f"{held} held", f"{side} {units}"),
    )


def two_held() -> tuple[Books, Fill]:
    """Books that hold 100 IBM at 100 and 2 ES at 1500, and an execution of IBM that they lack."""
    books = knowing(
        done("x1", "buy", to_nano(100), to_nano(100)), done("x2", "buy", to_nano(2), to_nano(1_500), symbol="ES")
    )
    return books, done("x3", "buy", to_nano(50), to_nano(70))
