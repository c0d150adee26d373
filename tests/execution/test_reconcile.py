"""Reconciling: what a broker can prove is taken in, what it held before us is opened once, the rest halts.

The sums that must agree, and any history of both sides, are in ``test_reconcile_sums``.
"""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import to_nano
from execution.broker import BrokerReport, Held, Statement
from execution.reconcile import compare
from tests.execution.reconciling import (
    INSTRUMENTS,
    NOW,
    Books,
    Venue,
    agree,
    intent,
    nothing,
    opened,
    ours_sent,
    settle,
    told,
)

# --- opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:opening")
def test_an_empty_journal_takes_the_brokers_positions_and_cash_over_once() -> None:
    venue = Venue(cash_nano=to_nano(31_000))
    venue.place("theirs", "buy", 100)
    venue.fill("theirs", 100, 95, fee=1)
    venue.place("short", "sell", 2, "ES", 1_500)
    venue.fill("short", 2, 1_500)
    books = Books()
    outcome = settle(books, venue)
    assert outcome.halted == ""
    assert [adopted.origin for adopted in outcome.adopt] == ["synthetic", "synthetic"]
    assert len(outcome.cash) == 1
    assert "x1" not in {fill.fill_id for order in books.book.orders.values() for fill in order.fills.values()}
    agree(books, venue)
    assert not books.alarms
    assert nothing(settle(books, venue)), "what was before the opening is not taken in again"


@pytest.mark.requirement("execution:reconcile:opening")
def test_an_account_with_nothing_but_our_cash_is_opened_with_a_mark_that_moves_nothing() -> None:
    books, venue = opened()
    (event,) = books.book.events
    assert (event.kind, event.cash_nano, event.time_ns) == ("cash", 0, NOW)
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:opening")
def test_a_position_without_a_price_cannot_be_opened_and_halts() -> None:
    venue = Venue()
    venue.place("theirs", "buy", 100)
    venue.fill("theirs", 100, 95)
    books = Books()
    outcome = settle(
        books, venue, edit=lambda s: msgspec.structs.replace(s, held=(Held("IBM", to_nano(100), 0),), cash_nano=None)
    )
    assert "quantity IBM: ours 0, theirs 100" in outcome.halted
    assert not books.synthetic


# --- what the broker proves -------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_fill_that_was_missed_is_taken_in_under_the_brokers_id_and_only_once() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    told(books, venue.fill("oo-1", 40, 100))
    venue.fill("oo-1", 60, 101, fee=1)
    outcome = settle(books, venue)
    assert [(r.client_order_id, r.kind, r.fill and r.fill.fill_id) for r in outcome.reports] == [("oo-1", "fill", "x2")]
    assert [(d.what, d.name, d.settled) for d in outcome.differences] == [("fill", "x2", "taken in")]
    assert books.book.orders["oo-1"].status == "filled"
    agree(books, venue)
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:fills")
def test_busts_and_corrections_that_were_missed_are_taken_in() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    first, second = venue.fill("oo-1", 40, 100), venue.fill("oo-1", 30, 100)
    told(books, first)
    venue.amend(first, None)
    venue.amend(second, 103)
    outcome = settle(books, venue)
    assert [r.kind for r in outcome.reports] == ["fill", "bust", "correct"]
    assert outcome.halted == ""
    assert books.book.orders["oo-1"].filled_nano == to_nano(30)
    agree(books, venue)
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_bust_may_be_told_before_what_it_undoes_and_a_correction_of_the_fee_is_none() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    venue.amend(venue.fill("oo-1", 40, 100), None)
    second = venue.fill("oo-1", 60, 100, fee=1)
    dearer = msgspec.structs.replace(second, fill_id="x9", refers_to=second.fill_id, fee_nano=to_nano(3))

    def edit(s: Statement) -> Statement:
        cash = (s.cash_nano or 0) - to_nano(2)
        return msgspec.structs.replace(s, fills=(dearer, *reversed(s.fills)), cash_nano=cash)

    outcome = settle(books, venue, edit=edit)
    assert [(r.kind, r.fill and r.fill.fill_id) for r in outcome.reports] == [
        ("fill", "x3"),
        ("fill", "x1"),
        ("correct", "x9"),
        ("bust", "x2"),
    ]
    assert outcome.halted == ""
    assert books.book.orders["oo-1"].filled_nano == to_nano(60)


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_bust_of_what_was_before_the_opening_is_for_a_person() -> None:
    venue = Venue()
    venue.place("x-1", "buy", 100)
    first = venue.fill("x-1", 100, 100)
    books, _ = opened(venue)
    venue.amend(first, None)
    assert "fill x2: ours nothing to undo" in settle(books, venue).halted


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_filled_order_that_a_bust_lets_work_again_is_asked_about() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    first = venue.fill("oo-1", 100, 100)
    told(books, first)
    venue.amend(first, None)
    venue.end("oo-1")
    assert settle(books, venue).halted == ""
    assert books.book.orders["oo-1"].status == "canceled"
    agree(books, venue)


@pytest.mark.requirement("execution:reconcile:fills")
def test_executions_told_twice_in_one_statement_count_once() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    venue.fill("oo-1", 100, 100)
    outcome = settle(books, venue, edit=lambda s: msgspec.structs.replace(s, fills=(*s.fills, *s.fills)))
    assert [r.kind for r in outcome.reports] == ["fill"]
    agree(books, venue)


@pytest.mark.requirement("execution:reconcile:fills")
@pytest.mark.parametrize(
    "changes",
    [{"qty_nano": to_nano(50)}, {"price_nano": to_nano(90)}, {"side": "sell"}, {"symbol": "ES"}],
)
def test_an_execution_that_contradicts_a_known_one_changes_nothing_and_halts(changes: dict[str, object]) -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    told(books, venue.fill("oo-1", 100, 100))
    before = books.ours()
    outcome = settle(
        books,
        venue,
        edit=lambda s: msgspec.structs.replace(s, fills=(msgspec.structs.replace(s.fills[0], **changes),)),
    )
    assert "fill x1" in outcome.halted
    assert books.ours() == before


@pytest.mark.requirement("execution:reconcile:fills")
@pytest.mark.parametrize("changes", [{"side": "sell"}, {"symbol": "ES"}, {"qty_nano": 0}, {"refers_to": "x9"}])
def test_an_execution_that_is_not_of_its_order_is_not_taken_in(changes: dict[str, object]) -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    venue.fill("oo-1", 100, 100)
    before = books.ledger.cash_nano
    outcome = settle(
        books,
        venue,
        edit=lambda s: msgspec.structs.replace(s, fills=(msgspec.structs.replace(s.fills[0], **changes),), orders=()),
    )
    assert "fill x1" in outcome.halted
    assert books.ledger.cash_nano in (before, venue.ledger.cash_nano), "asking told the true one, or nothing"
    assert all(r.kind not in {"fill", "bust", "correct"} for r in outcome.reports)


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_fee_that_is_told_later_is_no_contradiction() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    told(books, venue.fill("oo-1", 100, 100))
    outcome = settle(
        books,
        venue,
        edit=lambda s: msgspec.structs.replace(s, fills=(msgspec.structs.replace(s.fills[0], time_ns=NOW),)),
    )
    assert nothing(outcome)


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_unanswered_order_that_works_there_is_accepted() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100, answer=False)
    assert settle(books, venue).halted == ""
    assert books.book.orders["oo-1"].status == "accepted"
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_unanswered_order_that_is_not_there_is_asked_about_and_never_given_up_by_itself() -> None:
    books, venue = opened()
    books.send(intent("oo-1", "buy", 100), venue.tick(), answer=False)
    outcome = compare(books.ours(), venue.statement(), INSTRUMENTS)
    assert outcome.ask == ("oo-1",)
    assert outcome.reports == ()
    last = compare(books.ours(), venue.statement(), INSTRUMENTS, last=True, consent="a person")
    assert last.reports == (), "no consent settles what nobody answered: it keeps its reservation"
    assert last.halted == ""


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_order_that_ended_unheard_is_asked_about_and_ends_with_what_it_filled() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    venue.fill("oo-1", 30, 100)
    venue.end("oo-1")
    assert settle(books, venue).halted == ""
    order = books.book.orders["oo-1"]
    assert (order.status, order.filled_nano) == ("canceled", to_nano(30))
    agree(books, venue)
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_acknowledged_order_that_nobody_knows_halts_until_a_person_gives_it_up() -> None:
    books, venue = opened()
    books.send(intent("oo-1", "buy", 100), venue.tick())
    silent = compare(books.ours(), venue.statement(), INSTRUMENTS)
    assert (silent.ask, silent.halted, silent.again) == (("oo-1",), "", True)
    last = compare(books.ours(), venue.statement(), INSTRUMENTS, last=True)
    assert "order oo-1" in last.halted
    given_up = compare(books.ours(), venue.statement(), INSTRUMENTS, last=True, consent="a person")
    assert [(r.client_order_id, r.kind) for r in given_up.reports] == [("oo-1", "canceled")]
    assert given_up.halted == ""


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_order_that_is_over_here_and_works_there_halts() -> None:
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    books.hear(BrokerReport("oo-1", "canceled"), venue.now_ns)
    outcome = settle(books, venue)
    assert "order oo-1" in outcome.halted
    assert settle(books, venue, consent="a person").halted, "nobody can consent away an order that works"
    venue.end("oo-1")
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_order_held_here_is_not_looked_for_there() -> None:
    books, venue = opened()
    order = books.book.add(intent("oo-1", "sell", 100), venue.tick())
    books.book.advance(order, "held", venue.now_ns)
    assert nothing(settle(books, venue))
    assert order.status == "held"


@pytest.mark.requirement("execution:reconcile:external")
def test_orders_and_executions_of_other_hands_are_adopted() -> None:
    books, venue = opened()
    venue.place("x-open", "sell", 50, price=120)
    venue.fill("x-open", 20, 120)
    venue.place("x-over", "buy", 70)
    venue.fill("x-over", 30, 99)
    venue.fill("x-over", 40, 98)
    outcome = settle(books, venue)
    assert outcome.halted == ""
    worth = {a.intent.client_order_id: (a.origin, a.intent.qty_nano, a.price_nano) for a in outcome.adopt}
    assert worth == {
        "x-open": ("external", to_nano(50), to_nano(120)),
        "x-over": ("external", to_nano(70), to_nano(99)),
    }
    orders = books.book.orders
    assert [(orders[n].status, orders[n].filled_nano) for n in worth] == [
        ("partially_filled", to_nano(20)),
        ("filled", to_nano(70)),
    ]
    agree(books, venue)
    assert nothing(settle(books, venue))
    venue.fill("x-open", 10, 121)
    venue.end("x-open")
    assert settle(books, venue).halted == ""
    assert (orders["x-open"].status, orders["x-open"].filled_nano) == ("canceled", to_nano(30))
    agree(books, venue)
    assert not books.alarms


@pytest.mark.requirement("execution:reconcile:external")
def test_an_order_of_other_hands_that_was_busted_and_is_over_is_adopted_as_over() -> None:
    books, venue = opened()
    venue.place("x-1", "buy", 100)
    venue.amend(venue.fill("x-1", 60, 100), None)
    venue.fill("x-1", 40, 100)
    venue.end("x-1")
    assert settle(books, venue).halted == ""
    assert (books.book.orders["x-1"].status, books.book.orders["x-1"].filled_nano) == ("canceled", to_nano(40))
    agree(books, venue)
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:external")
def test_of_an_order_that_worked_before_the_opening_only_the_rest_is_adopted() -> None:
    venue = Venue()
    venue.place("x-1", "buy", 100)
    venue.fill("x-1", 60, 100)
    books = Books()
    assert settle(books, venue).halted == ""
    assert books.book.orders["x-1"].intent.qty_nano == to_nano(40)
    venue.fill("x-1", 40, 100)
    assert settle(books, venue).halted == ""
    assert books.book.orders["x-1"].status == "filled"
    agree(books, venue)
    assert not books.alarms
