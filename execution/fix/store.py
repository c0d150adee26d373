"""What a session must keep over restarts: numbers, what was sent, what came and is not taken yet, executions.

One SQLite file (WAL, FULL, one writer, locked against a second process) in the folder of the specification. Not the
journal of orders: that is execution's. No Logon is ever written here, so no key is.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bus.errors import JournalError
from bus.messages import Fill, OrderIntent

__all__ = ["Known", "Store"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (
  epoch INTEGER NOT NULL, seq INTEGER NOT NULL, msg_type TEXT NOT NULL, request_id TEXT NOT NULL, body BLOB NOT NULL,
  sent_ns INTEGER NOT NULL, PRIMARY KEY (epoch, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
  request_id TEXT PRIMARY KEY, kind TEXT NOT NULL, client_order_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
  n INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE, ended INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS open_orders ON orders (n) WHERE ended = 0;
CREATE TABLE IF NOT EXISTS fills (
  n INTEGER PRIMARY KEY, exec_id TEXT NOT NULL, client_order_id TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
  time_ns INTEGER NOT NULL, UNIQUE (exec_id, client_order_id));
CREATE INDEX IF NOT EXISTS order_fills ON fills (client_order_id, n);
CREATE TABLE IF NOT EXISTS held (symbol TEXT PRIMARY KEY, qty_nano INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (n INTEGER PRIMARY KEY AUTOINCREMENT, flaw TEXT NOT NULL, body BLOB NOT NULL);
"""
_FILL: msgspec.msgpack.Decoder[Fill] = msgspec.msgpack.Decoder(Fill)
_BUSY_S = 1.0


class Known(msgspec.Struct):
    """An order as the session knows it.

    Attributes:
        order_id: The counterparty's id (37), empty until it is told.
        venue_id: The ClOrdID it has there; for an order of other hands not our id.
        base_nano: CumQty (14) of the chain when this order took the place of another; 0 for a first one.
        covered_nano: CumQty up to which a status stood in for executions that never came.
        intent: What was asked; None for an order of other hands.
        ended: Which final kind was told, or empty.
    """

    client_order_id: str
    venue_id: str
    symbol: str
    side: str
    qty_nano: int
    price_nano: int = 0
    order_id: str = ""
    base_nano: int = 0
    covered_nano: int = 0
    intent: OrderIntent | None = None
    ended: str = ""


_KNOWN: msgspec.msgpack.Decoder[Known] = msgspec.msgpack.Decoder(Known)


class Store:
    """The session's memory. Every method is called under the session's lock."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open or make the file.

        Raises:
            JournalError: Another process has it, or it cannot be written.
        """
        self._path = folder / f"{name}.db"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._broken(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise JournalError(
                f"{self._path} is in use by another gateway; one session has one holder: stop the other, or give this "
                "one a broker.store of its own"
            ) from error
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            self._path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._meta = {str(key): int(value) for key, value in self._db.execute("SELECT key, value FROM meta")}
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock)
            raise self._broken(error) from error
        self._depth = 0

    def _broken(self, error: Exception) -> JournalError:
        return JournalError(
            f"{self._path} cannot be written or read ({error}); nothing is sent without it: free the disk, or restore "
            "the file; only when the counterparty resets the session too may it be deleted"
        )

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Make everything inside durable together, or nothing of it.

        Raises:
            JournalError: It could not be written; nothing is changed.
        """
        if self._depth:
            yield
            return
        before = dict(self._meta)
        self._depth = 1
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(before)
            raise self._broken(error) from error
        except BaseException:
            self._undo(before)
            raise
        finally:
            self._depth = 0

    def _undo(self, before: dict[str, int]) -> None:
        self._meta = before
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _get(self, key: str) -> int:
        return self._meta.get(key, 1)

    def _set(self, key: str, value: int) -> None:
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            self._meta[key] = value

    @property
    def next_out(self) -> int:
        """The number of our next message."""
        return self._get("next_out")

    @property
    def next_in(self) -> int:
        """The number that their next message must have."""
        return self._get("next_in")

    @property
    def epoch(self) -> int:
        """Counts resets of the numbers, from 1."""
        return self._get("epoch")

    def set_next_in(self, seq: int) -> None:
        """Expect another number."""
        self._set("next_in", seq)

    def reset(self) -> None:
        """Start both numbers at 1 again."""
        with self.transaction():
            self._set("epoch", self.epoch + 1)
            self._set("next_out", 1)
            self._set("next_in", 1)

    def count(self, name: str) -> int:
        """Return the next of a row of numbers that never repeats, from 1."""
        value = self._get(f"count:{name}")
        self._set(f"count:{name}", value + 1)
        return value

    # --- what was sent ------------------------------------------------------------------------------------------------

    def took_number(self) -> None:
        """Use up the number of a session message; what was in it is not kept."""
        self._set("next_out", self.next_out + 1)

    def give_back_number(self) -> None:
        """Use the last number again: the counterparty has refused it."""
        self._set("next_out", self.next_out - 1)

    def sent(self, msg_type: str, request_id: str, body: bytes, now_ns: int) -> None:
        """Keep an application message under the next number, and use the number up."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO sent VALUES (?, ?, ?, ?, ?, ?)",
                (self.epoch, self.next_out, msg_type, request_id, body, now_ns),
            )
            self.took_number()

    def sent_as(self, seq: int) -> tuple[str, str] | None:
        """Return message type and request id of what was sent under a number, or None for a session message."""
        row: tuple[str, str] | None = self._db.execute(
            "SELECT msg_type, request_id FROM sent WHERE epoch = ? AND seq = ?", (self.epoch, seq)
        ).fetchone()
        return row

    def add_request(self, request_id: str, kind: str, client_order_id: str) -> None:
        """Keep which order a request is about."""
        with self.transaction():
            self._db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?)", (request_id, kind, client_order_id))

    def request(self, request_id: str) -> tuple[str, str] | None:
        """Return kind and order of a request, or None."""
        row: tuple[str, str] | None = self._db.execute(
            "SELECT kind, client_order_id FROM requests WHERE request_id = ?", (request_id,)
        ).fetchone()
        return row

    # --- what came ----------------------------------------------------------------------------------------------------

    def received(self, body: bytes, flaw: str) -> None:
        """Keep an application message until it is taken, and expect the next number."""
        with self.transaction():
            self._db.execute("INSERT INTO inbox (flaw, body) VALUES (?, ?)", (flaw, body))
            self.set_next_in(self.next_in + 1)

    def inbox(self, after: int) -> list[tuple[int, str, bytes]]:
        """Return what came and is not taken, with a number greater than ``after``, oldest first."""
        rows: list[tuple[int, str, bytes]] = self._db.execute(
            "SELECT n, flaw, body FROM inbox WHERE n > ? ORDER BY n", (after,)
        ).fetchall()
        return rows

    def taken(self, numbers: Iterable[int]) -> None:
        """Forget what was taken."""
        with self.transaction():
            self._db.executemany("DELETE FROM inbox WHERE n = ?", ((n,) for n in numbers))

    # --- orders and executions ----------------------------------------------------------------------------------------

    def order(self, client_order_id: str) -> Known | None:
        """Return an order, or None."""
        row: tuple[bytes] | None = self._db.execute(
            "SELECT body FROM orders WHERE client_order_id = ?", (client_order_id,)
        ).fetchone()
        return _KNOWN.decode(row[0]) if row else None

    def orders(self) -> list[Known]:
        """Return every order that is not known to have ended, oldest first."""
        rows: list[tuple[bytes]] = self._db.execute("SELECT body FROM orders WHERE ended = 0 ORDER BY n").fetchall()
        return [_KNOWN.decode(row[0]) for row in rows]

    def keep_order(self, known: Known) -> None:
        """Keep an order as it is now."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO orders (client_order_id, ended, body) VALUES (?, ?, ?) ON CONFLICT (client_order_id) "
                "DO UPDATE SET ended = excluded.ended, body = excluded.body",
                (known.client_order_id, int(bool(known.ended)), msgspec.msgpack.encode(known)),
            )

    def fill(self, exec_id: str, client_order_id: str) -> Fill | None:
        """Return one execution, or None."""
        row: tuple[bytes] | None = self._db.execute(
            "SELECT body FROM fills WHERE exec_id = ? AND client_order_id = ?", (exec_id, client_order_id)
        ).fetchone()
        return _FILL.decode(row[0]) if row else None

    def other_fill(self, exec_id: str, client_order_id: str) -> bool:
        """Return whether another order has an execution of that id."""
        query = "SELECT 1 FROM fills WHERE exec_id = ? AND client_order_id <> ?"
        return self._db.execute(query, (exec_id, client_order_id)).fetchone() is not None

    def keep_fill(self, exec_id: str, kind: str, fill: Fill, change_nano: int) -> None:
        """Keep an execution, a bust or a correction that is new, and what it does to the signed quantity held."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO fills (exec_id, client_order_id, kind, body, time_ns) VALUES (?, ?, ?, ?, ?)",
                (exec_id, fill.client_order_id, kind, msgspec.msgpack.encode(fill), fill.time_ns),
            )
            self._db.execute(
                "INSERT INTO held VALUES (?, ?) ON CONFLICT (symbol) "
                "DO UPDATE SET qty_nano = qty_nano + excluded.qty_nano",
                (fill.symbol, change_nano),
            )

    def fills(self, client_order_id: str) -> list[tuple[str, Fill]]:
        """Return kind and execution of one order, oldest first."""
        query = "SELECT kind, body FROM fills WHERE client_order_id = ? ORDER BY n"
        rows: list[tuple[str, bytes]] = self._db.execute(query, (client_order_id,)).fetchall()
        return [(kind, _FILL.decode(body)) for kind, body in rows]

    def executions(self, since_ns: int) -> list[Fill]:
        """Return every execution, bust and correction since a time, oldest first."""
        query = "SELECT body FROM fills WHERE time_ns >= ? ORDER BY n"
        rows: list[tuple[bytes]] = self._db.execute(query, (since_ns,)).fetchall()
        return [_FILL.decode(row[0]) for row in rows]

    def held(self) -> dict[str, int]:
        """Return what the executions of this session came to, signed, by symbol; flat ones are left out."""
        rows: list[tuple[str, int]] = self._db.execute(
            "SELECT symbol, qty_nano FROM held WHERE qty_nano <> 0 ORDER BY symbol"
        ).fetchall()
        return dict(rows)
