"""A gate that fails in the midst of a batch, and its cancels across a restart; not the cancels themselves."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from bus.messages import AskCancel, Canceled, GetLimits, RiskLimits
from tests.risk.desk import CLIENT, RUN, Desk


def _cancel(desk: Desk, *ids: str) -> str:
    """Ask for cancels; return how many of today's the gate says that it has counted."""
    assert isinstance(desk.ask(AskCancel(CLIENT, RUN, ids, "too late", "a model")), Canceled)
    told = desk.ask(GetLimits())
    assert isinstance(told, RiskLimits)
    return next(line.used for line in told.lines if line.name == "max_cancels_per_day")


@pytest.mark.requirement("risk:messages")
def test_a_cancel_that_was_counted_before_a_restart_is_not_counted_again_at_the_same_instant(desk: Desk) -> None:
    desk.advance()
    assert _cancel(desk, "oo-1", "oo-2") == "2"
    desk.start()
    desk.settle()
    assert _cancel(desk, "oo-1") == "2"
    assert _cancel(desk, "oo-2", "oo-3") == "3"
    assert _cancel(desk, "oo-3") == "3"
    desk.advance()
    assert _cancel(desk, "oo-3") == "4"


@pytest.mark.requirement("risk:check:failed")
def test_a_batch_that_fails_while_an_approval_is_being_counted_is_denied_whole(desk: Desk) -> None:
    state: Any = desk.gate._seats[CLIENT].state  # pyright: ignore[reportPrivateUsage] - broken on purpose
    state._times = deque(["no time"])
    answer = desk.judge(desk.intent("NICK"), desk.intent())
    assert [each.code for each in answer.verdicts] == ["check_failed", "check_failed"]
    assert answer.orders == ()


@pytest.mark.requirement("risk:clients")
def test_a_denial_is_on_disk_under_its_client_at_no_price_and_one_for_nobodys_under_none(desk: Desk) -> None:
    desk.judge(desk.intent(qty=10_000))
    desk.judge(desk.intent(client="mallory", index=1))
    written = list(desk.gate._journal.read())  # pyright: ignore[reportPrivateUsage] - what is on disk
    assert [(each.client, each.verdict.approved, each.ticket, each.price_nano, each.final) for each in written] == [
        (CLIENT, False, None, 0, True),
        ("", False, None, 0, False),
    ]
