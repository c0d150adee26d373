"""The live feed on this source: history over REST, the newest over the stream, through an outage of both."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from bus.clock import wall_ns
from bus.deferred import Deferred
from bus.errors import SourceError
from bus.messages import Advance, Bars, FeedStats, GetFeedStats, Message, QueryBars, Tick
from feed.live import LiveFeed
from feed.open_source import open_source
from feed.source import SourceSpec
from tests.alpaca.desk import ENVIRON, MINUTE, rest_bar
from tests.alpaca.rest_server import Fault, RestServer
from tests.alpaca.stream_server import DEADLINE_S, StreamServer, stamp

_M = TypeVar("_M", bound=Message)


def ask(feed: LiveFeed, request: Message, kind: type[_M]) -> _M:
    answer = feed.handle(request)
    message = answer.wait(DEADLINE_S) if isinstance(answer, Deferred) else answer
    assert isinstance(message, kind)
    return message


def history(until_ns: int, count: int) -> list[dict[str, Any]]:
    opens = [until_ns - (count - i) * MINUTE for i in range(count)]
    return [rest_bar(datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")) for ns in opens]


@pytest.mark.requirement("alpaca:desk")
def test_a_live_feed_serves_what_alpaca_has_and_says_when_alpaca_is_down() -> None:
    with RestServer() as rest, StreamServer() as streams:
        # Ends some minutes ago, so that the stream has something new to say whenever this runs.
        last_ns = wall_ns() // MINUTE * MINUTE - 3 * MINUTE
        rest.series["bars", "BTC/USD"] = history(last_ns, 30)
        spec = SourceSpec("alpaca", ("BTC/USD", "ETH/USD"), rest_url=rest.url, stream_url=streams.url, timeout_s=5.0)
        feed = LiveFeed(open_source(spec, ENVIRON), spec.symbols)
        try:
            line = streams.session("coins")
            found = ask(feed, QueryBars("BTC/USD", 5, -1), Bars)
            assert [bar.open_time_ns for bar in found.bars] == [last_ns - (5 - i) * MINUTE for i in range(5)]
            began = feed.now_ns
            fields = {"S": "BTC/USD", "o": 7.0, "h": 9.0, "l": 6.0, "c": 8.5, "v": 0.25}
            line.send({"T": "b", "t": stamp(last_ns + MINUTE), **fields})
            tick = ask(feed, Advance(began), Tick)
            while not tick.bars:
                tick = ask(feed, Advance(tick.clock.now_ns), Tick)
            assert [(bar.open_time_ns, bar.close_nano) for bar in tick.bars] == [(last_ns + MINUTE, 8_500_000_000)]
            rest.outage = Fault(503)
            line.drop()
            assert len(ask(feed, QueryBars("BTC/USD", 5, -1), Bars).bars) == 5, "the cache needs no vendor"
            with pytest.raises(SourceError, match="HTTP 503"):
                ask(feed, QueryBars("ETH/USD", 5, -1), Bars)
            streams.session("coins")
            assert ask(feed, GetFeedStats(), FeedStats).source == "alpaca"
        finally:
            feed.close()
