"""The sentiment stage: drops an order that the news of its symbol speaks strongly against. It only ever takes away."""

from __future__ import annotations

from agents._stage import Stage, ask_feed
from agents.spec import SentimentSpec
from bus.clock import NS
from bus.messages import (
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


class Sentiment(Stage):
    """Answers ``SentimentAsk``."""

    name = "sentiment"

    def __init__(self, spec: SentimentSpec, feed: Client) -> None:
        """Take a way to ask the feed."""
        super().__init__()
        self._spec = spec
        self._feed = feed

    def answer(self, request: StageRequest) -> StageResult:
        """Return the intents that pass, those dropped, and the scores."""
        ask = request.ask
        if not isinstance(ask, SentimentAsk):
            return super().answer(request)
        symbols = sorted({intent.symbol for intent in ask.intents})
        scores = {symbol: self._score(symbol, request.now_ns) for symbol in symbols}
        kept = tuple(intent for intent in ask.intents if not self._against(intent, scores[intent.symbol]))
        passing = {intent.client_order_id for intent in kept}
        dropped = tuple(intent.client_order_id for intent in ask.intents if intent.client_order_id not in passing)
        answer = SentimentScores(kept, dropped, tuple(scores[symbol] for symbol in symbols))
        return StageResult(self.name, request.cycle, request.now_ns, answer)

    def _score(self, symbol: str, now_ns: int) -> SymbolScore:
        question = QueryNews((symbol,), now_ns - self._spec.news_s * NS, now_ns)
        items = ask_feed(self._feed, question, NewsItems).items
        return SymbolScore(symbol, score_many(item.headline for item in items), len(items))

    def _against(self, intent: OrderIntent, score: SymbolScore) -> bool:
        signed = score.score_pct if intent.side == "buy" else -score.score_pct
        return signed <= -self._spec.veto_pct


def build_sentiment(spec: SentimentSpec, transport: Transport, directory: Directory) -> Sentiment:
    """Return the sentiment's stage."""
    return Sentiment(spec, transport.client(directory["feed"]))
