"""Other people's Parquet files → rows of the day's tables. Prices are never altered, minutes never filled.

Not a place of dates: which session a row belongs to is ``feed.importer``'s. What is made of something else (minutes of
trade prints, quotes of one-sided updates) or left out (crossed quotes) is noted, and the note stands in ``day.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from bus.clock import NS
from bus.errors import DayError
from feed._instruments import kind_of
from feed._parquet import literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["Gathered", "News", "Rows", "gather"]

Rows = list[list[Any]]
_MINUTE_NS = 60 * NS
_OHLC = {"symbol", "open", "high", "low", "close", "volume"}
_MADE_BARS = "minutes are made of the trade prints not marked suspicious"
_MADE_QUOTES = "quotes are made of the last update of each side in a minute"


@dataclass
class Gathered:
    """What the files that belong together hold.

    Attributes:
        rows: Table → rows, in the order of ``feed._parquet.COLUMNS``.
        bar_s: The length of an interval, in seconds.
        notes: What was made of something else.
        crossed: Opening times of the quotes left out because the bid was above the ask.
        files: The files that were read.
    """

    rows: dict[str, Rows] = field(default_factory=dict)
    bar_s: int = 0
    notes: set[str] = field(default_factory=set)
    crossed: list[int] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)


@dataclass
class News:
    """Posts and headlines, oldest first, and the files that they came from."""

    rows: Rows
    files: set[Path]


def gather(db: duckdb.DuckDBPyConnection, source: Path) -> tuple[dict[str, Gathered], News, list[str]]:
    """Read every Parquet file of a folder, or the one that is named.

    Returns:
        By name of the days to be: what was read; then the news, oldest first; then the files with nothing to read.

    Raises:
        DayError: A file is not Parquet, or bars of several lengths lie beside each other.
    """
    import duckdb

    found: dict[str, Gathered] = {}
    said: dict[tuple[int, str, str], set[str]] = {}
    left_out: list[str] = []
    news_files: set[Path] = set()
    for path in _files(source):
        spoken = len(said)
        try:
            read = _File(db, source, path).into(found, said)
        except duckdb.Error as error:
            first = str(error).partition("\n")[0]
            raise DayError(f"{path} cannot be read: {first}; mend it or take it out of the folder") from error
        if not read:
            left_out.append(path.name)
        if len(said) > spoken:
            news_files.add(path)
    rows: Rows = [
        [f"n{number:06d}", ",".join(sorted(symbols - {""})), when, when, words, origin, ""]
        for number, ((when, words, origin), symbols) in enumerate(sorted(said.items()))
    ]
    return found, News(rows, news_files), left_out


def _files(source: Path) -> Iterator[Path]:
    """Give the Parquet files, also those without a suffix, but none of a day that is sealed already."""
    if source.is_file():
        yield source
        return
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.suffix in ("", ".parquet", ".pq") and not (path.parent / "day.toml").exists():
            with path.open("rb") as file:
                is_parquet = file.read(4) == b"PAR1"
            if is_parquet:
                yield path
            elif path.suffix:
                raise DayError(f"{path} is no Parquet file; mend it or take it out of the folder")


class _File:
    """Reads one file into what it belongs to."""

    def __init__(self, db: duckdb.DuckDBPyConnection, source: Path, path: Path) -> None:
        self._db = db
        self._path = path
        self._stem = source.stem if source.is_file() else source.name
        described = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [literal(path)]).fetchall()
        self._columns = {row[0] for row in described}

    def into(self, found: dict[str, Gathered], said: dict[tuple[int, str, str], set[str]]) -> bool:
        have = self._columns
        if {"ts_event", "ts_open"} | _OHLC <= have:
            self._bars(found)
        elif {"ts_event", "ts_open", "bid_open", "ask_open", "bid_close", "ask_close"} <= have:
            self._quotes(found)
        elif {"date"} | _OHLC <= have:
            self._daily(found)
        elif {"ts_event", "price", "size"} <= have:
            self._trades(found)
        elif {"ts_event", "bid", "ask", "bid_size", "ask_size"} <= have:
            self._updates(found)
        elif {"ts_event", "symbol", "text"} <= have:
            self._news(said, "text", "'post'")
        elif {"ts_event", "symbol", "headline"} <= have:
            self._news(said, "headline", "publisher" if "publisher" in have else "'headline'")
        else:
            return False
        return True

    def _select(self, columns: str, where: str = "") -> list[tuple[Any, ...]]:
        rows = self._db.read_parquet(literal(self._path))
        return (rows.filter(where) if where else rows).project(columns).fetchall()

    def _take(self, found: dict[str, Gathered], stem: str, bar_s: int, table: str, rows: Rows) -> Gathered:
        if not rows:
            return Gathered()
        if any(value is None for row in rows for value in row[:3]):
            raise DayError(f"{self._path}: a row has no symbol or no time; mend it or take it out of the folder")
        into = found.setdefault(stem, Gathered())
        if into.bar_s and into.bar_s != bar_s:
            raise DayError(f"{self._path}: rows of {bar_s:,} s beside rows of {into.bar_s:,} s; import them apart")
        into.bar_s = bar_s
        into.rows.setdefault(table, []).extend(rows)
        into.files.add(self._path)
        return into

    def _length(self, rows: list[tuple[Any, ...]]) -> int:
        spans = (row[2] - row[1] for row in rows if row[1] is not None and row[2] is not None)
        return max(1, -(-max(spans, default=60 * NS) // NS))

    def _bars(self, found: dict[str, Gathered]) -> None:
        session = "coalesce(session, '')" if "session" in self._columns else "''"
        rows = self._select(f"symbol, epoch_ns(ts_open), epoch_ns(ts_event), open, high, low, close, volume, {session}")
        bars = [[row[0], row[1], row[2], row[2], *row[3:]] for row in rows]
        self._take(found, self._stem, self._length(rows), "bars", bars)

    def _quotes(self, found: dict[str, Gathered]) -> None:
        sizes = "bid_size, ask_size" if {"bid_size", "ask_size"} <= self._columns else "0.0, 0.0"
        names = f"symbol, epoch_ns(ts_open), epoch_ns(ts_event), bid_open, ask_open, bid_close, ask_close, {sizes}"
        rows = self._select(names)
        quotes = [[row[0], row[1], row[2], row[2], *row[3:]] for row in rows]
        self._take_quotes(found, self._length(rows), quotes)

    def _take_quotes(self, found: dict[str, Gathered], bar_s: int, quotes: Rows) -> Gathered:
        """Keep what has two sides that are not crossed: bid and ask of a bar are of different moments of it."""
        two_sided = [row for row in quotes if all(price is not None and price > 0 for price in row[4:8])]
        kept = [row for row in two_sided if row[4] <= row[5] and row[6] <= row[7]]
        into = self._take(found, self._stem, bar_s, "quotes", kept)
        into.crossed.extend(row[1] for row in two_sided if row[4] > row[5] or row[6] > row[7])
        return into

    def _daily(self, found: dict[str, Gathered]) -> None:
        stem = self._stem if self._path.stem.startswith("bars_1d") else self._path.stem
        rows: Rows = []
        for session, symbol, *prices in self._select("CAST(date AS VARCHAR), symbol, open, high, low, close, volume"):
            opened, closed = _session(session, kind_of(symbol) in ("equity", "index"))
            rows.append([symbol, opened, closed, closed, *prices, "regular"])
        self._take(found, stem, 86_400, "bars", rows)

    def _trades(self, found: dict[str, Gathered]) -> None:
        suspicious = "suspicious = 0" if "suspicious" in self._columns else ""
        rows = sorted(self._select("symbol, epoch_ns(ts_event), price, size", suspicious), key=lambda row: row[1])
        minutes: dict[tuple[str, int], list[Any]] = {}
        for symbol, when, price, size in rows:
            # A print on the minute's edge belongs to the minute that it opens.
            opened = when // _MINUTE_NS * _MINUTE_NS
            bar = minutes.get((symbol, opened))
            if bar is None:
                end = opened + _MINUTE_NS
                minutes[symbol, opened] = [symbol, opened, end, end, price, price, price, price, float(size), ""]
            else:
                bar[5], bar[6], bar[7], bar[8] = max(bar[5], price), min(bar[6], price), price, bar[8] + size
        into = self._take(found, self._stem, 60, "bars", list(minutes.values()))
        into.rows.setdefault("trades", []).extend(
            [symbol, when, when, price, float(size)] for symbol, when, price, size in rows
        )
        into.notes.add(_MADE_BARS)

    def _updates(self, found: dict[str, Gathered]) -> None:
        names = "symbol, epoch_ns(ts_event), bid, bid_size, ask, ask_size"
        sides: dict[str, list[float]] = {}
        minutes: dict[tuple[str, int], list[Any]] = {}
        for symbol, when, *update in sorted(self._select(names), key=lambda row: row[1]):
            best = sides.setdefault(symbol, [0.0, 0.0, 0.0, 0.0])
            for side in (0, 2):
                if update[side] > 0:
                    best[side : side + 2] = float(update[side]), float(update[side + 1])
            bid, bid_size, ask, ask_size = best
            if bid > 0 and ask > 0:
                opened = when // _MINUTE_NS * _MINUTE_NS
                end = opened + _MINUTE_NS
                row = minutes.setdefault((symbol, opened), [symbol, opened, end, end, bid, ask, bid, ask, 0.0, 0.0])
                row[6:] = [bid, ask, bid_size, ask_size]
        self._take_quotes(found, 60, list(minutes.values())).notes.add(_MADE_QUOTES)

    def _news(self, said: dict[tuple[int, str, str], set[str]], text: str, origin: str) -> None:
        for when, words, publisher, symbol in self._select(f"epoch_ns(ts_event), {text}, {origin}, symbol"):
            said.setdefault((when, words or "", publisher or ""), set()).add(symbol or "")


@lru_cache(maxsize=8192)
def _session(session: str, in_new_york: bool) -> tuple[int, int]:
    """Return when a session date's bar begins and is complete: 09:30 to 16:00 in New York, else the whole UTC day."""
    day = date.fromisoformat(session)
    if in_new_york:
        zone = ZoneInfo("America/New_York")
        ends = datetime.combine(day, time(9, 30), zone), datetime.combine(day, time(16), zone)
    else:
        ends = datetime.combine(day, time(), UTC), datetime.combine(day + timedelta(days=1), time(), UTC)
    return int(ends[0].timestamp()) * NS, int(ends[1].timestamp()) * NS
