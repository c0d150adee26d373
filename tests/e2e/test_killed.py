"""Kill each process in the middle of a run and compare with a run that nobody touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.desk import Done, alive, outcry, run_state, started, until

STAGES = ("feed", "execution", "risk", "analyst", "strategy", "trader", "sentiment", "orchestrator")
SLOW = ("--speed", "9000")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return outcry("run", "--json", "--in-process", "--run-dir", tmp_path_factory.mktemp("calm") / "run")


def trace_rows(folder: Path) -> int:
    path = folder / "trace.sqlite-wal"
    return path.stat().st_size if path.is_file() else 0


def running_pid(folder: Path, stage: str) -> int:
    state = run_state(folder)
    return int(state.get("stages", {}).get(stage, 0)) if state.get("state") == "running" else 0


@pytest.mark.slow
@pytest.mark.requirement("run:killed-stage")
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_is_restarted_and_the_run_ends_the_same(stage: str, calm: Done, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with started("run", "--json", "--run-dir", folder, *SLOW) as process:
        pid = until(f"{stage} runs", lambda: running_pid(folder, stage))
        until("the day has begun", lambda: trace_rows(folder) > 40_000)
        os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["stages"][stage] != pid
    assert told["restarts"] >= 1
    assert told["fills"] == calm.json["fills"] > 0
    assert told["trace_hash"] == calm.json["trace_hash"]


@pytest.mark.requirement("run:orphans")
def test_a_killed_supervisor_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with started("run", "--json", "--run-dir", folder, *SLOW) as process:
        until("the desk runs", lambda: running_pid(folder, "risk"))
        state = run_state(folder)
        process.kill()
        process.wait(timeout=10)
    pids = [int(pid) for pid in state["stages"].values()]
    sockets = Path(state["endpoints"]["risk"].removeprefix("ipc://")).parent
    until("every stage is gone", lambda: not any(alive(pid) for pid in pids))
    until("the sockets are gone", lambda: not sockets.exists())


@pytest.mark.requirement("run:interrupt")
def test_ctrl_c_stops_the_run_cleanly(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with started("run", "--json", "--run-dir", folder, *SLOW) as process:
        until("the desk runs", lambda: running_pid(folder, "risk"))
        pids = [int(pid) for pid in run_state(folder)["stages"].values()]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not any(alive(pid) for pid in pids)


@pytest.mark.requirement("run:kill-switch")
def test_the_kill_switch_refuses_every_later_order(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with started("run", "--json", "--run-dir", folder, "--speed", "6000") as process:
        until("the desk runs", lambda: running_pid(folder, "risk"))
        killed = outcry("kill", "--run-dir", folder, "--reason", "test")
        assert killed.code == 0, killed.err
        status = outcry("status", "--run-dir", folder, "--json")
        assert status.json["mode"] == "replay"
        assert set(status.json["stages"]) >= {"feed", "risk", "execution"}
        out, err = process.communicate(timeout=90)
    assert process.returncode == 3, err
    assert json.loads(out)["denied"].get("kill_switch", 0) > 0


@pytest.mark.requirement("run:interrupt")
def test_a_run_directory_that_holds_a_run_is_refused(calm: Done) -> None:
    again = outcry("run", "--json", "--run-dir", calm.json["run_dir"])
    assert again.code == 2
    assert "run-dir" in again.out + again.err


def test_the_command_starts_as_a_module_and_says_what_it_offers() -> None:
    done = subprocess.run([*_python(), "--help"], capture_output=True, text=True, check=True)
    assert "run" in done.stdout


def _python() -> list[str]:
    import sys

    return [sys.executable, "-m", "outcry"]
