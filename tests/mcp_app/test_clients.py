"""The JSON a person pastes into a client."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from bus.errors import UsageError
from mcp_servers._clients import Client, print_config


def entry(client: Client, *argv: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    document = cast("dict[str, Any]", json.loads(print_config(client, argv)))
    servers = document["servers" if client == "vscode" else "mcpServers"]
    ((name, value),) = servers.items()
    return name, value, document


@pytest.mark.requirement("mcp-app:print-config")
@pytest.mark.parametrize("client", ["claude", "cursor", "vscode"])
def test_the_command_and_the_files_are_absolute(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ("mcp", "orders", "--config", "desk.toml", "--day=days/2013-10-07", "--print-config", client)
    name, value, _ = entry(client, *argv)
    assert name == "outcry-orders"
    command = Path(value["command"])
    assert command.is_absolute()
    assert os.access(command, os.X_OK)
    assert command.parent == Path(sys.executable).parent
    day = tmp_path / "days" / "2013-10-07"
    assert value["args"][-5:] == ["mcp", "orders", "--config", str(tmp_path / "desk.toml"), f"--day={day}"]
    assert value.get("type", "stdio") == "stdio"


@pytest.mark.requirement("mcp-app:print-config")
def test_all_servers_are_named_for_the_product_and_a_days_name_stays_a_name() -> None:
    name, value, _ = entry("claude", "mcp", "all", "--day", "sample", "--print-config=claude")
    assert name == "outcry"
    assert value["args"][-4:] == ["mcp", "all", "--day", "sample"]


@pytest.mark.requirement("mcp-app:print-config")
def test_over_http_it_is_the_url_and_a_token_is_asked_for_never_printed() -> None:
    url = "https://desk.example/mcp"
    for client, kind, header in (
        ("claude", "http", "Bearer ${OUTCRY_TOKEN}"),
        ("cursor", None, "Bearer ${env:OUTCRY_TOKEN}"),
        ("vscode", "http", "Bearer ${input:outcry-token}"),
    ):
        document = cast(
            "dict[str, Any]", json.loads(print_config(cast("Client", client), ("mcp", "all"), url, bearer=True))
        )
        ((_, value),) = document["servers" if client == "vscode" else "mcpServers"].items()
        assert value["url"] == url
        assert value.get("type") == kind
        assert value["headers"] == {"Authorization": header}
        assert ("inputs" in document) == (client == "vscode")
    open_server = json.loads(print_config("cursor", ("mcp", "all"), url))
    assert open_server == {"mcpServers": {"outcry": {"url": url}}}


@pytest.mark.requirement("mcp-app:print-config")
def test_a_client_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="Choose from claude, cursor, vscode"):
        print_config(cast("Client", "emacs"), ("mcp", "all"))
