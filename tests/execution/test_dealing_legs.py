"""What placing and canceling legs writes and calls, event by event. What is to be placed is in `test_legs_exact`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.fixed import to_nano
from bus.ids import leg_order_id
from bus.messages import OrderEvents, OrderIntent
from execution.orders import LEG_REASON
from tests.execution.desk import at, intent
from tests.execution.test_dealing import Played
from tests.execution.test_tool_questions import cancel
from tests.execution.venue import PLAIN


def bracket(n: int = 0, minute: int = 2) -> OrderIntent:
    """A purchase with a take-profit at 110 and a stop-loss at 90."""
    fields: dict[str, Any] = {"take_profit_nano": to_nano(110), "stop_loss_nano": to_nano(90)}
    return intent(n, minute, limit="100", tif="gtc", order_class="bracket", **fields)


def with_legs(played: Played, minute: int = 3) -> tuple[str, str, str]:
    """A bracket filled in full, its legs at the venue, all told."""
    order = bracket()
    name = order.client_order_id
    played.desk.send(2, order)
    played.venue.fill(name, order.qty_nano, to_nano(100))
    played.desk.settle(minute)
    played.written()
    played.calls()
    return name, leg_order_id(name, "take_profit", 0), leg_order_id(name, "stop_loss", 0)


@pytest.mark.requirement("execution:legs:bracket")
def test_legs_that_a_cancel_calls_for_carry_its_time_and_are_told_by_the_next_instant(tmp_path: Path) -> None:
    played = Played(tmp_path)
    order = bracket()
    name = order.client_order_id
    played.desk.send(2, order)
    played.venue.fill(name, to_nano(40), to_nano(100))
    played.desk.settle(3)
    played.written()
    answer = played.desk.call(cancel(played.desk.signer, name, at(4)), OrderEvents)
    assert [e.kind for e in answer.events] == ["canceled"]
    take, stopped = leg_order_id(name, "take_profit", 0), leg_order_id(name, "stop_loss", 0)
    events = played.written()
    assert [(e.client_order_id, e.kind, e.origin, e.group, e.price_nano, e.time_ns) for e in events] == [
        (name, "canceled", "desk", "", 0, at(4)),
        (take, "sent", "leg", f"{name}/legs", to_nano(110), at(4)),
        (stopped, "sent", "leg", f"{name}/legs", to_nano(90), at(4)),
        (take, "accepted", "leg", f"{name}/legs", to_nano(110), at(4)),
        (stopped, "accepted", "leg", f"{name}/legs", to_nano(90), at(4)),
    ]
    assert {played.venue.orders[leg].intent.decided_ns for leg in (take, stopped)} == {at(4)}
    assert played.untold == ["sent", "sent", "accepted", "accepted"]
    assert played.desk.settle(4).events == tuple(events[1:])
    played.desk.close()


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_our_own_cancel_of_a_leg_is_written_before_the_venue_is_asked(tmp_path: Path) -> None:
    played = Played(tmp_path)
    name, take, stopped = with_legs(played)
    played.venue.fill(take, to_nano(30), to_nano(110))
    told = played.desk.settle(4).events
    smaller = leg_order_id(name, "stop_loss", 1)
    assert played.said() == [
        (take, "fill", 4),
        (stopped, "pending_cancel", 4),
        (stopped, "canceled", 4),
        (smaller, "sent", 4),
        (smaller, "accepted", 4),
    ]
    assert [e.reason for e in told if e.client_order_id == stopped] == [f"{LEG_REASON}70 left of {name}"] * 2
    assert played.calls() == [("cancel", stopped), ("submit", smaller)]
    assert played.untold == []
    played.desk.close()


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_what_a_cancel_does_to_legs_is_told_by_the_next_instant(tmp_path: Path) -> None:
    played = Played(tmp_path)
    pair = intent(0, 2, "sell", limit="110", tif="gtc", order_class="oco", stop_loss_nano=to_nano(80))
    name, stopped = pair.client_order_id, leg_order_id(pair.client_order_id, "stop_loss", 0)
    played.desk.send(2, pair)
    assert played.untold == ["sent", "accepted"]
    played.desk.settle(3)
    played.written()
    played.desk.call(cancel(played.desk.signer, name, at(3)), OrderEvents)
    assert played.said() == [(name, "canceled", 3), (stopped, "pending_cancel", 3), (stopped, "canceled", 3)]
    assert played.untold == ["pending_cancel", "canceled"]
    assert [(e.client_order_id, e.kind) for e in played.desk.settle(4).events] == [
        (stopped, "pending_cancel"),
        (stopped, "canceled"),
    ]
    played.desk.close()


@pytest.mark.requirement("execution:legs:oco")
def test_a_venue_that_refuses_a_cancel_which_it_has_done_does_not_end_the_stop(tmp_path: Path) -> None:
    played = Played(tmp_path)
    pair = intent(0, 2, "sell", limit="110", tif="gtc", order_class="oco", stop_loss_nano=to_nano(80))
    name, stopped = pair.client_order_id, leg_order_id(pair.client_order_id, "stop_loss", 0)
    played.desk.send(2, pair)
    played.venue.fill(stopped, to_nano(25), to_nano(80))
    played.desk.settle(3)
    rest = [stopped, leg_order_id(name, "take_profit", 0)]
    assert played.venue.working() == rest
    played.venue.tell(name, "cancel_rejected", reason="nothing to cancel")
    played.desk.settle(4)
    assert played.venue.working() == rest
    played.desk.close()


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_a_leg_that_waits_here_is_reduced_here(tmp_path: Path) -> None:
    played = Played(tmp_path, PLAIN)
    name, take, stopped = with_legs(played)
    assert played.venue.working() == [take]
    assert played.desk.gateway.engine.book.orders[stopped].waits_here
    played.venue.fill(take, to_nano(30), to_nano(110))
    played.desk.settle(4)
    assert played.said() == [
        (take, "fill", 4),
        (stopped, "canceled", 4),
        (leg_order_id(name, "stop_loss", 1), "held", 4),
    ]
    assert played.calls() == []
    played.desk.close()


@pytest.mark.requirement("execution:legs:restart")
def test_a_cancel_of_ours_that_was_written_and_not_sent_is_sent_and_not_written_again(tmp_path: Path) -> None:
    played = Played(tmp_path)
    name, take, stopped = with_legs(played)
    played.venue.fill(take, to_nano(30), to_nano(110))
    engine = played.desk.gateway.engine
    engine.books.commit(engine.broker().drain(), at(3))
    book = engine.book
    with engine.books.durable():
        book.advance(book.orders[stopped], "pending_cancel", at(3), f"{LEG_REASON}70 left of {name}")
    played.written()
    played.dealer.follow(at(3), unasked=False)
    smaller = leg_order_id(name, "stop_loss", 1)
    assert played.said() == [(stopped, "canceled", 3), (smaller, "sent", 3), (smaller, "accepted", 3)]
    assert played.calls() == [("cancel", stopped), ("submit", smaller)]
    assert played.untold == []
    played.desk.close()


@pytest.mark.requirement("execution:legs:never-arrived")
def test_legs_are_unfinished_until_they_are_placed_and_refused_ones_are_tried_once_a_breath(tmp_path: Path) -> None:
    played = Played(tmp_path)
    order = bracket()
    name = order.client_order_id
    played.desk.send(2, order)
    assert not played.dealer.unfinished
    played.venue.fill(name, order.qty_nano, to_nano(100))
    engine = played.desk.gateway.engine
    engine.books.commit(played.desk.gateway.engine.broker().drain(), at(2))
    assert played.dealer.unfinished
    played.written()
    played.calls()
    played.venue.mishaps.add("refuse")
    played.dealer.follow(at(3), unasked=False)
    take, stopped = leg_order_id(name, "take_profit", 0), leg_order_id(name, "stop_loss", 0)
    assert played.said() == [
        (take, "sent", 3),
        (stopped, "sent", 3),
        (take, "rejected", 3),
        (stopped, "accepted", 3),
    ]
    assert not played.dealer.unfinished
    assert played.untold == []
    played.desk.close()


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_a_cancel_of_a_leg_that_the_venue_has_taken_up_is_waited_for_and_not_sent_again(tmp_path: Path) -> None:
    played = Played(tmp_path)
    _, take, stopped = with_legs(played)
    played.venue.fill(take, to_nano(30), to_nano(110))
    engine = played.desk.gateway.engine
    engine.books.commit(engine.broker().drain(), at(3))
    played.written()
    played.venue.mishaps.add("slow_cancel")
    for _ in range(3):
        played.dealer.follow(at(3), unasked=True)
        played.dealer.try_again()
    assert played.said() == [(stopped, "pending_cancel", 3)] * 2, "ours, and the venue's word of it"
    assert played.calls() == [("cancel", stopped)]
    played.desk.close()


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_a_refused_cancel_of_a_leg_is_tried_again_in_the_next_breath_and_not_before(tmp_path: Path) -> None:
    played = Played(tmp_path)
    _, take, stopped = with_legs(played)
    played.venue.fill(take, to_nano(30), to_nano(110))
    engine = played.desk.gateway.engine
    engine.books.commit(engine.broker().drain(), at(3))
    played.written()
    played.venue.mishaps.add("refuse_cancel")
    played.dealer.follow(at(3), unasked=True)
    assert [(name, kind) for name, kind, _ in played.said()] == [
        (stopped, "pending_cancel"),
        (stopped, "cancel_rejected"),
    ]
    assert played.untold == ["pending_cancel", "cancel_rejected"]
    assert not played.dealer.unfinished
    played.dealer.try_again()
    assert played.dealer.unfinished
    played.dealer.follow(at(3), unasked=True)
    assert played.calls()[:2] == [("cancel", stopped), ("cancel", stopped)]
    assert played.venue.orders[stopped].status == "canceled"
    played.desk.close()


@pytest.mark.requirement("execution:halt:difference")
def test_no_leg_is_placed_in_a_halt_and_each_is_when_it_is_over(tmp_path: Path) -> None:
    played = Played(tmp_path)
    order = bracket()
    played.desk.send(2, order)
    played.venue.fill(order.client_order_id, order.qty_nano, to_nano(100))
    books, dealer = played.desk.gateway.engine.books, played.dealer
    with books.durable():
        books.halt("test")
    played.desk.settle(3)
    played.calls()
    dealer.follow(at(3), unasked=True)
    assert not dealer.unfinished
    assert played.calls() == []
    with books.durable():
        books.halt("")
    dealer.follow(at(3), unasked=True)
    assert [word for word, _ in played.calls()] == ["submit", "submit"]
    played.desk.close()


@pytest.mark.requirement("execution:legs:bracket")
def test_the_legs_of_an_order_that_does_not_last_do_where_the_broker_has_that(tmp_path: Path) -> None:
    played = Played(tmp_path)
    fields: dict[str, Any] = {"tif": "ioc", "order_class": "oto", "stop_loss_nano": to_nano(90)}
    order = intent(0, 2, limit="100", **fields)
    played.desk.send(2, order)
    played.venue.fill(order.client_order_id, order.qty_nano, to_nano(100))
    played.desk.settle(3)
    leg = leg_order_id(order.client_order_id, "stop_loss", 0)
    assert played.venue.orders[leg].intent.time_in_force == "gtc"
    played.desk.close()
