"""When a venue is open: its sessions as integers of UTC nanoseconds, so that asking costs microseconds.

Not a clock and not a list of holidays of our own: exchange_calendars knows the dates (half days, daylight saving
time and holidays included). It is imported at the first question, never by a run that asks none.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from bus.clock import NS
from bus.errors import ConfigError
from bus.messages import Session

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

__all__ = ["SessionCalendar", "session_calendar"]

_FIRST_YEAR, _LAST_YEAR = 1990, 2040
"""What is read at first; more when it is asked for."""
_EARLIEST, _LATEST = 1950, 2100
"""What is read at most, once, when a time outside the first years is asked about."""
_LOADING = Lock()


class SessionCalendar:
    """The sessions of one venue. Safe to ask from several threads.

    Attributes:
        code: The exchange_calendars code: ``XNYS``, ``CMES``, ``24/7``, ``24/5`` and every other it has.
        timezone: The venue's, an IANA name; UTC for ``24/7`` and ``24/5``, whose sessions go from midnight to midnight.
    """

    def __init__(self, code: str) -> None:
        """Read the calendar; the first one of a process takes a second or two.

        Raises:
            ConfigError: exchange_calendars is not installed, or has no such calendar.
        """
        self.code = code
        self._whole = False
        found = _load(code, _FIRST_YEAR, _LAST_YEAR)
        self.timezone: str = _zone_name(found)
        self._zone = ZoneInfo(self.timezone)
        self._table = _Table(found)

    def session_at(self, ns: int) -> Session | None:
        """Return the session that is open at a time (``open_ns <= ns < close_ns``), or None."""
        table = self._covering(ns, ns)
        index = bisect_right(table.opens, ns) - 1
        return table.session(index) if index >= 0 and ns < table.closes[index] else None

    def session_of_bar(self, open_ns: int) -> Session | None:
        """Return the session that a bar belongs to, in or out of its hours.

        A bar outside every session belongs to the session of its date in the venue's time zone (before the open, after
        the close); without one, to a session that opens on that date or at the end of it (currencies and futures on a
        Sunday); else to none.
        """
        found = self.session_at(open_ns)
        if found is not None:
            return found
        date = self.date_of(open_ns)
        return self.session_on(date) or self._opening_on(date)

    def next_session(self, ns: int) -> Session | None:
        """Return the first session that opens after a time; None beyond the calendar's end."""
        table = self._covering(ns, ns)
        return table.session(bisect_right(table.opens, ns))

    def last_session(self, ns: int) -> Session | None:
        """Return the last session that opened at a time or before it."""
        table = self._covering(ns, ns)
        return table.session(bisect_right(table.opens, ns) - 1)

    def session_on(self, date: str) -> Session | None:
        """Return the session of a date, written 2026-11-27, or None when there is none."""
        table = self._covering(*(_midnight(date, UTC),) * 2)
        index = table.index.get(date)
        return None if index is None else table.session(index)

    def sessions(self, from_ns: int, to_ns: int) -> tuple[Session, ...]:
        """Return the sessions that overlap ``[from_ns, to_ns)``, in order."""
        table = self._covering(from_ns, to_ns)
        first, last = bisect_right(table.closes, from_ns), bisect_left(table.opens, to_ns)
        return tuple(found for index in range(first, last) if (found := table.session(index)) is not None)

    def count(self, from_ns: int, to_ns: int) -> int:
        """Return how many sessions overlap ``[from_ns, to_ns)``, without making them."""
        table = self._covering(from_ns, to_ns)
        return max(0, bisect_left(table.opens, to_ns) - bisect_right(table.closes, from_ns))

    def date_of(self, ns: int) -> str:
        """Return the date at a time, in the venue's time zone."""
        return datetime.fromtimestamp(ns // NS, self._zone).date().isoformat()

    def midnight(self, date: str) -> int:
        """Return when a date begins, in the venue's time zone."""
        return _midnight(date, self._zone)

    def _opening_on(self, date: str) -> Session | None:
        begin_ns = self.midnight(date)
        end_ns = self.midnight((datetime.fromisoformat(date) + timedelta(days=1)).date().isoformat())
        found = self.next_session(begin_ns)
        return found if found is not None and found.open_ns <= end_ns else None

    def _covering(self, from_ns: int, to_ns: int) -> _Table:
        """Return a table that holds these times and the sessions beside them, as far as there can be one."""
        table = self._table
        if self._whole or (table.from_ns < from_ns and to_ns < table.to_ns):
            return table
        self._whole = True
        wider = _Table(_load(self.code, _EARLIEST, _LATEST))
        if wider.from_ns <= table.from_ns and table.to_ns <= wider.to_ns:
            self._table = wider
        return self._table


class _Table:
    """The sessions of some years."""

    def __init__(self, calendar: ExchangeCalendar) -> None:
        schedule: Any = calendar.schedule
        self.opens = _nanos(schedule["open"])
        self.closes = _nanos(schedule["close"])
        self._breaks = list(zip(_nanos(schedule["break_start"]), _nanos(schedule["break_end"]), strict=True))
        self._dates: list[str] = schedule.index.to_numpy().astype("datetime64[D]").astype(str).tolist()
        self._early = set(calendar.early_closes.to_numpy().astype("datetime64[D]").astype(str).tolist())
        self.index = {date: index for index, date in enumerate(self._dates)}
        self.from_ns = self.opens[0] if self.opens else 0
        self.to_ns = self.opens[-1] if self.opens else 0
        self._made: dict[int, Session] = {}

    def session(self, index: int) -> Session | None:
        if not 0 <= index < len(self.opens):
            return None
        made = self._made.get(index)
        if made is None:
            date = self._dates[index]
            made = Session(date, self.opens[index], self.closes[index], date in self._early, *self._breaks[index])
            self._made[index] = made
        return made


def _nanos(times: Any) -> list[int]:
    """Return a column of times in nanoseconds, whatever unit pandas holds them in; 0 for none."""
    import numpy as np

    nanos = times.dt.tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    return np.where(nanos == np.iinfo(np.int64).min, 0, nanos).tolist()


def _zone_name(calendar: ExchangeCalendar) -> str:
    return str(getattr(calendar.tz, "key", calendar.tz))


def _midnight(date: str, zone: Any) -> int:
    return int(datetime.fromisoformat(date).replace(tzinfo=zone).timestamp()) * NS


def _load(code: str, first: int, last: int) -> ExchangeCalendar:
    try:
        import exchange_calendars
    except ImportError as error:
        raise ConfigError(
            "sessions and charts need the package exchange_calendars, which is not installed; "
            "install it with: pip install 'openoutcry[mcp]'"
        ) from error
    known = exchange_calendars.get_calendar_names()
    if code not in known:
        raise ConfigError(
            f"calendar {code!r} is unknown; allowed are XNYS (US equities), CMES (CME futures), 24/7 (crypto), 24/5 "
            f"(currencies) and the other codes of exchange_calendars: {', '.join(sorted(known))}"
        )
    with _LOADING, warnings.catch_warnings():
        # exchange_calendars 4.13 on pandas 3.1 warns of its own code, which is not ours to mend.
        warnings.simplefilter("ignore")
        # exchange_calendars raises NotImplementedError where a venue's holidays are not known for these years.
        try:
            return exchange_calendars.get_calendar(code, start=f"{first}-01-01", end=f"{last}-12-31")
        except (ValueError, NotImplementedError):
            return _known_years(code, first, last)


def _known_years(code: str, first: int, last: int) -> ExchangeCalendar:
    """Return a venue's calendar where its holidays are known only for some years."""
    from exchange_calendars import get_calendar

    try:
        calendar = get_calendar(code)
    # Raised by exchange_calendars also where it has no holidays at all for the years that it takes by itself.
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"calendar {code!r} cannot be made by the exchange_calendars that is installed: {str(error)[:200]}; "
            "name another calendar, or install another release of exchange_calendars and pandas"
        ) from error
    low, high = type(calendar).bound_min(), type(calendar).bound_max()
    start = f"{first}-01-01" if low is None else max(f"{first}-01-01", str(low.date()))
    end = f"{last}-12-31" if high is None else min(f"{last}-12-31", str(high.date()))
    try:
        return get_calendar(code, start=start, end=end)
    # As above, for the years asked for: then those it takes by itself are all there are.
    except (ValueError, NotImplementedError):
        return calendar


@lru_cache(maxsize=16)
def session_calendar(code: str) -> SessionCalendar:
    """Return the calendar of a code, one for the whole process.

    Raises:
        ConfigError: As ``SessionCalendar``.
    """
    return SessionCalendar(code)
