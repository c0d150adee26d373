"""Input schemas without what a model does not need: every tool's definition is read on every turn. Not a validator.

Pydantic writes a title for each name and a null branch and default for each parameter that may be left out; a parameter
that is not in ``required`` says the same. Output schemas are left as they are: programs read those.
"""

from __future__ import annotations

import json
from typing import Any, cast

from mcp.server import MCPServer

__all__ = ["compact", "compact_schema", "definition_size"]

_EMPTY: tuple[Any, ...] = (None, "", 0, False, [], {})
_MAPS = {"properties", "$defs"}
_NULL = {"type": "null"}


def compact(server: MCPServer[Any]) -> None:
    """Strip the input schemas of every tool registered so far; what is accepted stays the same."""
    for tool in server._tool_manager.list_tools():  # pyright: ignore[reportPrivateUsage] - the SDK has no public way
        tool.parameters = compact_schema(tool.parameters)


def compact_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without titles, null branches and defaults that say nothing."""
    return cast("dict[str, Any]", _strip(schema))


def definition_size(tool: Any) -> int:
    """Return how many characters of JSON a model reads of a tool: name, description, input schema and annotations."""
    fields = tool.model_dump(by_alias=True, mode="json", exclude_none=True)
    read = {key: fields[key] for key in ("name", "description", "inputSchema", "annotations") if key in fields}
    return len(json.dumps(read, ensure_ascii=False, separators=(",", ":")))


def _strip(value: Any) -> Any:
    if isinstance(value, list):
        return [_strip(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    schema = cast("dict[str, Any]", value)
    branches = cast("list[Any]", schema.get("anyOf") or [])
    if _NULL in branches and len(branches) == 2:
        other = cast("dict[str, Any]", next(branch for branch in branches if branch != _NULL))
        schema = {**other, **{key: item for key, item in schema.items() if key != "anyOf"}}
    stripped: dict[str, Any] = {}
    for key, item in schema.items():
        if (key == "title" and isinstance(item, str)) or (key == "default" and item in _EMPTY):
            continue
        if key in _MAPS and isinstance(item, dict):
            stripped[key] = {name: _strip(inner) for name, inner in cast("dict[str, Any]", item).items()}
        elif key in {"default", "enum", "const", "examples"}:
            stripped[key] = item
        else:
            stripped[key] = _strip(item)
    return stripped
