"""What the one cached feed spares: a day of five servers and three stages, each a process, before a vendor's socket.

Not a test of vendors. The vendor streams bars and quotes and answers history, news and releases over HTTP; what is
counted is how often it is asked. The floor of the first figure is one call a question, as without a cache.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import IO, TypeVar

from bench._feed_day import ASKERS, MINUTES, OPEN_NS, SYMBOLS
from bench._feed_peers import FileClock
from bench._feed_stream import StreamVendor
from bench._feed_vendor import Reply
from bench._measure import Result, interleaved, result
from bus.clock import NS, sleep_s
from bus.messages import Advance, FeedStats, GetFeedStats, Message, Ping, QueryBars, Tick
from bus.transport import Client
from bus.zmq_transport import ZmqTransport

__all__ = ["run"]

_WAIT_S = 60.0
_TARGET = 95.0
_EACH = 8
_T = TypeVar("_T", bound=Message)


class _HeldVendor(StreamVendor):
    """A vendor whose answers can be held back, so that equal questions meet."""

    def __init__(self, clock: FileClock) -> None:
        self.free = Event()
        self.free.set()
        super().__init__(SYMBOLS, clock, "XNYS")

    def reply(self, path: str, asked: dict[str, str]) -> Reply:
        self.free.wait(_WAIT_S)
        return super().reply(path, asked)


class _Asker:
    """A process that asks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def _ends(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def tell(self, words: str) -> None:
        self._ends[0].write(words + "\n")
        self._ends[0].flush()

    def hear(self) -> list[str]:
        line = self._ends[1].readline()
        if not line:
            raise RuntimeError(f"an asker ended with {self._process.poll()}; its errors are above")
        return line.split()


def run(quick: bool = False) -> list[Result]:
    """Measure.

    Args:
        quick: A tenth of the day, for a smoke test.

    Returns:
        Vendor calls of an agent day, what was spared, the calls of equal questions at once, and a cached question.
    """
    minutes = MINUTES // 10 if quick else MINUTES
    with tempfile.TemporaryDirectory(prefix="oo-") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "clock").write_bytes(bytes(8))
        clock = FileClock(folder / "clock")
        clock.set(OPEN_NS)
        vendor = _HeldVendor(clock)
        stack.callback(vendor.close)
        endpoint = f"ipc://{folder}/feed"
        files = [endpoint, f"ipc://{folder}/feed.pub", str(vendor.port), str(folder / "clock"), str(folder / "cache")]
        stack.enter_context(_peer("feed", *files))
        askers = [_Asker(stack.enter_context(_peer("asker", name, endpoint))) for name in ASKERS]
        transport = ZmqTransport()
        stack.callback(transport.close)
        client = transport.client(endpoint)
        client.call(Ping(), timeout_s=_WAIT_S)
        if not vendor.wait_streams(1, _WAIT_S):
            raise RuntimeError("the feed did not connect to the vendor's stream; its errors are above")
        for asker in askers:
            asker.hear()
        asked = _day(clock, vendor, client, askers, minutes)
        calls = len([path for path, _ in vendor.asked if path != "/stream"])
        spared = 100.0 * (1 - calls / asked)
        equal, answers = _equal(vendor, client, askers)
        floor, ours = interleaved(
            lambda: client.call(Ping()), lambda: client.call(QueryBars("SPY", 100, -1)), 200 if quick else 1_000
        )
    return [
        Result(
            f"vendor calls of an agent day, {asked:,} questions", "calls", asked, calls, round(calls / asked, 4), calls
        ),
        Result(
            "spared of them (floor: the target)",
            "%",
            _TARGET,
            round(spared, 2),
            round(spared / _TARGET, 3),
            round(spared, 2),
        ),
        Result(f"vendor calls of {len(askers) * _EACH} equal questions at once", "calls", 1, equal, equal, answers),
        result("a cached question over ipc, 100 bars (floor: the bus alone)", "µs", floor, ours),
    ]


@contextmanager
def _peer(*words: str) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench._feed_peers", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _day(clock: FileClock, vendor: StreamVendor, client: Client, askers: list[_Asker], minutes: int) -> int:
    """Live through the day; return how many questions were asked."""
    asked = 0
    after_ns = -1
    for minute in range(minutes):
        opened_s = OPEN_NS // NS + 60 * minute
        now_ns = (opened_s + 61) * NS
        clock.set(now_ns)
        for number, symbol in enumerate(SYMBOLS):
            price = 100 + (number * 7 + minute) % 50
            vendor.push("bar", symbol, opened_s, opened_s + 60, price)
            vendor.push("quote", symbol, opened_s + 60, price)
        for name, symbol, at_s in vendor.news(set(SYMBOLS), opened_s + 1, opened_s + 61):
            vendor.push("news", name, symbol, at_s)
        bars = 0
        while bars < len(SYMBOLS):
            tick = _expect(client.call(Advance(after_ns), timeout_s=_WAIT_S), Tick)
            bars += len(tick.bars)
            after_ns = tick.clock.now_ns
        for asker in askers:
            asker.tell(f"{minute} {now_ns}")
        for asker in askers:
            asked += int(asker.hear()[0])
    return asked


def _equal(vendor: _HeldVendor, client: Client, askers: list[_Asker]) -> tuple[int, int]:
    """Let all ask the same at once; return the vendor's calls for it, and how many different answers there were."""
    before = _expect(client.call(GetFeedStats()), FeedStats)
    calls = len(vendor.calls("/bars"))
    vendor.free.clear()
    for asker in askers:
        asker.tell("equal")
    wanted = before.joined + len(askers) * _EACH - 1
    while _expect(client.call(GetFeedStats()), FeedStats).joined < wanted:
        sleep_s(0.005)
    vendor.free.set()
    different = max(int(asker.hear()[1]) for asker in askers)
    return len(vendor.calls("/bars")) - calls, different


def _expect(message: Message, kind: type[_T]) -> _T:
    if not isinstance(message, kind):
        raise RuntimeError(f"the feed answered {message}")
    return message
