"""Published market data, brought from its socket into the event loop of the servers. Not a queue: see ``MarketReader``.

A thread reads and waits until the loop has taken what it brought; what came meanwhile is conflated, counted and told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from bus.errors import OutcryError
from bus.zmq_transport import ZmqTransport
from feed.reader import MarketReader, Reading

__all__ = ["Listeners"]

_POLL_S = 0.2
_QUEUE = 1


class _Listener:
    """One topic and who is called."""

    def __init__(self, endpoint: str, topic: str, callback: Callable[[Any, int], None]) -> None:
        self._endpoint = endpoint
        self._topic = topic
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._stop = Event()
        self._taken = Event()
        self._thread = Thread(target=self._read, name=f"listen {topic}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        transport = ZmqTransport()
        reader = MarketReader(transport, self._endpoint, (self._topic,), queue=_QUEUE)
        try:
            # The loop may have closed, or the publisher speak another version: nobody listens any more.
            with contextlib.suppress(RuntimeError, OutcryError):
                while not self._stop.is_set():
                    reading = reader.receive(_POLL_S)
                    if reading is not None:
                        self._taken.clear()
                        self._loop.call_soon_threadsafe(self._call, reading)
                        while not self._taken.wait(_POLL_S) and not self._stop.is_set():
                            pass
        finally:
            reader.close()
            transport.close()

    def _call(self, reading: Reading) -> None:
        self._taken.set()
        if not self._stop.is_set():
            self._callback(reading.message, reading.missed)

    def stop(self) -> None:
        self._stop.set()
        self._taken.set()

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
