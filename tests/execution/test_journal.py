"""Durable before done: killed at every point, full, locked, moved away, read-only, and never two writers."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from bus.errors import ConfigError, JournalError, RemoteError
from bus.local_transport import LocalTransport
from bus.messages import OrderIntent
from execution.broker import BrokerReport
from execution.gateway import build_gateway
from execution.journal import Clock, Journal
from execution.paper import PaperBroker
from tests.execution.desk import Desk, at, bar, day, dump, gateway_spec, intent

ROOT = Path(__file__).resolve().parents[2]
TICKS = day([bar(n, "100") for n in range(9)])


@pytest.mark.requirement("execution:journal:killed")
@pytest.mark.timeout(300)
def test_killed_at_any_point_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    # SIGKILL loses what a process holds, not what the kernel has: a file system in memory shows the same, sooner.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.execution.killed", folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=290,
        )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    undisturbed = lines[0]
    assert undisturbed["codes"] == [0]
    assert undisturbed["points"] > 60
    assert len(lines) == 1 + 2 * undisturbed["points"] + undisturbed["points"] // 3
    assert "'fill'" in undisturbed["result"]["final"]
    for word in ("canceled", "replaced", "pending_cancel", "pending_replace", "leg"):
        assert f"'{word}'" in undisturbed["result"]["final"], word
    for line in lines[1:]:
        assert line["codes"][0] == -9, line["name"]
        assert line["codes"][-1] == 0, (line["name"], done.stderr)
        assert line["result"] == undisturbed["result"], line["name"]
    assert sum(line["codes"][1] == -9 for line in lines[1:] if len(line["codes"]) == 3) > undisturbed["points"] // 6


class Witness(PaperBroker):
    """A broker that looks into the journal's file, through a connection of its own, when it is called."""

    database = ""
    seen: list[tuple[int, int]] = []

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        rows = dump(self.database)
        orders = sum(row[0] == "orders" for row in rows)
        sent = sum(row[0] == "order_events" and row[3] == "sent" for row in rows)
        type(self).seen.append((orders, sent))
        return super().submit(intent, now_ns)


@pytest.mark.requirement("execution:journal:before")
def test_an_order_is_durable_before_the_broker_is_called(tmp_path: Path) -> None:
    Witness.database, Witness.seen = str(tmp_path / "journal.sqlite"), []
    desk = Desk(tmp_path, TICKS, make_broker=Witness)
    desk.settle(1)
    desk.send(1, intent(0, 1), intent(1, 1))
    assert Witness.seen == [(2, 2), (2, 2)]
    desk.close()


class Counting(PaperBroker):
    """A broker that counts what reaches it."""

    submitted = 0

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        type(self).submitted += 1
        return super().submit(intent, now_ns)


def refused(desk: Desk, text: str) -> None:
    """Nothing is sent, and the error says what is wrong."""
    before = Counting.submitted
    with pytest.raises(RemoteError, match=text) as caught:
        desk.send(1, intent(0, 1))
    assert "journal" in str(caught.value)
    assert Counting.submitted == before


@pytest.mark.requirement("execution:journal:lost")
def test_a_locked_journal_sends_nothing_and_goes_on_when_it_is_free(tmp_path: Path) -> None:
    desk = Desk(tmp_path, TICKS, make_broker=Counting)
    desk.settle(1)
    other = sqlite3.connect(desk.spec.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(desk, "locked; nothing is sent without it")
    other.execute("ROLLBACK")
    other.close()
    assert [e.seq for e in desk.send(1, intent(0, 1))] == [1, 2], "what failed left no gap"
    desk.settle(2)
    assert len(desk.settle(3).events) == 1
    desk.close()


class FullJournal(Journal):
    """A journal on a disk that has no page left: SQLite's own limit, not a pretended error."""

    def fill_up(self) -> None:
        self._db.execute("PRAGMA max_page_count = 1")

    def free(self) -> None:
        self._db.execute("PRAGMA max_page_count = 1000000")


@pytest.mark.requirement("execution:journal:lost")
def test_a_full_journal_sends_nothing_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    desk = Desk(tmp_path, TICKS, make_broker=Counting, journal=FullJournal)
    journal = desk.journal
    assert isinstance(journal, FullJournal)
    desk.settle(1)
    journal.fill_up()
    before = Counting.submitted
    big = msgspec.structs.replace(intent(0, 1), reason="x" * 100_000)
    with pytest.raises(RemoteError, match="full"):
        desk.send(1, big)
    assert Counting.submitted == before
    journal.free()
    assert [e.seq for e in desk.send(1, big)] == [1, 2]
    desk.close()


@pytest.mark.requirement("execution:journal:lost")
def test_a_full_journal_while_settling_loses_no_fill(tmp_path: Path) -> None:
    desk = Desk(tmp_path, TICKS, make_broker=Counting)
    desk.settle(1)
    desk.send(1, intent(0, 1))
    desk.settle(2)
    other = sqlite3.connect(desk.spec.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RemoteError, match="locked"):
        desk.settle(3)
    other.execute("ROLLBACK")
    other.close()
    assert [(e.seq, e.status) for e in desk.settle(3).events] == [(3, "filled")]
    assert desk.settle(4).account.positions[0].qty_nano == intent(0, 1).qty_nano
    desk.close()


@pytest.mark.requirement("execution:journal:lost")
def test_a_journal_that_was_moved_away_sends_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, TICKS, make_broker=Counting)
    desk.settle(1)
    database = Path(desk.spec.database)
    database.rename(tmp_path / "away.sqlite")
    refused(desk, "could not be found")
    shutil.copy(tmp_path / "away.sqlite", database)
    refused(desk, "replaced by another file")
    desk.close()


READ_ONLY = """
import os, sys
from pathlib import Path
from bus.errors import JournalError
from execution.journal import Journal
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    Journal(Path(sys.argv[1]), {})
except JournalError as error:
    print("refused:", error)
"""


@pytest.mark.requirement("execution:journal:lost")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_journal_does_not_open(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "journal.sqlite"
    if what == "file":
        Journal(path, {}).close()
        path.chmod(0o444)
        (folder / "journal.sqlite.lock").chmod(0o666)
        folder.chmod(0o755)
    else:
        folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == folder.owner() and parent.name.startswith(("pytest-", "test_")):
            parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused: "), done.stdout
    assert "writable" in done.stdout


@pytest.mark.requirement("execution:journal:one-writer")
def test_a_second_gateway_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", {})
    with pytest.raises(JournalError, match="one writer"):
        Journal(tmp_path / "journal.sqlite", {})
    journal.close()
    Journal(tmp_path / "journal.sqlite", {}).close()


@pytest.mark.requirement("execution:journal:one-writer")
def test_a_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    spec = gateway_spec(tmp_path)
    transport, directory = LocalTransport(), {"feed": "inproc://feed"}
    build_gateway(spec, transport, directory).close()
    for changes in ({"run_id": "run-2"}, {"client": "bob"}, {"start_cash_nano": 1}):
        with pytest.raises(JournalError, match="give each run its own journal"):
            build_gateway(gateway_spec(tmp_path, **changes), transport, directory)
    build_gateway(spec, transport, directory).close()


@pytest.mark.requirement("execution:journal:one-writer")
@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 50, None])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "journal.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(JournalError, match="could not be opened"):
        Journal(path, {})
    if content is None:
        path.rmdir()
    else:
        path.unlink()
    Journal(path, {}).close()


@pytest.mark.requirement("execution:journal:lost")
def test_a_journal_with_a_missing_event_does_not_start(tmp_path: Path) -> None:
    desk = Desk(tmp_path, TICKS)
    desk.settle(1)
    desk.send(1, intent(0, 1), intent(1, 1))
    desk.close()
    with sqlite3.connect(desk.spec.database) as db:
        db.execute("DELETE FROM order_events WHERE seq = 2")
    db.close()
    with pytest.raises(JournalError, match="there is no event 2"):
        Desk(tmp_path, TICKS)


@pytest.mark.requirement("execution:journal:one-writer")
def test_there_is_no_live_broker_to_start_by_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allowed are 'replay' and 'paper'"):
        build_gateway(gateway_spec(tmp_path, mode="live"), LocalTransport(), {"feed": "inproc://feed"})
    assert os.listdir(tmp_path) == []


@pytest.mark.requirement("execution:journal:before")
def test_a_failed_batch_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", {})
    clock = Clock(at(1), 0, done=False)

    def fail() -> None:
        with journal.batch():
            journal.set_clock(clock)
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        fail()
    assert journal.clock() == Clock(0, -1, done=False)
    with journal.batch():
        journal.set_clock(clock)
    assert journal.clock() == clock
    journal.close()
