"""The fork server: imports once, forks a stage on a line of JSON, and lets nothing outlive the supervisor.

Single-threaded and without sockets, so that a fork is safe. Not a supervisor: it does not decide what is restarted. It
guards the supervisor (when its pipe closes, every child is killed and the socket folder removed), and the kernel
guards it (each child is killed when the nursery dies).

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
from typing import Any, cast

from bus.clock import NS, monotonic_ns
from outcry.handover import HANDED, KEYS_OF, take
from outcry.logs import is_secret

__all__ = ["KEYS_OF", "PRELOAD", "Nursery", "die_with_parent", "main", "scrub"]

PRELOAD = (
    "msgspec",
    "zmq",
    "numpy",
    "outcry.stage_main",
    "outcry.stages",
    "bus.zmq_transport",
    "bus.heartbeat",
    "@feed",
    "@execution",
    "@risk",
    "@sentiment",
    "@strategy",
    "@analyst",
    "@trader",
    "langsmith.client",
    "langchain_core.messages",
    "langgraph_sdk.client",
    "langgraph.pregel",
    "langgraph.graph",
    "@orchestrator",
)
"""What is imported while nothing is asked for, light things first; ``@`` names a stage."""

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


class Nursery:
    """Forks stages and reports their deaths."""

    def __init__(
        self,
        run_stage: Callable[[str, Path], int],
        import_stage: Callable[[str], None],
        preload: tuple[str, ...] = PRELOAD,
    ) -> None:
        """Prepare; nothing is forked yet.

        Args:
            run_stage: What a child runs with its stage's name and the run's folder; its result is the exit code.
            import_stage: Imports what a stage needs, before its first fork.
            preload: What to import while idle.
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
        try:
            while not self._stopping:
                ready, _, _ = select.select([_STDIN, self._wake_read], [], [], 0 if self._queue else None)
                if self._wake_read in ready:
                    self._drain_wake()
                self._reap()
                if _STDIN in ready:
                    self._read_commands()
                elif self._queue and not ready:
                    self._preload(self._queue.pop(0))
        finally:
            self._end()

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
        try:
            if name.startswith("@"):
                self._import_stage(name[1:])
            else:
                importlib.import_module(name)
        except ImportError:  # told when the stage that needs it is asked for
            traceback.print_exc()
        if not self._queue:
            gc.freeze()

    def _spawn(self, stage: str) -> None:
        if stage in self._children.values():
            self._report({"refused": stage, "reason": "it is running"})
            return
        try:
            self._import_stage(stage)
        except ImportError as error:
            self._report({"refused": stage, "reason": f"it cannot be imported: {error}; install openoutcry again"})
            return
        self._reap()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._child(stage, parent)
        self._children[pid] = stage
        self._report({"spawned": stage, "pid": pid})

    def _child(self, stage: str, parent: int) -> None:
        code = 1
        try:
            die_with_parent(parent)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            for fd in (self._out, self._wake_read, self._wake_write):
                os.close(fd)
            self._redirect(stage)
            gc.enable()
            scrub(take(self._hands, stage))
            code = self._run_stage(stage, self._run_dir)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

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
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            stage = self._children.pop(pid, "")
            self._report({"exited": stage, "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _end(self) -> None:
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
