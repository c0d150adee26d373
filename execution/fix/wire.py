"""The writing half of a session: what goes out, under which number, and how it ends. Not the reading: ``session``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from execution.fix.codec import Message, encode
from execution.fix.rules import Flaw
from execution.fix.settings import Settings
from execution.fix.store import Store
from execution.fix.values import time_text

__all__ = ["LOST", "Fields", "Phase", "Wire"]

Phase: TypeAlias = Literal["off", "logging_on", "on", "logging_off"]
Fields: TypeAlias = list[tuple[int, str | bytes | int]]

_MOST_TEXT = 200
LOST = (
    "; numbers were lost on this side: restore broker.store, or agree on a reset with the counterparty (reset=yes in "
    "broker.url) and reconcile"
)
"""Said when the counterparty has seen higher numbers than we remember."""


class Wire:
    """Composes messages, uses up their numbers and writes them. A number is durable before its message is written."""

    def __init__(
        self, settings: Settings, store: Store, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int]
    ) -> None:
        """Start logged off.

        Args:
            settings: Who we and they are, and the keys.
            store: The numbers.
            wall_ns: UTC, for SendingTime.
            monotonic_ns: For intervals.
        """
        self._settings = settings
        self._store = store
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._secrets = tuple(secret for secret in (settings.password, settings.username) if secret)
        self._write: Callable[[bytes], None] = lambda _: None
        self._sent_at = monotonic_ns()
        self.phase: Phase = "off"
        self.why = "it has not connected yet"

    def _compose(self, msg_type: str, seq: int, fields: Fields, head: Fields | None = None) -> bytes:
        header: Fields = [
            (35, msg_type),
            (49, self._settings.sender),
            (56, self._settings.target),
            (34, seq),
            *(head or []),
            (52, time_text(self._wall_ns())),
        ]
        return encode([*header, *fields])

    def _put(self, raw: bytes) -> None:
        try:
            self._write(raw)
        except OSError as error:
            self._end(f"the connection broke ({type(error).__name__})")
            raise
        self._sent_at = self._monotonic_ns()

    def _admin(self, msg_type: str, fields: Fields) -> None:
        seq = self._store.next_out
        self._store.took_number()
        try:
            self._put(self._compose(msg_type, seq, fields))
        except OSError:
            return

    def _logon(self, *, reset: bool) -> None:
        fields: Fields = [(98, 0), (108, self._settings.heartbeat_s)]
        if reset:
            fields.append((141, "Y"))
        if self._settings.username:
            fields.append((553, self._settings.username))
        if self._settings.password:
            fields.append((554, self._settings.password))
        self._admin("A", fields)

    def _end(self, why: str) -> None:
        self.phase, self.why = "off", why

    def _log_out_because(self, text: str) -> None:
        self._admin("5", [(58, text)])
        self._end(text)

    def _reject(self, message: Message, found: Flaw) -> None:
        fields: Fields = [(45, message.raw(34) or b"0")]
        if found.tag:
            fields.append((371, found.tag))
        fields += [(372, message.raw(35) or b""), (373, found.reason), (58, found.text)]
        self._admin("3", fields)

    def scrubbed(self, text: str) -> str:
        """Return words of the counterparty's, short, printable and without our keys."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text)[:_MOST_TEXT]
