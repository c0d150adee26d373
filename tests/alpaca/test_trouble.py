"""A vendor in trouble, wrong keys, impossible settings: an error that says what to do, in time, without a key."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from msgspec import structs

from bus.clock import NS
from bus.errors import ConfigError, OutcryError, SourceBusyError, SourceError
from bus.messages import Bar
from feed._alpaca import open_alpaca
from feed._alpaca_source import AlpacaSource
from feed.source import SourceSpec
from tests.alpaca.desk import ENVIRON, MINUTE, ns, opened, rest_bar
from tests.alpaca.rest_server import KEY, SECRET, Fault, RestServer

OPEN = ns("2024-03-13T13:30")


@pytest.fixture
def vendor() -> Iterator[RestServer]:
    with RestServer() as server:
        yield server


def ask(source: AlpacaSource) -> object:
    return source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE)


def holds_key(text: str) -> bool:
    return KEY in text or SECRET in text


@pytest.mark.requirement("alpaca:busy")
def test_429_says_how_long_to_wait_and_the_question_was_sent_once(vendor: RestServer) -> None:
    vendor.faults.append(Fault(429, b'{"message": "too many requests."}', {"Retry-After": "17"}))
    with opened(vendor.url) as source:
        with pytest.raises(SourceBusyError, match="for 17 s .*too many requests") as caught:
            ask(source)
        assert caught.value.retry_after_s == 17.0
        assert len(vendor.asked) == 1
        assert ask(source) == []


@pytest.mark.requirement("alpaca:busy")
@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)}, 0, 31),
        ({"X-RateLimit-Reset": str(int(time.time()) + 40)}, 0, 41),
        ({"Retry-After": "1.5"}, 1.5, 1.5),
        ({"Retry-After": "999999999"}, 3600, 3600),
        ({"Retry-After": "soon"}, 0, 0),
        ({}, 0, 0),
    ],
    ids=["date", "reset", "fraction", "huge", "words", "nothing"],
)
def test_however_the_vendor_says_for_how_long_it_is_understood(
    vendor: RestServer, headers: dict[str, str], low: float, high: float
) -> None:
    vendor.faults.append(Fault(429, b"", headers))
    with opened(vendor.url) as source, pytest.raises(SourceBusyError) as caught:
        ask(source)
    assert low <= caught.value.retry_after_s <= high


@pytest.mark.requirement("alpaca:busy")
def test_429_in_the_middle_of_pages_gives_no_half_answer(vendor: RestServer) -> None:
    vendor.series["bars", "AAPL"] = [rest_bar(f"2024-03-13T13:{30 + i}:00Z") for i in range(5)]
    vendor.page = 2
    with opened(vendor.url) as source:
        vendor.faults.extend([None, Fault(429)])
        with pytest.raises(SourceBusyError):
            source.bars("AAPL", "1Min", OPEN, OPEN + 5 * MINUTE)
        assert len(vendor.asked) == 2
        assert len(source.bars("AAPL", "1Min", OPEN, OPEN + 5 * MINUTE)) == 5


@pytest.mark.requirement("alpaca:outage")
@pytest.mark.parametrize("status", [500, 502, 503, 504, 301, 418, 422])
def test_a_failing_service_is_an_error_after_one_try(vendor: RestServer, status: int) -> None:
    vendor.faults.append(Fault(status, b"<html>Bad gateway</html>", {"Location": "http://127.0.0.1:9/"}))
    with opened(vendor.url) as source, pytest.raises(SourceError, match=f"HTTP {status}"):
        ask(source)
    assert len(vendor.asked) == 1


@pytest.mark.requirement("alpaca:outage")
@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"",
        b'{"bars": {"AAPL": [',
        b"[1, 2]",
        b'"text"',
        b"{}",
        b'{"bars": [1]}',
        b'{"bars": {"AAPL": {"t": 1}}}',
        b'{"bars": {"AAPL": [{"t": "2024-03-13T13:30:00Z", "o": NaN, "h": 1, "l": 1, "c": 1, "v": 1}]}}',
        b'{"bars": {}, "quotes": {}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
    ids=["html", "empty", "cut", "list", "text", "nothing", "bars-list", "bar-object", "nan", "two", "deep", "bytes"],
)
def test_nonsense_with_status_200_is_an_error(vendor: RestServer, body: bytes) -> None:
    vendor.raw["/v2/stocks/bars"] = body
    with opened(vendor.url) as source, pytest.raises(SourceError, match=r"alpaca"):
        ask(source)


@pytest.mark.requirement("alpaca:outage")
@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_an_answer_that_does_not_come_in_time_is_an_error(vendor: RestServer, kind: str) -> None:
    vendor.faults.append(Fault(kind=kind))
    began = time.monotonic()
    with opened(vendor.url, timeout_s=0.3) as source, pytest.raises(SourceError, match=r"within 0\.3 s"):
        ask(source)
    assert time.monotonic() - began < 3
    assert len(vendor.asked) == 1


@pytest.mark.requirement("alpaca:outage")
def test_a_refused_or_cut_connection_is_an_error_and_the_next_question_is_answered(vendor: RestServer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with opened(url) as source, pytest.raises(SourceError, match="cannot be reached"):
            ask(source)
    vendor.faults.extend([Fault(kind="reset"), Fault(kind="cut", body=b'{"bars": {}}')])
    with opened(vendor.url) as source:
        for _ in range(2):
            with pytest.raises(SourceError, match="cannot be reached"):
                ask(source)
        assert ask(source) == []


@pytest.mark.requirement("alpaca:refused")
@pytest.mark.parametrize("status", [401, 403])
def test_refused_keys_name_the_variables_and_no_value_though_the_vendor_repeats_it(
    vendor: RestServer, status: int
) -> None:
    vendor.outage = Fault(status, f'{{"message": "no such key {KEY} with {SECRET}"}}'.encode())
    with opened(vendor.url) as source:
        for question in (ask, AlpacaSource.instruments):
            with pytest.raises(SourceError, match="ALPACA_API_KEY and ALPACA_SECRET_KEY") as caught:
                question(source)
            assert "no such key [key] with [key]" in str(caught.value)
    assert len(vendor.asked) == 2


@pytest.mark.requirement("alpaca:keys")
def test_the_keys_that_are_sent_are_those_of_the_environment(vendor: RestServer) -> None:
    older = {"APCA_API_KEY_ID": KEY, "APCA_API_SECRET_KEY": f" {SECRET}\n", "ALPACA_API_KEY": "of-another-pair"}
    source = open_alpaca(SourceSpec("alpaca", ("AAPL",), rest_url=vendor.url), older)
    assert source.bars("AAPL", "1Min", OPEN, OPEN + MINUTE) == []
    source.close()
    sent = vendor.asked[0].headers
    assert (sent["apca-api-key-id"], sent["apca-api-secret-key"]) == (KEY, SECRET)


@pytest.mark.requirement("alpaca:keys")
@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "ALPACA_API_KEY and ALPACA_SECRET_KEY .or APCA_API_KEY_ID"),
        ({"ALPACA_API_KEY": KEY}, "ALPACA_SECRET_KEY is not set"),
        ({"APCA_API_SECRET_KEY": SECRET, "ALPACA_API_KEY": " "}, "APCA_API_KEY_ID is not set"),
        ({"ALPACA_API_KEY": KEY, "APCA_API_SECRET_KEY": SECRET}, "is not set"),
        ({"ALPACA_API_KEY": KEY, "ALPACA_SECRET_KEY": f"{SECRET}\r\nX-Evil: 1"}, "value of ALPACA_SECRET_KEY cannot"),
        ({"ALPACA_API_KEY": "short", "ALPACA_SECRET_KEY": SECRET}, "value of ALPACA_API_KEY cannot"),
    ],
    ids=["none", "no-secret", "no-key", "two-halves", "header", "short"],
)
def test_missing_or_malformed_keys_are_named_by_their_variables(environ: Mapping[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        open_alpaca(SourceSpec("alpaca", ("AAPL",)), environ)
    assert not any(value.strip() and value in str(caught.value) for value in environ.values())


def _hang(vendor: RestServer) -> None:
    vendor.faults.append(Fault(kind="hang"))


def _reset(vendor: RestServer) -> None:
    vendor.faults.append(Fault(kind="reset"))


def _refuse(vendor: RestServer) -> None:
    vendor.faults.append(Fault(403, f'{{"message": "{SECRET}"}}'.encode()))


def _nonsense(vendor: RestServer) -> None:
    vendor.raw["/v2/stocks/bars"] = f'{{"{SECRET}": 1}}'.encode()


@pytest.mark.requirement("alpaca:keys")
@pytest.mark.parametrize("trouble", [_hang, _reset, _refuse, _nonsense])
def test_no_error_log_or_repr_shows_a_key(
    vendor: RestServer, trouble: Callable[[RestServer], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    trouble(vendor)
    with opened(vendor.url, timeout_s=0.3) as source:
        with pytest.raises(OutcryError) as caught:
            ask(source)
        assert not holds_key(repr(source) + repr(vars(source)))
    error: BaseException | None = caught.value
    while error is not None:
        assert not holds_key(f"{error!s} {error!r} {''.join(traceback.format_exception(error))}")
        assert not hasattr(error, "request"), "what requests raises holds the headers"
        error = error.__cause__ or error.__context__
    assert not holds_key(caplog.text)


@pytest.mark.requirement("alpaca:settings")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"symbols": ()}, "needs symbols"),
        ({"symbols": ("AAPL", "aapl")}, "'aapl' is no symbol"),
        ({"symbols": ("AAPL,MSFT",)}, "BTC/USD"),
        ({"data_feed": "otc"}, "iex .free., sip"),
        ({"timeout_s": 0.0}, "timeout_s must be above 0"),
        ({"silent_s": float("nan")}, "silent_s above 0"),
        ({"rest_url": "http://data.example.com"}, "unencrypted to data.example.com"),
        ({"stream_url": "ws://stream.example.com"}, "unencrypted to stream.example.com"),
        ({"rest_url": "ftp://127.0.0.1"}, "https://"),
        ({"rest_url": "https://me:pw@127.0.0.1"}, "without user"),
        ({"calendar": "MARS"}, "calendar 'MARS' is unknown"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_allowed(settings: dict[str, Any], named: str) -> None:
    spec = structs.replace(SourceSpec("alpaca", ("AAPL",)), **settings)
    with pytest.raises(ConfigError, match=named):
        open_alpaca(spec, ENVIRON)


@pytest.mark.requirement("alpaca:settings")
def test_without_the_package_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "alpaca" or name.startswith("feed._alpaca_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "alpaca", None)
    with pytest.raises(ConfigError, match=r"openoutcry\[alpaca\]"):
        open_alpaca(SourceSpec("alpaca", ("AAPL",)), ENVIRON)


@pytest.mark.requirement("alpaca:settings")
def test_the_sdk_is_imported_only_when_a_source_is_opened() -> None:
    code = "import sys, feed._alpaca; print(sorted({'alpaca', 'pandas', 'requests', 'websockets'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


@pytest.mark.requirement("alpaca:instruments")
def test_keys_that_the_paper_address_does_not_know_are_tried_at_the_live_one(
    vendor: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.outage = Fault(401, b'{"message": "unauthorized."}')
    with RestServer() as live:
        live.assets = {"AAPL": {"class": "us_equity", "symbol": "AAPL", "status": "active", "tradable": True}}
        monkeypatch.setattr("feed._alpaca_source._TRADING", (vendor.url, live.url))
        source = open_alpaca(SourceSpec("alpaca", ("AAPL",)), ENVIRON)
        assert [instrument.symbol for instrument in source.instruments() + source.instruments()] == ["AAPL", "AAPL"]
        source.close()
    assert (len(vendor.asked), len(live.asked)) == (1, 2)


@pytest.mark.requirement("alpaca:pages")
def test_questions_of_several_threads_get_their_own_answers(vendor: RestServer) -> None:
    names = [f"SYM{index}" for index in range(8)]
    vendor.page = 3
    for index, name in enumerate(names):
        vendor.series["bars", name] = [rest_bar(f"2024-03-13T13:{30 + i}:00Z", v=index) for i in range(10)]
    with opened(vendor.url) as source, ThreadPoolExecutor(8) as pool:

        def asking(name: str) -> list[Bar]:
            return source.bars(name, "1Min", OPEN, OPEN + 10 * MINUTE)

        answers = list(pool.map(asking, names * 4))
    for index, bars in enumerate(answers):
        assert len(bars) == 10
        assert {(bar.symbol, bar.volume_nano) for bar in bars} == {(names[index % 8], index % 8 * NS)}
