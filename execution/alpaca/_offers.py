"""What Alpaca takes, and what is refused here so that it never travels. Not Alpaca's own rules: it judges the rest."""

from __future__ import annotations

from collections.abc import Mapping

from bus.messages import Instrument, OrderIntent
from execution.broker import Offered

__all__ = ["OFFERS", "refusal"]

OFFERS = Offered(
    "alpaca",
    ("market", "limit", "stop", "stop_limit", "trailing_stop"),
    ("day", "gtc", "ioc", "fok"),
    ("simple", "bracket", "oco", "oto"),
    replaces=True,
    shorts=True,
    own_account=True,
)
"""Alpaca has no good-till-date; groups are worked by execution with plain orders."""

_LIMITED = frozenset({"limit", "stop_limit"})
_STOPPED = frozenset({"stop", "stop_limit"})


def refusal(intent: OrderIntent, instruments: Mapping[str, Instrument]) -> str:
    """Return why an order cannot be put in Alpaca's words, empty when it can."""
    if intent.symbol not in instruments:
        return f"unknown_symbol: {intent.symbol!r} is not one of the desk's instruments"
    if intent.order_type not in OFFERS.order_types:
        return f"not_offered: alpaca has no {intent.order_type}; it has {', '.join(OFFERS.order_types)}"
    if intent.time_in_force not in OFFERS.times_in_force:
        return f"not_offered: alpaca has no {intent.time_in_force}; it has {', '.join(OFFERS.times_in_force)}"
    if intent.qty_nano <= 0:
        return "bad_quantity: a quantity is positive"
    if (intent.limit_price_nano > 0) != (intent.order_type in _LIMITED):
        return f"bad_price: a {intent.order_type} order has {_needs('limit', intent.order_type in _LIMITED)}"
    if (intent.stop_price_nano > 0) != (intent.order_type in _STOPPED):
        return f"bad_price: a {intent.order_type} order has {_needs('stop', intent.order_type in _STOPPED)}"
    trails = (intent.trail_nano > 0) + (intent.trail_bps > 0)
    if trails != (intent.order_type == "trailing_stop"):
        return "bad_trail: a trailing_stop has a distance in price or in basis points, never both; others have none"
    return ""


def _needs(price: str, needed: bool) -> str:
    return f"a {price} price above 0" if needed else f"no {price} price"
