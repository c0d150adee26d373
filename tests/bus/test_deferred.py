"""A promised answer: it arrives when it comes, and nobody waits behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from bus.async_client import AsyncClient
from bus.deferred import Deferred
from bus.errors import CallTimeoutError, NotOfferedError, RemoteError
from bus.local_transport import LocalTransport
from bus.messages import GetClock, Kill, Message, Ok, Ping
from bus.zmq_transport import ZmqTransport


class Vendor:
    """Promises an answer to ``Kill`` and answers the rest at once."""

    def __init__(self) -> None:
        self.promises: list[Deferred] = []
        self.asked = Event()

    def handle(self, request: Message) -> Message | Deferred:
        if isinstance(request, Kill):
            promise = Deferred()
            self.promises.append(promise)
            self.asked.set()
            return promise
        return Ok("at once")


@contextmanager
def served(path: Path, vendor: Vendor) -> Generator[str]:
    endpoint = f"ipc://{path / 'v'}"
    transport = ZmqTransport()
    server = transport.server(endpoint, vendor)
    stop = Event()
    thread = Thread(target=server.serve, args=(stop.is_set, 20))
    thread.start()
    try:
        yield endpoint
    finally:
        stop.set()
        thread.join(10)
        transport.close()


SLOW = Kill("slow", "a test")


@pytest.mark.requirement("bus:deferred")
def test_others_are_answered_while_a_promise_is_open(tmp_path: Path) -> None:
    vendor = Vendor()
    with served(tmp_path, vendor) as endpoint:
        transport = ZmqTransport(retry_s=0.05)
        got: list[Message] = []
        slow = transport.client(endpoint)
        asker = Thread(target=lambda: got.append(slow.call(SLOW, 20.0)))
        asker.start()
        assert vendor.asked.wait(10)
        other = transport.client(endpoint)
        for _ in range(50):
            assert other.call(Ping(), 10.0) == Ok("at once")
        assert not got
        vendor.promises[0].resolve(Ok("late"))
        asker.join(10)
        transport.close()
    assert got == [Ok("late")]
    # It was asked again several times meanwhile, and executed once.
    assert len(vendor.promises) == 1


@pytest.mark.requirement("bus:deferred")
def test_a_promise_can_end_in_a_refusal_and_is_settled_once(tmp_path: Path) -> None:
    vendor = Vendor()
    with served(tmp_path, vendor) as endpoint:
        transport = ZmqTransport()
        client = transport.client(endpoint)

        def refuse() -> None:
            assert vendor.asked.wait(10)
            vendor.promises[0].fail(NotOfferedError("no such thing here; ask for bars"))
            vendor.promises[0].resolve(Ok("too late"))

        thread = Thread(target=refuse)
        thread.start()
        with pytest.raises(RemoteError, match="no such thing") as caught:
            client.call(SLOW, 20.0)
        thread.join(10)
        transport.close()
    assert caught.value.code == "not_offered"


@pytest.mark.requirement("bus:deferred")
def test_who_gave_up_hears_nothing_and_can_ask_something_else(tmp_path: Path) -> None:
    vendor = Vendor()
    with served(tmp_path, vendor) as endpoint:
        transport = ZmqTransport()
        client = transport.client(endpoint)
        with pytest.raises(CallTimeoutError):
            client.call(SLOW, 0.1)
        assert vendor.asked.wait(10)
        vendor.promises[0].resolve(Ok("nobody waits"))
        assert client.call(Ping(), 10.0) == Ok("at once")
        transport.close()


@pytest.mark.requirement("bus:deferred")
def test_a_promise_is_kept_in_one_process_too() -> None:
    vendor = Vendor()
    transport = LocalTransport()
    transport.server("local://v", vendor)
    keeper = Thread(target=lambda: (vendor.asked.wait(10), vendor.promises[0].resolve(Ok("late"))))
    keeper.start()
    assert transport.client("local://v").call(SLOW, 10.0) == Ok("late")
    keeper.join(10)
    with pytest.raises(CallTimeoutError):
        transport.client("local://v").call(SLOW, 0.0)
    assert transport.client("local://v").call(Ping()) == Ok("at once")


@pytest.mark.requirement("bus:async-client")
def test_many_questions_share_one_socket_and_a_slow_one_holds_up_nobody(tmp_path: Path) -> None:
    vendor = Vendor()

    async def ask(endpoint: str) -> None:
        client = AsyncClient(endpoint, retry_s=0.05)
        slow = asyncio.create_task(client.call(SLOW, 20.0))
        quick = await asyncio.gather(*(client.call(GetClock(), 10.0) for _ in range(100)))
        assert quick == [Ok("at once")] * 100
        assert not slow.done()
        vendor.promises[0].resolve(Ok("late"))
        assert await slow == Ok("late")
        client.close()
        with pytest.raises(CallTimeoutError, match="closed"):
            await client.call(Ping())

    with served(tmp_path, vendor) as endpoint:
        asyncio.run(ask(endpoint))
    assert len(vendor.promises) == 1


@pytest.mark.requirement("bus:async-client")
def test_a_service_that_comes_up_late_or_not_at_all_is_asked_until_the_deadline(tmp_path: Path) -> None:
    async def ask() -> None:
        endpoint = f"ipc://{tmp_path / 'v'}"
        client = AsyncClient(endpoint)
        with pytest.raises(CallTimeoutError, match="not known"):
            await client.call(Ping(), 0.1)
        waiting = asyncio.create_task(client.call(Ping(), 20.0))
        assert waiting in (await asyncio.wait({waiting}, timeout=0.01))[1]
        with served(tmp_path, Vendor()):
            assert await waiting == Ok("at once")
        waiting = asyncio.create_task(client.call(Ping(), 20.0))
        assert waiting in (await asyncio.wait({waiting}, timeout=0.01))[1]
        client.close()
        with pytest.raises(CallTimeoutError, match="closed while it waited"):
            await waiting

    asyncio.run(ask())


@pytest.mark.requirement("bus:async-client")
def test_who_is_canceled_leaves_nothing_behind(tmp_path: Path) -> None:
    vendor = Vendor()

    async def ask(endpoint: str) -> None:
        client = AsyncClient(endpoint)
        task = asyncio.create_task(client.call(SLOW, 20.0))
        await asyncio.to_thread(vendor.asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.call(Ping(), 10.0) == Ok("at once")
        client.close()

    with served(tmp_path, vendor) as endpoint:
        asyncio.run(ask(endpoint))
