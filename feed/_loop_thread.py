"""A thread with an event loop of its own, on which one coroutine works until it is told to stop. Not a pool."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine

__all__ = ["LoopThread"]

_JOIN_S = 15.0


class LoopThread:
    """Runs a coroutine that ends when it is canceled."""

    def __init__(
        self, name: str, work: Callable[[], Coroutine[None, None, None]], stopping: Callable[[], None] | None = None
    ) -> None:
        """Plan it; ``start`` runs it.

        Args:
            name: The thread's.
            work: What it does.
            stopping: Called on the thread, once, before the work is canceled.
        """
        self._work = work
        self._stopping = stopping
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start; returns when the work has begun."""
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Stop; returns when the thread has ended (at once when the work itself calls this)."""
        if self._thread.is_alive() and self._loop is not None and self._task is not None:
            # A loop that has ended meanwhile refuses.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop, self._task)
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(self._begin())
            except asyncio.CancelledError:
                return
            finally:
                self._ready.set()

    async def _begin(self) -> None:
        self._task = asyncio.current_task()
        self._ready.set()
        await self._work()

    def _stop(self, task: asyncio.Task[None]) -> None:
        # Once only: a second one would interrupt the closing of the sockets.
        if not self._stopped:
            self._stopped = True
            if self._stopping is not None:
                self._stopping()
            task.cancel()
