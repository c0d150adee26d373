"""An exchange in trouble: an error that says what to do, in time, and nothing made up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from bus.clock import NS, monotonic_ns, wall_ns
from bus.errors import SourceBusyError, SourceError
from bus.messages import Bar
from feed._ccxt_records import BadRecordError, bar_from, trade_from
from feed.source import Source
from tests.ccxt_source.desk import minute_ago, opened
from tests.ccxt_source.venue import DEADLINE_S, Candle, Fault, Venue, candles

START = minute_ago(5)


@pytest.fixture
def venue() -> Iterator[Venue]:
    with Venue("binance") as made:
        made.candles["BTCUSDT"] = candles(START, 5)
        yield made


def ask(source: Source) -> list[Bar]:
    return source.bars("BTC/USDT", "1Min", START * NS, (START + 300) * NS)


@pytest.mark.requirement("ccxt:busy")
@pytest.mark.parametrize("status", [429, 418])
def test_a_rate_limit_is_told_with_how_long_to_wait_and_asked_once(venue: Venue, status: int) -> None:
    venue.faults["/klines"] = [Fault(status, {"Retry-After": "7"}, '{"code":-1003,"msg":"Too many requests."}')]
    with opened(venue) as source:
        with pytest.raises(SourceBusyError, match=f"for 7 s .HTTP {status}") as caught:
            ask(source)
        assert caught.value.retry_after_s == 7.0
        assert len(venue.calls("/klines")) == 1
        assert ask(source)


@pytest.mark.requirement("ccxt:busy")
def test_retry_after_may_be_a_date_by_the_exchanges_clock(venue: Venue) -> None:
    venue.skew_s = 3_000
    later = formatdate(wall_ns() // NS + 3_000 + 90, usegmt=True)
    venue.faults["/exchangeInfo"] = [Fault(429, {"Retry-After": later})]
    with opened(venue) as source, pytest.raises(SourceBusyError) as caught:
        source.instruments()
    assert 80 <= caught.value.retry_after_s <= 91


@pytest.mark.requirement("ccxt:busy")
def test_a_rate_limit_that_kraken_tells_in_words_is_busy_too() -> None:
    with Venue("kraken") as venue:
        venue.faults["/Assets"] = [Fault(body='{"error":["EGeneral:Too many requests"]}')]
        with opened(venue) as source, pytest.raises(SourceBusyError, match="Too many requests") as caught:
            source.instruments()
    assert caught.value.retry_after_s == 0.0


@pytest.mark.requirement("ccxt:outage")
@pytest.mark.parametrize(
    "fault",
    [
        Fault(503, body="<html>down</html>"),
        Fault(520),
        Fault(200, body="<html>maintenance</html>"),
        Fault(200, body='[[1,"2"'),
        Fault(200, body="{}"),
        Fault(200, body='[["x","y"]]'),
        Fault(200, body="[" * 100_000),
        Fault(200),
        Fault(400, body='{"code":-1000,"msg":"An unknown error occurred"}'),
    ],
    ids=["503", "520", "html", "cut json", "empty", "rows of nonsense", "deep", "nothing", "refused"],
)
def test_an_outage_or_nonsense_is_an_error_and_is_over_when_it_is_over(venue: Venue, fault: Fault) -> None:
    with opened(venue) as source:
        assert len(ask(source)) == 5
        venue.faults["/klines"] = [fault]
        with pytest.raises(SourceError, match="binance|BTC/USDT") as caught:
            ask(source)
        assert len(str(caught.value)) < 500
        assert len(venue.calls("/klines")) == 2
        assert len(ask(source)) == 5


@pytest.mark.requirement("ccxt:outage")
def test_a_connection_that_is_cut_is_an_error(venue: Venue) -> None:
    with opened(venue) as source:
        source.instruments()
        # aiohttp sends a question once more where a connection that was kept had ended meanwhile.
        venue.faults["/klines"] = [Fault(cuts=True), Fault(cuts=True)]
        with pytest.raises(SourceError, match="cannot be reached"):
            ask(source)
        assert len(ask(source)) == 5


@pytest.mark.requirement("ccxt:outage")
def test_no_answer_is_an_error_within_the_time_out(venue: Venue) -> None:
    venue.faults["/klines"] = [Fault(hangs=True)]
    with opened(venue, timeout_s=0.5) as source:
        source.instruments()
        began_ns = monotonic_ns()
        with pytest.raises(SourceError, match=r"did not answer within 0\.5 s"):
            ask(source)
        assert monotonic_ns() - began_ns < 5 * NS


@pytest.mark.requirement("ccxt:outage")
def test_nobody_there_is_an_error_and_the_source_recovers(venue: Venue) -> None:
    with opened(venue, rest_url="http://127.0.0.1:9") as source, pytest.raises(SourceError, match="cannot be reached"):
        source.instruments()
    venue.faults["/exchangeInfo"] = [Fault(502)]
    with opened(venue) as source:
        with pytest.raises(SourceError):
            source.instruments()
        assert source.instruments()


@pytest.mark.requirement("ccxt:hygiene")
def test_a_candle_that_cannot_be_is_left_out_and_logged(venue: Venue, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = venue.candles["BTCUSDT"][0], venue.candles["BTCUSDT"][1]
    venue.candles["BTCUSDT"][1] = Candle(bad.at_s, "10", "9", "8", "8.5", "1")
    with opened(venue) as source, caplog.at_level(logging.WARNING, "feed"):
        bars = ask(source)
    assert bars[0].open_time_ns == good.at_s * NS
    assert [bar.open_time_ns for bar in bars].count(bad.at_s * NS) == 0
    assert len(bars) == 4
    assert "1 left out of the bars of BTC/USDT (1: its high and low" in caplog.text


@pytest.mark.requirement("ccxt:hygiene")
@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("no row", "no candle"),
        ([1_700_000_040_000, "1"], "no candle"),
        ([None, "1", "1", "1", "1", "1"], "time"),
        ([40, "1", "1", "1", "1", "1"], "time"),
        ([1_700_000_040_000, None, "1", "1", "1", "1"], "missing"),
        ([1_700_000_040_000, "NaN", "1", "1", "1", "1"], "no number"),
        ([1_700_000_040_000, "x", "1", "1", "1", "1"], "no number"),
        ([1_700_000_040_000, "0", "1", "0", "1", "1"], "not above 0"),
        ([1_700_000_040_000, "1", "1", "1", "1", "-1"], "negative"),
        ([1_700_000_040_000, "1", "1", "1", "1", "1e12"], "more than a message holds"),
        ([1_700_000_040_000, "0.0000000001", "1", "0.0000000001", "1", "1"], "finer than a billionth"),
        ([1_700_000_041_000, "1", "1", "1", "1", "1"], "multiple of 1m"),
        ([1_700_000_160_000, "1", "1", "1", "1", "1"], "in the future"),
    ],
)
def test_an_impossible_candle_is_refused_with_the_reason(row: object, why: str) -> None:
    with pytest.raises(BadRecordError, match=why):
        bar_from("A/B", row, "1Min", 1_700_000_100 * NS)


@pytest.mark.requirement("ccxt:hygiene")
def test_a_trade_of_nothing_is_refused() -> None:
    with pytest.raises(BadRecordError, match="nothing was traded"):
        trade_from("A/B", {"timestamp": 1_700_000_040_000, "price": "1", "amount": "0"})


@pytest.mark.requirement("ccxt:close")
def test_closing_ends_a_question_that_waits_and_the_thread(venue: Venue) -> None:
    venue.faults["/klines"] = [Fault(hangs=True)]
    with opened(venue, timeout_s=60.0) as source, ThreadPoolExecutor(1) as pool:
        source.instruments()
        waiting = pool.submit(ask, source)
        assert venue.hung.get(timeout=DEADLINE_S) == "/api/v3/klines"
        source.close()
        with pytest.raises(SourceError, match="was closed"):
            waiting.result(DEADLINE_S)
        with pytest.raises(SourceError, match="is closed"):
            ask(source)
    assert not [thread.name for thread in threading.enumerate() if thread.name == "ccxt-rest"]
