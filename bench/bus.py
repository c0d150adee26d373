"""What the bus costs above bare sockets and bare msgspec, between processes pinned to one core. Not a load test.

The floor of each figure carries the same message over the same kind of socket, measured in alternation with ours.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import zmq

from bench._bus_peers import HIGH_WATER, Hop, bare_ask
from bench._measure import Result, interleaved, pinned, result
from bus.clock import monotonic_ns
from bus.local_transport import LocalTransport
from bus.messages import Bar, Message, Ok, OrderIntent, RiskAsk, StageRequest
from bus.zmq_transport import ZmqTransport

__all__ = ["run"]

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_NOW_NS = 1_381_152_600_000_000_000


def run(quick: bool = False) -> list[Result]:
    """Measure.

    Args:
        quick: A tenth of the rounds, for a smoke test: the figures are rough.

    Returns:
        Round trip, three hops, publishing and the in-process call.
    """
    rounds = 1_000 if quick else 10_000
    with tempfile.TemporaryDirectory(prefix="oo-") as name, pinned():
        folder = Path(name)
        return [
            _round_trip(folder, rounds),
            _three_hops(folder, rounds // 2),
            _publishing(folder, rounds * 2, 3 if quick else 9),
            _local_call(rounds * 2),
        ]


def _order() -> StageRequest:
    intent = OrderIntent(
        "oo-0123456789abcdef0123",
        "alpha",
        "run-0123456789ab",
        7,
        0,
        "AAPL",
        "buy",
        "limit",
        "day",
        100_000_000_000,
        187_250_000_000,
        _NOW_NS,
        "trend",
        "the trend is up",
    )
    return StageRequest("run-0123456789ab", "alpha", 7, _NOW_NS, RiskAsk((intent,)))


@contextmanager
def _peer(*words: str) -> Generator[None]:
    with subprocess.Popen([sys.executable, "-m", "bench._bus_peers", *words], stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def _bare(endpoint: str) -> Generator[zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sock = context.socket(zmq.DEALER)
    sock.setsockopt(zmq.LINGER, 0)
    sock.connect(endpoint)
    try:
        yield sock
    finally:
        sock.close()
        context.term()


def _chain(name: str, folder: Path, hops: int, rounds: int) -> Result:
    request = _order()
    with ExitStack() as stack:
        for role in ("bare", "ours"):
            for hop in range(hops):
                following = [f"ipc://{folder}/{role}{hops}{hop + 1}"] if hop + 1 < hops else []
                stack.enter_context(_peer(role, f"ipc://{folder}/{role}{hops}{hop}", *following))
        transport = ZmqTransport()
        stack.callback(transport.close)
        client = transport.client(f"ipc://{folder}/ours{hops}0")
        bare = stack.enter_context(_bare(f"ipc://{folder}/bare{hops}0"))
        client.call(request, timeout_s=30.0)
        floor, ours = interleaved(lambda: bare_ask(bare, request), lambda: client.call(request), rounds)
    return result(name, "µs", floor, ours)


def _round_trip(folder: Path, rounds: int) -> Result:
    return _chain("round trip of an order over ipc", folder, 1, rounds)


def _three_hops(folder: Path, rounds: int) -> Result:
    return _chain("three hops there and back, four processes", folder, 3, rounds)


def _publishing(folder: Path, burst: int, rounds: int) -> Result:
    bar = Bar("AAPL", _NOW_NS, _NOW_NS, _NOW_NS, 187 * 10**9, 188 * 10**9, 186 * 10**9, 187 * 10**9, 10**12)
    ends = {role: (f"ipc://{folder}/{role}.pub", f"ipc://{folder}/{role}.done") for role in ("bare", "our")}
    floor: list[float] = []
    ours: list[float] = []
    with ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.term)
        dones: dict[str, zmq.Socket[bytes]] = {}
        for role, (_, reports) in ends.items():
            dones[role] = stack.enter_context(context.socket(zmq.PULL))
            dones[role].bind(reports)
        bare = stack.enter_context(context.socket(zmq.PUB))
        bare.setsockopt(zmq.LINGER, 0)
        bare.setsockopt(zmq.SNDHWM, HIGH_WATER)
        bare.bind(ends["bare"][0])
        transport = ZmqTransport(high_water=HIGH_WATER)
        stack.callback(transport.close)
        publisher = transport.publisher(ends["our"][0])
        for role, (endpoint, reports) in ends.items():
            stack.enter_context(_peer(f"{role}-reader", endpoint, reports))

        def send_bare(message: Message) -> None:
            bare.send(_ENCODER.encode(message))

        def send_ours(message: Message) -> None:
            publisher.publish("tick", message)

        for role, send in (("bare", send_bare), ("our", send_ours)):
            while not dones[role].poll(20):
                send(Ok())
            while dones[role].poll(100):
                dones[role].recv()
        for _ in range(rounds):
            for role, send, into in (("bare", send_bare, floor), ("our", send_ours, ours)):
                start = monotonic_ns()
                for _ in range(burst):
                    send(bar)
                send(Ok())
                dones[role].recv()
                into.append((monotonic_ns() - start) / 1000 / burst)
    return result("publishing one way over ipc, a message", "µs", floor, ours)


def _local_call(rounds: int) -> Result:
    request = _order()
    transport = LocalTransport()
    handler = Hop(None)
    transport.server("local://risk", handler)
    client = transport.client("local://risk")

    def plain() -> Message:
        answer = handler.handle(_DECODER.decode(_ENCODER.encode(request)))
        return _DECODER.decode(_ENCODER.encode(answer))

    floor, ours = interleaved(plain, lambda: client.call(request), rounds)
    return result("call in one process", "µs", floor, ours)
