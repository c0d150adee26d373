"""Which timeframes Alpaca has as we count them, and from when to when each of its bars goes.

Not a resampler. Alpaca counts hours of shares by the clock (09:00-10:00 mixes what is before the open with what is
after it) and days of coins from midnight in Chicago; ours count from the session's open and from midnight UTC. Where
both agree the vendor's bar is taken; the rest is not offered and is built from ``1Min``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from bus.clock import NS
from bus.messages import Session, Timeframe
from feed._alpaca_records import BadRecordError
from feed.sessions import SessionCalendar, session_calendar

__all__ = ["COIN_CALENDAR", "SHARE_CALENDAR", "SHARE_ZONE", "Spans", "is_coin"]

SHARE_CALENDAR, COIN_CALENDAR = "XNYS", "24/7"
SHARE_ZONE = "America/New_York"

_MINUTES: dict[Timeframe, int] = {"1Min": 1, "2Min": 2, "3Min": 3, "5Min": 5, "10Min": 10, "15Min": 15, "30Min": 30}
_HOURS: dict[Timeframe, int] = {"1Hour": 60, "2Hour": 120, "4Hour": 240}
_DAYS: dict[Timeframe, int] = {"1Day": 1, "1Week": 7, "1Month": 31}
_MARGIN_NS = 2 * 24 * 3600 * NS


def is_coin(symbol: str) -> bool:
    """Return whether Alpaca has this symbol among its coins: ``BTC/USD``."""
    return "/" in symbol


class Spans:
    """The timeframes of one market: shares on a venue's calendar, or coins.

    Attributes:
        calendar_code: The exchange_calendars code.
        timezone: The venue's.
        timeframes: What the vendor has and we count the same.
    """

    def __init__(self, *, coins: bool, calendar: str = "") -> None:
        """Look up a market; a calendar other than the market's own is read at once.

        Raises:
            ConfigError: There is no such calendar.
        """
        self.calendar_code = calendar or (COIN_CALENDAR if coins else SHARE_CALENDAR)
        if self.calendar_code == COIN_CALENDAR:
            self.timezone = "UTC"
        elif self.calendar_code == SHARE_CALENDAR:
            self.timezone = SHARE_ZONE
        else:
            self.timezone = session_calendar(self.calendar_code).timezone
        longer: tuple[Timeframe, ...] = ()
        if coins and self.timezone == "UTC":
            longer = tuple(_HOURS)
        elif not coins and self.timezone == SHARE_ZONE:
            longer = tuple(_DAYS)
        self.timeframes: tuple[Timeframe, ...] = (*_MINUTES, *longer)

    @property
    def calendar(self) -> SessionCalendar:
        """The sessions."""
        return session_calendar(self.calendar_code)

    def asked_from(self, timeframe: Timeframe, start_ns: int) -> int:
        """Return from when to ask for bars that open at ``start_ns`` or later: the vendor's day begins at midnight."""
        return start_ns - self.longest_ns(timeframe) if timeframe in _DAYS else start_ns

    def longest_ns(self, timeframe: Timeframe) -> int:
        """Return how long a bar can be at most."""
        minutes = _MINUTES.get(timeframe) or _HOURS.get(timeframe) or _DAYS[timeframe] * 24 * 60
        return minutes * 60 * NS

    def span(self, timeframe: Timeframe) -> Callable[[int], tuple[int, int]]:
        """Return the function from the vendor's timestamp to a bar's open and end.

        A bar inside a day begins at its timestamp. A day goes from its session's open to its close, a week and a month
        from the first session's open to the last one's close: half days and daylight saving time included.
        """
        minutes = _MINUTES.get(timeframe) or _HOURS.get(timeframe)
        if minutes is not None:
            return _inside(minutes * 60 * NS)
        if timeframe == "1Day":
            return self._day
        return lambda stamp_ns: self._group(stamp_ns, weekly=timeframe == "1Week")

    def _day(self, stamp_ns: int) -> tuple[int, int]:
        day = self.calendar.date_of(stamp_ns)
        session = self.calendar.session_on(day)
        if session is None:
            raise BadRecordError(f"{day} is no session of {self.calendar_code}")
        return session.open_ns, session.close_ns

    def _group(self, stamp_ns: int, *, weekly: bool) -> tuple[int, int]:
        day = date.fromisoformat(self.calendar.date_of(stamp_ns))
        if weekly:
            first = day - timedelta(days=day.weekday())
            after = first + timedelta(days=7)
        else:
            first = day.replace(day=1)
            after = (first + timedelta(days=31)).replace(day=1)
        found = self._between(first.isoformat(), after.isoformat())
        if not found:
            raise BadRecordError(f"{self.calendar_code} has no session from {first} until {after}")
        return found[0].open_ns, found[-1].close_ns

    def _between(self, first: str, after: str) -> list[Session]:
        calendar = self.calendar
        near = calendar.sessions(calendar.midnight(first) - _MARGIN_NS, calendar.midnight(after) + _MARGIN_NS)
        return [session for session in near if first <= session.date < after]


def _inside(length_ns: int) -> Callable[[int], tuple[int, int]]:
    def span(stamp_ns: int) -> tuple[int, int]:
        if stamp_ns % length_ns:
            raise BadRecordError("it begins where no bar of its timeframe does")
        return stamp_ns, stamp_ns + length_ns

    return span
