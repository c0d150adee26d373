"""A desk for tools: its clock moves, nobody decides, it stays when the day is over and waits for a slow vendor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from agents.orchestrator import Orchestrator, OrchestratorSpec
from agents.trace import read_trace
from bus.errors import BusError, OutcryError, RemoteError, SourceError
from bus.local_transport import LocalTransport
from bus.messages import (
    Account,
    Advance,
    BookSettled,
    ClockTick,
    DayInfo,
    DescribeDay,
    Message,
    RunDone,
    SettleBook,
    Settled,
    SettleOrders,
    Tick,
)

MINUTE_NS = 60 * 10**9
DIRECTORY = {"feed": "local://feed", "execution": "local://execution", "risk": "local://risk"}
LAST = 4


class Market:
    """A feed of four instants, an execution and a gate that settle them. ``trouble`` may raise before an answer."""

    def __init__(self, trouble: Callable[[Message], None] = lambda _: None) -> None:
        self.trouble = trouble
        self.settled: list[int] = []
        self.at_the_end = Event()

    def handle(self, request: Message) -> Message:
        self.trouble(request)
        match request:
            case DescribeDay():
                return DayInfo("d", "recorded", "", "XNYS", "UTC", 60, 0, 0, 0, 0, (), ("ACME",))
            case Advance(after_ns=after_ns):
                index = min(after_ns // MINUTE_NS + 1, LAST) if after_ns >= 0 else 1
                if after_ns == LAST * MINUTE_NS:
                    self.at_the_end.set()
                return Tick(ClockTick(index * MINUTE_NS, index, LAST, index == LAST))
            case SettleOrders(now_ns=now_ns):
                return Settled(now_ns, (), Account("c", "replay", now_ns, 1, 1, 0))
            case SettleBook(now_ns=now_ns):
                self.settled.append(now_ns // MINUTE_NS)
                return BookSettled(now_ns, 1, 0, 0, 0, killed=False)
            case _:
                raise BusError("a desk that holds asks no agent")


def orchestrator(market: Market, folder: Path, *, hold: bool = True) -> Orchestrator:
    transport = LocalTransport()
    for endpoint in DIRECTORY.values():
        transport.server(endpoint, market)
    spec = OrchestratorSpec("run", "c", 60, 0.0, str(folder), decide=False, hold=hold)
    return Orchestrator(spec, transport, DIRECTORY)


def run_until(market: Market, folder: Path, event: Event) -> RunDone:
    stop = Event()
    done: list[RunDone] = []

    def run() -> None:
        runner = orchestrator(market, folder)
        try:
            done.append(runner.run(stop.is_set))
        finally:
            runner.close()

    thread = Thread(target=run)
    thread.start()
    assert event.wait(20)
    stop.set()
    thread.join(20)
    return done[0]


@pytest.mark.requirement("orchestrator:hold")
def test_it_stays_when_the_day_has_ended_until_it_is_told_to_stop(tmp_path: Path) -> None:
    market = Market()
    done = run_until(market, tmp_path, market.at_the_end)
    assert (done.cycles, done.error) == (0, "interrupted")
    assert market.settled[:LAST] == [1, 2, 3, 4]
    clocks = [record for record in read_trace(tmp_path / "trace.sqlite") if record.kind == "clock"]
    assert len(clocks) == LAST


@pytest.mark.requirement("orchestrator:waits")
def test_an_instant_that_a_vendor_holds_up_is_settled_when_it_answers(tmp_path: Path) -> None:
    left = [3]

    def slow(request: Message) -> None:
        if isinstance(request, SettleBook) and request.now_ns == 2 * MINUTE_NS and left[0]:
            left[0] -= 1
            raise SourceError("the vendor is down")

    market = Market(slow)
    run_until(market, tmp_path, market.at_the_end)
    assert left == [0]
    assert market.settled[:LAST] == [1, 2, 3, 4]


@pytest.mark.requirement("orchestrator:waits")
def test_a_market_that_cannot_be_described_yet_is_asked_again(tmp_path: Path) -> None:
    left = [2]

    def down(request: Message) -> None:
        if isinstance(request, DescribeDay) and left[0]:
            left[0] -= 1
            raise SourceError("the vendor is down")

    market = Market(down)
    run_until(market, tmp_path, market.at_the_end)
    assert left == [0]


@pytest.mark.requirement("orchestrator:waits")
@pytest.mark.parametrize(("hold", "error"), [(False, SourceError("down")), (True, BusError("broken"))])
def test_what_does_not_pass_ends_the_run(tmp_path: Path, hold: bool, error: OutcryError) -> None:
    def fails(request: Message) -> None:
        if isinstance(request, SettleBook):
            raise error

    runner = orchestrator(Market(fails), tmp_path, hold=hold)
    with pytest.raises(RemoteError):
        runner.run(lambda: False)
    runner.close()
