"""One client's state at the seams: taking back, releasing, a new day, restarting, legs; not its whole life."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bus.fixed import SCALE, to_nano
from bus.ids import leg_order_id
from bus.messages import KillLine
from risk._losses import Losses
from risk.kills import KillSwitch
from risk.limits import StrategyLimits
from tests.risk.core import CLIENT, MINUTE_NS, OTHER, Core, limits


@pytest.mark.requirement("state:undo")
def test_of_two_equal_approvals_taken_back_first_one_first_the_earlier_twin_stays() -> None:
    core = Core(limits(duplicate_window_ns=5 * MINUTE_NS))
    core.approve(core.intent())
    core.mark(MINUTE_NS)
    both = [core.intent(), core.intent()]
    for each in both:
        core.client.approved(each, 100 * SCALE, core.now_ns, core.now_ns + MINUTE_NS)
    for each in both:
        core.client.withdraw(each)
    assert core.code(core.intent()) == "duplicate"


@pytest.mark.requirement("state:undo")
def test_taking_back_one_order_of_a_new_strategy_keeps_the_count_of_its_other() -> None:
    core = Core()
    first, second = core.approve(core.intent()), core.approve(core.intent(qty=11))
    core.client.withdraw(second)
    assert core.client.facts.strategies["test"].orders_today == 1
    core.client.withdraw(first)
    assert "test" not in core.client.facts.strategies


@pytest.mark.requirement("risk:book:release")
def test_an_order_that_was_never_sent_leaves_the_market_and_its_strategys_room() -> None:
    own = StrategyLimits(max_open_orders=1, max_position_notional_nano=1_010 * SCALE)
    core = Core(strategies={"test": own})
    never = core.approve(core.intent(side="sell", limit=101))
    assert core.code(core.intent(limit=101, strategy="other")) == "self_trade"
    core.client.release(never.client_order_id)
    assert core.code(core.intent(limit=101, strategy="other")) == "approved"
    assert core.code(core.intent(side="sell", qty=10, limit="100.5")) == "approved"
    assert core.client.facts.strategies["test"].used == {}


@pytest.mark.requirement("gate:strategy-orders-per-day")
def test_a_strategys_count_begins_anew_with_the_day() -> None:
    core = Core(strategies={"test": StrategyLimits(max_orders_per_day=1)})
    core.approve(core.intent())
    assert core.code(core.intent(qty=11)) == "strategy_orders_per_day"
    core.client.roll_day(core.client.facts.equity_nano or 0)
    assert core.code(core.intent(qty=11)) == "approved"


@pytest.mark.requirement("state:carry")
def test_a_desk_that_was_halted_by_its_loss_is_so_after_a_restart_whichever_client_says_so() -> None:
    carried = Core().client.carry()
    core = Core(clients=(CLIENT, OTHER))
    core.client.restore(carried)
    assert core.code(core.intent()) == "approved"
    core.client.restore(msgspec.structs.replace(carried, desk_halted=True))
    core.desk.clients[OTHER].restore(carried)
    assert core.code(core.intent()) == core.code(core.intent(client=OTHER)) == "desk_daily_loss"


@pytest.mark.requirement("state:trading")
def test_a_strategy_that_was_resumed_is_held_to_its_own_limits_and_another_to_none() -> None:
    core = Core(strategies={"test": StrategyLimits(max_order_notional_nano=500 * SCALE)})
    for strategy in ("test", "other"):
        core.desk.set_trading(CLIENT, strategy, "halted")
        assert core.code(core.intent(strategy=strategy)) == "kill_switch"
        core.desk.set_trading(CLIENT, strategy, "active")
    assert core.code(core.intent()) == "strategy_notional"
    assert core.code(core.intent(strategy="other")) == "approved"
    assert core.client.facts.strategies["other"].limited is False


@pytest.mark.requirement("state:trading")
def test_what_stops_a_strategy_of_one_client_is_nothing_to_another() -> None:
    core = Core(clients=(CLIENT, OTHER))
    core.desk.set_trading(CLIENT, "test", "halted")
    assert "test" not in core.desk.clients[OTHER].facts.strategies


@pytest.mark.requirement("state:resting")
def test_a_stop_loss_that_triggered_rests_at_its_own_limit() -> None:
    core = Core()
    prices: dict[str, Any] = {"take_profit_nano": to_nano(103), "stop_loss_nano": to_nano(97)}
    entry = core.approve(core.intent(order_class="bracket", stop_loss_limit_nano=to_nano(96), **prices))
    core.fill(entry)
    leg = core.intent(side="sell", client_order_id=leg_order_id(entry.client_order_id, "stop_loss", 1))
    core.tell(leg, "accepted", group=f"{entry.client_order_id}/legs", origin="leg")
    assert core.code(core.intent(qty=1, limit="103")) == "approved"
    core.tell(leg, "triggered", group=f"{entry.client_order_id}/legs", origin="leg")
    assert core.code(core.intent(qty=1, limit="95.99")) == "approved"
    assert core.code(core.intent(qty=1, limit="96")) == "self_trade"


@pytest.mark.requirement("state:resting")
def test_a_leg_whose_parent_or_number_is_not_known_rests_where_execution_says() -> None:
    core = Core()
    orphan = core.intent(side="sell", client_order_id="a-leg")
    core.tell(orphan, "accepted", group="nobody/legs", origin="leg", price_nano=to_nano(102))
    assert core.code(core.intent(limit="101.99")) == "approved"
    assert core.code(core.intent(limit="102")) == "self_trade"
    core = Core()
    prices: dict[str, Any] = {"take_profit_nano": to_nano(104), "stop_loss_nano": to_nano(97)}
    entry = core.approve(core.intent(order_class="bracket", **prices))
    core.fill(entry)
    strange = core.intent(side="sell", client_order_id="a-leg")
    core.tell(strange, "accepted", group=f"{entry.client_order_id}/legs", origin="leg", price_nano=to_nano(102))
    assert core.code(core.intent(qty=1, limit="101.99")) == "approved"
    assert core.code(core.intent(qty=1, limit="102")) == "self_trade"


@pytest.mark.requirement("state:cash")
def test_a_deposit_moves_every_peak_by_itself_and_a_restart_keeps_the_recent_one() -> None:
    losses = Losses(100, 64)
    losses.mark(0, 110)
    losses.mark(1, 90)
    losses.deposit(50)
    assert (losses.day_start_nano, losses.peak_nano, losses.recent_peak_nano) == (150, 160, 160)
    again = Losses(1, 64)
    again.restore(losses.day_start_nano, losses.peak_nano, losses.carried())
    assert (again.day_start_nano, again.peak_nano, again.recent_peak_nano) == (150, 160, 160)


@pytest.mark.requirement("risk:kill:one-way")
def test_stopping_again_what_is_stopped_changes_nothing_and_resuming_what_is_not_is_none() -> None:
    line = KillLine(CLIENT, "", "reducing", "first", "a person", 1)
    kills = KillSwitch([KillLine("", "", "active", "resumed", "a person", 0), line])
    assert kills.tightened(KillLine(CLIENT, "", "reducing", "second", "a person", 2)) is None
    assert kills.told() == (line,)
