"""The transport between processes: ``ipc://`` on one machine, ``tcp://`` on its loopback.

Not for other machines yet: a ``tcp://`` address that is not loopback is refused, because nothing encrypts it.
"""

from __future__ import annotations

import ipaddress
import socket as sockets
from pathlib import Path

import zmq

from bus._pubsub import ZmqPublisher, ZmqSubscriber
from bus._service import ZmqClient, ZmqServer
from bus.errors import BindError
from bus.transport import Client, Handler, Publisher, Recover, Server, Subscriber

__all__ = ["ZmqTransport", "check_endpoint"]

_PUB_HWM = 100_000
_IPC_LIMIT = 107


def check_endpoint(endpoint: str) -> None:
    """Refuse an endpoint that may not be bound.

    Raises:
        BindError: Not ``ipc://`` or a loopback ``tcp://``, or a path too long for a UNIX socket.
    """
    kind, _, rest = endpoint.partition("://")
    if kind == "ipc":
        if len(rest) > _IPC_LIMIT:
            raise BindError(f"{endpoint} is {len(rest)} characters long; a socket path has at most {_IPC_LIMIT}")
        return
    host, _, port = rest.rpartition(":")
    if kind != "tcp" or not port.isdigit() or not 0 < int(port) < 65536:
        raise BindError(f"{endpoint!r} is no endpoint; allowed are ipc://PATH and tcp://127.0.0.1:PORT")
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise BindError(f"{endpoint} is not loopback; the bus is not encrypted, so use 127.0.0.1 or ipc")


def _refuse_live_owner(endpoint: str) -> None:
    if not endpoint.startswith("ipc://"):
        return
    path = Path(endpoint.removeprefix("ipc://"))
    if not path.exists():
        return
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise BindError(f"{endpoint} is in use by a running process; stop that one or choose another folder")


class ZmqTransport:
    """Makes sockets of one context; closing it closes them all."""

    def __init__(self, *, retry_s: float = 0.25) -> None:
        """Make a context.

        Args:
            retry_s: How long a client waits before it sends a question again.
        """
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.setsockopt(zmq.MAX_SOCKETS, 1023)
        self._retry_s = retry_s
        self._ends: list[Client | Server | Publisher | Subscriber] = []

    def _bound(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        check_endpoint(endpoint)
        _refuse_live_owner(endpoint)
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        if kind == zmq.PUB:
            socket.setsockopt(zmq.SNDHWM, _PUB_HWM)
        else:
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
            socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            socket.close(0)
            raise BindError(f"{endpoint} cannot be bound: {error}; choose a free port or folder") from error
        return socket

    def server(self, endpoint: str, handler: Handler) -> Server:
        """Bind a service."""
        server = ZmqServer(self._bound(zmq.ROUTER, endpoint), handler, endpoint)
        self._ends.append(server)
        return server

    def client(self, endpoint: str) -> Client:
        """Connect to a service, which need not be up yet."""
        client = ZmqClient(self._context, endpoint, self._retry_s)
        self._ends.append(client)
        return client

    def publisher(self, endpoint: str) -> Publisher:
        """Bind a publisher."""
        publisher = ZmqPublisher(self._bound(zmq.PUB, endpoint))
        self._ends.append(publisher)
        return publisher

    def subscriber(self, endpoint: str, topics: tuple[str, ...], recover: Recover | None = None) -> Subscriber:
        """Connect to a publisher."""
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, _PUB_HWM)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.connect(endpoint)
        subscriber = ZmqSubscriber(socket, topics, recover)
        self._ends.append(subscriber)
        return subscriber

    def close(self) -> None:
        """Close everything this transport made."""
        for end in self._ends:
            end.close()
        self._ends.clear()
        self._context.term()
