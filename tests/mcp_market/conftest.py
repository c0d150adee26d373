"""One desk on the sample day for all tests that do not move its clock."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from bus.messages import FeedClock, GetClock
from mcp_servers._desk import Desk
from tests.mcp_market.floor import Floor, Mode, floor
from tests.mcp_servers.desk import RunningDesk, replay_desk

MINUTE = 130


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningDesk]:
    """A desk at 11:40 in New York; its clock is left alone."""
    with replay_desk(tmp_path_factory.mktemp("market"), minute=MINUTE) as desk:
        # The first question about the clock loads the venue's calendar: on a busy machine longer than a tool waits.
        desk.ask("feed", GetClock(), FeedClock)
        yield desk


@pytest.fixture(scope="package")
def market(running: RunningDesk) -> Generator[Floor]:
    """A modern client of that desk."""
    with floor(running.desk) as opened:
        yield opened


@pytest.fixture(scope="package", params=["auto", "legacy"])
def either(running: RunningDesk, request: pytest.FixtureRequest) -> Generator[Floor]:
    """A client of each protocol era, with a desk of its own loop."""
    mode: Mode = request.param
    with floor(Desk(running.directory, running.desk.options, "replay"), mode) as opened:
        yield opened
