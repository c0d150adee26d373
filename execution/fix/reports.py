"""What the counterparty says, as broker reports: 8 ExecutionReport, 9 OrderCancelReject, j and 3. Not what is asked.

Read twice, a message gives the same reports: after ``kill -9`` it is read again, and execution tells by the fill's id
that it is the same. Whether a report was told in this process is the adapter's to know.

Odd rows, each with its reason:

* an order "rejected" as a duplicate is *unknown*: something works under its id;
* a business reject that says "other" or "application not available" is *unknown*: the venue may have taken it;
* "filled" with less than was wanted ends in ``canceled``: the rest had filled in the order that it replaced, or the
  venue restated the quantity;
* an end with a CumQty that the executions do not come to is *unknown*: asking brings what is missing;
* Triggered (ExecType L) is of FIX 5, and sent by some in 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bus.ids import derived_id
from bus.messages import Instrument
from execution.broker import BrokerReport, ReportKind
from execution.fix.codec import Message
from execution.fix.executions import SIDES, Executions, nano, time_ns
from execution.fix.store import Known, Store

__all__ = ["FINAL", "Reader"]

FINAL: frozenset[ReportKind] = frozenset({"canceled", "expired", "rejected", "replaced"})
_OURS = re.compile(r"oo-[0-9a-f]{20}\Z")
_BY_EXEC_TYPE: dict[str, ReportKind] = {
    "0": "accepted",
    "3": "done_for_day",
    "4": "canceled",
    "6": "pending_cancel",
    "7": "accepted",
    "8": "rejected",
    "9": "suspended",
    "C": "expired",
    "L": "triggered",
}
_BY_STATUS: dict[str, ReportKind] = {
    "3": "done_for_day",
    "4": "canceled",
    "5": "replaced",
    "6": "pending_cancel",
    "9": "suspended",
    "C": "expired",
    "E": "pending_replace",
}
_TRADES = frozenset("F12")
_UNKNOWN_ORDER = "5"
_DUPLICATE = "6"
_DOUBTFUL = frozenset({"", "0", "4"})
_FILLED = "2"
_ORDER_REJECTS = {
    "0": "broker option",
    "1": "unknown symbol",
    "2": "exchange closed",
    "3": "order exceeds limit",
    "4": "too late to enter",
    "5": "unknown order",
    "6": "duplicate order",
    "8": "stale order",
    "11": "unsupported order characteristic",
    "13": "incorrect quantity",
    "15": "unknown account",
}
_CANCEL_REJECTS = {
    "0": "too late to cancel",
    "1": "unknown order",
    "2": "broker option",
    "3": "already pending",
    "6": "duplicate request id",
}


class Reader:
    """Turns messages into reports, and keeps executions and what is known of orders in the store."""

    def __init__(self, store: Store, instruments: dict[str, Instrument], scrub: Callable[[str], str]) -> None:
        """Read for one session; ``scrub`` takes keys out of the counterparty's words."""
        self._store = store
        self._executions = Executions(store, instruments)
        self._scrub = scrub

    # --- by message ---------------------------------------------------------------------------------------------------

    def read(self, message: Message) -> list[BrokerReport]:
        """Return what a message says about orders; answers to status requests say nothing here.

        Raises:
            BadValueError: It cannot be understood after all.
        """
        if message.msg_type == "8":
            return self._execution_report(message)
        if message.msg_type == "9":
            return self._cancel_reject(message)
        if message.msg_type in {"j", "3"}:
            return self._refused(message)
        return []

    def doubtful(self, message: Message, flaw: str) -> list[BrokerReport]:
        """Return that the order of a message that cannot be understood is not known to be in any state."""
        known = self._subject(message)
        return (
            [BrokerReport(known.client_order_id, "unknown", f"an answer was not understood: {flaw}")] if known else []
        )

    def refused_request(self, message: Message) -> str:
        """Return the id of the status or position request that a j or 3 refuses, or nothing."""
        sent = self._sent(message)
        return sent[1] if sent and sent[0] in {"H", "AF", "AN"} else ""

    # --- 8 ------------------------------------------------------------------------------------------------------------

    def _execution_report(self, message: Message) -> list[BrokerReport]:
        kind = message.text(150)
        known = self._subject(message)
        if known is None or kind == "I":
            return []
        if message.text(37) and not known.order_id:
            known.order_id = message.text(37)
            self._store.keep_order(known)
        if kind in _TRADES or kind in {"G", "H"}:
            return self._traded(message, known, kind)
        if kind == "5":
            return self._replaced(message, known)
        if kind == "E":
            return [self._report(message, self._executions.before(known) or known, "pending_replace")]
        if kind == "D":
            return self._restated(message, known)
        told = _BY_EXEC_TYPE.get(kind)
        if told == "rejected":
            return self._rejected(message, known)
        if told in FINAL:
            return self._ended(message, known, told)
        return [self._report(message, known, told)] if told else []

    def _report(self, message: Message, known: Known, kind: ReportKind, reason: str = "") -> BrokerReport:
        words = reason or self._scrub(message.text(58))
        return BrokerReport(known.client_order_id, kind, words, time_ns=time_ns(message))

    def _traded(self, message: Message, known: Known, kind: str) -> list[BrokerReport]:
        told: ReportKind = "fill" if kind in _TRADES else "correct" if kind == "G" else "bust"
        fill = self._executions.fill(message, known, told)
        if fill is None:
            return []
        reports = [BrokerReport(known.client_order_id, told, fill=fill, time_ns=fill.time_ns)]
        if told == "fill" and message.text(39) == _FILLED:
            reports += self._short_of(message, known)
        return reports

    def _short_of(self, message: Message, known: Known) -> list[BrokerReport]:
        """Return the end of an order that the venue calls filled although less was filled than was wanted."""
        if known.intent is None or self._executions.filled_nano(known.client_order_id) >= known.qty_nano:
            return []
        return self._ended(message, known, "canceled", "the venue counts it as filled: its quantity was reduced there")

    def _ended(self, message: Message, known: Known, kind: ReportKind, reason: str = "") -> list[BrokerReport]:
        if self._executions.missing_nano(message, known) > 0:
            text = "the order is over with more filled than was told; ask for the rest"
            return [self._report(message, known, "unknown", text)]
        known.ended = kind
        self._store.keep_order(known)
        return [self._report(message, known, kind, reason)]

    def _restated(self, message: Message, known: Known) -> list[BrokerReport]:
        status = message.text(39)
        if status == _FILLED:
            return self._short_of(message, known)
        told = _BY_STATUS.get(status)
        if told in FINAL and told != "replaced":
            return self._ended(message, known, told)
        return [self._report(message, known, told or "accepted")] if status != "5" else []

    def _rejected(self, message: Message, known: Known) -> list[BrokerReport]:
        code = message.text(103)
        reason = self._words(message, _ORDER_REJECTS.get(code, f"reject reason {code}" if code else ""))
        if code == _DUPLICATE:
            return [self._report(message, known, "unknown", reason)]
        reports: list[BrokerReport] = []
        before = self._executions.before(known)
        if before is not None:
            reports.append(self._report(message, before, "replace_rejected", reason))
        known.ended = "rejected"
        self._store.keep_order(known)
        return [*reports, self._report(message, known, "rejected", reason or "the venue rejected it without a reason")]

    def _replaced(self, message: Message, new: Known) -> list[BrokerReport]:
        old = self._executions.before(new)
        if old is None:
            return []
        new.base_nano = nano(message, 14)
        self._store.keep_order(new)
        old.ended = "replaced"
        self._store.keep_order(old)
        reports = [self._report(message, old, "replaced"), self._report(message, new, "accepted")]
        if nano(message, 151) == 0:
            reports += self._short_of(message, new)
        return reports

    # --- answers to questions -----------------------------------------------------------------------------------------

    def status(self, message: Message, known: Known) -> list[BrokerReport]:
        """Return everything definite that a status (ExecType I) and the executions say about an order, oldest first."""
        status = message.text(39)
        if status == "8":
            return self._status_rejected(message, known)
        if status == "A":
            return []
        if message.text(11) != known.venue_id and message.text(41) == known.venue_id:
            status = "5"
        else:
            self._executions.stand_in(message, known)
        reports = [self._report(message, known, "accepted")]
        kinds: dict[str, ReportKind] = {"bust": "bust", "correct": "correct"}
        for kind, fill in self._store.fills(known.client_order_id):
            reports.append(
                BrokerReport(known.client_order_id, kinds.get(kind, "fill"), fill=fill, time_ns=fill.time_ns)
            )
        if status == _FILLED:
            return [*reports, *self._short_of(message, known)]
        told = _BY_STATUS.get(status)
        if told is not None:
            reports.append(self._report(message, known, told))
            if told in FINAL:
                known.ended = told
                self._store.keep_order(known)
        return reports

    def _status_rejected(self, message: Message, known: Known) -> list[BrokerReport]:
        if message.text(103) != _UNKNOWN_ORDER:
            return self._rejected(message, known)
        if known.order_id or self._store.fills(known.client_order_id):
            # It was there, so "unknown" means that the venue has forgotten it, not that it never arrived.
            return []
        known.ended = "rejected"
        self._store.keep_order(known)
        return [self._report(message, known, "rejected", "never_arrived")]

    # --- 9, j and 3 ---------------------------------------------------------------------------------------------------

    def _cancel_reject(self, message: Message) -> list[BrokerReport]:
        code = message.text(102)
        reason = self._words(message, _CANCEL_REJECTS.get(code, f"reject reason {code}" if code else "no reason given"))
        request = self._store.request(message.text(11))
        known = self._store.order(request[1]) if request else self._store.order(message.text(41))
        if known is None:
            return []
        if request and request[0] == "G":
            return self._not_replaced(message, known, reason)
        return [self._report(message, known, "cancel_rejected", reason)]

    def _not_replaced(self, message: Message, new: Known, reason: str) -> list[BrokerReport]:
        new.ended = "rejected"
        self._store.keep_order(new)
        old = self._executions.before(new)
        rejected = self._report(message, new, "rejected", reason)
        return [self._report(message, old, "replace_rejected", reason), rejected] if old else [rejected]

    def _sent(self, message: Message) -> tuple[str, str] | None:
        raw = message.text(45)
        return self._store.sent_as(int(raw)) if raw.isdecimal() else None

    def _refused(self, message: Message) -> list[BrokerReport]:
        """Read a reject of a whole message: definite, but for the business rejects that may come after taking it."""
        sent = self._sent(message)
        request = self._store.request(sent[1] if sent else message.text(379))
        known = self._store.order(request[1]) if request else None
        if request is None or known is None:
            return []
        reason = self._words(message, "the message was refused")
        doubtful = message.msg_type == "j" and message.text(380) in _DOUBTFUL
        if doubtful:
            return [self._report(message, known, "unknown", reason)]
        if request[0] == "F":
            return [self._report(message, known, "cancel_rejected", reason)]
        if request[0] == "G":
            return self._not_replaced(message, known, reason)
        known.ended = "rejected"
        self._store.keep_order(known)
        return [self._report(message, known, "rejected", reason)]

    def _words(self, message: Message, name: str) -> str:
        text = self._scrub(message.text(58))
        return f"{name}: {text}" if name and text else name or text

    # --- whose it is --------------------------------------------------------------------------------------------------

    def _subject(self, message: Message) -> Known | None:
        """Return the order that a message is about; one of other hands is kept under a derived id from now on."""
        name, original = message.text(11), message.text(41)
        request = self._store.request(name)
        if request is not None:
            known = self._store.order(request[1])
            waiting = message.text(39) == "E" and message.text(150) in _TRADES
            if known is not None and request[0] == "G" and waiting:
                # Not accepted yet: what fills is still the order that it is to replace.
                return self._executions.before(known) or known
            return known
        return self._store.order(name) or self._store.order(original) or self.other_hands(message)

    def chain_nano(self, known: Known) -> int:
        """Return CumQty of an order's chain as far as it is known here."""
        return self._executions.chain_nano(known)

    def named(self, message: Message) -> Known | None:
        """Return the order that a status names."""
        return self._subject(message)

    def other_hands(self, message: Message) -> Known | None:
        """Return an order that this session did not send, kept from now on; None where nothing names it."""
        order_id, name = message.text(37), message.text(11)
        side, symbol = SIDES.get(message.text(54)), message.text(55)
        if not order_id or side is None or not symbol:
            return None
        client_order_id = name if _OURS.match(name) else derived_id("ext", order_id)
        known = self._store.order(client_order_id)
        if known is None:
            known = Known(
                client_order_id=client_order_id,
                venue_id=name or order_id,
                symbol=symbol,
                side=side,
                qty_nano=nano(message, 38) or nano(message, 14) + nano(message, 151),
                price_nano=nano(message, 44) or nano(message, 99),
                order_id=order_id,
            )
            self._store.keep_order(known)
        return known
