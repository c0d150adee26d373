"""Listens to a broker as execution does: gathers reports, counts each fill once. Not patient for ever: a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bus.clock import NS, monotonic_ns
from bus.errors import BusError
from bus.messages import Fill, OrderIntent
from execution.broker import BrokerReport, KnownOrder, ReportKind
from tests.brokers.kit_venue import Venue

__all__ = ["DEADLINE_S", "Ear"]

DEADLINE_S = 15.0
"""Seconds in which whatever a test waits for must have come."""
_SLICE_S = 0.02
_ANSWERS: frozenset[ReportKind] = frozenset({"accepted", "rejected", "unknown"})


class Ear:
    """One journal's worth of what a broker said, over restarts of the adapter."""

    def __init__(self, venue: Venue) -> None:
        """Open the first adapter on a venue."""
        self.venue = venue
        self.reports: list[BrokerReport] = []
        self.fills: dict[str, Fill] = {}
        self.sent: dict[str, tuple[OrderIntent, int]] = {}
        self.broker = venue.open()
        self.broker.restore((), day_done=False)

    # --- what is done -------------------------------------------------------------------------------------------------

    def submit(self, intent: OrderIntent) -> ReportKind:
        """Send an order as execution does: no answer is ``unknown``."""
        now_ns = self.venue.now_ns()
        self.sent[intent.client_order_id] = (intent, now_ns)
        report = _ask(lambda: (self.broker.submit(intent, now_ns),), intent.client_order_id)[0]
        assert report.kind in _ANSWERS, f"submit answered {report!r}; it may answer {sorted(_ANSWERS)}"
        assert report.client_order_id == intent.client_order_id
        self.take([report])
        return report.kind

    def cancel(self, client_order_id: str) -> ReportKind:
        """Cancel an order as execution does."""
        now_ns = self.venue.now_ns()
        report = _ask(lambda: (self.broker.cancel(client_order_id, now_ns),), client_order_id)[0]
        assert report.kind in {"canceled", "pending_cancel", "cancel_rejected", "unknown"}, report
        self.take([report])
        return report.kind

    def replace(self, intent: OrderIntent) -> tuple[BrokerReport, ...]:
        """Replace an order as execution does."""
        now_ns = self.venue.now_ns()
        self.sent[intent.client_order_id] = (intent, now_ns)
        reports = _ask(lambda: self.broker.replace(intent, now_ns), intent.client_order_id)
        self.take(reports)
        return reports

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        """Ask about an order as execution does: what fails says nothing."""
        try:
            reports = self.broker.query(client_order_id)
        except (OSError, BusError):
            return ()
        self.take(reports)
        return reports

    def reopen(self) -> None:
        """Restart the adapter: what it is told is what a journal would know."""
        self.take(self.venue.hear(self.broker))
        self.broker.close()
        self.broker = self.venue.open()
        self.broker.restore([self.known(i) for i in self.sent if not self.over(i)], day_done=False)

    def close(self) -> None:
        """Close the adapter."""
        self.broker.close()

    # --- what was heard -----------------------------------------------------------------------------------------------

    def take(self, reports: Iterable[BrokerReport]) -> None:
        """Gather reports; the same fill id must always be the same fill."""
        for report in reports:
            self.reports.append(report)
            has_fill = report.kind in {"fill", "bust", "correct"}
            assert (report.fill is not None) == has_fill, f"a fill comes with fill, bust and correct only: {report!r}"
            if report.fill is not None:
                fill = report.fill
                assert fill.fill_id, f"a fill without an id cannot be told from its copy: {fill!r}"
                assert fill.client_order_id == report.client_order_id
                assert self.fills.setdefault(fill.fill_id, fill) == fill, "one fill id, two different fills"

    def of(self, client_order_id: str) -> list[Fill]:
        """Return the distinct fills of an order."""
        return [fill for fill in self.fills.values() if fill.client_order_id == client_order_id]

    def filled(self, client_order_id: str) -> int:
        """Return what is filled of an order, each fill counted once."""
        return sum(fill.qty_nano for fill in self.of(client_order_id))

    def kinds(self, client_order_id: str) -> list[ReportKind]:
        """Return what was said about an order, in order."""
        return [report.kind for report in self.reports if report.client_order_id == client_order_id]

    def over(self, client_order_id: str) -> bool:
        """Return whether an order is over."""
        ended = {"canceled", "replaced", "expired", "rejected"} & set(self.kinds(client_order_id))
        return bool(ended) or self.filled(client_order_id) == self.sent[client_order_id][0].qty_nano

    def known(self, client_order_id: str) -> KnownOrder:
        """Return an order as the journal would."""
        intent, sent_ns = self.sent[client_order_id]
        acknowledged = bool({"accepted", "fill"} & set(self.kinds(client_order_id)))
        return KnownOrder(intent, sent_ns, acknowledged, tuple(self.of(client_order_id)))

    # --- waiting ------------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Take in what has come, without waiting."""
        self.take(self.venue.hear(self.broker))

    def until(self, seen: Callable[[], bool], what: str) -> None:
        """Listen until something is so, or fail at the deadline with what was heard."""
        deadline = monotonic_ns() + int(DEADLINE_S * NS)
        while True:
            self.venue.moved.clear()
            self.listen()
            if seen():
                return
            assert monotonic_ns() < deadline, f"{what} did not come in {DEADLINE_S} s; heard: {self.reports!r}"
            self.venue.moved.wait(_SLICE_S)

    def until_kind(self, client_order_id: str, *kinds: ReportKind) -> None:
        """Listen until an order was told to be one of these."""
        self.until(lambda: bool(set(kinds) & set(self.kinds(client_order_id))), f"{kinds} of {client_order_id}")

    def until_filled(self, client_order_id: str, qty_nano: int) -> None:
        """Listen until that much of an order is filled."""
        self.until(lambda: self.filled(client_order_id) >= qty_nano, f"{qty_nano} of {client_order_id}")

    def submit_when_back(self, intents: Iterator[OrderIntent]) -> OrderIntent:
        """Send one order after another until one is accepted; until then each must be refused for certain."""
        sent: list[OrderIntent] = []

        def accepted() -> bool:
            sent.append(next(intents))
            answer = self.submit(sent[-1])
            if answer == "unknown":
                answer = self.until_settled(sent[-1].client_order_id) or "rejected"
            return answer != "rejected"

        self.until(accepted, "an accepted order, after the connection was lost")
        assert not {i.client_order_id for i in sent[:-1]} & set(self.venue.orders()), "what is rejected was not sent"
        return sent[-1]

    def until_settled(self, client_order_id: str) -> ReportKind | None:
        """Ask about an UNKNOWN order as execution does until something definite is said; None: it never arrived."""
        answers: list[ReportKind] = []

        def settled() -> bool:
            self.query(client_order_id)
            answers[:] = [kind for kind in self.kinds(client_order_id) if kind != "unknown"]
            return bool(answers) or client_order_id not in self.venue.orders()

        self.until(settled, f"a definite answer about {client_order_id}")
        return answers[-1] if answers else None


def _ask(question: Callable[[], tuple[BrokerReport, ...]], client_order_id: str) -> tuple[BrokerReport, ...]:
    try:
        return question()
    except (OSError, BusError) as error:
        return (BrokerReport(client_order_id, "unknown", f"no answer ({type(error).__name__})"),)
