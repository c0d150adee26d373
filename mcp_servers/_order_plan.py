"""From what a caller asks for to the exact order to be judged, with its id and its worth at most.

Nothing is sent here and nothing judged: those are the gate's and execution's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
from mcp.server.mcpserver.exceptions import ToolError

from bus.fixed import SCALE, notional_nano, round_to_step
from bus.ids import client_order_id
from bus.messages import (
    Capabilities,
    GetLimits,
    Instrument,
    OrderIntent,
    OrderState,
    QuerySnapshot,
    RiskLimits,
    Snapshot,
    Verdict,
)
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_ids import KEY_PREFIX, checked_key, content_cycle, keyed_cycle
from mcp_servers._order_numbers import exact, on_grid, plain
from mcp_servers._order_terms import Terms, refuse_unsupported, wanted
from mcp_servers._order_text import order_words

__all__ = ["Draft", "Plan", "closing_draft", "key_reason", "make_draft", "make_plan", "worst_case"]

STRATEGY = "mcp"
_BPS = 10_000


@dataclass(frozen=True)
class Draft:
    """One order, exact. ``worst_nano`` is its most with the gate's collar; None when that is unknown."""

    intent: OrderIntent
    worst_nano: int | None

    @property
    def words(self) -> str:
        """The order in words."""
        return order_words(self.intent)

    @property
    def content(self) -> str:
        """What makes it this order: a notional may come to any quantity."""
        intent = self.intent
        if "notional=" in intent.reason:
            intent = msgspec.structs.replace(intent, qty_nano=0)
        return f"{intent.reason} {order_words(intent)}"

    def is_of(self, order: OrderState) -> bool:
        """Whether an order that was sent is this one, by what was asked for."""
        mine, sent = self.intent, order.intent
        qty_nano = sent.qty_nano if "notional=" in mine.reason else mine.qty_nano
        return msgspec.structs.replace(
            mine,
            client_order_id=sent.client_order_id,
            client=sent.client,
            run_id=sent.run_id,
            cycle=sent.cycle,
            index=sent.index,
            decided_ns=sent.decided_ns,
            strategy=sent.strategy,
            qty_nano=qty_nano,
        ) == sent  # fmt: skip


@dataclass
class Plan:
    """What a call comes to: orders with their ids, and what was found out about them before anything was sent.

    Attributes:
        denial: The gate's first denial, foretold; then nothing is put to a person and nothing sent.
        question: What a person is asked; empty when nobody needs to be.
        call: The tool and its arguments, by which the call's second round finds this plan.
    """

    caps: Capabilities
    drafts: tuple[Draft, ...]
    cycle: int
    now_ns: int
    denial: tuple[OrderIntent, Verdict] | None = None
    question: str = ""
    call: str = ""

    def intents(self, now_ns: int) -> tuple[OrderIntent, ...]:
        """Return the orders as decided at an instant; their ids do not depend on it."""
        return tuple(
            msgspec.structs.replace(
                draft.intent,
                client_order_id=self.order_id(index),
                client=self.caps.client,
                run_id=self.caps.run_id,
                cycle=self.cycle,
                index=index,
                decided_ns=now_ns,
                strategy=STRATEGY,
            )
            for index, draft in enumerate(self.drafts)
        )

    def order_id(self, index: int) -> str:
        """Return the id of one of the orders."""
        return client_order_id(self.caps.client, self.caps.run_id, self.cycle, index)

    @property
    def worst_nano(self) -> int | None:
        """What all orders are worth at most; None when that is not known of one."""
        worths = [draft.worst_nano for draft in self.drafts]
        return None if None in worths else sum(worth for worth in worths if worth is not None)


def make_plan(caps: Capabilities, drafts: tuple[Draft, ...], now_ns: int, key: str = "") -> Plan:
    """Give orders their ids: from the caller's key, else from what they are and when."""
    if key:
        return Plan(caps, drafts, keyed_cycle(key), now_ns)
    return Plan(caps, drafts, content_cycle(now_ns, *(draft.content for draft in drafts)), now_ns)


def key_reason(key: str | None, label: str = "") -> str:
    """Return how the caller's key and a label are noted with an order.

    Raises:
        ToolError: The key has a form that is not allowed.
    """
    named = f"{KEY_PREFIX}{checked_key(key)}" if key is not None else ""
    return " ".join(part for part in (named, label) if part)


async def make_draft(floor: OrderFloor, caps: Capabilities, terms: Terms) -> Draft:
    """Check an order and make its numbers exact.

    Raises:
        ToolError: What is wrong, what is allowed and what to do next.
    """
    refuse_unsupported(caps, terms)
    instrument = await floor.desk.symbol(terms.symbol)
    intent = wanted(terms, instrument, (await floor.desk.info()).timezone)
    reference = await reference_price(floor, instrument)
    dearest = max(reference or 0, intent.limit_price_nano, intent.stop_price_nano)
    qty_nano, label = _quantity(terms, instrument, dearest)
    intent = msgspec.structs.replace(intent, qty_nano=qty_nano, reason=key_reason(terms.client_order_id, label))
    return Draft(intent, await worst_case(floor, instrument, intent, reference))


def _quantity(terms: Terms, instrument: Instrument, price_nano: int) -> tuple[int, str]:
    """Return the quantity, and how a notional is noted with the order."""
    if (terms.qty is None) == (terms.notional is None):
        raise ToolError("give either qty (units) or notional (an amount of money), and not both.")
    if terms.qty is not None:
        qty_nano = exact("qty", terms.qty)
        on_grid("qty", qty_nano, instrument.lot_nano, instrument.symbol, "lot")
        return qty_nano, ""
    amount = exact("notional", terms.notional)
    if price_nano <= 0:
        raise ToolError(f"{instrument.symbol} has no price yet to turn a notional into a quantity; give qty.")
    one = notional_nano(price_nano, instrument.lot_nano, instrument.multiplier)
    qty_nano = round_to_step(amount * SCALE // (price_nano * instrument.multiplier), instrument.lot_nano)
    if qty_nano <= 0:
        raise ToolError(
            f"notional = {plain(amount)} does not buy one lot of {instrument.symbol} ({plain(instrument.lot_nano)}). "
            f"It is worth {plain(one)} now: give at least that much."
        )
    return qty_nano, f"notional={plain(amount)}"


async def reference_price(floor: OrderFloor, instrument: Instrument) -> int | None:
    """Return the dearest recent price: the last close, and the ask of the last quote; None without either."""
    snapshot = await floor.desk.ask("feed", QuerySnapshot((instrument.symbol,), -1), Snapshot)
    closed = {bar.symbol: bar for bar in snapshot.bars}.get(instrument.symbol)
    quote = {quote.symbol: quote for quote in snapshot.quotes}.get(instrument.symbol)
    if quote is not None and quote.ask_nano > 0 and (closed is None or quote.event_time_ns >= closed.event_time_ns):
        return quote.ask_nano
    return closed.close_nano if closed is not None else None


async def worst_case(
    floor: OrderFloor, instrument: Instrument, intent: OrderIntent, reference: int | None
) -> int | None:
    """Return what an order is worth at most, None when that is not known; its legs only take back what it fills.

    With a limit: there, or at its stop or the price where that is higher. Without: with the collar on top of the price,
    and of a stop's trigger or a trail's distance where those are further.
    """
    if reference is None:
        return None
    far = max(reference, intent.stop_price_nano)
    if intent.limit_price_nano:
        price = max(far, intent.limit_price_nano)
    else:
        trail = max(intent.trail_nano, -(-reference * intent.trail_bps // _BPS))
        collar = await _collar(floor)
        if collar is None:
            return None
        far = max(far, reference + trail)
        price = far + far * collar // _BPS
    return notional_nano(price, intent.qty_nano, instrument.multiplier)


async def _collar(floor: OrderFloor) -> int | None:
    client = (await floor.capabilities()).client
    told = await floor.desk.ask("risk", GetLimits(client), RiskLimits)
    collar = next((line.value for line in told.lines if line.name == "collar_bps"), "")
    return int(collar) if collar.isdigit() else None


async def closing_draft(floor: OrderFloor, symbol: str, held_nano: int, qty_nano: int, wish: str) -> Draft:
    """Return the market order that takes a position back, or part of it."""
    instrument = await floor.desk.symbol(symbol)
    side: Literal["buy", "sell"] = "sell" if held_nano > 0 else "buy"
    intent = wanted(Terms(instrument.symbol, side), instrument, (await floor.desk.info()).timezone)
    intent = msgspec.structs.replace(intent, qty_nano=qty_nano, reason=f"close {wish}")
    return Draft(intent, await worst_case(floor, instrument, intent, await reference_price(floor, instrument)))
