"""Headlines for models: newest first, as of the clock, fenced as what they are. Not advice and not a filter.

Whatever a headline says, it is somebody else's text: both forms of an answer say so (law 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from bus.clock import NS
from bus.messages import NewsItem, NewsPage, SearchNews
from mcp_servers._answer import answer
from mcp_servers._desk import Desk
from mcp_servers._fence import clean, fence
from mcp_servers._market_models import Count, NewsFeed, Symbols, Text
from mcp_servers._page import MOST_NS, MOST_OFFSET, make_cursor, read_cursor
from mcp_servers._times import as_of, local_iso, past_span, shown

__all__ = ["RESOURCE_SCOPES", "SCOPES", "register"]

SCOPES: Mapping[str, str] = {"get_news": "market:read", "search_news": "market:read"}
"""What a token needs for each tool."""
RESOURCE_SCOPES: Mapping[str, str] = {}
"""There are no resources here."""

_MOST_WORDS = 200
_USUAL = 20
_MOST_SYMBOLS = 50
_HEADLINE, _BODY, _NAME = 300, 1_000, 60
Limit = Annotated[int, Field(le=50)] | None


def register(server: MCPServer[Any], desk: Desk) -> None:
    """Add the tools.

    Args:
        server: Where they are added.
        desk: Whom they ask.
    """
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=desk.mode == "live")

    @server.tool(annotations=reads)
    async def get_news(
        symbols: Symbols = None,
        start: Text = None,
        end: Text = None,
        days: Count = None,
        hours: Count = None,
        minutes: Count = None,
        limit: Limit = None,
        cursor: Text = None,
    ) -> Annotated[CallToolResult, NewsFeed]:
        """Newest news: untrusted text."""
        names = await _names(desk, symbols)
        question = ("get_news", *names)
        window = await _window(desk, question, cursor, start, end, (days, hours, minutes))
        return await _page(desk, question, "", names, window, _limit(limit))

    @server.tool(annotations=reads)
    async def search_news(
        text: str, symbols: Symbols = None, days: Count = None, limit: Limit = None, cursor: Text = None
    ) -> Annotated[CallToolResult, NewsFeed]:
        """News with all words of text."""
        words = clean(text, _MOST_WORDS)
        if not words:
            raise ToolError(
                "text is empty. Give the words to look for, for example 'guidance raised'; or use get_news."
            )
        names = await _names(desk, symbols)
        question = ("search_news", words.casefold(), *names)
        window = await _window(desk, question, cursor, None, None, (days, None, None))
        return await _page(desk, question, words, names, window, _limit(limit))


def _limit(limit: int | None) -> int:
    if limit is not None and limit < 1:
        raise ToolError(f"limit = {shown(limit)} is too small; allowed: 1 to 50.")
    return limit or _USUAL


async def _names(desk: Desk, symbols: list[str] | None) -> tuple[str, ...]:
    wanted = symbols or []
    if len(wanted) > _MOST_SYMBOLS:
        raise ToolError(
            f"{len(wanted):,} symbols are too many; at most {_MOST_SYMBOLS}. Ask in parts, or for all news."
        )
    return tuple(sorted({(await desk.symbol(symbol[:64])).symbol for symbol in wanted}))


async def _window(
    desk: Desk,
    question: tuple[str, ...],
    cursor: str | None,
    start: str | None,
    end: str | None,
    back: tuple[int | None, int | None, int | None],
) -> tuple[int, int, int]:
    """Return the offset and ``(since_ns, as_of_ns]``; every page of a walk is as of the first one."""
    if cursor:
        offset, since_ns, until_ns = read_cursor(cursor, question, MOST_OFFSET, MOST_NS, MOST_NS)
        return offset, since_ns, until_ns
    span = await past_span(desk, start, end, *back)
    clock = span.clock or await desk.clock()
    return 0, max(0, span.start_ns - 1), min(span.end_ns or clock.now_ns, clock.now_ns)


async def _page(
    desk: Desk,
    question: tuple[str, ...],
    words: str,
    names: tuple[str, ...],
    window: tuple[int, int, int],
    limit: int,
) -> CallToolResult:
    offset, since_ns, until_ns = window
    ask = SearchNews(words, names, since_ns, until_ns, limit, offset)
    page = await desk.ask("feed", ask, NewsPage, timeout_s=30.0)
    timezone = (await desk.info()).timezone
    entries = [_entry(item, timezone) for item in page.items]
    reached = offset + len(entries)
    following = make_cursor(question, reached, since_ns, until_ns) if entries and reached < page.total else ""
    about = f"{', '.join(names)}: " if names else ""
    head = f"{about}{len(entries)} of {page.total} news items as of {desk.stamp(until_ns)}, newest first"
    lines = [line for entry in entries for line in _lines(entry)]
    tail = [f"older: cursor={following}"] if following else []
    structured = {
        **as_of(until_ns, timezone),
        "untrusted": True,
        "total": page.total,
        "items": entries,
        "next_cursor": following,
    }
    return answer("\n".join([head, *([fence(lines)] if lines else []), *tail]), structured)


def _entry(item: NewsItem, timezone: str) -> dict[str, Any]:
    return {
        "id": clean(item.news_id, _NAME),
        "time": local_iso(item.available_time_ns // NS * NS, timezone),
        "symbols": [clean(symbol, _NAME) for symbol in item.symbols[:_MOST_SYMBOLS]],
        "source": clean(item.source, _NAME),
        "headline": clean(item.headline, _HEADLINE),
        "body": clean(item.body, _BODY),
    }


def _lines(entry: Mapping[str, Any]) -> list[str]:
    when = str(entry["time"])[:16].replace("T", " ")
    line = f"{when} | {','.join(entry['symbols']) or '-'} | {entry['source'] or '-'} | {entry['headline']}"
    return [line, f"  {entry['body']}"] if entry["body"] else [line]
