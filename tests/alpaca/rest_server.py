"""A loopback server that speaks Alpaca's REST protocol and misbehaves on request. The client is the real SDK."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["KEY", "SECRET", "Asked", "Fault", "RestServer"]

KEY, SECRET = "PKLOOPBACKKEY0000001", "loopback/Secret+0000000000000000000000001"
_LATEST = {"/v2/stocks/quotes/latest", "/v1beta3/crypto/us/latest/quotes"}
_SERIES = {
    "/v2/stocks/bars": "bars",
    "/v1beta3/crypto/us/bars": "bars",
    "/v2/stocks/trades": "trades",
    "/v1beta3/crypto/us/trades": "trades",
}


@dataclass(frozen=True)
class Fault:
    """What the server does instead of answering.

    Attributes:
        status: Of an answer; 0 is none.
        body: Of an answer.
        headers: Of an answer.
        kind: ``answer``, ``hang`` (accepts and says nothing), ``drip`` (a byte now and then), ``cut`` (a body that
            ends before its length) or ``reset``.
    """

    status: int = 0
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: str = "answer"


@dataclass(frozen=True)
class Asked:
    """A question that came."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    vendor: RestServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        del format, args  # a quiet server

    def do_GET(self) -> None:
        vendor = cast("_Server", self.server).vendor
        parts = urlsplit(self.path)
        params = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        vendor.asked.append(Asked(parts.path, params, headers))
        fault = vendor.faults.popleft() if vendor.faults else vendor.outage
        if fault is not None:
            self._misbehave(fault, vendor)
        elif (headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")) != (KEY, SECRET):
            self._send(403, b'{"message": "forbidden."}', {})
        else:
            status, content = vendor.answer(parts.path, params)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            if vendor.compressed:
                self._send_compressed(status, gzip.compress(body))
            else:
                self._send(status, body, {})

    def date_time_string(self, timestamp: float | None = None) -> str:
        vendor = cast("_Server", self.server).vendor
        return vendor.date or super().date_time_string(cast("Any", timestamp))

    def _misbehave(self, fault: Fault, vendor: RestServer) -> None:
        self.close_connection = True
        if fault.kind == "hang":
            vendor.release.wait(30)
        elif fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault.kind == "cut":
            self.send_response(200)
            self.send_header("content-length", str(len(fault.body) + 1))
            self.end_headers()
            self.wfile.write(fault.body)
        elif fault.kind == "drip":
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            try:
                while not vendor.release.wait(0.05):
                    self.wfile.write(b" ")
            except OSError:
                return
        else:
            self._send(fault.status, fault.body, fault.headers)

    def _send_compressed(self, status: int, body: bytes) -> None:
        """Send as the vendor's servers do: compressed, in chunks of no known number."""
        self.send_response(status)
        for name, value in (("content-encoding", "gzip"), ("transfer-encoding", "chunked")):
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(body), 7):
            chunk = body[at : at + 7]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class RestServer:
    """Alpaca's data and assets.

    Attributes:
        series: (``bars`` or ``trades``, symbol) → records.
        latest: symbol → quote.
        articles: News.
        assets: symbol → asset.
        raw: path → body sent as it is, whatever was asked.
        compressed: Whether answers are compressed and chunked.
        page: Records on a page.
        date: The vendor's clock as an HTTP date; empty is this machine's.
        faults: What goes wrong with the next requests, in order; None is nothing.
        outage: What goes wrong with every request, until it is None again.
        asked: What came.
    """

    def __init__(self) -> None:
        self.series: dict[tuple[str, str], list[Any]] = {}
        self.latest: dict[str, Any] = {}
        self.articles: list[Any] = []
        self.assets: dict[str, Any] = {}
        self.raw: dict[str, bytes] = {}
        self.compressed = False
        self.page = 1_000
        self.date = ""
        self.faults: deque[Fault | None] = deque()
        self.outage: Fault | None = None
        self.asked: list[Asked] = []
        self.release = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.vendor = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> RestServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def answer(self, path: str, params: dict[str, str]) -> tuple[int, Any]:
        if path in self.raw:
            return 200, self.raw[path]
        symbols = [symbol for symbol in params.get("symbols", "").split(",") if symbol]
        if path in _LATEST:
            return 200, {"quotes": {symbol: self.latest[symbol] for symbol in symbols if symbol in self.latest}}
        if path in _SERIES:
            return 200, self._series(_SERIES[path], symbols, params)
        if path == "/v1beta1/news":
            return 200, self._news(symbols, params)
        if path.startswith("/v2/assets/"):
            found = self.assets.get(unquote(path.removeprefix("/v2/assets/")))
            return (200, found) if found else (404, {"code": 40410000, "message": "asset not found"})
        return 404, {"message": "Not Found"}

    def _series(self, name: str, symbols: list[str], params: dict[str, str]) -> dict[str, Any]:
        """A page by symbol, both ends of the interval included as the vendor does."""
        rows = [
            (symbol, record)
            for symbol in symbols
            for record in self.series.get((name, symbol), [])
            if _within(record, "t", params)
        ]
        page, token = self._page(rows, params)
        table: dict[str, list[Any]] = {}
        for symbol, record in page:
            table.setdefault(symbol, []).append(record)
        return {name: table, "next_page_token": token}

    def _news(self, symbols: list[str], params: dict[str, str]) -> dict[str, Any]:
        rows = [
            article
            for article in self.articles
            if _within(article, "updated_at", params)
            and (not symbols or not isinstance(article, dict) or set(symbols) & set(article.get("symbols", [])))
        ]
        page, token = self._page(rows, params)
        return {"news": page, "next_page_token": token}

    def _page(self, rows: list[Any], params: dict[str, str]) -> tuple[list[Any], str | None]:
        offset = int(base64.b64decode(params["page_token"])) if "page_token" in params else 0
        size = min(int(params.get("limit", "1000")), self.page)
        following = offset + size
        token = base64.b64encode(str(following).encode()).decode() if following < len(rows) else None
        return rows[offset:following], token


def _within(record: Any, name: str, params: dict[str, str]) -> bool:
    if not isinstance(record, dict) or not isinstance(text := cast("dict[str, Any]", record).get(name), str):
        return True
    try:
        at = datetime.fromisoformat(text[:19] + "+00:00")
    except ValueError:
        return True
    start, end = (datetime.fromisoformat(params[end].replace("Z", "+00:00")) for end in ("start", "end"))
    return start.replace(microsecond=0) <= at <= end
