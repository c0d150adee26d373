"""Orders and their book, fact by fact: what each draft says, what is kept of it. Not the table: that is in `states`."""

from __future__ import annotations

import msgspec
import pytest

from bus.codec import canonical
from bus.fixed import to_nano
from bus.messages import Fill, OrderEvent, OrderEventKind, OrderStatus, OrderType
from execution.broker import KnownOrder
from execution.orders import ALARM, Order, OrderBook
from tests.execution.desk import at, intent

MINE = intent(0, 1, "sell", 10, symbol="EURUSD")
COID = MINE.client_order_id


def a_fill(name: str, nano: int, refers_to: str = "", **more: object) -> Fill:
    known = Fill(name, COID, "EURUSD", "sell", nano, to_nano(2), 7, 3, refers_to=refers_to)
    return msgspec.structs.replace(known, **more)


def taken(*kinds: OrderEventKind) -> tuple[OrderBook, Order]:
    """A book with one sale of ten to which this happened, each at its own number in time."""
    book = OrderBook()
    order = book.add(MINE, 50, group="g", price_nano=11)
    for n, kind in enumerate(kinds):
        book.advance(order, kind, 100 + n)
    return book, order


# --- one order --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:orders:whole")
def test_a_new_order_is_its_intent_and_nothing_happened_to_it() -> None:
    order = Order(MINE, 50)
    assert (order.intent, order.raw, order.sent_ns) == (MINE, canonical(MINE), 50)
    assert (order.origin, order.group, order.price_nano) == ("desk", "", 0)
    assert (order.status, order.filled_nano, order.sent, order.held_here) == ("intent", 0, False, False)
    assert (order.events, order.fills, order.reports, order.roots) == ([], {}, {}, {})
    added = OrderBook().add(MINE, 50)
    assert (added.origin, added.group, added.price_nano) == ("desk", "", 0)
    other = OrderBook().add(MINE, 50, "external", "g", 11)
    assert (other.origin, other.group, other.price_nano, other.sent_ns) == ("external", "g", 11, 50)
    assert (other.status, other.sent) == ("in_flight", True)


EVERYTHING = msgspec.structs.replace(
    MINE,
    cycle=4,
    index=5,
    time_in_force="gtd",
    limit_price_nano=to_nano(9),
    stop_price_nano=to_nano(8),
    trail_bps=30,
    reason="the news",
    expires_ns=at(9),
    reduce_only=True,
    parent_id="oo-parent",
)
"""An intent in which nothing is as it is by default."""


@pytest.mark.requirement("execution:waiting:triggered")
@pytest.mark.parametrize(
    ("kind", "became", "limit"), [("stop", "market", 0), ("trailing_stop", "market", 0), ("stop_limit", "limit", 9)]
)
def test_what_a_stop_becomes_is_the_same_order_without_its_trigger(
    kind: OrderType, became: OrderType, limit: int
) -> None:
    stop = msgspec.structs.replace(EVERYTHING, order_type=kind)
    order = Order(stop, 50)
    assert order.submitted is stop, "a broker that has stops gets the stop"
    order.held_here = True
    assert order.submitted == msgspec.structs.replace(
        stop, order_type=became, limit_price_nano=to_nano(limit), stop_price_nano=0, trail_bps=0
    )


@pytest.mark.requirement("execution:waiting:held")
def test_an_order_is_held_here_only_when_it_was_held_before_it_was_sent() -> None:
    book, order = taken("held")
    assert (order.held_here, order.waits_here, order.sent, order.sent_ns) == (True, True, False, 50)
    book.advance(order, "triggered", 101)
    book.advance(order, "sent", 102)
    assert (order.held_here, order.waits_here, order.sent, order.sent_ns) == (True, False, True, 102)
    _, parked = taken("sent", "held")
    assert (parked.held_here, parked.waits_here, parked.sent, parked.sent_ns) == (False, False, True, 100)
    _, gone = taken("held", "canceled")
    assert not gone.waits_here
    assert not taken()[1].waits_here, "nothing happened to it yet"


@pytest.mark.requirement("execution:once:same-order")
def test_what_sending_caused_is_its_first_two_events_or_that_it_is_held() -> None:
    _, sent = taken("sent", "accepted", "canceled")
    assert [event.kind for event in sent.sending] == ["sent", "accepted"]
    _, held = taken("held", "triggered", "sent")
    assert [event.kind for event in held.sending] == ["held"]


@pytest.mark.requirement("execution:orders:whole")
@pytest.mark.parametrize(
    ("kinds", "known"),
    [
        ([], False),
        (["sent"], False),
        (["sent", "unknown"], False),
        (["sent", "accepted"], True),
        (["sent", "accepted", "pending_cancel"], True),
    ],
)
def test_a_broker_is_told_whether_an_order_was_ever_acknowledged(kinds: list[OrderEventKind], known: bool) -> None:
    _, order = taken(*kinds)
    assert order.known == KnownOrder(MINE, order.sent_ns, known)


@pytest.mark.requirement("execution:orders:whole")
def test_a_fill_acknowledges_too_and_the_fills_that_count_go_along() -> None:
    book, order = taken("sent")
    first, second, undone = a_fill("f1", 3), a_fill("f2", 4), a_fill("b1", 3, "f1")
    for fill in (first, second):
        book.advance(order, "fill", 200, fill=fill)
    assert order.known == KnownOrder(MINE, 100, acknowledged=True, fills=(first, second))
    book.advance(order, "bust", 201, fill=undone)
    assert order.known == KnownOrder(MINE, 100, acknowledged=True, fills=(second,))


@pytest.mark.requirement("execution:orders:whole")
def test_a_correction_stands_in_the_place_of_the_first_report_however_often_it_is_corrected() -> None:
    book, order = taken("sent")
    first, other = a_fill("f1", to_nano(3)), a_fill("f2", to_nano(1))
    once, twice = a_fill("c1", to_nano(2), "f1"), a_fill("c2", to_nano(5), "c1")
    told: list[tuple[OrderEventKind, Fill]] = [("fill", first), ("fill", other), ("correct", once), ("correct", twice)]
    filled = [book.advance(order, kind, 200, fill=fill).filled_nano for kind, fill in told]
    assert filled == [to_nano(3), to_nano(4), to_nano(3), to_nano(6)]
    assert list(order.fills.items()) == [("f1", twice), ("f2", other)]
    assert order.reports == {fill.fill_id: fill for _, fill in told}
    assert order.roots == {"f1": "f1", "f2": "f2", "c1": "f1", "c2": "f1"}
    for refers in ("f1", "c1", "c2"):
        assert order.counted(a_fill("x", 0, refers)) is twice
    assert order.counted(a_fill("x", 0, "f9")) is None
    assert order.counted(a_fill("x", 0)) is None
    book.advance(order, "bust", 201, fill=a_fill("b1", to_nano(5), "c1"))
    assert (order.fills, order.filled_nano) == ({"f2": other}, to_nano(1))
    assert order.counted(a_fill("x", 0, "c2")) is None


@pytest.mark.requirement("execution:orders:whole")
def test_a_fill_counts_beside_the_one_that_it_names_because_it_takes_nothing_back() -> None:
    book, order = taken("sent")
    fills = [a_fill("f1", to_nano(3)), a_fill("f2", to_nano(2), "f1")]
    for fill in fills:
        book.advance(order, "fill", 200, fill=fill)
    assert order.filled_nano == to_nano(5) == sum(fill.qty_nano for fill in order.fills.values())
    assert list(order.fills.values()) == fills


# --- drafts -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:orders:whole")
def test_a_draft_says_everything_about_its_order() -> None:
    book, order = taken("sent")
    fill = a_fill("f1", to_nano(4))
    event = book.advance(order, "fill", 200, "as told", fill)
    assert event == OrderEvent(
        seq=2,
        client_order_id=COID,
        symbol="EURUSD",
        side="sell",
        kind="fill",
        status="partially_filled",
        time_ns=200,
        qty_nano=to_nano(10),
        filled_nano=to_nano(4),
        reason="as told",
        fill=fill,
        price_nano=11,
        group="g",
        origin="desk",
    )
    assert book.events[-1] is event is order.events[-1]
    assert book.advance(order, "canceled", 201).reason == "", "nothing to say"
    leg = book.add(intent(1, 1), 0, "leg")
    assert book.advance(leg, "sent", 202).origin == "leg"
    assert book.events[-1].seq == 4, "one sequence for all orders"


@pytest.mark.requirement("execution:orders:whole")
def test_money_that_moves_is_an_event_of_no_order() -> None:
    book, order = taken("sent")
    event = book.cash("cash-1", -5, 300, "a fee")
    assert event == OrderEvent(
        seq=2,
        client_order_id="cash-1",
        symbol="",
        side="buy",
        kind="cash",
        status="filled",
        time_ns=300,
        qty_nano=0,
        filled_nano=0,
        reason="a fee",
        origin="synthetic",
        cash_nano=-5,
    )
    assert book.events[-1] is event
    assert len(order.events) == 1
    assert list(book.orders) == [COID]


@pytest.mark.requirement("execution:orders:whole")
@pytest.mark.parametrize(
    ("nano", "status", "alarmed"),
    [
        (1, "partially_filled", False),
        (to_nano(10) - 1, "partially_filled", False),
        (to_nano(10), "filled", False),
        (to_nano(10) + 1, "accepted", True),
    ],
)
def test_a_fill_starts_completes_or_overfills_an_order_by_the_billionth(
    nano: int, status: OrderStatus, alarmed: bool
) -> None:
    book, order = taken("sent", "accepted")
    event = book.advance(order, "fill", 200, fill=a_fill("f1", nano))
    assert (event.status, event.filled_nano, event.reason.startswith(ALARM)) == (status, nano, alarmed)
    assert order.filled_nano == nano, "the money moved, allowed or not"


@pytest.mark.requirement("execution:states:alarm")
def test_a_fill_without_a_fill_and_a_fill_with_something_else_are_alarms() -> None:
    book, order = taken("sent", "accepted")
    for kind in ("fill", "bust", "correct"):
        event = book.advance(order, kind, 200)
        assert (event.status, event.filled_nano, event.fill) == ("accepted", 0, None)
        assert event.reason.startswith(f"{ALARM}{kind} after accepted, 0 of 10000000000 filled")
    event = book.advance(order, "held", 201, "as told", a_fill("f1", 5))
    assert (event.status, event.filled_nano) == ("accepted", 5), "its money counts"
    assert event.reason.startswith(f"{ALARM}held after accepted, 5 of")


@pytest.mark.requirement("execution:states:alarm")
def test_a_bust_or_correction_of_what_is_not_there_takes_nothing_back() -> None:
    book, order = taken("sent", "accepted")
    book.advance(order, "fill", 200, fill=a_fill("f1", 5))
    event = book.advance(order, "bust", 201, fill=a_fill("b1", 3, "f9"))
    assert (event.filled_nano, order.fills) == (5, {"f1": a_fill("f1", 5)})
    correction = a_fill("c1", 3, "f8")
    event = book.advance(order, "correct", 202, fill=correction)
    assert (event.filled_nano, order.fills["c1"]) == (8, correction), "its money counts, by itself"
    assert order.roots == {"f1": "f1", "b1": "b1", "c1": "c1"}


@pytest.mark.requirement("execution:states:alarm")
def test_an_order_is_drafted_as_sent_once() -> None:
    book, order = taken("sent")
    event = book.advance(order, "sent", 200)
    assert (event.status, event.reason.startswith(ALARM)) == ("in_flight", True)
    book, order = taken("held", "triggered")
    assert (book.advance(order, "sent", 200).status, order.sent_ns) == ("in_flight", 200)


# --- the book ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:orders:whole")
def test_the_book_knows_its_groups_their_legs_and_what_works() -> None:
    book = OrderBook()
    plain = book.add(intent(0, 1), 0)
    entry = book.add(intent(1, 1, order_class="bracket"), 0)
    first = book.add(intent(2, 1, parent_id=entry.intent.client_order_id), 0, "leg")
    second = book.add(intent(3, 1, parent_id=entry.intent.client_order_id), 0, "leg")
    assert book.groups == {entry.intent.client_order_id: entry}
    assert book.legs == {entry.intent.client_order_id: [first, second]}
    assert list(book.orders.values()) == [plain, entry, first, second]
    assert book.working == {}
    for order in (plain, entry):
        book.advance(order, "sent", 1)
    assert list(book.working.values()) == [plain, entry]
    book.advance(plain, "canceled", 2)
    book.advance(plain, "canceled", 3)
    assert list(book.working.values()) == [entry], "what is over stays over when it is said again"
    book.advance(entry, "fill", 4, fill=a_fill("f1", to_nano(100), client_order_id=entry.intent.client_order_id))
    assert (entry.status, book.working) == ("filled", {})
    book.advance(entry, "bust", 5, fill=a_fill("b1", to_nano(100), "f1", client_order_id=entry.intent.client_order_id))
    assert list(book.working.values()) == [entry], "a trade that is taken back works again"


@pytest.mark.requirement("execution:replace:both")
def test_a_chain_of_replacements_is_one_group_named_by_its_first() -> None:
    book = OrderBook()
    names = [intent(n, 1).client_order_id for n in range(3)]
    chain = [book.add(intent(n, 1, replaces=names[n - 1] if n else ""), 0) for n in range(3)]
    assert [order.group for order in chain] == [names[0]] * 3
    lone = book.add(intent(4, 1, replaces="oo-nowhere"), 0)
    assert lone.group == "", "there is nothing that it replaces"
    known = book.add(intent(5, 1), 0, group="other")
    heir = book.add(intent(6, 1, replaces=known.intent.client_order_id), 0)
    assert (known.group, heir.group) == ("other", "other"), "a group that it has is kept"


@pytest.mark.requirement("execution:orders:whole")
def test_an_event_of_an_order_that_is_not_there_is_kept_in_the_sequence_only() -> None:
    book, order = taken("sent")
    stranger = OrderEvent(2, "oo-x", "IBM", "buy", "accepted", "accepted", 1, 1, 0)
    book.record(stranger)
    assert book.events == [*order.events, stranger]
    assert list(book.working) == [COID]
