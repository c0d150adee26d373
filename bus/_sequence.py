"""Puts published messages back into sequence: what is missing is recovered or told, never skipped in silence.

Not a history: the publisher keeps nothing; what is lost is asked of a service, through the ``Recover`` callback.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

from bus.codec import decode
from bus.errors import GapError, SchemaError, SchemaVersionError
from bus.messages import Message
from bus.transport import Recover

__all__ = ["EPOCH_SIZE", "Sequence", "pack_head", "subscription"]

_HEAD = struct.Struct(">8sQ")
EPOCH_SIZE = 8
"""Bytes by which one life of a publisher is told from the next."""


class _Published(NamedTuple):
    topic: str
    epoch: bytes
    seq: int
    message: Message


def subscription(topic: str) -> bytes:
    """Return the bytes that start every message of a topic and of no other.

    Raises:
        SchemaError: The topic holds a NUL.
    """
    if "\0" in topic:
        raise SchemaError(f"the topic {topic!r} holds a NUL, which ends a topic on the wire; leave it out")
    return topic.encode() + b"\0"


def pack_head(epoch: bytes, seq: int) -> bytes:
    """Return what stands between ``subscription(topic)`` and the message in a published frame."""
    return _HEAD.pack(epoch, seq)


class Sequence:
    """The incoming side of one subscriber.

    A publisher that was restarted has another epoch. What its former life sent last may be lost, so ``recover`` is
    asked then even when the new life starts at 1: for the empty range (1, 0).
    """

    def __init__(self, recover: Recover | None, *, from_start: bool = True) -> None:
        """Start with nothing seen.

        Args:
            recover: Asked for what is missing; None raises ``GapError`` instead.
            from_start: Whether what was sent before the first message seen counts as missing.
        """
        self._recover = recover
        self._from_start = from_start
        self._seen: dict[str, tuple[bytes, int]] = {}
        self._ready: deque[tuple[str, int, Message]] = deque()
        self._held: _Published | None = None

    def pop(self) -> tuple[str, int, Message] | None:
        """Return the next message in sequence, or None.

        Raises:
            GapError: Messages were lost and there is no way to recover them; the one after them comes next.
            OutcryError: What ``recover`` raised; it is asked again at the next ``pop``.
        """
        if not self._ready and self._held is not None:
            self._place(self._held)
        return self._ready.popleft() if self._ready else None

    def take(self, frame: bytes) -> tuple[str, int, Message] | None:
        """Take in a frame as it came and return the next message in sequence, or None.

        Garbage is left out; if it was a message, its number will be missed.

        Raises:
            GapError: As ``pop``.
            OutcryError: As ``pop``.
        """
        at = frame.find(b"\0") + 1
        body = at + _HEAD.size
        if not at or len(frame) <= body:
            return self.pop()
        epoch, seq = _HEAD.unpack_from(frame, at)
        try:
            message = decode(frame[body:])
            topic = frame[: at - 1].decode()
        except SchemaVersionError:
            raise
        except (SchemaError, UnicodeDecodeError):
            return self.pop()
        if self._seen.get(topic) == (epoch, seq - 1) and not self._ready and self._held is None:
            self._seen[topic] = (epoch, seq)
            return topic, seq, message
        self._place(_Published(topic, epoch, seq, message))
        return self.pop()

    def _place(self, published: _Published) -> None:
        topic, epoch, seq, message = published
        known = self._seen.get(topic)
        if known is not None and known[0] == epoch:
            if seq <= known[1]:
                return
            first, restarted = known[1] + 1, False
        else:
            restarted = known is not None
            first = 1 if restarted or self._from_start else seq
        if restarted or seq > first:
            # Until recovery worked the message is held, so that a failed attempt is made again and nothing is lost.
            self._held = published
            missing = self._fetch(topic, first, seq - 1)
        else:
            missing = []
        self._held = None
        self._seen[topic] = (epoch, seq)
        exact = len(missing) == seq - first
        self._ready.extend((topic, first + at if exact else seq - 1, item) for at, item in enumerate(missing))
        self._ready.append((topic, seq, message))
        if (restarted or seq > first) and self._recover is None:
            lost = f"{first} to {seq - 1}" if seq > first else "of the former publisher, unknown how many"
            raise GapError(
                f"messages on {topic!r} were lost ({lost}) and this subscriber has no way to recover them; "
                "give it a recover callback, read faster, or raise the high-water mark"
            )

    def _fetch(self, topic: str, first: int, last: int) -> list[Message]:
        return [] if self._recover is None else self._recover(topic, first, last)
