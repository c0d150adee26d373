"""Any exchange that ccxt knows as a source of public market data, by question and by stream; no key is asked for.

Not a broker: no order passes here. News and releases are not an exchange's to give. ccxt is imported when a source is
opened, never before: it takes seconds.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bus.errors import ConfigError
from feed.source import Source, SourceSpec

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["open_ccxt"]

_SYMBOL = re.compile(r"[A-Z0-9.\-]{1,20}/[A-Z0-9.\-]{1,20}")


def open_ccxt(spec: SourceSpec) -> Source:
    """Open the source; nothing is asked of the exchange yet.

    Args:
        spec: Which exchange by ccxt's id (``kraken``, ``binance``), which symbols in ccxt's form (``BTC/USD``: spot),
            and, in tests, which addresses. What an exchange's own addresses have as a path follows the given one.

    Raises:
        ConfigError: A setting is missing or cannot be, ccxt has no such exchange, or ccxt is not installed.
    """
    _check(spec)
    sdk = _sdk()
    from feed._ccxt_source import CcxtSource

    ids = sdk.exchange_ids()
    if spec.exchange not in ids:
        near = difflib.get_close_matches(spec.exchange.lower(), ids, 5, 0.5) or ["kraken", "binance", "coinbase"]
        raise ConfigError(
            f"ccxt has no exchange {spec.exchange!r}; near it are {', '.join(near)}; "
            f"it has {len(ids)} in all: python -c 'import ccxt; print(ccxt.exchanges)'"
        )
    return CcxtSource(spec)


def _check(spec: SourceSpec) -> None:
    if not spec.exchange:
        raise ConfigError('ccxt needs exchange = "…", the id of an exchange there, for example kraken or binance')
    if not spec.symbols:
        raise ConfigError("ccxt needs symbols to subscribe to; name them, for example BTC/USD")
    for symbol in spec.symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise ConfigError(
                f"{symbol!r} is no spot symbol of ccxt's; they are BASE/QUOTE in capitals, for example BTC/USD"
            )
    if spec.calendar not in ("", "24/7"):
        raise ConfigError(f'the calendar of an exchange of coins is "24/7", not {spec.calendar!r}; leave it out')
    if not 0 < spec.timeout_s <= 600 or not 0 < spec.silent_s <= 86_400:
        raise ConfigError(
            "timeout_s must be above 0 and at most 600, silent_s above 0 and at most 86400; "
            f"they are {spec.timeout_s:g} and {spec.silent_s:g}"
        )
    _check_address(spec.rest_url, ("https", "http"), "rest_url")
    _check_address(spec.stream_url, ("wss", "ws"), "stream_url")


def _check_address(url: str, schemes: tuple[str, str], name: str) -> None:
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError(
            f"{name} {url!r} is no address; "
            f"give {schemes[0]}://HOST[:PORT][/PATH] (or {schemes[1]}://…) or leave it out"
        )


def _sdk() -> ModuleType:
    try:
        import feed._ccxt_sdk as sdk
    except ImportError as error:
        raise ConfigError(
            f"the source ccxt needs the package {error.name or 'ccxt'}, which is not installed; "
            "install it with: pip install 'openoutcry[ccxt]'"
        ) from error
    return sdk
