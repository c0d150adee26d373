"""The trader: shows a model views, signals, positions and prices, and turns its answer into order intents.

An answer that is no valid JSON gives no orders. What is valid but unwise is passed on as asked: for the gate to refuse.
"""

from __future__ import annotations

from agents._stage import TRADER_SCHEMA, Stage, ask_feed, ask_model
from agents.answers import intents_from
from agents.model import ModelPort, ModelRequest, make_model
from agents.prompts import TRADER, trader_context
from agents.spec import TraderSpec
from bus.errors import ModelError
from bus.messages import (
    DayInfo,
    Decision,
    DescribeDay,
    Instrument,
    OrderIntent,
    QuerySnapshot,
    Snapshot,
    StageRequest,
    StageResult,
    TraderAsk,
)
from bus.transport import Client, Directory, Transport

__all__ = ["Trader", "build_trader"]


class Trader(Stage):
    """Answers ``TraderAsk``."""

    name = "trader"

    def __init__(self, spec: TraderSpec, model: ModelPort, feed: Client) -> None:
        """Take the model and a way to ask the feed."""
        super().__init__()
        self._spec = spec
        self._model = model
        self._feed = feed
        self._instruments: dict[str, Instrument] = {}

    def answer(self, request: StageRequest) -> StageResult:
        """Return the orders wished for."""
        ask = request.ask
        if not isinstance(ask, TraderAsk):
            return super().answer(request)
        text, call, degraded = ask_model(self._model, self._question(request, ask))
        intents: tuple[OrderIntent, ...] = ()
        if not degraded:
            try:
                intents = intents_from(text, request, self._model.name, self._spec.max_orders)
            except ModelError as error:
                degraded = f"model_{error.reason}"
        return StageResult(self.name, request.cycle, request.now_ns, Decision(intents, (call,)), degraded)

    def _question(self, request: StageRequest, ask: TraderAsk) -> ModelRequest:
        if not self._instruments:
            info = ask_feed(self._feed, DescribeDay(), DayInfo)
            self._instruments = {instrument.symbol: instrument for instrument in info.instruments}
        snapshot = ask_feed(self._feed, QuerySnapshot(ask.symbols, request.now_ns), Snapshot)
        prices = _latest(snapshot)
        context = trader_context(
            request.now_ns,
            request.cycle,
            {symbol: prices[symbol] for symbol in ask.symbols if symbol in prices},
            self._instruments,
            ask.account,
            ask.stances,
            ask.signals,
            self._spec.max_orders,
        )
        return ModelRequest("trader", TRADER, context, "trader_answer", TRADER_SCHEMA)


def _latest(snapshot: Snapshot) -> dict[str, int]:
    """Return the last price by symbol: the close of the last bar, or the middle of a quote that is newer."""
    closed = {bar.symbol: bar.event_time_ns for bar in snapshot.bars}
    prices = {bar.symbol: bar.close_nano for bar in snapshot.bars}
    for quote in snapshot.quotes:
        if quote.event_time_ns > closed.get(quote.symbol, -1):
            prices[quote.symbol] = (quote.bid_nano + quote.ask_nano) // 2
    return prices


def build_trader(spec: TraderSpec, transport: Transport, directory: Directory) -> Trader:
    """Return the trader's stage.

    Raises:
        ConfigError: The model is unknown or lacks what it needs.
    """
    return Trader(spec, make_model(spec.model), transport.client(directory["feed"]))
