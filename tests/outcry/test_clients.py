"""Several clients in one configuration: limits, gateways and brokers of their own, one gate over all."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from bus.errors import ConfigError, UsageError
from bus.fixed import to_nano
from bus.messages import DayInfo
from execution.spec import GatewaySpec
from outcry.clients import check_brokers
from outcry.config import load_config
from outcry.plan import make_specs, make_terms
from risk.limits import effective_version
from risk.spec import GateSpec

LIVE = '[feed]\nsource = "ccxt"\nexchange = "kraken"\n[desk]\nsymbols = ["BTC/USD"]\n'
REAL = '[broker]\nkind = "ccxt"\nexchange = "kraken"\nkeys_file = "keys.toml"\n'
TWO = """
[desk]
client = "first"
[desk_limits]
max_gross = 120_000
[symbol_limits.ACME]
max_order_notional = 900
[strategy_limits.trend]
max_orders_per_day = 7
[clients.second]
start_cash = 50_000
[clients.second.limits]
max_order_notional = 400
"""
INFO = DayInfo("d", "live", "", "24/7", "UTC", 60, 0, 0, 0, 0, (), ("ACME", "BTC/USD"))


def written(folder: Path, text: str) -> Path:
    path = folder / "outcry.toml"
    path.write_text(text, encoding="utf-8")
    return path


def specs_of(folder: Path, text: str, *, day: bool = True) -> dict[str, object]:
    config = load_config(written(folder, text))
    at = folder / "day" if day else None
    made = make_specs(config, make_terms(config), INFO, at, folder, "run-1", 0.0)
    return dict(made)


@pytest.mark.requirement("config:clients")
def test_each_client_has_a_gateway_a_journal_and_limits_of_its_own_under_one_gate(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, TWO)
    gate = cast("GateSpec", specs["risk"])
    first, second = (cast("GatewaySpec", specs[name]) for name in ("execution", "execution.second"))
    assert [(one.client, one.execution) for one in gate.clients] == [
        ("first", "execution"),
        ("second", "execution.second"),
    ]
    assert first.database != second.database
    assert (first.start_cash_nano, second.start_cash_nano) == (to_nano(100_000), to_nano(50_000))
    assert gate.clients[0].symbols["ACME"].max_order_notional_nano == to_nano(900)
    assert gate.clients[0].strategies["trend"].max_orders_per_day == 7
    assert gate.clients[1].limits.max_order_notional_nano == to_nano(400)
    assert gate.desk.max_gross_nano == to_nano(120_000)
    assert gate.resume_key_file


@pytest.mark.requirement("config:clients")
def test_a_gateway_is_told_the_version_of_every_layer_that_its_client_is_judged_by(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, TWO)
    gate = cast("GateSpec", specs["risk"])
    for name in ("execution", "execution.second"):
        gateway = cast("GatewaySpec", specs[name])
        assert gateway.limits_version == effective_version(gate, gateway.client)
    before = {name: cast("GatewaySpec", specs[name]).limits_version for name in ("execution", "execution.second")}
    after = specs_of(tmp_path, TWO.replace("= 900", "= 901"))
    assert cast("GatewaySpec", after["execution"]).limits_version != before["execution"]
    assert cast("GatewaySpec", after["execution.second"]).limits_version == before["execution.second"]


@pytest.mark.requirement("config:ceiling")
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[clients.second.limits]\nmax_order_notional = 1e12\n", "max_order_notional"),
        ("[desk_limits]\nmax_gross = 1e15\n", "max_gross"),
        ("[symbol_limits.ACME]\nmax_order_notional = 99_999_999\n", "max_order_notional"),
        ("[strategy_limits.trend]\nmax_orders_per_day = 1_000_000_000\n", "max_orders_per_day"),
    ],
)
def test_a_layer_that_loosens_the_one_above_it_is_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make_terms(load_config(written(tmp_path, text)))


@pytest.mark.requirement("config:clients")
@pytest.mark.parametrize(
    "text",
    [
        '[clients."Not A Name"]\n',
        "[clients.desk]\n",
        "[clients.second]\ncash = 3\n",
        "[symbol_limits.ACME]\nmax_ordr_notional = 3\n",
        "[strategy_limits]\ntrend = 3\n",
    ],
)
def test_a_client_that_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        make_terms(load_config(written(tmp_path, text)))


@pytest.mark.requirement("config:clients")
def test_limits_of_a_symbol_that_the_day_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NOPE"):
        specs_of(tmp_path, "[symbol_limits.NOPE]\nmax_order_notional = 3\n")


@pytest.mark.requirement("config:broker")
@pytest.mark.parametrize(
    ("text", "live_market", "why"),
    [
        (REAL, False, "needs a live market"),
        (LIVE + REAL.replace('keys_file = "keys.toml"\n', ""), True, "keys_file is missing"),
        (LIVE + REAL + "sandbox = false\n", True, "two|mode = 'live'"),
        (LIVE + '[broker]\nkeys_file = "keys.toml"\n', True, "paper broker has no keys"),
        (LIVE + 'mode = "live"\n', True, "no broker trades real money"),
        (LIVE + 'mode = "live"\n' + REAL, True, "no broker trades real money"),
        (
            LIVE + "[clients.b.broker]\nkind = 'fix'\nkeys_file = 'k'\nsandbox = false\n",
            True,
            "clients.b.broker.sandbox",
        ),
    ],
)
def test_a_broker_that_does_not_fit_the_market_or_the_two_keys_is_refused(
    tmp_path: Path, text: str, live_market: bool, why: str
) -> None:
    config = load_config(written(tmp_path, text))
    with pytest.raises((ConfigError, UsageError), match=why):
        check_brokers(config, live_market=live_market)


@pytest.mark.requirement("config:broker")
def test_only_a_gateway_whose_own_broker_has_real_money_is_live(tmp_path: Path) -> None:
    text = LIVE + 'mode = "live"\n' + REAL + "sandbox = false\n[clients.shadow]\n"
    check_brokers(load_config(written(tmp_path, text)), live_market=True)
    specs = specs_of(tmp_path, text, day=False)
    real, shadow = (cast("GatewaySpec", specs[name]) for name in ("execution", "execution.shadow"))
    assert (real.mode, real.broker.kind, real.broker.sandbox) == ("live", "ccxt", False)
    assert (shadow.mode, shadow.broker.kind) == ("paper", "paper")
    assert real.cancel_on_disconnect_s > 0
    assert shadow.cancel_on_disconnect_s == 0


@pytest.mark.requirement("config:broker")
def test_no_spec_and_no_configuration_has_a_field_for_a_key(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, LIVE + REAL, day=False)
    names = {name for spec in specs.values() for name in getattr(type(spec), "__struct_fields__", ())}
    assert not [name for name in names if "secret" in name or name in {"key", "key_id", "api_key", "password"}]
    with pytest.raises(ConfigError, match="unknown key 'broker.secret'"):
        load_config(written(tmp_path, "[broker]\nsecret = 'x'\n"))
