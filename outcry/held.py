"""A desk that several MCP servers share: started by the first that needs it, gone when the last has left.

Not a daemon: nothing runs while nobody is connected. Two locks in a folder carry it all, and the kernel drops both with
the processes that hold them: the desk holds ``desk.lock``, every server holds a share of ``users.lock``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from bus.clock import NS, monotonic_ns, sleep_s
from bus.errors import OutcryError, UsageError
from outcry.rundir import RunFile, is_alive, read_run_file, state_folder, write_atomically

__all__ = ["CURRENT", "HeldDesk", "Membership", "desk_folder", "join", "join_run"]

CURRENT = "current"
"""The file in a desk's folder that names the present run's folder."""
_TURN_S = 0.02
_LOOKED_AT_S = 0.2
"""How long whoever looks whether there is a desk may hold its lock: much longer than it does."""


class DeskFailedError(OutcryError):
    """A desk that did not start.

    Attributes:
        exit_code: Its own.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def desk_folder(key: str, environ: Mapping[str, str]) -> Path:
    """Return the folder of the desk with a key, made private to its user.

    Raises:
        UsageError: It cannot be made.
    """
    folder = state_folder(environ) / key
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made: {error.strerror}; set XDG_STATE_HOME to a folder that you can write to"
        ) from error
    return folder


class _Lock:
    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def take(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class HeldDesk:
    """The desk's side: one at a time in a folder, for as long as somebody is connected."""

    def __init__(self, folder: Path) -> None:
        """Look at the folder; nothing is locked yet."""
        self._folder = folder
        self._desk = _Lock(folder / "desk.lock")
        self._users = _Lock(folder / "users.lock")

    def begin(self, patience_s: float = _LOOKED_AT_S) -> bool:
        """Return whether this process is the desk now; False when another is.

        Args:
            patience_s: How long the lock may be held before that means a desk: a server that looks for one takes it.
        """
        deadline = monotonic_ns() + int(patience_s * NS)
        while not self._desk.take():
            if monotonic_ns() >= deadline:
                return False
            sleep_s(_TURN_S / 10)
        return True

    def announce(self, run_dir: Path) -> None:
        """Say where the run is."""
        write_atomically(self._folder / CURRENT, str(run_dir).encode())

    def deserted(self) -> bool:
        """Return whether nobody is connected. From then on nobody can connect: the desk must end."""
        return self._users.take()


class Membership:
    """A server's side: the desk stays while this is open.

    Attributes:
        content: What the run says about itself.
        run_dir: The run's folder.
        folder: The desk's folder; the run's for a run that a person started.
    """

    def __init__(self, folder: Path, run_dir: Path, content: RunFile, lock: _Lock | None) -> None:
        self.folder = folder
        self.run_dir = run_dir
        self.content = content
        self._lock = lock

    def close(self) -> None:
        """Leave; may be called twice."""
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def join_run(run_dir: Path) -> Membership:
    """Join a desk that a person started with ``outcry run``.

    Raises:
        UsageError: There is none, it has ended, or it has no sockets.
    """
    content = read_run_file(run_dir)
    if not is_alive(content):
        raise UsageError(
            f"the run in {run_dir} is {content.state} and not running; start one with `outcry run`, or leave --run-dir "
            "out to have a desk started"
        )
    if not content.endpoints.get("feed", "").startswith(("ipc://", "tcp://")):
        raise UsageError(f"the run in {run_dir} is in one process and has no sockets; run it without --in-process")
    return Membership(run_dir, run_dir, content, None)


def _ready(folder: Path) -> tuple[Path, RunFile] | None:
    with contextlib.suppress(OSError, UsageError):
        run_dir = Path((folder / CURRENT).read_text(encoding="utf-8"))
        content = read_run_file(run_dir)
        if content.state == "running" and is_alive(content):
            return run_dir, content
    return None


def _failed(folder: Path, code: int) -> DeskFailedError:
    log = folder / "desk.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    why = next((line for line in reversed(lines) if line.strip()), f"it ended with exit code {code}")
    return DeskFailedError(f"the desk did not start: {why.removeprefix('outcry: ')} (log: {log})", code or 1)


def join(folder: Path, command: Sequence[str], patience_s: float = 60.0) -> Membership:
    """Join the desk of a folder; start it when it is not there.

    Args:
        folder: The desk's folder.
        command: What starts a desk in it.
        patience_s: How long it may take to get ready.

    Raises:
        DeskFailedError: It did not start; the message says why.
    """
    users = _Lock(folder / "users.lock")
    users.share()
    probe = _Lock(folder / "desk.lock")
    child: subprocess.Popen[bytes] | None = None
    deadline = monotonic_ns() + int(patience_s * NS)
    try:
        while monotonic_ns() < deadline:
            if probe.take():
                probe.close()
                if child is not None and child.poll():
                    raise _failed(folder, child.returncode)
                if child is None or child.returncode == 0:  # it left the desk to another, which is gone too
                    child = _spawn(folder, command)
                probe = _Lock(folder / "desk.lock")
            elif (found := _ready(folder)) is not None:
                return Membership(folder, *found, users)
            sleep_s(_TURN_S)
    except BaseException:
        users.close()
        raise
    finally:
        probe.close()
    users.close()
    raise DeskFailedError(f"the desk in {folder} was not ready within {patience_s:g} s; read {folder / 'desk.log'}", 1)


def _spawn(folder: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a desk in a session of its own: a Ctrl-C at the first server is not meant for those who share it."""
    with (folder / "desk.log").open("wb") as log:
        child = subprocess.Popen(
            [*command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
    Thread(target=child.wait, daemon=True).start()  # it may outlive us; if not, it leaves no zombie
    return child
