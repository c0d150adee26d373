"""What the stream delivers and how it lives through a bad connection."""

from __future__ import annotations

import gc
import json
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bus.clock import NS, monotonic_ns
from bus.messages import Quote
from tests.ccxt_source.desk import Heard, minute_ago, opened, streaming
from tests.ccxt_source.venue import DEADLINE_S, MINUTE, Candle, Fault, Venue
from tests.ccxt_source.words import book, candle, kline, ohlc, ticker

HOUR_BEHIND = -3_600


@pytest.fixture(autouse=True)
def nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task of ccxt's ends in an error that nobody fetches, and no session or thread outlives its stream."""
    yield
    gc.collect()
    told = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name.startswith(("asyncio", "aiohttp", "ccxt"))
        and record.levelno >= logging.WARNING
        and record.name != "aiohttp.server"  # the venue's own: who leaves in the middle of a handshake is its client
    ]
    assert told == []
    assert threads() == []


@pytest.fixture
def binance() -> Iterator[Venue]:
    with Venue("binance") as venue:
        yield venue


@pytest.fixture
def kraken() -> Iterator[Venue]:
    with Venue("kraken") as venue:
        yield venue


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ccxt")]


@pytest.mark.requirement("ccxt:stream")
@pytest.mark.requirement("ccxt:exact")
def test_kraken_streams_complete_candles_once_corrections_and_quotes_exactly(kraken: Venue) -> None:
    kraken.skew_s = HOUR_BEHIND
    sink, third = Heard(), minute_ago(3)
    with opened(kraken) as source, streaming(kraken, source, sink):
        assert kraken.wait_subscribed(2) == [("ohlc", "BTC/USD"), ("ticker", "BTC/USD")]
        sink.until_state("connected")
        kraken.say(ohlc(candle(third, "1234567.123456788")))
        kraken.say(ohlc(candle(third, "1234567.123456789", "1234567890.12345678")))
        kraken.say(ohlc(candle(third + 60, "50000.1")))
        bar = sink.next("bar")
        assert (bar.symbol, bar.open_time_ns, bar.event_time_ns) == ("BTC/USD", third * NS, third * NS + MINUTE)
        assert (bar.close_nano, bar.volume_nano) == (1_234_567_123_456_789, 1_234_567_890_123_456_780)
        kraken.say(ohlc(candle(third + 60, "50000.2")))
        kraken.say(ohlc(candle(third, "1234567.5")))
        corrected = sink.next("bar")
        assert (corrected.open_time_ns, corrected.close_nano) == (third * NS, 1_234_567_500_000_000)
        kraken.say(ticker("1234567.123456789", "1234567.2"))
        quote = sink.next("quote")
        assert (quote.bid_nano, quote.ask_nano) == (1_234_567_123_456_789, 1_234_567_200_000_000)
        assert (quote.bid_size_nano, quote.ask_size_nano) == (1_500_000_000, 250_000_000)
        assert sink.rest("bar") == []
        assert sink.rest("rejected") == []


@pytest.mark.requirement("ccxt:stream")
@pytest.mark.requirement("ccxt:exact")
def test_binance_streams_complete_candles_once_corrections_and_quotes_exactly(binance: Venue) -> None:
    binance.skew_s = HOUR_BEHIND
    sink, third = Heard(), minute_ago(3)
    with opened(binance) as source, streaming(binance, source, sink):
        assert binance.wait_subscribed(2) == [("bookTicker", "btcusdt"), ("kline_1m", "btcusdt")]
        sink.until_state("connected")
        for row in (candle(third), candle(third, "1234567.123456789", "1234567890.12345678"), candle(third + 60)):
            binance.say(kline(row))
        bar = sink.next("bar")
        assert (bar.open_time_ns, bar.close_nano) == (third * NS, 1_234_567_123_456_789)
        assert bar.volume_nano == 1_234_567_890_123_456_780
        binance.say(kline(candle(third, "50000.7")))
        assert sink.next("bar").close_nano == 50_000_700_000_000
        binance.say(book())
        quote = sink.next("quote")
        assert (quote.symbol, quote.bid_nano, quote.bid_size_nano) == ("BTC/USDT", 50_000_100_000_010, 1_500_000_000)
        assert quote.event_time_ns == quote.available_time_ns


@pytest.mark.requirement("ccxt:stream")
def test_a_candle_is_complete_by_the_clock_where_no_later_one_comes(binance: Venue) -> None:
    sink, last = Heard(), minute_ago(1)
    with opened(binance) as source, streaming(binance, source, sink):
        binance.wait_subscribed(2)
        sink.until_state("connected")
        binance.say(kline(candle(last)))
        while not (bars := sink.rest("bar")):
            binance.say(book())
            sink.next("quote")
        assert [bar.open_time_ns for bar in bars] == [last * NS]


@pytest.mark.requirement("ccxt:order")
def test_late_candles_are_given_and_impossible_ones_are_counted(binance: Venue) -> None:
    binance.skew_s = HOUR_BEHIND
    sink, first = Heard(), minute_ago(9)
    with opened(binance) as source, streaming(binance, source, sink):
        binance.wait_subscribed(2)
        sink.until_state("connected")
        for minute in (0, 3, 1, 2):
            binance.say(kline(candle(first + minute * 60)))
        assert [sink.next("bar").open_time_ns for _ in range(3)] == [(first + n * 60) * NS for n in (0, 1, 2)]
        binance.say(kline(candle(minute_ago(-60))))
        assert "in the future" in sink.next("rejected")
        binance.say(kline(candle(first + 30)))
        assert "multiple of 1m" in sink.next("rejected")
        binance.say(kline(Candle(first + 4 * 60, "2", "1", "1", "1", "1")))
        assert "high and low" in sink.next("rejected")
        binance.say(book(bid="50001"))
        assert "above its ask" in sink.next("rejected")
        binance.say(kline(candle(first + 5 * 60)))
        assert sink.next("bar").open_time_ns == (first + 3 * 60) * NS
        assert sink.rest("quote") == []


@pytest.mark.requirement("ccxt:malformed")
@pytest.mark.parametrize(
    "frame",
    ['{"e":"kline","k":{', "hello", b"\xff\xfe\x00", '{"e":"kline","k":{"t":NaN}}', '{"e":"kline","k":null}'],
    ids=["cut", "text", "binary", "nan", "no candle"],
)
def test_a_frame_that_cannot_be_read_is_counted_and_the_stream_goes_on(binance: Venue, frame: str | bytes) -> None:
    binance.skew_s = HOUR_BEHIND
    sink, third = Heard(), minute_ago(3)
    with opened(binance) as source, streaming(binance, source, sink):
        binance.wait_subscribed(2)
        sink.until_state("connected")
        sink.rest("state")
        binance.say(frame)
        assert "ccxt:binance: a frame that" in sink.next("rejected")
        binance.say(kline(candle(third)))
        binance.say(kline(candle(third + 60)))
        assert sink.next("bar").open_time_ns == third * NS
        assert sink.rest("state") == []


@pytest.mark.requirement("ccxt:malformed")
def test_no_frame_ends_the_hearing_of_the_next(binance: Venue) -> None:
    binance.skew_s = HOUR_BEHIND
    sink, third = Heard(), minute_ago(3)
    parts: list[Any] = [None, True, 1, -1.5, "x", [], {}, [None], [[]], {"a": 1}, {"t": "x", "i": "1m", "s": "BTCUSDT"}]
    frames: list[Any] = [*parts, {}, *({"e": kind, "k": part} for kind in ("kline", "bookTicker") for part in parts)]
    frames += [{"result": part, "id": part} for part in parts] + [{"s": part, "b": part, "a": part} for part in parts]
    with opened(binance) as source, streaming(binance, source, sink):
        binance.wait_subscribed(2)
        sink.until_state("connected")
        sink.rest("state")
        for frame in frames:
            binance.say(json.dumps(frame))
        binance.say(kline(candle(third)))
        binance.say(kline(candle(third + 60)))
        assert sink.next("bar").open_time_ns == third * NS
        assert sink.rest("state") == []
        assert sink.rest("quote") == []


@pytest.mark.requirement("ccxt:order")
def test_our_clock_an_hour_behind_the_exchange_does_not_make_its_candles_impossible(binance: Venue) -> None:
    binance.skew_s = 3_600
    sink, ahead = Heard(), minute_ago(-57)
    with opened(binance) as source, streaming(binance, source, sink):
        binance.wait_subscribed(2)
        sink.until_state("connected")
        binance.say(kline(candle(ahead)))
        binance.say(kline(candle(ahead + 60)))
        assert sink.next("bar").open_time_ns == ahead * NS
        assert sink.rest("rejected") == []


@pytest.mark.requirement("ccxt:malformed")
def test_a_refused_subscription_is_told(kraken: Venue) -> None:
    kraken.mute = True
    sink = Heard()
    with opened(kraken) as source, streaming(kraken, source, sink):
        kraken.wait_subscribed(2)
        kraken.say(
            {"error": "Currency pair not supported BTC/USD", "method": "subscribe", "success": False, "req_id": 1}
        )
        assert "refused: Currency pair not supported" in sink.next("rejected")
        kraken.say({"channel": "heartbeat"})
        kraken.say(ticker("1.5", "2.5"))
        assert sink.next("quote").bid_nano == 1_500_000_000
        assert sink.rest("rejected") == []


@pytest.mark.requirement("ccxt:reconnect")
def test_a_stream_that_is_cut_connects_and_subscribes_again(binance: Venue) -> None:
    binance.skew_s = HOUR_BEHIND
    sink, first = Heard(), minute_ago(9)
    with opened(binance) as source, streaming(binance, source, sink):
        for n in range(2):
            assert len(binance.wait_subscribed(2)) == 2
            sink.until_state("connected")
            binance.say(kline(candle(first + n * 120)))
            binance.say(kline(candle(first + n * 120 + 60)))
            assert sink.next("bar").open_time_ns == (first + n * 120) * NS
            binance.cut()
            assert "closed the stream" in sink.until_state("down")
            assert "closed the stream" in sink.until_state("connecting")
    assert len(binance.calls("/exchangeInfo")) == 1


@pytest.mark.requirement("ccxt:reconnect")
def test_what_the_old_connection_still_had_to_say_does_not_end_the_new_one(kraken: Venue) -> None:
    """Kraken is asked for a subscription a second; the old connection's second one fails in the new one's time."""
    sink = Heard()
    with opened(kraken) as source, streaming(kraken, source, sink):
        kraken.wait_subscribed(1)
        kraken.cut()
        sink.until_state("down")
        kraken.wait_subscribed(2)
        sink.until_state("connected")
        kraken.say(ticker("1.5", "2.5"))
        assert sink.next("quote").bid_nano == 1_500_000_000
        assert sink.rest("state") == []
    assert kraken.connections == 2


@pytest.mark.requirement("ccxt:reconnect")
def test_a_stream_that_is_refused_waits_as_long_as_it_is_told(binance: Venue) -> None:
    binance.refusals = [(503, {"Retry-After": "1"})] * 2
    sink = Heard()
    with opened(binance) as source, streaming(binance, source, sink):
        assert "503" in sink.until_state("down")
        began_ns = monotonic_ns()
        sink.until_state("connected")
        assert monotonic_ns() - began_ns > 0.9 * NS


@pytest.mark.requirement("ccxt:reconnect")
@pytest.mark.parametrize(
    ("fault", "told"),
    [(Fault(503), "503"), (Fault(429, {"Retry-After": "1"}), "for 1 s"), (Fault(200, body="<html>"), "no JSON")],
    ids=["503", "429", "html"],
)
def test_an_outage_when_the_stream_starts_is_told_and_got_over(binance: Venue, fault: Fault, told: str) -> None:
    binance.faults["/exchangeInfo"] = [fault]
    sink = Heard()
    with opened(binance) as source, streaming(binance, source, sink):
        assert told in sink.until_state("down")
        sink.until_state("connected")
        assert len(binance.wait_subscribed(2)) == 2


@pytest.mark.requirement("ccxt:interrupted")
def test_a_candle_cut_off_with_the_connection_is_not_called_complete(binance: Venue) -> None:
    binance.skew_s = HOUR_BEHIND
    sink, first = Heard(), minute_ago(9)
    with opened(binance) as source, streaming(binance, source, sink):
        binance.wait_subscribed(2)
        sink.until_state("connected")
        binance.say(kline(candle(first)))
        binance.say(kline(candle(first + 60)))
        assert sink.next("bar").open_time_ns == first * NS
        binance.cut()
        sink.until_state("down")
        binance.wait_subscribed(2)
        sink.until_state("connected")
        binance.say(kline(candle(first + 180)))
        binance.say(kline(candle(first + 240)))
        assert sink.next("bar").open_time_ns == (first + 180) * NS


@pytest.mark.requirement("ccxt:silent")
def test_a_stream_that_is_connected_but_silent_is_told_and_connected_again(binance: Venue) -> None:
    sink = Heard()
    with opened(binance, silent_s=0.7) as source, streaming(binance, source, sink):
        binance.wait_subscribed(2)
        sink.until_state("connected")
        assert "nothing was heard for 0.7 s" in sink.until_state("silent")
        binance.wait_subscribed(2)
        sink.until_state("connected")
        binance.say(book())
        assert sink.next("quote").bid_nano == 50_000_100_000_010
    assert binance.connections >= 4


@pytest.mark.requirement("ccxt:silent")
def test_heartbeats_alone_are_silence(kraken: Venue) -> None:
    sink = Heard()
    with opened(kraken, silent_s=2.5) as source, streaming(kraken, source, sink):
        kraken.wait_subscribed(2)
        kraken.say({"channel": "heartbeat"})
        sink.until_state("silent")


@pytest.mark.requirement("ccxt:symbols")
def test_a_stream_of_symbols_that_are_none_says_so(binance: Venue) -> None:
    sink = Heard()
    with opened(binance) as source:
        stream = source.stream(("XYZ/USDT",), sink)
        assert "XYZ/USDT is no symbol" in sink.next("rejected")
        assert "none of the symbols" in sink.until_state("down")
        stream.close()


@pytest.mark.requirement("ccxt:close")
def test_closing_ends_the_thread_while_connected_however_often_it_is_asked(binance: Venue) -> None:
    sink = Heard()
    with opened(binance) as source, streaming(binance, source, sink) as stream:
        binance.wait_subscribed(2)
        sink.until_state("connected")
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(stream.close) for _ in range(8)]:
                done.result(DEADLINE_S)
        stream.close()
        assert threads() == []


@pytest.mark.requirement("ccxt:close")
def test_closing_ends_the_thread_while_it_waits_for_a_handshake_that_never_comes(binance: Venue) -> None:
    sink = Heard()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"ws://127.0.0.1:{deaf.getsockname()[1]}/stream"
        with opened(binance, stream_url=url, timeout_s=60.0) as source, streaming(binance, source, sink) as stream:
            deaf.accept()[0].close()
            held, _ = deaf.accept()
            began_ns = monotonic_ns()
            stream.close()
            assert monotonic_ns() - began_ns < 5 * NS
            held.close()
    assert threads() == []


@pytest.mark.requirement("ccxt:close")
def test_closing_the_source_closes_its_streams(binance: Venue) -> None:
    sink = Heard()
    with opened(binance) as source:
        source.stream(("BTC/USDT",), sink)
        sink.until_state("connected")
    assert threads() == []


@pytest.mark.requirement("ccxt:close")
def test_a_sink_may_close_the_stream(binance: Venue) -> None:
    closed = threading.Event()

    class Closing(Heard):
        def quote(self, quote: Quote) -> None:
            assert quote.symbol == "BTC/USDT"
            stream.close()
            closed.set()

    sink = Closing()
    with opened(binance) as source:
        stream = source.stream(("BTC/USDT",), sink)
        binance.wait_subscribed(2)
        sink.until_state("connected")
        binance.say(book())
        assert closed.wait(10)
        stream.close()
        assert threads() == []
