"""One order in the place of another: written for both before the broker is called, and settled by asking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.fixed import to_nano
from bus.messages import EventsSince, OrderEvents, OrderIntent, OrderStatus
from tests.execution.desk import Desk, at, bar, day, dump, intent
from tests.execution.venue import PLAIN, Received, Venue

TICKS = day([bar(n, "100") for n in range(30)])


def replacing(old: OrderIntent, n: int, minute: int, limit: str = "95", **more: Any) -> OrderIntent:
    return intent(n, minute, limit=limit, tif="gtc", replaces=old.client_order_id, **more)


def started(folder: Path, venue: Venue) -> tuple[Desk, OrderIntent]:
    desk = Desk(folder, TICKS, make_broker=venue.broker, offered=venue.offers)
    desk.settle(1)
    old = intent(0, 1, limit="90", tif="gtc")
    desk.send(1, old)
    return desk, old


def statuses(desk: Desk, *orders: OrderIntent) -> list[OrderStatus]:
    return [desk.gateway.engine.book.orders[order.client_order_id].status for order in orders]


def restarted(desk: Desk, folder: Path, venue: Venue) -> Desk:
    desk.close()
    return Desk(folder, TICKS, signer=desk.signer, now_ns=at(1), make_broker=venue.broker, offered=venue.offers)


@pytest.mark.requirement("execution:replace:both")
def test_the_old_one_ends_replaced_and_the_new_one_works_in_one_group(tmp_path: Path) -> None:
    venue = Venue()
    desk, old = started(tmp_path, venue)
    new = replacing(old, 1, 1)
    last = replacing(new, 2, 1, "96")
    answer = desk.send(1, new)
    assert [(e.client_order_id, e.kind) for e in answer] == [
        (new.client_order_id, "sent"),
        (new.client_order_id, "accepted"),
    ]
    desk.send(1, last)
    assert desk.send(1, new) == answer, "asked again, the same"
    assert statuses(desk, old, new, last) == ["replaced", "replaced", "accepted"]
    events = [e for e in desk.call(EventsSince(3), OrderEvents).events if e.kind != "cash"]
    assert [(e.kind, e.status) for e in events if e.client_order_id == old.client_order_id] == [
        ("pending_replace", "pending_replace"),
        ("replaced", "replaced"),
    ]
    assert {e.group for e in events} == {old.client_order_id}, "the root's id names the whole chain"
    again = restarted(desk, tmp_path, venue)
    groups = {order.group for order in again.gateway.engine.book.orders.values()}
    assert groups == {old.client_order_id}, "also after a restart"
    again.close()


class Witness(Venue):
    """A venue that looks into the journal's file when an order arrives."""

    database = ""
    seen: list[tuple[object, object]]

    def arrive(self, intent: OrderIntent) -> Received:
        self.seen = [(row[2], row[3]) for row in dump(self.database) if row[0] == "order_events"]
        return super().arrive(intent)


@pytest.mark.requirement("execution:replace:journal")
def test_both_are_in_the_journal_before_the_broker_is_called(tmp_path: Path) -> None:
    venue = Witness()
    venue.database = str(tmp_path / "journal.sqlite")
    desk, old = started(tmp_path, venue)
    new = replacing(old, 1, 1)
    desk.send(1, new)
    assert venue.seen[-2:] == [(new.client_order_id, "sent"), (old.client_order_id, "pending_replace")]
    desk.close()


@pytest.mark.requirement("execution:replace:settled")
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("mishap", "after"),
    [
        ("lose_answer", ["replaced", "accepted"]),
        ("lose_request", ["accepted", "rejected"]),
        ("refuse", ["accepted", "rejected"]),
    ],
)
def test_every_answer_and_every_lost_answer_is_settled(
    tmp_path: Path, mishap: str, after: list[str], restart: bool
) -> None:
    venue = Venue()
    desk, old = started(tmp_path, venue)
    new = replacing(old, 1, 1)
    venue.mishaps.add(mishap)
    desk.send(1, new)
    if mishap != "refuse":
        assert statuses(desk, old, new) == ["pending_replace", "unknown"], "both are reserved until it is known"
    if restart:
        desk = restarted(desk, tmp_path, venue)
    desk.settle(2)
    assert statuses(desk, old, new) == after
    assert [name for word, name in venue.calls if word == "replace"] == [new.client_order_id]
    assert all(order.arrived == 1 for order in venue.orders.values())
    desk.close()


@pytest.mark.requirement("execution:replace:settled")
def test_a_replacement_that_the_broker_has_not_decided_is_asked_about_until_it_has(tmp_path: Path) -> None:
    venue = Venue()
    desk, old = started(tmp_path, venue)
    new = replacing(old, 1, 1)
    venue.mishaps.add("slow_replace")
    answer = desk.send(1, new)
    assert [e.kind for e in answer] == ["sent", "unknown"]
    assert statuses(desk, old, new) == ["pending_replace", "unknown"]
    venue.orders[old.client_order_id].status = "replaced"
    venue.arrive(new)
    desk.settle(2)
    assert statuses(desk, old, new) == ["replaced", "accepted"]
    assert desk.send(1, new) == answer
    desk.close()


@pytest.mark.requirement("execution:replace:race")
def test_a_fill_that_wins_against_the_replacement_is_the_truth(tmp_path: Path) -> None:
    venue = Venue()
    desk, old = started(tmp_path, venue)
    venue.fill(old.client_order_id, to_nano(100), to_nano(90))
    new = replacing(old, 1, 1)
    desk.send(1, new)
    desk.settle(2)
    assert statuses(desk, old, new) == ["filled", "rejected"]
    assert desk.journal.alarms() == []
    desk.close()


@pytest.mark.requirement("execution:replace:refused")
def test_what_cannot_be_replaced_is_rejected_with_what_to_do_and_the_broker_is_not_called(tmp_path: Path) -> None:
    venue = Venue()
    desk, old = started(tmp_path, venue)
    pair = intent(1, 1, "sell", limit="110", tif="gtc", order_class="oco", stop_loss_nano=to_nano(80))
    over = intent(2, 1, limit="90", tif="gtc")
    desk.send(1, pair, over)
    venue.end(over.client_order_id, "canceled")
    desk.settle(2)
    stranger = intent(77, 1)
    cases = {
        "there is no order": replacing(stranger, 10, 2),
        "is canceled; only an order that works": replacing(over, 11, 2),
        "of a group is not replaced": replacing(pair, 12, 2, side="sell"),
        "send a new order instead": replacing(old, 13, 2, side="sell"),
    }
    before = len(venue.calls)
    for text, order in cases.items():
        events = desk.send(2, order)
        assert [(e.kind, e.status) for e in events] == [("sent", "in_flight"), ("rejected", "rejected")]
        assert text in events[1].reason
    assert venue.calls[before:] == []
    assert statuses(desk, old) == ["accepted"]
    desk.close()


@pytest.mark.requirement("execution:replace:refused")
def test_a_stop_that_waits_here_is_replaced_here(tmp_path: Path) -> None:
    venue = Venue(PLAIN)
    desk, resting = started(tmp_path, venue)
    old = intent(1, 1, "sell", order_type="stop", stop_price_nano=to_nano(80), tif="gtc")
    desk.send(1, old)
    new = intent(2, 1, "sell", order_type="stop", stop_price_nano=to_nano(85), tif="gtc", replaces=old.client_order_id)
    assert [e.kind for e in desk.send(1, new)] == ["held"]
    assert statuses(desk, old, new) == ["replaced", "held"]
    crossed = intent(3, 1, order_type="stop", stop_price_nano=to_nano(120), tif="gtc", replaces=resting.client_order_id)
    assert "waits here and the other at the broker" in desk.send(1, crossed)[1].reason
    assert [name for word, name in venue.calls if word == "submit"] == [resting.client_order_id]
    desk.close()


@pytest.mark.requirement("execution:replace:refused")
@pytest.mark.parametrize("heard", [False, True])
def test_an_order_that_filled_after_its_replacement_was_judged_is_not_replaced(tmp_path: Path, heard: bool) -> None:
    venue = Venue()
    desk, old = started(tmp_path, venue)
    new = replacing(old, 1, 1)
    venue.fill(old.client_order_id, to_nano(40), to_nano(90))
    if heard:
        desk.gateway.engine.listen(ask=False)
    events = desk.send(1, new)
    assert [(event.kind, event.status) for event in events] == [("sent", "in_flight"), ("rejected", "rejected")]
    assert "filled after this was judged" in events[-1].reason
    assert statuses(desk, old) == ["partially_filled"], "it works on as it was"
    assert new.client_order_id not in venue.orders
    desk.settle(2)
    desk.send(2, replacing(old, 2, 2))
    assert statuses(desk, old) == ["replaced"], "judged anew, with the fill, it is"
    desk.close()


@pytest.mark.requirement("execution:replace:both")
def test_what_filled_in_the_instant_that_the_gate_judged_after_does_not_hinder_a_replacement(tmp_path: Path) -> None:
    venue = Venue()
    desk, old = started(tmp_path, venue)
    venue.fill(old.client_order_id, to_nano(40), to_nano(90))
    told = desk.settle(2).events
    assert [event.kind for event in told] == ["fill"]
    desk.send(2, replacing(old, 1, 2))
    assert statuses(desk, old) == ["replaced"]
    desk.close()
