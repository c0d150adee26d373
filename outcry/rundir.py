"""The folder of a run and its ``run.json``: what a person or another command needs to find a live desk.

Not the record of what happened in the run: that is the event log and the journals beside it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from bus.clock import iso, wall_ns
from bus.errors import ConfigError, UsageError
from bus.ids import digest, token_hex

__all__ = [
    "state_folder",
    "RunDir",
    "RunFile",
    "RunLock",
    "RunState",
    "is_alive",
    "live_run",
    "make_socket_folder",
    "parent_of",
    "process_start",
    "read_run_file",
    "specs_digests",
    "write_atomically",
    "write_run_file",
]

RunState: TypeAlias = Literal["starting", "running", "stopping", "stopped", "done", "failed"]

_HELD_BY = ("run.json", "trace.sqlite", "journal.sqlite", "gate.sqlite", "summary.json")
_MAX_SOCKET_PATH = 100
_LONGEST_NAME = len("/orchestrator.sock")


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``run.json``.

    Attributes:
        run_id: The derived id of the run.
        day: The id of the day.
        kind: Whether that day is recorded or synthetic.
        mode: ``replay`` on a day.
        model: The model's name.
        state: How far the run is.
        supervisor: The supervisor's process id.
        supervisor_start: Its start in kernel ticks, so that a reused process id is not taken for it.
        nursery: The fork server's process id; 0 in one process.
        endpoints: Service name → endpoint.
        stages: Stage name → process id.
        restarts: How many times a stage was started again.
        message: Why it failed, for people.
        started: When, UTC.
        starts: Stage name, or ``nursery``, → that process's start in kernel ticks, as ``supervisor_start``.
        specs: Stage name → the digest of its spec, so that a run is never taken up with others; in the order in which
            the stages are started.
        continued: How many times the run was taken up again after its supervisor had ended.
        told: Whether the summary and the report of the whole run are written.
    """

    run_id: str
    day: str
    kind: str
    mode: str
    model: str
    state: RunState
    supervisor: int
    supervisor_start: int
    nursery: int = 0
    endpoints: dict[str, str] = {}
    stages: dict[str, int] = {}
    restarts: int = 0
    message: str = ""
    started: str = ""
    starts: dict[str, int] = {}
    specs: dict[str, str] = {}
    continued: int = 0
    told: bool = False


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


def write_run_file(run_dir: Path, content: RunFile) -> None:
    """Write ``run.json`` atomically."""
    write_atomically(run_dir / "run.json", msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def read_run_file(run_dir: Path) -> RunFile:
    """Return what ``run.json`` says.

    Raises:
        UsageError: There is none, or it cannot be read.
    """
    path = run_dir / "run.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunFile)
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no run in {run_dir}: it holds no run.json; name a run's folder with --run-dir, "
            "or start one with `outcry run`"
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}; name another run with --run-dir") from error


def specs_digests(run_dir: Path, stages: Iterable[str]) -> dict[str, str]:
    """Return stage → the digest of its spec, as it is on disk."""
    return {stage: digest((run_dir / "specs" / f"{stage}.json").read_bytes()) for stage in stages}


class RunLock:
    """Whose run a folder is as long as a process lives: the kernel takes it back, however the process ends."""

    def __init__(self, run_dir: Path) -> None:
        """Take it; the folder itself is locked, so that no file is left.

        Raises:
            UsageError: Another process has it.
            OSError: The folder cannot be opened.
        """
        self._fd = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise UsageError(
                f"another `outcry run` is at work in {run_dir}; wait until it has ended (`outcry status --run-dir "
                f"{run_dir}` tells how far it is), or name another folder"
            ) from error

    def close(self) -> None:
        """Give it back; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _live_stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the state on; none when the process is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()
    except OSError:
        return []
    return [] if fields[0] in {"Z", "X"} else fields


def process_start(pid: int) -> int:
    """Return when a process started, in kernel ticks since boot; 0 when there is no such live process."""
    fields = _live_stat(pid)
    return int(fields[19]) if fields else 0


def parent_of(pid: int) -> int:
    """Return the parent of a live process; 0 when there is no such live process."""
    fields = _live_stat(pid)
    return int(fields[1]) if fields else 0


def is_alive(content: RunFile) -> bool:
    """Whether the supervisor that wrote this is still running."""
    return 0 < content.supervisor_start == process_start(content.supervisor)


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return where this user's desks for tools are kept."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "state")
    return Path(state) / "openoutcry" / "desks"


def live_run(runs: Path, desks: Path | None = None) -> Path:
    """Return the newest run that is alive, else the newest there is.

    Args:
        runs: Where runs are kept.
        desks: Where desks for tools are kept, each with runs of its own.

    Raises:
        UsageError: There is none.
    """
    found: list[tuple[bool, str, Path]] = []
    for path in (*runs.glob("*/run.json"), *(desks.glob("*/runs/*/run.json") if desks is not None else ())):
        try:
            content = read_run_file(path.parent)
        except UsageError:
            continue
        found.append((is_alive(content), content.started, path.parent))
    if not found:
        raise UsageError(f"there is no run under {runs}; start one with `outcry run`, or name one with --run-dir DIR")
    return max(found)[2]


class RunDir:
    """A run's folder in the making: refused when it holds a run, removed again when nothing came of it."""

    def __init__(self, given: Path | None, runs: Path) -> None:
        """Claim the folder.

        Args:
            given: The folder that the person named; None makes one under ``runs`` with the run's id in its name.
            runs: Where runs are kept.

        Raises:
            UsageError: The folder holds a run or cannot be made.
        """
        self._named = given is not None
        self._runs = runs.absolute()
        self.path = given.absolute() if given is not None else self._runs / f".new-{token_hex(6)}"
        held = [name for name in _HELD_BY if (self.path / name).exists()]
        if held:
            raise UsageError(
                f"--run-dir {self.path} already holds a run ({held[0]}); name a new folder, or leave --run-dir out to "
                "have one made under ./runs"
            )
        self._made = not self.path.exists()
        try:
            (self.path / "specs").mkdir(parents=True, exist_ok=True)
            (self.path / "logs").mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--run-dir {self.path} cannot be made: {error.strerror}; name a folder that you can write to"
            ) from error
        self._lock = RunLock(self.path)

    def settle(self, run_id: str) -> Path:
        """Give an unnamed folder its lasting name and return it."""
        if not self._named:
            stamp = iso(wall_ns()).split(".")[0].rstrip("Z").replace("-", "").replace(":", "").replace(" ", "T")
            for name in (f"{stamp}Z-{run_id}", f"{stamp}Z-{run_id}-{token_hex(3)}"):
                target = self._runs / name
                if not target.exists():
                    self.path = self.path.rename(target)
                    break
        return self.path

    def close(self) -> None:
        """Let others have the folder; may be called twice."""
        self._lock.close()

    def discard(self) -> None:
        """Remove what was made, when the run was refused before it began."""
        self.close()
        if self._made:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            for name in ("specs", "logs"):
                shutil.rmtree(self.path / name, ignore_errors=True)


def make_socket_folder(tell: Callable[[Path], None] | None = None) -> Path:
    """Return a new private folder (0700) whose path is short enough for a socket.

    Args:
        tell: Told the folder's path before it is made: who is to remove it knows of it, whenever this process dies.

    Raises:
        ConfigError: No temporary folder is short enough or writable.
    """
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - short enough for a socket; the folder made in it is new, private and has a name nobody can guess
        path = Path(base) / f"outcry-{token_hex(5)}"
        if len(str(path)) + _LONGEST_NAME > _MAX_SOCKET_PATH:
            continue
        if tell is not None:
            tell(path)
        try:
            path.mkdir(mode=0o700)
        except OSError:
            continue
        return path
    raise ConfigError(
        f"no temporary folder can hold sockets: a path may have {_MAX_SOCKET_PATH} characters and must be writable; "
        "set TMPDIR to a short writable folder, or bus.transport to 'tcp'"
    )
