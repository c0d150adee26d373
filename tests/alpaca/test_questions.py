"""Questions to the vendor: whole, exact and in order, through the real SDK over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.clock import NS
from bus.errors import NotOfferedError, SourceError
from bus.fixed import from_nano
from bus.messages import Instrument, Timeframe
from tests.alpaca.desk import MINUTE, ns, opened, rest_bar
from tests.alpaca.rest_server import Fault, RestServer

OPEN = ns("2024-03-13T13:30")


@pytest.fixture
def vendor() -> Iterator[RestServer]:
    with RestServer() as server:
        yield server


def minutes(count: int) -> list[dict[str, object]]:
    return [
        rest_bar(f"2024-03-13T{13 + (30 + i) // 60:02d}:{(30 + i) % 60:02d}:00Z", 100 + i / 1_000) for i in range(count)
    ]


@pytest.mark.requirement("alpaca:pages")
def test_bars_come_over_all_pages_oldest_first(vendor: RestServer) -> None:
    vendor.series["bars", "AAPL"] = minutes(25)
    vendor.page = 10
    with opened(vendor.url) as source:
        bars = source.bars("AAPL", "1Min", OPEN, OPEN + 60 * MINUTE)
    assert [bar.open_time_ns for bar in bars] == [OPEN + i * MINUTE for i in range(25)]
    assert all(bar.event_time_ns == bar.available_time_ns == bar.open_time_ns + MINUTE for bar in bars)
    assert len(vendor.asked) == 3
    asked = vendor.asked[0].params
    assert (asked["timeframe"], asked["symbols"], asked["adjustment"]) == ("1Min", "AAPL", "raw")


@pytest.mark.requirement("alpaca:pages")
def test_compressed_answers_in_chunks_are_read_whole(vendor: RestServer) -> None:
    vendor.series["bars", "AAPL"] = minutes(300)
    vendor.compressed = True
    vendor.page = 200
    with opened(vendor.url) as source:
        assert len(source.bars("AAPL", "1Min", OPEN, OPEN + 600 * MINUTE)) == 300
        assert source.bars("AAPL", "1Min", OPEN - MINUTE, OPEN) == []


@pytest.mark.requirement("alpaca:pages")
def test_the_interval_is_open_at_its_end_though_the_vendors_is_not(vendor: RestServer) -> None:
    vendor.series["bars", "AAPL"] = minutes(10)
    with opened(vendor.url) as source:
        bars = source.bars("AAPL", "1Min", OPEN + MINUTE, OPEN + 3 * MINUTE)
        assert [bar.open_time_ns for bar in bars] == [OPEN + MINUTE, OPEN + 2 * MINUTE]
        assert source.bars("AAPL", "1Min", OPEN + MINUTE, OPEN + MINUTE) == []


@pytest.mark.requirement("alpaca:pages")
def test_bars_out_of_order_and_twice_are_sorted_and_given_once_as_last_corrected(vendor: RestServer) -> None:
    first, second, third = minutes(3)
    vendor.series["bars", "AAPL"] = [third, first, second, first, second | {"c": 100.75}]
    with opened(vendor.url) as source:
        bars = source.bars("AAPL", "1Min", OPEN, OPEN + 3 * MINUTE)
    assert [bar.open_time_ns for bar in bars] == [OPEN, OPEN + MINUTE, OPEN + 2 * MINUTE]
    assert bars[1].close_nano == 100_750_000_000


@pytest.mark.requirement("alpaca:pages")
def test_pages_that_go_in_a_circle_are_an_error_not_an_endless_loop(vendor: RestServer) -> None:
    body = {"bars": {"AAPL": minutes(1)}, "next_page_token": "again"}
    vendor.raw["/v2/stocks/bars"] = json.dumps(body).encode()
    with opened(vendor.url) as source, pytest.raises(SourceError, match="circle"):
        source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE)
    assert len(vendor.asked) == 2


@pytest.mark.requirement("alpaca:pages")
def test_no_bars_are_an_empty_answer(vendor: RestServer) -> None:
    with opened(vendor.url) as source:
        assert source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE) == []
        vendor.raw["/v2/stocks/bars"] = b'{"bars": null, "next_page_token": null}'
        assert source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE) == []


@pytest.mark.requirement("alpaca:pages")
def test_trades_come_in_order_each_once_with_nanoseconds(vendor: RestServer) -> None:
    vendor.series["trades", "AAPL"] = [
        {"t": "2024-03-13T13:30:02.000000007Z", "x": "V", "p": 170.02, "s": 3, "i": 2},
        {"t": "2024-03-13T13:30:01.5Z", "x": "V", "p": 170.01, "s": 100, "i": 1},
        {"t": "2024-03-13T13:30:01.5Z", "x": "V", "p": 170.01, "s": 100, "i": 1},
        {"t": "2024-03-13T13:30:01.5Z", "x": "Q", "p": 170.01, "s": 100, "i": 1},
    ]
    with opened(vendor.url) as source:
        trades = source.trades("AAPL", OPEN, OPEN + MINUTE)
        assert source.trades("AAPL", OPEN, OPEN) == []
    assert [trade.event_time_ns - OPEN for trade in trades] == [1_500_000_000, 1_500_000_000, 2_000_000_007]
    assert [trade.price_nano for trade in trades] == [170_010_000_000, 170_010_000_000, 170_020_000_000]


@pytest.mark.requirement("alpaca:pages")
def test_trades_of_coins_come_as_those_of_shares_do(vendor: RestServer) -> None:
    vendor.series["trades", "BTC/USD"] = [{"t": "2024-03-13T13:30:01Z", "p": 71234.5, "s": 1e-9, "i": 1, "tks": "B"}]
    with opened(vendor.url, symbols="BTC/USD") as source:
        (trade,) = source.trades("BTC/USD", 0, 2**70)
    assert (trade.price_nano, trade.qty_nano) == (71_234_500_000_000, 1)
    assert vendor.asked[0].path == "/v1beta3/crypto/us/trades"


@pytest.mark.requirement("alpaca:exact")
def test_numbers_are_taken_from_the_vendors_text_and_not_from_a_float(vendor: RestServer) -> None:
    body = (
        '{"bars": {"SHIB/USD": [{"t": "2024-03-13T13:30:00Z", "o": 0.000009123, "h": 12345678.123456789,'
        ' "l": 9.1e-6, "c": 0.1, "v": 1234567890.123456789}]}, "next_page_token": null}'
    )
    vendor.raw["/v1beta3/crypto/us/bars"] = body.encode()
    with opened(vendor.url, symbols="SHIB/USD") as source:
        (bar,) = source.bars("SHIB/USD", "1Min", OPEN, OPEN + MINUTE)
    assert bar.high_nano == 12_345_678_123_456_789
    assert (bar.open_nano, bar.low_nano, bar.close_nano) == (9_123, 9_100, 100_000_000)
    assert bar.volume_nano == 1_234_567_890_123_456_789


@pytest.mark.requirement("alpaca:exact")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(price=st.decimals(min_value="0.000000001", max_value="1000000", places=9))
def test_every_price_of_nine_decimals_survives(vendor: RestServer, price: Decimal) -> None:
    text = format(price, "f")
    record = f'{{"t": "2024-03-13T13:30:00Z", "o": {text}, "h": {text}, "l": {text}, "c": {text}, "v": 0}}'
    vendor.raw["/v2/stocks/bars"] = f'{{"bars": {{"AAPL": [{record}]}}}}'.encode()
    with opened(vendor.url) as source:
        (bar,) = source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE)
    assert from_nano(bar.close_nano) == price


@pytest.mark.requirement("alpaca:spans")
@pytest.mark.parametrize(
    ("timeframe", "stamp", "opened_at", "ended_at"),
    [
        ("5Min", "2024-03-13T13:35:00Z", "2024-03-13T13:35", "2024-03-13T13:40"),
        ("1Day", "2024-03-08T05:00:00Z", "2024-03-08T14:30", "2024-03-08T21:00"),
        ("1Day", "2024-03-11T04:00:00Z", "2024-03-11T13:30", "2024-03-11T20:00"),
        ("1Day", "2024-11-29T05:00:00Z", "2024-11-29T14:30", "2024-11-29T18:00"),
        ("1Week", "2024-01-15T05:00:00Z", "2024-01-16T14:30", "2024-01-19T21:00"),
        ("1Month", "2024-03-01T05:00:00Z", "2024-03-01T14:30", "2024-03-28T20:00"),
    ],
    ids=["minutes", "winter", "summer", "half-day", "holiday-week", "month-with-change-of-time"],
)
def test_a_bar_goes_from_its_sessions_open_to_its_close(
    vendor: RestServer, timeframe: Timeframe, stamp: str, opened_at: str, ended_at: str
) -> None:
    vendor.series["bars", "AAPL"] = [rest_bar(stamp)]
    with opened(vendor.url) as source:
        (bar,) = source.bars("AAPL", timeframe, ns(opened_at), ns(opened_at) + MINUTE)
        assert source.bars("AAPL", timeframe, ns(opened_at) + MINUTE, ns(ended_at)) == []
        assert source.bars("AAPL", timeframe, ns(opened_at) - MINUTE, ns(opened_at)) == []
    assert (bar.open_time_ns, bar.event_time_ns) == (ns(opened_at), ns(ended_at))


@pytest.mark.requirement("alpaca:truthful")
def test_hours_of_shares_and_days_of_coins_are_not_offered_because_they_are_counted_otherwise(
    vendor: RestServer,
) -> None:
    with opened(vendor.url, symbols="AAPL") as shares, opened(vendor.url, symbols="BTC/USD") as coins:
        assert shares.traits.timeframes[-4:] == ("30Min", "1Day", "1Week", "1Month")
        assert coins.traits.timeframes[-4:] == ("30Min", "1Hour", "2Hour", "4Hour")
        assert (shares.traits.calendar, coins.traits.calendar) == ("XNYS", "24/7")
        assert (shares.traits.timezone, coins.traits.timezone) == ("America/New_York", "UTC")
        with pytest.raises(NotOfferedError, match="30Min, 1Day"):
            shares.bars("AAPL", "1Hour", OPEN, OPEN + MINUTE)
        with pytest.raises(NotOfferedError, match="30Min, 1Hour"):
            coins.bars("BTC/USD", "1Day", OPEN, OPEN + MINUTE)
    with opened(vendor.url, symbols="AAPL BTC/USD") as both:
        assert both.traits.timeframes[-1] == "30Min"
        assert both.traits.calendar == "XNYS"
    assert not vendor.asked


@pytest.mark.requirement("alpaca:truthful")
def test_releases_are_not_offered(vendor: RestServer) -> None:
    with opened(vendor.url) as source:
        assert "calendar" not in source.traits.offers
        with pytest.raises(NotOfferedError, match="recorded day"):
            source.calendar(0, OPEN)


@pytest.mark.requirement("alpaca:truthful")
@pytest.mark.parametrize("symbol", ["AAPL,MSFT", "../v2/account", "", "aapl", "A" * 30, "AAPL&x=1"])
def test_a_symbol_that_would_ask_for_something_else_is_refused(vendor: RestServer, symbol: str) -> None:
    with opened(vendor.url) as source:
        with pytest.raises(NotOfferedError, match="no symbol of Alpaca's"):
            source.bars(symbol, "1Min", OPEN, OPEN + MINUTE)
        with pytest.raises(NotOfferedError, match="no symbol of Alpaca's"):
            source.quotes((symbol,))
    assert not vendor.asked


def set_clocks(monkeypatch: pytest.MonkeyPatch, vendor: RestServer, ours_ns: int, theirs_ns: int) -> None:
    monkeypatch.setattr("feed._alpaca_rest.wall_ns", lambda: ours_ns)
    monkeypatch.setattr("feed._alpaca_source.wall_ns", lambda: ours_ns)
    vendor.date = format_datetime(datetime.fromtimestamp(theirs_ns // NS, UTC), usegmt=True)


@pytest.mark.requirement("alpaca:complete")
@pytest.mark.parametrize(("ours_s", "theirs_s"), [(123, 119), (119, 123), (119, 3_600)], ids=["ahead", "behind", "far"])
def test_a_bar_that_is_forming_by_one_of_the_clocks_is_withheld(
    vendor: RestServer, monkeypatch: pytest.MonkeyPatch, ours_s: int, theirs_s: int
) -> None:
    vendor.series["bars", "AAPL"] = minutes(5)
    set_clocks(monkeypatch, vendor, OPEN + ours_s * NS, OPEN + theirs_s * NS)
    with opened(vendor.url) as source:
        bars = source.bars("AAPL", "1Min", OPEN, OPEN + 5 * MINUTE)
    assert [bar.open_time_ns for bar in bars] == [OPEN]


@pytest.mark.requirement("alpaca:complete")
def test_a_clock_that_is_ahead_of_the_vendors_is_told_where_it_matters_and_only_there(
    vendor: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.series["bars", "AAPL"] = minutes(60)
    now = OPEN + 60 * MINUTE
    set_clocks(monkeypatch, vendor, now, now - 31 * NS)
    with opened(vendor.url) as source:
        assert len(source.bars("AAPL", "1Min", OPEN, now - 2 * MINUTE)) == 58
        assert len(source.bars("AAPL", "15Min", OPEN, now - 20 * MINUTE)) == 3
        assert source.trades("AAPL", OPEN, now - MINUTE) == []
        for question in (
            lambda: source.bars("AAPL", "1Min", OPEN, now),
            lambda: source.bars("AAPL", "15Min", OPEN, now - 2 * MINUTE),
            lambda: source.trades("AAPL", OPEN, now),
            lambda: source.news(("AAPL",), OPEN, now),
        ):
            with pytest.raises(SourceError, match="clock is 30 s ahead of alpaca's.*set the clock"):
                question()


@pytest.mark.requirement("alpaca:hygiene")
@pytest.mark.parametrize(
    "bad",
    [
        rest_bar("2024-03-13T13:31:00Z", c="100.5"),
        rest_bar("2024-03-13T13:31:00Z", c=True),
        rest_bar("2024-03-13T13:31:00Z", c=...),
        rest_bar("2024-03-13T13:31:00Z", c=102.0),
        rest_bar("2024-03-13T13:31:00Z", l=0),
        rest_bar("2024-03-13T13:31:00Z", v=-1),
        rest_bar("2024-03-13T13:31:00Z", h=1e300),
        rest_bar("2024-03-13T13:31:07Z"),
        rest_bar("yesterday"),
        rest_bar("9999-01-01T00:00:00Z"),
        rest_bar("2024-13-45T99:00:00Z"),
        [1, 2],
        None,
        "bar",
    ],
    ids=range(14),
)
def test_a_malformed_or_impossible_bar_is_left_out_and_counted(vendor: RestServer, bad: object) -> None:
    vendor.raw["/v2/stocks/bars"] = json.dumps({"bars": {"AAPL": [*minutes(1), bad]}}).encode()
    with opened(vendor.url) as source:
        bars = source.bars("AAPL", "1Min", OPEN, OPEN + 5 * MINUTE)
        assert [bar.open_time_ns for bar in bars] == [OPEN]
        assert source.rejected_records == 1


@pytest.mark.requirement("alpaca:hygiene")
def test_bars_of_another_symbol_are_left_out_and_counted(vendor: RestServer) -> None:
    body = {"bars": {"MSFT": minutes(3), "AAPL": minutes(1)}, "next_page_token": None}
    vendor.raw["/v2/stocks/bars"] = json.dumps(body).encode()
    with opened(vendor.url) as source:
        bars = source.bars("AAPL", "1Min", OPEN, OPEN + 5 * MINUTE)
        assert [bar.symbol for bar in bars] == ["AAPL"]
        assert source.rejected_records == 3


@pytest.mark.requirement("alpaca:hygiene")
def test_an_answer_of_which_nothing_can_be_used_is_not_taken_for_no_bars(vendor: RestServer) -> None:
    vendor.series["bars", "AAPL"] = [rest_bar("2024-03-13T13:31:00Z", c=...)] * 2
    with opened(vendor.url) as source, pytest.raises(SourceError, match="none of the 2 bars .*c is not a number"):
        source.bars("AAPL", "1Min", OPEN, OPEN + 5 * MINUTE)


@pytest.mark.requirement("alpaca:quotes")
def test_the_latest_quotes_of_shares_and_coins_are_given_where_both_sides_are_quoted(vendor: RestServer) -> None:
    quote = {"t": "2024-03-13T13:30:00.123456789Z", "bp": 170.01, "bs": 2, "ap": 170.03, "as": 5}
    vendor.latest = {
        "AAPL": quote,
        "MSFT": quote | {"ap": 0, "as": 0},
        "TSLA": quote | {"t": "2199-03-13T13:30:00Z"},
        "BTC/USD": quote | {"bp": 71234.5, "bs": 0.123456789, "ap": 71240.25},
    }
    with opened(vendor.url, symbols="AAPL MSFT TSLA BTC/USD NVDA") as source:
        found = source.quotes(("BTC/USD", "AAPL", "MSFT", "TSLA", "NVDA"))
        assert source.rejected_records == 2
    coin, share = found
    assert (coin.symbol, coin.bid_nano, coin.bid_size_nano) == ("BTC/USD", 71_234_500_000_000, 123_456_789)
    assert (share.symbol, share.bid_nano, share.ask_nano) == ("AAPL", 170_010_000_000, 170_030_000_000)
    assert share.event_time_ns == share.open_time_ns == OPEN + 123_456_789
    assert (share.bid_open_nano, share.ask_open_nano) == (share.bid_nano, share.ask_nano)


@pytest.mark.requirement("alpaca:instruments")
def test_instruments_come_with_the_vendors_steps(vendor: RestServer) -> None:
    share = {
        "id": "1",
        "class": "us_equity",
        "symbol": "AAPL",
        "status": "active",
        "tradable": True,
        "fractionable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "exchange": "NASDAQ",
    }
    coin = {
        "class": "crypto",
        "min_order_size": "0.0001",
        "symbol": "BTC/USD",
        "status": "active",
        "tradable": True,
        "price_increment": "0.5",
        "min_trade_increment": 0.000000001,
    }
    gone = share | {"symbol": "GONE", "status": "inactive"}
    hard = share | {"symbol": "HARD", "easy_to_borrow": False}
    vendor.assets = {"AAPL": share, "GONE": gone, "HARD": hard, "BTC/USD": coin}
    with opened(vendor.url, symbols="AAPL GONE HARD BTC/USD") as source:
        first, gone_too, rare, btc = source.instruments()
    assert first == Instrument("AAPL", "equity", "USD", tick_nano=10_000_000, lot_nano=NS, venue="NASDAQ")
    assert not gone_too.tradable
    assert not rare.shortable
    assert btc == Instrument(
        "BTC/USD", "crypto", "USD", 500_000_000, 1, shortable=False, venue="alpaca", min_qty_nano=100_000
    )
    assert [asked.path for asked in vendor.asked][-1] == "/v2/assets/BTC%2FUSD"


@pytest.mark.requirement("alpaca:instruments")
def test_what_is_neither_share_nor_coin_or_is_not_there_is_refused_by_name(vendor: RestServer) -> None:
    vendor.assets = {"OPT": {"class": "us_option", "symbol": "OPT"}, "ODD": {"class": "us_equity", "symbol": "EVEN"}}
    with opened(vendor.url, symbols="NONE") as source, pytest.raises(NotOfferedError, match="no asset NONE"):
        source.instruments()
    with opened(vendor.url, symbols="OPT") as source, pytest.raises(NotOfferedError, match="OPT is neither"):
        source.instruments()
    with opened(vendor.url, symbols="ODD") as source, pytest.raises(SourceError, match="another asset than ODD"):
        source.instruments()


@pytest.mark.requirement("alpaca:news")
def test_news_is_plain_text_as_of_its_last_update(vendor: RestServer) -> None:
    story = {
        "id": 24843171,
        "headline": "Apple&#39;s <b>quarter</b>\n beats \ud800 hopes",
        "author": "A",
        "created_at": "2024-03-13T13:30:00Z",
        "updated_at": "2024-03-13T13:40:00Z",
        "summary": "",
        "content": "<p>It was &amp; is.</p>",
        "url": "",
        "images": [],
        "symbols": ["AAPL", "BTCUSD"],
        "source": "benzinga",
    }
    vendor.articles = [story, story | {"id": 5, "updated_at": "2024-03-13T13:35:00Z", "symbols": ["AAPL"]}]
    vendor.page = 1
    with opened(vendor.url, symbols="AAPL BTC/USD") as source:
        early, late = source.news(("AAPL", "BTC/USD"), OPEN, OPEN + 60 * MINUTE)
        assert source.news((), OPEN, OPEN + 6 * MINUTE) == [early]
        assert source.news((), OPEN, OPEN) == []
    assert (early.news_id, early.event_time_ns) == ("5", OPEN + 5 * MINUTE)
    assert (late.news_id, late.event_time_ns, late.available_time_ns) == ("24843171", *[OPEN + 10 * MINUTE] * 2)
    assert late.symbols == ("AAPL", "BTC/USD")
    assert (late.headline, late.body, late.source) == ("Apple's quarter beats ? hopes", "It was & is.", "benzinga")
    assert vendor.asked[0].params["symbols"] == "AAPL,BTCUSD"
    late.headline.encode()


@pytest.mark.requirement("alpaca:hygiene")
def test_a_malformed_article_is_left_out_and_counted(vendor: RestServer) -> None:
    good = {"id": 1, "headline": "Fine", "created_at": "2024-03-13T13:30:00Z", "updated_at": "2024-03-13T13:30:00Z"}
    vendor.articles = [
        good | {"symbols": ["AAPL"]},
        good | {"id": "x"},
        good | {"headline": " "},
        good | {"symbols": 3},
        7,
    ]
    with opened(vendor.url) as source:
        (item,) = source.news((), OPEN, OPEN + MINUTE)
        assert source.rejected_records == 4
    assert item.symbols == ("AAPL",)


@pytest.mark.requirement("alpaca:truthful")
def test_the_data_feed_of_the_spec_is_the_one_that_is_asked(vendor: RestServer) -> None:
    with opened(vendor.url, data_feed="sip") as source:
        source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE)
        source.quotes(("AAPL",))
    with opened(vendor.url) as source:
        source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE)
    assert [asked.params.get("feed") for asked in vendor.asked] == ["sip", "sip", None]


@pytest.mark.requirement("alpaca:truthful")
def test_a_symbol_that_the_vendor_calls_invalid_is_not_offered(vendor: RestServer) -> None:
    vendor.faults.append(Fault(400, b'{"message": "code=400, message=invalid symbol: ZZZZZZZ9"}'))
    with opened(vendor.url) as source, pytest.raises(NotOfferedError, match="invalid symbol"):
        source.bars("ZZZZZZZ9", "1Min", OPEN, OPEN + MINUTE)
