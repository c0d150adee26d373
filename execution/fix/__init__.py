"""FIX 4.4: a session of our own and order entry over it. Not a FIX engine for anything else.

``OFFERS`` and ``open_fix`` are all that the gateway needs. What was decided:

* Orders are refused while the session is logged off or catching up; nothing is queued for later. After a logon that
  may follow a loss, catching up ends with their answer to a TestRequest: what they missed they have asked for by then.
* An order is never sent again. When the counterparty asks for a resend, every message of ours is gap-filled, orders
  too: an order that did not arrive never will, and ``query`` (OrderStatusRequest) says so for certain, because the
  counterparty reads our question only after the number of the order was received or filled.
* Every message of theirs is durable, with the next expected number, before anything acts on it; it is given out again
  after ``kill -9`` until a later ``drain`` shows that it was taken.
* A message that cannot be understood makes its order *unknown*; tags that we do not know are passed over, because a
  refused execution report would be a lost fill.
* Nobody is told "don't know this trade": what is not ours is reported under an id derived from the broker's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.errors import ConfigError
from bus.messages import Instrument
from execution.broker import Broker, Offered
from execution.spec import GatewaySpec

if TYPE_CHECKING:
    from execution.keys import Keys

__all__ = ["OFFERS", "open_fix"]

OFFERS = Offered(
    name="fix",
    order_types=("market", "limit", "stop", "stop_limit"),
    times_in_force=("day", "gtc", "gtd", "ioc", "fok"),
    order_classes=("simple", "bracket", "oco", "oto"),
    replaces=True,
    shorts=False,
    own_account=True,
)
"""What is sent. No short sales: they need marking (Side 5) and a locate, which this adapter does not do."""


def open_fix(spec: GatewaySpec, instruments: dict[str, Instrument], keys: Keys) -> Broker:
    """Connect and log on; come back logged off when the counterparty does not answer within ``timeout_s``.

    Args:
        spec: ``spec.broker.url`` is ``tcp://host:port``, see ``execution.fix.settings``; ``store`` is a folder.
        instruments: What can be traded, by symbol.
        keys: Username and password of the Logon; they go nowhere else.

    Returns:
        The broker; it goes on connecting in a thread of its own until it is closed.

    Raises:
        ConfigError: The extra ``fix`` is not installed, or a setting is missing or wrong.
        JournalError: The store is in use by another process or cannot be written.
    """
    try:
        from execution.fix.adapter import FixBroker
    except ImportError as error:
        if error.name != "simplefix":
            raise
        raise ConfigError(
            "broker kind 'fix' needs the package simplefix; install it with: pip install 'openoutcry[fix]'"
        ) from error
    from execution.fix.settings import settings

    return FixBroker(settings(spec, keys), instruments)
