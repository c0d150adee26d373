"""When a candle is complete: a later one came, or the clock passed its end; each word once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import NS
from bus.messages import Bar
from feed._ccxt_candles import Candles
from tests.ccxt_source.venue import MINUTE

START = 28_333_334 * MINUTE


def bar(minute: int, close: int = 1) -> Bar:
    at = START + minute * MINUTE
    return Bar("A/B", at, at + MINUTE, at + MINUTE, close, close, close, close, 1)


@pytest.mark.requirement("ccxt:stream")
def test_a_candle_is_complete_when_a_later_one_comes() -> None:
    book = Candles(START)
    assert book.take(bar(0, 1), START + NS) == []
    assert book.take(bar(0, 2), START + 2 * NS) == []
    assert book.take(bar(1), START + MINUTE) == [bar(0, 2)]
    assert book.take(bar(1), START + MINUTE) == []


@pytest.mark.requirement("ccxt:stream")
def test_a_candle_is_complete_when_the_clock_has_passed_its_end_by_the_grace() -> None:
    book = Candles(START, grace_ns=2 * NS)
    book.take(bar(0), START + NS)
    assert book.due(START + MINUTE + 2 * NS - 1) == []
    assert book.due(START + MINUTE + 2 * NS) == [bar(0)]
    assert book.due(START + MINUTE + 3 * NS) == []


@pytest.mark.requirement("ccxt:stream")
def test_what_changes_after_that_is_a_correction() -> None:
    book = Candles(START)
    book.take(bar(0, 1), START)
    book.take(bar(1), START + MINUTE)
    assert book.take(bar(0, 5), START + MINUTE) == [bar(0, 5)]
    assert book.take(bar(0, 5), START + MINUTE) == []


@pytest.mark.requirement("ccxt:order")
def test_a_candle_that_comes_after_its_successor_is_complete_at_once() -> None:
    book = Candles(START)
    assert book.take(bar(1), START + MINUTE) == []
    assert book.take(bar(0), START + MINUTE) == [bar(0)]


@pytest.mark.requirement("ccxt:stream")
def test_history_before_the_stream_began_is_not_delivered() -> None:
    book = Candles(START + 2 * MINUTE)
    assert [found for n in range(5) for found in book.take(bar(n), START + n * MINUTE)] == [bar(2), bar(3)]


@pytest.mark.requirement("ccxt:interrupted")
def test_a_forming_candle_is_forgotten_with_the_connection() -> None:
    book = Candles(START)
    book.take(bar(0, 1), START)
    book.take(bar(1, 1), START + MINUTE)
    book.interrupted()
    assert book.take(bar(3), START + 3 * MINUTE) == []
    assert book.take(bar(1, 4), START + 3 * MINUTE) == [bar(1, 4)]
    assert book.take(bar(0, 1), START + 3 * MINUTE) == []


@pytest.mark.requirement("ccxt:order")
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=40))
def test_in_whatever_order_they_come_the_last_word_of_each_complete_candle_is_given(
    said: list[tuple[int, int]],
) -> None:
    book = Candles(START)
    given_bars: list[Bar] = []
    for minute, close in said:
        given_bars += book.take(bar(minute, close), START)
    last_word = dict(said)
    newest = max(last_word, default=0)
    assert {found.open_time_ns: found for found in given_bars} == {
        bar(minute).open_time_ns: bar(minute, close) for minute, close in last_word.items() if minute < newest
    }
    assert all(one != other for one, other in zip(given_bars, given_bars[1:], strict=False))
