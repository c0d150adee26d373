"""Reconciling: the whole of what is taken up of other hands' orders. Not what became of our own."""

from __future__ import annotations

import pytest

from bus.fixed import to_nano
from bus.messages import Difference, Fill, OrderIntent, Side
from execution._reconcile_orders import Found, find
from execution._reconcile_shapes import Adopted
from execution._reconcile_view import View
from execution.broker import BrokerReport, OpenOrder, ReportKind, Statement
from tests.execution.reconciling import NOW, Books, opened

SECOND = 1_000_000_000
SEEN = NOW + 100 * SECOND


def working(name: str, side: Side, qty: int, filled: int, price_nano: int, symbol: str = "IBM") -> OpenOrder:
    """An order that the broker says works."""
    return OpenOrder(name, f"b-{name}", symbol, side, to_nano(qty), to_nano(filled), price_nano)


def done(fill_id: str, name: str, side: Side, qty: int, price: int, refers_to: str = "", symbol: str = "IBM") -> Fill:
    """An execution after the opening; its number is its second."""
    second = int(fill_id.lstrip("x"))
    return Fill(
        fill_id,
        name,
        symbol,
        side,
        to_nano(qty),
        to_nano(price),
        to_nano(2),
        NOW + second * SECOND,
        "taker",
        refers_to,
    )


def look(
    books: Books, *, orders: tuple[OpenOrder, ...] = (), fills: tuple[Fill, ...] = (), fresh: bool = True
) -> Found:
    """What is found without a person's consent."""
    ours = books.ours()
    view = View(ours.events)
    statement = Statement(None, (), orders, fills, SEEN)
    return find(ours, view, statement, opened_ns=view.opened_ns, fresh=fresh, consent=False)


def taken_up(name: str, side: Side, qty_nano: int, price_nano: int, worth: int, symbol: str = "IBM") -> Adopted:
    """The order as our books have it from now on."""
    adopted = OrderIntent(
        client_order_id=name,
        client="alice",
        run_id="run-1",
        cycle=0,
        index=0,
        symbol=symbol,
        side=side,
        order_type="limit" if price_nano else "market",
        time_in_force="gtc",
        qty_nano=qty_nano,
        limit_price_nano=price_nano,
        decided_ns=SEEN,
        strategy="external",
        reason="placed at the broker by other hands",
    )
    return Adopted(adopted, "external", worth)


def answered(name: str) -> BrokerReport:
    return BrokerReport(name, "accepted", "adopted", None, SEEN)


def over(name: str) -> BrokerReport:
    return BrokerReport(name, "canceled", "works no more at the broker's", None, SEEN)


def told(kind: ReportKind, fill: Fill) -> BrokerReport:
    return BrokerReport(fill.client_order_id, kind, "", fill, fill.time_ns)


def took_in(fill: Fill, words: str) -> Difference:
    return Difference("fill", fill.fill_id, "not known", words, "taken in")


@pytest.mark.requirement("execution:reconcile:external")
def test_a_limit_order_that_works_is_adopted_with_what_is_left_of_it() -> None:
    books, _ = opened()
    found = look(books, orders=(working("x-1", "sell", 100, 20, to_nano(120), "ES"),))
    assert found.adopt == [taken_up("x-1", "sell", to_nano(80), to_nano(120), to_nano(120), "ES")]
    assert found.reports == [answered("x-1")]
    assert found.differences == [Difference("order", "x-1", "not known", "sell 100 ES, works as b-x-1", "adopted")]
    assert (found.executions, found.ask, found.questions) == ([], [], [])


@pytest.mark.requirement("execution:reconcile:external")
@pytest.mark.parametrize("price_nano", [0, 1])
def test_an_order_without_a_price_is_a_market_order_that_nothing_values(price_nano: int) -> None:
    books, _ = opened()
    found = look(books, orders=(working("x-1", "buy", 100, 0, price_nano),))
    assert found.adopt == [taken_up("x-1", "buy", to_nano(100), price_nano, price_nano)]
    assert not found.questions


@pytest.mark.requirement("execution:reconcile:external")
def test_the_last_billionth_of_an_order_that_works_is_adopted_and_one_with_nothing_left_is_for_a_person() -> None:
    books, _ = opened()
    least = OpenOrder("x-1", "b-x-1", "IBM", "buy", to_nano(100), to_nano(100) - 1, to_nano(99))
    assert look(books, orders=(least,)).adopt == [taken_up("x-1", "buy", 1, to_nano(99), to_nano(99))]
    found = look(books, orders=(working("x-1", "buy", 100, 100, to_nano(99)),))
    assert (found.adopt, found.reports, found.differences) == ([], [], [])
    assert found.questions == [
        Difference("order", "x-1", "not known", "buy 100 IBM, works as b-x-1", "its executions contradict it")
    ]


@pytest.mark.requirement("execution:reconcile:external")
def test_an_order_that_works_is_adopted_with_what_it_filled_since_the_opening_and_valued_at_its_dearest() -> None:
    books, _ = opened()
    # 30 of its 60 were filled before our books were opened, and are in the opening.
    first, second = done("x1", "x-1", "buy", 10, 101), done("x2", "x-1", "buy", 20, 97)
    found = look(books, orders=(working("x-1", "buy", 100, 60, to_nano(99)),), fills=(first, second))
    assert found.adopt == [taken_up("x-1", "buy", to_nano(70), to_nano(99), to_nano(101))]
    assert found.executions == [("fill", first), ("fill", second)]
    assert found.reports == [answered("x-1"), told("fill", first), told("fill", second)]
    assert found.differences == [
        Difference("order", "x-1", "not known", "buy 100 IBM, works as b-x-1", "adopted"),
        took_in(first, "fill: buy 10 IBM at 101"),
        took_in(second, "fill: buy 20 IBM at 97"),
    ]
    assert (found.ask, found.questions) == ([], [])


@pytest.mark.requirement("execution:reconcile:external")
def test_an_order_that_is_over_is_adopted_with_exactly_what_it_filled() -> None:
    books, _ = opened()
    first, second = done("x1", "x-1", "sell", 30, 99), done("x2", "x-1", "sell", 40, 98)
    found = look(books, fills=(first, second))
    assert found.adopt == [taken_up("x-1", "sell", to_nano(70), 0, to_nano(99))]
    assert found.reports == [answered("x-1"), told("fill", first), told("fill", second)], "it is filled, not canceled"
    assert found.differences == [
        Difference("order", "x-1", "not known", "sell 70 IBM, over", "adopted"),
        took_in(first, "fill: sell 30 IBM at 99"),
        took_in(second, "fill: sell 40 IBM at 98"),
    ]
    assert (found.ask, found.questions) == ([], [])


@pytest.mark.requirement("execution:reconcile:external")
def test_an_order_that_is_over_and_was_busted_on_the_way_is_adopted_as_large_as_it_ever_was_and_ends() -> None:
    books, _ = opened()
    first = done("x1", "x-1", "buy", 60, 100)
    bust = done("x2", "x-1", "buy", 60, 100, "x1")
    more = done("x3", "x-1", "buy", 40, 99)
    smaller = done("x4", "x-1", "buy", 25, 99, "x3")
    found = look(books, fills=(first, bust, more, smaller))
    assert found.adopt == [taken_up("x-1", "buy", to_nano(60), 0, to_nano(100))]
    assert found.reports == [
        answered("x-1"),
        told("fill", first),
        told("bust", bust),
        told("fill", more),
        told("correct", smaller),
        over("x-1"),
    ]
    assert [d.theirs for d in found.differences] == [
        "buy 60 IBM, over",
        "fill: buy 60 IBM at 100",
        "bust: buy 60 IBM at 100",
        "fill: buy 40 IBM at 99",
        "correct: buy 25 IBM at 99",
    ]


@pytest.mark.requirement("execution:reconcile:external")
def test_orders_that_work_are_adopted_before_those_that_are_over_and_each_with_its_own_executions() -> None:
    books, _ = opened()
    fills = (done("x1", "x-over", "sell", 5, 50, symbol="ES"), done("x2", "x-open", "buy", 10, 90))
    found = look(books, orders=(working("x-open", "buy", 40, 10, to_nano(80)),), fills=fills)
    assert found.adopt == [
        taken_up("x-open", "buy", to_nano(40), to_nano(80), to_nano(90)),
        taken_up("x-over", "sell", to_nano(5), 0, to_nano(50), "ES"),
    ]
    assert [(r.client_order_id, r.kind) for r in found.reports] == [
        ("x-open", "accepted"),
        ("x-over", "accepted"),
        ("x-over", "fill"),
        ("x-open", "fill"),
    ]


@pytest.mark.requirement("execution:reconcile:external")
@pytest.mark.parametrize(("side", "symbol"), [("sell", "IBM"), ("buy", "ES")])
@pytest.mark.parametrize("works", [True, False])
def test_an_order_whose_executions_contradict_it_is_for_a_person_and_nothing_of_it_is_taken_in(
    side: Side, symbol: str, works: bool
) -> None:
    books, _ = opened()
    orders = (working("x-1", "buy", 100, 15, to_nano(99)),) if works else ()
    other = done("x3", "x-2", "sell", 7, 98)
    fills = (done("x1", "x-1", "buy", 10, 100), done("x2", "x-1", side, 5, 100, symbol=symbol), other)
    found = look(books, orders=orders, fills=fills)
    theirs = "buy 100 IBM, works as b-x-1" if works else "buy 15 IBM, over"
    assert found.questions == [Difference("order", "x-1", "not known", theirs, "its executions contradict it")]
    assert found.executions == [("fill", other)]
    assert found.adopt == [taken_up("x-2", "sell", to_nano(7), 0, to_nano(98))]
    assert found.reports == [answered("x-2"), told("fill", other)]
    assert [d.name for d in found.differences] == ["x-2", "x3"]


@pytest.mark.requirement("execution:reconcile:stale")
def test_of_a_statement_that_is_behind_only_executions_are_taken_whatever_it_says_works() -> None:
    books, _ = opened()
    fill = done("x1", "x-1", "buy", 10, 100)
    found = look(
        books,
        orders=(working("x-1", "buy", 100, 10, to_nano(100)), working("x-2", "buy", 5, 0, to_nano(100))),
        fills=(fill,),
        fresh=False,
    )
    assert found.adopt == [taken_up("x-1", "buy", to_nano(10), 0, to_nano(100))]
    assert found.reports == [answered("x-1"), told("fill", fill)]
    assert (found.ask, found.questions) == ([], [])
