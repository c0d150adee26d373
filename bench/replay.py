"""How many bars a second a recorded day is replayed with gate, journal and fees on, beside loops that have none.

Not a test of the strategy: the crossing averages are there to send orders. Everything runs in one process through the
real services, each question encoded and decoded as over a socket; loading the day is not counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench._graph_day import graph_day
from bench._measure import Result, percentile
from bench._sma_floor import Crossing, backtesting_rate, bare_loop, has_backtesting
from bus.clock import NS, monotonic_ns
from bus.endpoints import local_directory
from bus.fixed import SCALE, to_nano
from bus.ids import client_order_id, seeded
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    Bar,
    BookSettled,
    ExecutionAsk,
    Instrument,
    OrderIntent,
    RiskAsk,
    SettleBook,
    Settled,
    SettleOrders,
    Side,
    StageRequest,
    StageResult,
    Tick,
    Verdicts,
)
from bus.transport import Client
from execution.gateway import build_gateway
from execution.spec import GatewaySpec
from feed.format import DAY_VERSION, Manifest, write_day
from feed.sample import write_sample
from feed.service import build_feed
from feed.spec import FeedSpec
from risk.gate import build_gate
from risk.limits import default_desk_limits, default_limits
from risk.spec import ClientSpec, GateSpec

__all__ = ["Replay", "Tally", "desk", "run"]

_T = TypeVar("_T")
_CASH = to_nano(100_000)
_QTY = 10
_GRAPH = "whole graph of the sample day; floor: the same graph, empty nodes"
_START_NS = 1_381_152_600 * NS
_RUN, _CLIENT = "run-bench", "bench"


@dataclass
class Tally:
    """What a replay did: what it must not be optimised away for."""

    bars: int = 0
    instants: int = 0
    intents: int = 0
    denied: int = 0
    fills: int = 0
    equity_nano: int = 0


class Replay:
    """Drives the services through a day in lock step with the crossing averages in the place of the agents."""

    def __init__(self, feed: Client, risk: Client, execution: Client) -> None:
        """Take the three services."""
        self._feed, self._risk, self._execution = feed, risk, execution
        self._crossings: dict[str, Crossing] = {}
        self._held: dict[str, int] = {}

    def day(self) -> Tally:
        """Replay the day once."""
        tally = Tally()
        after_ns = -1
        done = False
        while not done:
            tick = _expect(self._feed.call(Advance(after_ns)), Tick)
            after_ns, done = tick.clock.now_ns, tick.clock.done
            settled = _expect(self._execution.call(SettleOrders(after_ns)), Settled)
            _expect(self._risk.call(SettleBook(after_ns)), BookSettled)
            for event in settled.events:
                if event.fill is not None:
                    tally.fills += 1
                    sign = 1 if event.side == "buy" else -1
                    self._held[event.symbol] = self._held.get(event.symbol, 0) + sign * event.fill.qty_nano
            tally.instants += 1
            tally.bars += len(tick.bars)
            tally.equity_nano = settled.account.equity_nano
            intents = [] if done else self._decide(tick)
            if intents:
                tally.intents += len(intents)
                tally.denied += self._send(tick.clock.index, after_ns, tuple(intents))
        return tally

    def _decide(self, tick: Tick) -> list[OrderIntent]:
        intents: list[OrderIntent] = []
        for bar in tick.bars:
            crossing = self._crossings.get(bar.symbol)
            if crossing is None:
                crossing = self._crossings[bar.symbol] = Crossing()
            turn = crossing.update(bar.close_nano)
            if turn > 0 or (turn < 0 and self._held.get(bar.symbol, 0) > 0):
                intents.append(_intent(tick, len(intents), bar.symbol, "buy" if turn > 0 else "sell"))
        return intents

    def _send(self, cycle: int, now_ns: int, intents: tuple[OrderIntent, ...]) -> int:
        ask = StageRequest(_RUN, _CLIENT, cycle, now_ns, RiskAsk(intents))
        judged = _expect(_expect(self._risk.call(ask), StageResult).answer, Verdicts)
        if judged.orders:
            send = StageRequest(_RUN, _CLIENT, cycle, now_ns, ExecutionAsk(judged.orders))
            _expect(self._execution.call(send), StageResult)
        return sum(1 for verdict in judged.verdicts if not verdict.approved)


def _expect(message: object, kind: type[_T]) -> _T:
    if not isinstance(message, kind):
        raise TypeError(f"a service answered {type(message).__name__}; allowed is {kind.__name__}")
    return message


def _intent(tick: Tick, index: int, symbol: str, side: Side) -> OrderIntent:
    return OrderIntent(
        client_order_id(_CLIENT, _RUN, tick.clock.index, index), _CLIENT, _RUN, tick.clock.index, index, symbol, side,
        "market", "day", _QTY * SCALE, 0, tick.clock.now_ns, "sma",
    )  # fmt: skip


@contextmanager
def desk(day: Path, folder: Path) -> Generator[Replay]:
    """Start feed, gate and gateway of a fresh run in this process.

    Args:
        day: The sealed day.
        folder: An empty folder for the journals.
    """
    transport, directory = LocalTransport(), local_directory()
    key = str(folder / "gate.pub")
    feed = build_feed(FeedSpec(str(day)), transport, directory)
    transport.server(directory["feed"], feed)
    limits = default_limits(_CASH)
    gate_spec = GateSpec(
        run_id=_RUN,
        mode="replay",
        clients=(ClientSpec(_CLIENT, limits, start_cash_nano=_CASH),),
        desk=default_desk_limits((limits,)),
        database=str(folder / "gate.sqlite"),
        public_key_file=key,
        resume_key_file=str(folder / "resume.key"),
    )
    gate = build_gate(gate_spec, transport, directory)
    transport.server(directory["risk"], gate)
    gateway_spec = GatewaySpec(_CLIENT, _RUN, "replay", str(folder / "journal.sqlite"), key, _CASH)
    gateway = build_gateway(gateway_spec, transport, directory)
    transport.server(directory["execution"], gateway)
    try:
        yield Replay(*(transport.client(directory[name]) for name in ("feed", "risk", "execution")))
    finally:
        gateway.close()
        gate.close()
        feed.close()
        transport.close()


def _bars(day: Path) -> list[Bar]:
    transport, directory = LocalTransport(), local_directory()
    feed = build_feed(FeedSpec(str(day)), transport, directory)
    found: list[Bar] = []
    after_ns, done = -1, False
    while not done:
        tick = _expect(feed.handle(Advance(after_ns)), Tick)
        found.extend(tick.bars)
        after_ns, done = tick.clock.now_ns, tick.clock.done
    feed.close()
    transport.close()
    return found


def _rate(bars: int, work: Callable[[], object]) -> float:
    started = monotonic_ns()
    work()
    return bars * NS / (monotonic_ns() - started)


def _long_day(folder: Path, minutes: int) -> Path:
    """Write a day long enough that what a library does once a run does not count: eight symbols, bars only."""
    rng = seeded("bench-day")
    symbols = [f"SYM{number}" for number in range(8)]
    last = dict.fromkeys(symbols, 100.0)
    rows: list[list[object]] = []
    for minute in range(minutes):
        start = _START_NS + minute * 60 * NS
        for symbol in symbols:
            opened = last[symbol]
            closed = last[symbol] = round(opened * (1 + 0.002 * (rng.random() - 0.5)), 2)
            high, low = max(opened, closed) + 0.02, min(opened, closed) - 0.02
            end = start + 60 * NS
            rows.append([symbol, start, end, end, opened, round(high, 2), round(low, 2), closed, 1e6, "regular"])
    manifest = Manifest(
        DAY_VERSION, "bench-day", "2013-10-07", "synthetic", "none", "UTC", 60, tuple(symbols), "bench", "CC0-1.0"
    )
    instruments = [Instrument(symbol, "equity", "USD", to_nano("0.01"), to_nano(1)) for symbol in symbols]
    return write_day(folder, manifest, instruments, {"bars": rows})


def run(quick: bool = False) -> list[Result]:
    """Measure.

    Args:
        quick: Few rounds over a shorter day, for a smoke test: the figures are rough.

    Returns:
        Bars a second of a long day of eight symbols against backtesting.py, where it is importable, and against the
        bare loop; the same of the sample day; and decisions a second of the whole graph. More is better, so is a
        higher ratio, and ``p99`` is the rate that 99 % of the rounds reach.
    """
    rounds = 2 if quick else 7
    with tempfile.TemporaryDirectory(prefix="oo-replay-") as name:
        folder = Path(name)
        minutes = 200 if quick else 2_500
        long_day = _long_day(folder / "long", minutes)
        sample = write_sample(folder / "sample")
        return [
            *_replays(f"8 symbols, {minutes:,} minutes", long_day, folder, rounds),
            *_replays("the sample day", sample, folder, rounds)[-1:],
            _more(_GRAPH, "cycles/s", *graph_day(sample, folder, 1 if quick else 3)),
        ]


def _replays(what: str, day: Path, folder: Path, rounds: int) -> list[Result]:
    bars = _bars(day)
    ours: list[float] = []
    bare: list[float] = []
    library: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as own, desk(day, Path(own)) as replay:
            ours.append(_rate(len(bars), lambda replay=replay: _checked(replay.day(), len(bars))))
        bare.append(_rate(len(bars), lambda: bare_loop(bars, _QTY)))
        if has_backtesting():
            library.append(backtesting_rate(bars))
    name = f"replay of {what}, gate + journal + fees; floor: "
    absent = "" if library else " (backtesting.py is not installed)"
    return [
        *([_more(f"{name}backtesting.py", "bars/s", library, ours)] if library else []),
        _more(f"{name}bare loop{absent}", "bars/s", bare, ours),
    ]


def _checked(tally: Tally, bars: int) -> None:
    if tally.bars != bars or not tally.fills:
        raise RuntimeError(f"the replay saw {tally.bars} of {bars} bars and {tally.fills} fills: it measures nothing")


def _more(name: str, unit: str, floor: Sequence[float], ours: Sequence[float]) -> Result:
    """Return a record in which more is better: the 99th percentile is the slow end."""
    low, mid, slow = percentile(floor, 0.5), percentile(ours, 0.5), percentile(ours, 0.01)
    return Result(name, unit, round(low, 1), round(mid, 1), round(mid / low, 4), round(slow, 1))
