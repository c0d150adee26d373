"""A loopback server that speaks Alpaca's streaming protocol in msgpack frames, and breaks on request."""

from __future__ import annotations

import base64
import hashlib
import http
import queue
import re
import socket
import threading
from collections import deque
from types import TracebackType
from typing import Any, cast

import msgpack
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from tests.alpaca.rest_server import KEY, SECRET

__all__ = ["DEADLINE_S", "DeafServer", "Session", "StreamServer", "stamp"]

DEADLINE_S = 8.0
"""How long a test waits for what must happen."""

_PATHS = {"/v2/iex": "shares", "/v2/sip": "shares", "/v1beta3/crypto/us": "coins", "/v1beta1/news": "news"}


def stamp(ns: int) -> msgpack.Timestamp:
    """Return a time as the vendor sends it."""
    return msgpack.Timestamp.from_unix_nano(ns)


class Session:
    """One connection, as the vendor sees it.

    Attributes:
        path: What was connected to.
        subscribed: What was subscribed to, once it was.
        headers: Of the opening request.
    """

    def __init__(self, connection: ServerConnection, path: str, headers: Headers) -> None:
        self.path = path
        self.headers = headers
        self.subscribed: dict[str, Any] = {}
        self.ready = threading.Event()
        self.ended = threading.Event()
        self._connection = connection

    def send(self, *messages: Any) -> None:
        """Send messages in one frame."""
        self._connection.send(cast("bytes", msgpack.packb(list(messages))))

    def send_raw(self, frame: bytes | str) -> None:
        """Send a frame as it is."""
        self._connection.send(frame)

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._connection.socket.close()

    def close(self) -> None:
        """Close the connection as a server does that restarts."""
        self._connection.close(1012, "restarting")


class StreamServer:
    """Alpaca's streams.

    Attributes:
        faults: What is wrong with the next connections, in order, by stream: ``wrong-welcome``, ``garbage``, ``mute``,
            ``no-answer`` (to the subscription), ``limit`` (too many symbols), ``one-connection``, ``nothing``
            (subscribes to nothing), ``busy`` (HTTP 429), ``unauthorized`` (HTTP 401) or empty for none.
        came: Connections that were made, whatever became of them.
    """

    def __init__(self) -> None:
        self.faults: dict[str, deque[str]] = {"shares": deque(), "coins": deque(), "news": deque()}
        self.came: list[str] = []
        self.release = threading.Event()
        self._sessions: dict[str, queue.Queue[Session]] = {kind: queue.Queue() for kind in self.faults}
        self._all: list[Session] = []
        self._server: Server = serve(
            self._serve, "127.0.0.1", 0, process_request=self._admit, compression=None, close_timeout=1
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> StreamServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.release.set()
        self._server.shutdown()
        self._thread.join(5)
        for session in self._all:
            session.ended.wait(5)

    def session(self, kind: str = "shares") -> Session:
        """Return the next connection of a stream that has subscribed."""
        return self._sessions[kind].get(timeout=DEADLINE_S)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        kind = _PATHS.get(request.path)
        if kind is None:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no such stream\n")
        if self.faults[kind] and self.faults[kind][0] in ("busy", "unauthorized"):
            fault = self.faults[kind].popleft()
            self.came.append(kind)
            if fault == "unauthorized":
                return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no\n")
            response = connection.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "later\n")
            response.headers["Retry-After"] = "1"
            return response
        return None

    def _serve(self, connection: ServerConnection) -> None:
        request = cast("Request", connection.request)
        kind = _PATHS[request.path]
        self.came.append(kind)
        fault = self.faults[kind].popleft() if self.faults[kind] else ""
        session = Session(connection, request.path, request.headers)
        self._all.append(session)
        try:
            if self._greet(session, connection, fault):
                self._sessions[kind].put(session)
                for _ in connection:
                    pass
        except (ConnectionClosed, OSError):
            pass
        finally:
            session.ended.set()

    def _greet(self, session: Session, connection: ServerConnection, fault: str) -> bool:
        if fault == "mute":
            self.release.wait(30)
            return False
        if fault == "garbage":
            session.send_raw(b"\xc1\xff\x00")
            return False
        session.send({"T": "success", "msg": "hello" if fault == "wrong-welcome" else "connected"})
        asked = cast("dict[str, Any]", msgpack.unpackb(cast("bytes", connection.recv(5))))
        if (asked.get("action"), asked.get("key"), asked.get("secret")) != ("auth", KEY, SECRET):
            session.send({"T": "error", "code": 402, "msg": "auth failed"})
            return False
        if fault == "one-connection":
            session.send({"T": "error", "code": 406, "msg": "connection limit exceeded"})
            return False
        session.send({"T": "success", "msg": "authenticated"})
        wanted = cast("dict[str, Any]", msgpack.unpackb(cast("bytes", connection.recv(5))))
        assert wanted.pop("action") == "subscribe"
        if fault == "no-answer":
            self.release.wait(30)
            return False
        if fault == "limit":
            session.send({"T": "error", "code": 405, "msg": "symbol limit exceeded"})
            return False
        session.subscribed = {} if fault == "nothing" else wanted
        session.send({"T": "subscription", **session.subscribed})
        return True


class DeafServer:
    """A server that opens a websocket and then hears nothing, a goodbye included.

    Attributes:
        closing: Set when a client has said goodbye.
    """

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> DeafServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._ignore, args=(connection,), daemon=True).start()

    def _ignore(self, connection: socket.socket) -> None:
        try:
            request = connection.recv(65_536).decode("latin-1")
            found = re.search(r"Sec-WebSocket-Key: (\S+)", request)
            assert found is not None
            joined = (found[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
            accept = base64.b64encode(hashlib.sha1(joined, usedforsecurity=False).digest()).decode()
            lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
            lines += [f"Sec-WebSocket-Accept: {accept}", "", ""]
            connection.sendall("\r\n".join(lines).encode())
            while data := connection.recv(65_536):
                if b"\x88" in data:
                    self.closing.set()
        except OSError:
            return
