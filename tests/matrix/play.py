"""The scripted scenario of a matrix run, and what must be so at its end. Not where anything is killed: see ``desk``."""

from __future__ import annotations

from bus.clock import NS
from bus.messages import (
    Account,
    AskReconcile,
    BookSettled,
    GetAccount,
    OrderState,
    Reconciliation,
    SettleBook,
)
from execution.states import FINAL
from tests.matrix.desk import OPEN, Desk, Outcome

__all__ = ["Play"]


class Play(Desk):
    """One run."""

    # --- the scenario -------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Play everything and compare."""
        qty = self.floor.qty_nano
        self.tick()
        entry = self.order(away=100)
        self.fill(entry, qty // 4)
        self.tick()
        if self.settle(entry) and self.floor.offers.replaces:
            self.settle(self.order(away=120, qty_nano=qty // 2, replaces=entry))
            self.settle(entry)
        else:
            self.cancel(entry)
        self.tick()
        group = self.order(away=50, grouped=True)
        self.fill(group, qty)
        self.tick()
        if self.state(group).filled_nano:
            wanted = 2 if self.floor.order_class == "bracket" else 1
            self.until("the legs", lambda: self._given_up(group) or len(self._protected(group, qty)) == wanted)
            legs = sorted(self.legs(group), key=lambda state: -state.intent.limit_price_nano)
            if legs:
                # What is left of a stop that triggered could trade with any buy, which the gate would refuse.
                part = qty // 4 if self.floor.order_class == "bracket" else qty
                self.fill(legs[0].intent.client_order_id, part)
            self.tick()
            self.until("legs for the rest", lambda: self._covered(group, qty))
            self._protection(group, qty, wanted)
        dropped = self.order(away=200)
        self.cancel(dropped)
        self.floor.lose_the_next_answer()
        lost = self.order(away=250, qty_nano=qty // 2)
        self.settle(lost)
        found = self.call("execution", AskReconcile(), Reconciliation)
        self.tick()
        if found.halted:
            self.outcome.problems.append(f"halted: {found.halted}")
        self.compare()
        return self.outcome

    def _given_up(self, group: str) -> bool:
        """Whether a leg never arrived and nobody can be sure of that: no other number of it is placed in doubt."""
        every = [state for state in self.orders() if state.intent.parent_id == group]
        for state in every:
            if state.status in OPEN:
                self.settle(state.intent.client_order_id)
        return any(state.intent.client_order_id in self.outcome.unknown for state in every)

    def _protection(self, group: str, qty_nano: int, wanted: int) -> None:
        """See that what is left of the entry is covered by its legs, but for those that nobody can be sure of."""
        every = [state for state in self.orders() if state.intent.parent_id == group]
        left = qty_nano - sum(state.filled_nano for state in every)
        works = [state for state in every if state.status not in FINAL]
        if left and len(works) < wanted:
            gone = [(state.intent.client_order_id, state.reason) for state in every if state.status == "rejected"]
            self.outcome.unprotected.append(
                f"{left} of {group} with {len(works)} of {wanted} legs; rejected are {gone}"
            )

    def _protected(self, group: str, qty_nano: int) -> list[OrderState]:
        left = qty_nano - sum(state.filled_nano for state in self.legs(group))
        return [
            state
            for state in self.legs(group)
            if state.status in ("accepted", "partially_filled", "triggered", "held") and state.intent.qty_nano >= left
        ]

    def _covered(self, group: str, qty_nano: int) -> bool:
        """Whether each leg that works is for what is left."""
        every = [state for state in self.orders() if state.intent.parent_id == group]
        if not all(self.settle(state.intent.client_order_id) for state in every if state.status in OPEN):
            return True
        left = qty_nano - sum(state.filled_nano for state in every)
        works = [state for state in every if state.status not in FINAL]
        return all(state.intent.qty_nano - state.filled_nano == left for state in works) and all(
            state.status in ("accepted", "partially_filled", "held") for state in works
        )

    # --- what must be so ----------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """See what must be so."""
        for name in [state.intent.client_order_id for state in self.orders() if state.status in OPEN]:
            self.settle(name)
        states = {state.intent.client_order_id: state for state in self.orders()}
        self.outcome.orders = len(states)
        self.outcome.settled = {name: (state.status, state.filled_nano) for name, state in states.items()}
        lost = sorted(set(self._sent) - set(states))
        if lost:
            self._wrong(f"lost: {lost} were answered and are in no journal")
        account = self.call("execution", GetAccount(self.floor.feed.now_ns), Account)
        book = self.call("risk", SettleBook(self.floor.feed.now_ns), BookSettled)
        if (book.equity_nano, account.halted) != (account.equity_nano, ""):
            self._wrong(f"the gate's equity is {book.equity_nano}, the account's {account}")
        self._own_account(states, account)
        if self.floor.venue is not None:
            self._venues_account(states, account)

    def _own_account(self, states: dict[str, OrderState], account: Account) -> None:
        """Book what the orders filled, and compare with the account."""
        held, cash = 0, self.floor.gateway.start_cash_nano
        for state in states.values():
            sign = 1 if state.intent.side == "buy" else -1
            held += sign * state.filled_nano
            cash -= sign * state.avg_price_nano * state.filled_nano // NS + state.fees_nano
        position = next((p.qty_nano for p in account.positions if p.symbol == self.floor.instrument.symbol), 0)
        if position != held:
            self._wrong(f"the account holds {position}, its orders filled {held}")
        if abs(account.cash_nano - cash) > 1_000:
            self._wrong(f"the account's cash is {account.cash_nano}, by its orders it is {cash}")

    def _venues_account(self, states: dict[str, OrderState], account: Account) -> None:
        """Compare with what the venue really received, and with its own books."""
        venue = self.floor.venue
        assert venue is not None
        taken = venue.orders()
        for name, state in states.items():
            got = taken.pop(name, 0)
            arrived = state.intent.qty_nano
            if got not in (0, arrived):
                self._wrong(f"doubled: the venue received {got} of {name}, which is for {arrived}")
            if (not got) != (state.status == "rejected" or name in self.outcome.unknown):
                self._wrong(f"lost: {name} is {state.status} ({state.reason}) and the venue received {got}")
        if taken:
            self._wrong(f"the venue has orders that nobody knows: {taken}")
        works = {
            n: s.intent.qty_nano - s.filled_nano
            for n, s in states.items()
            if s.status not in FINAL and n not in self.outcome.unknown
        }
        if works != venue.working():
            self._wrong(f"ours work {works}, at the venue {venue.working()}")
        self._end_watching()
        self.stop("gateway")
        broker = venue.open()
        broker.restore((), day_done=False)
        try:
            statement = broker.statement()
        finally:
            broker.close()
        assert statement is not None
        ours = {p.symbol: p.qty_nano for p in account.positions if p.qty_nano}
        theirs = {each.symbol: each.qty_nano for each in statement.held}
        if ours != theirs:
            self._wrong(f"we hold {ours}, the venue says {theirs}")
        if statement.cash_nano is not None and abs(statement.cash_nano - account.cash_nano) > 10_000_000:
            self._wrong(f"our cash is {account.cash_nano}, the venue says {statement.cash_nano}")
