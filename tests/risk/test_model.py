"""The exhaustive search at a size for every run; at its full size it is ``python -m tests.risk.model``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages import OrderEvent, OrderIntent
from risk import checks
from risk.book import Book, Reservation
from risk.facts import Facts
from tests.risk.model.search import Found, search
from tests.risk.model.venue import APPROVE, FULL, PAIR, SIDES, Model
from tests.risk.model.world import World


def found(model: Model, sample: int = 256) -> Found:
    return search(model, 100_000, sample=sample)


@pytest.mark.requirement("model:search")
@pytest.mark.parametrize(("model", "states", "sample"), [(PAIR, 5_000, 1), (SIDES, 20_000, 16)])
def test_no_state_of_the_small_models_breaks_what_must_hold(model: Model, states: int, sample: int) -> None:
    result = found(model, sample)
    assert result.violations == []
    assert result.whole
    assert result.states > states
    assert min(result.approved, result.denied) > 0
    assert result.compared >= result.transitions // (2 * sample)


# --- faults, planted in the gate's own code: the search has to find them ----------------------------------------------

apply, count = Book.apply, vars(Book)["_count"]
judge = checks.judge


def forget_what_is_replaced(book: Book, client_order_id: str, _group: str) -> None:
    book.release(client_order_id)


def never_regroup(_book: Book, _client_order_id: str, _group: str) -> None:
    pass


def release_on_unknown(book: Book, event: OrderEvent) -> None:
    apply(book, event)
    if event.kind == "unknown":
        book.release(event.client_order_id)


def pass_busts_over(book: Book, event: OrderEvent) -> None:
    if event.kind != "bust":
        apply(book, event)


def keep_what_is_rejected(book: Book, event: OrderEvent) -> None:
    if event.kind != "rejected":
        apply(book, event)


def reserve_net(book: Book, client_order_id: str, held: Reservation, remaining_nano: int) -> None:
    holding = book.holding(held.symbol)
    before = holding.sells_nano
    count(book, client_order_id, held, remaining_nano)
    holding.buys_nano -= holding.sells_nano - before


def count_only_the_newest(book: Book, client_order_id: str, held: Reservation, remaining_nano: int) -> None:
    members: dict[str, int] = vars(book)["_groups"].get((held.group, held.symbol, held.side), {})
    for other in [key for key in members if key != client_order_id]:
        count(book, other, book.reserved[other], 0)
    count(book, client_order_id, held, remaining_nano)


@pytest.mark.requirement("model:search")
@pytest.mark.parametrize(
    ("name", "fault", "model", "said"),
    [
        ("regroup", forget_what_is_replaced, PAIR, "by what was told"),
        ("regroup", never_regroup, PAIR, "by what was told"),
        ("_count", count_only_the_newest, PAIR, "could trade"),
        ("_count", reserve_net, SIDES, "could trade"),
        ("apply", release_on_unknown, SIDES, "could trade"),
        ("apply", keep_what_is_rejected, SIDES, "still reserved"),
        ("apply", pass_busts_over, SIDES, "the position of alice"),
    ],
)
def test_the_search_finds_a_fault_in_the_book(name: str, fault: Callable[..., Any], model: Model, said: str) -> None:
    with patch.object(Book, name, fault):
        violations = found(model).violations
    assert len(violations) == 1
    assert said in violations[0]


@pytest.mark.requirement("model:search")
@pytest.mark.parametrize(("passed", "model"), [("position_limit", PAIR), ("desk_gross_limit", SIDES)])
def test_the_search_finds_a_judge_without_one_of_its_controls(passed: str, model: Model) -> None:
    def blind(intent: OrderIntent, cycle: int, facts: Facts) -> str:
        code = judge(intent, cycle, facts)
        return "approved" if code == passed else code

    with patch.object(checks, "judge", blind):
        assert any(f"should be {passed}" in each for each in found(model).violations)


@pytest.mark.requirement("model:search")
def test_the_search_tells_the_shortest_way_to_what_it_found() -> None:
    with patch.object(Book, "apply", release_on_unknown):
        assert found(SIDES).violations == [
            "alice (0, 'unknown', 0): alice could trade 2/0, reserved 0/0 (after: alice approve 0, alice send 0)"
        ]


@pytest.mark.requirement("model:search")
def test_only_where_both_books_stand_together_is_it_seen_that_one_reaches_into_the_other() -> None:
    books: list[Book] = []

    def share(book: Book, event: OrderEvent) -> None:
        apply(book, event)
        if book not in books:
            books.append(book)
        for other in books[-2:]:
            if other is not book and event.kind == "fill":
                other.cash_nano += 1

    with patch.object(Book, "apply", share):
        assert found(SIDES, 1_000_000).violations == []
        books.clear()
        assert "leads elsewhere" in found(SIDES, 64).violations[0]


@pytest.mark.requirement("model:search")
def test_a_search_that_is_stopped_does_not_call_itself_whole() -> None:
    stopped = search(PAIR, 1_000)
    assert (stopped.states, stopped.whole) == (1_000, False)
    states = found(PAIR).states
    assert search(PAIR, states).whole
    assert not search(PAIR, states - 1).whole


@pytest.mark.requirement("model:search")
def test_a_book_that_came_to_hold_more_than_is_written_down_is_no_model() -> None:
    begin = Book.__init__

    def grown(book: Book, *values: Any) -> None:
        begin(book, *values)
        vars(book)["_unheard_of"] = {}

    with patch.object(Book, "__init__", grown), pytest.raises(AssertionError, match="_unheard_of"):
        World(PAIR)


@pytest.mark.requirement("state:worst")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FULL)), st.lists(st.integers(0, 10_000), max_size=60))
def test_on_any_long_way_through_the_full_models_what_must_hold_holds(name: str, steps: list[int]) -> None:
    world = World(FULL[name])
    for step in steps:
        every = [(client, choice) for client, seat in enumerate(world.seats) for choice in seat.choices()]
        if not every:
            break
        client, choice = every[step % len(every)]
        seat, other = world.seats[client], world.seats[1 - client]
        if choice[1] == APPROVE:
            code, expected = world.judged(client, choice[0], other.worth())
            assert code == expected
            if code != "approved":
                continue
        seat.play(choice)
        assert world.broken() == ""


@pytest.mark.requirement("model:search")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=40))
def test_a_part_that_is_taken_up_again_is_what_was_written_down(steps: list[int]) -> None:
    world, again = World(SIDES), World(SIDES)
    live, other = world.seats[0], again.seats[0]
    for step in steps:
        every = live.choices()
        if not every:
            break
        choice = every[step % len(every)]
        other.thaw(live.freeze())
        live.play(choice)
        other.play(choice)
        assert other.freeze() == live.freeze()
