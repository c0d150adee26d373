"""The limits of one client, in exact integers, with a version that every verdict carries. They tighten the ceilings.

Not a place of judgement (``risk.checks``). A running gate's limits never change: no message, tool or variable does it.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from bus.clock import NS
from bus.codec import canonical
from bus.errors import ConfigError
from bus.fixed import from_nano
from bus.ids import digest
from risk import ceilings

__all__ = ["Limits", "check_against_ceilings", "default_limits", "version"]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may do.

    Attributes:
        max_order_qty_nano: Units an order.
        max_order_notional_nano: USD an order, market orders judged at the reference price plus the collar.
        max_position_notional_nano: USD in one symbol, worst case over all working orders.
        max_gross_nano: USD of gross exposure, worst case over all working orders.
        collar_bps: How far a limit price may be from the reference, in basis points.
        max_daily_loss_nano: USD lost since the day began; from there only reductions pass.
        max_price_age_ns: How old the last price may be.
        max_orders_per_minute: Verdicts that approve, in any sixty seconds of the feed's clock; a denial does not count.
        max_open_orders: Orders working at once.
        duplicate_window_ns: An order equal in content to one approved within this time is refused.
        ticket_lifetime_ns: How long a ticket is good for.
        symbols: What may be traded; empty for everything tradable that the feed serves.
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


_CEILINGS: dict[str, int] = {
    "max_order_qty_nano": ceilings.MAX_ORDER_QTY_NANO,
    "max_order_notional_nano": ceilings.MAX_ORDER_NOTIONAL_NANO,
    "max_position_notional_nano": ceilings.MAX_POSITION_NOTIONAL_NANO,
    "max_gross_nano": ceilings.MAX_GROSS_NANO,
    "collar_bps": ceilings.MAX_COLLAR_BPS,
    "max_daily_loss_nano": ceilings.MAX_DAILY_LOSS_NANO,
    "max_price_age_ns": ceilings.MAX_PRICE_AGE_NS,
    "max_orders_per_minute": ceilings.MAX_ORDERS_PER_MINUTE,
    "max_open_orders": ceilings.MAX_OPEN_ORDERS,
    "ticket_lifetime_ns": ceilings.MAX_TICKET_LIFETIME_NS,
}


def default_limits(start_cash_nano: int) -> Limits:
    """Return limits that suit a starting cash: a fifth of it an order, a quarter a symbol, all of it gross, 2 % a day.

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
    )


def check_against_ceilings(limits: Limits) -> None:
    """Refuse limits that are looser than a ceiling, or no limits at all.

    Raises:
        ConfigError: Names the key, the value and what is allowed.
    """
    for name, ceiling in _CEILINGS.items():
        value: int = getattr(limits, name)
        if not 0 < value <= ceiling:
            key, shown, most = _as_written(name, value, ceiling)
            raise ConfigError(
                f"limits.{key} = {shown:,} is not allowed; it must be above 0 and at most {most:,} "
                f"(risk/ceilings.py): {'lower' if value > ceiling else 'raise'} it"
            )
    if limits.duplicate_window_ns < 0:
        key, shown, _ = _as_written("duplicate_window_ns", limits.duplicate_window_ns, 0)
        raise ConfigError(f"limits.{key} = {shown:,} is not allowed; give 0 or more seconds")


def _as_written(name: str, value: int, ceiling: int) -> tuple[str, Decimal | int, Decimal | int]:
    """Return key, value and ceiling as a person writes them: plain decimals, and seconds for times."""
    if name.endswith("_nano"):
        return name.removesuffix("_nano"), from_nano(value), from_nano(ceiling)
    if name.endswith("_ns"):
        return f"{name.removesuffix('_ns')}_s", from_nano(value), from_nano(ceiling)
    return name, value, ceiling


def version(limits: Limits) -> str:
    """Return the digest of the effective limits."""
    return f"lim-{digest(canonical(limits), size=6)}"
