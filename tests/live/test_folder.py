"""A folder of somebody's files as a source: what is read, what is refused, and how it is told."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.clock import NS
from bus.errors import ConfigError, NotOfferedError, SourceError
from bus.local_transport import LocalTransport
from bus.messages import Bars, FeedStats, GetFeedStats, QueryBars, QueryChart
from feed._folder import FolderSource, open_folder
from feed.live import LiveFeed, build_live_feed
from feed.source import SourceSpec
from feed.spec import FeedSpec
from tests.live.scripted import MINUTE, NOON, Wall, ask

HEAD = "timestamp,open,high,low,close,volume\n"


def folder(path: Path, *symbols: str, calendar: str = "XNYS", now: int = NOON + 86_400 * NS) -> FolderSource:
    return open_folder(SourceSpec("folder", symbols, path=str(path), calendar=calendar), clock=Wall(now))


def minutes(path: Path, count: int, start: int = NOON) -> Path:
    lines = [f"{start // NS + 60 * n},{100 + n},{102 + n},{99 + n},{101 + n}.25,{1000 + n}" for n in range(count)]
    path.write_text(HEAD + "\n".join(lines) + "\n")
    return path


def opens(source: FolderSource, symbol: str = "SPY", timeframe: str = "1Min") -> list[int]:
    assert timeframe in source.traits.timeframes
    return [bar.open_time_ns for bar in source.bars(symbol, timeframe, 0, 2**62)]  # pyright: ignore[reportArgumentType] - one of them


@pytest.mark.requirement("live:folder")
def test_a_csv_file_is_served_to_the_billionth(tmp_path: Path) -> None:
    minutes(tmp_path / "SPY.csv", 5)
    source = folder(tmp_path, "SPY")
    assert source.traits.timeframes == ("1Min",)
    assert source.traits.offers == {"bars"}
    bars = source.bars("SPY", "1Min", NOON + MINUTE, NOON + 3 * MINUTE)
    assert [bar.open_time_ns for bar in bars] == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert (bars[0].close_nano, bars[0].volume_nano) == (102_250_000_000, 1001 * NS)
    assert all(bar.available_time_ns == bar.event_time_ns == bar.open_time_ns + MINUTE for bar in bars)
    (instrument,) = source.instruments()
    assert (instrument.symbol, instrument.kind, instrument.has_volume) == ("SPY", "equity", True)


@pytest.mark.requirement("live:folder")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spy.csv", "Date;O;H;L;C;Vol\n2024-03-13T12:00:00Z;1;2;1;2;5\n2024-03-13T12:01:00Z;1;2;1;2;5\n"),
        (
            "SPY_1Min.csv",
            "\ufeffTIME\tOPEN\tHIGH\tLOW\tCLOSE\n2024-03-13 08:00:00\t1\t2\t1\t2\n2024-03-13 08:01\t1\t2\t1\t2\n",
        ),
        ("SPY-1min.csv", "t,c,l,h,o,junk\n1710331200000,2,1,2,1,x\n1710331260000,2,1,2,1,y\n"),
        ("SPY.csv", "open_time,open,high,low,close\n1710331200000000000,1,2,1,2\n1710331260000000,1,2,1,2\n"),
        ("SPY.csv", "timestamp|open|high|low|close\n2024-03-13T08:00:00-04:00|1|2|1|2\n1710331260.0|1|2|1|2\n"),
    ],
)
def test_usual_names_and_times_are_understood(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    source = folder(tmp_path, "SPY")
    assert opens(source) == [NOON, NOON + MINUTE]
    assert source.problems == {}


@pytest.mark.requirement("live:folder")
@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_NS", "VARCHAR"])
def test_a_parquet_file_is_served(tmp_path: Path, kind: str) -> None:
    with duckdb.connect() as db:
        zone = "Z" if kind in ("TIMESTAMPTZ", "VARCHAR") else ""
        hour = 12 if zone else 8  # without a zone it is the venue's time
        db.execute("SET TimeZone = 'UTC'")
        db.execute(
            f"COPY (SELECT CAST('2024-03-13T{hour:02}:0' || n || ':00{zone}' AS {kind}) AS Timestamp, "
            "1.5::DECIMAL(9,2) AS open, 2.5 AS high, 1.0 AS low, 2 AS close, 7::BIGINT AS volume "
            f"FROM range(3) t(n)) TO '{tmp_path / 'SPY.parquet'}' (FORMAT parquet)"
        )
    source = folder(tmp_path, "SPY")
    assert opens(source) == [NOON + n * MINUTE for n in range(3)]
    assert source.bars("SPY", "1Min", NOON, NOON + 1)[0].open_nano == 1_500_000_000


@pytest.mark.requirement("live:folder")
def test_days_are_the_venues_sessions_half_days_too(tmp_path: Path) -> None:
    rows = "\n".join(f"2024-{day},1,2,1,2,5" for day in ("07-02", "07-03", "07-04", "07-05", "07-06"))
    (tmp_path / "SPY.csv").write_text(HEAD + rows)
    source = folder(tmp_path, "SPY", now=2**61)
    assert source.traits.timeframes == ("1Day",)
    bars = source.bars("SPY", "1Day", 0, 2**61)
    assert [bar.session for bar in bars] == ["2024-07-02", "2024-07-03", "2024-07-05"]
    hours = [(bar.event_time_ns - bar.open_time_ns) / 3600 / NS for bar in bars]
    assert hours == [6.5, 3.5, 6.5]
    assert source.problems == {"a date without a session": 2}


@pytest.mark.requirement("live:folder")
def test_broken_rows_are_left_out_and_counted_with_what_is_wrong(tmp_path: Path) -> None:
    good = f"{NOON // NS},1,2,1,2,5"
    broken = {
        "no timestamp": ",1,2,1,2,5",
        "no close": f"{NOON // NS + 60},1,2,1,,5",
        "a low above or a high below another price": f"{NOON // NS + 60},1,2,3,2,5",
        "a price that is not above zero": f"{NOON // NS + 60},1,2,0,2,5",
        "a volume below zero": f"{NOON // NS + 60},1,2,1,2,-5",
        "it was there already": good,
        "a date without a time": "2024-03-13,1,2,1,2,5",
        "the open is no number, or one too large": f"{NOON // NS + 60},1e30,2,1,2,5",
    }
    others = [
        "soon,1,2,1,2,5",
        f"{NOON // NS + 60},1,inf,1,2,5",
        f"{NOON // NS + 60},1,2,1,nan,5",
        f"{NOON // NS + 60},1,1e30,1,2,5",
    ]
    (tmp_path / "SPY_1Min.csv").write_text(HEAD + "\n".join([good, *broken.values(), *others]))
    source = folder(tmp_path, "SPY")
    assert opens(source) == [NOON]
    assert source.problems.items() >= {why: 1 for why in broken}.items()
    assert source.rejected_records == len(broken) + len(others)


@pytest.mark.requirement("live:folder")
@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=200), data=st.binary(max_size=60))
def test_any_file_is_read_or_refused_but_never_breaks(
    tmp_path_factory: pytest.TempPathFactory, text: str, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any")
    (path / "SPY_1Min.csv").write_bytes(HEAD.encode() + text.encode("utf-8", "replace"))
    (path / "QQQ_1Min.csv").write_bytes(data)
    (path / "IWM_1Min.parquet").write_bytes(data)
    source = folder(path, "SPY", "QQQ", "IWM")
    for symbol in ("SPY", "QQQ", "IWM"):
        with contextlib.suppress(SourceError):
            assert source.bars(symbol, "1Min", 0, 2**62) == []


@pytest.mark.requirement("live:folder")
def test_what_has_not_happened_is_not_given_and_a_file_that_grows_is_read_again(tmp_path: Path) -> None:
    path = minutes(tmp_path / "SPY.csv", 5)
    wall = Wall(NOON + 2 * MINUTE + 1)
    source = open_folder(SourceSpec("folder", ("SPY",), path=str(tmp_path)), clock=wall)
    assert opens(source) == [NOON, NOON + MINUTE]
    wall.now_ns = NOON + 86_400 * NS
    assert len(opens(source)) == 5
    minutes(path, 7)
    os.utime(path, ns=(1, 1))
    assert len(opens(source)) == 7


@pytest.mark.requirement("live:folder")
def test_news_and_releases_are_read_where_there_are_files(tmp_path: Path) -> None:
    minutes(tmp_path / "SPY.csv", 3)
    (tmp_path / "news.csv").write_text(
        'timestamp,title,symbols\n2024-03-13T12:00:00Z,"Up, again",SPY qqq\n'
        "2024-03-13T13:00:00Z,Down,QQQ\nnever,x,SPY\n"
    )
    (tmp_path / "calendar.csv").write_text(
        "date,event,country,actual\n2024-03-14T12:30:00Z,CPI,US,3.2\n2024-03-14T12:30:00Z,PPI,US,\n"
    )
    source = folder(tmp_path, "SPY")
    assert source.traits.offers == {"bars", "news", "calendar"}
    (item,) = source.news(("SPY",), 0, 2**61)
    assert (item.headline, item.symbols, item.event_time_ns) == ("Up, again", ("QQQ", "SPY"), NOON)
    assert len(source.news((), 0, 2**61)) == 2
    assert {event.name: event.actual for event in source.calendar(0, 2**61)} == {"CPI": "3.2", "PPI": ""}
    assert source.rejected_records == 1


@pytest.mark.requirement("live:folder")
def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    minutes(tmp_path / "SPY.csv", 3)
    with pytest.raises(ConfigError, match=r"no file of QQQ; it has SPY.csv: add QQQ.csv"):
        folder(tmp_path, "SPY", "QQQ")
    with pytest.raises(ConfigError, match="name a folder"):
        folder(tmp_path / "none", "SPY")
    with pytest.raises(ConfigError, match="source.path is missing"):
        open_folder(SourceSpec("folder", ("SPY",)))
    with pytest.raises(ConfigError, match="source.symbols is empty"):
        open_folder(SourceSpec("folder", (), path=str(tmp_path)))
    source = folder(tmp_path, "SPY")
    for ask_it in (
        lambda: source.bars("SPY", "1Day", 0, 1),
        lambda: source.bars("QQQ", "1Min", 0, 1),
        lambda: source.quotes(("SPY",)),
        lambda: source.trades("SPY", 0, 1),
        lambda: source.news((), 0, 1),
        lambda: source.calendar(0, 1),
    ):
        with pytest.raises(NotOfferedError):
            ask_it()
    (tmp_path / "ODD.csv").write_text(HEAD + f"{NOON // NS},1,2,1,2,5\n{NOON // NS + 77},1,2,1,2,5\n")
    with pytest.raises(ConfigError, match=r"77 seconds apart.*ODD_1Min.csv"):
        folder(tmp_path, "ODD")


@pytest.mark.requirement("live:folder")
def test_a_feed_runs_on_a_folder(tmp_path: Path) -> None:
    minutes(tmp_path / "SPY.csv", 200)
    spec = FeedSpec(
        day="", source=SourceSpec("folder", ("SPY",), path=str(tmp_path)), cache_file=str(tmp_path / "unused")
    )
    feed = build_live_feed(spec, LocalTransport(), {"feed.pub": "local://feed.pub"})
    try:
        assert isinstance(feed, LiveFeed)
        as_of = NOON + 100 * MINUTE
        bars = ask(feed, QueryBars("SPY", 50, as_of), Bars).bars
        assert [bar.open_time_ns for bar in bars] == [NOON + n * MINUTE for n in range(50, 100)]
        chart = feed.handle(QueryChart(("SPY",), ("5Min",), 4, as_of))
        assert chart is not None
        assert ask(feed, GetFeedStats(), FeedStats).state == "polling"
        assert not (tmp_path / "unused").exists()
    finally:
        feed.close()
