"""Days and sources for the tests: right rows, files as others write them, days sealed over what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bus.clock import NS
from bus.fixed import to_nano
from bus.messages import Instrument
from feed._parquet import COLUMNS, as_columns, connect, write_columns
from feed.format import Manifest, RecordedDay, load_day, seal_folder, write_day

MINUTE = 60 * NS
OPEN = 1_381_152_600 * NS
"""2013-10-07 13:30 UTC, 09:30 in New York."""
MANIFEST = Manifest(
    1, "made-2013-10-07", "2013-10-07", "synthetic", "XNYS", "America/New_York", 60, ("AAA", "BBB"), "made", "CC0-1.0"
)
Row = list[Any]
Tables = dict[str, list[Row]]


def stock(symbol: str) -> Instrument:
    return Instrument(symbol, "equity", "USD", to_nano("0.01"), to_nano(1))


INSTRUMENTS = (stock("AAA"), stock("BBB"), stock("CCC"))


def bar(symbol: str, minute: int, close: float = 10.0, volume: float = 100.0) -> Row:
    start = OPEN + minute * MINUTE
    end = start + MINUTE
    return [symbol, start, end, end, 10.0, max(10.0, close) + 1, min(10.0, close) - 1, close, volume, "regular"]


def quote(symbol: str, minute: int, bid: float = 9.99, ask: float = 10.01) -> Row:
    start = OPEN + minute * MINUTE
    end = start + MINUTE
    return [symbol, start, end, end, bid, ask, bid, ask, 100.0, 100.0]


def tables(minutes: int = 8) -> Tables:
    """AAA has every minute but the third, BBB quotes to one minute later, CCC is not traded and trades before them."""
    bars = [bar("AAA", minute) for minute in range(minutes) if minute != 2]
    bars += [bar("BBB", minute, 10.5) for minute in range(minutes)]
    bars += [bar("CCC", minute) for minute in (-30, 0, 3)]
    quotes = [quote(symbol, minute) for symbol in ("AAA", "BBB") for minute in range(minutes)]
    quotes.append(quote("BBB", minutes))
    news = [
        [f"n{n}", "AAA", OPEN + n * MINUTE, OPEN + n * MINUTE + 5 * NS, f"headline {n}", "wire", ""] for n in range(6)
    ]
    released = OPEN + 4 * MINUTE
    calendar: list[Row] = [["cpi", released, released + 30 * NS, "CPI", "US", "high", "0.3", "0.4"]]
    trades: list[Row] = [["AAA", OPEN + n * NS, OPEN + n * NS, 10.0, 5.0] for n in range(3)]
    return {
        "bars": sorted(bars, key=lambda row: (row[2], row[0])),
        "quotes": sorted(quotes, key=lambda row: (row[2], row[0])),
        "trades": trades,
        "news": news,
        "calendar": calendar,
    }


def made_day(folder: Path, rows: Tables | None = None, manifest: Manifest = MANIFEST) -> Path:
    return write_day(folder, manifest, INSTRUMENTS, rows or tables())


def resealed(day: Path, into: Path, change: Callable[[Tables], object]) -> Path:
    """Copy a day, change its rows and seal it anew, so that a rule and not the seal is what refuses it."""
    shutil.copytree(day, into)
    whole = load_day(day)
    rows = rows_of(whole)
    change(rows)
    with connect() as db:
        for table, changed in rows.items():
            path = next(into.glob(f"{table}*.parquet"))
            write_columns(db, path, table, as_columns(table, changed))
    seal_folder(into, whole.manifest, whole.instruments)
    return into


def rows_of(day: RecordedDay) -> Tables:
    return {table: [list(row) for row in zip(*columns.values(), strict=True)] for table, columns in day.tables.items()}


def at(table: str, column: str) -> int:
    return list(COLUMNS[table]).index(column)


def source_file(path: Path, columns: str, rows: Sequence[Sequence[Any]]) -> Path:
    """Write a file as others do: times are timestamps with a zone, given here in nanoseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [column.split()[0] for column in columns.split(", ")]
    shown = ", ".join(
        f"make_timestamptz({name} // 1000) AS {name}" if name.startswith("ts_") else name for name in names
    )
    with connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f"CREATE TABLE t ({columns})")
        db.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(names))})", [list(row) for row in rows])
        db.execute(f"COPY (SELECT {shown} FROM t) TO '{path}' (FORMAT parquet)")
    return path


BARS = (
    "ts_event BIGINT, ts_open BIGINT, symbol VARCHAR, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE"
)
QUOTES = (
    "ts_event BIGINT, ts_open BIGINT, symbol VARCHAR, bid_open DOUBLE, bid_close DOUBLE, bid_size DOUBLE, "
    "ask_open DOUBLE, ask_close DOUBLE, ask_size DOUBLE"
)
POSTS = "ts_event BIGINT, symbol VARCHAR, text VARCHAR"


def source_bar(symbol: str, open_ns: int, price: float = 10.0) -> Row:
    return [open_ns + MINUTE, open_ns, symbol, price, price + 1, price - 1, price, 100.0]


def source_quote(symbol: str, open_ns: int, bid: float, ask: float) -> Row:
    return [open_ns + MINUTE, open_ns, symbol, bid, bid, 1.0, ask, ask, 1.0]
