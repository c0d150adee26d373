"""Which of Binance's answers are definite. Not a list of errors: whatever is not named here leaves an order unknown.

Binance says of 5xx and of -1006 and -1007 that the execution status is unknown; of the others below, that the request
was refused before the matching engine, or by it.
"""

from __future__ import annotations

__all__ = ["ARCHIVED", "DUPLICATE", "NO_CANCEL", "NO_ORDER", "WRONG_TIME", "is_definite"]

NO_ORDER = -2013
"""There is no such order."""
NO_CANCEL = -2011
"""A cancel that was refused: there is no such order that works, or its restrictions do not hold."""
WRONG_TIME = -1021
"""The request was signed too long ago, or in the future."""
ARCHIVED = -2026
"""An order that ended unfilled more than 90 days ago."""
DUPLICATE = "duplicate order sent"
"""An order of the same id works already: a refusal of this request, and proof that an earlier one arrived."""

_REQUEST_WRONG = range(-1199, -1099)
_REFUSED = frozenset(
    {-1002, -1013, -1014, -1020, WRONG_TIME, -1022, -2010, NO_CANCEL, NO_ORDER, -2014, -2015, ARCHIVED}
)


def is_definite(status: int, code: int) -> bool:
    """Return whether an HTTP status and an error code say for certain that nothing was done."""
    return status in (400, 401) and (code in _REFUSED or code in _REQUEST_WRONG)
