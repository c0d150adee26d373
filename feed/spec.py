"""What the feed process is told. Not the day itself, nor a vendor's keys: those it reads from where they are."""

from __future__ import annotations

import msgspec

from feed.source import SourceSpec

__all__ = ["FeedSpec"]


class FeedSpec(msgspec.Struct, frozen=True):
    """What the feed serves.

    Attributes:
        day: The folder or zip of a sealed day; empty where there is a source.
        symbols: What the desk trades; empty for the day's own default, or for all of the source's symbols.
        clock_file: Where the clock is kept, so that a restarted feed goes on at its time; empty for no file. Of a live
            feed it holds the instants of one run, so each run has its own.
        source: Whose live market; None for a day.
        cache_file: Where a live feed keeps what its vendor said, from run to run; empty for memory.
    """

    day: str
    symbols: tuple[str, ...] = ()
    clock_file: str = ""
    source: SourceSpec | None = None
    cache_file: str = ""
