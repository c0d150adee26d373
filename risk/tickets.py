"""The gate's signature over one order: why an order without it goes nowhere (law 1).

Ed25519 over the exact order bytes, the client, the limits version and an expiry. The private key is made in the gate's
memory and never leaves it; the public half is published as a file. Single use is for the gateway to keep.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from bus.clock import iso
from bus.codec import canonical
from bus.errors import TicketError
from bus.ids import derived_id, digest, token_hex
from bus.messages import OrderIntent, Ticket

__all__ = [
    "Signer",
    "cancel_all_digest",
    "cancel_digest",
    "clear_halt_digest",
    "order_digest",
    "publish_public_key",
    "read_public_key",
    "sign",
    "verify",
]


def order_digest(intent: OrderIntent) -> str:
    """Return the digest of the exact order bytes."""
    return digest(b"order", canonical(intent), size=32)


def cancel_all_digest(client: str, now_ns: int, reason: str, strategy: str = "") -> str:
    """Return the digest that a ticket for cancelling everything, of one strategy where one is named, is over."""
    return digest("cancel_all", client, now_ns, reason, strategy, size=32)


def cancel_digest(client: str, client_order_id: str, now_ns: int, reason: str) -> str:
    """Return the digest that a ticket for cancelling one order is over."""
    return digest("cancel", client, client_order_id, now_ns, reason, size=32)


def clear_halt_digest(client: str, now_ns: int, by: str) -> str:
    """Return the digest that a ticket for letting a halted client trade again is over."""
    return digest("clear_halt", client, now_ns, by, size=32)


class Signer:
    """The gate's key: made here, kept here, shown nowhere."""

    __slots__ = ("_key", "key_id", "public_key")

    def __init__(self) -> None:
        """Make a new key."""
        self._key = SigningKey.generate()
        self.public_key: bytes = bytes(self._key.verify_key)
        self.key_id: str = digest(self.public_key, size=8)

    def __repr__(self) -> str:
        """Return the key id only."""
        return f"Signer(key_id={self.key_id!r})"

    def __reduce__(self) -> str:
        """Refuse to be copied out of the process."""
        raise TicketError("a signer cannot be serialized: the key stays in the gate")

    def sign_bytes(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(data).signature


def _signed_bytes(ticket: Ticket) -> bytes:
    return canonical(msgspec.structs.replace(ticket, signature=b""))


def sign(
    signer: Signer,
    *,
    client: str,
    over: str,
    subject: str,
    limits_version: str,
    issued_ns: int,
    lifetime_ns: int,
    epoch: int = 0,
) -> Ticket:
    """Return a signed ticket.

    Args:
        signer: The gate's key.
        client: Whose order.
        over: ``order_digest``, ``cancel_digest`` or ``cancel_all_digest``.
        subject: What the ticket id is derived from: the client order id, or what is canceled and when.
        limits_version: The limits the order was judged by.
        issued_ns: The gate's clock.
        lifetime_ns: How long the ticket is good for.
        epoch: How many kills and resumes there were.

    Returns:
        The ticket; everything but key id and signature is derived.
    """
    unsigned = Ticket(
        ticket_id=derived_id("tk", client, subject, limits_version),
        client=client,
        order_digest=over,
        limits_version=limits_version,
        issued_ns=issued_ns,
        expires_ns=issued_ns + lifetime_ns,
        key_id=signer.key_id,
        signature=b"",
        epoch=epoch,
    )
    return msgspec.structs.replace(unsigned, signature=signer.sign_bytes(_signed_bytes(unsigned)))


def verify(
    ticket: Ticket,
    *,
    over: str,
    client: str,
    now_ns: int,
    key_id: str,
    public_key: bytes,
    limits_version: str = "",
) -> None:
    """Check everything about a ticket but single use.

    Args:
        ticket: What came with the order.
        over: The digest of what is about to be done.
        client: Whose gateway this is.
        now_ns: The gateway's clock.
        key_id: The gate's present key id.
        public_key: The gate's public key.
        limits_version: The limits that must have been judged by; empty where the caller does not know them.

    Raises:
        TicketError: The ticket does not allow this.
    """
    if ticket.key_id != key_id:
        raise TicketError(f"ticket {ticket.ticket_id} was signed by another key than the running gate's; ask it again")
    try:
        VerifyKey(public_key).verify(_signed_bytes(ticket), ticket.signature)
    except (BadSignatureError, ValueError, TypeError) as error:
        raise TicketError(f"ticket {ticket.ticket_id} has no valid signature; only the gate signs") from error
    if ticket.client != client:
        raise TicketError(f"ticket {ticket.ticket_id} is for client {ticket.client!r}; this gateway serves {client!r}")
    if ticket.order_digest != over:
        raise TicketError(f"ticket {ticket.ticket_id} is for another order; an altered order needs its own")
    if limits_version and ticket.limits_version != limits_version:
        raise TicketError(
            f"ticket {ticket.ticket_id} was given under limits {ticket.limits_version}; in force is {limits_version}: "
            "ask the gate again"
        )
    if not ticket.issued_ns <= now_ns <= ticket.expires_ns:
        raise TicketError(
            f"ticket {ticket.ticket_id} is good from {iso(ticket.issued_ns)} to {iso(ticket.expires_ns)}, "
            f"now is {iso(max(now_ns, 0))}; ask the gate again"
        )


def publish_public_key(path: Path, signer: Signer) -> None:
    """Write the public key where gateways read it, in one step."""
    draft = path.with_name(f".{path.name}.{token_hex(4)}")
    draft.write_text(json.dumps({"key_id": signer.key_id, "public_key": signer.public_key.hex()}), encoding="utf-8")
    os.replace(draft, path)


def read_public_key(path: Path) -> tuple[str, bytes]:
    """Return ``(key id, public key)`` as the gate published them.

    Raises:
        TicketError: There is no readable key.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        key = bytes.fromhex(raw["public_key"])
        if digest(key, size=8) != raw["key_id"] or len(key) != 32:
            raise ValueError("the key does not match its id")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TicketError(f"{path.name} holds no gate key ({type(error).__name__}); start the gate") from error
    return str(raw["key_id"]), key
