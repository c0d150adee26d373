"""What Binance's and Kraken's websockets say of candles and of the best bid and ask."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.ccxt_source.venue import Candle

__all__ = ["book", "candle", "kline", "ohlc", "ticker"]


def candle(at_s: int, price: str = "50000.5", volume: str = "1.25") -> Candle:
    """Return a candle of one price."""
    return Candle(at_s, price, price, price, price, volume)


def kline(row: Candle, *, closed: bool = False) -> dict[str, Any]:
    """Return Binance's word of a candle."""
    words: dict[str, Any] = {"t": row.at_s * 1000, "T": row.at_s * 1000 + 59_999, "s": "BTCUSDT", "i": "1m"}
    words |= {"o": row.first, "h": row.high, "l": row.low, "c": row.last, "v": row.volume, "n": 3, "x": closed}
    return {"e": "kline", "E": row.at_s * 1000 + 59_000, "s": "BTCUSDT", "k": words}


def book(bid: str = "50000.10000001", ask: str = "50000.2") -> dict[str, Any]:
    """Return Binance's word of the best bid and ask."""
    return {"u": 1, "s": "BTCUSDT", "b": bid, "B": "1.5", "a": ask, "A": "0.25"}


def ohlc(row: Candle, kind: str = "update") -> str:
    """Return Kraken's word of a candle: its numbers stand without quotes."""
    at = f"{_iso(row.at_s)}.000000000Z"
    numbers = f'"open":{row.first},"high":{row.high},"low":{row.low},"close":{row.last},"volume":{row.volume}'
    one = f'{{"symbol":"BTC/USD",{numbers},"vwap":1.0,"trades":3,"interval_begin":"{at}","interval":1}}'
    return f'{{"channel":"ohlc","type":"{kind}","timestamp":"{at}","data":[{one}]}}'


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def ticker(bid: str, ask: str) -> str:
    """Return Kraken's word of the best bid and ask."""
    one = f'{{"symbol":"BTC/USD","bid":{bid},"bid_qty":1.5,"ask":{ask},"ask_qty":0.25,"last":{bid},"volume":1.0}}'
    return f'{{"channel":"ticker","type":"update","data":[{one}]}}'
