"""The gate process: the only signer. It judges intents by its own book, prices and clock, and believes no caller.

Not a strategy and not an account: it says no, or yes with a ticket. There is no way around it and no switch that makes
it lenient; what it cannot know, cannot write or cannot compute is a denial.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from bus.clock import NS
from bus.errors import BusError, LookAheadError, OutcryError, RemoteError
from bus.messages import (
    BookSettled,
    CancelAll,
    DayInfo,
    DescribeDay,
    EventsSince,
    GetRiskState,
    Instrument,
    Kill,
    Message,
    Ok,
    OrderEvents,
    OrderIntent,
    Ping,
    QuerySnapshot,
    Resume,
    RiskAsk,
    RiskState,
    SettleBook,
    Snapshot,
    StageRequest,
    StageResult,
    Ticket,
    TicketedOrder,
    Verdict,
    Verdicts,
)
from bus.transport import Client, Directory, Transport
from risk.book import Book
from risk.checks import Case, judge
from risk.journal import GateJournal, Judged
from risk.limits import check_against_ceilings, version
from risk.reasons import APPROVED
from risk.spec import GateSpec
from risk.tickets import Signer, cancel_all_digest, order_digest, publish_public_key, sign

__all__ = ["Gate", "build_gate"]

_MINUTE_NS = 60 * NS
_ASK_S = 5.0


class Gate:
    """Judges one client's orders."""

    def __init__(self, spec: GateSpec, feed: Client, execution: Client) -> None:
        """Open the journal, make a key, publish its public half and rebuild what was approved.

        Args:
            spec: What to judge by.
            feed: Where prices come from.
            execution: Where fills come from.

        Raises:
            ConfigError: A limit is looser than a ceiling.
            JournalError: The journal cannot be opened.
        """
        check_against_ceilings(spec.limits)
        self._spec = spec
        self._feed = feed
        self._execution = execution
        self._version = version(spec.limits)
        self._journal = GateJournal(Path(spec.database))
        self._signer = Signer()
        publish_public_key(Path(spec.public_key_file), self._signer)
        self._book = Book({}, spec.start_cash_nano)
        self._instruments: dict[str, Instrument] = {}
        self._allowed: frozenset[str] = frozenset()
        self._known: dict[str, Judged] = {}
        self._times: deque[int] = deque()
        self._twins: dict[tuple[str, str, str, int, int], int] = {}
        self._seen_seq = 0
        self._now_ns = -1
        self._described = False
        self._approved = 0
        self._denied = 0
        self._killed = self._journal.killed()
        self._cancel_pending = bool(self._killed)

    # --- questions --------------------------------------------------------------------------------------------------

    def handle(self, request: Message) -> Message:
        """Answer one question."""
        match request:
            case StageRequest(ask=RiskAsk(intents=intents)):
                verdicts = self._judge_all(request, intents)
                return StageResult("risk", request.cycle, request.now_ns, verdicts)
            case SettleBook(now_ns=now_ns):
                self._settle(now_ns)
                return self._settled(now_ns)
            case GetRiskState():
                return self._state()
            case Kill(reason=reason, by=by):
                return self._kill(reason, by)
            case Resume(by=by):
                return self._resume(by)
            case Ping():
                return Ok("risk")
            case _:
                raise BusError(f"the gate does not answer {type(request).__name__}; it judges intents")

    # --- knowing ----------------------------------------------------------------------------------------------------

    def _describe(self) -> None:
        if self._described:
            return
        info = self._feed.call(DescribeDay(), _ASK_S)
        if not isinstance(info, DayInfo):
            raise BusError(f"the feed answered {type(info).__name__} to DescribeDay; update both")
        self._instruments = {instrument.symbol: instrument for instrument in info.instruments}
        self._allowed = frozenset(self._spec.limits.symbols or info.traded)
        self._book = Book(self._instruments, self._spec.start_cash_nano)
        for judged in self._journal.read():
            self._remember(judged)
            if judged.ticket is not None:
                self._book.reserve(judged.intent, judged.price_nano, judged.ticket.expires_ns)
        self._described = True

    def _settle(self, now_ns: int) -> None:
        self._describe()
        if now_ns == self._now_ns:
            return
        if now_ns < self._now_ns:
            raise LookAheadError("the gate's clock does not go back; settle at its time or later")
        snapshot = self._feed.call(QuerySnapshot((), now_ns), _ASK_S)
        if not isinstance(snapshot, Snapshot):
            raise BusError(f"the feed answered {type(snapshot).__name__} to QuerySnapshot; update both")
        events = self._execution.call(EventsSince(self._seen_seq), _ASK_S)
        if not isinstance(events, OrderEvents):
            raise BusError(f"execution answered {type(events).__name__} to EventsSince; update both")
        for event in events.events:
            if event.seq != self._seen_seq + 1:
                raise BusError(f"execution's event {event.seq} follows {self._seen_seq}; a fill may be lost: closed")
            self._book.apply(event)
            self._seen_seq = event.seq
        self._book.mark(snapshot)
        self._book.release_unsent(now_ns)
        self._now_ns = now_ns
        if self._cancel_pending:
            self._cancel_all()

    def _settled(self, now_ns: int) -> BookSettled:
        equity = self._book.equity_nano()
        known = equity if equity is not None else self._book.cash_nano
        return BookSettled(
            now_ns=now_ns,
            equity_nano=known,
            gross_nano=self._book.gross_nano(),
            reserved_nano=self._book.reserved_nano(),
            daily_loss_nano=max(0, self._book.start_nano - known),
            killed=bool(self._killed),
        )

    # --- judging ----------------------------------------------------------------------------------------------------

    def _judge_all(self, request: StageRequest, intents: tuple[OrderIntent, ...]) -> Verdicts:
        trouble = self._trouble(request)
        judged: list[Judged] = []
        fresh: list[Judged] = []
        for intent in intents:
            entry = self._recall(intent, request.cycle) if not trouble else None
            if entry is None:
                entry = self._judge(intent, request.cycle, trouble)
                if not trouble:
                    fresh.append(entry)
            judged.append(entry)
        if fresh:
            try:
                self._journal.write(fresh)
            except OutcryError as error:
                return self._unwritten(judged, fresh, str(error))
        self._approved += sum(1 for entry in fresh if entry.verdict.approved)
        self._denied += sum(1 for entry in judged if not entry.verdict.approved)
        orders = tuple(
            TicketedOrder(entry.intent, self._sign_again(entry.ticket)) for entry in judged if entry.ticket is not None
        )
        return Verdicts(tuple(entry.verdict for entry in judged), orders)

    def _trouble(self, request: StageRequest) -> tuple[str, str] | None:
        try:
            if request.now_ns > self._now_ns:
                self._settle(request.now_ns)
        except RemoteError as error:
            code = "clock_mismatch" if error.code == "look_ahead" else "feed_unavailable"
            return code, f"the gate cannot settle at the request's time: {error}; ask at the feed's clock"
        except BusError as error:
            return "feed_unavailable", f"the gate could not learn prices or fills: {error}; ask again"
        if request.client != self._spec.client or request.run_id != self._spec.run_id:
            return "wrong_client", f"this gate judges {self._spec.client!r} in its own run; ask that client's gate"
        return None

    def _recall(self, intent: OrderIntent, cycle: int) -> Judged | None:
        known = self._known.get(intent.client_order_id)
        if known is None:
            return None
        if known.order_digest != order_digest(intent):
            text = f"order id {intent.client_order_id} was used for another order; an intent keeps its content"
            return self._denied_entry(intent, "order_id_reused", text)
        if self._killed and known.verdict.approved:
            text = f"the kill switch is engaged ({self._killed}); a person clears it with `outcry resume`"
            return self._denied_entry(intent, "kill_switch", text)
        return known if known.intent.cycle == cycle else self._denied_entry(intent, "clock_mismatch", "another cycle's")

    def _judge(self, intent: OrderIntent, cycle: int, trouble: tuple[str, str] | None) -> Judged:
        if trouble is not None:
            return self._denied_entry(intent, *trouble)
        case = self._case(intent, cycle)
        denial = judge(case)
        self._times.append(self._now_ns)
        if denial is not None:
            entry = self._denied_entry(intent, *denial, inputs=self._inputs(case))
        else:
            ticket = Ticket(
                ticket_id="",
                client=self._spec.client,
                order_digest=order_digest(intent),
                limits_version=self._version,
                issued_ns=self._now_ns,
                expires_ns=self._now_ns + self._spec.limits.ticket_lifetime_ns,
                key_id="",
                signature=b"",
            )
            verdict = self._verdict(intent, approved=True, code=APPROVED, message="approved")
            price = case.priced_at_nano
            self._book.reserve(intent, price, ticket.expires_ns)
            entry = Judged(intent, ticket.order_digest, verdict, ticket, price, self._inputs(case))
        self._remember(entry)
        return entry

    def _case(self, intent: OrderIntent, cycle: int) -> Case:
        while self._times and self._times[0] <= self._now_ns - _MINUTE_NS:
            self._times.popleft()
        return Case(
            intent=intent,
            cycle=cycle,
            now_ns=self._now_ns,
            client=self._spec.client,
            run_id=self._spec.run_id,
            currency=self._spec.currency,
            killed=self._killed,
            limits=self._spec.limits,
            book=self._book,
            allowed=self._allowed,
            instrument=self._instruments.get(intent.symbol),
            price=self._book.prices.get(intent.symbol),
            recent=len(self._times),
            twin_ns=self._twins.get(_content(intent), -1),
        )

    def _inputs(self, case: Case) -> dict[str, int | str]:
        price = case.price
        equity = self._book.equity_nano()
        return {
            "reference_nano": price.nano if price else 0,
            "reference_event_time_ns": price.event_time_ns if price else 0,
            "position_nano": self._book.positions.get(case.intent.symbol, 0),
            "worst_qty_nano": self._book.worst_qty(case.intent.symbol) if case.instrument else 0,
            "equity_nano": equity if equity is not None else "unknown",
            "recent_orders": case.recent,
            "open_orders": len(self._book.reserved),
            "last_event_seq": self._seen_seq,
        }

    def _verdict(self, intent: OrderIntent, *, approved: bool, code: str, message: str) -> Verdict:
        return Verdict(intent.client_order_id, intent.symbol, approved, code, message, self._version, self._now_ns)

    def _denied_entry(
        self, intent: OrderIntent, code: str, text: str, inputs: dict[str, int | str] | None = None
    ) -> Judged:
        verdict = self._verdict(intent, approved=False, code=code, message=text)
        return Judged(intent, order_digest(intent), verdict, None, 0, inputs or {})

    def _remember(self, entry: Judged) -> None:
        self._known.setdefault(entry.intent.client_order_id, entry)
        when = entry.verdict.now_ns
        if entry.verdict.approved:
            self._twins[_content(entry.intent)] = when
        if not self._described:
            self._times.append(when)
            self._approved += int(entry.verdict.approved)
            self._denied += int(not entry.verdict.approved)

    def _unwritten(self, judged: list[Judged], fresh: list[Judged], why: str) -> Verdicts:
        for entry in fresh:
            self._known.pop(entry.intent.client_order_id, None)
            if entry.verdict.approved:
                self._book.release(entry.intent.client_order_id)
                self._twins.pop(_content(entry.intent), None)
        closed = tuple(
            self._verdict(entry.intent, approved=False, code="journal_unavailable", message=why) for entry in judged
        )
        return Verdicts(closed, ())

    def _sign_again(self, ticket: Ticket) -> Ticket:
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

    def _kill(self, reason: str, by: str) -> RiskState:
        first = not self._killed
        self._killed = f"{reason[:200]}, by {by[:80]}"
        self._cancel_pending = True
        if first:
            self._journal.write_kill(engaged=True, reason=reason[:200], by=by[:80], now_ns=self._now_ns)
        self._cancel_all()
        return self._state()

    def _resume(self, by: str) -> RiskState:
        self._journal.write_kill(engaged=False, reason="resumed", by=by[:80], now_ns=self._now_ns)
        self._killed = ""
        self._cancel_pending = False
        return self._state()

    def _cancel_all(self) -> None:
        now_ns = self._now_ns
        if now_ns < 0:
            return
        reason = "kill_switch"
        ticket = sign(
            self._signer,
            client=self._spec.client,
            over=cancel_all_digest(self._spec.client, now_ns, reason),
            subject=f"cancel_all:{now_ns}",
            limits_version=self._version,
            issued_ns=now_ns,
            lifetime_ns=self._spec.limits.ticket_lifetime_ns,
        )
        try:
            self._execution.call(CancelAll(now_ns, reason, ticket), _ASK_S)
        except BusError:
            return  # nothing new passes the gate meanwhile; asked again at the next instant
        self._cancel_pending = False

    def _state(self) -> RiskState:
        equity = self._book.equity_nano()
        return RiskState(
            killed=bool(self._killed),
            kill_reason=self._killed,
            now_ns=self._now_ns,
            limits_version=self._version,
            approved=self._approved,
            denied=self._denied,
            equity_nano=equity if equity is not None else self._book.cash_nano,
            gross_nano=self._book.gross_nano(),
            key_id=self._signer.key_id,
        )

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()


def _content(intent: OrderIntent) -> tuple[str, str, str, int, int]:
    return intent.symbol, intent.side, intent.order_type, intent.qty_nano, intent.limit_price_nano


def build_gate(spec: GateSpec, transport: Transport, directory: Directory) -> Gate:
    """Return the gate of a client, with its own ways to ask the feed and execution."""
    return Gate(spec, transport.client(directory["feed"]), transport.client(directory["execution"]))
