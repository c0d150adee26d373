"""The paper venue's own rules, lending, replacing, and being restored. What bars do is in ``test_paper_fills``."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import OrderEvent, OrderIntent, OrderType, Side, Tick
from execution.broker import BrokerReport, KnownOrder
from execution.paper import PaperBroker
from execution.spec import FeeSchedule, FillModelSpec, GatewaySpec
from tests.brokers.paper_market import LISTED, MINUTE, NIGHT, SPEC, at, bar, broker, flat, order, tick, told

# --- the venue's rules ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:paper:rules")
@pytest.mark.parametrize(
    ("intent", "code"),
    [
        (order(0, "buy", "stop"), "bad_price"),
        (order(0, "buy", "stop", stop_price_nano="95.001"), "bad_price"),
        (order(0, "buy", "stop", stop_price_nano="95", limit_price_nano="96"), "bad_price"),
        (order(0, "buy", "stop_limit", stop_price_nano="95"), "bad_price"),
        (order(0, "buy", "limit", limit_price_nano="95", stop_price_nano="95"), "bad_price"),
        (order(0, "buy", "market", trail_nano="5"), "bad_price"),
        (order(0, "buy", "trailing_stop"), "bad_price"),
        (order(0, "buy", "trailing_stop", trail_nano="5", trail_bps=5), "bad_price"),
        (order(0, "buy", "trailing_stop", trail_nano="-5"), "bad_price"),
        (order(0, "buy", "trailing_stop", trail_nano="0.001"), "bad_price"),
        (order(0, "buy", "trailing_stop", trail_bps=10_000), "bad_price"),
        (order(0, "buy", "trailing_stop", trail_bps=-1), "bad_price"),
        (order(0, "buy", "stop", stop_price_nano="95", time_in_force="ioc"), "bad_time_in_force"),
        (order(0, "buy", "market", time_in_force="gtd"), "bad_expiry"),
        (order(0, "buy", "market", time_in_force="gtd", expires_ns=at(0)), "bad_expiry"),
        (order(0, "buy", "market", expires_ns=at(5)), "bad_expiry"),
        (order(0, "buy", "market", "0.0009", symbol="BTCUSD"), "bad_quantity"),
        (order(0, "buy", "market", "0.00105", symbol="BTCUSD"), "bad_quantity"),
        (order(0, "buy", "market", "9.0001", symbol="BTCUSD"), "bad_quantity"),
        (order(0, "buy", "limit", "0.099", symbol="BTCUSD", limit_price_nano="100"), "min_notional"),
        (order(0, "sell", "market", "1", symbol="BARE"), "not_shortable"),
    ],
)
def test_what_the_venue_does_not_take_is_rejected_with_what_it_takes(intent: OrderIntent, code: str) -> None:
    venue = broker()
    report = venue.submit(intent, at(0))
    assert (report.kind, report.reason.split(":")[0]) == ("rejected", code)
    assert venue.submit(intent, at(0)) == report == venue.query(intent.client_order_id)[0]
    assert venue.work(tick(*(flat(0, "100", symbol=symbol) for symbol in LISTED))) == []


@pytest.mark.requirement("brokers:paper:rules")
@pytest.mark.parametrize(("price", "kind"), [("99.99", "rejected"), ("100", "fill")])
def test_a_market_order_below_the_least_notional_is_rejected_where_it_meets_the_market(price: str, kind: str) -> None:
    model = FillModelSpec(latency_ns=0, half_spread_ppm=0, slippage_ppm=0)
    venue = broker(
        order(0, "buy", "market", "0.1", symbol="BTCUSD"), spec=msgspec.structs.replace(SPEC, fill_model=model)
    )
    (report,) = venue.work(tick(flat(0, price, symbol="BTCUSD")))
    assert report.kind == kind


@pytest.mark.requirement("brokers:paper:rules")
def test_what_nobody_lends_is_never_sold_below_zero() -> None:
    venue = broker(order(0, "buy", "market", "100", symbol="BARE"))
    venue.work(tick(flat(0, "100", symbol="BARE")))
    assert venue.submit(order(1, "sell", "market", "101", symbol="BARE"), at(1)).kind == "rejected"
    for index, qty in ((2, "70"), (3, "60")):
        assert venue.submit(order(index, "sell", "market", qty, symbol="BARE"), at(1)).kind == "accepted"
    assert told(venue.work(tick(flat(1, "100", symbol="BARE")))) == [
        ("70", "99.98"),
        ("30", "99.98"),
        ("canceled", "not_shortable"),
    ]


@pytest.mark.requirement("brokers:paper:rules")
@pytest.mark.parametrize(
    ("symbol", "qty", "price", "fee"),
    [
        ("IBM", "1000", "100", "5"),  # half a cent a share
        ("BTCUSD", "1", "40000", "40"),  # ten basis points
        ("EURUSD", "100000", "1.25", "2.5"),  # a fifth of one; without a volume there is no cap
        ("ES", "2", "1500", "4.5"),  # a contract
    ],
)
def test_each_kind_of_instrument_pays_its_own_fee(symbol: str, qty: str, price: str, fee: str) -> None:
    model = FillModelSpec(latency_ns=0, half_spread_ppm=0, slippage_ppm=0)
    venue = broker(order(0, "buy", "market", qty, symbol=symbol), spec=msgspec.structs.replace(SPEC, fill_model=model))
    volume = "0" if symbol == "EURUSD" else "10000000"
    (report,) = venue.work(tick(flat(0, price, volume, symbol)))
    assert report.fill is not None
    assert (report.fill.qty_nano, report.fill.fee_nano) == (to_nano(qty), to_nano(fee))


# --- lending ----------------------------------------------------------------------------------------------------------


def lent(nights: int, *closing: str, symbol: str = "IBM") -> list[int]:
    """What purchases pay beyond their trading fee when they give back 100 that were sold short that many nights ago."""
    fees = FeeSchedule(equity_min_nano=0, equity_per_share_nano=0, crypto_ppm=0, equity_borrow_ppm_year=36_000)
    model = FillModelSpec(latency_ns=0, half_spread_ppm=0, slippage_ppm=0)
    venue = broker(
        order(0, "sell", "market", "9" if symbol == "BTCUSD" else "100", symbol=symbol),
        spec=msgspec.structs.replace(SPEC, fees=fees, fill_model=model),
    )
    venue.work(tick(flat(0, "50", symbol=symbol)))
    paid: list[int] = []
    later = nights * NIGHT // MINUTE + 1
    for n, qty in enumerate(closing):
        assert venue.submit(order(n + 1, "buy", "market", qty, symbol=symbol), at(later + n)).kind == "accepted"
        (report,) = venue.work(tick(flat(later + n, "70", symbol=symbol)))
        assert report.fill is not None
        paid.append(report.fill.fee_nano)
    return paid


@pytest.mark.requirement("brokers:paper:borrow")
def test_shares_sold_short_pay_for_each_night_when_they_are_bought_back() -> None:
    """A sale of 5,000 at 3.6 % a year of 360 days is half a dollar a night."""
    assert lent(0, "100") == [0], "not for the day"
    assert lent(1, "100") == [to_nano("0.5")]
    assert lent(7, "100") == [to_nano("3.5")]
    assert lent(2, "40", "60") == [to_nano("0.4"), to_nano("0.6")], "each share once"
    assert lent(2, "150", "10") == [to_nano(1), 0], "what goes beyond the short was never borrowed"
    assert lent(2, "9", symbol="BTCUSD") == [0], "only equities are lent"


@pytest.mark.requirement("brokers:paper:borrow")
def test_the_first_sold_is_the_first_given_back() -> None:
    fees = FeeSchedule(equity_min_nano=0, equity_per_share_nano=0, equity_borrow_ppm_year=36_000)
    venue = broker(
        order(0, "sell", "market", "60"),
        spec=msgspec.structs.replace(SPEC, fees=fees, fill_model=FillModelSpec(0, 0, 0, 1_000_000)),
    )
    venue.work(tick(flat(0, "50")))
    night = NIGHT // MINUTE
    for index, side, minute, qty in ((1, "sell", night, "40"), (2, "buy", 2 * night, "70")):
        intent = order(index, "buy" if side == "buy" else "sell", "market", qty)
        assert venue.submit(intent, at(minute)).kind == "accepted"
        (report,) = venue.work(tick(flat(minute, "50")))
    assert report.fill is not None
    assert report.fill.fee_nano == to_nano("0.65"), "60 for two nights and 10 for one"


# --- replacing --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:paper:replace")
def test_a_replacement_takes_over_at_once_and_loses_its_place() -> None:
    old, other = order(0, "buy", "limit", limit_price_nano="99"), order(1, "buy", "limit", limit_price_nano="99")
    venue = broker(old, other)
    new = order(2, "buy", "limit", limit_price_nano="99", replaces=old.client_order_id)
    reports = venue.replace(new, at(0))
    assert [(r.client_order_id, r.kind) for r in reports] == [
        (old.client_order_id, "replaced"),
        (new.client_order_id, "accepted"),
    ]
    fills = [r.client_order_id for r in venue.work(tick(bar(0, "99", "99", "98", "98", "6000"))) if r.kind == "fill"]
    assert fills == [other.client_order_id, new.client_order_id], "150 to give: the one that stayed came first"
    assert venue.replace(new, at(1)) == (*venue.query(old.client_order_id), *venue.query(new.client_order_id))


@pytest.mark.requirement("brokers:paper:replace")
@pytest.mark.parametrize(
    "changes",
    [{"limit_price_nano": "98.001"}, {"symbol": "BTCUSD"}, {"qty_nano": 0}, {"replaces": "oo-nothing"}],
)
def test_a_replacement_that_fails_leaves_the_old_order_as_it_was(changes: dict[str, object]) -> None:
    old = order(0, "buy", "limit", limit_price_nano="99")
    venue = broker(old)
    fields: dict[str, object] = {"limit_price_nano": "98", "replaces": old.client_order_id, **changes}
    new = order(2, "buy", "limit", "100", **fields)
    kept, refused = venue.replace(new, at(0))
    assert (kept.kind, refused.kind) == ("replace_rejected", "rejected")
    assert venue.query(new.client_order_id) == (refused,)
    assert told(venue.work(tick(bar(0, "100", "100", "98.5", "99")))) == [("100", "99")]


# --- restored ---------------------------------------------------------------------------------------------------------

KINDS: tuple[tuple[OrderType, dict[str, object]], ...] = (
    ("market", {}),
    ("market", {"time_in_force": "ioc"}),
    ("market", {"time_in_force": "fok"}),
    ("limit", {"limit_price_nano": "99", "time_in_force": "gtc"}),
    ("limit", {"limit_price_nano": "101", "time_in_force": "gtd", "expires_ns": at(9)}),
    ("stop", {"stop_price_nano": "97"}),
    ("stop_limit", {"stop_price_nano": "103", "limit_price_nano": "102"}),
    ("trailing_stop", {"trail_nano": "3"}),
    ("trailing_stop", {"trail_bps": 250}),
)


class Journal:
    """As much of a journal as a paper broker is restored from."""

    def __init__(self, spec: GatewaySpec = SPEC) -> None:
        self.spec = spec
        self.sent: dict[str, tuple[OrderIntent, int]] = {}
        self.reports: list[BrokerReport] = []
        self.waters: dict[str, int] = {}

    def restored(self, done: bool) -> PaperBroker:
        made = PaperBroker(self.spec, LISTED)
        over = {r.client_order_id for r in self.reports if r.kind in {"canceled", "expired", "rejected", "replaced"}}
        known: list[KnownOrder] = []
        for name, (intent, sent_ns) in self.sent.items():
            fills = tuple(r.fill for r in self.reports if r.client_order_id == name and r.fill is not None)
            if name not in over and sum(fill.qty_nano for fill in fills) < intent.qty_nano:
                known.append(KnownOrder(intent, sent_ns, acknowledged=True, fills=fills))
        made.restore(known, day_done=done)
        made.recall([self._event(seq, report) for seq, report in enumerate(self.reports, 1)], self.waters)
        return made

    def _event(self, seq: int, report: BrokerReport) -> OrderEvent:
        intent, sent_ns = self.sent[report.client_order_id]
        return OrderEvent(
            seq=seq,
            client_order_id=report.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            kind="accepted" if report.kind == "unknown" else report.kind,
            status="accepted",
            time_ns=sent_ns,
            qty_nano=intent.qty_nano,
            filled_nano=0,
            fill=report.fill,
        )


def restarted(*orders: OrderIntent, shown: list[Tick], spec: GatewaySpec = SPEC) -> PaperBroker:
    """A broker restored from the journal of one that worked these orders over these ticks."""
    journal, before = Journal(spec), broker(*orders, spec=spec)
    for intent in orders:
        journal.sent[intent.client_order_id] = (intent, at(0))
    for moved in shown:
        journal.reports += before.work(moved)
        journal.waters.update(before.waters())
    return journal.restored(done=False)


@pytest.mark.requirement("brokers:paper:restored")
def test_a_stop_that_was_triggered_without_a_fill_is_still_triggered_after_a_restart() -> None:
    stop = order(0, "sell", "stop", stop_price_nano="95")
    venue = restarted(stop, shown=[tick(bar(0, "100", "100", "94", "94", "0"))])
    assert told(venue.work(tick(flat(1, "99")))) == [("100", "98.98")]


@pytest.mark.requirement("brokers:paper:restored")
def test_a_trailing_stop_stands_where_it_stood_after_a_restart() -> None:
    trailing = order(0, "sell", "trailing_stop", trail_nano="5")
    venue = restarted(trailing, shown=[tick(flat(0, "100")), tick(flat(1, "110"))])
    assert told(venue.work(tick(bar(2, "109", "109", "105", "106")))) == [("triggered", ""), ("100", "104.98")]


@pytest.mark.requirement("brokers:paper:restored")
def test_positions_and_loans_are_remembered_over_a_restart() -> None:
    fees = FeeSchedule(equity_min_nano=0, equity_per_share_nano=0, equity_borrow_ppm_year=36_000)
    spec = msgspec.structs.replace(SPEC, fees=fees, fill_model=FillModelSpec(0, 0, 0, 1_000_000))
    held, short = order(0, "buy", "market", symbol="BARE"), order(1, "sell", "market")
    venue = restarted(held, short, shown=[tick(flat(0, "50", symbol="BARE"), flat(0, "50"))], spec=spec)
    later = NIGHT // MINUTE
    assert venue.submit(order(2, "sell", "market", "101", symbol="BARE"), at(later)).kind == "rejected"
    assert venue.submit(order(3, "sell", "market", "100", symbol="BARE"), at(later)).kind == "accepted"
    assert venue.submit(order(4, "buy", "market"), at(later)).kind == "accepted"
    reports = venue.work(tick(flat(later, "50", symbol="BARE"), flat(later, "50")))
    assert [report.fill.fee_nano for report in reports if report.fill is not None] == [0, to_nano("0.5")]


@pytest.mark.requirement("brokers:paper:restored")
@settings(deadline=None, max_examples=150)
@given(
    bars=st.lists(
        st.tuples(
            st.integers(95, 105), st.integers(0, 6), st.integers(0, 6), st.sampled_from([0, 1_000, 4_000, 10**6])
        ),
        min_size=2,
        max_size=10,
    ),
    orders=st.lists(st.tuples(st.integers(0, 8), st.sampled_from(KINDS), st.sampled_from(["buy", "sell"])), max_size=6),
    restarts=st.sets(st.integers(0, 9)),
)
def test_a_broker_restored_at_any_bar_goes_on_as_the_one_before(
    bars: list[tuple[int, int, int, int]],
    orders: list[tuple[int, tuple[OrderType, dict[str, object]], Side]],
    restarts: set[int],
) -> None:
    whole, journal = broker(), Journal()
    restored = journal.restored(done=False)
    for minute, (opened, up, down, volume) in enumerate(bars):
        for index, (when, (kind, fields), side) in enumerate(orders):
            if when == minute:
                intent = msgspec.structs.replace(order(index, side, kind, "100", **fields), decided_ns=at(minute))
                answer = whole.submit(intent, at(minute))
                assert restored.submit(intent, at(minute)) == answer
                journal.sent[intent.client_order_id] = (intent, at(minute))
                journal.reports.append(answer)
        shown = bar(minute, str(opened), str(opened + up), str(opened - down), str(opened), str(volume))
        moved = tick(shown, done=minute == len(bars) - 1)
        happened = whole.work(moved)
        assert restored.work(moved) == happened
        journal.reports += happened
        journal.waters.update(whole.waters())
        if minute in restarts:
            restored = journal.restored(done=moved.clock.done)
            assert restored.waters() == whole.waters()
