"""The feed's answers: as of the clock, the same when asked again, the same after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.codec import encode
from bus.errors import BusError, ConfigError, LookAheadError
from bus.local_transport import LocalTransport
from bus.messages import (
    Advance,
    Bars,
    CalendarEvents,
    DescribeDay,
    Message,
    NewsItems,
    QueryBars,
    QueryCalendar,
    QueryNews,
    QuerySnapshot,
    Snapshot,
    Tick,
    TickAt,
)
from feed.format import load_day
from feed.sample import write_sample
from feed.service import FeedService, build_feed
from feed.spec import FeedSpec
from feed.store import DayStore

DIRECTORY = {"feed": "local://feed", "feed.pub": "local://feed.pub"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DayStore:
    return DayStore(load_day(write_sample(tmp_path_factory.mktemp("day") / "sample")))


def tick(message: Message) -> Tick:
    assert isinstance(message, Tick)
    return message


def moved(store: DayStore, instants: int, clock: Path | None = None) -> FeedService:
    feed = FeedService(store, clock, None)
    for _ in range(instants):
        feed.handle(Advance(feed.now_ns))
    return feed


@pytest.mark.requirement("feed:advance")
def test_moving_the_clock_twice_moves_it_once(store: DayStore) -> None:
    feed = moved(store, 3)
    before = feed.now_ns
    again = tick(feed.handle(Advance(store.instants[1])))
    assert again.clock.now_ns == before == feed.now_ns
    assert encode(again) == encode(feed.handle(TickAt(before)))


@pytest.mark.requirement("feed:advance")
def test_a_restarted_feed_goes_on_at_its_clock(store: DayStore, tmp_path: Path) -> None:
    first = moved(store, 5, tmp_path / "clock")
    first.close()
    second = FeedService(store, tmp_path / "clock", None)
    assert second.now_ns == store.instants[4]
    assert encode(second.handle(Advance(store.instants[3]))) == encode(store.tick(4))
    assert tick(second.handle(Advance(store.instants[4]))).clock.now_ns == store.instants[5]
    second.close()


@pytest.mark.requirement("feed:advance")
def test_the_last_instant_says_that_it_is_the_last(store: DayStore) -> None:
    feed = moved(store, len(store.instants))
    last = tick(feed.handle(Advance(feed.now_ns)))
    assert last.clock.done
    assert last.clock.now_ns == feed.now_ns == store.instants[-1]


@pytest.mark.requirement("feed:point-in-time")
@pytest.mark.parametrize("ahead", [1, 60 * 10**9, 2**62])
def test_a_question_about_the_future_is_refused(store: DayStore, ahead: int) -> None:
    feed = moved(store, 10)
    later = feed.now_ns + ahead
    for question in (
        QueryBars("ACME", 5, later),
        QueryNews((), 0, later),
        QueryCalendar(later, 0, later),
        QuerySnapshot((), later),
        TickAt(later),
        Advance(later),
    ):
        with pytest.raises(LookAheadError, match="after the clock"):
            feed.handle(question)


@pytest.mark.requirement("feed:point-in-time")
@settings(max_examples=150, deadline=None)
@given(instants=st.integers(1, 390), back=st.integers(0, 400), limit=st.integers(1, 500))
def test_nothing_after_the_question_is_ever_served(store: DayStore, instants: int, back: int, limit: int) -> None:
    feed = moved_to(store, instants)
    as_of = feed.now_ns - back * 60 * 10**9
    bars = feed.handle(QueryBars("CRUX", limit, as_of))
    news = feed.handle(QueryNews((), 0, as_of, limit))
    snapshot = feed.handle(QuerySnapshot((), as_of))
    calendar = feed.handle(QueryCalendar(as_of, 0, 2**62))
    assert isinstance(bars, Bars)
    assert isinstance(news, NewsItems)
    assert isinstance(snapshot, Snapshot)
    assert isinstance(calendar, CalendarEvents)
    shown = [*bars.bars, *news.items, *snapshot.bars, *snapshot.quotes]
    assert all(record.available_time_ns <= as_of for record in shown)
    assert all(record.event_time_ns <= as_of for record in bars.bars)
    assert all(not event.actual or event.available_time_ns <= as_of for event in calendar.events)


def moved_to(store: DayStore, instants: int) -> FeedService:
    feed = FeedService(store, None, None)
    for index in range(instants):
        feed.handle(Advance(store.instants[index - 1] if index else -1))
    return feed


def test_every_record_of_the_traded_symbols_is_in_exactly_one_tick(store: DayStore) -> None:
    ticks = [store.tick(index) for index in range(len(store.instants))]
    bars = [bar for tick in ticks for bar in tick.bars]
    assert len(bars) == len(set(bars)) == store.info().bars
    assert all(bar.available_time_ns == tick.clock.now_ns for tick in ticks for bar in tick.bars)


def test_what_is_asked_wrongly_is_told_so(store: DayStore) -> None:
    feed = moved(store, 2)
    for question, error in (
        (QueryBars("NOPE", 5, feed.now_ns), ConfigError),
        (QueryBars("ACME", 0, feed.now_ns), BusError),
        (QueryBars("ACME", 10**9, feed.now_ns), BusError),
        (TickAt(feed.now_ns - 1), BusError),
    ):
        with pytest.raises(error):
            feed.handle(question)


def test_ticks_are_published_once_each(tmp_path: Path) -> None:
    transport = LocalTransport()
    feed = build_feed(FeedSpec(str(write_sample(tmp_path / "day"))), transport, DIRECTORY)
    assert isinstance(feed, FeedService)
    listener = transport.subscriber(DIRECTORY["feed.pub"], ("tick",))
    for _ in range(4):
        feed.handle(Advance(feed.now_ns))
        feed.handle(Advance(feed.now_ns - 1))
    numbers: list[int] = []
    while (got := listener.receive(0)) is not None:
        numbers.append(got[1])
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 4
    assert isinstance(feed.handle(DescribeDay()), type(feed.info))
    transport.close()
