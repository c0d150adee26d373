"""Bytes of a message: one version byte, then array-like msgpack. Why a peer of another version is told so.

Not a serializer for anything else: only the vocabulary of ``bus.messages`` passes.
"""

from __future__ import annotations

import msgspec

from bus.errors import SchemaError, SchemaVersionError
from bus.messages import SCHEMA_VERSION, Message

__all__ = ["canonical", "decode", "encode", "peek_version"]

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_VERSION = bytes([SCHEMA_VERSION])


def encode(message: Message) -> bytes:
    """Return the message's bytes: the schema version, then the body.

    Raises:
        SchemaError: A field holds what the wire cannot carry.
    """
    try:
        return _VERSION + _ENCODER.encode(message)
    except (OverflowError, TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise SchemaError(
            f"{type(message).__name__} cannot be encoded: {error}; allowed are "
            "valid text and integers of 64 bits: mend it where the message is made"
        ) from error


def canonical(message: msgspec.Struct) -> bytes:
    """Return the body alone: the bytes that digests and signatures are taken over."""
    return _ENCODER.encode(message)


def peek_version(data: bytes) -> int:
    """Return the schema version that the bytes claim, -1 when there are none."""
    return data[0] if data else -1


def decode(data: bytes) -> Message:
    """Return the message in the bytes.

    Args:
        data: What ``encode`` gave.

    Raises:
        SchemaVersionError: The peer speaks another version.
        SchemaError: The bytes are no message of this version.
    """
    if not data.startswith(_VERSION):
        raise SchemaVersionError(
            f"the peer speaks schema version {peek_version(data)}, this process speaks {SCHEMA_VERSION}; "
            "run the same release of openoutcry on both sides"
        )
    try:
        return _DECODER.decode(data[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"not a message of schema version {SCHEMA_VERSION}: {error}") from error
