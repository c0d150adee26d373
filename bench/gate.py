"""What the gate costs: every control beside twelve hand-written checks, and a whole verdict that is on disk.

Not a load test, and not another system's benchmark: the floor is what anybody would write by hand.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench import _gate_nautilus
from bench._gate_desk import OneGate, one_state
from bench._gate_floor import TwelveChecks
from bench._measure import Result, interleaved, pinned, result
from bus.messages import OrderIntent
from risk.checks import judge

__all__ = ["run"]

_BATCH = 20
"""Verdicts of one cycle."""


def run(quick: bool = False) -> list[Result]:
    """Measure.

    Args:
        quick: A tenth of the rounds, for a smoke test: the figures are rough.

    Returns:
        The full check (its floor twelve checks by hand), the same of a market order and of a bracket, the check with
        what is reserved and taken back, and a verdict through the gate with its record on disk (its floor one
        synchronous append of the same size). Where nautilus_trader is installed, the full check beside its engine's.
    """
    rounds = 5_000 if quick else 50_000
    with pinned():
        peer = [_beside_nautilus(rounds)] if _gate_nautilus.is_installed() else []
        return [*_checks(rounds), *peer, _reserving(rounds // 10), _verdict(200 if quick else 2_000)]


def _checks(rounds: int) -> list[Result]:
    state, intents = one_state()
    facts, first = state.facts, intents["limit"]
    floor = TwelveChecks(first.symbol, 100_000_000_000, first.decided_ns)
    results: list[Result] = []
    for name, kind in (("full_check", "limit"), ("full_check_market", "market"), ("full_check_bracket", "bracket")):
        intent = intents[kind]
        _passes(floor.check(first), judge(intent, intent.cycle, facts))
        low, ours = interleaved(
            _call(floor.check, first), lambda intent=intent: judge(intent, intent.cycle, facts), rounds
        )
        results.append(result(name, "µs", low, ours))
    return results


def _beside_nautilus(rounds: int) -> Result:
    state, intents = one_state()
    facts, intent = state.facts, intents["limit"]
    _passes(judge(intent, intent.cycle, facts))
    samples = interleaved(_gate_nautilus.check(), lambda: judge(intent, intent.cycle, facts), rounds)
    return result("full_check, above nautilus_trader's", "µs", *samples)


def _call(check: Callable[[OrderIntent], str], intent: OrderIntent) -> Callable[[], str]:
    return lambda: check(intent)


def _passes(*codes: str) -> None:
    if any(code != "approved" for code in codes):
        raise RuntimeError(f"what is measured must be an approval, not {codes}: mend the benchmark")


def _reserving(rounds: int) -> Result:
    state, intents = one_state()
    intent = intents["limit"]
    floor = TwelveChecks(intent.symbol, 100_000_000_000, intent.decided_ns)

    def ours() -> None:
        if state.judge(intent, intent.cycle) == "approved":
            state.approved(intent, state.priced_at(intent), intent.decided_ns, intent.decided_ns + 60_000_000_000)
            state.withdraw(intent)

    return result("check_reserve_and_undo", "µs", *interleaved(_call(floor.check, intent), ours, rounds))


def _verdict(rounds: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="oo-") as name:
        folder = Path(name)
        gate = OneGate(folder)
        record = msgspec.msgpack.encode(gate.intent(0)) * 4
        asked: list[OrderIntent] = []
        descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        numbers = iter(range(10_000_000))

        def append() -> None:
            os.write(descriptor, record)
            os.fdatasync(descriptor)

        def settle() -> None:
            gate.next_cycle()
            asked[:] = [gate.intent(next(numbers)) for _ in range(_BATCH)]

        def verdict() -> None:
            _passes(gate.judge(asked.pop()))

        try:
            samples = interleaved(append, verdict, rounds, block=_BATCH, before=settle)
            return result("check_and_record", "µs", *samples)
        finally:
            os.close(descriptor)
            gate.close()
