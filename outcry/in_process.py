"""The same stages, built by the same builders, in one process: for a quick look, a debugger or a test.

Not a second way to trade: every call goes through the same bytes, so the trace is the same to the byte.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from bus.clock import monotonic_ns
from bus.endpoints import local_directory
from bus.errors import OutcryError
from bus.local_transport import LocalTransport
from bus.messages import GetRiskState, Progress, RiskState, RunDone
from outcry.failure import Failure, code_of
from outcry.rundir import RunFile, RunState, write_run_file
from outcry.stages import ORCHESTRATOR, SERVICES, build, import_talib, kind_of
from outcry.supervisor import Outcome

__all__ = ["run_in_process"]


class _Interrupts:
    """Counts Ctrl-C: the first stops the run between two instants, the second at once."""

    def __init__(self) -> None:
        self.count = 0

    def noted(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt

    def any(self) -> bool:
        return self.count > 0


def _day(
    specs: Mapping[str, msgspec.Struct], on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]
) -> tuple[RunDone, RiskState | None]:
    more = tuple(name for name in specs if kind_of(name) != name)
    directory = local_directory(more)
    transport = LocalTransport()
    parts: list[Any] = []
    try:
        for stage in (*SERVICES, *more):
            part = build(stage, specs[stage], transport, directory)
            parts.append(part)
            transport.server(directory[stage], part)
        orchestrator = build(ORCHESTRATOR, specs[ORCHESTRATOR], transport, directory)
        parts.append(orchestrator)
        orchestrator.on_progress(on_progress)
        done: RunDone = orchestrator.run(should_stop)
        answer = transport.client(directory["risk"]).call(GetRiskState())
        return done, answer if isinstance(answer, RiskState) else None
    finally:
        for part in reversed(parts):
            closing = getattr(part, "close", None)
            if callable(closing):
                closing()
        transport.close()


def run_in_process(
    run_dir: Path,
    content: RunFile,
    specs: Mapping[str, msgspec.Struct],
    on_progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Run a desk in this process until the day ends or a person interrupts.

    Args:
        run_dir: The run's folder.
        content: What ``run.json`` says at the start.
        specs: The spec of each stage.
        on_progress: Told how far the run is.

    Returns:
        How it ended; a failure is in it, not raised.
    """
    import_talib()
    interrupts = _Interrupts()
    stages = dict.fromkeys(specs, os.getpid())
    first_ns = 0

    def progress(told: Progress) -> None:
        nonlocal first_ns
        if told.cycles and not first_ns:
            first_ns = monotonic_ns()
        if on_progress is not None:
            on_progress(told)

    def write(state: RunState, message: str = "") -> None:
        write_run_file(run_dir, msgspec.structs.replace(content, state=state, stages=stages, message=message))

    done: RunDone | None = None
    risk: RiskState | None = None
    failure: Failure | None = None
    before = {number: signal.signal(number, interrupts.noted) for number in (signal.SIGINT, signal.SIGTERM)}
    write("running")
    try:
        done, risk = _day(specs, progress, interrupts.any)
    except OutcryError as error:
        failure = Failure(code_of(error), str(error), error.exit_code, again=False)
    except KeyboardInterrupt:
        done = RunDone(0, "", "interrupted")
    except Exception as error:
        write("failed", f"{type(error).__name__}: {error}")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failure is not None:
        write("failed", failure.message)
        return Outcome(failure.exit_code, done, failure, stages, 0, first_ns, risk)
    interrupted = done is not None and bool(done.error)
    write("stopped" if interrupted else "done")
    code = 130 if interrupted else 3 if risk is not None and risk.killed else 0
    return Outcome(code, done, None, stages, 0, first_ns, risk)
