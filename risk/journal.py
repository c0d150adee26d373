"""The gate's own record: verdicts with what they were judged by, and the kill switch; on disk before it is answered.

Not the order journal (``execution.journal``). SQLite, WAL. Verdicts and the kill switch are written with
``synchronous=FULL``, one transaction a batch. A settled instant survives a killed process but is not synced by itself:
no ticket depends on it that the next verdict's sync does not cover, and after a power cut it is computed again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from bus.codec import decode, encode
from bus.errors import ConfigError, JournalError
from bus.messages import BookSettled, OrderIntent, Ticket, Verdict

__all__ = ["GateJournal", "Instant", "Judged"]

_T = TypeVar("_T")

_TABLES = (
    "CREATE TABLE IF NOT EXISTS identity(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS verdicts(seq INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL, "
    "order_digest TEXT NOT NULL, now_ns INTEGER NOT NULL, approved INTEGER NOT NULL, code TEXT NOT NULL, "
    "price_nano INTEGER NOT NULL, intent BLOB NOT NULL, verdict BLOB NOT NULL, ticket BLOB, "
    "inputs TEXT NOT NULL, final INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_final_verdict ON verdicts(client_order_id) WHERE final",
    "CREATE TABLE IF NOT EXISTS kill_switch(seq INTEGER PRIMARY KEY, engaged INTEGER NOT NULL, "
    "reason TEXT NOT NULL, by TEXT NOT NULL, now_ns INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS instant(one INTEGER PRIMARY KEY CHECK (one = 1), settled BLOB NOT NULL, "
    "day TEXT NOT NULL, day_start_nano INTEGER NOT NULL, halted INTEGER NOT NULL, last_seq INTEGER NOT NULL)",
)


class Judged(msgspec.Struct, frozen=True):
    """One verdict with its order, its unsigned ticket (when approved), the price it was reserved at and its inputs.

    ``final`` verdicts are what their client order id is answered with from then on; the others (a forged id, a wrong
    clock) are kept for the record only.
    """

    intent: OrderIntent
    order_digest: str
    verdict: Verdict
    ticket: Ticket | None
    price_nano: int
    inputs: dict[str, int | str]
    final: bool


class Instant(msgspec.Struct, frozen=True):
    """The last instant that the gate settled: its answer, what the day's loss is counted from, the last event seen."""

    settled: BookSettled
    day: str
    day_start_nano: int
    halted: bool
    last_seq: int


class GateJournal:
    """The gate's file."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        """Open or create it.

        Args:
            path: The file.
            identity: Whose it is; a file that was begun with another identity is refused.

        Raises:
            JournalError: It cannot be opened.
            ConfigError: It is another client's or another run's.
        """
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            for table in _TABLES:
                self._db.execute(table)
            self._db.executemany("INSERT OR IGNORE INTO identity(key, value) VALUES (?, ?)", identity.items())
            known = dict(self._db.execute("SELECT key, value FROM identity"))
        except sqlite3.Error as error:
            raise JournalError(f"the gate's journal {path.name} cannot be opened: {error}; fix its folder") from error
        for key, value in identity.items():
            if known[key] != value:
                self._db.close()
                raise ConfigError(
                    f"the gate's journal {path.name} has {key} = {known[key]!r}, this run has {value!r}; "
                    "it must be the same: start in a new run directory"
                )

    def write(self, judged: Sequence[Judged]) -> None:
        """Write a batch of verdicts, all or none, synced.

        Raises:
            JournalError: Nothing was written.
        """
        sql = (
            "INSERT INTO verdicts(client_order_id, order_digest, now_ns, approved, code, price_nano, intent, verdict, "
            "ticket, inputs, final) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )

        def insert() -> None:
            self._db.executemany(sql, [_row(entry) for entry in judged])

        self._transaction(insert)

    def write_kill(self, *, engaged: bool, reason: str, by: str, now_ns: int) -> None:
        """Write that the kill switch was engaged or cleared, synced.

        Raises:
            JournalError: It was not written.
        """
        sql = "INSERT INTO kill_switch(engaged, reason, by, now_ns) VALUES (?, ?, ?, ?)"
        self._transaction(lambda: self._db.execute(sql, (int(engaged), reason, by, now_ns)))

    def write_instant(self, instant: Instant) -> None:
        """Write the last settled instant over the one before, not synced by itself.

        Raises:
            JournalError: It was not written.
        """
        sql = (
            "INSERT OR REPLACE INTO instant(one, settled, day, day_start_nano, halted, last_seq) "
            "VALUES (1, ?, ?, ?, ?, ?)"
        )
        row = (encode(instant.settled), instant.day, instant.day_start_nano, int(instant.halted), instant.last_seq)
        try:
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                self._db.execute(sql, row)
            finally:
                self._db.execute("PRAGMA synchronous=FULL")
        except (sqlite3.Error, OverflowError) as error:
            raise _unwritable(error) from error

    def killed(self) -> str:
        """Return why the kill switch is engaged; empty when it is not."""
        row = self._read(
            lambda: self._db.execute("SELECT engaged, reason, by FROM kill_switch ORDER BY seq DESC LIMIT 1").fetchone()
        )
        return f"{row[1]}, by {row[2]}" if row and row[0] else ""

    def instant(self) -> Instant | None:
        """Return the last settled instant; None before the first."""
        row = self._read(
            lambda: self._db.execute("SELECT settled, day, day_start_nano, halted, last_seq FROM instant").fetchone()
        )
        return Instant(cast("BookSettled", decode(row[0])), row[1], row[2], bool(row[3]), row[4]) if row else None

    def read(self) -> Iterator[Judged]:
        """Yield every verdict in order."""
        sql = "SELECT intent, order_digest, verdict, ticket, price_nano, inputs, final FROM verdicts ORDER BY seq"
        for intent, order_digest, verdict, ticket, price_nano, inputs, final in self._read(
            lambda: self._db.execute(sql).fetchall()
        ):
            yield Judged(
                cast("OrderIntent", decode(intent)),
                order_digest,
                cast("Verdict", decode(verdict)),
                cast("Ticket", decode(ticket)) if ticket is not None else None,
                price_nano,
                json.loads(inputs),
                bool(final),
            )

    def _read(self, question: Callable[[], _T]) -> _T:
        try:
            return question()
        except sqlite3.Error as error:
            raise JournalError(f"the gate's journal cannot be read: {error}; nothing is approved") from error

    def _transaction(self, work: Callable[[], object]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                work()
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OverflowError) as error:
            raise _unwritable(error) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _unwritable(error: Exception) -> JournalError:
    return JournalError(
        f"the gate's journal cannot be written: {error}; nothing is approved until its disk and folder are writable"
    )


def _row(entry: Judged) -> tuple[object, ...]:
    return (
        entry.intent.client_order_id,
        entry.order_digest,
        entry.verdict.now_ns,
        int(entry.verdict.approved),
        entry.verdict.code,
        entry.price_nano,
        encode(entry.intent),
        encode(entry.verdict),
        encode(entry.ticket) if entry.ticket is not None else None,
        json.dumps(entry.inputs, sort_keys=True),
        int(entry.final),
    )
