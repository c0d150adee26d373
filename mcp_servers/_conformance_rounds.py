"""The conformance suite's tools that ask back in rounds (SEP-2322). Not part of the product, which uses ``Resolve``."""

from __future__ import annotations

import json
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

__all__ = ["register_rounds"]

_Answer = CallToolResult | InputRequiredResult


def _text(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def _elicit(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, most: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=most))


def _given(ctx: Context[Any, Any], key: str) -> dict[str, Any] | None:
    """Return what a person filled in under a key; None when it was not asked yet, declined, or is no answer."""
    answer = (ctx.input_responses or {}).get(key)
    if isinstance(answer, ElicitResult) and answer.action == "accept":
        return dict(answer.content or {})
    return None


def register_rounds(server: MCPServer[Any]) -> None:
    """Register the tools and the prompt."""
    _single(server)
    _stateful(server)
    _capabilities(server)


def _single(server: MCPServer[Any]) -> None:
    @server.tool()
    async def test_input_required_result_elicitation(ctx: Context[Any, Any]) -> _Answer:
        """Ask for a name."""
        given = _given(ctx, "user_name")
        if given is None or not isinstance(given.get("name"), str):
            return InputRequiredResult(input_requests={"user_name": _elicit("What is your name?", "name")})
        return _text(f"Hello, {given['name']}!")

    @server.tool()
    async def test_input_required_result_sampling(ctx: Context[Any, Any]) -> _Answer:
        """Ask the client's model."""
        answer = (ctx.input_responses or {}).get("capital_question")
        if not isinstance(answer, CreateMessageResult):
            return InputRequiredResult(input_requests={"capital_question": _sample("What is the capital of France?")})
        return _text(answer.content.text if isinstance(answer.content, TextContent) else "no text")

    @server.tool()
    async def test_input_required_result_list_roots(ctx: Context[Any, Any]) -> _Answer:
        """Ask for the client's roots."""
        answer = (ctx.input_responses or {}).get("client_roots")
        if not isinstance(answer, ListRootsResult):
            return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
        return _text(", ".join(str(root.uri) for root in answer.roots))

    @server.tool()
    async def test_streaming_elicitation(ctx: Context[Any, Any]) -> _Answer:
        """Report progress, then ask."""
        await ctx.report_progress(1, 2)
        if _given(ctx, "user_name") is None:
            return InputRequiredResult(input_requests={"user_name": _elicit("What is your name?", "name")})
        return _text("done")

    @server.prompt()
    async def test_input_required_result_prompt(ctx: Context[Any, Any]) -> str | InputRequiredResult:
        """A prompt that asks first."""
        given = _given(ctx, "user_context")
        if given is None:
            asked = _elicit("What context should the prompt use?", "context")
            return InputRequiredResult(input_requests={"user_context": asked})
        return f"Use this context: {given.get('context')}"


def _stateful(server: MCPServer[Any]) -> None:
    def confirm(ctx: Context[Any, Any], state: str, told: str) -> _Answer:
        given = _given(ctx, "confirm")
        if given is None:
            asked = _elicit("Please confirm", "ok", "boolean")
            return InputRequiredResult(input_requests={"confirm": asked}, request_state=state)
        if ctx.request_state != state:
            raise MCPError(code=INVALID_PARAMS, message="the request state is not the one that was given out")
        return _text(told)

    @server.tool()
    async def test_input_required_result_request_state(ctx: Context[Any, Any]) -> _Answer:
        """Ask, and check the state that comes back."""
        return confirm(ctx, "round-1", "state-ok")

    @server.tool()
    async def test_input_required_result_tampered_state(ctx: Context[Any, Any]) -> _Answer:
        """Ask, with a state that may not be changed on its way."""
        return confirm(ctx, "sealed", "state-ok")

    @server.tool()
    async def test_input_required_result_multi_round(ctx: Context[Any, Any]) -> _Answer:
        """Ask twice."""
        state: dict[str, Any] = json.loads(ctx.request_state) if ctx.request_state else {}
        first = _given(ctx, "step1")
        name = first.get("name") if first is not None else state.get("name")
        if name is None:
            asked = _elicit("Step 1: What is your name?", "name")
            return InputRequiredResult(input_requests={"step1": asked}, request_state=json.dumps({"round": 1}))
        second = _given(ctx, "step2")
        if second is None:
            asked = _elicit("Step 2: What is your favorite color?", "color")
            return InputRequiredResult(input_requests={"step2": asked}, request_state=json.dumps({"name": name}))
        return _text(f"{name} likes {second.get('color')}")

    @server.tool()
    async def test_input_required_result_multiple_inputs(ctx: Context[Any, Any]) -> _Answer:
        """Ask three things at once."""
        asked = {
            "user_name": _elicit("What is your name?", "name"),
            "greeting": _sample("Generate a greeting", 50),
            "client_roots": ListRootsRequest(),
        }
        if set(asked) - set(ctx.input_responses or {}):
            return InputRequiredResult(input_requests=dict(asked), request_state="three")
        return _text("All three came.")


def _capabilities(server: MCPServer[Any]) -> None:
    @server.tool()
    async def test_input_required_result_capabilities(ctx: Context[Any, Any]) -> _Answer:
        """Ask only for what the client can do."""
        can = ctx.client_capabilities
        if ctx.input_responses:
            return _text("answered")
        if can is not None and can.sampling is not None:
            return InputRequiredResult(input_requests={"question": _sample("What is the capital of France?")})
        if can is not None and can.elicitation is not None:
            return InputRequiredResult(input_requests={"user_name": _elicit("What is your name?", "name")})
        return _text("This client cannot be asked.")

    @server.tool()
    async def test_missing_capability(ctx: Context[Any, Any]) -> CallToolResult:
        """Refuse a client that has no model to ask."""
        can = ctx.client_capabilities
        if can is None or can.sampling is None:
            raise MCPError(
                code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                message="This tool asks the client's model, and the client declared no sampling.",
                data={"requiredCapabilities": {"sampling": {}}},
            )
        return _text("The client has a model.")
