"""The SDK's server with our manners: every caller judged, every error a text that teaches. Not where tools are.

The SDK raises what went wrong from three public methods; here each is caught once and told in the caller's terms.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from mcp.server import CacheHint, MCPServer
from mcp.server.caching import CacheableMethod
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, RequestStateSecurity
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    SubscribeRequestParams,
    Tool,
    UnsubscribeRequestParams,
)
from pydantic import AnyUrl, ValidationError

from bus.ids import token_bytes
from mcp_servers._middleware import Guard, Refused, outcome_is
from mcp_servers._subscriptions import Subscriptions
from mcp_servers._teach import invalid_arguments, unknown_arguments, unknown_name

__all__ = ["FloorServer"]

_LIST_TTL_MS = 60_000
_CONFIRM_TTL_S = 300.0
_log = logging.getLogger("outcry.mcp")


class FloorServer(MCPServer[Any]):
    """A server of the floor.

    Attributes:
        guard: Who judges its callers.
        changes: Who is told when a resource changes.
    """

    def __init__(
        self,
        name: str,
        version: str,
        instructions: str,
        guard: Guard,
        changes: Subscriptions,
        *,
        private: bool,
    ) -> None:
        """Make a server without tools.

        Args:
            name: What it calls itself.
            version: The release.
            instructions: What a model is told about it.
            guard: Who judges its callers.
            changes: Who is told when a resource changes.
            private: Whether its lists differ from caller to caller, so that they may not be cached for several.
        """
        self.guard = guard
        self.changes = changes
        lists = CacheHint(ttl_ms=_LIST_TTL_MS, scope="private" if private else "public")
        methods: tuple[CacheableMethod, ...] = (
            "tools/list",
            "prompts/list",
            "resources/list",
            "resources/templates/list",
        )
        hints: dict[CacheableMethod, CacheHint] = dict.fromkeys(methods, lists)
        super().__init__(
            name,
            version=version,
            instructions=instructions,
            log_level="WARNING",
            cache_hints={**hints, "resources/read": CacheHint(ttl_ms=0, scope="private")},
            request_state_security=RequestStateSecurity(keys=[token_bytes(32)], ttl=_CONFIRM_TTL_S),
            subscriptions=changes,
            middleware=[guard],
        )
        # The SDK serves the modern listen stream only; older clients subscribe with these two.
        handlers = self._lowlevel_server
        handlers.add_request_handler("resources/subscribe", SubscribeRequestParams, self._follow)
        handlers.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, changes.unfollow)

    async def list_tools(self) -> list[Tool]:
        """List the tools that the caller's token allows, always in one order."""
        return [tool for tool in await super().list_tools() if self.guard.may_see(tool.name)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Run a tool.

        Raises:
            ToolError: With a text that says what was wrong, what is allowed and what to do next.
        """
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            outcome_is("invalid")
            raise ToolError(unknown_name("tool", name, [tool.name for tool in await self.list_tools()]))
        if context is not None:
            try:
                self.guard.admit(context.request_context, "tool", name, self.guard.scopes.get(name, ""))
            except Refused as refusal:
                raise ToolError(str(refusal)) from refusal
        told = unknown_arguments(name, tool.parameters, arguments)
        if told:
            outcome_is("invalid")
            raise ToolError(told)
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            _log.exception("tool %s failed", name, exc_info=error.__cause__ or error)
            outcome_is("failed")
            raise ToolError(
                f"{name} failed inside this server, not because of your arguments. Whether it had an effect is not "
                "known: look before you repeat it. A person finds why in the server's log."
            ) from error
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, ValidationError):
                outcome_is("invalid")
                raise ToolError(invalid_arguments(name, tool.parameters, cause)) from error
            raise ToolError(str(cause) if isinstance(cause, ToolError | ResourceError) else str(error)) from error

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource.

        Raises:
            ResourceError: With a text that says what is wrong and what there is.
        """
        if context is not None and context.request_context.method == "resources/read":
            self._admit_uri(context.request_context, str(uri))
        try:
            return await super().read_resource(uri, context)
        except ResourceNotFoundError as error:
            if isinstance(error.__cause__, ToolError):
                raise ResourceNotFoundError(str(error.__cause__)) from error
            known = [str(item.uri) for item in await self.list_resources()]
            known += [item.uri_template for item in await self.list_resource_templates()]
            raise ResourceNotFoundError(f"{error}. There are: {', '.join(known) or 'no resources here'}.") from error
        except UnexpectedResourceError as error:
            if isinstance(error.__cause__, ToolError):
                raise ResourceError(str(error.__cause__)) from error
            _log.exception("resource %s failed", str(uri)[:200], exc_info=error.__cause__ or error)
            outcome_is("failed")
            raise ResourceError(
                f"reading {str(uri)[:200]} failed inside this server; a person finds why in its log."
            ) from error

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Render a prompt.

        Raises:
            MCPError: With a text that says what is wrong and what is allowed.
        """
        prompts = {prompt.name: prompt for prompt in await self.list_prompts()}
        prompt = prompts.get(name)
        if prompt is None:
            raise MCPError(code=INVALID_PARAMS, message=unknown_name("prompt", name, list(prompts)))
        if context is not None:
            self._admit(context.request_context, "prompt", name, "")
        known = {argument.name: bool(argument.required) for argument in prompt.arguments or []}
        sent = arguments or {}
        wrong = unknown_arguments(name, {"properties": known}, sent)
        missing = [argument for argument, required in known.items() if required and argument not in sent]
        if wrong or missing:
            outcome_is("invalid")
            message = wrong or f"prompt {name} was not made: {', '.join(missing)} is missing. Add it and ask again."
            raise MCPError(code=INVALID_PARAMS, message=message)
        try:
            return await super().get_prompt(name, arguments, context)
        except ValueError as error:
            cause = error.__cause__.__cause__ if error.__cause__ is not None else None
            if isinstance(cause, ToolError | ResourceError):
                raise MCPError(code=INVALID_PARAMS, message=str(cause)) from error
            if isinstance(cause, ValidationError):
                outcome_is("invalid")
                raise MCPError(code=INVALID_PARAMS, message=invalid_arguments(name, {}, cause)) from error
            _log.exception("prompt %s failed", name)
            outcome_is("failed")
            raise MCPError(
                code=INTERNAL_ERROR, message=f"prompt {name} failed inside this server; a person finds why in its log."
            ) from error

    async def run_streams(self, reads: Any, writes: Any) -> None:
        """Serve one client over a pair of the SDK's streams until they end."""
        await self._lowlevel_server.run(reads, writes, self._lowlevel_server.create_initialization_options())

    async def _follow(self, ctx: Any, params: SubscribeRequestParams) -> Any:
        self._admit_uri(ctx, str(params.uri))
        return await self.changes.follow(ctx, params)

    def _admit_uri(self, ctx: Any, uri: str) -> None:
        try:
            self.guard.admit_uri(ctx, uri)
        except Refused as refusal:
            raise MCPError(code=INVALID_REQUEST, message=str(refusal)) from refusal

    def _admit(self, ctx: Any, kind: str, name: str, scope: str) -> None:
        try:
            self.guard.admit(ctx, kind, name, scope)
        except Refused as refusal:
            raise MCPError(code=INVALID_REQUEST, message=str(refusal)) from refusal
