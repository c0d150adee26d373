"""ccxt's Binance spot against a loopback exchange: the kit, and what is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers.ccxt_venue import CcxtVenue
from tests.brokers.kit import BrokerKit, Ear, Venue, order


@pytest.mark.requirement("brokers:ccxt:kit")
class TestCcxt(BrokerKit):
    def make_venue(self, folder: Path) -> Venue:
        return CcxtVenue(folder)

    def test_a_working_sale_locks_what_it_sells_so_no_class_with_two_legs_is_offered(
        self, venue: Venue, ear: Ear
    ) -> None:
        entry = order(venue, 0)
        ear.submit(entry)
        venue.fill(entry.client_order_id, entry.qty_nano, entry.limit_price_nano)
        ear.until_filled(entry.client_order_id, entry.qty_nano)
        assert ear.submit(order(venue, 1, side="sell")) == "accepted"
        assert ear.submit(order(venue, 2, side="sell", order_type="stop_limit")) == "rejected"
        assert "insufficient" in ear.reports[-1].reason.lower()
        assert venue.offers.order_classes == ("simple", "oto")
