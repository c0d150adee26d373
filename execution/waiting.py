"""Orders that wait here for their price, because their broker has no such type: stops and trailing stops on bars.

Not as good as a stop at the broker: it is seen once a bar is known, so a gap through it is filled where the market is
then, and it does not work while the desk is down. Conventions: a bar counts that opened after the order was held;
a stop triggers when the bar trades at it or through it; a trailing stop is compared with where the bars before left
it, and follows the bar's best price afterwards, because nobody knows which came first inside a bar. A triggered order
goes to the broker as the market or limit order that it became.
"""

from __future__ import annotations

import msgspec

from bus.messages import Bar, OrderIntent, Tick
from execution.broker import Offered
from execution.orders import Order

__all__ = ["EMULATED", "Waited", "best_of", "stop_of", "taken", "waited", "waits"]

EMULATED = ("stop", "stop_limit", "trailing_stop")
"""Types that execution can stand in for, given bars."""


class Waited(msgspec.Struct, frozen=True):
    """What an instant did to the orders that wait here.

    Attributes:
        triggered: To be sent now, in the order in which they were taken.
        expired: Over without having been sent.
        waters: The new best price of trailing stops that moved, by client order id.
    """

    triggered: tuple[Order, ...]
    expired: tuple[Order, ...]
    waters: dict[str, int]


def waits(intent: OrderIntent, offered: Offered) -> bool:
    """Whether an order is held here instead of being sent."""
    return intent.order_type in EMULATED and intent.order_type not in offered.order_types


def taken(offered: Offered) -> tuple[str, ...]:
    """Return the order types that can be asked for: the broker's own, and those that execution stands in for."""
    return (*offered.order_types, *(kind for kind in EMULATED if kind not in offered.order_types))


def stop_of(intent: OrderIntent, water_nano: int) -> int:
    """Return where an order triggers.

    Args:
        intent: The order.
        water_nano: For a trailing stop, the best price so far: the highest for a sale, the lowest for a purchase.
    """
    if intent.order_type != "trailing_stop":
        return intent.stop_price_nano
    distance = intent.trail_nano or water_nano * intent.trail_bps // 10_000
    return water_nano - distance if intent.side == "sell" else water_nano + distance


def best_of(intent: OrderIntent, water_nano: int, bar: Bar) -> int:
    """Return the best price after a bar; 0 stands for none before it."""
    if intent.side == "sell":
        return max(water_nano, bar.high_nano)
    return min(water_nano or bar.low_nano, bar.low_nano)


def waited(orders: list[Order], waters: dict[str, int], tick: Tick) -> Waited:
    """Return what an instant does to the orders that wait here.

    Args:
        orders: Them, oldest first.
        waters: The best price that each trailing stop has seen.
        tick: The instant.
    """
    triggered: list[Order] = []
    expired: list[Order] = []
    moved: dict[str, int] = {}
    for order in orders:
        intent = order.intent
        water = waters.get(intent.client_order_id, 0)
        before = water
        hit = False
        for bar in tick.bars:
            if bar.symbol != intent.symbol or bar.open_time_ns < order.events[0].time_ns:
                continue
            # Without a price before it, the first bar's open is where a trailing stop starts.
            hit = hit or _meets(intent, bar, stop_of(intent, water or bar.open_nano))
            water = best_of(intent, water, bar)
        if hit:
            triggered.append(order)
        elif _over(intent, tick):
            expired.append(order)
        elif water != before and intent.order_type == "trailing_stop":
            moved[intent.client_order_id] = water
    return Waited(tuple(triggered), tuple(expired), moved)


def _meets(intent: OrderIntent, bar: Bar, stop_nano: int) -> bool:
    return bar.low_nano <= stop_nano if intent.side == "sell" else bar.high_nano >= stop_nano


def _over(intent: OrderIntent, tick: Tick) -> bool:
    if intent.time_in_force == "gtd":
        return tick.clock.now_ns >= intent.expires_ns
    return intent.time_in_force != "gtc" and tick.clock.done
