"""Absolute limits, as constants: configuration tightens them, nothing loosens them (law 2).

Not defaults (``risk.limits`` has those). To raise one, change this file, have it reviewed, and release.
"""

from __future__ import annotations

from bus.clock import NS
from bus.fixed import SCALE

__all__ = [
    "CANCEL_LIFETIME_NS",
    "MAX_COLLAR_BPS",
    "MAX_DAILY_LOSS_NANO",
    "MAX_GROSS_NANO",
    "MAX_OPEN_ORDERS",
    "MAX_ORDERS_PER_MINUTE",
    "MAX_ORDER_NOTIONAL_NANO",
    "MAX_ORDER_QTY_NANO",
    "MAX_POSITION_NOTIONAL_NANO",
    "MAX_PRICE_AGE_NS",
    "MAX_TICKET_LIFETIME_NS",
]

MAX_ORDER_NOTIONAL_NANO = 1_000_000 * SCALE
"""USD an order: a typing error of a hundredfold on a 10,000 order stops here."""

MAX_ORDER_QTY_NANO = 1_000_000 * SCALE
"""Units an order, whatever they cost."""

MAX_POSITION_NOTIONAL_NANO = 5_000_000 * SCALE
"""USD in one symbol, either side, counting working orders."""

MAX_GROSS_NANO = 20_000_000 * SCALE
"""USD of gross exposure of one client, counting working orders."""

MAX_COLLAR_BPS = 2_000
"""A limit price further than 20 % from the reference is an error at any firm."""

MAX_DAILY_LOSS_NANO = 1_000_000 * SCALE
"""USD lost in a day before only reductions pass."""

MAX_PRICE_AGE_NS = 6 * 3600 * NS
"""Older than this, no price is a reference. Hours, so that hourly and daily bars can be traded at all."""

MAX_ORDERS_PER_MINUTE = 600
"""Orders in any sixty seconds."""

MAX_OPEN_ORDERS = 500
"""Orders working at once."""

MAX_TICKET_LIFETIME_NS = 3600 * NS
"""A verdict is stale after an hour at most."""

CANCEL_LIFETIME_NS = 7 * 86_400 * NS
"""A ticket to cancel everything outlives any pause between two bars: cancelling late harms nobody, not at all does."""
