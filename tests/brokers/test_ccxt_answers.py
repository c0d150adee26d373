"""What the exchange may answer, and what an order then is: refused for certain, or not known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from bus.clock import NS, monotonic_ns
from bus.errors import BusError
from bus.messages import OrderIntent
from execution.broker import Broker
from execution.ccxt_broker import open_ccxt
from execution.keys import Keys
from tests.brokers.ccxt_http import Fault
from tests.brokers.ccxt_venue import KEY, SECRET, CcxtVenue
from tests.brokers.kit import Mishap, order

POST = ("POST", "/order")
PLACES = {"submit": POST, "cancel": ("DELETE", "/order"), "query": ("GET", "/order"), "statement": ("GET", "/account")}
STATUSES = (200, 307, 400, 401, 403, 429, 500, 503)
CODES = (-2010, -1021, -1022, -2011, -2013, -1007)
ECHO = f'{{"code":%d,"msg":"you sent {KEY} and {SECRET}"}}'
SILENT = (Mishap.LOSE_ANSWER, Mishap.LOSE_REQUEST, Mishap.GARBAGE_ANSWER, Mishap.DISCONNECT_MID_ORDER)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[CcxtVenue]:
    venue = CcxtVenue(tmp_path)
    venue.price(venue.symbol, venue.bid_nano, venue.ask_nano)
    yield venue
    venue.close()


@pytest.fixture
def broker(venue: CcxtVenue) -> Iterator[Broker]:
    broker = venue.open()
    yield broker
    broker.close()


def posts(venue: CcxtVenue) -> int:
    return sum(method == "POST" for method, _, _ in venue.exchange.asked)


def test_a_test_key_signs_and_a_wrong_one_is_refused_for_certain(venue: CcxtVenue) -> None:
    for keys, code in ((Keys(KEY, "another-fake-secret"), "-1022"), (Keys("another-fake-key", SECRET), "-2015")):
        broker = open_ccxt(venue.spec, venue.instruments, keys)
        report = broker.submit(order(venue, 0, tif="gtc"), 0)
        broker.close()
        assert report.kind == "rejected"
        assert code in report.reason
    assert venue.orders() == {}


@pytest.mark.requirement("brokers:ccxt:definite")
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, '{"code":-2010,"msg":"Account has insufficient balance for requested action."}', "rejected"),
        (400, '{"code":-1013,"msg":"Filter failure: PERCENT_PRICE_BY_SIDE"}', "rejected"),
        (400, '{"code":-1111,"msg":"Precision is over the maximum defined for this asset."}', "rejected"),
        (400, '{"code":-1100,"msg":"Illegal characters found in a parameter."}', "rejected"),
        (400, '{"code":-1199,"msg":"The last of its kind."}', "rejected"),
        (400, '{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}', "rejected"),
        (401, '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}', "rejected"),
        (400, '{"code":-1099,"msg":"Not found, authenticated, or authorized"}', "unknown"),
        (400, '{"code":-1200,"msg":"One beyond."}', "unknown"),
        (400, '{"code":-1000,"msg":"An unknown error occurred while processing the request."}', "unknown"),
        (400, '{"code":-1001,"msg":"Internal error; unable to process your request."}', "unknown"),
        (400, '{"code":-1006,"msg":"An unexpected response was received from the message bus."}', "unknown"),
        (400, '{"code":-1007,"msg":"Timeout waiting for response from backend server."}', "unknown"),
        (400, '{"code":-9999,"msg":"A code that nobody knows."}', "unknown"),
        (400, '{"code":"-2010","msg":"A number as text."}', "unknown"),
        (400, '{"code":-2010}', "unknown"),
        (400, "insufficient balance", "unknown"),
        (403, "<html>Request blocked by the firewall</html>", "unknown"),
        (403, '{"code":-2010,"msg":"An error of the engine with a status that is not."}', "unknown"),
        (404, "<html>Not found</html>", "unknown"),
        (408, "", "unknown"),
        (409, '{"code":-2021,"msg":"Order cancel-replace partially failed."}', "unknown"),
        (418, '{"code":-1003,"msg":"Way too much request weight used; IP banned."}', "unknown"),
        (429, '{"code":-1015,"msg":"Too many new orders."}', "unknown"),
        (500, "", "unknown"),
        (502, "<html>Bad gateway</html>", "unknown"),
        (503, '{"code":-1008,"msg":"Server is currently overloaded with other requests."}', "unknown"),
        (503, '{"code":-2010,"msg":"Account has insufficient balance for requested action."}', "unknown"),
        (504, "", "unknown"),
        (200, "", "unknown"),
        (200, "{}", "unknown"),
        (200, "[]", "unknown"),
        (200, "null", "unknown"),
        (200, '"NEW"', "unknown"),
        (200, '{"orderId":1,"status":"NEW"}', "unknown"),
        (200, '{"code":-2010,"msg":"A refusal with the status of an answer."}', "unknown"),
        (200, '{"symbol":"ETHUSDT","orderId":1,"clientOrderId":"x","origQty":"1","executedQty":"0"}', "unknown"),
        (200, '{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"x","origQty":"NaN","executedQty":"0"}', "unknown"),
        (200, '{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"x","price":"1","origQty":"1","executedQty":"2",'
         '"status":"NEW","side":"BUY","type":"LIMIT"}', "unknown"),
        (200, '{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"x","price":"1","origQty":"7","executedQty":"0",'
         '"status":"NEW","side":"BUY","type":"LIMIT"}', "unknown"),
    ],
)  # fmt: skip
def test_only_a_known_refusal_that_parses_rejects_an_order(
    venue: CcxtVenue, broker: Broker, status: int, body: str, kind: str
) -> None:
    venue.wire.faults.append(Fault(*POST, taken=False, does="say", status=status, body=body))
    report = broker.submit(order(venue, 0, tif="gtc"), 0)
    assert report.kind == kind, report
    assert report.reason
    assert venue.wire.faults == []


@pytest.mark.requirement("brokers:ccxt:definite")
def test_a_duplicate_refusal_is_proof_of_an_order_and_not_of_none(venue: CcxtVenue, broker: Broker) -> None:
    intent = order(venue, 0, tif="gtc")
    assert broker.submit(intent, 0).kind == "accepted"
    other = venue.open()
    report = other.submit(intent, 0)
    assert report.kind == "unknown"
    assert [each.kind for each in other.query(intent.client_order_id)] == ["accepted"]
    other.close()
    assert venue.orders() == {intent.client_order_id: intent.qty_nano}


@pytest.mark.requirement("brokers:ccxt:once")
@pytest.mark.parametrize("does", ["hang", "cut", "say"])
@pytest.mark.parametrize("taken", [True, False])
def test_no_failure_makes_anybody_send_again(venue: CcxtVenue, broker: Broker, does: str, taken: bool) -> None:
    how = {"hang": "hang", "cut": "cut"}.get(does, "say")
    for name in ("hang", "cut", "say"):
        if name == how:
            venue.wire.faults.append(Fault(*POST, taken=taken, does=name, status=504))
    intent = order(venue, 0, tif="gtc")
    assert broker.submit(intent, 0).kind == "unknown"
    assert broker.submit(intent, 0).kind in {"accepted", "unknown"}
    broker.drain()
    assert sum(venue.orders().values()) == (intent.qty_nano if taken else 0)
    # A connection that is cut before the exchange's books never counts there.
    assert posts(venue) == (1 if taken else 0)


@pytest.mark.requirement("brokers:ccxt:once")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_carries_neither_an_order_nor_a_key_anywhere(
    venue: CcxtVenue, broker: Broker, tmp_path: Path, status: int
) -> None:
    elsewhere = CcxtVenue(tmp_path)
    try:
        headers = {"Location": f"{elsewhere.wire.url}/api/v3/order"}
        venue.wire.faults.append(Fault(*POST, taken=False, does="say", status=status, headers=headers))
        assert broker.submit(order(venue, 0, tif="gtc"), 0).kind == "unknown"
        assert elsewhere.exchange.asked == []
    finally:
        elsewhere.close()


@pytest.mark.requirement("brokers:ccxt:never-arrived")
def test_an_order_that_may_still_arrive_is_not_given_up(venue: CcxtVenue, broker: Broker) -> None:
    """The lost request is held by the test and delivered just inside of the exchange's window, then just outside."""
    late, never = order(venue, 0, tif="gtc"), order(venue, 1, tif="gtc")
    requests: list[str] = []
    for intent in (late, never):
        requests.append(lost(venue, broker, intent))
        assert broker.query(intent.client_order_id) == ()
    venue.exchange.skew_ms += 4_000
    assert asked(broker, late.client_order_id) == []
    venue.exchange.answer("POST", "/api/v3/order", requests[0], KEY)
    assert [each.kind for each in broker.query(late.client_order_id)] == ["accepted"]
    venue.exchange.skew_ms += 2_000
    assert asked(broker, never.client_order_id) == [("rejected", "never_arrived")]
    with pytest.raises(Exception, match="outside of the recvWindow"):
        venue.exchange.answer("POST", "/api/v3/order", requests[1], KEY)
    assert venue.orders() == {late.client_order_id: late.qty_nano}


@pytest.mark.requirement("brokers:ccxt:never-arrived")
def test_after_a_restart_an_order_is_given_up_by_the_exchanges_clock_too(venue: CcxtVenue, broker: Broker) -> None:
    intent = order(venue, 0, tif="gtc")
    lost(venue, broker, intent)
    broker.close()
    again = venue.open()
    again.restore((), day_done=False)
    assert asked(again, intent.client_order_id) == []
    venue.exchange.skew_ms += 5_000
    assert asked(again, intent.client_order_id) == []
    venue.exchange.skew_ms += 1_001
    assert asked(again, intent.client_order_id) == [("rejected", "never_arrived")]
    again.close()


@pytest.mark.requirement("brokers:ccxt:never-arrived")
def test_an_order_that_arrives_between_two_questions_is_found(venue: CcxtVenue, broker: Broker) -> None:
    intent = order(venue, 0, tif="gtc")
    request = lost(venue, broker, intent)

    def arrives() -> None:
        venue.exchange.answer("POST", "/api/v3/order", request, KEY)
        venue.exchange.skew_ms += 60_000

    gone = '{"code":-2013,"msg":"Order does not exist."}'
    venue.wire.faults.append(Fault("GET", "/order", taken=False, does="say", status=400, body=gone, happened=arrives))
    assert [each.kind for each in broker.query(intent.client_order_id)] == ["accepted"]


def lost(venue: CcxtVenue, broker: Broker, intent: OrderIntent) -> str:
    """Lose a request on its way, and return it as it was signed."""
    held: list[str] = []
    true_answer = venue.wire.answer

    def keep(method: str, path: str, raw: str, key: str) -> tuple[int, str, dict[str, str]] | None:
        if method != "POST":
            return true_answer(method, path, raw, key)
        held.append(raw)
        return None

    venue.wire.answer = keep
    report = broker.submit(intent, 0)
    venue.wire.answer = true_answer
    assert (report.kind, len(held)) == ("unknown", 1)
    return held[0]


def asked(broker: Broker, client_order_id: str) -> list[tuple[str, str]]:
    """Ask about an order, and again when the exchange refused the first question for its clock."""
    try:
        told = broker.query(client_order_id)
    except BusError:
        told = broker.query(client_order_id)
    return [(each.kind, each.reason) for each in told]


@pytest.mark.requirement("brokers:ccxt:busy")
def test_an_exchange_that_is_busy_is_left_alone(venue: CcxtVenue, broker: Broker) -> None:
    busy = Fault(*POST, taken=False, does="say", status=429, body="{}", headers={"Retry-After": "30"})
    venue.wire.faults.append(busy)
    assert broker.submit(order(venue, 0, tif="gtc"), 0).kind == "unknown"
    asked = len(venue.exchange.asked)
    report = broker.submit(order(venue, 1, tif="gtc"), 0)
    assert (report.kind, "left alone" in report.reason) == ("rejected", True)
    canceled = broker.cancel(order(venue, 0).client_order_id, 0)
    assert (canceled.kind, "left alone" in canceled.reason) == ("cancel_rejected", True)
    broker.drain()
    broker.drain()
    assert len(venue.exchange.asked) == asked


@pytest.mark.requirement("brokers:ccxt:busy")
def test_a_minutes_budget_is_never_exceeded_and_nobody_sleeps(venue: CcxtVenue, broker: Broker) -> None:
    begun_ns = monotonic_ns()
    refused = ""
    for index in range(5_000):
        try:
            broker.query(order(venue, index).client_order_id)
        except BusError as error:
            refused = str(error)
            break
    assert "not sent" in refused
    assert 5_000 < venue.exchange.used_weight <= 6_000
    asked = len(venue.exchange.asked)
    with pytest.raises(BusError, match="used up"):
        broker.query(order(venue, 0).client_order_id)
    assert len(venue.exchange.asked) == asked
    assert broker.submit(order(venue, 0, tif="gtc"), 0).kind == "accepted", "an order still has room"
    assert monotonic_ns() - begun_ns < 60 * NS, "it neither slept nor waited for the next minute"


@pytest.mark.requirement("brokers:ccxt:keys")
def test_no_error_shows_a_key_a_secret_or_a_signature(
    venue: CcxtVenue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every way of failing, with an exchange that repeats all that it was sent, and every log at its most talkative."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).disabled = False
    said: list[str] = []
    for status in STATUSES:
        broker = venue.open()
        for index, (code, act) in enumerate(product(CODES, PLACES)):
            intent = order(venue, 100 * status + index, tif="gtc")
            if act != "submit":
                broker.submit(intent, 0)
            venue.wire.faults.append(Fault(*PLACES[act], taken=False, does="say", status=status, body=ECHO % code))
            said += told_by(broker, act, intent)
            venue.wire.faults.clear()
        broker.close()
    for index, mishap in enumerate(SILENT, start=100_000):
        broker = venue.open()
        venue.misbehave(mishap)
        said += told_by(broker, "submit", order(venue, index, tif="gtc"))
        broker.close()
    signatures = {params["signature"] for _, _, params in venue.exchange.asked if "signature" in params}
    out, err = capfd.readouterr()
    everything = "\n".join([*said, caplog.text, out, err])
    assert len(said) > 400
    assert len(signatures) > 100
    assert "[key]" in everything, "the exchange's words were told, without the keys in them"
    for secret in (KEY, SECRET, *signatures):
        assert secret not in everything


def told_by(broker: Broker, act: str, intent: OrderIntent) -> list[str]:
    """Return everything that doing something can show: an answer, or an error with all its causes."""
    said = [repr(broker), str(broker)]
    client_order_id = intent.client_order_id
    acts: dict[str, Callable[[], object]] = {
        "submit": lambda: broker.submit(intent, 0),
        "cancel": lambda: broker.cancel(client_order_id, 0),
        "query": lambda: broker.query(client_order_id),
        "statement": broker.statement,
    }
    failed: BaseException | None = None
    try:
        said.append(repr(acts[act]()))
    except BusError as error:
        failed = error
    while failed is not None:
        said += [str(failed), repr(failed), repr(failed.args)]
        failed = failed.__cause__ or failed.__context__
    return said


@pytest.mark.requirement("brokers:ccxt:keys")
def test_ccxt_itself_would_have_shown_them(venue: CcxtVenue, caplog: pytest.LogCaptureFixture) -> None:
    """That the test before can fail: ccxt's own exchange, asked the same, logs the key and signature."""
    from execution.ccxt_broker._lean import exchange_class

    caplog.set_level(logging.DEBUG)
    exchange = exchange_class("binance")({"apiKey": KEY, "secret": SECRET})
    exchange.options.update(fetchCurrencies=False, fetchMargins=False)
    exchange.options["fetchMarkets"]["types"] = ["spot"]
    exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], f"{venue.wire.url}/api/v3")
    exchange.fetch_balance()
    exchange.session.close()
    assert KEY in caplog.text
    assert "signature=" in caplog.text
