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
    CancelOrder,
    ClearHalt,
    ClockTick,
    DayInfo,
    DescribeDay,
    EventsSince,
    Fill,
    GetAccount,
    GetOrders,
    GetRiskState,
    Instrument,
    Kill,
    Message,
    Ok,
    OrderEvent,
    OrderEventKind,
    OrderEvents,
    OrderIntent,
    Orders,
    OrderState,
    OrderStatus,
    OrderType,
    QuerySessions,
    QuerySnapshot,
    Quote,
    Resume,
    RiskAsk,
    RiskState,
    Session,
    Sessions,
    SettleBook,
    Side,
    Snapshot,
    StageRequest,
    StageResult,
    Tick,
    TickAt,
    Ticket,
    TicketedOrder,
    TradingState,
    Verdict,
    Verdicts,
)
from bus.transport import Server
from execution.swept import Sweeps, check_epoch, swept
from risk.gate import Gate, build_gate
from risk.limits import DeskLimits, Limits, StrategyLimits, SymbolLimits, default_desk_limits, default_limits
from risk.resume import read_resume_key, resume_proof
from risk.spec import ClientSpec, GateSpec
from risk.tickets import (
    cancel_all_digest,
    cancel_digest,
    clear_halt_digest,
    order_digest,
    read_public_key,
    verify,
)

CLIENT, RUN = "alice", "run-1"
START_NS = 1_380_000_000 * NS
MINUTE_NS = 60 * NS
CASH_NANO = 100_000 * SCALE
DIRECTORY = {
    "feed": "local://feed",
    "execution": "local://execution",
    "execution.bob": "local://execution.bob",
    "risk": "local://risk",
}

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
        self.last_ns = START_NS + 30 * 86_400 * NS
        self.bars: dict[str, Bar] = {}
        self.quotes: dict[str, Quote] = {}
        self.halted: set[str] = set()
        self.sessions: tuple[Session, ...] | None = None
        self.down = False
        self.asked: list[str] = []

    def bar(self, symbol: str, price: str | int, event_time_ns: int | None = None) -> None:
        nano = to_nano(price)
        when = self.now_ns if event_time_ns is None else event_time_ns
        self.bars[symbol] = Bar(symbol, when - MINUTE_NS, when, when, nano, nano, nano, nano, 1_000 * SCALE)

    def quote(self, symbol: str, bid: str, ask: str) -> None:
        sides = to_nano(bid), to_nano(ask)
        self.quotes[symbol] = Quote(symbol, self.now_ns - MINUTE_NS, self.now_ns, self.now_ns, *sides, *sides)

    @staticmethod
    def _new(bars: dict[str, Bar], now_ns: int) -> list[Bar]:
        return [bars[symbol] for symbol in sorted(bars) if bars[symbol].available_time_ns == now_ns]

    def handle(self, request: Message) -> Message:
        if self.down:
            raise BusError("the feed is down")
        self.asked.append(type(request).__name__)
        match request:
            case DescribeDay():
                return DayInfo(
                    self.day_id, self.kind, "seal", "XNYS", self.timezone, self.bar_s, START_NS, self.last_ns, 1, 1,
                    INSTRUMENTS, TRADED,
                )  # fmt: skip
            case TickAt(now_ns=now_ns) if now_ns <= self.now_ns:
                return Tick(ClockTick(now_ns, 0, 1, now_ns >= self.last_ns), tuple(self._new(self.bars, now_ns)))
            case QuerySnapshot(symbols=symbols, as_of_ns=as_of_ns) if as_of_ns <= self.now_ns:
                bars = tuple(self.bars[symbol] for symbol in symbols if symbol in self.bars)
                quotes = tuple(self.quotes[symbol] for symbol in symbols if symbol in self.quotes)
                return Snapshot(as_of_ns, bars, quotes, tuple(sorted(self.halted)))
            case QuerySessions(from_ns=from_ns, to_ns=to_ns) if self.sessions is not None:
                found = tuple(each for each in self.sessions if each.open_ns < to_ns and each.close_ns > from_ns)
                return Sessions("XNYS", self.timezone, found)
            case _:
                raise LookAheadError("that is after the clock")


class SmallExecution:
    """Takes one client's ticketed orders, and does to them what a test says."""

    def __init__(self, public_key_file: Path, client: str = CLIENT) -> None:
        self._file = public_key_file
        self.client = client
        self.now_ns = 0
        self.halted = ""
        self.events: list[OrderEvent] = []
        self.orders: dict[str, OrderIntent] = {}
        self.filled: dict[str, int] = {}
        self.status: dict[str, OrderStatus] = {}
        self.canceled: list[CancelAll] = []
        self.asked: list[CancelOrder] = []
        self.cleared: list[ClearHalt] = []
        self.lost: set[str] = set()
        self.sweeps: Sweeps = {}
        self._keys: dict[str, bytes] = {}
        self.down = False
        self.slow = False
        """Whether its clock stays where it is."""

    def handle(self, request: Message) -> Message:
        if self.down:
            raise BusError("execution is down")
        match request:
            case EventsSince(seq=seq):
                return OrderEvents(tuple(self.events[seq:]), len(self.events))
            case GetAccount(now_ns=now_ns):
                if not self.slow:
                    self.now_ns = max(self.now_ns, now_ns)
                return Account(self.client, "replay", min(now_ns, self.now_ns), 0, 0, 0, halted=self.halted)
            case CancelAll() | CancelOrder() | ClearHalt():
                return self._ticketed(request)
            case GetOrders(status=status, client_order_ids=ids, offset=offset, limit=limit):
                found = [
                    OrderState(intent, self.status[key], 0, 0, 0, "", 0, 0)
                    for key, intent in self.orders.items()
                    if (not ids or key in ids) and (status == "all" or self.works(key))
                ]
                return Orders(self.now_ns, tuple(found[offset : offset + limit]), len(found))
            case _:
                return Ok()

    def works(self, order_id: str) -> bool:
        return self.status[order_id] in {"accepted", "partially_filled", "unknown", "in_flight", "pending_cancel"}

    def _ticketed(self, request: CancelAll | CancelOrder | ClearHalt) -> Message:
        now_ns, ticket = request.now_ns, request.ticket
        match request:
            case CancelAll(reason=reason, strategy=strategy):
                over = cancel_all_digest(self.client, now_ns, reason, strategy)
                self._verify(ticket, over, max(self.now_ns, now_ns))
                self.canceled.append(request)
                mine = [key for key in self.orders if self.works(key) and self._of(key, strategy)]
                if self.lost & set(mine):
                    raise BusError("no answer")
                self.sweeps = swept(self.sweeps, strategy, len(self.events) + 1, ticket.epoch)
                first = len(self.events)
                for key in mine:
                    self.step(key, "canceled", "canceled", now_ns)
                return OrderEvents(tuple(self.events[first:]), len(self.events))
            case CancelOrder(client_order_id=key, reason=reason):
                self._verify(ticket, cancel_digest(self.client, key, now_ns, reason), now_ns)
                self.asked.append(request)
                if key in self.lost:
                    raise BusError("no answer")
                self.step(key, "canceled", "canceled", now_ns)
                return OrderEvents((self.events[-1],), len(self.events))
            case ClearHalt(by=by):
                self._verify(ticket, clear_halt_digest(self.client, now_ns, by), now_ns)
                self.cleared.append(request)
                self.halted = ""
                return Account(self.client, "replay", now_ns, 0, 0, 0)

    def _of(self, order_id: str, strategy: str) -> bool:
        return strategy in {"", self.orders[order_id].strategy}

    def _verify(self, ticket: Ticket, over: str, now_ns: int) -> None:
        if ticket.key_id not in self._keys:
            self._keys.update([read_public_key(self._file)])
        known = ticket.key_id if ticket.key_id in self._keys else next(iter(self._keys))
        verify(ticket, over=over, client=self.client, now_ns=now_ns, key_id=known, public_key=self._keys[known])

    def send(self, order: TicketedOrder, now_ns: int) -> None:
        self._verify(order.ticket, order_digest(order.intent), max(now_ns, self.now_ns))
        check_epoch(self.sweeps, order.intent.strategy, order.ticket)
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
        self.status[order_id] = status
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

    def __init__(
        self,
        folder: Path,
        limits: Limits | None = None,
        *,
        clients: tuple[str, ...] = (CLIENT,),
        desk_limits: DeskLimits | None = None,
        symbols: dict[str, SymbolLimits] | None = None,
        strategies: dict[str, StrategyLimits] | None = None,
        mode: str = "replay",
        execution: type[SmallExecution] = SmallExecution,
    ) -> None:
        self.made.append(self)
        self.folder = folder
        self.limits = limits or default_limits(CASH_NANO)
        self.feed = SmallFeed()
        self.transport = LocalTransport()
        self.transport.server(DIRECTORY["feed"], self.feed)
        self.executions: dict[str, SmallExecution] = {}
        specs: list[ClientSpec] = []
        for n, name in enumerate(clients):
            service = f"execution.{name}" if n else "execution"
            self.executions[name] = execution(folder / "gate.pub", name)
            self.transport.server(DIRECTORY[service], self.executions[name])
            specs.append(ClientSpec(name, self.limits, symbols or {}, strategies or {}, CASH_NANO, service))
        self.execution = self.executions[clients[0]]
        self.spec = GateSpec(
            RUN, mode, tuple(specs), desk_limits or default_desk_limits(spec.limits for spec in specs),
            str(folder / "gate.sqlite"), str(folder / "gate.pub"), str(folder / "resume.key"),
        )  # fmt: skip
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
        for execution in self.executions.values():
            if not execution.slow:
                execution.now_ns = self.feed.now_ns
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
        client: str = CLIENT,
        **other: object,
    ) -> OrderIntent:
        cycle = self.cycle
        kind: OrderType = order_type or ("limit" if to_nano(limit) else "market")
        made = OrderIntent(
            client_order_id(client, RUN, cycle, index), client, RUN, cycle, index, symbol, side, kind, "day",
            to_nano(qty), to_nano(limit), self.feed.now_ns, "test",
        )  # fmt: skip
        return msgspec.structs.replace(made, **other)

    def request(self, *intents: OrderIntent) -> StageRequest:
        client = intents[0].client if intents else CLIENT
        return StageRequest(RUN, client, self.cycle, self.feed.now_ns, RiskAsk(intents))

    def judge(self, *intents: OrderIntent) -> Verdicts:
        return verdicts(self.ask(self.request(*intents)))

    def code(self, *intents: OrderIntent) -> str:
        """Return the code of the last intent's verdict."""
        return self.judge(*intents).verdicts[-1].code

    def buy(self, qty: int, price: str, symbol: str = "ACME", side: Side = "buy", strategy: str = "test") -> str:
        """Have an order approved, sent and wholly filled; it counts from the next instant on."""
        answer = self.judge(self.intent(symbol, side, qty, strategy=strategy))
        assert answer.verdicts[0].approved, answer.verdicts[0]
        self.execution.send(answer.orders[0], self.feed.now_ns)
        order_id = answer.orders[0].intent.client_order_id
        self.execution.step(order_id, "fill", "filled", self.feed.now_ns, qty, price)
        return order_id

    def kill(self, client: str = "", strategy: str = "", to: TradingState = "halted") -> RiskState:
        return state(self.ask(Kill("test", "a person", client, strategy, to)))

    def state(self) -> RiskState:
        return state(self.ask(GetRiskState()))

    def proven(self, client: str = "", strategy: str = "", by: str = "a person") -> Resume:
        """Return what a person would send who can read the run's folder."""
        nonce = self.state().nonce
        key = read_resume_key(Path(self.spec.resume_key_file))
        return Resume(by, client, strategy, nonce, resume_proof(key, RUN, client, strategy, by, nonce))

    def resume(self, client: str = "", strategy: str = "") -> RiskState:
        return state(self.ask(self.proven(client, strategy)))


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
