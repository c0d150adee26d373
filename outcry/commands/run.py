"""``outcry run``: a desk on a recorded day, from the first process to the closing table; or the rest of such a run.

Not the supervisor: this puts together what it needs and says how it ended.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from bus.clock import NS, iso, monotonic_ns
from bus.endpoints import local_directory
from bus.errors import UsageError
from bus.messages import Progress
from outcry.desk import PreparedDesk, content_of, day_info, log_to, parse_speed, prepare, supervise, two_keys
from outcry.failure import StageFailedError
from outcry.link import NurseryLink
from outcry.progress import ProgressLine
from outcry.rundir import RunDir, RunLock, read_run_file, write_run_file
from outcry.stages import GATEWAY

if TYPE_CHECKING:
    from execution.spec import GatewaySpec
    from outcry.config import Config
    from outcry.outcome import Outcome

__all__ = ["add", "run"]

_OF_A_NEW_RUN = ("day", "config", "model", "broker", "seed", "speed", "run_dir", "in_process")
"""Options that are settled when a run begins: its specs say them, and it goes on with the same."""


_EPILOG = (
    "--continue takes up a run that was killed with everything in it, failed, or was stopped with Ctrl-C: every stage "
    "goes on from its journal, so that no order is lost or sent twice, and the run ends as it would have. The closing "
    "table and the report are of the whole run; the wall time is that of the command that ends it. Refused are a run "
    "that is alive, one that has ended, and one whose files were moved, copied or altered."
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--day", type=Path, metavar="DAY", help="a sealed day's folder or zip; without it the sample")
    parser.add_argument("--config", type=Path, metavar="FILE", help="an outcry.toml")
    parser.add_argument("--model", metavar="MODEL", help="scripted (no key needed) or openai:NAME")
    parser.add_argument(
        "--broker", choices=("paper", "alpaca", "ccxt", "fix"), help="who executes; the configuration's without it"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the desk's choices, from 0")
    parser.add_argument("--speed", metavar="max|N", help="simulated seconds a real second; max without it")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="a new folder; without it one under ./runs")
    parser.add_argument("--live", action="store_true", help="the second key to real money, beside desk.mode = 'live'")
    parser.add_argument("--in-process", action="store_true", help="all stages in one process: the same trace")
    parser.add_argument(
        "--continue",
        dest="go_on",
        type=Path,
        metavar="DIR",
        help="go on with the run in this folder, which was killed, failed or stopped before its day had ended: same "
        "specs, same end; with --live where it trades real money, and with no option that says what is run",
    )
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


@dataclass
class _Ran:
    """A run that has ended, one way or another."""

    desk: PreparedDesk
    outcome: Outcome
    first_ns: int
    lock: RunDir | RunLock


class _News:
    """Shows how far the run is, and notes when its first cycle was finished beyond those that it had."""

    def __init__(self, line: ProgressLine, cycles: int = 0) -> None:
        self._line = line
        self._cycles = cycles
        self.first_ns = 0

    def take(self, progress: Progress) -> None:
        if progress.cycles > self._cycles and not self.first_ns:
            self.first_ns = monotonic_ns()
        self._line.show(progress)


def _begin(given: argparse.Namespace, link: NurseryLink | None, line: ProgressLine) -> _Ran:
    folder = RunDir(given.run_dir, Path("runs"))
    try:
        desk = prepare(_configure(given), given.day, folder, parse_speed(given.speed or "max"))
        if link is None and desk.mode == "live":
            raise UsageError(
                "--in-process puts the agents into the process that has the broker's keys: it is for recorded days and "
                "paper; leave it out, or leave out --live"
            )
    except BaseException:
        folder.discard()
        raise
    if desk.start.kind == "synthetic" and not given.json:
        sys.stderr.write(f"SYNTHETIC day {desk.start.day}: generated, not a market\n")
    return _work(desk, link, _News(line), folder)


def _go_on(given: argparse.Namespace, link: NurseryLink, line: ProgressLine) -> _Ran:
    from outcry.continued import take_up

    taken = take_up(given.go_on, live=given.live)
    if taken.in_process:
        link.kill()
    if not given.json:
        where = f"after {iso(taken.last_ns)}" if taken.last_ns >= 0 else "before its first instant"
        sys.stderr.write(f"going on with {taken.desk.run_id} {where}, cycles {taken.cycles}\n")
    return _work(taken.desk, None if taken.in_process else link, _News(line, taken.cycles), taken.lock)


def _work(desk: PreparedDesk, link: NurseryLink | None, news: _News, lock: RunDir | RunLock) -> _Ran:
    try:
        log_to(desk.run_dir)
        if link is None:
            from outcry.in_process import run_in_process

            outcome = run_in_process(desk.run_dir, content_of(desk, local_directory()), desk.specs, news.take)
        else:
            outcome = supervise(desk, link, news.take)
    except BaseException:
        lock.close()
        raise
    return _Ran(desk, outcome, news.first_ns, lock)


def _check_alone(given: argparse.Namespace) -> None:
    """Refuse options that a run which goes on cannot be given any more."""
    odd = [name for name in _OF_A_NEW_RUN if getattr(given, name) is not None and getattr(given, name) is not False]
    if odd:
        option = f"--{odd[0].replace('_', '-')}"
        raise UsageError(
            f"{option} cannot be given with --continue: a run goes on with the day, the configuration and the folder "
            f"that it began with; leave {option} out, or leave --continue out to start a new run"
        )


def run(given: argparse.Namespace) -> int:
    """Run a desk and tell how it ended.

    Raises:
        OutcryError: The run was refused or failed; nothing is left running.
    """
    if given.go_on is not None:
        _check_alone(given)
    link = None if given.in_process else NurseryLink()  # first of all: it imports while the day is checked
    line = ProgressLine(sys.stderr, silent=given.json)
    try:
        ran = _begin(given, link, line) if given.go_on is None or link is None else _go_on(given, link, line)
    except BaseException:
        if link is not None:
            link.kill()
        raise
    finally:
        line.end()
    try:
        if ran.outcome.failure is not None:
            raise StageFailedError(ran.outcome.failure, ran.desk.run_dir / "logs")
        return _close(given, ran)
    finally:
        ran.lock.close()


def _bars(desk: PreparedDesk) -> int:
    if desk.day is None:
        return 0
    return (desk.info or day_info(desk.day, desk.config.desk.symbols)).bars


def _close(given: argparse.Namespace, ran: _Ran) -> int:
    wall_ns_taken = monotonic_ns() - given.started_ns
    from outcry.report import write_report
    from outcry.summary import RunMeta, build_summary, closing_table, conventions, export_events, write_summary

    desk, outcome = ran.desk, ran.outcome
    if not (desk.run_dir / "trace.sqlite").is_file():
        raise KeyboardInterrupt  # before the day began: there is nothing to sum up
    own = cast("GatewaySpec", desk.specs[GATEWAY])
    meta = RunMeta(
        run_id=desk.run_id,
        day=desk.start.day,
        kind=desk.start.kind,
        mode=desk.mode,
        model=desk.start.model,
        start_equity_nano=own.start_cash_nano,
        bars=_bars(desk),
        wall_seconds=wall_ns_taken / NS,
        first_decision_seconds=(ran.first_ns - given.started_ns) / NS if ran.first_ns else None,
        stages=dict(outcome.stages),
        run_dir=desk.run_dir,
        restarts=outcome.restarts,
        day_path=desk.day,
        currency=own.currency,
        conventions=conventions(own.fill_model, own.fees),
        outcome={130: "interrupted", 3: "kill_switch"}.get(outcome.exit_code, ""),
    )
    summary = build_summary(desk.run_dir, meta)
    write_summary(desk.run_dir, summary)
    export_events(desk.run_dir)
    report = write_report(desk.run_dir, meta, summary)
    write_run_file(desk.run_dir, msgspec.structs.replace(read_run_file(desk.run_dir), told=True))
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
