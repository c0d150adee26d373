"""A stage's last words: an error in the heartbeat's detail, so that the person who started the run reads them.

Not for errors inside a run: those travel as ``ErrorReply`` and stay between services.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from bus.errors import BindError, BusError, OutcryError, RemoteError

__all__ = ["Failure", "StageFailedError", "code_of", "decode_failure", "encode_failure"]

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class StageFailedError(OutcryError):
    """A run that a stage's failure ended.

    Attributes:
        code: The stage's reason code.
        exit_code: What the command ends with.
    """

    def __init__(self, failure: Failure, logs: Path) -> None:
        super().__init__(f"{failure.message} (logs: {logs})")
        self.code = failure.code
        self.exit_code = failure.exit_code


class Failure(msgspec.Struct, frozen=True):
    """Why a stage ended.

    Attributes:
        code: The reason code.
        message: What was wrong, what is allowed, what to do next.
        exit_code: What the command should end with.
        again: Whether starting the stage again may help.
    """

    code: str
    message: str
    exit_code: int
    again: bool


def code_of(error: OutcryError) -> str:
    """Return an error's reason code: its class name in snake case, without the word error."""
    if isinstance(error, RemoteError | StageFailedError):
        return error.code
    return _CAMEL.sub("_", type(error).__name__.removesuffix("Error")).lower()


def encode_failure(error: OutcryError) -> str:
    """Return the failure as the text of a heartbeat's detail."""
    again = isinstance(error, BusError) and not isinstance(error, BindError | RemoteError)
    return msgspec.json.encode(Failure(code_of(error), str(error), error.exit_code, again)).decode()


def decode_failure(detail: str) -> Failure:
    """Return the failure in a heartbeat's detail; a text that is none is its message."""
    try:
        return msgspec.json.decode(detail, type=Failure)
    except msgspec.DecodeError:
        return Failure("failed", detail or "it gave no reason; its log says why", 1, again=False)
