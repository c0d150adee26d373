"""What no order has to be seen for: why nothing passes, why only reductions do, why no further order does.

Computed when something changes, so that ``risk.checks`` reads the answer in one comparison. Columns like it: the first
condition that does not hold names the denial, and what raises is one.
"""

from __future__ import annotations

from risk.facts import DeskFacts, Facts

__all__ = ["closed", "desk_restricted", "paced", "powers", "restricted"]

_OPEN = frozenset({"active", "reducing"})


def closed(facts: Facts) -> str:
    """Return why nothing of a client passes, or nothing."""
    try:
        if not (facts.now_ns >= 0):
            return "clock_mismatch"
        if facts.state not in _OPEN or facts.desk.state not in _OPEN:
            return "kill_switch"
        if facts.session_open is not True:
            return "session_closed"
    except Exception:
        return "check_failed"
    return ""


def restricted(facts: Facts) -> str:
    """Return why only reductions of a client pass, or nothing."""
    try:
        equity, limits = facts.equity_nano, facts.limits
        if equity.__class__ is not int or equity is None:
            return "equity_unknown"
        if facts.state != "active" or facts.desk.state != "active":
            return "reducing"
        if facts.halted is not False or not (facts.day_start_nano - equity < limits.max_daily_loss_nano):
            return "daily_loss"
        if not (facts.recent_peak_nano - equity < limits.max_rolling_loss_nano):
            return "rolling_loss"
        if not (facts.peak_nano - equity < limits.max_drawdown_nano):
            return "drawdown"
        if facts.desk.restricted != "":
            return str(facts.desk.restricted) or "check_failed"
    except Exception:
        return "check_failed"
    return ""


def desk_restricted(desk: DeskFacts) -> str:
    """Return why only reductions of any client pass, or nothing."""
    try:
        loss = desk.day_loss_nano
        if loss.__class__ is not int or loss is None:
            return "equity_unknown"
        if desk.halted is not False or not (loss < desk.limits.max_daily_loss_nano):
            return "desk_daily_loss"
    except Exception:
        return "check_failed"
    return ""


def paced(facts: Facts) -> str:
    """Return why no further order of a client passes now, or nothing; room for open orders comes last."""
    try:
        limits, desk = facts.limits, facts.desk
        if not (facts.recent_orders < limits.max_orders_per_minute):
            return "order_rate"
        if not (facts.recent_messages < limits.max_messages_per_minute):
            return "message_rate"
        if not (desk.recent_messages < desk.limits.max_messages_per_minute):
            return "desk_message_rate"
        if not (facts.orders_today < limits.max_orders_per_day):
            return "orders_per_day"
        if not (facts.cancels_today <= limits.max_cancels_per_day):
            return "cancels_per_day"
        if not (facts.open_orders < limits.max_open_orders):
            return "open_orders"
        if not (desk.open_orders < desk.limits.max_open_orders):
            return "desk_open_orders"
    except Exception:
        return "check_failed"
    return ""


def powers(facts: Facts) -> tuple[int, int, int]:
    """Return the gross that the margin, the leverage and the worth of one symbol that the concentration allow."""
    equity, limits = facts.equity_nano, facts.limits
    if equity is None or not (equity > 0):
        return 0, 0, 0
    return (
        equity * 10_000 // limits.margin_bps,
        equity * limits.max_leverage_bps // 10_000,
        equity * limits.max_concentration_bps // 10_000,
    )
