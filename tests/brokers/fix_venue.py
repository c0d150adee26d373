"""A venue with one account over FIX 4.4 on loopback, which misbehaves on purpose. Not ours inside: see ``Acceptor``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bus.clock import wall_ns
from bus.fixed import from_nano, to_nano
from bus.messages import Instrument, Side
from execution.broker import Broker
from execution.fix import OFFERS, open_fix
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec
from tests.brokers.fix_acceptor import Acceptor, Fields, first, frame, now_text
from tests.brokers.kit import CannotMisbehaveError, Mishap, Venue

__all__ = ["PASSWORD", "USERNAME", "FixVenue", "VenueOrder"]

USERNAME = "fake-fix-user"
PASSWORD = "fake-fix-password"  # an obviously fake word
_NANO = 1_000_000_000
_OPEN = "01"


@dataclass
class VenueOrder:
    """An order in the venue's book; ``qty`` and ``cum`` are of the whole chain, as FIX counts."""

    order_id: str
    name: str
    symbol: str
    side: str
    qty: int
    price: str
    by_hand: bool = False
    cum: int = 0
    worth: int = 0
    base: int = 0
    status: str = "0"
    original: str = ""

    @property
    def leaves(self) -> int:
        """What is left to fill."""
        return self.qty - self.cum if self.status in _OPEN else 0

    @property
    def average(self) -> str:
        """AvgPx, with 9 places."""
        return format(round(Decimal(self.worth) / self.cum / _NANO, 9), "f") if self.cum else "0"


class FixVenue(Venue):
    """The loopback venue of the kit."""

    offers = OFFERS
    cannot: Mapping[Mishap, str] = {}
    symbol = "ACME"
    qty_nano = 100 * _NANO
    bid_nano = 99_990_000_000
    ask_nano = 100_010_000_000

    def __init__(self, folder: Path, *, positions: bool = True, timeout_s: float = 1.0) -> None:
        self.instruments = {self.symbol: Instrument(self.symbol, "equity", "USD", 10_000_000, _NANO)}
        self.folder = folder
        self.positions = positions
        self.timeout_s = timeout_s
        self.session = Acceptor("VENUE", "DESK", USERNAME, PASSWORD)
        self.session.on_application = self.application
        self.session.on_raw = self._lost_on_the_way
        self.moved = self.session.moved
        self.book: dict[str, VenueOrder] = {}
        self.taken: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.executions = 0
        self.mass_status = True
        self.answer_status = True
        self._armed: list[Mishap] = []
        self._happened: list[Mishap] = []
        self._late: list[bytes] = []
        self._open: list[Broker] = []

    # --- under the test's control -------------------------------------------------------------------------------------

    def spec(self) -> GatewaySpec:
        """Return what a gateway would be told of this venue."""
        yes = "yes" if self.positions else "no"
        broker = BrokerSpec(
            kind="fix",
            url=f"tcp://127.0.0.1:{self.session.port}?heartbeat=10&account=ACC&positions={yes}",
            sender_comp_id="DESK",
            target_comp_id="VENUE",
            store=str(self.folder / "fix"),
            timeout_s=self.timeout_s,
        )
        return GatewaySpec("alice", "kit-run", "paper", "", "", 0, broker=broker)

    def open(self) -> Broker:
        """Return a fresh adapter on the same store."""
        broker = open_fix(self.spec(), self.instruments, Keys(USERNAME, PASSWORD))
        self._open.append(broker)
        return broker

    def price(self, symbol: str, bid_nano: int, ask_nano: int) -> None:
        """Nothing fills by itself here, so a price changes nothing."""

    def fill(self, client_order_id: str, qty_nano: int, price_nano: int) -> None:
        """Fill so much of an order, and tell it under a new ExecID."""
        with self.session.lock:
            order = self.book[client_order_id]
            sent = self._trade(order, qty_nano, price_nano)
            if self._happens(Mishap.DUPLICATE_EVENTS):
                self.session.put(frame(sent))
                again = [field for field in sent if field[0] not in {35, 49, 56, 34, 52}]
                self.session.send("8", [(97, "Y"), *again])

    def orders(self) -> dict[str, int]:
        """Return every order taken."""
        with self.session.lock:
            return dict(self.taken)

    def working(self) -> dict[str, int]:
        """Return what is left of every order of ours that works."""
        with self.session.lock:
            return {o.name: o.leaves for o in self._each() if o.leaves and not o.by_hand}

    def place_by_hand(self, symbol: str, side: Side, qty_nano: int, price_nano: int) -> str:
        """Place an order that the session hears nothing of."""
        with self.session.lock:
            order_id = f"V-{len(self.book) + 1}"
            text = _text(price_nano)
            name = f"HAND-{order_id}"
            self.book[name] = VenueOrder(order_id, name, symbol, "1" if side == "buy" else "2", qty_nano, text, True)
            return order_id

    def misbehave(self, mishap: Mishap) -> None:
        """Arm a mishap, or restart now."""
        if mishap in self.cannot:
            raise CannotMisbehaveError(self.cannot[mishap])
        with self.session.lock:
            if mishap is Mishap.RESTART_VENUE:
                self._happened.append(mishap)
                self.session.restart()
            elif mishap is Mishap.REORDER_EVENTS:
                self._armed += [mishap, mishap]
            else:
                self._armed.append(mishap)

    def happened(self, mishap: Mishap) -> int:
        """Return how often it came to pass."""
        with self.session.lock:
            return self._happened.count(mishap)

    def close(self) -> None:
        """Stop; nothing that was sent may have broken the protocol."""
        for broker in self._open:
            broker.close()
        self.session.close()
        assert self.session.violations == []

    def _happens(self, mishap: Mishap) -> bool:
        if mishap not in self._armed:
            return False
        self._armed.remove(mishap)
        self._happened.append(mishap)
        return True

    def _each(self) -> list[VenueOrder]:
        return list({id(order): order for order in self.book.values()}.values())

    # --- what is asked ------------------------------------------------------------------------------------------------

    def _lost_on_the_way(self, fields: Fields) -> bool:
        if first(fields, 35) == "D" and self._happens(Mishap.LOSE_REQUEST):
            self.session.drop()
            return True
        return False

    def application(self, fields: Fields) -> None:
        """Answer an application message."""
        kinds: dict[str, Callable[[Fields], None]] = {
            "D": self._new, "F": self._cancel, "G": self._replace, "H": self._status, "AF": self._mass, "AN": self._an,
        }  # fmt: skip
        kinds[first(fields, 35)](fields)

    def _new(self, fields: Fields) -> None:
        name, qty = first(fields, 11), to_nano(first(fields, 38))
        if self._happens(Mishap.ERROR_500):
            text = "Application not available"
            self.session.send("j", [(45, first(fields, 34)), (372, "D"), (380, "4"), (58, text)])
            return
        self.taken[name] = self.taken.get(name, 0) + qty
        price = first(fields, 44) or first(fields, 99)
        order = VenueOrder(f"V-{len(self.book) + 1}", name, first(fields, 55), first(fields, 54), qty, price)
        self.book[name] = order
        answer = self.report(order, "0")
        if self._happens(Mishap.LOSE_ANSWER):
            self.session.keep("8", answer)
        elif self._happens(Mishap.DISCONNECT_MID_ORDER):
            self.session.keep("8", answer)
            self.session.drop()
        elif self._happens(Mishap.GARBAGE_ANSWER):
            seq = self.session.keep("8", answer)
            self.session.put(frame(self.session.sent[seq]).replace(b"\x0137=", b"\x0138x"))
        elif self._happens(Mishap.FILL_BEFORE_ACK):
            self._trade(order, qty, to_nano(price) if price else self.ask_nano)
            self.session.send("8", self.report(order, "0"))
        else:
            self.session.send("8", answer)

    def _cancel(self, fields: Fields) -> None:
        order, request = self.book.get(first(fields, 41)), first(fields, 11)
        if order is None or order.status not in _OPEN or self._happens(Mishap.REJECT_CANCEL):
            self._refuse_cancel(request, first(fields, 41), order, "1")
            return
        self._happens(Mishap.LATE_FILL_AFTER_CANCEL)
        self.session.send("8", [*self.report(order, "6", status="6", name=request), (41, order.name)])
        order.status = "4"
        self.session.send("8", [*self.report(order, "4", name=request), (41, order.name)])

    def _refuse_cancel(self, request: str, name: str, order: VenueOrder | None, to: str) -> None:
        reason = "0" if order is not None else "1"
        order_id, status = (order.order_id, order.status) if order is not None else ("NONE", "8")
        fields = [(37, order_id), (11, request), (41, name), (39, status), (434, to), (102, reason)]
        self.session.send("9", fields)

    def _replace(self, fields: Fields) -> None:
        order, name = self.book.get(first(fields, 41)), first(fields, 11)
        total = to_nano(first(fields, 38))
        if order is None or order.status not in _OPEN or total <= order.cum:
            self._refuse_cancel(name, first(fields, 41), order, "2")
            return
        self.session.send("8", [*self.report(order, "E", status="E", name=name), (41, order.name)])
        order.original, order.name, order.qty = order.name, name, total
        order.price, order.base = first(fields, 44) or first(fields, 99), order.cum
        self.book[name] = order
        self.taken[name] = self.taken.get(name, 0) + total - order.cum
        self.session.send("8", [*self.report(order, "5"), (41, order.original)])

    def _status(self, fields: Fields) -> None:
        if not self.answer_status:
            return
        order, name = self.book.get(first(fields, 11)), first(fields, 11)
        echo = [(790, first(fields, 790))]
        if order is None:
            body = [(37, "NONE"), (17, "0"), (150, "I"), (39, "8"), (103, "5"), (55, first(fields, 55)), (54, "1")]
            self.session.send("8", [*body, (11, name), (151, "0"), (14, "0"), (6, "0"), *echo])
            return
        more = [(41, order.original)] if order.name != name else []
        self.session.send("8", [*self.report(order, "I", exec_id="0"), *more, *echo])

    def _mass(self, fields: Fields) -> None:
        if not self.mass_status:
            self.session.send("j", [(45, first(fields, 34)), (372, "AF"), (380, "3"), (58, "Unsupported")])
            return
        request = (584, first(fields, 584))
        working = [order for order in self._each() if order.leaves]
        if not working:
            body = [(37, "NONE"), (17, "0"), (150, "I"), (39, "8"), (54, "1"), (151, "0"), (14, "0"), (6, "0")]
            self.session.send("8", [*body, request, (911, "0"), (912, "Y")])
        for place, order in enumerate(working, 1):
            last = (912, "Y" if place == len(working) else "N")
            body = self.report(order, "I", exec_id="0")
            self.session.send("8", [*body, request, (911, str(len(working))), last])

    def _an(self, fields: Fields) -> None:
        request = (710, first(fields, 710))
        held = [(symbol, qty) for symbol, qty in sorted(self.held.items()) if qty]
        result = (728, "0" if held else "2")
        self.session.send("AO", [request, (721, "A-1"), (727, str(len(held))), result, (729, "0")])
        for symbol, qty in held:
            group = [(702, "1"), (703, "TQ"), (704, _text(max(qty, 0))), (705, _text(max(-qty, 0)))]
            head = [request, (721, f"P-{symbol}"), (727, str(len(held))), result, (55, symbol)]
            self.session.send("AP", [*head, *group])

    # --- what is told -------------------------------------------------------------------------------------------------

    def report(
        self, order: VenueOrder, kind: str, *, status: str = "", name: str = "", exec_id: str = "", last: str = ""
    ) -> Fields:
        """Return an ExecutionReport's body."""
        if not exec_id:
            self.executions += 1
            exec_id = f"E-{self.executions}"
        fields = [
            (37, order.order_id), (11, name or order.name), (17, exec_id), (150, kind), (39, status or order.status),
            (1, "ACC"), (55, order.symbol), (54, order.side), (38, _text(order.qty)), (151, _text(order.leaves)),
            (14, _text(order.cum)), (6, order.average), (60, now_text()),
        ]  # fmt: skip
        if order.price:
            fields.append((44, order.price))
        return fields + ([(32, last.split("@")[0]), (31, last.split("@")[1])] if last else [])

    def _trade(self, order: VenueOrder, qty: int, price: int) -> Fields:
        order.cum += qty
        order.worth += qty * price
        if order.status in _OPEN:
            order.status = "2" if order.cum >= order.qty else "1"
        self.held[order.symbol] = self.held.get(order.symbol, 0) + (qty if order.side == "1" else -qty)
        body = self.report(order, "F", last=f"{_text(qty)}@{_text(price)}")
        if Mishap.REORDER_EVENTS not in self._armed:
            return self.session.sent[self.session.send("8", body)]
        sent = self.session.sent[self.session.keep("8", body)]
        self._armed.remove(Mishap.REORDER_EVENTS)
        self._late.insert(0, frame(sent))
        if Mishap.REORDER_EVENTS not in self._armed:
            self._happened.append(Mishap.REORDER_EVENTS)
            for raw in self._late:
                self.session.put(raw)
            self._late.clear()
        return sent

    def bust(self, order_name: str, exec_id: str, qty_nano: int, price_nano: int) -> None:
        """Take an execution back (Trade Cancel)."""
        with self.session.lock:
            order = self.book[order_name]
            order.cum -= qty_nano
            order.worth -= qty_nano * price_nano
            self.held[order.symbol] -= qty_nano if order.side == "1" else -qty_nano
            if order.status == "2":
                order.status = "1"
            self.session.send("8", [*self.report(order, "H"), (19, exec_id)])

    def correct(self, order_name: str, exec_id: str, old: tuple[int, int], new: tuple[int, int]) -> None:
        """Correct an execution's quantity and price (Trade Correct)."""
        with self.session.lock:
            order = self.book[order_name]
            order.cum += new[0] - old[0]
            order.worth += new[0] * new[1] - old[0] * old[1]
            self.held[order.symbol] += (new[0] - old[0]) * (1 if order.side == "1" else -1)
            body = self.report(order, "G", last=f"{_text(new[0])}@{_text(new[1])}")
            self.session.send("8", [*body, (19, exec_id)])

    def time_ns(self) -> int:
        """Return the venue's time."""
        return wall_ns()


def _text(nano: int) -> str:
    return format(from_nano(nano), "f")
