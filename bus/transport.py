"""The seam between services and how they talk: ZeroMQ sockets or direct calls in one process.

Not an abstraction for its own sake: it is what makes ``--in-process`` give the same trace as one process a stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from bus.deferred import Deferred
from bus.messages import Message

__all__ = ["Client", "Directory", "Handler", "Publisher", "Recover", "Server", "Subscriber", "Transport"]

Directory = Mapping[str, str]
"""Service name → endpoint, for example ``{"feed": "ipc:///run/x/feed", "feed.pub": "…"}``."""


class Handler(Protocol):
    """What a service does with a request; raising an ``OutcryError`` becomes an ``ErrorReply``."""

    def handle(self, request: Message) -> Message | Deferred:
        """Return the answer to one request."""
        ...


class Client(Protocol):
    """A way to ask one service. Not for several threads at once."""

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        """Ask and wait.

        Args:
            request: The question.
            timeout_s: The deadline. The request is sent again after a reconnect, so a service must answer a repeated
                request as it did the first time.

        Raises:
            CallTimeoutError: No answer came; the client can be used again at once.
            RemoteError: The service answered with an ``ErrorReply``.
            SchemaError: The answer is not a message of this schema.
        """
        ...

    def close(self) -> None:
        """Give the socket back."""
        ...


class Server(Protocol):
    """A bound service."""

    def serve(self, should_stop: Callable[[], bool], poll_ms: int = 100) -> None:
        """Answer requests until ``should_stop`` is true; it is asked at least every ``poll_ms``."""
        ...

    def close(self) -> None:
        """Unbind."""
        ...

    @property
    def busy_ns(self) -> int:
        """How long the present request has been worked on, 0 when idle; may be read from another thread."""
        ...


class Publisher(Protocol):
    """Sends messages to whoever listens, numbered per topic from 1."""

    def publish(self, topic: str, message: Message) -> int:
        """Send and return the sequence number given."""
        ...

    def close(self) -> None:
        """Unbind."""
        ...


Recover = Callable[[str, int, int], list[Message]]
"""``(topic, first_missing_seq, last_missing_seq)`` → the missing messages, or a snapshot that stands for them."""


class Subscriber(Protocol):
    """Receives published messages in sequence."""

    def receive(self, timeout_s: float) -> tuple[str, int, Message] | None:
        """Return the next ``(topic, seq, message)``, or None when nothing came in time.

        Raises:
            GapError: Messages were lost and there is no way to recover them.
        """
        ...

    def close(self) -> None:
        """Give the socket back."""
        ...


class Transport(Protocol):
    """Makes the four kinds of ends."""

    def server(self, endpoint: str, handler: Handler) -> Server:
        """Bind a service.

        Raises:
            BindError: The endpoint is taken or not allowed.
        """
        ...

    def client(self, endpoint: str) -> Client:
        """Connect to a service, which need not be up yet."""
        ...

    def publisher(self, endpoint: str) -> Publisher:
        """Bind a publisher."""
        ...

    def subscriber(self, endpoint: str, topics: tuple[str, ...], recover: Recover | None = None) -> Subscriber:
        """Connect to a publisher; ``recover`` is asked when sequence numbers are missing."""
        ...

    def close(self) -> None:
        """Close everything this transport made."""
        ...
