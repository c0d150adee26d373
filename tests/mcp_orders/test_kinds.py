"""Stops, trails, brackets and replacements through the tools: from the call to what the broker has of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bus.messages import GetOrders, Orders, OrderState
from tests.mcp_market.floor import Mode, text_of
from tests.mcp_orders.seat import Person, Seat, holdings, seat, sent
from tests.mcp_servers.desk import RunningDesk

BUY: dict[str, Any] = {"symbol": "ACME", "side": "buy", "qty": 10}
LOW: dict[str, Any] = {**BUY, "type": "limit", "limit_price": "84.00"}
"""It rests: the sample day trades above it for the next while."""


def order_of(table: Seat, tool: str, **arguments: Any) -> dict[str, Any]:
    order: dict[str, Any] = table.data(tool, **arguments)["order"]
    return order


def held(running: RunningDesk) -> list[OrderState]:
    """Every order that execution has, oldest first."""
    return list(reversed(running.ask("execution", GetOrders(limit=1000), Orders).orders))


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "stop": (
        {"type": "stop", "stop_price": "88.00"},
        {"order_type": "stop", "stop_price_nano": 88_000_000_000},
        "buy 10 ACME stop 88 day",
    ),
    "stop_limit": (
        {"type": "stop_limit", "stop_price": 88, "limit_price": "88.5"},
        {"order_type": "stop_limit", "stop_price_nano": 88_000_000_000, "limit_price_nano": 88_500_000_000},
        "buy 10 ACME stop 88 limit 88.5 day",
    ),
    "trail_price": (
        {"type": "trailing_stop", "trail_price": "1.50"},
        {"order_type": "trailing_stop", "trail_nano": 1_500_000_000, "trail_bps": 0},
        "buy 10 ACME trailing_stop 1.5 day",
    ),
    "trail_percent": (
        {"type": "trailing_stop", "trail_percent": "1.25"},
        {"order_type": "trailing_stop", "trail_nano": 0, "trail_bps": 125},
        "buy 10 ACME trailing_stop 1.25% day",
    ),
    "gtc": ({"time_in_force": "gtc"}, {"time_in_force": "gtc"}, "buy 10 ACME market gtc"),
    "fok": ({"time_in_force": "fok"}, {"time_in_force": "fok"}, "buy 10 ACME market fok"),
    "gtd": (
        {"time_in_force": "gtd", "expires_at": "2024-03-13T15:00"},
        {"time_in_force": "gtd", "expires_ns": 1_710_356_400_000_000_000},
        "buy 10 ACME market gtd until 2024-03-13 19:00:00Z",
    ),
    "bracket": (
        {"order_class": "bracket", "take_profit": "90", "stop_loss": "83.00", "stop_loss_limit": "82.5"},
        {
            "order_class": "bracket",
            "take_profit_nano": 90_000_000_000,
            "stop_loss_nano": 83_000_000_000,
            "stop_loss_limit_nano": 82_500_000_000,
        },
        "buy 10 ACME market day bracket (take profit 90, stop loss 83, limit 82.5)",
    ),
    "oto": (
        {"order_class": "oto", "take_profit": "90"},
        {"order_class": "oto", "take_profit_nano": 90_000_000_000, "stop_loss_nano": 0},
        "buy 10 ACME market day oto (take profit 90)",
    ),
}


@pytest.mark.requirement("orders:kinds")
@pytest.mark.parametrize("name", list(KINDS))
def test_what_was_asked_for_is_exactly_what_execution_has(running: RunningDesk, table: Seat, name: str) -> None:
    arguments, fields, words = KINDS[name]
    foreseen = table.data("preview_order", **BUY, **arguments)
    assert foreseen["approved"], foreseen
    assert words in table.text("preview_order", **BUY, **arguments)
    placed = order_of(table, "place_order", **BUY, **arguments, client_order_id="k")
    (order,) = held(running)
    assert {field: getattr(order.intent, field) for field in fields} == fields
    assert order.intent.client_order_id == placed["client_order_id"]
    again = table.data("place_order", **BUY, **arguments, client_order_id="k")
    assert (again["code"], again["order"]["client_order_id"]) == ("placed", placed["client_order_id"])
    assert len(held(running)) == 1
    assert "another order" in table.error("place_order", **BUY, client_order_id="k")


@pytest.mark.requirement("orders:kinds")
def test_the_legs_of_an_order_are_shown_with_it(running: RunningDesk, table: Seat) -> None:
    bracket = {"order_class": "bracket", "take_profit": "95", "stop_loss": "80"}
    parent = order_of(table, "place_order", **BUY, **bracket, client_order_id="k")
    running.advance(5)
    told = table.data("get_order", client_order_id="k")
    assert told["order"]["status"] == "filled"
    legs = {leg["type"]: leg for leg in told["orders"]}
    assert set(legs) == {"limit", "stop"}
    assert {leg["parent"] for leg in legs.values()} == {parent["client_order_id"]}
    assert (legs["limit"]["limit_price"], legs["stop"]["stop_price"]) == ("95", "80")
    assert {leg["side"] for leg in legs.values()} == {"sell"}
    lines = table.text("get_orders").split("\n")
    assert sum(line.split(",")[-2] == parent["client_order_id"] for line in lines if line.startswith("oo-")) == 2
    listed = {order["client_order_id"]: order["parent"] for order in table.data("get_orders", status="all")["orders"]}
    assert sorted(listed.values()) == ["", parent["client_order_id"], parent["client_order_id"]]
    refused = table.error("close_position", symbol="ACME")
    assert "0 of it is not already being closed" in refused, "both legs together cover it once"


@pytest.mark.requirement("orders:kinds")
def test_a_position_is_closed_beside_the_legs_of_a_part_of_it(running: RunningDesk, table: Seat) -> None:
    table.data("place_order", **BUY, order_class="bracket", take_profit="90", stop_loss="80")
    running.advance(5)
    table.data("place_order", **{**BUY, "qty": 4, "type": "limit", "limit_price": "88"})
    running.advance(5)
    closed = order_of(table, "close_position", symbol="ACME")
    assert closed["qty"] == "4", "ten are covered by a pair of legs, of which one can fill"


@pytest.mark.requirement("orders:kinds")
def test_an_oco_is_a_limit_and_a_stop_at_once(running: RunningDesk, table: Seat) -> None:
    table.data("place_order", **BUY)
    running.advance(3)
    pair = {"symbol": "ACME", "side": "sell", "qty": 10, "type": "limit", "limit_price": "90", "order_class": "oco"}
    table.data("place_order", **pair, stop_loss="80", client_order_id="pair")
    told = table.data("get_order", client_order_id="pair")
    assert [(leg["type"], leg["stop_price"], leg["side"]) for leg in told["orders"]] == [("stop", "80", "sell")]


@pytest.mark.requirement("orders:kinds")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"type": "limit"}, "type limit needs limit_price"),
        ({"type": "stop"}, "type stop needs stop_price"),
        ({"type": "stop_limit", "stop_price": 88}, "needs limit_price"),
        ({"type": "stop_limit"}, "needs stop_price and limit_price"),
        ({"type": "trailing_stop"}, "either trail_price or trail_percent"),
        ({"type": "trailing_stop", "trail_price": 1, "trail_percent": 1}, "either trail_price or trail_percent"),
        ({"limit_price": 86}, "limit_price cannot be given with type market"),
        ({"type": "stop", "stop_price": 88, "limit_price": 88}, "limit_price cannot be given with type stop"),
        ({"type": "limit", "limit_price": 86, "stop_price": 85}, "stop_price cannot be given with type limit"),
        ({"order_class": "bracket", "take_profit": 90}, "bracket needs take_profit and stop_loss"),
        ({"order_class": "bracket"}, "bracket needs take_profit and stop_loss"),
        ({"order_class": "oto", "take_profit": 90, "stop_loss": 80}, "oto needs either"),
        ({"order_class": "oto", "take_profit": 90, "stop_loss_limit": 80}, "stop_loss_limit needs stop_loss"),
        ({"order_class": "oco", "stop_loss": 80}, "oco needs type limit"),
        ({"order_class": "oco", "type": "limit", "limit_price": 86}, "oco needs type limit"),
        (
            {"order_class": "oco", "type": "limit", "limit_price": 86, "stop_loss": 80, "take_profit": 90},
            "take_profit cannot be given with type limit, order_class oco",
        ),
        ({"time_in_force": "gtd"}, "expires_at belongs to time_in_force gtd"),
        ({"expires_at": "2024-03-13T15:00"}, "expires_at belongs to time_in_force gtd"),
        ({"time_in_force": "gtd", "expires_at": "soon"}, "expires_at = 'soon' is not a time"),
        ({"type": "stop", "stop_price": "88.005"}, "Nearest allowed: 88 or 88.01"),
        ({"type": "trailing_stop", "trail_percent": "0.125"}, "Nearest allowed: 0.12 or 0.13"),
        ({"type": "trailing_stop", "trail_percent": "0.001"}, "Nearest allowed: 0.01"),
        ({"order_class": "oto", "stop_loss": "NaN"}, "stop_loss = 'NaN' is not a plain number"),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    still: RunningDesk, reader: Seat, arguments: dict[str, Any], says: str
) -> None:
    before = holdings(still)
    for tool in ("place_order", "preview_order"):
        assert says in reader.error(tool, **BUY, **arguments)
    assert holdings(still) == before


@pytest.mark.requirement("orders:kinds")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"type": "stop", "stop_price": "70"}, "stop_price"),
        ({"order_class": "bracket", "take_profit": "80", "stop_loss": "83"}, "legs"),
        ({"time_in_force": "gtd", "expires_at": "2024-03-12"}, "expiry"),
    ],
)
def test_the_gate_judges_what_the_tools_let_pass(
    still: RunningDesk, reader: Seat, arguments: dict[str, Any], code: str
) -> None:
    before = sent(still)
    foreseen = reader.data("preview_order", **BUY, **arguments)
    assert (foreseen["approved"], foreseen["code"]) == (False, code)
    refused = reader.call("place_order", {**BUY, **arguments})
    assert refused.is_error
    assert f"denied by the risk gate, {code}:" in text_of(refused)
    assert sent(still) == before


# --- what a person is asked -------------------------------------------------------------------------------------------


@pytest.mark.requirement("orders:worst-kinds")
def test_an_order_is_worth_at_most_what_the_gate_reserves_for_it(reader: Seat) -> None:
    """Ten times: the price with the collar on top of it, of the trigger or of the trail's far end."""

    def worth(**arguments: Any) -> Decimal:
        return Decimal(reader.data("preview_order", **BUY, **arguments)["worth_up_to"])

    collar = next(
        Decimal(line["value"]) for line in reader.data("get_risk_limits")["limits"] if line["name"] == "collar_bps"
    )
    up = 1 + collar / 10_000
    market = worth()
    reference = market / up / 10
    assert worth(type="stop", stop_price="88.5") == pytest.approx(885 * up)
    assert worth(type="stop_limit", stop_price="88.5", limit_price="89") == 890
    assert worth(type="stop_limit", stop_price="89", limit_price="88.5") == 890
    assert worth(type="trailing_stop", trail_price=1) == pytest.approx((reference + 1) * 10 * up)
    assert worth(type="trailing_stop", trail_percent=2) == pytest.approx(reference * Decimal("10.2") * up)
    assert worth(order_class="bracket", take_profit="90", stop_loss="83") == market


@pytest.mark.requirement("orders:worst-kinds")
def test_a_person_reads_the_whole_order_before_confirming_it(running: RunningDesk, era: Mode) -> None:
    person = Person("refuse")
    bracket = {"order_class": "bracket", "take_profit": "90", "stop_loss": "83.00"}
    with seat(running, era, person, above=Decimal(500)) as table:
        assert "nothing was sent" in table.error("place_order", **BUY, **bracket)
        person.answer = "accept"
        table.data("place_order", **{**LOW, "qty": 4}, client_order_id="k")
        assert len(person.questions) == 1
        changed = table.data("replace_order", client_order_id="k", qty=10, limit_price="83.50")
    assert "bracket (take profit 90, stop loss 83)" in person.questions[0]
    assert len(person.questions) == 2
    assert f"replacing {changed['order']['replaces']}" in person.questions[1]
    assert "buy 10 ACME limit 83.5 day" in person.questions[1]


@pytest.mark.requirement("orders:confirm-unable")
def test_a_large_replacement_is_refused_where_nobody_can_be_asked(running: RunningDesk, table: Seat, era: Mode) -> None:
    table.data("place_order", **{**LOW, "qty": 4}, client_order_id="k")
    before = holdings(running)
    with seat(running, era, above=Decimal(500)) as other:
        assert "cannot ask" in other.error("replace_order", client_order_id="k", qty=20)
    assert holdings(running) == before


# --- replacing --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("orders:replace")
def test_a_replacement_takes_the_place_of_an_order(running: RunningDesk, table: Seat, era: Mode) -> None:
    old = order_of(table, "place_order", **LOW, client_order_id="k")
    with seat(running, era) as other:
        new = order_of(
            other, "replace_order", client_order_id="k", qty=7, limit_price="83.90", new_client_order_id="k2"
        )
        assert (new["replaces"], new["qty"], new["limit_price"]) == (old["client_order_id"], "7", "83.9")
        running.advance()
        assert order_of(other, "get_order", client_order_id="k")["status"] == "replaced"
        now = order_of(other, "get_order", client_order_id="k2")
        assert now == order_of(other, "get_order", client_order_id=new["client_order_id"])
        assert now["status"] == "accepted"
    first, second = held(running)
    assert second.intent.replaces == first.intent.client_order_id
    assert (second.intent.symbol, second.intent.side, second.intent.time_in_force) == ("ACME", "buy", "day")


@pytest.mark.requirement("orders:replace")
@pytest.mark.parametrize("later", [0, 3])
@pytest.mark.parametrize("key", [None, "k2"])
def test_the_same_replacement_again_is_the_same_order(
    running: RunningDesk, table: Seat, later: int, key: str | None
) -> None:
    table.data("place_order", **LOW, client_order_id="k")
    more = {"new_client_order_id": key} if key else {}
    first = order_of(table, "replace_order", client_order_id="k", limit_price="83.50", **more)
    running.advance(later)
    again = table.data("replace_order", client_order_id="k", limit_price="83.50", **more)
    assert (again["code"], again["order"]["client_order_id"]) == ("placed", first["client_order_id"])
    assert "not sent again" in again["message"]
    other = table.error("replace_order", client_order_id="k", limit_price="83.00", **more)
    assert first["client_order_id"] in other
    assert len(held(running)) == 2


@pytest.mark.requirement("orders:replace")
def test_only_what_is_left_is_wanted_unless_said_otherwise(running: RunningDesk, table: Seat) -> None:
    table.data("place_order", **{**LOW, "limit_price": "89.00", "qty": 200}, client_order_id="k")
    running.advance(2)
    before = order_of(table, "get_order", client_order_id="k")
    filled = int(before["filled_qty"])
    assert 0 < filled < 200, "the order must be partly filled for this test to show anything"
    new = order_of(table, "replace_order", client_order_id="k", limit_price="84.00")
    assert int(new["qty"]) == 200 - filled


@pytest.mark.requirement("orders:replace")
@pytest.mark.parametrize(
    ("placed", "changes", "says"),
    [
        (LOW, {}, "nothing to change was given. A limit order has limit_price, qty"),
        (LOW, {"stop_price": 80}, "stop_price cannot be given. A limit order has limit_price, qty"),
        (LOW, {"trail_percent": 1}, "trail_percent cannot be given"),
        (LOW, {"qty": "1.5"}, "Nearest allowed: 1 or 2"),
        (LOW, {"limit_price": "83.005"}, "Nearest allowed: 83 or 83.01"),
        (LOW, {"qty": "NaN"}, "allowed: a number above 0"),
        ({**BUY, "type": "stop", "stop_price": 88}, {"limit_price": 90}, "A stop order has qty, stop_price"),
        (
            {**BUY, "type": "trailing_stop", "trail_price": 1},
            {"trail_price": 1, "trail_percent": 1},
            "either trail_price or trail_percent",
        ),
        (LOW, {"limit_price": "84", "new_client_order_id": "oo-1"}, "1 to 48 of"),
    ],
)
def test_a_change_that_does_not_fit_the_order_is_named_and_changes_nothing(
    running: RunningDesk, table: Seat, placed: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    table.data("place_order", **placed, client_order_id="k")
    before = holdings(running)
    assert says in table.error("replace_order", client_order_id="k", **changes)
    assert holdings(running) == before


@pytest.mark.requirement("orders:replace")
def test_a_trail_is_changed_in_either_way(running: RunningDesk, table: Seat) -> None:
    table.data("place_order", **BUY, type="trailing_stop", trail_price=1, client_order_id="k")
    table.data("replace_order", client_order_id="k", trail_percent="1.5", new_client_order_id="k2")
    table.data("replace_order", client_order_id="k2", trail_price=2, new_client_order_id="k3")
    trails = [(order.intent.trail_nano, order.intent.trail_bps) for order in held(running)]
    assert trails == [(1_000_000_000, 0), (0, 150), (2_000_000_000, 0)]


@pytest.mark.requirement("orders:replace")
def test_the_gate_judges_a_replacement_like_any_order(table: Seat) -> None:
    table.data("place_order", **LOW, client_order_id="k")
    refused = table.call("replace_order", {"client_order_id": "k", "qty": 1_000})
    assert refused.is_error
    assert refused.structured_content is not None
    assert (refused.structured_content["code"], refused.structured_content["sent"]) == ("order_notional", False)
    assert order_of(table, "get_order", client_order_id="k")["status"] == "accepted"


@pytest.mark.requirement("orders:replace")
def test_what_does_not_work_or_belongs_to_a_group_is_not_replaced(running: RunningDesk, table: Seat) -> None:
    assert "there is no order" in table.error("replace_order", client_order_id="nothing", qty=1)
    table.data("place_order", **BUY, order_class="bracket", take_profit="90", stop_loss="83", client_order_id="k")
    running.advance(5)
    assert "is filled" in table.error("replace_order", client_order_id="k", qty=5)
    leg = table.data("get_order", client_order_id="k")["orders"][0]["client_order_id"]
    before = len(held(running))
    assert "replace_leg" in table.error("replace_order", client_order_id=leg, qty=5)
    assert len(held(running)) == before
