"""What tools ask of the gate beside verdicts: its limits in words. Not a way to loosen one.

What is used is told from the gate's own book. Where that cannot be brought up to date, it is *not known now*.
"""

from __future__ import annotations

from decimal import Decimal

from bus.clock import NS
from bus.errors import BusError
from bus.fixed import from_nano
from bus.messages import LimitLine, RiskLimits
from risk import ceilings
from risk.seat import Seat
from risk.sight import Sight
from risk.spec import GateSpec
from risk.state import ClientState

__all__ = ["limits_in_words"]

_UNKNOWN = "not known now"
_MONEY = "{money}"

_LINES: tuple[tuple[str, int, str], ...] = (
    ("max_order_qty_nano", ceilings.MAX_ORDER_QTY_NANO, "units an order"),
    ("max_order_notional_nano", ceilings.MAX_ORDER_NOTIONAL_NANO, _MONEY),
    ("max_position_notional_nano", ceilings.MAX_POSITION_NOTIONAL_NANO, "{money} a symbol, with all working orders"),
    ("max_gross_nano", ceilings.MAX_GROSS_NANO, "{money} with all working orders"),
    ("max_net_nano", ceilings.MAX_NET_NANO, "{money} net, with all working orders"),
    ("max_leverage_bps", ceilings.MAX_LEVERAGE_BPS, "basis points of the equity, gross"),
    ("max_concentration_bps", ceilings.MAX_CONCENTRATION_BPS, "basis points of the equity, one symbol"),
    ("collar_bps", ceilings.MAX_COLLAR_BPS, "basis points from the last price"),
    ("max_daily_loss_nano", ceilings.MAX_DAILY_LOSS_NANO, "{money} a day"),
    ("max_rolling_loss_nano", ceilings.MAX_ROLLING_LOSS_NANO, "{money} from the best of the window"),
    ("max_drawdown_nano", ceilings.MAX_DRAWDOWN_NANO, "{money} from the best ever"),
    ("max_price_age_ns", ceilings.MAX_PRICE_AGE_NS, "seconds"),
    ("max_orders_per_minute", ceilings.MAX_ORDERS_PER_MINUTE, "approvals a minute"),
    ("max_messages_per_minute", ceilings.MAX_MESSAGES_PER_MINUTE, "orders and cancels a minute"),
    ("max_orders_per_day", ceilings.MAX_ORDERS_PER_DAY, "approvals a day"),
    ("max_cancels_per_day", ceilings.MAX_CANCELS_PER_DAY, "cancels a day, then no new orders"),
    ("max_orders_per_symbol_per_day", ceilings.MAX_ORDERS_PER_SYMBOL_PER_DAY, "approvals a day, one symbol"),
    ("max_open_orders", ceilings.MAX_OPEN_ORDERS, "orders"),
    ("max_repeats", ceilings.MAX_REPEATS, "equal orders in the repeat window, then a person must look"),
    ("duplicate_window_ns", 0, "seconds between equal orders"),
    ("ticket_lifetime_ns", ceilings.MAX_TICKET_LIFETIME_NS, "seconds"),
)
"""Name, ceiling (0 for none) and unit."""


def limits_in_words(spec: GateSpec, seat: Seat, sight: Sight) -> RiskLimits:
    """Return every limit of a client with what is used of it.

    Args:
        spec: The gate's.
        seat: The client.
        sight: The clock.
    """
    try:
        sight.wake()
        known = True
    except BusError:
        known = False
    limits, state, money = seat.spec.limits, seat.state, spec.currency
    used = _used(state)
    lines: list[LimitLine] = []
    for name, ceiling, unit in _LINES:
        told = used.get(name, "") if known or name not in used else _UNKNOWN
        most = _number(name, ceiling) if ceiling else ""
        lines.append(LimitLine(name, _number(name, getattr(limits, name)), told, most, unit.replace(_MONEY, money)))
        if name == "max_gross_nano":
            equity = _UNKNOWN if state.book.equity_nano is None or not known else _text(state.book.equity_nano)
            lines.append(LimitLine("buying_power", equity, told, "", money))
    symbols = state.allowed or frozenset(limits.symbols)
    return RiskLimits(seat.name, seat.version, max(sight.now_ns, 0), tuple(lines), tuple(sorted(symbols)))


def _used(state: ClientState) -> dict[str, str]:
    facts, book = state.facts, state.book
    equity = facts.equity_nano
    loss = _lost(facts.day_start_nano, equity)
    return {
        "max_position_notional_nano": _largest(state),
        "max_gross_nano": _text(book.gross_nano),
        "max_net_nano": _text(max(book.up_nano, book.down_nano, 0)),
        "max_leverage_bps": str(-(-book.gross_nano * 10_000 // equity)) if equity else _UNKNOWN,
        "max_daily_loss_nano": f"{loss} (reached today: only reductions pass)" if facts.halted else loss,
        "max_rolling_loss_nano": _lost(facts.recent_peak_nano, equity),
        "max_drawdown_nano": _lost(facts.peak_nano, equity),
        "max_orders_per_minute": str(facts.recent_orders),
        "max_messages_per_minute": str(facts.recent_messages),
        "max_orders_per_day": str(facts.orders_today),
        "max_cancels_per_day": str(facts.cancels_today),
        "max_open_orders": str(facts.open_orders),
    }


def _lost(best_nano: int, equity_nano: int | None) -> str:
    return _UNKNOWN if equity_nano is None else _text(max(0, best_nano - equity_nano))


def _largest(state: ClientState) -> str:
    """Return the symbol whose worst case is worth most, and how much."""
    worst = [(held.gross_nano, symbol) for symbol, held in sorted(state.book.holdings.items())]
    most = max(worst, default=(0, ""))
    return f"{_text(most[0])} ({most[1]})" if most[0] else "0"


def _number(name: str, value: int) -> str:
    if name.endswith("_nano"):
        return _text(value)
    return f"{Decimal(value) / NS:f}" if name.endswith("_ns") else str(value)


def _text(nano: int) -> str:
    return f"{from_nano(nano):f}"
