"""How a stage is given its own secrets: from the supervisor to its process, past the fork server and all other stages.

A forked process has every byte its parent had. So the fork server must never have a key: it holds only descriptors of
memory that the supervisor writes and the one stage reads, after its fork. Not for brokers' keys: those are in files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import cast

__all__ = ["HANDED", "KEYS_OF", "hand", "make_hands", "take"]

HANDED = "OUTCRY_HANDED"
"""The environment variable that tells the fork server which descriptor is whose."""

KEYS_OF = {"analyst": ("OPENAI_",), "trader": ("OPENAI_",), "feed": ("ALPACA_", "APCA_")}
"""Stage → how the names begin of the environment variables that it alone is given."""


def make_hands() -> dict[str, int]:
    """Return stage → a descriptor of memory that is still empty; the caller closes them."""
    return {stage: os.memfd_create(f"outcry-{stage}") for stage in KEYS_OF}


def hand(hands: Mapping[str, int], secrets: Mapping[str, str]) -> None:
    """Write to each stage what is its own.

    Args:
        hands: What ``make_hands`` gave.
        secrets: Variables of the supervisor's environment; what no stage may have is left out.
    """
    for stage, fd in hands.items():
        own = {name: value for name, value in secrets.items() if name.startswith(KEYS_OF[stage])}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(own).encode(), 0)


def take(hands: Mapping[str, int], stage: str) -> dict[str, str]:
    """Return what is a stage's own, in its own process, and close every hand."""
    own = b""
    for name, fd in hands.items():
        if name == stage:
            own = os.pread(fd, os.fstat(fd).st_size, 0)
        os.close(fd)
    return cast("dict[str, str]", json.loads(own or b"{}"))
