"""Where a bar belongs: each timeframe's bucket, anchored to the venue's sessions, and how many bars it should have.

Not the bars themselves (``feed._chart_series``). Buckets count from the session's open, so a 60-minute bar of New York
begins at 09:30 and the last one of the session is short. Before the open they count back from it and after the close on
from it, to local midnight: no bucket mixes a session with what is outside it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

from bus.clock import NS
from bus.errors import NotOfferedError
from bus.messages import Session, Timeframe
from feed.sessions import SessionCalendar

__all__ = ["FINE", "Group", "Span", "Spans", "offered"]

FINE: dict[Timeframe, int] = {
    "1Min": 60,
    "2Min": 120,
    "3Min": 180,
    "5Min": 300,
    "10Min": 600,
    "15Min": 900,
    "30Min": 1_800,
    "1Hour": 3_600,
    "2Hour": 7_200,
    "4Hour": 14_400,
}
"""Timeframes inside a session, in seconds."""

_DAY_S = 86_400
_MARGIN_NS = 2 * _DAY_S * NS


def offered(base_s: int) -> tuple[Timeframe, ...]:
    """Return the timeframes that can be made of bars of ``base_s`` seconds, shortest first."""
    fine: tuple[Timeframe, ...] = tuple(
        name for name, seconds in FINE.items() if seconds >= base_s and seconds % base_s == 0
    )
    long: tuple[Timeframe, ...] = ("1Day", "1Week", "1Month")
    return fine + long if base_s <= _DAY_S else ()


class Span(NamedTuple):
    """A bucket's place.

    Attributes:
        start: Its first nanosecond: for a day, the session's open.
        end: When it is complete.
        extended: Whether the bar is outside the session's hours.
        outside: Whether the bucket itself is outside every session.
        date: The session date; empty inside a day.
    """

    start: int
    end: int
    extended: bool
    outside: bool
    date: str


class Group(NamedTuple):
    """A week or month of sessions."""

    start: int
    end: int
    sessions: tuple[Session, ...]


class Spans:
    """Buckets on one venue's calendar over base bars of one length."""

    def __init__(self, calendar: SessionCalendar, base_s: int) -> None:
        self._calendar = calendar
        self._base_s = base_s
        self._base_ns = base_s * NS
        self._date = (0, 0)
        self._groups: dict[tuple[Timeframe, str], Group] = {}
        self.offered = offered(base_s)

    def place(self, timeframe: Timeframe) -> Callable[[int, int], Span]:
        """Return the function from a bar's open and end to its bucket; weeks and months are made of days.

        Raises:
            NotOfferedError: The base bars are too long for it, or do not fit into it.
        """
        if timeframe not in self.offered:
            made = ", ".join(self.offered) or "none"
            raise NotOfferedError(
                f"timeframe {timeframe!r} cannot be made of bars of {self._base_s:,} seconds; there is {made}: "
                "ask for one of these"
            )
        seconds = FINE.get(timeframe)
        if seconds is None:
            return self.day
        if seconds == self._base_s:
            return _itself
        length = seconds * NS
        return lambda open_ns, end_ns: self._inside(open_ns, end_ns, length)

    def _inside(self, open_ns: int, end_ns: int, length: int) -> Span:
        calendar = self._calendar
        session = calendar.session_of_bar(open_ns)
        if session is not None and open_ns < session.open_ns < end_ns:
            open_ns = session.open_ns
        if session is not None and session.open_ns <= open_ns < session.close_ns:
            start = session.open_ns + (open_ns - session.open_ns) // length * length
            return Span(start, min(start + length, session.close_ns), False, False, "")
        low, high = self._date_bounds(open_ns)
        if session is None:
            anchor = low
        elif open_ns < session.open_ns:
            anchor, high = session.open_ns, min(high, session.open_ns)
        else:
            following = calendar.next_session(open_ns)
            anchor = low = session.close_ns
            high = high if following is None else min(high, following.open_ns)
        start = anchor + (open_ns - anchor) // length * length
        return Span(max(start, low), min(start + length, high), True, True, "")

    def day(self, open_ns: int, end_ns: int) -> Span:
        """Return the session day of a bar; a bar that straddles the open counts with the session."""
        session = self._calendar.session_of_bar(open_ns)
        if session is None:
            return Span(*self._date_bounds(open_ns), True, True, self._calendar.date_of(open_ns))
        inside = open_ns < session.close_ns and (open_ns >= session.open_ns or end_ns > session.open_ns)
        return Span(session.open_ns, session.close_ns, not inside, False, session.date)

    def group(self, timeframe: Timeframe, day: str) -> Group:
        """Return the week (ISO) or month that a session date is in."""
        on = date.fromisoformat(day)
        if timeframe == "1Week":
            first = on - timedelta(days=on.weekday())
            after = first + timedelta(days=7)
        else:
            first = on.replace(day=1)
            after = (first + timedelta(days=31)).replace(day=1)
        key = (timeframe, first.isoformat())
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = self._group(first.isoformat(), after.isoformat())
        return found

    def _group(self, first: str, after: str) -> Group:
        calendar = self._calendar
        low, high = calendar.midnight(first), calendar.midnight(after)
        near = calendar.sessions(low - _MARGIN_NS, high + _MARGIN_NS)
        sessions = tuple(session for session in near if first <= session.date < after)
        if not sessions:
            return Group(low, high, ())
        return Group(sessions[0].open_ns, sessions[-1].close_ns, sessions)

    def due(self, start: int, end: int, by_ns: int) -> int:
        """Return how many base bars of a bucket inside a session are complete by a time; a break has none."""
        session = self._calendar.session_at(start)
        if session is None:
            return 0
        slots = self._slots(start, min(end, session.close_ns), by_ns)
        if session.break_start_ns:
            slots -= self._slots(max(start, session.break_start_ns), min(end, session.break_end_ns), by_ns)
        return slots

    def newest_due(self, by_ns: int) -> int:
        """Return when the newest base bar that should be there by a time ended; 0 outside a session."""
        session = self._calendar.session_at(by_ns - 1)
        if session is None or session.break_start_ns < by_ns <= session.break_end_ns:
            return 0
        if by_ns >= session.close_ns:
            return session.close_ns
        start = session.break_end_ns if by_ns > session.break_end_ns > 0 else session.open_ns
        ended = start + (by_ns - start) // self._base_ns * self._base_ns
        return ended if ended > start else 0

    def _slots(self, start: int, end: int, by_ns: int) -> int:
        if by_ns <= start or end <= start:
            return 0
        return -(-(end - start) // self._base_ns) if by_ns >= end else (by_ns - start) // self._base_ns

    def _date_bounds(self, ns: int) -> tuple[int, int]:
        low, high = self._date
        if not low <= ns < high:
            calendar = self._calendar
            day = calendar.date_of(ns)
            after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
            self._date = low, high = calendar.midnight(day), calendar.midnight(after)
        return low, high


def _itself(open_ns: int, end_ns: int) -> Span:
    return Span(open_ns, end_ns, False, False, "")
