"""A settled desk for each test, and an end to all that were made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.risk.desk import Desk


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while Desk.made:
        Desk.made.pop().close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.settle()
    return made
