"""The broker that the gateway sees: asks over the session and gives out what came. Not the session: that is ``link``.

Everything is called from one thread. A message stays in the store's inbox until a ``drain`` after the one that gave
out its reports, so a process that dies before it could journal them hears them again.
"""

from __future__ import annotations

from collections.abc import Iterable

from bus.clock import NS, wall_ns
from bus.errors import CallTimeoutError, JournalError
from bus.messages import OrderIntent, Tick
from execution.broker import BrokerReport, Held, KnownOrder, ReportKind, Statement
from execution.fix import entry
from execution.fix.statement import held_of, open_orders
from execution.fix.store import Known
from execution.fix.talk import Talk

__all__ = ["FixBroker"]

_WEEK_NS = 7 * 24 * 3600 * NS


class FixBroker(Talk):
    """One client's orders over one FIX session."""

    # --- the protocol -------------------------------------------------------------------------------------------------

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """Take up what the journal knows; the store knows the rest, unless it was lost."""
        del day_done
        with self._link.changed, self._store_works():
            self._restored = set()
            for order in orders:
                name = order.intent.client_order_id
                self._restored.add(name)
                if order.acknowledged:
                    self._accepted.add(name)
                    self._last[name] = "accepted"
                if self._store.order(name) is None:
                    self._store.keep_order(_known(order.intent))
                for fill in order.fills:
                    self._told_fills.add((fill.fill_id, name))
                    if not fill.refers_to and self._store.fill(fill.fill_id, name) is None:
                        change = fill.qty_nano if fill.side == "buy" else -fill.qty_nano
                        self._store.keep_fill(fill.fill_id, "fill", fill, change)

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        """Send a NewOrderSingle and wait for the answer; refuse for certain while logged off."""
        name = intent.client_order_id
        with self._link.changed, self._store_works():
            self._pump()
            known = self._store.order(name)
            if known is not None:
                return self._sent_before(known)
            refusal = entry.refusal(intent, self._instruments)
            if refusal:
                return BrokerReport(name, "rejected", refusal)
            refusal = self._cannot_send()
            if refusal:
                return BrokerReport(name, "rejected", f"not_sent: {refusal}")

            def keep() -> None:
                self._store.keep_order(_known(intent))
                self._store.add_request(name, "D", name)

            fields = entry.new_order(intent, self._settings.account, now_ns)
            refusal = self._send("D", name, fields, keep)
            if refusal is None:
                return BrokerReport(name, "unknown", "the connection broke while the order was sent")
            if refusal:
                return BrokerReport(name, "rejected", f"not_sent: {refusal}")
            if not self._await(lambda: self._first(name) is not None):
                return BrokerReport(name, "unknown", self._no_answer())
            return self._answer_to_submit(name)

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        """Send an OrderCancelReplaceRequest and wait for the answer."""
        name, before = intent.client_order_id, intent.replaces
        with self._link.changed, self._store_works():
            self._pump()
            if self._store.order(name) is not None:
                return (BrokerReport(name, "unknown", "it was sent before; ask what became of it"),)
            old = self._store.order(before)
            refusal = entry.refusal(intent, self._instruments)
            if old is None:
                refusal = refusal or f"order {before} is not known to this session"
            elif any((fill.fill_id, before) not in self._told_fills for _, fill in self._store.fills(before)):
                # OrderQty is counted from what has filled: with a fill that nobody was told of, it would be too much.
                refusal = refusal or f"order {before} has filled since it was looked at; ask again"
            if old is None or (refusal := refusal or self._cannot_send()):
                return _not_replaced(before, name, refusal)

            def keep() -> None:
                self._store.keep_order(_known(intent))
                self._store.add_request(name, "G", name)

            filled = self._reader.chain_nano(old)
            fields = entry.replacement(intent, old, filled, self._settings.account, now_ns)
            refusal = self._send("G", name, fields, keep)
            if refusal is None:
                return (BrokerReport(name, "unknown", "the connection broke while the replacement was sent"),)
            if refusal:
                return _not_replaced(before, name, refusal)
            kinds: set[ReportKind] = {"replaced", "replace_rejected", "pending_replace"}
            if not self._await(lambda: bool(self._of(before, kinds) or self._of(name))):
                return (BrokerReport(name, "unknown", self._no_answer()),)
            return self._answer_to_replace(before, name)

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        """Send an OrderCancelRequest and wait for the answer."""
        with self._link.changed, self._store_works():
            self._pump()
            known = self._store.order(client_order_id)
            if known is None:
                text = "no such order is known to this session; there is nothing to cancel"
                return BrokerReport(client_order_id, "cancel_rejected", text)
            if not self._logged_on():
                return BrokerReport(client_order_id, "cancel_rejected", f"{self._off()}; the cancel was not sent")
            try:
                number = self._store.count(client_order_id)
            except JournalError as error:
                return BrokerReport(client_order_id, "cancel_rejected", str(error))
            request_id = f"{client_order_id}.c{number}"

            def keep() -> None:
                self._store.add_request(request_id, "F", client_order_id)

            fields = entry.cancel(request_id, known, self._settings.account, now_ns)
            refusal = self._send("F", request_id, fields, keep)
            if refusal is None:
                return BrokerReport(client_order_id, "unknown", "the connection broke while the cancel was sent")
            if refusal:
                return BrokerReport(client_order_id, "cancel_rejected", refusal)
            kinds: set[ReportKind] = {"canceled", "cancel_rejected", "pending_cancel", "unknown"}
            if not self._await(lambda: bool(self._of(client_order_id, kinds))):
                return BrokerReport(client_order_id, "unknown", self._no_answer())
            return self._answer_to_cancel(client_order_id, kinds)

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Send an OrderStatusRequest; ``never_arrived`` is certain, because FIX is read in the order of its numbers.

        Raises:
            CallTimeoutError: No answer came, or the session is logged off.
        """
        with self._link.changed, self._store_works():
            self._pump()
            known = self._store.order(client_order_id)
            if known is None:
                return ()
            request_id = self._ask("H", lambda name: entry.status(name, known, self._settings.account), known)
            self._asking = request_id
            answered = self._await(lambda: request_id in self._answers or request_id in self._refused)
            self._asking = ""
            reports = self._answers.pop(request_id, [])
            if reports:
                self._note(reports)
                return tuple(reports)
            queued = tuple(report for _, report in self._of(client_order_id))
            if not queued and not answered:
                raise CallTimeoutError(f"no status of {client_order_id} came: {self._no_answer()}; ask again later")
            self._drop(client_order_id)
            return queued

    def work(self, tick: Tick) -> list[BrokerReport]:
        """Return nothing: the venue has its own market."""
        del tick
        return []

    def drain(self) -> list[BrokerReport]:
        """Return what came, in order; what earlier calls gave out is taken to be journaled by now."""
        with self._link.changed, self._store_works():
            waiting = {number for number, _ in self._ready}
            taken = self._read - waiting
            if taken:
                self._store.taken(taken)
                self._read -= taken
            self._pump()
            reports = [report for _, report in self._ready]
            self._ready.clear()
            return reports

    def statement(self) -> Statement:
        """Ask for all orders that work (AF) and, where the counterparty answers that, for positions (AN).

        Raises:
            CallTimeoutError: No answer came, or the session is logged off.
        """
        with self._link.changed, self._store_works():
            self._pump()
            account = self._settings.account
            orders = self._gather("AF", lambda name: entry.mass_status(name, account))
            if orders is None:
                orders = self._one_by_one()
            held = tuple(Held(symbol, qty) for symbol, qty in self._store.held().items())
            if self._settings.positions:
                told = self._gather("AN", lambda name: entry.positions(name, account, wall_ns()))
                if told is None:
                    raise CallTimeoutError("the counterparty refused RequestForPositions; set positions=no")
                held = held_of(told)
            seen_ns = self.theirs_ns or wall_ns()
            fills = tuple(self._store.executions(seen_ns - _WEEK_NS))
            return Statement(None, held, open_orders(orders, self._reader), fills, seen_ns)

    def close(self) -> None:
        """Log out and give back socket, thread and file; orders go on working."""
        if not self._closed:
            self._closed = True
            self._link.close()

    # --- answering ----------------------------------------------------------------------------------------------------

    def _sent_before(self, known: Known) -> BrokerReport:
        name = known.client_order_id
        if known.ended == "rejected" and name not in self._accepted:
            return BrokerReport(name, "rejected", "it was rejected when it was sent")
        kind: ReportKind = "accepted" if name in self._accepted else "unknown"
        return BrokerReport(name, kind, "it was sent before and is not sent again")

    def _answer_to_submit(self, name: str) -> BrokerReport:
        first = self._first(name)
        if first is not None and first[1].kind in {"accepted", "rejected", "unknown"}:
            self._ready.remove(first)
            return first[1]
        return BrokerReport(name, "accepted")

    def _answer_to_cancel(self, name: str, kinds: set[ReportKind]) -> BrokerReport:
        first = self._first(name)
        if first is not None and first[1].kind in kinds:
            self._ready.remove(first)
            return first[1]
        return BrokerReport(name, "pending_cancel", "fills came before the answer; what follows is told in order")

    def _answer_to_replace(self, before: str, name: str) -> tuple[BrokerReport, ...]:
        answer: list[BrokerReport] = []
        settling: set[ReportKind] = {"replaced", "replace_rejected", "pending_replace"}
        first = self._first(before)
        if first is not None and first[1].kind in settling:
            self._ready.remove(first)
            answer.append(first[1])
        elif first is not None:
            return (BrokerReport(before, "pending_replace", "fills came before the answer"),)
        new = self._first(name)
        if new is not None and new[1].kind in {"accepted", "rejected", "unknown"}:
            self._ready.remove(new)
            answer.append(new[1])
        return tuple(answer) or (BrokerReport(name, "unknown", self._no_answer()),)


def _known(intent: OrderIntent) -> Known:
    return Known(
        client_order_id=intent.client_order_id,
        venue_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        qty_nano=intent.qty_nano,
        price_nano=intent.limit_price_nano or intent.stop_price_nano,
        intent=intent,
    )


def _not_replaced(before: str, name: str, reason: str) -> tuple[BrokerReport, ...]:
    return (BrokerReport(before, "replace_rejected", reason), BrokerReport(name, "rejected", reason))
