"""What a model reads of the tools before it has called any."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import pytest
from mcp.types import Tool
from pydantic import Field, TypeAdapter

from mcp_servers import calendar, news, ohlc
from mcp_servers._app import build_server
from mcp_servers._schema import compact_schema, definition_size
from tests.mcp_market.floor import OPTIONS, Floor
from tests.mcp_market.test_latest import EVERY_TOOL
from tests.mcp_servers.desk import RunningDesk

BUDGETS = {ohlc: 2_900, news: 800, calendar: 1_000}


def tools_of(running: RunningDesk) -> list[Tool]:
    return asyncio.run(build_server(running.desk, OPTIONS).list_tools())


@pytest.mark.requirement("market:definitions")
@pytest.mark.parametrize("module", BUDGETS, ids=lambda module: str(module.__name__))
def test_the_definitions_of_a_server_keep_to_their_size(running: RunningDesk, module: Any) -> None:
    sizes = {tool.name: definition_size(tool) for tool in tools_of(running) if tool.name in module.SCOPES}
    assert set(sizes) == set(module.SCOPES)
    assert sum(sizes.values()) <= BUDGETS[module], sizes


@pytest.mark.requirement("market:definitions")
def test_the_list_of_tools_is_the_same_on_every_start(running: RunningDesk, either: Floor) -> None:
    first = [tool.model_dump_json(by_alias=True) for tool in tools_of(running)]
    assert first == [tool.model_dump_json(by_alias=True) for tool in tools_of(running)]
    listed = either.run(lambda client: client.list_tools()).tools
    assert [tool.name for tool in listed] == list(EVERY_TOOL)


@pytest.mark.requirement("market:definitions")
def test_every_tool_has_an_output_schema_and_says_that_it_only_reads(running: RunningDesk) -> None:
    for tool in tools_of(running):
        assert tool.output_schema is not None
        assert {"as_of", "timezone"} <= set(tool.output_schema["properties"])
        assert tool.annotations is not None
        assert (tool.annotations.read_only_hint, tool.annotations.open_world_hint) == (True, False)
        assert tool.description
        assert "title" not in str(tool.input_schema)


@pytest.mark.requirement("market:schema")
def test_a_compact_schema_says_what_is_accepted_and_no_more() -> None:
    full: dict[str, Any] = {
        "title": "someArguments",
        "type": "object",
        "properties": {
            "title": {"title": "Title", "type": "string"},
            "days": {"title": "Days", "anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None},
            "side": {"title": "Side", "enum": ["", "title"], "default": "title", "type": "string"},
            "both": {"anyOf": [{"type": "string"}, {"type": "number"}], "title": "Both"},
            "flag": {"type": "boolean", "default": True},
            "many": {"type": "array", "items": {"$ref": "#/$defs/One"}, "default": []},
        },
        "required": ["title"],
        "$defs": {"One": {"title": "One", "type": "object", "properties": {"x": {"title": "X", "type": "integer"}}}},
    }
    assert compact_schema(full) == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "days": {"type": "integer", "minimum": 0},
            "side": {"enum": ["", "title"], "default": "title", "type": "string"},
            "both": {"anyOf": [{"type": "string"}, {"type": "number"}]},
            "flag": {"type": "boolean", "default": True},
            "many": {"type": "array", "items": {"$ref": "#/$defs/One"}},
        },
        "required": ["title"],
        "$defs": {"One": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    }
    assert full["title"] == "someArguments"


@pytest.mark.requirement("market:schema")
def test_compacting_twice_changes_nothing() -> None:
    kinds: list[Any] = [
        Annotated[int, Field(ge=1, description="a title")],
        list[Literal["a", "b"]] | None,
        dict[str, float],
    ]
    for kind in kinds:
        once = compact_schema(TypeAdapter(kind).json_schema())
        assert compact_schema(once) == once
        assert "'title'" not in str(once)
