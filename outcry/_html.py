"""Small pieces of the report's page: escaping, tables, numbers, times and the style sheet.

Not a template engine: every text from outside (symbols, reasons, model names) passes ``esc`` on its way in (law 13).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from bus.clock import NS, iso
from bus.fixed import from_nano

__all__ = ["CSS", "Cell", "esc", "local_time", "num", "price_text", "qty_text", "table", "text", "utc_time"]

Cell = tuple[str, str]
"""A table cell: its class (``num``, ``text`` or empty) and its HTML, already escaped."""


def esc(value: object) -> str:
    """Return text from outside as inert HTML: escaped, and without control characters."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))
    return html.escape(clean, quote=True)


def text(value: object) -> Cell:
    """Return a cell of text from outside; ``bdi`` keeps its direction from spilling into the page."""
    return "text", f"<bdi>{esc(value)}</bdi>"


def num(value: object, tone: str = "") -> Cell:
    """Return a cell of a number, right-aligned; ``tone`` is ``good``, ``bad`` or empty."""
    return f"num {tone}".rstrip(), esc(value)


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], empty: str) -> str:
    """Return an HTML table, or the sentence ``empty`` when it has no row.

    A head that starts with ``#`` is a column of numbers.
    """
    if not rows:
        return f'<p class="quiet">{esc(empty)}</p>'
    head = "".join(
        f'<th scope="col"{" class=num" if name.startswith("#") else ""}>{esc(name.removeprefix("#"))}</th>'
        for name in heads
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{inner}</td>' if kind else f"<td>{inner}</td>" for kind, inner in row)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{esc(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def price_text(nano: int) -> str:
    """Return a price with two to four decimals, more below 1."""
    places = 4 if abs(nano) >= NS else 8
    plain = f"{round(from_nano(nano), places):,.{places}f}"
    whole, _, rest = plain.partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"


def qty_text(nano: int) -> str:
    """Return a quantity exactly, with thousands separators."""
    return f"{Decimal(from_nano(nano)):,f}"


def utc_time(ns: int) -> str:
    """Return a time as ``2013-10-07 14:31:00Z``."""
    return iso(ns)


def local_time(ns: int, zone: tzinfo) -> str:
    """Return a time at the venue, such as ``10:31:00 EDT``."""
    return datetime.fromtimestamp(ns // NS, UTC).astimezone(zone).strftime("%H:%M:%S %Z")


CSS = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--quiet:#5d6878;--line:#dde2ea;--grid:#e9edf2;
--accent:#2563c9;--fill:rgba(37,99,201,.12);--up:#12857a;--down:#c2562d;--bad:#b3261e;--good:#12735f;--warn-bg:#fff3d6;
--warn-ink:#7a4b00;--warn-line:#e5b85c;--buy:#1d4ed8;--sell:#b4127a}
@media (prefers-color-scheme:dark){:root{--bg:#11151b;--card:#1a2029;--ink:#e6eaf0;--quiet:#98a4b5;--line:#2d3643;
--grid:#252d38;--accent:#6ea2f5;--fill:rgba(110,162,245,.15);--up:#3fb8a9;--down:#e58a5f;--bad:#ff8a80;--good:#5fd0b0;
--warn-bg:#3a2c0c;--warn-ink:#ffd98a;--warn-line:#7c5f1e;--buy:#8ab4ff;--sell:#ff8fd0}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.6rem;margin:0 0 4px;letter-spacing:-.01em}h2{font-size:1.1rem;margin:0 0 12px}
h3{font-size:.95rem;margin:22px 0 6px}
.sub,.quiet,figcaption,footer{color:var(--quiet);font-size:.87rem}.sub{margin:0}
code{font:.85em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.badge{display:inline-block;padding:2px 10px;border:1px solid var(--line);border-radius:99px;font-size:.8rem;
background:var(--card);margin:10px 6px 0 0}
.warn{background:var(--warn-bg);color:var(--warn-ink);border:1px solid var(--warn-line);border-radius:8px;
padding:10px 14px;margin:16px 0 0;font-weight:600}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin-top:18px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:16px 22px;margin:0}
.tiles dt{color:var(--quiet);font-size:.8rem}
.tiles dd{margin:0;font-size:1.2rem;font-variant-numeric:tabular-nums;white-space:nowrap}
.tiles small{display:block;font-size:.8rem;color:var(--quiet);white-space:normal}
.good{color:var(--good)}.bad{color:var(--bad)}
figure{margin:0 0 22px}figure:last-child{margin-bottom:0}.plot{overflow-x:auto}
svg{display:block;width:100%;min-width:620px;height:auto;font:11px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
svg text{fill:var(--quiet)}svg .grid{stroke:var(--grid)}svg .base{stroke:var(--quiet);stroke-dasharray:3 4}
svg .curve{fill:none;stroke:var(--accent);stroke-width:1.8;stroke-linejoin:round}svg .area{fill:var(--fill)}
svg .fall{fill:var(--down);fill-opacity:.28;stroke:var(--down);stroke-width:1}svg .hit{fill:transparent}
svg .hit:hover{fill:var(--fill)}
svg .up,svg .down{opacity:.72}svg .up line{stroke:var(--up)}svg .up rect{fill:var(--up)}
svg .down line{stroke:var(--down)}svg .down rect{fill:var(--down)}
svg .buy,svg .sell{stroke:var(--card);stroke-width:1.5}svg .buy{fill:var(--buy)}svg .sell{fill:var(--sell)}
.key-buy{color:var(--buy)}.key-sell{color:var(--sell)}
.scroll{overflow:auto;max-height:520px;margin:0 0 14px}
table{border-collapse:collapse;width:100%;font-size:.87rem}
caption{text-align:left;color:var(--quiet);font-size:.8rem;padding-bottom:4px}
th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--quiet);position:sticky;top:0;background:var(--card);white-space:nowrap}
td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.text{overflow-wrap:anywhere}td.time{white-space:nowrap;font-variant-numeric:tabular-nums}
ul{margin:0;padding-left:1.2em}footer{margin-top:22px}
@media print{section{break-inside:avoid}.scroll{max-height:none;overflow:visible}}
"""
"""The page's whole style; colours follow the reader's light or dark setting."""
