"""The other processes of the bus benchmark: bare sockets for the floor, ours beside them. Not used by a desk.

Started as ``python -m bench._bus_peers ROLE ENDPOINT [NEXT]``; ends when its standard input closes.
"""

from __future__ import annotations

import sys
from threading import Thread

import msgspec
import zmq

from bus.messages import Executed, Message, Ok, StageRequest, StageResult
from bus.transport import Client
from bus.zmq_transport import ZmqTransport

__all__ = ["HIGH_WATER", "bare_ask", "main"]

HIGH_WATER = 1_000_000
"""More than a benchmark sends, so that throughput is measured and not loss."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class Hop:
    """Ours: answers a stage's question, after asking the next hop when there is one."""

    def __init__(self, following: Client | None) -> None:
        """Take the client of the next hop."""
        self._following = following

    def handle(self, request: Message) -> Message:
        """Return an empty result, or the next hop's."""
        if self._following is not None:
            return self._following.call(request)
        if isinstance(request, StageRequest):
            return StageResult("execution", request.cycle, request.now_ns, Executed(()))
        return Ok()


def bare_ask(sock: zmq.Socket[bytes], request: Message) -> Message:
    """Ask over a bare socket: the floor."""
    sock.send(_ENCODER.encode(request))
    return _DECODER.decode(sock.recv())


def _bare_hop(endpoint: str, following: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sock = context.socket(zmq.ROUTER)
    sock.bind(endpoint)
    onward = context.socket(zmq.DEALER) if following else None
    if onward is not None:
        onward.connect(following)
    last = Hop(None)
    while True:
        identity, body = sock.recv_multipart()
        request = _DECODER.decode(body)
        answer = bare_ask(onward, request) if onward is not None else last.handle(request)
        sock.send_multipart([identity, _ENCODER.encode(answer)])


def _our_hop(endpoint: str, following: str) -> None:
    transport = ZmqTransport()
    hop = Hop(transport.client(following) if following else None)
    transport.server(endpoint, hop).serve(lambda: False)


def _bare_reader(endpoint: str, reports: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sock, done = context.socket(zmq.SUB), context.socket(zmq.PUSH)
    sock.setsockopt(zmq.RCVHWM, HIGH_WATER)
    sock.setsockopt(zmq.SUBSCRIBE, b"")
    sock.connect(endpoint)
    done.connect(reports)
    while True:
        if isinstance(_DECODER.decode(sock.recv()), Ok):
            done.send(b"")


def _our_reader(endpoint: str, reports: str) -> None:
    transport = ZmqTransport(high_water=HIGH_WATER)
    sub = transport.subscriber(endpoint, ("tick",), from_start=False)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    done = context.socket(zmq.PUSH)
    done.connect(reports)
    while True:
        item = sub.receive(60.0)
        if item is not None and isinstance(item[2], Ok):
            done.send(b"")


_ROLES = {"bare": _bare_hop, "ours": _our_hop, "bare-reader": _bare_reader, "our-reader": _our_reader}


def main(words: list[str]) -> None:
    """Play a role until standard input closes."""
    role, endpoint, following = (*words, "")[:3]
    worker = Thread(target=_ROLES[role], args=(endpoint, following), daemon=True)
    worker.start()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
