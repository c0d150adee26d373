"""The paper broker on the conformance kit. Its fills are in ``test_paper_fills``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers.kit import BrokerKit, Venue
from tests.brokers.paper_venue import PaperVenue


@pytest.mark.requirement("brokers:paper:kit")
class TestPaper(BrokerKit):
    def make_venue(self, folder: Path) -> Venue:
        assert folder.is_dir()
        return PaperVenue()
