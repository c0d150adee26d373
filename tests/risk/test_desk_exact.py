"""Several clients added up to the billionth, and what the desk remembers of a loss; not the limits themselves."""

from __future__ import annotations

import msgspec
import pytest

from bus.fixed import SCALE
from bus.messages import Bar, KillLine, Snapshot
from risk.kills import KillSwitch
from risk.limits import StrategyLimits, default_desk_limits, effective_version
from tests.risk.core import CLIENT, MINUTE_NS, OTHER, Core, limits


def two(**tight: int) -> Core:
    """Return two clients; each of them may do alone what the desk may."""
    own = limits(**tight)
    return Core(own, clients=(CLIENT, OTHER), desk=msgspec.structs.replace(default_desk_limits([own] * 2), **tight))


@pytest.mark.requirement("state:desk")
def test_a_desk_is_the_sum_of_its_clients_whichever_comes_first() -> None:
    core = two()
    for client, buys, sells in ((CLIENT, 7, 30), (OTHER, 11, 130)):
        core.approve(core.intent("ACME", "buy", buys, 99, client=client))
        core.approve(core.intent("NICK", "sell", sells, 101, client=client))
    facts = core.desk.facts
    every = [each.facts for each in core.desk.clients.values()]
    assert facts.up_nano == sum(each.up_nano for each in every) == 1_800 * SCALE
    assert facts.down_nano == sum(each.down_nano for each in every) == 16_000 * SCALE
    assert facts.gross_nano == sum(each.gross_nano for each in every) == 17_800 * SCALE
    assert facts.open_orders == 4
    assert facts.day_loss_nano == 0


def lose(core: Core, client: str, price: str) -> None:
    """Have a client hold ten of one symbol of its own, and its price fall from 100."""
    core.approve(intent := core.intent("ACME" if client == CLIENT else "NICK", qty=10, client=client))
    core.fill(intent)
    core.mark(MINUTE_NS)
    core.mark(MINUTE_NS, **{intent.symbol: price})


@pytest.mark.requirement("gate:desk-daily-loss")
@pytest.mark.parametrize(("most", "code"), [(100 * SCALE, "desk_daily_loss"), (100 * SCALE + 1, "approved")])
def test_a_desk_that_has_lost_just_its_limit_stays_stopped_when_prices_come_back(most: int, code: str) -> None:
    core = two(max_daily_loss_nano=most)
    lose(core, CLIENT, "95")
    assert core.code(core.intent("GOLD", qty=1)) == "approved"
    lose(core, OTHER, "95")
    assert core.code(core.intent("GOLD", qty=1)) == code
    core.mark(MINUTE_NS, ACME="120", NICK="120")
    assert core.code(core.intent("GOLD", qty=1)) == code


@pytest.mark.requirement("gate:desk-daily-loss")
def test_half_of_the_prices_of_two_instants_are_no_loss_that_is_remembered() -> None:
    core = two(max_daily_loss_nano=100 * SCALE)
    lose(core, CLIENT, "105")
    lose(core, OTHER, "100")
    later = core.now_ns + MINUTE_NS
    for symbol, price in (("ACME", 94), ("NICK", 105)):  # one gains what the other loses, at one instant
        core.prices[symbol] = price * SCALE
    bars = tuple(
        Bar(symbol, later - MINUTE_NS, later, later, nano, nano, nano, nano, SCALE)
        for symbol, nano in core.prices.items()
    )
    for client in core.desk.clients.values():
        client.mark(Snapshot(later, bars, ()), session_open=True)
    assert core.desk.facts.halted is False
    assert core.desk.facts.day_loss_nano == 10 * SCALE


@pytest.mark.requirement("gate:daily-loss")
@pytest.mark.parametrize(("most", "code"), [(50 * SCALE, "daily_loss"), (50 * SCALE + 1, "approved")])
def test_a_client_that_has_lost_just_its_limit_stays_stopped_when_prices_come_back(most: int, code: str) -> None:
    core = Core(limits(max_daily_loss_nano=most))
    core.hold()
    core.mark(MINUTE_NS, ACME="95")
    core.mark(MINUTE_NS, ACME="120")
    assert core.code(core.intent("NICK", qty=1)) == code


@pytest.mark.requirement("gate:desk-message-rate")
def test_messages_of_the_last_minute_count_and_older_ones_do_not() -> None:
    core = two(max_messages_per_minute=2)
    core.approve(core.intent("ACME", qty=1, limit=99))
    core.mark(MINUTE_NS // 2)
    core.approve(core.intent("NICK", qty=1, limit=99, client=OTHER))
    core.mark(MINUTE_NS // 2 - 1)
    assert core.desk.facts.recent_messages == 2
    assert core.code(core.intent("GOLD", qty=1)) == "desk_message_rate"
    core.mark(1)
    assert core.desk.facts.recent_messages == 1
    assert core.code(core.intent("GOLD", qty=1)) == "approved"


@pytest.mark.requirement("gate:duplicate")
def test_of_very_many_contents_those_inside_the_windows_are_still_known() -> None:
    core = Core(
        limits(
            duplicate_window_ns=10 * MINUTE_NS,
            repeat_window_ns=5 * MINUTE_NS,
            max_orders_per_minute=600,
            max_messages_per_minute=1_200,
        )
    )
    first = core.intent("ACME", qty=1, limit=99)
    core.approve(first)
    core.tell(first, "canceled")
    twins = core.client.facts.twins
    core.mark(5 * MINUTE_NS)
    again = core.intent("NICK", qty=1, limit=99)
    core.approve(again)
    core.tell(again, "canceled")
    for number in range(4_095):  # contents that were approved with the second: orders of a day of many
        twins["FILL", number] = msgspec.structs.replace(twins["NICK", "buy", "limit", SCALE, 99 * SCALE])
    core.mark(5 * MINUTE_NS - 1)
    assert core.code(core.intent("ACME", qty=1, limit=99)) == "duplicate"
    core.mark(1)
    assert len(core.client.facts.twins) == 4_096, "the first is older than both windows"
    assert core.code(core.intent("ACME", qty=1, limit=99)) == "approved"
    assert core.code(core.intent("NICK", qty=1, limit=99)) == "duplicate"


# --- the kill switch --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:kill")
def test_what_is_stopped_is_listed_the_widest_first_and_each_scope_has_its_own_state() -> None:
    kills = KillSwitch([])
    for client, strategy in (("b", "y"), ("", "y"), ("b", ""), ("a", ""), ("", ""), ("a", "x")):
        kills.engage(KillLine(client, strategy, "halted", "why", "who", 1))
    scopes = [(one.client, one.strategy) for one in kills.halted()]
    assert scopes == [("", ""), ("", "y"), ("a", ""), ("b", ""), ("a", "x"), ("b", "y")]


@pytest.mark.requirement("risk:kill")
def test_an_order_stands_under_its_client_and_its_strategy_and_else_it_is_active() -> None:
    kills = KillSwitch([KillLine("a", "", "reducing", "why", "who", 1), KillLine("", "x", "halted", "why", "who", 2)])
    states = {(client, strategy): kills.state(client, strategy) for client in "ab" for strategy in "xy"}
    assert states == {("a", "x"): "halted", ("a", "y"): "reducing", ("b", "x"): "halted", ("b", "y"): "active"}


@pytest.mark.requirement("risk:kill")
def test_of_two_scopes_that_are_equally_tight_the_wider_one_is_told() -> None:
    kills = KillSwitch([])
    for client, strategy in (("a", "x"), ("", "x"), ("a", "")):
        kills.engage(KillLine(client, strategy, "halted", "why", "who", 1))
        found = kills.of("a", "x")
        assert found is not None
        assert (found.client, found.strategy) == (client, strategy)


# --- the version of the limits ----------------------------------------------------------------------------------------


@pytest.mark.requirement("limits:effective")
def test_the_version_of_the_limits_does_not_depend_on_the_order_in_which_they_were_written() -> None:
    one, two_ = StrategyLimits(max_orders_per_day=1), StrategyLimits(max_orders_per_day=2)
    versions = {
        effective_version(Core(strategies=dict(pairs)).spec, CLIENT)
        for pairs in ((("x", one), ("y", two_)), (("y", two_), ("x", one)))
    }
    assert len(versions) == 1
    (version,) = versions
    assert version != effective_version(Core(strategies={"x": two_, "y": one}).spec, CLIENT)
    assert version.startswith("lim-")
    assert len(version) == 16
