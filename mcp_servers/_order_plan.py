"""From what a caller asks for to the exact order to be judged, or a refusal that names what is not supported.

Nothing is sent here and nothing judged: those are the gate's and execution's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from mcp.server.mcpserver.exceptions import ToolError

from bus.fixed import SCALE, notional_nano, round_to_step
from bus.ids import client_order_id
from bus.messages import (
    Capabilities,
    GetLimits,
    Instrument,
    OrderIntent,
    OrderState,
    OrderType,
    QuerySnapshot,
    RiskLimits,
    Side,
    Snapshot,
    TimeInForce,
    Verdict,
)
from mcp_servers._order_floor import OrderFloor
from mcp_servers._order_ids import KEY_PREFIX, checked_key, content_cycle, keyed_cycle
from mcp_servers._order_numbers import exact, on_grid, plain
from mcp_servers._order_text import order_words

__all__ = ["Draft", "Plan", "Terms", "make_draft", "make_plan", "refuse_unsupported"]

STRATEGY = "mcp"
_CARRIED_TYPES = ("market", "limit")
_CARRIED_TIMES = ("day", "ioc")
_CARRIED_CLASSES = ("simple",)
_BPS = 10_000


@dataclass(frozen=True)
class Terms:
    """An order as a caller gives it; numbers unchecked."""

    symbol: str
    side: Side
    type: str = "market"
    time_in_force: str = "day"
    order_class: str = "simple"
    qty: Any = None
    notional: Any = None
    limit_price: Any = None
    stop_price: Any = None
    trail_price: Any = None
    trail_percent: Any = None
    take_profit: Any = None
    stop_loss: Any = None
    client_order_id: str | None = None


@dataclass(frozen=True)
class Draft:
    """One order, exact. ``worst_nano`` is its most with the gate's collar; None when that is unknown."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    qty_nano: int
    limit_nano: int
    worst_nano: int | None
    reason: str = ""

    @property
    def words(self) -> str:
        """The order in words."""
        return order_words(
            self.instrument.symbol, self.side, self.order_type, self.time_in_force, self.qty_nano, self.limit_nano
        )

    def is_of(self, order: OrderState) -> bool:
        """Whether an order that was sent is this one, by what was asked for: a notional may come to any quantity."""
        intent = order.intent
        same = (
            intent.symbol == self.instrument.symbol
            and intent.side == self.side
            and intent.order_type == self.order_type
            and intent.time_in_force == self.time_in_force
            and intent.limit_price_nano == self.limit_nano
            and intent.reason == self.reason
        )
        return same and ("notional=" in self.reason or intent.qty_nano == self.qty_nano)


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
            OrderIntent(
                client_order_id=self.order_id(index),
                client=self.caps.client,
                run_id=self.caps.run_id,
                cycle=self.cycle,
                index=index,
                symbol=draft.instrument.symbol,
                side=draft.side,
                order_type=draft.order_type,
                time_in_force=draft.time_in_force,
                qty_nano=draft.qty_nano,
                limit_price_nano=draft.limit_nano,
                decided_ns=now_ns,
                strategy=STRATEGY,
                reason=draft.reason,
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
    content = [f"{draft.reason} {draft.words}" if "notional=" not in draft.reason else draft.reason + _but_qty(draft)
               for draft in drafts]  # fmt: skip
    return Plan(caps, drafts, content_cycle(now_ns, *content), now_ns)


def _but_qty(draft: Draft) -> str:
    return replace(draft, qty_nano=0).words


def refuse_unsupported(caps: Capabilities, terms: Terms) -> None:
    """Refuse by name what the broker of the day does not take.

    Raises:
        ToolError: Names it and everything that is supported.
    """
    asked = (
        ("type", terms.type, caps.order_types, _CARRIED_TYPES),
        ("order_class", terms.order_class, caps.order_classes, _CARRIED_CLASSES),
        ("time_in_force", terms.time_in_force, caps.times_in_force, _CARRIED_TIMES),
    )
    wrong = [
        f"{name} {value} is not supported by the {caps.broker} broker of this desk (supported: "
        f"{', '.join(item for item in offered if item in carried)})"
        for name, value, offered, carried in asked
        if value not in offered or value not in carried
    ]
    if wrong:
        raise ToolError(f"nothing was sent: {'; '.join(wrong)}. Use what is supported.")
    stray = [
        name
        for name in ("stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss")
        if getattr(terms, name) is not None
    ]
    if stray:
        raise ToolError(
            f"nothing was sent: {', '.join(stray)} cannot be given with type {terms.type}, order_class "
            f"{terms.order_class}; the {caps.broker} broker supports neither stops nor brackets. Leave it out."
        )


async def make_draft(floor: OrderFloor, caps: Capabilities, terms: Terms) -> Draft:
    """Check an order and make its numbers exact.

    Raises:
        ToolError: What is wrong, what is allowed and what to do next.
    """
    refuse_unsupported(caps, terms)
    instrument = await floor.desk.symbol(terms.symbol)
    order_type = cast("OrderType", terms.type)
    limit_nano = _limit(terms, instrument)
    reference = await _reference(floor, instrument)
    qty_nano, label = _quantity(terms, instrument, max(reference or 0, limit_nano))
    key = checked_key(terms.client_order_id) if terms.client_order_id is not None else ""
    reason = " ".join(part for part in (f"{KEY_PREFIX}{key}" if key else "", label) if part)
    worst = await worst_case(floor, instrument, qty_nano, limit_nano, reference)
    return Draft(
        instrument,
        terms.side,
        order_type,
        cast("TimeInForce", terms.time_in_force),
        qty_nano,
        limit_nano,
        worst,
        reason,
    )


def _limit(terms: Terms, instrument: Instrument) -> int:
    if terms.type == "market":
        if terms.limit_price is not None:
            raise ToolError("limit_price belongs to type limit. Leave it out, or use type limit.")
        return 0
    if terms.limit_price is None:
        raise ToolError("type limit needs limit_price. Give it, or use type market.")
    limit_nano = exact("limit_price", terms.limit_price)
    on_grid("limit_price", limit_nano, instrument.tick_nano, instrument.symbol, "tick")
    return limit_nano


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


async def _reference(floor: OrderFloor, instrument: Instrument) -> int | None:
    """Return the dearest recent price: the last close, and the ask of the last quote; None without either."""
    snapshot = await floor.desk.ask("feed", QuerySnapshot((instrument.symbol,), -1), Snapshot)
    closed = {bar.symbol: bar for bar in snapshot.bars}.get(instrument.symbol)
    quote = {quote.symbol: quote for quote in snapshot.quotes}.get(instrument.symbol)
    if quote is not None and quote.ask_nano > 0 and (closed is None or quote.event_time_ns >= closed.event_time_ns):
        return quote.ask_nano
    return closed.close_nano if closed is not None else None


async def worst_case(
    floor: OrderFloor, instrument: Instrument, qty_nano: int, limit_nano: int, reference: int | None
) -> int | None:
    """Return what an order is worth at most: at its limit or the price where that is higher, else with the collar."""
    if reference is None:
        return None
    if limit_nano:
        price = max(limit_nano, reference)
    else:
        told = await floor.desk.ask("risk", GetLimits(), RiskLimits)
        collar = next((line.value for line in told.lines if line.name == "collar_bps"), "")
        if not collar.isdigit():
            return None
        price = reference + reference * int(collar) // _BPS
    return notional_nano(price, qty_nano, instrument.multiplier)


async def closing_draft(floor: OrderFloor, symbol: str, held_nano: int, qty_nano: int, wish: str) -> Draft:
    """Return the market order that takes a position back, or part of it."""
    instrument = await floor.desk.symbol(symbol)
    side: Literal["buy", "sell"] = "sell" if held_nano > 0 else "buy"
    reference = await _reference(floor, instrument)
    worst = await worst_case(floor, instrument, qty_nano, 0, reference)
    return Draft(instrument, side, "market", "day", qty_nano, 0, worst, f"close {wish}")
