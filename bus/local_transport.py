"""The transport inside one process: a call is a function call, through the same bytes.

Why ``--in-process`` gives the trace that one process a stage gives. Not concurrent: a call runs in the caller's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bus._pubsub import Sequencer
from bus._wire import answer_bytes, unwrap
from bus.clock import NS, monotonic_ns, sleep_s
from bus.codec import decode, encode
from bus.errors import BindError, CallTimeoutError
from bus.messages import Message
from bus.transport import Client, Handler, Publisher, Recover, Server, Subscriber

__all__ = ["LocalTransport"]


class _LocalServer:
    def __init__(self, owner: LocalTransport, endpoint: str, handler: Handler) -> None:
        self._owner = owner
        self._endpoint = endpoint
        self._handler = handler
        self._began_ns = 0

    @property
    def busy_ns(self) -> int:
        began_ns = self._began_ns
        return monotonic_ns() - began_ns if began_ns else 0

    def answer(self, data: bytes) -> bytes:
        self._began_ns = monotonic_ns()
        try:
            return answer_bytes(self._handler, data)
        finally:
            self._began_ns = 0

    def serve(self, should_stop: Callable[[], bool], poll_ms: int = 100) -> None:
        while not should_stop():
            sleep_s(poll_ms / 1000)

    def close(self) -> None:
        self._owner.services.pop(self._endpoint, None)


class _LocalClient:
    def __init__(self, owner: LocalTransport, endpoint: str) -> None:
        self._owner = owner
        self._endpoint = endpoint

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        server = self._owner.services.get(self._endpoint)
        if server is None:
            raise CallTimeoutError(
                f"no service at {self._endpoint} in this process answered {type(request).__name__} "
                f"(asked for {timeout_s:g} s); start it before it is asked"
            )
        return unwrap(server.answer(encode(request)))

    def close(self) -> None:
        return


class _LocalPublisher:
    def __init__(self, owner: LocalTransport, endpoint: str) -> None:
        self._owner = owner
        self._endpoint = endpoint
        self._epoch = str(monotonic_ns()).encode()
        self._seq: dict[str, int] = {}

    def publish(self, topic: str, message: Message) -> int:
        seq = self._seq.get(topic, 0) + 1
        self._seq[topic] = seq
        listeners = self._owner.listeners.get(self._endpoint, ())
        if listeners:
            data = encode(message)
            for listener in listeners:
                listener.put(topic, self._epoch, seq, data)
        return seq

    def close(self) -> None:
        self._owner.publishers.discard(self._endpoint)


class _LocalSubscriber:
    def __init__(self, owner: LocalTransport, endpoint: str, topics: tuple[str, ...], recover: Recover | None) -> None:
        self._owner = owner
        self._endpoint = endpoint
        self._topics = frozenset(topics)
        self._inbox: deque[tuple[str, bytes, int, bytes]] = deque()
        self._order = Sequencer(recover)

    def put(self, topic: str, epoch: bytes, seq: int, data: bytes) -> None:
        if topic in self._topics:
            self._inbox.append((topic, epoch, seq, data))

    def receive(self, timeout_s: float) -> tuple[str, int, Message] | None:
        deadline_ns = monotonic_ns() + int(timeout_s * NS)
        while True:
            ready = self._order.pop()
            if ready is not None:
                return ready
            if self._inbox:
                topic, epoch, seq, data = self._inbox.popleft()
                self._order.push(topic, epoch, seq, decode(data))
            elif monotonic_ns() >= deadline_ns:
                return None
            else:
                sleep_s(0.001)

    def close(self) -> None:
        self._owner.listeners.get(self._endpoint, []).remove(self)


class LocalTransport:
    """Services of one process, by endpoint."""

    def __init__(self) -> None:
        """Start with no service."""
        self.services: dict[str, _LocalServer] = {}
        self.publishers: set[str] = set()
        self.listeners: dict[str, list[_LocalSubscriber]] = {}

    def _claim(self, endpoint: str) -> None:
        if endpoint in self.services or endpoint in self.publishers:
            raise BindError(f"{endpoint} is taken in this process; close its owner or choose another name")

    def server(self, endpoint: str, handler: Handler) -> Server:
        """Register a service."""
        self._claim(endpoint)
        server = self.services[endpoint] = _LocalServer(self, endpoint, handler)
        return server

    def client(self, endpoint: str) -> Client:
        """Return a way to ask a service, which need not be registered yet."""
        return _LocalClient(self, endpoint)

    def publisher(self, endpoint: str) -> Publisher:
        """Register a publisher."""
        self._claim(endpoint)
        self.publishers.add(endpoint)
        return _LocalPublisher(self, endpoint)

    def subscriber(self, endpoint: str, topics: tuple[str, ...], recover: Recover | None = None) -> Subscriber:
        """Listen to a publisher of this process."""
        subscriber = _LocalSubscriber(self, endpoint, topics, recover)
        self.listeners.setdefault(endpoint, []).append(subscriber)
        return subscriber

    def close(self) -> None:
        """Forget every service."""
        self.services.clear()
        self.publishers.clear()
        self.listeners.clear()
