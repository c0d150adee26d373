"""``python -m tests.matrix``: kills gateway, gate and both at every point, with each broker, and prints a table."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path

from bus.clock import NS, monotonic_ns
from tests.matrix.desk import PROCESSES, Outcome, Role
from tests.matrix.floor import KINDS, make_floor
from tests.matrix.play import Play
from tests.matrix.processes import Executed, Forked, Starter

__all__ = ["matrix", "play"]

_ROLES: tuple[Role, ...] = ("gateway", "gate", "desk")
_MOST = 2_000


def play(kind: str, starter: Starter, role: Role = "gateway", kill_at: int = 0) -> tuple[Outcome, dict[str, int]]:
    """Play one run in a folder of its own; return what came of it and how many points each child passed at last."""
    folder = Path(tempfile.mkdtemp(prefix="oo-matrix-"))
    run = Play(make_floor(kind, folder), folder, starter, role, kill_at)
    try:
        outcome = run.run()
        points = {each: run.points(each) for each in PROCESSES}
    except AssertionError as error:
        outcome, points = run.outcome, {}
        outcome.problems.append(f"{error}"[:2_000])
    finally:
        run.close()
    if not outcome.problems:
        shutil.rmtree(folder)
    else:
        outcome.problems.append(f"its files are in {folder}")
    return outcome, points


def matrix(
    kind: str, role: Role, starter: Starter, step: int = 1, first: int = 1, last: int = _MOST, jobs: int = 1
) -> Iterator[tuple[int, Outcome]]:
    """Kill at one point after another until there is none left, which two runs in a row must say.

    Args:
        kind: The broker.
        role: What is killed.
        starter: Starts the processes.
        step: How far one point is from the next.
        first: The first point.
        last: Where to end even when there are more.
        jobs: How many runs are played beside each other.
    """
    unharmed = 0
    runs: deque[tuple[int, Future[tuple[Outcome, dict[str, int]]]]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for at in count(first, step):
            if at <= last:
                runs.append((at, pool.submit(play, kind, starter, role, at)))
            if at <= last and len(runs) < jobs:
                continue
            if not runs:
                break
            kill_at, run = runs.popleft()
            outcome, _ = run.result()
            unharmed = 0 if outcome.killed else unharmed + 1
            if outcome.killed or outcome.problems:
                yield kill_at, outcome
            if unharmed == 2:
                return
    assert last < _MOST, f"{kind} has more than {_MOST} points; something goes round in circles"


def main() -> int:
    """Print a row for each broker and role, and every problem."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--broker", choices=KINDS, action="append", help="only this one; may be repeated")
    parser.add_argument("--role", choices=_ROLES, action="append", help="only this one")
    parser.add_argument("--step", type=int, default=1, help="kill at every n-th point only")
    parser.add_argument("--first", type=int, default=1, help="begin at this point")
    parser.add_argument("--last", type=int, default=_MOST, help="end at this point")
    parser.add_argument("--jobs", type=int, default=1, help="so many runs beside each other; times are of shared cores")
    parser.add_argument("--exec", action="store_true", help="start each process by exec instead of by fork: slower")
    parser.add_argument("--verbose", action="store_true", help="print a line for each run")
    asked = parser.parse_args()
    starter: Starter = Executed() if asked.exec else Forked()
    wrong = 0
    began_ns = monotonic_ns()
    _say(f"{'broker':8} {'killed':8} {'points':>6} {'failed':>6} {'bare':>5} {'median s':>9} {'max s':>7}")
    try:
        for kind in asked.broker or KINDS:
            for role in asked.role or _ROLES:
                runs = []
                for kill_at, outcome in matrix(kind, role, starter, asked.step, asked.first, asked.last, asked.jobs):
                    runs.append(outcome)
                    if asked.verbose or outcome.problems or outcome.unprotected:
                        _say(f"  {kind} {kill_at}: {outcome.killed}, back in {outcome.back_s:.2f} s")
                    for problem in (*outcome.problems, *(f"unprotected: {each}" for each in outcome.unprotected)):
                        _say(f"    {problem}")
                times = sorted(outcome.back_s for outcome in runs if outcome.killed) or [0.0]
                failed = sum(bool(outcome.problems) for outcome in runs)
                bare = sum(bool(outcome.unprotected) for outcome in runs)
                wrong += failed + bare
                middle, most = times[len(times) // 2], times[-1]
                _say(f"{kind:8} {role:8} {len(runs):6} {failed:6} {bare:5} {middle:9.3f} {most:7.3f}")
    finally:
        starter.close()
    _say(f"in {(monotonic_ns() - began_ns) / NS:,.0f} s, {'fork' if not asked.exec else 'exec'}")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
