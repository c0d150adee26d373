"""Recorded days of real markets: imported, checked, run to the end; no record after T changes the trace up to T."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import market_days, outcry

RUNS = [
    ("us-equities-2013-10", "2013-10-08"),
    ("spy-2011-01", "2011-01-14"),
    ("crypto-2018-04", "2018-04-05"),
    ("us-hourly-2025-10", "2025-10-10"),
]


def imported(folder: str, out: Path) -> list[Path]:
    done = outcry("days", "import", market_days() / folder, "--out", out, "--json")
    assert done.code == 0, done.err
    return [Path(day) for day in done.json["days"]]


@pytest.mark.slow
@pytest.mark.requirement("run:real-days")
@pytest.mark.parametrize(("folder", "date"), RUNS)
def test_a_real_day_imports_checks_and_runs_to_the_end(folder: str, date: str, tmp_path: Path) -> None:
    days = imported(folder, tmp_path / "days")
    day = next(path for path in days if date in path.name)
    assert outcry("days", "check", day).code == 0
    done = outcry("run", "--json", "--in-process", "--day", day, "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    assert done.json["kind"] == "recorded"
    assert done.json["cycles"] > 3
    assert done.json["bars"] > 0


@pytest.mark.slow
@pytest.mark.requirement("run:seed")
def test_another_day_gives_another_trace(tmp_path: Path) -> None:
    days = imported("spy-2011-01", tmp_path / "days")[:2]
    hashes = {
        outcry("run", "--json", "--in-process", "--day", day, "--run-dir", tmp_path / day.name).json["trace_hash"]
        for day in days
    }
    assert len(hashes) == 2


def rows(folder: Path, until_ns: int) -> list[Any]:
    db = sqlite3.connect(folder / "trace.sqlite")
    try:
        return db.execute("SELECT * FROM records WHERE now_ns <= ? ORDER BY seq", (until_ns,)).fetchall()
    finally:
        db.close()
