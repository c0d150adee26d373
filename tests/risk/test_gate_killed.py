"""A gate that is killed -9 at every persistence point of a day answers, on its files, like one that lived."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MANY = 60
"""There are more points than this; fewer would mean that the day did not get to them."""


@pytest.mark.requirement("risk:restart:killed")
@pytest.mark.timeout(300)
def test_killed_at_every_point_the_gate_gives_the_same_answers_and_writes_the_same_record(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.risk.killed", str(tmp_path), "1"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    told: list[dict[str, Any]] = [json.loads(line) for line in ran.stdout.splitlines()]
    undisturbed, killed = told[0], told[1:]
    assert undisturbed["codes"] == [0]
    assert undisturbed["points"] >= MANY
    assert len(killed) >= undisturbed["points"]
    text = "".join(undisturbed["answers"])
    for code in ("approved", "rolling_loss", "daily_loss", "kill_switch", "repeated_executions", "unknown_symbol"):
        assert f"'{code}'" in text, code
    for run in killed:
        assert run["codes"][0] == -9, run["name"]
        assert run["codes"][-1] == 0, (run["name"], run["codes"], ran.stderr[-2000:])
        assert run["answers"] == undisturbed["answers"], run["name"]
        assert run["result"] == undisturbed["result"], run["name"]
