"""What an entry filled is promised to its legs before they are there. Not a test of the legs: those are execution's."""

from __future__ import annotations

from typing import Any

import pytest

from bus.fixed import SCALE, to_nano
from bus.ids import leg_order_id
from bus.messages import OrderIntent, Side
from risk.limits import StrategyLimits
from tests.risk.core import CLIENT, MINUTE_NS, RUN, Core, limits

LEGS: dict[str, Any] = {"take_profit_nano": to_nano(110), "stop_loss_nano": to_nano(95)}


def entered(core: Core, filled: int, side: Side = "buy", **kind: Any) -> OrderIntent:
    """Return a bracket of ten that filled so much."""
    prices = LEGS if side == "buy" else {"take_profit_nano": to_nano(95), "stop_loss_nano": to_nano(110)}
    given: Any = {"order_class": "bracket", **prices, **kind}
    entry = core.approve(core.intent("ACME", side, 10, 100, **given))
    core.fill(entry, qty=filled)
    return entry


def leg_of(core: Core, entry: OrderIntent, qty: int, name: str = "take_profit") -> OrderIntent:
    """Have one of its legs told as sent, and return it."""
    side: Side = "sell" if entry.side == "buy" else "buy"
    leg = core.intent("ACME", side, qty, 110, client_order_id=leg_order_id(entry.client_order_id, name, 0))
    core.tell(leg, "sent", group=f"{entry.client_order_id}/legs", origin="leg")
    return leg


@pytest.mark.requirement("state:promised")
@pytest.mark.parametrize("order_class", ["bracket", "oto"])
def test_what_an_entry_has_filled_is_not_sold_a_second_time_before_its_legs_are_there(order_class: str) -> None:
    core = Core(limits(allow_short=False))
    kind: dict[str, Any] = {"order_class": order_class}
    if order_class == "oto":
        kind["take_profit_nano"] = 0
    core.hold(qty=2)
    entered(core, 5, **kind)
    assert core.client.book.holding("ACME").sells_nano == 5 * SCALE
    assert core.code(core.intent(side="sell", qty=2, limit=105)) == "approved"
    assert core.code(core.intent(side="sell", qty=3, limit=105)) == "short_sale"


@pytest.mark.requirement("state:promised")
def test_an_exit_beside_a_filled_entry_does_not_flip_the_position_while_reducing() -> None:
    core = Core(limits(allow_short=True), clients=(CLIENT,))
    entered(core, 5)
    assert core.code(core.intent(side="sell", qty=5, limit=105)) == "approved"
    core.desk.set_trading(CLIENT, "", "reducing")
    assert core.code(core.intent(side="sell", qty=5, limit=105)) == "reducing"


@pytest.mark.requirement("state:promised")
def test_an_exit_does_not_flip_what_one_strategy_holds_either() -> None:
    core = Core(limits(allow_short=True), strategies={"test": StrategyLimits(max_open_orders=9)})
    core.hold(qty=20, symbol="NICK")
    entered(core, 5)
    core.desk.set_trading(CLIENT, "test", "reducing")
    assert core.code(core.intent(side="sell", qty=5, limit=105)) == "reducing"
    core.desk.set_trading(CLIENT, "test", "active")
    assert core.code(core.intent(side="sell", qty=5, limit=105)) == "approved"


@pytest.mark.requirement("state:promised")
def test_legs_that_are_there_count_themselves_and_what_was_promised_to_them_no_more() -> None:
    core = Core()
    entry = entered(core, 10)
    leg = leg_of(core, entry, 10)
    assert core.client.book.holding("ACME").sells_nano == 10 * SCALE
    core.tell(leg, "rejected", group=f"{entry.client_order_id}/legs", origin="leg")
    assert core.client.book.holding("ACME").sells_nano == 0, "a leg that was refused protects nothing"
    core.tell(entry, "accepted", "filled")
    assert core.client.book.holding("ACME").sells_nano == 0, "a later word of the entry promises nothing again"


@pytest.mark.requirement("state:promised")
def test_an_entry_that_is_over_without_legs_at_the_next_instant_promises_nothing() -> None:
    core = Core()
    entry = entered(core, 5)
    core.mark(MINUTE_NS)
    assert core.client.book.holding("ACME").sells_nano == 5 * SCALE, "it works still: its legs are to come"
    core.tell(entry, "canceled")
    assert core.client.book.holding("ACME").sells_nano == 5 * SCALE
    core.mark(MINUTE_NS)
    assert core.client.book.holding("ACME").sells_nano == 0
    assert core.code(core.intent(side="sell", qty=5, limit=105)) == "approved"


@pytest.mark.requirement("state:promised")
def test_an_entry_that_sold_promises_to_buy_and_a_plain_order_promises_nothing() -> None:
    core = Core(limits(allow_short=True))
    entered(core, 4, "sell")
    assert core.client.book.holding("ACME").buys_nano == 4 * SCALE
    plain = core.approve(core.intent("NICK", "buy", 10, 100))
    core.fill(plain, qty=5)
    assert core.client.book.holding("NICK").sells_nano == 0
    assert plain.run_id == RUN


@pytest.mark.requirement("state:promised")
def test_a_bust_of_what_an_entry_filled_takes_the_promise_back() -> None:
    core = Core()
    entry = entered(core, 5)
    core.tell(entry, "accepted", "accepted", filled_nano=0)
    assert core.client.book.holding("ACME").sells_nano == 0


@pytest.mark.requirement("gate:duplicate")
def test_a_replacement_is_a_duplicate_of_the_same_replacement_and_of_no_new_order() -> None:
    core = Core(limits(duplicate_window_ns=5 * MINUTE_NS))
    old = core.approve(core.intent(qty=10, limit=99))
    core.tell(old, "accepted")
    core.approve(core.intent(qty=12, limit=98))
    again: dict[str, Any] = {"replaces": old.client_order_id}
    core.approve(core.intent(qty=12, limit=98, **again))
    assert core.code(core.intent(qty=12, limit=98, **again)) == "duplicate"
    assert core.code(core.intent(qty=10, limit=99, **again)) == "approved"
