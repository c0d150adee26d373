"""A service on a ROUTER socket: one request at a time, each question of a client executed once.

Not a thread pool: handlers are single-threaded. What waits, what was given up and what has been answered is kept by
``bus._questions``. A handler that promises its answer (``bus.deferred``) does not hold up the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import zmq

from bus._bind import bind
from bus._dispatch import answer_bytes, settled_bytes
from bus._questions import Question, Questions
from bus._wake import Wake
from bus.clock import monotonic_ns
from bus.deferred import Deferred
from bus.transport import Handler

__all__ = ["ZmqServer"]

_LOG = logging.getLogger("bus")
_QUEUE_LIMIT = 1000
_AT_ONCE_NS = 10_000
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
# As plain integers: arithmetic on pyzmq's flag enums costs a microsecond each time.
_POLLIN = int(zmq.POLLIN)
_NOBLOCK = int(zmq.NOBLOCK)
_MORE_NOBLOCK = int(zmq.SNDMORE) | int(zmq.NOBLOCK)


class ZmqServer:
    """A bound service. See ``bus.transport.Server``.

    Attributes:
        endpoint: Where it is bound, with the port that was taken.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, handler: Handler) -> None:
        """Bind.

        Raises:
            BindError: The endpoint is taken or not allowed.
        """
        self._handler = handler
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUE_LIMIT)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUE_LIMIT)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        self._questions = Questions()
        self._wake: Wake | None = None
        self._busy_since = 0
        try:
            self.endpoint = bind(self._socket, endpoint)
        except BaseException:
            self._socket.close()
            raise

    def serve(self, should_stop: Callable[[], bool], poll_ms: int = 100) -> None:
        """Answer requests until ``should_stop`` is true; it is asked at least every ``poll_ms``."""
        self._socket.setsockopt(zmq.RCVTIMEO, poll_ms)
        questions = self._questions
        while not should_stop():
            before_ns = monotonic_ns()
            if questions.promised and not questions:
                self._wait(poll_ms)
                if not questions:
                    continue
            if not questions and not self._receive(0):
                continue
            now_ns = monotonic_ns()
            # All that has arrived is read before the next piece of work: what was given up in the meantime is known.
            # Where the first had to be waited for, nothing else had arrived.
            if now_ns - before_ns < _AT_ONCE_NS:
                self._drain()
                now_ns = monotonic_ns()
            self._work(now_ns)

    @property
    def busy_ns(self) -> int:
        """How long the present request has been worked on, 0 when idle; may be read from another thread."""
        since = self._busy_since
        return monotonic_ns() - since if since else 0

    def close(self) -> None:
        """Unbind."""
        if self._wake is not None:
            self._wake.close()
        self._socket.close()

    def _wait(self, poll_ms: int) -> None:
        """Wait for the next question or for a promised answer, and send what has come."""
        wake = self._wake
        assert wake is not None
        poller = zmq.Poller()
        poller.register(self._socket, _POLLIN)
        poller.register(wake.fd, _POLLIN)
        poller.poll(poll_ms)
        self._fulfil(wake)
        self._drain()

    def _fulfil(self, wake: Wake) -> None:
        for token, number, promise in wake.take():
            question = self._questions.fulfil(token, number)
            if question is not None:
                self._send(question.identity, self._questions.answered(question, settled_bytes(promise)))

    def _promise(self, question: Question, promise: Deferred) -> None:
        if self._wake is None:
            self._wake = Wake()
        wake = self._wake
        self._questions.promise(question)
        promise.on_done(lambda: wake.ring(question.token, question.number, promise))

    def _drain(self) -> None:
        for _ in range(_QUEUE_LIMIT):
            if not int(self._socket.getsockopt(zmq.EVENTS)) & _POLLIN:
                return
            self._receive(_NOBLOCK)

    def _receive(self, flags: int) -> bool:
        try:
            identity = self._socket.recv(flags)
        except zmq.Again:
            return False
        frame = self._socket.recv(_NOBLOCK)  # a ROUTER always has the peer's first frame behind the identity
        try:
            if self._socket.getsockopt(zmq.RCVMORE):
                self._socket.recv_multipart(_NOBLOCK)
                raise ValueError("more than one frame")
            answer = self._questions.take(identity, frame, monotonic_ns())
        except ValueError as error:
            _LOG.debug("dropped %d bytes that are no request: %s", len(frame), error)
            return True
        if answer is not None:
            self._send(identity, answer)
        return True

    def _work(self, now_ns: int) -> None:
        question = self._questions.next(now_ns)
        if question is None:
            return
        self._busy_since = now_ns
        try:
            message = answer_bytes(self._handler, question.message)
        finally:
            self._busy_since = 0
        if isinstance(message, Deferred):
            self._promise(question, message)
        else:
            self._send(question.identity, self._questions.answered(question, message))
        if self._wake is not None and self._questions.promised:
            self._fulfil(self._wake)

    def _send(self, identity: bytes, answer: bytes) -> None:
        try:
            self._socket.send(identity, _MORE_NOBLOCK)
            self._socket.send(answer, _NOBLOCK)
        except zmq.Again:
            _LOG.debug("dropped an answer to a client that does not read; it will ask again")
