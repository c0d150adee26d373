"""The exhaustive search at a size for every run; at its full size it is ``python -m tests.risk.model``."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.book import Book
from tests.risk.model.search import FULL, Found, Order, World, search

PAIR = (Order(0, "buy", 2), Order(0, "buy", 3, 0), Order(1, "sell", 3))
"""An order, its replacement and another client's."""
SIDES = (Order(0, "buy", 2), Order(0, "sell", 3), Order(1, "buy", 3))
"""Both sides of one client and another client's."""


def found(orders: tuple[Order, ...]) -> Found:
    return search(orders, 100_000)


@pytest.mark.requirement("model:search")
@pytest.mark.parametrize(("orders", "states"), [(PAIR, 2_000), (SIDES, 2_000)])
def test_no_state_of_the_small_models_breaks_what_must_hold(orders: tuple[Order, ...], states: int) -> None:
    result = found(orders)
    assert result.violations == []
    assert result.whole
    assert result.states > states
    assert min(result.approved, result.denied) > 0


@pytest.mark.requirement("model:search")
def test_the_search_finds_a_book_that_lets_go_too_early() -> None:
    def forgetful(book: Book, client_order_id: str, _group: str) -> None:
        book.release(client_order_id)

    with patch.object(Book, "regroup", forgetful):
        assert any("could trade" in each or "should be" in each for each in found(PAIR).violations)


@pytest.mark.requirement("state:worst")
@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=60))
def test_on_any_long_way_through_the_full_model_what_must_hold_holds(steps: list[int]) -> None:
    world = World(FULL)
    for step in steps:
        choices = list(world.choices())
        if not choices:
            break
        index, what, qty = choices[step % len(choices)]
        if what != "approve":
            world.happen(index, what, qty)
        elif world.judged(index) == "approved":
            world.approve(index)
        assert world.broken() == ""
