"""One client's books on a real journal: durable in one batch or not at all, and the same when they are read back."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from bus.errors import JournalError
from bus.fixed import to_nano
from bus.messages import Fill, Instrument, OrderEvent, Ticket
from execution.books import Books
from execution.broker import BrokerReport
from execution.journal import Clock, Journal
from execution.swept import Sweep
from tests.execution.desk import FUTURE, START_CASH, STOCK, at, dump, gateway_spec, intent

INSTRUMENTS = {STOCK.symbol: STOCK, FUTURE.symbol: FUTURE}
replace = msgspec.structs.replace
ENTRY = intent(0, 1, limit="100")
NAME = ENTRY.client_order_id


def journal(folder: Path) -> Journal:
    return Journal(folder / "journal.sqlite", {"client": "alice", "run_id": "run-1"})


@pytest.fixture(name="books")
def books_of_a_new_journal(tmp_path: Path) -> Generator[Books]:
    books = Books(gateway_spec(tmp_path), journal(tmp_path))
    yield books
    books.journal.close()


@contextmanager
def read_back(books: Books) -> Generator[Books]:
    """What a new process finds."""
    books.journal.close()
    with closing(journal(books.journal.path.parent)) as found:
        yield Books(gateway_spec(books.journal.path.parent), found)


def ticket(ticket_id: str = "tk-1") -> Ticket:
    return Ticket(ticket_id, "alice", "over", "v1", 0, 1, "key", b"signature")


def fill(fill_id: str, qty: int, price: int, *, name: str = NAME, refers_to: str = "") -> BrokerReport:
    """A report of an execution of IBM at the second minute."""
    done = Fill(fill_id, name, "IBM", "buy", to_nano(qty), to_nano(price), 0, at(2), "taker", refers_to)
    return BrokerReport(name, "fill", fill=done)


def send(books: Books) -> None:
    """The entry is written, sent and accepted."""
    with books.durable():
        books.book.advance(books.add(ENTRY, at(1), ticket()), "sent", at(1))
    books.commit([BrokerReport(NAME, "accepted")], at(1))


def rows(books: Books, table: str) -> list[tuple[object, ...]]:
    return [row[1:] for row in dump(books.journal.path) if row[0] == table]


def alarms(books: Books) -> list[object]:
    return [row[-1] for row in rows(books, "alarms")]


def fail(books: Books) -> None:
    books.alarm("somebody look")
    raise JournalError("the disk is full")


@contextmanager
def locked(books: Books) -> Generator[None]:
    """Another process is writing."""
    with closing(sqlite3.connect(books.journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


# --- reading back -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:journal:killed")
def test_a_new_journal_holds_nothing_and_nothing_waits_to_be_written(books: Books) -> None:
    assert (books.book.orders, books.book.events, books.tickets, books.waters) == ({}, [], {}, {})
    assert (books.halted, books.settling, books.sweeps, books.untold) == ("", "", {}, [])
    assert books.clock == Clock(0, -1, done=False)
    assert books.ledger is None
    assert books.stale is False
    assert books.pending is False


@pytest.mark.requirement("execution:journal:killed")
def test_books_are_not_read_back_in_the_middle_of_a_batch_and_nothing_of_that_is_written(books: Books) -> None:
    send(books)
    before = books.book.events

    def read_back_too_soon() -> None:
        with books.durable():
            books.halt("never written")
            books.load()

    with pytest.raises(JournalError, match="in the middle of a batch"):
        read_back_too_soon()
    assert books.stale
    books.load()
    assert (books.book.events, books.halted) == (before, "")


@pytest.mark.requirement("execution:journal:killed")
def test_everything_that_was_written_is_read_back_as_it_was(books: Books) -> None:
    adopted = intent(5, 1, "sell", 7, symbol="ES_201312")
    send(books)
    with books.durable(unasked=True):
        books.add(adopted, at(2), None, "external", "a group", to_nano(1_500))
        books.use(ticket("tk-2"), "cancel_all", at(2))
        books.set_water(NAME, 123)
        books.sweep("mean", 7)
        books.halt("a person must look")
        books.settling_from(at(2), 3)
        books.clock = Clock(at(2), 5, done=True)
        books.take([BrokerReport(adopted.client_order_id, "accepted"), fill("f1", 30, 100)], at(2))
        books.cash("cash-1", -5, at(2), "a fee")
    before = books
    with read_back(books) as found:
        assert found.book.events == before.book.events
        assert [event.kind for event in found.book.events] == ["sent", "accepted", "accepted", "fill", "cash"]
        for name, order in before.book.orders.items():
            same = found.book.orders[name]
            for field in ("intent", "sent_ns", "origin", "group", "price_nano", "status", "filled_nano", "events"):
                assert getattr(same, field) == getattr(order, field), field
        assert found.book.orders[adopted.client_order_id].origin == "external"
        assert found.book.orders[adopted.client_order_id].group == "a group"
        assert found.book.orders[adopted.client_order_id].price_nano == to_nano(1_500)
        assert found.tickets == before.tickets == {"tk-1": ("order", 1), "tk-2": ("cancel_all", 3)}
        assert found.waters == before.waters == {NAME: 123}
        assert found.clock == Clock(at(2), 5, done=True)
        assert found.sweeps == before.sweeps == {"mean": Sweep(3, 7)}
        assert found.halted == "a person must look"
        assert found.settling == before.settling == f"{at(2)},3"
        assert found.untold == before.untold == [3, 4, 5]
        assert (found.pending, found.stale) == (False, False)


@pytest.mark.requirement("execution:journal:damaged")
def test_an_event_of_an_order_that_is_not_there_is_damage_and_the_books_stay_unread(books: Books) -> None:
    money = OrderEvent(1, "cash-1", "", "buy", "cash", "filled", 0, 0, 0, cash_nano=5)
    with books.journal.batch():
        books.journal.add_events([money])
    books.load()
    assert [event.kind for event in books.book.events] == ["cash"]
    with books.journal.batch():
        books.journal.add_events([replace(money, seq=2, kind="accepted", client_order_id="oo-9")])
    with pytest.raises(JournalError, match="event 2 is of an order that is not there") as caught:
        books.load()
    assert "nothing is sent" in str(caught.value)
    assert books.stale is True


@pytest.mark.requirement("execution:journal:lost")
def test_reading_back_drops_what_was_not_written(books: Books) -> None:
    send(books)
    books.open_ledger(INSTRUMENTS)
    books.take([fill("f1", 30, 100)], at(2))
    books.alarm("somebody look")
    assert books.pending
    books.load()
    assert (books.pending, books.stale, books.ledger) == (False, False, None)
    assert len(books.book.events) == 2
    with books.durable():
        pass
    assert alarms(books) == []


# --- the ledger -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:ledger:identity")
def test_the_ledger_has_all_events_so_far_and_those_that_come(books: Books) -> None:
    send(books)
    books.commit([fill("f1", 30, 100)], at(2))
    ledger = books.open_ledger(INSTRUMENTS)
    assert ledger is books.ledger
    assert ledger.cash_nano == START_CASH - to_nano(3_000)
    books.commit([fill("f2", 10, 100)], at(2))
    assert ledger.cash_nano == START_CASH - to_nano(4_000)
    with books.durable():
        books.cash("cash-1", to_nano(7), at(2), "interest")
    assert ledger.cash_nano == START_CASH - to_nano(3_993)
    assert ledger.holdings["IBM"].qty_nano == to_nano(40)
    event = books.book.events[-1]
    assert (event.client_order_id, event.kind, event.cash_nano) == ("cash-1", "cash", to_nano(7))
    assert (event.time_ns, event.reason) == (at(2), "interest")


@pytest.mark.requirement("execution:ledger:identity")
@pytest.mark.parametrize(("known", "cost"), [(INSTRUMENTS, 50), ({}, 1)])
def test_the_ledger_books_contracts_by_what_can_be_traded(
    books: Books, known: dict[str, Instrument], cost: int
) -> None:
    order = intent(0, 1, qty=1, symbol=FUTURE.symbol)
    with books.durable():
        books.book.advance(books.add(order, at(1)), "sent", at(1))
    ledger = books.open_ledger(known)
    done = Fill("f1", order.client_order_id, FUTURE.symbol, "buy", to_nano(1), to_nano(10), 0, at(2))
    books.commit([BrokerReport(order.client_order_id, "fill", fill=done)], at(2))
    assert ledger.cash_nano == START_CASH - to_nano(10 * cost)


# --- durable or not at all --------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:journal:before")
def test_events_alarms_and_the_clock_are_written_in_one_batch_when_it_ends(books: Books) -> None:
    send(books)
    books.clock = Clock(at(2), 1, done=False)
    books.take([fill("f1", 30, 100)], at(2))
    books.alarm("somebody look")
    assert books.pending
    assert books.stale is True
    assert (len(rows(books, "order_events")), alarms(books)) == (2, [])
    with books.durable():
        assert books.stale is True, "until it is durable, memory is not to be used"
        books.alarm("and again")
        assert len(rows(books, "order_events")) == 2
    assert (books.pending, books.stale) == (False, False)
    assert [event.kind for event in books.journal.events()] == ["sent", "accepted", "fill"]
    assert rows(books, "alarms") == [(1, at(2), "somebody look"), (2, at(2), "and again")]
    assert books.journal.clock() == Clock(at(2), 1, done=False)
    with books.durable():
        pass
    assert len(rows(books, "alarms")) == 2, "an alarm is written once"
    assert len(rows(books, "order_events")) == 3


@pytest.mark.requirement("execution:journal:lost")
def test_a_batch_that_fails_leaves_nothing_and_the_books_are_to_be_read_back(books: Books) -> None:
    send(books)
    books.take([fill("f1", 30, 100)], at(2))
    with locked(books), pytest.raises(JournalError), books.durable():
        pytest.fail("nothing is done in a batch that could not begin")
    assert books.stale is True
    assert books.untold == []
    with pytest.raises(JournalError), books.durable(unasked=True):
        fail(books)
    assert books.stale is True
    assert books.untold == []
    assert (len(rows(books, "order_events")), alarms(books)) == (2, [])
    books.load()
    assert [event.kind for event in books.book.events] == ["sent", "accepted"]
    assert not books.pending


@pytest.mark.requirement("execution:idle:heard")
def test_what_nobody_asked_for_is_kept_until_an_instant_tells_it(books: Books) -> None:
    send(books)
    assert books.untold == []
    books.commit([fill("f1", 30, 100)], at(2), unasked=True)
    books.commit([fill("f2", 10, 100)], at(2), unasked=True)
    books.commit([fill("f3", 10, 100)], at(2))
    assert books.untold == books.journal.untold() == [3, 4]
    books.take([fill("f4", 10, 100)], at(3))
    with books.durable():
        told = books.settled(at(3), 6)
    assert [event.seq for event in told] == [3, 4, 6]
    assert told == [books.book.events[2], books.book.events[3], books.book.events[5]]
    assert books.journal.settled(at(3)) == ([3, 4, 6], 6)
    assert books.untold == books.journal.untold() == []


@pytest.mark.requirement("execution:once:settle")
def test_an_answer_that_has_begun_is_known_until_it_is_whole(books: Books) -> None:
    send(books)
    with books.durable():
        books.settling_from(at(2), 2)
    assert books.settling == books.journal.meta("settling") == f"{at(2)},2"
    with books.durable():
        told = books.settled(at(2), 2)
    assert [event.seq for event in told] == [2]
    assert (books.settling, books.journal.meta("settling")) == ("", "")
    assert ("settling", "") in rows(books, "meta")
    with books.durable():
        assert books.settled(at(3), 3) == []
    assert books.journal.settled(at(3)) == ([], 2)


@pytest.mark.requirement("execution:once:settle")
def test_an_answer_that_was_never_begun_leaves_no_trace_of_one(books: Books) -> None:
    with books.durable():
        books.settled(at(2), 1)
    assert [row for row in rows(books, "meta") if row[0] == "settling"] == []


@pytest.mark.requirement("execution:idle:heard")
def test_a_broker_that_says_nothing_new_is_not_written_and_one_that_answers_is(books: Books) -> None:
    send(books)
    books.commit([BrokerReport(NAME, "accepted")], at(2))
    assert (len(books.journal.events()), books.stale) == (2, False)
    books.commit([], at(2))
    assert (len(books.journal.events()), books.stale) == (2, False)
    books.commit([BrokerReport(NAME, "accepted")], at(2), answer=True)
    assert [(event.kind, event.time_ns) for event in books.journal.events()[2:]] == [("accepted", at(2))]
    books.take([BrokerReport(NAME, "accepted")], at(3))
    assert not books.pending
    books.take([BrokerReport(NAME, "accepted")], at(3), answer=True)
    assert books.pending


@pytest.mark.requirement("execution:journal:lost")
def test_what_could_not_be_written_must_be_read_back_even_when_it_said_nothing_new(books: Books) -> None:
    send(books)
    books.take([BrokerReport(NAME, "accepted")], at(2))
    assert books.stale is True
    assert books.pending is False
    with locked(books), pytest.raises(JournalError, match="locked"):
        books.commit([fill("f1", 30, 100)], at(2))
    assert books.stale is True


# --- orders and tickets -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:journal:before")
def test_an_order_is_taken_up_with_the_use_of_its_ticket_from_its_first_event_on(books: Books) -> None:
    send(books)
    second = intent(1, 1)
    with books.durable():
        order = books.add(second, at(2), ticket("tk-2"))
        assert order is books.book.orders[second.client_order_id]
        books.book.advance(order, "sent", at(3))
    assert (order.intent, order.origin, order.group, order.price_nano) == (second, "desk", "", 0)
    assert books.tickets == books.journal.tickets() == {"tk-1": ("order", 1), "tk-2": ("order", 3)}
    assert rows(books, "tickets")[-1] == ("tk-2", "order", at(2), 3)
    written = books.journal.orders()[-1]
    assert (written.intent, written.sent_ns, written.origin, written.group, written.price_nano) == (
        second,
        at(2),
        "desk",
        "",
        0,
    )
    with closing(sqlite3.connect(books.journal.path)) as db:
        kept = [raw for (raw,) in db.execute("SELECT ticket FROM orders")]
    assert all(kept), "an order of the desk's keeps its ticket"


@pytest.mark.requirement("execution:replace:journal")
def test_an_order_in_the_place_of_another_is_written_with_the_group_that_they_share(books: Books) -> None:
    send(books)
    second = replace(intent(1, 1, limit="101"), replaces=NAME)
    with books.durable():
        assert books.add(second, at(2), ticket("tk-2")).group == NAME
    assert [order.group for order in books.journal.orders()] == ["", NAME]


@pytest.mark.requirement("execution:legs:restart")
def test_an_order_without_a_ticket_uses_none_and_is_written_as_whose_it_is(books: Books) -> None:
    with books.durable():
        books.add(ENTRY, at(1), None, "leg", "a group", to_nano(99))
    assert books.tickets == books.journal.tickets() == {}
    (written,) = books.journal.orders()
    assert (written.origin, written.group, written.price_nano) == ("leg", "a group", to_nano(99))


@pytest.mark.requirement("execution:tickets:refused")
def test_the_use_of_a_ticket_is_told_and_a_second_use_fails_the_batch(books: Books) -> None:
    send(books)
    with books.durable():
        assert books.use(ticket("tk-2"), "cancel_all", at(2)) == ("cancel_all", 3)
    assert books.tickets["tk-2"] == ("cancel_all", 3)
    assert rows(books, "tickets")[-1] == ("tk-2", "cancel_all", at(2), 3)
    with pytest.raises(JournalError), books.durable():
        books.use(ticket("tk-2"), "cancel_all", at(3))
