"""What the order tools answer, for programs: every answer says whose account, which mode and when. Not the text."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

__all__ = [
    "AccountAnswer",
    "CancelAnswer",
    "LimitsAnswer",
    "OrderAnswer",
    "OrdersAnswer",
    "PositionsAnswer",
    "PreviewAnswer",
    "RiskAnswer",
]

Objects = Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "object"}})]
Item = Annotated[dict[str, Any] | None, WithJsonSchema({"type": ["object", "null"]})]
Exact = Annotated[str, Field(description="An exact decimal.")]


class _Stated(BaseModel):
    """What every answer says first."""

    mode: Annotated[str, Field(description="replay (recorded day), paper (no real money) or live.")]
    client: Annotated[str, Field(description="Whose account.")]
    as_of: Annotated[str, Field(description="The desk's clock, ISO 8601 with offset; simulated when mode is replay.")]
    timezone: str


class AccountAnswer(_Stated):
    """The account."""

    currency: str = "USD"
    cash: Exact
    equity: Exact
    fees: Exact
    realized: Exact
    positions: int
    open_orders: int


class PositionsAnswer(_Stated):
    """Open positions: symbol, qty (negative is short), avg_price, mark, value, unrealized."""

    positions: Objects


class OrdersAnswer(_Stated):
    """Orders, newest first."""

    total: int
    orders: Objects
    next_cursor: str = ""


class OrderAnswer(_Stated):
    """What became of one order or several; ``code`` is placed, unknown, rejected or the gate's reason to deny.

    ``orders`` are several, or the legs of one.
    """

    sent: Annotated[bool, Field(description="False: nothing reached the broker.")]
    code: str
    message: str
    order: Item = None
    orders: Objects = Field(default_factory=list)


class PreviewAnswer(_Stated):
    """The gate's verdict; nothing was sent or reserved."""

    approved: bool
    code: str
    message: str
    order: Item
    worth_up_to: Annotated[str, Field(description="Worst case with the collar, account currency; empty: unknown.")]
    asks_a_person: Annotated[bool, Field(description="place_order would have a person confirm it.")]


class CancelAnswer(_Stated):
    """What was canceled, and what could not be and why."""

    canceled: Objects
    refused: Objects


class LimitsAnswer(_Stated):
    """The gate's limits: name, value, used, ceiling, unit."""

    limits_version: str
    limits: Objects
    symbols: list[str]


class RiskAnswer(_Stated):
    """The gate's state."""

    killed: bool
    kill_reason: str
    approved: int
    denied: int
    equity: Exact
    gross: Exact
    limits_version: str
