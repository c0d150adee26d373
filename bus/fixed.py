"""Exact money, prices and quantities as integers of one billionth: why no binary float reaches an order.

Not a general decimal library: one scale for everything, so that two numbers can be compared and added without asking
which scale they carry. A price of 187.25 is ``187_250_000_000``; half a bitcoin is ``500_000_000``.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeAlias

from bus.errors import BadNumberError

__all__ = ["SCALE", "MoneyNano", "PriceNano", "QtyNano", "from_nano", "notional_nano", "round_to_step", "to_nano"]

SCALE = 1_000_000_000
"""Units in one: all ``*_nano`` integers are in billionths."""

PriceNano: TypeAlias = int
"""A price in billionths of the quote currency."""
QtyNano: TypeAlias = int
"""A quantity in billionths of a unit (share, coin, contract)."""
MoneyNano: TypeAlias = int
"""An amount in billionths of the account currency."""

_MAX = 2**63 - 1
_MAX_DIGITS = 20


def to_nano(value: Decimal | str | int | float) -> int:
    """Convert a number to billionths, rounding half to even at the ninth place.

    Args:
        value: A finite number; a float goes through its shortest decimal text, so that 0.1 becomes 0.1.

    Returns:
        The integer of billionths.

    Raises:
        BadNumberError: Not a number, not finite, or larger than the wire's 64 bits.
    """
    try:
        decimal = value if isinstance(value, Decimal) else Decimal(str(value))
        if decimal.is_finite() and decimal.adjusted() > _MAX_DIGITS:
            raise BadNumberError(
                f"a number of {decimal.adjusted():,} digits is out of range; {_MAX / SCALE:,.0f} is most"
            )
        nano = int((decimal * SCALE).to_integral_value(rounding=ROUND_HALF_EVEN))
    except BadNumberError:
        raise
    except (ArithmeticError, ValueError) as error:
        raise BadNumberError(f"{value!r} is not a finite number; give a plain decimal such as 187.25") from error
    if not -_MAX <= nano <= _MAX:
        raise BadNumberError(f"{value!r} is out of range; at most {_MAX / SCALE:,.0f} fits a message")
    return nano


def from_nano(nano: int) -> Decimal:
    """Return billionths as an exact Decimal, without trailing zeros.

    Args:
        nano: An integer of billionths.

    Returns:
        The exact value; ``format(value, "f")`` prints it plainly.
    """
    value = (Decimal(nano) / SCALE).normalize()
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value


def notional_nano(price: PriceNano, qty: QtyNano, multiplier: int = 1) -> MoneyNano:
    """Return price × quantity × contract multiplier, rounded away from zero.

    Rounding away from zero never understates what an order commits.

    Args:
        price: Price in billionths.
        qty: Quantity in billionths, signed.
        multiplier: Units of the underlying per contract.

    Returns:
        The notional in billionths, with the sign of ``price * qty``.
    """
    product = price * qty * multiplier
    magnitude = -(-abs(product) // SCALE)
    return magnitude if product >= 0 else -magnitude


def round_to_step(value: int, step: int) -> int:
    """Return ``value`` moved towards zero onto a multiple of ``step`` (a tick or a lot).

    Args:
        value: Billionths, signed.
        step: Positive billionths.

    Returns:
        The nearest multiple of ``step`` that is not further from zero.
    """
    magnitude = abs(value) // step * step
    return magnitude if value >= 0 else -magnitude
