"""Drives a day in lock step: the clock moves when every stage that must act on this instant has answered.

Not a place of decisions, prices or orders: it asks the feed for the next instant, lets execution and the gate settle,
runs the graph on decision instants and writes what was said into the event log. Killed at any point and started again,
it repeats the instant that was not committed; every stage answers a repeated question as it did before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from agents.graph import Cycle, CycleGraph, transcript
from agents.trace import RecordKind, Trace, read_trace
from bus.clock import NS, monotonic_ns, sleep_s
from bus.codec import encode
from bus.errors import CallTimeoutError, RemoteError, SchemaError
from bus.heartbeat import Reporter
from bus.messages import (
    Account,
    Advance,
    BookSettled,
    DayInfo,
    Decision,
    DescribeDay,
    Message,
    Progress,
    RunDone,
    SettleBook,
    Settled,
    SettleOrders,
    StageResult,
    Tick,
    Verdicts,
)
from bus.transport import Client, Directory, Transport

__all__ = ["Orchestrator", "OrchestratorSpec", "build_orchestrator"]

_T = TypeVar("_T")
_MODEL_STAGES = frozenset({"analyst", "trader"})
_PROGRESS_EVERY_NS = NS // 10
_NOTHING_NEW_S = 0.1
_TROUBLE_S = 0.5
_PASSING = frozenset({"call_timeout", "source", "source_busy"})
"""Refusals of a live market that pass: its vendor is slow or down. A desk that holds waits for it."""
_LOG = logging.getLogger("outcry.orchestrator")


class OrchestratorSpec(msgspec.Struct, frozen=True):
    """What the orchestrator is told.

    Attributes:
        run_id: The derived id of the run.
        client: The client whose account is traded.
        cycle_every_s: Simulated seconds between decisions; a bar longer than that decides at each bar.
        speed: Simulated seconds a real second; 0 is as fast as the stages answer.
        run_dir: Where the event log and the checkpoints are.
        call_timeout_s: How long a stage may be gone (killed and restarted) before the run stops.
        model_timeout_s: What a stage with a model may take on top of that.
        decide: Whether agents decide; a desk for tools only moves its clock.
        hold: Whether the desk stays when the day has ended, and waits when nothing is new.
        start_ns: Up to this instant the day is run through without pacing.
    """

    run_id: str
    client: str
    cycle_every_s: int
    speed: float
    run_dir: str
    call_timeout_s: float = 30.0
    model_timeout_s: float = 30.0
    decide: bool = True
    hold: bool = False
    start_ns: int = 0


class _Tally:
    """What the progress line counts; after a restart it counts the log first."""

    def __init__(self) -> None:
        self.intents = 0
        self.fills = 0
        self.denied = 0

    def add(self, kind: str, message: Message) -> None:
        match message:
            case Settled(events=events) if kind == "settled":
                self.fills += sum(1 for event in events if event.fill is not None)
            case StageResult(answer=Decision(intents=intents)):
                self.intents += len(intents)
            case StageResult(answer=Verdicts(verdicts=verdicts)):
                self.denied += sum(1 for verdict in verdicts if not verdict.approved)
            case _:
                pass


class Orchestrator:
    """One run of one day."""

    def __init__(self, spec: OrchestratorSpec, transport: Transport, directory: Directory) -> None:
        """Open the log and the checkpoints and connect to every stage."""
        self._spec = spec
        self._transport = transport
        self._directory = directory
        self._clients: dict[str, Client] = {}
        run_dir = Path(spec.run_dir)
        self._trace = Trace(run_dir / "trace.sqlite")
        self._graph = CycleGraph(run_dir / "graph.sqlite", self._call)
        endpoint = directory.get("supervisor", "")
        self._reporter = Reporter(endpoint) if endpoint.startswith(("ipc://", "tcp://")) else None
        self._on_progress: Callable[[Progress], None] | None = None
        self._tally = _Tally()
        if self._trace.seq:
            for record in read_trace(run_dir / "trace.sqlite"):
                self._tally.add(record.kind, record.message)
        self._next_progress_ns = 0

    def on_progress(self, listener: Callable[[Progress], None]) -> None:
        """Call ``listener`` with the progress: for a run in one process, which has no supervisor to tell."""
        self._on_progress = listener

    def run(self, should_stop: Callable[[], bool]) -> RunDone:
        """Run the day to its end.

        Args:
            should_stop: Asked between instants.

        Returns:
            How it ended; ``error`` is ``interrupted`` when it was told to stop.

        Raises:
            OutcryError: The feed, the gate or execution failed for good, or a log cannot be written.
        """
        info = self._describe(should_stop)
        cycle, last_cycle_ns = self._trace.cycles()
        after_ns = self._trace.last_ns
        every_ns = self._spec.cycle_every_s * NS
        while not should_stop():
            started_ns = monotonic_ns()
            try:
                tick, settled, book = self._settle(after_ns)
            except (CallTimeoutError, RemoteError) as error:
                if not self._spec.hold:
                    raise
                self._wait_out(error, "an instant could not be settled")
                continue
            now_ns = tick.clock.now_ns
            if now_ns <= after_ns:
                if not self._spec.hold:
                    return RunDone(cycle, self._trace.chain)
                sleep_s(_NOTHING_NEW_S)
                continue
            records: list[tuple[RecordKind, str, Message]] = [
                ("clock", "feed", tick.clock),
                ("settled", "execution", settled),
                ("book", "risk", book),
            ]
            due = self._spec.decide and not tick.clock.done and now_ns // every_ns != last_cycle_ns // every_ns
            if due:
                cycle += 1
                last_cycle_ns = now_ns
                records.extend(self._cycle(cycle, now_ns, info, settled.account))
            self._trace.commit(now_ns, records)
            if due:
                self._graph.forget(self._spec.run_id, cycle)
            for kind, _, message in records:
                self._tally.add(kind, message)
            self._report(tick, cycle, settled.account.equity_nano, force=due or tick.clock.done)
            if tick.clock.done and not self._spec.hold:
                return RunDone(cycle, self._trace.chain)
            if now_ns >= self._spec.start_ns:
                self._pace(now_ns - after_ns if after_ns >= 0 else 0, started_ns, should_stop)
            after_ns = now_ns
        return RunDone(cycle, self._trace.chain, "interrupted")

    def close(self) -> None:
        """Close files and sockets."""
        self._trace.close()
        self._graph.close()
        for client in self._clients.values():
            client.close()

    # --- one instant ----------------------------------------------------------------------------------------------

    def _describe(self, should_stop: Callable[[], bool]) -> DayInfo:
        """Learn what is traded. Agents need it at once; a desk for tools waits, and its tools say what is wrong."""
        while True:
            try:
                return self._expect(self._call("feed", DescribeDay()), DayInfo)
            except (CallTimeoutError, RemoteError) as error:
                if not self._spec.hold or self._spec.decide or should_stop():
                    raise
                self._wait_out(error, "the market could not be described")

    @staticmethod
    def _wait_out(error: CallTimeoutError | RemoteError, what: str) -> None:
        """Wait a little where the trouble passes.

        Raises:
            RemoteError: It does not.
        """
        if isinstance(error, RemoteError) and error.code not in _PASSING:
            raise error
        _LOG.warning("%s, and is tried again: %s", what, error)
        sleep_s(_TROUBLE_S if isinstance(error, RemoteError) else 0.0)

    def _settle(self, after_ns: int) -> tuple[Tick, Settled, BookSettled]:
        """Move the clock and let execution and the gate settle; asked again, they answer the same."""
        tick = self._expect(self._call("feed", Advance(after_ns)), Tick)
        now_ns = tick.clock.now_ns
        settled = self._expect(self._call("execution", SettleOrders(now_ns)), Settled)
        book = self._expect(self._call("risk", SettleBook(now_ns)), BookSettled)
        return tick, settled, book

    def _cycle(self, cycle: int, now_ns: int, info: DayInfo, account: Account) -> list[tuple[RecordKind, str, Message]]:
        start = Cycle(
            run_id=self._spec.run_id,
            client=self._spec.client,
            cycle=cycle,
            now_ns=now_ns,
            symbols=list(info.traded),
            account=encode(account),
        )
        return [*transcript(self._graph.run(start))]

    def _call(self, service: str, request: Message) -> Message:
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self._transport.client(self._directory[service])
        extra_s = self._spec.model_timeout_s if service in _MODEL_STAGES else 0.0
        return client.call(request, timeout_s=self._spec.call_timeout_s + extra_s)

    @staticmethod
    def _expect(message: Message, kind: type[_T]) -> _T:
        if isinstance(message, kind):
            return message
        raise SchemaError(
            f"a service answered {type(message).__name__}; allowed is {kind.__name__}: "
            "run the same release in every process"
        )

    # --- telling the person who watches ---------------------------------------------------------------------------

    def _report(self, tick: Tick, cycles: int, equity_nano: int, *, force: bool) -> None:
        now = monotonic_ns()
        if not force and now < self._next_progress_ns:
            return
        self._next_progress_ns = now + _PROGRESS_EVERY_NS
        progress = Progress(tick.clock, cycles, self._tally.intents, self._tally.fills, self._tally.denied, equity_nano)
        if self._reporter is not None:
            self._reporter.send(progress)
        if self._on_progress is not None:
            self._on_progress(progress)

    def _pace(self, simulated_ns: int, started_ns: int, should_stop: Callable[[], bool]) -> None:
        if self._spec.speed <= 0:
            return
        until_ns = started_ns + int(simulated_ns / self._spec.speed)
        while (left_ns := until_ns - monotonic_ns()) > 0 and not should_stop():
            sleep_s(min(left_ns / NS, 0.1))


def build_orchestrator(spec: OrchestratorSpec, transport: Transport, directory: Directory) -> Orchestrator:
    """Return the orchestrator of a run, connected and ready to ``run``."""
    return Orchestrator(spec, transport, directory)
