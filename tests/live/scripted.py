"""A vendor on a loopback socket that does what a test tells it, and a feed that asks it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import TypeVar

from bench._feed_stream import StreamSource, StreamVendor
from bench._feed_vendor import Reply, VendorSource
from bus.clock import NS, monotonic_ns
from bus.deferred import Deferred
from bus.messages import Message
from bus.transport import Publisher
from feed._live_pump import Pace
from feed.cache import VendorCache
from feed.live import LiveFeed
from feed.source import Source

WAIT_S = 30.0
SYMBOLS = ("ACME", "BOLT")
MINUTE = 60 * NS
NOON = 1_710_331_200 * NS
"""2024-03-13 12:00:00Z, a Wednesday."""
_T = TypeVar("_T", bound=Message)


class Wall:
    """A wall clock that a test sets."""

    def __init__(self, now_ns: int = NOON) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


class ScriptedVendor(StreamVendor):
    """Answers as it is told: held, failing, or with anything."""

    def __init__(self, clock: Callable[[], int], calendar: str = "") -> None:
        self.free = Event()
        self.free.set()
        self.holds = ""
        self.next: list[Reply] = []
        self.mended: Callable[[str, dict[str, str], Reply], Reply] = lambda _path, _asked, reply: reply
        super().__init__(SYMBOLS, clock, calendar)

    def hold(self, path: str) -> None:
        """Answer nothing on a path until ``free`` is set."""
        self.free.clear()
        self.holds = path

    def reply(self, path: str, asked: dict[str, str]) -> Reply:
        if path == self.holds:
            assert self.free.wait(WAIT_S)
        if self.next and path != "/instruments":
            return self.next.pop(0)
        return self.mended(path, asked, super().reply(path, asked))

    def serve(self, handler: BaseHTTPRequestHandler, path: str, parameters: dict[str, str]) -> None:
        if path == self.holds == "/stream":
            assert self.free.wait(WAIT_S)
        super().serve(handler, path, parameters)

    def spans(self, path: str = "/bars") -> list[tuple[int, int]]:
        """The ranges that were asked for, in nanoseconds."""
        return [(int(asked["start"]), int(asked["end"])) for asked in self.calls(path)]

    def close(self) -> None:
        self.free.set()
        super().close()


def until(true: Callable[[], bool], what: str = "") -> None:
    """Wait for something that another thread brings about."""
    deadline = monotonic_ns() + int(WAIT_S * NS)
    pause = Event()
    while not true():
        assert monotonic_ns() < deadline, f"it did not come: {what}"
        pause.wait(0.002)


@contextmanager
def vendor_and_cache(
    path: Path | None = None, wall: Wall | None = None
) -> Generator[tuple[ScriptedVendor, VendorCache, Wall]]:
    """Run a vendor and a cache before it."""
    clock = wall or Wall()
    vendor = ScriptedVendor(clock)
    cache = VendorCache(VendorSource(vendor.port, SYMBOLS), path, clock=clock)
    try:
        yield vendor, cache, clock
    finally:
        cache.close()
        vendor.close()


@contextmanager
def live_feed(
    vendor: ScriptedVendor,
    wall: Callable[[], int],
    source: Source | None = None,
    publisher: Publisher | None = None,
    cache_file: Path | None = None,
    clock_file: Path | None = None,
    pace: Pace | None = None,
) -> Generator[LiveFeed]:
    """Run a feed on a vendor's stream, or on a given source."""
    feed = LiveFeed(
        source or StreamSource(vendor.port, SYMBOLS),
        SYMBOLS,
        publisher,
        clock=wall,
        cache_file=cache_file,
        clock_file=clock_file,
        pace=pace or Pace(publish_s=0.02, heartbeat_s=0.1),
    )
    try:
        yield feed
    finally:
        feed.close()


def answer(feed: LiveFeed, request: Message) -> Message:
    """Ask and wait."""
    found = feed.handle(request)
    return found.wait(WAIT_S) if isinstance(found, Deferred) else found


def ask(feed: LiveFeed, request: Message, kind: type[_T]) -> _T:
    """Ask, wait and expect one kind of answer."""
    found = answer(feed, request)
    assert isinstance(found, kind), found
    return found


def nonsense(text: bytes = b"<html>oops</html>") -> Reply:
    """An answer that is no JSON."""
    return 200, {}, text
