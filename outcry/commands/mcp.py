"""``outcry mcp``: market and order tools for Claude and every other MCP client, on a running desk or one of their own.

Not the servers (``mcp_servers``) and not the desk (``outcry.held``): this joins the two and says what it did. On stdio
standard output belongs to the protocol; everything for people goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from bus.errors import ConfigError, UsageError
from outcry.desk import parse_speed, two_keys

if TYPE_CHECKING:
    from mcp_servers.options import ServerOptions
    from outcry.config import Config
    from outcry.held import Membership

__all__ = ["add", "run"]

_SERVERS = ("ohlc", "news", "calendar", "indicators", "orders")
_CLIENTS = ("claude", "cursor", "vscode")
_SPEED = "10"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "server", choices=(*_SERVERS, "all", "token"), help="which tools; token makes a bearer token for --http"
    )
    parser.add_argument("--http", action="store_true", help="streamable HTTP instead of stdio")
    parser.add_argument("--host", metavar="HOST", help="where HTTP listens; 127.0.0.1 without it")
    parser.add_argument("--port", type=int, metavar="PORT", help="on which port; 8000 without it, 0 takes a free one")
    parser.add_argument("--day", type=Path, metavar="DAY", help="a sealed day; without it the sample day")
    parser.add_argument("--config", type=Path, metavar="FILE", help="an outcry.toml; [feed] there names a live market")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="join this running desk instead")
    parser.add_argument(
        "--speed", default=_SPEED, metavar="max|N", help=f"simulated seconds a real second; {_SPEED} without it"
    )
    parser.add_argument("--start", default="", metavar="HH:MM", help="when the day begins; an hour in without it")
    parser.add_argument("--live", action="store_true", help="the second key to real money, beside desk.mode = 'live'")
    parser.add_argument("--confirm-above", metavar="N", help="notional above which a person is asked; 10000 without it")
    parser.add_argument(
        "--client", metavar="NAME", help="whose account, where a desk has several; with token, whose token it is"
    )
    parser.add_argument("--print-config", choices=_CLIENTS, metavar="CLIENT", help="print JSON to paste: %(choices)s")
    token = parser.add_argument_group("token")
    token.add_argument("--file", type=Path, metavar="FILE", help="the tokens file to add to")
    token.add_argument("--scopes", metavar="A,B", default="market:read", help="market:read, account:read, orders:write")
    token.add_argument("--url", metavar="URL", help="the server's address as clients reach it")
    token.add_argument("--days", type=float, default=90.0, metavar="N", help="for how many days; 90 without it")
    parser.add_argument("--json", action="store_true", help="with token: one JSON object on stdout")


@dataclass(frozen=True)
class _Given:
    config: Config
    options: ServerOptions
    names: tuple[str, ...]


def _need_extra(error: ImportError) -> ConfigError:
    return ConfigError(
        f"the MCP servers need the extra 'mcp' ({error.name} is not installed): pip install 'openoutcry[mcp]'"
    )


def _confirm_above(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise UsageError(f"--confirm-above {text} is no amount; allowed is a number from 0")
    return value


def _overrides(given: argparse.Namespace, mode: str) -> dict[str, dict[str, object]]:
    """Return what the command line sets over the file."""
    mcp: dict[str, object] = {}
    if given.host is not None:
        mcp["host"] = given.host
    if given.port is not None:
        mcp["port"] = given.port
    if given.confirm_above is not None:
        mcp["confirm_above"] = _confirm_above(given.confirm_above)
    desk = two_keys(mode, live=given.live)
    return {name: table for name, table in (("mcp", mcp), ("desk", desk)) if table}


def _check(given: argparse.Namespace) -> _Given:
    from mcp_servers.options import ServerOptions
    from outcry.config import load_config

    config = load_config(given.config)
    config = load_config(given.config, _overrides(given, config.desk.mode))
    mcp = config.mcp
    names = _SERVERS if given.server == "all" else (cast("str", given.server),)
    options = ServerOptions(
        servers=names,
        confirm_above=mcp.confirm_above,
        calls_per_minute=mcp.calls_per_minute,
        order_calls_per_minute=mcp.order_calls_per_minute,
        host=mcp.host,
        port=mcp.port,
        tokens_file=Path(mcp.tokens_file).expanduser() if mcp.tokens_file else None,
        allowed_hosts=mcp.allowed_hosts,
        allowed_origins=mcp.allowed_origins,
        public_url=mcp.public_url,
        max_body_bytes=mcp.max_body_bytes,
    )
    return _Given(config, options, names)


def _join(given: argparse.Namespace, checked: _Given) -> Membership:
    from bus.ids import digest
    from outcry.held import desk_folder, join, join_run

    if given.run_dir is not None:
        if given.day is not None:
            raise UsageError("--run-dir joins a desk that has its day; leave --day out, or --run-dir")
        return join_run(given.run_dir.absolute())
    speed = parse_speed(given.speed)
    request = {
        "day": str(given.day.absolute()) if given.day else "",
        "config": str(given.config.absolute()) if given.config else "",
        "speed": speed,
        "start": given.start,
        "overrides": {"desk": {"mode": checked.config.desk.mode}},
    }
    desk = checked.config.model_dump_json(exclude={"mcp"})
    folder = desk_folder(digest(json.dumps(request, sort_keys=True).encode(), desk.encode(), size=8), os.environ)
    sys.stderr.write(f"outcry: joining the desk in {folder}\n")
    return join(folder, (sys.executable, "-P", "-m", "outcry.desk_main", str(folder), json.dumps(request)))


def _endpoints(member: Membership, client: str | None) -> dict[str, str]:
    """Return the desk's directory as one client sees it: ``execution`` is its own gateway."""
    endpoints = dict(member.content.endpoints)
    if client:
        from outcry.ask import gateway_for

        _, gateway = gateway_for(member.run_dir, client)
        endpoints["execution"] = endpoints[gateway]
    return endpoints


async def _served(given: argparse.Namespace, options: ServerOptions, member: Membership) -> None:
    from mcp_servers._app import build_parts, build_server
    from mcp_servers._desk import Desk
    from mcp_servers._http import serve_http
    from mcp_servers._middleware import Guard
    from mcp_servers._stdio import serve_stdio
    from mcp_servers._subscriptions import Subscriptions

    mode = cast("Literal['replay', 'paper', 'live']", member.content.mode)
    about = f"outcry: {mode} desk {member.content.run_id} on {member.content.day}; "
    guard, changes = Guard(options), Subscriptions()
    clock_file = member.run_dir / "feed.clock"
    endpoints = _endpoints(member, given.client)
    with contextlib.closing(Desk(endpoints, options, mode, clock_file)) as desk:
        server = build_server(desk, options, guard, changes)
        if not given.http:
            sys.stderr.write(f"{about}serving {given.server} on stdio (Ctrl-D ends it)\n")
            await serve_stdio(server, options)
            return
        parts = build_parts(desk, options, server)

        def ready(url: str) -> None:
            sys.stderr.write(f"{about}serving {given.server} at {url} (Ctrl-C ends it)\n")
            sys.stderr.flush()

        await serve_http(server, options, parts, ready)


def _serve(given: argparse.Namespace, checked: _Given) -> int:
    import asyncio
    import dataclasses
    from concurrent.futures import ThreadPoolExecutor

    if given.http:
        _import_servers()
        from mcp_servers._http import check_exposure

        check_exposure(checked.options)
    with ThreadPoolExecutor(1) as pool:
        joining = pool.submit(_join, given, checked)  # the desk starts while this process imports
        try:
            _import_servers()
        finally:
            member = joining.result()
    with member:
        options = dataclasses.replace(checked.options, audit_file=member.folder / "audit.jsonl")
        try:
            asyncio.run(_served(given, options, member))
        except KeyboardInterrupt:
            return 130
    return 130 if given.http else 0


def _import_servers() -> None:
    """Import what serving needs, so that a missing extra is told before anything starts."""
    try:
        for name in ("_app", "_http", "_stdio"):
            importlib.import_module(f"mcp_servers.{name}")
    except ImportError as error:
        if (error.name or "").split(".")[0] in {"mcp_servers", "bus", "feed", "quant", "outcry"}:
            raise
        raise _need_extra(error) from error


def _print_config(given: argparse.Namespace) -> int:
    from mcp_servers._clients import print_config

    words: list[str] = ["mcp", given.server]
    for option, value in (("--day", given.day), ("--config", given.config), ("--run-dir", given.run_dir)):
        if value is not None:
            words += [option, str(value.absolute())]
    for option, value, usual in (("--speed", given.speed, _SPEED), ("--start", given.start, "")):
        if value != usual:
            words += [option, value]
    if given.confirm_above is not None:
        words += ["--confirm-above", given.confirm_above]
    if given.client is not None:
        words += ["--client", given.client]
    if given.live:
        words.append("--live")
    url, bearer = "", False
    if given.http:
        options = _check(given).options
        url = options.public_url or f"http://{options.host}:{options.port}/mcp"
        bearer = options.tokens_file is not None
    print(print_config(given.print_config, words, url, bearer=bearer))
    return 0


def _token(given: argparse.Namespace) -> int:
    if given.file is None or given.client is None:
        raise UsageError("`outcry mcp token` needs --file FILE and --client NAME; --scopes says what it may do")
    try:
        from mcp_servers._auth import mint_token
    except ImportError as error:
        raise _need_extra(error) from error
    from mcp_servers.options import ServerOptions

    options = ServerOptions()
    url = given.url or f"http://{given.host or options.host}:{given.port or options.port}/mcp"
    scopes = tuple(part.strip() for part in given.scopes.split(",") if part.strip())
    token = mint_token(given.file, given.client, scopes, url, given.days)
    if given.json:
        told: dict[str, Any] = {"token": token, "client": given.client, "scopes": scopes, "audience": url}
        print(json.dumps(told))
    else:
        print(token)
        sys.stderr.write(
            f"outcry: this is {given.client}'s token for {url}; it is shown once and kept nowhere, "
            f"its digest is in {given.file}\n"
        )
    return 0


def run(given: argparse.Namespace) -> int:
    """Serve until the client leaves or a person interrupts.

    Raises:
        OutcryError: What was given cannot be used, or the desk did not start.
    """
    if given.server == "token":
        return _token(given)
    if given.print_config is not None:
        return _print_config(given)
    return _serve(given, _check(given))
