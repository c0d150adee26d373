"""Rows of other people's CSV and Parquet files as named text: what a cell means is the caller's.

Not a guess at broken files: a file that cannot be read at all is an error, a row with too many cells has no name for
them and is counted by the caller.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bus.clock import NS
from bus.errors import SourceError
from bus.fixed import to_nano
from feed._parquet import connect, literal

__all__ = ["Row", "nano_of", "rows_of", "time_of"]

Row = dict[str, Any]
"""Lower-case column name → cell: text from CSV, a value from Parquet; absent where the cell is empty."""

_EXTRA = "more cells than columns"


def rows_of(path: Path) -> Iterator[tuple[int, Row]]:
    """Give the rows of a file with their numbers, the first row of data being 1.

    Raises:
        SourceError: It cannot be read, or has no header.
    """
    try:
        if path.suffix.lower() == ".csv":
            yield from _csv(path)
        else:
            yield from _parquet(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path.name} cannot be read: {error}; mend it or take it out of the folder") from error


def time_of(cell: Any, zone: ZoneInfo) -> tuple[int, bool]:
    """Return a time in UTC nanoseconds, and whether it is a date without a time.

    Args:
        cell: ISO 8601 text (in the zone where it names none), a number of seconds, milliseconds, microseconds or
            nanoseconds since 1970 (told apart by size), or a value from Parquet.
        zone: The venue's.

    Raises:
        ValueError: It is no time.
    """
    if isinstance(cell, datetime):
        return _ns(cell if cell.tzinfo else cell.replace(tzinfo=zone)), False
    if isinstance(cell, date):
        return _ns(datetime(cell.year, cell.month, cell.day, tzinfo=zone)), True
    text = str(cell).strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        when = datetime.fromisoformat(text)
        is_date = len(text) <= 10
        return _ns(when if when.tzinfo else when.replace(tzinfo=zone)), is_date
    if not number.is_finite() or not 10**8 <= number < 10**20:
        raise ValueError(f"{text[:40]!r} is no time")
    if len(text) == 8 and text.isdigit():
        return _ns(datetime.strptime(text, "%Y%m%d").replace(tzinfo=zone)), True
    digits = number.adjusted() + 1
    scale = NS if digits <= 11 else NS // 10**3 if digits <= 14 else NS // 10**6 if digits <= 17 else 1
    return int(number * scale), False


def nano_of(cell: Any) -> int:
    """Return a number in billionths.

    Raises:
        ValueError: It is none.
    """
    return to_nano(cell if isinstance(cell, Decimal | int | float) else str(cell).strip().replace("_", "x"))


def _ns(when: datetime) -> int:
    return int(when.timestamp()) * NS + when.microsecond * 1000


def _csv(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        delimiter = max(",;\t|", key=head.count)
        reader = csv.reader(file, delimiter=delimiter)
        names = [name.strip().lower() for name in next(reader, [])]
        if len(names) < 2:
            raise SourceError(f"{path.name} has no header; its first line must name the columns, for example timestamp")
        for number, cells in enumerate((cells for cells in reader if cells), 1):
            row: Row = {name: cell for name, cell in zip(names, cells, strict=False) if cell.strip()}
            if len(cells) > len(names):
                row[_EXTRA] = cells[len(names) :]
            yield number, row


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    import duckdb

    connection = connect()
    try:
        columns = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [literal(path)]).fetchall()
        wanted = ", ".join(_selected(str(column[0]), str(column[1])) for column in columns)
        connection.read_parquet(literal(path)).project(wanted).create_view("wanted")
        found = connection.execute("SELECT * FROM wanted")
        names = [str(column[0]).strip().lower() for column in columns]
        number = 0
        while batch := found.fetchmany(10_000):
            for cells in batch:
                number += 1
                yield number, {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
    except duckdb.Error as error:
        first = str(error).partition("\n")[0]
        raise SourceError(f"{path.name} cannot be read: {first}; mend it or take it out of the folder") from error
    finally:
        connection.close()


def _selected(name: str, kind: str) -> str:
    """Return what to select for a column: a time with a zone as microseconds, which needs no other package."""
    quoted = '"' + name.replace('"', '""') + '"'
    return f"epoch_us({quoted})" if kind == "TIMESTAMP WITH TIME ZONE" else quoted
