"""What sending, replacing and canceling write, event by event and to whom it is told. Mishaps are told elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.fixed import to_nano
from bus.messages import OrderEvent, OrderIntent, OrderType
from execution.broker import Offered
from execution.dealing import Dealer
from tests.execution.desk import Desk, at, bar, day, intent
from tests.execution.venue import OFFERS, PLAIN, Venue

TICKS = day([bar(n, "100") for n in range(30)])


class Played:
    """A desk at minute 2 with a venue, and what was written since."""

    def __init__(self, folder: Path, offers: Offered = OFFERS) -> None:
        self.venue = Venue(offers)
        self.desk = Desk(folder, TICKS, make_broker=self.venue.broker, offered=offers)
        self.desk.settle(2)
        self._read = 0
        self.written()

    def written(self) -> list[OrderEvent]:
        """The events since the last time."""
        events = self.desk.gateway.engine.book.events[self._read :]
        self._read += len(events)
        return events

    def said(self) -> list[tuple[str, str, int]]:
        """They in short: order, kind, minute."""
        return [(e.client_order_id, e.kind, (e.time_ns - at(0)) // (at(1) - at(0))) for e in self.written()]

    @property
    def dealer(self) -> Dealer:
        return self.desk.gateway.engine.dealer()

    @property
    def untold(self) -> list[str]:
        """The kinds that came unasked and that the next instant will tell."""
        books = self.desk.gateway.engine.books
        return [books.book.events[seq - 1].kind for seq in books.untold]

    def calls(self) -> list[tuple[str, str]]:
        """What the venue was called for since the last time, but for the questions of every instant."""
        made = [(word, name) for word, name in self.venue.calls if word in ("submit", "replace", "cancel")]
        self.venue.calls.clear()
        return made

    def resting(self, n: int = 0, minute: int = 2, **more: Any) -> str:
        """A purchase that works, written already."""
        order = intent(n, minute, limit="90", tif="gtc", **more)
        self.desk.send(minute, order)
        self.written()
        self.calls()
        return order.client_order_id


def stop(n: int, minute: int = 2, kind: OrderType = "stop", **more: Any) -> OrderIntent:
    """A sale of a hundred with a stop at 80."""
    fields: dict[str, Any] = {"order_type": kind, "stop_price_nano": to_nano(80), **more}
    return intent(n, minute, "sell", tif="gtc", **fields)


# --- sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:dealing:written")
def test_what_is_sent_is_written_first_for_all_orders_and_then_answered(tmp_path: Path) -> None:
    played = Played(tmp_path)
    one, two = intent(0, 2), intent(1, 2, limit="90")
    played.venue.now_ns = 0
    played.desk.send(2, one, two)
    assert played.said() == [
        (one.client_order_id, "sent", 2),
        (two.client_order_id, "sent", 2),
        (one.client_order_id, "accepted", 2),
        (two.client_order_id, "accepted", 2),
    ]
    assert played.calls() == [("submit", one.client_order_id), ("submit", two.client_order_id)]
    assert played.venue.now_ns == at(2), "the venue hears our time"
    assert [played.venue.orders[each.client_order_id].intent for each in (one, two)] == [one, two]
    assert played.untold == []
    played.desk.close()


def refusable(**more: Any) -> OrderIntent:
    fields: dict[str, Any] = {"limit": "90", "tif": "gtc", **more}
    return intent(1, 2, **fields)


@pytest.mark.requirement("execution:not-offered")
@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"order_type": "market"}, "order type market is"),
        ({"tif": "day"}, "order time in force day is"),
        ({"order_class": "bracket"}, "order class bracket is"),
        ({"order_type": "market", "tif": "day"}, "order type market is"),
    ],
)
def test_what_the_broker_does_not_take_is_written_as_sent_and_rejected(
    tmp_path: Path, more: dict[str, Any], what: str
) -> None:
    few = msgspec.structs.replace(
        OFFERS, name="few", order_types=("limit", "stop"), times_in_force=("gtc", "ioc"), order_classes=("simple",)
    )
    played = Played(tmp_path, few)
    good, bad = intent(0, 2, limit="90", tif="gtc"), refusable(**more)
    played.desk.send(2, bad, good)
    events = played.written()
    assert [(e.client_order_id, e.kind, e.time_ns) for e in events] == [
        (bad.client_order_id, "sent", at(2)),
        (bad.client_order_id, "rejected", at(2)),
        (good.client_order_id, "sent", at(2)),
        (good.client_order_id, "accepted", at(2)),
    ]
    assert events[1].reason.startswith(f"not_offered: {what}")
    assert played.calls() == [("submit", good.client_order_id)]
    played.desk.close()


@pytest.mark.requirement("execution:waiting:trailing")
def test_a_trailing_stop_that_waits_here_starts_from_the_last_price_seen(tmp_path: Path) -> None:
    played = Played(tmp_path, PLAIN)
    trail, plain = stop(0, kind="trailing_stop", trail_nano=to_nano(5), stop_price_nano=0), stop(1)
    unseen = stop(2, kind="trailing_stop", trail_nano=to_nano(5), stop_price_nano=0, symbol="SPY")
    played.desk.send(2, trail, plain, unseen)
    assert played.said() == [(each.client_order_id, "held", 2) for each in (trail, plain, unseen)]
    waters = {trail.client_order_id: to_nano(100)}
    assert played.desk.gateway.engine.books.waters == waters == played.desk.journal.waters()
    assert played.calls() == []
    played.desk.close()


@pytest.mark.requirement("execution:waiting:trailing")
def test_a_trailing_stop_at_a_broker_that_has_them_has_no_price_here(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.desk.send(2, stop(0, kind="trailing_stop", trail_nano=to_nano(5), stop_price_nano=0))
    assert played.desk.gateway.engine.books.waters == {}
    played.desk.close()


@pytest.mark.requirement("execution:waiting:triggered")
def test_what_is_met_is_written_as_triggered_and_sent_before_the_broker_hears_of_it(tmp_path: Path) -> None:
    played = Played(tmp_path, PLAIN)
    order = stop(0, stop_price_nano=to_nano(100))
    name = order.client_order_id
    played.desk.send(2, order)
    told = played.desk.settle(3).events
    assert played.said() == [(name, "held", 2), (name, "triggered", 3), (name, "sent", 3), (name, "accepted", 3)]
    assert [e.kind for e in told] == ["triggered", "sent", "accepted"]
    assert played.calls() == [("submit", name)]
    played.desk.close()


# --- canceling --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:cancel:one")
def test_a_cancel_is_written_with_its_reason_and_time_and_is_told_to_who_asked(tmp_path: Path) -> None:
    played = Played(tmp_path, PLAIN)
    order, held = played.resting(), stop(1)
    played.desk.send(2, held)
    played.written()
    book = played.desk.gateway.engine.book
    played.venue.now_ns = 0
    played.dealer.cancel([book.orders[order], book.orders[held.client_order_id]], "why", at(2) + 5)
    assert [(e.client_order_id, e.kind, e.reason, e.time_ns) for e in played.written()] == [
        (order, "canceled", "why", at(2) + 5),
        (held.client_order_id, "canceled", "why", at(2) + 5),
    ]
    assert played.calls() == [("cancel", order)], "the broker does not know the other"
    assert played.venue.now_ns == at(2) + 5
    assert played.untold == []
    played.desk.close()


@pytest.mark.requirement("execution:cancel:one")
def test_a_refused_cancel_is_written_each_time_with_the_brokers_words(tmp_path: Path) -> None:
    played = Played(tmp_path)
    order = played.desk.gateway.engine.book.orders[played.resting()]
    for _ in range(2):
        played.venue.mishaps.add("refuse_cancel")
        played.dealer.cancel([order], "why", at(2))
    assert [(e.kind, e.status, e.reason) for e in played.written()] == [
        ("cancel_rejected", "accepted", "why (too late to cancel)")
    ] * 2
    for _ in range(2):
        played.venue.mishaps.add("lose_request")
        played.dealer.cancel([order], "why", at(2))
    assert [e.kind for e in played.written()] == ["unknown"], "what is unknown is not made more so"
    played.desk.close()


@pytest.mark.requirement("execution:idle:heard")
def test_a_cancel_that_nobody_asked_for_is_told_by_the_next_instant(tmp_path: Path) -> None:
    played = Played(tmp_path)
    order = played.resting()
    played.dealer.cancel([played.desk.gateway.engine.book.orders[order]], "swept", at(2), unasked=True)
    assert played.untold == ["canceled"]
    assert [(e.client_order_id, e.kind) for e in played.desk.settle(3).events] == [(order, "canceled")]
    assert played.untold == []
    played.desk.close()
