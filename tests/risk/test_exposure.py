"""What an order leads to: money, positions, losses, rates and counts, each control at its boundary and beyond."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bus.fixed import SCALE, to_nano
from bus.messages import OrderIntent, Side
from risk.limits import DeskLimits, StrategyLimits, SymbolLimits, default_desk_limits
from tests.risk.core import CASH_NANO, CLIENT, MINUTE_NS, OTHER, Core, limits
from tests.risk.rows import Make, Row, order, shows

WIDE = {
    "max_order_notional_nano": 10 * CASH_NANO,
    "max_position_notional_nano": 10 * CASH_NANO,
    "max_gross_nano": 10 * CASH_NANO,
    "max_net_nano": 10 * CASH_NANO,
    "margin_bps": 1_000,
    "max_leverage_bps": 100_000,
    "max_concentration_bps": 100_000,
    "duplicate_window_ns": 0,
}
"""Limits of which only those of the row are felt."""


def wide(**tighter: Any) -> Callable[[], Core]:
    return lambda: Core(limits(**(WIDE | tighter)))


def after(made: Callable[[], Core], *makes: Make) -> Callable[[], Core]:
    """A desk at which these orders were approved."""

    def make() -> Core:
        core = made()
        for each in makes:
            core.approve(each(core))
        return core

    return make


def held(
    made: Callable[[], Core], qty: int, symbol: str = "ACME", side: Side = "buy", **prices: str
) -> Callable[[], Core]:
    """A desk that has a position, and has marked it since."""

    def make() -> Core:
        core = made()
        core.hold(symbol, side, qty)
        core.mark(MINUTE_NS, **prices)
        return core

    return make


def two(**tighter: Any) -> Callable[[], Core]:
    """Two clients whose desk is tight."""
    own = limits(**WIDE)

    def make() -> Core:
        tight: DeskLimits = msgspec.structs.replace(default_desk_limits([own, own]), **tighter)
        fits = {
            name: min(getattr(own, name), getattr(tight, name))
            for name in (
                "max_gross_nano",
                "max_net_nano",
                "max_daily_loss_nano",
                "max_messages_per_minute",
                "max_open_orders",
            )
        }
        core = Core(msgspec.structs.replace(own, **fits), desk=tight, clients=(CLIENT, OTHER))
        return core

    return make


def unpriced() -> Core:
    core = held(Core, 50, "NICK")()
    del core.prices["NICK"]
    core.mark(MINUTE_NS)
    return core


def deployed(**tighter: Any) -> Callable[[], Core]:
    return lambda: Core(limits(**WIDE), strategies={"test": StrategyLimits(**tighter)})


def stop(side: str, price: str, qty: int = 10) -> Make:
    return order(side=side, qty=qty, order_type="stop", stop_price_nano=to_nano(price))


def fallen(price: str) -> Callable[[], Core]:
    """A desk that rose from 100 to 110 yesterday, and to a price today."""

    def make() -> Core:
        core = Core(
            limits(**WIDE, max_daily_loss_nano=50_000 * SCALE, max_rolling_loss_nano=3_000 * SCALE,
                   max_drawdown_nano=4_000 * SCALE)
        )  # fmt: skip
        core.hold(qty=100)
        core.mark(MINUTE_NS, ACME="110")
        core.mark(MINUTE_NS, ACME=price)
        return core

    return make


def sunk(price: str) -> Callable[[], Core]:
    """The same over three weeks: the best is out of the rolling window."""

    def make() -> Core:
        core = fallen("85")()
        core.mark(8 * 24 * 60 * MINUTE_NS)
        core.mark(8 * 24 * 60 * MINUTE_NS, ACME=price)
        return core

    return make


MONEY = [
    pytest.param(
        Row(
            "order_notional",
            Core,
            (order(qty=190), order(qty=200, limit=100), order(side="sell", qty=200, limit="99"), order("GOLD", qty=1)),
            (order(qty=191), order(qty=201, limit=100), order(qty=201, limit="99"), order("GOLD", qty=2),
             order(side="sell", qty=191), order(side="sell", qty=1_000, limit=100)),
        ),
        marks=pytest.mark.requirement("gate:order-notional"),
    ),
    pytest.param(
        Row(
            "order_notional",
            lambda: Core(symbols={"ACME": SymbolLimits(max_order_notional_nano=1_000 * SCALE)}),
            (order(qty=10, limit=100), order("NICK", qty=11)),
            (order(qty=11, limit=100), stop("buy", "101"), stop("sell", "99"),
             order(qty=10, order_type="trailing_stop", trail_bps=1)),
        ),
        marks=pytest.mark.requirement("gate:order-notional"),
        id="notional of stops",
    ),
    pytest.param(
        Row(
            "position_limit",
            after(held(Core, 100), order(qty=100, limit=100)),
            (order(qty=49, limit=100), order(qty=50, limit=100), order(side="sell", qty=100, limit="101")),
            (order(qty=51, limit=100), order(qty=50, limit="100.01")),
        ),
        marks=pytest.mark.requirement("gate:position-limit"),
    ),
    pytest.param(
        Row(
            "position_limit",
            lambda: Core(symbols={"ACME": SymbolLimits(max_position_notional_nano=1_000 * SCALE)}),
            (order(qty=10, limit=100), order("NICK", qty=11)),
            (order(qty=11, limit=100), order(side="sell", qty=11, limit=100)),
        ),
        marks=pytest.mark.requirement("gate:position-limit"),
    ),
    pytest.param(
        Row(
            "gross_limit",
            after(wide(max_gross_nano=30_000 * SCALE), order(qty=200, limit=100)),
            (order("NICK", "sell", 100, limit=100), order("NICK", "buy", 99, limit=100)),
            (order("NICK", "sell", 101, limit=100), order("NICK", "buy", 101, limit=100)),
        ),
        marks=pytest.mark.requirement("gate:gross-limit"),
    ),
    pytest.param(
        Row(
            "buying_power",
            wide(margin_bps=10_000),
            (order(qty=999, limit=100), order(qty=1_000, limit=100)),
            (order(qty=1_001, limit=100), order(side="sell", qty=1_001, limit=100)),
        ),
        marks=pytest.mark.requirement("gate:buying-power"),
    ),
    pytest.param(
        Row(
            "buying_power",
            wide(margin_bps=5_000),
            (order(qty=2_000, limit=100),),
            (order(qty=2_001, limit=100),),
        ),
        marks=pytest.mark.requirement("gate:buying-power"),
        id="half a margin",
    ),
    pytest.param(
        Row(
            "leverage",
            wide(max_leverage_bps=15_000),
            (order(qty=1_499, limit=100), order(qty=1_500, limit=100)),
            (order(qty=1_501, limit=100),),
        ),
        marks=pytest.mark.requirement("gate:leverage"),
    ),
    pytest.param(
        Row(
            "concentration",
            after(wide(max_concentration_bps=3_000), order("NICK", qty=300, limit=100)),
            (order(qty=299, limit=100), order(qty=300, limit=100)),
            (order(qty=301, limit=100), order("NICK", qty=1, limit="99.95")),
        ),
        marks=pytest.mark.requirement("gate:concentration"),
    ),
    pytest.param(
        Row(
            "net_limit",
            after(wide(max_net_nano=30_000 * SCALE), order(qty=200, limit=100), order("COIN", "sell", 5, limit=100)),
            (order("NICK", qty=100, limit=100), order("NICK", "sell", 295, limit=100)),
            (order("NICK", qty=101, limit=100), order("NICK", "sell", 296, limit=100)),
        ),
        marks=pytest.mark.requirement("gate:net-limit"),
    ),
    pytest.param(
        Row(
            "desk_gross_limit",
            after(two(max_gross_nano=30_000 * SCALE), order(client=OTHER, qty=200, limit=100)),
            (order("NICK", "sell", qty=99, limit=100), order("NICK", "sell", qty=100, limit=100)),
            (order("NICK", "sell", qty=101, limit=100), order("NICK", qty=101, limit=100)),
        ),
        marks=pytest.mark.requirement("gate:desk-gross-limit"),
    ),
    pytest.param(
        Row(
            "desk_net_limit",
            after(
                two(max_net_nano=30_000 * SCALE),
                order(client=OTHER, qty=200, limit=100),
                order("NICK", "sell", client=OTHER, qty=200, limit=100),
            ),
            (order(qty=99, limit=100), order(qty=100, limit=100), order("NICK", "sell", qty=100, limit=100)),
            (order(qty=101, limit=100), order("NICK", "sell", qty=101, limit=100)),
        ),
        marks=pytest.mark.requirement("gate:desk-net-limit"),
    ),
    pytest.param(
        Row(
            "short_sale",
            held(lambda: Core(limits(allow_short=False)), 100),
            (order(side="sell", qty=99), order(side="sell", qty=100), order("NICK")),
            (order(side="sell", qty=101), order("NICK", "sell", 1)),
        ),
        marks=pytest.mark.requirement("gate:short-sale"),
    ),
    pytest.param(
        Row("short_sale", Core, (order("LONG"),), (order("LONG", "sell"),)),
        marks=pytest.mark.requirement("gate:short-sale"),
        id="not shortable",
    ),
    pytest.param(
        Row(
            "short_available",
            after(
                held(lambda: Core(symbols={"ACME": SymbolLimits(short_available_nano=20 * SCALE)}), 10),
                order(side="sell", qty=10, limit="101"),
            ),
            (order(side="sell", qty=19, limit="101"), order(side="sell", qty=20, limit="101")),
            (order(side="sell", qty=21, limit="101"),),
        ),
        marks=pytest.mark.requirement("gate:short-available"),
    ),
    pytest.param(
        Row(
            "reduce_only",
            after(held(Core, 100), order(side="sell", qty=60, limit="104")),
            (order(side="sell", qty=40, reduce_only=True), order(side="sell", qty=41)),
            (order(side="sell", qty=41, reduce_only=True), order(qty=1, limit=100, reduce_only=True),
             order("NICK", reduce_only=True)),
        ),
        marks=pytest.mark.requirement("gate:reduce-only"),
    ),
    pytest.param(
        Row(
            "self_trade",
            after(two(), order(client=OTHER, side="sell", limit="101"), order(side="buy", limit="99")),
            (order(limit="100.99"), order(side="sell", limit="99.01"), order("NICK"), stop("buy", "102")),
            (order(limit="101"), order(limit="102"), order(), order(side="sell"), order(side="sell", limit="99")),
        ),
        marks=pytest.mark.requirement("gate:self-trade"),
    ),
    pytest.param(
        Row(
            "self_trade",
            after(two(), order(client=OTHER, side="sell"), stop("sell", "99", 3)),
            (order("NICK"), order(side="sell")),
            (order(), order(limit="95")),
        ),
        marks=pytest.mark.requirement("gate:self-trade"),
        id="a market order takes any price",
    ),
]  # fmt: skip

LOSSES = [
    pytest.param(
        Row(
            "equity_unknown",
            unpriced,
            (),
            (order(), order(side="sell")),
        ),
        marks=pytest.mark.requirement("gate:equity-unknown"),
    ),
    *(
        pytest.param(
            Row(
                "daily_loss",
                held(Core, 100, ACME=price),
                (order("NICK"), order(qty=1, limit=price), order(side="sell", qty=100)) if passes
                else (order(side="sell", qty=99), order(side="sell", qty=100)),
                () if passes else (order("NICK"), order(qty=1), order(side="sell", qty=101)),
            ),
            marks=pytest.mark.requirement("gate:daily-loss"),
            id=f"daily loss at {price}",
        )
        for price, passes in (("80.01", True), ("80", False), ("79.99", False))
    ),
    *(
        pytest.param(
            Row(
                "rolling_loss",
                fallen(price),
                (order("NICK"),) if passes else (order(side="sell", qty=100),),
                () if passes else (order("NICK"), order(side="sell", qty=101)),
            ),
            marks=pytest.mark.requirement("gate:rolling-loss"),
            id=f"rolling loss at {price}",
        )
        for price, passes in (("80.01", True), ("80", False), ("79", False))
    ),
    *(
        pytest.param(
            Row(
                "drawdown",
                sunk(price),
                (order("NICK"),) if passes else (order(side="sell", qty=100),),
                () if passes else (order("NICK"), order(side="sell", qty=101)),
            ),
            marks=pytest.mark.requirement("gate:drawdown"),
            id=f"drawdown at {price}",
        )
        for price, passes in (("70.01", True), ("70", False), ("69", False))
    ),
    *(
        pytest.param(
            Row(
                "desk_daily_loss",
                held(two(max_daily_loss_nano=2_000 * SCALE), 100, ACME=price),
                (order("NICK", client=OTHER),) if passes else (),
                () if passes else (order("NICK", client=OTHER), order(client=OTHER)),
            ),
            marks=pytest.mark.requirement("gate:desk-daily-loss"),
            id=f"desk loss at {price}",
        )
        for price, passes in (("80.01", True), ("80", False))
    ),
]  # fmt: skip

STRATEGIES = [
    pytest.param(
        Row(
            "strategy_symbol",
            deployed(symbols=("ACME",)),
            (order(), order("NICK", strategy="other")),
            (order("NICK"),),
        ),
        marks=pytest.mark.requirement("gate:strategy-symbol"),
    ),
    pytest.param(
        Row("strategy_venue", deployed(venues=("XNYS",)), (order(), order("NICK", strategy="other")), (order("NICK"),)),
        marks=pytest.mark.requirement("gate:strategy-venue"),
    ),
    pytest.param(
        Row(
            "strategy_notional",
            deployed(max_order_notional_nano=1_000 * SCALE),
            (order(qty=10, limit=100), order(qty=11, limit=100, strategy="other")),
            (order(qty=11, limit=100),),
        ),
        marks=pytest.mark.requirement("gate:strategy-notional"),
    ),
    pytest.param(
        Row(
            "strategy_symbols",
            after(deployed(max_symbols=2), order(), order("GOLD", qty=1), order("LONG", strategy="other")),
            (order(limit=99), order("GOLD", qty=2), order("NICK", strategy="other")),
            (order("NICK"), order("LONG")),
        ),
        marks=pytest.mark.requirement("gate:strategy-symbols"),
    ),
    pytest.param(
        Row(
            "strategy_position",
            after(
                held(deployed(max_position_notional_nano=3_000 * SCALE), 10),
                order(qty=10, limit=100),
                order(qty=50, limit=99, strategy="other"),
            ),
            (order(qty=9, limit=100), order(qty=10, limit=100), order(qty=11, limit=100, strategy="other")),
            (order(qty=11, limit=100), order(side="sell", qty=41, limit=101)),
        ),
        marks=pytest.mark.requirement("gate:strategy-position"),
    ),
    pytest.param(
        Row(
            "strategy_orders_per_day",
            after(deployed(max_orders_per_day=2), order(), order("NICK", strategy="other")),
            (order(qty=1),),
            (),
        ),
        marks=pytest.mark.requirement("gate:strategy-orders-per-day"),
    ),
    pytest.param(
        Row(
            "strategy_orders_per_day",
            after(deployed(max_orders_per_day=2), order(), order("NICK")),
            (order(qty=1, strategy="other"),),
            (order(qty=1),),
        ),
        marks=pytest.mark.requirement("gate:strategy-orders-per-day"),
    ),
    pytest.param(
        Row(
            "strategy_open_orders",
            after(deployed(max_open_orders=2), order(), order("NICK", strategy="other")),
            (order(qty=1),),
            (),
        ),
        marks=pytest.mark.requirement("gate:strategy-open-orders"),
    ),
    pytest.param(
        Row(
            "strategy_open_orders",
            after(deployed(max_open_orders=2), order(), order("NICK")),
            (order(qty=1, strategy="other"),),
            (order(qty=1),),
        ),
        marks=pytest.mark.requirement("gate:strategy-open-orders"),
    ),
]


@pytest.mark.parametrize("row", [*MONEY, *LOSSES, *STRATEGIES])
def test_an_order_at_the_boundary_passes_and_the_one_beyond_is_denied_by_name(row: Row) -> None:
    shows(row)


def counted(code: str, makes: int, own: dict[str, Any], before: Callable[[Core], object] | None = None) -> None:
    """Approve so many orders, and see that the next one is denied by this name."""
    core = Core(limits(**(WIDE | own)))
    if before is not None:
        before(core)
    for number in range(makes):
        core.approve(core.intent(qty=number + 1))
    assert core.code(core.intent(qty=99)) == code


@pytest.mark.requirement("gate:order-rate")
def test_the_rate_counts_approvals_of_sixty_seconds() -> None:
    counted("approved", 1, {"max_orders_per_minute": 2})
    counted("order_rate", 2, {"max_orders_per_minute": 2})
    core = Core(limits(max_orders_per_minute=2))
    for _ in range(5):
        assert core.code(core.intent(qty=0)) == "quantity"  # a denial does not count
    core.approve(core.intent(qty=1))
    core.mark(MINUTE_NS - 1)
    core.approve(core.intent(qty=2))
    assert core.code(core.intent(qty=3)) == "order_rate"
    core.mark(1)
    assert core.code(core.intent(qty=3)) == "approved"


@pytest.mark.requirement("gate:message-rate")
def test_messages_are_orders_replacements_and_cancels_and_a_cancel_is_only_counted() -> None:
    def cancels(number: int) -> Callable[[Core], object]:
        return lambda core: [core.client.message("cancel", core.now_ns) for _ in range(number)]

    counted("approved", 1, {"max_messages_per_minute": 4}, cancels(2))
    counted("message_rate", 2, {"max_messages_per_minute": 4}, cancels(2))
    core = Core(limits(max_messages_per_minute=2))
    for _ in range(9):
        core.client.message("cancel", core.now_ns)  # never refused
    assert core.code(core.intent()) == "message_rate"
    core.mark(MINUTE_NS)
    assert core.code(core.intent()) == "approved"


@pytest.mark.requirement("gate:desk-message-rate")
def test_the_desks_messages_are_those_of_all_clients() -> None:
    core = two(max_messages_per_minute=2)()
    core.approve(core.intent(client=OTHER))
    assert core.code(core.intent("NICK")) == "approved"
    core.desk.clients[OTHER].message("cancel", core.now_ns)
    assert core.code(core.intent("NICK")) == "desk_message_rate"
    core.mark(MINUTE_NS)
    assert core.code(core.intent("NICK")) == "approved"


@pytest.mark.requirement("gate:orders-per-day")
def test_orders_of_a_day_are_counted_until_the_day_rolls() -> None:
    counted("approved", 2, {"max_orders_per_day": 3})
    counted("orders_per_day", 3, {"max_orders_per_day": 3})
    core = Core(limits(max_orders_per_day=1))
    core.approve(core.intent())
    core.mark(24 * 60 * MINUTE_NS)
    assert core.code(core.intent()) == "orders_per_day"
    core.client.roll_day(CASH_NANO)
    assert core.code(core.intent()) == "approved"


@pytest.mark.requirement("gate:cancels-per-day")
def test_after_too_many_cancels_a_day_no_new_orders_pass_and_cancels_do() -> None:
    core = Core(limits(max_cancels_per_day=2))
    core.client.message("cancel", core.now_ns)
    core.client.message("cancel", core.now_ns)
    assert core.code(core.intent()) == "approved"
    core.client.message("cancel", core.now_ns)
    assert core.code(core.intent()) == "cancels_per_day"
    core.client.message("cancel", core.now_ns)
    core.client.roll_day(CASH_NANO)
    assert core.code(core.intent()) == "approved"


@pytest.mark.requirement("gate:symbol-orders-per-day")
def test_orders_of_a_day_in_one_symbol_have_a_limit_of_their_own() -> None:
    counted("symbol_orders_per_day", 3, {"max_orders_per_symbol_per_day": 3})
    counted("approved", 2, {"max_orders_per_symbol_per_day": 3})
    core = Core(symbols={"ACME": SymbolLimits(max_orders_per_day=1)})
    core.approve(core.intent())
    assert core.code(core.intent(qty=2)) == "symbol_orders_per_day"
    assert core.code(core.intent("NICK")) == "approved"
    core.client.roll_day(CASH_NANO)
    assert core.code(core.intent(qty=2)) == "approved"


@pytest.mark.requirement("gate:open-orders")
def test_open_orders_are_counted_until_they_end() -> None:
    counted("approved", 1, {"max_open_orders": 2})
    counted("open_orders", 2, {"max_open_orders": 2})
    core = Core(limits(max_open_orders=1))
    first = core.approve(core.intent(limit=99))
    assert core.code(core.intent(limit=98)) == "open_orders"
    assert core.code(core.intent(limit=98, replaces=first.client_order_id)) == "approved"
    core.tell(first, "unknown")
    assert core.code(core.intent(limit=98)) == "open_orders"
    core.tell(first, "canceled")
    assert core.code(core.intent(limit=98)) == "approved"


@pytest.mark.requirement("gate:desk-open-orders")
def test_the_desks_open_orders_are_those_of_all_clients() -> None:
    core = two(max_open_orders=2)()
    core.approve(core.intent(client=OTHER))
    assert core.code(core.intent("NICK")) == "approved"
    second = core.approve(core.intent("GOLD", qty=1, client=OTHER))
    assert core.code(core.intent("NICK")) == "desk_open_orders"
    core.tell(second, "rejected")
    assert core.code(core.intent("NICK")) == "approved"


@pytest.mark.requirement("gate:duplicate")
def test_the_same_content_is_a_duplicate_inside_the_window_only() -> None:
    core = Core()
    core.approve(core.intent())
    assert core.code(core.intent()) == "duplicate"
    assert core.code(core.intent(strategy="another")) == "duplicate"
    for other in (core.intent(qty=11), core.intent(limit=100), core.intent("NICK"), core.intent(order_type="stop",
                  stop_price_nano=to_nano(101))):  # fmt: skip
        assert core.code(other) == "approved"
    core.mark(MINUTE_NS - 1)
    assert core.code(core.intent()) == "duplicate"
    core.mark(1)
    assert core.code(core.intent()) == "approved"


@pytest.mark.requirement("gate:duplicate")
def test_orders_that_differ_in_a_stop_or_a_leg_only_are_no_duplicates() -> None:
    core = Core()
    bracket: dict[str, Any] = {
        "order_class": "bracket",
        "take_profit_nano": to_nano(104),
        "stop_loss_nano": to_nano(98),
    }
    nearer: dict[str, Any] = {**bracket, "stop_loss_nano": to_nano(97)}
    core.approve(core.intent(**bracket))
    assert core.code(core.intent(**bracket)) == "duplicate"
    assert core.code(core.intent(**nearer)) == "approved"


@pytest.mark.requirement("gate:repeated-executions")
def test_the_very_same_too_often_by_one_strategy_stops_it() -> None:
    core = Core(limits(max_repeats=3, repeat_window_ns=10 * MINUTE_NS, duplicate_window_ns=0))
    for _ in range(3):
        core.approve(core.intent(qty=1))
        core.mark(MINUTE_NS)
    assert core.code(core.intent(qty=1)) == "repeated_executions"
    assert core.code(core.intent(qty=1, strategy="another")) == "approved"
    assert core.code(core.intent(qty=2)) == "approved"
    core.mark(7 * MINUTE_NS - 1)
    assert core.code(core.intent(qty=1)) == "repeated_executions"
    core.mark(1)
    assert core.code(core.intent(qty=1)) == "approved"


# --- replacing --------------------------------------------------------------------------------------------------------


def replacing(old: OrderIntent, core: Core, **other: Any) -> OrderIntent:
    qty, limit = other.pop("qty", 10), other.pop("limit", 99)
    return core.intent(qty=qty, limit=limit, replaces=old.client_order_id, **other)


@pytest.mark.requirement("gate:replace-unknown")
def test_only_an_order_that_works_can_be_replaced() -> None:
    core = Core()
    old = core.approve(core.intent(limit=98))
    assert core.code(replacing(old, core)) == "approved"
    assert core.code(core.intent(limit=99, replaces="oo-nothing")) == "replace_unknown"
    itself = core.intent(limit=99)
    assert core.code(msgspec.structs.replace(itself, replaces=itself.client_order_id)) == "replace_unknown"
    core.tell(old, "canceled")
    assert core.code(replacing(old, core)) == "replace_unknown"


@pytest.mark.requirement("gate:replace-differs")
def test_a_replacement_is_of_the_same_symbol_side_and_kind() -> None:
    core = Core()
    old = core.approve(core.intent(limit=98))
    assert core.code(core.intent("NICK", limit=99, replaces=old.client_order_id)) == "replace_differs"
    assert core.code(core.intent(side="sell", limit=102, replaces=old.client_order_id)) == "replace_differs"
    legs: dict[str, Any] = {"order_class": "bracket", "take_profit_nano": to_nano(104), "stop_loss_nano": to_nano(97)}
    assert core.code(replacing(old, core, **legs)) == "replace_differs"
    assert core.code(replacing(old, core)) == "approved"


@pytest.mark.requirement("gate:replace-leg")
def test_an_order_of_a_group_is_not_replaced() -> None:
    core = Core()
    core.hold(qty=10)
    oco = core.approve(
        core.intent(side="sell", limit=104, order_class="oco", stop_loss_nano=to_nano(97))
    )  # fmt: skip
    assert core.code(core.intent(side="sell", limit=105, replaces=oco.client_order_id)) == "replace_leg"


@pytest.mark.requirement("gate:replace-worse")
def test_a_replacement_is_judged_by_the_worse_of_old_and_new() -> None:
    core = Core(limits(max_position_notional_nano=1_000 * SCALE))
    old = core.approve(core.intent(qty=10, limit=100))
    assert core.code(core.intent(qty=1, limit=99)) == "position_limit"
    assert core.code(replacing(old, core, qty=10, limit=99)) == "approved"
    assert core.code(replacing(old, core, qty=11, limit=99)) == "position_limit"
    new = core.approve(replacing(old, core, qty=5, limit=99))
    assert core.client.book.working("ACME", "buy") == 10 * SCALE, "until the old one has ended, the larger counts"
    assert core.client.priced_at(new) == 100 * SCALE
    core.tell(old, "replaced")
    assert core.client.book.working("ACME", "buy") == 5 * SCALE
    assert core.code(core.intent(qty=5, limit=98)) == "approved"
