"""A real feed on the sample day, in this process: what the stages are tested against."""

from __future__ import annotations

from pathlib import Path

from bus.local_transport import LocalTransport
from bus.messages import Account, Advance, AnalystAsk, GetAccount, Message, Position, StageAsk, StageRequest, Tick
from feed.sample import write_sample
from feed.service import FeedService, build_feed
from feed.spec import FeedSpec

DIRECTORY = {"feed": "local://feed", "feed.pub": "local://feed.pub", "execution": "local://execution"}
SYMBOLS = ("ACME", "BOLT", "CRUX", "DYNE", "ECHO", "FLUX")


class FeedDesk:
    """A feed moved to an instant."""

    def __init__(self, folder: Path, instant: int) -> None:
        self.transport = LocalTransport()
        feed = build_feed(FeedSpec(str(write_sample(folder))), self.transport, DIRECTORY)
        assert isinstance(feed, FeedService)
        self.feed = feed
        self.transport.server(DIRECTORY["feed"], self.feed)
        self.transport.server(DIRECTORY["execution"], self)
        self.held: dict[str, int] = {}
        self.now_ns = -1
        self.advance(instant)

    def advance(self, instants: int) -> None:
        """Move the clock on."""
        for _ in range(instants):
            tick = self.feed.handle(Advance(self.now_ns))
            assert isinstance(tick, Tick)
            self.now_ns = tick.clock.now_ns

    def handle(self, request: Message) -> Message:
        """Answer as execution does: what is held, by ``held``."""
        assert request == GetAccount(self.now_ns)
        return self.account

    @property
    def account(self) -> Account:
        positions = tuple(Position(symbol, units * 10**9, 1, 1, 0) for symbol, units in self.held.items())
        return Account("c", "replay", self.now_ns, 100_000 * 10**9, 100_000 * 10**9, 0, positions)

    def request(self, ask: StageAsk | None = None, cycle: int = 1) -> StageRequest:
        return StageRequest("run", "c", cycle, self.now_ns, ask or AnalystAsk(SYMBOLS, self.account))
