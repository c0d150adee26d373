"""What a broker's report leads to: an event, nothing, or an alarm. What an event says whole is in `test_orders`."""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import to_nano
from bus.messages import Fill, OrderEvent, OrderEventKind
from execution.broker import BrokerReport, ReportKind
from execution.orders import ALARM, OrderBook
from execution.states import FINAL
from tests.execution.test_orders import COID, a_fill, taken


def said(book: OrderBook, kind: ReportKind, fill: Fill | None = None, *, answer: bool = False) -> OrderEvent | None:
    """The event that a report leads to; an alarm's text fails."""
    outcome = book.report(BrokerReport(COID, kind, "as told", fill), 300, answer=answer)
    assert not isinstance(outcome, str), outcome
    return outcome


@pytest.mark.requirement("execution:orders:reports")
def test_a_report_is_drafted_with_its_reason_its_fill_and_our_time() -> None:
    book, _ = taken("sent")
    fill = a_fill("f1", to_nano(4), time_ns=250)
    event = said(book, "fill", fill)
    assert event is not None
    assert (event.kind, event.time_ns, event.reason, event.fill) == ("fill", 300, "as told", fill)
    assert event is book.events[-1]


@pytest.mark.requirement("execution:orders:reports")
@pytest.mark.parametrize("answer", [False, True])
def test_no_answer_says_nothing_about_what_is_unknown_already_or_over(answer: bool) -> None:
    for kinds in (["sent", "unknown"], *(["sent", kind] for kind in ("canceled", "expired", "rejected"))):
        book, order = taken(*msgspec.convert(kinds, list[OrderEventKind]))
        assert order.status in FINAL | {"unknown"}
        assert said(book, "unknown", answer=answer) is None
        assert len(book.events) == 2
    book, order = taken("sent")
    assert said(book, "unknown", answer=answer) is not None
    assert order.status == "unknown"


@pytest.mark.requirement("execution:states:repeated")
def test_what_a_venue_repeats_is_an_event_only_when_it_is_an_answer_or_changes_something() -> None:
    book, order = taken("sent")
    assert said(book, "accepted") is not None
    assert said(book, "accepted") is None
    assert said(book, "accepted", answer=True) is not None, "the answer to a question counts"
    assert said(book, "suspended") is not None
    assert said(book, "accepted") is not None, "it works again"
    said(book, "fill", a_fill("f1", 1))
    assert said(book, "accepted") is None, "with something filled it stays so"
    assert order.status == "partially_filled"
    assert said(book, "suspended") is not None
    assert said(book, "accepted") is not None
    assert order.status == "partially_filled"


@pytest.mark.requirement("execution:states:repeated")
def test_what_changes_nothing_is_an_event_the_first_time_that_it_is_said() -> None:
    book, order = taken("sent", "canceled")
    for kind in ("pending_cancel", "accepted"):
        assert said(book, kind) is not None
        assert said(book, kind) is None
        assert order.status == "canceled"


@pytest.mark.requirement("execution:states:repeated")
def test_an_acknowledgement_said_again_is_news_where_something_was_filled_against_the_table() -> None:
    book, order = taken("sent", "accepted")
    book.advance(order, "held", 200, fill=a_fill("f1", 1))
    assert (order.status, order.filled_nano) == ("accepted", 1), "an alarm"
    assert said(book, "accepted") is not None
    assert order.status == "partially_filled"
    assert said(book, "accepted") is None


@pytest.mark.requirement("execution:states:repeated")
@pytest.mark.parametrize("kind", ["cancel_rejected", "replace_rejected"])
def test_a_refusal_is_never_a_repetition_because_each_answers_a_question(kind: ReportKind) -> None:
    book, order = taken("sent", "accepted")
    for count in (3, 4, 5):
        assert said(book, kind) is not None
        assert (len(book.events), order.status) == (count, "accepted")


@pytest.mark.requirement("execution:states:repeated")
def test_an_alarm_is_repeated_only_after_something_else() -> None:
    book, _ = taken("sent", "rejected")
    first = said(book, "expired")
    assert first is not None
    assert first.reason.startswith(ALARM)
    assert said(book, "expired") is None
    second = said(book, "held")
    assert second is not None
    assert second.reason.startswith(ALARM)
    assert said(book, "expired") is not None, "it is said anew"
    book, order = taken("sent", "suspended", "accepted")
    order.events.append(msgspec.structs.replace(order.events[-1], kind="expired", status="rejected", reason="over"))
    order.status = "rejected"
    assert said(book, "expired") is not None, "what came before was no alarm"


@pytest.mark.requirement("execution:orders:reports")
def test_a_fill_that_was_reported_is_not_news_and_one_that_differs_contradicts() -> None:
    book, order = taken("sent", "accepted")
    fill = a_fill("f1", to_nano(4))
    assert said(book, "fill", fill) is not None
    assert said(book, "fill", fill) is None
    assert said(book, "fill", fill, answer=True) is None, "not even as an answer"
    correction = a_fill("c1", to_nano(3), "f1")
    assert said(book, "correct", correction) is not None
    assert said(book, "fill", fill) is None, "also when it was corrected since"
    assert said(book, "correct", correction) is None
    for kind, wrong in (
        ("fill", msgspec.structs.replace(fill, price_nano=1)),
        ("fill", a_fill("f2", 1, symbol="IBM")),
        ("fill", a_fill("f2", 1, side="buy")),
        ("bust", a_fill("b1", 1, "f1", side="buy")),
    ):
        text = book.report(BrokerReport(COID, msgspec.convert(kind, ReportKind), fill=wrong), 300)
        assert isinstance(text, str)
        assert "contradicts" in text
        assert COID in text
    assert (order.filled_nano, len(order.events)) == (to_nano(3), 4)


@pytest.mark.requirement("execution:orders:reports")
def test_a_report_that_fits_no_order_no_fill_or_no_trade_is_an_alarm_and_no_event() -> None:
    book, _ = taken("sent", "accepted")
    fill = a_fill("f1", 1)
    cases: list[tuple[BrokerReport, str]] = [
        (BrokerReport("oo-x", "fill", fill=fill), "fill for oo-x, which is no order of this journal"),
        (BrokerReport(COID, "fill"), f"fill of order {COID} without a fill"),
        (BrokerReport(COID, "bust"), f"bust of order {COID} without a fill"),
        (BrokerReport(COID, "correct"), f"correct of order {COID} without a fill"),
        (BrokerReport(COID, "canceled", fill=fill), f"canceled of order {COID} with a fill"),
        (BrokerReport(COID, "bust", fill=a_fill("b1", 1, "f1")), f"a bust of a fill that order {COID} does not have"),
        (BrokerReport(COID, "correct", fill=a_fill("c1", 1, "f1")), f"a correct of a fill that order {COID} does not"),
    ]
    for report, text in cases:
        alarm = book.report(report, 300)
        assert isinstance(alarm, str)
        assert alarm.startswith(text)
    assert len(book.events) == 2
