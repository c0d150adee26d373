"""Ceilings are code: configuration only tightens, and nothing loosens a running gate."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ConfigError, RemoteError
from bus.fixed import SCALE
from bus.messages import ClockTick, DescribeDay, Message, Ok, OrderEvents, Ping, Tick
from risk import ceilings
from risk.limits import Limits, check_against_ceilings, default_limits, version
from tests.risk.desk import CASH_NANO, Desk

CEILINGS = {
    "max_order_qty_nano": ceilings.MAX_ORDER_QTY_NANO,
    "max_order_notional_nano": ceilings.MAX_ORDER_NOTIONAL_NANO,
    "max_position_notional_nano": ceilings.MAX_POSITION_NOTIONAL_NANO,
    "max_gross_nano": ceilings.MAX_GROSS_NANO,
    "collar_bps": ceilings.MAX_COLLAR_BPS,
    "max_daily_loss_nano": ceilings.MAX_DAILY_LOSS_NANO,
    "max_price_age_ns": ceilings.MAX_PRICE_AGE_NS,
    "max_orders_per_minute": ceilings.MAX_ORDERS_PER_MINUTE,
    "max_open_orders": ceilings.MAX_OPEN_ORDERS,
    "ticket_lifetime_ns": ceilings.MAX_TICKET_LIFETIME_NS,
}


@pytest.mark.requirement("risk:ceilings")
@pytest.mark.parametrize("key", sorted(CEILINGS))
def test_a_limit_at_its_ceiling_is_allowed_and_one_above_is_refused_by_name(key: str, tmp_path: Path) -> None:
    base = default_limits(CASH_NANO)
    check_against_ceilings(msgspec.structs.replace(base, **{key: CEILINGS[key]}))
    short = key.removesuffix("_nano").replace("_ns", "_s")
    for bad, advice in ((CEILINGS[key] + 1, "lower it"), (0, "raise it"), (-1, "raise it")):
        with pytest.raises(ConfigError, match=rf"limits\.{short} = .*{advice}"):
            Desk(tmp_path, msgspec.structs.replace(base, **{key: bad}))
    assert not (tmp_path / "gate.pub").exists()


@pytest.mark.requirement("risk:ceilings")
def test_every_number_among_the_limits_is_bounded() -> None:
    numbers = {field.name for field in msgspec.structs.fields(Limits) if field.type is int}
    assert numbers == {*CEILINGS, "duplicate_window_ns"}
    with pytest.raises(ConfigError, match="duplicate_window"):
        check_against_ceilings(msgspec.structs.replace(default_limits(CASH_NANO), duplicate_window_ns=-1))


@pytest.mark.requirement("risk:ceilings")
@given(st.integers(50, 10**12))
def test_the_defaults_of_any_account_are_inside_the_ceilings(cash: int) -> None:
    check_against_ceilings(default_limits(cash * SCALE))


@pytest.mark.requirement("risk:limits:running")
def test_the_version_changes_with_any_limit_and_with_nothing_else() -> None:
    base = default_limits(CASH_NANO)
    assert version(base) == version(default_limits(CASH_NANO))
    others = {version(msgspec.structs.replace(base, **{field: getattr(base, field) - 1})) for field in CEILINGS}
    assert len(others | {version(base)}) == len(CEILINGS) + 1


@pytest.mark.requirement("risk:limits:running")
def test_no_message_and_no_variable_changes_the_limits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in CEILINGS:
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
    assert desk.kill().limits_version == desk.resume().limits_version == version(desk.limits)
    desk.start()
    desk.advance()
    assert desk.code(desk.intent(qty=191)) == "order_notional"
