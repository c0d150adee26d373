"""Pairs and assets as Kraken and Binance list them."""

from __future__ import annotations

from typing import Any

__all__ = ["binance_pair", "kraken_assets", "kraken_pairs"]


def binance_pair(base: str, quote: str, tick: str = "0.01000000", lot: str = "0.00001000") -> dict[str, Any]:
    """Return a pair as Binance's exchangeInfo has it."""
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
        ],
        "permissions": ["SPOT"],
    }


def kraken_assets() -> Any:
    """Return Kraken's answer to Assets."""

    def asset(name: str, decimals: int) -> dict[str, Any]:
        return {"aclass": "currency", "altname": name, "decimals": decimals, "display_decimals": 5, "status": "enabled"}

    names = {"XXBT": asset("XBT", 10), "XETH": asset("ETH", 10), "ZUSD": asset("USD", 4)}
    return {"error": [], "result": names}


def kraken_pairs(pairs: list[dict[str, Any]] | None) -> Any:
    """Return Kraken's answer to AssetPairs: the given pairs, else two."""

    def pair(base: str, alt: str, name: str, decimals: int) -> dict[str, Any]:
        return {
            "altname": alt,
            "wsname": name,
            "aclass_base": "currency",
            "base": base,
            "aclass_quote": "currency",
            "quote": "ZUSD",
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": decimals,
            "lot_decimals": 8,
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, 0.4]],
            "fees_maker": [[0, 0.25]],
            "fee_volume_currency": "ZUSD",
            "ordermin": "0.00005",
            "costmin": "0.5",
            "tick_size": "0.1",
            "status": "online",
        }

    found = {each["altname"]: each for each in pairs or []} or {
        "XXBTZUSD": pair("XXBT", "XBTUSD", "XBT/USD", 1),
        "XETHZUSD": pair("XETH", "ETHUSD", "ETH/USD", 2),
    }
    return {"error": [], "result": found}
