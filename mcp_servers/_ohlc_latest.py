"""The newest of everything: last bars, quotes and a day's summary, a line a symbol. Not the tools themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mcp.types import CallToolResult

from bus.clock import NS
from bus.messages import Bar, Chart, ChartSet, Instrument, QueryChart, QuerySnapshot, Quote, Snapshot, Timeframe
from mcp_servers._answer import answer
from mcp_servers._desk import Desk
from mcp_servers._ohlc_bars import TEXTS, instruments_of
from mcp_servers._render import CSV_HEADER, decimals, decimals_of
from mcp_servers._times import as_of, zone_of

__all__ = ["latest_bars", "latest_quotes", "snapshots"]


async def latest_bars(desk: Desk, symbols: Sequence[str], timeframe: Timeframe) -> CallToolResult:
    """Answer ``get_latest_bar``.

    Raises:
        ToolError: A symbol does not exist, or the feed refuses.
    """
    instruments = await instruments_of(desk, symbols)
    ask = QueryChart(tuple(item.symbol for item in instruments), (timeframe,), 1)
    answered = await desk.ask("feed", ask, ChartSet, timeout_s=30.0)
    zone = zone_of((await desk.info()).timezone)
    by_symbol = {item.symbol: item for item in instruments}
    lines: list[str] = []
    rows: list[str] = []
    legends: dict[str, None] = {}
    for chart in answered.charts:
        rendered = TEXTS.chart(chart, by_symbol[chart.symbol], zone)
        if not chart.bars:
            lines.append(f"{chart.symbol},none yet")
            continue
        day = f"{rendered.lines[0]} " if len(rendered.lines) > 1 else ""
        lines.append(f"{chart.symbol},{day}{rendered.lines[-1]}")
        forming = "yes" if chart.forming else "no"
        rows.append(f"{chart.symbol},{rendered.csv.rsplit(chr(10), 1)[-1]},{forming}")
        legends.update(dict.fromkeys(rendered.legend.split("; ") if rendered.legend else ()))
    head = [f"latest {timeframe} bars as of {desk.stamp(answered.now_ns)}"]
    if legends:
        head.append(f"marks: {'; '.join(legends)}")
    if answered.late:
        head.append(f"late (newest bar not there yet): {', '.join(answered.late)}")
    head.append(f"symbol,time,open,high,low,close,volume{',mark' if legends else ''}")
    columns = f"symbol,{CSV_HEADER},forming"
    return _table(answered.now_ns, zone.key, [*head, *lines], columns, rows)


async def latest_quotes(desk: Desk, symbols: Sequence[str]) -> CallToolResult:
    """Answer ``get_latest_quote``.

    Raises:
        ToolError: A symbol does not exist, or the feed refuses.
    """
    instruments = await instruments_of(desk, symbols)
    snapshot = await _snapshot(desk, instruments)
    timezone = (await desk.info()).timezone
    quotes = {quote.symbol: quote for quote in snapshot.quotes}
    columns = "symbol,time,bid,ask,spread,bid_size,ask_size"
    lines = [f"latest quotes as of {desk.stamp(snapshot.now_ns)}", columns]
    rows: list[str] = []
    for item in instruments:
        quote = quotes.get(item.symbol)
        if quote is None:
            lines.append(f"{item.symbol},none yet")
            continue
        told = _quoted(quote, item)
        lines.append(f"{item.symbol},{_when(quote.event_time_ns, snapshot.now_ns, timezone)},{told}")
        rows.append(f"{item.symbol},{quote.event_time_ns // NS},{told}")
    return _table(snapshot.now_ns, timezone, lines, columns, rows)


async def snapshots(desk: Desk, symbols: Sequence[str]) -> CallToolResult:
    """Answer ``get_snapshot``.

    Raises:
        ToolError: A symbol does not exist, or the feed refuses.
    """
    instruments = await instruments_of(desk, symbols)
    snapshot = await _snapshot(desk, instruments)
    names = tuple(item.symbol for item in instruments)
    ask = QueryChart(names, ("1Day",), 2, snapshot.now_ns)
    days = await desk.ask("feed", ask, ChartSet, timeout_s=30.0)
    timezone = (await desk.info()).timezone
    bars = {bar.symbol: bar for bar in snapshot.bars}
    quotes = {quote.symbol: quote for quote in snapshot.quotes}
    charts = {chart.symbol: chart for chart in days.charts}
    columns = "symbol,time,last,bid,ask,day_open,day_high,day_low,day_volume,previous_close,change_percent"
    lines = [f"snapshot as of {desk.stamp(snapshot.now_ns)}; change against the previous close, else the day's open"]
    lines.append(columns)
    rows: list[str] = []
    for item in instruments:
        bar = bars.get(item.symbol)
        if bar is None:
            lines.append(f"{item.symbol},none yet")
            continue
        told = _summary(bar, quotes.get(item.symbol), charts.get(item.symbol), item)
        lines.append(f"{item.symbol},{_when(bar.event_time_ns, snapshot.now_ns, timezone)},{told}")
        rows.append(f"{item.symbol},{bar.event_time_ns // NS},{told}")
    return _table(snapshot.now_ns, timezone, lines, columns, rows)


def _table(now_ns: int, timezone: str, lines: Sequence[str], columns: str, rows: Sequence[str]) -> CallToolResult:
    structured = {**as_of(now_ns, timezone), "csv": "\n".join([columns, *rows]), "next_cursor": ""}
    return answer("\n".join(lines), structured)


async def _snapshot(desk: Desk, instruments: Sequence[Instrument]) -> Snapshot:
    names = tuple(item.symbol for item in instruments)
    return await desk.ask("feed", QuerySnapshot(names, -1), Snapshot, timeout_s=30.0)


def _when(ns: int, now_ns: int, timezone: str) -> str:
    zone = zone_of(timezone)
    local = datetime.fromtimestamp(ns // NS, zone)
    today = datetime.fromtimestamp(now_ns // NS, zone).date() == local.date()
    return f"{local:%H:%M:%S}" if today else f"{local:%Y-%m-%d %H:%M:%S}"


def _quoted(quote: Quote, item: Instrument) -> str:
    places = decimals_of(item.tick_nano)
    sizes = [decimals(size, 0) if size else "" for size in (quote.bid_size_nano, quote.ask_size_nano)]
    prices = [decimals(price, places) for price in (quote.bid_nano, quote.ask_nano, quote.ask_nano - quote.bid_nano)]
    return ",".join([*prices, *sizes])


def _summary(bar: Bar, quote: Quote | None, chart: Chart | None, item: Instrument) -> str:
    places = decimals_of(item.tick_nano)
    day = chart.bars[-1] if chart is not None and chart.bars else None
    before = chart.bars[-2] if chart is not None and len(chart.bars) > 1 else None
    fields = [decimals(bar.close_nano, places)]
    fields += ["", ""] if quote is None else [decimals(quote.bid_nano, places), decimals(quote.ask_nano, places)]
    if day is None:
        return ",".join([*fields, "", "", "", "", "", ""])
    fields += [decimals(price, places) for price in (day.open_nano, day.high_nano, day.low_nano)]
    fields.append(decimals(day.volume_nano, 0) if item.has_volume else "")
    fields.append("" if before is None else decimals(before.close_nano, places))
    return ",".join([*fields, _percent(bar.close_nano, day.open_nano if before is None else before.close_nano)])


def _percent(now: int, then: int) -> str:
    """Return a change in hundredths of a percent, rounded half away from zero."""
    if then <= 0:
        return ""
    change = now - then
    hundredths = (abs(change) * 20_000 + then) // (2 * then)
    return f"{'-' if change < 0 and hundredths else ''}{hundredths // 100}.{hundredths % 100:02d}"
