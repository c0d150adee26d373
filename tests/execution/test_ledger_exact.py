"""The ledger to the billionth: released cost, amendments, marks. Identities over any story are in `test_ledger`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bus.fixed import SCALE, to_nano
from bus.messages import Account, Fill, Instrument, OrderEvent, OrderEventKind, Position, Quote, Side
from execution.ledger import Holding, Ledger
from tests.execution.desk import FUTURE, STOCK, bar, gateway_spec, quote

TEN = Instrument("TEN", "future", "USD", 1, 1, multiplier=10)
KNOWN = {instrument.symbol: instrument for instrument in (STOCK, FUTURE, TEN)}


def ledger(folder: Path) -> Ledger:
    return Ledger(gateway_spec(folder, start_cash_nano=1_000), KNOWN)


def fill(
    name: str,
    side: Side,
    qty: int,
    price: int,
    fee: int = 0,
    symbol: str = "IBM",
    refers_to: str = "",
    order: str = "a",
) -> Fill:
    """A fill of so many whole units at a price in billionths."""
    return Fill(name, order, symbol, side, qty * SCALE, price, fee, 1, refers_to=refers_to)


def told(kind: OrderEventKind, known: Fill | None = None, cash: int = 0) -> OrderEvent:
    return OrderEvent(1, "a", "IBM", "buy", kind, "accepted", 1, 1, 0, fill=known, cash_nano=cash)


def held(books: Ledger) -> dict[str, tuple[int, int, int]]:
    """Whole units, cost and profit by symbol."""
    return {
        symbol: (each.qty_nano // SCALE, each.cost_nano, each.realized_nano) for symbol, each in books.holdings.items()
    }


# --- one holding ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:ledger:identity")
@pytest.mark.parametrize(
    ("trades", "after"),
    [
        ([(3, 10)], (3, 10, 0)),
        ([(3, 10), (2, 7)], (5, 17, 0)),
        ([(-3, -10), (-2, -7)], (-5, -17, 0)),
        # Closing two of three releases 6.67 of 10: 6, and 4 stay. The sale brought 7: a profit of 1.
        ([(3, 10), (-2, -7)], (1, 4, 1)),
        ([(3, 10), (-2, -7), (-1, -2)], (0, 0, -1)),
        ([(-3, -10), (2, 7)], (-1, -4, -1)),
        ([(-3, -10), (2, 7), (1, 1)], (0, 0, 2)),
        ([(3, 10), (-3, -11)], (0, 0, 1)),
        # Turned over: of 17 for five, 10.2 close three: 10, and 7 are the cost of the two sold beyond them.
        ([(3, 10), (-5, -17)], (-2, -7, 0)),
        ([(-3, -10), (5, 17)], (2, 7, 0)),
        ([(3, 10), (-3, -11), (4, 9)], (4, 9, 1)),
        ([(1, 10), (-1, -10), (-1, -4), (1, 6)], (0, 0, -2)),
    ],
)
def test_closing_releases_cost_in_proportion_rounded_towards_zero(
    trades: list[tuple[int, int]], after: tuple[int, int, int]
) -> None:
    holding = Holding("IBM", 1)
    for qty, spent in trades:
        holding.trade(qty, spent)
    assert (holding.qty_nano, holding.cost_nano, holding.realized_nano) == after
    assert (holding.symbol, holding.multiplier) == ("IBM", 1)


@pytest.mark.requirement("execution:ledger:identity")
@pytest.mark.parametrize(
    ("multiplier", "qty", "cost", "average"),
    [
        (1, 3, 10, 3 * SCALE + SCALE // 3),
        (1, -3, -10, 3 * SCALE + SCALE // 3),
        (5, 3, 10, 2 * SCALE // 3),
        (5, 0, 0, 0),
    ],
)
def test_the_average_price_is_of_a_unit_and_cut_off(multiplier: int, qty: int, cost: int, average: int) -> None:
    holding = Holding("X", multiplier)
    assert holding.avg_price_nano == 0
    holding.trade(qty, cost)
    assert holding.avg_price_nano == average


# --- fills, busts, corrections and cash -------------------------------------------------------------------------------


@pytest.mark.requirement("execution:ledger:identity")
def test_a_purchase_is_rounded_up_a_sale_down_and_the_fee_is_on_top(tmp_path: Path) -> None:
    books = ledger(tmp_path)
    assert (books.cash_nano, books.fees_nano, books.moved_nano, books.holdings) == (1_000, 0, 0, {})
    half = msgspec.structs.replace(fill("f1", "buy", 1, 101, 3), qty_nano=SCALE // 2)
    books.apply(half)
    assert (books.cash_nano, books.fees_nano, held(books)) == (1_000 - 51 - 3, 3, {"IBM": (0, 51, 0)})
    books.apply(msgspec.structs.replace(half, fill_id="f2", side="sell", fee_nano=4))
    assert (books.cash_nano, books.fees_nano, held(books)) == (1_000 - 1 - 7, 7, {"IBM": (0, 0, -1)})


@pytest.mark.requirement("execution:ledger:equity")
def test_a_multiplier_counts_in_money_and_an_unknown_symbol_has_none(tmp_path: Path) -> None:
    books = ledger(tmp_path)
    books.apply(fill("f1", "buy", 2, 7, symbol="TEN"))
    books.apply(fill("f2", "sell", 2, 7, symbol="WHAT"))
    assert held(books) == {"TEN": (2, 140, 0), "WHAT": (-2, -14, 0)}
    assert books.cash_nano == 1_000 - 140 + 14
    assert [books.holdings[symbol].multiplier for symbol in ("TEN", "WHAT")] == [10, 1]
    assert books.account(0).positions == (Position("TEN", 2 * SCALE, 7, 7, 0), Position("WHAT", -2 * SCALE, 7, 7, 0))


@pytest.mark.requirement("execution:ledger:amended")
def test_money_moves_with_cash_events_and_fills_and_with_nothing_else(tmp_path: Path) -> None:
    books = ledger(tmp_path)
    for kind in ("sent", "accepted", "canceled", "unknown"):
        books.take(told(kind, cash=5))
    assert (books.cash_nano, books.moved_nano) == (1_000, 0)
    books.take(told("cash", cash=-30))
    books.take(told("cash", cash=10))
    assert (books.cash_nano, books.moved_nano, books.fees_nano) == (980, -20, 0)
    books.take(told("fill", fill("f1", "buy", 1, 100, 2)))
    assert (books.cash_nano, books.moved_nano, books.fees_nano) == (878, -20, 2)


@pytest.mark.requirement("execution:ledger:amended")
def test_a_chain_of_corrections_ends_as_its_last_and_its_bust_leaves_nothing(tmp_path: Path) -> None:
    books = ledger(tmp_path)
    books.take(told("fill", fill("f1", "buy", 2, 100, 5)))
    books.take(told("fill", fill("f2", "buy", 1, 90, 1)))
    books.take(told("fill", fill("f3", "sell", 1, 80, 1, "TEN")))
    other = (-1, -800, 0)
    assert (books.cash_nano, books.fees_nano) == (1_000 - 205 - 91 + 799, 7)
    books.take(told("correct", fill("c1", "buy", 3, 100, 6, refers_to="f1")))
    assert (books.cash_nano, books.fees_nano) == (1_000 - 306 - 91 + 799, 8)
    assert held(books) == {"IBM": (4, 390, 0), "TEN": other}
    books.take(told("correct", fill("c2", "buy", 1, 50, 9, refers_to="c1")))
    assert (books.cash_nano, books.fees_nano) == (1_000 - 59 - 91 + 799, 11)
    assert held(books) == {"IBM": (2, 140, 0), "TEN": other}
    books.take(told("bust", fill("b1", "buy", 1, 50, 9, refers_to="c2")))
    assert (books.cash_nano, books.fees_nano) == (1_000 - 91 + 799, 2)
    assert held(books) == {"IBM": (1, 90, 0), "TEN": other}
    again = (books.cash_nano, books.fees_nano, held(books))
    for kind, refers in (("bust", "f1"), ("bust", "c1"), ("bust", "c2"), ("bust", "b1"), ("correct", "f1")):
        books.take(told(msgspec.convert(kind, OrderEventKind), fill("z", "buy", 1, 50, 9, refers_to=refers)))
    assert (books.cash_nano, books.fees_nano, held(books)) == again, "what is taken back is taken back once"
    books.take(told("bust", fill("b2", "buy", 1, 90, 1, refers_to="f2")))
    assert (books.cash_nano, held(books)) == (1_000 + 799, {"IBM": (0, 0, 0), "TEN": other})


@pytest.mark.requirement("execution:ledger:amended")
def test_what_comes_after_a_busted_trade_is_booked_as_if_it_had_never_been(tmp_path: Path) -> None:
    books = ledger(tmp_path)
    for each in (
        fill("f1", "buy", 1, 100, symbol="TEN"),
        fill("f2", "sell", 2, 110, symbol="TEN"),
        fill("f3", "buy", 1, 90, symbol="TEN"),
    ):
        books.take(told("fill", each))
    assert held(books) == {"TEN": (0, 0, 300)}
    books.take(told("bust", fill("b1", "sell", 2, 110, symbol="TEN", refers_to="f2")))
    assert held(books) == {"TEN": (2, 1_900, 0)}
    assert books.cash_nano == 1_000 - 1_900
    assert (books.holdings["TEN"].symbol, books.holdings["TEN"].multiplier) == ("TEN", 10)


@pytest.mark.requirement("execution:ledger:amended")
@pytest.mark.parametrize(
    "wrong",
    [
        fill("b1", "buy", 1, 100, refers_to="f9"),
        fill("b1", "buy", 1, 100, refers_to="f1", order="b"),
        fill("b1", "buy", 1, 100, refers_to="f1", symbol="TEN"),
        fill("b1", "buy", 1, 100, refers_to="f1", symbol="NONE"),
        fill("b1", "buy", 1, 100, refers_to="f9", symbol="NONE"),
        fill("b1", "buy", 1, 100),
    ],
)
def test_an_amendment_of_what_is_not_there_changes_nothing(tmp_path: Path, wrong: Fill) -> None:
    books = ledger(tmp_path)
    books.take(told("fill", fill("f1", "buy", 1, 100, 5)))
    books.take(told("fill", fill("t1", "buy", 1, 7, 5, "TEN")))
    before = (books.cash_nano, books.fees_nano, held(books))
    for kind in ("bust", "correct"):
        books.take(told(msgspec.convert(kind, OrderEventKind), wrong))
    assert (books.cash_nano, books.fees_nano, held(books)) == before
    books.take(told("bust", fill("b2", "buy", 1, 100, 5, refers_to="f1")))
    assert held(books)["IBM"] == (0, 0, 0), "what is there can be taken back as before"


# --- marks and the account --------------------------------------------------------------------------------------------


def middle(bid: int, ask: int, symbol: str = "IBM") -> Quote:
    return msgspec.structs.replace(quote(0, "1", "1", symbol), bid_nano=bid, ask_nano=ask, bid_open_nano=1)


@pytest.mark.requirement("execution:ledger:equity")
def test_a_mark_is_the_last_close_else_the_middle_of_the_last_quote_else_nothing(tmp_path: Path) -> None:
    books = ledger(tmp_path)
    books.apply(fill("f1", "buy", 1, 100))
    assert (books.mark_nano("IBM"), books.account(0).positions[0].mark_nano) == (0, 100)
    books.see((), (middle(10, 21), middle(50, 60, "SPY")))
    assert (books.mark_nano("IBM"), books.mark_nano("SPY"), books.mark_nano("X")) == (15, 55, 0)
    books.see((), (middle(10, 31),))
    assert books.mark_nano("IBM") == books.account(0).positions[0].mark_nano == 20
    books.see((bar(5, "105"), bar(5, "2", symbol="SPY")), ())
    assert (books.mark_nano("IBM"), books.mark_nano("SPY")) == (to_nano(105), to_nano(2))
    books.see((bar(4, "104"), bar(6, "3", symbol="SPY")), (middle(10, 31),))
    assert (books.mark_nano("IBM"), books.mark_nano("SPY")) == (to_nano(105), to_nano(3)), "a late bar is not younger"
    books.see((bar(5, "100", close="106"),), ())
    assert books.mark_nano("IBM") == to_nano(106), "the same minute again is a better word of it"


@pytest.mark.requirement("execution:ledger:equity")
def test_the_account_says_everything_by_symbol_and_rounds_values_down(tmp_path: Path) -> None:
    books = ledger(tmp_path)
    books.apply(fill("f1", "sell", 1, 100, 2, "TEN"))
    books.apply(msgspec.structs.replace(fill("f2", "buy", 1, 101), qty_nano=SCALE // 2))
    books.apply(msgspec.structs.replace(fill("f3", "sell", 1, 101, symbol="GONE"), qty_nano=SCALE // 2))
    books.see((), (middle(6, 8, "TEN"), middle(3, 3), middle(3, 3, "GONE")))
    cash = 1_000 + 1_000 - 2 - 51 + 50
    positions = (
        Position("GONE", -SCALE // 2, 100, 3, 0),
        Position("IBM", SCALE // 2, 102, 3, 0),
        Position("TEN", -SCALE, 100, 7, 0),
    )
    assert books.account(77) == Account("alice", "replay", 77, cash, cash - 2 + 1 - 70, 2, positions)
    assert books.account(78, "why").halted == "why"
