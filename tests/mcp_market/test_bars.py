"""Bars as a model and a program get them, compared with the day they are of."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.clock import NS
from bus.fixed import from_nano
from bus.messages import Bar, FeedStats, GetFeedStats
from tests.mcp_market.floor import Floor, floor, rows_of, text_of
from tests.mcp_servers.desk import RunningDesk, replay_desk

MINUTE_NS = 60 * NS
FIELDS = ("open", "high", "low", "close", "volume")


def stored(running: RunningDesk, symbol: str = "ACME") -> list[Bar]:
    return list(running.store().bars(symbol, 1_000, running.clock_ns))


def exact(bar: Bar) -> tuple[int, ...]:
    return (bar.open_time_ns // NS, bar.open_nano, bar.high_nano, bar.low_nano, bar.close_nano, bar.volume_nano)


def told(row: dict[str, str]) -> tuple[int, ...]:
    return (int(row["open_time"]), *(int(Decimal(row[name]) * NS) for name in FIELDS))


@pytest.mark.requirement("market:bars")
def test_bars_are_the_days_own_in_both_forms(either: Floor, running: RunningDesk) -> None:
    bars = stored(running)[-40:]
    result = either.call("get_bars", {"symbol": " acme ", "limit": 40})
    data = result.structured_content
    assert data is not None
    assert [told(row) for row in rows_of(data["csv"])] == [exact(bar) for bar in bars]
    head, columns, day, *lines = [line for line in text_of(result).split("\n") if not line.startswith("marks:")]
    assert head == "ACME 1Min: 40 bars as of 2024-03-13 11:40:00 EDT (simulated)"
    assert columns.startswith("time,open,high,low,close,volume")
    assert day == "2024-03-13 EDT"
    for bar, line in zip(bars, lines, strict=False):
        prices = (bar.open_nano, bar.high_nano, bar.low_nano, bar.close_nano)
        assert line.split(",")[1:5] == [f"{from_nano(price):.2f}" for price in prices]
    assert (data["symbol"], data["timeframe"], data["forming"]) == ("ACME", "1Min", False)
    assert data["as_of"] == "2024-03-13T11:40:00-04:00"


@pytest.mark.requirement("market:bars")
def test_longer_timeframes_are_made_of_the_minutes(market: Floor, running: RunningDesk) -> None:
    rows = rows_of(market.data("get_bars", symbol="FLUX", timeframe="15Min")["csv"])
    bars = stored(running, "FLUX")
    for row in rows:
        start = int(row["open_time"]) * NS
        inside = [bar for bar in bars if start <= bar.open_time_ns < start + 15 * MINUTE_NS]
        expected = (
            inside[0].open_nano,
            max(bar.high_nano for bar in inside),
            min(bar.low_nano for bar in inside),
            inside[-1].close_nano,
            sum(bar.volume_nano for bar in inside),
        )
        assert told(row)[1:] == expected
        assert int(row["missing"]) == (15 if start + 15 * MINUTE_NS <= running.clock_ns else 10) - len(inside)


@pytest.mark.requirement("market:compact")
def test_a_hundred_bars_fit_in_five_thousand_characters(market: Floor) -> None:
    for symbol in ("ACME", "CRUX", "FLUX"):
        text = market.text("get_bars", symbol=symbol, limit=100)
        assert len(rows_of(market.data("get_bars", symbol=symbol, limit=100)["csv"])) == 100
        assert len(text) <= 5_000
        assert text.count("2024-03-13") == 2


@pytest.mark.requirement("market:gaps")
def test_a_missing_minute_is_marked_where_it_is_missing(market: Floor, running: RunningDesk) -> None:
    found = 0
    for symbol in running.store().traded:
        bars = stored(running, symbol)
        text = market.text("get_bars", symbol=symbol, limit=1000)
        lines = [line for line in text.split("\n") if re.match(r"\d\d:\d\d,", line)]
        assert len(lines) == len(bars)
        for before, bar, line in zip(bars, bars[1:], lines[1:], strict=False):
            gap = (bar.open_time_ns - before.event_time_ns) // MINUTE_NS
            assert line.endswith(f",^{gap}") is bool(gap)
            found += bool(gap)
        assert ("^n: n bars missing before it" in text) is (",^" in text)
    assert found


@pytest.mark.requirement("market:gaps")
def test_a_bar_that_still_forms_is_marked(market: Floor) -> None:
    result = market.call("get_bars", {"symbol": "ACME", "timeframe": "1Hour"})
    assert result.structured_content is not None
    assert result.structured_content["forming"] is True
    assert "*: still forming" in text_of(result)
    assert text_of(result).split("\n")[-1].endswith("*")
    assert market.data("get_bars", symbol="ACME", timeframe="5Min")["forming"] is False


def walk(market: Floor, **asked: Any) -> list[str]:
    found: list[str] = []
    cursor = ""
    for _ in range(100):
        page = market.data("get_bars", **asked, **({"cursor": cursor} if cursor else {}))
        found = page["csv"].split("\n")[1:] + found
        cursor = page["next_cursor"]
        if not cursor:
            return found
    raise AssertionError("the walk does not end")


@pytest.mark.requirement("market:bar-pages")
@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
def test_walking_the_pages_visits_every_bar_once(market: Floor, running: RunningDesk, limit: int) -> None:
    within = [bar for bar in stored(running) if bar.open_time_ns >= running.clock_ns - 60 * MINUTE_NS]
    rows = walk(market, symbol="ACME", limit=limit, hours=1)
    assert [int(row.split(",")[0]) for row in rows] == [bar.open_time_ns // NS for bar in within]


@pytest.mark.requirement("market:bar-pages")
def test_the_page_with_the_first_bar_of_a_span_has_no_cursor(market: Floor) -> None:
    whole = market.data("get_bars", symbol="ACME", minutes=30)
    count = len(rows_of(whole["csv"]))
    assert whole["next_cursor"] == ""
    assert market.data("get_bars", symbol="ACME", minutes=30, limit=count)["next_cursor"] == ""
    assert market.data("get_bars", symbol="ACME", minutes=30, limit=count - 1)["next_cursor"]


@pytest.mark.requirement("market:bar-pages")
def test_walking_without_a_start_ends_at_the_first_bar(market: Floor, running: RunningDesk) -> None:
    rows = walk(market, symbol="BOLT", limit=33)
    assert [int(row.split(",")[0]) for row in rows] == [bar.open_time_ns // NS for bar in stored(running, "BOLT")]


@pytest.mark.requirement("market:spans")
def test_all_ways_to_name_a_span_give_the_same_bars(market: Floor) -> None:
    ways: list[dict[str, Any]] = [
        {"start": "2024-03-13T10:40"},
        {"start": "2024-03-13 14:40:00Z"},
        {"start": "2024-03-13T10:40", "end": "2024-03-13"},
        {"start": "20240313T104000-0400", "end": "2024-03-13T11:40"},
        {"minutes": 60},
        {"hours": 1},
        {"hours": 1, "end": "2024-03-13T11:40"},
    ]
    answers = {market.data("get_bars", symbol="ACME", limit=500, **way)["csv"] for way in ways}
    assert len(answers) == 1
    assert rows_of(answers.pop())[0]["open_time"] == "1710340800"
    whole = [market.data("get_bars", symbol="ACME", limit=500, **way)["csv"] for way in ({}, {"days": 1})]
    assert whole[0] == whole[1]


@pytest.mark.requirement("market:spans")
def test_contradictory_spans_are_refused(market: Floor) -> None:
    assert "not both" in market.error("get_bars", symbol="ACME", start="2024-03-13", days=1)
    backwards = market.error("get_bars", symbol="ACME", start="2024-03-13T11:00", end="2024-03-13T10:00")
    assert "not before" in backwards
    assert "out of range" in market.error("get_bars", symbol="ACME", days=-1)


@pytest.mark.requirement("market:as-of")
def test_what_is_asked_again_after_the_clock_moved_is_as_of_the_new_clock(tmp_path: Path) -> None:
    with replay_desk(tmp_path, minute=3) as running, floor(running.desk) as opened:
        for _ in range(4):
            bars = stored(running)
            for _ in range(2):
                data = opened.data("get_bars", symbol="ACME")
                assert [told(row) for row in rows_of(data["csv"])] == [exact(bar) for bar in bars]
                day = rows_of(opened.data("get_bars", symbol="ACME", timeframe="1Day")["csv"])[-1]
                assert told(day)[4] == bars[-1].close_nano
            running.advance()


@pytest.mark.requirement("market:asked-once")
def test_the_same_bars_at_the_same_clock_ask_the_feed_nothing(market: Floor, running: RunningDesk) -> None:
    def questions() -> int:
        return running.ask("feed", GetFeedStats(), FeedStats).questions

    first = market.call("get_bars", {"symbol": "ECHO", "limit": 77})
    before = questions()
    again = market.call("get_bars", {"symbol": "ECHO", "limit": 77})
    assert questions() - before == 1  # the count itself
    assert again == first
    other = market.call("get_bars", {"symbol": "ECHO", "limit": 76})
    assert other != first
