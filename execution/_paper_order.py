"""An order at the paper venue, and the shares that are sold short. Not the venue: that is ``execution.paper``."""

from __future__ import annotations

from collections import deque

from bus.fixed import SCALE, notional_nano
from bus.messages import Bar, Fill, Instrument, OrderIntent, OrderType
from execution.fills import (
    Hit,
    borrow_nano,
    fee_total_nano,
    limit_price_nano,
    stop_hit,
    stop_limit_price_nano,
    stop_price_nano,
    trailing_hit,
)
from execution.spec import FeeSchedule, FillModelSpec

__all__ = ["NOTHING", "Meeting", "Shorts", "Working"]


class Meeting:
    """What one bar offers to one order."""

    __slots__ = ("at_open", "hit", "maker", "price_nano")

    def __init__(self, price_nano: int, *, at_open: bool, maker: bool, hit: Hit = "") -> None:
        self.price_nano = price_nano
        """0 or less where there is nothing."""
        self.at_open = at_open
        """Certain from the bar's first instant; otherwise it happened somewhere inside."""
        self.maker = maker
        self.hit: Hit = hit
        """Where the bar triggered it, if it did."""


NOTHING = Meeting(0, at_open=False, maker=False)


class Working:
    """An order at the paper venue.

    Attributes:
        group: The order whose legs it belongs to, so that two do not both take one bar; empty for an order alone.
        triggered: Whether it is a market or a limit order by now.
        water_nano: The best price a trailing stop has seen, 0 before its first bar.
        met: Whether it has met a bar.
    """

    __slots__ = (
        "arrival_ns",
        "charged_nano",
        "filled_nano",
        "fills",
        "group",
        "instrument",
        "intent",
        "met",
        "notional_nano",
        "triggered",
        "water_nano",
    )

    def __init__(self, intent: OrderIntent, instrument: Instrument, arrival_ns: int) -> None:
        self.intent = intent
        self.instrument = instrument
        self.arrival_ns = arrival_ns
        self.group = intent.parent_id or (intent.client_order_id if intent.order_class == "oco" else "")
        self.filled_nano = 0
        self.notional_nano = 0
        self.charged_nano = 0
        self.fills: list[Fill] = []
        self.triggered = False
        self.water_nano = 0
        self.met = False

    def charge_nano(self, price_nano: int, qty_nano: int, fees: FeeSchedule) -> int:
        """Return the order's whole trading fee once that much more is filled."""
        traded = abs(notional_nano(price_nano, qty_nano, self.instrument.multiplier))
        return fee_total_nano(self.instrument, self.filled_nano + qty_nano, self.notional_nano + traded, fees)

    def book(self, fill: Fill, charged_nano: int) -> None:
        """Take in a fill, and the trading fee of all of them: what lending cost is not of the order."""
        self.fills.append(fill)
        self.filled_nano += fill.qty_nano
        self.notional_nano += abs(notional_nano(fill.price_nano, fill.qty_nano, self.instrument.multiplier))
        self.charged_nano = charged_nano
        self.met = True

    @property
    def acts_as(self) -> OrderType:
        """What it is now: a stop that was triggered is a market or a limit order."""
        kind = self.intent.order_type
        if not self.triggered or kind in ("market", "limit"):
            return kind
        return "limit" if kind == "stop_limit" else "market"

    def meet(self, bar: Bar, taking_nano: int, model: FillModelSpec) -> Meeting:
        """Return what a bar offers, and remember what it did to the order."""
        intent = self.intent
        kind = self.acts_as if self.triggered else intent.order_type
        side, limit = intent.side, intent.limit_price_nano
        if kind == "market":
            return Meeting(taking_nano, at_open=True, maker=False)
        if kind == "limit":
            price = limit_price_nano(side, limit, bar, taking_nano)
            if price <= 0:
                return NOTHING
            return Meeting(price, at_open=price == taking_nano, maker=price != taking_nano)
        level = intent.stop_price_nano
        if kind == "trailing_stop":
            hit, level, self.water_nano = trailing_hit(side, self.water_nano, intent.trail_nano, intent.trail_bps, bar)
        else:
            hit = stop_hit(side, level, bar)
        if not hit:
            return NOTHING
        self.triggered = True
        if kind == "stop_limit":
            price = stop_limit_price_nano(side, hit, limit, bar, taking_nano)
            at_open = hit == "open" and price == taking_nano
            return Meeting(price, at_open=at_open, maker=not at_open, hit=hit)
        price = stop_price_nano(side, hit, level, taking_nano, self.instrument.tick_nano, model)
        return Meeting(price, at_open=hit == "open", maker=False, hit=hit)


class Shorts:
    """Positions by fills, and of those below zero each sale with its time, first in, first out."""

    __slots__ = ("_lots", "held_nano")

    def __init__(self) -> None:
        self.held_nano: dict[str, int] = {}
        self._lots: dict[str, deque[tuple[int, int, int]]] = {}

    def book(self, fill: Fill) -> None:
        """Take in a fill."""
        before = self.held_nano.get(fill.symbol, 0)
        after = before + (fill.qty_nano if fill.side == "buy" else -fill.qty_nano)
        self.held_nano[fill.symbol] = after
        sold, bought = max(-after, 0) - max(-before, 0), max(-before, 0) - max(-after, 0)
        if sold > 0:
            self._lots.setdefault(fill.symbol, deque()).append((sold, fill.price_nano, fill.time_ns))
        elif bought > 0:
            self._return(fill.symbol, bought)

    def borrow_nano(self, instrument: Instrument, qty_nano: int, now_ns: int, fees: FeeSchedule) -> int:
        """Return what lending costs for what a purchase of that quantity would give back."""
        due = 0
        for qty, price, sold_ns in self._lots.get(instrument.symbol, ()):
            part = min(qty, qty_nano)
            due += borrow_nano(instrument, price * part * instrument.multiplier // SCALE, sold_ns, now_ns, fees)
            qty_nano -= part
            if qty_nano <= 0:
                break
        return due

    def _return(self, symbol: str, qty_nano: int) -> None:
        lots = self._lots[symbol]
        while qty_nano > 0:
            qty, price, sold_ns = lots.popleft()
            if qty > qty_nano:
                lots.appendleft((qty - qty_nano, price, sold_ns))
            qty_nano -= qty
