"""What tools ask of execution: orders, capabilities, and to cancel one with the gate's ticket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bus.errors import JournalError, RemoteError
from bus.fixed import to_nano
from bus.messages import (
    Account,
    CancelOrder,
    Capabilities,
    GetAccount,
    GetCapabilities,
    GetOrders,
    OrderEvents,
    Orders,
    Ticket,
)
from execution.journal import Journal
from execution.paper import PAPER_OFFERS
from risk.tickets import Signer, cancel_all_digest, cancel_digest, sign
from tests.execution.desk import MINUTE, Desk, at, bar, cancel_all, day, intent, ticketed
from tests.execution.test_tickets import resigned, started, state

replace = msgspec.structs.replace


def cancel(
    signer: Signer, order_id: str, now_ns: int, reason: str = "test", client: str = "alice", lifetime_ns: int = MINUTE
) -> CancelOrder:
    """A cancel of one order with the gate's ticket."""
    over = cancel_digest(client, order_id, now_ns, reason)
    signed = ticket(signer, over, now_ns, f"cancel:{order_id}:{now_ns}", client, lifetime_ns)
    return CancelOrder(now_ns, order_id, reason, signed)


def ticket(
    signer: Signer, over: str, now_ns: int, subject: str, client: str = "alice", lifetime_ns: int = MINUTE
) -> Ticket:
    return sign(
        signer,
        client=client,
        over=over,
        subject=subject,
        limits_version="v1",
        issued_ns=now_ns,
        lifetime_ns=lifetime_ns,
    )


@pytest.mark.requirement("execution:cancel:one")
def test_a_cancel_ends_its_order_and_no_other(tmp_path: Path) -> None:
    desk = started(tmp_path)
    orders = [intent(n, 3, limit="90") for n in range(3)]
    desk.send(3, *orders)
    request = cancel(desk.signer, orders[1].client_order_id, at(3))
    answer = desk.call(request, OrderEvents)
    assert [(e.kind, e.status, e.client_order_id) for e in answer.events] == [
        ("canceled", "canceled", orders[1].client_order_id)
    ]
    assert set(desk.gateway.engine.book.working) == {orders[0].client_order_id, orders[2].client_order_id}
    before = state(desk)
    assert desk.call(request, OrderEvents) == answer, "asked again, the same"
    assert state(desk) == before
    desk.close()


BAD: dict[str, Callable[[Desk, CancelOrder], CancelOrder]] = {
    "another key": lambda _, good: cancel(Signer(), good.client_order_id, at(3)),
    "another key under the gate's name": lambda desk, good: replace(
        good, ticket=replace(cancel(Signer(), good.client_order_id, at(3)).ticket, key_id=desk.signer.key_id)
    ),
    "no signature": lambda _, good: replace(good, ticket=replace(good.ticket, signature=b"")),
    "another reason": lambda _, good: replace(good, reason="another"),
    "another time": lambda _, good: replace(good, now_ns=at(2)),
    "another order": lambda _, good: replace(good, client_order_id=intent(1, 3).client_order_id),
    "another client": lambda desk, good: cancel(desk.signer, good.client_order_id, at(3), client="mallory"),
    "another client's ticket": lambda desk, good: replace(
        good, ticket=ticket(desk.signer, good.ticket.order_digest, at(3), "x", client="mallory")
    ),
    "the ticket of the order": lambda desk, good: replace(
        good, ticket=ticketed(desk.signer, intent(0, 3, limit="90")).ticket
    ),
    "a ticket to cancel everything": lambda desk, good: replace(
        good, ticket=ticket(desk.signer, cancel_all_digest("alice", at(3), "test"), at(3), "y")
    ),
    "expired": lambda desk, good: cancel(desk.signer, good.client_order_id, at(1), lifetime_ns=MINUTE),
}


@pytest.mark.requirement("execution:cancel:ticket")
@pytest.mark.parametrize("name", list(BAD))
def test_a_cancel_without_its_own_ticket_of_the_gates_changes_nothing(tmp_path: Path, name: str) -> None:
    desk = started(tmp_path)
    orders = [intent(n, 3, limit="90") for n in range(2)]
    desk.send(3, *orders)
    good = cancel(desk.signer, orders[0].client_order_id, at(3))
    before = state(desk)
    with pytest.raises(RemoteError) as refused:
        desk.client.call(BAD[name](desk, good))
    assert refused.value.code == "ticket"
    assert state(desk) == before
    assert len(desk.gateway.engine.book.working) == 2
    desk.close()


@pytest.mark.requirement("execution:cancel:ticket")
def test_a_ticket_id_that_was_used_for_something_else_cancels_nothing(tmp_path: Path) -> None:
    desk = started(tmp_path)
    order, other = ticketed(desk.signer, intent(0, 3, limit="90")), intent(1, 3, limit="90")
    desk.send(3, order, other)
    first = cancel(desk.signer, other.client_order_id, at(3))
    desk.call(first, OrderEvents)
    again = cancel(desk.signer, order.intent.client_order_id, at(3))
    before = state(desk)
    for used in (order.ticket.ticket_id, first.ticket.ticket_id):
        forged = replace(again, ticket=resigned(desk.signer, replace(order, ticket=again.ticket), used))
        with pytest.raises(RemoteError, match="was used for something else"):
            desk.client.call(forged)
    assert state(desk) == before
    desk.close()


@pytest.mark.requirement("execution:cancel:ticket")
def test_a_used_cancel_ticket_sends_no_order_and_cancels_not_everything(tmp_path: Path) -> None:
    desk = started(tmp_path)
    orders = [intent(n, 3, limit="90") for n in range(2)]
    desk.send(3, *orders)
    used = cancel(desk.signer, orders[0].client_order_id, at(3))
    desk.call(used, OrderEvents)
    before = state(desk)
    late = ticketed(desk.signer, intent(5, 3))
    (event,) = desk.send(3, replace(late, ticket=resigned(desk.signer, late, used.ticket.ticket_id)))
    assert "was used" in event.reason
    everything = cancel_all(desk.signer, at(3))
    forged = resigned(desk.signer, replace(late, ticket=everything.ticket), used.ticket.ticket_id)
    with pytest.raises(RemoteError, match="was used"):
        desk.client.call(replace(everything, ticket=forged))
    assert state(desk) == before
    desk.close()


@pytest.mark.requirement("execution:cancel:closed")
def test_an_order_that_is_over_stays_as_it_is_and_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    desk = started(tmp_path)
    order = intent(0, 3)
    desk.send(3, order)
    desk.settle(5)
    before = state(desk)
    assert desk.call(cancel(desk.signer, order.client_order_id, at(5)), OrderEvents).events == ()
    with pytest.raises(RemoteError, match="there is no order"):
        desk.client.call(cancel(desk.signer, "oo-00000000000000000000", at(5)))
    assert state(desk) == before
    desk.close()


class Full(Journal):
    """A disk that has no room from a moment on."""

    full = False

    def _commit(self) -> None:
        if self.full:
            raise JournalError("no room")
        super()._commit()


@pytest.mark.requirement("execution:cancel:journal")
def test_a_cancel_that_cannot_be_written_first_is_not_done(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(n, "100") for n in range(8)]), journal=Full)
    desk.settle(1)
    order = intent(0, 1, limit="90")
    desk.send(1, order)
    journal = desk.journal
    assert isinstance(journal, Full)
    request = cancel(desk.signer, order.client_order_id, at(1))
    journal.full = True
    with pytest.raises(RemoteError, match="no room"):
        desk.client.call(request)
    journal.full = False
    assert list(desk.gateway.engine.book.working) == [order.client_order_id]
    assert [e.kind for e in desk.call(request, OrderEvents).events] == ["canceled"]
    desk.close()


@pytest.mark.requirement("execution:cancel:journal")
def test_a_cancel_survives_a_restart_and_its_ticket_stays_used(tmp_path: Path) -> None:
    desk = started(tmp_path)
    order = intent(0, 3, limit="90")
    desk.send(3, order)
    request = cancel(desk.signer, order.client_order_id, at(3))
    answer = desk.call(request, OrderEvents)
    desk.close()
    again = Desk(tmp_path, day([bar(n, "100") for n in range(8)]), signer=desk.signer, now_ns=at(3))
    assert again.gateway.engine.books.tickets[request.ticket.ticket_id][0] == f"cancel {order.client_order_id}"
    assert again.call(request, OrderEvents) == answer
    assert again.settle(5).events == ()
    again.close()


@pytest.mark.requirement("execution:orders")
def test_orders_are_listed_newest_first_by_status_symbol_and_id_in_pages(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(n, "100", symbol=s) for n in range(8) for s in ("IBM", "SPY")]))
    desk.settle(1)
    sent = [
        intent(0, 1),
        intent(1, 1, limit="90"),
        intent(2, 1, symbol="SPY"),
        intent(3, 1, limit="80", symbol="SPY"),
    ]
    desk.send(1, *sent)
    desk.settle(3)
    ids = [order.client_order_id for order in sent]

    def listed(ask: GetOrders) -> list[str]:
        return [order.intent.client_order_id for order in desk.call(ask, Orders).orders]

    assert listed(GetOrders()) == ids[::-1]
    assert listed(GetOrders("open")) == [ids[3], ids[1]]
    assert listed(GetOrders("closed")) == [ids[2], ids[0]]
    assert listed(GetOrders("all", ("SPY",))) == [ids[3], ids[2]]
    assert listed(GetOrders("open", ("IBM",))) == [ids[1]]
    assert listed(GetOrders(client_order_ids=(ids[0], "oo-0"))) == [ids[0]]
    assert listed(GetOrders(limit=2, offset=1)) == [ids[2], ids[1]]
    assert listed(GetOrders(limit=-5, offset=-5)) == []
    page = desk.call(GetOrders(limit=1), Orders)
    assert (page.total, page.now_ns) == (4, at(3))
    (filled,) = desk.call(GetOrders(client_order_ids=(ids[0],)), Orders).orders
    fills = [e.fill for e in desk.gateway.engine.book.events if e.client_order_id == ids[0] and e.fill is not None]
    assert (filled.status, filled.filled_nano) == ("filled", to_nano(100))
    assert filled.avg_price_nano == fills[0].price_nano
    assert filled.fees_nano == sum(fill.fee_nano for fill in fills) > 0
    assert filled.sent_ns == at(1) < filled.updated_ns
    desk.close()


@pytest.mark.requirement("execution:orders")
def test_the_average_price_is_over_all_fills(tmp_path: Path) -> None:
    ticks = day([bar(0, "100"), bar(1, "100"), bar(2, "100", volume=4_000), bar(3, "110", volume=100_000), bar(4, "1")])
    desk = Desk(tmp_path, ticks)
    desk.settle(1)
    order = intent(0, 1, qty=2_600)
    desk.send(1, order)
    desk.settle(4)
    (known,) = desk.call(GetOrders(), Orders).orders
    fills = [e.fill for e in desk.gateway.engine.book.events if e.fill is not None]
    assert len({fill.price_nano for fill in fills}) == 2
    exact = sum(fill.price_nano * fill.qty_nano for fill in fills) / sum(fill.qty_nano for fill in fills)
    assert abs(known.avg_price_nano - exact) < 1_000
    desk.close()


@pytest.mark.requirement("execution:capabilities")
def test_what_is_offered_is_what_the_broker_takes(tmp_path: Path) -> None:
    desk = started(tmp_path)
    told = desk.call(GetCapabilities(), Capabilities)
    assert told == Capabilities(
        client="alice",
        run_id="run-1",
        broker="paper",
        mode="replay",
        now_ns=at(3),
        order_types=PAPER_OFFERS.order_types,
        times_in_force=PAPER_OFFERS.times_in_force,
        order_classes=("simple", "bracket", "oco", "oto"),
        replaces=True,
        shorts=True,
    )
    assert set(told.order_types) == {"market", "limit", "stop", "stop_limit", "trailing_stop"}
    short = intent(0, 3, "sell")
    assert [e.kind for e in desk.send(3, short)] == ["sent", "accepted"]
    desk.settle(5)
    assert desk.call(GetAccount(-1), Account).positions[0].qty_nano == -to_nano(100)
    desk.close()


@pytest.mark.requirement("execution:account:own-clock")
def test_an_account_asked_for_at_no_time_is_as_of_executions_own_clock(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(n, "100") for n in range(8)]))
    assert desk.call(GetAccount(-1), Account).now_ns == 0
    desk.settle(1)
    desk.send(1, intent(0, 1))
    desk.settle(3)
    desk.feed.now_ns = at(6)
    account = desk.call(GetAccount(-1), Account)
    assert account.now_ns == at(3) == desk.gateway.engine.now_ns
    assert account == desk.call(GetAccount(at(3)), Account)
    desk.close()
