"""How many cycles of the whole graph a desk does in one process, beside the same graph whose nodes answer at once.

Not a measure of models: the desk's are scripted. What is counted on top of the graph is the stages' own work, their
journals and the event log, and every instant between two decisions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

from agents.graph import Cycle, CycleGraph, held_answer
from agents.orchestrator import OrchestratorSpec, build_orchestrator
from bus.clock import NS, monotonic_ns
from bus.codec import encode
from bus.endpoints import local_directory
from bus.fixed import to_nano
from bus.local_transport import LocalTransport
from bus.messages import Account, Message, StageRequest, StageResult
from feed.format import load_day
from feed.store import DayStore
from outcry.config import load_config
from outcry.plan import make_specs, make_terms
from outcry.stages import ORCHESTRATOR, SERVICES, build

__all__ = ["graph_day"]

_RUN, _CLIENT = "run-bench", "bench"
_CASH = to_nano(100_000)
_START_NS = 1_381_152_600 * NS


def graph_day(day: Path, folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return cycles a second of the graph with empty nodes, and of the whole desk.

    Args:
        day: The sealed day.
        folder: Where the runs' folders are made.
        rounds: How often each is measured.
    """
    config = load_config(None, {})
    terms = make_terms(config)
    info = DayStore(load_day(day)).info()
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as own:
            specs = make_specs(config, terms, info, day, Path(own), _RUN, 0.0)
            transport, directory = LocalTransport(), local_directory()
            parts = [build(stage, specs[stage], transport, directory) for stage in SERVICES]
            for stage, part in zip(SERVICES, parts, strict=True):
                transport.server(directory[stage], part)
            orchestrator = build_orchestrator(cast("OrchestratorSpec", specs[ORCHESTRATOR]), transport, directory)
            started = monotonic_ns()
            done = orchestrator.run(lambda: False)
            ours.append(done.cycles * NS / (monotonic_ns() - started))
            for part in (orchestrator, *reversed(parts)):
                closing = getattr(part, "close", None)
                if callable(closing):
                    closing()
            transport.close()
        with tempfile.TemporaryDirectory(dir=folder) as own:
            graph = CycleGraph(Path(own) / "graph.sqlite", _empty_node)
            started = monotonic_ns()
            _empty_cycles(graph, done.cycles, info.traded)
            floor.append(done.cycles * NS / (monotonic_ns() - started))
            graph.close()
    return floor, ours


def _empty_node(stage: str, request: Message) -> Message:
    asked = cast("StageRequest", request)
    return StageResult(stage, asked.cycle, asked.now_ns, held_answer(asked.ask))


def _empty_cycles(graph: CycleGraph, cycles: int, symbols: tuple[str, ...]) -> None:
    account = encode(Account(_CLIENT, "replay", _START_NS, _CASH, _CASH, 0))
    for number in range(1, cycles + 1):
        graph.run(
            Cycle(
                run_id=_RUN, client=_CLIENT, cycle=number, now_ns=_START_NS, symbols=list(symbols), account=account
            )  # fmt: skip
        )
        graph.forget(_RUN, number)
