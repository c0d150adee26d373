"""A gateway that is killed at every persistence point, in processes of its own: run as ``python -m``, not imported.

Each point is a child that sends itself SIGKILL when it comes to the point, and another child that is started on what
the first one left. The restarted child repeats the request that had no answer (or, in mode ``again``, every request of
the day), as a caller does that lost its connection. Prints one JSON line for each point.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from bus.codec import encode
from bus.fixed import to_nano
from bus.messages import EventsSince, GetAccount, Message, OrderIntent, SettleOrders, Tick
from execution.broker import BrokerReport
from execution.journal import Journal
from execution.paper import PaperBroker
from risk.tickets import Signer
from tests.execution.desk import Desk, at, bar, cancel_all, day, dump, intent, quote, ticketed

MINUTES = 9
TICKS = day(
    [bar(n, str(100 + n % 4), "106", "97", str(101 + n % 3), volume=3_000) for n in range(MINUTES)]
    + [bar(n, "50", volume=10**6, symbol="SPY") for n in range(MINUTES)]
    + [quote(n, "99.9", "100.2") for n in range(4)]
)

_count = 0
_kill_at = 0


def point() -> None:
    """One place where a crash could come between two steps."""
    global _count
    _count += 1
    if _count == _kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


class KilledJournal(Journal):
    """A journal with a point before and after a transaction begins and ends."""

    def _begin(self) -> None:
        point()
        super()._begin()
        point()

    def _commit(self) -> None:
        point()
        super()._commit()
        point()


class KilledBroker(PaperBroker):
    """A paper broker with a point before and after everything that it does."""

    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        point()
        answer = super().submit(intent, now_ns)
        point()
        return answer

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        point()
        answer = super().replace(intent, now_ns)
        point()
        return answer

    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        point()
        answer = super().cancel(client_order_id, now_ns)
        point()
        return answer

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        point()
        answer = super().query(client_order_id)
        point()
        return answer

    def work(self, tick: Tick) -> list[BrokerReport]:
        point()
        answer = super().work(tick)
        point()
        return answer


def requests(desk: Desk, signer: Signer) -> list[tuple[int, Message]]:
    """The day: what is asked, and at which minute."""
    asked: list[tuple[int, Message]] = []
    for minute in range(1, MINUTES + 1):
        asked.append((minute, SettleOrders(at(minute))))
        if minute in (1, 3, 9):
            orders = [
                intent(0, minute, qty=120),
                intent(1, minute, "sell", 30, "103"),
                intent(2, minute, qty=500, symbol="SPY", tif="ioc"),
                intent(3, minute, qty="0.5"),
            ]
            asked.append((minute, desk.request(minute, *(ticketed(signer, order) for order in orders))))
        if minute == 2:
            # Its take-profit is filled in parts by the bars of 3,000, and its stop-loss is made smaller each time.
            bracket = intent(
                0,
                2,
                qty=120,
                order_class="bracket",
                take_profit_nano=to_nano(104),
                stop_loss_nano=to_nano(90),
            )
            resting = intent(1, 2, limit="1")
            stop = intent(2, 2, "sell", 10, order_type="trailing_stop", trail_nano=to_nano(30))
            orders = [bracket, resting, stop]
            asked.append((minute, desk.request(2, *(ticketed(signer, order) for order in orders))))
            new = intent(3, 2, limit="2", replaces=resting.client_order_id)
            asked.append((minute, desk.request(2, ticketed(signer, new))))
        if minute == 8:
            asked.append((minute, desk.request(8, ticketed(signer, intent(0, 8, limit="1")))))
            asked.append((minute, cancel_all(signer, at(8))))
    return asked


def live(folder: Path, signer: Signer, kill_at: int, again: bool) -> None:
    """Play the day, or its rest, noting each answer; end by SIGKILL at the given point, if it comes."""
    global _count, _kill_at
    _count, _kill_at = 0, kill_at
    notes = folder / "answers"
    done = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    reached = folder / "clock"
    now_ns = int(reached.read_text(encoding="utf-8")) if reached.exists() else 0
    desk = Desk(folder, TICKS, signer=signer, now_ns=now_ns, make_broker=KilledBroker, journal=KilledJournal)
    asked = requests(desk, signer)
    with notes.open("a", encoding="utf-8") as out:
        for n, (minute, request) in enumerate(asked):
            if n < len(done) and not again:
                continue
            desk.feed.now_ns = max(desk.feed.now_ns, at(minute))
            reached.write_text(str(desk.feed.now_ns), encoding="utf-8")
            answer = encode(desk.client.call(request)).hex()
            if n < len(done):
                assert answer == done[n], f"request {n} was answered differently after the restart"
            else:
                out.write(answer + "\n")
                out.flush()
    final = [desk.client.call(EventsSince(0)), desk.client.call(GetAccount(0))]
    desk.close()
    rows = dump(desk.spec.database)
    text = json.dumps({"answers": notes.read_text(encoding="utf-8"), "final": repr(final), "rows": repr(rows)})
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


def tell(answer: object) -> None:
    """Print one line of the answer that the test reads."""
    sys.stdout.write(json.dumps(answer) + "\n")


def main(folder: Path) -> None:
    """Kill at every point: going on, and asking everything again; at every third with a second kill, too."""
    signer = Signer()

    def run(name: str, kills: list[int], again: bool) -> dict[str, object]:
        place = folder / name
        place.mkdir()
        codes = [child(lambda k=k: live(place, signer, k, again)) for k in [*kills, 0]]
        result = place / "result"
        return {
            "name": name,
            "codes": codes,
            "result": json.loads(result.read_text(encoding="utf-8")) if result.exists() else None,
        }

    undisturbed = run("undisturbed", [], again=False)
    points = int((folder / "undisturbed" / "points").read_text(encoding="utf-8"))
    tell({"points": points, **undisturbed})
    for n in range(1, points + 1):
        tell(run(f"on-{n}", [n], again=False))
        tell(run(f"again-{n}", [n], again=True))
        if n % 3 == 0:
            tell(run(f"twice-{n}", [n, 1 + n % 7], again=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
