"""Reconciling: the opening, what is taken over with consent, and averages, each as the whole answer to a statement."""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import to_nano
from bus.ids import derived_id
from bus.messages import Difference, Side
from execution._reconcile_money import average_differs
from execution.broker import BrokerReport, Held, Statement
from execution.reconcile import Adopted, CashMove, Outcome
from tests.execution.reconciling import NOW, Books, intent, opened
from tests.execution.stating import (
    LEFT,
    SEEN,
    START,
    done,
    exactly,
    hundred,
    knowing,
    made_up,
    told,
    two_held,
)

replace = msgspec.structs.replace

# --- the opening ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:opening")
def test_the_opening_is_a_made_up_fill_for_each_position_and_the_rest_of_the_cash() -> None:
    ibm, es = Held("IBM", to_nano(100), to_nano(95)), Held("ES", -to_nano(2), to_nano(1_500))
    cash = START + to_nano(500)
    outcome = exactly(Books(), Statement(cash, (ibm, es), (), (), SEEN), last=False)
    short = made_up("ES", "sell", to_nano(2), to_nano(1_500), es, number=0, seq=0, reason="opening position")
    bought = made_up("IBM", "buy", to_nano(100), to_nano(95), ibm, number=0, seq=0, reason="opening position")
    mine = START + to_nano(150_000) - to_nano(9_500)
    assert outcome == Outcome(
        adopt=(short[0], bought[0]),
        reports=(short[1], short[2], bought[1], bought[2]),
        cash=(CashMove(derived_id("cash", "alice", cash, 0), cash - mine, SEEN, "opening balance"),),
        differences=(
            short[3],
            bought[3],
            Difference("cash", "cash", "240500", "100500", "opening balance"),
        ),
    )


@pytest.mark.requirement("execution:reconcile:opening")
def test_an_opening_with_our_own_cash_says_nothing_of_it() -> None:
    mark = CashMove(derived_id("cash", "alice", START, 0), 0, SEEN, "opening balance")
    assert exactly(Books(), Statement(START, (), (), (), SEEN)) == Outcome(cash=(mark,))


@pytest.mark.requirement("execution:reconcile:opening")
def test_what_the_broker_tells_of_executions_before_the_opening_is_in_it() -> None:
    before = replace(done("x1", "buy", to_nano(100), to_nano(100)), time_ns=SEEN)
    outcome = exactly(Books(), Statement(START, (), (), (before,), SEEN))
    assert (outcome.adopt, outcome.reports, outcome.halted) == ((), (), "")


@pytest.mark.requirement("execution:reconcile:opening")
def test_books_that_know_an_execution_are_not_opened_though_no_cash_was_ever_compared() -> None:
    books = Books()
    books.send(intent("buy-IBM", "buy", 1_000), NOW)
    fill = done("x1", "buy", to_nano(100), to_nano(100))
    books.hear(BrokerReport("buy-IBM", "fill", fill=fill), NOW)
    statement = told(books, LEFT + to_nano(1), Held("IBM", to_nano(101), to_nano(100)))
    outcome = exactly(books, statement)
    assert (outcome.adopt, outcome.cash) == ((), ())
    assert [(d.what, d.ours, d.theirs) for d in outcome.differences] == [
        ("quantity", "100", "101"),
        ("cash", "90000", "90001"),
    ]


@pytest.mark.requirement("execution:reconcile:opening")
def test_a_position_that_nobody_prices_cannot_be_opened_and_the_others_are_not_held_up() -> None:
    statement = Statement(
        None, (Held("AAA", to_nano(1)), Held("IBM", to_nano(5), 1), Held("ZZZ", -to_nano(3))), (), (), SEEN
    )
    outcome = exactly(Books(), statement)
    assert [(a.intent.symbol, a.intent.qty_nano, a.price_nano) for a in outcome.adopt] == [("IBM", to_nano(5), 1)]
    unpriced = "halted: no average price is told, so it cannot be taken over"
    assert outcome.differences[-2:] == (
        Difference("quantity", "AAA", "0", "1", unpriced),
        Difference("quantity", "ZZZ", "0", "-3", unpriced),
    )
    assert "quantity AAA: ours 0, theirs 1; quantity ZZZ: ours 0, theirs -3" in outcome.halted


@pytest.mark.requirement("execution:reconcile:opening")
@pytest.mark.parametrize("qty_nano", [1, -1, to_nano(9_100_000) + 1, -to_nano(9_100_000) - 1])
def test_the_least_and_the_largest_position_are_opened_to_the_billionth(qty_nano: int) -> None:
    statement = Statement(None, (Held("IBM", qty_nano, to_nano(1)),), (), (), SEEN)
    outcome = exactly(Books(), statement)
    side = "buy" if qty_nano > 0 else "sell"
    assert [(a.intent.side, a.intent.qty_nano) for a in outcome.adopt] == [(side, abs(qty_nano))]
    books = Books()
    books.apply(outcome, SEEN)
    assert books.ours().held[0].qty_nano == qty_nano
    assert exactly(books, statement).differences == ()


@pytest.mark.requirement("execution:reconcile:quantity")
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_large_missed_execution_is_compared_to_the_billionth(side: Side) -> None:
    books, _ = opened()
    books.send(intent(f"{side}-IBM", side, 9_200_000), NOW)
    fill = done("x2", side, to_nano(9_100_000) + 1, to_nano("0.01"))
    sign = 1 if side == "buy" else -1
    for off, halted in ((0, False), (1, True), (-1, True)):
        held = Held("IBM", sign * fill.qty_nano + off, to_nano("0.01"))
        assert bool(exactly(books, told(books, None, held, new=(fill,))).halted) is halted


# --- taking over ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:consent")
@pytest.mark.parametrize(
    ("qty", "average", "steps"),
    [
        (40, 90, [("sell", 100, 100), ("buy", 40, 90)]),  # closed at its own average, and the broker's opened
        (150, 120, [("sell", 100, 100), ("buy", 150, 120)]),
        (-30, 110, [("sell", 100, 100), ("sell", 30, 110)]),
        (0, 0, [("sell", 100, 100)]),
        (40, 0, [("sell", 60, 100)]),  # without an average of the broker's, only what differs, at ours
        (150, 0, [("buy", 50, 100)]),
        (-30, 0, [("sell", 100, 100), ("sell", 30, 100)]),
    ],
)
def test_with_consent_a_position_is_closed_at_our_average_and_opened_at_the_brokers(
    qty: int, average: int, steps: list[tuple[Side, int, int]]
) -> None:
    books = hundred()
    want = Held("IBM", to_nano(qty), to_nano(average))
    cash = to_nano(77_000)
    outcome = exactly(books, told(books, cash, want), consent="ada")
    mine, added = LEFT, list[tuple[Adopted, BrokerReport, BrokerReport, Difference]]()
    for number, (side, units, price) in enumerate(steps):
        mine += to_nano(units * price) * (1 if side == "sell" else -1)
        added.append(
            made_up(
                "IBM",
                side,
                to_nano(units),
                to_nano(price),
                want,
                number=number,
                seq=4,
                reason="taken over by ada",
            )
        )
    assert outcome == Outcome(
        adopt=tuple(each[0] for each in added),
        reports=tuple(report for each in added for report in each[1:3]),
        cash=(CashMove(derived_id("cash", "alice", cash, 4), cash - mine, SEEN, "taken over by ada"),),
        differences=(*(each[3] for each in added), outcome.differences[-1]),
    )
    assert outcome.differences[-1].settled == "taken over by ada"
    books.apply(outcome, SEEN)
    assert (books.ledger.cash_nano, books.ledger.holdings["IBM"].qty_nano) == (cash, to_nano(qty))
    assert books.ledger.holdings["IBM"].realized_nano == 0 or average == 0
    assert not books.alarms


@pytest.mark.requirement("execution:reconcile:consent")
def test_a_position_that_the_broker_does_not_name_is_closed_under_its_own_symbol() -> None:
    outcome = exactly(hundred(), told(hundred(), None), consent="ada")
    sold = made_up(
        "IBM",
        "sell",
        to_nano(100),
        to_nano(100),
        Held("IBM", 0),
        number=0,
        seq=4,
        reason="taken over by ada",
    )
    assert outcome == Outcome(adopt=sold[:1], reports=sold[1:3], differences=sold[3:])


@pytest.mark.requirement("execution:reconcile:consent")
def test_a_short_position_is_taken_over_with_a_purchase() -> None:
    books = knowing(done("x1", "sell", to_nano(100), to_nano(100)))
    outcome = exactly(books, told(books, None, Held("IBM", -to_nano(40))), consent="ada")
    assert [(a.intent.side, a.intent.qty_nano, a.price_nano) for a in outcome.adopt] == [
        ("buy", to_nano(60), to_nano(100))
    ]
    outcome = exactly(books, told(books, None, Held("IBM", -to_nano(40), 1)), consent="ada")
    assert [(a.intent.side, a.intent.qty_nano, a.price_nano) for a in outcome.adopt] == [
        ("buy", to_nano(100), to_nano(100)),
        ("sell", to_nano(40), 1),
    ]


@pytest.mark.requirement("execution:reconcile:consent")
def test_without_consent_or_before_the_last_word_nothing_is_taken_over() -> None:
    books = hundred()
    statement = told(books, LEFT + 1, Held("IBM", to_nano(40), to_nano(90)))
    questions = (
        Difference("quantity", "IBM", "100", "40", "halted"),
        Difference("cash", "cash", "90000", "90000.000000001", "halted"),
        Difference("average_price", "IBM", "100", "90", "halted"),
    )
    assert exactly(books, statement, last=False, consent="ada") == Outcome(differences=questions, again=True)
    judged = exactly(books, statement)
    assert judged == Outcome(differences=questions, halted=judged.halted)
    assert judged.halted.startswith("3 differences")


# --- averages ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:average")
@pytest.mark.parametrize(
    ("ours", "theirs", "differs"),
    [
        (10_000, 9_999, False),
        (9_999, 10_000, False),
        (9_999, 9_998, True),
        (10_000, 9_998, True),
        (9_998, 10_000, True),
        (to_nano(100), to_nano(100), False),
        (0, 10_000, False),
        (10_000, 0, False),
        (-5, 10_000, False),
        (1, 2, True),
        (2, 1, True),
    ],
)
def test_two_averages_differ_beyond_a_basis_point_of_the_larger(ours: int, theirs: int, differs: bool) -> None:
    assert average_differs(ours, theirs) is differs


@pytest.mark.requirement("execution:reconcile:average")
def test_an_average_is_not_judged_in_the_same_breath_as_an_execution_of_its_symbol_and_the_others_are() -> None:
    books, new = two_held()
    held = (Held("IBM", to_nano(150), to_nano(200)), Held("ES", to_nano(2), to_nano(1_600)))
    cash = START - to_nano(10_000) - to_nano(150_000) - to_nano(3_500)
    statement = told(books, cash, *held, new=(new,))
    outcome = exactly(books, statement)
    kept = "kept: quantity and cash agree, so only the way of averaging differs"
    assert outcome.differences[1:] == (Difference("average_price", "ES", "1500", "1600", kept),)
    assert (outcome.halted, outcome.adopt) == ("", ())
    silent = exactly(books, replace(statement, cash_nano=None))
    assert silent.differences[1:] == (Difference("average_price", "ES", "1500", "1600", "halted"),)
    assert "average_price ES: ours 1500, theirs 1600" in silent.halted


@pytest.mark.requirement("execution:reconcile:consent")
def test_with_consent_an_average_that_cash_does_not_bear_out_is_taken_over() -> None:
    books = hundred()
    want = Held("IBM", to_nano(100), to_nano(130))
    outcome = exactly(books, told(books, None, want), consent="ada")
    sold = made_up("IBM", "sell", to_nano(100), to_nano(100), want, number=0, seq=4, reason="taken over by ada")
    bought = made_up("IBM", "buy", to_nano(100), to_nano(130), want, number=1, seq=4, reason="taken over by ada")
    assert outcome == Outcome(
        adopt=(sold[0], bought[0]),
        reports=(sold[1], sold[2], bought[1], bought[2]),
        differences=(sold[3], bought[3]),
    )


@pytest.mark.requirement("execution:reconcile:average")
def test_each_average_is_judged_and_one_that_agrees_hides_no_other() -> None:
    books, _ = two_held()
    held = (
        Held("NEW", 0, to_nano(5)),
        Held("IBM", to_nano(100), to_nano("100.01")),
        Held("ES", to_nano(2), to_nano(1_501)),
    )
    cash = START - to_nano(10_000) - to_nano(150_000)
    outcome = exactly(books, told(books, cash, *held))
    assert [(d.what, d.name) for d in outcome.differences] == [("average_price", "ES")]
