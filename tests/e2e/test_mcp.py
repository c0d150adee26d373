"""``outcry mcp`` as a client's program starts it: processes, the real SDK's client, a desk that several share."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent

from tests.e2e.desk import ROOT, alive, environment, outcry, started, until

SLOW = ("--speed", "0.001")
"""The clock stands still after the start."""


def private(tmp_path: Path) -> dict[str, str]:
    return environment({"XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)})


@asynccontextmanager
async def served(
    tmp_path: Path, *words: str, env: Mapping[str, str] | None = None, mode: Any = "auto"
) -> AsyncGenerator[Client]:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "outcry", "mcp", *words],
        env={**private(tmp_path), **(env or {})},
        cwd=str(tmp_path),
    )
    with (tmp_path / "server.log").open("a", encoding="utf-8") as log:
        async with Client(stdio_client(parameters, errlog=log), mode=mode) as client:
            yield client


def text(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def call(client: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text(result)
    assert result.structured_content is not None
    return result.structured_content


def desk_pids(tmp_path: Path) -> list[int]:
    found: list[int] = []
    for path in (tmp_path / "state").rglob("run.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        found += [told["supervisor"], *told["stages"].values()]
    return found


@pytest.mark.requirement("mcp:desk")
def test_two_servers_share_one_clock_and_account_and_leave_nothing_behind(tmp_path: Path) -> None:
    async def talk() -> None:
        async with served(tmp_path, "ohlc", *SLOW) as ohlc, served(tmp_path, "orders", *SLOW, mode="legacy") as orders:
            clock = await call(ohlc, "get_clock")
            account = await call(orders, "get_account")
            assert account["mode"] == "replay"
            assert "2024-03-13 10:31" in text(await ohlc.call_tool("get_clock", {}))
            assert "2024-03-13 10:31" in text(await orders.call_tool("get_account", {}))
            assert clock
            assert len({pid for pid in desk_pids(tmp_path) if alive(pid)}) == 5

    asyncio.run(talk())
    pids = desk_pids(tmp_path)
    until("the desk is gone", lambda: not any(alive(pid) for pid in pids))
    log = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert "replay desk" in log
    assert "Traceback" not in log


@pytest.mark.requirement("mcp:trade")
def test_an_order_of_a_models_is_judged_filled_held_and_closed(tmp_path: Path) -> None:
    async def talk() -> None:
        async with served(tmp_path, "all", "--speed", "600") as client:
            quote = await call(client, "get_latest_quote", symbols=["ACME"])
            assert quote
            preview = await client.call_tool("preview_order", {"symbol": "ACME", "side": "buy", "qty": 10})
            assert not preview.is_error, text(preview)
            placed = await call(client, "place_order", symbol="ACME", side="buy", qty=10, client_order_id="first")
            order_id = placed["order"]["client_order_id"]

            async def filled() -> bool:
                order = await call(client, "get_order", client_order_id=order_id)
                return order["order"]["status"] == "filled"

            async with asyncio.timeout(30):
                while not await filled():
                    pass
            positions = await call(client, "get_positions")
            assert [(one["symbol"], one["qty"]) for one in positions["positions"]] == [("ACME", "10")]
            again = await call(client, "place_order", symbol="ACME", side="buy", qty=10, client_order_id="first")
            assert again["order"]["client_order_id"] == order_id
            killed = await client.call_tool("engage_kill_switch", {"reason": "enough"})
            assert not killed.is_error, text(killed)
            refused = await client.call_tool("place_order", {"symbol": "ACME", "side": "buy", "qty": 1})
            assert refused.is_error
            assert "kill switch" in text(refused)

    asyncio.run(talk())


@pytest.mark.requirement("mcp:desk")
def test_a_server_joins_a_running_desk_and_is_refused_one_that_is_over(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with started("run", "--run-dir", run_dir, "--speed", "120", "--json") as desk:
        until("the desk runs", lambda: b'"running"' in _bytes(run_dir / "run.json"))

        async def talk() -> None:
            async with served(tmp_path, "all", "--run-dir", str(run_dir)) as client:
                account = await call(client, "get_account")
                assert account["mode"] == "replay"

        asyncio.run(talk())
        desk.send_signal(signal.SIGINT)
        assert desk.wait(30) == 130
    refused = outcry("mcp", "all", "--run-dir", run_dir, env=private(tmp_path))
    assert refused.code == 2
    assert "not running" in refused.err
    assert refused.out == ""


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.requirement("mcp:command")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_over_http_an_interrupt_ends_the_server_and_its_desk(number: signal.Signals, tmp_path: Path) -> None:
    with started("mcp", "all", "--http", "--port", "0", *SLOW, env=private(tmp_path)) as server:
        assert server.stderr is not None
        lines: list[str] = []
        while "serving all at http://127.0.0.1:" not in (line := server.stderr.readline()):
            assert line, lines
            lines.append(line)
        url = line.split(" at ")[1].split()[0]

        async def talk() -> None:
            for place in (url, url.replace("/mcp", "/ohlc/mcp")):
                async with Client(place) as client:
                    names = {tool.name for tool in (await client.list_tools()).tools}
                    assert "get_bars" in names
                    assert ("place_order" in names) == (place == url)

        asyncio.run(talk())
        server.send_signal(number)
        assert server.wait(30) == 130
        assert "Traceback" not in server.stderr.read()
    pids = desk_pids(tmp_path)
    assert pids
    until("the desk is gone", lambda: not any(alive(pid) for pid in pids))


@pytest.mark.requirement("mcp:command")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("mcp", "ohcl"), "invalid choice"),
        (("mcp", "all", "--speed", "slow"), "allowed is max"),
        (("mcp", "all", "--confirm-above", "much"), "a number from 0"),
        (("mcp", "all", "--start", "noon"), "HH:MM"),
        (("mcp", "all", "--http", "--host", "0.0.0.0"), "token"),
        (("mcp", "all", "--day", "nowhere"), "no recorded day"),
        (("mcp", "token"), "--client"),
        (("mcp", "all", "--run-dir", "x", "--day", "y"), "leave"),
    ],
)
def test_wrong_words_are_refused_with_what_is_allowed(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = outcry(*words, env=private(tmp_path), cwd=tmp_path)
    assert done.code == 2, done.err
    assert told in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.requirement("mcp:command")
@pytest.mark.parametrize("client", ["claude", "cursor", "vscode"])
def test_the_printed_configuration_starts_a_server_that_answers(client: str, tmp_path: Path) -> None:
    done = outcry("mcp", "calendar", "--print-config", client, *SLOW, env=private(tmp_path), cwd=tmp_path)
    assert done.code == 0, done.err
    (table,) = json.loads(done.out).values()
    (entry,) = table.values()
    assert Path(entry["command"]).is_absolute()
    assert entry["args"] == ["mcp", "calendar", *SLOW]


@pytest.mark.requirement("mcp:audit")
def test_every_call_is_on_record_beside_the_desk(tmp_path: Path) -> None:
    async def talk() -> None:
        async with served(tmp_path, "ohlc", *SLOW) as client:
            await call(client, "get_clock")
            assert (await client.call_tool("get_bars", {"symbol": "NOPE"})).is_error

    asyncio.run(talk())
    (audit,) = (tmp_path / "state").rglob("audit.jsonl")
    assert audit.stat().st_mode & 0o077 == 0
    records = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    told = [(record["name"], record["outcome"]) for record in records if record["method"] == "tools/call"]
    assert told == [("get_clock", "ok"), ("get_bars", "error")]
    assert {record["transport"] for record in records} == {"stdio"}
