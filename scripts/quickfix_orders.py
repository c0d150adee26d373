"""Every message of our order entry against QuickFIX itself: D, F, G, H, 8, 9 and j, in one session.

Beside ``quickfix_peer``, which kills either side; nothing is killed here. QuickFIX checks what we send against a
dictionary of FIX 4.4 where one is given. Run by ``make quickfix``, in the same environment; exit codes as there.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bus.clock import NS, monotonic_ns, sleep_s, wall_ns
from bus.ids import client_order_id
from bus.messages import Instrument, OrderIntent
from execution.broker import Broker, BrokerReport
from execution.fix import open_fix
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec

__all__ = ["main"]

_SCALE = 10**9
_RESTS_BELOW = 90.0
"""The venue fills at once what bids this or more; what bids less rests."""
_NOT_TRADED = "NOPE"
_DEADLINE_NS = 20 * NS


def _text(message: Any, tag: int) -> str:
    return str(message.getField(tag)) if message.isSetField(tag) else ""


class _Order:
    """One chain of an order and what replaced it, as the venue keeps it."""

    def __init__(self, message: Any) -> None:
        self.number = f"V{_text(message, 11)}"
        self.name, self.symbol, self.side = (_text(message, tag) for tag in (11, 55, 54))
        self.qty, self.price = _text(message, 38), _text(message, 44)
        self.status = "0"

    def report(self, fix: Any, kind: str, more: dict[int, str] | None = None) -> Any:
        """Return an ExecutionReport."""
        message = fix.Message()
        message.getHeader().setField(fix.MsgType("8"))
        filled, works = self.status == "2", self.status in {"0", "5"}
        body = {
            37: self.number, 11: self.name, 17: f"{kind}{self.name}", 150: kind, 39: self.status, 55: self.symbol,
            54: self.side, 38: self.qty, 151: self.qty if works else "0", 14: self.qty if filled else "0",
            6: self.price if filled else "0",
        }  # fmt: skip
        if kind == "F":
            body |= {32: self.qty, 31: self.price}
        for tag, value in (body | (more or {})).items():
            message.setField(fix.StringField(tag, value))
        message.setField(fix.TransactTime())
        return message


def _answers(fix: Any, orders: dict[str, _Order], message: Any) -> list[Any]:
    kind, name, before = _text(message.getHeader(), 35), _text(message, 11), _text(message, 41)
    if kind == "D" and _text(message, 55) == _NOT_TRADED:
        return [_business_reject(fix, message, name)]
    if kind == "D":
        order = orders[name] = _Order(message)
        told = [order.report(fix, "0")]
        if float(order.price) >= _RESTS_BELOW:
            order.status = "2"
            told.append(order.report(fix, "F"))
        return told
    if kind == "H":
        order = orders.get(name) or _Order(message)
        more = {790: _text(message, 790)}
        if name not in orders:
            order.status, order.qty = "8", "0"
            more |= {103: "5"}
        return [order.report(fix, "I", more)]
    order = orders.get(before)
    if order is None or order.status not in {"0", "5"}:
        return [_cancel_reject(fix, message, order, "2" if kind == "G" else "1")]
    orders[name] = order
    order.name = name
    if kind == "F":
        order.status = "4"
        return [order.report(fix, "4", {41: before})]
    order.status, order.qty, order.price = "5", _text(message, 38), _text(message, 44)
    return [order.report(fix, "5", {41: before})]


def _cancel_reject(fix: Any, message: Any, order: _Order | None, to: str) -> Any:
    answer = fix.Message()
    answer.getHeader().setField(fix.MsgType("9"))
    known = {37: order.number, 39: order.status} if order else {37: "NONE", 39: "8"}
    reason = "0" if order else "1"
    for tag, value in (known | {11: _text(message, 11), 41: _text(message, 41), 434: to, 102: reason}).items():
        answer.setField(fix.StringField(tag, value))
    return answer


def _business_reject(fix: Any, message: Any, name: str) -> Any:
    answer = fix.Message()
    answer.getHeader().setField(fix.MsgType("j"))
    number = _text(message.getHeader(), 34)
    for tag, value in {45: number, 372: "D", 379: name, 380: "2", 58: "unknown security"}.items():
        answer.setField(fix.StringField(tag, value))
    return answer


def _venue(fix: Any) -> Any:
    orders: dict[str, _Order] = {}

    class Venue(fix.Application):
        def onCreate(self, session: Any) -> None: ...
        def onLogon(self, session: Any) -> None: ...
        def onLogout(self, session: Any) -> None: ...
        def toAdmin(self, message: Any, session: Any) -> None: ...
        def toApp(self, message: Any, session: Any) -> None: ...
        def fromAdmin(self, message: Any, session: Any) -> None: ...

        def fromApp(self, message: Any, session: Any) -> None:
            for answer in _answers(fix, orders, message):
                fix.Session.sendToTarget(answer, session)

    return Venue()


def _accept(port: int, folder: Path, dictionary: str) -> None:
    """Be a venue on QuickFIX until killed: stopping it in good order crashes it now and then."""
    fix: Any = importlib.import_module("quickfix")
    checked = f"UseDataDictionary=Y\nDataDictionary={dictionary}\n" if dictionary else "UseDataDictionary=N\n"
    config = folder / "acceptor.cfg"
    config.write_text(
        "[DEFAULT]\nConnectionType=acceptor\nStartTime=00:00:00\nEndTime=00:00:00\n"
        f"{checked}FileStorePath={folder}/acceptor\nSocketReuseAddress=Y\nSocketAcceptPort={port}\n"
        "[SESSION]\nBeginString=FIX.4.4\nSenderCompID=VENUE\nTargetCompID=DESK\n"
    )
    settings = fix.SessionSettings(str(config))
    venue, store, log = _venue(fix), fix.FileStoreFactory(settings), fix.FileLogFactory(str(folder / "log"))
    acceptor = fix.SocketAcceptor(venue, store, settings, log)
    acceptor.start()
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    signal.pause()


def _open(port: int, folder: Path) -> Broker:
    broker = BrokerSpec(
        kind="fix", url=f"tcp://127.0.0.1:{port}?heartbeat=5", sender_comp_id="DESK", target_comp_id="VENUE",
        store=str(folder / "initiator"), timeout_s=3.0,
    )  # fmt: skip
    names = ("ACME", _NOT_TRADED)
    instruments = {name: Instrument(name, "equity", "USD", 10_000_000, _SCALE) for name in names}
    spec = GatewaySpec("alice", "peer", "paper", "", "", 0, broker=broker)
    return open_fix(spec, instruments, Keys("fake-user", "fake-password"))


class _Show:
    """Asks one thing after the other, and keeps what was answered."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.number = 0
        self.told: list[BrokerReport] = []

    def intent(self, price: str, symbol: str = "ACME", replaces: str = "", qty: int = 3) -> OrderIntent:
        """Return a bid."""
        self.number += 1
        return OrderIntent(
            client_order_id("alice", "peer", 1, self.number), "alice", "peer", 1, self.number, symbol, "buy", "limit",
            "day", qty * _SCALE, int(float(price) * _SCALE), 0, "peer", replaces=replaces,
        )  # fmt: skip

    def hears(self, name: str, kind: str, *answers: BrokerReport) -> bool:
        """Whether a report of that kind comes, at once or before the deadline."""
        self.told += answers
        deadline = monotonic_ns() + _DEADLINE_NS
        while monotonic_ns() < deadline:
            if any((each.client_order_id, each.kind) == (name, kind) for each in self.told):
                return True
            self.told += self._broker.drain()
            sleep_s(0.01)
        return False

    def run(self) -> dict[str, bool]:
        """Return what held, by name."""
        broker, held = self._broker, dict[str, bool]()
        rests, fills, never = self.intent("80"), self.intent("95"), self.intent("80", _NOT_TRADED)
        changed = self.intent("81", replaces=rests.client_order_id, qty=5)
        late = self.intent("82", replaces=fills.client_order_id)
        lost = self.intent("83")
        held["D, answered by 8 New"] = self.hears(rests.client_order_id, "accepted", broker.submit(rests, wall_ns()))
        held["D, answered by 8 Trade"] = self.hears(fills.client_order_id, "fill", broker.submit(fills, wall_ns()))
        held["D, answered by j"] = self.hears(never.client_order_id, "rejected", broker.submit(never, wall_ns()))
        answers = broker.replace(changed, wall_ns())
        held["G, answered by 8 Replaced: the old one"] = self.hears(rests.client_order_id, "replaced", *answers)
        held["G, answered by 8 Replaced: the new one"] = self.hears(changed.client_order_id, "accepted")
        held["H, answered by 8 OrderStatus"] = self.hears(
            changed.client_order_id, "accepted", *broker.query(changed.client_order_id)
        )
        held["F, answered by 8 Canceled"] = self.hears(
            changed.client_order_id, "canceled", broker.cancel(changed.client_order_id, wall_ns())
        )
        answers = broker.replace(late, wall_ns())
        held["G of what is filled, answered by 9"] = self.hears(fills.client_order_id, "replace_rejected", *answers)
        held["F of what is filled, answered by 9"] = self.hears(
            fills.client_order_id, "cancel_rejected", broker.cancel(fills.client_order_id, wall_ns())
        )
        held["H of what never came is no order"] = not any(
            each.kind in {"accepted", "fill"} for each in broker.query(lost.client_order_id)
        )
        return held


def _show(folder: Path, dictionary: str) -> tuple[dict[str, bool], str]:
    """Return what held, and the kinds of messages that QuickFIX logged as coming from us."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = ["--port", str(port), "--folder", str(folder), "--dictionary", dictionary]
    venue = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)
    try:
        if venue.stdout is None or venue.stdout.readline() != "listening\n":
            return {"QuickFIX came up": False}, ""
        broker = _open(port, folder)
        try:
            held = _Show(broker).run()
        finally:
            broker.close()
    finally:
        venue.kill()
        venue.wait()
    logs = "".join(path.read_text() for path in (folder / "log").glob("*messages.current.log"))
    held["QuickFIX rejected no message of ours"] = "\x0135=3\x01" not in logs
    return held, "".join(kind for kind in "DFGH" if f"\x0135={kind}\x01" in logs)


def main() -> int:
    """Ask everything once and say what held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dictionary", default="", help="a FIX44.xml for QuickFIX to check our messages against")
    parser.add_argument("--port", type=int, default=0, help="be the venue, there")
    parser.add_argument("--folder", type=Path, default=Path(), help="the venue's files")
    given = parser.parse_args()
    if importlib.util.find_spec("quickfix") is None:
        sys.stderr.write("quickfix is not installed here: run scripts/quickfix_peer.py, which installs it\n")
        return 77
    if given.port:
        _accept(given.port, given.folder, given.dictionary)
    with tempfile.TemporaryDirectory(prefix="quickfix-orders-") as name:
        held, heard = _show(Path(name), given.dictionary)
    sys.stdout.write(json.dumps({"heard": heard, "held": held}, indent=1) + "\n")
    return 0 if all(held.values()) and heard == "DFGH" else 1


if __name__ == "__main__":
    sys.exit(main())
