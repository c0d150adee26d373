"""A desk that servers share: one at a time, for as long as somebody is connected. Real processes, real locks."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.errors import OutcryError, UsageError
from bus.messages import FeedClock, GetClock, GetRiskState, RiskState
from bus.zmq_transport import ZmqTransport
from outcry.held import CURRENT, HeldDesk, Membership, desk_folder, join, join_run

ROOT = Path(__file__).resolve().parents[2]
REQUEST = {"day": "", "config": "", "speed": 1.0, "start": "", "overrides": {}}


def command(folder: Path, **changes: object) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "outcry.desk_main", str(folder), json.dumps({**REQUEST, **changes}))


def gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] in {"Z", "X"}


def until(condition: Callable[[], object], deadline_s: float = 30.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


@pytest.fixture(name="folder")
def private_folder(tmp_path: Path) -> Path:
    return desk_folder("test", {"XDG_STATE_HOME": str(tmp_path)})


def everybody(member: Membership) -> list[int]:
    return [member.content.supervisor, *member.content.stages.values()]


@pytest.mark.requirement("held:shared")
def test_the_second_server_joins_the_first_ones_desk_and_the_last_to_leave_ends_it(folder: Path) -> None:
    assert folder.stat().st_mode & 0o077 == 0
    with join(folder, command(folder)) as first:
        with join(folder, command(folder)) as second:
            assert second.content.supervisor == first.content.supervisor
        assert set(first.content.stages) == {"feed", "execution", "risk", "orchestrator"}
        transport = ZmqTransport()
        try:
            clock = transport.client(first.content.endpoints["feed"]).call(GetClock(), 20.0)
            state = transport.client(first.content.endpoints["risk"]).call(GetRiskState(), 20.0)
        finally:
            transport.close()
        assert isinstance(clock, FeedClock)
        assert isinstance(state, RiskState)
        assert not gone(first.content.supervisor)
    until(lambda: all(gone(pid) for pid in everybody(first)))
    assert not Path(first.content.endpoints["feed"].removeprefix("ipc://")).parent.exists()


@pytest.mark.requirement("held:killed")
def test_a_server_that_is_killed_holds_nothing(folder: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from outcry.held import join;"
        "m = join(Path(sys.argv[1]), sys.argv[2:]); print(m.content.supervisor, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(folder), *command(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as server:
        assert server.stdout is not None
        supervisor = int(server.stdout.readline())
        assert not gone(supervisor)
        server.send_signal(signal.SIGKILL)
    until(lambda: gone(supervisor))


@pytest.mark.requirement("held:killed")
def test_a_desk_that_was_killed_is_not_joined_but_started_again(folder: Path) -> None:
    with join(folder, command(folder)) as first:
        os.kill(first.content.supervisor, signal.SIGKILL)
        until(lambda: all(gone(pid) for pid in everybody(first)))
        with join(folder, command(folder)) as second:
            assert second.content.supervisor != first.content.supervisor
            assert second.run_dir != first.run_dir
    until(lambda: gone(second.content.supervisor))


@pytest.mark.requirement("held:looked")
def test_a_desk_begins_although_a_server_is_just_looking_for_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = HeldDesk(folder)
    with (folder / "desk.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        assert not desk.begin(0.0)

        def seen(_seconds: float) -> None:
            fcntl.flock(looking, fcntl.LOCK_UN)

        monkeypatch.setattr("outcry.held.sleep_s", seen)
        assert desk.begin()


@pytest.mark.requirement("held:looked")
def test_a_server_starts_another_desk_when_its_own_gave_way_to_one_that_is_gone(folder: Path) -> None:
    given_way = folder / "given-way"
    words = ("/bin/sh", "-c", 'mkdir "$0" 2>/dev/null && exit 0; exec "$@"', str(given_way), *command(folder))
    with join(folder, words) as member:
        assert given_way.is_dir()
        assert not gone(member.content.supervisor)
    until(lambda: gone(member.content.supervisor))


@pytest.mark.requirement("held:refused")
def test_a_desk_that_cannot_start_says_why_with_its_own_exit_code(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutcryError, match="no recorded day") as caught:
        join(folder, command(folder, day=str(tmp_path / "nothing")))
    assert caught.value.exit_code == 2
    # It can be asked for again at once: nothing is left locked.
    assert HeldDesk(folder).begin()


@pytest.mark.requirement("held:refused")
def test_joining_a_run_that_is_over_or_was_never_there_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        join_run(tmp_path)
    with join(folder, command(folder)) as member:
        run_dir = Path((folder / CURRENT).read_text(encoding="utf-8"))
        assert join_run(run_dir).content.supervisor == member.content.supervisor
    until(lambda: gone(member.content.supervisor))
    with pytest.raises(UsageError, match="not running"):
        join_run(run_dir)


@pytest.mark.requirement("held:operated")
def test_a_person_finds_kills_and_sees_the_desk_of_the_servers(folder: Path, tmp_path: Path) -> None:
    def outcry(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "outcry", *words, "--json"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        )
        return done.stdout

    with join(folder, command(folder)) as member:
        assert json.loads(outcry("status"))["stages"] == member.content.stages
        assert json.loads(outcry("kill"))["run_dir"] == str(member.run_dir)
        transport = ZmqTransport()
        try:
            state = transport.client(member.content.endpoints["risk"]).call(GetRiskState(), 20.0)
        finally:
            transport.close()
        assert isinstance(state, RiskState)
        assert state.killed
    until(lambda: gone(member.content.supervisor))
