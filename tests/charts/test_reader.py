"""A slow, a stopped and a dead reader on real sockets: the publisher goes on, the reader gets the newest."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from threading import Thread

import pytest

from bus.clock import NS
from bus.errors import BusError
from bus.local_transport import LocalTransport
from bus.messages import ChartSet, ClockTick, Message, Snapshot, Tick
from bus.transport import Publisher
from bus.zmq_transport import ZmqTransport
from feed.reader import MarketReader, Reading
from tests.charts.made import ROOT

DEADLINE_S = 20.0


@pytest.fixture
def transport() -> Generator[ZmqTransport]:
    made = ZmqTransport(high_water=200)
    yield made
    made.close()


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/pub"


def tick(number: int) -> Tick:
    return Tick(ClockTick(number, number, 10**6, done=False))


def charts(number: int) -> ChartSet:
    return ChartSet("a", number, ())


def joined(publisher: Publisher, reader: MarketReader, topic: str = "tick") -> int:
    """Publish until the reader hears; return the last number."""
    deadline, number = time.monotonic() + DEADLINE_S, 0
    while time.monotonic() < deadline:
        number += 1
        publisher.publish(topic, tick(number))
        got = reader.receive(0.01)
        while got is not None:
            if number_of(got) == number:
                return number
            got = reader.receive(0.01)
    raise AssertionError("the reader never heard the publisher")


def number_of(reading: Reading) -> int:
    message = reading.message
    assert isinstance(message, (Tick, ChartSet))
    return message.clock.now_ns if isinstance(message, Tick) else message.now_ns


def until(reader: MarketReader, number: int) -> list[Reading]:
    """Read until a number came."""
    readings: list[Reading] = []
    deadline = time.monotonic() + DEADLINE_S
    while not readings or number_of(readings[-1]) < number:
        assert time.monotonic() < deadline, f"{number} never came"
        got = reader.receive(1.0)
        if got is not None:
            readings.append(got)
    return readings


@pytest.mark.requirement("charts:reader")
def test_a_reader_that_does_not_read_gets_the_newest_and_is_told_how_many_it_missed(
    transport: ZmqTransport, endpoint: str
) -> None:
    publisher = transport.publisher(endpoint)
    reader = MarketReader(transport, endpoint, ("tick",), queue=8)
    first = joined(publisher, reader)
    slowest = 0.0
    for number in range(first + 1, first + 5_001):
        before = time.monotonic()
        publisher.publish("tick", tick(number))
        slowest = max(slowest, time.monotonic() - before)
    # What the socket dropped at the very end shows with the next message.
    readings: list[Reading] = []
    last, deadline = first + 5_000, time.monotonic() + DEADLINE_S
    while not readings or number_of(readings[-1]) < last:
        assert time.monotonic() < deadline
        last += 1
        publisher.publish("tick", tick(last))
        while (got := reader.receive(0.05)) is not None:
            readings.append(got)
    assert slowest < 5.0
    numbers = [number_of(one) for one in readings]
    assert numbers == sorted(set(numbers))
    before = first
    for one in readings:
        assert one.missed == number_of(one) - before - 1
        before = number_of(one)
    assert sum(one.missed for one in readings) > 4_000
    reader.close()


@pytest.mark.requirement("charts:reader")
def test_a_reader_that_keeps_up_misses_nothing(transport: ZmqTransport, endpoint: str) -> None:
    publisher = transport.publisher(endpoint)
    reader = MarketReader(transport, endpoint, ("tick",))
    first = joined(publisher, reader)
    for number in range(first + 1, first + 301):
        publisher.publish("tick", tick(number))
        (got,) = until(reader, number)
        assert (number_of(got), got.missed) == (number, 0)
    assert reader.receive(0.0) is None
    reader.close()


@pytest.mark.requirement("charts:reader")
def test_a_snapshot_stands_for_what_was_missed(transport: ZmqTransport, endpoint: str) -> None:
    asked: list[str] = []

    def snapshot(topic: str) -> Message:
        asked.append(topic)
        return Snapshot(7, (), ())

    publisher = transport.publisher(endpoint)
    reader = MarketReader(transport, endpoint, ("tick", "charts.a"), queue=2, snapshot=snapshot)
    first = joined(publisher, reader)
    assert asked == []
    for number in range(first + 1, first + 101):
        publisher.publish("tick", tick(number))
    deadline = time.monotonic() + DEADLINE_S
    while not asked:
        assert time.monotonic() < deadline
        got = reader.receive(0.5)
        if got is not None and got.missed:
            assert isinstance(got.message, Snapshot)
    assert set(asked) == {"tick"}
    reader.close()


CHILD = """
import sys, time
from bus.zmq_transport import ZmqTransport
from feed.reader import MarketReader
transport = ZmqTransport(high_water=200)
reader = MarketReader(transport, sys.argv[1], ("tick",), queue=4)
while reader.receive(0.1) is None: pass
print("heard", flush=True)
for line in sys.stdin:
    deadline = time.monotonic() + 15
    missed = 0
    while time.monotonic() < deadline:
        got = reader.receive(0.1)
        if got is not None:
            missed += got.missed
            if got.message.clock.now_ns >= int(line): break
    print(got.message.clock.now_ns, missed, flush=True)
"""


@pytest.mark.requirement("charts:reader")
def test_a_stopped_reader_slows_nobody_and_catches_up_and_a_killed_one_is_forgotten(
    transport: ZmqTransport, endpoint: str
) -> None:
    publisher = transport.publisher(endpoint)
    lively = MarketReader(transport, endpoint, ("tick",))
    command = [sys.executable, "-c", CHILD, endpoint]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout
        assert child.stdin
        heard: list[str] = []
        listening = Thread(target=lambda: heard.append(child.stdout.readline() if child.stdout else ""))
        listening.start()
        number = joined(publisher, lively)
        while listening.is_alive():
            number += 1
            publisher.publish("tick", tick(number))
            until(lively, number)
            listening.join(0.01)
        assert heard == ["heard\n"]
        child.send_signal(signal.SIGSTOP)
        slowest = _burst(publisher, lively, number, 3_000)
        number += 3_000
        child.send_signal(signal.SIGCONT)
        child.stdin.write(f"{number + 1}\n")
        child.stdin.flush()
        answer: list[str] = []
        listening = Thread(target=lambda: answer.append(child.stdout.readline() if child.stdout else ""))
        listening.start()
        while listening.is_alive():
            number += 1
            publisher.publish("tick", tick(number))
            until(lively, number)
            listening.join(0.05)
        newest, missed = map(int, answer[0].split())
        assert newest > 3_000
        assert missed > 1_000
        child.send_signal(signal.SIGKILL)
    slowest = max(slowest, _burst(publisher, lively, number, 1_000))
    assert slowest < 5.0
    lively.close()


def _burst(publisher: Publisher, lively: MarketReader, number: int, count: int) -> float:
    """Publish to a reader that keeps up, and return the longest time that one message took."""
    slowest = 0.0
    for at in range(number + 1, number + count + 1):
        before = time.monotonic()
        publisher.publish("tick", tick(at))
        slowest = max(slowest, time.monotonic() - before)
        if at % 50 == 0:
            assert sum(one.missed for one in until(lively, at)) == 0
    until(lively, number + count)
    return slowest


@pytest.mark.requirement("charts:reader")
def test_in_one_process_it_conflates_without_a_thread() -> None:
    transport = LocalTransport(high_water=50)
    publisher = transport.publisher("local://pub")
    reader = MarketReader(transport, "local://pub", ("tick", "charts.a"), queue=4, threaded=False)
    publisher.publish("tick", tick(1))
    first = reader.receive(0)
    assert first == Reading("tick", tick(1), 0)
    for number in range(2, 42):
        publisher.publish("tick", tick(number))
    publisher.publish("charts.a", charts(9))
    readings: list[Reading] = []
    while (got := reader.receive(0)) is not None:
        readings.append(got)
    by_topic = {topic: [one for one in readings if one.topic == topic] for topic in ("tick", "charts.a")}
    assert by_topic["charts.a"] == [Reading("charts.a", charts(9), 0)]
    assert number_of(by_topic["tick"][-1]) == 41
    assert sum(one.missed for one in by_topic["tick"]) + len(by_topic["tick"]) == 40
    for number in range(42, 142):
        publisher.publish("tick", tick(number))
    while reader.receive(0) is not None:
        pass
    publisher.publish("tick", tick(142))
    after = reader.receive(0)
    assert after == Reading("tick", tick(142), 50)
    reader.close()
    transport.close()


@pytest.mark.requirement("charts:reader")
def test_after_a_loss_the_newest_comes_next_and_what_was_before_the_reader_is_no_loss() -> None:
    transport = LocalTransport(high_water=3)
    publisher = transport.publisher("local://pub")
    for number in range(1, 6):
        publisher.publish("tick", tick(number))
    reader = MarketReader(transport, "local://pub", ("tick",), threaded=False)
    for number in range(6, 15):
        publisher.publish("tick", tick(number))
    assert reader.receive(0) == Reading("tick", tick(6), 0)
    publisher.publish("tick", tick(15))
    assert reader.receive(0) == Reading("tick", tick(15), 8)
    publisher.publish("tick", tick(16))
    assert reader.receive(0) == Reading("tick", tick(16), 0)
    assert reader.receive(0) is None
    reader.close()
    transport.close()


@pytest.mark.requirement("charts:reader")
def test_a_reader_that_is_closed_says_so_and_closes_twice(transport: ZmqTransport, endpoint: str) -> None:
    reader = MarketReader(transport, endpoint, ("tick",))
    waiting: list[BaseException] = []

    def wait() -> None:
        try:
            reader.receive(DEADLINE_S)
        except BusError as error:
            waiting.append(error)

    thread = Thread(target=wait)
    thread.start()
    reader.close()
    reader.close()
    thread.join(DEADLINE_S)
    assert "closed" in str(waiting[0])
    with pytest.raises(BusError, match="holds nothing"):
        MarketReader(transport, endpoint, ("tick",), queue=0)


@pytest.mark.requirement("charts:reader")
def test_a_publisher_of_another_life_is_no_error(transport: ZmqTransport, endpoint: str) -> None:
    other = ZmqTransport()
    publisher = other.publisher(endpoint)
    reader = MarketReader(transport, endpoint, ("tick",))
    joined(publisher, reader)
    other.close()
    again = ZmqTransport()
    publisher = again.publisher(endpoint)
    assert joined(publisher, reader) < 10 * NS
    reader.close()
    again.close()
