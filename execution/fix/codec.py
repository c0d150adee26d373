"""Bytes to FIX messages and back, over simplefix. Not a judge of messages: that is ``rules``, and order is ``session``.

simplefix splits and joins fields; it checks neither BodyLength nor CheckSum and loses its place after nonsense, so
frames are cut here: by BodyLength, with the CheckSum verified. What is no whole message is *garbled*: it is passed over
as if it had not come, and reading goes on at the next ``8=FIX`` (the gap in the numbers brings it back).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from simplefix import FixMessage, FixParser
from simplefix.errors import ParsingError

from execution.fix.values import BadValueError

__all__ = ["BEGIN", "Framer", "Message", "encode"]

BEGIN = b"FIX.4.4"
_HEAD = re.compile(rb"8=([^\x01]{1,20})\x019=(\d{1,7})\x01")
_TRAILER = re.compile(rb"10=(\d{3})\x01")
_TRAILER_SIZE = 7
_HEAD_SIZE = 40
_MOST = 1_000_000
_START = b"8=FIX"
_FIELDS: msgspec.msgpack.Decoder[list[tuple[int, bytes]]] = msgspec.msgpack.Decoder(list[tuple[int, bytes]])


class Message:
    """One message: its fields in order, and the first value of each tag."""

    __slots__ = ("_first", "fields", "msg_type")

    def __init__(self, fields: Sequence[tuple[int, bytes]]) -> None:
        self.fields = tuple(fields)
        first: dict[int, bytes] = {}
        for tag, value in fields:
            first.setdefault(tag, value)
        self._first = first
        self.msg_type = first.get(35, b"").decode("ascii", "replace")

    def raw(self, tag: int) -> bytes | None:
        """Return the first value of a tag, or None."""
        return self._first.get(tag)

    def text(self, tag: int) -> str:
        """Return the first value of a tag as text, empty when it is absent."""
        return self._first.get(tag, b"").decode("utf-8", "replace")

    def flag(self, tag: int) -> bool:
        """Return whether a tag is ``Y``."""
        return self._first.get(tag) == b"Y"

    def packed(self) -> bytes:
        """Return the message for the store; ``unpack`` takes it back."""
        return msgspec.msgpack.encode(self.fields)

    @classmethod
    def unpack(cls, packed: bytes) -> Message:
        """Return a message from the store."""
        return cls(_FIELDS.decode(packed))

    def entries(self, first_tag: int) -> Iterator[dict[int, bytes]]:
        """Yield the entries of a repeating group, each starting with ``first_tag``; the last runs to the end."""
        entry: dict[int, bytes] | None = None
        for tag, value in self.fields:
            if tag == first_tag:
                if entry is not None:
                    yield entry
                entry = {}
            if entry is not None:
                entry.setdefault(tag, value)
        if entry is not None:
            yield entry


class Framer:
    """Cuts a byte stream into messages; keeps count of what was garbled."""

    def __init__(self) -> None:
        self._buffer = b""
        self.garbled = 0

    def feed(self, data: bytes) -> list[Message]:
        """Take in bytes and return the messages that are whole, in order."""
        self._buffer += data
        messages: list[Message] = []
        while True:
            step, message = self._next(self._buffer)
            if step == 0:
                return messages
            self._buffer = self._buffer[step:]
            if message is not None:
                messages.append(message)

    def _next(self, buffer: bytes) -> tuple[int, Message | None]:
        """Return how many bytes are done with (0: wait for more) and the message they were, if they were one."""
        if not buffer.startswith(_START[: len(buffer)]):
            return self._skip(buffer)
        head = _HEAD.match(buffer)
        if head is None:
            return self._skip(buffer) if len(buffer) > _HEAD_SIZE or buffer.count(b"\x01") > 1 else (0, None)
        size = int(head.group(2))
        end = head.end() + size
        if size > _MOST:
            return self._skip(buffer)
        if len(buffer) < end + _TRAILER_SIZE:
            # A length that is too great would swallow what follows: a whole other start shows that it is wrong.
            return (0, None) if self._may_grow(buffer, end) else self._skip(buffer)
        trailer = _TRAILER.match(buffer, end)
        if trailer is None or int(trailer.group(1)) != sum(buffer[:end]) % 256:
            return self._skip(buffer)
        fields = _split(buffer[: trailer.end()])
        if fields is None or [tag for tag, _ in fields[:3]] != [8, 9, 35]:
            self.garbled += 1
            return trailer.end(), None
        return trailer.end(), Message(fields)

    @staticmethod
    def _may_grow(buffer: bytes, end: int) -> bool:
        after = re.search(rb"\x0110=\d{3}\x018=FIX", buffer)
        return after is None or after.start() >= end

    def _skip(self, buffer: bytes) -> tuple[int, None]:
        self.garbled += 1
        again = buffer.find(_START, 1)
        if again < 0:
            kept = next((n for n in range(len(_START) - 1, 0, -1) if buffer.endswith(_START[:n])), 0)
            again = len(buffer) - kept
        return max(again, 1), None


def _split(frame: bytes) -> list[tuple[int, bytes]] | None:
    parser = FixParser(allow_empty_values=True)
    parser.append_buffer(frame)
    try:
        whole = parser.get_message()
    except ParsingError:
        return None
    if whole is None or parser.get_buffer():
        return None
    return [(int(tag), value) for tag, value in whole.pairs]


def encode(fields: Iterable[tuple[int, str | bytes | int]]) -> bytes:
    """Return the bytes of a message from its fields without 8, 9 and 10, which are put around them.

    Raises:
        BadValueError: A value is empty or has the field separator in it, which would make other fields of its rest.
    """
    message = FixMessage()
    message.append_pair(8, BEGIN)
    for tag, value in fields:
        raw = value if isinstance(value, bytes) else str(value).encode()
        if not raw or b"\x01" in raw:
            raise BadValueError(f"the value of tag {tag} is empty or has a field separator in it; it cannot be sent")
        message.append_pair(tag, raw)
    return bytes(message.encode())
