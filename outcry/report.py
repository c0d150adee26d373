"""The page a person looks at after a run: ``report.html``, one file that asks for nothing from anywhere.

Not an analysis: it shows what the event log says, beside the conventions the numbers rest on. Everything from outside
(symbols, model names, reasons) is escaped, and the page forbids scripts and requests by its own policy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from datetime import UTC, tzinfo
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from bus.fixed import SCALE, notional_nano
from bus.messages import Fill, Verdict
from feed.format import RecordedDay, load_day
from outcry._facts import Facts, gather
from outcry._html import CSS, Cell, esc, local_time, num, price_text, qty_text, table, text, utc_time
from outcry._svg import Candle, EquityPoint, Mark, candle_chart, equity_chart, gather_candles, thin
from outcry.summary import RunMeta, Summary, money_text, summary_of

__all__ = ["render", "write_report"]

_EXAMPLES = 2


def write_report(run_dir: Path, meta: RunMeta, summary: Summary | None = None) -> Path:
    """Write ``report.html`` of a finished run and return its path.

    Args:
        run_dir: The folder of the run; it holds ``trace.sqlite``.
        meta: What the log does not say; with ``day_path`` the page has candles.
        summary: The figures, where they are at hand already.

    Raises:
        JournalError: The log is missing or its chain is broken.
        DayError: The day does not match its seal any more.
    """
    facts = gather(run_dir)
    day = load_day(meta.day_path) if meta.day_path is not None else None
    path = run_dir / "report.html"
    path.write_text(render(facts, summary or summary_of(facts, meta), day), encoding="utf-8")
    return path


def render(facts: Facts, summary: Summary, day: RecordedDay | None = None) -> str:
    """Return the page.

    Args:
        facts: What the event log says.
        summary: The figures of the same run.
        day: The day, for candles and the venue's time zone; None leaves both out.
    """
    zone = _zone(day)
    body = [
        _header(facts, summary, zone),
        _section("Key figures", _tiles(facts, summary)),
        _section("Equity", _equity(facts, summary, zone)),
        _section("Prices and fills", _charts(facts, day, zone)),
        _section("Fills", _fills(facts, summary, day, zone)),
        _section("Denied by the gate", _denials(facts)),
        _section("Models and held stages", _models(facts)),
        _section("Positions at the end", _positions(facts, summary, day)),
        _section("How to read these numbers", _conventions(summary)),
    ]
    title = esc(f"{summary.meta.day} · {summary.meta.run_id}")
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{CSS}</style></head><body><main>{''.join(body)}{_footer(summary)}</main></body></html>\n"
    )


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{esc(title)}</h2>{inner}</section>"


def _zone(day: RecordedDay | None) -> tzinfo:
    if day is None:
        return UTC
    try:
        return ZoneInfo(day.manifest.timezone)
    except (KeyError, ValueError, OSError):  # a machine without that zone's data still gets a page, in UTC
        return UTC


def _zone_name(zone: tzinfo) -> str:
    return "UTC" if zone is UTC else str(zone)


def _signed(nano: int) -> str:
    return f"+{money_text(nano)}" if nano > 0 else money_text(nano)


def _tone(nano: int) -> str:
    return "good" if nano > 0 else "bad" if nano < 0 else ""


# --- the top ----------------------------------------------------------------------------------------------------------


def _header(facts: Facts, summary: Summary, zone: tzinfo) -> str:
    meta = summary.meta
    span = "no instant was reached"
    if facts.equity:
        first, last = facts.equity[0][0], facts.equity[-1][0]
        span = f"{utc_time(first)} to {utc_time(last)}"
        if zone is not UTC:
            span += f" ({local_time(first, zone)} to {local_time(last, zone)}, {_zone_name(zone)})"
    badges = [meta.kind, meta.mode, f"model {meta.model}", f"outcome: {meta.outcome or 'the day ended'}"]
    told = "".join(f'<span class="badge"><bdi>{esc(badge)}</bdi></span>' for badge in badges)
    warning = ""
    if meta.kind == "synthetic":
        warning = (
            '<p class="warn">SYNTHETIC DATA: these prices were made up by a program. No market moved like this.</p>'
        )
    return (
        f"<header><h1><bdi>{esc(meta.day)}</bdi></h1>"
        f'<p class="sub">Run <code>{esc(meta.run_id)}</code> · {esc(span)}</p>'
        f"{told}{warning}</header>"
    )


def _tiles(facts: Facts, summary: Summary) -> str:
    meta = summary.meta
    change = summary.end_equity_nano - meta.start_equity_nano
    percent = Decimal(change * 100) / meta.start_equity_nano if meta.start_equity_nano else Decimal(0)
    denied = sum(summary.denied.values())
    first = meta.first_decision_seconds
    tiles: list[tuple[str, str, str, str]] = [
        ("Equity at the end", f"{money_text(summary.end_equity_nano)} {meta.currency}", "",
         f"from {money_text(meta.start_equity_nano)}"),
        ("Profit or loss after fees", f"{_signed(change)} {meta.currency}", _tone(change), f"{percent:+.3f} %"),
        ("Largest drawdown", f"{summary.max_drawdown * 100:.3f} %", "",
         f"{money_text(summary.max_drawdown_nano)} {meta.currency}"),
        ("Fees", f"{money_text(summary.fees_nano)} {meta.currency}", "", f"over {_count(summary.fills, 'fill')}"),
        ("Cycles", f"{summary.cycles:,}", "", f"{_count(len(facts.equity), 'instant')}, {_count(meta.bars, 'bar')}"),
        ("Intents", f"{summary.intents:,}", "", f"{summary.dropped:,} dropped by sentiment"),
        ("Approved", f"{summary.approved:,}", "", f"{denied:,} denied"),
        ("Orders sent", f"{summary.orders:,}", "", _count(summary.fills, "fill")),
        ("Model calls", f"{summary.model_calls:,}", "", f"{sum(summary.degraded.values()):,} held answers"),
        ("Wall time", f"{meta.wall_seconds:,.1f} s", "",
         f"{_count(meta.restarts, 'restart')}" + ("" if first is None else f", first decision {first:.1f} s")),
    ]  # fmt: skip
    return (
        '<dl class="tiles">'
        + "".join(
            f'<div><dt>{esc(name)}</dt><dd class="{tone}">{esc(value)}<small>{esc(note)}</small></dd></div>'
            for name, value, tone, note in tiles
        )
        + "</dl>"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


# --- pictures ---------------------------------------------------------------------------------------------------------


def _equity(facts: Facts, summary: Summary, zone: tzinfo) -> str:
    if not facts.equity:
        return '<p class="quiet">The run ended before the first instant.</p>'
    meta = summary.meta
    points: list[EquityPoint] = []
    peak = meta.start_equity_nano
    for now_ns, equity in facts.equity:
        peak = max(peak, equity)
        points.append(EquityPoint(now_ns, equity / SCALE, (peak - equity) / peak if peak > 0 else 0.0))
    label = (
        f"Equity from {money_text(meta.start_equity_nano)} to {money_text(summary.end_equity_nano)} {meta.currency}, "
        f"largest drawdown {summary.max_drawdown * 100:.3f} percent"
    )
    picture = equity_chart(thin(points), meta.start_equity_nano / SCALE, meta.currency, zone, label)
    return (
        f'<figure><div class="plot">{picture}</div><figcaption>Above: equity in {esc(meta.currency)} after fees, '
        f"marked at the last close; the dashed line is the start. Below: distance from the highest equity "
        f"so far, in percent. Times in {esc(_zone_name(zone))}.</figcaption></figure>"
    )


def _bars_of(day: RecordedDay) -> dict[str, list[Candle]]:
    """Return each symbol's bars; where a day has only quotes, from the middle of bid and ask."""
    found: dict[str, list[Candle]] = defaultdict(list)
    if columns := day.tables.get("bars"):
        names = ("symbol", "open_time", "event_time", "open", "high", "low", "close")
        for symbol, *row in zip(*(columns[name] for name in names), strict=True):
            found[symbol].append(Candle(*row))
    if columns := day.tables.get("quotes"):
        quoted: dict[str, list[Candle]] = defaultdict(list)
        names = ("symbol", "open_time", "event_time", "bid_open", "ask_open", "bid", "ask")
        for symbol, start, end, bid_open, ask_open, bid, ask in zip(*(columns[name] for name in names), strict=True):
            first, last = (bid_open + ask_open) / 2, (bid + ask) / 2
            quoted[symbol].append(Candle(start, end, first, max(first, last), min(first, last), last))
        for symbol, candles in quoted.items():
            found.setdefault(symbol, candles)
    return found


def _span_text(seconds: int) -> str:
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return _count(seconds // size, noun)
    return _count(seconds, "second")


def _charts(facts: Facts, day: RecordedDay | None, zone: tzinfo) -> str:
    by_symbol: dict[str, list[Fill]] = defaultdict(list)
    for fill in facts.fills:
        by_symbol[fill.symbol].append(fill)
    if not by_symbol:
        return '<p class="quiet">Nothing was filled, so there is nothing to mark.</p>'
    bars = _bars_of(day) if day is not None else {}
    seconds = day.manifest.bar_s if day is not None else 60
    figures = [_figure(symbol, bars.get(symbol, []), by_symbol[symbol], seconds, zone) for symbol in sorted(by_symbol)]
    return "".join(figures)


def _figure(symbol: str, bars: list[Candle], fills: list[Fill], bar_s: int, zone: tzinfo) -> str:
    if not bars:
        return f'<p class="quiet"><bdi>{esc(symbol)}</bdi>: {_count(len(fills), "fill")}; the day was not at hand.</p>'
    candles, span_s = gather_candles(bars, bar_s)
    marks = _marks(fills, candles, zone)
    bought = sum(1 for fill in fills if fill.side == "buy")
    label = f"{symbol}: {len(candles)} candles of {_span_text(span_s)}, {bought} buys and {len(fills) - bought} sells"
    return (
        f"<figure><h3><bdi>{esc(symbol)}</bdi></h3>"
        f'<div class="plot">{candle_chart(candles, marks, zone, label)}</div>'
        f'<figcaption><span class="key-buy">▲</span> {_count(bought, "buy fill")}, '
        f'<span class="key-sell">▼</span> {_count(len(fills) - bought, "sell fill")}; the tip is at time and price; '
        f"fills of one order inside a candle share a mark. "
        f"One candle is {_span_text(span_s)}. Times in {esc(_zone_name(zone))}.</figcaption></figure>"
    )


def _marks(fills: list[Fill], candles: list[Candle], zone: tzinfo) -> list[Mark]:
    """Return one mark for the fills of an order inside one candle, at their average price: partial fills pile up."""
    starts = [candle.start_ns for candle in candles]
    groups: dict[tuple[str, int], list[Fill]] = defaultdict(list)
    for fill in fills:
        groups[(fill.client_order_id, bisect_right(starts, fill.time_ns))].append(fill)
    marks: list[Mark] = []
    for group in groups.values():
        first, qty_nano = group[0], sum(fill.qty_nano for fill in group)
        price_nano = sum(fill.price_nano * fill.qty_nano for fill in group) // qty_nano
        when = utc_time(first.time_ns) + ("" if zone is UTC else f" ({local_time(first.time_ns, zone)})")
        parts = f" in {len(group)} fills, from" if len(group) > 1 else ","
        told = f"{first.side} {qty_text(qty_nano)} {first.symbol} at {price_text(price_nano)}{parts} {when}"
        marks.append(Mark(first.time_ns, price_nano / SCALE, first.side, told))
    return marks


# --- tables -----------------------------------------------------------------------------------------------------------


def _multipliers(day: RecordedDay | None) -> dict[str, int]:
    return {item.symbol: item.multiplier for item in day.instruments} if day is not None else {}


def _fills(facts: Facts, summary: Summary, day: RecordedDay | None, zone: tzinfo) -> str:
    reasons = {intent.client_order_id: intent for intent in facts.intents}
    multiplier = _multipliers(day)
    heads = ["UTC", "Venue", "Symbol", "Side", "#Quantity", "#Price", "#Notional", "#Fee", "Strategy", "Reason"]
    rows: list[list[Cell]] = []
    for fill in facts.fills:
        intent = reasons.get(fill.client_order_id)
        worth = notional_nano(fill.price_nano, fill.qty_nano, multiplier.get(fill.symbol, 1))
        arrow = "▲ buy" if fill.side == "buy" else "▼ sell"
        rows.append(
            [
                ("time", esc(utc_time(fill.time_ns))),
                ("time", esc(local_time(fill.time_ns, zone))),
                text(fill.symbol),
                ("time", f'<span class="key-{fill.side}">{arrow}</span>'),
                num(qty_text(fill.qty_nano)),
                num(price_text(fill.price_nano)),
                num(money_text(worth)),
                num(money_text(fill.fee_nano, 4)),
                text(intent.strategy if intent else ""),
                text(intent.reason if intent else ""),
            ]
        )
    if zone is UTC:
        heads.pop(1)
        for row in rows:
            row.pop(1)
    caption = f"{_count(len(rows), 'fill')}; notional and fee in {summary.meta.currency}"
    ended = "".join(
        f"<li><bdi>{esc(reason)}</bdi>: {_count(count, 'order')}</li>"
        for reason, count in sorted(facts.rejected.items())
    )
    unfilled = f'<h3>Orders that ended without a further fill</h3><ul class="quiet">{ended}</ul>' if ended else ""
    return table(caption, heads, rows, "No order was filled.") + unfilled


def _denials(facts: Facts) -> str:
    by_code: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in facts.verdicts:
        if not verdict.approved:
            by_code[verdict.code].append(verdict)
    rows: list[list[Cell]] = []
    for code, verdicts in sorted(by_code.items(), key=lambda item: (-len(item[1]), item[0])):
        symbols = ", ".join(sorted({verdict.symbol for verdict in verdicts}))
        examples = list(dict.fromkeys(verdict.message for verdict in verdicts))[:_EXAMPLES]
        said = "<br>".join(f"<bdi>{esc(message)}</bdi>" for message in examples)
        rows.append([("", f"<code>{esc(code)}</code>"), num(f"{len(verdicts):,}"), text(symbols), ("text", said)])
    heads = ["Reason", "#Times", "Symbols", "What the gate said"]
    return table("By reason, most frequent first", heads, rows, "The gate denied nothing.")


def _models(facts: Facts) -> str:
    calls: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    errors: Counter[tuple[str, str, str]] = Counter()
    for stage, call in facts.calls:
        row = calls[(stage, call.model)]
        for at, value in enumerate((1, 1 if call.error else 0, call.prompt_tokens, call.answer_tokens)):
            row[at] += value
        if call.error:
            errors[(stage, call.model, call.error)] += 1
    asked: list[list[Cell]] = [
        [text(stage), text(model), *(num(f"{value:,}") for value in row), text(_errors_of(errors, stage, model))]
        for (stage, model), row in sorted(calls.items())
    ]
    held: list[list[Cell]] = [
        [text(stage), ("", f"<code>{esc(reason)}</code>"), num(f"{count:,}")]
        for (stage, reason), count in sorted(facts.degraded.items())
    ]
    heads = ["Stage", "Model", "#Calls", "#Failed", "#Tokens read", "#Tokens written", "Why failed"]
    return table("Questions to models", heads, asked, "No model was asked.") + table(
        "Stages that held instead of answering", ["Stage", "Reason", "#Times"], held, "No stage was held."
    )


def _errors_of(errors: Counter[tuple[str, str, str]], stage: str, model: str) -> str:
    return ", ".join(f"{key[2]} {count:,}" for key, count in sorted(errors.items()) if key[:2] == (stage, model))


def _positions(facts: Facts, summary: Summary, day: RecordedDay | None) -> str:
    if facts.account is None:
        return '<p class="quiet">There is no account.</p>'
    multiplier = _multipliers(day)
    rows: list[list[Cell]] = []
    for position in facts.account.positions:
        units = multiplier.get(position.symbol, 1)
        worth = notional_nano(position.mark_nano, position.qty_nano, units)
        open_nano = notional_nano(position.mark_nano - position.avg_price_nano, position.qty_nano, units)
        if not position.qty_nano:
            open_nano = 0
        rows.append(
            [
                text(position.symbol),
                num(qty_text(position.qty_nano)),
                num(price_text(position.avg_price_nano) if position.qty_nano else "-"),
                num(price_text(position.mark_nano)),
                num(money_text(worth)),
                num(_signed(open_nano), _tone(open_nano)),
                num(_signed(position.realized_nano), _tone(position.realized_nano)),
            ]
        )
    heads = ["Symbol", "#Quantity", "#Average cost", "#Mark", "#Value", "#Not realised", "#Realised"]
    caption = f"Cash {money_text(facts.account.cash_nano)} {summary.meta.currency}; amounts in {summary.meta.currency}"
    empty = f"No position was ever held; cash {money_text(facts.account.cash_nano)} {summary.meta.currency}."
    return table(caption, heads, rows, empty)


def _conventions(summary: Summary) -> str:
    return f"<ul>{''.join(f'<li>{esc(sentence)}</li>' for sentence in summary.meta.conventions)}</ul>"


def _footer(summary: Summary) -> str:
    return (
        f"<footer>Event log <code>{esc(summary.trace_hash)}</code>: the same day, model and seed give the same hash. "
        "This page is one file and asks for nothing from anywhere.</footer>"
    )
