"""One chart or several as an answer: the lines a model reads and the rows a program reads. Not the tools themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from msgspec import structs

from bus.clock import NS
from bus.messages import Chart, ChartSet, FeedClock, Instrument, QueryChart, Timeframe
from mcp_servers._answer import answer
from mcp_servers._desk import Desk
from mcp_servers._page import make_cursor
from mcp_servers._render import BarTexts, RenderedChart
from mcp_servers._times import Span, as_of, zone_of

__all__ = ["TEXTS", "bars_page", "charts_answer", "instrument_of", "instruments_of", "latest_text"]

TEXTS = BarTexts()
"""Lines already made; a line is used again only for an equal bar, so desks of one process may share them."""

_ANSWERS: WeakKeyDictionary[Desk, dict[tuple[Any, ...], tuple[int, str, dict[str, Any]]]] = WeakKeyDictionary()
_MOST_ANSWERS = 256
_HEADER = "time,open,high,low,close,volume"
_MOST_SYMBOLS = 50
_MOST_SYMBOL = 64


async def instrument_of(desk: Desk, symbol: str) -> Instrument:
    """Return the instrument a caller names.

    Raises:
        ToolError: There is none.
    """
    return await desk.symbol(symbol[:_MOST_SYMBOL])


async def instruments_of(desk: Desk, symbols: Sequence[str]) -> list[Instrument]:
    """Return the instruments a caller names, each once; none named is all that the desk trades.

    Raises:
        ToolError: One does not exist, or there are too many.
    """
    wanted = symbols or (await desk.info()).traded[:_MOST_SYMBOLS]
    if len(wanted) > _MOST_SYMBOLS:
        raise ToolError(f"{len(wanted):,} symbols are too many; at most {_MOST_SYMBOLS}. Ask for them in parts.")
    found = [await instrument_of(desk, symbol) for symbol in wanted]
    return list({instrument.symbol: instrument for instrument in found}.values())


async def bars_page(desk: Desk, instrument: Instrument, timeframe: Timeframe, limit: int, span: Span) -> CallToolResult:
    """Answer ``get_bars``: the last ``limit`` bars that open in a span.

    On a recorded day nothing changes but by its clock: an answer already given at this time is given again.

    Raises:
        ToolError: The feed refuses.
    """
    if (await desk.info()).kind == "live":
        return answer(*await _bars(desk, instrument, timeframe, limit, span, -1))
    now_ns = span.clock.now_ns if span.clock is not None else desk.replay_ns()
    if now_ns is None:
        now_ns = (await desk.clock()).now_ns
    key = (instrument.symbol, timeframe, limit, span.start_ns, span.end_ns)
    answers = _ANSWERS.setdefault(desk, {})
    known = answers.get(key)
    if known is None or known[0] != now_ns:
        made = await _bars(desk, instrument, timeframe, limit, span, now_ns)
        if len(answers) >= _MOST_ANSWERS:
            del answers[next(iter(answers))]
        known = answers[key] = (now_ns, *made)
    return answer(known[1], known[2])


async def _bars(
    desk: Desk, instrument: Instrument, timeframe: Timeframe, limit: int, span: Span, as_of_ns: int
) -> tuple[str, dict[str, Any]]:
    # One more than wanted tells whether the span has earlier bars; without a start the chart itself says so.
    asked = limit + 1 if span.start_ns else limit
    ask = QueryChart((instrument.symbol,), (timeframe,), asked, as_of_ns, span.start_ns, span.end_ns)
    answered = await desk.ask("feed", ask, ChartSet, timeout_s=30.0)
    chart = answered.charts[0]
    cut = max(0, len(chart.bars) - limit)
    earlier = bool(cut) if span.start_ns else chart.earlier and bool(chart.bars)
    if cut:
        chart = structs.replace(chart, bars=chart.bars[cut:], missing=chart.missing[cut:])
    cursor = ""
    if earlier:
        question = ("get_bars", instrument.symbol, timeframe)
        cursor = make_cursor(question, chart.bars[0].open_time_ns // NS, -(-span.start_ns // NS))
    text, rendered = await _text(desk, instrument, chart, answered)
    structured = {
        **as_of(answered.now_ns, (await desk.info()).timezone),
        "symbol": instrument.symbol,
        "timeframe": timeframe,
        "csv": rendered.csv,
        "forming": chart.forming,
        "next_cursor": cursor,
    }
    return f"{text}\nearlier bars: cursor={cursor}" if cursor else text, structured


async def latest_text(desk: Desk, instrument: Instrument, timeframe: Timeframe, limit: int) -> str:
    """Return the latest bars as text, for the ``bars://`` resource.

    Raises:
        ToolError: The feed refuses.
    """
    ask = QueryChart((instrument.symbol,), (timeframe,), limit)
    answered = await desk.ask("feed", ask, ChartSet, timeout_s=30.0)
    return (await _text(desk, instrument, answered.charts[0], answered))[0]


def charts_answer(
    desk: Desk, clock: FeedClock, instruments: Sequence[Instrument], sets: Sequence[ChartSet]
) -> CallToolResult:
    """Answer with several charts as of one instant."""
    zone = zone_of(clock.timezone)
    by_symbol = {instrument.symbol: instrument for instrument in instruments}
    legends: dict[str, None] = {}
    lines: list[str] = []
    charts: list[dict[str, Any]] = []
    late = [symbol for answered in sets for symbol in answered.late]
    for chart in (chart for answered in sets for chart in answered.charts):
        rendered = TEXTS.chart(chart, by_symbol[chart.symbol], zone)
        lines.append(f"{chart.symbol} {chart.timeframe}{'' if chart.bars else ': no bars yet'}")
        lines.extend(rendered.lines)
        legends.update(dict.fromkeys(rendered.legend.split("; ") if rendered.legend else ()))
        charts.append(
            {
                "symbol": chart.symbol,
                "timeframe": chart.timeframe,
                "csv": rendered.csv,
                "forming": chart.forming,
            }
        )
    head = [f"{len(charts)} charts as of {desk.stamp(clock)}", _HEADER + (",mark" if legends else "")]
    if legends:
        head.append(f"marks: {'; '.join(legends)}")
    if late:
        head.append(f"late (newest bar not there yet): {', '.join(late)}")
    structured = {**as_of(clock.now_ns, clock.timezone), "charts": charts, "late": late}
    return answer("\n".join([*head, *lines]), structured)


async def _text(desk: Desk, instrument: Instrument, chart: Chart, answered: ChartSet) -> tuple[str, RenderedChart]:
    zone = zone_of((await desk.info()).timezone)
    rendered = TEXTS.chart(chart, instrument, zone)
    count = "1 bar" if len(chart.bars) == 1 else f"{len(chart.bars) or 'no'} bars"
    late = ", newest bar is late" if answered.late else ""
    head = [f"{chart.symbol} {chart.timeframe}: {count} as of {desk.stamp(answered.now_ns)}{late}"]
    if rendered.legend:
        head.append(f"marks: {rendered.legend}")
    if chart.bars:
        head.append(_HEADER + (",mark" if rendered.legend else ""))
    return "\n".join([*head, *rendered.lines]), rendered
