"""What the source answers: exact, whole, complete and no more than the exchange has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import NS
from bus.errors import ConfigError, NotOfferedError
from bus.messages import Instrument
from feed._ccxt import open_ccxt
from feed._ccxt_records import BadRecordError, bar_from, end_ns, instrument_from, quote_from
from feed.source import Source, SourceSpec
from tests.ccxt_source.desk import minute_ago, opened
from tests.ccxt_source.pairs import binance_pair
from tests.ccxt_source.venue import MINUTE, Candle, Venue, candles

BTC = {"kraken": "BTC/USD", "binance": "BTC/USDT"}
PAIR = {"kraken": "XXBTZUSD", "binance": "BTCUSDT"}


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


@pytest.fixture
def binance() -> Iterator[Venue]:
    with Venue("binance") as venue:
        yield venue


@pytest.fixture(scope="module")
def kraken() -> Iterator[Venue]:
    with Venue("kraken") as venue:
        yield venue


@pytest.fixture(scope="module")
def kraken_source(kraken: Venue) -> Iterator[Source]:
    """One for several tests: ccxt asks Kraken once a second at most."""
    with opened(kraken) as source:
        yield source


def spot(symbol: str, tick: int, lot: int, venue: str, least: int, most: int, least_cost: int = 0) -> Instrument:
    """A market of an exchange that lends nothing."""
    return Instrument(
        symbol,
        "crypto",
        symbol.partition("/")[2],
        tick,
        lot,
        shortable=False,
        venue=venue,
        min_qty_nano=least,
        max_qty_nano=most,
        min_notional_nano=least_cost,
    )


@pytest.mark.requirement("ccxt:settings")
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"exchange": "krakn"}, "near it are .*kraken"),
        ({"exchange": ""}, "exchange = "),
        ({"symbols": ()}, "BTC/USD"),
        ({"symbols": ("BTCUSD",)}, "BASE/QUOTE"),
        ({"symbols": ("BTC/USDT:USDT",)}, "spot"),
        ({"calendar": "XNYS"}, "24/7"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"silent_s": -1.0}, "silent_s"),
        ({"rest_url": "127.0.0.1:80"}, "rest_url .*https://HOST"),
        ({"stream_url": "http://127.0.0.1"}, "stream_url .*wss://HOST"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_allowed(changed: dict[str, object], told: str) -> None:
    settings: dict[str, object] = {"kind": "ccxt", "symbols": ("BTC/USD",), "exchange": "kraken"}
    with pytest.raises(ConfigError, match=told):
        open_ccxt(SourceSpec(**(settings | changed)))  # pyright: ignore[reportArgumentType] - mixed fields on purpose


@pytest.mark.requirement("ccxt:light")
def test_ccxt_is_not_imported_before_a_source_is_opened() -> None:
    code = "import sys, feed._ccxt, feed.open_source; sys.exit('ccxt' in sys.modules or 'aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.requirement("ccxt:light")
def test_without_ccxt_the_extra_to_install_is_named() -> None:
    code = (
        "import sys; sys.modules['ccxt'] = None\n"
        "from feed._ccxt import open_ccxt\nfrom feed.source import SourceSpec\nfrom bus.errors import ConfigError\n"
        "try: open_ccxt(SourceSpec('ccxt', ('BTC/USD',), exchange='kraken'))\n"
        "except ConfigError as error: sys.exit(\"'openoutcry[ccxt]'\" not in str(error))\n"
        "sys.exit(1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.requirement("ccxt:truthful")
def test_traits_say_what_an_exchange_has_in_ccxt(binance: Venue) -> None:
    with opened(binance) as source:
        traits = source.traits
        assert (traits.name, traits.calendar, traits.timezone) == ("ccxt:binance", "24/7", "UTC")
        assert traits.offers == {"bars", "quotes", "trades", "stream"}
        assert {"1Min", "3Min", "2Hour", "1Week", "1Month"} <= set(traits.timeframes)
        assert "10Min" not in traits.timeframes
        with pytest.raises(NotOfferedError, match=r"no bars of 10Min; it has 1Min, 3Min"):
            source.bars("BTC/USDT", "10Min", 0, NS)
        with pytest.raises(NotOfferedError, match="no news"):
            source.news((), 0, NS)
        with pytest.raises(NotOfferedError, match="no calendar"):
            source.calendar(0, NS)
    assert binance.asked == []


@pytest.mark.requirement("ccxt:truthful")
def test_an_exchange_without_candles_or_websockets_offers_none() -> None:
    source = open_ccxt(SourceSpec("ccxt", ("BTC/JPY",), exchange="bitflyer"))
    assert source.traits.offers == {"quotes", "trades"}
    assert source.traits.timeframes == ()
    with pytest.raises(NotOfferedError, match="it has none"):
        source.bars("BTC/JPY", "1Min", 0, NS)
    with pytest.raises(NotOfferedError, match="no stream"):
        source.stream(("BTC/JPY",), pytest.fail)  # pyright: ignore[reportArgumentType] - never called
    source.close()


@pytest.mark.requirement("ccxt:truthful")
def test_weeks_that_kraken_counts_from_thursday_are_not_offered(kraken_source: Source) -> None:
    assert kraken_source.traits.timeframes == ("1Min", "5Min", "15Min", "30Min", "1Hour", "4Hour", "1Day")


@pytest.mark.requirement("ccxt:instruments")
def test_instruments_have_the_exact_steps_of_the_exchange(kraken: Venue, binance: Venue) -> None:
    with opened(kraken, symbols=("ETH/USD", "BTC/USD")) as source:
        assert source.instruments() == (
            spot("BTC/USD", 100_000_000, 10, "kraken", 50_000, 0, 500_000_000),
            spot("ETH/USD", 10_000_000, 10, "kraken", 50_000, 0, 500_000_000),
        )
    binance.pairs = [binance_pair("BTC", "USDT"), binance_pair("OLD", "USDT") | {"status": "BREAK"}]
    with opened(binance, symbols=("BTC/USDT", "OLD/USDT")) as source:
        bitcoin, old = source.instruments()
        assert bitcoin == spot("BTC/USDT", 10_000_000, 10_000, "binance", 10_000, 9_000 * NS)
        assert not old.tradable


@pytest.mark.requirement("ccxt:instruments")
def test_a_step_finer_than_a_billionth_is_refused_by_name(binance: Venue) -> None:
    binance.pairs = [binance_pair("PEPE", "USDT", tick="0.0000000001")]
    with (
        opened(binance, symbols=("PEPE/USDT",)) as source,
        pytest.raises(NotOfferedError, match=r"price step of PEPE/USDT is 0\.0000000001, finer than a billionth"),
    ):
        source.instruments()


@pytest.mark.requirement("ccxt:instruments")
@pytest.mark.parametrize(
    ("mode", "steps", "told"),
    [
        (3, {"price": 5, "amount": 8}, "significant digits"),
        (4, {"price": None, "amount": "1"}, "price step .* missing"),
    ],
)
def test_a_step_that_is_not_fixed_or_not_known_is_refused(mode: int, steps: dict[str, object], told: str) -> None:
    market = {"symbol": "A/B", "quote": "B", "spot": True, "active": True, "precision": steps}
    with pytest.raises(NotOfferedError, match=told):
        instrument_from(market, mode, "ccxt:x")


@pytest.mark.requirement("ccxt:instruments")
def test_decimal_places_are_steps_too() -> None:
    market = {"symbol": "A/B", "quote": "B", "spot": True, "active": None, "precision": {"price": 2, "amount": 0}}
    assert instrument_from(market, 2, "ccxt:x") == Instrument(
        "A/B", "crypto", "B", 10_000_000, NS, shortable=False, venue="x"
    )


@pytest.mark.requirement("ccxt:exact")
@pytest.mark.parametrize("exchange", ["kraken", "binance"])
def test_bars_are_the_exact_billionths_of_the_decimal_text(exchange: str) -> None:
    at = minute_ago(3)
    # Neither the price nor the volume survives a float.
    row = Candle(at, "1234567.123456789", "1234568.987654321", "1234567.000000001", "1234567.5", "1234567890.12345678")
    with Venue(exchange) as venue:
        venue.candles[PAIR[exchange]] = [row]
        with opened(venue) as source:
            (bar,) = source.bars(BTC[exchange], "1Min", at * NS, at * NS + MINUTE)
    assert (bar.open_nano, bar.high_nano) == (1_234_567_123_456_789, 1_234_568_987_654_321)
    assert (bar.low_nano, bar.close_nano) == (1_234_567_000_000_001, 1_234_567_500_000_000)
    assert bar.volume_nano == 1_234_567_890_123_456_780
    assert (bar.open_time_ns, bar.event_time_ns, bar.available_time_ns) == (at * NS, at * NS + MINUTE, at * NS + MINUTE)


@pytest.mark.requirement("ccxt:exact")
def test_numbers_that_json_has_without_quotes_are_exact_too(binance: Venue) -> None:
    at = minute_ago(2)
    binance.raw["/klines"] = f"[[{at * 1000},1234567.123456789,1234567.2,1234567.1,1234567.15,9000000.123456789,0]]"
    with opened(binance) as source:
        (bar,) = source.bars("BTC/USDT", "1Min", at * NS, at * NS + MINUTE)
    assert (bar.open_nano, bar.volume_nano) == (1_234_567_123_456_789, 9_000_000_123_456_789)


@pytest.mark.requirement("ccxt:exact")
@given(st.integers(min_value=1, max_value=2**62))
def test_every_price_in_billionths_comes_through_unchanged(nano: int) -> None:
    text = f"{Decimal(nano).scaleb(-9):f}"
    bar = bar_from("A/B", [1_700_000_040_000, text, text, text, text, text], "1Min", 1_700_000_100 * NS)
    assert (bar.open_nano, bar.close_nano, bar.volume_nano) == (nano, nano, nano)


@pytest.mark.requirement("ccxt:pages")
def test_bars_come_whole_over_all_pages(binance: Venue) -> None:
    first = minute_ago(2_600)
    # A hole of a hundred minutes: the exchange was closed.
    binance.candles["BTCUSDT"] = [row for row in candles(first, 2_601) if not 300 <= (row.at_s - first) // 60 < 400]
    start, end = (first + 600) * NS, (first + 600) * NS + 2_300 * MINUTE
    with opened(binance) as source:
        bars = source.bars("BTC/USDT", "1Min", start, end)
    assert [bar.open_time_ns for bar in bars] == [
        row.at_s * NS for row in binance.candles["BTCUSDT"] if start <= row.at_s * NS < end
    ]
    assert len(binance.calls("/klines")) == 3


@pytest.mark.requirement("ccxt:pages")
def test_kraken_bars_come_in_the_interval_asked_for(kraken: Venue, kraken_source: Source) -> None:
    first = minute_ago(900)
    kraken.candles["XXBTZUSD"] = candles(first, 901)
    start, end = (first + 48_000) * NS, (first + 51_600) * NS
    bars = kraken_source.bars("BTC/USD", "1Min", start, end)
    assert [bar.open_time_ns for bar in bars] == list(range(start, end, MINUTE))
    # Kraken keeps 720 candles: of older ones there are none, and none is made up.
    assert kraken_source.bars("BTC/USD", "1Min", first * NS, (first + 600) * NS) == []


@pytest.mark.requirement("ccxt:pages")
def test_trades_come_whole_where_a_page_ends_within_a_millisecond(binance: Venue) -> None:
    first_ms = minute_ago(10) * 1_000
    binance.trades["BTCUSDT"] = [
        {"a": n, "p": f"50000.{n:04d}", "q": "0.5", "f": n, "l": n, "T": first_ms + n // 7, "m": True, "M": True}
        for n in range(2_500)
    ]
    with opened(binance) as source:
        trades = source.trades("BTC/USDT", first_ms * 1_000_000, (first_ms + 340) * 1_000_000)
    assert [trade.price_nano for trade in trades] == [50_000 * NS + n * 100_000 for n in range(340 * 7)]
    assert {trade.qty_nano for trade in trades} == {500_000_000}


@pytest.mark.requirement("ccxt:pages")
def test_trades_after_quiet_hours_are_found_where_an_exchange_answers_an_hour_at_most(binance: Venue) -> None:
    start = minute_ago(300)
    late = {"a": 1, "p": "1.5", "q": "2", "f": 1, "l": 1, "T": (start + 4 * 3_600) * 1_000, "m": True, "M": True}
    binance.trades["BTCUSDT"] = [late]
    with opened(binance) as source:
        (trade,) = source.trades("BTC/USDT", start * NS, minute_ago(0) * NS)
    assert trade.event_time_ns == (start + 4 * 3_600) * NS


@pytest.mark.requirement("ccxt:pages")
def test_kraken_trades_come_in_the_interval_asked_for(kraken: Venue, kraken_source: Source) -> None:
    start = minute_ago(5)
    kraken.trades["XXBTZUSD"] = [
        [f"50000.{n:05d}", "0.10000001", start + n / 100, "b", "l", "", n + 1] for n in range(1_200)
    ]
    trades = kraken_source.trades("BTC/USD", (start + 1) * NS, (start + 11) * NS)
    assert [trade.price_nano for trade in trades] == [50_000 * NS + n * 10_000 for n in range(100, 1_100)]


@pytest.mark.requirement("ccxt:complete")
def test_the_forming_candle_is_not_given(binance: Venue) -> None:
    first = minute_ago(3)
    binance.candles["BTCUSDT"] = candles(first, 4)
    with opened(binance) as source:
        bars = source.bars("BTC/USDT", "1Min", first * NS, minute_ago(-5) * NS)
    now = datetime.now(UTC).timestamp()
    assert [bar.open_time_ns for bar in bars][:2] == [row.at_s * NS for row in binance.candles["BTCUSDT"][:2]]
    assert all(bar.event_time_ns <= now * NS for bar in bars)


@pytest.mark.requirement("ccxt:complete")
@pytest.mark.parametrize("skew_min", [-2, 2])
def test_completeness_goes_by_the_later_of_the_clocks(skew_min: int, binance: Venue) -> None:
    """Two minutes behind: what our clock calls complete is still forming there. Ahead: it is not yet true here."""
    binance.skew_s = skew_min * 60
    binance.candles["BTCUSDT"] = candles(minute_ago(6), 7 + max(0, skew_min))
    with opened(binance) as source:
        bars = source.bars("BTC/USDT", "1Min", minute_ago(6) * NS, minute_ago(-9) * NS)
        last = bars[-1].event_time_ns // NS
    assert last <= datetime.now(UTC).timestamp() + min(0, skew_min) * 60 + 1
    assert last >= minute_ago(1) + min(0, skew_min) * 60


@pytest.mark.requirement("ccxt:spans")
def test_a_month_ends_where_the_next_begins(binance: Venue) -> None:
    opens = [ns("2024-01-01"), ns("2024-02-01"), ns("2024-03-01")]
    binance.candles["BTCUSDT"] = [Candle(at // NS, "1", "1", "1", "1", "1") for at in opens]
    with opened(binance) as source:
        bars = source.bars("BTC/USDT", "1Month", opens[0], opens[2] + 1)
    assert [(bar.open_time_ns, bar.event_time_ns) for bar in bars] == [
        (opens[0], opens[1]),
        (opens[1], opens[2]),
        (opens[2], ns("2024-04-01")),
    ]


@pytest.mark.requirement("ccxt:spans")
def test_a_week_begins_on_monday_or_is_refused() -> None:
    assert end_ns("1Week", ns("2024-03-11")) == ns("2024-03-18")
    with pytest.raises(BadRecordError, match="Monday"):
        end_ns("1Week", ns("2024-03-14"))
    with pytest.raises(BadRecordError, match="the 1st"):
        end_ns("1Month", ns("2024-03-02"))
    assert end_ns("1Month", ns("2024-12-01")) == ns("2025-01-01")


@pytest.mark.requirement("ccxt:spans")
def test_weeks_that_an_exchange_counts_otherwise_are_refused_and_not_moved(binance: Venue) -> None:
    thursdays = [ns("2024-03-14"), ns("2024-03-21")]
    binance.candles["BTCUSDT"] = [Candle(at // NS, "1", "1", "1", "1", "1") for at in thursdays]
    with opened(binance) as source, pytest.raises(NotOfferedError, match="does not count 1Week as we do.*Monday"):
        source.bars("BTC/USDT", "1Week", ns("2024-03-11"), ns("2024-04-01"))


@pytest.mark.requirement("ccxt:quotes")
def test_only_what_is_quoted_on_both_sides_is_a_quote(binance: Venue) -> None:
    binance.pairs = [binance_pair("BTC", "USDT"), binance_pair("ETH", "USDT")]
    with opened(binance, symbols=("BTC/USDT", "ETH/USDT")) as source:
        bitcoin, ether = source.quotes(("BTC/USDT", "ETH/USDT"))
        assert (bitcoin.symbol, bitcoin.bid_nano, bitcoin.ask_nano) == (
            "BTC/USDT",
            50_000_100_000_000,
            50_000_200_000_000,
        )
        assert (ether.bid_size_nano, ether.ask_size_nano) == (1_500_000_000, 250_000_000)
        binance.book["ask"] = "0"
        assert source.quotes(("BTC/USDT",)) == []


@pytest.mark.requirement("ccxt:quotes")
def test_the_best_level_of_an_order_book_is_the_best_number_not_the_best_text(binance: Venue) -> None:
    levels = {"bids": [["9.99", "1"], ["10.01", "2"]], "asks": [["10000.5", "4"], ["9999.5", "3"]]}
    quote = quote_from("A/B", levels | {"timestamp": None}, 5)
    assert (quote.bid_nano, quote.bid_size_nano) == (10_010_000_000, 2 * NS)
    assert (quote.ask_nano, quote.ask_size_nano) == (9_999_500_000_000, 3 * NS)
    # Where the ticker has only one side the order book is asked.
    binance.book["bid"] = "0.00000000"
    binance.levels = levels
    with opened(binance) as source:
        (asked,) = source.quotes(("BTC/USDT",))
    assert (asked.bid_nano, asked.ask_nano) == (quote.bid_nano, quote.ask_nano)


@pytest.mark.requirement("ccxt:quotes")
def test_kraken_quotes_have_our_time_because_kraken_says_none(kraken: Venue, kraken_source: Source) -> None:
    kraken.skew_s = -3_600
    (quote,) = kraken_source.quotes(("BTC/USD",))
    kraken.skew_s = 0
    assert (quote.bid_nano, quote.ask_nano) == (50_000_100_000_000, 50_000_200_000_000)
    assert abs(quote.event_time_ns / NS - datetime.now(UTC).timestamp()) < 10


@pytest.mark.requirement("ccxt:quotes")
def test_a_quote_is_never_of_the_future() -> None:
    now_ns = 1_700_000_000 * NS
    ticker = {"bid": "1", "ask": "2", "timestamp": 1_700_000_009_000}
    assert quote_from("A/B", ticker, now_ns).event_time_ns == now_ns
    with pytest.raises(BadRecordError, match="above its ask"):
        quote_from("A/B", {"bid": "3", "ask": "2", "timestamp": None}, now_ns)


@pytest.mark.requirement("ccxt:symbols")
def test_an_unknown_symbol_is_refused_with_the_nearest(binance: Venue) -> None:
    binance.pairs = [binance_pair("BTC", "USDT"), binance_pair("BTC", "EUR"), binance_pair("ETH", "USDT")]
    with opened(binance) as source:
        with pytest.raises(NotOfferedError, match=r"no symbol 'BTC/USD'; near it are BTC/USDT"):
            source.bars("BTC/USD", "1Min", 0, NS)
        with pytest.raises(NotOfferedError, match="no symbol 'XYZ/ABC'"):
            source.quotes(("XYZ/ABC",))
