"""A direct call and a call over a socket are the same call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from bus.codec import encode
from bus.errors import BindError, BusError, CallTimeoutError, RemoteError, SchemaError
from bus.local_transport import LocalTransport
from bus.messages import Advance, EventsSince, Kill, Message, Ok, Ping, TickAt
from bus.transport import Client, Transport
from bus.zmq_transport import ZmqTransport
from tests.bus.desk import WAIT_S, Recorder, service


class NotAMessage:
    """A handler with a mistake."""

    def handle(self, request: Message) -> Message:
        assert isinstance(request, Ping)
        return {"not": {"a message"}}  # pyright: ignore[reportReturnType] - the mistake under test


@pytest.fixture
def pair(folder: Path) -> Iterator[tuple[Client, Client]]:
    transports: list[Transport] = [LocalTransport(), ZmqTransport()]
    with ExitStack() as stack:
        clients: list[Client] = []
        for transport in transports:
            stack.callback(transport.close)
            clients.append(stack.enter_context(service(transport, f"ipc://{folder}/s", Recorder())))
        yield clients[0], clients[1]


def outcome(client: Client, request: Message) -> bytes | tuple[type[BusError], str]:
    try:
        return encode(client.call(request))
    except BusError as error:
        return type(error), str(error)


@pytest.mark.requirement("bus:same-bytes")
@pytest.mark.parametrize(
    "request_", [Ping(), Advance(3), TickAt(9), EventsSince(1), Advance(2**70)], ids=lambda request: repr(request)
)
def test_both_transports_give_the_same_bytes_and_errors(pair: tuple[Client, Client], request_: Message) -> None:
    local, remote = pair
    assert outcome(local, request_) == outcome(remote, request_)


@pytest.mark.requirement("bus:same-bytes")
def test_an_answer_that_is_no_message_is_an_internal_matter_of_the_service() -> None:
    transport = LocalTransport()
    transport.server("local://x", NotAMessage())
    with pytest.raises((RemoteError, SchemaError)):
        transport.client("local://x").call(Ping())
    transport.close()


@pytest.mark.requirement("bus:same-bytes")
def test_in_process_a_call_to_nobody_times_out_at_once_and_a_closed_service_is_nobody() -> None:
    transport = LocalTransport()
    client = transport.client("local://x")
    with pytest.raises(CallTimeoutError, match="nothing serves it"):
        client.call(Ping())
    server = transport.server("local://x", Recorder())
    assert client.call(Ping()) == Ok("pong")
    server.close()
    with pytest.raises(CallTimeoutError):
        client.call(Ping())
    transport.close()


@pytest.mark.requirement("bus:bind:taken")
def test_in_process_a_taken_endpoint_is_refused() -> None:
    transport = LocalTransport()
    transport.server("local://x", Recorder())
    with pytest.raises(BindError, match="served already"):
        transport.server("local://x", Recorder())
    with pytest.raises(BindError, match="served already"):
        transport.publisher("local://x")
    transport.close()


@pytest.mark.requirement("bus:call:timeout")
def test_in_process_a_busy_service_is_waited_for_no_longer_than_the_deadline() -> None:
    transport = LocalTransport()
    handler = Recorder()
    server = transport.server("local://x", handler)
    slow = Thread(target=transport.client("local://x").call, args=(Kill("x", "y"),))
    slow.start()
    assert handler.entered.wait(WAIT_S)
    assert server.busy_ns > 0
    with pytest.raises(CallTimeoutError, match="busy"):
        transport.client("local://x").call(Ping(), timeout_s=0.01)
    handler.gate.set()
    slow.join(WAIT_S)
    assert transport.client("local://x").call(Ping()) == Ok("pong")
    assert server.busy_ns == 0
    transport.close()


@pytest.mark.requirement("bus:same-bytes")
def test_in_process_serving_only_waits_for_the_stop() -> None:
    stop = Event()
    stop.set()
    transport = LocalTransport()
    server = transport.server("local://x", Recorder())
    server.serve(stop.is_set)
    server.close()
    transport.close()
