"""The kill switch: which scopes are stopped, and how far. It tightens from inside; only a person's proof loosens it.

Not where orders are refused (``risk.checks``) or canceled (``risk.canceling``): it says what is in force. A scope is
the desk, a client, a strategy of every client, or one client's strategy; the tightest that holds an order counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from bus.messages import KillLine, TradingState

__all__ = ["DESK", "MOST_SCOPES", "KillSwitch", "Scope", "kill_text"]

Scope = tuple[str, str]
"""Client and strategy; an empty one is every one."""

DESK: Scope = ("", "")
MOST_SCOPES = 256
"""Who stops more scopes than this stops the desk: strategies are named by whoever sends orders."""

_TIGHTNESS: dict[str, int] = {"active": 0, "reducing": 1, "halted": 2}


class KillSwitch:
    """What is stopped now.

    Attributes:
        lines: The scopes that are not active.
        nonce: Changes with everything that is written, so that a proof is over what a person saw.
    """

    def __init__(self, written: Iterable[KillLine]) -> None:
        """Stop what the journal says.

        Args:
            written: Every change in order; state ``active`` is a scope that was resumed.
        """
        self.lines: dict[Scope, KillLine] = {}
        self.unwritten: dict[Scope, KillLine] = {}
        self.nonce = 1
        for line in written:
            self.wrote(line)

    def tightened(self, line: KillLine) -> KillLine | None:
        """Return what has to be put in force for a kill, None where that or more is in force already."""
        if (line.client, line.strategy) not in self.lines and len(self.lines) >= MOST_SCOPES:
            text = f"more than {MOST_SCOPES:,} scopes were stopped; last: {line.reason}"
            line = KillLine("", "", "halted", text, line.by, line.since_ns)
        known = self.lines.get((line.client, line.strategy))
        if known is not None and _TIGHTNESS[known.state] >= _TIGHTNESS[line.state]:
            return None
        return line

    def engage(self, line: KillLine) -> None:
        """Put a line in force; it is owed to the journal until ``wrote`` says that it is there."""
        self.lines[line.client, line.strategy] = line
        self.unwritten[line.client, line.strategy] = line

    def copy(self) -> tuple[dict[Scope, KillLine], dict[Scope, KillLine]]:
        """Return what is in force and what of it is owed to the journal, for ``restore``."""
        return dict(self.lines), dict(self.unwritten)

    def restore(self, copied: tuple[dict[Scope, KillLine], dict[Scope, KillLine]]) -> None:
        """Put in force what was in force when it was copied, and nothing else."""
        self.lines, self.unwritten = copied

    def wrote(self, line: KillLine) -> None:
        """Take a line as written: a resumed scope is active from now on."""
        scope = (line.client, line.strategy)
        self.nonce += 1
        self.unwritten.pop(scope, None)
        if line.state == "active":
            self.lines.pop(scope, None)
        else:
            self.lines[scope] = line

    @property
    def epoch(self) -> int:
        """What tickets carry from now on: more than before each kill, also one that could not be written yet."""
        return self.nonce + len(self.unwritten)

    def of(self, client: str, strategy: str) -> KillLine | None:
        """Return the tightest line that an order of this client and strategy stands under; None when it is active."""
        lines = self.lines
        if not lines:
            return None
        found: KillLine | None = None
        for scope in (DESK, (client, ""), ("", strategy), (client, strategy)):
            line = lines.get(scope)
            if line is not None and (found is None or _TIGHTNESS[line.state] > _TIGHTNESS[found.state]):
                found = line
        return found

    def state(self, client: str, strategy: str) -> TradingState:
        """Return what an order of this client and strategy stands under."""
        line = self.of(client, strategy)
        return line.state if line is not None else "active"

    def halted(self) -> list[KillLine]:
        """Return the scopes whose orders must not work any more, the widest first."""
        found = [line for line in self.lines.values() if line.state == "halted"]
        return sorted(found, key=lambda line: (bool(line.client) + bool(line.strategy), line.client, line.strategy))

    def told(self) -> tuple[KillLine, ...]:
        """Return every scope that is not active, in order."""
        return tuple(self.lines[scope] for scope in sorted(self.lines))


def kill_text(line: KillLine) -> str:
    """Return why, for a verdict and for people."""
    return f"{line.reason}, by {line.by}"
