"""The loopback vendor's stream: JSON lines over a response that does not end, and the source that reads it.

Not a vendor's protocol: it is here so that a followed market is measured and tried with real sockets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from queue import SimpleQueue
from threading import Condition, Event, Thread
from typing import Any

from bench._feed_vendor import Vendor, VendorSource, make_bar, make_news, make_quote
from bus.clock import NS
from feed.source import Offer, Sink, Stream

__all__ = ["StreamSource", "StreamVendor"]

_AGAIN_S = 0.02


class StreamVendor(Vendor):
    """A vendor that also streams what it is told to."""

    def __init__(self, symbols: tuple[str, ...], clock: Callable[[], int], calendar: str = "") -> None:
        """Bind and serve."""
        self._streams: list[SimpleQueue[bytes | None]] = []
        self._changed = Condition()
        self.refuses = False
        super().__init__(symbols, clock, calendar)

    def serve(self, handler: BaseHTTPRequestHandler, path: str, parameters: dict[str, str]) -> None:
        """Answer one call; a stream is one that goes on."""
        if path != "/stream":
            super().serve(handler, path, parameters)
            return
        if self.refuses:
            self.send(handler, (503, {"Connection": "close"}, {}))
            handler.close_connection = True
            return
        lines: SimpleQueue[bytes | None] = SimpleQueue()
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.flush()
        with self._changed:
            self._streams.append(lines)
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            while (line := lines.get()) is not None:
                handler.wfile.write(line + b"\n")
                handler.wfile.flush()
        handler.close_connection = True
        with self._changed:
            if lines in self._streams:
                self._streams.remove(lines)

    def push(self, *record: Any) -> None:
        """Send a record, for example ``("bar", symbol, open_s, end_s, price)``, to every stream."""
        self.push_raw(json.dumps(record).encode())

    def push_raw(self, line: bytes) -> None:
        """Send any line to every stream."""
        with self._changed:
            for lines in self._streams:
                lines.put(line)

    def drop(self) -> None:
        """Cut every stream."""
        with self._changed:
            for lines in self._streams:
                lines.put(None)
            self._streams.clear()

    def wait_streams(self, count: int, timeout_s: float = 10.0) -> bool:
        """Wait until so many streams are connected."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._streams) >= count, timeout_s)

    def close(self) -> None:
        """Cut the streams and stop."""
        self.refuses = True
        self.drop()
        super().close()


class StreamSource(VendorSource):
    """Asks the vendor and reads its stream. See ``feed.source.Source``."""

    def __init__(
        self,
        port: int,
        symbols: tuple[str, ...],
        calendar: str = "24/7",
        silent_s: float = 60.0,
        timeout_s: float = 10.0,
    ) -> None:
        """Know where it is."""
        offers = frozenset[Offer]({"bars", "quotes", "trades", "news", "calendar", "stream"})
        super().__init__(port, symbols, calendar, offers, timeout_s)
        self._silent_s = silent_s

    def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
        """Start to read."""
        return _LineStream(self._port, symbols, sink, self._silent_s)


class _LineStream:
    """Reads lines, and connects again whenever they end or do not come."""

    def __init__(self, port: int, symbols: tuple[str, ...], sink: Sink, silent_s: float) -> None:
        self._port = port
        self._symbols = symbols
        self._sink = sink
        self._silent_s = silent_s
        self._closed = Event()
        self._socket: socket.socket | None = None
        self._thread = Thread(target=self._run, name="vendor-stream", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closed.set()
        held = self._socket
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._sink.state("connecting")
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._silent_s)
            try:
                connection.request("GET", f"/stream?symbols={','.join(self._symbols)}")
                self._socket = connection.sock
                response = connection.getresponse()
                if response.status != 200:
                    raise OSError(f"the stream answered {response.status}")
                self._sink.state("connected")
                while not self._closed.is_set() and (line := response.readline()):
                    self._take(line)
                self._sink.state("down", "the vendor ended the stream")
            except TimeoutError:
                self._sink.state("silent", f"nothing came for {self._silent_s:g} s")
            except (OSError, http.client.HTTPException) as error:
                self._sink.state("down", str(error) or type(error).__name__)
            finally:
                connection.close()
            self._closed.wait(_AGAIN_S)

    def _take(self, line: bytes) -> None:
        try:
            kind, *row = json.loads(line)
            if any(not isinstance(value, int | str) for value in row) or (kind != "news" and isinstance(row[-1], str)):
                raise ValueError("a number that is none")
            match kind:
                case "bar":
                    self._sink.bar(make_bar(*row))
                case "quote":
                    self._sink.quote(make_quote(*row))
                case "news":
                    name, symbol, at_s = row
                    self._sink.news(make_news(name, symbol, at_s * NS))
                case _:
                    raise ValueError(f"a record of kind {kind!r}")
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            self._sink.rejected(f"{error}: {line[:80]!r}")
