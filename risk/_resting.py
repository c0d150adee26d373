"""The desk's own working prices in each symbol, over all clients: what an order of the desk's must not trade with.

Not a book of the market. A stop that has not triggered is not in the market yet; an order of unknown price takes any.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from bus.ids import leg_order_id
from bus.messages import OrderEvent, OrderIntent, Side
from risk.facts import ANY, NOBODY_BUYS, NOBODY_SELLS, Resting

__all__ = ["RestingOrders"]

_Key: TypeAlias = tuple[str, str]
_IN_MARKET = frozenset({"triggered", "partially_filled"})
_MOST_LEGS = 64


class _Price(msgspec.Struct, frozen=True):
    """Where an order would trade, and whether it is in the market at once."""

    symbol: str
    side: Side
    nano: int
    at_once: bool


class RestingOrders:
    """Best working prices by symbol; one instance for all clients."""

    def __init__(self) -> None:
        """Know of no orders."""
        self._best: dict[str, Resting] = {}
        self._prices: dict[_Key, _Price] = {}
        self._parents: dict[_Key, OrderIntent] = {}
        self._working: dict[str, dict[_Key, _Price]] = {}

    def best(self, symbol: str) -> Resting:
        """Return the best prices of a symbol: the record itself, which changes with the orders."""
        found = self._best.get(symbol)
        if found is None:
            found = self._best[symbol] = Resting()
        return found

    def approved(self, client: str, intent: OrderIntent) -> None:
        """Take in an order that may be sent from now on."""
        key = client, intent.client_order_id
        price = _price_of(intent.symbol, intent.side, intent.limit_price_nano, intent.stop_price_nano, intent)
        self._prices[key] = price
        if intent.order_class != "simple":
            self._parents[key] = intent
        if price.at_once:
            self._add(key, price)

    def happened(self, client: str, event: OrderEvent, *, works: bool) -> None:
        """Take in an event, after the book has.

        Args:
            client: Whose order.
            event: What happened.
            works: Whether anything of it is still reserved.
        """
        key = client, event.client_order_id
        if not works:
            self.ended(client, event.client_order_id)
            return
        price = self._prices.get(key)
        if price is None:
            price = self._prices[key] = self._seen(client, event)
        if price.at_once or event.status in _IN_MARKET:
            self._add(key, price)

    def ended(self, client: str, client_order_id: str) -> None:
        """Take an order out of the market."""
        key = client, client_order_id
        price = self._prices.get(key)
        if price is not None and self._working.get(price.symbol, {}).pop(key, None) is not None:
            self._rank(price.symbol)

    def forget(self, client: str, client_order_id: str) -> None:
        """Forget an order that is not to have been."""
        self._prices.pop((client, client_order_id), None)
        self._parents.pop((client, client_order_id), None)

    def _seen(self, client: str, event: OrderEvent) -> _Price:
        """Return the price of an order that the gate did not judge: a leg's from its parent, else what is told."""
        parent = self._parents.get((client, event.group.removesuffix("/legs")))
        if parent is not None and event.origin == "leg":
            number = range(_MOST_LEGS)
            if any(leg_order_id(parent.client_order_id, "take_profit", n) == event.client_order_id for n in number):
                return _Price(event.symbol, event.side, parent.take_profit_nano, at_once=True)
            if any(leg_order_id(parent.client_order_id, "stop_loss", n) == event.client_order_id for n in number):
                return _price_of(event.symbol, event.side, parent.stop_loss_limit_nano, parent.stop_loss_nano, None)
        return _price_of(event.symbol, event.side, event.price_nano, 0, None)

    def _add(self, key: _Key, price: _Price) -> None:
        working = self._working.setdefault(price.symbol, {})
        if key not in working:
            working[key] = price
            self._rank(price.symbol)

    def _rank(self, symbol: str) -> None:
        working = self._working[symbol]
        if not working:
            del self._working[symbol]
        buys = [price.nano for price in working.values() if price.side == "buy"]
        sells = [price.nano for price in working.values() if price.side == "sell"]
        best = self.best(symbol)
        best.best_buy_nano = max(buys, default=NOBODY_BUYS)
        best.best_sell_nano = min(sells, default=NOBODY_SELLS)


def _price_of(symbol: str, side: Side, limit_nano: int, stop_nano: int, intent: OrderIntent | None) -> _Price:
    """Return where an order trades: at its limit, or at any price where it has none."""
    nano = limit_nano or (ANY if side == "buy" else 0)
    waits = stop_nano > 0 or (intent is not None and intent.order_type == "trailing_stop")
    return _Price(symbol, side, nano, at_once=not waits)
