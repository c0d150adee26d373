"""Which messages can be understood: required fields and formats, with the reject reasons of FIX 4.4 (tag 373).

Not a data dictionary: only what is used is checked. A tag that is not known here, or not defined for its message, is
passed over on purpose: a refused execution report would be a lost fill.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from execution.fix.codec import Message
from execution.fix.values import BadValueError, parse_count, parse_nano, parse_time

__all__ = ["ADMIN", "Flaw", "flaw"]

ADMIN = frozenset("A012345")
"""Session messages; everything else is for the application."""

_REQUIRED: Mapping[str, tuple[int, ...]] = {
    "A": (98, 108),
    "1": (112,),
    "2": (7, 16),
    "3": (45,),
    "4": (36,),
    "8": (37, 17, 150, 39, 54, 151, 14, 6),
    "9": (37, 11, 41, 39, 434),
    "j": (372, 380),
    "AO": (721, 728),
    "AP": (721, 728),
}
_KNOWN = frozenset(_REQUIRED) | {"0", "5"}
_HEADER = frozenset(
    (
        8,
        9,
        35,
        49,
        56,
        115,
        128,
        90,
        91,
        34,
        50,
        142,
        57,
        143,
        116,
        144,
        129,
        145,
        43,
        97,
        52,
        122,
        212,
        213,
        347,
        369,
        627,
        628,
        629,
        630,
    )
)


def _char(allowed: bytes) -> Callable[[bytes], object]:
    def check(raw: bytes) -> None:
        if len(raw) != 1 or raw not in allowed:
            raise _OutOfRangeError

    return check


class _OutOfRangeError(Exception):
    pass


_FORMATS: Mapping[int, Callable[[bytes], object]] = {
    7: parse_count,
    16: parse_count,
    34: parse_count,
    36: parse_count,
    45: parse_count,
    108: parse_count,
    98: _char(b"0123456"),
    43: _char(b"YN"),
    97: _char(b"YN"),
    123: _char(b"YN"),
    141: _char(b"YN"),
    52: parse_time,
    122: parse_time,
    60: parse_time,
    6: parse_nano,
    12: parse_nano,
    14: parse_nano,
    31: parse_nano,
    32: parse_nano,
    38: parse_nano,
    44: parse_nano,
    99: parse_nano,
    151: parse_nano,
    54: _char(b"123456789ABCDEFG"),
    39: _char(b"0123456789ABCDE"),
    150: _char(b"0123456789ABCDEFGHIL"),
    434: _char(b"12"),
    911: parse_count,
}
_ONCE = frozenset(_FORMATS) | {11, 17, 19, 37, 41, 49, 55, 56, 112}
_TRADE = frozenset("FG12")
_MOST_TAG = 2**31


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a message is refused: SessionRejectReason (373), the tag it is about (371, 0 for none) and words (58)."""

    reason: int
    tag: int
    text: str


def flaw(message: Message) -> Flaw | None:
    """Return what is wrong with a message, or None. CompIDs, times and numbers in sequence are the session's."""
    if message.msg_type not in _KNOWN:
        return Flaw(11, 35, "Invalid MsgType")
    return _fields(message) or _missing(message) or _formats(message)


def _fields(message: Message) -> Flaw | None:
    body = False
    for tag, value in message.fields[:-1]:
        if not 0 < tag < _MOST_TAG:
            return Flaw(0, max(0, min(tag, _MOST_TAG)), "Invalid tag number")
        if not value:
            return Flaw(4, tag, "Tag specified without a value")
        if tag in _HEADER:
            if body:
                return Flaw(14, tag, "Tag specified out of required order")
        else:
            body = True
    counts = Counter(tag for tag, _ in message.fields)
    once = _ONCE - {55, 54} if message.msg_type == "AP" else _ONCE
    twice = next((tag for tag in once if counts[tag] > 1), None)
    return Flaw(13, twice, "Tag appears more than once") if twice is not None else None


def _missing(message: Message) -> Flaw | None:
    required = _REQUIRED.get(message.msg_type, ())
    if message.msg_type == "8" and message.text(150) in _TRADE:
        required += (31, 32)
    if message.msg_type == "8" and message.text(150) in {"G", "H"}:
        required += (19,)
    absent = next((tag for tag in required if message.raw(tag) is None), None)
    return Flaw(1, absent, "Required tag missing") if absent is not None else None


def _formats(message: Message) -> Flaw | None:
    for tag, check in _FORMATS.items():
        raw = message.raw(tag)
        if raw is None:
            continue
        try:
            check(raw)
        except BadValueError:
            return Flaw(6, tag, "Incorrect data format for value")
        except _OutOfRangeError:
            return Flaw(5, tag, "Value is incorrect (out of range) for this tag")
    return None
