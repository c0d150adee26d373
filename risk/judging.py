"""A batch of intents becomes verdicts: each judged, all written as one, then answered with tickets. Or none of it.

Not where the controls are (``risk.checks``), and not where anything is asked of the feed or execution (``risk.sight``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from bus.clock import iso
from bus.errors import BusError, JournalError
from bus.messages import KillLine, OrderIntent, PreviewOrders, StageRequest, Ticket, TicketedOrder, Verdict, Verdicts
from risk.control import GATE, Control
from risk.inputs import Inputs, inputs_of
from risk.journal import GateJournal
from risk.kills import kill_text
from risk.reasons import APPROVED
from risk.records import CancelNote, Judged
from risk.seat import Seat
from risk.sight import Sight
from risk.spec import GateSpec
from risk.tickets import Signer, order_digest, sign
from risk.words import explained

__all__ = ["Judging"]

_PASSING = frozenset({"wrong_client", "clock_mismatch", "order_id_not_derived", "order_id_reused"})
"""Denials that do not settle a client order id: whoever forges one must not be able to spend another's."""

_REPEATED = "repeated_executions"
_Denial = tuple[str, str]


class Judging:
    """Gives verdicts, and remembers them.

    Attributes:
        approved: How many orders were approved in this run.
        denied: How many verdicts were denials.
    """

    def __init__(self, spec: GateSpec, journal: GateJournal, sight: Sight, control: Control, signer: Signer) -> None:
        """Learn every verdict of the journal.

        Raises:
            JournalError: It cannot be read.
        """
        self._spec = spec
        self._journal = journal
        self._sight = sight
        self._control = control
        self._signer = signer
        self._known: dict[str, Judged] = {}
        self.approved = 0
        self.denied = 0
        self._canceled_ns = sight.now_ns
        self._canceled = {note for note in journal.cancels() if note.now_ns == sight.now_ns}
        for entry in journal.read(inputs=False):
            self._count(entry)
            if entry.final:
                self._known[entry.intent.client_order_id] = entry

    def judge(self, request: StageRequest, intents: tuple[OrderIntent, ...], seat: Seat | None) -> Verdicts:
        """Judge a batch: written as one, then answered; when it cannot be written, none of it happened.

        Args:
            request: Whose, and of which cycle and instant.
            intents: What is wanted.
            seat: The client that the request names; None where the desk has none of that name.
        """
        fresh: list[Judged] = []
        engaged: list[KillLine] = []
        epoch = self._control.kills.epoch  # before what this batch may stop: that holds for its own orders too
        try:
            trouble = self._trouble(seat, request.run_id, request.now_ns)
            judged = [self._entry(intent, request.cycle, seat, trouble, fresh, engaged) for intent in intents]
            if fresh:
                self._journal.write(fresh, engaged)
                for line in engaged:
                    self._control.kills.wrote(line)
        except JournalError as error:
            return self._closed(intents, seat, fresh, "journal_unavailable", str(error))
        except Exception as error:
            text = f"the gate failed on this batch ({type(error).__name__}); nothing of it passes, its log says why"
            return self._closed(intents, seat, fresh, "check_failed", text)
        for entry in fresh:
            self._count(entry)
            if entry.final:  # its inputs are on disk: they are not needed again
                self._known[entry.intent.client_order_id] = msgspec.structs.replace(entry, inputs={})
        orders = self._signed(judged, epoch)
        self._control.owe_cancels(engaged, self._sight.now_ns)
        return Verdicts(tuple(entry.verdict for entry in judged), orders)

    def preview(self, request: PreviewOrders, seat: Seat | None) -> Verdicts:
        """Return the verdicts a request would get, and leave no trace: not on disk, not in the book, not in a count."""
        fresh: list[Judged] = []
        engaged: list[KillLine] = []
        copied = self._control.kills.copy()
        try:
            trouble = self._trouble(seat, request.run_id, None)
            judged = [self._entry(intent, request.cycle, seat, trouble, fresh, engaged) for intent in request.intents]
            told = tuple(
                self._verdict(
                    entry.intent, seat, APPROVED, "every check passes now; nothing is reserved and nothing sent"
                )
                if entry.ticket is not None and entry in fresh
                else entry.verdict
                for entry in judged
            )
        except Exception as error:
            why = f"the gate failed on this batch ({type(error).__name__}); nothing of it would pass"
            told = tuple(self._verdict(intent, seat, "check_failed", why) for intent in request.intents)
        finally:
            self._forget(fresh, seat)
            if engaged:
                self._control.disengage(engaged, copied)
        return Verdicts(told, ())

    def count_cancels(self, wanted: Sequence[str], seat: Seat) -> None:
        """Let cancels count among a client's messages, the same one of an instant once.

        Neither a feed that is silent nor a disk that is full hinders a cancel: it takes risk away.
        """
        now_ns = self._sight.now_ns
        if now_ns != self._canceled_ns:
            self._canceled_ns, self._canceled = now_ns, set()
        fresh = [note for note in (CancelNote(seat.name, key, now_ns) for key in wanted) if note not in self._canceled]
        with suppress(BusError):
            self._sight.wake()  # what is in the journal counts first; if that must wait, these wait in it
            for _ in fresh:
                seat.state.message("cancel", now_ns)
        self._canceled.update(fresh)
        with suppress(JournalError):
            self._journal.write_cancels(fresh)

    # --- one intent ---------------------------------------------------------------------------------------------------

    def _trouble(self, seat: Seat | None, run_id: str, now_ns: int | None) -> _Denial | None:
        """Return why nothing of a request can be judged; with no time of its own, its intents' times are judged."""
        if seat is None or run_id != self._spec.run_id:
            names = ", ".join(each.client for each in self._spec.clients)
            return "wrong_client", f"this gate judges {names}, in its own run; ask that client's gate"
        try:
            self._sight.wake()
        except BusError as error:
            return "feed_unavailable", f"the gate could not learn prices or fills: {error}; ask again when it can"
        known_ns = self._sight.now_ns
        if known_ns < 0 or (now_ns is not None and now_ns != known_ns):
            at = iso(known_ns) if known_ns >= 0 else "before its first instant"
            return "clock_mismatch", f"the request's time is not the gate's, {at}; settle the book there, then ask"
        return None

    def _entry(
        self,
        intent: OrderIntent,
        cycle: int,
        seat: Seat | None,
        trouble: _Denial | None,
        fresh: list[Judged],
        engaged: list[KillLine],
    ) -> Judged:
        """Return the verdict on one intent: the one it had, or a new one, which is also added to ``fresh``."""
        digest = order_digest(intent)
        known = self._known.get(intent.client_order_id)
        same = known is not None and known.order_digest == digest and intent.cycle == cycle
        stopped = self._control.kills.of(intent.client, intent.strategy)
        if known is not None and same:
            if stopped is None or stopped.state != "halted" or not known.verdict.approved:
                return known
            denial = "kill_switch", _stopped(stopped)
            entry = self._denial(intent, cycle, seat, digest, denial, {})
        elif seat is None or trouble is not None:
            denial = trouble or ("wrong_client", "this gate has no such client; ask that client's gate")
            entry = self._denial(intent, cycle, seat, digest, denial, {})
        else:
            entry = self._fresh(intent, digest, cycle, seat, known is not None, engaged)
        fresh.append(entry)
        self._remember(entry, seat)
        return entry

    def _fresh(
        self,
        intent: OrderIntent,
        digest: str,
        cycle: int,
        seat: Seat,
        reused: bool,
        engaged: list[KillLine],
    ) -> Judged:
        state = seat.state
        code = state.judge(intent, cycle)
        inputs = inputs_of(intent, cycle, state.facts)
        if reused and code not in _PASSING:
            text = f"order id {intent.client_order_id} was used for another order; give a new intent an id of its own"
            return self._denial(intent, cycle, seat, digest, ("order_id_reused", text), inputs)
        if code != APPROVED:
            stopped = self._control.kills.of(seat.name, intent.strategy) if code == "kill_switch" else None
            text = _stopped(stopped) if stopped is not None else explained(code, intent, state.facts)
            if code == _REPEATED:
                self._stop(seat, intent, engaged)
            return self._denial(intent, cycle, seat, digest, (code, text), inputs, final=code not in _PASSING)
        now_ns = self._sight.now_ns
        ticket = Ticket(
            ticket_id="",
            client=seat.name,
            order_digest=digest,
            limits_version=seat.version,
            issued_ns=now_ns,
            expires_ns=now_ns + seat.spec.limits.ticket_lifetime_ns,
            key_id="",
            signature=b"",
        )
        text = "every check passed; the ticket says until when it can be sent"
        verdict = self._verdict(intent, seat, APPROVED, text)
        return Judged(seat.name, cycle, intent, digest, verdict, ticket, state.priced_at(intent), inputs, final=True)

    def _stop(self, seat: Seat, intent: OrderIntent, engaged: list[KillLine]) -> None:
        """Stop a strategy that does the same again and again, until a person resumes it."""
        limits = seat.spec.limits
        reason = f"{limits.max_repeats:,} equal orders in {limits.repeat_window_ns // 10**9:,} s"
        line = KillLine(seat.name, intent.strategy, "halted", reason, GATE, self._sight.now_ns)
        wanted = self._control.engage(line)
        if wanted is not None:
            engaged.append(wanted)

    # --- what is remembered -------------------------------------------------------------------------------------------

    def _verdict(self, intent: OrderIntent, seat: Seat | None, code: str, message: str) -> Verdict:
        version = seat.version if seat is not None else ""
        return Verdict(
            intent.client_order_id, intent.symbol, code == APPROVED, code, message, version, self._sight.now_ns
        )

    def _denial(
        self,
        intent: OrderIntent,
        cycle: int,
        seat: Seat | None,
        digest: str,
        denial: _Denial,
        inputs: Inputs,
        *,
        final: bool = False,
    ) -> Judged:
        verdict = self._verdict(intent, seat, *denial)
        return Judged(seat.name if seat else "", cycle, intent, digest, verdict, None, 0, inputs, final)

    def _remember(self, entry: Judged, seat: Seat | None) -> None:
        """Let a verdict count for the next one: reserved, and known by its id."""
        if not entry.final:
            return
        if entry.ticket is not None and seat is not None:
            seat.state.approved(entry.intent, entry.price_nano, entry.verdict.now_ns, entry.ticket.expires_ns)
        self._known[entry.intent.client_order_id] = entry

    def _count(self, entry: Judged) -> None:
        self.approved += int(entry.verdict.approved)
        self.denied += int(not entry.verdict.approved)

    def _closed(
        self, intents: tuple[OrderIntent, ...], seat: Seat | None, fresh: list[Judged], code: str, why: str
    ) -> Verdicts:
        """Take back what could not be written, and deny the whole batch. A scope that was stopped stays so."""
        self._forget(fresh, seat)
        return Verdicts(tuple(self._verdict(intent, seat, code, why) for intent in intents), ())

    def _forget(self, fresh: list[Judged], seat: Seat | None) -> None:
        """Take back what was remembered of entries that are not written, the last one first."""
        for entry in reversed(fresh):
            if entry.final and self._known.get(entry.intent.client_order_id) is entry:
                del self._known[entry.intent.client_order_id]
                if entry.ticket is not None and seat is not None:
                    seat.state.withdraw(entry.intent)

    def _signed(self, judged: Sequence[Judged], epoch: int) -> tuple[TicketedOrder, ...]:
        approved = {entry.intent.client_order_id: entry for entry in judged if entry.ticket is not None}
        return tuple(
            TicketedOrder(
                entry.intent,
                sign(
                    self._signer,
                    client=ticket.client,
                    over=ticket.order_digest,
                    subject=ticket.order_digest,
                    limits_version=ticket.limits_version,
                    issued_ns=ticket.issued_ns,
                    lifetime_ns=ticket.expires_ns - ticket.issued_ns,
                    epoch=epoch,
                ),
            )
            for entry in approved.values()
            if (ticket := entry.ticket) is not None
        )


def _stopped(line: KillLine) -> str:
    return f"the kill switch is engaged ({kill_text(line)}); a person clears it with `outcry resume`"
