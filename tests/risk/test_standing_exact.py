"""Terms, and what stands before any order is seen, value by value; garbage in each place of them. Not the judge."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bus.fixed import SCALE
from bus.messages import Instrument
from risk import standing
from risk._terms import price_terms
from risk.book import Price
from risk.facts import Facts
from tests.risk.core import CENT, Core, limits

FINE = Instrument("FINE", "crypto", "USD", CENT, SCALE)


def code(**other: Any) -> str:
    """Return the verdict on an order in an instrument that differs so."""
    core = Core(instruments=(msgspec.structs.replace(FINE, **other),))
    core.desk.describe((), ("FINE",))
    core.mark()
    return core.code(core.intent("FINE", qty=1))


# --- terms ------------------------------------------------------------------------------------------------------------

_NUMBERS = ("tick_nano", "lot_nano", "multiplier", "min_qty_nano", "max_qty_nano", "min_notional_nano")


@pytest.mark.requirement("gate:unknown-symbol")
@pytest.mark.parametrize("name", _NUMBERS)
@pytest.mark.parametrize("garbage", [1.0, None, "1", float("nan")])
def test_an_instrument_with_a_number_that_is_none_is_unknown(name: str, garbage: Any) -> None:
    assert code() == "approved"
    assert code(**{name: garbage}) == "unknown_symbol"


@pytest.mark.requirement("gate:not-tradable")
@pytest.mark.parametrize("name", _NUMBERS)
def test_an_instrument_with_a_step_of_nothing_or_a_bound_below_nothing_is_not_tradable(name: str) -> None:
    is_step = name in {"tick_nano", "lot_nano", "multiplier"}
    assert code(**{name: 0}) == ("not_tradable" if is_step else "approved")
    assert code(**{name: -1}) == "not_tradable"


@pytest.mark.requirement("gate:no-price")
@pytest.mark.parametrize(
    "price",
    [None, Price(0, 1), Price(-1, 1), Price(1.5, 1), Price(1, 1.5), Price(None, 1), Price(1, None)],  # pyright: ignore[reportArgumentType] - garbage
)
def test_without_a_whole_price_nothing_of_the_one_before_is_left(price: Price | None) -> None:
    terms = Core().client.facts.terms["ACME"]
    assert terms.priced == ""
    price_terms(terms, price)
    assert terms.priced == "no_price"
    assert (terms.reference_nano, terms.event_time_ns) == (0, -1)
    assert (terms.low_nano, terms.high_nano, terms.market_nano) == (0, 0, 0)


@pytest.mark.requirement("gate:no-price")
def test_a_price_of_a_billionth_is_one() -> None:
    terms = Core().client.facts.terms["ACME"]
    price_terms(terms, Price(1, 7))
    assert (terms.priced, terms.reference_nano, terms.event_time_ns) == ("", 1, 7)
    assert (terms.low_nano, terms.high_nano, terms.market_nano) == (1, 1, 1)


# --- what stands before an order is seen ------------------------------------------------------------------------------


def facts_of(**tight: Any) -> Facts:
    return Core(limits(**tight)).client.facts


@pytest.mark.requirement("gate:clock-mismatch")
def test_the_first_nanosecond_there_is_is_an_instant() -> None:
    facts = facts_of()
    facts.now_ns = 0
    assert standing.closed(facts) == ""
    facts.now_ns = -1
    assert standing.closed(facts) == "clock_mismatch"


@pytest.mark.requirement("risk:check:failed")
@pytest.mark.parametrize("ask", [standing.closed, standing.restricted, standing.paced])
def test_what_cannot_be_worked_out_stops_everything(ask: Any) -> None:
    facts: Any = facts_of()
    assert ask(facts) == ""
    facts.desk = None
    assert ask(facts) == "check_failed"


class Blank(str):
    """A reason without words."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.requirement("risk:check:failed")
def test_a_reason_of_the_desk_without_words_is_still_one() -> None:
    facts = facts_of()
    facts.desk.restricted = Blank("")
    assert standing.restricted(facts) == "check_failed"
    desk: Any = facts.desk
    desk.limits = None
    assert standing.desk_restricted(desk) == "check_failed"


@pytest.mark.requirement("gate:equity-unknown")
@pytest.mark.parametrize("garbage", [None, 1.5, "1", True])
def test_an_equity_or_a_loss_that_is_no_whole_number_is_unknown(garbage: Any) -> None:
    facts = facts_of()
    facts.equity_nano = garbage
    assert standing.restricted(facts) == "equity_unknown"
    facts.desk.day_loss_nano = garbage
    assert standing.desk_restricted(facts.desk) == "equity_unknown"


@pytest.mark.requirement("gate:daily-loss")
def test_a_loss_of_just_the_limit_is_too_much_also_where_nothing_remembers_it() -> None:
    facts = facts_of(max_daily_loss_nano=500)
    facts.equity_nano = facts.day_start_nano - 499
    assert standing.restricted(facts) == ""
    facts.equity_nano -= 1
    assert standing.restricted(facts) == "daily_loss"
    desk = facts.desk
    desk.day_loss_nano = desk.limits.max_daily_loss_nano - 1
    assert standing.desk_restricted(desk) == ""
    desk.day_loss_nano += 1
    assert standing.desk_restricted(desk) == "desk_daily_loss"


@pytest.mark.requirement("gate:buying-power")
@pytest.mark.parametrize(
    ("equity", "powers"),
    [
        (None, (0, 0, 0)),
        (-1, (0, 0, 0)),
        (0, (0, 0, 0)),
        (1, (2, 3, 0)),
        (10**18 + 1, (2 * 10**18 + 2, 3 * 10**18 + 3, 4 * 10**17)),
    ],
)
def test_what_an_equity_allows_is_worked_out_to_the_billionth(equity: int | None, powers: tuple[int, ...]) -> None:
    facts = facts_of(margin_bps=5_000, max_leverage_bps=30_000, max_concentration_bps=4_000)
    facts.equity_nano = equity
    assert standing.powers(facts) == powers
