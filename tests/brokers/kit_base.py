"""What the kit's tests stand on: a venue, an ear, and orders that rest. Not the tests: those are in ``kit_*.py``."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from bus.clock import NS
from bus.ids import client_order_id
from bus.messages import OrderIntent, OrderType, Side, TimeInForce
from tests.brokers.kit_ear import Ear
from tests.brokers.kit_venue import Venue

__all__ = ["ORDER_TYPES", "TIMES_IN_FORCE", "KitBase", "order"]

ORDER_TYPES: tuple[OrderType, ...] = get_args(OrderType)
TIMES_IN_FORCE: tuple[TimeInForce, ...] = get_args(TimeInForce)

RUN_ID = "kit-run"
CLIENT = "alice"
_HOUR_NS = 3_600 * NS


def order(
    venue: Venue,
    index: int,
    *,
    side: Side = "buy",
    order_type: OrderType = "limit",
    tif: TimeInForce | None = None,
    qty_nano: int = 0,
    replaces: str = "",
    symbol: str = "",
) -> OrderIntent:
    """Return the kit's order number ``index``: whatever of its prices it has, it rests and nothing triggers it.

    It is for the day unless it is told otherwise, or the venue's market never closes.
    """
    offered = venue.offers.times_in_force
    usual = "day" if "day" in offered else offered[0]
    lasts: TimeInForce = tif or next(each for each in TIMES_IN_FORCE if each == usual)
    away = venue.instruments[venue.symbol].tick_nano * 100
    buy = side == "buy"
    limit = (venue.bid_nano - away) if buy else (venue.ask_nano + away)
    stop = (venue.ask_nano + away) if buy else (venue.bid_nano - away)
    beyond = stop + away if buy else stop - away
    return OrderIntent(
        client_order_id=client_order_id(CLIENT, RUN_ID, 1, index),
        client=CLIENT,
        run_id=RUN_ID,
        cycle=1,
        index=index,
        symbol=symbol or venue.symbol,
        side=side,
        order_type=order_type,
        time_in_force=lasts,
        qty_nano=qty_nano or venue.qty_nano,
        limit_price_nano={"limit": limit, "stop_limit": beyond}.get(order_type, 0),
        decided_ns=venue.now_ns(),
        strategy="kit",
        stop_price_nano=stop if order_type in {"stop", "stop_limit"} else 0,
        trail_nano=away if order_type == "trailing_stop" else 0,
        expires_ns=venue.now_ns() + _HOUR_NS if lasts == "gtd" else 0,
        replaces=replaces,
    )


class KitBase(abc.ABC):
    """Subclass it as ``TestNAME`` and give ``make_venue``."""

    @abc.abstractmethod
    def make_venue(self, folder: Path) -> Venue:
        """Start a venue, with nothing on its account but cash; ``folder`` is for what a session must keep."""

    @pytest.fixture
    def venue(self, tmp_path: Path) -> Iterator[Venue]:
        venue = self.make_venue(tmp_path)
        try:
            venue.price(venue.symbol, venue.bid_nano, venue.ask_nano)
            yield venue
        finally:
            venue.close()

    @pytest.fixture
    def ear(self, venue: Venue) -> Iterator[Ear]:
        ear = Ear(venue)
        try:
            yield ear
        finally:
            ear.close()
