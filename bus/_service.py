"""ROUTER services and DEALER clients: questions with ids and deadlines, asked again when the peer comes back.

A call that timed out leaves its socket usable, a late answer is dropped, and the same request id is carried out once:
an answer given lately is given again. Not asynchronous: on the order path a blocking socket is three times faster.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import zmq

from bus._wire import HEADER, answer_bytes, unwrap
from bus.clock import NS, monotonic_ns
from bus.codec import encode
from bus.errors import BusError, CallTimeoutError
from bus.ids import token_bytes
from bus.messages import Message
from bus.transport import Handler

__all__ = ["ZmqClient", "ZmqServer"]

_MEMO = 64
_MS = NS // 1000


class ZmqServer:
    """A bound ROUTER socket and the handler behind it."""

    def __init__(self, socket: zmq.Socket[bytes], handler: Handler, endpoint: str) -> None:
        self._socket = socket
        self._handler = handler
        self._endpoint = endpoint
        self._memo: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self._began_ns = 0

    @property
    def busy_ns(self) -> int:
        """How long the present request has been worked on, 0 when idle."""
        began_ns = self._began_ns
        return monotonic_ns() - began_ns if began_ns else 0

    def serve(self, should_stop: Callable[[], bool], poll_ms: int = 100) -> None:
        """Answer requests until ``should_stop`` is true; it is asked at least every ``poll_ms``."""
        while not should_stop():
            if self._socket.poll(poll_ms):
                self._drain()

    def _drain(self) -> None:
        while True:
            arrived_ns = monotonic_ns()
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(frames) == 4 and len(frames[2]) == HEADER.size:
                self._one(frames[0], frames[1], frames[2], frames[3], arrived_ns)

    def _one(self, route: bytes, session: bytes, header: bytes, data: bytes, arrived_ns: int) -> None:
        request_id, wait_ms = HEADER.unpack(header)
        key = (session, request_id)
        answer = self._memo.get(key)
        if answer is None:
            if monotonic_ns() - arrived_ns > wait_ms * _MS:
                return
            self._began_ns = monotonic_ns()
            try:
                answer = answer_bytes(self._handler, data)
            finally:
                self._began_ns = 0
            self._memo[key] = answer
            if len(self._memo) > _MEMO:
                self._memo.popitem(last=False)
        try:
            self._socket.send_multipart((route, session, header, answer), zmq.NOBLOCK)
        except zmq.ZMQError:
            return  # the caller is gone; it asks again if it comes back

    def close(self) -> None:
        """Unbind."""
        self._socket.close(0)


class ZmqClient:
    """A DEALER socket that asks one service. Not for several threads at once."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, retry_s: float) -> None:
        self._context = context
        self._endpoint = endpoint
        self._retry_ms = max(1, int(retry_s * 1000))
        self._session = token_bytes(8)
        self._next_id = 0
        self._socket = self._connect()

    def _connect(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        socket.setsockopt(zmq.SNDHWM, 100)
        socket.connect(self._endpoint)
        return socket

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        """Ask and wait; see ``bus.transport.Client.call``."""
        self._next_id += 1
        request_id = self._next_id
        data = encode(request)
        deadline_ns = monotonic_ns() + int(timeout_s * NS)
        retry_ms = self._retry_ms
        self._send(request_id, data, deadline_ns)
        while True:
            left_ms = (deadline_ns - monotonic_ns()) // _MS
            if left_ms <= 0:
                raise CallTimeoutError(
                    f"{self._endpoint} gave no answer to {type(request).__name__} in {timeout_s:g} s; whether it was "
                    "done is not known: ask again (requests are idempotent) or look at the service's log"
                )
            if self._socket.poll(min(retry_ms, left_ms)):
                answer = self._take(request_id)
                if answer is not None:
                    return unwrap(answer)
            else:
                self._send(request_id, data, deadline_ns)
                retry_ms = min(retry_ms * 2, 2000)

    def _send(self, request_id: int, data: bytes, deadline_ns: int) -> None:
        wait_ms = max(0, (deadline_ns - monotonic_ns()) // _MS)
        try:
            self._socket.send_multipart((self._session, HEADER.pack(request_id, wait_ms), data), zmq.NOBLOCK)
        except zmq.Again:
            return  # not connected and the queue is full: the next retry asks again
        except zmq.ZMQError as error:
            raise BusError(f"cannot ask {self._endpoint}: {error}; close this client and make another") from error

    def _take(self, request_id: int) -> bytes | None:
        frames = self._socket.recv_multipart(zmq.NOBLOCK)
        if len(frames) != 3 or frames[0] != self._session or len(frames[1]) != HEADER.size:
            return None
        return frames[2] if HEADER.unpack(frames[1])[0] == request_id else None

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close(0)
