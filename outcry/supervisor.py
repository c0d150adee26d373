"""Starts a desk's stages, watches them, starts them again, and leaves nothing behind.

Not on the order path: a supervisor that is gone stops the desk but decides nothing. Not the fork server either
(``outcry.nursery``), which outlives it for as long as it takes to clean up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from bus.clock import NS, monotonic_ns, sleep_s
from bus.errors import BusError
from bus.heartbeat import Liveness, Sink
from bus.messages import GetRiskState, Heartbeat, Message, Progress, RiskState, RunDone
from bus.zmq_transport import ZmqTransport
from outcry.failure import Failure, decode_failure
from outcry.link import NurseryLink
from outcry.outcome import Outcome, Patience
from outcry.rundir import RunFile, RunState, parent_of, process_start, write_run_file
from outcry.stages import ORCHESTRATOR, STAGES

__all__ = ["Outcome", "Patience", "Supervisor"]

_LOG = logging.getLogger("outcry.supervisor")
_TURN_S = 0.05
_PAUSED_NS = NS
_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.25, 5.0
_NURSERY_RESTARTS = 3
_NEVER_READY_RESTARTS = 2


@dataclass
class _Child:
    name: str
    pid: int = 0
    start: int = 0
    alive: bool = False
    killed: bool = False
    ready: bool = False
    was_ready: bool = False
    restarts: int = 0
    begun_ns: int = 0
    due_ns: int | None = None
    failure: Failure | None = None


class Supervisor:
    """One desk of processes."""

    def __init__(
        self,
        run_dir: Path,
        content: RunFile,
        sockets: Path | None,
        link: NurseryLink,
        *,
        secrets: Mapping[str, str],
        patience: Patience | None = None,
        stages: Sequence[str] = tuple(STAGES),
        on_progress: Callable[[Progress], None] | None = None,
        new_link: Callable[[], NurseryLink] = NurseryLink,
    ) -> None:
        """Take over a started nursery.

        Args:
            run_dir: The run's folder, with the specs in it.
            content: What ``run.json`` says at the start; its endpoints are the directory.
            sockets: The private socket folder, removed at the end; None for tcp.
            link: The nursery.
            secrets: Environment variables for the stages that may have them (``outcry.nursery.KEYS_OF``).
            patience: Deadlines and budgets.
            stages: Which stages, in the order to start them.
            on_progress: Told how far the run is.
            new_link: Starts a nursery when one was killed.

        Raises:
            BindError: The supervisor's endpoint is taken.
        """
        self._run_dir = run_dir
        self._content = content
        self._sockets = sockets
        self._link = link
        self._link_start = process_start(link.pid)
        self._new_link = new_link
        self._secrets = secrets
        self._patience = patience or Patience()
        self._children = {name: _Child(name) for name in stages}
        self._on_progress = on_progress
        self._liveness = Liveness(self._patience.heartbeat_s, self._patience.busy_s)
        self._interrupts = 0
        self._stopping = False
        self._done: RunDone | None = None
        self._failure: Failure | None = None
        self._first_ns = 0
        self._nursery_restarts = 0
        self._turn_ns = 0
        self._written: RunFile | None = None
        self._sink = Sink(content.endpoints["supervisor"])

    # --- the run --------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Start everything, watch until the day ends, something fails for good or a person interrupts, and stop."""
        before = {number: signal.signal(number, self._interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
        risk: RiskState | None = None
        try:
            self._write("starting")
            self._link.begin(self._run_dir, self._sockets, self._secrets)
            for child in self._children.values():
                self._spawn(child)
            while not (self._done or self._failure or self._interrupts):
                self._turn()
            if self._done is not None:
                risk = self._ask_gate()
            self._stop()
        finally:
            self._clean_up()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._outcome(risk)

    def _outcome(self, risk: RiskState | None) -> Outcome:
        code = 0
        state: RunState = "done"
        if self._failure is not None:
            code, state = self._failure.exit_code, "failed"
        elif self._interrupts and (self._done is None or self._done.error):
            code, state = 130, "stopped"
        elif risk is not None and risk.killed:
            code = 3
        self._write(state)
        pids = {child.name: child.pid for child in self._children.values()}
        return Outcome(code, self._done, self._failure, pids, self._restarts, self._first_ns, risk)

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1

    def _turn(self) -> None:
        now = monotonic_ns()
        if self._turn_ns and now - self._turn_ns > _PAUSED_NS:  # this process was stopped or starved: not their fault
            self._liveness = Liveness(self._patience.heartbeat_s, self._patience.busy_s)
            for child in self._children.values():
                child.begun_ns += now - self._turn_ns
        self._turn_ns = now
        for report in self._link.reports():
            self._take_report(report)
        if self._link.dead:
            self._nursery_died()
        message = self._sink.receive(_TURN_S)
        while message is not None:
            self._take(message)
            message = self._sink.receive(0)
        if not self._stopping and self._failure is None:
            self._watch(monotonic_ns())
            ready = all(child.ready for child in self._children.values())
            self._write("running" if ready or self._written_state == "running" else "starting")

    # --- stages ---------------------------------------------------------------------------------------------------

    def _spawn(self, child: _Child) -> None:
        child.due_ns = None
        child.ready = False
        child.failure = None
        child.begun_ns = monotonic_ns()
        self._link.spawn(child.name)

    def _take_report(self, report: Mapping[str, Any]) -> None:
        if "spawned" in report:
            child = self._children[report["spawned"]]
            child.pid, child.alive, child.killed = int(report["pid"]), True, False
            child.start = process_start(child.pid)
            self._liveness.expect(child.name, monotonic_ns())
        elif "exited" in report:
            child = self._children[report["exited"]]
            if child.pid == report["pid"]:
                self._ended(child, int(report["code"]))
        elif "refused" in report:
            child = self._children[report["refused"]]
            if not child.alive:
                self._fail(Failure("stage_refused", f"{child.name} was not started: {report['reason']}", 1, False))

    def _ended(self, child: _Child, code: int) -> None:
        child.alive = child.ready = False
        if self._stopping:
            return
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._lost(child, f"{child.name} (process {child.pid}) ended with {why}")

    def _lost(self, child: _Child, why: str) -> None:
        budget = self._patience.restarts if child.was_ready else min(self._patience.restarts, _NEVER_READY_RESTARTS)
        if child.restarts >= budget:
            last = f" ({child.failure.message})" if child.failure else ""
            self._fail(
                Failure(
                    "stage_lost",
                    f"{why}{last}, after {child.restarts} restarts (supervisor.restarts = {self._patience.restarts}, "
                    f"at most {_NEVER_READY_RESTARTS} for a stage that never got ready); "
                    f"read {self._run_dir / 'logs' / (child.name + '.log')}",
                    1,
                    again=False,
                )
            )
            return
        delay_s = min(_BACKOFF_FIRST_S * 2 ** (child.restarts - 1), _BACKOFF_MOST_S) if child.restarts else 0.0
        child.restarts += 1
        _LOG.warning("%s; starting it again in %g s (restart %d)", why, delay_s, child.restarts)
        child.due_ns = monotonic_ns() + int(delay_s * NS)

    def _watch(self, now: int) -> None:
        late = int(self._patience.start_s * NS)
        lost = set(self._liveness.lost(now))
        for child in self._children.values():
            if child.due_ns is not None and now >= child.due_ns:
                self._spawn(child)
            elif not child.alive or child.killed:
                continue
            elif child.name in lost or (not child.ready and now - child.begun_ns > late):
                what = "sends no heartbeat or is stuck in one request" if child.name in lost else "does not get ready"
                _LOG.warning("%s (process %d) %s; it is killed", child.name, child.pid, what)
                child.killed = True
                self._signal(child, signal.SIGKILL)

    def _nursery_died(self) -> None:
        if self._stopping:
            return
        pids = [child.pid for child in self._children.values() if child.alive]
        self._link.kill()
        self._await_gone(pids)
        if self._nursery_restarts >= _NURSERY_RESTARTS:
            self._fail(Failure("nursery_lost", "the fork server died again and again; read logs/nursery.log", 1, False))
            return
        self._nursery_restarts += 1
        _LOG.warning("the fork server died and its stages with it; starting all again")
        self._link = self._new_link()
        self._link_start = process_start(self._link.pid)
        self._write(self._written_state or "starting")  # before it has stages: who takes the run up waits for it
        self._link.begin(self._run_dir, self._sockets, self._secrets)
        for child in self._children.values():
            child.alive = False
            self._spawn(child)

    def _await_gone(self, pids: Sequence[int]) -> None:
        deadline = monotonic_ns() + 2 * NS
        while any(process_start(pid) for pid in pids) and monotonic_ns() < deadline:
            sleep_s(0.005)

    # --- messages -------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        match message:
            case Heartbeat():
                self._take_heartbeat(message)
            case Progress():
                if message.cycles and not self._first_ns:
                    self._first_ns = monotonic_ns()
                if self._on_progress is not None:
                    self._on_progress(message)
            case RunDone() if message.error in ("", "interrupted"):
                if self._stopping or not message.error:
                    self._done = message
            case RunDone():
                self._fail(Failure("run_failed", message.error, 1, again=False))
            case _:
                pass

    def _take_heartbeat(self, heartbeat: Heartbeat) -> None:
        child = self._children.get(heartbeat.stage)
        if child is None or heartbeat.state == "stopping":
            return
        if child.pid and heartbeat.pid != child.pid:
            return
        if heartbeat.state == "failed":
            child.failure = decode_failure(heartbeat.detail)
            may_pass = child.failure.again or (child.failure.code == "bind" and child.was_ready)
            if not may_pass and not self._stopping:
                self._fail(child.failure)
            return
        if not child.alive:
            return
        self._liveness.beat(heartbeat, monotonic_ns())
        if heartbeat.state == "ready" and not child.ready:
            child.ready = child.was_ready = True
            _LOG.info("%s (process %d) is ready", child.name, heartbeat.pid)

    def _fail(self, failure: Failure) -> None:
        if self._failure is None:
            self._failure = failure
            _LOG.info("giving up: %s", failure.message)

    def _ask_gate(self) -> RiskState | None:
        endpoint = self._content.endpoints.get("risk")
        if endpoint is None or "risk" not in self._children:
            return None
        transport = ZmqTransport()
        try:
            answer = transport.client(endpoint).call(GetRiskState(), timeout_s=5.0)
        except BusError as error:
            _LOG.warning("the gate did not tell its state: %s", error)
            return None
        finally:
            transport.close()
        return answer if isinstance(answer, RiskState) else None

    # --- the end --------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._stopping = True
        self._write("stopping")
        interrupts = self._interrupts
        half_ns = int(self._patience.stop_s * NS / 2)
        first = [child for child in self._children.values() if child.name == ORCHESTRATOR]
        for group in (first, [*reversed(self._children.values())]):
            for child in group:
                self._signal(child, signal.SIGTERM)
            deadline = monotonic_ns() + half_ns
            while any(self._lives(child) for child in group) and monotonic_ns() < deadline:
                if self._link.dead or self._interrupts > max(1, interrupts):
                    break
                self._turn()
        for child in self._children.values():
            if self._lives(child):
                _LOG.warning("%s (process %d) did not stop in time; it is killed", child.name, child.pid)

    def _lives(self, child: _Child) -> bool:
        """Whether a child runs, also while the nursery imports and cannot say so."""
        return child.alive and parent_of(child.pid) == self._link.pid

    def _signal(self, child: _Child, number: int) -> None:
        if self._lives(child):  # the nursery has not reaped it, or it would not be its parent: the id is still its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def _clean_up(self) -> None:
        self._link.kill()  # and the kernel kills every stage with it
        self._sink.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._await_gone([child.pid for child in self._children.values()])

    # --- run.json -------------------------------------------------------------------------------------------------

    @property
    def _written_state(self) -> RunState | None:
        return self._written.state if self._written is not None else None

    @property
    def _restarts(self) -> int:
        own = sum(child.restarts for child in self._children.values()) + self._nursery_restarts
        return self._content.restarts + own

    def _write(self, state: RunState) -> None:
        content = msgspec.structs.replace(
            self._content,
            state=state,
            nursery=self._link.pid,
            stages={child.name: child.pid for child in self._children.values() if child.pid},
            starts={child.name: child.start for child in self._children.values() if child.pid}
            | {"nursery": self._link_start},
            restarts=self._restarts,
            message=self._failure.message if self._failure else "",
        )
        if content != self._written:
            write_run_file(self._run_dir, content)
            self._written = content
