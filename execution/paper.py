"""The paper broker: works orders against the bars of the feed, by the fill model in ``execution.fills``.

Not a store: its memory is the journal's, from which it is restored, so an order whose "sent" is journaled was received.
Conventions: it acknowledges or rejects at once, at the time of sending; the order itself arrives ``latency_ns`` later.
What a bar did to an order is known, and reported, at the instant the bar is available, never before; the fill's own
time is the bar's open, or the bar's end when it is only known to have happened inside the bar. A missing minute fills
nothing and spends nothing: the order waits for the next bar there is. Orders of one symbol share a bar's capacity in
the order they were sent. ``ioc`` has one bar, ``fok`` one bar that must give all; ``gtd`` meets no bar that ends after
its expiry; ``day`` lasts until the tick that says the day is done, ``gtc`` and ``gtd`` are done for that day then. A
cancel is effective at once: no bar that becomes available later fills the order. A replacement is a new order that
arrives as one: it loses its place. Two orders of one group (an oco pair) do not both take one bar: a limit that is
certain at the open comes first, else the stop is assumed to have been met before the limit was.

It lends what is sold short where the instrument is shortable, and charges for each night when it is bought back. A
position of what nobody lends never goes below zero: what would do so is rejected, or canceled when the bar comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bus.ids import derived_id
from bus.messages import Bar, Fill, Instrument, OrderEvent, OrderIntent, Quote, Side, Tick
from execution._paper_order import NOTHING, Meeting, Shorts, Working
from execution._paper_rules import STOPS, below_min_notional, refusal
from execution.broker import BrokerReport, KnownOrder, Offered, Statement
from execution.fills import capacity_nano, same_interval, taking_price_nano
from execution.spec import GatewaySpec

__all__ = ["PAPER_OFFERS", "PaperBroker"]

PAPER_OFFERS = Offered(
    "paper",
    ("market", "limit", "stop", "stop_limit", "trailing_stop"),
    ("day", "gtc", "gtd", "ioc", "fok"),
    ("simple", "bracket", "oco", "oto"),
    replaces=True,
    shorts=True,
)
"""What the paper broker takes. It lends what is sold short where the instrument is shortable; the gate bounds it."""

_AT_ONCE = ("ioc", "fok")
_UNPRICED = ("market", "trailing_stop")
"""Types whose worth the venue knows only when they meet the market."""


class PaperBroker:
    """Executes one client's orders on paper."""

    def __init__(self, spec: GatewaySpec, instruments: dict[str, Instrument]) -> None:
        """Start with no order.

        Args:
            spec: The client, its fees and its fill model.
            instruments: What can be traded, by symbol.
        """
        self._spec = spec
        self._instruments = instruments
        self._working: dict[str, dict[str, Working]] = {}
        self._symbols: dict[str, str] = {}
        self._over: dict[str, Working] = {}
        self._told: dict[str, list[BrokerReport]] = {}
        """What ended orders, beside their fills, and refusals of replacing those that work."""
        self._ending: set[str] = set()
        """Orders with an expiry of their own."""
        self._shorts = Shorts()
        self._now_ns = 0
        self._done = False

    # --- from the journal ---------------------------------------------------------------------------------------------

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """Take up the orders that were sent before a restart, oldest first."""
        self._done = day_done
        for known in orders:
            intent = known.intent
            if known.acknowledged:
                order = self._take(intent, known.sent_ns)
                for fill in known.fills:
                    order.book(fill, order.charge_nano(fill.price_nano, fill.qty_nano, self._spec.fees))
                    order.triggered = True
            elif intent.replaces:
                self.replace(intent, known.sent_ns)
            else:
                self.submit(intent, known.sent_ns)

    def recall(self, events: Iterable[OrderEvent], waters: Mapping[str, int]) -> None:
        """Remember, after ``restore``, what orders alone do not tell: positions, and how far stops have come.

        Args:
            events: The journal's, from the first.
            waters: The best price each trailing stop had seen, as ``waters`` gave it when the journal was last written.
        """
        for event in events:
            if event.fill is not None and event.kind == "fill":
                self._shorts.book(event.fill)
            elif event.kind == "triggered":
                order = self._order(event.client_order_id)
                if order is not None:
                    order.triggered = True
        for client_order_id, water_nano in waters.items():
            order = self._order(client_order_id)
            if order is not None:
                order.water_nano = water_nano

    def waters(self) -> dict[str, int]:
        """Return the best price that each trailing stop has seen, for the journal to keep and ``recall`` to get."""
        return {
            order.intent.client_order_id: order.water_nano
            for orders in self._working.values()
            for order in orders.values()
            if order.intent.order_type == "trailing_stop" and order.water_nano and not order.triggered
        }

    # --- what is asked of it ------------------------------------------------------------------------------------------

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        """Accept an order, or reject it with what is wrong with it. Sent again, it is the same order."""
        name = intent.client_order_id
        if name in self._symbols:
            return BrokerReport(name, "accepted")
        if name in self._over:
            return BrokerReport(name, "accepted")
        if name in self._told:
            return self._told[name][0]
        why = self._refusal(intent, now_ns)
        if why:
            report = BrokerReport(name, "rejected", why)
            self._told[name] = [report]
            return report
        self._take(intent, now_ns)
        return BrokerReport(name, "accepted")

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        """Put an order in the place of one that works, or leave that one as it is, at once."""
        name, old = intent.client_order_id, intent.replaces
        if name in self._symbols or name in self._over or name in self._told:
            return (*self.query(old), *self.query(name))
        order = self._order(old)
        if order is None:
            why = f"replaces: {old} works no more; there is nothing to replace: send a new order"
        elif (order.intent.symbol, order.intent.side) != (intent.symbol, intent.side):
            why = (
                f"replaces: {old} is to {order.intent.side} {order.intent.symbol}; allowed is the same side and symbol"
            )
        else:
            why = self._refusal(intent, now_ns)
        if order is None or why:
            kept, refused = BrokerReport(old, "replace_rejected", why), BrokerReport(name, "rejected", why)
            self._told.setdefault(old, []).append(kept)
            self._told[name] = [refused]
            return kept, refused
        gone = BrokerReport(old, "replaced", f"by {name}")
        self._drop(old, gone)
        self._take(intent, now_ns)
        return gone, BrokerReport(name, "accepted")

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        """Cancel an order at once; one that is over stays as it is."""
        del now_ns
        if client_order_id in self._symbols:
            report = BrokerReport(client_order_id, "canceled")
            self._drop(client_order_id, report)
            return report
        for told in self._told.get(client_order_id, ()):
            if told.kind == "canceled":
                return told
        return BrokerReport(client_order_id, "cancel_rejected", "the order does not work here: it is over or never was")

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Return what is known of an order: it was received, or it would not be asked for."""
        order = self._order(client_order_id) or self._over.get(client_order_id)
        told = tuple(self._told.get(client_order_id, ()))
        return told if order is None else (*_life(order), *told)

    def drain(self) -> list[BrokerReport]:
        """Nothing comes by itself: ``work`` tells everything."""
        return []

    def statement(self) -> Statement | None:
        """None: the account is ours."""
        return None

    def close(self) -> None:
        """Nothing is held open."""

    # --- the market ---------------------------------------------------------------------------------------------------

    def work(self, tick: Tick) -> list[BrokerReport]:
        """Return what the bars of an instant did to the orders, and expire the rest when the day is done."""
        reports: list[BrokerReport] = []
        self._now_ns = tick.clock.now_ns
        if self._symbols:
            for bar in tick.bars:
                if bar.symbol in self._working:
                    self._meet(bar, tick.quotes, reports)
            if self._ending or tick.clock.done:
                self._expire(tick, reports)
        self._done = tick.clock.done
        return reports

    def _expire(self, tick: Tick, reports: list[BrokerReport]) -> None:
        now_ns, done = tick.clock.now_ns, tick.clock.done
        ended: list[BrokerReport] = []
        for client_order_id, symbol in self._symbols.items():
            intent = self._working[symbol][client_order_id].intent
            if 0 < intent.expires_ns <= now_ns:
                ended.append(BrokerReport(client_order_id, "expired", "its time is over"))
            elif done and intent.time_in_force in ("gtc", "gtd"):
                reports.append(BrokerReport(client_order_id, "done_for_day", "day_done"))
            elif done:
                ended.append(BrokerReport(client_order_id, "expired", "day_done"))
        for report in ended:
            self._drop(report.client_order_id, report)
        reports.extend(ended)

    def _meet(self, bar: Bar, quotes: tuple[Quote, ...], reports: list[BrokerReport]) -> None:
        opens, ends = bar.open_time_ns, bar.event_time_ns
        orders = [
            order
            for order in self._working[bar.symbol].values()
            if opens >= order.arrival_ns and (not order.intent.expires_ns or ends <= order.intent.expires_ns)
        ]
        if not orders:
            return
        quote = next((q for q in quotes if q.symbol == bar.symbol and same_interval(bar, q)), None)
        model = self._spec.fill_model
        instrument = orders[0].instrument
        left = capacity_nano(bar, instrument, model)
        met: list[tuple[Working, Meeting]] = []
        takings: dict[Side, int] = {}
        grouped = False
        for order in orders:
            side = order.intent.side
            taking = takings.get(side)
            if taking is None:
                taking = takings[side] = taking_price_nano(side, bar, quote, instrument.tick_nano, model)
            meeting = order.meet(bar, taking, model)
            grouped = grouped or bool(order.group)
            if meeting.hit:
                reports.append(BrokerReport(order.intent.client_order_id, "triggered"))
            met.append((order, meeting))
        shares = _apart(met) if grouped else ((order, meeting, order.intent.qty_nano) for order, meeting in met)
        for order, meeting, most in shares:
            if meeting is NOTHING and order.intent.time_in_force not in _AT_ONCE:
                continue
            qty = self._give(order, meeting, bar, left, most, reports)
            left = left if left is None else left - qty

    def _give(
        self, order: Working, meeting: Meeting, bar: Bar, left: int | None, most: int, reports: list[BrokerReport]
    ) -> int:
        """Give an order what it gets of a bar and end it where that ends it; return the quantity."""
        intent, instrument = order.intent, order.instrument
        name, price = intent.client_order_id, meeting.price_nano
        rest = intent.qty_nano - order.filled_nano
        qty = 0 if price <= 0 else min(rest, most) if left is None else min(rest, most, left)
        why = ""
        if qty > 0 and not order.met and instrument.min_notional_nano and intent.order_type in _UNPRICED:
            why = below_min_notional(instrument, price, intent.qty_nano)
        order.met = order.met or qty > 0
        if why:
            self._end(BrokerReport(name, "rejected", why), reports)
            return 0
        if intent.side == "sell" and not instrument.shortable:
            held = max(self._shorts.held_nano.get(intent.symbol, 0), 0)
            why = "not_shortable: no more of it is held" if qty > held else ""
            qty = min(qty, held)
        if intent.time_in_force == "fok" and qty < rest:
            self._end(BrokerReport(name, "canceled", "fok_not_whole"), reports)
            return 0
        if qty > 0:
            fill = self._fill(order, bar, qty, meeting)
            reports.append(BrokerReport(name, "fill", fill=fill))
            rest -= qty
        if rest == 0:
            self._drop(name)
        elif why:
            self._end(BrokerReport(name, "canceled", why), reports)
        elif intent.time_in_force == "ioc":
            self._end(BrokerReport(name, "canceled", "ioc_remainder"), reports)
        return qty

    def _fill(self, order: Working, bar: Bar, qty: int, meeting: Meeting) -> Fill:
        intent, instrument, fees = order.intent, order.instrument, self._spec.fees
        time_ns = bar.open_time_ns if meeting.at_open else bar.event_time_ns
        total = order.charge_nano(meeting.price_nano, qty, fees)
        lent = self._shorts.borrow_nano(instrument, qty, time_ns, fees) if intent.side == "buy" else 0
        fill = Fill(
            fill_id=derived_id("fill", intent.client_order_id, bar.open_time_ns, order.filled_nano),
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            qty_nano=qty,
            price_nano=meeting.price_nano,
            fee_nano=total - order.charged_nano + lent,
            time_ns=time_ns,
            liquidity="maker" if meeting.maker else "taker",
        )
        order.book(fill, total)
        self._shorts.book(fill)
        return fill

    # --- its book -----------------------------------------------------------------------------------------------------

    def _order(self, client_order_id: str) -> Working | None:
        symbol = self._symbols.get(client_order_id)
        return None if symbol is None else self._working[symbol][client_order_id]

    def _take(self, intent: OrderIntent, sent_ns: int) -> Working:
        arrival_ns = max(sent_ns, intent.decided_ns) + self._spec.fill_model.latency_ns
        order = Working(intent, self._instruments[intent.symbol], arrival_ns)
        self._working.setdefault(intent.symbol, {})[intent.client_order_id] = order
        self._symbols[intent.client_order_id] = intent.symbol
        if intent.expires_ns:
            self._ending.add(intent.client_order_id)
        return order

    def _end(self, report: BrokerReport, reports: list[BrokerReport]) -> None:
        self._drop(report.client_order_id, report)
        reports.append(report)

    def _drop(self, client_order_id: str, last: BrokerReport | None = None) -> None:
        symbol = self._symbols.pop(client_order_id)
        orders = self._working[symbol]
        self._over[client_order_id] = orders.pop(client_order_id)
        self._ending.discard(client_order_id)
        if not orders:
            del self._working[symbol]
        if last is not None:
            self._told.setdefault(client_order_id, []).append(last)

    def _refusal(self, intent: OrderIntent, now_ns: int) -> str:
        return refusal(
            intent,
            self._instruments,
            currency=self._spec.currency,
            done=self._done,
            now_ns=now_ns,
            held_nano=self._shorts.held_nano.get(intent.symbol, 0),
        )


def _life(order: Working) -> tuple[BrokerReport, ...]:
    name = order.intent.client_order_id
    triggered = (BrokerReport(name, "triggered"),) if order.triggered and order.intent.order_type in STOPS else ()
    fills = (BrokerReport(name, "fill", fill=fill) for fill in order.fills)
    return (BrokerReport(name, "accepted"), *triggered, *fills)


def _apart(met: list[tuple[Working, Meeting]]) -> Iterable[tuple[Working, Meeting, int]]:
    """Yield orders with what each may take at most, so that a group's two do not both take one bar.

    The limit that the bar's open already meets is certain and goes first; else, where a stop of the group is met or
    was before, the limit gets nothing of this bar: the worse of the two is what happened.
    """
    pairs: dict[str, list[tuple[Working, Meeting]]] = {}
    for order, meeting in met:
        if order.group:
            pairs.setdefault(order.group, []).append((order, meeting))
    later: list[tuple[Working, Meeting]] = []
    for order, meeting in met:
        pair = pairs.get(order.group, [])
        stopped = any(o.triggered and o.intent.order_type in STOPS for o, _ in pair)
        first = any(_certain(o, m) for o, m in pair)
        if len(pair) < 2 or not stopped or not meeting.price_nano:
            yield order, meeting, order.intent.qty_nano
        elif order.intent.order_type in STOPS:
            if first:
                later.append((order, meeting))
            else:
                yield order, meeting, order.intent.qty_nano
        elif first and _certain(order, meeting):
            yield order, meeting, order.intent.qty_nano
        else:
            yield order, meeting, 0
    for order, meeting in later:
        others = [o for o, _ in pairs[order.group] if o is not order]
        yield order, meeting, min((o.intent.qty_nano - o.filled_nano for o in others), default=order.intent.qty_nano)


def _certain(order: Working, meeting: Meeting) -> bool:
    return order.intent.order_type == "limit" and meeting.at_open and meeting.price_nano > 0
