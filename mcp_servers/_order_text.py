"""Orders and positions written out: one line each for a model, one record each for a program. Not a place of facts."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from bus.clock import NS, iso
from bus.fixed import SCALE, notional_nano
from bus.messages import Instrument, OrderIntent, OrderState, Position
from mcp_servers._fence import clean
from mcp_servers._order_ids import KEY_PREFIX
from mcp_servers._order_numbers import plain
from mcp_servers._times import local_iso, zone_of

__all__ = ["ORDER_COLUMNS", "key_of", "money", "order_line", "order_record", "order_words", "position_record"]

ORDER_COLUMNS = "id,symbol,side,type,tif,qty,limit,stop,status,filled,avg_price,fees,sent,key,of,reason"
_CENT = SCALE // 100
_JOURNALED = re.compile(r"^cancel(?:_all)?(?: oo-\S+)? tk-\S+: ")


def money(nano: int) -> str:
    """Return an amount rounded to cents, half away from zero, for reading."""
    cents = (2 * abs(nano) + _CENT) // (2 * _CENT)
    return f"{'-' if nano < 0 and cents else ''}{cents // 100:,}.{cents % 100:02d}"


def key_of(reason: str) -> str:
    """Return the caller's own key that an intent carries; empty where there is none."""
    first = reason.split(" ", 1)[0]
    return first.removeprefix(KEY_PREFIX) if first.startswith(KEY_PREFIX) else ""


def order_words(intent: OrderIntent) -> str:
    """Return an order in words: ``buy 10 ACME limit 100.5 day``, with its legs and what it replaces."""
    limit, stop = intent.limit_price_nano, intent.stop_price_nano
    priced = {
        "limit": f"limit {plain(limit)}",
        "stop": f"stop {plain(stop)}",
        "stop_limit": f"stop {plain(stop)} limit {plain(limit)}",
        "trailing_stop": f"trailing_stop {_trail(intent)}",
    }.get(intent.order_type, intent.order_type)
    until = f" until {iso(intent.expires_ns)}" if intent.expires_ns else ""
    words = f"{intent.side} {plain(intent.qty_nano)} {intent.symbol} {priced} {intent.time_in_force}{until}"
    legs = [
        f"take profit {plain(intent.take_profit_nano)}" if intent.take_profit_nano else "",
        f"stop loss {plain(intent.stop_loss_nano)}" if intent.stop_loss_nano else "",
        f"limit {plain(intent.stop_loss_limit_nano)}" if intent.stop_loss_limit_nano else "",
    ]
    if intent.order_class != "simple":
        words += f" {intent.order_class} ({', '.join(leg for leg in legs if leg)})"
    return words + (f" replacing {intent.replaces}" if intent.replaces else "")


def _trail(intent: OrderIntent) -> str:
    return f"{_percent(intent.trail_bps)}%" if intent.trail_bps else plain(intent.trail_nano)


def _percent(bps: int) -> str:
    return plain(bps * SCALE // 100)


def order_record(order: OrderState, timezone: str) -> dict[str, Any]:
    """Return an order for programs; numbers are exact decimals in text."""
    intent = order.intent
    return {
        "client_order_id": intent.client_order_id,
        "key": key_of(intent.reason),
        "symbol": intent.symbol,
        "side": intent.side,
        "type": intent.order_type,
        "time_in_force": intent.time_in_force,
        "qty": plain(intent.qty_nano),
        "limit_price": _some(intent.limit_price_nano),
        "stop_price": _some(intent.stop_price_nano),
        "trail_price": _some(intent.trail_nano),
        "trail_percent": _percent(intent.trail_bps) if intent.trail_bps else "",
        "expires_at": local_iso(intent.expires_ns, timezone),
        "order_class": intent.order_class,
        "take_profit": _some(intent.take_profit_nano),
        "stop_loss": _some(intent.stop_loss_nano),
        "stop_loss_limit": _some(intent.stop_loss_limit_nano),
        "parent": intent.parent_id,
        "replaces": intent.replaces,
        "status": order.status,
        "filled_qty": plain(order.filled_nano),
        "avg_price": plain(order.avg_price_nano) if order.avg_price_nano else "",
        "fees": plain(order.fees_nano),
        "strategy": intent.strategy,
        "reason": _why(order),
        "sent": local_iso(order.sent_ns, timezone),
        "updated": local_iso(order.updated_ns, timezone),
    }


def _some(nano: int) -> str:
    return plain(nano) if nano else ""


def order_line(order: OrderState, timezone: str) -> str:
    """Return an order as a line under ``ORDER_COLUMNS``; ``of`` is the order that it belongs to or replaces."""
    intent = order.intent
    record = order_record(order, timezone)
    sent = datetime.fromtimestamp(order.sent_ns // NS, zone_of(timezone)) if order.sent_ns else None
    cells = [
        record["client_order_id"],
        record["symbol"],
        record["side"],
        record["type"],
        record["time_in_force"],
        record["qty"],
        record["limit_price"],
        record["stop_price"] or (_trail(intent) if intent.order_type == "trailing_stop" else ""),
        record["status"],
        record["filled_qty"],
        record["avg_price"],
        plain(order.fees_nano) if order.fees_nano else "",
        f"{sent:%m-%d %H:%M:%S}" if sent is not None else "",
        record["key"],
        record["parent"] or record["replaces"],
        clean(_why(order), 80).replace(",", ";"),
    ]
    return ",".join(cells)


def _why(order: OrderState) -> str:
    """Return the last reason without what the journal needs of it."""
    return clean(_JOURNALED.sub("", order.reason), 200)


def position_record(position: Position, instrument: Instrument | None) -> dict[str, str]:
    """Return a position for programs; a short one has a negative quantity and value."""
    multiplier = instrument.multiplier if instrument is not None else 1
    value = notional_nano(position.mark_nano, position.qty_nano, multiplier)
    cost = notional_nano(position.avg_price_nano, position.qty_nano, multiplier)
    return {
        "symbol": position.symbol,
        "qty": plain(position.qty_nano),
        "avg_price": plain(position.avg_price_nano),
        "mark": plain(position.mark_nano),
        "value": plain(value),
        "unrealized": plain(value - cost),
        "realized": plain(position.realized_nano),
    }
