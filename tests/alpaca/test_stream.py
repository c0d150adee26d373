"""The stream: handshake, delivery and every way in which a connection goes wrong, over real sockets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from bus.clock import NS, wall_ns
from bus.errors import NotOfferedError
from bus.messages import Bar, NewsItem, Quote
from feed._alpaca import open_alpaca
from feed.sessions import session_calendar
from feed.source import SourceSpec
from tests.alpaca.desk import MINUTE, Heard, ns, opened, streaming
from tests.alpaca.rest_server import KEY, SECRET
from tests.alpaca.stream_server import DEADLINE_S, DeafServer, Session, StreamServer, stamp

OPEN = ns("2024-03-13T13:30")


@pytest.fixture
def vendor() -> Iterator[StreamServer]:
    with StreamServer() as server:
        yield server


def bar(minute: int = 0, close: float = 170.25, **changed: Any) -> dict[str, Any]:
    whole = {"T": "b", "S": "AAPL", "o": 170.0, "h": 171.0, "l": 169.5, "c": close, "v": 900, "n": 3, "vw": 170.1}
    return whole | {"t": stamp(OPEN + minute * MINUTE)} | changed


def quote(at_ns: int = OPEN, bid: float = 170.01, **changed: Any) -> dict[str, Any]:
    whole = {"T": "q", "S": "AAPL", "bx": "V", "bp": bid, "bs": 2, "ax": "V", "ap": 170.05, "as": 3, "z": "C"}
    return whole | {"c": ["R"], "t": stamp(at_ns)} | changed


def story(number: int = 7, **changed: Any) -> dict[str, Any]:
    whole = {
        "T": "n",
        "id": number,
        "headline": "Apple rises",
        "summary": "It did.",
        "author": "A",
        "url": "",
        "content": "",
    }
    times = {"created_at": stamp(OPEN), "updated_at": stamp(OPEN + MINUTE)}
    return whole | times | {"symbols": ["AAPL", "MSFT"], "source": "benzinga"} | changed


@pytest.mark.requirement("alpaca:stream")
def test_bars_corrections_quotes_and_news_are_subscribed_to_and_delivered(vendor: StreamServer) -> None:
    with streaming(vendor.url, silent_s=30.0) as (_, heard):
        shares, news = vendor.session(), vendor.session("news")
        heard.next("connected")
        shares.send(bar(), quote(OPEN + 5), bar(T="u", c=170.5))
        news.send(story())
        first, at, corrected, item = heard.next("bar"), heard.next("quote"), heard.next("bar"), heard.next("news")
    assert shares.subscribed == {"bars": ["AAPL"], "updatedBars": ["AAPL"], "quotes": ["AAPL"], "statuses": ["AAPL"]}
    assert news.subscribed == {"news": ["AAPL"]}
    assert shares.headers["Content-Type"] == "application/msgpack"
    end = OPEN + MINUTE
    assert first == Bar(
        "AAPL", OPEN, end, end, 170_000_000_000, 171_000_000_000, 169_500_000_000, 170_250_000_000, 900_000_000_000
    )
    assert (corrected.open_time_ns, corrected.close_nano) == (OPEN, 170_500_000_000)
    bid, ask, then = 170_010_000_000, 170_050_000_000, OPEN + 5
    assert at == Quote("AAPL", then, then, then, bid, ask, bid, ask, 2_000_000_000, 3_000_000_000)
    assert item == NewsItem("7", ("AAPL", "MSFT"), end, end, "Apple rises", "benzinga", "It did.")
    assert not heard.happened("rejected")


@pytest.mark.requirement("alpaca:stream")
def test_shares_and_coins_have_a_line_each_and_the_spec_names_the_data_feed(vendor: StreamServer) -> None:
    with streaming(vendor.url, "AAPL BTC/USD", data_feed="sip") as (_, heard):
        shares, coins, news = (vendor.session(kind) for kind in ("shares", "coins", "news"))
        assert (shares.path, coins.path, news.path) == ("/v2/sip", "/v1beta3/crypto/us", "/v1beta1/news")
        assert coins.subscribed["bars"] == ["BTC/USD"]
        assert news.subscribed == {"news": ["AAPL", "BTCUSD"]}
        heard.next("connected")
        coins.send(bar(S="BTC/USD", v=0.123456789))
        assert heard.next("bar").volume_nano == 123_456_789
        news.send(story(symbols=["BTCUSD"]))
        assert heard.next("news").symbols == ("BTC/USD",)


@pytest.mark.requirement("alpaca:halts")
def test_halts_and_resumptions_of_both_tapes_are_told_and_other_statuses_are_not(vendor: StreamServer) -> None:
    def status(code: Any) -> dict[str, Any]:
        return {"T": "s", "S": "AAPL", "sc": code, "sm": "", "rc": "", "rm": "", "t": stamp(OPEN), "z": "C"}

    with streaming(vendor.url) as (_, heard):
        shares = vendor.session()
        shares.send(*(status(code) for code in ("H", "T", "P", "Q", "2", "3", "5", "", None, 7)))
        shares.send(bar())
        heard.next("bar")
    told = [halted for _, (symbol, halted) in heard.happened("halt") if symbol == "AAPL"]
    assert told == [True, False, True, True, True, False]
    assert len(heard.happened("rejected")) == 3


@pytest.mark.requirement("alpaca:stream")
def test_a_stream_of_nothing_is_refused(vendor: StreamServer) -> None:
    with opened("", vendor.url) as source, pytest.raises(NotOfferedError, match="needs symbols"):
        source.stream((), Heard())


@pytest.mark.requirement("alpaca:stream")
def test_a_bar_is_delivered_late_but_not_twice(vendor: StreamServer) -> None:
    with streaming(vendor.url) as (_, heard):
        shares = vendor.session()
        shares.send(bar(2), bar(1), bar(2), bar(1), bar(3))
        delivered = [heard.next("bar").open_time_ns for _ in range(3)]
    assert delivered == [OPEN + 2 * MINUTE, OPEN + MINUTE, OPEN + 3 * MINUTE]


@pytest.mark.requirement("alpaca:stream")
def test_news_is_delivered_again_only_when_it_was_updated(vendor: StreamServer) -> None:
    with streaming(vendor.url) as (_, heard):
        news = vendor.session("news")
        news.send(story(), story(), story(updated_at=stamp(OPEN + 2 * MINUTE)))
        assert [heard.next("news").event_time_ns - OPEN for _ in range(2)] == [MINUTE, 2 * MINUTE]
        news.send(story(8))
        assert heard.next("news").news_id == "8"


@pytest.mark.requirement("alpaca:malformed")
@pytest.mark.parametrize(
    ("message", "why"),
    [
        (bar(c="170"), "c is not a number"),
        (bar(c=float("nan")), "c is not a possible number"),
        (bar(h=170.0), "high and low"),
        (bar(t="noon"), "t is not a time"),
        (bar(t=stamp(2**64)), "t is not a time between"),
        (bar(t=stamp(OPEN + 1)), "begins where no bar"),
        (bar(S="MSFT"), "symbol that was not asked for"),
        (bar(S=None), "symbol that was not asked for"),
        (quote(ap=0), "only one side"),
        (quote(bp=-1.0), "negative"),
        (quote(OPEN - 1), "older than the one before"),
        ({"T": "t", "S": "AAPL"}, "kind that was not asked for"),
        ({"T": ["b"]}, "kind that was not asked for"),
        ({}, "kind that was not asked for"),
        ("bar", "not a record"),
        (None, "not a record"),
    ],
    ids=str,
)
def test_a_record_that_cannot_be_used_is_counted_and_the_rest_of_its_frame_delivered(
    vendor: StreamServer, message: object, why: str
) -> None:
    with streaming(vendor.url) as (_, heard):
        vendor.session().send(quote(), message, bar(1))
        assert why in heard.next("rejected")
        assert heard.next("bar").open_time_ns == OPEN + MINUTE
        assert not heard.happened("down")


@pytest.mark.requirement("alpaca:malformed")
@pytest.mark.parametrize(
    "frame", [b"", b"\xc1", b"\xc7\x00\xff", b"\x93\x01", b'[{"T":"b"}]', "[]", msgpack.packb({"T": "b"})]
)
def test_a_frame_that_cannot_be_read_is_counted_and_the_next_one_delivered(
    vendor: StreamServer, frame: bytes | str
) -> None:
    with streaming(vendor.url) as (_, heard):
        shares = vendor.session()
        shares.send_raw(frame)
        shares.send(bar())
        assert "frame" in heard.next("rejected")
        assert heard.next("bar").open_time_ns == OPEN


@pytest.mark.requirement("alpaca:malformed")
def test_a_record_from_the_future_is_refused_but_a_little_skew_is_not(vendor: StreamServer) -> None:
    now = wall_ns() // MINUTE * MINUTE
    with streaming(vendor.url) as (_, heard):
        vendor.session().send(bar(t=stamp(now + 60 * MINUTE)), quote(now + 2 * 3600 * NS), bar(t=stamp(now)))
        assert "check this machine's clock" in heard.next("rejected")
        assert "check this machine's clock" in heard.next("rejected")
        assert heard.next("bar").open_time_ns == now


@pytest.mark.requirement("alpaca:reconnect")
@pytest.mark.parametrize("way", [Session.drop, Session.close], ids=["cut", "restart"])
def test_a_connection_that_ends_in_mid_stream_is_made_again(vendor: StreamServer, way: Any) -> None:
    with streaming(vendor.url) as (_, heard):
        first = vendor.session()
        heard.next("connected")
        first.send(bar(0))
        heard.next("bar")
        way(first)
        heard.next("down")
        heard.next("connecting")
        heard.next("connected")
        second = vendor.session()
        assert second.subscribed == first.subscribed
        second.send(bar(0), bar(1))
        assert heard.next("bar").open_time_ns == OPEN + MINUTE


@pytest.mark.requirement("alpaca:reconnect")
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("wrong-welcome", "refused"),
        ("garbage", "did not speak Alpaca's protocol"),
        ("mute", "no answer within 0.4 s"),
        ("no-answer", "no answer to the subscription within 0.4 s"),
        ("limit", "405, symbol limit exceeded.; close the other connection"),
        ("one-connection", "connection limit exceeded.; close the other connection"),
        ("busy", "HTTP 429"),
        ("unauthorized", "check the variables ALPACA_API_KEY"),
    ],
)
def test_a_connection_that_is_refused_or_not_answered_says_why_and_is_tried_again(
    vendor: StreamServer, fault: str, why: str
) -> None:
    vendor.faults["shares"].append(fault)
    began = time.monotonic()
    with streaming(vendor.url, timeout_s=0.4) as (_, heard):
        told = heard.next("down")
        assert told.startswith("shares: ")
        assert why.replace(".;", ");") in told.replace(").;", ");")
        heard.next("connected")
        vendor.session().send(bar())
        heard.next("bar")
    assert vendor.came.count("shares") == 2
    assert fault != "busy" or time.monotonic() - began >= 1, "the vendor asked for a second of rest"


@pytest.mark.requirement("alpaca:reconnect")
def test_wrong_keys_name_the_variables_and_never_a_value(
    vendor: StreamServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heard = Heard()
    wrong = {"ALPACA_API_KEY": "PKWRONGWRONGWRONG", "ALPACA_SECRET_KEY": "wrong-secret-wrong-secret"}
    spec = SourceSpec("alpaca", ("AAPL",), stream_url=vendor.url, calendar="24/7")
    source = open_alpaca(spec, wrong)
    stream = source.stream(("AAPL",), heard)
    try:
        told = heard.next("down")
    finally:
        stream.close()
        source.close()
    assert "auth failed" in told
    assert "check the variables ALPACA_API_KEY and ALPACA_SECRET_KEY" in told
    shown = caplog.text + repr(heard.all) + repr(stream)
    assert not any(value in shown for value in wrong.values())


@pytest.mark.requirement("alpaca:keys")
def test_no_library_logs_the_keys_of_a_stream_at_any_level(
    vendor: StreamServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "websockets.client"):
        logging.getLogger("websockets.server").setLevel(logging.INFO)
        with streaming(vendor.url) as (_, heard):
            heard.next("connected")
            vendor.session()
    # websockets shows a frame in hexadecimal, of a long one its beginning and its end.
    parts = [value.encode()[at : at + 5].hex(" ") for value in (KEY, SECRET) for at in range(len(value) - 4)]
    assert "alpaca" in caplog.text
    assert not any(text in caplog.text for text in (KEY, SECRET, *parts))


@pytest.mark.requirement("alpaca:reconnect")
def test_trouble_of_the_news_is_told_beside_the_state_of_the_market_data(vendor: StreamServer) -> None:
    vendor.faults["news"].append("limit")
    with streaming(vendor.url) as (_, heard):
        while "news: " not in (why := heard.next("connected")):
            pass
        assert "symbol limit exceeded" in why
        vendor.session("news").send(story())
        heard.next("news")
    assert not heard.happened("down", "silent")


@pytest.mark.requirement("alpaca:reconnect")
def test_a_subscription_that_is_not_confirmed_is_told(vendor: StreamServer) -> None:
    vendor.faults["shares"].append("nothing")
    with streaming(vendor.url) as (_, heard):
        assert "not subscribed to bars of AAPL, quotes of AAPL, statuses of AAPL, updatedBars of AAPL" in heard.next(
            "rejected"
        )


@pytest.mark.requirement("alpaca:reconnect")
def test_an_error_of_the_vendors_in_mid_stream_ends_the_connection_and_begins_another(vendor: StreamServer) -> None:
    with streaming(vendor.url) as (_, heard):
        vendor.session().send({"T": "error", "code": 407, "msg": "slow client"})
        assert "407, slow client" in heard.next("down")
        vendor.session().send(bar())
        heard.next("bar")


@pytest.mark.requirement("alpaca:silent")
def test_a_stream_that_is_connected_but_silent_is_connected_again_and_reported(vendor: StreamServer) -> None:
    with streaming(vendor.url, "BTC/USD", silent_s=1.0) as (_, heard):
        first = vendor.session("coins")
        heard.next("connected")
        assert heard.next("silent") == "coins: connected, but nothing was heard for 1 s"
        heard.next("connecting")
        heard.next("connected")
        assert first.ended.wait(DEADLINE_S)
        vendor.session("coins").send(bar(S="BTC/USD"))
        heard.next("bar")


@pytest.mark.requirement("alpaca:silent")
def test_what_cannot_be_used_does_not_count_as_being_heard(vendor: StreamServer) -> None:
    ended = threading.Event()
    with streaming(vendor.url, silent_s=0.3) as (_, heard):
        first = vendor.session()

        def chatter() -> None:
            while not ended.wait(0.05):
                try:
                    first.send(bar(S="MSFT"))
                except Exception:
                    return

        talker = threading.Thread(target=chatter)
        talker.start()
        try:
            assert "nothing was heard" in heard.next("silent")
        finally:
            ended.set()
            talker.join(5)


@pytest.mark.requirement("alpaca:silent")
def test_a_stream_that_is_heard_is_left_alone_however_long(vendor: StreamServer) -> None:
    pause = threading.Event()
    with streaming(vendor.url, silent_s=1.5) as (_, heard):
        shares = vendor.session()
        for minute in range(10):
            shares.send(bar(minute))
            heard.next("bar")
            pause.wait(0.2)
        assert not shares.ended.is_set()
    assert not heard.happened("silent")


@pytest.mark.requirement("alpaca:silent")
def test_silence_while_the_venue_is_closed_is_no_fault(vendor: StreamServer) -> None:
    now = wall_ns()
    # New York and Tokyo are never open at once, nor within minutes of each other.
    closed = next(
        code
        for code in ("XNYS", "XTKS")
        if session_calendar(code).session_at(now) is session_calendar(code).session_at(now + 5 * MINUTE) is None
    )
    with streaming(vendor.url, silent_s=0.1, calendar=closed) as (_, heard):
        shares = vendor.session()
        heard.next("connected")
        assert not shares.ended.wait(0.8)
        shares.send(bar())
        heard.next("bar")
    assert not heard.happened("silent")


@pytest.mark.requirement("alpaca:silent")
def test_hours_without_news_are_usual_and_no_fault(vendor: StreamServer) -> None:
    with streaming(vendor.url, silent_s=0.2) as (_, heard):
        news = vendor.session("news")
        for _ in range(3):
            heard.next("connecting")
            heard.next("silent")
        assert not news.ended.is_set()
        news.send(story())
        heard.next("news")
    assert vendor.came.count("news") == 1


@pytest.mark.requirement("alpaca:close")
@pytest.mark.parametrize("fault", ["", "mute", "no-answer", "busy", "limit"])
def test_close_ends_the_thread_whatever_it_waits_for(vendor: StreamServer, fault: str) -> None:
    before = {thread.name for thread in threading.enumerate()}
    assert "alpaca-stream" not in before
    if fault:
        vendor.faults["shares"].extend([fault] * 3)
    with streaming(vendor.url, timeout_s=30.0) as (stream, heard):
        heard.next("connecting")
        vendor.session("news")
        began = time.monotonic()
        stream.close()
        stream.close()
        assert time.monotonic() - began < 5
        assert "alpaca-stream" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.requirement("alpaca:close")
def test_close_is_not_lost_while_a_connection_is_being_given_up() -> None:
    with DeafServer() as deaf, streaming(deaf.url, timeout_s=0.2) as (stream, _):
        assert deaf.closing.wait(DEADLINE_S)
        stream.close()
        assert "alpaca-stream" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.requirement("alpaca:close")
def test_a_sink_may_close_the_stream_it_is_called_by(vendor: StreamServer) -> None:
    class Closing(Heard):
        def bar(self, bar: Bar) -> None:
            stream.close()
            super().bar(bar)

    heard = Closing()
    with opened("", vendor.url, calendar="24/7") as source:
        stream = source.stream(("AAPL",), heard)
        shares = vendor.session()
        shares.send(bar())
        heard.next("bar")
        assert shares.ended.wait(DEADLINE_S)
        stream.close()
    assert "alpaca-stream" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.requirement("alpaca:reconnect")
def test_a_sink_that_fails_does_not_end_the_stream(vendor: StreamServer) -> None:
    class Failing(Heard):
        def bar(self, bar: Bar) -> None:
            super().bar(bar)
            if bar.close_nano == 170_000_000_000:
                raise RuntimeError("the cache is full")

    heard = Failing()
    with opened("", vendor.url, calendar="24/7") as source:
        stream = source.stream(("AAPL",), heard)
        try:
            vendor.session().send(bar(close=170.0))
            assert "could not be handed on (RuntimeError)" in heard.next("down")
            vendor.session().send(bar(1))
            heard.next("bar")
        finally:
            stream.close()
