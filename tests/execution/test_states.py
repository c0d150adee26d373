"""The state table, walked pair by pair, and the stories of real venues, told event by event."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import Fill, OrderEvent, OrderEventKind, OrderStatus
from execution.broker import BrokerReport, ReportKind
from execution.orders import ALARM, Order, OrderBook
from execution.states import ASKED, FINAL, KINDS, STATUSES, TABLE, WORKING, first_status, step
from tests.execution.desk import Desk, bar, day, intent

PAIRS = list(itertools.product(STATUSES, KINDS))
MONEY: tuple[OrderEventKind, ...] = ("fill", "bust", "correct")


@pytest.mark.requirement("execution:states:table")
@pytest.mark.parametrize(("status", "kind"), PAIRS)
def test_every_pair_is_a_row_of_the_table_or_an_alarm(status: OrderStatus, kind: OrderEventKind) -> None:
    after = step(status, kind)
    assert after.legal == ((status, kind) in TABLE)
    assert after.status == TABLE.get((status, kind), status)
    if kind == "fill" and after.legal:
        assert step(status, kind, started=True, complete=True).status == "filled"
    if status in FINAL and (status, kind) not in (("filled", "bust"), ("filled", "correct")):
        assert after.status in FINAL, "an order that is over never works again, but for a trade that is taken back"
    if kind == "sent":
        assert after.legal == (status in ("intent", "triggered")), "an order is sent once, or when it was held here"
    if status == "intent":
        assert after.legal == (kind in ("sent", "held")), "nothing happens to an order before its sending is journaled"
    if kind == "cash":
        assert not after.legal, "money that moves is of no order"
    if kind in ("bust", "correct") and after.legal:
        assert status not in ("intent", "in_flight", "accepted", "held", "triggered"), "there is nothing to take back"
    if status in WORKING and kind in ("canceled", "expired"):
        assert after == (kind, True), "whatever works can end"
    if status in WORKING and kind == "unknown" and status not in ("intent",):
        assert after == ("unknown", True), "whatever works can go without an answer"
    if status == "unknown" and kind not in ("sent", "cash"):
        assert after.legal, "unknown can turn into anything definite"


@pytest.mark.requirement("execution:states:table")
def test_every_status_and_kind_of_the_vocabulary_is_known() -> None:
    assert set(STATUSES) == set(OrderStatus.__args__)
    assert set(KINDS) == set(OrderEventKind.__args__)
    assert set(STATUSES) == {"intent"} | WORKING | FINAL
    assert not WORKING & FINAL
    assert ASKED < WORKING
    assert "unknown" in WORKING


@pytest.mark.requirement("execution:states:table")
def test_every_status_can_be_reached_and_every_working_one_can_end() -> None:
    reached: set[str] = {"intent"}
    while more := {after for (status, _), after in TABLE.items() if status in reached} - reached:
        reached |= more
    assert reached | {"filled"} == set(STATUSES)
    for status in WORKING:
        assert any(step(status, kind).status in FINAL for kind in KINDS)


@pytest.mark.requirement("execution:states:odd-rows")
@pytest.mark.parametrize(
    ("status", "kind", "after"),
    [
        ("in_flight", "fill", "partially_filled"),
        ("in_flight", "canceled", "canceled"),
        ("canceled", "fill", "canceled"),
        ("expired", "fill", "expired"),
        ("replaced", "fill", "replaced"),
        ("unknown", "accepted", "accepted"),
        ("unknown", "rejected", "rejected"),
        ("unknown", "canceled", "canceled"),
        ("unknown", "expired", "expired"),
        ("unknown", "fill", "unknown"),
        ("filled", "accepted", "filled"),
        ("accepted", "unknown", "unknown"),
        ("pending_cancel", "accepted", "accepted"),
        ("pending_cancel", "cancel_rejected", "accepted"),
        ("pending_cancel", "fill", "pending_cancel"),
        ("pending_replace", "fill", "pending_replace"),
        ("pending_replace", "replace_rejected", "accepted"),
        ("pending_replace", "pending_cancel", "pending_cancel"),
        ("accepted", "rejected", "rejected"),
        ("done_for_day", "accepted", "accepted"),
        ("filled", "replaced", "filled"),
        ("filled", "bust", "accepted"),
        ("canceled", "bust", "canceled"),
        ("suspended", "accepted", "accepted"),
        ("triggered", "sent", "in_flight"),
    ],
)
def test_what_happens_at_real_venues_is_allowed(status: OrderStatus, kind: OrderEventKind, after: OrderStatus) -> None:
    assert step(status, kind) == (after, True)


@pytest.mark.requirement("execution:states:odd-rows")
@pytest.mark.parametrize("status", ["unknown", "pending_cancel", "pending_replace", "suspended", "done_for_day"])
def test_an_order_with_a_fill_comes_back_as_partially_filled(status: OrderStatus) -> None:
    assert step(status, "accepted", started=True) == ("partially_filled", True)


@pytest.mark.requirement("execution:states:odd-rows")
@pytest.mark.parametrize("status", ["canceled", "expired", "replaced", "pending_cancel", "pending_replace"])
def test_a_fill_that_completes_an_order_fills_it_whatever_was_said_before(status: OrderStatus) -> None:
    assert step(status, "fill", started=True, complete=True) == ("filled", True)


@pytest.mark.requirement("execution:states:odd-rows")
def test_an_order_of_another_hand_starts_as_sent() -> None:
    assert first_status("desk") == first_status("leg") == "intent"
    assert first_status("external") == first_status("synthetic") == "in_flight"
    book = OrderBook()
    order = book.add(intent(0, 0, qty=10), 0, origin="external", price_nano=to_nano(7))
    event = book.advance(order, "accepted", 1)
    assert (event.status, event.origin, event.price_nano) == ("accepted", "external", to_nano(7))
    assert order.waits_here is False


class Story:
    """One order of ten, sent, and what the venue says about it."""

    def __init__(self) -> None:
        self.book = OrderBook()
        self.order: Order = self.book.add(intent(0, 0, qty=10), 0)
        self.book.advance(self.order, "sent", 1)
        self.last: OrderEvent | str | None = None

    def tell(self, word: str) -> tuple[str, int]:
        """One event: a kind, or ``fill:ID:QTY``, ``bust:ID:REF``, ``correct:ID:REF:QTY``; the state after it."""
        kind, *rest = word.split(":")
        coid, fill = self.order.intent.client_order_id, None
        if kind in MONEY:
            refers = rest[1] if kind != "fill" else ""
            qty = rest[-1] if kind != "bust" else "0"
            known = self.order.reports.get(refers)
            nano = known.qty_nano if kind == "bust" and known is not None else to_nano(qty)
            fill = Fill(rest[0], coid, "IBM", "buy", nano, to_nano(100), 0, 3, refers_to=refers)
        report = BrokerReport(coid, msgspec.convert(kind, ReportKind), fill=fill)
        self.last = self.book.report(report, 3, answer=True)
        return self.order.status, self.order.filled_nano // to_nano(1)


STORIES: dict[str, list[tuple[str, str, int]]] = {
    # FIX 4.4 volume 4, appendix D (order state changes), by its numbering; quantities of ten instead of 10,000.
    "A.1.a filled order": [
        ("accepted", "accepted", 0),
        ("fill:f1:2", "partially_filled", 2),
        ("fill:f2:8", "filled", 10),
    ],
    "A.1.b part-filled day order, done for day": [
        ("accepted", "accepted", 0),
        ("fill:f1:2", "partially_filled", 2),
        ("done_for_day", "done_for_day", 2),
    ],
    "B.1.a cancel of a zero-filled order": [
        ("accepted", "accepted", 0),
        ("pending_cancel", "pending_cancel", 0),
        ("canceled", "canceled", 0),
    ],
    "B.1.b cancel of a part-filled order, executions while it is pending": [
        ("accepted", "accepted", 0),
        ("fill:f1:2", "partially_filled", 2),
        ("pending_cancel", "pending_cancel", 2),
        ("fill:f2:3", "pending_cancel", 5),
        ("canceled", "canceled", 5),
    ],
    "B.1.c filled before the cancel was accepted": [
        ("accepted", "accepted", 0),
        ("pending_cancel", "pending_cancel", 0),
        ("fill:f1:10", "filled", 10),
        ("cancel_rejected", "filled", 10),
    ],
    "B.1.d cancel that is not acknowledged before it is done": [
        ("accepted", "accepted", 0),
        ("canceled", "canceled", 0),
    ],
    "B.1.e cancel rejected, order works on": [
        ("accepted", "accepted", 0),
        ("fill:f1:2", "partially_filled", 2),
        ("pending_cancel", "pending_cancel", 2),
        ("cancel_rejected", "partially_filled", 2),
        ("fill:f2:8", "filled", 10),
    ],
    "C.1.b part-filled, replaced, executions while pending": [
        ("accepted", "accepted", 0),
        ("fill:f1:1", "partially_filled", 1),
        ("pending_replace", "pending_replace", 1),
        ("fill:f2:1", "pending_replace", 2),
        ("replaced", "replaced", 2),
    ],
    "C.1.c filled, then replaced for more": [
        ("accepted", "accepted", 0),
        ("fill:f1:10", "filled", 10),
        ("pending_replace", "filled", 10),
        ("replaced", "filled", 10),
    ],
    "C.3.a replaced for less than was filled meanwhile": [
        ("accepted", "accepted", 0),
        ("pending_replace", "pending_replace", 0),
        ("fill:f1:10", "filled", 10),
        ("replace_rejected", "filled", 10),
    ],
    "D.1.b first replacement refused, second accepted": [
        ("accepted", "accepted", 0),
        ("pending_replace", "pending_replace", 0),
        ("replace_rejected", "accepted", 0),
        ("pending_replace", "pending_replace", 0),
        ("replaced", "replaced", 0),
    ],
    "D.2 cancel after a replacement that is pending": [
        ("accepted", "accepted", 0),
        ("pending_replace", "pending_replace", 0),
        ("pending_cancel", "pending_cancel", 0),
        ("canceled", "canceled", 0),
        ("replace_rejected", "canceled", 0),
    ],
    "E.1.b unsolicited cancel of a part-filled order": [
        ("accepted", "accepted", 0),
        ("fill:f1:5", "partially_filled", 5),
        ("canceled", "canceled", 5),
    ],
    "E.1.c unsolicited replacement": [("accepted", "accepted", 0), ("replaced", "replaced", 0)],
    "F.1.a order rejected": [("rejected", "rejected", 0)],
    "F.1.c accepted, then rejected by the exchange": [("accepted", "accepted", 0), ("rejected", "rejected", 0)],
    "G.1 status asked about, twice": [
        ("unknown", "unknown", 0),
        ("unknown", "unknown", 0),
        ("accepted", "accepted", 0),
    ],
    "H.1.a good till cancel, restated the next day": [
        ("accepted", "accepted", 0),
        ("fill:f1:2", "partially_filled", 2),
        ("done_for_day", "done_for_day", 2),
        ("accepted", "partially_filled", 2),
        ("fill:f2:8", "filled", 10),
    ],
    "H.1.c good till cancel, canceled the next day": [
        ("accepted", "accepted", 0),
        ("done_for_day", "done_for_day", 0),
        ("accepted", "accepted", 0),
        ("pending_cancel", "pending_cancel", 0),
        ("canceled", "canceled", 0),
    ],
    "I.1.a fill or kill that cannot be filled": [("canceled", "canceled", 0)],
    "I.1.b immediate or cancel, filled in part": [
        ("accepted", "accepted", 0),
        ("fill:f1:1", "partially_filled", 1),
        ("canceled", "canceled", 1),
    ],
    "J.1.a filled, corrected, then busted": [
        ("accepted", "accepted", 0),
        ("fill:f1:1", "partially_filled", 1),
        ("fill:f2:9", "filled", 10),
        ("correct:c1:f1:1", "filled", 10),
        ("bust:b1:f2", "partially_filled", 1),
        ("fill:f3:9", "filled", 10),
        ("correct:c2:f3:6", "partially_filled", 7),
    ],
    "J.1.b canceled, then its execution is busted and another reported": [
        ("accepted", "accepted", 0),
        ("fill:f1:5", "partially_filled", 5),
        ("canceled", "canceled", 5),
        ("bust:b1:f1", "canceled", 0),
        ("fill:f2:4", "canceled", 4),
    ],
    "J.1.d a correction of a correction, and its bust": [
        ("accepted", "accepted", 0),
        ("fill:f1:5", "partially_filled", 5),
        ("correct:c1:f1:4", "partially_filled", 4),
        ("correct:c2:c1:3", "partially_filled", 3),
        ("bust:b1:c2", "accepted", 0),
    ],
    "K.1.a trading halt, reinstated": [
        ("accepted", "accepted", 0),
        ("fill:f1:2", "partially_filled", 2),
        ("suspended", "suspended", 2),
        ("fill:f2:1", "suspended", 3),
        ("accepted", "partially_filled", 3),
        ("fill:f3:7", "filled", 10),
    ],
    "K.1.b trading halt, canceled": [
        ("accepted", "accepted", 0),
        ("suspended", "suspended", 0),
        ("canceled", "canceled", 0),
    ],
    "L.1.a a stop, held, triggered and filled": [
        ("accepted", "accepted", 0),
        ("held", "held", 0),
        ("triggered", "triggered", 0),
        ("accepted", "accepted", 0),
        ("fill:f1:10", "filled", 10),
    ],
    # What no book describes and every venue does.
    "the fill before the acknowledgement": [
        ("fill:f1:4", "partially_filled", 4),
        ("accepted", "partially_filled", 4),
        ("fill:f2:6", "filled", 10),
        ("accepted", "filled", 10),
    ],
    "a lost answer, the fill and then the acknowledgement": [
        ("unknown", "unknown", 0),
        ("fill:f1:4", "unknown", 4),
        ("accepted", "partially_filled", 4),
    ],
    "filled after it was canceled": [
        ("accepted", "accepted", 0),
        ("canceled", "canceled", 0),
        ("fill:f1:4", "canceled", 4),
        ("fill:f2:6", "filled", 10),
    ],
    "filled after it was replaced": [
        ("accepted", "accepted", 0),
        ("pending_replace", "pending_replace", 0),
        ("replaced", "replaced", 0),
        ("fill:f1:3", "replaced", 3),
    ],
}


@pytest.mark.requirement("execution:states:stories")
@pytest.mark.parametrize("name", list(STORIES))
def test_the_story_of_a_venue_goes_through_the_table_without_an_alarm(name: str) -> None:
    story = Story()
    for word, status, filled in STORIES[name]:
        assert story.tell(word) == (status, filled), word
        assert not isinstance(story.last, str)
        assert story.last is None or not story.last.reason.startswith(ALARM), word
    assert story.order.filled_nano == sum(fill.qty_nano for fill in story.order.fills.values())


@pytest.mark.requirement("execution:states:alarm")
@pytest.mark.parametrize(
    "words",
    [
        ["rejected", "accepted"],
        ["rejected", "canceled"],
        ["canceled", "rejected"],
        ["filled", "held"],
        ["accepted", "fill:f1:10", "rejected"],
        ["expired", "replaced"],
    ],
)
def test_what_contradicts_the_end_of_an_order_is_an_alarm_and_keeps_its_status(words: list[str]) -> None:
    story = Story()
    before = [story.tell(word if word != "filled" else "fill:f1:10") for word in words[:-1]][-1]
    assert story.tell(words[-1]) == before
    assert isinstance(story.last, OrderEvent)
    assert story.last.reason.startswith(ALARM)


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
def test_a_bust_of_what_is_not_there_is_an_alarm_and_changes_nothing() -> None:
    story = Story()
    story.tell("fill:f1:4")
    for word in ("bust:b1:f9", "correct:c1:f9:2"):
        assert story.tell(word) == ("partially_filled", 4)
        assert isinstance(story.last, str)
    story.tell("bust:b2:f1")
    assert story.tell("bust:b3:f1") == ("accepted", 0)
    assert isinstance(story.last, str), "what is taken back counts no more"
    assert story.tell("bust:b2:f1") == ("accepted", 0)
    assert isinstance(story.last, str) or story.last is None


@pytest.mark.requirement("execution:states:alarm")
def test_an_order_is_sent_once_even_after_it_was_triggered_at_the_broker() -> None:
    story = Story()
    story.tell("triggered")
    event = story.book.advance(story.order, "sent", 5)
    assert event.reason.startswith(ALARM)
    assert event.status == "triggered"


@pytest.mark.requirement("execution:states:repeated")
@pytest.mark.parametrize("kind", ["accepted", "held", "suspended", "pending_cancel", "done_for_day", "canceled"])
def test_a_venue_that_repeats_itself_says_nothing_new(kind: ReportKind) -> None:
    story = Story()
    coid = story.order.intent.client_order_id
    assert isinstance(story.book.report(BrokerReport(coid, kind), 3), OrderEvent)
    events = len(story.book.events)
    assert story.book.report(BrokerReport(coid, kind), 4) is None
    assert len(story.book.events) == events


@pytest.mark.requirement("execution:states:alarm")
def test_an_overfill_is_an_alarm_in_the_journal(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(0, "100"), bar(1, "100")]))
    desk.settle(1)
    (sent, _) = desk.send(1, intent(0, 1, qty=10))
    fills = [Fill(f"f{n}", sent.client_order_id, "IBM", "buy", to_nano(7), to_nano(100), 0, 3) for n in range(2)]
    desk.gateway.engine.books.commit([BrokerReport(sent.client_order_id, "fill", fill=fill) for fill in fills], 4)
    assert len(desk.journal.alarms()) == 1
    assert "14000000000 of 10000000000 filled" in desk.journal.alarms()[0]
    assert desk.journal.events()[-1].status == "partially_filled"
    desk.close()


REPORTS: list[ReportKind] = [kind for kind in KINDS if kind not in ("sent", "cash")]


@pytest.mark.requirement("execution:states:fold")
@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(REPORTS), st.integers(1, 6), st.integers(0, 9)), max_size=12))
def test_a_book_rebuilt_from_its_events_is_the_same_book(reports: list[tuple[ReportKind, int, int]]) -> None:
    book = OrderBook()
    order = book.add(intent(0, 0, qty=10), 0)
    book.advance(order, "sent", 1)
    coid = order.intent.client_order_id
    for n, (kind, qty, to) in enumerate(reports):
        refers = "" if kind == "fill" else f"f{to}"
        known = order.counted(Fill("", coid, "IBM", "buy", 0, 0, 0, 0, refers_to=refers))
        nano = known.qty_nano if kind == "bust" and known is not None else to_nano(qty)
        fill = Fill(f"f{n}", coid, "IBM", "buy", nano, to_nano(100), 0, n, refers_to=refers) if kind in MONEY else None
        book.report(BrokerReport(coid, kind, fill=fill), n)
    assert [event.seq for event in book.events] == list(range(1, len(book.events) + 1))
    again = OrderBook()
    again.add(order.intent, 0)
    for event in book.events:
        again.record(event)
    twin = again.orders[coid]
    assert (twin.status, twin.filled_nano, twin.fills) == (order.status, order.filled_nano, order.fills)
    assert (twin.sent, twin.held_here, twin.roots) == (order.sent, order.held_here, order.roots)
    assert list(again.working) == list(book.working)
    assert order.filled_nano == sum(fill.qty_nano for fill in order.fills.values())
