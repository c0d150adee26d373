"""Alpaca's market data as a source: shares, coins and their news, by question and by stream.

Not a broker: no order passes here, and of the trading service only the list of assets is read. Releases and earnings
are not Alpaca's to give. The SDK is imported when a source is opened, never before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bus.errors import ConfigError
from feed._alpaca_keys import address, keys_from
from feed.source import Source, SourceSpec

if TYPE_CHECKING:
    from feed._alpaca_source import AlpacaSource

__all__ = ["open_alpaca"]

_SYMBOL = re.compile(r"[A-Z0-9]{1,10}(\.[A-Z0-9]{1,4})?(/[A-Z0-9]{2,10})?")
_FEEDS = ("", "iex", "sip")


def open_alpaca(spec: SourceSpec, environ: Mapping[str, str]) -> Source:
    """Open the source; nothing is asked of the vendor yet.

    Args:
        spec: Which symbols (``AAPL``, ``BTC/USD``), which data feed (``iex`` or ``sip``; empty is the account's best
            for questions and ``iex`` for the stream) and, in tests, which addresses.
        environ: Where the keys are: ``ALPACA_API_KEY`` and ``ALPACA_SECRET_KEY``, or ``APCA_API_KEY_ID`` and
            ``APCA_API_SECRET_KEY``.

    Raises:
        ConfigError: A setting or a key is missing or cannot be; keys are named by their variables only. Or alpaca-py
            is not installed.
    """
    _check(spec)
    rest_url = address(spec.rest_url, ("https", "http"), "rest_url")
    stream_url = address(spec.stream_url, ("wss", "ws"), "stream_url")
    keys = keys_from(environ)
    return _source_type()(spec, keys, rest_url, stream_url)


def _check(spec: SourceSpec) -> None:
    if not spec.symbols:
        raise ConfigError("alpaca needs symbols to subscribe to; name them, for example AAPL or BTC/USD")
    for symbol in spec.symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise ConfigError(
                f"{symbol!r} is no symbol of Alpaca's; allowed are shares such as AAPL or BRK.B, coins such as BTC/USD"
            )
    if spec.data_feed not in _FEEDS:
        raise ConfigError(
            f"data_feed {spec.data_feed!r} is not one of Alpaca's; allowed are iex (free), sip (subscribers) or nothing"
        )
    if not 0 < spec.timeout_s <= 600 or not 0 < spec.silent_s <= 86_400:
        raise ConfigError(
            "timeout_s must be above 0 and at most 600, silent_s above 0 and at most 86400; "
            f"they are {spec.timeout_s:g} and {spec.silent_s:g}"
        )


def _source_type() -> type[AlpacaSource]:
    try:
        from feed._alpaca_source import AlpacaSource
    except ImportError as error:
        raise ConfigError(
            f"the source alpaca needs the package {error.name or 'alpaca-py'}, which is not installed; "
            "install it with: pip install 'openoutcry[alpaca]'"
        ) from error
    return AlpacaSource
