"""Technical indicators for models: the whole catalogue, several at once, computed as of the clock on enough history.

Not the arithmetic, which is ``quant.catalogue``, and not a source of bars.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BeforeValidator

from bus.clock import NS
from bus.errors import UsageError
from bus.messages import Chart, ChartSet, Instrument, QueryChart, Timeframe
from mcp_servers._answer import answer
from mcp_servers._desk import Desk
from mcp_servers._indicator_models import IndicatorList, IndicatorsPage
from mcp_servers._indicator_rows import Rows, make_rows
from mcp_servers._page import MOST_S, make_cursor, read_cursor
from mcp_servers._times import as_of, past_span, shown
from quant.catalogue import CATALOGUE, Indicator, Wanted, describe, parse, written

__all__ = ["RESOURCE_SCOPES", "SCOPES", "register"]

SCOPES: Mapping[str, str] = dict.fromkeys(("list_indicators", "get_indicators"), "market:read")
"""What a token needs for each tool."""
RESOURCE_SCOPES: Mapping[str, str] = {}
"""There are no resources here."""

_GROUPS: tuple[str, ...] = tuple(dict.fromkeys(row.group for row in CATALOGUE.values()))
_MOST_WANTED = 20
_MOST_VALUES = 5_000
_MOST_HISTORY = 5_000
_DETAILED = 6
_USUAL_ROWS, _MOST_ROWS = 20, 500
_COMMA = re.compile(r"[,;](?![^()]*\))")


def _parted(value: object) -> object:
    """Return indicators that came as one text, as weaker models send them, in a list."""
    return _COMMA.split(value) if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_parted)]


def register(server: MCPServer[Any], desk: Desk) -> None:
    """Add the tools.

    Args:
        server: Where they are added.
        desk: Whom they ask.
    """
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=desk.mode == "live")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    async def list_indicators(text: str | None = None) -> Annotated[CallToolResult, IndicatorList]:
        """Indicators; text: group or words."""
        found = _matching(text or "")
        if not found:
            raise ToolError(
                f"no indicator has {shown(text)} in its name or description. "
                f"Groups: {', '.join(_GROUPS)}. Leave text out for all."
            )
        return answer(_listing(found), {"total": len(CATALOGUE), "indicators": [_entry(row) for row in found]})

    @server.tool(annotations=reads)
    async def get_indicators(
        symbol: str,
        indicators: Names,
        timeframe: Timeframe = "1Min",
        limit: int | None = None,
        start: str | None = None,
        end: str | None = None,
        days: int | None = None,
        hours: int | None = None,
        minutes: int | None = None,
        cursor: str | None = None,
    ) -> Annotated[CallToolResult, IndicatorsPage]:
        """Values (20 bars) of rsi, macd(12,26,9), bbands.upper, psar.all…; start, end: ISO 8601."""
        count = _USUAL_ROWS if limit is None else limit
        wanted = _wanted(indicators, count)
        instrument = await desk.symbol(symbol[:64])
        _has_volume(wanted, instrument)
        question = ("get_indicators", instrument.symbol, timeframe)
        if cursor:
            end_s, start_s = read_cursor(cursor, question, MOST_S, MOST_S)
            start_ns, end_ns = start_s * NS, end_s * NS
        else:
            start_ns, end_ns, _ = await past_span(desk, start, end, days, hours, minutes)
        settle = max(each.indicator.settle(each.params) for each in wanted)
        # One bar more than shown tells whether there are earlier rows to page to.
        history = min(count + max(settle, 2), _MOST_HISTORY)
        asked = QueryChart((instrument.symbol,), (timeframe,), history, -1, 0, end_ns)
        answered = await desk.ask("feed", asked, ChartSet, timeout_s=30.0)
        chart = answered.charts[0]
        first = max(len(chart.bars) - count, 0)
        while first < len(chart.bars) and chart.bars[first].open_time_ns < start_ns:
            first += 1
        timezone = (await desk.info()).timezone
        try:
            rows = await asyncio.to_thread(make_rows, chart, first, wanted, instrument, timezone)
        except UsageError as error:
            raise ToolError(str(error)) from error
        earlier = 0 < first < len(chart.bars) and chart.bars[first - 1].open_time_ns >= start_ns
        following = make_cursor(question, chart.bars[first].open_time_ns // NS, -(-start_ns // NS)) if earlier else ""
        missing = sum(chart.missing)
        lines = _told(desk, chart, rows, answered, missing)
        if following:
            lines.append(f"earlier rows: cursor={following}")
        structured = {
            **as_of(answered.now_ns, timezone),
            "symbol": instrument.symbol,
            "timeframe": timeframe,
            "csv": rows.csv,
            "forming": chart.forming and rows.count > 0,
            "gaps": rows.gaps,
            "missing": missing,
            "unsettled": rows.unsettled,
            "cumulative": rows.cumulative,
            "next_cursor": following,
        }
        return answer("\n".join(lines), structured)


def _wanted(texts: Sequence[str], limit: int) -> list[Wanted]:
    """Return what is asked for, each column once.

    Raises:
        ToolError: An unknown indicator, a bad parameter, none, or too many.
    """
    if not 0 < limit <= _MOST_ROWS:
        raise ToolError(
            f"limit = {shown(limit)} is out of range. Give 1 to {_MOST_ROWS} rows; cursor has earlier ones."
        )
    if not 0 < len(texts) <= _MOST_WANTED:
        raise ToolError(
            f"{len(texts)} indicators were asked for; give 1 to {_MOST_WANTED}, for example ['rsi(14)', 'macd']. "
            "list_indicators has their names."
        )
    try:
        wanted = [parse(text) for text in texts]
    except UsageError as error:
        raise ToolError(str(error)) from error
    columns = sum(len(each.outputs) for each in wanted)
    if columns * limit > _MOST_VALUES:
        raise ToolError(
            f"{columns} columns × {limit} rows are too many; at most {_MOST_VALUES:,} values. Lower limit to "
            f"{_MOST_VALUES // columns} or ask for fewer indicators."
        )
    return wanted


def _has_volume(wanted: Sequence[Wanted], instrument: Instrument) -> None:
    without = [each.label for each in wanted if "volume" in each.indicator.inputs]
    if without and not instrument.has_volume:
        raise ToolError(
            f"{', '.join(without)} cannot be computed: the venue reports no volume for {instrument.symbol} "
            f"({instrument.kind}). Ask again without, or for a symbol that has volume (list_symbols)."
        )


def _told(desk: Desk, chart: Chart, rows: Rows, answered: ChartSet, missing: int) -> list[str]:
    count = "1 row" if rows.count == 1 else f"{rows.count or 'no'} rows"
    late = ", newest bar is late" if answered.late else ""
    forming = ", last bar still forming" if chart.forming and rows.count else ""
    head = [f"{chart.symbol} {chart.timeframe}: {count} as of {desk.stamp(answered.now_ns)}{late}{forming}"]
    notes: list[str] = []
    if rows.unsettled:
        begins = desk.local(chart.bars[0].open_time_ns)
        notes.append(f"~: too little warm-up, history begins {begins:%Y-%m-%d %H:%M %Z}; blank: no value")
    if rows.cumulative:
        notes.append(f"from the first row: {', '.join(rows.cumulative)}")
    if rows.gaps:
        notes.append(f"{rows.gaps} of {len(chart.bars) + rows.gaps} bars missing, neighbours taken as adjacent")
    if missing:
        notes.append(f"{missing} base bars missing in the {len(chart.bars)} bars used")
    if notes:
        head.append("; ".join(notes))
    if rows.count:
        head.append(rows.header)
    return [*head, *rows.lines]


def _matching(text: str) -> list[Indicator]:
    """Return the rows that have every word: a whole group's by its name, others by name, outputs and description."""
    words = text.lower().split()
    groups = [word for word in words if word in _GROUPS]
    found = [row for row in CATALOGUE.values() if all(row.group == group for group in groups)]
    return [row for row in found if all(word == row.group or word in _told_of(row) for word in words)]


def _told_of(row: Indicator) -> str:
    return " ".join([row.name, row.about, *row.aliases, *(output.name for output in row.outputs)]).lower()


def _listing(found: Sequence[Indicator]) -> str:
    lines = [f"{len(found)} of {len(CATALOGUE)} indicators: name(parameters) outputs, those in brackets if asked for"]
    group = ""
    for row in found:
        if row.group != group:
            group = row.group
            lines.append(f"{group}:")
        params = ",".join(f"{name}={written(value)}" for name, value in row.defaults().items())
        names = [output.name for output in row.outputs]
        named = f" {' '.join(names[: row.shown])}" if len(names) > 1 else ""
        rest = f" [{' '.join(names[row.shown :])}]" if row.shown < len(names) else ""
        volume = "; needs volume" if "volume" in row.inputs else ""
        lines.append(f"{row.name}{f'({params})' if params else ''}{named}{rest} - {row.about}{volume}")
        if len(found) <= _DETAILED:
            lines.append(f"  {describe(row)}; first value after {row.bars(row.defaults())} bars")
    return "\n".join(lines)


def _entry(row: Indicator) -> dict[str, Any]:
    defaults = row.defaults()
    return {
        "name": row.name,
        "group": row.group,
        "about": row.about,
        "needs": list(row.inputs),
        "params": [
            {"name": param.name, "default": param.default, "low": param.low, "high": param.high} for param in row.params
        ],
        "outputs": [
            {"name": output.name, "unit": output.unit, "bars": output.bars(defaults)} for output in row.outputs
        ],
        "shown": row.shown,
        "differs": row.why,
    }
