"""The event log of a run: every record in one total order, chained by hash, committed an instant at a time.

Why two runs of a day can be compared to the byte, up to any instant. Not the order journal (``execution.journal``)
nor the gate's (``risk.journal``), which those processes stand on after a crash: this is what was asked and answered,
as the orchestrator saw it.

What may differ between two runs of the same day (the gate's key and its signatures) is blanked before it is written;
process ids, wall times and restarts are never part of a record.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from bus.codec import decode, encode
from bus.errors import JournalError
from bus.messages import ClockTick, ExecutionAsk, Message, StageRequest, StageResult, TicketedOrder, Verdicts

__all__ = ["GENESIS", "Record", "RecordKind", "Trace", "blank_tickets", "chain_next", "read_trace"]

RecordKind: TypeAlias = Literal["clock", "settled", "book", "ask", "answer"]

GENESIS = "0" * 64
"""The chain before the first record."""


class Record(msgspec.Struct, frozen=True):
    """One record of the log. ``chain`` covers this record and all before it."""

    seq: int
    now_ns: int
    kind: RecordKind
    source: str
    body: bytes
    chain: str

    @property
    def message(self) -> Message:
        """The message in the body."""
        return decode(self.body)


def chain_next(previous: str, now_ns: int, kind: str, source: str, body: bytes) -> str:
    """Return the BLAKE2b-256 chain value of a record that follows ``previous``."""
    hasher = hashlib.blake2b(digest_size=32)
    for part in (previous.encode(), str(now_ns).encode(), kind.encode(), source.encode(), body):
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()


def _blank(orders: tuple[TicketedOrder, ...]) -> tuple[TicketedOrder, ...]:
    replace = msgspec.structs.replace
    return tuple(replace(order, ticket=replace(order.ticket, key_id="", signature=b"")) for order in orders)


def blank_tickets(message: Message) -> Message:
    """Return the message without what a second run may differ in: the gate's key id and signatures.

    A clock tick also loses what is known only afterwards: how many instants the day has.
    """
    replace = msgspec.structs.replace
    match message:
        case ClockTick():
            return ClockTick(now_ns=message.now_ns, index=message.index, total=0, done=False)
        case StageResult(answer=Verdicts() as answer):
            return replace(message, answer=replace(answer, orders=_blank(answer.orders)))
        case StageRequest(ask=ExecutionAsk() as ask):
            return replace(message, ask=ExecutionAsk(_blank(ask.orders)))
        case _:
            return message


class Trace:
    """Writes the log of one run; opened again after a crash, it goes on where the last whole instant ended."""

    def __init__(self, path: Path) -> None:
        """Open or create the log.

        Args:
            path: The SQLite file.

        Raises:
            JournalError: The file cannot be opened or written.
        """
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS records(seq INTEGER PRIMARY KEY, now_ns INTEGER NOT NULL, "
                "kind TEXT NOT NULL, source TEXT NOT NULL, body BLOB NOT NULL, chain TEXT NOT NULL)"
            )
            row = self._db.execute("SELECT seq, now_ns, chain FROM records ORDER BY seq DESC LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise JournalError(
                f"the event log {path} cannot be opened: {error}; free space or fix its rights"
            ) from error
        self.seq: int = row[0] if row else 0
        self.last_ns: int = row[1] if row else -1
        self.chain: str = row[2] if row else GENESIS

    def commit(self, now_ns: int, records: Iterable[tuple[RecordKind, str, Message]]) -> None:
        """Append all records of one instant, or none.

        Args:
            now_ns: The instant, after the one before.
            records: ``(kind, source, message)`` in order.

        Raises:
            JournalError: The log cannot be written.
        """
        rows: list[tuple[int, int, str, str, bytes, str]] = []
        seq, chain = self.seq, self.chain
        for kind, source, message in records:
            body = encode(blank_tickets(message))
            seq += 1
            chain = chain_next(chain, now_ns, kind, source, body)
            rows.append((seq, now_ns, kind, source, body, chain))
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"the event log cannot be written: {error}; the run stops at {now_ns} ns") from error
        self.seq, self.chain, self.last_ns = seq, chain, now_ns

    def cycles(self) -> tuple[int, int]:
        """Return how many cycles there were and the time of the last one (-1 when none), for a restart."""
        row = self._db.execute(
            "SELECT COUNT(*), COALESCE(MAX(now_ns), -1) FROM records WHERE kind = 'ask' AND source = 'analyst'"
        ).fetchone()
        return int(row[0]), int(row[1])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def read_trace(path: Path) -> Iterator[Record]:
    """Yield the records of a log in order, checking the chain.

    Args:
        path: The SQLite file.

    Raises:
        JournalError: The file is missing or a record does not fit the chain.
    """
    if not path.is_file():
        raise JournalError(f"there is no event log at {path}; name the folder of a run")
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        chain = GENESIS
        for row in db.execute("SELECT seq, now_ns, kind, source, body, chain FROM records ORDER BY seq"):
            record = Record(*row)
            chain = chain_next(chain, record.now_ns, record.kind, record.source, record.body)
            if chain != record.chain:
                raise JournalError(f"record {record.seq} of {path} was altered: the chain breaks there")
            yield record
    finally:
        db.close()
