"""A reader of market data that may be slow: it gets the newest and is told how many messages it did not see.

Not for orders, verdicts and fills, which are never lost (law 11): what a chart or a price was a second ago is of no use
to who reads it now. A thread empties the socket, so that a reader that does nothing costs the publisher nothing and
holds at most a bounded queue; a reader that died is the publisher's socket's to drop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Protocol

import msgspec

from bus.clock import NS, monotonic_ns
from bus.errors import BusError, OutcryError
from bus.messages import Message
from bus.transport import Recover, Subscriber

__all__ = ["MarketReader", "Reading", "Subscribes"]

_POLL_S = 0.1
_JOIN_S = 5.0


class Subscribes(Protocol):
    """A transport, as far as a reader needs one."""

    def subscriber(self, endpoint: str, topics: tuple[str, ...], recover: Recover | None = None) -> Subscriber:
        """Connect to a publisher."""
        ...


class Reading(msgspec.Struct, frozen=True):
    """What a reader was given.

    Attributes:
        topic: Where it was published.
        message: The newest message there, or the snapshot that stands for the missed ones.
        missed: How many messages of the topic before it were not given: lost on the way or overtaken in the queue.
    """

    topic: str
    message: Message
    missed: int


class MarketReader:
    """Reads published market data. ``receive`` is for one thread at a time.

    Over sockets a thread of its own reads ahead: close the reader before its transport. In one process
    (``threaded=False``) the queue is filled when it is read.
    """

    def __init__(
        self,
        transport: Subscribes,
        endpoint: str,
        topics: tuple[str, ...],
        *,
        snapshot: Callable[[str], Message] | None = None,
        queue: int = 64,
        threaded: bool = True,
    ) -> None:
        """Connect.

        Args:
            transport: Makes the subscriber.
            endpoint: The publisher's.
            topics: Exact topics; none means all.
            snapshot: Asked by ``receive`` for what stands for a topic's missed messages (for ``tick`` the feed's
                ``QuerySnapshot``); None gives the newest message itself, which for charts is a whole set.
            queue: How many messages wait for the reader before those of a topic are overtaken by its newest.
            threaded: Whether a thread reads ahead; False for a ``LocalTransport``.

        Raises:
            BusError: The queue holds nothing.
        """
        if queue < 1:
            raise BusError(f"a queue of {queue} messages holds nothing; allowed is 1 or more")
        self._snapshot = snapshot
        self._queue = queue
        self._waiting: deque[tuple[str, Message]] = deque()
        self._missed: dict[str, int] = {}
        self._seen: set[str] = set()
        self._arrived = Condition()
        self._error: OutcryError | None = None
        self._closed = False
        self._subscriber = transport.subscriber(endpoint, topics, self._lost)
        self._thread = Thread(target=self._read, name=f"reader {endpoint}", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def receive(self, timeout_s: float) -> Reading | None:
        """Return the next message, or the newest where some were missed; None when nothing came in time.

        Raises:
            OutcryError: The publisher speaks another version, or the reader was closed.
        """
        if self._thread is None:
            self._drain(timeout_s)
        deadline_ns = monotonic_ns() + int(timeout_s * NS)
        with self._arrived:
            while not self._waiting:
                left_s = (deadline_ns - monotonic_ns()) / NS
                if self._error is not None:
                    raise self._error
                if left_s <= 0 or self._thread is None:
                    return None
                self._arrived.wait(left_s)
            topic, message = self._waiting.popleft()
            missed = self._missed.pop(topic, 0)
        if missed and self._snapshot is not None:
            message = self._snapshot(topic)
        return Reading(topic, message, missed)

    def close(self) -> None:
        """Stop reading and give the socket back; may be called twice."""
        self._closed = True
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        else:
            self._subscriber.close()

    def _read(self) -> None:
        try:
            while not self._closed:
                item = self._subscriber.receive(_POLL_S)
                if item is not None:
                    self._keep(item[0], item[2])
        except OutcryError as error:
            with self._arrived:
                self._error = error
                self._arrived.notify_all()
        finally:
            self._subscriber.close()
            with self._arrived:
                if self._error is None:
                    self._error = BusError("this reader is closed; make another one")
                self._arrived.notify_all()

    def _drain(self, timeout_s: float) -> None:
        wait_s = timeout_s
        while (item := self._subscriber.receive(wait_s)) is not None:
            self._keep(item[0], item[2])
            wait_s = 0.0

    def _lost(self, topic: str, first: int, last: int) -> list[Message]:
        """Count what the sequence numbers miss; what was sent before the reader came is no loss."""
        if topic in self._seen and last >= first:
            with self._arrived:
                self._missed[topic] = self._missed.get(topic, 0) + last - first + 1
                self._overtake({topic})
        return []

    def _keep(self, topic: str, message: Message) -> None:
        with self._arrived:
            self._seen.add(topic)
            if len(self._waiting) >= self._queue:
                self._overtake({waiting for waiting, _ in self._waiting} - {topic}, but_newest=True)
                self._overtake({topic})
            self._waiting.append((topic, message))
            self._arrived.notify()

    def _overtake(self, topics: set[str], *, but_newest: bool = False) -> None:
        """Take the waiting messages of some topics out and count them."""
        kept: deque[tuple[str, Message]] = deque()
        spared: set[str] = set()
        for topic, message in reversed(self._waiting):
            if topic not in topics or (but_newest and topic not in spared):
                kept.appendleft((topic, message))
                spared.add(topic)
            else:
                self._missed[topic] = self._missed.get(topic, 0) + 1
        self._waiting = kept
