"""Recorded days of real markets: imported, checked, run to the end; no record after T changes the trace up to T."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from feed.format import load_day, write_day
from feed.sample import write_sample
from tests.e2e.desk import market_days, outcry

OPEN_NS = 1_710_336_600 * 10**9
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


@pytest.mark.requirement("run:no-look-ahead")
@pytest.mark.parametrize("minute", [45, 200])
def test_no_record_after_an_instant_changes_the_trace_up_to_it(minute: int, tmp_path: Path) -> None:
    cut_ns = OPEN_NS + minute * 60 * 10**9
    clean = write_sample(tmp_path / "clean" / "day")
    altered = alter_after(clean, tmp_path / "altered" / "day", cut_ns)
    folders: list[Path] = []
    for day in (clean, altered):
        folder = tmp_path / f"run-{day.parent.name}"
        done = outcry("run", "--json", "--in-process", "--day", day, "--run-dir", folder)
        assert done.code == 0, done.err
        folders.append(folder)
    before = [rows(folder, cut_ns) for folder in folders]
    assert before[0] == before[1]
    assert len(before[0]) > 3 * minute
    assert rows(folders[0], 2**62) != rows(folders[1], 2**62)


def alter_after(source: Path, target: Path, cut_ns: int) -> Path:
    """Copy a day, with every price, size, headline and figure that became available after an instant altered."""
    day = load_day(source)
    tables: dict[str, list[list[Any]]] = {}
    for name, columns in day.tables.items():
        altered: list[list[Any]] = []
        for row in zip(*columns.values(), strict=True):
            record = dict(zip(columns, row, strict=True))
            if record["available_time"] > cut_ns:
                record = {key: change(key, value) for key, value in record.items()}
            altered.append(list(record.values()))
        tables[name] = altered
    return write_day(target, day.manifest, day.instruments, tables)


def change(key: str, value: Any) -> Any:
    if isinstance(value, float):
        return value * 2 + 1
    if isinstance(value, str) and key in ("headline", "body", "actual"):
        return "ALTERED lawsuit fraud plunge"
    return value


def rows(folder: Path, until_ns: int) -> list[Any]:
    db = sqlite3.connect(folder / "trace.sqlite")
    try:
        return db.execute("SELECT * FROM records WHERE now_ns <= ? ORDER BY seq", (until_ns,)).fetchall()
    finally:
        db.close()
