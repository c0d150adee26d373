"""How patient a supervisor is and how a run ended: what it is told first and what it says last. Not what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bus.messages import RiskState, RunDone
from outcry.failure import Failure

__all__ = ["Outcome", "Patience"]


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds, and how often to start a stage again."""

    heartbeat_s: float = 5.0
    busy_s: float = 60.0
    start_s: float = 30.0
    stop_s: float = 5.0
    restarts: int = 8


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: 0 done, 1 or 2 failed (``failure`` says why), 3 killed by the switch, 130 interrupted.
        done: What the orchestrator said last.
        failure: Why it failed.
        stages: Stage → its last process id.
        restarts: How many stages were started again, before it was taken up again too.
        first_decision_ns: The monotonic time of the first news of a run with a finished cycle, 0 when there was none.
        risk: The gate's last state.
    """

    exit_code: int
    done: RunDone | None = None
    failure: Failure | None = None
    stages: Mapping[str, int] = field(default_factory=dict[str, int])
    restarts: int = 0
    first_decision_ns: int = 0
    risk: RiskState | None = None
