"""Prices of the least there is, and at the collar's very end, in orders that are more than a limit. Not their table."""

from __future__ import annotations

from typing import Any

import pytest

from bus.fixed import SCALE, to_nano
from bus.messages import Instrument
from risk._resting import RestingOrders
from risk._special import priced_at
from tests.risk.core import CENT, CLIENT, Core

FINE = Instrument("FINE", "crypto", "USD", 1, SCALE)
"""A symbol that can be priced by the billionth."""


def code(side: Any, limit: str | int, **other: Any) -> str:
    core = Core(instruments=(FINE, Instrument("ACME", "equity", "USD", CENT, SCALE)))
    core.desk.describe((FINE,), ("ACME", "FINE"))
    core.mark()
    return core.code(core.intent("FINE", side, 10, limit, **other))


@pytest.mark.requirement("gate:stop-price")
def test_a_stop_at_a_billionth_is_a_stop_that_is_too_far_away() -> None:
    stop: dict[str, Any] = {"order_type": "stop"}
    assert code("sell", 0, stop_price_nano=1, **stop) == "price_collar"
    assert code("sell", 0, stop_price_nano=0, **stop) == "stop_price"


@pytest.mark.requirement("gate:trail")
def test_a_trail_of_a_billionth_is_one_and_not_together_with_another() -> None:
    trail: dict[str, Any] = {"order_type": "trailing_stop"}
    assert code("buy", 0, trail_nano=1, **trail) == "approved"
    assert code("buy", 0, trail_bps=1, **trail) == "approved"
    assert code("buy", 0, trail_nano=1, trail_bps=1, **trail) == "trail"
    assert code("buy", 0, **trail) == "trail"


@pytest.mark.requirement("gate:legs")
@pytest.mark.parametrize(
    ("kind", "side", "profit", "loss", "loss_limit"),
    [
        ("bracket", "sell", 1, to_nano(101), 0),
        ("bracket", "buy", to_nano(101), 1, 0),
        ("oto", "sell", 1, 0, 0),
        ("oto", "buy", 0, 1, 0),
        ("oco", "sell", 0, 1, 0),
        ("bracket", "buy", to_nano(101), 1, 1),
    ],
)
def test_a_leg_at_a_billionth_is_a_leg_that_is_too_far_away(
    kind: str, side: str, profit: int, loss: int, loss_limit: int
) -> None:
    prices = {"take_profit_nano": profit, "stop_loss_nano": loss, "stop_loss_limit_nano": loss_limit}
    assert code(side, 100, order_class=kind, **prices) == "price_collar"


@pytest.mark.requirement("gate:legs")
@pytest.mark.parametrize("leg", ["take_profit_nano", "stop_loss_nano", "stop_loss_limit_nano"])
def test_each_leg_may_be_a_fifth_away_and_not_a_billionth_further(leg: str) -> None:
    prices = {"take_profit_nano": to_nano(101), "stop_loss_nano": to_nano(99), "stop_loss_limit_nano": to_nano(98)}
    at_most, further = (to_nano(120), 1) if leg == "take_profit_nano" else (to_nano(80), -1)
    if leg == "stop_loss_nano":
        del prices["stop_loss_limit_nano"]
    assert code("buy", 100, order_class="bracket", **(prices | {leg: at_most})) == "approved"
    assert code("buy", 100, order_class="bracket", **(prices | {leg: at_most + further})) == "price_collar"


@pytest.mark.requirement("risk:book:gross")
@pytest.mark.parametrize(
    ("order", "worth"),
    [
        ({"order_type": "market"}, 105_000_000_010),
        ({"limit": "99"}, 100_000_000_010),
        ({"limit": "101"}, to_nano(101)),
        ({"order_type": "stop_limit", "limit": "99", "stop_price_nano": to_nano(98)}, 100_000_000_010),
        ({"order_type": "stop_limit", "limit": "103", "stop_price_nano": to_nano(102)}, to_nano(103)),
        ({"order_type": "stop_limit", "limit": "101", "stop_price_nano": to_nano(102)}, to_nano(102)),
        ({"order_type": "stop", "stop_price_nano": to_nano(98)}, 105_000_000_010),
        ({"order_type": "stop", "stop_price_nano": 102_000_000_019}, 107_100_000_019),
        ({"order_type": "trailing_stop", "trail_nano": to_nano(2)}, 107_100_000_010),
        ({"order_type": "trailing_stop", "trail_bps": 100}, 106_050_000_011),
        ({"order_type": "trailing_stop", "trail_bps": 100, "trail_nano": to_nano(2)}, 107_100_000_010),
    ],
)
def test_an_order_is_worth_its_worst_price_to_the_billionth(order: dict[str, Any], worth: int) -> None:
    core = Core()
    core.mark(ACME="100.00000001")
    told = priced_at(core.intent(**order), core.client.facts.terms["ACME"])
    assert (told, type(told)) == (worth, int)


@pytest.mark.requirement("state:resting")
def test_a_trailing_stop_is_in_the_market_once_it_has_triggered() -> None:
    core = Core()
    core.hold(qty=20)
    stop = core.approve(core.intent(side="sell", order_type="trailing_stop", trail_nano=to_nano(2)))
    core.tell(stop, "accepted")
    assert core.code(core.intent(qty=1, limit="99.5")) == "approved"
    core.tell(stop, "triggered")
    assert core.code(core.intent(qty=1, limit="99.5")) == "self_trade"


@pytest.mark.requirement("state:resting")
def test_a_market_order_takes_any_price_on_either_side() -> None:
    core = Core()
    buys = core.approve(core.intent())
    assert core.code(core.intent(side="sell", qty=1, limit=105)) == "self_trade"
    core.tell(buys, "canceled")
    assert core.code(core.intent(side="sell", qty=1, limit=105)) == "approved"
    core.approve(core.intent(side="sell"))
    assert core.code(core.intent(qty=1, limit=95)) == "self_trade"


@pytest.mark.requirement("state:resting")
def test_a_stop_at_a_billionth_is_not_in_the_market_yet() -> None:
    resting = RestingOrders()
    resting.approved(CLIENT, Core().intent(side="sell", order_type="stop", stop_price_nano=1))
    assert resting.best("ACME") == RestingOrders().best("ACME")
