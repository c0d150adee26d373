"""The rolling charts of a live market: today from one-minute bars, before that from the vendor's own history.

Not the arithmetic of charts (``feed.charts``) and not the cache. A chart as of now is kept and added to; one as of a
past time is made for that question alone, of what was known then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any

from bus.messages import Bar, Chart, ChartSet, Timeframe, WatchCharts
from feed._cache_times import DAY_NS
from feed._chart_spans import FINE
from feed._live_history import day_start, lookback, origin
from feed.cache import Answer, VendorCache
from feed.charts import ChartBook
from feed.sessions import SessionCalendar
from feed.watches import Watches, chart_set

__all__ = ["ChartPlan", "LiveCharts"]

_BASE_S = 60
_ALL = 1_000_000
_LONG = ("1Week", "1Month")
_TWO_DAYS_NS = 2 * DAY_NS


@dataclass(frozen=True)
class _History:
    """Older bars that a chart needs: of which timeframe, from when, and the answer that brings them."""

    symbol: str
    timeframe: Timeframe
    of: Timeframe
    since_ns: int
    bars: Answer[list[Bar]]


@dataclass(frozen=True)
class ChartPlan:
    """What a question about charts needs before it can be answered.

    Attributes:
        as_of_ns: What it is as of.
        is_live: Whether the charts that are kept can answer it.
        until_ns: Until when one-minute bars are taken.
        base_from: By symbol, from when they are; before that it is history.
        history: What was asked for.
        answers: All that must come first.
    """

    as_of_ns: int
    is_live: bool
    until_ns: int
    base_from: dict[str, int]
    history: tuple[_History, ...]
    answers: tuple[Answer[Any], ...]


class LiveCharts:
    """Charts as of now, and those who watch them. Safe for several threads. Is a ``feed.watches.Charts``."""

    def __init__(self, cache: VendorCache, calendar: SessionCalendar, now: Callable[[], int]) -> None:
        """Start empty.

        Args:
            cache: The vendor's.
            calendar: The venue's.
            now: The feed's clock.
        """
        self.lock = RLock()
        self._cache = cache
        self._calendar = calendar
        self._now = now
        self._delay_ns = cache.traits.bar_delay_ns
        self._book = ChartBook(calendar, _BASE_S, delay_ns=self._delay_ns)
        self._base_from: dict[str, int] = {}
        self._newest: dict[str, tuple[int, int]] = {}
        self._loaded: dict[tuple[str, Timeframe], int] = {}
        self.watches = Watches(self)

    def plan(
        self,
        symbols: tuple[str, ...],
        timeframes: tuple[Timeframe, ...],
        limit: int,
        as_of_ns: int,
        start_ns: int = 0,
        end_ns: int = 0,
    ) -> ChartPlan:
        """Ask the cache for what charts of these symbols and timeframes need.

        Args:
            symbols: Whose.
            timeframes: Which.
            limit: How many bars of each.
            as_of_ns: As known at this time.
            start_ns: Only bars that open at it or after it; 0 for all.
            end_ns: Only bars that open before it; 0 for all.
        """
        today_ns = day_start(self._calendar, as_of_ns)
        # A span of the past needs nothing that came after its last day, unless its bars are longer than that.
        is_past = 0 < end_ns <= today_ns and all(timeframe not in _LONG for timeframe in timeframes)
        base_from = dict.fromkeys(symbols, day_start(self._calendar, end_ns - 1) if is_past else today_ns)
        until_ns = min(as_of_ns, day_start(self._calendar, end_ns - 1) + _TWO_DAYS_NS) if is_past else as_of_ns
        with self.lock:
            is_live = not is_past and today_ns == day_start(self._calendar, self._now())
            is_live = is_live and all(self._can_tell(symbol, today_ns, as_of_ns) for symbol in base_from)
            if is_live:
                base_from = {symbol: self._base_from.get(symbol, today_ns) for symbol in base_from}
            newest = {symbol: self._newest.get(symbol, (0, 0))[0] for symbol in base_from if is_live}
            loaded = dict(self._loaded) if is_live else {}
        history: list[_History] = []
        answers: list[Answer[Any]] = []
        for symbol, base_ns in base_from.items():
            first_ns = max(base_ns, newest.get(symbol, 0))
            answers.append(self._cache.bars(symbol, "1Min", first_ns, until_ns, as_of_ns=as_of_ns))
            for timeframe in dict.fromkeys(timeframes):
                since_ns = lookback(self._calendar, timeframe, limit + 1, min(end_ns or as_of_ns, as_of_ns))
                if start_ns:
                    since_ns = max(lookback(self._calendar, timeframe, 1, start_ns), since_ns)
                if since_ns >= loaded.get((symbol, timeframe), base_ns):
                    continue
                of = origin(timeframe, self._cache.traits.timeframes, self._calendar, as_of_ns)
                if timeframe == "1Min":  # these are base bars, and a day that has some must have all
                    since_ns = day_start(self._calendar, since_ns)
                found = self._cache.bars(symbol, of, since_ns, base_ns, as_of_ns=as_of_ns, settled_ns=base_ns)
                history.append(_History(symbol, timeframe, of, since_ns, found))
                answers.append(found)
        return ChartPlan(as_of_ns, is_live, until_ns, base_from, tuple(history), tuple(answers))

    def make(
        self,
        plan: ChartPlan,
        symbols: tuple[str, ...],
        timeframes: tuple[Timeframe, ...],
        limit: int,
        start_ns: int = 0,
        end_ns: int = 0,
    ) -> ChartSet:
        """Return the charts, when everything in the plan's answers has come."""
        with self.lock:
            if plan.is_live:
                self._load(plan)
            book = self._book if self._tells(plan) else self._past(plan)
            return chart_set(book, "", symbols, timeframes, limit, plan.as_of_ns, start_ns=start_ns, end_ns=end_ns)

    def watch(self, plan: ChartPlan, ask: WatchCharts, now_ns: int) -> ChartSet:
        """Keep a set rolling, when everything in the plan's answers has come."""
        with self.lock:
            self._load(plan)
            return self.watches.watch(ask, max(now_ns, self._now()))

    def add(self, bar: Bar) -> None:
        """Take in a one-minute bar that the cache has kept."""
        with self.lock:
            if bar.symbol in self._base_from and bar.open_time_ns >= self._base_from[bar.symbol]:
                self._take(bar)

    def due(self, now_ns: int) -> list[ChartSet]:
        """Return the sets that are watched."""
        with self.lock:
            return self.watches.due(now_ns)

    def chart(
        self, symbol: str, timeframe: Timeframe, limit: int, now_ns: int, *, start_ns: int = 0, end_ns: int = 0
    ) -> Chart:
        """Return a chart of what is loaded."""
        with self.lock:
            return self._book.chart(symbol, timeframe, limit, now_ns, start_ns=start_ns, end_ns=end_ns)

    def late(self, symbol: str, now_ns: int) -> bool:
        """Return whether the symbol's newest bar should be there and is not."""
        with self.lock:
            return self._book.late(symbol, now_ns)

    def _can_tell(self, symbol: str, today_ns: int, as_of_ns: int) -> bool:
        """Whether what is kept of a symbol begins early enough, and nothing in it was known later."""
        return self._base_from.get(symbol, today_ns) <= today_ns and self._newest.get(symbol, (0, 0))[1] <= as_of_ns

    def _tells(self, plan: ChartPlan) -> bool:
        return plan.is_live and all(
            self._base_from[symbol] == base_ns and self._newest[symbol][1] <= plan.as_of_ns
            for symbol, base_ns in plan.base_from.items()
        )

    def _take(self, bar: Bar) -> None:
        self._book.add(bar)
        open_ns, known_ns = self._newest.get(bar.symbol, (0, 0))
        self._newest[bar.symbol] = max(open_ns, bar.open_time_ns), max(known_ns, bar.available_time_ns)

    def _load(self, plan: ChartPlan) -> None:
        """Take what a plan as of now brought into the charts that are kept."""
        for symbol, base_ns in plan.base_from.items():
            if self._base_from.setdefault(symbol, base_ns) != base_ns:
                continue
            since_ns = max(base_ns, self._newest.setdefault(symbol, (base_ns, 0))[0])
            for bar in self._cache.kept_bars(symbol, since_ns, plan.as_of_ns):
                self._take(bar)
        for part in plan.history:
            if self._base_from[part.symbol] == plan.base_from[part.symbol]:
                self._seed(self._book, part)
                key = (part.symbol, part.timeframe)
                self._loaded[key] = min(part.since_ns, self._loaded.get(key, part.since_ns))

    def _past(self, plan: ChartPlan) -> ChartBook:
        book = ChartBook(self._calendar, _BASE_S, _ALL, delay_ns=self._delay_ns)
        for part in plan.history:
            self._seed(book, part)
        for symbol, base_ns in plan.base_from.items():
            for bar in self._cache.kept_bars(symbol, base_ns, plan.until_ns, plan.as_of_ns):
                book.add(bar)
        return book

    def _seed(self, book: ChartBook, part: _History) -> None:
        bars = part.bars.result(0)
        if not bars:
            return
        if part.of == part.timeframe or part.of not in FINE:
            book.seed(part.symbol, part.of, bars)
            return
        made = ChartBook(self._calendar, FINE[part.of], _ALL)
        for bar in bars:
            made.add(bar)
        whole = made.chart(part.symbol, part.timeframe, _ALL, max(bar.available_time_ns for bar in bars))
        book.seed(part.symbol, part.timeframe, [bar for bar in whole.bars if bar.open_time_ns >= part.since_ns])
