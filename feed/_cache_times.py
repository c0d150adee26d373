"""When a record counts as known, how long an answer is fresh, and which bars can be complete. Not a calendar."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from bus.clock import NS
from bus.messages import Bar, CalendarEvent, NewsItem, Quote, Timeframe, Trade

__all__ = [
    "BARS_TTL_NS",
    "CALENDAR_LATE_NS",
    "CALENDAR_TTL_NS",
    "DAYS_TTL_NS",
    "DAY_NS",
    "INSTRUMENTS_TTL_NS",
    "LENGTH_NS",
    "MINUTE_NS",
    "NEWS_LATE_NS",
    "NEWS_TTL_NS",
    "TRADES_TTL_NS",
    "as_known",
    "numbered",
    "stamped",
    "sure_before",
    "tail_ns",
]

_R = TypeVar("_R", Bar, Quote, Trade, NewsItem, CalendarEvent)
MINUTE_NS = 60 * NS
DAY_NS = 86_400 * NS
LENGTH_NS: dict[Timeframe, int] = {
    "1Min": MINUTE_NS,
    "2Min": 2 * MINUTE_NS,
    "3Min": 3 * MINUTE_NS,
    "5Min": 5 * MINUTE_NS,
    "10Min": 10 * MINUTE_NS,
    "15Min": 15 * MINUTE_NS,
    "30Min": 30 * MINUTE_NS,
    "1Hour": 60 * MINUTE_NS,
    "2Hour": 120 * MINUTE_NS,
    "4Hour": 240 * MINUTE_NS,
    "1Day": DAY_NS,
    "1Week": 7 * DAY_NS,
    "1Month": 31 * DAY_NS,
}
"""The longest that a bar of a timeframe can be."""
BARS_TTL_NS = NS
DAYS_TTL_NS = 300 * NS
NEWS_TTL_NS = 15 * NS
NEWS_LATE_NS = 60 * NS
TRADES_TTL_NS = NS
CALENDAR_TTL_NS = 300 * NS
CALENDAR_LATE_NS = DAY_NS
INSTRUMENTS_TTL_NS = 6 * 3600 * NS


def tail_ns(timeframe: Timeframe, now_ns: int) -> int:
    """Return before when a bar must open that can be complete by now, on a grid: within a step nothing new comes."""
    length = LENGTH_NS[timeframe]
    if length >= DAY_NS:
        return now_ns // MINUTE_NS * MINUTE_NS  # a session's day is shorter than a day
    grid = MINUTE_NS if length < 5 * MINUTE_NS else 5 * MINUTE_NS if length < 15 * MINUTE_NS else 15 * MINUTE_NS
    return (now_ns - length) // grid * grid + grid


def sure_before(timeframe: Timeframe, sure_ns: int) -> int:
    """Return before when every bar that opened had come by a time; bars open on whole minutes."""
    return (sure_ns - LENGTH_NS[timeframe]) // MINUTE_NS * MINUTE_NS + MINUTE_NS


def stamped(record: _R, arrived_ns: int) -> _R:
    """Return a record as known from its own time or, where that is later, from its arrival."""
    known_ns = max(record.event_time_ns, record.available_time_ns, arrived_ns)
    return (
        record if known_ns == record.available_time_ns else msgspec.structs.replace(record, available_time_ns=known_ns)
    )


def numbered(trades: list[Trade]) -> list[tuple[int, str, Trade]]:
    """Return trades with a number within their nanosecond: equal prints are several prints."""
    rows: list[tuple[int, str, Trade]] = []
    for trade in trades:
        before = rows[-1] if rows and rows[-1][0] == trade.event_time_ns else None
        rows.append((trade.event_time_ns, f"{int(before[1]) + 1 if before else 0:06d}", trade))
    return rows


def as_known(versions: list[CalendarEvent], as_of_ns: int) -> CalendarEvent:
    """Return the version of a release that was known at a time; before it came out, without its figure."""
    known = [event for event in versions if event.available_time_ns <= as_of_ns]
    return known[-1] if known else msgspec.structs.replace(versions[0], actual="")
