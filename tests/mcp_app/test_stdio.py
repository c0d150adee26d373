"""Standard input and output as a transport, with a real process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.mcp_app.small import ERAS, text_of
from tests.mcp_app.wire import LEGACY_START

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.mcp_app.small_process"]


@contextmanager
def process() -> Generator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    server = subprocess.Popen(COMMAND, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        yield server
    finally:
        server.kill()
        server.communicate()


def ask(server: subprocess.Popen[str], message: dict[str, Any]) -> dict[str, Any]:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(message) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


@pytest.mark.requirement("mcp-app:stdio")
@pytest.mark.parametrize("era", ERAS)
def test_a_client_calls_tools_whatever_else_prints(era: Any) -> None:
    async def run() -> None:
        where = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], cwd=ROOT)
        async with Client(where, mode=era) as client:
            assert text_of(await client.call_tool("print_and_fork", {})) == "printed"
            assert text_of(await client.call_tool("get_price", {"symbol": "AAPL"})) == "AAPL 1Min 10"
            assert text_of(await client.call_tool("place_order", {"qty": 1})) == "sent 1"

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:stdio")
def test_only_protocol_lines_leave_and_the_end_of_input_is_the_end() -> None:
    with process() as server:
        assert ask(server, LEGACY_START)["result"]["serverInfo"]["name"] == "small"
        assert server.stdin is not None
        server.stdin.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        call = {"name": "print_and_fork", "arguments": {}}
        answer = ask(server, {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call})
        assert answer["id"] == 2
        rest, logs = server.communicate(timeout=10)
        assert rest == ""
        assert server.returncode == 0
        for noise in ("noise from print", "noise from the descriptor", "noise from a child"):
            assert noise in logs
        assert "Traceback" not in logs


@pytest.mark.requirement("mcp-app:body")
def test_a_line_that_is_too_large_is_passed_over_and_the_next_is_answered() -> None:
    with process() as server:
        assert server.stdin is not None
        server.stdin.write(json.dumps({**LEGACY_START, "padding": "x" * 50_000}) + "\n")
        assert ask(server, LEGACY_START)["id"] == 1


@pytest.mark.requirement("mcp-app:signal")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 1)])
def test_a_server_that_waits_for_input_stops_on_a_signal(number: signal.Signals, code: int) -> None:
    with process() as server:
        ask(server, LEGACY_START)
        server.send_signal(number)
        assert server.wait(10) in {code, -number}
