"""The instants of a live run on disk, each with its tick: why a restarted feed answers as it did before.

Not the vendor's data (that is the cache, which outlives a run). It outlives the process, not a loss of power.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Lock

import msgspec

from bus.errors import ConfigError, SourceError
from bus.ids import digest
from bus.messages import Tick

__all__ = ["InstantLog"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (of TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instants (now_ns INTEGER PRIMARY KEY, n INTEGER NOT NULL UNIQUE, tick BLOB NOT NULL);
"""
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Tick).decode


class InstantLog:
    """Instants in order. Safe for several threads."""

    def __init__(self, path: Path | None, source: str, symbols: tuple[str, ...]) -> None:
        """Open or make the file.

        Args:
            path: Where; None keeps the instants in memory.
            source: Whose data it is.
            symbols: What is traded.

        Raises:
            ConfigError: It cannot be opened, or is of another source or other symbols.
        """
        self._lock = Lock()
        self._path = path
        of = digest(source, *symbols)
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._db.execute("INSERT INTO meta SELECT ? WHERE NOT EXISTS (SELECT 1 FROM meta)", (of,))
            found = self._db.execute("SELECT of FROM meta").fetchall()
            last = self._db.execute("SELECT now_ns, n FROM instants ORDER BY now_ns DESC LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise ConfigError(
                f"clock_file {path} cannot be opened: {error}; name a file in a folder that exists, a new one for "
                "each run"
            ) from error
        if found != [(of,)]:
            self._db.close()
            raise ConfigError(
                f"clock_file {path} is the clock of another source or of other symbols; start a run with a new folder, "
                "or go on with the source it was written for"
            )
        self._last_ns, self._count = (int(last[0]), int(last[1]) + 1) if last else (-1, 0)

    @property
    def last_ns(self) -> int:
        """The newest instant; -1 before the first."""
        return self._last_ns

    @property
    def count(self) -> int:
        """How many instants there are."""
        return self._count

    def after(self, after_ns: int) -> Tick | None:
        """Return the first instant after a time."""
        return self._one("SELECT tick FROM instants WHERE now_ns > ? ORDER BY now_ns LIMIT 1", after_ns)

    def at(self, now_ns: int) -> Tick | None:
        """Return the instant of a time."""
        return self._one("SELECT tick FROM instants WHERE now_ns = ?", now_ns)

    def add(self, tick: Tick) -> None:
        """Keep the next instant.

        Raises:
            SourceError: The disk refuses; there is no such instant then.
        """
        now_ns, index = tick.clock.now_ns, tick.clock.index
        with self._lock:
            try:
                self._db.execute("INSERT INTO instants VALUES (?, ?, ?)", (now_ns, index, _ENCODE(tick)))
            except sqlite3.Error as error:
                raise SourceError(
                    f"clock_file {self._path} cannot be written: {error}; see that the disk has room, then start again"
                ) from error
            self._last_ns, self._count = now_ns, index + 1

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._db.close()

    def _one(self, sql: str, ns: int) -> Tick | None:
        with self._lock:
            row = self._db.execute(sql, (ns,)).fetchone()
        return None if row is None else _DECODE(row[0])
