"""A scripted feed, a gate's signer and a gateway on a real journal: what the execution tests are played on."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from bus.errors import BusError, LookAheadError
from bus.fixed import to_nano
from bus.ids import client_order_id
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    Bar,
    CancelAll,
    ClockTick,
    DayInfo,
    DescribeDay,
    Executed,
    ExecutionAsk,
    Instrument,
    Message,
    OrderEvent,
    OrderIntent,
    OrderType,
    QuerySnapshot,
    Quote,
    Settled,
    SettleOrders,
    Side,
    Snapshot,
    StageRequest,
    StageResult,
    Tick,
    TickAt,
    TicketedOrder,
    TimeInForce,
)
from execution.broker import Offered
from execution.engine import BrokerFactory
from execution.gateway import Gateway
from execution.journal import Journal
from execution.paper import PAPER_OFFERS, PaperBroker
from execution.spec import GatewaySpec
from risk.tickets import Signer, cancel_all_digest, order_digest, publish_public_key, sign

MINUTE = 60_000_000_000
T0 = 1_380_000_000_000_000_000 // MINUTE * MINUTE
START_CASH = to_nano(100_000)
STOCK = Instrument("IBM", "equity", "USD", to_nano("0.01"), to_nano(1))
OTHER = Instrument("SPY", "equity", "USD", to_nano("0.01"), to_nano(1))
FX = Instrument("EURUSD", "fx", "USD", to_nano("0.00001"), to_nano(1), has_volume=False)
COIN = Instrument("BTCUSD", "crypto", "USD", to_nano("0.01"), to_nano("0.00000001"))
FUTURE = Instrument("ES_201312", "future", "USD", to_nano("0.25"), to_nano(1), multiplier=50)
INDEX = Instrument("SPX", "index", "USD", to_nano("0.01"), to_nano(1), has_volume=False, tradable=False)
EURO = Instrument("BTCEUR", "crypto", "EUR", to_nano("0.01"), to_nano("0.00000001"))
INSTRUMENTS = (STOCK, OTHER, FX, COIN, FUTURE, INDEX, EURO)

_M = TypeVar("_M", bound=Message)


def at(minute: int) -> int:
    """The instant that many minutes after the day's first bar opens."""
    return T0 + minute * MINUTE


def bar(
    minute: int,
    open_: str,
    high: str | None = None,
    low: str | None = None,
    close: str | None = None,
    volume: int | str = 100_000,
    symbol: str = "IBM",
) -> Bar:
    """The bar that opens at a minute and is available at its end."""
    first, highest, lowest, last = (
        to_nano(value if value is not None else open_) for value in (open_, high, low, close)
    )
    return Bar(symbol, at(minute), at(minute + 1), at(minute + 1), first, highest, lowest, last, to_nano(volume))


def quote(minute: int, bid_open: str, ask_open: str, symbol: str = "IBM") -> Quote:
    """The quote of the same minute."""
    bid, ask = to_nano(bid_open), to_nano(ask_open)
    return Quote(symbol, at(minute), at(minute + 1), at(minute + 1), bid, ask, bid, ask)


def day(records: Sequence[Bar | Quote], extra: Sequence[int] = ()) -> list[Tick]:
    """The ticks of a day in which these become available; ``extra`` are instants where nothing does."""
    instants = sorted({record.available_time_ns for record in records} | {at(minute) for minute in extra})
    return [
        Tick(
            ClockTick(now_ns, index, len(instants), index == len(instants) - 1),
            tuple(r for r in records if isinstance(r, Bar) and r.available_time_ns == now_ns),
            tuple(r for r in records if isinstance(r, Quote) and r.available_time_ns == now_ns),
        )
        for index, now_ns in enumerate(instants)
    ]


def dump(path: Path | str) -> list[tuple[object, ...]]:
    """Every row of a journal, but for the tickets: another run's gate has another key."""
    with closing(sqlite3.connect(path)) as db:
        names = [
            str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        return [
            (name, *(row[:-1] if name == "orders" else row))
            for name in names
            for row in db.execute(f"SELECT * FROM {name}")
        ]


class ScriptedFeed:
    """Serves ticks by the feed's contract: nothing after the clock, and the clock moves only when it is advanced."""

    def __init__(self, ticks: list[Tick], now_ns: int = 0, instruments: tuple[Instrument, ...] = INSTRUMENTS) -> None:
        self.ticks = ticks
        self.now_ns = now_ns
        self.instruments = instruments
        self.questions: list[Message] = []

    def handle(self, request: Message) -> Message:
        self.questions.append(request)
        match request:
            case DescribeDay():
                symbols = tuple(i.symbol for i in self.instruments)
                return DayInfo("day", "synthetic", "", "", "UTC", 60, 0, 0, 0, 0, self.instruments, symbols)
            case Advance(after_ns=after_ns):
                tick = next((t for t in self.ticks if t.clock.now_ns > after_ns), self.ticks[-1])
                self.now_ns = max(self.now_ns, tick.clock.now_ns)
                return tick
            case TickAt(now_ns=now_ns):
                self._allowed(now_ns)
                tick = next((t for t in self.ticks if t.clock.now_ns == now_ns), None)
                if tick is None:
                    raise BusError(f"{now_ns} is no instant")
                return tick
            case QuerySnapshot(symbols=symbols, as_of_ns=as_of_ns):
                self._allowed(as_of_ns)
                seen = [t for t in self.ticks if t.clock.now_ns <= as_of_ns]
                bars = {b.symbol: b for b in sorted((b for t in seen for b in t.bars), key=lambda b: b.open_time_ns)}
                quotes = {q.symbol: q for t in seen for q in t.quotes}
                wanted = symbols or tuple(i.symbol for i in self.instruments)
                return Snapshot(
                    as_of_ns,
                    tuple(bars[s] for s in wanted if s in bars),
                    tuple(quotes[s] for s in wanted if s in quotes),
                )
            case _:
                raise BusError(f"not a question: {request}")

    def _allowed(self, now_ns: int) -> None:
        if now_ns > self.now_ns:
            raise LookAheadError(f"{now_ns} is after the clock {self.now_ns}")


def intent(
    index: int,
    minute: int,
    side: Side = "buy",
    qty: str | int = 100,
    limit: str | None = None,
    *,
    symbol: str = "IBM",
    tif: TimeInForce = "day",
    client: str = "alice",
    run_id: str = "run-1",
    **more: object,
) -> OrderIntent:
    """An intent decided at a minute; ``more`` are other fields of it."""
    kind: OrderType = "limit" if limit is not None else "market"
    order = OrderIntent(
        client_order_id=client_order_id(client, run_id, minute, index),
        client=client,
        run_id=run_id,
        cycle=minute,
        index=index,
        symbol=symbol,
        side=side,
        order_type=kind,
        time_in_force=tif,
        qty_nano=to_nano(qty),
        limit_price_nano=to_nano(limit) if limit is not None else 0,
        decided_ns=at(minute),
        strategy="test",
    )
    return msgspec.structs.replace(order, **more) if more else order


def ticketed(
    signer: Signer, order: OrderIntent, lifetime_ns: int = MINUTE, issued_ns: int | None = None, epoch: int = 0
) -> TicketedOrder:
    """The intent with a ticket of the signer's."""
    ticket = sign(
        signer,
        client=order.client,
        over=order_digest(order),
        subject=order.client_order_id,
        limits_version="v1",
        issued_ns=order.decided_ns if issued_ns is None else issued_ns,
        lifetime_ns=lifetime_ns,
        epoch=epoch,
    )
    return TicketedOrder(order, ticket)


def cancel_all(
    signer: Signer, now_ns: int, reason: str = "test", client: str = "alice", strategy: str = "", epoch: int = 0
) -> CancelAll:
    """A cancel-all with the gate's ticket."""
    ticket = sign(
        signer,
        client=client,
        over=cancel_all_digest(client, now_ns, reason, strategy),
        subject=f"cancel_all {now_ns} {strategy}".rstrip(),
        limits_version="v1",
        issued_ns=now_ns,
        lifetime_ns=MINUTE,
        epoch=epoch,
    )
    return CancelAll(now_ns, reason, ticket, strategy)


def gateway_spec(folder: Path, **changes: object) -> GatewaySpec:
    """A gateway's spec in a folder."""
    fields: dict[str, object] = {
        "client": "alice",
        "run_id": "run-1",
        "mode": "replay",
        "database": str(folder / "journal.sqlite"),
        "public_key_file": str(folder / "gate.pub"),
        "start_cash_nano": START_CASH,
        **changes,
    }
    return GatewaySpec(**fields)  # pyright: ignore[reportArgumentType] - any field may be changed by a test


class Desk:
    """A gateway with a scripted feed, in this process, over the local transport."""

    def __init__(
        self,
        folder: Path,
        ticks: list[Tick],
        *,
        spec: GatewaySpec | None = None,
        signer: Signer | None = None,
        now_ns: int = 0,
        make_broker: BrokerFactory = PaperBroker,
        journal: type[Journal] = Journal,
        offered: Offered = PAPER_OFFERS,
    ) -> None:
        self.spec = spec or gateway_spec(folder)
        self.signer = signer or Signer()
        publish_public_key(Path(self.spec.public_key_file), self.signer)
        self.feed = ScriptedFeed(ticks, now_ns)
        self.transport = LocalTransport()
        self.transport.server("inproc://feed", self.feed)
        identity = {"client": self.spec.client, "run_id": self.spec.run_id}
        self.journal = journal(Path(self.spec.database), identity)
        self.gateway = Gateway(self.spec, self.transport.client("inproc://feed"), self.journal, make_broker, offered)
        self.transport.server("inproc://execution", self.gateway)
        self.client = self.transport.client("inproc://execution")

    def call(self, request: Message, kind: type[_M]) -> _M:
        answer = self.client.call(request)
        assert isinstance(answer, kind), answer
        return answer

    def settle(self, minute: int) -> Settled:
        """Move the feed's clock to a minute and settle it."""
        self.feed.now_ns = max(self.feed.now_ns, at(minute))
        return self.call(SettleOrders(at(minute)), Settled)

    def request(self, minute: int, *orders: TicketedOrder) -> StageRequest:
        return StageRequest("run-1", "alice", minute, at(minute), ExecutionAsk(orders))

    def send(self, minute: int, *orders: OrderIntent | TicketedOrder) -> tuple[OrderEvent, ...]:
        """Send orders, signed by the gate unless they come with a ticket."""
        signed = [order if isinstance(order, TicketedOrder) else ticketed(self.signer, order) for order in orders]
        answer = self.call(self.request(minute, *signed), StageResult).answer
        assert isinstance(answer, Executed)
        return answer.events

    def close(self) -> None:
        self.gateway.close()
