"""Tickets and the published key, bytes and texts whole; not what a gateway does with them (``tests.execution``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.signing import VerifyKey

from bus.codec import canonical
from bus.errors import TicketError
from bus.ids import derived_id, digest
from bus.messages import Ticket
from risk.tickets import Signer, order_digest, read_public_key, sign, verify
from tests.risk.core import Core

ISSUED_NS, LIFETIME_NS = 5_000, 60


def made(signer: Signer, **other: Any) -> Ticket:
    given: dict[str, Any] = {
        "client": "alice", "over": "an order's digest", "subject": "oo-1", "limits_version": "lim-1",
        "issued_ns": ISSUED_NS, "lifetime_ns": LIFETIME_NS,
    }  # fmt: skip
    return sign(signer, **(given | other))


@pytest.mark.requirement("risk:ticket:bound")
def test_a_ticket_is_derived_whole_and_signed_over_itself_without_a_signature() -> None:
    signer = Signer()
    ticket = made(signer)
    unsigned = Ticket(
        ticket_id=derived_id("tk", "alice", "oo-1", "lim-1"),
        client="alice",
        order_digest="an order's digest",
        limits_version="lim-1",
        issued_ns=ISSUED_NS,
        expires_ns=ISSUED_NS + LIFETIME_NS,
        key_id=signer.key_id,
        signature=b"",
    )
    assert msgspec.structs.replace(ticket, signature=b"") == unsigned
    assert len(ticket.signature) == 64
    VerifyKey(signer.public_key).verify(canonical(unsigned), ticket.signature)


@pytest.mark.requirement("risk:ticket:bound")
@pytest.mark.parametrize("other", [{"client": "bob"}, {"subject": "oo-2"}, {"limits_version": "lim-2"}])
def test_of_another_client_order_or_version_a_ticket_has_another_name(other: dict[str, str]) -> None:
    signer = Signer()
    assert made(signer).ticket_id.startswith("tk-")
    assert made(signer).ticket_id != made(signer, **other).ticket_id


@pytest.mark.requirement("risk:ticket:bound")
@pytest.mark.parametrize(
    ("now_ns", "told"),
    [(-1, "1970-01-01 00:00:00Z"), (0, "1970-01-01 00:00:00Z"), (5_061, "1970-01-01 00:00:00.000005061Z")],
)
def test_a_ticket_outside_its_time_says_when_it_was_good_and_what_time_it_is(now_ns: int, told: str) -> None:
    signer = Signer()
    ticket = made(signer)
    known = {"key_id": signer.key_id, "public_key": signer.public_key, "client": "alice", "over": "an order's digest"}
    with pytest.raises(TicketError) as error:
        verify(ticket, now_ns=now_ns, **known)  # pyright: ignore[reportArgumentType] - a table of keywords
    assert str(error.value) == (
        f"ticket {ticket.ticket_id} is good from 1970-01-01 00:00:00.000005Z to 1970-01-01 00:00:00.00000506Z, "
        f"now is {told}; ask the gate again"
    )


def _published(path: Path, key: bytes, key_id: str) -> Path:
    path.write_text(json.dumps({"key_id": key_id, "public_key": key.hex()}), encoding="utf-8")
    return path


@pytest.mark.requirement("risk:ticket:key")
@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_published_key_of_another_size_is_none_even_under_its_own_id(tmp_path: Path, size: int) -> None:
    key = bytes(size)
    with pytest.raises(TicketError) as error:
        read_public_key(_published(tmp_path / "gate.pub", key, digest(key, size=8)))
    assert str(error.value) == "gate.pub holds no gate key (ValueError); start the gate"


@pytest.mark.requirement("risk:ticket:key")
def test_a_published_key_under_the_id_of_another_is_none(tmp_path: Path) -> None:
    one, other = Signer(), Signer()
    with pytest.raises(TicketError) as error:
        read_public_key(_published(tmp_path / "gate.pub", one.public_key, other.key_id))
    assert str(error.value) == "gate.pub holds no gate key (ValueError); start the gate"
    good = _published(tmp_path / "gate.pub", one.public_key, one.key_id)
    assert read_public_key(good) == (one.key_id, one.public_key)


@pytest.mark.requirement("risk:ticket:key")
@pytest.mark.parametrize(
    ("text", "why"), [("{}", "KeyError"), ("[]", "TypeError"), ("", "JSONDecodeError"), (None, "FileNotFoundError")]
)
def test_what_is_wrong_with_a_key_file_is_named(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "gate.pub"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(TicketError) as error:
        read_public_key(path)
    assert str(error.value) == f"gate.pub holds no gate key ({why}); start the gate"


@pytest.mark.requirement("risk:ticket:bound")
def test_what_a_ticket_is_over_is_the_digest_of_the_exact_order_bytes_and_of_nothing_else() -> None:
    intent = Core().intent()
    assert order_digest(intent) == digest(b"order", canonical(intent), size=32)
