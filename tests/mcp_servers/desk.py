"""A real desk on the sample day for tests of the servers: feed, gate and execution on ipc sockets, a thread each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import msgspec

from bus.endpoints import ipc_directory
from bus.messages import Advance, BookSettled, Message, SettleBook, Settled, SettleOrders, Tick
from bus.transport import Client
from bus.zmq_transport import ZmqTransport
from feed.format import load_day
from feed.sample import write_sample
from feed.store import DayStore
from mcp_servers._desk import Desk
from mcp_servers.options import ServerOptions
from outcry.config import load_config
from outcry.plan import make_specs, make_terms
from outcry.stages import build

_WAIT_S = 30.0
_T = TypeVar("_T", bound=Message)


@lru_cache(maxsize=1)
def sample_day() -> Path:
    """The sample day, written once a process."""
    return write_sample(Path(tempfile.mkdtemp(prefix="oo-sample-")) / "day", seed=7)


class _Running:
    """One service in a thread of its own, built and closed there."""

    def __init__(self, stage: str, spec: msgspec.Struct, directory: Mapping[str, str]) -> None:
        self._stop = Event()
        self._ready = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, args=(stage, spec, directory), name=stage)
        self._thread.start()
        assert self._ready.wait(_WAIT_S)
        if self._error is not None:
            raise self._error

    def _run(self, stage: str, spec: msgspec.Struct, directory: Mapping[str, str]) -> None:
        transport = ZmqTransport()
        part: Any = None
        try:
            part = build(stage, spec, transport, directory)
            server = transport.server(directory[stage], part)
        except BaseException as error:
            self._error = error
            self._ready.set()
            transport.close()
            return
        self._ready.set()
        try:
            server.serve(self._stop.is_set, 20)
        finally:
            part.close()
            transport.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_WAIT_S)


class RunningDesk:
    """A desk whose clock the test moves, in lock step as the orchestrator does."""

    def __init__(self, directory: Mapping[str, str], run_dir: Path, options: ServerOptions) -> None:
        self.directory = dict(directory)
        self.run_dir = run_dir
        self.day = sample_day()
        self.desk = Desk(directory, options, "replay", run_dir / "feed.clock")
        self.transport = ZmqTransport()
        self.clock_ns = -1
        self._clients: dict[str, Client] = {}

    def ask(self, service: str, request: Message, kind: type[_T]) -> _T:
        """Ask a service as the orchestrator would."""
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self.transport.client(self.directory[service])
        answer = client.call(request, _WAIT_S)
        assert isinstance(answer, kind), answer
        return answer

    def advance(self, n: int = 1) -> int:
        """Move the clock on by instants and return it."""
        for _ in range(n):
            self.clock_ns = self.ask("feed", Advance(self.clock_ns), Tick).clock.now_ns
            self.ask("execution", SettleOrders(self.clock_ns), Settled)
            self.ask("risk", SettleBook(self.clock_ns), BookSettled)
        return self.clock_ns

    def store(self) -> DayStore:
        """The day itself, for comparing answers with."""
        return DayStore(load_day(self.day))


@contextmanager
def replay_desk(
    tmp_path: Path, minute: int = 60, options: ServerOptions | None = None, config: Path | None = None
) -> Generator[RunningDesk]:
    """Run a desk on the sample day, its clock at an instant.

    Args:
        tmp_path: Where the run's files go.
        minute: How many instants the clock is moved.
        options: How the servers are run.
        config: An ``outcry.toml``.
    """
    day = sample_day()
    sockets = Path(tempfile.mkdtemp(prefix="oo-"))
    directory = ipc_directory(sockets)
    settings = load_config(config)
    run_dir = tmp_path / "run"
    run_dir.mkdir(parents=True, exist_ok=True)
    info = DayStore(load_day(day), settings.desk.symbols).info()
    specs = make_specs(settings, make_terms(settings), info, day, run_dir, "run-test", 0.0)
    services: list[_Running] = []
    running: RunningDesk | None = None
    try:
        services.extend(_Running(stage, specs[stage], directory) for stage in ("feed", "execution", "risk"))
        running = RunningDesk(directory, run_dir, options or ServerOptions())
        running.advance(minute)
        yield running
    finally:
        if running is not None:
            running.desk.close()
            running.transport.close()
        for service in reversed(services):
            service.stop()
        shutil.rmtree(sockets, ignore_errors=True)
