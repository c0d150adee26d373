"""Tickets: what they are bound to, and where the key is."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import msgspec
import pytest

from bus.errors import TicketError
from bus.messages import Ticket, TicketedOrder
from risk.limits import effective_version
from risk.tickets import Signer, cancel_all_digest, order_digest, publish_public_key, read_public_key, sign, verify
from tests.risk.desk import Desk


def issued(desk: Desk) -> TicketedOrder:
    return desk.judge(desk.intent()).orders[0]


def check(desk: Desk, order: TicketedOrder, **other: object) -> None:
    key_id, key = read_public_key(desk.folder / "gate.pub")
    known: dict[str, object] = {
        "over": order_digest(order.intent), "client": "alice", "now_ns": desk.feed.now_ns, "key_id": key_id,
        "public_key": key, "limits_version": effective_version(desk.spec, "alice"),
    }  # fmt: skip
    verify(order.ticket, **(known | other))  # pyright: ignore[reportArgumentType] - a table of keywords


@pytest.mark.requirement("risk:ticket:bound")
def test_a_ticket_verifies_until_it_expires_and_not_after(desk: Desk) -> None:
    order = issued(desk)
    check(desk, order)
    check(desk, order, now_ns=order.ticket.expires_ns)
    with pytest.raises(TicketError, match="is good from"):
        check(desk, order, now_ns=order.ticket.expires_ns + 1)
    with pytest.raises(TicketError, match="is good from"):
        check(desk, order, now_ns=order.ticket.issued_ns - 1)


@pytest.mark.requirement("risk:ticket:bound")
@pytest.mark.parametrize(
    "change",
    [
        {"qty_nano": 11_000_000_000}, {"side": "sell"}, {"symbol": "NICK"}, {"limit_price_nano": 1},
        {"order_type": "limit"}, {"time_in_force": "ioc"}, {"reason": "other"}, {"cycle": 2}, {"strategy": "other"},
    ],
)  # fmt: skip
def test_any_change_of_the_order_needs_another_ticket(desk: Desk, change: dict[str, object]) -> None:
    order = issued(desk)
    altered = msgspec.structs.replace(order.intent, **change)
    with pytest.raises(TicketError, match="another order"):
        check(desk, order, over=order_digest(altered))


@pytest.mark.requirement("risk:ticket:bound")
@pytest.mark.parametrize(
    "change",
    [
        {"ticket_id": "tk-0"}, {"client": "mallory"}, {"order_digest": "0" * 64}, {"limits_version": "lim-0"},
        {"issued_ns": 0}, {"expires_ns": 2**62}, {"signature": b""}, {"signature": bytes(64)},
    ],
)  # fmt: skip
def test_any_change_of_the_ticket_breaks_its_signature(desk: Desk, change: dict[str, object]) -> None:
    order = issued(desk)
    forged = msgspec.structs.replace(order, ticket=msgspec.structs.replace(order.ticket, **change))
    with pytest.raises(TicketError, match="no valid signature"):
        check(desk, forged)


@pytest.mark.requirement("risk:ticket:bound")
def test_a_foreign_client_other_limits_and_another_key_are_refused_by_name(desk: Desk) -> None:
    order = issued(desk)
    with pytest.raises(TicketError, match="this gateway serves 'bob'"):
        check(desk, order, client="bob")
    with pytest.raises(TicketError, match="in force is lim-0"):
        check(desk, order, limits_version="lim-0")
    other = Signer()
    with pytest.raises(TicketError, match="another key"):
        check(desk, order, key_id=other.key_id, public_key=other.public_key)
    with pytest.raises(TicketError, match="no valid signature"):
        check(desk, order, public_key=other.public_key)


def forge(signer: Signer, over: str) -> Ticket:
    return sign(signer, client="alice", over=over, subject="x", limits_version="lim-0", issued_ns=0, lifetime_ns=2**62)


@pytest.mark.requirement("risk:ticket:bound")
def test_a_ticket_made_with_a_key_of_ones_own_is_refused_even_under_the_gates_key_id(desk: Desk) -> None:
    order = issued(desk)
    own = forge(Signer(), order_digest(order.intent))
    disguised = msgspec.structs.replace(own, key_id=order.ticket.key_id)
    with pytest.raises(TicketError, match="no valid signature"):
        check(desk, TicketedOrder(order.intent, disguised))


@pytest.mark.requirement("risk:ticket:bound")
def test_a_cancel_all_is_never_an_order_and_each_is_its_own(desk: Desk) -> None:
    digests = {cancel_all_digest("alice", 1, "a"), cancel_all_digest("bob", 1, "a"), cancel_all_digest("alice", 2, "a")}
    assert len(digests) == 3
    assert order_digest(desk.intent()) not in digests


@pytest.mark.requirement("risk:ticket:bound")
def test_the_same_key_signs_the_same_ticket_the_same_way() -> None:
    signer = Signer()
    assert forge(signer, "0") == forge(signer, "0")
    assert forge(signer, "0").ticket_id == forge(Signer(), "0").ticket_id


@pytest.mark.requirement("risk:ticket:key")
def test_the_private_key_is_in_no_file_no_text_and_no_copy(desk: Desk) -> None:
    order = issued(desk)
    desk.kill()
    signer: Signer = desk.gate._signer  # pyright: ignore[reportPrivateUsage] - to look for its secret everywhere
    secret = bytes(signer._key)  # pyright: ignore[reportPrivateUsage] - as above
    assert order.ticket.key_id == signer.key_id
    files = list(desk.folder.iterdir())
    assert {path.name for path in files} >= {"gate.sqlite", "gate.pub"}
    for path in files:
        assert secret not in path.read_bytes()
        assert secret.hex().encode() not in path.read_bytes()
    assert secret.hex() not in repr(signer)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TicketError):
            attempt(signer)


@pytest.mark.requirement("risk:ticket:key")
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"key_id": "x", "public_key": "zz"}', '{"key_id": 1}', "null"])
def test_a_broken_key_file_is_told_apart_from_a_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.pub"
    with pytest.raises(TicketError, match="start the gate"):
        read_public_key(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TicketError, match="start the gate"):
        read_public_key(path)
    signer = Signer()
    publish_public_key(path, signer)
    assert read_public_key(path) == (signer.key_id, signer.public_key)
    assert [left.name for left in tmp_path.iterdir()] == ["gate.pub"]
