"""The state machine of one cycle: analyst → strategy → trader → sentiment → risk → execution, as a LangGraph graph.

Each node is a call over the bus to the stage's process; the answer goes into the graph's state as encoded bytes, and
the SQLite checkpoint after every node lets a killed orchestrator resume inside a cycle without asking a model twice.
Not where decisions are made: those are the stages' own. A branch ends early when there is nothing left to do.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, cast

from bus.codec import decode, encode
from bus.errors import CallTimeoutError, RemoteError, SchemaError
from bus.messages import (
    Account,
    Analysis,
    AnalystAsk,
    Decision,
    Executed,
    ExecutionAsk,
    Message,
    RiskAsk,
    SentimentAsk,
    SentimentScores,
    Signals,
    StageAnswer,
    StageAsk,
    StageRequest,
    StageResult,
    Stance,
    StrategyAsk,
    TraderAsk,
    Verdicts,
)

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

__all__ = ["STAGES", "Cycle", "CycleGraph", "StageName", "ask_for", "held_answer", "transcript"]

StageName = Literal["analyst", "strategy", "trader", "sentiment", "risk", "execution"]
STAGES: tuple[StageName, ...] = ("analyst", "strategy", "trader", "sentiment", "risk", "execution")
"""The stages in the order of the graph."""

_TRANSIENT = frozenset({"call_timeout", "call_timeout_error"})
_ATTEMPTS = 3

Call = Callable[[str, Message], Message]


class _Node(Protocol):
    def __call__(self, state: Cycle) -> Cycle: ...


class Cycle(TypedDict, total=False):
    """The graph's state: where the cycle stands, and each stage's encoded ``StageResult``."""

    run_id: str
    client: str
    cycle: int
    now_ns: int
    symbols: list[str]
    account: bytes
    analyst: bytes
    strategy: bytes
    trader: bytes
    sentiment: bytes
    risk: bytes
    execution: bytes


def _answer(state: Cycle, stage: StageName) -> StageAnswer:
    message = decode(state.get(stage, b""))
    if not isinstance(message, StageResult):
        raise SchemaError(f"{stage} answered a {type(message).__name__}; allowed is StageResult: update that stage")
    return message.answer


def _ask(state: Cycle, stage: StageName) -> StageAsk:
    symbols = tuple(state.get("symbols", []))
    account = cast("Account", decode(state.get("account", b"")))
    if stage == "analyst":
        return AnalystAsk(symbols, account)
    if stage == "strategy":
        return StrategyAsk(symbols)
    if stage == "trader":
        stances = cast("Analysis", _answer(state, "analyst")).stances
        signals = cast("Signals", _answer(state, "strategy")).signals
        return TraderAsk(symbols, account, stances, signals)
    if stage == "sentiment":
        return SentimentAsk(cast("Decision", _answer(state, "trader")).intents)
    if stage == "risk":
        return RiskAsk(cast("SentimentScores", _answer(state, "sentiment")).intents)
    return ExecutionAsk(cast("Verdicts", _answer(state, "risk")).orders)


def ask_for(state: Cycle, stage: StageName) -> StageRequest:
    """Return what the stage is asked: a function of the answers before it, so that a resumed cycle asks the same."""
    return StageRequest(
        run_id=state.get("run_id", ""),
        client=state.get("client", ""),
        cycle=state.get("cycle", 0),
        now_ns=state.get("now_ns", 0),
        ask=_ask(state, stage),
    )


def held_answer(ask: StageAsk) -> StageAnswer:
    """Return the answer of a stage that could not be had: no view, no signal, no order. A cycle that fails, holds."""
    match ask:
        case AnalystAsk():
            return Analysis(tuple(Stance(symbol, "neutral", 0, "stage unavailable") for symbol in ask.symbols))
        case StrategyAsk():
            return Signals(())
        case TraderAsk():
            return Decision(())
        case SentimentAsk():
            return SentimentScores((), tuple(intent.client_order_id for intent in ask.intents), ())
        case RiskAsk():
            return Verdicts((), ())
        case ExecutionAsk():
            return Executed(())


def transcript(state: Cycle) -> list[tuple[Literal["ask", "answer"], StageName, Message]]:
    """Return what was asked and answered in a finished cycle, in order."""
    records: list[tuple[Literal["ask", "answer"], StageName, Message]] = []
    for stage in STAGES:
        if stage in state:
            records.append(("ask", stage, ask_for(state, stage)))
            records.append(("answer", stage, decode(state.get(stage, b""))))
    return records


def _has_work(state: Cycle, stage: StageName) -> bool:
    match _answer(state, stage):
        case Decision(intents=intents) | SentimentScores(intents=intents):
            return bool(intents)
        case Verdicts(orders=orders):
            return bool(orders)
        case _:
            return True


class CycleGraph:
    """The compiled graph with its checkpoint file."""

    def __init__(self, checkpoint: Path, call: Call) -> None:
        """Compile the graph.

        Args:
            checkpoint: The SQLite file of the checkpoints.
            call: Asks a stage by name and returns its answer; raises ``BusError``.
        """
        os.environ["LANGSMITH_TRACING"] = "false"  # positions and prompts leave this machine only when asked to
        os.environ["LANGCHAIN_TRACING_V2"] = "false"
        from langgraph.checkpoint.sqlite import SqliteSaver
        from langgraph.graph import END, START, StateGraph

        self._call = call
        self._db = sqlite3.connect(checkpoint, check_same_thread=False)
        self._saver = SqliteSaver(self._db)
        builder: StateGraph[Cycle, None, Cycle, Cycle] = StateGraph(Cycle)
        for stage in STAGES:
            builder.add_node(stage, self._node(stage))
        builder.add_edge(START, "analyst")
        builder.add_edge("analyst", "strategy")
        builder.add_edge("strategy", "trader")
        for before, after in (("trader", "sentiment"), ("sentiment", "risk"), ("risk", "execution")):
            builder.add_conditional_edges(before, self._branch(before, after), [after, END])
        builder.add_edge("execution", END)
        self._graph: CompiledStateGraph[Cycle, None, Cycle, Cycle] = builder.compile(checkpointer=self._saver)

    @staticmethod
    def _branch(stage: str, after: str) -> Callable[[Cycle], str]:
        def decide(state: Cycle) -> str:
            return after if _has_work(state, cast("StageName", stage)) else "__end__"

        return decide

    def _node(self, stage: StageName) -> _Node:
        def run(state: Cycle) -> Cycle:
            result = self._ask_stage(stage, ask_for(state, stage))
            return cast("Cycle", {stage: encode(result)})

        run.__name__ = stage
        return run

    def _ask_stage(self, stage: StageName, request: StageRequest) -> StageResult:
        attempts = 0
        while True:
            attempts += 1
            try:
                answer = self._call(stage, request)
            except RemoteError as error:
                if error.code in _TRANSIENT and attempts < _ATTEMPTS:
                    continue
                if stage in ("risk", "execution"):
                    raise
                return self._held(stage, request, f"stage_error:{error.code}")
            except CallTimeoutError:
                if stage in ("risk", "execution"):
                    raise
                return self._held(stage, request, "stage_timeout")
            if isinstance(answer, StageResult) and answer.cycle == request.cycle and answer.now_ns == request.now_ns:
                return answer
            raise SchemaError(
                f"{stage} answered {type(answer).__name__} to cycle {request.cycle}; allowed is its StageResult: "
                "run the same release in every process"
            )

    @staticmethod
    def _held(stage: StageName, request: StageRequest, reason: str) -> StageResult:
        return StageResult(stage, request.cycle, request.now_ns, held_answer(request.ask), reason)

    def run(self, start: Cycle) -> Cycle:
        """Run one cycle to its end, resuming from its checkpoint where there is one.

        Args:
            start: ``run_id, client, cycle, now_ns, symbols, account``.

        Returns:
            The state with every stage's answer.
        """
        config: Any = {"configurable": {"thread_id": f"{start.get('run_id')}:{start.get('cycle')}"}}
        known = self._graph.get_state(config)
        if known.values and not known.next:
            return cast("Cycle", known.values)
        entry = None if known.values else start
        return cast("Cycle", self._graph.invoke(entry, config, durability="sync"))

    def forget(self, run_id: str, cycle: int) -> None:
        """Drop the checkpoints of a cycle that the event log holds."""
        self._saver.delete_thread(f"{run_id}:{cycle}")

    def close(self) -> None:
        """Close the checkpoint file."""
        self._db.close()
