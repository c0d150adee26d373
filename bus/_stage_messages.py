"""What the graph asks its stages and what they answer. Not how they come to it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from bus._order_messages import Account, OrderEvent, OrderIntent, TicketedOrder, Verdict
from bus._struct import Struct

__all__ = [
    "Analysis",
    "AnalystAsk",
    "Decision",
    "Executed",
    "ExecutionAsk",
    "ModelCall",
    "RiskAsk",
    "SentimentAsk",
    "SentimentScores",
    "Signal",
    "Signals",
    "StageAnswer",
    "StageAsk",
    "StageRequest",
    "StageResult",
    "Stance",
    "StrategyAsk",
    "SymbolScore",
    "TraderAsk",
    "Verdicts",
]


class ModelCall(Struct, frozen=True):
    """One question to a model, with its answer, for the trace. ``error`` is empty or the reason it failed."""

    model: str
    prompt_digest: str
    answer: str
    error: str
    prompt_tokens: int
    answer_tokens: int


class Stance(Struct, frozen=True):
    """An analyst's view of one symbol; confidence in whole percent."""

    symbol: str
    bias: Literal["bullish", "bearish", "neutral"]
    confidence_pct: int
    reason: str


class Signal(Struct, frozen=True):
    """A strategy's view of one symbol: -1, 0 or +1, with a strength in whole percent and the strategy's name."""

    symbol: str
    direction: int
    strength_pct: int
    strategy: str


class SymbolScore(Struct, frozen=True):
    """Sentiment of the recent news of one symbol, -100 to +100, over ``items`` items."""

    symbol: str
    score_pct: int
    items: int


class AnalystAsk(Struct, frozen=True):
    """Form a view of these symbols."""

    symbols: tuple[str, ...]
    account: Account


class StrategyAsk(Struct, frozen=True):
    """Compute signals for these symbols."""

    symbols: tuple[str, ...]


class TraderAsk(Struct, frozen=True):
    """Turn views and signals into order intents."""

    symbols: tuple[str, ...]
    account: Account
    stances: tuple[Stance, ...]
    signals: tuple[Signal, ...]


class SentimentAsk(Struct, frozen=True):
    """Weigh the intents against the news; an intent that the news contradicts is dropped."""

    intents: tuple[OrderIntent, ...]


class RiskAsk(Struct, frozen=True):
    """Judge the intents."""

    intents: tuple[OrderIntent, ...]


class ExecutionAsk(Struct, frozen=True):
    """Send the approved orders."""

    orders: tuple[TicketedOrder, ...]


StageAsk: TypeAlias = AnalystAsk | StrategyAsk | TraderAsk | SentimentAsk | RiskAsk | ExecutionAsk


class Analysis(Struct, frozen=True):
    """The analyst's answer."""

    stances: tuple[Stance, ...]
    calls: tuple[ModelCall, ...] = ()


class Signals(Struct, frozen=True):
    """The strategy's answer."""

    signals: tuple[Signal, ...]


class Decision(Struct, frozen=True):
    """The trader's answer: what it wants to do."""

    intents: tuple[OrderIntent, ...]
    calls: tuple[ModelCall, ...] = ()


class SentimentScores(Struct, frozen=True):
    """The sentiment's answer: the intents that pass, the ids of those dropped, and the scores."""

    intents: tuple[OrderIntent, ...]
    dropped: tuple[str, ...]
    scores: tuple[SymbolScore, ...]


class Verdicts(Struct, frozen=True):
    """The gate's answer: a verdict for each intent, in order, and a ticketed order for each approved one."""

    verdicts: tuple[Verdict, ...]
    orders: tuple[TicketedOrder, ...]


class Executed(Struct, frozen=True):
    """Execution's answer: the events that sending caused."""

    events: tuple[OrderEvent, ...]


StageAnswer: TypeAlias = Analysis | Signals | Decision | SentimentScores | Verdicts | Executed


class StageRequest(Struct, frozen=True):
    """A question of the graph's to a stage at a simulated time. Asked again, a stage must answer the same."""

    run_id: str
    client: str
    cycle: int
    now_ns: int
    ask: StageAsk


class StageResult(Struct, frozen=True):
    """A stage's answer. ``degraded`` is empty, or says why the stage held (for example ``model_down``)."""

    stage: str
    cycle: int
    now_ns: int
    answer: StageAnswer
    degraded: str = ""
