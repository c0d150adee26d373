"""Only the gate's tickets open the door, once, and a bad one changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bus.codec import canonical
from bus.errors import BusError, RemoteError
from bus.fixed import to_nano
from bus.messages import Account, CancelOrder, GetAccount, OrderEvents, OrderIntent, Ticket, TicketedOrder
from execution.broker import Broker
from risk.tickets import Signer, cancel_digest, publish_public_key, sign
from tests.execution.desk import MINUTE, Desk, at, bar, cancel_all, day, dump, gateway_spec, intent, ticketed

replace = msgspec.structs.replace


def altered(order: TicketedOrder, **changes: object) -> TicketedOrder:
    return TicketedOrder(replace(order.intent, **changes), order.ticket)


def reticketed(order: TicketedOrder, **changes: object) -> TicketedOrder:
    return TicketedOrder(order.intent, replace(order.ticket, **changes))


def started(folder: Path) -> Desk:
    desk = Desk(folder, day([bar(n, "100") for n in range(8)]))
    for minute in (1, 2, 3):
        desk.settle(minute)
    return desk


def state(desk: Desk) -> str:
    """A digest of every row of the journal, and the account."""
    account = desk.client.call(GetAccount(desk.gateway.engine.now_ns))  # first: it makes the clock durable
    rows = dump(desk.spec.database)
    return hashlib.sha256(repr((rows, account)).encode()).hexdigest()


BAD: dict[str, Callable[[Desk, TicketedOrder], TicketedOrder]] = {
    "another key": lambda _, good: ticketed(Signer(), good.intent),
    "another key under the gate's name": lambda desk, good: reticketed(
        ticketed(Signer(), good.intent), key_id=desk.signer.key_id
    ),
    "no signature": lambda _, good: reticketed(good, signature=b""),
    "short signature": lambda _, good: reticketed(good, signature=good.ticket.signature[:-1]),
    "flipped bit": lambda _, good: reticketed(
        good, signature=bytes([good.ticket.signature[0] ^ 1]) + good.ticket.signature[1:]
    ),
    "more quantity": lambda _, good: altered(good, qty_nano=good.intent.qty_nano * 2),
    "other side": lambda _, good: altered(good, side="sell"),
    "other symbol": lambda _, good: altered(good, symbol="SPY"),
    "other limit": lambda _, good: altered(good, order_type="limit", limit_price_nano=to_nano(1)),
    "other reason": lambda _, good: altered(good, reason="because"),
    "other id": lambda _, good: altered(good, client_order_id="oo-00000000000000000000"),
    "later expiry": lambda _, good: reticketed(good, expires_ns=good.ticket.expires_ns + 1),
    "other limits": lambda _, good: reticketed(good, limits_version="v2"),
    "other ticket id": lambda _, good: reticketed(good, ticket_id="tk-000000000000"),
    "another client's order": lambda desk, _: ticketed(desk.signer, intent(0, 3, client="mallory")),
    "another run's order": lambda desk, _: ticketed(desk.signer, intent(0, 3, run_id="run-2")),
    "expired": lambda desk, good: ticketed(desk.signer, good.intent, MINUTE - 1, issued_ns=at(2)),
    "not yet good": lambda desk, good: ticketed(desk.signer, good.intent, issued_ns=at(3) + 1),
}


@pytest.mark.requirement("execution:tickets:refused")
@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_ticket_is_refused_with_zero_effect(tmp_path: Path, name: str) -> None:
    desk = started(tmp_path)
    good = ticketed(desk.signer, intent(0, 3))
    before = state(desk)
    (event,) = desk.send(3, BAD[name](desk, good))
    assert (event.seq, event.kind, event.status) == (0, "rejected", "rejected")
    assert event.reason.startswith("ticket: ")
    assert state(desk) == before
    assert desk.settle(5).events == ()
    desk.close()


@pytest.mark.requirement("execution:tickets:refused")
def test_a_ticket_is_not_good_for_a_second_order(tmp_path: Path) -> None:
    desk = started(tmp_path)
    good = ticketed(desk.signer, intent(0, 3))
    assert len(desk.send(3, good)) == 2
    before = state(desk)
    second = altered(good, client_order_id="oo-11111111111111111111")
    assert [event.seq for event in desk.send(3, second)] == [0]
    changed = ticketed(desk.signer, replace(good.intent, qty_nano=to_nano(7)))
    (event,) = desk.send(3, changed)
    assert "an order never changes" in event.reason
    assert state(desk) == before
    desk.close()


@pytest.mark.requirement("execution:tickets:refused")
def test_a_used_ticket_id_is_refused_even_when_it_is_signed_again(tmp_path: Path) -> None:
    desk = started(tmp_path)
    first, second = intent(0, 3), intent(1, 3)
    one = ticketed(desk.signer, first)
    desk.send(3, one)
    from_gate = ticketed(desk.signer, second)
    again = TicketedOrder(second, resigned(desk.signer, from_gate, one.ticket.ticket_id))
    before = state(desk)
    (event,) = desk.send(3, again)
    assert "was used" in event.reason
    assert state(desk) == before
    desk.close()


def resigned(signer: Signer, order: TicketedOrder, ticket_id: str) -> Ticket:
    unsigned = replace(order.ticket, ticket_id=ticket_id, signature=b"")
    return replace(unsigned, signature=signer.sign_bytes(canonical(unsigned)))


@pytest.mark.requirement("execution:tickets:good-beside-bad")
def test_a_bad_order_does_not_hinder_the_good_ones(tmp_path: Path) -> None:
    desk = started(tmp_path)
    orders: list[OrderIntent] = [intent(n, 3, qty=10) for n in range(3)]
    bad = altered(ticketed(desk.signer, orders[1]), qty_nano=to_nano(10_000))
    events = desk.send(3, orders[0], bad, orders[2])
    assert [(e.seq, e.kind, e.client_order_id) for e in events] == [
        (0, "rejected", orders[1].client_order_id),
        (1, "sent", orders[0].client_order_id),
        (2, "sent", orders[2].client_order_id),
        (3, "accepted", orders[0].client_order_id),
        (4, "accepted", orders[2].client_order_id),
    ]
    assert len(desk.settle(5).events) == 2
    desk.close()


@pytest.mark.requirement("execution:tickets:key")
def test_a_restarted_gates_key_is_read_and_its_earlier_tickets_stay_good(tmp_path: Path) -> None:
    desk = started(tmp_path)
    early = ticketed(desk.signer, intent(0, 3))
    desk.send(3, intent(1, 3))
    later = Signer()
    publish_public_key(Path(desk.spec.public_key_file), later)
    assert [e.kind for e in desk.send(3, ticketed(later, intent(2, 3)), early)] == [
        "sent",
        "sent",
        "accepted",
        "accepted",
    ]
    assert [e.seq for e in desk.send(3, ticketed(Signer(), intent(3, 3)))] == [0]
    desk.close()


@pytest.mark.requirement("execution:tickets:key")
@pytest.mark.parametrize("content", [None, "", "{}", '{"key_id": "x", "public_key": "zz"}'])
def test_without_a_readable_key_nothing_gets_in(tmp_path: Path, content: str | None) -> None:
    desk = Desk(tmp_path, day([bar(n, "100") for n in range(4)]))
    key = Path(desk.spec.public_key_file)
    key.unlink()
    if content is not None:
        key.write_text(content, encoding="utf-8")
    desk.settle(1)
    (event,) = desk.send(1, intent(0, 1))
    assert (event.seq, event.kind) == (0, "rejected")
    assert "start the gate" in event.reason
    publish_public_key(key, desk.signer)
    assert len(desk.send(1, intent(0, 1))) == 2
    desk.close()


@pytest.mark.requirement("execution:once:cancel-all")
def test_a_cancel_all_cancels_what_works_once(tmp_path: Path) -> None:
    desk = started(tmp_path)
    orders = [intent(n, 3, limit="90") for n in range(2)]
    desk.send(3, *orders)
    request = cancel_all(desk.signer, at(3))
    answer = desk.call(request, OrderEvents)
    assert [(e.kind, e.status, e.client_order_id) for e in answer.events] == [
        ("canceled", "canceled", order.client_order_id) for order in orders
    ]
    assert desk.settle(4).events == ()
    desk.send(4, intent(0, 4, limit="90"))
    assert desk.call(request, OrderEvents).events == answer.events, "the same answer"
    assert len(desk.gateway.engine.book.working) == 1, "and what was sent after it works on"
    desk.close()


@pytest.mark.requirement("execution:once:cancel-all")
def test_a_cancel_all_without_the_gates_ticket_is_refused(tmp_path: Path) -> None:
    desk = started(tmp_path)
    order = ticketed(desk.signer, intent(0, 3, limit="90"))
    desk.send(3, order)
    good = cancel_all(desk.signer, at(3))
    before = state(desk)
    for bad in (
        cancel_all(Signer(), at(3)),
        replace(good, reason="another"),
        replace(good, now_ns=at(2)),
        replace(good, ticket=order.ticket),
        cancel_all(desk.signer, at(3), client="mallory"),
        cancel_all(desk.signer, at(1)),
        replace(good, strategy="mean"),
        replace(good, ticket=replace(good.ticket, epoch=1)),
        replace(cancel_all(desk.signer, at(3), strategy="mean"), strategy=""),
    ):
        with pytest.raises(RemoteError):
            desk.client.call(bad)
    assert state(desk) == before
    desk.close()


@pytest.mark.requirement("execution:once:cancel-all")
def test_a_cancel_all_of_a_strategy_cancels_that_ones_orders_and_cannot_be_widened(tmp_path: Path) -> None:
    desk = started(tmp_path)
    mine, other = intent(0, 3, limit="90", strategy="mean"), intent(1, 3, limit="90", strategy="trend")
    desk.send(3, mine, other)
    request = cancel_all(desk.signer, at(3), strategy="mean")
    answer = desk.call(request, OrderEvents)
    assert [(e.kind, e.client_order_id) for e in answer.events] == [("canceled", mine.client_order_id)]
    with pytest.raises(RemoteError, match="used for something else"):
        desk.client.call(replace(request, strategy=""))
    assert list(desk.gateway.engine.book.working) == [other.client_order_id]
    desk.close()


SWEPT = [("", "mean"), ("", "trend"), ("mean", "mean")]
SPARED = [("mean", "trend"), ("mean", "")]


@pytest.mark.requirement("execution:tickets:epoch")
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(("scope", "strategy"), [*SWEPT, *SPARED])
def test_a_ticket_from_before_everything_was_canceled_is_refused_for_good(
    tmp_path: Path, scope: str, strategy: str, restart: bool
) -> None:
    desk = started(tmp_path)
    old = ticketed(desk.signer, intent(0, 3, limit="90", strategy=strategy), epoch=4)
    new = ticketed(desk.signer, intent(1, 3, limit="90", strategy=strategy), epoch=5)
    desk.call(cancel_all(desk.signer, at(3), strategy=scope, epoch=5), OrderEvents)
    desk.call(cancel_all(desk.signer, at(3), "a late one", strategy="other", epoch=3), OrderEvents)
    if restart:
        desk.close()
        desk = Desk(tmp_path, desk.feed.ticks, signer=desk.signer, now_ns=at(3))
    before = state(desk)
    kinds = [event.kind for event in desk.send(3, old)]
    if (scope, strategy) in SPARED:
        assert kinds == ["sent", "accepted"]
    else:
        assert kinds == ["rejected"]
        (event,) = desk.send(3, old)
        assert "before everything was canceled (epoch 4, now 5)" in event.reason
        assert state(desk) == before
    assert [event.kind for event in desk.send(3, new)] == ["sent", "accepted"]
    desk.close()


def unreachable(*_: object) -> Broker:
    raise BusError("the broker is down")


@pytest.mark.requirement("execution:tickets:epoch")
def test_tickets_are_void_although_the_broker_cannot_be_reached_when_everything_is_canceled(tmp_path: Path) -> None:
    desk = started(tmp_path)
    desk.send(3, intent(0, 3, limit="90"))
    old = ticketed(desk.signer, intent(1, 3, limit="90"), epoch=4)
    desk.close()
    down = Desk(tmp_path, desk.feed.ticks, signer=desk.signer, now_ns=at(3), make_broker=unreachable)
    with pytest.raises(RemoteError, match="the broker is down"):
        down.client.call(cancel_all(desk.signer, at(3), epoch=5))
    down.close()
    back = Desk(tmp_path, desk.feed.ticks, signer=desk.signer, now_ns=at(3))
    (event,) = back.send(3, old)
    assert "before everything was canceled" in event.reason
    assert len(back.call(cancel_all(desk.signer, at(3), epoch=5), OrderEvents).events) == 1
    back.close()


@pytest.mark.requirement("execution:tickets:epoch")
def test_an_order_that_was_sent_before_everything_was_canceled_is_answered_as_ever(tmp_path: Path) -> None:
    desk = started(tmp_path)
    order = ticketed(desk.signer, intent(0, 3, limit="90"), epoch=4)
    first = desk.send(3, order)
    desk.call(cancel_all(desk.signer, at(3), epoch=5), OrderEvents)
    assert desk.send(3, order) == first
    desk.close()


@pytest.mark.requirement("execution:once:cancel-all")
def test_canceling_keeps_the_broker_and_the_clock(tmp_path: Path) -> None:
    desk = started(tmp_path)
    orders = [intent(n, 3, limit="90") for n in range(2)]
    desk.send(3, *orders)
    engine = desk.gateway.engine
    broker, clock = engine.broker(), engine.books.clock
    one = orders[0].client_order_id
    over = cancel_digest("alice", one, at(3), "test")
    ticket = sign(
        desk.signer,
        client="alice",
        over=over,
        subject=f"cancel {one}",
        limits_version="v1",
        issued_ns=at(3),
        lifetime_ns=MINUTE,
    )
    assert len(desk.call(CancelOrder(at(3), one, "test", ticket), OrderEvents).events) == 1
    assert len(desk.call(cancel_all(desk.signer, at(3)), OrderEvents).events) == 1
    assert engine.broker() is broker, "a session with a broker is not to be lost by what ends orders"
    assert engine.books.clock == clock
    desk.close()


@pytest.mark.requirement("execution:once:cancel-all")
def test_a_cancel_all_does_not_wait_for_the_feed(tmp_path: Path) -> None:
    desk = started(tmp_path)
    desk.send(3, intent(0, 3, limit="90"))
    desk.close()
    again = Desk(tmp_path, [], signer=desk.signer)
    assert len(again.call(cancel_all(again.signer, at(4)), OrderEvents).events) == 1
    assert again.feed.questions == []
    again.close()


@pytest.mark.requirement("execution:tickets:limits")
def test_an_order_judged_under_other_limits_is_refused_and_a_cancel_is_not(tmp_path: Path) -> None:
    ticks = day([bar(n, "100") for n in range(8)])
    desk = Desk(tmp_path, ticks, spec=gateway_spec(tmp_path, limits_version="v2"))
    desk.settle(1)
    order = intent(0, 1, limit="90")
    before = state(desk)
    (event,) = desk.send(1, order)
    assert (event.seq, event.kind) == (0, "rejected")
    assert "was given under limits v1; in force is v2" in event.reason
    assert state(desk) == before
    desk.close()
    same = Desk(tmp_path, ticks, spec=gateway_spec(tmp_path, limits_version="v1"), signer=desk.signer, now_ns=at(1))
    assert [e.kind for e in same.send(1, order)] == ["sent", "accepted"]
    same.close()
    tightened = Desk(
        tmp_path, ticks, spec=gateway_spec(tmp_path, limits_version="v2"), signer=desk.signer, now_ns=at(1)
    )
    assert len(tightened.call(cancel_all(desk.signer, at(1)), OrderEvents).events) == 1
    tightened.close()


@pytest.mark.requirement("execution:tickets:refused")
def test_a_ticket_that_was_over_when_the_account_was_told_is_over_after_a_restart_too(tmp_path: Path) -> None:
    desk = started(tmp_path)
    good = ticketed(desk.signer, intent(0, 3))
    desk.settle(5)  # nothing happened: by itself it leaves no trace
    assert desk.call(GetAccount(at(5)), Account).now_ns == at(5), "by this answer the gate may release the order"
    desk.close()
    again = Desk(tmp_path, desk.feed.ticks, signer=desk.signer, now_ns=at(5))
    (event,) = again.send(3, good)
    assert event.reason.startswith("ticket: ")
    assert "is good from" in event.reason
    assert not again.gateway.engine.book.orders
    again.close()
