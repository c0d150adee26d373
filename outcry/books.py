"""The orders and the account of a client whose run has ended, read from its journal. Not a way to change either."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from bus.errors import JournalError, UsageError
from bus.messages import Account, GetOrders, Orders
from execution._tool_questions import orders_page
from execution.books import Books
from execution.journal import Journal
from execution.spec import GatewaySpec
from outcry.stages import read_spec

__all__ = ["EndedBooks", "ended_books"]


class EndedBooks:
    """What a journal says, at the last instant that it knows."""

    def __init__(self, spec: GatewaySpec, journal: Journal) -> None:
        """Read it.

        Raises:
            JournalError: It cannot be read.
        """
        self._spec = spec
        self._books = Books(spec, journal)
        self._now_ns = journal.clock().now_ns
        instruments = journal.instruments() or ()
        self._ledger = self._books.open_ledger({one.symbol: one for one in instruments})

    def orders(self, question: GetOrders) -> Orders:
        """Return a page of orders."""
        return orders_page(question, self._books.book, self._now_ns)

    def account(self) -> Account:
        """Return the account; nothing is marked but at its average cost."""
        return self._ledger.account(self._now_ns)


def ended_books(run_dir: Path, gateway: str) -> EndedBooks:
    """Return the books of a client of a run that has ended.

    Args:
        run_dir: The run's folder.
        gateway: The name of the client's gateway.

    Raises:
        UsageError: There is no journal.
        JournalError: It cannot be read.
    """
    spec = cast("GatewaySpec", read_spec(run_dir, gateway))
    path = Path(spec.database)
    if not path.is_file():
        path = run_dir / path.name  # the folder was moved
    if not path.is_file():
        raise UsageError(f"{run_dir} has no journal {path.name}; the run ended before its gateway began")
    identity = {"client": spec.client, "run_id": spec.run_id, "start_cash_nano": str(spec.start_cash_nano)}
    journal = Journal(path, identity)
    try:
        return EndedBooks(spec, journal)
    except KeyError as error:
        raise JournalError(f"{path} names what it does not hold ({error}); restore it from a copy") from error
    finally:
        journal.close()
