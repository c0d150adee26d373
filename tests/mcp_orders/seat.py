"""A client at a desk's order tools for tests, and what the desk holds, to compare before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from mcp import Client
from mcp.types import ElicitResult

from bus.messages import Account, GetAccount, GetOrders, GetRiskState, Orders, RiskState
from mcp_servers._app import build_server
from mcp_servers._desk import Desk
from mcp_servers.options import ServerOptions
from tests.mcp_market.floor import Floor, Mode
from tests.mcp_servers.desk import RunningDesk, replay_desk

Answer = Literal["accept", "refuse", "decline", "cancel"]
OPTIONS = ServerOptions(servers=("orders",), calls_per_minute=10**9, order_calls_per_minute=10**9, confirm_above=None)


class Person:
    """Who is asked: remembers the questions and answers as told; ``while_asked`` happens before the answer."""

    def __init__(self, answer: Answer = "accept") -> None:
        self.answer: Answer = answer
        self.questions: list[str] = []
        self.while_asked: Callable[[], object] = lambda: None

    async def __call__(self, context: Any, params: Any) -> ElicitResult:
        del context
        self.questions.append(params.message)
        await asyncio.to_thread(self.while_asked)
        if self.answer in {"accept", "refuse"}:
            return ElicitResult(action="accept", content={"confirm": self.answer == "accept"})
        return ElicitResult(action="decline" if self.answer == "decline" else "cancel")


class Seat(Floor):
    """A client of the order tools; without a person it cannot ask one."""

    def __init__(
        self,
        desk: Desk,
        options: ServerOptions,
        mode: Mode = "auto",
        person: Person | None = None,
        seen: Callable[[Any], None] | None = None,
    ) -> None:
        self.options = options
        self.person = person
        super().__init__(desk, mode, seen)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.server = build_server(self._desk, self.options)

        async def handler(message: Any) -> None:
            if self._seen is not None:
                self._seen(message)

        async with Client(
            self.server, mode=self._mode, message_handler=handler, elicitation_callback=self.person
        ) as client:
            self._client = client
            await client.list_tools()
            self._ready.set()
            await self._stop.wait()
        self._desk.close()


@contextmanager
def seat(
    running: RunningDesk,
    mode: Mode = "auto",
    person: Person | None = None,
    seen: Callable[[Any], None] | None = None,
    directory: dict[str, str] | None = None,
    above: Decimal | None = None,
) -> Generator[Seat]:
    """Connect a client to the order tools of a desk."""
    chosen = replace(OPTIONS, confirm_above=above)
    opened = Seat(Desk(directory or running.directory, chosen, "replay"), chosen, mode, person, seen)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def desk_at(folder: Path, minute: int = 60) -> Generator[RunningDesk]:
    """A desk of its own for a test that moves the clock or places orders."""
    with replay_desk(folder, minute=minute, options=OPTIONS) as running:
        yield running


def holdings(running: RunningDesk) -> tuple[Account, Orders, RiskState]:
    """Everything that a call must not change."""
    return (
        running.ask("execution", GetAccount(-1), Account),
        running.ask("execution", GetOrders(limit=1000), Orders),
        running.ask("risk", GetRiskState(), RiskState),
    )


def sent(running: RunningDesk) -> list[str]:
    """The ids of all orders that the broker has, oldest first."""
    page = running.ask("execution", GetOrders(limit=1000), Orders)
    return [order.intent.client_order_id for order in reversed(page.orders)]
