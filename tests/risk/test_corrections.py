"""Whatever is busted and corrected, by whichever of its names: the gate holds what execution holds."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import SCALE
from bus.messages import Fill, OrderEvent
from execution.ledger import Ledger
from execution.spec import GatewaySpec
from risk.book import Book
from tests.risk.core import CASH_NANO, INSTRUMENTS

Kind = Literal["fill", "bust", "correct"]
SYMBOLS = {"one": "ACME", "two": "NICK"}


def event(seq: int, kind: Kind, name: str, of: str = "", qty: int = 10, order: str = "one") -> OrderEvent:
    """Return one step of an order of its own symbol; ``of`` is the execution it undoes."""
    symbol = SYMBOLS[order]
    fill = Fill(name, order, symbol, "buy", qty * SCALE, 100 * SCALE, 0, 1, refers_to=of)
    return OrderEvent(seq, order, symbol, "buy", kind, "accepted", 1, 10 * SCALE, 0, fill=fill)


def both(events: list[OrderEvent]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the positions by the gate's book and by execution's ledger; money has to be the same, too."""
    instruments = {each.symbol: each for each in INSTRUMENTS}
    book = Book(instruments, CASH_NANO)
    ledger = Ledger(GatewaySpec("alice", "run-1", "replay", "", "", CASH_NANO), instruments)
    for each in events:
        book.apply(each)
        ledger.take(each)
    assert book.cash_nano == ledger.cash_nano
    held = {symbol: holding.qty_nano // SCALE for symbol, holding in ledger.holdings.items() if holding.qty_nano}
    ours = {symbol: book.position(symbol) // SCALE for symbol in SYMBOLS.values() if book.position(symbol)}
    return ours, held


@pytest.mark.requirement("state:bust")
@pytest.mark.parametrize(
    ("last", "left"),
    [
        (("bust", "f1", 6), 0),
        (("bust", "c1", 6), 0),
        (("bust", "c2", 6), 0),
        (("correct", "f1", 5), 5),
        (("correct", "c1", 5), 5),
        (("correct", "c2", 5), 5),
    ],
)
@pytest.mark.parametrize("second", ["f1", "c1"])
def test_a_chain_of_corrections_is_one_fill_by_whichever_of_its_names(
    second: str, last: tuple[Kind, str, int], left: int
) -> None:
    kind, of, qty = last
    ours, held = both(
        [
            event(1, "fill", "f1"),
            event(2, "correct", "c1", "f1", 8),
            event(3, "correct", "c2", second, 6),
            event(4, kind, "last", of, qty),
        ]
    )
    assert ours == held == ({"ACME": left} if left else {})


@pytest.mark.requirement("state:bust")
def test_executions_of_two_orders_under_one_id_are_two() -> None:
    ours, held = both(
        [event(1, "fill", "e1", qty=3), event(2, "fill", "e1", qty=5, order="two"), event(3, "bust", "b", "e1", qty=3)]
    )
    assert ours == held == {"NICK": 5}


@pytest.mark.requirement("state:bust")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_after_any_chain_of_busts_and_corrections_the_gate_holds_what_execution_holds(data: st.DataObject) -> None:
    events: list[OrderEvent] = []
    names: dict[str, list[str]] = {"one": [], "two": []}
    alive: dict[str, set[str]] = {"one": set(), "two": set()}
    roots: dict[tuple[str, str], str] = {}
    for seq in range(1, data.draw(st.integers(1, 9)) + 1):
        order = data.draw(st.sampled_from(["one", "two"]))
        counted = [name for name in names[order] if roots[order, name] in alive[order]]
        kinds: list[Kind] = ["fill", "bust", "correct"] if counted else ["fill"]
        kind = data.draw(st.sampled_from(kinds))
        name, of = f"x{seq}", data.draw(st.sampled_from(counted)) if kind != "fill" else ""
        events.append(event(seq, kind, name, of, data.draw(st.integers(1, 9)), order))
        root = roots[order, name] = roots[order, of] if of else name
        names[order].append(name)
        if kind == "bust":
            alive[order].discard(root)
        else:
            alive[order].add(root)
    ours, held = both(events)
    assert ours == held
