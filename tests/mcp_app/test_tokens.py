"""Who is let in over HTTP, on a real loopback server."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.types import EmptyResult, SubscribeRequest, SubscribeRequestParams

from bus.errors import ConfigError
from mcp_servers._auth import load_tokens, mint_token
from mcp_servers._http import listen_on
from mcp_servers.options import ServerOptions
from tests.mcp_app.small import ERAS, client_of, over_http, small_server, text_of, token
from tests.mcp_app.wire import BOTH, LEGACY_START


@dataclass
class Guarded:
    url: str
    port: int
    path: Path


@asynccontextmanager
async def guarded(tmp_path: Path) -> AsyncGenerator[Guarded]:
    path = tmp_path / "tokens.toml"
    token(path, 1, "nobody", "market:read")
    options = ServerOptions(port=0, tokens_file=path)
    listener = listen_on(options)
    async with over_http(small_server(options), options, listener) as url:
        yield Guarded(url, int(listener.getsockname()[1]), path)


async def follow(client: Client, era: str) -> None:
    if era == "legacy":
        asked = SubscribeRequest(params=SubscribeRequestParams(uri="orders://open"))
        await client.session.send_request(asked, EmptyResult)
    else:
        async with client.listen(resource_subscriptions=["orders://open"]):
            pass


async def initialize(url: str, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=10) as http:
        return await http.post(url, json=LEGACY_START, headers={**BOTH, **headers})


@pytest.mark.requirement("mcp-app:scope")
@pytest.mark.parametrize("era", ERAS)
def test_a_tool_needs_its_scope(era: Any, tmp_path: Path) -> None:
    async def run() -> None:
        async with guarded(tmp_path) as desk:
            reader = token(desk.path, desk.port, "reader", "market:read")
            async with client_of(desk.url, era, reader) as client:
                listed = [tool.name for tool in (await client.list_tools()).tools]
                assert listed == ["get_price", "refuse", "crash"]
                assert not (await client.call_tool("get_price", {"symbol": "AAPL"})).is_error
                refused = await client.call_tool("place_order", {"qty": 1})
                assert refused.is_error
                assert "needs the scope orders:write, and this token has market:read" in text_of(refused)
                with pytest.raises(MCPError, match="needs the scope account:read"):
                    await client.read_resource("orders://open")
                with pytest.raises(MCPError, match="needs the scope account:read"):
                    await follow(client, era)
            trader = token(desk.path, desk.port, "trader", "market:read", "account:read", "orders:write")
            async with client_of(desk.url, era, trader) as client:
                assert text_of(await client.call_tool("place_order", {"qty": 1})) == "sent 1"
                assert (await client.read_resource("orders://open")).contents

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:token")
def test_without_a_token_that_is_good_the_answer_is_401_and_where_to_learn_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with guarded(tmp_path) as desk:
            over = mint_token(desk.path, "late", ("market:read",), desk.url, days=1.0, now_ns=1)
            for bearer in ("", "Bearer oo_" + "0" * 64, f"Bearer {over}", "Basic abc"):
                answer = await initialize(desk.url, **({"Authorization": bearer} if bearer else {}))
                assert answer.status_code == 401, bearer
            where = answer.headers["www-authenticate"].split('resource_metadata="')[1].split('"')[0]
            async with httpx2.AsyncClient(timeout=10) as http:
                told = (await http.get(where)).json()
            assert told["resource"] == desk.url
            assert told["scopes_supported"] == ["market:read", "account:read", "orders:write"]
            good = token(desk.path, desk.port, "reader", "market:read")
            assert (await initialize(desk.url, Authorization=f"Bearer {good}")).status_code == 200

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:audience")
def test_a_token_for_another_server_opens_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with guarded(tmp_path) as desk:
            for audience in ("https://other.example/mcp", f"http://127.0.0.1:{desk.port}/other"):
                foreign = mint_token(desk.path, "reader", ("market:read",), audience)
                assert (await initialize(desk.url, Authorization=f"Bearer {foreign}")).status_code == 401

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:revoke")
def test_a_deleted_entry_and_a_broken_file_close_the_door_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with guarded(tmp_path) as desk:
            before = desk.path.read_text(encoding="utf-8")
            good = token(desk.path, desk.port, "reader", "market:read")
            after = desk.path.read_text(encoding="utf-8")
            header = {"Authorization": f"Bearer {good}"}
            assert (await initialize(desk.url, **header)).status_code == 200
            for text in (before, "[[token", ""):
                desk.path.write_text(text, encoding="utf-8")
                assert (await initialize(desk.url, **header)).status_code == 401
                desk.path.write_text(after, encoding="utf-8")
                assert (await initialize(desk.url, **header)).status_code == 200
            desk.path.unlink()
            assert (await initialize(desk.url, **header)).status_code == 401

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:session")
def test_a_session_of_one_token_cannot_be_used_with_another(tmp_path: Path) -> None:
    async def run() -> None:
        async with guarded(tmp_path) as desk:
            mine, yours = (token(desk.path, desk.port, name, "market:read") for name in ("mine", "yours"))
            opened = await initialize(desk.url, Authorization=f"Bearer {mine}")
            session = opened.headers["mcp-session-id"]
            ask = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
            statuses: list[int] = []
            async with httpx2.AsyncClient(timeout=10) as http:
                for bearer in (mine, yours):
                    headers = {**BOTH, "Authorization": f"Bearer {bearer}", "mcp-session-id": session}
                    headers["mcp-protocol-version"] = "2025-11-25"
                    statuses.append((await http.post(desk.url, json=ask, headers=headers)).status_code)
            assert statuses == [200, 404]

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:digests")
def test_the_file_holds_nothing_that_opens_a_door(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tokens.toml"
    minted = mint_token(path, "reader", ("orders:write", "market:read"), "https://desk.example/mcp", days=2)
    text = path.read_text(encoding="utf-8")
    assert minted not in text
    assert minted.removeprefix("oo_") not in text
    assert path.stat().st_mode & 0o777 == 0o600
    (entry,) = tomllib.loads(text)["token"]
    assert set(entry) == {"client", "digest", "scopes", "audience", "expires"}
    (grant,) = load_tokens(path)
    assert grant.scopes == ("market:read", "orders:write")


@pytest.mark.requirement("mcp-app:digests")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('scopes = ["market:read"]', 'scopes = ["everything"]'), "scopes are one or more of market:read"),
        (('scopes = ["market:read"]', "scopes = []"), "scopes are one or more of"),
        (("expires = 2", "expires = '2"), "is not TOML"),
        (('client = "reader"', 'client = "re ader"'), "client is a name"),
        (("audience", "audiense"), "has exactly audience, client, digest, expires, scopes"),
        (('digest = "', 'digest = "zz'), "64 hexadecimal"),
        (("[[token]]", "[[tokens]]"), "entries only, not tokens"),
    ],
)
def test_a_file_with_an_entry_that_is_not_allowed_is_refused_by_name(
    change: tuple[str, str], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokens.toml"
    mint_token(path, "reader", ("market:read",), "http://127.0.0.1:8000/mcp")
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_tokens(path)


@pytest.mark.requirement("mcp-app:digests")
def test_a_file_that_others_can_write_or_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    with pytest.raises(ConfigError, match="outcry mcp token"):
        load_tokens(path)
    mint_token(path, "reader", ("market:read",), "http://127.0.0.1:8000/mcp")
    path.chmod(0o622)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_tokens(path)
