"""``outcry kill``: a person's order to the gate to refuse everything from now on. Not a way to end processes."""

from __future__ import annotations

import argparse
import getpass
import json
import os
from pathlib import Path

from bus.errors import RefusedError, UsageError
from bus.messages import Kill, Message, RiskState
from outcry.rundir import is_alive, live_run, read_run_file, state_folder

__all__ = ["add", "ask_gate", "run", "who"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--reason", default="a person asked for it", help="why, for the journal")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def who() -> str:
    """Return the name of the person at this terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def ask_gate(run_dir: Path, request: Message) -> RiskState:
    """Ask the gate of a live desk.

    Args:
        run_dir: The run's folder.
        request: ``Kill``, ``Resume`` or ``GetRiskState``.

    Raises:
        UsageError: No such run, or it is not live or has no sockets.
        BusError: The gate does not answer.
    """
    content = read_run_file(run_dir)
    if not is_alive(content):
        raise UsageError(f"the run in {run_dir} is {content.state} and not running; there is no gate to ask")
    endpoint = content.endpoints.get("risk", "")
    if not endpoint.startswith(("ipc://", "tcp://")):
        raise UsageError(
            f"the run in {run_dir} is in one process and has no socket: press Ctrl-C there, or run without --in-process"
        )
    from bus.zmq_transport import ZmqTransport

    transport = ZmqTransport()
    try:
        answer = transport.client(endpoint).call(request, timeout_s=10.0)
    finally:
        transport.close()
    if not isinstance(answer, RiskState):
        raise RefusedError(f"the gate answered {type(answer).__name__}; use the same release as the run")
    return answer


def run(given: argparse.Namespace) -> int:
    """Engage the kill switch.

    Raises:
        OutcryError: The gate could not be asked.
    """
    run_dir = given.run_dir or live_run(Path("runs"), state_folder(os.environ))
    state = ask_gate(run_dir, Kill(reason=given.reason, by=who()))
    if given.json:
        print(json.dumps({"killed": state.killed, "reason": state.kill_reason, "run_dir": str(run_dir)}))
    else:
        print(f"killed: {state.kill_reason}; every later order is refused until `outcry resume`")
    return 0 if state.killed else 1
