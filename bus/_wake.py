"""How another thread wakes a service that waits on its socket: a pipe beside it. Not a queue of requests."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from threading import Lock

from bus.deferred import Deferred

__all__ = ["Wake"]


class Wake:
    """A pipe that becomes readable when a promised answer has come."""

    def __init__(self) -> None:
        """Open the pipe."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._come: deque[tuple[bytes, int, Deferred]] = deque()
        self._lock = Lock()
        self._open = True

    @property
    def fd(self) -> int:
        """What to poll."""
        return self._read

    def ring(self, token: bytes, number: int, promise: Deferred) -> None:
        """Say that the answer to a client's question has come; from any thread, also after ``close``."""
        with self._lock:
            if self._open:
                self._come.append((token, number, promise))
                with contextlib.suppress(BlockingIOError):  # full: it is awake already
                    os.write(self._write, b"\0")

    def take(self) -> list[tuple[bytes, int, Deferred]]:
        """Return what has come since the last time; never waits."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        with self._lock:
            come = list(self._come)
            self._come.clear()
        return come

    def close(self) -> None:
        """Close the pipe; who rings later is not heard."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._read)
                os.close(self._write)
