"""A client of the market servers for tests: a loop in a thread, so that tests and hypothesis call plainly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Literal, TypeVar

from mcp import Client
from mcp.types import CallToolResult, TextContent

from mcp_servers._app import build_server
from mcp_servers._desk import Desk
from mcp_servers._ohlc_watch import BarsWatch
from mcp_servers.options import ServerOptions

Mode = Literal["auto", "legacy"]
OPTIONS = ServerOptions(servers=("ohlc", "news", "calendar"), calls_per_minute=10**9)
_WAIT_S = 30.0
_T = TypeVar("_T")


class Floor:
    """One client in memory."""

    def __init__(self, desk: Desk, mode: Mode, seen: Callable[[Any], None] | None = None) -> None:
        self._desk = desk
        self._mode: Mode = mode
        self._seen = seen
        self._loop = asyncio.new_event_loop()
        self._ready = Event()
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._client: Client | None = None
        self.watch: BarsWatch | None = None
        self._thread = Thread(target=self._run, name=f"floor {mode}")
        self._thread.start()
        assert self._ready.wait(_WAIT_S)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = build_server(self._desk, OPTIONS)
        self.watch = next(part for part in server.middleware if isinstance(part, BarsWatch))

        async def handler(message: Any) -> None:
            if self._seen is not None:
                self._seen(message)

        async with Client(server, mode=self._mode, message_handler=handler) as client:
            self._client = client
            await client.list_tools()
            self._ready.set()
            await self._stop.wait()
        self._desk.close()

    def run(self, what: Callable[[Client], Awaitable[_T]]) -> _T:
        """Do something with the client on its loop."""

        async def one() -> _T:
            assert self._client is not None
            return await asyncio.wait_for(what(self._client), _WAIT_S)

        return asyncio.run_coroutine_threadsafe(one(), self._loop).result(_WAIT_S)

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> CallToolResult:
        """Call a tool."""
        return self.run(lambda client: client.call_tool(tool, dict(arguments or {})))

    def text(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must answer, and return its text."""
        result = self.call(tool, arguments)
        assert not result.is_error, text_of(result)
        return text_of(result)

    def data(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must answer, and return its structure."""
        result = self.call(tool, arguments)
        assert not result.is_error, text_of(result)
        assert result.structured_content is not None
        return result.structured_content

    def error(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must refuse, and return why."""
        result = self.call(tool, arguments)
        assert result.is_error, text_of(result)
        return text_of(result)

    def close(self) -> None:
        """End the client."""
        if self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_WAIT_S)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


def text_of(result: CallToolResult) -> str:
    """The text of an answer."""
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def rows_of(csv: str) -> list[dict[str, str]]:
    """The records of a CSV text."""
    header, *lines = csv.split("\n")
    names = header.split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in lines]


@contextmanager
def floor(desk: Desk, mode: Mode = "auto", seen: Callable[[Any], None] | None = None) -> Generator[Floor]:
    """Connect a client to servers of a desk."""
    opened = Floor(desk, mode, seen)
    try:
        yield opened
    finally:
        opened.close()
