"""The journal: one SQLite file (WAL, FULL, one writer) where everything is durable before anything acts on it (law 5).

Not a queue and not a report: what is read back is exactly what a restart needs. Every batch is one transaction. A
journal that cannot be written, is damaged, is locked by another gateway, or was moved away raises ``JournalError``, and
then nothing is sent. One that lost its last records says so in ``lost``: they may be orders that the broker has.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bus.codec import canonical, decode, encode
from bus.errors import JournalError, SchemaError
from bus.messages import Instrument, OrderEvent, OrderIntent, Origin, Ticket
from execution._schema import SCHEMA, VERSION
from execution._seal import START, Note, link
from execution.swept import Sweep, Sweeps

__all__ = ["Clock", "Journal", "JournaledOrder"]

_BUSY_S = 1.0
_INTENT: msgspec.msgpack.Decoder[OrderIntent] = msgspec.msgpack.Decoder(OrderIntent)
_INSTRUMENTS: msgspec.msgpack.Decoder[tuple[Instrument, ...]] = msgspec.msgpack.Decoder(tuple[Instrument, ...])
_SWEEPS: msgspec.json.Decoder[dict[str, Sweep]] = msgspec.json.Decoder(dict[str, Sweep])
_SEQS: msgspec.msgpack.Decoder[list[int]] = msgspec.msgpack.Decoder(list[int])


@dataclass(frozen=True, slots=True)
class Clock:
    """The last instant that the journal knows to be settled: its time, its index in the day, and whether it ends it."""

    now_ns: int
    index: int
    done: bool


@dataclass(frozen=True, slots=True)
class JournaledOrder:
    """An order as it was written before it was sent, or when it was found at the broker."""

    intent: OrderIntent
    sent_ns: int
    origin: Origin
    group: str
    price_nano: int


class Journal:
    """The one writer of a client's journal."""

    def __init__(self, path: Path, identity: dict[str, str]) -> None:
        """Open or make the journal.

        Args:
            path: The database file; ``-wal``, ``-shm`` and ``.lock`` stand beside it.
            identity: What must be the same whenever this journal is opened (client, run, start cash).

        Raises:
            JournalError: It cannot be opened or written, is damaged, belongs to another run, or another gateway has it.
        """
        self.path = path
        self._note = Note(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            try:
                self._open(identity)
                self.lost = self._compare()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            self._note.close()
            raise self._error("opened", error) from error
        except BaseException:
            self._note.close()
            raise
        self._inode = path.stat().st_ino
        self._clock: Clock | None = None

    def _open(self, identity: dict[str, str]) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";"):
            self._db.execute(statement)
        for key, value in {"schema": VERSION, **identity}.items():
            self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
            found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
            if found != value:
                raise JournalError(
                    f"{self.path} was written with {key} {found!r}, this gateway has {value!r}; "
                    "give each run its own journal, or start with the configuration that began this one"
                )
        damage = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(str(damage))
        self._db.execute("COMMIT")

    def _compare(self) -> str:
        """Return what the note beside the journal knows of that the journal does not."""
        last = self._db.execute("SELECT seq, seal FROM order_events ORDER BY seq DESC LIMIT 1").fetchone()
        self._seq, self._seal = (int(last[0]), bytes(last[1])) if last else (0, START)
        seq, seal = self._note.read()
        at = self._db.execute("SELECT seal FROM order_events WHERE seq = ?", (seq,)).fetchone()
        if seq == 0 or (at is not None and at[0] == seal):
            return ""
        return (
            f"journal_lost: {self.path.name} had {seq} events and has {self._seq} of them; orders of the lost ones may "
            "work at the broker: put the newer file back, or compare with the broker (outcry reconcile) and clear it"
        )

    @property
    def in_batch(self) -> bool:
        """Whether a batch is being written."""
        return self._db.in_transaction

    @contextmanager
    def batch(self) -> Generator[None]:
        """Make everything inside one durable transaction; on any error none of it happened.

        Raises:
            JournalError: It could not be made durable.
        """
        before = (self._seq, self._seal, self._clock)
        try:
            self._begin()
            yield
            self._commit()
        except sqlite3.Error as error:
            self._rollback(before)
            raise self._error("written", error) from error
        except BaseException:
            self._rollback(before)
            raise
        if before[0] != self._seq:
            self._note.write(self._seq, self._seal)

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

    def _rollback(self, before: tuple[int, bytes, Clock | None]) -> None:
        self._seq, self._seal, self._clock = before
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def add_order(
        self,
        intent: OrderIntent,
        ticket: Ticket | None,
        sent_ns: int,
        origin: Origin = "desk",
        group: str = "",
        price_nano: int = 0,
    ) -> None:
        """Write an order that is about to be sent, or that was found; only the desk's own have a ticket."""
        raw = canonical(intent)
        seal = link(START, b"".join((raw, repr((sent_ns, origin, group, price_nano)).encode())))
        self._db.execute(
            "INSERT INTO orders VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.client_order_id,
                raw,
                sent_ns,
                origin,
                group,
                price_nano,
                seal,
                canonical(ticket) if ticket is not None else None,
            ),
        )

    def use_ticket(self, ticket: Ticket, purpose: str, used_ns: int, first_seq: int) -> None:
        """Write that a ticket is used; a second use fails the batch. ``first_seq`` is the first event it can cause."""
        self._db.execute("INSERT INTO tickets VALUES (?, ?, ?, ?)", (ticket.ticket_id, purpose, used_ns, first_seq))

    def add_events(self, events: list[OrderEvent], *, unasked: bool = False) -> None:
        """Write events; the last one carries a seal over all of them and those before.

        Args:
            events: In sequence.
            unasked: Whether they came between two instants and were the answer to nobody: the next instant tells them.
        """
        if not events:
            return
        bodies = [encode(event) for event in events]
        seals = [b""] * len(bodies)
        seals[-1] = link(self._seal, b"".join(bodies))
        self._db.executemany(
            "INSERT INTO order_events VALUES (?, ?, ?, ?, ?, ?)",
            [
                (event.seq, event.client_order_id, event.kind, body, seal, unasked)
                for event, body, seal in zip(events, bodies, seals, strict=True)
            ],
        )
        self._seq, self._seal = events[-1].seq, seals[-1]

    def add_settled(self, now_ns: int, seqs: list[int], last_seq: int) -> None:
        """Write which events an instant was answered with, and the last one that its account knows."""
        values = (now_ns, msgspec.msgpack.encode(seqs), last_seq)
        self._db.execute("INSERT OR REPLACE INTO settled VALUES (?, ?, ?)", values)

    def set_water(self, client_order_id: str, water_nano: int) -> None:
        """Write the best price that a trailing stop has seen."""
        self._db.execute("INSERT OR REPLACE INTO waters VALUES (?, ?)", (client_order_id, water_nano))

    def set_sweeps(self, sweeps: Sweeps) -> None:
        """Write what was canceled all at once."""
        self.set_meta("sweeps", msgspec.json.encode(sweeps).decode())

    def add_alarm(self, time_ns: int, text: str) -> None:
        """Write something that a person must look at."""
        self._db.execute("INSERT INTO alarms VALUES (NULL, ?, ?)", (time_ns, text))

    def set_clock(self, clock: Clock) -> None:
        """Write how far this journal is settled."""
        if clock != self._clock:
            self.set_meta("clock", f"{clock.now_ns},{clock.index},{int(clock.done)}")
            self._clock = clock

    def set_instruments(self, instruments: tuple[Instrument, ...]) -> None:
        """Write what can be traded, so that a restart needs no feed to know its orders."""
        self.set_meta("instruments", msgspec.msgpack.encode(instruments))

    def set_meta(self, key: str, value: str | bytes) -> None:
        """Write a single value."""
        self._db.execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", (key, value))

    # --- reading back -------------------------------------------------------------------------------------------------

    def meta(self, key: str) -> str:
        """Return a single value, empty when it was never written."""
        row = self._row("SELECT value FROM meta WHERE key = ?", key)
        return str(row[0]) if row else ""

    def clock(self) -> Clock:
        """Return how far this journal is settled; index -1 before the first instant."""
        value = self.meta("clock")
        if not value:
            return Clock(0, -1, done=False)
        now_ns, index, done = value.split(",")
        return Clock(int(now_ns), int(index), done == "1")

    def instruments(self) -> tuple[Instrument, ...] | None:
        """Return what can be traded, None when it was never asked."""
        row = self._row("SELECT value FROM meta WHERE key = 'instruments'")
        return _INSTRUMENTS.decode(row[0]) if row else None

    def orders(self) -> list[JournaledOrder]:
        """Return every order and when it was sent, oldest first.

        Raises:
            JournalError: One of them is damaged.
        """
        orders: list[JournaledOrder] = []
        rows = self._rows("SELECT client_order_id, intent, sent_ns, origin, order_group, price_nano, seal FROM orders")
        for client_order_id, raw, sent_ns, origin, group, price_nano, seal in rows:
            if link(START, b"".join((raw, repr((sent_ns, origin, group, price_nano)).encode()))) != seal:
                raise self._damaged(f"order {client_order_id!r}")
            known = msgspec.convert(origin, Origin)
            orders.append(JournaledOrder(_INTENT.decode(raw), int(sent_ns), known, str(group), int(price_nano)))
        return orders

    def events(self) -> list[OrderEvent]:
        """Return every event in sequence.

        Raises:
            JournalError: One is missing or damaged.
        """
        events: list[OrderEvent] = []
        seal, bodies = START, list[bytes]()
        for body, sealed in self._rows("SELECT body, seal FROM order_events ORDER BY seq"):
            event = _event(body)
            if event is None or event.seq != len(events) + 1:
                raise self._damaged(f"event {len(events) + 1}")
            events.append(event)
            bodies.append(body)
            if sealed:
                seal = link(seal, b"".join(bodies))
                if seal != sealed:
                    raise self._damaged(f"event {len(events) - len(bodies) + 1} to {len(events)}")
                bodies.clear()
        if bodies:
            raise self._damaged(f"event after {len(events)}")
        return events

    def untold(self) -> list[int]:
        """Return the numbers of the events that no answer has told of yet."""
        sql = "SELECT seq FROM order_events WHERE unasked AND seq > (SELECT coalesce(max(last_seq), 0) FROM settled)"
        return [int(seq) for (seq,) in self._rows(f"{sql} ORDER BY seq")]

    def tickets(self) -> dict[str, tuple[str, int]]:
        """Return every used ticket's id with its purpose and the first event that it could cause."""
        rows = self._rows("SELECT ticket_id, purpose, first_seq FROM tickets")
        return {str(ticket_id): (str(purpose), int(first_seq)) for ticket_id, purpose, first_seq in rows}

    def settled(self, now_ns: int) -> tuple[list[int], int] | None:
        """Return the numbers of the events that an instant was answered with and the last one known then.

        Returns:
            None when nothing happened in it.
        """
        row = self._row("SELECT seqs, last_seq FROM settled WHERE now_ns = ?", now_ns)
        return (_SEQS.decode(row[0]), int(row[1])) if row else None

    def waters(self) -> dict[str, int]:
        """Return the best price that each trailing stop has seen."""
        return {str(order): int(water) for order, water in self._rows("SELECT client_order_id, water_nano FROM waters")}

    def sweeps(self) -> dict[str, Sweep]:
        """Return what was canceled all at once, by strategy."""
        written = self.meta("sweeps")
        try:
            return _SWEEPS.decode(written) if written else {}
        except msgspec.MsgspecError as error:
            raise JournalError(
                f"{self.path} is damaged: what was canceled is no text of ours; nothing is sent. Put back a copy of it"
            ) from error

    def alarms(self) -> list[str]:
        """Return what a person must look at, oldest first."""
        return [str(text) for (text,) in self._rows("SELECT text FROM alarms ORDER BY n")]

    def accept(self) -> None:
        """Take what the file holds as the whole: a person has looked at what was lost."""
        self.lost = ""
        self._note.write(self._seq, self._seal)

    def close(self) -> None:
        """Close the file and let another gateway have it."""
        self._db.close()
        self._note.close()

    def _rows(self, sql: str, *values: int | str) -> list[tuple[bytes, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._error("read", error) from error

    def _row(self, sql: str, *values: int | str) -> tuple[bytes, ...] | None:
        rows = self._rows(sql, *values)
        return rows[0] if rows else None

    def _damaged(self, what: str) -> JournalError:
        return JournalError(
            f"{self.path} is damaged: there is no {what} as it was written; nothing is sent without it. Put back a "
            "copy of the file, or move it away: a new one opens its books from the broker's own account"
        )

    def _error(self, verb: str, error: Exception) -> JournalError:
        return JournalError(
            f"the journal {self.path} could not be {verb}: {error}; nothing is sent without it. "
            "It must be on a local disk with space, writable, whole and free: fix that, or put back a copy, then start "
            "the stage again"
        )


def _event(body: bytes) -> OrderEvent | None:
    """Return the event in the bytes, None where there is none."""
    try:
        event = decode(body)
    except SchemaError:
        return None
    return event if isinstance(event, OrderEvent) else None
