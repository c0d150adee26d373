"""The words after ``outcry``: what is offered, what is refused, and how little is imported to say so."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bus.messages import SCHEMA_VERSION, OrderIntent
from outcry.__main__ import COMMANDS, main
from outcry.rundir import RunDir, RunFile, is_alive, live_run, process_start, write_run_file

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("duckdb", "langgraph", "openai", "pydantic", "talib", "numpy", "nacl", "zmq", "msgspec", "pandas", "sqlite3")


def content(supervisor: int, state: str, started: str) -> RunFile:
    return RunFile(
        run_id=f"run-{started}",
        day="synthetic-1",
        kind="synthetic",
        mode="replay",
        model="scripted",
        state=state,  # pyright: ignore[reportArgumentType] - the tests pass states by name
        supervisor=supervisor,
        supervisor_start=process_start(supervisor),
        endpoints={"risk": "local://risk"},
        stages={"feed": supervisor},
        started=started,
    )


@pytest.mark.requirement("cli:light")
def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from outcry.__main__ import main\n"
        "try:\n    main(['--help'], 0)\nexcept SystemExit as leaving:\n    assert leaving.code == 0\n"
        f"sys.stderr.write(' '.join(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert all(re.search(rf"\n    {name}\s", done.stdout) for name in COMMANDS)


@pytest.mark.requirement("cli:help")
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_that_is_offered_exists_and_explains_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([name, "--help"], 0)
    assert leaving.value.code == 0
    assert f"usage: outcry {name}" in capsys.readouterr().out


@pytest.mark.requirement("cli:usage")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "COMMAND"),
        (["walk"], "walk"),
        (["run", "--broker", "moon"], "moon"),
        (["run", "--seed", "many"], "many"),
        (["run", "--spe", "1"], "--spe"),
        (["run", "--in-process", "--speed", "fast"], "--speed fast"),
        (["run", "--in-process", "--speed", "-1"], "--speed -1"),
        (["run", "--in-process", "--speed", "nan"], "--speed nan"),
        (["run", "--in-process", "--model", "abacus"], "abacus"),
        (["run", "--in-process", "--seed", "-3"], "desk.seed"),
        (["run", "--in-process", "--config", "nowhere.toml"], "nowhere.toml"),
        (["run", "--in-process", "--day", "nowhere"], "nowhere"),
        (["days"], "ACTION"),
        (["days", "check", "nowhere"], "nowhere"),
        (["bench", "moon"], "moon"),
        (["status"], "outcry run"),
        (["kill", "--run-dir", "nowhere"], "nowhere"),
        (["resume"], "terminal"),
    ],
)
def test_wrong_words_are_a_usage_error_that_says_what_is_wrong(
    words: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words, 0) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert told.out == ""
    assert not list((tmp_path / "runs").glob("*")), "a refused run leaves nothing behind"


@pytest.mark.requirement("cli:json-error")
def test_with_json_an_error_is_one_object_with_a_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--json", "--in-process", "--model", "abacus"], 0) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "config"
    assert "abacus" in told["message"]
    assert main(["run", "--json", "--moon"], 0) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "usage"


@pytest.mark.requirement("cli:run-dir")
def test_a_folder_that_holds_a_run_is_refused_and_left_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "trace.sqlite").write_bytes(b"a run")
    assert main(["run", "--in-process", "--run-dir", str(tmp_path)], 0) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["trace.sqlite"]


@pytest.mark.requirement("cli:run-dir")
def test_a_refused_run_removes_the_folder_it_made_and_keeps_the_one_it_was_given(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "note").touch()
    for folder in (given, tmp_path / "new"):
        assert main(["run", "--in-process", "--model", "abacus", "--run-dir", str(folder)], 0) == 2
    assert [path.name for path in given.iterdir()] == ["note"]
    assert not (tmp_path / "new").exists()


@pytest.mark.requirement("cli:run-dir")
def test_two_runs_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    paths = {RunDir(None, tmp_path).settle("run-1") for _ in range(2)}
    assert len(paths) == 2
    assert all(path.name.endswith("Z-run-1") or "Z-run-1-" in path.name for path in paths)


@pytest.mark.requirement("cli:status")
def test_status_finds_the_newest_live_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, pid, state, started in (
        ("a", os.getpid(), "running", "2024-01-01"),
        ("b", 2**22 + 1, "running", "2024-01-03"),
        ("c", os.getpid(), "running", "2024-01-02"),
    ):
        (tmp_path / "runs" / name).mkdir(parents=True)
        write_run_file(tmp_path / "runs" / name, content(pid, state, started))
    assert live_run(tmp_path / "runs").name == "c"
    assert main(["status", "--json"], 0) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["run_id"], told["state"], told["mode"]) == ("run-2024-01-02", "running", "replay")
    assert told["stages"] == {"feed": os.getpid()}
    assert main(["status", "--run-dir", "runs/b", "--json"], 0) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "dead"


@pytest.mark.requirement("cli:status")
def test_a_process_id_that_was_given_to_another_process_is_not_the_run() -> None:
    here = content(os.getpid(), "running", "x")
    assert is_alive(here)
    import msgspec

    assert not is_alive(msgspec.structs.replace(here, supervisor_start=here.supervisor_start - 1))


@pytest.mark.requirement("cli:kill")
def test_kill_says_why_it_cannot_reach_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_run_file(tmp_path, content(os.getpid(), "running", "x"))
    assert main(["kill", "--run-dir", str(tmp_path)], 0) == 2
    assert "--in-process" in capsys.readouterr().err
    write_run_file(tmp_path, content(2**22 + 1, "done", "x"))
    assert main(["kill", "--run-dir", str(tmp_path)], 0) == 2
    assert "not running" in capsys.readouterr().err


@pytest.mark.requirement("cli:resume")
def test_resume_at_a_terminal_asks_before_it_does_anything(tmp_path: Path) -> None:
    write_run_file(tmp_path, content(2**22 + 1, "done", "x"))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "outcry", "resume", "--run-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert b"not running" in done.stderr


@pytest.mark.requirement("cli:schema")
def test_the_schema_of_every_message_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["schema", "--out", str(tmp_path / "schema")], 0) == 0
    assert json.loads(capsys.readouterr().out)["schema_version"] == SCHEMA_VERSION
    written = json.loads((tmp_path / "schema" / "OrderIntent.json").read_text(encoding="utf-8"))
    items = written["$defs"]["OrderIntent"]["prefixItems"]
    assert len(items) == len(OrderIntent.__struct_fields__) + 1


@pytest.mark.requirement("cli:days")
def test_the_sample_day_is_written_listed_shown_and_checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    day = tmp_path / "days" / "sample"
    assert main(["days", "sample", "--out", str(day), "--json"], 0) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(day)
    assert main(["days", "check", str(day)], 0) == 0
    assert "the seal holds" in capsys.readouterr().out
    assert main(["days", "list", str(tmp_path / "days"), "--json"], 0) == 0
    listed = json.loads(capsys.readouterr().out)["days"]
    assert [(one["kind"], one["problem"]) for one in listed] == [("synthetic", "")]
    assert main(["days", "show", str(day)], 0) == 0
    assert "SYNTHETIC" in capsys.readouterr().out
