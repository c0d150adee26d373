"""Compares our orders, positions and cash with the broker's own account, and says what makes them agree.

Not a party to either: a pure function, so the same journal and the same statement give the same answer and the same
ids. It takes in what the broker can prove (an execution with an id, an order that works), opens the books once from
what the account held before us, and halts on whatever else differs: it never makes up a trade to make a sum come out.

The four invariants: quantity exact; average price within a basis point; cash exact to one rounding unit a fill since
cash last agreed; synthetic ids derived from client, symbol, the broker's position and our last sequence number.

What nothing explains is asked about once more (``again``), with a statement that is newer: positions, cash and
executions are told by several answers of a broker, and a fill may come between two of them. A statement from before our
last fill says nothing about positions and cash, so they are not judged by it at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from bus.fixed import from_nano
from bus.messages import Difference, Instrument
from execution._reconcile_money import CENT_NANO, Projection, average_differs, cash_move, project, take_over
from execution._reconcile_orders import Found, find, words
from execution._reconcile_shapes import Adopted, CashMove, Ours, Outcome
from execution._reconcile_view import View
from execution.broker import Held, Statement

__all__ = ["CENT_NANO", "Adopted", "CashMove", "Outcome", "Ours", "compare"]


def compare(
    ours: Ours,
    statement: Statement,
    instruments: Mapping[str, Instrument],
    *,
    last: bool = False,
    consent: str = "",
    cash_unit_nano: int = CENT_NANO,
) -> Outcome:
    """Return what makes our books agree with the broker's, or why they cannot.

    Args:
        ours: Our side.
        statement: The broker's side.
        instruments: For contract multipliers; a symbol that is not here counts with 1, as in the ledger.
        last: Judge now; otherwise what asking or a newer statement may explain is put off (``again``).
        consent: Who looked at the differences and takes the broker's figures over, as synthetic fills and a cash
            event: from a ``ClearHalt`` only. Empty: what is not explained halts.
        cash_unit_nano: What the broker rounds cash to.
    """
    view = View(ours.events)
    opening = not view.opened_ns and not view.executions.told
    fresh = not view.older(statement)
    found = find(
        ours,
        view,
        statement,
        opened_ns=statement.seen_ns if opening else view.opened_ns,
        fresh=fresh,
        consent=bool(consent) and last,
    )
    if not fresh:
        late = Difference(
            "quantity", "every symbol", "younger than the statement", "a statement of before", "not judged"
        )
        return _outcome(found, [], [*found.questions, late], again=True)
    sums = _Sums(ours, view, statement, found, project(ours, view, found.executions, instruments))
    take = "opening position" if opening else f"taken over by {consent}" if consent and last else ""
    questions = [*found.questions, *sums.quantities(take)]
    questions += sums.cash(take, opening, 0 if questions else cash_unit_nano)
    questions += sums.averages(take, agreed=statement.cash_nano is not None and not questions)
    if questions:
        questions += [
            Difference("fill", fill.fill_id, words(fill), "not told", "ours is kept: was it undone?")
            for fill in view.lacking(statement)
        ]
    again = bool(questions or found.ask) and not last
    return _outcome(found, sums.moves, questions, again=again)


class _Sums:
    """Compares quantities, cash and averages of one projection; what differs and is not explained is returned."""

    def __init__(self, ours: Ours, view: View, statement: Statement, found: Found, after: Projection) -> None:
        self._ours = ours
        self._view = view
        self._statement = statement
        self._found = found
        self._after = after
        self.moves: list[CashMove] = []

    def quantities(self, take: str) -> list[Difference]:
        """Positions to the billionth; those that differ are taken over for the reason ``take``, if there is one."""
        theirs = {held.symbol: held for held in self._statement.held}
        questions: list[Difference] = []
        for symbol in sorted(theirs.keys() | self._after.qty.keys()):
            want, have = theirs.get(symbol, Held(symbol, 0)), self._after.qty.get(symbol, 0)
            if want.qty_nano == have:
                continue
            if take and take_over(self._ours, self._view, self._statement, want, self._after, self._found, take):
                continue
            settled = "halted: no average price is told, so it cannot be taken over" if take else "halted"
            questions.append(
                Difference("quantity", symbol, f"{from_nano(have):f}", f"{from_nano(want.qty_nano):f}", settled)
            )
        return questions

    def cash(self, take: str, opening: bool, unit_nano: int) -> list[Difference]:
        """Cash to a rounding unit for each fill since it last agreed; then it agrees to the billionth again."""
        theirs, mine = self._statement.cash_nano, self._after.cash_nano
        amount = 0 if theirs is None else theirs - mine
        rounding = unit_nano * (self._view.since_cash + len(self._found.executions))
        if amount and not take and abs(amount) > rounding:
            return [Difference("cash", "cash", f"{from_nano(mine):f}", f"{from_nano(mine + amount):f}", "halted")]
        if amount or opening:
            reason = take.replace("position", "balance") or "rounding of fills"
            self.moves.append(cash_move(self._ours, self._view, self._statement, amount, reason))
        if amount:
            self._found.differences.append(
                Difference(
                    "cash", "cash", f"{from_nano(mine):f}", f"{from_nano(mine + amount):f}", self.moves[-1].reason
                )
            )
        return []

    def averages(self, take: str, *, agreed: bool) -> list[Difference]:
        """Average prices to a basis point, of positions that nothing was taken in for: the others the next time.

        Where quantities and cash agree exactly, the money is right and only the method of averaging is another.
        """
        questions: list[Difference] = []
        for held in self._statement.held:
            mine = self._after.averages.get(held.symbol, 0)
            if held.symbol in self._after.touched or not average_differs(mine, held.avg_price_nano):
                continue
            numbers = (f"{from_nano(mine):f}", f"{from_nano(held.avg_price_nano):f}")
            if agreed:
                settled = "kept: quantity and cash agree, so only the way of averaging differs"
                self._found.differences.append(Difference("average_price", held.symbol, *numbers, settled))
            elif not (
                take and take_over(self._ours, self._view, self._statement, held, self._after, self._found, take)
            ):
                questions.append(Difference("average_price", held.symbol, *numbers, "halted"))
        return questions


def _outcome(found: Found, cash: list[CashMove], questions: list[Difference], *, again: bool) -> Outcome:
    halted = ""
    if questions and not again:
        named = "; ".join(f"{q.what} {q.name}: ours {q.ours}, theirs {q.theirs}" for q in questions)
        halted = (
            f"{len(questions)} differences with the broker are not explained ({named}); nothing is sent until a person "
            "has looked at the broker's site and clears the halt"
        )
    return Outcome(
        adopt=tuple(found.adopt),
        reports=tuple(found.reports),
        cash=tuple(cash),
        ask=tuple(found.ask),
        differences=(*found.differences, *questions),
        halted=halted,
        again=again,
    )
