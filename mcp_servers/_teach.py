"""What a model is told when a call cannot be made: which parameter, what was wrong, what is allowed. Not a validator.

The SDK's own text names our classes and a documentation site; nobody can act on that.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

__all__ = ["invalid_arguments", "nearest", "unknown_arguments", "unknown_name"]

_MOST_ERRORS = 4
_MOST_TEXT = 60
_LIMITS: tuple[tuple[str, str], ...] = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "more than"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "less than"),
    ("minLength", "characters, at least"),
    ("maxLength", "characters, at most"),
    ("minItems", "items, at least"),
    ("maxItems", "items, at most"),
    ("pattern", "of the form"),
)


def nearest(wanted: str, known: Iterable[str], shown: int = 3) -> list[str]:
    """Return the names most like the one wanted, the best first."""
    return difflib.get_close_matches(wanted[:_MOST_TEXT], sorted(known), n=shown, cutoff=0.5)


def unknown_name(kind: str, wanted: str, known: Sequence[str]) -> str:
    """Return the text for a tool or prompt that does not exist."""
    near = nearest(wanted, known)
    told = f"Nearest: {', '.join(near)}." if near else f"There are: {', '.join(known)}."
    return f"there is no {kind} {_shown(wanted)}. {told}"


def unknown_arguments(tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """Return the text for arguments a tool does not have, empty when it has them all."""
    known = list(_properties(schema))
    wrong = [name for name in arguments if name not in known]
    if not wrong:
        return ""
    told: list[str] = []
    for name in wrong[:_MOST_ERRORS]:
        near = nearest(name, known, 1)
        told.append(f"{_shown(name)}{f' (did you mean {near[0]}?)' if near else ''}")
    allowed = f"It takes: {', '.join(known)}." if known else "It takes none."
    return f"{tool} was not run: it has no parameter {', '.join(told)}. {allowed}"


def invalid_arguments(tool: str, schema: Mapping[str, Any], error: ValidationError) -> str:
    """Return the text for arguments of a wrong type or value."""
    told: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=True):
        place = [str(part) for part in detail["loc"] if not _is_branch(part)]
        name = place[0] if place else "arguments"
        if name in told:
            continue
        told[name] = _one(".".join(place) or name, _resolved(schema, name), cast("Mapping[str, Any]", detail))
    parts = list(told.values())
    more = f"; and {len(parts) - _MOST_ERRORS} more" if len(parts) > _MOST_ERRORS else ""
    return f"{tool} was not run: {'; '.join(parts[:_MOST_ERRORS])}{more}. Correct this and call again."


def _is_branch(part: str | int) -> bool:
    """Whether pydantic's place names a branch of a union rather than a field."""
    return isinstance(part, str) and not part.isidentifier()


def _one(name: str, schema: Mapping[str, Any], detail: Mapping[str, Any]) -> str:
    kind = str(detail.get("type", ""))
    allowed = _allowed(schema)
    if kind == "missing":
        about = str(schema.get("description", "")).strip().rstrip(".")
        hint = "; ".join(part for part in (about, allowed) if part)
        return f"{name} is missing{f' ({hint})' if hint else ''}"
    given = _shown(detail.get("input"))
    if kind in {"value_error", "assertion_error"}:
        reason = str(detail.get("msg", "")).split(", ", 1)[-1]
        return f"{name} = {given}: {reason}"
    if allowed:
        return f"{name} = {given} is not allowed; allowed: {allowed}"
    reason = str(detail.get("msg", "is not allowed"))
    return f"{name} = {given}: {reason[:1].lower()}{reason[1:]}"


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    branches = cast("list[Mapping[str, Any]]", schema.get("anyOf") or schema.get("oneOf") or [])
    if branches:
        return " or ".join(dict.fromkeys(text for text in map(_allowed, branches) if text))
    kind = schema.get("type")
    if kind == "null":
        return "null"
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS if key in schema]
    if kind == "array":
        items = _allowed(cast("Mapping[str, Any]", schema.get("items", {})))
        return ", ".join(["a list", *([f"each {items}"] if items else []), *limits])
    names = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
    if isinstance(kind, str):
        return ", ".join([names.get(kind, f"a JSON {kind}"), *limits])
    return ", ".join(limits)


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", schema.get("properties", {}))


def _resolved(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a property's schema with its references put in their place."""
    definitions = cast("Mapping[str, Any]", schema.get("$defs", {}))

    def put(value: Any, depth: int) -> Any:
        if depth > 8:
            return {}
        if isinstance(value, Mapping):
            mapping = cast("Mapping[str, Any]", value)
            reference = mapping.get("$ref")
            if isinstance(reference, str):
                target = cast("Mapping[str, Any]", definitions.get(reference.rsplit("/", 1)[-1], {}))
                return {**put(target, depth + 1), **{key: item for key, item in mapping.items() if key != "$ref"}}
            return {key: put(item, depth + 1) for key, item in mapping.items()}
        if isinstance(value, list):
            return [put(item, depth + 1) for item in cast("list[Any]", value)]
        return value

    return cast("Mapping[str, Any]", put(_properties(schema).get(name, {}), 0))


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        text = str(type(value).__name__)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
