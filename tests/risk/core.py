"""A desk's state without a gate around it: orders are judged and counted, and events told, by plain calls.

Not a mock: it is the real state, terms and checks; only the prices and events come from the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bus.clock import NS
from bus.fixed import SCALE, from_nano, to_nano
from bus.ids import client_order_id
from bus.messages import (
    Bar,
    Fill,
    Instrument,
    OrderEvent,
    OrderEventKind,
    OrderIntent,
    OrderStatus,
    OrderType,
    Quote,
    Side,
    Snapshot,
)
from risk.limits import DeskLimits, Limits, StrategyLimits, SymbolLimits, default_desk_limits, default_limits
from risk.spec import ClientSpec, GateSpec
from risk.state import ClientState, DeskState

CLIENT, OTHER, RUN = "alice", "bob", "run-1"
START_NS = 1_380_000_000 * NS
MINUTE_NS = 60 * NS
CASH_NANO = 100_000 * SCALE
CENT = to_nano("0.01")

INSTRUMENTS = (
    Instrument("ACME", "equity", "USD", CENT, SCALE, venue="XNYS"),
    Instrument("NICK", "equity", "USD", to_nano("0.05"), SCALE, venue="XNAS"),
    Instrument("EURO", "equity", "EUR", CENT, SCALE, venue="XNYS"),
    Instrument("DEAD", "equity", "USD", CENT, SCALE, tradable=False),
    Instrument("HIDE", "equity", "USD", CENT, SCALE),
    Instrument("LONG", "equity", "USD", CENT, SCALE, shortable=False),
    Instrument("GOLD", "future", "USD", to_nano("0.1"), SCALE, multiplier=10, venue="XCME"),
    Instrument(
        "COIN",
        "crypto",
        "USD",
        CENT,
        to_nano("0.001"),
        min_qty_nano=to_nano("0.01"),
        max_qty_nano=5 * SCALE,
        min_notional_nano=10 * SCALE,
    ),
)
TRADED = ("ACME", "COIN", "DEAD", "EURO", "GOLD", "LONG", "NICK")


def limits(**tighter: Any) -> Limits:
    """Return the limits of an account of 100,000, with some of them changed."""
    return msgspec.structs.replace(default_limits(CASH_NANO), **tighter)


class Core:
    """One or two clients at an instant, every symbol at 100, GOLD at 1,000."""

    def __init__(
        self,
        own: Limits | None = None,
        *,
        symbols: dict[str, SymbolLimits] | None = None,
        strategies: dict[str, StrategyLimits] | None = None,
        desk: DeskLimits | None = None,
        clients: Sequence[str] = (CLIENT,),
        cash_nano: int = CASH_NANO,
        instruments: Sequence[Instrument] = INSTRUMENTS,
    ) -> None:
        own = own or default_limits(cash_nano)
        every = tuple(ClientSpec(name, own, symbols or {}, strategies or {}, cash_nano) for name in clients)
        self.spec = GateSpec(RUN, "replay", every, desk or default_desk_limits([own] * len(every)), "", "")
        self.desk = DeskState(self.spec)
        self.desk.describe(instruments, TRADED)
        self.now_ns = START_NS
        self.cycle = 1
        self.index = 0
        self.prices: dict[str, int] = {each.symbol: 100 * SCALE for each in instruments}
        self.prices["GOLD"] = 1_000 * SCALE
        self.quotes: tuple[Quote, ...] = ()
        self.halted: tuple[str, ...] = ()
        self.session_open = True
        self.filled: dict[str, int] = {}
        self.mark()

    @property
    def client(self) -> ClientState:
        return self.desk.clients[CLIENT]

    def mark(self, ns: int = 0, **prices: str | int) -> None:
        """Move the clock by so much and mark every client; symbols not named keep a fresh bar at their price."""
        self.now_ns += ns
        self.cycle += int(ns > 0)
        self.index = 0 if ns > 0 else self.index
        self.prices |= {symbol: to_nano(price) for symbol, price in prices.items()}
        bars = tuple(
            Bar(symbol, self.now_ns - MINUTE_NS, self.now_ns, self.now_ns, nano, nano, nano, nano, SCALE)
            for symbol, nano in self.prices.items()
        )
        self.show(Snapshot(self.now_ns, bars, self.quotes, self.halted))

    def show(self, snapshot: Snapshot) -> None:
        """Mark every client with these prices."""
        self.now_ns = snapshot.now_ns
        for client in self.desk.clients.values():
            client.mark(snapshot, session_open=self.session_open)

    def intent(
        self,
        symbol: str = "ACME",
        side: Side = "buy",
        qty: str | int = 10,
        limit: str | int = 0,
        *,
        order_type: OrderType | None = None,
        client: str = CLIENT,
        strategy: str = "test",
        **other: Any,
    ) -> OrderIntent:
        """Return an order with an id of its own, decided now."""
        self.index += 1
        kind: OrderType = order_type or ("limit" if to_nano(limit) else "market")
        made = OrderIntent(
            client_order_id(client, RUN, self.cycle, self.index),
            client,
            RUN,
            self.cycle,
            self.index,
            symbol,
            side,
            kind,
            "day",
            to_nano(qty),
            to_nano(limit),
            self.now_ns,
            strategy,
        )
        return msgspec.structs.replace(made, **other)

    def code(self, intent: OrderIntent) -> str:
        """Return what the client's judge says; nothing changes."""
        client = self.desk.clients.get(intent.client, self.client)
        return client.judge(intent, self.cycle)

    def approve(self, intent: OrderIntent) -> OrderIntent:
        """Have an order approved, and let it count."""
        code = self.code(intent)
        assert code == "approved", code
        client = self.desk.clients[intent.client]
        client.approved(intent, client.priced_at(intent), self.now_ns, self.now_ns + MINUTE_NS)
        return intent

    def tell(
        self,
        intent: OrderIntent,
        kind: OrderEventKind,
        status: OrderStatus | None = None,
        qty: str | int = 0,
        price: str | int = 100,
        **other: Any,
    ) -> OrderEvent:
        """Tell the client's state what happened to an order; the status is the kind's own unless it is given."""
        client = self.desk.clients[intent.client]
        key, fill = intent.client_order_id, None
        seq = client.last_seq + 1
        if qty:
            self.filled[key] = self.filled.get(key, 0) + to_nano(qty)
            fill = Fill(f"f{seq}", key, intent.symbol, intent.side, to_nano(qty), to_nano(price), 0, self.now_ns)
        done = self.filled.get(key, 0)
        whole = "filled" if done >= intent.qty_nano else "partially_filled"
        by_kind: dict[str, OrderStatus] = {"sent": "in_flight", "fill": whole, "cancel_rejected": "accepted"}
        after = status or by_kind.get(kind) or msgspec.convert(kind, OrderStatus)
        event = OrderEvent(
            seq, key, intent.symbol, intent.side, kind, after, self.now_ns, intent.qty_nano, done, fill=fill
        )
        made = msgspec.structs.replace(event, **other)
        client.apply(made)
        return made

    def fill(self, intent: OrderIntent, price: str | int = 100, qty: str | int = 0) -> OrderEvent:
        """Have an approved order filled, wholly unless it is said otherwise."""
        left = intent.qty_nano - self.filled.get(intent.client_order_id, 0)
        return self.tell(intent, "fill", None, qty or str(from_nano(left)), price)

    def hold(
        self, symbol: str = "ACME", side: Side = "buy", qty: str | int = 10, price: str | int = 100
    ) -> OrderIntent:
        """Have a position come about, and its price marked."""
        intent = self.approve(self.intent(symbol, side, qty))
        self.fill(intent, price)
        return intent
