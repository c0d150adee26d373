"""Who gets in: orders whose ticket verifies, once. Not a judge of whether an order is wise: that was the gate.

The gate's key is read when it is first needed and again whenever a ticket names a key that is not known, because a
restarted gate makes a new one. Keys read before stay known for as long as this process lives, so that a ticket that an
earlier gate of this run signed is still honoured until it expires.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bus.errors import TicketError
from bus.messages import CancelAll, CancelOrder, ClearHalt, Ticket, TicketedOrder
from risk.tickets import (
    cancel_all_digest,
    cancel_digest,
    clear_halt_digest,
    order_digest,
    read_public_key,
    verify,
)

__all__ = ["Admission"]


class Admission:
    """Verifies tickets for one client and one run."""

    def __init__(self, client: str, run_id: str, public_key_file: Path, limits_version: str = "") -> None:
        """Know no key yet: the gate may start later.

        Args:
            client: Whose orders are let in.
            run_id: Of which run.
            public_key_file: Where the gate publishes its key.
            limits_version: The limits that orders must have been judged by; empty lets in those of any.
        """
        self._client = client
        self._run_id = run_id
        self._file = public_key_file
        self._limits_version = limits_version
        self._keys: dict[str, bytes] = {}

    def read_key(self) -> None:
        """Read the gate's first key if it is there, so that it stays known when the gate is restarted with another."""
        if not self._keys:
            with suppress(TicketError):
                self._read()

    def check_order(self, order: TicketedOrder, now_ns: int) -> None:
        """Verify an order's ticket.

        Args:
            order: The order and its ticket.
            now_ns: The gateway's own clock.

        Raises:
            TicketError: It does not verify; the order must not be sent.
        """
        intent = order.intent
        if intent.client != self._client or intent.run_id != self._run_id:
            raise TicketError(
                f"order {intent.client_order_id} is of client {intent.client!r}, run {intent.run_id!r}; "
                f"this gateway serves {self._client!r}, run {self._run_id!r}: send it to its own gateway"
            )
        self._verify(order.ticket, order_digest(intent), now_ns, self._limits_version)

    def check_clear(self, request: ClearHalt, now_ns: int) -> None:
        """Verify the ticket for letting the client trade again.

        Raises:
            TicketError: It does not verify; the client stays halted.
        """
        over = clear_halt_digest(self._client, request.now_ns, request.by)
        self._verify(request.ticket, over, now_ns, self._limits_version)

    def check_cancel(self, request: CancelAll, now_ns: int) -> None:
        """Verify the ticket of a cancel-all; whatever limits it was given under, it only ends what works.

        Raises:
            TicketError: It does not verify; nothing must be canceled.
        """
        over = cancel_all_digest(self._client, request.now_ns, request.reason, request.strategy)
        self._verify(request.ticket, over, now_ns)

    def check_cancel_order(self, request: CancelOrder, now_ns: int) -> None:
        """Verify the ticket of a cancel of one order.

        Raises:
            TicketError: It does not verify; nothing must be canceled.
        """
        over = cancel_digest(self._client, request.client_order_id, request.now_ns, request.reason)
        self._verify(request.ticket, over, now_ns)

    def _read(self) -> None:
        key_id, key = read_public_key(self._file)
        self._keys[key_id] = key

    def _verify(self, ticket: Ticket, over: str, now_ns: int, limits_version: str = "") -> None:
        if ticket.key_id not in self._keys:
            self._read()
        known = ticket.key_id if ticket.key_id in self._keys else next(iter(self._keys))
        verify(
            ticket,
            over=over,
            client=self._client,
            now_ns=now_ns,
            key_id=known,
            public_key=self._keys[known],
            limits_version=limits_version,
        )
