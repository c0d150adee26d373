"""The gate's own record: verdicts with what they were judged by, and the kill switch; on disk before it is answered.

Not the order journal (``execution.journal``). SQLite, WAL, ``synchronous=FULL``, one transaction a batch.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec

from bus.codec import decode, encode
from bus.errors import JournalError
from bus.messages import OrderIntent, Ticket, Verdict

__all__ = ["GateJournal", "Judged"]


class Judged(msgspec.Struct, frozen=True):
    """One verdict with its order, its unsigned ticket (when approved), the price it was reserved at and its inputs."""

    intent: OrderIntent
    order_digest: str
    verdict: Verdict
    ticket: Ticket | None
    price_nano: int
    inputs: dict[str, int | str]


class GateJournal:
    """The gate's file."""

    def __init__(self, path: Path) -> None:
        """Open or create it.

        Raises:
            JournalError: It cannot be opened.
        """
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS verdicts(seq INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL, "
                "order_digest TEXT NOT NULL, now_ns INTEGER NOT NULL, approved INTEGER NOT NULL, code TEXT NOT NULL, "
                "price_nano INTEGER NOT NULL, intent BLOB NOT NULL, verdict BLOB NOT NULL, ticket BLOB, "
                "inputs TEXT NOT NULL, UNIQUE(client_order_id, order_digest))"
            )
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS kill_switch(seq INTEGER PRIMARY KEY, engaged INTEGER NOT NULL, "
                "reason TEXT NOT NULL, by TEXT NOT NULL, now_ns INTEGER NOT NULL)"
            )
        except sqlite3.Error as error:
            raise JournalError(f"the gate's journal {path.name} cannot be opened: {error}; fix its folder") from error

    def write(self, judged: Sequence[Judged]) -> None:
        """Write a batch of verdicts, all or none.

        Raises:
            JournalError: Nothing was written.
        """
        rows = [
            (
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
            )
            for entry in judged
        ]
        sql = (
            "INSERT INTO verdicts(client_order_id, order_digest, now_ns, approved, code, price_nano, intent, verdict, "
            "ticket, inputs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._transaction(sql, rows)

    def write_kill(self, *, engaged: bool, reason: str, by: str, now_ns: int) -> None:
        """Write that the kill switch was engaged or cleared.

        Raises:
            JournalError: It was not written.
        """
        self._transaction(
            "INSERT INTO kill_switch(engaged, reason, by, now_ns) VALUES (?, ?, ?, ?)",
            [(int(engaged), reason, by, now_ns)],
        )

    def killed(self) -> str:
        """Return why the kill switch is engaged; empty when it is not."""
        row = self._db.execute("SELECT engaged, reason, by FROM kill_switch ORDER BY seq DESC LIMIT 1").fetchone()
        return f"{row[1]}, by {row[2]}" if row and row[0] else ""

    def read(self) -> Iterator[Judged]:
        """Yield every verdict in order."""
        sql = "SELECT intent, order_digest, verdict, ticket, price_nano, inputs FROM verdicts ORDER BY seq"
        for intent, order_digest, verdict, ticket, price_nano, inputs in self._db.execute(sql):
            yield Judged(
                cast("OrderIntent", decode(intent)),
                order_digest,
                cast("Verdict", decode(verdict)),
                cast("Ticket", decode(ticket)) if ticket is not None else None,
                price_nano,
                json.loads(inputs),
            )

    def _transaction(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(sql, rows)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise JournalError(f"the gate's journal cannot be written: {error}; nothing is approved") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()
