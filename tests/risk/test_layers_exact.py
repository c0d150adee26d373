"""What a refusal of a loosened limit says, word for word, and what the limits of an account are that names none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bus.clock import NS
from bus.errors import ConfigError
from bus.fixed import SCALE
from risk import ceilings
from risk._layers import check_against_ceilings, check_layers
from risk.limits import Limits, StrategyLimits, SymbolLimits, default_desk_limits, default_limits, effective_version
from risk.spec import GateSpec
from tests.risk.core import CLIENT, Core, limits

MINUTE_NS = 60 * NS


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        act()
    return str(caught.value)


def looser(**other: Any) -> str:
    return refusal(lambda: check_against_ceilings(limits(**other)))


def layered(**other: Any) -> GateSpec:
    """Return a gate's spec whose one client differs so; nothing is checked yet."""
    spec = Core().spec
    own = msgspec.structs.replace(spec.clients[0], **other)
    return msgspec.structs.replace(spec, clients=(own,))


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("limits:layers")
def test_a_limit_above_its_ceiling_is_told_with_what_is_allowed_where_that_is_and_to_lower_it() -> None:
    said = looser(max_gross_nano=ceilings.MAX_GROSS_NANO + SCALE)
    assert said == (
        "limits.max_gross = 20,000,001 is not allowed; it must be above 0 and at most 20,000,000 (risk/ceilings.py): "
        "lower it"
    )


@pytest.mark.requirement("limits:layers")
def test_a_limit_below_what_it_must_be_is_told_to_be_raised() -> None:
    said = looser(duplicate_window_ns=-NS)
    assert said.startswith("limits.duplicate_window_s = -1 is not allowed; it must be 0 or more and at most ")
    assert said.endswith("(risk/ceilings.py): raise it")
    assert "must be 3,600 or more and" in looser(rolling_window_ns=NS)
    assert "must be above 0 and" in looser(max_open_orders=0)


@pytest.mark.requirement("limits:layers")
def test_a_desk_above_its_ceiling_is_told_the_same_way() -> None:
    spec = Core().spec
    desk = msgspec.structs.replace(spec.desk, max_open_orders=ceilings.MAX_DESK_OPEN_ORDERS + 1)
    said = refusal(lambda: check_layers(msgspec.structs.replace(spec, desk=desk)))
    assert said == (
        "desk_limits.max_open_orders = 2,501 is not allowed; it must be above 0 and at most 2,500 (risk/ceilings.py): "
        "lower it"
    )


@pytest.mark.requirement("limits:layers")
@pytest.mark.parametrize(
    ("may_short", "short", "words"),
    [
        (True, ceilings.MAX_ORDER_QTY_NANO + SCALE, "(risk/ceilings.py): lower it"),
        (True, -1, "(risk/ceilings.py): raise it"),
        (False, SCALE, "must be 0 or more and at most 0 (allow_short): lower it"),
    ],
)
def test_more_to_borrow_than_there_can_be_is_refused_by_its_name(may_short: bool, short: int, words: str) -> None:
    symbols = {"ACME": SymbolLimits(short_available_nano=short)}
    said = refusal(lambda: check_layers(layered(limits=limits(allow_short=may_short), symbols=symbols)))
    assert said.startswith(f"limits of {CLIENT} in ACME: short_available = ")
    assert said.endswith(words)
    for fits in (0, ceilings.MAX_ORDER_QTY_NANO if may_short else 0):
        symbols = {"ACME": SymbolLimits(short_available_nano=fits)}
        check_layers(layered(limits=limits(allow_short=may_short), symbols=symbols))


@pytest.mark.requirement("limits:layers")
@pytest.mark.parametrize(("traded", "most"), [(("ACME", "NICK"), 2), ((), 10_000)])
def test_a_strategy_has_no_more_symbols_than_its_client(traded: tuple[str, ...], most: int) -> None:
    def with_most(count: int) -> GateSpec:
        strategies = {"x": StrategyLimits(max_symbols=count)}
        return layered(limits=limits(symbols=traded), strategies=strategies)

    check_layers(with_most(most))
    assert refusal(lambda: check_layers(with_most(most + 1))) == (
        f"limits of {CLIENT} for strategy x: max_symbols = {most + 1:,} is not allowed; it must be above 0 and at most "
        f"{most:,} (the client's symbols): lower it"
    )


@pytest.mark.requirement("limits:effective")
def test_a_client_that_is_not_of_the_desk_has_no_version_and_is_told_who_is() -> None:
    spec = Core(clients=("bob", "alice")).spec
    assert "'carol' is not of this desk; it has alice, bob" in refusal(lambda: effective_version(spec, "carol"))


# --- what an account has that names no limits -------------------------------------------------------------------------


@pytest.mark.requirement("limits:effective")
def test_the_limits_of_an_account_that_names_none_are_these() -> None:
    own = default_limits(100_000 * SCALE)
    assert own == Limits(
        max_order_qty_nano=100_000 * SCALE,
        max_order_notional_nano=20_000 * SCALE,
        max_position_notional_nano=25_000 * SCALE,
        max_gross_nano=100_000 * SCALE,
        collar_bps=500,
        max_daily_loss_nano=2_000 * SCALE,
        max_price_age_ns=15 * MINUTE_NS,
        max_orders_per_minute=60,
        max_open_orders=40,
        duplicate_window_ns=MINUTE_NS,
        ticket_lifetime_ns=MINUTE_NS,
        max_net_nano=100_000 * SCALE,
        max_rolling_loss_nano=10_000 * SCALE,
        max_drawdown_nano=20_000 * SCALE,
    )
    desk = default_desk_limits([own, own])
    assert (desk.max_gross_nano, desk.max_net_nano) == (200_000 * SCALE, 200_000 * SCALE)
    assert desk.max_daily_loss_nano == 4_000 * SCALE
    assert (desk.max_messages_per_minute, desk.max_open_orders) == (480, 80)


@pytest.mark.requirement("limits:effective")
def test_the_limits_of_an_account_of_any_size_end_at_the_ceilings() -> None:
    own = default_limits(10**12 * SCALE)
    assert own.max_order_qty_nano == ceilings.MAX_ORDER_QTY_NANO
    assert own.max_order_notional_nano == ceilings.MAX_ORDER_NOTIONAL_NANO
    assert own.max_position_notional_nano == ceilings.MAX_POSITION_NOTIONAL_NANO
    assert (own.max_gross_nano, own.max_net_nano) == (ceilings.MAX_GROSS_NANO, ceilings.MAX_NET_NANO)
    assert own.max_daily_loss_nano == ceilings.MAX_DAILY_LOSS_NANO
    assert own.max_rolling_loss_nano == ceilings.MAX_ROLLING_LOSS_NANO
    assert own.max_drawdown_nano == ceilings.MAX_DRAWDOWN_NANO
    desk = default_desk_limits([own] * 500)
    assert (desk.max_gross_nano, desk.max_net_nano) == (ceilings.MAX_DESK_GROSS_NANO, ceilings.MAX_DESK_NET_NANO)
    assert desk.max_daily_loss_nano == ceilings.MAX_DESK_DAILY_LOSS_NANO
    assert desk.max_messages_per_minute == ceilings.MAX_DESK_MESSAGES_PER_MINUTE
    assert desk.max_open_orders == ceilings.MAX_DESK_OPEN_ORDERS
