"""An answer in two forms: the text a model reads and the structure a program reads. Not a place of facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.types import CallToolResult, TextContent

__all__ = ["answer"]


def answer(text: str, structured: Mapping[str, Any]) -> CallToolResult:
    """Return a tool's answer; declare the tool as ``-> Annotated[CallToolResult, Model]`` to keep its output schema.

    Args:
        text: The compact form; what a model reads.
        structured: What fits the model's schema, of JSON types only.
    """
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=dict(structured))
