"""A venue under a test's control, and the ways in which it can misbehave. Not a broker: adapters talk *to* it.

Each adapter's author writes one (``tests/brokers/NAME_venue.py``) that speaks the real protocol on loopback.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Mapping
from typing import Protocol

from bus.clock import wall_ns
from bus.messages import Instrument, Side
from execution.broker import Broker, BrokerReport, Offered

__all__ = ["CannotMisbehaveError", "Mishap", "Venue"]


class Mishap(enum.Enum):
    """What can go wrong between an adapter and its venue. Each is armed for the next time that it can happen, once."""

    LOSE_ANSWER = "the next order arrives and is taken, but its answer is lost"
    LOSE_REQUEST = "the next order is lost on its way and never arrives"
    ERROR_500 = "the next order is answered with a failure of the server's; whether it was taken is the venue's choice"
    GARBAGE_ANSWER = "the next order is taken and answered with bytes that mean nothing"
    DUPLICATE_EVENTS = "the event of the next fill is sent twice"
    REORDER_EVENTS = "the events of the next two fills are sent in the opposite order"
    FILL_BEFORE_ACK = "the next order is filled whole, and the fill is told before the order is acknowledged"
    REJECT_CANCEL = "the next cancel is refused and the order works on"
    DISCONNECT_MID_ORDER = "the connection breaks when the next order has arrived and before it is answered"
    RESTART_VENUE = "the venue breaks every connection now and comes back with its books intact"
    LATE_FILL_AFTER_CANCEL = "the next cancel is confirmed, and the order can be filled all the same afterwards"


class CannotMisbehaveError(Exception):
    """A mishap that this venue's protocol cannot produce; it is named in ``Venue.cannot`` with the reason."""


class Venue(Protocol):
    """A loopback venue with one account. Subclass it; what has a body here need not be written again.

    It fills nothing by itself: only ``fill`` does, and ``FILL_BEFORE_ACK``.

    Attributes:
        offers: What the adapter says that it takes.
        instruments: What is listed, by symbol.
        cannot: The mishaps that cannot happen with this protocol, each with a sentence that says why.
        symbol: The instrument that the kit trades.
        qty_nano: A quantity of it that the venue takes, as does it half and a quarter of it.
        bid_nano: Where the kit sets the price of it to begin with; ``ask_nano`` is above it.
        moved: Set by the venue whenever it has sent something, so that waiting is not sleeping.
    """

    offers: Offered
    instruments: dict[str, Instrument]
    cannot: Mapping[Mishap, str]
    symbol: str
    qty_nano: int
    bid_nano: int
    ask_nano: int
    moved: threading.Event

    def now_ns(self) -> int:
        """Return the time at the venue."""
        return wall_ns()

    def open(self) -> Broker:
        """Return a fresh adapter on the same account, connected and ready to send: what a restart makes."""
        ...

    def hear(self, broker: Broker) -> list[BrokerReport]:
        """Return what has come from the venue. Paper overrides this: it has no socket, the market is handed to it."""
        return broker.drain()

    def price(self, symbol: str, bid_nano: int, ask_nano: int) -> None:
        """Set the best bid and ask."""
        ...

    def fill(self, client_order_id: str, qty_nano: int, price_nano: int) -> None:
        """Fill so much of an order at that price, and tell it as the protocol does."""
        ...

    def orders(self) -> dict[str, int]:
        """Return the quantity of every order taken, by client order id. One that was taken twice counts twice."""
        ...

    def working(self) -> dict[str, int]:
        """Return the quantity that is left of every order that works now, by client order id (of ours only)."""
        ...

    def place_by_hand(self, symbol: str, side: Side, qty_nano: int, price_nano: int) -> str:
        """Place a limit order that this software knows nothing of; return the broker's order id."""
        ...

    def misbehave(self, mishap: Mishap) -> None:
        """Arm a mishap, or do it now.

        Raises:
            CannotMisbehaveError: It is one of ``cannot``.
        """
        ...

    def happened(self, mishap: Mishap) -> int:
        """Return how often a mishap has come to pass, so that a test knows that it saw one."""
        ...

    def close(self) -> None:
        """Stop, and give everything back."""
        ...
