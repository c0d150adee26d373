"""Runs our FIX initiator against QuickFIX itself: orders, kill -9 of either side, and what came of it, counted.

Then every message of order entry once (``quickfix_orders``).

Not a part of the suite: it needs QuickFIX, which is C++ and has few wheels; where this interpreter lacks it, a wheel is
installed into an environment of its own, and pip's cache keeps it. Exit codes: 0 everything is as it must be, 1 it is
not, 77 there is no QuickFIX to be had here (nothing was shown).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bus.clock import NS, monotonic_ns, sleep_s, wall_ns
from bus.errors import BusError
from bus.ids import client_order_id
from bus.messages import Instrument, OrderIntent
from execution.broker import Broker, BrokerReport, KnownOrder
from execution.fix import open_fix
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec
from scripts.scratch import scratch_python

_MISSING = 77
_WHEEL = "quickfix-tls==1.16.0.1rc1"
"""QuickFIX as it is, built with TLS: the only build with wheels."""
_USERNAME, _PASSWORD = "fake-user", "fake-password"
_SCALE = 10**9
_ENDS = {"rejected", "canceled", "expired", "replaced"}
_DEADLINE_S = 60.0
_ROW = {"qty": 38, "price": 44, "symbol": 55, "side": 54}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# --- the counterpart: QuickFIX ----------------------------------------------------------------------------------------


class Book:
    """What the venue took, in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        rows = path.read_text().splitlines() if path.exists() else []
        self.rows: dict[str, dict[str, str]] = {row["id"]: row for row in map(json.loads, rows)}
        self._handle = path.open("a")

    def take(self, row: dict[str, str]) -> None:
        """Keep an order."""
        self._handle.write(json.dumps(row) + "\n")
        self._handle.flush()
        self.rows[row["id"]] = row


def _field(message: Any, tag: int) -> str:
    return str(message.getField(tag)) if message.isSetField(tag) else ""


def _report(fix: Any, row: dict[str, str], kind: str, status: str, more: dict[int, str]) -> Any:
    message = fix.Message()
    message.getHeader().setField(fix.MsgType("8"))
    filled = status == "2"
    body = {
        37: f"V-{row['id']}",
        11: row["id"],
        17: f"{kind}-{row['id']}",
        150: kind,
        39: status,
        55: row["symbol"],
        54: row["side"],
        38: row["qty"],
        151: "0" if status in {"2", "8"} else row["qty"],
        14: row["qty"] if filled else "0",
        6: row["price"] if filled else "0",
    }
    if kind == "F":
        body |= {32: row["qty"], 31: row["price"]}
    for tag, value in (body | more).items():
        message.setField(fix.StringField(tag, value))
    message.setField(fix.TransactTime())
    return message


def _venue(fix: Any, book: Book) -> Any:
    """Return the application: takes every order, fills it at once, and answers OrderStatusRequests."""

    class Venue(fix.Application):
        def onCreate(self, session: Any) -> None: ...
        def onLogon(self, session: Any) -> None: ...
        def onLogout(self, session: Any) -> None: ...
        def toAdmin(self, message: Any, session: Any) -> None: ...
        def toApp(self, message: Any, session: Any) -> None: ...

        def fromAdmin(self, message: Any, session: Any) -> None:
            del session
            keys = (_field(message, 553), _field(message, 554))
            if _field(message.getHeader(), 35) == "A" and keys != (_USERNAME, _PASSWORD):
                raise fix.RejectLogon("unknown user")

        def fromApp(self, message: Any, session: Any) -> None:
            kind, name = _field(message.getHeader(), 35), _field(message, 11)
            if kind == "D":
                row = {"id": name, "dup": _field(message.getHeader(), 43)}
                row |= {key: _field(message, tag) for key, tag in _ROW.items()}
                book.take(row)
                fix.Session.sendToTarget(_report(fix, row, "0", "0", {}), session)
                fix.Session.sendToTarget(_report(fix, row, "F", "2", {}), session)
            elif kind == "H":
                asked = {790: _field(message, 790)}
                nothing = {"id": name, "qty": "0", "price": "0", "symbol": _field(message, 55), "side": "1"}
                row = book.rows.get(name)
                answer = ("I", "2", asked) if row else ("I", "8", asked | {103: "5"})
                fix.Session.sendToTarget(_report(fix, row or nothing, *answer), session)

    return Venue()


def accept(port: int, folder: Path) -> None:
    """Be a venue on QuickFIX until killed."""
    fix: Any = importlib.import_module("quickfix")
    config = folder / "acceptor.cfg"
    config.write_text(
        "[DEFAULT]\nConnectionType=acceptor\nStartTime=00:00:00\nEndTime=00:00:00\nUseDataDictionary=N\n"
        f"FileStorePath={folder}/acceptor\nSocketReuseAddress=Y\nSocketAcceptPort={port}\n"
        "[SESSION]\nBeginString=FIX.4.4\nSenderCompID=VENUE\nTargetCompID=DESK\n"
    )
    settings = fix.SessionSettings(str(config))
    venue = _venue(fix, Book(folder / "book.jsonl"))
    store, log = fix.FileStoreFactory(settings), fix.FileLogFactory(str(folder / "log"))
    acceptor = fix.SocketAcceptor(venue, store, settings, log)
    acceptor.start()
    _say("listening")
    signal.pause()


# --- our side ---------------------------------------------------------------------------------------------------------


class Trader:
    """A desk's worth of execution: journals before it sends and what it hears, and goes on from its journal."""

    def __init__(self, port: int, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self.sent: dict[str, int] = {}
        self.status: dict[str, str] = {}
        self.fills: Counter[str] = Counter()
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self._apply(json.loads(line))
        self.journal = self.path.open("a")
        broker = BrokerSpec(
            kind="fix", url=f"tcp://127.0.0.1:{port}?heartbeat=5", sender_comp_id="DESK", target_comp_id="VENUE",
            store=str(folder / "initiator"), timeout_s=3.0,
        )  # fmt: skip
        spec = GatewaySpec("alice", "peer", "paper", "", "", 0, broker=broker)
        instruments = {"ACME": Instrument("ACME", "equity", "USD", 10_000_000, _SCALE)}
        self.broker: Broker = open_fix(spec, instruments, Keys(_USERNAME, _PASSWORD))
        unsettled = [name for name in self.sent if self.status.get(name, "") in {"", "unknown", "accepted"}]
        self.broker.restore([KnownOrder(_intent(self.sent[name]), 0, False) for name in unsettled], day_done=False)

    def _apply(self, row: dict[str, str]) -> None:
        name = row["id"]
        if row["kind"] == "sent":
            self.sent[name] = int(row["number"])
        elif row["kind"] == "fill":
            if row["fill"] not in self.fills:
                self.status[name] = "filled"
            self.fills[row["fill"]] += 1
        elif self.status.get(name) not in {"filled", *_ENDS}:
            self.status[name] = row["kind"]

    def write(self, **row: str) -> None:
        """Journal a row, durably, and take it up."""
        self.journal.write(json.dumps(row) + "\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())
        self._apply(row)

    def take(self, reports: tuple[BrokerReport, ...] | list[BrokerReport]) -> None:
        """Journal what was heard."""
        for one in reports:
            extra = {"fill": one.fill.fill_id} if one.fill else {"reason": one.reason}
            self.write(id=one.client_order_id, kind=one.kind, **extra)

    def trade(self, first: int, last: int) -> None:
        """Send orders; what was refused for certain is not sent again: the next number is another order."""
        for number in range(first, last):
            intent = _intent(number)
            if intent.client_order_id in self.sent:
                continue
            self.write(id=intent.client_order_id, kind="sent", number=str(number))
            self.take([self.broker.submit(intent, wall_ns())])
            self.take(self.broker.drain())
            _say(str(number))
            if self.status[intent.client_order_id] == "rejected":
                sleep_s(0.1)

    def settle(self) -> None:
        """Ask about everything that has no end yet, until all has one."""
        deadline = monotonic_ns() + int(_DEADLINE_S * NS)
        while monotonic_ns() < deadline:
            self.take(self.broker.drain())
            left = [name for name in self.sent if self.status.get(name) not in {"filled", *_ENDS}]
            if not left:
                self.broker.close()
                return
            for name in left:
                try:
                    self.take(self.broker.query(name))
                except (OSError, BusError):
                    sleep_s(0.1)
        raise SystemExit("orders were not settled before the deadline")


def _intent(number: int) -> OrderIntent:
    return OrderIntent(
        client_order_id("alice", "peer", number, 0), "alice", "peer", number, 0, "ACME", "buy", "limit", "day",
        (number + 1) * _SCALE, 10_500_000_000, 0, "peer",
    )  # fmt: skip


# --- the show ---------------------------------------------------------------------------------------------------------


def _start(role: str, port: int, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--role", role, "--port", str(port)]
    return subprocess.Popen([*command, "--folder", str(folder), *more], stdout=subprocess.PIPE, text=True)


def _acceptor(port: int, folder: Path) -> subprocess.Popen[str]:
    for _ in range(20):
        process = _start("acceptor", port, folder)
        if process.stdout is not None and process.stdout.readline() == "listening\n":
            return process
        process.wait()
        sleep_s(0.2)
    raise SystemExit("QuickFIX did not come up: its port stays taken")


def _until(process: subprocess.Popen[str], number: int) -> None:
    if process.stdout is None:
        raise SystemExit("no output to read")
    for line in process.stdout:
        if int(line) >= number:
            return


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(name: str, orders: int, kill_them: int, kill_us: tuple[int, ...], away_s: float) -> bool:
    """Trade, kill whom is said when so many orders were sent, settle, and compare the two sides."""
    with tempfile.TemporaryDirectory(prefix="quickfix-peer-") as temporary:
        folder, port = Path(temporary), _port()
        acceptor = _acceptor(port, folder)
        try:
            more = ("--last", str(orders))
            trader = _start("trader", port, folder, *more)
            for at in kill_us:
                _until(trader, at)
                os.kill(trader.pid, signal.SIGKILL)
                trader.wait()
                trader = _start("trader", port, folder, *more)
            if kill_them:
                _until(trader, kill_them)
                os.kill(acceptor.pid, signal.SIGKILL)
                acceptor.wait()
                sleep_s(away_s)
                acceptor = _acceptor(port, folder)
            trader.communicate(timeout=2 * _DEADLINE_S)
        finally:
            os.kill(acceptor.pid, signal.SIGKILL)
            acceptor.wait()
        return _compare(name, orders, trader.returncode, folder)


def _compare(name: str, orders: int, code: int, folder: Path) -> bool:
    rows = [json.loads(line) for line in (folder / "book.jsonl").read_text().splitlines()]
    taken = Counter(row["id"] for row in rows)
    sent: dict[str, int] = {}
    ends: dict[str, str] = {}
    fills: set[tuple[str, str]] = set()
    for row in map(json.loads, (folder / "journal.jsonl").read_text().splitlines()):
        if row["kind"] == "sent":
            sent[row["id"]] = int(row["number"])
        elif row["kind"] == "fill":
            fills.add((row["id"], row["fill"]))
        elif row["kind"] in _ENDS:
            ends[row["id"]] = row["reason"]
    filled = Counter(order for order, _ in fills)
    refused = [order for order in sent if order in ends]
    log = "".join(path.read_text() for path in (folder / "log").glob("*messages.current.log"))
    result = {
        "scenario": name,
        "orders": len(sent),
        "taken_by_quickfix": len(taken),
        "taken_twice": sum(count > 1 for count in taken.values()),
        "with_possdup": sum(row["dup"] == "Y" for row in rows),
        "distinct_fills": len(fills),
        "orders_filled_twice": sum(count > 1 for count in filled.values()),
        "refused_while_logged_off": sum("not ready" in ends[order] for order in refused),
        "never_arrived": sum(ends[order] == "never_arrived" for order in refused),
        "logons": log.count("\x0135=A\x01") // 2,
        "resend_requests": log.count("\x0135=2\x01"),
        "gap_fills": log.count("\x01123=Y\x01"),
        "resent_reports": log.count("\x0143=Y\x01"),
        "keys_in_our_store": any(_PASSWORD.encode() in path.read_bytes() for path in (folder / "initiator").iterdir()),
    }
    result["ok"] = (
        code == 0
        and len(sent) == orders
        and not result["taken_twice"]
        and not result["with_possdup"]
        and set(taken) == set(filled)
        and not result["orders_filled_twice"]
        and not set(refused) & set(taken)
        and set(refused) | set(filled) == set(sent)
        and not result["keys_in_our_store"]
    )
    _say(json.dumps(result))
    return bool(result["ok"])


def _elsewhere() -> int:
    """Run this in an environment that has it."""
    with tempfile.TemporaryDirectory(prefix="outcry-quickfix-") as name:
        python = scratch_python(Path(name), _WHEEL, "quickfix")
        if python is None:
            sys.stderr.write(f"{_WHEEL} cannot be installed here, so nothing was shown of QuickFIX\n")
            return _MISSING
        return subprocess.run([str(python), *sys.argv], check=False).returncode


def main() -> int:
    """Run the scenarios, or one of their processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=("show", "acceptor", "trader"), default="show")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--last", type=int, default=150)
    given = parser.parse_args()
    if importlib.util.find_spec("quickfix") is None:
        return _elsewhere()
    if given.role == "acceptor":
        accept(given.port, given.folder)
    elif given.role == "trader":
        trader = Trader(given.port, given.folder)
        trader.trade(0, given.last)
        trader.settle()
    else:
        count = given.last
        shown = [
            _run("plain", count, 0, (), 0.0),
            _run("kill -9 of QuickFIX in mid-stream", count, count // 3, (), 1.0),
            _run("kill -9 of our side, three times", count, 0, (count // 5, count // 2, count * 4 // 5), 0.0),
            _run("kill -9 of both", count, count * 2 // 3, (count // 3,), 0.5),
        ]
        orders = subprocess.run([sys.executable, str(Path(__file__).with_name("quickfix_orders.py"))], check=False)
        return 0 if all(shown) and orders.returncode == 0 else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
