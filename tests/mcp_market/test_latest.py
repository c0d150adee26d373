"""The clock, the symbols, several charts at once, and the newest of everything."""

from __future__ import annotations

from decimal import Decimal

import pytest
from mcp import Client
from mcp.types import CallToolResult

from bus.clock import NS
from bus.fixed import from_nano
from tests.mcp_market.floor import Floor, rows_of, text_of
from tests.mcp_servers.desk import RunningDesk

STAMP = "2024-03-13 11:40:00 EDT (simulated)"
EVERY_TOOL = {
    "list_symbols": {},
    "get_clock": {},
    "get_bars": {"symbol": "ACME"},
    "get_multi_timeframe_bars": {"symbols": ["ACME"], "timeframes": ["5Min"]},
    "get_latest_bar": {},
    "get_latest_quote": {},
    "get_snapshot": {},
    "get_news": {},
    "search_news": {"text": "record contract"},
    "get_economic_calendar": {},
    "get_earnings_calendar": {},
    "get_market_calendar": {},
}


@pytest.mark.requirement("market:eras")
@pytest.mark.parametrize("tool", EVERY_TOOL)
def test_every_tool_answers_on_both_eras_and_says_as_of_when(either: Floor, market: Floor, tool: str) -> None:
    result = either.call(tool, EVERY_TOOL[tool])
    assert not result.is_error
    assert f"as of {STAMP}" in text_of(result).split("\n")[0]
    assert result.structured_content is not None
    assert result.structured_content["as_of"] == "2024-03-13T11:40:00-04:00"
    assert result.structured_content["timezone"] == "America/New_York"
    assert result.structured_content == market.call(tool, EVERY_TOOL[tool]).structured_content


@pytest.mark.requirement("market:clock")
def test_the_clock_says_that_it_is_simulated_and_when_the_market_opens(market: Floor) -> None:
    clock = market.data("get_clock")
    assert (clock["mode"], clock["simulated"], clock["is_open"]) == ("replay", True, True)
    assert (clock["open"], clock["close"]) == ("2024-03-13T09:30:00-04:00", "2024-03-13T16:00:00-04:00")
    assert clock["next_open"] == "2024-03-14T09:30:00-04:00"
    assert "mode replay" in market.text("get_clock")


@pytest.mark.requirement("market:clock")
def test_symbols_are_listed_in_pages_that_hold_each_once(market: Floor, running: RunningDesk) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        page = market.data("list_symbols", limit=4, **({"cursor": cursor} if cursor else {}))
        found += [row["symbol"] for row in rows_of(page["csv"])]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert found == sorted(running.store().traded)
    (row,) = rows_of(market.data("list_symbols", text="cr")["csv"])
    assert row == {
        "symbol": "CRUX",
        "kind": "equity",
        "currency": "USD",
        "tick": "0.01",
        "lot": "1",
        "multiplier": "1",
        "has_volume": "yes",
        "tradable": "yes",
        "traded": "yes",
    }


@pytest.mark.requirement("market:multi")
def test_several_charts_are_those_of_get_bars_in_the_order_asked_for(market: Floor) -> None:
    data = market.data(
        "get_multi_timeframe_bars", symbols=["FLUX", "ACME"], timeframes=["1Hour", "5Min", "1Day"], limit=3
    )
    order = [(chart["symbol"], chart["timeframe"]) for chart in data["charts"]]
    assert order == [(symbol, frame) for symbol in ("FLUX", "ACME") for frame in ("1Hour", "5Min", "1Day")]
    for chart in data["charts"]:
        single = market.data("get_bars", symbol=chart["symbol"], timeframe=chart["timeframe"], limit=3)
        assert chart["csv"] == single["csv"]
        assert chart["forming"] == single["forming"]


@pytest.mark.requirement("market:multi")
def test_a_long_call_tells_its_progress(either: Floor) -> None:
    told: list[tuple[float, float | None]] = []

    async def ask(client: Client) -> CallToolResult:
        async def heard(progress: float, total: float | None, message: str | None) -> None:
            assert message in {"ACME", "BOLT", "CRUX"}
            told.append((progress, total))

        arguments = {"symbols": ["ACME", "BOLT", "CRUX"], "timeframes": ["1Min"]}
        return await client.call_tool("get_multi_timeframe_bars", arguments, progress_callback=heard)

    assert not either.run(ask).is_error
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.requirement("market:multi")
def test_too_many_charts_are_refused_with_what_is_allowed(market: Floor) -> None:
    text = market.error("get_multi_timeframe_bars", symbols=["ACME"], timeframes=[])
    assert "1 to 60 charts" in text
    frames = ["1Min", "2Min", "3Min", "5Min", "10Min", "15Min", "30Min", "1Hour"]
    everything = ["ACME", "BOLT", "CRUX", "DYNE", "ECHO", "FLUX"]
    text = market.error("get_multi_timeframe_bars", symbols=everything, timeframes=frames, limit=200)
    assert "3,000 bars" in text


@pytest.mark.requirement("market:latest")
def test_latest_bars_are_the_newest_of_each_symbol(market: Floor, running: RunningDesk) -> None:
    store = running.store()
    rows = rows_of(market.data("get_latest_bar")["csv"])
    assert [row["symbol"] for row in rows] == list(store.traded)
    for row in rows:
        (bar,) = store.bars(row["symbol"], 1, running.clock_ns)
        assert int(row["open_time"]) == bar.open_time_ns // NS
        assert Decimal(row["close"]) == from_nano(bar.close_nano)
        assert row["forming"] == "no"
    (hour,) = rows_of(market.data("get_latest_bar", symbols=["ECHO"], timeframe="1Hour")["csv"])
    assert hour["forming"] == "yes"


@pytest.mark.requirement("market:latest")
def test_symbols_that_come_as_one_text_are_understood(market: Floor) -> None:
    both = market.data("get_latest_bar", symbols=["ECHO", "BOLT"])
    assert market.data("get_latest_bar", symbols="echo, BOLT") == both
    assert market.data("get_latest_bar", symbols='["ECHO", "BOLT"]') == both
    assert market.data("get_snapshot", symbols=None) == market.data("get_snapshot", symbols=[])


@pytest.mark.requirement("market:latest")
def test_latest_quotes_are_the_newest_of_each_symbol(market: Floor, running: RunningDesk) -> None:
    store = running.store()
    rows = rows_of(market.data("get_latest_quote", symbols=["dyne", "ACME", "DYNE"])["csv"])
    assert [row["symbol"] for row in rows] == ["DYNE", "ACME"]
    for row in rows:
        (quote,) = store.quote(row["symbol"], running.clock_ns)
        assert int(row["time"]) == quote.event_time_ns // NS
        assert (Decimal(row["bid"]), Decimal(row["ask"])) == (from_nano(quote.bid_nano), from_nano(quote.ask_nano))
        assert Decimal(row["spread"]) == from_nano(quote.ask_nano - quote.bid_nano)
        assert Decimal(row["bid_size"]) == from_nano(quote.bid_size_nano)


@pytest.mark.requirement("market:latest")
def test_a_snapshot_is_the_days_range_so_far(market: Floor, running: RunningDesk) -> None:
    store = running.store()
    for row in rows_of(market.data("get_snapshot")["csv"]):
        bars = store.bars(row["symbol"], 1_000, running.clock_ns)
        first, last = bars[0].open_nano, bars[-1].close_nano
        assert Decimal(row["last"]) == from_nano(last)
        assert Decimal(row["day_high"]) == from_nano(max(bar.high_nano for bar in bars))
        assert Decimal(row["day_low"]) == from_nano(min(bar.low_nano for bar in bars))
        assert Decimal(row["day_volume"]) == from_nano(sum(bar.volume_nano for bar in bars))
        assert row["previous_close"] == ""
        assert abs(Decimal(row["change_percent"]) - Decimal(100) * (last - first) / first) <= Decimal("0.005")
