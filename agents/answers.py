"""What a model's answer must be to be believed: parsed, bounded and turned into the bus's own messages.

Not a mender: an answer that is not valid is nonsense, and the cycle holds. What is valid but unwise goes to the gate.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bus.errors import BadNumberError, ModelError
from bus.fixed import to_nano
from bus.ids import client_order_id
from bus.messages import OrderIntent, StageRequest, Stance

__all__ = ["AnalystAnswer", "OrderWish", "StanceWish", "TraderAnswer", "intents_from", "schema_of", "stances_from"]

_MAX_REASON = 200
_MAX_SYMBOL = 40
# Plain digits only: Decimal also takes 1_000, "１２" and 1e999990, and the last costs half a minute to make whole.
_QUANTITY = r"^[0-9]{1,10}(\.[0-9]{1,9})?$"
_PRICE = r"^([0-9]{1,10}(\.[0-9]{1,9})?)?$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StanceWish(_Strict):
    """One stance as a model gives it."""

    symbol: str
    bias: Literal["bullish", "bearish", "neutral"]
    confidence_pct: int = Field(ge=0, le=100)
    reason: str


class AnalystAnswer(_Strict):
    """The analyst's answer."""

    stances: list[StanceWish]


class OrderWish(_Strict):
    """One order as a model gives it; numbers are decimal strings of at most nine places, so that they are exact."""

    symbol: str
    action: Literal["buy", "sell"]
    quantity: str = Field(pattern=_QUANTITY)
    order_type: Literal["market", "limit"]
    limit_price: str = Field(pattern=_PRICE)
    reason: str

    @field_validator("symbol")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > _MAX_SYMBOL:
            raise ValueError(f"a symbol has at most {_MAX_SYMBOL} characters")
        return value


class TraderAnswer(_Strict):
    """The trader's answer."""

    orders: list[OrderWish]


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema that a model is asked to follow."""
    return model.model_json_schema()


def stances_from(text: str, symbols: tuple[str, ...]) -> tuple[Stance, ...]:
    """Return a stance for each symbol, neutral where the answer has none.

    Raises:
        ModelError: The text is no valid answer.
    """
    try:
        answer = AnalystAnswer.model_validate_json(text)
    except ValidationError as error:
        raise ModelError("nonsense", f"the analyst's answer is not valid: {error.error_count()} problems") from error
    told = {wish.symbol: wish for wish in answer.stances}
    return tuple(
        Stance(symbol, told[symbol].bias, told[symbol].confidence_pct, told[symbol].reason[:_MAX_REASON])
        if symbol in told
        else Stance(symbol, "neutral", 0, "no view")
        for symbol in symbols
    )


def intents_from(text: str, request: StageRequest, strategy: str, most: int) -> tuple[OrderIntent, ...]:
    """Return the orders of an answer as intents, exactly as asked.

    Args:
        text: The model's answer.
        request: Whose cycle this is.
        strategy: What is written on the orders.
        most: How many orders an answer may have.

    Raises:
        ModelError: The text is no valid answer, has too many orders, or a number does not fit.
    """
    try:
        wishes = TraderAnswer.model_validate_json(text).orders
        if len(wishes) > most:
            raise ModelError("nonsense", f"the trader's answer has {len(wishes)} orders; at most {most} are allowed")
        return tuple(_intent(wish, request, strategy, index) for index, wish in enumerate(wishes))
    except ValidationError as error:
        raise ModelError("nonsense", f"the trader's answer is not valid: {error.error_count()} problems") from error
    except BadNumberError as error:
        raise ModelError("nonsense", f"the trader's answer has a number that does not fit: {error}") from error


def _intent(wish: OrderWish, request: StageRequest, strategy: str, index: int) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id(request.client, request.run_id, request.cycle, index),
        client=request.client,
        run_id=request.run_id,
        cycle=request.cycle,
        index=index,
        symbol=wish.symbol,
        side=wish.action,
        order_type=wish.order_type,
        time_in_force="day",
        qty_nano=to_nano(wish.quantity),
        limit_price_nano=to_nano(wish.limit_price) if wish.limit_price else 0,
        decided_ns=request.now_ns,
        strategy=strategy,
        reason=wish.reason[:_MAX_REASON],
    )
