"""The sentiment stage: drops an order that opens a position which the news of its symbol speaks strongly against.

It only ever takes away, and never an order that closes a position: bad news must not lock a desk in.
"""

from __future__ import annotations

from agents._stage import Stage, ask_feed
from agents.spec import SentimentSpec
from bus.clock import NS
from bus.errors import BusError
from bus.messages import (
    Account,
    GetAccount,
    NewsItems,
    OrderIntent,
    QueryNews,
    SentimentAsk,
    SentimentScores,
    StageRequest,
    StageResult,
    SymbolScore,
)
from bus.transport import Client, Directory, Transport
from quant.lexicon import score_many

__all__ = ["Sentiment", "build_sentiment"]

_EXECUTION_S = 10.0


class Sentiment(Stage):
    """Answers ``SentimentAsk``."""

    name = "sentiment"

    def __init__(self, spec: SentimentSpec, feed: Client, execution: Client) -> None:
        """Take a way to ask the feed for news, and execution for what is held."""
        super().__init__()
        self._spec = spec
        self._feed = feed
        self._execution = execution

    def answer(self, request: StageRequest) -> StageResult:
        """Return the intents that pass, those dropped, and the scores."""
        ask = request.ask
        if not isinstance(ask, SentimentAsk):
            return super().answer(request)
        symbols = sorted({intent.symbol for intent in ask.intents})
        scores = {symbol: self._score(symbol, request.now_ns) for symbol in symbols}
        against = [self._against(intent, scores[intent.symbol]) for intent in ask.intents]
        opens = self._opening(ask.intents, request.now_ns) if any(against) else against
        kept = tuple(intent for intent, bad, new in zip(ask.intents, against, opens, strict=True) if not (bad and new))
        dropped = tuple(
            intent.client_order_id for intent, bad, new in zip(ask.intents, against, opens, strict=True) if bad and new
        )
        answer = SentimentScores(kept, dropped, tuple(scores[symbol] for symbol in symbols))
        return StageResult(self.name, request.cycle, request.now_ns, answer)

    def _score(self, symbol: str, now_ns: int) -> SymbolScore:
        question = QueryNews((symbol,), now_ns - self._spec.news_s * NS, now_ns)
        items = ask_feed(self._feed, question, NewsItems).items
        return SymbolScore(symbol, score_many(item.headline for item in items), len(items))

    def _opening(self, intents: tuple[OrderIntent, ...], now_ns: int) -> list[bool]:
        """Tell which intents do more than close what is held; each one in turn uses up what it closes."""
        account = self._execution.call(GetAccount(now_ns), _EXECUTION_S)
        if not isinstance(account, Account):
            raise BusError(f"execution answered {type(account).__name__}; allowed is Account: update both")
        held = {position.symbol: position.qty_nano for position in account.positions}
        opens: list[bool] = []
        for intent in intents:
            before = held.get(intent.symbol, 0)
            left = abs(before) - intent.qty_nano
            opens.append(left < 0 or (before < 0) != (intent.side == "buy"))
            if not opens[-1]:
                held[intent.symbol] = left if before > 0 else -left
        return opens

    def _against(self, intent: OrderIntent, score: SymbolScore) -> bool:
        signed = score.score_pct if intent.side == "buy" else -score.score_pct
        return signed <= -self._spec.veto_pct


def build_sentiment(spec: SentimentSpec, transport: Transport, directory: Directory) -> Sentiment:
    """Return the sentiment's stage."""
    return Sentiment(spec, transport.client(directory["feed"]), transport.client(directory["execution"]))
