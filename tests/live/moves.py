"""What tests of a live feed do to it, in one word each."""

from __future__ import annotations

from bus.clock import NS
from bus.messages import (
    Advance,
    FeedStats,
    GetFeedStats,
    Tick,
)
from feed.live import LiveFeed
from tests.live.scripted import (
    ScriptedVendor,
    ask,
)

__all__ = ["advance_until", "bar", "stats"]


def stats(feed: LiveFeed) -> FeedStats:
    return ask(feed, GetFeedStats(), FeedStats)


def advance_until(feed: LiveFeed, after_ns: int, bars: int) -> list[Tick]:
    """Advance until so many bars have been in ticks."""
    ticks: list[Tick] = []
    while sum(len(tick.bars) for tick in ticks) < bars:
        ticks.append(ask(feed, Advance(after_ns), Tick))
        after_ns = ticks[-1].clock.now_ns
    return ticks


def bar(vendor: ScriptedVendor, open_ns: int, symbol: str = "ACME", price: int = 100) -> None:
    vendor.push("bar", symbol, open_ns // NS, open_ns // NS + 60, price)
