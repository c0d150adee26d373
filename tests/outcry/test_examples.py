"""The example configurations: every one loads, and every desk that it describes can be put together."""

from __future__ import annotations

from pathlib import Path

import pytest

from outcry.config import load_config
from outcry.desk import prepare
from outcry.rundir import RunDir

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.requirement("config:examples")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_puts_a_desk_together(path: Path, tmp_path: Path) -> None:
    desk = prepare(load_config(path), None, RunDir(tmp_path / "run", tmp_path), 0.0)
    assert desk.specs.keys() >= {"feed", "execution", "risk", "orchestrator"}
    assert desk.mode == ("replay" if path.stem in {"outcry", "clients"} else "paper")
