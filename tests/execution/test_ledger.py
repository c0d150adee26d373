"""Cash, positions and equity, by hand and by property."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import to_nano
from bus.messages import Fill, OrderEventKind, Side
from execution.ledger import Holding, Ledger
from execution.orders import OrderBook
from tests.execution.desk import FUTURE, INSTRUMENTS, START_CASH, Desk, bar, day, gateway_spec, intent

BY_SYMBOL = {instrument.symbol: instrument for instrument in INSTRUMENTS}


def fill(n: int, side: Side, qty: str, price: str, fee: str = "0", symbol: str = "IBM") -> Fill:
    return Fill(f"f{n}", "oo-1", symbol, side, to_nano(qty), to_nano(price), to_nano(fee), n)


@pytest.mark.requirement("execution:ledger:identity")
def test_a_position_is_built_reduced_and_turned_over(tmp_path: Path) -> None:
    ledger = Ledger(gateway_spec(tmp_path), BY_SYMBOL)
    ledger.apply(fill(1, "buy", "100", "50", "1"))
    ledger.apply(fill(2, "buy", "100", "60", "1"))
    (position,) = ledger.account(0).positions
    assert (position.qty_nano, position.avg_price_nano) == (to_nano(200), to_nano(55))
    ledger.apply(fill(3, "sell", "50", "65", "1"))
    (position,) = ledger.account(0).positions
    assert (position.avg_price_nano, position.realized_nano) == (to_nano(55), to_nano(500))
    ledger.apply(fill(4, "sell", "250", "45", "1"))
    (position,) = ledger.account(0).positions
    assert (position.qty_nano, position.avg_price_nano) == (to_nano(-100), to_nano(45))
    assert position.realized_nano == to_nano(500 - 1_500)
    ledger.apply(fill(5, "buy", "100", "40", "1"))
    (position,) = ledger.account(0).positions
    assert (position.qty_nano, position.avg_price_nano, position.realized_nano) == (0, 0, to_nano(-500))
    account = ledger.account(0)
    assert account.cash_nano == account.equity_nano == START_CASH - to_nano(505)
    assert account.fees_nano == to_nano(5)


@pytest.mark.requirement("execution:ledger:equity")
def test_a_future_counts_its_multiplier(tmp_path: Path) -> None:
    ledger = Ledger(gateway_spec(tmp_path), BY_SYMBOL)
    ledger.apply(fill(1, "buy", "2", "1700", symbol=FUTURE.symbol))
    ledger.see((bar(0, "1700", close="1701.25", symbol=FUTURE.symbol),), ())
    assert ledger.account(0).equity_nano == START_CASH + to_nano("125")
    assert ledger.account(0).positions[0].avg_price_nano == to_nano(1700)


@pytest.mark.requirement("execution:ledger:equity")
def test_equity_follows_the_last_close_of_what_is_held(tmp_path: Path) -> None:
    desk = Desk(tmp_path, day([bar(n, "100", close=str(100 + n)) for n in range(6)]))
    desk.settle(1)
    desk.send(1, intent(0, 1, "sell", 100))
    desk.settle(2)
    account = desk.settle(3).account
    assert account.cash_nano == START_CASH + to_nano("9998") - to_nano(1)
    assert account.equity_nano == account.cash_nano - to_nano(100 * 102)
    account = desk.settle(5).account
    assert account.equity_nano == account.cash_nano - to_nano(100 * 104)
    assert [p.mark_nano for p in account.positions] == [to_nano(104)]
    desk.close()


@pytest.mark.requirement("execution:ledger:equity")
def test_an_older_bar_does_not_replace_a_younger_mark(tmp_path: Path) -> None:
    ledger = Ledger(gateway_spec(tmp_path), BY_SYMBOL)
    ledger.apply(fill(1, "buy", "1", "100"))
    assert ledger.account(0).positions[0].mark_nano == to_nano(100), "nothing seen: the average price"
    ledger.see((bar(5, "105"),), ())
    ledger.see((bar(4, "104"),), ())
    assert ledger.account(0).positions[0].mark_nano == to_nano(105)


FILLS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 10**13),
        st.integers(1, 10**13),
        st.integers(0, 10**9),
        st.sampled_from(["IBM", "EURUSD", FUTURE.symbol]),
    ),
    max_size=40,
)


@pytest.mark.requirement("execution:ledger:identity")
@settings(deadline=None)
@given(FILLS)
def test_cash_and_cost_equal_start_and_profit_less_fees_exactly(
    tmp_path_factory: pytest.TempPathFactory, fills: list[tuple[Side, int, int, int, str]]
) -> None:
    ledger = Ledger(gateway_spec(tmp_path_factory.getbasetemp()), BY_SYMBOL)
    signed: dict[str, int] = {}
    for n, (side, qty, price, fee, symbol) in enumerate(fills):
        ledger.apply(Fill(f"f{n}", "oo-1", symbol, side, qty, price, fee, n))
        signed[symbol] = signed.get(symbol, 0) + (qty if side == "buy" else -qty)
        holdings = ledger.holdings.values()
        cost = sum(h.cost_nano for h in holdings)
        realized = sum(h.realized_nano for h in holdings)
        assert ledger.cash_nano + cost == START_CASH + realized - ledger.fees_nano
        for holding in holdings:
            assert holding.qty_nano == signed[holding.symbol]
            assert (holding.cost_nano == 0) if holding.qty_nano == 0 else (holding.cost_nano * holding.qty_nano >= 0)


AMENDED = st.lists(
    st.tuples(
        st.sampled_from(["fill", "fill", "bust", "correct", "cash"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 10**12),
        st.integers(1, 10**12),
        st.integers(0, 20),
    ),
    max_size=30,
)


@pytest.mark.requirement("execution:ledger:amended")
@settings(deadline=None)
@given(AMENDED)
def test_after_busts_and_corrections_the_books_are_those_of_the_fills_that_count(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[OrderEventKind, Side, int, int, int]]
) -> None:
    spec = gateway_spec(tmp_path_factory.getbasetemp())
    book = OrderBook()
    order = book.add(intent(0, 0, qty=1), 0)
    ledger = Ledger(spec, BY_SYMBOL)
    moved = 0
    for n, (kind, side, qty, price, to) in enumerate(steps):
        if kind == "cash":
            ledger.take(book.cash(f"c{n}", qty - price, n, "test"))
            moved += qty - price
            continue
        refers = "" if kind == "fill" else f"f{to}"
        new = Fill(f"f{n}", order.intent.client_order_id, "IBM", side, qty, price, 7, n, refers_to=refers)
        if kind == "fill" or order.counted(new) is not None:
            ledger.take(book.advance(order, kind, n, fill=new))
    twin = Ledger(spec, BY_SYMBOL)
    for known in order.fills.values():
        twin.apply(known)
    assert (ledger.cash_nano, ledger.fees_nano) == (twin.cash_nano + moved, twin.fees_nano)
    assert ledger.moved_nano == moved
    for symbol, holding in ledger.holdings.items():
        other = twin.holdings.get(symbol, Holding(symbol, 1))
        assert (holding.qty_nano, holding.cost_nano, holding.realized_nano) == (
            other.qty_nano,
            other.cost_nano,
            other.realized_nano,
        )
    cost = sum(h.cost_nano for h in ledger.holdings.values())
    realized = sum(h.realized_nano for h in ledger.holdings.values())
    assert ledger.cash_nano + cost == START_CASH + moved + realized - ledger.fees_nano


@pytest.mark.requirement("execution:ledger:amended")
def test_two_orders_may_have_fills_of_the_same_number(tmp_path: Path) -> None:
    ledger = Ledger(gateway_spec(tmp_path), BY_SYMBOL)
    book = OrderBook()
    orders = [book.add(intent(n, 0, qty=10), 0) for n in range(2)]
    for order in orders:
        name = order.intent.client_order_id
        ledger.take(book.advance(order, "fill", 1, fill=Fill("1", name, "IBM", "buy", to_nano(10), to_nano(5), 0, 1)))
    first = orders[0].intent.client_order_id
    undone = Fill("2", first, "IBM", "buy", to_nano(10), to_nano(5), 0, 1, refers_to="1")
    ledger.take(book.advance(orders[0], "bust", 2, fill=undone))
    assert ledger.holdings["IBM"].qty_nano == to_nano(10)
    assert ledger.cash_nano == START_CASH - to_nano(50)
