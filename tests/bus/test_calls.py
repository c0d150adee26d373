"""Calls over real sockets."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
import zmq

from bus._frames import ASK, GIVE_UP, ID_SIZE, pack_header, pack_id
from bus.codec import decode, encode
from bus.errors import CallTimeoutError, RemoteError, SchemaVersionError
from bus.messages import Advance, ErrorReply, EventsSince, Kill, Message, Ok, Ping, TickAt
from bus.zmq_transport import ZmqTransport
from tests.bus.desk import WAIT_S, Recorder, service, serving

ROOT = Path(__file__).resolve().parents[2]
TOKEN = b"a client"


def frame(kind: int, number: int, message: Message | None = None, left_ms: int = 20_000) -> bytes:
    return pack_header(kind, TOKEN, number, left_ms) + (encode(message) if message is not None else b"")


def bare(endpoint: str) -> zmq.Socket[bytes]:
    sock = zmq.Context.instance().socket(zmq.DEALER)
    sock.setsockopt(zmq.LINGER, 0)
    sock.setsockopt(zmq.RCVTIMEO, int(WAIT_S * 1000))
    sock.connect(endpoint)
    return sock


@pytest.mark.requirement("bus:call:timeout")
@pytest.mark.requirement("bus:call:late")
def test_a_timed_out_call_leaves_the_client_usable_and_its_late_answer_is_discarded(
    folder: Path, zmq_transport: ZmqTransport
) -> None:
    handler = Recorder()
    with service(zmq_transport, f"ipc://{folder}/s", handler) as client:
        assert client.call(Ping()) == Ok("pong")
        with pytest.raises(CallTimeoutError, match="not known"):
            client.call(Kill("slow", "test"), timeout_s=0.1)
        assert handler.entered.is_set()
        handler.gate.set()
        assert client.call(Advance(7)) == Ok("Advance(after_ns=7)")
        assert client.call(Ping()) == Ok("pong")


@pytest.mark.requirement("bus:call:timeout")
def test_a_call_to_nobody_times_out_and_the_same_client_is_answered_once_somebody_serves(
    folder: Path, zmq_transport: ZmqTransport
) -> None:
    endpoint = f"ipc://{folder}/s"
    client = zmq_transport.client(endpoint)
    with pytest.raises(CallTimeoutError, match="outcry status"):
        client.call(Ping(), timeout_s=0.05)
    with serving(zmq_transport.server(endpoint, Recorder())):
        assert client.call(Ping()) == Ok("pong")


@pytest.mark.requirement("bus:call:restart")
def test_a_call_is_answered_when_its_server_is_killed_and_started_again_in_the_middle(
    folder: Path, zmq_transport: ZmqTransport
) -> None:
    endpoint = f"ipc://{folder}/s"
    client = zmq_transport.client(endpoint)
    answers: list[Message] = []
    command = [sys.executable, "-m", "tests.bus.echo", endpoint]
    with subprocess.Popen([*command, "hang"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "bound\n"
        asker = Thread(target=lambda: answers.append(client.call(Advance(42), timeout_s=WAIT_S)))
        asker.start()
        assert first.stdout.readline() == "working\n"
        first.kill()
    assert Path(endpoint.removeprefix("ipc://")).exists(), "a killed process leaves its socket file"
    with subprocess.Popen([*command, "ready"], cwd=ROOT, stdout=subprocess.DEVNULL) as second:
        asker.join(WAIT_S)
        second.kill()
    assert answers == [Ok("after 42")]


@pytest.mark.requirement("bus:call:once")
def test_a_request_id_that_arrives_twice_is_executed_once_and_answered_twice(
    folder: Path, zmq_transport: ZmqTransport
) -> None:
    endpoint = f"ipc://{folder}/s"
    handler = Recorder()
    with serving(zmq_transport.server(endpoint, handler)), bare(endpoint) as one, bare(endpoint) as other:
        one.send(frame(ASK, 1, Advance(1)))
        first = one.recv()
        one.send(frame(ASK, 1, Advance(1)))
        assert one.recv() == first
        other.send(frame(ASK, 1, Advance(1)))
        assert other.recv() == first, "after a reconnect the same client has another identity"
    assert first.startswith(pack_id(TOKEN, 1))
    assert handler.seen == [Advance(1)]


@pytest.mark.requirement("bus:call:once")
def test_a_request_sent_again_while_it_is_worked_on_is_not_worked_on_again(
    folder: Path, zmq_transport: ZmqTransport
) -> None:
    endpoint = f"ipc://{folder}/s"
    handler = Recorder()
    with serving(zmq_transport.server(endpoint, handler)), bare(endpoint) as sock:
        sock.send(frame(ASK, 1, Kill("x", "y")))
        assert handler.entered.wait(WAIT_S)
        sock.send(frame(ASK, 1, Kill("x", "y")))
        sock.send(frame(ASK, 1, Kill("x", "y")))
        handler.gate.set()
        assert len({sock.recv() for _ in range(3)}) == 1
    assert len(handler.seen) == 1


@pytest.mark.requirement("bus:call:given-up")
def test_a_client_whose_time_is_over_says_that_it_gives_up(folder: Path, zmq_transport: ZmqTransport) -> None:
    endpoint = f"ipc://{folder}/s"
    client = zmq_transport.client(endpoint)
    kinds: list[int] = []
    with zmq.Context.instance().socket(zmq.ROUTER) as sock:
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RCVTIMEO, int(WAIT_S * 1000))
        sock.bind(endpoint)
        with pytest.raises(CallTimeoutError):
            client.call(Ping(), timeout_s=0.3)
        while GIVE_UP not in kinds:
            kinds.append(sock.recv_multipart()[1][0])
    assert kinds[0] == ASK


@pytest.mark.requirement("bus:call:errors")
def test_an_error_of_ours_reaches_the_caller_with_its_code_and_text(folder: Path, zmq_transport: ZmqTransport) -> None:
    with (
        service(zmq_transport, f"ipc://{folder}/s", Recorder()) as client,
        pytest.raises(RemoteError, match="5 is after the clock; ask for an earlier time") as caught,
    ):
        client.call(TickAt(5))
    assert caught.value.code == "look_ahead"


@pytest.mark.requirement("bus:call:errors")
def test_any_other_error_is_logged_here_and_told_there_without_its_detail(
    folder: Path, zmq_transport: ZmqTransport, caplog: pytest.LogCaptureFixture
) -> None:
    with service(zmq_transport, f"ipc://{folder}/s", Recorder()) as client, caplog.at_level(logging.ERROR, "bus"):
        with pytest.raises(RemoteError) as caught:
            client.call(EventsSince(0))
        assert client.call(Ping()) == Ok("pong")
    assert caught.value.code == "internal_error"
    assert "secret detail" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "secret detail" in caplog.text


@pytest.mark.requirement("bus:schema:version")
def test_a_service_tells_a_client_of_another_version_so(folder: Path, zmq_transport: ZmqTransport) -> None:
    endpoint = f"ipc://{folder}/s"
    handler = Recorder()
    with serving(zmq_transport.server(endpoint, handler)), bare(endpoint) as sock:
        sock.send(pack_header(ASK, TOKEN, 1, 1000) + b"\xc8" + encode(Ping())[1:])
        answer = decode(sock.recv()[ID_SIZE:])
    assert isinstance(answer, ErrorReply)
    assert answer.code == "schema_version"
    assert "200" in answer.message
    assert not handler.seen


@pytest.mark.requirement("bus:schema:version")
@pytest.mark.parametrize("answer", [b"\xc8\x00", encode(ErrorReply("schema_version", "the peer speaks 200"))])
def test_a_client_raises_when_the_service_speaks_another_version(folder: Path, answer: bytes) -> None:
    endpoint = f"ipc://{folder}/s"
    transport = ZmqTransport()
    client = transport.client(endpoint)
    with zmq.Context.instance().socket(zmq.ROUTER) as sock:
        sock.setsockopt(zmq.LINGER, 0)
        sock.bind(endpoint)

        def reply() -> None:
            identity, request = sock.recv_multipart()
            sock.send_multipart([identity, request[1 : 1 + ID_SIZE] + answer])

        peer = Thread(target=reply)
        peer.start()
        with pytest.raises(SchemaVersionError, match="200"):
            client.call(Ping())
        peer.join(WAIT_S)
    transport.close()
