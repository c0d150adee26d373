"""What the operating system is asked to hold a stage to: which files, sockets, ports and processes it can touch at all.

Why an agent that runs any Python it likes still gets no order past the gate: keys, journals, the gate's key file and
the sockets of others are out of its reach. Not a judge of orders, and not a sandbox for code from strangers: it takes
away what leads to the broker, not the processor or the memory.

The supervisor plans once for a run (``plan_confinement``, ``write_confinement``); each stage puts its own part on
itself in its forked process (``confine_stage``) and can never take it off. What the system cannot give is told in the
stage's log and by ``outcry doctor``; a desk for real money then does not start.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from bus.errors import ConfigError
from outcry import _landlock, _process, _seccomp
from outcry._reading import common_reading, reachable
from outcry.logs import is_secret
from outcry.rundir import write_atomically

if TYPE_CHECKING:
    from agents.spec import ModelSpec

__all__ = [
    "FIRST_USER",
    "Confined",
    "Confinement",
    "StageTerms",
    "close_to_others",
    "confine_stage",
    "own_socket_folders",
    "plan_confinement",
    "read_confinement",
    "require_confinement",
    "share_with_users",
    "tidy_databases",
    "write_confinement",
]

FIRST_USER = 60_900
"""Where the range of user and group ids begins that stages get when the desk is started as root."""

_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_SQLITE = ("-wal", "-shm", "-journal")
_PASS_THROUGH = 0o711
_OWNERS_SOCKETS = 0o2750
"""The owner makes and removes sockets; the group, which they inherit, finds and connects to them."""


class StageTerms(msgspec.Struct, frozen=True):
    """What one stage may touch beside what all may read.

    Attributes:
        role: ``agent`` and ``feed`` are held to single files; ``gate`` and ``gateway`` own the run's folder.
        reads: Files and folders it may read.
        files: Files it may write, made before it starts.
        databases: SQLite files it may write, made before it starts with what SQLite puts beside them.
        folders: Folders it may write in.
        sockets: The folder of its own sockets.
        connect: TCP ports it may connect to; None for all.
        bind: TCP ports it may serve.
        variables: How the names of the secret environment variables begin that are its own.
        user: The user id it changes to, 0 where it stays.
    """

    role: Literal["agent", "feed", "gate", "gateway"]
    reads: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    connect: tuple[int, ...] | None = ()
    bind: tuple[int, ...] = ()
    variables: tuple[str, ...] = ()
    user: int = 0


class Confinement(msgspec.Struct, frozen=True):
    """What all stages of a run are held to.

    Attributes:
        required: Whether a stage that cannot be confined must not start: real money.
        stages: Stage → its terms.
        reads: What all may read.
        listed: Folders of which all may list the names.
        group: The group whose members may connect to the sockets, 0 where stages have no users of their own.
    """

    required: bool
    stages: dict[str, StageTerms]
    reads: tuple[str, ...]
    listed: tuple[str, ...]
    group: int = 0


@dataclass(frozen=True)
class Confined:
    """What is in force in a process.

    Attributes:
        stage: Whose process.
        landlock: The kernel's Landlock version, 0 for none: files, and the memory of other processes.
        ports: Whether TCP ports are held to the plan's.
        signals: Whether it can signal no process outside.
        calls: Whether system calls that Landlock does not cover are refused (seccomp).
        hidden: Whether other processes of its user cannot look into it.
        user: Its own user id, 0 where it runs as whoever started the desk.
        missing: What the system could not give, for people.
    """

    stage: str
    landlock: int
    ports: bool
    signals: bool
    calls: bool
    hidden: bool
    user: int
    missing: tuple[str, ...] = ()

    def words(self) -> str:
        """Return it in one line for a log."""
        held = [
            (self.landlock > 0, f"files and other processes' memory (Landlock {self.landlock})"),
            (self.ports, "TCP ports"),
            (self.signals, "signals"),
            (self.calls, "modes and limits (seccomp)"),
            (self.hidden, "closed to other processes"),
            (self.user > 0, f"user {self.user}"),
        ]
        told = "confined: " + (", ".join(words for holds, words in held if holds) or "nothing")
        return f"{told}; missing: {', '.join(self.missing)}" if self.missing else told


# --- planning, in the supervisor --------------------------------------------------------------------------------------


def _owner(service: str) -> str:
    """Return the stage that serves an endpoint: ``feed.pub`` is the feed's, ``execution.NAME`` its own."""
    return "feed" if service == "feed.pub" else service


def own_socket_folders(endpoints: Mapping[str, str], sockets: Path) -> dict[str, str]:
    """Give each stage a folder for its sockets, so that it can be kept from making or removing another's.

    Args:
        endpoints: What ``ipc_directory`` says.
        sockets: The private folder.

    Returns:
        The same services at their new places, made and private.
    """
    from bus._bind import check_endpoint

    moved: dict[str, str] = {}
    for service in endpoints:
        folder = sockets.absolute() / _owner(service)
        folder.mkdir(mode=0o700, exist_ok=True)
        moved[service] = f"ipc://{folder / ('s' if _owner(service) == service else 'p')}"
        check_endpoint(moved[service])
    return moved


def _model_ports(model: ModelSpec) -> tuple[int, ...] | None:
    return () if model.name == "scripted" else None


def _terms(stage: str, spec: msgspec.Struct, run_dir: Path) -> StageTerms:
    from agents.orchestrator import OrchestratorSpec
    from agents.spec import AnalystSpec, TraderSpec
    from execution.spec import GatewaySpec
    from feed.spec import FeedSpec
    from outcry.handover import KEYS_OF
    from risk.spec import GateSpec

    own = str(run_dir / "specs" / f"{stage}.json")
    variables = KEYS_OF.get(stage, ())
    match spec:
        case GatewaySpec(broker=broker):
            keys = (broker.keys_file,) if broker.keys_file else ()
            folders = (str(run_dir), *((broker.store,) if broker.store else ()))
            ports = () if broker.kind == "paper" else None
            return StageTerms("gateway", reads=(own, *keys), folders=folders, connect=ports, variables=variables)
        case GateSpec():
            return StageTerms("gate", reads=(own,), folders=(str(run_dir),), variables=variables)
        case FeedSpec(source=source):
            reads = [own, spec.day, source.path if source is not None else ""]
            lock = f"{spec.cache_file}.lock" if spec.cache_file else ""
            # A recorded day's clock is a few bytes, a live market's the log of its instants.
            files, databases = (
                ([spec.clock_file], [spec.cache_file]) if source is None else ([], [spec.cache_file, spec.clock_file])
            )
            return StageTerms(
                "feed",
                reads=tuple(filter(None, reads)),
                files=tuple(filter(None, (*files, lock))),
                databases=tuple(filter(None, databases)),
                connect=() if source is None or source.kind == "folder" else None,
                variables=variables,
            )
        case OrchestratorSpec():
            logs = (str(run_dir / "trace.sqlite"), str(run_dir / "graph.sqlite"))
            return StageTerms("agent", reads=(own,), databases=logs, variables=variables)
        case AnalystSpec(model=model) | TraderSpec(model=model):
            return StageTerms("agent", reads=(own,), connect=_model_ports(model), variables=variables)
        case _:
            return StageTerms("agent", reads=(own,), variables=variables)


def _ports(endpoints: Mapping[str, str], stage: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the TCP ports of a directory that a stage may connect to, and those that it serves."""
    at = {name: int(where.rpartition(":")[2]) for name, where in endpoints.items() if where.startswith("tcp://")}
    return tuple(at.values()), tuple(port for name, port in at.items() if _owner(name) == stage)


def _secret_files(specs: Mapping[str, msgspec.Struct]) -> list[Path]:
    named = [getattr(getattr(spec, "broker", None), "keys_file", "") for spec in specs.values()]
    return [Path(name).absolute() for name in named if name]


def plan_confinement(
    specs: Mapping[str, msgspec.Struct],
    endpoints: Mapping[str, str],
    run_dir: Path,
    sockets: Path | None,
    *,
    required: bool,
    users: int = FIRST_USER,
) -> Confinement:
    """Decide what each stage is held to, and where this process is root give each agent stage a user of its own.

    Args:
        specs: Stage → its spec.
        endpoints: Service → endpoint, after ``own_socket_folders``.
        run_dir: The run's folder.
        sockets: The folder of the sockets; None for tcp.
        required: Whether stages that cannot be confined must not start.
        users: The first of the user ids that stages may be given when this process is root; 0 for none.

    Raises:
        ConfigError: A key or the run's folder lies in what every stage must be able to read.
    """
    run_dir = run_dir.absolute()
    protected = [run_dir, *_secret_files(specs), *([sockets.absolute()] if sockets is not None else [])]
    reads, listed = common_reading(protected)
    given = users if os.geteuid() == 0 and users and not reachable((*reads, str(run_dir.parent)), users) else 0
    stages: dict[str, StageTerms] = {}
    for number, (stage, spec) in enumerate(specs.items(), 1):
        terms = _terms(stage, spec, run_dir)
        connect, bind = _ports(endpoints, stage)
        may = terms.role in ("agent", "feed") and not reachable(terms.reads[1:], given)
        user = given + number if given and may else 0
        stages[stage] = msgspec.structs.replace(
            terms,
            connect=None if terms.connect is None else (*terms.connect, *connect),
            bind=bind,
            sockets=(str(sockets.absolute() / stage),) if sockets is not None else (),
            user=user,
        )
    plan = Confinement(required, stages, reads, listed, given)
    if given:
        share_with_users(plan, run_dir, sockets)
    return plan


def share_with_users(plan: Confinement, run_dir: Path, sockets: Path | None) -> None:
    """Let each stage's user read its own spec, and the stages' group connect to every socket but make none.

    Raises:
        OSError: This process is not root, or a spec is not there.
    """
    for folder in (run_dir, run_dir / "specs", *([sockets] if sockets is not None else [])):
        os.chmod(folder, _PASS_THROUGH)
    for terms in plan.stages.values():
        if terms.user:
            os.chown(terms.reads[0], terms.user, terms.user)
    for folder in sockets.iterdir() if sockets is not None else ():
        terms = plan.stages.get(folder.name)
        os.chown(folder, terms.user if terms is not None else 0, plan.group)
        os.chmod(folder, _OWNERS_SOCKETS)


def write_confinement(run_dir: Path, plan: Confinement) -> None:
    """Write the plan where the stages read it."""
    write_atomically(_plan_path(run_dir), msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")


def read_confinement(run_dir: Path) -> Confinement:
    """Return the plan of a run.

    Raises:
        ConfigError: There is none that can be read.
    """
    path = _plan_path(run_dir)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Confinement)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"the plan of what stages are held to at {path} cannot be read: {error}; start the run again"
        ) from error


def _plan_path(run_dir: Path) -> Path:
    return run_dir / "specs" / "confine.json"


def require_confinement(mode: str) -> None:
    """Refuse real money where this system cannot confine a stage.

    Raises:
        ConfigError: The mode is ``live`` and the kernel has no Landlock.
    """
    if mode == "live" and _landlock.abi() < 1:
        raise ConfigError(
            "desk.mode = 'live' needs stages that cannot reach the broker's keys, and this kernel has no Landlock; "
            "use Linux 5.13 or newer with lsm=...,landlock (see `outcry doctor`), or trade on paper"
        )


def tidy_databases(plan: Confinement) -> None:
    """Let SQLite remove what it keeps beside the databases of stages that could not; when the stages have ended."""
    for path in (path for terms in plan.stages.values() for path in terms.databases):
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=rw", uri=True)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()


# --- confining, in the stage's own process ----------------------------------------------------------------------------


def close_to_others() -> None:
    """Close this process's memory, environment and descriptors to other processes; for supervisor and fork server."""
    _process.no_core()
    _process.not_dumpable()


def confine_stage(stage: str, plan: Confinement, keep: Collection[int] = ()) -> Confined:
    """Hold this process to its stage's terms, for good. Call it once, before there is a thread or a socket.

    Args:
        stage: The stage's name.
        plan: The run's plan.
        keep: Open descriptors above 2 to leave open.

    Returns:
        What is in force.

    Raises:
        ConfigError: The plan does not know the stage, this process was given a key that is not for it, or what the
            plan requires cannot be had.
    """
    terms = plan.stages.get(stage)
    if terms is None:
        raise ConfigError(
            f"nothing says what stage {stage!r} may touch; known are {', '.join(plan.stages)}: start the run again"
        )
    _refuse_foreign_keys(stage, terms)
    _make_ready(terms)
    _process.close_descriptors(keep)
    os.umask(0o007 if plan.group else 0o077)  # a socket that its group can connect to; files have the stage's own group
    _process.no_core()
    missing: list[str] = []
    user = _change_user(terms, plan.group)
    if os.geteuid() == 0 or _process.has_privileges():
        _process.drop_privileges(_needed(terms, plan))
    version = _restrict(terms, plan, missing)
    calls = terms.role == "agent" and _refuse_calls(missing)
    _process.not_dumpable()
    confined = Confined(
        stage,
        version,
        ports=version >= _landlock.ABI_NET and terms.connect is not None,
        signals=version >= _landlock.ABI_SCOPE,
        calls=calls,
        hidden=not _process.is_dumpable(),
        user=user,
        missing=tuple(missing),
    )
    if plan.required and not version:
        raise ConfigError(
            f"{stage} is not started: real money needs a confined stage, and {'; '.join(missing)}. "
            "See `outcry doctor`, or trade on paper"
        )
    return confined


def _refuse_foreign_keys(stage: str, terms: StageTerms) -> None:
    for name, value in os.environ.items():
        if value and is_secret(name) and not name.startswith(terms.variables or ("\0",)):
            raise ConfigError(
                f"{stage} was given the environment variable {name}, which looks like a key and is not for it; "
                f"allowed there: {', '.join(f'{one}*' for one in terms.variables) or 'none'}. Take it out of the "
                "environment; a broker's keys belong in the file that broker.keys_file names"
            )


def _make_ready(terms: StageTerms) -> None:
    """Make the files that the stage may write, because it cannot make any."""
    made: list[str] = [*terms.files]
    for path in terms.databases:
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as db:  # the stage itself says what is wrong
            db.execute("PRAGMA journal_mode=WAL")
        made += [path, *(f"{path}{ending}" for ending in _SQLITE[:2])]
    for folder in terms.folders:
        with suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)
    for path in made:
        with suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            if terms.user:
                os.chown(path, terms.user, terms.user, follow_symlinks=False)


def _change_user(terms: StageTerms, group: int) -> int:
    if not terms.user:
        return 0
    death, parent = _process.parent_death_signal(), os.getppid()
    os.setgroups([group])
    os.setresgid(terms.user, terms.user, terms.user)
    os.setresuid(terms.user, terms.user, terms.user)
    _process.set_parent_death_signal(death, parent)
    return terms.user


def _needed(terms: StageTerms, plan: Confinement) -> tuple[int, ...]:
    """Return the privileges a stage of root's cannot do without: to read Python where another user keeps it."""
    if os.geteuid() != 0:
        return ()
    if terms.role in ("gate", "gateway"):
        return _DAC_OVERRIDE, _DAC_READ_SEARCH
    readable = (*plan.reads, *plan.listed, *terms.reads, *terms.files, *terms.databases)
    return (_DAC_READ_SEARCH,) if reachable(readable, 0) else ()


def _refuse_calls(missing: list[str]) -> bool:
    try:
        _seccomp.refuse_calls()
    except OSError as error:
        missing.append(f"it can change modes of its user's files and limits of its user's processes ({error.strerror})")
        return False
    return True


def _existing(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if os.path.exists(path))


def _restrict(terms: StageTerms, plan: Confinement, missing: list[str]) -> int:
    beside = tuple(f"{path}{ending}" for path in terms.databases for ending in _SQLITE)
    rules = _landlock.Rules(
        read=(*plan.reads, *terms.reads),
        listed=plan.listed,
        write=(*terms.files, *terms.databases, *_existing(beside), "/dev/null"),
        folders=terms.folders,
        sockets=terms.sockets,
        connect=terms.connect,
        bind=terms.bind,
    )
    try:
        version = _landlock.restrict(rules)
    except OSError as error:
        missing.append(f"files and other processes are not closed to it ({error.strerror or error})")
        return 0
    if version < _landlock.ABI_NET:
        missing.append(f"TCP ports are not closed to it (Landlock {version}, needs {_landlock.ABI_NET}: Linux 6.7)")
    if version < _landlock.ABI_SCOPE:
        missing.append(f"it can signal other processes (Landlock {version}, needs {_landlock.ABI_SCOPE}: Linux 6.12)")
    return version
