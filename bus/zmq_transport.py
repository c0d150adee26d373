"""Services and publishers on ZeroMQ sockets, one process a service: the transport of every run but ``--in-process``.

Not asyncio (that costs 80 µs a round trip) and not a broker: sockets are direct. Linger is 0 everywhere: an answer that
nobody waits for dies with its socket.
"""

from __future__ import annotations

from typing import Protocol

import zmq

from bus._client import ZmqClient
from bus._pubsub import ZmqPublisher, ZmqSubscriber
from bus._server import ZmqServer
from bus.transport import Handler, Recover

__all__ = ["HIGH_WATER", "ZmqTransport"]

HIGH_WATER = 10_000
"""Published messages kept for a slow reader before the newest are dropped; the reader sees the gap and recovers."""


class _Closable(Protocol):
    def close(self) -> None: ...


class ZmqTransport:
    """Makes ends on sockets. See ``bus.transport.Transport``. Made after a fork, never before it."""

    def __init__(self, *, retry_s: float = 0.25, high_water: int = HIGH_WATER) -> None:
        """Start.

        Args:
            retry_s: Seconds without an answer after which a client asks again.
            high_water: Published messages kept for a slow reader, on each side.
        """
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._retry_s = retry_s
        self._high_water = high_water
        self._ends: list[_Closable] = []

    def server(self, endpoint: str, handler: Handler) -> ZmqServer:
        """Bind a service.

        Raises:
            BindError: The endpoint is taken or not allowed.
        """
        end = ZmqServer(self._context, endpoint, handler)
        self._ends.append(end)
        return end

    def client(self, endpoint: str) -> ZmqClient:
        """Connect to a service, which need not be up yet."""
        end = ZmqClient(self._context, endpoint, self._retry_s)
        self._ends.append(end)
        return end

    def publisher(self, endpoint: str) -> ZmqPublisher:
        """Bind a publisher.

        Raises:
            BindError: The endpoint is taken or not allowed.
        """
        end = ZmqPublisher(self._context, endpoint, self._high_water)
        self._ends.append(end)
        return end

    def subscriber(
        self, endpoint: str, topics: tuple[str, ...], recover: Recover | None = None, *, from_start: bool = True
    ) -> ZmqSubscriber:
        """Connect to a publisher.

        Args:
            endpoint: The publisher's.
            topics: Exact topics; none means all.
            recover: Asked when sequence numbers are missing.
            from_start: Whether what was sent before the first message seen counts as missing.
        """
        end = ZmqSubscriber(self._context, endpoint, topics, recover, self._high_water, from_start=from_start)
        self._ends.append(end)
        return end

    def close(self) -> None:
        """Close everything this transport made; may be called twice."""
        for end in self._ends:
            end.close()
        self._ends.clear()
        self._context.term()
