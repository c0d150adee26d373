"""What the journal costs above the disk: a durable event alone and in groups, and on the way of an order.

Not a test of the disk: every floor is measured on the same one, in alternation with ours. The floors are one
``fdatasync`` of an appended record, and one bare SQLite transaction (WAL, FULL) of one row with the same bytes.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TypeAlias

from bench._journal_peers import event
from bench._measure import Result, interleaved, pinned, result
from bus.codec import encode
from bus.messages import ExecutionAsk, StageRequest
from bus.transport import Client
from bus.zmq_transport import ZmqTransport
from execution.journal import Journal

__all__ = ["GROUP", "run"]

GROUP = 100
"""Events of one grouped commit."""
_BODY = encode(event(1))
_Floor: TypeAlias = Callable[[Path], AbstractContextManager[Callable[[], None]]]


def run(quick: bool = False) -> list[Result]:
    """Measure.

    Args:
        quick: A tenth of the rounds, for a smoke test: the figures are rough.

    Returns:
        A durable event against either floor, grouped events (µs an event: below 10 is more than 100,000 a second), and
        the three-hop path with the journal (``ours``) and without it (``floor``).
    """
    rounds = 300 if quick else 3_000
    with tempfile.TemporaryDirectory(prefix="oo-") as name:
        folder = Path(name)
        results = [
            _alone(folder / "sqlite", "a durable event, above one bare SQLite commit", _sqlite, rounds),
            _alone(folder / "append", "a durable event, above one fdatasync of an append", _append, rounds),
            _grouped(folder / "grouped", rounds // 10),
        ]
        with pinned():
            results.append(_path(folder / "path", rounds))
        return results


@contextmanager
def _sqlite(folder: Path) -> Generator[Callable[[], None]]:
    with closing(_bare(folder / "bare.sqlite")) as db:

        def commit() -> None:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO events VALUES (NULL, ?)", (_BODY,))
            db.execute("COMMIT")

        yield commit


@contextmanager
def _append(folder: Path) -> Generator[Callable[[], None]]:
    file = os.open(folder / "bare.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append() -> None:
        os.write(file, _BODY)
        os.fdatasync(file)

    try:
        yield append
    finally:
        os.close(file)


def _bare(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE events (n INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    return db


@contextmanager
def _journal(folder: Path, group: int, calls: int) -> Generator[Callable[[], None]]:
    """Give what makes the next events durable in one batch; encoding and sealing them is part of it."""
    numbers = count(1)
    made = iter([[event(next(numbers)) for _ in range(group)] for _ in range(calls)])
    journal = Journal(folder / "journal.sqlite", {})

    def write() -> None:
        events = next(made)
        with journal.batch():
            journal.add_events(events)

    try:
        yield write
    finally:
        journal.close()


def _alone(folder: Path, name: str, floor: _Floor, rounds: int) -> Result:
    folder.mkdir()
    with floor(folder) as bare, _journal(folder, 1, rounds + 400) as ours:
        return result(name, "µs", *interleaved(bare, ours, rounds, block=20))


def _grouped(folder: Path, rounds: int) -> Result:
    folder.mkdir()
    rounds = max(rounds, 20)
    with closing(_bare(folder / "bare.sqlite")) as db, _journal(folder, GROUP, 2 * rounds + 200) as ours:

        def bare() -> None:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO events VALUES (NULL, ?)", [(_BODY,)] * GROUP)
            db.execute("COMMIT")

        floor, mine = interleaved(bare, ours, rounds, block=5)
    name = f"a durable event in groups of {GROUP}, above SQLite's"
    return result(name, "µs", [took / GROUP for took in floor], [took / GROUP for took in mine])


def _path(folder: Path, rounds: int) -> Result:
    folder.mkdir()
    request = StageRequest("run-0123456789ab", "alpha", 7, 1_381_152_600_000_000_000, ExecutionAsk(()))
    with ExitStack() as stack:
        transport = ZmqTransport()
        stack.callback(transport.close)
        clients: list[Client] = []
        journals: dict[str, list[str]] = {"off": [], "on": [str(folder / "journal.sqlite")]}
        for role, database in journals.items():
            ends = [f"ipc://{folder}/{role}{hop}" for hop in range(3)]
            stack.enter_context(_peer("bench._bus_peers", "ours", ends[0], ends[1]))
            stack.enter_context(_peer("bench._bus_peers", "ours", ends[1], ends[2]))
            stack.enter_context(_peer("bench._journal_peers", ends[2], *database))
            client = transport.client(ends[0])
            client.call(request, timeout_s=30.0)
            clients.append(client)
        off, on = clients
        floor, ours = interleaved(lambda: off.call(request), lambda: on.call(request), rounds)
    return result("three hops with the journal, above the same without", "µs", floor, ours)


@contextmanager
def _peer(module: str, *words: str) -> Generator[None]:
    with subprocess.Popen([sys.executable, "-m", module, *words], stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.kill()
