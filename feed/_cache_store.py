"""What the feed remembers of its vendor: one SQLite file of records, their versions and the ranges that were fetched.

Not a journal (nothing is sold or bought on it: it may lose its last moment with the power) and not a recorded day: a
record keeps every version that it had and when it arrived, so that a question about a past time is answered as it was.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import RLock
from typing import Any, Generic, TypeVar

import msgspec

from bus.errors import ConfigError, SourceError
from bus.messages import Bar, CalendarEvent, NewsItem, Quote, Trade
from feed._cache_ranges import Range, Ranges

__all__ = ["CacheStore", "Shelf"]

_R = TypeVar("_R", Bar, Quote, Trade, NewsItem, CalendarEvent)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS records (
  series INTEGER NOT NULL, at_ns INTEGER NOT NULL, id TEXT NOT NULL, available_ns INTEGER NOT NULL,
  arrived_ns INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (series, at_ns, id, available_ns)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS covered (
  series INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, PRIMARY KEY (series, start_ns)
) WITHOUT ROWID;
"""
_BUSY_S = 10.0
_LAYOUT = 1
_ENCODE = msgspec.msgpack.Encoder().encode
_IN_RANGE = "SELECT at_ns, id, body FROM records WHERE series = ? AND at_ns >= ? AND at_ns < ?"


class CacheStore:
    """The file, or memory where there is none. Safe for several threads; for one feed at a time."""

    def __init__(self, path: Path | None) -> None:
        """Open or make it.

        Args:
            path: The database; ``-wal``, ``-shm`` and ``.lock`` stand beside it. None keeps it in memory.

        Raises:
            ConfigError: It cannot be opened, is no cache, or another feed has it.
        """
        self._path = path
        self.lock = RLock()
        self._file = _locked(path) if path else -1
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute(f"PRAGMA busy_timeout={int(_BUSY_S * 1000)}")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if found not in (0, _LAYOUT):
                raise ConfigError(f"cache_file {path} is of another release (layout {found}); name another file")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={_LAYOUT}")
        except sqlite3.Error as error:
            self._unlock()
            raise ConfigError(
                f"cache_file {path} cannot be opened: {error}; name a file in a folder that exists and can be written, "
                "or delete this one: it is fetched again"
            ) from error
        except BaseException:
            self._unlock()
            raise
        self._series: dict[str, int] = {
            name: number for number, name in self._db.execute("SELECT id, name FROM series").fetchall()
        }
        self._closed = False

    def series(self, name: str) -> int:
        """Return the number of a series."""
        with self.lock:
            number = self._series.get(name)
            if number is None:
                self._run("INSERT INTO series (name) VALUES (?)", (name,))
                number = self._series[name] = int(self._run("SELECT last_insert_rowid()")[0][0])
            return number

    def covered(self, series: int) -> list[Range]:
        """Return the ranges of a series that need not be fetched again."""
        return [
            (int(start), int(end))
            for start, end in self._run("SELECT start_ns, end_ns FROM covered WHERE series = ?", (series,))
        ]

    def rows(self, sql: str, values: Sequence[int | str]) -> list[tuple[int, str, bytes]]:
        """Return the ``(at_ns, id, body)`` rows of a statement of this module's."""
        return self._run(sql, values)

    def write(self, rows: Iterable[tuple[int, int, str, int, int, bytes]], covered: dict[int, Range]) -> None:
        """Keep records and what is covered by them, both or neither.

        Args:
            rows: ``(series, at_ns, id, available_ns, arrived_ns, body)``.
            covered: Series → the whole merged range that stands for those it touches.

        Raises:
            SourceError: The disk refuses.
        """
        with self.lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
                for series, (start, end) in covered.items():
                    self._db.execute(
                        "DELETE FROM covered WHERE series = ? AND start_ns >= ? AND start_ns <= ?", (series, start, end)
                    )
                    self._db.execute("INSERT INTO covered VALUES (?, ?, ?)", (series, start, end))
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if not self._closed and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise self._error("written", error) from error

    def drop(self, series: int, before_ns: int) -> None:
        """Delete the records of a series before a time."""
        self._run("DELETE FROM records WHERE series = ? AND at_ns < ?", (series, before_ns))

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self.lock:
            if not self._closed:
                self._closed = True
                self._db.close()
                self._unlock()

    def _run(self, sql: str, values: Sequence[int | str] = ()) -> list[Any]:
        with self.lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise self._error("read", error) from error

    def _error(self, done: str, error: sqlite3.Error) -> SourceError:
        return SourceError(
            f"the cache {self._path or 'in memory'} cannot be {done}: {error}; see that the disk has room, or delete "
            "the file while no desk runs: it is fetched again"
        )

    def _unlock(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Shelf(Generic[_R]):
    """One series: records by time and id, each in the versions it had. Under the store's lock."""

    def __init__(self, store: CacheStore, name: str, kind: type[_R]) -> None:
        self._store = store
        self._number = store.series(name)
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._ranges = Ranges(store.covered(self._number))

    def missing(self, start: int, end: int) -> list[Range]:
        """Return what of a range is not covered."""
        with self._store.lock:
            return self._ranges.missing(start, end)

    def put(self, records: Iterable[tuple[int, str, _R]], arrived_ns: int, cover: Range | None = None) -> list[_R]:
        """Keep records, and remember that a range is covered.

        A record that is there already keeps the time from which it was known; one that differs from all its versions is
        a correction, known from its arrival.

        Args:
            records: ``(at_ns, id, record)``.
            arrived_ns: When they came.
            cover: The range.

        Returns:
            Those that were new or corrected, as they are kept.
        """
        with self._store.lock:
            given = list(records)
            known: dict[tuple[int, str], list[_R]] = {}
            if given:
                low, high = min(row[0] for row in given), max(row[0] for row in given)
                for at_ns, name, body in self._store.rows(_IN_RANGE, (self._number, low, high + 1)):
                    known.setdefault((at_ns, name), []).append(self._decode(body))
            fresh: list[_R] = []
            rows: list[tuple[int, int, str, int, int, bytes]] = []
            for at_ns, name, record in given:
                versions = known.setdefault((at_ns, name), [])
                if versions:
                    if any(_same(one, record) for one in versions):
                        continue
                    last_ns = max(one.available_time_ns for one in versions)
                    after_ns = max(record.available_time_ns, arrived_ns, last_ns + 1)
                    record = msgspec.structs.replace(record, available_time_ns=after_ns)
                versions.append(record)
                fresh.append(record)
                rows.append((self._number, at_ns, name, record.available_time_ns, arrived_ns, _ENCODE(record)))
            self._keep(rows, cover)
            return fresh

    def cover(self, start: int, end: int) -> None:
        """Remember that a range need not be fetched."""
        with self._store.lock:
            self._keep([], (start, end))

    def _keep(self, rows: list[tuple[int, int, str, int, int, bytes]], cover: Range | None) -> None:
        whole: Range | None = None
        if cover and self._ranges.missing(*cover):
            whole = self._ranges.add(*cover)
        if rows or whole:
            try:
                self._store.write(rows, {self._number: whole} if whole else {})
            except SourceError:
                self._ranges = Ranges(self._store.covered(self._number))
                raise

    def between(self, start: int, end: int, as_of_ns: int, limit: int = 0) -> list[_R]:
        """Return the records in ``[start, end)`` as they were known, oldest first; with a limit, the last of them."""
        return list(self._newest(start, end, as_of_ns, limit))[::-1]

    def versions(self, start: int, end: int) -> list[list[_R]]:
        """Return each record in ``[start, end)`` in all its versions, the first one first."""
        found: dict[tuple[int, str], list[_R]] = {}
        sql = f"{_IN_RANGE} ORDER BY at_ns, id, available_ns"
        for at_ns, name, body in self._store.rows(sql, (self._number, start, end)):
            found.setdefault((at_ns, name), []).append(self._decode(body))
        return list(found.values())

    def forget(self, before_ns: int) -> None:
        """Drop the records before a time."""
        self._store.drop(self._number, before_ns)

    def _newest(self, start: int, end: int, as_of_ns: int, limit: int) -> Iterator[_R]:
        sql = f"{_IN_RANGE} AND available_ns <= ? ORDER BY at_ns DESC, id DESC, available_ns DESC"
        values: list[int] = [self._number, start, end, as_of_ns]
        if limit:
            # Versions are rare; where they take up the rows, the rest is asked for below.
            sql += " LIMIT ?"
            values.append(limit + 4)
        rows = self._store.rows(sql, values)
        given = 0
        before: tuple[int, str] | None = None
        for at_ns, name, body in rows:
            if (at_ns, name) == before:
                continue
            before = (at_ns, name)
            yield self._decode(body)
            given += 1
            if given == limit:
                return
        if limit and before is not None and len(rows) == values[-1]:
            yield from self._newest(start, before[0], as_of_ns, limit - given)


def _same(one: _R, other: _R) -> bool:
    """Whether two versions say the same, whenever they were known."""
    return one == msgspec.structs.replace(other, available_time_ns=one.available_time_ns)


def _locked(path: Path) -> int:
    try:
        file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"cache_file {path} cannot be opened: {error.strerror}; name a file in a folder that exists"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise ConfigError(
            f"cache_file {path} is in use by another feed; one process owns the vendor: join that desk, stop it, or "
            "name another file"
        ) from error
    return file
