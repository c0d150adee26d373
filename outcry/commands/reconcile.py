"""``outcry reconcile``: compare a client's orders, positions and cash with its broker's, now. Not a repair by hand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from bus.clock import iso
from bus.messages import AskReconcile, Reconciliation
from outcry.ask import ask, gateway_for, run_dir_of

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--client", default="", metavar="NAME", help="whose; the desk's own client without it")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(given: argparse.Namespace) -> int:
    """Have a client's gateway ask its broker, and say what did not agree.

    Returns:
        0 when the books agree, 3 when the client is halted because they cannot be made to.

    Raises:
        OutcryError: The desk is not live, or its gateway does not answer.
    """
    run_dir = run_dir_of(given.run_dir)
    client, gateway = gateway_for(run_dir, given.client)
    told = ask(run_dir, gateway, AskReconcile(), Reconciliation)
    if given.json:
        differences = [msgspec.structs.asdict(one) for one in told.differences]
        print(
            json.dumps(
                {
                    "client": client,
                    "broker": told.broker,
                    "now": iso(max(told.now_ns, 0)),
                    "orders": told.orders,
                    "positions": told.positions,
                    "halted": told.halted,
                    "differences": differences,
                }
            )
        )
        return 3 if told.halted else 0
    print(
        f"{client} at {told.broker}, {iso(max(told.now_ns, 0))}: {told.orders:,} orders and {told.positions:,} "
        f"positions compared, {len(told.differences):,} differences"
    )
    for one in told.differences:
        print(f"  {one.what} {one.name}: ours {one.ours}, theirs {one.theirs}: {one.settled}")
    if told.halted:
        print(f"HALTED, nothing new is sent: {told.halted}")
        print(f"When a person has looked: outcry resume --client {client}")
    return 3 if told.halted else 0
