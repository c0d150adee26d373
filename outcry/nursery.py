"""The fork server: imports once, forks a stage on a line of JSON, and lets nothing outlive the supervisor.

The stage whose imports take longest has a process of its own from the start, which imports them beside the others and
waits to be that stage. Single-threaded and without sockets, so that a fork is safe. Not a supervisor: it does not
decide what is restarted. It guards the supervisor (when its pipe closes, every child is killed and the socket folder
removed), and the kernel guards it (each child is killed when the nursery dies).

Commands on standard input, one JSON object a line: ``{"run": {"run_dir", "sockets"}}`` first, then
``{"spawn": stage}``. Reports on standard output: ``spawned``, ``exited``, ``refused``. Secrets come another way
(``outcry.handover``): this process never has them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib
import json
import os
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn, cast

from bus.clock import NS, monotonic_ns
from outcry.handover import HANDED, KEYS_OF, take
from outcry.logs import is_secret

__all__ = ["KEYS_OF", "PRELOAD", "Nursery", "die_with_parent", "main", "scrub"]

PRELOAD = (
    "msgspec",
    "zmq",
    "outcry.stage_main",
    "outcry.stages",
    "bus.zmq_transport",
    "bus.heartbeat",
    "+orchestrator",
    "numpy",
    "@feed",
    "@execution",
    "@risk",
    "@sentiment",
    "@strategy",
    "@analyst",
    "@trader",
)
"""What is imported while nothing is asked for, light things first; ``@`` names a stage, ``+`` one that is begun."""

SLOW = (
    "langsmith.client",
    "langchain_core.messages",
    "langgraph_sdk.client",
    "langgraph.pregel",
    "langgraph.graph",
    "@orchestrator",
)
"""What the stage that is begun imports: a second and more."""

_PR_SET_PDEATHSIG = 1
_STOP_DEADLINE_NS = 3 * NS
_STDIN, _STDOUT, _STDERR = 0, 1, 2


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; leave at once when it already has.

    Args:
        parent: The parent's process id, taken before the fork.

    Raises:
        OSError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os._exit(1)


def scrub(keep: dict[str, str]) -> None:
    """Take every secret out of this process's environment, then set those in ``keep``."""
    for name in [name for name in os.environ if is_secret(name)]:
        del os.environ[name]
    os.environ.update(keep)


class Begun(NamedTuple):
    """A process that imports what a stage needs and waits to be it; a line with the run's folder says that it is."""

    pid: int
    pipe: int


class Nursery:
    """Forks stages and reports their deaths."""

    def __init__(
        self,
        run_stage: Callable[[str, Path], int],
        import_stage: Callable[[str], None],
        preload: tuple[str, ...] = PRELOAD,
        slow: tuple[str, ...] = SLOW,
        quiet_s: float = 5.0,
    ) -> None:
        """Prepare; nothing is forked yet.

        Args:
            run_stage: What a child runs with its stage's name and the run's folder; its result is the exit code.
            import_stage: Imports what a stage needs, before its first fork.
            preload: What to import while idle.
            slow: What the stage imports that is begun.
            quiet_s: How long nothing is asked for before a successor is begun of a stage that was.
        """
        self._import_stage = import_stage
        self._run_dir = Path()
        self._sockets: Path | None = None
        self._run_stage = run_stage
        self._children: dict[int, str] = {}
        self._hands = cast("dict[str, int]", json.loads(os.environ.pop(HANDED, "{}")))
        self._stopping = False
        self._buffer = b""
        self._queue = [*preload]
        self._slow, self._quiet_s = slow, quiet_s
        self._wanted: list[str] = []
        self._begun: dict[str, Begun] = {}
        self._out = os.dup(_STDOUT)  # reports only: whatever an import prints goes to standard error
        os.dup2(_STDERR, _STDOUT)
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)

    def serve(self) -> None:
        """Work until standard input closes or SIGTERM comes, then end every child and clean up."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._noted)
        signal.signal(signal.SIGTERM, self._told_to_stop)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        while any(name.startswith("+") for name in self._queue):
            self._preload(self._queue.pop(0))
        try:
            while not self._stopping:
                ready, _, _ = select.select([_STDIN, self._wake_read], [], [], self._patience())
                if self._wake_read in ready:
                    self._drain_wake()
                self._reap()
                if _STDIN in ready:
                    self._read_commands()
                elif self._queue and not ready:
                    self._preload(self._queue.pop(0))
                elif not ready:
                    self._begin(self._wanted.pop(0))
        finally:
            self._end()

    def _patience(self) -> float | None:
        """Return how many seconds to wait for a command before something is done without one; None for ever."""
        if self._queue:
            return 0
        return self._quiet_s if self._wanted else None

    # --- signals --------------------------------------------------------------------------------------------------

    def _noted(self, _number: int, _frame: FrameType | None) -> None:
        return

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass

    # --- commands -------------------------------------------------------------------------------------------------

    def _read_commands(self) -> None:
        data = os.read(_STDIN, 65536)
        if not data:
            self._stopping = True
            return
        self._buffer += data
        while b"\n" in self._buffer and not self._stopping:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self._obey(cast("dict[str, Any]", json.loads(line)))

    def _obey(self, command: dict[str, Any]) -> None:
        if "run" in command:
            run = cast("dict[str, Any]", command["run"])
            self._run_dir = Path(run["run_dir"])
            self._sockets = Path(run["sockets"]) if run["sockets"] else None
            self._log_to("nursery", _STDOUT, _STDERR)
        elif "spawn" in command:
            self._spawn(str(command["spawn"]))

    def _preload(self, name: str) -> None:
        if name.startswith("+"):
            self._begin(name[1:])
            return
        try:
            self._import(name)
        except ImportError:  # told when the stage that needs it is asked for
            traceback.print_exc()
        if not self._queue:
            gc.freeze()

    def _import(self, name: str) -> None:
        if name.startswith("@"):
            self._import_stage(name[1:])
        else:
            importlib.import_module(name)

    def _spawn(self, stage: str) -> None:
        if stage in self._children.values():
            self._report({"refused": stage, "reason": "it is running"})
            return
        pid = self._take_up(stage)
        if pid == 0:
            try:
                self._import_stage(stage)
            except ImportError as error:
                why = f"it cannot be imported: {error}; install openoutcry again"
                self._report({"refused": stage, "reason": why})
                return
            self._reap()
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._child(parent, lambda: self._be(stage))
        self._children[pid] = stage
        self._report({"spawned": stage, "pid": pid})

    def _begin(self, stage: str) -> None:
        """Start the process that will be a stage, so that it imports while this one does other things."""
        try:
            reader, writer = os.pipe()
        except OSError:  # nothing is lost: the stage's imports are then done here, when it is asked for
            traceback.print_exc()
            return
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # as above
            traceback.print_exc()
            os.close(reader)
            os.close(writer)
            return
        if pid == 0:
            os.close(writer)
            self._child(parent, lambda: self._wait_to_be(stage, reader))
        os.close(reader)
        self._begun[stage] = Begun(pid, writer)

    def _take_up(self, stage: str) -> int:
        """Let the process that was begun be the stage, and return its id; 0 where there is none."""
        begun = self._begun.pop(stage, None)
        if begun is None:
            return 0
        try:
            os.write(begun.pipe, f"{self._run_dir}\n".encode())
        except OSError:  # it ended while it waited; its own log says why
            return 0
        finally:
            os.close(begun.pipe)
        self._wanted.append(stage)
        return begun.pid

    def _child(self, parent: int, work: Callable[[], int]) -> NoReturn:
        code = 1
        try:
            die_with_parent(parent)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            for fd in (self._out, self._wake_read, self._wake_write, *(begun.pipe for begun in self._begun.values())):
                os.close(fd)
            code = work()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _be(self, stage: str) -> int:
        self._redirect(stage)
        gc.enable()
        scrub(take(self._hands, stage))
        return self._run_stage(stage, self._run_dir)

    def _wait_to_be(self, stage: str, pipe: int) -> int:
        for name in [name for name in self._hands if name != stage]:
            os.close(self._hands.pop(name))
        for name in self._slow:
            self._import(name)
        gc.freeze()
        with os.fdopen(pipe, encoding="utf-8") as told:
            run_dir = told.readline().removesuffix("\n")
        if not run_dir:
            return 0
        self._run_dir = Path(run_dir)
        return self._be(stage)

    def _redirect(self, stage: str) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, _STDIN)
        os.close(null)
        self._log_to(stage, _STDOUT, _STDERR)

    def _log_to(self, name: str, *targets: int) -> None:
        log = os.open(self._run_dir / "logs" / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target in targets:
            os.dup2(log, target)
        os.close(log)

    # --- reports --------------------------------------------------------------------------------------------------

    def _report(self, report: dict[str, Any]) -> None:
        try:
            os.write(self._out, json.dumps(report).encode() + b"\n")
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EBADF):
                raise
            self._stopping = True

    def _reap(self) -> None:
        while self._children or self._begun:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            stage = self._children.pop(pid, "")
            if stage:
                self._report({"exited": stage, "pid": pid, "code": os.waitstatus_to_exitcode(status)})
            else:
                self._forget(pid)

    def _forget(self, pid: int) -> None:
        """A process ended that was to be a stage: the stage's imports are then done here."""
        for stage in [stage for stage, begun in self._begun.items() if begun.pid == pid]:
            os.close(self._begun.pop(stage).pipe)

    def _end(self) -> None:
        for stage, begun in self._begun.items():
            self._children[begun.pid] = stage
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = monotonic_ns() + _STOP_DEADLINE_NS
        while self._children and monotonic_ns() < deadline:
            self._reap()
            if self._children:
                select.select([self._wake_read], [], [], 0.1)
                self._drain_wake()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)


def main() -> int:
    """Serve as the nursery of one run."""

    def run_stage(stage: str, run_dir: Path) -> int:
        from outcry.stage_main import run_stage as run

        return run(stage, run_dir)

    def import_stage(stage: str) -> None:
        from outcry.stages import import_stage as load

        load(stage)

    from outcry.confine import close_to_others

    close_to_others()
    gc.disable()  # a third of a second of collecting what imports keep anyway; on again in each child
    Nursery(run_stage, import_stage).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
