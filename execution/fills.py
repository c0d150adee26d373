"""The fill model as pure functions on exact integers: what a bar would have done to an order.

Not a simulation of a queue: it knows bars and quotes only, and where they leave a doubt it decides against the order.
Conventions: an order arrives ``latency_ns`` after it was sent and meets no bar that opened earlier; a market order
takes the opening price of the bar it meets, at the ask or bid of the quote of the same interval where there is one,
else at half the assumed spread from the open, plus slippage, rounded to the tick against the order; a limit order
trades only when the price goes *through* its limit, at the limit, or at the opening price when that is better by
a gap; no bar gives one client more than ``participation_ppm`` of its volume; where the venue reports no volume (FX,
CFD) there is no such cap, because there is nothing to take a share of.

A stop is triggered by a touch. One that the bar opens beyond fills at that open; one that is reached inside the bar
fills at its level, half the assumed spread and the slippage worse. What is left of it goes on as a market order. A
stop-limit that is reached inside a bar fills in that bar only when the bar also *ends* better than its limit, and then
at the limit; one that the bar opens beyond is a limit order from the open on. A trailing stop follows the best price
of earlier bars; what the bar's own high and low did to it is taken in the worse of the two orders: where the bar could
have moved the stop and then met it, it has, at the worst price of the bar that is possible.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from bus.fixed import SCALE, round_to_step
from bus.messages import Bar, Instrument, Quote, Side
from execution.spec import PPM, FeeSchedule, FillModelSpec

__all__ = [
    "Hit",
    "borrow_nano",
    "capacity_nano",
    "fee_total_nano",
    "limit_price_nano",
    "same_interval",
    "stop_hit",
    "stop_limit_price_nano",
    "stop_price_nano",
    "taking_price_nano",
    "trail_level_nano",
    "trailing_hit",
]

Hit: TypeAlias = Literal["", "open", "inside"]
"""Where in a bar a stop is triggered: nowhere, at the open, or somewhere inside."""

_BPS = 10_000
_DAY_NS = 86_400_000_000_000
_YEAR_DAYS = 360


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
    return _worse(side, base, ppm, tick_nano)


def _worse(side: Side, base_nano: int, ppm: int, tick_nano: int) -> int:
    if side == "buy":
        return -(-base_nano * (PPM + ppm) // (PPM * tick_nano)) * tick_nano
    return base_nano * (PPM - ppm) // (PPM * tick_nano) * tick_nano


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


def stop_hit(side: Side, stop_nano: int, bar: Bar) -> Hit:
    """Return where a bar triggers a stop; a touch is enough."""
    if side == "buy":
        return "open" if bar.open_nano >= stop_nano else "inside" if bar.high_nano >= stop_nano else ""
    return "open" if bar.open_nano <= stop_nano else "inside" if bar.low_nano <= stop_nano else ""


def stop_price_nano(
    side: Side, hit: Hit, level_nano: int, taking_nano: int, tick_nano: int, model: FillModelSpec
) -> int:
    """Return the price of a stop in the bar that triggers it.

    Args:
        side: The order's side.
        hit: Where it is triggered.
        level_nano: The price at which it is, when inside.
        taking_nano: What taking the open would cost, from ``taking_price_nano``.
        tick_nano: The price grid.
        model: The spread and slippage to assume.

    Returns:
        The taking price of the open that gapped beyond it, else the level and what is assumed on top.
    """
    if hit == "open":
        return taking_nano
    return _worse(side, level_nano, model.half_spread_ppm + model.slippage_ppm, tick_nano)


def stop_limit_price_nano(side: Side, hit: Hit, limit_nano: int, bar: Bar, taking_nano: int) -> int:
    """Return the price of a stop-limit in the bar that triggers it, 0 when it does not trade in it.

    Reached inside the bar, it is not known what came after but the close: only a close better than the limit proves
    that there was something to trade with.
    """
    if hit == "open":
        return limit_price_nano(side, limit_nano, bar, taking_nano)
    proven = bar.close_nano < limit_nano if side == "buy" else bar.close_nano > limit_nano
    return limit_nano if proven else 0


def trail_level_nano(side: Side, water_nano: int, trail_nano: int, trail_bps: int) -> int:
    """Return where a trailing stop stands.

    Args:
        side: The order's side; a sell follows below the highest price, a buy above the lowest.
        water_nano: The best price so far.
        trail_nano: The distance in price, or 0.
        trail_bps: The distance in basis points of the best price, or 0; rounded away from it.
    """
    distance = trail_nano or _up(water_nano * trail_bps, _BPS)
    return water_nano + distance if side == "buy" else water_nano - distance


def trailing_hit(side: Side, water_nano: int, trail_nano: int, trail_bps: int, bar: Bar) -> tuple[Hit, int, int]:
    """Return what a bar does to a trailing stop.

    Args:
        side: The order's side.
        water_nano: The best price before this bar; 0 when this is the first, whose open it follows from.
        trail_nano: The distance in price, or 0.
        trail_bps: The distance in basis points, or 0.
        bar: The bar.

    Returns:
        Where it is triggered, the level that it is triggered at, and the best price after the bar.
    """
    before = water_nano or bar.open_nano
    level = trail_level_nano(side, before, trail_nano, trail_bps)
    hit = stop_hit(side, level, bar)
    if hit:
        return hit, level, before
    if side == "buy":
        water = min(before, bar.low_nano)
        # The low came first, perhaps, and the high met what it had moved: at the high, at worst.
        if bar.high_nano >= trail_level_nano(side, water, trail_nano, trail_bps):
            return "inside", bar.high_nano, water
        return "", 0, water
    water = max(before, bar.high_nano)
    if bar.low_nano <= trail_level_nano(side, water, trail_nano, trail_bps):
        return "inside", bar.low_nano, water
    return "", 0, water


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


def borrow_nano(instrument: Instrument, notional_nano: int, sold_ns: int, bought_ns: int, fees: FeeSchedule) -> int:
    """Return what lending a share cost from its sale until it was bought back, rounded up.

    Only equities are lent. A night counts, a day does not: what is bought back on the day of its sale (UTC) was never
    borrowed over a settlement.

    Args:
        instrument: What was sold short.
        notional_nano: What the sale brought in, positive.
        sold_ns: When it was sold.
        bought_ns: When it was bought back.
        fees: The schedule.
    """
    nights = bought_ns // _DAY_NS - sold_ns // _DAY_NS
    if instrument.kind != "equity" or nights <= 0:
        return 0
    return _up(notional_nano * fees.equity_borrow_ppm_year * nights, PPM * _YEAR_DAYS)


def _up(value: int, divisor: int) -> int:
    return -(-value // divisor)
