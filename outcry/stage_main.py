"""What a stage's process does: read its spec, build, bind, serve until told to stop.

Not where a stage is imported or forked (``outcry.nursery``) nor where one is decided on (``outcry.supervisor``).
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

from bus.clock import sleep_s
from bus.errors import OutcryError
from bus.heartbeat import HeartbeatSender, Reporter
from bus.transport import Handler, Server, Transport
from bus.zmq_transport import ZmqTransport
from outcry.confine import confine_stage, read_confinement
from outcry.failure import encode_failure
from outcry.logs import configure
from outcry.rundir import read_run_file
from outcry.stages import ORCHESTRATOR, build, read_spec

if TYPE_CHECKING:
    from agents.orchestrator import Orchestrator

__all__ = ["StopFlag", "run_stage", "serve_stage"]

Prepare = Callable[[Transport], Handler]


class StopFlag:
    """Becomes true on SIGTERM and stays so."""

    def __init__(self) -> None:
        """Take over SIGTERM and ignore the terminal's Ctrl-C, which is the supervisor's."""
        self._set = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._set = True

    def is_set(self) -> bool:
        """Whether it is time to stop."""
        return self._set


class _LateServer:
    """A server that heartbeats can ask how busy it is before it is there."""

    def __init__(self) -> None:
        self.real: Server | None = None

    @property
    def busy_ns(self) -> int:
        return self.real.busy_ns if self.real is not None else 0

    def serve(self, should_stop: Callable[[], bool], poll_ms: int = 100) -> None:
        if self.real is not None:
            self.real.serve(should_stop, poll_ms)

    def close(self) -> None:
        if self.real is not None:
            self.real.close()


def _close(part: object) -> None:
    closing = getattr(part, "close", None)
    if callable(closing):
        closing()


def _between(part: Handler, stop: StopFlag) -> Callable[[], bool]:
    """Return what a server asks between two requests: it gives a stage that has work of its own the time for it."""
    idle = getattr(part, "idle", None)
    if not callable(idle):
        return stop.is_set

    def stopping() -> bool:
        idle()
        return stop.is_set()

    return stopping


def serve_stage(stage: str, directory: dict[str, str], prepare: Prepare) -> int:
    """Serve a handler until SIGTERM, with heartbeats.

    Args:
        stage: The stage's name.
        directory: Service name → endpoint.
        prepare: Builds the handler.

    Returns:
        The exit code.
    """
    log = configure(stage)
    stop = StopFlag()
    late = _LateServer()
    heartbeat = HeartbeatSender(directory["supervisor"], stage, late)
    heartbeat.start()
    transport = ZmqTransport()
    part: Handler | None = None
    try:
        part = prepare(transport)
        late.real = transport.server(directory[stage], part)
        heartbeat.state("ready")
        log.info("ready at %s", directory[stage])
        late.serve(_between(part, stop))
        heartbeat.state("stopping")
        log.info("stopped")
        return 0
    except OutcryError as error:
        log.error("%s", error)
        heartbeat.state("failed", encode_failure(error))
        return error.exit_code
    finally:
        late.real = None
        _close(part)
        heartbeat.stop()
        transport.close()


def _orchestrate(run_dir: Path, directory: dict[str, str]) -> int:
    log = configure(ORCHESTRATOR)
    stop = StopFlag()
    heartbeat = HeartbeatSender(directory["supervisor"], ORCHESTRATOR, None)
    heartbeat.start()
    reporter = Reporter(directory["supervisor"])
    transport = ZmqTransport()
    part: Orchestrator | None = None
    try:
        part = cast("Orchestrator", build(ORCHESTRATOR, read_spec(run_dir, ORCHESTRATOR), transport, directory))
        heartbeat.state("ready")
        log.info("ready")
        done = part.run(stop.is_set)
        part.close()
        part = None
        log.info("done after %d cycles%s", done.cycles, f": {done.error}" if done.error else "")
        reporter.send(done)
        heartbeat.state("stopping")
        while not stop.is_set():
            sleep_s(0.02)
        return 0
    except OutcryError as error:
        log.error("%s", error)
        heartbeat.state("failed", encode_failure(error))
        return error.exit_code
    finally:
        with contextlib.suppress(OutcryError):
            _close(part)
        heartbeat.stop()
        reporter.close()
        transport.close()


def _refused(stage: str, directory: dict[str, str], error: OutcryError) -> int:
    """Tell the supervisor why this stage does not even begin."""
    configure(stage).error("%s", error)
    heartbeat = HeartbeatSender(directory["supervisor"], stage, None)
    heartbeat.start()
    heartbeat.state("failed", encode_failure(error))
    heartbeat.stop()
    return error.exit_code


def run_stage(stage: str, run_dir: Path) -> int:
    """Run one stage in this process.

    Args:
        stage: Its name in ``outcry.stages.STAGES``.
        run_dir: The run's folder, with ``run.json`` and ``specs/STAGE.json``.

    Returns:
        The exit code.
    """
    directory = dict(read_run_file(run_dir).endpoints)
    try:
        sys.stderr.write(f"{confine_stage(stage, read_confinement(run_dir)).words()}\n")
    except OutcryError as error:
        return _refused(stage, directory, error)
    if stage == ORCHESTRATOR:
        return _orchestrate(run_dir, directory)

    def prepare(transport: Transport) -> Handler:
        return cast("Handler", build(stage, read_spec(run_dir, stage), transport, directory))

    return serve_stage(stage, directory, prepare)
