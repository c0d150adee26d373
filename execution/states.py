"""The life of an order as one table: (status, what happened) → status.

Not a queue and not a journal: pure functions. A pair that is not in the table is an alarm: whoever applies it records
it and keeps the status, for a person to look at; it is never a crash and never ignored.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

from bus.messages import OrderEventKind, OrderStatus

__all__ = ["FINAL", "KINDS", "STATUSES", "TABLE", "WORKING", "Step", "step"]

STATUSES: tuple[OrderStatus, ...] = get_args(OrderStatus)
KINDS: tuple[OrderEventKind, ...] = get_args(OrderEventKind)

WORKING: frozenset[OrderStatus] = frozenset({"in_flight", "unknown", "accepted", "partially_filled"})
"""Statuses of an order that may still trade; UNKNOWN is one of them (law 4)."""
FINAL: frozenset[OrderStatus] = frozenset({"filled", "canceled", "expired", "rejected"})
"""Statuses of an order that is over, as far as the venue has told."""

# fmt: off
TABLE: dict[tuple[OrderStatus, OrderEventKind], OrderStatus] = {
    ("intent", "sent"): "in_flight",
    # Whatever follows needs a "sent" in the journal first: an answer to an intent is an alarm (law 5).

    ("in_flight", "accepted"): "accepted",
    ("in_flight", "rejected"): "rejected",
    ("in_flight", "unknown"): "unknown",             # a timeout is not an answer: it is asked about, never sent again
    ("in_flight", "fill"): "partially_filled",       # the fill overtook the acknowledgement
    ("in_flight", "canceled"): "canceled",           # ioc: nothing to take, and no acknowledgement in between
    ("in_flight", "expired"): "expired",             # it reached the venue after the close

    ("unknown", "accepted"): "accepted",             # unknown → anything definite is what reconciling is for
    ("unknown", "rejected"): "rejected",
    ("unknown", "fill"): "partially_filled",
    ("unknown", "canceled"): "canceled",
    ("unknown", "expired"): "expired",
    ("unknown", "unknown"): "unknown",               # asked again, and still no answer

    ("accepted", "accepted"): "accepted",            # a venue repeats itself after a reconnect
    ("accepted", "rejected"): "rejected",            # accepted by the broker, then refused by the exchange
    ("accepted", "unknown"): "unknown",              # a cancel was not answered: it may work or be gone
    ("accepted", "fill"): "partially_filled",
    ("accepted", "canceled"): "canceled",
    ("accepted", "expired"): "expired",

    ("partially_filled", "accepted"): "partially_filled",  # the acknowledgement came after the first fill
    ("partially_filled", "unknown"): "unknown",      # a cancel was not answered
    ("partially_filled", "fill"): "partially_filled",
    ("partially_filled", "canceled"): "canceled",    # ioc remainder, or a cancel
    ("partially_filled", "expired"): "expired",

    ("filled", "accepted"): "filled",                # the acknowledgement came last
    ("filled", "canceled"): "filled",                # the cancel lost the race and the venue says "nothing left"

    ("canceled", "fill"): "canceled",                # the fill won the race against the cancel: the money is real
    ("canceled", "accepted"): "canceled",            # a late acknowledgement
    ("canceled", "canceled"): "canceled",            # a repeated cancel
    ("canceled", "expired"): "canceled",             # the venue's end-of-day sweep names dead orders too

    ("expired", "fill"): "expired",                  # a fill of the closing auction, reported late
    ("expired", "accepted"): "expired",              # a late acknowledgement
    ("expired", "canceled"): "expired",              # some venues cancel what others expire
    ("expired", "expired"): "expired",               # a repeated sweep

    ("rejected", "rejected"): "rejected",            # a venue repeats itself after a reconnect
}
# fmt: on
"""What each event leads to. A fill that completes the quantity leads to ``filled`` instead, and an acknowledgement of
an order with a fill to ``partially_filled`` (it was UNKNOWN in between)."""


class Step(NamedTuple):
    """The status after an event, and whether the event was legal."""

    status: OrderStatus
    legal: bool


def step(status: OrderStatus, kind: OrderEventKind, *, started: bool = False, complete: bool = False) -> Step:
    """Return the status after an event.

    Args:
        status: The status before.
        kind: What happened.
        started: Whether something of the order is filled already.
        complete: Whether a fill leaves nothing of the order's quantity.

    Returns:
        The new status, or the old one with ``legal=False`` when the table has no such row.
    """
    after = TABLE.get((status, kind))
    if after is None:
        return Step(status, legal=False)
    if kind == "fill" and complete:
        after = "filled"
    elif after == "accepted" and started:
        after = "partially_filled"
    return Step(after, legal=True)
