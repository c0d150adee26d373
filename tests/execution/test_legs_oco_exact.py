"""The plan of an oco, of legs that never arrived and of legs that filled too much, on a book in memory.

The ordinary plan is in `test_legs_exact`; how plans are carried out, with a broker, in `test_legs`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bus.fixed import to_nano
from bus.messages import OrderEventKind
from execution.legs import Place, Reduce, overfilled, unprotected
from execution.orders import LEG_REASON, Order
from tests.execution.desk import intent
from tests.execution.test_legs_exact import STOP, TAKE, Group

# --- an oco -----------------------------------------------------------------------------------------------------------


def oco(**more: Any) -> Group:
    """A sale of a hundred at 100, beside a stop at 90."""
    return Group("sell", **{"order_class": "oco", "take_profit_nano": 0, **more})


@pytest.mark.requirement("execution:legs:oco")
@pytest.mark.parametrize(
    ("kinds", "placed"),
    [
        ([], False),
        (["accepted"], False),  # an alarm: nobody sent it
        (["sent"], False),
        (["sent", "unknown"], False),
        (["sent", "accepted"], True),
        (["sent", "suspended"], True),
        (["sent", "accepted", "pending_cancel"], True),
        (["sent", "rejected"], False),
        (["sent", "accepted", "canceled"], False),
        (["sent", "expired"], False),
    ],
)
def test_an_ocos_stop_is_placed_when_its_limit_is_known_to_work(kinds: list[OrderEventKind], placed: bool) -> None:
    group = oco()
    group.tell(group.entry, *kinds)
    assert group.said() == ([(group.leg(STOP), 100)] if placed else [])


@pytest.mark.requirement("execution:legs:oco")
def test_what_the_stop_fills_leaves_the_limit_the_rest_under_a_number_of_its_own() -> None:
    group = oco()
    group.tell(group.entry, "sent", "accepted")
    (stop,) = group.placed()
    assert (stop.intent.side, stop.intent.order_type, stop.intent.stop_price_nano) == ("sell", "stop", to_nano(90))
    assert group.plan() == []
    group.fill(stop, to_nano(25))
    assert group.plan() == [Reduce(group.entry, f"{LEG_REASON}75 left of {group.name}")]
    group.tell(group.entry, "canceled", reason=f"{LEG_REASON}75 left")
    (step,) = group.plan()
    assert isinstance(step, Place)
    assert (step.intent.client_order_id, step.intent.side, step.intent.order_type) == (group.leg(TAKE), "sell", "limit")
    assert (step.intent.limit_price_nano, step.intent.stop_price_nano, step.price_nano) == (
        to_nano(100),
        0,
        to_nano(100),
    )
    assert step.intent.qty_nano == to_nano(75)
    (take,) = group.placed()
    assert group.plan() == []
    group.fill(take, to_nano(5))
    assert group.said() == [(stop.intent.client_order_id, 0)]
    group.tell(stop, "canceled", reason=LEG_REASON)
    assert group.said() == [(group.leg(STOP, 1), 70)]
    group.tell(take, "canceled", reason="by hand")
    assert group.said() == [(group.leg(STOP, 1), 70)], "the stop goes on alone"


@pytest.mark.requirement("execution:legs:oco")
def test_what_the_limit_fills_leaves_the_stop_the_rest_and_its_end_takes_the_stop_along() -> None:
    for filled, kinds, after in (
        ("100", [], []),
        ("30", [], [(1, 70)]),
        ("30", ["canceled"], []),
        ("0", ["canceled"], []),
        ("30", ["expired"], []),
    ):
        group = oco()
        group.tell(group.entry, "sent", "accepted")
        (stop,) = group.placed()
        if to_nano(filled):
            group.fill(group.entry, to_nano(filled))
        group.tell(group.entry, *msgspec.convert(kinds, list[OrderEventKind]))
        assert group.said() == [(stop.intent.client_order_id, 0)]
        group.tell(stop, "canceled", reason=LEG_REASON)
        assert group.said() == [(group.leg(STOP, number), qty) for number, qty in after]


@pytest.mark.requirement("execution:legs:oco")
def test_an_oco_that_somebody_ended_after_our_cancel_of_it_was_refused_is_not_continued() -> None:
    group = oco()
    group.tell(group.entry, "sent", "accepted")
    (stop,) = group.placed()
    group.fill(stop, to_nano(25))
    group.tell(group.entry, "pending_cancel", reason=f"{LEG_REASON}75 left")
    group.tell(group.entry, "cancel_rejected", reason="too late")
    group.tell(group.entry, "canceled", reason="by hand")
    assert group.said() == [(stop.intent.client_order_id, 0)]


@pytest.mark.requirement("execution:legs:oco")
def test_a_refusal_that_comes_after_our_cancel_was_done_takes_no_stop_away() -> None:
    group = oco()
    group.tell(group.entry, "sent", "accepted")
    (stop,) = group.placed()
    group.fill(stop, to_nano(25))
    group.tell(group.entry, "pending_cancel", "canceled", reason=f"{LEG_REASON}75 left")
    (take,) = group.placed()
    assert group.plan() == []
    group.tell(group.entry, "cancel_rejected", reason="nothing to cancel")
    assert group.plan() == [], "the stop stays, and stays beside its limit"
    group.fill(stop, to_nano(5))
    assert group.said() == [(take.intent.client_order_id, 0)]


@pytest.mark.requirement("execution:legs:oco")
def test_only_an_oco_of_which_we_canceled_the_limit_has_a_take_profit_beside_it() -> None:
    group = oco(take_profit_nano=to_nano(110))
    group.tell(group.entry, "sent", "accepted")
    assert group.said() == [(group.leg(STOP), 100)]
    group.placed()
    group.fill(group.entry, to_nano(40))
    group.tell(group.entry, "canceled", reason=f"{LEG_REASON}test")
    assert group.said() == [(group.leg(TAKE), 60), (group.leg(STOP), 0)]
    assert [step.price_nano for step in group.plan() if isinstance(step, Place)] == [to_nano(100)], "at its own limit"


# --- legs that never arrived ------------------------------------------------------------------------------------------


def lost(group: Group, *reasons: str) -> list[Order]:
    """The stop's numbers, rejected one after the other for these reasons."""
    legs: list[Order] = []
    for reason in reasons:
        legs += group.placed()
        group.tell(legs[-1], "rejected", reason=reason)
    return legs


@pytest.mark.requirement("execution:legs:never-arrived")
def test_a_leg_that_never_arrived_is_tried_again_five_times_in_a_row_but_not_in_the_same_breath() -> None:
    group = Group(order_class="oto", take_profit_nano=0)
    group.over()
    legs: list[Order] = []
    for n, reason in enumerate(("never_arrived", "not_sent: off", "not_sent", "never_arrived")):
        legs += lost(group, reason)
        assert unprotected(group.book, legs[-1]) == ""
        assert group.said() == [(group.leg(STOP, n + 1), 100)]
        assert group.plan(tried=[legs[-1].intent.client_order_id]) == []
        assert group.said(tried=[group.name]) == [(group.leg(STOP, n + 1), 100)]
    legs += lost(group, "not_sent: still off")
    assert group.plan() == []
    alarm = unprotected(group.book, legs[-1])
    assert group.leg(STOP, 4) in alarm
    assert "(not_sent: still off, 5 of it in a row)" in alarm


@pytest.mark.requirement("execution:legs:ended")
def test_a_leg_that_the_venue_refused_is_an_alarm_and_has_no_next_number() -> None:
    group = Group(order_class="oto", take_profit_nano=0)
    group.over()
    legs = lost(group, "not_sent", "no margin")
    assert group.plan() == []
    assert "(no margin)" in unprotected(group.book, legs[-1])
    assert group.leg(STOP, 1) in unprotected(group.book, legs[-1])


@pytest.mark.requirement("execution:legs:never-arrived")
def test_what_was_lost_before_something_else_happened_is_not_counted() -> None:
    group = Group(order_class="oto", take_profit_nano=0)
    group.over()
    lost(group, *["not_sent"] * 4)
    (fifth,) = group.placed()
    group.tell(fifth, "canceled", reason=f"{LEG_REASON}test")
    sixth = lost(group, "not_sent")[0]
    assert group.leg(STOP, 5) == sixth.intent.client_order_id
    assert unprotected(group.book, sixth) == ""
    assert group.said() == [(group.leg(STOP, 6), 100)]
    (seventh,) = group.placed()
    group.fill(seventh, to_nano(20))
    group.tell(seventh, "rejected", reason="not_sent")
    assert seventh.status != "rejected", "what traded was not refused"
    group.tell(seventh, "canceled", reason="not_sent")
    assert group.plan() == [], "what somebody canceled was there, whatever they say"


@pytest.mark.requirement("execution:legs:never-arrived")
def test_a_rejected_leg_that_traded_after_all_was_there() -> None:
    group = Group(order_class="oto", take_profit_nano=0)
    group.over()
    (leg,) = lost(group, "not_sent")
    group.fill(leg, to_nano(20))
    group.book.advance(leg, "rejected", 3, "not_sent")
    assert (leg.status, leg.filled_nano, leg.events[-1].reason) == ("rejected", to_nano(20), "not_sent")
    assert group.plan() == []
    assert "(not_sent)" in unprotected(group.book, leg)


@pytest.mark.requirement("execution:legs:never-arrived")
def test_each_side_of_a_bracket_counts_its_own() -> None:
    group = Group()
    group.over()
    for n in range(5):
        take, stop = group.placed()
        group.tell(take, "rejected", reason="not_sent")
        group.tell(stop, "rejected", reason="not_sent" if n else "no margin")
        assert (unprotected(group.book, take) == "") == (n < 4)
        if not n:
            assert "(no margin)" in unprotected(group.book, stop)
            break
    assert group.said() == [(group.leg(TAKE, 1), 100)]


@pytest.mark.requirement("execution:legs:ended")
def test_a_leg_whose_entry_is_not_known_is_not_protected_either() -> None:
    group = Group()
    stray = group.add(intent(9, 2, "sell", 5, "110"))
    assert f"leg {stray.intent.client_order_id} was rejected ()" in unprotected(group.book, stray)
    group.tell(stray, "sent")
    group.tell(stray, "rejected", reason="never_arrived")
    assert "(never_arrived)" in unprotected(group.book, stray)


# --- too much ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_legs_that_fill_more_than_they_protect_are_an_alarm_by_the_billionth() -> None:
    group = Group()
    group.over()
    take, stop = group.placed()
    group.fill(take, to_nano(60))
    group.fill(stop, to_nano(40))
    for order in (group.entry, take, stop):
        assert overfilled(group.book, order) == ""
    group.fill(stop, 1)
    for order in (group.entry, take, stop):
        assert f"legs of {group.name} filled 0.000000001 more" in overfilled(group.book, order)
    group = oco()
    group.tell(group.entry, "sent", "accepted")
    (stop,) = group.placed()
    group.fill(group.entry, to_nano(100))
    assert overfilled(group.book, stop) == ""
    group.fill(stop, to_nano(3))
    assert f"legs of {group.name} filled 3 more" in overfilled(group.book, group.entry)


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_an_order_without_legs_and_a_leg_without_an_entry_overfill_nothing() -> None:
    group = Group()
    lone = group.add(intent(9, 2, qty=5))
    child = group.add(intent(10, 2, "sell", 5, parent_id=lone.intent.client_order_id))
    stray = group.add(intent(11, 2, "sell", 5, parent_id="oo-nowhere"))
    for order in (child, stray):
        group.tell(order, "sent")
        group.fill(order, to_nano(5))
    assert [overfilled(group.book, order) for order in (lone, child, stray, group.entry)] == [""] * 4
