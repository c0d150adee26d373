"""The SDK's own clients and streams, imported in one place.

Not ours: alpaca-py 0.44 stands on ``websockets.legacy``, which warns of its age when it is imported. That one warning
is kept from a desk whose warnings are errors; nothing else is.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="websockets.legacy is deprecated", category=DeprecationWarning)
    from alpaca.common.enums import BaseURL
    from alpaca.common.rest import RESTClient
    from alpaca.common.utils import reconnect_delay
    from alpaca.data.enums import Adjustment, DataFeed
    from alpaca.data.historical import CryptoHistoricalDataClient, NewsClient, StockHistoricalDataClient
    from alpaca.data.live import CryptoDataStream, NewsDataStream, StockDataStream
    from alpaca.data.live.websocket import DataStream
    from alpaca.data.requests import (
        CryptoBarsRequest,
        CryptoLatestQuoteRequest,
        CryptoTradesRequest,
        NewsRequest,
        StockBarsRequest,
        StockLatestQuoteRequest,
        StockTradesRequest,
    )
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
    from alpaca.trading.client import TradingClient
    from websockets.legacy.exceptions import InvalidStatusCode

__all__ = [
    "Adjustment",
    "BaseURL",
    "CryptoBarsRequest",
    "CryptoDataStream",
    "CryptoHistoricalDataClient",
    "CryptoLatestQuoteRequest",
    "CryptoTradesRequest",
    "DataFeed",
    "DataStream",
    "InvalidStatusCode",
    "NewsClient",
    "NewsDataStream",
    "NewsRequest",
    "RESTClient",
    "StockBarsRequest",
    "StockDataStream",
    "StockHistoricalDataClient",
    "StockLatestQuoteRequest",
    "StockTradesRequest",
    "TimeFrame",
    "TimeFrameUnit",
    "TradingClient",
    "reconnect_delay",
]
