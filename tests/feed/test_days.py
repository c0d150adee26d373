"""Sealed days: what is written, what is refused and why."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.errors import ConfigError, DayError
from feed._parquet import COLUMNS, connect
from feed.catalog import check_day, list_days
from feed.format import RecordedDay, load_day, seal_folder, write_day
from feed.importer import import_folder
from feed.sample import write_sample
from feed.store import DayStore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("day") / "sample")


def market_days() -> Path:
    folder = Path(os.environ.get("OUTCRY_MARKET_DAYS", ROOT.parent / "shared" / "market-days"))
    if not folder.is_dir():
        pytest.skip("no recorded market days here: set OUTCRY_MARKET_DAYS to a folder that has them")
    return folder


def rows(day: RecordedDay) -> dict[str, list[list[Any]]]:
    return {name: [list(row) for row in zip(*columns.values(), strict=True)] for name, columns in day.tables.items()}


@pytest.mark.requirement("feed:whole")
def test_the_same_data_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    day = load_day(sample)
    again = write_day(tmp_path / "again", day.manifest, day.instruments, rows(day))
    assert load_day(again).seal == day.seal
    assert sorted(path.name for path in again.iterdir()) == sorted(path.name for path in sample.iterdir())


@pytest.mark.requirement("feed:whole")
def test_a_day_that_cannot_be_written_leaves_nothing(sample: Path, tmp_path: Path) -> None:
    day = load_day(sample)
    with pytest.raises((ValueError, TypeError)):
        write_day(tmp_path / "half", day.manifest, day.instruments, {"bars": [["ACME", "not a time"]]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("feed:whole")
def test_a_day_that_exists_is_not_overwritten(sample: Path) -> None:
    with pytest.raises(DayError, match="exists already"):
        write_sample(sample)


@pytest.mark.requirement("feed:seal")
@pytest.mark.parametrize("name", ["bars_1m.parquet", "quotes_1m.parquet", "news.parquet", "day.toml"])
def test_one_changed_bit_breaks_the_seal(sample: Path, name: str, tmp_path: Path) -> None:
    broken = tmp_path / "day"
    shutil.copytree(sample, broken)
    data = bytearray((broken / name).read_bytes())
    data[len(data) // 2] ^= 1
    (broken / name).write_bytes(bytes(data))
    with pytest.raises(DayError, match="seal|changed"):
        load_day(broken)


@pytest.mark.requirement("feed:seal")
def test_a_missing_or_an_added_file_breaks_the_seal(sample: Path, tmp_path: Path) -> None:
    for number, change in enumerate((lambda day: (day / "news.parquet").unlink(), add_file)):
        broken = tmp_path / str(number)
        shutil.copytree(sample, broken)
        change(broken)
        with pytest.raises(DayError, match="files and manifest differ"):
            load_day(broken)


def add_file(day: Path) -> None:
    shutil.copy(day / "news.parquet", day / "extra.parquet")


def set_to(column: str, row: int, value: Any) -> Callable[[list[list[Any]]], None]:
    at = list(COLUMNS["bars"]).index(column)

    def change(bars: list[list[Any]]) -> None:
        bars[row][at] = value

    return change


def swap(bars: list[list[Any]]) -> None:
    bars[10], bars[40] = bars[40], bars[10]


def twice(bars: list[list[Any]]) -> None:
    bars.insert(11, list(bars[10]))


@pytest.mark.requirement("feed:rules")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_to("high", 5, 0.01), "high 0.01 is below low"),
        (set_to("low", 5, 10_000.0), "is below low"),
        (set_to("close", 5, 9_999.0), "outside low"),
        (set_to("open", 5, -1.0), "open is -1.0"),
        (set_to("close", 5, math.inf), "close is inf"),
        (set_to("volume", 5, -1.0), "volume is -1.0"),
        (set_to("symbol", 5, "NOPE"), "out of order|not in day.toml"),
        (set_to("available_time", 5, 1), "available before it happened"),
        (set_to("open_time", 5, 2**62), "ends before it begins"),
        (swap, "out of order"),
        (twice, "out of order or twice"),
    ],
)
def test_a_day_that_breaks_a_rule_is_refused_with_the_rule(
    sample: Path, change: Callable[[list[list[Any]]], None], says: str, tmp_path: Path
) -> None:
    day = load_day(sample)
    tables = rows(day)
    change(tables["bars"])
    broken = write_day(tmp_path / "day", day.manifest, day.instruments, tables)
    with pytest.raises(DayError, match=says) as caught:
        load_day(broken)
    assert "bars_1m.parquet, row" in str(caught.value)


@pytest.mark.requirement("feed:rules")
@pytest.mark.parametrize(
    ("select", "says"),
    [
        ("* EXCLUDE (close)", "no column 'close'"),
        ("*, 1 AS extra", "unknown columns"),
        ("* REPLACE (CAST(close AS VARCHAR) AS close)", "'close' is VARCHAR"),
        ("* REPLACE (NULL::DOUBLE AS close)", "missing value"),
        ("* REPLACE ('NaN'::DOUBLE AS close)", "close is nan"),
    ],
)
def test_columns_must_be_what_they_are_said_to_be(sample: Path, select: str, says: str, tmp_path: Path) -> None:
    broken = tmp_path / "day"
    shutil.copytree(sample, broken)
    day = load_day(broken)
    with connect() as db:
        db.execute(f"CREATE TABLE t AS SELECT {select} FROM read_parquet('{sample / 'bars_1m.parquet'}')")
        db.execute(f"COPY t TO '{broken / 'bars_1m.parquet'}' (FORMAT parquet)")
    seal_folder(broken, day.manifest, day.instruments)
    with pytest.raises(DayError, match=says):
        load_day(broken)


@pytest.mark.requirement("feed:sample")
def test_the_sample_day_is_the_same_in_every_time_zone(sample: Path, tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from feed.sample import write_sample; write_sample(Path({str(tmp_path / 'd')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, "TZ": "Pacific/Chatham"})
    day = load_day(tmp_path / "d")
    assert day.seal == load_day(sample).seal
    assert day.manifest.kind == "synthetic"
    assert "SYNTHETIC" in day.manifest.source
    assert load_day(write_sample(tmp_path / "other", seed=8)).seal != day.seal


@pytest.mark.requirement("feed:sample")
def test_the_sample_day_has_a_session_quotes_news_and_a_calendar(sample: Path) -> None:
    report = check_day(sample)
    assert report.instants == 390
    assert len(report.symbols) == 6
    assert 2_200 < report.rows["bars"] < 2_340 == report.rows["quotes"]
    assert report.rows["news"] > 30
    assert report.rows["calendar"] >= 4


@pytest.mark.requirement("feed:zip")
def test_a_zip_of_a_day_is_a_day(sample: Path, tmp_path: Path) -> None:
    packed = tmp_path / "day.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sample.iterdir():
            archive.write(path, f"sample/{path.name}")
    assert load_day(packed).seal == load_day(sample).seal
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../evil/day.toml", "x")
    with pytest.raises(DayError, match="outside its folder"):
        load_day(packed)


@pytest.mark.requirement("feed:unknown")
def test_a_symbol_the_day_does_not_have_is_refused_with_those_it_has(sample: Path) -> None:
    with pytest.raises(ConfigError, match="NOPE is not on synthetic.*ACME, BOLT"):
        DayStore(load_day(sample), ("ACME", "NOPE"))


def test_a_catalog_lists_days_and_says_what_is_wrong_with_one(sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample, tmp_path / "good")
    shutil.copytree(sample, tmp_path / "torn")
    (tmp_path / "torn" / "news.parquet").unlink()
    lines = list_days(tmp_path)
    assert [(Path(line.path).name, bool(line.problem)) for line in lines] == [("good", False), ("torn", True)]


FOLDERS = {
    "us-equities-2013-10": 6,
    "us-equities-2014-06": 3,
    "spy-2011-01": 20,
    "spx-index-2019-11": 4,
    "futures-2013-10": 5,
    "futures-gold-2013-10": 5,
    "fx-2014-05": 13,
    "gold-cfd-2014-05": 13,
    "crypto-2018-04": 3,
    "us-hourly-2025-10": 13,
    "daily-with-news-2025": 112,
    "seconds": 5,
    "ticks": 5,
}


@pytest.mark.slow
@pytest.mark.requirement("feed:import")
@pytest.mark.parametrize(("name", "count"), FOLDERS.items())
def test_every_folder_of_recorded_data_imports_and_checks(name: str, count: int, tmp_path: Path) -> None:
    told: list[str] = []
    days = import_folder(market_days() / name, tmp_path, lambda done, total, day: told.append(f"{done}/{total} {day}"))
    assert len(days) == count
    assert told[-1].startswith(f"{count}/{count}")
    for day in (days[0], days[-1]):
        report = check_day(day)
        assert report.kind == "recorded"
        assert report.instants > 0
        assert len(report.traded) <= 8 or not report.traded


@pytest.mark.requirement("feed:import")
def test_a_folder_without_market_data_is_refused() -> None:
    with pytest.raises(DayError, match="no bars, quotes or trades"):
        import_folder(market_days() / "calendar", Path("nowhere"))


@pytest.mark.requirement("feed:default")
def test_the_default_is_the_eight_symbols_of_highest_turnover(tmp_path: Path) -> None:
    days = import_folder(market_days() / "us-hourly-2025-10", tmp_path)
    day = load_day(days[3])
    bars = day.tables["bars"]
    turnover: dict[str, float] = {}
    for symbol, close, volume in zip(bars["symbol"], bars["close"], bars["volume"], strict=True):
        turnover[symbol] = turnover.get(symbol, 0.0) + close * volume
    largest = sorted(turnover, key=lambda symbol: -turnover[symbol])[:8]
    assert day.manifest.traded == tuple(sorted(largest))


@pytest.mark.requirement("feed:missing")
def test_a_missing_minute_stays_missing(tmp_path: Path) -> None:
    day = load_day(import_folder(market_days() / "us-equities-2014-06", tmp_path)[0])
    bars = day.tables["bars"]
    with connect() as db:
        source = str(market_days() / "us-equities-2014-06" / "bars_1m" / "2014-06-05.parquet")
        recorded = db.execute("SELECT count(*) FROM read_parquet(?)", [source]).fetchone()
    assert recorded == (len(bars["symbol"]),)
    minutes = [time for symbol, time in zip(bars["symbol"], bars["open_time"], strict=True) if symbol == "AAPL"]
    assert any(later - earlier > 60 * 10**9 for earlier, later in zip(minutes, minutes[1:], strict=False))
