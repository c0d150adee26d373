"""The plan of legs, case by case on a book in memory. How it is carried out, with a broker, is in `test_legs`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from bus.fixed import to_nano
from bus.ids import leg_order_id
from bus.messages import Fill, OrderEventKind, OrderIntent, Side, TimeInForce
from execution.broker import Offered
from execution.legs import Place, Reduce, Step, being_reduced, group_of, is_group, plan
from execution.orders import LEG_REASON, Order, OrderBook
from execution.swept import EVERY, Sweep
from tests.execution.desk import at, intent
from tests.execution.venue import OFFERS

NOW = at(7)
TAKE, STOP = "take_profit", "stop_loss"


class Group:
    """One entry of a hundred, at 100, and its legs, in a book."""

    def __init__(self, side: Side = "buy", **more: Any) -> None:
        self.book = OrderBook()
        self._fills = 0
        fields: dict[str, Any] = {
            "order_class": "bracket",
            "take_profit_nano": to_nano(110),
            "stop_loss_nano": to_nano(90),
            **more,
        }
        self.entry = self.add(intent(3, 2, side, 100, "100", tif="gtc", **fields))
        self.name = self.entry.intent.client_order_id

    def add(self, wanted: OrderIntent) -> Order:
        return self.book.add(wanted, 0, "leg" if wanted.parent_id else "desk")

    def tell(self, order: Order, *kinds: OrderEventKind, reason: str = "") -> None:
        for kind in kinds:
            self.book.advance(order, kind, 1, reason)

    def fill(self, order: Order, nano: int) -> Fill:
        self._fills += 1
        known = Fill(f"f{self._fills}", order.intent.client_order_id, "IBM", order.intent.side, nano, 1, 0, 1)
        self.book.advance(order, "fill", 1, fill=known)
        return known

    def over(self, filled: str = "100") -> None:
        """The entry is over with so much filled."""
        self.tell(self.entry, "sent", "accepted")
        if to_nano(filled):
            self.fill(self.entry, to_nano(filled))
        if filled != "100":
            self.tell(self.entry, "canceled")

    def plan(
        self,
        *,
        offered: Offered = OFFERS,
        swept_to: int = 0,
        halted: bool = False,
        tried: Collection[str] = (),
        called: Collection[str] = (),
    ) -> list[Step]:
        return plan(self.book, offered, NOW, sweeps={EVERY: Sweep(swept_to)}, halted=halted, tried=tried, called=called)

    def placed(self, **more: Any) -> list[Order]:
        """What is to be placed is placed and sent."""
        legs: list[Order] = []
        for step in self.plan(**more):
            assert isinstance(step, Place)
            legs.append(self.add(step.intent))
            self.tell(legs[-1], "sent", "accepted")
        return legs

    def said(self, **more: Any) -> list[tuple[str, int]]:
        """The plan in short: an order to be canceled with 0, a leg to be placed with its quantity in units."""
        words: list[tuple[str, int]] = []
        for step in self.plan(**more):
            if isinstance(step, Reduce):
                words.append((step.order.intent.client_order_id, 0))
            else:
                words.append((step.intent.client_order_id, step.intent.qty_nano // to_nano(1)))
        return words

    def leg(self, name: str, number: int = 0) -> str:
        return leg_order_id(self.name, name, number)


# --- what a leg is ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:legs:bracket")
@pytest.mark.parametrize(("side", "other"), [("buy", "sell"), ("sell", "buy")])
def test_the_legs_of_a_bracket_are_whole_orders_on_the_other_side(side: Side, other: Side) -> None:
    group = Group(side, reason="news", stop_loss_limit_nano=to_nano(89))
    group.over("40")
    entry = group.entry.intent
    common = OrderIntent(
        client_order_id="",
        client=entry.client,
        run_id=entry.run_id,
        cycle=2,
        index=3,
        symbol="IBM",
        side=other,
        order_type="limit",
        time_in_force="gtc",
        qty_nano=to_nano(40),
        limit_price_nano=to_nano(110),
        decided_ns=NOW,
        strategy=entry.strategy,
        reason=f"take_profit of {group.name}",
        parent_id=group.name,
    )
    take = msgspec.structs.replace(common, client_order_id=group.leg(TAKE))
    stop = msgspec.structs.replace(
        common,
        client_order_id=group.leg(STOP),
        order_type="stop_limit",
        limit_price_nano=to_nano(89),
        stop_price_nano=to_nano(90),
        reason=f"stop_loss of {group.name}",
    )
    assert group.plan() == [Place(take, to_nano(110)), Place(stop, to_nano(89))]
    plain = Group(side)
    plain.over()
    (_, step) = plain.plan()
    assert isinstance(step, Place)
    assert (step.intent.order_type, step.intent.limit_price_nano, step.intent.stop_price_nano, step.price_nano) == (
        "stop",
        0,
        to_nano(90),
        to_nano(90),
    )


@pytest.mark.requirement("execution:legs:bracket")
@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"order_class": "oto", "stop_loss_nano": 0}, [TAKE]),
        ({"order_class": "oto", "take_profit_nano": 0}, [STOP]),
        ({"order_class": "oto", "take_profit_nano": 1, "stop_loss_nano": 0}, [TAKE]),
        ({}, [TAKE, STOP]),
    ],
)
def test_an_entry_has_the_legs_that_it_names(more: dict[str, Any], names: list[str]) -> None:
    group = Group(**more)
    group.over()
    assert group.said() == [(group.leg(name), 100) for name in names]


@pytest.mark.requirement("execution:legs:bracket")
@pytest.mark.parametrize(
    ("tif", "has", "lasts", "expires"),
    [
        ("day", ("day", "gtc"), "day", 0),
        ("gtc", ("day", "gtc"), "gtc", 0),
        ("gtd", ("day", "gtc", "gtd"), "gtd", at(20)),
        ("ioc", ("day", "gtc"), "gtc", 0),
        ("fok", ("day", "gtc"), "gtc", 0),
        ("ioc", ("day", "ioc"), "day", 0),
        ("fok", ("day",), "day", 0),
        ("gtc", ("day",), "gtc", 0),
    ],
)
def test_legs_last_as_long_as_their_entry_would_have(
    tif: TimeInForce, has: tuple[str, ...], lasts: TimeInForce, expires: int
) -> None:
    group = Group(time_in_force=tif, expires_ns=expires)
    group.over()
    offered = msgspec.structs.replace(OFFERS, times_in_force=has)
    made = [step.intent for step in group.plan(offered=offered) if isinstance(step, Place)]
    assert [(leg.time_in_force, leg.expires_ns) for leg in made] == [(lasts, expires)] * 2


@pytest.mark.requirement("execution:legs:bracket")
def test_only_an_oco_is_in_one_group_with_its_legs_from_the_start() -> None:
    simple, bracket, oco = (intent(0, 1, order_class=kind) for kind in ("simple", "bracket", "oco"))
    assert [is_group(each) for each in (simple, bracket, oco)] == [False, True, True]
    assert [group_of(each) for each in (simple, bracket, oco)] == ["", "", f"{oco.client_order_id}/legs"]


# --- when they are placed ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:legs:bracket")
def test_nothing_is_placed_while_the_entry_works_or_when_it_filled_nothing() -> None:
    group = Group()
    assert group.plan() == []
    for kind in ("sent", "accepted", "pending_cancel"):
        group.tell(group.entry, kind)
        assert group.plan() == []
    group.tell(group.entry, "canceled")
    assert group.plan() == []
    group.fill(group.entry, 1)
    assert group.said() == [(group.leg(TAKE), 0), (group.leg(STOP), 0)], "a billionth is protected"
    assert [step.intent.qty_nano for step in group.plan() if isinstance(step, Place)] == [1, 1]


@pytest.mark.requirement("execution:legs:killed")
def test_nothing_is_placed_in_a_halt_or_for_what_came_before_a_kill_and_reductions_are_made() -> None:
    group = Group()
    group.book.cash("c", 1, 0, "")
    group.over()
    assert group.entry.events[0].seq == 2
    assert [len(group.plan(swept_to=seq)) for seq in (1, 2, 3)] == [2, 2, 0]
    assert group.plan(halted=True) == []
    take, stop = group.placed()
    group.fill(take, to_nano(30))
    assert group.said(halted=True) == group.said(swept_to=3) == [(stop.intent.client_order_id, 0)]
    group.tell(stop, "canceled", reason=f"{LEG_REASON}test")
    assert group.said() == [(group.leg(STOP, 1), 70)]
    assert group.said(halted=True) == group.said(swept_to=3) == []


@pytest.mark.requirement("execution:legs:killed")
def test_legs_of_an_entry_without_an_event_are_reduced_and_none_is_placed() -> None:
    group = Group()
    stray = group.add(intent(9, 2, "sell", 5, "110", parent_id=group.name))
    group.tell(stray, "sent", "accepted")
    assert group.said() == [(stray.intent.client_order_id, 0)]


@pytest.mark.requirement("execution:legs:bracket")
def test_every_entry_of_the_book_is_planned_for_by_itself() -> None:
    group = Group()
    other = group.add(intent(8, 2, qty=7, limit="100", order_class="oto", stop_loss_nano=to_nano(80)))
    group.over()
    group.tell(other, "sent")
    group.fill(other, to_nano(7))
    assert group.said() == [
        (group.leg(TAKE), 100),
        (group.leg(STOP), 100),
        (leg_order_id(other.intent.client_order_id, STOP, 0), 7),
    ]


# --- what they cover --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_a_leg_of_another_size_than_the_rest_is_canceled_and_only_then_the_next_is_placed() -> None:
    group = Group()
    group.over()
    take, stop = group.placed()
    assert group.plan() == [], "both cover the rest"
    group.fill(take, to_nano(30))
    assert group.plan() == [Reduce(stop, f"{LEG_REASON}70 left of {group.name}")]
    name = stop.intent.client_order_id
    assert group.plan(tried=[name]) == [], "not twice in one breath"
    assert group.plan(tried=[take.intent.client_order_id]) != []
    group.tell(stop, "pending_cancel", reason=f"{LEG_REASON}70 left")
    assert group.plan(called=[name]) == [], "it waits for an answer"
    assert group.plan(called=[take.intent.client_order_id]) == group.plan() != [], "a cancel that was not sent is sent"
    group.tell(stop, "canceled", reason=f"{LEG_REASON}70 left")
    assert group.said() == [(group.leg(STOP, 1), 70)]
    smaller = group.placed()[0]
    assert group.plan() == []
    group.fill(smaller, to_nano(20))
    assert group.said() == [(take.intent.client_order_id, 0)]


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_a_leg_that_waits_for_an_answer_is_left_alone_until_there_is_one() -> None:
    group = Group()
    group.over()
    take, stop = group.placed()
    group.fill(take, to_nano(30))
    for kind in ("unknown", "pending_cancel"):
        group.tell(stop, kind)
        assert group.plan() == [], kind
    group.tell(stop, "cancel_rejected")
    assert group.said() == [(stop.intent.client_order_id, 0)]


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_the_last_billionth_of_a_leg_is_canceled_when_nothing_is_left_to_cover() -> None:
    group = Group()
    group.over()
    take, stop = group.placed()
    group.fill(stop, to_nano(100) - 1)
    group.fill(take, 1)
    assert group.said() == [(take.intent.client_order_id, 0), (stop.intent.client_order_id, 0)]
    group.fill(take, 1)
    assert group.plan()[1] == Reduce(stop, f"{LEG_REASON}0 left of {group.name}"), "beyond flat nothing is left either"
    group.tell(stop, "canceled", reason=LEG_REASON)
    group.tell(take, "canceled", reason=LEG_REASON)
    assert group.plan() == [], "and nothing is placed"


@pytest.mark.requirement("execution:legs:late")
def test_what_the_entry_fills_late_is_covered_by_the_next_numbers() -> None:
    group = Group()
    group.over("40")
    take, stop = group.placed()
    group.fill(take, to_nano(40))
    group.tell(stop, "canceled", reason=LEG_REASON)
    assert group.plan() == []
    group.fill(group.entry, to_nano(10))
    assert group.said() == [(group.leg(TAKE, 1), 10), (group.leg(STOP, 1), 10)], "a filled leg is no refusal"


@pytest.mark.requirement("execution:legs:late")
def test_legs_are_fitted_while_an_entry_works_again_after_a_bust() -> None:
    group = Group()
    group.tell(group.entry, "sent")
    known = group.fill(group.entry, to_nano(60))
    group.fill(group.entry, to_nano(40))
    take, stop = group.placed()
    group.book.advance(group.entry, "bust", 2, fill=msgspec.structs.replace(known, fill_id="b", refers_to="f1"))
    assert group.entry.status == "partially_filled"
    assert group.said() == [(take.intent.client_order_id, 0), (stop.intent.client_order_id, 0)]


@pytest.mark.requirement("execution:legs:ended")
def test_a_leg_that_somebody_else_ended_has_no_next_number() -> None:
    group = Group()
    group.over()
    take, stop = group.placed()
    group.tell(stop, "canceled", reason="cancel by hand")
    group.tell(take, "expired")
    assert group.plan() == []
    group = Group()
    group.over()
    take, stop = group.placed()
    group.fill(take, to_nano(30))
    group.tell(stop, "pending_cancel", reason=f"{LEG_REASON}70 left")
    assert being_reduced(stop)
    group.tell(stop, "cancel_rejected", reason="too late")
    assert not being_reduced(stop)
    group.tell(stop, "pending_cancel", reason="by hand")
    assert not being_reduced(stop), "our own cancel was refused: this one is somebody else's"
    group.tell(stop, "canceled")
    assert group.plan() == []


@pytest.mark.requirement("execution:legs:restart")
def test_a_leg_is_being_reduced_while_our_cancel_of_it_is_without_an_answer() -> None:
    group = Group()
    group.over()
    _, stop = group.placed()
    assert not being_reduced(stop)
    group.tell(stop, "pending_cancel", reason=LEG_REASON)
    assert being_reduced(stop)
    group.tell(stop, "triggered")
    assert being_reduced(stop), "news of something else is no answer"
    group.tell(stop, "canceled", reason=LEG_REASON)
    assert not being_reduced(stop)
