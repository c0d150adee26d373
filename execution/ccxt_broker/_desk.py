"""The questions to an exchange's spot account, each put once, with answers in our records. Not a memory of orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from bus.clock import wall_ns
from bus.fixed import from_nano
from bus.messages import Instrument, OrderIntent
from execution.ccxt_broker._records import (
    MS,
    BadAnswerError,
    MarketRules,
    VenueOrder,
    VenueTrade,
    balance_nano,
    nano_of,
    order_from,
    rules_from,
    trade_from,
)
from execution.ccxt_broker._refusals import ARCHIVED, NO_ORDER, WRONG_TIME
from execution.ccxt_broker._sdk import Link, RefusalError

__all__ = ["ExchangeDesk"]

_PAGE = 1_000
_PAGES = 100
_CLOCK_NS = 600 * 1_000_000_000


class ExchangeDesk:
    """Asks one exchange; every method raises ``BusError`` where the answer is not definite."""

    def __init__(self, link: Link, currency: str, instruments: dict[str, Instrument]) -> None:
        """Take a link that nobody else uses.

        Args:
            link: The way to the exchange.
            currency: The account currency.
            instruments: What the desk trades; only those in the account currency are asked about.
        """
        self.link = link
        self.currency = currency
        self._instruments = instruments
        self._rules: dict[str, MarketRules] = {}
        self._clock_set_ns = 0

    @property
    def rules(self) -> dict[str, MarketRules]:
        """The markets of the desk's instruments, by our symbol; empty before ``ready``."""
        return self._rules

    def ready(self) -> None:
        """Load the markets once, and see the exchange's clock from time to time."""
        if not self._rules:
            found = cast("dict[str, Any]", self.link.ask("the markets", lambda e: e.load_markets()))
            rules: dict[str, MarketRules] = {}
            for symbol, instrument in self._instruments.items():
                if instrument.currency == self.currency and instrument.tradable and symbol in found:
                    rules[symbol] = rules_from(found[symbol])
            if not found:
                raise BadAnswerError("the exchange listed no markets; ask again")
            self._rules = rules
        if not self._clock_set_ns or wall_ns() - self._clock_set_ns > _CLOCK_NS:
            self.now_ms()

    def now_ms(self) -> int:
        """Ask what time it is at the exchange, and sign by that from now on."""
        now_ms: Any = self.link.ask("the time", lambda e: e.fetch_time())
        after_ms = wall_ns() // MS
        if type(now_ms) is not int:
            raise BadAnswerError("the exchange did not say what time it is; ask again")
        self.link.exchange.options["timeDifference"] = after_ms - now_ms
        self._clock_set_ns = wall_ns()
        return now_ms

    # --- orders -------------------------------------------------------------------------------------------------------

    def place(self, intent: OrderIntent) -> VenueOrder:
        """Send an order; what it says must have been checked, nothing is rounded here.

        Raises:
            RefusalError: It was refused, or not sent.
        """
        params: dict[str, Any] = {"newClientOrderId": intent.client_order_id, "newOrderRespType": "FULL"}
        priced = intent.order_type in ("limit", "stop_limit")
        if priced:
            params["timeInForce"] = intent.time_in_force.upper()
        if intent.stop_price_nano:
            params["stopLossPrice"] = _plain(intent.stop_price_nano)
        symbol, amount = intent.symbol, _plain(intent.qty_nano)
        price = _plain(intent.limit_price_nano) if priced else None
        kind = "limit" if priced else "market"
        question = f"order {intent.client_order_id}"
        raw: object = self._signed(question, lambda e: e.create_order(symbol, kind, intent.side, amount, price, params))
        return order_from(raw, symbol)

    def cancel(self, symbol: str, client_id: str, order_id: str) -> VenueOrder:
        """Cancel an order by our id, or by the exchange's where it is not ours."""
        params = {} if order_id else {"origClientOrderId": client_id}
        raw: object = self._signed(f"the cancel of {client_id}", lambda e: e.cancel_order(order_id, symbol, params))
        return order_from(raw, symbol)

    def order(self, symbol: str, client_id: str, order_id: str = "") -> VenueOrder | None:
        """Ask for an order by our id, or by the exchange's; None when it has none such."""
        params = {} if order_id else {"origClientOrderId": client_id}
        try:
            raw: object = self._signed(f"order {client_id}", lambda e: e.fetch_order(order_id, symbol, params))
        except RefusalError as error:
            if error.code in (NO_ORDER, ARCHIVED):
                return None
            raise
        return order_from(raw, symbol)

    def open_orders(self, symbol: str | None = None) -> list[VenueOrder]:
        """Ask for what works, of one symbol or of all that are known here."""
        raw: object = self._signed("the open orders", lambda e: e.fetch_open_orders(symbol))
        rows = [cast("dict[str, Any]", each) for each in _rows(raw)]
        return [order_from(each, str(each.get("symbol"))) for each in rows if each.get("symbol") in self._rules]

    def recent_orders(self, symbol: str, since_ms: int) -> list[VenueOrder]:
        """Ask for the orders of a symbol that were placed since a time, at most a thousand."""
        raw: object = self._signed("the orders of a day", lambda e: e.fetch_orders(symbol, since_ms, _PAGE))
        return [order_from(each, symbol) for each in _rows(raw)]

    # --- executions ---------------------------------------------------------------------------------------------------

    def trades_of(self, symbol: str, order_id: str) -> list[VenueTrade]:
        """Ask for the executions of one order."""
        return self._trades(symbol, None, _PAGE, {"orderId": order_id})

    def trades_after(self, symbol: str, trade_id: int) -> list[VenueTrade]:
        """Ask for every execution with a greater number, page by page."""
        found: dict[int, VenueTrade] = {}
        for _ in range(_PAGES):
            page = self._trades(symbol, None, _PAGE, {"fromId": trade_id + 1})
            found.update((each.trade_id, each) for each in page)
            if len(page) < _PAGE:
                return [found[each] for each in sorted(found)]
            trade_id = max(found)
        raise BadAnswerError(f"{symbol} has more than {_PAGES * _PAGE:,} executions to tell; reconcile less rarely")

    def trades_since(self, symbol: str, since_ms: int) -> list[VenueTrade]:
        """Ask for every execution since a time, oldest first."""
        first = self._trades(symbol, since_ms, _PAGE, {})
        rest = self.trades_after(symbol, max(each.trade_id for each in first)) if len(first) >= _PAGE else []
        found = {each.trade_id: each for each in (*first, *rest)}
        return [found[each] for each in sorted(found)]

    def price_at(self, symbol: str, time_ms: int) -> int:
        """Return a symbol's price at the beginning of a minute, the same whenever it is asked for."""
        minute_ms = time_ms // 60_000 * 60_000
        rows = _rows(self.link.ask("a price", lambda e: e.fetch_ohlcv(symbol, "1m", minute_ms, 1)))
        row = cast("list[Any]", rows[0]) if rows else []
        if len(row) < 2 or row[0] != minute_ms:
            raise BadAnswerError(f"the exchange has no price of {symbol} for that minute; ask again")
        return nano_of(row[1], f"a price of {symbol}")

    # --- the account --------------------------------------------------------------------------------------------------

    def balances(self, coins: list[str]) -> dict[str, int]:
        """Ask for the totals of coins, what open orders hold included."""
        raw: object = self._signed("the balances", lambda e: e.fetch_balance())
        return {coin: balance_nano(raw, coin) for coin in coins}

    def _trades(self, symbol: str, since_ms: int | None, limit: int, params: dict[str, Any]) -> list[VenueTrade]:
        raw: object = self._signed("the trades", lambda e: e.fetch_my_trades(symbol, since_ms, limit, params))
        return [trade_from(each, symbol) for each in _rows(raw)]

    def _signed(self, what: str, question: Callable[[Any], object]) -> object:
        """Put a signed question; after a refusal for its time, the clock is set again before the next one."""
        try:
            return self.link.ask(what, question)
        except RefusalError as error:
            if error.code == WRONG_TIME:
                self._clock_set_ns = 0
            raise


def _plain(nano: int) -> str:
    return format(from_nano(nano), "f")


def _rows(raw: object) -> list[object]:
    if not isinstance(raw, list):
        raise BadAnswerError("the exchange answered with something else than a list")
    return cast("list[object]", raw)
