"""The cache before a vendor: one call for many questions, nothing fetched twice, nothing remembered that was not so."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench._feed_vendor import Reply, VendorSource
from bus.clock import NS, monotonic_ns
from bus.errors import ConfigError, NotOfferedError, SourceBusyError, SourceError
from bus.ids import seeded
from bus.messages import Bar, Quote, Trade
from feed.cache import Answer, VendorCache
from tests.live.scripted import MINUTE, NOON, SYMBOLS, WAIT_S, Wall, nonsense, vendor_and_cache


def minutes(cache: VendorCache, count: int, before: int = 0, symbol: str = "ACME") -> list[Bar]:
    end = NOON - before * MINUTE
    return cache.bars(symbol, "1Min", end - count * MINUTE, end).result(WAIT_S)


@pytest.mark.requirement("live:single-flight")
def test_equal_questions_of_many_threads_are_one_call() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.hold("/bars")
        answers: list[Answer[list[Bar]]] = []
        start = threading.Barrier(16)

        def one() -> None:
            start.wait(WAIT_S)
            answers.append(cache.bars("ACME", "1Min", NOON - 100 * MINUTE, NOON))

        threads = [threading.Thread(target=one) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert len(answers) == 16
        assert not any(answer.done() for answer in answers)
        assert (cache.joined, sorted(answer.how for answer in answers)) == (15, ["called"] + ["joined"] * 15)
        vendor.free.set()
        found = [answer.result(WAIT_S) for answer in answers]
        assert len(found[0]) == 100
        assert all(one == found[0] for one in found)
        assert len(vendor.calls("/bars")) == cache.vendor_calls == 1
        assert minutes(cache, 100) == found[0]
        assert cache.from_cache == 1


@pytest.mark.requirement("live:single-flight")
def test_overlapping_questions_wait_for_each_other_and_fetch_only_the_rest() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.hold("/bars")
        first = cache.bars("ACME", "1Min", NOON - 50 * MINUTE, NOON - 20 * MINUTE)
        second = cache.bars("ACME", "1Min", NOON - 60 * MINUTE, NOON)
        third = cache.bars("ACME", "1Min", NOON - 55 * MINUTE, NOON - 10 * MINUTE)
        vendor.free.set()
        assert [len(one.result(WAIT_S)) for one in (first, second, third)] == [30, 60, 45]
        assert sorted(vendor.spans()) == [
            (NOON - 60 * MINUTE, NOON - 50 * MINUTE),
            (NOON - 50 * MINUTE, NOON - 20 * MINUTE),
            (NOON - 20 * MINUTE, NOON),
        ]
        assert third.how == "joined"


@pytest.mark.requirement("live:single-flight")
def test_different_symbols_and_timeframes_do_not_wait_for_each_other() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.hold("/bars")
        answers = [
            cache.bars(symbol, timeframe, NOON - 600 * MINUTE, NOON)
            for symbol in SYMBOLS
            for timeframe in ("1Min", "5Min", "1Hour")
        ]
        vendor.free.set()
        assert [len(one.result(WAIT_S)) for one in answers] == [600, 120, 10] * 2
        assert len(vendor.calls("/bars")) == 6


@pytest.mark.requirement("live:ranges")
def test_two_hundred_bars_after_a_hundred_and_fifty_fetch_fifty() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        assert len(minutes(cache, 150)) == 150
        bars = minutes(cache, 200)
        assert [bar.open_time_ns for bar in bars] == [NOON - n * MINUTE for n in range(200, 0, -1)]
        assert vendor.spans() == [
            (NOON - 150 * MINUTE, NOON),
            (NOON - 200 * MINUTE, NOON - 150 * MINUTE),
        ]


@pytest.mark.requirement("live:ranges")
@settings(max_examples=40, deadline=None)
@given(asks=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=8))
def test_any_sequence_of_ranges_is_served_whole_and_fetched_once(asks: list[tuple[int, int]]) -> None:
    with vendor_and_cache() as (vendor, cache, _):
        for start, end in asks:
            bars = cache.bars("ACME", "1Min", NOON - 400 * MINUTE + start * MINUTE, NOON - 400 * MINUTE + end * MINUTE)
            opens = [(bar.open_time_ns - NOON) // MINUTE + 400 for bar in bars.result(WAIT_S)]
            assert opens == list(range(start, end))
        fetched = [
            minute
            for start, end in vendor.spans()
            for minute in range((start - NOON) // MINUTE, (end - NOON) // MINUTE)
        ]
        assert len(fetched) == len(set(fetched)), "a minute was fetched twice"
        assert set(fetched) == {minute - 400 for start, end in asks for minute in range(start, end)}


@pytest.mark.requirement("live:ranges")
def test_a_vendor_is_never_asked_about_the_future() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        assert len(cache.bars("ACME", "1Min", NOON - 5 * MINUTE, NOON + 600 * MINUTE).result(WAIT_S)) == 5
        assert vendor.spans() == [(NOON - 5 * MINUTE, NOON)]


@pytest.mark.requirement("live:persistent")
def test_what_was_fetched_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with vendor_and_cache(path) as (_, cache, _):
        before = minutes(cache, 150)
        cache.news(("ACME",), NOON - 600 * MINUTE, NOON - 60 * MINUTE).result(WAIT_S)
        trades = cache.trades("ACME", NOON - 20 * MINUTE, NOON - 10 * MINUTE).result(WAIT_S)
    with vendor_and_cache(path) as (vendor, cache, _):
        assert minutes(cache, 150) == before
        assert cache.trades("ACME", NOON - 20 * MINUTE, NOON - 10 * MINUTE).result(WAIT_S) == trades
        cache.news(("ACME",), NOON - 600 * MINUTE, NOON - 60 * MINUTE).result(WAIT_S)
        assert (len(vendor.asked), cache.from_cache) == (0, 3)
        minutes(cache, 200)
        assert vendor.spans() == [(NOON - 200 * MINUTE, NOON - 150 * MINUTE)]


@pytest.mark.requirement("live:persistent")
def test_a_file_has_one_feed_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with vendor_and_cache(path) as (vendor, _, wall):
        with pytest.raises(ConfigError, match="in use by another feed"):
            VendorCache(VendorSource(vendor.port, SYMBOLS), path, clock=wall)
        with pytest.raises(ConfigError, match="folder that exists"):
            VendorCache(VendorSource(vendor.port, SYMBOLS), tmp_path / "no" / "cache", clock=wall)
        (tmp_path / "text").write_text("this is no database, and long enough to be taken for none" * 20)
        with pytest.raises(ConfigError, match="cannot be opened"):
            VendorCache(VendorSource(vendor.port, SYMBOLS), tmp_path / "text", clock=wall)


@pytest.mark.requirement("live:persistent")
def test_another_source_in_the_same_file_has_its_own_records(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with vendor_and_cache(path) as (_, cache, _):
        minutes(cache, 10)
    with vendor_and_cache() as (vendor, _, wall):
        other = VendorCache(VendorSource(vendor.port, SYMBOLS), path, clock=wall, scope="sip")
        minutes(other, 10)
        assert len(vendor.calls("/bars")) == 1
        other.close()


@pytest.mark.requirement("live:busy")
def test_a_busy_vendor_is_left_alone_for_as_long_as_it_asked() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.next = [(429, {"Retry-After": "0.4"}, {})]
        began = monotonic_ns()
        asked = cache.bars("ACME", "1Min", NOON - 10 * MINUTE, NOON, patience_s=5.0)
        other = cache.bars("BOLT", "1Min", NOON - 10 * MINUTE, NOON, patience_s=5.0)
        assert len(asked.result(WAIT_S)) == len(other.result(WAIT_S)) == 10
        assert monotonic_ns() - began >= 0.4 * NS
        assert len(vendor.calls("/bars")) in (3, 4)  # the other may have been under way when it became busy


@pytest.mark.requirement("live:busy")
def test_who_cannot_wait_so_long_is_told_until_when_and_nobody_calls() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.next = [(429, {"Retry-After": "30"}, {})]
        with pytest.raises(SourceBusyError, match=r"left alone for (30\.0|29\.\d) s more"):
            cache.bars("ACME", "1Min", NOON - 10 * MINUTE, NOON, patience_s=0.2).result(WAIT_S)
        for symbol in SYMBOLS:
            with pytest.raises(SourceBusyError) as told:
                cache.bars(symbol, "1Min", NOON - 10 * MINUTE, NOON, patience_s=0.2).result(WAIT_S)
            assert 29 < told.value.retry_after_s <= 30
        assert len(vendor.calls("/bars")) == 1


@pytest.mark.requirement("live:busy")
def test_what_is_cached_is_answered_while_the_vendor_is_busy() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        minutes(cache, 10)
        vendor.next = [(429, {"Retry-After": "30"}, {})]
        with pytest.raises(SourceBusyError):
            cache.bars("BOLT", "1Min", NOON - 10 * MINUTE, NOON, patience_s=0.0).result(WAIT_S)
        assert len(minutes(cache, 10)) == 10


@pytest.mark.requirement("live:busy")
def test_the_impatient_is_told_and_the_patient_is_served_by_the_same_call() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.hold("/bars")
        vendor.next = [(429, {"Retry-After": "0.5"}, {})]
        hurried = cache.bars("ACME", "1Min", NOON - 10 * MINUTE, NOON, patience_s=0.0)
        patient = cache.bars("ACME", "1Min", NOON - 10 * MINUTE, NOON, patience_s=5.0)
        vendor.free.set()
        with pytest.raises(SourceBusyError):
            hurried.result(WAIT_S)
        assert not patient.done()
        assert len(patient.result(WAIT_S)) == 10
        assert len(vendor.calls("/bars")) == 2


@pytest.mark.requirement("live:busy")
def test_a_vendor_that_does_not_say_how_long_is_left_alone_longer_each_time() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.next = [(429, {}, {})]
        asked = cache.bars("ACME", "1Min", NOON - 10 * MINUTE, NOON, patience_s=0.1)
        with pytest.raises(SourceBusyError) as told:
            asked.result(WAIT_S)
        assert 0.5 < told.value.retry_after_s <= 1.0


@pytest.mark.requirement("live:failed")
@pytest.mark.parametrize("reply", [(500, {}, {}), nonsense(), (200, {}, {"bars": 1}), (200, {}, [["ACME", 1]])])
def test_a_failed_call_is_told_to_all_and_not_remembered(reply: Reply) -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.next = [reply]
        vendor.hold("/bars")
        answers = [cache.bars("ACME", "1Min", NOON - 10 * MINUTE, NOON) for _ in range(5)]
        vendor.free.set()
        errors = [answer.exception(WAIT_S) for answer in answers]
        assert all(isinstance(error, SourceError) for error in errors), errors
        assert len(vendor.calls("/bars")) == 1
        assert len(minutes(cache, 10)) == 10
        assert len(vendor.calls("/bars")) == 2


@pytest.mark.requirement("live:failed")
def test_a_source_that_breaks_is_an_error_and_not_the_end_of_a_thread() -> None:
    class Broken(VendorSource):
        def trades(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
            raise KeyError(symbol, start_ns, end_ns)

    with vendor_and_cache() as (vendor, _, wall):
        cache = VendorCache(Broken(vendor.port, SYMBOLS), clock=wall, workers=1)
        for _ in range(3):
            with pytest.raises(SourceError, match="could not be asked: KeyError"):
                cache.trades("ACME", NOON - MINUTE, NOON).result(WAIT_S)
        assert len(minutes(cache, 3)) == 3
        cache.close()


@pytest.mark.requirement("live:failed")
def test_closing_tells_those_who_wait() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        vendor.hold("/bars")
        waiting = cache.bars("ACME", "1Min", NOON - 10 * MINUTE, NOON)
        cache.close()
        with pytest.raises(SourceError, match="being stopped"):
            waiting.result(WAIT_S)
        with pytest.raises(SourceError):
            cache.bars("BOLT", "1Min", NOON - 10 * MINUTE, NOON).result(WAIT_S)


@pytest.mark.requirement("live:tail")
def test_a_minute_that_is_not_there_yet_is_asked_for_again() -> None:
    with vendor_and_cache() as (vendor, cache, wall):
        wall.now_ns = NOON + 500_000_000  # the last minute has ended half a second ago, and the vendor has it not yet
        vendor.lost.add(("ACME", (NOON - MINUTE) // NS))
        assert len(cache.bars("ACME", "1Min", NOON - 5 * MINUTE, wall.now_ns).result(WAIT_S)) == 4
        vendor.lost.clear()
        assert len(cache.bars("ACME", "1Min", NOON - 5 * MINUTE, wall.now_ns).result(WAIT_S)) == 4, "within a second"
        assert len(vendor.calls("/bars")) == 1
        wall.now_ns += 2 * NS
        assert len(cache.bars("ACME", "1Min", NOON - 5 * MINUTE, wall.now_ns).result(WAIT_S)) == 5
        assert vendor.spans()[-1] == (NOON - MINUTE, NOON)


@pytest.mark.requirement("live:tail")
def test_an_empty_stretch_that_is_over_is_remembered() -> None:
    with vendor_and_cache() as (vendor, cache, wall):
        vendor.lost.update(("ACME", (NOON - n * MINUTE) // NS) for n in range(1, 200))
        assert minutes(cache, 100, before=20) == []
        assert minutes(cache, 100, before=20) == []
        assert len(vendor.calls("/bars")) == 1
        wall.now_ns = NOON + 30 * NS
        assert minutes(cache, 10) == []
        wall.now_ns += 10 * MINUTE
        assert minutes(cache, 10) == []
        assert len(vendor.calls("/bars")) == 2


@pytest.mark.requirement("live:tail")
def test_quotes_and_news_are_fresh_for_a_while_only() -> None:
    with vendor_and_cache() as (vendor, cache, wall):
        assert [quote.symbol for quote in cache.quotes(SYMBOLS).result(WAIT_S)] == list(SYMBOLS)
        cache.quotes(("BOLT",)).result(WAIT_S)
        assert len(vendor.calls("/quotes")) == 1
        wall.now_ns += 2 * NS
        assert cache.quotes(("ACME",)).result(WAIT_S)[0].event_time_ns == wall.now_ns
        assert vendor.calls("/quotes")[1]["symbols"] == "ACME"
        for seconds, calls in ((0, 1), (5, 1), (20, 2)):
            wall.now_ns += seconds * NS
            cache.news(SYMBOLS, NOON - 600 * MINUTE, wall.now_ns + 1).result(WAIT_S)
            assert len(vendor.calls("/news")) == calls
        start, end = vendor.spans("/news")[1]
        assert (NOON - start) // NS <= 60, "only what may have come late is asked for again"
        assert end == wall.now_ns + 1


@pytest.mark.requirement("live:ranges")
def test_news_of_several_symbols_are_fetched_together_and_once() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        end = NOON - 60 * MINUTE
        acme = cache.news(("ACME",), end - 600 * MINUTE, end).result(WAIT_S)
        both = cache.news(SYMBOLS, end - 600 * MINUTE, end).result(WAIT_S)
        assert [asked["symbols"] for asked in vendor.calls("/news")] == ["ACME", "BOLT"]
        assert [item for item in both if "ACME" in item.symbols] == acme
        assert len(both) == 2 * len(acme) == 60
        everything = cache.news((), end - 600 * MINUTE, end).result(WAIT_S)
        assert everything == both
        cache.news(("BOLT",), end - 300 * MINUTE, end).result(WAIT_S)
        assert len(vendor.calls("/news")) == 3


@pytest.mark.requirement("live:malformed")
def test_records_of_something_else_are_counted_and_left_out() -> None:
    with vendor_and_cache() as (vendor, cache, _):

        def mend(path: str, _asked: dict[str, str], reply: Reply) -> Reply:
            stray = [["EVIL", 1, 61, 100], ["ACME", (NOON + 90 * MINUTE) // NS, (NOON + 91 * MINUTE) // NS, 100]]
            return (200, {}, [*stray, *reply[2]]) if path == "/bars" else reply

        vendor.mended = mend
        assert len(minutes(cache, 10)) == 10
        assert cache.rejected == 2


@pytest.mark.requirement("live:versions")
def test_a_correction_counts_from_its_arrival_and_the_past_stays_as_it_was() -> None:
    with vendor_and_cache() as (_, cache, wall):
        cache.follow("ACME", NOON)
        wall.now_ns = NOON + MINUTE + NS
        first = Bar("ACME", NOON, NOON + MINUTE, wall.now_ns, 5 * NS, 6 * NS, 4 * NS, 5 * NS, NS)
        kept = cache.take_bar(first, wall.now_ns)
        assert kept is not None
        assert kept.available_time_ns == NOON + MINUTE + NS
        wall.now_ns += 30 * NS
        better = Bar("ACME", NOON, NOON + MINUTE, NOON + MINUTE, 5 * NS, 7 * NS, 4 * NS, 5 * NS, NS)
        corrected = cache.take_bar(better, wall.now_ns)
        assert corrected is not None
        assert corrected.available_time_ns == wall.now_ns
        assert cache.take_bar(better, wall.now_ns + NS) is None, "a repetition"
        assert cache.take_bar(first, wall.now_ns + NS) is None, "the first one again, late"

        def as_of(ns: int) -> list[int]:
            found = cache.bars("ACME", "1Min", NOON, NOON + 5 * MINUTE, as_of_ns=ns).result(WAIT_S)
            return [bar.high_nano // NS for bar in found]

        assert [as_of(NOON + MINUTE), as_of(wall.now_ns - 1), as_of(wall.now_ns)] == [[], [6], [7]]


@pytest.mark.requirement("live:versions")
def test_a_release_has_its_figure_only_from_when_it_was_known() -> None:
    with vendor_and_cache() as (vendor, cache, wall):
        wall.now_ns = NOON - 10 * NS
        (before,) = cache.calendar(NOON, NOON + 3600 * NS).result(WAIT_S)
        assert (before.event_time_ns, before.actual) == (NOON, "")
        wall.now_ns = NOON + 400 * NS
        (after,) = cache.calendar(NOON, NOON + 3600 * NS).result(WAIT_S)
        assert (after.actual, after.available_time_ns) == ("3.1", wall.now_ns)
        (past,) = cache.calendar(NOON, NOON + 3600 * NS, as_of_ns=NOON + NS).result(WAIT_S)
        assert past.actual == ""
        assert len(vendor.calls("/calendar")) == 2


@pytest.mark.requirement("live:versions")
def test_equal_prints_at_the_same_time_are_several_trades() -> None:
    with vendor_and_cache() as (vendor, cache, _):

        def twice(path: str, _asked: dict[str, str], reply: Reply) -> Reply:
            return (200, {}, [row for row in reply[2] for _ in range(2)]) if path == "/trades" else reply

        vendor.mended = twice
        trades = cache.trades("ACME", NOON - 2 * MINUTE, NOON - MINUTE).result(WAIT_S)
        assert len(trades) == 6
        assert cache.trades("ACME", NOON - 2 * MINUTE, NOON - MINUTE).result(WAIT_S) == trades


@pytest.mark.requirement("live:skew")
def test_a_bar_from_the_future_waits_for_our_clock() -> None:
    midnight = NOON + 12 * 3600 * NS
    with vendor_and_cache() as (vendor, cache, wall):
        vendor.clock = Wall(midnight + 5 * NS)  # it gives today's bar as complete, which for us has half a day to go
        days = cache.bars("ACME", "1Day", midnight - 72 * 3600 * NS, midnight).result(WAIT_S)
        assert [bar.event_time_ns for bar in days] == [midnight - 48 * 3600 * NS, midnight - 24 * 3600 * NS]
        assert cache.skew_ns == 12 * 3600 * NS
        wall.now_ns = midnight
        days = cache.bars("ACME", "1Day", midnight - 24 * 3600 * NS, midnight).result(WAIT_S)
        assert [bar.event_time_ns for bar in days] == [midnight]
        assert cache.skew_ns == 0, "that was long ago"


@pytest.mark.requirement("live:look-ahead")
@settings(max_examples=30, deadline=None)
@given(now=st.integers(0, 600), as_of=st.integers(-600, 600), limit=st.integers(0, 50))
def test_nothing_is_given_that_was_known_later(now: int, as_of: int, limit: int) -> None:
    with vendor_and_cache() as (_, cache, wall):
        wall.now_ns = NOON + now * NS
        known = NOON + as_of * NS
        bars = cache.bars("ACME", "1Min", NOON - 30 * MINUTE, known, as_of_ns=known, limit=limit).result(WAIT_S)
        assert all(bar.available_time_ns <= min(known, wall.now_ns) for bar in bars)
        assert not limit or len(bars) <= limit
        for quote in cache.quotes(SYMBOLS, as_of_ns=known).result(WAIT_S):
            assert quote.available_time_ns <= min(known, wall.now_ns)


def test_what_is_not_offered_says_so() -> None:
    with vendor_and_cache() as (_, _, wall):

        class Bare(VendorSource):
            def quotes(self, symbols: tuple[str, ...]) -> list[Quote]:
                raise NotOfferedError(f"no quotes of {symbols}")

        bare = VendorCache(Bare(1, SYMBOLS), clock=wall)
        with pytest.raises(NotOfferedError):
            bare.quotes(SYMBOLS).result(WAIT_S)
        bare.close()


@pytest.mark.requirement("live:versions")
@settings(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5), st.integers(0, 20)), max_size=60),
    limit=st.integers(1, 12),
    as_of=st.integers(0, 400),
)
def test_any_history_of_corrections_is_told_as_it_was_known(
    arrivals: list[tuple[int, int, int]], limit: int, as_of: int
) -> None:
    with vendor_and_cache() as (_, cache, wall):
        cache.follow("ACME", NOON)
        start = NOON + 10 * MINUTE
        wall.now_ns = start
        known: dict[int, list[tuple[int, int]]] = {}
        for minute, price, wait in arrivals:
            wall.now_ns += wait * NS
            opened = NOON + minute * MINUTE
            nano = price * NS
            given_bar = Bar("ACME", opened, opened + MINUTE, opened + MINUTE, nano, nano, nano, nano, 0)
            kept = cache.take_bar(given_bar, wall.now_ns)
            versions = known.setdefault(minute, [])
            assert (kept is None) == any(price == one for _, one in versions)
            if kept is not None:
                assert kept.available_time_ns >= wall.now_ns
                assert not versions or kept.available_time_ns > versions[-1][0]
                versions.append((kept.available_time_ns, price))
        wall.now_ns += 3600 * NS
        then = start + as_of * NS
        expected = [
            (minute, seen[-1])
            for minute in sorted(known)
            if (seen := [price for at, price in known[minute] if at <= then])
        ]
        for most in (limit, 0):
            found = cache.bars("ACME", "1Min", NOON, NOON + 9 * MINUTE, as_of_ns=then, limit=most).result(WAIT_S)
            told = [((bar.open_time_ns - NOON) // MINUTE, bar.close_nano // NS) for bar in found]
            assert told == expected[-most:]


@pytest.mark.requirement("live:single-flight")
def test_many_threads_with_overlapping_ranges_fetch_each_minute_once() -> None:
    with vendor_and_cache() as (vendor, cache, _):
        start = threading.Barrier(8)
        wrong: list[str] = []

        def one(number: int) -> None:
            chance = seeded("ranges", number)
            start.wait(WAIT_S)
            for _ in range(25):
                low = chance.randrange(300)
                high = low + 1 + chance.randrange(300 - low)
                first = NOON - 400 * MINUTE
                bars = cache.bars("ACME", "1Min", first + low * MINUTE, first + high * MINUTE).result(WAIT_S)
                if [(bar.open_time_ns - first) // MINUTE for bar in bars] != list(range(low, high)):
                    wrong.append(f"{low} to {high}: {len(bars)}")

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert wrong == []
        fetched = [minute for low, high in vendor.spans() for minute in range(low // MINUTE, high // MINUTE)]
        assert len(fetched) == len(set(fetched)), "a minute was fetched twice"
        assert cache.joined + cache.from_cache + cache.vendor_calls >= 200
