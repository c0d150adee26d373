"""``outcry explain``: why the gate approved or refused an order, from its journal, with the verdict computed again.

Not a second judge: the same controls on the inputs that were written with the verdict.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bus.clock import iso
from outcry.ask import run_dir_of

if TYPE_CHECKING:
    from risk.explain import Explained

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("order_id", metavar="ORDER_ID", help="a client order id, as `outcry orders` shows it")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _record(told: Explained) -> dict[str, Any]:
    verdict = told.verdict
    return {
        "client": told.client,
        "at": iso(max(verdict.now_ns, 0)),
        "approved": verdict.approved,
        "code": verdict.code,
        "message": verdict.message,
        "meaning": told.meaning,
        "limits_version": verdict.limits_version,
        "recomputed": told.recomputed,
        "agrees": told.agrees,
        "inputs": {one.name: one.value for one in told.inputs},
    }


def run(given: argparse.Namespace) -> int:
    """Explain every verdict on an order.

    Returns:
        0, or 1 when a verdict does not follow from its own inputs: the journal was altered, or the release is another.

    Raises:
        OutcryError: There is no such run or order.
    """
    from risk.explain import explain

    run_dir = run_dir_of(given.run_dir)
    found = explain(run_dir / "gate.sqlite", given.order_id)
    sound = all(told.agrees for told in found.verdicts)
    if given.json:
        told = {"client_order_id": found.client_order_id, "run_dir": str(run_dir)}
        print(json.dumps(told | {"verdicts": [_record(one) for one in found.verdicts]}))
        return 0 if sound else 1
    for one in found.verdicts:
        intent, verdict = one.intent, one.verdict
        said = "approved" if verdict.approved else f"denied, {verdict.code}"
        print(f"{found.client_order_id}  {iso(max(verdict.now_ns, 0))}  {one.client}, {intent.strategy}: {said}")
        print(f"  {verdict.message}")
        if not verdict.approved:
            print(f"  meaning: {one.meaning}")
        print(
            f"  limits {verdict.limits_version}; computed again: {one.recomputed or 'not judged, nothing to compute'}"
        )
        if not one.agrees:
            print("  NOT WHAT WAS GIVEN: the journal was altered, or was written by another release")
        for item in one.inputs:
            print(f"    {item.words}: {item.value}")
    return 0 if sound else 1
