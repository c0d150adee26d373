"""Who follows ``bars://…`` is told when that chart changes: a watch on the feed for as long as somebody follows.

Not a stream of bars: a client is told that there is something new and reads again, so a slow one never falls behind.
The feed keeps one set of charts for each timeframe that this process follows, with every symbol followed in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from itertools import chain, repeat
from typing import Any, cast, get_args
from urllib.parse import unquote

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from bus.ids import token_hex
from bus.messages import Chart, ChartSet, Ok, Timeframe, UnwatchCharts, WatchCharts
from mcp_servers._desk import Desk
from mcp_servers._fence import clean

__all__ = ["BarsWatch"]

_SCHEME = "bars://"
_TIMEFRAMES: tuple[str, ...] = get_args(Timeframe)
_MOST_FOLLOWED = 100
_KEPT_BARS = 2
_SOON_S = 1.0
_AGAIN_S = 30.0
_log = logging.getLogger("outcry.mcp")


class _Set:
    """The charts of one timeframe that are followed."""

    def __init__(self, name: str, timeframe: Timeframe) -> None:
        self.name = name
        self.timeframe: Timeframe = timeframe
        self.followers: dict[str, Counter[str]] = {}
        self.seen: dict[str, Chart] = {}
        self.stop: Callable[[], None] = lambda: None
        self.renewal: asyncio.Task[None] | None = None

    def ask(self) -> WatchCharts:
        return WatchCharts(self.name, tuple(sorted(self.followers)), (self.timeframe,), _KEPT_BARS)


class BarsWatch:
    """Middleware that sees who begins and ceases to follow, on both protocol eras."""

    def __init__(self, server: MCPServer[Any], desk: Desk) -> None:
        """Follow nothing yet.

        Args:
            server: Whose clients are told.
            desk: Whose feed watches.
        """
        self._server = server
        self._desk = desk
        self._sets: dict[Timeframe, _Set] = {}
        self._connections: dict[int, set[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._me = token_hex(4)

    @property
    def followed(self) -> int:
        """How many charts somebody follows."""
        return sum(len(charts.followers) for charts in self._sets.values())

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Run a request; where it follows bars, watch them."""
        if ctx.method == "subscriptions/listen":
            return await self._listened(ctx, call_next)
        if ctx.method == "resources/subscribe":
            return await self._subscribed(ctx, call_next)
        if ctx.method == "resources/unsubscribe":
            result = await call_next(ctx)
            mine = self._connections.get(id(_connection(ctx)), set())
            uri = str((ctx.params or {}).get("uri", ""))
            if uri in mine:
                mine.discard(uri)
                await self._leave(uri)
            return result
        return await call_next(ctx)

    async def _listened(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Follow for as long as the request lasts, which is as long as its stream."""
        wanted = cast("Mapping[str, Any]", (ctx.params or {}).get("notifications") or {})
        uris = cast("list[Any]", wanted.get("resourceSubscriptions") or [])
        followed: list[str] = []
        try:
            for uri in dict.fromkeys(uri for uri in uris if isinstance(uri, str) and uri.startswith(_SCHEME)):
                await self._follow(uri)
                followed.append(uri)
            return await call_next(ctx)
        finally:
            for uri in followed:  # in tasks of their own: the end of a stream cancels whatever is awaited here
                self._later(self._leave(uri))

    async def _subscribed(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        uri = str((ctx.params or {}).get("uri", ""))
        connection = _connection(ctx)
        key = id(connection)
        if not uri.startswith(_SCHEME) or uri in self._connections.get(key, set()):
            return await call_next(ctx)
        await self._follow(uri)
        try:
            result = await call_next(ctx)
        except BaseException:
            self._later(self._leave(uri))
            raise
        if key not in self._connections:
            self._connections[key] = set()
            connection.exit_stack.callback(self._gone, key)
        self._connections[key].add(uri)
        return result

    def _gone(self, connection: int) -> None:
        for uri in self._connections.pop(connection, set()):
            self._later(self._leave(uri))

    async def _follow(self, uri: str) -> None:
        try:
            symbol, timeframe = await self._read(uri)
            if self.followed >= _MOST_FOLLOWED:
                raise ToolError(f"{_MOST_FOLLOWED} charts are followed, which is the most; leave one first.")
            charts = self._sets.get(timeframe)
            if charts is None:
                charts = self._sets[timeframe] = _Set(f"mcp-{self._me}-{timeframe}-", timeframe)
                self._listen(charts)
            known = symbol in charts.followers
            charts.followers.setdefault(symbol, Counter())[uri] += 1
            if not known:
                await self._ask(charts, uri)
        except ToolError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error

    async def _ask(self, charts: _Set, uri: str) -> None:
        try:
            first = await self._desk.ask("feed", charts.ask(), ChartSet)
        except ToolError:
            await self._leave(uri)
            raise
        for chart in first.charts:
            charts.seen.setdefault(chart.symbol, chart)

    async def _read(self, uri: str) -> tuple[str, Timeframe]:
        parts = [unquote(part) for part in uri.removeprefix(_SCHEME).split("/")]
        if len(parts) != 2 or parts[1] not in _TIMEFRAMES:
            raise ToolError(
                f"{clean(uri, 80)} cannot be followed. It must be bars://SYMBOL/TIMEFRAME with one of "
                f"{', '.join(_TIMEFRAMES)}."
            )
        return (await self._desk.symbol(parts[0][:64])).symbol, cast("Timeframe", parts[1])

    def _listen(self, charts: _Set) -> None:
        def heard(message: Any, missed: int) -> None:
            del missed  # a set is whole: what was missed is in the newest
            if isinstance(message, ChartSet):
                self._changed(charts, message)

        charts.stop = self._desk.listen(f"charts.{charts.name}", heard)
        charts.renewal = asyncio.create_task(self._renew(charts))

    async def _renew(self, charts: _Set) -> None:
        """Ask for the set again: soon, for what came before the feed knew of us; then for a feed that was restarted."""
        for wait_s in chain((_SOON_S,), repeat(_AGAIN_S)):
            await asyncio.sleep(wait_s)
            try:
                self._changed(charts, await self._desk.ask("feed", charts.ask(), ChartSet))
            except ToolError as error:
                _log.info("%s is not watched: %s", charts.name, error)

    def _changed(self, charts: _Set, message: ChartSet) -> None:
        for chart in message.charts:
            if charts.seen.get(chart.symbol) != chart:
                charts.seen[chart.symbol] = chart
                for uri in charts.followers.get(chart.symbol, ()):
                    self._later(self._tell(uri))

    async def _tell(self, uri: str) -> None:
        bus = self._server._subscriptions  # pyright: ignore[reportPrivateUsage] - only a request's context gives it out
        await bus.publish(ResourceUpdated(uri=uri))

    async def _leave(self, uri: str) -> None:
        """Follow a chart once less; what nobody follows is watched no more."""
        for charts in list(self._sets.values()):
            for symbol, uris in list(charts.followers.items()):
                if uri not in uris:
                    continue
                uris[uri] -= 1
                if uris[uri] <= 0:
                    del uris[uri]
                if not uris:
                    del charts.followers[symbol]
                    charts.seen.pop(symbol, None)
                    await self._shrink(charts)
                return

    async def _shrink(self, charts: _Set) -> None:
        try:
            if charts.followers:
                await self._desk.ask("feed", charts.ask(), ChartSet)
                return
            del self._sets[charts.timeframe]
            charts.stop()
            if charts.renewal is not None:
                charts.renewal.cancel()
            await self._desk.ask("feed", UnwatchCharts(charts.name), Ok)
        except ToolError as error:
            _log.info("%s is still watched: %s", charts.name, error)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _connection(ctx: ServerRequestContext[Any, Any]) -> Any:
    # A session is made anew for each request; only its connection lasts, and the SDK has no public name for it.
    return ctx.session._connection  # pyright: ignore[reportPrivateUsage]
