"""Puts a desk together from what a person gave and has it supervised: for ``outcry run`` and for the servers' desk.

Not the supervisor, and not a place of words for people: the commands say how it ended.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bus.clock import NS, iso, wall_ns
from bus.endpoints import ipc_directory, tcp_directory
from bus.errors import OutcryError, UsageError
from bus.messages import DayInfo, Progress
from outcry.link import NurseryLink
from outcry.logs import OneLine
from outcry.rundir import RunDir, RunFile, make_socket_folder, process_start, specs_digests, write_atomically
from outcry.stages import kind_of

if TYPE_CHECKING:
    from outcry.config import Config
    from outcry.outcome import Outcome

__all__ = [
    "SAMPLE_SEED",
    "PreparedDesk",
    "content_of",
    "day_info",
    "log_to",
    "parse_speed",
    "prepare",
    "supervise",
    "two_keys",
]

SAMPLE_SEED = 7
"""Which of the invented days is the built-in one."""
_KEYS = ("OPENAI_", "ALPACA_", "APCA_")
_HISTORY_NS = 3600 * NS


@dataclass
class PreparedDesk:
    """What is known once everything that a person gave has been checked.

    Attributes:
        config: The configuration.
        day: The day's folder; None for a live market.
        run_dir: The run's folder.
        specs: Stage → its spec, in the order in which stages are started.
        start: What ``run.json`` says at the start, but for the endpoints.
        info: What is known of the day; None where nobody has looked yet.
    """

    config: Config
    day: Path | None
    run_dir: Path
    specs: dict[str, msgspec.Struct]
    start: RunFile
    info: DayInfo | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.start.run_id

    @property
    def mode(self) -> str:
        """``replay`` on a day; on a live market ``paper``, or ``live`` with both keys to real money."""
        return self.start.mode


def parse_speed(text: str) -> float:
    """Return simulated seconds a real second, 0 for as fast as it goes.

    Raises:
        UsageError: It is neither ``max`` nor a number above 0.
    """
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise UsageError(f"--speed {text} cannot be used; allowed is max, or simulated seconds a real second above 0")
    return speed


def two_keys(mode: str, *, live: bool) -> dict[str, object]:
    """Return what the command line sets in ``[desk]``: real money needs two keys, anything unclear is paper.

    Args:
        mode: ``desk.mode`` of the configuration.
        live: Whether ``--live`` was given.
    """
    if live and mode != "live":
        sys.stderr.write("outcry: --live without desk.mode = 'live' in the configuration: this is paper\n")
    if mode == "live" and not live:
        sys.stderr.write("outcry: desk.mode = 'live' without --live on the command line: this is paper\n")
        return {"mode": "paper"}
    return {}


def _start_ns(info: DayInfo, start: str) -> int:
    """Return the instant up to which a day for tools is run through at once: some history first, unless told."""
    if not start:
        return info.first_ns + _HISTORY_NS
    from datetime import datetime
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(info.timezone)
    first = datetime.fromtimestamp(info.first_ns // NS, zone)
    try:
        hour, minute = (int(part) for part in start.split(":"))
        moment = first.replace(hour=hour, minute=minute, second=0)
    except ValueError as error:
        raise UsageError(f"--start {start} is no time; allowed is HH:MM in {info.timezone}") from error
    return int(moment.timestamp()) * NS


def day_info(day: Path, symbols: tuple[str, ...]) -> DayInfo:
    """Return what is known of a day.

    Raises:
        DayError: The day is missing, broken or unsealed.
        ConfigError: A symbol the day does not have.
    """
    from feed.format import load_day
    from feed.store import DayStore

    return DayStore(load_day(day), symbols).info()


def prepare(
    config: Config, day: Path | None, folder: RunDir, speed: float, *, tools: bool = False, start: str = ""
) -> PreparedDesk:
    """Check everything, give the run its folder and write its specs.

    Args:
        config: The configuration.
        day: A sealed day; None is the configuration's source, or the built-in sample.
        folder: The run's folder in the making.
        speed: Simulated seconds a real second; 0 is as fast as it goes.
        tools: A desk for tools: no agents, and it stays when the day has ended.
        start: For such a desk, the time (``HH:MM``) it begins at; empty is an hour after the first instant.

    Raises:
        OutcryError: Something that was given cannot be used.
    """
    from outcry.clients import check_brokers
    from outcry.confine import require_confinement
    from outcry.plan import live_info, live_run_id, make_specs, make_terms, run_id_of, write_specs

    terms = make_terms(config)
    live = config.feed.source != "day"
    check_brokers(config, live_market=live and day is None)
    require_confinement(config.desk.mode)
    if live and day is not None:
        raise UsageError(f"--day and feed.source = {config.feed.source!r} exclude each other; leave one out")
    if live:
        info = live_info(config)
        run_id = live_run_id(config, terms, wall_ns())
        run_dir = folder.settle(run_id)
        start_ns = 0
    else:
        if day is None:
            from feed.sample import write_sample

            day = write_sample(folder.path / "day", seed=SAMPLE_SEED)
        else:
            day = day.absolute()
        info = day_info(day, config.desk.symbols)
        start_ns = _start_ns(info, start) if tools else 0
        run_id = run_id_of(config, terms, info.day_id)
        before = folder.path
        run_dir = folder.settle(run_id)
        if day.is_relative_to(before):
            day = run_dir / day.relative_to(before)
    specs = make_specs(config, terms, info, day, run_dir, run_id, speed, tools=tools, start_ns=start_ns)
    write_specs(run_dir, specs)
    write_atomically(run_dir / "config.json", config.model_dump_json(indent=2).encode() + b"\n")
    begin = RunFile(
        run_id=run_id,
        day=info.day_id,
        kind=info.kind,
        mode=config.desk.mode if live else "replay",
        model=config.model.name,
        state="starting",
        supervisor=os.getpid(),
        supervisor_start=process_start(os.getpid()),
        started=iso(wall_ns()),
        specs=specs_digests(run_dir, specs),
    )
    return PreparedDesk(config, day, run_dir, specs, begin, info)


def content_of(desk: PreparedDesk, endpoints: dict[str, str]) -> RunFile:
    """Return what ``run.json`` says at the start."""
    return msgspec.structs.replace(desk.start, endpoints=endpoints)


def log_to(run_dir: Path) -> None:
    """Log to the run's folder, and warnings to standard error."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    file = logging.FileHandler(run_dir / "logs" / "supervisor.log")
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(logging.WARNING)
    root.handlers[:] = [file, shown]
    for handler in root.handlers:
        handler.setFormatter(OneLine("supervisor"))


def supervise(desk: PreparedDesk, link: NurseryLink, on_progress: Callable[[Progress], None] | None = None) -> Outcome:
    """Run the desk's processes until the day ends, something fails for good or a person interrupts.

    Raises:
        OutcryError: The endpoints cannot be had.
    """
    from outcry.confine import (
        close_to_others,
        own_socket_folders,
        plan_confinement,
        tidy_databases,
        write_confinement,
    )
    from outcry.outcome import Patience
    from outcry.supervisor import Supervisor

    bus, patience = desk.config.bus, desk.config.supervisor
    secrets = {name: value for name, value in os.environ.items() if name.startswith(_KEYS)}

    def tell(sockets: Path | None) -> None:
        link.begin(desk.run_dir, sockets, secrets)

    sockets = make_socket_folder(tell) if bus.transport == "ipc" else None
    try:
        more = tuple(name for name in desk.specs if kind_of(name) != name)
        if sockets is not None:
            endpoints = own_socket_folders(ipc_directory(sockets, more), sockets)
        else:
            endpoints = tcp_directory(bus.host, bus.base_port, more)
        plan = plan_confinement(desk.specs, endpoints, desk.run_dir, sockets, required=desk.mode == "live")
        write_confinement(desk.run_dir, plan)
        supervisor = Supervisor(
            desk.run_dir,
            content_of(desk, endpoints),
            sockets,
            link,
            secrets=secrets,
            stages=tuple(desk.specs),
            patience=Patience(
                heartbeat_s=patience.heartbeat_s,
                busy_s=max(patience.busy_s, 3 * desk.config.model.timeout_s),
                start_s=patience.start_s,
                stop_s=patience.stop_s,
                restarts=patience.restarts,
            ),
            on_progress=on_progress,
        )
    except OutcryError:
        if sockets is not None:
            shutil.rmtree(sockets, ignore_errors=True)
        raise
    close_to_others()
    try:
        return supervisor.run()
    finally:
        tidy_databases(plan)
