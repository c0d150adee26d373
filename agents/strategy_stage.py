"""The strategy stage: runs each strategy on each symbol's bars as they are known now. It computes; it asks no model."""

from __future__ import annotations

from agents._stage import Stage, ask_feed
from agents.spec import StrategySpec
from bus.messages import Bars, QueryBars, Signals, StageRequest, StageResult, StrategyAsk
from bus.transport import Client, Directory, Transport
from quant.strategy import Strategy, make_strategy

__all__ = ["StrategyStage", "build_strategy"]


class StrategyStage(Stage):
    """Answers ``StrategyAsk``."""

    name = "strategy"

    def __init__(self, strategies: tuple[Strategy, ...], feed: Client) -> None:
        """Take the strategies and a way to ask the feed."""
        super().__init__()
        self._strategies = strategies
        self._feed = feed

    def answer(self, request: StageRequest) -> StageResult:
        """Return a signal for each symbol and strategy."""
        ask = request.ask
        if not isinstance(ask, StrategyAsk):
            return super().answer(request)
        needs = max((strategy.needs for strategy in self._strategies), default=1)
        signals = [
            strategy.signal(symbol, bars[-strategy.needs :])
            for symbol in ask.symbols
            for bars in (ask_feed(self._feed, QueryBars(symbol, needs, request.now_ns), Bars).bars,)
            for strategy in self._strategies
        ]
        return StageResult(self.name, request.cycle, request.now_ns, Signals(tuple(signals)))


def build_strategy(spec: StrategySpec, transport: Transport, directory: Directory) -> StrategyStage:
    """Return the strategies' stage.

    Raises:
        ConfigError: A strategy is unknown.
    """
    strategies = tuple(make_strategy(name) for name in spec.strategies)
    return StrategyStage(strategies, transport.client(directory["feed"]))
