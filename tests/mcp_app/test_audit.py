"""What is written down of every call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError

from bus.errors import ConfigError
from mcp_servers._audit import Audit, Call, bounded
from mcp_servers._middleware import Guard
from mcp_servers.options import ServerOptions
from tests.mcp_app.small import ERAS, SECRET, client_of, over_http, small_server, text_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.requirement("mcp-app:audit")
@pytest.mark.parametrize("era", ERAS)
def test_every_call_and_how_it_ended_is_written_down(era: Any, tmp_path: Path) -> None:
    path = tmp_path / "audit" / "calls.jsonl"
    options = ServerOptions(port=0, audit_file=path, calls_per_minute=2)

    async def run() -> None:
        async with over_http(small_server(options), options) as url, client_of(url, era) as client:
            await client.call_tool("get_price", {"symbol": "AAPL"})
            await client.call_tool("get_price", {"symbol": "aapl"})
            await client.call_tool("get_price", {"symbol": "AAPL"})
            await client.call_tool("refuse", {"why": "it is Sunday"})
            await client.call_tool("crash", {})
            await client.call_tool("place_order", {"qty": 3})
            await client.call_tool("nonsense", {})
            await client.read_resource("orders://open")
            with pytest.raises(MCPError):
                await client.read_resource("orders://closed")
            await client.get_prompt("trade_review", {"symbol": "AAPL"})

    asyncio.run(run())
    told = lines(path)
    assert [(line["name"], line["outcome"]) for line in told] == [
        ("get_price", "ok"),
        ("get_price", "invalid"),
        ("get_price", "refused"),
        ("refuse", "error"),
        ("crash", "failed"),
        ("place_order", "started"),
        ("place_order", "ok"),
        ("nonsense", "invalid"),
        ("orders://open", "ok"),
        ("orders://closed", "error"),
        ("trade_review", "ok"),
    ]
    assert {line["client"] for line in told} == {"http:127.0.0.1"}
    assert {line["transport"] for line in told} == {"http"}
    assert {line["era"] for line in told} == {"2026-07-28" if era == "auto" else "2025-11-25"}
    assert all(line["agent"].startswith("mcp ") and line["at"].endswith("Z") for line in told)
    assert all(line["ms"] >= 0 for line in told if line["outcome"] != "started")
    assert told[6]["arguments"] == {"qty": 3}
    assert "it is Sunday" in told[3]["detail"]
    assert SECRET not in path.read_text(encoding="utf-8")


@pytest.mark.requirement("mcp-app:audit")
def test_many_clients_at_once_leave_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    options = ServerOptions(audit_file=path)

    async def run() -> None:
        async with Client(small_server(options)) as one, Client(small_server(options)) as two:
            calls = [client.call_tool("get_price", {"symbol": "AAPL"}) for client in (one, two) for _ in range(50)]
            await asyncio.gather(*calls)

    asyncio.run(run())
    assert len(lines(path)) == 100


@pytest.mark.requirement("mcp-app:audit-secrets")
@settings(deadline=None)
@given(JSON)
def test_what_is_written_down_is_json_and_bounded(value: Any) -> None:
    text = json.dumps(bounded(value), allow_nan=True)
    assert len(text) < 60_000


@pytest.mark.requirement("mcp-app:audit-secrets")
def test_no_secret_is_written_down_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    secret = "oo_" + "ab" * 32
    options = ServerOptions(audit_file=path)

    async def run() -> None:
        async with Client(small_server(options)) as client:
            await client.call_tool("place_order", {"qty": 1, "password": "swordfish"})
            await client.call_tool("refuse", {"why": f"Bearer {secret} and {secret} and sk-abcdefghijklmnop"})
            await client.call_tool("refuse", {"why": "x" * 100_000})
            await client.call_tool("get_price", {"nested": {"API_KEY": "swordfish", "deep": [[[[["swordfish"]]]]]}})

    asyncio.run(run())
    text = path.read_text(encoding="utf-8")
    assert "swordfish" not in text
    assert secret not in text
    assert "sk-abcdef" not in text
    assert all(len(line) < 6_000 for line in text.splitlines())


@pytest.mark.requirement("mcp-app:audit-first")
def test_an_order_whose_record_cannot_be_written_is_not_sent(tmp_path: Path) -> None:
    options = ServerOptions(audit_file=tmp_path / "calls.jsonl")
    full = Audit(Path("/dev/full"))

    async def run() -> None:
        async with Client(small_server(options, Guard(options, full))) as client:
            with pytest.raises(MCPError, match="was not run: its audit record cannot be written"):
                await client.call_tool("place_order", {"qty": 1})
            assert not (await client.call_tool("get_price", {"symbol": "AAPL"})).is_error
        async with Client(small_server(options)) as client:
            assert text_of(await client.call_tool("place_order", {"qty": 1})) == "sent 1"

    asyncio.run(run())
    assert [line["outcome"] for line in lines(tmp_path / "calls.jsonl")] == ["started", "ok"]


@pytest.mark.requirement("mcp-app:audit-first")
def test_a_record_that_cannot_be_opened_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        Audit(tmp_path / "file" / "calls.jsonl")
    nothing = Audit(None)
    nothing.started(Call("local", "", "stdio", "", "tools/call", "x", {}))
    nothing.close()
