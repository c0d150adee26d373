"""``outcry status``: what a desk is doing, from its ``run.json`` and, while it lives, from its gate.

Not a control: it changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from pathlib import Path
from typing import Any

from bus.clock import iso
from bus.errors import BusError
from bus.messages import GetRiskState, RiskState
from outcry.commands.kill import scope_text
from outcry.rundir import RunFile, is_alive, live_run, process_start, read_run_file, state_folder

__all__ = ["add", "gate_state", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def gate_state(content: RunFile) -> RiskState | None:
    """Return the gate's state, None when it does not answer or cannot be reached from here."""
    endpoint = content.endpoints.get("risk", "")
    if not endpoint.startswith(("ipc://", "tcp://")):
        return None
    from bus.zmq_transport import ZmqTransport

    transport = ZmqTransport()
    try:
        answer = transport.client(endpoint).call(GetRiskState(), timeout_s=2.0)
    except BusError:
        return None
    finally:
        transport.close()
    return answer if isinstance(answer, RiskState) else None


def run(given: argparse.Namespace) -> int:
    """Tell the state of a desk.

    Raises:
        UsageError: There is no run.
    """
    run_dir = given.run_dir or live_run(Path("runs"), state_folder(os.environ))
    content = read_run_file(run_dir)
    live = is_alive(content)
    state = content.state if live or content.state in ("done", "failed", "stopped") else "dead"
    risk = gate_state(content) if live else None
    go_on = "" if live else _how_to_go_on(run_dir, content)
    told: dict[str, Any] = {
        "run_id": content.run_id,
        "run_dir": str(run_dir),
        "day": content.day,
        "kind": content.kind,
        "mode": content.mode,
        "model": content.model,
        "state": state,
        "message": content.message,
        "started": content.started,
        "restarts": content.restarts,
        "stages": content.stages,
        "supervisor": content.supervisor,
        "continued": content.continued,
        "go_on": go_on,
        "gate": _gate(risk),
    }
    if given.json:
        print(json.dumps(told))
        return 0
    label = "  *** SYNTHETIC DATA: not a market ***" if content.kind == "synthetic" else ""
    print(f"{content.run_id}  {state}  {content.mode} of {content.day}, model {content.model}{label}")
    again = f", taken up again {content.continued} times" if content.continued else ""
    print(f"{run_dir}, started {content.started}, restarts {content.restarts}{again}")
    if content.message:
        print(content.message)
    if go_on:
        print(f"it did not come to its end; go on with it: {go_on}")
    for stage, pid in content.stages.items():
        alive = "running" if live and process_start(pid) else "gone"
        print(f"  {stage:<14}{pid:>8}  {alive}")
    if risk is not None:
        killed = f"KILLED ({risk.kill_reason})" if risk.killed else "open"
        print(f"gate: {killed} at {iso(max(0, risk.now_ns))}, approved {risk.approved:,}, denied {risk.denied:,}")
        for line in risk.kills:
            print(f"  {scope_text(line.client, line.strategy)}: {line.state} ({line.reason}, by {line.by})")
    return 0


def _how_to_go_on(run_dir: Path, content: RunFile) -> str:
    """Return the command that takes a run up again, empty where there is nothing to go on with."""
    if (content.state == "done" and content.told) or "analyst" not in content.specs:
        return ""
    return f"outcry run --continue {shlex.quote(str(run_dir))}{' --live' if content.mode == 'live' else ''}"


def _gate(risk: RiskState | None) -> dict[str, Any] | None:
    if risk is None:
        return None
    return {
        "killed": risk.killed,
        "kill_reason": risk.kill_reason,
        "now": iso(max(0, risk.now_ns)),
        "approved": risk.approved,
        "denied": risk.denied,
        "limits_version": risk.limits_version,
        "kills": [
            {
                "client": line.client,
                "strategy": line.strategy,
                "state": line.state,
                "reason": line.reason,
                "by": line.by,
            }
            for line in risk.kills
        ],
    }
