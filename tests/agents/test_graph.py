"""The state machine: its order, its early ends, what it does when a stage fails, and how it resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agents.graph import STAGES, Cycle, CycleGraph, transcript
from bus.codec import encode
from bus.errors import CallTimeoutError, RemoteError
from bus.messages import (
    Account,
    Analysis,
    AnalystAsk,
    Decision,
    Executed,
    ExecutionAsk,
    Message,
    OrderIntent,
    RiskAsk,
    SentimentAsk,
    SentimentScores,
    Signal,
    Signals,
    StageAnswer,
    StageRequest,
    StageResult,
    Stance,
    StrategyAsk,
    Ticket,
    TicketedOrder,
    TraderAsk,
    Verdict,
    Verdicts,
)

INTENT = OrderIntent("oo-1", "c", "run", 1, 0, "ACME", "buy", "market", "day", 10**9, 0, 60, "trend")
ORDER = TicketedOrder(INTENT, Ticket("t", "c", "d", "v", 1, 2, "k", b"s"))
START = Cycle(
    run_id="run", client="c", cycle=1, now_ns=60, symbols=["ACME"], account=encode(Account("c", "replay", 60, 1, 1, 0))
)


class Desk:
    """Six stages that answer at once and remember what they were asked."""

    def __init__(self, fail: Callable[[str], Exception | None] = lambda _: None) -> None:
        self.asked: list[str] = []
        self.fail = fail

    def call(self, service: str, request: Message) -> Message:
        assert isinstance(request, StageRequest)
        self.asked.append(service)
        error = self.fail(service)
        if error is not None:
            raise error
        return StageResult(service, request.cycle, request.now_ns, self.answer(request))

    def answer(self, request: StageRequest) -> StageAnswer:
        match request.ask:
            case AnalystAsk():
                return Analysis((Stance("ACME", "bullish", 70, "news"),))
            case StrategyAsk():
                return Signals((Signal("ACME", 1, 50, "trend"),))
            case TraderAsk(stances=stances):
                assert stances
                return Decision((INTENT,))
            case SentimentAsk(intents=intents):
                return SentimentScores(intents, (), ())
            case RiskAsk():
                return Verdicts((Verdict("oo-1", "ACME", True, "approved", "", "v", 60),), (ORDER,))
            case ExecutionAsk():
                return Executed(())


class Idle(Desk):
    def answer(self, request: StageRequest) -> StageAnswer:
        return Decision(()) if isinstance(request.ask, TraderAsk) else super().answer(request)


@pytest.mark.requirement("graph:order")
def test_a_cycle_asks_the_six_stages_in_order(tmp_path: Path) -> None:
    desk = Desk()
    graph = CycleGraph(tmp_path / "g", desk.call)
    state = graph.run(START)
    assert desk.asked == list(STAGES)
    assert [(kind, stage) for kind, stage, _ in transcript(state)] == [
        (kind, stage) for stage in STAGES for kind in ("ask", "answer")
    ]
    graph.close()


@pytest.mark.requirement("graph:early")
def test_a_cycle_without_intents_ends_after_the_trader(tmp_path: Path) -> None:
    desk = Idle()
    graph = CycleGraph(tmp_path / "g", desk.call)
    graph.run(START)
    assert desk.asked == ["analyst", "strategy", "trader"]
    graph.close()


@pytest.mark.requirement("graph:hold")
@pytest.mark.parametrize("stage", ["analyst", "strategy", "trader", "sentiment"])
def test_a_stage_that_fails_holds_the_cycle_and_is_recorded(stage: str, tmp_path: Path) -> None:
    desk = Desk(lambda service: RemoteError("internal_error", "broken") if service == stage else None)
    graph = CycleGraph(tmp_path / "g", desk.call)
    state = graph.run(START)
    answers = {where: message for kind, where, message in transcript(state) if kind == "answer"}
    failed = answers[stage]  # pyright: ignore[reportArgumentType] - a parametrised name is a plain str
    assert isinstance(failed, StageResult)
    assert failed.degraded == "stage_error:internal_error"
    assert stage == "analyst" or stage == "strategy" or "execution" not in answers
    graph.close()


@pytest.mark.requirement("graph:gate-fails")
@pytest.mark.parametrize("stage", ["risk", "execution"])
def test_a_gate_or_an_execution_that_fails_stops_the_run(stage: str, tmp_path: Path) -> None:
    desk = Desk(lambda service: RemoteError("journal", "full") if service == stage else None)
    graph = CycleGraph(tmp_path / "g", desk.call)
    with pytest.raises(RemoteError):
        graph.run(START)
    graph.close()


@pytest.mark.requirement("graph:resume")
@pytest.mark.parametrize("stage", STAGES)
def test_a_cycle_that_was_cut_off_resumes_at_the_stage_it_was_at(stage: str, tmp_path: Path) -> None:
    calm = CycleGraph(tmp_path / "calm", Desk().call)
    expected = [encode(message) for _, _, message in transcript(calm.run(START))]
    calm.close()

    class CutOffError(BaseException):
        """What a kill looks like from inside."""

    first = Desk()

    def cut(service: str, request: Message) -> Message:
        if service == stage:
            raise CutOffError
        return first.call(service, request)

    graph = CycleGraph(tmp_path / "g", cut)
    with pytest.raises(CutOffError):
        graph.run(START)
    graph.close()
    second = Desk()
    graph = CycleGraph(tmp_path / "g", second.call)
    state = graph.run(START)
    graph.close()
    assert second.asked == list(STAGES[STAGES.index(stage) :])  # pyright: ignore[reportArgumentType] - as above
    assert [encode(message) for _, _, message in transcript(state)] == expected


@pytest.mark.requirement("graph:hold")
def test_a_stage_that_never_answers_holds_the_cycle(tmp_path: Path) -> None:
    desk = Desk(lambda service: CallTimeoutError("late") if service == "trader" else None)
    graph = CycleGraph(tmp_path / "g", desk.call)
    state = graph.run(START)
    assert "risk" not in state
    graph.close()
