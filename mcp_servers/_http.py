"""Streamable HTTP: who may connect from where, and a server that starts and stops cleanly. Not where calls are judged.

It binds to loopback unless told, and to nothing else without tokens. Sessions of the older protocol are kept, and
answered as event streams, because only so can a person be asked to confirm an order; the newer one needs neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import uvicorn
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bus.errors import BindError, ConfigError
from mcp_servers._auth import SCOPES, TokenFile
from mcp_servers._server import FloorServer
from mcp_servers.options import ServerOptions

__all__ = ["PATH", "check_exposure", "http_app", "is_loopback", "listen_on", "serve_http"]

PATH = "/mcp"
"""Where all servers together are; one server alone is at ``/NAME/mcp``."""

_MOST_SESSIONS = 1_000
_GRACE_S = 2
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_log = logging.getLogger("outcry.mcp")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can connect to an address; a name other than ``localhost`` counts as public."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(options: ServerOptions) -> None:
    """Refuse what would open the desk to strangers.

    Raises:
        ConfigError: A public address without tokens, a wildcard origin, or an audience that is no URL.
    """
    if not is_loopback(options.host) and options.tokens_file is None:
        raise ConfigError(
            f"{options.host!r} can be reached from other machines, and there are no tokens: anybody there could use "
            "this desk. Make a token (`outcry mcp token`) and name its file in mcp.tokens_file, or listen on 127.0.0.1."
        )
    if "*" in options.allowed_origins or "*" in options.allowed_hosts:
        raise ConfigError("allowed origins and hosts are named one by one (http://NAME:PORT, NAME:PORT), never '*'.")
    if options.public_url:
        try:
            AnyHttpUrl(options.public_url)
        except ValidationError as error:
            raise ConfigError(
                f"{options.public_url!r} is no http or https URL, for example https://desk/mcp."
            ) from error


def listen_on(options: ServerOptions) -> socket.socket:
    """Bind the address; the port is known afterwards, also when 0 was asked for.

    Raises:
        BindError: The address is taken or not this machine's.
        ConfigError: The address may not be served.
    """
    check_exposure(options)
    host = options.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, options.port, type=socket.SOCK_STREAM)[0][0]
        # The protocol is named because asyncio turns off Nagle only on sockets that say TCP: 40 ms a call otherwise.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, options.port))
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise BindError(
            f"{options.host}:{options.port} cannot be served: {error.strerror}. Choose another --port; 0 is a free one."
        ) from error
    listener.setblocking(False)
    return listener


def http_app(
    server: FloorServer, options: ServerOptions, parts: Mapping[str, FloorServer] | None = None, port: int = 0
) -> Starlette:
    """Return the ASGI application.

    Args:
        server: All servers in one; served at ``/mcp``.
        options: Tokens, hosts, origins and sizes.
        parts: Single servers of the same process by name; served at ``/NAME/mcp``.
        port: The port that is listened on; 0 is the one of ``options``.

    Raises:
        ConfigError: What ``check_exposure`` refuses, or a tokens file that cannot be used.
    """
    check_exposure(options)
    port = port or options.port
    places = {PATH: server, **{f"/{name}{PATH}": part for name, part in (parts or {}).items()}}
    access = _Access.of(options, port)
    routes: list[BaseRoute] = []
    for path, part in places.items():
        part.streamable_http_app(
            streamable_http_path=path,
            json_response=False,
            stateless_http=False,
            max_request_body_size=options.max_body_bytes,
            max_sessions=_MOST_SESSIONS,
            transport_security=_security(options, port),
            host=options.host,
        )
        endpoint: ASGIApp = StreamableHTTPASGIApp(part.session_manager)
        routes.append(Route(path, endpoint=access.protect(endpoint)))
    routes.extend(access.routes)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for part in places.values():
                await stack.enter_async_context(part.session_manager.run())
            yield

    return Starlette(routes=routes, middleware=[*_pages(options), *access.middleware], lifespan=lifespan)


async def serve_http(
    server: FloorServer,
    options: ServerOptions,
    parts: Mapping[str, FloorServer] | None = None,
    on_ready: Callable[[str], None] | None = None,
    listener: socket.socket | None = None,
) -> signal.Signals | None:
    """Serve until SIGINT or SIGTERM, or until cancelled; returns once every connection is closed.

    Args:
        server: All servers in one.
        options: Where and how.
        parts: Single servers by name.
        on_ready: Called with the URL when connections are accepted.
        listener: A bound socket; None binds the address of ``options``.

    Returns:
        The signal that ended it.

    Raises:
        ConfigError: The address may not be served.
        BindError: It is taken.
    """
    bound = listen_on(options) if listener is None else listener
    port = int(bound.getsockname()[1])
    streams = _Streams(http_app(server, options, parts, port))
    config = uvicorn.Config(
        streams,
        log_config=None,
        access_log=False,
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S + 1,
    )
    if not is_loopback(options.host):
        _log.warning("tokens travel over plain HTTP on %s: put TLS in front of this address", options.host)
    running = _Uvicorn(config, streams)
    loop = asyncio.get_running_loop()
    stops = (signal.SIGINT, signal.SIGTERM)
    # asyncio takes signals on Unix, in the main thread, only; elsewhere who started us cancels instead.
    for number in stops:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, running.stop, number)
    serving = asyncio.create_task(running.serve(sockets=[bound]))
    try:
        while not running.started and not serving.done():
            await asyncio.wait({serving}, timeout=0.01)
        if on_ready is not None and running.started:
            on_ready(_url(options, port))
        await asyncio.shield(serving)
        return running.ended_by
    except asyncio.CancelledError:
        running.stop()
        await serving
        raise
    finally:
        for number in stops:
            # Where none could be set above, none can be taken away.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
        bound.close()


class _Streams:
    """The application with its open streams known, so that a stop ends them instead of waiting for their clients."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._scopes: dict[anyio.CancelScope, bool] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = ended = False

        async def tracked(message: Message) -> None:
            nonlocal started, ended
            started = started or message["type"] == "http.response.start"
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        with anyio.CancelScope() as cancel:
            self._scopes[cancel] = scope["method"] == "GET"
            try:
                await self._app(scope, receive, tracked)
            finally:
                del self._scopes[cancel]
        if not started:
            await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
        if not ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def end(self) -> None:
        """End the streams that only listen now, and calls that are not answered within the grace."""
        for cancel, listens in list(self._scopes.items()):
            if listens:
                cancel.cancel()
        with anyio.move_on_after(_GRACE_S):
            while self._scopes:
                await asyncio.sleep(0.02)
        for cancel in list(self._scopes):
            cancel.cancel()


class _Uvicorn(uvicorn.Server):
    """Uvicorn that leaves the process's signals to us: its own handling kills the process after its clean stop."""

    def __init__(self, config: uvicorn.Config, streams: _Streams) -> None:
        super().__init__(config)
        self._streams = streams
        self._ending: asyncio.Task[None] | None = None
        self.ended_by: signal.Signals | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def stop(self, number: signal.Signals | None = None) -> None:
        self.should_exit = True
        self.ended_by = self.ended_by or number
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._streams.end())


@dataclass(frozen=True)
class _Access:
    """What authentication adds to the application; nothing where there are no tokens."""

    middleware: list[Middleware]
    routes: list[BaseRoute]
    metadata_url: AnyHttpUrl | None

    @classmethod
    def of(cls, options: ServerOptions, port: int) -> _Access:
        if options.tokens_file is None:
            return cls([], [], None)
        audience = AnyHttpUrl(_url(options, port))
        verifier = TokenFile(options.tokens_file)
        middleware = [
            Middleware(AuthenticationMiddleware, backend=BearerAuthBackend(verifier, resource_server_url=audience)),
            Middleware(AuthContextMiddleware),
        ]
        parts = urlsplit(str(audience))
        path = f"/.well-known/oauth-protected-resource{parts.path.rstrip('/')}"

        async def metadata(_request: Request) -> JSONResponse:
            told = {
                "resource": str(audience),
                "scopes_supported": list(SCOPES),
                "bearer_methods_supported": ["header"],
                "resource_name": "Open Outcry",
            }
            return JSONResponse(told, headers={"Access-Control-Allow-Origin": "*"})

        url = AnyHttpUrl(f"{parts.scheme}://{parts.netloc}{path}")
        return cls(middleware, [Route(path, endpoint=metadata, methods=["GET"])], url)

    def protect(self, endpoint: ASGIApp) -> ASGIApp:
        if self.metadata_url is None:
            return endpoint
        return RequireAuthMiddleware(endpoint, [], self.metadata_url)


def _url(options: ServerOptions, port: int) -> str:
    if options.public_url:
        return options.public_url
    host = options.host.strip("[]")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


def _pages(options: ServerOptions) -> list[Middleware]:
    """Return what lets a browser's page that was named read the answers; nothing where none was."""
    if not options.allowed_origins:
        return []
    named = Middleware(
        CORSMiddleware,
        allow_origins=list(options.allowed_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Mcp-Session-Id", "WWW-Authenticate"],
    )
    return [named]


def _security(options: ServerOptions, port: int) -> TransportSecuritySettings:
    """Return the hosts and origins that are served: this machine's own, what is listened on, and what was named."""
    hosts = [f"{name}:*" for name in _LOOPBACK] + list(_LOOPBACK) + list(options.allowed_hosts)
    origins = list(options.allowed_origins)
    if is_loopback(options.host):
        origins += [f"http://{name}:{port}" for name in _LOOPBACK]
    else:
        host = options.host.strip("[]")
        hosts.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if options.public_url:
        hosts.append(urlsplit(options.public_url).netloc)
    return TransportSecuritySettings(enable_dns_rebinding_protection=True, allowed_hosts=hosts, allowed_origins=origins)
