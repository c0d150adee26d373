"""Search the model at its full size: ``python -m tests.risk.model [STATES]``."""

from __future__ import annotations

import sys

from bus.clock import monotonic_ns
from tests.risk.model.search import FULL, Found, search


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Search, and say what was found."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000
    start = monotonic_ns()

    def told(found: Found) -> None:
        seconds = (monotonic_ns() - start) / 1e9
        say(f"depth {found.depth}: {found.states:,} states, {found.transitions:,} transitions, {seconds:,.0f} s")

    found = search(FULL, most, told)
    seconds = (monotonic_ns() - start) / 1e9
    say(
        f"states {found.states:,} · transitions {found.transitions:,} · approved {found.approved:,} · denied "
        f"{found.denied:,} · {'all of them' if found.whole else 'stopped'} · {seconds:,.0f} s · "
        f"violations {len(found.violations)}"
    )
    for violation in found.violations:
        say(violation)
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
