"""A small desk for the gate's benchmark: one client, eight symbols at 100, one instant. Not a feed and not a broker."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bus.clock import NS
from bus.errors import BusError
from bus.fixed import SCALE
from bus.ids import client_order_id
from bus.local_transport import LocalTransport
from bus.messages import (
    Account,
    Bar,
    ClockTick,
    DayInfo,
    DescribeDay,
    EventsSince,
    GetAccount,
    Instrument,
    Message,
    OrderEvent,
    OrderEvents,
    OrderIntent,
    OrderType,
    QuerySnapshot,
    RiskAsk,
    SettleBook,
    Snapshot,
    StageRequest,
    StageResult,
    Tick,
    TickAt,
    Verdicts,
)
from risk.gate import build_gate
from risk.limits import Limits, default_desk_limits, default_limits
from risk.spec import ClientSpec, GateSpec
from risk.state import ClientState, DeskState

__all__ = ["OneGate", "one_state"]

_CLIENT, _RUN = "alpha", "run-0123456789ab"
_EARLIER, _CYCLE = 6, 7
_MINUTE_NS = 60 * NS
_NOW_NS = 1_381_152_600 * NS
_CASH_NANO = 10_000_000 * SCALE
_PRICE_NANO = 100 * SCALE
_SYMBOLS = ("AAPL", "AMZN", "GOOG", "META", "MSFT", "NFLX", "NVDA", "TSLA")
_INSTRUMENTS = tuple(Instrument(symbol, "equity", "USD", SCALE // 100, SCALE) for symbol in _SYMBOLS)
_BARS = tuple(
    Bar(symbol, _NOW_NS - 60 * NS, _NOW_NS, _NOW_NS, *[_PRICE_NANO] * 4, volume_nano=SCALE) for symbol in _SYMBOLS
)


def _limits() -> Limits:
    """Return limits that no rate of a benchmark reaches; every other one is as it is by default."""
    return msgspec.structs.replace(
        default_limits(_CASH_NANO),
        max_orders_per_minute=600,
        max_messages_per_minute=1_200,
        max_orders_per_day=20_000,
        max_orders_per_symbol_per_day=20_000,
        max_open_orders=500,
    )


def _spec(folder: Path | None) -> GateSpec:
    own = _limits()
    names = {name: str(folder / name) if folder is not None else "" for name in ("gate.sqlite", "gate.pub", "key")}
    client = ClientSpec(_CLIENT, own, start_cash_nano=_CASH_NANO)
    return GateSpec(
        _RUN, "replay", (client,), default_desk_limits([own]), names["gate.sqlite"], names["gate.pub"], names["key"]
    )


def _order(index: int, kind: OrderType = "limit", cycle: int = _CYCLE, **other: object) -> OrderIntent:
    key = client_order_id(_CLIENT, _RUN, cycle, index)
    limit = _PRICE_NANO if kind == "limit" else 0
    made = OrderIntent(
        key, _CLIENT, _RUN, cycle, index, "AAPL", "buy", kind, "day", 10 * SCALE, limit, _NOW_NS, "trend"
    )
    return msgspec.structs.replace(made, **other)


def one_state() -> tuple[ClientState, dict[str, OrderIntent]]:
    """Return a client with a few working orders, and orders of each kind that pass."""
    desk = DeskState(_spec(None))
    desk.describe(_INSTRUMENTS, _SYMBOLS)
    state = desk.clients[_CLIENT]
    state.mark(Snapshot(_NOW_NS - _MINUTE_NS, _BARS, ()), session_open=True)
    for index, symbol in enumerate(_SYMBOLS):
        intent = _order(index, cycle=_EARLIER, decided_ns=_NOW_NS - _MINUTE_NS, symbol=symbol, qty_nano=5 * SCALE)
        state.judge(intent, _EARLIER)
        state.approved(intent, _PRICE_NANO, intent.decided_ns, _NOW_NS + _MINUTE_NS)
    state.mark(Snapshot(_NOW_NS, _BARS, ()), session_open=True)
    return state, {
        "limit": _order(0),
        "market": _order(1, "market"),
        "bracket": _order(
            2,
            order_class="bracket",
            take_profit_nano=103 * SCALE,
            stop_loss_nano=98 * SCALE,
            time_in_force="gtc",
        ),
    }


class OneGate:
    """A whole gate on files, in one process, with a feed whose prices stay and a broker where nothing lasts."""

    def __init__(self, folder: Path) -> None:
        """Start it and settle the first instant."""
        transport = LocalTransport()
        for name in ("feed", "execution"):
            transport.server(f"local://{name}", self)
        directory = {"feed": "local://feed", "execution": "local://execution"}
        self._cycle, self._now_ns = 0, _NOW_NS
        self._working: list[OrderIntent] = []
        self._seq = self._asked = 0
        self._gate = build_gate(_spec(folder), transport, directory)
        self._gate.make_room()  # as it has in every mode but replay
        self._gate.handle(SettleBook(_NOW_NS))

    def handle(self, request: Message) -> Message:
        """Answer as feed and as execution."""
        match request:
            case DescribeDay():
                return DayInfo(
                    "day", "synthetic", "seal", "XNYS", "UTC", 60, _NOW_NS, _NOW_NS + 86_400 * NS, 1, 1,
                    _INSTRUMENTS, _SYMBOLS,
                )  # fmt: skip
            case TickAt(now_ns=now_ns):
                return Tick(ClockTick(now_ns, 0, 1, False), self._bars())
            case QuerySnapshot(as_of_ns=as_of_ns):
                return Snapshot(as_of_ns, self._bars(), ())
            case EventsSince():
                return self._canceled()
            case GetAccount(now_ns=now_ns):
                return Account(_CLIENT, "replay", now_ns, 0, 0, 0)
            case _:
                raise BusError(f"the benchmark's feed does not answer {type(request).__name__}")

    def _bars(self) -> tuple[Bar, ...]:
        since_ns = self._now_ns - _NOW_NS
        return tuple(
            msgspec.structs.replace(
                bar,
                open_time_ns=bar.open_time_ns + since_ns,
                event_time_ns=bar.event_time_ns + since_ns,
                available_time_ns=bar.available_time_ns + since_ns,
            )
            for bar in _BARS
        )

    def _canceled(self) -> OrderEvents:
        first = self._seq + 1
        events = tuple(
            OrderEvent(
                seq, order.client_order_id, order.symbol, order.side, "canceled", "canceled", self._now_ns,
                order.qty_nano, 0,
            )
            for seq, order in enumerate(self._working, first)
        )  # fmt: skip
        self._working.clear()
        self._seq += len(events)
        return OrderEvents(events, self._seq)

    def next_cycle(self) -> None:
        """Let two minutes pass, in which everything that works is canceled."""
        self._cycle, self._asked = self._cycle + 1, 0
        self._now_ns += 2 * _MINUTE_NS
        self._gate.handle(SettleBook(self._now_ns))

    def intent(self, number: int) -> OrderIntent:
        """Return this cycle's next order, of a content of its own: no two are duplicates."""
        self._asked += 1
        return _order(
            self._asked - 1,
            cycle=self._cycle,
            symbol=_SYMBOLS[number % len(_SYMBOLS)],
            qty_nano=(1 + number % 20) * SCALE,
            limit_price_nano=_PRICE_NANO - number % 97 * SCALE // 100,
            decided_ns=self._now_ns,
        )

    def judge(self, intent: OrderIntent) -> str:
        """Ask for one verdict, which is on disk when it comes back."""
        answer = self._gate.handle(StageRequest(_RUN, _CLIENT, self._cycle, self._now_ns, RiskAsk((intent,))))
        if not isinstance(answer, StageResult) or not isinstance(answer.answer, Verdicts):
            raise BusError(f"the gate answered with {type(answer).__name__}")
        code = answer.answer.verdicts[0].code
        if code == "approved":
            self._working.append(intent)
        return code

    def close(self) -> None:
        """Close its journal."""
        self._gate.close()
