"""What came of a call, as the tools' answers: a refusal of the gate is an error with its code, never a traceback.

A denial has ``is_error`` so that a model reads it as something to correct; its structure is that of any answer.
"""

from __future__ import annotations

from typing import Any

from mcp.types import CallToolResult, TextContent

from bus.messages import Capabilities, OrderIntent, OrderState, Verdict
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_plan import Plan
from mcp_servers._order_send import Outcome
from mcp_servers._order_text import order_record, order_words

__all__ = ["denial_answer", "outcomes_answer", "told"]


def told(lines: list[str], structured: dict[str, Any], *, is_error: bool = False) -> CallToolResult:
    """Return an answer in both forms."""
    content = [TextContent(type="text", text="\n".join(lines))]
    return CallToolResult(content=list(content), structured_content=structured, is_error=is_error)


async def denial_answer(floor: OrderFloor, plan: Plan, intent: OrderIntent, verdict: Verdict) -> CallToolResult:
    """Return the gate's refusal of an order that was not put to a person because the gate would deny it."""
    floor.deny(intent, verdict)
    outcome = Outcome(intent, verdict.code, verdict.message, sent=False)
    return await outcomes_answer(floor, plan.caps, [outcome])


async def outcomes_answer(floor: OrderFloor, caps: Capabilities, outcomes: list[Outcome]) -> CallToolResult:
    """Return what became of one order or several."""
    now_ns = max((outcome.intent.decided_ns for outcome in outcomes), default=caps.now_ns)
    timezone = (await floor.desk.info()).timezone
    stated = await floor.stated(caps, now_ns)
    lines = [floor.head(caps, now_ns), *(_line(outcome) for outcome in outcomes)]
    failed = [outcome for outcome in outcomes if outcome.code != "placed"]
    first = failed[0] if failed else outcomes[0]
    structured = {
        **stated,
        "sent": any(outcome.sent is not False for outcome in outcomes),
        "code": first.code,
        "message": first.message,
        "order": _record(first, timezone) if len(outcomes) == 1 else None,
        "orders": [_record(outcome, timezone) for outcome in outcomes] if len(outcomes) > 1 else [],
    }
    return told(lines, structured, is_error=bool(failed))


def _line(outcome: Outcome) -> str:
    words = f"{outcome.intent.client_order_id}: {order_words(outcome.intent)}"
    if outcome.code == "placed":
        return f"placed {words}; {outcome.message}"
    if outcome.code in {"unknown", "rejected"}:
        return f"{outcome.code} {words}; {outcome.message}"
    return f"NOT SENT {words}; denied by the risk gate, {outcome.code}: {outcome.message}"


def _record(outcome: Outcome, timezone: str) -> dict[str, Any]:
    state = outcome.order or OrderState(outcome.intent, "intent", 0, 0, 0, "", 0, 0)
    record = order_record(state, timezone)
    if outcome.order is None:
        record["status"] = "unknown" if outcome.sent is None else "not_sent"
    return {**record, "code": outcome.code, "message": outcome.message}
