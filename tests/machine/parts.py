"""The processes of the machine and what can go wrong with them: killed at a point, misunderstood by their venue.

Not stand-ins: gate, gateways and journals are the real ones. A process is killed at a point before or after a commit or
a call; from then on nothing of it comes out, whatever its own code still does on the way up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bus.deferred import Deferred
from bus.errors import CallTimeoutError
from bus.fixed import SCALE
from bus.messages import Fill, Instrument, Message, OrderIntent
from bus.transport import Client
from execution.broker import BrokerReport, Offered, ReportKind, Statement
from execution.journal import Journal
from execution.spec import GatewaySpec
from risk.journal import GateJournal
from tests.execution.venue import Received, Venue, VenueBroker

__all__ = ["Arrival", "BooksFile", "Fuse", "GateFile", "House", "Killed", "Line", "Process"]


_T = TypeVar("_T")


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Ends its process at the n-th point from now; a process that has ended comes past no point."""

    def __init__(self) -> None:
        self.left = 0
        self.blown = False

    def point(self) -> None:
        if self.left:
            self.left -= 1
            self.blown = not self.left
        if self.blown:
            raise Killed


class GateFile(GateJournal):
    """The gate's journal with a point before and after each commit."""

    fuse = Fuse()

    def _begin(self) -> None:
        if self.fuse.blown:
            raise Killed
        super()._begin()

    def _commit(self) -> None:
        self.fuse.point()
        super()._commit()
        self.fuse.point()


class BooksFile(Journal):
    """A gateway's journal with the same points."""

    fuse = Fuse()

    def _begin(self) -> None:
        if self.fuse.blown:
            raise Killed
        super()._begin()

    def _commit(self) -> None:
        self.fuse.point()
        super()._commit()
        self.fuse.point()


class Line:
    """A process's way to another one, with a point before and after each call."""

    def __init__(self, client: Client, fuse: Fuse) -> None:
        self._client = client
        self._fuse = fuse

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        self._fuse.point()
        try:
            return self._client.call(request, timeout_s)
        finally:
            self._fuse.point()

    def close(self) -> None:
        self._client.close()


class Service(Protocol):
    """What runs in a process."""

    def handle(self, request: Message) -> Message | Deferred: ...

    def close(self) -> None: ...


class Process:
    """A service that may be gone: then nobody answers, and nobody knows what it did last."""

    def __init__(self, make: Callable[[Fuse], Service]) -> None:
        self._make = make
        self.fuse = Fuse()
        self.service: Service | None = None
        self.kills = 0

    def start(self) -> None:
        self.end()
        self.fuse = Fuse()
        self.service = self._make(self.fuse)

    def end(self) -> None:
        service, self.service = self.service, None
        if service is not None:
            self.fuse.blown = True
            service.close()

    def handle(self, request: Message) -> Message | Deferred:
        if self.service is None:
            raise CallTimeoutError("no answer: this process is gone")
        try:
            return self.service.handle(request)
        except Killed:
            self.kills += 1
            self.end()
            raise CallTimeoutError("no answer: this process was killed") from None

    def act(self, act: Callable[[], object]) -> None:
        """Let it do something that nobody asked it for."""
        try:
            act()
        except Killed:
            self.kills += 1
            self.end()


@dataclass(frozen=True)
class Arrival:
    """An order that reached a venue, by the gateway's clock."""

    client: str
    intent: OrderIntent
    now_ns: int


class House(Venue):
    """One client's venue. Honest, if unlucky: what it says of the end of an order comes after all of its fills.

    Attributes:
        arrivals: Everything that came, oldest first.
        prices: Where an order without a limit is filled.
        deaf: How many questions about orders that are not over are not answered from now on.
    """

    def __init__(self, client: str, offers: Offered, cash_nano: int) -> None:
        super().__init__(offers)
        self.client = client
        self.cash_nano = cash_nano
        self.arrivals: list[Arrival] = []
        self.prices: dict[str, int] = {}
        self.heard: set[str] = set()
        self.deaf = 0
        self.sender_ns = 0
        """The clock of the gateway whose call this is: what tickets are good by."""
        self.done: set[str] = set()
        """Mishaps that came to pass."""

    def take(self, mishap: str) -> bool:
        taken = super().take(mishap)
        if taken:
            self.done.add(mishap)
        return taken

    def broker(self, _spec: GatewaySpec, _instruments: dict[str, Instrument]) -> HouseBroker:
        self.opened += 1
        self.queues = [[]]
        return HouseBroker(self)

    def arrive(self, intent: OrderIntent) -> Received:
        self.arrivals.append(Arrival(self.client, intent, self.sender_ns))
        return super().arrive(intent)

    def asked_for(self) -> int:
        """Return how many orders came that are nobody's legs: legs come whenever their gateway is asked anything."""
        return sum(not arrival.intent.parent_id for arrival in self.arrivals)

    def fill(
        self, client_order_id: str, qty_nano: int, price_nano: int, fee_nano: int = 0, *, told: bool = True
    ) -> Fill:
        if price_nano == SCALE:
            price_nano = self.prices[self.orders[client_order_id].intent.symbol]
        return super().fill(client_order_id, qty_nano, price_nano, fee_nano, told=told)

    def end(self, client_order_id: str, kind: ReportKind, *, told: bool = True) -> None:
        if told:
            self.repeat(client_order_id)
        super().end(client_order_id, kind, told=told)

    def repeat(self, client_order_id: str) -> None:
        """Tell every fill of an order again."""
        for fill in self.orders[client_order_id].fills:
            self.tell(client_order_id, "fill", fill)

    def hear(self, reports: tuple[BrokerReport, ...] | list[BrokerReport]) -> None:
        self.heard.update(report.fill.fill_id for report in reports if report.fill is not None)

    def kept(self, ask: Callable[[], _T]) -> _T:
        """Ask without a mishap: those that are due stay for the next call."""
        due, self.mishaps = self.mishaps, set()
        try:
            return ask()
        finally:
            self.mishaps = due

    def unheard(self, client_order_id: str) -> bool:
        """Whether a fill of an order is still to be told."""
        return any(fill.fill_id not in self.heard for fill in self.orders[client_order_id].fills)


class HouseBroker(VenueBroker):
    """One connection to a house."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._house = house

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        house = self._house
        old = house.orders.get(intent.replaces)
        house.sender_ns = now_ns
        if old is not None and house.unheard(intent.replaces):
            house.mishaps.add("refuse")  # it was about another rest; what was heard, the gateway has to heed itself
        try:
            return super().replace(intent, now_ns)
        finally:
            house.mishaps.discard("refuse")

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        self._house.sender_ns = now_ns
        return super().submit(intent, now_ns)

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        house = self._house
        order = house.orders.get(client_order_id)
        if order is not None and order.open and house.unheard(client_order_id):
            house.end(client_order_id, "canceled")
            return BrokerReport(client_order_id, "pending_cancel")
        return super().cancel(client_order_id, now_ns)

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        house = self._house
        order = house.orders.get(client_order_id)
        if order is not None and not order.open:
            # Without this answer a comparison halts the client, as it should: that is another story.
            reports = house.kept(lambda: super(HouseBroker, self).query(client_order_id))
        elif house.deaf:
            house.deaf -= 1
            raise TimeoutError("no answer")
        else:
            reports = super().query(client_order_id)
        house.hear(reports)
        return reports

    def drain(self) -> list[BrokerReport]:
        reports = super().drain()
        self._house.hear(reports)
        return reports

    def statement(self) -> Statement | None:
        """Tell the account; this answer is not lost: what a desk does without it is ``tests/execution``'s."""
        told = self._house.kept(super().statement)
        self._house.heard.update(fill.fill_id for fill in self._house.fills)
        return told
