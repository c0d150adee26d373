"""Absolute limits, as constants: configuration tightens them, nothing loosens them (law 2).

Not defaults (``risk.limits`` has those). To raise one, change this file, have it reviewed, and release.
"""

from __future__ import annotations

from bus.clock import NS
from bus.fixed import SCALE

__all__ = [
    "CANCEL_LIFETIME_NS",
    "MAX_CANCELS_PER_DAY",
    "MAX_COLLAR_BPS",
    "MAX_CONCENTRATION_BPS",
    "MAX_DAILY_LOSS_NANO",
    "MAX_DESK_DAILY_LOSS_NANO",
    "MAX_DESK_GROSS_NANO",
    "MAX_DESK_MESSAGES_PER_MINUTE",
    "MAX_DESK_NET_NANO",
    "MAX_DESK_OPEN_ORDERS",
    "MAX_DRAWDOWN_NANO",
    "MAX_GROSS_NANO",
    "MAX_LEVERAGE_BPS",
    "MAX_MESSAGES_PER_MINUTE",
    "MAX_NET_NANO",
    "MAX_OPEN_ORDERS",
    "MAX_ORDERS_PER_DAY",
    "MAX_ORDERS_PER_MINUTE",
    "MAX_ORDERS_PER_SYMBOL_PER_DAY",
    "MAX_ORDER_NOTIONAL_NANO",
    "MAX_ORDER_QTY_NANO",
    "MAX_POSITION_NOTIONAL_NANO",
    "MAX_PRICE_AGE_NS",
    "MAX_REPEATS",
    "MAX_ROLLING_LOSS_NANO",
    "MAX_TICKET_LIFETIME_NS",
    "MAX_WINDOW_NS",
    "MIN_MARGIN_BPS",
    "MIN_REPEAT_WINDOW_NS",
    "MIN_ROLLING_WINDOW_NS",
]

MAX_ORDER_NOTIONAL_NANO = 1_000_000 * SCALE
"""USD an order: a typing error of a hundredfold on a 10,000 order stops here."""

MAX_ORDER_QTY_NANO = 1_000_000 * SCALE
"""Units an order, whatever they cost."""

MAX_POSITION_NOTIONAL_NANO = 5_000_000 * SCALE
"""USD in one symbol, either side, counting working orders."""

MAX_GROSS_NANO = 20_000_000 * SCALE
"""USD of gross exposure of one client, counting working orders."""

MAX_NET_NANO = MAX_GROSS_NANO
"""USD of net exposure of one client: it cannot be more than the gross."""

MAX_LEVERAGE_BPS = 300_000
"""Thirty times the equity, what European rules let a retail client have on a major currency pair."""

MIN_MARGIN_BPS = 333
"""The same from the other side: a thirtieth of every position is the client's own."""

MAX_CONCENTRATION_BPS = MAX_LEVERAGE_BPS
"""One symbol may be all there is, at most."""

MAX_COLLAR_BPS = 2_000
"""A limit price further than 20 % from the reference is an error at any firm."""

MAX_DAILY_LOSS_NANO = 1_000_000 * SCALE
"""USD lost in a day before only reductions pass."""

MAX_ROLLING_LOSS_NANO = 2_000_000 * SCALE
"""USD lost from the best equity of the rolling window before only reductions pass."""

MAX_DRAWDOWN_NANO = 5_000_000 * SCALE
"""USD lost from the best equity ever before only reductions pass."""

MAX_PRICE_AGE_NS = 6 * 3600 * NS
"""Older than this, no price is a reference. Hours, so that hourly and daily bars can be traded at all."""

MAX_ORDERS_PER_MINUTE = 600
"""Orders in any sixty seconds."""

MAX_MESSAGES_PER_MINUTE = 1_200
"""Orders, replacements and cancels in any sixty seconds."""

MAX_ORDERS_PER_DAY = 20_000
"""Orders of one client a day."""

MAX_CANCELS_PER_DAY = 20_000
"""Cancels of one client a day, after which it gives no new orders."""

MAX_ORDERS_PER_SYMBOL_PER_DAY = 20_000
"""Orders of one client in one symbol a day."""

MAX_REPEATS = 1_000
"""How often one strategy may do the very same before a person has to look."""

MIN_REPEAT_WINDOW_NS = 60 * NS
"""Repeating is counted over a minute at least."""

MIN_ROLLING_WINDOW_NS = 3600 * NS
"""The rolling loss is counted over an hour at least."""

MAX_WINDOW_NS = 31 * 86_400 * NS
"""No window is longer than a month: what it counts is kept in memory."""

MAX_OPEN_ORDERS = 500
"""Orders working at once."""

MAX_TICKET_LIFETIME_NS = 3600 * NS
"""A verdict is stale after an hour at most."""

CANCEL_LIFETIME_NS = 7 * 86_400 * NS
"""A ticket to cancel everything outlives any pause between two bars: cancelling late harms nobody, not at all does."""

MAX_DESK_GROSS_NANO = 100_000_000 * SCALE
"""USD of gross exposure of all clients together."""

MAX_DESK_NET_NANO = MAX_DESK_GROSS_NANO
"""USD of net exposure of all clients together."""

MAX_DESK_DAILY_LOSS_NANO = 5_000_000 * SCALE
"""USD that all clients together may lose in a day before only reductions pass."""

MAX_DESK_MESSAGES_PER_MINUTE = 6_000
"""Orders, replacements and cancels of all clients together in any sixty seconds."""

MAX_DESK_OPEN_ORDERS = 2_500
"""Orders of all clients together that work at once."""
