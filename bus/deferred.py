"""An answer that comes later, so that a service that waits for somebody else goes on answering the others.

Not a future to compose with: it is settled once, by any thread, and read by the transport that holds the question.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock

from bus.errors import CallTimeoutError, OutcryError
from bus.messages import Message

__all__ = ["Deferred"]


class Deferred:
    """A promise of one answer. A ``Handler`` may return it in place of a message."""

    __slots__ = ("_done", "_listeners", "_lock", "_outcome")

    def __init__(self) -> None:
        """Start unsettled."""
        self._lock = Lock()
        self._done = Event()
        self._outcome: Message | OutcryError | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def done(self) -> bool:
        """Whether it is settled."""
        return self._done.is_set()

    def resolve(self, message: Message) -> None:
        """Settle with the answer; a second settlement is ignored."""
        self._settle(message)

    def fail(self, error: OutcryError) -> None:
        """Settle with a refusal; a second settlement is ignored."""
        self._settle(error)

    def _settle(self, outcome: Message | OutcryError) -> None:
        with self._lock:
            if self._done.is_set():
                return
            self._outcome = outcome
            self._done.set()
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def on_done(self, listener: Callable[[], None]) -> None:
        """Call a listener when it is settled: at once when it is, else on the thread that settles it."""
        with self._lock:
            if not self._done.is_set():
                self._listeners.append(listener)
                return
        listener()

    def wait(self, timeout_s: float) -> Message:
        """Wait for the answer.

        Args:
            timeout_s: Seconds.

        Raises:
            CallTimeoutError: It did not come in time.
            OutcryError: The refusal it was settled with.
        """
        if not self._done.wait(max(0.0, timeout_s)):
            raise CallTimeoutError(f"no answer within {timeout_s:g} s; ask the same again")
        outcome = self._outcome
        if isinstance(outcome, OutcryError):
            raise outcome
        assert outcome is not None
        return outcome
