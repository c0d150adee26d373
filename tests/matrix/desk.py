"""A desk around a gate and a gateway in processes of their own, one of which ends itself at a point.

What has no answer it asks again, and what has ended it starts again, as the supervisor does. Not the scenario.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from bus.clock import NS, monotonic_ns
from bus.errors import CallTimeoutError, RemoteError
from bus.ids import client_order_id
from bus.messages import (
    Account,
    AskCancel,
    BookSettled,
    Canceled,
    Executed,
    ExecutionAsk,
    GetAccount,
    GetOrders,
    Message,
    Ok,
    OrderIntent,
    Orders,
    OrderState,
    Ping,
    RiskAsk,
    SettleBook,
    Settled,
    SettleOrders,
    Side,
    StageRequest,
    StageResult,
    Verdicts,
)
from bus.transport import Client
from bus.zmq_transport import ZmqTransport
from execution.states import FINAL
from risk.limits import default_desk_limits, default_limits
from risk.spec import ClientSpec, GateSpec
from tests.matrix.child import ChildSpec
from tests.matrix.floor import CLIENT, RUN, Floor
from tests.matrix.processes import DEADLINE_S, Child, Starter

__all__ = ["OPEN", "PROCESSES", "Desk", "Outcome", "Process", "Role"]

Process = Literal["gateway", "gate"]
PROCESSES: tuple[Process, ...] = ("gateway", "gate")

Role = Literal["gateway", "gate", "desk"]
"""What is killed; ``desk`` is both at once, at a point of the gateway's: what a killed supervisor leaves."""
_T = TypeVar("_T", bound=Message)
_WATCH_S = 0.005
_PACE_S = 0.01
OPEN = ("unknown", "in_flight")
"""Statuses of an order that waits for a definite answer."""


@dataclass
class Outcome:
    """What came of one run.

    Attributes:
        killed: The point's name, empty when it never came.
        back_s: Seconds from the restart to the first new order that was answered; 0 without a kill.
        problems: What is not as it must be.
        orders: How many orders the desk sent.
        unprotected: Entries that a leg does not protect any more, though it is certain that the leg never arrived.
        unknown: Orders that never arrived at a venue that cannot be sure of that.
        settled: What each order came to: status, filled.
    """

    killed: str = ""
    back_s: float = 0.0
    problems: list[str] = field(default_factory=list[str])
    orders: int = 0
    unprotected: list[str] = field(default_factory=list[str])
    unknown: set[str] = field(default_factory=set[str])
    settled: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])


class Desk:
    """A desk whose gateway or gate, or both, are killed once."""

    def __init__(self, floor: Floor, folder: Path, starter: Starter, role: Role = "gateway", kill_at: int = 0) -> None:
        self.floor = floor
        self.outcome = Outcome()
        self._folder = folder
        self._starter = starter
        self._sockets = tempfile.TemporaryDirectory(prefix="oo-")
        names = ("feed", "execution", "risk")
        self._directory = {name: f"ipc://{self._sockets.name}/{name}" for name in names}
        limits = default_limits(floor.gateway.start_cash_nano)
        client = ClientSpec(CLIENT, limits, start_cash_nano=floor.gateway.start_cash_nano)
        self._gate = GateSpec(
            RUN, "paper", (client,), default_desk_limits((limits,)), str(folder / "gate.sqlite"),
            str(folder / "gate.pub"), str(folder / "resume.key"), floor.gateway.currency,
        )  # fmt: skip
        self._transport = ZmqTransport(retry_s=0.05)
        self._stopping = threading.Event()
        feed = self._transport.server(self._directory["feed"], floor.feed)
        self._server = threading.Thread(target=feed.serve, args=(self._stopping.is_set, 10), daemon=True)
        self._server.start()
        self._clients: dict[str, Client] = {
            name: self._transport.client(self._directory[name]) for name in ("execution", "risk")
        }
        self._moved = floor.venue.moved if floor.venue is not None else threading.Event()
        self._sent: dict[str, OrderIntent] = {}
        self._index = 0
        self._down_ns = 0
        self._probing = False
        self._role = role
        self._children: dict[Process, Child] = {}
        self._start("gateway", kill_at if role != "gate" else 0)
        self._start("gate", kill_at if role == "gate" else 0)
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    # --- processes ----------------------------------------------------------------------------------------------------

    def _start(self, role: Process, kill_at: int = 0) -> None:
        note = str(self._folder / f"{role}.note")
        spec = ChildSpec(role, self._directory, self.floor.gateway, self._gate, kill_at, note)
        self._children[role] = self._starter.start(spec)

    def _watch(self) -> None:
        """Start again what has ended, as a supervisor does, until the play is over."""
        while not self._watching.wait(_WATCH_S):
            gateway, gate = self._children["gateway"], self._children["gate"]
            if self._role == "desk" and not gateway.alive and gate.alive and not self.outcome.killed:
                os.kill(gate.pid, signal.SIGKILL)
                gate.wait()
            for name, child in list(self._children.items()):
                if not child.alive:
                    self._revive(name, child)

    def _revive(self, name: Process, child: Child) -> None:
        note = self._folder / f"{name}.note"
        if child.code != -signal.SIGKILL:
            self._wrong(f"the {name} ended by itself with {child.code}")
        elif not self.outcome.killed and note.exists():
            self.outcome.killed = f"{name}: {note.read_text(encoding='utf-8')}"
        self._down_ns = monotonic_ns()
        self._start(name)

    def call(self, service: str, request: Message, kind: type[_T]) -> _T:
        """Ask until there is an answer, which may be a new process's; then see that the desk trades again."""
        deadline_ns = monotonic_ns() + int(DEADLINE_S * NS)
        while True:
            try:
                answer = self._clients[service].call(request, DEADLINE_S)
                break
            except (CallTimeoutError, RemoteError) as error:
                why = str(error)
            assert monotonic_ns() < deadline_ns, f"{type(request).__name__} has no answer: {why}"
            self._pause()
        assert isinstance(answer, kind), answer
        if self._down_ns and not self._probing:
            self._probe()
        return answer

    def _pause(self) -> None:
        self._moved.clear()
        self._moved.wait(_PACE_S)

    def _probe(self) -> None:
        """Measure until a new order is accepted after a restart."""
        self._probing = True
        deadline_ns = monotonic_ns() + int(DEADLINE_S * NS)
        now_ns = self.floor.feed.now_ns
        self.call("execution", SettleOrders(now_ns), Settled)
        self.call("risk", SettleBook(now_ns), BookSettled)
        while True:
            probe = self.order(away=300 + 2 * self._index, qty_nano=self.floor.qty_nano // 4)
            if self.state(probe).status == "accepted":
                break
            assert monotonic_ns() < deadline_ns, f"nothing is accepted after the restart: {self.state(probe)}"
            self._pause()
        self.outcome.back_s = (monotonic_ns() - self._down_ns) / NS
        self._down_ns = 0
        self._probing = False

    # --- what a desk does ---------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let a second pass."""
        self.floor.feed.index += 1
        now_ns = self.floor.feed.now_ns
        self.call("execution", SettleOrders(now_ns), Settled)
        self.call("risk", SettleBook(now_ns), BookSettled)

    def order(
        self,
        *,
        away: int,
        qty_nano: int = 0,
        side: Side = "buy",
        replaces: str = "",
        grouped: bool = False,
    ) -> str:
        """Have an order judged and sent, until it is answered; ``away`` is how many ticks it is from the price."""
        floor, feed = self.floor, self.floor.feed
        tick = floor.instrument.tick_nano
        self._index += 1
        cycle = max(feed.index, 1)
        legs = {}
        limit = floor.bid_nano - away * tick if side == "buy" else floor.bid_nano + away * tick
        if grouped:
            legs = {"order_class": floor.order_class, "stop_loss_nano": floor.bid_nano - 1_500 * tick}
            if floor.order_class == "bracket":
                legs["take_profit_nano"] = floor.bid_nano + 150 * tick
        intent = msgspec.convert(
            {
                "client_order_id": client_order_id(CLIENT, RUN, cycle, self._index),
                "client": CLIENT,
                "run_id": RUN,
                "cycle": cycle,
                "index": self._index,
                "symbol": floor.instrument.symbol,
                "side": side,
                "order_type": "limit",
                "time_in_force": floor.tif,
                "qty_nano": qty_nano or floor.qty_nano,
                "limit_price_nano": limit,
                "decided_ns": feed.now_ns,
                "strategy": "matrix",
                "replaces": replaces,
                **legs,
            },
            dict,
        )
        made = OrderIntent(**intent)
        name = made.client_order_id
        self._sent[name] = made
        deadline_ns = monotonic_ns() + int(DEADLINE_S * NS)
        while True:
            judged = self.call("risk", StageRequest(RUN, CLIENT, cycle, feed.now_ns, RiskAsk((made,))), StageResult)
            assert isinstance(judged.answer, Verdicts)
            assert judged.answer.verdicts[0].approved, judged.answer.verdicts[0]
            ask = ExecutionAsk(judged.answer.orders)
            done = self.call("execution", StageRequest(RUN, CLIENT, cycle, feed.now_ns, ask), StageResult)
            assert isinstance(done.answer, Executed)
            # A number of 0 is no event: the ticket was of a gate that has ended, or the gateway is not ready yet.
            refused = "; ".join(event.reason for event in done.answer.events if not event.seq)
            if not refused:
                return name
            assert monotonic_ns() < deadline_ns, f"{name} is refused again and again: {refused}"
            self._pause()

    def orders(self) -> list[OrderState]:
        return list(self.call("execution", GetOrders(limit=500), Orders).orders)

    def state(self, name: str) -> OrderState:
        return self.call("execution", GetOrders(client_order_ids=(name,)), Orders).orders[0]

    def until(self, what: str, seen: Callable[[], bool]) -> None:
        """Wait until something is so; an hour of the venue's passes when it does not come."""
        deadline_ns = monotonic_ns() + int(DEADLINE_S * NS)
        while not seen():
            assert monotonic_ns() < deadline_ns, f"{what} did not come: {self.orders()}"
            self._pause()

    def fill(self, name: str, qty_nano: int) -> None:
        """Fill so much of an order that works, and wait until the gateway knows."""
        state = self.state(name)
        intent = state.intent
        price = intent.limit_price_nano or intent.stop_price_nano
        if not self.settle(name) or not self.floor.fill(name, intent.side, qty_nano, price):
            return
        if self.floor.venue is None:
            self.tick()
        wanted = state.filled_nano + qty_nano
        self.until(f"a fill of {name}", lambda: self.state(name).filled_nano >= wanted)

    def settle(self, name: str) -> bool:
        """Wait until an order has a definite answer; False when it never arrived and its venue cannot be sure of that.

        Such an order stays unknown, and reserves what it may cost, until a person has looked.
        """
        if self.floor.venue is not None and name not in self.floor.venue.orders():
            self.floor.age()
            if not self.floor.ages and self.state(name).status in OPEN:
                self.outcome.unknown.add(name)
                return False
        self.until(f"a definite answer about {name}", lambda: self.state(name).status not in OPEN)
        return self.state(name).status not in FINAL

    def cancel(self, name: str) -> None:
        """Have an order canceled through the gate, and wait until it is over."""
        if not self.settle(name):
            return

        def over() -> bool:
            if self.state(name).status in FINAL:
                return True
            self.call("risk", AskCancel(CLIENT, RUN, (name,), "the play", "test"), Canceled)
            return self.state(name).status in FINAL

        self.until(f"the end of {name}", over)

    def legs(self, parent: str) -> list[OrderState]:
        return [state for state in self.orders() if state.intent.parent_id == parent and state.status not in FINAL]

    # --- the end ------------------------------------------------------------------------------------------------------

    def _wrong(self, what: str) -> None:
        self.outcome.problems.append(what)

    def _end_watching(self) -> None:
        self._watching.set()
        self._watcher.join(DEADLINE_S)

    def stop(self, role: Process) -> None:
        """End a child in peace."""
        self._end_watching()
        child = self._children[role]
        code = child.stop()
        if code == -signal.SIGKILL and not self.outcome.killed:
            self._revive(role, child)
            self._probing = True
            if role == "gateway":
                self.call("execution", GetAccount(0), Account)
            else:
                self.call("risk", Ping(), Ok)
            self.outcome.back_s = (monotonic_ns() - self._down_ns) / NS
            code = self._children[role].stop()
        assert code == 0, f"the {role} ended with {code}"

    def points(self, role: Process) -> int:
        """Return how many points a child passed that ended in peace."""
        self.stop(role)
        return int((self._folder / f"{role}.note").read_text(encoding="utf-8"))

    def close(self) -> None:
        """End everything."""
        self._end_watching()
        for child in self._children.values():
            child.stop()
        self._stopping.set()
        self._server.join(DEADLINE_S)
        self._transport.close()
        self._sockets.cleanup()
        self.outcome.problems += self.floor.close()
