"""Folders of recorded Parquet files → one sealed day per session date. Prices are never altered, minutes never filled.

Read: bars and bid/ask bars of any length, trades (made into minutes), daily bars, posts and headlines. The session date
is the one in a file's name where it has one, else the UTC date on which the interval began. Not a downloader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from bus.clock import NS
from bus.errors import DayError
from feed._instruments import calendar_of, instrument_of, timezone_of
from feed._parquet import connect
from feed.format import DAY_VERSION, Manifest, write_day

if TYPE_CHECKING:
    import duckdb

__all__ = ["import_folder"]

Rows = list[list[Any]]
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
_TRADED = 8
_MINUTE_NS = 60 * NS


def import_folder(source: Path, out: Path, on_progress: Callable[[int, int, str], None] | None = None) -> list[Path]:
    """Import every session date in a folder.

    Args:
        source: A folder of Parquet files.
        out: Where the days are made, one folder each, named ``SOURCE-DATE``.
        on_progress: Told ``(done, total, day id)``.

    Returns:
        The folders, oldest first.

    Raises:
        DayError: Nothing to import, or a day breaks a rule or exists already.
    """
    if not source.is_dir():
        raise DayError(f"{source} is no folder; name one that holds Parquet files of bars, quotes or trades")
    days: dict[tuple[str, str], _Draft] = {}
    with connect() as db:
        for path in sorted(source.rglob("*.parquet")):
            _Reader(db, source, path).into(days)
        news = _read_news(db, source)
    drafts = {key: draft for key, draft in sorted(days.items()) if draft.bars or draft.quotes}
    if not drafts:
        raise DayError(
            f"{source} holds no bars, quotes or trades; see `outcry days import --help` for what can be read"
        )
    made: list[Path] = []
    for number, ((stem, session), draft) in enumerate(drafts.items()):
        name = f"{stem}-{session}"
        if on_progress:
            on_progress(number, len(drafts), name)
        made.append(draft.write(out / name, name, session, news))
    if on_progress:
        on_progress(len(drafts), len(drafts), made[-1].name)
    return made


class _Draft:
    """One session date while its files are read."""

    def __init__(self) -> None:
        self.bars: Rows = []
        self.quotes: Rows = []
        self.bar_s = 0
        self.note = ""

    def write(self, folder: Path, name: str, session: str, news: Sequence[Sequence[Any]]) -> Path:
        for rows in (self.bars, self.quotes):
            rows.sort(key=lambda row: (row[2], row[0]))
        prices: dict[str, list[float]] = {}
        volume: dict[str, float] = {}
        turnover: dict[str, float] = {}
        for row in self.bars:
            volume[row[0]] = volume.get(row[0], 0.0) + row[8]
            turnover[row[0]] = turnover.get(row[0], 0.0) + row[7] * row[8]
            prices.setdefault(row[0], [])
        for row in self.quotes:
            prices.setdefault(row[0], []).extend((row[4], row[6], row[7]))
        for row in self.bars:
            if not prices[row[0]] or len(prices[row[0]]) < 3:
                prices[row[0]].extend((row[4], row[7]))
        instruments = [
            instrument_of(symbol, seen, has_volume=volume.get(symbol, 0.0) > 0)
            for symbol, seen in sorted(prices.items())
        ]
        able = [item.symbol for item in instruments if item.tradable and item.currency == "USD"]
        able.sort(key=lambda symbol: (-turnover.get(symbol, 0.0), symbol))
        calendar = calendar_of({item.kind for item in instruments})
        manifest = Manifest(
            version=DAY_VERSION,
            id=name,
            date=session,
            kind="recorded",
            calendar=calendar,
            timezone=timezone_of(calendar),
            bar_s=self.bar_s,
            traded=tuple(sorted(able[:_TRADED])) or tuple(sorted(prices)),
            source=f"imported from {folder.name.removesuffix('-' + session)}{self.note}",
            licence="as at the source; not redistributed",
        )
        first = min(rows[0][1] for rows in (self.bars, self.quotes) if rows)
        last = max(rows[-1][2] for rows in (self.bars, self.quotes) if rows)
        own = [row for row in news if first - 86_400 * NS < row[2] <= last]
        return write_day(folder, manifest, instruments, {"bars": self.bars, "quotes": self.quotes, "news": own})


class _Reader:
    """Reads one file into the drafts it belongs to."""

    def __init__(self, db: duckdb.DuckDBPyConnection, source: Path, path: Path) -> None:
        self._db = db
        self._source = source
        self._path = path
        described = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        self._columns = {row[0] for row in described}
        named = _DATE.search(path.stem)
        self._session = "-".join(named.groups()) if named else ""

    def into(self, days: dict[tuple[str, str], _Draft]) -> None:
        have = self._columns
        ohlc = {"symbol", "open", "high", "low", "close", "volume"}
        if {"ts_event", "ts_open"} | ohlc <= have:
            self._bars(days)
        elif {"ts_event", "ts_open", "bid_open", "ask_open", "bid_close", "ask_close"} <= have:
            self._quotes(days)
        elif {"date"} | ohlc <= have:
            self._daily(days)
        elif {"ts_event", "price", "size"} <= have:
            self._trades(days)
        elif {"ts_event", "bid", "ask", "exchange"} <= have:
            self._ticks(days)

    def _select(self, columns: str, order: str = "") -> list[tuple[Any, ...]]:
        sql = f"SELECT {columns} FROM read_parquet(?) {order}"  # noqa: S608 - column names of our own
        return self._db.execute(sql, [str(self._path)]).fetchall()

    def _draft(self, days: dict[tuple[str, str], _Draft], open_ns: int, bar_s: int) -> _Draft:
        session = self._session or datetime.fromtimestamp(open_ns // NS, UTC).date().isoformat()
        draft = days.setdefault((self._source.name, session), _Draft())
        if draft.bar_s and draft.bar_s != bar_s:
            raise DayError(f"{self._path.name}: bars of {bar_s} s beside bars of {draft.bar_s} s; import them apart")
        draft.bar_s = bar_s
        return draft

    def _length(self, rows: Sequence[tuple[Any, ...]]) -> int:
        lengths = [(row[2] - row[1]) // NS for row in rows[:500]]
        return max(set(lengths), key=lengths.count) if lengths else 60

    def _bars(self, days: dict[tuple[str, str], _Draft]) -> None:
        session = "session" if "session" in self._columns else "''"
        rows = self._select(f"symbol, epoch_ns(ts_open), epoch_ns(ts_event), open, high, low, close, volume, {session}")
        bar_s = self._length(rows)
        for row in rows:
            self._draft(days, row[1], bar_s).bars.append([row[0], row[1], row[2], row[2], *row[3:]])

    def _quotes(self, days: dict[tuple[str, str], _Draft]) -> None:
        names = "bid_open, ask_open, bid_close, ask_close, bid_size, ask_size"
        rows = self._select(f"symbol, epoch_ns(ts_open), epoch_ns(ts_event), {names}")
        bar_s = self._length(rows)
        for row in rows:
            if all(price > 0 for price in row[3:7]):
                self._draft(days, row[1], bar_s).quotes.append([row[0], row[1], row[2], row[2], *row[3:]])

    def _daily(self, days: dict[tuple[str, str], _Draft]) -> None:
        stem = self._source.name if self._path.stem.startswith("bars_1d") else self._path.stem
        for session, *row in self._select("CAST(date AS VARCHAR), symbol, open, high, low, close, volume"):
            opened, closed = _new_york_session(session)
            draft = days.setdefault((stem, session), _Draft())
            draft.bar_s = 86_400
            draft.bars.append([row[0], opened, closed, closed, *row[1:], "regular"])

    def _trades(self, days: dict[tuple[str, str], _Draft]) -> None:
        suspicious = "WHERE suspicious = 0" if "suspicious" in self._columns else ""
        rows = self._select("symbol, epoch_ns(ts_event), price, size", f"{suspicious} ORDER BY ts_event")
        minutes: dict[tuple[str, int], list[Any]] = {}
        for symbol, when, price, size in rows:
            opened = when // _MINUTE_NS * _MINUTE_NS
            bar = minutes.get((symbol, opened))
            if bar is None:
                end = opened + _MINUTE_NS
                minutes[symbol, opened] = [symbol, opened, end, end, price, price, price, price, float(size), ""]
            else:
                bar[5], bar[6], bar[7], bar[8] = max(bar[5], price), min(bar[6], price), price, bar[8] + size
        for (_, opened), bar in minutes.items():
            draft = self._draft(days, opened, 60)
            draft.note = "; minutes made from trade prints that were not marked suspicious"
            draft.bars.append(bar)

    def _ticks(self, days: dict[tuple[str, str], _Draft]) -> None:
        rows = self._select(
            "symbol, epoch_ns(ts_event), bid, ask, bid_size, ask_size", "WHERE bid > 0 AND ask > 0 ORDER BY ts_event"
        )
        minutes: dict[tuple[str, int], list[Any]] = {}
        for symbol, when, bid, ask, bid_size, ask_size in rows:
            opened = when // _MINUTE_NS * _MINUTE_NS
            end = opened + _MINUTE_NS
            row = minutes.setdefault((symbol, opened), [symbol, opened, end, end, bid, ask, bid, ask, 0.0, 0.0])
            row[6:] = [bid, ask, float(bid_size), float(ask_size)]
        for (_, opened), row in minutes.items():
            self._draft(days, opened, 60).quotes.append(row)


def _new_york_session(session: str) -> tuple[int, int]:
    zone = ZoneInfo("America/New_York")
    day = date.fromisoformat(session)
    opened = datetime.combine(day, time(9, 30), zone).timestamp()
    closed = datetime.combine(day, time(16, 0), zone).timestamp()
    return int(opened) * NS, int(closed) * NS


def _read_news(db: duckdb.DuckDBPyConnection, source: Path) -> Rows:
    found: dict[tuple[int, str, str], list[str]] = {}
    for name, text, origin in (("posts", "text", "'post'"), ("headlines", "headline", "publisher")):
        path = source / f"{name}.parquet"
        if path.is_file():
            sql = f"SELECT epoch_ns(ts_event), {text}, {origin}, symbol FROM read_parquet(?)"  # noqa: S608 - own names
            for when, words, publisher, symbol in db.execute(sql, [str(path)]).fetchall():
                found.setdefault((when, words, publisher), []).append(symbol)
    return [
        [f"n{number:06d}", ",".join(sorted(set(symbols))), when, when, words, publisher, ""]
        for number, ((when, words, publisher), symbols) in enumerate(sorted(found.items()))
    ]
