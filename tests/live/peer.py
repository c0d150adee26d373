"""Another process of a test: a feed that can be killed, or one who asks it: ``python -m tests.live.peer ROLE ...``."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event, Thread

from bench._feed_vendor import VendorSource
from bus.codec import encode
from bus.messages import QueryBars
from bus.zmq_transport import ZmqTransport
from feed._live_pump import Pace
from feed.live import LiveFeed
from tests.live.scripted import SYMBOLS, WAIT_S


def main(role: str, endpoint: str, *words: str) -> None:
    transport = ZmqTransport()
    if role == "asker":
        answer = transport.client(endpoint).call(QueryBars("BOLT", 40, -1), timeout_s=WAIT_S)
        sys.stdout.write(encode(answer).hex())
        transport.close()
        return
    port, cache, clock = words
    source = VendorSource(int(port), SYMBOLS)
    pace = Pace(publish_s=0.02, heartbeat_s=0.05)
    feed = LiveFeed(source, SYMBOLS, None, cache_file=Path(cache), clock_file=Path(clock), pace=pace)
    server = transport.server(endpoint, feed)
    stop = Event()
    Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    server.serve(stop.is_set, 20)
    feed.close()
    transport.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
