"""``outcry resume``: a person clears the kill switch. Only at a terminal: no program and no model can (law 2).

What the gate believes is not the terminal but the proof: it is made with a key in the run's folder that agents cannot
read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

from bus.errors import RefusedError, UsageError
from bus.messages import GetRiskState, KillLine, Resume, RiskState
from outcry.ask import ask, run_dir_of, who
from outcry.commands.kill import scope_text
from outcry.rundir import read_run_file

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--client", default="", metavar="NAME", help="only this client's switch; without it the desk's")
    parser.add_argument("--strategy", default="", metavar="NAME", help="only this strategy's switch")


def _line(state: RiskState, client: str, strategy: str) -> KillLine | None:
    return next((line for line in state.kills if (line.client, line.strategy) == (client, strategy)), None)


def run(given: argparse.Namespace) -> int:
    """Ask the person, then clear the switch of one scope.

    Raises:
        UsageError: No terminal, or no live run.
        RefusedError: The person did not confirm, or the key cannot be read.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("outcry resume needs a person at a terminal: its input and output may not be redirected")
    run_dir = run_dir_of(given.run_dir)
    state = ask(run_dir, "risk", GetRiskState(), RiskState)
    scope = scope_text(given.client, given.strategy)
    line = _line(state, given.client, given.strategy)
    if line is None:
        print(f"the kill switch of {scope} is not engaged")
        for other in state.kills:
            print(f"  engaged: {scope_text(other.client, other.strategy)}, {other.state} ({other.reason})")
        return 0
    run_id = read_run_file(run_dir).run_id
    print(f"The gate of {run_id} was killed: {scope}, {line.state}: {line.reason}, by {line.by}")
    try:
        typed = input(f"Type {run_id} to let it approve orders again: ")
    except EOFError:
        typed = ""
    if typed.strip() != run_id:
        raise RefusedError("not resumed: what was typed is not the run's id; the kill switch stays engaged")
    state = ask(run_dir, "risk", _proven(run_dir, run_id, given.client, given.strategy, state.nonce), RiskState)
    line = _line(state, given.client, given.strategy)
    print(f"resumed: {scope}" if line is None else f"still killed: {line.reason}")
    return 0 if line is None else 3


def _proven(run_dir: Path, run_id: str, client: str, strategy: str, nonce: int) -> Resume:
    from outcry.stages import read_spec
    from risk.resume import read_resume_key, resume_proof
    from risk.spec import GateSpec

    spec = cast("GateSpec", read_spec(run_dir, "risk"))
    key = read_resume_key(Path(spec.resume_key_file))
    by = who()
    return Resume(by, client, strategy, nonce, resume_proof(key, run_id, client, strategy, by, nonce))
