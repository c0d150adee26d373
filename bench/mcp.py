"""What our tools cost above a trivial tool on the same SDK and transport, through a real client. Not a load test.

A desk of processes on the sample day stands still at 13:30 (240 bars); every figure is measured in alternation with its
floor, by the same client program.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from bench._measure import Result, result
from bus.clock import NS, monotonic_ns

__all__ = ["run"]

_CONFIG = "[mcp]\ncalls_per_minute = 100000\norder_calls_per_minute = 10000\n"
_ROOT = str(Path(__file__).resolve().parents[1])
_BLOCK = 25
_CLIENTS = 16
_TRIVIAL: tuple[str, Mapping[str, Any]] = ("trivial", {"symbol": "ACME"})
_TOOLS: Mapping[str, Mapping[str, Any]] = {
    "get_bars": {"symbol": "ACME", "timeframe": "1Min", "limit": 100},
    "get_multi_timeframe_bars": {"symbols": ["ACME"], "timeframes": ["1Min", "5Min", "1Hour"], "limit": 20},
    "get_latest_quote": {"symbols": ["ACME"]},
    "get_clock": {},
    "get_news": {"limit": 5},
    "get_indicators": {"symbol": "ACME", "timeframe": "1Min", "indicators": ["rsi(14)", "macd"], "limit": 20},
    "get_account": {},
    "preview_order": {"symbol": "ACME", "side": "buy", "qty": 1, "type": "market"},
}


def run(quick: bool = False) -> list[Result]:
    """Measure.

    Args:
        quick: A tenth of the rounds, for a smoke test: the figures are rough.

    Returns:
        A call of each tool over stdio and over HTTP, and calls a second with 16 clients at once.
    """
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    return asyncio.run(_run(50 if quick else 500))


async def _run(rounds: int) -> list[Result]:
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="oo-") as name:
        folder = Path(name)
        (folder / "outcry.toml").write_text(_CONFIG)
        environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": _ROOT}
        for transport, pair in (("stdio", _over_stdio), ("http", _over_http)):
            async with pair(folder, environ) as (floor, ours):
                for tool, arguments in _TOOLS.items():
                    low, high = await _alternate(floor, ours, tool, arguments, rounds)
                    results.append(result(f"{tool} over {transport}", "µs", low, high))
        async with _over_http(folder, environ, _CLIENTS) as (floor, ours):
            low, high = await _crowd(floor, ours, rounds)
            results.append(result(f"get_bars over http, {_CLIENTS} clients at once", "calls/s", low, high))
        async with _over_stdio(folder, environ, _CLIENTS) as (floor, ours):
            low, high = await _crowd(floor, ours, rounds)
            results.append(result(f"get_bars over stdio, {_CLIENTS} clients at once", "calls/s", low, high))
    return results


# --- who is asked -----------------------------------------------------------------------------------------------------


def _ours(folder: Path, *more: str) -> list[str]:
    config = str(folder / "outcry.toml")
    return ["-P", "-m", "outcry", "mcp", "all", "--config", config, "--speed", "0.0001", "--start", "13:30", *more]


@asynccontextmanager
async def _over_stdio(
    folder: Path, environ: Mapping[str, str], clients: int = 1
) -> AsyncGenerator[tuple[list[Client], list[Client]]]:
    async with AsyncExitStack() as stack:
        log = stack.enter_context((folder / "stdio.log").open("a"))
        both: tuple[list[Client], list[Client]] = ([], [])
        for words, into in ((["-P", "-m", "bench._mcp_floor", "stdio"], both[0]), (_ours(folder), both[1])):
            # One server a client is what a desktop program starts; sixteen tasks share one process here.
            parameters = StdioServerParameters(command=sys.executable, args=words, env=dict(environ))
            client = await stack.enter_async_context(Client(_quiet(parameters, log)))
            into.extend([client] * clients)
        yield both


def _quiet(parameters: StdioServerParameters, log: Any) -> Any:
    from mcp.client.stdio import stdio_client

    return stdio_client(parameters, errlog=log)


@asynccontextmanager
async def _over_http(
    folder: Path, environ: Mapping[str, str], clients: int = 1
) -> AsyncGenerator[tuple[list[Client], list[Client]]]:
    async with AsyncExitStack() as stack:
        both: tuple[list[Client], list[Client]] = ([], [])
        floor_port, port = _free_port(), _free_port()
        commands = (
            (["-P", "-m", "bench._mcp_floor", "http", str(floor_port)], floor_port, both[0]),
            (_ours(folder, "--http", "--port", str(port)), port, both[1]),
        )
        for words, where, into in commands:
            log = stack.enter_context((folder / f"http-{where}.log").open("wb"))
            process = subprocess.Popen([sys.executable, *words], env=dict(environ), stderr=log, stdout=log)
            stack.callback(_end, process)
            await _listens(where, process)
            for _ in range(clients):
                http = await stack.enter_async_context(httpx2.AsyncClient(timeout=60))
                there = streamable_http_client(f"http://127.0.0.1:{where}/mcp", http_client=http)
                into.append(await stack.enter_async_context(Client(there)))
        yield both


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic_ns() + 60 * NS
    while monotonic_ns() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}; look at what the server wrote")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


# --- how long it takes ------------------------------------------------------------------------------------------------


async def _timed(call: Callable[[], Awaitable[Any]]) -> float:
    start = monotonic_ns()
    answer = await call()
    taken = (monotonic_ns() - start) / 1000
    if answer.is_error:
        raise RuntimeError(f"a tool refused what the benchmark asks: {answer.content[0].text}")
    return taken


async def _alternate(
    floor: list[Client], ours: list[Client], tool: str, arguments: Mapping[str, Any], rounds: int
) -> tuple[list[float], list[float]]:
    samples: tuple[list[float], list[float]] = ([], [])
    calls = (
        lambda: floor[0].call_tool(_TRIVIAL[0], dict(_TRIVIAL[1])),
        lambda: ours[0].call_tool(tool, dict(arguments)),
    )
    for call in calls:
        for _ in range(min(rounds, 40)):
            await _timed(call)
    for _ in range(max(1, rounds // _BLOCK)):
        for call, into in zip(calls, samples, strict=True):
            into.extend([await _timed(call) for _ in range(_BLOCK)])
    return samples


async def _crowd(floor: list[Client], ours: list[Client], rounds: int) -> tuple[list[float], list[float]]:
    """Return calls a second with all clients at once, of each, in turns."""
    samples: tuple[list[float], list[float]] = ([], [])
    asks = ((floor, *_TRIVIAL), (ours, "get_bars", _TOOLS["get_bars"]))
    each = max(4, rounds // 25)

    async def ask(client: Client, tool: str, arguments: Mapping[str, Any]) -> None:
        for _ in range(each):
            await _timed(lambda: client.call_tool(tool, dict(arguments)))

    for turn in range(6):
        for (clients, tool, arguments), into in zip(asks, samples, strict=True):
            start = monotonic_ns()
            await asyncio.gather(*(ask(client, tool, arguments) for client in clients))
            if turn:
                into.append(each * len(clients) * NS / (monotonic_ns() - start))
    return samples
