"""The fill model as pure functions on exact integers: what a bar would have done to an order.

Not a simulation of a queue: it knows bars and quotes only, and where they leave a doubt it decides against the order.
Conventions: an order arrives ``latency_ns`` after it was sent and meets no bar that opened earlier; a market order
takes the opening price of the bar it meets, at the ask or bid of the quote of the same interval where there is one,
else at half the assumed spread from the open, plus slippage, rounded to the tick against the order; a limit order
trades only when the price goes *through* its limit, at the limit, or at the opening price when that is better by
a gap; no bar gives one client more than ``participation_ppm`` of its volume; where the venue reports no volume (FX,
CFD) there is no such cap, because there is nothing to take a share of.
"""

from __future__ import annotations

from bus.fixed import SCALE, round_to_step
from bus.messages import Bar, Instrument, Quote, Side
from execution.spec import PPM, FeeSchedule, FillModelSpec

__all__ = ["capacity_nano", "fee_total_nano", "limit_price_nano", "same_interval", "taking_price_nano"]


def same_interval(bar: Bar, quote: Quote) -> bool:
    """Return whether a quote describes the very interval of a bar."""
    return quote.open_time_ns == bar.open_time_ns and quote.event_time_ns == bar.event_time_ns


def taking_price_nano(side: Side, bar: Bar, quote: Quote | None, tick_nano: int, model: FillModelSpec) -> int:
    """Return the price of an order that takes the market at a bar's open.

    Args:
        side: The order's side.
        bar: The bar that the order meets.
        quote: The quote of the same interval, if there is one.
        tick_nano: The price grid.
        model: The spread and slippage to assume.

    Returns:
        A multiple of the tick, rounded against the order and never better than the base price; 0 or less when there
        is no price to trade at.
    """
    base, ppm = bar.open_nano, model.half_spread_ppm + model.slippage_ppm
    if quote is not None:
        quoted = quote.ask_open_nano if side == "buy" else quote.bid_open_nano
        if quoted > 0:
            base, ppm = quoted, model.slippage_ppm
    if side == "buy":
        return -(-base * (PPM + ppm) // (PPM * tick_nano)) * tick_nano
    return base * (PPM - ppm) // (PPM * tick_nano) * tick_nano


def limit_price_nano(side: Side, limit_nano: int, bar: Bar, taking_nano: int) -> int:
    """Return the price of a limit order against a bar, 0 when it does not trade.

    Args:
        side: The order's side.
        limit_nano: Its limit.
        bar: The bar that the order meets.
        taking_nano: What taking the open would cost, from ``taking_price_nano``.

    Returns:
        The opening price where the bar opens beyond the limit, else the limit where the bar trades through it; a
        touch is not a trade, because others were in the queue first.
    """
    if side == "buy":
        return min(limit_nano, taking_nano) if bar.low_nano < limit_nano else 0
    return max(limit_nano, taking_nano) if bar.high_nano > limit_nano else 0


def capacity_nano(bar: Bar, instrument: Instrument, model: FillModelSpec) -> int | None:
    """Return how much of a bar one client may trade, on the lot grid; None where the venue reports no volume."""
    if not instrument.has_volume:
        return None
    return round_to_step(bar.volume_nano * model.participation_ppm // PPM, instrument.lot_nano)


def fee_total_nano(instrument: Instrument, qty_nano: int, notional_nano: int, fees: FeeSchedule) -> int:
    """Return what an order pays for everything it has filled so far, rounded up.

    The fee of one fill is this total less what earlier fills of the order were charged, so that a minimum per order
    is paid once however many fills it takes.

    Args:
        instrument: What is traded.
        qty_nano: The filled quantity.
        notional_nano: The filled notional, positive.
        fees: The schedule.

    Returns:
        The fee in the account currency.
    """
    match instrument.kind:
        case "equity":
            per_share = _up(qty_nano * fees.equity_per_share_nano, SCALE)
            return min(max(per_share, fees.equity_min_nano), _up(notional_nano * fees.equity_max_ppm, PPM))
        case "crypto":
            return _up(notional_nano * fees.crypto_ppm, PPM)
        case "fx":
            return _up(notional_nano * fees.fx_ppm, PPM)
        case "future":
            return _up(qty_nano * fees.future_per_contract_nano, SCALE)
        case "cfd" | "index":
            return _up(notional_nano * fees.cfd_ppm, PPM)


def _up(value: int, divisor: int) -> int:
    return -(-value // divisor)
