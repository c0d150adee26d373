"""The analyst: shows a model the market as it is known now and asks for a view of each symbol.

A model that fails gives neutral views: the desk holds. Not a strategy: those compute, this one reads.
"""

from __future__ import annotations

from agents._stage import ANALYST_SCHEMA, Stage, ask_feed, ask_model
from agents.answers import stances_from
from agents.model import ModelPort, ModelRequest, make_model
from agents.prompts import ANALYST, analyst_context
from agents.spec import AnalystSpec
from bus.clock import NS
from bus.errors import ModelError
from bus.messages import (
    Analysis,
    AnalystAsk,
    Bars,
    CalendarEvents,
    NewsItems,
    QueryBars,
    QueryCalendar,
    QueryNews,
    StageRequest,
    StageResult,
    Stance,
)
from bus.transport import Client, Directory, Transport

__all__ = ["Analyst", "build_analyst"]

_AHEAD_NS = 2 * 3600 * NS


class Analyst(Stage):
    """Answers ``AnalystAsk``."""

    name = "analyst"

    def __init__(self, spec: AnalystSpec, model: ModelPort, feed: Client) -> None:
        """Take the model and a way to ask the feed."""
        super().__init__()
        self._spec = spec
        self._model = model
        self._feed = feed

    def answer(self, request: StageRequest) -> StageResult:
        """Return a stance for each symbol."""
        ask = request.ask
        if not isinstance(ask, AnalystAsk):
            return super().answer(request)
        text, call, degraded = ask_model(self._model, self._question(request, ask))
        stances = tuple(Stance(symbol, "neutral", 0, "held") for symbol in ask.symbols)
        if not degraded:
            try:
                stances = stances_from(text, ask.symbols)
            except ModelError as error:
                degraded = f"model_{error.reason}"
        return StageResult(self.name, request.cycle, request.now_ns, Analysis(stances, (call,)), degraded)

    def _question(self, request: StageRequest, ask: AnalystAsk) -> ModelRequest:
        now_ns = request.now_ns
        bars = {
            symbol: ask_feed(self._feed, QueryBars(symbol, self._spec.bars, now_ns), Bars).bars
            for symbol in ask.symbols
        }
        since_ns = now_ns - self._spec.news_s * NS
        news = ask_feed(self._feed, QueryNews(ask.symbols, since_ns, now_ns, self._spec.news_items), NewsItems)
        calendar = ask_feed(self._feed, QueryCalendar(now_ns, since_ns, now_ns + _AHEAD_NS), CalendarEvents)
        context = analyst_context(now_ns, bars, news.items, calendar.events, ask.account)
        return ModelRequest("analyst", ANALYST, context, "analyst_answer", ANALYST_SCHEMA)


def build_analyst(spec: AnalystSpec, transport: Transport, directory: Directory) -> Analyst:
    """Return the analyst's stage.

    Raises:
        ConfigError: The model is unknown or lacks what it needs.
    """
    return Analyst(spec, make_model(spec.model), transport.client(directory["feed"]))
