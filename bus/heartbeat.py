"""Who is alive, and for how long its present request has taken.

A thread of its own sends the heartbeat, so a model that thinks for twenty seconds is busy, not dead; a process that was
stopped or is gone is silent. Not a health check of what a stage answers.
"""

from __future__ import annotations

import os
import threading
from typing import Literal, TypeAlias

import zmq

from bus.clock import NS, monotonic_ns
from bus.codec import decode, encode
from bus.errors import BindError, SchemaError
from bus.messages import Heartbeat, Message
from bus.transport import Server
from bus.zmq_transport import check_endpoint

__all__ = ["HeartbeatSender", "Liveness", "Reporter", "Sink", "StageState"]

StageState: TypeAlias = Literal["starting", "ready", "stopping", "failed"]


class Reporter:
    """Sends messages to the supervisor; never blocks longer than a moment, never for ever."""

    def __init__(self, endpoint: str) -> None:
        """Connect.

        Args:
            endpoint: The supervisor's.
        """
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.SNDHWM, 1000)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.connect(endpoint)

    def send(self, message: Message) -> bool:
        """Send; return whether there was room."""
        try:
            self._socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Send what is queued (half a second at most) and close."""
        self._socket.close()
        self._context.term()


class Sink:
    """What the supervisor listens on: heartbeats, progress and the end of a run."""

    def __init__(self, endpoint: str) -> None:
        """Bind.

        Raises:
            BindError: The endpoint is taken.
        """
        check_endpoint(endpoint)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._socket.close(0)
            self._context.term()
            raise BindError(f"{endpoint} cannot be bound: {error}; choose a free port or folder") from error

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, None when nothing came in time or what came was no message."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        try:
            return decode(self._socket.recv())
        except SchemaError:
            return None

    def close(self) -> None:
        """Unbind."""
        self._socket.close(0)
        self._context.term()


class HeartbeatSender:
    """Tells the supervisor that a stage is alive, from a thread with a socket of its own."""

    def __init__(self, endpoint: str, stage: str, server: Server | None, interval_s: float = 0.5) -> None:
        """Prepare; nothing is sent before ``start``."""
        self._endpoint = endpoint
        self._stage = stage
        self._server = server
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._done = threading.Event()
        self._state: tuple[StageState, str] = ("starting", "")
        self._seq = 0
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{stage}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def state(self, state: StageState, detail: str = "") -> None:
        """Change what is said, and say it at once."""
        self._state = (state, detail)
        self._wake.set()

    def stop(self) -> None:
        """Send a last heartbeat and end the thread."""
        self._done.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        reporter = Reporter(self._endpoint)
        try:
            while not self._done.is_set():
                reporter.send(self._beat())
                self._wake.wait(self._interval_s)
                self._wake.clear()
            reporter.send(self._beat())
        finally:
            reporter.close()

    def _beat(self) -> Heartbeat:
        state, detail = self._state
        self._seq += 1
        busy_ns = self._server.busy_ns if self._server is not None else 0
        return Heartbeat(self._stage, os.getpid(), self._seq, state, busy_ns, detail)


class Liveness:
    """Judges from heartbeats which stages are lost: silent for too long, or busy with one request for too long."""

    def __init__(self, limit_s: float, busy_limit_s: float) -> None:
        """Set the limits in seconds."""
        self._limit_ns = int(limit_s * NS)
        self._busy_limit_ns = int(busy_limit_s * NS)
        self._last: dict[str, tuple[int, int]] = {}

    def expect(self, stage: str, now_ns: int | None = None) -> None:
        """Start counting for a stage that has just been started."""
        self._last[stage] = (monotonic_ns() if now_ns is None else now_ns, 0)

    def forget(self, stage: str) -> None:
        """Stop counting for a stage."""
        self._last.pop(stage, None)

    def beat(self, heartbeat: Heartbeat, now_ns: int) -> None:
        """Take a heartbeat."""
        self._last[heartbeat.stage] = (now_ns, heartbeat.busy_ns)

    def lost(self, now_ns: int) -> list[str]:
        """Return the stages that are silent or busy beyond the limits, sorted."""
        return sorted(
            stage
            for stage, (seen_ns, busy_ns) in self._last.items()
            if now_ns - seen_ns > self._limit_ns or busy_ns > self._busy_limit_ns
        )
