"""The configuration a person pastes into an MCP client. Not a writer of anybody's files: it is printed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from bus.errors import UsageError

__all__ = ["Client", "print_config"]

Client = Literal["claude", "cursor", "vscode"]

_FILES = {"--config", "--day", "--run-dir"}
_TOKEN: dict[str, str] = {
    "claude": "${OUTCRY_TOKEN}",
    "cursor": "${env:OUTCRY_TOKEN}",
    "vscode": "${input:outcry-token}",
}


def print_config(client: Client, argv: Sequence[str], url: str = "", *, bearer: bool = False) -> str:
    """Return the JSON to paste, with absolute paths, because clients start servers in a folder of their own.

    Args:
        client: Which client.
        argv: The command's own arguments, ``mcp`` first; ``--print-config CLIENT`` among them is left out.
        url: Where a server over HTTP is reached; empty has the client start one on stdio.
        bearer: Whether that server asks for a token; the JSON then says where the client finds it.

    Raises:
        UsageError: A client that is not known.
    """
    if client not in get_args(Client):
        raise UsageError(f"there is no client {client!r}. Choose from {', '.join(get_args(Client))}.")
    arguments = _cleaned(argv)
    entry = _over_http(client, url, bearer=bearer) if url else _over_stdio(client, arguments)
    document: dict[str, Any] = {"servers" if client == "vscode" else "mcpServers": {_name(arguments): entry}}
    if client == "vscode" and "headers" in entry:
        asked = {"type": "promptString", "id": "outcry-token", "description": "Open Outcry token", "password": True}
        document = {"inputs": [asked], **document}
    return json.dumps(document, indent=2)


def _over_stdio(client: str, arguments: list[str]) -> dict[str, Any]:
    script = Path(sys.executable).parent / ("outcry.exe" if sys.platform == "win32" else "outcry")
    found = str(script) if script.exists() else shutil.which("outcry")
    command = [str(Path(found).absolute())] if found else [str(Path(sys.executable).absolute()), "-m", "outcry"]
    entry: dict[str, Any] = {"command": command[0], "args": [*command[1:], *arguments]}
    return entry if client == "cursor" else {"type": "stdio", **entry}


def _over_http(client: str, url: str, *, bearer: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"url": url} if client == "cursor" else {"type": "http", "url": url}
    if bearer:
        entry["headers"] = {"Authorization": f"Bearer {_TOKEN[client]}"}
    return entry


def _cleaned(argv: Sequence[str]) -> list[str]:
    """Leave our own option out and make the files' paths absolute."""
    arguments: list[str] = []
    skip = False
    for argument in argv:
        if skip:
            skip = False
        elif argument == "--print-config":
            skip = True
        elif not argument.startswith("--print-config="):
            option, equals, value = argument.partition("=")
            if equals and option in _FILES:
                argument = f"{option}={_absolute(value)}"
            elif arguments and arguments[-1] in _FILES:
                argument = _absolute(argument)
            arguments.append(argument)
    return arguments


def _absolute(value: str) -> str:
    path = Path(value).expanduser()
    looks_like_a_path = path.exists() or "/" in value or path.suffix in {".toml", ".zip", ".jsonl"}
    return str(path.absolute()) if looks_like_a_path else value


def _name(arguments: list[str]) -> str:
    words = [word for word in arguments[1:2] if not word.startswith("-")]
    return f"outcry-{words[0]}" if words and words[0] != "all" else "outcry"
