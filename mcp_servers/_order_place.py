"""The tools that send orders: each makes a plan, has a person confirm it where it is large, and sends exactly that.

Not judged here. This module has no postponed annotations: the SDK reads a tool's resolvers from its signature, and
these are closures over one desk.
"""

from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations

from bus.messages import OrderState, Verdict
from mcp_servers._order_answers import denial_answer, outcomes_answer, told
from mcp_servers._order_confirm import Asked, Confirm, Confirmation, check_confirmed, needs_person
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_models import OrderAnswer, PreviewAnswer
from mcp_servers._order_numbers import Number, plain
from mcp_servers._order_plan import Draft, Plan, make_draft, make_plan
from mcp_servers._order_send import preview, submit
from mcp_servers._order_terms import Terms
from mcp_servers._order_text import money, order_record, order_words

__all__ = ["register_placing", "register_preview", "run_plan"]

Side = Literal["buy", "sell"]
Type = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
Tif = Literal["day", "gtc", "gtd", "ioc", "fok", "opg", "cls"]
Class = Literal["simple", "bracket", "oco", "oto"]
_PLACE = (
    "Send an order through the risk gate: qty in units, or notional in money. client_order_id: your own key, sent once "
    "however often you call. bracket, oto: legs after the fill; oco: limit_price and stop_loss at once. A large order "
    'asks a person. After "unknown" call get_order; never send again.'
)


async def run_plan(floor: OrderFloor, plan: Plan, confirmed: object, call: str) -> CallToolResult:
    """Send a plan that is confirmed or needs no confirming; a foretold denial is answered without sending.

    Args:
        floor: The desk.
        plan: What to send.
        confirmed: What a person said, or that nobody needed to be asked.
        call: This call and its arguments; the plan must be of it.

    Raises:
        ToolError: Nothing was sent.
    """
    if plan.call != call:
        raise ToolError("nothing was sent: what was confirmed is another call than this one. Call it again.")
    check_confirmed(confirmed)
    if plan.denial is not None:
        return await denial_answer(floor, plan, *plan.denial)
    return await outcomes_answer(floor, plan.caps, await submit(floor, plan))


def register_preview(server: MCPServer[Any], floor: OrderFloor, reads: ToolAnnotations) -> None:
    """Add ``preview_order``."""

    @server.tool(annotations=reads)
    async def preview_order(
        symbol: str,
        side: Side,
        type: Type = "market",
        time_in_force: Tif = "day",
        order_class: Class = "simple",
        qty: Number = None,
        notional: Number = None,
        limit_price: Number = None,
        stop_price: Number = None,
        trail_price: Number = None,
        trail_percent: Number = None,
        take_profit: Number = None,
        stop_loss: Number = None,
        stop_loss_limit: Number = None,
        expires_at: str | None = None,
    ) -> Annotated[CallToolResult, PreviewAnswer]:
        """The risk gate's verdict on an order (as place_order), without sending it."""
        caps = await floor.capabilities()
        terms = Terms(
            symbol, side, type, time_in_force, order_class, qty, notional, limit_price, stop_price, trail_price,
            trail_percent, take_profit, stop_loss, stop_loss_limit, expires_at,
        )  # fmt: skip
        draft = await make_draft(floor, caps, terms)
        plan = make_plan(caps, (draft,), await floor.gate_clock())
        ((intent, verdict),) = await preview(floor, plan)
        return await _foretold(floor, plan, draft, verdict, order_words(intent))


async def _foretold(floor: OrderFloor, plan: Plan, draft: Draft, verdict: Verdict, words: str) -> CallToolResult:
    caps, now_ns = plan.caps, verdict.now_ns if verdict.now_ns > 0 else plan.now_ns
    asks = needs_person(floor, plan)
    worth = f"worth up to {money(draft.worst_nano)}" if draft.worst_nano is not None else "worth not known"
    said = "would pass" if verdict.approved else f"would be denied, {verdict.code}: {verdict.message}"
    lines = [
        floor.head(caps, now_ns),
        f"preview, nothing sent: {words} ({worth})",
        said + ("; place_order would ask a person" if asks and verdict.approved else ""),
    ]
    timezone = (await floor.desk.info()).timezone
    intent = plan.intents(now_ns)[0]
    record = order_record(OrderState(intent, "intent", 0, 0, 0, "", 0, 0), timezone)
    return told(
        lines,
        {
            **await floor.stated(caps, now_ns),
            "approved": verdict.approved,
            "code": verdict.code,
            "message": verdict.message,
            "order": {
                key: value for key, value in record.items() if value and key not in {"client_order_id", "status"}
            },
            "worth_up_to": plain(draft.worst_nano) if draft.worst_nano is not None else "",
            "asks_a_person": asks,
        },
    )


def register_placing(
    server: MCPServer[Any], floor: OrderFloor, confirmation: Confirmation, writes: ToolAnnotations
) -> None:
    """Add ``place_order``."""

    async def planned(
        ctx: Context[Any, Any],
        symbol: str,
        side: Side,
        type: str,
        time_in_force: str,
        order_class: str,
        qty: Any,
        notional: Any,
        limit_price: Any,
        stop_price: Any,
        trail_price: Any,
        trail_percent: Any,
        take_profit: Any,
        stop_loss: Any,
        stop_loss_limit: Any,
        expires_at: Any,
        client_order_id: Any,
    ) -> Plan:
        terms = Terms(
            symbol, side, type, time_in_force, order_class, qty, notional, limit_price, stop_price, trail_price,
            trail_percent, take_profit, stop_loss, stop_loss_limit, expires_at, client_order_id,
        )  # fmt: skip
        call = f"place_order {terms!r}"
        kept = confirmation.kept(call, ctx)
        if kept is not None:
            return kept
        caps = await floor.capabilities()
        draft = await make_draft(floor, caps, terms)
        plan = make_plan(caps, (draft,), await floor.gate_clock(), (client_order_id or "").strip())
        plan.call = call
        return plan

    async def confirmed(plan: Annotated[Plan, Resolve(planned)], ctx: Context[Any, Any]) -> Asked:
        return await confirmation.ask(plan.call, plan, ctx)

    @server.tool(annotations=writes, description=_PLACE)
    async def place_order(
        plan: Annotated[Plan, Resolve(planned)],
        answer: Annotated[ElicitationResult[Confirm], Resolve(confirmed)],
        symbol: str,
        side: Side,
        type: Type = "market",
        time_in_force: Tif = "day",
        order_class: Class = "simple",
        qty: Number = None,
        notional: Number = None,
        limit_price: Number = None,
        stop_price: Number = None,
        trail_price: Number = None,
        trail_percent: Number = None,
        take_profit: Number = None,
        stop_loss: Number = None,
        stop_loss_limit: Number = None,
        expires_at: str | None = None,
        client_order_id: str | None = None,
    ) -> Annotated[CallToolResult, OrderAnswer]:
        """Send an order through the risk gate."""
        terms = Terms(
            symbol, side, type, time_in_force, order_class, qty, notional, limit_price, stop_price, trail_price,
            trail_percent, take_profit, stop_loss, stop_loss_limit, expires_at, client_order_id,
        )  # fmt: skip
        return await run_plan(floor, plan, answer, f"place_order {terms!r}")
