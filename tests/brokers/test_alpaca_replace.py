"""Replacing at a loopback Alpaca: the new order and the old one end in exactly one of two ways."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from execution.alpaca._records import change_fields
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


@pytest.mark.requirement("brokers:alpaca:replace")
def test_a_replacement_that_alpaca_refuses_later_leaves_the_old_order_as_it_was(venue: AlpacaVenue, ear: Ear) -> None:
    old = order(venue, 0)
    new = order(venue, 1, replaces=old.client_order_id)
    ear.submit(old)
    venue.book.slow = True
    assert [(r.client_order_id, r.kind) for r in ear.replace(new)] == [(old.client_order_id, "pending_replace")]
    ear.listen()
    assert "rejected" not in ear.kinds(new.client_order_id)
    with venue.book.lock:
        venue.book.refuse_replacement(venue.book.by_client(old.client_order_id))
    ear.until_kind(old.client_order_id, "replace_rejected")
    ear.until_kind(new.client_order_id, "rejected")
    ear.listen()
    assert ear.kinds(old.client_order_id).count("replace_rejected") == 1
    assert ear.kinds(new.client_order_id).count("rejected") == 1
    venue.fill(old.client_order_id, old.qty_nano, old.limit_price_nano)
    ear.until_filled(old.client_order_id, old.qty_nano)


@pytest.mark.requirement("brokers:alpaca:replace")
@pytest.mark.parametrize("restart", [False, True])
def test_a_replacement_refused_while_nobody_listened_is_found_by_asking(
    venue: AlpacaVenue, ear: Ear, restart: bool
) -> None:
    old = order(venue, 0)
    new = order(venue, 1, replaces=old.client_order_id)
    ear.submit(old)
    venue.book.slow = True
    ear.replace(new)
    ear.listen()
    venue.mute = True
    with venue.book.lock:
        venue.book.refuse_replacement(venue.book.by_client(old.client_order_id))
    if restart:
        ear.reopen()
    ear.query(new.client_order_id)
    ear.until_kind(new.client_order_id, "rejected")
    ear.until_kind(old.client_order_id, "replace_rejected")
    assert "replaced" not in ear.kinds(old.client_order_id)


@pytest.mark.requirement("brokers:alpaca:replace")
def test_a_replacement_whose_answer_is_lost_is_settled_by_asking(venue: AlpacaVenue, ear: Ear) -> None:
    old = order(venue, 0)
    new = order(venue, 1, replaces=old.client_order_id, qty_nano=old.qty_nano // 2)
    ear.submit(old)
    record = msgspec.json.encode(venue.order(old.client_order_id).record())
    with venue.book.lock:
        venue.instead += [(200, record), (200, b"\xff")]
        ear.replace(new)
        assert ear.kinds(new.client_order_id) == ["unknown"]
        venue.book.change(venue.book.by_client(old.client_order_id).id, change_fields(new))
    ear.until_kind(old.client_order_id, "replaced")
    ear.until_kind(new.client_order_id, "accepted")
    assert venue.working() == {new.client_order_id: new.qty_nano}


@pytest.mark.requirement("brokers:alpaca:replace")
@pytest.mark.parametrize(
    "more",
    [
        {"symbol": "BTC/USD"},
        {"side": "sell"},
        {"order_type": "market", "limit_price_nano": 0},
        {"qty_nano": 1_500_000_000},
    ],
)
def test_what_alpaca_cannot_change_is_refused_by_name_and_not_sent(
    venue: AlpacaVenue, ear: Ear, more: dict[str, object]
) -> None:
    old = order(venue, 0)
    ear.submit(old)
    venue.asked.clear()
    new = msgspec.structs.replace(order(venue, 1, replaces=old.client_order_id), **more)
    told = ear.replace(new)
    assert [report.kind for report in told] == ["replace_rejected", "rejected"]
    assert all("not_offered" in report.reason for report in told)
    assert all(method == "GET" for method, _ in venue.asked)


@pytest.mark.requirement("brokers:alpaca:replace")
def test_a_price_of_a_fractional_order_is_changed_without_its_quantity(venue: AlpacaVenue, ear: Ear) -> None:
    old = order(venue, 0, symbol="BTC/USD", tif="gtc", qty_nano=1_500_000_000)
    new = msgspec.structs.replace(old, client_order_id=order(venue, 1).client_order_id, replaces=old.client_order_id)
    new = msgspec.structs.replace(new, limit_price_nano=old.limit_price_nano - 10_000_000)
    ear.submit(old)
    ear.replace(new)
    ear.until_kind(new.client_order_id, "accepted")
    assert venue.working() == {new.client_order_id: old.qty_nano}
