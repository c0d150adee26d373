"""The paper broker as a venue of the kit. Not a loopback server: it has no wire, so nothing can be lost on one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from bus.fixed import to_nano
from bus.messages import Bar, ClockTick, Instrument, OrderIntent, Side, Tick
from execution._paper_order import Working
from execution.broker import Broker, BrokerReport, KnownOrder, Offered
from execution.paper import PAPER_OFFERS, PaperBroker
from execution.spec import FillModelSpec, GatewaySpec
from tests.brokers.kit import CannotMisbehaveError, Mishap, Venue

__all__ = ["PAPER_SPEC", "PaperVenue"]

MINUTE = 60_000_000_000
T0 = 1_380_000_000_000_000_000 // MINUTE * MINUTE
PAPER_SPEC = GatewaySpec(
    client="alice",
    run_id="kit-run",
    mode="paper",
    database="",
    public_key_file="",
    start_cash_nano=to_nano(100_000),
    fill_model=FillModelSpec(latency_ns=0, half_spread_ppm=0, slippage_ppm=0, participation_ppm=1_000_000),
)
STOCK = Instrument("IBM", "equity", "USD", to_nano("0.01"), to_nano(1))

_IN_PROCESS = "the paper broker is called in this process, so an answer is always the answer."
_NO_EVENTS = "the paper broker sends no events: the market is handed to it and it answers with what happened."


class Recorded(PaperBroker):
    """The paper broker, with each order that it takes up written down, but for those that a restart restores."""

    def __init__(self, taken: dict[str, int]) -> None:
        super().__init__(PAPER_SPEC, {STOCK.symbol: STOCK})
        self._taken = taken
        self._restoring = False
        self.away = False

    def close(self) -> None:
        self.away = True

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        self._restoring = True
        super().restore(orders, day_done=day_done)
        self._restoring = False

    def _take(self, intent: OrderIntent, sent_ns: int) -> Working:
        if not self._restoring:
            name = intent.client_order_id
            self._taken[name] = self._taken.get(name, 0) + intent.qty_nano
        return super()._take(intent, sent_ns)

    def left(self) -> dict[str, Working]:
        return {name: order for orders in self._working.values() for name, order in orders.items()}


class PaperVenue(Venue):
    """A market that moves only when an order is to be filled, by a bar that does exactly that."""

    offers: Offered = PAPER_OFFERS
    symbol = STOCK.symbol
    qty_nano = to_nano(8)
    bid_nano = to_nano("99.95")
    ask_nano = to_nano("100.05")
    cannot: Mapping[Mishap, str] = {
        Mishap.LOSE_ANSWER: _IN_PROCESS,
        Mishap.LOSE_REQUEST: _IN_PROCESS,
        Mishap.ERROR_500: _IN_PROCESS,
        Mishap.GARBAGE_ANSWER: _IN_PROCESS,
        Mishap.DUPLICATE_EVENTS: _NO_EVENTS,
        Mishap.REORDER_EVENTS: _NO_EVENTS,
        Mishap.FILL_BEFORE_ACK: "an order is acknowledged by the call that sends it, before any bar can meet it.",
        Mishap.REJECT_CANCEL: "a cancel of an order that works is effective at once and never refused.",
        Mishap.DISCONNECT_MID_ORDER: "there is no connection; what kill -9 does in between is in tests/execution.",
        Mishap.RESTART_VENUE: "it lives and dies with the gateway; a restart is the kit's own restart test.",
        Mishap.LATE_FILL_AFTER_CANCEL: "no bar that becomes available after a cancel fills the order.",
    }

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {STOCK.symbol: STOCK}
        self.moved = threading.Event()
        self._taken: dict[str, int] = {}
        self._broker = Recorded(self._taken)
        self._minute = 0
        self._ticks: list[Tick] = []
        self._told: list[BrokerReport] = []

    def now_ns(self) -> int:
        return T0 + self._minute * MINUTE

    def open(self) -> Broker:
        self._broker = Recorded(self._taken)
        return self._broker

    def hear(self, broker: Broker) -> list[BrokerReport]:
        told, self._told = self._told, []
        ticks, self._ticks = self._ticks, []
        return [*told, *broker.drain(), *(report for tick in ticks for report in broker.work(tick))]

    def price(self, symbol: str, bid_nano: int, ask_nano: int) -> None:
        assert (symbol, 0 < bid_nano < ask_nano) == (self.symbol, True), "only a bar moves an order here, not a quote"

    def fill(self, client_order_id: str, qty_nano: int, price_nano: int) -> None:
        side = self._broker.left()[client_order_id].intent.side
        tick, opens = STOCK.tick_nano, self.now_ns()
        low, high = (price_nano - tick, price_nano) if side == "buy" else (price_nano, price_nano + tick)
        self._minute += 1
        now_ns = self.now_ns()
        bar = Bar(STOCK.symbol, opens, now_ns, now_ns, price_nano, high, low, price_nano, qty_nano)
        shown = Tick(ClockTick(now_ns, self._minute, 10**6, done=False), (bar,))
        if self._broker.away:
            self._ticks.append(shown)
        else:
            self._told += self._broker.work(shown)
        self.moved.set()

    def orders(self) -> dict[str, int]:
        return dict(self._taken)

    def working(self) -> dict[str, int]:
        return {name: o.intent.qty_nano - o.filled_nano for name, o in self._broker.left().items()}

    def place_by_hand(self, symbol: str, side: Side, qty_nano: int, price_nano: int) -> str:
        raise CannotMisbehaveError(f"{side} {qty_nano} {symbol} at {price_nano}: there is no account but ours")

    def misbehave(self, mishap: Mishap) -> None:
        raise CannotMisbehaveError(self.cannot[mishap])

    def happened(self, mishap: Mishap) -> int:
        return 0 if mishap in self.cannot else 1

    def close(self) -> None:
        self._broker.close()
