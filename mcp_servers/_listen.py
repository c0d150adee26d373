"""Published market data, brought from its socket into the event loop of the servers. Not a queue: see ``MarketReader``.

A thread reads; the loop is never blocked, and what was missed is counted and told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

from bus.errors import GapError, OutcryError
from bus.messages import Message
from bus.zmq_transport import ZmqTransport

__all__ = ["Listeners"]

_POLL_S = 0.2


class _Listener:
    """One topic and who is called; the newest message waits at most once in the loop."""

    def __init__(self, endpoint: str, topic: str, callback: Callable[[Any, int], None]) -> None:
        self._endpoint = endpoint
        self._topic = topic
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._stop = Event()
        self._lock = Lock()
        self._newest: Message | None = None
        self._missed = 0
        self._thread = Thread(target=self._read, name=f"listen {topic}", daemon=True)
        self._thread.start()

    def _gap(self, _topic: str, first: int, last: int) -> list[Message]:
        with self._lock:
            self._missed += last - first + 1
        return []

    def _read(self) -> None:
        transport = ZmqTransport()
        try:
            reader = transport.subscriber(self._endpoint, (self._topic,), self._gap, from_start=False)
            while not self._stop.is_set():
                try:
                    got = reader.receive(_POLL_S)
                except GapError:
                    continue
                except OutcryError:
                    return
                if got is not None:
                    self._deliver(got[2])
        finally:
            transport.close()

    def _deliver(self, message: Message) -> None:
        with self._lock:
            waiting = self._newest is not None
            self._missed += int(waiting)
            self._newest = message
        if not waiting:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens
                self._loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        with self._lock:
            message, self._newest = self._newest, None
            missed, self._missed = self._missed, 0
        if message is not None and not self._stop.is_set():
            self._callback(message, missed)

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        self._thread.join(5.0)


class Listeners:
    """Everybody who listens in one process."""

    def __init__(self, endpoint: str) -> None:
        """Know where the feed publishes.

        Args:
            endpoint: Its publisher; empty where there is none.
        """
        self._endpoint = endpoint
        self._all: list[_Listener] = []

    def listen(self, topic: str, callback: Callable[[Any, int], None]) -> Callable[[], None]:
        """Listen to a topic from the running event loop; returns what stops it."""
        listener = _Listener(self._endpoint, topic, callback)
        self._all.append(listener)

        def stop() -> None:
            listener.stop()
            if listener in self._all:
                self._all.remove(listener)

        return stop

    def close(self) -> None:
        """Stop everybody and wait for their threads."""
        for listener in self._all:
            listener.stop()
        for listener in self._all:
            listener.join()
        self._all = []
