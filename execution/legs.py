"""The legs of a bracket, oto or oco: what is to be placed and canceled so that they cover what the entry filled.

Not a broker's groups: every broker gets plain orders. A plan is a function of the journaled orders alone, so that a
restart at any point goes on with the same one. Conventions:

- Legs are placed when the entry is over with something filled; an oco's stop-loss when its limit order was accepted.
- Each side covers the rest: what the entry filled less what all legs filled. A leg of another size is canceled, and the
  next number of it is placed once that cancel is definite. Both legs can fill in the same moment: that is an alarm.
- A leg that somebody else ended (a person's cancel, a rejection, the end of the day) is not placed again.
- A leg that certainly never left or never arrived is no refusal: its next number is placed, at most five in a row and
  not in the same breath. After that it is an alarm.
- After everything was canceled at once (a kill, a lost desk) no leg of the orders before is placed any more.
- Legs last as long as their entry would have; those of an ioc or fok until they are canceled where the broker has that,
  else for the day.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

import msgspec

from bus.fixed import from_nano
from bus.ids import leg_order_id
from bus.messages import OrderIntent, OrderType, TimeInForce
from execution.broker import Offered
from execution.orders import LEG_REASON, Order, OrderBook
from execution.states import ASKED, FINAL, WORKING
from execution.swept import Sweeps, goes_on

__all__ = ["Place", "Reduce", "Step", "being_reduced", "group_of", "is_group", "overfilled", "plan", "unprotected"]

LegName: TypeAlias = Literal["take_profit", "stop_loss"]

_TRIES = 5
_NOT_THERE = ("never_arrived", "not_sent")
"""How the reasons begin of rejections that are not the venue's: it has never had the order."""


class Place(msgspec.Struct, frozen=True):
    """Send this leg."""

    intent: OrderIntent
    price_nano: int


class Reduce(msgspec.Struct, frozen=True):
    """Cancel this order, because it no longer fits what is left."""

    order: Order
    reason: str


Step: TypeAlias = Place | Reduce


def is_group(intent: OrderIntent) -> bool:
    """Whether an order has legs."""
    return intent.order_class != "simple"


def group_of(intent: OrderIntent) -> str:
    """Return the group of a new order: an oco's own limit order never fills more than it together with its stop."""
    return f"{intent.client_order_id}/legs" if intent.order_class == "oco" else ""


def plan(
    book: OrderBook,
    offered: Offered,
    now_ns: int,
    *,
    sweeps: Sweeps,
    halted: bool,
    tried: Collection[str],
    called: Collection[str],
) -> list[Step]:
    """Return what to do next for the legs of all orders; nothing when everything fits or waits for an answer.

    Args:
        book: The orders.
        offered: What the broker takes.
        now_ns: The time that new legs are decided at.
        sweeps: What was canceled all at once: no leg of it is placed any more.
        halted: Whether nothing may be sent.
        tried: Legs whose cancel was tried just now, or that were rejected just now.
        called: Legs whose cancel this process has sent: another one may have been killed before it did.
    """
    steps: list[Step] = []
    for parent in book.groups.values():
        legs = _Legs(parent, book.legs.get(parent.intent.client_order_id, []), offered, now_ns, tried, called)
        placing = not halted and goes_on(sweeps, parent)
        steps += [step for step in legs.steps() if placing or isinstance(step, Reduce)]
    return steps


def being_reduced(order: Order) -> bool:
    """Whether a leg's cancel is written, and no answer to it: after a restart it may not have been sent."""
    return order.status == "pending_cancel" and _by_us(order)


def overfilled(book: OrderBook, order: Order) -> str:
    """Return the alarm of a group whose legs filled more than they protect, empty when they did not."""
    parent = book.orders.get(order.intent.parent_id) if order.intent.parent_id else order
    if parent is None or not is_group(parent.intent):
        return ""
    rest = _rest(parent, book.legs.get(parent.intent.client_order_id, []))
    if rest >= 0:
        return ""
    return (
        f"legs of {parent.intent.client_order_id} filled {from_nano(-rest):f} more than it has; "
        "the position is beyond flat: look at it"
    )


def unprotected(book: OrderBook, order: Order) -> str:
    """Return the alarm of a leg that was rejected, empty when its next number will be placed."""
    name = order.intent.client_order_id
    tries = _not_there(_same(book.legs.get(order.intent.parent_id, []), order))
    if 0 < tries < _TRIES:
        return ""
    often = f", {tries} of it in a row" if tries else ""
    why = order.events[-1].reason if order.events else ""
    return f"leg {name} was rejected ({why}{often}): its entry is not protected; look at it"


def _same(legs: list[Order], leg: Order) -> list[Order]:
    """Return all numbers of a leg."""
    return [each for each in legs if (each.intent.order_type == "limit") == (leg.intent.order_type == "limit")]


def _not_there(legs: list[Order]) -> int:
    """Return how many numbers of a leg in a row, up to the last one, the venue never had."""
    lost = 0
    for leg in reversed(legs):
        if leg.status != "rejected" or leg.filled_nano or not leg.events[-1].reason.startswith(_NOT_THERE):
            break
        lost += 1
    return lost


def _rest(parent: Order, legs: list[Order]) -> int:
    """Return what is still to be covered."""
    covered = sum(leg.filled_nano for leg in legs)
    if parent.intent.order_class != "oco":
        return parent.filled_nano - covered
    if parent.status in FINAL and not _by_us(parent) and parent.filled_nano + covered < parent.intent.qty_nano:
        return 0
    return parent.intent.qty_nano - parent.filled_nano - covered


def _by_us(order: Order) -> bool:
    """Whether an order was ended to make room for the next number, and not by somebody else after that failed."""
    for event in reversed(order.events):
        if event.kind == "cancel_rejected" and event.status not in FINAL:
            return False
        if event.reason.startswith(LEG_REASON):
            return True
    return False


class _Legs:
    """The legs of one order."""

    def __init__(
        self,
        parent: Order,
        legs: list[Order],
        offered: Offered,
        now_ns: int,
        tried: Collection[str],
        called: Collection[str],
    ) -> None:
        self._parent = parent
        self._legs = legs
        self._offered = offered
        self._now_ns = now_ns
        self._tried = tried
        self._called = called

    def steps(self) -> list[Step]:
        parent, intent = self._parent, self._parent.intent
        oco = intent.order_class == "oco"
        ready = parent.status not in ("intent", "in_flight", "unknown") if oco else parent.status in FINAL
        if not ready and not self._legs:
            return []
        rest = _rest(parent, self._legs)
        steps: list[Step] = []
        if oco and parent.status in WORKING:
            steps += self._fit(parent, rest)
        elif intent.take_profit_nano and not oco or oco and _by_us(parent):
            steps += self._side("take_profit", rest)
        if intent.stop_loss_nano:
            steps += self._side("stop_loss", rest)
        return steps

    def _side(self, name: LegName, rest: int) -> list[Step]:
        mine = [leg for leg in self._legs if (leg.intent.order_type == "limit") == (name == "take_profit")]
        last = mine[-1] if mine else None
        if last is not None and last.status in WORKING:
            return self._fit(last, rest)
        if rest <= 0 or (last is not None and not self._goes_on(mine, last)):
            return []
        intent = self._leg(name, len(mine), rest)
        return [Place(intent, intent.limit_price_nano or intent.stop_price_nano)]

    def _goes_on(self, mine: list[Order], last: Order) -> bool:
        """Whether another number is to follow one that is over."""
        lost = _not_there(mine)
        if lost:
            return lost < _TRIES and last.intent.client_order_id not in self._tried
        return last.status == "filled" or _by_us(last)

    def _fit(self, order: Order, rest: int) -> list[Step]:
        """Cancel an order of another size than what is left, unless it waits for an answer."""
        left = order.intent.qty_nano - order.filled_nano
        name = order.intent.client_order_id
        unsent = being_reduced(order) and name not in self._called
        if left == max(rest, 0) or name in self._tried or (order.status in ASKED and not unsent):
            return []
        group = self._parent.intent.client_order_id
        return [Reduce(order, f"{LEG_REASON}{from_nano(max(rest, 0)):f} left of {group}")]

    def _leg(self, name: LegName, number: int, qty_nano: int) -> OrderIntent:
        parent = self._parent.intent
        limit = parent.stop_loss_limit_nano
        if name == "take_profit":
            # An oco's own limit is its take-profit: what continues it carries the same price.
            limit = parent.limit_price_nano if parent.order_class == "oco" else parent.take_profit_nano
        order_type: OrderType = "limit" if name == "take_profit" else "stop_limit" if limit else "stop"
        oco = parent.order_class == "oco"
        return OrderIntent(
            client_order_id=leg_order_id(parent.client_order_id, name, number),
            client=parent.client,
            run_id=parent.run_id,
            cycle=parent.cycle,
            index=parent.index,
            symbol=parent.symbol,
            side=parent.side if oco else "sell" if parent.side == "buy" else "buy",
            order_type=order_type,
            time_in_force=self._lasts(),
            qty_nano=qty_nano,
            limit_price_nano=limit,
            decided_ns=self._now_ns,
            strategy=parent.strategy,
            reason=f"{name} of {parent.client_order_id}",
            stop_price_nano=parent.stop_loss_nano if name == "stop_loss" else 0,
            expires_ns=parent.expires_ns,
            parent_id=parent.client_order_id,
        )

    def _lasts(self) -> TimeInForce:
        chosen = self._parent.intent.time_in_force
        if chosen in ("day", "gtc", "gtd"):
            return chosen
        return "gtc" if "gtc" in self._offered.times_in_force else "day"
