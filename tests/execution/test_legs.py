"""The legs of brackets, oto and oco: what they cover, who ends them, and that a restart at any point goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.fixed import to_nano
from bus.ids import leg_order_id
from bus.messages import EventsSince, OrderEvent, OrderEvents, OrderIntent
from execution.journal import Journal
from tests.execution.desk import Desk, at, bar, cancel_all, day, intent
from tests.execution.test_tool_questions import cancel
from tests.execution.venue import OFFERS, Venue

TICKS = day([bar(n, "100") for n in range(30)])
PRICE = to_nano(100)


def entry(n: int = 0, minute: int = 1, **more: Any) -> OrderIntent:
    """A purchase of a hundred with a take-profit at 110 and a stop-loss at 90."""
    fields: dict[str, Any] = {
        "order_class": "bracket",
        "take_profit_nano": to_nano(110),
        "stop_loss_nano": to_nano(90),
        **more,
    }
    return intent(n, minute, qty=100, limit="100", tif="gtc", **fields)


def oco(n: int = 0, minute: int = 1) -> OrderIntent:
    """A sale of a hundred at 110 beside a stop at 90."""
    return intent(n, minute, "sell", qty=100, limit="110", tif="gtc", order_class="oco", stop_loss_nano=to_nano(90))


def started(folder: Path, venue: Venue, *, journal: type[Journal] = Journal) -> Desk:
    desk = Desk(folder, TICKS, make_broker=venue.broker, offered=venue.offers, journal=journal)
    desk.settle(1)
    return desk


def restarted(desk: Desk, folder: Path, venue: Venue, minute: int) -> Desk:
    """What kill -9 leaves, taken up again."""
    desk.close()
    return Desk(folder, TICKS, signer=desk.signer, now_ns=at(minute), make_broker=venue.broker, offered=venue.offers)


def open_legs(venue: Venue) -> dict[str, int]:
    """What works at the venue: order → what is left of it."""
    return {name: venue.orders[name].left_nano // to_nano(1) for name in venue.working()}


@pytest.mark.requirement("execution:legs:bracket")
def test_a_brackets_legs_are_placed_when_its_entry_is_over_for_what_it_filled(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = entry()
    name = order.client_order_id
    desk.send(1, order)
    venue.fill(name, to_nano(40), PRICE)
    desk.settle(2)
    assert open_legs(venue) == {name: 60}, "an entry that still works has no legs yet"
    venue.end(name, "canceled")
    events = desk.settle(3).events
    profit, loss = leg_order_id(name, "take_profit", 0), leg_order_id(name, "stop_loss", 0)
    assert open_legs(venue) == {profit: 40, loss: 40}
    assert [(e.client_order_id, e.kind, e.origin) for e in events] == [
        (name, "canceled", "desk"),
        (profit, "sent", "leg"),
        (loss, "sent", "leg"),
        (profit, "accepted", "leg"),
        (loss, "accepted", "leg"),
    ]
    assert {e.group for e in events if e.origin == "leg"} == {f"{name}/legs"}
    placed = {leg: venue.orders[leg].intent for leg in (profit, loss)}
    assert [(i.order_type, i.side, i.time_in_force, i.parent_id) for i in placed.values()] == [
        ("limit", "sell", "gtc", name),
        ("stop", "sell", "gtc", name),
    ]
    assert (placed[profit].limit_price_nano, placed[loss].stop_price_nano) == (to_nano(110), to_nano(90))
    desk.close()


@pytest.mark.requirement("execution:legs:bracket")
def test_a_stop_loss_with_a_limit_is_a_stop_limit_and_an_oto_has_one_leg(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = entry(order_class="oto", take_profit_nano=0, stop_loss_limit_nano=to_nano(89))
    desk.send(1, order)
    venue.fill(order.client_order_id, to_nano(100), PRICE)
    desk.settle(2)
    (leg,) = [o.intent for name, o in venue.orders.items() if name != order.client_order_id]
    assert (leg.order_type, leg.limit_price_nano, leg.stop_price_nano) == ("stop_limit", to_nano(89), to_nano(90))
    desk.close()


@pytest.mark.requirement("execution:legs:bracket")
def test_an_entry_that_filled_nothing_has_no_legs(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = entry()
    desk.send(1, order)
    venue.end(order.client_order_id, "expired")
    desk.settle(2)
    assert list(venue.orders) == [order.client_order_id]
    desk.close()


def filled_bracket(folder: Path, venue: Venue) -> tuple[Desk, str, str, str]:
    desk = started(folder, venue)
    order = entry()
    name = order.client_order_id
    desk.send(1, order)
    venue.fill(name, to_nano(100), PRICE)
    desk.settle(2)
    return desk, name, leg_order_id(name, "take_profit", 0), leg_order_id(name, "stop_loss", 0)


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_a_leg_that_fills_in_part_leaves_the_other_the_rest_and_in_full_ends_it(tmp_path: Path) -> None:
    venue = Venue()
    desk, name, profit, loss = filled_bracket(tmp_path, venue)
    venue.fill(profit, to_nano(30), to_nano(110))
    desk.settle(3)
    smaller = leg_order_id(name, "stop_loss", 1)
    assert open_legs(venue) == {profit: 70, smaller: 70}
    assert venue.orders[loss].status == "canceled"
    venue.fill(smaller, to_nano(70), to_nano(90))
    desk.settle(4)
    assert open_legs(venue) == {}
    assert desk.gateway.engine.book.working == {}
    assert [p.qty_nano for p in desk.settle(5).account.positions] == [0]
    assert desk.journal.alarms() == []
    desk.close()


@pytest.mark.requirement("execution:legs:one-cancels-other")
@pytest.mark.parametrize("mishap", ["slow_cancel", "lose_answer", "lose_request", "refuse_cancel"])
def test_the_next_number_waits_until_the_cancel_of_the_one_before_is_certain(tmp_path: Path, mishap: str) -> None:
    venue = Venue()
    desk, name, profit, loss = filled_bracket(tmp_path, venue)
    smaller = leg_order_id(name, "stop_loss", 1)
    venue.fill(profit, to_nano(30), to_nano(110))
    venue.mishaps.add(mishap)
    desk.settle(3)
    assert smaller not in venue.orders
    if mishap == "slow_cancel":
        venue.end(loss, "canceled")
    for minute in (4, 5, 6):
        desk.settle(minute)
    assert open_legs(venue) == {profit: 70, smaller: 70}
    assert all(order.arrived == 1 for order in venue.orders.values())
    desk.close()


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_both_legs_filled_in_one_moment_is_an_alarm(tmp_path: Path) -> None:
    venue = Venue()
    desk, name, profit, loss = filled_bracket(tmp_path, venue)
    venue.fill(profit, to_nano(100), to_nano(110))
    venue.fill(loss, to_nano(20), to_nano(90))
    desk.settle(3)
    assert any(f"legs of {name} filled 20 more than it has" in text for text in desk.journal.alarms())
    assert open_legs(venue) == {}
    desk.close()


@pytest.mark.requirement("execution:legs:late")
def test_a_fill_that_comes_after_the_entry_was_over_is_covered_too(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = entry()
    name = order.client_order_id
    desk.send(1, order)
    venue.fill(name, to_nano(40), PRICE)
    venue.end(name, "canceled")
    desk.settle(2)
    venue.fill(name, to_nano(10), PRICE)
    desk.settle(3)
    assert open_legs(venue) == {leg_order_id(name, "take_profit", 1): 50, leg_order_id(name, "stop_loss", 1): 50}
    desk.close()


@pytest.mark.requirement("execution:legs:ended")
def test_a_leg_that_somebody_else_ended_is_not_placed_again(tmp_path: Path) -> None:
    venue = Venue()
    desk, _, profit, loss = filled_bracket(tmp_path, venue)
    desk.call(cancel(desk.signer, loss, at(2)), OrderEvents)
    for minute in (3, 4):
        desk.settle(minute)
    assert open_legs(venue) == {profit: 100}
    venue.end(profit, "expired")
    for minute in (5, 6):
        desk.settle(minute)
    assert open_legs(venue) == {}
    assert len(venue.orders) == 3
    desk.close()


@pytest.mark.requirement("execution:legs:ended")
def test_a_rejected_leg_is_an_alarm_because_its_entry_is_not_protected(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = entry()
    desk.send(1, order)
    venue.fill(order.client_order_id, to_nano(100), PRICE)
    venue.mishaps.add("refuse")
    desk.settle(2)
    desk.settle(3)
    assert len(venue.orders) == 3
    assert [text for text in desk.journal.alarms() if "is not protected" in text]
    desk.close()


@pytest.mark.requirement("execution:legs:killed")
def test_after_everything_was_canceled_no_leg_is_placed(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    partial, done = entry(0), entry(1)
    desk.send(1, partial, done)
    venue.fill(partial.client_order_id, to_nano(40), PRICE)
    venue.fill(done.client_order_id, to_nano(100), PRICE)
    desk.settle(2)
    assert len(open_legs(venue)) == 3
    desk.call(cancel_all(desk.signer, at(2)), OrderEvents)
    assert open_legs(venue) == {}
    for minute in (3, 4):
        desk.settle(minute)
    assert open_legs(venue) == {}
    desk = restarted(desk, tmp_path, venue, 4)
    desk.settle(5)
    assert open_legs(venue) == {}, "nor after a restart"
    later = entry(0, 5)
    desk.send(5, later)
    venue.fill(later.client_order_id, to_nano(100), PRICE)
    desk.settle(6)
    assert len(open_legs(venue)) == 2, "what is sent afterwards has its legs"
    desk.close()


@pytest.mark.requirement("execution:legs:killed")
def test_after_a_strategy_was_canceled_none_of_its_legs_is_placed_and_those_of_others_are(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    mine, other = entry(0, strategy="mean"), entry(1, strategy="trend")
    desk.send(1, mine, other)
    for order in (mine, other):
        venue.fill(order.client_order_id, to_nano(40), PRICE)
    desk.call(cancel_all(desk.signer, at(1), strategy="mean"), OrderEvents)
    venue.fill(other.client_order_id, to_nano(60), PRICE)
    desk.settle(2)
    names = (leg_order_id(other.client_order_id, name, 0) for name in ("take_profit", "stop_loss"))
    assert open_legs(venue) == dict.fromkeys(names, 100)
    desk.close()


@pytest.mark.requirement("execution:legs:oco")
def test_an_ocos_stop_works_at_once_beside_it_and_each_leaves_the_other_the_rest(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = oco()
    name = order.client_order_id
    sent = desk.send(1, order)
    assert [(e.kind, e.group) for e in sent] == [("sent", f"{name}/legs"), ("accepted", f"{name}/legs")]
    stop = leg_order_id(name, "stop_loss", 0)
    assert open_legs(venue) == {name: 100, stop: 100}
    assert venue.orders[stop].intent.side == "sell"
    told = desk.settle(2).events
    assert [(e.client_order_id, e.kind) for e in told] == [(stop, "sent"), (stop, "accepted")], "the next instant tells"
    venue.fill(stop, to_nano(25), to_nano(90))
    desk.settle(3)
    assert open_legs(venue) == {stop: 75, leg_order_id(name, "take_profit", 0): 75}
    venue.fill(stop, to_nano(75), to_nano(90))
    desk.settle(4)
    assert open_legs(venue) == {}
    desk.close()


@pytest.mark.requirement("execution:legs:oco")
def test_an_oco_that_is_canceled_takes_its_stop_along_and_a_rejected_one_never_has_one(tmp_path: Path) -> None:
    venue = Venue()
    desk = started(tmp_path, venue)
    order = oco()
    desk.send(1, order)
    desk.call(cancel(desk.signer, order.client_order_id, at(1)), OrderEvents)
    assert open_legs(venue) == {}
    venue.mishaps.add("refuse")
    desk.send(1, oco(1))
    assert open_legs(venue) == {}
    assert len(venue.orders) == 3
    desk.close()


class Killed(BaseException):
    """The process is gone."""


class Counted(Journal):
    """A journal that ends its process before its n-th commit, or after it."""

    left = 0

    def _commit(self) -> None:
        type(self).left -= 1
        if self.left == 0:
            raise Killed
        super()._commit()


def story(desk: Desk, venue: Venue, done: set[int]) -> None:
    """A bracket and an oco from beginning to end; steps that were done before a kill are not done again."""
    bracket, pair = entry(0), oco(1)

    def fill_entry() -> None:
        venue.fill(bracket.client_order_id, to_nano(60), PRICE)
        venue.end(bracket.client_order_id, "canceled")

    def fill_profit() -> None:
        venue.fill(leg_order_id(bracket.client_order_id, "take_profit", 0), to_nano(20), to_nano(110))

    def fill_pair() -> None:
        venue.fill(pair.client_order_id, to_nano(70), to_nano(110))

    market = {2: fill_entry, 4: fill_profit, 6: fill_pair}
    for minute in range(1, 10):
        if minute in market and minute not in done:
            done.add(minute)
            market[minute]()
        desk.settle(minute)
        if minute == 1:
            desk.send(1, bracket, pair)


@pytest.mark.requirement("execution:legs:restart")
@pytest.mark.parametrize("before", range(1, 25))
def test_legs_survive_a_restart_at_every_commit(tmp_path: Path, before: int) -> None:
    class Mine(Counted):
        left = before

    venue = Venue()
    done: set[int] = set()
    desk = Desk(tmp_path, TICKS, make_broker=venue.broker, offered=OFFERS, journal=Mine)
    try:
        story(desk, venue, done)
        assert Mine.left > 0
    except Killed:
        desk = restarted(desk, tmp_path, venue, 9)
        story(desk, venue, done)
    bracket, pair = entry(0).client_order_id, oco(1).client_order_id
    assert open_legs(venue) == {
        leg_order_id(bracket, "take_profit", 0): 40,
        leg_order_id(bracket, "stop_loss", 1): 40,
        pair: 30,
        leg_order_id(pair, "stop_loss", 1): 30,
    }
    assert all(order.arrived == 1 for order in venue.orders.values()), "nothing was sent twice"
    events: list[OrderEvent] = list(desk.call(EventsSince(0), OrderEvents).events)
    assert len({e.client_order_id for e in events if e.kind == "sent"}) == sum(e.kind == "sent" for e in events)
    assert {e.client_order_id for e in events if e.kind != "cash"} == set(venue.orders)
    assert desk.journal.alarms() == []
    desk.close()
