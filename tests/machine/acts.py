"""What a story can do, each with a process that is killed meanwhile or a venue that misbehaves. Not when it is done."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
from hypothesis.stateful import RuleBasedStateMachine

from bus.errors import CallTimeoutError, RemoteError
from bus.fixed import SCALE
from bus.messages import (
    AskReconcile,
    BookSettled,
    EventsSince,
    Executed,
    ExecutionAsk,
    GetRiskState,
    Kill,
    Message,
    OrderEvent,
    OrderEvents,
    OrderIntent,
    Reconciliation,
    Resume,
    RiskAsk,
    RiskState,
    SettleBook,
    Settled,
    SettleOrders,
    StageRequest,
    StageResult,
    TicketedOrder,
    TradingState,
    Verdicts,
)
from tests.machine import rules
from tests.machine.floor import CLIENTS, DAY, HOUR, INSTRUMENTS, MINUTE, RUN, Floor, Moment
from tests.machine.reference import Reference

__all__ = ["Acts", "Kills", "Switch"]

MEMORY = Path("/dev/shm")
Kills: TypeAlias = tuple[str, int, bool] | None
"""Which process is killed, at its n-th point from now, and whether it stays away for a while."""
Switch: TypeAlias = dict[tuple[str, str], TradingState]
"""What is stopped, and how far."""
UNHEARD = ("call_timeout", "remote", "bus")
"""No answer, or another process's that did not answer the one that was asked."""
FACTORS = {"up": 1_001, "down": 999, "more": 1_010, "less": 990, "leap": 1_060, "fall": 940}
_M = TypeVar("_M", bound=Message)
_T = TypeVar("_T")


class Acts(RuleBasedStateMachine):
    """A desk of two clients, and what can be done with it.

    Attributes:
        reached: What the stories came to, over all of them.
        steady: Whether what the gate has in memory is what its last settled instant left and what was judged since.
    """

    reached: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        # A file system in memory forgets what a disk would keep, but not what a process that ends would.
        self._folder = tempfile.TemporaryDirectory(prefix="oo-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        self.floor = Floor(Path(self._folder.name))
        self.reference = Reference(self.floor)
        self.index = 0
        self.tickets: list[TicketedOrder] = []
        self.asked: list[OrderIntent] = []
        self.last = {"ACME": 100 * SCALE, "BITS": 20 * SCALE}
        self.steady = False
        self.checked = dict.fromkeys(CLIENTS, 0)

    def ask(self, name: str, request: Message, kind: type[_M]) -> _M | None:
        """Ask a process; None when it is gone, or was killed meanwhile, or another one it needs."""
        return self.tried(lambda: self.floor.ask(name, request, kind))

    def tried(self, act: Callable[[], _T]) -> _T | None:
        try:
            return act()
        except CallTimeoutError:
            return None
        except RemoteError as error:
            if error.code not in UNHEARD:
                raise
            return None

    def disturbed(self, kill: Kills, act: Callable[[], object], mishap: tuple[str, str] = ("", "")) -> None:
        """Do something, with a process that is killed at a point of it and a mishap at a venue."""
        client, what = mishap
        if what:
            self.floor.houses[client].mishaps.add(what.removesuffix(" deaf"))
            self.floor.houses[client].deaf = 3 if what.endswith(" deaf") else 0
        if kill is not None and self.floor.processes[kill[0]].service is not None:
            self.floor.processes[kill[0]].fuse.left = kill[1]
        before = {name: process.kills for name, process in self.floor.processes.items()}
        act()
        for name, process in self.floor.processes.items():
            process.fuse.left = 0
            if process.kills > before[name]:
                self.reached[f"killed {name}"] += 1
                self.steady = self.steady and name != "gate"
        for house in self.floor.houses.values():
            house.mishaps.clear()
            self.reached.update(house.done)
            house.done.clear()
        self.reference.read()
        if kill is None or not kill[2]:
            self.floor.start()

    @property
    def now_ns(self) -> int:
        """The gate's clock; -1 where it is not running or has settled nothing."""
        gate = self.floor.gate
        return gate._sight.now_ns if gate is not None else -1  # pyright: ignore[reportPrivateUsage] - told by its answers

    @property
    def cycle(self) -> int:
        return self.floor.feed.index(self.now_ns) + 1

    # --- time and prices ----------------------------------------------------------------------------------------------

    def pass_time(self, step: str, moves: tuple[str, ...], halted: frozenset[str]) -> None:
        """Move the feed's clock, and its prices."""
        old = self.floor.feed.moments[-1]
        day = old.now_ns // DAY * DAY
        if not old.open or step == "day":
            now_ns = day + DAY + 12 * HOUR
            self.reached["a day rolled"] += 1
        elif step == "close":
            now_ns = max(day + 20 * HOUR, old.now_ns + MINUTE)
        else:
            now_ns = old.now_ns + int(step) * MINUTE
        prices: dict[str, tuple[int, int, bool]] = {}
        for (symbol, instrument), move in zip(INSTRUMENTS.items(), moves, strict=True):
            tick = instrument.tick_nano
            nano = self.last[symbol] = self.last[symbol] * FACTORS.get(move, 1_000) // 1_000 // tick * tick
            if move == "old":
                kept = old.prices.get(symbol)
                prices |= {symbol: kept} if kept else {}
            elif move != "gone":
                prices[symbol] = (nano, now_ns, move == "crossed")
        self.floor.feed.moments.append(Moment(now_ns, prices, halted))
        self.priced()

    def priced(self) -> None:
        for house in self.floor.houses.values():
            house.prices = dict(self.last)

    def settled(self, names: tuple[str, ...]) -> None:
        """Have processes settle the feed's present instant."""
        now_ns = self.floor.feed.now_ns
        for name in names:
            if name == "gate":
                self._gate_settled(now_ns)
            else:
                self.ask(name, SettleOrders(now_ns), Settled)

    def _gate_settled(self, now_ns: int) -> None:
        new = now_ns != self.now_ns
        told = self.ask("gate", SettleBook(now_ns), BookSettled)
        if told is None:
            self.reached["a settle that failed"] += 1
            self.steady = self.steady and not new
            if new:
                self.reference.equity = dict.fromkeys(CLIENTS)
            return
        assert told.now_ns == now_ns
        if new:
            self.steady = True
            self.reference.settled(now_ns)
        if new and all(process.service is not None for process in self.floor.processes.values()):
            rules.what_is_stopped_is_being_canceled(self.floor, self.reference)

    # --- orders -------------------------------------------------------------------------------------------------------

    def judged_and_sent(self, intents: list[OrderIntent], sent: bool) -> None:
        self.asked += intents
        given = self.judged(intents)
        if sent and given:
            self.sent(intents[0].client, given)

    def judged(self, intents: list[OrderIntent]) -> list[TicketedOrder]:
        """Ask for verdicts, compare them with the file, and return the tickets."""
        first, now_ns = intents[0], self.now_ns
        request = StageRequest(RUN, first.client, first.cycle, now_ns, RiskAsk(tuple(intents)))
        before = dict(self.reference.final)
        answer = self.ask("gate", request, StageResult)
        self.reference.read()
        if answer is None:
            return []
        assert isinstance(answer.answer, Verdicts)
        rules.verdicts_are_as_written(self.reference, intents, answer.answer, before)
        self.reached.update(verdict.code for verdict in answer.answer.verdicts)
        for order in answer.answer.orders:
            intent = order.intent
            self.reached.update((intent.order_type, intent.order_class, "replacement" if intent.replaces else "new"))
        self.tickets += answer.answer.orders
        return list(answer.answer.orders)

    def sent(self, client: str, orders: list[TicketedOrder]) -> Executed | None:
        """Send orders to a client's gateway, at the gate's time."""
        if self.now_ns < 0:
            return None
        ask = ExecutionAsk(tuple(orders))
        answer = self.ask(client, StageRequest(RUN, client, 1, self.now_ns, ask), StageResult)
        if answer is None:
            return None
        assert isinstance(answer.answer, Executed)
        return answer.answer

    def sent_later(self, client: str, ticket: TicketedOrder) -> None:
        answer = self.sent(client, [ticket])
        name, intent = ticket.intent.client_order_id, ticket.intent
        if answer is not None and self.reference.state(client, intent.strategy) == "halted":
            self.reached["sent while halted"] += name in self.floor.houses[client].orders
        if answer is not None and answer.events and not answer.events[0].seq:
            self.reached["a ticket refused"] += 1

    def altered(self, order: TicketedOrder, how: str) -> tuple[str, TicketedOrder]:
        """Return an order that is not what its ticket is for, and the door it is brought to."""
        intent, ticket = order.intent, order.ticket
        other = CLIENTS[1 - CLIENTS.index(intent.client)]
        door = other if how in ("other door", "other client") else intent.client
        if how == "more":
            intent = msgspec.structs.replace(intent, qty_nano=intent.qty_nano * 2)
        elif how == "other side":
            intent = msgspec.structs.replace(intent, side="sell" if intent.side == "buy" else "buy")
        elif how == "other client":
            intent = msgspec.structs.replace(intent, client=other)
        elif how == "longer":
            ticket = msgspec.structs.replace(ticket, expires_ns=ticket.expires_ns + DAY)
        return door, TicketedOrder(intent, ticket)

    # --- stopping -----------------------------------------------------------------------------------------------------

    def switched(self, request: Kill | Resume, after: Switch, kill: Kills) -> None:
        """Stop or clear a scope: afterwards it is so, or, where that was cut short, one or the other."""
        before, answers = self.reference.kills, list[RiskState | None]()
        self.disturbed(kill, lambda: answers.append(self.ask("gate", request, RiskState)))
        if self.floor.processes["gate"].service is None:
            self.floor.processes["gate"].start()
        told = rules.told(self.floor.ask("gate", GetRiskState(), RiskState))
        assert told == after if answers[0] is not None else told in (before, after)
        self.reference.kills = told
        self.reached[type(request).__name__.lower() + (" that was cut short" if answers[0] is None else "")] += 1

    # --- the venues ---------------------------------------------------------------------------------------------------

    def working(self) -> list[tuple[str, str]]:
        """Return every order that works at a venue, with its client."""
        return [(client, name) for client in CLIENTS for name in self.floor.houses[client].working()]

    def filled(self, client: str, name: str, told: bool, how: str) -> None:
        house = self.floor.houses[client]
        order = house.orders[name]
        left = min(order.left_nano, rules.uncovered(house, order))
        unit = min(left, INSTRUMENTS[order.intent.symbol].lot_nano)
        qty = {"all": left, "one": unit, "but one": max(left - unit, unit)}[how]
        if qty > 0:
            price = order.intent.limit_price_nano or self.last[order.intent.symbol]
            house.fill(name, qty, price, 7, told=told)
            self.reached["a fill" if told else "a fill that was not told"] += 1

    def looked(self, client: str, how: str) -> None:
        """A gateway hears its venue between two instants, or compares with it."""
        gateway = self.floor.gateway(client)
        if how == "compare":
            self.ask(client, AskReconcile(), Reconciliation)
        elif gateway is not None and gateway.engine.ready:
            self.floor.processes[client].act(lambda: gateway.engine.listen(ask=how == "ask"))

    def events(self, client: str) -> tuple[OrderEvent, ...]:
        """Return a client's events, which are one sequence."""
        events = self.floor.ask(client, EventsSince(0), OrderEvents).events
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        return events

    def close(self) -> None:
        self.floor.close()
        self._folder.cleanup()
