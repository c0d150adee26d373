"""Exposure to the billionth: what an order leads to, worked out apart, against each limit just at it and just below.

Facts are put in by hand, so that what else the client and the desk have differs in every number; not their making.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.fixed import SCALE
from bus.messages import Instrument, Side
from risk.book import Holding
from risk.facts import Deployed, InUse, Resting
from tests.risk.core import Core, limits

FINE = Instrument("FINE", "crypto", "USD", 1, 1, multiplier=3)
"""Priced and traded by the billionth, three units a contract."""
_HUGE = 2**62
_EXPOSURES = (
    "position_limit",
    "gross_limit",
    "buying_power",
    "leverage",
    "concentration",
    "net_limit",
    "desk_gross_limit",
    "desk_net_limit",
)
_some = st.integers(0, 4 * SCALE)
_signed = st.integers(-4 * SCALE, 4 * SCALE)


@dataclass(frozen=True)
class Before:
    """What there is before the order, in billionths: of this symbol, and of everything else."""

    position: int
    buys: int
    sells: int
    gross: int
    up: int
    down: int
    other_gross: int
    other_up: int
    other_down: int
    desk_gross: int
    desk_up: int
    desk_down: int


def core_with(before: Before, price: int) -> Core:
    """Return a client that stands so; every limit is out of reach."""
    core = Core(limits(min_order_notional_nano=0), instruments=(FINE, Instrument("ACME", "equity", "USD", 1, SCALE)))
    core.desk.describe((), ("ACME", "FINE"))
    core.mark()
    facts = core.client.facts
    terms = facts.terms["FINE"]
    terms.reference_nano, terms.low_nano, terms.high_nano = price, price, price
    terms.held = Holding(before.position, before.buys, before.sells, before.gross, before.up, before.down)
    terms.shorts, terms.short_most_nano, terms.most_qty_nano = "", _HUGE, _HUGE
    terms.most_position_nano, terms.worth_most = _HUGE, _HUGE * SCALE
    facts.limits = msgspec.structs.replace(facts.limits, max_gross_nano=_HUGE, max_net_nano=_HUGE)
    facts.margin_nano = facts.leverage_nano = facts.concentration_nano = _HUGE
    facts.gross_nano = before.gross + before.other_gross
    facts.up_nano, facts.down_nano = before.up + before.other_up, before.down + before.other_down
    desk = facts.desk
    desk.limits = msgspec.structs.replace(desk.limits, max_gross_nano=_HUGE, max_net_nano=_HUGE)
    desk.gross_nano = before.gross + before.desk_gross
    desk.up_nano, desk.down_nano = before.up + before.desk_up, before.down + before.desk_down
    return core


def tighten(core: Core, name: str, nano: int) -> None:
    """Set one limit."""
    facts = core.client.facts
    desk = facts.desk
    match name:
        case "position_limit":
            facts.terms["FINE"].most_position_nano = nano
        case "gross_limit":
            facts.limits = msgspec.structs.replace(facts.limits, max_gross_nano=nano)
        case "buying_power":
            facts.margin_nano = nano
        case "leverage":
            facts.leverage_nano = nano
        case "concentration":
            facts.concentration_nano = nano
        case "net_limit":
            facts.limits = msgspec.structs.replace(facts.limits, max_net_nano=nano)
        case "desk_gross_limit":
            desk.limits = msgspec.structs.replace(desk.limits, max_gross_nano=nano)
        case _:
            desk.limits = msgspec.structs.replace(desk.limits, max_net_nano=nano)


def leads_to(name: str, before: Before, side: Side, qty: int, price: int) -> int:
    """Return what the limit of that name bounds, if the order and all on its side fill, and the other way round."""

    def worth(amount: int) -> int:
        return ceil(Fraction(price * FINE.multiplier * amount, SCALE))

    long = before.position + before.buys + (qty if side == "buy" else 0)
    short = before.sells - before.position + (qty if side == "sell" else 0)
    worst = worth(max(long, short))
    match name:
        case "position_limit" | "concentration":
            return worst
        case "gross_limit" | "buying_power" | "leverage":
            return before.other_gross + worst
        case "desk_gross_limit":
            return before.desk_gross + worst
        case "net_limit":
            return before.other_up + worth(long) if side == "buy" else before.other_down + worth(short)
        case _:
            return before.desk_up + worth(long) if side == "buy" else before.desk_down + worth(short)


@pytest.mark.requirement("gate:reference")
@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("name", _EXPOSURES)
@given(
    st.builds(Before, _signed, _some, _some, _some, _signed, _signed, _some, _signed, _signed, _some, _signed, _signed),
    st.integers(1, 4 * SCALE),
    st.integers(SCALE // 5, 2 * SCALE),
)
def test_each_limit_holds_at_what_an_order_leads_to_and_not_a_billionth_below(
    name: str, side: Side, before: Before, qty: int, price: int
) -> None:
    core = core_with(before, price)
    intent = msgspec.structs.replace(core.intent("FINE", side, 1), qty_nano=qty, limit_price_nano=price)
    intent = msgspec.structs.replace(intent, order_type="limit")
    bound = leads_to(name, before, side, qty, price)
    toward = before.position + before.buys if side == "buy" else before.sells - before.position
    assert core.code(intent) == "approved"
    tighten(core, name, bound)
    assert core.code(intent) == "approved"
    tighten(core, name, bound - 1)
    assert core.code(intent) == ("approved" if toward + qty <= 0 else name), "what reduces is never too much"


def at(before: Before, side: Side, qty: int, **other: object) -> str:
    """Return the verdict on an order at a price of 1."""
    core = core_with(before, SCALE)
    terms = core.client.facts.terms["FINE"]
    for each, value in other.items():
        setattr(terms, each, value)
    intent = msgspec.structs.replace(core.intent("FINE", side, 1, 1), qty_nano=qty)
    return core.code(intent)


NOTHING = Before(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def long(nano: int) -> Before:
    return Before(nano, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.requirement("gate:short-sale")
def test_selling_a_billionth_more_than_there_is_is_short() -> None:
    assert at(long(SCALE), "sell", SCALE, shorts="short_sale") == "approved"
    assert at(long(SCALE), "sell", SCALE + 1, shorts="short_sale") == "short_sale"
    assert at(long(SCALE), "sell", SCALE + 1, short_most_nano=1) == "approved"
    assert at(long(SCALE), "sell", SCALE + 2, short_most_nano=1) == "short_available"


@pytest.mark.requirement("gate:reduce-only")
def test_what_leaves_a_billionth_on_the_other_side_does_not_reduce() -> None:
    core = core_with(long(SCALE), SCALE)
    for qty, code in ((SCALE, "approved"), (SCALE + 1, "reduce_only")):
        intent = msgspec.structs.replace(core.intent("FINE", "sell", 1, 1), qty_nano=qty, reduce_only=True)
        assert core.code(intent) == code


@pytest.mark.requirement("gate:quantity")
def test_a_billionth_at_a_price_of_a_billionth_is_an_order() -> None:
    core = core_with(NOTHING, 1)
    core.client.facts.terms["FINE"].multiplier = 1
    intent = core.intent("FINE", "buy", 1)
    assert core.code(msgspec.structs.replace(intent, order_type="limit", qty_nano=1, limit_price_nano=1)) == "approved"
    assert core.code(msgspec.structs.replace(intent, order_type="limit", qty_nano=0, limit_price_nano=1)) == "quantity"


@pytest.mark.requirement("gate:limit-price")
def test_a_limit_of_a_billionth_is_one_that_is_too_far_away() -> None:
    core = core_with(NOTHING, SCALE)
    intent = msgspec.structs.replace(core.intent("FINE", "buy", 1, 1), limit_price_nano=1)
    assert core.code(intent) == "price_collar"


@pytest.mark.requirement("gate:venue-notional")
def test_an_order_of_just_what_the_venue_asks_for_is_one() -> None:
    worth = 3 * SCALE * SCALE
    assert at(NOTHING, "buy", SCALE, venue_worth_least=worth) == "approved"
    assert at(NOTHING, "buy", SCALE, venue_worth_least=worth + 1) == "venue_notional"


@pytest.mark.requirement("gate:order-form")
def test_no_field_of_an_order_is_wider_than_an_integer_of_the_bus() -> None:
    core = core_with(NOTHING, SCALE)
    intent = msgspec.structs.replace(core.intent("FINE", "buy", 1, 1), time_in_force="gtd")
    assert core.code(msgspec.structs.replace(intent, expires_ns=2**63 - 1)) == "approved"
    assert core.code(msgspec.structs.replace(intent, expires_ns=2**63)) == "order_form"


@pytest.mark.requirement("gate:self-trade")
@pytest.mark.parametrize(
    ("side", "theirs", "code"),
    [
        ("buy", SCALE, "self_trade"),
        ("buy", SCALE + 1, "approved"),
        ("sell", SCALE, "self_trade"),
        ("sell", SCALE - 1, "approved"),
    ],
)
def test_the_desks_own_price_is_crossed_at_it_and_not_a_billionth_away(side: Side, theirs: int, code: str) -> None:
    resting = Resting(best_sell_nano=theirs) if side == "buy" else Resting(best_buy_nano=theirs)
    assert at(long(SCALE), side, SCALE, resting=resting) == code


@pytest.mark.requirement("gate:strategy-position")
@pytest.mark.parametrize("side", ["buy", "sell"])
@given(_signed, _some, _some, st.integers(1, 4 * SCALE), st.integers(SCALE // 5, 2 * SCALE))
def test_a_strategys_position_holds_at_what_an_order_leads_to_and_not_a_billionth_below(
    side: Side, position: int, buys: int, sells: int, qty: int, price: int
) -> None:
    core = core_with(NOTHING, price)
    facts = core.client.facts
    deployed = facts.strategies["test"] = Deployed(
        limited=True,
        most_symbols=9,
        worth_most=_HUGE * SCALE,
        most_orders_today=9,
        most_open_orders=9,
        used={"FINE": InUse(position, buys, sells)},
    )
    intent = core.intent("FINE", side, 1, 1)
    intent = msgspec.structs.replace(intent, qty_nano=qty, limit_price_nano=price)
    before = Before(position, buys, sells, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    bound = leads_to("position_limit", before, side, qty, price)
    deployed.most_position_nano = bound
    assert core.code(intent) == "approved"
    deployed.most_position_nano = bound - 1
    reduces = (position + buys if side == "buy" else sells - position) + qty <= 0
    assert core.code(intent) == ("approved" if reduces else "strategy_position")
