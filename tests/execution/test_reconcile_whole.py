"""Reconciling: the whole answer to one statement, to the billionth, where cash and positions come in."""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import SCALE, to_nano
from bus.ids import derived_id
from bus.messages import Difference, Fill
from execution.broker import BrokerReport, Held, OpenOrder, Statement
from execution.reconcile import CashMove, Ours, Outcome, compare
from tests.execution.reconciling import CENT, INSTRUMENTS, NOW, Books, intent, opened
from tests.execution.stating import (
    LEFT,
    SECOND,
    SEEN,
    START,
    done,
    exactly,
    hundred,
    knowing,
    told,
    two_held,
)

replace = msgspec.structs.replace

# --- what executions make of positions and cash -----------------------------------------------------------------------

THIRD = SCALE // 3
ODD = to_nano("0.000000007")


@pytest.mark.requirement("execution:reconcile:quantity")
@pytest.mark.parametrize(
    ("fill", "qty_nano", "spent_nano"),
    [
        (done("x2", "buy", to_nano(10), to_nano(101), fee_nano=to_nano(2)), to_nano(10), to_nano(1_012)),
        (done("x2", "sell", to_nano(10), to_nano(101), fee_nano=to_nano(2)), -to_nano(10), -to_nano(1_008)),
        (done("x2", "buy", to_nano(2), to_nano(1_500), symbol="ES"), to_nano(2), to_nano(150_000)),
        (done("x2", "buy", to_nano(2), to_nano(50), symbol="GONE"), to_nano(2), to_nano(100)),
        (done("x2", "buy", THIRD, ODD), THIRD, 3),  # 2.33 billionths: a purchase is rounded up
        (done("x2", "sell", THIRD, ODD), -THIRD, -2),  # and a sale down
    ],
)
def test_a_missed_execution_changes_quantity_and_cash_as_the_ledger_books_it(
    fill: Fill, qty_nano: int, spent_nano: int
) -> None:
    books, _ = opened()
    side, _, symbol = fill.client_order_id.partition("-")
    books.send(intent(fill.client_order_id, "buy" if side == "buy" else "sell", 1_000, symbol), NOW)
    statement = told(books, START - spent_nano, Held(symbol, qty_nano, fill.price_nano), new=(fill,))
    outcome = exactly(books, statement)
    assert outcome == Outcome(
        reports=(BrokerReport(fill.client_order_id, "fill", "", fill, fill.time_ns),), differences=outcome.differences
    )
    assert [difference.settled for difference in outcome.differences] == ["taken in"]
    for off in (1, -1):
        assert exactly(books, replace(statement, cash_nano=START - spent_nano + off)).halted
        wrong = replace(statement, held=(Held(symbol, qty_nano + off, fill.price_nano),))
        assert exactly(books, wrong).halted


@pytest.mark.requirement("execution:reconcile:fills")
def test_a_bust_gives_back_what_its_execution_took_and_a_correction_the_difference() -> None:
    first, second = (
        done("x1", "buy", to_nano(100), to_nano(100), fee_nano=to_nano(3)),
        done("x2", "buy", to_nano(50), to_nano(90), fee_nano=to_nano(1)),
    )
    books = knowing(first, second)
    bust = replace(done("x3", "buy", to_nano(100), to_nano(100), "x1"), fee_nano=to_nano(3))
    dearer = replace(done("x4", "buy", to_nano(40), to_nano(92), "x2"), fee_nano=to_nano(2))
    corrected = replace(done("x5", "buy", to_nano(45), to_nano(92), "x4"), fee_nano=to_nano(2))
    left = START - to_nano(45 * 92 + 2)
    statement = replace(
        told(books, left, Held("IBM", to_nano(45), to_nano(92))),
        fills=(first, second, bust, dearer, corrected),
        orders=(OpenOrder("buy-IBM", "b-1", "IBM", "buy", to_nano(1_000), to_nano(45), 0),),
    )
    outcome = exactly(books, statement)
    assert outcome.halted == ""
    assert outcome.cash == ()
    assert [(r.kind, r.fill) for r in outcome.reports] == [("bust", bust), ("correct", dearer), ("correct", corrected)]
    for off in (1, -1):
        assert exactly(books, replace(statement, cash_nano=left + off)).halted


# --- cash -------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:cash")
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("unit", [1, CENT, to_nano(1)])
def test_cash_may_differ_by_a_rounding_unit_for_each_execution_known_or_new(sign: int, unit: int) -> None:
    known, new = done("x1", "buy", to_nano(100), to_nano(100)), done("x2", "buy", to_nano(10), to_nano(100))
    other = done("x3", "buy", to_nano(10), to_nano(100))
    books = knowing(known)
    mine = START - to_nano(12_000)
    most = mine + sign * 3 * unit
    statement = told(books, most, Held("IBM", to_nano(120), to_nano(100)), new=(new, other))
    outcome = exactly(books, statement, unit=unit)
    move = CashMove(derived_id("cash", "alice", most, 4), sign * 3 * unit, SEEN, "rounding of fills")
    assert outcome.cash == (move,)
    assert (outcome.halted, outcome.again, outcome.ask) == ("", False, ())
    assert outcome.differences[-1].what == "cash"
    assert outcome.differences[-1].settled == "rounding of fills"
    beyond = exactly(books, replace(statement, cash_nano=most + sign), unit=unit)
    assert beyond.cash == ()
    assert [(d.what, d.name, d.settled) for d in beyond.differences[2:]] == [("cash", "cash", "halted")]
    assert "1 differences" in beyond.halted


@pytest.mark.requirement("execution:reconcile:cash")
def test_a_cent_is_what_cash_is_rounded_to_unless_another_unit_is_said() -> None:
    books = hundred()
    statement = told(books, LEFT + CENT, Held("IBM", to_nano(100), to_nano(100)))
    assert compare(books.ours(), statement, INSTRUMENTS, last=True).halted == ""
    assert compare(books.ours(), replace(statement, cash_nano=LEFT + CENT + 1), INSTRUMENTS, last=True).halted


@pytest.mark.requirement("execution:reconcile:cash")
def test_cash_that_differs_is_told_in_figures() -> None:
    books = hundred()
    statement = told(books, LEFT + to_nano("7.5"), Held("IBM", to_nano(100), to_nano(100)))
    outcome = exactly(books, statement)
    assert outcome.differences == (Difference("cash", "cash", "90000", "90007.5", "halted"),)
    assert "cash cash: ours 90000, theirs 90007.5" in outcome.halted
    rounded = exactly(books, statement, unit=to_nano(8))
    assert rounded.differences == (Difference("cash", "cash", "90000", "90007.5", "rounding of fills"),)


@pytest.mark.requirement("execution:reconcile:cash")
def test_where_something_else_is_not_explained_cash_is_not_rounded() -> None:
    books = hundred()
    statement = told(books, LEFT + 1, Held("IBM", to_nano(99), to_nano(100)))
    outcome = exactly(books, statement, unit=CENT)
    assert outcome.cash == ()
    assert [(d.what, d.settled) for d in outcome.differences] == [("quantity", "halted"), ("cash", "halted")]
    assert "2 differences" in outcome.halted


@pytest.mark.requirement("execution:reconcile:cash")
def test_a_broker_that_tells_no_cash_makes_no_move_but_the_mark_of_an_opening() -> None:
    books = hundred()
    assert exactly(books, told(books, None, Held("IBM", to_nano(100), to_nano(100)))) == Outcome()
    mark = CashMove(derived_id("cash", "alice", 0, 0), 0, SEEN, "opening balance")
    assert exactly(Books(), Statement(None, (), (), (), SEEN)) == Outcome(cash=(mark,))


# --- quantities and the words -----------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:quantity")
def test_every_symbol_of_either_side_is_compared_in_order() -> None:
    books, _ = two_held()
    held = (Held("ZZZ", to_nano(1), to_nano(1)), Held("ES", to_nano(2), to_nano(1_500)), Held("AAA", -1, to_nano(1)))
    outcome = exactly(books, told(books, None, *held))
    assert outcome == Outcome(
        differences=(
            Difference("quantity", "AAA", "0", "-0.000000001", "halted"),
            Difference("quantity", "IBM", "100", "0", "halted"),
            Difference("quantity", "ZZZ", "0", "1", "halted"),
        ),
        halted=outcome.halted,
    )
    assert "3 differences" in outcome.halted
    assert "quantity IBM: ours 100, theirs 0; quantity ZZZ: ours 0, theirs 1)" in outcome.halted


@pytest.mark.requirement("execution:reconcile:quantity")
def test_a_fill_of_ours_that_is_not_told_is_named_only_beside_something_that_is_not_explained() -> None:
    first, second = done("x1", "buy", to_nano(60), to_nano(100)), done("x2", "buy", to_nano(40), to_nano(100))
    books = knowing(first, second)
    statement = told(books, LEFT, Held("IBM", to_nano(60), to_nano(100)), fills=(first,))
    outcome = exactly(books, statement, last=False)
    assert outcome == Outcome(
        differences=(
            Difference("quantity", "IBM", "100", "60", "halted"),
            Difference("fill", "x2", "buy 40 IBM at 100", "not told", "ours is kept: was it undone?"),
        ),
        again=True,
    )
    assert exactly(books, replace(statement, held=(Held("IBM", to_nano(100), to_nano(100)),))) == Outcome()


@pytest.mark.requirement("execution:reconcile:stale")
def test_a_statement_that_is_behind_is_not_judged_and_another_is_wanted() -> None:
    books = hundred()
    missed = done("x2", "buy", to_nano(1), to_nano(100))
    behind = Statement(0, (), (), (replace(missed, time_ns=NOW + 1),), NOW + SECOND - 1)
    for last, consent in ((False, ""), (True, ""), (True, "ada")):
        outcome = exactly(books, behind, last=last, consent=consent)
        assert outcome == Outcome(
            reports=(BrokerReport("buy-IBM", "fill", "", replace(missed, time_ns=NOW + 1), NOW + 1),),
            differences=(
                Difference("fill", "x2", "not known", "fill: buy 1 IBM at 100", "taken in"),
                Difference(
                    "quantity", "every symbol", "younger than the statement", "a statement of before", "not judged"
                ),
            ),
            again=True,
        )
    wrong = replace(behind, fills=(replace(missed, qty_nano=0),))
    assert [d.name for d in exactly(books, wrong).differences] == ["x2", "every symbol"]


@pytest.mark.requirement("execution:reconcile:orders")
def test_what_is_to_be_asked_is_asked_before_anything_is_judged_for_good() -> None:
    books, _ = opened()
    books.send(intent("buy-IBM", "buy", 1_000), NOW, answer=False)
    silent = Statement(START, (), (), (), SEEN)
    gone = Difference("order", "buy-IBM", "in_flight, 0 of 1000 filled", "works no more at the broker's", "asked about")
    assert exactly(books, silent, last=False) == Outcome(ask=("buy-IBM",), differences=(gone,), again=True)
    assert exactly(books, silent) == Outcome(ask=("buy-IBM",), differences=(gone,))


@pytest.mark.requirement("execution:reconcile:opening")
def test_our_cash_and_positions_are_what_is_compared_not_the_events() -> None:
    """The ledger's figures are given; a position that is flat may be given too."""
    books = hundred()
    ours = books.ours()
    flat = Ours("alice", "run-1", ours.events, ours.cash_nano, (*ours.held, Held("ES", 0, to_nano(9))))
    statement = told(books, LEFT, Held("IBM", to_nano(100), to_nano(100)))
    assert compare(flat, statement, INSTRUMENTS, last=True) == Outcome()


@pytest.mark.requirement("execution:reconcile:external")
def test_an_order_of_other_hands_is_adopted_for_our_client_and_run() -> None:
    books, _ = opened()
    old = replace(done("x0", "buy", to_nano(5), to_nano(100)), client_order_id="x-1")
    new = replace(done("x1", "buy", to_nano(5), to_nano(100)), client_order_id="x-2")
    order = OpenOrder("x-1", "b-1", "IBM", "buy", to_nano(100), to_nano(5), to_nano(99))
    outcome = exactly(books, Statement(None, (Held("IBM", to_nano(5), to_nano(100)),), (order,), (old, new), SEEN))
    assert [(a.intent.client_order_id, a.intent.client, a.intent.run_id) for a in outcome.adopt] == [
        ("x-1", "alice", "run-1"),
        ("x-2", "alice", "run-1"),
    ]
    assert [report.fill for report in outcome.reports if report.fill is not None] == [new]
    assert outcome.halted == ""


@pytest.mark.requirement("execution:reconcile:consent")
def test_only_consent_and_only_at_last_gives_up_an_order_that_nobody_knows() -> None:
    books, _ = opened()
    books.send(intent("buy-IBM", "buy", 1_000), NOW)
    silent = Statement(START, (), (), (), SEEN)
    words = "works no more at the broker's"
    asked = Difference("order", "buy-IBM", "accepted, 0 of 1000 filled", words, "asked about")
    for consent in ("", "ada"):
        assert exactly(books, silent, last=False, consent=consent) == Outcome(
            ask=("buy-IBM",), differences=(asked,), again=True
        )
    judged = exactly(books, silent)
    assert judged == Outcome(ask=("buy-IBM",), differences=(asked,), halted=judged.halted)
    assert "order buy-IBM" in judged.halted
    assert exactly(books, silent, consent="ada") == Outcome(
        reports=(BrokerReport("buy-IBM", "canceled", words, None, SEEN),),
        differences=(replace(asked, settled="canceled"),),
    )
    assert compare(books.ours(), silent, INSTRUMENTS).again, "a first look is not the last unless that is said"
