"""Endpoints: refused rather than stolen."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bus.endpoints import SERVICES, ipc_directory, local_directory, tcp_directory
from bus.errors import BindError
from bus.messages import Ok, Ping
from bus.zmq_transport import ZmqTransport
from tests.bus.desk import Recorder, service, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.requirement("bus:bind:taken")
@pytest.mark.parametrize("kind", ["server", "publisher"])
def test_a_living_owner_keeps_its_socket_file(folder: Path, zmq_transport: ZmqTransport, kind: str) -> None:
    endpoint = f"ipc://{folder}/s"
    with service(zmq_transport, endpoint, Recorder()) as client:
        other = ZmqTransport()
        with pytest.raises(BindError, match="living process"):
            _ = other.server(endpoint, Recorder()) if kind == "server" else other.publisher(endpoint)
        other.close()
        assert client.call(Ping()) == Ok("pong")


@pytest.mark.requirement("bus:bind:taken")
def test_a_living_owner_keeps_its_port(zmq_transport: ZmqTransport) -> None:
    server = zmq_transport.server("tcp://127.0.0.1:*", Recorder())
    with pytest.raises(BindError, match="in use"):
        zmq_transport.server(server.endpoint, Recorder())
    with serving(server):
        assert zmq_transport.client(server.endpoint).call(Ping()) == Ok("pong")


@pytest.mark.requirement("bus:bind:stale")
def test_the_socket_file_of_a_killed_process_does_not_block_its_successor(
    folder: Path, zmq_transport: ZmqTransport
) -> None:
    endpoint = f"ipc://{folder}/s"
    command = [sys.executable, "-m", "tests.bus.echo", endpoint, "ready"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "bound\n"
        process.kill()
    assert (folder / "s").is_socket()
    with service(zmq_transport, endpoint, Recorder()) as client:
        assert client.call(Ping()) == Ok("pong")


@pytest.mark.requirement("bus:bind:allowed")
def test_a_person_s_file_is_left_alone(folder: Path, zmq_transport: ZmqTransport) -> None:
    file = folder / "s"
    file.write_text("notes", encoding="utf-8")
    with pytest.raises(BindError, match="left alone"):
        zmq_transport.server(f"ipc://{file}", Recorder())
    assert file.read_text(encoding="utf-8") == "notes"


@pytest.mark.requirement("bus:bind:allowed")
@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("tcp://0.0.0.0:5000", "CURVE"),
        ("tcp://*:5000", "CURVE"),
        ("tcp://192.0.2.1:5000", "CURVE"),
        ("tcp://example.com:5000", "CURVE"),
        ("tcp://127.0.0.1:99999", "1 to 65535"),
        ("tcp://127.0.0.1", "CURVE"),
        ("ipc://relative/path", "absolute"),
        ("ipc:///nowhere-at-all/s", "make it first"),
        ("ipc:///" + "x" * 200, "shorter run directory"),
        ("inproc://x", "allowed are ipc"),
        ("feed", "allowed are ipc"),
    ],
)
def test_an_endpoint_that_is_not_allowed_is_refused_with_what_to_do(
    zmq_transport: ZmqTransport, endpoint: str, says: str
) -> None:
    with pytest.raises(BindError, match=says):
        zmq_transport.server(endpoint, Recorder())


@pytest.mark.requirement("bus:bind:allowed")
def test_a_full_backlog_still_counts_as_living(folder: Path, zmq_transport: ZmqTransport) -> None:
    with socket.socket(socket.AF_UNIX) as owner, socket.socket(socket.AF_UNIX) as first:
        owner.bind(str(folder / "s"))
        owner.listen(0)
        first.connect(str(folder / "s"))
        with pytest.raises(BindError, match="living process"):
            zmq_transport.server(f"ipc://{folder}/s", Recorder())


@pytest.mark.requirement("bus:endpoints")
def test_a_directory_names_every_service_once(folder: Path) -> None:
    expected = ["feed", "feed.pub", "analyst", "strategy", "trader", "sentiment", "risk", "execution", "supervisor"]
    assert list(SERVICES) == expected
    for directory in (ipc_directory(folder), tcp_directory("127.0.0.1", 5000), local_directory()):
        assert list(directory) == expected
        assert len(set(directory.values())) == len(expected)
    assert ipc_directory(folder)["feed"] == f"ipc://{folder}/feed"
    assert tcp_directory("localhost", 5000)["feed.pub"] == "tcp://127.0.0.1:5001"
    assert tcp_directory("::1", 5000)["feed"] == tcp_directory("[::1]", 5000)["feed"] == "tcp://[::1]:5000"


@pytest.mark.requirement("bus:endpoints")
def test_a_directory_that_could_not_be_bound_is_refused() -> None:
    with pytest.raises(BindError, match="CURVE"):
        tcp_directory("192.0.2.1", 5000)
    with pytest.raises(BindError, match="leaves no room"):
        tcp_directory("127.0.0.1", 65_530)
    with pytest.raises(BindError, match="shorter run directory"):
        ipc_directory(Path("/" + "x" * 120))
