"""Between two requests: the broker is heard, compared with, and a desk that is gone loses its working orders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.clock import NS
from bus.errors import RemoteError
from bus.fixed import to_nano
from bus.messages import (
    Account,
    AskReconcile,
    ClearHalt,
    EventsSince,
    GetAccount,
    OrderEvents,
    Ping,
    Reconciliation,
    SettleOrders,
)
from execution.upkeep import ASK_PACE_NS
from risk.tickets import Signer, clear_halt_digest, sign
from tests.execution.desk import MINUTE, START_CASH, Desk, at, bar, cancel_all, day, dump, gateway_spec, intent
from tests.execution.test_tool_questions import cancel
from tests.execution.venue import Venue

TICKS = day([bar(n, "100") for n in range(30)])
PRICE = to_nano(100)


def desk_of(folder: Path, venue: Venue, now_minute: int = 0, signer: Signer | None = None, **changes: object) -> Desk:
    spec = gateway_spec(folder, **{"mode": "paper", **changes})
    return Desk(
        folder,
        TICKS,
        spec=spec,
        signer=signer,
        now_ns=at(now_minute) if now_minute else 0,
        make_broker=venue.broker,
        offered=venue.offers,
    )


def idle(desk: Desk, elapsed_ns: int) -> None:
    """A turn of the gateway's at a time of its own clock."""
    desk.gateway.upkeep.due(desk.gateway.started_ns + elapsed_ns)


def clear(signer: Signer, now_ns: int, by: str = "mary", client: str = "alice", limits: str = "v1") -> ClearHalt:
    ticket = sign(
        signer,
        client=client,
        over=clear_halt_digest(client, now_ns, by),
        subject=f"clear_halt {now_ns}",
        limits_version=limits,
        issued_ns=now_ns,
        lifetime_ns=MINUTE,
    )
    return ClearHalt(now_ns, by, ticket)


@pytest.mark.requirement("execution:idle:heard")
def test_what_the_broker_tells_between_two_instants_is_journaled_at_once_and_told_by_the_next(tmp_path: Path) -> None:
    venue = Venue()
    desk = desk_of(tmp_path, venue)
    desk.settle(1)
    order = intent(0, 1, qty=10, limit="100")
    desk.send(1, order)
    known = desk.call(EventsSince(0), OrderEvents).last_seq
    venue.fill(order.client_order_id, to_nano(4), PRICE)
    idle(desk, 1)
    (heard,) = desk.call(EventsSince(known), OrderEvents).events
    assert (heard.kind, heard.filled_nano) == ("fill", to_nano(4))
    assert desk.journal.events()[-1] == heard
    desk.close()
    again = desk_of(tmp_path, venue, 1, desk.signer)
    venue.fill(order.client_order_id, to_nano(6), PRICE)
    told = again.settle(2)
    assert [e.kind for e in told.events if e.kind == "fill"] == ["fill", "fill"]
    assert heard in told.events
    assert again.settle(3).events == ()
    assert again.call(SettleOrders(at(2)), type(told)) == told, "asked again, the same"
    again.close()


@pytest.mark.requirement("execution:idle:asked")
def test_unknown_orders_are_asked_about_between_instants_at_a_bounded_pace(tmp_path: Path) -> None:
    venue = Venue()
    desk = desk_of(tmp_path, venue)
    desk.settle(1)
    venue.mishaps.add("lose_answer")
    order = intent(0, 1, qty=10, limit="100")
    desk.send(1, order)

    def asked() -> int:
        return sum(word == "query" for word, _ in venue.calls)

    for turn in range(5):
        idle(desk, turn * ASK_PACE_NS // 10)
    assert asked() == 0
    venue.mishaps.add("silent")
    for turn in range(31):
        idle(desk, ASK_PACE_NS + turn * ASK_PACE_NS // 10)
    assert asked() == 4, "once a pace, however often it is idle"
    venue.mishaps.clear()
    idle(desk, 10 * ASK_PACE_NS)
    assert desk.gateway.engine.book.orders[order.client_order_id].status == "accepted"
    assert venue.orders[order.client_order_id].arrived == 1
    desk.close()


@pytest.mark.requirement("execution:idle:heard")
def test_a_gateway_that_has_not_begun_does_not_wait_for_the_feed_while_it_is_idle(tmp_path: Path) -> None:
    venue = Venue()
    desk = desk_of(tmp_path, venue, reconcile_every_s=1.0)
    idle(desk, 5 * ASK_PACE_NS)
    assert desk.feed.questions == []
    assert venue.opened == 0
    desk.settle(1)
    desk.close()
    again = desk_of(tmp_path, venue, 1, desk.signer)
    idle(again, 5 * ASK_PACE_NS)
    assert venue.opened == 2, "after a restart it takes up its orders without being asked"
    assert again.feed.questions == []
    again.close()


@pytest.mark.requirement("execution:idle:replay")
def test_a_recorded_day_has_no_upkeep(tmp_path: Path) -> None:
    venue = Venue()
    desk = desk_of(tmp_path, venue, mode="replay", cancel_on_disconnect_s=1.0, reconcile_every_s=1.0)
    desk.settle(1)
    desk.send(1, intent(0, 1, limit="90"))
    before, calls = dump(desk.spec.database), list(venue.calls)
    venue.fill(intent(0, 1).client_order_id, to_nano(1), PRICE)
    idle(desk, 3600 * NS)
    assert (dump(desk.spec.database), venue.calls) == (before, calls)
    desk.close()


@pytest.mark.requirement("execution:dead-man")
def test_a_desk_without_a_sign_of_life_loses_its_working_orders_once(tmp_path: Path) -> None:
    venue = Venue()
    desk = desk_of(tmp_path, venue, cancel_on_disconnect_s=5.0)
    desk.settle(1)
    orders = [intent(n, 1, limit="90", tif="gtc") for n in range(2)]
    bracket = intent(2, 1, limit="90", tif="gtc", order_class="bracket", take_profit_nano=to_nano(110))
    desk.send(1, *orders, bracket)
    venue.fill(bracket.client_order_id, to_nano(1), PRICE)
    start = desk.gateway.upkeep.seen_ns - desk.gateway.started_ns
    idle(desk, start + 4 * NS)
    assert len(venue.working()) == 3
    desk.client.call(Ping())
    idle(desk, start + 5 * NS)
    assert venue.working() == [], "and a ping is no sign of life; nor is a leg placed after it"
    assert any(text.startswith("cancel_on_disconnect") for text in desk.journal.alarms())
    desk.settle(2)
    later = intent(5, 2, limit="90")
    desk.send(2, later)
    idle(desk, desk.gateway.upkeep.seen_ns - desk.gateway.started_ns + NS)
    assert venue.working() == [later.client_order_id], "what comes back may trade again"
    desk.close()


def differing(folder: Path) -> tuple[Desk, Venue]:
    """A client whose broker holds what our journal does not explain."""
    venue = Venue()
    desk = desk_of(folder, venue, reconcile_every_s=60.0)
    desk.settle(1)
    order = intent(0, 1, qty=10, limit="100")
    desk.send(1, order)
    desk.send(1, intent(1, 1, qty=10, limit="90"))
    venue.fill(order.client_order_id, to_nano(10), PRICE)
    desk.settle(2)
    assert desk.call(AskReconcile(), Reconciliation).differences == ()
    venue.held["IBM"] += to_nano(7)
    return desk, venue


@pytest.mark.requirement("execution:halt:difference")
def test_what_cannot_be_explained_halts_the_client_and_says_so_and_cancels_still_work(tmp_path: Path) -> None:
    desk, venue = differing(tmp_path)
    idle(desk, 30 * NS)
    assert desk.call(GetAccount(0), Account).halted == ""
    idle(desk, 61 * NS)
    halted = desk.call(GetAccount(0), Account).halted
    assert "quantity IBM" in halted
    assert any(text.startswith("halted: ") for text in desk.journal.alarms())
    before = len(venue.orders)
    (event,) = desk.send(2, intent(2, 2, limit="90"))
    assert (event.seq, event.kind) == (0, "rejected")
    assert event.reason.startswith("halted: ")
    assert "outcry reconcile" in event.reason
    assert len(venue.orders) == before
    answered = desk.send(1, intent(1, 1, qty=10, limit="90"))
    assert [e.kind for e in answered] == ["sent", "accepted"], "what was sent before is answered as ever"
    desk.close()
    again = desk_of(tmp_path, venue, 2, desk.signer)
    assert again.call(GetAccount(0), Account).halted == halted, "also after a restart"
    assert [e.seq for e in again.send(2, intent(2, 2, limit="90"))] == [0]
    gone = again.call(cancel(again.signer, intent(1, 1).client_order_id, at(2)), OrderEvents)
    assert [e.kind for e in gone.events] == ["canceled"]
    again.close()


@pytest.mark.requirement("execution:halt:clear")
def test_a_person_clears_a_halt_with_the_gates_ticket_and_the_brokers_figures_are_taken_over(tmp_path: Path) -> None:
    desk, venue = differing(tmp_path)
    assert desk.call(AskReconcile(), Reconciliation).halted
    for bad in (
        clear(Signer(), at(2)),
        clear(desk.signer, at(2), client="bob"),
        clear(desk.signer, at(0)),
        ClearHalt(at(2), "eve", clear(desk.signer, at(2)).ticket),
        ClearHalt(at(2), "mary", cancel_all(desk.signer, at(2)).ticket),
    ):
        with pytest.raises(RemoteError) as refused:
            desk.client.call(bad)
        assert refused.value.code == "ticket"
    assert desk.call(GetAccount(0), Account).halted
    request = clear(desk.signer, at(2))
    venue.mishaps.add("no_statement")
    with pytest.raises(RemoteError, match="stays halted"):
        desk.client.call(request)
    assert desk.call(GetAccount(0), Account).halted
    venue.mishaps.clear()
    venue.held["IBM"] -= to_nano(7)
    venue.cash_nano += to_nano(3)
    account = desk.call(request, Account)
    assert account.halted == ""
    assert account.cash_nano == venue.cash_nano
    assert desk.call(AskReconcile(), Reconciliation).differences == ()
    assert [e.kind for e in desk.send(2, intent(2, 2, limit="90"))] == ["sent", "accepted"]
    venue.cash_nano += to_nano(500)
    assert desk.call(AskReconcile(), Reconciliation).halted
    assert desk.call(request, Account).halted, "a used ticket clears nothing again"
    desk.close()


@pytest.mark.requirement("execution:halt:start")
def test_nothing_is_sent_before_the_brokers_account_was_compared(tmp_path: Path) -> None:
    venue = Venue()
    venue.mishaps.add("no_statement")
    desk = desk_of(tmp_path, venue)
    desk.settle(1)
    (event,) = desk.send(1, intent(0, 1, limit="90"))
    assert event.reason.startswith("not_compared: ")
    with pytest.raises(RemoteError, match="did not tell its account"):
        desk.client.call(AskReconcile())
    assert venue.orders == {}
    venue.mishaps.clear()
    idle(desk, 2 * ASK_PACE_NS)
    assert [e.kind for e in desk.send(1, intent(0, 1, limit="90"))] == ["sent", "accepted"]
    desk.close()


@pytest.mark.requirement("execution:halt:start")
def test_a_new_journal_opens_its_books_from_the_broker_and_adopts_what_works_there(tmp_path: Path) -> None:
    venue = Venue()
    venue.cash_nano, venue.held["IBM"], venue.averages["IBM"] = START_CASH - to_nano(900), to_nano(9), PRICE
    venue.by_hand("ext-1", "IBM", "sell", to_nano(5), to_nano(120))
    desk = desk_of(tmp_path, venue)
    account = desk.settle(1).account
    assert account.halted == ""
    assert account.cash_nano == venue.cash_nano
    assert [p.qty_nano for p in account.positions] == [to_nano(9)]
    (name,) = desk.gateway.engine.book.working
    order = desk.gateway.engine.book.orders[name]
    assert (order.origin, order.intent.symbol, order.intent.qty_nano) == ("external", "IBM", to_nano(5))
    desk.close()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("ERROR", logger="execution"):
        yield
