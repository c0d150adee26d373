"""From a request's bytes to the answer's bytes, and from those to a message or an error: why both transports agree.

Not a socket: ``bus._server`` and ``bus.local_transport`` both stand on these two functions.
"""

from __future__ import annotations

import logging
import re

from bus.codec import decode, encode
from bus.deferred import Deferred
from bus.errors import OutcryError, RemoteError, SchemaError, SchemaVersionError
from bus.messages import ErrorReply, Message
from bus.transport import Handler

__all__ = ["answer_bytes", "error_code", "open_answer", "settled_bytes"]

_LOG = logging.getLogger("bus")
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VERSION_CODE = "schema_version"


def error_code(error: OutcryError) -> str:
    """Return the code of an error on the wire: its class in snake case without the word error (``look_ahead``)."""
    return _INNER_CAPITAL.sub("_", type(error).__name__.removesuffix("Error")).lower()


def answer_bytes(handler: Handler, request: bytes) -> bytes | Deferred:
    """Decode, handle and encode; whatever goes wrong becomes an ``ErrorReply``, so that no request kills a service.

    Args:
        handler: The service.
        request: What ``encode`` gave, or anything.

    Returns:
        The bytes of the answer, or the promise of one (see ``settled_bytes``).
    """
    try:
        answer = handler.handle(decode(request))
        return answer if isinstance(answer, Deferred) else encode(answer)
    except OutcryError as error:
        return _error_bytes(error_code(error), str(error))
    except Exception as error:
        _LOG.exception("%s failed on a request", type(handler).__name__)
        return _error_bytes(
            "internal_error",
            f"{type(handler).__name__} failed with {type(error).__name__}; nothing more is told over the bus: "
            "read the service's log",
        )


def settled_bytes(promise: Deferred) -> bytes:
    """Return the bytes of an answer that has come."""
    try:
        return encode(promise.wait(0.0))
    except OutcryError as error:
        return _error_bytes(error_code(error), str(error))


def open_answer(answer: bytes) -> Message:
    """Return the message of an answer.

    Args:
        answer: What ``answer_bytes`` gave, or anything.

    Raises:
        RemoteError: It is an ``ErrorReply``.
        SchemaVersionError: One side speaks another version.
        SchemaError: It is not a message.
    """
    message = decode(answer)
    if isinstance(message, ErrorReply):
        if message.code == _VERSION_CODE:
            raise SchemaVersionError(message.message)
        raise RemoteError(message.code, message.message)
    return message


def _error_bytes(code: str, text: str) -> bytes:
    try:
        return encode(ErrorReply(code, text))
    except SchemaError:
        return encode(ErrorReply(code, text.encode("utf-8", "backslashreplace").decode()))
