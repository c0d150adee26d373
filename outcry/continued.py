"""Takes up the folder of a run whose supervisor has ended, however it ended: for ``outcry run --continue``.

Not a second way to trade: everything a run needs to go on is in its folder, and every stage goes on from its own
journal, as one that was killed alone does. Here it is only made sure that the folder is such a run, that nobody else is
at work in it, and that no process of before is left.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from bus.clock import NS, monotonic_ns, sleep_s
from bus.errors import ConfigError, UsageError
from bus.ids import digest
from outcry.desk import PreparedDesk
from outcry.rundir import RunFile, RunLock, is_alive, process_start, read_run_file
from outcry.stages import ORCHESTRATOR, read_spec, spec_path

if TYPE_CHECKING:
    from agents.orchestrator import OrchestratorSpec
    from feed.spec import FeedSpec
    from outcry.config import Config
    from risk.spec import GateSpec

__all__ = ["Continued", "take_up"]

_SELF_CLEANING_S = 5.0
_ENDED_S = 5.0
_TURN_S = 0.005
_SOCKETS = re.compile(r"^outcry-[0-9a-f]{10}$")
_ANEW = "start anew with `outcry run`"


@dataclass
class Continued:
    """A run that is taken up.

    Attributes:
        desk: What it goes on with.
        lock: What keeps others out of the folder; for the caller to close.
        in_process: Whether all its stages were in one process, as they are again.
        cycles: How many cycles it has finished.
        last_ns: The last instant that it has finished, -1 for none.
    """

    desk: PreparedDesk
    lock: RunLock
    in_process: bool
    cycles: int
    last_ns: int


def take_up(given: Path, *, live: bool) -> Continued:
    """Make sure that a run can go on, that nobody else is at it, and that nothing of before is left.

    Args:
        given: The run's folder.
        live: Whether the second key to real money was given (again).

    Raises:
        UsageError: It cannot; the message says why and what to do. The folder is left as it was.
    """
    run_dir = given.absolute()
    if not (run_dir / "run.json").is_file():
        raise UsageError(
            f"there is no run to go on with in {given}: it holds no run.json. A run that has none yet was ended before "
            f"its first process and sent no order; {_ANEW} (and remove this folder), or name the folder of a run"
        )
    _unfinished(run_dir)  # for its words: who has the folder is told by the file, not by the lock
    lock = RunLock(run_dir)
    try:
        content = _unfinished(run_dir)
        specs = _specs(run_dir, content)
        config = _config(run_dir)
        _check_keys(run_dir, content, config, cast("GateSpec", specs["risk"]), live=live)
        day = _day(cast("FeedSpec", specs["feed"]))
        _await_old(run_dir, content)
        _tidy(run_dir, content)
        cycles, last_ns = _progress(run_dir)
    except BaseException:
        lock.close()
        raise
    start = msgspec.structs.replace(
        content,
        state="starting",
        supervisor=os.getpid(),
        supervisor_start=process_start(os.getpid()),
        nursery=0,
        endpoints={},
        stages={},
        starts={},
        message="",
        continued=content.continued + 1,
        told=False,
    )
    desk = PreparedDesk(config, day, Path(cast("OrchestratorSpec", specs[ORCHESTRATOR]).run_dir), specs, start)
    return Continued(desk, lock, _in_process(content), cycles, last_ns)


def _in_process(content: RunFile) -> bool:
    return content.endpoints.get("feed", "").startswith("local://")


# --- what is refused --------------------------------------------------------------------------------------------------


def _unfinished(run_dir: Path) -> RunFile:
    try:
        content = read_run_file(run_dir)
    except UsageError as error:
        raise UsageError(
            f"the run in {run_dir} cannot be taken up: its run.json is damaged ({error.__cause__}); restore it from a "
            f"copy, or {_ANEW} (where orders went to a broker, look at its account first)"
        ) from error
    if is_alive(content):
        raise UsageError(
            f"the run in {run_dir} is alive ({content.state}, process {content.supervisor}) and needs no other; "
            f"`outcry status --run-dir {run_dir}` tells how far it is, Ctrl-C or SIGTERM there ends it"
        )
    if content.state == "done" and content.told:
        raise UsageError(
            f"the run in {run_dir} has ended, there is nothing to go on with: its report is {run_dir / 'report.html'}; "
            f"{_ANEW} for another"
        )
    if not content.specs:
        raise UsageError(
            f"the run in {run_dir} was started by an older release, which did not note its specs: it cannot be made "
            f"sure that it would go on with the same; {_ANEW}"
        )
    if "analyst" not in content.specs:
        raise UsageError(
            f"the desk in {run_dir} was one that MCP servers share, which ends with the last of them; `outcry mcp` "
            "starts another"
        )
    return content


def _specs(run_dir: Path, content: RunFile) -> dict[str, msgspec.Struct]:
    """Return the specs that the run was started with, in the order in which it started its stages."""
    for stage, noted in content.specs.items():
        path = spec_path(run_dir, stage)
        try:
            found = digest(path.read_bytes())
        except OSError as error:
            raise _damaged(run_dir, f"{path} cannot be read ({error.strerror})") from error
        if found != noted:
            raise _damaged(run_dir, f"{path} is not what the run was started with")
    specs = {stage: read_spec(run_dir, stage) for stage in content.specs}
    of = Path(cast("OrchestratorSpec", specs[ORCHESTRATOR]).run_dir)
    if not of.exists() or not of.samefile(run_dir):
        raise UsageError(
            f"the run in {run_dir} was made in {of} and its specs name the files there: a copy would write to the "
            f"original's journals; move it back to {of}"
        )
    return specs


def _damaged(run_dir: Path, what: str) -> ConfigError:
    return ConfigError(
        f"the run in {run_dir} cannot be taken up: {what}, and a run goes on with the same specs or not at all; "
        f"restore the file from a copy, or {_ANEW} (where orders went to a broker, look at its account first)"
    )


def _config(run_dir: Path) -> Config:
    from pydantic import ValidationError

    from outcry.config import Config

    path = run_dir / "config.json"
    try:
        return Config.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _damaged(run_dir, f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise _damaged(run_dir, f"{path} is no configuration ({error.errors()[0]['msg']})") from error


def _check_keys(run_dir: Path, content: RunFile, config: Config, gate: GateSpec, *, live: bool) -> None:
    """Ask for both keys to real money again: the configuration that the run wrote down, and ``--live``."""
    from outcry.clients import check_brokers
    from outcry.confine import require_confinement

    if gate.mode != content.mode or (config.desk.mode == "live") != (gate.mode == "live"):
        raise _damaged(
            run_dir,
            f"run.json says mode {content.mode!r}, the gate's spec {gate.mode!r}, config.json {config.desk.mode!r}",
        )
    if gate.mode == "live" and not live:
        raise UsageError(
            f"the run in {run_dir} trades real money, which needs both keys again; give --live to go on with it"
        )
    if live and gate.mode != "live":
        raise UsageError(
            f"--live was given, but the run in {run_dir} is {gate.mode} and a run never becomes one for real money; "
            "leave --live out"
        )
    check_brokers(config, live_market=config.feed.source != "day")
    require_confinement(config.desk.mode)


def _day(feed: FeedSpec) -> Path | None:
    if feed.source is not None:
        return None
    day = Path(feed.day)
    if not day.exists():
        raise UsageError(f"the run's day {day} is not there any more; put it back, or {_ANEW}")
    return day


# --- what is left of before -------------------------------------------------------------------------------------------


def _living(content: RunFile) -> dict[str, int]:
    """Return which processes of the run still live; one that only has the number of one is none of them."""
    named = {**content.stages, "nursery": content.nursery}
    return {name: pid for name, pid in named.items() if 0 < content.starts.get(name, 0) == process_start(pid)}


def _await_old(run_dir: Path, content: RunFile) -> None:
    """Wait until the fork server has cleaned up, which it does when its supervisor ends; else end it.

    Raises:
        UsageError: Something of the run is still there.
    """
    if _await_gone(content, _SELF_CLEANING_S):
        return
    for name, pid in _living(content).items():
        _kill(pid, content.starts[name])
    if not _await_gone(content, _ENDED_S):
        left = ", ".join(f"{name} (process {pid})" for name, pid in _living(content).items())
        raise UsageError(
            f"the run in {run_dir} cannot be taken up yet: of before, {left} is still there and did not end when it "
            "was killed; see what holds it up (`ps`), and try again when it is gone"
        )


def _await_gone(content: RunFile, patience_s: float) -> bool:
    deadline = monotonic_ns() + int(patience_s * NS)
    while _living(content):
        if monotonic_ns() >= deadline:
            return False
        sleep_s(_TURN_S)
    return True


def _kill(pid: int, start: int) -> None:
    """Kill a process that started then, and never one that has got its number since."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if process_start(pid) == start:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _tidy(run_dir: Path, content: RunFile) -> None:
    """Remove what only processes that are gone had a use for: half-written files, and sockets nobody serves."""
    for folder in (run_dir, run_dir / "specs"):
        for path in folder.glob(".*.json.*"):
            path.unlink(missing_ok=True)
    for path in run_dir.glob(".export-*"):
        shutil.rmtree(path, ignore_errors=True)
    sockets = _socket_folder(content.endpoints)
    if sockets is not None:
        shutil.rmtree(sockets, ignore_errors=True)


def _socket_folder(endpoints: Mapping[str, str]) -> Path | None:
    """Return the private folder that the run's sockets were in, where it is one that a desk made."""
    endpoint = endpoints.get("supervisor", "")
    if not endpoint.startswith("ipc://"):
        return None
    folder = Path(endpoint.removeprefix("ipc://")).parent.parent
    with suppress(OSError):
        found = folder.lstat()
        if _SOCKETS.match(folder.name) and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            return folder
    return None


def _progress(run_dir: Path) -> tuple[int, int]:
    """Return how many cycles the event log holds, and its last instant; only for people, so errors are no matter."""
    path = run_dir / "trace.sqlite"
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        cycles = db.execute("SELECT COUNT(*) FROM records WHERE kind = 'ask' AND source = 'analyst'").fetchone()
        last = db.execute("SELECT MAX(now_ns) FROM records").fetchone()
        return int(cycles[0]), -1 if last[0] is None else int(last[0])
    return 0, -1
