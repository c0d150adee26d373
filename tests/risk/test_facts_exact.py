"""Where everything starts, the newest price of a symbol, how long a best equity counts; not what follows from them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bus.fixed import SCALE
from bus.messages import Bar, Fill, Instrument, OrderEvent, Quote, Side, Snapshot
from risk._losses import Losses
from risk.book import Book, Price, newest_prices
from risk.facts import DeskFacts, Facts
from tests.risk.core import CASH_NANO, CLIENT, RUN, Core, limits

BAR = Bar("ACME", 0, 10, 10, 1, 1, 1, 100, SCALE)
QUOTE = Quote("ACME", 15, 20, 20, 98, 104, 99, 103)


# --- where everything starts ------------------------------------------------------------------------------------------


@pytest.mark.requirement("gate:clock-mismatch")
def test_of_a_client_nothing_is_known_at_first_and_nothing_passes() -> None:
    own = limits()
    desk = DeskFacts(Core().spec.desk)
    facts = Facts(CLIENT, RUN, "USD", own, desk, CASH_NANO)
    given = {name: getattr(facts, name) for name in Facts.__slots__ if not name.startswith("_")}
    whole = dict.fromkeys(
        (
            "margin_nano",
            "leverage_nano",
            "concentration_nano",
            "gross_nano",
            "up_nano",
            "down_nano",
            "recent_orders",
            "recent_messages",
            "orders_today",
            "cancels_today",
            "open_orders",
        ),
        0,
    )
    assert given == whole | {
        "client": CLIENT,
        "run_id": RUN,
        "currency": "USD",
        "limits": own,
        "desk": desk,
        "order_types": frozenset(own.order_types),
        "times_in_force": frozenset(own.times_in_force),
        "order_classes": frozenset(own.order_classes),
        "terms": {},
        "strategies": {},
        "twins": {},
        "working": {},
        "legs": set(),
        "now_ns": -1,
        "state": "active",
        "session_open": False,
        "equity_nano": CASH_NANO,
        "day_start_nano": CASH_NANO,
        "peak_nano": CASH_NANO,
        "recent_peak_nano": CASH_NANO,
        "halted": False,
        "closed": "clock_mismatch",
        "restricted": "",
        "paced": "",
    }


@pytest.mark.requirement("state:desk")
def test_of_a_desk_nothing_is_known_at_first() -> None:
    limits_of_desk = Core().spec.desk
    facts = DeskFacts(limits_of_desk)
    given = {name: getattr(facts, name) for name in DeskFacts.__slots__}
    assert given == {
        "limits": limits_of_desk,
        "state": "active",
        "gross_nano": 0,
        "up_nano": 0,
        "down_nano": 0,
        "day_loss_nano": 0,
        "halted": False,
        "restricted": "",
        "recent_messages": 0,
        "open_orders": 0,
    }


# --- the newest price -------------------------------------------------------------------------------------------------


def newest(*quotes: Quote, bars: tuple[Bar, ...] = (BAR,)) -> dict[str, Price]:
    return newest_prices(Snapshot(30, bars, quotes))


@pytest.mark.requirement("gate:no-price")
@pytest.mark.parametrize("name", ["close_nano", "event_time_ns"])
@pytest.mark.parametrize("garbage", [1.5, None, "1", float("nan")])
def test_a_bar_with_a_number_that_is_none_has_no_price_and_the_others_have(name: str, garbage: Any) -> None:
    broken = msgspec.structs.replace(BAR, **{name: garbage})
    other = msgspec.structs.replace(BAR, symbol="NICK")
    assert newest(bars=(broken, other)) == {"NICK": Price(100, 10)}


@pytest.mark.requirement("gate:no-price")
@pytest.mark.parametrize("name", ["bid_nano", "ask_nano", "event_time_ns"])
@pytest.mark.parametrize("garbage", [1.5, None, "1", float("nan")])
def test_a_quote_with_a_number_that_is_none_is_passed_over_and_the_others_count(name: str, garbage: Any) -> None:
    broken = msgspec.structs.replace(QUOTE, **{name: garbage})
    other = msgspec.structs.replace(QUOTE, symbol="NICK")
    assert newest(broken, other) == {"ACME": Price(100, 10), "NICK": Price(101, 20)}


@pytest.mark.requirement("gate:stale-price")
@pytest.mark.parametrize(("at_ns", "price"), [(9, Price(100, 10)), (10, Price(101, 10)), (11, Price(101, 11))])
def test_the_later_of_a_bar_and_a_quote_is_the_price_and_at_one_time_the_quote(at_ns: int, price: Price) -> None:
    assert newest(msgspec.structs.replace(QUOTE, event_time_ns=at_ns)) == {"ACME": price}


@pytest.mark.requirement("gate:no-price")
def test_a_quote_of_a_billionth_is_one_and_one_with_a_side_missing_is_none() -> None:
    assert newest(msgspec.structs.replace(QUOTE, bid_nano=1, ask_nano=1)) == {"ACME": Price(1, 20)}
    for name in ("bid_nano", "ask_nano"):
        assert newest(msgspec.structs.replace(QUOTE, **{name: 0})) == {"ACME": Price(100, 10)}


# --- what is reserved -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:worst")
def test_what_is_reserved_is_worth_its_multiplier() -> None:
    core = Core(limits(max_order_notional_nano=50_000 * SCALE, max_position_notional_nano=50_000 * SCALE))
    core.approve(core.intent("GOLD", qty=2, limit=1_000))
    assert core.client.book.reserved_nano() == 20_000 * SCALE
    assert Book({"GOLD": Instrument("GOLD", "future", "USD", 1, SCALE)}, 0).reserved_nano() == 0


@pytest.mark.requirement("state:worst")
@pytest.mark.parametrize(("side", "up", "down"), [("buy", 20_000, 0), ("sell", 0, 20_000)])
def test_either_side_of_a_contract_is_worth_its_multiplier(side: Side, up: int, down: int) -> None:
    core = Core(limits(max_order_notional_nano=50_000 * SCALE, max_position_notional_nano=50_000 * SCALE))
    core.approve(core.intent("GOLD", side, qty=2, limit=1_000))
    facts = core.client.facts
    assert (facts.up_nano, facts.down_nano, facts.gross_nano) == (up * SCALE, down * SCALE, 20_000 * SCALE)


@pytest.mark.requirement("state:worst")
def test_an_order_in_what_nobody_has_described_counts_one_for_one() -> None:
    book = Book({}, 0)
    book.apply(
        OrderEvent(
            1,
            "theirs",
            "WHAT",
            "buy",
            "accepted",
            "accepted",
            10,
            3 * SCALE,
            0,
            origin="external",
            price_nano=7 * SCALE,
        )
    )
    assert (book.gross_nano, book.up_nano, book.down_nano) == (21 * SCALE, 21 * SCALE, 0)
    assert book.reserved_nano() == 21 * SCALE


@pytest.mark.requirement("state:worst")
def test_what_is_held_has_no_worth_without_any_price_and_its_own_with_one() -> None:
    book = Book({"ACME": Instrument("ACME", "equity", "USD", 1, SCALE)}, 0)
    fill = Fill("f1", "theirs", "ACME", "buy", 3 * SCALE, 7 * SCALE, 0, 10)
    book.apply(
        OrderEvent(1, "theirs", "ACME", "buy", "fill", "filled", 10, 3 * SCALE, 3 * SCALE, fill=fill, origin="external")
    )
    assert (book.position("ACME"), book.cash_nano) == (3 * SCALE, -21 * SCALE)
    assert (book.gross_nano, book.up_nano) == (0, 0)
    book.mark(Snapshot(30, (msgspec.structs.replace(BAR, close_nano=8 * SCALE),), ()))
    assert (book.gross_nano, book.up_nano, book.equity_nano) == (24 * SCALE, 24 * SCALE, 3 * SCALE)


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("gate:rolling-loss")
def test_a_best_equity_counts_for_its_window_and_at_most_one_part_more() -> None:
    losses = Losses(0, 64)
    losses.mark(0, 100)
    losses.mark(64, 7)
    assert losses.recent_peak_nano == 100
    losses.mark(65, 7)
    assert losses.recent_peak_nano == 7
    assert losses.peak_nano == 100
