"""Every control, as one column of conditions that must hold; the first that does not names the denial. No I/O.

Not where verdicts are written or tickets signed (``risk.gate``), and not their words (``risk.words``). Comparisons are
affirmative, so that a missing value or one that is no number is a denial; what raises is one too (law 3).
"""

from __future__ import annotations

from bus.fixed import SCALE
from bus.messages import OrderIntent
from risk._special import deployment, priced_at, replacement, special
from risk.facts import ANY, Facts, content
from risk.reasons import APPROVED, REASONS

__all__ = ["judge", "priced_at"]

_UP = SCALE - 1
_RIGHT_AWAY = frozenset({"market", "limit"})
_ROOM = frozenset({"open_orders", "desk_open_orders"})


def judge(intent: OrderIntent, cycle: int, facts: Facts) -> str:  # noqa: C901 - one column of controls, to be read as one
    """Return ``approved``, or the code of the first control that does not hold. Never raises (law 3).

    Args:
        intent: The order.
        cycle: The cycle of the request it came in.
        facts: What its client is judged by now.
    """
    try:
        # Whose it is, and when.
        if intent.client != facts.client or intent.run_id != facts.run_id:
            return "wrong_client"
        if intent.decided_ns != facts.now_ns or intent.cycle != cycle:
            return "clock_mismatch"
        if intent.client_order_id != facts.order_id(cycle, intent.index):
            return "order_id_not_derived"
        if facts.closed != "":
            return _known(facts.closed)
        deployed = facts.strategies.get(intent.strategy)
        if deployed is not None and deployed.limited is False:
            deployed = None
        if deployed is not None and deployed.state != "active" and deployed.state != "reducing":
            return "kill_switch"

        # What it is.
        terms = facts.terms.get(intent.symbol)
        if terms is None:
            return "unknown_symbol"
        if terms.barred != "":
            return _known(terms.barred)
        order_type, qty, limit = intent.order_type, intent.qty_nano, intent.limit_price_nano
        if order_type not in facts.order_types:
            return "order_type"
        if intent.time_in_force not in facts.times_in_force:
            return "time_in_force"
        if intent.order_class not in facts.order_classes:
            return "order_class"
        if not (0 < qty <= terms.most_qty_nano and qty % terms.lot_nano == 0):
            return "quantity"
        if not (terms.venue_least_nano <= qty <= terms.venue_most_nano):
            return "venue_quantity"
        if order_type == "market" or order_type == "stop" or order_type == "trailing_stop":
            if limit != 0:
                return "limit_price"
        elif not (limit > 0 and limit % terms.tick_nano == 0):
            return "limit_price"

        # What it is worth.
        if terms.priced != "":
            return _known(terms.priced)
        reference = terms.reference_nano
        if not (0 <= facts.now_ns - terms.event_time_ns <= facts.limits.max_price_age_ns):
            return "stale_price"
        if limit != 0 and not (terms.low_nano <= limit <= terms.high_nano):
            return "price_collar"
        extras = (
            intent.stop_price_nano
            | intent.trail_nano
            | intent.trail_bps
            | intent.expires_ns
            | intent.take_profit_nano
            | intent.stop_loss_nano
            | intent.stop_loss_limit_nano
        )
        if not (extras | limit | qty | reference < ANY and intent.strategy.__class__ is str and intent.parent_id == ""):
            return "order_form"
        plain = (
            extras == 0
            and order_type in _RIGHT_AWAY
            and intent.order_class == "simple"
            and intent.time_in_force != "gtd"
        )
        if plain:
            price = terms.market_nano if limit == 0 else limit if limit > reference else reference
        else:
            code = special(intent, terms, facts.now_ns)
            if code != APPROVED:
                return code
            price = priced_at(intent, terms)
        more = qty
        if intent.replaces != "":
            code, more, price = replacement(intent, facts, price)
            if code != APPROVED:
                return code
        unit = price * terms.multiplier
        worth = unit * qty
        if not (0 < worth <= terms.worth_most):
            return "order_notional"
        if not (terms.venue_worth_least <= worth):
            return "venue_notional"

        # What it leads to, if everything on its side fills and nothing on the other; and the other way round.
        held = terms.held
        if intent.side == "buy":
            toward, away = held.position_nano + held.buys_nano + more, held.sells_nano - held.position_nano
            net, crosses = (
                facts.up_nano - held.up_nano,
                order_type in _RIGHT_AWAY and not ((limit or ANY) < terms.resting.best_sell_nano),
            )
            desk_net = facts.desk.up_nano - held.up_nano
            short = 0
        elif intent.side == "sell":
            toward, away = held.sells_nano - held.position_nano + more, held.position_nano + held.buys_nano
            net, crosses = (
                facts.down_nano - held.down_nano,
                order_type in _RIGHT_AWAY and not (limit > terms.resting.best_buy_nano),
            )
            desk_net = facts.desk.down_nano - held.down_nano
            short = toward
        else:
            return "order_form"
        reduces = toward <= 0
        if intent.reduce_only is not False and not reduces:
            return "reduce_only"
        if facts.restricted != "" and not reduces:
            return _known(facts.restricted)
        if not (terms.worth_least <= worth or reduces):
            return "order_too_small"
        if not (short <= 0):
            if terms.shorts != "":
                return _known(terms.shorts)
            if not (short <= terms.short_most_nano):
                return "short_available"
        if crosses:
            return "self_trade"
        worst = (unit * (toward if toward > away else away) + _UP) // SCALE
        if not (worst <= terms.most_position_nano or reduces):
            return "position_limit"
        limits, desk = facts.limits, facts.desk
        gross = facts.gross_nano - held.gross_nano + worst
        if not (gross <= limits.max_gross_nano or reduces):
            return "gross_limit"
        if not (gross <= facts.margin_nano or reduces):
            return "buying_power"
        if not (gross <= facts.leverage_nano or reduces):
            return "leverage"
        if not (worst <= facts.concentration_nano or reduces):
            return "concentration"
        ahead = worst if toward >= away else (unit * toward + _UP) // SCALE
        if not (net + ahead <= limits.max_net_nano or reduces):
            return "net_limit"
        if not (desk.gross_nano - held.gross_nano + worst <= desk.limits.max_gross_nano or reduces):
            return "desk_gross_limit"
        if not (desk_net + ahead <= desk.limits.max_net_nano or reduces):
            return "desk_net_limit"
        if deployed is not None:
            code = deployment(intent, deployed, terms, unit, more)
            if code != APPROVED:
                return code

        # How much there is of it already.
        if facts.paced != "" and not (intent.replaces != "" and facts.paced in _ROOM):
            return _known(facts.paced)
        if not (terms.orders_today < terms.most_orders_today):
            return "symbol_orders_per_day"
        alone = plain and intent.replaces == ""
        twin = facts.twins.get((intent.symbol, intent.side, order_type, qty, limit) if alone else content(intent))
        if twin is not None:
            if not (facts.now_ns - twin.last_ns >= limits.duplicate_window_ns):
                return "duplicate"
            since_ns = facts.now_ns - limits.repeat_window_ns
            if not (sum(ns > since_ns for ns in twin.by_strategy.get(intent.strategy, ())) < limits.max_repeats):
                return "repeated_executions"
    except Exception:
        return "check_failed"
    return APPROVED


def _known(code: str) -> str:
    """Return a code that was computed beforehand, if it is one."""
    return code if code in REASONS and code != APPROVED else "check_failed"
