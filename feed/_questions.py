"""What a recorded day answers beside its records: clock, symbols, sessions, news search and charts.

Not the place where the future is refused: ``feed.service`` does that and tells a time. Nothing here is made before the
first question that needs it, so that a run that asks none pays nothing; the venue's calendar is public and known ahead.
"""

from __future__ import annotations

from functools import cached_property

from bus.clock import NS
from bus.errors import BusError, ConfigError
from bus.messages import (
    Chart,
    FeedClock,
    Instruments,
    NewsPage,
    QueryInstruments,
    QuerySessions,
    SearchNews,
    Sessions,
    Timeframe,
)
from feed._rules import session_bounds
from feed.charts import ChartBook
from feed.sessions import SessionCalendar, session_calendar
from feed.store import DayStore

__all__ = ["MAX_LIMIT", "DayCharts", "DayQuestions", "bounded", "paged", "sessions_of"]

MAX_LIMIT = 10_000
"""The most records one question may ask for."""
_MAX_WORDS = 20
_MAX_TEXT = 500


def bounded(limit: int) -> int:
    """Return a limit.

    Raises:
        BusError: It is out of range.
    """
    if not 0 < limit <= MAX_LIMIT:
        raise BusError(f"a limit of {limit:,} is out of range; allowed is 1 to {MAX_LIMIT:,}: ask for fewer, in pages")
    return limit


def paged(limit: int, offset: int) -> slice:
    """Return a page's place.

    Raises:
        BusError: The limit or the offset is out of range.
    """
    if offset < 0:
        raise BusError(f"an offset of {offset:,} is out of range; allowed is 0 or more: begin with 0")
    return slice(offset, offset + bounded(limit))


class DayCharts:
    """The charts of a day: kept up to date with the clock, and made anew for a time before it."""

    def __init__(self, store: DayStore, calendar: SessionCalendar) -> None:
        self._store = store
        self._calendar = calendar
        self._now_ns = -1
        self._book = _Book(store, calendar)
        self._past = _Book(store, calendar)

    def chart(
        self, symbol: str, timeframe: Timeframe, limit: int, now_ns: int, *, start_ns: int = 0, end_ns: int = 0
    ) -> Chart:
        """Return the last bars of a symbol and timeframe as known at a time."""
        book = self._at(now_ns).upto(symbol, now_ns)
        return book.chart(symbol, timeframe, limit, now_ns, start_ns=start_ns, end_ns=end_ns)

    def late(self, symbol: str, now_ns: int) -> bool:
        """Return whether the symbol's newest bar should be there and is not."""
        return self._at(now_ns).upto(symbol, now_ns).late(symbol, now_ns)

    def _at(self, now_ns: int) -> _Book:
        if now_ns >= self._now_ns:
            self._now_ns = now_ns
            return self._book
        if self._past.at_ns != now_ns:
            self._past = _Book(self._store, self._calendar)
        return self._past


class _Book:
    """A chart book and how much of the day is in it."""

    def __init__(self, store: DayStore, calendar: SessionCalendar) -> None:
        self._store = store
        self._book = ChartBook(calendar, store.bar_s)
        self._taken: dict[str, int] = {}
        self.at_ns = -1

    def upto(self, symbol: str, as_of_ns: int) -> ChartBook:
        """Return the book with all bars of a symbol that were available at a time.

        Raises:
            ConfigError: The day has no such symbol.
        """
        self.at_ns = as_of_ns
        taken = self._taken.get(symbol, 0)
        bars = self._store.bars_after(symbol, taken, as_of_ns)
        for bar in bars:
            self._book.add(bar)
        self._taken[symbol] = taken + len(bars)
        return self._book


class DayQuestions:
    """Answers about one day, each as known at the time that is told."""

    def __init__(self, store: DayStore) -> None:
        self._store = store
        self._info = store.info()

    @cached_property
    def calendar(self) -> SessionCalendar:
        """The venue's sessions.

        Raises:
            ConfigError: exchange_calendars is not installed, or does not know the day's calendar.
        """
        return session_calendar(self._info.calendar)

    @cached_property
    def charts(self) -> DayCharts:
        """The charts of the day.

        Raises:
            ConfigError: As ``calendar``.
        """
        return DayCharts(self._store, self.calendar)

    @cached_property
    def begin_ns(self) -> int:
        """The clock before the first instant: midnight of the session date, which the day's id tells anyway."""
        bounds = session_bounds(self._store.date, self._info.calendar) or session_bounds(self._store.date, "24/7")
        return min(bounds[0] if bounds else 0, self._store.instants[0] - 1)

    def clock(self, now_ns: int) -> FeedClock:
        """Return the time and the venue's hours; without exchange_calendars these are unknown, 0."""
        info = self._info
        try:
            calendar = self.calendar
        except ConfigError:
            at = last = following = None
        else:
            at, following = calendar.session_at(now_ns), calendar.next_session(now_ns)
            last = at or calendar.last_session(now_ns)
        return FeedClock(
            now_ns=now_ns,
            source="day",
            day_id=info.day_id,
            kind=info.kind,
            calendar=info.calendar,
            timezone=info.timezone,
            bar_s=info.bar_s,
            is_open=at is not None,
            session=last.date if last else self._store.date,
            open_ns=last.open_ns if last else 0,
            close_ns=last.close_ns if last else 0,
            next_open_ns=following.open_ns if following else 0,
            next_close_ns=at.close_ns if at else following.close_ns if following else 0,
            ended=now_ns >= self._store.instants[-1],
        )

    def instruments(self, ask: QueryInstruments) -> Instruments:
        """Return the symbols that hold a text, by name, a page of them.

        Raises:
            BusError: The limit or the offset is out of range.
        """
        page = paged(ask.limit, ask.offset)
        part = ask.text.strip().upper()
        found = [item for item in self._info.instruments if part in item.symbol.upper()]
        found.sort(key=lambda item: item.symbol)
        return Instruments(tuple(found[page]), len(found), self._info.traded)

    def news(self, ask: SearchNews, as_of_ns: int) -> NewsPage:
        """Return a page of the news that has all the words, newest first.

        Raises:
            BusError: The limit, the offset or the text is out of range.
        """
        page = paged(ask.limit, ask.offset)
        words = ask.text.split()
        if len(ask.text) > _MAX_TEXT or len(words) > _MAX_WORDS:
            raise BusError(
                f"a search for {len(words):,} words in {len(ask.text):,} characters is too long; allowed are "
                f"{_MAX_WORDS} words and {_MAX_TEXT} characters: search for fewer words"
            )
        found = self._store.find_news(words, ask.symbols, ask.since_ns, as_of_ns)
        return NewsPage(tuple(found[page]), len(found), as_of_ns)

    def sessions(self, ask: QuerySessions) -> Sessions:
        """Return the venue's sessions in a span of time.

        Raises:
            BusError: The span is empty or too long.
            ConfigError: As ``calendar``.
        """
        return sessions_of(self.calendar, ask)


def sessions_of(calendar: SessionCalendar, ask: QuerySessions) -> Sessions:
    """Return a venue's sessions in a span of time.

    Raises:
        BusError: The span is empty or too long.
    """
    if ask.from_ns >= ask.to_ns:
        raise BusError(f"the span {ask.from_ns} to {ask.to_ns} ns is empty; from must be before to: exchange them")
    count = calendar.count(ask.from_ns, ask.to_ns)
    if count > MAX_LIMIT:
        days = (ask.to_ns - ask.from_ns) // (86_400 * NS)
        raise BusError(f"{days:,} days hold {count:,} sessions; allowed are {MAX_LIMIT:,}: ask for a shorter span")
    return Sessions(calendar.code, calendar.timezone, calendar.sessions(ask.from_ns, ask.to_ns))
