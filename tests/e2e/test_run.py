"""A whole day, from outside: what a newcomer sees and what a sceptic checks."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import ROOT, Done, alive, outcry, run_state

KEYS = {
    "run_id", "day", "kind", "mode", "model", "bars", "cycles", "intents", "approved", "denied", "orders", "fills",
    "fees", "start_equity", "end_equity", "max_drawdown", "model_calls", "wall_seconds", "first_decision_seconds",
    "stages", "trace_hash", "run_dir",
}  # fmt: skip
STAGES = {"feed", "analyst", "strategy", "trader", "sentiment", "risk", "execution"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return outcry("run", "--json", "--run-dir", tmp_path_factory.mktemp("first") / "run")


@pytest.mark.requirement("run:demo")
def test_the_sample_day_fills_orders_and_denies_at_least_one_with_a_reason(first: Done) -> None:
    assert first.code == 0, first.err
    told = first.json
    assert told["kind"] == "synthetic"
    assert told["fills"] > 0
    assert sum(told["denied"].values()) >= 1
    assert told["intents"] == told["approved"] + sum(told["denied"].values()) + told["dropped"]


@pytest.mark.requirement("run:json")
def test_the_run_prints_one_json_object_with_the_declared_keys(first: Done) -> None:
    assert set(first.json) >= KEYS
    assert first.out.count("\n") <= 1


@pytest.mark.requirement("run:stages")
def test_every_stage_has_a_process_of_its_own_and_none_is_left(first: Done) -> None:
    stages: dict[str, int] = first.json["stages"]
    assert set(stages) >= STAGES
    assert len(set(stages.values())) == len(stages)
    assert not [name for name, pid in stages.items() if alive(pid)]


@pytest.mark.requirement("run:files")
def test_the_run_directory_holds_what_a_person_looks_at(first: Done) -> None:
    folder = Path(first.json["run_dir"])
    for name in ("journal.sqlite", "gate.sqlite", "trace.sqlite", "events.parquet", "summary.json", "report.html"):
        assert (folder / name).stat().st_size > 0, name
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"']?https?:", page)
    assert "SYNTHETIC" in page.upper()
    assert run_state(folder)["state"] == "done"


@pytest.mark.requirement("run:replay")
def test_a_second_run_gives_the_same_trace_to_the_byte(first: Done, tmp_path: Path) -> None:
    second = outcry("run", "--json", "--run-dir", tmp_path / "run")
    assert second.json["trace_hash"] == first.json["trace_hash"]
    assert chains(Path(second.json["run_dir"])) == chains(Path(first.json["run_dir"]))


@pytest.mark.requirement("run:replay")
def test_a_run_in_one_process_gives_the_same_trace(first: Done, tmp_path: Path) -> None:
    single = outcry("run", "--json", "--in-process", "--run-dir", tmp_path / "run")
    assert single.code == 0, single.err
    assert single.json["trace_hash"] == first.json["trace_hash"]


@pytest.mark.requirement("run:seed")
def test_another_seed_gives_another_trace(first: Done, tmp_path: Path) -> None:
    other = outcry("run", "--json", "--in-process", "--seed", "99", "--run-dir", tmp_path / "run")
    assert other.json["trace_hash"] != first.json["trace_hash"]


@pytest.mark.requirement("run:calendar")
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/Los_Angeles"])
def test_the_result_does_not_depend_on_the_time_zone(first: Done, zone: str, tmp_path: Path) -> None:
    there = outcry("run", "--json", "--in-process", "--run-dir", tmp_path / "run", env={"TZ": zone})
    assert there.json["trace_hash"] == first.json["trace_hash"]


FAKED = """
import sys
import bus.clock
bus.clock.wall_ns = lambda: {when} * 10**9
from outcry.__main__ import entry
sys.argv = ["outcry", "run", "--json", "--in-process", "--run-dir", {folder!r}]
entry()
"""


@pytest.mark.requirement("run:calendar")
@pytest.mark.parametrize(("day", "when"), [("a Saturday in 2031", 1_930_521_600), ("a Sunday in 2008", 1_204_444_800)])
def test_the_result_does_not_depend_on_the_date(first: Done, day: str, when: int, tmp_path: Path) -> None:
    code = FAKED.format(when=when, folder=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (day, done.stderr)
    assert json.loads(done.stdout)["trace_hash"] == first.json["trace_hash"]


def chains(folder: Path) -> list[Any]:
    db = sqlite3.connect(folder / "trace.sqlite")
    try:
        return db.execute("SELECT seq, now_ns, kind, source, chain FROM records ORDER BY seq").fetchall()
    finally:
        db.close()
