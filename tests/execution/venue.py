"""A broker with an account of its own, in this process, that misbehaves when it is told to: both sides of the seam.

``Venue`` is what outlives the gateway: it counts what really arrived. ``VenueBroker`` is one connection to it, made
anew by every restart: what was queued for an older connection is lost, as a stream's is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from bus.fixed import SCALE
from bus.messages import Fill, Instrument, OrderIntent, OrderStatus, Side, Tick
from execution.broker import BrokerReport, Held, KnownOrder, Offered, OpenOrder, ReportKind, Statement
from execution.spec import GatewaySpec
from tests.execution.desk import START_CASH

OFFERS = Offered(
    "venue",
    ("market", "limit", "stop", "stop_limit", "trailing_stop"),
    ("day", "gtc", "gtd", "ioc", "fok"),
    ("simple", "bracket", "oco", "oto"),
    replaces=True,
    shorts=True,
    own_account=True,
)
PLAIN = msgspec.structs.replace(
    OFFERS, name="plain", order_types=("market", "limit"), times_in_force=("day", "gtc", "gtd")
)
"""A venue without stops."""


@dataclass
class Received:
    """An order as the venue has it."""

    intent: OrderIntent
    arrived: int = 1
    status: OrderStatus = "accepted"
    filled_nano: int = 0
    fills: list[Fill] = field(default_factory=list[Fill])

    @property
    def open(self) -> bool:
        return self.status in ("accepted", "partially_filled", "pending_cancel")

    @property
    def left_nano(self) -> int:
        return self.intent.qty_nano - self.filled_nano


class Venue:
    """The other side. Mishaps are named: each is used up by the next call that it fits.

    ``lose_request``, ``lose_answer`` (of a submit, replace or cancel), ``refuse_cancel``, ``slow_cancel``,
    ``slow_replace``, ``refuse``, ``fill_first`` (before the answer), ``silent`` (until taken away), ``no_statement``.
    """

    def __init__(self, offers: Offered = OFFERS) -> None:
        self.offers = offers
        self.orders: dict[str, Received] = {}
        self.queues: list[list[BrokerReport]] = []
        self.cash_nano = START_CASH
        self.held: dict[str, int] = {}
        self.averages: dict[str, int] = {}
        self.fills: list[Fill] = []
        self.mishaps: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.opened = 0
        self.now_ns = 0
        self._executions = 0

    def broker(self, _spec: GatewaySpec, _instruments: dict[str, Instrument]) -> VenueBroker:
        """A fresh connection: the older one hears nothing any more."""
        self.opened += 1
        self.queues = [[]]
        return VenueBroker(self)

    def take(self, mishap: str) -> bool:
        """Whether a mishap is due now; it is used up."""
        if mishap not in self.mishaps:
            return False
        self.mishaps.discard(mishap)
        return True

    def tell(self, client_order_id: str, kind: ReportKind, fill: Fill | None = None, reason: str = "") -> None:
        """Tell every connection."""
        for queue in self.queues:
            queue.append(BrokerReport(client_order_id, kind, reason, fill, self.now_ns))

    # --- what the market and other hands do ---------------------------------------------------------------------------

    def fill(
        self, client_order_id: str, qty_nano: int, price_nano: int, fee_nano: int = 0, *, told: bool = True
    ) -> Fill:
        order = self.orders[client_order_id]
        self._executions += 1
        intent = order.intent
        name = f"x{self._executions}"
        fill = Fill(
            name, client_order_id, intent.symbol, intent.side, qty_nano, price_nano, fee_nano, max(self.now_ns, 1)
        )
        order.fills.append(fill)
        order.filled_nano += qty_nano
        if order.open:
            order.status = "filled" if order.left_nano == 0 else "partially_filled"
        self.fills.append(fill)
        self._book(fill, 1)
        if told:
            self.tell(client_order_id, "fill", fill)
        return fill

    def bust(self, client_order_id: str, fill: Fill) -> None:
        """Take a trade back; an order that was filled works on."""
        order = self.orders[client_order_id]
        self._executions += 1
        undone = Fill(
            f"x{self._executions}",
            client_order_id,
            fill.symbol,
            fill.side,
            fill.qty_nano,
            fill.price_nano,
            fill.fee_nano,
            max(self.now_ns, 1),
            refers_to=fill.fill_id,
        )
        order.fills.remove(fill)
        self.fills.remove(fill)
        order.filled_nano -= fill.qty_nano
        if order.status in ("filled", "partially_filled"):
            order.status = "partially_filled" if order.filled_nano else "accepted"
        self._book(fill, -1)
        self.tell(client_order_id, "bust", undone)

    def _book(self, fill: Fill, sign: int) -> None:
        signed = sign * (fill.qty_nano if fill.side == "buy" else -fill.qty_nano)
        self.held[fill.symbol] = self.held.get(fill.symbol, 0) + signed
        bought = fill.qty_nano if fill.side == "buy" else -fill.qty_nano
        spent = -(-bought * fill.price_nano // SCALE)
        self.cash_nano -= sign * (spent + fill.fee_nano)

    def end(self, client_order_id: str, kind: ReportKind, *, told: bool = True) -> None:
        order = self.orders[client_order_id]
        order.status = "canceled" if kind == "canceled" else "expired"
        if told:
            self.tell(client_order_id, kind)

    def by_hand(self, client_order_id: str, symbol: str, side: Side, qty_nano: int, limit_nano: int) -> None:
        """Somebody places an order at the venue's own site."""
        intent = OrderIntent(
            client_order_id, "", "", 0, 0, symbol, side, "limit", "gtc", qty_nano, limit_nano, self.now_ns, ""
        )
        self.orders[client_order_id] = Received(intent)

    def working(self) -> list[str]:
        return [name for name, order in self.orders.items() if order.open]

    # --- what arrives -------------------------------------------------------------------------------------------------

    def arrive(self, intent: OrderIntent) -> Received:
        known = self.orders.get(intent.client_order_id)
        if known is not None:
            known.arrived += 1
            return known
        order = self.orders[intent.client_order_id] = Received(intent)
        return order

    def life(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Everything definite about an order."""
        order = self.orders.get(client_order_id)
        if order is None:
            return (BrokerReport(client_order_id, "rejected", "never_arrived"),)
        words: dict[OrderStatus, ReportKind] = {
            "canceled": "canceled",
            "expired": "expired",
            "replaced": "replaced",
            "rejected": "rejected",
        }
        fills = tuple(BrokerReport(client_order_id, "fill", "", fill) for fill in order.fills)
        kind = words.get(order.status)
        first = () if order.status == "rejected" else (BrokerReport(client_order_id, "accepted"),)
        return (*first, *fills, *((BrokerReport(client_order_id, kind),) if kind else ()))


class VenueBroker:
    """One connection."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._queue = venue.queues[0]

    def _call(self, what: str, name: str) -> Venue:
        self._venue.calls.append((what, name))
        if "silent" in self._venue.mishaps or self._venue.take("lose_request"):
            raise TimeoutError("no answer")
        return self._venue

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        word = "restore done" if day_done else "restore"
        self._venue.calls.extend((word, known.intent.client_order_id) for known in orders)

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        venue = self._call("submit", intent.client_order_id)
        venue.now_ns = max(venue.now_ns, now_ns)
        order = venue.arrive(intent)
        if venue.take("refuse"):
            order.status = "rejected"
        elif venue.take("fill_first"):
            venue.fill(intent.client_order_id, max(intent.qty_nano // 2, 1), intent.limit_price_nano or SCALE)
        if venue.take("lose_answer"):
            raise ConnectionResetError("answer lost")
        if order.status == "rejected":
            return BrokerReport(intent.client_order_id, "rejected", "the venue says no")
        return BrokerReport(intent.client_order_id, "accepted")

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        venue = self._call("replace", intent.client_order_id)
        venue.now_ns = max(venue.now_ns, now_ns)
        name, old = intent.client_order_id, venue.orders[intent.replaces]
        if not old.open or venue.take("refuse"):
            venue.arrive(intent).status = "rejected"
            if venue.take("lose_answer"):
                raise ConnectionResetError("answer lost")
            return (
                BrokerReport(intent.replaces, "replace_rejected", "too late"),
                BrokerReport(name, "rejected", "too late"),
            )
        if venue.take("slow_replace"):
            return (BrokerReport(intent.replaces, "pending_replace"),)
        old.status = "replaced"
        venue.arrive(intent)
        if venue.take("lose_answer"):
            raise ConnectionResetError("answer lost")
        return BrokerReport(intent.replaces, "replaced"), BrokerReport(name, "accepted")

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        venue = self._call("cancel", client_order_id)
        venue.now_ns = max(venue.now_ns, now_ns)
        order = venue.orders.get(client_order_id)
        if order is None or not order.open or venue.take("refuse_cancel"):
            return BrokerReport(client_order_id, "cancel_rejected", "too late to cancel")
        if venue.take("slow_cancel"):
            order.status = "pending_cancel"
            return BrokerReport(client_order_id, "pending_cancel")
        order.status = "canceled"
        if venue.take("lose_answer"):
            raise ConnectionResetError("answer lost")
        return BrokerReport(client_order_id, "canceled")

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        return self._call("query", client_order_id).life(client_order_id)

    def work(self, tick: Tick) -> list[BrokerReport]:
        self._venue.now_ns = max(self._venue.now_ns, tick.clock.now_ns)
        return []

    def drain(self) -> list[BrokerReport]:
        if "silent" in self._venue.mishaps:
            raise ConnectionResetError("gone")
        told = list(self._queue)
        self._queue.clear()
        return told

    def statement(self) -> Statement | None:
        venue = self._call("statement", "")
        if "no_statement" in venue.mishaps:
            raise TimeoutError("no answer")
        orders = tuple(
            OpenOrder(
                name,
                f"b-{name}",
                order.intent.symbol,
                order.intent.side,
                order.intent.qty_nano,
                order.filled_nano,
                order.intent.limit_price_nano or order.intent.stop_price_nano,
            )
            for name, order in venue.orders.items()
            if order.open
        )
        held = tuple(
            Held(symbol, qty, venue.averages.get(symbol, 0)) for symbol, qty in sorted(venue.held.items()) if qty
        )
        return Statement(venue.cash_nano, held, orders, tuple(venue.fills), max(venue.now_ns, 1))

    def close(self) -> None:
        self._venue.queues = [queue for queue in self._venue.queues if queue is not self._queue]
