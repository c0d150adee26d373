"""How far back a question reaches on the venue's calendar, and of which bars a timeframe is made.

Not the bars: ``feed._live_charts`` and ``feed.live`` ask the cache for them.
"""

from __future__ import annotations

from bus.clock import NS
from bus.messages import Timeframe
from feed._chart_spans import FINE
from feed.sessions import SessionCalendar

__all__ = ["day_start", "lookback", "origin"]

_DAY_NS = 86_400 * NS
_MOST_DAYS = 3_700
_SESSIONS_AT_ONCE_NS = 30 * _DAY_NS


def origin(timeframe: Timeframe, served: tuple[Timeframe, ...], calendar: SessionCalendar, now_ns: int) -> Timeframe:
    """Return of which of the vendor's timeframes the history of one is made: itself where the buckets are the same.

    A vendor counts hours from midnight, a chart from the session's open: an hour of New York is made of half hours.
    """
    if timeframe not in FINE and "1Day" in served:
        return "1Day"
    seconds = FINE.get(timeframe, 86_400)
    session = calendar.last_session(now_ns)
    opens_s = session.open_ns // NS if session else 0
    best: Timeframe = "1Min"
    for name in served:
        length = FINE.get(name, 0)
        if length > FINE[best] and seconds % length == 0 and opens_s % length == 0:
            best = name
    return best


def day_start(calendar: SessionCalendar, now_ns: int) -> int:
    """Return when the day of a time begins: local midnight, or the session's open where that is the evening before."""
    midnight_ns = calendar.midnight(calendar.date_of(now_ns))
    session = calendar.session_of_bar(now_ns)
    return min(midnight_ns, session.open_ns) if session is not None and session.open_ns <= now_ns else midnight_ns


def lookback(calendar: SessionCalendar, timeframe: Timeframe, limit: int, until_ns: int) -> int:
    """Return where the last ``limit`` bars before a time begin, were there one in every interval of every session."""
    if timeframe == "1Month":
        return _midnight_before(calendar, until_ns - min(31 * limit + 40, _MOST_DAYS) * _DAY_NS)
    if timeframe == "1Week":
        return _midnight_before(calendar, until_ns - min(7 * limit + 14, _MOST_DAYS) * _DAY_NS)
    seconds = FINE.get(timeframe)
    earliest_ns = max(0, until_ns - _MOST_DAYS * _DAY_NS)
    left = limit
    upper_ns = until_ns
    while upper_ns > earliest_ns:
        lower_ns = max(earliest_ns, upper_ns - _SESSIONS_AT_ONCE_NS)
        for session in reversed(calendar.sessions(lower_ns, upper_ns)):
            end_ns = min(upper_ns, session.close_ns)
            if session.open_ns >= end_ns:
                continue
            buckets = 1 if seconds is None else -(-(end_ns - session.open_ns) // (seconds * NS))
            if seconds is not None and left <= buckets:
                return session.open_ns + (buckets - left) * seconds * NS
            if seconds is None and left == 0:
                return _midnight_before(calendar, session.open_ns)
            left -= buckets
            upper_ns = session.open_ns
        upper_ns = min(upper_ns, lower_ns)
    return earliest_ns


def _midnight_before(calendar: SessionCalendar, ns: int) -> int:
    return calendar.midnight(calendar.date_of(max(ns, 0)))
