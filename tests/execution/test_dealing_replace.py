"""What replacing writes and calls, for every state of the old order and every kind of refusal.

Lost answers to a replacement are settled in `test_replace`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.fixed import to_nano
from bus.ids import leg_order_id
from bus.messages import OrderEventKind, OrderIntent
from execution.broker import BrokerReport
from tests.execution.desk import at, intent
from tests.execution.test_dealing import Played, stop
from tests.execution.venue import OFFERS, PLAIN


def heir(old: str, n: int = 9, **more: Any) -> OrderIntent:
    """A purchase at 95 in the place of another order."""
    return intent(n, 2, limit="95", tif="gtc", replaces=old, **more)


@pytest.mark.requirement("execution:replace:both")
def test_a_replacement_is_written_for_both_and_answered_for_both(tmp_path: Path) -> None:
    played = Played(tmp_path)
    old = played.resting()
    new = heir(old)
    played.desk.send(2, new)
    assert played.said() == [
        (new.client_order_id, "sent", 2),
        (old, "pending_replace", 2),
        (old, "replaced", 2),
        (new.client_order_id, "accepted", 2),
    ]
    assert played.calls() == [("replace", new.client_order_id)]
    played.desk.close()


@pytest.mark.requirement("execution:replace:both")
def test_new_orders_and_replacements_in_one_request_are_each_answered(tmp_path: Path) -> None:
    played = Played(tmp_path)
    old, older = played.resting(0), played.resting(1)
    orders = [intent(2, 2), heir(old, 3), intent(4, 2), heir(older, 5)]
    played.desk.send(2, *orders)
    names = [order.client_order_id for order in orders]
    assert played.calls() == [
        (word, name) for word, name in zip(("submit", "replace", "submit", "replace"), names, strict=True)
    ]
    assert played.said()[6:] == [
        (names[0], "accepted", 2),
        (old, "replaced", 2),
        (names[1], "accepted", 2),
        (names[2], "accepted", 2),
        (older, "replaced", 2),
        (names[3], "accepted", 2),
    ]
    played.desk.close()


@pytest.mark.requirement("execution:replace:settled")
def test_a_broker_that_only_says_it_is_pending_is_written_down_as_an_answer(tmp_path: Path) -> None:
    played = Played(tmp_path)
    old = played.resting()
    new = heir(old)
    played.venue.mishaps.add("slow_replace")
    played.desk.send(2, new)
    assert [(name, kind) for name, kind, _ in played.said()] == [
        (new.client_order_id, "sent"),
        (old, "pending_replace"),
        (old, "pending_replace"),
        (new.client_order_id, "unknown"),
    ]
    played.desk.close()


@pytest.mark.requirement("execution:replace:both")
@pytest.mark.parametrize("replaces", [True, False])
def test_what_waits_here_is_replaced_here_whether_the_broker_replaces_or_not(tmp_path: Path, replaces: bool) -> None:
    played = Played(tmp_path, msgspec.structs.replace(PLAIN, replaces=replaces))
    old = stop(0)
    played.desk.send(2, old)
    played.written()
    new = stop(1, kind="trailing_stop", trail_nano=to_nano(5), stop_price_nano=0, replaces=old.client_order_id)
    played.desk.send(2, new)
    assert played.said() == [(old.client_order_id, "replaced", 2), (new.client_order_id, "held", 2)]
    assert played.desk.gateway.engine.books.waters == {new.client_order_id: to_nano(100)}
    assert played.calls() == []
    assert list(played.desk.gateway.engine.book.working) == [new.client_order_id]
    played.desk.close()


def refused(played: Played, order: OrderIntent) -> str:
    """Send what must be refused without a call; return why it was."""
    played.written()
    played.calls()
    played.desk.send(2, order)
    events = played.written()
    assert [(e.client_order_id, e.kind, e.status, e.time_ns) for e in events] == [
        (order.client_order_id, "sent", "in_flight", at(2)),
        (order.client_order_id, "rejected", "rejected", at(2)),
    ]
    assert played.calls() == []
    assert events[1].reason.startswith("replace: ")
    return events[1].reason


@pytest.mark.requirement("execution:replace:refused")
def test_what_belongs_to_a_group_is_not_replaced_from_either_side(tmp_path: Path) -> None:
    played = Played(tmp_path)
    lone, entry = played.resting(0), played.resting(1, order_class="oto", stop_loss_nano=to_nano(80))
    pair = intent(3, 2, "sell", limit="110", tif="gtc", order_class="oco", stop_loss_nano=to_nano(80))
    played.desk.send(2, pair)
    leg = leg_order_id(pair.client_order_id, "stop_loss", 0)
    for n, order in enumerate(
        (
            heir(lone, 10, order_class="oto", stop_loss_nano=to_nano(80)),
            heir(entry, 11),
            heir(entry, 12, order_class="oto", stop_loss_nano=to_nano(80)),
            heir(leg, 13, side="sell"),
        )
    ):
        assert "of a group" in refused(played, order), n
    assert played.desk.gateway.engine.book.orders[lone].status == "accepted"
    played.desk.close()


@pytest.mark.requirement("execution:replace:refused")
@pytest.mark.parametrize(("more", "why"), [({"side": "sell"}, "to buy IBM"), ({"symbol": "SPY"}, "to buy IBM")])
def test_a_replacement_is_of_the_same_symbol_and_side(tmp_path: Path, more: dict[str, Any], why: str) -> None:
    played = Played(tmp_path)
    old = played.resting()
    assert why in refused(played, heir(old, **more))
    played.desk.close()


@pytest.mark.requirement("execution:replace:refused")
def test_what_waits_here_and_what_is_at_the_broker_do_not_replace_each_other(tmp_path: Path) -> None:
    played = Played(tmp_path, PLAIN)
    resting = played.resting(0, side="sell")
    held = stop(1)
    played.desk.send(2, held)
    assert "one of the two" in refused(played, stop(2, replaces=resting))
    assert "one of the two" in refused(played, heir(held.client_order_id, 3, side="sell"))
    played.desk.close()


@pytest.mark.requirement("execution:replace:refused")
def test_where_the_broker_does_not_replace_orders_it_is_said_by_name(tmp_path: Path) -> None:
    played = Played(tmp_path, msgspec.structs.replace(OFFERS, name="fixed", replaces=False))
    assert "fixed does not replace" in refused(played, heir(played.resting()))
    assert "there is no order oo-nowhere" in refused(played, heir("oo-nowhere", 10))
    played.desk.close()


@pytest.mark.requirement("execution:replace:refused")
@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        ([], True),
        (["suspended"], True),
        (["held"], True),
        (["triggered"], True),
        (["done_for_day"], True),
        (["unknown"], False),
        (["pending_cancel"], False),
        (["pending_replace"], False),
        (["canceled"], False),
        (["expired"], False),
        (["rejected"], False),
        (["replaced"], False),
    ],
)
def test_only_an_order_that_works_for_certain_is_replaced(
    tmp_path: Path, kinds: list[OrderEventKind], taken: bool
) -> None:
    played = Played(tmp_path)
    old = played.resting()
    played.desk.gateway.engine.books.commit(
        [BrokerReport(old, msgspec.convert(kind, Any)) for kind in kinds], at(2), answer=True
    )
    new = heir(old)
    if taken:
        played.desk.send(2, new)
        assert played.calls() == [("replace", new.client_order_id)]
    else:
        state = played.desk.gateway.engine.book.orders[old].status
        assert f"is {state}; only" in refused(played, new)
    played.desk.close()


@pytest.mark.requirement("execution:replace:both")
def test_an_order_with_a_part_filled_is_replaced_too(tmp_path: Path) -> None:
    played = Played(tmp_path)
    old = played.resting()
    played.venue.fill(old, to_nano(40), to_nano(90))
    played.desk.settle(3)
    new = intent(0, 3, limit="95", tif="gtc", replaces=old)
    played.desk.send(3, new)
    assert played.calls() == [("replace", new.client_order_id)]
    played.desk.close()


@pytest.mark.requirement("execution:idle:heard")
def test_what_is_heard_for_a_replacement_is_told_by_the_next_instant(tmp_path: Path) -> None:
    played = Played(tmp_path)
    old = played.resting()
    played.venue.fill(old, to_nano(40), to_nano(90))
    played.desk.send(2, heir(old))
    assert played.untold == ["fill"]
    assert "fill" in [event.kind for event in played.desk.settle(3).events]
    played.desk.close()
