"""Legs that certainly never arrived, and what no broker of the desk offers. Not the ordinary life of legs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bus.fixed import to_nano
from bus.ids import leg_order_id
from bus.messages import Capabilities, GetCapabilities, OrderIntent
from execution.broker import BrokerReport
from tests.execution.desk import Desk, intent
from tests.execution.test_legs import PRICE, TICKS, Killed, entry, oco, open_legs, restarted, started
from tests.execution.venue import OFFERS, Venue, VenueBroker


@pytest.mark.requirement("execution:legs:never-arrived")
def test_a_leg_that_never_arrived_is_placed_under_its_next_number(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = entry(order_class="oto", take_profit_nano=0)
    name = order.client_order_id
    desk.send(1, order)
    venue.fill(name, to_nano(100), PRICE)
    venue.mishaps.add("lose_request")
    desk.settle(2)
    for minute in (3, 4):
        desk.settle(minute)
    assert open_legs(venue) == {leg_order_id(name, "stop_loss", 1): 100}
    first = desk.gateway.engine.book.orders[leg_order_id(name, "stop_loss", 0)]
    assert (first.status, first.events[-1].reason) == ("rejected", "never_arrived")
    assert desk.journal.alarms() == [], "the entry is protected"
    desk.close()


class Sending(VenueBroker):
    """A connection whose process is killed when it is about to send a leg."""

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        if intent.parent_id:
            raise Killed
        return super().submit(intent, now_ns)


@pytest.mark.requirement("execution:legs:never-arrived")
def test_legs_that_were_journaled_and_not_sent_before_a_kill_are_placed_after_it(tmp_path: Path) -> None:
    venue = Venue()
    venue.queues = [[]]
    desk = Desk(tmp_path, TICKS, make_broker=lambda _spec, _instruments: Sending(venue), offered=venue.offers)
    desk.settle(1)
    order = entry()
    name = order.client_order_id
    desk.send(1, order)
    venue.fill(name, to_nano(100), PRICE)
    with pytest.raises(Killed):
        desk.settle(2)
    desk = restarted(desk, tmp_path, venue, 3)
    desk.settle(3)
    assert open_legs(venue) == {leg_order_id(name, "take_profit", 1): 100, leg_order_id(name, "stop_loss", 1): 100}
    assert desk.journal.alarms() == []
    desk.close()


class Deaf(VenueBroker):
    """A connection on which no leg ever leaves."""

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        if intent.parent_id:
            return BrokerReport(intent.client_order_id, "rejected", "not_sent: logged off")
        return super().submit(intent, now_ns)


@pytest.mark.requirement("execution:legs:never-arrived")
def test_a_leg_that_never_arrives_is_tried_five_times_and_then_is_an_alarm(tmp_path: Path) -> None:
    venue = Venue()
    venue.queues = [[]]
    desk = Desk(tmp_path, TICKS, make_broker=lambda _spec, _instruments: Deaf(venue), offered=venue.offers)
    desk.settle(1)
    order = entry(order_class="oto", take_profit_nano=0)
    name = order.client_order_id
    desk.send(1, order)
    venue.fill(name, to_nano(100), PRICE)
    tries: list[int] = []
    for minute in range(2, 10):
        desk.settle(minute)
        tries.append(len(desk.gateway.engine.book.legs[name]))
        assert bool(desk.journal.alarms()) == (tries[-1] == 5)
    assert tries == [1, 2, 3, 4, 5, 5, 5, 5], "one at an instant"
    (alarm,) = desk.journal.alarms()
    assert leg_order_id(name, "stop_loss", 4) in alarm
    assert "5 of it in a row" in alarm
    assert "not protected" in alarm
    desk = restarted(desk, tmp_path, venue, 10)
    desk.settle(11)
    assert len(desk.gateway.engine.book.legs[name]) == 5, "not after a restart"
    desk.close()


@pytest.mark.requirement("execution:not-offered")
@pytest.mark.parametrize(
    ("order", "named"),
    [
        (entry(), "order class bracket is not possible with one-sided; it has simple, oto"),
        (oco(), "order class oco is not possible with one-sided; it has simple, oto"),
        (intent(0, 1, qty=1, limit="100", tif="ioc"), "order time in force ioc is not possible with one-sided"),
        (intent(0, 1, qty=1, tif="gtc"), "order type market is not possible with one-sided"),
    ],
)
def test_what_the_broker_does_not_offer_is_refused_by_name_and_not_sent(
    tmp_path: Path, order: OrderIntent, named: str
) -> None:
    few = msgspec.structs.replace(
        OFFERS,
        name="one-sided",
        order_types=("limit", "stop"),
        times_in_force=("gtc",),
        order_classes=("simple", "oto"),
    )
    venue = Venue(few)
    desk = started(tmp_path, venue)
    assert desk.call(GetCapabilities(), Capabilities).order_classes == ("simple", "oto")
    events = desk.send(1, order)
    assert [(event.kind, event.status) for event in events] == [("sent", "in_flight"), ("rejected", "rejected")]
    assert f"not_offered: {named}" in events[-1].reason
    assert "send it as one of these" in events[-1].reason
    assert desk.send(1, order) == events, "the same answer"
    assert venue.orders == {}
    desk.send(1, entry(1, order_class="oto", take_profit_nano=0))
    assert len(venue.orders) == 1
    desk.close()
