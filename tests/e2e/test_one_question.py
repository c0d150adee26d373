"""Law 10 from the outside: one question of many askers, in processes of their own, is one call at the vendor's."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bus.clock import NS, wall_ns
from bus.messages import ChartSet, FeedStats, GetFeedStats, Message, QueryChart
from bus.zmq_transport import ZmqTransport
from tests.alpaca.rest_server import KEY, SECRET, RestServer
from tests.alpaca.stream_server import StreamServer
from tests.e2e.test_mcp import call, served

SYMBOL = "BTC/USD"
MINUTE_NS = 60 * NS
ASKERS = 8


class HeldVendor(RestServer):
    """A vendor that answers no question about the bars of that time until it is told to."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self.start = start
        self.let_go = threading.Event()
        self.bar_calls = 0

    def answer(self, path: str, params: dict[str, str]) -> tuple[int, Any]:
        # The feed also asks for the minute that was under way when its stream connected: another question.
        if path.endswith("/bars") and datetime.fromisoformat(params["start"]) <= self.start:
            self.bar_calls += 1
            assert self.let_go.wait(30)
        return super().answer(path, params)


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns // NS, UTC).isoformat().replace("+00:00", "Z")


def ask(endpoint: str, request: Message) -> Message:
    transport = ZmqTransport()
    try:
        return transport.client(endpoint).call(request, 30.0)
    finally:
        transport.close()


@pytest.mark.requirement("mcp:one-question")
def test_five_servers_and_three_stages_that_ask_the_same_share_one_call_and_one_answer(tmp_path: Path) -> None:
    start_ns = (wall_ns() // MINUTE_NS - 300) * MINUTE_NS
    end_ns = start_ns + 100 * MINUTE_NS
    vendor = HeldVendor(datetime.fromtimestamp(start_ns // NS, UTC))
    with vendor, StreamServer() as stream:
        vendor.assets[SYMBOL] = {
            "id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415", "class": "crypto", "exchange": "CRYPTO", "symbol": SYMBOL,
            "name": "Bitcoin", "status": "active", "tradable": True, "marginable": False, "shortable": False,
            "easy_to_borrow": False, "fractionable": True, "min_order_size": "0.0001", "min_trade_increment": "0.0001",
            "price_increment": "0.5",
        }  # fmt: skip
        vendor.series["bars", SYMBOL] = [
            {"t": iso(start_ns + at * MINUTE_NS), "o": 100.0 + at, "h": 101.0 + at, "l": 99.0 + at, "c": 100.5 + at,
             "v": 2.5, "n": 3, "vw": 100.0}
            for at in range(100)
        ]  # fmt: skip
        config = tmp_path / "outcry.toml"
        config.write_text(
            f'[feed]\nsource = "alpaca"\nrest_url = "{vendor.url}"\nstream_url = "{stream.url}"\n'
            f'[desk]\nsymbols = ["{SYMBOL}"]\n',
            encoding="utf-8",
        )
        keys = {"ALPACA_API_KEY": KEY, "ALPACA_SECRET_KEY": SECRET}
        told, stages = asyncio.run(_ask_all(tmp_path, config, keys, vendor, start_ns, end_ns))
        assert vendor.bar_calls == 1
    assert len(told) + len(stages) == ASKERS
    assert told == [told[0]] * 5
    for chart_set in stages:
        assert [bar.close_nano for bar in chart_set.charts[0].bars] == [
            (100 + at) * 10**9 + 5 * 10**8 for at in range(100)
        ]
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), f"a vendor's key is in {path.name}"


async def _ask_all(
    tmp_path: Path, config: Path, keys: dict[str, str], vendor: HeldVendor, start_ns: int, end_ns: int
) -> tuple[list[dict[str, Any]], list[ChartSet]]:
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(served(tmp_path, "ohlc", "--config", str(config), env=keys))
            for _ in range(5)
        ]
        (run,) = (tmp_path / "state").rglob("run.json")
        feed = json.loads(run.read_text(encoding="utf-8"))["endpoints"]["feed"]
        span = {"start": iso(start_ns), "end": iso(end_ns)}
        question = QueryChart((SYMBOL,), ("1Min",), 100, -1, start_ns, end_ns)
        asked = [
            asyncio.create_task(call(client, "get_bars", symbol=SYMBOL, timeframe="1Min", limit=100, **span))
            for client in servers
        ]
        staged = [asyncio.create_task(asyncio.to_thread(ask, feed, question)) for _ in range(3)]
        async with asyncio.timeout(30):
            while True:
                stats = await asyncio.to_thread(ask, feed, GetFeedStats())
                assert isinstance(stats, FeedStats)
                if stats.joined >= ASKERS - 1:
                    break
        assert not any(task.done() for task in (*asked, *staged))
        vendor.let_go.set()
        answers = await asyncio.gather(*asked)
        sets = [answer for answer in await asyncio.gather(*staged) if isinstance(answer, ChartSet)]
        return [{**answer, "as_of": ""} for answer in answers], sets
