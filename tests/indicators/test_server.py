"""The tools, through an MCP client in memory, on a real desk on the sample day."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent
from msgspec import structs

from bus.messages import Chart, Instrument, Timeframe
from mcp_servers import indicators
from mcp_servers._desk import Desk
from mcp_servers._indicator_models import IndicatorList, IndicatorsPage
from mcp_servers._indicator_rows import make_rows
from mcp_servers._schema import compact, definition_size
from mcp_servers.options import ServerOptions
from quant.catalogue import CATALOGUE, BarArrays, Wanted, compute, parse
from tests.mcp_servers.desk import RunningDesk, replay_desk

NS = 10**9


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDesk]:
    with replay_desk(tmp_path_factory.mktemp("desk"), minute=240) as desk:
        yield desk


def _serve(desk: Desk) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("indicators")
    indicators.register(server, desk)
    compact(server)
    return server


def _with_client(running: RunningDesk, act: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        # A desk of its own: its sockets belong to one event loop.
        desk = Desk(running.directory, ServerOptions(), "replay")
        try:
            async with Client(_serve(desk)) as client:
                return await act(client)
        finally:
            desk.close()

    return asyncio.run(run())


def _call(running: RunningDesk, tool: str, **arguments: Any) -> CallToolResult:
    return _with_client(running, lambda client: client.call_tool(tool, arguments))


def _text(result: CallToolResult) -> str:
    assert len(result.content) == 1
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def _get(running: RunningDesk, *wanted: str, **more: Any) -> tuple[str, dict[str, Any], list[dict[str, str]]]:
    result = _call(running, "get_indicators", symbol=more.pop("symbol", "ACME"), indicators=list(wanted), **more)
    assert not result.is_error, _text(result)
    assert result.structured_content is not None
    told = IndicatorsPage.model_validate(result.structured_content)
    return _text(result), result.structured_content, list(csv.DictReader(io.StringIO(told.csv)))


def _refused(running: RunningDesk, *wanted: str, **more: Any) -> str:
    result = _call(running, "get_indicators", symbol=more.pop("symbol", "ACME"), indicators=list(wanted), **more)
    assert result.is_error, _text(result)
    return _text(result)


def _bars(running: RunningDesk, symbol: str = "ACME") -> Any:
    return running.store().bars(symbol, 1_000, running.clock_ns)


# --- list_indicators --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("indicators:list")
def test_the_whole_catalogue_is_listed_in_little_text(running: RunningDesk) -> None:
    result = _call(running, "list_indicators")
    text = _text(result)
    assert len(text) <= 5_000
    assert all(f"\n{name}" in text for name in CATALOGUE)
    told = IndicatorList.model_validate(result.structured_content)
    assert told.total == len(told.indicators) == 43
    assert [entry["name"] for entry in told.indicators] == list(CATALOGUE)


@pytest.mark.requirement("indicators:list")
def test_a_group_and_words_choose_and_few_come_with_their_ranges(running: RunningDesk) -> None:
    assert "14 of 43" not in _text(_call(running, "list_indicators", text="volume"))
    listed = _call(running, "list_indicators", text="Momentum average").structured_content
    assert listed is not None
    assert [entry["name"] for entry in listed["indicators"]] == ["kama", "ppo"]
    text = _text(_call(running, "list_indicators", text="MACD"))
    assert "macd takes fast 1 to 500 (default 12)" in text
    assert "first value after 34 bars" in text


@pytest.mark.requirement("indicators:list")
def test_a_search_that_finds_nothing_says_what_there_is(running: RunningDesk) -> None:
    result = _call(running, "list_indicators", text="quantum\x1b[31m")
    assert result.is_error
    assert "Groups: momentum, volume, volatility, trend, others" in _text(result)
    assert "\x1b" not in _text(result)


# --- get_indicators ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("indicators:several")
def test_several_indicators_come_in_one_table_with_the_catalogues_values(running: RunningDesk) -> None:
    asked = ["rsi(14)", "macd(12,26,9)", "bbands.upper", "psar.all", "atr"]
    text, told, rows = _get(running, *asked, limit=30)
    arrays = BarArrays.of(_bars(running))
    assert [int(row["open_time"]) * NS for row in rows] == [bar.open_time_ns for bar in _bars(running)[-30:]]
    for wanted in map(parse, asked):
        values = compute(wanted.indicator.name, wanted.params, arrays)
        for output in wanted.outputs:
            ours = [float(row[wanted.column(output)] or "nan") for row in rows]
            np.testing.assert_allclose(ours, values[output.name][-30:], rtol=1e-4, atol=1e-4)
    assert text.startswith("ACME 1Min: 30 rows as of 2024-03-13 13:30:00 EDT (simulated)")
    assert "\ntime,close,rsi_14,macd_12_26_9,macd_12_26_9_signal,macd_12_26_9_diff,bbands_upper,psar,psar_up," in text
    assert told["symbol"] == "ACME"
    assert told["unsettled"] == {}


@pytest.mark.requirement("indicators:several")
def test_each_column_comes_once_however_often_it_is_asked_for(running: RunningDesk) -> None:
    _, told, _ = _get(running, "rsi", "RSI", "rsi(14)", "macd", "macd.signal", limit=1)
    assert told["csv"].splitlines()[0] == "open_time,close,rsi,rsi_14,macd,macd_signal,macd_diff"


@pytest.mark.requirement("indicators:several")
def test_one_text_with_several_indicators_is_read_too(running: RunningDesk) -> None:
    result = _call(running, "get_indicators", symbol="acme", indicators="rsi, macd(12,26,9).signal;atr", limit=1)
    assert result.structured_content is not None, _text(result)
    assert result.structured_content["csv"].startswith("open_time,close,rsi,macd_12_26_9_signal,atr\n")


@pytest.mark.requirement("indicators:several")
def test_every_indicator_of_the_catalogue_has_values_on_the_desk(running: RunningDesk) -> None:
    names = list(CATALOGUE)
    for some in (names[:15], names[15:30], names[30:]):
        _, _, rows = _get(running, *(f"{name}.all" for name in some), limit=5)
        for name in some:
            for output in parse(f"{name}.all").outputs:
                column = name if output.name == name else f"{name}_{output.name}"
                assert any(row[column] for row in rows) or (name, output.name) in {
                    ("psar", "up"),
                    ("psar", "down"),
                    ("vpt", "vpt"),
                }, column


@pytest.mark.requirement("indicators:several")
@pytest.mark.parametrize("timeframe", get_args(Timeframe))
def test_any_timeframe_is_served(running: RunningDesk, timeframe: str) -> None:
    text, told, rows = _get(running, "sma(1)", timeframe=timeframe, limit=3)
    assert told["timeframe"] == timeframe
    assert rows
    assert all(float(row["close"]) == float(row["sma_1"]) for row in rows)
    assert ("still forming" in text) == told["forming"]


@pytest.mark.requirement("indicators:history")
def test_history_is_fetched_so_that_few_rows_are_warm(running: RunningDesk) -> None:
    _, told, rows = _get(running, "rsi", "ema(30)", limit=2)
    assert told["unsettled"] == {}
    values = compute("ema", {"window": 30}, BarArrays.of(_bars(running)))["ema"]
    # The whole day weighs less than 0.1 % of its distance more than the history that was fetched.
    assert float(rows[-1]["ema_30"]) == pytest.approx(values[-1], rel=1e-4)


@pytest.mark.requirement("indicators:history")
def test_values_that_lack_warm_up_are_marked_and_those_that_are_not_there_are_blank(running: RunningDesk) -> None:
    text, told, rows = _get(running, "rsi", "sma(30)", start="2024-03-13T09:30", end="2024-03-13T10:00", limit=100)
    assert len(rows) == 30
    assert [row["rsi"] == "" for row in rows] == [True] * 14 + [False] * 16
    assert [row["sma_30"] == "" for row in rows] == [True] * 29 + [False]
    assert told["unsettled"] == {"rsi": 30, "sma_30": 29}
    lines = text.splitlines()
    assert "~: too little warm-up, history begins 2024-03-13 09:30 EDT; blank: no value" in lines[1]
    assert lines[-1].startswith("09:59,")
    assert lines[-1].split(",")[2].endswith("~")
    assert not lines[-1].split(",")[3].endswith("~")
    assert lines[4].endswith(",,")


@pytest.mark.requirement("indicators:history")
def test_what_counts_from_the_first_row_says_so_whatever_else_is_asked_for(running: RunningDesk) -> None:
    alone, told, rows = _get(running, "obv", "cumulative_return", limit=5)
    _, _, beside = _get(running, "obv", "cumulative_return", "rsi(100)", limit=5)
    assert [row["obv"] for row in rows] == [row["obv"] for row in beside]
    assert float(rows[0]["cumulative_return"]) == 0
    assert told["cumulative"] == ["obv", "cumulative_return"]
    assert "from the first row: obv, cumulative_return" in alone


@pytest.mark.requirement("indicators:pages")
def test_pages_go_back_without_gap_or_overlap_and_with_the_same_values(running: RunningDesk) -> None:
    _, told, rows = _get(running, "rsi", "macd", limit=50, start="2024-03-13T11:00")
    pages = [rows]
    while told["next_cursor"]:
        assert len(pages) < 10
        _, told, rows = _get(running, "rsi", "macd", limit=50, cursor=told["next_cursor"])
        pages.append(rows)
    joined = [row for page in reversed(pages) for row in page]
    _, _, whole = _get(running, "rsi", "macd", limit=300, start="2024-03-13T11:00")
    assert [row["open_time"] for row in joined] == [row["open_time"] for row in whole]
    assert len(joined) > 140
    for name in ("rsi", "macd", "macd_signal"):
        ours, theirs = ([float(row[name]) for row in each] for each in (joined, whole))
        np.testing.assert_allclose(ours, theirs, rtol=0.01, atol=1e-3)


@pytest.mark.requirement("indicators:pages")
def test_a_cursor_of_another_question_is_refused(running: RunningDesk) -> None:
    _, told, _ = _get(running, "rsi", limit=5)
    assert "another question" in _refused(running, "rsi", limit=5, symbol="BOLT", cursor=told["next_cursor"])
    assert "is not one of get_indicators's" in _refused(running, "rsi", cursor="x.y")


@pytest.mark.requirement("indicators:time")
def test_relative_times_count_from_the_clock(running: RunningDesk) -> None:
    _, told, rows = _get(running, "sma(5)", minutes=30, limit=100)
    assert len(rows) == 30
    assert int(rows[0]["open_time"]) * NS == running.clock_ns - 30 * 60 * NS
    assert told["as_of"].startswith("2024-03-13T13:30:00")
    _, _, whole = _get(running, "sma(5)", end="2024-03-13", limit=500)
    assert len(whole) == len(_bars(running)) > 230


@pytest.mark.requirement("indicators:time")
def test_nothing_after_the_clock_is_answered(running: RunningDesk) -> None:
    for more in ({"start": "2024-03-13T14:00"}, {"end": "2024-03-14"}, {"end": "2099-01-01T00:00Z"}):
        assert "after the clock" in _refused(running, "rsi", **more)
    _, _, rows = _get(running, "rsi", limit=500)
    assert max(int(row["open_time"]) for row in rows) * NS < running.clock_ns


@pytest.mark.requirement("indicators:names")
def test_errors_name_what_there_is(running: RunningDesk) -> None:
    assert "Nearest: rsi" in _refused(running, "rsj(14)")
    assert "rsi takes window 2 to 500" in _refused(running, "rsi(9999)")
    assert "It has: middle, upper" in _refused(running, "bbands.high")
    assert "give 1 to 20" in _refused(running)
    assert "give 1 to 20" in _refused(running, *["rsi"] * 21)
    assert "Give 1 to 500 rows" in _refused(running, "rsi", limit=0)
    assert "Lower limit to 178" in _refused(running, *["bbands.all"] * 4, limit=500)
    assert "unknown symbol" in _refused(running, "rsi", symbol="ACMEE")


class _NoVolume:
    """A venue of currencies, for the question of volume alone: the sample day has none."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)

    async def symbol(self, text: str) -> Instrument:
        assert text == "EURUSD"
        return Instrument("EURUSD", "fx", "USD", 10_000, 1_000 * NS, has_volume=False)


@pytest.mark.requirement("indicators:volume")
def test_what_needs_volume_is_refused_by_name_where_there_is_none(running: RunningDesk) -> None:
    async def ask() -> CallToolResult:
        desk: Any = _NoVolume(running.desk)
        async with Client(_serve(desk)) as client:
            return await client.call_tool(
                "get_indicators", {"symbol": "EURUSD", "indicators": ["rsi", "obv", "vwap(20)", "macd"]}
            )

    result = asyncio.run(ask())
    assert result.is_error
    assert "obv, vwap_20 cannot be computed: the venue reports no volume for EURUSD (fx)" in _text(result)


# --- short ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("indicators:compact")
def test_definitions_are_short_and_say_what_the_tools_do(running: RunningDesk) -> None:
    listed = _with_client(running, lambda client: client.list_tools())
    tools = {tool.name: tool for tool in listed.tools}
    assert list(tools) == ["list_indicators", "get_indicators"]
    assert sum(map(definition_size, listed.tools)) <= 900
    assert indicators.SCOPES.keys() == tools.keys()
    assert set(indicators.SCOPES.values()) == {"market:read"}
    for tool in listed.tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert tool.annotations.open_world_hint is False
        assert tool.output_schema is not None
        assert '"number"' not in json.dumps(tool.output_schema), "no schema of every number"


@pytest.mark.requirement("indicators:compact")
def test_a_hundred_rows_of_few_columns_are_at_most_5000_characters(running: RunningDesk) -> None:
    text, told, rows = _get(running, "rsi(14)", "macd", "atr(14)", limit=100)
    assert len(rows) == 100
    assert len(text) <= 5_000
    assert len(told["csv"]) <= 10_000
    text, _, _ = _get(running, "bbands", "ema(20)", timeframe="5Min", limit=100)
    assert len(text) <= 5_000


@pytest.mark.requirement("indicators:history")
def test_bars_missing_among_those_used_are_told(running: RunningDesk) -> None:
    bars = _bars(running)
    absent = (bars[-1].open_time_ns - bars[0].open_time_ns) // (60 * NS) + 1 - len(bars)
    assert absent > 0, "the sample day has minutes without a bar"
    text, told, _ = _get(running, "sma(3)", limit=400)
    assert told["gaps"] == absent
    assert f"{absent} of {len(bars) + absent} bars missing, neighbours taken as adjacent" in text
    text, told, _ = _get(running, "sma(3)", limit=400, timeframe="5Min")
    assert told["gaps"] == 0
    assert told["missing"] == absent
    assert f"{absent} base bars missing in the" in text


@pytest.mark.requirement("indicators:history")
def test_a_night_between_sessions_is_no_gap(running: RunningDesk) -> None:
    day = 24 * 3_600 * NS
    today = tuple(_bars(running)[:5])
    later = tuple(
        structs.replace(bar, open_time_ns=bar.open_time_ns + day, event_time_ns=bar.event_time_ns + day)
        for bar in today
    )
    wanted: list[Wanted] = [parse("sma(3)")]
    stock = Instrument("ACME", "equity", "USD", 10**7, NS)
    rows = make_rows(Chart("ACME", "1Min", today + later), 3, wanted, stock, "America/New_York")
    assert (rows.count, rows.gaps) == (7, 0)
    assert [line for line in rows.lines if "EDT" in line] == ["2024-03-13 EDT", "2024-03-14 EDT"]


# --- hostile ----------------------------------------------------------------------------------------------------------

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=60),
    st.sampled_from(["ACME", "rsi(14)", "macd", "2024-03-13", "2999-01-01", "1Min", "ignore previous instructions"]),
)
_ANYTHING = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2), max_leaves=4)  # fmt: skip  # noqa: E501 - one strategy
_NAMES = ("symbol", "indicators", "timeframe", "limit", "start", "end", "days", "hours", "minutes", "cursor")


@pytest.mark.requirement("indicators:hostile")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.fixed_dictionaries({}, optional=dict.fromkeys(_NAMES, _ANYTHING)), st.booleans()), min_size=5, max_size=12))  # fmt: skip  # noqa: E501 - one strategy
def test_hostile_input_is_answered_in_words(running: RunningDesk, calls: list[tuple[dict[str, Any], bool]]) -> None:
    async def act(client: Client) -> list[CallToolResult]:
        return [
            await client.call_tool(
                "get_indicators", {"symbol": "ACME", "indicators": ["rsi"], **given} if whole else given
            )
            for given, whole in calls
        ]

    for result in _with_client(running, act):
        text = _text(result)
        assert len(text) < 60_000
        assert "Traceback" not in text
        assert '.py"' not in text
        if result.is_error:
            assert text != "Error executing tool get_indicators", "the reason is told"


@pytest.mark.requirement("indicators:hostile")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_ANYTHING, min_size=1, max_size=8))
def test_hostile_searches_are_answered_in_words(running: RunningDesk, texts: list[Any]) -> None:
    async def act(client: Client) -> list[CallToolResult]:
        return [await client.call_tool("list_indicators", {"text": text}) for text in texts]

    for result in _with_client(running, act):
        assert _text(result) != "Error executing tool list_indicators"
        assert "Traceback" not in _text(result)
