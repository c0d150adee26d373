"""Listens to Alpaca's trade updates on a thread of its own, and looks by REST for what it may have missed.

Not a place that decides: what it hears and finds goes into a queue as it came. The SDK's own loop is not used: it waits
for answers without a time-out, tells nobody that a connection is back, and asks for nothing that was missed meanwhile.
A stream that is silent though orders work is not believed (alpacahq/alpaca-py issue 740): REST is asked, and if that
knew more, the connection is made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec

from execution.alpaca._questions import Look, Questions
from execution.alpaca._records import UpdateRecord
from execution.alpaca._sdk import InvalidStatusCode, TradingStream, WebSocketException, reconnect_delay
from execution.keys import Keys

__all__ = ["Garbled", "Heard", "Listener", "Looked", "Pace"]

_LARGEST_FRAME = 8 * 1024 * 1024
_CLOSE_S = 1.0
# At level DEBUG websockets writes every frame that is sent to its logger, the one with the keys too: it gets a logger
# of nobody's.
_NOWHERE = logging.Logger("execution.alpaca.websocket", logging.CRITICAL)
_NOWHERE.addHandler(logging.NullHandler())


class Pace(NamedTuple):
    """How patient the listener is, in seconds.

    Attributes:
        silence_s: Without an update while orders work, after which REST is asked.
        missing_s: Between two looks for executions that Alpaca counted and did not tell.
        backoff_s: Before the first new connection; doubled each time, with jitter.
        backoff_most_s: At most.
        ping_s: Between two pings; one that is not answered for as long ends the connection.
        never_s: After which an order that no answer came for, and that Alpaca does not know, never will arrive.
    """

    silence_s: float = 20.0
    missing_s: float = 1.0
    backoff_s: float = 0.5
    backoff_most_s: float = 30.0
    ping_s: float = 10.0
    never_s: float = 300.0


class Looked(NamedTuple):
    """What REST knew; ``silent`` when it was asked because the stream said nothing."""

    look: Look
    silent: bool


class Garbled(NamedTuple):
    """A frame that could not be read."""

    why: str


Heard: TypeAlias = UpdateRecord | Looked | Garbled


class _Envelope(msgspec.Struct):
    stream: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Listening(msgspec.Struct):
    streams: list[str] = []


@dataclass(eq=False)
class _LineError(Exception):
    """A connection that could not be opened or was lost, without keys."""

    why: str


class _Line(TradingStream):
    """One connection through the SDK: it connects, authenticates and asks to listen; reading is ours."""

    async def open(self, timeout_s: float) -> None:
        error: _LineError
        try:
            async with asyncio.timeout(timeout_s):
                await self._start_ws()
                envelope = msgspec.json.decode(await self._frame(), type=_Envelope)
                streams = msgspec.json.decode(envelope.data, type=_Listening).streams
                if envelope.stream == "listening" and "trade_updates" in streams:
                    return
            error = _LineError("alpaca does not let this account listen to trade updates")
        except TimeoutError:
            error = _LineError(f"no answer within {timeout_s:g} s")
        except InvalidStatusCode as refused:
            error = _LineError(f"alpaca did not open the stream (HTTP {refused.status_code})")
        except (WebSocketException, OSError) as lost:
            error = _LineError(f"the stream cannot be reached ({type(lost).__name__})")
        except (ValueError, TypeError, LookupError, AttributeError, msgspec.MsgspecError):
            # The SDK raises ValueError when the keys are refused, and others over an answer it cannot read.
            error = _LineError("alpaca refused the keys or did not speak its protocol")
        raise error

    async def _frame(self) -> bytes | str:
        socket: Any = self._ws
        return cast("bytes | str", await socket.recv())

    async def frame(self) -> bytes | str:
        try:
            return await self._frame()
        except (WebSocketException, OSError, AttributeError) as lost:
            kind = type(lost).__name__
        raise _LineError(f"the stream broke ({kind})")

    async def hang_up(self) -> None:
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            await self.close()


async def _unused(update: object) -> None:
    """Take an update from the SDK's loop, which never runs."""
    del update


class Listener:
    """The thread. ``heard`` is what came, in order."""

    def __init__(
        self, keys: Keys, url: str, ask: Callable[[], Questions], pace: Pace, *, sandbox: bool, timeout_s: float
    ) -> None:
        """Start listening.

        Args:
            keys: To authenticate with.
            url: Another address than the vendor's; empty for its own.
            ask: Makes the questions that this thread asks; they are its own.
            pace: How patient to be.
            sandbox: The paper service instead of real money.
            timeout_s: Seconds for a connection to be made.
        """
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.connected = threading.Event()
        self._keys = keys
        self._url = url
        self._questions = ask()
        self._pace = pace
        self._sandbox = sandbox
        self._timeout_s = timeout_s
        self._live: tuple[str, ...] = ()
        self._missing = False
        self._look_wanted = False
        self._distrusted = False
        self._failures = 0
        self._stopping = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="alpaca-updates", daemon=True)
        self._thread.start()
        self._started.wait()

    # --- for the broker's thread ------------------------------------------------------------------------------------

    def watch(self, live: tuple[str, ...], *, missing: bool) -> None:
        """Say which orders are to be looked for, and whether executions are missing."""
        self._live = live
        if missing and not self._missing:
            self._missing = True
            self._nudge()
        self._missing = missing

    def look(self) -> None:
        """Have REST asked soon."""
        self._look_wanted = True
        self._nudge()

    def distrust(self) -> None:
        """Have the connection made anew: it did not tell what it should have."""
        self._distrusted = True
        self._nudge()

    def close(self) -> None:
        """End the thread; it may be called twice."""
        self._stopping = True
        self._nudge()
        self._thread.join(self._timeout_s + 2 * _CLOSE_S + 1)
        self._questions.hang_up()

    def _nudge(self) -> None:
        # The loop is closed when the thread has ended, which is what was wanted.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._started.set()
        while not self._stopping:
            line = self._line()
            try:
                await line.open(self._timeout_s)
                await self._look(silent=False)
                self.connected.set()
                await self._listen(line)
            except Exception:
                # Whatever it was, listening goes on: a thread that ended would be a silence that nobody notices.
                self.connected.clear()
            finally:
                await line.hang_up()
            if self._stopping:
                return
            self._failures += 1
            # While nothing can be heard, what happens is asked for.
            await self._look(silent=False)
            await self._rest(reconnect_delay(self._failures, self._pace.backoff_s, self._pace.backoff_most_s))

    def _line(self) -> _Line:
        line = _Line(
            self._keys.key_id,
            self._keys.secret,
            paper=self._sandbox,
            raw_data=True,
            url_override=cast("Any", self._url or None),
            websocket_params={
                "open_timeout": self._timeout_s,
                "close_timeout": _CLOSE_S,
                "ping_interval": self._pace.ping_s,
                "ping_timeout": self._pace.ping_s,
                "max_queue": 1024,
                "max_size": _LARGEST_FRAME,
                "logger": _NOWHERE,
            },
        )
        line.subscribe_trade_updates(_unused)
        return line

    async def _listen(self, line: _Line) -> None:
        """Hear frames until the connection is lost, distrusted or no longer wanted."""
        frame = asyncio.ensure_future(line.frame())
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            while not self._stopping:
                patience_s = self._pace.missing_s if self._missing else self._pace.silence_s
                done, _ = await asyncio.wait({frame, wake}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                if wake in done:
                    self._wake.clear()
                    wake = asyncio.ensure_future(self._wake.wait())
                    if self._distrusted:
                        self._distrusted = False
                        raise _LineError("the stream was silent about what had happened")
                if frame in done or not done:
                    # Opened is not yet good: one that is dropped at once each time must not be tried at once each time.
                    self._failures = 0
                if frame in done:
                    self._take(frame.result())
                    frame = asyncio.ensure_future(line.frame())
                if self._look_wanted or self._missing or (not done and self._live):
                    await self._look(silent=not done and not self._missing)
        finally:
            for task in (frame, wake):
                task.cancel()
            await asyncio.gather(frame, wake, return_exceptions=True)

    def _take(self, frame: bytes | str) -> None:
        try:
            envelope = msgspec.json.decode(frame, type=_Envelope)
            if envelope.stream == "trade_updates":
                self.heard.put(msgspec.json.decode(envelope.data, type=UpdateRecord))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError, ValueError) as error:
            self.heard.put(Garbled(type(error).__name__))
            self._look_wanted = True

    async def _look(self, *, silent: bool) -> None:
        self._look_wanted = False
        live = self._live
        if live:
            with contextlib.suppress(Exception):  # the next look, or execution's own question, finds it
                self.heard.put(Looked(await asyncio.to_thread(self._questions.look, live), silent))

    async def _rest(self, seconds: float) -> None:
        """Wait, unless this is to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._stopping:
                    await self._wake.wait()
                    self._wake.clear()
