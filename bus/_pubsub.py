"""Publications numbered per topic, so that a loss is seen and made good instead of passing in silence.

A publisher carries an epoch: one that was restarted counts from 1 again and is no duplicate. Not a lossless
path by itself: what was lost is fetched through ``recover``, or the reader is told with ``GapError``.
"""

from __future__ import annotations

import struct
from collections import deque

import zmq

from bus.codec import decode, encode
from bus.errors import GapError
from bus.ids import token_bytes
from bus.messages import Message
from bus.transport import Recover

__all__ = ["Sequencer", "ZmqPublisher", "ZmqSubscriber"]

_NUMBER = struct.Struct(">Q")


class Sequencer:
    """Puts numbered messages in order and asks for what is missing; shared by every transport's subscriber."""

    def __init__(self, recover: Recover | None) -> None:
        self._recover = recover
        self._next: dict[str, int] = {}
        self._epoch: dict[str, bytes] = {}
        self._ready: deque[tuple[str, int, Message]] = deque()

    def push(self, topic: str, epoch: bytes, seq: int, message: Message) -> None:
        """Take one message; duplicates are dropped, gaps are filled or raise ``GapError``."""
        if self._epoch.get(topic) != epoch:
            self._epoch[topic] = epoch
            self._next[topic] = 1
        expected = self._next[topic]
        if seq < expected:
            return
        self._next[topic] = seq + 1
        if seq > expected:
            if self._recover is None:
                self._ready.append((topic, seq, message))
                raise GapError(
                    f"{topic}: messages {expected:,} to {seq - 1:,} were lost; subscribe with a recover function, "
                    "or ask the service for a snapshot"
                )
            for offset, lost in enumerate(self._recover(topic, expected, seq - 1)):
                self._ready.append((topic, min(expected + offset, seq - 1), lost))
        self._ready.append((topic, seq, message))

    def pop(self) -> tuple[str, int, Message] | None:
        """Return the next message in sequence, None when there is none."""
        return self._ready.popleft() if self._ready else None


class ZmqPublisher:
    """A bound PUB socket."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._epoch = token_bytes(8)
        self._seq: dict[str, int] = {}

    def publish(self, topic: str, message: Message) -> int:
        """Send and return the sequence number given."""
        seq = self._seq.get(topic, 0) + 1
        self._seq[topic] = seq
        self._socket.send_multipart((topic.encode(), self._epoch, _NUMBER.pack(seq), encode(message)))
        return seq

    def close(self) -> None:
        """Unbind."""
        self._socket.close(0)


class ZmqSubscriber:
    """A connected SUB socket."""

    def __init__(self, socket: zmq.Socket[bytes], topics: tuple[str, ...], recover: Recover | None) -> None:
        self._socket = socket
        self._topics = frozenset(topics)
        for topic in topics:
            socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self._order = Sequencer(recover)

    def receive(self, timeout_s: float) -> tuple[str, int, Message] | None:
        """Return the next ``(topic, seq, message)``, or None when nothing came in time."""
        ready = self._order.pop()
        if ready is not None:
            return ready
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        frames = self._socket.recv_multipart()
        if len(frames) == 4 and len(frames[2]) == _NUMBER.size:
            topic = frames[0].decode(errors="replace")
            if topic in self._topics:
                self._order.push(topic, frames[1], _NUMBER.unpack(frames[2])[0], decode(frames[3]))
        return self._order.pop()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close(0)
