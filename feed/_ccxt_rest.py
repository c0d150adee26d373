"""Questions to an exchange, put from any thread, answered in an event loop of their own, with errors that are ours.

Not a cache and not a retry: ccxt's rate limiter makes questions wait their turn, and each is sent once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bus.errors import NotOfferedError, OutcryError, SourceBusyError, SourceError
from feed._ccxt_sdk import CalmExchange, ccxt

__all__ = ["Desk", "error_of"]

_T = TypeVar("_T")
_JOIN_S = 15.0
_LONGEST = 200


class Desk:
    """One exchange and the thread of its event loop, which starts with the first question."""

    def __init__(self, exchange: CalmExchange) -> None:
        """Ask this exchange."""
        self._exchange = exchange
        self._lock = threading.Lock()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def ask(self, question: Callable[[CalmExchange], Awaitable[_T]], what: str) -> _T:
        """Put a question and wait for its answer; the markets are loaded before the first.

        Args:
            question: What to do with the exchange, in its event loop.
            what: For people, what is asked for.

        Raises:
            SourceBusyError: The exchange asked to be left alone.
            NotOfferedError: It has no such thing.
            SourceError: Everything else that is no answer.
        """
        with self._lock:
            if self._closed:
                raise SourceError(f"the source ccxt:{self._exchange.id} is closed; open it again")
            future = asyncio.run_coroutine_threadsafe(self._answer(question), self._running())
        try:
            return future.result()
        except (concurrent.futures.CancelledError, asyncio.CancelledError) as error:
            raise SourceError(f"the source was closed while it asked for {what}; open it again") from error
        except Exception as error:
            raise error_of(error, self._exchange, what) from error

    def close(self) -> None:
        """End the questions, the connections and the thread."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        if threading.current_thread() is not thread:
            thread.join(_JOIN_S)

    async def _answer(self, question: Callable[[CalmExchange], Awaitable[_T]]) -> _T:
        await self._exchange.load_markets()
        return await question(self._exchange)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name="ccxt-rest", daemon=True)
            self._thread.start()
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(self._exchange.close())
            loop.run_until_complete(loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            loop.close()


def error_of(error: BaseException, exchange: CalmExchange, what: str) -> OutcryError:
    """Return our error of what went wrong between ccxt and an exchange."""
    name = exchange.id
    said = " ".join(str(error).removeprefix(name).split())
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    match error:
        case OutcryError():
            return error
        case ccxt.RateLimitExceeded() | ccxt.DDoSProtection():
            return SourceBusyError(f"{name} asked to be left alone for a while: {said}")
        case ccxt.BadSymbol():
            return NotOfferedError(f"{name} has no such symbol: {said}")
        case ccxt.NotSupported():
            return NotOfferedError(f"{name} does not offer {what} ({said})")
        case ccxt.AuthenticationError():
            return NotOfferedError(f"{name} wants a key for {what}, and this source has none: {said}")
        case ccxt.RequestTimeout():
            why = f"did not answer within {exchange.timeout / 1000:g} s"
        case ccxt.NetworkError():
            why = f"cannot be reached or is down: {said}"
        case ccxt.BaseError():
            why = f"refused {what}: {said}"
        case _:
            why = f"answered nonsense about {what} ({type(error).__name__} in ccxt)"
    return SourceError(f"{name} {why}; check the network and the exchange's status, then ask again")
