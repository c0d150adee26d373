"""A desk under the product's supervisor and fork server, with a hostile agent among its stages.

Run as a program it is the supervisor's process; ``hostile_desk`` starts that, trades one order and returns the desk.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from agents.spec import ModelSpec, StrategySpec, TraderSpec
from bus.codec import encode
from bus.endpoints import ipc_directory
from bus.fixed import to_nano
from bus.ids import client_order_id, seeded
from bus.messages import (
    Advance,
    BookSettled,
    Executed,
    ExecutionAsk,
    Message,
    Ok,
    OrderIntent,
    RiskAsk,
    SettleBook,
    Settled,
    SettleOrders,
    StageRequest,
    StageResult,
    Tick,
    TicketedOrder,
    Verdicts,
)
from bus.zmq_transport import ZmqTransport
from execution.spec import BrokerSpec, GatewaySpec
from feed.sample import SAMPLE_SYMBOLS, write_sample
from feed.spec import FeedSpec
from outcry.confine import close_to_others, own_socket_folders, plan_confinement, write_confinement
from outcry.link import NurseryLink
from outcry.plan import write_specs
from outcry.rundir import RunFile, make_socket_folder, process_start, read_run_file
from outcry.supervisor import Patience, Supervisor
from risk.limits import default_desk_limits, default_limits
from risk.spec import ClientSpec, GateSpec
from tests.hostile.loot import Loot
from tests.hostile.venue import Venue, open_venue
from tests.outcry.in_child import without_landlock

ROOT = Path(__file__).resolve().parents[2]
CLIENT, RUN = "desk", "run-00000000h057"
CASH = to_nano(100_000)
SYMBOL = next(iter(SAMPLE_SYMBOLS))
T = TypeVar("T")
_M = TypeVar("_M", bound=Message)


def specs(run_dir: Path, keys_file: Path, port: int) -> dict[str, msgspec.Struct]:
    """Return the specs of a desk whose gateway has a broker with keys."""
    limits = default_limits(CASH)
    broker = BrokerSpec(kind="alpaca", keys_file=str(keys_file), url=f"http://127.0.0.1:{port}")
    public = str(run_dir / "gate.pub")
    return {
        "feed": FeedSpec(day=str(run_dir.parent / "day"), clock_file=str(run_dir / "feed.clock")),
        "execution": GatewaySpec(CLIENT, RUN, "replay", str(run_dir / "journal.sqlite"), public, CASH, broker=broker),
        "risk": GateSpec(
            run_id=RUN,
            mode="replay",
            clients=(ClientSpec(CLIENT, limits, start_cash_nano=CASH),),
            desk=default_desk_limits((limits,)),
            database=str(run_dir / "gate.sqlite"),
            public_key_file=public,
            resume_key_file=str(run_dir / "resume.key"),
        ),
        "strategy": StrategySpec(),
        "trader": TraderSpec(model=ModelSpec(name="openai:none")),
    }


def made_up(kind: str, name: str) -> str:
    """Return a key that stands nowhere in the code."""
    return f"not-a-real-{kind}-key-{seeded(name).randrange(10**12):012d}"


def link() -> NurseryLink:
    return NurseryLink((sys.executable, "-P", "-m", "tests.hostile.nursery"))


def main(run_dir: Path, keys_file: Path, port: int, *, landlock: bool) -> int:
    """Supervise until SIGINT, on a kernel with Landlock or without."""
    if not landlock:
        without_landlock()
    nursery = link()
    sockets = make_socket_folder()
    given = specs(run_dir, keys_file, port)
    close_to_others()
    endpoints = own_socket_folders(ipc_directory(sockets), sockets)
    write_specs(run_dir, given)
    write_confinement(run_dir, plan_confinement(given, endpoints, run_dir, sockets, required=landlock))
    content = RunFile(
        run_id=RUN, day="day", kind="synthetic", mode="replay", model="scripted", state="starting",
        supervisor=os.getpid(), supervisor_start=process_start(os.getpid()), endpoints=endpoints,
    )  # fmt: skip
    supervisor = Supervisor(
        run_dir, content, sockets, nursery,
        secrets={"OPENAI_API_KEY": made_up("model", str(run_dir))},
        patience=Patience(heartbeat_s=10, start_s=20, stop_s=2, restarts=2),
        stages=tuple(given),
        new_link=link,
    )  # fmt: skip
    return supervisor.run().exit_code


def until(what: str, condition: Callable[[], T | None], deadline_s: float = 40) -> T:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        os.sched_yield()
    raise AssertionError(f"{what}: not within {deadline_s:g} s")


@dataclass
class HostileDesk:
    """A running desk, at an instant at which one order has been sent."""

    run_dir: Path
    keys_file: Path
    venue: Venue
    content: RunFile
    process: subprocess.Popen[bytes]
    now_ns: int = 0
    price_nano: int = 0
    sent: TicketedOrder | None = None

    def ask(self, service: str, request: Message, kind: type[_M], timeout_s: float = 30) -> _M:
        transport = ZmqTransport()
        try:
            answer = transport.client(self.content.endpoints[service]).call(request, timeout_s)
        finally:
            transport.close()
        assert isinstance(answer, kind), answer
        return answer

    @property
    def pids(self) -> dict[str, int]:
        return {**self.content.stages, "supervisor": self.content.supervisor, "nursery": self.content.nursery}

    def advance(self) -> None:
        """Go to the next instant, as the orchestrator does."""
        tick = self.ask("feed", Advance(after_ns=self.now_ns), Tick)
        self.now_ns = tick.clock.now_ns
        for bar in tick.bars:
            if bar.symbol == SYMBOL:
                self.price_nano = bar.close_nano
        self.ask("execution", SettleOrders(self.now_ns), Settled)
        self.ask("risk", SettleBook(self.now_ns), BookSettled)

    def intent(self, cycle: int) -> OrderIntent:
        """Return an order that the gate approves."""
        price = self.price_nano // 10_000_000 * 10_000_000
        return OrderIntent(
            client_order_id(CLIENT, RUN, cycle, 0), CLIENT, RUN, cycle, 0, SYMBOL, "buy", "limit", "day",
            to_nano(1), price, self.now_ns, "trend",
        )  # fmt: skip

    def approve(self, cycle: int) -> TicketedOrder:
        """Have an order judged."""
        request = StageRequest(RUN, CLIENT, cycle, self.now_ns, RiskAsk((self.intent(cycle),)))
        answer = self.ask("risk", request, StageResult).answer
        assert isinstance(answer, Verdicts)
        assert answer.orders, answer.verdicts
        return answer.orders[0]

    def send(self, order: TicketedOrder) -> Executed:
        """Have an order sent."""
        request = StageRequest(RUN, CLIENT, order.intent.cycle, self.now_ns, ExecutionAsk((order,)))
        answer = self.ask("execution", request, StageResult).answer
        assert isinstance(answer, Executed)
        return answer

    def trade(self, cycle: int) -> TicketedOrder:
        """Have one order judged and sent."""
        self.sent = self.approve(cycle)
        self.send(self.sent)
        return self.sent

    def attack(self, stage: str, only: Sequence[str] = ()) -> dict[str, str]:
        """Let the hostile agent try everything or the named, and return what became of each attempt."""
        assert self.sent is not None
        loot = Loot(
            str(self.run_dir), str(self.keys_file), str(self.run_dir.parent / "day"), self.venue.port,
            dict(self.content.endpoints), self.pids, RUN, CLIENT, self.now_ns, SYMBOL, self.price_nano,
            encode(self.sent), tuple(only),
        )  # fmt: skip
        answer = self.ask(stage, Ok(msgspec.json.encode(loot).decode()), Ok, timeout_s=90)
        return msgspec.json.decode(answer.detail, type=dict[str, str])


@contextmanager
def hostile_desk(folder: Path, *, landlock: bool = True) -> Generator[HostileDesk]:
    """Start a desk, advance it until the gate has a price, and trade one order."""
    run_dir = folder / "run"
    for name in ("specs", "logs"):
        (run_dir / name).mkdir(parents=True)
    (folder / "keys").mkdir(mode=0o700)
    write_sample(folder / "day")
    key = made_up("broker", str(folder))
    keys_file = folder / "keys" / "broker.toml"
    keys_file.touch(mode=0o600)
    keys_file.write_text(f'key_id = "nobody"\nsecret = "{key}"\n', encoding="utf-8")
    with open_venue(key) as venue:
        command = [
            sys.executable,
            "-m",
            "tests.hostile.desk",
            str(run_dir),
            str(keys_file),
            str(venue.port),
            str(landlock),
        ]
        with (
            socket.socket(socket.AF_UNIX) as outside,
            (folder / "err").open("wb") as err,
            subprocess.Popen(command, cwd=ROOT, stderr=err) as process,
        ):
            outside.bind(f"\0{folder}")
            outside.listen()
            try:

                def running() -> RunFile | None:
                    assert process.poll() is None, "the desk ended"
                    with contextlib.suppress(Exception):
                        content = read_run_file(run_dir)
                        return content if content.state == "running" else None
                    return None

                desk = HostileDesk(run_dir, keys_file, venue, until("the desk runs", running), process)
                while not desk.price_nano:
                    desk.advance()
                desk.trade(1)
                yield desk
                process.send_signal(signal.SIGINT)
                process.wait(20)
            finally:
                if process.poll() is None:
                    process.kill()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), landlock=sys.argv[4] == "True"))
