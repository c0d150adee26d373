"""The account at the exchange: exact numbers, fees in coins, one moment, orders of other hands, news."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.clock import NS, monotonic_ns
from bus.errors import BusError, ConfigError
from bus.fixed import SCALE, to_nano
from bus.messages import Instrument
from execution.broker import Broker, BrokerReport, Statement
from execution.ccxt_broker import offers, open_ccxt
from execution.ccxt_broker._records import BadAnswerError, nano_of
from execution.keys import Keys
from execution.ledger import Ledger
from execution.spec import BrokerSpec
from tests.brokers.ccxt_binance import Balance, pair
from tests.brokers.ccxt_http import Fault
from tests.brokers.ccxt_venue import BTC, KEY, SECRET, CcxtVenue
from tests.brokers.kit import Ear, order

BNB = "BNB/USDT"
LOT, TICK = to_nano("0.00001"), to_nano("0.01")


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[CcxtVenue]:
    venue = CcxtVenue(tmp_path)
    venue.price(venue.symbol, venue.bid_nano, venue.ask_nano)
    yield venue
    venue.close()


@pytest.fixture
def ear(venue: CcxtVenue) -> Iterator[Ear]:
    ear = Ear(venue)
    yield ear
    ear.close()


def told_of(broker: Broker) -> Statement:
    told = broker.statement()
    assert told is not None
    return told


# --- exact numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:ccxt:exact")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lots=st.integers(1, 9_000), ticks=st.integers(10_000_000, 99_999_999), off=st.integers(0, 3))
def test_what_is_sent_is_what_was_ordered_to_the_last_digit(
    venue: CcxtVenue, ear: Ear, lots: int, ticks: int, off: int
) -> None:
    """``off`` puts the quantity (1), the price (2) or both (3) a billionth beside the exchange's grid."""
    qty, price = lots * LOT + off % 2, ticks * TICK + off // 2
    index = len(venue.exchange.asked)
    intent = msgspec.structs.replace(order(venue, index, tif="gtc", qty_nano=qty), limit_price_nano=price)
    venue.exchange.balances["USDT"] = Balance(Decimal(10**12))
    answer = ear.submit(intent)
    if off or qty * price // SCALE < 5 * SCALE:
        assert answer == "rejected"
        assert intent.client_order_id not in venue.orders()
        return
    assert answer == "accepted"
    row = venue.row(intent.client_order_id)
    assert (to_nano(row.qty), to_nano(row.price)) == (qty, price)
    assert row.qty * SCALE == qty
    assert row.price * SCALE == price
    ear.cancel(intent.client_order_id)
    venue.exchange.order_limit += 1


@pytest.mark.requirement("brokers:ccxt:exact")
@pytest.mark.parametrize(
    ("value", "nano"),
    [
        ("0.00000001", 10),
        ("50000.01000000", 50_000_010_000_000),
        ("9007199.254740993", 9_007_199_254_740_993),
        (7, 7 * SCALE),
        ("0.0000000001", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e400", None),
        ("", None),
        (0.1, None),
        (None, None),
        (True, None),
        ([], None),
    ],
)
def test_a_number_is_exact_or_no_number(value: object, nano: int | None) -> None:
    if nano is None:
        with pytest.raises(BadAnswerError):
            nano_of(value, "a price")
    else:
        assert nano_of(value, "a price") == nano


@pytest.mark.requirement("brokers:ccxt:exact")
def test_what_the_exchange_would_refuse_is_not_sent(venue: CcxtVenue, ear: Ear) -> None:
    base = order(venue, 0, tif="gtc")
    tried = [
        msgspec.structs.replace(base, qty_nano=LOT, limit_price_nano=100 * TICK),
        msgspec.structs.replace(base, qty_nano=9_001 * SCALE),
        msgspec.structs.replace(base, limit_price_nano=1_000_001 * SCALE),
        msgspec.structs.replace(base, order_type="market"),
        msgspec.structs.replace(base, order_type="stop"),
        msgspec.structs.replace(base, order_type="market", limit_price_nano=0, time_in_force="fok"),
        msgspec.structs.replace(base, replaces="oo-00000000000000000000"),
    ]
    venue.exchange.pairs["ETHUSDT"]["status"] = "BREAK"
    tried.append(msgspec.structs.replace(base, symbol="ETH/USDT", qty_nano=SCALE))
    for n, intent in enumerate(tried):
        report = ear.broker.submit(msgspec.structs.replace(intent, client_order_id=f"{intent.client_order_id}{n}"), 0)
        assert report.kind == "rejected"
        assert len(report.reason) > 20
    assert not any(method == "POST" for method, _, _ in venue.exchange.asked)


def test_a_stop_is_told_when_it_triggers(venue: CcxtVenue, ear: Ear) -> None:
    intent = order(venue, 0, order_type="stop_limit", tif="gtc")
    assert ear.submit(intent) == "accepted"
    row = venue.row(intent.client_order_id)
    assert (row.kind, to_nano(row.stop)) == ("STOP_LOSS_LIMIT", intent.stop_price_nano)
    row.triggered = True
    ear.until_kind(intent.client_order_id, "triggered")
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, intent.qty_nano)
    assert ear.kinds(intent.client_order_id) == ["accepted", "triggered", "fill"]


def test_what_an_immediate_order_leaves_is_over_after_its_fill(venue: CcxtVenue, ear: Ear) -> None:
    intent = order(venue, 0, tif="ioc")
    ear.submit(intent)
    with venue.wire.lock:
        venue.fill(intent.client_order_id, intent.qty_nano // 4, intent.limit_price_nano)
        venue.exchange.end(venue.row(intent.client_order_id), "EXPIRED")
    ear.until_kind(intent.client_order_id, "expired")
    assert ear.kinds(intent.client_order_id) == ["accepted", "fill", "expired"]


# --- fees -------------------------------------------------------------------------------------------------------------


def bought(venue: CcxtVenue, ear: Ear, side: str = "buy") -> BrokerReport:
    """Buy (then sell), and return the report of the last fill."""
    intents = [order(venue, 0, tif="gtc")]
    if side == "sell":
        intents.append(order(venue, 1, side="sell", tif="gtc", qty_nano=venue.qty_nano // 2))
    for intent in intents:
        assert ear.submit(intent) == "accepted"
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
    return [report for report in ear.reports if report.fill is not None][-1]


def assert_books_are_exact(venue: CcxtVenue, ear: Ear, before: Statement) -> Statement:
    """Book the statement's fills as execution does, and compare with what the exchange has."""
    after = told_of(ear.broker)
    ledger = Ledger(venue.spec, venue.instruments)
    for fill in after.fills:
        ledger.apply(fill)
    held = {symbol: one.qty_nano for symbol, one in ledger.holdings.items() if one.qty_nano}
    first = {each.symbol: each.qty_nano for each in before.held}
    now = {each.symbol: each.qty_nano for each in after.held}
    assert {symbol: now.get(symbol, 0) - first.get(symbol, 0) for symbol in {*now, *first}} == {
        symbol: held.get(symbol, 0) for symbol in {*now, *first}
    }
    assert before.cash_nano is not None
    assert after.cash_nano is not None
    assert after.cash_nano - before.cash_nano == ledger.cash_nano - venue.spec.start_cash_nano
    assert told_of(ear.broker).fills == after.fills, "the same each time"
    return after


@pytest.mark.requirement("brokers:ccxt:fees")
def test_a_fee_in_the_account_currency_is_the_fills(venue: CcxtVenue, ear: Ear) -> None:
    before = told_of(ear.broker)
    venue.exchange.commission, venue.exchange.fee_coin = Decimal("0.001"), "USDT"
    fill = bought(venue, ear).fill
    assert fill is not None
    assert fill.fee_nano == to_nano("19.9996")
    assert len(assert_books_are_exact(venue, ear, before).fills) == 1


@pytest.mark.requirement("brokers:ccxt:fees")
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_fee_out_of_what_was_received_leaves_holding_and_cash_exact(venue: CcxtVenue, ear: Ear, side: str) -> None:
    before = told_of(ear.broker)
    venue.exchange.commission = Decimal("0.00075")
    report = bought(venue, ear, side)
    assert report.fill is not None
    assert ("BTC" in report.reason, report.fill.fee_nano > 0) == (side == "buy", side == "sell")
    after = assert_books_are_exact(venue, ear, before)
    fees = [fill for fill in after.fills if fill.fill_id.endswith("-fee")]
    assert [(fill.side, fill.qty_nano, fill.symbol) for fill in fees] == [("sell", to_nano("0.0003"), BTC)]
    assert not {fill.client_order_id for fill in fees} & set(ear.sent), "no order of ours filled more than it did"


@pytest.mark.requirement("brokers:ccxt:fees")
def test_a_fee_in_a_third_coin_that_is_not_traded_moves_no_book(venue: CcxtVenue, ear: Ear) -> None:
    venue.exchange.balances["BNB"] = Balance(Decimal(10))
    before = told_of(ear.broker)
    venue.exchange.commission, venue.exchange.fee_coin = Decimal("0.0000001"), "BNB"
    report = bought(venue, ear)
    assert report.fill is not None
    assert (report.fill.fee_nano, report.reason) == (0, "a fee of 0.00199996 BNB")
    assert_books_are_exact(venue, ear, before)


@pytest.mark.requirement("brokers:ccxt:fees")
def test_a_fee_in_a_third_coin_that_is_traded_is_sold_at_its_price_of_that_minute(tmp_path: Path) -> None:
    venue = CcxtVenue(tmp_path)
    venue.instruments[BNB] = Instrument(BNB, "crypto", "USDT", TICK, to_nano("0.001"), shortable=False)
    venue.exchange.pairs["BNBUSDT"] = pair("BNB", "USDT", lot="0.001")
    venue.exchange.balances["BNB"] = Balance(Decimal(10))
    venue.exchange.candles["BNBUSDT"] = Decimal("612.34")
    venue.price(venue.symbol, venue.bid_nano, venue.ask_nano)
    ear = Ear(venue)
    try:
        before = told_of(ear.broker)
        venue.exchange.commission, venue.exchange.fee_coin = Decimal("0.0000001"), "BNB"
        bought(venue, ear)
        after = assert_books_are_exact(venue, ear, before)
        (fee,) = [fill for fill in after.fills if fill.symbol == BNB]
        assert (fee.side, fee.qty_nano, fee.price_nano) == ("sell", to_nano("0.00199996"), to_nano("612.34"))
    finally:
        ear.close()
        venue.close()


# --- one moment -------------------------------------------------------------------------------------------------------


def moving(venue: CcxtVenue, times: int) -> list[Fault]:
    """Have an order filled by a little whenever the balances are asked for."""
    intent_id = "web_mover"
    venue.exchange.add("BTCUSDT", intent_id, "BUY", "LIMIT", Decimal(1), Decimal(100))

    def fill() -> None:
        venue.exchange.fill(venue.row(intent_id), Decimal("0.01"), Decimal(100))

    return [Fault("GET", "/openOrders", taken=False, does="say", body="[]", happened=fill) for _ in range(times)]


@pytest.mark.requirement("brokers:ccxt:statement")
@pytest.mark.parametrize("times", [1, 2])
def test_a_statement_during_which_the_account_moved_is_asked_for_again(venue: CcxtVenue, ear: Ear, times: int) -> None:
    venue.wire.faults += moving(venue, times)
    told = told_of(ear.broker)
    assert len(told.fills) == times
    assert [held.qty_nano for held in told.held] == [times * to_nano("0.01")]


@pytest.mark.requirement("brokers:ccxt:statement")
def test_an_account_that_never_rests_has_no_statement(venue: CcxtVenue, ear: Ear) -> None:
    venue.wire.faults += moving(venue, 3)
    with pytest.raises(BusError, match="traded while it was looked at"):
        ear.broker.statement()


@pytest.mark.requirement("brokers:ccxt:statement")
@pytest.mark.parametrize(
    "body", ["[]", "{}", '{"balances":{}}', '{"balances":[{"asset":"USDT","free":"x","locked":"0"}]}']
)
def test_a_statement_that_cannot_be_read_is_none(venue: CcxtVenue, ear: Ear, body: str) -> None:
    venue.wire.faults.append(Fault("GET", "/account", taken=False, does="say", body=body))
    with pytest.raises(BusError):
        ear.broker.statement()


# --- orders of other hands --------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:ccxt:others")
@pytest.mark.parametrize("restart", [False, True])
def test_an_order_of_other_hands_is_watched_and_can_be_canceled(venue: CcxtVenue, ear: Ear, restart: bool) -> None:
    theirs = venue.place_by_hand(BTC, "buy", venue.qty_nano, venue.bid_nano // 2)
    (seen,) = told_of(ear.broker).orders
    row = venue.exchange.rows[int(theirs)]
    venue.exchange.fill(row, Decimal("0.1"), row.price)
    ear.until_filled(seen.client_order_id, to_nano("0.1"))
    if restart:
        ear.broker.close()
        ear.broker = venue.open()
    assert ear.cancel(seen.client_order_id) in {"canceled", "pending_cancel"}
    ear.until_kind(seen.client_order_id, "canceled")
    assert row.status == "CANCELED"


@pytest.mark.requirement("brokers:ccxt:others")
def test_fills_of_many_orders_of_other_hands_are_told_under_their_orders(venue: CcxtVenue, ear: Ear) -> None:
    rows = [venue.exchange.rows[int(venue.place_by_hand(BTC, "buy", venue.qty_nano, venue.bid_nano))] for _ in range(5)]
    for row in rows:
        venue.exchange.fill(row, row.qty, row.price)
    told = told_of(ear.broker)
    assert [fill.client_order_id for fill in told.fills] == [f"ext-BTCUSDT-{row.order_id}" for row in rows]
    assert told.orders == ()
    assert sum(fill.qty_nano for fill in told.fills) == told.held[0].qty_nano


@pytest.mark.requirement("brokers:ccxt:statement")
def test_more_executions_than_a_page_are_all_told(venue: CcxtVenue, ear: Ear) -> None:
    row = venue.exchange.rows[int(venue.place_by_hand(BTC, "buy", 3 * SCALE, venue.bid_nano))]
    for _ in range(2_345):
        venue.exchange.fill(row, Decimal("0.001"), row.price)
    told = told_of(ear.broker)
    assert len({fill.fill_id for fill in told.fills}) == 2_345
    assert sum(fill.qty_nano for fill in told.fills) == told.held[0].qty_nano == to_nano("2.345")


# --- news -------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:ccxt:news")
def test_who_drains_does_not_wait_for_an_exchange_that_hangs(venue: CcxtVenue, ear: Ear) -> None:
    hung = threading.Event()
    intent = order(venue, 0, tif="gtc")
    ear.submit(intent)
    venue.wire.faults.append(Fault("GET", "/openOrders", taken=False, does="hang", happened=hung.set))
    ear.until(hung.is_set, "the question that hangs")
    begun_ns = monotonic_ns()
    for _ in range(100):
        ear.broker.drain()
    assert monotonic_ns() - begun_ns < NS // 2, "the exchange's second of silence was not waited for"
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, intent.qty_nano)


@pytest.mark.requirement("brokers:ccxt:news")
def test_news_are_asked_for_at_a_bounded_pace_and_only_while_something_works(tmp_path: Path) -> None:
    venue = CcxtVenue(tmp_path, pace_s=3_600)
    venue.price(venue.symbol, venue.bid_nano, venue.ask_nano)
    ear = Ear(venue)
    try:
        for _ in range(100):
            ear.listen()
        assert venue.exchange.asked == []
        intent = order(venue, 0, tif="gtc")
        ear.submit(intent)

        def rounds() -> int:
            return sum(path.endswith("/openOrders") for _, path, _ in venue.exchange.asked)

        ear.until(lambda: rounds() == 1, "the first round, at once")
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        for _ in range(1_000):
            ear.listen()
        assert rounds() == 1
        assert ear.filled(intent.client_order_id) == 0
    finally:
        ear.close()
        venue.close()


@pytest.mark.requirement("brokers:ccxt:news")
def test_news_that_do_not_come_for_a_while_are_said_to_be_late_and_come_later(venue: CcxtVenue, ear: Ear) -> None:
    intent = order(venue, 0, tif="gtc")
    ear.submit(intent)
    for _ in range(3):
        venue.wire.faults.append(Fault("GET", "/openOrders", taken=False, does="say", status=502))
    late: list[str] = []

    def listened() -> bool:
        try:
            ear.listen()
        except BusError as error:
            late.append(str(error))
        return bool(late)

    deadline = monotonic_ns() + 20 * NS
    while not listened():
        assert monotonic_ns() < deadline
        venue.moved.clear()
        venue.moved.wait(0.02)
    assert "news of orders is late" in late[0]
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, intent.qty_nano)


@pytest.mark.requirement("brokers:ccxt:news")
def test_a_round_of_questions_that_breaks_off_loses_no_fill(venue: CcxtVenue, ear: Ear) -> None:
    over = order(venue, 0, tif="gtc")
    works = msgspec.structs.replace(order(venue, 1, tif="gtc"), symbol="ETH/USDT")
    for intent in (over, works):
        assert ear.submit(intent) == "accepted"
    ear.cancel(over.client_order_id)
    ear.until_kind(over.client_order_id, "canceled")
    with venue.wire.lock:
        venue.fill(over.client_order_id, over.qty_nano // 4, over.limit_price_nano)
        venue.wire.faults.append(Fault("GET", "/openOrders", taken=False, does="say", status=502))
    ear.until_filled(over.client_order_id, over.qty_nano // 4)
    assert venue.wire.faults == []


@pytest.mark.requirement("brokers:ccxt:once")
@pytest.mark.parametrize("restart", [False, True])
def test_an_order_that_is_over_is_not_sent_again_either(venue: CcxtVenue, ear: Ear, restart: bool) -> None:
    """Binance takes the id of an order that is over for a new one: nobody but the adapter would stop it."""
    intent = order(venue, 0, tif="gtc")
    ear.submit(intent)
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    if restart:
        ear.broker.close()
        ear.broker = venue.open()
        ear.broker.restore([ear.known(intent.client_order_id)], day_done=False)
    assert ear.submit(intent) == "accepted"
    assert venue.orders() == {intent.client_order_id: intent.qty_nano}
    ear.until_filled(intent.client_order_id, intent.qty_nano)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:ccxt:config")
@pytest.mark.parametrize(
    ("changes", "broker", "word"),
    [
        ({}, {"exchange": "kraken"}, "binance"),
        ({}, {"exchange": ""}, "binance"),
        ({"currency": "USD"}, {}, "USDT"),
        ({}, {"timeout_s": 0.0}, "timeout_s"),
        ({}, {"url": "http://exchange.example"}, "unencrypted"),
        ({}, {"url": "ftp://127.0.0.1"}, "address"),
        ({}, {"url": f"https://{KEY}:{SECRET}@127.0.0.1"}, "address"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    venue: CcxtVenue, changes: dict[str, str], broker: dict[str, str | float], word: str
) -> None:
    fields: dict[str, object] = {"kind": "ccxt", "exchange": "binance", "url": venue.wire.url, **broker}
    spec = msgspec.structs.replace(venue.spec, broker=msgspec.convert(fields, BrokerSpec), **changes)
    with pytest.raises(ConfigError, match=word) as caught:
        open_ccxt(spec, venue.instruments, Keys(KEY, SECRET))
    assert SECRET not in str(caught.value)
    assert venue.exchange.asked == []


@pytest.mark.requirement("brokers:ccxt:config")
def test_two_instruments_of_one_coin_are_refused(venue: CcxtVenue) -> None:
    venue.instruments["BTC/USDC:spot"] = replace_symbol(venue.instruments[BTC], "BTC/USDC:spot")
    with pytest.raises(ConfigError, match="one coin"):
        open_ccxt(venue.spec, venue.instruments, Keys(KEY, SECRET))


@pytest.mark.requirement("brokers:ccxt:config")
def test_without_ccxt_the_extra_is_named(venue: CcxtVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "execution.ccxt_broker._sdk", None)
    with pytest.raises(ConfigError, match=r"openoutcry\[ccxt\]"):
        open_ccxt(venue.spec, venue.instruments, Keys(KEY, SECRET))


def test_what_is_offered_is_what_is_true_of_a_market_that_never_closes() -> None:
    offered = offers("binance")
    assert "day" not in offered.times_in_force
    assert (offered.replaces, offered.shorts, offered.own_account) == (False, False, True)


@pytest.mark.requirement("brokers:ccxt:lean")
def test_one_exchange_is_imported_and_the_rest_of_ccxt_is_whole_afterwards() -> None:
    code = (
        "import sys, execution.ccxt_broker as broker\n"
        "assert not any(name.startswith('ccxt') for name in sys.modules)\n"
        "import execution.ccxt_broker._sdk, execution.ccxt_broker._lean as lean\n"
        "kind = lean.exchange_class('binance')\n"
        "assert len([name for name in sys.modules if name.startswith('ccxt')]) < 40\n"
        "assert not any(name in sys.modules for name in ('ccxt', 'ccxt.kraken', 'feed'))\n"
        "import ccxt\n"
        "assert ccxt.binance is kind and ccxt.Exchange is lean.Exchange and len(ccxt.exchanges) > 90\n"
        "assert ccxt.kraken().id == 'kraken' and ccxt.binance().id == 'binance'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def replace_symbol(instrument: Instrument, symbol: str) -> Instrument:
    return msgspec.structs.replace(instrument, symbol=symbol)
