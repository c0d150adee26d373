"""Whatever a vendor may send, a record is a message that the bus can carry or a refusal that says why."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.codec import decode, encode
from feed._alpaca_records import BadRecordError, bar_from, news_from, quote_from, time_from, trade_from

_NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(),
    st.sampled_from([0, -0.0, 1e300, 2**70, Decimal("1e-999999"), Decimal("9" * 30), True]),
)
_TIMES = st.one_of(
    st.builds(msgpack.Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 999_999_999)),
    st.sampled_from(["2024-03-13T13:30:00Z", "2024-03-13T09:30:00.123456789-04:00", "9999-12-31T23:59:59Z"]),
    st.text(max_size=30),
)
_TEXTS = st.text(st.characters(codec=None), max_size=60)
_ANY = st.one_of(_NUMBERS, _TIMES, _TEXTS, st.none(), st.binary(max_size=8), st.lists(_TEXTS, max_size=4))
_GOOD: dict[str, Any] = {
    "t": "2024-03-13T13:30:00Z",
    **{"o": 100.0, "h": 101.5, "l": 99.5, "c": 100.25, "v": 1200},
    **{"bp": 100.01, "ap": 100.03, "bs": 3, "as": 4, "p": 100.02, "s": 7},
    **{"id": 1, "headline": "Up", "summary": "", "content": "<p>Up</p>", "source": "benzinga", "symbols": ["AAPL"]},
    **{"created_at": "2024-03-13T13:30:00Z", "updated_at": "2024-03-13T13:31:00Z"},
}
_CHANGES = st.dictionaries(st.sampled_from(list(_GOOD)), _ANY, max_size=3)
_RECORDS = st.one_of(_ANY, _CHANGES.map(lambda changes: _GOOD | changes))


def _minute(stamp_ns: int) -> tuple[int, int]:
    return stamp_ns, stamp_ns + 60_000_000_000


_READERS: dict[str, Callable[[object], Any]] = {
    "bar": lambda record: bar_from(record, "AAPL", _minute),
    "quote": lambda record: quote_from(record, "AAPL"),
    "trade": lambda record: trade_from(record, "AAPL"),
    "news": lambda record: news_from(record, {"BTCUSD": "BTC/USD"}),
}


@pytest.mark.requirement("alpaca:hygiene")
@pytest.mark.parametrize("reader", _READERS.values(), ids=_READERS)
@settings(max_examples=300, deadline=None)
@given(record=_RECORDS)
def test_a_record_is_a_message_that_the_bus_carries_or_is_refused(
    reader: Callable[[object], Any], record: object
) -> None:
    try:
        message = reader(record)
    except BadRecordError:
        return
    assert decode(encode(message)) == message


@pytest.mark.requirement("alpaca:news")
@settings(max_examples=300, deadline=None)
@given(headline=_TEXTS, body=_TEXTS, symbols=st.lists(_TEXTS, max_size=4))
def test_any_headline_is_carried_in_one_printable_line(headline: str, body: str, symbols: list[str]) -> None:
    record = {
        "id": 1,
        "headline": f"x{headline}",
        "summary": body,
        "symbols": symbols,
        "created_at": "2024-03-13T13:30:00Z",
    }
    item = news_from(record, {})
    assert decode(encode(item)) == item
    assert item.headline.isprintable()
    assert item.body.isprintable()
    assert all(symbol.isprintable() and symbol for symbol in item.symbols)


@pytest.mark.requirement("alpaca:exact")
@given(ns=st.integers(0, 2**63 - 1))
def test_a_time_of_the_stream_keeps_its_nanoseconds(ns: int) -> None:
    assert time_from(msgpack.Timestamp.from_unix_nano(ns), "t") == ns


@pytest.mark.requirement("alpaca:exact")
@given(price=st.decimals(min_value="0.0001", max_value="99999.9999", places=4))
def test_a_price_of_the_stream_is_the_decimal_that_was_sent(price: Decimal) -> None:
    fields = {"t": "2024-03-13T13:30:00Z", "bp": float(price), "ap": float(price), "bs": 1, "as": 1}
    assert quote_from(fields, "AAPL").bid_nano == int(price * 1_000_000_000)
