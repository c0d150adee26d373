"""The limits of a desk, its clients, symbols and strategies, in exact integers, with a version on every verdict.

Not a place of judgement (``risk.checks``). Each layer only tightens the one above it: ceilings, desk, client, symbol
and strategy. A running gate's limits never change: no message, tool or variable does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, get_args

import msgspec

from bus.clock import NS
from bus.codec import canonical
from bus.errors import ConfigError
from bus.ids import digest
from bus.messages import OrderClass, OrderType, TimeInForce
from risk import ceilings
from risk._layers import check_against_ceilings, check_layers

if TYPE_CHECKING:
    from risk.spec import GateSpec

__all__ = [
    "DeskLimits",
    "Limits",
    "StrategyLimits",
    "SymbolLimits",
    "check_against_ceilings",
    "check_layers",
    "default_desk_limits",
    "default_limits",
    "effective_version",
    "version",
]

_TYPES: tuple[OrderType, ...] = get_args(OrderType)
_TIMES: tuple[TimeInForce, ...] = get_args(TimeInForce)
_CLASSES: tuple[OrderClass, ...] = get_args(OrderClass)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may do. Money is in the account currency; a worst case counts every order that may still fill.

    Attributes:
        max_order_qty_nano: Units an order.
        max_order_notional_nano: USD an order, market orders judged at the reference price plus the collar.
        max_position_notional_nano: USD in one symbol, worst case over all working orders.
        max_gross_nano: USD of gross exposure, worst case over all working orders.
        collar_bps: How far a limit, stop or trail may be from the reference, in basis points.
        max_daily_loss_nano: USD lost since the day began; from there only reductions pass.
        max_price_age_ns: How old the last price may be.
        max_orders_per_minute: Verdicts that approve, in any sixty seconds of the feed's clock; a denial does not count.
        max_open_orders: Orders working at once.
        duplicate_window_ns: An order equal in content to one approved within this time is refused; 0 is no window.
        ticket_lifetime_ns: How long a ticket is good for.
        symbols: What may be traded; empty for everything tradable that the feed serves.
        min_order_notional_nano: USD an order at least, reductions excepted; 0 is no least.
        max_net_nano: USD of net exposure, worst case over all working orders.
        max_leverage_bps: Gross worst case over equity; 10,000 is once.
        margin_bps: Share of the gross worst case that the equity must cover; 10,000 is a cash account.
        max_concentration_bps: One symbol's worst case over equity.
        max_drawdown_nano: USD lost from the best equity; from there only reductions pass.
        max_rolling_loss_nano: USD lost from the best equity of the window; from there only reductions pass.
        rolling_window_ns: That window.
        max_messages_per_minute: Orders, replacements and cancels, in any sixty seconds. Cancels are counted and never
            refused.
        max_orders_per_day: Approvals a day.
        max_cancels_per_day: Cancels a day; beyond them no new orders pass, cancels always do.
        max_orders_per_symbol_per_day: Approvals a day in one symbol.
        max_repeats: How often one strategy may do the very same within ``repeat_window_ns``; then it is halted until a
            person resumes it.
        repeat_window_ns: That window.
        order_types: Order types that pass.
        times_in_force: Times in force that pass.
        order_classes: Order classes that pass.
        venues: Venues that pass; empty for any.
        allow_short: Whether a position may go below zero.
    """

    max_order_qty_nano: int
    max_order_notional_nano: int
    max_position_notional_nano: int
    max_gross_nano: int
    collar_bps: int
    max_daily_loss_nano: int
    max_price_age_ns: int
    max_orders_per_minute: int
    max_open_orders: int
    duplicate_window_ns: int
    ticket_lifetime_ns: int
    symbols: tuple[str, ...] = ()
    min_order_notional_nano: int = 0
    max_net_nano: int = ceilings.MAX_NET_NANO
    max_leverage_bps: int = 10_000
    margin_bps: int = 10_000
    max_concentration_bps: int = 10_000
    max_drawdown_nano: int = ceilings.MAX_DRAWDOWN_NANO
    max_rolling_loss_nano: int = ceilings.MAX_ROLLING_LOSS_NANO
    rolling_window_ns: int = 7 * 86_400 * NS
    max_messages_per_minute: int = 240
    max_orders_per_day: int = 10_000
    max_cancels_per_day: int = 10_000
    max_orders_per_symbol_per_day: int = 10_000
    max_repeats: int = 60
    repeat_window_ns: int = 3600 * NS
    order_types: tuple[OrderType, ...] = _TYPES
    times_in_force: tuple[TimeInForce, ...] = _TIMES
    order_classes: tuple[OrderClass, ...] = _CLASSES
    venues: tuple[str, ...] = ()
    allow_short: bool = True


class SymbolLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may do in one symbol, where that is less than its limits; None is the client's own.

    Attributes:
        max_order_qty_nano: Units an order.
        max_order_notional_nano: USD an order.
        max_position_notional_nano: USD in this symbol, worst case.
        collar_bps: Basis points from the reference.
        max_orders_per_day: Approvals a day in this symbol.
        short_available_nano: Units that can be borrowed (the locate); None where the lender says so with ``shortable``.
        halted: Nothing in this symbol passes.
    """

    max_order_qty_nano: int | None = None
    max_order_notional_nano: int | None = None
    max_position_notional_nano: int | None = None
    collar_bps: int | None = None
    max_orders_per_day: int | None = None
    short_available_nano: int | None = None
    halted: bool = False


class StrategyLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one strategy was deployed for (RTS 6 art. 8), where that is less than its client's limits; None is those.

    Attributes:
        symbols: What it may trade; empty for what its client may.
        max_symbols: Symbols it may have a position or an order in at once.
        max_order_notional_nano: USD an order.
        max_position_notional_nano: USD in one symbol by this strategy's own fills, worst case.
        max_orders_per_day: Approvals a day.
        max_open_orders: Orders of its own working at once.
        venues: Where it may trade; empty for where its client may.
    """

    symbols: tuple[str, ...] = ()
    max_symbols: int | None = None
    max_order_notional_nano: int | None = None
    max_position_notional_nano: int | None = None
    max_orders_per_day: int | None = None
    max_open_orders: int | None = None
    venues: tuple[str, ...] = ()


class DeskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all clients together may do.

    Attributes:
        max_gross_nano: USD of gross exposure, worst case over all working orders.
        max_net_nano: USD of net exposure, worst case over all working orders.
        max_daily_loss_nano: USD lost by all together since the day began; from there only reductions pass.
        max_messages_per_minute: Orders, replacements and cancels, in any sixty seconds.
        max_open_orders: Orders working at once.
    """

    max_gross_nano: int
    max_net_nano: int
    max_daily_loss_nano: int
    max_messages_per_minute: int
    max_open_orders: int


def default_limits(start_cash_nano: int) -> Limits:
    """Return limits that suit a starting cash.

    A fifth of it an order, a quarter a symbol, all of it gross; 2 % lost in a day, 10 % in a week, 20 % from the best.

    Args:
        start_cash_nano: Starting cash in billionths.
    """
    return Limits(
        max_order_qty_nano=min(start_cash_nano, ceilings.MAX_ORDER_QTY_NANO),
        max_order_notional_nano=min(start_cash_nano // 5, ceilings.MAX_ORDER_NOTIONAL_NANO),
        max_position_notional_nano=min(start_cash_nano // 4, ceilings.MAX_POSITION_NOTIONAL_NANO),
        max_gross_nano=min(start_cash_nano, ceilings.MAX_GROSS_NANO),
        collar_bps=500,
        max_daily_loss_nano=min(start_cash_nano // 50, ceilings.MAX_DAILY_LOSS_NANO),
        max_price_age_ns=15 * 60 * NS,
        max_orders_per_minute=60,
        max_open_orders=40,
        duplicate_window_ns=60 * NS,
        ticket_lifetime_ns=60 * NS,
        max_net_nano=min(start_cash_nano, ceilings.MAX_NET_NANO),
        max_rolling_loss_nano=min(start_cash_nano // 10, ceilings.MAX_ROLLING_LOSS_NANO),
        max_drawdown_nano=min(start_cash_nano // 5, ceilings.MAX_DRAWDOWN_NANO),
    )


def default_desk_limits(clients: Iterable[Limits]) -> DeskLimits:
    """Return what the clients may do taken together, inside the desk's ceilings.

    Args:
        clients: The limits of every client.
    """
    every = tuple(clients)
    return DeskLimits(
        max_gross_nano=min(sum(each.max_gross_nano for each in every), ceilings.MAX_DESK_GROSS_NANO),
        max_net_nano=min(sum(each.max_net_nano for each in every), ceilings.MAX_DESK_NET_NANO),
        max_daily_loss_nano=min(sum(each.max_daily_loss_nano for each in every), ceilings.MAX_DESK_DAILY_LOSS_NANO),
        max_messages_per_minute=min(
            sum(each.max_messages_per_minute for each in every), ceilings.MAX_DESK_MESSAGES_PER_MINUTE
        ),
        max_open_orders=min(sum(each.max_open_orders for each in every), ceilings.MAX_DESK_OPEN_ORDERS),
    )


def version(limits: Limits) -> str:
    """Return the digest of one client's own limits; what verdicts carry is ``effective_version``."""
    return f"lim-{digest(canonical(limits), size=6)}"


class _Effective(msgspec.Struct, frozen=True):
    """Every layer that applies to one client, in one order whatever order it was written in."""

    desk: DeskLimits
    client: str
    limits: Limits
    symbols: tuple[tuple[str, SymbolLimits], ...]
    strategies: tuple[tuple[str, StrategyLimits], ...]
    currency: str


def effective_version(spec: GateSpec, client: str) -> str:
    """Return the digest of every layer that applies to a client: what verdicts and tickets carry.

    Args:
        spec: The gate's.
        client: One of its clients.

    Raises:
        ConfigError: The gate has no such client.
    """
    found = next((each for each in spec.clients if each.client == client), None)
    if found is None:
        names = ", ".join(sorted(each.client for each in spec.clients))
        raise ConfigError(f"client {client!r} is not of this desk; it has {names}: name one of them")
    effective = _Effective(
        spec.desk,
        found.client,
        found.limits,
        tuple(sorted(found.symbols.items(), key=lambda pair: pair[0])),
        tuple(sorted(found.strategies.items(), key=lambda pair: pair[0])),
        spec.currency,
    )
    return f"lim-{digest(canonical(effective), size=6)}"
