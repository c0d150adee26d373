"""From what a model writes to a span of time: ISO 8601 in the venue's time zone, or so long back from the clock.

Not the keeper of law 7: the feed refuses what is after its clock by itself. Here the refusal is told in words.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from mcp.server.mcpserver.exceptions import ToolError

from bus.clock import NS
from bus.messages import FeedClock
from mcp_servers._desk import Desk

__all__ = ["Span", "as_of", "day_start_ns", "local_iso", "past_span", "read_time", "shown", "zone_of"]

_MOST_DAYS = 36_500
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_MOST_TEXT = 40
_RELATIVE_S = {"days": 86_400, "hours": 3_600, "minutes": 60}


class Span(NamedTuple):
    """``[start_ns, end_ns)``; 0 is open. ``clock`` is what it was measured from, None when none was needed."""

    start_ns: int
    end_ns: int
    clock: FeedClock | None


@lru_cache(maxsize=16)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name."""
    return ZoneInfo(name)


def local_iso(ns: int, timezone: str) -> str:
    """Return a time in a zone as ISO 8601 with its offset; empty for 0, which is unknown."""
    return datetime.fromtimestamp(ns // NS, zone_of(timezone)).isoformat() if ns else ""


def as_of(ns: int, timezone: str) -> dict[str, str]:
    """Return the two fields with which every structured answer begins."""
    return {"as_of": local_iso(ns, timezone), "timezone": timezone}


def shown(text: object) -> str:
    """Return a caller's value for an error text: short, printable, quoted."""
    told = repr(text if len(str(text)) <= _MOST_TEXT else f"{str(text)[: _MOST_TEXT - 1]}…")
    return "".join(character if character.isprintable() else "?" for character in told)


def day_start_ns(ns: int, zone: ZoneInfo, days: int = 0) -> int:
    """Return the local midnight before a time, or that of ``days`` later."""
    local = datetime.fromtimestamp(ns // NS, zone).date() + timedelta(days=days)
    return _ns(datetime.combine(local, time(), zone))


def read_time(name: str, text: str, timezone: str) -> tuple[int, bool]:
    """Read a time.

    Args:
        name: The parameter's, for the error.
        text: ISO 8601; without an offset it is in ``timezone``.
        timezone: The venue's.

    Returns:
        UTC nanoseconds (whole seconds) and whether it was a date alone: then it is its local midnight.

    Raises:
        ToolError: It is none.
    """
    zone = zone_of(timezone)
    wanted = text.strip()
    try:
        only_date = len(wanted) in {8, 10} and "T" not in wanted.upper() and ":" not in wanted
        moment = (
            datetime.combine(date.fromisoformat(wanted), time(), zone) if only_date else datetime.fromisoformat(wanted)
        )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        if not _FIRST_YEAR < moment.year < _LAST_YEAR:
            raise ValueError(wanted)
        return _ns(moment), only_date
    except (ValueError, OverflowError) as error:
        raise ToolError(
            f"{name} = {shown(text)} is not a time. Give ISO 8601, for example 2024-03-13 or 2024-03-13T10:30 "
            f"(it is {timezone} time unless it has an offset)."
        ) from error


async def past_span(
    desk: Desk, start: str | None, end: str | None, days: int | None, hours: int | None, minutes: int | None
) -> Span:
    """Return the span a caller means; nothing of it is after the clock.

    A date alone as ``end`` includes that day, up to the clock.

    Raises:
        ToolError: A time that is none, after the clock, or two ways of saying the start.
    """
    back_s = _back_s(days or 0, hours or 0, minutes or 0)
    if not (start or end or back_s):
        return Span(0, 0, None)
    if start and back_s:
        raise ToolError("give either start or days/hours/minutes back, not both.")
    clock = await desk.clock()
    end_ns = 0
    if end:
        end_ns, only_date = read_time("end", end, clock.timezone)
        _not_after("end", end, end_ns, desk, clock)
        if only_date:
            end_ns = day_start_ns(end_ns, zone_of(clock.timezone), 1)
            # A day that is not over ends at the clock, as an open end does.
            end_ns = 0 if end_ns > clock.now_ns else end_ns
    start_ns = 0
    if start:
        start_ns, _ = read_time("start", start, clock.timezone)
        _not_after("start", start, start_ns, desk, clock)
    elif back_s:
        start_ns = max(1, (end_ns or clock.now_ns) - back_s * NS)
    if start_ns >= (end_ns or clock.now_ns + 1):
        raise ToolError(
            f"start {shown(start or 'asked for')} is not before end {shown(end)}. Give an earlier start or a later end."
        )
    return Span(start_ns, end_ns, clock)


def _back_s(days: int, hours: int, minutes: int) -> int:
    back_s = 0
    for (name, seconds), count in zip(_RELATIVE_S.items(), (days, hours, minutes), strict=True):
        if not 0 <= count <= _MOST_DAYS * 86_400 // seconds:
            raise ToolError(
                f"{name} = {shown(count) if count < 0 else 'so many'} is out of range. It counts back from the clock: "
                f"give 0 to {_MOST_DAYS * 86_400 // seconds:,}."
            )
        back_s += count * seconds
    return back_s


def _not_after(name: str, text: str, ns: int, desk: Desk, clock: FeedClock) -> None:
    if ns > clock.now_ns:
        raise ToolError(
            f"{name} = {shown(text)} is after the clock, {desk.stamp(clock)}. Nothing later is known: "
            "ask for a time up to the clock, or leave it out."
        )


def _ns(moment: datetime) -> int:
    return int((moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * NS
