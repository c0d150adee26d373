"""The book told one event at a time, its answers whole: what is reserved, held and owned. Not a gate's or a judge's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bus.errors import SchemaError
from bus.fixed import SCALE
from bus.messages import Fill, OrderEvent, OrderEventKind, OrderStatus, Side, Snapshot
from risk.book import Book, Reservation
from tests.risk.core import CASH_NANO, INSTRUMENTS, START_NS, Core

NEVER_NS = 2**63 - 1
TEN = 10 * SCALE


def book() -> Book:
    return Book({each.symbol: each for each in INSTRUMENTS}, CASH_NANO)


def event(
    kind: OrderEventKind = "accepted",
    status: OrderStatus = "accepted",
    qty_nano: int = TEN,
    filled_nano: int = 0,
    order: str = "o1",
    side: Side = "buy",
    **other: Any,
) -> OrderEvent:
    made = OrderEvent(7, order, "ACME", side, kind, status, START_NS, qty_nano, filled_nano)
    return msgspec.structs.replace(made, **other)


def filled(
    name: str, qty: int, price: int = 100, refers_to: str = "", order: str = "o1", kind: OrderEventKind = "fill"
) -> OrderEvent:
    """Return a fill, bust or correction of an order to buy that is over."""
    fill = Fill(name, order, "ACME", "buy", qty * SCALE, price * SCALE, 0, START_NS, refers_to=refers_to)
    return event(kind, "filled", TEN, TEN, order, fill=fill)


def cash(amount_nano: int) -> OrderEvent:
    return event("cash", "filled", 0, order="", symbol="", cash_nano=amount_nano)


def owned(held: Book) -> tuple[int, int]:
    """Return the position in ACME, in units, and the cash that was spent, in money."""
    return held.position("ACME") // SCALE, (CASH_NANO - held.cash_nano) // SCALE


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:book:events")
@pytest.mark.parametrize("name", ["qty_nano", "filled_nano", "price_nano", "cash_nano"])
@pytest.mark.parametrize("kind", ["accepted", "cash"])
@pytest.mark.parametrize("value", [1.0, None, "1", True])
def test_an_event_with_a_number_that_is_none_changes_nothing(name: str, kind: Any, value: Any) -> None:
    held = book()
    with pytest.raises(SchemaError) as error:
        held.apply(event(kind, **{name: value}))
    assert str(error.value) == "execution's event 7 has a number that is none: closed; look at its journal"
    assert (held.cash_nano, held.equity_nano, held.reserved, held.holdings) == (CASH_NANO, CASH_NANO, {}, {})


@pytest.mark.requirement("risk:book:events")
def test_a_refused_fill_names_twenty_letters_of_its_symbol() -> None:
    told = filled("f1", 1)
    assert told.fill is not None
    strange = msgspec.structs.replace(told.fill, symbol="ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    with pytest.raises(SchemaError) as error:
        book().apply(msgspec.structs.replace(told, fill=strange))
    assert str(error.value) == (
        "execution's event 7 has a fill of 'ABCDEFGHIJKLMNOPQRST' that cannot be: closed; "
        "compare its journal with the broker's"
    )


@pytest.mark.requirement("state:bust")
def test_a_correction_of_what_was_never_seen_names_forty_letters_of_it_and_books_nothing() -> None:
    held = book()
    with pytest.raises(SchemaError) as error:
        held.apply(filled("c1", 1, refers_to="f" * 40 + "g", kind="correct"))
    assert str(error.value) == (
        f"execution's event 7 corrects fill '{'f' * 40}', which this gate has not seen: closed; "
        "compare its journal with the broker's"
    )
    assert owned(held) == (0, 0)


@pytest.mark.requirement("risk:book:equity")
def test_the_least_fill_there_can_be_is_booked() -> None:
    held = book()
    least = Fill("f1", "o1", "ACME", "buy", 1, 1, 0, START_NS)
    held.apply(event("fill", "filled", 1, 1, fill=least))
    assert held.position("ACME") == 1


@pytest.mark.requirement("risk:book:equity")
def test_of_a_symbol_that_was_never_traded_nothing_is_held_or_works_and_asking_leaves_no_trace() -> None:
    held = book()
    assert (held.position("ACME"), held.working("ACME", "buy"), held.working("ACME", "sell")) == (0, 0, 0)
    assert held.holdings == {}


# --- what is reserved -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:book:release")
def test_an_order_that_is_told_late_is_reserved_by_what_is_left_of_it_for_good() -> None:
    held = book()
    held.apply(event("accepted", "partially_filled", TEN, 4 * SCALE, price_nano=99 * SCALE, group="pair"))
    late = Reservation("ACME", "buy", 6 * SCALE, 99 * SCALE, NEVER_NS, seen=True, group="pair")
    assert held.reserved == {"o1": late}
    assert (held.working("ACME", "buy"), held.gross_nano) == (6 * SCALE, 594 * SCALE)
    assert held.unsent(NEVER_NS) == []


@pytest.mark.requirement("risk:book:release")
def test_an_order_that_is_told_late_without_a_price_has_none_and_with_the_last_of_it_counts_that() -> None:
    held = book()
    held.apply(event(qty_nano=TEN, filled_nano=TEN - 1))
    assert held.reserved == {"o1": Reservation("ACME", "buy", 1, 0, NEVER_NS, seen=True)}


@pytest.mark.requirement("risk:book:release")
@pytest.mark.parametrize("done", [TEN, TEN + SCALE])
def test_an_order_that_is_told_late_with_nothing_left_of_it_is_not_reserved(done: int) -> None:
    held = book()
    held.apply(event("unknown", "unknown", TEN, done))
    assert (held.reserved, held.holdings) == ({}, {})


@pytest.mark.requirement("risk:book:release")
@pytest.mark.parametrize("done", [TEN, TEN + SCALE])
def test_a_reserved_order_with_nothing_left_of_it_is_released_whatever_its_state(done: int) -> None:
    held = book()
    held.apply(event())
    held.apply(event("unknown", "unknown", TEN, done))
    assert (held.reserved, held.working("ACME", "buy"), held.gross_nano) == ({}, 0, 0)


@pytest.mark.requirement("risk:book:release")
def test_a_word_that_tells_no_quantity_leaves_an_order_as_large_as_it_was_and_one_that_does_resizes_it() -> None:
    core = Core()
    intent = core.approve(core.intent(qty=10, limit=99))
    held = core.client.book
    core.tell(intent, "accepted", qty_nano=0)
    reserved = held.reserved[intent.client_order_id]
    assert (reserved.remaining_nano, reserved.seen) == (TEN, True)
    core.tell(intent, "accepted", qty_nano=1)
    assert (held.reserved[intent.client_order_id].remaining_nano, held.working("ACME", "buy")) == (1, 1)


@pytest.mark.requirement("risk:book:release")
def test_an_order_that_execution_has_told_of_is_not_unsent_however_late_it_is() -> None:
    core = Core()
    told, silent = core.approve(core.intent(limit=99)), core.approve(core.intent(limit=98))
    core.tell(told, "sent")
    ends_ns = core.client.book.reserved[silent.client_order_id].expires_ns
    assert core.client.book.unsent(ends_ns) == []
    assert core.client.book.unsent(ends_ns + 1) == [silent.client_order_id]


@pytest.mark.requirement("state:group")
def test_an_approved_order_is_in_no_group_until_execution_names_one() -> None:
    core = Core()
    first, second = core.approve(core.intent(qty=10, limit=99)), core.approve(core.intent(qty=8, limit=98))
    held = core.client.book
    assert {each.group for each in held.reserved.values()} == {""}
    assert held.working("ACME", "buy") == 18 * SCALE
    core.tell(first, "sent", group="pair")
    assert held.working("ACME", "buy") == 18 * SCALE
    core.tell(second, "sent", group="pair")
    assert [each.group for each in held.reserved.values()] == ["pair", "pair"]
    assert (held.working("ACME", "buy"), held.gross_nano) == (TEN, 1_000 * SCALE)


@pytest.mark.requirement("state:group")
def test_of_two_groups_of_one_side_the_largest_of_each_counts() -> None:
    held = book()
    for name, qty, group in (("a", 10, "one"), ("b", 8, "one"), ("c", 5, "two"), ("d", 6, "two")):
        held.apply(event(order=name, qty_nano=qty * SCALE, group=group))
    assert held.working("ACME", "buy") == 16 * SCALE


@pytest.mark.requirement("state:group")
def test_an_order_reserved_by_itself_is_in_no_group() -> None:
    held, core = book(), Core()
    for qty in (10, 8):
        held.reserve(core.intent(qty=qty), 100 * SCALE, NEVER_NS)
    assert {each.group for each in held.reserved.values()} == {""}
    assert held.working("ACME", "buy") == 18 * SCALE


@pytest.mark.requirement("state:undo")
def test_forgetting_an_order_that_was_never_reserved_changes_nothing() -> None:
    held = book()
    held.unreserve("nobody's")
    assert (held.reserved, held.holdings) == ({}, {})


@pytest.mark.requirement("state:undo")
def test_of_an_order_that_was_forgotten_its_price_is_forgotten_too() -> None:
    held, intent = book(), Core().intent()
    held.reserve(intent, 100 * SCALE, NEVER_NS)
    held.unreserve(intent.client_order_id)
    held.apply(event(order=intent.client_order_id))
    assert held.reserved[intent.client_order_id].price_nano == 0


@pytest.mark.requirement("state:promised")
def test_a_promise_is_worth_something_at_once_and_no_more_once_it_is_taken_back() -> None:
    core = Core()
    held = core.client.book
    held.promise("entry", "ACME", "sell", 4 * SCALE)
    assert (held.working("ACME", "sell"), held.up_nano, held.down_nano, held.gross_nano) == (
        4 * SCALE,
        0,
        400 * SCALE,
        400 * SCALE,
    )
    held.promise("entry", "ACME", "sell", 0)
    assert (held.working("ACME", "sell"), held.down_nano, held.gross_nano) == (0, 0, 0)
    assert "" not in held.holdings
    assert None not in held.holdings


# --- what is owned ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:cash")
def test_money_that_comes_and_goes_moves_cash_and_equity_by_itself() -> None:
    held = book()
    held.apply(cash(5 * SCALE))
    assert (held.cash_nano, held.equity_nano) == (CASH_NANO + 5 * SCALE, CASH_NANO + 5 * SCALE)
    held.apply(cash(-7 * SCALE))
    assert (held.cash_nano, held.equity_nano) == (CASH_NANO - 2 * SCALE, CASH_NANO - 2 * SCALE)
    assert (held.reserved, held.holdings) == ({}, {})


@pytest.mark.requirement("state:cash")
def test_money_that_comes_while_a_position_has_no_price_leaves_the_equity_unknown() -> None:
    held = book()
    held.apply(filled("f1", 1))
    held.mark(Snapshot(START_NS, (), ()))
    assert held.equity_nano is None
    held.apply(cash(5 * SCALE))
    assert (held.cash_nano, held.equity_nano) == (CASH_NANO - 95 * SCALE, None)


@pytest.mark.requirement("state:bust")
def test_a_bust_whose_fill_was_never_seen_takes_itself_out_once() -> None:
    held = book()
    held.apply(filled("f9", 8))
    held.apply(filled("b1", 3, 50, refers_to="f1", kind="bust"))
    assert owned(held) == (5, 650)
    held.apply(filled("b2", 3, 50, refers_to="f1", kind="bust"))
    assert owned(held) == (5, 650)


@pytest.mark.requirement("state:bust")
def test_a_correction_of_a_correction_by_the_first_name_takes_the_newest_out() -> None:
    held = book()
    held.apply(filled("f1", 10))
    held.apply(filled("c1", 8, 101, refers_to="f1", kind="correct"))
    assert owned(held) == (8, 808)
    held.apply(filled("c2", 6, 102, refers_to="f1", kind="correct"))
    assert owned(held) == (6, 612)
    held.apply(filled("b1", 1, 1, refers_to="f1", kind="bust"))
    assert owned(held) == (0, 0)


@pytest.mark.requirement("state:bust")
def test_a_correction_of_a_correction_by_the_last_name_takes_that_out() -> None:
    held = book()
    held.apply(filled("f1", 10))
    held.apply(filled("c1", 8, 101, refers_to="f1", kind="correct"))
    held.apply(filled("c2", 6, 102, refers_to="c1", kind="correct"))
    assert owned(held) == (6, 612)
    held.apply(filled("b1", 1, 1, refers_to="c2", kind="bust"))
    assert owned(held) == (0, 0)
