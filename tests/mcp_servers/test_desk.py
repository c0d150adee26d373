"""The desk as tools see it: errors that teach, symbols that are forgiven, news of the feed brought into the loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver.exceptions import ToolError

from bus.messages import ChartSet, GetClock, Ok, QueryBars, QueryChart, Tick
from mcp_servers._desk import Desk
from tests.mcp_servers.desk import replay_desk


@pytest.mark.requirement("desk:teaches")
def test_a_service_that_refuses_or_does_not_answer_says_what_to_do(tmp_path: Path) -> None:
    async def ask() -> None:
        desk = running.desk
        with pytest.raises(ToolError, match="after the clock.*ask as of the clock or before"):
            await desk.ask("feed", QueryBars("ACME", 5, running.clock_ns + 1), Ok)
        with pytest.raises(ToolError, match="one release"):
            await desk.ask("feed", GetClock(), Ok)
        with pytest.raises(ToolError, match="Ask again in a moment"):
            await desk.ask("feed", GetClock(), Ok, timeout_s=0.0)
        with pytest.raises(ToolError, match="Nearest: ACME"):
            await desk.symbol("ACMEE")
        with pytest.raises(ToolError, match=r"There are: ACME, BOLT"):
            await desk.symbol("\x1b[2J" * 40)
        assert [(await desk.symbol(text)).symbol for text in ("acme", " Acme ", "ACME")] == ["ACME"] * 3

    with replay_desk(tmp_path, 3) as running:
        asyncio.run(ask())


@pytest.mark.requirement("desk:loops")
def test_a_desk_serves_one_event_loop_after_another(tmp_path: Path) -> None:
    with replay_desk(tmp_path, 3) as running:
        stamps = {running.desk.stamp(asyncio.run(running.desk.clock())) for _ in range(3)}
    assert stamps == {"2024-03-13 09:33:00 EDT (simulated)"}


@pytest.mark.requirement("desk:listens")
def test_a_loop_that_is_busy_gets_the_newest_and_is_told_what_it_missed(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []

    async def listen() -> None:
        came = asyncio.Event()

        def hear(tick: Tick, missed: int) -> None:
            heard.append((tick.clock.now_ns, missed))
            came.set()

        stop = running.desk.listen("tick", hear)
        async with asyncio.timeout(20):
            while not came.is_set():  # until the subscription stands
                await asyncio.to_thread(running.advance, 1)
            running.advance(50)  # on the loop's own thread: it hears nothing meanwhile
            while heard[-1][0] != running.clock_ns:
                came.clear()
                await came.wait()
        stop()

    with replay_desk(tmp_path, 3) as running:
        asyncio.run(listen())
    assert [now for now, _ in heard] == sorted(now for now, _ in heard)
    assert sum(missed for _, missed in heard) >= 40
    assert len(heard) < 20


@pytest.mark.requirement("desk:listens")
def test_who_stopped_listening_hears_no_more(tmp_path: Path) -> None:
    heard: list[Any] = []

    async def listen() -> None:
        stop = running.desk.listen("tick", lambda message, _missed: heard.append(message))
        stop()
        await asyncio.to_thread(running.advance, 5)
        answer = await running.desk.ask("feed", QueryChart(("ACME",), ("1Min",), 3), ChartSet)
        assert answer.now_ns == running.clock_ns

    with replay_desk(tmp_path, 3) as running:
        asyncio.run(listen())
    assert heard == []


@pytest.mark.requirement("desk:clock")
def test_the_clock_that_is_read_is_the_feeds_at_every_instant(tmp_path: Path) -> None:
    with replay_desk(tmp_path, 1) as running:
        for _ in range(5):
            assert running.desk.replay_ns() == running.clock_ns
            running.advance()
        live = Desk(running.directory, running.desk.options, "paper", running.run_dir / "feed.clock")
        assert live.replay_ns() is None
        early = Desk(running.directory, running.desk.options, "replay", tmp_path / "none")
        assert early.replay_ns() is None
