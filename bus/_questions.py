"""Which question a service works on next, and which it has answered: each is executed at most once.

Not a socket. A client waits for each answer, so of each client only its newest question is wanted; older ones were
given up. That one rule drops stale work, and makes the memo of answers one answer a client.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from bus._frames import ASK, GIVE_UP, HEADER_SIZE, pack_id, unpack_header

__all__ = ["Question", "Questions"]

_CLIENTS_REMEMBERED = 256


class Question(NamedTuple):
    """A question that waits for its turn.

    Attributes:
        identity: The connection that the answer goes to.
        token: The client.
        number: The client's questions, counted from 1.
        frame: Header and message.
        expires_ns: When nobody waits any more, by the service's monotonic clock.
    """

    identity: bytes
    token: bytes
    number: int
    frame: bytes
    expires_ns: int

    @property
    def message(self) -> bytes:
        """The bytes behind the header."""
        return self.frame[HEADER_SIZE:]


class Questions:
    """The waiting questions and the last answer of each client."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: dict[bytes, Question] = {}
        self._answered: dict[bytes, tuple[int, bytes]] = {}
        self._promised: dict[bytes, Question] = {}

    @property
    def promised(self) -> int:
        """How many questions were promised an answer that has not come."""
        return len(self._promised)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, identity: bytes, frame: bytes, now_ns: int) -> bytes | None:
        """Take a frame in.

        Args:
            identity: The connection that it came from.
            frame: Header and message.
            now_ns: A monotonic clock.

        Returns:
            The answer, when this very question has been answered before.

        Raises:
            ValueError: The frame has no header, or one of another kind.
        """
        try:
            kind, token, number, left_ms = unpack_header(frame)
        except struct.error as error:
            raise ValueError("no header") from error
        waiting = self._waiting.get(token)
        if kind != ASK:
            if kind != GIVE_UP:
                raise ValueError(f"kind {kind} is unknown")
            if waiting is not None and waiting.number <= number:
                del self._waiting[token]
            self._forget_promise(token, number)
            return None
        last = self._answered.get(token)
        if last is not None and number <= last[0]:
            return last[1] if number == last[0] else None
        promised = self._promised.get(token)
        if promised is not None and number <= promised.number:
            if number == promised.number:  # it is being worked on: the answer goes to where it was asked last
                self._promised[token] = promised._replace(identity=identity)
            return None
        self._forget_promise(token, number)
        if waiting is None or number >= waiting.number:
            self._waiting[token] = Question(identity, token, number, frame, now_ns + left_ms * 1_000_000)
        return None

    def next(self, now_ns: int) -> Question | None:
        """Return the question that has waited longest and is still wanted, and no longer keep it."""
        while self._waiting:
            question = self._waiting.pop(next(iter(self._waiting)))
            if now_ns < question.expires_ns:
                return question
        return None

    def promise(self, question: Question) -> None:
        """Keep a question whose answer comes later; asked again, it is not executed again."""
        self._promised[question.token] = question

    def fulfil(self, token: bytes, number: int) -> Question | None:
        """Return the question a promise was made for, or None when nobody waits for it any more."""
        promised = self._promised.get(token)
        if promised is None or promised.number != number:
            return None
        return self._promised.pop(token)

    def _forget_promise(self, token: bytes, number: int) -> None:
        promised = self._promised.get(token)
        if promised is not None and promised.number <= number:
            del self._promised[token]

    def answered(self, question: Question, message: bytes) -> bytes:
        """Remember an answer and return its frame."""
        token, number = question.token, question.number
        answer = pack_id(token, number) + message
        self._answered.pop(token, None)
        self._answered[token] = (number, answer)
        if len(self._answered) > _CLIENTS_REMEMBERED:
            del self._answered[next(iter(self._answered))]
        return answer
