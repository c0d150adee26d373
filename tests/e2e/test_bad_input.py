"""What people and machines get wrong: each ends in one clear message, the right exit code and nothing left running."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feed._parquet import connect
from feed.format import load_day, seal_folder, write_day
from tests.agents.fake_openai import FakeOpenAI
from tests.e2e.desk import Done, outcry


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days") / "sample"
    done = outcry("days", "sample", "--out", folder, "--json")
    assert done.code == 0, done.err
    return Path(done.json["path"])


def told(done: Done) -> str:
    assert "Traceback" not in done.err
    return done.out + done.err


@pytest.mark.requirement("run:bad-day")
def test_a_day_with_a_broken_seal_is_refused(sample: Path, tmp_path: Path) -> None:
    broken = tmp_path / "day"
    shutil.copytree(sample, broken)
    file = broken / "bars_1m.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    done = outcry("run", "--json", "--day", broken, "--run-dir", tmp_path / "run")
    assert done.code == 2
    assert "bars_1m.parquet" in told(done)


def write_altered(sample: Path, target: Path, change: Callable[[list[list[Any]]], None]) -> None:
    day = load_day(sample)
    tables = {name: [list(row) for row in zip(*columns.values(), strict=True)] for name, columns in day.tables.items()}
    change(tables["bars"])
    write_day(target, day.manifest, day.instruments, tables)


def swap(bars: list[list[Any]]) -> None:
    bars[10], bars[40] = bars[40], bars[10]


def high_below_low(bars: list[list[Any]]) -> None:
    bars[5][5] = 0.01


@pytest.mark.requirement("run:bad-day")
@pytest.mark.parametrize(("change", "says"), [(swap, "order"), (high_below_low, "below low")])
def test_a_day_that_breaks_a_rule_ends_with_the_rule(
    sample: Path, change: Callable[[list[list[Any]]], None], says: str, tmp_path: Path
) -> None:
    write_altered(sample, tmp_path / "day", change)
    done = outcry("run", "--json", "--day", tmp_path / "day", "--run-dir", tmp_path / "run")
    assert done.code == 2, done.err
    assert says in told(done)


@pytest.mark.requirement("run:bad-day")
def test_a_day_that_lacks_a_column_ends_with_its_name(sample: Path, tmp_path: Path) -> None:
    broken = tmp_path / "day"
    shutil.copytree(sample, broken)
    day = load_day(broken)
    with connect() as db:
        db.execute(f"CREATE TABLE t AS SELECT * EXCLUDE (close) FROM read_parquet('{sample / 'bars_1m.parquet'}')")
        db.execute(f"COPY t TO '{broken / 'bars_1m.parquet'}' (FORMAT parquet)")
    seal_folder(broken, day.manifest, day.instruments)
    done = outcry("run", "--json", "--day", broken, "--run-dir", tmp_path / "run")
    assert done.code == 2, done.err
    assert "close" in told(done)


@pytest.mark.requirement("run:bad-day")
def test_a_day_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = outcry("run", "--json", "--day", tmp_path / "nowhere", "--run-dir", tmp_path / "run")
    assert done.code == 2
    assert "nowhere" in told(done)


@pytest.mark.requirement("run:bad-config")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[desk]\nsymbols = ["NOPE"]\n', "NOPE"),
        ('[desk]\ncycle_every_s = "often"\n', "cycle_every_s"),
        ("[desk]\ncycle_evry_s = 60\n", "cycle_every_s"),
        ("[limits]\nmax_order_notional = 100000000000\n", "max_order_notional"),
        ("[desk\n", "outcry.toml"),
    ],
)
def test_a_configuration_that_cannot_be_followed_is_refused(text: str, says: str, tmp_path: Path) -> None:
    config = tmp_path / "outcry.toml"
    config.write_text(text, encoding="utf-8")
    done = outcry("run", "--json", "--config", config, "--run-dir", tmp_path / "run")
    assert done.code == 2, done.err
    assert says in told(done)


@pytest.mark.requirement("run:bad-config")
def test_the_example_configuration_is_followed(tmp_path: Path) -> None:
    done = outcry("run", "--json", "--in-process", "--config", "examples/outcry.toml", "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    assert done.json["fills"] > 0


@pytest.mark.requirement("run:port")
def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = tmp_path / "outcry.toml"
        config.write_text(f'[bus]\ntransport = "tcp"\nbase_port = {port}\n', encoding="utf-8")
        done = outcry("run", "--json", "--config", config, "--run-dir", tmp_path / "run")
    assert done.code == 2, done.err
    assert str(port) in told(done)


@pytest.mark.requirement("run:model")
@pytest.mark.parametrize("mode", ["down", "nonsense", "slow", "error"])
def test_a_model_server_that_fails_holds_the_cycle(mode: str, tmp_path: Path) -> None:
    config = tmp_path / "outcry.toml"
    config.write_text("[desk]\ncycle_every_s = 7200\n[model]\ntimeout_s = 0.3\n", encoding="utf-8")
    with FakeOpenAI(mode="ok" if mode == "down" else mode) as server:
        url = "http://127.0.0.1:9/v1" if mode == "down" else server.base_url
        done = outcry(
            "run", "--json", "--model", "openai:test", "--config", config, "--run-dir", tmp_path / "run",
            env={"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "not-a-key"},
        )  # fmt: skip
    assert done.code == 0, done.err
    summary = done.json
    assert summary["fills"] == 0
    assert summary["degraded"], summary
    assert sum(summary["degraded"].values()) >= summary["cycles"] > 0
    assert "not-a-key" not in told(done)
    leaks = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"not-a-key" in path.read_bytes()]
    assert not leaks


@pytest.mark.requirement("run:model")
def test_a_real_protocol_model_server_is_asked_and_followed(tmp_path: Path) -> None:
    with FakeOpenAI(mode="ok") as server:
        done = outcry(
            "run", "--json", "--model", "openai:test", "--run-dir", tmp_path / "run",
            env={"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "not-a-key"},
        )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["model_calls"] > 0
    assert not done.json["degraded"]


@pytest.mark.requirement("run:bad-config")
@pytest.mark.parametrize(
    "wrong", [["run", "--speed", "fast"], ["run", "--model", "abacus"], ["walk"], ["run", "--broker", "moon"], []]
)
def test_a_wrong_argument_is_a_usage_error(wrong: list[str], tmp_path: Path) -> None:
    where = ["--run-dir", str(tmp_path / "run")] if wrong[:1] == ["run"] else []
    done = outcry(*wrong, *where)
    assert done.code == 2
    assert "Traceback" not in done.err
