"""A supervisor that is killed, and the run that goes on; a cut: ``python -m tests.e2e.continued`` is every point."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from outcry.rundir import read_run_file
from tests.e2e.continued import Floor, evidence, floor, play

HANG_S = 30.0
"""What would be a hang, not slowness; the figures are what ``python -m tests.e2e.continued`` prints."""
CTRL_C = "interrupt at cycle 4"
POINTS = (
    "before tell feed",
    "mkdir sockets",
    "cycle 3",
    CTRL_C,
    "all at cycle 9",
    "rmtree sockets",
    "write report.html",
)
"""Where one supervisor after another is killed: at the start, in the trading, while it tidies up, in its last words."""
SLOW = ("--speed", "1200")
"""So that much of the day is left when Ctrl-C comes, however busy the machine is."""
TWO = '[desk]\nclient = "first"\n[clients.second]\nstart_cash = 50_000\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Floor]:
    config = tmp_path_factory.mktemp("two") / "outcry.toml"
    config.write_text(TWO, encoding="utf-8")
    with floor(("--config", config)) as on:
        yield on


@pytest.fixture(scope="module")
def calm(place: Floor) -> dict[str, Any]:
    return place.calm()


def confined(run_dir: Path) -> list[str]:
    lines = (run_dir / "logs" / "strategy.log").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("confined:")]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.requirement("run:killed-supervisor")
@pytest.mark.requirement("run:continue-stopped")
def test_a_desk_whose_supervisor_is_killed_again_and_again_or_stopped_ends_the_same(
    place: Floor, calm: dict[str, Any]
) -> None:
    run_dir = place.folder / "chain"
    words: tuple[str | Path, ...] = (*place.words, *SLOW, "--run-dir", run_dir)
    for point in POINTS:
        name = place.killed(point, "run", "--json", *words)
        assert name.partition(": ")[2] == point.rpartition(" at ")[2]
        if point == CTRL_C:
            assert read_run_file(run_dir).state == "stopped"
            assert json.loads((run_dir / "summary.json").read_bytes())["outcome"] == "interrupted"
        words = ("--continue", run_dir)
    done = place.go_on(run_dir, "--json")
    assert done.code == 0, done.err
    assert done.json["outcome"] == "done"
    assert evidence(run_dir) == calm
    assert "journal.second.sqlite orders" in calm
    assert {"execution", "execution.second"} < set(done.json["stages"])
    assert place.left() == []
    content = read_run_file(run_dir)
    assert (content.state, content.told) == ("done", True)
    assert content.continued == len(POINTS) - 2, "two were killed before they had begun anything"
    held = confined(run_dir)
    assert len(held) >= 4
    assert len(set(held)) == 1, "a stage is held to the same after the run was taken up"
    again = place.go_on(run_dir)
    assert again.code == 2
    assert "has ended" in again.err


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.requirement("run:killed-supervisor")
def test_a_run_in_one_process_goes_on_in_one_process_at_its_next_cycle(place: Floor, calm: dict[str, Any]) -> None:
    played = play(Floor(place.folder, place.sockets, (*place.words, "--in-process")), calm, ("cycle 6",))
    assert (played.outcome, played.wrong) == ("same", ())
    assert played.first_s is not None
    assert played.first_s < HANG_S
    assert len(set(read_run_file(place.folder / "run").stages.values())) == 1


@pytest.mark.requirement("run:killed-supervisor")
def test_a_run_killed_before_it_was_one_is_refused_and_leaves_nothing(place: Floor, calm: dict[str, Any]) -> None:
    played = play(place, calm, ("mkdir feed",))  # the folder of the sockets is there, and nobody knows of it yet
    assert (played.outcome, played.wrong) == ("anew", ())
