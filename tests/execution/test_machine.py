"""Any story of sends, cancels, replacements, fills, lost and repeated words and restarts: the books stay true.

A gateway on a real journal against a venue that keeps its own count. Restarts come between any two steps and at any
commit. What is drawn depends on what there is: quantities at and beside what is left, orders that are over as well as
those that work.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bus.errors import RemoteError
from bus.fixed import SCALE, to_nano
from bus.messages import Account, AskReconcile, EventsSince, GetAccount, OrderEvents, OrderIntent, Reconciliation
from execution.broker import ReportKind
from execution.orders import ALARM
from execution.states import FINAL, TABLE, WORKING, first_status
from tests.execution.desk import START_CASH, Desk, at, bar, cancel_all, day, intent
from tests.execution.test_legs import Counted, Killed
from tests.execution.test_tool_questions import cancel
from tests.execution.venue import OFFERS, PLAIN, Venue

MEMORY = Path("/dev/shm")
MINUTES = 120
TICKS = day([bar(n, "100", "101", "99", "100") for n in range(MINUTES)])
MISHAPS = [
    "",
    "",
    "",
    "lose_answer",
    "lose_request",
    "refuse",
    "fill_first",
    "slow_cancel",
    "slow_replace",
    "refuse_cancel",
]
KILLS = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4])
Shape: TypeAlias = dict[str, Any]
LIMIT: Shape = {"order_type": "limit", "limit_price_nano": to_nano(100), "time_in_force": "gtc"}
SHAPES: list[Shape] = [
    LIMIT,
    {**LIMIT, "time_in_force": "day"},
    {},
    {"order_type": "stop", "stop_price_nano": to_nano(95)},
    {"order_type": "trailing_stop", "trail_nano": to_nano(1)},
    {**LIMIT, "order_class": "bracket", "take_profit_nano": to_nano(110), "stop_loss_nano": to_nano(90)},
    {**LIMIT, "order_class": "oto", "stop_loss_nano": to_nano(90), "stop_loss_limit_nano": to_nano(89)},
    {**LIMIT, "order_class": "oco", "stop_loss_nano": to_nano(90)},
]


class MachineJournal(Counted):
    """A journal that ends its process at the commit that is drawn."""

    left = 0


class ExecutionMachine(RuleBasedStateMachine):
    """The gateway, its venue, and what must hold between them."""

    def __init__(self) -> None:
        super().__init__()
        # A file system in memory forgets what a disk would keep, but not what a process that ends would.
        self._folder = tempfile.TemporaryDirectory(prefix="oo-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        self.folder = Path(self._folder.name)
        self.minute = 1
        self.number = 0
        self.intents: list[OrderIntent] = []
        self.clean = True

    @initialize(plain=st.booleans())
    def begin(self, plain: bool) -> None:
        MachineJournal.left = 0
        self.venue = Venue(PLAIN if plain else OFFERS)
        self.desk = self.opened()
        self.signer = self.desk.signer
        self.attempt(lambda: self.desk.settle(1))

    def opened(self) -> Desk:
        signer = self.desk.signer if hasattr(self, "desk") else None
        return Desk(
            self.folder,
            TICKS,
            signer=signer,
            now_ns=at(self.minute),
            make_broker=self.venue.broker,
            offered=self.venue.offers,
            journal=MachineJournal,
        )

    def attempt(self, act: Callable[[], object]) -> None:
        """Do it; when the process is killed meanwhile, start it again."""
        try:
            act()
        except Killed:
            self.start_again()
        except RemoteError as error:
            if error.code not in ("ticket", "bus", "journal"):
                raise

    def start_again(self) -> None:
        MachineJournal.left = 0
        self.desk.close()
        self.desk = self.opened()

    def ours(self) -> list[str]:
        return list(self.desk.gateway.engine.book.orders)

    def misbehave(self, mishap: str) -> None:
        if mishap:
            self.venue.mishaps.add(mishap)

    def request(self, act: Callable[[], object], mishap: str = "", kill: int = 0) -> None:
        """Ask something of the gateway, with a mishap at the venue and a kill at its n-th commit."""
        self.misbehave(mishap)
        MachineJournal.left = kill
        self.attempt(act)
        MachineJournal.left = 0
        self.venue.mishaps -= {mishap}

    # --- the desk -----------------------------------------------------------------------------------------------------

    @rule(
        shape=st.sampled_from(SHAPES),
        qty=st.sampled_from([1, 2, 10]),
        mishap=st.sampled_from(MISHAPS),
        kill=KILLS,
        sells=st.booleans(),
    )
    def send(self, shape: Shape, qty: int, mishap: str, kill: int, sells: bool) -> None:
        self.number += 1
        order = intent(self.number, self.minute, "sell" if sells else "buy", qty, **shape)
        self.intents.append(order)
        self.request(lambda: self.desk.send(self.minute, order), mishap, kill)

    @rule(qty=st.sampled_from([1, 2, 10]), mishap=st.sampled_from(MISHAPS), kill=KILLS)
    def send_limit(self, qty: int, mishap: str, kill: int) -> None:
        self.number += 1
        order = intent(self.number, self.minute, "buy", qty, **LIMIT)
        self.intents.append(order)
        self.request(lambda: self.desk.send(self.minute, order), mishap, kill)

    @rule(qty=st.sampled_from([2, 10]), part=st.sampled_from([1, 2, 10]), kill=KILLS, oco=st.booleans())
    def send_group(self, qty: int, part: int, kill: int, oco: bool) -> None:
        """A group whose entry, or whose limit order, is filled as far as it is drawn."""
        self.number += 1
        order = intent(self.number, self.minute, "buy", qty, **SHAPES[-1 if oco else -3])
        self.intents.append(order)
        self.request(lambda: self.desk.send(self.minute, order), "", kill)
        name = order.client_order_id
        if name in self.venue.working():
            self.venue.fill(name, to_nano(min(part, qty)), to_nano(100))
            if not oco and name in self.venue.working():
                self.venue.end(name, "canceled")

    @precondition(lambda self: self.intents)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.intents))
        self.request(lambda: self.desk.send(self.minute, order))

    @precondition(lambda self: self.intents)
    @rule(data=st.data(), mishap=st.sampled_from(MISHAPS), kill=KILLS, qty=st.sampled_from([1, 2, 10, 11]))
    def replace(self, data: st.DataObject, mishap: str, kill: int, qty: int) -> None:
        book = self.desk.gateway.engine.book.orders
        works = [i for i in self.intents if i.client_order_id in book and i.client_order_id in self.venue.working()]
        plain = [i for i in works if i.order_class == "simple"]
        old = data.draw(st.sampled_from(plain or works or self.intents))
        self.number += 1
        shape: Shape = {**LIMIT, "replaces": old.client_order_id}
        order = intent(self.number, self.minute, old.side, qty, **shape)
        self.intents.append(order)
        self.request(lambda: self.desk.send(self.minute, order), mishap, kill)

    @rule(data=st.data(), mishap=st.sampled_from(MISHAPS), kill=KILLS)
    def cancel_one(self, data: st.DataObject, mishap: str, kill: int) -> None:
        names = self.ours()
        if names:
            name = data.draw(st.sampled_from(names))
            self.number += 1
            reason = f"test {self.number}"
            asked = cancel(self.desk.signer, name, at(self.minute), reason)
            self.request(lambda: self.desk.call(asked, OrderEvents), mishap, kill)

    @rule(kill=KILLS, mishap=st.sampled_from(MISHAPS))
    def cancel_everything(self, kill: int, mishap: str) -> None:
        self.number += 1
        asked = cancel_all(self.desk.signer, at(self.minute), f"test {self.number}")
        self.request(lambda: self.desk.call(asked, OrderEvents), mishap, kill)

    @precondition(lambda self: self.minute < MINUTES - 10)
    @rule(minutes=st.sampled_from([1, 1, 2]), kill=KILLS, mishap=st.sampled_from(MISHAPS))
    def settle(self, minutes: int, kill: int, mishap: str) -> None:
        self.minute += minutes
        self.request(lambda: self.desk.settle(self.minute), mishap, kill)

    @rule(ask=st.booleans(), kill=KILLS)
    def idle(self, ask: bool, kill: int) -> None:
        self.request(lambda: self.desk.gateway.engine.listen(ask=ask), "", kill)

    @rule(kill=KILLS)
    def compare(self, kill: int) -> None:
        self.request(lambda: self.desk.call(AskReconcile(), Reconciliation), "", kill)

    @rule()
    def restart(self) -> None:
        self.start_again()

    # --- the venue ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.venue.working())
    @rule(data=st.data(), told=st.sampled_from([True, True, False]), all_of_it=st.booleans())
    def fill_what_works(self, data: st.DataObject, told: bool, all_of_it: bool) -> None:
        name = data.draw(st.sampled_from(self.venue.working()))
        left = self.venue.orders[name].left_nano
        self.venue.fill(name, left if all_of_it else min(left, to_nano(1)), to_nano(100), told=told)

    @precondition(lambda self: any(o.left_nano > 0 and o.status != "rejected" for o in self.venue.orders.values()))
    @rule(data=st.data(), told=st.sampled_from([True, True, True, False]), price=st.sampled_from([90, 100, 110]))
    def fill(self, data: st.DataObject, told: bool, price: int) -> None:
        """An order that works is filled, or one that is over, late."""
        names = [n for n, o in self.venue.orders.items() if o.left_nano > 0 and o.status != "rejected"]
        name = data.draw(st.sampled_from(names))
        left = self.venue.orders[name].left_nano
        unit = min(left, to_nano(1))
        qty = data.draw(st.sampled_from([left, unit, max(left - unit, unit)]))
        self.venue.fill(name, qty, to_nano(price), 7, told=told)

    @precondition(lambda self: self.venue.working())
    @rule(data=st.data(), told=st.booleans(), kind=st.sampled_from(["canceled", "expired"]))
    def end(self, data: st.DataObject, told: bool, kind: ReportKind) -> None:
        self.venue.end(data.draw(st.sampled_from(self.venue.working())), kind, told=told)

    @precondition(lambda self: self.venue.fills and "silent" not in self.venue.mishaps)
    @rule(data=st.data())
    def bust(self, data: st.DataObject) -> None:
        """A trade that the gateway knows is taken back, and that is heard."""
        self.request(lambda: self.desk.call(AskReconcile(), Reconciliation))
        fill = data.draw(st.sampled_from(self.venue.fills))
        known = self.desk.gateway.engine.book.orders[fill.client_order_id].fills
        if fill.fill_id in known:
            self.venue.bust(fill.client_order_id, fill)
            self.request(lambda: self.desk.gateway.engine.listen(ask=False))

    @precondition(lambda self: self.venue.working())
    @rule(data=st.data(), word=st.sampled_from(["suspended", "done_for_day", "accepted", "cancel_rejected"]))
    def say(self, data: st.DataObject, word: ReportKind) -> None:
        """The venue says something of an order that works on."""
        self.venue.tell(data.draw(st.sampled_from(self.venue.working())), word)

    @rule(data=st.data())
    def repeat_and_reorder(self, data: st.DataObject) -> None:
        for queue in self.venue.queues:
            queue += queue[: data.draw(st.integers(0, 3))]
            queue[:] = data.draw(st.permutations(queue)) if len(queue) < 7 else queue[::-1]

    @rule(on=st.booleans())
    def silence(self, on: bool) -> None:
        self.venue.mishaps = {"silent"} if on else set()

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_sent_twice_or_unwritten(self) -> None:
        if not hasattr(self, "desk"):
            return
        book = self.desk.gateway.engine.book
        for name, order in self.venue.orders.items():
            assert order.arrived == 1, name
            assert sum(e.kind == "sent" for e in book.orders[name].events) == 1, name

    @invariant()
    def events_are_one_sequence_and_every_step_is_a_row(self) -> None:
        if not hasattr(self, "desk"):
            return
        book = self.desk.gateway.engine.book
        assert [e.seq for e in book.events] == list(range(1, len(book.events) + 1))
        for order in book.orders.values():
            status = first_status(order.origin)
            for event in order.events:
                if not event.reason.startswith(ALARM):
                    assert (status, event.kind) in TABLE
                status = event.status
            assert status == order.status
        assert set(book.working) == {n for n, o in book.orders.items() if o.status in WORKING}

    @invariant()
    def money_is_the_fold_of_the_fills(self) -> None:
        if not hasattr(self, "desk"):
            return
        engine = self.desk.gateway.engine
        ledger = engine.books.ledger
        if ledger is None:
            return
        cash, held = START_CASH, dict[str, int]()
        for event in engine.book.events:
            cash += event.cash_nano
            if event.fill is not None:
                sign = -1 if event.kind == "bust" else 1
                signed = event.fill.qty_nano if event.side == "buy" else -event.fill.qty_nano
                cash -= sign * (-(-signed * event.fill.price_nano // SCALE) + event.fill.fee_nano)
                held[event.symbol] = held.get(event.symbol, 0) + sign * signed
        assert ledger.cash_nano == cash
        assert {s: h.qty_nano for s, h in ledger.holdings.items()} == held
        realized = sum(h.realized_nano for h in ledger.holdings.values())
        cost = sum(h.cost_nano for h in ledger.holdings.values())
        assert cash + cost == START_CASH + ledger.moved_nano + realized - ledger.fees_nano

    def teardown(self) -> None:
        """When the venue behaves again, both sides come to agree on everything, without a person."""
        if hasattr(self, "desk"):
            self.venue.mishaps.clear()
            before = self.desk.call(EventsSince(0), OrderEvents).events
            self.start_again()
            assert self.desk.call(EventsSince(0), OrderEvents).events[: len(before)] == before
            for _ in range(4):
                self.minute += 1
                self.desk.settle(self.minute)
                self.desk.call(AskReconcile(), Reconciliation)
            self.agreed()
            self.desk.close()
        self._folder.cleanup()

    def agreed(self) -> None:
        book = self.desk.gateway.engine.book
        account = self.desk.call(GetAccount(0), Account)
        assert account.halted == ""
        assert account.cash_nano == self.venue.cash_nano
        held = {p.symbol: p.qty_nano for p in account.positions if p.qty_nano}
        assert held == {s: q for s, q in self.venue.held.items() if q}
        working = {n for n, o in book.working.items() if o.sent}
        assert working == set(self.venue.working())
        for name, order in self.venue.orders.items():
            assert book.orders[name].filled_nano == order.filled_nano
            assert (book.orders[name].status in FINAL) == (not order.open)


TestExecution = ExecutionMachine.TestCase
TestExecution.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestExecution = pytest.mark.requirement("execution:machine")(TestExecution)
