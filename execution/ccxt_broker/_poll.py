"""The thread that asks for news, so that nobody who drains waits for the exchange. It has a link of its own.

Not a memory of orders: it is told what to look at, and gives back what the exchange has. Fills are asked for by number,
so that none is missed; an order that has more filled than was told is asked about by its own id.
"""

from __future__ import annotations

import queue
import threading

import msgspec

from bus.errors import BusError
from execution.ccxt_broker._desk import ExchangeDesk
from execution.ccxt_broker._records import MarketRules, VenueOrder, VenueTrade

__all__ = ["News", "Poller", "Watch", "Watched"]

_JOIN_S = 15.0


class Watched(msgspec.Struct, frozen=True):
    """One order to look at; ``over`` ones only for fills that come late."""

    client_id: str
    symbol: str
    order_id: str
    filled_nano: int
    over: bool


class Watch(msgspec.Struct, frozen=True):
    """What to look at now; ``since_ms`` is before everything that this process sent, 0 while it sent nothing."""

    orders: tuple[Watched, ...]
    since_ms: int


class News(msgspec.Struct, frozen=True):
    """What the exchange has; ``failed`` says why it was not heard."""

    orders: tuple[tuple[str, VenueOrder], ...] = ()
    trades: tuple[VenueTrade, ...] = ()
    rules: tuple[MarketRules, ...] = ()
    failed: str = ""


class Poller:
    """Asks when it is told to, one round after another."""

    def __init__(self, desk: ExchangeDesk) -> None:
        """Take a desk that nobody else uses; the thread starts with the first question."""
        self._desk = desk
        self._asked: queue.SimpleQueue[Watch | None] = queue.SimpleQueue()
        self._heard: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._cursors: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self.busy = False

    def ask(self, watch: Watch) -> None:
        """Look at these; ``heard`` has the answer some time later."""
        self.busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ccxt-news", daemon=True)
            self._thread.start()
        self._asked.put(watch)

    def heard(self) -> News | None:
        """Return the answer when it is there, without waiting."""
        try:
            news = self._heard.get_nowait()
        except queue.Empty:
            return None
        self.busy = False
        return news

    def close(self) -> None:
        """End the thread and give back the sockets."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join(_JOIN_S)
            self._thread = None
        self._desk.link.close()

    def _run(self) -> None:
        while (watch := self._asked.get()) is not None:
            try:
                news = self._look(watch)
            except (OSError, BusError) as error:
                news = News(failed=str(error))
            except Exception as error:
                # The thread must live, and the text of an error that nobody thought of may have anything in it.
                news = News(failed=f"the answer could not be read ({type(error).__name__})")
            self._heard.put(news)

    def _look(self, watch: Watch) -> News:
        self._desk.ready()
        trades: dict[tuple[str, int], VenueTrade] = {}
        orders: list[tuple[str, VenueOrder]] = []
        cursors = dict(self._cursors)
        since_ms = watch.since_ms or self._desk.now_ms()
        for symbol in sorted({each.symbol for each in watch.orders} & set(self._desk.rules)):
            for trade in self._new_trades(symbol, since_ms, cursors):
                trades[symbol, trade.trade_id] = trade
            mine = [each for each in watch.orders if each.symbol == symbol and not each.over]
            if not mine:
                continue
            works = {each.order_id: each for each in self._desk.open_orders(symbol)}
            by_client = {each.client_id: each for each in works.values()}
            for each in mine:
                order = works.get(each.order_id) or by_client.get(each.client_id)
                order = order or self._desk.order(symbol, each.client_id, each.order_id)
                if order is None:
                    continue
                orders.append((each.client_id, order))
                new = sum(t.qty_nano for t in trades.values() if t.symbol == symbol and t.order_id == order.order_id)
                if order.filled_nano > each.filled_nano + new:
                    for trade in self._desk.trades_of(symbol, order.order_id):
                        trades[symbol, trade.trade_id] = trade
        # Only now: a round that breaks off is asked again from where the last whole one ended.
        self._cursors = cursors
        return News(tuple(orders), tuple(trades[key] for key in sorted(trades)), tuple(self._desk.rules.values()))

    def _new_trades(self, symbol: str, since_ms: int, cursors: dict[str, int]) -> list[VenueTrade]:
        cursor = cursors.get(symbol)
        found = self._desk.trades_since(symbol, since_ms) if cursor is None else self._desk.trades_after(symbol, cursor)
        if found:
            cursors[symbol] = max(each.trade_id for each in found)
        return found
