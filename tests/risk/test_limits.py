"""Ceilings are code: configuration only tightens, and nothing loosens a running gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ConfigError, RemoteError
from bus.fixed import SCALE
from bus.messages import ClockTick, DescribeDay, Message, Ok, OrderEvents, Ping, Tick
from risk import ceilings
from risk.limits import (
    DeskLimits,
    Limits,
    StrategyLimits,
    SymbolLimits,
    check_against_ceilings,
    check_layers,
    default_desk_limits,
    default_limits,
    effective_version,
    version,
)
from risk.spec import ClientSpec, GateSpec
from tests.risk.desk import CASH_NANO, CLIENT, Desk

MOST = {
    "max_order_qty_nano": ceilings.MAX_ORDER_QTY_NANO,
    "max_order_notional_nano": ceilings.MAX_ORDER_NOTIONAL_NANO,
    "max_position_notional_nano": ceilings.MAX_POSITION_NOTIONAL_NANO,
    "max_gross_nano": ceilings.MAX_GROSS_NANO,
    "max_net_nano": ceilings.MAX_NET_NANO,
    "max_leverage_bps": ceilings.MAX_LEVERAGE_BPS,
    "max_concentration_bps": ceilings.MAX_CONCENTRATION_BPS,
    "margin_bps": 10_000,
    "collar_bps": ceilings.MAX_COLLAR_BPS,
    "max_daily_loss_nano": ceilings.MAX_DAILY_LOSS_NANO,
    "max_rolling_loss_nano": ceilings.MAX_ROLLING_LOSS_NANO,
    "max_drawdown_nano": ceilings.MAX_DRAWDOWN_NANO,
    "rolling_window_ns": ceilings.MAX_WINDOW_NS,
    "max_price_age_ns": ceilings.MAX_PRICE_AGE_NS,
    "max_orders_per_minute": ceilings.MAX_ORDERS_PER_MINUTE,
    "max_messages_per_minute": ceilings.MAX_MESSAGES_PER_MINUTE,
    "max_orders_per_day": ceilings.MAX_ORDERS_PER_DAY,
    "max_cancels_per_day": ceilings.MAX_CANCELS_PER_DAY,
    "max_orders_per_symbol_per_day": ceilings.MAX_ORDERS_PER_SYMBOL_PER_DAY,
    "max_open_orders": ceilings.MAX_OPEN_ORDERS,
    "max_repeats": ceilings.MAX_REPEATS,
    "repeat_window_ns": ceilings.MAX_WINDOW_NS,
    "duplicate_window_ns": ceilings.MAX_WINDOW_NS,
    "ticket_lifetime_ns": ceilings.MAX_TICKET_LIFETIME_NS,
}
LEAST = {
    "margin_bps": ceilings.MIN_MARGIN_BPS,
    "rolling_window_ns": ceilings.MIN_ROLLING_WINDOW_NS,
    "repeat_window_ns": ceilings.MIN_REPEAT_WINDOW_NS,
    "duplicate_window_ns": 0,
}
BASE = default_limits(CASH_NANO)


def changed(**values: Any) -> Limits:
    return msgspec.structs.replace(BASE, **values)


@pytest.mark.requirement("risk:ceilings")
@pytest.mark.parametrize("key", sorted(MOST))
def test_a_limit_at_its_ceiling_is_allowed_and_one_beyond_is_refused_by_name(key: str, tmp_path: Path) -> None:
    least, most = LEAST.get(key, 1), MOST[key]
    check_against_ceilings(changed(**{key: most}))
    check_against_ceilings(changed(**{key: least, "min_order_notional_nano": 0}))
    short = key.removesuffix("_nano").replace("_ns", "_s")
    for bad, advice in ((most + 1, "lower it"), (least - 1, "raise it"), (-1, "raise it")):
        with pytest.raises(ConfigError, match=rf"limits\.{short} = .*{advice}"):
            check_against_ceilings(changed(**{key: bad}))
        with pytest.raises(ConfigError):
            Desk(tmp_path, changed(**{key: bad}))
    assert not (tmp_path / "gate.pub").exists()


@pytest.mark.requirement("risk:ceilings")
def test_every_number_among_the_limits_is_bounded() -> None:
    numbers = {field.name for field in msgspec.structs.fields(Limits) if field.type is int}
    assert numbers == {*MOST, "min_order_notional_nano"}
    check_against_ceilings(changed(min_order_notional_nano=BASE.max_order_notional_nano))
    with pytest.raises(ConfigError, match="at most max_order_notional"):
        check_against_ceilings(changed(min_order_notional_nano=BASE.max_order_notional_nano + 1))
    with pytest.raises(ConfigError, match="order_types"):
        check_against_ceilings(changed(order_types=()))
    with pytest.raises(ConfigError, match="times_in_force"):
        check_against_ceilings(changed(times_in_force=("day", "forever")))


def spec(own: Limits = BASE, desk: DeskLimits | None = None, **layers: Any) -> GateSpec:
    clients = (ClientSpec("alice", own, start_cash_nano=CASH_NANO, **layers), ClientSpec("bob", BASE))
    return GateSpec("run-1", "replay", clients, desk or default_desk_limits([own, BASE]), "", "")


TIGHT = DeskLimits(
    BASE.max_gross_nano, BASE.max_net_nano, BASE.max_daily_loss_nano, BASE.max_messages_per_minute, BASE.max_open_orders
)
OTHERS = ("AAA",)


@pytest.mark.requirement("limits:layers")
@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(DeskLimits)])
def test_a_client_is_no_looser_than_its_desk_and_a_desk_no_looser_than_its_ceiling(name: str) -> None:
    check_layers(spec(desk=TIGHT))
    own = msgspec.structs.replace(TIGHT, **{name: getattr(TIGHT, name) - 1})
    with pytest.raises(ConfigError, match=r"limits of alice: .*the desk's own"):
        check_layers(spec(desk=own))
    above = {
        "max_gross_nano": ceilings.MAX_DESK_GROSS_NANO,
        "max_net_nano": ceilings.MAX_DESK_NET_NANO,
        "max_daily_loss_nano": ceilings.MAX_DESK_DAILY_LOSS_NANO,
        "max_messages_per_minute": ceilings.MAX_DESK_MESSAGES_PER_MINUTE,
        "max_open_orders": ceilings.MAX_DESK_OPEN_ORDERS,
    }
    check_layers(spec(desk=msgspec.structs.replace(TIGHT, **{name: above[name]})))
    with pytest.raises(ConfigError, match=r"desk_limits\."):
        check_layers(spec(desk=msgspec.structs.replace(TIGHT, **{name: above[name] + 1})))


@pytest.mark.requirement("limits:layers")
@pytest.mark.parametrize(
    ("layer", "good", "bad", "own"),
    [
        ("symbols", SymbolLimits(max_order_qty_nano=BASE.max_order_qty_nano),
         SymbolLimits(max_order_qty_nano=BASE.max_order_qty_nano + 1), {}),
        ("symbols", SymbolLimits(max_order_notional_nano=BASE.max_order_notional_nano),
         SymbolLimits(max_order_notional_nano=BASE.max_order_notional_nano + 1), {}),
        ("symbols", SymbolLimits(max_position_notional_nano=BASE.max_position_notional_nano),
         SymbolLimits(max_position_notional_nano=BASE.max_position_notional_nano + 1), {}),
        ("symbols", SymbolLimits(collar_bps=500), SymbolLimits(collar_bps=501), {}),
        ("symbols", SymbolLimits(collar_bps=1), SymbolLimits(collar_bps=0), {}),
        ("symbols", SymbolLimits(max_orders_per_day=10_000), SymbolLimits(max_orders_per_day=10_001), {}),
        ("symbols", SymbolLimits(short_available_nano=0), SymbolLimits(short_available_nano=-1), {}),
        ("symbols", SymbolLimits(short_available_nano=0), SymbolLimits(short_available_nano=1), {"allow_short": False}),
        ("strategies", StrategyLimits(max_order_notional_nano=BASE.max_order_notional_nano),
         StrategyLimits(max_order_notional_nano=BASE.max_order_notional_nano + 1), {}),
        ("strategies", StrategyLimits(max_position_notional_nano=BASE.max_position_notional_nano),
         StrategyLimits(max_position_notional_nano=BASE.max_position_notional_nano + 1), {}),
        ("strategies", StrategyLimits(max_orders_per_day=10_000), StrategyLimits(max_orders_per_day=10_001), {}),
        ("strategies", StrategyLimits(max_open_orders=40), StrategyLimits(max_open_orders=41), {}),
        ("strategies", StrategyLimits(max_symbols=1), StrategyLimits(max_symbols=2), {"symbols": OTHERS}),
        ("strategies", StrategyLimits(symbols=OTHERS), StrategyLimits(symbols=("BBB",)), {"symbols": OTHERS}),
        ("strategies", StrategyLimits(venues=OTHERS), StrategyLimits(venues=("BBB",)), {"venues": OTHERS}),
    ],
)  # fmt: skip
def test_a_symbol_and_a_strategy_are_no_looser_than_their_client(
    layer: str, good: Any, bad: Any, own: dict[str, Any]
) -> None:
    check_layers(spec(changed(**own), None, **{layer: {"AAA": good}}))
    with pytest.raises(ConfigError, match=r"limits of alice (in|for strategy) AAA: .*is not allowed"):
        check_layers(spec(changed(**own), None, **{layer: {"AAA": bad}}))


@pytest.mark.requirement("limits:layers")
def test_a_desk_has_clients_and_each_has_a_name_of_its_own() -> None:
    for names in ((), ("alice", "alice"), ("",)):
        broken = msgspec.structs.replace(spec(), clients=tuple(ClientSpec(name, BASE) for name in names))
        with pytest.raises(ConfigError, match="clients = "):
            check_layers(broken)
    with pytest.raises(ConfigError, match="may not trade BBB"):
        check_layers(spec(changed(symbols=OTHERS), symbols={"BBB": SymbolLimits()}))


@pytest.mark.requirement("limits:effective")
def test_the_version_is_of_every_layer_that_applies_and_of_nothing_else() -> None:
    base = effective_version(spec(), "alice")
    assert base == effective_version(spec(), "alice") == effective_version(spec(), "alice")
    others = [
        spec(changed(collar_bps=499)),
        spec(desk=TIGHT),
        spec(symbols={"AAA": SymbolLimits(halted=True)}),
        spec(strategies={"x": StrategyLimits(max_open_orders=1)}),
        msgspec.structs.replace(spec(), currency="EUR"),
    ]
    versions = {effective_version(each, "alice") for each in others}
    assert len(versions | {base}) == len(others) + 1
    two = {"AAA": SymbolLimits(halted=True), "BBB": SymbolLimits()}
    turned = dict(reversed(list(two.items())))
    assert effective_version(spec(symbols=two), "alice") == effective_version(spec(symbols=turned), "alice")
    assert effective_version(msgspec.structs.replace(spec(), database="elsewhere"), "alice") == base
    bob = effective_version(spec(), "bob")
    assert effective_version(spec(symbols={"AAA": SymbolLimits(halted=True)}), "bob") == bob != base
    with pytest.raises(ConfigError, match="nobody"):
        effective_version(spec(), "nobody")


@pytest.mark.requirement("risk:ceilings")
@given(st.integers(50, 10**12))
def test_the_defaults_of_any_account_are_inside_the_ceilings(cash: int) -> None:
    check_against_ceilings(default_limits(cash * SCALE))


@pytest.mark.requirement("risk:limits:running")
def test_the_version_changes_with_any_limit_and_with_nothing_else() -> None:
    base = default_limits(CASH_NANO)
    assert version(base) == version(default_limits(CASH_NANO))
    others = {version(msgspec.structs.replace(base, **{field: getattr(base, field) - 1})) for field in MOST}
    assert len(others | {version(base)}) == len(MOST) + 1


@pytest.mark.requirement("risk:limits:running")
def test_no_message_and_no_variable_changes_the_limits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in MOST:
        monkeypatch.setenv(field.upper(), "999999999")
        monkeypatch.setenv(f"OUTCRY_{field.upper()}", "999999999")
    asks: tuple[Message, ...] = (
        Ping(),
        DescribeDay(),
        Ok("max_order_notional=1e9"),
        OrderEvents((), 0),
        Tick(ClockTick(0, 0, 1, False)),
    )
    for request in asks:
        try:
            desk.ask(request)
        except RemoteError as error:
            assert error.code == "bus"  # noqa: PT017 - Ping alone is answered
    assert desk.kill().limits_version == desk.resume().limits_version == effective_version(desk.spec, CLIENT)
    desk.start()
    desk.advance()
    assert desk.code(desk.intent(qty=191)) == "order_notional"
