"""The header before each message on a service socket: who asks, which question, and for how long it is wanted.

Not part of the vocabulary: a service must read it even when the message behind it is of another version.
"""

from __future__ import annotations

import struct

__all__ = ["ASK", "GIVE_UP", "HEADER_SIZE", "ID_SIZE", "pack_header", "pack_id", "unpack_header"]

ASK = 1
"""A question follows."""
GIVE_UP = 2
"""The client no longer wants the answer to this question."""

_ID = struct.Struct(">8sQ")
_HEADER = struct.Struct(">B8sQI")
ID_SIZE = _ID.size
"""Bytes of a request id: an answer starts with it."""
HEADER_SIZE = _HEADER.size
"""Bytes before the message of a request."""
_MAX_MS = 2**32 - 1


def pack_header(kind: int, token: bytes, number: int, left_ms: int) -> bytes:
    """Return the bytes of a header."""
    return _HEADER.pack(kind, token, number, min(left_ms, _MAX_MS))


def unpack_header(frame: bytes) -> tuple[int, bytes, int, int]:
    """Return kind, client token, number and remaining milliseconds.

    The token is the client, by eight unpredictable bytes; the number counts its questions from 1, so that a repeated
    question has the same number; the milliseconds are how long the answer is wanted, from when it was sent.

    Raises:
        struct.error: The frame is too short to have a header.
    """
    return _HEADER.unpack_from(frame)


def pack_id(token: bytes, number: int) -> bytes:
    """Return a request id."""
    return _ID.pack(token, number)
