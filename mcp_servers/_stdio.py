"""Standard input and output as a transport: one client, trusted as the person who started it. Not a log.

Only protocol lines leave on standard output, whatever else prints; logs go to standard error. It ends when its input
does, and also when it is interrupted while it waits for input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from threading import Semaphore, Thread
from typing import BinaryIO, cast

import anyio
from mcp.server.stdio import stdio_server

from mcp_servers._server import FloorServer
from mcp_servers.options import ServerOptions

__all__ = ["serve_stdio"]

_MOST_WAITING = 64
_TOO_LARGE = b'{"refused": "a request larger than this server takes"}\n'


async def serve_stdio(server: FloorServer, options: ServerOptions | None = None) -> None:
    """Serve one client until its input ends, SIGTERM, or until cancelled.

    Args:
        server: What is served.
        options: How large a request may be.
    """
    bounds = options or ServerOptions()
    lines = _Lines(_own_input(), bounds.max_body_bytes, asyncio.get_running_loop())
    loop = asyncio.get_running_loop()
    # asyncio takes signals on Unix, in the main thread, only; elsewhere who started us cancels instead.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGTERM, lines.end)
    try:
        async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (reads, writes):
            await server.run_streams(reads, writes)
    finally:
        # Where none could be set above, none can be taken away.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGTERM)


def _own_input() -> BinaryIO:
    """Take standard input for ourselves, so that no child process and no library reads the client's lines."""
    own = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return os.fdopen(own, "rb", closefd=False)


class _Lines:
    """Lines from a thread, so that waiting for one never holds up the end of the process."""

    def __init__(self, source: BinaryIO, most: int, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._most = most
        self._loop = loop
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = Semaphore(_MOST_WAITING)
        Thread(target=self._read, name="stdin", daemon=True).start()

    def end(self) -> None:
        """End as if the input had."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        while (line := await self._queue.get()) is not None:
            self._room.release()
            yield line

    def _read(self) -> None:
        with contextlib.suppress(RuntimeError, OSError, ValueError):  # the loop has closed, or the input was taken away
            while line := self._source.readline(self._most):
                if not line.endswith(b"\n") and len(line) >= self._most:
                    self._skip_line()
                    line = _TOO_LARGE
                self._room.acquire()
                self._loop.call_soon_threadsafe(self._queue.put_nowait, line.decode("utf-8", "replace"))
            self._loop.call_soon_threadsafe(self.end)

    def _skip_line(self) -> None:
        while (rest := self._source.readline(self._most)) and not rest.endswith(b"\n"):
            pass
