"""``outcry resume``: a person clears the kill switch. Only at a terminal: no program and no model can (law 2)."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bus.errors import RefusedError, UsageError
from bus.messages import GetRiskState, Resume
from outcry.commands.kill import ask_gate, who
from outcry.rundir import live_run, read_run_file, state_folder

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")


def run(given: argparse.Namespace) -> int:
    """Ask the person, then clear the switch.

    Raises:
        UsageError: No terminal, or no live run.
        RefusedError: The person did not confirm.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("outcry resume needs a person at a terminal: its input and output may not be redirected")
    run_dir = given.run_dir or live_run(Path("runs"), state_folder(os.environ))
    state = ask_gate(run_dir, GetRiskState())
    if not state.killed:
        print("the kill switch is not engaged")
        return 0
    run_id = read_run_file(run_dir).run_id
    print(f"The gate of {run_id} was killed: {state.kill_reason}")
    try:
        typed = input(f"Type {run_id} to let it approve orders again: ")
    except EOFError:
        typed = ""
    if typed.strip() != run_id:
        raise RefusedError("not resumed: what was typed is not the run's id; the kill switch stays engaged")
    state = ask_gate(run_dir, Resume(by=who()))
    print("resumed" if not state.killed else f"still killed: {state.kill_reason}")
    return 0 if not state.killed else 3
