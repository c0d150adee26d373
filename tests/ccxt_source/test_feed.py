"""The live feed on an exchange of ccxt's: what it asks is answered, what is streamed becomes available."""

from __future__ import annotations

from typing import Any

import pytest

from bus.clock import NS
from bus.deferred import Deferred
from bus.messages import (
    Advance,
    Chart,
    ChartSet,
    DescribeDay,
    FeedStats,
    GetFeedStats,
    QueryChart,
    QuerySnapshot,
    Tick,
)
from feed.live import LiveFeed
from feed.open_source import open_source
from tests.ccxt_source.desk import minute_ago, spec_of
from tests.ccxt_source.venue import DEADLINE_S, Venue, candles
from tests.ccxt_source.words import book, candle, kline


def ask(feed: LiveFeed, question: Any) -> Any:
    found = feed.handle(question)
    return found.wait(DEADLINE_S) if isinstance(found, Deferred) else found


@pytest.mark.requirement("ccxt:stream")
def test_a_live_feed_serves_the_exchange() -> None:
    with Venue("binance") as venue:
        venue.candles["BTCUSDT"] = candles(minute_ago(30), 30)
        feed = LiveFeed(open_source(spec_of(venue), {}), ("BTC/USDT",))
        try:
            day = ask(feed, DescribeDay())
            assert (day.day_id, day.calendar, day.timezone, day.kind) == ("ccxt:binance", "24/7", "UTC", "live")
            (found,) = day.instruments
            assert (found.symbol, found.tick_nano, found.lot_nano) == ("BTC/USDT", 10_000_000, 10_000)
            charts: ChartSet = ask(feed, QueryChart(("BTC/USDT",), ("1Min", "5Min"), 5))
            minutes: Chart = next(chart for chart in charts.charts if chart.timeframe == "1Min")
            assert [bar.open_time_ns for bar in minutes.bars][:4] == [
                bar.open_time_ns for bar in sorted(minutes.bars, key=lambda bar: bar.open_time_ns)
            ][:4]
            assert minutes.bars[0].close_nano % NS == NS // 2
            venue.wait_subscribed(2)
            venue.say(kline(candle(minute_ago(1), "61234.5")))
            seen_ns, closes, bids = 0, set[int](), set[int]()
            while 61_234_500_000_000 not in closes or 50_000_100_000_010 not in bids:
                venue.say(book())
                tick: Tick = ask(feed, Advance(seen_ns))
                seen_ns = tick.clock.now_ns
                closes |= {bar.close_nano for bar in tick.bars}
                bids |= {quote.bid_nano for quote in tick.quotes}
                assert all(bar.available_time_ns <= seen_ns for bar in tick.bars)
            snapshot = ask(feed, QuerySnapshot(("BTC/USDT",), -1))
            assert snapshot.bars[0].close_nano == 61_234_500_000_000
            stats: FeedStats = ask(feed, GetFeedStats())
            assert (stats.source, stats.state, stats.rejected_records) == ("ccxt:binance", "ok", 0)
        finally:
            feed.close()
