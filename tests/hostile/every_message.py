"""One message of each type of the vocabulary, filled with what its types allow; not meaningful ones."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from bus.messages import Message

__all__ = ["every_message"]

_PLAIN: dict[Any, Any] = {int: 0, str: "", bytes: b"", bool: False, float: 0.0, dict: {}, list: [], tuple: ()}


def _value(kind: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return None if type(None) in get_args(kind) else _value(get_args(kind)[0])
    if origin is Literal:
        return get_args(kind)[0]
    if origin is not None:
        return _PLAIN[origin]
    return _made(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else _PLAIN[kind]


def _made(kind: Any) -> Any:
    hints = get_type_hints(kind)
    needed = [field for field in msgspec.structs.fields(kind) if field.required]
    return kind(**{field.name: _value(hints[field.name]) for field in needed})


def every_message() -> Iterator[Message]:
    """Yield one message of each type."""
    for kind in get_args(Message):
        yield _made(kind)
