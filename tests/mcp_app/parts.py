"""All servers together and one alone in one process, sharing one guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp_servers._http import serve_http
from mcp_servers._middleware import Guard
from mcp_servers.options import ServerOptions
from tests.mcp_app.small import small_server


@asynccontextmanager
async def both() -> AsyncGenerator[tuple[str, str]]:
    """Yield the URL of all and the URL of one; the limit allows two calls of one tool, wherever they go."""
    options = ServerOptions(port=0, calls_per_minute=2)
    guard = Guard(options)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    whole, part = small_server(options, guard), small_server(options, guard)
    serving = asyncio.create_task(serve_http(whole, options, {"ohlc": part}, ready.set_result))
    try:
        url = await asyncio.wait_for(ready, 10)
        yield url, url.replace("/mcp", "/ohlc/mcp")
    finally:
        serving.cancel()
        await asyncio.wait({serving}, timeout=10)
