"""Who is told that a resource changed, on both protocol eras. Not a store: nothing is replayed, clients read again.

Modern clients hold a ``subscriptions/listen`` stream; older ones sent ``resources/subscribe`` on their connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

__all__ = ["Subscriptions"]

_MOST_PER_CONNECTION = 200
_log = logging.getLogger("outcry.mcp")


class _Connection(Protocol):
    """What is used of the SDK's connection."""

    exit_stack: Any

    async def send_resource_updated(self, uri: str) -> None: ...


def _connection(ctx: ServerRequestContext[Any, Any]) -> _Connection:
    # The session is made anew for each request; only its connection lasts, and the SDK has no public name for it.
    return cast("_Connection", ctx.session._connection)  # pyright: ignore[reportPrivateUsage]


class Subscriptions:
    """The bus of resource changes of one process; may be shared by several servers."""

    def __init__(self) -> None:
        """Start with nobody listening."""
        self._listening = InMemorySubscriptionBus()
        self._followers: dict[_Connection, set[str]] = {}

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Add a listen stream; returns what removes it."""
        return self._listening.subscribe(listener)

    async def publish(self, event: ServerEvent) -> None:
        """Tell everybody who follows."""
        if isinstance(event, ResourceUpdated):
            for connection, uris in list(self._followers.items()):
                if event.uri in uris:
                    try:
                        await connection.send_resource_updated(event.uri)
                    except Exception:
                        _log.info("a subscriber of %s is gone", event.uri)
                        self._followers.pop(connection, None)
        await self._listening.publish(event)

    async def changed(self, uri: str) -> None:
        """Tell everybody who follows that a resource changed."""
        await self.publish(ResourceUpdated(uri=uri))

    async def follow(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        """Answer ``resources/subscribe``."""
        connection = _connection(ctx)
        uris = self._followers.get(connection)
        if uris is None:
            uris = self._followers[connection] = set()
            connection.exit_stack.callback(self._followers.pop, connection, None)
        if len(uris) >= _MOST_PER_CONNECTION:
            raise MCPError(
                code=INVALID_PARAMS, message=f"at most {_MOST_PER_CONNECTION} subscriptions; unsubscribe from one first"
            )
        uris.add(str(params.uri))
        return EmptyResult()

    async def unfollow(self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
        """Answer ``resources/unsubscribe``."""
        self._followers.get(_connection(ctx), set()).discard(str(params.uri))
        return EmptyResult()
