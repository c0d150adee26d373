"""The other processes of the feed benchmark: the feed, and those who ask it. Not used by a desk.

Started as ``python -m bench._feed_peers ROLE ...``; they read commands from standard input and end when it closes.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from bench._feed_day import MINUTES, OPEN_NS, SYMBOLS, questions
from bench._feed_stream import StreamSource
from bus.async_client import AsyncClient
from bus.clock import NS
from bus.messages import Message, QueryBars
from bus.zmq_transport import ZmqTransport
from feed.live import LiveFeed

__all__ = ["EQUAL", "FileClock", "main"]

EQUAL = QueryBars("SPY", 200, OPEN_NS - 20 * 86_400 * NS)
"""A question that the day does not ask, for all to ask at once."""
_CLOCK = struct.Struct("<q")
_EACH = 8


class FileClock:
    """A clock that one process sets and the others read."""

    def __init__(self, path: Path) -> None:
        """Open the file, which holds eight bytes."""
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _CLOCK.size)

    def __call__(self) -> int:
        return int(_CLOCK.unpack_from(self._map)[0])

    def set(self, now_ns: int) -> None:
        """Move the clock."""
        _CLOCK.pack_into(self._map, 0, now_ns)


def _feed(endpoint: str, published: str, port: str, clock: str, cache: str) -> None:
    """Serve a live feed until standard input closes."""
    transport = ZmqTransport()
    publisher = transport.publisher(published)
    source = StreamSource(int(port), SYMBOLS, "XNYS")
    feed = LiveFeed(source, SYMBOLS, publisher, cache_file=Path(cache), clock=FileClock(Path(clock)))
    server = transport.server(endpoint, feed)
    stop = Event()
    Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    server.serve(stop.is_set, 20)
    feed.close()
    transport.close()


def _asker(name: str, endpoint: str) -> None:
    """Ask a minute's questions when told its number, or all the same one when told so; answer how many."""
    transport = ZmqTransport()
    client = transport.client(endpoint)
    print("ready", flush=True)
    for line in sys.stdin:
        word, _, now = line.strip().partition(" ")
        if word == "equal":
            answers = asyncio.run(_at_once(endpoint, EQUAL, _EACH))
            print(len(answers), len({repr(answer) for answer in answers}), flush=True)
            continue
        asked = questions(name, int(word) % MINUTES, int(now))
        for question in asked:
            client.call(question, timeout_s=30.0)
        print(len(asked), flush=True)
    transport.close()


async def _at_once(endpoint: str, question: Message, count: int) -> list[Message]:
    client = AsyncClient(endpoint)
    try:
        return await asyncio.gather(*(client.call(question, 30.0) for _ in range(count)))
    finally:
        client.close()


_ROLES: dict[str, Callable[..., None]] = {"feed": _feed, "asker": _asker}


def main(words: list[str]) -> None:
    """Play a role."""
    _ROLES[words[0]](*words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
