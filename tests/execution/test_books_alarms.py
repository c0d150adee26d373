"""What books alarm a person of, on a real journal. Not how they are written and read back."""

from __future__ import annotations

import msgspec
import pytest

from bus.errors import JournalError
from bus.fixed import to_nano
from bus.messages import Fill
from execution.books import Books
from execution.broker import BrokerReport
from execution.swept import Sweep
from tests.execution.desk import START_CASH, at, intent
from tests.execution.test_books import ENTRY, INSTRUMENTS, NAME, alarms, books_of_a_new_journal, fill, send

replace = msgspec.structs.replace

__all__ = ["books_of_a_new_journal"]


@pytest.mark.requirement("execution:states:alarm")
def test_an_event_that_the_table_does_not_allow_is_an_alarm_and_its_fill_counts(books: Books) -> None:
    send(books)
    ledger = books.open_ledger(INSTRUMENTS)
    books.commit([BrokerReport(NAME, "canceled"), BrokerReport(NAME, "replace_rejected", "no")], at(2))
    assert alarms(books) == []
    books.commit([BrokerReport(NAME, "rejected")], at(2))
    (text,) = alarms(books)
    assert str(text).startswith(f"{NAME} alarm: rejected after canceled")
    books.commit([fill("f1", 101, 100)], at(2))
    assert len(alarms(books)) == 2
    assert ledger.cash_nano == START_CASH - to_nano(10_100)


@pytest.mark.requirement("execution:states:alarm")
def test_a_report_of_no_order_of_ours_is_an_alarm_and_the_reports_after_it_count(books: Books) -> None:
    send(books)
    books.commit([BrokerReport("oo-9", "accepted"), fill("f1", 30, 100)], at(2))
    (text,) = alarms(books)
    assert "oo-9, which is no order of this journal" in str(text)
    assert books.book.events[-1].kind == "fill"


BRACKET = replace(ENTRY, order_class="bracket", take_profit_nano=to_nano(110), stop_loss_nano=to_nano(90))


def bracketed(books: Books, *, filled: int = 50) -> tuple[str, str]:
    """A bracket whose entry filled, with its two legs at the broker."""
    legs: list[str] = []
    with books.durable():
        books.book.advance(books.add(BRACKET, at(1)), "sent", at(1))
        for index, limit in ((1, "110"), (2, None)):
            wanted = replace(intent(index, 1, "sell", filled, limit), parent_id=NAME)
            books.book.advance(books.add(wanted, at(2), None, "leg"), "sent", at(2))
            legs.append(wanted.client_order_id)
    books.commit([BrokerReport(NAME, "accepted"), fill("f1", filled, 100)], at(2))
    return legs[0], legs[1]


def sold(name: str, qty: int) -> BrokerReport:
    done = Fill(f"s-{name}", name, "IBM", "sell", to_nano(qty), to_nano(100), 0, at(3))
    return BrokerReport(name, "fill", fill=done)


@pytest.mark.requirement("execution:legs:ended")
def test_a_leg_that_the_venue_rejects_is_an_alarm_and_an_entry_that_it_rejects_is_none(books: Books) -> None:
    profit, loss = bracketed(books)
    books.commit([BrokerReport(profit, "accepted")], at(3))
    assert alarms(books) == []
    books.commit([BrokerReport(loss, "rejected", "too close")], at(3))
    (text,) = alarms(books)
    assert f"leg {loss} was rejected (too close)" in str(text)
    second = intent(7, 1)
    with books.durable():
        books.book.advance(books.add(second, at(3)), "sent", at(3))
    books.commit([BrokerReport(second.client_order_id, "rejected", "closed")], at(3))
    assert len(alarms(books)) == 1


@pytest.mark.requirement("execution:legs:never-arrived")
def test_a_leg_that_never_arrived_is_no_alarm_before_its_last_try(books: Books) -> None:
    _, loss = bracketed(books)
    books.commit([BrokerReport(loss, "rejected", "never_arrived")], at(3))
    assert alarms(books) == []


@pytest.mark.requirement("execution:legs:one-cancels-other")
def test_legs_that_fill_more_than_their_entry_are_an_alarm(books: Books) -> None:
    profit, loss = bracketed(books)
    books.commit([sold(profit, 40), BrokerReport(loss, "accepted"), sold(loss, 10)], at(3))
    assert alarms(books) == []
    done = Fill("s-2", profit, "IBM", "sell", to_nano(1), to_nano(100), 0, at(3))
    books.commit([BrokerReport(profit, "fill", fill=done)], at(3))
    (text,) = alarms(books)
    assert f"legs of {NAME} filled 1 more than it has" in str(text)


@pytest.mark.requirement("execution:halt:difference")
def test_a_halt_is_written_and_alarmed_once_and_is_cleared_without_an_alarm(books: Books) -> None:
    with books.durable():
        books.halt("first")
    with books.durable():
        books.halt("second")
    assert (books.halted, books.journal.meta("halted")) == ("second", "second")
    assert alarms(books) == ["halted: first"]
    with books.durable():
        books.halt("")
    assert (books.halted, books.journal.meta("halted")) == ("", "")
    assert alarms(books) == ["halted: first"]
    with books.durable():
        books.halt("third")
    assert alarms(books) == ["halted: first", "halted: third"]


@pytest.mark.requirement("execution:legs:killed")
def test_what_was_swept_away_and_the_waters_of_trailing_stops_are_written(books: Books) -> None:
    with books.durable():
        books.sweep("mean", 7)
        books.set_water("oo-1", 5)
        books.set_water("oo-2", 6)
    with books.durable():
        books.set_water("oo-1", 9)
    assert books.sweeps == books.journal.sweeps() == {"mean": Sweep(1, 7)}
    with books.durable():
        books.journal.set_meta("sweeps", '{"mean": 7}')
    with pytest.raises(JournalError, match="is damaged"):
        books.journal.sweeps()
    assert books.waters == books.journal.waters() == {"oo-1": 9, "oo-2": 6}
