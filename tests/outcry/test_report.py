"""The page after a run: it is whole, asks for nothing, and does not let data become page."""

from __future__ import annotations

import re
import shutil
from datetime import UTC
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bus.errors import DayError
from outcry._svg import Candle, EquityPoint, Mark, candle_chart, equity_chart, gather_candles, thin
from outcry.report import write_report
from tests.outcry.made_run import HOSTILE, MINUTE, OPEN_NS, MadeRun, at, intent, made_day, meta, small_run

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Checks nesting and collects tags, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def with_class(self, name: str) -> list[tuple[str, dict[str, str | None]]]:
        return [(tag, attrs) for tag, attrs in self.tags if name in (attrs.get("class") or "").split()]


def page_of(tmp_path: Path, symbol: str = "AAA", message: str = "position 900 is over 500", **changes: object) -> str:
    day = made_day(tmp_path / "day", symbol)
    small_run(tmp_path / "run", symbol, message)
    path = write_report(tmp_path / "run", meta(tmp_path / "run", **{"day_path": day, **changes}))
    return path.read_text(encoding="utf-8")


@pytest.mark.requirement("report:whole")
def test_the_page_is_well_formed_and_shows_figures_fills_and_denials(tmp_path: Path) -> None:
    page = Page(page_of(tmp_path))
    for told in ("run-0123456789ab", "100,250.12 USD", "1.000 %", "max_position", "position 900 is over 500",
                 "101.50", "100.625", "model_down", "-3.50", "open of the next bar", "trend up"):  # fmt: skip
        assert told in page.text, told
    assert len(page.with_class("buy")) == len(page.with_class("sell")) == 1
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 2
    assert all(attrs.get("aria-label") for tag, attrs in page.tags if tag == "svg")
    assert [tag for tag, _ in page.tags].count("title") > 50


@pytest.mark.requirement("report:times")
def test_times_carry_their_zone_in_utc_and_at_the_venue(tmp_path: Path) -> None:
    page = Page(page_of(tmp_path))
    assert "2013-10-07 13:40:00Z" in page.text
    assert "09:40:00 EDT" in page.text
    assert "America/New_York" in page.text


@pytest.mark.requirement("report:self-contained")
def test_the_page_asks_for_nothing_and_forbids_scripts(tmp_path: Path) -> None:
    source = page_of(tmp_path)
    assert "http://" not in source
    assert "https://" not in source
    assert "url(" not in source
    assert "@import" not in source
    page = Page(source)
    policy = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert "default-src 'none'" in (policy[0] or "")
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert links == ["data:,"]
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "img", "object", "embed", "form"}


@pytest.mark.requirement("report:hostile")
def test_hostile_names_and_messages_stay_text(tmp_path: Path) -> None:
    hostile = "https://evil.example/x.js"
    page = Page(page_of(tmp_path, HOSTILE, HOSTILE, model=HOSTILE, day=HOSTILE, run_id=HOSTILE, outcome=HOSTILE))
    tags = {tag for tag, _ in page.tags}
    assert "script" not in tags
    assert hostile in page.text
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") or name == "src" for name in attrs)]
    assert "\x1b" not in page.text


@pytest.mark.requirement("report:synthetic")
@pytest.mark.parametrize(("kind", "shown"), [("synthetic", True), ("recorded", False)])
def test_made_up_data_is_labelled_and_a_recorded_day_is_not(kind: str, shown: bool, tmp_path: Path) -> None:
    assert ("SYNTHETIC DATA" in page_of(tmp_path, kind=kind)) is shown


@pytest.mark.requirement("report:whole")
def test_without_the_day_the_page_says_so_and_shows_the_rest(tmp_path: Path) -> None:
    page = Page(page_of(tmp_path, day_path=None))
    assert "the day was not at hand" in page.text
    assert "101.50" in page.text


@pytest.mark.requirement("report:whole")
def test_a_day_that_was_changed_after_the_run_is_not_drawn(tmp_path: Path) -> None:
    page_of(tmp_path)
    bars = tmp_path / "day" / "bars_1m.parquet"
    shutil.copy(bars, tmp_path / "kept")
    bars.write_bytes((tmp_path / "kept").read_bytes()[:-1] + b"x")
    with pytest.raises(DayError, match="seal"):
        write_report(tmp_path / "run", meta(tmp_path / "run", day_path=tmp_path / "day"))


@pytest.mark.requirement("report:candles")
def test_many_bars_become_few_candles_that_keep_open_high_low_and_close() -> None:
    bars = [Candle(at(m), at(m + 1), 10 + m, 12 + m, 9 + m, 11 + m) for m in range(390)]
    candles, span_s = gather_candles(bars, 60)
    assert span_s == 300
    assert len(candles) == 78
    assert candles[0] == Candle(at(0), at(5), 10, 16, 9, 15)
    assert (candles[-1].open, candles[-1].close) == (395, 400)
    few, same = gather_candles(bars[:20], 60)
    assert (few, same) == (bars[:20], 60)


@pytest.mark.requirement("report:candles")
def test_a_fill_is_drawn_at_its_time_and_price() -> None:
    bars = [Candle(at(m), at(m + 1), 100, 110, 90, 100) for m in range(10)]
    drawn = candle_chart(bars, [Mark(at(5), 100.0, "buy", "a"), Mark(at(5), 105.0, "sell", "b")], UTC, "x")
    tips = re.findall(r'class="(buy|sell)" points="([\d.]+),([\d.]+)', drawn)
    (_, x_buy, y_buy), (_, x_sell, y_sell) = tips
    middle = (6 + 960 - 76) / 2
    assert float(x_buy) == float(x_sell) == pytest.approx(middle, abs=0.1)
    assert float(y_sell) < float(y_buy) == pytest.approx((14 + 254) / 2, abs=0.1)


@pytest.mark.requirement("report:candles")
def test_a_flat_price_and_a_single_instant_can_be_drawn() -> None:
    flat = [Candle(OPEN_NS, OPEN_NS + MINUTE, 0.00001, 0.00001, 0.00001, 0.00001)]
    for picture in (
        candle_chart(flat, [], UTC, "flat"),
        equity_chart([EquityPoint(OPEN_NS, 100_000.0, 0.0)], 100_000.0, "USD", UTC, "one"),
    ):
        Page(picture)
        assert "nan" not in picture


@pytest.mark.requirement("report:candles")
def test_thinning_keeps_the_ends_the_top_and_the_bottom() -> None:
    points = [EquityPoint(at(m), 1000 + (m * 37 % 101) - (500 if m == 7777 else 0), 0.0) for m in range(10_000)]
    kept = thin(points)
    assert len(kept) < 700
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert points[7777] in kept
    assert max(kept, key=lambda p: p.equity).equity == max(points, key=lambda p: p.equity).equity
    assert kept == sorted(kept, key=lambda p: p.time_ns)


@pytest.mark.requirement("report:candles")
def test_partial_fills_of_an_order_inside_a_candle_share_a_mark_at_their_average(tmp_path: Path) -> None:
    run = MadeRun(tmp_path / "run")
    run.minute = 12
    buy, sell = intent(1, 0, "buy", 10), intent(1, 1, "sell", 10)
    first, second, other = run.fill(buy, "101", "1"), run.fill(buy, "103", "1"), run.fill(sell, "102", "1")
    run.instant(12, "100000", events=(first, second, other))
    run.trace.close()
    day = made_day(tmp_path / "day")
    page = Page(write_report(tmp_path / "run", meta(tmp_path / "run", day_path=day)).read_text(encoding="utf-8"))
    assert "buy 20 AAA at 102.00 in 2 fills, from 2013-10-07 13:41:00Z (09:41:00 EDT)" in page.text
    assert "sell 10 AAA at 102.00, 2013-10-07 13:41:00Z" in page.text
    assert "2 buy fills" in page.text
