"""The broker protocol over Alpaca: orders go out once under our ids, what came of them is heard, asked and told once.

Not a journal and not a retry: an answer that is not definite is ``unknown``, and execution asks about it.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable
from typing import Final

from bus.clock import NS, monotonic_ns
from bus.errors import BusError, ConfigError
from bus.messages import Fill, Instrument, OrderIntent, Tick
from execution.alpaca._exchange import CalmTradingClient, NotSentError, RefusedError
from execution.alpaca._memory import Memory
from execution.alpaca._offers import refusal
from execution.alpaca._questions import Questions
from execution.alpaca._records import (
    FillRecord,
    OrderRecord,
    Symbols,
    UpdateRecord,
    change_fields,
    is_ours,
    nano,
    near,
    order_fields,
)
from execution.alpaca._secrets import address
from execution.alpaca._stream import Garbled, Heard, Listener, Pace
from execution.broker import BrokerReport, Held, KnownOrder, OpenOrder, Statement
from execution.keys import Keys
from execution.spec import GatewaySpec

__all__ = ["AlpacaBroker"]

_FILLS_SPAN_NS: Final = 36 * 3_600 * NS
_TORN_READS = 4


class AlpacaBroker:
    """One client's account at Alpaca."""

    def __init__(
        self, spec: GatewaySpec, instruments: dict[str, Instrument], keys: Keys, pace: Pace | None = None
    ) -> None:
        """Start listening to the account's trade updates.

        Args:
            spec: The client and its broker.
            instruments: What can be traded, by symbol.
            keys: This client's; they are kept in memory only, and shown nowhere.
            pace: How patient to be; None is as usual.

        Raises:
            ConfigError: An address would give the keys away, or real money is at the end of a run that is not live.
        """
        broker = spec.broker
        if not broker.sandbox and spec.mode != "live":
            raise ConfigError(
                f"broker.sandbox = false is Alpaca's real money, and this run's mode is {spec.mode}: "
                "keep sandbox = true, or run the desk live"
            )
        url = address(broker.url, ("https", "http"), "broker.url")
        stream_url = address(broker.stream_url, ("wss", "ws"), "broker.stream_url")
        if bool(url) != bool(stream_url):
            raise ConfigError(
                "broker.url and broker.stream_url belong to one service: give both, or neither for Alpaca's own"
            )

        def ask() -> Questions:
            return Questions(CalmTradingClient(keys, url, sandbox=broker.sandbox, timeout_s=broker.timeout_s))

        self._pace = pace or Pace()
        self._currency = spec.currency
        self._instruments = instruments
        self._symbols = Symbols(instruments)
        self._memory = Memory(self._symbols)
        self._questions = ask()
        self._later: list[BrokerReport] = []
        self._asked_from_ns: dict[str, int] = {}
        self._listener = Listener(keys, stream_url, ask, self._pace, sandbox=broker.sandbox, timeout_s=broker.timeout_s)

    def __repr__(self) -> str:
        return "AlpacaBroker()"

    def listening(self, within_s: float) -> bool:
        """Wait until updates are heard; False when they were not within so many seconds. Sending needs no stream."""
        return self._listener.connected.wait(within_s)

    # --- sending ----------------------------------------------------------------------------------------------------

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """Take up what was sent before a restart; Alpaca is asked how it stands."""
        del day_done
        for known in orders:
            self._memory.restore(known)
            self._asked_from_ns[known.intent.client_order_id] = monotonic_ns()
        self._watch()
        if self._memory.live():
            self._listener.look()

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        """Send one order; an id that Alpaca knows already means that it had arrived."""
        del now_ns
        own = intent.client_order_id
        if why := refusal(intent, self._instruments):
            return BrokerReport(own, "rejected", why)
        if self._memory.knows(own):
            return self._arrived_before(intent)
        self._memory.expect(own, intent.qty_nano)
        self._asked_from_ns[own] = monotonic_ns()
        try:
            record = self._questions.place(order_fields(intent))
        except RefusedError as refused:
            if refused.duplicate:
                return self._arrived_before(intent)
            self._memory.forget(own)
            return BrokerReport(own, "rejected", f"alpaca: {refused.said}")
        except NotSentError as error:
            self._memory.forget(own)
            return BrokerReport(own, "rejected", f"not_sent: {error}")
        except (BusError, OSError) as error:
            return self._unknown(own, error)
        return self._acknowledged(intent, record)

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        """Have Alpaca put an order in the place of another; updates tell when it has."""
        del now_ns
        own, old = intent.client_order_id, intent.replaces
        try:
            found = self._questions.find(old)
        except (BusError, OSError) as error:
            return self._kept(intent, f"not_sent: the order to be replaced could not be looked up ({error})")
        why = refusal(intent, self._instruments) or _cannot_replace(intent, found, self._symbols)
        if found is None or why:
            return self._kept(intent, why)
        self._memory.expect(own, intent.qty_nano)
        self._asked_from_ns[own] = monotonic_ns()
        fields = change_fields(intent)
        if intent.qty_nano % NS:
            del fields["qty"]
        try:
            record = self._questions.change(found.id, fields)
            if record.client_order_id != own:
                return (self._unknown(own, "alpaca answered about another order"),)
        except RefusedError as refused:
            if not refused.duplicate:
                self._memory.forget(own)
                return self._kept(intent, f"alpaca: {refused.said}")
        except NotSentError as error:
            self._memory.forget(own)
            return self._kept(intent, f"not_sent: {error}")
        except (BusError, OSError) as error:
            self._memory.replacing(old, own)
            return (self._unknown(own, error),)
        self._memory.replacing(old, own)
        self._watch()
        return (BrokerReport(old, "pending_replace"),)

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        """Ask Alpaca to cancel an order; an update tells when it has."""
        del now_ns
        try:
            broker_id = self._memory.broker_id(client_order_id)
            if not broker_id:
                found = self._find(client_order_id)
                if found is None:
                    return BrokerReport(client_order_id, "cancel_rejected", "alpaca has no order of this id")
                broker_id = found.id
            self._questions.cancel(broker_id)
        except RefusedError as refused:
            return BrokerReport(client_order_id, "cancel_rejected", f"alpaca: {refused.said}")
        except (BusError, OSError) as error:
            return self._unknown(client_order_id, error)
        self._memory.cancelling(client_order_id)
        self._watch()
        return BrokerReport(client_order_id, "pending_cancel")

    # --- asking and hearing -----------------------------------------------------------------------------------------

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Ask what became of an order.

        Alpaca keeps an order before it answers, so one that it does not know some minutes after the request ended, and
        that it had never answered about, never arrived.

        Raises:
            BusError: No answer, or one that cannot be read.
        """
        record = self._find(client_order_id)
        if record is None:
            since_ns = self._asked_from_ns.get(client_order_id)
            if since_ns is None or not is_ours(client_order_id) or self._memory.broker_id(client_order_id):
                return ()
            if (monotonic_ns() - since_ns) / NS < self._pace.never_s:
                return ()
            return (BrokerReport(client_order_id, "rejected", "never_arrived"),)
        fills = self._questions.fills_of((record,))
        reports = self._memory.whole(record, fills)
        self._watch()
        return reports

    def work(self, tick: Tick) -> list[BrokerReport]:
        """Return nothing: Alpaca has its own market."""
        del tick
        return []

    def drain(self) -> list[BrokerReport]:
        """Return what has been heard since the last time, each thing once."""
        reports, self._later = self._later, []
        while True:
            try:
                heard = self._listener.heard.get_nowait()
            except queue.Empty:
                break
            reports += self._taken(heard)
        self._watch()
        return reports

    def statement(self) -> Statement:
        """Ask for the account, its positions, orders and executions, as they were together.

        Raises:
            BusError: No answer, one that cannot be read, or an account that did not hold still while it was read.
        """
        for _ in range(_TORN_READS):
            before = self._recent_fills()
            account = self._questions.account()
            positions = self._questions.positions()
            orders = self._questions.open_orders()
            fills = self._recent_fills()
            if {fill.id for fill in fills} == {fill.id for fill in before}:
                break
        else:
            raise BusError("alpaca's account changed each time while it was read; ask again later")
        if account.currency not in (None, self._currency):
            raise BusError(f"alpaca keeps this account in another currency than the desk's {self._currency}")
        self._questions.learn(orders)
        return Statement(
            cash_nano=near(account.cash),
            held=tuple(
                Held(
                    self._symbols.ours(held.symbol),
                    abs(nano(held.qty)) * (1 if held.side == "long" else -1),
                    near(held.avg_entry_price),
                )
                for held in positions
                if nano(held.qty)
            ),
            orders=tuple(self._open(order) for order in orders),
            fills=tuple(self._told(fill) for fill in fills),
            seen_ns=self._questions.vendor_ns,
        )

    def close(self) -> None:
        """Stop listening; orders go on working."""
        self._listener.close()
        self._questions.hang_up()

    # --- how --------------------------------------------------------------------------------------------------------

    def _find(self, client_order_id: str) -> OrderRecord | None:
        """Return an order by its client order id; one of other hands by Alpaca's id, where it was seen or works."""
        if is_ours(client_order_id):
            return self._questions.find(client_order_id)
        if broker_id := self._memory.broker_id(client_order_id):
            return self._questions.by_id(broker_id)
        return next((order for order in self._questions.open_orders() if order.order_id == client_order_id), None)

    def _acknowledged(self, intent: OrderIntent, record: OrderRecord) -> BrokerReport:
        own = intent.client_order_id
        theirs = self._symbols.ours(record.symbol or "")
        if (record.client_order_id, theirs, record.side) != (own, intent.symbol, intent.side):
            return self._unknown(own, "alpaca answered about another order")
        new = self._memory.look(record, ())
        self._watch()
        rejected = [report for report in new if report.kind == "rejected"]
        self._later += [report for report in new if report.kind not in ("accepted", "rejected")]
        return rejected[0] if rejected else BrokerReport(own, "accepted")

    def _arrived_before(self, intent: OrderIntent) -> BrokerReport:
        """Settle an order that was sent before: it is asked for, and never sent again."""
        own = intent.client_order_id
        try:
            record = self._questions.find(own)
        except (BusError, OSError) as error:
            return self._unknown(own, error)
        if record is None:
            return self._unknown(own, "this order was sent before and alpaca does not show it")
        return self._acknowledged(intent, record)

    def _unknown(self, client_order_id: str, why: object) -> BrokerReport:
        self._watch()
        return BrokerReport(client_order_id, "unknown", str(why))

    def _kept(self, intent: OrderIntent, why: str) -> tuple[BrokerReport, ...]:
        """Return that a replacement did not come about and the old order is as it was."""
        return (
            BrokerReport(intent.replaces, "replace_rejected", why),
            BrokerReport(intent.client_order_id, "rejected", why),
        )

    def _taken(self, heard: Heard) -> list[BrokerReport]:
        try:
            if isinstance(heard, UpdateRecord):
                return self._memory.update(heard)
            if isinstance(heard, Garbled):
                return []
            orders, fills = heard.look
            reports = [
                report
                for order in orders
                for report in self._memory.look(order, [fill for fill in fills if fill.order_id == order.id])
            ]
        except BusError:
            # It said something that cannot be: what is true is asked for instead.
            self._listener.look()
            return []
        if heard.silent and reports:
            self._listener.distrust()
        return reports

    def _watch(self) -> None:
        self._listener.watch(self._memory.live(), missing=self._memory.missing())

    def _recent_fills(self) -> tuple[FillRecord, ...]:
        if not self._questions.vendor_ns:
            self._questions.account()
        return self._questions.fills(self._questions.vendor_ns - _FILLS_SPAN_NS)

    def _told(self, record: FillRecord) -> Fill:
        return self._memory.fill(record, self._questions.name(record.order_id))

    def _open(self, record: OrderRecord) -> OpenOrder:
        if record.side is None or record.symbol is None or record.qty is None:
            raise BusError(
                "an order works at alpaca that has no single symbol, side and quantity; cancel it at alpaca's own site"
            )
        price = record.limit_price if record.limit_price is not None else record.stop_price
        return OpenOrder(
            record.order_id,
            record.id,
            self._symbols.ours(record.symbol),
            record.side,
            nano(record.qty),
            record.filled_nano,
            near(price),
        )


def _cannot_replace(intent: OrderIntent, found: OrderRecord | None, symbols: Symbols) -> str:
    if found is None:
        return f"alpaca has no order {intent.replaces}"
    theirs = (symbols.ours(found.symbol or ""), found.side, found.type)
    if theirs != (intent.symbol, intent.side, intent.order_type):
        return (
            "not_offered: alpaca changes quantity, prices and time in force of an order, not its symbol, side or type"
        )
    if intent.order_type == "trailing_stop" and (found.trail_price is None) != (intent.trail_nano == 0):
        return "not_offered: alpaca cannot change a trail in price into one in basis points, or back"
    if intent.qty_nano % NS and (intent.qty_nano != nano(found.qty) or found.filled_nano):
        return "not_offered: alpaca replaces whole quantities only; cancel the order and place another"
    return ""
