"""What one order is judged by, as plain integers that are ready before it comes. Not how they come to be: ``state``.

Kept flat, so that ``checks`` reads a column of attributes, and so that a verdict's inputs can be written down and the
verdict computed again from them (``risk.inputs``).
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import msgspec

from bus.messages import OrderIntent
from risk.book import Holding, Reservation
from risk.limits import DeskLimits, Limits

__all__ = [
    "ANY",
    "NOBODY_BUYS",
    "NOBODY_SELLS",
    "Content",
    "Deployed",
    "DeskFacts",
    "Facts",
    "InUse",
    "Resting",
    "Terms",
    "Twin",
    "content",
]

Content: TypeAlias = tuple[str | int, ...]
ANY = 2**63
"""The price of a market order: it takes any."""
NOBODY_SELLS = 2**64
NOBODY_BUYS = -1
_RIGHT_AWAY = frozenset({"market", "limit"})
_SMALL = 256
_READY = 8
"""How many orders of a cycle have their ids ready; one more is hashed when it comes."""


class Resting(msgspec.Struct):
    """The desk's own best working prices in a symbol, over all clients; a market order has the worst there is."""

    best_buy_nano: int = NOBODY_BUYS
    best_sell_nano: int = NOBODY_SELLS


class Terms(msgspec.Struct):
    """A client's terms in one symbol: limits of all layers and the venue's, and the price of the instant.

    Attributes:
        barred: Why nothing of this symbol can be traded; empty when it can.
        priced: Why there is no price to judge by; empty when there is one.
        venue_worth_least: The venue's least order, in billionths of billionths (price times quantity times multiplier).
        worth_least: The client's least order, in the same.
        worth_most: The largest order, in the same.
        shorts: Why there can be no short position; empty where there can.
        low_nano: The lowest price inside the collar.
        high_nano: The highest.
        market_nano: What a unit is worth at most to a market order.
        short_most_nano: The largest short position; 0 for none.
    """

    held: Holding
    resting: Resting
    barred: str = "unknown_symbol"
    venue: str = ""
    lot_nano: int = 0
    tick_nano: int = 0
    multiplier: int = 1
    most_qty_nano: int = 0
    venue_least_nano: int = 0
    venue_most_nano: int = 0
    venue_worth_least: int = 0
    worth_least: int = 0
    worth_most: int = 0
    most_position_nano: int = 0
    collar_bps: int = 0
    priced: str = "no_price"
    reference_nano: int = 0
    event_time_ns: int = -1
    low_nano: int = 0
    high_nano: int = 0
    market_nano: int = 0
    short_most_nano: int = 0
    shorts: str = "short_sale"
    orders_today: int = 0
    most_orders_today: int = 0


class InUse(msgspec.Struct):
    """What one strategy holds and has working in one symbol."""

    position_nano: int = 0
    buys_nano: int = 0
    sells_nano: int = 0


class Deployed(msgspec.Struct):
    """One strategy: its state and what it was deployed for. ``symbols`` and ``venues`` are empty for any.

    ``limited`` is whether there is anything to judge: limits of its own, or a state that is not active.
    """

    limited: bool = False
    state: str = "active"
    symbols: frozenset[str] = frozenset()
    venues: frozenset[str] = frozenset()
    most_symbols: int = 0
    worth_most: int = 0
    most_position_nano: int = 0
    most_orders_today: int = 0
    most_open_orders: int = 0
    orders_today: int = 0
    open_orders: int = 0
    used: dict[str, InUse] = {}


class Twin(msgspec.Struct):
    """When orders of one content were approved: the last one of any strategy, and all lately by strategy."""

    last_ns: int
    by_strategy: dict[str, list[int]] = {}


class DeskFacts:
    """What all clients together come to.

    Attributes:
        state: The trading state of the whole desk.
        restricted: Why only reductions pass; empty when others do too.
    """

    __slots__ = (
        "day_loss_nano",
        "down_nano",
        "gross_nano",
        "halted",
        "limits",
        "open_orders",
        "recent_messages",
        "restricted",
        "state",
        "up_nano",
    )

    def __init__(self, limits: DeskLimits) -> None:
        """Know of nothing yet."""
        self.limits = limits
        self.state = "active"
        self.gross_nano = 0
        self.up_nano = 0
        self.down_nano = 0
        self.day_loss_nano: int | None = 0
        self.halted = False
        self.restricted = ""
        self.recent_messages = 0
        self.open_orders = 0


class Facts:
    """What one client's orders are judged by.

    Attributes:
        now_ns: The gate's instant; -1 before the first.
        state: The client's trading state.
        closed: Why nothing passes now whatever it is; empty when something may.
        restricted: Why only reductions pass; empty when others do too.
        paced: Why no further order passes now; empty when one does.
    """

    __slots__ = (
        "_base",
        "_fed",
        "_fed_cycle",
        "_last_cycle",
        "_ready",
        "_ready_cycle",
        "cancels_today",
        "client",
        "closed",
        "concentration_nano",
        "currency",
        "day_start_nano",
        "desk",
        "down_nano",
        "equity_nano",
        "gross_nano",
        "halted",
        "legs",
        "leverage_nano",
        "limits",
        "margin_nano",
        "now_ns",
        "open_orders",
        "order_classes",
        "order_types",
        "orders_today",
        "paced",
        "peak_nano",
        "recent_messages",
        "recent_orders",
        "recent_peak_nano",
        "restricted",
        "run_id",
        "session_open",
        "state",
        "strategies",
        "terms",
        "times_in_force",
        "twins",
        "up_nano",
        "working",
    )

    def __init__(
        self, client: str, run_id: str, currency: str, limits: Limits, desk: DeskFacts, cash_nano: int
    ) -> None:
        """Know of nothing yet: closed.

        Args:
            client: Whose orders.
            run_id: The run.
            currency: The account currency.
            limits: The client's.
            desk: What all clients together come to.
            cash_nano: Cash before the first fill.
        """
        self.client = client
        self.run_id = run_id
        self.currency = currency
        self.limits = limits
        self.desk = desk
        self.order_types: frozenset[str] = frozenset(limits.order_types)
        self.times_in_force: frozenset[str] = frozenset(limits.times_in_force)
        self.order_classes: frozenset[str] = frozenset(limits.order_classes)
        self.terms: dict[str, Terms] = {}
        self.strategies: dict[str, Deployed] = {}
        self.twins: dict[Content, Twin] = {}
        self.working: dict[str, Reservation] = {}
        self.legs: set[str] = set()
        self.now_ns = -1
        self.state = "active"
        self.session_open = False
        self.equity_nano: int | None = cash_nano
        self.day_start_nano = cash_nano
        self.peak_nano = cash_nano
        self.recent_peak_nano = cash_nano
        self.halted = False
        self.margin_nano = 0
        self.leverage_nano = 0
        self.concentration_nano = 0
        self.gross_nano = 0
        self.up_nano = 0
        self.down_nano = 0
        self.recent_orders = 0
        self.recent_messages = 0
        self.orders_today = 0
        self.cancels_today = 0
        self.open_orders = 0
        self.closed = "clock_mismatch"
        self.restricted = ""
        self.paced = ""
        self._base = hashlib.blake2b(digest_size=10)
        self._base.update(_part(client) + _part(run_id))
        self._fed = self._base.copy()
        self._fed_cycle = -1
        self._last_cycle = -1
        self._ready: tuple[str, ...] = ()
        self._ready_cycle = -1

    def prepare_ids(self) -> None:
        """Make the ids of the next cycle's first orders now, while nobody waits for a verdict."""
        cycle = self._last_cycle + 1
        if cycle != self._ready_cycle:
            self._ready = tuple(self._hashed(cycle, index) for index in range(_READY))
            self._ready_cycle = cycle

    def order_id(self, cycle: int, index: int) -> str:
        """Return what ``bus.ids.client_order_id`` returns: ready made, or from a hasher that lacks the index only."""
        self._last_cycle = cycle
        if cycle == self._ready_cycle and 0 <= index < _READY:
            return self._ready[index]
        return self._hashed(cycle, index)

    def _hashed(self, cycle: int, index: int) -> str:
        if cycle != self._fed_cycle:
            fed = self._base.copy()
            fed.update(_part(str(cycle)))
            self._fed, self._fed_cycle = fed, cycle
        hasher = self._fed.copy()
        hasher.update(_PARTS[index] if 0 <= index < _SMALL else _part(str(index)))
        return "oo-" + hasher.hexdigest()


def _part(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(8, "big") + raw


_PARTS = tuple(_part(str(number)) for number in range(_SMALL))


def content(intent: OrderIntent) -> Content:
    """Return what makes two orders the same to a person: everything but who, when and why."""
    plain = intent.symbol, intent.side, intent.order_type, intent.qty_nano, intent.limit_price_nano
    if intent.order_class == "simple" and intent.order_type in _RIGHT_AWAY and not intent.replaces:
        return plain
    return (
        *plain,
        intent.order_class,
        intent.stop_price_nano,
        intent.trail_nano,
        intent.trail_bps,
        intent.take_profit_nano,
        intent.stop_loss_nano,
        intent.stop_loss_limit_nano,
        intent.replaces,
    )
