"""Why the paper venue would not take an order. Not limits of ours: those are the gate's; these are the venue's own."""

from __future__ import annotations

from bus.fixed import from_nano, notional_nano
from bus.messages import Instrument, OrderIntent

__all__ = ["STOPS", "below_min_notional", "refusal"]

STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})
_LIMITS = frozenset({"limit", "stop_limit"})
_AT_ONCE = frozenset({"ioc", "fok"})
_BPS = 10_000


def refusal(
    intent: OrderIntent, instruments: dict[str, Instrument], *, currency: str, done: bool, now_ns: int, held_nano: int
) -> str:
    """Return why the venue would not take an order, or nothing.

    Args:
        intent: The order.
        instruments: What is listed.
        currency: The account's.
        done: Whether the day is.
        now_ns: The time.
        held_nano: The position of its symbol, signed.
    """
    instrument = instruments.get(intent.symbol)
    if instrument is None:
        return f"unknown_symbol: {intent.symbol} is not listed; allowed are {', '.join(sorted(instruments))}"
    if done:
        return "market_closed: the day is done; send the order on another day"
    if not instrument.tradable:
        return f"not_tradable: {intent.symbol} can be watched but not traded; choose a tradable symbol"
    if instrument.currency != currency:
        return f"currency: {intent.symbol} is quoted in {instrument.currency}; allowed is {currency}"
    return (
        _bad_quantity(intent, instrument)
        or _bad_prices(intent, instrument.tick_nano)
        or _bad_time(intent, now_ns)
        or _not_shortable(intent, instrument, held_nano)
        or _small(intent, instrument)
    )


def below_min_notional(instrument: Instrument, price_nano: int, qty_nano: int) -> str:
    """Return why an order of that worth is too small for the venue, or nothing."""
    worth, least = notional_nano(price_nano, qty_nano, instrument.multiplier), instrument.min_notional_nano
    if worth >= least:
        return ""
    return f"min_notional: the order is worth {from_nano(worth)}, the venue takes {from_nano(least)} and more; buy more"


def _bad_quantity(intent: OrderIntent, instrument: Instrument) -> str:
    qty, lot = intent.qty_nano, instrument.lot_nano
    if qty <= 0 or qty % lot:
        return f"bad_quantity: {from_nano(qty)} is no positive multiple of the lot {from_nano(lot)}"
    if qty < instrument.min_qty_nano:
        return (
            f"bad_quantity: {from_nano(qty)} is less than the venue's {from_nano(instrument.min_qty_nano)}; send more"
        )
    if 0 < instrument.max_qty_nano < qty:
        return (
            f"bad_quantity: {from_nano(qty)} is more than the venue's {from_nano(instrument.max_qty_nano)}; send less"
        )
    return ""


def _bad_prices(intent: OrderIntent, tick: int) -> str:
    kind, limit, stop = intent.order_type, intent.limit_price_nano, intent.stop_price_nano
    if kind in _LIMITS and (limit <= 0 or limit % tick):
        return f"bad_price: a limit of {from_nano(limit)} is no positive multiple of the tick {from_nano(tick)}"
    if kind not in _LIMITS and limit != 0:
        return f"bad_price: a {kind} order carries no limit; give 0 instead of {from_nano(limit)}"
    if kind in ("stop", "stop_limit"):
        if stop <= 0 or stop % tick:
            return f"bad_price: a stop of {from_nano(stop)} is no positive multiple of the tick {from_nano(tick)}"
    elif stop != 0:
        return f"bad_price: a {kind} order carries no stop price; give 0 instead of {from_nano(stop)}"
    trail, bps = intent.trail_nano, intent.trail_bps
    if kind != "trailing_stop":
        return f"bad_price: a {kind} order trails nothing; give no trail" if trail or bps else ""
    if (trail > 0) == (bps > 0) or trail < 0 or trail % tick or not 0 <= bps < _BPS:
        return (
            f"bad_price: a trail of {from_nano(trail)} and {bps} basis points; allowed is one of the two, a positive "
            f"multiple of the tick {from_nano(tick)} or 1 to {_BPS - 1} basis points"
        )
    return ""


def _bad_time(intent: OrderIntent, now_ns: int) -> str:
    tif, ends = intent.time_in_force, intent.expires_ns
    if tif in _AT_ONCE and intent.order_type in STOPS:
        return f"bad_time_in_force: a {intent.order_type} order waits, so it cannot be {tif}; allowed: day, gtc, gtd"
    if tif == "gtd" and ends <= now_ns:
        return "bad_expiry: a gtd order ends after now; give a later expiry"
    if tif != "gtd" and ends != 0:
        return f"bad_expiry: a {tif} order has no expiry of its own; give 0, or gtd"
    return ""


def _not_shortable(intent: OrderIntent, instrument: Instrument, held_nano: int) -> str:
    if intent.side == "buy" or instrument.shortable or intent.qty_nano <= max(held_nano, 0):
        return ""
    return (
        f"not_shortable: nobody lends {intent.symbol}; {from_nano(max(held_nano, 0))} is held and can be sold, "
        f"{from_nano(intent.qty_nano)} is more: sell less"
    )


def _small(intent: OrderIntent, instrument: Instrument) -> str:
    """The venue's least notional, where a price of the order's own tells it before it meets the market."""
    price = intent.limit_price_nano or intent.stop_price_nano
    return below_min_notional(instrument, price, intent.qty_nano) if price and instrument.min_notional_nano else ""
