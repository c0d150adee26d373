"""The last hop of the three-hop path, with or without a journal: what a durable event adds to an order's way.

Not used by a desk. Started as ``python -m bench._journal_peers ENDPOINT [JOURNAL]``; ends with its standard input.
"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Thread

from bus.messages import Executed, Message, Ok, OrderEvent, StageRequest, StageResult
from bus.zmq_transport import ZmqTransport
from execution.journal import Journal

__all__ = ["event", "main"]

_NOW_NS = 1_381_152_600_000_000_000


def event(seq: int) -> OrderEvent:
    """Return an order event of the usual size."""
    return OrderEvent(
        seq=seq,
        client_order_id=f"oo-{seq:020x}",
        symbol="AAPL",
        side="buy",
        kind="accepted",
        status="accepted",
        time_ns=_NOW_NS + seq,
        qty_nano=100_000_000_000,
        filled_nano=0,
        reason="the trend is up",
        price_nano=187_250_000_000,
    )


class JournalHop:
    """Answers a stage's question, after it has made one event durable."""

    def __init__(self, journal: Journal | None) -> None:
        """Take the journal; without one nothing is written."""
        self._journal = journal
        self._seq = 0

    def handle(self, request: Message) -> Message:
        """Return an empty result."""
        if self._journal is not None:
            self._seq += 1
            with self._journal.batch():
                self._journal.add_events([event(self._seq)])
        if isinstance(request, StageRequest):
            return StageResult("execution", request.cycle, request.now_ns, Executed(()))
        return Ok()


def main(words: list[str]) -> None:
    """Serve until standard input closes."""
    endpoint, database = (*words, "")[:2]
    hop = JournalHop(Journal(Path(database), {}) if database else None)
    server = ZmqTransport().server(endpoint, hop)
    Thread(target=server.serve, args=(lambda: False,), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
