"""What becomes of the gate when its file does: full, read-only, damaged, locked or taken away; all of it real."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from bus.errors import JournalError, OutcryError, RemoteError
from bus.messages import OrderIntent
from risk.gate import build_gate
from risk.journal import GateJournal
from tests.risk.desk import DIRECTORY, Desk, unsigned

NOBODY = 65_534


def count(desk: Desk, table: str = "verdicts") -> int:
    with closing(sqlite3.connect(desk.spec.database)) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def stop(desk: Desk) -> None:
    """End the gate in good order, so that its file is one file."""
    desk.gate.close()
    with closing(sqlite3.connect(desk.spec.database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def child(act: Callable[[], None]) -> str:
    """Do something in a process of its own and return what it printed last."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.close(reader)
            act()
            os.write(writer, b"nothing was wrong")
        except OutcryError as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode()[:4000])
        except BaseException as error:
            os.write(writer, f"unexpected {error!r}".encode()[:4000])
            code = 1
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(pid, 0)
    return told


def crashed(desk: Desk) -> Path:
    """Return a copy of the gate's files as a kill at this instant leaves them."""
    copy = desk.folder / "crashed"
    copy.mkdir()
    for path in desk.folder.glob("gate.sqlite*"):
        shutil.copy(path, copy / path.name)
    return copy


def put_back(desk: Desk, copy: Path) -> None:
    desk.gate.close()
    for path in desk.folder.glob("gate.sqlite*"):
        path.unlink()
    for path in copy.iterdir():
        shutil.move(path, desk.folder / path.name)
    desk.start()


# --- a disk that takes no more ----------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:journal:full")
def test_on_a_disk_that_takes_no_more_nothing_passes_and_afterwards_everything_does(desk: Desk) -> None:
    intents = tuple(desk.intent(qty=n + 1, index=n, reason="x" * 900) for n in range(20))
    written = count(desk)
    wal = Path(f"{desk.spec.database}-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, hard))
    try:
        for _ in range(3):
            answer = desk.judge(*intents)
            assert {verdict.code for verdict in answer.verdicts} == {"journal_unavailable"}
            assert answer.orders == ()
        with pytest.raises(RemoteError, match="cannot be written"):
            desk.kill()
        assert desk.code(desk.intent()) != "approved", "a kill that is not written holds"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert count(desk) == written
    assert desk.kill().killed
    desk.resume()
    assert {verdict.code for verdict in desk.judge(*intents[:10]).verdicts} == {"approved"}
    answers = unsigned(desk.judge(*intents[:10]))
    desk.start()
    assert unsigned(desk.judge(*intents[:10])) == answers


# --- a disk that takes nothing at all ---------------------------------------------------------------------------------


@pytest.mark.requirement("risk:journal:readonly")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_journal_that_may_not_be_written_starts_no_gate_and_says_so(tmp_path: Path, what: str) -> None:
    desk = Desk(tmp_path)
    desk.settle()
    desk.code(desk.intent())
    stop(desk)
    tmp_path.chmod(0o555 if what == "folder" else 0o777)
    for path in tmp_path.iterdir():
        path.chmod(0o444)

    def start() -> None:
        if os.geteuid() == 0:  # to root nothing is read-only
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        build_gate(desk.spec, desk.transport, DIRECTORY)

    for folder in tmp_path.parents:  # pytest's folders are their owner's: somebody else must be able to come here
        if folder.stat().st_uid == os.geteuid() and os.geteuid() == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    told = child(start)
    assert told.startswith("JournalError: the gate's journal gate.sqlite"), told
    assert "cannot be" in told
    tmp_path.chmod(0o755)
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    desk.start()
    assert desk.code(desk.intent()) == "approved", "and it knows what it knew"


@pytest.mark.requirement("risk:journal:readonly")
def test_a_folder_in_the_journals_place_starts_no_gate(tmp_path: Path) -> None:
    (tmp_path / "gate.sqlite").mkdir()
    with pytest.raises(JournalError, match="cannot be opened"):
        Desk(tmp_path)


# --- a file that is not what was written ------------------------------------------------------------------------------


def damage(path: Path, record: bytes, at: int) -> None:
    """Flip one bit of a record where it lies on the disk."""
    raw = bytearray(path.read_bytes())
    place = raw.find(record)
    assert place >= 0
    raw[place + at] ^= 1
    path.write_bytes(bytes(raw))


@pytest.mark.requirement("risk:journal:damaged")
@pytest.mark.parametrize("at", [0, 40, -1])
@pytest.mark.parametrize(
    ("table", "words"), [("verdicts", "record 3 of 3"), ("kill_switch", "record 2 of 2"), ("instant", "record 1 of 1")]
)
def test_one_wrong_bit_in_the_last_record_starts_no_gate_and_the_copy_does(
    desk: Desk, table: str, words: str, at: int
) -> None:
    intents: list[OrderIntent] = []
    for n in range(3):
        intents.append(desk.intent(qty=n + 1))
        desk.code(intents[-1])
        desk.advance()
    desk.kill("alice")
    desk.resume("alice")
    stop(desk)
    path = Path(desk.spec.database)
    shutil.copy(path, path.with_suffix(".copy"))
    with closing(sqlite3.connect(path)) as db:
        (record,) = db.execute(f"SELECT record FROM {table} ORDER BY seq DESC LIMIT 1").fetchone()
    damage(path, record, at % len(record))
    with pytest.raises(JournalError, match=f"damaged in {table}, {words}.*put the file back from a copy"):
        desk.start()
    shutil.copy(path.with_suffix(".copy"), path)
    desk.start()
    assert desk.code(desk.intent(qty=9)) == "approved"
    assert desk.state().approved == 4


@pytest.mark.requirement("risk:journal:damaged")
def test_a_record_that_was_taken_out_starts_no_gate(desk: Desk) -> None:
    for n in range(3):
        desk.code(desk.intent(qty=n + 1, index=n))
    stop(desk)
    with closing(sqlite3.connect(desk.spec.database)) as db:
        db.execute("DELETE FROM verdicts WHERE seq = 2")
        db.commit()
    with pytest.raises(JournalError, match="damaged in verdicts, record 2 of 2"):
        desk.start()


@pytest.mark.requirement("risk:journal:damaged")
def test_a_last_record_that_a_crash_left_half_written_is_none_and_the_order_keeps_its_reservation(
    desk: Desk,
) -> None:
    first, second = desk.intent(qty=10), desk.intent(qty=100, index=1)
    desk.code(first)
    answer = desk.judge(second)
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    copy = crashed(desk)
    wal = copy / "gate.sqlite-wal"
    with wal.open("r+b") as file:
        file.truncate(wal.stat().st_size - 500)
    put_back(desk, copy)
    assert desk.state().approved == 1
    assert desk.advance().gross_nano == 11_000 * 10**9, "what execution has counts, whoever remembers it"
    assert desk.code(desk.intent(qty=91)) == "position_limit" or desk.limits.max_position_notional_nano > 20_100 * 10**9


@pytest.mark.requirement("risk:journal:damaged")
def test_what_is_cut_off_or_written_over_starts_no_gate(desk: Desk) -> None:
    for n in range(20):
        desk.code(desk.intent(qty=n + 1, index=n, reason="y" * 900))
    stop(desk)
    path = Path(desk.spec.database)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:4096] + bytes(4096) + whole[8192:], b"\0" * len(whole), b"no"):
        path.write_bytes(broken)
        for left in desk.folder.glob("gate.sqlite-*"):
            left.unlink()
        with pytest.raises(JournalError, match=r"damaged|cannot be (opened|read)"):
            desk.start()
    path.write_bytes(whole)
    desk.start()
    assert desk.state().approved == 20


# --- a log that has its room before it is needed ----------------------------------------------------------------------


@pytest.mark.requirement("risk:journal:room")
def test_a_log_with_room_does_not_grow_and_a_killed_gate_knows_all_of_it(desk: Desk) -> None:
    desk.gate.make_room()
    wal = Path(f"{desk.spec.database}-wal")
    room = wal.stat()
    for n in range(240):
        desk.judge(desk.intent(qty=1 + n, reason="x" * 3_000))
        desk.advance()
    last = desk.intent(qty=500)
    answer = unsigned(desk.judge(last))
    assert (wal.stat().st_ino, wal.stat().st_size) == (room.st_ino, room.st_size)
    assert Path(desk.spec.database).stat().st_size > 100 * 3_000, "it was copied into the database on the way"
    told = desk.state()
    put_back(desk, crashed(desk))
    assert (desk.state().approved, desk.state().denied) == (told.approved, told.denied)
    assert unsigned(desk.judge(last)) == answer


@pytest.mark.requirement("risk:journal:room")
def test_a_record_torn_in_a_log_with_room_is_none_and_the_ones_before_it_are_there(desk: Desk) -> None:
    desk.gate.make_room()
    for n in range(3):
        assert desk.code(desk.intent(qty=n + 1, index=n)) == "approved"
    with closing(sqlite3.connect(desk.spec.database)) as db:
        (record,) = db.execute("SELECT record FROM verdicts ORDER BY seq DESC LIMIT 1").fetchone()
    copy = crashed(desk)
    wal = copy / "gate.sqlite-wal"
    raw = bytearray(wal.read_bytes())
    torn = raw.rfind(record[-200:])
    assert torn > 0
    raw[torn : torn + 100] = bytes(100)
    wal.write_bytes(bytes(raw))
    put_back(desk, copy)
    assert desk.state().approved == 2


@pytest.mark.requirement("risk:journal:room")
def test_where_there_is_no_room_the_gate_goes_on_without(desk: Desk) -> None:
    wal = Path(f"{desk.spec.database}-wal")
    before = wal.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    try:
        desk.gate.make_room()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert wal.stat().st_size == before
    assert desk.code(desk.intent()) == "approved"
    assert wal.stat().st_size > before


@pytest.mark.requirement("risk:journal:room")
def test_room_that_is_not_there_whole_is_given_back(desk: Desk) -> None:
    wal = Path(f"{desk.spec.database}-wal")
    before = wal.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 100_000, hard))
    try:
        desk.gate.make_room()
        assert wal.stat().st_size == before, "others need what is left of the disk"
        assert desk.code(desk.intent()) == "approved"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.requirement("risk:journal:room")
def test_a_log_that_cannot_be_copied_now_hinders_no_instant_and_is_copied_when_it_can_be(desk: Desk) -> None:
    desk.gate.make_room()
    database = Path(desk.spec.database)
    for n in range(100):
        desk.judge(desk.intent(qty=1 + n, index=n, reason="x" * 3_000))
    small = database.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The log may be written over where it is; the database, which the copy lets grow, may not grow.
    writing = desk.gate._journal._db  # pyright: ignore[reportPrivateUsage] # a bound for one of two files
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(sqlite3.Error):
            writing.execute("PRAGMA wal_checkpoint(PASSIVE)")
        desk.gate._journal._tidy()  # pyright: ignore[reportPrivateUsage] # as an instant does
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    desk.advance()
    assert database.stat().st_size > small + 100 * 3_000
    assert desk.code(desk.intent("NICK", qty=1)) != "journal_unavailable"


@pytest.mark.requirement("risk:journal:room")
@pytest.mark.parametrize(("mode", "has"), [("replay", False), ("live", True)])
def test_a_gate_that_people_wait_for_has_room_and_one_that_replays_takes_none(
    desk: Desk, mode: Literal["replay", "live"], has: bool
) -> None:
    desk.spec = replace(desk.spec, mode=mode)
    desk.start()
    assert (Path(f"{desk.spec.database}-wal").stat().st_size > 5_000_000) is has


# --- a file that somebody else has ------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:journal:locked")
def test_a_journal_that_another_process_holds_denies_soon_and_passes_again_when_it_is_free(desk: Desk) -> None:
    holder = sqlite3.connect(desk.spec.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answer = desk.judge(desk.intent())
    assert answer.verdicts[0].code == "journal_unavailable"
    assert "locked" in answer.verdicts[0].message
    with pytest.raises(RemoteError, match="locked"):
        desk.advance()
    holder.execute("ROLLBACK")
    holder.close()
    desk.settle()
    assert desk.code(desk.intent()) == "approved"


@pytest.mark.requirement("risk:journal:locked")
def test_a_second_gate_process_on_the_same_journal_does_not_start(desk: Desk) -> None:
    told = child(lambda: build_gate(desk.spec, desk.transport, DIRECTORY).close())
    assert told.startswith("JournalError"), told
    assert "in use by another process" in told
    assert "stop the other one" in told
    desk.gate.close()
    assert child(lambda: build_gate(desk.spec, desk.transport, DIRECTORY).close()) == "nothing was wrong"


@pytest.mark.requirement("risk:journal:replaced")
@pytest.mark.parametrize("how", ["removed", "replaced", "wal removed"])
def test_a_journal_that_is_taken_away_from_a_running_gate_closes_it(desk: Desk, how: str) -> None:
    desk.code(desk.intent(index=5))
    path = Path(desk.spec.database)
    match how:
        case "removed":
            path.unlink()
        case "replaced":
            shutil.copy(path, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
        case _:
            Path(f"{path}-wal").unlink()
    answer = desk.judge(desk.intent(qty=3))
    assert answer.verdicts[0].code == "journal_unavailable"
    assert answer.orders == ()
    with pytest.raises(RemoteError, match="cannot be written"):
        desk.advance()


@pytest.mark.requirement("risk:journal:readonly")
def test_the_child_of_these_tests_tells_what_went_wrong() -> None:
    def fail() -> None:
        sys.exit(3)

    assert child(fail).startswith("unexpected")
    assert child(lambda: None) == "nothing was wrong"


@pytest.mark.requirement("risk:journal:damaged")
def test_what_a_journal_holds_is_read_back_as_it_was_written(desk: Desk) -> None:
    desk.code(desk.intent())
    desk.kill("alice", "x")
    journal = GateJournal(Path(desk.spec.database), {})
    try:
        assert [entry.verdict.code for entry in journal.read()] == ["approved"]
        assert [(line.client, line.strategy, line.state) for line in journal.kills()] == [("alice", "x", "halted")]
        instant = journal.instant()
        assert instant is not None
        assert instant.settled.now_ns == desk.feed.now_ns
        assert [client.client for client in instant.clients] == ["alice"]
    finally:
        journal.close()
