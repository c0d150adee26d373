"""A loopback Alpaca: its REST interface and its trade-updates stream, both real sockets, and every mishap of the kit.

Not the vendor: the SDK talks to it as if it were. It sends updates in binary frames as Alpaca's paper service does.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from bus.fixed import from_nano, to_nano
from bus.messages import Instrument, Side
from execution.alpaca import OFFERS
from execution.alpaca._broker import AlpacaBroker
from execution.alpaca._stream import Pace
from execution.broker import Broker
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec
from tests.brokers.alpaca_book import Book, VenueOrder
from tests.brokers.alpaca_http import RestHandler, RestServer
from tests.brokers.kit_venue import Mishap, Venue

__all__ = ["DEADLINE_S", "KEY", "SECRET", "AlpacaVenue"]

KEY, SECRET = "PKLOOPBACKORDERS0001", "loopback/Orders+0000000000000000000000001"
DEADLINE_S = 10.0
PACE = Pace(silence_s=30.0, missing_s=0.05, backoff_s=0.05, backoff_most_s=0.2, ping_s=5.0)

_QUIET = logging.Logger("a venue's own", logging.CRITICAL)

_AT_ORDER = (
    Mishap.LOSE_ANSWER,
    Mishap.LOSE_REQUEST,
    Mishap.ERROR_500,
    Mishap.GARBAGE_ANSWER,
    Mishap.FILL_BEFORE_ACK,
    Mishap.DISCONNECT_MID_ORDER,
)


class AlpacaVenue(Venue):
    """One account at a loopback Alpaca.

    Attributes:
        instead: What is answered to the next requests whatever they are: status and body; status 0 breaks them off.
        asked: Every request that came: method and path.
        before: Called before a path is answered.
        mute: While set, updates are not sent and not kept, though the stream is open.
    """

    cannot: Mapping[Mishap, str] = {}

    def __init__(self) -> None:
        self.offers = OFFERS
        self.keys: tuple[str, str] = (KEY, SECRET)
        self.symbol = "AAPL"
        self.qty_nano = 8_000_000_000
        self.bid_nano, self.ask_nano = 187_240_000_000, 187_260_000_000
        self.moved = threading.Event()
        self.instruments = {
            "AAPL": Instrument("AAPL", "equity", "USD", 10_000_000, 1_000_000_000),
            "BTC/USD": Instrument("BTC/USD", "crypto", "USD", 10_000_000, 1_000),
        }
        self.book = Book(set(self.instruments), Decimal(100_000), self._tell)
        self.instead: list[tuple[int, bytes]] = []
        self.asked: list[tuple[str, str]] = []
        self.before: dict[str, Callable[[], object]] = {}
        self.mute = False
        self.connections: set[socket.socket] = set()
        self.greetings: list[bytes] = []
        self.came = 0
        self._armed: set[Mishap] = set()
        self._happened: Counter[Mishap] = Counter()
        self._kept: dict[str, Any] | None = None
        self._listening: list[ServerConnection] = []
        self._start(0, 0)

    # --- its servers --------------------------------------------------------------------------------------------------

    def _start(self, rest_port: int, stream_port: int) -> None:
        self._rest = RestServer(("127.0.0.1", rest_port), RestHandler)
        self._rest.venue = self
        self._stream: Server = serve(
            self._greet, "127.0.0.1", stream_port, compression=None, close_timeout=1, logger=_QUIET
        )
        self._threads = [
            threading.Thread(target=self._rest.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True),
            threading.Thread(target=self._stream.serve_forever, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _stop(self) -> None:
        self._rest.shutdown()
        self._rest.server_close()
        self._stream.shutdown()
        self.drop_streams()
        for connection in list(self.connections):
            _break(connection)
        for thread in self._threads:
            thread.join(5)

    def close(self) -> None:
        self._stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._rest.server_port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self._stream.socket.getsockname()[1]}/stream"

    def drop_streams(self) -> None:
        """Cut every stream without a word."""
        with self.book.lock:
            gone, self._listening = self._listening, []
        for connection in gone:
            _break(connection.socket)

    def _greet(self, connection: ServerConnection) -> None:
        """Authenticate as Alpaca does, then keep the connection until it ends."""
        self.came += 1
        try:
            asked = json.loads(connection.recv(DEADLINE_S))
            data = asked["data"]
            good = (asked["action"], data["key_id"], data["secret_key"]) == ("authenticate", KEY, SECRET)
            if self.greetings:
                connection.send(self.greetings.pop(0))
                return
            status = "authorized" if good else "unauthorized"
            self._put(connection, "authorization", {"action": "authenticate", "status": status})
            if not good:
                return
            wanted = json.loads(connection.recv(DEADLINE_S))
            assert wanted == {"action": "listen", "data": {"streams": ["trade_updates"]}}
            with self.book.lock:
                self._put(connection, "listening", {"streams": ["trade_updates"]})
                self._listening.append(connection)
            for _ in connection:
                pass
        except (ConnectionClosed, OSError, TimeoutError):
            return
        finally:
            with self.book.lock:
                if connection in self._listening:
                    self._listening.remove(connection)

    def _put(self, connection: ServerConnection, stream: str, data: dict[str, Any]) -> None:
        connection.send(json.dumps({"stream": stream, "data": data}).encode())

    def send_raw(self, frame: bytes | str) -> None:
        """Send a frame as it is to whoever listens."""
        with self.book.lock:
            for connection in self._listening:
                connection.send(frame)
        self.moved.set()

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, update: dict[str, Any]) -> None:
        if self.mute:
            return
        updates = [update]
        if update["event"] in ("fill", "partial_fill"):
            if self._take_armed(Mishap.DUPLICATE_EVENTS):
                updates = [update, update]
            elif self._kept is not None:
                updates, self._kept = [update, self._kept], None
                self._happened[Mishap.REORDER_EVENTS] += 1
            elif Mishap.REORDER_EVENTS in self._armed:
                self._armed.discard(Mishap.REORDER_EVENTS)
                self._kept = update
                return
        for one in updates:
            for connection in list(self._listening):
                try:
                    self._put(connection, "trade_updates", one)
                except (ConnectionClosed, OSError):
                    self._listening.remove(connection)
        self.moved.set()

    def _take_armed(self, mishap: Mishap) -> bool:
        if mishap not in self._armed:
            return False
        self._armed.discard(mishap)
        self._happened[mishap] += 1
        return True

    # --- REST -------------------------------------------------------------------------------------------------------

    def answer(
        self, method: str, path: str, params: dict[str, str], fields: dict[str, Any], handler: RestHandler
    ) -> tuple[int, Any]:
        """Answer a request; a status of 0 has been dealt with."""
        book = self.book
        if path == "/v2/orders":
            return self._place(fields, handler) if method == "POST" else (200, book.list_orders(params))
        if path == "/v2/orders:by_client_order_id":
            return 200, book.by_client(params["client_order_id"]).record()
        if path.startswith("/v2/orders/"):
            order_id = path.removeprefix("/v2/orders/")
            if method == "PATCH":
                return 200, book.change(order_id, fields).record()
            if method == "DELETE":
                return self._cancel(order_id)
            return 200, book.by_id(order_id).record()
        found = {
            "/v2/account": book.account,
            "/v2/positions": book.list_positions,
            "/v2/account/activities/FILL": lambda: book.list_fills(params),
        }.get(path)
        return (200, found()) if found else (404, {"code": 40410000, "message": "endpoint not found."})

    def _place(self, fields: dict[str, Any], handler: RestHandler) -> tuple[int, Any]:
        mishap = next((m for m in _AT_ORDER if self._take_armed(m)), None)
        if mishap is Mishap.LOSE_REQUEST:
            handler.cut()
            return 0, None
        order = self.book.place(fields)
        if mishap is Mishap.FILL_BEFORE_ACK:
            self.book.fill(order, order.qty, order.limit or Decimal(1))
        if mishap is Mishap.ERROR_500:
            # The nastiest of them: the gateway timed out, the order is in. alpaca-py by itself would send it again.
            return 504, {"message": "upstream request timeout"}
        if mishap is Mishap.GARBAGE_ANSWER:
            handler.garbage()
            return 0, None
        if mishap is Mishap.DISCONNECT_MID_ORDER:
            self.drop_streams()
        if mishap in (Mishap.LOSE_ANSWER, Mishap.DISCONNECT_MID_ORDER):
            handler.cut()
            return 0, None
        return 200, order.record() | ({"status": "pending_new"} if order.status == "new" else {})

    def _cancel(self, order_id: str) -> tuple[int, Any]:
        self.book.by_id(order_id)
        if self._take_armed(Mishap.REJECT_CANCEL):
            return 422, {"code": 42210000, "message": "order cancellation was rejected by the venue"}
        self.book.cancel(order_id)
        self._take_armed(Mishap.LATE_FILL_AFTER_CANCEL)
        return 204, None

    # --- what the kit asks ----------------------------------------------------------------------------------------

    def spec(self, **more: Any) -> GatewaySpec:
        """Return what a gateway would be told."""
        broker = BrokerSpec(kind="alpaca", url=self.url, stream_url=self.stream_url, timeout_s=3.0)
        return GatewaySpec("alice", "kit-run", "paper", "", "", 0, broker=broker, **more)

    def open(self) -> Broker:
        return self.open_with(PACE)

    def open_with(self, pace: Pace) -> AlpacaBroker:
        """Return an adapter of another patience."""
        broker = AlpacaBroker(self.spec(), self.instruments, Keys(KEY, SECRET), pace)
        assert broker.listening(DEADLINE_S)
        return broker

    def price(self, symbol: str, bid_nano: int, ask_nano: int) -> None:
        del symbol, bid_nano, ask_nano  # nothing fills here by itself

    def order(self, client_order_id: str) -> VenueOrder:
        """Return an order."""
        with self.book.lock:
            return self.book.by_client(client_order_id)

    def fill(self, client_order_id: str, qty_nano: int, price_nano: int) -> None:
        self.fill_with_id(client_order_id, qty_nano, price_nano)

    def fill_with_id(self, client_order_id: str, qty_nano: int, price_nano: int) -> str:
        """Fill and return the id of the execution on the stream."""
        with self.book.lock:
            order = self.book.by_client(client_order_id)
            late = order.status if order.status == "canceled" else ""
            return self.book.fill(order, from_nano(qty_nano), from_nano(price_nano), status=late)

    def listeners(self) -> int:
        """Return how many connections listen to updates."""
        with self.book.lock:
            return len(self._listening)

    def orders(self) -> dict[str, int]:
        with self.book.lock:
            taken = Counter[str]()
            for client_order_id in self.book.posts:
                taken[client_order_id] += to_nano(self.book.by_client(client_order_id).qty)
            return {client_order_id: qty for client_order_id, qty in taken.items() if client_order_id[:3] == "oo-"}

    def working(self) -> dict[str, int]:
        with self.book.lock:
            return {
                order.client_order_id: to_nano(order.qty - order.filled)
                for order in self.book.orders.values()
                if order.status in ("new", "partially_filled") and order.client_order_id[:3] == "oo-"
            }

    def place_by_hand(self, symbol: str, side: Side, qty_nano: int, price_nano: int) -> str:
        with self.book.lock:
            fields = {
                "symbol": symbol,
                "side": side,
                "type": "limit",
                "time_in_force": "gtc",
                "qty": str(from_nano(qty_nano)),
                "limit_price": str(from_nano(price_nano)),
                "client_order_id": self.book.new_id(),
            }
            return self.book.place(fields).id

    def misbehave(self, mishap: Mishap) -> None:
        if mishap is Mishap.RESTART_VENUE:
            ports = self._rest.server_port, int(self._stream.socket.getsockname()[1])
            self._stop()
            self._start(*ports)
            self._happened[mishap] += 1
            return
        with self.book.lock:
            self._armed.add(mishap)

    def happened(self, mishap: Mishap) -> int:
        return self._happened[mishap]


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
