"""Which broker a spec comes to, and the combinations that are refused before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from bus.errors import ConfigError
from bus.local_transport import LocalTransport
from execution.gateway import build_gateway
from execution.open_broker import open_broker
from execution.paper import PAPER_OFFERS, PaperBroker
from execution.spec import BrokerSpec, GatewaySpec
from tests.execution.desk import gateway_spec


def keys(folder: Path, mode: int = 0o600) -> str:
    path = folder / "keys.toml"
    path.write_text('key_id = "obviously"\nsecret = "a-fake-word"\n', encoding="utf-8")
    path.chmod(mode)
    return str(path)


def spec(folder: Path, mode: str, **broker: object) -> GatewaySpec:
    return gateway_spec(folder, mode=mode, broker=msgspec.convert(broker, BrokerSpec))


@pytest.mark.requirement("execution:broker:chosen")
@pytest.mark.parametrize("mode", ["replay", "paper"])
def test_the_paper_broker_needs_no_keys(tmp_path: Path, mode: str) -> None:
    assert open_broker(spec(tmp_path, mode)) == (PaperBroker, PAPER_OFFERS)


@pytest.mark.requirement("execution:broker:chosen")
@pytest.mark.parametrize(
    ("kind", "exchange"), [("alpaca", ""), ("fix", ""), ("ccxt", "binance")], ids=["alpaca", "fix", "ccxt"]
)
@pytest.mark.parametrize(("mode", "sandbox"), [("paper", True), ("live", False)])
def test_a_real_broker_is_chosen_by_its_kind_and_says_what_it_takes(
    tmp_path: Path, kind: str, exchange: str, mode: str, sandbox: bool
) -> None:
    chosen = spec(tmp_path, mode, kind=kind, exchange=exchange, sandbox=sandbox, keys_file=keys(tmp_path))
    make, offers = open_broker(chosen)
    assert callable(make)
    assert offers.own_account
    assert "limit" in offers.order_types
    assert "obviously" not in repr((make, offers))


BAD: dict[str, tuple[str, dict[str, object], str]] = {
    "live with paper": ("live", {}, "allowed are 'replay' and 'paper'"),
    "a recorded day at a real broker": ("replay", {"kind": "alpaca"}, "allowed is 'paper'"),
    "live in the sandbox": ("live", {"kind": "alpaca", "sandbox": True}, "contradict"),
    "paper with real money": ("paper", {"kind": "alpaca", "sandbox": False}, "contradict"),
    "no keys": ("paper", {"kind": "fix"}, "keys_file"),
    "keys that are not there": ("paper", {"kind": "alpaca", "keys_file": "/nowhere/keys.toml"}, "cannot be opened"),
    "an exchange that is not known": ("paper", {"kind": "ccxt", "exchange": "atlantis", "keys_file": "x"}, "atlantis"),
}


@pytest.mark.requirement("execution:broker:refused")
@pytest.mark.parametrize("name", list(BAD))
def test_what_makes_no_sense_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    mode, broker, text = BAD[name]
    with pytest.raises(ConfigError, match=text):
        build_gateway(spec(tmp_path, mode, **broker), LocalTransport(), {"feed": "inproc://feed"})
    assert os.listdir(tmp_path) == []


@pytest.mark.requirement("execution:broker:refused")
def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    open_ = spec(tmp_path, "paper", kind="alpaca", keys_file=keys(tmp_path, 0o644))
    with pytest.raises(ConfigError, match="chmod 600") as refused:
        build_gateway(open_, LocalTransport(), {"feed": "inproc://feed"})
    assert "a-fake-word" not in str(refused.value)
