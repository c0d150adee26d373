"""Reconciling: what the broker says works, beside what works by our journal. Not orders that our journal lacks."""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import to_nano
from bus.messages import Difference, Fill, OrderStatus, Origin, Side
from execution._reconcile_orders import Found, find
from execution._reconcile_view import View
from execution.broker import BrokerReport, OpenOrder, ReportKind, Statement
from tests.execution.reconciling import NOW, Books, intent, opened

SECOND = 1_000_000_000
SEEN = NOW + 100 * SECOND
GONE = "works no more at the broker's"
replace = msgspec.structs.replace

LIVES: dict[OrderStatus, tuple[ReportKind, ...]] = {
    "in_flight": (),
    "unknown": ("unknown",),
    "accepted": ("accepted",),
    "triggered": ("accepted", "triggered"),
    "suspended": ("accepted", "suspended"),
    "pending_cancel": ("accepted", "pending_cancel"),
    "pending_replace": ("accepted", "pending_replace"),
    "done_for_day": ("accepted", "done_for_day"),
}
"""How an order that was sent came to each status in which it is open."""
ENDS: dict[ReportKind, tuple[ReportKind, ...]] = {
    "canceled": ("accepted", "canceled"),
    "replaced": ("accepted", "pending_replace", "replaced"),
    "expired": ("accepted", "expired"),
    "rejected": ("rejected",),
}
"""How it came to each end but being filled."""


def done(fill_id: str, qty_nano: int, name: str = "oo-1", refers_to: str = "") -> Fill:
    """An execution after the opening; its number is its second."""
    time_ns = NOW + int(fill_id.lstrip("x")) * SECOND
    return Fill(fill_id, name, "IBM", "buy", qty_nano, to_nano(100), 0, time_ns, "taker", refers_to)


def ours(*kinds: ReportKind, name: str = "oo-1", books: Books | None = None) -> Books:
    """Books with an order to buy 100, and what was said of it since it was sent."""
    books = books or opened()[0]
    books.send(intent(name, "buy", 100), NOW, answer=False)
    for kind in kinds:
        books.hear(BrokerReport(name, kind), NOW)
    return books


def hear(books: Books, *fills: Fill) -> Books:
    for fill in fills:
        books.hear(BrokerReport(fill.client_order_id, "fill", fill=fill), fill.time_ns)
    return books


def there(filled: int = 0, qty_nano: int = to_nano(100), name: str = "oo-1") -> OpenOrder:
    """The order as the broker says it works."""
    return OpenOrder(name, f"b-{name}", "IBM", "buy", qty_nano, to_nano(filled), to_nano(100))


def look(books: Books, *told: OpenOrder | Fill, fresh: bool = True, consent: bool = False) -> Found:
    orders = tuple(each for each in told if isinstance(each, OpenOrder))
    fills = tuple(each for each in told if isinstance(each, Fill))
    view = View(books.ours().events)
    statement = Statement(None, (), orders, fills, SEEN)
    return find(books.ours(), view, statement, opened_ns=view.opened_ns, fresh=fresh, consent=consent)


def nothing(found: Found) -> bool:
    return not (found.adopt or found.reports or found.executions or found.ask or found.differences or found.questions)


# --- it works there ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize("status", LIVES)
def test_what_nobody_answered_and_works_there_is_accepted_and_what_was_answered_stays_as_it_is(
    status: OrderStatus,
) -> None:
    books = ours(*LIVES[status])
    assert books.book.orders["oo-1"].status == status
    found = look(books, there())
    if status not in ("in_flight", "unknown"):
        assert nothing(found)
        return
    assert found.reports == [BrokerReport("oo-1", "accepted", "found at the broker's", None, 0)]
    assert found.differences == [
        Difference("order", "oo-1", f"{status}, 0 of 100 filled", "works, 0 of 100 filled", "accepted")
    ]
    assert (found.adopt, found.executions, found.ask, found.questions) == ([], [], [], [])


@pytest.mark.requirement("execution:reconcile:orders")
def test_what_was_not_even_sent_and_works_there_is_accepted() -> None:
    books, _ = opened()
    held = books.book.add(intent("oo-1", "buy", 100), NOW)
    books.book.advance(held, "held", NOW)
    intended = replace(books.book.events[-1], status="intent")
    view = View([*books.book.events[:-1], intended])
    found = find(
        books.ours(), view, Statement(None, (), (there(),), (), SEEN), opened_ns=NOW, fresh=True, consent=False
    )
    assert [report.kind for report in found.reports] == ["accepted"]
    assert [difference.ours for difference in found.differences] == ["intent, 0 of 100 filled"]


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize("end", ENDS)
def test_what_is_over_here_and_works_there_is_for_a_person(end: ReportKind) -> None:
    found = look(ours(*ENDS[end]), there(), consent=True)
    assert found.questions == [
        Difference(
            "order",
            "oo-1",
            f"{end}, 0 of 100 filled",
            "works, 0 of 100 filled",
            "ours is over: cancel it at the broker's",
        )
    ]
    assert (found.adopt, found.reports, found.ask, found.differences) == ([], [], [], [])


@pytest.mark.requirement("execution:reconcile:orders")
def test_what_is_filled_here_and_works_there_is_for_a_person_unless_a_bust_lets_it_work_again() -> None:
    whole = done("x1", to_nano(100))
    books = hear(ours("accepted"), whole)
    found = look(books, there(60), whole)
    assert found.questions == [
        Difference(
            "order",
            "oo-1",
            "filled, 100 of 100 filled",
            "works, 60 of 100 filled",
            "ours is over: cancel it at the broker's",
        )
    ]
    smaller = done("x2", to_nano(100) - 1, refers_to="x1")
    least = OpenOrder("oo-1", "b-oo-1", "IBM", "buy", to_nano(100), to_nano(100) - 1, 0)
    assert look(books, least, whole, smaller).questions == []
    assert look(books, least, whole, smaller).ask == []
    bust = done("x2", to_nano(100), refers_to="x1")
    again = look(books, there(), whole, bust)
    assert (again.executions, again.questions, again.ask) == ([("bust", bust)], [], [])


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize(("side", "symbol"), [("sell", "IBM"), ("buy", "ES")])
def test_an_order_under_our_id_that_is_another_one_is_for_a_person(side: Side, symbol: str) -> None:
    found = look(ours(), replace(there(), side=side, symbol=symbol))
    assert found.questions == [Difference("order", "oo-1", "buy IBM", f"{side} {symbol}", "ours is kept")]
    assert (found.adopt, found.reports, found.ask, found.differences) == ([], [], [], [])


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize("theirs", [29, 31])
def test_an_order_of_ours_that_filled_otherwise_there_is_asked_about(theirs: int) -> None:
    first, missed = done("x1", to_nano(10)), done("x2", to_nano(20))
    books = hear(ours("accepted"), first)
    assert look(books, there(30), first, missed).ask == []
    found = look(books, there(theirs), first, missed)
    assert found.ask == ["oo-1"]
    assert found.questions == []
    assert found.differences[0] == Difference(
        "order", "oo-1", "partially_filled, 30 of 100 filled", f"works, {theirs} of 100 filled", "asked about"
    )


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_unanswered_order_that_filled_unheard_is_accepted_and_asked_about() -> None:
    found = look(ours(), there(40))
    assert found.reports == [BrokerReport("oo-1", "accepted", "found at the broker's", None, 0)]
    assert found.ask == ["oo-1"]
    assert [difference.settled for difference in found.differences] == ["accepted", "asked about"]


def external(qty: int = 40) -> Books:
    """Books with an order of other hands', of which this is left since the opening."""
    books, _ = opened()
    books.book.add(intent("x-1", "buy", qty), NOW, "external")
    books.hear(BrokerReport("x-1", "accepted"), NOW)
    return books


@pytest.mark.requirement("execution:reconcile:external")
def test_an_order_of_other_hands_is_compared_by_what_is_left_of_it() -> None:
    assert nothing(look(external(), there(60, name="x-1")))
    assert nothing(look(external(), there(61, name="x-1"))), "its fill is told by the next statement"
    fill = done("x5", to_nano(15), "x-1")
    assert look(external(), there(75, name="x-1"), fill).questions == []
    found = look(external(), there(60, to_nano(100) + 1, name="x-1"))
    assert [(q.what, q.name, q.ours, q.settled) for q in found.questions] == [
        ("order", "x-1", "accepted, 0 of 40 filled", "more of it works there than here")
    ]
    assert found.questions[0].theirs == "works, 60 of 100.000000001 filled"
    more = look(external(), there(74, name="x-1"), fill)
    assert [(q.ours, q.theirs) for q in more.questions] == [("accepted, 15 of 40 filled", "works, 74 of 100 filled")]
    assert (found.ask, more.ask) == ([], [])


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize("status", LIVES)
def test_more_of_our_order_there_than_here_is_for_a_person_but_not_while_it_is_being_replaced(
    status: OrderStatus,
) -> None:
    books = ours(*LIVES[status])
    found = look(books, there(qty_nano=to_nano(150)))
    questions = [] if status == "pending_replace" else ["more of it works there than here"]
    assert [question.settled for question in found.questions] == questions
    assert found.ask == []
    assert look(books, there(qty_nano=to_nano(99))).questions == [], "less of it is what the broker may tell"


@pytest.mark.requirement("execution:reconcile:orders")
def test_every_order_that_works_there_is_looked_at() -> None:
    books = ours("accepted", "canceled")
    for name in ("oo-2", "oo-3", "oo-4"):
        ours("accepted", name=name, books=books)
    odd = replace(there(name="oo-2"), side="sell")
    found = look(books, there(), odd, there(5, name="oo-3"), there(qty_nano=to_nano(101), name="oo-4"))
    assert [question.name for question in found.questions] == ["oo-1", "oo-2", "oo-4"]
    assert found.ask == ["oo-3"]


# --- it works here only -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize("status", LIVES)
def test_what_works_here_only_is_asked_about_and_is_a_question_where_its_status_does_not_explain_it(
    status: OrderStatus,
) -> None:
    found = look(ours(*LIVES[status]))
    gone = [Difference("order", "oo-1", f"{status}, 0 of 100 filled", GONE, "asked about")]
    explained = status in ("in_flight", "unknown", "done_for_day")
    assert found.ask == ["oo-1"]
    assert (found.differences, found.questions) == ((gone, []) if explained else ([], gone))
    assert (found.adopt, found.reports, found.executions) == ([], [], [])


@pytest.mark.requirement("execution:reconcile:consent")
@pytest.mark.parametrize("status", LIVES)
def test_a_persons_consent_ends_what_works_here_only_but_not_what_its_status_explains(status: OrderStatus) -> None:
    books = ours(*LIVES[status])
    found = look(books, consent=True)
    if status in ("in_flight", "unknown", "done_for_day"):
        without = look(books)
        assert (found.ask, found.differences, found.reports, found.questions) == (["oo-1"], without.differences, [], [])
        return
    assert found.reports == [BrokerReport("oo-1", "canceled", GONE, None, SEEN)]
    assert found.differences == [Difference("order", "oo-1", f"{status}, 0 of 100 filled", GONE, "canceled")]
    assert (found.ask, found.questions) == ([], [])


@pytest.mark.requirement("execution:reconcile:external")
@pytest.mark.parametrize("consent", [False, True])
def test_an_order_of_other_hands_that_works_no_more_there_is_over_with_what_it_filled(consent: bool) -> None:
    fill = done("x5", to_nano(15), "x-1")
    found = look(external(), fill, consent=consent)
    assert found.reports[-1] == BrokerReport("x-1", "canceled", GONE, None, SEEN)
    assert found.differences[-1] == Difference("order", "x-1", "accepted, 15 of 40 filled", GONE, "canceled")
    assert (found.ask, found.questions) == ([], [])


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize(("short", "asked"), [(0, []), (1, ["oo-1"]), (-1, [])])
def test_what_the_new_executions_fill_to_the_billionth_is_not_looked_for(short: int, asked: list[str]) -> None:
    first, missed = done("x1", to_nano(10)), done("x2", to_nano(90) - short)
    found = look(hear(ours("accepted"), first), first, missed)
    assert found.ask == asked
    assert found.executions == [("fill", missed)]


@pytest.mark.requirement("execution:reconcile:orders")
def test_a_filled_order_is_looked_for_only_when_a_bust_lets_it_work_again() -> None:
    whole = done("x1", to_nano(100))
    books = hear(ours("accepted"), whole)
    assert nothing(look(books, whole))
    found = look(books, whole, done("x2", to_nano(100), refers_to="x1"))
    assert found.ask == ["oo-1"]
    assert [question.ours for question in found.questions] == ["filled, 0 of 100 filled"]
    less = look(books, whole, done("x2", to_nano(100) - 1, refers_to="x1"))
    assert less.ask == ["oo-1"]


@pytest.mark.requirement("execution:reconcile:orders")
@pytest.mark.parametrize("end", ENDS)
def test_what_is_over_here_is_not_looked_for_there(end: ReportKind) -> None:
    assert nothing(look(ours(*ENDS[end])))


@pytest.mark.requirement("execution:reconcile:stale")
def test_a_statement_that_is_behind_ends_nothing_and_asks_about_nothing() -> None:
    books = ours("accepted")
    books.book.add(intent("x-1", "buy", 40), NOW, "external")
    books.hear(BrokerReport("x-1", "accepted"), NOW)
    assert nothing(look(books, fresh=False))
    assert nothing(look(books, there(qty_nano=to_nano(150)), fresh=False))


@pytest.mark.requirement("execution:reconcile:orders")
def test_an_order_held_here_is_passed_over_and_those_after_it_are_looked_for() -> None:
    books, _ = opened()
    books.book.advance(books.book.add(intent("oo-1", "buy", 100), NOW), "held", NOW)
    for name in ("oo-2", "oo-3"):
        ours("accepted", name=name, books=books)
    found = look(books, there(name="oo-2"))
    assert found.ask == ["oo-3"]
    assert [question.name for question in found.questions] == ["oo-3"]


@pytest.mark.requirement("execution:reconcile:external")
@pytest.mark.parametrize("origin", ["desk", "leg"])
def test_a_leg_is_ours_as_much_as_its_entry(origin: Origin) -> None:
    books, _ = opened()
    order = books.book.add(intent("oo-1", "buy", 100), NOW, origin)
    books.book.advance(order, "sent", NOW)
    books.hear(BrokerReport("oo-1", "accepted"), NOW)
    assert look(books).ask == ["oo-1"]
    assert look(books).reports == []
    assert look(books, there(5)).ask == ["oo-1"]
