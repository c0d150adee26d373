"""Series to compute on: made by hypothesis, of the sample day, and of recorded days where there are any."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import strategies as st

from quant.catalogue import CATALOGUE, BarArrays, Indicator
from tests.mcp_servers.desk import sample_day

ROOT = Path(__file__).resolve().parents[2]
RECORDED = {
    "AIG": "us-equities-2013-10/bars_1m/2013-10-0[7-9].parquet",
    "BTCUSD": "crypto-2018-04/bars_1m/2018-04-04.parquet",
    "EURUSD": "fx-2014-05/bars_1m/2014-05-0*.parquet",
    "ES_201312": "futures-2013-10/bars_1m/2013-10-0[7-8].parquet",
}
"""One symbol each of shares, coins, currencies (no volume) and futures."""

_Move = tuple[int, int, int, int]


def small(row: Indicator) -> dict[str, Any]:
    """Parameters of a quarter of the default windows, so that short series are enough."""
    return {p.name: max(int(p.low), int(p.default) // 4) if p.kind == "int" else p.default for p in row.params}


def bars_of(moves: list[_Move], tick: float = 1 / 64, start: int = 2_000) -> BarArrays:
    """Bars from moves: the close's, what the high and the low reach beyond, and the volume.

    The tick is a power of two, so that sums of prices are exact and equal ones are equal.
    """
    close = np.maximum(start + np.cumsum([move[0] for move in moves]), 1)
    opens = np.concatenate([[close[0]], close[:-1]])
    high = np.maximum(opens, close) + [move[1] for move in moves]
    low = np.maximum(np.minimum(opens, close) - [move[2] for move in moves], 1)
    volume = np.array([move[3] for move in moves], dtype=np.float64)
    return BarArrays(high * tick, low * tick, close * tick, volume)


def moves(least: int, most: int) -> st.SearchStrategy[list[_Move]]:
    """Any bars: flat stretches, ties, and bars without volume among them."""
    reach = st.integers(0, 4)
    return st.lists(st.tuples(st.integers(-6, 6), reach, reach, st.integers(0, 5)), min_size=least, max_size=most)


def lively(least: int, most: int) -> st.SearchStrategy[list[_Move]]:
    """Bars in which something moves, so that a seed is forgotten at its due pace."""
    step = st.integers(1, 6).flatmap(lambda size: st.sampled_from((size, -size)))
    reach = st.integers(1, 4)
    return st.lists(st.tuples(step, reach, reach, st.integers(1, 9)), min_size=least, max_size=most)


def walk(count: int, seed: int = 5) -> BarArrays:
    """A long random walk with ties, flat bars and bars without volume now and then."""
    rng = np.random.default_rng(seed)
    made = np.column_stack(
        [rng.integers(-9, 10, count), rng.integers(0, 6, count), rng.integers(0, 6, count), rng.integers(0, 900, count)]
    )
    return bars_of([(int(a), int(b), int(c), int(d)) for a, b, c, d in made], start=9_000)


def each(bars: BarArrays, change: Callable[[Any], Any], volume: Callable[[Any], Any] = lambda it: it) -> BarArrays:
    """Change every series of prices alike, and the volume."""
    return BarArrays(change(bars.high), change(bars.low), change(bars.close), volume(bars.volume))


def last(bars: BarArrays, count: int) -> BarArrays:
    """The last bars."""
    return each(bars, lambda it: it[-count:], lambda it: it[-count:])


def _read(pattern: str, symbol: str) -> BarArrays:
    table = duckdb.connect().execute(
        "select high::double high, low::double low, close::double close, volume::double volume "
        "from read_parquet(?) where symbol = ? order by ts_event",
        [pattern, symbol],
    )
    columns = table.fetchnumpy()
    high, low, close, volume = (np.asarray(columns[name], np.float64) for name in ("high", "low", "close", "volume"))
    return BarArrays(high, low, close, volume)


@lru_cache(maxsize=8)
def recorded(symbol: str) -> BarArrays:
    """Bars of a recorded market; skips where there are none on this machine."""
    folder = Path(os.environ.get("OUTCRY_MARKET_DAYS", ROOT.parent / "shared" / "market-days"))
    if not folder.is_dir():
        pytest.skip("no recorded market days here: set OUTCRY_MARKET_DAYS to a folder that has them")
    bars = _read(str(folder / RECORDED[symbol]), symbol)
    assert len(bars.close) > 700, "too few bars to say anything"
    return bars


def series(name: str) -> BarArrays:
    """A series by name: ``walk``, ``sample`` or a recorded symbol."""
    if name == "walk":
        return walk(1_500)
    if name == "sample":
        return _read_sample()
    return recorded(name)


@lru_cache(maxsize=1)
def _read_sample() -> BarArrays:
    from feed.format import load_day
    from feed.store import DayStore

    store = DayStore(load_day(sample_day()))
    info = store.info()
    return BarArrays.of(store.bars("ACME", 10_000, info.last_ns))


SERIES = ("walk", "sample", *RECORDED)
ROWS = tuple(CATALOGUE.values())


def near(ours: Any, theirs: Any, *, share: float = 1e-9, first: int = 0, what: str = "") -> None:
    """Hold ours against theirs from a place on, wherever both have a value: within a share of ours' own range and size.

    Theirs may begin later: some functions of TA-Lib begin all outputs with the last of them.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    known = np.isfinite(ours) & np.isfinite(theirs)
    scale = np.ptp(ours[known]) + np.abs(ours[known]).max() * 1e-2 + 1e-6 if known.any() else 0.0
    known[:first] = False
    if not known.any():
        return
    assert (np.isfinite(ours) & ~known)[max(first, int(np.argmax(np.isfinite(theirs)))) :].sum() == 0
    worst = np.abs(ours[known] - theirs[known]).max()
    assert worst <= share * scale, f"{what} off by {worst:g} of {scale:g}"
