"""What a run did, gathered from its event log in one pass: the one source of the summary's and the report's numbers.

Not a second book: nothing is priced or matched again here, it is only counted what the log says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from agents.trace import GENESIS, Record, read_trace
from bus.messages import (
    Account,
    Analysis,
    Decision,
    Executed,
    Fill,
    ModelCall,
    OrderEvent,
    OrderIntent,
    SentimentScores,
    Settled,
    StageRequest,
    StageResult,
    Verdict,
    Verdicts,
)

__all__ = ["Drawdown", "Facts", "gather"]


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall of the equity from its highest value so far.

    Attributes:
        money_nano: The fall with the largest fraction, in billionths, not negative.
        fraction: The same fall over the peak it started from.
        peak_ns: When the peak was, UTC ns.
        trough_ns: When the bottom was, UTC ns.
    """

    money_nano: int = 0
    fraction: Fraction = Fraction(0)
    peak_ns: int = 0
    trough_ns: int = 0


@dataclass
class Facts:
    """The counts and lists of one run.

    Attributes:
        cycles: How often the graph was run.
        intents: Every intent of the trader's, in order.
        verdicts: Every verdict of the gate's, in order.
        dropped: How many intents the sentiment stage dropped.
        sent: The client order ids that were sent, in order.
        fills: Every fill once, in order.
        equity: ``(UTC ns, equity in billionths)`` of each instant.
        account: The last account; None while there is none.
        calls: ``(stage, call)`` of every question to a model.
        degraded: ``(stage, reason)`` → how often a stage held.
        rejected: Reason → orders that the broker rejected, canceled or let expire.
        trace_hash: The chain of the last record.
    """

    cycles: int = 0
    intents: list[OrderIntent] = field(default_factory=list[OrderIntent])
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    dropped: int = 0
    sent: dict[str, None] = field(default_factory=dict[str, None])
    fills: list[Fill] = field(default_factory=list[Fill])
    equity: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    account: Account | None = None
    calls: list[tuple[str, ModelCall]] = field(default_factory=list[tuple[str, ModelCall]])
    degraded: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    rejected: Counter[str] = field(default_factory=Counter[str])
    trace_hash: str = GENESIS
    _seen_events: set[int] = field(default_factory=set[int])

    def add(self, record: Record) -> None:
        """Count one record of the log."""
        self.trace_hash = record.chain
        message = record.message
        match message:
            case Settled():
                self._events(message.events)
                self.equity.append((record.now_ns, message.account.equity_nano))
                self.account = message.account
            case StageRequest() if record.source == "analyst":
                self.cycles += 1
            case StageResult():
                self._answer(message)
            case _:
                pass

    def drawdown(self, start_nano: int) -> Drawdown:
        """Return the deepest fall of the equity.

        Args:
            start_nano: The equity before the first instant: the first peak.
        """
        peak, peak_ns = start_nano, self.equity[0][0] if self.equity else 0
        deepest = Drawdown()
        for now_ns, equity in self.equity:
            if equity > peak:
                peak, peak_ns = equity, now_ns
            elif peak > 0 and Fraction(peak - equity, peak) > deepest.fraction:
                deepest = Drawdown(peak - equity, Fraction(peak - equity, peak), peak_ns, now_ns)
        return deepest

    def _answer(self, result: StageResult) -> None:
        if result.degraded:
            self.degraded[(result.stage, result.degraded)] += 1
        match result.answer:
            case Analysis(calls=calls):
                self.calls.extend((result.stage, call) for call in calls)
            case Decision(intents=intents, calls=calls):
                self.intents.extend(intents)
                self.calls.extend((result.stage, call) for call in calls)
            case SentimentScores(dropped=dropped):
                self.dropped += len(dropped)
            case Verdicts(verdicts=verdicts):
                self.verdicts.extend(verdicts)
            case Executed(events=events):
                self._events(events)
            case _:
                pass

    def _events(self, events: tuple[OrderEvent, ...]) -> None:
        for event in events:
            if event.seq:  # 0 is a refusal that is not part of the sequence: each of them counts
                if event.seq in self._seen_events:
                    continue
                self._seen_events.add(event.seq)
            if event.kind == "sent":
                self.sent[event.client_order_id] = None
            elif event.kind in ("rejected", "canceled", "expired"):
                self.rejected[f"{event.kind}: {event.reason}" if event.reason else event.kind] += 1
            if event.fill is not None:
                self.fills.append(event.fill)


def gather(run_dir: Path) -> Facts:
    """Return what the event log of a run says.

    Args:
        run_dir: The folder of the run; it holds ``trace.sqlite``.

    Raises:
        JournalError: The log is missing or its chain is broken.
    """
    facts = Facts()
    for record in read_trace(run_dir / "trace.sqlite"):
        facts.add(record)
    return facts
