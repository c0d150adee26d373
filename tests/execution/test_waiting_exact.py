"""What an instant does to orders that wait here, price by price. How they get to the broker is in `test_waiting`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from bus.fixed import to_nano
from bus.messages import Bar, ClockTick, OrderIntent, OrderType, Side, Tick, TimeInForce
from execution.broker import Offered
from execution.orders import Order, OrderBook
from execution.waiting import EMULATED, Waited, best_of, stop_of, taken, waited, waits
from tests.execution.desk import at, bar, intent
from tests.execution.venue import OFFERS, PLAIN


def order(n: int = 0, side: Side = "sell", kind: OrderType = "stop", **more: object) -> OrderIntent:
    return msgspec.structs.replace(intent(n, 1, side, 10), order_type=kind, **more)


def held(*orders: OrderIntent, minute: int = 3) -> list[Order]:
    """These, held since a minute."""
    book = OrderBook()
    return [_hold(book, each, at(minute)) for each in orders]


def _hold(book: OrderBook, wanted: OrderIntent, now_ns: int) -> Order:
    known = book.add(wanted, now_ns)
    book.advance(known, "held", now_ns)
    return known


def tick(*bars: Bar, minute: int = 4, done: bool = False) -> Tick:
    return Tick(ClockTick(at(minute), minute, 100, done), bars)


def prices(open_: int, high: int, low: int, minute: int = 3, symbol: str = "IBM") -> Bar:
    """A bar in billionths."""
    return Bar(symbol, at(minute), at(minute + 1), at(minute + 1), open_, high, low, low, 0)


# --- which wait -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:waiting:held")
def test_a_type_waits_here_when_it_can_and_the_broker_does_not_have_it() -> None:
    some = msgspec.structs.replace(OFFERS, order_types=("market", "stop"))
    for offered, waiting in (
        (PLAIN, ["stop", "stop_limit", "trailing_stop"]),
        (OFFERS, []),
        (some, ["stop_limit", "trailing_stop"]),
    ):
        kinds: Sequence[OrderType] = ("market", "limit", "stop", "stop_limit", "trailing_stop")
        assert [kind for kind in kinds if waits(order(kind=kind), offered)] == waiting
    assert not waits(order(kind="limit"), some), "what execution cannot stand in for does not wait"


@pytest.mark.requirement("execution:waiting:held")
@pytest.mark.parametrize(
    ("offered", "types"),
    [
        (("market",), ("market", "stop", "stop_limit", "trailing_stop")),
        (("trailing_stop", "limit"), ("trailing_stop", "limit", "stop", "stop_limit")),
        (EMULATED, EMULATED),
    ],
)
def test_what_can_be_asked_for_is_the_brokers_own_first_and_then_what_waits_here(
    offered: tuple[str, ...], types: tuple[str, ...]
) -> None:
    offers: Offered = msgspec.structs.replace(OFFERS, order_types=offered)
    assert taken(offers) == types


# --- where they stand -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:waiting:trailing")
@pytest.mark.parametrize(
    ("side", "trail", "bps", "level"),
    [
        ("sell", 7, 0, 29_992),
        ("buy", 7, 0, 30_006),
        ("sell", 7, 50, 29_992),
        ("sell", 0, 50, 29_850),  # 149.995, cut off
        ("buy", 0, 50, 30_148),
        ("sell", 0, 10_000, 0),
    ],
)
def test_a_trail_stands_its_distance_from_the_best_price(side: Side, trail: int, bps: int, level: int) -> None:
    wanted = order(side=side, kind="trailing_stop", trail_nano=trail, trail_bps=bps, stop_price_nano=5)
    stop = stop_of(wanted, 29_999)
    assert (stop, type(stop)) == (level, int)


@pytest.mark.requirement("execution:waiting:triggered")
@pytest.mark.parametrize("kind", ["stop", "stop_limit"])
def test_a_stop_stands_where_it_was_put_whatever_the_best_price(kind: OrderType) -> None:
    assert stop_of(order(kind=kind, stop_price_nano=5, trail_nano=7, trail_bps=50), 29_999) == 5


@pytest.mark.requirement("execution:waiting:trailing")
def test_the_best_price_is_the_highest_for_a_sale_and_the_lowest_for_a_purchase() -> None:
    sale, purchase = order(), order(side="buy")
    shown = prices(100, 110, 90)
    assert [best_of(sale, water, shown) for water in (0, 109, 110, 111)] == [110, 110, 110, 111]
    assert [best_of(purchase, water, shown) for water in (0, 89, 90, 91)] == [90, 89, 90, 90]


# --- what an instant does ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:waiting:triggered")
@pytest.mark.parametrize(
    ("side", "shown", "met"),
    [
        ("sell", prices(105, 109, 101), False),
        ("sell", prices(105, 109, 100), True),
        ("sell", prices(105, 109, 99), True),
        ("sell", prices(90, 91, 90), True),
        ("buy", prices(95, 99, 91), False),
        ("buy", prices(95, 100, 91), True),
        ("buy", prices(95, 101, 91), True),
        ("buy", prices(110, 111, 110), True),
    ],
)
def test_a_stop_at_100_is_met_by_a_touch(side: Side, shown: Bar, met: bool) -> None:
    orders = held(order(side=side, stop_price_nano=100))
    assert waited(orders, {}, tick(shown)) == Waited(tuple(orders) if met else (), (), {})


@pytest.mark.requirement("execution:waiting:triggered")
def test_only_the_bars_of_its_own_symbol_since_it_was_held_count() -> None:
    orders = held(order(stop_price_nano=100))
    deep = prices(50, 50, 50)
    foreign, early = msgspec.structs.replace(deep, symbol="SPY"), msgspec.structs.replace(deep, open_time_ns=at(2))
    nothing = Waited((), (), {})
    assert waited(orders, {}, tick(foreign)) == nothing
    assert waited(orders, {}, tick(early)) == nothing
    assert waited(orders, {}, tick()) == nothing
    late = held(order(stop_price_nano=100))
    late[0].events[0] = msgspec.structs.replace(late[0].events[0], time_ns=at(3) + 1)
    assert waited(late, {}, tick(deep)) == nothing, "a billionth of a second too early"
    assert waited(orders, {}, tick(foreign, early, deep)).triggered == tuple(orders), "what comes after them counts"
    assert waited(orders, {}, tick(deep, prices(200, 200, 200, 4))).triggered == tuple(orders), (
        "met is met, whatever the next bar is"
    )


@pytest.mark.requirement("execution:waiting:triggered")
def test_the_orders_that_are_met_go_in_the_order_in_which_they_came() -> None:
    orders = held(*(order(n, stop_price_nano=stop) for n, stop in enumerate((100, 80, 95, 100))))
    assert waited(orders, {}, tick(prices(100, 100, 95))) == Waited((orders[0], orders[2], orders[3]), (), {})


@pytest.mark.requirement("execution:waiting:trailing")
def test_a_trail_is_compared_with_where_the_bars_before_left_it_and_follows_afterwards() -> None:
    wanted = order(kind="trailing_stop", trail_nano=10, time_in_force="gtc")
    name = wanted.client_order_id
    orders = held(wanted)
    assert waited(orders, {}, tick(prices(100, 120, 91))) == Waited((), (), {name: 120}), "it starts at the open"
    assert waited(orders, {}, tick(prices(100, 120, 90))).triggered == tuple(orders)
    assert waited(orders, {name: 120}, tick(prices(115, 119, 111))) == Waited((), (), {}), "nothing moved"
    assert waited(orders, {name: 120}, tick(prices(115, 121, 111))) == Waited((), (), {name: 121})
    assert waited(orders, {name: 120}, tick(prices(115, 121, 110))) == Waited(tuple(orders), (), {})
    assert waited(orders, {"oo-other": 120}, tick(prices(100, 100, 91))) == Waited((), (), {name: 100}), "its own"
    two = (prices(100, 120, 95), prices(115, 118, 110, minute=4))
    assert waited(orders, {}, tick(*two)).triggered == tuple(orders), "the second bar meets what the first one moved"
    assert waited(orders, {}, tick(prices(100, 120, 95), prices(115, 130, 111, minute=4))).waters == {name: 130}


@pytest.mark.requirement("execution:waiting:trailing")
def test_a_purchase_trails_above_the_lowest_price() -> None:
    wanted = order(side="buy", kind="trailing_stop", trail_bps=1_000, time_in_force="gtc")
    orders = held(wanted)
    name = wanted.client_order_id
    assert waited(orders, {}, tick(prices(100, 109, 80))) == Waited((), (), {name: 80})
    assert waited(orders, {}, tick(prices(100, 110, 80))).triggered == tuple(orders)
    assert waited(orders, {name: 80}, tick(prices(85, 87, 84))) == Waited((), (), {})
    assert waited(orders, {name: 80}, tick(prices(85, 88, 84))).triggered == tuple(orders)


@pytest.mark.requirement("execution:waiting:trailing")
def test_only_a_trailing_stop_has_a_best_price_to_remember() -> None:
    assert waited(held(order(stop_price_nano=5)), {}, tick(prices(100, 120, 90))) == Waited((), (), {})


@pytest.mark.requirement("execution:waiting:ended")
@pytest.mark.parametrize(
    ("tif", "expires", "done", "over"),
    [
        ("day", 0, False, False),
        ("day", 0, True, True),
        ("gtc", 0, False, False),
        ("gtc", 0, True, False),
        ("gtd", at(4) + 1, False, False),
        ("gtd", at(4) + 1, True, False),
        ("gtd", at(4), False, True),
        ("gtd", at(4) - 1, False, True),
    ],
)
def test_what_waits_is_over_at_its_time_and_not_before(tif: TimeInForce, expires: int, done: bool, over: bool) -> None:
    orders = held(order(stop_price_nano=5, time_in_force=tif, expires_ns=expires))
    gone = tuple(orders) if over else ()
    assert waited(orders, {}, tick(prices(100, 100, 100), done=done)) == Waited((), gone, {})
    assert waited(orders, {}, tick(prices(100, 100, 5), done=done)) == Waited(tuple(orders), (), {}), "it was met first"
    trail = held(order(kind="trailing_stop", trail_nano=50, time_in_force=tif, expires_ns=expires))
    moved = {} if over else {trail[0].intent.client_order_id: 100}
    assert waited(trail, {}, tick(prices(100, 100, 100), done=done)) == Waited((), tuple(trail) if over else (), moved)


@pytest.mark.requirement("execution:waiting:triggered")
def test_a_whole_bar_of_the_desk_meets_a_stop_in_words_too() -> None:
    orders = held(order(stop_price_nano=to_nano("97.5")))
    assert waited(orders, {}, tick(bar(3, "100", low="97.51"))).triggered == ()
    assert waited(orders, {}, tick(bar(3, "100", low="97.50"))).triggered == tuple(orders)
