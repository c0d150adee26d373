"""Folders of recorded Parquet files → one sealed day per session date. Prices are never altered, minutes never filled.

Read: bars and bid/ask bars of any length, trade prints and quote updates (made into minutes), daily bars, posts and
headlines. The session date is New York's for its equities and UTC's for everything else, futures too. Not a downloader.
"""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bus.clock import NS
from bus.errors import DayError
from bus.ids import token_hex
from bus.messages import Instrument
from feed._instruments import calendar_of, instrument_of, kind_of, timezone_of
from feed._licence import Origins
from feed._parquet import COLUMNS, connect
from feed._rules import session_zone
from feed._sources import Gathered, News, Rows, gather
from feed.format import DAY_VERSION, Manifest, write_day

if TYPE_CHECKING:
    import duckdb

__all__ = ["OnProgress", "import_folder"]

OnProgress = Callable[[int, int, str], None]
"""Told ``(done, total, day id)``, or, with ``done`` 0, which files were left out."""

_TRADED = 8
_HOUR_NS = 3600 * NS
_NEWS_BEFORE_NS = 24 * _HOUR_NS
_NEWS_AT_MOST_NS = 7 * 24 * _HOUR_NS


def import_folder(source: Path, out: Path, on_progress: OnProgress | None = None) -> list[Path]:
    """Import every session date in a folder.

    A day that is there already is kept when it is the same to the byte, so an import that was cut short is taken up by
    asking again. News goes to the first day that ends after it, if it names one of its symbols or none at all.

    Args:
        source: A folder of Parquet files, or one such file.
        out: Where the days are made, one folder each, named ``SOURCE-DATE``.
        on_progress: Told how far it has come.

    Returns:
        The folders, oldest first.

    Raises:
        DayError: Nothing to import, or a day breaks a rule or exists already with other content.
    """
    tell: OnProgress = on_progress or (lambda _done, _total, _what: None)
    if not source.exists():
        raise DayError(f"{source} does not exist; name a folder of Parquet files of bars, quotes or trades")
    with connect() as db:
        found, news, left_out = gather(db, source)
        drafts = [draft for stem, gathered in sorted(found.items()) for draft in _by_session(stem, gathered)]
        if not drafts:
            what = f"only {', '.join(left_out)}" if left_out else "no Parquet file"
            raise DayError(
                f"{source} holds no bars, quotes or trades ({what}); allowed are Parquet files with a symbol and "
                "open, high, low, close, volume by ts_open and ts_event or by date, or bid and ask, or price and size: "
                "name a folder that has them"
            )
        if left_out:
            tell(0, len(drafts), f"left out, no market data: {', '.join(left_out)}")
        made: list[Path] = []
        origins = Origins(source)
        before: dict[str, int] = {}
        times = [item[3] for item in news.rows]
        for number, draft in enumerate(drafts):
            tell(number, len(drafts), draft.name)
            since = max(before.get(draft.stem, draft.first_ns - _NEWS_BEFORE_NS), draft.first_ns - _NEWS_AT_MOST_NS)
            rows = news.rows[bisect_right(times, since) : bisect_right(times, draft.last_ns)]
            made.append(draft.write(db, out / draft.name, News(rows, news.files), origins))
            before[draft.stem] = draft.last_ns
    tell(len(drafts), len(drafts), made[-1].name)
    return made


@dataclass
class _Draft:
    """One session date before it is written."""

    stem: str
    session: str
    bar_s: int
    calendar: str
    notes: list[str]
    rows: dict[str, Rows]
    files: set[Path]

    @property
    def name(self) -> str:
        return f"{self.stem}-{self.session}"

    @property
    def first_ns(self) -> int:
        return min(row[1] for table in ("bars", "quotes") for row in self.rows.get(table, ()))

    @property
    def last_ns(self) -> int:
        return max(row[3] for table in ("bars", "quotes") for row in self.rows.get(table, ()))

    def write(self, db: duckdb.DuckDBPyConnection, folder: Path, news: News, origins: Origins) -> Path:
        for table, rows in self.rows.items():
            time = list(COLUMNS[table]).index("event_time")
            rows.sort(key=lambda row, time=time: (row[time], row[0]))
        prices, volume, turnover = self._seen()
        instruments = [
            instrument_of(symbol, seen, has_volume=volume.get(symbol, 0.0) > 0)
            for symbol, seen in sorted(prices.items())
        ]
        able = [item for item in instruments if item.tradable and item.currency == "USD"]
        able.sort(key=lambda item: (-turnover.get(item.symbol, 0.0) * item.multiplier, item.symbol))
        kept = [item for item in news.rows if not item[1] or not prices.keys().isdisjoint(item[1].split(","))]
        notes = [*self.notes]
        if len(kept) < len(news.rows):
            notes.append(f"{len(news.rows) - len(kept):,} news items about other symbols left out")
        told, licence = origins.of(self.files | news.files if kept else self.files)
        manifest = Manifest(
            version=DAY_VERSION,
            id=self.name,
            date=self.session,
            kind="recorded",
            calendar=self.calendar,
            timezone=timezone_of(self.calendar),
            bar_s=self.bar_s,
            traded=tuple(sorted(item.symbol for item in able[:_TRADED])) or tuple(sorted(prices)[:_TRADED]),
            source="; ".join((f"imported from {self.stem}", *told, *notes)),
            licence=licence,
        )
        return _write_or_keep(db, folder, manifest, instruments, {**self.rows, "news": kept})

    def _seen(self) -> tuple[dict[str, list[float]], dict[str, float], dict[str, float]]:
        """Return, by symbol, the prices that show its tick, the volume, and the turnover in its currency.

        Quotes show the tick, for bars without volume are the middle of bid and ask; bars do where there are no quotes.
        """
        prices: dict[str, list[float]] = {}
        volume: dict[str, float] = {}
        turnover: dict[str, float] = {}
        for row in self.rows.get("quotes", ()):
            prices.setdefault(row[0], []).extend(row[4:8])
        quoted = set(prices)
        for row in self.rows.get("bars", ()):
            if row[0] not in quoted:
                prices.setdefault(row[0], []).extend(price for price in row[4:8] if price is not None)
            volume[row[0]] = volume.get(row[0], 0.0) + (row[8] or 0.0)
            turnover[row[0]] = turnover.get(row[0], 0.0) + (row[7] or 0.0) * (row[8] or 0.0)
        return prices, volume, turnover


def _by_session(stem: str, gathered: Gathered) -> list[_Draft]:
    """Return a draft for each session date, oldest first."""
    symbols = {row[0] for table in ("bars", "quotes") for row in gathered.rows.get(table, ())}
    calendar = calendar_of({kind_of(symbol) for symbol in symbols})
    zone = session_zone(calendar)
    dated = _Dates(zone)
    crossed = dated.count(gathered.crossed)
    said = sorted(gathered.notes)
    if gathered.bar_s < 86_400:
        said.append(f"session dates are those of {zone}")
    drafts: dict[str, _Draft] = {}
    for table, rows in gathered.rows.items():
        for row in rows:
            session = dated.of(row[1])
            draft = drafts.get(session)
            if draft is None:
                notes = [*said]
                if crossed.get(session):
                    notes.append(f"{crossed[session]:,} crossed quotes left out")
                draft = drafts[session] = _Draft(stem, session, gathered.bar_s, calendar, notes, {}, gathered.files)
            draft.rows.setdefault(table, []).append(row)
    return [drafts[session] for session in sorted(drafts) if drafts[session].rows.keys() & {"bars", "quotes"}]


class _Dates:
    """Dates of instants in one zone; an hour is on one date, so each is looked up once."""

    def __init__(self, zone: str) -> None:
        self._zone = UTC if zone == "UTC" else ZoneInfo(zone)
        self._known: dict[int, str] = {}

    def of(self, ns: int) -> str:
        hour = ns // _HOUR_NS
        found = self._known.get(hour)
        if found is None:
            found = datetime.fromtimestamp(hour * 3600, self._zone).date().isoformat()
            self._known[hour] = found
        return found

    def count(self, instants: Iterable[int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for ns in instants:
            found[self.of(ns)] = found.get(self.of(ns), 0) + 1
        return found


def _write_or_keep(
    db: duckdb.DuckDBPyConnection,
    folder: Path,
    manifest: Manifest,
    instruments: Sequence[Instrument],
    tables: dict[str, Rows],
) -> Path:
    if not folder.exists():
        return write_day(folder, manifest, instruments, tables, db, checked=True)
    again = write_day(folder.parent / f".again.{token_hex(4)}", manifest, instruments, tables, db, checked=True)
    try:
        there = folder / "day.toml"
        if not there.is_file() or there.read_bytes() != (again / "day.toml").read_bytes():
            raise DayError(f"{folder} exists already and is not this day; choose another --out, or remove it first")
    finally:
        shutil.rmtree(again, ignore_errors=True)
    return folder
