"""How often one client may call one tool."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from bus.clock import NS
from mcp_servers._http import listen_on
from mcp_servers._rate import RateLimits
from mcp_servers.options import ServerOptions
from tests.mcp_app.small import client_of, over_http, small_server, text_of, token


@pytest.mark.requirement("mcp-app:rate-exact")
@given(st.lists(st.integers(0, 30 * NS), min_size=1, max_size=200), st.integers(1, 8))
def test_no_minute_holds_more_calls_than_the_limit_and_the_wait_told_is_enough(gaps: list[int], limit: int) -> None:
    now = 0
    limits = RateLimits(lambda: now)
    taken: list[int] = []
    for gap in gaps:
        now += gap
        wait_s = limits.take("a", "get_bars", limit)
        if wait_s == 0.0:
            taken.append(now)
        else:
            now += round(wait_s * NS) + 1
            assert limits.take("a", "get_bars", limit) == 0.0
            taken.append(now)
    for start in taken:
        assert sum(start <= at < start + 60 * NS for at in taken) <= limit


@pytest.mark.requirement("mcp-app:rate")
def test_the_answer_says_the_limit_and_when_to_call_again_and_nothing_is_done() -> None:
    async def run() -> None:
        async with Client(small_server(ServerOptions(order_calls_per_minute=2))) as client:
            assert [text_of(await client.call_tool("place_order", {"qty": 1})) for _ in range(2)] == [
                "sent 1",
                "sent 2",
            ]
            refused = await client.call_tool("place_order", {"qty": 1})
            assert refused.is_error
            assert "2 times a minute" in text_of(refused)
            assert "Nothing was done. Call again in " in text_of(refused)
            assert not (await client.call_tool("get_account", {})).is_error

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:rate")
def test_one_client_that_calls_too_often_does_not_stop_another(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "tokens.toml"
        token(path, 1, "nobody", "market:read")
        options = ServerOptions(port=0, tokens_file=path, calls_per_minute=3)
        listener = listen_on(options)
        port = listener.getsockname()[1]
        busy, calm = (token(path, port, name, "market:read") for name in ("busy", "calm"))
        async with over_http(small_server(options), options, listener) as url:
            async with client_of(url, bearer=busy) as client:
                answers = [await client.call_tool("get_price", {"symbol": "AAPL"}) for _ in range(5)]
                assert [bool(answer.is_error) for answer in answers] == [False, False, False, True, True]
            async with client_of(url, bearer=calm) as client:
                assert not (await client.call_tool("get_price", {"symbol": "AAPL"})).is_error

    asyncio.run(run())
