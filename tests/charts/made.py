"""Bars for the tests: minutes of a session, whole or with holes, and a plain recomputation to compare with."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pytest

from bus.clock import NS
from bus.messages import Bar, Chart
from feed.charts import ChartBook
from feed.format import load_day
from feed.importer import import_folder
from feed.sessions import SessionCalendar, session_calendar
from feed.store import DayStore

ROOT = Path(__file__).resolve().parents[2]
MINUTE = 60 * NS
XNYS = "XNYS"


def ns(text: str) -> int:
    """UTC nanoseconds of ``2024-03-13 13:30``."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def utc(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS, UTC).strftime("%m-%d %H:%M")


def opens(chart: Chart) -> list[str]:
    return [utc(bar.open_time_ns) for bar in chart.bars]


def bar(open_ns: int, price: int = 100, *, symbol: str = "AAA", seconds: int = 60, available: int = 0) -> Bar:
    end = open_ns + seconds * NS
    return Bar(symbol, open_ns, end, max(end, available), price, price + 3, price - 2, price + 1, 10 + price % 7)


def minutes(first_ns: int, count: int, symbol: str = "AAA") -> list[Bar]:
    return [bar(first_ns + at * MINUTE, 1_000 + at * 37 % 101, symbol=symbol) for at in range(count)]


def session_minutes(code: str, date: str, symbol: str = "AAA") -> list[Bar]:
    session = session_calendar(code).session_on(date)
    assert session is not None
    return minutes(session.open_ns, (session.close_ns - session.open_ns) // MINUTE, symbol)


def book(*parts: list[Bar], code: str = XNYS, base_s: int = 60, keep: int = 5_000) -> ChartBook:
    made = ChartBook(session_calendar(code), base_s, keep)
    for part in parts:
        for one in part:
            made.add(one)
    return made


def folded(bars: list[Bar], open_ns: int, end_ns: int) -> Bar:
    """One bar of several, in the plainest way."""
    ordered = sorted(bars, key=lambda one: one.open_time_ns)
    labels = {one.session for one in ordered}
    return Bar(
        ordered[0].symbol,
        open_ns,
        end_ns,
        max(one.available_time_ns for one in ordered),
        ordered[0].open_nano,
        max(one.high_nano for one in ordered),
        min(one.low_nano for one in ordered),
        ordered[-1].close_nano,
        sum(one.volume_nano for one in ordered),
        labels.pop() if len(labels) == 1 else "",
    )


def calendar(code: str = XNYS) -> SessionCalendar:
    return session_calendar(code)


def market_days() -> Path:
    folder = Path(os.environ.get("OUTCRY_MARKET_DAYS", ROOT.parent / "shared" / "market-days"))
    if not folder.is_dir():
        pytest.skip("no recorded market days here: set OUTCRY_MARKET_DAYS to a folder that has them")
    return folder


@lru_cache(maxsize=8)
def recorded(name: str, into: Path) -> tuple[DayStore, ...]:
    """The days of a folder of recorded data, oldest first."""
    import_folder(market_days() / name, into / name)
    return tuple(DayStore(load_day(path)) for path in sorted((into / name).iterdir()))
