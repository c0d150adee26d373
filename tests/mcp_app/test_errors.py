"""What a model is told when something is wrong."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError

from mcp_servers.options import ServerOptions
from tests.mcp_app.small import ERAS, SECRET, over_http, small_server, text_of
from tests.mcp_app.wire import BOTH, MODERN, MODERN_HEADERS

OPTIONS = ServerOptions(calls_per_minute=10_000, order_calls_per_minute=10_000)
UNFIT = ("Traceback", "pydantic", "ValidationError", "RuntimeError", "Error executing", "errors.pydantic.dev", SECRET)


def call(tool: str, arguments: dict[str, Any], era: Any = "auto") -> tuple[bool, str]:
    async def run() -> tuple[bool, str]:
        async with Client(small_server(OPTIONS), mode=era) as client:
            result = await client.call_tool(tool, arguments)
            return bool(result.is_error), text_of(result)

    return asyncio.run(run())


@pytest.mark.requirement("mcp-app:arguments")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, ["symbol is missing", "Ticker", "^[A-Z]{1,5}$"]),
        ({"symbol": "AAPL", "timeframe": "7Min"}, ["timeframe", '"7Min"', "1Min, 5Min"]),
        ({"symbol": "AAPL", "limit": 0}, ["limit = 0", "at least 1", "at most 100"]),
        ({"symbol": "AAPL", "limit": "many"}, ["limit", '"many"', "a whole number"]),
        ({"symbol": {"a": 1}}, ["symbol", "text"]),
        ({"symbol": "aapl", "limit": 10**400}, ["symbol", "limit", "at most 100"]),
    ],
)
def test_wrong_arguments_are_answered_with_what_is_allowed(arguments: dict[str, Any], told: list[str]) -> None:
    failed, text = call("get_price", arguments)
    assert failed
    assert text.startswith("get_price was not run: ")
    assert all(part in text for part in told), text
    assert not any(part in text for part in UNFIT), text


@pytest.mark.requirement("mcp-app:arguments")
@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["symbol", "timeframe", "limit", "extra", "__class__"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=400),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_whatever_is_sent_the_answer_is_short_and_names_nothing_of_ours(arguments: dict[str, Any]) -> None:
    failed, text = call("get_price", arguments)
    assert failed or text
    assert len(text) < 1500
    assert not any(part in text for part in UNFIT), text


@pytest.mark.requirement("mcp-app:arguments")
@pytest.mark.parametrize("sent", [[1, 2], "symbol=AAPL", 7])
def test_arguments_that_are_no_object_are_told_to_be_one(sent: Any) -> None:
    async def run() -> str:
        options = ServerOptions(port=0)
        call = {**MODERN, "method": "tools/call"}
        call["params"] = {**MODERN["params"], "name": "get_price", "arguments": sent}
        headers = {**BOTH, **MODERN_HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": "get_price"}
        async with over_http(small_server(options), options) as url, httpx2.AsyncClient(timeout=10) as http:
            return str((await http.post(url, json=call, headers=headers)).json()["error"])

    told = asyncio.run(run())
    assert "tools/call is malformed: params.arguments: input should be a JSON object" in told
    assert not any(part in told for part in UNFIT), told


@pytest.mark.requirement("mcp-app:unknown")
@pytest.mark.parametrize("era", ERAS)
def test_an_unknown_tool_is_answered_with_the_nearest(era: Any) -> None:
    failed, text = call("get_prices", {}, era)
    assert failed
    assert "there is no tool" in text
    assert "get_price" in text


@pytest.mark.requirement("mcp-app:unknown")
def test_a_parameter_that_does_not_exist_is_never_ignored() -> None:
    failed, text = call("place_order", {"qty": 1, "quantity": 5})
    assert failed
    assert text.startswith("place_order was not run: it has no parameter")
    assert "It takes: qty, password." in text
    assert "did you mean limit?" in call("get_price", {"symbol": "AAPL", "limits": 5})[1]


@pytest.mark.requirement("mcp-app:unknown")
@pytest.mark.parametrize("era", ERAS)
def test_an_unknown_prompt_or_resource_is_answered_with_what_there_is(era: Any) -> None:
    async def run() -> list[str]:
        told: list[str] = []
        async with Client(small_server(OPTIONS), mode=era) as client:
            with pytest.raises(MCPError) as error:
                await client.get_prompt("trade_reviews", {})
            told.append(error.value.error.message)
            with pytest.raises(MCPError) as error:
                await client.get_prompt("trade_review", {})
            told.append(error.value.error.message)
            with pytest.raises(MCPError) as error:
                await client.read_resource("nothing://here")
            assert error.value.error.code == -32602
            told.append(error.value.error.message)
            with pytest.raises(MCPError) as error:
                await client.read_resource("orders://closed")
            told.append(error.value.error.message)
        return told

    unknown, missing, nowhere, closed = asyncio.run(run())
    assert "Nearest: trade_review" in unknown
    assert "symbol is missing" in missing
    assert "orders://{state}" in nowhere
    assert "there are no closed orders; say orders://open" in closed


@pytest.mark.requirement("mcp-app:crash")
@pytest.mark.parametrize("era", ERAS)
def test_a_crash_is_told_without_anything_of_it_and_logged_with_everything(
    era: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> list[str]:
        told: list[str] = []
        async with Client(small_server(OPTIONS), mode=era) as client:
            result = await client.call_tool("crash", {})
            assert result.is_error
            told.append(text_of(result))
            with pytest.raises(MCPError) as error:
                await client.read_resource("orders://crash")
            told.append(str(error.value.error))
            with pytest.raises(MCPError) as error:
                await client.get_prompt("trade_review", {"symbol": "CRASH"})
            told.append(str(error.value.error))
        return told

    with caplog.at_level(logging.ERROR, logger="outcry.mcp"):
        told = asyncio.run(run())
    for text in told:
        assert "failed inside this server" in text
        assert not any(part in text for part in UNFIT), text
    assert SECRET in caplog.text


@pytest.mark.requirement("mcp-app:crash")
def test_a_refusal_on_purpose_keeps_its_own_words_and_nothing_else() -> None:
    assert call("refuse", {"why": "it is Sunday"}) == (True, "not today: it is Sunday")
