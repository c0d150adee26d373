"""A real feed on the sample day, in this process: what the stages are tested against."""

from __future__ import annotations

from pathlib import Path

from bus.local_transport import LocalTransport
from bus.messages import Account, Advance, AnalystAsk, StageAsk, StageRequest, Tick
from feed.sample import write_sample
from feed.service import FeedService, build_feed
from feed.spec import FeedSpec

DIRECTORY = {"feed": "local://feed", "feed.pub": "local://feed.pub"}
SYMBOLS = ("ACME", "BOLT", "CRUX", "DYNE", "ECHO", "FLUX")


class FeedDesk:
    """A feed moved to an instant."""

    def __init__(self, folder: Path, instant: int) -> None:
        self.transport = LocalTransport()
        self.feed: FeedService = build_feed(FeedSpec(str(write_sample(folder))), self.transport, DIRECTORY)
        self.transport.server(DIRECTORY["feed"], self.feed)
        self.now_ns = -1
        for _ in range(instant):
            tick = self.feed.handle(Advance(self.now_ns))
            assert isinstance(tick, Tick)
            self.now_ns = tick.clock.now_ns

    @property
    def account(self) -> Account:
        return Account("c", "replay", self.now_ns, 100_000 * 10**9, 100_000 * 10**9, 0)

    def request(self, ask: StageAsk | None = None, cycle: int = 1) -> StageRequest:
        return StageRequest("run", "c", cycle, self.now_ns, ask or AnalystAsk(SYMBOLS, self.account))
