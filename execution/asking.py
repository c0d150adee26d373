"""How a broker is talked to: every call gives reports, and no answer is an answer too (``unknown``).

Not a place for retries. A broker that raises ``OSError`` or ``BusError`` may have done what it was asked: that is
UNKNOWN, and is asked about; nothing is sent a second time (law 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from bus.errors import BusError
from bus.messages import OrderEvent, OrderIntent, Tick
from execution.broker import Broker, BrokerReport
from execution.orders import Order
from execution.states import ASKED

__all__ = ["Recalling", "asked", "canceled", "drained", "queried", "replaced", "submitted", "worked"]

_SILENT = "the broker gave no definite answer; it is asked again"


@runtime_checkable
class Recalling(Protocol):
    """A broker whose memory is our journal, beyond the orders that it is restored from."""

    def recall(self, events: Iterable[OrderEvent], waters: Mapping[str, int]) -> None:
        """Take in the journal's events and the best price that each trailing stop had seen."""
        ...

    def waters(self) -> dict[str, int]:
        """Return the best price that each trailing stop has seen now."""
        ...


def submitted(broker: Broker, intent: OrderIntent, now_ns: int) -> BrokerReport:
    """Send one order; no answer is UNKNOWN, because it may have arrived."""
    try:
        return broker.submit(intent, now_ns)
    except (OSError, BusError) as error:
        return _no_answer(intent.client_order_id, error)


def replaced(broker: Broker, intent: OrderIntent, now_ns: int) -> Sequence[BrokerReport]:
    """Put an order in the place of another; what the broker does not say about the new one is UNKNOWN.

    The old one stays pending until the broker says what became of it.
    """
    try:
        reports = broker.replace(intent, now_ns)
    except (OSError, BusError) as error:
        return (_no_answer(intent.client_order_id, error),)
    if all(report.client_order_id != intent.client_order_id for report in reports):
        pending = "the broker has not decided on the replacement yet; it is asked"
        return (*reports, BrokerReport(intent.client_order_id, "unknown", pending))
    return reports


def canceled(broker: Broker, order: Order, reason: str, now_ns: int) -> BrokerReport:
    """Cancel one order; no answer is UNKNOWN. The reason is ours, with the broker's words where it refuses."""
    client_order_id = order.intent.client_order_id
    try:
        answer = broker.cancel(client_order_id, now_ns)
    except (OSError, BusError):
        return BrokerReport(client_order_id, "unknown", f"{reason} (no answer to the cancel)")
    if answer.kind == "cancel_rejected" and answer.reason:
        reason = f"{reason} ({answer.reason})"
    return BrokerReport(client_order_id, answer.kind, reason, answer.fill)


def queried(broker: Broker, orders: Iterable[Order]) -> list[BrokerReport]:
    """Ask what became of the orders that wait for an answer."""
    return asked(broker, [order for order in orders if order.status in ASKED and order.sent])


def asked(broker: Broker, orders: Iterable[Order]) -> list[BrokerReport]:
    """Ask what became of these orders, whatever their status."""
    return [report for order in orders for report in _query(broker, order)]


def worked(broker: Broker, tick: Tick) -> list[BrokerReport]:
    """Return what the market did to the orders at an instant; nothing from a broker that does not answer."""
    try:
        return broker.work(tick)
    except (OSError, BusError):
        return []


def drained(broker: Broker) -> list[BrokerReport]:
    """Return what has come from the broker by itself; nothing from one that cannot be reached."""
    try:
        return broker.drain()
    except (OSError, BusError):
        return []


def _query(broker: Broker, order: Order) -> Sequence[BrokerReport]:
    try:
        reports = broker.query(order.intent.client_order_id)
    except (OSError, BusError):
        reports = ()
    if reports or order.status not in ("in_flight", "unknown"):
        return _present(order, reports)
    return (BrokerReport(order.intent.client_order_id, "unknown", _SILENT),)


def _present(order: Order, reports: Sequence[BrokerReport]) -> Sequence[BrokerReport]:
    """Return an answer without the acknowledgement that is known, where it goes on to say what came after it."""
    states = [report for report in reports if report.fill is None]
    if len(states) < 2 or all(event.kind != "accepted" for event in order.events):
        return reports
    return [report for report in reports if report.kind != "accepted" or report is states[-1]]


def _no_answer(client_order_id: str, error: Exception) -> BrokerReport:
    reason = f"no answer ({type(error).__name__}); the broker is asked about it, the order is not sent again"
    return BrokerReport(client_order_id, "unknown", reason)
