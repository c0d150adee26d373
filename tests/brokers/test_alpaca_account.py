"""Statements of a loopback Alpaca: one instant, our symbols and signs, all pages."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from bus.errors import BusError
from tests.brokers.alpaca_venue import AlpacaVenue
from tests.brokers.kit import Ear, order


@pytest.fixture
def venue() -> Iterator[AlpacaVenue]:
    venue = AlpacaVenue()
    try:
        yield venue
    finally:
        venue.close()


@pytest.fixture
def ear(venue: AlpacaVenue) -> Iterator[Ear]:
    ear = Ear(venue)
    try:
        yield ear
    finally:
        ear.close()


@pytest.mark.requirement("brokers:alpaca:statement")
def test_a_statement_has_our_symbols_and_signs(venue: AlpacaVenue, ear: Ear) -> None:
    coin = order(venue, 0, symbol="BTC/USD", tif="gtc", qty_nano=500_000_000)
    short = order(venue, 1, side="sell")
    for intent, price in ((coin, 60_000_000_000_000), (short, 190_500_000_000)):
        ear.submit(intent)
        venue.fill(intent.client_order_id, intent.qty_nano, price)
    hand = venue.place_by_hand("AAPL", "buy", 1_000_000_000, 100_000_000_000)
    with venue.book.lock:
        venue.book.fill(venue.book.by_id(hand), Decimal(1), Decimal(100))
    told = ear.broker.statement()
    assert told is not None
    assert {(held.symbol, held.qty_nano) for held in told.held} == {("BTC/USD", 500_000_000), ("AAPL", -7_000_000_000)}
    assert told.cash_nano == 71_424_000_000_000
    assert [(fill.symbol, fill.side) for fill in told.fills] == [("BTC/USD", "buy"), ("AAPL", "sell"), ("AAPL", "buy")]
    assert told.fills[2].client_order_id.startswith("ext-")


@pytest.mark.requirement("brokers:alpaca:statement")
def test_a_statement_goes_over_all_pages(venue: AlpacaVenue, ear: Ear) -> None:
    filled = order(venue, 0)
    ear.submit(filled)
    venue.mute = True
    with venue.book.lock:
        for _ in range(230):
            venue.book.fill(venue.book.by_client(filled.client_order_id), Decimal("0.01"), Decimal(100))
    hands = {venue.place_by_hand("AAPL", "buy", 1_000_000_000, 100_000_000_000) for _ in range(620)}
    told = ear.broker.statement()
    assert told is not None
    assert len(told.fills) == len({fill.fill_id for fill in told.fills}) == 230
    assert {o.broker_order_id for o in told.orders if o.client_order_id != filled.client_order_id} == hands


@pytest.mark.requirement("brokers:alpaca:statement")
def test_a_statement_is_read_again_when_an_execution_came_in_between(venue: AlpacaVenue, ear: Ear) -> None:
    intent = order(venue, 0)
    ear.submit(intent)
    times = iter(range(2))

    def meddle() -> None:
        if next(times, None) is not None:
            venue.book.fill(venue.book.by_client(intent.client_order_id), Decimal(1), Decimal(100))

    venue.before["/v2/positions"] = meddle
    told = ear.broker.statement()
    assert told is not None
    assert [held.qty_nano for held in told.held] == [2_000_000_000]
    assert sum(fill.qty_nano for fill in told.fills) == 2_000_000_000
    assert told.cash_nano == 99_800_000_000_000


@pytest.mark.requirement("brokers:alpaca:statement")
def test_an_account_that_never_holds_still_or_is_of_another_kind_is_no_statement(venue: AlpacaVenue, ear: Ear) -> None:
    intent = order(venue, 0)
    ear.submit(intent)
    venue.before["/v2/positions"] = lambda: venue.book.fill(
        venue.book.by_client(intent.client_order_id), Decimal("0.001"), Decimal(100)
    )
    with pytest.raises(BusError, match="ask again later"):
        ear.broker.statement()
    venue.before.clear()
    venue.book.currency = "GBP"
    with pytest.raises(BusError, match="another currency than the desk's USD"):
        ear.broker.statement()
