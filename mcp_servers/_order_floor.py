"""What the order tools share: whose account it is, the gate's clock, the orders there are, and denials to explain.

Not a book and not a judge: every figure is asked for when it is needed; only denials are kept, because no service has
a denied order to ask for.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from mcp.server.mcpserver.exceptions import ToolError

from bus.ids import client_order_id
from bus.messages import (
    Account,
    Capabilities,
    GetAccount,
    GetOrders,
    GetRiskState,
    OrderIntent,
    Orders,
    OrderState,
    RiskState,
    Verdict,
)
from mcp_servers._desk import Desk
from mcp_servers._order_ids import keyed_cycle
from mcp_servers._times import as_of, shown

__all__ = ["Denied", "OrderFloor"]

_MOST_DENIALS = 500
_PAGE = 1_000
_ID = "oo-"


class Denied(NamedTuple):
    """An order that the gate denied, and why."""

    intent: OrderIntent
    verdict: Verdict


class OrderFloor:
    """The desk as the order tools see it.

    Attributes:
        desk: Whom to ask.
        answer_s: How long an answer about a sent order is awaited before it is called unknown.
    """

    def __init__(self, desk: Desk, answer_s: float = 10.0) -> None:
        """Know no denial yet."""
        self.desk = desk
        self.answer_s = answer_s
        self._denials: OrderedDict[str, Denied] = OrderedDict()

    # --- what every answer says -----------------------------------------------------------------------------------

    async def capabilities(self) -> Capabilities:
        """Return who this desk trades for, with the venue's time zone known for what follows."""
        await self.desk.info()
        return await self.desk.capabilities()

    def head(self, caps: Capabilities, now_ns: int) -> str:
        """Return the first line of every answer."""
        when = self.desk.stamp(now_ns) if now_ns > 0 else "before the first instant"
        return f"mode {caps.mode}, client {caps.client}, as of {when}"

    async def stated(self, caps: Capabilities, now_ns: int) -> dict[str, Any]:
        """Return the first fields of every structured answer."""
        timezone = (await self.desk.info()).timezone
        return {"mode": caps.mode, "client": caps.client, **as_of(max(now_ns, 0), timezone)}

    # --- asking -----------------------------------------------------------------------------------------------------

    async def account(self) -> Account:
        """Return the account as of execution's own clock."""
        return await self.desk.ask("execution", GetAccount(-1), Account)

    async def gate(self) -> RiskState:
        """Return the gate's state."""
        return await self.desk.ask("risk", GetRiskState(), RiskState)

    async def gate_clock(self) -> int:
        """Return the instant at which the gate judges.

        Raises:
            ToolError: It has none yet.
        """
        now_ns = (await self.gate()).now_ns
        if now_ns < 0:
            raise ToolError(
                "the risk gate has settled no instant yet, so no order can be judged. Wait for the first one."
            )
        return now_ns

    async def orders(self, ask: GetOrders) -> Orders:
        """Return a page of orders."""
        return await self.desk.ask("execution", ask, Orders)

    async def open_orders(self) -> tuple[OrderState, ...]:
        """Return every order that works, newest first."""
        return (await self.orders(GetOrders("open", limit=_PAGE))).orders

    async def find(self, order_id: str) -> OrderState | None:
        """Return an order by its id; None when execution has none of that id."""
        page = await self.orders(GetOrders(client_order_ids=(order_id,), limit=1))
        return page.orders[0] if page.orders else None

    async def order(self, caps: Capabilities, text: str) -> OrderState:
        """Return the order that a caller names, by its id or by the key the caller gave it.

        Raises:
            ToolError: There is none; the text says so, and whether it was denied.
        """
        order_id = self.id_of(caps, text)
        found = await self.find(order_id)
        if found is not None:
            return found
        denied = self._denials.get(order_id)
        if denied is not None:
            raise ToolError(
                f"order {order_id} was not placed. The gate denied it, {denied.verdict.code}: {denied.verdict.message}."
            )
        recent = [order.intent.client_order_id for order in (await self.orders(GetOrders(limit=5))).orders]
        told = f"Newest: {', '.join(recent)} (get_orders lists all)" if recent else "There are no orders yet"
        raise ToolError(
            f"there is no order {shown(text)}: the broker has none of that id, so it was not placed. {told}."
        )

    def id_of(self, caps: Capabilities, text: str) -> str:
        """Return the order id that a caller's text names."""
        wanted = text.strip()
        if wanted.startswith(_ID):
            return wanted[:64]
        return client_order_id(caps.client, caps.run_id, keyed_cycle(wanted[:64]), 0)

    # --- denials ----------------------------------------------------------------------------------------------------

    def deny(self, intent: OrderIntent, verdict: Verdict) -> None:
        """Keep why an order was denied, for who asks."""
        self._denials[intent.client_order_id] = Denied(intent, verdict)
        while len(self._denials) > _MOST_DENIALS:
            self._denials.popitem(last=False)

    def denied(self, order_id: str) -> Denied | None:
        """Return why an order was denied; None when it was not, or long ago."""
        return self._denials.get(order_id)

    def denied_ids(self) -> list[str]:
        """Return the orders denied lately, newest first."""
        return list(reversed(self._denials))
