"""The corpus sent to the real sockets of a gate and a gateway: refused there, by services that stay alive."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest
import zmq

from bus._frames import ASK, ID_SIZE, pack_header
from bus.ids import token_bytes
from bus.messages import Ok, Ping
from bus.zmq_transport import ZmqTransport
from tests.corpus.attack import Attack, attack_bytes, attacks, prepare
from tests.corpus.floor import CLIENTS, Floor
from tests.corpus.test_attacks import refusal

WAIT_S = 20
SENT = [(table, line) for table, line in attacks() if not line.before and not line.late_s]
JUNK = (
    [b""],
    [b"\0"],
    [b"GET / HTTP/1.1\r\n\r\n"],
    [b"\xff" * 21],
    [token_bytes(20)],
    [token_bytes(4096)],
    [b"", b"", b""],
    [pack_header(ASK, b"attacker", 1, 1000), b"second frame"],
    [pack_header(7, b"attacker", 1, 1000) + b"\1\x91\xa4Ping"],
    [pack_header(ASK, b"attacker", 2**64 - 1, 2**32 - 1)],
)


class Wire:
    """A gate and its gateways on sockets, and one way in without any client of ours."""

    def __init__(self, floor: Floor, folder: Path) -> None:
        self.floor = floor
        self.transport = ZmqTransport()
        self.stop = Event()
        self.endpoints = {name: f"ipc://{folder}/{name}" for name in ("risk", *CLIENTS.values())}
        self.threads: list[Thread] = []
        for name, endpoint in self.endpoints.items():
            server = self.transport.server(endpoint, floor.handlers[name])
            thread = Thread(target=server.serve, args=(self.stop.is_set, 10), daemon=True)
            thread.start()
            self.threads.append(thread)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.count = 0

    def socket(self, service: str) -> zmq.Socket[bytes]:
        end = self.context.socket(zmq.DEALER)
        end.setsockopt(zmq.LINGER, 0)
        end.setsockopt(zmq.RCVTIMEO, WAIT_S * 1000)
        end.connect(self.endpoints[service])
        return end

    def ask(self, service: str, raw: bytes) -> bytes:
        """Send bytes as a question with a header of its own, and return the bytes of the answer."""
        self.count += 1
        with closing(self.socket(service)) as end:
            end.send(pack_header(ASK, token_bytes(8), self.count, WAIT_S * 1000) + raw)
            return end.recv()[ID_SIZE:]

    def alive(self, service: str) -> bool:
        with closing(self.transport.client(self.endpoints[service])) as client:
            return isinstance(client.call(Ping(), WAIT_S), Ok)

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(WAIT_S)
        self.transport.close()
        self.context.term()


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    floor = Floor(tmp_path_factory.mktemp("floor"))
    folder = Path(tempfile.mkdtemp(prefix="oo-"))  # a socket's path must be short
    made = Wire(floor, folder)
    yield made
    made.close()
    floor.close()
    shutil.rmtree(folder)


@pytest.mark.requirement("corpus:sockets")
def test_every_attack_that_needs_nothing_before_it_is_refused_at_the_socket(wire: Wire) -> None:
    assert len(SENT) >= 80
    before: list[object] | None = None
    for n, (table, line) in enumerate(SENT, 20):
        attack = msgspec.structs.replace(line, index=n)  # so that none spends the order id of the next
        held = prepare(attack, wire.floor)
        raw = attack_bytes(attack, wire.floor, held)
        if before is None or held:
            before = wire.floor.holdings()
        refused = refusal(wire.ask(attack.to, raw))
        assert refused, f"{table}: {attack.name}"
        assert "*" in attack.refused or refused <= set(attack.refused), (attack.name, refused)
        assert wire.floor.holdings() == before, attack.name
        if held:
            wire.floor.advance()
            before = None
    assert all(wire.alive(service) for service in wire.endpoints)


@pytest.mark.requirement("corpus:sockets")
@pytest.mark.parametrize("service", ["risk", "execution", "execution.bob"])
def test_frames_that_are_no_questions_are_dropped_and_the_service_lives(wire: Wire, service: str) -> None:
    before = wire.floor.holdings()
    for frames in JUNK:
        with closing(wire.socket(service)) as end:
            end.send_multipart(frames)
            # The question behind it is answered, so what came before it was read.
            end.send(pack_header(ASK, token_bytes(8), 1, WAIT_S * 1000) + bytes.fromhex("ff"))
            while True:
                answer = end.recv()
                if refusal(answer[ID_SIZE:]) == {"schema_version"}:
                    break
    assert wire.alive(service)
    assert wire.floor.holdings() == before


@pytest.mark.requirement("corpus:sockets")
def test_an_attack_is_told_apart_from_what_is_genuine(wire: Wire) -> None:
    genuine = Attack(name="none", source="own", base="order", index=9)
    answer = wire.ask("risk", attack_bytes(genuine, wire.floor, {}))
    assert refusal(answer) == set()
