"""A client's terms in one symbol, and what a strategy was deployed for, made from every layer. Not where they count."""

from __future__ import annotations

from bus.fixed import SCALE
from bus.messages import Instrument
from risk.book import Holding, Price, is_whole
from risk.facts import Deployed, Resting, Terms
from risk.limits import Limits, StrategyLimits, SymbolLimits
from risk.spec import ClientSpec

__all__ = ["deployed_of", "is_described", "price_terms", "terms_of"]

_NO_MOST = 2**63 - 1
_NO_LIMITS = SymbolLimits()
_BPS = 10_000


def _least(own: int | None, above: int) -> int:
    """Return the tighter of a layer and the one above."""
    return above if own is None else min(own, above)


def is_described(instrument: Instrument) -> bool:
    """Whether an instrument has plain numbers; one that has none is as good as unknown."""
    return is_whole(
        instrument.tick_nano,
        instrument.lot_nano,
        instrument.multiplier,
        instrument.min_qty_nano,
        instrument.max_qty_nano,
        instrument.min_notional_nano,
    )


def terms_of(
    instrument: Instrument, spec: ClientSpec, allowed: frozenset[str], currency: str, held: Holding, resting: Resting
) -> Terms:
    """Return what a client may do in a symbol, without a price yet.

    Args:
        instrument: What the feed says of it.
        spec: The client.
        allowed: The symbols of the client.
        currency: The account currency.
        held: The client's holding, to be read as it changes.
        resting: The desk's best working prices, the same.
    """
    limits, own = spec.limits, spec.symbols.get(instrument.symbol, _NO_LIMITS)
    shorts = "" if limits.allow_short and instrument.shortable else "short_sale"
    return Terms(
        held=held,
        resting=resting,
        barred=_barred(instrument, limits, own, allowed, currency),
        venue=instrument.venue,
        lot_nano=instrument.lot_nano,
        tick_nano=instrument.tick_nano,
        multiplier=instrument.multiplier,
        most_qty_nano=_least(own.max_order_qty_nano, limits.max_order_qty_nano),
        venue_least_nano=instrument.min_qty_nano,
        venue_most_nano=instrument.max_qty_nano or _NO_MOST,
        venue_worth_least=instrument.min_notional_nano * SCALE,
        worth_least=limits.min_order_notional_nano * SCALE,
        worth_most=_least(own.max_order_notional_nano, limits.max_order_notional_nano) * SCALE,
        most_position_nano=_least(own.max_position_notional_nano, limits.max_position_notional_nano),
        collar_bps=_least(own.collar_bps, limits.collar_bps),
        short_most_nano=_least(own.short_available_nano, _NO_MOST),
        shorts=shorts,
        most_orders_today=_least(own.max_orders_per_day, limits.max_orders_per_symbol_per_day),
    )


def _barred(instrument: Instrument, limits: Limits, own: SymbolLimits, allowed: frozenset[str], currency: str) -> str:
    steps = instrument.tick_nano, instrument.lot_nano, instrument.multiplier
    bounds = instrument.min_qty_nano, instrument.max_qty_nano, instrument.min_notional_nano
    if instrument.tradable is not True or min(steps) <= 0 or min(bounds) < 0:
        return "not_tradable"
    if instrument.symbol not in allowed:
        return "symbol_not_allowed"
    if instrument.currency != currency:
        return "currency"
    if limits.venues and instrument.venue not in limits.venues:
        return "venue"
    return "halted" if own.halted is not False else ""


def price_terms(terms: Terms, price: Price | None) -> None:
    """Put the price of the instant into the terms; whether it is too old depends on the order's own instant."""
    if price is None or not (is_whole(price.nano, price.event_time_ns) and price.nano > 0):
        terms.priced, terms.reference_nano, terms.event_time_ns = "no_price", 0, -1
        terms.low_nano = terms.high_nano = terms.market_nano = 0
        return
    nano, bps = price.nano, terms.collar_bps
    terms.priced = "" if price.crossed is False else "crossed_price"
    terms.reference_nano, terms.event_time_ns = nano, price.event_time_ns
    terms.low_nano = -(-nano * (_BPS - bps) // _BPS)
    terms.high_nano = nano * (_BPS + bps) // _BPS
    terms.market_nano = nano + nano * bps // _BPS


def deployed_of(limits: Limits, own: StrategyLimits | None) -> Deployed:
    """Return what a strategy may do: its own limits where they are tighter, else its client's."""
    given = own or StrategyLimits()
    return Deployed(
        limited=own is not None,
        symbols=frozenset(given.symbols),
        venues=frozenset(given.venues),
        most_symbols=_least(given.max_symbols, _NO_MOST),
        worth_most=_least(given.max_order_notional_nano, limits.max_order_notional_nano) * SCALE,
        most_position_nano=_least(given.max_position_notional_nano, limits.max_position_notional_nano),
        most_orders_today=_least(given.max_orders_per_day, limits.max_orders_per_day),
        most_open_orders=_least(given.max_open_orders, limits.max_open_orders),
        used={},
    )
