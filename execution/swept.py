"""What was canceled all at once, and what that ends: orders before it get no legs, tickets before it open no door.

Not the canceling (``execution.gateway``), and no clock: an order is before a sweep by the number of its first event, a
ticket by its epoch, which the gate counts up with each kill and each resume.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bus.errors import TicketError
from bus.messages import Ticket
from execution.orders import Order

__all__ = ["EVERY", "Sweep", "Sweeps", "check_epoch", "goes_on", "swept"]

EVERY = ""
"""In place of a strategy: all of them."""


class Sweep(msgspec.Struct, frozen=True):
    """All of a strategy was canceled: what came before event ``seq``, and what a ticket below ``epoch`` allowed."""

    seq: int = 0
    epoch: int = 0


Sweeps = Mapping[str, Sweep]
"""The last sweep by strategy."""


def swept(before: Sweeps, strategy: str, seq: int, epoch: int) -> dict[str, Sweep]:
    """Return the sweeps with one more; one of every strategy stands for those of single ones before it.

    Args:
        before: Those so far.
        strategy: Whose orders were canceled; ``EVERY`` for all.
        seq: The first event that comes after it.
        epoch: The lowest that a ticket may carry from now on; lower than before changes nothing.
    """
    known = before.get(strategy, Sweep())
    now = Sweep(max(seq, known.seq), max(epoch, known.epoch))
    kept = {name: sweep for name, sweep in before.items() if strategy != EVERY or sweep.epoch > now.epoch}
    return {**kept, strategy: now}


def goes_on(sweeps: Sweeps, order: Order) -> bool:
    """Whether an order was never swept away, so that legs of it may be placed."""
    first = max(_of(sweeps, order.intent.strategy), key=lambda sweep: sweep.seq).seq
    return bool(order.events) and order.events[0].seq >= first


def check_epoch(sweeps: Sweeps, strategy: str, ticket: Ticket) -> None:
    """Refuse a ticket that was given before the orders of its strategy were canceled.

    Raises:
        TicketError: It was.
    """
    lowest = max(sweep.epoch for sweep in _of(sweeps, strategy))
    if ticket.epoch < lowest:
        raise TicketError(
            f"ticket {ticket.ticket_id} was given before everything was canceled (epoch {ticket.epoch:,}, now "
            f"{lowest:,}); ask the gate again. Where it gives no newer one its journal is behind: `outcry kill`, then "
            "`outcry resume`"
        )


def _of(sweeps: Sweeps, strategy: str) -> tuple[Sweep, Sweep]:
    return sweeps.get(EVERY, Sweep()), sweeps.get(strategy, Sweep())
