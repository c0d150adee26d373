"""A small vendor of market data that speaks HTTP on loopback and counts what it is asked, and the source that asks it.

Not a vendor's protocol (those are tried in their own tests): what is measured is how seldom a vendor is called, and
each call here is a real one over a socket.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from bus.clock import NS
from bus.errors import NotOfferedError, SourceBusyError, SourceError
from bus.messages import Bar, CalendarEvent, Instrument, NewsItem, Quote, Timeframe, Trade
from feed.sessions import session_calendar
from feed.source import Offer, Sink, SourceTraits, Stream

__all__ = ["LENGTH_S", "Reply", "Vendor", "VendorSource", "make_bar", "make_news", "make_quote"]

LENGTH_S: dict[str, int] = {"1Min": 60, "5Min": 300, "15Min": 900, "30Min": 1_800, "1Hour": 3_600, "1Day": 86_400}
"""The timeframes that this vendor serves, in seconds."""
Reply = tuple[int, Mapping[str, str], Any]
"""``(status, headers, body as JSON or raw bytes)``."""
_NEWS_EVERY_S = 600


class Vendor:
    """The vendor: trades every minute of every symbol, except the minutes it is told to lose.

    Attributes:
        asked: Every call: ``(path, parameters)``.
        lost: ``(symbol, open_s)`` of the minutes that it never had.
    """

    def __init__(self, symbols: tuple[str, ...], clock: Callable[[], int], calendar: str = "") -> None:
        """Bind to a free port and serve.

        Args:
            symbols: What it has.
            clock: Its own clock, UTC nanoseconds.
            calendar: Whose sessions its days are; without one they go from midnight to midnight in UTC.
        """
        self._sessions = session_calendar(calendar) if calendar else None
        self.symbols = symbols
        self.clock = clock
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.lost: set[tuple[str, int]] = set()
        self._lock = Lock()
        vendor = self

        class _Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                parameters = dict(parse_qsl(url.query, keep_blank_values=True))
                with vendor._lock:
                    vendor.asked.append((url.path, parameters))
                vendor.serve(self, url.path, parameters)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def calls(self, path: str = "") -> list[dict[str, str]]:
        """Return the parameters of the calls of a path; of all without one."""
        with self._lock:
            return [parameters for asked, parameters in self.asked if asked == path or not path]

    def serve(self, handler: BaseHTTPRequestHandler, path: str, parameters: dict[str, str]) -> None:
        """Answer one call."""
        self.send(handler, self.reply(path, parameters))

    def send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        """Write an answer."""
        status, headers, body = reply
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)

    def reply(self, path: str, asked: dict[str, str]) -> Reply:
        """Return the answer to a call."""
        match path:
            case "/bars":
                return 200, {}, self.bars(asked["symbol"], LENGTH_S[asked["timeframe"]], _s(asked, 0), _s(asked, 1))
            case "/quotes":
                now_s = self.clock() // NS
                return 200, {}, [[symbol, now_s, _price(symbol, now_s)] for symbol in asked["symbols"].split(",")]
            case "/trades":
                seconds = range(_s(asked, 0), min(_s(asked, 1), self.clock() // NS + 1), 20)
                return 200, {}, [[asked["symbol"], at, _price(asked["symbol"], at)] for at in seconds]
            case "/news":
                return 200, {}, self.news(set(asked["symbols"].split(",")), _s(asked, 0), _s(asked, 1))
            case "/calendar":
                hours = range(-(-_s(asked, 0) // 3600) * 3600, _s(asked, 1), 3600)
                return 200, {}, [[f"e{at}", at, "3.1" if at <= self.clock() // NS else ""] for at in hours]
            case "/instruments":
                return 200, {}, list(self.symbols)
            case _:
                return 404, {}, {"error": "no such path"}

    def bars(self, symbol: str, length_s: int, start_s: int, end_s: int) -> list[list[Any]]:
        """Return the complete bars that open in a range: ``[symbol, open, end, price]``."""
        spans = [(at, at + length_s) for at in range(-(-start_s // length_s) * length_s, end_s, length_s)]
        if self._sessions is not None and length_s == LENGTH_S["1Day"]:
            sessions = self._sessions.sessions(start_s * NS, end_s * NS)
            spans = [(one.open_ns // NS, one.close_ns // NS) for one in sessions if one.open_ns >= start_s * NS]
        now_s = self.clock() // NS
        return [
            [symbol, at, end, _price(symbol, at)] for at, end in spans if end <= now_s and (symbol, at) not in self.lost
        ]

    def news(self, symbols: set[str], start_s: int, end_s: int) -> list[list[Any]]:
        """Return the headlines in a range: ``[id, symbol, time]``, each symbol in its turn."""
        times = range(-(-start_s // _NEWS_EVERY_S) * _NEWS_EVERY_S, min(end_s, self.clock() // NS + 1), _NEWS_EVERY_S)
        of = [(at, self.symbols[at // _NEWS_EVERY_S % len(self.symbols)]) for at in times]
        return [[f"n{at}", symbol, at] for at, symbol in of if symbol in symbols or symbols == {""}]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class VendorSource:
    """Asks the vendor: one connection a call. See ``feed.source.Source``."""

    def __init__(
        self,
        port: int,
        symbols: tuple[str, ...],
        calendar: str = "24/7",
        offers: frozenset[Offer] = frozenset({"bars", "quotes", "trades", "news", "calendar"}),
        timeout_s: float = 10.0,
    ) -> None:
        """Know where it is."""
        self._port = port
        self._timeout_s = timeout_s
        self.symbols = symbols
        self._traits = SourceTraits(
            "loopback",
            calendar,
            "America/New_York" if calendar == "XNYS" else "UTC",
            ("1Min", "5Min", "15Min", "30Min", "1Hour", "1Day"),
            offers,
            2 * NS,
        )

    @property
    def traits(self) -> SourceTraits:
        """What this source is."""
        return self._traits

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the instruments."""
        self._get("/instruments")
        return tuple(Instrument(symbol, "equity", "USD", NS // 100, NS) for symbol in self.symbols)

    def bars(self, symbol: str, timeframe: Timeframe, start_ns: int, end_ns: int) -> list[Bar]:
        """Return complete bars."""
        rows = self._get("/bars", symbol=symbol, timeframe=timeframe, start=start_ns, end=end_ns)
        return [make_bar(*row) for row in self._rows(rows, 4)]

    def quotes(self, symbols: tuple[str, ...]) -> list[Quote]:
        """Return the latest quotes."""
        return [make_quote(*row) for row in self._rows(self._get("/quotes", symbols=",".join(symbols)), 3)]

    def trades(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """Return trades."""
        rows = self._rows(self._get("/trades", symbol=symbol, start=start_ns, end=end_ns), 3)
        return [Trade(name, at * NS, at * NS, price * NS, NS) for name, at, price in rows]

    def news(self, symbols: tuple[str, ...], start_ns: int, end_ns: int) -> list[NewsItem]:
        """Return news."""
        rows = self._rows(self._get("/news", symbols=",".join(symbols), start=start_ns, end=end_ns), 3)
        return [make_news(name, of, at * NS) for name, of, at in rows]

    def calendar(self, from_ns: int, to_ns: int) -> list[CalendarEvent]:
        """Return releases."""
        rows = self._rows(self._get("/calendar", start=from_ns, end=to_ns), 3)
        return [CalendarEvent(name, at * NS, at * NS, "CPI", "US", "high", "3.0", actual) for name, at, actual in rows]

    def stream(self, symbols: tuple[str, ...], sink: Sink) -> Stream:
        """Refuse.

        Raises:
            NotOfferedError: Always.
        """
        del symbols, sink
        raise NotOfferedError("this vendor has no stream")

    def close(self) -> None:
        """Nothing is held."""

    def _get(self, path: str, **parameters: str | int) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        try:
            connection.request("GET", f"{path}?{urlencode(parameters)}")
            response = connection.getresponse()
            raw = response.read()
            if response.status == 429:
                raise SourceBusyError("loopback is busy", float(response.headers.get("Retry-After", "0")))
            if response.status != 200:
                raise SourceError(f"loopback answered {response.status} to {path}; ask again later")
            return json.loads(raw)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SourceError(f"loopback cannot be asked for {path}: {error!r}; see that it runs") from error
        finally:
            connection.close()

    @staticmethod
    def _rows(rows: Any, width: int) -> list[list[Any]]:
        if not isinstance(rows, list) or any(not isinstance(row, list) or len(row) != width for row in rows):
            raise SourceError(f"loopback answered nonsense: {str(rows)[:80]}; ask again later")
        return rows


def _s(asked: dict[str, str], bound: int) -> int:
    """Return the start (0) or the end (1) in seconds, the first that is not before it."""
    return -(-int(asked["end" if bound else "start"]) // NS)


def _price(symbol: str, at_s: int) -> int:
    return 100 + sum(symbol.encode()) % 50 + at_s // 60 * 7 % 11


def make_bar(symbol: str, open_s: int, end_s: int, price: int) -> Bar:
    """Return a bar around a price."""
    nano = price * NS
    return Bar(symbol, open_s * NS, end_s * NS, end_s * NS, nano, nano + NS, nano - NS, nano, 1_000 * NS)


def make_quote(symbol: str, at_s: int, price: int) -> Quote:
    """Return a quote of a cent to both sides of a price."""
    bid, ask = price * NS - NS // 100, price * NS + NS // 100
    return Quote(symbol, at_s * NS, at_s * NS, at_s * NS, bid, ask, bid, ask, NS, NS)


def make_news(name: str, symbol: str, at_ns: int) -> NewsItem:
    """Return a headline."""
    return NewsItem(name, (symbol,), at_ns, at_ns, f"{symbol} in the news", "loopback")
