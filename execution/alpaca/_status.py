"""Alpaca's 18 order statuses and its update events in the words of the broker protocol: two tables.

Not a state machine: what may follow what is execution's to judge (``execution.states``).
"""

from __future__ import annotations

from execution.broker import ReportKind

__all__ = ["ENDED", "EVENTS", "FILLS", "STATUSES"]

STATUSES: dict[str, ReportKind] = {
    "accepted": "accepted",  # Alpaca has it, its venue not yet: it is there and it reserves
    "pending_new": "accepted",  # routed, not yet confirmed by the venue: the same to us
    "new": "accepted",
    "accepted_for_bidding": "accepted",
    "stopped": "accepted",  # a trade is guaranteed, but has not happened: it works on
    "partially_filled": "accepted",  # the fills are told by themselves, each with its id
    "filled": "accepted",  # likewise: an order is filled when its fills say so
    "held": "held",
    "pending_review": "suspended",  # not eligible for trading until somebody at Alpaca has looked
    "suspended": "suspended",
    "pending_cancel": "pending_cancel",
    "pending_replace": "pending_replace",
    "done_for_day": "done_for_day",
    "calculated": "done_for_day",  # done for the day, settlement figures to come
    "canceled": "canceled",
    "replaced": "replaced",
    "expired": "expired",
    "rejected": "rejected",
}

ENDED: frozenset[ReportKind] = frozenset({"canceled", "replaced", "expired", "rejected"})
"""After these an order does not work; a fill of before may still come."""

FILLS = frozenset({"fill", "partial_fill"})
"""The update events that carry an execution."""

EVENTS: dict[str, ReportKind] = {
    "order_cancel_rejected": "cancel_rejected",
    "order_replace_rejected": "replace_rejected",
    "trade_bust": "bust",
    "trade_correct": "correct",
}
"""The update events that say more than the status of the order that they carry."""
