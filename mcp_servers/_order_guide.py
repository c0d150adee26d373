"""Resources and prompts about orders, positions and the gate. Not tools: a person or a host asks for these."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult

from mcp_servers._fence import clean
from mcp_servers._order_codes import CODES
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_read import (
    STATES,
    USUAL_ORDERS,
    Status,
    limits_answer,
    orders_answer,
    positions_answer,
    risk_answer,
)
from mcp_servers._order_watch import OrdersWatch
from mcp_servers._times import shown

__all__ = ["register_prompts", "register_resources"]


def _text(answer: CallToolResult) -> str:
    return "\n".join(str(getattr(part, "text", "")) for part in answer.content)


def register_resources(server: MCPServer[Any], floor: OrderFloor) -> None:
    """Add ``orders://``, ``positions://`` and ``risk://`` and tell who follows them of changes."""

    async def read_orders(state: str) -> str:
        status: Status | None = next((name for name in STATES if name == state), None)
        if status is None:
            raise ToolError(f"there is no orders://{clean(state, 24)}. There are: {', '.join(STATES)}.")
        return _text(await orders_answer(floor, status, (), USUAL_ORDERS, None))

    async def read_positions(symbol: str) -> str:
        named = "" if symbol == "all" else (await floor.desk.symbol(symbol)).symbol
        return _text(await positions_answer(floor, named))

    async def read_risk(part: str) -> str:
        if part == "limits":
            return _text(await limits_answer(floor))
        if part == "state":
            return _text(await risk_answer(floor, await floor.gate()))
        raise ToolError(f"there is no risk://{clean(part, 24)}. There are: limits, state.")

    @server.resource("orders://{state}", mime_type="text/plain")
    async def orders(state: str) -> str:
        """Orders: open, closed or all; subscribe to be told when they change."""
        return await read_orders(state)

    @server.resource("positions://{symbol}", mime_type="text/plain")
    async def positions(symbol: str) -> str:
        """The position in a symbol, or all."""
        return await read_positions(symbol)

    @server.resource("risk://limits", mime_type="text/plain")
    async def limits() -> str:
        """The gate's limits and what is used of them."""
        return await read_risk("limits")

    @server.resource("risk://state", mime_type="text/plain")
    async def state() -> str:
        """The gate's state."""
        return await read_risk("state")

    readers = {"orders": read_orders, "positions": read_positions, "risk": read_risk}
    server.middleware.append(OrdersWatch(server, floor.desk, readers))


def register_prompts(server: MCPServer[Any], floor: OrderFloor) -> None:
    """Add ``trade_review`` and ``explain_denial``."""

    @server.prompt()
    async def trade_review(symbol: str) -> str:
        """A review of the trades and the position in a symbol."""
        caps = await floor.capabilities()
        name = (await floor.desk.symbol(symbol)).symbol
        return (
            f"It is {floor.head(caps, caps.now_ns)}. Review the trading of {name}, from these tools only:\n"
            f"1. get_positions and get_orders (status all, symbols [{name}]): what was done, at what prices and fees.\n"
            f"2. get_bars of {name} around each fill: was the price good against the bars before and after?\n"
            "3. get_risk_limits: how much of each limit the position uses.\n"
            "Then: what was meant (if it is known), what it cost, what it earned or lost so far, what would be done "
            "differently, and one order at most that you propose, with preview_order's verdict. Send nothing."
        )

    @server.prompt()
    async def explain_denial(code_or_client_order_id: str) -> str:
        """Why the risk gate denied an order, and what would pass."""
        return await _explain(floor, code_or_client_order_id.strip())


async def _explain(floor: OrderFloor, asked: str) -> str:
    caps = await floor.capabilities()
    head = f"It is {floor.head(caps, caps.now_ns)}. "
    code, about = asked, f"The risk gate denies with the code {asked}"
    if asked not in CODES:
        order_id = floor.id_of(caps, asked)
        denied = floor.denied(order_id)
        if denied is None:
            order = await floor.find(order_id)
            if order is not None:
                return f"{head}Order {order_id} was not denied: it is {order.status}. {clean(order.reason, 200)}"
            raise ToolError(
                f"{shown(asked)} is neither a code nor an order that was denied lately. Codes: {', '.join(CODES)}."
            )
        code = denied.verdict.code
        about = f"The risk gate denied order {order_id} with the code {code}: {denied.verdict.message}"
    meaning, todo = CODES.get(code, ("A code that this server does not know.", "Ask a person."))
    return (
        f"{head}{about}.\nThe code means: {meaning} What helps: {todo}\n"
        "Explain this in plain words with the figures of get_risk_limits, then say which order would pass now "
        "(try it with preview_order). Do not try to get around the gate, and send nothing."
    )
