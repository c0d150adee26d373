"""Who may call what and how often, and a record of it. Not the risk gate: that judges orders, this judges callers.

Scopes and rates are enforced where the server runs a call (``Guard.admit``), so that a refusal reaches the model as a
tool's answer on both protocol eras; the record is written around every request (``Guard.__call__``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST
from pydantic import BaseModel, ValidationError

from bus.clock import monotonic_ns
from bus.errors import JournalError
from mcp_servers._audit import Audit, Call
from mcp_servers._rate import RateLimits
from mcp_servers.options import ServerOptions

__all__ = ["Guard", "Refused", "outcome_is"]

_AUDITED = {
    "tools/call": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
    "prompts/get": "name",
    "subscriptions/listen": "",
}
_ORDERS = "orders:write"
_MOST_FOLLOWED = 200
_outcome: ContextVar[list[str] | None] = ContextVar("outcome", default=None)
_log = logging.getLogger("outcry.mcp")


class Refused(Exception):
    """A caller who may not do this, or not now; the text says which and what to do."""


def outcome_is(outcome: str) -> None:
    """Note how the present call ends, for its record."""
    notes = _outcome.get()
    if notes is not None:
        notes.append(outcome)


class Guard:
    """Judges callers for the servers of one process and writes their calls down."""

    def __init__(self, options: ServerOptions, audit: Audit | None = None, limits: RateLimits | None = None) -> None:
        """Start with no calls counted.

        Args:
            options: The limits, whether tokens are asked for, and where calls are written down.
            audit: The record; None opens the one of ``options``.
            limits: The counters; None starts new ones.

        Raises:
            ConfigError: The record cannot be written.
        """
        self._options = options
        self._audit = Audit(options.audit_file) if audit is None else audit
        self._limits = RateLimits() if limits is None else limits
        self.scopes: dict[str, str] = {}
        self.resource_scopes: dict[str, str] = {}

    def close(self) -> None:
        """Close the record."""
        self._audit.close()

    def admit(self, ctx: ServerRequestContext[Any, Any], kind: str, name: str, scope: str) -> None:
        """Let a call through and count it.

        Args:
            ctx: The request.
            kind: ``tool``, ``resource`` or ``prompt``.
            name: Its name; for resources the scheme.
            scope: What its caller needs; empty is nothing.

        Raises:
            Refused: The caller may not, or not so often.
        """
        token = get_access_token()
        over_http = ctx.request is not None
        if over_http and self._options.tokens_file is not None and token is None:
            outcome_is("refused")
            raise Refused("this server asks for a bearer token. Ask its operator for one.")
        if token is not None and scope and scope not in token.scopes:
            outcome_is("refused")
            raise Refused(
                f"{kind} {name} needs the scope {scope}, and this token has {', '.join(token.scopes)}. "
                "Do not retry; a token with that scope comes from the operator (`outcry mcp token`)."
            )
        limit = self._options.order_calls_per_minute if scope == _ORDERS else self._options.calls_per_minute
        wait_s = self._limits.take(self.client(ctx), f"{kind} {name}", limit)
        if wait_s > 0:
            outcome_is("refused")
            raise Refused(
                f"{kind} {name} may be called {limit} times a minute by one client; that many were. "
                f"Nothing was done. Call again in {wait_s:.0f} s."
                if wait_s >= 1
                else f"{kind} {name} may be called {limit} times a minute by one client. Call again in a second."
            )

    def admit_uri(self, ctx: ServerRequestContext[Any, Any], uri: str) -> None:
        """Let a resource be read or followed, by the scope of its scheme.

        Raises:
            Refused: The caller may not, or not so often.
        """
        scheme = uri.split(":", 1)[0][:40]
        self.admit(ctx, "resource", scheme, self.resource_scopes.get(scheme, ""))

    def may_see(self, tool: str) -> bool:
        """Tell whether the caller's token allows a tool, so that others need not be listed."""
        token = get_access_token()
        scope = self.scopes.get(tool, "")
        return token is None or not scope or scope in token.scopes

    def client(self, ctx: ServerRequestContext[Any, Any]) -> str:
        """Return who calls, by what cannot be made up: the token's client, or the address, or ``local``."""
        token = get_access_token()
        if token is not None:
            return token.client_id
        if ctx.request is None:
            return "local"
        peer = getattr(ctx.request, "client", None)
        return f"http:{peer.host}" if peer is not None else "http"

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Run one request and write down how it ended; nothing unexpected reaches the wire."""
        if ctx.method not in _AUDITED or ctx.request_id is None:
            return await self._safely(ctx, call_next)
        call = self._call(ctx)
        notes: list[str] = []
        reset = _outcome.set(notes)
        began = monotonic_ns()
        try:
            if self.scopes.get(call.name) == _ORDERS and ctx.method == "tools/call":
                self._audit.started(call)
            if ctx.method == "subscriptions/listen":
                self._admit_listener(ctx)
            result = await self._safely(ctx, call_next)
        except JournalError as error:
            _log.critical("%s", error)
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"{call.name} was not run: its audit record cannot be written. A person must free space or "
                "name another audit file; reading tools still work.",
            ) from error
        except MCPError as error:
            self._ended(call, notes[-1] if notes else "error", f"{error.error.code}: {error.error.message}", began)
            raise
        except asyncio.CancelledError:
            self._ended(call, "cancelled", "", began)
            raise
        finally:
            _outcome.reset(reset)
        outcome, detail = _judge(result)
        self._ended(call, notes[-1] if notes else outcome, detail, began)
        return result

    def _admit_listener(self, ctx: ServerRequestContext[Any, Any]) -> None:
        """Judge every resource that a stream wants to follow; the SDK opens it without asking who may."""
        wanted: object = (ctx.params or {}).get("notifications")
        uris: object = cast("Mapping[str, object]", wanted).get("resourceSubscriptions") if _is_map(wanted) else None
        listed = [str(uri) for uri in cast("list[object]", uris)] if isinstance(uris, list) else []
        if len(listed) > _MOST_FOLLOWED:
            raise MCPError(code=INVALID_PARAMS, message=f"one stream follows at most {_MOST_FOLLOWED} resources.")
        try:
            for uri in {uri.split(":", 1)[0]: uri for uri in listed}.values():
                self.admit_uri(ctx, uri)
        except Refused as refusal:
            raise MCPError(code=INVALID_REQUEST, message=str(refusal)) from refusal

    async def _safely(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        try:
            return await call_next(ctx)
        except MCPError:
            raise
        except ValidationError as error:
            outcome_is("invalid")
            raise MCPError(code=INVALID_PARAMS, message=_malformed(ctx.method, error)) from error
        except Exception as error:
            _log.exception("%s failed", ctx.method)
            outcome_is("failed")
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"{ctx.method} failed inside this server; a person finds why in its log.",
            ) from error

    def _ended(self, call: Call, outcome: str, detail: str, began: int) -> None:
        try:
            self._audit.ended(call, outcome, detail, monotonic_ns() - began)
        except JournalError as error:
            _log.critical("a call was not written down: %s", error)

    def _call(self, ctx: ServerRequestContext[Any, Any]) -> Call:
        params: Mapping[str, Any] = ctx.params or {}
        info = ctx.session.client_params.client_info if ctx.session.client_params is not None else None
        key = _AUDITED[ctx.method]
        sent: object = params.get("arguments") if key == "name" else params.get("notifications")
        return Call(
            client=self.client(ctx),
            agent=f"{info.name} {info.version}" if info is not None else "",
            transport="stdio" if ctx.request is None else "http",
            era=ctx.protocol_version,
            method=ctx.method,
            name=str(params.get(key, "")),
            arguments=cast("Mapping[str, Any]", sent) if isinstance(sent, Mapping) else {},
        )


def _malformed(method: str, error: ValidationError) -> str:
    """Return what is wrong with a request itself; not with a tool's arguments, which are judged later."""
    details = error.errors(include_url=False, include_input=False, include_context=False)[:3]
    told = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg'].lower()}" for detail in details]
    why = "; ".join(told).replace("valid dictionary", "JSON object")
    return f"{method} is malformed: {why}. Send it as the protocol says."


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


def _judge(result: HandlerResult) -> tuple[str, str]:
    """Return a result's outcome and, when it is an error, its text."""
    fields = result.model_dump(by_alias=True, mode="json") if isinstance(result, BaseModel) else result or {}
    if fields.get("resultType") == "input_required":
        return "asked", ""
    if fields.get("isError"):
        content = cast("list[Mapping[str, Any]]", fields.get("content") or [{}])
        return "error", str(content[0].get("text", ""))
    return "ok", ""
