"""Heartbeats, reports and liveness."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import zmq

from bus.clock import NS
from bus.errors import BindError
from bus.heartbeat import HeartbeatSender, Liveness, Reporter, Sink
from bus.messages import Heartbeat, Kill, Ok, RunDone
from bus.zmq_transport import ZmqTransport
from tests.bus.desk import WAIT_S, Recorder, service, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sink(folder: Path) -> Iterator[Sink]:
    found = Sink(f"ipc://{folder}/supervisor")
    yield found
    found.close()


def beat(sink: Sink) -> Heartbeat:
    message = sink.receive(WAIT_S)
    assert isinstance(message, Heartbeat)
    return message


@pytest.mark.requirement("bus:heartbeat")
def test_a_stage_beats_from_start_to_stop_and_says_what_it_does(sink: Sink) -> None:
    sender = HeartbeatSender(sink.endpoint, "feed", None, interval_s=60.0)
    sender.start()
    sender.start()
    assert beat(sink) == Heartbeat("feed", os.getpid(), 1, "starting")
    sender.state("ready", "at your service")
    assert beat(sink) == Heartbeat("feed", os.getpid(), 2, "ready", 0, "at your service")
    sender.stop()
    assert beat(sink) == Heartbeat("feed", os.getpid(), 3, "stopping")
    sender.stop()
    assert sink.receive(0.0) is None


@pytest.mark.requirement("bus:heartbeat")
def test_a_stage_that_failed_says_so_to_the_end(sink: Sink) -> None:
    sender = HeartbeatSender(sink.endpoint, "feed", None, interval_s=60.0)
    sender.state("failed", "no day")
    sender.start()
    first = beat(sink)
    sender.stop()
    assert [first.state, beat(sink).state] == ["failed", "failed"]


@pytest.mark.requirement("bus:heartbeat")
def test_a_busy_stage_beats_and_says_for_how_long_it_has_been_busy(
    sink: Sink, folder: Path, zmq_transport: ZmqTransport
) -> None:
    handler = Recorder()
    server = zmq_transport.server(f"ipc://{folder}/s", handler)
    sender = HeartbeatSender(sink.endpoint, "feed", server, interval_s=0.01)
    with serving(server):
        client = zmq_transport.client(f"ipc://{folder}/s")
        asker = Thread(target=client.call, args=(Kill("x", "y"),))
        asker.start()
        assert handler.entered.wait(WAIT_S)
        sender.start()
        first, second = beat(sink), beat(sink)
        handler.gate.set()
        asker.join(WAIT_S)
        assert 0 < first.busy_ns < second.busy_ns
        while beat(sink).busy_ns:
            pass
        sender.stop()


@pytest.mark.requirement("bus:heartbeat:last-word")
def test_what_is_reported_just_before_the_interpreter_ends_arrives(sink: Sink) -> None:
    code = (
        "import sys; from bus.heartbeat import Reporter; from bus.messages import RunDone;"
        "Reporter(sys.argv[1]).send(RunDone(3, 'hash'))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, sink.endpoint], cwd=ROOT, check=True)
    assert sink.receive(WAIT_S) == RunDone(3, "hash")


@pytest.mark.requirement("bus:heartbeat:last-word")
def test_reporting_to_a_supervisor_that_is_gone_blocks_nobody(folder: Path) -> None:
    reporter = Reporter(f"ipc://{folder}/nobody")
    results = [reporter.send(Ok()) for _ in range(1_001)]
    assert results == [True] * 1_000 + [False]
    reporter.close()
    reporter.close()


@pytest.mark.requirement("bus:schema:garbage")
def test_garbage_does_not_silence_the_sink(sink: Sink) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.PUSH) as sock:
        sock.connect(sink.endpoint)
        for garbage in (b"", b"\x01\xff", b"hello"):
            sock.send(garbage)
        reporter = Reporter(sink.endpoint)
        assert reporter.send(Ok("still there"))
        assert sink.receive(WAIT_S) == Ok("still there")
        reporter.close()
    context.term()


@pytest.mark.requirement("bus:bind:taken")
def test_a_second_supervisor_is_refused(sink: Sink) -> None:
    with pytest.raises(BindError, match="living process"):
        Sink(sink.endpoint)


@pytest.mark.requirement("bus:liveness")
def test_a_stage_is_lost_by_silence_by_being_stuck_or_by_saying_so() -> None:
    alive = Liveness(limit_s=2.0, busy_limit_s=10.0)
    assert alive.lost(0) == []
    alive.beat(Heartbeat("quiet", 1, 1, "ready"), 0)
    alive.beat(Heartbeat("stuck", 2, 1, "ready", 9 * NS), 0)
    alive.beat(Heartbeat("stopping", 3, 1, "stopping"), 0)
    alive.beat(Heartbeat("failed", 4, 1, "failed"), 0)
    assert alive.lost(NS) == ["failed"]
    assert alive.lost(NS + 1) == ["failed", "stuck"]
    assert alive.lost(2 * NS) == ["failed", "stuck"]
    assert alive.lost(2 * NS + 1) == ["failed", "quiet", "stuck"]
    alive.beat(Heartbeat("quiet", 1, 2, "ready"), 2 * NS)
    assert "quiet" not in alive.lost(3 * NS)


@pytest.mark.requirement("bus:liveness")
def test_a_late_beat_of_a_process_that_was_replaced_does_not_count() -> None:
    alive = Liveness(limit_s=2.0, busy_limit_s=10.0)
    alive.beat(Heartbeat("feed", 1, 5, "failed"), 0)
    assert alive.lost(NS) == ["feed"]
    alive.expect("feed", NS)
    assert alive.lost(NS) == []
    alive.beat(Heartbeat("feed", 2, 1, "ready"), 4 * NS)
    alive.beat(Heartbeat("feed", 1, 6, "failed"), 4 * NS)
    assert alive.lost(4 * NS) == []
    alive.beat(Heartbeat("feed", 3, 1, "ready"), 5 * NS)
    alive.beat(Heartbeat("feed", 2, 2, "failed"), 5 * NS)
    assert alive.lost(5 * NS) == []


@pytest.mark.requirement("bus:liveness")
def test_an_expected_stage_that_is_never_heard_of_is_lost() -> None:
    alive = Liveness(limit_s=2.0, busy_limit_s=10.0)
    alive.expect("feed", 0)
    assert alive.lost(2 * NS) == []
    assert alive.lost(2 * NS + 1) == ["feed"]
    alive.forget("feed")
    assert alive.lost(9 * NS) == []


@pytest.mark.requirement("bus:heartbeat")
def test_a_service_at_rest_is_not_busy(folder: Path, zmq_transport: ZmqTransport) -> None:
    server = zmq_transport.server(f"ipc://{folder}/x", Recorder())
    assert server.busy_ns == 0
    with service(zmq_transport, f"ipc://{folder}/y", Recorder()):
        assert server.busy_ns == 0
