"""Orders from the call to the position and back, denials, keys and what is not supported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from bus.messages import Account, Capabilities, GetAccount, Message
from tests.mcp_market.floor import Mode, text_of
from tests.mcp_orders.between import Forward, between
from tests.mcp_orders.seat import Seat, holdings, seat, sent
from tests.mcp_servers.desk import RunningDesk

HEAD = "mode replay, client desk, as of 2024-03-13 10:"
BUY: dict[str, Any] = {"symbol": "ACME", "side": "buy", "qty": 10}


def order_of(seat: Seat, tool: str, **arguments: Any) -> dict[str, Any]:
    order = seat.data(tool, **arguments)["order"]
    assert isinstance(order, dict)
    return order  # pyright: ignore[reportUnknownVariableType] # JSON


@pytest.mark.requirement("orders:life")
def test_an_order_fills_becomes_a_position_and_is_closed(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        placed = order_of(table, "place_order", **BUY, client_order_id="first")
        assert (placed["status"], placed["key"]) == ("accepted", "first")
        assert table.data("get_orders")["total"] == 1
        running.advance(2)
        filled = order_of(table, "get_order", client_order_id="first")
        assert filled == order_of(table, "get_order", client_order_id=placed["client_order_id"])
        assert (filled["status"], filled["filled_qty"]) == ("filled", "10")
        (position,) = table.data("get_positions")["positions"]
        assert (position["symbol"], position["qty"], position["avg_price"]) == ("ACME", "10", filled["avg_price"])
        account = table.data("get_account")
        truth = running.ask("execution", GetAccount(-1), Account)
        assert float(account["cash"]) * 1e9 == pytest.approx(truth.cash_nano)
        assert (account["positions"], account["open_orders"]) == (1, 0)
        closed = order_of(table, "close_position", symbol="acme")
        assert (closed["side"], closed["qty"], closed["type"]) == ("sell", "10", "market")
        running.advance(2)
        assert table.data("get_positions")["positions"] == []
        assert table.data("get_orders", status="all")["total"] == 2
        assert table.data("get_orders")["orders"] == []


@pytest.mark.requirement("orders:stated")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_account", {}),
        ("get_positions", {}),
        ("get_orders", {"status": "all"}),
        ("get_order", {"client_order_id": "k"}),
        ("preview_order", BUY),
        ("place_order", {**BUY, "qty": 3}),
        ("place_order", {**BUY, "qty": 10**6}),
        ("close_position", {"symbol": "ACME"}),
        ("close_all_positions", {}),
        ("cancel_order", {"client_order_id": "k"}),
        ("cancel_all_orders", {}),
        ("get_risk_limits", {}),
        ("get_risk_state", {}),
        ("engage_kill_switch", {"reason": "test"}),
    ],
)
def test_every_answer_states_mode_client_and_time(
    running: RunningDesk, table: Seat, era: Mode, tool: str, arguments: dict[str, Any]
) -> None:
    if tool == "close_position":
        table.data("place_order", **BUY)
        running.advance(2)
    else:
        table.data("place_order", **BUY, type="limit", limit_price="85.90", client_order_id="k")
    with seat(running, era) as other:
        result = other.call(tool, arguments)
    first = text_of(result).split("\n")[0]
    assert first.startswith(HEAD)
    assert first.endswith("EDT (simulated)")
    assert result.structured_content is not None
    stated = {key: result.structured_content[key] for key in ("mode", "client", "timezone")}
    assert stated == {"mode": "replay", "client": "desk", "timezone": "America/New_York"}
    assert result.structured_content["as_of"].startswith("2024-03-13T10:3")
    if tool not in {"place_order", "cancel_order"}:
        assert not result.is_error, text_of(result)


@pytest.mark.requirement("orders:denial")
@pytest.mark.parametrize(
    ("arguments", "code", "allowed"),
    [
        ({**BUY, "qty": 1_000}, "order_notional", "at most 20,000"),
        ({**BUY, "qty": 10**6}, "quantity", "at most 100,000"),
        ({**BUY, "type": "limit", "limit_price": 1}, "price_collar", "allowed is 8"),
    ],
)
def test_a_denial_is_an_error_with_its_code_and_what_is_allowed(
    still: RunningDesk, era: Mode, arguments: dict[str, Any], code: str, allowed: str
) -> None:
    with seat(still, era) as table:
        before = sent(still)
        result = table.call("place_order", arguments)
        assert result.is_error
        assert result.structured_content is not None
        assert (result.structured_content["code"], result.structured_content["sent"]) == (code, False)
        assert allowed in result.structured_content["message"]
        assert code in text_of(result)
        assert allowed in text_of(result)
        assert "NOT SENT" in text_of(result)
        order = result.structured_content["order"]
        assert order["status"] == "not_sent"
        assert code in table.error("get_order", client_order_id=order["client_order_id"])
        assert sent(still) == before


@pytest.mark.requirement("orders:same-key")
def test_the_same_key_and_content_is_the_same_order_at_any_time(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table:
        first = order_of(table, "place_order", **BUY, client_order_id="k-1")
        again = order_of(table, "place_order", **{**BUY, "qty": "10.0"}, client_order_id="k-1")
        running.advance(3)
        later = order_of(table, "place_order", **BUY, client_order_id=" k-1 ")
    assert first["client_order_id"] == again["client_order_id"] == later["client_order_id"]
    assert later["status"] == "filled"
    assert sent(running) == [first["client_order_id"]]


@pytest.mark.requirement("orders:same-key")
@pytest.mark.parametrize(
    "change",
    [
        {"qty": 11},
        {"side": "sell"},
        {"symbol": "BOLT"},
        {"type": "limit", "limit_price": "86"},
        {"time_in_force": "ioc"},
    ],
)
def test_the_same_key_with_other_content_is_refused(running: RunningDesk, table: Seat, change: dict[str, Any]) -> None:
    table.data("place_order", **BUY, client_order_id="k")
    before = holdings(running)
    text = table.error("place_order", **{**BUY, **change}, client_order_id="k")
    assert "another order" in text
    assert "new client_order_id" in text
    assert holdings(running) == before


@pytest.mark.requirement("orders:same-key")
def test_a_key_that_was_denied_is_told_so_and_names_the_way_out(running: RunningDesk, table: Seat) -> None:
    assert "order_notional" in table.error("place_order", **{**BUY, "qty": 1_000}, client_order_id="k")
    running.advance()
    text = table.error("place_order", **{**BUY, "qty": 1_000}, client_order_id="k")
    assert "order_id_reused" in text
    assert "new client_order_id" in text
    assert sent(running) == []


@pytest.mark.requirement("orders:same-key")
@pytest.mark.parametrize("key", ["", "oo-1", "a b", "é", "x" * 49, "\x00", ".k"])
def test_a_key_of_another_form_is_refused_with_the_form(still: RunningDesk, reader: Seat, key: str) -> None:
    text = reader.error("place_order", **BUY, client_order_id=key)
    assert "1 to 48 of" in text
    assert sent(still) == []


@pytest.mark.requirement("orders:blind-retry")
def test_the_same_call_at_the_same_instant_is_the_same_order(running: RunningDesk, era: Mode) -> None:
    with seat(running, era) as table, seat(running, "auto") as other:
        first = order_of(table, "place_order", **BUY)
        assert order_of(table, "place_order", **BUY)["client_order_id"] == first["client_order_id"]
        assert order_of(other, "place_order", **BUY)["client_order_id"] == first["client_order_id"]
        assert sent(running) == [first["client_order_id"]]
        running.advance(2)
        assert order_of(table, "place_order", **BUY)["client_order_id"] != first["client_order_id"]


UNSUPPORTED = {
    "stop": {"type": "stop", "stop_price": 80},
    "stop_limit": {"type": "stop_limit", "stop_price": 80, "limit_price": 80},
    "trailing_stop": {"type": "trailing_stop", "trail_percent": 1},
    "bracket": {"order_class": "bracket", "take_profit": 90, "stop_loss": 80},
    "oco": {"order_class": "oco", "take_profit": 90, "stop_loss": 80},
    "oto": {"order_class": "oto", "take_profit": 90},
    **{tif: {"time_in_force": tif} for tif in ("gtc", "gtd", "fok", "opg", "cls")},
}


@pytest.fixture(scope="module")
def plain_seat(still: RunningDesk) -> Iterator[Seat]:
    """A client of a desk whose broker takes the plainest orders only."""

    def act(request: Message, forward: Forward) -> Message:
        answer = forward(request)
        if isinstance(answer, Capabilities):
            return msgspec.structs.replace(
                answer,
                order_types=("market", "limit"),
                times_in_force=("day", "ioc"),
                order_classes=("simple",),
                replaces=False,
            )
        return answer

    with between(still, "execution", act) as directory, seat(still, directory=directory) as opened:
        yield opened


@pytest.mark.requirement("orders:unsupported")
@pytest.mark.parametrize("tool", ["place_order", "preview_order"])
@pytest.mark.parametrize("name", list(UNSUPPORTED))
def test_what_the_broker_does_not_take_is_refused_by_name(
    still: RunningDesk, plain_seat: Seat, tool: str, name: str
) -> None:
    before = holdings(still)
    text = plain_seat.error(tool, **BUY, **UNSUPPORTED[name])
    assert f" {name} is not supported by the paper broker" in text
    supported = {"order_class": "simple", "time_in_force": "day, ioc", "type": "market, limit"}
    (kind,) = [key for key in supported if UNSUPPORTED[name].get(key) == name]
    assert f"supported: {supported[kind]}" in text
    assert holdings(still) == before


@pytest.mark.requirement("orders:unsupported")
@pytest.mark.parametrize("name", ["opg", "cls"])
def test_what_no_broker_here_takes_is_refused_by_name(still: RunningDesk, reader: Seat, name: str) -> None:
    before = holdings(still)
    text = reader.error("place_order", **BUY, time_in_force=name)
    assert f"time_in_force {name} is not supported by the paper broker" in text
    assert "supported: day, gtc, gtd, ioc, fok" in text
    assert holdings(still) == before


@pytest.mark.requirement("orders:unsupported")
@pytest.mark.parametrize(
    "name", ["stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss", "stop_loss_limit"]
)
def test_a_price_that_belongs_to_nothing_asked_for_is_not_dropped_in_silence(reader: Seat, name: str) -> None:
    text = reader.error("place_order", **BUY, **{name: 80})
    assert name in text
    assert "Leave it out" in text


@pytest.mark.requirement("orders:unsupported")
def test_replacing_is_refused_with_the_way_round_where_the_broker_cannot(still: RunningDesk, plain_seat: Seat) -> None:
    before = holdings(still)
    text = plain_seat.error("replace_order", client_order_id="k", qty=5)
    assert "replace_order is not supported by the paper broker" in text
    assert "cancel_order, then place_order" in text
    assert holdings(still) == before


@pytest.mark.requirement("orders:unsupported")
def test_what_is_supported_is_taken(running: RunningDesk, table: Seat) -> None:
    for number, tif in enumerate(("day", "ioc"), 1):
        assert order_of(table, "place_order", **{**BUY, "qty": number}, time_in_force=tif)["time_in_force"] == tif
        limit = {"type": "limit", "limit_price": "85.90", "time_in_force": tif}
        assert order_of(table, "place_order", **{**BUY, "qty": 10 + number}, **limit)["limit_price"] == "85.9"
    short = order_of(table, "place_order", symbol="BOLT", side="sell", qty=2)
    running.advance(2)
    assert order_of(table, "get_order", client_order_id=short["client_order_id"])["status"] == "filled"
    assert {p["symbol"]: p["qty"] for p in table.data("get_positions")["positions"]}["BOLT"] == "-2"


@pytest.mark.requirement("orders:numbers")
@pytest.mark.parametrize("qty", [7, 7.0, "7", "7.000", " 7 ", "7e0", "+7"])
def test_a_number_is_the_same_as_text_or_number(reader: Seat, qty: object) -> None:
    assert order_of(reader, "preview_order", symbol="ACME", side="buy", qty=qty)["qty"] == "7"


@pytest.mark.requirement("orders:numbers")
@pytest.mark.parametrize(
    "qty", [0, -1, "-0.5", "NaN", "inf", "-Infinity", 1e300, 10**400, "1e99", "0x10", "1_000", "", "１", True, [1], {}]
)
@pytest.mark.parametrize("name", ["qty", "notional", "limit_price"])
def test_a_number_that_is_none_is_refused_with_what_is_allowed(
    still: RunningDesk, reader: Seat, name: str, qty: object
) -> None:
    arguments = {"symbol": "ACME", "side": "buy", name: qty}
    if name == "limit_price":
        arguments.update(type="limit", qty=1)
    text = reader.error("place_order", **arguments)
    assert name in text
    assert "allowed: a number above 0" in text
    assert sent(still) == []


@pytest.mark.requirement("orders:numbers")
@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("qty", "1.5", "1 or 2"),
        ("qty", 0.25, "1"),
        ("limit_price", "86.003", "86 or 86.01"),
        ("limit_price", 86.0000001, "86 or 86.01"),
    ],
)
def test_a_number_off_the_grid_is_refused_with_the_nearest(reader: Seat, name: str, value: object, near: str) -> None:
    arguments = {"symbol": "ACME", "side": "buy", "type": "limit", "qty": 1, "limit_price": "86", name: value}
    assert f"Nearest allowed: {near}." in reader.error("place_order", **arguments)


@pytest.mark.requirement("orders:notional")
def test_a_notional_comes_to_whole_lots_rounded_down(still: RunningDesk, reader: Seat) -> None:
    snapshot = reader.data("preview_order", symbol="ACME", side="buy", notional="5000")
    qty = int(snapshot["order"]["qty"])
    bars = [bar for bar in still.store().tick(59).bars if bar.symbol == "ACME"]
    quotes = [quote for quote in still.store().tick(59).quotes if quote.symbol == "ACME"]
    price = quotes[0].ask_nano if quotes else bars[0].close_nano
    assert qty == 5_000 * 10**9 // price
    limited = reader.data("preview_order", symbol="ACME", side="buy", notional=5000, type="limit", limit_price="89.00")
    assert int(limited["order"]["qty"]) == 5_000 // 89
    assert "give at least" in reader.error("preview_order", symbol="ACME", side="buy", notional="5")
    assert "not both" in reader.error("preview_order", **BUY, notional=5)
    assert "not both" in reader.error("preview_order", symbol="ACME", side="buy")


@pytest.mark.requirement("orders:notional")
def test_a_notional_with_a_key_is_the_same_order_after_the_price_moved(running: RunningDesk, table: Seat) -> None:
    asked = {"symbol": "ACME", "side": "buy", "notional": "5000", "client_order_id": "k"}
    first = order_of(table, "place_order", **asked)
    running.advance(30)
    assert order_of(table, "place_order", **asked)["client_order_id"] == first["client_order_id"]
    assert "another order" in table.error("place_order", **{**asked, "notional": "5001"})
    assert len(sent(running)) == 1


@pytest.mark.requirement("orders:preview")
def test_a_preview_is_the_verdict_that_placing_gets_and_changes_nothing(running: RunningDesk, table: Seat) -> None:
    before = holdings(running)
    good = table.data("preview_order", **BUY)
    bad = table.data("preview_order", **{**BUY, "qty": 1_000})
    assert (good["approved"], good["code"]) == (True, "approved")
    assert (bad["approved"], bad["code"]) == (False, "order_notional")
    assert holdings(running) == before
    refused = table.call("place_order", {**BUY, "qty": 1_000})
    assert refused.structured_content is not None
    assert refused.structured_content["message"] == bad["message"]
    table.data("place_order", **BUY)
