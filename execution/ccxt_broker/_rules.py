"""What is refused before it is sent: what the exchange would refuse, or ccxt would round without a word.

Not the gate: nothing here is about risk.
"""

from __future__ import annotations

from bus.fixed import from_nano, notional_nano
from bus.messages import OrderIntent
from execution.broker import Offered
from execution.ccxt_broker._records import MarketRules

__all__ = ["why_not"]

_VENUE_TYPES = {"market": "MARKET", "limit": "LIMIT", "stop": "STOP_LOSS", "stop_limit": "STOP_LOSS_LIMIT"}


def why_not(intent: OrderIntent, offered: Offered, rules: dict[str, MarketRules]) -> str:
    """Return why an order cannot be sent as it is, empty when it can."""
    return _kind(intent, offered) or _market(intent, rules) or _numbers(intent, rules[intent.symbol])


def _kind(intent: OrderIntent, offered: Offered) -> str:
    kind, tif = intent.order_type, intent.time_in_force
    if kind not in offered.order_types:
        return f"{offered.name} has no {kind} orders; it has {', '.join(offered.order_types)}"
    if tif not in offered.times_in_force:
        return f"{offered.name} has no time in force {tif}; it has {', '.join(offered.times_in_force)}"
    if kind == "market" and tif == "fok":
        return f"a market order at {offered.name} may be filled in part; use ioc, or a limit order with fok"
    if kind == "stop" and tif != "gtc":
        return f"a stop order at {offered.name} waits until it triggers; use gtc"
    if intent.replaces:
        return f"{offered.name} cannot replace an order in one step; cancel it, then order anew"
    if (intent.limit_price_nano > 0) != (kind in ("limit", "stop_limit")):
        return f"a {kind} order with limit price {from_nano(intent.limit_price_nano):f}; limit and stop_limit have one"
    if (intent.stop_price_nano > 0) != (kind in ("stop", "stop_limit")):
        return f"a {kind} order with stop price {from_nano(intent.stop_price_nano):f}; stop and stop_limit have one"
    return ""


def _market(intent: OrderIntent, rules: dict[str, MarketRules]) -> str:
    rule = rules.get(intent.symbol)
    if rule is None:
        return f"{intent.symbol} is not traded here; traded are {', '.join(sorted(rules)) or 'no symbols'}"
    if not rule.active:
        return f"the exchange has stopped the trading of {intent.symbol}; ask again later"
    if _VENUE_TYPES[intent.order_type] not in rule.order_types:
        return f"the exchange has no {intent.order_type} orders for {intent.symbol}; it has {rule.order_types}"
    return ""


def _numbers(intent: OrderIntent, rule: MarketRules) -> str:
    qty, lot = intent.qty_nano, rule.lot_nano
    if qty <= 0 or qty % lot:
        return f"quantity {from_nano(qty):f} of {rule.symbol} is no positive multiple of {from_nano(lot):f}"
    if qty < rule.min_qty_nano or (rule.max_qty_nano and qty > rule.max_qty_nano):
        return (
            f"quantity {from_nano(qty):f} of {rule.symbol} is outside of {from_nano(rule.min_qty_nano):f} to "
            f"{from_nano(rule.max_qty_nano):f}"
        )
    for name, price in (("limit price", intent.limit_price_nano), ("stop price", intent.stop_price_nano)):
        if not price:
            continue
        if price % rule.tick_nano:
            return f"{name} {from_nano(price):f} of {rule.symbol} is no multiple of {from_nano(rule.tick_nano):f}"
        if price < rule.min_price_nano or (rule.max_price_nano and price > rule.max_price_nano):
            return (
                f"{name} {from_nano(price):f} of {rule.symbol} is outside of {from_nano(rule.min_price_nano):f} to "
                f"{from_nano(rule.max_price_nano):f}"
            )
    worth = notional_nano(intent.limit_price_nano, qty)
    if intent.limit_price_nano and worth < rule.min_notional_nano:
        return f"{rule.symbol} for {from_nano(worth):f} is too little; {from_nano(rule.min_notional_nano):f} is least"
    return ""
