"""The gate process: the only signer. It judges intents by its own book, prices and clock, and believes no caller.

Not a strategy and not an account: it says no, or yes with a ticket. There is no way around it and no switch that makes
it lenient; what it cannot know, cannot write or cannot compute is a denial.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from bus.clock import NS, iso
from bus.errors import BusError, JournalError
from bus.messages import (
    AskCancel,
    CancelAll,
    GetLimits,
    GetRiskState,
    Kill,
    Message,
    Ok,
    OrderIntent,
    Ping,
    PreviewOrders,
    Resume,
    RiskAsk,
    RiskState,
    SettleBook,
    StageRequest,
    StageResult,
    Ticket,
    TicketedOrder,
    Verdict,
    Verdicts,
)
from bus.transport import Client, Directory, Transport
from risk._tool_questions import cancel_orders, limits_in_words
from risk.ceilings import CANCEL_LIFETIME_NS
from risk.checks import Case, Denial, judge
from risk.journal import GateJournal, Judged
from risk.limits import check_against_ceilings, version
from risk.reasons import APPROVED
from risk.sight import Sight
from risk.spec import GateSpec
from risk.tickets import Signer, cancel_all_digest, order_digest, publish_public_key, sign

__all__ = ["Gate", "build_gate"]

_MINUTE_NS = 60 * NS
_ASK_S = 5.0
_PASSING = frozenset({"wrong_client", "clock_mismatch", "order_id_not_derived", "order_id_reused"})
"""Denials that do not settle a client order id: whoever forges one must not be able to spend another's."""

_Content = tuple[str, str, str, int, int]


class Gate:
    """Judges one client's orders."""

    def __init__(self, spec: GateSpec, feed: Client, execution: Client) -> None:
        """Open the journal, make a key, publish its public half and rebuild what was approved.

        Args:
            spec: What to judge by.
            feed: Where prices come from.
            execution: Where fills come from.

        Raises:
            ConfigError: A limit is looser than a ceiling, or the journal is another run's.
            JournalError: The journal cannot be opened.
        """
        check_against_ceilings(spec.limits)
        self._spec = spec
        self._execution = execution
        self._version = version(spec.limits)
        identity = {"client": spec.client, "run_id": spec.run_id, "start_cash_nano": str(spec.start_cash_nano)}
        self._journal = GateJournal(Path(spec.database), identity)
        self._sight = Sight(feed, execution, self._journal, spec.limits, spec.start_cash_nano)
        self._known: dict[str, Judged] = {}
        self._times: deque[int] = deque()
        self._twins: dict[_Content, int] = {}
        self._approved = 0
        self._denied = 0
        for entry in self._journal.read():
            self._count(entry)
            self._remember(entry)
        self._killed = self._journal.killed()
        self._kill_written = bool(self._killed)
        self._cancel_pending = bool(self._killed)
        self._signer = Signer()
        publish_public_key(Path(spec.public_key_file), self._signer)

    # --- questions --------------------------------------------------------------------------------------------------

    def handle(self, request: Message) -> Message:
        """Answer one question.

        Raises:
            BusError: A question that is not for the gate, or the feed or execution did not answer.
            JournalError: What must be on disk first is not.
        """
        match request:
            case StageRequest(ask=RiskAsk(intents=intents)):
                return StageResult("risk", request.cycle, request.now_ns, self._judge_all(request, intents))
            case SettleBook(now_ns=now_ns):
                settled = self._sight.settle(now_ns, killed=bool(self._killed))
                self._cancel_all()
                return settled
            case GetRiskState():
                return self._state()
            case PreviewOrders():
                return StageResult("risk", request.cycle, max(self._sight.now_ns, 0), self._preview(request))
            case GetLimits():
                return limits_in_words(self._spec, self._version, self._sight, self._times)
            case AskCancel():
                return cancel_orders(request, self._spec, self._sight, self._signer, self._execution)
            case Kill(reason=reason, by=by):
                return self._kill(reason[:200], by[:80])
            case Resume(by=by):
                return self._resume(by[:80])
            case Ping():
                return Ok("risk")
            case _:
                raise BusError(
                    f"the gate does not answer {type(request).__name__}; it answers StageRequest with RiskAsk, "
                    "SettleBook, GetRiskState, PreviewOrders, GetLimits, AskCancel, Kill, Resume and Ping"
                )

    # --- judging ----------------------------------------------------------------------------------------------------

    def _judge_all(self, request: StageRequest, intents: tuple[OrderIntent, ...]) -> Verdicts:
        """Judge a batch: written as one, then answered; when it cannot be written, none of it happened."""
        trouble = self._trouble(request.client, request.run_id, request.now_ns)
        fresh: list[Judged] = []
        try:
            judged = [self._entry(intent, request.cycle, trouble, fresh) for intent in intents]
            if fresh:
                self._journal.write(fresh)
        except JournalError as error:
            return self._closed(intents, fresh, "journal_unavailable", str(error))
        except Exception as error:
            text = f"the gate failed on this batch ({type(error).__name__}); nothing of it passes, its log says why"
            return self._closed(intents, fresh, "check_failed", text)
        for entry in fresh:
            self._count(entry)
        approved = {entry.intent.client_order_id: entry for entry in judged if entry.ticket is not None}
        orders = tuple(
            TicketedOrder(entry.intent, self._signed(entry.ticket))
            for entry in approved.values()
            if entry.ticket is not None
        )
        return Verdicts(tuple(entry.verdict for entry in judged), orders)

    def _preview(self, request: PreviewOrders) -> Verdicts:
        """Return the verdicts a request would get, and leave no trace: not on disk, not in the book, not in a count."""
        trouble = self._trouble(request.client, request.run_id, None)
        fresh: list[Judged] = []
        twins = dict(self._twins)
        try:
            judged = [self._entry(intent, request.cycle, trouble, fresh) for intent in request.intents]
            told = tuple(
                self._verdict(entry.intent, APPROVED, "every check passes now; nothing is reserved and nothing sent")
                if entry.ticket is not None and entry in fresh
                else entry.verdict
                for entry in judged
            )
        except Exception as error:
            why = f"the gate failed on this batch ({type(error).__name__}); nothing of it would pass"
            told = tuple(self._verdict(intent, "check_failed", why) for intent in request.intents)
        finally:
            self._forget(fresh)
            self._twins = twins
        return Verdicts(told, ())

    def _trouble(self, client: str, run_id: str, now_ns: int | None) -> Denial | None:
        """Return why nothing of a request can be judged; with no time of its own, its intents' times are judged."""
        if client != self._spec.client or run_id != self._spec.run_id:
            return "wrong_client", f"this gate judges {self._spec.client!r} in its own run; ask that client's gate"
        try:
            self._sight.wake()
        except BusError as error:
            return "feed_unavailable", f"the gate could not learn prices or fills: {error}; ask again when it can"
        if (now_ns is not None and now_ns != self._sight.now_ns) or self._sight.now_ns < 0:
            at = iso(max(self._sight.now_ns, 0)) if self._sight.now_ns >= 0 else "before its first instant"
            return "clock_mismatch", f"the request's time is not the gate's, {at}; settle the book there, then ask"
        return None

    def _entry(self, intent: OrderIntent, cycle: int, trouble: Denial | None, fresh: list[Judged]) -> Judged:
        """Return the verdict on one intent: the one it had, or a new one, which is also added to ``fresh``."""
        digest = order_digest(intent)
        known = self._known.get(intent.client_order_id)
        same = known is not None and known.order_digest == digest and intent.cycle == cycle
        if known is not None and same and not (self._killed and known.verdict.approved):
            return known
        entry = None
        if known is not None and same:
            entry = self._denial(intent, digest, ("kill_switch", self._kill_text()), {})
        elif trouble is None:
            entry = self._fresh(intent, digest, cycle, known)
        else:
            entry = self._denial(intent, digest, trouble, {})
        fresh.append(entry)
        self._remember(entry)
        return entry

    def _fresh(self, intent: OrderIntent, digest: str, cycle: int, known: Judged | None) -> Judged:
        case = self._case(intent, cycle)
        denial = judge(case)
        if known is not None and (denial is None or denial[0] not in _PASSING):
            text = f"order id {intent.client_order_id} was used for another order; give a new intent an id of its own"
            denial = "order_id_reused", text
        inputs = self._inputs(case)
        if denial is not None:
            return self._denial(intent, digest, denial, inputs, final=denial[0] not in _PASSING)
        now_ns = self._sight.now_ns
        ticket = Ticket(
            ticket_id="",
            client=self._spec.client,
            order_digest=digest,
            limits_version=self._version,
            issued_ns=now_ns,
            expires_ns=now_ns + self._spec.limits.ticket_lifetime_ns,
            key_id="",
            signature=b"",
        )
        verdict = self._verdict(intent, APPROVED, "every check passed; the ticket says until when it can be sent")
        return Judged(intent, digest, verdict, ticket, case.priced_at_nano, inputs, final=True)

    def _case(self, intent: OrderIntent, cycle: int) -> Case:
        sight, times = self._sight, self._times
        while times and times[0] <= sight.now_ns - _MINUTE_NS:
            times.popleft()
        return Case(
            intent=intent,
            cycle=cycle,
            now_ns=sight.now_ns,
            client=self._spec.client,
            run_id=self._spec.run_id,
            currency=self._spec.currency,
            killed=self._killed,
            limits=self._spec.limits,
            book=sight.book,
            allowed=sight.allowed,
            instrument=sight.instruments.get(intent.symbol),
            price=sight.book.prices.get(intent.symbol),
            recent=len(times),
            twin_ns=self._twins.get(_content(intent), -1),
        )

    def _inputs(self, case: Case) -> dict[str, int | str]:
        """Return what the verdict was computed from, so that it can be computed again."""
        price, book, symbol = case.price, case.book, case.intent.symbol
        return {
            "cycle": case.cycle,
            "reference_nano": price.nano if price else 0,
            "reference_event_time_ns": price.event_time_ns if price else 0,
            "crossed": int(price.crossed) if price else 0,
            "position_nano": book.positions.get(symbol, 0),
            "working_buys_nano": book.working(symbol, "buy"),
            "working_sells_nano": book.working(symbol, "sell"),
            "gross_nano": book.gross_nano(),
            "equity_nano": book.equity_nano if book.equity_nano is not None else "unknown",
            "day_start_nano": book.day_start_nano,
            "halted": int(book.halted),
            "killed": case.killed,
            "recent_orders": case.recent,
            "open_orders": len(book.reserved),
            "twin_ns": case.twin_ns,
            "last_event_seq": self._sight.last_seq,
        }

    def _verdict(self, intent: OrderIntent, code: str, message: str) -> Verdict:
        return Verdict(
            intent.client_order_id, intent.symbol, code == APPROVED, code, message, self._version, self._sight.now_ns
        )

    def _denial(
        self, intent: OrderIntent, digest: str, denial: Denial, inputs: dict[str, int | str], *, final: bool = False
    ) -> Judged:
        return Judged(intent, digest, self._verdict(intent, *denial), None, 0, inputs, final)

    def _remember(self, entry: Judged) -> None:
        """Let a verdict count for the next one: reserved, and known by its id."""
        if not entry.final:
            return
        self._known[entry.intent.client_order_id] = entry
        if entry.ticket is not None:
            self._sight.book.reserve(entry.intent, entry.price_nano, entry.ticket.expires_ns)
            self._times.append(entry.verdict.now_ns)
            self._twins[_content(entry.intent)] = entry.verdict.now_ns

    def _count(self, entry: Judged) -> None:
        self._approved += int(entry.verdict.approved)
        self._denied += int(not entry.verdict.approved)

    def _closed(self, intents: tuple[OrderIntent, ...], fresh: list[Judged], code: str, why: str) -> Verdicts:
        """Take back what could not be written, and deny the whole batch."""
        self._forget(fresh)
        return Verdicts(tuple(self._verdict(intent, code, why) for intent in intents), ())

    def _forget(self, fresh: list[Judged]) -> None:
        """Take back what was remembered of entries that are not written."""
        for entry in fresh:
            if entry.final:
                del self._known[entry.intent.client_order_id]
            if entry.ticket is not None:
                self._sight.book.release(entry.intent.client_order_id)
                self._times.pop()
                # What else had this content was approved before the window, or this one had been a duplicate.
                self._twins.pop(_content(entry.intent), None)

    def _signed(self, ticket: Ticket) -> Ticket:
        return sign(
            self._signer,
            client=ticket.client,
            over=ticket.order_digest,
            subject=ticket.order_digest,
            limits_version=ticket.limits_version,
            issued_ns=ticket.issued_ns,
            lifetime_ns=ticket.expires_ns - ticket.issued_ns,
        )

    # --- the kill switch --------------------------------------------------------------------------------------------

    def _kill_text(self) -> str:
        return f"the kill switch is engaged ({self._killed}); a person clears it with `outcry resume`"

    def _kill(self, reason: str, by: str) -> RiskState:
        """Engage in memory, on disk, then at the broker; each is tried whatever became of the one before."""
        self._killed = self._killed or f"{reason}, by {by}"
        self._cancel_pending = True
        try:
            if not self._kill_written:
                self._journal.write_kill(engaged=True, reason=reason, by=by, now_ns=self._sight.now_ns)
                self._kill_written = True
        finally:
            self._cancel_all()
        return self._state()

    def _resume(self, by: str) -> RiskState:
        if self._kill_written:
            self._journal.write_kill(engaged=False, reason="resumed", by=by, now_ns=self._sight.now_ns)
        self._killed, self._kill_written = "", False
        self._cancel_pending = False
        return self._state()

    def _cancel_all(self) -> None:
        """Have everything that works canceled, where that is still owed; tried again at each instant until answered."""
        now_ns = self._sight.now_ns
        if not self._cancel_pending or now_ns < 0:
            return
        reason = "kill_switch"
        ticket = sign(
            self._signer,
            client=self._spec.client,
            over=cancel_all_digest(self._spec.client, now_ns, reason),
            subject=f"cancel_all:{now_ns}",
            limits_version=self._version,
            issued_ns=now_ns,
            lifetime_ns=CANCEL_LIFETIME_NS,
        )
        try:
            self._execution.call(CancelAll(now_ns, reason, ticket), _ASK_S)
        except BusError:
            return
        self._cancel_pending = False

    def _state(self) -> RiskState:
        last = self._sight.last
        return RiskState(
            killed=bool(self._killed),
            kill_reason=self._killed,
            now_ns=self._sight.now_ns,
            limits_version=self._version,
            approved=self._approved,
            denied=self._denied,
            equity_nano=last.equity_nano if last is not None else self._spec.start_cash_nano,
            gross_nano=last.gross_nano if last is not None else 0,
            key_id=self._signer.key_id,
        )

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()


def _content(intent: OrderIntent) -> _Content:
    return intent.symbol, intent.side, intent.order_type, intent.qty_nano, intent.limit_price_nano


def build_gate(spec: GateSpec, transport: Transport, directory: Directory) -> Gate:
    """Return the gate of a client, with its own ways to ask the feed and execution."""
    return Gate(spec, transport.client(directory["feed"]), transport.client(directory["execution"]))
