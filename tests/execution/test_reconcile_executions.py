"""Reconciling: which executions of a statement are new, which contradict ours, and which the opening holds already."""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import to_nano
from bus.messages import Difference, Fill, OrderEvent, OrderEventKind, Origin, Side
from execution._reconcile_orders import Found, find
from execution._reconcile_view import GRACE_NS, Executions, View
from execution.broker import BrokerReport, OpenOrder, Statement
from tests.execution.reconciling import NOW, Books, intent, opened

SECOND = 1_000_000_000
SEEN = NOW + 100 * SECOND
HOUR = 3600 * SECOND
replace = msgspec.structs.replace


def done(
    fill_id: str, qty: int = 10, price: int = 100, refers_to: str = "", *, name: str = "oo-1", side: Side = "buy"
) -> Fill:
    """An execution after the opening; its number is its second."""
    time_ns = NOW + int(fill_id.lstrip("x")) * SECOND
    return Fill(fill_id, name, "IBM", side, to_nano(qty), to_nano(price), to_nano(2), time_ns, "taker", refers_to)


def sent(*names: str) -> Books:
    """Books with orders to buy 100 that work at the broker."""
    books, _ = opened()
    for name in names or ("oo-1",):
        books.send(intent(name, "buy", 100), NOW)
    return books


def hear(books: Books, *fills: Fill) -> Books:
    for fill in fills:
        books.hear(BrokerReport(fill.client_order_id, "fill", fill=fill), fill.time_ns)
    return books


def look(books: Books, *fills: Fill, opened_ns: int = NOW) -> Found:
    """What is found by executions alone: what works, and what does not, is not judged."""
    ours = books.ours()
    statement = Statement(None, (), (), fills, SEEN)
    return find(ours, View(ours.events), statement, opened_ns=opened_ns, fresh=False, consent=False)


def question(fill: Fill, ours: str, theirs: str, why: str) -> Difference:
    return Difference("fill", fill.fill_id, ours, theirs, f"ours is kept: {why}")


# --- what is new ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:fills")
def test_what_is_known_is_passed_over_and_what_follows_is_taken_in() -> None:
    known, missed, last = done("x1"), done("x2", 20, 101), done("x3", 30, 102)
    found = look(hear(sent(), known), known, missed, missed, last)
    assert found.executions == [("fill", missed), ("fill", last)]
    assert found.questions == []
    assert found.reports == [
        BrokerReport("oo-1", "fill", "", missed, missed.time_ns),
        BrokerReport("oo-1", "fill", "", last, last.time_ns),
    ]
    assert found.differences == [
        Difference("fill", "x2", "not known", "fill: buy 20 IBM at 101", "taken in"),
        Difference("fill", "x3", "not known", "fill: buy 30 IBM at 102", "taken in"),
    ]


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_venue_may_number_the_fills_of_each_order_from_one() -> None:
    first, second = done("x1"), done("x1", 20, name="oo-2")
    found = look(hear(sent("oo-1", "oo-2"), first), first, second)
    assert found.executions == [("fill", second)]
    assert found.questions == []


@pytest.mark.requirement("execution:reconcile:fills")
@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"qty_nano": to_nano(9)}, "buy 9 IBM at 100"),
        ({"price_nano": to_nano(99)}, "buy 10 IBM at 99"),
        ({"side": "sell"}, "sell 10 IBM at 100"),
        ({"symbol": "ES"}, "buy 10 ES at 100"),
        ({"refers_to": "x0"}, "buy 10 IBM at 100"),
    ],
)
def test_two_executions_under_one_id_are_for_a_person_and_what_follows_is_taken_in(
    changes: dict[str, object], theirs: str
) -> None:
    known, missed = done("x1"), done("x2", 20)
    other = replace(known, **changes)
    found = look(hear(sent(), known), other, missed)
    assert found.questions == [question(other, "buy 10 IBM at 100", theirs, "two executions under one id")]
    assert found.executions == [("fill", missed)]


@pytest.mark.requirement("execution:reconcile:fills")
@pytest.mark.parametrize("changes", [{"fee_nano": to_nano(9)}, {"time_ns": NOW + 9}, {"liquidity": "maker"}])
def test_a_fee_or_a_time_that_is_told_otherwise_is_no_contradiction(changes: dict[str, object]) -> None:
    known = done("x1")
    found = look(hear(sent(), known), replace(known, **changes))
    assert (found.questions, found.executions, found.reports, found.differences) == ([], [], [], [])


@pytest.mark.requirement("execution:reconcile:fills")
def test_two_contradicting_executions_of_one_statement_are_taken_in_once_and_are_for_a_person() -> None:
    first, second = done("x1"), done("x1", 20)
    found = look(sent(), first, second)
    assert found.executions == [("fill", first)]
    assert found.questions == [
        question(second, "buy 10 IBM at 100", "buy 20 IBM at 100", "two executions under one id")
    ]


@pytest.mark.requirement("execution:reconcile:fills")
@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"side": "sell"}, "sell 10 IBM at 100"),
        ({"symbol": "ES"}, "buy 10 ES at 100"),
        ({"qty_nano": 0}, "buy 0 IBM at 100"),
        ({"qty_nano": -to_nano(1)}, "buy -1 IBM at 100"),
    ],
)
def test_what_is_no_execution_of_its_order_is_for_a_person_and_what_follows_is_taken_in(
    changes: dict[str, object], theirs: str
) -> None:
    wrong, missed = replace(done("x1"), **changes), done("x2", 20)
    found = look(sent(), wrong, missed)
    assert found.questions == [question(wrong, "buy IBM", theirs, "it is no execution of that order")]
    assert found.executions == [("fill", missed)]


@pytest.mark.requirement("execution:reconcile:fills")
def test_an_execution_of_nothing_by_other_hands_is_for_a_person_and_one_of_a_billionth_is_taken_in() -> None:
    nothing, least = replace(done("x1", name="x-1"), qty_nano=0), replace(done("x2", name="x-2"), qty_nano=1)
    found = look(sent(), nothing, least)
    assert found.questions == [question(nothing, "not known", "buy 0 IBM at 100", "it is no execution of that order")]
    assert found.executions == [("fill", least)]
    assert [adopted.intent.qty_nano for adopted in found.adopt] == [1]


# --- busts and corrections --------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:fills")
@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "bust"),
        ({"qty_nano": to_nano(9)}, "correct"),
        ({"price_nano": to_nano(99)}, "correct"),
        ({"fee_nano": to_nano(3)}, "correct"),
    ],
)
def test_what_repeats_the_values_of_what_it_refers_to_is_a_bust_and_what_has_others_a_correction(
    changes: dict[str, object], kind: str
) -> None:
    known = done("x1")
    told = replace(done("x2", refers_to="x1"), **changes)
    assert look(hear(sent(), known), known, told).executions == [(kind, told)]


@pytest.mark.requirement("execution:reconcile:fills")
def test_what_was_busted_can_not_be_undone_again_and_a_corrected_one_is_undone_as_it_was_corrected() -> None:
    known = done("x1")
    bust, again = done("x2", refers_to="x1"), done("x3", refers_to="x1")
    found = look(hear(sent(), known), bust, again)
    assert found.executions == [("bust", bust)]
    assert found.questions == [question(again, "nothing to undo", "buy 10 IBM at 100", "it refers to x1")]
    dearer, undone = done("x2", price=103, refers_to="x1"), done("x3", price=103, refers_to="x2")
    assert look(hear(sent(), known), dearer, undone).executions == [("correct", dearer), ("bust", undone)]
    undone = done("x3", price=103, refers_to="x1")
    assert look(hear(sent(), known), dearer, undone).executions == [("correct", dearer), ("bust", undone)]


@pytest.mark.requirement("execution:reconcile:fills")
def test_what_refers_to_nothing_is_for_a_person_after_everything_else_and_what_follows_is_taken_in() -> None:
    lost, odd, missed = done("x1", refers_to="x9"), done("x2", refers_to="x8"), done("x3", 20)
    found = look(sent(), lost, odd, missed)
    assert found.executions == [("fill", missed)]
    assert found.questions == [
        question(lost, "nothing to undo", "buy 10 IBM at 100", "it refers to x9"),
        question(odd, "nothing to undo", "buy 10 IBM at 100", "it refers to x8"),
    ]


@pytest.mark.requirement("execution:reconcile:fills")
def test_what_is_told_before_what_it_refers_to_waits_for_it() -> None:
    first, bust, other = done("x1"), done("x2", refers_to="x1"), done("x3", 20)
    assert look(sent(), bust, other, first).executions == [("fill", other), ("fill", first), ("bust", bust)]


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_reference_is_to_an_execution_of_the_same_order() -> None:
    books = hear(sent("oo-1", "oo-2"), done("x1"))
    foreign = done("x2", refers_to="x1", name="oo-2")
    found = look(books, foreign)
    assert found.executions == []
    assert found.questions == [question(foreign, "nothing to undo", "buy 10 IBM at 100", "it refers to x1")]


# --- the opening ------------------------------------------------------------------------------------------------------


def opened_with(origin: Origin) -> Books:
    books, _ = opened()
    books.book.add(intent("o-1", "buy", 100), NOW, origin)
    books.hear(BrokerReport("o-1", "accepted"), NOW)
    return books


@pytest.mark.requirement("execution:reconcile:external")
@pytest.mark.parametrize(
    ("origin", "name", "taken"), [("external", "o-1", 1), ("external", "x-1", 1), ("desk", "o-1", 2), ("leg", "o-1", 2)]
)
def test_up_to_the_opening_executions_of_other_hands_are_in_it_and_ours_are_not(
    origin: Origin, name: str, taken: int
) -> None:
    before, after = done("x0", name=name), done("x1", name=name)
    late = replace(after, time_ns=NOW + 1)
    assert before.time_ns == NOW
    found = look(opened_with(origin), before, late)
    assert found.executions == [("fill", before), ("fill", late)][-taken:]
    assert found.questions == []


# --- what counts ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:fills")
def test_executions_count_once_without_what_was_busted_and_as_they_were_corrected() -> None:
    known = Executions()
    first, second, third = done("x1"), done("x2", 20), done("x3", 30)
    for fill in (first, second, third):
        assert known.undoes(fill) is None
        known.take(fill, bust=False)
    dearer, smaller = done("x4", 20, 105, "x2"), done("x5", 15, 105, "x4")
    assert known.undoes(dearer) == second
    known.take(dearer, bust=False)
    assert known.undoes(smaller) == dearer
    known.take(smaller, bust=False)
    other = known.copy()
    bust = done("x6", refers_to="x1")
    known.take(bust, bust=True)
    known.take(bust, bust=True)
    assert known.counting() == [smaller, third]
    assert known.undoes(done("x7", refers_to="x1")) is None
    assert known.undoes(done("x7", refers_to="x6")) is None
    assert list(known.told) == [("oo-1", f"x{n}") for n in range(1, 7)]
    assert other.counting() == [first, smaller, third], "a copy goes on by itself"
    assert ("oo-1", "x6") not in other.told
    assert other.undoes(bust) == first


@pytest.mark.requirement("execution:reconcile:cash")
def test_a_view_knows_the_first_opening_the_last_event_and_the_executions_since_cash_last_agreed() -> None:
    books = hear(sent(), done("x1"), done("x2"))
    books.hear(BrokerReport("oo-1", "bust", fill=done("x3", refers_to="x1")), NOW)
    view = View(books.ours().events)
    assert (view.opened_ns, view.last_seq, view.since_cash) == (NOW, 6, 3)
    assert view.executions.counting() == [done("x2")]
    books.book.cash("cash-1", 5, NOW + HOUR, "rounding")
    view = View(books.ours().events)
    assert (view.opened_ns, view.last_seq, view.since_cash) == (NOW, 7, 0)
    hear(books, done("x4"))
    view = View(books.ours().events)
    assert (view.opened_ns, view.last_seq, view.since_cash) == (NOW, 8, 1)
    empty = View(())
    assert (empty.opened_ns, empty.last_seq, empty.since_cash, empty.orders) == (0, 0, 0, {})


@pytest.mark.requirement("execution:reconcile:orders")
def test_a_view_has_of_each_order_the_last_that_was_journaled() -> None:
    books = hear(sent(), done("x1", 30))
    books.book.add(intent("x-1", "sell", 7, "ES"), NOW, "external")
    books.hear(BrokerReport("x-1", "accepted"), NOW)
    lines = View(books.ours().events).orders
    assert {
        name: (line.symbol, line.side, line.status, line.qty_nano, line.filled_nano, line.origin)
        for name, line in lines.items()
    } == {
        "oo-1": ("IBM", "buy", "partially_filled", to_nano(100), to_nano(30), "desk"),
        "x-1": ("ES", "sell", "accepted", to_nano(7), 0, "external"),
    }


def event(seq: int, kind: OrderEventKind, qty: int) -> OrderEvent:
    return OrderEvent(seq, "oo-1", "IBM", "buy", kind, "accepted", NOW, to_nano(qty), 0)


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_order_whose_quantity_changed_has_the_last_one() -> None:
    line = View([event(1, "accepted", 100), event(2, "accepted", 60)]).orders["oo-1"]
    assert (line.status, line.qty_nano) == ("accepted", to_nano(60))


# --- which moment a statement is of -----------------------------------------------------------------------------------


def told_at(seen_ns: int, *fills: Fill) -> Statement:
    return Statement(None, (), tuple[OpenOrder, ...](), fills, seen_ns)


@pytest.mark.requirement("execution:reconcile:stale")
def test_a_statement_is_behind_when_any_execution_of_ours_is_younger_than_it() -> None:
    old, young = done("x1"), done("x5")
    view = View(hear(sent(), young, old).ours().events)
    assert not view.older(told_at(young.time_ns))
    assert view.older(told_at(young.time_ns - 1))
    assert not View(sent().ours().events).older(told_at(0))


@pytest.mark.requirement("execution:reconcile:stale")
def test_what_reconciling_itself_made_is_not_looked_for_at_the_broker() -> None:
    books = opened_with("synthetic")
    hear(books, done("x5", name="o-1"))
    view = View(books.ours().events)
    assert not view.older(told_at(NOW))
    assert view.lacking(told_at(NOW)) == []


@pytest.mark.requirement("execution:reconcile:stale")
def test_a_statement_lacks_what_counts_of_ours_after_its_first_execution() -> None:
    first, second, third = done("x1"), done("x2", 20), done("x3", 30)
    view = View(hear(sent(), first, second, third).ours().events)
    assert view.lacking(told_at(SEEN, second)) == [third], "what was before is out of its reach"
    assert view.lacking(told_at(SEEN, third, first)) == [second]
    assert view.lacking(told_at(SEEN, replace(first, fill_id="x9"))) == [second, third], "at that instant is no later"
    assert view.lacking(told_at(SEEN, first, second, replace(third, client_order_id="oo-2"))) == [third]
    assert view.lacking(told_at(SEEN, first, second, third)) == []


@pytest.mark.requirement("execution:reconcile:stale")
def test_a_statement_without_executions_lacks_what_is_younger_than_its_last_minute() -> None:
    fill = done("x1")
    view = View(hear(sent(), fill).ours().events)
    assert view.lacking(told_at(fill.time_ns + GRACE_NS - 1)) == [fill]
    assert view.lacking(told_at(fill.time_ns + GRACE_NS)) == []
