"""A broker on a loopback port that takes orders for a key and counts them, and the adapter that a gateway uses.

Real sockets and real HTTP; not a vendor's protocol: those have their own loopback venues in ``tests/brokers``.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bus.messages import Instrument, OrderIntent, Tick
from bus.transport import Directory, Transport
from execution.broker import BrokerReport, KnownOrder, Offered, Statement
from execution.gateway import Gateway
from execution.journal import Journal
from execution.keys import read_keys
from execution.spec import GatewaySpec

__all__ = ["OFFERS", "Venue", "WireBroker", "build_wired_gateway", "open_venue"]

OFFERS = Offered(
    "wire", ("market", "limit", "stop", "stop_limit", "trailing_stop"), ("day", "gtc", "ioc", "fok"),
    ("simple", "bracket", "oco", "oto"),
    replaces=False, shorts=True,
)  # fmt: skip


@dataclass
class Venue:
    """What the broker has seen."""

    port: int
    key: str
    orders: list[str] = field(default_factory=list[str])
    strangers: int = 0


@contextmanager
def open_venue(key: str) -> Generator[Venue]:
    """Listen until the end of the block; an order without the key is counted and refused with 401."""
    seen = Venue(0, key)

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("X-Key") == key:
                seen.orders.append(json.loads(body)["client_order_id"])
                self.send_response(200)
            else:
                seen.strangers += 1
                self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        seen.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()


class WireBroker:
    """Posts each order with the key from the keys file."""

    def __init__(self, spec: GatewaySpec) -> None:
        self._keys = read_keys(Path(spec.broker.keys_file))
        self._port = int(spec.broker.url.rpartition(":")[2])

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """The broker knows its orders."""

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        del now_ns
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        line.request("POST", "/", json.dumps({"client_order_id": intent.client_order_id}), {"X-Key": self._keys.secret})
        status = line.getresponse().status
        line.close()
        return BrokerReport(intent.client_order_id, "accepted" if status == 200 else "rejected", str(status))

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        del now_ns
        return (BrokerReport(intent.replaces, "replace_rejected"), BrokerReport(intent.client_order_id, "rejected"))

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        del now_ns
        return BrokerReport(client_order_id, "canceled")

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        del client_order_id
        return ()

    def work(self, tick: Tick) -> list[BrokerReport]:
        del tick
        return []

    def drain(self) -> list[BrokerReport]:
        return []

    def statement(self) -> Statement | None:
        return None

    def close(self) -> None:
        """Nothing is open between two orders."""


def build_wired_gateway(spec: GatewaySpec, transport: Transport, directory: Directory) -> Gateway:
    """Return the product's gateway with this broker behind it."""

    def make(spec: GatewaySpec, instruments: dict[str, Instrument]) -> WireBroker:
        del instruments
        return WireBroker(spec)

    identity = {"client": spec.client, "run_id": spec.run_id, "start_cash_nano": str(spec.start_cash_nano)}
    return Gateway(spec, transport.client(directory["feed"]), Journal(Path(spec.database), identity), make, OFFERS)
