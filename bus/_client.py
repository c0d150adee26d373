"""A client on a DEALER socket: asks, waits, and asks again with the same request id when the peer came back.

Not asynchronous and not for several threads: one question at a time, which is what makes a late answer recognisable.
"""

from __future__ import annotations

import contextlib

import zmq

from bus._dispatch import open_answer
from bus._frames import ASK, GIVE_UP, ID_SIZE, pack_header, pack_id
from bus.clock import NS, monotonic_ns
from bus.codec import encode
from bus.errors import CallTimeoutError
from bus.ids import token_bytes
from bus.messages import Message

__all__ = ["ZmqClient"]

_MS = 1_000_000
_NOBLOCK = int(zmq.NOBLOCK)
_BACK_OFF = 4
_HIGH_WATER = 1000
_RECONNECT_MS = 10
_RECONNECT_MAX_MS = 100


class ZmqClient:
    """A way to ask one service. See ``bus.transport.Client``."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, retry_s: float) -> None:
        """Connect; the service need not be up yet.

        Args:
            context: The transport's context.
            endpoint: The service's.
            retry_s: Seconds without an answer after which the question is sent again; it grows fourfold at most.
        """
        self._endpoint = endpoint
        self._retry_ns = int(retry_s * NS)
        self._token = token_bytes(8)
        self._count = 0
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        self._socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        # Nothing is queued for a peer that is not there, so no stale questions wait for it when it comes back.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        self._socket.setsockopt(zmq.RCVTIMEO, max(1, self._retry_ns // _MS))
        if endpoint.startswith("tcp://["):
            self._socket.setsockopt(zmq.IPV6, 1)
        self._socket.connect(endpoint)

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        """Ask and wait. See ``bus.transport.Client.call``.

        Raises:
            CallTimeoutError: No answer came; the client can be used again at once.
            RemoteError: The service answered with an ``ErrorReply``.
            SchemaError: The question or the answer is not a message of this schema.
        """
        message = encode(request)
        self._count += 1
        wanted = pack_id(self._token, self._count)
        timeout_ns = int(timeout_s * NS)
        deadline_ns = monotonic_ns() + timeout_ns
        asked = self._ask(message, timeout_ns // _MS)
        if asked and timeout_ns >= self._retry_ns:
            answer = self._take()
            if answer is not None and answer.startswith(wanted):
                return open_answer(answer[ID_SIZE:])
        answer = self._persist(message, wanted, deadline_ns, asked=asked)
        if answer is not None:
            return open_answer(answer)
        with contextlib.suppress(zmq.Again):
            self._socket.send(pack_header(GIVE_UP, self._token, self._count, 0), _NOBLOCK)
        raise CallTimeoutError(
            f"no answer from {self._endpoint} to {type(request).__name__} within {timeout_s:g} s; whether it was done "
            "is not known: see that the service runs (outcry status), then ask the same again"
        )

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _ask(self, message: bytes, left_ms: int) -> bool:
        try:
            self._socket.send(pack_header(ASK, self._token, self._count, left_ms) + message, _NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _take(self, flags: int = 0) -> bytes | None:
        try:
            return self._socket.recv(flags)
        except zmq.Again:
            return None

    def _persist(self, message: bytes, wanted: bytes, deadline_ns: int, *, asked: bool) -> bytes | None:
        """Wait for the answer to the deadline, asking again whenever it is late or the peer was not there."""
        wait_ns = self._retry_ns
        ask_at_ns = monotonic_ns() + wait_ns if asked else 0
        while (left_ns := deadline_ns - (now := monotonic_ns())) > 0:
            if now >= ask_at_ns and self._ask(message, left_ns // _MS):
                ask_at_ns = now + wait_ns
                wait_ns = min(2 * wait_ns, _BACK_OFF * self._retry_ns)
            late = now >= ask_at_ns
            until_ns = left_ns if late else min(left_ns, ask_at_ns - now)
            events = zmq.POLLIN | zmq.POLLOUT if late else zmq.POLLIN
            self._socket.poll(until_ns // _MS + 1, events)
            while (answer := self._take(_NOBLOCK)) is not None:
                if answer.startswith(wanted):
                    return answer[ID_SIZE:]
        return None
