"""How the supervisor hears that stages live, how far the run is and that it is done.

Not a way to ask: one direction, PUSH to PULL, and losing a beat is no loss. A stage that is busy still beats, from its
own thread, and says for how long it has been busy.
"""

from __future__ import annotations

import logging
import os
import weakref
from threading import Event, Lock, Thread
from typing import Literal, TypeAlias

import zmq

from bus._bind import bind
from bus.clock import NS, monotonic_ns
from bus.codec import decode, encode
from bus.errors import SchemaError
from bus.messages import Heartbeat, Message
from bus.transport import Server

__all__ = ["HeartbeatSender", "Liveness", "Reporter", "Sink", "StageState"]

StageState: TypeAlias = Literal["starting", "ready", "stopping", "failed"]
"""What a stage says of itself."""

_LOG = logging.getLogger("bus")
_HIGH_WATER = 1000
_SEND_MS = 1000
_LINGER_MS = 500


class Reporter:
    """Sends to the supervisor and never blocks for ever. Not for several threads at once."""

    def __init__(self, endpoint: str) -> None:
        """Connect; the supervisor need not be up yet."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        self._socket.setsockopt(zmq.SNDTIMEO, _SEND_MS)
        # The one place that lingers: the last word (RunDone, "stopping") is sent just before a process ends.
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self._socket.connect(endpoint)
        self._finish = weakref.finalize(self, _finish, self._socket, context)

    def send(self, message: Message) -> bool:
        """Send, and return whether it was taken within a second; false when the supervisor has long been gone."""
        try:
            self._socket.send(encode(message))
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Send what is left, for half a second at most; also done when the interpreter ends."""
        self._finish()


def _finish(sock: zmq.Socket[bytes], context: zmq.Context[zmq.Socket[bytes]]) -> None:
    sock.close()
    context.term()


class HeartbeatSender:
    """Beats from a daemon thread with a socket of its own, so that a busy or hung handler does not silence it."""

    def __init__(self, endpoint: str, stage: str, server: Server | None, interval_s: float = 0.5) -> None:
        """Prepare; nothing is sent before ``start``.

        Args:
            endpoint: The supervisor's.
            stage: The stage's name.
            server: Whose ``busy_ns`` is told; None for a stage that serves nothing.
            interval_s: Seconds between beats.
        """
        self._endpoint = endpoint
        self._stage = stage
        self._server = server
        self._interval_s = interval_s
        self._said: tuple[StageState, str] = ("starting", "")
        self._wake = Event()
        self._stopping = Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start beating; after a fork, never before it."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._beat, name=f"heartbeat-{self._stage}", daemon=True)
                self._thread.start()

    def state(self, state: StageState, detail: str = "") -> None:
        """Say this from now on, beginning at once."""
        self._said = (state, detail)
        self._wake.set()

    def stop(self) -> None:
        """Say ``stopping``, unless the stage said ``failed``, and end the thread."""
        if self._said[0] != "failed":
            self._said = ("stopping", "")
        self._stopping.set()
        self._wake.set()
        with self._lock:
            if self._thread is not None:
                self._thread.join()
                self._thread = None

    def _beat(self) -> None:
        reporter = Reporter(self._endpoint)
        seq = 0
        last = False
        try:
            while not last:
                last = self._stopping.is_set()
                self._wake.clear()
                seq += 1
                state, detail = self._said
                busy_ns = self._server.busy_ns if self._server is not None else 0
                reporter.send(Heartbeat(self._stage, os.getpid(), seq, state, busy_ns, detail))
                if not last:
                    self._wake.wait(self._interval_s)
        finally:
            reporter.close()


class Sink:
    """Where the supervisor listens."""

    def __init__(self, endpoint: str) -> None:
        """Bind.

        Raises:
            BindError: The endpoint is taken or not allowed.
        """
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        try:
            self.endpoint = bind(self._socket, endpoint)
        except BaseException:
            self.close()
            raise

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, or None when none came in time; what is no message is logged and left out."""
        deadline_ns = monotonic_ns() + int(timeout_s * NS)
        while True:
            left_ns = max(0, deadline_ns - monotonic_ns())
            if not self._socket.poll(-(-left_ns // 1_000_000), zmq.POLLIN):
                return None
            try:
                return decode(self._socket.recv(zmq.NOBLOCK))
            except SchemaError as error:
                _LOG.warning("the supervisor was sent what it cannot read: %s", error)

    def close(self) -> None:
        """Unbind; may be called twice."""
        self._socket.close()
        self._context.term()


class Liveness:
    """Which stages were heard of lately. Told the time, so that a test or a simulation can tell it another."""

    def __init__(self, limit_s: float, busy_limit_s: float) -> None:
        """Start with no stage known.

        Args:
            limit_s: Seconds of silence after which a stage is lost.
            busy_limit_s: Seconds on one request after which a stage is lost although it beats.
        """
        self._limit_ns = int(limit_s * NS)
        self._busy_limit_ns = int(busy_limit_s * NS)
        self._beats: dict[str, tuple[Heartbeat | None, int]] = {}
        self._pids: dict[str, int] = {}
        self._gone: dict[str, set[int]] = {}

    def expect(self, stage: str, now_ns: int) -> None:
        """Count from now: a stage was started (again) and has the limit's time to be heard of."""
        self._beats[stage] = (None, now_ns)

    def forget(self, stage: str) -> None:
        """Stop counting for a stage that was ended on purpose."""
        self._beats.pop(stage, None)
        self._pids.pop(stage, None)
        self._gone.pop(stage, None)

    def beat(self, hb: Heartbeat, now_ns: int) -> None:
        """Take a beat in; one of a process that was replaced is left out.

        Args:
            hb: The beat.
            now_ns: A monotonic clock, the same for every call.
        """
        gone = self._gone.setdefault(hb.stage, set())
        if hb.pid in gone:
            return
        former = self._pids.get(hb.stage, hb.pid)
        if former != hb.pid:
            gone.add(former)
        self._pids[hb.stage] = hb.pid
        self._beats[hb.stage] = (hb, now_ns)

    def lost(self, now_ns: int) -> list[str]:
        """Return the stages that are silent, stuck or failed, sorted; one that said ``stopping`` may be silent."""
        return sorted(stage for stage, (beat, at_ns) in self._beats.items() if self._is_lost(beat, now_ns - at_ns))

    def _is_lost(self, beat: Heartbeat | None, silent_ns: int) -> bool:
        if beat is None:
            return silent_ns > self._limit_ns
        if beat.state in {"stopping", "failed"}:
            return beat.state == "failed"
        stuck = beat.busy_ns > 0 and beat.busy_ns + silent_ns > self._busy_limit_ns
        return stuck or silent_ns > self._limit_ns
