"""``outcry doctor``: whether this machine and this configuration can run a desk, and how tightly it would be held.

Not a repair: it changes nothing, and says for each finding what to do.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import msgspec

from outcry.rundir import state_folder

__all__ = ["add", "run"]

_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="an outcry.toml; without it the defaults")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(given: argparse.Namespace) -> int:
    """Examine, and tell; 1 when something keeps a desk from running, else 0."""
    from outcry._doctor import examine, worst
    from outcry._doctor_desk import desk_checks
    from outcry._doctor_machine import machine_checks

    runs = Path("runs")
    checks = (*machine_checks(runs), *desk_checks(given.config, runs, state_folder(os.environ), os.environ))
    findings = examine(checks)
    state = worst(findings)
    if given.json:
        print(json.dumps({"state": state, "findings": msgspec.to_builtins(findings)}))
        return int(state == "fail")
    for finding in findings:
        print(f"{_MARKS[finding.state]}  {finding.name:<16} {finding.found}")
        if finding.todo:
            print(f"{'':>24}-> {finding.todo}")
    bad = sum(finding.state == "fail" for finding in findings)
    odd = sum(finding.state == "warn" for finding in findings)
    print(f"{len(findings)} findings: {bad} failed, {odd} to know of")
    return int(state == "fail")
