"""What is true of a client's orders at their venue, and what can happen to them next. Knows nothing of the gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from bus.fixed import SCALE
from bus.messages import OrderEventKind, OrderStatus, Side

__all__ = [
    "APPROVE",
    "FULL",
    "PAIR",
    "SIDES",
    "Choice",
    "Model",
    "Order",
    "Slot",
    "Slots",
    "Told",
    "busted",
    "choices",
    "happen",
    "reserved",
    "truth",
    "works",
]

NEW, APPROVED, SENT, UNKNOWN, WORKS, OVER = range(6)
"""The life of an order; where it works it may be partly filled."""
STATUS: dict[int, OrderStatus] = {SENT: "in_flight", UNKNOWN: "unknown", WORKS: "accepted"}
MOST_FILLS = 3
APPROVE = "approve"


class Order(NamedTuple):
    """An order that may be given once: which side, how many units, and instead of which other of its client's."""

    side: Side
    qty: int
    replaces: int = -1


class Slot(NamedTuple):
    """What is true of one order. ``before`` is what the old one filled after this was asked for in its place."""

    life: int = NEW
    filled: int = 0
    before: int = 0
    fills: tuple[int, ...] = ()


class Told(NamedTuple):
    """What execution tells ``of`` an order; ``number`` is of the fill that was made or undone, -1 for none."""

    of: int
    kind: OrderEventKind
    status: OrderStatus
    filled_nano: int
    number: int = -1
    qty: int = 0


Model: TypeAlias = tuple[tuple[Order, ...], tuple[Order, ...]]
"""What the first client may order, and the second."""
Slots: TypeAlias = tuple[Slot, ...]
Choice: TypeAlias = tuple[int, str, int]
"""Which order, what happens to it, and for how many units."""

PAIR: Model = ((Order("buy", 2), Order("buy", 3, 0)), (Order("sell", 3),))
"""An order, its replacement and another client's."""
SIDES: Model = ((Order("buy", 2), Order("sell", 3)), (Order("buy", 3),))
"""Both sides of one client and another client's."""
FULL: dict[str, Model] = {
    "four orders and one": (
        (Order("buy", 2), Order("sell", 2), Order("sell", 3), Order("buy", 3, 0)),
        (Order("sell", 3),),
    ),
    "three orders and two": (
        (Order("buy", 2), Order("sell", 3), Order("buy", 3, 0)),
        (Order("sell", 3), Order("buy", 1)),
    ),
}
"""What is searched at full size: two million states each, and these are all that there are."""


def left(order: Order, slot: Slot) -> int:
    """Return what it could still fill by itself."""
    return order.qty - slot.filled - slot.before if works(slot) else 0


def works(slot: Slot) -> bool:
    """Whether it was approved and is not over."""
    return slot.life not in {NEW, OVER}


def busted(slots: Slots) -> bool:
    """Whether a fill was undone: a position may then be beyond its limit, and nobody is to blame."""
    return any(0 in slot.fills for slot in slots)


def truth(orders: tuple[Order, ...], slots: Slots, side: Side) -> int:
    """Return what could still fill on one side: of an order and its replacement, the larger."""
    largest: dict[int, int] = {}
    for index, (order, slot) in enumerate(zip(orders, slots, strict=True)):
        if order.side == side:
            root = order.replaces if order.replaces >= 0 else index
            largest[root] = max(largest.get(root, 0), left(order, slot))
    return sum(largest.values())


def reserved(orders: tuple[Order, ...], slots: Slots, side: Side) -> int:
    """Return what a book can know of ``truth``: not what a newer order lost to the one that it replaces."""
    return truth(orders, tuple(slot._replace(before=0) for slot in slots), side)


def choices(orders: tuple[Order, ...], slots: Slots) -> Iterator[Choice]:
    """Yield everything that can happen next, in one order."""
    undone = busted(slots)
    for index, (order, slot) in enumerate(zip(orders, slots, strict=True)):
        replaced = slots[order.replaces].life if order.replaces >= 0 else WORKS
        if slot.life == NEW:
            if replaced not in {NEW, OVER}:
                yield index, APPROVE, 0
            continue
        if slot.fills and not undone and len(slot.fills) < MOST_FILLS:
            yield index, "bust", 0
        if slot.life == APPROVED:
            yield from ((index, "send", 0), (index, "unsent", 0))
        elif slot.life != OVER:
            yield from _at_the_venue(index, order, slot, replaced)


def _at_the_venue(index: int, order: Order, slot: Slot, replaced: int) -> Iterator[Choice]:
    waiting = order.replaces >= 0 and slot.life != WORKS and slot.filled == 0
    if slot.life != WORKS:
        if not waiting or (replaced != OVER and left(order, slot) > 0):
            yield index, "accepted", 0
        if slot.filled == 0:
            yield index, "rejected", 0
    if slot.life != UNKNOWN:
        yield index, "unknown", 0
    if not waiting:
        yield index, "canceled", 0
        if len(slot.fills) < MOST_FILLS:
            yield from ((index, "fill", qty) for qty in range(1, left(order, slot) + 1))


def happen(orders: tuple[Order, ...], slots: Slots, choice: Choice) -> tuple[Slots, tuple[Told, ...]]:
    """Return what is true after something happened, and what execution tells of it: nothing of what was never sent."""
    index, what, qty = choice
    after, (_, filled, before, fills) = list(slots), slots[index]
    match what:
        case "approve":
            life, told = APPROVED, ()
        case "unsent":
            life, told = OVER, ()
        case "send":
            life, told = SENT, (Told(index, "sent", "in_flight", filled * SCALE),)
        case "unknown":
            life, told = UNKNOWN, (Told(index, "unknown", "unknown", filled * SCALE),)
        case "rejected":
            life, told = OVER, (Told(index, "rejected", "rejected", filled * SCALE),)
        case "canceled":
            life, told = OVER, (Told(index, "canceled", "canceled", filled * SCALE),)
        case "accepted":
            life, told = WORKS, (Told(index, "accepted", "partially_filled" if filled else "accepted", filled * SCALE),)
            old = orders[index].replaces
            if old >= 0:
                after[old] = slots[old]._replace(life=OVER)
                told += (Told(old, "replaced", "replaced", slots[old].filled * SCALE),)
        case "fill":
            filled, fills = filled + qty, (*fills, qty)
            for number, (other, newer) in enumerate(zip(orders, slots, strict=True)):
                if other.replaces == index and works(newer):
                    after[number] = newer._replace(before=newer.before + qty)
            whole = orders[index].qty - filled - before <= 0
            life = OVER if whole else WORKS
            status: OrderStatus = "filled" if whole else "partially_filled"
            told = (Told(index, "fill", status, filled * SCALE, len(fills) - 1, qty),)
        case _:
            life, number = slots[index].life, len(fills) - 1
            undone, filled, fills = fills[-1], filled - fills[-1], (*fills[:-1], 0)
            told = (Told(index, "bust", STATUS.get(life, "canceled"), filled * SCALE, number, undone),)
    after[index] = Slot(life, filled, before, fills)
    return tuple(after), told
