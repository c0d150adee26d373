"""What each exchange takes, known without ccxt; not how it is asked."""

from __future__ import annotations

from bus.errors import ConfigError
from execution.broker import Offered

__all__ = ["OFFERS", "offers"]

OFFERS = Offered(
    name="ccxt:binance",
    order_types=("market", "limit", "stop", "stop_limit"),
    times_in_force=("gtc", "ioc", "fok"),
    order_classes=("simple", "oto"),
    replaces=False,
    shorts=False,
    own_account=True,
)
"""Binance spot. Trailing stops there follow in basis points only, so execution works them.

A working sale locks what it sells, so there is nothing left for a second leg beside it: no bracket and no oco.
"""

_BY_EXCHANGE = {"binance": OFFERS}


def offers(exchange: str) -> Offered:
    """Return what an exchange takes.

    Raises:
        ConfigError: Orders cannot be sent to it.
    """
    found = _BY_EXCHANGE.get(exchange)
    if found is None:
        raise ConfigError(
            f"orders through ccxt are not offered at {exchange!r}; allowed is exchange = "
            f'"{", ".join(sorted(_BY_EXCHANGE))}": take one of those, or another kind of broker'
        )
    return found
