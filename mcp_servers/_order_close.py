"""The tools that close positions: market orders for what is held and not already being closed. Not a liquidation.

No postponed annotations here either: see ``_order_place``.
"""

from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations

from bus.fixed import round_to_step
from bus.messages import Account, Instrument
from mcp_servers._order_answers import told
from mcp_servers._order_confirm import Asked, Confirm, Confirmation
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_models import OrderAnswer
from mcp_servers._order_numbers import Number, exact, on_grid, plain
from mcp_servers._order_place import run_plan
from mcp_servers._order_plan import Draft, Plan, closing_draft, make_plan

__all__ = ["register_closing"]

_PERCENT = 100 * 10**9
_ALL = "close_all_positions"


def register_closing(
    server: MCPServer[Any], floor: OrderFloor, confirmation: Confirmation, writes: ToolAnnotations
) -> None:
    """Add ``close_position`` and ``close_all_positions``."""

    async def one(ctx: Context[Any, Any], symbol: str, qty: Any, percentage: Any) -> Plan:
        call = _call(symbol, qty, percentage)
        kept = confirmation.kept(call, ctx)
        if kept is not None:
            return kept
        plan = await _one_plan(floor, symbol, qty, percentage)
        plan.call = call
        return plan

    async def confirmed_one(plan: Annotated[Plan, Resolve(one)], ctx: Context[Any, Any]) -> Asked:
        return await confirmation.ask(plan.call, plan, ctx)

    @server.tool(annotations=writes)
    async def close_position(
        plan: Annotated[Plan, Resolve(one)],
        answer: Annotated[ElicitationResult[Confirm], Resolve(confirmed_one)],
        symbol: str,
        qty: Number = None,
        percentage: Number = None,
    ) -> Annotated[CallToolResult, OrderAnswer]:
        """Close a position, all or a part, by a market order."""
        return await run_plan(floor, plan, answer, _call(symbol, qty, percentage))

    async def every(ctx: Context[Any, Any]) -> Plan:
        kept = confirmation.kept(_ALL, ctx)
        if kept is not None:
            return kept
        plan = await _all_plan(floor)
        plan.call = _ALL
        return plan

    async def confirmed_all(plan: Annotated[Plan, Resolve(every)], ctx: Context[Any, Any]) -> Asked:
        return await confirmation.ask(_ALL, plan, ctx) if plan.drafts else Confirm(confirm=True)

    @server.tool(annotations=writes)
    async def close_all_positions(
        plan: Annotated[Plan, Resolve(every)],
        answer: Annotated[ElicitationResult[Confirm], Resolve(confirmed_all)],
    ) -> Annotated[CallToolResult, OrderAnswer]:
        """Close every position by market orders."""
        if plan.drafts:
            return await run_plan(floor, plan, answer, _ALL)
        text = "nothing to close: no position that working orders do not close already"
        stated = await floor.stated(plan.caps, plan.now_ns)
        done = {**stated, "sent": False, "code": "nothing", "message": text, "order": None, "orders": []}
        return told([floor.head(plan.caps, plan.now_ns), text], done)


def _call(symbol: str, qty: object, percentage: object) -> str:
    return f"close_position {symbol!r} {qty!r} {percentage!r}"


async def _one_plan(floor: OrderFloor, symbol: str, qty: object, percentage: object) -> Plan:
    if qty is not None and percentage is not None:
        raise ToolError("give qty or percentage, not both; neither closes all of it.")
    caps = await floor.capabilities()
    instrument = await floor.desk.symbol(symbol)
    account = await floor.account()
    held = {item.symbol: item.qty_nano for item in account.positions}.get(instrument.symbol, 0)
    if not held:
        raise ToolError(f"there is no position in {instrument.symbol}. {_held(account)}")
    free = await _free(floor, instrument.symbol, held)
    amount, wish = _amount(instrument, abs(held), free, qty, percentage)
    if not 0 < amount <= free:
        raise ToolError(
            f"{plain(amount)} of {instrument.symbol} cannot be closed: {plain(abs(held))} is held and "
            f"{plain(free)} of it is not already being closed by working orders. Ask for a part of that, at least "
            f"one lot of {plain(instrument.lot_nano)}, or cancel those orders (get_orders)."
        )
    draft = await closing_draft(floor, instrument.symbol, held, amount, wish)
    return make_plan(caps, (draft,), await floor.gate_clock())


def _amount(instrument: Instrument, held: int, free: int, qty: object, percentage: object) -> tuple[int, str]:
    """Return how much is to be closed, and what was asked for in words."""
    if qty is not None:
        amount = exact("qty", qty)
        on_grid("qty", amount, instrument.lot_nano, instrument.symbol, "lot")
        return amount, plain(amount)
    if percentage is None:
        return free, "all"
    share = exact("percentage", percentage)
    if share > _PERCENT:
        raise ToolError(f"percentage = {plain(share)} is out of range; allowed: above 0 and at most 100.")
    return round_to_step(held * share // _PERCENT, instrument.lot_nano), f"{plain(share)}%"


async def _all_plan(floor: OrderFloor) -> Plan:
    caps, account = await floor.capabilities(), await floor.account()
    drafts: list[Draft] = []
    for position in account.positions:
        free = await _free(floor, position.symbol, position.qty_nano) if position.qty_nano else 0
        if free:
            drafts.append(await closing_draft(floor, position.symbol, position.qty_nano, free, "all"))
    return make_plan(caps, tuple(drafts), await floor.gate_clock())


async def _free(floor: OrderFloor, symbol: str, held_nano: int) -> int:
    """Return how much of a position no working order closes yet; of a pair of legs only one can."""
    side = "sell" if held_nano > 0 else "buy"
    groups: dict[str, int] = {}
    for order in await floor.open_orders():
        intent = order.intent
        if intent.symbol == symbol and intent.side == side:
            group = intent.parent_id or intent.replaces or intent.client_order_id
            groups[group] = max(groups.get(group, 0), intent.qty_nano - order.filled_nano)
    return max(0, abs(held_nano) - sum(groups.values()))


def _held(account: Account) -> str:
    held = [item.symbol for item in account.positions if item.qty_nano]
    return f"Held: {', '.join(held)}." if held else "Nothing is held."
