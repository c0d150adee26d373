"""What comparing takes and gives. Not how: see ``execution.reconcile``, which is where these are imported from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bus.messages import Difference, OrderEvent, OrderIntent, Origin
from execution.broker import BrokerReport, Held

__all__ = ["Adopted", "CashMove", "Outcome", "Ours"]


class Ours(msgspec.Struct, frozen=True):
    """What our journal and ledger say at one time.

    Attributes:
        client: Whose books.
        run_id: The run; orders that are adopted carry it.
        events: Every event of the journal, from the first.
        cash_nano: The ledger's cash.
        held: The ledger's positions; flat ones may be left out.
    """

    client: str
    run_id: str
    events: Sequence[OrderEvent]
    cash_nano: int
    held: tuple[Held, ...]


class Adopted(msgspec.Struct, frozen=True):
    """An order that our journal does not have and must take up before the reports about it.

    Attributes:
        intent: What it would have been had it been ours; its ``client_order_id`` is derived, never random.
        origin: ``external`` for another hand's at the broker, ``synthetic`` for one that nobody placed.
        price_nano: What it is worth a unit at most, for the gate's reservation; 0 where nothing tells.
    """

    intent: OrderIntent
    origin: Origin
    price_nano: int


class CashMove(msgspec.Struct, frozen=True):
    """One ``cash`` event. ``cash_id`` stands for the order id; ``time_ns`` must become the event's time.

    The first one of a journal is its opening, even when it moves nothing: what the broker tells of executions up to
    its time, by other hands, is in the opening already.
    """

    cash_id: str
    cash_nano: int
    time_ns: int
    reason: str


class Outcome(msgspec.Struct, frozen=True):
    """What to do, in this order, in one batch of the journal.

    Attributes:
        adopt: Orders to take up, without sending anything.
        reports: What to apply to orders, as if the broker had said it now; every order is ours or in ``adopt``.
        cash: Money that came or went without a trade.
        ask: Orders to ``query``, because the statement does not say what became of them; apply the answers.
        differences: Every one, in words, with what is done about it.
        halted: Empty, or why nothing may be sent until a person has looked.
        again: The statement and the journal were not of the same moment, or something is to be asked first: do the
            above, get a new statement and compare with ``last=True``.
    """

    adopt: tuple[Adopted, ...] = ()
    reports: tuple[BrokerReport, ...] = ()
    cash: tuple[CashMove, ...] = ()
    ask: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    halted: str = ""
    again: bool = False
