"""Who is told that a resource changed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp import Client
from mcp.shared.subscriptions import ResourceUpdated
from mcp.types import (
    EmptyResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from mcp_servers.options import ServerOptions
from tests.mcp_app.small import client_of, over_http, small_server

OPTIONS = ServerOptions(port=0)


@pytest.mark.requirement("mcp-app:subscribe")
@pytest.mark.parametrize("http", [False, True])
def test_a_modern_subscriber_is_told(http: bool) -> None:
    async def told(client: Client, server: Any) -> None:
        async with client.listen(resource_subscriptions=["orders://open"]) as events:
            await server.changes.changed("orders://closed")
            await server.changes.changed("orders://open")
            event = await asyncio.wait_for(anext(aiter(events)), 10)
            assert event == ResourceUpdated(uri="orders://open")

    async def run() -> None:
        server = small_server(OPTIONS)
        if http:
            async with over_http(server, OPTIONS) as url, client_of(url) as client:
                await told(client, server)
        else:
            async with Client(server) as client:
                await told(client, server)

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:subscribe")
@pytest.mark.parametrize("http", [False, True])
def test_an_older_subscriber_is_told_until_it_leaves(http: bool) -> None:
    async def run() -> None:
        server = small_server(OPTIONS)
        seen: asyncio.Queue[str] = asyncio.Queue()

        async def on_message(message: Any) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                seen.put_nowait(str(message.params.uri))

        async def told(client: Client) -> None:
            for uri in ("orders://open", "orders://all"):
                await client.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)
            await server.changes.changed("orders://closed")
            await server.changes.changed("orders://open")
            assert await asyncio.wait_for(seen.get(), 10) == "orders://open"
            left = UnsubscribeRequest(params=UnsubscribeRequestParams(uri="orders://open"))
            await client.session.send_request(left, EmptyResult)
            await server.changes.changed("orders://open")
            await server.changes.changed("orders://all")
            assert await asyncio.wait_for(seen.get(), 10) == "orders://all"

        if http:
            async with (
                over_http(server, OPTIONS) as url,
                client_of(url, "legacy", message_handler=on_message) as client,
            ):
                await told(client)
        else:
            async with Client(server, mode="legacy", message_handler=on_message) as client:
                await told(client)
            await server.changes.changed("orders://all")
            assert seen.empty()

    asyncio.run(run())
