"""The socket under a session: one thread that connects, reads, keeps time and connects again. No orders are known here.

Everything that touches the session or the store happens under ``changed``; the thread lets go of it while it reads.
What arrived is announced through ``changed``, so that nobody polls.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial

from bus.clock import NS, monotonic_ns, wall_ns
from execution.fix.session import Session
from execution.fix.settings import Settings
from execution.fix.store import Store

__all__ = ["Link"]

_FIRST_WAIT_S = 0.05
_LONGEST_UNREACHED_S = 2.0
_LONGEST_REFUSED_S = 5.0
_CONNECT_S = 3.0
_POLL_S = 0.2
_CHUNK = 65_536
_CLOSE_S = 3.0


class Link:
    """Keeps one session connected until it is closed."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Start connecting, in a thread of its own."""
        self.changed = threading.Condition(threading.RLock())
        self.session = Session(settings, store, wall_ns, monotonic_ns)
        self.attempts = 0
        self._settings = settings
        self._store = store
        self._closing = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="fix-session", daemon=True)
        self._thread.start()

    def wait_for(self, seen: Callable[[], bool], deadline_ns: int) -> bool:
        """Wait, holding ``changed``, until something is so; false at the deadline (monotonic nanoseconds)."""
        while not seen():
            left = deadline_ns - monotonic_ns()
            if left <= 0 or self._closing.is_set():
                return seen()
            self.changed.wait(left / NS)
        return True

    def close(self) -> None:
        """Log out, give the counterparty a moment to agree, and end the thread."""
        if self._closing.is_set():
            return
        with self.changed:
            self._quietly(self.session.log_out)
            self._closing.set()
            self.changed.notify_all()
        self._thread.join(_CLOSE_S)
        with self.changed:
            if self._socket is not None:
                self._socket.close()
        self._thread.join()
        self._store.close()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._closing.is_set():
            before = self.session.logons
            longest_s = _LONGEST_REFUSED_S if self._connect_and_read() else _LONGEST_UNREACHED_S
            wait_s = _FIRST_WAIT_S if self.session.logons > before else min(2 * wait_s, longest_s)
            self._closing.wait(wait_s)

    def _connect_and_read(self) -> bool:
        """Keep one connection until it ends; false when there was none."""
        address = (self._settings.host, self._settings.port)
        try:
            connection = socket.create_connection(address, timeout=min(self._settings.timeout_s, _CONNECT_S))
        except OSError as error:
            with self.changed:
                self.attempts += 1
                self.session.why = f"{address[0]}:{address[1]} cannot be reached ({type(error).__name__})"
                self.changed.notify_all()
            return False
        with connection:
            connection.settimeout(_POLL_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.attempts += 1
                self._socket = connection
                self._quietly(lambda: self.session.connected(connection.sendall))
                self.changed.notify_all()
            self._read(connection)
            with self.changed:
                self._socket = None
                self.session.lost("the connection ended")
                self.changed.notify_all()
        return True

    def _read(self, connection: socket.socket) -> None:
        while True:
            try:
                data: bytes | None = connection.recv(_CHUNK)
            except TimeoutError:
                data = None
            except OSError:
                data = b""
            with self.changed:
                if data == b"":
                    self.session.lost("the counterparty closed the connection")
                elif data:
                    self._quietly(partial(self.session.received, data))
                self._quietly(self.session.passed)
                self.changed.notify_all()
                if not self.session.alive:
                    return

    def _quietly(self, step: Callable[[], object]) -> None:
        """Do a step of the session; whatever fails in it ends the connection: a half dead session must not trade.

        Any exception, because the thread would end with it and leave a session that looks logged on.
        """
        try:
            step()
        except Exception as error:
            self.session.lost(f"the session failed ({type(error).__name__}): {self.session.scrubbed(str(error))}")
