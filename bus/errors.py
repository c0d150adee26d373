"""The one tree of errors: what was wrong, what is allowed, what to do next.

    OutcryError
    ├── UsageError            a person's command or configuration: exit code 2
    │   ├── ConfigError
    │   └── DayError          a recorded day that is missing, broken or unsealed
    ├── RefusedError          the gate or the kill switch said no: exit code 3
    ├── BadNumberError        a number that cannot be exact
    ├── BusError
    │   ├── BindError         an endpoint that is taken or not allowed
    │   ├── CallTimeoutError  no answer before the deadline: not known whether it was done
    │   ├── RemoteError       the other side answered with a refusal
    │   ├── SchemaError       bytes that are not a message of this schema
    │   │   └── SchemaVersionError
    │   └── GapError          sequence numbers were lost and could not be recovered
    ├── SourceError           a vendor that is down, refuses, or answers nonsense
    │   ├── NotOfferedError   something this source does not have
    │   └── SourceBusyError   a vendor that asked to be left alone for a while
    ├── LookAheadError        a question about a time after the clock
    ├── JournalError          the journal could not be written or read: fail closed
    ├── TicketError           an order without a ticket that verifies
    └── ModelError            a model that is down, slow or answers nonsense

Not a place for messages: each is written where it is raised.
"""

from __future__ import annotations

__all__ = [
    "BadNumberError",
    "BindError",
    "BusError",
    "CallTimeoutError",
    "ConfigError",
    "DayError",
    "GapError",
    "JournalError",
    "LookAheadError",
    "ModelError",
    "NotOfferedError",
    "OutcryError",
    "RefusedError",
    "RemoteError",
    "SchemaError",
    "SchemaVersionError",
    "SourceBusyError",
    "SourceError",
    "TicketError",
    "UsageError",
]


class OutcryError(Exception):
    """Anything this software raises on purpose."""

    exit_code = 1


class UsageError(OutcryError):
    """A command or a file of a person's that cannot be followed."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration value that is unknown, of the wrong type or out of range."""


class DayError(UsageError):
    """A recorded day that is missing, malformed or fails its seal."""


class RefusedError(OutcryError):
    """The gate or the kill switch refused."""

    exit_code = 3


class BadNumberError(OutcryError, ValueError):
    """A number that is not finite or does not fit."""


class BusError(OutcryError):
    """A failure of the message layer."""


class BindError(BusError, UsageError):
    """An endpoint that is in use or that this configuration does not allow."""

    exit_code = 2


class CallTimeoutError(BusError):
    """No answer came before the deadline: whether it was done is not known."""


class RemoteError(BusError):
    """The service answered with an error.

    Attributes:
        code: The service's reason code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class SchemaError(BusError):
    """Bytes that are no message of this schema."""


class SchemaVersionError(SchemaError):
    """A peer that speaks another version of the schema."""


class GapError(BusError):
    """Messages were lost and could not be recovered."""


class LookAheadError(OutcryError):
    """A question about a time after the clock."""


class JournalError(OutcryError):
    """A journal that cannot be written or read."""


class TicketError(OutcryError):
    """An order whose ticket does not verify."""


class ModelError(OutcryError):
    """A model that is down, slow or answers nonsense.

    Attributes:
        reason: One of ``down``, ``slow``, ``nonsense``, ``refused``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SourceError(OutcryError):
    """A vendor that is down, refuses, or answers nonsense; nothing was made up in its place."""


class NotOfferedError(SourceError):
    """Something that this source does not have at all: asking again does not help."""


class SourceBusyError(SourceError):
    """A vendor that asked to be left alone (HTTP 429).

    Attributes:
        retry_after_s: For how many seconds; 0 when it did not say.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        """Keep how long the vendor wants to be left alone."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
