"""What the feed process is told. Not the day itself: that is read from its folder."""

from __future__ import annotations

import msgspec

from feed.source import SourceSpec

__all__ = ["FeedSpec"]


class FeedSpec(msgspec.Struct, frozen=True):
    """What the feed serves.

    Attributes:
        day: The folder or zip of a sealed day; empty for a live market.
        symbols: What the desk trades; empty for the day's own default.
        clock_file: Where the clock is kept, so that a restarted feed goes on at its time; empty for no file.
        source: Whose live market; None for a day.
        cache_file: Where a live market's records are kept across restarts; empty for nowhere.
    """

    day: str
    symbols: tuple[str, ...] = ()
    clock_file: str = ""
    source: SourceSpec | None = None
    cache_file: str = ""
