"""What ``tools/list`` tells a client, as committed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from mcp import Client
from mcp.types import PromptReference

from bus.errors import ConfigError
from mcp_servers._app import LOCK, build_server, catalogue, catalogue_hash, locked
from mcp_servers._auth import SCOPES
from mcp_servers._desk import Desk
from mcp_servers.options import SERVERS, ServerOptions
from tests.mcp_app.test_stdio import ROOT
from tests.mcp_servers.desk import replay_desk

ALL = ServerOptions()


def names(options: ServerOptions) -> list[str]:
    tools = asyncio.run(catalogue(build_server(Desk({}, options, "replay"), options)))
    return [tool["name"] for tool in tools]


@pytest.mark.requirement("mcp-app:lock")
def test_the_tools_are_those_of_the_lock() -> None:
    committed = json.loads(LOCK.read_text(encoding="utf-8"))
    present = asyncio.run(locked())
    changed = [name for name in present if present[name] != committed.get(name)]
    assert not changed, f"tools/list changed: {', '.join(changed)}. If on purpose, run `make tools-lock` and review it."
    assert set(committed) == set(present)


@pytest.mark.requirement("mcp-app:lock")
def test_a_changed_description_changes_the_hash() -> None:
    async def run() -> None:
        server = build_server(Desk({}, ALL, "replay"), ALL)
        before = await catalogue_hash(server)
        tool = server._tool_manager.list_tools()[0]  # pyright: ignore[reportPrivateUsage] # the way to change one
        tool.description += "!"
        after = await catalogue_hash(server)
        assert after[0] != before[0]
        assert after[1] == before[1] + 1

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:size")
def test_all_definitions_together_are_at_most_12_000_characters() -> None:
    committed = json.loads(LOCK.read_text(encoding="utf-8"))
    characters = asyncio.run(catalogue_hash(build_server(Desk({}, ALL, "replay"), ALL)))[1]
    assert characters == committed["all"]["characters"]
    assert characters <= 12_000


@pytest.mark.requirement("mcp-app:order")
def test_the_order_is_that_of_the_servers_whatever_was_asked_first() -> None:
    each = [name for server in SERVERS for name in names(replace(ALL, servers=(server,)))]
    assert names(ALL) == each == names(replace(ALL, servers=SERVERS[::-1]))
    assert len(each) == len(set(each)) > 25


@pytest.mark.requirement("mcp-app:order")
def test_another_process_with_another_hash_seed_lists_the_same_bytes() -> None:
    code = "import asyncio; from mcp_servers._app import locked; print(asyncio.run(locked())['all']['hash'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == asyncio.run(locked())["all"]["hash"]


@pytest.mark.requirement("mcp-app:scope")
def test_every_tool_and_every_resource_names_its_scope() -> None:
    async def run() -> None:
        server = build_server(Desk({}, ALL, "replay"), ALL)
        listed = {tool.name for tool in await server.list_tools()}
        assert set(server.guard.scopes) == listed
        assert set(server.guard.scopes.values()) == set(SCOPES)
        uris = [str(item.uri) for item in await server.list_resources()]
        uris += [item.uri_template for item in await server.list_resource_templates()]
        assert {uri.split(":")[0] for uri in uris} == set(server.guard.resource_scopes)

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:fixtures")
def test_the_fixtures_are_there_by_their_flag_only() -> None:
    product, tested = names(ALL), names(replace(ALL, conformance=True))
    assert tested[: len(product)] == product
    fixtures = tested[len(product) :]
    assert len(fixtures) > 25
    assert "test_simple_text" in fixtures
    assert not [name for name in product if name.startswith("test_")]


@pytest.mark.requirement("mcp-app:order")
def test_a_server_that_does_not_exist_is_refused_by_name() -> None:
    for servers in ((), ("bonds",)):
        options = replace(ALL, servers=servers)
        with pytest.raises(ConfigError, match="Choose from ohlc, news, calendar, indicators, orders"):
            build_server(Desk({}, options, "replay"), options)


@pytest.mark.requirement("mcp-app:complete")
def test_symbols_are_completed_from_the_desks_instruments(tmp_path: Any) -> None:
    with replay_desk(tmp_path, 5) as running:
        known = sorted(running.store().info().instruments, key=lambda item: item.symbol)
        first = known[0].symbol

        async def run() -> None:
            async with Client(build_server(running.desk, ALL)) as client:
                (prompt, *_) = [
                    prompt
                    for prompt in (await client.list_prompts()).prompts
                    if any(argument.name in {"symbol", "symbols"} for argument in prompt.arguments or [])
                ]
                name = next(item.name for item in prompt.arguments or [] if item.name in {"symbol", "symbols"})
                ref = PromptReference(name=prompt.name)
                for text in (first[:1].lower(), first):
                    found = await client.complete(ref, {"name": name, "value": text})
                    assert first in found.completion.values
                assert (await client.complete(ref, {"name": name, "value": "no such"})).completion.values == []
                assert (await client.complete(ref, {"name": "other", "value": ""})).completion.values == []

        asyncio.run(run())
