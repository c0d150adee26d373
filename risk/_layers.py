"""Whether each layer of limits only tightens the one above it: ceilings, desk, client, symbol and strategy (law 2).

Not the limits (``risk.limits``) and no judge of orders: it runs once, before a gate starts.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, get_args

from bus.errors import ConfigError
from bus.fixed import from_nano
from bus.messages import OrderClass, OrderType, TimeInForce
from risk import ceilings

if TYPE_CHECKING:
    from risk.limits import Limits, StrategyLimits, SymbolLimits
    from risk.spec import ClientSpec, GateSpec

__all__ = ["check_against_ceilings", "check_layers"]

_RANGES: dict[str, tuple[int, int]] = {
    "max_order_qty_nano": (1, ceilings.MAX_ORDER_QTY_NANO),
    "max_order_notional_nano": (1, ceilings.MAX_ORDER_NOTIONAL_NANO),
    "min_order_notional_nano": (0, ceilings.MAX_ORDER_NOTIONAL_NANO),
    "max_position_notional_nano": (1, ceilings.MAX_POSITION_NOTIONAL_NANO),
    "max_gross_nano": (1, ceilings.MAX_GROSS_NANO),
    "max_net_nano": (1, ceilings.MAX_NET_NANO),
    "max_leverage_bps": (1, ceilings.MAX_LEVERAGE_BPS),
    "margin_bps": (ceilings.MIN_MARGIN_BPS, 10_000),
    "max_concentration_bps": (1, ceilings.MAX_CONCENTRATION_BPS),
    "collar_bps": (1, ceilings.MAX_COLLAR_BPS),
    "max_daily_loss_nano": (1, ceilings.MAX_DAILY_LOSS_NANO),
    "max_rolling_loss_nano": (1, ceilings.MAX_ROLLING_LOSS_NANO),
    "max_drawdown_nano": (1, ceilings.MAX_DRAWDOWN_NANO),
    "rolling_window_ns": (ceilings.MIN_ROLLING_WINDOW_NS, ceilings.MAX_WINDOW_NS),
    "max_price_age_ns": (1, ceilings.MAX_PRICE_AGE_NS),
    "max_orders_per_minute": (1, ceilings.MAX_ORDERS_PER_MINUTE),
    "max_messages_per_minute": (1, ceilings.MAX_MESSAGES_PER_MINUTE),
    "max_orders_per_day": (1, ceilings.MAX_ORDERS_PER_DAY),
    "max_cancels_per_day": (1, ceilings.MAX_CANCELS_PER_DAY),
    "max_orders_per_symbol_per_day": (1, ceilings.MAX_ORDERS_PER_SYMBOL_PER_DAY),
    "max_open_orders": (1, ceilings.MAX_OPEN_ORDERS),
    "max_repeats": (1, ceilings.MAX_REPEATS),
    "repeat_window_ns": (ceilings.MIN_REPEAT_WINDOW_NS, ceilings.MAX_WINDOW_NS),
    "duplicate_window_ns": (0, ceilings.MAX_WINDOW_NS),
    "ticket_lifetime_ns": (1, ceilings.MAX_TICKET_LIFETIME_NS),
}
"""What each number of a client's may be. Where more is tighter (margin, windows), the ceiling is the lower end."""

_DESK_MOST: dict[str, int] = {
    "max_gross_nano": ceilings.MAX_DESK_GROSS_NANO,
    "max_net_nano": ceilings.MAX_DESK_NET_NANO,
    "max_daily_loss_nano": ceilings.MAX_DESK_DAILY_LOSS_NANO,
    "max_messages_per_minute": ceilings.MAX_DESK_MESSAGES_PER_MINUTE,
    "max_open_orders": ceilings.MAX_DESK_OPEN_ORDERS,
}
_LISTS: dict[str, tuple[str, ...]] = {
    "order_types": get_args(OrderType),
    "times_in_force": get_args(TimeInForce),
    "order_classes": get_args(OrderClass),
}


def check_against_ceilings(limits: Limits) -> None:
    """Refuse limits that are looser than a ceiling, or no limits at all.

    Raises:
        ConfigError: Names the key, the value and what is allowed.
    """
    for name, (least, most) in _RANGES.items():
        _within("limits", name, getattr(limits, name), least, most, "risk/ceilings.py")
    for name, known in _LISTS.items():
        given: tuple[str, ...] = getattr(limits, name)
        if not given or not set(given) <= set(known):
            raise ConfigError(
                f"limits.{name} = {list(given)} is not allowed; it is one or more of {', '.join(known)}: name those"
            )
    if limits.min_order_notional_nano > limits.max_order_notional_nano:
        least, most = from_nano(limits.min_order_notional_nano), from_nano(limits.max_order_notional_nano)
        raise ConfigError(
            f"limits.min_order_notional = {least:,} is not allowed; at most max_order_notional, {most:,}: lower it"
        )


def check_layers(spec: GateSpec) -> None:
    """Refuse a gate in which any layer loosens the one above it: ceilings, desk, client, symbol and strategy.

    Raises:
        ConfigError: Names the layer, the key, the value and what is allowed.
    """
    names = [each.client for each in spec.clients]
    if not names or len(set(names)) != len(names) or "" in names:
        raise ConfigError(f"clients = {names} is not allowed; a desk has one client or more, each with its own name")
    for name, most in _DESK_MOST.items():
        _within("desk_limits", name, getattr(spec.desk, name), 1, most, "risk/ceilings.py")
    for each in spec.clients:
        check_against_ceilings(each.limits)
        for name in _DESK_MOST:
            most = getattr(spec.desk, name)
            _within(f"limits of {each.client}:", name, getattr(each.limits, name), 1, most, "the desk's own")
        _check_symbols(each)
        _check_strategies(each)


def _check_symbols(client: ClientSpec) -> None:
    limits = client.limits
    for symbol, tighter in client.symbols.items():
        where = f"limits of {client.client} in {symbol}:"
        above = {
            "max_order_qty_nano": limits.max_order_qty_nano,
            "max_order_notional_nano": limits.max_order_notional_nano,
            "max_position_notional_nano": limits.max_position_notional_nano,
            "collar_bps": limits.collar_bps,
            "max_orders_per_day": min(limits.max_orders_per_symbol_per_day, limits.max_orders_per_day),
        }
        _check_optional(where, tighter, above)
        if limits.symbols and symbol not in limits.symbols:
            raise ConfigError(f"{where} the client may not trade {symbol}; it has {', '.join(limits.symbols)}")
        short = tighter.short_available_nano
        if short is not None:
            most = ceilings.MAX_ORDER_QTY_NANO if limits.allow_short else 0
            _within(where, "short_available_nano", short, 0, most, "allow_short" if not most else "risk/ceilings.py")


def _check_strategies(client: ClientSpec) -> None:
    limits = client.limits
    for strategy, tighter in client.strategies.items():
        where = f"limits of {client.client} for strategy {strategy}:"
        above = {
            "max_order_notional_nano": limits.max_order_notional_nano,
            "max_position_notional_nano": limits.max_position_notional_nano,
            "max_orders_per_day": limits.max_orders_per_day,
            "max_open_orders": limits.max_open_orders,
        }
        _check_optional(where, tighter, above)
        if tighter.max_symbols is not None:
            _within(where, "max_symbols", tighter.max_symbols, 1, len(limits.symbols) or 10_000, "the client's symbols")
        for name in ("symbols", "venues"):
            given, allowed = getattr(tighter, name), getattr(limits, name)
            if allowed and not set(given) <= set(allowed):
                raise ConfigError(
                    f"{where} {name} = {list(given)} is not allowed; the client has {', '.join(allowed)}: name those"
                )


def _check_optional(where: str, tighter: SymbolLimits | StrategyLimits, above: dict[str, int]) -> None:
    for name, most in above.items():
        value: int | None = getattr(tighter, name)
        if value is not None:
            _within(where, name, value, 1, most, "the client's own")


def _within(where: str, name: str, value: int, least: int, most: int, source: str) -> None:
    if value.__class__ is int and least <= value <= most:
        return
    if value.__class__ is not int:
        raise ConfigError(f"{where} {name} = {value!r} is not allowed; give a plain number")
    key, (shown, low, high) = _as_written(name, value, least, most)
    floor = "above 0" if least == 1 else f"{low:,} or more"
    joint = "." if where in {"limits", "desk_limits"} else " "
    raise ConfigError(
        f"{where}{joint}{key} = {shown:,} is not allowed; it must be {floor} and at most {high:,} ({source}): "
        f"{'lower' if value > most else 'raise'} it"
    )


def _as_written(name: str, *values: int) -> tuple[str, tuple[Decimal | int, ...]]:
    """Return key and values as a person writes them: plain decimals, and seconds for times."""
    if name.endswith("_nano"):
        return name.removesuffix("_nano"), tuple(from_nano(value) for value in values)
    if name.endswith("_ns"):
        return f"{name.removesuffix('_ns')}_s", tuple(from_nano(value) for value in values)
    return name, values
