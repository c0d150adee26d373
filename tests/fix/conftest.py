"""One scripted counterparty for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix.peer import Peer


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    one = Peer(tmp_path)
    try:
        yield one
    finally:
        one.store.close()


@pytest.fixture
def on(peer: Peer) -> Peer:
    """A peer that is logged on, with nothing to hear yet."""
    peer.log_on()
    assert peer.heard() == []
    return peer
