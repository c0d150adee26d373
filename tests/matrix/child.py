"""A gateway or a gate in a process of its own, as a desk starts it, that can be told to end itself at a point.

``python -m tests.matrix.child SPEC`` is such a process. ``python -m tests.matrix.child fork`` imports everything once
and forks such processes for whoever writes their specs into it: a line of JSON each, answered with lines of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Literal

import msgspec

from bus.transport import Directory, Handler, Transport
from bus.zmq_transport import ZmqTransport
from execution.gateway import Gateway
from execution.journal import Journal
from execution.open_broker import open_broker
from execution.spec import GatewaySpec
from risk.gate import build_gate
from risk.spec import GateSpec
from tests.matrix.points import Points, watched

__all__ = ["ChildSpec"]

_HEAVY = ("execution.alpaca._broker", "execution.ccxt_broker._sdk", "execution.fix.adapter")


class ChildSpec(msgspec.Struct, frozen=True):
    """What a child is."""

    role: Literal["gateway", "gate"]
    directory: dict[str, str]
    gateway: GatewaySpec
    gate: GateSpec
    kill_at: int
    note: str


def _gateway(spec: GatewaySpec, transport: Transport, directory: Directory, points: Points) -> Gateway:
    """Build the gateway as ``build_gateway`` does, with points around its broker."""
    make, offered = open_broker(spec)
    identity = {"client": spec.client, "run_id": spec.run_id, "start_cash_nano": str(spec.start_cash_nano)}
    journal = Journal(Path(spec.database), identity)
    return Gateway(spec, transport.client(directory["feed"]), journal, watched(make, points), offered)


def run(spec: ChildSpec) -> None:
    """Serve until SIGTERM, or until the point comes."""
    points = Points(spec.kill_at, Path(spec.note))
    points.install()
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        stopped.append(number)

    signal.signal(signal.SIGTERM, stop)
    transport = ZmqTransport()
    if spec.role == "gateway":
        gateway = _gateway(spec.gateway, transport, spec.directory, points)
        part: Handler = gateway
        idle: Callable[[], None] = gateway.idle
        end: Callable[[], None] = gateway.close
        service = "execution"
    else:
        gate = build_gate(spec.gate, transport, spec.directory)
        part, idle, end, service = gate, lambda: None, gate.close, "risk"

    def stopping() -> bool:
        idle()
        return bool(stopped)

    transport.server(spec.directory[service], part).serve(stopping, 20)
    end()
    transport.close()
    Path(spec.note).write_text(f"{points.count}", encoding="utf-8")


def _forked(spec: ChildSpec) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run(spec)
            code = 0
        except BaseException as error:
            sys.stderr.write(f"{spec.role}: {error!r}\n")
        os._exit(code)
    return pid


def serve() -> None:
    """Fork children for whoever writes specs into standard input, and tell of their ends."""
    for name in _HEAVY:
        importlib.import_module(name)
    waiting = b""
    while True:
        ready, _, _ = select.select([0], [], [], 0.005)
        if ready:
            read = os.read(0, 65_536)
            if not read:
                return
            waiting += read
            while b"\n" in waiting:
                line, _, waiting = waiting.partition(b"\n")
                _say({"pid": _forked(msgspec.json.decode(line, type=ChildSpec))})
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            continue
        if pid:
            _say({"exit": pid, "code": os.waitstatus_to_exitcode(status)})


def _say(said: dict[str, int]) -> None:
    os.write(1, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    if sys.argv[1] == "fork":
        serve()
    else:
        run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ChildSpec))
