"""Counts every place where a crash could come between two steps, in the process that crashes there. Child side only.

A point is before and after whatever outlives the process: each SQLite commit, each write outside of a transaction, each
fsync and rename, each call of the broker, and each piece that such a call puts on a socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bus.messages import Instrument, OrderIntent, Tick
from execution.broker import Broker, BrokerReport, KnownOrder, Statement
from execution.engine import BrokerFactory
from execution.spec import GatewaySpec

__all__ = ["Points", "watched"]

_T = TypeVar("_T")
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class Points:
    """The points of this process; it ends itself with SIGKILL at one of them."""

    def __init__(self, kill_at: int, note: Path) -> None:
        """Count.

        Args:
            kill_at: At which point, from 1; 0 for none.
            note: Where the point is named before the process ends itself.
        """
        self._kill_at = kill_at
        self._note = note
        self._lock = threading.Lock()
        self.count = 0
        self.calling = 0

    def point(self, name: str) -> None:
        """Pass one point."""
        with self._lock:
            self.count += 1
            if self.count == self._kill_at:
                self._note.write_text(name, encoding="utf-8")
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, act: Callable[[], _T]) -> _T:
        """Pass a point, act, pass another."""
        self.point(f"before {name}")
        done = act()
        self.point(f"after {name}")
        return done

    def install(self) -> None:
        """Watch SQLite, files and sockets of this process."""
        points = self

        class Watched(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed names the arguments, sqlite3 takes them by place
                alone = not self.in_transaction and sql.lstrip().upper().startswith(_WRITES)
                if sql == "COMMIT" or alone:
                    return points.around(
                        "commit" if sql == "COMMIT" else "write", lambda: super(Watched, self).execute(sql, *values)
                    )
                return super().execute(sql, *values)

        patched: Any = partial(sqlite3.connect, factory=Watched)
        sqlite3.connect = patched
        for name in ("fsync", "fdatasync", "replace", "rename"):
            true: Callable[..., Any] = getattr(os, name)
            setattr(os, name, partial(self._file, name, true))
        points_of_socket: Any = socket.socket
        for name in ("send", "sendall"):
            points_of_socket_true = getattr(socket.socket, name)
            setattr(points_of_socket, name, _sender(self, name, points_of_socket_true))

    def _file(self, name: str, true: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return self.around(name, lambda: true(*args, **named))


def _sender(points: Points, name: str, true: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: socket.socket, *args: Any) -> Any:
        done = true(self, *args)
        # The answer cannot have been read yet: what was sent is on its way and nobody here knows what became of it.
        if points.calling:
            points.point(f"after {name}")
        return done

    return send


def watched(make: BrokerFactory, points: Points) -> BrokerFactory:
    """Return a broker factory whose brokers pass points around everything that they are asked to do."""
    return lambda spec, instruments: _WatchedBroker(make, spec, instruments, points)


class _WatchedBroker:
    """A broker with points before and after each call; hearing nothing is no point."""

    def __init__(
        self, make: BrokerFactory, spec: GatewaySpec, instruments: dict[str, Instrument], points: Points
    ) -> None:
        self._points = points
        self._broker: Broker = points.around("open", lambda: make(spec, instruments))

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        self._points.around("restore", lambda: self._broker.restore(orders, day_done=day_done))

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        return self._call("submit", lambda: self._broker.submit(intent, now_ns))

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        return self._call("replace", lambda: self._broker.replace(intent, now_ns))

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        return self._call("cancel", lambda: self._broker.cancel(client_order_id, now_ns))

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        return self._points.around("query", lambda: self._broker.query(client_order_id))

    def work(self, tick: Tick) -> list[BrokerReport]:
        return self._heard("work", self._broker.work(tick))

    def drain(self) -> list[BrokerReport]:
        return self._heard("drain", self._broker.drain())

    def statement(self) -> Statement | None:
        return self._points.around("statement", self._broker.statement)

    def close(self) -> None:
        self._broker.close()

    def _heard(self, name: str, told: list[BrokerReport]) -> list[BrokerReport]:
        if told:
            self._points.point(f"after {name}")
        return told

    def _call(self, name: str, act: Callable[[], _T]) -> _T:
        self._points.calling += 1
        try:
            return self._points.around(name, act)
        finally:
            self._points.calling -= 1
