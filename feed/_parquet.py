"""Columns in and out of Parquet, through DuckDB, with times as integers.

Not a query layer: a file is read whole, in its own order, and written in one deterministic way. A connection costs tens
of milliseconds, so whoever handles many files makes one and passes it on.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bus.errors import DayError

if TYPE_CHECKING:
    import duckdb
    import numpy as np

__all__ = [
    "COLUMNS",
    "OPTIONAL",
    "Columns",
    "as_columns",
    "connect",
    "literal",
    "read_columns",
    "using",
    "write_columns",
]

Columns = dict[str, "np.ndarray[Any, Any]"]
"""Column name → values, in the order of the rows."""

_INTERVAL = {"symbol": "VARCHAR", "open_time": "BIGINT", "event_time": "BIGINT", "available_time": "BIGINT"}
COLUMNS: dict[str, dict[str, str]] = {
    "bars": {
        **_INTERVAL,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), "DOUBLE"),
        "session": "VARCHAR",
    },
    "quotes": {
        **_INTERVAL,
        **dict.fromkeys(("bid_open", "ask_open", "bid", "ask", "bid_size", "ask_size"), "DOUBLE"),
    },
    "trades": {
        "symbol": "VARCHAR",
        "event_time": "BIGINT",
        "available_time": "BIGINT",
        "price": "DOUBLE",
        "size": "DOUBLE",
    },
    "news": {
        "news_id": "VARCHAR",
        "symbols": "VARCHAR",
        "event_time": "BIGINT",
        "available_time": "BIGINT",
        "headline": "VARCHAR",
        "source": "VARCHAR",
        "body": "VARCHAR",
    },
    "calendar": {
        "event_id": "VARCHAR",
        "event_time": "BIGINT",
        "available_time": "BIGINT",
        "name": "VARCHAR",
        "country": "VARCHAR",
        "importance": "VARCHAR",
        "forecast": "VARCHAR",
        "actual": "VARCHAR",
    },
}
"""Table → column → DuckDB type. Times are UTC nanoseconds; symbols of a news item are joined by commas."""

OPTIONAL: dict[str, dict[str, str]] = {"calendar": {"kind": "VARCHAR", "symbol": "VARCHAR"}}
"""What a table may have behind those, all of it or nothing: a day sealed without it stays what it is."""


def connect() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection in memory, with one thread, so that bytes and order repeat."""
    import duckdb

    return duckdb.connect(config={"threads": 1})


@contextmanager
def using(db: duckdb.DuckDBPyConnection | None) -> Generator[duckdb.DuckDBPyConnection]:
    """Give the connection, or one of its own that is closed afterwards."""
    if db is not None:
        yield db
        return
    with connect() as own:
        yield own


def literal(path: Path) -> str:
    """Return a path that ``read_parquet`` takes as it stands, whatever brackets and stars are in it."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))


def read_columns(db: duckdb.DuckDBPyConnection, path: Path, table: str) -> Columns:
    """Return a file's columns.

    Args:
        db: A connection.
        path: A Parquet file.
        table: A key of ``COLUMNS``.

    Raises:
        DayError: Not a Parquet file, a column is missing, unknown or of another type, or a value is absent.
    """
    import duckdb

    try:
        return _read(db, path, table)
    except duckdb.Error as error:
        first = str(error).partition("\n")[0]
        raise DayError(f"{path.name} is not a readable Parquet file: {first}; import the day again") from error


def _read(db: duckdb.DuckDBPyConnection, path: Path, table: str) -> Columns:
    import numpy as np

    source = literal(path)
    have = {row[0]: row[1] for row in db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [source]).fetchall()}
    wanted = dict(COLUMNS[table])
    if not OPTIONAL.get(table, {}).keys().isdisjoint(have):
        wanted |= OPTIONAL[table]
    allowed = ", ".join(wanted)
    for name, kind in wanted.items():
        if name not in have:
            raise DayError(f"{path.name} has no column {name!r}; it needs {allowed}; import the day again")
        if have[name] != kind:
            raise DayError(f"{path.name}: column {name!r} is {have[name]}, allowed is {kind}; import the day again")
    if extra := sorted(set(have) - set(wanted)):
        raise DayError(
            f"{path.name} has unknown columns {', '.join(extra)}; allowed are {allowed}; import the day again"
        )
    gaps = " OR ".join(f"{name} IS NULL" for name in wanted)
    numbered = db.read_parquet(source, file_row_number=True)
    ((first,),) = numbered.filter(gaps).aggregate("min(file_row_number)").fetchall()
    if first is not None:
        raise DayError(
            f"{path.name}, row {first + 1:,}: missing value; every column is filled: import the day again, "
            "then run `outcry days check`"
        )
    data = db.read_parquet(source).project(allowed).fetchnumpy()
    return {name: np.asarray(data[name]) for name in wanted}


def as_columns(table: str, rows: Sequence[Sequence[Any]]) -> Columns:
    """Return rows, whose values are in the order of ``COLUMNS`` and ``OPTIONAL``, as columns of the table's types."""
    import numpy as np

    kinds: dict[str, Any] = {"VARCHAR": object, "BIGINT": np.int64, "DOUBLE": np.float64}
    wanted = dict(COLUMNS[table])
    if rows and len(rows[0]) > len(wanted):
        wanted |= OPTIONAL.get(table, {})
    turned = list(zip(*rows, strict=True)) if rows else [()] * len(wanted)
    pairs = zip(wanted.items(), turned, strict=True)
    return {name: np.array(values, dtype=kinds[kind]) for (name, kind), values in pairs}


def write_columns(db: duckdb.DuckDBPyConnection, path: Path, table: str, columns: Columns) -> None:
    """Write columns, in their order. Equal columns give equal bytes with the same release of DuckDB.

    Args:
        db: A connection.
        path: The file to make.
        table: A key of ``COLUMNS``.
        columns: What ``as_columns`` gave.
    """
    kinds = COLUMNS[table] | OPTIONAL.get(table, {})
    typed = ", ".join(f"{name}::{kinds[name]} AS {name}" for name in columns)
    db.register("frame", columns)
    try:
        db.view("frame").project(typed).write_parquet(str(path), compression="zstd")
    finally:
        db.unregister("frame")
