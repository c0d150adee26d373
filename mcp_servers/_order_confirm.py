"""A person is asked before a large order goes out, on both protocol eras; nobody to ask is a refusal, never a yes.

Not a limit: the gate has those, and judges again whatever a person said. What is asked about is kept until it is
answered, so that exactly that is sent: the second round of a call must not come to another quantity.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from bus.clock import NS, monotonic_ns
from bus.fixed import to_nano
from bus.ids import digest
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_plan import Plan
from mcp_servers._order_send import already_sent, preview
from mcp_servers._order_text import money

__all__ = ["Asked", "Confirm", "Confirmation", "check_confirmed", "needs_person"]

_KEPT_NS = 300 * NS
_MOST_KEPT = 200
_INPUT_REQUIRED = "2026-07-28"


class Confirm(BaseModel):
    """A person's answer."""

    confirm: bool = Field(description="Send this order?")


Asked = Confirm | Elicit[Confirm]


def needs_person(floor: OrderFloor, plan: Plan) -> bool:
    """Whether a person must confirm: worth more than the setting, or its worth is not known."""
    above = floor.desk.options.confirm_above
    worst = plan.worst_nano
    return above is not None and (worst is None or worst > to_nano(above))


class Confirmation:
    """Asks, and keeps what was asked about."""

    def __init__(self, floor: OrderFloor) -> None:
        """Keep nothing yet."""
        self._floor = floor
        self._kept: OrderedDict[str, tuple[int, Plan]] = OrderedDict()

    def kept(self, call: str, ctx: Context[Any, Any]) -> Plan | None:
        """Return what this call's question was about, when the call comes back with an answer."""
        self._expire()
        entry = self._kept.get(self._name(call))
        return entry[1] if entry is not None and ctx.input_responses else None

    async def ask(self, call: str, plan: Plan, ctx: Context[Any, Any]) -> Asked:
        """Return the question, or a yes where none is needed: small, sent before, or to be denied anyway.

        Raises:
            ToolError: A person must be asked and the client cannot.
        """
        floor = self._floor
        if not plan.question:
            if not needs_person(floor, plan) or len(await already_sent(floor, plan)) == len(plan.drafts):
                return Confirm(confirm=True)
            foretold = await preview(floor, plan)
            plan.denial = next(((intent, verdict) for intent, verdict in foretold if not verdict.approved), None)
            if plan.denial is not None and len(plan.drafts) == 1:
                return Confirm(confirm=True)
            plan.denial = None
            plan.question = self._question(plan)
        if not _can_ask(ctx):
            raise ToolError(
                f"nothing was sent: it is {self._why(plan)}. This client cannot ask one (it has no form elicitation). "
                "Ask for less, use a client that can ask, or have a person raise confirm_above."
            )
        self._keep(self._name(call), plan)
        return Elicit(plan.question, Confirm)

    def _why(self, plan: Plan) -> str:
        worst, above = plan.worst_nano, self._floor.desk.options.confirm_above
        worth = f"worth up to {money(worst)}" if worst is not None else "of unknown worth"
        return f"{worth}, and above {money(to_nano(above or 0))} a person is asked"

    def _question(self, plan: Plan) -> str:
        orders = "\n".join(draft.words for draft in plan.drafts)
        noun = "this order" if len(plan.drafts) == 1 else f"these {len(plan.drafts)} orders"
        return f"Send {noun}? Mode {plan.caps.mode}, client {plan.caps.client}.\n{orders}\nTogether {self._why(plan)}."

    @staticmethod
    def _name(call: str) -> str:
        token = get_access_token()
        return digest(call, token.client_id if token is not None else "")

    def _keep(self, name: str, plan: Plan) -> None:
        self._kept[name] = (monotonic_ns(), plan)
        self._kept.move_to_end(name)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def _expire(self) -> None:
        oldest = monotonic_ns() - _KEPT_NS
        for name in [name for name, (kept_ns, _) in self._kept.items() if kept_ns < oldest]:
            del self._kept[name]


def check_confirmed(outcome: object) -> None:
    """Let nothing through that a person had to confirm and did not.

    Raises:
        ToolError: Declined, or the question was not answered.
    """
    if isinstance(outcome, AcceptedElicitation):
        data: object = outcome.data  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # checked below
        if isinstance(data, Confirm) and data.confirm:
            return
        raise ToolError("nothing was sent: a person was asked and did not confirm. Do not send it again unasked.")
    action = str(getattr(outcome, "action", "cancel"))
    said = "declined" if action == "decline" else "gave no answer"
    raise ToolError(f"nothing was sent: a person was asked and {said}. Do not send it again unasked.")


def _can_ask(ctx: Context[Any, Any]) -> bool:
    """Whether the client can put a form to a person; as the SDK judges it, which would raise a protocol error."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    version = ctx.protocol_version
    if version is not None and version >= _INPUT_REQUIRED:
        return True
    return bool(ctx.session.can_send_request)
