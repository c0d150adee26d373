"""Reconciling: quantity, average price and cash, statements of other moments, and any history of both sides."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import Side
from execution.broker import Held, Statement
from execution.reconcile import compare
from tests.execution.reconciling import (
    CENT,
    INSTRUMENTS,
    Books,
    Venue,
    agree,
    nothing,
    opened,
    ours_sent,
    settle,
    told,
)

# --- the invariants ---------------------------------------------------------------------------------------------------


def holding() -> tuple[Books, Venue]:
    """Both sides hold 100 at 100."""
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    told(books, venue.fill("oo-1", 100, 100))
    venue.tick()
    return books, venue


@pytest.mark.requirement("execution:reconcile:quantity")
@pytest.mark.parametrize("qty", [to_nano(100) + 1, to_nano(100) - 1, 0, -to_nano(100)])
def test_a_quantity_that_differs_by_a_billionth_halts_and_nothing_is_made_up(qty: int) -> None:
    books, venue = holding()
    before = books.ours()

    def edit(s: Statement) -> Statement:
        return msgspec.structs.replace(s, held=(Held("IBM", qty, to_nano(100)),) if qty else ())

    outcome = settle(books, venue, edit=edit)
    assert "quantity IBM" in outcome.halted
    assert "clears the halt" in outcome.halted
    assert (outcome.adopt, outcome.reports, outcome.cash) == ((), (), ())
    assert books.ours() == before


@pytest.mark.requirement("execution:reconcile:quantity")
def test_a_fill_that_the_broker_no_longer_tells_is_named_beside_the_difference() -> None:
    books, venue = holding()
    outcome = settle(books, venue, edit=lambda s: msgspec.structs.replace(s, held=(), fills=()))
    assert {d.name for d in outcome.differences if d.what == "fill"} == {"x1"}
    assert books.ledger.holdings["IBM"].qty_nano == to_nano(100), "it is kept: a bust has to be told"


@pytest.mark.requirement("execution:reconcile:cash")
@pytest.mark.parametrize(("off", "halted"), [(CENT, False), (-CENT, False), (CENT + 1, True), (-CENT - 1, True)])
def test_cash_may_differ_by_one_rounding_unit_a_fill_and_agrees_exactly_afterwards(off: int, halted: bool) -> None:
    books, venue = holding()

    def edit(s: Statement) -> Statement:
        return msgspec.structs.replace(s, cash_nano=(s.cash_nano or 0) + off)

    outcome = settle(books, venue, edit=edit)
    assert bool(outcome.halted) == halted
    if halted:
        assert outcome.cash == ()
        return
    assert [move.cash_nano for move in outcome.cash] == [off]
    assert nothing(settle(books, venue, edit=edit))
    further = settle(books, venue, edit=lambda s: edit(edit(s)))
    assert further.halted, "without a fill since, cash is exact"


@pytest.mark.requirement("execution:reconcile:cash")
def test_a_broker_that_tells_no_cash_is_not_judged_by_it() -> None:
    books, venue = holding()
    assert nothing(settle(books, venue, edit=lambda s: msgspec.structs.replace(s, cash_nano=None)))


@pytest.mark.requirement("execution:reconcile:average")
@pytest.mark.parametrize(
    ("average", "cash_told", "seen", "halted"),
    [
        ("100.01", True, False, False),  # one basis point
        ("100.02", True, True, False),  # told: quantity and cash agree
        ("100.01", False, False, False),
        ("100.02", False, True, True),
        ("99.98", False, True, True),
        ("0", False, False, False),  # a broker that keeps no average
    ],
)
def test_an_average_beyond_a_basis_point_is_told_and_halts_where_cash_does_not_bear_it_out(
    average: str, cash_told: bool, seen: bool, halted: bool
) -> None:
    books, venue = holding()

    def edit(s: Statement) -> Statement:
        cash = s.cash_nano if cash_told else None
        return msgspec.structs.replace(s, held=(Held("IBM", to_nano(100), to_nano(average)),), cash_nano=cash)

    outcome = settle(books, venue, edit=edit)
    assert bool(outcome.halted) == halted
    assert [d.what for d in outcome.differences] == (["average_price"] if seen else [])
    assert not outcome.reports


@pytest.mark.requirement("execution:reconcile:consent")
@pytest.mark.parametrize(("qty", "average"), [(40, 90), (150, 120), (-30, 110), (0, 0), (100, 130)])
def test_with_a_persons_consent_the_brokers_figures_are_taken_over(qty: int, average: int) -> None:
    books, venue = holding()

    def edit(s: Statement) -> Statement:
        held = (Held("IBM", to_nano(qty), to_nano(average)),) if qty else ()
        return msgspec.structs.replace(s, held=held, cash_nano=to_nano(77_000))

    assert settle(books, venue, edit=edit).halted
    outcome = settle(books, venue, edit=edit, consent="ada")
    assert outcome.halted == ""
    assert all("ada" in a.intent.reason for a in outcome.adopt)
    assert books.ledger.cash_nano == to_nano(77_000)
    assert books.ledger.holdings["IBM"].qty_nano == to_nano(qty)
    if qty and qty != 100:
        assert books.ledger.holdings["IBM"].avg_price_nano == to_nano(average)
    assert not books.alarms
    assert settle(books, venue, edit=edit).halted == ""


@pytest.mark.requirement("execution:reconcile:consent")
def test_the_same_figures_taken_over_at_another_time_are_other_fills() -> None:
    books, venue = holding()
    for qty in (40, 100, 40):

        def edit(s: Statement, qty: int = qty) -> Statement:
            return msgspec.structs.replace(s, held=(Held("IBM", to_nano(qty), to_nano(100)),), cash_nano=None)

        assert settle(books, venue, edit=edit, consent="ada").halted == ""
        assert books.ledger.holdings["IBM"].qty_nano == to_nano(qty)
    ids = [event.fill.fill_id for event in books.book.events if event.fill is not None]
    assert len(ids) == len(set(ids)) > 4
    assert not books.alarms


@pytest.mark.requirement("execution:reconcile:consent")
def test_consent_takes_nothing_over_before_the_broker_was_asked_once_more() -> None:
    books, venue = holding()
    torn = msgspec.structs.replace(venue.statement(), held=())
    outcome = compare(books.ours(), torn, INSTRUMENTS, consent="ada")
    assert (outcome.adopt, outcome.reports, outcome.cash, outcome.again) == ((), (), (), True)


# --- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:reconcile:stale")
@pytest.mark.parametrize("consent", ["", "ada"])
@pytest.mark.parametrize("last", [False, True])
def test_a_statement_from_before_our_last_fill_never_makes_a_position(last: bool, consent: str) -> None:
    """Taken at its word, a snapshot from before a purchase says that we are short of what we bought."""
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    flat = venue.statement()
    told(books, venue.fill("oo-1", 100, 100))
    outcome = compare(books.ours(), flat, INSTRUMENTS, last=last, consent=consent)
    assert (outcome.adopt, outcome.reports, outcome.cash, outcome.ask) == ((), (), (), ())
    assert (outcome.halted, outcome.again) == ("", True)
    assert nothing(settle(books, venue))


@pytest.mark.requirement("execution:reconcile:stale")
def test_an_old_statement_says_nothing_about_which_orders_work_now() -> None:
    books, venue = holding()
    venue.place("x-1", "buy", 10)
    old = venue.statement()
    venue.end("x-1")
    ours_sent(books, venue, "oo-2", "buy", 10)
    told(books, venue.fill("oo-2", 5, 100))
    outcome = compare(books.ours(), old, INSTRUMENTS, last=True)
    assert (outcome.adopt, outcome.reports, outcome.ask, outcome.halted) == ((), (), (), "")


@pytest.mark.requirement("execution:reconcile:stale")
def test_what_a_torn_statement_leaves_open_is_judged_by_a_second_one() -> None:
    """Positions were told before a fill, executions after it."""
    books, venue = opened()
    ours_sent(books, venue, "oo-1", "buy", 100)
    before = venue.statement()
    venue.fill("oo-1", 100, 100)
    after = venue.statement()
    torn = msgspec.structs.replace(after, held=before.held, cash_nano=before.cash_nano)
    outcome = compare(books.ours(), torn, INSTRUMENTS)
    assert (outcome.halted, outcome.again, [r.kind for r in outcome.reports]) == ("", True, ["fill"])
    books.apply(outcome, venue.now_ns)
    assert nothing(settle(books, venue))
    agree(books, venue)


# --- any history ------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "lost", "fill", "missed", "hand", "hand_fill", "bust", "correct", "end", "compare"]),
        st.integers(0, 5),
        st.integers(1, 40),
        st.integers(90, 110),
        st.sampled_from(["buy", "sell"]),
    ),
    max_size=30,
)


def play(books: Books, venue: Venue, steps: list[tuple[str, int, int, int, Side]], prefix: str = "") -> None:
    """A history at the broker's, of which we heard only part."""
    since_ns = venue.now_ns
    for number, (what, pick, qty, price, side) in enumerate(steps):
        mine = [name for name in venue.orders if name.startswith("oo-") and venue.works(name)]
        hands = [name for name in venue.orders if name.startswith("x-") and venue.works(name)]
        counting = venue.book.orders
        live = [f for name in venue.orders for f in counting[name].fills.values() if not f.refers_to]
        live = [f for f in live if f.time_ns > since_ns]
        if what in ("send", "lost"):
            ours_sent(books, venue, f"oo-{prefix}{number}", side, qty, answer=what == "send")
        elif what == "hand":
            venue.place(f"x-{prefix}{number}", side, qty, price=price)
        elif what in ("fill", "missed") and mine:
            name = mine[pick % len(mine)]
            left = (venue.orders[name].qty_nano - venue.orders[name].filled_nano) // to_nano(1)
            fill = venue.fill(name, min(qty, left), price, fee=pick)
            if what == "fill":
                told(books, fill)
        elif what == "hand_fill" and hands:
            name = hands[pick % len(hands)]
            left = (venue.orders[name].qty_nano - venue.orders[name].filled_nano) // to_nano(1)
            venue.fill(name, min(qty, left), price)
        elif what in ("bust", "correct") and live:
            first = live[pick % len(live)]
            other = price if to_nano(price) != first.price_nano else price + 1
            venue.amend(first, None if what == "bust" else other)
        elif what == "end" and venue.orders:
            names = [name for name in venue.orders if venue.works(name)]
            if names:
                venue.end(names[pick % len(names)])
        elif what == "compare":
            settle(books, venue)


@pytest.mark.requirement("execution:reconcile:any")
@settings(deadline=None, max_examples=300)
@given(before=STEPS, after=STEPS, unit=st.sampled_from([1, CENT]), cash=st.integers(0, 200_000))
def test_after_any_history_both_sides_agree_and_comparing_again_finds_nothing(
    before: list[tuple[str, int, int, int, Side]],
    after: list[tuple[str, int, int, int, Side]],
    unit: int,
    cash: int,
) -> None:
    venue = Venue(cash_nano=to_nano(cash), round_nano=unit)
    play(Books(), venue, [step for step in before if step[0] in ("hand", "hand_fill", "bust", "correct", "end")], "b")
    venue.tick()
    books, _ = opened(venue)
    made_up = set(books.synthetic)
    play(books, venue, after)
    outcome = settle(books, venue)
    assert outcome.halted == ""
    agree(books, venue)
    assert nothing(settle(books, venue))
    assert books.synthetic == made_up, "nothing is made up but the opening"
    truth = {(fill.client_order_id, fill.fill_id) for fill in venue.fills}
    for event in books.book.events:
        if event.fill is not None and event.client_order_id not in made_up:
            assert (event.client_order_id, event.fill.fill_id) in truth
    ids = [event.fill.fill_id for event in books.book.events if event.fill is not None]
    assert len(ids) == len(set(ids))


@pytest.mark.requirement("execution:reconcile:any")
@settings(deadline=None, max_examples=200)
@given(steps=STEPS, off=st.integers(-50, 50).filter(bool), symbol=st.sampled_from(["IBM", "ES"]))
def test_after_any_history_a_position_that_is_not_explained_halts_and_changes_nothing(
    steps: list[tuple[str, int, int, int, Side]], off: int, symbol: str
) -> None:
    books, venue = opened()
    play(books, venue, steps)
    settle(books, venue)
    before = books.ours()

    def edit(s: Statement) -> Statement:
        held = {h.symbol: h for h in s.held}
        qty = (held[symbol].qty_nano if symbol in held else 0) + to_nano(off)
        held[symbol] = Held(symbol, qty, to_nano(100))
        return msgspec.structs.replace(s, held=tuple(h for h in held.values() if h.qty_nano))

    outcome = settle(books, venue, edit=edit)
    assert f"quantity {symbol}" in outcome.halted
    assert books.ours() == before
    assert settle(books, venue, edit=edit, consent="ada").halted == ""
    assert settle(books, venue, edit=edit).halted == ""
    assert not [d for d in settle(books, venue, edit=edit).differences if d.what == "quantity"]


@pytest.mark.requirement("execution:reconcile:stale")
@settings(deadline=None, max_examples=200)
@given(steps=STEPS, more=st.lists(st.tuples(st.integers(1, 40), st.integers(90, 110)), min_size=1, max_size=3))
def test_after_any_history_an_old_statement_takes_nothing_in(
    steps: list[tuple[str, int, int, int, Side]], more: list[tuple[int, int]]
) -> None:
    books, venue = opened()
    play(books, venue, steps)
    settle(books, venue)
    old = venue.statement()
    ours_sent(books, venue, "oo-new", "buy", 120)
    for qty, price in more:
        told(books, venue.fill("oo-new", qty, price))
    outcome = compare(books.ours(), old, INSTRUMENTS, last=True, consent="ada")
    assert (outcome.adopt, outcome.reports, outcome.cash, outcome.ask, outcome.halted) == ((), (), (), (), "")
    assert nothing(settle(books, venue))
