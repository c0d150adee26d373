"""One client told what happens, its counts whole: strategies, legs, promises, replacements, money. Not its verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from bus.fixed import SCALE, to_nano
from bus.ids import leg_order_id
from bus.messages import OrderEvent, OrderIntent
from risk._resting import RestingOrders
from risk.facts import InUse
from risk.limits import StrategyLimits
from tests.risk.core import CASH_NANO, CLIENT, MINUTE_NS, Core, limits

LEGS: dict[str, Any] = {
    "order_class": "bracket",
    "take_profit_nano": to_nano(104),
    "stop_loss_nano": to_nano(97),
}


def pay(core: Core, amount_nano: int) -> None:
    """Have money come or go."""
    seq = core.client.last_seq + 1
    core.client.apply(OrderEvent(seq, "", "", "buy", "cash", "filled", core.now_ns, 0, 0, cash_nano=amount_nano))


def starts(core: Core) -> tuple[int, ...]:
    """Return what losses are counted from, beside what the account began with."""
    losses = core.client.losses
    return tuple(each - CASH_NANO for each in (losses.day_start_nano, losses.peak_nano, losses.recent_peak_nano))


def leg(core: Core, entry: OrderIntent, name: str, qty: int = 10) -> OrderIntent:
    """Have a leg of an entry told as sent."""
    made = core.intent(side="sell", qty=qty, client_order_id=leg_order_id(entry.client_order_id, name, 0))
    core.tell(made, "sent", group=f"{entry.client_order_id}/legs", origin="leg")
    return made


def used(core: Core, strategy: str = "test") -> dict[str, InUse]:
    return core.client.facts.strategies[strategy].used


# --- money ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:cash")
def test_what_an_account_opens_with_is_no_loss_and_what_is_taken_out_later_is() -> None:
    core = Core()
    pay(core, -60_000 * SCALE)
    assert starts(core) == (-60_000 * SCALE,) * 3
    pay(core, -1)
    assert starts(core) == (-60_000 * SCALE,) * 3
    pay(core, 1)
    assert starts(core) == (1 - 60_000 * SCALE,) * 3
    pay(core, 0)
    assert starts(core) == (1 - 60_000 * SCALE,) * 3


@pytest.mark.requirement("state:cash")
def test_money_is_in_the_equity_at_once() -> None:
    core = Core()
    pay(core, -3 * SCALE)
    assert core.client.facts.equity_nano == core.client.book.equity_nano == CASH_NANO - 3 * SCALE


@pytest.mark.requirement("state:cash")
@pytest.mark.parametrize(("origin", "counted"), [("synthetic", -500), ("desk", 0), ("external", 0)])
def test_positions_that_an_account_opens_with_come_before_its_money_and_orders_do_not(
    origin: Any, counted: int
) -> None:
    core = Core()
    before = core.intent(client_order_id="what-was-there")
    core.tell(before, "fill", "filled", 10, origin=origin)
    pay(core, -500 * SCALE)
    assert starts(core) == (counted * SCALE,) * 3


@pytest.mark.requirement("state:cash")
def test_positions_that_come_after_an_order_open_nothing_again() -> None:
    core = Core()
    core.tell(core.intent(client_order_id="a"), "fill", "filled", 10, origin="external")
    core.tell(core.intent(client_order_id="b"), "fill", "filled", 10, origin="synthetic")
    pay(core, -500 * SCALE)
    assert starts(core) == (0, 0, 0)


# --- strategies -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:book:equity")
def test_what_a_strategy_holds_is_the_sum_of_its_fills_in_both_directions_and_of_no_others() -> None:
    core = Core(limits(duplicate_window_ns=0))
    buy = core.approve(core.intent(qty=10, limit=100))
    core.fill(buy, qty=4)
    assert used(core) == {"ACME": InUse(4 * SCALE, 6 * SCALE, 0)}
    core.fill(buy, qty=6)
    assert used(core) == {"ACME": InUse(10 * SCALE, 0, 0)}
    other = core.approve(core.intent(qty=5, strategy="other"))
    core.fill(other)
    sell = core.approve(core.intent(side="sell", qty=13, limit=101))
    core.fill(sell, 101, 8)
    assert used(core) == {"ACME": InUse(2 * SCALE, 0, 5 * SCALE)}
    core.fill(sell, 101, 5)
    assert used(core) == {"ACME": InUse(-3 * SCALE, 0, 0)}
    assert used(core, "other") == {"ACME": InUse(5 * SCALE, 0, 0)}
    last = core.approve(core.intent(qty=3))
    core.fill(last)
    assert used(core) == {}


@pytest.mark.requirement("state:group")
def test_legs_count_for_the_strategy_of_their_entry_and_the_larger_of_them_once() -> None:
    core = Core(strategies={"test": StrategyLimits(max_open_orders=2)})
    entry = core.approve(core.intent(**LEGS))
    core.fill(entry)
    profit, _ = leg(core, entry, "take_profit"), leg(core, entry, "stop_loss", 8)
    deployed = core.client.facts.strategies["test"]
    assert (deployed.used, deployed.open_orders) == ({"ACME": InUse(10 * SCALE, 0, 10 * SCALE)}, 2)
    assert core.code(core.intent("NICK")) == "strategy_open_orders"
    assert core.code(core.intent("NICK", strategy="other")) == "approved"
    core.tell(profit, "accepted", group=f"{entry.client_order_id}/legs", origin="leg", qty_nano=7 * SCALE)
    assert deployed.used == {"ACME": InUse(10 * SCALE, 0, 8 * SCALE)}
    core.tell(profit, "canceled", group=f"{entry.client_order_id}/legs", origin="leg")
    assert (deployed.used, deployed.open_orders) == ({"ACME": InUse(10 * SCALE, 0, 8 * SCALE)}, 1)
    assert core.code(core.intent("NICK")) == "approved"


@pytest.mark.requirement("state:group")
def test_a_leg_of_an_entry_that_is_not_known_counts_for_no_strategy() -> None:
    core = Core()
    made = core.intent(side="sell", client_order_id="a-leg")
    core.tell(made, "sent", group="nobody/legs", origin="leg")
    assert core.client.facts.strategies == {}
    assert core.client.facts.open_orders == 1


@pytest.mark.requirement("gate:replace-leg")
def test_what_execution_calls_a_leg_is_known_as_one_and_cannot_be_replaced() -> None:
    core = Core()
    entry = core.approve(core.intent(**LEGS))
    core.fill(entry)
    made = leg(core, entry, "take_profit")
    assert core.client.facts.legs == {made.client_order_id}
    assert core.code(core.intent(side="sell", qty=10, limit=103, replaces=made.client_order_id)) == "replace_leg"


@pytest.mark.requirement("state:promised")
def test_two_entries_promise_to_their_own_legs_and_both_count() -> None:
    core = Core()
    first, second = core.approve(core.intent(qty=10, **LEGS)), core.approve(core.intent(qty=6, **LEGS))
    core.fill(first, qty=5)
    core.fill(second, qty=4)
    assert core.client.book.holding("ACME").sells_nano == 9 * SCALE
    assert used(core) == {"ACME": InUse(9 * SCALE, 7 * SCALE, 9 * SCALE)}
    leg(core, first, "take_profit", 5)
    assert core.client.book.holding("ACME").sells_nano == 9 * SCALE
    assert used(core) == {"ACME": InUse(9 * SCALE, 7 * SCALE, 9 * SCALE)}


@pytest.mark.requirement("state:promised")
def test_the_promise_of_an_entry_that_is_over_leaves_its_strategy_and_the_book() -> None:
    core = Core()
    entry = core.approve(core.intent(**LEGS))
    core.fill(entry, qty=5)
    core.tell(entry, "canceled")
    assert used(core) == {"ACME": InUse(5 * SCALE, 0, 5 * SCALE)}
    core.mark(MINUTE_NS)
    assert used(core) == {"ACME": InUse(5 * SCALE, 0, 0)}
    assert core.client.book.holding("ACME").sells_nano == 0


@pytest.mark.requirement("state:group")
def test_of_a_strategys_group_the_largest_counts_whichever_it_is_and_its_other_orders_by_themselves() -> None:
    core = Core()
    first, second = core.approve(core.intent(qty=10, limit=99)), core.approve(core.intent(qty=8, limit=98))
    core.approve(core.intent(qty=2, limit=97))
    core.approve(core.intent(qty=3, limit=96))
    assert used(core)["ACME"].buys_nano == 23 * SCALE
    core.tell(first, "accepted", group="pair")
    core.tell(second, "accepted", group="pair")
    assert used(core)["ACME"].buys_nano == 15 * SCALE
    core.tell(first, "accepted", group="pair", qty_nano=7 * SCALE)
    assert used(core)["ACME"].buys_nano == 13 * SCALE


@pytest.mark.requirement("state:group")
def test_a_strategys_sells_add_up_beside_the_largest_of_its_group() -> None:
    core = Core()
    first, second = (core.approve(core.intent(side="sell", qty=qty, limit=101)) for qty in (10, 8))
    core.approve(core.intent(side="sell", qty=2, limit=102))
    core.approve(core.intent(side="sell", qty=3, limit=103))
    assert used(core)["ACME"].sells_nano == 23 * SCALE
    core.tell(first, "accepted", group="pair")
    core.tell(second, "accepted", group="pair")
    assert used(core)["ACME"].sells_nano == 15 * SCALE


@pytest.mark.requirement("state:promised")
def test_a_promise_counts_for_the_strategy_and_the_symbol_of_its_entry_only() -> None:
    core = Core()
    entry = core.approve(core.intent(**LEGS))
    core.fill(entry, qty=5)
    core.approve(core.intent("NICK", qty=4))
    core.approve(core.intent(qty=3, limit=99, strategy="other"))
    assert used(core) == {"ACME": InUse(5 * SCALE, 5 * SCALE, 5 * SCALE), "NICK": InUse(0, 4 * SCALE, 0)}
    assert used(core, "other") == {"ACME": InUse(0, 3 * SCALE, 0)}


@pytest.mark.requirement("state:promised")
def test_what_a_selling_entry_promises_to_buy_is_beside_what_its_strategy_buys_and_sells() -> None:
    core = Core()
    core.approve(core.intent(qty=2, limit=99))
    entry = core.approve(
        core.intent(
            side="sell", limit=101, order_class="bracket", take_profit_nano=to_nano(96), stop_loss_nano=to_nano(103)
        )
    )
    core.fill(entry, qty=4)
    assert used(core) == {"ACME": InUse(-4 * SCALE, 6 * SCALE, 6 * SCALE)}


@pytest.mark.requirement("state:promised")
@pytest.mark.parametrize(("qty", "most"), [(3, 5), (7, 7)])
def test_an_order_in_the_group_of_an_entrys_legs_counts_with_what_was_promised_to_them(qty: int, most: int) -> None:
    core = Core()
    entry = core.approve(core.intent(limit=100, **LEGS))
    core.fill(entry, qty=5)
    exits = core.approve(core.intent(side="sell", qty=qty, limit=105))
    core.tell(exits, "accepted", group=f"{entry.client_order_id}/legs")
    assert used(core)["ACME"].sells_nano == core.client.book.working("ACME", "sell") == most * SCALE


# --- approvals --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:group")
def test_an_exit_of_two_is_in_the_group_of_its_legs_before_execution_says_so_and_other_orders_in_none() -> None:
    core = Core()
    core.hold(qty=10)
    oco = core.approve(core.intent(side="sell", limit=104, order_class="oco", stop_loss_nano=to_nano(97)))
    entry, plain = core.approve(core.intent("NICK", **LEGS)), core.approve(core.intent(limit=99))
    reserved = core.client.book.reserved
    assert reserved[oco.client_order_id].group == f"{oco.client_order_id}/legs"
    assert reserved[entry.client_order_id].group == reserved[plain.client_order_id].group == ""
    assert core.client.facts.legs == {oco.client_order_id}


@pytest.mark.requirement("gate:replace-worse")
@pytest.mark.parametrize(("old", "new", "worse"), [(102, 101, 102), (101, 102, 102)])
def test_a_replacement_is_reserved_at_the_worse_of_both_prices(old: int, new: int, worse: int) -> None:
    core = Core()
    first = core.approve(core.intent(limit=old))
    core.tell(first, "accepted")
    second = core.approve(core.intent(limit=new, replaces=first.client_order_id))
    assert core.client.book.reserved[second.client_order_id].price_nano == worse * SCALE


@pytest.mark.requirement("state:undo")
def test_a_replacement_that_is_taken_back_leaves_the_order_before_it_in_the_group_it_was_in() -> None:
    core = Core()
    first = core.approve(core.intent(qty=10, limit=99))
    core.tell(first, "accepted")
    second = core.approve(core.intent(qty=8, limit=99, replaces=first.client_order_id))
    third = core.approve(core.intent(qty=12, limit=99, replaces=second.client_order_id))
    book = core.client.book
    assert (book.working("ACME", "buy"), len(book.reserved)) == (12 * SCALE, 3)
    core.client.withdraw(third)
    assert {each.group for each in book.reserved.values()} == {first.client_order_id}
    assert book.working("ACME", "buy") == 10 * SCALE
    core.client.withdraw(second)
    assert book.reserved[first.client_order_id].group == ""
    assert book.working("ACME", "buy") == 10 * SCALE


@pytest.mark.requirement("state:undo")
def test_an_order_that_never_was_is_forgotten_without_a_trace() -> None:
    resting = RestingOrders()
    resting.forget(CLIENT, "nobody's")
    resting.ended(CLIENT, "nobody's")
    assert resting.best("ACME") == RestingOrders().best("ACME")
