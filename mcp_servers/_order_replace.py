"""The tool that changes a working order: a new order, judged and ticketed like any, that takes the old one's place.

Not a way to change a leg or a group: the gate refuses that by name. No postponed annotations: see ``_order_place``.
"""

from typing import Annotated, Any

import msgspec
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations

from bus.messages import Capabilities, GetOrders, Instrument, OrderIntent, OrderState
from mcp_servers._order_confirm import Asked, Confirm, Confirmation
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_models import OrderAnswer
from mcp_servers._order_numbers import Number, exact, on_grid, plain
from mcp_servers._order_place import run_plan
from mcp_servers._order_plan import Draft, Plan, key_reason, make_plan, reference_price, worst_case
from mcp_servers._order_terms import percent_bps
from mcp_servers._times import shown

__all__ = ["register_replacing"]

_WORKS = frozenset({"accepted", "held", "triggered", "suspended", "partially_filled", "done_for_day"})
_PRICES = {"limit_price": "limit_price_nano", "stop_price": "stop_price_nano", "trail_price": "trail_nano"}
_MOST = 1_000


def register_replacing(
    server: MCPServer[Any], floor: OrderFloor, confirmation: Confirmation, writes: ToolAnnotations
) -> None:
    """Add ``replace_order``."""

    async def planned(
        ctx: Context[Any, Any],
        client_order_id: str,
        qty: Any,
        limit_price: Any,
        stop_price: Any,
        trail_price: Any,
        trail_percent: Any,
        new_client_order_id: Any,
    ) -> Plan:
        changes = _changes(qty, limit_price, stop_price, trail_price, trail_percent)
        call = _call(client_order_id, changes, new_client_order_id)
        kept = confirmation.kept(call, ctx)
        if kept is not None:
            return kept
        plan = await _plan(floor, client_order_id, changes, new_client_order_id)
        plan.call = call
        return plan

    async def confirmed(plan: Annotated[Plan, Resolve(planned)], ctx: Context[Any, Any]) -> Asked:
        return await confirmation.ask(plan.call, plan, ctx)

    @server.tool(annotations=writes)
    async def replace_order(
        plan: Annotated[Plan, Resolve(planned)],
        answer: Annotated[ElicitationResult[Confirm], Resolve(confirmed)],
        client_order_id: str,
        qty: Number = None,
        limit_price: Number = None,
        stop_price: Number = None,
        trail_price: Number = None,
        trail_percent: Number = None,
        new_client_order_id: str | None = None,
    ) -> Annotated[CallToolResult, OrderAnswer]:
        """Change an open order, through the risk gate. qty: what is wanted beyond what is filled."""
        changes = _changes(qty, limit_price, stop_price, trail_price, trail_percent)
        return await run_plan(floor, plan, answer, _call(client_order_id, changes, new_client_order_id))


def _changes(qty: Any, limit_price: Any, stop_price: Any, trail_price: Any, trail_percent: Any) -> dict[str, Any]:
    given = {
        "qty": qty,
        "limit_price": limit_price,
        "stop_price": stop_price,
        "trail_price": trail_price,
        "trail_percent": trail_percent,
    }
    return {name: value for name, value in given.items() if value is not None}


def _call(client_order_id: str, changes: dict[str, Any], key: object) -> str:
    return f"replace_order {client_order_id!r} {changes!r} {key!r}"


async def _plan(floor: OrderFloor, asked: str, changes: dict[str, Any], key: str | None) -> Plan:
    """Return the order that takes the place of another.

    Raises:
        ToolError: What is wrong, what is allowed and what to do next.
    """
    caps = await floor.capabilities()
    if not caps.replaces:
        told = f" (asked to change {', '.join(changes)} of {shown(asked)})" if changes else ""
        raise ToolError(
            f"nothing was changed: replace_order is not supported by the {caps.broker} broker of this desk{told}. "
            "Use what is supported: cancel_order, then place_order with a new client_order_id."
        )
    old = await floor.order(caps, asked)
    instrument = await floor.desk.symbol(old.intent.symbol)
    intent = _changed(old, changes, key, instrument)
    draft = Draft(intent, await worst_case(floor, instrument, intent, await reference_price(floor, instrument)))
    if old.status not in _WORKS:
        return await _before(floor, caps, old, draft)
    return make_plan(caps, (draft,), await floor.gate_clock(), (key or "").strip())


def _changed(old: OrderState, changes: dict[str, Any], key: str | None, instrument: Instrument) -> OrderIntent:
    was = old.intent
    left = max(0, was.qty_nano - old.filled_nano)
    fields: dict[str, int] = {"qty_nano": left}
    has = {"qty", *(name for name, field in _PRICES.items() if getattr(was, field))}
    if was.order_type == "trailing_stop":
        has |= {"trail_price", "trail_percent"}
        if {"trail_price", "trail_percent"} <= changes.keys():
            raise ToolError("give either trail_price or trail_percent, and not both. Nothing was changed.")
    stray = [name for name in changes if name not in has]
    if stray or not changes:
        allowed = f"A {was.order_type} order has {', '.join(sorted(has))}: give what is to be changed."
        wrong = f"{', '.join(stray)} cannot be given" if stray else "nothing to change was given"
        raise ToolError(f"nothing was changed: {wrong}. {allowed}")
    for name, value in changes.items():
        if name == "trail_percent":
            fields |= {"trail_bps": percent_bps(value), "trail_nano": 0}
            continue
        nano = exact(name, value)
        grid, step = ("lot", instrument.lot_nano) if name == "qty" else ("tick", instrument.tick_nano)
        on_grid(name, nano, step, instrument.symbol, grid)
        fields["qty_nano" if name == "qty" else _PRICES[name]] = nano
        if name == "trail_price":
            fields["trail_bps"] = 0
    return msgspec.structs.replace(
        was,
        client_order_id="",
        client="",
        run_id="",
        cycle=0,
        index=0,
        decided_ns=0,
        reason=key_reason(key),
        replaces=was.client_order_id,
        parent_id="",
        **fields,
    )


async def _before(floor: OrderFloor, caps: Capabilities, old: OrderState, draft: Draft) -> Plan:
    """Return the plan of the same call before, where this order was replaced by it.

    Raises:
        ToolError: The order does not work, so it cannot be changed.
    """
    order_id = old.intent.client_order_id
    page = await floor.orders(GetOrders(symbols=(old.intent.symbol,), limit=_MOST))
    newer = next((order for order in page.orders if order.intent.replaces == order_id), None)
    if newer is not None and draft.is_of(newer):
        return Plan(caps, (draft,), newer.intent.cycle, newer.intent.decided_ns)
    instead = f"It was replaced by {newer.intent.client_order_id}: change that one" if newer is not None else (
        "Use get_orders to see which ones work"
    )  # fmt: skip
    raise ToolError(
        f"nothing was changed: order {order_id} is {old.status}, filled {plain(old.filled_nano)} of "
        f"{plain(old.intent.qty_nano)}; only an order that works for certain can be replaced. {instead}."
    )
