"""The conformance kit: what every broker adapter must do, against a venue that misbehaves on purpose.

Not tied to a protocol: it sees an adapter through ``execution.broker.Broker`` and its counterpart through ``Venue``.
An adapter's test subclasses ``BrokerKit``, gives ``make_venue`` and carries its own requirement ids. A mishap that the
protocol cannot produce is declared in ``Venue.cannot``; only that skips a test, and the venue must refuse to produce
it, so what is skipped is what is declared.

    @pytest.mark.requirement("brokers:alpaca:kit")
    class TestAlpaca(BrokerKit):
        def make_venue(self, folder: Path) -> Venue:
            return AlpacaVenue(folder)
"""

from __future__ import annotations

from tests.brokers.kit_base import order
from tests.brokers.kit_ear import Ear
from tests.brokers.kit_life import LifeKit
from tests.brokers.kit_mishaps import MishapKit
from tests.brokers.kit_venue import CannotMisbehaveError, Mishap, Venue

__all__ = ["BrokerKit", "CannotMisbehaveError", "Ear", "Mishap", "Venue", "order"]


class BrokerKit(LifeKit, MishapKit):
    """Subclass it as ``TestNAME`` and give ``make_venue``."""
