"""A plan through the gate and to the broker, once. What has no answer is UNKNOWN and is looked at, never sent again.

Not a way around the gate: execution takes nothing without its ticket. A verdict of *clock_mismatch* means that the
market moved on between two questions; the same order is then put to the gate at its new time, a few times at most.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mcp.server.mcpserver.exceptions import ToolError

from bus.errors import OutcryError
from bus.messages import (
    Executed,
    ExecutionAsk,
    GetOrders,
    OrderEvent,
    OrderIntent,
    OrderState,
    PreviewOrders,
    RiskAsk,
    StageRequest,
    StageResult,
    TicketedOrder,
    Verdict,
    Verdicts,
)
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_plan import Plan

__all__ = ["Outcome", "already_sent", "preview", "submit"]

_ATTEMPTS = 8
_PAUSE_S = 0.02
_RACE = "clock_mismatch"


@dataclass(frozen=True)
class Outcome:
    """What became of one order. ``sent`` is None where it is not known."""

    intent: OrderIntent
    code: str
    message: str
    sent: bool | None
    order: OrderState | None = None


async def already_sent(floor: OrderFloor, plan: Plan) -> dict[str, OrderState]:
    """Return those of a plan's orders that the broker has, by id.

    Raises:
        ToolError: One of the ids is another order's.
    """
    ids = tuple(plan.order_id(index) for index in range(len(plan.drafts)))
    page = await floor.orders(GetOrders(client_order_ids=ids, limit=len(ids)))
    found = {order.intent.client_order_id: order for order in page.orders}
    for order_id, draft in zip(ids, plan.drafts, strict=True):
        order = found.get(order_id)
        if order is not None and not draft.is_of(order):
            raise ToolError(
                f"nothing was sent: this client_order_id is already that of another order ({order_id}: "
                f"{order.intent.side} {order.intent.symbol}, {order.status}). The same key always means the same "
                "order: give a new client_order_id for a new order, or repeat the first call exactly."
            )
    return found


async def preview(floor: OrderFloor, plan: Plan) -> tuple[tuple[OrderIntent, Verdict], ...]:
    """Return what the gate would say of each order now; nothing is reserved."""
    caps, now_ns = plan.caps, plan.now_ns
    told: tuple[Verdict, ...] = ()
    intents: tuple[OrderIntent, ...] = ()
    for attempt in range(_ATTEMPTS):
        intents = plan.intents(now_ns)
        answer = await floor.desk.ask("risk", PreviewOrders(caps.client, caps.run_id, plan.cycle, intents), StageResult)
        told = _verdicts(answer).verdicts
        if not any(verdict.code == _RACE for verdict in told):
            break
        await asyncio.sleep(_PAUSE_S * (attempt + 1))
        now_ns = await floor.gate_clock()
    return tuple(zip(intents, told, strict=True))


async def submit(floor: OrderFloor, plan: Plan) -> list[Outcome]:
    """Have a plan's orders judged and send those that pass, in one batch.

    Returns:
        An outcome for each order, in order.

    Raises:
        ToolError: Nothing was sent.
    """
    found = await already_sent(floor, plan)
    outcomes = {
        order_id: Outcome(order.intent, "placed", "placed before by the same call; not sent again", True, order)
        for order_id, order in found.items()
    }
    wanted = [intent for intent in plan.intents(plan.now_ns) if intent.client_order_id not in found]
    if wanted:
        judged, orders = await _judged(floor, plan, {intent.client_order_id for intent in wanted})
        for intent, verdict in judged:
            if not verdict.approved:
                floor.deny(intent, verdict)
                outcomes[intent.client_order_id] = Outcome(intent, verdict.code, _teach(verdict), False)
        outcomes.update(await _sent(floor, plan, orders))
    return [outcomes[plan.order_id(index)] for index in range(len(plan.drafts))]


async def _judged(
    floor: OrderFloor, plan: Plan, wanted: set[str]
) -> tuple[list[tuple[OrderIntent, Verdict]], tuple[TicketedOrder, ...]]:
    caps, now_ns = plan.caps, plan.now_ns
    for attempt in range(_ATTEMPTS):
        intents = tuple(intent for intent in plan.intents(now_ns) if intent.client_order_id in wanted)
        request = StageRequest(caps.run_id, caps.client, plan.cycle, now_ns, RiskAsk(intents))
        try:
            answer = await floor.desk.ask("risk", request, StageResult)
        except ToolError as error:
            raise ToolError(f"nothing was sent to the broker: {error}") from error
        verdicts = _verdicts(answer)
        judged = list(zip(intents, verdicts.verdicts, strict=True))
        if attempt == _ATTEMPTS - 1 or not any(verdict.code == _RACE for verdict in verdicts.verdicts):
            return judged, verdicts.orders
        await asyncio.sleep(_PAUSE_S * (attempt + 1))
        now_ns = await floor.gate_clock()
    raise AssertionError("the last attempt returns")


async def _sent(floor: OrderFloor, plan: Plan, orders: tuple[TicketedOrder, ...]) -> dict[str, Outcome]:
    """Send ticketed orders once. No answer, or one that does not name an order, is UNKNOWN."""
    if not orders:
        return {}
    caps, now_ns = plan.caps, orders[0].intent.decided_ns
    request = StageRequest(caps.run_id, caps.client, plan.cycle, now_ns, ExecutionAsk(orders))
    events: tuple[OrderEvent, ...] = ()
    why = "the broker's side answered something else"
    try:
        answer = await floor.desk.call("execution", request, floor.answer_s)
        if isinstance(answer, StageResult) and isinstance(answer.answer, Executed):
            events = answer.answer.events
    except OutcryError as error:
        why = f"no answer came ({type(error).__name__})"
    outcomes: dict[str, Outcome] = {}
    for order in orders:
        intent = order.intent
        mine = [event for event in events if event.client_order_id == intent.client_order_id]
        outcomes[intent.client_order_id] = _outcome(intent, mine, why)
    return outcomes


def _outcome(intent: OrderIntent, events: list[OrderEvent], why: str) -> Outcome:
    order_id = intent.client_order_id
    if not events:
        text = (
            f"UNKNOWN: {why}. The order MAY have been placed. Do not send it again: call get_order with "
            f"client_order_id {order_id} until it says what became of it"
        )
        return Outcome(intent, "unknown", text, None)
    last = events[-1]
    if last.seq == 0:
        return Outcome(intent, "rejected", f"execution refused it, nothing was sent: {last.reason}", False)
    fees = sum(event.fill.fee_nano for event in events if event.fill is not None)
    sent_ns, updated_ns = events[0].time_ns, last.time_ns
    order = OrderState(intent, last.status, last.filled_nano, 0, fees, last.reason, sent_ns, updated_ns)
    if last.status == "rejected":
        return Outcome(intent, "rejected", f"the broker rejected it: {last.reason}", True, order)
    if last.status == "unknown":
        text = f"UNKNOWN: {last.reason}. The order MAY be working. Do not send it again: call get_order with {order_id}"
        return Outcome(intent, "unknown", text, None, order)
    return Outcome(intent, "placed", f"{last.status}; it fills, or not, as the market goes on", True, order)


def _teach(verdict: Verdict) -> str:
    if verdict.code == "order_id_reused":
        return (
            f"{verdict.message}. This client_order_id was judged at another time or for another order, and the broker "
            "has no order of it; give a new client_order_id"
        )
    return verdict.message


def _verdicts(answer: StageResult) -> Verdicts:
    if not isinstance(answer.answer, Verdicts):
        raise ToolError("the risk gate answered something else than verdicts; every process must be of one release.")
    return answer.answer
