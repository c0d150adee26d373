"""A broker's books that are the truth, and ours on the real order book and ledger: what reconciling is played on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bus.fixed import to_nano
from bus.messages import Fill, Instrument, OrderIntent, Side
from execution.broker import BrokerReport, Held, OpenOrder, Statement
from execution.ledger import Ledger
from execution.orders import OrderBook
from execution.reconcile import Ours, Outcome, compare
from execution.spec import GatewaySpec

__all__ = [
    "CENT",
    "IBM",
    "INSTRUMENTS",
    "NOW",
    "Books",
    "Venue",
    "agree",
    "intent",
    "nothing",
    "opened",
    "ours_sent",
    "settle",
    "told",
]

NOW = 1_400_000_000_000_000_000
IBM = Instrument("IBM", "equity", "USD", to_nano("0.01"), to_nano(1))
ES = Instrument("ES", "future", "USD", to_nano("0.25"), to_nano(1), multiplier=50)
INSTRUMENTS = {IBM.symbol: IBM, ES.symbol: ES}
SPEC = GatewaySpec("alice", "run-1", "live", "", "", to_nano(100_000))
CENT = to_nano("0.01")


class Books:
    """Ours: a journal's events, in memory."""

    def __init__(self) -> None:
        self.book = OrderBook()
        self.ledger = Ledger(SPEC, INSTRUMENTS)
        self.alarms: list[str] = []
        self.synthetic: set[str] = set()

    def ours(self) -> Ours:
        held = tuple(
            Held(symbol, h.qty_nano, h.avg_price_nano) for symbol, h in self.ledger.holdings.items() if h.qty_nano
        )
        return Ours("alice", "run-1", tuple(self.book.events), self.ledger.cash_nano, held)

    def send(self, intent: OrderIntent, now_ns: int, *, answer: bool = True) -> None:
        self.book.advance(self.book.add(intent, now_ns), "sent", now_ns)
        if answer:
            self.hear(BrokerReport(intent.client_order_id, "accepted"), now_ns)

    def hear(self, report: BrokerReport, now_ns: int) -> None:
        event = self.book.report(report, now_ns)
        if isinstance(event, str):
            self.alarms.append(event)
        elif event is not None:
            if event.reason.startswith("alarm"):
                self.alarms.append(event.reason)
            self.ledger.take(event)

    def apply(self, outcome: Outcome, now_ns: int) -> None:
        for adopted in outcome.adopt:
            self.book.add(adopted.intent, now_ns, adopted.origin, "", adopted.price_nano)
            if adopted.origin == "synthetic":
                self.synthetic.add(adopted.intent.client_order_id)
        for report in outcome.reports:
            self.hear(report, now_ns)
        for move in outcome.cash:
            self.ledger.take(self.book.cash(move.cash_id, move.cash_nano, move.time_ns, move.reason))


class Venue:
    """The broker's: every order and execution there really was."""

    def __init__(self, cash_nano: int = SPEC.start_cash_nano, round_nano: int = 1) -> None:
        self.now_ns = NOW
        self.orders: dict[str, OpenOrder] = {}
        self.fills: list[Fill] = []
        self.ledger = Ledger(msgspec.structs.replace(SPEC, start_cash_nano=cash_nano), INSTRUMENTS)
        self.book = OrderBook()
        self._round_nano = round_nano

    def tick(self) -> int:
        self.now_ns += 1_000_000_000
        return self.now_ns

    def place(self, name: str, side: Side, qty: int, symbol: str = "IBM", price: int = 100) -> OpenOrder:
        self.tick()
        order = OpenOrder(name, f"b-{name}", symbol, side, to_nano(qty), 0, to_nano(price))
        self.orders[name] = order
        self.book.add(intent(name, side, qty, symbol, price), self.now_ns, "external")
        self.book.advance(self.book.orders[name], "accepted", self.now_ns)
        return order

    def fill(self, name: str, qty: int, price: int, fee: int = 0) -> Fill:
        order = self.orders[name]
        number = len(self.fills) + 1
        fill = Fill(
            f"x{number}", name, order.symbol, order.side, to_nano(qty), to_nano(price), to_nano(fee), self.tick()
        )
        self._take("fill", fill)
        self.orders[name] = msgspec.structs.replace(order, filled_nano=order.filled_nano + fill.qty_nano)
        return fill

    def amend(self, first: Fill, price: int | None) -> BrokerReport:
        """Bust an execution, or correct its price."""
        number = len(self.fills) + 1
        fill = msgspec.structs.replace(
            first,
            fill_id=f"x{number}",
            refers_to=first.fill_id,
            time_ns=self.tick(),
            price_nano=first.price_nano if price is None else to_nano(price),
        )
        if price is None:
            order = self.orders[first.client_order_id]
            self.orders[first.client_order_id] = msgspec.structs.replace(
                order, filled_nano=order.filled_nano - first.qty_nano
            )
        return self._take("bust" if price is None else "correct", fill)

    def _take(self, kind: str, fill: Fill) -> BrokerReport:
        report = BrokerReport(
            fill.client_order_id, "bust" if kind == "bust" else "correct" if kind == "correct" else "fill", fill=fill
        )
        event = self.book.report(report, self.now_ns)
        assert event is not None
        assert not isinstance(event, str), event
        self.ledger.take(event)
        self.fills.append(fill)
        return report

    def end(self, name: str) -> None:
        """Cancel what is left of an order."""
        self.tick()
        self.book.advance(self.book.orders[name], "canceled", self.now_ns)

    def works(self, name: str) -> bool:
        order = self.orders[name]
        return self.book.orders[name].status != "canceled" and order.filled_nano < order.qty_nano

    def ask(self, name: str) -> list[BrokerReport]:
        """Everything definite about an order."""
        if name not in self.orders:
            return [BrokerReport(name, "rejected", "never_arrived")]
        told = [BrokerReport(name, "accepted")]
        first: dict[str, Fill] = {}
        for fill in self.fills:
            if fill.client_order_id == name:
                before = first.get(fill.refers_to)
                same = before is not None and before.price_nano == fill.price_nano
                told.append(BrokerReport(name, "fill" if before is None else "bust" if same else "correct", fill=fill))
                first[fill.fill_id] = fill
        return told if self.works(name) or self._whole(name) else [*told, BrokerReport(name, "canceled")]

    def _whole(self, name: str) -> bool:
        return self.orders[name].filled_nano >= self.orders[name].qty_nano

    def statement(self) -> Statement:
        held = tuple(
            Held(symbol, h.qty_nano, h.avg_price_nano) for symbol, h in self.ledger.holdings.items() if h.qty_nano
        )
        open_orders = tuple(order for name, order in self.orders.items() if self.works(name))
        cash = self.ledger.cash_nano // self._round_nano * self._round_nano
        return Statement(cash, held, open_orders, tuple(self.fills), self.now_ns)


def intent(name: str, side: Side, qty: int, symbol: str = "IBM", price: int = 100) -> OrderIntent:
    """An order of ours."""
    return OrderIntent(
        name, "alice", "run-1", 1, 0, symbol, side, "limit", "gtc", to_nano(qty), to_nano(price), NOW, "test"
    )


def settle(
    books: Books, venue: Venue, *, consent: str = "", edit: Callable[[Statement], Statement] | None = None
) -> Outcome:
    """Compare as the engine does: twice at most, asking in between; what was found is applied each time."""
    outcome = Outcome()
    for last in (False, True):
        told = venue.statement()
        outcome = compare(books.ours(), edit(told) if edit else told, INSTRUMENTS, last=last, consent=consent)
        again = compare(books.ours(), edit(told) if edit else told, INSTRUMENTS, last=last, consent=consent)
        assert again == outcome, "the same inputs give the same answer and the same ids"
        books.apply(outcome, venue.now_ns)
        for name in outcome.ask:
            for report in venue.ask(name):
                books.hear(report, venue.now_ns)
        if not outcome.again:
            break
    return outcome


def opened(venue: Venue | None = None) -> tuple[Books, Venue]:
    """Books that have been compared with an account once."""
    books, venue = Books(), venue or Venue()
    assert settle(books, venue).halted == ""
    return books, venue


def ours_sent(books: Books, venue: Venue, name: str, side: Side, qty: int, *, answer: bool = True) -> None:
    """An order of ours that arrived."""
    venue.place(name, side, qty)
    books.send(intent(name, side, qty), venue.now_ns, answer=answer)


def told(books: Books, fill: Fill) -> None:
    books.hear(BrokerReport(fill.client_order_id, "fill", fill=fill), fill.time_ns)


def agree(books: Books, venue: Venue) -> None:
    """Both sides' quantities and cash are the same to the billionth."""
    mine = {symbol: held.qty_nano for symbol, held in books.ledger.holdings.items() if held.qty_nano}
    theirs = {symbol: held.qty_nano for symbol, held in venue.ledger.holdings.items() if held.qty_nano}
    assert mine == theirs
    assert books.ledger.cash_nano == venue.statement().cash_nano


def nothing(outcome: Outcome) -> bool:
    return not (outcome.adopt or outcome.reports or outcome.cash or outcome.ask or outcome.halted or outcome.again)
