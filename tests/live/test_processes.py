"""A live feed among processes: one call for all of them, nobody held up, and nothing lost when it is killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from bench import feed as bench_feed
from bus.clock import wall_ns
from bus.codec import encode
from bus.endpoints import ipc_directory
from bus.errors import RemoteError
from bus.messages import (
    Advance,
    Bars,
    FeedClock,
    GetClock,
    QueryBars,
    Tick,
    TickAt,
)
from bus.zmq_transport import ZmqTransport
from feed.live import LiveFeed
from tests.live.scripted import NOON, WAIT_S, ScriptedVendor, Wall, live_feed, until

_START_S = 60.0


@pytest.fixture
def sockets() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="oo-") as name:
        yield Path(name)


@contextmanager
def served(feed: LiveFeed, transport: ZmqTransport, endpoint: str) -> Generator[None]:
    """Answer the bus in a thread, as the feed's process does."""
    server = transport.server(endpoint, feed)
    stop = Event()
    thread = Thread(target=server.serve, args=(stop.is_set, 20))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WAIT_S)


def peer(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.live.peer", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.requirement("live:single-flight")
def test_equal_questions_of_many_processes_are_one_call_and_one_answer(sockets: Path) -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    endpoint = ipc_directory(sockets)["feed"]
    transport = ZmqTransport()
    with live_feed(vendor, wall) as feed, served(feed, transport, endpoint):
        vendor.hold("/bars")
        peers = [peer("asker", endpoint) for _ in range(4)]
        until(lambda: feed.stats().joined == 3, "three who wait for the call of the fourth")
        assert len(vendor.calls("/bars")) == 1
        vendor.free.set()
        answers = [one.communicate(timeout=_START_S)[0] for one in peers]
        assert [one.returncode for one in peers] == [0] * 4
        assert len(set(answers)) == 1
        assert len(vendor.calls("/bars")) == 1
        answer = transport.client(endpoint).call(QueryBars("BOLT", 40, NOON))
        assert encode(answer).hex() == answers[0].strip()
    transport.close()
    vendor.close()


@pytest.mark.requirement("live:deferred")
def test_over_the_bus_others_are_answered_while_the_vendor_hangs(sockets: Path) -> None:
    wall = Wall()
    vendor = ScriptedVendor(wall)
    endpoint = ipc_directory(sockets)["feed"]
    transport = ZmqTransport()
    with live_feed(vendor, wall) as feed, served(feed, transport, endpoint):
        client = transport.client(endpoint)
        assert isinstance(client.call(QueryBars("ACME", 40, -1), WAIT_S), Bars)
        vendor.hold("/bars")
        got: list[object] = []
        other = ZmqTransport()
        waiting = Thread(target=lambda: got.append(other.client(endpoint).call(QueryBars("BOLT", 40, -1), WAIT_S)))
        waiting.start()
        until(lambda: len(vendor.calls("/bars")) == 2)
        for _ in range(20):
            assert isinstance(client.call(GetClock(), 2.0), FeedClock)
            assert isinstance(client.call(QueryBars("ACME", 40, -1), 2.0), Bars)
        assert isinstance(client.call(Advance(-1), 2.0), Tick)
        assert not got
        vendor.free.set()
        waiting.join(WAIT_S)
        assert isinstance(got[0], Bars)
        with pytest.raises(RemoteError, match="look_ahead"):
            client.call(TickAt(NOON + 10**12))
        other.close()
    transport.close()
    vendor.close()


@pytest.mark.requirement("live:advance")
def test_a_feed_that_was_killed_goes_on_where_it_was(sockets: Path, tmp_path: Path) -> None:
    vendor = ScriptedVendor(wall_ns)
    endpoint = ipc_directory(sockets)["feed"]
    transport = ZmqTransport()
    client = transport.client(endpoint)
    words = ("feed", endpoint, str(vendor.port), str(tmp_path / "cache"), str(tmp_path / "clock"))
    ticks: list[Tick] = []
    after = -1
    first_ns = 0
    for life in range(2):
        process = peer(*words)
        try:
            for number, known in enumerate(ticks):
                asked = client.call(Advance(ticks[number - 1].clock.now_ns if number else -1), _START_S)
                assert encode(asked) == encode(known)
                assert encode(client.call(TickAt(known.clock.now_ns), _START_S)) == encode(known)
            for _ in range(5):
                tick = client.call(Advance(after), _START_S)
                assert isinstance(tick, Tick)
                ticks.append(tick)
                after = tick.clock.now_ns
            bars = client.call(QueryBars("ACME", 30, ticks[4].clock.now_ns), _START_S)
            assert isinstance(bars, Bars)
            assert len(bars.bars) == 30
            first_ns = bars.bars[0].open_time_ns
        finally:
            process.kill()
            process.communicate()
        assert [tick.clock.index for tick in ticks] == list(range(5 * (life + 1)))
    asked_for = vendor.spans()
    transport.close()
    vendor.close()
    # Where the newest minute is not there yet, a second question goes further back: the first bar may be in either.
    assert sum(start <= first_ns < end for start, end in asked_for) == 1


@pytest.mark.slow
@pytest.mark.requirement("live:bench")
def test_the_benchmark_shows_what_is_spared() -> None:
    calls, spared, equal, cached = bench_feed.run(quick=True)
    assert calls.ours == calls.p99
    assert calls.ours < calls.floor / 8, "a tenth of the day, which pays for the history of the whole"
    assert spared.ours > 85
    assert (equal.ours, equal.p99) == (1, 1), "one call, one answer"
    assert cached.ours > 0
