"""The doctor finds what is wrong with a machine and a configuration, says what to do, and shows no key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from outcry._doctor import Check, Finding, examine, ok, warn, worst
from outcry._doctor_desk import desk_checks
from outcry._doctor_machine import filesystem_of, machine_checks
from outcry.rundir import RunFile, process_start, write_run_file

SECRET = "not-a-real-secret"


def desk(tmp_path: Path, config: str = "", environ: Mapping[str, str] | None = None) -> dict[str, Finding]:
    file = tmp_path / "outcry.toml"
    file.write_text(config, encoding="utf-8")
    return named(desk_checks(file, tmp_path / "runs", tmp_path / "desks", environ or {}))


def named(checks: list[tuple[str, Check]]) -> dict[str, Finding]:
    found = examine(checks)
    return {finding.name: finding for finding in found}


def keys_file(folder: Path, mode: int = 0o600) -> Path:
    file = folder / "keys.toml"
    file.write_text(f'key_id = "nobody"\nsecret = "{SECRET}"\n', encoding="utf-8")
    file.chmod(mode)
    return file


def run_file(run_dir: Path, pid: int, state: str) -> None:
    run_dir.mkdir(parents=True)
    start = process_start(pid) or 1
    content = RunFile(
        run_id=run_dir.name, day="d", kind="synthetic", mode="replay", model="scripted", state="running",
        supervisor=pid, supervisor_start=start,
    )  # fmt: skip
    write_run_file(run_dir, msgspec.convert({**msgspec.to_builtins(content), "state": state}, RunFile))


@pytest.mark.requirement("doctor:machine")
def test_this_machine_is_examined_and_every_trouble_has_a_remedy(tmp_path: Path) -> None:
    found = named(machine_checks(tmp_path / "runs"))
    assert {"python", "packages", "filesystem", "disk", "space", "clock", "time zones", "sockets", "curve"} <= set(
        found
    )
    assert {"landlock", "users", "memory"} <= set(found)
    assert all(finding.todo for finding in found.values() if finding.state != "ok"), found
    assert found["python"].state == found["packages"].state == "ok"


@pytest.mark.requirement("doctor:machine")
def test_the_filesystem_of_a_path_is_that_of_the_deepest_mount() -> None:
    assert filesystem_of(Path("/proc/self/status")) == "proc"
    assert filesystem_of(Path("/")) not in ("", "proc")


@pytest.mark.requirement("doctor:machine")
def test_a_check_that_fails_to_run_is_a_finding() -> None:
    def broken() -> Finding:
        raise OSError(5, "no disk")

    (found,) = examine([("disk", broken)])
    assert found.state == "fail"
    assert "no disk" in found.found
    assert found.todo


@pytest.mark.requirement("doctor:exit")
def test_the_worst_finding_decides() -> None:
    assert worst([]) == "ok"
    assert worst([ok("a", "b")]) == "ok"
    assert worst([ok("a", "b"), warn("a", "b", "c")]) == "warn"


@pytest.mark.requirement("doctor:config")
def test_a_configuration_that_cannot_be_used_fails_with_its_words(tmp_path: Path) -> None:
    assert desk(tmp_path)["configuration"].state == "ok"
    wrong = desk(tmp_path, "[desk]\nseed = -1\n")["configuration"]
    assert wrong.state == "fail"
    assert "desk.seed" in wrong.found
    loose = desk(tmp_path, "[limits]\ncollar_bps = 1000000\n")["configuration"]
    assert loose.state == "fail"
    assert "collar_bps" in loose.found


@pytest.mark.requirement("doctor:keys")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_keys_that_others_can_read_fail(mode: int, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    file = keys_file(tmp_path / "keys", mode)
    found = desk(tmp_path, f'[broker]\nkind = "alpaca"\nkeys_file = "{file}"\n')["keys of desk"]
    assert found.state == "fail"
    assert f"{mode:04o}" in found.found
    file.chmod(0o600)
    assert desk(tmp_path, f'[broker]\nkind = "alpaca"\nkeys_file = "{file}"\n')["keys of desk"].state == "ok"


@pytest.mark.requirement("doctor:keys")
def test_keys_in_a_folder_that_others_can_write_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    folder.chmod(0o777)
    config = f'[broker]\nkind = "alpaca"\nkeys_file = "{keys_file(folder)}"\n'
    assert desk(tmp_path, config)["keys of desk"].state == "warn"


@pytest.mark.requirement("doctor:keys")
def test_a_missing_keys_file_fails(tmp_path: Path) -> None:
    found = desk(tmp_path, f'[broker]\nkind = "alpaca"\nkeys_file = "{tmp_path / "none"}"\n')["keys of desk"]
    assert found.state == "fail"


@pytest.mark.requirement("doctor:keys")
def test_keys_in_what_every_stage_reads_fail(tmp_path: Path) -> None:
    file = keys_file(Path(sys.prefix) / "share" if (Path(sys.prefix) / "share").is_dir() else Path(sys.prefix) / "lib")
    try:
        found = desk(tmp_path, f'[broker]\nkind = "alpaca"\nkeys_file = "{file}"\n')["keys of desk"]
    finally:
        file.unlink()
    assert found.state == "fail"
    assert "every stage" in found.found


@pytest.mark.requirement("doctor:environment")
def test_a_variable_that_holds_a_brokers_key_fails_and_others_say_who_gets_them(tmp_path: Path) -> None:
    file = keys_file(tmp_path)
    environ = {"OPENAI_API_KEY": "nothing", "MY_TOKEN": SECRET, "SOME_PASSWORD": "nothing", "HOME": "/"}
    config = f'[broker]\nkind = "alpaca"\nkeys_file = "{file}"\n'
    path = tmp_path / "outcry.toml"
    path.write_text(config, encoding="utf-8")
    found = [
        finding
        for finding in examine(desk_checks(path, tmp_path / "runs", tmp_path / "desks", environ))
        if finding.name == "environment"
    ]
    states = {finding.found.split()[0]: finding.state for finding in found}
    assert states == {"MY_TOKEN": "fail", "OPENAI_API_KEY": "ok", "SOME_PASSWORD": "warn"}
    told = {finding.found.split()[0]: finding.found for finding in found}
    assert "analyst and trader only" in told["OPENAI_API_KEY"]
    assert "taken from every stage" in told["SOME_PASSWORD"]


@pytest.mark.requirement("doctor:keys")
def test_no_key_is_ever_shown(tmp_path: Path) -> None:
    file = keys_file(tmp_path, 0o644)
    config = f'[broker]\nkind = "alpaca"\nkeys_file = "{file}"\n'
    told = str(desk(tmp_path, config, {"MY_TOKEN": SECRET}))
    file.chmod(0o600)
    told += str(desk(tmp_path, config, {"MY_TOKEN": SECRET}))
    file.write_text(f'secret = {SECRET}"\n', encoding="utf-8")
    told += str(desk(tmp_path, config, {"MY_TOKEN": SECRET}))
    assert SECRET not in told


@pytest.mark.requirement("doctor:runs")
def test_a_run_that_ended_without_a_word_is_told_and_a_live_one_is_not(tmp_path: Path) -> None:
    run_file(tmp_path / "runs" / "alive", os.getpid(), "running")
    assert desk(tmp_path)["runs"].state == "ok"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run_file(tmp_path / "runs" / "done", gone.pid, "done")
    assert desk(tmp_path)["runs"].state == "ok"
    run_file(tmp_path / "runs" / "left", gone.pid, "running")
    found = desk(tmp_path)["runs"]
    assert found.state == "warn"
    assert "left" in found.found


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-P", "-m", "outcry", "doctor", *words)
    root = str(Path(__file__).resolve().parents[2])
    environ = {**{name: value for name, value in os.environ.items() if "KEY" not in name}, "PYTHONPATH": root}
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environ, timeout=60, check=False)


@pytest.mark.requirement("doctor:exit")
def test_the_command_prints_one_object_and_fails_only_on_a_failure(tmp_path: Path) -> None:
    done = command("--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == int(told["state"] == "fail")
    assert {"name", "state", "found", "todo"} == set(told["findings"][0])
    (tmp_path / "wrong.toml").write_text("[desk]\nseed = -1\n", encoding="utf-8")
    done = command("--config", "wrong.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert "FAIL  configuration" in done.stdout
