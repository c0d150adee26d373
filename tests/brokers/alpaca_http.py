"""The HTTP side of the loopback Alpaca: requests in, answers out, or a connection that breaks. It knows no orders."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

from tests.brokers.alpaca_book import Book, NoError

__all__ = ["Answering", "RestHandler", "RestServer"]


class Answering(Protocol):
    """What answers; see ``AlpacaVenue``."""

    keys: tuple[str, str]
    book: Book
    instead: list[tuple[int, bytes]]
    asked: list[tuple[str, str]]
    before: dict[str, Callable[[], object]]
    connections: set[socket.socket]

    def answer(
        self, method: str, path: str, params: dict[str, str], fields: dict[str, Any], handler: RestHandler
    ) -> tuple[int, Any]:
        """Answer a request; a status of 0 has been dealt with."""
        ...


class RestServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    venue: Answering


class RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        del format, args  # a quiet server

    def setup(self) -> None:
        super().setup()
        cast("RestServer", self.server).venue.connections.add(self.connection)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()  # a client that was killed resets its connection

    def finish(self) -> None:
        cast("RestServer", self.server).venue.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        venue = cast("RestServer", self.server).venue
        parts = urlsplit(self.path)
        params = {name: values[0] for name, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True  # whoever sent it was killed in the middle of it
            return
        fields = json.loads(body) if length else {}
        venue.asked.append((method, parts.path))
        keys = (self.headers.get("apca-api-key-id"), self.headers.get("apca-api-secret-key"))
        if keys != venue.keys:
            self._send(403, b'{"message": "forbidden."}')
            return
        if venue.instead:
            status, body = venue.instead.pop(0)
            self._send(status, body) if status else self.cut()
            return
        try:
            with venue.book.lock:
                if (before := venue.before.get(parts.path)) is not None:
                    before()
                status, content = venue.answer(method, unquote(parts.path), params, fields, self)
        except NoError as refused:
            status, content = refused.status, refused.content
        if status:
            self._send(status, b"" if content is None else json.dumps(content).encode())

    def cut(self) -> None:
        """Break the connection without an answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def garbage(self) -> None:
        """Answer with bytes that mean nothing."""
        self._send(200, b"\x00\xffnot json\x80")
