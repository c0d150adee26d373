"""Alpaca behind the broker protocol: orders over REST, news of them over the trade-updates stream.

Not a data source (``feed._alpaca``) and not a place that retries: one order is one request. The SDK is imported when a
broker is opened, not before.
"""

from __future__ import annotations

from bus.errors import ConfigError
from bus.messages import Instrument
from execution.alpaca._offers import OFFERS
from execution.broker import Broker
from execution.keys import Keys
from execution.spec import GatewaySpec

__all__ = ["OFFERS", "open_alpaca"]


def open_alpaca(spec: GatewaySpec, instruments: dict[str, Instrument], keys: Keys) -> Broker:
    """Return a broker for one client's account at Alpaca.

    Args:
        spec: The client; ``spec.broker`` says whether paper or real money, and other addresses.
        instruments: What can be traded, by symbol.
        keys: This client's.

    Raises:
        ConfigError: The ``alpaca`` extra is not installed, or an address or the mode does not fit.
    """
    try:
        from execution.alpaca._broker import AlpacaBroker
    except ModuleNotFoundError as missing:
        raise ConfigError(
            f"the broker alpaca needs the module {missing.name}, which is not installed; "
            "install it with: pip install 'openoutcry[alpaca]'"
        ) from None
    return AlpacaBroker(spec, instruments, keys)
