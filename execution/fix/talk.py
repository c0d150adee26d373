"""The talk with a counterparty: questions, the wait for answers, and reports that wait to be given out.

Not the broker protocol: that is ``adapter``. Everything is called from one thread, holding ``link.changed``.
"""

from __future__ import annotations

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

from bus.clock import NS, monotonic_ns
from bus.errors import CallTimeoutError, JournalError
from bus.messages import Instrument
from execution.broker import BrokerReport, ReportKind
from execution.fix import entry
from execution.fix.codec import Message
from execution.fix.executions import sending_ns
from execution.fix.link import Link
from execution.fix.reports import FINAL, Reader
from execution.fix.settings import Settings
from execution.fix.statement import Gathered
from execution.fix.store import Known, Store
from execution.fix.values import BadValueError

__all__ = ["Talk"]

_AGAIN: frozenset[ReportKind] = frozenset({"unknown", "suspended", "held", "done_for_day"})


class Talk:
    """One session's questions and what came."""

    def __init__(self, settings: Settings, instruments: dict[str, Instrument]) -> None:
        """Open the store, start the session and wait for the logon, but not for ever.

        Args:
            settings: The session.
            instruments: What can be traded, by symbol.

        Raises:
            JournalError: The store cannot be used.
        """
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{settings.sender}-{settings.target}")
        self._settings = settings
        self._instruments = instruments
        self._store = Store(settings.folder, name)
        leftover = self._store.inbox(0)
        self._leftover_to = leftover[-1][0] if leftover else 0
        self._seen = 0
        self.theirs_ns = 0
        self._ready: deque[tuple[int, BrokerReport]] = deque()
        self._read: set[int] = set()
        self._last: dict[str, ReportKind] = {}
        self._accepted: set[str] = set()
        self._told_fills: set[tuple[str, str]] = set()
        self._restored: set[str] | None = None
        self._answers: dict[str, list[BrokerReport]] = {}
        self._gathered: dict[str, Gathered] = {}
        self._refused: set[str] = set()
        self._asking = ""
        self._outage = -1
        self._closed = False
        self._link = Link(settings, self._store)
        self._reader = Reader(self._store, instruments, self._link.session.scrubbed)
        with self._link.changed:
            self._logged_on()

    # --- asking -------------------------------------------------------------------------------------------------------

    def _logged_on(self) -> bool:
        """Wait for the session once in each outage, so that a venue that is down does not hold up every question."""
        session = self._link.session
        if not session.ready and self._outage != session.logons:
            self._link.wait_for(lambda: session.ready, self._deadline())
            if not session.ready:
                self._outage = session.logons
        return session.ready

    def _cannot_send(self) -> str:
        """Return why an order cannot be sent now; only catching up is waited for."""
        session = self._link.session
        if session.phase == "on" and not session.ready:
            self._link.wait_for(lambda: session.ready or session.phase != "on", self._deadline())
        return "" if session.ready else f"{self._off()}; the order was not sent and is not kept for later"

    def _off(self) -> str:
        why = self._link.session.why or "messages of theirs are missing and were asked for"
        return f"the FIX session is not ready ({why})"

    def _deadline(self) -> int:
        return monotonic_ns() + int(self._settings.timeout_s * NS)

    def _no_answer(self) -> str:
        why = self._link.session.why
        return f"no answer: {why}" if why else f"no answer within {self._settings.timeout_s:g} s"

    def _await(self, seen: Callable[[], bool]) -> bool:
        """Read what comes until something is so; false at the deadline, or as soon as the connection is lost."""
        session = self._link.session
        logons = session.logons

        def enough() -> bool:
            self._pump()
            return seen() or not session.alive or session.logons != logons

        self._link.wait_for(enough, self._deadline())
        return seen()

    def _send(self, msg_type: str, request_id: str, fields: entry.Fields, keep: Callable[[], None]) -> str | None:
        """Send; nothing when it was, words when it certainly was not, None when that is not known."""
        try:
            self._link.session.send(msg_type, request_id, fields, keep)
        except (JournalError, BadValueError) as error:
            return f"nothing was sent: {error}"
        except OSError:
            return None
        return ""

    def _ask(self, msg_type: str, fields: Callable[[str], entry.Fields], known: Known | None = None) -> str:
        if not self._logged_on():
            raise CallTimeoutError(f"{self._off()}; nothing was asked: ask again when it is")
        request_id = f"oo{msg_type}{self._store.count('asked')}"

        def keep() -> None:
            self._store.add_request(request_id, msg_type, known.client_order_id if known else "")

        refusal = self._send(msg_type, request_id, fields(request_id), keep)
        if refusal:
            raise CallTimeoutError(refusal)
        return request_id

    def _gather(self, msg_type: str, fields: Callable[[str], entry.Fields]) -> list[Message] | None:
        """Ask for many and return all of them; None where the counterparty refuses the question."""
        request_id = self._ask(msg_type, fields)
        gathered = self._gathered[request_id] = Gathered(msg_type)
        try:
            whole = self._await(lambda: gathered.whole or request_id in self._refused)
        finally:
            del self._gathered[request_id]
        if request_id in self._refused or gathered.refused:
            return None
        if not whole:
            raise CallTimeoutError(f"no whole answer to {msg_type} came: {self._no_answer()}; ask again later")
        return gathered.messages

    def _one_by_one(self) -> list[Message]:
        """Ask for each order that is not known to have ended, where the counterparty takes no mass question."""
        messages: list[Message] = []
        for known in self._store.orders():
            request_id = self._ask("H", lambda name, one=known: entry.status(name, one, self._settings.account), known)
            gathered = self._gathered[request_id] = Gathered("H")
            try:
                whole = self._await(lambda one=gathered, name=request_id: one.whole or name in self._refused)
            finally:
                del self._gathered[request_id]
            if not whole:
                raise CallTimeoutError(f"no status of {known.client_order_id} came: {self._no_answer()}")
            messages += gathered.messages
        return messages

    # --- reading ------------------------------------------------------------------------------------------------------

    def _of(self, name: str, kinds: set[ReportKind] | None = None) -> list[tuple[int, BrokerReport]]:
        return [one for one in self._ready if one[1].client_order_id == name and (not kinds or one[1].kind in kinds)]

    def _first(self, name: str) -> tuple[int, BrokerReport] | None:
        return next((one for one in self._ready if one[1].client_order_id == name), None)

    def _drop(self, name: str) -> None:
        for one in self._of(name):
            self._ready.remove(one)

    def _pump(self) -> None:
        """Read what came since the last time into reports that wait to be given out."""
        for number, flaw, packed in self._store.inbox(self._seen):
            message = Message.unpack(packed)
            with self._store.transaction():
                reports = self._reports(message, flaw)
            self._seen = number
            self.theirs_ns = max(self.theirs_ns, sending_ns(message))
            self._read.add(number)
            self._ready.extend((number, report) for report in self._news(number, reports))

    def _reports(self, message: Message, flaw: str) -> list[BrokerReport]:
        if flaw:
            return self._reader.doubtful(message, flaw)
        try:
            return self._status(message) if self._answers_us(message) else self._reader.read(message)
        except BadValueError as error:
            return self._reader.doubtful(message, str(error))

    def _answers_us(self, message: Message) -> bool:
        """Take up what answers a question of ours; true for the status of one order."""
        if message.msg_type in {"3", "j"}:
            self._refused.add(self._reader.refused_request(message))
        for name, gathered in self._gathered.items():
            gathered.take(message, name)
        return message.msg_type == "8" and message.text(150) == "I" and message.raw(584) is None

    def _status(self, message: Message) -> list[BrokerReport]:
        """Let a status stand for what waits about its order, when it is asked for; a late one is news."""
        name = message.text(790) or self._asking
        request = self._store.request(name)
        known = self._store.order(request[1]) if request else self._reader.named(message)
        if known is None or name in self._gathered:
            return []
        reports = self._reader.status(message, known)
        if name != self._asking:
            return reports
        if reports:
            self._drop(known.client_order_id)
        self._answers[name] = reports
        return []

    def _news(self, number: int, reports: list[BrokerReport]) -> Iterator[BrokerReport]:
        """Leave out what was told before: fills by their id, an acknowledgement, and what ended before a restart."""
        for report in reports:
            name = report.client_order_id
            over = number <= self._leftover_to and self._restored is not None and name not in self._restored
            if report.fill is not None:
                key = (report.fill.fill_id, name)
                if key in self._told_fills:
                    continue
            elif over or self._told(report):
                continue
            self._note([report])
            yield report

    def _told(self, report: BrokerReport) -> bool:
        name, last = report.client_order_id, self._last.get(report.client_order_id)
        if report.kind == "accepted":
            return name in self._accepted and last not in _AGAIN
        return report.kind in FINAL and last == report.kind

    def _note(self, reports: Iterable[BrokerReport]) -> None:
        for report in reports:
            if report.fill is not None:
                self._told_fills.add((report.fill.fill_id, report.client_order_id))
                self._accepted.add(report.client_order_id)
                continue
            self._last[report.client_order_id] = report.kind
            if report.kind == "accepted":
                self._accepted.add(report.client_order_id)

    @contextmanager
    def _store_works(self) -> Generator[None]:
        """Turn a store that fails into what the protocol calls *unknown*."""
        try:
            yield
        except (JournalError, sqlite3.Error) as error:
            raise OSError(str(error)) from error
