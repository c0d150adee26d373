"""A gate that is killed at every persistence point, in processes of its own: run as ``python -m``, not imported.

Each point is a child that sends itself SIGKILL when it comes to the point, and another child that is started on what
the first one left and repeats the request that had no answer, as a caller does that lost its connection. What execution
has is a function of the gate's answers, so that the second child finds it as the first one left it. Prints one JSON
line for each point.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

import risk.gate
from bus.codec import decode, encode
from bus.messages import (
    AskCancel,
    CancelAll,
    CancelOrder,
    ClearHalt,
    Kill,
    Message,
    OrderEvents,
    RiskState,
    SettleBook,
    StageResult,
    TicketedOrder,
    Verdicts,
)
from risk.journal import GateJournal
from risk.limits import default_limits
from tests.risk.desk import CASH_NANO, MINUTE_NS, RUN, Desk, SmallExecution

PRICES = ("100", "103", "101", "99", "97", "104", "94", "92", "95", "90")
LIMITS = msgspec.structs.replace(
    default_limits(CASH_NANO), max_drawdown_nano=2_100 * 10**9, max_rolling_loss_nano=1_900 * 10**9,
    max_repeats=2, duplicate_window_ns=0, max_cancels_per_day=2,
)  # fmt: skip

_count = 0
_kill_at = 0


def point() -> None:
    """One place where a crash could come between two steps."""
    global _count
    _count += 1
    if _count == _kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


class KilledJournal(GateJournal):
    """A journal with a point before and after a transaction begins and ends."""

    def _begin(self) -> None:
        point()
        super()._begin()
        point()

    def _commit(self) -> None:
        point()
        super()._commit()
        point()


class KilledExecution(SmallExecution):
    """An execution with a point before and after everything that the gate has it do; it does it when it is told so."""

    def handle(self, request: Message) -> Message:
        if not isinstance(request, (CancelAll, CancelOrder, ClearHalt)):
            return super().handle(request)
        point()
        answer = super().handle(request)
        point()
        return answer


class Day:
    """A day of requests and what execution has after each answer."""

    def __init__(self, folder: Path) -> None:
        """Start the gate on a folder, or start it again on what is in it."""
        self.desk = desk = Desk(folder, LIMITS, clients=("alice", "bob"), execution=KilledExecution)
        self.settled = 0
        desk.feed.last_ns += 10 * MINUTE_NS
        self.steps: list[Callable[[], Message]] = []
        self.minutes: list[int] = []
        for n in range(len(PRICES)):
            asks = [lambda n=n: self._settle(n), *self._requests(n)]
            self.steps.extend(asks)
            self.minutes.extend(n for _ in asks)

    def _settle(self, n: int) -> Message:
        self._to(n)
        return SettleBook(self.desk.feed.now_ns)

    def _to(self, n: int) -> None:
        desk = self.desk
        if desk.cycle == n + 1 and self.settled:
            return
        self.settled = 1
        desk.feed.now_ns += (n + 1 - desk.cycle) * MINUTE_NS
        desk.cycle = n + 1
        for symbol in list(desk.feed.bars):
            price = PRICES[n] if symbol in {"ACME", "NICK"} else {"GOLD": "1300"}.get(symbol, "100")
            desk.feed.bar(symbol, price)
        for execution in desk.executions.values():
            execution.now_ns = desk.feed.now_ns

    def _requests(self, n: int) -> list[Callable[[], Message]]:
        desk = self.desk
        asks: list[Callable[[], Message]] = []
        if n in {0, 2}:
            asks.append(lambda: desk.request(desk.intent(qty=90), desk.intent("NICK", qty=40, index=1)))
            asks.append(
                lambda: desk.request(desk.intent(qty=30 + n, client="bob"), desk.intent("NONE", client="bob", index=1))
            )
        if n == 1:
            asks.append(lambda: desk.request(desk.intent("NICK", limit="102", qty=3, index=1)))
            asks.append(lambda: AskCancel("alice", RUN, self._working(), "enough", "a model"))
            asks.append(lambda: desk.request(*(desk.intent(qty=1, index=2 + k, strategy="loop") for k in range(2))))
            asks.append(lambda: desk.request(*(desk.intent(qty=1, index=4 + k, strategy="loop") for k in range(2))))
        if n == 3:
            asks.append(lambda: Kill("late", "ann", "bob"))
            asks.append(lambda: desk.request(desk.intent(client="bob", index=1)))
        if n == 4:
            asks.append(lambda: desk.proven("bob"))
            asks.append(lambda: desk.request(desk.intent(qty=7, client="bob", index=1)))
        if n >= 5:
            asks.append(lambda: desk.request(desk.intent("NICK", qty=n), desk.intent(side="sell", qty=n, index=1)))
        if n == 7:
            asks.append(lambda: AskCancel("alice", RUN, ("oo-1", "oo-2", "oo-3"), "enough", "a model"))
        if n == 8:
            asks.append(lambda: Kill("enough", "ann", "", "test", "reducing"))
            asks.append(
                lambda: desk.request(desk.intent("NICK", qty=2, index=5), desk.intent(qty=2, index=6, side="sell"))
            )
        return asks

    def _working(self) -> tuple[str, ...]:
        return tuple(key for key in self.desk.execution.orders if self.desk.execution.status[key] == "accepted")

    def happened(self, answer: Message) -> None:
        """Bring execution to where it is after the answer of a step."""
        if isinstance(answer, StageResult) and isinstance(answer.answer, Verdicts):
            for order in answer.answer.orders:
                self._filled(order)

    def _filled(self, order: TicketedOrder) -> None:
        intent, desk = order.intent, self.desk
        execution = desk.executions[intent.client]
        execution.orders[intent.client_order_id] = intent
        execution.step(intent.client_order_id, "accepted", "accepted", desk.feed.now_ns)
        if intent.order_type == "market":
            price, qty = PRICES[desk.cycle - 1], intent.qty_nano // 10**9
            execution.step(intent.client_order_id, "fill", "filled", desk.feed.now_ns, qty, price, "1")

    def go_on(self, n: int, told: dict[str, str], answer: str) -> None:
        """Bring the clock and execution to where they were after a step that has its answer."""
        self._to(self.minutes[n])
        if answer:
            self._sent(decode(bytes.fromhex(answer)))
        for name, raw in told.items():
            execution, events = self.desk.executions[name], decode(bytes.fromhex(raw))
            assert isinstance(events, OrderEvents)
            execution.events = list(events.events)
            for event in events.events:
                execution.status[event.client_order_id] = event.status
                execution.filled[event.client_order_id] = event.filled_nano

    def _sent(self, answer: Message) -> None:
        assert isinstance(answer, StageResult)
        assert isinstance(answer.answer, Verdicts)
        for order in answer.answer.orders:
            self.desk.executions[order.intent.client].orders[order.intent.client_order_id] = order.intent


def plain(answer: Message) -> str:
    """Return an answer without what differs between two processes."""
    match answer:
        case StageResult(answer=Verdicts(verdicts=verdicts, orders=orders)):
            tickets = [msgspec.structs.replace(order.ticket, key_id="", signature=b"") for order in orders]
            return repr((verdicts, tickets))
        case RiskState():
            return repr(msgspec.structs.replace(answer, key_id="", denied=0))
        case _:
            return repr(answer)


def live(folder: Path, kill_at: int) -> None:
    """Play the day, or its rest, noting each answer; end by SIGKILL at the given point, if it comes."""
    global _count, _kill_at
    risk.gate.GateJournal = KilledJournal  # pyright: ignore[reportPrivateImportUsage] # only in this child
    notes = folder / "answers"
    done = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()] if notes.exists() else []
    _count, _kill_at = 0, kill_at
    day = Day(folder)
    with notes.open("a", encoding="utf-8") as out:
        for n, step in enumerate(day.steps):
            if n < len(done):
                day.go_on(n, done[n]["events"], done[n]["sent"])
                continue
            answer = day.desk.ask(step())
            day.happened(answer)
            told = {
                "answer": plain(answer),
                "sent": encode(answer).hex() if isinstance(answer, StageResult) else "",
                "events": {
                    name: encode(OrderEvents(tuple(each.events), len(each.events))).hex()
                    for name, each in day.desk.executions.items()
                },
            }
            out.write(json.dumps(told) + "\n")
            out.flush()
    final = plain(day.desk.state())
    day.desk.close()
    journal = GateJournal(Path(day.desk.spec.database), {})
    rows = [repr(entry) for entry in journal.read() if entry.final]
    kills = [repr(line) for line in journal.kills()]
    last = msgspec.json.encode(journal.instant(), order="deterministic").decode()
    text = json.dumps({"final": final, "rows": rows, "kills": kills, "last": last})
    (folder / "result").write_text(text, encoding="utf-8")
    (folder / "points").write_text(str(_count), encoding="utf-8")


def child(act: Callable[[], None]) -> int:
    """Run in a process of its own and return its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(folder: Path, every: int) -> None:
    """Kill at every point, or at each so many; then at two points of one day."""

    def run(name: str, kills: list[int]) -> dict[str, object]:
        place = folder / name
        place.mkdir()
        codes = [child(lambda k=k: live(place, k)) for k in [*kills, 0]]
        result, notes = place / "result", place / "answers"
        answers = [json.loads(line)["answer"] for line in notes.read_text(encoding="utf-8").splitlines()]
        told = json.loads(result.read_text(encoding="utf-8")) if result.exists() else None
        return {"name": name, "codes": codes, "answers": answers, "result": told}

    undisturbed = run("undisturbed", [])
    points = int((folder / "undisturbed" / "points").read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps({"points": points, **undisturbed}) + "\n")
    for n in range(1, points + 1, every):
        sys.stdout.write(json.dumps(run(f"once-{n}", [n])) + "\n")
        if n % 11 == 1:
            sys.stdout.write(json.dumps(run(f"twice-{n}", [n, 1 + n % 23])) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
