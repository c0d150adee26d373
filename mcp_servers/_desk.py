"""The desk as a tool sees it: three services to ask, one clock, and texts that a model can act on when one says no.

Not a cache of markets and not a way around anything: every answer comes over the bus from who owns it.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from mcp.server.mcpserver.exceptions import ToolError

from bus.async_client import AsyncClient
from bus.clock import NS
from bus.errors import CallTimeoutError, OutcryError, RemoteError
from bus.messages import (
    Capabilities,
    DayInfo,
    DescribeDay,
    FeedClock,
    GetCapabilities,
    GetClock,
    Instrument,
    Instruments,
    Message,
    QueryInstruments,
)
from bus.transport import Directory
from feed.clock_reader import ClockReader
from mcp_servers._listen import Listeners
from mcp_servers.options import ServerOptions

__all__ = ["Desk", "Mode", "Service"]

Service: TypeAlias = Literal["feed", "risk", "execution"]
Mode: TypeAlias = Literal["replay", "paper", "live"]
_T = TypeVar("_T", bound=Message)
_MOST_INSTRUMENTS = 10_000
_WHO = {"feed": "the market feed", "risk": "the risk gate", "execution": "the execution gateway"}


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


class Desk:
    """The services of one running desk, for tools on an event loop."""

    def __init__(
        self, directory: Directory, options: ServerOptions, mode: Mode, clock_file: Path | None = None
    ) -> None:
        """Know where the services are; nothing is asked yet.

        Args:
            directory: Service name → endpoint.
            options: How the servers are run.
            mode: Whether the desk replays a recorded day, trades on paper, or live.
            clock_file: Where the feed of a recorded day keeps its clock; None where that cannot be read.
        """
        self.options = options
        self.mode: Mode = mode
        self._directory = dict(directory)
        self._clients: dict[str, AsyncClient] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._info: DayInfo | None = None
        self._instruments: dict[str, Instrument] = {}
        self._clock = ClockReader(clock_file) if clock_file is not None and mode == "replay" else None
        self._listeners = Listeners(self._directory.get("feed.pub", ""))

    # --- asking -----------------------------------------------------------------------------------------------------

    async def call(self, service: Service, request: Message, timeout_s: float = 10.0) -> Message:
        """Ask a service. The errors are the bus's own: a caller that must know what a timeout means uses this.

        Raises:
            CallTimeoutError: No answer: whether it was done is not known.
            RemoteError: It refused.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._drop_clients()
            self._loop = loop
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = AsyncClient(self._directory[service])
        return await client.call(request, timeout_s)

    async def ask(self, service: Service, request: Message, kind: type[_T], timeout_s: float = 10.0) -> _T:
        """Ask a service and expect one kind of answer.

        Raises:
            ToolError: It refused or did not answer; the text says what to do.
        """
        try:
            answer = await self.call(service, request, timeout_s)
        except RemoteError as error:
            raise ToolError(_told(error)) from error
        except CallTimeoutError as error:
            raise ToolError(
                f"{_WHO[service]} did not answer within {timeout_s:g} s. Ask again in a moment; "
                "a person sees with `outcry status` whether the desk runs."
            ) from error
        except OutcryError as error:
            raise ToolError(f"{_WHO[service]} cannot be understood: {error}") from error
        if not isinstance(answer, kind):
            raise ToolError(
                f"{_WHO[service]} answered something else than was asked; every process must be of one release."
            )
        return answer

    async def clock(self) -> FeedClock:
        """Return the feed's clock."""
        return await self.ask("feed", GetClock(), FeedClock)

    def replay_ns(self) -> int | None:
        """Return the clock of a recorded day without asking the feed; None where it must be asked."""
        return self._clock.now_ns() if self._clock is not None else None

    async def capabilities(self) -> Capabilities:
        """Return who this desk trades for and what its broker supports."""
        return await self.ask("execution", GetCapabilities(), Capabilities)

    async def info(self) -> DayInfo:
        """Return the market that is served, without anything of its future."""
        if self._info is None:
            self._info = await self.ask("feed", DescribeDay(), DayInfo)
        return self._info

    async def instruments(self) -> dict[str, Instrument]:
        """Return every instrument by symbol, as last asked for."""
        if not self._instruments:
            page = await self.ask("feed", QueryInstruments("", _MOST_INSTRUMENTS), Instruments)
            self._instruments = {instrument.symbol: instrument for instrument in page.items}
        return self._instruments

    async def symbol(self, text: str) -> Instrument:
        """Return the instrument a caller names; case and blanks are forgiven.

        Raises:
            ToolError: There is none; the text names the nearest.
        """
        known = await self.instruments()
        wanted = text.strip()
        found = known.get(wanted) or known.get(wanted.upper())
        if found is not None:
            return found
        upper = {symbol.upper(): symbol for symbol in known}
        if wanted.upper() in upper:
            return known[upper[wanted.upper()]]
        near = difflib.get_close_matches(wanted.upper(), list(upper), n=3, cutoff=0.5)
        shown = [upper[name] for name in near] or sorted(known)[:8]
        more = "" if near or len(known) <= len(shown) else f" and {len(known) - len(shown):,} more (list_symbols)"
        raise ToolError(
            f"unknown symbol {wanted[:24]!r}. {'Nearest' if near else 'There are'}: {', '.join(shown)}{more}."
        )

    # --- time -------------------------------------------------------------------------------------------------------

    def local(self, ns: int) -> datetime:
        """Return a time in the venue's time zone; UTC before the market is known."""
        zone = _zone(self._info.timezone) if self._info is not None else UTC
        return datetime.fromtimestamp(ns // NS, zone)

    def stamp(self, at: FeedClock | int) -> str:
        """Return when it is, for the first line of an answer, for example ``2024-03-13 10:31:00 EDT (simulated)``."""
        if isinstance(at, FeedClock):
            when = datetime.fromtimestamp(at.now_ns // NS, _zone(at.timezone))
        else:
            when = self.local(at)
        return f"{when:%Y-%m-%d %H:%M:%S %Z}{' (simulated)' if self.mode == 'replay' else ''}"

    # --- being told -------------------------------------------------------------------------------------------------

    def listen(self, topic: str, callback: Callable[[Any, int], None]) -> Callable[[], None]:
        """Call back in the event loop with each message of a topic and how many before it were missed.

        Args:
            topic: ``tick`` or ``charts.NAME``.
            callback: Called with ``(message, missed)``.

        Returns:
            What stops it.
        """
        return self._listeners.listen(topic, callback)

    def close(self) -> None:
        """Give the sockets back; may be called twice."""
        self._listeners.close()
        self._drop_clients()
        if self._clock is not None:
            self._clock.close()

    def _drop_clients(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients = {}


def _told(error: RemoteError) -> str:
    if error.code == "internal_error":
        return "the desk failed on this; a person finds why in its log."
    return str(error).removeprefix(f"{error.code}: ")
