"""What the Alpaca adapter hears, asks for and tells: executions and ends once each, whatever the stream does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.messages import OrderIntent
from execution.alpaca._memory import Memory
from execution.alpaca._records import FillRecord, OrderRecord, Symbols, UpdateRecord
from execution.alpaca._status import STATUSES
from execution.broker import BrokerReport
from tests.brokers.alpaca_book import Book, VenueOrder
from tests.brokers.alpaca_venue import PACE, AlpacaVenue
from tests.brokers.kit import Ear, order

NEVER_S = 3_600.0


@pytest.fixture
def venue() -> Iterator[AlpacaVenue]:
    venue = AlpacaVenue()
    try:
        yield venue
    finally:
        venue.close()


@pytest.fixture
def listen(venue: AlpacaVenue) -> Iterator[Callable[..., Ear]]:
    """Open an ear with an adapter of another patience."""
    ears: list[Ear] = []

    def opened(**pace: float) -> Ear:
        ear = Ear(venue)
        ear.broker.close()
        ear.broker = venue.open_with(PACE._replace(**pace))
        ears.append(ear)
        return ear

    yield opened
    for ear in ears:
        ear.close()


def placed(venue: AlpacaVenue, ear: Ear, index: int = 0) -> OrderIntent:
    intent = order(venue, index)
    assert ear.submit(intent) == "accepted"
    ear.listen()
    return intent


# --- one id -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:alpaca:fill-ids")
def test_an_execution_has_the_same_id_from_every_source_and_after_a_restart(
    venue: AlpacaVenue, listen: Callable[..., Ear]
) -> None:
    ear = listen()
    intent = placed(venue, ear)
    for _ in range(2):
        venue.fill(intent.client_order_id, 1_000_000_000, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, 2_000_000_000)
    streamed = {fill.fill_id for fill in ear.of(intent.client_order_id)}
    other = venue.open()  # it has heard nothing: what it knows is from activities
    try:
        asked = {report.fill.fill_id for report in other.query(intent.client_order_id) if report.fill}
        told = other.statement()
    finally:
        other.close()
    assert told is not None
    assert asked == streamed == {fill.fill_id for fill in told.fills}
    executions = {activity["id"] for activity in venue.book.activities}
    assert not any(name in execution for name in streamed for execution in executions), (
        "activities have ids of their own"
    )


# --- the stream -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:alpaca:silence")
def test_a_silent_stream_is_found_out_by_asking_and_made_anew(venue: AlpacaVenue, listen: Callable[..., Ear]) -> None:
    ear = listen(silence_s=0.05)
    intent = placed(venue, ear)
    came = venue.came
    venue.mute = True
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, intent.qty_nano)
    ear.until(lambda: venue.came > came, "a new connection")


@pytest.mark.requirement("brokers:alpaca:silence")
def test_a_silent_stream_without_working_orders_is_left_alone(venue: AlpacaVenue, listen: Callable[..., Ear]) -> None:
    ear = listen(silence_s=0.01)
    intent = placed(venue, ear)
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, intent.qty_nano)
    ear.listen()
    other = placed(venue, ear, 1)
    looked = [path for _, path in venue.asked].count("/v2/orders")
    ear.until(lambda: [path for _, path in venue.asked].count("/v2/orders") > looked + 3, "looks for a working order")
    venue.fill(other.client_order_id, other.qty_nano, other.limit_price_nano)
    ear.until_filled(other.client_order_id, other.qty_nano)
    came = venue.came
    assert ear.query(other.client_order_id)[0].kind == "accepted"
    assert venue.came == came


@pytest.mark.requirement("brokers:alpaca:reconnect")
def test_what_happens_while_the_stream_is_lost_is_asked_for(venue: AlpacaVenue, listen: Callable[..., Ear]) -> None:
    ear = listen()
    intent = placed(venue, ear)
    venue.mute = True
    venue.drop_streams()
    venue.fill(intent.client_order_id, 1_000_000_000, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, 1_000_000_000)
    venue.mute = False
    ear.until(lambda: venue.listeners() == 1, "a new connection")
    venue.fill(intent.client_order_id, 7_000_000_000, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, 8_000_000_000)
    assert len(ear.of(intent.client_order_id)) == 2


@pytest.mark.requirement("brokers:alpaca:reconnect")
def test_new_connections_are_paced_and_orders_are_asked_about_meanwhile(
    venue: AlpacaVenue, listen: Callable[..., Ear]
) -> None:
    ear = listen(backoff_s=NEVER_S, backoff_most_s=NEVER_S)
    intent = placed(venue, ear)
    came = venue.came
    venue.mute = True
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    venue.drop_streams()
    ear.until_filled(intent.client_order_id, intent.qty_nano)
    assert venue.came == came


@pytest.mark.requirement("brokers:alpaca:reconnect")
@pytest.mark.parametrize(
    "greeting",
    [
        b"\xff\x00",
        b"{}",
        b"[1]",
        b'{"stream": "authorization", "data": null}',
        b'{"stream": "authorization", "data": {"status": "unauthorized"}}',
        b'{"stream": "authorization", "data": {"status": "authorized"}}',
    ],
)
def test_a_stream_that_greets_wrongly_is_tried_again(
    venue: AlpacaVenue, listen: Callable[..., Ear], greeting: bytes
) -> None:
    ear = listen()
    intent = placed(venue, ear)
    venue.greetings.append(greeting)
    venue.drop_streams()
    ear.until(lambda: not venue.greetings and venue.listeners() == 1, "a good connection")
    venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, intent.qty_nano)


@pytest.mark.requirement("brokers:alpaca:garbage")
@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\xff",
        "",
        '{"stream": "trade_updates"}',
        '{"stream": "trade_updates", "data": {"event": "fill"}}',
        '{"stream": "trade_updates", "data": {"event": "fill", "order": {"id": 5}}}',
        '{"stream": "trade_updates", "data": {"event": "fill", "qty": "x", "order": {}}}',
        '{"stream": "something_else", "data": {}}',
        "[" * 100_000,
    ],
)
def test_a_frame_that_cannot_be_read_loses_nothing(
    venue: AlpacaVenue, listen: Callable[..., Ear], frame: bytes | str
) -> None:
    ear = listen()
    intent = placed(venue, ear)
    if frame and "something_else" not in str(frame):
        venue.mute = True  # what the garbage stood for is known by asking only
    venue.fill(intent.client_order_id, 1_000_000_000, intent.limit_price_nano)
    venue.send_raw(frame)
    ear.until_filled(intent.client_order_id, 1_000_000_000)
    venue.mute = False
    venue.fill(intent.client_order_id, 7_000_000_000, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, 8_000_000_000)


@pytest.mark.requirement("brokers:alpaca:garbage")
@pytest.mark.parametrize(
    "change", [{"qty": None}, {"price": "NaN"}, {"qty": "0"}, {"qty": "1e300"}, {"timestamp": "soon"}]
)
def test_an_update_that_says_what_cannot_be_is_asked_about(
    venue: AlpacaVenue, listen: Callable[..., Ear], change: dict[str, Any]
) -> None:
    ear = listen()
    intent = placed(venue, ear)
    venue.mute = True
    with venue.book.lock:
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        record = venue.book.by_client(intent.client_order_id).record()
        data = {"event": "fill", "timestamp": "2026-11-21T15:00:00Z", "qty": "8", "price": "187.25", "order": record}
        venue.send_raw(msgspec.json.encode({"stream": "trade_updates", "data": data | change}))
    ear.until_filled(intent.client_order_id, intent.qty_nano)
    (fill,) = ear.of(intent.client_order_id)
    assert (fill.qty_nano, fill.price_nano) == (intent.qty_nano, intent.limit_price_nano)


@pytest.mark.requirement("brokers:alpaca:order-of-news")
def test_an_end_waits_for_the_executions_that_alpaca_counted(venue: AlpacaVenue, listen: Callable[..., Ear]) -> None:
    """Else what is reserved would be given back while a part of it is filled and not yet told."""
    ear = listen()
    intent = placed(venue, ear)
    venue.mute = True
    venue.fill(intent.client_order_id, 3_000_000_000, intent.limit_price_nano)
    venue.mute = False
    with venue.book.lock:
        venue.book.cancel(venue.book.by_client(intent.client_order_id).id)
    ear.until_kind(intent.client_order_id, "canceled")
    assert ear.kinds(intent.client_order_id) == ["accepted", "fill", "canceled"]


# --- any order of news ------------------------------------------------------------------------------------------------


def life(steps: list[tuple[str, int]]) -> tuple[list[UpdateRecord], list[tuple[OrderRecord, list[FillRecord]]], Book]:
    """Return an order's life: every update of it, and what could have been found by asking after each."""
    told: list[dict[str, Any]] = []
    book = Book({"AAPL"}, Decimal(100_000), told.append)
    placed = book.place(
        {
            "symbol": "AAPL",
            "side": "buy",
            "type": "limit",
            "time_in_force": "day",
            "qty": "20",
            "limit_price": "10",
            "client_order_id": "oo-00000000000000000000",
        }
    )
    looks = [look(book, placed)]
    for what, quantity in steps:
        if placed.status in ("filled", "canceled", "expired"):
            break
        if what == "fill":
            book.fill(placed, min(Decimal(quantity), placed.qty - placed.filled), Decimal(10))
        else:
            book.step(placed, what, what)
        looks.append(look(book, placed))
    return [msgspec.convert(update, UpdateRecord, strict=False) for update in told], looks, book


def look(book: Book, placed: VenueOrder) -> tuple[OrderRecord, list[FillRecord]]:
    fills = [{name: value for name, value in fill.items() if name != "at_ns"} for fill in book.activities]
    return (
        msgspec.convert(placed.record(), OrderRecord, strict=False),
        msgspec.convert(fills, list[FillRecord], strict=False),
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.integers(1, 9)),
        st.tuples(st.sampled_from(["suspended", "held", "new", "done_for_day", "canceled", "expired"]), st.just(0)),
    ),
    max_size=6,
)


@pytest.mark.requirement("brokers:alpaca:order-of-news")
@given(STEPS, st.integers(0, 2**32), st.booleans())
def test_each_execution_and_each_end_is_told_once_in_any_order_of_news(
    steps: list[tuple[str, int]], seed: int, restart: bool
) -> None:
    updates, looks, book = life(steps)
    shuffled = random.Random(seed)
    news: list[UpdateRecord | tuple[OrderRecord, list[FillRecord]]] = [*updates, *looks]
    news += shuffled.sample(news, shuffled.randint(0, len(news)))
    shuffled.shuffle(news)
    news.append(looks[-1])
    memory = Memory(Symbols(["AAPL"]))
    memory.expect("oo-00000000000000000000", 20_000_000_000)
    reports: list[BrokerReport] = []
    for item in news:
        reports += memory.update(item) if isinstance(item, UpdateRecord) else memory.look(*item)
    kinds = [report.kind for report in reports]
    fills = [report.fill for report in reports if report.fill is not None]
    assert len({fill.fill_id for fill in fills}) == len(fills) == len(book.activities)
    assert sum(fill.qty_nano for fill in fills) == looks[-1][0].filled_nano
    status = looks[-1][0].status
    ends = [kind for kind in kinds if kind in ("canceled", "expired")]
    assert ends == ([status] if status in ("canceled", "expired") else [])
    standing = [kind for kind in kinds if kind != "fill"]
    assert standing[-1] == STATUSES[status], "the newest status is the last that is told"
    times = [report.time_ns for report in reports if report.kind != "fill"]
    assert times == sorted(times), "no status is told after a newer one"
    assert not {"accepted", "suspended", "held", "done_for_day"} & set(kinds[kinds.index(ends[0]) :] if ends else [])
    assert not memory.missing()
    assert memory.live() == (() if ends or status == "filled" else ("oo-00000000000000000000",))
    whole = memory.whole(*looks[-1])
    assert [report.fill for report in whole if report.fill] == fills
    if restart:
        fresh = Memory(Symbols(["AAPL"])).whole(*looks[-1])
        assert {r.fill.fill_id for r in fresh if r.fill} == {fill.fill_id for fill in fills}


# --- busts ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:alpaca:bust")
@pytest.mark.parametrize(("event", "kind"), [("trade_bust", "bust"), ("trade_correct", "correct")])
def test_an_execution_that_is_undone_is_named(
    venue: AlpacaVenue, listen: Callable[..., Ear], event: str, kind: str
) -> None:
    ear = listen()
    intent = placed(venue, ear)
    execution = venue.fill_with_id(intent.client_order_id, 2_000_000_000, intent.limit_price_nano)
    ear.until_filled(intent.client_order_id, 2_000_000_000)
    (was,) = ear.of(intent.client_order_id)
    with venue.book.lock:
        placed_order = venue.book.by_client(intent.client_order_id)
        more = {"execution_id": venue.book.new_id(), "previous_execution_id": execution, "qty": "2", "price": "180.01"}
        venue.book.step(placed_order, placed_order.status, event, **more)
        venue.book.step(placed_order, placed_order.status, event, **more)
    ear.until(lambda: kind in ear.kinds(intent.client_order_id), kind)
    ear.listen()
    undone = [r.fill for r in ear.reports if r.kind == kind and r.fill is not None]
    assert len(undone) == 1, "told once, though it came twice"
    assert (undone[0].refers_to, undone[0].qty_nano) == (was.fill_id, 2_000_000_000)
    assert undone[0].price_nano == (180_010_000_000 if kind == "correct" else was.price_nano)
    assert undone[0].fill_id != was.fill_id
