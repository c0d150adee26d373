"""The real gate and the real gateway with the paper broker on a small market, and what an attack may not change there.

Not a mock among them: bytes go through the bus's own dispatch, or over its real sockets.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from bus._dispatch import answer_bytes, open_answer
from bus.codec import encode
from bus.deferred import Deferred
from bus.fixed import SCALE
from bus.ids import client_order_id
from bus.local_transport import LocalTransport
from bus.messages import (
    EventsSince,
    Executed,
    ExecutionAsk,
    GetAccount,
    GetOrders,
    GetRiskState,
    Kill,
    Message,
    OrderEvent,
    OrderEvents,
    OrderIntent,
    RiskAsk,
    RiskState,
    SettleBook,
    SettleOrders,
    StageRequest,
    StageResult,
    TicketedOrder,
    Verdicts,
)
from bus.transport import Handler
from execution.gateway import Gateway, build_gateway
from execution.spec import GatewaySpec
from risk.gate import Gate, build_gate
from risk.limits import default_desk_limits, default_limits, effective_version
from risk.spec import ClientSpec, GateSpec
from tests.risk.desk import CASH_NANO, DIRECTORY, MINUTE_NS, RUN, SmallFeed

CLIENTS = {"alice": "execution", "bob": "execution.bob"}


class Floor:
    """A gate, two clients' gateways and a feed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.feed = SmallFeed()
        self.transport = LocalTransport()
        self.transport.server(DIRECTORY["feed"], self.feed)
        self.cycle = 1
        limits = default_limits(CASH_NANO)
        clients = tuple(
            ClientSpec(name, limits, start_cash_nano=CASH_NANO, execution=service) for name, service in CLIENTS.items()
        )
        self.spec = GateSpec(
            RUN, "replay", clients, default_desk_limits([limits, limits]),
            str(folder / "gate.sqlite"), str(folder / "gate.pub"), str(folder / "resume.key"),
        )  # fmt: skip
        self.gateways: dict[str, Gateway] = {}
        for name, service in CLIENTS.items():
            spec = GatewaySpec(
                name, RUN, "replay", str(folder / f"{service}.sqlite"), self.spec.public_key_file, CASH_NANO,
                limits_version=effective_version(self.spec, name),
            )  # fmt: skip
            self.gateways[service] = build_gateway(spec, self.transport, DIRECTORY)
            self.transport.server(DIRECTORY[service], self.gateways[service])
        self.gate: Gate = build_gate(self.spec, self.transport, DIRECTORY)
        self.handlers: dict[str, Handler] = {"risk": self.gate, **self.gateways}
        for symbol in ("ACME", "NICK", "EURO", "DEAD", "HIDE"):
            self.feed.bar(symbol, "100")
        self.feed.bar("GOLD", "1300")
        self.settle()
        self.advance()

    def close(self) -> None:
        self.gate.close()
        for gateway in self.gateways.values():
            gateway.close()

    # --- time -------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        for service in CLIENTS.values():
            self.ask(service, SettleOrders(self.feed.now_ns))
        self.ask("risk", SettleBook(self.feed.now_ns))

    def advance(self, ns: int = MINUTE_NS) -> None:
        self.feed.now_ns += ns
        self.cycle += 1
        for symbol, bar in list(self.feed.bars.items()):
            self.feed.bars[symbol] = msgspec.structs.replace(
                bar,
                open_time_ns=self.feed.now_ns - MINUTE_NS,
                event_time_ns=self.feed.now_ns,
                available_time_ns=self.feed.now_ns,
            )
        self.settle()

    # --- asking -----------------------------------------------------------------------------------------------------

    def send(self, service: str, raw: bytes) -> bytes:
        """Give bytes to a service and return the bytes of its answer, as both transports do."""
        answer = answer_bytes(self.handlers[service], raw)
        assert not isinstance(answer, Deferred)
        return answer

    def ask(self, service: str, message: Message) -> Message:
        return (
            self.transport.client(DIRECTORY[service]).call(message)
            if service != "risk"
            else open_answer(self.send("risk", encode(message)))
        )

    def intent(self, index: int = 0, client: str = "alice", qty: int = 10) -> OrderIntent:
        return OrderIntent(
            client_order_id(client, RUN, self.cycle, index), client, RUN, self.cycle, index, "ACME", "buy", "market",
            "day", qty * SCALE, 0, self.feed.now_ns, "test",
        )  # fmt: skip

    def order(self, index: int = 0, client: str = "alice", qty: int = 10) -> StageRequest:
        return StageRequest(RUN, client, self.cycle, self.feed.now_ns, RiskAsk((self.intent(index, client, qty),)))

    def approve(self, index: int = 0, client: str = "alice", qty: int = 10) -> TicketedOrder:
        answer = self.ask("risk", self.order(index, client, qty))
        assert isinstance(answer, StageResult)
        assert isinstance(answer.answer, Verdicts)
        assert answer.answer.orders, answer.answer.verdicts
        return answer.answer.orders[0]

    def ticketed(self, order: TicketedOrder) -> StageRequest:
        return StageRequest(RUN, order.intent.client, self.cycle, self.feed.now_ns, ExecutionAsk((order,)))

    def execute(self, order: TicketedOrder) -> Executed:
        service = CLIENTS[order.intent.client]
        answer = self.ask(service, self.ticketed(order))
        assert isinstance(answer, StageResult)
        assert isinstance(answer.answer, Executed)
        return answer.answer

    def state(self) -> RiskState:
        answer = self.ask("risk", GetRiskState())
        assert isinstance(answer, RiskState)
        return answer

    def kill(self) -> None:
        self.ask("risk", Kill("test", "a person"))

    # --- what must not change ---------------------------------------------------------------------------------------

    def holdings(self) -> list[object]:
        """Return everything that an attack must leave as it is."""
        state = self.state()
        held: list[object] = [
            state.killed, state.kills, state.nonce, state.limits_version, state.approved, state.gross_nano,
            state.equity_nano, state.now_ns, state.key_id,
        ]  # fmt: skip
        for service in CLIENTS.values():
            held.append(self.ask(service, GetAccount(self.feed.now_ns)))
            held.append(self.ask(service, EventsSince(0)))
            held.append(self.ask(service, GetOrders("all")))
            held.append(rows(self.folder / f"{service}.sqlite"))
        counted = rows(self.folder / "gate.sqlite")
        # What is refused is written down, and so is an alarm; nothing else may come to be.
        held.append({name: count for name, count in counted.items() if name not in {"verdicts", "alarms", "terms"}})
        with closing(sqlite3.connect(self.folder / "gate.sqlite")) as db:
            held.append(db.execute("SELECT * FROM verdicts WHERE approved").fetchall())
            held.append(db.execute("SELECT * FROM terms").fetchall())
        return held

    def trades(self) -> None:
        """Show that the desk still does what it is for."""
        before = len(self.events("execution"))
        self.advance(2 * MINUTE_NS)
        order = self.approve(qty=7)
        assert {event.kind for event in self.execute(order).events} <= {"sent", "accepted"}
        self.advance()
        self.advance()
        fills = [event for event in self.events("execution")[before:] if event.fill is not None]
        assert {event.client_order_id for event in fills} >= {order.intent.client_order_id}
        assert sum(event.fill.qty_nano for event in fills if event.fill is not None) >= 7 * SCALE

    def events(self, service: str) -> tuple[OrderEvent, ...]:
        answer = self.ask(service, EventsSince(0))
        assert isinstance(answer, OrderEvents)
        return answer.events


def rows(path: Path) -> dict[str, int]:
    """Return how many rows each table of a journal has."""
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
