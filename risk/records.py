"""What the gate's journal holds, record by record, and how it is read back. Not the file (``risk.journal``).

Every record carries a digest of itself, so that one that is not what was written is told apart.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from bus.errors import JournalError
from bus.ids import digest
from bus.messages import BookSettled, KillLine, OrderIntent, Ticket, Verdict
from risk.inputs import Inputs
from risk.state import Carried

__all__ = [
    "Alarm",
    "CancelNote",
    "ClientInstant",
    "Instant",
    "Judged",
    "kill_row",
    "mark_of",
    "read_records",
    "read_terms",
    "read_verdicts",
    "verdict_row",
]

_T = TypeVar("_T")
_VERDICT_ENCODER = msgspec.msgpack.Encoder()
_INPUTS_ENCODER = msgspec.json.Encoder()

_RECORDS = {
    "verdicts": "SELECT seq, record, mark FROM verdicts ORDER BY seq",
    "kill_switch": "SELECT seq, record, mark FROM kill_switch ORDER BY seq",
    "cancels": "SELECT seq, record, mark FROM cancels ORDER BY seq",
    "alarms": "SELECT seq, record, mark FROM alarms ORDER BY seq",
    "instant": "SELECT seq, record, mark FROM instant",
}


class Judged(msgspec.Struct, frozen=True):
    """One verdict with its order, its unsigned ticket (when approved), the price it was reserved at and its inputs.

    ``final`` verdicts are what their client order id is answered with from then on; the others (a forged id, a wrong
    clock) are kept for the record only. ``inputs`` is what ``risk.explain`` computes the verdict from again.
    """

    client: str
    cycle: int
    intent: OrderIntent
    order_digest: str
    verdict: Verdict
    ticket: Ticket | None
    price_nano: int
    inputs: Inputs
    final: bool


class _Verdict(msgspec.Struct, frozen=True):
    """``Judged`` as it is written: inputs may be larger than the integers of msgpack."""

    client: str
    cycle: int
    intent: OrderIntent
    order_digest: str
    verdict: Verdict
    ticket: Ticket | None
    price_nano: int
    inputs: str
    final: bool


class CancelNote(msgspec.Struct, frozen=True):
    """That a cancel was asked for: it counts among a client's messages."""

    client: str
    client_order_id: str
    now_ns: int


class Alarm(msgspec.Struct, frozen=True):
    """Something a person should look at, which changed nothing: a resume without its proof."""

    kind: str
    text: str
    now_ns: int


class ClientInstant(msgspec.Struct, frozen=True):
    """What a client's losses are counted from, and the last event of its gateway's that was taken in."""

    client: str
    last_seq: int
    carried: Carried


class Instant(msgspec.Struct, frozen=True):
    """The last instant that the gate settled: its answer, the first client's net, the day, and each client."""

    settled: BookSettled
    net_nano: int
    day: str
    clients: tuple[ClientInstant, ...]


def read_records(db: sqlite3.Connection, table: str, kind: type[_T]) -> Iterator[_T]:
    """Yield the records of a table in order, each checked against its digest.

    Args:
        db: A gate's journal.
        table: ``verdicts``, ``kill_switch``, ``cancels``, ``alarms`` or ``instant``.
        kind: What its records are.

    Raises:
        JournalError: It cannot be read, or a record is damaged or missing.
    """
    try:
        rows = db.execute(_RECORDS[table]).fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"the gate's journal cannot be read: {error}; nothing is approved") from error
    decoder = msgspec.msgpack.Decoder(kind)
    for place, (seq, record, mark) in enumerate(rows, 1):
        try:
            if seq != place or mark != mark_of(table, seq, record):
                raise ValueError("it is not what was written")
            item = decoder.decode(record)
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            raise JournalError(
                f"the gate's journal is damaged in {table}, record {place} of {len(rows)}: {error}; nothing is "
                "approved: put the file back from a copy, or start a new run"
            ) from error
        yield item


def read_verdicts(db: sqlite3.Connection, *, inputs: bool = True) -> Iterator[Judged]:
    """Yield every verdict in order, with or without its inputs.

    Raises:
        JournalError: As ``read_records``.
    """
    for each in read_records(db, "verdicts", _Verdict):
        yield Judged(
            each.client,
            each.cycle,
            each.intent,
            each.order_digest,
            each.verdict,
            each.ticket,
            each.price_nano,
            json.loads(each.inputs) if inputs else {},
            each.final,
        )


def read_terms(db: sqlite3.Connection) -> dict[str, bytes]:
    """Return what each limits version of a journal stands for.

    Raises:
        JournalError: It cannot be read, or a record is damaged.
    """
    try:
        rows = db.execute("SELECT version, record, mark FROM terms").fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"the gate's journal cannot be read: {error}; see whose file it is") from error
    for version, record, mark in rows:
        if mark != mark_of("terms", 0, record):
            raise JournalError(f"the gate's journal is damaged in terms, {version}: put the file back from a copy")
    return {version: record for version, record, _ in rows}


def verdict_row(seq: int, entry: Judged) -> tuple[object, ...]:
    """Return the row of a verdict."""
    verdict = entry.verdict
    record = _VERDICT_ENCODER.encode(
        _Verdict(
            entry.client,
            entry.cycle,
            entry.intent,
            entry.order_digest,
            verdict,
            entry.ticket,
            entry.price_nano,
            _INPUTS_ENCODER.encode(entry.inputs).decode(),
            entry.final,
        )
    )
    return (
        seq,
        entry.client,
        verdict.client_order_id,
        verdict.now_ns,
        int(verdict.approved),
        verdict.code,
        int(entry.final),
        record,
        mark_of("verdicts", seq, record),
    )


def kill_row(seq: int, note: KillLine) -> tuple[object, ...]:
    """Return the row of a change of the kill switch."""
    record = msgspec.msgpack.encode(note)
    return (seq, note.client, note.strategy, note.state, note.since_ns, record, mark_of("kill_switch", seq, record))


def mark_of(table: str, seq: int, record: bytes) -> str:
    """Return the digest that a record of a table carries."""
    return digest(table, seq, record, size=8)
