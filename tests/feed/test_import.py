"""What an import makes of other people's files, and what it leaves as it is."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from bus.clock import NS
from bus.errors import DayError
from bus.fixed import to_nano
from bus.messages import Instrument
from feed._instruments import instrument_of
from feed._parquet import connect
from feed.catalog import check_day
from feed.format import load_day
from feed.importer import import_folder
from feed.sample import write_sample
from feed.store import DayStore
from tests.feed.made import BARS, MINUTE, OPEN, POSTS, QUOTES, source_bar, source_file, source_quote

ROOT = Path(__file__).resolve().parents[2]
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIDNIGHT = OPEN - 13 * HOUR - 30 * MINUTE
"""2013-10-07 00:00 UTC."""
TRADES = "ts_event BIGINT, symbol VARCHAR, price DOUBLE, size BIGINT, suspicious BIGINT"
UPDATES = "ts_event BIGINT, symbol VARCHAR, bid DOUBLE, bid_size BIGINT, ask DOUBLE, ask_size BIGINT, exchange VARCHAR"
DAILY = "date VARCHAR, symbol VARCHAR, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE"


def market_days() -> Path:
    folder = Path(os.environ.get("OUTCRY_MARKET_DAYS", ROOT.parent / "shared" / "market-days"))
    if not folder.is_dir():
        pytest.skip("no recorded market days here: set OUTCRY_MARKET_DAYS to a folder that has them")
    return folder


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.requirement("feed:import")
def test_an_equity_session_is_of_its_new_york_date_and_anything_else_of_its_utc_date(tmp_path: Path) -> None:
    late = MIDNIGHT + DAY + 30 * MINUTE
    for symbol in ("IBM", "EURUSD", "BTCUSD", "ES_201312"):
        source_file(tmp_path / symbol / "bars", BARS, [source_bar(symbol, OPEN), source_bar(symbol, late)])
    made = {symbol: import_folder(tmp_path / symbol, tmp_path / "out") for symbol in ("IBM", "EURUSD", "BTCUSD")}
    made["ES_201312"] = import_folder(tmp_path / "ES_201312", tmp_path / "out")
    assert [day.name for day in made["IBM"]] == ["IBM-2013-10-07"]
    for symbol in ("EURUSD", "BTCUSD", "ES_201312"):
        assert [day.name for day in made[symbol]] == [f"{symbol}-2013-10-07", f"{symbol}-2013-10-08"]
        assert "session dates are those of UTC" in load_day(made[symbol][0]).manifest.source


@pytest.mark.requirement("feed:import")
def test_crossed_quotes_are_left_out_and_counted_and_no_price_is_altered(tmp_path: Path) -> None:
    quotes = [
        source_quote("ES_201312", OPEN, 1670.25, 1670.5),
        source_quote("ES_201312", OPEN + MINUTE, 1670.5, 1670.25),
        source_quote("ES_201312", OPEN + 2 * MINUTE, 1670.25, 1670.25),
        source_quote("ES_201312", OPEN + 3 * MINUTE, 0.0, 1670.25),
    ]
    source_file(tmp_path / "src" / "quotes_1m" / "a.parquet", QUOTES, quotes)
    (folder,) = import_folder(tmp_path / "src", tmp_path / "out")
    day = load_day(folder)
    assert day.tables["quotes"]["bid"] == [1670.25, 1670.25]
    assert day.tables["quotes"]["ask"] == [1670.5, 1670.25]
    assert "1 crossed quotes left out" in day.manifest.source


@pytest.mark.requirement("feed:import")
def test_minutes_are_made_of_the_prints_that_are_not_suspicious_and_the_day_says_so(tmp_path: Path) -> None:
    prints = [
        [OPEN + 59 * NS, "IBM", 181.0, 10, 0],
        [OPEN + 1 * NS, "IBM", 180.0, 5, 0],
        [OPEN + 2 * NS, "IBM", 500.0, 5, 1],
        [OPEN + 30 * NS, "IBM", 179.5, 5, 0],
        [OPEN + MINUTE, "IBM", 182.0, 7, 0],
        [OPEN + 3 * MINUTE, "IBM", 182.5, 1, 0],
    ]
    updates = [
        [OPEN + 1 * NS, "IBM", 180.0, 3, 0.0, 0, "N"],
        [OPEN + 2 * NS, "IBM", 0.0, 0, 180.1, 4, "P"],
        [OPEN + 50 * NS, "IBM", 180.05, 2, 0.0, 0, "N"],
    ]
    source_file(tmp_path / "src" / "trades.parquet", TRADES, prints)
    source_file(tmp_path / "src" / "quotes.parquet", UPDATES, updates)
    (folder,) = import_folder(tmp_path / "src", tmp_path / "out")
    day = load_day(folder)
    bars = DayStore(day).bars("IBM", 10, OPEN + HOUR)
    assert [(bar.open_time_ns - OPEN) // MINUTE for bar in bars] == [0, 1, 3]
    first = bars[0]
    prices = (first.open_nano, first.high_nano, first.low_nano, first.close_nano, first.volume_nano)
    assert prices == tuple(to_nano(value) for value in ("180", "181", "179.5", "181", "20"))
    assert first.available_time_ns == OPEN + MINUTE
    assert len(day.tables["trades"]["price"]) == 5
    quotes = day.tables["quotes"]
    assert (quotes["bid_open"], quotes["bid"], quotes["ask"]) == ([180.0], [180.05], [180.1])
    assert (quotes["bid_size"], quotes["ask_size"]) == ([2.0], [4.0])
    assert "minutes are made of the trade prints" in day.manifest.source
    assert "last update of each side" in day.manifest.source


@pytest.mark.requirement("feed:import")
def test_a_daily_bar_is_complete_at_four_in_new_york_in_summer_and_in_winter(tmp_path: Path) -> None:
    rows = [[date, "IBM", 10.0, 11.0, 9.0, 10.5, 100.0] for date in ("2025-03-07", "2025-03-10")]
    source_file(tmp_path / "src" / "bars_1d.parquet", DAILY, rows)
    days = import_folder(tmp_path / "src", tmp_path / "out")
    ends = [load_day(day).tables["bars"]["available_time"][0] // NS % 86_400 // 3600 for day in days]
    assert ends == [21, 20]


@pytest.mark.requirement("feed:import")
def test_news_goes_to_the_first_session_that_ends_after_it_if_it_is_about_the_day(tmp_path: Path) -> None:
    source = tmp_path / "src"
    friday = OPEN - 3 * DAY
    source_file(source / "bars_1m", BARS, [source_bar("IBM", start) for start in (friday, OPEN, OPEN + 20 * DAY)])
    posts = [
        [friday - 2 * DAY, "IBM", "long before"],
        [friday - HOUR, "IBM", "the night before"],
        [friday + MINUTE, "IBM", "at the end"],
        [friday + MINUTE + NS, "IBM", "on the weekend"],
        [OPEN - DAY, "MSFT", "about another"],
        [OPEN - DAY, None, "about no one"],
        [OPEN - DAY, "MSFT", "about both"],
        [OPEN - DAY, "IBM", "about both"],
        [OPEN + 2 * DAY, "IBM", "lost in a gap of weeks"],
    ]
    source_file(source / "posts.parquet", POSTS, posts)
    days = [load_day(day) for day in import_folder(source, tmp_path / "out")]
    assert [day.tables.get("news", {}).get("headline") for day in days] == [
        ["the night before", "at the end"],
        ["on the weekend", "about both", "about no one"],
        None,
    ]
    assert days[1].tables["news"]["symbols"] == ["IBM", "IBM,MSFT", ""]
    assert "1 news items about other symbols left out" in days[1].manifest.source
    assert all(
        news["available_time"] == news["event_time"] for news in (day.tables.get("news") for day in days) if news
    )


@pytest.mark.requirement("feed:import")
def test_an_import_that_was_cut_short_is_taken_up_and_a_changed_day_is_not_overwritten(tmp_path: Path) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    source_file(source / "bars_1m", BARS, [source_bar("IBM", OPEN), source_bar("IBM", OPEN + DAY)])

    def stop(done: int, _total: int, _name: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_folder(source, out, stop)
    assert [path.name for path in out.iterdir()] == ["src-2013-10-07"]
    assert len(import_folder(source, out)) == 2
    whole = bytes_of(out)
    assert len(import_folder(source, out)) == 2
    assert bytes_of(out) == whole
    (out / "src-2013-10-08" / "day.toml").write_text("changed")
    with pytest.raises(DayError, match=r"src-2013-10-08 exists already and is not this day; choose another --out"):
        import_folder(source, out)
    assert sorted(path.name for path in out.iterdir()) == ["src-2013-10-07", "src-2013-10-08"]


@pytest.mark.requirement("feed:whole")
def test_a_source_that_breaks_a_rule_leaves_no_day_and_names_the_row(tmp_path: Path) -> None:
    wrong = source_bar("IBM", OPEN)
    wrong[4] = 1.0
    source_file(tmp_path / "src" / "bars_1m", BARS, [wrong])
    with pytest.raises(DayError, match=r"bars_1m.parquet, row 1 \(IBM, 2013-10-07 13:31:00Z\): high 1.0 is below low"):
        import_folder(tmp_path / "src", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.requirement("feed:import")
@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_row_without_symbol_or_time_is_refused(column: int, tmp_path: Path) -> None:
    wrong = source_bar("IBM", OPEN)
    wrong[column] = None
    source_file(tmp_path / "src" / "bars_1m", BARS, [source_bar("IBM", OPEN - MINUTE), wrong])
    with pytest.raises(DayError, match="a row has no symbol or no time"):
        import_folder(tmp_path / "src", tmp_path / "out")


@pytest.mark.requirement("feed:import")
def test_bars_of_two_lengths_are_not_mixed(tmp_path: Path) -> None:
    hour = source_bar("IBM", OPEN)
    hour[0] = OPEN + HOUR
    source_file(tmp_path / "src" / "bars_1m.parquet", BARS, [source_bar("IBM", OPEN)])
    source_file(tmp_path / "src" / "bars_1h.parquet", BARS, [hour])
    with pytest.raises(DayError, match=r"rows of 60 s beside rows of 3,600 s; import them apart"):
        import_folder(tmp_path / "src", tmp_path / "out")
    assert load_day(import_folder(tmp_path / "src" / "bars_1h.parquet", tmp_path / "out")[0]).manifest.bar_s == 3600


@pytest.mark.requirement("feed:import")
def test_odd_names_are_read_and_sealed_days_and_other_files_are_not(tmp_path: Path) -> None:
    source = tmp_path / "a [b] *c? 'd'"
    source_file(source.parent / "plain", BARS, [source_bar("IBM", OPEN)])
    source.mkdir()
    (source.parent / "plain").rename(source / "bars_1m")
    (source / "README").write_text("no data")
    (source / "notes.md").write_text("no data")
    first = import_folder(source, source / "days")
    assert import_folder(source, source / "days") == first
    assert check_day(first[0]).rows == {"bars": 1}
    (source / "torn.parquet").write_text("no data")
    with pytest.raises(DayError, match="torn.parquet is no Parquet file"):
        import_folder(source, source / "days")


@pytest.mark.requirement("feed:import")
@pytest.mark.parametrize("there", [True, False])
def test_a_source_with_nothing_to_import_is_refused(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "src").mkdir()
    with pytest.raises(DayError, match=r"holds no bars, quotes or trades \(no Parquet file\)|does not exist"):
        import_folder(tmp_path / "src", tmp_path / "out")


@pytest.mark.requirement("feed:import")
def test_a_day_tells_the_source_and_licence_of_the_files_it_was_made_of(tmp_path: Path) -> None:
    for name in ("one", "two"):
        row = ["2025-03-07", "IBM", 10.0, 11.0, 9.0, 10.5, 100.0]
        source_file(tmp_path / "src" / f"{name}.parquet", DAILY, [row])
    entries = [
        {"file": f"src/{name}.parquet", "source": [f"owner/{name}:path"], "licence": [f"terms of {name}"], "note": name}
        for name in ("one", "two")
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"files": entries}))
    days = [load_day(day).manifest for day in import_folder(tmp_path / "src", tmp_path / "out")]
    assert [day.id for day in days] == ["one-2025-03-07", "two-2025-03-07"]
    assert [day.licence for day in days] == ["terms of one", "terms of two"]
    assert days[0].source == "imported from one; owner/one; one"
    assert str(tmp_path) not in "".join(day.source for day in days)


@pytest.mark.requirement("feed:import")
@pytest.mark.parametrize(
    ("symbol", "prices", "expected"),
    [
        ("IBM", [10.123456], ("equity", "USD", "0.01", "1", 1, True)),
        ("ES_201312", [1.0], ("future", "USD", "0.25", "1", 50, True)),
        ("GC_201312", [1.0], ("future", "USD", "0.1", "1", 100, True)),
        ("EURUSD", [1.38675, 1.38671], ("fx", "USD", "0.00001", "1", 1, True)),
        ("EURUSD", [1.386755, 1.38671], ("fx", "USD", "0.000005", "1", 1, True)),
        ("USDJPY", [102.345], ("fx", "JPY", "0.005", "1", 1, True)),
        ("BTCUSD", [6800.01, 6800.0], ("crypto", "USD", "0.01", "0.00000001", 1, True)),
        ("BTCEUR", [5500.0], ("crypto", "EUR", "1", "0.00000001", 1, True)),
        ("XAUUSD", [1290.505, 1290.511], ("cfd", "USD", "0.001", "0.01", 1, True)),
        ("SPX", [3080.8], ("index", "USD", "0.01", "1", 1, False)),
    ],
)
def test_an_instrument_is_told_from_its_symbol_and_its_finest_step(
    symbol: str, prices: list[float], expected: tuple[str, str, str, str, int, bool]
) -> None:
    made = instrument_of(symbol, prices, has_volume=True)
    kind, currency, tick, lot, multiplier, tradable = expected
    assert made == Instrument(symbol, kind, currency, to_nano(tick), to_nano(lot), multiplier, True, tradable)  # pyright: ignore[reportArgumentType] - a kind among the table's words


@pytest.mark.requirement("feed:sample")
def test_the_sample_day_has_a_hostile_headline_gaps_and_prices_that_follow_the_news(tmp_path: Path) -> None:
    day = load_day(write_sample(tmp_path / "day"))
    news, bars = day.tables["news"], day.tables["bars"]
    assert any("IGNORE ALL PREVIOUS INSTRUCTIONS" in headline for headline in news["headline"])
    assert all(available > event for event, available in zip(news["event_time"], news["available_time"], strict=True))
    assert 0 < 6 * 390 - len(bars["symbol"]) < 120
    store = DayStore(day)
    good = ("raises", "wins", "beats")
    bad = ("slide", "misses", "lawsuit")
    moves: dict[bool, list[float]] = {True: [], False: []}
    for symbol, heard, words in zip(news["symbols"], news["available_time"], news["headline"], strict=True):
        tone = [any(word in words for word in some) for some in (good, bad)]
        before, after = store.bars(symbol, 1, heard), store.bars(symbol, 1, heard + 16 * MINUTE)
        if any(tone) and before:
            moves[tone[0]].append(after[0].close_nano / before[0].close_nano - 1)
    assert min(len(found) for found in moves.values()) >= 5
    assert sum(moves[True]) / len(moves[True]) > 0.001
    assert sum(moves[False]) / len(moves[False]) < -0.001


@pytest.mark.requirement("feed:whole")
def test_importing_real_days_twice_gives_the_same_bytes_and_the_recorded_prices(tmp_path: Path) -> None:
    source = market_days() / "us-equities-2014-06"
    days = import_folder(source, tmp_path / "one")
    import_folder(source, tmp_path / "two")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    names = "symbol, open, high, low, close, volume, session"
    with connect() as db:
        for day in days:
            kept = db.execute(f"SELECT {names} FROM read_parquet('{day}/bars_1m.parquet') ORDER BY ALL").fetchall()
            recorded = f"{source}/bars_1m/{day.name[-10:]}.parquet"
            assert kept == db.execute(f"SELECT {names} FROM read_parquet('{recorded}') ORDER BY ALL").fetchall()


@pytest.mark.requirement("feed:import")
def test_quotes_go_on_after_the_last_bar_of_a_day_that_ends_early(tmp_path: Path) -> None:
    days = import_folder(market_days() / "crypto-2018-04", tmp_path)
    day = load_day(days[0])
    store = DayStore(day)
    assert store.traded == ("BTCUSD", "ETHUSD", "LTCUSD")
    assert max(day.tables["bars"]["available_time"]) < store.instants[-1] == max(day.tables["quotes"]["available_time"])


@pytest.mark.requirement("feed:import")
def test_what_holds_no_market_data_beside_what_does_is_named_in_the_progress(tmp_path: Path) -> None:
    source_file(tmp_path / "src" / "bars_1m", BARS, [source_bar("IBM", OPEN)])
    source_file(tmp_path / "src" / "factors.parquet", "date BIGINT, factor DOUBLE", [[20131007, 1.0]])
    told: list[tuple[int, int, str]] = []
    import_folder(tmp_path / "src", tmp_path / "out", lambda done, total, what: told.append((done, total, what)))
    assert told == [
        (0, 1, "left out, no market data: factors.parquet"),
        (0, 1, "src-2013-10-07"),
        (1, 1, "src-2013-10-07"),
    ]


@pytest.mark.slow
@pytest.mark.requirement("feed:import")
def test_five_years_of_daily_bars_import_with_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    name = "stocknet-88-us-stocks-2012-2017"
    source = market_days() / "daily" / f"{name}.parquet"
    days = import_folder(source, tmp_path, lambda done, total, _: told.append((done, total)))
    assert len(set(days)) == 1_230
    assert told == [(done, 1_230) for done in range(1_231)]
    with connect() as db:
        for day in days[::100]:
            manifest = load_day(day, db).manifest
            assert (manifest.bar_s, len(manifest.traded)) == (86_400, 8)
            assert "Yahoo; split adjusted" in manifest.source
            assert "RAW" not in manifest.source
