"""``outcry run``: a desk on a recorded day, from the first process to the closing table.

Not the supervisor: this puts together what it needs and says how it ended.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bus.clock import NS, monotonic_ns
from bus.endpoints import local_directory
from outcry.desk import PreparedDesk, content_of, log_to, parse_speed, prepare, supervise, two_keys
from outcry.failure import StageFailedError
from outcry.link import NurseryLink
from outcry.progress import ProgressLine
from outcry.rundir import RunDir

if TYPE_CHECKING:
    from outcry.config import Config
    from outcry.supervisor import Outcome

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--day", type=Path, metavar="DAY", help="a sealed day's folder or zip; without it the sample")
    parser.add_argument("--config", type=Path, metavar="FILE", help="an outcry.toml")
    parser.add_argument("--model", metavar="MODEL", help="scripted (no key needed) or openai:NAME")
    parser.add_argument(
        "--broker", choices=("paper", "alpaca", "ccxt", "fix"), help="who executes; the configuration's without it"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the desk's choices, from 0")
    parser.add_argument("--speed", default="max", metavar="max|N", help="simulated seconds a real second")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="a new folder; without it one under ./runs")
    parser.add_argument("--live", action="store_true", help="the second key to real money, beside desk.mode = 'live'")
    parser.add_argument("--in-process", action="store_true", help="all stages in one process: the same trace")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, logs on stderr")


def _configure(given: argparse.Namespace) -> Config:
    from outcry.config import load_config

    overrides: dict[str, dict[str, object]] = {"desk": {}, "model": {}, "broker": {}}
    if given.broker is not None:
        overrides["broker"]["kind"] = given.broker
    if given.seed is not None:
        overrides["desk"]["seed"] = given.seed
    if given.model is not None:
        overrides["model"]["name"] = given.model
    overrides["desk"] |= two_keys(load_config(given.config, overrides).desk.mode, live=given.live)
    return load_config(given.config, overrides)


def _start(given: argparse.Namespace, link: NurseryLink | None, line: ProgressLine) -> tuple[PreparedDesk, Outcome]:
    folder = RunDir(given.run_dir, Path("runs"))
    try:
        desk = prepare(_configure(given), given.day, folder, parse_speed(given.speed))
    except BaseException:
        folder.discard()
        raise
    if desk.info.kind == "synthetic" and not given.json:
        sys.stderr.write(f"SYNTHETIC day {desk.info.day_id}: generated, not a market\n")
    log_to(desk.run_dir)
    if link is None:
        from outcry.in_process import run_in_process

        return desk, run_in_process(desk.run_dir, content_of(desk, local_directory()), desk.specs, line.show)
    return desk, supervise(desk, link, line.show)


def run(given: argparse.Namespace) -> int:
    """Run a desk and tell how it ended.

    Raises:
        OutcryError: The run was refused or failed; nothing is left running.
    """
    link = None if given.in_process else NurseryLink()  # first of all: it imports while the day is checked
    line = ProgressLine(sys.stderr, silent=given.json)
    try:
        desk, outcome = _start(given, link, line)
    except BaseException:
        if link is not None:
            link.kill()
        raise
    finally:
        line.end()
    if outcome.failure is not None:
        raise StageFailedError(outcome.failure, desk.run_dir / "logs")
    return _close(given, desk, outcome)


def _close(given: argparse.Namespace, desk: PreparedDesk, outcome: Outcome) -> int:
    wall_ns_taken = monotonic_ns() - given.started_ns
    from outcry.report import write_report
    from outcry.summary import RunMeta, build_summary, closing_table, conventions, export_events, write_summary

    if not (desk.run_dir / "trace.sqlite").is_file():
        raise KeyboardInterrupt  # before the day began: there is nothing to sum up
    meta = RunMeta(
        run_id=desk.run_id,
        day=desk.info.day_id,
        kind=desk.info.kind,
        mode=desk.mode,
        model=desk.config.model.name,
        start_equity_nano=desk.terms.start_cash_nano,
        bars=desk.info.bars,
        wall_seconds=wall_ns_taken / NS,
        first_decision_seconds=(
            (outcome.first_decision_ns - given.started_ns) / NS if outcome.first_decision_ns else None
        ),
        stages=dict(outcome.stages),
        run_dir=desk.run_dir,
        restarts=outcome.restarts,
        day_path=desk.day,
        currency=desk.config.desk.currency,
        conventions=conventions(desk.terms.fills, desk.terms.fees),
        outcome={130: "interrupted", 3: "kill_switch"}.get(outcome.exit_code, ""),
    )
    summary = build_summary(desk.run_dir, meta)
    write_summary(desk.run_dir, summary)
    export_events(desk.run_dir)
    report = write_report(desk.run_dir, meta, summary)
    if given.json:
        import json

        print(json.dumps(summary.as_json()))
    else:
        print(closing_table(summary))
        print(f"report: {report}")
    if outcome.exit_code == 3:
        why = outcome.risk.kill_reason if outcome.risk is not None else ""
        sys.stderr.write(f"outcry: the kill switch was engaged ({why}): every later order was refused\n")
    return outcome.exit_code
