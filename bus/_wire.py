"""What a request looks like on a socket, and how a handler's answer or failure becomes bytes.

Not the vocabulary (``bus.messages``) and not a socket: shared by every transport, so that all fail in the same words.
"""

from __future__ import annotations

import logging
import re
import struct

from bus.codec import decode, encode
from bus.errors import OutcryError, RemoteError, SchemaError, SchemaVersionError
from bus.messages import ErrorReply, Message
from bus.transport import Handler

__all__ = ["HEADER", "answer_bytes", "error_code", "unwrap"]

HEADER = struct.Struct(">QQ")
"""Request id and the milliseconds the caller still waits."""

_LOG = logging.getLogger("bus")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def error_code(error: OutcryError) -> str:
    """Return an error's code: its class name in snake case, without the word error."""
    return _CAMEL.sub("_", type(error).__name__.removesuffix("Error")).lower()


def answer_bytes(handler: Handler, data: bytes) -> bytes:
    """Return the encoded answer to an encoded request; a failure of any kind becomes an ``ErrorReply``."""
    try:
        request = decode(data)
    except SchemaVersionError as error:
        return encode(ErrorReply("schema_version", str(error)))
    except SchemaError as error:
        return encode(ErrorReply("schema", str(error)))
    try:
        return encode(handler.handle(request))
    except OutcryError as error:
        return encode(ErrorReply(error_code(error), str(error)))
    except Exception:
        _LOG.exception("a handler failed on %s", type(request).__name__)
        name = type(request).__name__
        return encode(ErrorReply("internal_error", f"the service failed on {name}; its log says why"))


def unwrap(data: bytes) -> Message:
    """Return the answer in the bytes.

    Raises:
        RemoteError: The service answered with an ``ErrorReply``.
        SchemaError: The bytes are no message of this schema.
    """
    answer = decode(data)
    if isinstance(answer, ErrorReply):
        if answer.code == "schema_version":
            raise SchemaVersionError(answer.message)
        raise RemoteError(answer.code, answer.message)
    return answer
