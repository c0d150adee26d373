"""Handlers and running services for these tests. Real sockets and threads; not a mock of either."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from bus.errors import LookAheadError
from bus.messages import EventsSince, Kill, Message, Ok, Ping, TickAt
from bus.transport import Client, Handler, Server, Transport
from bus.zmq_transport import ZmqTransport

WAIT_S = 20.0


class Recorder:
    """Answers ``Ok`` with what it was asked; ``Kill`` blocks until ``gate`` opens; some questions raise."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.entered = Event()
        self.gate = Event()

    def handle(self, request: Message) -> Message:
        self.seen.append(request)
        match request:
            case Kill():
                self.entered.set()
                assert self.gate.wait(WAIT_S)
            case TickAt(now_ns=now):
                raise LookAheadError(f"{now} is after the clock; ask for an earlier time")
            case EventsSince():
                raise ZeroDivisionError("secret detail")
            case Ping():
                return Ok("pong")
            case _:
                pass
        return Ok(repr(request))


@contextmanager
def serving(server: Server) -> Generator[Server]:
    """Serve in a thread; the socket is closed by that thread's end, not before."""
    stop = Event()
    thread = Thread(target=server.serve, args=(stop.is_set, 10))
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(WAIT_S)
        server.close()


@contextmanager
def service(transport: Transport, endpoint: str, handler: Handler) -> Generator[Client]:
    """Serve ``handler`` and give a client that has been answered once."""
    with serving(transport.server(endpoint, handler)):
        client = transport.client(endpoint)
        try:
            yield client
        finally:
            client.close()


@pytest.fixture(name="folder")
def short_folder() -> Iterator[Path]:
    """A folder with a short path: pytest's own may be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="oo-") as name:
        yield Path(name)


@pytest.fixture(name="zmq_transport")
def sockets() -> Iterator[ZmqTransport]:
    transport = ZmqTransport(retry_s=0.05)
    yield transport
    transport.close()
