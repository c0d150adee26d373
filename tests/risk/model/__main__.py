"""Search the models at their full size: ``python -m tests.risk.model``. A few minutes; not a test of every run."""

from __future__ import annotations

import gc
import sys

from bus.clock import monotonic_ns
from tests.risk.model.search import Found, search
from tests.risk.model.venue import FULL

MOST_STATES = 10_000_000


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def said(found: Found, start_ns: int) -> str:
    """Put what was found into one line."""
    return (
        f"{found.states:,} states · {found.transitions:,} transitions · approved {found.approved:,} · denied "
        f"{found.denied:,} · books {found.parts[0]:,} and {found.parts[1]:,} · played {found.played:,} · judged "
        f"{found.asked:,} · compared {found.compared:,} · {(monotonic_ns() - start_ns) / 1e9:,.0f} s"
    )


def main() -> int:
    """Search, and say what was found."""
    # What is kept stays until the end and is in no circle: to look through it for garbage takes longer than the search.
    gc.disable()
    every: list[Found] = []
    begin_ns = monotonic_ns()
    for name, model in FULL.items():
        start_ns = monotonic_ns()
        found = search(
            model, MOST_STATES, lambda so_far, ns=start_ns: say(f"  depth {so_far.depth}: {said(so_far, ns)}")
        )
        every.append(found)
        whole = "every state there is" if found.whole else "stopped before the end"
        say(f"{name}: {said(found, start_ns)} · {whole} · violations {len(found.violations)}")
        for violation in found.violations:
            say(f"  {violation}")
    violations = sum(len(found.violations) for found in every)
    say(
        f"all: {sum(found.states for found in every):,} states · "
        f"{sum(found.transitions for found in every):,} transitions · {(monotonic_ns() - begin_ns) / 1e9:,.0f} s · "
        f"violations {violations}"
    )
    return int(violations > 0 or not all(found.whole for found in every))


if __name__ == "__main__":
    sys.exit(main())
