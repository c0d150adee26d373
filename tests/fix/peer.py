"""A scripted counterparty for one session: bytes in, bytes out, and a clock that a test moves. Not a venue."""

from __future__ import annotations

from pathlib import Path

from bus.clock import NS
from execution.fix.codec import Message
from execution.fix.session import Session
from execution.fix.settings import Settings
from execution.fix.store import Store
from execution.fix.values import time_text
from tests.brokers.fix_acceptor import Fields, first, frame, parse

__all__ = ["PASSWORD", "USERNAME", "Peer", "execution"]

USERNAME = "fake-fix-user"
PASSWORD = "fake-fix-password"
_START_NS = 1_700_000_000 * NS


def execution(exec_id: str = "E-1") -> Fields:
    """Return the body of an execution report that the session takes."""
    return [
        (37, "V-1"), (11, "oo-1"), (17, exec_id), (150, "F"), (39, "1"), (55, "ACME"), (54, "1"),
        (32, "1"), (31, "10.5"), (151, "1"), (14, "1"), (6, "10.5"),
    ]  # fmt: skip


class Peer:
    """Their side of a session."""

    def __init__(self, folder: Path, *, reset: bool = False) -> None:
        self.settings = Settings(
            "127.0.0.1", 1, "DESK", "VENUE", folder, 1.0, USERNAME, PASSWORD, heartbeat_s=10, reset=reset
        )
        self.now_ns = _START_NS
        self.store = Store(folder, "DESK-VENUE")
        self.session = Session(self.settings, self.store, lambda: self.now_ns, lambda: self.now_ns)
        self.next = 1
        self.raw = b""
        self.broken = False

    def write(self, raw: bytes) -> None:
        """Take in what the session writes."""
        if self.broken:
            raise BrokenPipeError
        self.raw += raw

    def connect(self) -> Fields:
        """Let the session connect and return its Logon."""
        self.session.connected(self.write)
        (logon,) = self.heard()
        return logon

    def log_on(self) -> None:
        """Connect and answer the Logon."""
        self.connect()
        self.say("A", [(98, "0"), (108, "10")])
        assert self.session.phase == "on"

    def answer_test(self) -> None:
        """Answer the TestRequest that comes after a Logon where something of theirs may have been missed."""
        (test,) = self.heard()
        assert first(test, 35) == "1"
        self.say("0", [(112, first(test, 112))])

    def message(self, kind: str, body: Fields, seq: int, *head: tuple[int, str], shift_s: int = 0) -> Fields:
        """Return a message of theirs."""
        sent = time_text(self.now_ns + shift_s * NS)
        return [(35, kind), (49, "VENUE"), (56, "DESK"), (34, str(seq)), *head, (52, sent), *body]

    def say(self, kind: str, body: Fields | None = None, seq: int | None = None, *head: tuple[int, str]) -> None:
        """Send a message, under the next number or under one that is given."""
        number = self.next if seq is None else seq
        if seq is None:
            self.next += 1
        self.session.received(frame(self.message(kind, body or [], number, *head)))

    def again(self, kind: str, body: Fields, seq: int, original_s: int = -1) -> None:
        """Send a message again, as a possible duplicate."""
        self.say(kind, body, seq, (43, "Y"), (122, time_text(self.now_ns + original_s * NS)))

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += int(seconds * NS)
        self.session.passed()

    def heard(self) -> list[Fields]:
        """Return what the session sent since the last time."""
        parts = self.raw.split(b"8=FIX.4.4\x01")[1:]
        self.raw = b""
        return [parse(b"8=FIX.4.4\x01" + part) for part in parts]

    def kinds(self) -> list[str]:
        """Return the types of what the session sent since the last time."""
        return [first(message, 35) for message in self.heard()]

    def inbox(self) -> list[str]:
        """Return the ExecIDs of the reports that the session kept, in order."""
        return [Message.unpack(body).text(17) for _, _, body in self.store.inbox(0)]

    def reopen(self) -> None:
        """Go on with a new session over the same file, as after ``kill -9``."""
        self.store.close()
        self.store = Store(self.settings.folder, "DESK-VENUE")
        self.session = Session(self.settings, self.store, lambda: self.now_ns, lambda: self.now_ns)
