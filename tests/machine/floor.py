"""A desk of two clients with every real part, in this process: feed, gate, two gateways and their venues.

Not a market: prices are what a test says. What each instant was like is kept, because the parts lag behind the feed.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import msgspec

import risk.gate
from bus.clock import NS
from bus.errors import BusError, LookAheadError
from bus.fixed import SCALE, to_nano
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    Bar,
    ClockTick,
    DayInfo,
    DescribeDay,
    Instrument,
    Message,
    QuerySessions,
    QuerySnapshot,
    Quote,
    Session,
    Sessions,
    Snapshot,
    Tick,
    TickAt,
)
from execution.gateway import Gateway
from execution.spec import GatewaySpec
from risk.gate import Gate
from risk.limits import DeskLimits, StrategyLimits, SymbolLimits, default_limits, effective_version
from risk.seat import Seat
from risk.spec import ClientSpec, GateSpec
from tests.execution.venue import OFFERS, PLAIN
from tests.machine.parts import BooksFile, Fuse, GateFile, House, Line, Process

__all__ = ["CLIENTS", "DAY", "Feed", "Floor", "INSTRUMENTS", "MINUTE", "Moment", "OPEN_HOURS", "RUN", "SPEC", "START"]

RUN = "run-1"
MINUTE = 60 * NS
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_380_000_000 * NS // DAY * DAY + 12 * HOUR
OPEN_HOURS = (0, 20)
"""The session: from midnight until eight in the evening, every day."""
INSTRUMENTS = {
    "ACME": Instrument("ACME", "equity", "USD", to_nano("0.01"), SCALE),
    "BITS": Instrument("BITS", "equity", "USD", to_nano("0.05"), SCALE // 2),
}
CASH = {"alice": 100_000 * SCALE, "bob": 12_000 * SCALE}
CLIENTS = tuple(CASH)
_M = TypeVar("_M", bound=Message)


def _limits(client: str) -> ClientSpec:
    alice = client == "alice"
    limits = msgspec.structs.replace(
        default_limits(CASH[client]),
        max_order_qty_nano=200 * SCALE,
        max_order_notional_nano=(5_000 if alice else 4_000) * SCALE,
        max_position_notional_nano=(9_000 if alice else 12_000) * SCALE,
        max_gross_nano=(14_000 if alice else 15_000) * SCALE,
        max_net_nano=(14_000 if alice else 15_000) * SCALE,
        max_daily_loss_nano=2_000 * SCALE,
        max_rolling_loss_nano=12_000 * SCALE,
        max_drawdown_nano=12_000 * SCALE,
        max_orders_per_minute=5,
        max_open_orders=6,
        duplicate_window_ns=30 * NS,
        ticket_lifetime_ns=MINUTE + 30 * NS,
    )
    strategies = {"mean": StrategyLimits(max_open_orders=3)}
    service = "execution" if alice else "execution.bob"
    symbols = {} if alice else {"BITS": SymbolLimits(max_order_qty_nano=150 * SCALE)}
    return ClientSpec(client, limits, symbols, strategies, CASH[client], service)


SPEC = GateSpec(
    RUN,
    "paper",
    tuple(_limits(client) for client in CLIENTS),
    DeskLimits(20_000 * SCALE, 20_000 * SCALE, 50_000 * SCALE, 480, 10),
    "gate.sqlite",
    "gate.pub",
    "resume.key",
)
"""Beside default limits, what is small enough to be met in a few orders; bob's cash is less than his gross limit."""


class Moment(msgspec.Struct, frozen=True):
    """What was so at one instant: prices by symbol, crossed ones, when they are of, and what was halted."""

    now_ns: int
    prices: dict[str, tuple[int, int, bool]]
    halted: frozenset[str] = frozenset()

    @property
    def open(self) -> bool:
        return OPEN_HOURS[0] * HOUR <= self.now_ns % DAY < OPEN_HOURS[1] * HOUR


class Feed:
    """A live market with a clock that the machine moves; it serves nothing after its clock."""

    def __init__(self) -> None:
        first = {"ACME": (100 * SCALE, START, False), "BITS": (20 * SCALE, START, False)}
        self.moments = [Moment(START, first)]

    @property
    def now_ns(self) -> int:
        return self.moments[-1].now_ns

    def index(self, now_ns: int) -> int:
        for number in range(len(self.moments) - 1, -1, -1):
            if self.moments[number].now_ns == now_ns:
                return number
        raise LookAheadError(f"{now_ns} is no instant of this feed")

    def at(self, now_ns: int) -> Moment:
        return self.moments[self.index(now_ns)]

    def _tick(self, index: int) -> Tick:
        moment = self.moments[index]
        bars, _ = self._records(moment)
        fresh = tuple(bar for bar in bars if bar.available_time_ns == moment.now_ns)
        return Tick(ClockTick(moment.now_ns, index, 10**6, done=False), fresh)

    def _records(self, moment: Moment) -> tuple[tuple[Bar, ...], tuple[Quote, ...]]:
        bars: list[Bar] = []
        quotes: list[Quote] = []
        for symbol, (nano, when, crossed) in sorted(moment.prices.items()):
            bars.append(Bar(symbol, when - MINUTE, when, when, nano, nano, nano, nano, 1_000 * SCALE))
            if crossed:
                sides = nano + SCALE // 10, nano - SCALE // 10
                quotes.append(Quote(symbol, when - MINUTE, when, when, *sides, *sides))
        return tuple(bars), tuple(quotes)

    def handle(self, request: Message) -> Message:
        match request:
            case DescribeDay():
                known, last_ns = tuple(INSTRUMENTS.values()), START + 999 * DAY
                return DayInfo(
                    "machine", "live", "", "XNYS", "UTC", 60, START, last_ns, 10**6, 0, known, tuple(INSTRUMENTS)
                )
            case TickAt(now_ns=now_ns):
                return self._tick(self.index(now_ns))
            case Advance(after_ns=after_ns):
                found = next((n for n, each in enumerate(self.moments) if each.now_ns > after_ns), -1)
                return self._tick(found if found >= 0 else len(self.moments) - 1)
            case QuerySnapshot(symbols=symbols, as_of_ns=as_of_ns):
                moment = self.at(as_of_ns)
                bars, quotes = self._records(moment)
                wanted = set(symbols) or set(INSTRUMENTS)
                return Snapshot(
                    as_of_ns,
                    tuple(bar for bar in bars if bar.symbol in wanted),
                    tuple(quote for quote in quotes if quote.symbol in wanted),
                    tuple(sorted(moment.halted)),
                )
            case QuerySessions(from_ns=from_ns, to_ns=to_ns):
                days = range(from_ns // DAY - 1, to_ns // DAY + 2)
                every = (Session("", n * DAY + OPEN_HOURS[0] * HOUR, n * DAY + OPEN_HOURS[1] * HOUR) for n in days)
                return Sessions("XNYS", "UTC", tuple(s for s in every if s.open_ns < to_ns and s.close_ns > from_ns))
            case _:
                raise BusError(f"not a question to this feed: {type(request).__name__}")


class Floor:
    """Every process, and the venues that outlive them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.feed = Feed()
        self.transport = LocalTransport()
        self.transport.server("local://feed", self.feed)
        names = {"database": "gate.sqlite", "public_key_file": "gate.pub", "resume_key_file": "resume.key"}
        self.spec = msgspec.structs.replace(SPEC, **{key: str(folder / name) for key, name in names.items()})
        self.houses = {
            "alice": House("alice", OFFERS, CASH["alice"]),
            "bob": House("bob", msgspec.structs.replace(PLAIN, order_classes=("simple",)), CASH["bob"]),
        }
        self.processes = {client: Process(partial(self._gateway, client)) for client in CLIENTS}
        self.processes["gate"] = Process(self._gate)
        for name, process in self.processes.items():
            self.transport.server(f"local://{name}", process)

    def start(self) -> None:
        """Start what is not running, the gate first: gateways read its key."""
        for name in ("gate", *CLIENTS):
            if self.processes[name].service is None:
                self.processes[name].start()

    def _gate(self, fuse: Fuse) -> Gate:
        class File(GateFile):
            pass

        File.fuse = fuse
        executions = {client: Line(self.transport.client(f"local://{client}"), fuse) for client in CLIENTS}
        with patch.object(risk.gate, "GateJournal", File):
            return Gate(self.spec, Line(self.transport.client("local://feed"), fuse), executions)

    def _gateway(self, client: str, fuse: Fuse) -> Gateway:
        class File(BooksFile):
            pass

        File.fuse = fuse
        house = self.houses[client]
        spec = GatewaySpec(
            client,
            RUN,
            "paper",
            str(self.folder / f"{client}.sqlite"),
            self.spec.public_key_file,
            CASH[client],
            limits_version=effective_version(self.spec, client),
        )
        journal = File(Path(spec.database), {"client": client, "run_id": RUN})
        feed = Line(self.transport.client("local://feed"), fuse)
        return Gateway(spec, feed, journal, house.broker, house.offers)

    def ask(self, name: str, request: Message, kind: type[_M]) -> _M:
        """Ask a process.

        Raises:
            BusError: It is gone, was killed meanwhile, or refuses.
        """
        answer = self.transport.client(f"local://{name}").call(request)
        assert isinstance(answer, kind), answer
        return answer

    @property
    def gate(self) -> Gate | None:
        service = self.processes["gate"].service
        return service if isinstance(service, Gate) else None

    def gateway(self, client: str) -> Gateway | None:
        service = self.processes[client].service
        return service if isinstance(service, Gateway) else None

    def seat(self, client: str) -> Seat | None:
        """Return a client's seat at the gate, once the gate knows what it knew before it was started."""
        gate = self.gate
        if gate is None or not gate._sight._fresh:  # pyright: ignore[reportPrivateUsage] - what a gate knows is told nowhere whole
            return None
        return gate._seats[client]  # pyright: ignore[reportPrivateUsage] - as above

    def close(self) -> None:
        for process in self.processes.values():
            process.end()
        self.transport.close()
