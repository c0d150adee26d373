"""What is kept, and what is not: numbers, executions, and never a key."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ConfigError, JournalError
from bus.messages import Fill
from execution.fix import open_fix
from execution.fix.settings import settings
from execution.fix.store import Known, Store
from execution.fix.values import BadValueError, decimal_text, parse_count, parse_nano, parse_time, time_text
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec
from tests.fix.peer import PASSWORD, USERNAME, Peer, execution


def fill(fill_id: str, qty: int, refers_to: str = "") -> Fill:
    return Fill(fill_id, "oo-1", "ACME", "buy", qty, 10, 0, 5, refers_to=refers_to)


@pytest.mark.requirement("fix:store")
class TestStore:
    @pytest.mark.usefixtures("peer")
    def test_a_second_holder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match="in use by another gateway"):
            Store(tmp_path, "DESK-VENUE")
        Store(tmp_path, "DESK-OTHER").close()

    @pytest.mark.usefixtures("peer")
    def test_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}

    def test_a_transaction_that_fails_changes_nothing(self, peer: Peer) -> None:
        def fail() -> None:
            peer.store.keep_order(Known("oo-1", "oo-1", "ACME", "buy", 1))
            raise ValueError("no")

        peer.log_on()
        before = peer.store.next_out
        with pytest.raises(ValueError, match="no"):
            peer.session.send("D", "oo-1", [(11, "oo-1")], fail)
        assert peer.store.next_out == before
        assert peer.store.order("oo-1") is None
        assert peer.heard() == []

    def test_a_store_that_cannot_be_written_sends_nothing(self, on: Peer, tmp_path: Path) -> None:
        other = sqlite3.connect(tmp_path / "DESK-VENUE.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="nothing is sent"):
            on.session.send("D", "oo-1", [(11, "oo-1")], lambda: None)
        other.execute("ROLLBACK")
        other.close()
        assert on.heard() == []
        on.session.send("D", "oo-1", [(11, "oo-1")], lambda: None)
        assert on.kinds() == ["D"]

    def test_what_is_no_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "DESK-VENUE.db").write_bytes(b"not a database, not at all" * 100)
        with pytest.raises(JournalError, match="cannot be written or read"):
            Store(tmp_path, "DESK-VENUE")

    def test_what_came_is_given_out_until_it_is_taken(self, on: Peer) -> None:
        on.say("8", execution("a"))
        on.say("8", execution("b"))
        on.reopen()
        assert on.inbox() == ["a", "b"]
        on.store.taken([on.store.inbox(0)[0][0]])
        on.reopen()
        assert on.inbox() == ["b"]

    def test_busts_and_corrections_count_in_what_is_held(self, peer: Peer) -> None:
        peer.store.keep_fill("a", "fill", fill("a", 10), 10)
        peer.store.keep_fill("b", "correct", fill("b", 7, "a"), -3)
        assert peer.store.held() == {"ACME": 7}
        peer.store.keep_fill("c", "bust", fill("c", 7, "b"), -7)
        assert peer.store.held() == {}
        assert [kind for kind, _ in peer.store.fills("oo-1")] == ["fill", "correct", "bust"]
        assert peer.store.executions(6) == []

    def test_kill_9_at_any_moment_loses_no_number_that_was_said(self, tmp_path: Path) -> None:
        """A process counts up and says each number after it is durable; it is killed in the middle of it."""
        code = (
            "import sys; from pathlib import Path; from execution.fix.store import Store\n"
            f"store = Store(Path({str(tmp_path)!r}), 'a')\n"
            "while True:\n"
            "    number = store.next_out\n"
            "    store.sent('D', f'oo-{number}', b'x', 1)\n"
            "    print(number, flush=True)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = 0
            while said < 100:
                said = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().split("\n")
        said = max([said, *(int(line) for line in rest[:-1] if line)])
        store = Store(tmp_path, "a")
        assert store.next_out in {said + 1, said + 2}, "said after it was kept; one more may be kept and not said"
        assert store.sent_as(said) == ("D", f"oo-{said}")
        store.close()


@pytest.mark.requirement("fix:keys")
class TestKeys:
    def test_the_keys_are_in_the_logon_and_nowhere_else(self, peer: Peer, tmp_path: Path) -> None:
        peer.session.connected(peer.write)
        assert PASSWORD.encode() in peer.raw
        assert USERNAME.encode() in peer.raw
        peer.heard()
        peer.say("A", [(98, "0"), (108, "10")])
        peer.session.send("D", "oo-1", [(11, "oo-1")], lambda: None)
        peer.say("2", [(7, "1"), (16, "0")])
        peer.say("1", [(112, "x")])
        assert PASSWORD.encode() not in peer.raw
        assert USERNAME.encode() not in peer.raw
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"oo-1" in kept, "the look into the store is a real one"
        assert PASSWORD.encode() not in kept
        assert USERNAME.encode() not in kept

    def test_settings_print_without_them(self, peer: Peer) -> None:
        shown = f"{peer.settings!r} {peer.settings}"
        assert "VENUE" in shown
        assert PASSWORD not in shown
        assert USERNAME not in shown


def spec(**changes: object) -> GatewaySpec:
    values: dict[str, object] = {
        "kind": "fix",
        "url": "tcp://127.0.0.1:9880",
        "sender_comp_id": "DESK",
        "target_comp_id": "VENUE",
        "store": "somewhere",
    }
    broker = BrokerSpec(**(values | changes))  # pyright: ignore[reportArgumentType] - names and types of a table
    return GatewaySpec("alice", "run", "paper", "", "", 0, broker=broker)


@pytest.mark.requirement("fix:settings")
class TestSettings:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"sender_comp_id": ""}, "sender_comp_id"),
            ({"target_comp_id": "A\x01B"}, "target_comp_id"),
            ({"store": ""}, "broker.store"),
            ({"timeout_s": 0.0}, "timeout_s"),
            ({"timeout_s": float("nan")}, "timeout_s"),
            ({"url": ""}, "tcp://"),
            ({"url": "http://127.0.0.1:9880"}, "tcp://"),
            ({"url": "tcp://127.0.0.1"}, "tcp://"),
            ({"url": "tcp://127.0.0.1:99999"}, "tcp://"),
            ({"url": "tcp://127.0.0.1:9880?heartbeat=0"}, "1 to 3600"),
            ({"url": "tcp://127.0.0.1:9880?heartbeat=fast"}, "1 to 3600"),
            ({"url": "tcp://127.0.0.1:9880?positions=maybe"}, "yes and no"),
            ({"url": "tcp://127.0.0.1:9880?speed=11"}, "allowed once each"),
            ({"url": "tcp://127.0.0.1:9880?reset=no&reset=yes"}, "allowed once each"),
            ({"url": "tcp://127.0.0.1:9880?reset"}, "cannot be read"),
        ],
    )
    def test_a_setting_that_is_wrong_is_refused_with_what_is_allowed(
        self, changes: dict[str, object], says: str
    ) -> None:
        with pytest.raises(ConfigError, match=says):
            settings(spec(**changes), Keys("a", "b"))

    def test_keys_in_the_address_are_refused_and_not_shown(self) -> None:
        with pytest.raises(ConfigError) as refused:
            settings(spec(url="tcp://user:fake-word@127.0.0.1:9880"), Keys("a", "b"))
        assert "fake-word" not in str(refused.value)

    def test_what_is_given_is_what_is_used(self) -> None:
        url = "tcp://127.0.0.1:9880?heartbeat=7&account=ACC&positions=yes&reset=yes"
        one = settings(spec(url=url), Keys("name", "word"))
        assert (one.host, one.port, one.heartbeat_s, one.account) == ("127.0.0.1", 9880, 7, "ACC")
        assert (one.positions, one.reset, one.username, one.password) == (True, True, "name", "word")

    def test_a_store_that_cannot_be_made_is_said_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(JournalError):
            open_fix(spec(store=str(tmp_path / "file")), {}, Keys("a", "b"))


@pytest.mark.requirement("fix:values")
class TestValues:
    @given(st.integers(-(2**63) + 1, 2**63 - 1))
    def test_decimals_go_there_and_back_exactly(self, nano: int) -> None:
        assert parse_nano(decimal_text(nano).encode()) == nano

    @given(st.integers(0, 4_000_000_000_000))
    def test_times_go_there_and_back_to_the_millisecond(self, ms: int) -> None:
        assert parse_time(time_text(ms * 1_000_000).encode()) == ms * 1_000_000

    @pytest.mark.parametrize(
        ("raw", "nano"),
        [(b"100", "100"), (b"00023.23", "23.23"), (b"-.5", "-0.5"), (b"5.", "5"), (b"0.000000001", "0.000000001")],
    )
    def test_what_fix_allows_is_read(self, raw: bytes, nano: str) -> None:
        assert parse_nano(raw) == Decimal(nano) * 10**9

    @pytest.mark.parametrize(
        "raw", [b"", b"1e5", b"+1", b"NaN", b"inf", b"1,5", b" 1", b"1\n", b"--1", b".", b"9" * 19, b"\xd9\xa1"]
    )
    def test_what_is_no_plain_decimal_is_refused(self, raw: bytes) -> None:
        with pytest.raises(BadValueError):
            parse_nano(raw)

    @pytest.mark.parametrize("raw", [b"", b"-1", b"+1", b"1.0", b"9" * 19, b"1 ", b"0x1"])
    def test_what_is_no_number_of_a_message_is_refused(self, raw: bytes) -> None:
        with pytest.raises(BadValueError):
            parse_count(raw)

    @pytest.mark.parametrize(
        "raw", [b"", b"20130107", b"20130107-14:31", b"20131307-14:31:00", b"20130107-24:00:00", b"20130107-14:31:00Z"]
    )
    def test_what_is_no_time_is_refused(self, raw: bytes) -> None:
        with pytest.raises(BadValueError):
            parse_time(raw)

    def test_a_leap_second_is_the_second_after(self) -> None:
        assert parse_time(b"20161231-23:59:60") == parse_time(b"20170101-00:00:00")
        assert parse_time(b"20130107-14:31:00.123456789") % 10**9 == 123_456_789
