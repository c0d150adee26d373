"""FIX text to exact integers and back: times in nanoseconds, prices and quantities in billionths. No floats, no clock.

Strict on purpose: what is not plainly a FIX value raises ``BadValueError``, so that no guess becomes a fill.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bus.errors import BadNumberError, OutcryError
from bus.fixed import from_nano, to_nano

__all__ = ["BadValueError", "decimal_text", "parse_count", "parse_nano", "parse_time", "time_text"]

_DECIMAL = re.compile(rb"-?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})\Z")
_COUNT = re.compile(rb"\d{1,18}\Z")
_TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\Z")
_NS = 1_000_000_000


class BadValueError(OutcryError, ValueError):
    """A field whose text is not a value of its type."""


def parse_nano(raw: bytes) -> int:
    """Return a FIX Price, Qty or Amt in billionths.

    Raises:
        BadValueError: Not a plain decimal (no exponent, no sign but a minus), or out of range.
    """
    if not _DECIMAL.match(raw):
        raise BadValueError("not a plain decimal number")
    try:
        return to_nano(raw.decode("ascii"))
    except BadNumberError as error:
        raise BadValueError("a number that is out of range") from error


def parse_count(raw: bytes) -> int:
    """Return a FIX int or SeqNum that is not negative.

    Raises:
        BadValueError: Not at most 18 digits.
    """
    if not _COUNT.match(raw):
        raise BadValueError("not a whole number")
    return int(raw)


def parse_time(raw: bytes) -> int:
    """Return a FIX UTCTimestamp as UTC nanoseconds; fractions of up to nine digits.

    Raises:
        BadValueError: Not ``YYYYMMDD-HH:MM:SS[.fraction]``, or no such time.
    """
    match = _TIME.match(raw)
    if match is None:
        raise BadValueError("not a UTC time such as 20130107-14:31:00.000")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    leap = second == 60
    try:
        when = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=UTC)
    except ValueError as error:
        raise BadValueError("no such time") from error
    fraction = (match.group(7) or b"0").ljust(9, b"0")
    return (int(when.timestamp()) + leap) * _NS + int(fraction)


def time_text(ns: int) -> str:
    """Return UTC nanoseconds as a FIX UTCTimestamp with milliseconds."""
    seconds, rest = divmod(ns, _NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d-%H:%M:%S}.{rest // 1_000_000:03d}"


def decimal_text(nano: int) -> str:
    """Return billionths as a plain decimal, exactly."""
    return format(from_nano(nano), "f")
