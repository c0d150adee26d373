"""A client for programs that live on asyncio: many questions at once over one socket, none of them blocking the loop.

Not for the order path between stages, where one blocking question is faster (``bus.transport.Client``).
"""

from __future__ import annotations

import asyncio
import contextlib

import zmq

from bus._dispatch import open_answer
from bus._frames import ASK, GIVE_UP, ID_SIZE, pack_header, pack_id
from bus.clock import NS, monotonic_ns
from bus.codec import encode
from bus.errors import CallTimeoutError
from bus.ids import token_bytes
from bus.messages import Message

__all__ = ["AsyncClient"]

_POLLIN = int(zmq.POLLIN)
_NOBLOCK = int(zmq.NOBLOCK)
_HIGH_WATER = 1000
_RECONNECT_MS = 10
_RECONNECT_MAX_MS = 100
_KNOCK_S = 0.01
_BACK_OFF = 4


class _Token:
    """One of the askers that share the socket: a service keeps one open question for each."""

    __slots__ = ("count", "name")

    def __init__(self) -> None:
        self.name = token_bytes(8)
        self.count = 0


class AsyncClient:
    """A way to ask one service from the event loop it was made in."""

    def __init__(self, endpoint: str, retry_s: float = 1.0) -> None:
        """Connect; the service need not be up yet.

        Args:
            endpoint: The service's.
            retry_s: Seconds without an answer after which a question is sent again; it grows fourfold at most.
        """
        self._endpoint = endpoint
        self._retry_s = retry_s
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, _HIGH_WATER),
            (zmq.RCVHWM, _HIGH_WATER),
            (zmq.IMMEDIATE, 1),
            (zmq.RECONNECT_IVL, _RECONNECT_MS),
            (zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS),
            (zmq.IPV6, int(endpoint.startswith("tcp://["))),
        ):
            self._socket.setsockopt(option, value)
        self._socket.connect(endpoint)
        self._fd = int(self._socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._read)
        self._free: list[_Token] = []
        self._open: dict[bytes, asyncio.Future[bytes]] = {}
        self._closed = False

    async def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        """Ask and wait. As ``bus.transport.Client.call``, and any number of them at once.

        Raises:
            CallTimeoutError: No answer came, or the client was closed.
            RemoteError: The service answered with an ``ErrorReply``.
            SchemaError: The question or the answer is not a message of this schema.
        """
        message = encode(request)
        if self._closed:
            raise CallTimeoutError(f"the client of {self._endpoint} is closed; make another")
        token = self._free.pop() if self._free else _Token()
        token.count += 1
        wanted = pack_id(token.name, token.count)
        future = self._open[wanted] = self._loop.create_future()
        deadline_ns = monotonic_ns() + int(timeout_s * NS)
        timers: list[asyncio.TimerHandle] = []
        self._ask(token.name, token.count, message, deadline_ns, self._retry_s, future, timers)
        timers.append(self._loop.call_later(timeout_s, self._expire, future, type(request).__name__, timeout_s))
        try:
            answer = await future
        except BaseException:
            if not self._closed:
                with contextlib.suppress(zmq.ZMQError):
                    self._socket.send(pack_header(GIVE_UP, token.name, token.count, 0), _NOBLOCK)
            raise
        finally:
            del self._open[wanted]
            for timer in timers:
                timer.cancel()
            self._free.append(token)
        return open_answer(answer[ID_SIZE:])

    def close(self) -> None:
        """Give the socket back; who still waits is told. May be called twice, and when the loop has ended."""
        if self._closed:
            return
        self._closed = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        for future in self._open.values():
            if not future.done() and not self._loop.is_closed():
                future.set_exception(CallTimeoutError(f"the client of {self._endpoint} was closed while it waited"))
        self._socket.close()
        self._context.term()

    def _ask(
        self,
        name: bytes,
        count: int,
        message: bytes,
        deadline_ns: int,
        wait_s: float,
        future: asyncio.Future[bytes],
        timers: list[asyncio.TimerHandle],
    ) -> None:
        """Send, and again whenever the answer is late or the peer was not there."""
        left_ns = deadline_ns - monotonic_ns()
        if future.done() or left_ns <= 0 or self._closed:
            return
        try:
            self._socket.send(pack_header(ASK, name, count, left_ns // 1_000_000) + message, _NOBLOCK)
            again_s, next_s = wait_s, min(2 * wait_s, _BACK_OFF * self._retry_s)
        except zmq.Again:
            again_s, next_s = _KNOCK_S, wait_s
        timers.append(
            self._loop.call_later(again_s, self._ask, name, count, message, deadline_ns, next_s, future, timers)
        )
        # The socket's descriptor tells of changes only: what came while we sent must be taken now.
        self._read()

    def _read(self) -> None:
        while int(self._socket.getsockopt(zmq.EVENTS)) & _POLLIN:
            try:
                answer = self._socket.recv(_NOBLOCK)
            except zmq.Again:
                return
            future = self._open.get(answer[:ID_SIZE])
            if future is not None and not future.done():
                future.set_result(answer)

    def _expire(self, future: asyncio.Future[bytes], asked: str, timeout_s: float) -> None:
        if not future.done():
            future.set_exception(
                CallTimeoutError(
                    f"no answer from {self._endpoint} to {asked} within {timeout_s:g} s; whether it was done is not "
                    "known: see that the service runs (outcry status), then ask the same again"
                )
            )
