"""Columns in and out of Parquet, through DuckDB, with times as integers.

Not a query layer: a file is read whole, in its own order, and written in one deterministic way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bus.errors import DayError

if TYPE_CHECKING:
    import duckdb

__all__ = ["COLUMNS", "connect", "read_columns", "write_rows"]

COLUMNS: dict[str, dict[str, str]] = {
    "bars": {
        "symbol": "VARCHAR",
        "open_time": "BIGINT",
        "event_time": "BIGINT",
        "available_time": "BIGINT",
        "open": "DOUBLE",
        "high": "DOUBLE",
        "low": "DOUBLE",
        "close": "DOUBLE",
        "volume": "DOUBLE",
        "session": "VARCHAR",
    },
    "quotes": {
        "symbol": "VARCHAR",
        "open_time": "BIGINT",
        "event_time": "BIGINT",
        "available_time": "BIGINT",
        "bid_open": "DOUBLE",
        "ask_open": "DOUBLE",
        "bid": "DOUBLE",
        "ask": "DOUBLE",
        "bid_size": "DOUBLE",
        "ask_size": "DOUBLE",
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


def connect() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection in memory, with one thread, so that bytes and order repeat."""
    import duckdb

    return duckdb.connect(config={"threads": 1})


def read_columns(path: Path, table: str) -> dict[str, list[Any]]:
    """Return a file's columns as lists.

    Args:
        path: A Parquet file.
        table: A key of ``COLUMNS``.

    Raises:
        DayError: Not a Parquet file, a column is missing, unknown or of another type, or a value is absent.
    """
    import duckdb

    wanted = COLUMNS[table]
    with connect() as db:
        try:
            have = {
                row[0]: row[1] for row in db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            }
        except duckdb.Error as error:
            raise DayError(f"{path.name} is not a readable Parquet file: {error}; import the day again") from error
        for name, kind in wanted.items():
            if name not in have:
                raise DayError(
                    f"{path.name} has no column {name!r}; it needs {', '.join(wanted)}; import the day again"
                )
            if have[name] != kind:
                raise DayError(f"{path.name}: column {name!r} is {have[name]}, allowed is {kind}; import the day again")
        extra = sorted(set(have) - set(wanted))
        if extra:
            raise DayError(f"{path.name} has unknown columns {extra}; allowed are {', '.join(wanted)}")
        names = ", ".join(wanted)
        nulls = " OR ".join(f"{name} IS NULL" for name in wanted)
        empty = db.execute(f"SELECT count(*) FROM read_parquet(?) WHERE {nulls}", [str(path)]).fetchone()  # noqa: S608 - own constants
        if empty and empty[0]:
            raise DayError(f"{path.name} has {empty[0]:,} rows with a missing value; every column must be filled")
        data = db.execute(f"SELECT {names} FROM read_parquet(?)", [str(path)]).fetchnumpy()  # noqa: S608 - own constants
    return {name: data[name].tolist() for name in wanted}


def write_rows(path: Path, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows, in their order, with the table's columns.

    Args:
        path: The file to make.
        table: A key of ``COLUMNS``.
        rows: Values in the order of the table's columns.
    """
    columns = COLUMNS[table]
    with connect() as db:
        db.execute(f"CREATE TABLE t ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        if rows:
            import numpy as np

            kinds = {"VARCHAR": object, "BIGINT": np.int64, "DOUBLE": np.float64}
            frame = {
                name: np.array([row[at] for row in rows], dtype=kinds[kind])
                for at, (name, kind) in enumerate(columns.items())
            }
            db.register("frame", frame)
            db.execute("INSERT INTO t SELECT * FROM frame")
        db.execute(f"COPY t TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
