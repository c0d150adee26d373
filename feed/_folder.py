"""A folder of CSV or Parquet files as a source of bars: somebody's own data, served like any vendor's.

Not a recorded day (``feed.format``): nothing is sealed, and it goes on as the files grow. The format:

* ``SYMBOL.csv`` or ``SYMBOL.parquet``, one file for each symbol, or ``SYMBOL_1Min.csv``, ``SYMBOL-1Day.parquet`` and so
  on, one for each timeframe (``1Min`` … ``1Month``). Without a timeframe in the name it is told from the times.
* Columns, in any order and case: ``timestamp`` (or ``time``, ``date``, ``datetime``, ``open_time``, ``t``), ``open``
  (``o``), ``high`` (``h``), ``low`` (``l``), ``close`` (``c``) and, where there is any, ``volume`` (``vol``, ``v``).
  Other columns are not read. CSV is UTF-8 with a header, separated by comma, semicolon, tab or bar.
* A timestamp is when the bar opens: ISO 8601 (in the venue's time zone where it names none), or a number since 1970 in
  seconds, milliseconds, microseconds or nanoseconds. A date alone is that date's session.
* ``news.csv`` or ``news.parquet``: ``timestamp``, ``headline`` (or ``title``), ``symbols`` (separated by blanks, commas
  or semicolons) and, if there, ``source``, ``body`` (``text``), ``id``.
* ``calendar.csv`` or ``calendar.parquet``: ``timestamp``, ``name`` (``event``) and, if there, ``country``,
  ``importance``, ``forecast``, ``actual``, ``kind``, ``symbol``, ``id``.

A row that is broken (no time, a price that is none, a low above a high, a time that was there already) is left out and
counted with what is wrong. A bar of the future is not given before our clock has reached its end. A file that has
changed is read again; what the feed has served from it stays as it was until the feed is started again.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast, get_args
from zoneinfo import ZoneInfo

from bus.clock import NS, wall_ns
from bus.errors import ConfigError, NotOfferedError, OutcryError
from bus.ids import derived_id
from bus.messages import Bar, CalendarEvent, Instrument, NewsItem, Quote, Timeframe, Trade
from feed._cache_times import DAY_NS, LENGTH_NS
from feed._folder_rows import Row, nano_of, rows_of, time_of
from feed._instruments import calendar_of, instrument_of, kind_of, timezone_of
from feed.sessions import SessionCalendar, session_calendar
from feed.source import Offer, Sink, SourceSpec, SourceTraits, Stream

__all__ = ["FolderSource", "open_folder"]

_LOG = logging.getLogger("feed")
_TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)
_BY_NAME: dict[str, Timeframe] = {name.lower(): name for name in _TIMEFRAMES}
_SUFFIXES = (".csv", ".parquet", ".pq")
_NAMED = re.compile(rf"(.+)[_-]({'|'.join(_TIMEFRAMES)})", re.IGNORECASE)
_TIME = ("timestamp", "datetime", "time", "date", "open_time", "t")
_PRICES = (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c"))
_VOLUME = ("volume", "vol", "v")
_SAMPLE = 50
_R = TypeVar("_R", Bar, NewsItem, CalendarEvent)


class FolderSource:
    """The files of a folder. See ``feed.source.Source``; safe for several threads.

    Attributes:
        problems: What was wrong with rows that were left out, and how many.
    """

    def __init__(self, path: Path, symbols: tuple[str, ...], calendar: str, clock: Callable[[], int]) -> None:
        """Look what there is; the files are read when they are asked for.

        Raises:
            ConfigError: The folder or a symbol's file is missing.
        """
        self._path = path
        self._clock = clock
        self._lock = Lock()
        self._read: dict[Path, tuple[tuple[int, int], list[Any], list[int]]] = {}
        self._wrong: dict[Path, Counter[str]] = {}
        self._symbols = tuple(sorted(set(symbols)))
        code = calendar or calendar_of({kind_of(symbol) for symbol in self._symbols})
        self._calendar: SessionCalendar = session_calendar(code)
        self._zone = ZoneInfo(timezone_of(code) if code in ("XNYS", "CMES") else self._calendar.timezone)
        self._files = self._find()
        self._news = self._table("news")
        self._events = self._table("calendar")
        timeframes = {timeframe for files in self._files.values() for timeframe in files}
        offers: set[Offer] = {"bars"}
        offers.update(name for name, there in (("news", self._news), ("calendar", self._events)) if there)  # pyright: ignore[reportArgumentType] - both are offers
        self._traits = SourceTraits(
            "folder",
            code,
            str(self._zone),
            tuple(name for name in _TIMEFRAMES if name in timeframes),
            frozenset(offers),
            NS,
        )

    @property
    def traits(self) -> SourceTraits:
        """What this source is."""
        return self._traits

    @property
    def problems(self) -> dict[str, int]:
        """What was wrong with rows that were left out, and how many."""
        with self._lock:
            return dict(sum(self._wrong.values(), Counter[str]()))

    @property
    def rejected_records(self) -> int:
        """How many rows were left out."""
        return sum(self.problems.values())

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the instruments of the symbols, with ticks as fine as the newest prices."""
        made: list[Instrument] = []
        for symbol in self._symbols:
            files = self._files[symbol]
            bars = self._bars_of(symbol, min(files, key=lambda name: LENGTH_NS[name]))[0]
            prices = [price / NS for bar in bars[-1000:] for price in (bar.open_nano, bar.close_nano)]
            made.append(instrument_of(symbol, prices, has_volume=any(bar.volume_nano for bar in bars)))
        return tuple(made)

    def bars(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int) -> list[Bar]:
        """Return the complete bars that open in a range."""
        bars, opens = self._bars_of(symbol, timeframe)
        now_ns = self._clock()
        found = bars[bisect_left(opens, start_ns) : bisect_left(opens, end_ns)]
        return [bar for bar in found if bar.event_time_ns <= now_ns]

    def quotes(self, symbols: tuple[str, ...]) -> list[Quote]:
        """Refuse.

        Raises:
            NotOfferedError: Always.
        """
        raise NotOfferedError(f"a folder has no quotes of {', '.join(symbols)}; ask for bars")

    def trades(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """Refuse.

        Raises:
            NotOfferedError: Always.
        """
        raise NotOfferedError(f"a folder has no trades of {symbol} ({start_ns} to {end_ns}); ask for bars")

    def news(self, symbols: tuple[str, ...], start_ns: int, end_ns: int) -> list[NewsItem]:
        """Return the news in a range."""
        if self._news is None:
            raise NotOfferedError(f"{self._path.name} has no news.csv or news.parquet; add one, or ask for bars")
        wanted = set(symbols)
        items = self._between(self._news, self._item, start_ns, min(end_ns, self._clock() + 1))
        return [item for item in items if not wanted or wanted.intersection(item.symbols)]

    def calendar(self, from_ns: int, to_ns: int) -> list[CalendarEvent]:
        """Return the releases in a range; those to come without their figure."""
        if self._events is None:
            raise NotOfferedError(f"{self._path.name} has no calendar.csv or calendar.parquet; add one")
        return self._between(self._events, self._event, from_ns, to_ns)

    def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
        """Refuse.

        Raises:
            NotOfferedError: Always.
        """
        raise NotOfferedError(f"a folder does not stream {', '.join(symbols)} to {type(sink).__name__}; ask for bars")

    def close(self) -> None:
        """Nothing is held."""

    # --- files --------------------------------------------------------------------------------------------------------

    def _find(self) -> dict[str, dict[Timeframe, Path]]:
        try:
            paths = sorted(path for path in self._path.iterdir() if path.suffix.lower() in _SUFFIXES)
        except OSError as error:
            raise ConfigError(
                f"source.path {self._path} cannot be read: {error.strerror}; name a folder of CSV or Parquet files"
            ) from error
        by_name = {symbol.upper(): symbol for symbol in self._symbols}
        found: dict[str, dict[Timeframe, Path]] = {}
        for path in paths:
            named = _NAMED.fullmatch(path.stem)
            symbol = by_name.get((named.group(1) if named else path.stem).upper())
            if symbol is not None:
                timeframe = _BY_NAME[named.group(2).lower()] if named else self._told(path)
                found.setdefault(symbol, {})[timeframe] = path
        missing = [symbol for symbol in self._symbols if symbol not in found]
        if missing:
            there = ", ".join(path.name for path in paths[:20]) or "nothing"
            raise ConfigError(
                f"source.path {self._path} has no file of {', '.join(missing)}; it has {there}: add "
                f"{missing[0]}.csv, or take the symbol out of source.symbols"
            )
        return found

    def _table(self, name: str) -> Path | None:
        there = (self._path / f"{name}{suffix}" for suffix in _SUFFIXES)
        return next((path for path in there if path.is_file()), None)

    def _told(self, path: Path) -> Timeframe:
        """Tell the timeframe from the commonest step between the first times."""
        times: list[int] = []
        for _, row in rows_of(path):
            try:
                times.append(time_of(_cell(row, _TIME), self._zone)[0])
            except (KeyError, ValueError):
                continue
            if len(times) > _SAMPLE:
                break
        steps = Counter(later - earlier for earlier, later in zip(times, times[1:], strict=False))
        step = steps.most_common(1)[0][0] if steps else 0
        for name in _TIMEFRAMES:
            if LENGTH_NS[name] == step or (name == "1Day" and DAY_NS <= step <= 4 * DAY_NS):
                return name
        raise ConfigError(
            f"{path.name}: its bars are {step / NS:g} seconds apart, which is no timeframe; allowed are "
            f"{', '.join(_TIMEFRAMES)}: put the right one in the name, for example {path.stem}_1Min{path.suffix}"
        )

    def _bars_of(self, symbol: str, timeframe: Timeframe) -> tuple[list[Bar], list[int]]:
        files = self._files.get(symbol)
        if files is None:
            raise NotOfferedError(f"{symbol!r} is not in this folder; it has {', '.join(self._files)}: ask for these")
        if timeframe not in files:
            raise NotOfferedError(f"{symbol} has no bars of {timeframe}; there are {', '.join(files)}: ask for these")
        return self._records(files[timeframe], lambda row: self._bar(row, symbol, timeframe), _open_of)

    def _between(self, path: Path, make: Callable[[Row], Any], start_ns: int, end_ns: int) -> list[Any]:
        records, times = self._records(path, make, _time_of)
        return records[bisect_left(times, start_ns) : bisect_left(times, end_ns)]

    def _records(self, path: Path, make: Callable[[Row], _R], at: Callable[[_R], int]) -> tuple[list[_R], list[int]]:
        """Return the records of a file in order, read again when it has changed."""
        with self._lock:
            try:
                told = path.stat()
            except OSError as error:
                raise NotOfferedError(f"{path.name} is gone: {error.strerror}; put it back") from error
            version = told.st_mtime_ns, told.st_size
            known = self._read.get(path)
            if known is not None and known[0] == version:
                return cast("list[_R]", known[1]), known[2]
            wrong: Counter[str] = Counter()
            records: dict[Any, _R] = {}
            for number, row in rows_of(path):
                try:
                    record = make(row)
                    key = at(record) if isinstance(record, Bar) else _name_of(record)
                    if key in records:
                        raise ValueError("it was there already")
                    records[key] = record
                except KeyError as error:
                    self._note(wrong, path, number, f"no {error.args[0]}")
                except (ValueError, OverflowError, OutcryError) as error:
                    self._note(wrong, path, number, str(error))
            ordered = sorted(records.values(), key=at)
            self._wrong[path] = wrong
            self._read[path] = version, ordered, [at(record) for record in ordered]
            if wrong:
                _LOG.warning("%s: %d rows left out: %s", path.name, wrong.total(), dict(wrong.most_common(5)))
            return ordered, self._read[path][2]

    @staticmethod
    def _note(wrong: Counter[str], path: Path, number: int, why: str) -> None:
        if not wrong.total():
            _LOG.warning("%s, row %d: %s", path.name, number, why)
        wrong[why[:80]] += 1

    # --- records ------------------------------------------------------------------------------------------------------

    def _bar(self, row: Row, symbol: str, timeframe: Timeframe) -> Bar:
        at_ns, is_date = self._time(row)
        length = LENGTH_NS[timeframe]
        end_ns = at_ns + length
        date = ""
        if length >= DAY_NS:
            at_ns, end_ns, date = self._days(at_ns, timeframe)
        elif is_date:
            raise ValueError("a date without a time")
        opened, high, low, close = (_number(row, names) for names in _PRICES)
        volume = _number(row, _VOLUME) if any(name in row for name in _VOLUME) else 0
        if min(opened, high, low, close) <= 0:
            raise ValueError("a price that is not above zero")
        if low > min(opened, close) or high < max(opened, close):
            raise ValueError("a low above or a high below another price")
        if volume < 0:
            raise ValueError("a volume below zero")
        return Bar(symbol, at_ns, end_ns, end_ns, opened, high, low, close, volume, date)

    def _time(self, row: Row) -> tuple[int, bool]:
        cell = _cell(row, _TIME)
        try:
            return time_of(cell, self._zone)
        except (ValueError, OverflowError):
            raise ValueError("a time that is none") from None

    def _days(self, at_ns: int, timeframe: Timeframe) -> tuple[int, int, str]:
        """Return where a day, week or month begins and ends on the venue's calendar, and its date."""
        calendar = self._calendar
        date = calendar.date_of(at_ns)
        if timeframe == "1Day":
            session = calendar.session_on(date)
            if session is None:
                raise ValueError("a date without a session")
            return session.open_ns, session.close_ns, session.date
        last_ns = calendar.midnight(date) + (7 * DAY_NS if timeframe == "1Week" else 31 * DAY_NS)
        month = date[:7]
        of = [
            one
            for one in calendar.sessions(calendar.midnight(date), last_ns)
            if one.date >= date and (timeframe == "1Week" or one.date.startswith(month))
        ]
        if not of:
            raise ValueError(f"a {timeframe} without a session")
        return of[0].open_ns, of[-1].close_ns, of[0].date

    def _item(self, row: Row) -> NewsItem:
        at_ns, _ = self._time(row)
        headline = str(_cell(row, ("headline", "title"))).strip()
        symbols = tuple(sorted({part.upper() for part in re.split(r"[\s,;]+", str(row.get("symbols", ""))) if part}))
        name = str(row.get("id") or derived_id("news", at_ns, headline))
        body = str(row.get("body") or row.get("text") or "")
        return NewsItem(name, symbols, at_ns, at_ns, headline, str(row.get("source", "folder")), body)

    def _event(self, row: Row) -> CalendarEvent:
        at_ns, _ = self._time(row)
        name = str(_cell(row, ("name", "event"))).strip()
        symbol = str(row.get("symbol", ""))
        kind = str(row.get("kind") or ("earnings" if symbol else "economic"))
        if kind not in ("economic", "earnings"):
            raise ValueError(f"a kind {kind[:20]!r}: allowed are economic and earnings")
        return CalendarEvent(
            str(row.get("id") or derived_id("event", at_ns, name, symbol)),
            at_ns,
            at_ns,
            name,
            str(row.get("country", "")),
            str(row.get("importance", "")),
            str(row.get("forecast", "")),
            str(row.get("actual", "")),
            kind,
            symbol,
        )


def _cell(row: Row, names: tuple[str, ...]) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise KeyError(names[0])


def _number(row: Row, names: tuple[str, ...]) -> int:
    cell = _cell(row, names)
    try:
        return nano_of(cell)
    except (ValueError, ArithmeticError):
        raise ValueError(f"the {names[0]} is no number, or one too large") from None


def _open_of(bar: Bar) -> int:
    return bar.open_time_ns


def _time_of(record: NewsItem | CalendarEvent) -> int:
    return record.event_time_ns


def _name_of(record: NewsItem | CalendarEvent) -> str:
    return record.news_id if isinstance(record, NewsItem) else record.event_id


def open_folder(spec: SourceSpec, *, clock: Callable[[], int] = wall_ns) -> FolderSource:
    """Return the source of a folder.

    Args:
        spec: Its path, symbols and calendar.
        clock: UTC nanoseconds: what is after it is not given.

    Raises:
        ConfigError: The folder or a symbol's file is missing, or a file's timeframe cannot be told.
    """
    if not spec.path:
        raise ConfigError("source.path is missing; name a folder of CSV or Parquet files")
    if not spec.symbols:
        raise ConfigError("source.symbols is empty; name the symbols whose files are read, for example SPY")
    return FolderSource(Path(spec.path), spec.symbols, spec.calendar, clock)
