"""``outcry kill``: a person's order to the gate to refuse everything from now on. Not a way to end processes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bus.errors import ConfigError
from bus.messages import Kill, RiskState
from outcry.ask import ask, clients_of, run_dir_of, who

__all__ = ["add", "run", "scope_text"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--client", default="", metavar="NAME", help="only this client; without it the whole desk")
    parser.add_argument("--strategy", default="", metavar="NAME", help="only the orders of this strategy")
    parser.add_argument(
        "--reducing", action="store_true", help="let orders that reduce a position pass, and cancel nothing"
    )
    parser.add_argument("--reason", default="a person asked for it", help="why, for the journal")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def scope_text(client: str, strategy: str) -> str:
    """Return a scope in words."""
    parts = [f"client {client}"] if client else []
    parts += [f"strategy {strategy}"] if strategy else []
    return ", ".join(parts) or "the whole desk"


def run(given: argparse.Namespace) -> int:
    """Engage the kill switch of one scope.

    Raises:
        OutcryError: The gate could not be asked, or there is no such client.
    """
    run_dir = run_dir_of(given.run_dir)
    if given.client and given.client not in (known := clients_of(run_dir)):
        raise ConfigError(f"this desk has no client {given.client!r}; it has {', '.join(known)}")
    wanted = "reducing" if given.reducing else "halted"
    kill = Kill(given.reason, who(), given.client, given.strategy, wanted)
    state = ask(run_dir, "risk", kill, RiskState)
    lines = [line for line in state.kills if (line.client, line.strategy) == (given.client, given.strategy)]
    told = {
        "killed": any(line.state == "halted" for line in lines),
        "state": lines[0].state if lines else "active",
        "scope": {"client": given.client, "strategy": given.strategy},
        "reason": f"{lines[0].reason}, by {lines[0].by}" if lines else "",
        "run_dir": str(run_dir),
    }
    scope = scope_text(given.client, given.strategy)
    if given.json:
        print(json.dumps(told))
    elif lines and lines[0].state == "halted":
        print(f"killed: {scope} ({told['reason']}); every later order is refused until `outcry resume`")
    elif lines:
        print(f"reducing: {scope} ({told['reason']}); only orders that reduce pass until `outcry resume`")
    else:
        print(f"the gate did not take it up: {scope} is active; read its log")
    return 0 if lines else 1
