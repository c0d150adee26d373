"""What an order is: each control at, below and beyond its boundary. What it leads to is in ``test_exposure``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bus.clock import NS
from bus.fixed import SCALE, to_nano
from bus.messages import OrderIntent, Quote, Snapshot
from risk.limits import SymbolLimits
from tests.risk.core import CASH_NANO, INSTRUMENTS, MINUTE_NS, OTHER, Core, limits
from tests.risk.rows import Row, order, shows


def trading(client: str, strategy: str, state: str) -> Callable[[], Core]:
    def make() -> Core:
        core = Core(clients=("alice", OTHER))
        core.hold(qty=100)
        core.mark(MINUTE_NS)
        core.desk.set_trading(client, strategy, state)  # pyright: ignore[reportArgumentType] - a state of the table
        return core

    return make


def working_sells() -> Core:
    core = trading("", "", "reducing")()
    core.approve(core.intent(side="sell", qty=60, limit="104"))
    return core


def closed() -> Core:
    core = Core()
    core.session_open = False
    core.mark(MINUTE_NS)
    return core


def halted() -> Core:
    core = Core(symbols={"NICK": SymbolLimits(halted=True)})
    core.halted = ("GOLD",)
    core.mark(MINUTE_NS)
    return core


def identity(**other: Any) -> Callable[[Core], OrderIntent]:
    return lambda core: msgspec.structs.replace(core.intent(), **other)


def at(ns: int) -> Callable[[Core], OrderIntent]:
    return lambda core: core.intent(decided_ns=core.now_ns + ns)


def gtd(ns: int) -> Callable[[Core], OrderIntent]:
    return lambda core: core.intent(time_in_force="gtd", expires_ns=core.now_ns + ns)


def stop(side: str, price: str, **other: Any) -> Callable[[Core], OrderIntent]:
    return order(side=side, order_type="stop", stop_price_nano=to_nano(price), **other)


def stop_limit(side: str, price: str, limit: str) -> Callable[[Core], OrderIntent]:
    return order(side=side, limit=limit, order_type="stop_limit", stop_price_nano=to_nano(price))


def trail(price: str = "0", bps: int = 0, **other: Any) -> Callable[[Core], OrderIntent]:
    return order(order_type="trailing_stop", trail_nano=to_nano(price), trail_bps=bps, **other)


def legs(
    kind: str, profit: str = "0", loss: str = "0", limit: str | int = 0, side: str = "buy", loss_limit: str = "0"
) -> Callable[[Core], OrderIntent]:
    return order(
        side=side,
        limit=limit,
        order_class=kind,
        take_profit_nano=to_nano(profit),
        stop_loss_nano=to_nano(loss),
        stop_loss_limit_nano=to_nano(loss_limit),
    )


def quoted(bid: str, ask: str) -> Callable[[], Core]:
    def make() -> Core:
        core = Core()
        core.now_ns += MINUTE_NS
        sides = to_nano(bid), to_nano(ask)
        core.quotes = (Quote("ACME", core.now_ns, core.now_ns, core.now_ns, *sides, *sides),)
        core.mark()
        return core

    return make


def market() -> Core:
    """Only plain market orders."""
    return Core(
        limits(order_types=("market",), times_in_force=("day",), order_classes=("simple",), venues=("XNYS", "XCME"))
    )


def priced(price: str | None) -> Callable[[], Core]:
    def make() -> Core:
        core = Core()
        del core.prices["ACME"]
        core.mark(MINUTE_NS, **({} if price is None else {"ACME": price}))
        return core

    return make


WHO = [
    pytest.param(
        Row(
            "wrong_client",
            Core,
            (order(),),
            (identity(client="mallory"), identity(run_id="run-2"), identity(client="")),
        ),
        marks=pytest.mark.requirement("gate:wrong-client"),
    ),
    pytest.param(
        Row("clock_mismatch", Core, (at(0),), (at(1), at(-1), identity(cycle=2), identity(cycle=0))),
        marks=pytest.mark.requirement("gate:clock-mismatch"),
    ),
    pytest.param(
        Row(
            "order_id_not_derived",
            Core,
            (order(),),
            (identity(client_order_id="oo-forged"), identity(client_order_id=""), identity(index=99)),
        ),
        marks=pytest.mark.requirement("gate:order-id-not-derived"),
    ),
    *(
        pytest.param(
            Row(
                "kill_switch",
                trading(*scope, "halted"),
                () if scope in {("", ""), ("alice", "")} else (order(strategy="another"),),
                (order(strategy="x"), order(side="sell", strategy="x"), order("NICK", strategy="x")),
            ),
            marks=pytest.mark.requirement("gate:kill-switch"),
            id=f"kill {scope}",
        )
        for scope in (("", ""), ("alice", ""), ("alice", "x"), ("", "x"))
    ),
    *(
        pytest.param(
            Row("kill_switch", trading(*scope, "halted"), (order(), order(side="sell")), ()),
            marks=pytest.mark.requirement("gate:kill-switch"),
            id=f"kill elsewhere {scope}",
        )
        for scope in ((OTHER, ""), ("alice", "x"), ("", "x"), (OTHER, "test"))
    ),
    *(
        pytest.param(
            Row(
                "reducing",
                trading(*scope, "reducing"),
                (order(side="sell", qty=99), order(side="sell", qty=100), order(side="sell", limit="104")),
                (order(side="sell", qty=101), order(qty=1), order("NICK"), order("NICK", "sell")),
            ),
            marks=pytest.mark.requirement("gate:reducing"),
            id=f"reducing {scope}",
        )
        for scope in (("", ""), ("alice", ""), ("alice", "test"), ("", "test"))
    ),
    pytest.param(
        Row("reducing", working_sells, (order(side="sell", qty=40),), (order(side="sell", qty=41),)),
        marks=pytest.mark.requirement("gate:reducing"),
        id="reducing with working orders",
    ),
    pytest.param(
        Row("session_closed", closed, (), (order(), order(side="sell"))),
        marks=pytest.mark.requirement("gate:session-closed"),
    ),
    pytest.param(Row("session_closed", Core, (order(),), ()), marks=pytest.mark.requirement("gate:session-closed")),
]

WHAT = [
    pytest.param(
        Row("unknown_symbol", Core, (order(),), (order("NONE"), order(""), order("acme"))),
        marks=pytest.mark.requirement("gate:unknown-symbol"),
    ),
    pytest.param(
        Row("not_tradable", Core, (order(),), (order("DEAD"),)), marks=pytest.mark.requirement("gate:not-tradable")
    ),
    pytest.param(
        Row("symbol_not_allowed", Core, (order(),), (order("HIDE"),)),
        marks=pytest.mark.requirement("gate:symbol-not-allowed"),
    ),
    pytest.param(
        Row("symbol_not_allowed", lambda: Core(limits(symbols=("NICK",))), (order("NICK"),), (order(),)),
        marks=pytest.mark.requirement("gate:symbol-not-allowed"),
    ),
    pytest.param(Row("currency", Core, (order(),), (order("EURO"),)), marks=pytest.mark.requirement("gate:currency")),
    pytest.param(Row("venue", market, (order(),), (order("NICK"),)), marks=pytest.mark.requirement("gate:venue")),
    pytest.param(
        Row("halted", halted, (order(),), (order("NICK"), order("GOLD", qty=1))),
        marks=pytest.mark.requirement("gate:halted"),
    ),
    pytest.param(
        Row("order_type", market, (order(),), (order(limit=100), stop("buy", "101"), order(order_type="odd"))),
        marks=pytest.mark.requirement("gate:order-type"),
    ),
    pytest.param(
        Row("time_in_force", market, (order(),), (order(time_in_force="gtc"), order(time_in_force="odd"))),
        marks=pytest.mark.requirement("gate:time-in-force"),
    ),
    pytest.param(
        Row("order_class", market, (order(),), (order(order_class="bracket"), order(order_class="odd"))),
        marks=pytest.mark.requirement("gate:order-class"),
    ),
    pytest.param(
        Row(
            "order_form",
            Core,
            (order(),),
            (order(side="hold"), order(parent_id="oo-1"), order(trail_bps=2**63)),
        ),
        marks=pytest.mark.requirement("gate:order-form"),
    ),
    pytest.param(
        Row("quantity", Core, (order(qty=1), order(qty=2)), (order(qty=0), order(qty=-1), order(qty="1.5"))),
        marks=pytest.mark.requirement("gate:quantity"),
    ),
    pytest.param(
        Row(
            "quantity",
            lambda: Core(limits(max_order_qty_nano=10 * SCALE), symbols={"NICK": SymbolLimits(5 * SCALE)}),
            (order(qty=9), order(qty=10), order("NICK", qty=5)),
            (order(qty=11), order("NICK", qty=6)),
        ),
        marks=pytest.mark.requirement("gate:quantity"),
    ),
    pytest.param(
        Row(
            "venue_quantity",
            lambda: Core(
                instruments=[
                    msgspec.structs.replace(INSTRUMENTS[0], min_qty_nano=5 * SCALE, max_qty_nano=9 * SCALE),
                ]
            ),
            (order(qty=5), order(qty=6), order(qty=9)),
            (order(qty=4), order(qty=10)),
        ),
        marks=pytest.mark.requirement("gate:venue-quantity"),
    ),
    pytest.param(
        Row(
            "venue_notional",
            Core,
            (order("COIN", qty="0.1"), order("COIN", qty="0.101")),
            (order("COIN", qty="0.095", limit=100), order("COIN", qty="0.01")),
        ),
        marks=pytest.mark.requirement("gate:venue-notional"),
    ),
    pytest.param(
        Row(
            "order_too_small",
            lambda: Core(limits(min_order_notional_nano=1_000 * SCALE)),
            (order(qty=10, limit=100), order(qty=11, limit=100)),
            (order(qty=9, limit=100),),
        ),
        marks=pytest.mark.requirement("gate:order-too-small"),
    ),
    pytest.param(
        Row(
            "limit_price",
            Core,
            (order(limit="100.01"), order(limit="99"), order("NICK", limit="100.05"), stop_limit("buy", "101", "101")),
            (
                order(limit="100.005"),
                order("NICK", limit="100.03"),
                order(order_type="limit"),
                order(limit="-99"),
                order(limit="99", order_type="market"),
                order(limit="99", order_type="stop", stop_price_nano=to_nano(101)),
                stop_limit("buy", "101", "0"),
            ),
        ),
        marks=pytest.mark.requirement("gate:limit-price"),
    ),
    pytest.param(
        Row(
            "stop_price",
            Core,
            (stop("buy", "100.01"), stop("sell", "99.99"), stop_limit("sell", "99", "98")),
            (
                stop("buy", "100"),
                stop("sell", "100"),
                stop("buy", "0"),
                stop("buy", "101.005"),
                stop("buy", "101", trail_bps=1),
                stop("buy", "101", trail_nano=1),
                order(stop_price_nano=to_nano(101)),
                order(trail_bps=100),
                order(limit=100, trail_nano=10),
            ),
        ),
        marks=pytest.mark.requirement("gate:stop-price"),
    ),
    pytest.param(
        Row(
            "trail",
            Core,
            (trail("0.01"), trail(bps=1), trail("1", side="sell")),
            (trail(), trail("1", 1), trail("0.005"), trail("1", stop_price_nano=to_nano(101))),
        ),
        marks=pytest.mark.requirement("gate:trail"),
    ),
    pytest.param(
        Row(
            "expiry",
            Core,
            (gtd(1), gtd(86_400 * NS)),
            (gtd(0), order(time_in_force="gtd"), order(expires_ns=2**62), order(limit=100, expires_ns=1)),
        ),
        marks=pytest.mark.requirement("gate:expiry"),
    ),
    pytest.param(
        Row(
            "legs",
            Core,
            (
                legs("bracket", "100.01", "99.99"),
                legs("bracket", "101", "99", limit=100, loss_limit="98"),
                legs("bracket", "99", "101", side="sell", loss_limit="102"),
                legs("oto", "101"),
                legs("oto", "0", "99"),
                legs("oco", "0", "99", limit=101, side="sell"),
                legs("oco", "0", "101", limit=99),
            ),
            (
                legs("bracket", "101"),
                legs("bracket", "0", "99"),
                legs("bracket", "100", "99"),
                legs("bracket", "101", "100"),
                legs("bracket", "99", "101"),
                legs("bracket", "101", "99", side="sell"),
                legs("bracket", "101.005", "99"),
                legs("bracket", "101", "98.995"),
                legs("bracket", "101", "99", loss_limit="99.01"),
                legs("bracket", "101", "99", loss_limit="98.995"),
                legs("bracket", "99", "101", side="sell", loss_limit="100.99"),
                legs("oto", "101", "99"),
                legs("oto"),
                legs("oto", "101", loss_limit="99"),
                legs("oco", "0", "99"),
                legs("oco", "101", "99", limit=101, side="sell"),
                legs("oco", "0", "100", limit=101, side="sell"),
                legs("oco", "0", "101", limit=101, side="sell"),
                legs("simple", "101"),
                legs("simple", "0", "99"),
                legs("simple", "0", "0", loss_limit="99"),
            ),
        ),
        marks=pytest.mark.requirement("gate:legs"),
    ),
]

PRICES = [
    pytest.param(
        Row(
            "price_collar",
            Core,
            (
                order(limit="105"),
                order(limit="95"),
                order(side="sell", limit="95"),
                stop("buy", "105"),
                stop("sell", "95"),
                trail("5"),
                trail(bps=500),
                legs("bracket", "120", "80"),
            ),
            (
                order(limit="105.01"),
                order(limit="94.99"),
                order(side="sell", limit="94.99"),
                order(qty=1, limit="10000"),
                stop("buy", "105.01"),
                stop("sell", "94.99"),
                stop_limit("buy", "101", "105.01"),
                stop_limit("buy", "105.01", "101"),
                trail("5.01"),
                trail(bps=501),
                legs("bracket", "120.01", "80"),
                legs("bracket", "120", "79.99"),
                legs("bracket", "120", "80", loss_limit="79.99"),
            ),
        ),
        marks=pytest.mark.requirement("gate:price-collar"),
    ),
    pytest.param(
        Row(
            "price_collar",
            lambda: Core(symbols={"ACME": SymbolLimits(collar_bps=100)}),
            (order(limit="101"), order("NICK", limit="105")),
            (order(limit="101.01"),),
        ),
        marks=pytest.mark.requirement("gate:price-collar"),
    ),
    *(
        pytest.param(
            Row("no_price", priced(price), (order("NICK"),), (order(), order(side="sell"))),
            marks=pytest.mark.requirement("gate:no-price"),
        )
        for price in (None, "0", "-5")
    ),
    *(
        pytest.param(
            Row("crossed_price", quoted(*sides), (), (order(),)), marks=pytest.mark.requirement("gate:crossed-price")
        )
        for sides in (("100.01", "100"), ("200", "100"))
    ),
    *(
        pytest.param(
            Row("crossed_price", quoted(*sides), (order(),), ()), marks=pytest.mark.requirement("gate:crossed-price")
        )
        for sides in (("100", "100"), ("99", "101"), ("0", "101"), ("101", "0"))
    ),
]


@pytest.mark.parametrize("row", [*WHO, *WHAT, *PRICES])
def test_an_order_at_the_boundary_passes_and_the_one_beyond_is_denied_by_name(row: Row) -> None:
    shows(row)


@pytest.mark.requirement("gate:stale-price")
@pytest.mark.parametrize(
    ("age_ns", "code"),
    [
        (0, "approved"),
        (15 * MINUTE_NS - 1, "approved"),
        (15 * MINUTE_NS, "approved"),
        (15 * MINUTE_NS + 1, "stale_price"),
        (-1, "stale_price"),
        (-(2**62), "stale_price"),
    ],
)
def test_a_price_may_be_as_old_as_the_limit_and_never_from_the_future(age_ns: int, code: str) -> None:
    core = Core()
    nano = 100 * SCALE
    quote = Quote("ACME", 0, core.now_ns - age_ns, core.now_ns, nano, nano, nano, nano)
    core.show(Snapshot(core.now_ns, (), (quote,)))
    assert core.code(core.intent()) == code


@pytest.mark.requirement("gate:clock-mismatch")
def test_before_its_first_instant_nothing_passes() -> None:
    core = Core()
    core.client.facts.now_ns = -1
    core.desk.refresh()
    assert core.code(core.intent(decided_ns=-1)) == "clock_mismatch"


# --- the eight orders of the notes (section 1b), seven of which another gate let through ------------------------------


@pytest.mark.requirement("gate:eight")
def test_a_over_the_notional_limit_in_a_cash_account() -> None:
    core = Core(limits(max_order_notional_nano=1_000 * SCALE))
    assert core.code(core.intent(qty=1_000)) == "order_notional"


@pytest.mark.requirement("gate:eight")
def test_b_over_the_notional_limit_in_a_margin_account() -> None:
    margin = limits(max_order_notional_nano=1_000 * SCALE, margin_bps=1_000, max_leverage_bps=100_000)
    core = Core(margin)
    assert core.code(core.intent(qty=1_000)) == "order_notional"
    assert core.code(core.intent(side="sell", qty=1_000, limit=100)) == "order_notional"


@pytest.mark.requirement("gate:eight")
def test_c_with_no_account_that_is_known() -> None:
    core = Core()
    core.client.facts.equity_nano = None
    core.desk.refresh()
    assert core.code(core.intent(qty=1)) == "equity_unknown"
    assert core.code(core.intent(qty=1_000)) == "order_notional"
    assert core.code(core.intent(client="nobody")) == "wrong_client"


@pytest.mark.requirement("gate:eight")
def test_d_a_market_order_over_the_limit_without_market_data() -> None:
    core = Core()
    core.prices.clear()
    core.mark(MINUTE_NS)
    assert core.code(core.intent(qty=1)) == "no_price"
    assert core.code(core.intent(qty=1_000)) == "no_price"


@pytest.mark.requirement("gate:eight")
def test_e_an_opening_order_on_a_flat_book_while_reducing() -> None:
    core = Core()
    core.desk.set_trading("", "", "reducing")
    assert core.code(core.intent()) == "reducing"
    assert core.code(core.intent(side="sell")) == "reducing"


@pytest.mark.requirement("gate:eight")
def test_f_a_flip_while_reducing() -> None:
    core = Core()
    core.hold(qty=100)
    core.desk.set_trading("", "", "reducing")
    assert core.code(core.intent(side="sell", qty=190)) == "reducing"
    assert core.code(core.intent(side="sell", qty=100)) == "approved"


@pytest.mark.requirement("gate:eight")
def test_g_a_price_that_is_precise_enough_and_off_the_grid() -> None:
    core = Core()
    core.mark(MINUTE_NS, NICK="10")
    assert core.code(core.intent("NICK", limit="10.03")) == "limit_price"
    assert core.code(core.intent("NICK", limit="10.05")) == "approved"


@pytest.mark.requirement("gate:eight")
def test_h_a_price_a_hundred_times_the_market() -> None:
    core = Core()
    assert core.code(core.intent(qty=1, limit="10000")) == "price_collar"
    assert CASH_NANO > 10_000 * SCALE  # it is not for want of money
