"""What a run of ``scripts/mutation.py`` showed that no other test noticed: parts of the state, rules of rare orders."""

from __future__ import annotations

import msgspec
import pytest

from bus.errors import SchemaError
from bus.fixed import SCALE, to_nano
from bus.ids import leg_order_id
from bus.messages import Fill, OrderEvent, OrderIntent, OrderType, Side
from risk._losses import Losses
from risk._special import deployment, replacement
from risk.limits import StrategyLimits, version
from tests.risk.core import Core, limits

HOUR_NS = 3_600 * 10**9


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:cash")
def test_a_deposit_moves_all_that_losses_are_counted_from_by_as_much() -> None:
    losses = Losses(100, 64 * HOUR_NS)
    losses.mark(HOUR_NS, 150)
    losses.mark(2 * HOUR_NS, 120)
    losses.deposit(10)
    assert (losses.day_start_nano, losses.peak_nano, losses.recent_peak_nano) == (110, 160, 160)
    losses.mark(3 * HOUR_NS, 130)
    assert (losses.peak_nano, losses.recent_peak_nano) == (160, 160)


@pytest.mark.requirement("state:cash")
def test_what_losses_are_counted_from_survives_a_restart() -> None:
    losses = Losses(100, 64 * HOUR_NS)
    losses.mark(HOUR_NS, 150)
    losses.mark(2 * HOUR_NS, 120)
    again = Losses(7, 64 * HOUR_NS)
    again.restore(losses.day_start_nano, losses.peak_nano, losses.carried())
    assert (again.day_start_nano, again.peak_nano, again.recent_peak_nano) == (100, 150, 150)
    fresh = Losses(7, 64 * HOUR_NS)
    fresh.restore(1, 2, ())
    assert (fresh.day_start_nano, fresh.peak_nano, fresh.recent_peak_nano) == (1, 2, 7)


# --- orders that never went, and prices of legs -----------------------------------------------------------------------


@pytest.mark.requirement("state:resting")
def test_an_order_that_is_released_is_neither_in_the_market_nor_in_its_strategys_use() -> None:
    core = Core(strategies={"test": StrategyLimits(max_position_notional_nano=2_000 * SCALE)})
    first = core.approve(core.intent(limit="101", qty=10))
    assert core.code(core.intent(side="sell", limit="100", qty=1)) == "self_trade"
    assert core.code(core.intent(limit="100", qty=15)) == "strategy_position"
    core.client.release(first.client_order_id)
    assert core.code(core.intent(side="sell", limit="100", qty=1)) == "approved"
    assert core.code(core.intent(limit="100", qty=15)) == "approved"
    core.client.release("oo-nobody")
    assert core.client.book.reserved == {}


def bracket(core: Core, loss_limit: str = "0") -> OrderIntent:
    prices = {"take_profit_nano": to_nano(103), "stop_loss_nano": to_nano(97)}
    made = msgspec.structs.replace(core.intent(), order_class="bracket", **prices)
    entry = core.approve(msgspec.structs.replace(made, stop_loss_limit_nano=to_nano(loss_limit)))
    core.fill(entry)
    return entry


def leg(core: Core, entry: OrderIntent, name: str, number: int = 0) -> OrderIntent:
    return core.intent(side="sell", client_order_id=leg_order_id(entry.client_order_id, name, number))


def best_sell(core: Core) -> int:
    return core.desk.resting.best("ACME").best_sell_nano


@pytest.mark.requirement("state:resting")
def test_each_leg_rests_at_its_own_price() -> None:
    core = Core()
    entry = bracket(core, "96")
    group = f"{entry.client_order_id}/legs"
    loss, profit, unknown = leg(core, entry, "stop_loss", 2), leg(core, entry, "take_profit", 1), leg(core, entry, "?")
    core.tell(loss, "accepted", group=group, origin="leg")
    assert core.code(core.intent(qty=1, limit="102")) == "approved", "a stop-loss that waits is not in the market"
    core.tell(profit, "accepted", group=group, origin="leg")
    assert best_sell(core) == to_nano(103)
    core.tell(loss, "triggered", group=group, origin="leg")
    assert best_sell(core) == to_nano(96)
    core.tell(loss, "canceled", group=group, origin="leg")
    assert best_sell(core) == to_nano(103)
    core.tell(unknown, "accepted", group=group, origin="leg", price_nano=to_nano(101))
    assert best_sell(core) == to_nano(101), "what is no leg of its parent's rests where it is said to"


@pytest.mark.requirement("state:resting")
def test_an_order_in_a_parents_group_that_is_no_leg_rests_where_it_is_said_to() -> None:
    core = Core()
    entry = bracket(core)
    other = leg(core, entry, "take_profit")
    core.tell(other, "accepted", group=f"{entry.client_order_id}/legs", origin="external", price_nano=to_nano(99))
    assert best_sell(core) == to_nano(99)


# --- fills that cannot be ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:cash")
@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "NONE"},
        {"qty_nano": 0},
        {"qty_nano": -SCALE},
        {"price_nano": 0},
        {"price_nano": -SCALE},
        {"qty_nano": 1.5},
        {"price_nano": 1.5},
        {"fee_nano": 0.5},
        {"fee_nano": float("nan")},
        {"qty_nano": True},
    ],
)
def test_a_fill_that_cannot_be_is_not_booked(wrong: dict[str, object]) -> None:
    core = Core()
    order = core.approve(core.intent())
    fill = Fill("f1", order.client_order_id, "ACME", "buy", 10 * SCALE, 100 * SCALE, 0, core.now_ns)
    event = OrderEvent(
        1, order.client_order_id, "ACME", "buy", "fill", "filled", core.now_ns, order.qty_nano, order.qty_nano,
        fill=msgspec.structs.replace(fill, **wrong),
    )  # fmt: skip
    before = core.client.book.cash_nano
    with pytest.raises(SchemaError, match="cannot be"):
        core.client.apply(event)
    assert core.client.book.cash_nano == before


# --- groups of orders -------------------------------------------------------------------------------------------------


def legs(
    side: str, kind: str, profit: str = "0", loss: str = "0", loss_limit: str = "0", limit: str = "100", **other: object
) -> str:
    core = Core()
    if kind == "oco":
        core.hold(side="buy" if side == "sell" else "sell", qty=20)
    prices = {
        "take_profit_nano": to_nano(profit),
        "stop_loss_nano": to_nano(loss),
        "stop_loss_limit_nano": to_nano(loss_limit),
    }
    made = core.intent(side=side, limit=limit, order_class=kind, **prices, **other)  # pyright: ignore[reportArgumentType] # a table of keywords
    return core.code(made)


@pytest.mark.requirement("gate:legs")
@pytest.mark.parametrize(
    ("side", "kind", "profit", "loss", "loss_limit", "code"),
    [
        ("buy", "bracket", "100.01", "99.99", "0", "approved"),
        ("buy", "bracket", "100", "99.99", "0", "legs"),
        ("buy", "bracket", "100.01", "100", "0", "legs"),
        ("sell", "bracket", "99.99", "100.01", "0", "approved"),
        ("sell", "bracket", "100", "100.01", "0", "legs"),
        ("sell", "bracket", "99.99", "100", "0", "legs"),
        ("buy", "bracket", "101", "99", "99", "approved"),
        ("buy", "bracket", "101", "99", "99.01", "legs"),
        ("sell", "bracket", "99", "101", "101", "approved"),
        ("sell", "bracket", "99", "101", "100.99", "legs"),
        ("buy", "bracket", "101", "0", "0", "legs"),
        ("buy", "bracket", "0", "99", "0", "legs"),
        ("buy", "oto", "101", "99", "0", "legs"),
        ("buy", "oto", "0", "0", "0", "legs"),
        ("buy", "oto", "101", "0", "99", "legs"),
        ("buy", "oto", "101", "0", "0", "approved"),
        ("buy", "oto", "0", "99", "0", "approved"),
    ],
)
def test_legs_are_beyond_their_entry_and_not_at_it(
    side: str, kind: str, profit: str, loss: str, loss_limit: str, code: str
) -> None:
    assert legs(side, kind, profit, loss, loss_limit) == code


@pytest.mark.requirement("gate:legs")
@pytest.mark.parametrize(
    ("side", "limit", "profit", "loss", "code"),
    [
        ("sell", "102", "0", "99.99", "approved"),
        ("sell", "102", "0", "100", "legs"),
        ("sell", "102", "103", "99", "legs"),
        ("sell", "102", "0", "0", "legs"),
        ("buy", "98", "0", "100.01", "approved"),
        ("buy", "98", "0", "100", "legs"),
        ("buy", "98", "97", "101", "legs"),
    ],
)
def test_the_stop_of_an_oco_is_beyond_the_market_and_not_at_it(
    side: str, limit: str, profit: str, loss: str, code: str
) -> None:
    assert legs(side, "oco", profit, loss, limit=limit) == code


@pytest.mark.requirement("gate:legs")
@pytest.mark.parametrize(
    ("kind", "limit", "stop", "loss", "code"),
    [
        ("stop_limit", "102", "101", "101.5", "approved"),
        ("stop_limit", "102", "101", "102", "legs"),
        ("stop", "0", "101", "100.5", "approved"),
        ("stop", "0", "101", "101", "legs"),
    ],
)
def test_an_entry_is_worth_its_limit_and_without_one_its_stop(
    kind: OrderType, limit: str, stop: str, loss: str, code: str
) -> None:
    told = legs("buy", "oto", "0", loss, limit=limit, order_type=kind, stop_price_nano=to_nano(stop))
    assert told == code


# --- replacing --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:replace")
@pytest.mark.parametrize(
    ("qty", "price", "more", "worst"), [(15, "101", 5, "101"), (6, "99", 0, "100"), (10, "100", 0, "100")]
)
def test_a_replacement_counts_what_is_more_and_the_worse_price(qty: int, price: str, more: int, worst: str) -> None:
    core = Core()
    old = core.approve(core.intent(limit="100"))
    core.tell(old, "accepted")
    new = core.intent(limit=price, qty=qty, replaces=old.client_order_id)
    told = replacement(new, core.client.facts, to_nano(price))
    assert told == ("approved", more * SCALE, to_nano(worst))


@pytest.mark.requirement("risk:replace")
def test_a_replacement_that_is_refused_counts_nothing() -> None:
    core = Core()
    old = core.approve(core.intent(limit="100"))
    core.tell(old, "accepted")
    facts = core.client.facts
    assert replacement(core.intent(limit="100", replaces="oo-none"), facts, 5) == ("replace_unknown", 0, 0)
    other = core.intent("NICK", limit="100", replaces=old.client_order_id)
    assert replacement(other, facts, 5) == ("replace_differs", 0, 0)


# --- a strategy's own limits ------------------------------------------------------------------------------------------


@pytest.mark.requirement("gate:strategy-position")
@pytest.mark.parametrize(("side", "other", "away"), [("buy", "sell", "104"), ("sell", "buy", "96")])
def test_what_a_strategy_could_come_to_on_the_other_side_counts_too(side: Side, other: Side, away: str) -> None:
    core = Core(strategies={"test": StrategyLimits(max_position_notional_nano=2_000 * SCALE)})
    core.hold(side=side, qty=10)
    core.approve(core.intent(side=other, qty=29, limit=away))
    facts, order = core.client.facts, core.intent(side=side, qty=1)
    told = [
        deployment(order, facts.strategies["test"], facts.terms["ACME"], to_nano(price), SCALE)
        for price in ("105.26", "105.27")
    ]
    assert told == ["approved", "strategy_position"], "19 units at 105.26 are the last below 2,000"


@pytest.mark.requirement("state:trading")
def test_the_version_of_limits_is_twelve_characters_of_all_of_them() -> None:
    told = version(limits())
    assert len(told) == len("lim-") + 12
    assert told != version(limits(allow_short=False))
