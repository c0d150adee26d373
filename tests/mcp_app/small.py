"""A small server on the product's stack, and ways to reach it: in memory and over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.types import CallToolResult, TextContent
from pydantic import Field

from mcp_servers._auth import mint_token
from mcp_servers._http import listen_on, serve_http
from mcp_servers._middleware import Guard
from mcp_servers._server import FloorServer
from mcp_servers._subscriptions import Subscriptions
from mcp_servers.options import ServerOptions

ERAS: tuple[Literal["auto", "legacy"], ...] = ("auto", "legacy")
SECRET = "the book is at 7 Threadneedle Street"


def small_server(options: ServerOptions, guard: Guard | None = None) -> FloorServer:
    """A server with a tool of each scope, one that fails, one that crashes, a resource and a prompt."""
    guard = guard or Guard(options)
    server = FloorServer("small", "1", "Small.", guard, Subscriptions(), private=options.tokens_file is not None)
    sent: list[int] = []

    @server.tool()
    async def get_price(
        symbol: Annotated[str, Field(description="Ticker", pattern="^[A-Z]{1,5}$")],
        timeframe: Literal["1Min", "5Min"] = "1Min",
        limit: Annotated[int, Field(ge=1, le=100)] = 10,
    ) -> str:
        """The price."""
        return f"{symbol} {timeframe} {limit}"

    @server.tool()
    async def get_account() -> str:
        """The account."""
        return "100000"

    @server.tool()
    async def place_order(qty: Annotated[int, Field(gt=0)], password: str = "") -> str:
        """Send an order."""
        sent.append(qty)
        return f"sent {len(sent)}{password and ' '}"

    @server.tool()
    async def refuse(why: str) -> str:
        """Refuse."""
        raise ToolError(f"not today: {why}")

    @server.tool()
    async def crash() -> str:
        """Crash."""
        raise RuntimeError(SECRET)

    @server.resource("orders://{state}", mime_type="text/plain")
    async def orders(state: str) -> str:
        """Orders by state."""
        if state == "crash":
            raise RuntimeError(SECRET)
        if state != "open":
            raise ResourceNotFoundError(f"there are no {state} orders; say orders://open")
        return "none"

    @server.prompt()
    async def trade_review(symbol: str) -> str:
        """Review a trade."""
        if symbol == "CRASH":
            raise RuntimeError(SECRET)
        return f"Review {symbol}."

    guard.scopes.update(
        get_price="market:read",
        get_account="account:read",
        place_order="orders:write",
        refuse="market:read",
        crash="market:read",
    )
    guard.resource_scopes.update(orders="account:read")
    return server


def token(path: Path, options_port: int, client: str, *scopes: str, days: float = 1.0) -> str:
    """A token for the server on a port."""
    return mint_token(path, client, tuple(scopes), f"http://127.0.0.1:{options_port}/mcp", days)


@asynccontextmanager
async def over_http(server: FloorServer, options: ServerOptions, listener: Any = None) -> AsyncGenerator[str]:
    """Serve on real loopback HTTP and yield the URL."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_http(server, options, None, ready.set_result, listener or listen_on(options)))
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert ready.done(), serving
        yield ready.result()
    finally:
        serving.cancel()
        await asyncio.wait({serving}, timeout=10)


@asynccontextmanager
async def client_of(
    url: str, era: Literal["auto", "legacy"] = "auto", bearer: str = "", **more: Any
) -> AsyncGenerator[Client]:
    """An SDK client over HTTP."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=10) as http,
        Client(streamable_http_client(url, http_client=http), mode=era, **more) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    """The text a model reads."""
    parts: Sequence[Any] = result.content
    return "\n".join(part.text for part in parts if isinstance(part, TextContent))
