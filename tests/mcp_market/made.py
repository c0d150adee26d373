"""A feed of the sample day with other news and releases, served to a desk over real sockets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from msgspec.structs import replace

from bus.deferred import Deferred
from bus.endpoints import ipc_directory
from bus.errors import NotOfferedError
from bus.messages import Advance, CalendarEvent, CalendarEvents, Message, QueryCalendar
from bus.transport import Handler
from bus.zmq_transport import ZmqTransport
from feed._parquet import COLUMNS, OPTIONAL
from feed.format import load_day
from feed.service import FeedService
from feed.store import DayStore
from mcp_servers._desk import Desk, Mode
from tests.mcp_market.floor import OPTIONS
from tests.mcp_servers.desk import sample_day

_WAIT_S = 30.0
OPEN_NS = 1_710_336_600 * 10**9


class NoCalendar:
    """The feed of a vendor that offers no calendar."""

    def __init__(self, inner: Handler) -> None:
        self._inner = inner

    def handle(self, request: Message) -> Message | Deferred:
        """Answer all but the calendar."""
        if isinstance(request, QueryCalendar):
            raise NotOfferedError("this source has no calendar; ask another source")
        return self._inner.handle(request)


class EarlyResults(NoCalendar):
    """A feed that gives away what a release will say."""

    def handle(self, request: Message) -> Message | Deferred:
        """Answer the calendar with a result that is not out."""
        if isinstance(request, QueryCalendar):
            later = OPEN_NS + 7 * 3_600 * 10**9
            return CalendarEvents((CalendarEvent("made", later, later, "prices", "US", "high", "1", "2"),), OPEN_NS)
        return super().handle(request)


def news_row(number: int, headline: str, second: int = 60, body: str = "", source: str = "Wire") -> list[Any]:
    """A news item of ACME that came so many seconds after the open."""
    at = OPEN_NS + second * 10**9
    return [f"made-{number:04d}", "ACME", at, at, headline, source, body]


@contextmanager
def made_feed(
    *,
    news: Sequence[Sequence[Any]] = (),
    calendar: Sequence[Sequence[Any]] = (),
    instants: int = 60,
    around: Callable[[Handler], Handler] = lambda feed: feed,
) -> Generator[tuple[Desk, Callable[[], None]]]:
    """Serve a day; gives a desk on it and what moves its clock by one instant.

    Args:
        news: Rows of the news table.
        calendar: Rows of the calendar table.
        instants: How far its clock is.
        around: What stands between the feed and its askers.
    """
    day = load_day(sample_day())
    rows = {"news": news, "calendar": calendar}
    tables = {
        **day.tables,
        **{
            name: {
                column: [row[at] for row in found]
                for at, column in enumerate([*COLUMNS[name], *OPTIONAL.get(name, {})])
            }
            for name, found in rows.items()
        },
    }
    store = DayStore(replace(day, tables=tables))
    feed = FeedService(store, None, None)

    with served(around(feed)) as (desk, ask):

        def move() -> None:
            ask(Advance(feed.now_ns))

        for _ in range(instants):
            move()
        yield desk, move


@contextmanager
def served(feed: Handler, mode: Mode = "replay") -> Generator[tuple[Desk, Callable[[Message], Message]]]:
    """Serve a feed over sockets; gives a desk on it and what asks it from the test."""
    sockets = Path(tempfile.mkdtemp(prefix="oo-"))
    directory = ipc_directory(sockets)
    stop, ready = Event(), Event()

    def serve() -> None:
        transport = ZmqTransport()
        server = transport.server(directory["feed"], feed)
        ready.set()
        try:
            server.serve(stop.is_set, 20)
        finally:
            transport.close()

    thread = Thread(target=serve, name="served feed")
    thread.start()
    desk = Desk(directory, OPTIONS, mode)
    asking = ZmqTransport()
    client = asking.client(directory["feed"])
    try:
        assert ready.wait(_WAIT_S)
        yield desk, lambda request: client.call(request, _WAIT_S)
    finally:
        desk.close()
        asking.close()
        stop.set()
        thread.join(_WAIT_S)
        shutil.rmtree(sockets, ignore_errors=True)
