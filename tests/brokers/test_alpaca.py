"""The Alpaca adapter sends, replaces and cancels at a loopback Alpaca; the client is the real SDK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from bus.errors import BusError
from bus.messages import OrderIntent
from execution.alpaca._records import OrderRecord, change_fields, order_fields, read
from execution.alpaca._sdk import OrderStatus, TradeEvent
from execution.alpaca._status import EVENTS, FILLS, STATUSES
from execution.broker import ReportKind
from tests.brokers.alpaca_venue import PACE, AlpacaVenue
from tests.brokers.kit import BrokerKit, Ear, Mishap, Venue, order


@pytest.mark.requirement("brokers:alpaca:kit")
class TestAlpaca(BrokerKit):
    def make_venue(self, folder: Path) -> Venue:
        del folder
        return AlpacaVenue()


@pytest.fixture
def venue() -> Iterator[AlpacaVenue]:
    venue = AlpacaVenue()
    try:
        yield venue
    finally:
        venue.close()


@pytest.fixture
def ear(venue: AlpacaVenue) -> Iterator[Ear]:
    ear = Ear(venue)
    try:
        yield ear
    finally:
        ear.close()


def posts(venue: AlpacaVenue) -> int:
    return sum(method != "GET" for method, _ in venue.asked)


# --- one request ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:alpaca:once")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_answer_that_is_not_definite_is_unknown_and_the_order_is_sent_once(
    venue: AlpacaVenue, ear: Ear, status: int
) -> None:
    venue.instead.append((status, b'{"message": "try again"}'))
    assert ear.submit(order(venue, 0)) == "unknown"
    assert posts(venue) == 1
    assert venue.orders() == {}


@pytest.mark.requirement("brokers:alpaca:once")
@pytest.mark.parametrize("status", [429, 504, 0])
def test_a_cancel_and_a_replacement_without_an_answer_are_unknown_and_sent_once(
    venue: AlpacaVenue, ear: Ear, status: int
) -> None:
    old = order(venue, 0)
    ear.submit(old)
    venue.asked.clear()
    venue.instead.append((status, b"{}"))
    assert ear.cancel(old.client_order_id) == "unknown"
    assert posts(venue) == 1
    new = order(venue, 1, replaces=old.client_order_id)
    venue.instead += [(200, msgspec.json.encode(venue.order(old.client_order_id).record())), (status, b"{}")]
    assert [(report.client_order_id, report.kind) for report in ear.replace(new)] == [(new.client_order_id, "unknown")]
    assert posts(venue) == 2
    assert ear.query(new.client_order_id) == ()
    assert [report.kind for report in ear.query(old.client_order_id)] == ["accepted"]


@pytest.mark.requirement("brokers:alpaca:definite")
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "insufficient buying power"),
        (403, "account is not allowed to short"),
        (422, 'asset "AAPL" is not tradable'),
        (401, "request is not authorized"),
        (400, "bad request"),
    ],
)
def test_what_alpaca_itself_refuses_is_rejected_in_its_words(
    venue: AlpacaVenue, ear: Ear, status: int, said: str
) -> None:
    venue.instead.append((status, msgspec.json.encode({"code": status * 100_000, "message": said})))
    assert ear.submit(order(venue, 0)) == "rejected"
    assert said in ear.reports[-1].reason


@pytest.mark.requirement("brokers:alpaca:definite")
@pytest.mark.parametrize(
    "body", [b"<html>Forbidden</html>", b"", b"[]", b'{"message": 7}', b"\xff", b'{"error": "no"}']
)
@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_refusal_that_is_not_in_alpacas_words_is_unknown(
    venue: AlpacaVenue, ear: Ear, status: int, body: bytes
) -> None:
    """A proxy or a gateway in between says such things, and the order may have passed it."""
    venue.instead.append((status, body))
    assert ear.submit(order(venue, 0)) == "unknown"


@pytest.mark.requirement("brokers:alpaca:definite")
@pytest.mark.parametrize(
    "change",
    [{"client_order_id": "oo-aaaaaaaaaaaaaaaaaaaa"}, {"symbol": "MSFT"}, {"side": "sell"}, {"qty": "NaN"}, {"id": 5}],
)
def test_an_answer_about_another_order_is_unknown(venue: AlpacaVenue, ear: Ear, change: dict[str, object]) -> None:
    intent = order(venue, 0)
    record = {
        "id": "5",
        "client_order_id": intent.client_order_id,
        "status": "new",
        "symbol": intent.symbol,
        "side": intent.side,
        "qty": "8",
    }
    venue.instead.append((200, msgspec.json.encode(record | change)))
    assert ear.submit(intent) == "unknown"


@pytest.mark.requirement("brokers:alpaca:not-sent")
def test_an_order_is_rejected_when_no_connection_comes_about(venue: AlpacaVenue) -> None:
    broker = venue.open()
    venue.close()
    try:
        old = order(venue, 0)
        report = broker.submit(old, 0)
        assert (report.kind, report.reason[:8]) == ("rejected", "not_sent")
        new = order(venue, 1, replaces=old.client_order_id)
        assert [(r.kind, r.reason[:8]) for r in broker.replace(new, 0)] == [
            ("replace_rejected", "not_sent"),
            ("rejected", "not_sent"),
        ]
        assert broker.cancel(old.client_order_id, 0).kind == "unknown"
    finally:
        broker.close()
    assert venue.asked == []


@pytest.mark.requirement("brokers:alpaca:duplicate")
def test_an_id_that_alpaca_has_means_that_the_order_had_arrived(venue: AlpacaVenue, ear: Ear) -> None:
    intent = order(venue, 0)
    ear.submit(intent)
    ear.broker.close()
    ear.broker = venue.open()  # an adapter that knows nothing of it: Alpaca is what refuses the second one
    assert ear.submit(intent) == "accepted"
    assert [path for method, path in venue.asked if method == "POST"] == ["/v2/orders"] * 2
    assert venue.orders() == {intent.client_order_id: intent.qty_nano}


@pytest.mark.requirement("brokers:alpaca:duplicate")
def test_an_id_that_alpaca_has_and_does_not_show_is_unknown(venue: AlpacaVenue, ear: Ear) -> None:
    venue.instead += [(422, b'{"code": 40010001, "message": "client_order_id must be unique"}')]
    assert ear.submit(order(venue, 0)) == "unknown"


@pytest.mark.requirement("brokers:alpaca:once")
@pytest.mark.parametrize("restart", [False, True])
def test_an_order_that_was_sent_before_is_asked_about_and_not_sent_again(
    venue: AlpacaVenue, ear: Ear, restart: bool
) -> None:
    venue.misbehave(Mishap.LOSE_REQUEST)
    intent = order(venue, 0)
    ear.submit(intent)
    if restart:
        ear.reopen()
    assert ear.submit(intent) == "unknown"
    assert posts(venue) == 1
    assert venue.orders() == {}


@pytest.mark.requirement("brokers:alpaca:definite")
def test_an_answer_about_another_order_than_was_asked_for_is_none(venue: AlpacaVenue, ear: Ear) -> None:
    intent, other = order(venue, 0), order(venue, 1)
    ear.submit(intent)
    ear.submit(other)
    ear.listen()
    record = msgspec.json.encode(venue.order(other.client_order_id).record())
    venue.instead.append((200, record))
    with pytest.raises(BusError, match="another order"):
        ear.broker.query(intent.client_order_id)


@pytest.mark.requirement("brokers:alpaca:never")
def test_an_order_that_alpaca_does_not_know_is_not_given_up_at_once(venue: AlpacaVenue, ear: Ear) -> None:
    venue.misbehave(Mishap.LOSE_REQUEST)
    intent = order(venue, 0)
    ear.submit(intent)
    assert ear.broker.query(intent.client_order_id) == ()


@pytest.mark.requirement("brokers:alpaca:never")
def test_an_order_that_alpaca_does_not_know_long_after_never_arrived(venue: AlpacaVenue) -> None:
    broker = venue.open_with(PACE._replace(never_s=0.0))
    try:
        lost, shown, never_sent = order(venue, 0), order(venue, 1), order(venue, 2)
        venue.misbehave(Mishap.LOSE_REQUEST)
        broker.submit(lost, 0)
        (report,) = broker.query(lost.client_order_id)
        assert (report.kind, report.reason) == ("rejected", "never_arrived")
        broker.submit(shown, 0)
        venue.instead.append((404, b'{"code": 40410000, "message": "order not found"}'))
        assert broker.query(shown.client_order_id) == (), "it had arrived: Alpaca answered about it once"
        assert broker.query(never_sent.client_order_id) == (), "nobody here knows when it was sent, if it was"
    finally:
        broker.close()


@pytest.mark.requirement("brokers:alpaca:others")
@pytest.mark.parametrize("restart", [False, True])
def test_an_order_of_other_hands_is_followed_asked_about_and_canceled(
    venue: AlpacaVenue, ear: Ear, restart: bool
) -> None:
    theirs = venue.place_by_hand("AAPL", "buy", 2_000_000_000, 100_000_000_000)
    told = ear.broker.statement()
    assert told is not None
    name = told.orders[0].client_order_id
    if restart:
        ear.broker.close()
        ear.broker = venue.open()
    with venue.book.lock:
        venue.book.fill(venue.book.by_id(theirs), Decimal(1), Decimal(100))
    ear.until_filled(name, 1_000_000_000)
    assert {report.kind for report in ear.query(name)} == {"accepted", "fill"}
    assert ear.cancel(name) == "pending_cancel"
    ear.until_kind(name, "canceled")
    assert len(ear.of(name)) == 1


# --- words and numbers ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:alpaca:words")
def test_every_status_and_event_of_the_sdk_has_a_word() -> None:
    assert set(STATUSES) == {status.value for status in OrderStatus}
    known = set(STATUSES) | set(EVENTS) | FILLS | {"restated"}
    assert {event.value for event in TradeEvent} <= known


@pytest.mark.requirement("brokers:alpaca:words")
@pytest.mark.parametrize("status", sorted(STATUSES))
def test_each_status_is_told_the_same_by_the_stream_and_by_asking(venue: AlpacaVenue, ear: Ear, status: str) -> None:
    intent = order(venue, 0)
    ear.submit(intent)
    ear.listen()
    kind: ReportKind = STATUSES[status]
    with venue.book.lock:
        venue.book.step(venue.book.by_client(intent.client_order_id), status, status)
    ear.until_kind(intent.client_order_id, kind)
    asked = [report.kind for report in ear.broker.query(intent.client_order_id)]
    assert asked[-1] == kind
    assert set(asked) <= {"accepted", kind}
    ear.reopen()
    ear.query(intent.client_order_id)
    assert ear.kinds(intent.client_order_id)[-1] == kind


@pytest.mark.requirement("brokers:alpaca:words")
def test_a_status_that_is_new_to_us_is_unknown_until_it_is_another(venue: AlpacaVenue, ear: Ear) -> None:
    intent = order(venue, 0)
    ear.submit(intent)
    with venue.book.lock:
        venue.book.step(venue.book.by_client(intent.client_order_id), "in_limbo", "in_limbo")
    ear.until_kind(intent.client_order_id, "unknown")
    assert ear.query(intent.client_order_id) == ()
    with venue.book.lock:
        venue.book.step(venue.book.by_client(intent.client_order_id), "canceled", "canceled")
    ear.until_kind(intent.client_order_id, "canceled")


@pytest.mark.requirement("brokers:alpaca:exact")
def test_numbers_are_exact_text_on_the_wire(venue: AlpacaVenue, ear: Ear) -> None:
    tiny = msgspec.structs.replace(
        order(venue, 0, symbol="BTC/USD", tif="gtc"), qty_nano=123_456_789, limit_price_nano=98_765_432_100_000_001
    )
    assert ear.submit(tiny) == "accepted"
    taken = venue.order(tiny.client_order_id)
    assert (taken.qty, taken.limit) == (Decimal("0.123456789"), Decimal("98765432.100000001"))
    venue.fill(tiny.client_order_id, 123_456_788, 98_765_432_100_000_000)
    ear.until_filled(tiny.client_order_id, 123_456_788)
    (fill,) = ear.of(tiny.client_order_id)
    assert (fill.symbol, fill.qty_nano, fill.price_nano) == ("BTC/USD", 123_456_788, 98_765_432_100_000_000)
    assert venue.book.numbers_seen == []


@pytest.mark.requirement("brokers:alpaca:exact")
@pytest.mark.parametrize("number", ["0.1", "9007199254740993.000000001", "1e-9"])
def test_a_json_number_is_read_by_its_digits(number: str) -> None:
    body = b'{"id": "1", "client_order_id": "x", "status": "new", "qty": %s}' % number.encode()
    assert read(body, OrderRecord, "an order").qty == Decimal(number)


def typed(venue: AlpacaVenue, **more: object) -> OrderIntent:
    return msgspec.structs.replace(order(venue, 0), **more)


@pytest.mark.requirement("brokers:alpaca:fields")
def test_each_type_is_sent_with_its_own_fields_and_no_others(venue: AlpacaVenue) -> None:
    base = {"symbol": "AAPL", "qty": "8", "side": "buy", "time_in_force": "day"}
    none = {"limit_price_nano": 0}
    cases = [
        (typed(venue, order_type="market", **none), {"type": "market"}),
        (typed(venue, limit_price_nano=187_250_000_000), {"type": "limit", "limit_price": "187.25"}),
        (typed(venue, order_type="stop", stop_price_nano=10**9, **none), {"type": "stop", "stop_price": "1"}),
        (
            typed(venue, order_type="stop_limit", stop_price_nano=10**9, limit_price_nano=2 * 10**9),
            {"type": "stop_limit", "stop_price": "1", "limit_price": "2"},
        ),
        (
            typed(venue, order_type="trailing_stop", trail_nano=1_500_000_000, **none),
            {"type": "trailing_stop", "trail_price": "1.5"},
        ),
        (
            typed(venue, order_type="trailing_stop", trail_bps=150, **none),
            {"type": "trailing_stop", "trail_percent": "1.5"},
        ),
    ]
    for intent, fields in cases:
        assert order_fields(intent) == {**base, **fields, "client_order_id": intent.client_order_id}
    trail = change_fields(cases[5][0])
    assert trail["trail"] == "1.5"
    assert "symbol" not in trail


@pytest.mark.requirement("brokers:alpaca:fields")
@pytest.mark.parametrize(
    "more",
    [
        {"limit_price_nano": 0},
        {"order_type": "market"},
        {"stop_price_nano": 10**9},
        {"order_type": "stop", "limit_price_nano": 0},
        {"order_type": "trailing_stop", "limit_price_nano": 0},
        {"order_type": "trailing_stop", "limit_price_nano": 0, "trail_bps": 5, "trail_nano": 5},
        {"trail_nano": 5},
        {"qty_nano": 0},
        {"time_in_force": "gtd"},
        {"order_type": "iceberg"},
        {"symbol": "MSFT"},
    ],
)
def test_an_order_that_does_not_fit_its_type_is_not_sent(venue: AlpacaVenue, ear: Ear, more: dict[str, object]) -> None:
    assert ear.submit(typed(venue, **more)) == "rejected"
    assert posts(venue) == 0


# --- the extra --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("brokers:alpaca:extra")
def test_without_the_extra_opening_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['alpaca'] = None\n"
        "from bus.errors import ConfigError\n"
        "from execution.alpaca import OFFERS, open_alpaca\n"
        "assert 'alpaca.trading' not in sys.modules and OFFERS.name == 'alpaca'\n"
        "try:\n    open_alpaca(None, {}, None)\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'openoutcry[alpaca]'" in done.stdout
