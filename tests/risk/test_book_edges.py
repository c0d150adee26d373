"""The book by itself, where it must refuse or do nothing; not how it follows a whole order (``test_book``)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bus.errors import SchemaError
from bus.fixed import SCALE
from bus.messages import Fill, OrderEvent
from risk.book import Book, Holding
from tests.risk.core import CASH_NANO, INSTRUMENTS, START_NS, Core

FILL = Fill("f1", "o1", "ACME", "buy", SCALE, 100 * SCALE, 0, START_NS)


@pytest.mark.requirement("risk:book:events")
@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "NOPE"},
        {"qty_nano": 0},
        {"qty_nano": -SCALE},
        {"qty_nano": 1.5},
        {"price_nano": 0},
        {"price_nano": -SCALE},
        {"price_nano": 1.5},
        {"fee_nano": 0.5},
    ],
)
def test_a_fill_that_cannot_be_is_refused_before_anything_is_booked(wrong: dict[str, Any]) -> None:
    book = Book({each.symbol: each for each in INSTRUMENTS}, CASH_NANO)
    fill = msgspec.structs.replace(FILL, **wrong)
    with pytest.raises(SchemaError, match="has a fill of"):
        book.apply(OrderEvent(1, "o1", "ACME", "buy", "fill", "filled", START_NS, SCALE, SCALE, fill=fill))
    assert (book.cash_nano, book.holdings, book.reserved) == (CASH_NANO, {}, {})


@pytest.mark.requirement("risk:book:gross")
def test_the_worst_position_is_what_one_side_alone_would_leave() -> None:
    assert Holding(5 * SCALE, buys_nano=3 * SCALE).worst_nano() == 8 * SCALE
    assert Holding(5 * SCALE, sells_nano=14 * SCALE).worst_nano() == 9 * SCALE
    assert Holding(-5 * SCALE, sells_nano=3 * SCALE).worst_nano() == 8 * SCALE


@pytest.mark.requirement("state:group")
def test_an_order_that_is_not_reserved_is_in_no_group_and_works_nowhere() -> None:
    core = Core()
    book = core.client.book
    book.regroup("nobody's", "pair")
    assert (book.reserved, book.working("ACME", "buy"), book.working("NOPE", "sell")) == ({}, 0, 0)
