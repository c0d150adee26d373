"""The market as the gate sees it is the feed's, whether it is asked whole or followed tick by tick."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bus.local_transport import LocalTransport
from bus.messages import Advance, ClockTick, Message, QuerySnapshot, Snapshot, Tick
from bus.transport import Client
from feed.sample import write_sample
from feed.service import build_feed
from feed.spec import FeedSpec
from risk.market import Market

DIRECTORY = {"feed": "local://feed", "feed.pub": "local://feed.pub"}


class Counting:
    """A way to ask the feed that counts what was asked."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.asked: list[str] = []

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        self.asked.append(type(request).__name__)
        return self.client.call(request, timeout_s)

    def close(self) -> None:
        self.client.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "day")


def plain(snapshot: Snapshot) -> tuple[int, dict[str, object], dict[str, object], tuple[str, ...]]:
    bars: dict[str, object] = {bar.symbol: bar for bar in snapshot.bars}
    quotes: dict[str, object] = {quote.symbol: quote for quote in snapshot.quotes}
    return snapshot.now_ns, bars, quotes, snapshot.halted


@pytest.mark.requirement("risk:market:same")
@pytest.mark.parametrize("skip", [0, 7, 2])
@pytest.mark.parametrize("grow", [False, True])
def test_followed_tick_by_tick_the_prices_are_those_of_the_whole_snapshot(sample: Path, skip: int, grow: bool) -> None:
    transport = LocalTransport()
    feed = build_feed(FeedSpec(str(sample)), transport, DIRECTORY)
    transport.server(DIRECTORY["feed"], feed)
    direct = transport.client(DIRECTORY["feed"])
    counting = Counting(transport.client(DIRECTORY["feed"]))
    market = Market(counting)
    now_ns, instants = -1, 0
    while True:
        tick = direct.call(Advance(now_ns))
        assert isinstance(tick, Tick)
        now_ns = tick.clock.now_ns
        if not (skip and tick.clock.index % skip == 1):
            market.describe(now_ns)
            market.check_clock(now_ns)
            count = len(market.traded) - (1 if grow and tick.clock.index < 50 else 0)
            symbols = frozenset(market.traded[:count])
            seen = market.snapshot(symbols, now_ns)
            whole = direct.call(QuerySnapshot(tuple(sorted(symbols)), now_ns))
            assert isinstance(whole, Snapshot)
            assert plain(seen) == plain(whole)
            instants += 1
        if tick.clock.done:
            break
    feed.close()
    asked = counting.asked.count("QuerySnapshot")
    assert instants >= 150
    assert asked == 1 + grow if not skip else asked <= instants


@pytest.mark.requirement("risk:market:same")
def test_a_symbol_that_the_day_does_not_tick_is_always_asked_for(sample: Path) -> None:
    transport = LocalTransport()
    feed = build_feed(FeedSpec(str(sample)), transport, DIRECTORY)
    transport.server(DIRECTORY["feed"], feed)
    direct = transport.client(DIRECTORY["feed"])
    counting = Counting(transport.client(DIRECTORY["feed"]))
    market = Market(counting)
    now_ns = -1
    for _ in range(5):
        tick = direct.call(Advance(now_ns))
        assert isinstance(tick, Tick)
        now_ns = tick.clock.now_ns
        market.describe(now_ns)
        market.traded = market.traded[:1]
        market.check_clock(now_ns)
        market.snapshot(frozenset(sorted(market.instruments)[:2]), now_ns)
    feed.close()
    assert counting.asked.count("QuerySnapshot") == 5


class Scripted:
    """A feed that answers the ticks and snapshots of a list, or nothing."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.fail = False

    def call(self, request: Message, timeout_s: float = 5.0) -> Message:
        answer = self.client.call(request, timeout_s)
        if self.fail and isinstance(answer, Snapshot):
            return msgspec.structs.replace(answer, now_ns=answer.now_ns - 1)
        if self.fail and isinstance(answer, Tick):
            clock = answer.clock
            return Tick(ClockTick(clock.now_ns, clock.index + 5, clock.total, clock.done))
        return answer

    def close(self) -> None:
        self.client.close()


@pytest.mark.requirement("risk:market:same")
def test_after_anything_went_wrong_the_next_prices_are_asked_for_whole(sample: Path) -> None:
    transport = LocalTransport()
    feed = build_feed(FeedSpec(str(sample)), transport, DIRECTORY)
    transport.server(DIRECTORY["feed"], feed)
    direct = transport.client(DIRECTORY["feed"])
    scripted = Scripted(transport.client(DIRECTORY["feed"]))
    market = Market(scripted)
    now_ns = -1
    for n in range(30):
        tick = direct.call(Advance(now_ns))
        assert isinstance(tick, Tick)
        now_ns = tick.clock.now_ns
        market.describe(now_ns)
        symbols = frozenset(market.traded)
        scripted.fail = n % 5 == 3
        market.check_clock(now_ns)
        if scripted.fail:
            with pytest.raises(Exception, match="another instant"):
                market.snapshot(symbols, now_ns)
            continue
        whole = direct.call(QuerySnapshot(tuple(sorted(symbols)), now_ns))
        assert isinstance(whole, Snapshot)
        assert plain(market.snapshot(symbols, now_ns)) == plain(whole)
    feed.close()
