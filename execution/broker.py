"""The seam to whoever executes: a small protocol that the paper broker and every real one stand behind.

Not a place for retries: an answer that is not definite is ``unknown``, and is asked about, never sent again (law 6).
What an adapter must do is in ``tests/brokers`` (the conformance kit), which runs against each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

import msgspec

from bus.messages import Fill, OrderIntent, Side, Tick

__all__ = ["Broker", "BrokerReport", "KnownOrder", "Offered", "OpenOrder", "Held", "ReportKind", "Statement"]

ReportKind: TypeAlias = Literal[
    "unknown",
    "accepted",
    "held",
    "triggered",
    "suspended",
    "fill",
    "bust",
    "correct",
    "pending_cancel",
    "cancel_rejected",
    "pending_replace",
    "replaced",
    "replace_rejected",
    "done_for_day",
    "canceled",
    "expired",
    "rejected",
]


class Offered(msgspec.Struct, frozen=True):
    """What a broker takes, in the words of the messages; what is not named here is refused before the gate.

    Attributes:
        name: The broker.
        order_types: Such as ``market``.
        times_in_force: Such as ``day``.
        order_classes: ``simple`` is a lone order. Groups are worked by execution, with plain orders; a broker without
            room for two legs beside each other (a working sale locks the coins) does not name those with two.
        replaces: Whether a working order can be changed.
        shorts: Whether what is not held can be sold.
        own_account: Whether the broker keeps an account that ``statement`` tells of; the paper broker's is ours.
    """

    name: str
    order_types: tuple[str, ...]
    times_in_force: tuple[str, ...]
    order_classes: tuple[str, ...]
    replaces: bool
    shorts: bool
    own_account: bool = False


class BrokerReport(msgspec.Struct, frozen=True):
    """What a broker says about one order.

    Attributes:
        client_order_id: Ours; for an order that is not ours, see ``OpenOrder``.
        kind: What happened. ``cancel_rejected`` and ``replace_rejected`` mean that the order works on as it was.
        reason: The broker's words, for people; never a key or an account number.
        fill: With ``fill``, ``bust`` and ``correct``, and only then; its ``fill_id`` is the broker's own id of the
            execution, so that a repeated report is the same fill.
        time_ns: The broker's time of it, 0 where it gives none.
    """

    client_order_id: str
    kind: ReportKind
    reason: str = ""
    fill: Fill | None = None
    time_ns: int = 0


class KnownOrder(msgspec.Struct, frozen=True):
    """An order of the journal's that was sent and is not over, with its fills: what a broker is restored from."""

    intent: OrderIntent
    sent_ns: int
    acknowledged: bool
    fills: tuple[Fill, ...] = ()


class OpenOrder(msgspec.Struct, frozen=True):
    """An order that works at the broker, ours or not.

    Attributes:
        client_order_id: Ours when we sent it; otherwise derived from the broker's id, so that it is the same each time.
        broker_order_id: The broker's.
        price_nano: Its limit or stop, 0 for a market order.
    """

    client_order_id: str
    broker_order_id: str
    symbol: str
    side: Side
    qty_nano: int
    filled_nano: int
    price_nano: int


class Held(msgspec.Struct, frozen=True):
    """A position in the broker's books; ``qty_nano`` is signed, ``avg_price_nano`` is 0 where it keeps none."""

    symbol: str
    qty_nano: int
    avg_price_nano: int = 0


class Statement(msgspec.Struct, frozen=True):
    """The broker's own account at one time: what the four invariants compare ours with.

    Attributes:
        cash_nano: In the account currency; None where the broker does not tell.
        held: Every position that is not flat.
        orders: Every order that works.
        fills: Executions since a time that the broker chose (at least its day), ours and others', oldest first; those
            of orders that are not ours carry the derived client order id.
        seen_ns: The broker's time of it.
    """

    cash_nano: int | None
    held: tuple[Held, ...]
    orders: tuple[OpenOrder, ...]
    fills: tuple[Fill, ...]
    seen_ns: int


class Broker(Protocol):
    """Executes orders. Any method but ``close`` may raise ``OSError`` or ``BusError``: that means *unknown*.

    All methods are called from one thread. A real broker may listen on a thread of its own, which only fills a queue
    that ``drain`` empties.
    """

    def restore(self, orders: Iterable[KnownOrder], *, day_done: bool) -> None:
        """Take up the orders that were sent before a restart, oldest first. A real broker knows them already."""
        ...

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        """Send one order, under its client order id; the answer is ``accepted``, ``rejected`` or ``unknown``.

        A broker that cannot send now for certain (logged off, not connected yet) answers ``rejected`` with a reason
        that begins with ``not_sent``, and has sent nothing, not even into a queue.
        """
        ...

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        """Put ``intent`` in the place of the order ``intent.replaces``.

        The answer names both: the old one ``replaced`` and the new one ``accepted``; or the old one
        ``replace_rejected`` and the new one ``rejected``; or ``pending_replace`` and nothing yet of the new one; or the
        new one ``unknown``. Later reports settle what is pending.
        """
        ...

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        """Cancel one order; the answer is ``canceled``, ``pending_cancel``, ``cancel_rejected`` or ``unknown``."""
        ...

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Ask what became of an order: everything that is definite about it, oldest first, or nothing.

        ``rejected`` with the reason ``never_arrived`` only where the broker is certain that it never will arrive.
        """
        ...

    def work(self, tick: Tick) -> list[BrokerReport]:
        """Return what the market did to the orders at this instant, in order; a real broker needs no telling: []."""
        ...

    def drain(self) -> list[BrokerReport]:
        """Return what has come from the broker since the last time, in order, without waiting."""
        ...

    def statement(self) -> Statement | None:
        """Ask for the broker's own account; None where the account is ours (paper)."""
        ...

    def close(self) -> None:
        """Give back sockets and threads; orders go on working."""
        ...
