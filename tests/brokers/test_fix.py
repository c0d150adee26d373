"""The FIX 4.4 adapter against a venue that speaks FIX on loopback: the kit, and what only a session has."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest

from bus.clock import NS
from bus.errors import BusError, ConfigError
from bus.messages import OrderType, TimeInForce
from execution.broker import BrokerReport
from execution.fix import open_fix
from execution.fix.values import time_text
from execution.keys import Keys
from tests.brokers.fix_acceptor import Fields, first
from tests.brokers.fix_venue import PASSWORD, USERNAME, FixVenue
from tests.brokers.kit import BrokerKit, Ear, Mishap, Venue, order

_UNIT = 10**9


@pytest.mark.requirement("brokers:fix:kit")
class TestFix(BrokerKit):
    def make_venue(self, folder: Path) -> Venue:
        return FixVenue(folder)


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


def off(venue: FixVenue, ear: Ear) -> None:
    """Break the session and let nobody log on again."""
    venue.session.refuse_logon = "closed for the day"
    venue.session.drop()
    numbers = count(900)
    ear.until(lambda: "closed for the day" in refused(ear, venue, next(numbers)).reason, "the session to be off")
    assert not venue.session.logged_on


def refused(ear: Ear, venue: FixVenue, index: int) -> BrokerReport:
    return ear.broker.submit(order(venue, index), venue.now_ns())


def nothing(begin: int, end: int) -> None:
    """Resend nothing."""
    assert begin >= 0 <= end


def back(venue: FixVenue, ear: Ear) -> None:
    """Let it log on, and wait until it has."""
    venue.session.refuse_logon = ""
    ear.until(lambda: venue.session.logged_on, "the logon")


@pytest.mark.requirement("brokers:fix:off")
class TestOff:
    def test_an_order_is_refused_and_does_not_come_later(self, venue: FixVenue, ear: Ear) -> None:
        off(venue, ear)
        told = refused(ear, venue, 0)
        assert told.kind == "rejected"
        assert "closed for the day" in told.reason
        assert "not kept for later" in told.reason
        assert told.reason.startswith("not_sent: "), "a leg's next number goes by that"
        back(venue, ear)
        mine = ear.submit_when_back(order(venue, index) for index in range(1, 100))
        assert venue.orders() == {mine.client_order_id: mine.qty_nano}

    def test_a_replacement_is_refused_and_the_old_order_works_on(self, venue: FixVenue, ear: Ear) -> None:
        old = order(venue, 0)
        ear.submit(old)
        off(venue, ear)
        told = ear.replace(order(venue, 1, replaces=old.client_order_id))
        assert [r.kind for r in told] == ["replace_rejected", "rejected"]
        back(venue, ear)
        ear.until_settled(old.client_order_id)
        assert venue.working() == {old.client_order_id: old.qty_nano}

    def test_a_cancel_says_that_it_was_not_sent(self, venue: FixVenue, ear: Ear) -> None:
        old = order(venue, 0)
        ear.submit(old)
        off(venue, ear)
        assert ear.cancel(old.client_order_id) == "cancel_rejected"
        assert "was not sent" in ear.reports[-1].reason

    def test_a_cancel_waits_for_a_session_that_comes_back(self, venue: FixVenue, ear: Ear) -> None:
        old = order(venue, 0)
        ear.submit(old)
        venue.session.drop()
        if ear.cancel(old.client_order_id) == "unknown":
            ear.cancel(old.client_order_id)  # the first was written before the loss was noticed
        ear.until_kind(old.client_order_id, "canceled")

    @pytest.mark.parametrize("asks_at_logon", [True, False])
    def test_the_first_order_after_a_loss_arrives_although_they_missed_what_came_before(
        self, venue: FixVenue, ear: Ear, asks_at_logon: bool
    ) -> None:
        ear.submit(order(venue, 0))
        venue.session.asks_at_logon = asks_at_logon
        on_raw = venue.session.on_raw
        venue.session.on_raw = lambda fields: first(fields, 35) == "D"  # it does not come in
        assert refused(ear, venue, 1).kind == "unknown"
        venue.session.on_raw = on_raw
        venue.session.drop()
        ear.until(lambda: venue.session.logons == 2, "the next logon")
        answers: list[str] = []

        def accepted() -> bool:
            answers.append(refused(ear, venue, 2 + len(answers)).kind)
            return answers[-1] != "rejected"

        ear.until(accepted, "an order that is sent")
        assert answers[-1] == "accepted"

    def test_questions_have_no_answer(self, venue: FixVenue, ear: Ear) -> None:
        old = order(venue, 0)
        ear.submit(old)
        off(venue, ear)
        with pytest.raises(BusError, match="closed for the day"):
            ear.broker.query(old.client_order_id)
        with pytest.raises(BusError, match="closed for the day"):
            ear.broker.statement()

    def test_an_order_is_refused_while_messages_of_theirs_are_missing(
        self, venue: FixVenue, ear: Ear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = order(venue, 0)
        ear.submit(old)
        real = venue.session.resend
        monkeypatch.setattr(venue.session, "resend", nothing)
        venue.session.keep("8", venue.report(venue.book[old.client_order_id], "3", status="3"))
        venue.session.send("0", [])
        ear.until(lambda: any(first(m, 35) == "2" for m in venue.session.heard), "the resend request")
        told = refused(ear, venue, 1)
        assert told.kind == "rejected"
        assert "missing" in told.reason
        monkeypatch.setattr(venue.session, "resend", real)
        real(1, 0)
        ear.until_kind(old.client_order_id, "done_for_day")
        assert refused(ear, venue, 2).kind == "accepted"

    def test_a_store_that_cannot_be_written_sends_nothing(self, venue: FixVenue, ear: Ear) -> None:
        other = sqlite3.connect(venue.folder / "fix" / "DESK-VENUE.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        told = refused(ear, venue, 0)
        other.execute("ROLLBACK")
        other.close()
        assert told.kind == "rejected"
        assert "nothing was sent" in told.reason
        assert venue.orders() == {}

    def test_a_store_that_is_gone_makes_every_question_unknown(self, venue: FixVenue, ear: Ear) -> None:
        mine = order(venue, 0)
        ear.submit(mine)
        ear.broker.close()
        for question in (
            lambda: ear.broker.submit(order(venue, 1), venue.now_ns()),
            lambda: ear.broker.cancel(mine.client_order_id, venue.now_ns()),
            lambda: ear.broker.query(mine.client_order_id),
            ear.broker.drain,
            ear.broker.statement,
        ):
            with pytest.raises(OSError, match="closed"):
                question()
        assert venue.orders() == {mine.client_order_id: mine.qty_nano}

    def test_a_logon_that_is_refused_leaves_a_broker_that_sends_nothing(self, venue: FixVenue) -> None:
        venue.session.refuse_logon = f"password {PASSWORD} has expired"
        broker = venue.open()
        told = broker.submit(order(venue, 0), venue.now_ns())
        assert told.kind == "rejected"
        assert "password *** has expired" in told.reason

    def test_a_store_that_was_lost_is_found_out_and_said(self, venue: FixVenue, ear: Ear) -> None:
        ear.submit(order(venue, 0))
        ear.broker.close()
        for path in (venue.folder / "fix").iterdir():
            path.unlink()
        ear.broker = venue.open()
        before = venue.session.next_in
        ear.until(lambda: len(venue.session.violations) >= before + 2, "more attempts than there were numbers")
        told = refused(ear, venue, 1)
        assert told.kind == "rejected"
        assert f"MsgSeqNum too low, expecting {before} but received 1" in told.reason
        assert "restore broker.store" in told.reason
        assert all("Logon with MsgSeqNum" in violation for violation in venue.session.violations)
        venue.session.violations.clear()


def heard(venue: FixVenue, kind: str) -> Fields:
    return next(message for message in reversed(venue.session.heard) if first(message, 35) == kind)


@pytest.mark.requirement("brokers:fix:wire")
class TestWire:
    @pytest.mark.parametrize(
        ("kind", "tif", "says"),
        [
            ("market", "day", {40: "1", 59: "0", 44: "", 99: "", 126: ""}),
            ("limit", "gtc", {40: "2", 59: "1", 44: "98.99", 99: "", 126: ""}),
            ("stop", "ioc", {40: "3", 59: "3", 44: "", 99: "101.01", 126: ""}),
            ("stop_limit", "fok", {40: "4", 59: "4", 44: "102.01", 99: "101.01", 126: ""}),
        ],
    )
    def test_an_order_is_what_was_asked(
        self, venue: FixVenue, ear: Ear, kind: OrderType, tif: TimeInForce, says: dict[int, str]
    ) -> None:
        made = order(venue, 0, order_type=kind, tif=tif)
        assert ear.submit(made) == "accepted"
        sent = heard(venue, "D")
        assert {tag: first(sent, tag) for tag in says} == says
        assert (first(sent, 11), first(sent, 55), first(sent, 54)) == (made.client_order_id, "ACME", "1")
        assert (first(sent, 38), first(sent, 1), first(sent, 21)) == ("100", "ACC", "1")
        assert first(sent, 60) == time_text(ear.sent[made.client_order_id][1])
        assert first(sent, 43) == first(sent, 97) == ""

    def test_a_day_when_it_ends_is_told(self, venue: FixVenue, ear: Ear) -> None:
        made = order(venue, 0, tif="gtd", side="sell")
        ear.submit(made)
        sent = heard(venue, "D")
        assert (first(sent, 59), first(sent, 126), first(sent, 54)) == ("6", time_text(made.expires_ns), "2")

    def test_fractions_are_exact(self, venue: FixVenue, ear: Ear) -> None:
        made = msgspec.structs.replace(order(venue, 0), qty_nano=123_456_789, limit_price_nano=1)
        ear.submit(made)
        sent = heard(venue, "D")
        assert (first(sent, 38), first(sent, 44)) == ("0.123456789", "0.000000001")

    def test_a_cancel_names_its_order_and_has_a_name_of_its_own_each_time(self, venue: FixVenue, ear: Ear) -> None:
        made = order(venue, 0)
        ear.submit(made)
        venue.misbehave(Mishap.REJECT_CANCEL)
        names: list[str] = []
        for _ in range(2):
            ear.cancel(made.client_order_id)
            sent = heard(venue, "F")
            assert (first(sent, 41), first(sent, 37), first(sent, 38)) == (made.client_order_id, "V-1", "100")
            names.append(first(sent, 11))
        assert names == [f"{made.client_order_id}.c1", f"{made.client_order_id}.c2"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"symbol": "ACME\x0138=9"},
            {"limit_price_nano": 0},
            {"stop_price_nano": 5},
            {"expires_ns": 5},
            {"order_type": "trailing_stop", "trail_nano": 5, "limit_price_nano": 0},
            {"qty_nano": 0},
            {"client_order_id": "oo-\x01"},
        ],
        ids=str,
    )
    def test_what_does_not_go_together_is_refused_and_not_sent(
        self, venue: FixVenue, ear: Ear, changes: dict[str, object]
    ) -> None:
        made = msgspec.structs.replace(order(venue, 0), **changes)
        told = ear.broker.submit(made, venue.now_ns())
        assert (told.kind, bool(told.reason)) == ("rejected", True)
        assert venue.orders() == {}


@pytest.mark.requirement("brokers:fix:statement")
class TestStatement:
    @pytest.mark.parametrize("positions", [True, False])
    @pytest.mark.parametrize("mass", [True, False])
    def test_orders_and_positions_are_told_with_and_without_their_help(
        self, tmp_path: Path, positions: bool, mass: bool
    ) -> None:
        venue = FixVenue(tmp_path, positions=positions, timeout_s=1.0)
        venue.mass_status = mass
        ear = Ear(venue)
        done, open_, sold = order(venue, 0), order(venue, 1), order(venue, 2, side="sell")
        for intent in (done, open_, sold):
            ear.submit(intent)
        venue.fill(done.client_order_id, done.qty_nano, 10 * _UNIT)
        venue.fill(sold.client_order_id, done.qty_nano // 4, 10 * _UNIT)
        ear.until_filled(sold.client_order_id, done.qty_nano // 4)
        told = ear.broker.statement()
        assert told is not None
        assert told.cash_nano is None
        assert [(h.symbol, h.qty_nano) for h in told.held] == [("ACME", done.qty_nano // 4 * 3)]
        assert {(o.client_order_id, o.side, o.filled_nano, o.price_nano) for o in told.orders} == {
            (open_.client_order_id, "buy", 0, open_.limit_price_nano),
            (sold.client_order_id, "sell", done.qty_nano // 4, sold.limit_price_nano),
        }
        assert len(told.fills) == 2
        ear.close()
        venue.close()

    def test_positions_that_are_refused_are_said_not_made_up(self, venue: FixVenue, ear: Ear) -> None:
        real = venue.application

        def application(fields: Fields) -> None:
            if first(fields, 35) == "AN":
                venue.session.send("j", [(45, first(fields, 34)), (372, "AN"), (380, "3")])
            else:
                real(fields)

        venue.session.on_application = application
        with pytest.raises(BusError, match="positions=no"):
            ear.broker.statement()

    def test_positions_that_cannot_be_told_are_said_not_made_up(self, venue: FixVenue, ear: Ear) -> None:
        real = venue.application

        def application(fields: Fields) -> None:
            if first(fields, 35) == "AN":
                request = (710, first(fields, 710))
                venue.session.send("AO", [request, (721, "A-1"), (727, "0"), (728, "99"), (729, "2")])
            else:
                real(fields)

        venue.session.on_application = application
        with pytest.raises(BusError, match="positions=no"):
            ear.broker.statement()

    def test_half_an_answer_is_no_statement(self, venue: FixVenue, ear: Ear) -> None:
        mine = order(venue, 0)
        ear.submit(mine)

        def half(fields: Fields) -> None:
            if first(fields, 35) == "AF":
                body = venue.report(venue.book[mine.client_order_id], "I", exec_id="0")
                venue.session.send("8", [*body, (584, first(fields, 584)), (911, "2"), (912, "N")])

        venue.session.on_application = half
        with pytest.raises(BusError, match="no whole answer"):
            ear.broker.statement()


_CHILD = """
import sys
import msgspec
from bus.clock import wall_ns
from bus.messages import Instrument, OrderIntent
from execution.fix import open_fix
from execution.keys import Keys
from execution.spec import GatewaySpec

spec, instruments, intents, name, word = sys.stdin.readline(), sys.stdin.readline(), sys.stdin.readline(), *sys.argv[1:]
broker = open_fix(
    msgspec.json.decode(spec, type=GatewaySpec),
    msgspec.json.decode(instruments, type=dict[str, Instrument]),
    Keys(name, word),
)
for index, intent in enumerate(msgspec.json.decode(intents, type=list[OrderIntent])):
    print(index, flush=True)
    broker.submit(intent, wall_ns())
    broker.drain()
"""


@pytest.mark.requirement("brokers:fix:restart")
class TestRestart:
    @pytest.mark.parametrize("after", [0, 7, 23, 60])
    def test_kill_9_leaves_every_order_at_the_venue_once_or_never(self, venue: FixVenue, after: int) -> None:
        """The child says a number before it submits it; it is killed while it goes on."""
        planned = [order(venue, index) for index in range(500)]
        told = [msgspec.json.encode(part).decode() for part in (venue.spec(), venue.instruments, planned)]
        command = [sys.executable, "-c", _CHILD, USERNAME, PASSWORD]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n".join(told) + "\n")
            child.stdin.flush()
            said = -1
            while said < after:
                said = int(child.stdout.readline())
            os.kill(child.pid, signal.SIGKILL)
            rest = child.stdout.read().split("\n")[:-1]
        said = max([said, *map(int, rest)])
        ear = Ear(venue)
        intents = planned[: said + 1]
        ear.broker.close()
        for intent in intents:
            ear.sent[intent.client_order_id] = (intent, 1)
        ear.broker = venue.open()
        ear.broker.restore([ear.known(i.client_order_id) for i in intents], day_done=False)
        ear.listen()
        ends = [ear.until_settled(intent.client_order_id) for intent in intents]
        arrived = venue.orders()
        assert all(arrived[name] == 100 * _UNIT for name in arrived), "none twice"
        assert ["accepted" if i.client_order_id in arrived else "rejected" for i in intents] == ends
        assert ends.count("rejected") <= 1
        assert ear.submit(order(venue, said + 1)) == "accepted"
        ear.close()

    def test_an_execution_is_told_again_until_it_was_taken(self, venue: FixVenue, ear: Ear) -> None:
        mine = order(venue, 0)
        ear.submit(mine)
        venue.fill(mine.client_order_id, 10 * _UNIT, 10 * _UNIT)
        ear.until_filled(mine.client_order_id, 10 * _UNIT)
        for _ in range(2):
            ear.broker.close()
            ear.broker = venue.open()
            told = [report.fill for report in ear.broker.drain() if report.fill is not None]
            assert told == ear.of(mine.client_order_id), "what was given out may not have been journaled"
        assert ear.broker.drain() == []
        ear.broker.close()
        ear.broker = venue.open()
        assert ear.broker.drain() == []

    def test_what_the_journal_has_is_not_told_again(self, venue: FixVenue, ear: Ear) -> None:
        mine, over = order(venue, 0), order(venue, 1)
        ear.submit(mine)
        ear.submit(over)
        ear.cancel(over.client_order_id)
        ear.until_kind(over.client_order_id, "canceled")
        venue.fill(mine.client_order_id, 10 * _UNIT, 10 * _UNIT)
        ear.until_filled(mine.client_order_id, 10 * _UNIT)
        ear.broker.close()
        ear.broker = venue.open()
        ear.broker.restore([ear.known(mine.client_order_id)], day_done=False)
        assert ear.broker.drain() == []

    def test_an_order_sent_before_a_restart_is_not_sent_again(self, venue: FixVenue, ear: Ear) -> None:
        mine = order(venue, 0)
        ear.submit(mine)
        ear.reopen()
        assert ear.submit(mine) == "accepted"
        assert venue.orders() == {mine.client_order_id: mine.qty_nano}

    def test_a_second_adapter_on_the_same_session_is_refused(self, venue: FixVenue, ear: Ear) -> None:
        assert ear.submit(order(venue, 0)) == "accepted"
        with pytest.raises(Exception, match="in use by another gateway"):
            venue.open()


@pytest.mark.requirement("brokers:fix:keys")
def test_no_file_of_the_session_has_a_key(venue: FixVenue, ear: Ear) -> None:
    ear.submit(order(venue, 0))
    venue.session.drop()
    ear.submit_when_back(order(venue, index) for index in range(1, 100))
    ear.broker.statement()
    files = list((venue.folder / "fix").iterdir())
    kept = b"".join(path.read_bytes() for path in files)
    assert b"ACME" in kept
    for key in (USERNAME, PASSWORD):
        assert key.encode() in venue.session.raw_heard
        assert key.encode() not in kept
    after = venue.session.raw_heard.split(b"\x0135=A\x01")
    assert len(after) == 3
    assert all(part.count(PASSWORD.encode()) == 1 for part in after[1:]), "once in each Logon"


@pytest.mark.requirement("brokers:fix:extra")
def test_without_the_extra_it_says_which_to_install() -> None:
    code = (
        "import sys; sys.modules['simplefix'] = None\n"
        "from bus.errors import ConfigError\n"
        "from execution.fix import OFFERS, open_fix\n"
        "assert OFFERS.name == 'fix'\n"
        "try:\n"
        "    open_fix(None, {}, None)\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "openoutcry[fix]" in said.stdout


@pytest.mark.requirement("brokers:fix:extra")
def test_a_session_that_cannot_be_is_a_matter_of_configuration(venue: FixVenue) -> None:
    spec = msgspec.structs.replace(venue.spec(), broker=msgspec.structs.replace(venue.spec().broker, url="udp://x:1"))
    with pytest.raises(ConfigError, match="tcp://"):
        open_fix(spec, {}, Keys("a", "b"))
    assert venue.now_ns() > NS
