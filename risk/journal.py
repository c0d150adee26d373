"""The gate's own record: verdicts with what they were judged by, cancels, and the kill switch; on disk before answered.

Not the order journal (``execution.journal``). SQLite, WAL. Verdicts, kills and alarms are written with
``synchronous=FULL``, one transaction a batch. A settled instant and a cancel survive a killed process but are not
synced by themselves: no ticket depends on them that the next verdict's sync does not cover.

Every record carries a digest of itself. A record that does not match it, a file that is not the one that was opened, a
disk that takes no more, another process that writes: each is a ``JournalError``, and on that the gate is closed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from bus.errors import ConfigError, JournalError
from bus.messages import KillLine
from risk.records import (
    Alarm,
    CancelNote,
    Instant,
    Judged,
    kill_row,
    mark_of,
    read_records,
    read_terms,
    read_verdicts,
    verdict_row,
)

__all__ = ["GateJournal"]

_T = TypeVar("_T")
_BUSY_S = 0.25
"""How long a writer is waited for: the askers wait too."""
_ROOM_PAGES = 2_000
_ROOM = _ROOM_PAGES * (4096 + 24)
_TIDY = 100
"""Synced transactions between two checkpoints, where there is room: each is about five pages of the log."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS identity(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS verdicts(seq INTEGER PRIMARY KEY, client TEXT NOT NULL, "
    "client_order_id TEXT NOT NULL, now_ns INTEGER NOT NULL, approved INTEGER NOT NULL, code TEXT NOT NULL, "
    "final INTEGER NOT NULL, record BLOB NOT NULL, mark TEXT NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_final_verdict ON verdicts(client_order_id) WHERE final",
    "CREATE TABLE IF NOT EXISTS kill_switch(seq INTEGER PRIMARY KEY, client TEXT NOT NULL, strategy TEXT NOT NULL, "
    "state TEXT NOT NULL, now_ns INTEGER NOT NULL, record BLOB NOT NULL, mark TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS cancels(seq INTEGER PRIMARY KEY, record BLOB NOT NULL, mark TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS alarms(seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, record BLOB NOT NULL, "
    "mark TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS terms(version TEXT PRIMARY KEY, record BLOB NOT NULL, mark TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS instant(seq INTEGER PRIMARY KEY CHECK (seq = 1), record BLOB NOT NULL, "
    "mark TEXT NOT NULL)",
)


_LAST = {
    "verdicts": "SELECT coalesce(max(seq), 0) FROM verdicts",
    "kill_switch": "SELECT coalesce(max(seq), 0) FROM kill_switch",
    "cancels": "SELECT coalesce(max(seq), 0) FROM cancels",
    "alarms": "SELECT coalesce(max(seq), 0) FROM alarms",
}


class GateJournal:
    """The gate's file."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        """Open or create it.

        Args:
            path: The file.
            identity: Whose it is; a file that was begun with another identity is refused.

        Raises:
            JournalError: It cannot be opened, or another process has it.
            ConfigError: It is another client's or another run's.
        """
        self._paths = os.fspath(path), f"{path}-wal"
        self._lock = _own(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise _unopened(path, error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            known = self._prepare(identity)
            self._next = {table: self._db.execute(sql).fetchone()[0] + 1 for table, sql in _LAST.items()}
            self._files = self._stat()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise _unopened(path, error) from error
        self._roomy, self._synced = False, 0
        for key, value in identity.items():
            if known[key] != value:
                self.close()
                raise ConfigError(
                    f"the gate's journal {path.name} has {key} = {known[key]!r}, this run has {value!r}; "
                    "it must be the same: start in a new run directory"
                )

    def _prepare(self, identity: Mapping[str, str]) -> dict[str, str]:
        """Make what is not there, in one transaction, and return whose the file is."""
        self._db.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            self._db.execute(table)
        self._db.executemany("INSERT OR IGNORE INTO identity(key, value) VALUES (?, ?)", identity.items())
        self._db.execute("COMMIT")
        return dict(self._db.execute("SELECT key, value FROM identity"))

    def make_room(self) -> None:
        """Let the log have its place on the disk before verdicts wait for it: one that does not grow is synced faster.

        SQLite writes over what is there. It knows its own records by their salts and checksums (section 4 of its file
        format), so the zeros behind the last one are no records. From then on the log is copied into the database when
        an instant is written, not when a verdict is. Where there is no such room, nothing changes.
        """
        if self._take_room(self._paths[1]):
            self._db.execute(f"PRAGMA wal_autocheckpoint={_ROOM_PAGES}")
            self._roomy = True

    @staticmethod
    def _take_room(log: str) -> bool:
        """Return whether the whole room was to be had; a part of it is given back, others need it."""
        try:
            with open(log, "r+b", buffering=0) as file:
                used = file.seek(0, os.SEEK_END)
                wanted = max(_ROOM - used, 0)
                try:
                    if file.write(bytes(wanted)) == wanted:
                        os.fsync(file.fileno())
                        return True
                except OSError:
                    file.truncate(used)
                    raise
                file.truncate(used)
        except OSError:
            return False
        return False

    def _tidy(self) -> None:
        """Copy the log into the database while nobody waits for a verdict; what fails is tried at the next instant.

        The log holds everything until it is copied, so a copy that fails loses nothing and hinders nothing.
        """
        if self._roomy and self._synced >= _TIDY:
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._synced = 0

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, judged: Sequence[Judged], kills: Sequence[KillLine] = ()) -> None:
        """Write a batch of verdicts, and kills that they caused, all or none, synced.

        Raises:
            JournalError: Nothing was written.
        """
        first, first_kill = self._next["verdicts"], self._next["kill_switch"]
        rows = [verdict_row(seq, entry) for seq, entry in enumerate(judged, first)]
        kill_rows = [kill_row(seq, note) for seq, note in enumerate(kills, first_kill)]

        def insert() -> None:
            self._db.executemany(_INSERT_VERDICT, rows)
            if kill_rows:
                self._db.executemany(_INSERT_KILL, kill_rows)

        self._transaction(insert)
        self._synced += 1
        self._next["verdicts"] = first + len(rows)
        self._next["kill_switch"] = first_kill + len(kill_rows)

    def write_kill(self, note: KillLine) -> None:
        """Write that a scope was engaged or resumed, synced.

        Raises:
            JournalError: It was not written.
        """
        self.write((), (note,))

    def write_alarm(self, alarm: Alarm) -> None:
        """Write an alarm, synced.

        Raises:
            JournalError: It was not written.
        """
        seq = self._next["alarms"]
        record = msgspec.msgpack.encode(alarm)
        row = (seq, alarm.kind, record, mark_of("alarms", seq, record))
        self._transaction(lambda: self._db.execute("INSERT INTO alarms VALUES (?, ?, ?, ?)", row))
        self._next["alarms"] = seq + 1

    def write_terms(self, version: str, record: bytes) -> None:
        """Keep what a limits version stands for.

        Raises:
            JournalError: It was not written.
        """
        if version in read_terms(self._db):
            return
        row = (version, record, mark_of("terms", 0, record))
        self._transaction(lambda: self._db.execute("INSERT OR IGNORE INTO terms VALUES (?, ?, ?)", row))

    def write_instant(self, instant: Instant) -> None:
        """Write the last settled instant over the one before, not synced by itself.

        Raises:
            JournalError: It was not written.
        """
        record = msgspec.msgpack.encode(instant)
        row = (1, record, mark_of("instant", 1, record))
        self._unsynced(lambda: self._db.execute("INSERT OR REPLACE INTO instant VALUES (?, ?, ?)", row))
        self._tidy()

    def write_cancels(self, notes: Sequence[CancelNote]) -> None:
        """Write that cancels were asked for, not synced by itself.

        Raises:
            JournalError: They were not written.
        """
        first = self._next["cancels"]
        records = [msgspec.msgpack.encode(note) for note in notes]
        rows = [(seq, record, mark_of("cancels", seq, record)) for seq, record in enumerate(records, first)]
        self._unsynced(lambda: self._db.executemany("INSERT INTO cancels VALUES (?, ?, ?)", rows))
        self._next["cancels"] = first + len(rows)

    # --- reading ----------------------------------------------------------------------------------------------------

    def instant(self) -> Instant | None:
        """Return the last settled instant; None before the first.

        Raises:
            JournalError: It cannot be read or is damaged; so for all that read.
        """
        return next(self._records("instant", Instant), None)

    def read(self, *, inputs: bool = True) -> Iterator[Judged]:
        """Yield every verdict in order.

        Args:
            inputs: Whether with what they were judged by; a running gate does not need it again.
        """
        return read_verdicts(self._db, inputs=inputs)

    def kills(self) -> Iterator[KillLine]:
        """Yield every change of the kill switch in order."""
        return self._records("kill_switch", KillLine)

    def cancels(self) -> Iterator[CancelNote]:
        """Yield every cancel that was asked for in order."""
        return self._records("cancels", CancelNote)

    def alarms(self) -> Iterator[Alarm]:
        """Yield every alarm in order."""
        return self._records("alarms", Alarm)

    def _records(self, table: str, kind: type[_T]) -> Iterator[_T]:
        return read_records(self._db, table, kind)

    # --- the file ---------------------------------------------------------------------------------------------------

    def _stat(self) -> tuple[tuple[int, int], ...]:
        """Return which files these are; a file that was taken away or replaced keeps nothing that is written to it."""
        main, log = os.stat(self._paths[0]), os.stat(self._paths[1])
        return (main.st_dev, main.st_ino), (log.st_dev, log.st_ino)

    def _check_file(self) -> None:
        try:
            same = self._stat() == self._files
        except OSError as error:
            raise _unwritable(error) from error
        if not same:
            raise _unwritable("the file was replaced by another one while the gate ran: restart the gate")

    def _transaction(self, work: Callable[[], object]) -> None:
        self._check_file()
        try:
            self._begin()
            try:
                work()
                self._commit()
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OverflowError) as error:
            raise _unwritable(error) from error

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _unsynced(self, work: Callable[[], object]) -> None:
        try:
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                self._transaction(work)
            finally:
                self._db.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error as error:
            raise _unwritable(error) from error

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


_INSERT_VERDICT = "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_KILL = "INSERT INTO kill_switch VALUES (?, ?, ?, ?, ?, ?, ?)"


def _own(path: Path) -> int:
    """Return a handle on the lock that says which process writes this journal; a killed process gives it back.

    Raises:
        JournalError: Another process has it, or there can be none.
    """
    try:
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unopened(path, error) from error
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise JournalError(
            f"the gate's journal {path.name} is in use by another process ({error.strerror}); two gates on one journal "
            "would approve twice as much: stop the other one"
        ) from error
    return handle


def _unopened(path: Path, error: Exception) -> JournalError:
    return JournalError(f"the gate's journal {path.name} cannot be opened: {error}; fix its folder")


def _unwritable(error: object) -> JournalError:
    return JournalError(
        f"the gate's journal cannot be written: {error}; nothing is approved until its disk and folder are writable"
    )
