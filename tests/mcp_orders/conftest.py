"""Desks: one for tests that change nothing, one of its own for each that does."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.mcp_market.floor import Mode
from tests.mcp_orders.seat import Seat, desk_at, seat
from tests.mcp_servers.desk import RunningDesk


@pytest.fixture(scope="package")
def still(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningDesk]:
    """A desk at 10:30 in New York that nobody trades on."""
    with desk_at(tmp_path_factory.mktemp("still")) as running:
        yield running


@pytest.fixture(scope="package")
def reader(still: RunningDesk) -> Generator[Seat]:
    """A client of that desk."""
    with seat(still) as opened:
        yield opened


@pytest.fixture
def running(tmp_path: Path) -> Generator[RunningDesk]:
    """A desk of the test's own."""
    with desk_at(tmp_path) as desk:
        yield desk


@pytest.fixture
def table(running: RunningDesk) -> Generator[Seat]:
    """A client of the test's own desk, whom nobody asks to confirm."""
    with seat(running) as opened:
        yield opened


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Mode:
    """Each protocol era."""
    mode: Mode = request.param
    return mode
