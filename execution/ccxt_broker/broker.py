"""An exchange's spot account behind the broker protocol: sends an order once, and knows what it does not know.

Not a retry and not a journal. Two threads: the caller's, which sends, cancels and asks; and the poller's, which asks
for news when ``drain`` finds that it is time, so that nobody who drains waits.

An order without an answer is asked about under its id. Only when the exchange's own clock says that the request is too
old to be taken any more, and it still knows no such order, did it never arrive.
"""

from __future__ import annotations

from collections.abc import Iterable

from bus.clock import NS, monotonic_ns
from bus.errors import BusError
from bus.messages import OrderIntent, Tick
from execution.broker import BrokerReport, KnownOrder, Statement
from execution.ccxt_broker._account import take_statement
from execution.ccxt_broker._desk import ExchangeDesk
from execution.ccxt_broker._offers import OFFERS
from execution.ccxt_broker._orders import Tracked
from execution.ccxt_broker._poll import News, Poller, Watch, Watched
from execution.ccxt_broker._records import MarketRules, VenueOrder, VenueTrade, external_parts
from execution.ccxt_broker._refusals import DUPLICATE
from execution.ccxt_broker._rules import why_not
from execution.ccxt_broker._sdk import WINDOW_MS, RefusalError

__all__ = ["CcxtBroker"]

_AHEAD_MS = 1_000
"""How far in the future a request may be signed and still be taken."""
_LATE_NS = 600 * NS
"""For how long after its end an order is watched for fills that come late."""
_PER_SYMBOL_S = 0.5
_LONGEST_PACE_S = 30.0
_PATIENCE = 3


class CcxtBroker:
    """One client's account at one exchange."""

    def __init__(self, desk: ExchangeDesk, poller: Poller, pace_s: float) -> None:
        """Ask nothing yet.

        Args:
            desk: For sending, canceling and asking.
            poller: For news.
            pace_s: Seconds between two questions for news, at least.
        """
        self._desk = desk
        self._poller = poller
        self._pace_s = pace_s
        self._orders: dict[str, Tracked] = {}
        self._rules: dict[str, MarketRules] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._told: list[BrokerReport] = []
        self._born_ms = 0
        self._due_ns = 0
        self._failures = 0
        self._closed = False

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """Take up the orders that an earlier process sent; the exchange has them."""
        del day_done
        for known in orders:
            tracked = self._track(known.intent.client_order_id, known.intent.symbol)
            tracked.acked = known.acknowledged
            tracked.fills = {fill.fill_id for fill in known.fills}
            tracked.filled_nano = sum(fill.qty_nano for fill in known.fills)

    # --- orders -------------------------------------------------------------------------------------------------------

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        """Send one order, unless it was sent already: then ask what became of it."""
        del now_ns
        client_id = intent.client_order_id
        if client_id in self._orders:
            told = self.query(client_id)
            self._told += told[1:]
            return told[0] if told else BrokerReport(client_id, "unknown", "it was sent before, and is asked about")
        why = self._cannot_send(intent)
        if why:
            return BrokerReport(client_id, "rejected", why)
        tracked = self._track(client_id, intent.symbol)
        self._due_ns = 0
        try:
            order = self._desk.place(intent)
        except RefusalError as error:
            tracked.sent_ms = self._desk.link.signed_ms
            if DUPLICATE in error.why.lower():
                return BrokerReport(client_id, "unknown", f"{error}; an order of this id works already")
            tracked.over, tracked.ended_ns = "rejected", 0
            return BrokerReport(client_id, "rejected", str(error))
        except BusError as error:
            tracked.sent_ms = self._desk.link.signed_ms
            return BrokerReport(client_id, "unknown", str(error))
        tracked.sent_ms = self._desk.link.signed_ms
        if (order.side, order.qty_nano) != (intent.side, intent.qty_nano):
            return BrokerReport(
                client_id, "unknown", f"the exchange has {order.side} {order.qty_nano} billionths of it"
            )
        return self._learn(tracked, order, ())[0]

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        """Refuse: the exchange has no way to change an order in one step."""
        del now_ns
        why = why_not(intent, OFFERS, self._rules)
        old = BrokerReport(intent.replaces, "replace_rejected", why)
        return old, BrokerReport(intent.client_order_id, "rejected", why)

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        """Cancel one order; what it filled is told before its end."""
        del now_ns
        quiet_s = self._desk.link.quiet_s()
        if quiet_s:
            why = f"not sent: the exchange wants to be left alone for {quiet_s:.0f} s; cancel it then"
            return BrokerReport(client_order_id, "cancel_rejected", why)
        try:
            self._ready()
            tracked = self._orders.get(client_order_id) or self._find(client_order_id)
            if tracked is None:
                why = "no order of this id works at the exchange"
                return BrokerReport(client_order_id, "cancel_rejected", why)
            self._due_ns = 0
            order = self._desk.cancel(tracked.symbol, client_order_id, tracked.order_id)
        except RefusalError as error:
            return BrokerReport(client_order_id, "cancel_rejected", str(error))
        except (OSError, BusError) as error:
            return BrokerReport(client_order_id, "unknown", str(error))
        try:
            trades = self._trades(order) if order.filled_nano > tracked.filled_nano else []
        except (OSError, BusError):
            trades = []
        told = self._learn(tracked, order, trades)
        if [report.kind for report in told][-1:] == ["canceled"] and len(told) == 1:
            return told[0]
        self._told += told
        return BrokerReport(client_order_id, "pending_cancel", "what it filled is told first")

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Ask what became of an order; nothing is said of one that may still arrive."""
        self._ready()
        found = self._seek(client_order_id)
        if found is None:
            if not self._too_old(client_order_id):
                return ()
            # Asked once more, because it may have arrived between the first question and the clock's.
            found = self._seek(client_order_id)
        if found is None:
            tracked = self._orders.get(client_order_id)
            if tracked is not None:
                tracked.over = "rejected"
            return (BrokerReport(client_order_id, "rejected", "never_arrived"),)
        # A memory of its own, because what was told before is told again.
        whole = Tracked(client_order_id, found.symbol)
        trades = self._trades(found) if found.filled_nano else []
        told = whole.learn(found, trades, self._rules[found.symbol], 0)
        self._learn(self._track(client_order_id, found.symbol), found, trades)
        return tuple(told)

    # --- news ---------------------------------------------------------------------------------------------------------

    def work(self, tick: Tick) -> list[BrokerReport]:
        """Return nothing: the exchange works its orders by itself."""
        del tick
        return []

    def drain(self) -> list[BrokerReport]:
        """Return what was heard, and have the poller ask again when it is time.

        Raises:
            BusError: Nothing could be heard several times in a row.
        """
        told, self._told = self._told, []
        news = self._poller.heard()
        failed = ""
        if news is not None:
            failed = self._hear(news, told)
        if not self._poller.busy and monotonic_ns() >= self._due_ns and not self._closed:
            self._ask_for_news()
        if failed and not told:
            raise BusError(f"{failed}; news of orders is late, and asked for again")
        return told

    def statement(self) -> Statement:
        """Ask for the exchange's account; orders of other hands that work are watched from then on."""
        self._ready()
        statement, orders = take_statement(self._desk, lambda symbol, order_id: self._names.get((symbol, order_id), ""))
        for name, order in orders:
            if name not in self._orders:
                tracked = self._track(name, order.symbol)
                tracked.acked = True
                mine = [fill for fill in statement.fills if fill.client_order_id == name]
                tracked.fills = {fill.fill_id for fill in mine}
                tracked.filled_nano = sum(fill.qty_nano for fill in mine)
            self._orders[name].order_id = order.order_id
            self._names[order.symbol, order.order_id] = name
        return statement

    def close(self) -> None:
        """Give back threads and sockets; orders go on working."""
        if not self._closed:
            self._closed = True
            self._poller.close()
            self._desk.link.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _cannot_send(self, intent: OrderIntent) -> str:
        """Return why an order certainly is not sent now, empty when it is."""
        if self._closed:
            return "not sent: the broker is closed"
        quiet_s = self._desk.link.quiet_s()
        if quiet_s:
            return f"not sent: the exchange wants to be left alone for {quiet_s:.0f} s; order again after that"
        try:
            self._ready()
        except (OSError, BusError) as error:
            return f"not sent, because the exchange cannot be reached: {error}"
        return why_not(intent, OFFERS, self._rules)

    def _ready(self) -> None:
        self._desk.ready()
        self._rules = self._desk.rules
        if not self._born_ms:
            self._born_ms = self._desk.now_ms()

    def _track(self, client_id: str, symbol: str) -> Tracked:
        tracked = self._orders.get(client_id)
        if tracked is None:
            tracked = self._orders[client_id] = Tracked(client_id, symbol)
            external = external_parts(client_id)
            if external is not None:
                tracked.order_id = external[1]
                self._names[symbol, external[1]] = client_id
        return tracked

    def _learn(self, tracked: Tracked, order: VenueOrder | None, trades: Iterable[VenueTrade]) -> list[BrokerReport]:
        told = tracked.learn(order, trades, self._rules[tracked.symbol], monotonic_ns())
        if order is not None:
            self._names[order.symbol, order.order_id] = tracked.client_id
        return told

    def _trades(self, order: VenueOrder) -> list[VenueTrade]:
        return self._desk.trades_of(order.symbol, order.order_id)

    def _seek(self, client_id: str) -> VenueOrder | None:
        """Ask for an order: of its symbol, or of each when that is not known."""
        tracked = self._orders.get(client_id)
        symbols = [tracked.symbol] if tracked is not None else sorted(self._rules)
        external = external_parts(client_id)
        for symbol in symbols:
            rule = self._rules.get(symbol)
            if rule is None or (external is not None and external[0] != rule.market_id):
                continue
            order = self._desk.order(symbol, client_id, external[1] if external is not None else "")
            if order is not None:
                return order
        return None

    def _find(self, client_id: str) -> Tracked | None:
        """Look for an order of which nothing is known among those that work."""
        order = self._seek(client_id)
        return None if order is None or order.life != "working" else self._track(client_id, order.symbol)

    def _too_old(self, client_id: str) -> bool:
        """Return whether the exchange would take no request for this order any more, by its own clock."""
        tracked = self._orders.get(client_id)
        sent_ms = tracked.sent_ms if tracked is not None else 0
        last_ms = sent_ms or self._born_ms + _AHEAD_MS
        return self._desk.now_ms() > last_ms + WINDOW_MS

    def _hear(self, news: News, told: list[BrokerReport]) -> str:
        """Take in news and return why there is none, once that has been so for a while."""
        watched = self._watched()
        symbols = len({tracked.symbol for tracked in watched})
        pace_s = max(self._pace_s, _PER_SYMBOL_S * symbols if symbols > 1 else 0.0)
        self._failures = self._failures + 1 if news.failed else 0
        if self._failures:
            pace_s = min(pace_s * 2 ** min(self._failures, 10), max(_LONGEST_PACE_S, pace_s))
        self._due_ns = monotonic_ns() + int(pace_s * NS)
        self._rules = self._rules or {rule.symbol: rule for rule in news.rules}
        by_order: dict[str, list[VenueTrade]] = {}
        heard = dict(news.orders)
        for name, order in heard.items():
            self._names[order.symbol, order.order_id] = name
        for trade in news.trades:
            name = self._names.get((trade.symbol, trade.order_id))
            if name is not None:
                by_order.setdefault(name, []).append(trade)
        for name in {**heard, **by_order}:
            tracked = self._orders.get(name)
            if tracked is not None:
                told += self._learn(tracked, heard.get(name), by_order.get(name, ()))
        return news.failed if self._failures >= _PATIENCE else ""

    def _watched(self) -> list[Tracked]:
        now_ns = monotonic_ns()
        return [
            tracked
            for tracked in self._orders.values()
            if not tracked.over or (tracked.ended_ns and now_ns - tracked.ended_ns < _LATE_NS)
        ]

    def _ask_for_news(self) -> None:
        watched = self._watched()
        if not watched or self._desk.link.quiet_s():
            return
        orders = tuple(
            Watched(each.client_id, each.symbol, each.order_id, each.filled_nano, bool(each.over)) for each in watched
        )
        self._poller.ask(Watch(orders, self._born_ms))
