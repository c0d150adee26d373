"""Charts as resources, who follows them, completion and the prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference, ResourceUpdatedNotification, TextContent

from mcp_servers._app import build_server
from mcp_servers._desk import Desk
from mcp_servers._ohlc_watch import BarsWatch
from tests.mcp_market.floor import OPTIONS, Floor, floor
from tests.mcp_servers.desk import RunningDesk, replay_desk

# Older clients subscribe this way: the SDK warns whoever still does, and the server must go on serving them.
pytestmark = pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed:mcp.MCPDeprecationWarning")
URI = "bars://ACME/5Min"
_WAIT_S = 20.0


def read(opened: Floor, uri: str) -> str:
    result = opened.run(lambda client: client.read_resource(uri))
    (content,) = result.contents
    text = getattr(content, "text", None)
    assert isinstance(text, str)
    return text


@pytest.mark.requirement("market:resource")
def test_a_chart_is_readable_as_a_resource(either: Floor) -> None:
    text = read(either, "bars://acme/1Min")
    assert text == either.text("get_bars", symbol="ACME").rsplit("\nearlier bars", 1)[0]


@pytest.mark.requirement("market:resource")
@pytest.mark.parametrize("uri", ["bars://NOPE/1Min", "bars://ACME/7Min", "bars://ACME/1Min/x", "bars:///"])
def test_a_resource_that_is_none_is_refused_with_what_there_is(either: Floor, uri: str) -> None:
    with pytest.raises(MCPError) as caught:
        read(either, uri)
    told = caught.value.error.message
    assert "Traceback" not in told
    assert any(name in told for name in ("DYNE", "5Min", "bars://{symbol}/{timeframe}"))


def subscribe(opened: Floor, uri: str) -> None:
    opened.run(lambda client: client.session.subscribe_resource(uri))  # pyright: ignore[reportDeprecated] - see above


def unsubscribe(opened: Floor, uri: str) -> None:
    opened.run(lambda client: client.session.unsubscribe_resource(uri))  # pyright: ignore[reportDeprecated] - see above


async def some_task_ends() -> None:
    """Wait, with a deadline, until one of the other tasks of this loop has ended: leaving is done in one of them."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    done, _ = await asyncio.wait(others, timeout=_WAIT_S, return_when=asyncio.FIRST_COMPLETED)
    assert done, "nothing that could still change it has ended in time"


def followed_is(opened: Floor, count: int) -> None:
    """Wait until so many charts are followed."""

    async def settle(_: Client) -> None:
        assert opened.watch is not None
        while opened.watch.followed != count:
            await some_task_ends()

    opened.run(settle)


def published(running: RunningDesk) -> bool:
    """Whether the feed publishes any charts at the next instant, before its tick of the one after."""
    reader = running.transport.subscriber(running.directory["feed.pub"], (), from_start=False)
    ticks = 0
    while ticks < 2:
        running.advance()
        got = reader.receive(1.0)
        if got is None:
            continue
        if got[0].startswith("charts."):
            return True
        ticks += 1
    return False


def changes(running: RunningDesk, opened: Floor, heard: Queue[str]) -> None:
    """Move the clock until the follower hears of it, and see that what he reads is new."""
    before = read(opened, URI)
    running.advance()
    assert heard.get(timeout=_WAIT_S) == URI
    after = read(opened, URI)
    assert after != before


@pytest.mark.requirement("market:resource")
def test_a_modern_client_that_listens_is_told_of_a_change(tmp_path: Path) -> None:
    heard: Queue[str] = Queue()
    with replay_desk(tmp_path, minute=10) as running, floor(running.desk) as opened:

        async def listen(client: Client) -> Any:
            stream = client.listen(resource_subscriptions=[URI])
            return stream, await stream.__aenter__()

        stream, events = opened.run(listen)

        async def one(_: Client) -> None:
            event = await anext(events)
            heard.put(event.uri)

        for _ in range(3):
            running.advance()
            opened.run(one)
            assert heard.get(timeout=_WAIT_S) == URI
        followed_is(opened, 1)
        assert published(running)
        opened.run(lambda _: stream.__aexit__(None, None, None))
        followed_is(opened, 0)
        assert not published(running)


@pytest.mark.requirement("market:resource")
def test_a_change_that_came_before_the_feed_knew_of_the_listener_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: Queue[str] = Queue()

    def seen(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.put(str(message.params.uri))

    def hears_nothing(_desk: Desk, topic: str, _callback: object) -> Callable[[], None]:
        assert topic
        return lambda: None

    monkeypatch.setattr(Desk, "listen", hears_nothing)
    with replay_desk(tmp_path, minute=10) as running, floor(running.desk, "legacy", seen) as opened:
        subscribe(opened, URI)
        running.advance()
        assert heard.get(timeout=_WAIT_S) == URI


@pytest.mark.requirement("market:resource")
def test_an_older_client_that_subscribes_is_told_until_it_leaves(tmp_path: Path) -> None:
    heard: Queue[str] = Queue()

    def seen(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.put(str(message.params.uri))

    with replay_desk(tmp_path, minute=10) as running, floor(running.desk, "legacy", seen) as opened:
        subscribe(opened, URI)
        changes(running, opened, heard)
        changes(running, opened, heard)
        unsubscribe(opened, URI)
        followed_is(opened, 0)
        assert not published(running)
        read(opened, URI)
        assert heard.empty()


@pytest.mark.requirement("market:resource")
def test_several_follow_and_each_is_told_of_its_own_charts_only(tmp_path: Path) -> None:
    heard: Queue[str] = Queue()

    def seen(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.put(str(message.params.uri))

    with replay_desk(tmp_path, minute=10) as running, floor(running.desk, "legacy", seen) as opened:
        uris = ["bars://ACME/5Min", "bars://acme/5Min", "bars://BOLT/5Min", "bars://ECHO/1Day"]
        for uri in (*uris, uris[0]):
            subscribe(opened, uri)
        followed_is(opened, 3)
        running.advance()
        assert {heard.get(timeout=_WAIT_S) for _ in uris} == set(uris)
        followed_is(opened, 3)
        for uri in uris[1:3]:
            unsubscribe(opened, uri)
        followed_is(opened, 2)
        running.advance()
        assert {heard.get(timeout=_WAIT_S) for _ in range(2)} == {uris[0], uris[3]}


@pytest.mark.requirement("market:resource")
def test_a_client_that_goes_away_is_followed_no_more(tmp_path: Path) -> None:
    with replay_desk(tmp_path, minute=10) as running:
        server = build_server(running.desk, OPTIONS)
        watch = next(part for part in server.middleware if isinstance(part, BarsWatch))

        async def visit() -> None:
            async with Client(server, mode="legacy") as client:
                await client.session.subscribe_resource(URI)  # pyright: ignore[reportDeprecated] - see above
                assert watch.followed == 1
            while watch.followed:
                await some_task_ends()
            running.desk.close()

        asyncio.run(visit())
        assert not published(running)


@pytest.mark.requirement("market:resource")
@pytest.mark.parametrize("uri", ["bars://NOPE/1Min", "bars://ACME/7Min", "bars://ACME"])
def test_what_cannot_be_followed_is_refused(running: RunningDesk, uri: str) -> None:
    with (
        floor(Desk(running.directory, running.desk.options, "replay"), "legacy") as opened,
        pytest.raises(MCPError, match="DYNE|1Min"),
    ):
        subscribe(opened, uri)


@pytest.mark.requirement("market:completion")
def test_symbols_and_timeframes_are_completed(either: Floor) -> None:
    template = ResourceTemplateReference(uri="bars://{symbol}/{timeframe}")

    def complete(name: str, text: str) -> list[str]:
        asked = {"name": name, "value": text}
        return either.run(lambda client: client.complete(template, asked)).completion.values

    assert complete("symbol", "a") == ["ACME"]
    assert complete("timeframe", "1") == ["1Min", "10Min", "15Min", "1Hour", "1Day", "1Week", "1Month"]
    assert complete("timeframe", "nothing") == []
    prompt = PromptReference(name="morning_brief")
    done = either.run(lambda client: client.complete(prompt, {"name": "symbols", "value": "ACME,b"}))
    assert done.completion.values == ["ACME,BOLT"]


@pytest.mark.requirement("market:brief")
def test_the_morning_brief_names_the_clock_and_the_symbols(either: Floor) -> None:
    def brief(arguments: dict[str, str]) -> str:
        (message,) = either.run(lambda client: client.get_prompt("morning_brief", arguments)).messages
        assert isinstance(message.content, TextContent)
        return message.content.text

    text = brief({"symbols": "acme, bolt"})
    assert "2024-03-13 11:40:00 EDT (simulated)" in text
    assert "ACME, BOLT" in text
    assert "untrusted" in text
    assert "FLUX" in brief({})
    with pytest.raises(MCPError, match="unknown symbol"):
        brief({"symbols": "NOPE"})
