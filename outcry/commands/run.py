"""``outcry run``: a desk on a recorded day, from the first process to the closing table.

Not the supervisor: this puts together what it needs and says how it ended.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bus.clock import NS, iso, monotonic_ns, wall_ns
from bus.endpoints import ipc_directory, local_directory, tcp_directory
from bus.errors import OutcryError, UsageError
from bus.messages import DayInfo
from outcry.failure import StageFailedError
from outcry.link import NurseryLink
from outcry.logs import OneLine
from outcry.progress import ProgressLine
from outcry.rundir import RunDir, RunFile, make_socket_folder, process_start, write_atomically

if TYPE_CHECKING:
    import msgspec

    from outcry.config import Config
    from outcry.plan import Terms
    from outcry.supervisor import Outcome

__all__ = ["add", "run"]

_SAMPLE_SEED = 7


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--day", type=Path, metavar="DAY", help="a sealed day's folder or zip; without it the sample")
    parser.add_argument("--config", type=Path, metavar="FILE", help="an outcry.toml")
    parser.add_argument("--model", metavar="MODEL", help="scripted (no key needed) or openai:NAME")
    parser.add_argument("--broker", choices=("paper",), default="paper", help="only the paper broker, for now")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the desk's choices, from 0")
    parser.add_argument("--speed", default="max", metavar="max|N", help="simulated seconds a real second")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="a new folder; without it one under ./runs")
    parser.add_argument("--in-process", action="store_true", help="all stages in one process: the same trace")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, logs on stderr")


@dataclass
class _Desk:
    """What is known once everything that a person gave has been checked."""

    config: Config
    info: DayInfo
    day: Path
    run_dir: Path
    run_id: str
    terms: Terms
    specs: dict[str, msgspec.Struct]


def _speed(text: str) -> float:
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise UsageError(f"--speed {text} cannot be used; allowed is max, or simulated seconds a real second above 0")
    return speed


def _configure(given: argparse.Namespace) -> Config:
    from outcry.config import load_config

    overrides: dict[str, dict[str, object]] = {}
    if given.seed is not None:
        overrides["desk"] = {"seed": given.seed}
    if given.model is not None:
        overrides["model"] = {"name": given.model}
    return load_config(given.config, overrides)


def _prepare(given: argparse.Namespace, folder: RunDir) -> _Desk:
    from outcry.plan import make_specs, make_terms, run_id_of, write_specs

    speed = _speed(given.speed)
    config = _configure(given)
    terms = make_terms(config)

    from feed.format import load_day
    from feed.store import DayStore

    if given.day is None:
        from feed.sample import write_sample

        day = write_sample(folder.path / "day", seed=_SAMPLE_SEED)
    else:
        day = given.day.absolute()
    info = DayStore(load_day(day), config.desk.symbols).info()
    run_id = run_id_of(config, terms, info.day_id)
    before = folder.path
    run_dir = folder.settle(run_id)
    if day.is_relative_to(before):
        day = run_dir / day.relative_to(before)
    specs = make_specs(config, terms, info, day, run_dir, run_id, speed)
    write_specs(run_dir, specs)
    write_atomically(run_dir / "config.json", config.model_dump_json(indent=2).encode() + b"\n")
    return _Desk(config, info, day, run_dir, run_id, terms, specs)


def _content(desk: _Desk, endpoints: dict[str, str]) -> RunFile:
    return RunFile(
        run_id=desk.run_id,
        day=desk.info.day_id,
        kind=desk.info.kind,
        mode="replay",
        model=desk.config.model.name,
        state="starting",
        supervisor=os.getpid(),
        supervisor_start=process_start(os.getpid()),
        endpoints=endpoints,
        started=iso(wall_ns()),
    )


def _log_to(run_dir: Path) -> None:
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    file = logging.FileHandler(run_dir / "logs" / "supervisor.log")
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(logging.WARNING)
    root.handlers[:] = [file, shown]
    for handler in root.handlers:
        handler.setFormatter(OneLine("supervisor"))


def _supervise(desk: _Desk, link: NurseryLink, line: ProgressLine) -> Outcome:
    from outcry.supervisor import Patience, Supervisor

    bus, patience = desk.config.bus, desk.config.supervisor
    sockets = make_socket_folder() if bus.transport == "ipc" else None
    try:
        endpoints = ipc_directory(sockets) if sockets else tcp_directory(bus.host, bus.base_port)
        supervisor = Supervisor(
            desk.run_dir,
            _content(desk, endpoints),
            sockets,
            link,
            secrets={name: value for name, value in os.environ.items() if name.startswith("OPENAI_")},
            patience=Patience(
                heartbeat_s=patience.heartbeat_s,
                busy_s=max(patience.busy_s, 3 * desk.config.model.timeout_s),
                start_s=patience.start_s,
                stop_s=patience.stop_s,
                restarts=patience.restarts,
            ),
            on_progress=line.show,
        )
    except OutcryError:
        if sockets is not None:
            shutil.rmtree(sockets, ignore_errors=True)
        raise
    return supervisor.run()


def _start(given: argparse.Namespace, link: NurseryLink | None, line: ProgressLine) -> tuple[_Desk, Outcome]:
    folder = RunDir(given.run_dir, Path("runs"))
    try:
        desk = _prepare(given, folder)
    except BaseException:
        folder.discard()
        raise
    if desk.info.kind == "synthetic" and not given.json:
        sys.stderr.write(f"SYNTHETIC day {desk.info.day_id}: generated, not a market\n")
    _log_to(desk.run_dir)
    if link is None:
        from outcry.in_process import run_in_process

        return desk, run_in_process(desk.run_dir, _content(desk, local_directory()), desk.specs, line.show)
    return desk, _supervise(desk, link, line)


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


def _close(given: argparse.Namespace, desk: _Desk, outcome: Outcome) -> int:
    wall_ns_taken = monotonic_ns() - given.started_ns
    from outcry.report import write_report
    from outcry.summary import RunMeta, build_summary, closing_table, conventions, export_events, write_summary

    if not (desk.run_dir / "trace.sqlite").is_file():
        raise KeyboardInterrupt  # before the day began: there is nothing to sum up
    meta = RunMeta(
        run_id=desk.run_id,
        day=desk.info.day_id,
        kind=desk.info.kind,
        mode="replay",
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
