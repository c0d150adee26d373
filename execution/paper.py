"""The paper broker: works orders against the bars of the feed, by the fill model in ``execution.fills``.

Not a store: its memory is the journal's, from which it is restored, so an order whose "sent" is journaled was received.
Conventions: it acknowledges or rejects at once, at the time of sending; the order itself arrives ``latency_ns`` later.
What a bar did to an order is known, and reported, at the instant the bar is available, never before; the fill's own
time is the bar's open, or the bar's end when only trading through a limit shows that it happened inside the bar.
A missing minute fills nothing and spends nothing: the order waits for the next bar there is. Orders of one symbol share
a bar's capacity in the order they were sent. ``ioc`` has one bar; ``day`` lasts until the tick that says the day is
done. A cancel is effective at once: no bar that becomes available later fills the order.
"""

from __future__ import annotations

from collections.abc import Iterable

from bus.fixed import from_nano, notional_nano
from bus.ids import derived_id
from bus.messages import Bar, Fill, Instrument, OrderIntent, Quote, Tick
from execution.broker import BrokerReport, KnownOrder, Offered
from execution.fills import capacity_nano, fee_total_nano, limit_price_nano, same_interval, taking_price_nano
from execution.spec import GatewaySpec

__all__ = ["PAPER_OFFERS", "PaperBroker"]

PAPER_OFFERS = Offered("paper", ("market", "limit"), ("day", "ioc"), ("simple",), replaces=False, shorts=True)
"""What the paper broker takes; it lends what is sold short without limit, the gate bounds it."""


class _Working:
    """An order at the paper venue."""

    __slots__ = ("arrival_ns", "charged_nano", "filled_nano", "instrument", "intent", "notional_nano")

    def __init__(self, intent: OrderIntent, instrument: Instrument, arrival_ns: int) -> None:
        self.intent = intent
        self.instrument = instrument
        self.arrival_ns = arrival_ns
        self.filled_nano = 0
        self.notional_nano = 0
        self.charged_nano = 0

    def book(self, fill: Fill) -> None:
        self.filled_nano += fill.qty_nano
        self.notional_nano += abs(notional_nano(fill.price_nano, fill.qty_nano, self.instrument.multiplier))
        self.charged_nano += fill.fee_nano


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
        self._working: dict[str, dict[str, _Working]] = {}
        self._symbols: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._done = False

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """Take up the orders that were sent before a restart, oldest first."""
        self._done = day_done
        for known in orders:
            refusal = "" if known.acknowledged else self._refusal(known.intent)
            if refusal:
                self._refused[known.intent.client_order_id] = refusal
                continue
            order = self._take(known.intent, known.sent_ns)
            for fill in known.fills:
                order.book(fill)

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        """Accept an order, or reject it with what is wrong with it."""
        if intent.client_order_id not in self._symbols:
            refusal = self._refusal(intent)
            if refusal:
                self._refused[intent.client_order_id] = refusal
                return BrokerReport(intent.client_order_id, "rejected", refusal)
            self._take(intent, now_ns)
        return BrokerReport(intent.client_order_id, "accepted")

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:  # noqa: ARG002 - the protocol's argument
        """Cancel an order at once."""
        self._drop(client_order_id)
        return BrokerReport(client_order_id, "canceled")

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Return that an order works here, or that it was rejected: it was received, or it would not be asked for."""
        if client_order_id in self._symbols:
            return (BrokerReport(client_order_id, "accepted"),)
        refusal = self._refused.get(client_order_id)
        return (BrokerReport(client_order_id, "rejected", refusal),) if refusal else ()

    def work(self, tick: Tick) -> list[BrokerReport]:
        """Return what the bars of an instant did to the orders, and expire the rest when the day is done."""
        reports: list[BrokerReport] = []
        if self._symbols:
            for bar in tick.bars:
                if bar.symbol in self._working:
                    self._meet(bar, tick.quotes, reports)
        if tick.clock.done:
            self._done = True
            for client_order_id in list(self._symbols):
                self._drop(client_order_id)
                reports.append(BrokerReport(client_order_id, "expired", "day_done"))
        return reports

    def _meet(self, bar: Bar, quotes: tuple[Quote, ...], reports: list[BrokerReport]) -> None:
        orders = [o for o in self._working[bar.symbol].values() if bar.open_time_ns >= o.arrival_ns]
        if not orders:
            return
        quote = next((q for q in quotes if q.symbol == bar.symbol and same_interval(bar, q)), None)
        model = self._spec.fill_model
        left = capacity_nano(bar, orders[0].instrument, model)
        for order in orders:
            intent = order.intent
            taking = taking_price_nano(intent.side, bar, quote, order.instrument.tick_nano, model)
            price, at_open = taking, True
            if intent.order_type == "limit":
                price = limit_price_nano(intent.side, intent.limit_price_nano, bar, taking)
                at_open = price == taking
            rest = intent.qty_nano - order.filled_nano
            qty = 0 if price <= 0 else rest if left is None else min(rest, left)
            if qty > 0:
                left = left if left is None else left - qty
                fill = self._fill(order, bar, qty, price, at_open=at_open)
                reports.append(BrokerReport(intent.client_order_id, "fill", fill=fill))
                rest -= qty
            if rest == 0:
                self._drop(intent.client_order_id)
            elif intent.time_in_force == "ioc":
                self._drop(intent.client_order_id)
                reports.append(BrokerReport(intent.client_order_id, "canceled", "ioc_remainder"))

    def _fill(self, order: _Working, bar: Bar, qty: int, price: int, *, at_open: bool) -> Fill:
        intent, instrument = order.intent, order.instrument
        traded = abs(notional_nano(price, qty, instrument.multiplier))
        total = fee_total_nano(instrument, order.filled_nano + qty, order.notional_nano + traded, self._spec.fees)
        fill = Fill(
            fill_id=derived_id("fill", intent.client_order_id, bar.open_time_ns, order.filled_nano),
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            qty_nano=qty,
            price_nano=price,
            fee_nano=total - order.charged_nano,
            time_ns=bar.open_time_ns if at_open else bar.event_time_ns,
            liquidity="taker" if at_open else "maker",
        )
        order.book(fill)
        return fill

    def _take(self, intent: OrderIntent, sent_ns: int) -> _Working:
        arrival_ns = max(sent_ns, intent.decided_ns) + self._spec.fill_model.latency_ns
        order = _Working(intent, self._instruments[intent.symbol], arrival_ns)
        self._working.setdefault(intent.symbol, {})[intent.client_order_id] = order
        self._symbols[intent.client_order_id] = intent.symbol
        return order

    def _drop(self, client_order_id: str) -> None:
        symbol = self._symbols.pop(client_order_id, None)
        if symbol is not None:
            orders = self._working[symbol]
            del orders[client_order_id]
            if not orders:
                del self._working[symbol]

    def _refusal(self, intent: OrderIntent) -> str:
        """Return why the venue would not take an order, or nothing."""
        instrument = self._instruments.get(intent.symbol)
        if instrument is None:
            return f"unknown_symbol: {intent.symbol} is not listed; allowed are {', '.join(sorted(self._instruments))}"
        if self._done:
            return "market_closed: the day is done; send the order on another day"
        if not instrument.tradable:
            return f"not_tradable: {intent.symbol} can be watched but not traded; choose a tradable symbol"
        if instrument.currency != self._spec.currency:
            return f"currency: {intent.symbol} is quoted in {instrument.currency}; allowed is {self._spec.currency}"
        lot, tick, limit = instrument.lot_nano, instrument.tick_nano, intent.limit_price_nano
        if intent.qty_nano <= 0 or intent.qty_nano % lot:
            return f"bad_quantity: {from_nano(intent.qty_nano)} is no positive multiple of the lot {from_nano(lot)}"
        if intent.order_type == "limit" and (limit <= 0 or limit % tick):
            return f"bad_price: a limit of {from_nano(limit)} is no positive multiple of the tick {from_nano(tick)}"
        if intent.order_type == "market" and limit != 0:
            return f"bad_price: a market order carries no limit; give 0 instead of {from_nano(limit)}"
        return ""
