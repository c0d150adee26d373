"""The only place that makes identifiers and randomness.

Identifiers on the order path are *derived*: the same client, run, cycle and intent give the same client order id, so a
retry by a model, a resumed graph or a restarted process is the same order (law 6). Not for secrets that must outlive a
process: keys are made by who holds them, with ``token_bytes``.
"""

from __future__ import annotations

import hashlib
import os
import random

__all__ = ["leg_order_id", "Generator", "client_order_id", "derived_id", "digest", "seeded", "token_bytes", "token_hex"]


def digest(*parts: str | bytes | int, size: int = 16) -> str:
    """Return the BLAKE2b digest of the parts, each length-prefixed so that no two lists collide.

    Args:
        *parts: Text, bytes or integers.
        size: Digest size in bytes.

    Returns:
        ``2 * size`` hexadecimal characters.
    """
    hasher = hashlib.blake2b(digest_size=size)
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        hasher.update(len(raw).to_bytes(8, "big"))
        hasher.update(raw)
    return hasher.hexdigest()


def derived_id(prefix: str, *parts: str | bytes | int) -> str:
    """Return ``prefix-`` and twelve hexadecimal characters derived from the parts."""
    return f"{prefix}-{digest(*parts, size=6)}"


Generator = random.Random
"""A generator that ``seeded`` gives."""


def client_order_id(client: str, run_id: str, cycle: int, index: int) -> str:
    """Return the client order id of an intent: a function of what was meant, never of when it was sent.

    Args:
        client: The client's name.
        run_id: The run.
        cycle: The cycle in the run.
        index: The intent's place in the cycle.

    Returns:
        ``oo-`` and twenty hexadecimal characters: 23 in all, inside every venue's limit that is known to us.
    """
    return f"oo-{digest(client, run_id, cycle, index, size=10)}"


def leg_order_id(parent_id: str, leg: str, number: int) -> str:
    """Return the client order id of a leg: a function of its parent, so that a restart makes the same one.

    Args:
        parent_id: The parent's client order id.
        leg: ``take_profit`` or ``stop_loss``.
        number: From 0: which of the successive legs of that name.
    """
    return f"oo-{digest(parent_id, leg, number, size=10)}"


def seeded(*parts: str | int) -> Generator:
    """Return a random generator that depends on nothing but the parts."""
    return random.Random(int(digest(*parts), 16))  # noqa: S311 - draws for simulations that must repeat; secrets come from token_bytes


def token_bytes(count: int) -> bytes:
    """Return ``count`` unpredictable bytes."""
    return os.urandom(count)


def token_hex(count: int) -> str:
    """Return ``2 * count`` unpredictable hexadecimal characters, for names of private folders."""
    return os.urandom(count).hex()
