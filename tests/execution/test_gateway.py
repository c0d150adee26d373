"""Asked again, it answers the same; a broker that is silent is asked, not told twice; time comes from the feed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from bus.codec import encode
from bus.errors import RemoteError
from bus.messages import (
    Account,
    Advance,
    DescribeDay,
    EventsSince,
    Executed,
    GetAccount,
    Ok,
    OrderEvents,
    OrderIntent,
    Ping,
    Settled,
    SettleOrders,
    StageResult,
    Tick,
)
from execution.broker import BrokerReport, KnownOrder
from execution.paper import PaperBroker
from risk.tickets import Signer, publish_public_key
from tests.execution.desk import START_CASH, Desk, at, bar, day, dump, intent, quote, ticketed

BUSY_DAY = day(
    [bar(n, str(100 + n % 4), "106", "97", str(101 + n % 3), volume=3_000) for n in range(12)]
    + [bar(n, "50", volume=10**6, symbol="SPY") for n in range(12) if n != 5]
    + [quote(n, "99.9", "100.2") for n in range(6)]
)


def play(desk: Desk, minutes: range) -> list[Settled]:
    """A day with market, limit, ioc and resting orders in two symbols."""
    answers: list[Settled] = []
    for minute in minutes:
        answers.append(desk.settle(minute))
        if minute in (1, 4, 6):
            desk.send(
                minute,
                intent(0, minute, qty=120),
                intent(1, minute, "sell", 30, "103"),
                intent(2, minute, qty=500, symbol="SPY", tif="ioc"),
                intent(3, minute, qty=1, limit="1"),
            )
    return answers


@pytest.mark.requirement("execution:once:same-order")
def test_the_same_request_again_gives_the_same_answer_and_sends_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    desk.settle(1)
    orders = [ticketed(desk.signer, intent(n, 1, qty=10)) for n in range(3)]
    request = desk.request(1, *orders)
    first = desk.call(request, StageResult)
    before = dump(desk.spec.database)
    assert encode(desk.call(request, StageResult)) == encode(first)
    assert dump(desk.spec.database) == before
    twice = desk.request(1, orders[0], orders[0], ticketed(desk.signer, intent(9, 1)))
    answer = desk.call(twice, StageResult).answer
    assert isinstance(answer, Executed)
    assert len(answer.events) == 4, "an order twice in one request is one order"
    for minute in (2, 3, 4):
        desk.settle(minute)
    assert encode(desk.call(request, StageResult)) == encode(first), "also after it was filled, and after it expired"
    desk.close()
    again = Desk(tmp_path, BUSY_DAY, signer=desk.signer, now_ns=at(4))
    assert encode(again.call(request, StageResult)) == encode(first), "and after a restart"
    again.close()


@pytest.mark.requirement("execution:once:same-order")
def test_an_order_signed_again_by_a_restarted_gate_is_still_the_same_order(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    desk.settle(1)
    first = desk.send(1, intent(0, 1))
    later = Signer()
    publish_public_key(Path(desk.spec.public_key_file), later)
    assert desk.send(1, ticketed(later, intent(0, 1))) == first
    assert len(desk.journal.orders()) == 1
    desk.close()


@pytest.mark.requirement("execution:once:settle")
def test_every_instant_gives_the_same_bytes_whenever_it_is_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    first = [encode(answer) for answer in play(desk, range(1, 13))]
    assert len(set(first)) == 12
    again = [encode(desk.call(SettleOrders(at(minute)), Settled)) for minute in range(1, 13)]
    assert again == first
    desk.close()
    restarted = Desk(tmp_path, BUSY_DAY, signer=desk.signer, now_ns=at(12))
    again = [encode(restarted.call(SettleOrders(at(minute)), Settled)) for minute in range(12, 0, -1)]
    assert again == first[::-1]
    restarted.close()


@pytest.mark.requirement("execution:once:settle")
@pytest.mark.parametrize("stop", range(1, 12))
def test_a_restart_between_any_two_instants_changes_nothing(tmp_path: Path, stop: int) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir()
    halves.mkdir()
    desk = Desk(whole, BUSY_DAY)
    expected = play(desk, range(1, 13))
    desk.close()
    first = Desk(halves, BUSY_DAY)
    answers = play(first, range(1, stop + 1))
    account = first.call(GetAccount(0), Account)
    first.close()
    second = Desk(halves, BUSY_DAY, signer=first.signer, now_ns=at(stop))
    assert second.call(GetAccount(at(stop)), Account) == account
    answers += play(second, range(stop + 1, 13))
    second.close()
    assert answers == expected
    assert dump(second.spec.database) == dump(desk.spec.database)


@pytest.mark.requirement("execution:once:settle")
def test_events_are_in_one_sequence_and_can_be_asked_for_from_any_point(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    play(desk, range(1, 13))
    everything = desk.call(EventsSince(0), OrderEvents)
    assert [event.seq for event in everything.events] == list(range(1, everything.last_seq + 1))
    assert desk.call(EventsSince(5), OrderEvents).events == everything.events[5:]
    assert desk.call(EventsSince(10**6), OrderEvents).events == ()
    assert isinstance(desk.client.call(Ping()), Ok)
    with pytest.raises(RemoteError, match="execution does not answer DescribeDay"):
        desk.client.call(DescribeDay())
    desk.close()


@pytest.mark.requirement("execution:clock:catch-up")
def test_instants_that_were_not_asked_for_are_settled_in_order(tmp_path: Path) -> None:
    step, jump = tmp_path / "step", tmp_path / "jump"
    step.mkdir()
    jump.mkdir()
    one, other = Desk(step, BUSY_DAY), Desk(jump, BUSY_DAY)
    play(one, range(1, 2))
    play(other, range(1, 2))
    last = [one.settle(minute) for minute in range(2, 13)][-1]
    assert other.settle(12) == last
    assert dump(one.spec.database) == dump(other.spec.database)
    advanced = [q for q in other.feed.questions if isinstance(q, Advance)]
    assert len(advanced) == 10
    assert other.feed.now_ns == at(12), "looking back does not move the feed's clock"
    one.close()
    other.close()


@pytest.mark.requirement("execution:clock:catch-up")
def test_sending_settles_up_to_the_requests_instant_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    desk.feed.now_ns = at(3)
    events = desk.send(3, intent(0, 3))
    assert {event.time_ns for event in events} == {at(3)}
    desk.close()


@pytest.mark.requirement("execution:clock:ahead")
def test_a_request_after_the_feeds_clock_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    desk.settle(1)
    before = dump(desk.spec.database)
    with pytest.raises(RemoteError, match="after the clock"):
        desk.client.call(SettleOrders(at(2)))
    with pytest.raises(RemoteError, match="after the clock"):
        desk.send(2, intent(0, 2))
    with pytest.raises(RemoteError, match="after the clock"):
        desk.client.call(GetAccount(at(2)))
    assert dump(desk.spec.database) == before
    assert desk.feed.now_ns == at(1)
    desk.close()


@pytest.mark.requirement("execution:clock:ahead")
def test_the_account_of_an_earlier_instant_can_be_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    accounts = [answer.account for answer in play(desk, range(1, 13))]
    assert [desk.call(GetAccount(at(minute)), Account) for minute in range(1, 13)] == accounts
    assert desk.call(GetAccount(0), Account) == accounts[-1]
    desk.close()


class SilentBroker(PaperBroker):
    """A paper broker that does not answer while ``silent``; ``arrives`` says whether it got the order."""

    silent = True
    arrives = True
    submitted = 0
    restoring = False

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        self.restoring = True
        super().restore(orders, day_done=day_done)
        self.restoring = False

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        if self.restoring:
            return super().submit(intent, now_ns)
        type(self).submitted += 1
        answer = super().submit(intent, now_ns) if self.arrives else None
        if self.silent or answer is None:
            raise TimeoutError("no answer")
        return answer

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        if self.silent:
            raise ConnectionResetError("gone")
        return super().query(client_order_id)

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        if self.silent:
            raise TimeoutError("no answer")
        return super().cancel(client_order_id, now_ns)


@pytest.mark.requirement("execution:unknown:reconcile")
@pytest.mark.parametrize("arrives", [True, False])
def test_a_timeout_is_unknown_and_is_asked_about_not_sent_again(tmp_path: Path, arrives: bool) -> None:
    class Broker(SilentBroker):
        pass

    Broker.arrives = arrives
    desk = Desk(tmp_path, day([bar(n, "100") for n in range(9)]), make_broker=Broker)
    desk.settle(1)
    events = desk.send(1, intent(0, 1))
    assert [(e.kind, e.status) for e in events] == [("sent", "in_flight"), ("unknown", "unknown")]
    assert desk.send(1, intent(0, 1)) == events
    assert Broker.submitted == 1
    assert desk.settle(2).events == (), "no answer once more is nothing new"
    Broker.silent = False
    answered = desk.settle(3).events
    if arrives:
        assert [(e.kind, e.status) for e in answered] == [("accepted", "accepted"), ("fill", "filled")]
    else:
        assert answered == (), "not found is not a rejection: it stays UNKNOWN and reserved"
        assert [o.status for o in desk.gateway.engine.book.working.values()] == ["unknown"]
    assert Broker.submitted == 1
    desk.close()


@pytest.mark.requirement("execution:unknown:reconcile")
def test_a_restart_asks_about_unknown_orders(tmp_path: Path) -> None:
    class Broker(SilentBroker):
        pass

    ticks = day([bar(n, "100") for n in range(9)])
    desk = Desk(tmp_path, ticks, make_broker=Broker)
    desk.settle(1)
    desk.send(1, intent(0, 1))
    desk.close()
    Broker.silent = False
    again = Desk(tmp_path, ticks, signer=desk.signer, now_ns=at(1), make_broker=Broker)
    again.settle(2)
    events = again.call(EventsSince(2), OrderEvents).events
    assert [(e.kind, e.status) for e in events] == [("accepted", "accepted")]
    assert Broker.submitted == 1
    assert [e.status for e in again.settle(3).events] == ["filled"]
    again.close()


@pytest.mark.requirement("execution:fills:known")
def test_the_gateway_asks_for_nothing_but_the_past(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    answers = play(desk, range(1, 7))
    desk.close()
    changed = BUSY_DAY[:6] + [Tick(t.clock, tuple(bar(20, "1") for _ in t.bars), t.quotes) for t in BUSY_DAY[6:]]
    folder = tmp_path / "other"
    folder.mkdir()
    other = Desk(folder, changed)
    assert play(other, range(1, 7)) == answers
    assert dump(other.spec.database) == dump(desk.spec.database)
    other.close()


@pytest.mark.requirement("execution:ledger:equity")
def test_a_day_without_orders_keeps_the_start_cash_and_writes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BUSY_DAY)
    desk.settle(1)
    before = dump(desk.spec.database)
    for minute in range(2, 13):
        assert desk.settle(minute).account.equity_nano == START_CASH
    assert dump(desk.spec.database) == before
    desk.close()
