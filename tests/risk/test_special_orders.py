"""Stops, legs, replacements and strategies where one condition alone decides; not the whole table of controls."""

from __future__ import annotations

from typing import Any

import pytest

from bus.fixed import SCALE, to_nano
from risk._special import replacement
from risk.checks import judge
from risk.facts import InUse
from risk.limits import StrategyLimits
from tests.risk.core import CLIENT, MINUTE_NS, Core, limits


def _legs(
    core: Core, kind: str, side: Any, limit: str, profit: str = "0", loss: str = "0", loss_limit: str = "0", **more: Any
) -> str:
    prices = {
        "take_profit_nano": to_nano(profit),
        "stop_loss_nano": to_nano(loss),
        "stop_loss_limit_nano": to_nano(loss_limit),
    }
    return core.code(core.intent("ACME", side, 10, limit, order_class=kind, **prices, **more))


@pytest.mark.requirement("gate:stop-price")
def test_a_stop_that_sells_needs_a_stop_price() -> None:
    core = Core()
    assert core.code(core.intent(side="sell", order_type="stop")) == "stop_price"


@pytest.mark.requirement("gate:legs")
def test_an_exit_of_two_has_a_limit_a_stop_loss_and_no_take_profit() -> None:
    core = Core()
    assert _legs(core, "oco", "sell", "101", loss="99") == "approved"
    assert _legs(core, "oco", "sell", "101") == "legs"
    assert _legs(core, "oco", "sell", "101", profit="102", loss="99") == "legs"
    assert _legs(core, "oco", "sell", "0", loss="99") == "legs"


@pytest.mark.requirement("gate:legs")
def test_a_stop_loss_on_the_wrong_side_or_at_a_price_of_the_entry_is_refused_for_sells_too() -> None:
    core = Core()
    assert _legs(core, "bracket", "sell", "101", profit="100.99", loss="101.01") == "approved"
    assert _legs(core, "bracket", "sell", "101", profit="101", loss="102") == "legs"
    assert _legs(core, "bracket", "sell", "101", profit="100", loss="101") == "legs"
    assert _legs(core, "oco", "buy", "99", loss="100.01") == "approved"
    assert _legs(core, "oco", "buy", "99", loss="100") == "legs", "it would trigger at once"


@pytest.mark.requirement("gate:legs")
def test_legs_are_on_the_far_sides_of_the_limit_and_not_of_the_last_price() -> None:
    core = Core()
    assert _legs(core, "bracket", "buy", "99", profit="99.5", loss="98.5") == "approved"


@pytest.mark.requirement("gate:legs")
def test_a_limit_of_a_stop_loss_may_be_at_it_and_needs_it() -> None:
    core = Core()
    assert _legs(core, "bracket", "buy", "100", "101", "99", "99") == "approved"
    assert _legs(core, "bracket", "sell", "100", "99", "101", "101") == "approved"
    assert _legs(core, "oto", "sell", "100", profit="99") == "approved"
    assert _legs(core, "oto", "sell", "100", profit="99", loss_limit="101") == "legs"


@pytest.mark.requirement("gate:replace-worse")
def test_a_replacement_that_asks_for_less_is_judged_with_all_that_the_old_one_may_still_buy() -> None:
    core = Core(limits(max_position_notional_nano=2_050 * SCALE))
    old = core.approve(core.intent(qty=20, limit=100))
    core.tell(old, "accepted")
    core.mark(MINUTE_NS, ACME="104")
    assert core.code(core.intent(qty=10, limit=104, replaces=old.client_order_id)) == "position_limit"


@pytest.mark.requirement("gate:replace-worse")
@pytest.mark.parametrize(("old_limit", "qty", "limit"), [(100, 10, 102), (102, 11, 100)])
def test_a_replacement_is_worth_what_the_worse_of_both_prices_makes_it(old_limit: int, qty: int, limit: int) -> None:
    most = 1_110 if qty > 10 else 1_010
    core = Core(limits(max_order_notional_nano=most * SCALE))
    old = core.approve(core.intent(qty=9, limit=old_limit))
    core.tell(old, "accepted")
    assert core.code(core.intent(qty=qty, limit=limit, replaces=old.client_order_id)) == "order_notional"


@pytest.mark.requirement("gate:replace-unknown")
def test_what_cannot_be_replaced_asks_for_nothing_more() -> None:
    core = Core()
    old = core.approve(core.intent())
    facts = core.client.facts
    unknown = core.intent(replaces="nobody's")
    differs = core.intent("NICK", replaces=old.client_order_id)
    leg = core.intent(replaces=old.client_order_id)
    assert replacement(unknown, facts, 5) == ("replace_unknown", 0, 0)
    assert replacement(differs, facts, 5) == ("replace_differs", 0, 0)
    facts.legs.add(old.client_order_id)
    assert replacement(leg, facts, 5) == ("replace_leg", 0, 0)


def _deployed(position: int, buys: int = 0, sells: int = 0) -> Core:
    """A strategy that may hold 1,000 in a symbol, of which so much is there already."""
    core = Core(strategies={"test": StrategyLimits(max_position_notional_nano=1_000 * SCALE)})
    core.client.facts.strategies["test"].used["ACME"] = InUse(position, buys, sells)
    return core


@pytest.mark.requirement("gate:strategy-position")
def test_a_strategys_other_side_counts_as_well_and_may_be_at_its_limit() -> None:
    core = _deployed(-5 * SCALE, sells=6 * SCALE)
    assert core.code(core.intent(side="buy", qty=6)) == "strategy_position"
    core = _deployed(5 * SCALE, buys=6 * SCALE)
    assert core.code(core.intent(side="sell", qty=6, limit=100)) == "strategy_position"
    core = _deployed(5 * SCALE, buys=5 * SCALE)
    assert core.code(core.intent(side="sell", qty=6, limit=100)) == "approved"


@pytest.mark.requirement("gate:strategy-position")
def test_a_strategy_that_only_reduces_does_not_end_a_billionth_on_the_other_side() -> None:
    core = _deployed(10 * SCALE - 1)
    core.desk.set_trading(CLIENT, "test", "reducing")
    assert core.code(core.intent(side="sell", qty=10, limit=100)) == "reducing"
    assert core.code(core.intent(side="sell", qty=9, limit=100)) == "approved"


@pytest.mark.requirement("risk:check:failed")
@pytest.mark.parametrize("code", ["approved", "nonsense"])
def test_a_code_computed_beforehand_that_is_no_denial_is_a_failed_check(code: str) -> None:
    core = Core()
    core.client.facts.closed = code
    assert judge(core.intent(), core.cycle, core.client.facts) == "check_failed"
