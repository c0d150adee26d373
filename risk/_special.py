"""The controls of orders that are more than a market or a limit order: stops, trails, legs, expiry and replacing.

Columns like ``risk.checks``, which asks them; not called from anywhere else.
"""

from __future__ import annotations

from bus.fixed import SCALE
from bus.messages import OrderIntent
from risk.ceilings import MAX_COLLAR_BPS
from risk.facts import Deployed, Facts, InUse, Terms
from risk.reasons import APPROVED

__all__ = ["deployment", "priced_at", "replacement", "special"]

_BPS = 10_000
_UP = SCALE - 1


def priced_at(intent: OrderIntent, terms: Terms) -> int:
    """Return what a unit is worth at most, in billionths: what the order is valued and reserved at.

    Its limit where that is worse than the reference; without a limit, the collar's far end from where it triggers.
    """
    reference = terms.reference_nano
    if intent.order_type == "market":
        return terms.market_nano
    if intent.order_type == "limit":
        return reference if reference > intent.limit_price_nano else intent.limit_price_nano
    if intent.order_type == "stop_limit":
        return max(reference, intent.limit_price_nano, intent.stop_price_nano)
    trail = max(intent.trail_nano, -(-reference * intent.trail_bps // _BPS))
    far = max(reference + trail, intent.stop_price_nano)
    return far + far * terms.collar_bps // _BPS


def special(intent: OrderIntent, terms: Terms, now_ns: int) -> str:
    """Return ``approved``, or the code of the first condition that an order which is not plain does not meet."""
    code = _trigger(intent, terms)
    if code == APPROVED:
        code = _legs(intent, terms)
    if code != APPROVED:
        return code
    if intent.time_in_force == "gtd":
        if not (now_ns < intent.expires_ns):
            return "expiry"
    elif intent.expires_ns != 0:
        return "expiry"
    return APPROVED


def _trigger(intent: OrderIntent, terms: Terms) -> str:
    stop, trail, bps, reference = intent.stop_price_nano, intent.trail_nano, intent.trail_bps, terms.reference_nano
    if intent.order_type == "stop" or intent.order_type == "stop_limit":
        if not (stop > 0 and stop % terms.tick_nano == 0 and trail == 0 and bps == 0):
            return "stop_price"
        if not (stop > reference if intent.side == "buy" else stop < reference):
            return "stop_price"
        return APPROVED if terms.low_nano <= stop <= terms.high_nano else "price_collar"
    if intent.order_type == "trailing_stop":
        if not (stop == 0 and trail >= 0 and bps >= 0 and (trail > 0) != (bps > 0) and trail % terms.tick_nano == 0):
            return "trail"
        near = trail * _BPS <= reference * terms.collar_bps and bps <= terms.collar_bps
        return APPROVED if near else "price_collar"
    return APPROVED if stop == 0 and trail == 0 and bps == 0 else "stop_price"


def _legs(intent: OrderIntent, terms: Terms) -> str:
    profit, loss, loss_limit = intent.take_profit_nano, intent.stop_loss_nano, intent.stop_loss_limit_nano
    kind, tick = intent.order_class, terms.tick_nano
    if kind == "simple":
        return APPROVED if profit == 0 and loss == 0 and loss_limit == 0 else "legs"
    if not (profit >= 0 and loss >= 0 and loss_limit >= 0 and not profit % tick and not loss % tick):
        return "legs"
    if kind == "bracket":
        wanted = profit > 0 and loss > 0
    elif kind == "oto":
        wanted = (profit > 0) != (loss > 0)
    else:
        wanted = kind == "oco" and profit == 0 and loss > 0 and intent.order_type == "limit"
    if not (wanted and loss_limit % tick == 0 and (loss_limit == 0 or loss > 0)):
        return "legs"
    entry = intent.limit_price_nano or intent.stop_price_nano or terms.reference_nano
    # The legs of an entry that buys sell; an oco is the exit itself: its stop-loss is on its own side.
    up = (intent.side == "buy") is (kind != "oco")
    if not (profit == 0 or (profit > entry if up else profit < entry)):
        return "legs"
    if not (loss == 0 or (loss < entry if up else loss > entry)):
        return "legs"
    if kind == "oco" and not (loss < terms.reference_nano if up else loss > terms.reference_nano):
        return "legs"
    if not (loss_limit == 0 or (loss_limit <= loss if up else loss_limit >= loss)):
        return "legs"
    far = entry * MAX_COLLAR_BPS
    if not (profit == 0 or abs(profit - entry) * _BPS <= far):
        return "price_collar"
    if not (loss == 0 or abs(loss - entry) * _BPS <= far):
        return "price_collar"
    return APPROVED if loss_limit == 0 or abs(loss_limit - entry) * _BPS <= far else "price_collar"


def replacement(intent: OrderIntent, facts: Facts, price_nano: int) -> tuple[str, int, int]:
    """Return the code, how much more than the old order the new one asks for, and the worse price of the two."""
    old = facts.working.get(intent.replaces)
    if old is None or intent.replaces == intent.client_order_id:
        return "replace_unknown", 0, 0
    if intent.replaces in facts.legs:
        return "replace_leg", 0, 0
    if old.symbol != intent.symbol or old.side != intent.side or intent.order_class != "simple":
        return "replace_differs", 0, 0
    more = 0 if old.remaining_nano >= intent.qty_nano else intent.qty_nano - old.remaining_nano
    return APPROVED, more, price_nano if price_nano > old.price_nano else old.price_nano


def deployment(intent: OrderIntent, deployed: Deployed, terms: Terms, unit: int, more_nano: int) -> str:
    """Return ``approved``, or the code of the first limit of its strategy's that the order does not keep."""
    used = deployed.used.get(intent.symbol) or InUse()
    if intent.side == "buy":
        toward = used.position_nano + used.buys_nano + more_nano
        away = used.sells_nano - used.position_nano
    else:
        toward = used.sells_nano - used.position_nano + more_nano
        away = used.position_nano + used.buys_nano
    reduces = toward <= 0
    if deployed.state != "active" and not reduces:
        return "reducing"
    if deployed.symbols and intent.symbol not in deployed.symbols:
        return "strategy_symbol"
    if deployed.venues and terms.venue not in deployed.venues:
        return "strategy_venue"
    if not (unit * intent.qty_nano <= deployed.worth_most):
        return "strategy_notional"
    others = sum(symbol != intent.symbol for symbol, use in deployed.used.items() if use != InUse())
    if not (others < deployed.most_symbols or reduces):
        return "strategy_symbols"
    most, ahead, behind = deployed.most_position_nano, (unit * toward + _UP) // SCALE, (unit * away + _UP) // SCALE
    if not ((ahead <= most and behind <= most) or reduces):
        return "strategy_position"
    if not (deployed.orders_today < deployed.most_orders_today):
        return "strategy_orders_per_day"
    if not (deployed.open_orders < deployed.most_open_orders or intent.replaces != ""):
        return "strategy_open_orders"
    return APPROVED
