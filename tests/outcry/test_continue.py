"""Which folders ``outcry run --continue`` takes up, which it refuses with what words, and what it does to what is left.

Not whole runs: those are in ``tests/e2e/test_continued.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.errors import UsageError
from feed.sample import write_sample
from outcry import continued
from outcry.__main__ import main
from outcry.config import load_config
from outcry.continued import Continued, take_up
from outcry.desk import PreparedDesk, content_of, prepare
from outcry.link import NurseryLink
from outcry.rundir import RunDir, RunLock, make_socket_folder, process_start, read_run_file, write_run_file

NOBODY = 2**22 + 1
"""A process id that the kernel never gives."""
TWO = '[desk]\nclient = "first"\nstart_cash = 50000.5\n[limits]\nmax_order_notional = 900.25\n[clients.second]\n'
REAL = """
[desk]
mode = "live"
symbols = ["BTC/USD"]
[feed]
source = "ccxt"
exchange = "kraken"
[broker]
kind = "ccxt"
exchange = "kraken"
keys_file = "keys.toml"
sandbox = false
"""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "day")


def prepared(folder: Path, day: Path | None, text: str = "", *, tools: bool = False) -> PreparedDesk:
    config = folder / "outcry.toml"
    config.write_text(text, encoding="utf-8")
    claimed = RunDir(folder / "run", folder)
    desk = prepare(load_config(config), day, claimed, 0.0, tools=tools)
    claimed.close()
    return desk


def dead(desk: PreparedDesk, **changes: Any) -> Path:
    """Leave a folder behind as a killed supervisor does."""
    left: dict[str, Any] = {"state": "running", "supervisor": NOBODY, "supervisor_start": 1, **changes}
    write_run_file(desk.run_dir, msgspec.structs.replace(content_of(desk, {}), **left))
    return desk.run_dir


@contextmanager
def taken(run_dir: Path, *, live: bool = False) -> Generator[Continued]:
    found = take_up(run_dir, live=live)
    try:
        yield found
    finally:
        found.lock.close()


@pytest.mark.requirement("continue:same")
def test_a_dead_run_is_taken_up_with_the_specs_it_was_started_with(tmp_path: Path, day: Path) -> None:
    desk = prepared(tmp_path, day, TWO)
    with taken(dead(desk, restarts=3, started="then")) as found:
        assert found.desk.specs == desk.specs
        assert [*found.desk.specs] == [*desk.specs], "stages are numbered by their order: their users depend on it"
        assert found.desk.config.supervisor == desk.config.supervisor
        assert (found.desk.run_dir, found.desk.day, found.desk.mode) == (desk.run_dir, day, "replay")
        start = content_of(found.desk, {})
        assert (start.supervisor, start.supervisor_start) == (os.getpid(), process_start(os.getpid()))
        assert (start.run_id, start.restarts, start.started, start.continued) == (desk.run_id, 3, "then", 1)
        assert (found.cycles, found.last_ns, found.in_process) == (0, -1, False)


@pytest.mark.requirement("continue:same")
@pytest.mark.parametrize(
    "changes",
    [
        {"state": "starting"},
        {"state": "stopping"},
        {"state": "stopped"},
        {"state": "failed", "message": "the disk was full"},
        {"state": "done"},
        {"supervisor": os.getpid(), "supervisor_start": 1},
    ],
    ids=lambda changes: " ".join(f"{name}={value}" for name, value in changes.items() if name != "supervisor"),
)
def test_any_run_that_did_not_come_to_its_last_word_can_go_on(
    tmp_path: Path, day: Path, changes: dict[str, Any]
) -> None:
    with taken(dead(prepared(tmp_path, day), **changes)) as found:
        assert found.desk.start.state == "starting"
        assert found.desk.start.message == ""
        assert not found.desk.start.told


def refused(run_dir: Path, *, live: bool = False) -> str:
    before = {path: path.read_bytes() for path in sorted(run_dir.rglob("*")) if path.is_file()}
    with pytest.raises(UsageError) as told:
        take_up(run_dir, live=live)
    after = {path: path.read_bytes() for path in sorted(run_dir.rglob("*")) if path.is_file()}
    assert before == after, "a refused folder is left as it was"
    if run_dir.is_dir():
        RunLock(run_dir).close()  # nobody holds it
    return str(told.value)


@pytest.mark.requirement("continue:refused")
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, day: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        assert "no run.json" in refused(folder)
    assert "start anew" in refused(prepared(tmp_path, day).run_dir), "its supervisor died before it was a run"


@pytest.mark.requirement("continue:refused")
def test_a_damaged_run_file_is_refused(tmp_path: Path, day: Path) -> None:
    run_dir = dead(prepared(tmp_path, day))
    (run_dir / "run.json").write_text('{"run_id": ', encoding="utf-8")
    told = refused(run_dir)
    assert "run.json is damaged" in told
    assert "broker" in told


@pytest.mark.requirement("continue:refused")
def test_a_living_run_is_refused_and_a_reused_process_id_is_not_taken_for_one(tmp_path: Path, day: Path) -> None:
    start = process_start(os.getpid())
    told = refused(dead(prepared(tmp_path, day), supervisor=os.getpid(), supervisor_start=start))
    assert f"alive (running, process {os.getpid()})" in told
    assert "outcry status --run-dir" in told


@pytest.mark.requirement("continue:refused")
def test_two_never_take_up_one_run(tmp_path: Path, day: Path) -> None:
    run_dir = dead(prepared(tmp_path, day))
    with taken(run_dir), pytest.raises(UsageError, match="another `outcry run` is at work"):
        take_up(run_dir, live=False)
    with taken(run_dir):
        pass


@pytest.mark.requirement("continue:refused")
def test_a_new_run_has_its_folder_for_itself(tmp_path: Path) -> None:
    first = RunDir(tmp_path / "run", tmp_path)
    with pytest.raises(UsageError, match="another `outcry run` is at work"):
        RunDir(tmp_path / "run", tmp_path)
    first.close()
    RunDir(tmp_path / "run", tmp_path).close()


@pytest.mark.requirement("continue:refused")
def test_a_run_that_has_ended_is_refused_with_its_report(tmp_path: Path, day: Path) -> None:
    told = refused(dead(prepared(tmp_path, day), state="done", told=True))
    assert "has ended" in told
    assert "report.html" in told


def garble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def loosen(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"20000000000000", b"90000000000000"))


@pytest.mark.requirement("continue:refused")
@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("specs/risk.json", Path.unlink, "cannot be read"),
        ("specs/feed.json", garble, "is not what the run was started with"),
        ("specs/risk.json", loosen, "is not what the run was started with"),
        ("config.json", Path.unlink, "cannot be read"),
        ("config.json", garble, "is no configuration"),
    ],
)
def test_a_folder_whose_specs_are_damaged_is_refused_with_the_file(
    tmp_path: Path, day: Path, name: str, damage: Callable[[Path], None], says: str
) -> None:
    run_dir = dead(prepared(tmp_path, day))
    damage(run_dir / name)
    told = refused(run_dir)
    assert f"{run_dir / name} {says}" in told
    assert "same specs or not at all" in told


@pytest.mark.requirement("continue:refused")
def test_a_copy_of_a_run_is_refused_because_it_would_write_to_the_originals_journals(tmp_path: Path, day: Path) -> None:
    run_dir = dead(prepared(tmp_path, day))
    shutil.copytree(run_dir, tmp_path / "copy")
    assert f"move it back to {run_dir}" in refused(tmp_path / "copy")
    run_dir.rename(tmp_path / "moved")
    assert f"move it back to {run_dir}" in refused(tmp_path / "moved")
    run_dir.symlink_to(tmp_path / "moved")
    with taken(run_dir) as found:
        assert found.desk.run_dir == run_dir


@pytest.mark.requirement("continue:refused")
def test_a_desk_of_servers_and_a_run_of_an_older_release_are_refused(tmp_path: Path, day: Path) -> None:
    assert "outcry mcp" in refused(dead(prepared(tmp_path, day, tools=True)))
    (tmp_path / "old").mkdir()
    assert "older release" in refused(dead(prepared(tmp_path / "old", day), specs={}))


@pytest.mark.requirement("continue:refused")
def test_a_run_whose_day_is_gone_is_refused(tmp_path: Path, day: Path) -> None:
    own = Path(shutil.copytree(day, tmp_path / "own"))
    run_dir = dead(prepared(tmp_path, own))
    shutil.rmtree(own)
    assert f"day {own} is not there" in refused(run_dir)


@pytest.mark.requirement("continue:live")
def test_real_money_asks_for_both_keys_again(tmp_path: Path, day: Path) -> None:
    run_dir = dead(prepared(tmp_path, None, REAL))
    assert read_run_file(run_dir).mode == "live"
    assert "give --live" in refused(run_dir)
    with taken(run_dir, live=True) as found:
        assert found.desk.mode == "live"
        assert found.desk.day is None
    config = run_dir / "config.json"
    config.write_bytes(config.read_bytes().replace(b'"mode": "live"', b'"mode": "paper"'))
    assert "config.json 'paper'" in refused(run_dir, live=True), "the first key was taken out"
    (tmp_path / "paper").mkdir()
    assert "leave --live out" in refused(dead(prepared(tmp_path / "paper", day)), live=True)


@pytest.mark.requirement("continue:live")
def test_real_money_is_never_traded_by_agents_in_the_process_that_has_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "outcry.toml"
    config.write_text(REAL, encoding="utf-8")
    assert main(["run", "--in-process", "--live", "--config", str(config)], 0) == 2
    assert "--in-process" in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("*"))


@pytest.mark.requirement("continue:refused")
@pytest.mark.parametrize(
    "words",
    [
        ["--day", "somewhere"],
        ["--config", "outcry.toml"],
        ["--model", "scripted"],
        ["--broker", "paper"],
        ["--seed", "0"],
        ["--speed", "max"],
        ["--run-dir", "elsewhere"],
        ["--in-process"],
    ],
    ids=lambda words: words[0],
)
def test_what_a_run_is_cannot_be_said_again(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--json", "--continue", str(tmp_path), *words], 0) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "usage"
    assert f"{words[0]} cannot be given with --continue" in told["message"]


# --- what is left of before -------------------------------------------------------------------------------------------


@contextmanager
def living() -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.requirement("continue:left")
def test_what_is_left_of_the_old_run_is_ended_and_nobody_else_is(
    tmp_path: Path, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continued, "_SELF_CLEANING_S", 0.1)
    with living() as nursery, living() as other:
        run_dir = dead(
            prepared(tmp_path, day),
            nursery=nursery.pid,
            stages={"feed": other.pid, "risk": NOBODY},
            starts={"nursery": process_start(nursery.pid), "feed": process_start(other.pid) - 1, "risk": 1},
        )
        with taken(run_dir):
            assert nursery.wait(timeout=10) == -9
            assert other.poll() is None, "it only has the number of a stage of before"


@pytest.mark.requirement("continue:left")
def test_a_fork_server_that_ends_by_itself_is_waited_for(tmp_path: Path, day: Path) -> None:
    link = NurseryLink()
    run_dir = dead(prepared(tmp_path, day), nursery=link.pid, starts={"nursery": process_start(link.pid)})
    link._in.close()  # pyright: ignore[reportPrivateUsage] - as when its supervisor has died
    with taken(run_dir):
        assert not process_start(link.pid)
    code = link._process.wait()  # pyright: ignore[reportPrivateUsage] - how it ended
    link.kill()
    assert code == 0, "it was let clean up"


@pytest.mark.requirement("continue:left")
def test_sockets_and_half_written_files_of_before_are_removed_and_nothing_else(tmp_path: Path, day: Path) -> None:
    desk = prepared(tmp_path, day)
    old = make_socket_folder()
    (old / "feed").mkdir()
    half = (desk.run_dir / ".run.json.123", desk.run_dir / "specs" / ".confine.json.123")
    for path in half:
        path.touch()
    (desk.run_dir / ".export-1").mkdir()
    with taken(dead(desk, endpoints={"supervisor": f"ipc://{old}/supervisor/s"})):
        assert not old.exists()
        assert not any(path.exists() for path in half)
        assert not (desk.run_dir / ".export-1").exists()
    precious = tmp_path / "precious"
    (precious / "supervisor").mkdir(parents=True)
    with taken(dead(desk, endpoints={"supervisor": f"ipc://{precious}/supervisor/s"})):
        assert precious.exists(), "no desk names its folder so"


@pytest.mark.requirement("continue:left")
def test_who_removes_the_socket_folder_knows_of_it_before_it_is_there() -> None:
    told: list[tuple[Path, bool]] = []
    folder = make_socket_folder(lambda path: told.append((path, path.exists())))
    folder.rmdir()
    assert told == [(folder, False)]


@pytest.mark.requirement("continue:status")
def test_status_tells_how_to_go_on_with_a_run_that_did_not_end(
    tmp_path: Path, day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(run_dir: Path) -> tuple[str, str]:
        assert main(["status", "--run-dir", str(run_dir)], 0) == 0
        words = capsys.readouterr().out
        assert main(["status", "--json", "--run-dir", str(run_dir)], 0) == 0
        return words, json.loads(capsys.readouterr().out)["go_on"]

    desk = prepared(tmp_path, day)
    how = f"outcry run --continue {desk.run_dir}"
    words, go_on = told(dead(desk, continued=2))
    assert how in words
    assert "2 times" in words
    assert go_on == how
    assert told(dead(desk, mode="live"))[1] == f"{how} --live"
    assert told(dead(desk, state="done"))[1] == how, "its summary and its report are missing"
    alive = {"supervisor": os.getpid(), "supervisor_start": process_start(os.getpid())}
    for ended in ({"state": "done", "told": True}, alive):
        words, go_on = told(dead(desk, **ended))
        assert "--continue" not in words
        assert go_on == ""
