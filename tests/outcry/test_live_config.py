"""A live market in the configuration: what it needs, who is given its keys, and the two keys to real money."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bus.errors import ConfigError, UsageError
from feed.spec import FeedSpec
from outcry.config import load_config
from outcry.desk import prepare, two_keys
from outcry.nursery import KEYS_OF
from outcry.rundir import RunDir

LIVE = '[feed]\nsource = "ccxt"\nexchange = "kraken"\n[desk]\nsymbols = ["BTC/USD"]\n'


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "outcry.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.requirement("config:live")
@pytest.mark.parametrize(
    ("mode", "live", "becomes", "told"),
    [
        ("paper", False, {}, ""),
        ("paper", True, {}, "this is paper"),
        ("live", False, {"mode": "paper"}, "this is paper"),
        ("live", True, {}, ""),
    ],
)
def test_only_both_keys_together_are_live(
    mode: str, live: bool, becomes: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert two_keys(mode, live=live) == becomes
    assert told in capsys.readouterr().err


@pytest.mark.requirement("config:live")
def test_both_keys_are_refused_where_no_broker_trades_real_money(tmp_path: Path) -> None:
    settings = load_config(config(tmp_path, LIVE), {"desk": {"mode": "live"}})
    with pytest.raises(ConfigError, match="no broker trades real money"):
        prepare(settings, None, RunDir(tmp_path / "run", tmp_path), 0.0)


@pytest.mark.requirement("config:feed")
def test_a_live_desk_trades_on_paper_and_tells_its_source_to_the_feed_alone(tmp_path: Path) -> None:
    desk = prepare(load_config(config(tmp_path, LIVE)), None, RunDir(tmp_path / "run", tmp_path), 0.0, tools=True)
    assert desk.mode == "paper"
    assert set(desk.specs) == {"feed", "execution", "risk", "orchestrator"}
    spec = desk.specs["feed"]
    assert isinstance(spec, FeedSpec)
    assert spec.source is not None
    assert (spec.source.kind, spec.source.exchange, spec.source.symbols) == ("ccxt", "kraken", ("BTC/USD",))
    again = prepare(load_config(config(tmp_path, LIVE)), None, RunDir(tmp_path / "run2", tmp_path), 0.0, tools=True)
    assert again.run_id != desk.run_id


@pytest.mark.requirement("config:feed")
def test_a_live_market_without_symbols_or_beside_a_day_is_refused(tmp_path: Path) -> None:
    settings = load_config(config(tmp_path, '[feed]\nsource = "alpaca"\n'))
    with pytest.raises(ConfigError, match=r"needs desk\.symbols"):
        prepare(settings, None, RunDir(tmp_path / "run", tmp_path), 0.0)
    with pytest.raises(UsageError, match="exclude each other"):
        prepare(load_config(config(tmp_path, LIVE)), tmp_path, RunDir(tmp_path / "run2", tmp_path), 0.0)


@pytest.mark.requirement("config:feed")
def test_no_stage_but_the_feed_is_given_the_vendors_keys() -> None:
    vendors = ("ALPACA_API_KEY", "APCA_API_SECRET_KEY")
    for stage, prefixes in KEYS_OF.items():
        assert all(name.startswith(prefixes) for name in vendors) == (stage == "feed")
    assert os.sep not in "".join(prefix for prefixes in KEYS_OF.values() for prefix in prefixes)
