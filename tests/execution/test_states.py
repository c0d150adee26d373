"""The state table, walked pair by pair."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import Fill, OrderEventKind, OrderStatus
from execution.broker import BrokerReport, ReportKind
from execution.orders import ALARM, OrderBook
from execution.states import FINAL, KINDS, STATUSES, TABLE, WORKING, step
from tests.execution.desk import Desk, bar, day, intent

PAIRS = list(itertools.product(STATUSES, KINDS))


@pytest.mark.requirement("execution:states:table")
@pytest.mark.parametrize(("status", "kind"), PAIRS)
def test_every_pair_is_a_row_of_the_table_or_an_alarm(status: OrderStatus, kind: OrderEventKind) -> None:
    after = step(status, kind)
    assert after.legal == ((status, kind) in TABLE)
    assert after.status == TABLE.get((status, kind), status)
    if kind == "fill" and after.legal:
        assert step(status, kind, complete=True).status == "filled"
    if status in FINAL:
        assert after.status in FINAL, "an order that is over never works again"
    if kind == "sent":
        assert after.legal == (status == "intent"), "an order is sent once"
    if status == "intent":
        assert after.legal == (kind == "sent"), "nothing happens to an order before its sending is journaled"


@pytest.mark.requirement("execution:states:table")
def test_every_status_and_kind_of_the_vocabulary_is_known() -> None:
    assert set(STATUSES) == set(OrderStatus.__args__)
    assert set(KINDS) == set(OrderEventKind.__args__)
    assert set(STATUSES) == {"intent"} | WORKING | FINAL
    assert not WORKING & FINAL


@pytest.mark.requirement("execution:states:odd-rows")
@pytest.mark.parametrize(
    ("status", "kind", "after"),
    [
        ("in_flight", "fill", "partially_filled"),
        ("in_flight", "canceled", "canceled"),
        ("canceled", "fill", "canceled"),
        ("expired", "fill", "expired"),
        ("unknown", "accepted", "accepted"),
        ("unknown", "rejected", "rejected"),
        ("unknown", "canceled", "canceled"),
        ("unknown", "expired", "expired"),
        ("filled", "accepted", "filled"),
        ("accepted", "unknown", "unknown"),
    ],
)
def test_what_happens_at_real_venues_is_allowed(status: OrderStatus, kind: OrderEventKind, after: OrderStatus) -> None:
    assert step(status, kind) == (after, True)


@pytest.mark.requirement("execution:states:odd-rows")
def test_an_unknown_order_with_a_fill_comes_back_as_partially_filled() -> None:
    assert step("unknown", "accepted", started=True) == ("partially_filled", True)


@pytest.mark.requirement("execution:states:alarm")
def test_an_illegal_event_is_recorded_and_answered_and_its_fill_counts() -> None:
    book = OrderBook()
    order = book.add(intent(0, 0, qty=10), 0)
    book.advance(order, "sent", 1)
    book.advance(order, "rejected", 2)
    coid = order.intent.client_order_id
    fill = Fill("f1", coid, "IBM", "buy", to_nano(10), to_nano(100), 0, 3)
    event = book.report(BrokerReport(coid, "fill", fill=fill), 3)
    assert event is not None
    assert not isinstance(event, str)
    assert (event.status, event.filled_nano, event.seq) == ("rejected", to_nano(10), 3)
    assert event.reason.startswith(ALARM)
    assert book.report(BrokerReport(coid, "fill", fill=fill), 4) is None, "the same fill again says nothing new"
    assert isinstance(book.report(BrokerReport("oo-stranger", "accepted"), 4), str)
    other = Fill("f1", coid, "IBM", "buy", to_nano(9), to_nano(100), 0, 3)
    assert isinstance(book.report(BrokerReport(coid, "fill", fill=other), 4), str)


@pytest.mark.requirement("execution:states:alarm")
def test_an_overfill_is_an_alarm_in_the_journal(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(0, "100"), bar(1, "100")]))
    desk.settle(1)
    (sent, _) = desk.send(1, intent(0, 1, qty=10))
    fills = [Fill(f"f{n}", sent.client_order_id, "IBM", "buy", to_nano(7), to_nano(100), 0, 3) for n in range(2)]
    desk.gateway.engine.commit([BrokerReport(sent.client_order_id, "fill", fill=fill) for fill in fills], 4)
    assert len(desk.journal.alarms()) == 1
    assert "14000000000 of 10000000000 filled" in desk.journal.alarms()[0]
    assert desk.journal.events()[-1].status == "partially_filled"
    desk.close()


REPORTS: list[ReportKind] = ["unknown", "accepted", "fill", "canceled", "expired", "rejected"]


@pytest.mark.requirement("execution:states:fold")
@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(REPORTS), st.integers(1, 6)), max_size=12))
def test_a_book_rebuilt_from_its_events_is_the_same_book(reports: list[tuple[ReportKind, int]]) -> None:
    book = OrderBook()
    order = book.add(intent(0, 0, qty=10), 0)
    book.advance(order, "sent", 1)
    coid = order.intent.client_order_id
    for n, (kind, qty) in enumerate(reports):
        fill = Fill(f"f{n}", coid, "IBM", "buy", to_nano(qty), to_nano(100), 0, n) if kind == "fill" else None
        book.report(BrokerReport(coid, kind, fill=fill), n)
    assert [event.seq for event in book.events] == list(range(1, len(book.events) + 1))
    again = OrderBook()
    again.add(order.intent, 0)
    for event in book.events:
        again.record(event)
    twin = again.orders[coid]
    assert (twin.status, twin.filled_nano, twin.fills) == (order.status, order.filled_nano, order.fills)
    assert list(again.working) == list(book.working)
    assert order.filled_nano == sum(fill.qty_nano for fill in order.fills.values())
