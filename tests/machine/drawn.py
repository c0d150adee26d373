"""Orders at the edges: what is drawn is read off the gate's own facts, then taken one step below, at and beyond.

Not how anything is judged: a wrong edge here only makes a duller story.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from hypothesis import strategies as st

from bus.fixed import SCALE
from bus.ids import client_order_id
from bus.messages import OrderIntent, Side
from risk.checks import priced_at
from risk.facts import Facts, Terms
from tests.machine.floor import INSTRUMENTS, RUN

__all__ = ["EDGES", "KINDS", "PLAIN", "draw_order", "draw_replacement"]

Shape: TypeAlias = dict[str, Any]
EDGES = (
    "one", "one", "few", "order quantity", "notional", "position", "position", "gross", "gross", "power", "desk",
    "desk", "reduce", "reduce", "flat", "order quantity", "notional", "position", "gross",
)  # fmt: skip
"""Which bound a quantity is drawn at."""
KINDS = (
    "limit", "limit", "limit", "limit", "market", "market", "stop", "stop_limit", "trail", "trail_bps", "bracket",
    "oto", "oco", "reduce_only",
)  # fmt: skip
LEANS: dict[str, list[Side]] = {"ACME": ["buy", "buy", "buy", "sell"], "BITS": ["sell", "sell", "sell", "buy"]}
"""One symbol is mostly bought and the other mostly sold, so that positions grow up to their limits."""
MOST = 100_000
"""More lots than any limit here has."""
STEP = st.sampled_from([0, 0, 0, -1, 1])
PRICES = ("reference",) * 6 + ("near",) * 6 + ("low", "low", "high", "high", "below", "above", "far")
PLAIN = ("limit",) * 5 + ("market",) * 4 + ("reduce_only",)


def draw_order(
    data: st.DataObject,
    facts: Facts,
    names: tuple[str, int, int],
    strategy: str,
    kinds: tuple[str, ...] = KINDS,
    *,
    exits: bool = False,
) -> OrderIntent:
    """Draw an order.

    Args:
        data: Where from.
        facts: What its client is judged by now.
        names: The client, the cycle and the place in it.
        strategy: Whose in the client.
        kinds: Of which kinds.
        exits: Whether to get out of what is held, where anything is.
    """
    symbol = data.draw(st.sampled_from(sorted(INSTRUMENTS)))
    side: Side = data.draw(st.sampled_from(LEANS[symbol]))
    kind = data.draw(st.sampled_from(kinds))
    terms = facts.terms[symbol]
    exits = exits or bool((facts.closed or facts.restricted) and data.draw(st.integers(0, 3)))
    if exits and terms.held.position_nano:
        # Only reductions may pass, or nothing at all: what still passes is at the edge of a flip.
        side = "sell" if terms.held.position_nano > 0 else "buy"
        shape: Shape = {"order_type": data.draw(st.sampled_from(["market", "limit"])), "time_in_force": "day"}
        if shape["order_type"] == "limit":
            shape["limit_price_nano"] = _price(data, terms, INSTRUMENTS[symbol].tick_nano, "near")
        return _made(data, facts, names, strategy, symbol, side, shape, ("reduce", "flat", "one"))
    shape = _shape(data, kind, side, terms, INSTRUMENTS[symbol].tick_nano)
    return _made(data, facts, names, strategy, symbol, side, shape)


def draw_replacement(
    data: st.DataObject, facts: Facts, names: tuple[str, int, int], old: OrderIntent, left_nano: int
) -> OrderIntent:
    """Draw an order in the place of another: the rest of it, more or less, at another price."""
    terms = facts.terms[old.symbol]
    tick = INSTRUMENTS[old.symbol].tick_nano
    shape: Shape = {
        "order_type": "limit",
        "limit_price_nano": _price(data, terms, tick, data.draw(st.sampled_from(("low", "high", *PRICES[:12])))),
        "replaces": old.client_order_id,
        "time_in_force": data.draw(st.sampled_from(["day", "gtc"])),
    }
    other: Side = "sell" if old.side == "buy" else "buy"
    side = other if data.draw(st.integers(0, 9)) == 9 else old.side
    made = _made(data, facts, names, old.strategy, old.symbol, side, shape)
    if not data.draw(st.booleans()):
        return made
    lot = INSTRUMENTS[old.symbol].lot_nano
    return msgspec.structs.replace(made, qty_nano=max(left_nano + data.draw(STEP) * lot, lot))


def _made(
    data: st.DataObject,
    facts: Facts,
    names: tuple[str, int, int],
    strategy: str,
    symbol: str,
    side: Side,
    shape: Shape,
    edges: tuple[str, ...] = EDGES,
) -> OrderIntent:
    client, cycle, index = names
    fields: Shape = {"order_type": "limit", "time_in_force": "day", "limit_price_nano": 0, **shape}
    kind, lasts, limit = fields.pop("order_type"), fields.pop("time_in_force"), fields.pop("limit_price_nano")
    name = client_order_id(client, RUN, cycle, index)
    lot = INSTRUMENTS[symbol].lot_nano
    draft = OrderIntent(
        name, client, RUN, cycle, index, symbol, side, kind, lasts, lot, limit, facts.now_ns, strategy, **fields
    )
    qty = _quantity(data, facts, draft, data.draw(st.sampled_from(edges)))
    return msgspec.structs.replace(draft, qty_nano=qty)


def _quantity(data: st.DataObject, facts: Facts, draft: OrderIntent, edge: str) -> int:
    terms, lot = facts.terms[draft.symbol], draft.qty_nano
    if edge == "one":
        return lot
    if edge == "few":
        return lot * data.draw(st.integers(2, 10)) + data.draw(st.sampled_from([0, 0, 0, lot // 2]))
    held, unit = terms.held, max(priced_at(draft, terms), 1)
    if draft.replaces and draft.replaces in facts.working:
        unit = max(unit, facts.working[draft.replaces].price_nano)
    buys = draft.side == "buy"
    toward = held.position_nano + held.buys_nano if buys else held.sells_nano - held.position_nano
    if draft.replaces and draft.replaces in facts.working:
        toward -= facts.working[draft.replaces].remaining_nano
    others = facts.gross_nano - held.gross_nano
    room = {
        "order quantity": terms.most_qty_nano,
        "notional": terms.worth_most // unit,
        "position": terms.most_position_nano * SCALE // unit - toward,
        "gross": (facts.limits.max_gross_nano - others) * SCALE // unit - toward,
        "power": (facts.margin_nano - others) * SCALE // unit - toward,
        "desk": (facts.desk.limits.max_gross_nano - facts.desk.gross_nano + held.gross_nano) * SCALE // unit - toward,
        "reduce": -toward,
        "flat": abs(held.position_nano),
    }[edge]
    if edge not in ("order quantity", "notional") and data.draw(st.integers(0, 7)):
        # As much of it as one order may have: several of them come to the edge.
        room = min(room, terms.most_qty_nano, terms.worth_most // unit)
    lots = room // lot + data.draw(STEP)
    return min(max(lots, 1), MOST) * lot


def _price(data: st.DataObject, terms: Terms, tick: int, where: str) -> int:
    """Return a price on the grid at an edge of the collar, or beside the reference."""
    reference = terms.reference_nano // tick * tick
    low, high = -(-terms.low_nano // tick) * tick, terms.high_nano // tick * tick
    nano = {
        "reference": reference,
        "near": reference + data.draw(STEP) * tick,
        "low": low,
        "high": high,
        "below": low - tick,
        "above": high + tick,
        "far": reference * 2 + tick // 2,
    }[where]
    return max(nano, tick)


def _shape(data: st.DataObject, kind: str, side: Side, terms: Terms, tick: int) -> Shape:
    where = "high" if kind == "high" else data.draw(st.sampled_from(PRICES))
    price = _price(data, terms, tick, where)
    up = side == "buy"
    ahead = _price(data, terms, tick, data.draw(st.sampled_from(["high", "above"] if up else ["low", "below"])))
    beside = terms.reference_nano // tick * tick + (tick if up else -tick)
    lasts = data.draw(st.sampled_from(["day", "gtc"]))
    limit: Shape = {"order_type": "limit", "limit_price_nano": price, "time_in_force": lasts}
    away = data.draw(st.sampled_from([1, 2, 50])) * tick
    if kind == "market":
        return {"order_type": "market", "time_in_force": lasts}
    if kind == "reduce_only":
        return {"order_type": "market", "reduce_only": True}
    if kind == "stop":
        return {"order_type": "stop", "stop_price_nano": data.draw(st.sampled_from([ahead, beside]))}
    if kind == "stop_limit":
        return {**limit, "order_type": "stop_limit", "stop_price_nano": data.draw(st.sampled_from([ahead, beside]))}
    if kind == "trail":
        edge = terms.reference_nano * terms.collar_bps // 10_000 // tick * tick
        return {"order_type": "trailing_stop", "trail_nano": max(edge + data.draw(STEP) * tick, tick)}
    if kind == "trail_bps":
        return {"order_type": "trailing_stop", "trail_bps": terms.collar_bps + data.draw(STEP)}
    profit, loss = (price + away, price - away) if up else (price - away, price + away)
    if kind == "bracket":
        return {**limit, "order_class": "bracket", "take_profit_nano": profit, "stop_loss_nano": loss}
    if kind == "oto":
        return {**limit, "order_class": "oto", "stop_loss_nano": loss}
    if kind == "oco":
        # The exit itself: a sale above with its stop below.
        return {**limit, "order_class": "oco", "stop_loss_nano": price - away if side == "sell" else price + away}
    return limit
