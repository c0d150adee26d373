"""A model that needs no key: rules and a seed behind the port of a real one, answering in the same JSON.

Now and then it overreaches (a size beyond all limits, a symbol that does not exist, a price far from the market), so
that the gate has something to refuse. It is not intelligent and says nothing about a strategy's worth.
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from agents.model import ModelAnswer, ModelRequest
from bus.ids import Generator, seeded
from quant.lexicon import score_text

__all__ = ["ScriptedModel"]

_SHARE_PCT = 10
_EXIT_PCT = 15
_OVERREACH_PCT = 12
_SKIP_PCT = 15
_LIMIT_PCT = 30
_FENCED = re.compile(r'<untrusted-news id="[^"]*" time="[^"]*" symbols="([^"]*)">(.*)</untrusted-news>')


class ScriptedModel:
    """Answers from the figures it is shown and its seed; the same question always has the same answer."""

    def __init__(self, seed: int) -> None:
        """Set the seed."""
        self._seed = seed

    @property
    def name(self) -> str:
        """How it is called in the event log."""
        return "scripted"

    def ask(self, request: ModelRequest) -> ModelAnswer:
        """Return the answer to an analyst's or a trader's question."""
        rng = seeded("scripted", self._seed, request.role, str(request.context["now"]))
        answer = _analyse(request.context) if request.role == "analyst" else _trade(request.context, rng)
        text = msgspec.json.encode(answer, order="sorted").decode()
        return ModelAnswer(text, len(request.user) // 4, len(text) // 4)


def _analyse(context: dict[str, Any]) -> dict[str, Any]:
    stances: list[dict[str, Any]] = []
    tones: dict[str, list[int]] = {}
    for found in filter(None, map(_FENCED.fullmatch, context["news"])):
        for symbol in found[1].split(","):
            tones.setdefault(symbol, []).append(score_text(found[2]))
    for told in context["symbols"]:
        symbol: str = told["symbol"]
        tone = sum(tones.get(symbol, [])[-3:]) // 10
        score = told["change_bps_30_bars"] + told["change_bps_5_bars"] + tone
        bias = "bullish" if score > 8 else "bearish" if score < -8 else "neutral"
        reason = f"moved {told['change_bps_30_bars']} bps, news tone {tone}"
        stances.append({"symbol": symbol, "bias": bias, "confidence_pct": min(95, 40 + abs(score)), "reason": reason})
    return {"stances": stances}


def _trade(context: dict[str, Any], rng: Generator) -> dict[str, Any]:
    orders: list[dict[str, str]] = []
    for told in context["symbols"]:
        wish = _symbol(told, Decimal(context["equity"]), rng)
        if wish is not None:
            orders.append(wish)
    if context["symbols"] and rng.randrange(100) < _OVERREACH_PCT:
        orders.append(_overreach(context, rng))
    return {"orders": orders}


def _symbol(told: dict[str, Any], equity: Decimal, rng: Generator) -> dict[str, str] | None:
    direction = sum(signal["direction"] * signal["strength_pct"] for signal in told["signals"])
    view = {"bullish": 1, "bearish": -1}.get(told["bias"], 0)
    position = Decimal(told["position"])
    chance, style = rng.randrange(100), rng.randrange(100)
    last, lot, tick = Decimal(told["last"]), Decimal(told["lot"]), Decimal(told["tick"])
    if position and direction * position < 0:
        most = max(lot, _size(equity * _EXIT_PCT / 100, told))
        return _order(
            told["symbol"], "sell" if position > 0 else "buy", min(abs(position), most), "", "the signal turned"
        )
    if position or chance < _SKIP_PCT or not direction or view * direction <= 0:
        return None
    quantity = _size(equity * _SHARE_PCT / 100, told)
    if quantity <= 0:
        return None
    side = "buy" if direction > 0 else "sell"
    limit = ""
    if style < _LIMIT_PCT:
        near = (last / tick).to_integral_value(ROUND_HALF_EVEN) * tick
        limit = f"{near + (tick if side == 'buy' else -tick):f}"
    return _order(told["symbol"], side, quantity, limit, "signal and view agree")


def _size(money: Decimal, told: dict[str, Any]) -> Decimal:
    """Return how much of a symbol the money buys, in whole lots."""
    lot = Decimal(told["lot"])
    return (money / (Decimal(told["last"]) * told["multiplier"]) / lot).to_integral_value(ROUND_DOWN) * lot


def _overreach(context: dict[str, Any], rng: Generator) -> dict[str, str]:
    told = context["symbols"][rng.randrange(len(context["symbols"]))]
    last, lot, tick = Decimal(told["last"]), Decimal(told["lot"]), Decimal(told["tick"])
    kind = rng.randrange(3)
    if kind == 0:
        size = _size(Decimal(context["equity"]) * 4, told) + lot
        return _order(told["symbol"], "buy", size, "", "certain this time")
    if kind == 1:
        return _order("MOON", "buy", Decimal(10), "", "heard of it")
    price = (last * Decimal("1.6") / tick).to_integral_value(ROUND_DOWN) * tick
    return _order(told["symbol"], "buy", lot, f"{price:f}", "any price")


def _order(symbol: str, action: str, quantity: Decimal, limit_price: str, reason: str) -> dict[str, str]:
    return {
        "symbol": symbol,
        "action": action,
        "quantity": f"{quantity:f}",
        "order_type": "limit" if limit_price else "market",
        "limit_price": limit_price,
        "reason": reason,
    }
