"""The answers that change nothing: account, positions, orders, limits and the gate's state. Not who sends orders."""

from __future__ import annotations

from typing import Literal

from mcp.types import CallToolResult

from bus.messages import GetLimits, GetOrders, OrderState, RiskLimits, RiskState
from mcp_servers._fence import clean
from mcp_servers._order_answers import told
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_numbers import plain
from mcp_servers._order_text import ORDER_COLUMNS, money, order_line, order_record, position_record
from mcp_servers._page import make_cursor, read_cursor

__all__ = [
    "STATES",
    "USUAL_ORDERS",
    "Status",
    "account_answer",
    "limits_answer",
    "order_answer",
    "orders_answer",
    "positions_answer",
    "risk_answer",
]

Status = Literal["open", "closed", "all"]
STATES: tuple[Status, ...] = ("open", "closed", "all")
"""Kinds of orders that can be listed."""
USUAL_ORDERS = 50
"""Orders on a page unless told."""
_MOST_OFFSET = 2**40
_MOST_SEARCHED = 1_000


async def account_answer(floor: OrderFloor) -> CallToolResult:
    """Return the account."""
    caps, account = await floor.capabilities(), await floor.account()
    working = len(await floor.open_orders())
    held = sum(1 for position in account.positions if position.qty_nano)
    realized = sum(position.realized_nano for position in account.positions)
    lines = [
        floor.head(caps, account.now_ns),
        f"equity {money(account.equity_nano)}, cash {money(account.cash_nano)}, realized {money(realized)}, "
        f"fees {money(account.fees_nano)} USD",
        f"{held} positions, {working} open orders; broker {caps.broker}: {', '.join(caps.order_types)}; "
        f"{', '.join(caps.times_in_force)}; {', '.join(caps.order_classes)}; "
        f"replacing {'possible' if caps.replaces else 'not possible'}; shorts "
        f"{'allowed' if caps.shorts else 'not allowed'}",
    ]
    structured = {
        **await floor.stated(caps, account.now_ns),
        "currency": "USD",
        "cash": plain(account.cash_nano),
        "equity": plain(account.equity_nano),
        "fees": plain(account.fees_nano),
        "realized": plain(realized),
        "positions": held,
        "open_orders": working,
    }
    return told(lines, structured)


async def positions_answer(floor: OrderFloor, symbol: str = "") -> CallToolResult:
    """Return open positions, of one symbol or all."""
    caps, account = await floor.capabilities(), await floor.account()
    known = await floor.desk.instruments()
    records = [
        position_record(position, known.get(position.symbol))
        for position in account.positions
        if position.qty_nano and (not symbol or position.symbol == symbol)
    ]
    columns = "symbol,qty,avg_price,mark,value,unrealized"
    rows = [",".join(record[name] for name in columns.split(",")) for record in records]
    lines = [floor.head(caps, account.now_ns), *([columns, *rows] if rows else ["no open positions"])]
    return told(lines, {**await floor.stated(caps, account.now_ns), "positions": records})


async def orders_answer(
    floor: OrderFloor, status: Status, symbols: tuple[str, ...], limit: int, cursor: str | None
) -> CallToolResult:
    """Return a page of orders, newest first; a cursor holds how far it went and how many there were then."""
    question = ("get_orders", status, *symbols)
    offset, before = read_cursor(cursor, question, _MOST_OFFSET, _MOST_OFFSET) if cursor else (0, -1)
    ask = GetOrders(status, symbols, (), limit, offset)
    caps, page = await floor.capabilities(), await floor.orders(ask)
    if before >= 0 and page.total > before:  # newer orders came since: what was seen is further down
        offset += page.total - before
        page = await floor.orders(GetOrders(status, symbols, (), limit, offset))
    timezone = (await floor.desk.info()).timezone
    after = offset + len(page.orders)
    following = make_cursor(question, after, page.total) if page.orders and after < page.total else ""
    rows = [order_line(order, timezone) for order in page.orders]
    lines = [
        floor.head(caps, page.now_ns),
        f"{len(rows)} of {page.total} {'' if status == 'all' else status + ' '}orders, newest first",
        *([ORDER_COLUMNS, *rows] if rows else []),
        *([f"next page: cursor={following}"] if following else []),
    ]
    structured = {
        **await floor.stated(caps, page.now_ns),
        "total": page.total,
        "orders": [order_record(order, timezone) for order in page.orders],
        "next_cursor": following,
    }
    return told(lines, structured)


async def order_answer(floor: OrderFloor, order: OrderState, message: str, *, code: str = "found") -> CallToolResult:
    """Return one order, and the legs that it has."""
    caps = await floor.capabilities()
    timezone = (await floor.desk.info()).timezone
    legs = await _legs(floor, order)
    structured = {
        **await floor.stated(caps, caps.now_ns),
        "sent": True,
        "code": code,
        "message": message,
        "order": order_record(order, timezone),
        "orders": [order_record(leg, timezone) for leg in legs],
    }
    rows = [order_line(item, timezone) for item in (order, *legs)]
    return told([floor.head(caps, caps.now_ns), message, ORDER_COLUMNS, *rows], structured)


async def _legs(floor: OrderFloor, order: OrderState) -> list[OrderState]:
    """Return the legs of a bracket, oco or oto, oldest first."""
    if order.intent.order_class == "simple":
        return []
    page = await floor.orders(GetOrders(symbols=(order.intent.symbol,), limit=_MOST_SEARCHED))
    return [leg for leg in reversed(page.orders) if leg.intent.parent_id == order.intent.client_order_id]


async def limits_answer(floor: OrderFloor) -> CallToolResult:
    """Return the gate's limits."""
    caps = await floor.capabilities()
    limits = await floor.desk.ask("risk", GetLimits(caps.client), RiskLimits)
    rows = [f"{line.name},{line.value},{line.used},{line.ceiling},{line.unit}" for line in limits.lines]
    lines = [
        floor.head(caps, limits.now_ns),
        f"limits {limits.limits_version}; nothing here loosens them; symbols: {', '.join(limits.symbols)}",
        "name,value,used,ceiling,unit",
        *(row.replace("_nano,", ",", 1).replace("_ns,", ",", 1) for row in rows),
    ]
    structured = {
        **await floor.stated(caps, limits.now_ns),
        "limits_version": limits.limits_version,
        "limits": [
            {
                "name": line.name.removesuffix("_nano").removesuffix("_ns"),
                "value": line.value,
                "used": line.used,
                "ceiling": line.ceiling,
                "unit": line.unit,
            }
            for line in limits.lines
        ],
        "symbols": list(limits.symbols),
    }
    return told(lines, structured)


async def risk_answer(floor: OrderFloor, state: RiskState) -> CallToolResult:
    """Return the gate's state."""
    caps = await floor.capabilities()
    kill = f"ENGAGED ({clean(state.kill_reason, 200)}); a person clears it: outcry resume" if state.killed else "off"
    lines = [
        floor.head(caps, state.now_ns),
        f"kill switch {kill}",
        f"{state.approved} orders approved, {state.denied} denied; equity {money(state.equity_nano)}, "
        f"gross exposure {money(state.gross_nano)}; limits {state.limits_version}",
    ]
    structured = {
        **await floor.stated(caps, state.now_ns),
        "killed": state.killed,
        "kill_reason": clean(state.kill_reason, 300),
        "approved": state.approved,
        "denied": state.denied,
        "equity": plain(state.equity_nano),
        "gross": plain(state.gross_nano),
        "limits_version": state.limits_version,
    }
    return told(lines, structured)
