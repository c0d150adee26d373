"""Somebody between the tools and a service, who forwards what comes and does to it what a bad line or a clock does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from bus.deferred import Deferred
from bus.messages import Message
from bus.zmq_transport import ZmqTransport
from tests.mcp_servers.desk import RunningDesk

Forward = Callable[[Message], Message]
Act = Callable[[Message, Forward], Message | Deferred]


class _Between:
    def __init__(self, endpoint: str, act: Act) -> None:
        self._act = act
        self._endpoint = endpoint
        self.transport = ZmqTransport()
        self._client = self.transport.client(endpoint)

    def handle(self, request: Message) -> Message | Deferred:
        return self._act(request, lambda message: self._client.call(message, 10.0))


@contextmanager
def between(running: RunningDesk, service: str, act: Act) -> Generator[dict[str, str]]:
    """Stand before a service; yields the directory of who is to meet us there."""
    folder = Path(tempfile.mkdtemp(prefix="oo-"))
    endpoint = f"ipc://{folder}/between.sock"
    ready, stop = Event(), Event()

    def serve() -> None:
        me = _Between(running.directory[service], act)
        server = me.transport.server(endpoint, me)
        ready.set()
        try:
            server.serve(stop.is_set, 20)
        finally:
            me.transport.close()

    thread = Thread(target=serve, name="between")
    thread.start()
    try:
        assert ready.wait(10)
        yield {**running.directory, service: endpoint}
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
