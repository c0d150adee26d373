"""A denial in words, made only when there is one: what was wrong, what is allowed, what to do next (law 12).

Not a control: it reads the same facts that ``risk.checks`` judged by and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bus.clock import NS, iso
from bus.messages import OrderIntent
from risk._said import Said, text
from risk.facts import ANY, Facts
from risk.reasons import REASONS

__all__ = ["explained"]

_Say: TypeAlias = Callable[["Said"], str]


def explained(code: str, intent: OrderIntent, facts: Facts) -> str:
    """Return the text of a denial: never an error, whatever the intent carries.

    Args:
        code: From ``judge``.
        intent: What was judged.
        facts: What it was judged by, unchanged since.
    """
    say = _WORDS.get(code)
    if say is not None:
        try:
            return say(Said(intent, facts))
        except Exception:
            return f"{_sentence(code)}; ask with plain values"
    return f"{_sentence(code)}; nothing passes it"


def _sentence(code: str) -> str:
    sentence = REASONS.get(code, "a check failed").rstrip(".")
    return sentence[0].lower() + sentence[1:]


def _over(what: str, value: int, most: int, money: str, advice: str) -> str:
    return f"{what} {text(value)} {money}; at most {text(most)}: {advice}"


def _clock(said: Said) -> str:
    return f"the intent was not decided at {iso(max(said.facts.now_ns, 0))} in the cycle of its request; decide again"


def _not_tradable(said: Said) -> str:
    return f"{said.symbol} cannot be traded; {said.choice()}"


def _quantity(said: Said) -> str:
    qty, terms = said.intent.qty_nano, said.terms
    if qty > terms.most_qty_nano:
        return f"quantity {text(qty)} is above the limit; at most {text(terms.most_qty_nano)}: ask for less"
    return f"quantity {text(qty)} is not allowed; it must be above 0 in steps of {text(terms.lot_nano)}: round it"


def _venue_quantity(said: Said) -> str:
    least, most = text(said.terms.venue_least_nano), said.terms.venue_most_nano
    above = f" to {text(most)}" if most < ANY - 1 else " or more"
    return f"quantity {text(said.intent.qty_nano)} is not what the venue takes; it takes {least}{above}: change it"


def _limit_price(said: Said) -> str:
    price, kind = said.intent.limit_price_nano, said.intent.order_type
    if kind not in {"limit", "stop_limit"}:
        return f"a {kind} order has no limit price, this one has {text(price)}; leave it out"
    step = text(said.terms.tick_nano)
    return f"limit price {text(price)} is not allowed; it must be above 0 in steps of {step}: round it"


def _stop_price(said: Said) -> str:
    price, kind = said.intent.stop_price_nano, said.intent.order_type
    if kind not in {"stop", "stop_limit"}:
        return f"a {kind} order has no stop price or trail; leave it out"
    where = "above" if said.intent.side == "buy" else "below"
    return (
        f"stop price {text(price)} is not allowed; it must be {where} the last price "
        f"{text(said.terms.reference_nano)} in steps of {text(said.terms.tick_nano)}, without a trail: change it"
    )


def _trail(said: Said) -> str:
    step = text(said.terms.tick_nano)
    return f"a trailing stop has either a trail in steps of {step} or one in basis points, and no stop price: give one"


def _expiry(said: Said) -> str:
    if said.intent.time_in_force != "gtd":
        return f"a {said.intent.time_in_force} order has no expiry; leave it out, or ask for gtd"
    return f"the order would be over before now, {iso(max(said.facts.now_ns, 0))}; give a later expiry"


def _legs(said: Said) -> str:
    buys = said.intent.side == "buy"
    if said.intent.order_class == "simple":
        return "a simple order has no take-profit and no stop-loss; leave them out, or ask for a bracket"
    wanted = {"bracket": "both legs", "oto": "one of the legs", "oco": "a limit price and a stop-loss"}
    sides = "above its entry and a stop-loss below" if buys else "below its entry and a stop-loss above"
    if said.intent.order_class == "oco":
        sides = "at its limit and a stop-loss " + ("above the last price" if buys else "below the last price")
    what = wanted.get(said.intent.order_class, "legs")
    step = text(said.terms.tick_nano)
    return f"a {said.intent.order_class} has {what}: a take-profit {sides}, in steps of {step}; change them"


def _stale(said: Said) -> str:
    age_ns, most = said.facts.now_ns - said.terms.event_time_ns, said.limits.max_price_age_ns // NS
    if age_ns < 0:
        return f"the last price of {said.symbol} is from after the gate's clock; settle the gate, then ask"
    return f"the last price of {said.symbol} is {age_ns // NS:,} s old; at most {most:,} s: wait for a new one"


def _collar(said: Said) -> str:
    terms, intent = said.terms, said.intent
    low, high = text(terms.low_nano), text(terms.high_nano)
    if intent.limit_price_nano and not terms.low_nano <= intent.limit_price_nano <= terms.high_nano:
        limit = text(intent.limit_price_nano)
        return f"limit price {limit} is outside the collar; allowed is {low} to {high}"
    if intent.stop_price_nano and not terms.low_nano <= intent.stop_price_nano <= terms.high_nano:
        stop = text(intent.stop_price_nano)
        return f"stop price {stop} is outside the collar; allowed is {low} to {high}"
    if intent.order_type == "trailing_stop":
        return f"the trail is wider than the collar; at most {terms.collar_bps:,} basis points: make it narrower"
    return "a leg is more than 2,000 basis points from the entry; bring it nearer"


def _loss(said: Said, name: str, since_nano: int, most: int) -> str:
    loss = since_nano - (said.facts.equity_nano or 0)
    return f"{name} is {text(loss)} {said.money} and has reached {text(most)}; only orders that reduce a position pass"


def _daily_loss(said: Said) -> str:
    loss = said.facts.day_start_nano - (said.facts.equity_nano or 0)
    most = text(said.limits.max_daily_loss_nano)
    return (
        f"the day's loss is {text(loss)} {said.money} and has reached {most}; for the rest of the day only orders "
        "that reduce a position pass"
    )


def _short(said: Said) -> str:
    return f"{said.symbol} could be sold {text(said.toward_nano)} short, which is not allowed: sell what is held"


def _short_available(said: Said) -> str:
    short, most = text(said.toward_nano), text(said.terms.short_most_nano)
    return f"{said.symbol} could be sold {short} short; {most} can be borrowed: sell less"


def _self_trade(said: Said) -> str:
    buys, resting = said.intent.side == "buy", said.terms.resting
    other = resting.best_sell_nano if buys else resting.best_buy_nano
    at = f" at {text(other)}" if 0 < other < ANY else ""
    return (
        f"the desk has a working order on the other side{at}, and this one could trade with it; cancel that one first"
        + (f", or stay {'below' if buys else 'above'} it" if at else "")
    )


_WORDS: dict[str, _Say] = {
    "wrong_client": lambda said: (
        f"the intent is of client {said.intent.client[:40]!r}; this gate judges {said.facts.client!r} in its own run"
    ),
    "clock_mismatch": _clock,
    "order_id_not_derived": lambda _: (
        "the client order id must be derived from client, run, cycle and index; use bus.ids.client_order_id"
    ),
    "kill_switch": lambda _: "the kill switch is engaged; a person clears it with `outcry resume`",
    "reducing": lambda said: (
        f"only orders that shrink a position pass now, counting what works; in {said.symbol} "
        f"{text(said.terms.held.position_nano)} is held: reduce that, or wait until a person resumes"
    ),
    "session_closed": lambda _: "the venue's session is closed; wait until it opens",
    "unknown_symbol": lambda said: f"{said.symbol!r} is not served; {said.choice()}",
    "not_tradable": _not_tradable,
    "symbol_not_allowed": lambda said: f"{said.symbol} is not on this client's list; {said.choice()}",
    "currency": lambda said: f"{said.symbol} is quoted in another currency; allowed is {said.money}: {said.choice()}",
    "venue": lambda said: (
        f"{said.symbol} trades at {said.terms.venue!r}; allowed are {', '.join(said.limits.venues)}: {said.choice()}"
    ),
    "halted": lambda said: f"{said.symbol} is halted; {said.choice()}, or wait",
    "order_type": lambda said: (
        f"order type {str(said.intent.order_type)[:20]!r} is not allowed; use {', '.join(said.limits.order_types)}"
    ),
    "time_in_force": lambda said: (
        f"time in force {str(said.intent.time_in_force)[:20]!r} is not allowed; "
        f"use {', '.join(said.limits.times_in_force)}"
    ),
    "order_class": lambda said: (
        f"order class {str(said.intent.order_class)[:20]!r} is not allowed; use {', '.join(said.limits.order_classes)}"
    ),
    "order_form": lambda _: "the order has a value that no order can have; give buy or sell, and plain numbers",
    "quantity": _quantity,
    "venue_quantity": _venue_quantity,
    "limit_price": _limit_price,
    "stop_price": _stop_price,
    "trail": _trail,
    "expiry": _expiry,
    "legs": _legs,
    "no_price": lambda said: f"{said.symbol} has no price yet; wait for its first bar or quote",
    "stale_price": _stale,
    "crossed_price": lambda said: f"the last quote of {said.symbol} has its bid above its ask; wait for the next one",
    "price_collar": _collar,
    "order_notional": lambda said: (
        f"the order is worth up to {said.worth} {said.money}; "
        f"at most {text(said.terms.worth_most // 10**9)}: ask for less"
    ),
    "order_too_small": lambda said: (
        f"the order is worth {said.worth} {said.money}; "
        f"at least {text(said.terms.worth_least // 10**9)}: ask for more, or for nothing"
    ),
    "venue_notional": lambda said: (
        f"the order is worth {said.worth} {said.money}; "
        f"the venue takes {text(said.terms.venue_worth_least // 10**9)} or more: ask for more"
    ),
    "reduce_only": lambda said: (
        f"the order says that it only reduces, but with what works it could pass zero; in {said.symbol} "
        f"{text(said.terms.held.position_nano)} is held: ask for less"
    ),
    "equity_unknown": lambda _: "a held symbol has no price, so the equity is not known; wait for its next price",
    "daily_loss": _daily_loss,
    "rolling_loss": lambda said: _loss(
        said, "the rolling loss", said.facts.recent_peak_nano, said.limits.max_rolling_loss_nano
    ),
    "drawdown": lambda said: _loss(
        said, "the loss from the best equity", said.facts.peak_nano, said.limits.max_drawdown_nano
    ),
    "desk_daily_loss": lambda said: (
        f"all clients together lost {text(said.facts.desk.day_loss_nano or 0)} {said.money} today and reached "
        f"{text(said.facts.desk.limits.max_daily_loss_nano)}; only orders that reduce a position pass"
    ),
    "short_sale": _short,
    "short_available": _short_available,
    "self_trade": _self_trade,
    "position_limit": lambda said: (
        f"{said.symbol} could reach {text(said.worst_nano)} {said.money} with all working orders; "
        f"at most {text(said.terms.most_position_nano)}: ask for less, or wait for fills"
    ),
    "gross_limit": lambda said: _over(
        "gross exposure could reach", said.gross_nano, said.limits.max_gross_nano, said.money, "reduce something first"
    ),
    "buying_power": lambda said: (
        f"gross exposure could reach {text(said.gross_nano)} {said.money}; the equity is "
        f"{text(said.facts.equity_nano or 0)} and margin for {text(said.facts.margin_nano)}: reduce first"
    ),
    "leverage": lambda said: _over(
        "gross exposure could reach", said.gross_nano, said.facts.leverage_nano, said.money, "reduce something first"
    ),
    "concentration": lambda said: _over(
        f"{said.symbol} could reach", said.worst_nano, said.facts.concentration_nano, said.money, "ask for less"
    ),
    "net_limit": lambda said: _over(
        "net exposure could reach", said.net_nano, said.limits.max_net_nano, said.money, "ask for less"
    ),
    "desk_gross_limit": lambda said: _over(
        "gross exposure of all clients could reach",
        said.facts.desk.gross_nano - said.terms.held.gross_nano + said.worst_nano,
        said.facts.desk.limits.max_gross_nano,
        said.money,
        "reduce something first",
    ),
    "desk_net_limit": lambda said: (
        "net exposure of all clients could pass "
        f"{text(said.facts.desk.limits.max_net_nano)} {said.money}, the most there may be: ask for less"
    ),
    "strategy_symbol": lambda said: (
        f"this strategy is for {', '.join(sorted(said.strategy.symbols))}, not for {said.symbol}: choose one of them"
    ),
    "strategy_venue": lambda said: (
        f"this strategy is for venues {', '.join(sorted(said.strategy.venues))}, not for {said.terms.venue!r}: "
        "choose another symbol"
    ),
    "strategy_notional": lambda said: (
        f"the order is worth up to {said.worth} {said.money}; "
        f"at most {text(said.strategy.worth_most // 10**9)} for this strategy: ask for less"
    ),
    "strategy_symbols": lambda said: (
        f"this strategy may be in {said.strategy.most_symbols:,} symbols at once and is; close one of them first"
    ),
    "strategy_position": lambda said: (
        f"this strategy may hold up to {text(said.strategy.most_position_nano)} {said.money} in {said.symbol}, "
        "with all its working orders; ask for less"
    ),
    "strategy_orders_per_day": lambda said: (
        f"this strategy gave {said.strategy.orders_today:,} orders today, at most "
        f"{said.strategy.most_orders_today:,}: wait for the next day"
    ),
    "strategy_open_orders": lambda said: (
        f"{said.strategy.open_orders:,} orders of this strategy are working; at most "
        f"{said.strategy.most_open_orders:,}: wait for them to end"
    ),
    "replace_unknown": lambda said: (
        f"order {said.intent.replaces[:40]!r} does not work, so it cannot be replaced; see which orders are open"
    ),
    "replace_leg": lambda _: "an order of a group cannot be replaced; cancel it and give a new one",
    "replace_differs": lambda _: (
        "a replacement is a simple order of the same symbol and side as the old one; cancel the old one instead"
    ),
    "order_rate": lambda said: (
        f"{said.facts.recent_orders:,} orders in a minute; at most {said.limits.max_orders_per_minute:,}: slow down"
    ),
    "message_rate": lambda said: (
        f"{said.facts.recent_messages:,} messages in a minute; at most {said.limits.max_messages_per_minute:,}: "
        "slow down"
    ),
    "desk_message_rate": lambda said: (
        f"{said.facts.desk.recent_messages:,} messages of all clients in a minute; at most "
        f"{said.facts.desk.limits.max_messages_per_minute:,}: slow down"
    ),
    "orders_per_day": lambda said: (
        f"{said.facts.orders_today:,} orders today; at most {said.limits.max_orders_per_day:,}: wait for the next day"
    ),
    "cancels_per_day": lambda said: (
        f"{said.facts.cancels_today:,} cancels today; after {said.limits.max_cancels_per_day:,} no new orders pass: "
        "wait for the next day"
    ),
    "symbol_orders_per_day": lambda said: (
        f"{said.terms.orders_today:,} orders in {said.symbol} today; at most {said.terms.most_orders_today:,}: "
        "wait for the next day"
    ),
    "open_orders": lambda said: (
        f"{said.facts.open_orders:,} orders are working; at most {said.limits.max_open_orders:,}: wait for them to end"
    ),
    "desk_open_orders": lambda said: (
        f"{said.facts.desk.open_orders:,} orders of all clients are working; at most "
        f"{said.facts.desk.limits.max_open_orders:,}: wait for them to end"
    ),
    "duplicate": lambda said: (
        f"an order of this content was approved less than {said.limits.duplicate_window_ns // NS:,} s ago; "
        "wait, or change it"
    ),
    "repeated_executions": lambda said: (
        f"the strategy did this {said.limits.max_repeats:,} times in {said.limits.repeat_window_ns // NS:,} s; "
        "it is halted until a person clears it with `outcry resume`"
    ),
}
