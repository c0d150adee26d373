"""Publisher and subscriber on PUB/SUB sockets, numbered per topic, because PUB drops for a slow reader in silence.

Not a durable queue: the numbers say what was lost, and a service is asked for it. A loss at the very end shows only
with the next message; nothing on the order path waits for a published one.
"""

from __future__ import annotations

import zmq

from bus._bind import bind
from bus._sequence import EPOCH_SIZE, Sequence, pack_head, subscription
from bus.clock import monotonic_ns
from bus.codec import encode
from bus.ids import token_bytes
from bus.messages import Message
from bus.transport import Recover

__all__ = ["ZmqPublisher", "ZmqSubscriber"]

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_RECONNECT_MS = 10
_RECONNECT_MAX_MS = 100


class ZmqPublisher:
    """Sends to whoever listens. See ``bus.transport.Publisher``.

    Attributes:
        endpoint: Where it is bound, with the port that was taken.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, high_water: int) -> None:
        """Bind.

        Raises:
            BindError: The endpoint is taken or not allowed.
        """
        self._epoch = token_bytes(EPOCH_SIZE)
        self._seqs: dict[str, int] = {}
        self._prefixes: dict[str, bytes] = {}
        self._socket = context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, high_water)
        try:
            self.endpoint = bind(self._socket, endpoint)
        except BaseException:
            self._socket.close()
            raise

    def publish(self, topic: str, message: Message) -> int:
        """Send and return the sequence number given.

        Raises:
            SchemaError: The topic or the message cannot be sent; no number is used up.
        """
        seq = self._seqs.get(topic, 0) + 1
        frame = self._prefix(topic) + pack_head(self._epoch, seq) + encode(message)
        self._seqs[topic] = seq
        self._socket.send(frame)
        return seq

    def _prefix(self, topic: str) -> bytes:
        prefix = self._prefixes.get(topic)
        if prefix is None:
            prefix = self._prefixes[topic] = subscription(topic)
        return prefix

    def close(self) -> None:
        """Unbind."""
        self._socket.close()


class ZmqSubscriber:
    """Receives in sequence. See ``bus.transport.Subscriber``."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        topics: tuple[str, ...],
        recover: Recover | None,
        high_water: int,
        *,
        from_start: bool,
    ) -> None:
        """Connect; the publisher need not be up yet."""
        self._sequence = Sequence(recover, from_start=from_start)
        prefixes = [subscription(topic) for topic in topics] or [b""]
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, high_water)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        if endpoint.startswith("tcp://["):
            self._socket.setsockopt(zmq.IPV6, 1)
        self._wait_ms = -1
        for prefix in prefixes:
            self._socket.setsockopt(zmq.SUBSCRIBE, prefix)
        self._socket.connect(endpoint)

    def receive(self, timeout_s: float) -> tuple[str, int, Message] | None:
        """Return the next ``(topic, seq, message)``, or None when nothing came in time.

        A snapshot that stands for several missing messages carries the number of the last of them.

        Raises:
            GapError: Messages were lost and there is no way to recover them; the one after them comes next.
            SchemaVersionError: The publisher speaks another version.
        """
        item = self._sequence.pop()
        if item is not None:
            return item
        wait_ms = max(0, int(timeout_s * 1000))
        deadline_ns = monotonic_ns() + wait_ms * 1_000_000
        while item is None and wait_ms >= 0:
            if wait_ms != self._wait_ms:
                self._socket.setsockopt(zmq.RCVTIMEO, wait_ms)
                self._wait_ms = wait_ms
            try:
                frame = self._socket.recv()
            except zmq.Again:
                return None
            item = self._sequence.take(frame)
            if item is None:
                wait_ms = (deadline_ns - monotonic_ns()) // 1_000_000
        return item

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
