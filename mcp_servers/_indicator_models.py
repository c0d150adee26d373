"""What the indicator tools answer, for programs. Not what a model reads: that is the text beside it.

As in ``_market_models``, equal records are one CSV text: cheap to check, exact to read.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

__all__ = ["IndicatorList", "IndicatorsPage"]

_ABOUT = (
    "One object per indicator: name, group, about, needs (series), params (name, default, low, high), outputs (name, "
    "unit, bars: how many its first value needs with the defaults), shown (how many outputs unless asked for by name), "
    "differs: how the values differ from those of the ta package and why."
)
Entries = Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "object"}, "description": _ABOUT})]


class IndicatorList(BaseModel):
    """Rows of the catalogue."""

    total: Annotated[int, Field(description="All there are, whatever was asked for.")]
    indicators: Entries


class IndicatorsPage(BaseModel):
    """Indicators of one symbol, oldest bar first; ``next_cursor`` leads to earlier ones."""

    as_of: Annotated[str, Field(description="The clock, ISO 8601 with offset: nothing later is in the answer.")]
    timezone: str = Field(description="The venue's.")
    symbol: str
    timeframe: str
    csv: Annotated[
        str, Field(description="A header line, then a line per bar; times UTC seconds since 1970, empty: no value.")
    ]
    forming: Annotated[bool, Field(description="The last bar is not complete yet.")] = False
    gaps: Annotated[int, Field(description="Bars missing between those used, which count as adjacent.")] = 0
    missing: Annotated[int, Field(description="Base bars missing in the bars used.")] = 0
    unsettled: Annotated[
        dict[str, int], Field(description="Of how many rows from the first the values of a column lack warm-up.")
    ] = Field(default_factory=dict)
    cumulative: Annotated[list[str], Field(description="Columns that count from the first row here.")] = Field(
        default_factory=list
    )
    next_cursor: Annotated[str, Field(description="Give it as cursor for earlier rows; empty: there are none.")] = ""
