"""Accounts, orders and the risk gate for models: each answer says which mode, whose account and when.

Not a judge and not a way around one: an order goes to the gate over the bus and to the broker with the gate's ticket.
A denial is an answer with ``is_error``, its code and what would be allowed, so that a model corrects itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from bus.messages import AskCancel, Canceled, GetOrders, Kill, OrderState, RiskState
from mcp_servers._desk import Desk
from mcp_servers._fence import clean
from mcp_servers._order_answers import told
from mcp_servers._order_close import register_closing
from mcp_servers._order_codes import CODES
from mcp_servers._order_confirm import Confirmation
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_guide import register_prompts, register_resources
from mcp_servers._order_models import (
    AccountAnswer,
    CancelAnswer,
    LimitsAnswer,
    OrderAnswer,
    OrdersAnswer,
    PositionsAnswer,
    RiskAnswer,
)
from mcp_servers._order_numbers import plain
from mcp_servers._order_place import register_placing, register_preview
from mcp_servers._order_read import (
    STATES,
    USUAL_ORDERS,
    Status,
    account_answer,
    limits_answer,
    order_answer,
    orders_answer,
    positions_answer,
    risk_answer,
)
from mcp_servers._order_replace import register_replacing

__all__ = ["RESOURCE_SCOPES", "SCOPES", "complete", "register"]

_READ, _WRITE = "account:read", "orders:write"
SCOPES: Mapping[str, str] = {
    "get_account": _READ,
    "get_positions": _READ,
    "get_orders": _READ,
    "get_order": _READ,
    "preview_order": _READ,
    "place_order": _WRITE,
    "replace_order": _WRITE,
    "cancel_order": _WRITE,
    "cancel_all_orders": _WRITE,
    "close_position": _WRITE,
    "close_all_positions": _WRITE,
    "get_risk_limits": _READ,
    "get_risk_state": _READ,
    "engage_kill_switch": _WRITE,
}
"""What a token needs for each tool."""
RESOURCE_SCOPES: Mapping[str, str] = {"orders": _READ, "positions": _READ, "risk": _READ}
"""What a token needs for each kind of resource."""

_MOST_CANCELED = 500


async def complete(desk: Desk, argument: str, text: str) -> list[str] | None:
    """Return the order ids, states, sides or codes that begin with a text; None for any other argument."""
    if argument == "client_order_id":
        page = (await OrderFloor(desk).orders(GetOrders(limit=100))).orders
        return [order.intent.client_order_id for order in page if order.intent.client_order_id.startswith(text)]
    if argument == "state":
        return [state for state in STATES if state.startswith(text)]
    if argument in {"code", "code_or_client_order_id"}:
        codes = [code for code in CODES if code.startswith(text)]
        return codes or await complete(desk, "client_order_id", text)
    return None


def register(server: MCPServer[Any], desk: Desk) -> None:
    """Add the tools, the resources with their subscriptions, and the prompts.

    Args:
        server: Where they are added.
        desk: Whom they ask.
    """
    world = desk.mode == "live"
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=world)
    writes = ToolAnnotations(destructive_hint=True, open_world_hint=world)
    again = ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=world)
    floor = OrderFloor(desk)
    confirmation = Confirmation(floor)
    _register_account(server, floor, reads)
    _register_orders(server, floor, reads)
    register_preview(server, floor, reads)
    register_placing(server, floor, confirmation, writes)
    register_replacing(server, floor, confirmation, writes)
    _register_cancels(server, floor, again)
    register_closing(server, floor, confirmation, writes)
    _register_risk(server, floor, reads, again)
    register_resources(server, floor)
    register_prompts(server, floor)


# --- reading --------------------------------------------------------------------------------------------------------


def _register_account(server: MCPServer[Any], floor: OrderFloor, reads: ToolAnnotations) -> None:
    @server.tool(annotations=reads)
    async def get_account() -> Annotated[CallToolResult, AccountAnswer]:
        """Equity, cash, fees, and what the broker supports."""
        return await account_answer(floor)

    @server.tool(annotations=reads)
    async def get_positions() -> Annotated[CallToolResult, PositionsAnswer]:
        """Open positions."""
        return await positions_answer(floor)


def _register_orders(server: MCPServer[Any], floor: OrderFloor, reads: ToolAnnotations) -> None:
    @server.tool(annotations=reads)
    async def get_orders(
        status: Status = "open",
        symbols: list[str] | None = None,
        limit: Annotated[int, Field(ge=1, le=200)] | None = None,
        cursor: str | None = None,
    ) -> Annotated[CallToolResult, OrdersAnswer]:
        """Orders (50), newest first."""
        named = [(await floor.desk.symbol(symbol)).symbol for symbol in (symbols or ())[:100]]
        return await orders_answer(floor, status, tuple(dict.fromkeys(named)), limit or USUAL_ORDERS, cursor)

    @server.tool(annotations=reads)
    async def get_order(client_order_id: str) -> Annotated[CallToolResult, OrderAnswer]:
        """One order with its legs, by its id or your own key."""
        order = await floor.order(await floor.capabilities(), client_order_id)
        left = order.intent.qty_nano - order.filled_nano
        return await order_answer(floor, order, f"{order.status}, {plain(left)} not filled")


# --- changing -------------------------------------------------------------------------------------------------------


async def _cancel(floor: OrderFloor, orders: tuple[OrderState, ...]) -> CallToolResult:
    caps = await floor.capabilities()
    ids = tuple(order.intent.client_order_id for order in orders)
    try:
        answer = await floor.desk.ask(
            "risk", AskCancel(caps.client, caps.run_id, ids, "asked by a tool", "mcp"), Canceled, 30.0
        )
    except ToolError as error:
        raise ToolError(f"whether anything was canceled is not known: {error} Look with get_orders.") from error
    caps = await floor.capabilities()
    done = [event.client_order_id for event in answer.events if event.status == "canceled"]
    lost = [event.client_order_id for event in answer.events if event.status == "unknown"]
    lines = [floor.head(caps, caps.now_ns), f"{len(done)} canceled{': ' if done else ''}{', '.join(done)}"]
    refused = [
        *({"client_order_id": item.client_order_id, "why": item.why} for item in answer.refused),
        *({"client_order_id": order_id, "why": "the broker did not answer; look with get_order"} for order_id in lost),
    ]
    lines += [f"not canceled {item['client_order_id']}: {item['why']}" for item in refused]
    structured = {
        **await floor.stated(caps, caps.now_ns),
        "canceled": [{"client_order_id": order_id} for order_id in done],
        "refused": refused,
    }
    return told(lines, structured, is_error=bool(refused))


def _register_cancels(server: MCPServer[Any], floor: OrderFloor, again: ToolAnnotations) -> None:
    @server.tool(annotations=again)
    async def cancel_order(client_order_id: str) -> Annotated[CallToolResult, CancelAnswer]:
        """Cancel an open order, by its id or your own key."""
        caps = await floor.capabilities()
        order = await floor.order(caps, client_order_id)
        if order.status == "canceled":
            text = f"{order.intent.client_order_id} was canceled before"
            done = {"canceled": [{"client_order_id": order.intent.client_order_id}], "refused": []}
            return told([floor.head(caps, caps.now_ns), text], {**await floor.stated(caps, caps.now_ns), **done})
        return await _cancel(floor, (order,))

    @server.tool(annotations=again)
    async def cancel_all_orders() -> Annotated[CallToolResult, CancelAnswer]:
        """Cancel every open order."""
        working = await floor.open_orders()
        return await _cancel(floor, working[:_MOST_CANCELED])


# --- the gate -------------------------------------------------------------------------------------------------------


def _register_risk(server: MCPServer[Any], floor: OrderFloor, reads: ToolAnnotations, again: ToolAnnotations) -> None:
    @server.tool(annotations=reads)
    async def get_risk_limits() -> Annotated[CallToolResult, LimitsAnswer]:
        """The gate's limits, what is used of each, and the symbols allowed."""
        return await limits_answer(floor)

    @server.tool(annotations=reads)
    async def get_risk_state() -> Annotated[CallToolResult, RiskAnswer]:
        """Kill switch, verdicts so far, exposure."""
        return await risk_answer(floor, await floor.gate())

    @server.tool(annotations=again)
    async def engage_kill_switch(reason: str) -> Annotated[CallToolResult, RiskAnswer]:
        """Stop all trading and cancel all orders. Only a person can undo it."""
        why = clean(reason, 200)
        if not why:
            raise ToolError("reason is empty; give a sentence that a person understands. Nothing was stopped.")
        try:
            state = await floor.desk.ask("risk", Kill(why, "mcp"), RiskState, 30.0)
        except ToolError as error:
            raise ToolError(
                f"whether the kill switch is engaged is not known: {error} Call get_risk_state, then this again."
            ) from error
        return await risk_answer(floor, state)
