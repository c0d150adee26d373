"""Two clients on one desk of processes: one gate over both, books and kill switches of their own, and the commands."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bus.fixed import SCALE
from bus.ids import client_order_id
from bus.messages import (
    ExecutionAsk,
    GetRiskState,
    OrderIntent,
    RiskAsk,
    RiskState,
    StageRequest,
    StageResult,
    Verdicts,
)
from bus.zmq_transport import ZmqTransport
from tests.e2e.desk import outcry, run_state, started, until

TWO = """
[desk]
client = "first"
[desk_limits]
max_gross = 150_000
[clients.second]
start_cash = 50_000
[clients.second.limits]
max_order_notional = 5_000
"""


@contextmanager
def desk_of_two(folder: Path) -> Generator[tuple[Path, subprocess.Popen[str]]]:
    config = folder / "outcry.toml"
    config.write_text(TWO, encoding="utf-8")
    run_dir = folder / "run"
    with started("run", "--config", config, "--run-dir", run_dir, "--speed", "60") as process:
        until("the desk runs", lambda: run_state(run_dir).get("state") == "running")
        until("the gate has a clock", lambda: status(run_dir).get("gate") and status(run_dir)["gate"]["approved"] >= 0)
        yield run_dir, process


def status(run_dir: Path) -> dict[str, Any]:
    return outcry("status", "--run-dir", run_dir, "--json").json


class Second:
    """Somebody who trades for the second client over the bus, as an MCP server does."""

    def __init__(self, run_dir: Path) -> None:
        content = run_state(run_dir)
        self.run_id = content["run_id"]
        self.transport = ZmqTransport()
        self.gate = self.transport.client(content["endpoints"]["risk"])
        self.gateways = {
            name: self.transport.client(content["endpoints"][name]) for name in ("execution", "execution.second")
        }
        self.cycle = 0

    def try_buy(self, qty: int) -> tuple[StageRequest, Verdicts]:
        self.cycle += 1
        state = self.gate.call(GetRiskState())
        assert isinstance(state, RiskState)
        intent = OrderIntent(
            client_order_id("second", self.run_id, self.cycle, 0), "second", self.run_id, self.cycle, 0, "ACME", "buy",
            "market", "day", qty * SCALE, 0, state.now_ns, "by-hand",
        )  # fmt: skip
        request = StageRequest(self.run_id, "second", self.cycle, state.now_ns, RiskAsk((intent,)))
        answer = self.gate.call(request)
        assert isinstance(answer, StageResult)
        assert isinstance(answer.answer, Verdicts)
        return request, answer.answer

    def verdict(self, qty: int) -> tuple[StageRequest, Verdicts]:
        """Ask until the market has not moved on between two questions."""
        found: list[tuple[StageRequest, Verdicts]] = []

        def judged() -> bool:
            found[:] = [self.try_buy(qty)]
            return found[0][1].verdicts[0].code not in {"clock_mismatch", "no_price", "duplicate"}

        until("a verdict", judged)
        return found[0]


@pytest.mark.requirement("run:clients")
@pytest.mark.requirement("cli:books")
@pytest.mark.slow
def test_each_client_is_judged_filled_and_killed_by_itself(tmp_path: Path) -> None:
    with desk_of_two(tmp_path) as (run_dir, process):
        second = Second(run_dir)
        try:
            _, too_much = second.verdict(3_000)
            assert too_much.verdicts[0].code == "order_notional"
            request, passed = second.verdict(1)
            assert passed.verdicts[0].approved, passed.verdicts[0]
            send = StageRequest(request.run_id, "second", request.cycle, request.now_ns, ExecutionAsk(passed.orders))
            foreign = second.gateways["execution"].call(send)
            assert isinstance(foreign, StageResult)
            assert "ticket" in str(foreign.answer), "another client's gateway takes no order of the second's"
            second.gateways["execution.second"].call(send)
            order_id = passed.orders[0].intent.client_order_id
            own = outcry("orders", "--run-dir", run_dir, "--client", "second", "--json").json
            assert [order["client_order_id"] for order in own["orders"]] == [order_id]
            until("it is filled", lambda: positions(run_dir, "second"))
            assert positions(run_dir, "second")["ACME"] == "1"

            told = outcry("explain", order_id, "--run-dir", run_dir, "--json").json
            assert told["verdicts"][-1]["code"] == "approved"
            assert told["verdicts"][-1]["agrees"] is True

            killed = outcry("kill", "--run-dir", run_dir, "--client", "second", "--json")
            assert killed.code == 0
            assert killed.json["killed"] is True
            _, refused = second.verdict(2)
            assert refused.verdicts[0].code == "kill_switch"
            before = status(run_dir)["gate"]["approved"]
            until("the first client still trades", lambda: status(run_dir)["gate"]["approved"] > before, 60.0)
            assert outcry("kill", "--run-dir", run_dir, "--client", "nobody").code == 2
            assert outcry("resume", "--run-dir", run_dir, "--client", "second").code == 2, "only at a terminal"
        finally:
            second.transport.close()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert positions(run_dir, "second")["ACME"] == "1", "and the books can be read when the run has ended"
    ended = outcry("orders", "--run-dir", run_dir, "--client", "second", "--json").json
    assert [order["status"] for order in ended["orders"]] == ["filled"]
    words = outcry("explain", order_id, "--run-dir", run_dir)
    assert words.code == 0
    assert order_id in words.out


def positions(run_dir: Path, client: str) -> dict[str, str]:
    done = outcry("positions", "--run-dir", run_dir, "--client", client, "--json")
    assert done.code == 0, done.err
    told: dict[str, Any] = json.loads(done.out)
    return {held["symbol"]: held["qty"] for held in told["positions"] if held["qty"] != "0"}
