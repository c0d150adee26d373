"""Turns a TOML table into a frozen struct of integers, so that a limit or a fee is declared once, by its owner.

``max_order_notional = 5000.5`` sets ``max_order_notional_nano``, ``max_price_age_s = 900`` sets ``max_price_age_ns``.
Not a check of ranges: that is the owner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from bus.errors import BadNumberError, ConfigError
from bus.fixed import to_nano
from outcry.config import nearest

__all__ = ["with_table"]

_NANO, _NS = "_nano", "_ns"
_S = TypeVar("_S", bound=msgspec.Struct)


def _refuse(section: str, key: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(f"{section}.{key} = {_plain(value)} cannot be used; allowed is {allowed}")


def _plain(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)


def _key(name: str) -> str:
    """Return what a person writes for a field: whole units for billionths, seconds for nanoseconds."""
    if name.endswith(_NANO):
        return name.removesuffix(_NANO)
    return f"{name.removesuffix(_NS)}_s" if name.endswith(_NS) else name


def _scalar(section: str, key: str, value: object, kind: object, *, nano: bool) -> object:
    if nano:
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise _refuse(section, key, value, "a decimal number, such as 5000 or 187.25")
        try:
            return to_nano(value)
        except BadNumberError as error:
            raise _refuse(section, key, value, f"a decimal number that fits ({error})") from error
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if kind is float and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return float(value)
    if kind in wanted and (not isinstance(value, cast("type", kind)) or (kind is int and isinstance(value, bool))):
        raise _refuse(section, key, value, wanted[cast("type", kind)])
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise _refuse(section, key, value, "one of " + ", ".join(map(repr, get_args(kind))))
    return value


def _value(section: str, key: str, value: object, kind: object, *, nano: bool) -> object:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        kinds = [one for one in get_args(kind) if one is not type(None)]
        return _value(section, key, value, kinds[0], nano=nano) if kinds else value
    if origin in (tuple, frozenset, list, set):
        if not isinstance(value, list):
            raise _refuse(section, key, value, "a list")
        inner = next((one for one in get_args(kind) if one is not Ellipsis), object)
        items = [_scalar(section, key, one, inner, nano=nano) for one in cast("list[object]", value)]
        return cast("type", origin)(items)
    if origin is dict:
        if not isinstance(value, dict):
            raise _refuse(section, key, value, "a table")
        inner = get_args(kind)[1]
        table = cast("dict[str, object]", value)
        return {name: _scalar(section, f"{key}.{name}", one, inner, nano=nano) for name, one in table.items()}
    return _scalar(section, key, value, kind, nano=nano)


def with_table(section: str, base: _S, table: Mapping[str, object]) -> _S:
    """Return the struct with a table's values in place of its own.

    Args:
        section: The section's name, for messages.
        base: The defaults. Its ``*_nano`` fields are set by keys without that ending, in whole units, its ``*_ns``
            fields by keys that end in ``_s``, in seconds.
        table: Key → TOML value.

    Raises:
        ConfigError: A key is unknown or its value is of the wrong type.
    """
    hints: dict[str, Any] = get_type_hints(type(base))
    fields = {_key(name): name for name in type(base).__struct_fields__}
    changes: dict[str, object] = {}
    for key, value in table.items():
        if key not in fields:
            raise ConfigError(
                f"unknown key '{section}.{key}'{nearest(key, list(fields))}; allowed here: {', '.join(sorted(fields))}"
            )
        name = fields[key]
        changes[name] = _value(section, key, value, hints[name], nano=name.endswith((_NANO, _NS)))
    try:
        return msgspec.structs.replace(base, **changes)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"[{section}] cannot be used: {error}; correct the table and start again") from error
