"""The SDK's own client and stream of orders, imported in one place.

Not ours: alpaca-py 0.44 stands on ``websockets.legacy``, which warns of its age when it is imported. That one warning
is kept from a desk whose warnings are errors; nothing else is.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="websockets.legacy is deprecated", category=DeprecationWarning)
    from alpaca.common.enums import BaseURL, Sort
    from alpaca.common.utils import reconnect_delay
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderStatus, QueryOrderStatus, TradeEvent
    from alpaca.trading.requests import GetOrdersRequest
    from alpaca.trading.stream import TradingStream
    from websockets.exceptions import WebSocketException
    from websockets.legacy.exceptions import InvalidStatusCode

__all__ = [
    "BaseURL",
    "GetOrdersRequest",
    "InvalidStatusCode",
    "OrderStatus",
    "QueryOrderStatus",
    "Sort",
    "TradeEvent",
    "TradingClient",
    "TradingStream",
    "WebSocketException",
    "reconnect_delay",
]
