"""What a person may write in ``outcry.toml``, and what they are told when it cannot be followed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bus.errors import ConfigError
from outcry.config import Config, load_config
from outcry.plan import config_digest, make_terms, run_id_of


def loaded(text: str, folder: Path) -> Config:
    path = folder / "outcry.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def refused(text: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        make_terms(loaded(text, folder))
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.requirement("config:wrong")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[desk]\ncycle_every_s = "often"\n', ["desk.cycle_every_s", "'often'", "1 to 86400"]),
        ("[desk]\ncycle_every_s = 1.5\n", ["desk.cycle_every_s", "1.5"]),
        ("[desk]\ncycle_every_s = true\n", ["desk.cycle_every_s", "True"]),
        ("[desk]\nseed = -1\n", ["desk.seed", "-1", "whole number from 0"]),
        ("[desk]\nstart_cash = 0\n", ["desk.start_cash", "above 0"]),
        ('[desk]\nstart_cash = "plenty"\n', ["desk.start_cash", "plenty"]),
        ('[desk]\nclient = "../desk"\n', ["desk.client", "../desk", "a-z"]),
        ('[desk]\nsymbols = "ACME"\n', ["desk.symbols", "a list of symbols"]),
        ('[desk]\nsymbols = ["ACME", "ACME"]\n', ["desk.symbols"]),
        ('[desk]\nstrategies = ["astrology"]\n', ["desk.strategies", "astrology", "trend", "mean_reversion"]),
        ('[model]\nname = "abacus"\n', ["model.name", "abacus", "scripted", "openai:NAME"]),
        ("[model]\ntimeout_s = 0\n", ["model.timeout_s", "above 0"]),
        ('[bus]\ntransport = "udp"\n', ["bus.transport", "udp", "ipc", "tcp"]),
        ("[supervisor]\nrestarts = -1\n", ["supervisor.restarts", "-1"]),
        ("desk = 3\n", ["desk", "a table"]),
        ("limits = 3\n", ["limits", "3"]),
        ("[limits]\nmax_order_notional = true\n", ["limits.max_order_notional", "True", "decimal number"]),
        ('[limits]\nsymbols = "ACME"\n', ["limits.symbols", "a list"]),
        ("[limits]\nmax_order_notional = inf\n", ["limits.max_order_notional", "decimal number"]),
        ("[fills]\nparticipation_ppm = 2.5\n", ["fills.participation_ppm", "2.5", "whole number"]),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_is_allowed(text: str, says: list[str], tmp_path: Path) -> None:
    told = refused(text, tmp_path)
    assert [word for word in says if word not in told] == [], told


@pytest.mark.requirement("config:unknown")
@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("[desk]\ncycle_evry_s = 60\n", "desk.cycle_evry_s", "cycle_every_s"),
        ("[dsk]\n", "dsk", "desk"),
        ("[limits]\nmax_ordr_notional = 5\n", "limits.max_ordr_notional", "max_order_notional"),
        ("[fees]\ncrypto_pm = 5\n", "fees.crypto_pm", "crypto_ppm"),
        ("[fills]\nlatency_ns = 5\n", "fills.latency_ns", "latency_s"),
        ("[supervisor]\nrestart = 5\n", "supervisor.restart", "restarts"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(text: str, key: str, meant: str, tmp_path: Path) -> None:
    told = refused(text, tmp_path)
    assert f"'{key}'" in told
    assert f"did you mean {meant!r}" in told


@pytest.mark.requirement("config:ceiling")
@pytest.mark.parametrize("key", ["max_order_notional", "max_gross", "max_daily_loss", "max_open_orders", "collar_bps"])
def test_a_limit_looser_than_its_ceiling_is_refused(key: str, tmp_path: Path) -> None:
    told = refused(f"[limits]\n{key} = 100000000\n", tmp_path)
    assert key in told
    assert "100,000,000" in told


@pytest.mark.requirement("config:file")
def test_a_file_that_is_not_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    assert "outcry.toml is not TOML" in refused("[desk\n", tmp_path)
    with pytest.raises(ConfigError, match=r"nowhere\.toml is not there"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


@pytest.mark.requirement("config:exact")
def test_money_and_times_are_taken_exactly(tmp_path: Path) -> None:
    text = "[desk]\nstart_cash = 100000.10\n[limits]\nmax_order_notional = 0.3\nmax_price_age_s = 12.5\n"
    terms = make_terms(loaded(text, tmp_path))
    assert terms.start_cash_nano == 100_000_100_000_000
    assert terms.limits.max_order_notional_nano == 300_000_000
    assert terms.limits.max_price_age_ns == 12_500_000_000


@pytest.mark.requirement("config:defaults")
def test_without_a_file_limits_suit_the_starting_cash() -> None:
    config = load_config(None)
    terms = make_terms(config)
    assert config.desk.start_cash == Decimal(100_000)
    assert 0 < terms.limits.max_order_notional_nano < terms.start_cash_nano


@pytest.mark.requirement("config:options")
def test_an_option_of_the_command_line_comes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "outcry.toml"
    path.write_text('[desk]\nseed = 1\nclient = "alpha"\n', encoding="utf-8")
    config = load_config(path, {"desk": {"seed": 9}})
    assert (config.desk.seed, config.desk.client) == (9, "alpha")
    with pytest.raises(ConfigError, match=r"command line: model\.name = 'abacus'"):
        load_config(None, {"model": {"name": "abacus"}})


def run_id(text: str, folder: Path, day: str = "day-1") -> str:
    config = loaded(text, folder)
    return run_id_of(config, make_terms(config), day)


@pytest.mark.requirement("config:run-id")
def test_the_run_id_depends_on_what_decides_the_trading_and_on_nothing_else(tmp_path: Path) -> None:
    base = run_id("", tmp_path)
    same = ["[bus]\nbase_port = 9000\n", "[supervisor]\nrestarts = 1\n", "[desk]\nseed = 7\nstart_cash = 100000.00\n"]
    assert {run_id(text, tmp_path) for text in same} == {base}
    other = [
        "[desk]\nseed = 8\n",
        '[model]\nname = "openai:x"\n',
        "[limits]\nmax_order_notional = 5\n",
        "[fees]\ncrypto_ppm = 5\n",
        "[fills]\nslippage_ppm = 5\n",
        "[desk]\ncycle_every_s = 60\n",
        '[desk]\nsymbols = ["ACME"]\n',
    ]
    found = {run_id(text, tmp_path) for text in other} | {run_id("", tmp_path, "day-2")}
    assert len(found) == len(other) + 1
    assert base not in found


@pytest.mark.requirement("config:run-id")
def test_the_digest_of_a_configuration_is_the_same_in_another_process(tmp_path: Path) -> None:
    import subprocess
    import sys

    config = loaded("[desk]\nseed = 3\n", tmp_path)
    code = (
        "import sys; from pathlib import Path; from outcry.config import load_config; from outcry.plan import *; "
        "c = load_config(Path(sys.argv[1])); print(config_digest(c, make_terms(c)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "outcry.toml")]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == config_digest(config, make_terms(config))
