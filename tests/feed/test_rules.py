"""What a sealed day must be, rule by rule, and that each refusal says which."""

from __future__ import annotations

import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.clock import NS
from bus.errors import DayError
from feed.catalog import check_day, list_days
from feed.format import Manifest, load_day, read_manifest, seal_folder, write_day
from feed.store import DayStore
from tests.feed.made import INSTRUMENTS, MANIFEST, MINUTE, OPEN, Tables, at, bar, made_day, quote, resealed, tables

Change = Callable[[Tables], object]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_day(tmp_path_factory.mktemp("days") / "day")


def put(table: str, column: str, row: int, value: Any) -> Change:
    def change(rows: Tables) -> None:
        rows[table][row][at(table, column)] = value

    return change


def add(table: str, row: list[Any], where: int = 0) -> Change:
    return lambda rows: rows[table].insert(where, row)


def back(rows: Tables) -> None:
    first, later = (row for row in rows["bars"] if row[0] == "BBB" and row[2] in (OPEN + MINUTE, OPEN + 2 * MINUTE))
    first[3] = later[3] + 1


def swap(table: str) -> Change:
    def change(rows: Tables) -> None:
        rows[table][0], rows[table][-1] = rows[table][-1], rows[table][0]

    return change


BREACHES: dict[str, tuple[Change, str, str]] = {
    "crossed": (put("quotes", "bid", 3, 10.02), "quotes_1m.parquet, row 4", "crossed, bid 10.02 is above ask 10.01"),
    "crossed at its opening": (put("quotes", "bid_open", 3, 11.0), "quotes_1m.parquet, row 4", "crossed, bid_open"),
    "no bid": (
        put("quotes", "bid", 0, 0.0),
        "quotes_1m.parquet, row 1",
        "bid is 0.0; allowed is a finite number above",
    ),
    "size is no number": (put("quotes", "ask_size", 1, math.nan), "quotes_1m.parquet, row 2", "missing value"),
    "infinite volume": (put("bars", "volume", 1, math.inf), "bars_1m.parquet, row 2", "volume is inf"),
    "too large for the wire": (put("bars", "volume", 1, 1e10), "bars_1m.parquet, row 2", "from 0 to 9,223,372,036"),
    "no price": (put("bars", "close", 1, math.nan), "bars_1m.parquet, row 2", "missing value"),
    "high below low": (put("bars", "high", 1, 1.0), "bars_1m.parquet, row 2", "high 1.0 is below low"),
    "open outside": (put("bars", "open", 1, 1.0), "bars_1m.parquet, row 2", "open 1.0 is outside low"),
    "twice": (add("quotes", quote("AAA", 0)), "quotes_1m.parquet, row 2", "this is there twice"),
    "unsorted": (swap("quotes"), "quotes_1m.parquet, row 2", "out of order; rows are sorted by event_time"),
    "unknown": (put("bars", "symbol", 0, "ZZZ"), "ZZZ", "'ZZZ' is not in day.toml, which has AAA, BBB, CCC"),
    "too long": (put("bars", "open_time", 4, OPEN - 9 * MINUTE), "bars_1m.parquet, row 5", "at most bar_s, 60 s"),
    "yesterday": (
        add("bars", bar("AAA", -900)),
        "bars_1m.parquet, row 1",
        "outside the day, which is 2013-10-07 04:00",
    ),
    "tomorrow": (
        lambda rows: rows["bars"].append(bar("AAA", 900)),
        "bars_1m.parquet, row 19",
        "after the day's end, 2013-10-08 04:00",
    ),
    "available again": (back, "bars_1m.parquet", "available_time never goes back"),
    "news before it happened": (put("news", "available_time", 2, 0), "news.parquet, row 3", "before it happened"),
    "news twice": (put("news", "news_id", 2, "n1"), "news.parquet, row 3 (n1", "news_id 'n1' is there twice"),
    "news unsorted": (swap("news"), "news.parquet, row 2", "out of order"),
    "release before it is due": (put("calendar", "available_time", 0, 0), "calendar.parquet, row 1 (cpi", "before it"),
    "a print for nothing": (put("trades", "price", 0, 0.0), "trades.parquet, row 1", "price is 0.0"),
    "a print of nothing": (put("trades", "size", 0, 0.0), "trades.parquet, row 1", "size is 0.0"),
    "times that are no times": (
        put("bars", "available_time", 0, 2**62),
        "bars_1m.parquet, row 1",
        "after the day's end",
    ),
}


@pytest.mark.requirement("feed:rules")
@pytest.mark.parametrize("name", BREACHES)
def test_each_breach_is_refused_with_its_place_its_rule_and_what_to_do(name: str, day: Path, tmp_path: Path) -> None:
    change, place, rule = BREACHES[name]
    with pytest.raises(DayError) as caught:
        load_day(resealed(day, tmp_path / "broken", change))
    told = str(caught.value)
    assert place in told
    assert rule in told
    assert "outcry days check" in told


@pytest.mark.requirement("feed:rules")
def test_no_two_breaches_of_different_rules_read_alike() -> None:
    assert len({(place, rule) for _, place, rule in BREACHES.values()}) == len(BREACHES)


@pytest.mark.requirement("feed:rules")
def test_a_day_resealed_without_a_change_is_accepted(day: Path, tmp_path: Path) -> None:
    same = resealed(day, tmp_path / "same", lambda _: None)
    assert load_day(same).seal == load_day(day).seal


@pytest.mark.requirement("feed:whole")
@pytest.mark.parametrize("name", BREACHES)
def test_a_checked_write_of_a_broken_day_leaves_nothing(name: str, tmp_path: Path) -> None:
    rows = tables()
    BREACHES[name][0](rows)
    with pytest.raises(DayError, match=r"\.parquet, row"):
        write_day(tmp_path / "day", MANIFEST, INSTRUMENTS, rows, checked=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("feed:seal")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"traded": ("AAA", "NOPE")}, "allowed are AAA, BBB, CCC"),
        ({"traded": ()}, "traded is empty"),
        ({"bar_s": 0}, "bar_s is 0"),
        ({"version": 2}, "format version 2; this release reads 1"),
        ({"kind": "real"}, "cannot be read"),
        ({"date": "7 October"}, "is no date"),
        ({"bar_s": 3600}, "allowed are bars_1h.parquet"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    changes: dict[str, Any], says: str, day: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "day"
    shutil.copytree(day, broken)
    seal_folder(broken, msgspec.structs.replace(MANIFEST, **changes), INSTRUMENTS)
    with pytest.raises(DayError, match=says):
        load_day(broken)


@pytest.mark.requirement("feed:seal")
@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b'seal = "0"\n', b"seal"])
def test_a_manifest_that_is_no_manifest_is_refused(text: bytes, day: Path, tmp_path: Path) -> None:
    broken = tmp_path / "day"
    shutil.copytree(day, broken)
    (broken / "day.toml").write_bytes(text)
    with pytest.raises(DayError, match="does not match its seal"):
        load_day(broken)


@pytest.mark.requirement("feed:seal")
def test_a_sealed_file_that_is_no_parquet_is_refused(day: Path, tmp_path: Path) -> None:
    broken = tmp_path / "day"
    shutil.copytree(day, broken)
    (broken / "bars_1m.parquet").write_bytes(b"PAR1 and nothing else")
    seal_folder(broken, MANIFEST, INSTRUMENTS)
    with pytest.raises(DayError, match="not a readable Parquet file"):
        load_day(broken)


@pytest.mark.requirement("feed:seal")
def test_any_text_survives_the_manifest(tmp_path: Path) -> None:
    odd = 'quote " backslash \\ newline \n tab \t bell \x07 delete \x7f star ⭐ plane \U0001f600'
    manifest: Manifest = msgspec.structs.replace(MANIFEST, source=odd)
    assert load_day(made_day(tmp_path / "day", manifest=manifest)).manifest.source == odd


@pytest.mark.requirement("feed:rules")
def test_a_day_of_news_alone_is_refused(tmp_path: Path) -> None:
    folder = write_day(tmp_path / "day", MANIFEST, INSTRUMENTS, {"news": tables()["news"]})
    with pytest.raises(DayError, match="neither bars nor quotes"):
        load_day(folder)


@pytest.mark.requirement("feed:zip")
def test_a_zip_that_is_none_or_holds_two_days_is_refused(day: Path, tmp_path: Path) -> None:
    packed = tmp_path / "day.zip"
    packed.write_bytes(b"PK nothing")
    with pytest.raises(DayError, match="not a readable zip"):
        load_day(packed)
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("one", "two"):
            archive.write(day / "day.toml", f"{name}/day.toml")
    with pytest.raises(DayError, match="holds 2 files day.toml"):
        load_day(packed)


@pytest.mark.requirement("feed:zip")
def test_a_catalog_lists_zips_and_leaves_out_drafts(day: Path, tmp_path: Path) -> None:
    shutil.copytree(day, tmp_path / ".day.0123abcd")
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        for path in day.iterdir():
            archive.write(path, path.name)
    assert [(line.id, line.problem) for line in list_days(tmp_path)] == [("made-2013-10-07", "")]
    assert read_manifest(tmp_path / "day.zip")[1] == check_day(day).seal


@pytest.mark.requirement("feed:rules")
def test_the_bounds_of_a_date_follow_daylight_saving(tmp_path: Path) -> None:
    long_night = OPEN + 27 * 86_400 * NS
    manifest = msgspec.structs.replace(MANIFEST, date="2013-11-03")
    rows: Tables = {"bars": []}
    for hours in (-9, 14):
        start = long_night + hours * 3600 * NS + 30 * MINUTE
        rows["bars"].append(["AAA", start, start + MINUTE, start + MINUTE, 10.0, 11.0, 9.0, 10.0, 1.0, ""])
    write_day(tmp_path / "day", manifest, INSTRUMENTS, rows, checked=True)
    rows["bars"][1][1] += 3600 * NS
    rows["bars"][1][2] += 3600 * NS
    rows["bars"][1][3] += 3600 * NS
    with pytest.raises(DayError, match="after the day's end, 2013-11-04 05:00"):
        write_day(tmp_path / "late", manifest, INSTRUMENTS, rows, checked=True)


EARNINGS: list[Any] = ["eps", OPEN + 5 * MINUTE, OPEN + 5 * MINUTE, "AAA earnings", "US", "high", "1.0", "1.1"]


@pytest.mark.requirement("charts:calendar-kinds")
def test_a_calendar_with_kinds_loads_and_one_without_is_as_it_was(day: Path, tmp_path: Path) -> None:
    plain = load_day(day)
    assert "kind" not in plain.tables["calendar"]
    assert [event.kind for event in DayStore(plain).calendar(2**62, 0, 2**62)] == ["economic"]

    def earnings(rows: Tables) -> None:
        rows["calendar"] = [[*row, "economic", ""] for row in rows["calendar"]] + [[*EARNINGS, "earnings", "AAA"]]

    told = DayStore(load_day(resealed(day, tmp_path / "kinds", earnings))).calendar(OPEN, 0, 2**62)
    assert [(event.kind, event.symbol, event.actual) for event in told] == [
        ("economic", "", ""),
        ("earnings", "AAA", ""),
    ]


@pytest.mark.requirement("charts:calendar-kinds")
@pytest.mark.parametrize(
    ("kind", "symbol", "says"),
    [
        ("rumour", "AAA", r"calendar.parquet, row 1 \(cpi, .*kind is 'rumour'; allowed are earnings, economic"),
        ("earnings", "ZZZ", r"row 1 .*'ZZZ' is not in day.toml, which has AAA, BBB, CCC"),
    ],
)
def test_a_kind_or_a_company_that_is_unknown_is_refused(
    day: Path, tmp_path: Path, kind: str, symbol: str, says: str
) -> None:
    def change(rows: Tables) -> None:
        rows["calendar"] = [[*row, kind, symbol] for row in rows["calendar"]]

    with pytest.raises(DayError, match=says):
        load_day(resealed(day, tmp_path / "broken", change))
