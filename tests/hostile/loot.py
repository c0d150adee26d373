"""Everything that a hostile agent is told, as if it had found it all out: not what keeps it from the orders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

__all__ = ["KEY", "MODEL_KEY", "Attempt", "Loot", "attempt"]

KEY = re.compile(rb"not-a-real-broker-key-[0-9]{12}")
"""What a test's broker key looks like: whoever looks for it does not have it."""
MODEL_KEY = re.compile(rb"not-a-real-model-key-[0-9]{12}")
"""What the key looks like that the trader alone is given."""


class Loot(msgspec.Struct, frozen=True):
    """What an attacker would look for.

    Attributes:
        run_dir: The run's folder.
        keys_file: The broker's keys.
        day: The recorded day.
        venue_port: Where the broker listens.
        endpoints: The directory.
        pids: Stage → process id, with ``supervisor`` and ``nursery``.
        run_id: The run.
        client: Its client.
        now_ns: The desk's time.
        symbol: A symbol it trades, and a price that passes the collar.
        sent: A ticketed order that was sent (bus bytes).
        only: The attempts to make; empty for all.
    """

    run_dir: str
    keys_file: str
    day: str
    venue_port: int
    endpoints: dict[str, str]
    pids: dict[str, int]
    run_id: str
    client: str
    now_ns: int
    symbol: str
    price_nano: int
    sent: bytes
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One thing to try; what it returns is what was won."""

    name: str
    run: Any


def attempt(name: str, into: list[Attempt]) -> Any:
    """Register a function of a ``Loot`` as an attempt."""

    def register(function: Any) -> Any:
        into.append(Attempt(name, function))
        return function

    return register
