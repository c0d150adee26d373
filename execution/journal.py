"""The journal: one SQLite file (WAL, FULL, one writer) where everything is durable before anything acts on it (law 5).

Not a queue and not a report: what is read back is exactly what a restart needs. Every batch is one transaction. A
journal that cannot be written, is locked by another gateway, or was moved away raises ``JournalError``, and then
nothing is sent.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bus.codec import canonical, decode, encode
from bus.errors import JournalError
from bus.messages import Instrument, OrderEvent, OrderIntent, Settled, Ticket

__all__ = ["Clock", "Journal"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
  n INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE, intent BLOB NOT NULL, sent_ns INTEGER NOT NULL,
  ticket_id TEXT NOT NULL UNIQUE, order_digest TEXT NOT NULL, limits_version TEXT NOT NULL,
  issued_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL, key_id TEXT NOT NULL, signature BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS order_events (
  seq INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
  time_ns INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fills (
  fill_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL,
  side TEXT NOT NULL, qty_nano INTEGER NOT NULL, price_nano INTEGER NOT NULL, fee_nano INTEGER NOT NULL,
  time_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tickets (
  ticket_id TEXT PRIMARY KEY, purpose TEXT NOT NULL, used_ns INTEGER NOT NULL, first_seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (now_ns INTEGER PRIMARY KEY, answer BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS alarms (n INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, text TEXT NOT NULL);
"""
_VERSION = "1"
_BUSY_S = 1.0
_INTENT: msgspec.msgpack.Decoder[OrderIntent] = msgspec.msgpack.Decoder(OrderIntent)
_INSTRUMENTS: msgspec.msgpack.Decoder[tuple[Instrument, ...]] = msgspec.msgpack.Decoder(tuple[Instrument, ...])


@dataclass(frozen=True, slots=True)
class Clock:
    """The last instant that the journal knows to be settled: its time, its index in the day, and whether it ends it."""

    now_ns: int
    index: int
    done: bool


class Journal:
    """The one writer of a client's journal."""

    def __init__(self, path: Path, identity: dict[str, str]) -> None:
        """Open or make the journal.

        Args:
            path: The database file; ``-wal``, ``-shm`` and ``.lock`` stand beside it.
            identity: What must be the same whenever this journal is opened (client, run, start cash).

        Raises:
            JournalError: It cannot be opened or written, belongs to another run, or another gateway has it.
        """
        self.path = path
        self._lock = _lock(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            try:
                self._open(identity)
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            os.close(self._lock)
            raise self._error("opened", error) from error
        except BaseException:
            os.close(self._lock)
            raise
        self._inode = path.stat().st_ino

    def _open(self, identity: dict[str, str]) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)
        for key, value in {"schema": _VERSION, **identity}.items():
            self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
            found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
            if found != value:
                raise JournalError(
                    f"{self.path} was written with {key} {found!r}, this gateway has {value!r}; "
                    "give each run its own journal, or start with the configuration that began this one"
                )
        self._db.execute("COMMIT")

    @contextmanager
    def batch(self) -> Generator[None, None, None]:
        """Make everything inside one durable transaction; on any error none of it happened.

        Raises:
            JournalError: It could not be made durable.
        """
        try:
            self._begin()
            yield
            self._commit()
        except sqlite3.Error as error:
            self._rollback()
            raise self._error("written", error) from error
        except BaseException:
            self._rollback()
            raise

    def _begin(self) -> None:
        try:
            inode = os.stat(self.path).st_ino
        except OSError as error:
            raise self._error("found", error) from error
        if inode != self._inode:
            raise JournalError(f"{self.path} was replaced by another file; stop the run and put the journal back")
        self._db.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def add_order(self, intent: OrderIntent, ticket: Ticket, sent_ns: int) -> None:
        """Write an order that is about to be sent, and that its ticket is used."""
        self._db.execute(
            "INSERT INTO orders VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.client_order_id,
                canonical(intent),
                sent_ns,
                ticket.ticket_id,
                ticket.order_digest,
                ticket.limits_version,
                ticket.issued_ns,
                ticket.expires_ns,
                ticket.key_id,
                ticket.signature,
            ),
        )

    def use_ticket(self, ticket: Ticket, purpose: str, used_ns: int, first_seq: int) -> None:
        """Write that a ticket is used; a second use fails the batch. ``first_seq`` is the first event it can cause."""
        self._db.execute("INSERT INTO tickets VALUES (?, ?, ?, ?)", (ticket.ticket_id, purpose, used_ns, first_seq))

    def add_events(self, events: list[OrderEvent]) -> None:
        """Write events, and the fills in them."""
        self._db.executemany(
            "INSERT INTO order_events VALUES (?, ?, ?, ?, ?, ?)",
            [(e.seq, e.client_order_id, e.kind, e.status, e.time_ns, encode(e)) for e in events],
        )
        fills = [(e.seq, e.fill) for e in events if e.fill is not None]
        if fills:
            self._db.executemany(
                "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        f.fill_id,
                        seq,
                        f.client_order_id,
                        f.symbol,
                        f.side,
                        f.qty_nano,
                        f.price_nano,
                        f.fee_nano,
                        f.time_ns,
                    )
                    for seq, f in fills
                ],
            )

    def add_settled(self, answer: Settled) -> None:
        """Write the answer of an instant in which something happened."""
        self._db.execute("INSERT INTO settled VALUES (?, ?)", (answer.now_ns, encode(answer)))

    def add_alarm(self, time_ns: int, text: str) -> None:
        """Write something that a person must look at."""
        self._db.execute("INSERT INTO alarms VALUES (NULL, ?, ?)", (time_ns, text))

    def set_clock(self, clock: Clock) -> None:
        """Write how far this journal is settled."""
        value = f"{clock.now_ns},{clock.index},{int(clock.done)}"
        self._db.execute("INSERT INTO meta VALUES ('clock', ?1) ON CONFLICT DO UPDATE SET value = ?1", (value,))

    def set_instruments(self, instruments: tuple[Instrument, ...]) -> None:
        """Write what can be traded, so that a restart needs no feed to know its orders."""
        value = msgspec.msgpack.encode(instruments)
        self._db.execute("INSERT INTO meta VALUES ('instruments', ?1) ON CONFLICT DO UPDATE SET value = ?1", (value,))

    # --- reading back -------------------------------------------------------------------------------------------------

    def clock(self) -> Clock:
        """Return how far this journal is settled; index -1 before the first instant."""
        row = self._row("SELECT value FROM meta WHERE key = 'clock'")
        if row is None:
            return Clock(0, -1, done=False)
        now_ns, index, done = str(row[0]).split(",")
        return Clock(int(now_ns), int(index), done == "1")

    def instruments(self) -> tuple[Instrument, ...] | None:
        """Return what can be traded, None when it was never asked."""
        row = self._row("SELECT value FROM meta WHERE key = 'instruments'")
        return _INSTRUMENTS.decode(row[0]) if row else None

    def orders(self) -> list[tuple[OrderIntent, int]]:
        """Return every order and when it was sent, oldest first."""
        rows = self._rows("SELECT intent, sent_ns FROM orders ORDER BY n")
        return [(_INTENT.decode(intent), int(sent_ns)) for intent, sent_ns in rows]

    def events(self) -> list[OrderEvent]:
        """Return every event in sequence.

        Raises:
            JournalError: The sequence has a gap.
        """
        events: list[OrderEvent] = []
        for (body,) in self._rows("SELECT body FROM order_events ORDER BY seq"):
            event = decode(body)
            if not isinstance(event, OrderEvent) or event.seq != len(events) + 1:
                raise JournalError(f"{self.path} has no event {len(events) + 1}; restore it from a copy, trade nothing")
            events.append(event)
        return events

    def tickets(self) -> dict[str, tuple[str, int]]:
        """Return every used ticket's id with its purpose and the first event that it could cause."""
        rows = self._rows("SELECT ticket_id, purpose, first_seq FROM tickets")
        return {str(ticket_id): (str(purpose), int(first_seq)) for ticket_id, purpose, first_seq in rows}

    def settled(self, now_ns: int) -> Settled | None:
        """Return the answer that was given for an instant, None when nothing happened in it."""
        row = self._row("SELECT answer FROM settled WHERE now_ns = ?", now_ns)
        answer = decode(row[0]) if row else None
        return answer if isinstance(answer, Settled) else None

    def alarms(self) -> list[str]:
        """Return what a person must look at, oldest first."""
        return [str(text) for (text,) in self._rows("SELECT text FROM alarms ORDER BY n")]

    def close(self) -> None:
        """Close the file and let another gateway have it."""
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _rows(self, sql: str, *values: int) -> list[tuple[bytes, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._error("read", error) from error

    def _row(self, sql: str, *values: int) -> tuple[bytes, ...] | None:
        rows = self._rows(sql, *values)
        return rows[0] if rows else None

    def _error(self, verb: str, error: Exception) -> JournalError:
        return JournalError(
            f"the journal {self.path} could not be {verb}: {error}; nothing is sent without it. "
            "It must be on a local disk with space, writable and free: fix that, then start the stage again"
        )


def _lock(path: Path) -> int:
    """Return a descriptor whose lock the kernel releases when this process ends, however it ends."""
    name = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"the journal's lock {name} could not be made: {error}; give a writable folder") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise JournalError(f"another gateway writes {path}; stop it first: a journal has one writer") from error
    return descriptor
