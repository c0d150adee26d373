"""Gate, gateways and misbehaving venues of two clients, driven together through any story.

All three are the real parts on real journals; only the feed's prices and the venues are the test's. What must hold is
worked out anew from what the venues received (``tests.machine.reference``). The suite plays the same stories each time;
``OUTCRY_MACHINE_EXAMPLES=5000`` plays so many, new ones each time.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.stories import DeskMachine

MORE = int(os.environ.get("OUTCRY_MACHINE_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=MORE or 90,
    stateful_step_count=40,
    deadline=None,
    derandomize=not MORE,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)
PARTS = {
    "approved and placed": {"approved", "limit", "market", "simple", "replacement", "bracket"},
    "denied": {"quantity", "order_notional", "price_collar", "position_limit", "self_trade", "reducing", "reduce_only"},
    "at the venue": {"a fill", "a fill that was not told", "lose_answer", "lose_request", "refuse", "fill_first"},
    "killed": {"killed gate", "killed alice", "killed bob", "restarted gate", "restarted alice", "restarted bob"},
    "stopped": {"kill", "resume", "a resume refused", "kill_switch"},
    "brought again": {"order_id_reused", "tampered: more", "tampered: other door", "tampered: other client"},
}


@pytest.mark.requirement("machine:story")
@pytest.mark.requirement("machine:reach")
@pytest.mark.timeout(0 if MORE else 600)
def test_no_story_breaks_a_limit_or_parts_the_books() -> None:
    DeskMachine.reached.clear()
    run_state_machine_as_test(DeskMachine, settings=SETTINGS)
    for what, names in PARTS.items():
        missing = {name for name in names if not DeskMachine.reached[name]}
        assert not missing, f"no story came to what is {what}: {missing}"
