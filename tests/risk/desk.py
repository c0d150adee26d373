"""A gate on a small desk: a feed and an execution of a few lines each, over the in-process transport, files on disk.

Not mocks: both answer the real questions in the real bytes, execution verifies tickets with the published key.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from bus.clock import NS
from bus.errors import BusError, LookAheadError
from bus.fixed import SCALE, to_nano
from bus.ids import client_order_id
from bus.local_transport import LocalTransport
from bus.messages import (
    Account,
    Bar,
    BookSettled,
    CancelAll,
    ClockTick,
    DayInfo,
    DescribeDay,
    EventsSince,
    Fill,
    GetAccount,
    Instrument,
    Kill,
    Message,
    Ok,
    OrderEvent,
    OrderEventKind,
    OrderEvents,
    OrderIntent,
    OrderStatus,
    OrderType,
    QuerySnapshot,
    Quote,
    Resume,
    RiskAsk,
    RiskState,
    SettleBook,
    Side,
    Snapshot,
    StageRequest,
    StageResult,
    Tick,
    TickAt,
    Ticket,
    TicketedOrder,
    Verdict,
    Verdicts,
)
from bus.transport import Server
from risk.gate import Gate, build_gate
from risk.limits import Limits, default_limits
from risk.spec import GateSpec
from risk.tickets import cancel_all_digest, order_digest, read_public_key, verify

CLIENT, RUN = "alice", "run-1"
START_NS = 1_380_000_000 * NS
MINUTE_NS = 60 * NS
CASH_NANO = 100_000 * SCALE
DIRECTORY = {"feed": "local://feed", "execution": "local://execution", "risk": "local://risk"}

INSTRUMENTS = (
    Instrument("ACME", "equity", "USD", tick_nano=to_nano("0.01"), lot_nano=SCALE),
    Instrument("NICK", "equity", "USD", tick_nano=to_nano("0.05"), lot_nano=SCALE),
    Instrument("EURO", "equity", "EUR", tick_nano=to_nano("0.01"), lot_nano=SCALE),
    Instrument("DEAD", "equity", "USD", tick_nano=to_nano("0.01"), lot_nano=SCALE, tradable=False),
    Instrument("HIDE", "equity", "USD", tick_nano=to_nano("0.01"), lot_nano=SCALE),
    Instrument("GOLD", "future", "USD", tick_nano=to_nano("0.1"), lot_nano=SCALE, multiplier=10),
)
TRADED = ("ACME", "DEAD", "EURO", "GOLD", "NICK")


class SmallFeed:
    """A clock and the newest prices; it serves nothing after its clock."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.day_id = "day-1"
        self.bar_s = 60
        self.kind: Literal["synthetic", "live"] = "synthetic"
        self.timezone = "UTC"
        self.bars: dict[str, Bar] = {}
        self.quotes: dict[str, Quote] = {}
        self.down = False

    def bar(self, symbol: str, price: str | int, event_time_ns: int | None = None) -> None:
        nano = to_nano(price)
        when = self.now_ns if event_time_ns is None else event_time_ns
        self.bars[symbol] = Bar(symbol, when - MINUTE_NS, when, when, nano, nano, nano, nano, 1_000 * SCALE)

    def quote(self, symbol: str, bid: str, ask: str) -> None:
        sides = to_nano(bid), to_nano(ask)
        self.quotes[symbol] = Quote(symbol, self.now_ns - MINUTE_NS, self.now_ns, self.now_ns, *sides, *sides)

    def handle(self, request: Message) -> Message:
        if self.down:
            raise BusError("the feed is down")
        match request:
            case DescribeDay():
                return DayInfo(
                    self.day_id, self.kind, "seal", "XNYS", self.timezone, self.bar_s, START_NS, START_NS, 1, 1,
                    INSTRUMENTS, TRADED,
                )  # fmt: skip
            case TickAt(now_ns=now_ns) if now_ns <= self.now_ns:
                return Tick(ClockTick(now_ns, 0, 1, False))
            case QuerySnapshot(symbols=symbols, as_of_ns=as_of_ns) if as_of_ns <= self.now_ns:
                bars = tuple(self.bars[symbol] for symbol in symbols if symbol in self.bars)
                quotes = tuple(self.quotes[symbol] for symbol in symbols if symbol in self.quotes)
                return Snapshot(as_of_ns, bars, quotes)
            case _:
                raise LookAheadError("that is after the clock")


class SmallExecution:
    """Takes ticketed orders, and does to them what a test says."""

    def __init__(self, public_key_file: Path) -> None:
        self._file = public_key_file
        self.now_ns = 0
        self.events: list[OrderEvent] = []
        self.orders: dict[str, OrderIntent] = {}
        self.filled: dict[str, int] = {}
        self.canceled: list[CancelAll] = []
        self.down = False

    def handle(self, request: Message) -> Message:
        if self.down:
            raise BusError("execution is down")
        match request:
            case EventsSince(seq=seq):
                return OrderEvents(tuple(self.events[seq:]), len(self.events))
            case GetAccount(now_ns=now_ns):
                self.now_ns = max(self.now_ns, now_ns)
                return Account(CLIENT, "replay", now_ns, 0, 0, 0)
            case CancelAll(now_ns=now_ns, reason=reason, ticket=ticket):
                self._verify(ticket, cancel_all_digest(CLIENT, now_ns, reason), max(self.now_ns, now_ns))
                self.canceled.append(request)
                return OrderEvents((), len(self.events))
            case _:
                return Ok()

    def _verify(self, ticket: Ticket, over: str, now_ns: int) -> None:
        key_id, key = read_public_key(self._file)
        verify(ticket, over=over, client=CLIENT, now_ns=now_ns, key_id=key_id, public_key=key)

    def send(self, order: TicketedOrder, now_ns: int) -> None:
        self._verify(order.ticket, order_digest(order.intent), max(now_ns, self.now_ns))
        self.orders[order.intent.client_order_id] = order.intent
        self.step(order.intent.client_order_id, "accepted", "accepted", now_ns)

    def step(
        self,
        order_id: str,
        kind: OrderEventKind,
        status: OrderStatus,
        now_ns: int,
        qty: int = 0,
        price: str = "0",
        fee: str = "0",
    ) -> None:
        intent = self.orders[order_id]
        fill = None
        if qty:
            self.filled[order_id] = self.filled.get(order_id, 0) + qty * SCALE
            fill = Fill(
                f"f{len(self.events)}", order_id, intent.symbol, intent.side, qty * SCALE, to_nano(price), to_nano(fee),
                now_ns,
            )  # fmt: skip
        event = OrderEvent(
            len(self.events) + 1, order_id, intent.symbol, intent.side, kind, status, now_ns, intent.qty_nano,
            self.filled.get(order_id, 0), fill=fill,
        )  # fmt: skip
        self.events.append(event)


class Desk:
    """A gate, its feed and its execution. Desks are closed after each test (``conftest``)."""

    made: ClassVar[list[Desk]] = []

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.made.append(self)
        self.folder = folder
        self.limits = limits or default_limits(CASH_NANO)
        self.feed = SmallFeed()
        self.execution = SmallExecution(folder / "gate.pub")
        self.transport = LocalTransport()
        self.transport.server(DIRECTORY["feed"], self.feed)
        self.transport.server(DIRECTORY["execution"], self.execution)
        self.spec = GateSpec(
            CLIENT, RUN, "replay", self.limits, str(folder / "gate.sqlite"), str(folder / "gate.pub"), CASH_NANO
        )
        self.cycle = 1
        self.gates: list[Gate] = []
        self.server: Server | None = None
        self.gate: Gate
        self.start()
        for symbol in ("ACME", "NICK", "EURO", "DEAD", "HIDE"):
            self.feed.bar(symbol, "100")
        self.feed.bar("GOLD", "1300")

    def start(self) -> None:
        """Start the gate: for the first time, or again on the same files (a killed process closes nothing)."""
        self.gate = build_gate(self.spec, self.transport, DIRECTORY)
        self.gates.append(self.gate)
        if self.server is not None:
            self.server.close()
        self.server = self.transport.server(DIRECTORY["risk"], self.gate)

    def close(self) -> None:
        """Close every gate that there was."""
        for gate in self.gates:
            gate.close()

    def ask(self, request: Message) -> Message:
        return self.transport.client(DIRECTORY["risk"]).call(request)

    def settle(self, now_ns: int | None = None) -> BookSettled:
        answer = self.ask(SettleBook(self.feed.now_ns if now_ns is None else now_ns))
        assert isinstance(answer, BookSettled)
        return answer

    def advance(self, ns: int = MINUTE_NS, **prices: str) -> BookSettled:
        """Move the clock, keep every price fresh, and settle."""
        self.feed.now_ns += ns
        self.execution.now_ns = self.feed.now_ns
        for symbol, bar in list(self.feed.bars.items()):
            if symbol not in prices:
                self.feed.bars[symbol] = msgspec.structs.replace(
                    bar, event_time_ns=self.feed.now_ns, available_time_ns=self.feed.now_ns
                )
        for symbol, price in prices.items():
            self.feed.bar(symbol, price)
        self.cycle += 1
        return self.settle()

    def intent(
        self,
        symbol: str = "ACME",
        side: Side = "buy",
        qty: str | int = 10,
        limit: str | int = 0,
        index: int = 0,
        order_type: OrderType | None = None,
        **other: object,
    ) -> OrderIntent:
        cycle = self.cycle
        kind: Literal["market", "limit"] = order_type or ("limit" if to_nano(limit) else "market")
        made = OrderIntent(
            client_order_id(CLIENT, RUN, cycle, index), CLIENT, RUN, cycle, index, symbol, side, kind, "day",
            to_nano(qty), to_nano(limit), self.feed.now_ns, "test",
        )  # fmt: skip
        return msgspec.structs.replace(made, **other)

    def request(self, *intents: OrderIntent) -> StageRequest:
        return StageRequest(RUN, CLIENT, self.cycle, self.feed.now_ns, RiskAsk(intents))

    def judge(self, *intents: OrderIntent) -> Verdicts:
        return verdicts(self.ask(self.request(*intents)))

    def code(self, *intents: OrderIntent) -> str:
        """Return the code of the last intent's verdict."""
        return self.judge(*intents).verdicts[-1].code

    def buy(self, qty: int, price: str, symbol: str = "ACME", side: Side = "buy") -> str:
        """Have an order approved, sent and wholly filled; it counts from the next instant on."""
        answer = self.judge(self.intent(symbol, side, qty))
        assert answer.verdicts[0].approved, answer.verdicts[0]
        self.execution.send(answer.orders[0], self.feed.now_ns)
        order_id = answer.orders[0].intent.client_order_id
        self.execution.step(order_id, "fill", "filled", self.feed.now_ns, qty, price)
        return order_id

    def kill(self) -> RiskState:
        return state(self.ask(Kill("test", "a person")))

    def resume(self) -> RiskState:
        return state(self.ask(Resume("a person")))


def verdicts(answer: Message) -> Verdicts:
    assert isinstance(answer, StageResult)
    assert isinstance(answer.answer, Verdicts)
    return answer.answer


def state(answer: Message) -> RiskState:
    assert isinstance(answer, RiskState)
    return answer


def unsigned(answer: Verdicts) -> tuple[tuple[Verdict, ...], tuple[Ticket, ...]]:
    """Return an answer without what may differ between two runs."""
    tickets = tuple(msgspec.structs.replace(order.ticket, key_id="", signature=b"") for order in answer.orders)
    return answer.verdicts, tickets
