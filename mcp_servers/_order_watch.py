"""Who follows orders, positions or the gate is told when they change, on both protocol eras. Nobody follows: no work.

Not a stream of events: a client is told that there is something new and reads again. What is followed is looked at when
the market ticks, and once a second beside that, because an order changes between two ticks as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from urllib.parse import unquote

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from mcp_servers._desk import Desk

__all__ = ["OrdersWatch"]

_MOST_FOLLOWED = 50
_AGAIN_S = 1.0
_log = logging.getLogger("outcry.mcp")
Read = Callable[[str], Awaitable[str]]


class OrdersWatch:
    """Middleware that sees who begins and ceases to follow."""

    def __init__(self, server: MCPServer[Any], desk: Desk, readers: Mapping[str, Read]) -> None:
        """Watch nothing yet.

        Args:
            server: Whose clients are told.
            desk: Whose clock is listened to.
            readers: Scheme → what reads its resource by the part after it.
        """
        self._server = server
        self._desk = desk
        self._readers = readers
        self._followers: Counter[str] = Counter()
        self._seen: dict[str, str] = {}
        self._connections: dict[int, set[str]] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Run a request; where it follows one of ours, watch that."""
        if ctx.method == "subscriptions/listen":
            return await self._listened(ctx, call_next)
        if ctx.method == "resources/subscribe":
            return await self._subscribed(ctx, call_next)
        result = await call_next(ctx)
        if ctx.method == "resources/unsubscribe":
            self._dropped(id(_connection(ctx)), str((ctx.params or {}).get("uri", "")))
        if ctx.method == "tools/call":
            self._woken.set()
        return result

    async def _listened(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        wanted = cast("Mapping[str, Any]", (ctx.params or {}).get("notifications") or {})
        uris = cast("list[Any]", wanted.get("resourceSubscriptions") or [])
        followed: list[str] = []
        try:
            for uri in dict.fromkeys(uri for uri in uris if isinstance(uri, str) and self._ours(uri)):
                await self._follow(uri)
                followed.append(uri)
            return await call_next(ctx)
        finally:
            for uri in followed:
                self._leave(uri)

    async def _subscribed(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        uri = str((ctx.params or {}).get("uri", ""))
        connection = _connection(ctx)
        mine = self._connections.get(id(connection), set())
        if not self._ours(uri) or uri in mine:
            return await call_next(ctx)
        await self._follow(uri)
        try:
            result = await call_next(ctx)
        except BaseException:
            self._leave(uri)
            raise
        if id(connection) not in self._connections:
            self._connections[id(connection)] = mine
            connection.exit_stack.callback(self._gone, id(connection))
        mine.add(uri)
        return result

    def _ours(self, uri: str) -> bool:
        return uri.split("://", 1)[0] in self._readers

    def _gone(self, connection: int) -> None:
        for uri in self._connections.pop(connection, set()):
            self._leave(uri)

    def _dropped(self, connection: int, uri: str) -> None:
        mine = self._connections.get(connection, set())
        if uri in mine:
            mine.discard(uri)
            self._leave(uri)

    async def _follow(self, uri: str) -> None:
        if uri not in self._followers and len(self._followers) >= _MOST_FOLLOWED:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"at most {_MOST_FOLLOWED} resources are followed at once; leave one first.",
            )
        try:
            text = await self._body(uri)
        except ToolError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error
        self._followers[uri] += 1
        self._seen.setdefault(uri, text)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    def _leave(self, uri: str) -> None:
        self._followers[uri] -= 1
        if self._followers[uri] <= 0:
            del self._followers[uri]
            self._seen.pop(uri, None)
        if not self._followers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        stop = self._desk.listen("tick", lambda _message, _missed: self._woken.set())
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), _AGAIN_S)
                self._woken.clear()
                for uri in list(self._followers):
                    await self._look(uri)
        finally:
            stop()

    async def _look(self, uri: str) -> None:
        try:
            text = await self._body(uri)
        except ToolError as error:
            _log.info("%s is not known now: %s", uri, error)
            return
        if uri in self._seen and self._seen[uri] != text:
            self._seen[uri] = text
            bus = self._server._subscriptions  # pyright: ignore[reportPrivateUsage] - only a request's context gives it out
            await bus.publish(ResourceUpdated(uri=uri))

    async def _body(self, uri: str) -> str:
        """Return a resource without its first line, which says when."""
        scheme, _, rest = uri.partition("://")
        return (await self._readers[scheme](unquote(rest))).partition("\n")[2]


def _connection(ctx: ServerRequestContext[Any, Any]) -> Any:
    # A session is made anew for each request; only its connection lasts, and the SDK has no public name for it.
    return ctx.session._connection  # pyright: ignore[reportPrivateUsage]
