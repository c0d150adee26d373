"""Published messages: in sequence, or recovered, or told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from bus._sequence import Sequence, pack_head, subscription
from bus.codec import encode
from bus.errors import CallTimeoutError, GapError, SchemaError, SchemaVersionError
from bus.local_transport import LocalTransport
from bus.messages import Advance, Message, Ok
from bus.transport import Publisher, Subscriber, Transport
from bus.zmq_transport import ZmqTransport
from tests.bus.desk import WAIT_S

FIRST, SECOND = b"epoch  1", b"epoch  2"


def frame(seq: int, epoch: bytes = FIRST, topic: str = "tick") -> bytes:
    return subscription(topic) + pack_head(epoch, seq) + encode(Advance(seq))


def fetch(topic: str, first: int, last: int) -> list[Message]:
    assert topic == "tick"
    return [Advance(seq) for seq in range(first, last + 1)]


def nothing(topic: str, first: int, last: int) -> list[Message]:
    assert topic == "hello", f"{topic} {first} to {last} was not lost"
    return []


def snapshot(topic: str, first: int, last: int) -> list[Message]:
    assert (topic, first, last) == ("tick", 1, 4)
    return [Ok("snapshot")]


def drain(sequence: Sequence) -> list[tuple[str, int, Message]]:
    items: list[tuple[str, int, Message]] = []
    while (item := sequence.pop()) is not None:
        items.append(item)
    return items


def joined(publisher: Publisher, subscriber: Subscriber) -> None:
    """Publish until the subscription has reached the publisher, then read what came."""
    for _ in range(10_000):
        publisher.publish("hello", Ok())
        if subscriber.receive(0.005) is not None:
            break
    while subscriber.receive(0.1) is not None:
        pass


@pytest.fixture(params=["sockets", "in process"])
def ends(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Transport, str]]:
    transport = ZmqTransport() if request.param == "sockets" else LocalTransport()
    yield transport, f"ipc://{folder}/pub"
    transport.close()


@pytest.mark.requirement("bus:pub:numbers")
def test_messages_are_numbered_per_topic_and_arrive_once_in_sequence(ends: tuple[Transport, str]) -> None:
    transport, endpoint = ends
    publisher = transport.publisher(endpoint)
    subscriber = transport.subscriber(endpoint, ("hello", "tick", "tock"), nothing)
    joined(publisher, subscriber)
    assert [publisher.publish("tick", Advance(seq)) for seq in (1, 2, 3)] == [1, 2, 3]
    assert publisher.publish("ticks", Ok("another topic with the same beginning")) == 1
    assert publisher.publish("tock", Ok()) == 1
    got = [subscriber.receive(WAIT_S) for _ in range(4)]
    assert got == [("tick", seq, Advance(seq)) for seq in (1, 2, 3)] + [("tock", 1, Ok())]
    assert subscriber.receive(0.0) is None
    assert subscriber.receive(0.01) is None


@pytest.mark.requirement("bus:pub:late")
def test_a_late_subscriber_is_given_what_it_missed(ends: tuple[Transport, str]) -> None:
    transport, endpoint = ends
    publisher = transport.publisher(endpoint)
    for seq in (1, 2, 3):
        publisher.publish("tick", Advance(seq))
    subscriber = transport.subscriber(
        endpoint, ("hello", "tick"), lambda topic, first, last: fetch(topic, first, last) if topic == "tick" else []
    )
    joined(publisher, subscriber)
    publisher.publish("tick", Advance(4))
    assert [subscriber.receive(WAIT_S) for _ in range(4)] == [("tick", seq, Advance(seq)) for seq in (1, 2, 3, 4)]


@pytest.mark.requirement("bus:pub:late")
def test_a_subscriber_may_ask_for_the_present_only() -> None:
    sequence = Sequence(None, from_start=False)
    assert sequence.take(frame(7)) == ("tick", 7, Advance(7))
    with pytest.raises(GapError):
        sequence.take(frame(9))


@pytest.mark.requirement("bus:pub:late")
def test_a_late_subscriber_without_a_way_to_recover_is_told() -> None:
    sequence = Sequence(None)
    with pytest.raises(GapError, match=r"1 to 3.*recover callback"):
        sequence.take(frame(4))
    assert drain(sequence) == [("tick", 4, Advance(4))]


@pytest.mark.requirement("bus:pub:gap")
def test_what_the_high_water_mark_dropped_is_recovered(folder: Path) -> None:
    transport = ZmqTransport(high_water=5)
    asked: list[tuple[int, int]] = []

    def recover(topic: str, first: int, last: int) -> list[Message]:
        if topic == "tick":
            asked.append((first, last))
        return [Advance(seq) for seq in range(first, last + 1)]

    endpoint = f"ipc://{folder}/pub"
    publisher = transport.publisher(endpoint)
    subscriber = transport.subscriber(endpoint, ("hello", "tick"), recover)
    joined(publisher, subscriber)
    body = Ok("x" * 50_000)
    for _ in range(2_000):
        publisher.publish("tick", body)
    last = 2_000
    received: list[int] = []
    while not received or received[-1] < 2_001:
        item = subscriber.receive(0.05)
        if item is None:
            last = publisher.publish("tick", body)
        else:
            received.append(item[1])
    assert asked, "nothing was dropped: the test shows nothing"
    assert received == list(range(1, received[-1] + 1))
    assert received[-1] <= last
    transport.close()


@pytest.mark.requirement("bus:pub:gap")
def test_what_an_unread_subscriber_in_process_loses_is_told() -> None:
    transport = LocalTransport(high_water=2)
    publisher = transport.publisher("local://feed.pub")
    subscriber = transport.subscriber("local://feed.pub", ("tick",))
    for seq in (1, 2, 3):
        publisher.publish("tick", Advance(seq))
    assert subscriber.receive(0) == ("tick", 1, Advance(1))
    assert subscriber.receive(0) == ("tick", 2, Advance(2))
    publisher.publish("tick", Advance(4))
    with pytest.raises(GapError, match="3 to 3"):
        subscriber.receive(0)
    assert subscriber.receive(0) == ("tick", 4, Advance(4))
    transport.close()


@pytest.mark.requirement("bus:pub:gap")
@given(st.sets(st.integers(1, 60), min_size=1), st.data())
def test_whatever_is_lost_or_repeated_every_message_up_to_the_last_arrives_once(
    kept: set[int], data: st.DataObject
) -> None:
    sequence = Sequence(fetch)
    got: list[tuple[str, int, Message]] = []
    for seq in sorted(kept):
        for again in [seq, *data.draw(st.lists(st.integers(1, seq), max_size=2))]:
            item = sequence.take(frame(again))
            got += [item] if item is not None else []
            got += drain(sequence)
    assert got == [("tick", seq, Advance(seq)) for seq in range(1, max(kept) + 1)]


@pytest.mark.requirement("bus:pub:gap")
def test_a_snapshot_that_stands_for_several_messages_carries_the_last_number() -> None:
    sequence = Sequence(snapshot)
    assert sequence.take(frame(5)) == ("tick", 4, Ok("snapshot"))
    assert drain(sequence) == [("tick", 5, Advance(5))]


@pytest.mark.requirement("bus:pub:retry")
def test_a_recovery_that_failed_is_tried_again_and_keeps_the_message() -> None:
    attempts: list[int] = []

    def recover(topic: str, first: int, last: int) -> list[Message]:
        attempts.append(first)
        if len(attempts) < 3:
            raise CallTimeoutError("the feed is away")
        return fetch(topic, first, last)

    sequence = Sequence(recover)
    with pytest.raises(CallTimeoutError):
        sequence.take(frame(2))
    with pytest.raises(CallTimeoutError):
        sequence.pop()
    assert drain(sequence) == [("tick", 1, Advance(1)), ("tick", 2, Advance(2))]


@pytest.mark.requirement("bus:pub:restart")
@pytest.mark.parametrize(("seq", "asked"), [(1, (1, 0)), (2, (1, 1)), (4, (1, 3))])
def test_a_restarted_publisher_is_recovered_from(seq: int, asked: tuple[int, int]) -> None:
    ranges: list[tuple[int, int]] = []

    def recover(topic: str, first: int, last: int) -> list[Message]:
        ranges.append((first, last))
        return [Ok(f"the end of the former {topic}")]

    sequence = Sequence(recover)
    for number in (1, 2):
        sequence.take(frame(number))
    items = [sequence.take(frame(seq, SECOND)), *drain(sequence)]
    assert ranges == [asked]
    assert items == [("tick", seq - 1, Ok("the end of the former tick")), ("tick", seq, Advance(seq))]


@pytest.mark.requirement("bus:pub:restart")
def test_a_restarted_publisher_is_told_to_a_subscriber_that_cannot_recover(folder: Path) -> None:
    transport = ZmqTransport()
    endpoint = f"ipc://{folder}/pub"
    publisher = transport.publisher(endpoint)
    subscriber = transport.subscriber(endpoint, ("tick",), from_start=False)
    for _ in range(10_000):
        publisher.publish("tick", Ok("before"))
        if subscriber.receive(0.005) is not None:
            break
    publisher.close()
    while subscriber.receive(0.05) is not None:
        pass
    again = transport.publisher(endpoint)
    told, item = False, None
    for _ in range(10_000):
        again.publish("tick", Ok("after"))
        try:
            item = subscriber.receive(0.005)
        except GapError:
            told = True
            item = subscriber.receive(WAIT_S)
        if item is not None:
            break
    assert told
    assert item is not None
    assert item[2] == Ok("after")
    transport.close()


@pytest.mark.requirement("bus:schema:garbage")
@given(st.binary(max_size=80))
def test_garbage_from_a_publisher_is_left_out_or_a_schema_error(data: bytes) -> None:
    sequence = Sequence(None)
    for garbage in (data, subscription("tick") + data, frame(1)[:-1] + data):
        try:
            sequence.take(garbage)
        except (SchemaError, GapError):
            continue
    fresh = Sequence(None)
    assert fresh.take(b"no topic" + data.replace(b"\0", b"")) is None
    assert fresh.take(frame(1)) == ("tick", 1, Advance(1))


@pytest.mark.requirement("bus:schema:version")
def test_a_publisher_of_another_version_is_told_apart_from_garbage() -> None:
    with pytest.raises(SchemaVersionError):
        Sequence(None).take(subscription("tick") + pack_head(FIRST, 1) + b"\xc8rest")


@pytest.mark.requirement("bus:pub:numbers")
def test_a_topic_that_cannot_be_told_apart_is_refused(ends: tuple[Transport, str]) -> None:
    transport, endpoint = ends
    with pytest.raises(SchemaError, match="NUL"):
        transport.publisher(endpoint).publish("a\0b", Ok())


@pytest.mark.requirement("bus:pub:gap")
def test_bare_zeromq_drops_in_silence_which_is_why_there_are_numbers(folder: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.PUB) as pub, context.socket(zmq.SUB) as sub:
        pub.setsockopt(zmq.SNDHWM, 5)
        pub.setsockopt(zmq.LINGER, 0)
        sub.setsockopt(zmq.RCVHWM, 5)
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        pub.bind(f"ipc://{folder}/x")
        sub.connect(f"ipc://{folder}/x")
        while not sub.poll(5):
            pub.send(b"hello")
        for _ in range(2_000):
            pub.send(b"x" * 50_000)
        count = 0
        while sub.poll(100):
            count += len(sub.recv()) == 50_000
    context.term()
    assert count < 2_000
