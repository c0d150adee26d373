"""The same services called directly in one process: what ``--in-process`` runs on.

Not a shortcut past the wire: every request and answer is encoded and decoded, so that both transports give the same
bytes and the same errors. A direct call cannot be cut short; the deadline only bounds the wait for a busy service.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event, Lock

from bus._dispatch import answer_bytes, open_answer, settled_bytes
from bus._sequence import EPOCH_SIZE, Sequence, pack_head, subscription
from bus.clock import NS, monotonic_ns, sleep_s
from bus.codec import encode
from bus.deferred import Deferred
from bus.errors import BindError, CallTimeoutError
from bus.ids import token_bytes
from bus.messages import Message
from bus.transport import Handler, Recover

__all__ = ["LocalTransport"]

_HIGH_WATER = 10_000


class _LocalServer:
    def __init__(self, bound: dict[str, _LocalServer], endpoint: str, handler: Handler) -> None:
        self._bound = bound
        self._handler = handler
        self._busy_since = 0
        self._lock = Lock()
        self.endpoint = endpoint

    def serve(self, should_stop: Callable[[], bool], poll_ms: int = 100) -> None:
        """Wait until ``should_stop``: the calls come directly."""
        while not should_stop():
            sleep_s(poll_ms / 1000)

    @property
    def busy_ns(self) -> int:
        """How long the present request has been worked on, 0 when idle."""
        since = self._busy_since
        return monotonic_ns() - since if since else 0

    def answer(self, request: bytes, timeout_s: float) -> bytes | None:
        """Answer, or return None when the service stays busy: as over sockets, it does one thing at a time."""
        if not self._lock.acquire(blocking=False) and not self._lock.acquire(timeout=max(0.0, timeout_s)):
            return None
        asked_ns = self._busy_since = monotonic_ns()
        try:
            answer = answer_bytes(self._handler, request)
        finally:
            self._busy_since = 0
            self._lock.release()
        if not isinstance(answer, Deferred):
            return answer
        arrived = Event()
        answer.on_done(arrived.set)
        left_s = timeout_s - (monotonic_ns() - asked_ns) / NS
        return settled_bytes(answer) if arrived.wait(max(0.0, left_s)) else None

    def close(self) -> None:
        if self._bound.get(self.endpoint) is self:
            del self._bound[self.endpoint]


class _LocalClient:
    def __init__(self, bound: dict[str, _LocalServer], endpoint: str) -> None:
        self._bound = bound
        self._endpoint = endpoint

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        message = encode(request)
        server = self._bound.get(self._endpoint)
        answer = server.answer(message, timeout_s) if server is not None else None
        if answer is None:
            why = "nothing serves it in this process" if server is None else "it is busy, perhaps waiting for the asker"
            raise CallTimeoutError(
                f"no answer from {self._endpoint} to {type(request).__name__}: {why}; whether it was done is not "
                "known: see that the service was built, then ask the same again"
            )
        return open_answer(answer)

    def close(self) -> None:
        """Nothing is held."""


class _LocalPublisher:
    def __init__(self, bound: dict[str, _LocalPublisher], readers: list[_LocalSubscriber], endpoint: str) -> None:
        self._bound = bound
        self._readers = readers
        self._epoch = token_bytes(EPOCH_SIZE)
        self._seqs: dict[str, int] = {}
        self.endpoint = endpoint

    def publish(self, topic: str, message: Message) -> int:
        seq = self._seqs.get(topic, 0) + 1
        frame = subscription(topic) + pack_head(self._epoch, seq) + encode(message)
        self._seqs[topic] = seq
        for reader in self._readers:
            reader.deliver(frame)
        return seq

    def close(self) -> None:
        if self._bound.get(self.endpoint) is self:
            del self._bound[self.endpoint]


class _LocalSubscriber:
    def __init__(
        self, readers: list[_LocalSubscriber], topics: tuple[str, ...], high_water: int, sequence: Sequence
    ) -> None:
        self._readers = readers
        self._prefixes = tuple(subscription(topic) for topic in topics) or (b"",)
        self._high_water = high_water
        self._sequence = sequence
        self._frames: deque[bytes] = deque()

    def deliver(self, frame: bytes) -> None:
        """Keep a frame; above the high-water mark it is dropped as a socket would, and the numbers show it."""
        if len(self._frames) < self._high_water and frame.startswith(self._prefixes):
            self._frames.append(frame)

    def receive(self, timeout_s: float) -> tuple[str, int, Message] | None:
        """Return the next message, or None at once: in one process nothing comes while it waits."""
        del timeout_s
        item = self._sequence.pop()
        while item is None and self._frames:
            item = self._sequence.take(self._frames.popleft())
        return item

    def close(self) -> None:
        if self in self._readers:
            self._readers.remove(self)


class LocalTransport:
    """Makes ends in this process. See ``bus.transport.Transport``."""

    def __init__(self, *, high_water: int = _HIGH_WATER) -> None:
        """Start with nothing bound.

        Args:
            high_water: Published messages kept for a slow reader.
        """
        self._high_water = high_water
        self._servers: dict[str, _LocalServer] = {}
        self._publishers: dict[str, _LocalPublisher] = {}
        self._readers: dict[str, list[_LocalSubscriber]] = {}

    def server(self, endpoint: str, handler: Handler) -> _LocalServer:
        """Bind a service.

        Raises:
            BindError: The endpoint is taken.
        """
        self._refuse_taken(endpoint)
        end = self._servers[endpoint] = _LocalServer(self._servers, endpoint, handler)
        return end

    def client(self, endpoint: str) -> _LocalClient:
        """Connect to a service, which need not be up yet."""
        return _LocalClient(self._servers, endpoint)

    def publisher(self, endpoint: str) -> _LocalPublisher:
        """Bind a publisher.

        Raises:
            BindError: The endpoint is taken.
        """
        self._refuse_taken(endpoint)
        readers = self._readers.setdefault(endpoint, [])
        end = self._publishers[endpoint] = _LocalPublisher(self._publishers, readers, endpoint)
        return end

    def subscriber(
        self, endpoint: str, topics: tuple[str, ...], recover: Recover | None = None, *, from_start: bool = True
    ) -> _LocalSubscriber:
        """Connect to a publisher, which need not be up yet. Arguments as ``ZmqTransport.subscriber``."""
        readers = self._readers.setdefault(endpoint, [])
        end = _LocalSubscriber(readers, topics, self._high_water, Sequence(recover, from_start=from_start))
        readers.append(end)
        return end

    def close(self) -> None:
        """Unbind everything; may be called twice."""
        self._servers.clear()
        self._publishers.clear()
        for readers in self._readers.values():
            readers.clear()

    def _refuse_taken(self, endpoint: str) -> None:
        if endpoint in self._servers or endpoint in self._publishers:
            raise BindError(f"{endpoint} is served already in this process; close that one or choose another name")
