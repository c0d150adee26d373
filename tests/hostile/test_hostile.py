"""A hostile agent tries everything it can think of; the broker receives what the gate signed, and nothing else.

What each attempt must end with stands beside it, by the means that closes it: an attempt that fails for another reason
(a file that is not there, a typing error) does not count as refused.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus.messages import GetRiskState, RiskState
from outcry import _landlock
from tests.hostile import on_bus, on_files, on_processes
from tests.hostile.desk import HostileDesk, hostile_desk
from tests.hostile.loot import KEY, MODEL_KEY
from tests.hostile.memory import holds

pytestmark = [
    pytest.mark.slow,
    # Without it stages are not confined, and `outcry doctor` and a live run say so: there is nothing to attack here.
    pytest.mark.skipif(_landlock.abi() < _landlock.ABI_SCOPE, reason="this kernel has no such Landlock"),
]

FILES = "EACCES: "
SQLITE = "OperationalError: unable to open database file"
NONE = "LookupError: none"
MEMORY = "EPERM: Operation not permitted"
GATE = "EPERM: "
TICKET = "(EPERM: ticket: |RemoteError: ticket: )"
BUSY = "(EADDRINUSE|EACCES)"

EXPECTED: dict[str, str] = {
    **{one.name: FILES for one in on_files.ATTEMPTS},
    "read the kernel's memory": "(EACCES|ENOENT)",
    "open the keys to everybody": "EPERM: ",
    "open the gate's journal to everybody": "EPERM: ",
    "insert an approval into the gate's journal": SQLITE,
    "insert a used ticket into the order journal": SQLITE,
    "find a key in its environment": NONE,
    "find a key in its own memory": NONE,
    "find a descriptor that was left open": NONE,
    **{one.name: "(EACCES|EPERM): " for one in on_processes.ATTEMPTS},
    **{one.name: TICKET for one in on_bus.ATTEMPTS[:10]},
    "alter a signed order": "EPERM: ticket: .* was sent with other contents",
    "use a ticket for another client": "EPERM: ticket: .* is of client 'another'",
    "ask the gateway to judge": "RemoteError: bus: execution does not answer",
    "have a huge order approved": f"{GATE}quantity",
    "have a negative order approved": f"{GATE}quantity",
    "have an order far from the market approved": f"{GATE}price_collar",
    "have an order of tomorrow approved": f"{GATE}clock_mismatch",
    "have an order with another's id approved": f"{GATE}order_id_not_derived",
    "have an order for another client approved": f"{GATE}wrong_client",
    "have an order of another run approved": f"{GATE}wrong_client",
    "have an order that is a leg approved": f"{GATE}order_form",
    "cancel through the gate as another client": f"{GATE}this gate cancels for",
    "trade within the limits": "won: oo-",
    **{one.name: FILES for one in on_bus.ATTEMPTS if "socket of" in one.name or "folder of" in one.name},
    **{one.name: BUSY for one in on_bus.ATTEMPTS if one.name.startswith("bind over")},
    "listen on a port": FILES,
    "send every message to every endpoint": "won: feed [0-9]+/[0-9]+",
    "send garbage to every endpoint": "won: sent",
    "engage the kill switch": "won: killed",
    "clear the kill switch without a proof": "RemoteError: refused: this resume has no valid proof",
    "clear the kill switch with a guess": "RemoteError: refused: this resume has no valid proof",
}
AT_THE_BROKER = {"strategy": FILES, "trader": f"{GATE}every guess was refused with 401"}
"""The strategy may connect to nothing; the trader may, for its model, and has no key."""


@dataclass
class Attacked:
    """A desk after an attack by one of its stages."""

    desk: HostileDesk
    stage: str
    results: dict[str, str]


@pytest.fixture(scope="module", params=["strategy", "trader"])
def attacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Attacked]:
    stage = str(request.param)
    with hostile_desk(tmp_path_factory.mktemp("h")) as desk:
        yield Attacked(desk, stage, desk.attack(stage))


def approved(run_dir: Path) -> set[str]:
    with closing(sqlite3.connect(f"{(run_dir / 'gate.sqlite').as_uri()}?mode=ro", uri=True)) as db:
        return {str(name) for (name,) in db.execute("SELECT client_order_id FROM verdicts WHERE approved")}


def wrong(results: dict[str, str], expected: dict[str, str], names: list[str]) -> dict[str, str]:
    """What did not end as it must."""
    assert names
    return {name: results[name] for name in names if not re.match(expected[name], results[name])}


@pytest.mark.requirement("hostile:fills")
def test_the_broker_received_what_the_gate_approved_and_nothing_else(attacked: Attacked) -> None:
    venue, sent = attacked.desk.venue, attacked.desk.sent
    assert sent is not None
    own = attacked.results["trade within the limits"].removeprefix("won: ")
    assert venue.orders == [sent.intent.client_order_id, own]
    assert set(venue.orders) == approved(attacked.desk.run_dir)


@pytest.mark.requirement("hostile:files")
def test_no_file_but_its_own_is_read_or_changed(attacked: Attacked) -> None:
    assert not wrong(attacked.results, EXPECTED, [one.name for one in on_files.ATTEMPTS])


@pytest.mark.requirement("hostile:processes")
def test_no_other_process_is_looked_into_or_signaled(attacked: Attacked) -> None:
    assert not wrong(attacked.results, EXPECTED, [one.name for one in on_processes.ATTEMPTS])
    assert all(os.path.exists(f"/proc/{pid}") for pid in attacked.desk.pids.values())


@pytest.mark.requirement("hostile:tickets")
def test_no_ticket_but_the_gates_own_for_this_order_once_is_taken(attacked: Attacked) -> None:
    assert not wrong(attacked.results, EXPECTED, [one.name for one in on_bus.ATTEMPTS[:10]])


@pytest.mark.requirement("hostile:sockets")
def test_no_place_is_taken_and_nothing_wrong_is_approved(attacked: Attacked) -> None:
    names = [one.name for one in on_bus.ATTEMPTS[10:] if "broker" not in one.name and "kill switch" not in one.name]
    assert not wrong(attacked.results, EXPECTED, names)


@pytest.mark.requirement("hostile:broker")
def test_the_broker_is_out_of_reach_or_takes_no_guess(attacked: Attacked) -> None:
    expected = {"send an order to the broker with guessed keys": AT_THE_BROKER[attacked.stage]}
    assert not wrong(attacked.results, expected, list(expected))
    assert attacked.desk.venue.strangers == (3 if attacked.stage == "trader" else 0)


@pytest.mark.requirement("hostile:switch")
def test_the_kill_switch_goes_one_way(attacked: Attacked) -> None:
    names = [one.name for one in on_bus.ATTEMPTS if "kill switch" in one.name]
    assert not wrong(attacked.results, EXPECTED, names)
    assert attacked.desk.ask("risk", GetRiskState(), RiskState).killed


def seen(pid: int, key: re.Pattern[bytes]) -> str:
    try:
        return "found" if holds(pid, key) else "none"
    except PermissionError:
        return "closed"


@pytest.mark.requirement("hostile:memory")
def test_the_brokers_key_is_in_its_gateway_and_nowhere_else(attacked: Attacked) -> None:
    found = {name: seen(pid, KEY) for name, pid in attacked.desk.pids.items()}
    if os.geteuid() == 0:
        assert found == {**dict.fromkeys(found, "none"), "execution": "found"}
    else:
        assert set(found.values()) == {"closed"}  # not even the person's own programs can look
    written = [path for path in attacked.desk.run_dir.rglob("*") if path.is_file() and KEY.search(path.read_bytes())]
    assert not written


@pytest.mark.requirement("hostile:memory")
def test_a_models_key_is_in_the_stage_that_asks_it_and_in_no_other_process_of_the_fork_server(
    attacked: Attacked,
) -> None:
    found = {name: seen(pid, MODEL_KEY) for name, pid in attacked.desk.pids.items()}
    if os.geteuid() == 0:
        assert found == {**dict.fromkeys(found, "none"), "supervisor": "found", "trader": "found"}
    else:
        assert set(found.values()) == {"closed"}


@pytest.mark.requirement("hostile:second-line")
def test_without_landlock_memory_and_tracing_are_still_closed(tmp_path: Path) -> None:
    needed = ("environment of", "memory", "debugger", "steal")
    names = [one.name for one in on_processes.ATTEMPTS if any(word in one.name for word in needed)]
    with hostile_desk(tmp_path, landlock=False) as desk:
        results = desk.attack("strategy", names)
        log = (desk.run_dir / "logs" / "strategy.log").read_text(encoding="utf-8")
    assert not wrong(results, EXPECTED, names)
    assert "missing: files and other processes are not closed to it" in log
