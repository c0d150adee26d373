"""The life of an order as one table: (status, what happened) → status.

Not a queue and not a journal: pure functions. A pair that is not in the table is an alarm: whoever applies it records
it and keeps the status, for a person to look at; it is never a crash and never ignored.

An order of somebody else's (``external``) or of reconciling's own (``synthetic``) starts ``in_flight``: it was sent,
though not by us. ``cash`` is of no order, so it is in no row.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

from bus.messages import OrderEventKind, OrderStatus, Origin

__all__ = ["ASKED", "FINAL", "KINDS", "STATUSES", "TABLE", "WORKING", "Step", "first_status", "step"]

STATUSES: tuple[OrderStatus, ...] = get_args(OrderStatus)
KINDS: tuple[OrderEventKind, ...] = get_args(OrderEventKind)

WORKING: frozenset[OrderStatus] = frozenset(
    {
        "in_flight",
        "unknown",
        "accepted",
        "held",
        "triggered",
        "suspended",
        "partially_filled",
        "pending_cancel",
        "pending_replace",
        "done_for_day",
    }
)
"""Statuses of an order that may still trade; UNKNOWN is one of them (law 4), and so is what waits for tomorrow."""
FINAL: frozenset[OrderStatus] = frozenset({"filled", "canceled", "replaced", "expired", "rejected"})
"""Statuses of an order that is over, as far as the venue has told; its late fills and their busts still count."""
ASKED: frozenset[OrderStatus] = frozenset({"in_flight", "unknown", "pending_cancel", "pending_replace"})
"""Statuses that wait for an answer: the broker is asked until it has given a definite one."""

# fmt: off
TABLE: dict[tuple[OrderStatus, OrderEventKind], OrderStatus] = {
    # Ours: nothing happens to it before its sending is journaled (law 5), or its being held here.
    ("intent", "sent"): "in_flight",
    ("intent", "held"): "held",                       # the broker has no such type: execution waits for its price

    ("in_flight", "accepted"): "accepted",
    ("in_flight", "held"): "held",                    # parked at the broker: its session or its trigger is not there
    ("in_flight", "triggered"): "triggered",          # a stop that was through its price when it arrived
    ("in_flight", "suspended"): "suspended",          # taken in a trading halt
    ("in_flight", "rejected"): "rejected",
    ("in_flight", "unknown"): "unknown",              # a timeout is not an answer: it is asked about, never sent again
    ("in_flight", "fill"): "partially_filled",        # the fill overtook the acknowledgement
    ("in_flight", "pending_cancel"): "pending_cancel",  # the cancel was acknowledged before the order
    ("in_flight", "cancel_rejected"): "in_flight",    # the cancel overtook the order: its own answer is still due
    ("in_flight", "done_for_day"): "done_for_day",    # it reached the venue after the close
    ("in_flight", "canceled"): "canceled",            # ioc, fok: nothing to take, and no acknowledgement in between
    ("in_flight", "expired"): "expired",              # it reached the venue after the close

    # Unknown → anything definite is what asking is for.
    ("unknown", "accepted"): "accepted",
    ("unknown", "held"): "held",
    ("unknown", "triggered"): "triggered",
    ("unknown", "suspended"): "suspended",
    ("unknown", "rejected"): "rejected",
    ("unknown", "fill"): "unknown",                   # it arrived; whether a cancel did too is not known from a fill
    ("unknown", "bust"): "unknown",
    ("unknown", "correct"): "unknown",
    ("unknown", "pending_cancel"): "pending_cancel",
    ("unknown", "cancel_rejected"): "accepted",       # it works on
    ("unknown", "pending_replace"): "pending_replace",
    ("unknown", "replaced"): "replaced",
    ("unknown", "replace_rejected"): "accepted",      # it works on as it was
    ("unknown", "done_for_day"): "done_for_day",
    ("unknown", "canceled"): "canceled",
    ("unknown", "expired"): "expired",
    ("unknown", "unknown"): "unknown",                # asked again, and still no answer

    ("accepted", "accepted"): "accepted",             # a venue repeats itself after a reconnect
    ("accepted", "held"): "held",
    ("accepted", "triggered"): "triggered",
    ("accepted", "suspended"): "suspended",
    ("accepted", "rejected"): "rejected",             # accepted by the broker, then refused by the exchange
    ("accepted", "unknown"): "unknown",               # a cancel was not answered: it may work or be gone
    ("accepted", "fill"): "partially_filled",
    ("accepted", "pending_cancel"): "pending_cancel",
    ("accepted", "cancel_rejected"): "accepted",      # refused without having been pending
    ("accepted", "pending_replace"): "pending_replace",
    ("accepted", "replaced"): "replaced",             # changed at the broker's own site, or never pending
    ("accepted", "replace_rejected"): "accepted",
    ("accepted", "done_for_day"): "done_for_day",
    ("accepted", "canceled"): "canceled",
    ("accepted", "expired"): "expired",

    ("held", "accepted"): "accepted",                 # released to the exchange
    ("held", "held"): "held",
    ("held", "triggered"): "triggered",
    ("held", "suspended"): "suspended",
    ("held", "rejected"): "rejected",                 # the margin was gone when it was released
    ("held", "unknown"): "unknown",
    ("held", "fill"): "partially_filled",             # triggered and filled in one report
    ("held", "pending_cancel"): "pending_cancel",
    ("held", "cancel_rejected"): "held",
    ("held", "pending_replace"): "pending_replace",
    ("held", "replaced"): "replaced",
    ("held", "replace_rejected"): "held",
    ("held", "done_for_day"): "done_for_day",
    ("held", "canceled"): "canceled",
    ("held", "expired"): "expired",

    ("triggered", "sent"): "in_flight",               # held here until now: it goes to the broker for the first time
    ("triggered", "accepted"): "accepted",            # what the stop became was acknowledged
    ("triggered", "triggered"): "triggered",
    ("triggered", "suspended"): "suspended",
    ("triggered", "rejected"): "rejected",            # the order that the stop became was refused
    ("triggered", "unknown"): "unknown",
    ("triggered", "fill"): "partially_filled",
    ("triggered", "pending_cancel"): "pending_cancel",
    ("triggered", "cancel_rejected"): "triggered",
    ("triggered", "pending_replace"): "pending_replace",
    ("triggered", "replaced"): "replaced",
    ("triggered", "replace_rejected"): "triggered",
    ("triggered", "done_for_day"): "done_for_day",
    ("triggered", "canceled"): "canceled",
    ("triggered", "expired"): "expired",

    ("suspended", "accepted"): "accepted",            # reinstated after the halt
    ("suspended", "held"): "held",
    ("suspended", "triggered"): "triggered",
    ("suspended", "suspended"): "suspended",
    ("suspended", "rejected"): "rejected",
    ("suspended", "unknown"): "unknown",
    ("suspended", "fill"): "suspended",               # a fill of before the halt, reported late
    ("suspended", "bust"): "suspended",               # halts are when trades are busted
    ("suspended", "correct"): "suspended",
    ("suspended", "pending_cancel"): "pending_cancel",
    ("suspended", "cancel_rejected"): "suspended",    # no cancels in a halt
    ("suspended", "pending_replace"): "pending_replace",
    ("suspended", "replaced"): "replaced",
    ("suspended", "replace_rejected"): "suspended",
    ("suspended", "done_for_day"): "done_for_day",
    ("suspended", "canceled"): "canceled",
    ("suspended", "expired"): "expired",

    ("partially_filled", "accepted"): "partially_filled",  # the acknowledgement came after the first fill
    ("partially_filled", "triggered"): "partially_filled",  # the trigger came after its fill
    ("partially_filled", "suspended"): "suspended",
    ("partially_filled", "unknown"): "unknown",       # a cancel was not answered
    ("partially_filled", "fill"): "partially_filled",
    ("partially_filled", "bust"): "accepted",         # what is left of the fills decides: see `step`
    ("partially_filled", "correct"): "accepted",
    ("partially_filled", "pending_cancel"): "pending_cancel",
    ("partially_filled", "cancel_rejected"): "partially_filled",
    ("partially_filled", "pending_replace"): "pending_replace",
    ("partially_filled", "replaced"): "replaced",
    ("partially_filled", "replace_rejected"): "partially_filled",
    ("partially_filled", "done_for_day"): "done_for_day",
    ("partially_filled", "canceled"): "canceled",     # ioc remainder, or a cancel
    ("partially_filled", "expired"): "expired",

    ("pending_cancel", "accepted"): "accepted",       # the cancel was refused, or the acknowledgement was late
    ("pending_cancel", "triggered"): "pending_cancel",
    ("pending_cancel", "suspended"): "suspended",
    ("pending_cancel", "rejected"): "rejected",       # refused by the exchange while the cancel was on its way
    ("pending_cancel", "unknown"): "unknown",
    ("pending_cancel", "fill"): "pending_cancel",     # filled in part while the cancel was on its way
    ("pending_cancel", "bust"): "pending_cancel",
    ("pending_cancel", "correct"): "pending_cancel",
    ("pending_cancel", "pending_cancel"): "pending_cancel",
    ("pending_cancel", "cancel_rejected"): "accepted",
    ("pending_cancel", "pending_replace"): "pending_replace",  # the venue took up an earlier replacement first
    ("pending_cancel", "replaced"): "replaced",       # the replacement won against the cancel
    ("pending_cancel", "replace_rejected"): "pending_cancel",  # the replacement lost against the cancel
    ("pending_cancel", "done_for_day"): "done_for_day",
    ("pending_cancel", "canceled"): "canceled",
    ("pending_cancel", "expired"): "expired",

    ("pending_replace", "accepted"): "accepted",      # it works as it was; its replacement has an answer of its own
    ("pending_replace", "triggered"): "pending_replace",
    ("pending_replace", "suspended"): "suspended",
    ("pending_replace", "rejected"): "rejected",
    ("pending_replace", "unknown"): "unknown",
    ("pending_replace", "fill"): "pending_replace",   # filled in part while the replacement was on its way
    ("pending_replace", "bust"): "pending_replace",
    ("pending_replace", "correct"): "pending_replace",
    ("pending_replace", "pending_cancel"): "pending_cancel",  # canceled before the replacement was decided
    ("pending_replace", "cancel_rejected"): "pending_replace",
    ("pending_replace", "pending_replace"): "pending_replace",
    ("pending_replace", "replaced"): "replaced",
    ("pending_replace", "replace_rejected"): "accepted",
    ("pending_replace", "done_for_day"): "done_for_day",
    ("pending_replace", "canceled"): "canceled",
    ("pending_replace", "expired"): "expired",

    ("done_for_day", "accepted"): "accepted",         # restated: the next day of a gtc order
    ("done_for_day", "held"): "held",
    ("done_for_day", "triggered"): "triggered",
    ("done_for_day", "suspended"): "suspended",
    ("done_for_day", "rejected"): "rejected",         # not renewed the next morning
    ("done_for_day", "unknown"): "unknown",
    ("done_for_day", "fill"): "done_for_day",         # the last fill of the day, reported after the sweep
    ("done_for_day", "bust"): "done_for_day",
    ("done_for_day", "correct"): "done_for_day",
    ("done_for_day", "pending_cancel"): "pending_cancel",
    ("done_for_day", "cancel_rejected"): "done_for_day",
    ("done_for_day", "pending_replace"): "pending_replace",
    ("done_for_day", "replaced"): "replaced",
    ("done_for_day", "replace_rejected"): "done_for_day",
    ("done_for_day", "done_for_day"): "done_for_day",
    ("done_for_day", "canceled"): "canceled",
    ("done_for_day", "expired"): "expired",

    # Over. What comes late about an order's time before is no alarm; what says that it works again is one.
    ("filled", "accepted"): "filled",                 # the acknowledgement came last
    ("filled", "triggered"): "filled",
    ("filled", "bust"): "accepted",                   # the venue may work the rest again: it is reserved until it says
    ("filled", "correct"): "accepted",
    ("filled", "pending_cancel"): "filled",           # the cancel lost the race
    ("filled", "cancel_rejected"): "filled",          # "too late to cancel"
    ("filled", "pending_replace"): "filled",
    ("filled", "replaced"): "filled",                 # replaced after its last fill: the rest is the new order's
    ("filled", "replace_rejected"): "filled",         # "too late to replace"
    ("filled", "done_for_day"): "filled",             # the venue's end-of-day sweep names dead orders too
    ("filled", "canceled"): "filled",                 # the cancel lost the race and the venue says "nothing left"
    ("filled", "expired"): "filled",

    ("canceled", "accepted"): "canceled",             # a late acknowledgement
    ("canceled", "triggered"): "canceled",
    ("canceled", "suspended"): "canceled",
    ("canceled", "fill"): "canceled",                 # the fill won the race against the cancel: the money is real
    ("canceled", "bust"): "canceled",                 # a canceled order's trade is undone; the order stays canceled
    ("canceled", "correct"): "canceled",
    ("canceled", "pending_cancel"): "canceled",       # reported after what it was pending for
    ("canceled", "cancel_rejected"): "canceled",      # a second cancel found nothing
    ("canceled", "pending_replace"): "canceled",
    ("canceled", "replaced"): "canceled",             # a venue that replaces by canceling says both
    ("canceled", "replace_rejected"): "canceled",
    ("canceled", "done_for_day"): "canceled",
    ("canceled", "canceled"): "canceled",             # a repeated cancel
    ("canceled", "expired"): "canceled",              # the venue's end-of-day sweep names dead orders too

    ("replaced", "accepted"): "replaced",
    ("replaced", "triggered"): "replaced",
    ("replaced", "suspended"): "replaced",
    ("replaced", "fill"): "replaced",                 # filled before the replacement, reported after
    ("replaced", "bust"): "replaced",
    ("replaced", "correct"): "replaced",
    ("replaced", "pending_cancel"): "replaced",
    ("replaced", "cancel_rejected"): "replaced",      # the cancel named the order by its old id
    ("replaced", "pending_replace"): "replaced",
    ("replaced", "replaced"): "replaced",
    ("replaced", "done_for_day"): "replaced",
    ("replaced", "canceled"): "replaced",             # a venue that replaces by canceling says both
    ("replaced", "expired"): "replaced",

    ("expired", "accepted"): "expired",               # a late acknowledgement
    ("expired", "triggered"): "expired",
    ("expired", "suspended"): "expired",
    ("expired", "fill"): "expired",                   # a fill of the closing auction, reported late
    ("expired", "bust"): "expired",
    ("expired", "correct"): "expired",
    ("expired", "pending_cancel"): "expired",
    ("expired", "cancel_rejected"): "expired",
    ("expired", "pending_replace"): "expired",
    ("expired", "replace_rejected"): "expired",
    ("expired", "done_for_day"): "expired",
    ("expired", "canceled"): "expired",               # some venues cancel what others expire
    ("expired", "expired"): "expired",                # a repeated sweep

    ("rejected", "rejected"): "rejected",             # a venue repeats itself after a reconnect
    ("rejected", "cancel_rejected"): "rejected",      # there was nothing to cancel
    ("rejected", "replace_rejected"): "rejected",
    ("rejected", "bust"): "rejected",                 # the fill that should not have been (an alarm) is taken back
    ("rejected", "correct"): "rejected",
}
# fmt: on
"""What each event leads to when nothing of the order is filled after it. With something filled, ``accepted`` becomes
``partially_filled``; a fill (or a correction of what still works) that completes the quantity leads to ``filled``."""


class Step(NamedTuple):
    """The status after an event, and whether the event was legal."""

    status: OrderStatus
    legal: bool


def first_status(origin: Origin) -> OrderStatus:
    """Return the status of an order before its first event: ours are intents, others' were sent already."""
    return "intent" if origin in ("desk", "leg") else "in_flight"


def step(status: OrderStatus, kind: OrderEventKind, *, started: bool = False, complete: bool = False) -> Step:
    """Return the status after an event.

    Args:
        status: The status before.
        kind: What happened.
        started: Whether something of the order is filled after the event.
        complete: Whether nothing of the order's quantity is left after the event.

    Returns:
        The new status, or the old one with ``legal=False`` when the table has no such row.
    """
    after = TABLE.get((status, kind))
    if after is None:
        return Step(status, legal=False)
    if complete and (kind == "fill" or (kind == "correct" and after not in FINAL)):
        after = "filled"
    elif started and after == "accepted":
        after = "partially_filled"
    return Step(after, legal=True)
