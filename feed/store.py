"""Point-in-time answers from a verified day: the one place that knows what was available when (law 7).

Not a service and without a clock: it is told ``as_of`` and gives nothing later. Floats become exact billionths here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from bus.errors import ConfigError
from bus.fixed import SCALE, to_nano
from bus.messages import Bar, CalendarEvent, ClockTick, DayInfo, NewsItem, Quote, Tick
from feed.format import RecordedDay

__all__ = ["DayStore"]


_EXACT = 2.0**21
"""Below this, a double times a billion rounds to the same billionths as its shortest decimal text."""


def _nano(values: list[float]) -> list[int]:
    """Return billionths, as ``bus.fixed.to_nano`` would, a column at a time."""
    import numpy as np

    column = np.asarray(values, dtype=np.float64)
    nanos = np.rint(column * SCALE).astype(np.int64)
    for row in np.flatnonzero(np.abs(column) >= _EXACT).tolist():
        nanos[row] = to_nano(values[row])
    return nanos.tolist()


class _Series:
    """Records of one kind and symbol, by availability."""

    def __init__(self) -> None:
        self.available: list[int] = []
        self.records: list[Any] = []

    def add(self, record: Bar | Quote) -> None:
        self.available.append(record.available_time_ns)
        self.records.append(record)

    def last(self, limit: int, as_of_ns: int) -> tuple[Any, ...]:
        end = bisect_right(self.available, as_of_ns)
        return tuple(self.records[max(0, end - limit) : end])


class DayStore:
    """All records of a day, in memory.

    The instants are the distinct times at which a bar or a quote of a traded symbol became available: a symbol that is
    not traded adds none, and a day whose quotes go on after its last bar runs to the last quote.
    """

    def __init__(self, day: RecordedDay, symbols: tuple[str, ...] = ()) -> None:
        """Index a day.

        Args:
            day: A verified day.
            symbols: What the desk trades; empty for the day's default.

        Raises:
            ConfigError: A symbol the day does not have.
        """
        known = [instrument.symbol for instrument in day.instruments]
        unknown = sorted(set(symbols) - set(known))
        if unknown:
            raise ConfigError(
                f"desk.symbols: {', '.join(unknown)} is not on {day.manifest.id}; it has {', '.join(known)}: "
                "choose from these, or leave desk.symbols out"
            )
        self.traded = tuple(sorted(set(symbols or day.manifest.traded)))
        self._day = day
        self._bars = {symbol: _Series() for symbol in known}
        self._quotes = {symbol: _Series() for symbol in known}
        self._news: list[NewsItem] = []
        self._calendar: list[CalendarEvent] = []
        self._released: list[CalendarEvent] = []
        self._load(day.tables)
        traded = set(self.traded)
        times: set[int] = set()
        for series in (self._bars, self._quotes):
            for symbol in traded:
                times.update(series[symbol].available)
        self.instants: list[int] = sorted(times)
        self._bars_at = self._by_instant(self._bars)
        self._quotes_at = self._by_instant(self._quotes)

    def _load(self, tables: dict[str, dict[str, list[Any]]]) -> None:
        if bars := tables.get("bars"):
            prices = [_nano(bars[name]) for name in ("open", "high", "low", "close", "volume")]
            times = (bars["symbol"], bars["open_time"], bars["event_time"], bars["available_time"])
            for row in zip(*times, *prices, bars["session"], strict=True):
                self._bars[row[0]].add(Bar(*row))
        if quotes := tables.get("quotes"):
            names = ("bid_open", "ask_open", "bid", "ask", "bid_size", "ask_size")
            times = (quotes["symbol"], quotes["open_time"], quotes["event_time"], quotes["available_time"])
            for row in zip(*times, *(_nano(quotes[name]) for name in names), strict=True):
                self._quotes[row[0]].add(Quote(*row))
        if news := tables.get("news"):
            for row in zip(*news.values(), strict=True):
                self._news.append(NewsItem(row[0], tuple(row[1].split(",")) if row[1] else (), *row[2:]))
            self._news.sort(key=lambda item: (item.available_time_ns, item.news_id))
        if calendar := tables.get("calendar"):
            self._calendar = [CalendarEvent(*row) for row in zip(*calendar.values(), strict=True)]
            self._released = sorted(self._calendar, key=lambda event: (event.available_time_ns, event.event_id))
        self._release_times = [event.available_time_ns for event in self._released]
        self._news_times = [item.available_time_ns for item in self._news]

    def _by_instant(self, series: dict[str, _Series]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for symbol in self.traded:
            for available, record in zip(series[symbol].available, series[symbol].records, strict=True):
                found.setdefault(available, []).append(record)
        return found

    @property
    def date(self) -> str:
        """The session date of the day."""
        return self._day.manifest.date

    @property
    def bar_s(self) -> int:
        """The length of a bar, in seconds."""
        return self._day.manifest.bar_s

    def info(self) -> DayInfo:
        """Return the day as the feed describes it."""
        manifest = self._day.manifest
        return DayInfo(
            day_id=manifest.id,
            kind=manifest.kind,
            seal=self._day.seal,
            calendar=manifest.calendar,
            timezone=manifest.timezone,
            bar_s=manifest.bar_s,
            first_ns=self.instants[0] if self.instants else 0,
            last_ns=self.instants[-1] if self.instants else 0,
            instants=len(self.instants),
            bars=sum(len(self._bars[symbol].records) for symbol in self.traded),
            instruments=self._day.instruments,
            traded=self.traded,
        )

    def tick(self, index: int) -> Tick:
        """Return everything of the traded symbols that became available at an instant, and the news since the last."""
        now_ns = self.instants[index]
        before_ns = self.instants[index - 1] if index else -1
        news = self._news[bisect_right(self._news_times, before_ns) : bisect_right(self._news_times, now_ns)]
        times = self._release_times
        released = self._released[bisect_right(times, before_ns) : bisect_right(times, now_ns)]
        return Tick(
            clock=ClockTick(now_ns, index, len(self.instants), index == len(self.instants) - 1),
            bars=tuple(self._bars_at.get(now_ns, ())),
            quotes=tuple(self._quotes_at.get(now_ns, ())),
            news=tuple(news),
            calendar=tuple(released),
        )

    def bars(self, symbol: str, limit: int, as_of_ns: int) -> tuple[Bar, ...]:
        """Return the last ``limit`` bars of a symbol, oldest first."""
        return self._series(self._bars, symbol).last(limit, as_of_ns)

    def bars_after(self, symbol: str, count: int, as_of_ns: int) -> tuple[Bar, ...]:
        """Return the bars of a symbol available at a time, without the first ``count`` of them: what is new since."""
        series = self._series(self._bars, symbol)
        return tuple(series.records[count : bisect_right(series.available, as_of_ns)])

    def find_news(self, words: Iterable[str], symbols: Iterable[str], since_ns: int, as_of_ns: int) -> list[NewsItem]:
        """Return the items of any of the symbols (all when none is named) that have all the words, newest first.

        A word is found where a word of the headline or the text begins with it, in capitals or not.
        """
        wanted = set(symbols)
        patterns = [re.compile(rf"(?<!\w){re.escape(word)}", re.IGNORECASE) for word in words]
        items = self._news[bisect_right(self._news_times, since_ns) : bisect_right(self._news_times, as_of_ns)]
        return [
            item
            for item in reversed(items)
            if (not wanted or wanted.intersection(item.symbols))
            and all(pattern.search(item.headline) or pattern.search(item.body) for pattern in patterns)
        ]

    def quote(self, symbol: str, as_of_ns: int) -> tuple[Quote, ...]:
        """Return the latest quote of a symbol, or nothing."""
        return self._series(self._quotes, symbol).last(1, as_of_ns)

    def news(self, symbols: Iterable[str], since_ns: int, as_of_ns: int, limit: int) -> tuple[NewsItem, ...]:
        """Return the last ``limit`` items of any of the symbols (all when none is named), oldest first."""
        wanted = set(symbols)
        items = self._news[bisect_right(self._news_times, since_ns) : bisect_right(self._news_times, as_of_ns)]
        if wanted:
            items = [item for item in items if wanted.intersection(item.symbols)]
        return tuple(items[-limit:] if limit > 0 else ())

    def calendar(self, as_of_ns: int, from_ns: int, to_ns: int) -> tuple[CalendarEvent, ...]:
        """Return the releases scheduled in ``(from_ns, to_ns]``; what came out after ``as_of_ns`` has no actual yet."""
        return tuple(
            event if event.available_time_ns <= as_of_ns else _unreleased(event)
            for event in self._calendar
            if from_ns < event.event_time_ns <= to_ns
        )

    def _series(self, series: dict[str, _Series], symbol: str) -> _Series:
        found = series.get(symbol)
        if found is None:
            raise ConfigError(f"{symbol!r} is not on this day; it has {', '.join(series)}: ask for one of these")
        return found


def _unreleased(event: CalendarEvent) -> CalendarEvent:
    return replace(event, available_time_ns=event.event_time_ns, actual="")
