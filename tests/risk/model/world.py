"""The gate's state for two clients, small: one symbol, one price, and limits that three units reach.

Not a gate: nothing is journaled or signed. The judge, the books and the sums over the desk are the gate's own.
"""

from __future__ import annotations

import msgspec

from bus.fixed import SCALE
from bus.messages import Bar, Instrument, Snapshot
from risk import checks
from risk.limits import DeskLimits, default_limits
from risk.spec import ClientSpec, GateSpec
from risk.state import DeskState
from tests.risk.model.seat import CASH, MOST, NOW_NS, RUN, SYMBOL, UNIT, Seat, Worth
from tests.risk.model.venue import Model

__all__ = ["CLIENTS", "DESK_MOST", "World"]

DESK_MOST = 5
"""How many units all clients together may come to hold."""
CLIENTS = ("alice", "bob")


class World:
    """Two seats at one desk."""

    def __init__(self, model: Model) -> None:
        wide = msgspec.structs.replace(
            default_limits(CASH), max_position_notional_nano=MOST * UNIT, duplicate_window_ns=0
        )
        desk = DeskLimits(CASH, CASH, wide.max_daily_loss_nano, 480, 80)
        clients = tuple(ClientSpec(name, wide, start_cash_nano=CASH) for name in CLIENTS)
        self.desk = DeskState(GateSpec(RUN, "replay", clients, desk, "", ""))
        self.desk.describe((Instrument(SYMBOL, "equity", "USD", SCALE // 100, SCALE),), (SYMBOL,))
        bar = Bar(SYMBOL, NOW_NS - 1, NOW_NS, NOW_NS, UNIT, UNIT, UNIT, UNIT, SCALE)
        for client in self.desk.clients.values():
            client.mark(Snapshot(NOW_NS, (bar,), ()), session_open=True)
        # Tighter than a configuration may be, after it was checked: the model is small.
        self.desk.facts.limits = msgspec.structs.replace(desk, max_gross_nano=DESK_MOST * UNIT)
        self.seats = (
            Seat(CLIENTS[0], self.desk.clients[CLIENTS[0]], model[0]),
            Seat(CLIENTS[1], self.desk.clients[CLIENTS[1]], model[1]),
        )

    def judged(self, client: int, index: int, others: Worth) -> tuple[str, str]:
        """Return what the gate's judge says of an order as its client's book stands, and what a slow one does.

        Args:
            client: Whose order.
            index: Which of its client's.
            others: What the other client's book comes to.
        """
        seat, desk = self.seats[client], self.desk.facts
        own, facts = seat.worth(), seat.state.facts
        facts.gross_nano, facts.up_nano, facts.down_nano = own
        desk.gross_nano = own.gross_nano + others.gross_nano
        desk.up_nano, desk.down_nano = own.up_nano + others.up_nano, own.down_nano + others.down_nano
        return checks.judge(seat.intents[index], 1, facts), seat.expected(index, others.gross_nano, DESK_MOST)

    def broken(self) -> str:
        """Return what does not hold as both stand, or nothing."""
        for seat in self.seats:
            problem = seat.broken()
            if problem:
                return problem
        return over_desk(self.seats[0].most() + self.seats[1].most())


def over_desk(most: int) -> str:
    """Return what is said of too much on all books together, or nothing."""
    return f"the desk could hold {most} units, more than its limit" if most > DESK_MOST else ""
