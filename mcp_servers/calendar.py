"""What is scheduled: releases, earnings and the venue's sessions. Not a forecast: results are empty until they are out.

A schedule is public before its day, so these tools may name times after the clock; what a release said may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations

from bus.clock import NS
from bus.errors import CallTimeoutError, OutcryError, RemoteError
from bus.messages import CalendarEvent, CalendarEvents, FeedClock, QueryCalendar, QuerySessions, Session, Sessions
from mcp_servers._answer import answer
from mcp_servers._desk import Desk
from mcp_servers._fence import clean, fence
from mcp_servers._market_models import Count, EventsPage, SessionsPage, Symbols, Text
from mcp_servers._page import MOST_OFFSET, MOST_S, make_cursor, read_cursor
from mcp_servers._times import as_of, day_start_ns, local_iso, read_time, shown, zone_of

__all__ = ["RESOURCE_SCOPES", "SCOPES", "register"]

SCOPES: Mapping[str, str] = dict.fromkeys(
    ("get_economic_calendar", "get_earnings_calendar", "get_market_calendar"), "market:read"
)
"""What a token needs for each tool."""
RESOURCE_SCOPES: Mapping[str, str] = {}
"""There are no resources here."""

Importance = Literal["low", "medium", "high"]
_RANK = {"low": 0, "medium": 1, "high": 2}
_MOST_DAYS = 366
_PAGE = 50
_SESSION_COLUMNS = "date,open,close,early_close,break_start,break_end"


class _Window(NamedTuple):
    offset: int
    start_ns: int
    end_ns: int


def register(server: MCPServer[Any], desk: Desk) -> None:
    """Add the tools.

    Args:
        server: Where they are added.
        desk: Whom they ask.
    """
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=desk.mode == "live")

    @server.tool(annotations=reads)
    async def get_economic_calendar(
        start: Text = None,
        days: Count = None,
        importance: Importance | None = None,
        cursor: Text = None,
    ) -> Annotated[CallToolResult, EventsPage]:
        """Economic releases from start (today) for days (1); importance: at least."""
        question = ("get_economic_calendar", importance or "")
        clock = await desk.clock()
        window = _window(question, cursor, start, days, 1, clock)
        lowest = _RANK[importance] if importance else 0
        events = await _events(desk, window)
        wanted = [event for event in events or () if _economic(event) and _rank(event) >= lowest]
        offered = bool(wanted) or await _has_any(desk, clock, economic=True)
        return _events_page(desk, clock, question, window, wanted, "economic", offered=offered)

    @server.tool(annotations=reads)
    async def get_earnings_calendar(
        symbols: Symbols = None, start: Text = None, days: Count = None, cursor: Text = None
    ) -> Annotated[CallToolResult, EventsPage]:
        """Earnings from start (today) for days (7)."""
        names = sorted({(await desk.symbol(symbol[:64])).symbol for symbol in (symbols or [])[:_MOST_DAYS]})
        question = ("get_earnings_calendar", *names)
        clock = await desk.clock()
        window = _window(question, cursor, start, days, 7, clock)
        events = await _events(desk, window)
        wanted = [event for event in events or () if not _economic(event) and (not names or event.symbol in names)]
        offered = bool(wanted) or await _has_any(desk, clock, economic=False)
        return _events_page(desk, clock, question, window, wanted, "earnings", offered=offered)

    @server.tool(annotations=reads)
    async def get_market_calendar(
        start: Text = None, days: Count = None, cursor: Text = None
    ) -> Annotated[CallToolResult, SessionsPage]:
        """Market sessions from start (today) for days (7)."""
        question = ("get_market_calendar",)
        clock = await desk.clock()
        window = _window(question, cursor, start, days, 7, clock)
        found = await desk.ask("feed", QuerySessions(window.start_ns, window.end_ns), Sessions, timeout_s=30.0)
        return _sessions_page(desk, clock, question, window, found)


def _window(
    question: tuple[str, ...], cursor: str | None, start: str | None, days: int | None, usual: int, clock: FeedClock
) -> _Window:
    """Return the days that are meant; every page of a walk has those of its first one."""
    if cursor:
        offset, start_s, end_s = read_cursor(cursor, question, MOST_OFFSET, MOST_S, MOST_S)
        if not 0 < start_s < end_s <= start_s + (_MOST_DAYS + 1) * 86_400:
            raise ToolError(f"cursor = {shown(cursor)} is not one of {question[0]}'s. Leave it out for the first page.")
        return _Window(offset, start_s * NS, end_s * NS)
    count = usual if days is None else days
    if not 1 <= count <= _MOST_DAYS:
        raise ToolError(
            f"days is out of range: how many days from start, 1 to {_MOST_DAYS}. For a past span set start."
        )
    zone = zone_of(clock.timezone)
    start_ns = read_time("start", start, clock.timezone)[0] if start else day_start_ns(clock.now_ns, zone)
    return _Window(0, start_ns, day_start_ns(start_ns, zone, count))


async def _events(desk: Desk, window: _Window) -> tuple[CalendarEvent, ...] | None:
    """Return the releases of a window; None where the source has no calendar."""
    ask = QueryCalendar(-1, window.start_ns - 1, window.end_ns - 1)
    try:
        found = await desk.call("feed", ask, 30.0)
    except RemoteError as error:
        if error.code == "not_offered":
            return None
        raise ToolError(str(error).removeprefix(f"{error.code}: ")) from error
    except (CallTimeoutError, OutcryError) as error:
        raise ToolError("the market feed did not answer about its calendar. Ask again in a moment.") from error
    if not isinstance(found, CalendarEvents):
        raise ToolError("the market feed answered something else than was asked; every process must be of one release.")
    return tuple(sorted(found.events, key=lambda event: (event.event_time_ns, event.event_id)))


async def _has_any(desk: Desk, clock: FeedClock, *, economic: bool) -> bool:
    """Whether the source knows any date of a kind near the clock: an empty week alone says nothing of that."""
    reach_ns = 100 * 86_400 * NS
    near = await _events(desk, _Window(0, max(NS, clock.now_ns - reach_ns), clock.now_ns + reach_ns))
    return any(_economic(event) is economic for event in near or ())


def _economic(event: CalendarEvent) -> bool:
    return event.kind != "earnings"


def _rank(event: CalendarEvent) -> int:
    return _RANK.get(event.importance.strip().lower(), 0)


def _events_page(
    desk: Desk,
    clock: FeedClock,
    question: tuple[str, ...],
    window: _Window,
    events: list[CalendarEvent],
    kind: str,
    *,
    offered: bool,
) -> CallToolResult:
    page = events[window.offset : window.offset + _PAGE]
    following = _following(question, window, len(page), len(events))
    about = f"{len(page)} of {len(events)} {kind} events, {_days(window, clock)}, as of {desk.stamp(clock)}"
    if not offered:
        about = f"source {clock.source} has no {kind} calendar: no events, as of {desk.stamp(clock)}"
    entries = [_entry(event, clock) for event in page]
    lines = [about]
    if entries:
        lines.append(fence(["time,importance,country,name,forecast,actual", *map(_line, entries)]))
    if following:
        lines.append(f"later: cursor={following}")
    structured = {
        **as_of(clock.now_ns, clock.timezone),
        "offered": offered,
        "untrusted": True,
        "start": local_iso(window.start_ns, clock.timezone),
        "end": local_iso(window.end_ns, clock.timezone),
        "total": len(events),
        "events": entries,
        "next_cursor": following,
    }
    return answer("\n".join(lines), structured)


def _entry(event: CalendarEvent, clock: FeedClock) -> dict[str, Any]:
    released = event.available_time_ns <= clock.now_ns and bool(event.actual)
    return {
        "id": clean(event.event_id, 60),
        "time": local_iso(event.event_time_ns, clock.timezone),
        "released": released,
        "name": clean(event.name, 120),
        "country": clean(event.country, 24),
        "importance": clean(event.importance, 24),
        "symbol": clean(event.symbol, 24),
        "forecast": clean(event.forecast, 60),
        "actual": clean(event.actual, 60) if released else "",
    }


def _line(entry: Mapping[str, Any]) -> str:
    name = str(entry["name"])
    if not name.startswith(str(entry["symbol"])):
        name = f"{entry['symbol']} {name}"
    when = str(entry["time"])[:16].replace("T", " ")
    actual = entry["actual"] or ("-" if entry["released"] else "not out")
    fields = [when, entry["importance"] or "-", entry["country"] or "-", name, entry["forecast"] or "-", actual]
    return ",".join(str(field).replace(",", ";") for field in fields)


def _sessions_page(
    desk: Desk, clock: FeedClock, question: tuple[str, ...], window: _Window, found: Sessions
) -> CallToolResult:
    page = found.sessions[window.offset : window.offset + _PAGE]
    following = _following(question, window, len(page), len(found.sessions))
    lines = [
        f"{len(page)} of {len(found.sessions)} sessions of {found.calendar}, {_days(window, clock)}, "
        f"as of {desk.stamp(clock)}",
        f"date,open,close ({found.timezone})",
        *(_session_line(session, found.timezone) for session in page),
    ]
    if not page:
        lines[1:] = ["no session then: the market is closed on all these days."]
    if following:
        lines.append(f"later: cursor={following}")
    structured = {
        **as_of(clock.now_ns, clock.timezone),
        "calendar": found.calendar,
        "csv": "\n".join([_SESSION_COLUMNS, *map(_session_row, page)]),
        "next_cursor": following,
    }
    return answer("\n".join(lines), structured)


def _session_line(session: Session, timezone: str) -> str:
    opens, closes = local_iso(session.open_ns, timezone), local_iso(session.close_ns, timezone)
    marks = ",closes early" if session.early_close else ""
    if session.break_start_ns:
        pause = [local_iso(ns, timezone)[11:16] for ns in (session.break_start_ns, session.break_end_ns)]
        marks += f",break {pause[0]}-{pause[1]}"
    return f"{session.date},{_clock_time(opens, session.date)},{_clock_time(closes, session.date)}{marks}"


def _clock_time(iso: str, date: str) -> str:
    return iso[11:16] if iso.startswith(date) else iso[:16].replace("T", " ")


def _session_row(session: Session) -> str:
    pause = [str(ns // NS) if ns else "" for ns in (session.break_start_ns, session.break_end_ns)]
    early = "yes" if session.early_close else "no"
    return f"{session.date},{session.open_ns // NS},{session.close_ns // NS},{early},{pause[0]},{pause[1]}"


def _days(window: _Window, clock: FeedClock) -> str:
    first = local_iso(window.start_ns, clock.timezone)[:10]
    last = local_iso(window.end_ns - NS, clock.timezone)[:10]
    return first if first == last else f"{first} to {last}"


def _following(question: tuple[str, ...], window: _Window, shown_now: int, total: int) -> str:
    reached = window.offset + shown_now
    if not shown_now or reached >= total:
        return ""
    return make_cursor(question, reached, window.start_ns // NS, window.end_ns // NS)
