"""The vocabulary on the wire."""

from __future__ import annotations

import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import messages
from bus._frames import ASK, pack_header
from bus.codec import canonical, decode, encode
from bus.errors import SchemaError
from bus.messages import Message, Ok, Ping
from bus.zmq_transport import ZmqTransport
from tests.bus.desk import Recorder, service

ROOT = Path(__file__).resolve().parents[2]
ALL: tuple[type[msgspec.Struct], ...] = typing.get_args(messages.Message)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return whatever a field of this type may hold."""
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: INT64,
        str: TEXT,
        bool: st.booleans(),
        bytes: st.binary(max_size=64),
        type(None): st.none(),
    }
    if hint in simple:
        return simple[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([values(arg) for arg in args])
    hints = typing.get_type_hints(hint)
    return st.builds(hint, **{name: values(hints[name]) for name in hint.__struct_fields__})


@pytest.mark.requirement("bus:schema:round-trip")
@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_a_message_survives_encoding_and_decoding(kind: type[msgspec.Struct]) -> None:
    @settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None, database=None)
    @given(values(kind))
    def check(message: Message) -> None:
        data = encode(message)
        again = decode(data)
        assert again == message
        assert type(again) is kind
        assert encode(again) == data
        assert data[1:] == canonical(message)

    check()


@pytest.mark.requirement("bus:schema:round-trip")
@pytest.mark.parametrize("message", [messages.Advance(2**64), Ok("\ud800"), Ok(object())])  # pyright: ignore[reportArgumentType] - what a careless caller may do
def test_what_the_wire_cannot_carry_is_refused_with_where_to_mend_it(message: Message) -> None:
    with pytest.raises(SchemaError, match="mend it where the message is made"):
        encode(message)


@pytest.mark.requirement("bus:schema:garbage")
@settings(max_examples=400, deadline=None, database=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda rest: b"\x01" + rest)))
def test_decoding_garbage_raises_nothing_but_schema_error(data: bytes) -> None:
    try:
        message = decode(data)
    except SchemaError:
        return
    assert isinstance(message, ALL)


@pytest.mark.requirement("bus:schema:garbage")
@settings(max_examples=300, deadline=None, database=None)
@given(st.sampled_from(ALL).flatmap(values), st.integers(0), st.integers(0, 255), st.booleans())
def test_decoding_a_damaged_message_raises_nothing_but_schema_error(
    message: Message, where: int, byte: int, cut: bool
) -> None:
    data = bytearray(encode(message))
    where %= len(data)
    data[where] = byte
    try:
        decode(bytes(data[:where] if cut else data))
    except SchemaError:
        return


@pytest.mark.requirement("bus:schema:garbage")
@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", b"\x01\x92\xa2Ok\xa1\xff", b"\x01" + b"\x91" * 200_000, b"\x01\x92\xa2Ok" + b"\x91" * 200_000],
    ids=["empty", "no body", "not UTF-8", "deep", "deep inside"],
)
def test_known_nasty_bytes_are_a_schema_error(data: bytes) -> None:
    with pytest.raises(SchemaError):
        decode(data)


@pytest.mark.requirement("bus:schema:garbage")
def test_garbage_frames_never_kill_a_service(folder: Path, zmq_transport: ZmqTransport) -> None:
    endpoint = f"ipc://{folder}/s"
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with service(zmq_transport, endpoint, Recorder()) as client, context.socket(zmq.DEALER) as sock:
        sock.setsockopt(zmq.LINGER, 0)
        sock.connect(endpoint)

        @settings(max_examples=150, deadline=None, database=None)
        @given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.integers(1, 2**32), st.booleans())
        def throw(parts: list[bytes], number: int, headed: bool) -> None:
            head = pack_header(ASK, b"garbage!", number, 1000) if headed else b""
            sock.send_multipart([head + parts[0], *parts[1:]])

        throw()
        for odd in ([b""], [b"", b""], [b"\x01"] * 50):
            sock.send_multipart(odd)
        assert client.call(Ping()) == Ok("pong")
    context.term()


@pytest.mark.requirement("bus:schema:no-pickle")
def test_no_module_of_the_bus_names_or_needs_pickle() -> None:
    for path in (ROOT / "bus").glob("*.py"):
        assert "import pickle" not in path.read_text(encoding="utf-8"), path.name
        assert "recv_pyobj" not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.requirement("bus:schema:no-pickle")
def test_importing_the_light_half_of_the_bus_loads_nothing_heavy() -> None:
    code = (
        "import sys; import bus, bus.codec, bus.endpoints, bus.ids, bus.fixed, bus.transport;"
        "print(sorted({'zmq', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
