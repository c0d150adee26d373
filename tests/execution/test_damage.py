"""A journal that a disk, a copy or a hand has harmed: closed, clear about it, and good again when it is mended."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from bus.errors import JournalError
from bus.messages import Account, GetAccount, OrderIntent
from execution.journal import Journal
from tests.execution.desk import Desk, at, bar, day, intent
from tests.execution.test_upkeep import clear

ROOT = Path(__file__).resolve().parents[2]
TICKS = day([bar(n, "100") for n in range(20)])


def traded(folder: Path, minutes: int = 6) -> Desk:
    desk = Desk(folder, TICKS)
    for minute in range(1, minutes + 1):
        desk.settle(minute)
        desk.send(minute, intent(0, minute, qty=1))
    return desk


def copy_of(folder: Path, away: Path) -> None:
    """The files as they are now, as a crash leaves them."""
    away.mkdir()
    for path in folder.glob("journal.sqlite*"):
        shutil.copy(path, away / path.name)


@pytest.mark.requirement("execution:journal:damaged")
def test_a_torn_end_of_the_write_ahead_log_is_noticed_and_the_client_is_halted_until_a_person_looked(
    tmp_path: Path,
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    desk = traded(first)
    whole = len(desk.journal.events())
    signer = desk.signer
    torn = tmp_path / "torn"
    copy_of(first, torn)
    desk.close()
    (torn / "gate.pub").write_bytes((first / "gate.pub").read_bytes())
    wal = torn / "journal.sqlite-wal"
    os.truncate(wal, wal.stat().st_size - 100)
    again = Desk(torn, TICKS, signer=signer, now_ns=at(6))
    left = len(again.journal.events())
    assert left < whole, "SQLite cut the log back without a word"
    halted = again.call(GetAccount(0), Account).halted
    assert halted.startswith(f"journal_lost: journal.sqlite had {whole} events and has {left} of them")
    (event,) = again.send(6, intent(5, 6))
    assert event.reason.startswith("halted: journal_lost")
    again.close()
    once_more = Desk(torn, TICKS, signer=signer, now_ns=at(6))
    assert once_more.call(GetAccount(0), Account).halted == halted, "a restart does not forget it"
    assert once_more.call(clear(signer, at(6)), Account).halted == ""
    assert [e.kind for e in once_more.send(6, intent(5, 6))] == ["sent", "accepted"]
    once_more.close()
    last = Desk(torn, TICKS, signer=signer, now_ns=at(6))
    assert last.call(GetAccount(0), Account).halted == ""
    last.close()


@pytest.mark.requirement("execution:journal:damaged")
def test_an_older_copy_of_the_journal_is_noticed_and_the_newer_one_put_back_is_good(tmp_path: Path) -> None:
    desk = traded(tmp_path, 3)
    desk.close()
    older = (tmp_path / "journal.sqlite").read_bytes()
    desk = Desk(tmp_path, TICKS, signer=desk.signer, now_ns=at(3))
    desk.settle(4)
    desk.close()
    newer = (tmp_path / "journal.sqlite").read_bytes()
    (tmp_path / "journal.sqlite").write_bytes(older)
    with closing(Journal(tmp_path / "journal.sqlite", {})) as journal:
        assert journal.lost.startswith("journal_lost: ")
    (tmp_path / "journal.sqlite").write_bytes(newer)
    with closing(Journal(tmp_path / "journal.sqlite", {})) as journal:
        assert journal.lost == ""
        assert journal.meta("halted") == ""


@pytest.mark.requirement("execution:journal:damaged")
@pytest.mark.parametrize("page", range(1, 9))
def test_a_damaged_page_closes_the_journal_with_what_to_do_and_a_copy_put_back_opens_it(
    tmp_path: Path, page: int
) -> None:
    desk = traded(tmp_path)
    desk.close()
    path = tmp_path / "journal.sqlite"
    good = path.read_bytes()
    size = int.from_bytes(good[16:18], "big")
    assert page * size < len(good), "the journal has fewer pages than are damaged one by one here"
    harmed = bytearray(good)
    for n in range(page * size, page * size + size):
        harmed[n] ^= 0x5A
    path.write_bytes(harmed)
    with pytest.raises(JournalError, match="copy"):
        Desk(tmp_path, TICKS, signer=desk.signer, now_ns=at(6))
    path.write_bytes(good)
    again = Desk(tmp_path, TICKS, signer=desk.signer, now_ns=at(6))
    assert [e.kind for e in again.send(6, intent(7, 6))] == ["sent", "accepted"]
    again.close()


CHANGES = {
    "a flipped bit of an event": "UPDATE order_events SET body = zeroblob(length(body)) WHERE seq = 4",
    "another event's bytes": (
        "UPDATE order_events SET body = (SELECT body FROM order_events WHERE seq = 6) WHERE seq = 4"
    ),
    "an event less in between": "DELETE FROM order_events WHERE seq = 4",
    "an order less": "DELETE FROM orders WHERE n = 2",
    "another order's bytes": "UPDATE orders SET intent = (SELECT intent FROM orders WHERE n = 1) WHERE n = 2",
    "another time": "UPDATE orders SET sent_ns = sent_ns + 1 WHERE n = 2",
    "another seal": "UPDATE order_events SET seal = zeroblob(16) WHERE seal <> x'' AND seq > 3",
    "a last event more": (
        "INSERT INTO order_events SELECT seq + 1, client_order_id, kind, body, x'', 0 FROM order_events "
        "ORDER BY seq DESC LIMIT 1"
    ),
}


@pytest.mark.requirement("execution:journal:damaged")
@pytest.mark.parametrize("name", list(CHANGES))
def test_a_record_that_is_not_as_it_was_written_does_not_start(tmp_path: Path, name: str) -> None:
    desk = traded(tmp_path)
    desk.close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
        assert db.execute(CHANGES[name]).rowcount > 0
    with pytest.raises(JournalError, match="is damaged"):
        Desk(tmp_path, TICKS, signer=desk.signer, now_ns=at(6))


@pytest.mark.requirement("execution:journal:damaged")
def test_a_last_event_less_is_noticed_by_the_note_beside_the_journal(tmp_path: Path) -> None:
    desk = traded(tmp_path)
    desk.close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
        db.execute("DELETE FROM order_events WHERE seq = (SELECT max(seq) FROM order_events)")
    with closing(Journal(tmp_path / "journal.sqlite", {})) as journal:
        assert journal.lost.startswith("journal_lost: ")


@pytest.mark.requirement("execution:journal:damaged")
@pytest.mark.parametrize("note", [b"", b"x", bytes(32), b"garbage" * 10])
def test_a_note_that_is_torn_means_nothing(tmp_path: Path, note: bytes) -> None:
    desk = traded(tmp_path)
    desk.close()
    (tmp_path / "journal.sqlite.lock").write_bytes(note)
    again = Desk(tmp_path, TICKS, signer=desk.signer, now_ns=at(6))
    assert again.call(GetAccount(0), Account).halted == ""
    again.close()


@pytest.mark.requirement("execution:journal:damaged")
def test_a_journal_of_the_first_schema_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        db.execute("INSERT INTO meta VALUES ('schema', '1')")
    with pytest.raises(JournalError, match="written with schema '1'"):
        Journal(tmp_path / "journal.sqlite", {})


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from bus.errors import RemoteError
from tests.execution.test_damage import TICKS, traded, big
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
desk = traded(Path(sys.argv[1]), 2)
most = (Path(sys.argv[1]) / "journal.sqlite-wal").stat().st_size + 20_000
resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
try:
    desk.send(2, big())
except RemoteError as error:
    print("refused:", error.code, error)
print("orders:", len(desk.gateway.engine.book.orders))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("then:", [event.kind for event in desk.send(2, big())])
desk.close()
"""


def big() -> OrderIntent:
    """An order that does not fit into what the disk has left."""
    return msgspec.structs.replace(intent(3, 2, qty=1), reason="x" * 100_000)


@pytest.mark.requirement("execution:journal:lost")
def test_a_disk_without_room_refuses_the_write_and_nothing_is_sent_until_there_is_some(tmp_path: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY:
        pytest.skip("the machine bounds files already, and a process cannot raise that bound to try without one")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refused, orders, then = done.stdout.splitlines()
    assert refused.startswith("refused: journal "), refused
    assert "disk with space" in refused
    assert orders == "orders: 2"
    assert then == "then: ['sent', 'accepted']"
