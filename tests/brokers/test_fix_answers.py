"""What a FIX counterparty says, as broker reports: each ExecType, each reject, executions and chains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.errors import CallTimeoutError
from bus.messages import OrderIntent
from execution.broker import ReportKind
from tests.brokers.fix_acceptor import first
from tests.brokers.fix_venue import PASSWORD, USERNAME, FixVenue
from tests.brokers.kit import Ear, order

_UNIT = 10**9


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[FixVenue]:
    venue = FixVenue(tmp_path, timeout_s=1.0)
    try:
        yield venue
    finally:
        venue.close()


@pytest.fixture
def ear(venue: FixVenue) -> Iterator[Ear]:
    ear = Ear(venue)
    yield ear
    ear.close()


def tell(venue: FixVenue, name: str, kind: str, *more: tuple[int, str], status: str = "") -> None:
    """Send a report of an order's that the venue's book knows nothing of."""
    with venue.session.lock:
        venue.session.send("8", [*venue.report(venue.book[name], kind, status=status), *more])


def placed(venue: FixVenue, ear: Ear, index: int = 0) -> OrderIntent:
    intent = order(venue, index)
    assert ear.submit(intent) == "accepted"
    return intent


def instead(venue: FixVenue, *answers: list[tuple[int, str]], kind: str = "8") -> None:
    """Answer the next order with these bodies, ``%`` standing for its ClOrdID, and take nothing."""

    def answer(fields: list[tuple[int, str]]) -> None:
        venue.session.on_application = venue.application
        for body in answers:
            whole = [(tag, value.replace("%", first(fields, 11))) for tag, value in body]
            venue.session.send(kind, [(45, first(fields, 34)), *whole] if kind in {"3", "j"} else whole)

    venue.session.on_application = answer


_BASE = [(37, "V-9"), (11, "%"), (17, "X-1"), (54, "1"), (55, "ACME"), (151, "0"), (14, "0"), (6, "0")]


@pytest.mark.requirement("brokers:fix:answers")
class TestAnswers:
    @pytest.mark.parametrize(
        ("kind", "status", "told"),
        [
            ("3", "3", "done_for_day"),
            ("4", "4", "canceled"),
            ("6", "6", "pending_cancel"),
            ("8", "8", "rejected"),
            ("9", "9", "suspended"),
            ("C", "C", "expired"),
            ("L", "0", "triggered"),
            ("D", "4", "canceled"),
            ("D", "C", "expired"),
        ],
    )
    def test_a_report_is_told_as_what_it_is(
        self, venue: FixVenue, ear: Ear, kind: str, status: str, told: ReportKind
    ) -> None:
        intent = placed(venue, ear)
        tell(venue, intent.client_order_id, kind, (58, "why"), status=status)
        ear.until_kind(intent.client_order_id, told)
        assert ear.kinds(intent.client_order_id) == ["accepted", told]
        assert "why" in ear.reports[-1].reason
        assert ear.reports[-1].time_ns > 0

    @pytest.mark.parametrize(("kind", "status"), [("A", "A"), ("B", "B"), ("7", "7"), ("0", "0"), ("D", "0")])
    def test_what_changes_nothing_says_nothing(self, venue: FixVenue, ear: Ear, kind: str, status: str) -> None:
        intent = placed(venue, ear)
        tell(venue, intent.client_order_id, kind, status=status)
        tell(venue, intent.client_order_id, "3", status="3")
        ear.until_kind(intent.client_order_id, "done_for_day")
        assert ear.kinds(intent.client_order_id) == ["accepted", "done_for_day"]

    def test_an_order_that_works_again_is_told_so(self, venue: FixVenue, ear: Ear) -> None:
        intent = placed(venue, ear)
        tell(venue, intent.client_order_id, "9", status="9")
        tell(venue, intent.client_order_id, "D", status="0")
        ear.until(lambda: len(ear.kinds(intent.client_order_id)) == 3, "the order to work again")
        assert ear.kinds(intent.client_order_id) == ["accepted", "suspended", "accepted"]

    def test_a_pending_new_is_not_an_acceptance(self, venue: FixVenue, ear: Ear) -> None:
        instead(venue, [*_BASE, (150, "A"), (39, "A")])
        assert ear.submit(order(venue, 0)) == "unknown"
        instead(venue, [*_BASE, (150, "A"), (39, "A")], [*_BASE, (150, "8"), (39, "8"), (58, "no")])
        assert ear.submit(order(venue, 1)) == "rejected"

    @pytest.mark.parametrize(("code", "told"), [("", "rejected"), ("3", "rejected"), ("6", "unknown")])
    def test_a_rejection_is_definite_but_for_a_duplicate(
        self, venue: FixVenue, ear: Ear, code: str, told: ReportKind
    ) -> None:
        body = [*_BASE, (150, "8"), (39, "8"), *([(103, code)] if code else [])]
        instead(venue, body)
        assert ear.submit(order(venue, 0)) == told
        assert ear.reports[-1].reason

    @pytest.mark.parametrize(
        ("code", "told"),
        [(code, "rejected") for code in "123567"] + [("0", "unknown"), ("4", "unknown")],
    )
    def test_a_business_reject_is_definite_but_for_doubtful_reasons(
        self, venue: FixVenue, ear: Ear, code: str, told: ReportKind
    ) -> None:
        instead(venue, [(372, "D"), (380, code), (58, "no")], kind="j")
        assert ear.submit(order(venue, 0)) == told

    def test_a_session_reject_of_an_order_is_a_rejection(self, venue: FixVenue, ear: Ear) -> None:
        instead(venue, [(371, "38"), (372, "D"), (373, "5"), (58, "bad quantity")], kind="3")
        assert ear.submit(order(venue, 0)) == "rejected"
        assert ear.reports[-1].reason == "the message was refused: bad quantity"

    @pytest.mark.parametrize("kind", ["3", "j"])
    def test_a_refused_cancel_leaves_the_order_working(self, venue: FixVenue, ear: Ear, kind: str) -> None:
        intent = placed(venue, ear)
        instead(venue, [(372, "F"), *([(380, "3")] if kind == "j" else [])], kind=kind)
        assert ear.cancel(intent.client_order_id) == "cancel_rejected"

    @pytest.mark.parametrize("kind", ["3", "j"])
    def test_a_refused_replacement_leaves_the_old_order_working(self, venue: FixVenue, ear: Ear, kind: str) -> None:
        old = placed(venue, ear)
        instead(venue, [(372, "G"), *([(380, "3")] if kind == "j" else [])], kind=kind)
        told = ear.replace(order(venue, 1, replaces=old.client_order_id))
        assert [(r.client_order_id == old.client_order_id, r.kind) for r in told] == [
            (True, "replace_rejected"),
            (False, "rejected"),
        ]

    @pytest.mark.parametrize(
        "bad", [(32, "many"), (31, "1e9"), (31, ""), (54, "?"), (150, "Z"), (14, "-"), (17, "")], ids=str
    )
    def test_an_answer_that_is_not_understood_makes_its_order_unknown(
        self, venue: FixVenue, ear: Ear, bad: tuple[int, str]
    ) -> None:
        trade = [*_BASE, (150, "F"), (39, "1"), (32, "1"), (31, "10")]
        instead(venue, [bad if field[0] == bad[0] else field for field in trade])
        assert ear.submit(order(venue, 0)) == "unknown"
        assert "not understood" in ear.reports[-1].reason
        ear.until(lambda: bool(venue.session.violations), "our Reject of it")
        assert [first(m, 45) for m in venue.session.heard if first(m, 35) == "3"] == ["2"]
        venue.session.violations.clear()

    def test_a_late_answer_is_told_when_it_comes(self, venue: FixVenue, ear: Ear) -> None:
        instead(venue)
        intent = order(venue, 0)
        assert ear.submit(intent) == "unknown"
        venue.session.send(
            "8", [(t, v.replace("%", intent.client_order_id)) for t, v in _BASE] + [(150, "0"), (39, "0")]
        )
        ear.until_kind(intent.client_order_id, "accepted")

    def test_an_order_that_was_there_and_is_forgotten_is_not_called_never_arrived(
        self, venue: FixVenue, ear: Ear
    ) -> None:
        intent = placed(venue, ear)
        with venue.session.lock:
            del venue.book[intent.client_order_id]
        assert ear.query(intent.client_order_id) == ()
        assert ear.kinds(intent.client_order_id) == ["accepted"]

    @pytest.mark.parametrize(
        ("status", "told"), [("3", "done_for_day"), ("4", "canceled"), ("9", "suspended"), ("C", "expired")]
    )
    def test_a_status_tells_the_end_that_was_missed(
        self, venue: FixVenue, ear: Ear, status: str, told: ReportKind
    ) -> None:
        intent = placed(venue, ear)
        venue.book[intent.client_order_id].status = status
        assert [report.kind for report in ear.query(intent.client_order_id)] == ["accepted", told]

    @pytest.mark.parametrize("code", ["3", ""])
    def test_a_status_of_an_order_that_was_rejected_says_why_and_not_that_it_never_came(
        self, venue: FixVenue, ear: Ear, code: str
    ) -> None:
        instead(venue)
        intent = order(venue, 0)
        assert ear.submit(intent) == "unknown"
        body = [
            *_BASE[:2],
            (17, "0"),
            *_BASE[3:],
            (150, "I"),
            (39, "8"),
            (58, "too much"),
            *([(103, code)] if code else []),
        ]

        def status(fields: list[tuple[int, str]]) -> None:
            venue.session.send(
                "8", [(t, v.replace("%", first(fields, 11))) for t, v in body] + [(790, first(fields, 790))]
            )

        venue.session.on_application = status
        (told,) = ear.query(intent.client_order_id)
        assert told.kind == "rejected"
        assert "too much" in told.reason

    def test_a_status_that_never_comes_is_an_error_and_comes_late_as_news(self, venue: FixVenue, ear: Ear) -> None:
        intent = placed(venue, ear)
        venue.answer_status = False
        with pytest.raises(CallTimeoutError, match="no status"):
            ear.broker.query(intent.client_order_id)
        asked = next(m for m in reversed(venue.session.heard) if first(m, 35) == "H")
        tell(venue, intent.client_order_id, "I", (790, first(asked, 790)), status="4")
        ear.until_kind(intent.client_order_id, "canceled")

    def test_words_of_theirs_come_without_keys(self, venue: FixVenue, ear: Ear) -> None:
        instead(venue, [*_BASE, (150, "8"), (39, "8"), (58, f"{USERNAME}/{PASSWORD} may not trade")])
        assert ear.submit(order(venue, 0)) == "rejected"
        assert ear.reports[-1].reason == "***/*** may not trade"


@pytest.mark.requirement("brokers:fix:executions")
class TestExecutions:
    def test_a_bust_undoes_the_execution_that_it_names(self, venue: FixVenue, ear: Ear) -> None:
        intent = placed(venue, ear)
        venue.fill(intent.client_order_id, 40 * _UNIT, 10 * _UNIT)
        ear.until_filled(intent.client_order_id, 40 * _UNIT)
        (fill,) = ear.of(intent.client_order_id)
        venue.bust(intent.client_order_id, fill.fill_id, 40 * _UNIT, 10 * _UNIT)
        ear.until_kind(intent.client_order_id, "bust")
        bust = ear.reports[-1].fill
        assert bust is not None
        assert (bust.refers_to, bust.qty_nano, bust.price_nano) == (fill.fill_id, 40 * _UNIT, 10 * _UNIT)
        told = ear.broker.statement()
        assert told is not None
        assert told.held == ()
        assert [report.kind for report in ear.query(intent.client_order_id)] == ["accepted", "fill", "bust"]

    def test_a_correction_says_what_is_true_and_a_bust_of_it_undoes_that(self, venue: FixVenue, ear: Ear) -> None:
        intent = placed(venue, ear)
        name = intent.client_order_id
        venue.fill(name, 40 * _UNIT, 10 * _UNIT)
        ear.until_filled(name, 40 * _UNIT)
        (fill,) = ear.of(name)
        venue.correct(name, fill.fill_id, (40 * _UNIT, 10 * _UNIT), (30 * _UNIT, 11 * _UNIT))
        ear.until_kind(name, "correct")
        told = ear.reports[-1].fill
        assert told is not None
        assert (told.refers_to, told.qty_nano, told.price_nano) == (fill.fill_id, 30 * _UNIT, 11 * _UNIT)
        venue.bust(name, fill.fill_id, 30 * _UNIT, 11 * _UNIT)
        ear.until_kind(name, "bust")
        bust = ear.reports[-1].fill
        assert bust is not None
        assert (bust.qty_nano, bust.price_nano) == (30 * _UNIT, 11 * _UNIT)

    def test_the_same_execution_id_of_another_order_is_another_execution(self, venue: FixVenue, ear: Ear) -> None:
        one, two = placed(venue, ear, 0), placed(venue, ear, 1)
        for intent in (one, two):
            more = [(17, "E-77"), (32, "5"), (31, "10")]
            body = [
                field for field in venue.report(venue.book[intent.client_order_id], "F", status="1") if field[0] != 17
            ]
            venue.session.send("8", [*[(t, "5" if t == 14 else v) for t, v in body], *more])
            ear.until_filled(intent.client_order_id, 5 * _UNIT)
        assert len(ear.fills) == 2

    def test_what_a_status_counts_and_never_came_is_one_fill_at_the_price_that_is_left(
        self, venue: FixVenue, ear: Ear
    ) -> None:
        intent = placed(venue, ear)
        name = intent.client_order_id
        venue.fill(name, 10 * _UNIT, 100 * _UNIT)
        ear.until_filled(name, 10 * _UNIT)
        book = venue.book[name]
        book.cum, book.worth, book.status = 40 * _UNIT, 10 * _UNIT * 100 * _UNIT + 30 * _UNIT * 104 * _UNIT, "1"
        ear.query(name)
        assert [(f.qty_nano, f.price_nano) for f in ear.of(name)] == [
            (10 * _UNIT, 100 * _UNIT),
            (30 * _UNIT, 104 * _UNIT),
        ]
        ear.query(name)
        assert ear.filled(name) == 40 * _UNIT
        late = [(t, v) for t, v in venue.report(book, "F", last="30@104") if t != 17]
        venue.session.send("8", [*late, (17, "late")])
        venue.fill(name, 20 * _UNIT, 100 * _UNIT)
        ear.until_filled(name, 60 * _UNIT)
        assert ear.filled(name) == 60 * _UNIT, "the late one was counted by its CumQty"

    def test_an_end_with_more_filled_than_was_told_is_unknown_until_asked(self, venue: FixVenue, ear: Ear) -> None:
        intent = placed(venue, ear)
        name = intent.client_order_id
        book = venue.book[name]
        book.cum, book.worth, book.status = 40 * _UNIT, 40 * _UNIT * 100 * _UNIT, "4"
        tell(venue, name, "4")
        ear.until_kind(name, "unknown")
        assert "canceled" not in ear.kinds(name)
        assert [report.kind for report in ear.query(name)] == ["accepted", "fill", "canceled"]
        assert ear.filled(name) == 40 * _UNIT

    @pytest.mark.parametrize(
        ("kind", "amount", "fee"), [("1", "0.01", "0.1"), ("2", "0.5", "5"), ("3", "1.25", "1.25"), ("", "2", "2")]
    )
    def test_commission_is_the_fee(self, venue: FixVenue, ear: Ear, kind: str, amount: str, fee: str) -> None:
        intent = placed(venue, ear)
        body = venue.report(venue.book[intent.client_order_id], "F", status="1", last="10@100")
        body = [(tag, "10" if tag == 14 else value) for tag, value in body]
        venue.session.send("8", [*body, (12, amount), *([(13, kind)] if kind else []), (851, "1")])
        ear.until_filled(intent.client_order_id, 10 * _UNIT)
        (fill,) = ear.of(intent.client_order_id)
        assert fill.fee_nano == int(float(fee) * 100) * 10**7
        assert fill.liquidity == "maker"

    def test_a_fill_of_an_order_of_other_hands_comes_under_its_derived_id(self, venue: FixVenue, ear: Ear) -> None:
        order_id = venue.place_by_hand("ACME", "sell", 10 * _UNIT, 200 * _UNIT)
        venue.fill(f"HAND-{order_id}", 4 * _UNIT, 200 * _UNIT)
        ear.until(lambda: bool(ear.fills), "the fill")
        (fill,) = ear.fills.values()
        told = ear.broker.statement()
        assert told is not None
        (by_hand,) = told.orders
        assert fill.client_order_id == by_hand.client_order_id
        assert (by_hand.qty_nano, by_hand.filled_nano) == (10 * _UNIT, 4 * _UNIT)
        assert ear.cancel(by_hand.client_order_id) in {"canceled", "pending_cancel"}
        ear.until_kind(by_hand.client_order_id, "canceled")


@pytest.mark.requirement("brokers:fix:chains")
class TestChains:
    def test_a_fill_while_a_replacement_is_pending_is_the_old_orders(self, venue: FixVenue, ear: Ear) -> None:
        old = placed(venue, ear)
        new = order(venue, 1, replaces=old.client_order_id)
        venue.session.on_application = lambda fields: self.race(venue, fields, old.client_order_id)
        ear.replace(new)
        ear.until_kind(new.client_order_id, "accepted")
        assert ear.filled(old.client_order_id) == 30 * _UNIT
        assert venue.working() == {new.client_order_id: new.qty_nano - 30 * _UNIT}
        venue.fill(new.client_order_id, new.qty_nano - 30 * _UNIT, 10 * _UNIT)
        ear.until_kind(new.client_order_id, "canceled")
        assert ear.filled(new.client_order_id) == new.qty_nano - 30 * _UNIT, "what is wanted counts the old one's fill"

    @staticmethod
    def race(venue: FixVenue, fields: list[tuple[int, str]], old: str) -> None:
        """Fill the old order under the new name before the replacement is answered."""
        venue.session.on_application = venue.application
        book = venue.book[old]
        book.cum, book.worth = 30 * _UNIT, 30 * _UNIT * 10 * _UNIT
        venue.held["ACME"] = 30 * _UNIT
        trade = venue.report(book, "F", status="E", name=first(fields, 11), last="30@10")
        venue.session.send("8", [*trade, (41, old)])
        venue.application(fields)

    def test_a_chain_of_replacements_counts_what_all_before_filled(self, venue: FixVenue, ear: Ear) -> None:
        names: list[str] = []
        for index in range(3):
            intent = order(venue, index, qty_nano=50 * _UNIT, replaces=names[-1] if names else "")
            if names:
                ear.replace(intent)
            else:
                ear.submit(intent)
            names.append(intent.client_order_id)
            ear.until_kind(names[-1], "accepted")
            venue.fill(names[-1], 10 * _UNIT, 10 * _UNIT)
            ear.until_filled(names[-1], 10 * _UNIT)
        asked = [first(m, 38) for m in venue.session.heard if first(m, 35) == "G"]
        assert asked == ["60", "70"], "filled by the chain so far, and what is wanted from now on"
        assert [ear.filled(name) for name in names] == [10 * _UNIT] * 3
        told = ear.broker.statement()
        assert told is not None
        assert [(o.client_order_id, o.qty_nano, o.filled_nano) for o in told.orders] == [
            (names[-1], 50 * _UNIT, 10 * _UNIT)
        ]

    def test_a_replaced_order_that_is_asked_about_is_told_as_replaced(self, venue: FixVenue, ear: Ear) -> None:
        old = placed(venue, ear)
        new = order(venue, 1, replaces=old.client_order_id)
        ear.replace(new)
        ear.until_kind(new.client_order_id, "accepted")
        assert [report.kind for report in ear.query(old.client_order_id)] == ["accepted", "replaced"]

    def test_a_lost_replacement_is_unknown_and_asking_settles_both(self, venue: FixVenue, ear: Ear) -> None:
        old = placed(venue, ear)
        new = order(venue, 1, replaces=old.client_order_id)
        venue.session.on_application = lambda _: setattr(venue.session, "on_application", venue.application)
        assert [(r.client_order_id, r.kind) for r in ear.replace(new)] == [(new.client_order_id, "unknown")]
        assert [r.kind for r in ear.query(new.client_order_id)] == ["rejected"]
        assert ear.reports[-1].reason == "never_arrived"
        assert [r.kind for r in ear.query(old.client_order_id)] == ["accepted"]

    def test_a_replacement_that_is_rejected_by_a_report_leaves_the_old_one(self, venue: FixVenue, ear: Ear) -> None:
        old = placed(venue, ear)
        instead(venue, [*_BASE, (41, old.client_order_id), (150, "8"), (39, "8"), (58, "no")])
        told = ear.replace(order(venue, 1, replaces=old.client_order_id))
        assert [r.kind for r in told] == ["replace_rejected", "rejected"]

    def test_what_was_never_sent_cannot_be_replaced(self, venue: FixVenue, ear: Ear) -> None:
        told = ear.replace(order(venue, 1, replaces="oo-" + "0" * 20))
        assert [r.kind for r in told] == ["replace_rejected", "rejected"]
        assert venue.orders() == {}
