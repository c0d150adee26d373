"""The stage whose imports are slow is begun before it is asked for: the real fork server, and stages of one line."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bus.clock import NS, monotonic_ns
from outcry.link import NurseryLink
from tests.outcry.begun_nursery import EARLY

RARE = "sndhdr" if sys.version_info < (3, 13) else "tabnanny"
"""A module that nothing of ours imports."""
NEVER_S = 3_600.0
T = TypeVar("T")


def until(what: str, found: Callable[[], T | None]) -> T:
    deadline = monotonic_ns() + 30 * NS
    while (value := found()) is None:
        assert monotonic_ns() < deadline, f"{what} did not come"
        os.sched_yield()
    return value


class Home:
    """A nursery and the folder of its run."""

    def __init__(self, folder: Path, quiet_s: float, *modules: str) -> None:
        (folder / "logs").mkdir()
        self.folder = folder
        command = (sys.executable, "-W", "ignore", "-P", "-m", "tests.outcry.begun_nursery", str(quiet_s), *modules)
        self.link = NurseryLink(command)
        self.link.begin(folder, None, {"OPENAI_API_KEY": "a key of a test"})
        self._reports: list[dict[str, Any]] = []

    def children(self) -> list[int]:
        return [
            int(pid)
            for pid in Path(f"/proc/{self.link.pid}/task/{self.link.pid}/children").read_text(encoding="utf-8").split()
        ]

    def is_empty(self) -> bool | None:
        return None if self.children() else True

    def begun(self, *others: int) -> int:
        """Return the process that was begun, as soon as it waits to be told that it is wanted."""

        def waits() -> int | None:
            for pid in self.children():
                if pid not in others and "pipe" in Path(f"/proc/{pid}/wchan").read_text(encoding="utf-8"):
                    return pid
            return None

        return until("a process that was begun", waits)

    def told(self, kind: str, stage: str) -> dict[str, Any]:
        def report() -> dict[str, Any] | None:
            self._reports += self.link.reports()
            for one in self._reports:
                if one.get(kind) == stage:
                    self._reports.remove(one)
                    return one
            return None

        return until(f"{kind} {stage}", report)

    def any_of(self, stage: str) -> dict[str, Any]:
        """Return the next report on a stage, which stays to be told."""

        def report() -> dict[str, Any] | None:
            self._reports += self.link.reports()
            return next((one for one in self._reports if stage in one.values()), None)

        return until(f"a report on {stage}", report)

    def about(self, stage: str) -> dict[str, Any]:
        log = self.folder / "logs" / f"{stage}.log"

        def last() -> dict[str, Any] | None:
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
            return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None

        return until(f"the log of {stage}", last)

    def start(self, stage: str) -> dict[str, Any]:
        self.link.spawn(stage)
        pid = self.told("spawned", stage)["pid"]
        return until(f"{stage} as {pid}", lambda: one if (one := self.about(stage))["pid"] == pid else None)


@contextmanager
def home(folder: Path, quiet_s: float, *modules: str) -> Generator[Home]:
    made = Home(folder, quiet_s, *modules)
    try:
        yield made
    finally:
        made.link.kill()


@pytest.mark.requirement("outcry:begun")
def test_a_stage_that_was_begun_has_its_imports_and_the_fork_server_and_others_have_not(tmp_path: Path) -> None:
    with home(tmp_path, NEVER_S, RARE) as nursery:
        begun = nursery.begun()
        feed = nursery.start("feed")
        early = nursery.start(EARLY)
        assert early["pid"] == begun
        assert early["modules"] == [RARE]
        assert feed["modules"] == []
        assert early["keys"] == ["OPENAI_API_KEY"], "its own secrets came after it was begun"
        assert feed["keys"] == []


@pytest.mark.requirement("outcry:begun")
def test_no_other_stage_can_tell_the_process_that_was_begun_what_to_be(tmp_path: Path) -> None:
    with home(tmp_path, NEVER_S, RARE) as nursery:
        begun = nursery.begun()
        fds = Path(f"/proc/{begun}/fd")
        told_by = {os.readlink(fd) for fd in fds.iterdir() if int(fd.name) > 2}
        assert len({name for name in told_by if name.startswith("pipe:")}) == 1
        assert not told_by & set(nursery.start("feed")["pipes"])


@pytest.mark.requirement("outcry:begun")
def test_where_the_process_that_was_begun_has_died_the_stage_starts_without_it(tmp_path: Path) -> None:
    with home(tmp_path, NEVER_S, RARE) as nursery:
        begun = nursery.begun()
        os.kill(begun, signal.SIGKILL)
        until("its end", nursery.is_empty)
        early = nursery.start(EARLY)
        assert early["pid"] != begun
        assert early["modules"] == [RARE]
        assert not [one for one in nursery.link.reports() if "exited" in one], "it was no stage yet"


@pytest.mark.requirement("outcry:begun")
def test_a_stage_that_cannot_be_imported_is_refused_with_the_reason(tmp_path: Path) -> None:
    with home(tmp_path, NEVER_S, "no_module_of_this_name") as nursery:
        nursery.link.spawn(EARLY)
        if "spawned" in nursery.any_of(EARLY):  # it was asked for while it still tried: it ends as a stage then
            assert nursery.told("exited", EARLY)["code"] == 1
            nursery.link.spawn(EARLY)
        assert "no_module_of_this_name" in nursery.told("refused", EARLY)["reason"]


@pytest.mark.requirement("outcry:begun")
def test_the_successor_of_a_stage_is_begun_when_it_is_quiet_and_takes_its_place(tmp_path: Path) -> None:
    with home(tmp_path, 0.05, RARE) as nursery:
        first = nursery.start(EARLY)
        successor = nursery.begun(first["pid"])
        os.kill(first["pid"], signal.SIGKILL)
        assert nursery.told("exited", EARLY)["pid"] == first["pid"]
        assert nursery.start(EARLY)["pid"] == successor


@pytest.mark.requirement("outcry:begun")
def test_a_successor_that_cannot_be_begun_leaves_every_stage_as_it_is(tmp_path: Path) -> None:
    with home(tmp_path, 0.05, RARE) as nursery:
        nursery.begun()
        feed = nursery.start("feed")
        bounds = resource.prlimit(nursery.link.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(nursery.link.pid, resource.RLIMIT_NOFILE, (3, bounds[1]))
        early = nursery.start(EARLY)
        log = tmp_path / "logs" / "nursery.log"
        until("the failure", lambda: True if "Too many open files" in log.read_text(encoding="utf-8") else None)
        resource.prlimit(nursery.link.pid, resource.RLIMIT_NOFILE, bounds)
        assert _lives(feed["pid"])
        assert _lives(early["pid"])
        os.kill(early["pid"], signal.SIGKILL)
        assert nursery.told("exited", EARLY)["pid"] == early["pid"]
        assert nursery.start(EARLY)["modules"] == [RARE]


@pytest.mark.requirement("outcry:begun")
@pytest.mark.parametrize("how", ["killed", "left"])
def test_what_was_begun_ends_with_the_fork_server(tmp_path: Path, how: str) -> None:
    with home(tmp_path, NEVER_S, RARE) as nursery:
        begun = nursery.begun()
        if how == "killed":
            os.kill(nursery.link.pid, signal.SIGKILL)
        else:
            os.kill(nursery.link.pid, signal.SIGTERM)
        until("its end", lambda: None if Path(f"/proc/{begun}/fd").exists() and _lives(begun) else True)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
