"""A record of every call: who asked what, when, how it ended. Not a debug log: one JSON line a call, never a secret.

A call that may change orders is written down durably *before* it runs, so that a crash in the middle leaves its trace;
when that line cannot be written the call is refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bus.clock import iso, wall_ns
from bus.errors import ConfigError, JournalError

__all__ = ["Audit", "Call", "bounded"]

_MOST_TEXT = 500
_MOST_ITEMS = 50
_MOST_DEPTH = 4
_MOST_ARGUMENTS = 4_000
_SECRET_NAME = re.compile(r"token|secret|passw|authori[sz]ation|api_?-?key|credential|private_?-?key", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"\boo_[0-9a-f]{16,}|\bbearer\s+\S+|\bsk-[A-Za-z0-9_-]{12,}", re.IGNORECASE)
_HIDDEN = "[hidden]"


def bounded(value: object, depth: int = 0) -> object:
    """Return a value fit to be written down: of JSON types, of bounded size, secrets hidden.

    Args:
        value: What a caller sent.
        depth: How deep it lies; deeper than four levels is cut.
    """
    if isinstance(value, str):
        text = _SECRET_TEXT.sub(_HIDDEN, value[: _MOST_TEXT * 2])
        return text if len(value) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}… ({len(value)} characters)"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < 10**18 else "a huge number"
    if depth >= _MOST_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = list(cast("Mapping[object, object]", value).items())[:_MOST_ITEMS]
        return {
            str(bounded(str(key))): _HIDDEN if _SECRET_NAME.search(str(key)) else bounded(item, depth + 1)
            for key, item in items
        }
    if isinstance(value, Sequence):
        return [bounded(item, depth + 1) for item in list(cast("Sequence[object]", value))[:_MOST_ITEMS]]
    return str(type(value).__name__)


@dataclass(frozen=True)
class Call:
    """Who asks what.

    Attributes:
        client: The client of the token, ``local`` over stdio, or the address of a loopback peer without a token.
        agent: What the client says it is; not to be trusted.
        transport: ``stdio`` or ``http``.
        era: The protocol revision.
        method: The protocol's method, for example ``tools/call``.
        name: The tool, the resource's URI or the prompt.
        arguments: What was sent.
    """

    client: str
    agent: str
    transport: str
    era: str
    method: str
    name: str
    arguments: Mapping[str, Any]


class Audit:
    """The file of one process; lines are whole, also when several processes append to one file."""

    def __init__(self, path: Path | None) -> None:
        """Open the file for appending.

        Args:
            path: Where; None records nothing.

        Raises:
            ConfigError: It cannot be opened.
        """
        self._descriptor: int | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the audit file {path} cannot be written ({error.strerror}). Name one in a folder you may write to."
            ) from error

    def started(self, call: Call) -> None:
        """Write durably that a call which may change orders begins.

        Raises:
            JournalError: The line could not be written: the call must not run.
        """
        self._write(call, {"outcome": "started"}, durable=True)

    def ended(self, call: Call, outcome: str, detail: str, duration_ns: int) -> None:
        """Write how a call ended.

        Args:
            call: The call.
            outcome: ``ok``, ``asked`` (a person is to be asked first), ``error``, ``invalid``, ``refused``, ``failed``
                (our own fault) or ``cancelled``.
            detail: The text of what went wrong; empty otherwise.
            duration_ns: How long it took.

        Raises:
            JournalError: The line could not be written.
        """
        more: dict[str, object] = {"outcome": outcome, "ms": round(duration_ns / 1e6, 3)}
        if detail:
            more["detail"] = bounded(detail)
        self._write(call, more, durable=False)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, call: Call, more: Mapping[str, object], *, durable: bool) -> None:
        if self._descriptor is None:
            return
        arguments = json.dumps(bounded(call.arguments), separators=(",", ":"))
        if len(arguments) > _MOST_ARGUMENTS:
            arguments = json.dumps(f"{arguments[:_MOST_ARGUMENTS]}…")
        record = {
            "at": iso(wall_ns()),
            "client": call.client,
            "agent": bounded(call.agent),
            "transport": call.transport,
            "era": bounded(call.era),
            "method": call.method,
            "name": bounded(call.name),
            **more,
        }
        line = f'{json.dumps(record, separators=(",", ":"))[:-1]},"arguments":{arguments}}}\n'.encode()
        try:
            if os.write(self._descriptor, line) != len(line):
                raise JournalError("an audit line was cut short; is the disk full?")
            if durable:
                os.fsync(self._descriptor)
        except OSError as error:
            raise JournalError(f"the audit file cannot be written: {error.strerror}") from error
