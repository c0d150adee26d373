"""The loopback HTTP server that the exchange answers through, with faults on the wire.

Not an exchange: the books are in ``ccxt_binance``.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast

from tests.brokers.ccxt_binance import Binance, Refusal

__all__ = ["DEADLINE_S", "Fault", "Wire"]

DEADLINE_S = 20.0


@dataclass
class Fault:
    """What happens to the next request that it fits.

    Attributes:
        method: Of which kind; ``path`` is how its path ends.
        taken: Whether the exchange takes the request before things go wrong.
        does: ``hang`` leaves it without an answer, ``cut`` breaks the connection, ``say`` answers something else.
        happened: Told when it happens.
    """

    method: str
    path: str
    taken: bool
    does: Literal["hang", "cut", "say"]
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    happened: Callable[[], None] = lambda: None


class Wire:
    """Serves one exchange on a port of its own."""

    def __init__(self, exchange: Binance) -> None:
        self.exchange = exchange
        self.lock = threading.RLock()
        self.faults: list[Fault] = []
        self.moved = threading.Event()
        self._ended = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.wire = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="binance", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def break_connections(self) -> None:
        """Cut every connection that is open."""
        with self.lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self.break_connections()
        self._server.server_close()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    # --- for the handler ----------------------------------------------------------------------------------------------

    def opened(self, connection: socket.socket) -> None:
        with self.lock:
            self._sockets.add(connection)

    def gone(self, connection: socket.socket) -> None:
        with self.lock:
            self._sockets.discard(connection)

    def answer(self, method: str, path: str, raw: str, key: str) -> tuple[int, str, dict[str, str]] | None:
        """Return status, body and headers, or None when the connection is to be cut."""
        with self.lock:
            fault = next((each for each in self.faults if each.method == method and path.endswith(each.path)), None)
            answer = self._true_answer(method, path, raw, key) if fault is None or fault.taken else (0, "", {})
            if fault is not None:
                self.faults.remove(fault)
                fault.happened()
        self.moved.set()
        if fault is None:
            return answer
        if fault.does == "hang":
            self._ended.wait(DEADLINE_S)
        return (fault.status, fault.body, fault.headers) if fault.does == "say" else None

    def _true_answer(self, method: str, path: str, raw: str, key: str) -> tuple[int, str, dict[str, str]]:
        try:
            found: Any = self.exchange.answer(method, path, raw, key)
        except Refusal as refusal:
            return refusal.status, json.dumps(refusal.body), refusal.headers
        return 200, json.dumps(found), {"X-MBX-USED-WEIGHT-1M": str(self.exchange.used_weight)}


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    wire: Wire

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that are cut on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def wire(self) -> Wire:
        return cast("_Server", self.server).wire

    def setup(self) -> None:
        super().setup()
        self.wire.opened(self.connection)

    def finish(self) -> None:
        self.wire.gone(self.connection)
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def do_DELETE(self) -> None:
        self._do("DELETE")

    def _do(self, method: str) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or "0")).decode()
        raw = "&".join(each for each in (query, body) if each)
        answer = self.wire.answer(method, path, raw, self.headers.get("X-MBX-APIKEY", ""))
        if answer is None:
            self.close_connection = True
            return
        status, text, headers = answer
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
