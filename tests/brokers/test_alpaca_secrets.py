"""Keys are nowhere to be read but in the requests that need them, and go nowhere but where they belong."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from bus.errors import BusError, ConfigError
from execution.alpaca import open_alpaca
from execution.alpaca._broker import AlpacaBroker
from execution.alpaca._exchange import CalmTradingClient
from execution.alpaca._secrets import scrub
from execution.alpaca._stream import Listener, Pace
from execution.broker import BrokerReport
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec
from tests.brokers.alpaca_venue import DEADLINE_S, KEY, PACE, SECRET, AlpacaVenue
from tests.brokers.kit import Ear, Mishap, order

CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def venue() -> Iterator[AlpacaVenue]:
    venue = AlpacaVenue()
    try:
        yield venue
    finally:
        venue.close()


def told(errors: list[BaseException], reports: list[BrokerReport]) -> str:
    """Return everything that errors and reports show, the variables of every frame included."""
    texts = [repr(report) + str(report) for report in reports]
    for error in errors:
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        texts += [str(error), repr(error), repr(error.args), *trace.format(chain=True)]
        chained: BaseException | None = error
        while chained is not None:
            texts += [str(chained), repr(vars(chained))]
            chained = chained.__cause__ or chained.__context__
    return "\n".join(texts)


def provoke(broker: AlpacaBroker, venue: AlpacaVenue, index: int) -> tuple[list[BaseException], list[BrokerReport]]:
    """Do all that a broker can be asked to do, and keep what comes of it."""
    errors: list[BaseException] = []
    reports: list[BrokerReport] = []
    intent = order(venue, index)
    new = order(venue, index + 1, replaces=intent.client_order_id)
    for question in (
        lambda: reports.append(broker.submit(intent, 0)),
        lambda: reports.extend(broker.query(intent.client_order_id)),
        lambda: reports.extend(broker.replace(new, 0)),
        lambda: reports.append(broker.cancel(intent.client_order_id, 0)),
        lambda: reports.extend(broker.drain()),
        broker.statement,
    ):
        try:
            question()
        except (BusError, OSError) as error:
            errors.append(error)
    return errors, reports


@pytest.mark.requirement("brokers:alpaca:secrets")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, msgspec.json.encode({"message": f"key {KEY} with secret {SECRET} is not known"})),
        (422, msgspec.json.encode({"message": SECRET})),
        (429, SECRET.encode()),
        (500, KEY.encode()),
        (504, b""),
        (200, msgspec.json.encode({"id": "5", "status": SECRET})),
        (200, msgspec.json.encode(SECRET)),
        (200, b"\xff" + SECRET.encode()),
        (302, b""),
        (0, b""),
    ],
)
def test_no_error_path_of_rest_shows_a_key(
    venue: AlpacaVenue,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    status: int,
    body: bytes,
) -> None:
    with caplog.at_level(logging.DEBUG):
        broker = venue.open_with(PACE)
        try:
            venue.instead += [(status, body)] * 200
            errors, reports = provoke(broker, venue, 0)
        finally:
            broker.close()
    assert errors
    assert reports
    text = told(errors, reports) + caplog.text + "".join(capfd.readouterr())
    assert SECRET not in text
    assert KEY not in text


@pytest.mark.requirement("brokers:alpaca:secrets")
@pytest.mark.parametrize(
    "secret", ["wrong-Word-0000000000000000", "two-Words\nof-a-Secret-0000000000", "kéy-☃-0000000000000000"]
)
@pytest.mark.parametrize("reachable", [True, False])
def test_keys_that_are_wrong_or_cannot_travel_are_not_shown(
    venue: AlpacaVenue,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    secret: str,
    reachable: bool,
) -> None:
    spec = venue.spec()
    if not reachable:
        where = BrokerSpec(kind="alpaca", url=CLOSED, stream_url="ws://127.0.0.1:9/stream", timeout_s=1.0)
        spec = msgspec.structs.replace(spec, broker=where)
    with caplog.at_level(logging.DEBUG):
        broker = AlpacaBroker(spec, venue.instruments, Keys(KEY, secret), PACE)
        try:
            errors, reports = provoke(broker, venue, 0)
        finally:
            broker.close()
    assert errors
    text = told(errors, reports) + caplog.text + "".join(capfd.readouterr())
    assert not any(word in text for word in (KEY, *secret.split()))
    assert venue.orders() == {}


@pytest.mark.requirement("brokers:alpaca:secrets")
def test_no_trouble_of_the_stream_shows_a_key(
    venue: AlpacaVenue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        venue.greetings += [
            b"\xff" + SECRET.encode(),
            msgspec.json.encode({"stream": "authorization", "data": {"status": SECRET}}),
        ]
        ear = Ear(venue)
        try:
            intent = order(venue, 0)
            ear.submit(intent)
            venue.mute = True
            venue.fill(intent.client_order_id, 1_000_000_000, intent.limit_price_nano)
            venue.send_raw(SECRET)
            venue.send_raw(msgspec.json.encode({"stream": "trade_updates", "data": {"event": SECRET}}))
            ear.until_filled(intent.client_order_id, 1_000_000_000)
            venue.misbehave(Mishap.RESTART_VENUE)
            venue.mute = False
            ear.until(lambda: venue.listeners() == 1, "a new connection")
        finally:
            ear.close()
    assert "alpaca.trading.stream" in {record.name for record in caplog.records}, "its logger was listened to"
    text = told([], ear.reports) + caplog.text + "".join(capfd.readouterr())
    assert SECRET not in text
    assert KEY not in text


@pytest.mark.requirement("brokers:alpaca:secrets")
def test_nothing_that_holds_keys_shows_them(venue: AlpacaVenue) -> None:
    broker = venue.open_with(PACE)
    try:
        holders = [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith("execution.alpaca")]
        assert {AlpacaBroker, CalmTradingClient, Listener} <= {type(thing) for thing in holders}
        text = "\n".join(f"{thing!r} {thing!s}" for thing in holders)
        assert SECRET not in text
        assert KEY not in text
    finally:
        broker.close()


@pytest.mark.requirement("brokers:alpaca:secrets")
def test_text_from_outside_is_one_short_line_without_keys() -> None:
    keys = Keys("PKTEST", "PKTEST-and-more")
    assert scrub(keys, "a\nPKTEST-and-more\x1b[31m PKTEST b") == "a [key] [31m [key] b"
    assert len(scrub(keys, "x" * 5_000)) == 200


# --- addresses --------------------------------------------------------------------------------------------------------


def spec(mode: Any = "paper", **broker: Any) -> GatewaySpec:
    return GatewaySpec("alice", "run", mode, "", "", 0, broker=BrokerSpec(kind="alpaca", timeout_s=1.0, **broker))


@pytest.mark.requirement("brokers:alpaca:addresses")
@pytest.mark.parametrize(
    ("url", "stream_url"),
    [
        ("http://example.com", "ws://127.0.0.1:9/stream"),
        ("http://127.0.0.1:9", "ws://10.0.0.1/stream"),
        ("https://user:word@127.0.0.1", "wss://127.0.0.1/stream"),
        ("https://127.0.0.1?key=word", "wss://127.0.0.1/stream"),
        ("ftp://127.0.0.1", "wss://127.0.0.1/stream"),
        ("https://", "wss://127.0.0.1/stream"),
        ("http://127.0.0.1:9", ""),
        ("", "ws://127.0.0.1:9/stream"),
        ("http://127.0.0.1.example.com", "ws://127.0.0.1:9/stream"),
    ],
)
def test_an_address_that_would_give_keys_away_is_refused(url: str, stream_url: str) -> None:
    with pytest.raises(ConfigError, match=r"broker\.(url|stream_url)"):
        open_alpaca(spec(url=url, stream_url=stream_url), {}, Keys(KEY, SECRET))


@pytest.mark.requirement("brokers:alpaca:addresses")
@pytest.mark.parametrize("mode", ["paper", "replay"])
def test_real_money_is_refused_in_a_run_that_is_not_live(mode: str) -> None:
    with pytest.raises(ConfigError, match="real money"):
        open_alpaca(spec(mode, sandbox=False), {}, Keys(KEY, SECRET))


@pytest.mark.requirement("brokers:alpaca:addresses")
@pytest.mark.parametrize(
    ("sandbox", "url", "expected"),
    [
        (True, "", "https://paper-api.alpaca.markets"),
        (False, "", "https://api.alpaca.markets"),
        (False, CLOSED, CLOSED),
    ],
)
def test_without_other_addresses_the_vendors_own_are_used(sandbox: bool, url: str, expected: str) -> None:
    client = CalmTradingClient(Keys(KEY, SECRET), url, sandbox=sandbox, timeout_s=1.0)
    assert str(getattr(vars(client)["_base_url"], "value", vars(client)["_base_url"])) == expected
    client.hang_up()


@pytest.mark.requirement("brokers:alpaca:addresses")
def test_a_redirect_is_not_followed_with_the_keys(venue: AlpacaVenue) -> None:
    ear = Ear(venue)
    try:
        venue.instead.append((307, b"{}"))
        assert ear.submit(order(venue, 0)) == "unknown"
        assert [path for method, path in venue.asked if method == "POST"] == ["/v2/orders"]
    finally:
        ear.close()


@pytest.mark.requirement("brokers:alpaca:addresses")
def test_a_proxy_in_the_environment_does_not_see_what_is_meant_for_this_machine(
    venue: AlpacaVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", CLOSED)
    monkeypatch.setenv("http_proxy", CLOSED)
    broker = AlpacaBroker(venue.spec(), venue.instruments, Keys(KEY, SECRET), Pace())
    try:
        assert broker.listening(DEADLINE_S)
        assert broker.submit(order(venue, 0), 0).kind == "accepted"
    finally:
        broker.close()
