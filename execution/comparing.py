"""Comparing with the broker, carried out: gets its statement, writes what can be taken in, halts on what cannot.

Not the judgement: that is ``execution.reconcile``, a pure function.
"""

from __future__ import annotations

from bus.errors import BusError
from bus.messages import Instrument, Reconciliation
from execution import asking
from execution.books import Books
from execution.broker import Broker, Held, Offered, Statement
from execution.ledger import Ledger
from execution.reconcile import Difference, Ours, Outcome, compare
from execution.spec import GatewaySpec

__all__ = ["reconciled"]


def reconciled(
    spec: GatewaySpec,
    books: Books,
    broker: Broker,
    offered: Offered,
    instruments: dict[str, Instrument],
    ledger: Ledger,
    consent: str = "",
) -> Reconciliation | None:
    """Compare the books with the broker's own account and take in what it can prove.

    Args:
        spec: Whose.
        books: Ours.
        broker: The other side.
        offered: Whether it keeps an account at all.
        instruments: What can be traded.
        ledger: Our money.
        consent: Who wants the broker's figures taken over where they differ; empty when nobody does.

    Returns:
        What it came to; None when the broker did not tell.

    Raises:
        JournalError: What was found cannot be written: it is found again.
    """
    now_ns = books.clock.now_ns
    if not offered.own_account:
        return Reconciliation(now_ns, offered.name, len(books.book.working), len(ledger.holdings), (), books.halted)
    differences: list[Difference] = []
    for last in (False, True):
        books.commit(asking.drained(broker), now_ns, unasked=True)
        statement = _statement(broker)
        if statement is None:
            return None
        held = tuple(
            Held(symbol, holding.qty_nano, holding.avg_price_nano)
            for symbol, holding in sorted(ledger.holdings.items())
            if holding.qty_nano
        )
        ours = Ours(spec.client, spec.run_id, books.book.events, ledger.cash_nano, held)
        outcome = compare(ours, statement, instruments, last=last, consent=consent)
        differences += [found for found in outcome.differences if found not in differences]
        _take_in(books, outcome, now_ns)
        asked = [books.book.orders[name] for name in outcome.ask if name in books.book.orders]
        books.commit(asking.asked(broker, asked), now_ns, unasked=True)
        if not outcome.again:
            break
    return Reconciliation(
        now_ns=now_ns,
        broker=offered.name,
        orders=len(statement.orders),
        positions=len(statement.held),
        differences=tuple(differences),
        halted=books.halted,
    )


def _statement(broker: Broker) -> Statement | None:
    try:
        return broker.statement()
    except (OSError, BusError):
        return None


def _take_in(books: Books, outcome: Outcome, now_ns: int) -> None:
    """Write what was found, in one batch; nothing when nothing was."""
    if not (outcome.adopt or outcome.reports or outcome.cash or outcome.halted not in ("", books.halted)):
        return
    with books.durable(unasked=True):
        for adopted in outcome.adopt:
            books.add(adopted.intent, now_ns, None, adopted.origin, "", adopted.price_nano)
        books.take(outcome.reports, now_ns)
        for move in outcome.cash:
            books.cash(move.cash_id, move.cash_nano, move.time_ns, move.reason)
        if outcome.halted:
            books.halt(outcome.halted)
