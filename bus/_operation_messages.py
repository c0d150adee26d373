"""Heartbeats, progress and refusals: what a desk says about itself. Nothing that is traded on."""

from __future__ import annotations

from typing import Literal

from bus._market_messages import ClockTick
from bus._struct import Struct

__all__ = [
    "ErrorReply",
    "Heartbeat",
    "Ok",
    "Ping",
    "Progress",
    "RunDone",
]


class Ping(Struct, frozen=True):
    """Are you there (answer: ``Ok``)."""


class Ok(Struct, frozen=True):
    """Done. ``detail`` is for people."""

    detail: str = ""


class ErrorReply(Struct, frozen=True):
    """A service's refusal: a code, and one text that says what was wrong, what is allowed and what to do next."""

    code: str
    message: str


class Heartbeat(Struct, frozen=True):
    """A stage is alive. ``busy_ns`` is how long its present request has taken, 0 when idle."""

    stage: str
    pid: int
    seq: int
    state: Literal["starting", "ready", "stopping", "failed"]
    busy_ns: int = 0
    detail: str = ""


class Progress(Struct, frozen=True):
    """How far a run has come, for the person who watches."""

    clock: ClockTick
    cycles: int
    intents: int
    fills: int
    denied: int
    equity_nano: int


class RunDone(Struct, frozen=True):
    """The orchestrator has come to the end of the day. ``error`` is empty or says why it stopped."""

    cycles: int
    trace_hash: str
    error: str = ""
