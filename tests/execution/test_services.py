"""The gateway beside the real feed: the same bytes through sockets and in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from bus.codec import encode
from bus.endpoints import ipc_directory, local_directory
from bus.fixed import from_nano, to_nano
from bus.ids import client_order_id
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    DayInfo,
    DescribeDay,
    Executed,
    ExecutionAsk,
    OrderIntent,
    Settled,
    SettleOrders,
    StageRequest,
    StageResult,
    Tick,
)
from bus.transport import Directory, Handler, Transport
from bus.zmq_transport import ZmqTransport
from execution.gateway import build_gateway
from feed.sample import write_sample
from feed.service import build_feed
from feed.spec import FeedSpec
from risk.tickets import Signer, publish_public_key
from tests.execution.desk import START_CASH, gateway_spec, ticketed


@contextmanager
def served(transport: Transport, services: dict[str, Handler], directory: Directory) -> Generator[None]:
    """Serve each in a thread of its own until the end."""
    stop = Event()
    servers = [transport.server(directory[name], handler) for name, handler in services.items()]
    threads = [Thread(target=server.serve, args=(stop.is_set, 10)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=10)
        for server in servers:
            server.close()


def play(
    folder: Path, day: Path, signer: Signer, transport: Transport, directory: Directory, instants: int
) -> list[bytes]:
    """Buy and sell through the beginning of the day and return every answer."""
    folder.mkdir()
    spec = gateway_spec(folder)
    publish_public_key(Path(spec.public_key_file), signer)
    answers: list[bytes] = []
    with ExitStack() as stack:
        stack.callback(transport.close)
        feed_service = build_feed(FeedSpec(str(day), (), ""), transport, directory)
        gateway = stack.enter_context(closing(build_gateway(spec, transport, directory)))
        stack.enter_context(served(transport, {"feed": feed_service, "execution": gateway}, directory))
        feed, execution = transport.client(directory["feed"]), transport.client(directory["execution"])
        info = feed.call(DescribeDay())
        assert isinstance(info, DayInfo)
        now_ns, account = -1, None
        for n in range(instants):
            tick = feed.call(Advance(now_ns))
            assert isinstance(tick, Tick)
            now_ns = tick.clock.now_ns
            settled = execution.call(SettleOrders(now_ns))
            assert isinstance(settled, Settled)
            account = settled.account
            answers.append(encode(settled))
            if n % 5 == 2:
                lots = {i.symbol: i.lot_nano for i in info.instruments}
                intents = [
                    OrderIntent(
                        client_order_id=client_order_id("alice", "run-1", n, k),
                        client="alice",
                        run_id="run-1",
                        cycle=n,
                        index=k,
                        symbol=symbol,
                        side="buy" if n % 2 else "sell",
                        order_type="market",
                        time_in_force="day",
                        qty_nano=max(lots[symbol], to_nano(20) // lots[symbol] * lots[symbol]),
                        limit_price_nano=0,
                        decided_ns=now_ns,
                        strategy="test",
                    )
                    for k, symbol in enumerate(info.traded[:4])
                ]
                asked = ExecutionAsk(tuple(ticketed(signer, intent) for intent in intents))
                result = execution.call(StageRequest("run-1", "alice", n, now_ns, asked))
                assert isinstance(result, StageResult)
                assert isinstance(result.answer, Executed)
                assert {event.kind for event in result.answer.events} == {"sent", "accepted"}
                answers.append(encode(result))
        assert account is not None
        positions = account.positions
        assert positions
        value = sum(p.qty_nano * p.mark_nano for p in positions) // to_nano(1)
        assert abs(account.cash_nano + value - account.equity_nano) <= len(positions)
        assert abs(from_nano(account.equity_nano - START_CASH)) < 1_000
    return answers


@pytest.mark.requirement("execution:once:settle")
def test_the_real_feeds_day_gives_the_same_bytes_through_sockets_and_in_one_process(tmp_path: Path) -> None:
    day = write_sample(tmp_path / "day")
    signer = Signer()
    local = play(tmp_path / "local", day, signer, LocalTransport(), local_directory(), 60)
    with tempfile.TemporaryDirectory(prefix="oo-") as sockets:
        over = play(tmp_path / "zmq", day, signer, ZmqTransport(), ipc_directory(Path(sockets)), 60)
    assert over == local
