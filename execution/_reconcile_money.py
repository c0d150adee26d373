"""Positions and cash: projected with what was taken in, compared, opened, and with a person's consent taken over.

Not bookkeeping: the ledger is. Money is rounded here as the ledger rounds it.
"""

from __future__ import annotations

from collections.abc import Mapping

from bus.fixed import SCALE, from_nano
from bus.ids import derived_id
from bus.messages import Difference, Fill, Instrument, OrderIntent, Side
from execution._reconcile_orders import Execution, Found
from execution._reconcile_shapes import Adopted, CashMove, Ours
from execution._reconcile_view import View
from execution.broker import BrokerReport, Held, Statement

__all__ = ["CENT_NANO", "BASIS_POINTS", "Projection", "average_differs", "cash_move", "project", "take_over"]

CENT_NANO = 10_000_000
"""What brokers round cash to."""
BASIS_POINTS = 10_000


class Projection:
    """Our positions and cash as they will be when what was found is taken in."""

    __slots__ = ("averages", "cash_nano", "multipliers", "qty", "touched")

    def __init__(self, ours: Ours, instruments: Mapping[str, Instrument]) -> None:
        self.qty: dict[str, int] = {held.symbol: held.qty_nano for held in ours.held if held.qty_nano}
        self.averages: dict[str, int] = {held.symbol: held.avg_price_nano for held in ours.held}
        self.cash_nano = ours.cash_nano
        self.multipliers = {symbol: instrument.multiplier for symbol, instrument in instruments.items()}
        self.touched: set[str] = set()
        """Symbols whose average is another after this: it is compared the next time."""

    def book(self, fill: Fill, *, undo: bool = False) -> None:
        """Take in a fill, or take it back."""
        sign = 1 if fill.side == "buy" else -1
        spent = (
            -(-sign * fill.price_nano * fill.qty_nano * self.multipliers.get(fill.symbol, 1) // SCALE) + fill.fee_nano
        )
        back = -1 if undo else 1
        self.qty[fill.symbol] = self.qty.get(fill.symbol, 0) + back * sign * fill.qty_nano
        self.cash_nano -= back * spent
        self.touched.add(fill.symbol)


def project(ours: Ours, view: View, executions: list[Execution], instruments: Mapping[str, Instrument]) -> Projection:
    """Return our books with the new executions in them."""
    after = Projection(ours, instruments)
    known = view.executions.copy()
    for kind, fill in executions:
        before = known.undoes(fill)
        if before is not None:
            after.book(before, undo=True)
        if kind != "bust":
            after.book(fill)
        known.take(fill, bust=kind == "bust")
    return after


def average_differs(ours_nano: int, theirs_nano: int) -> bool:
    """Return whether two averages are more than a basis point apart; 0 is an average that is not told."""
    if ours_nano <= 0 or theirs_nano <= 0:
        return False
    return abs(ours_nano - theirs_nano) * BASIS_POINTS > max(ours_nano, theirs_nano)


def cash_move(ours: Ours, view: View, statement: Statement, amount_nano: int, reason: str) -> CashMove:
    """Return a ``cash`` event whose id is the same for the same inputs."""
    cash_id = derived_id("cash", ours.client, statement.cash_nano or 0, view.last_seq)
    return CashMove(cash_id, amount_nano, statement.seen_ns, reason)


def take_over(
    ours: Ours, view: View, statement: Statement, want: Held, after: Projection, found: Found, reason: str
) -> bool:
    """Make our position of a symbol the broker's, with synthetic fills.

    What is held is closed at its own average, which realizes nothing, and the broker's is opened at the broker's
    average. A position of which nobody tells a price cannot be taken over.

    Returns:
        Whether it could be.
    """
    symbol, have = want.symbol, after.qty.get(want.symbol, 0)
    average = after.averages.get(symbol, 0)
    price = want.avg_price_nano or average
    legs: list[tuple[int, int]] = []
    if want.avg_price_nano <= 0 and have * want.qty_nano > 0:
        legs.append((want.qty_nano - have, price))
    else:
        legs += [(-have, average or price), (want.qty_nano, price)]
    legs = [(qty, at) for qty, at in legs if qty]
    if any(at <= 0 for _, at in legs):
        return False
    for number, (qty, at) in enumerate(legs):
        _synthetic(ours, view, statement, want, (number, qty, at, reason), after, found)
    return True


def _synthetic(
    ours: Ours,
    view: View,
    statement: Statement,
    want: Held,
    leg: tuple[int, int, int, str],
    after: Projection,
    found: Found,
) -> None:
    number, qty_nano, price_nano, reason = leg
    side: Side = "buy" if qty_nano > 0 else "sell"
    parts = (ours.client, want.symbol, want.qty_nano, want.avg_price_nano, view.last_seq, number)
    client_order_id, fill_id = derived_id("syn", *parts), derived_id("synfill", *parts)
    intent = OrderIntent(
        client_order_id=client_order_id,
        client=ours.client,
        run_id=ours.run_id,
        cycle=0,
        index=number,
        symbol=want.symbol,
        side=side,
        order_type="market",
        time_in_force="day",
        qty_nano=abs(qty_nano),
        limit_price_nano=0,
        decided_ns=statement.seen_ns,
        strategy="reconcile",
        reason=reason,
    )
    fill = Fill(
        fill_id, client_order_id, want.symbol, side, abs(qty_nano), price_nano, 0, statement.seen_ns, "synthetic"
    )
    found.adopt.append(Adopted(intent, "synthetic", price_nano))
    found.reports.append(BrokerReport(client_order_id, "accepted", reason, None, statement.seen_ns))
    found.reports.append(BrokerReport(client_order_id, "fill", reason, fill, statement.seen_ns))
    found.differences.append(
        Difference(
            "quantity", want.symbol, "", f"{from_nano(want.qty_nano):f} held", f"{side} {from_nano(abs(qty_nano)):f}"
        )
    )
    after.book(fill)
