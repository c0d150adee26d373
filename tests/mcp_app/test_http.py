"""From where and with what a server is reached over HTTP, and how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bus.errors import BindError, ConfigError
from mcp_servers._auth import mint_token
from mcp_servers._http import check_exposure, http_app, is_loopback, listen_on
from mcp_servers.options import ServerOptions
from tests.mcp_app.parts import both
from tests.mcp_app.small import ERAS, client_of, over_http, small_server
from tests.mcp_app.wire import BOTH, LEGACY_START, MODERN, MODERN_HEADERS

OPTIONS = ServerOptions(port=0)


def ask(options: ServerOptions, *headers: dict[str, str]) -> list[list[int]]:
    """Send both eras' first request with each set of headers and return the statuses."""

    async def run() -> list[list[int]]:
        statuses: list[list[int]] = []
        async with over_http(small_server(options), options) as url, httpx2.AsyncClient(timeout=10) as http:
            for more in headers:
                old = await http.post(url, json=LEGACY_START, headers={**BOTH, **more})
                new = await http.post(url, json=MODERN, headers={**BOTH, **MODERN_HEADERS, **more})
                statuses.append([old.status_code, new.status_code])
        return statuses

    return asyncio.run(run())


@pytest.mark.requirement("mcp-app:host")
def test_a_request_for_another_hosts_name_is_refused() -> None:
    names = ["evil.example.com", "evil.example.com:8000", "127.0.0.1.evil.example", "localhost.evil:80"]
    assert ask(OPTIONS, *({"Host": name} for name in names)) == [[421, 421]] * len(names)
    assert ask(OPTIONS, {"Host": "localhost:8000"}, {"Host": "127.0.0.1"}) == [[200, 200]] * 2
    named = replace(OPTIONS, allowed_hosts=("desk.lan:8000",))
    assert ask(named, {"Host": "desk.lan:8000"}, {"Host": "desk.lan:8001"}) == [[200, 200], [421, 421]]


@pytest.mark.requirement("mcp-app:origin")
def test_a_page_that_was_not_named_is_refused() -> None:
    origins = ["http://evil.example.com", "null", "https://127.0.0.1:1", "http://localhost:1", "http://localhost"]
    assert ask(OPTIONS, *({"Origin": origin} for origin in origins)) == [[403, 403]] * len(origins)
    named = replace(OPTIONS, allowed_origins=("https://console.example",))
    assert ask(named, {"Origin": "https://console.example"}, {}) == [[200, 200]] * 2


@pytest.mark.requirement("mcp-app:origin")
def test_a_page_that_was_named_may_read_the_answer_and_no_other() -> None:
    page = "https://console.example"

    async def run(*named: str) -> list[str | None]:
        options = replace(OPTIONS, allowed_origins=named)
        asks = {"Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "mcp-method"}
        async with over_http(small_server(options), options) as url, httpx2.AsyncClient(timeout=10) as http:
            before = await http.options(url, headers=asks)
            answer = await http.post(url, json=LEGACY_START, headers={**BOTH, "Origin": page})
        return [each.headers.get("access-control-allow-origin") for each in (before, answer)]

    assert asyncio.run(run(page)) == [page, page]
    assert asyncio.run(run("https://other.example")) == [None, None]
    assert asyncio.run(run()) == [None, None]


@pytest.mark.requirement("mcp-app:body")
def test_a_request_that_is_too_large_is_refused_and_the_next_is_answered() -> None:
    async def run() -> None:
        options = replace(OPTIONS, max_body_bytes=10_000)
        async with over_http(small_server(options), options) as url, httpx2.AsyncClient(timeout=10) as http:
            large = json.dumps({**LEGACY_START, "padding": "x" * 10_000}).encode()

            async def chunks() -> AsyncGenerator[bytes]:
                for start in range(0, len(large), 1000):
                    yield large[start : start + 1000]

            assert (await http.post(url, content=large, headers=BOTH)).status_code == 413
            assert (await http.post(url, content=chunks(), headers=BOTH)).status_code == 413
            assert (await http.post(url, json=LEGACY_START, headers=BOTH)).status_code == 200

    asyncio.run(run())


@pytest.mark.requirement("mcp-app:public")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "desk.lan", "", "2001:db8::1"])
def test_a_public_address_is_refused_without_tokens(host: str, tmp_path: Path) -> None:
    options = ServerOptions(host=host, port=0)
    assert not is_loopback(host)
    for refused in (check_exposure, listen_on):
        with pytest.raises(ConfigError, match="Make a token"):
            refused(options)
    with pytest.raises(ConfigError, match="Make a token"):
        http_app(small_server(options), options)
    tokens = tmp_path / "tokens.toml"
    mint_token(tokens, "reader", ("market:read",), "https://desk.example/mcp")
    check_exposure(replace(options, tokens_file=tokens))


@pytest.mark.requirement("mcp-app:public")
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_a_loopback_address_needs_no_tokens(host: str) -> None:
    check_exposure(ServerOptions(host=host))


@pytest.mark.requirement("mcp-app:public")
def test_wildcards_and_a_taken_port_are_refused() -> None:
    with pytest.raises(ConfigError, match="one by one"):
        check_exposure(ServerOptions(allowed_origins=("*",)))
    with pytest.raises(ConfigError, match="no http or https URL"):
        check_exposure(ServerOptions(public_url="desk"))
    taken = listen_on(OPTIONS)
    taken.listen()
    with pytest.raises(BindError, match="Choose another --port"):
        listen_on(ServerOptions(port=taken.getsockname()[1]))
    taken.close()


@pytest.mark.requirement("mcp-app:at-once")
def test_an_answer_is_sent_at_once() -> None:
    async def run() -> int:
        listener = listen_on(OPTIONS)
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(look, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            found = await asyncio.wait_for(accepted, 10)
            writer.close()
            return found

    assert asyncio.run(run()) != 0


@pytest.mark.requirement("mcp-app:parts")
def test_one_process_serves_all_together_and_each_alone() -> None:
    async def run(era: Any) -> list[bool]:
        refused: list[bool] = []
        async with both() as urls:
            for url in (*urls, *urls):
                async with client_of(url, era) as client:
                    refused.append(bool((await client.call_tool("get_account", {})).is_error))
        return refused

    for era in ERAS:
        assert asyncio.run(run(era)) == [False, False, True, True]


@pytest.mark.requirement("mcp-app:signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_with_open_connections_stops_cleanly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.mcp_app.small_process", "--http"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()

        async def run() -> None:
            async with client_of(url, "legacy") as client:
                await client.list_tools()
                async with client_of(url) as modern:
                    await modern.list_tools()
                    os.kill(server.pid, number)
                    await asyncio.to_thread(server.wait, 10)

        asyncio.run(run())
        _, errors = server.communicate(timeout=10)
        assert server.returncode == 0, errors
        assert "Traceback" not in errors
    finally:
        server.kill()
        server.communicate()
