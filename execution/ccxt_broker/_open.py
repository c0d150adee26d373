"""Checks a broker's settings and opens it. Nothing is asked of the exchange yet, and no key is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bus.errors import ConfigError
from bus.messages import Instrument
from execution.broker import Broker
from execution.ccxt_broker._offers import offers
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["PACE_S", "PER_MINUTE", "open_ccxt"]

PACE_S = 1.0
"""Seconds between two questions for news, at least; more where many symbols work."""
PER_MINUTE = 1_200.0
"""What Binance takes in a minute, in ccxt's units of five of its weights."""
_ASK_SHARE, _NEWS_SHARE = 0.9, 0.6
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def open_ccxt(spec: GatewaySpec, instruments: dict[str, Instrument], keys: Keys, *, pace_s: float = PACE_S) -> Broker:
    """Open a client's account.

    Args:
        spec: The client's; ``broker.exchange`` is ccxt's id, ``currency`` the account currency (``USDT``).
        instruments: What the desk trades, by ccxt's symbols (``BTC/USDT``); those in another currency are left alone.
        keys: An API key of the exchange that may trade, and should not be allowed to withdraw.
        pace_s: Seconds between two questions for news, at least.

    Raises:
        ConfigError: A setting is missing or cannot be, or ccxt is not installed.
    """
    broker = spec.broker
    offers(broker.exchange)
    _check(spec, broker)
    bases: dict[str, str] = {}
    for symbol, instrument in instruments.items():
        if instrument.currency != spec.currency or not instrument.tradable:
            continue
        other = bases.setdefault(symbol.split("/")[0], symbol)
        if other != symbol:
            raise ConfigError(
                f"{symbol} and {other} are two instruments of one coin in {spec.currency}; a coin's balance can be "
                "told to one of them only: leave one out"
            )
    sdk = _sdk()
    from execution.ccxt_broker._desk import ExchangeDesk
    from execution.ccxt_broker._poll import Poller
    from execution.ccxt_broker.broker import CcxtBroker

    budget = sdk.Budget(PER_MINUTE)
    made = [sdk.make_link(broker, keys, budget, share) for share in (_ASK_SHARE, _NEWS_SHARE)]
    desk, listener = (ExchangeDesk(link, spec.currency, instruments) for link in made)
    return CcxtBroker(desk, Poller(listener), pace_s)


def _check(spec: GatewaySpec, broker: BrokerSpec) -> None:
    if spec.currency == "USD":
        raise ConfigError(
            f'the account at {broker.exchange} is kept in a coin, not in USD; set currency = "USDT" for client '
            f"{spec.client}"
        )
    if not 0 < broker.timeout_s <= 60:
        raise ConfigError(f"timeout_s must be above 0 and at most 60; it is {broker.timeout_s:g}")
    if not broker.url:
        return
    parts = urlsplit(broker.url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError("url is no address; give https://HOST[:PORT][/PATH] or leave it out")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError(f"url would carry the key to {parts.hostname} unencrypted; give https://…")


def _sdk() -> ModuleType:
    try:
        import execution.ccxt_broker._sdk as sdk
    except ImportError as error:
        raise ConfigError(
            f"the broker ccxt needs the package {error.name or 'ccxt'}, which is not installed; "
            "install it with: pip install 'openoutcry[ccxt]'"
        ) from error
    return sdk
